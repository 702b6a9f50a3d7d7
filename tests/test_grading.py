"""What graders get: tests that are the chapters' checks, and cells that nobody can change."""

import sys
import types

import nbformat
import pytest
import torch

pytest.importorskip("jupytext", reason="needs the 'book' extra")

from helpers.exercises import ch06
from tools import grading
from tools.student import GIVEN, StudentError, exercises_of, read_chapter

CHAPTER = "06_steering_beliefs"


@pytest.fixture(scope="module")
def exercises():
    return exercises_of(read_chapter(CHAPTER), CHAPTER)


def right(vector, seed):
    noise = torch.randn(vector.shape, generator=torch.Generator().manual_seed(seed))
    return noise * vector.norm() / noise.norm()


def test_an_otter_test_is_the_chapters_check(tmp_path, monkeypatch, exercises):
    folder = grading.otter(CHAPTER, tmp_path)
    written = {path.stem for path in (folder / "tests").glob("*.py")}
    assert written == {exercise.label for exercise in exercises}
    collected = []
    fake = types.ModuleType("otter.test_files")
    fake.test_case = lambda points: lambda test: collected.append((points, test)) or test
    monkeypatch.setitem(sys.modules, "otter", types.ModuleType("otter"))
    monkeypatch.setitem(sys.modules, "otter.test_files", fake)
    file = folder / "tests" / "ch6-noise.py"
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {})
    [(points, test)] = collected
    assert points == 1
    test({"ch06": ch06, "noise": right})
    with pytest.raises(AssertionError, match="norm"):
        test({"ch06": ch06, "noise": lambda vector, seed: 2 * right(vector, seed)})


def test_an_nbgrader_source_has_stubs_to_fill_in_and_locked_checks(tmp_path, exercises):
    folder = grading.nbgrader(CHAPTER, tmp_path)
    path = folder / "source" / CHAPTER / f"{CHAPTER}.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    about = {c.metadata.nbgrader.grade_id: c for c in cells if "nbgrader" in c.metadata}
    for exercise in exercises:
        answer = about[exercise.label]
        assert answer.metadata.nbgrader.solution and not answer.metadata.nbgrader.locked
        begin, raised, end = answer.source.splitlines()[-3:]
        assert begin.strip() == "### BEGIN SOLUTION" and end.strip() == "### END SOLUTION"
        assert raised.strip().startswith("raise NotImplementedError")
        check = about[f"{exercise.label}-check-0"]
        assert check.metadata.nbgrader.locked and check.metadata.nbgrader.points >= 1
        assert "check_" in check.source
    [parameters] = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert "SMALL = True" in parameters
    assert (folder / "nbgrader_config.py").exists()


@pytest.mark.parametrize("grader", [grading.otter, grading.nbgrader])
def test_only_named_exercises_are_graded_and_the_others_are_given(tmp_path, exercises, grader):
    folder = grader(CHAPTER, tmp_path, named=["ch6-dose"])
    [path] = folder.rglob("*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    given = [cell for cell in cells if cell.source.startswith(GIVEN)]
    assert len(given) == len(exercises) - 1
    tests = {path.stem for path in folder.rglob("ch6-*.py")}
    marked = {c.metadata.nbgrader.grade_id for c in cells if "nbgrader" in c.metadata}
    assert (tests, marked) in [({"ch6-dose"}, set()), (set(), {"ch6-dose", "ch6-dose-check-0"})]
    with pytest.raises(StudentError, match="Did you mean ch6-dose"):
        grader(CHAPTER, tmp_path, named=["ch6-dosis"])
