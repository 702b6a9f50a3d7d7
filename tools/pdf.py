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
from collections.abc import Iterator
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
        latexmk fonts-freefont-otf

On a Mac: MacTeX. On Windows: MiKTeX, or WSL and the line above."""


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
    settings["sphinx"]["config"]["latex_elements"] = {
        "papersize": "a4paper",
        "pointsize": "11pt",
        "preamble": "\\usepackage{adjustbox}\n\\usepackage{multirow}\n",
        "figure_align": "htbp",
    }
    settings["sphinx"]["config"]["latex_show_urls"] = "no"
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    (source / "_config.yml").write_text(text, encoding="utf-8")


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
    """What to print for an HTML output: its first picture, its tables, or its text."""
    soup = BeautifulSoup(html, "html.parser")
    for unwanted in soup.select("script, style, label, button, input, select"):
        unwanted.decompose()
    if picture := next(pictures(soup), None):
        return {"image/png": picture}
    if tables := soup.find_all("table"):
        return {"text/latex": "\n\n".join(map(latex_table, tables))}
    return {"text/plain": " ".join(soup.get_text(" ").split())}


def pictures(soup: BeautifulSoup) -> Iterator[str]:
    """Pictures that are shown, as PNG in base64; of a clip, the frame in its middle."""
    for image in soup.find_all("img"):
        address = image.get("src", "")
        if "display:none" in image.get("style", "").replace(" ", ""):
            continue
        if not address.startswith("data:image/") or "svg" in address[:20]:
            continue
        picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        picture.seek(getattr(picture, "n_frames", 1) // 2)
        png = io.BytesIO()
        picture.convert("RGB").save(png, "PNG")
        yield base64.b64encode(png.getvalue()).decode()


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
    _run(command, log, cwd=source)
    folder = work / "_build" / "latex"
    if not (folder / "book.tex").exists():
        raise PdfError(f"Jupyter Book wrote no LaTeX. The full log: {log}")
    # A font of half a gigabyte, for letters that the book does not have.
    page_class = folder / "jupyterBook.cls"
    text = page_class.read_text(encoding="utf-8")
    page_class.write_text(text.replace("\\RequirePackage{bbm}\n", ""), encoding="utf-8")
    return folder


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
