"""Every chapter runs from top to bottom, headless, with small sizes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("papermill", reason="needs the 'book' extra")

from helpers.loading import ORGANISMS
from tools import notebooks

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
    notebooks.run_notebook(sys.argv[1], sys.argv[2], {"SMALL": True}, failed_dir=sys.argv[3])
except notebooks.NotebookError as error:
    sys.exit(str(error))
"""


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
        source, target = ROOT / "notebooks" / f"{name}.ipynb", folder / f"{name}.ipynb"
        command = [sys.executable, "-W", "ignore", "-c", RUN, source, target, folder / "failed"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        return name, (target, done.stderr[-6000:] if done.returncode else "")

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(run, sorted(names)))


@pytest.mark.skipif(bool(MISSING), reason=f"shipped models are missing: {', '.join(MISSING)}")
@pytest.mark.parametrize("name", [path.stem for path in CHAPTERS])
def test_a_chapter_runs_with_small_sizes(runs, name):
    executed, trouble = runs[name]
    assert not trouble, trouble
    assert executed.exists()


def test_there_are_chapters():
    assert CHAPTERS
