"""What depends on what. `make book` calls this through doit.

One task runs each notebook, one builds the book. A task runs again when the content of a file
that it depends on changed, or one of its parameters, and not otherwise.

    doit list --all
    doit notebook:01_meet_the_model
    doit MODEL=llava-hf/llava-1.5-7b-hf book
"""

import json
import re
import sys
from pathlib import Path

from doit import get_var
from doit.tools import config_changed

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "_build"
BUILD.mkdir(exist_ok=True)

DOIT_CONFIG = {
    "default_tasks": ["book"],
    "backend": "json",
    "dep_file": str(BUILD / "doit.json"),
    "continue": True,  # one failing notebook does not keep the others from running
    "verbosity": 2,
}

# The chapters, and the parameters that the book sets. What is not set here keeps the default
# that stands in the notebook's parameters cell.
PARAMETERS = {
    "01_meet_the_model": {},
    "02_making_stimuli": {},
    "03_where_does_it_flow": {},
    "04_finding_spatial_ids": {},
    "05_their_geometry": {},
    "06_steering_beliefs": {},
    "07_which_heads": {},
    "08_real_photos": {},
    "09_swapping_beliefs": {},
    "10_any_place": {},
    "11_depth": {},
    "12_why_wrong": {},
    "13_steerable_and_capable": {},
    "14_ids_as_teacher": {},
    "15_bug_museum": {},
    "16_flow_in_time": {},
    "17_temporal_ids": {},
    "18_steering_time": {},
    "19_space_and_time": {},
    "20_how_fast_and_why": {},
    "21_which_model": {},
    "22_playground": {},
    "23_bring_your_own_model": {},
    "24_bring_your_own_relation": {},
}

# Pages that take times, or read what the others left. They run when all others are done, so that
# nothing runs beside them.
TIMINGS = BUILD / "benchmarks" / "engine.json"
LEDGER = BUILD / "ledger.json"
LAST = ("20_how_fast_and_why", "21_which_model")

#: Chapters whose model takes videos, and those that open one beside the other.
ABOUT_TIME = ("16_flow_in_time", "17_temporal_ids", "18_steering_time", "19_space_and_time")
ABOUT_BOTH = ("22_playground",)


def parameters_of(name: str) -> dict:
    """A chapter's parameters; `make book MODEL=... VIDEO_MODEL=... SMALL=true` overrides them."""
    found = dict(PARAMETERS[name])
    model = get_var("VIDEO_MODEL" if name in ABOUT_TIME else "MODEL")
    small = get_var("SMALL")
    if model is not None:
        found["MODEL"] = model
    if name in ABOUT_BOTH and get_var("VIDEO_MODEL") is not None:
        found["VIDEO_MODEL"] = get_var("VIDEO_MODEL")
    if small is not None:
        found["SMALL"] = small.lower() in ("1", "true", "yes")
    return found


def files_in(folder: str) -> list[Path]:
    """Every file below a folder, without caches."""
    paths = (ROOT / folder).rglob("*")
    return sorted(p for p in paths if p.is_file() and "__pycache__" not in p.parts)


def needs(name: str) -> list[Path]:
    """What a notebook depends on: itself, the helpers, and the models that they load.

    Not the models' cards, the training scripts only where it imports them, and of the exercises
    only its chapter's.
    """
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    left_out = () if "helpers.training" in notebook.read_text(encoding="utf-8") else ("training",)
    found = [notebook]
    found += [ROOT / "tools" / "notebooks.py", ROOT / "constraints.txt"]
    for path in files_in("helpers"):
        folder = path.relative_to(ROOT / "helpers").parts[0]
        number = re.search(r"\d+", path.stem) if folder == "exercises" else None
        other_chapter = number and int(number.group()) != int(name[:2])
        if folder not in left_out and path.suffix != ".md" and not other_chapter:
            found.append(path)
    return found


def executed(name: str) -> Path:
    return BUILD / "executed" / f"{name}.ipynb"


def before(name: str) -> list[Path]:
    """What must have run before a notebook does."""
    if name == "20_how_fast_and_why":
        return [TIMINGS]
    if name == "13_steerable_and_capable":
        return [executed("14_ids_as_teacher")]  # it steers the models that were taught
    if name == "21_which_model":
        return [executed(other) for other in PARAMETERS if other != name]
    return []


def task_notebook():
    """Execute a notebook headless."""
    for name in PARAMETERS:
        settings = json.dumps(parameters_of(name), sort_keys=True)
        command = [sys.executable, "-m", "tools.notebooks", "run", name, "--parameters", settings]
        yield {
            "name": name,
            "actions": [command],
            "file_dep": needs(name) + before(name),
            "targets": [executed(name)],
            "uptodate": [config_changed(settings)],
        }


def task_benchmark():
    """Time the engine against other tools, alone on the machine."""
    code = [*files_in("benchmarks"), *sorted((ROOT / "helpers").glob("*.py"))]
    return {
        "actions": [[sys.executable, "-m", "benchmarks.engine", "--rounds", "3"]],
        "file_dep": [*code, ROOT / "constraints.txt"],
        "task_dep": [f"notebook:{name}" for name in PARAMETERS if name not in LAST],
        "targets": [TIMINGS],
    }


def task_ledger():
    """Set what the chapters measured against what the paper claims."""
    models = {
        "--model": get_var("MODEL", "tiny-llava"),
        "--video-model": get_var("VIDEO_MODEL", "tiny-video"),
    }
    options = [part for option, name in models.items() for part in (option, Path(name).name)]
    return {
        "actions": [[sys.executable, "-m", "tools.ledger", "build", *options]],
        "file_dep": [
            *sorted((ROOT / "tools").glob("ledger*.py")),
            ROOT / "book" / "claims.yml",
            *files_in("book/sent_in"),
            *map(executed, PARAMETERS),
        ],
        "uptodate": [config_changed(" ".join(options))],
        "targets": [LEDGER],
    }


def task_book():
    """Build the HTML book from the prose, the executed notebooks and the helpers' docstrings."""
    tools = "api_docs book figure_index figures icons ledger_page pages teaching_page".split()
    return {
        "actions": [[sys.executable, "-m", "tools.book", "build"]],
        "file_dep": [
            ROOT / "_config.yml",
            ROOT / "_toc.yml",
            ROOT / "constraints.txt",
            ROOT / "CHANGELOG.md",
            ROOT / "CONTRIBUTING.md",
            *(ROOT / "tools" / f"{name}.py" for name in tools),
            *(path for path in files_in("helpers") if path.suffix == ".py"),
            *files_in("book"),
            *map(executed, PARAMETERS),
            LEDGER,
        ],
        "targets": [BUILD / "html" / "index.html"],
    }


def task_slides():
    """Make a deck of slides from each chapter's page."""
    pages = [BUILD / "html" / "notebooks" / f"{name}.html" for name in PARAMETERS]
    return {
        "actions": [[sys.executable, "-m", "tools.slides", "build"]],
        "task_dep": ["book"],
        "file_dep": [ROOT / "tools" / "slides.py", *files_in("tools/slides_assets"), *pages],
        "targets": [BUILD / "slides" / "index.html"],
    }


def task_pdf():
    """Build one PDF of the book, with LaTeX."""
    book = task_book()
    return {
        "actions": [[sys.executable, "-m", "tools.pdf", "build"]],
        "file_dep": [ROOT / "tools" / "pdf.py", *book["file_dep"]],
        "targets": [BUILD / "where-is-the-frog.pdf"],
    }
