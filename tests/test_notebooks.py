"""Every chapter runs from top to bottom, headless, with small sizes.

It runs as a class goes through it: at each exercise the student's stub comes first, and its check
must stop with the stub's NotImplementedError and nothing else. Then comes the solution, which has
to pass the same check, and the chapter goes on.
"""

import copy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("papermill", reason="needs the 'book' extra")

from helpers.loading import ORGANISMS
from tools import notebooks, student

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MISSING = [
    name
    for name in ("tiny-llava", "tiny-llava-direct")
    if not (ORGANISMS / name / "config.json").exists()
]
RUN = """
import sys
from tools import notebooks
try:
    source, target, failed, cwd = sys.argv[1:]
    notebooks.run_notebook(source, target, {"SMALL": True}, failed_dir=failed, cwd=cwd)
except notebooks.NotebookError as error:
    sys.exit(str(error))
"""
# A cell that runs another, and wants it to stop at the stub.
STOPS = """
try:
    exec(compile({source!r}, "<the check of {label}>", "exec"), globals())
except NotImplementedError as stopped:
    print(f"stopped at {{stopped}}")
    assert str(stopped).startswith("Exercise {label}:"), stopped
else:
    raise AssertionError("the check of {label} lets a stub pass")
"""


def rehearsal(notebook, name):
    """The chapter, in which each exercise is left open first and then solved."""
    told = student.exercises_of(notebook, name)
    for exercise in reversed(told):  # from the back, so that the numbers in front stay
        first = exercise.checks[0]
        cells = [copy.deepcopy(cell) for cell in notebook.cells[exercise.solution : first + 1]]
        cells[0].source = student.stub(exercise)
        source = student.plain_code(cells[-1])
        cells[-1].source = STOPS.format(source=source, label=exercise.label)
        for number, cell in enumerate(cells):
            cell.id = f"rehearsal-{exercise.cell}-{number}"
        notebook.cells[exercise.solution : exercise.solution] = cells
    return notebook


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """The chapters that were asked for, two at a time: name to (executed copy, what went wrong)."""
    folder = tmp_path_factory.mktemp("notebooks")
    asked = [item for item in request.session.items if "runs" in item.fixturenames]
    names = {item.callspec.params["name"] for item in asked}
    environment = os.environ | notebooks.KERNEL_ENVIRONMENT
    path = [str(ROOT), os.environ.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    environment["HF_HUB_OFFLINE"] = "1"

    def run(name):
        source, target = folder / "rehearsals" / f"{name}.ipynb", folder / f"{name}.ipynb"
        source.parent.mkdir(exist_ok=True)
        try:
            nbformat.write(rehearsal(student.read_chapter(name), name), source)
        except student.StudentError as error:
            return name, (target, str(error))
        command = [sys.executable, "-W", "ignore", "-c", RUN, source, target, folder / "failed"]
        command.append(ROOT / "notebooks")
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        return name, (target, done.stderr[-6000:] if done.returncode else "")

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(run, sorted(names)))


@pytest.mark.skipif(bool(MISSING), reason=f"shipped models are missing: {', '.join(MISSING)}")
@pytest.mark.parametrize("name", [path.stem for path in CHAPTERS])
def test_a_chapter_runs_with_small_sizes(runs, name):
    executed, trouble = runs[name]
    assert not trouble, trouble
    cells = nbformat.read(executed, 4).cells
    stops = [cell for cell in cells if cell.get("id", "").startswith("rehearsal-")]
    stops = [cell for cell in stops if "lets a stub pass" in cell.source]
    assert stops
    for cell in stops:
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert printed.splitlines()[-1].startswith("stopped at Exercise")


def test_there_are_chapters():
    assert CHAPTERS
