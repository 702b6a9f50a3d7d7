"""Build the HTML book from the prose pages and the executed notebooks.

    python -m tools.book build
    python -m tools.book where

The pages are first laid out in `_build/source/`, in the folders that they have here, with the
executed notebooks in place of the empty ones. Jupyter Book then builds into `_build/jb/`. Only a
build without a single warning, whose pages load nothing from the network, becomes `_build/html/`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import nbformat

from tools.figure_index import mark_figures, write_index
from tools.figures import describe_figures
from tools.ledger import LEDGER, LedgerError
from tools.ledger_page import fill_page
from tools.notebooks import EXECUTED, ROOT
from tools.pages import finish
from tools.teaching_page import TeachingError, read_chapters
from tools.teaching_page import fill_page as fill_teaching_page

SOURCE = ROOT / "_build" / "source"
WORK = ROOT / "_build" / "jb"
HTML = ROOT / "_build" / "html"
LOG = ROOT / "_build" / "book.log"
#: What the book takes from the repository's top folder: settings, and pages that belong there.
AT_THE_TOP = ("_config.yml", "_toc.yml", "CHANGELOG.md", "CONTRIBUTING.md")
WIDGET = "application/vnd.jupyter.widget-view+json"


class BookError(Exception):
    """The book cannot be built. The message says which pages and why."""


# ---------------------------------------------------------------- laying out the sources


def stage(
    root: Path = ROOT, executed: Path = EXECUTED, source: Path = SOURCE, ledger: Path = LEDGER
) -> None:
    """Lay out what the book is built from: settings, prose, the ledger, executed notebooks."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in AT_THE_TOP:
        shutil.copy2(root / name, source / name)
    shutil.copytree(root / "book", source / "book")
    try:
        fill_page(source / "book" / "ledger.md", ledger)
    except LedgerError as error:
        raise BookError(f"The ledger's page cannot be made: {error}") from error
    try:
        chapters = read_chapters(root / "notebooks", executed)
        for page in sorted((source / "book" / "teaching").glob("*.md")):
            fill_teaching_page(page, chapters)
    except TeachingError as error:
        raise BookError(f"An instructors' page cannot be made: {error}") from error
    (source / "notebooks").mkdir()
    undescribed, figures = [], []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        if not (executed / path.name).exists():
            raise BookError(f"{path.name} has not been executed: run `make book`.")
        notebook = nbformat.read(executed / path.name, as_version=4)
        forget_the_run(notebook)
        refuse_widgets(notebook, path.name)
        refuse_addresses(notebook, path.name)
        undescribed += [f"{path.name}, {what}" for what in describe_figures(notebook)]
        figures.append((path.stem, title_of(notebook), mark_figures(notebook, path.stem)))
        nbformat.write(notebook, source / "notebooks" / path.name)
    if undescribed:
        raise BookError(
            "Say in words what these figures show, in a caption after the cell that begins with\n"
            "'**Figure' or in its metadata (see tools/figures.py):\n" + "\n".join(undescribed)
        )
    write_index(source / "book" / "figures.md", figures)


def title_of(notebook) -> str:
    """A notebook's title: its first heading."""
    return re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1]


def forget_the_run(notebook) -> None:
    """Drop what papermill notes about this machine and this run."""
    for part in [notebook, *notebook.cells]:
        part.metadata.pop("papermill", None)
        part.metadata.pop("execution", None)


def refuse_widgets(notebook, name: str) -> None:
    """A widget needs a live kernel; on a page of the book it would be an empty box."""
    for number, cell in enumerate(notebook.cells):
        hidden = {"remove-output", "remove-cell"} & set(cell.metadata.get("tags", []))
        if not hidden and any(WIDGET in o.get("data", {}) for o in cell.get("outputs", [])):
            raise BookError(
                f"{name}, cell {number}: the output is a live widget, which the book cannot show.\n"
                "Tag the cell 'remove-output', or show a figure that needs no kernel."
            )


def refuse_addresses(notebook, name: str) -> None:
    """What a plotting call returns, such as "<Legend at 0x7f...>", is nothing to read."""
    for number, cell in enumerate(notebook.cells):
        hidden = {"remove-output", "remove-cell"} & set(cell.metadata.get("tags", []))
        for output in [] if hidden else cell.get("outputs", []):
            data = output.get("data", {})
            told = data.get("text/plain", "") if set(data) == {"text/plain"} else ""
            if re.search(r"<[^<>]* at 0x[0-9a-f]+>", told):
                raise BookError(
                    f"{name}, cell {number}: the output is {told[:80]!r}.\n"
                    "End the cell with another line, or give the value a name."
                )


# ---------------------------------------------------------------- building


def build_pages(source: Path, work: Path, log: Path) -> Path:
    """Run Jupyter Book with warnings as errors; return the folder of HTML pages."""
    shutil.rmtree(work, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    command += ["--path-output", str(work), "-W", "-n", "--keep-going", "--all"]
    environment = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1", "NO_COLOR": "1"}
    environment["PYTHONPATH"] = str(ROOT)  # where Sphinx finds `helpers`, and `tools.api_docs`
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env=environment,
    )
    output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).replace(f"{source}{os.sep}", "")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(output, encoding="utf-8")
    complaints = [
        line for line in output.splitlines() if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)
    ]
    if done.returncode or complaints:
        told = complaints or output.splitlines()[-20:]
        raise BookError("The book did not build:\n" + "\n".join(told) + f"\n\nThe full log: {log}")
    return work / "_build" / "html"


def build(html: Path = HTML) -> Path:
    """Stage, build, check, and only then replace the pages that are there."""
    stage()
    pages = build_pages(SOURCE, WORK, LOG)
    loads = external_loads(pages)
    if loads:
        told = "\n".join(f"{page}: {address}" for page, address in loads)
        raise BookError(f"These pages would load something from the network:\n{told}")
    finish(pages)
    shutil.rmtree(html, ignore_errors=True)
    shutil.move(str(pages), str(html))
    return html / "index.html"


# ---------------------------------------------------------------- offline

NETWORK = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
IN_CSS = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s;]+)""", re.IGNORECASE)
IN_SCRIPT = re.compile(
    r"""(?:\bimport\b\s*\(?|\bfrom|\bfetch\s*\(|\.src\s*=|importScripts\s*\()\s*"""
    r"""["'`]((?:https?:)?//[^"'`]+)""",
    re.IGNORECASE,
)
LOADING_LINKS = {
    "stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload",
    "manifest", "apple-touch-icon",
}  # fmt: skip


def external_loads(pages: Path) -> list[tuple[str, str]]:
    """(page, address) of everything that a browser would fetch from the network by itself."""
    found = []
    for path in sorted(pages.rglob("*.html")):
        reader = _Loads()
        reader.feed(path.read_text(encoding="utf-8"))
        found += [(str(path.relative_to(pages)), address) for address in reader.found]
    for path in sorted(pages.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found += [(str(path.relative_to(pages)), address) for address in IN_CSS.findall(text)]
    return found


class _Loads(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.inside = [], None

    def handle_starttag(self, tag, attrs):
        values = {key: value or "" for key, value in attrs}
        self.inside = tag if tag in ("script", "style") else None
        if tag == "link":
            loads = LOADING_LINKS & set(values.get("rel", "").lower().split())
            addresses = [values.get("href", "")] if loads else []
        elif tag in ("a", "area", "base"):
            addresses = []
        else:
            addresses = [values.get(key, "") for key in ("src", "data", "poster", "xlink:href")]
            addresses += [part.strip() for part in values.get("srcset", "").split(",")]
        self.found += [address for address in addresses if NETWORK.match(address)]
        self.found += IN_CSS.findall(values.get("style", ""))

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "style":
            self.found += IN_CSS.findall(data)
        elif self.inside == "script":
            self.found += IN_SCRIPT.findall(data)


# ---------------------------------------------------------------- command line


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.book", description=__doc__)
    parser.add_argument("verb", choices=["build", "where"])
    verb = parser.parse_args(argv).verb
    if verb == "where":
        print(f"\nThe book is here:\n  {(HTML / 'index.html').as_uri()}\n")
        return 0
    start = time.perf_counter()
    print("   the book: building the pages ...", flush=True)
    try:
        build()
    except BookError as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)
        return 1
    print(f"   the book: done in {time.perf_counter() - start:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
