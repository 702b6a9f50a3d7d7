"""The form of the exercises, in every chapter: what a reader may rely on.

That solutions pass their checks, and stubs do not, is for `test_notebooks.py`; that a chapter's
exercises have all their parts, for `test_student.py`. What each check says about wrong answers is
tested in its own file, `test_exercises_chNN.py`.
"""

import ast
import importlib
import inspect
import io
import pkgutil
import re
import tokenize
from pathlib import Path

import pytest

pytest.importorskip("papermill", reason="needs the 'book' extra")

from helpers import exercises as checks
from tools import student, teaching_page

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))
#: What a test of a wrong answer calls.
REFUSING = {"refuses", "refused", "raises"}
DOTS = "(?:●○○|●●○|●●●)"
#: Difficulty, importance, and a time in words.
LINE = re.compile(rf"^\*?Difficulty {DOTS} · importance {DOTS} · (.+?)\*?$", re.MULTILINE)


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request):
    notebook = student.read_chapter(request.param)
    return request.param, notebook, student.exercises_of(notebook, request.param)


def minutes(text):
    """Minutes that a line tells; half a day and more are told in words."""
    number = re.search(r"(\d+) minutes", text)
    return int(number[1]) if number else 240


def test_a_chapter_has_exercises_from_ten_minutes_to_a_sprint(chapter):
    name, notebook, exercises = chapter
    assert len(exercises) >= 4, f"{name} has {len(exercises)} exercises"
    times = []
    for exercise in exercises:
        found = LINE.findall(notebook.cells[exercise.cell].source)
        assert len(found) == 1, (
            f"{name}, {exercise.label}: one line with difficulty, importance, time"
        )
        times.append(found[0])
    assert min(map(minutes, times)) <= 10, f"{name} has nothing short to begin with: {times}"
    sprint = [t for t in times if minutes(t) >= 45 or "sprint" in t]
    assert sprint, f"{name} has no research sprint among its exercises: {times}"
    told = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert any("## Open question" in text for text in told)


def test_the_line_at_the_top_adds_the_exercises_up(chapter):
    name, notebook, _ = chapter
    title = notebook.cells[0].source
    told = re.search(r"another (\d+) for the exercises", title)
    assert told, f"{name}: its top tells no minutes for the exercises"
    known = [exercise.minutes for cell in notebook.cells if cell.cell_type == "markdown"
             for exercise in teaching_page.exercises_in(cell.source, name)]  # fmt: skip
    assert int(told[1]) == sum(filter(None, known)), name
    assert "builds on" in title, f"{name}: its top does not say which chapters it needs"


def test_a_solution_is_folded_and_says_why(chapter):
    name, notebook, exercises = chapter
    for exercise in exercises:
        cell = notebook.cells[exercise.solution]
        where = f"{name}, {exercise.label}"
        assert "hide-input" in cell.metadata["tags"], f"{where}: tag its solution 'hide-input'"
        prompts = cell.metadata.get("mystnb", {})
        assert {"code_prompt_show", "code_prompt_hide"} <= prompts.keys(), where
        tokens = tokenize.generate_tokens(io.StringIO(cell.source).readline)
        comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
        whys = [text for text in comments if "fmt:" not in text]
        assert whys, f"{where}: a comment in the solution says why it is so"


def test_every_check_is_called_by_its_chapter(chapter):
    name, notebook, _ = chapter
    defined = checks_in(ROOT / "helpers" / "exercises" / f"ch{name[:2]}.py")
    called = {check for cell in notebook.cells for check in student.check_calls(cell)}
    assert not set(defined) - called


def checks_in(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith("check_")]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_check_is_tested_with_a_right_answer_and_two_wrong_ones(name):
    path = ROOT / "tests" / f"test_exercises_ch{name[:2]}.py"
    assert path.exists(), f"{path.name} is missing"
    tests = [node for node in ast.parse(path.read_text(encoding="utf-8")).body
             if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]  # fmt: skip
    for check in checks_in(ROOT / "helpers" / "exercises" / f"ch{name[:2]}.py"):
        naming = [test for test in tests if check in names_in(test)]
        wrong = [test for test in naming if REFUSING & names_in(test)]
        assert len(wrong) < len(naming), f"{check}: no test with a right answer in {path.name}"
        count = sum(map(cases, wrong))
        assert count >= 2, f"{check}: {count} wrong answers in {path.name}, and two are needed"


#: Checks of a thing that was made, or of a function to which None is an answer.
NOT_ASKED = {"check_balanced", "check_leaks"}


def lone_checks():
    """Every check that needs nothing but the reader's function."""
    for info in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}."):
        module = importlib.import_module(info.name)
        for name in checks_in(Path(module.__file__)):
            check = getattr(module, name)
            needed = [one for one in inspect.signature(check).parameters.values()
                      if one.default is one.empty]  # fmt: skip
            if len(needed) == 1 and not (info.name.endswith("ch02") and name in NOT_ASKED):
                yield pytest.param(check, id=f"{info.name[-4:]}-{name}")


@pytest.mark.parametrize("check", lone_checks())
def test_a_forgotten_return_is_told_and_no_error_from_inside_the_check(check):
    with pytest.raises(AssertionError):
        check(lambda *given, **named: None)


def names_in(function):
    nodes = list(ast.walk(function))
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def cases(function):
    """How many times pytest runs a test, by its `parametrize`."""
    lists = [
        call.args[1] for call in function.decorator_list
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "parametrize"
    ]  # fmt: skip
    return len(lists[0].elts) if lists else 1


def test_every_file_of_checks_belongs_to_a_chapter():
    files = {path.stem for path in (ROOT / "helpers" / "exercises").glob("ch*.py")}
    assert files == {f"ch{name[:2]}" for name in CHAPTERS}
