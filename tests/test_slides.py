"""Slides: made from a page as the book builds it, complete, and without the network."""

import base64
import io
from pathlib import Path

import nbformat
import pytest
from PIL import Image

pytest.importorskip("jupyter_book", reason="needs the 'book' extra")

from bs4 import BeautifulSoup

from tools import book, notebooks, slides
from tools.slides import SlidesError

INTRODUCTION = """# Counting frogs

[Open in Colab](https://example.org) · 5 minutes to read · runs without a GPU

A pond in the evening. **How many frogs are there?** Nobody knows.

**You will learn**
- to count"""
SECTION = r"""## By ear

One frog calls now and then {cite}`frog2020`. Write
down how many you expect. It is more than that.

$$ n = \sum_i f_i $$

The sum runs over voices."""
CAPTION = "**Figure 1.1.** *Frogs at night.* There are {glue:text}`frogs`. See {doc}`../intro`."
TABLE = "| frog | weight |\n|---|---|\n| green | 3 g |"
EXERCISE = """````{exercise} Count them
:label: ch1-count

Difficulty ●○○ · importance ●●● · 10 minutes

Write `count(voices)`.
````"""
SOLUTION = "def count(voices):\n    return len(set(voices))"
SUMMARY = "## Summary\n\n" + "\n".join(f"- point {n}" for n in range(6))
END = "## Open question: a research sprint\n\nDo toads count?\n\n## Further reading\n\n- a book"


def png() -> str:
    picture = io.BytesIO()
    Image.new("RGB", (8, 6), "green").save(picture, "PNG")
    return base64.b64encode(picture.getvalue()).decode()


def chapter() -> nbformat.NotebookNode:
    """A made-up chapter that has been executed."""
    glued = nbformat.v4.new_output(
        "display_data",
        data={"application/papermill.record/text/plain": "'42 [40, 44]'"},
        metadata={"scrapbook": {"mime_prefix": "application/papermill.record/", "name": "frogs"}},
    )
    drawn = nbformat.v4.new_output(
        "display_data", data={"image/png": png(), "text/plain": "<Figure>"}
    )
    said = nbformat.v4.new_output("stream", text="chatter of a cell")
    hidden = {"tags": ["hide-input", "solution"]}
    write, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    return nbformat.v4.new_notebook(
        cells=[
            write(INTRODUCTION),
            write(SECTION),
            code("secret = draw()", outputs=[said, glued, drawn]),
            write(CAPTION),
            write(TABLE),
            write(EXERCISE),
            code(SOLUTION, metadata=hidden),
            write(SUMMARY),
            write(END),
        ],
        metadata=notebooks.NOTEBOOK_METADATA,
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """The chapter as Jupyter Book builds it."""
    folder = tmp_path_factory.mktemp("book")
    source = folder / "source"
    (source / "notebooks").mkdir(parents=True)
    (source / "_config.yml").write_text(
        "title: Frogs\nexecute:\n  execute_notebooks: 'off'\nbibtex_bibfiles: [a.bib]\n"
        "parse:\n  myst_enable_extensions: [dollarmath]\n"
        "sphinx:\n  extra_extensions: [sphinx_exercise]\n"
    )
    (source / "_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n- file: notebooks/01_frogs\n"
    )
    (source / "a.bib").write_text(
        "@article{frog2020, author={Frog, K.}, title={Ponds}, journal={J}, year={2020}}"
    )
    (source / "intro.md").write_text("# Ponds\n\n```{bibliography}\n```\n")
    nbformat.write(chapter(), source / "notebooks" / "01_frogs.ipynb")
    return book.build_pages(source, folder / "work", folder / "book.log")


@pytest.fixture(scope="module")
def deck(pages, tmp_path_factory) -> tuple[Path, BeautifulSoup]:
    target = tmp_path_factory.mktemp("slides")
    slides.build(["01_frogs"], html=pages, target=target)
    return target, BeautifulSoup((target / "01_frogs.html").read_text("utf-8"), "html.parser")


def slide_called(deck, title: str):
    return next(h.find_parent("section") for h in deck[1].find_all("h2") if title in h.get_text())


def test_slides_come_in_the_order_of_the_chapter(deck):
    titles = [" ".join(heading.get_text().split()) for heading in deck[1].find_all("h2")]
    assert [title.split(". ")[-1] for title in titles] == [
        "Counting frogs", "You will learn", "Before you look", "By ear", "Frogs at night",
        "By ear", "Count them", "Take home", "Take home", "Open question",
    ]  # fmt: skip
    assert "How many frogs are there?" in slide_called(deck, "Counting frogs").get_text()


def test_figures_bring_their_caption_with_numbers_filled_in(deck):
    figure = slide_called(deck, "Frogs at night")
    image = figure.find("img")
    assert (deck[0] / image["src"]).is_file()
    assert image["alt"] == "Figure 1.1. Frogs at night"
    assert "There are 42 [40, 44]. See Ponds." in figure.select_one(".caption").get_text()


def test_code_and_solutions_stay_out_and_prose_goes_to_the_notes(deck):
    text = deck[1].find(class_="slides").get_text()
    for unwanted in ("secret", "len(set(voices))", "chatter", "{glue", "{cite", "a book"):
        assert unwanted not in text
    exercise = slide_called(deck, "Count them").find(class_="content").get_text()
    assert "Write count(voices)." in exercise and "10 minutes" in exercise
    prediction = slide_called(deck, "Before you look")
    shown = prediction.select_one(".content").get_text()
    assert "[Fro20]" in shown and "how many you expect" in " ".join(shown.split())
    assert "more than that" not in shown  # that would be the answer
    assert "One frog calls" in prediction.select_one("aside.notes").get_text()
    assert r"\sum_i" in deck[1].select_one("div.math").get_text()


def test_nothing_comes_from_the_network_and_nothing_is_missing(deck):
    folder, page = deck
    assert book.external_loads(folder) == []
    wanted = [tag.get("src") or tag.get("href") for tag in page.find_all(["script", "link", "img"])]
    for address in filter(None, wanted):
        assert (folder / address).is_file(), address
    assert not [a for a in page.find_all("a") if not a["href"].startswith("http")]


def test_a_missing_page_is_told(pages, tmp_path):
    with pytest.raises(SlidesError, match=r"02_toads\.html.*run `make book` first"):
        slides.build(["02_toads"], html=pages, target=tmp_path / "slides")
    assert not (tmp_path / "slides").exists()


def test_a_shortened_paragraph_ends_with_a_whole_sentence():
    text = "<p>One two <em>three. Four</em>. Five six seven. Eight nine ten.</p>"
    paragraph = BeautifulSoup(text, "html.parser").p
    assert slides.shortened(paragraph, words=7) == "One two <em>three. Four</em>. Five six seven."
    assert slides.shortened(paragraph, words=3, from_end=True) == "Eight nine ten."
    capital = BeautifulSoup("<p>, at <b>night</b>: a pond.</p>", "html.parser").p
    assert slides.capital(slides.shortened(capital)) == "At <b>night</b>: a pond."
    assert slides.shortened(paragraph, words=1) == "One two <em>three. Four</em>."
