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


def test_tables_become_latex():
    html = (
        "<table><thead><tr><th></th><th colspan='2'>swapped</th></tr>"
        "<tr><th>arm</th><th>a_b</th><th>c</th></tr></thead>"
        "<tbody><tr><th rowspan='2'>IDs</th><td>31%</td><td>2</td></tr>"
        "<tr><td>3 &amp; 4</td><td>5</td></tr></tbody></table>"
    )
    lines = pdf.still(html)["text/latex"].splitlines()
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
