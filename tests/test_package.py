"""The package: quick to import, with the core's dependencies alone."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = (
    "loading", "catalog", "families", "prompts", "hooks", "beliefs", "ids", "interventions",
    "geometry", "stats", "plots", "report", "sweeps", "reading", "convert", "stimuli.sampling",
    "stimuli.questions", "stimuli.coco_spatial", "stimuli.photos", "training.train",
    "training.export", "training.gates",
)  # fmt: skip
EXTRAS = (
    "IPython", "jupyter_book", "myst_nb", "papermill", "jupytext", "ipywidgets", "doit",
    "transformer_lens", "pyarrow", "pytest",
)  # fmt: skip


def python(code):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)


def test_importing_helpers_loads_nothing_heavy():
    code = "import sys, helpers; dir(helpers); print({'torch', 'transformers'} & set(sys.modules))"
    assert python(code).stdout.strip() == "set()"


def test_the_core_needs_no_extra():
    block = "".join(f"sys.modules[{name!r}] = None\n" for name in EXTRAS)
    imports = "".join(f"import helpers.{name}\n" for name in CORE)
    done = python(f"import sys\n{block}{imports}print('all there')")
    assert done.stdout.strip() == "all there", done.stderr[-2000:]


def test_no_file_of_the_package_reads_or_writes_pickles():
    for path in (ROOT / "helpers").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("import pickle", "torch.save", "torch.load", "allow_pickle", "joblib"):
            assert word not in text, f"{path.name}: {word}"
