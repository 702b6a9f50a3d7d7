"""Run notebooks' first cells as Colab does. `test_colab.py` starts it in a clean environment.

    python colab_cells.py FOLDER NOTEBOOK.ipynb ...           up to the cell that installs
    python colab_cells.py --all FOLDER NOTEBOOK.ipynb ...     every cell, with SMALL = True

Each notebook runs in a process and a folder of its own, `FOLDER/NAME`; what it printed is
`FOLDER/NAME.txt`. Processes are forked, so that torch and transformers are imported once. The
install command does not run: the package is there already.
"""

import importlib.machinery
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path


def code_cells(notebook: Path) -> list[str]:
    """The sources of a notebook's code cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def first_cells(notebook: Path) -> list[str]:
    """The cell with the parameters, and all up to the one that installs the package."""
    cells = code_cells(notebook)
    return cells[: 1 + next(i for i, text in enumerate(cells) if "google.colab" in text)]


def run(cells: list[str]) -> bool:
    """Run cells as a notebook does; whether all went well."""
    from IPython.core.interactiveshell import InteractiveShell

    spec = importlib.machinery.ModuleSpec("google.colab", loader=None)
    sys.modules["google.colab"] = importlib.util.module_from_spec(spec)
    shell = InteractiveShell.instance()
    shell.register_magic_function(lambda line: print("%pip", line), "line", "pip")
    return all(shell.run_cell(cell).success for cell in cells)


def run_apart(cells: list[str], folder: Path) -> bool:
    """Run cells in a forked process that sits in a folder of its own; whether all went well."""
    folder.mkdir(parents=True)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    status = 1
    try:
        with folder.with_suffix(".txt").open("w") as told:
            os.dup2(told.fileno(), 1)
            os.dup2(told.fileno(), 2)
        os.chdir(folder)
        status = 0 if run(cells) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main(arguments: list[str]) -> None:
    whole = arguments[0] == "--all"
    folder, *notebooks = map(Path, arguments[whole:])
    for name in ("matplotlib.pyplot", "pandas", "torch", "transformers"):
        importlib.import_module(name)
    importlib.import_module("helpers").load_vlm("tiny-llava")  # what it imports, children have
    went_well = {}
    for notebook in notebooks:
        cells = first_cells(notebook)
        if whole:
            parameters, *others = code_cells(notebook)
            cells = [parameters, "SMALL = True", *others]
        went_well[notebook.stem] = run_apart(cells, folder / notebook.stem)
    print(json.dumps(went_well))


if __name__ == "__main__":
    main(sys.argv[1:])
