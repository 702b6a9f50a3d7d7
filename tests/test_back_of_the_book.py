"""The back of the book: nothing is missing from the reference, the glossary and the bibliography,
and the index of figures finds every figure."""

import base64
import io
import re
from pathlib import Path

import nbformat
import pytest
from PIL import Image

pytest.importorskip("pybtex", reason="needs the 'book' extra")

from docutils import nodes
from pybtex.database import parse_file
from sphinx import addnodes

from tools import api_docs, figure_index

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
CHAPTERS = sorted((ROOT / "notebooks").glob("*.py"))
PAGES = [*BOOK.rglob("*.md"), *CHAPTERS, BOOK / "claims.yml"]


def test_every_module_is_in_the_reference_once():
    listed = []
    for page in (BOOK / "api").glob("*.md"):
        listed += re.findall(r"\.\. automodule:: helpers\.([\w.]+)", page.read_text())
    modules = set()
    for path in (ROOT / "helpers").rglob("*.py"):
        parts = path.relative_to(ROOT / "helpers").with_suffix("").parts
        holds_code = re.search(r"^(def|class) \w", path.read_text(encoding="utf-8"), re.MULTILINE)
        if holds_code and parts[0] != "exercises":
            modules.add(".".join(part for part in parts if part != "__init__"))
    assert len(listed) == len(set(listed))
    assert modules - {""} <= set(listed)


def test_defaults_in_the_reference_are_python():
    told = (
        "(a=<function mean at 0x7f01>, b=<function <lambda> at 0x7f>, c=<factory>, d='x', "
        "e=<function Family.<lambda>>, f=<function steer>)"
    )
    assert api_docs.readable_defaults(None, "", "", None, None, told, "int") == (
        "(a=mean, b=..., c=..., d='x', e=..., f=steer)",
        "int",
    )


@pytest.mark.parametrize(
    ("what", "value", "shown"),
    [
        ("data", "('frog', 'camel')", "('frog', 'camel')"),
        ("data", "{'where': <function ask>}", "..."),
        ("attribute", "'" + 500 * "x" + "'", "..."),
        ("function", "'" + 500 * "x" + "'", "'" + 500 * "x" + "'"),
    ],
)
def test_the_reference_leaves_out_values_that_nobody_reads(what, value, shown):
    told = addnodes.desc_annotation(value, "", nodes.Text(" = "), nodes.Text(value))
    content = addnodes.desc_content()
    described = addnodes.desc("", addnodes.desc_signature("", "", told), content)
    api_docs.shorten_values(None, "py", what, content)
    assert described.astext().strip().endswith(f"= {shown}")
    assert all(text.parent is told for text in told.findall(nodes.Text))


def test_terms_are_in_order_and_every_chapter_links_to_some():
    glossary = (BOOK / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^(\S.*)\n  ", glossary.split("```{glossary}\n")[1], re.MULTILINE)
    assert [term.lower() for term in terms] == sorted(term.lower() for term in terms)
    without = [path.stem for path in CHAPTERS if "{term}`" not in path.read_text(encoding="utf-8")]
    assert without == []


def test_every_chapter_says_what_follows():
    for path in CHAPTERS:
        last = path.read_text(encoding="utf-8").split("\n#\n")[-1]
        assert last.startswith("# **What follows.** "), path.stem


def test_references_are_complete_and_all_cited():
    cited = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text):
            cited |= {key.strip() for key in keys.split(",")}
    entries = parse_file(str(BOOK / "references.bib")).entries
    assert cited - {"..."} == set(entries)
    for key, entry in entries.items():
        assert entry.persons.get("author"), key
        venue = {"url", "journal", "booktitle"} & set(entry.fields)
        assert {"title", "year"} <= set(entry.fields) and venue, key


# ---------------------------------------------------------------- the index of figures


def picture(side=400) -> str:
    kept = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(kept, "PNG")
    return base64.b64encode(kept.getvalue()).decode()


def figure_cell(data: dict):
    return nbformat.v4.new_code_cell(
        "plot()", outputs=[nbformat.v4.new_output("display_data", data)]
    )


def caption(text: str):
    return nbformat.v4.new_markdown_cell(text)


def test_figures_are_found_with_their_pictures():
    html = f'<img src="data:image/png;base64,{picture(9)}"><img src="data:image/png;base64,AAAA">'
    notebook = nbformat.v4.new_notebook(
        cells=[
            figure_cell({"image/png": picture()}),
            caption("**Figure 3.1.** *One frog,*\ntwice. More."),
            figure_cell({"text/html": html}),
            nbformat.v4.new_code_cell("print(1)"),
            caption("**Figure 3.2. A {glue:text}`n`-fold slider.** Move it."),
            caption("**Table 3.1.** *No figure.*"),
            caption("**Figure 3.3.** *Made of words.*"),
        ]
    )
    one, slider, words = figure_index.mark_figures(notebook, "03_flow")
    assert (one.label, one.title) == ("Figure 3.1", "One frog")
    assert notebook.cells[1].source.startswith(f"({one.anchor})=\n**Figure 3.1.**")
    assert Image.open(io.BytesIO(slider.picture)).size == (9, 9)
    assert words.picture is None
    assert len({one.anchor, slider.anchor, words.anchor}) == 3


def test_the_page_gets_small_pictures_and_links(tmp_path):
    page = tmp_path / "figures.md"
    page.write_text(f"# Figures\n\n{figure_index.MARKER}\n")
    figure = figure_index.Figure("figure-3-1", "Figure 3.1", "A", base64.b64decode(picture(900)))
    figure_index.write_index(page, [("03_flow", "Flow", [figure]), ("04_none", "None", [])])
    text = page.read_text()
    assert (
        ":link: ../notebooks/03_flow.html#figure-3-1\n" in text
        and "[Flow](../notebooks/03_flow)" in text
    )
    assert "None" not in text
    with Image.open(tmp_path / "figures" / "figure-3-1.png") as small:
        assert max(small.size) <= max(figure_index.SMALL)
    with pytest.raises(ValueError, match="needs the line"):
        figure_index.write_index(page, [])
