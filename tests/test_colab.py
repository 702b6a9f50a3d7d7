"""In Colab: each notebook's first cells run in a clean environment, with what they install.

A clean environment sees what Colab brings (torch, numpy, IPython and the like, here linked from
the environment that runs the tests) and what `pip install` of this checkout adds, with the
extras that the notebook's cell names. All else is missing, as it would be there. pip
takes the other packages from its index; where it reaches none, these tests are skipped.
"""

import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from colab_cells import first_cells
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ADDRESS = "git+https://github.com/where-is-the-frog/where-is-the-frog"
INSTALL = re.compile(
    rf'^if "google\.colab" in sys\.modules:\n'
    rf'    %pip install -q "(?:where-is-the-frog\[(?P<extras>[\w,]+)\] @ )?{re.escape(ADDRESS)}"$',
    re.MULTILINE,
)

#: What Colab brings and would take long to install here, by its own list (pip-freeze.gpu.txt in
#: googlecolab/backend-info, February 2026). Everything else must come with the package.
COLAB_HAS = (
    "torch", "transformers", "numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "pillow",
    "pyarrow", "ipython", "ipywidgets", "anywidget", "accelerate", "datasets", "wandb",
)  # fmt: skip


def extras_of(notebook: Path) -> str:
    """The extras that the notebook's cell installs: "" or a list with commas."""
    found = INSTALL.search(first_cells(notebook)[-1])
    assert found, f"{notebook.name}: the setup cell does not install the package as others do"
    return found["extras"] or ""


def python(*command, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, **options
    )


# ---------------------------------------------------------------- a clean environment


def with_dependencies(names) -> dict[str, importlib.metadata.Distribution]:
    """Those of the distributions that are installed here, and all that they need, by name."""
    found, waiting = {}, list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        needs = map(Requirement, found[name].requires or ())
        waiting += [n.name for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
    return found


def link(distributions, folder: Path) -> None:
    """A folder that holds these distributions and no other, as links."""
    folder.mkdir()
    for distribution in distributions:
        home = Path(distribution.locate_file(""))
        tops = {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}
        for top in tops:
            if not (folder / top).exists():
                (folder / top).symlink_to(home / top)


def copy_checkout(target: Path) -> Path:
    """What a clone of this checkout would hold: pip builds there, and leaves nothing here."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:  # not a clone: a folder that somebody unpacked
        ignored = shutil.ignore_patterns(".venv", "_build", "build", "*.egg-info", "__pycache__")
        return Path(shutil.copytree(ROOT, target, ignore=ignored))
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


@pytest.fixture(scope="session")
def clean_python(tmp_path_factory):
    """A function: the interpreter of an environment with the package and these extras."""
    folder = tmp_path_factory.mktemp("colab")
    pip = ("-m", "pip", "--disable-pip-version-check")
    probe = python(*pip, "download", "--retries", "0", "--timeout", "20", "--no-deps",
                   "--dest", folder / "probe", "setuptools>=77")  # fmt: skip
    if probe.returncode:
        reason = (probe.stderr.strip() or probe.stdout.strip()).splitlines()[-1]
        pytest.skip(f"pip reaches no package index: {reason}")
    link(with_dependencies(COLAB_HAS).values(), folder / "colab_has")
    checkout = copy_checkout(folder / "checkout")

    @functools.cache
    def make(extras: str) -> Path:
        home = folder / f"environment-{extras or 'plain'}"
        assert python("-m", "venv", "--without-pip", home).returncode == 0
        (site,) = home.glob("lib/python*/site-packages")
        (site / "colab.pth").write_text(f"{folder / 'colab_has'}\n")
        wanted = f"{checkout}[{extras}]" if extras else checkout
        done = python(
            *pip, "--python", home / "bin" / "python", "install", "-q", "--no-compile", wanted
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return home / "bin" / "python"

    return make


# ---------------------------------------------------------------- the tests


@pytest.fixture(scope="session")
def first_cells_run(clean_python, tmp_path_factory):
    """A function: whether a notebook's first cells ran, and what they printed."""

    @functools.cache
    def run_all(extras: str) -> tuple[dict[str, bool], Path]:
        interpreter, folder = clean_python(extras), tmp_path_factory.mktemp("ran")
        together = [path for path in NOTEBOOKS if extras_of(path) == extras]
        script = Path(__file__).with_name("colab_cells.py")
        command = [interpreter, "-I", script, folder, *together]
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # threads and forks do not go together
        done = subprocess.run(command, cwd=folder, env=one_thread, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1]), folder

    def find(notebook: Path) -> tuple[bool, str]:
        went_well, folder = run_all(extras_of(notebook))
        return went_well[notebook.stem], (folder / f"{notebook.stem}.txt").read_text()

    return find


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_setup_cells_install_the_package(notebook):
    extras_of(notebook)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Colab is Linux: processes are forked")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_first_cells_run_in_a_clean_environment(notebook, first_cells_run):
    went_well, printed = first_cells_run(notebook)
    assert went_well, printed[-3000:]
    assert "%pip install -q" in printed  # the cell knew that it was in Colab


def test_the_package_brings_its_licences_and_models(clean_python, tmp_path):
    code = """
from importlib.metadata import files
for file in files("where-is-the-frog"):
    print(file.as_posix())
"""
    done = subprocess.run(
        [clean_python(""), "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    there = done.stdout.splitlines()
    for wanted in (
        r".*\.dist-info/licenses/LICENSE",
        r".*\.dist-info/licenses/helpers/stimuli/sprites/LICENSE",
        r"helpers/stimuli/sprites/LICENSE",
        r"helpers/organisms/tiny-llava/README\.md",
        r"helpers/organisms/tiny-video/model\.safetensors",
    ):
        assert any(re.fullmatch(wanted, file) for file in there), wanted
    assert not [file for file in there if file.startswith(("tests/", "tools/", "book/"))]
