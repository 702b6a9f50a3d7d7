"""The instructors' pages: exercises are found, and minutes add up."""

import re
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("markdown_it", reason="needs the 'book' extra")

from tools import teaching_page
from tools.teaching_page import TeachingError

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "book" / "teaching").glob("*.md"))

CHAPTER = """# A chapter

[Open in Colab](x)
· about 40 minutes to read, another
20 for the exercises · runs without a GPU
"""
EXERCISE = """````{exercise} Count the frogs
:label: ch9-frogs

Difficulty ●○○ · importance ●●○ · 10 minutes, on paper

Count them.
````"""
SPRINT = """```{exercise} Research sprint
:label: ch9-sprint

*Difficulty ●●● · importance ●●○ · half a day*
```"""


@pytest.fixture
def chapters(tmp_path):
    cells = [nbformat.v4.new_markdown_cell(source) for source in (CHAPTER, EXERCISE, SPRINT)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, tmp_path / "09_frogs.ipynb")
    notebook.metadata["papermill"] = {"duration": 12.4}
    (tmp_path / "executed").mkdir()
    nbformat.write(notebook, tmp_path / "executed" / "09_frogs.ipynb")
    return teaching_page.read_chapters(tmp_path, tmp_path / "executed")


def test_a_chapter_is_read(chapters):
    [chapter] = chapters
    assert chapter.to_read == "about 40 minutes to read, another 20 for the exercises"
    assert chapter.seconds == 12.4
    frogs, sprint = chapter.exercises
    assert (frogs.title, frogs.minutes, frogs.difficulty) == ("Count the frogs", 10, "●○○")
    assert (sprint.minutes, sprint.told) == (None, "half a day")


def test_minutes_of_a_session_add_up(chapters):
    text = "Before\n\n```{session} 60 minutes\nSlides: 30\nch9-frogs\n```\n\nAfter\n"
    filled = teaching_page.fill(text, chapters)
    assert [int(n) for n in re.findall(r"^\* - (\d+)$", filled, re.MULTILINE)] == [30, 10, 20, 60]
    assert "{ref}`Count the frogs <ch9-frogs>`" in filled
    assert filled.startswith("Before") and filled.endswith("After\n")


def test_homework_and_chapters(chapters):
    filled = teaching_page.fill("```{homework}\nch9-frogs\nReading: 25\n```", chapters)
    assert [int(n) for n in re.findall(r"^\* - (\d+)$", filled, re.MULTILINE)] == [10, 25, 35]
    filled = teaching_page.fill("```{chapters}\n```", chapters)
    assert "1 in 10 minutes; 1 longer" in filled and "- 12\n" in filled


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ch9-toads", "page, line 3: there is no exercise 'ch9-toads'"),
        ("ch9-sprint", "takes 'half a day'"),
        ("Slides: 70", "70 minutes of work in 60"),
    ],
)
def test_what_does_not_fit_is_refused(chapters, line, message):
    with pytest.raises(TeachingError, match=message):
        teaching_page.fill(f"\n\n```{{session}} 60 minutes\n{line}\n```\n", chapters)


def test_the_books_own_pages_can_be_filled():
    chapters = teaching_page.read_chapters()
    assert PAGES
    for page in PAGES:
        filled = teaching_page.fill(page.read_text(encoding="utf-8"), chapters, page.name)
        assert not re.search(r"^```\{(session|homework|chapters)\}", filled, re.MULTILINE)
        for notebook in re.findall(r"`(\S*?)::", filled):  # numbers from a chapter's run
            assert (page.parent / notebook).is_file(), f"{page.name} names {notebook}"
