"""The instructors' pages: exercises are found, and minutes add up."""

import itertools
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

LONG_SPRINT = SPRINT.replace("half a day", "25 minutes for the function, a day for the sprint")


@pytest.fixture
def chapters(tmp_path):
    sources = (CHAPTER, EXERCISE, SPRINT, LONG_SPRINT.replace("ch9-sprint", "ch9-longer"))
    cells = [nbformat.v4.new_markdown_cell(source) for source in sources]
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
    frogs, sprint, longer = chapter.exercises
    assert (frogs.title, frogs.minutes, frogs.difficulty) == ("Count the frogs", 10, "●○○")
    assert (sprint.minutes, sprint.told) == (None, "half a day")
    assert [e.is_sprint for e in chapter.exercises] == [False, True, True]
    assert longer.minutes == 25


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
    sprints = "half a day; 25 minutes for the function, a day for the sprint"
    row = ["40 minutes", "1 in 10 minutes", sprints, "12"]
    assert "\n".join(f"  - {cell}" for cell in row) in filled


def test_a_handout_names_the_exercises_since_the_last_heading_in_the_chapters_order(chapters):
    """And neither those of an earlier section nor lines with minutes of their own."""
    text = (
        "## One\n```{session} 60 minutes\nch9-frogs\n```\n## Two\n"
        "```{session} 60 minutes\nTalk: 5\nch9-longer\n```\n```{homework}\nch9-frogs\n```\n"
        "```{handout}\n```\n"
    )
    filled = teaching_page.fill(text, chapters)
    assert filled.endswith('```bash\nmake student EXERCISES="ch9-frogs ch9-longer"\n```\n')
    filled = teaching_page.fill(text.replace("{homework}\nch9-frogs", "{homework}"), chapters)
    assert filled.endswith('EXERCISES="ch9-longer"\n```\n')
    with pytest.raises(TeachingError, match="page, line 2: no exercise stands"):
        teaching_page.fill("# Three\n```{handout}\n```", chapters)


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
        assert not re.search(r"^```\{(session|homework|handout|chapters)\}", filled, re.MULTILINE)
        for notebook in re.findall(r"`(\S*?)::", filled):  # numbers from a chapter's run
            assert (page.parent / notebook).is_file(), f"{page.name} names {notebook}"


def test_figures_that_the_pages_name_are_there():
    captions = set()
    for notebook in (ROOT / "notebooks").glob("*.py"):
        text = notebook.read_text(encoding="utf-8")
        captions |= set(re.findall(r"\*\*((?:Figure|Table) \d+\.\d+)\.", text))
    for page in PAGES:
        named = set(re.findall(r"(?:Figure|Table) \d+\.\d+", page.read_text(encoding="utf-8")))
        assert named <= captions, f"{page.name} names {sorted(named - captions)}"


# ---------------------------------------------------------------- the book's own syllabi


def weeks():
    """Sections of the syllabi that name exercises: heading, text, labels."""
    page = ROOT / "book" / "teaching" / "syllabus.md"
    sections = re.split(r"^(?=#+ )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [(s.split("\n")[0].strip("# "), s, teaching_page.labels_named(s)) for s in sections]
    return [week for week in found if week[2]]


def test_exercises_come_in_the_chapters_order_beside_their_chapter_and_are_handed_out():
    assert len(weeks()) == 13  # a lecture, five days, seven weeks
    for (heading, text, labels), chapter in itertools.product(
        weeks(), teaching_page.read_chapters()
    ):
        assert "```{handout}" in text, heading
        order = [exercise.label for exercise in chapter.exercises]
        ours = [label for label in labels if label in order]
        assert ours == sorted(ours, key=order.index), f"{heading}: a run stops at a later one first"
        assert not ours or f"{{doc}}`/notebooks/{chapter.name}`" in text, f"{heading}: {ours}"


def test_half_a_term_has_slack_and_gives_the_project_its_share_of_the_homework():
    known = {e.label: e for chapter in teaching_page.read_chapters() for e in chapter.exercises}
    project, whole = 0, 0
    for heading, text, _ in weeks():
        if not heading.startswith("Week "):
            continue
        for kind, title, body in teaching_page.FENCE.findall(text):
            rows = [teaching_page._row(line, known) for line in body.splitlines()]
            minutes = sum(minutes for minutes, _ in rows)
            if kind == "session" and "Lab." in body:
                assert title == "90 minutes" and minutes <= 65, f"{heading}: a lab without slack"
            if kind == "homework":
                assert minutes <= 120, f"{heading}: more than two hours of homework"
                whole += minutes
                project += sum(m for m, what in rows if what.startswith("Project."))
    assert 0.45 <= project / whole <= 0.55  # it has half of the grade


def test_every_open_question_has_an_expected_answer():
    asked = {
        int(path.name[:2])
        for path in (ROOT / "notebooks").glob("[0-9]*.py")
        if "\n# ## Open question" in path.read_text(encoding="utf-8")
    }
    page = (ROOT / "book" / "teaching" / "answers.md").read_text(encoding="utf-8")
    answered = [int(n) for n in re.findall(r"\*\*Open question, Chapter (\d+)\.\*\*", page)]
    assert asked and answered == sorted(asked)
