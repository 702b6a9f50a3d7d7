"""Hand a chapter's exercises to otter-grader or to nbgrader.

    python -m tools.grading otter 06_steering_beliefs
    python -m tools.grading nbgrader 06_steering_beliefs --exercises ch6-hook ch6-dose

The tests are the chapter's own `check_...` calls. An exercise gives as many points as it has dots
of difficulty. Where exercises are named, only they are graded, and the others' solutions are
given in the notebook. Both commands write to `_build/grading/`; the page "Grading" of the book
tells how to go on. The packages otter-grader and nbgrader are not needed to write the files.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

import nbformat

from tools.notebooks import ROOT
from tools.student import (
    Exercise,
    StudentError,
    exercises_of,
    published,
    read_chapter,
    refuse_unknown,
    stub,
)
from tools.student import student_copy as copy_without_answers

GRADING = ROOT / "_build" / "grading"

OTTER_TEST = '''"""{title}"""

from otter.test_files import test_case

OK_FORMAT = False
name = "{label}"
points = {points}

CHECK = {check!r}


@test_case(points={points})
def test_{function}(env):
    exec(CHECK, dict(env))
'''

NBGRADER_CONFIG = """c = get_config()
c.CourseDirectory.course_id = "where-is-the-frog"
c.ExecutePreprocessor.timeout = 900  # seconds for a cell
"""


def points_of(exercise: Exercise, notebook: nbformat.NotebookNode) -> int:
    """One to three: the dots of difficulty."""
    told = re.search(r"Difficulty ([●○]+)", notebook.cells[exercise.cell].source)
    return told.group(1).count("●") if told else 1


def student_notebook(
    name: str, named: Collection[str] = ()
) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode, list[Exercise]]:
    """The chapter, a student's copy of it that runs with few images, and what is to be graded.

    Raises:
        StudentError: if the chapter has no exercise of a name.
    """
    chapter = read_chapter(name)
    refuse_unknown(named, [exercise.label for exercise in exercises_of(chapter, name)])
    copied, asked = copy_without_answers(chapter, name, published(ROOT), named)
    for cell in copied.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(r"^SMALL = False", "SMALL = True", cell.source, flags=re.M)
    return chapter, copied, asked


def otter(name: str, target: Path = GRADING, named: Collection[str] = ()) -> Path:
    """Write a student's notebook and a test file for each exercise, or for those named."""
    chapter, copied, asked = student_notebook(name, named)
    folder = target / "otter" / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tests").mkdir(parents=True)
    nbformat.write(copied, folder / f"{name}.ipynb")
    for exercise in asked:
        test = OTTER_TEST.format(
            title=exercise.title.replace('"', "'"),
            label=exercise.label,
            points=points_of(exercise, chapter),
            check="\n".join(chapter.cells[number].source for number in exercise.checks),
            function=exercise.functions[0].name,
        )
        (folder / "tests" / f"{exercise.label}.py").write_text(test, encoding="utf-8")
    return folder


def nbgrader(name: str, target: Path = GRADING, named: Collection[str] = ()) -> Path:
    """Write the source of an assignment: stubs to fill in, and checks that are locked."""
    chapter, copied, asked = student_notebook(name, named)
    by_id = {cell.id: cell for cell in copied.cells}
    for exercise in asked:
        answer = by_id[chapter.cells[exercise.solution].id]
        marked = re.sub(
            r"^( +)(raise NotImplementedError.*)$",
            r"\1### BEGIN SOLUTION\n\1\2\n\1### END SOLUTION",
            stub(exercise),
            flags=re.M,
        )
        answer.source = marked
        answer.metadata["nbgrader"] = about(exercise.label, solution=True)
        points = points_of(exercise, chapter)
        for number, check in enumerate(exercise.checks):
            grade = {"points": points if number == 0 else 0}
            label = f"{exercise.label}-check-{number}"
            by_id[chapter.cells[check].id].metadata["nbgrader"] = about(label, grade=True) | grade
    folder = target / "nbgrader"
    shutil.rmtree(folder / "source" / name, ignore_errors=True)
    (folder / "source" / name).mkdir(parents=True)
    nbformat.write(copied, folder / "source" / name / f"{name}.ipynb")
    (folder / "nbgrader_config.py").write_text(NBGRADER_CONFIG, encoding="utf-8")
    return folder


def about(label: str, solution: bool = False, grade: bool = False) -> dict:
    """What nbgrader keeps with a cell."""
    return {
        "schema_version": 3,
        "grade_id": label,
        "cell_type": "code",
        "solution": solution,
        "grade": grade,
        "locked": grade,
        "task": False,
    }


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.grading", description=__doc__)
    parser.add_argument("grader", choices=["otter", "nbgrader"])
    parser.add_argument("chapter", help="the notebook's name without .ipynb")
    parser.add_argument(
        "--exercises", metavar="LABEL", nargs="+", default=(), help="which to grade"
    )
    args = parser.parse_args(argv)
    try:
        write = otter if args.grader == "otter" else nbgrader
        folder = write(args.chapter, named=args.exercises)
    except StudentError as error:
        print(f"\n{error}\n", file=sys.stderr)
        return 1
    print(folder.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
