"""The PDF: what cannot be printed is replaced, and a missing LaTeX is told."""

import base64
import io

import nbformat
import pytest
from PIL import Image

pytest.importorskip("jupyter_book", reason="needs the 'book' extra")

from tools import pdf
from tools.pdf import PdfError


def picture(kind: str, *colours: str) -> str:
    """A picture as an address; of several colours, one that moves."""
    frames = [Image.new("RGB", (4, 4), colour) for colour in colours]
    data = io.BytesIO()
    frames[0].save(data, kind, save_all=True, append_images=frames[1:], lossless=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"


def colour_of(png: str) -> tuple[int, int, int]:
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").getpixel((1, 1))


def test_a_missing_latex_says_what_to_install(monkeypatch, capsys):
    there = {"xelatex": "/usr/bin/xelatex"}
    monkeypatch.setattr(pdf.shutil, "which", there.get)
    with pytest.raises(PdfError, match="latexmk must be installed") as error:
        pdf.check_latex()
    assert "apt install" in str(error.value)
    assert pdf.main(["check"]) == 1
    assert "latexmk must be installed" in capsys.readouterr().err
    there["latexmk"] = "/usr/bin/latexmk"
    pdf.check_latex()


def test_of_a_slider_the_picture_that_shows_first_is_printed():
    html = (
        f'<div><label>layer <input type="range"></label>'
        f'<img src="{picture("PNG", "red")}" style="max-width:100%;display: none">'
        f'<img src="{picture("PNG", "lime")}" style="display:block"></div>'
    )
    assert colour_of(pdf.still(html)["image/png"]) == (0, 255, 0)


def test_of_a_clip_the_middle_frame_is_printed():
    html = f'<img src="{picture("WEBP", "red", "red", "lime", "blue")}">'
    assert colour_of(pdf.still(html)["image/png"]) == (0, 255, 0)


def test_a_still_strip_is_printed_rather_than_the_clip_beside_it():
    strip = f'<img src="{picture("PNG", "blue")}">'
    html = f'<img src="{picture("WEBP", "red", "lime")}">{strip}{strip}'
    printed = Image.open(io.BytesIO(base64.b64decode(pdf.still(html)["image/png"])))
    assert colour_of(pdf.still(html)["image/png"]) == (0, 0, 255)
    assert printed.width > 8  # two pictures and a gap


def test_links_go_to_exercises():
    text = r"\label{exercise:ch6-hook} \hyperref[\detokenize{notebooks/06:ch6-hook}]{Steer} "
    other = r"\hyperref[\detokenize{book/notation:sites}]{Sites}"
    linked = pdf.exercises_linked(text + other)
    assert r"\hyperref[exercise:ch6-hook]{Steer}" in linked and linked.endswith(other)


def test_tables_become_latex():
    html = (
        "<table><thead><tr><th></th><th colspan='2'>swapped</th></tr>"
        "<tr><th>arm</th><th>a_b</th><th>c</th></tr></thead>"
        "<tbody><tr><th rowspan='2'>IDs</th><td>31%</td><td>2</td></tr>"
        "<tr><td>3 &amp; 4</td><td>5</td></tr></tbody></table>"
    )
    lines = pdf.still(html)["text/markdown"].splitlines()
    assert lines[0] == "```{raw} latex" and lines[-1] == "```"
    assert r"\begin{tabular}{lll}" in lines
    rows = [line for line in lines if line.endswith(r"\\")]
    assert rows == [
        r" & \textbf{swapped} &  \\",
        r"\textbf{arm} & \textbf{a\_b} & \textbf{c} \\",
        r"\textbf{IDs} & 31\% & 2 \\",
        r" & 3 \& 4 & 5 \\",
    ]
    assert lines[lines.index(rows[1]) + 1] == r"\hline"


def test_other_html_is_printed_as_its_text_and_folded_code_is_left_out():
    shown = nbformat.v4.new_output(
        "display_data", data={"text/html": "<b>frog</b> <button>go</button><script>x()</script>"}
    )
    drawn = nbformat.v4.new_output("display_data", data={"text/html": "<p>", "image/png": "AAAA"})
    folded = {"tags": ["solution", "hide-input"]}
    cell = nbformat.v4.new_code_cell("draw()", outputs=[shown, drawn], metadata=folded)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    pdf.make_still(notebook)
    assert cell.outputs[0].data == {"text/plain": "frog"}
    assert cell.outputs[1].data["image/png"] == "AAAA"
    assert set(cell.metadata["tags"]) == {"solution", "remove-input"}


@pytest.mark.skipif(
    not all(map(pdf.shutil.which, pdf.PROGRAMS)), reason="needs LaTeX (see tools/pdf.py)"
)
def test_an_error_of_latex_is_told_with_its_line(tmp_path):
    page = tmp_path / "book.tex"
    page.write_text("\\documentclass{article}\n\\begin{document}\n\\frog\n\\end{document}\n")
    with pytest.raises(PdfError, match=r"book\.tex:3: Undefined control sequence"):
        pdf.run_latex(tmp_path, tmp_path / "log")


def test_chapters_have_the_numbers_of_the_book(tmp_path):
    for page in ("welcome", "how", "ledger"):
        (tmp_path / f"{page}.md").write_text(f"# {page}\n")
    for page in ("one", "two"):
        nbformat.write(nbformat.v4.new_notebook(), tmp_path / f"{page}.ipynb")
    parts = [
        {"chapters": [{"file": "how"}]},
        {"chapters": [{"file": "one"}], "numbered": True},
        {"chapters": [{"file": "two"}], "numbered": True},
        {"chapters": [{"file": "ledger"}]},
    ]
    pdf.number_chapters(tmp_path, {"root": "welcome", "parts": parts})
    assert r"\setcounter{secnumdepth}{-1}" in (tmp_path / "welcome.md").read_text()
    assert r"\setcounter{secnumdepth}{2}" in (tmp_path / "how.md").read_text()
    assert nbformat.read(tmp_path / "one.ipynb", 4).cells == []
    assert r"{-1}" in nbformat.read(tmp_path / "two.ipynb", 4).cells[-1].source
    assert "latex" not in (tmp_path / "ledger.md").read_text()
