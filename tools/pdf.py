"""Build one PDF of the book, where LaTeX is installed.

    python -m tools.pdf check
    python -m tools.pdf build

Paper does not move: of a slider or a clip the PDF shows the picture that a page shows first, and of
a table in HTML a table in LaTeX. Folded code (of figures, and of solutions) stays in the web book.
"""

import argparse
import base64
import io
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import yaml
from bs4 import BeautifulSoup, Tag
from PIL import Image

from tools import book
from tools.notebooks import ROOT

SOURCE = ROOT / "_build" / "pdf_source"
WORK = ROOT / "_build" / "pdf_work"
LOG = ROOT / "_build" / "pdf.log"
PDF = ROOT / "_build" / "where-is-the-frog.pdf"

PROGRAMS = ("latexmk", "xelatex")
INSTALL = """To build the PDF, {missing} must be installed. On Debian or Ubuntu:

    sudo apt install texlive-xetex texlive-latex-extra texlive-fonts-recommended \\
        latexmk lmodern fonts-freefont-otf

On a Mac: MacTeX. On Windows: MiKTeX, or WSL and the line above."""


#: Pages for looking things up, which a screen does better.
ONLINE = ("book/api", "book/figures")
#: Signs that not every face of the book's font has, and what is set in their place.
SIGNS = {sign: sign for sign in "●○✓✗▁"} | {"❌": "✗"}
PREAMBLE = r"""
\usepackage{adjustbox}
\usepackage{newunicodechar}
\newfontfamily\signs{FreeSerif}[Extension=.otf]
""" + "\n".join(
    rf"\newunicodechar{{{sign}}}{{{{\signs {shown}}}}}" for sign, shown in SIGNS.items()
)


class PdfError(Exception):
    """The PDF cannot be built. The message says why, and what to do."""


def check_latex() -> None:
    """Raise, with what to install, unless all programs are there."""
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        raise PdfError(INSTALL.format(missing=" and ".join(missing)))


# ---------------------------------------------------------------- pages that stand still


def stage(source: Path = SOURCE) -> None:
    """Lay out the book as for the pages, with outputs that can be printed."""
    book.stage(source=source)
    for path in sorted((source / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        make_still(notebook)
        nbformat.write(notebook, path)
    settings = yaml.safe_load((source / "_config.yml").read_text(encoding="utf-8"))
    settings["latex"] = {
        "latex_engine": "xelatex",
        "latex_documents": {"targetname": "book.tex", "title": settings["title"]},
    }
    settings["sphinx"]["config"] |= {
        "latex_elements": {"papersize": "a4paper", "pointsize": "11pt", "preamble": PREAMBLE},
        "latex_show_urls": "no",
        "latex_use_xindy": False,  # one program less to install
        "nb_render_markdown_format": "myst",  # so that a table may be given as LaTeX
    }
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    (source / "_config.yml").write_text(text, encoding="utf-8")
    contents = yaml.safe_load((source / "_toc.yml").read_text(encoding="utf-8"))
    for part in contents["parts"]:
        part["chapters"] = [page for page in part["chapters"] if page["file"] not in ONLINE]
    text = yaml.safe_dump(contents, allow_unicode=True, sort_keys=False)
    (source / "_toc.yml").write_text(text, encoding="utf-8")
    shorten_welcome(source / f"{contents['root']}.md")
    number_chapters(source, contents)


def shorten_welcome(page: Path) -> None:
    """On paper the table of contents stands where the cards of chapters are."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^## The chapters\n.*?(?=^## )", "", text, flags=re.MULTILINE | re.DOTALL)
    page.write_text(text.replace(":width: 100%", ":width: 45%"), encoding="utf-8")


def number_chapters(source: Path, contents: dict) -> None:
    """Number the parts that are numbered in the book, so that Chapter 6 is Chapter 6.

    LaTeX is told at the end of the page before the part, since a page begins with its title.
    """
    page, numbered = contents["root"], None
    for part in contents["parts"]:
        if numbered != part.get("numbered", False):
            numbered = part.get("numbered", False)
            append(source / page, rf"\setcounter{{secnumdepth}}{{{2 if numbered else -1}}}")
        page = part["chapters"][-1]["file"]


def append(page: Path, latex: str) -> None:
    """Add LaTeX to the end of a page, which is a notebook or a Markdown file."""
    text = f"```{{raw}} latex\n{latex}\n```"
    notebook = page.with_suffix(".ipynb")
    if notebook.exists():
        cells = nbformat.read(notebook, as_version=4)
        cells.cells.append(nbformat.v4.new_markdown_cell(text))
        nbformat.write(cells, notebook)
    else:
        with page.with_suffix(".md").open("a", encoding="utf-8") as file:
            file.write(f"\n\n{text}\n")


def make_still(notebook: nbformat.NotebookNode) -> None:
    """Replace what only a browser can show, and leave out folded code."""
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if "hide-input" in tags:
            cell.metadata["tags"] = sorted(tags - {"hide-input"} | {"remove-input"})
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data and not any(kind.startswith("image/") for kind in data):
                output["data"] = still(data["text/html"])


def still(html: str) -> dict[str, str]:
    """What to print for an HTML output: its pictures, its tables, or its text."""
    soup = BeautifulSoup(html, "html.parser")
    for unwanted in soup.select("script, style, label, button, input, select"):
        unwanted.decompose()
    if shown := pictures(soup):
        return {"image/png": side_by_side(shown)}
    if tables := soup.find_all("table"):
        text = "\n\n".join(map(latex_table, tables))
        return {"text/markdown": f"```{{raw}} latex\n{text}\n```"}
    return {"text/plain": " ".join(soup.get_text(" ").split())}


def pictures(soup: BeautifulSoup) -> list[Image.Image]:
    """The pictures that are shown. Those that move only if all do, by the frame in the middle."""
    found = []
    for image in soup.find_all("img"):
        kind, _, data = image.get("src", "").partition(";base64,")
        hidden = "display:none" in image.get("style", "").replace(" ", "")
        if kind.startswith("data:image/") and "svg" not in kind and not hidden:
            found.append(Image.open(io.BytesIO(base64.b64decode(data))))
    for picture in found:
        picture.seek(getattr(picture, "n_frames", 1) // 2)
    return [picture for picture in found if getattr(picture, "n_frames", 1) == 1] or found


def side_by_side(pictures: list[Image.Image], gap: int = 16) -> str:
    """Pictures in a row, as PNG in base64."""
    width = sum(picture.width + gap for picture in pictures) - gap
    row = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        row.paste(picture.convert("RGB"), (left, 0))
        left += picture.width + gap
    png = io.BytesIO()
    row.save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()


SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex_table(table: Tag) -> str:
    """A table as LaTeX, never wider than the text. A cell over several rows stands in the first."""
    rows, below = [], {}
    for line in table.find_all("tr"):
        cells = line.find_all(["th", "td"])
        row, column = [], 0
        while cells or column in below:
            if column in below:
                row.append("")
                below[column] -= 1
                if not below[column]:
                    del below[column]
                column += 1
                continue
            cell = cells.pop(0)
            text = "".join(SPECIAL.get(c, c) for c in " ".join(cell.get_text(" ").split()))
            wide = int(cell.get("colspan", 1))
            if cell.name == "th" and text:
                text = rf"\textbf{{{text}}}"
            if int(cell.get("rowspan", 1)) > 1:
                below |= {column + k: int(cell["rowspan"]) - 1 for k in range(wide)}
            row += [text] + [""] * (wide - 1)
            column += wide
        heading = line.find_parent("thead") is not None
        rows.append((heading, row))
    columns = max((len(row) for _, row in rows), default=0)
    lines = []
    for number, (heading, row) in enumerate(rows):
        lines.append(" & ".join(row + [""] * (columns - len(row))) + r" \\")
        if heading and (number + 1 == len(rows) or not rows[number + 1][0]):
            lines.append(r"\hline")
    body = "\n".join(lines)
    return (
        "\\begin{center}\\begin{adjustbox}{max width=\\linewidth}\n"
        f"\\begin{{tabular}}{{{'l' * columns}}}\n\\hline\n{body}\n\\hline\n\\end{{tabular}}\n"
        "\\end{adjustbox}\\end{center}"
    )


# ---------------------------------------------------------------- building


def build(source: Path = SOURCE, work: Path = WORK, pdf: Path = PDF) -> Path:
    """Stage, write LaTeX, run it; the PDF appears only when all went well."""
    check_latex()
    stage(source)
    folder = write_latex(source, work)
    run_latex(folder)
    shutil.move(folder / "book.pdf", pdf)
    return pdf


def write_latex(source: Path, work: Path, log: Path = LOG) -> Path:
    """Let Jupyter Book write LaTeX; return the folder in which it lies."""
    shutil.rmtree(work, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    command += ["--path-output", str(work), "--builder", "latex", "--keep-going", "--all"]
    output = _run(command, log, cwd=source)
    folder = work / "_build" / "latex"
    if not (folder / "book.tex").exists():
        told = "\n".join(line for line in output.splitlines() if "rror" in line)
        raise PdfError(f"Jupyter Book wrote no LaTeX:\n{told}\n\nThe full log: {log}")
    (folder / "book.tex").write_text(
        exercises_linked((folder / "book.tex").read_text(encoding="utf-8")), encoding="utf-8"
    )
    # A font of half a gigabyte, for letters that the book does not have.
    page_class = folder / "jupyterBook.cls"
    text = page_class.read_text(encoding="utf-8")
    page_class.write_text(text.replace("\\RequirePackage{bbm}\n", ""), encoding="utf-8")
    return folder


def exercises_linked(text: str) -> str:
    """LaTeX in which links to exercises go where sphinx-exercise puts their labels."""
    labels = set(re.findall(r"\\label\{exercise:([\w-]+)\}", text))
    return re.sub(
        r"\\hyperref\[\\detokenize\{[^}]*:([\w-]+)\}\]",
        lambda m: rf"\hyperref[exercise:{m[1]}]" if m[1] in labels else m[0],
        text,
    )


def run_latex(folder: Path, log: Path = LOG) -> None:
    """Run LaTeX until the references stand."""
    command = ["latexmk", "-xelatex", "-interaction=nonstopmode", "-file-line-error", "book.tex"]
    output = _run(command, log, cwd=folder, append=True)
    errors = re.findall(r"^\S+\.tex:\d+: .*$", output, re.MULTILINE)
    if errors or not (folder / "book.pdf").exists():
        told = "\n".join(errors[:10]) or output[-2000:]
        raise PdfError(f"LaTeX failed:\n{told}\n\nThe full log: {log}")


def _run(command: list[str], log: Path, cwd: Path, append: bool = False) -> str:
    """Run a command; keep what it said in the log, and return it."""
    environment = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1", "NO_COLOR": "1"}
    environment["PYTHONPATH"] = str(ROOT)  # where Sphinx finds `helpers`, and `tools.api_docs`
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = done.stdout.decode("utf-8", errors="replace")
    with log.open("a" if append else "w", encoding="utf-8") as file:
        file.write(output)
    return output


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.pdf", description=__doc__)
    parser.add_argument("verb", choices=["check", "build"])
    verb = parser.parse_args(argv).verb
    start = time.perf_counter()
    try:
        if verb == "check":
            check_latex()
            return 0
        print("   the PDF: some minutes ...", flush=True)
        pdf = build()
    except (PdfError, book.BookError) as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)
        return 1
    print(f"   the PDF: done in {time.perf_counter() - start:.0f} s\n\n  {pdf}\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
