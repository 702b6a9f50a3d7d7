"""Run the book's notebooks headless, and keep each in step with its .py pair.

    python -m tools.notebooks run 01_meet_the_model --parameters '{"SMALL": true}'
    python -m tools.notebooks sync            # notebooks/*.py -> notebooks/*.ipynb
    python -m tools.notebooks check           # in step? without outputs? a parameters cell?

A notebook that ran well lies in `_build/executed/`, and what it measured in `_build/results/`.
One that failed lies in `_build/failed/`, never in `_build/executed/`, so a failed run cannot be
mistaken for a fresh one.
"""

import argparse
import contextlib
import difflib
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
EXECUTED = ROOT / "_build" / "executed"
FAILED = ROOT / "_build" / "failed"

# What a notebook's kernel sees. One thread each, so that several run well side by side.
KERNEL_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Progress bars are for people; on a page they would be empty boxes.
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # A page has no kernel: widgets show all their states instead (helpers/widgets/showing.py).
    "HELPERS_FOR_A_PAGE": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
    "jupytext": {"formats": "ipynb,py:percent"},
}


class NotebookError(Exception):
    """A notebook that cannot be run, or that failed. The message says where and why."""


# ---------------------------------------------------------------- running


def check_parameters(source: Path, parameters: dict) -> None:
    """Raise unless the notebook declares every one of these parameters.

    papermill itself only warns about an unknown parameter, and then runs with the default.
    """
    import papermill

    tags = [cell.metadata.get("tags", []) for cell in nbformat.read(source, as_version=4).cells]
    if not any("parameters" in t for t in tags):
        raise NotebookError(f"{source.name} has no cell tagged 'parameters'.")
    known = papermill.inspect_notebook(str(source))
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise NotebookError(
                f"{source.name} has no parameter {name!r}.{hint} It has: {', '.join(known)}."
            )


def run_notebook(source, target, parameters=None, failed_dir=FAILED, cwd=None) -> float:
    """Execute `source` headless into `target`; return the seconds it took.

    It runs in the folder where it lies, or in `cwd`. The target appears only when every cell ran.
    If one fails, the partly executed copy goes to `failed_dir` and NotebookError tells where it is
    and which cell failed.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source, target, parameters = Path(source), Path(target), dict(parameters or {})
    target.unlink(missing_ok=True)
    check_parameters(source, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    running = target.with_name(f".{target.stem}.running.ipynb")
    failed = Path(failed_dir) / target.name
    failed.unlink(missing_ok=True)

    start = time.perf_counter()
    try:
        results = {"HELPERS_RESULTS": str(target.parent.resolve().with_name("results"))}
        with _environment(KERNEL_ENVIRONMENT | results):
            papermill.execute_notebook(
                str(source),
                str(running),
                parameters=parameters,
                kernel_name="python3",
                cwd=str(cwd or source.parent),
                progress_bar=False,
                request_save_on_cell_execute=False,  # megabytes of figures, after every cell
                start_timeout=180,
                extra_arguments=["--log-level=CRITICAL"],  # the kernel's chatter about itself
            )
    except BaseException as error:
        if running.exists():
            failed.parent.mkdir(parents=True, exist_ok=True)
            os.replace(running, failed)
        if not isinstance(error, Exception):  # Ctrl-C
            raise
        if isinstance(error, PapermillExecutionError):
            reason = f"cell [{error.exec_count}] raised {error.ename}: {error.evalue}"
            reason += "\n\n" + _indent(error.source.strip(), "    | ")
        else:
            reason = f"{type(error).__name__}: {error}"
        raise NotebookError(f"{source.name}: {reason}\n\nIts partly executed copy: {failed}") from (
            error
        )
    os.replace(running, target)
    return time.perf_counter() - start


def stderr_lines(executed: Path) -> list[str]:
    """Lines with a warning that cells wrote to stderr. The book does not show them."""
    found = []
    for number, cell in enumerate(nbformat.read(executed, as_version=4).cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                text = [line for line in output["text"].splitlines() if "arning" in line]
                found += [f"cell {number}: {line.strip()[:160]}" for line in text]
    return found


@contextlib.contextmanager
def _environment(values: dict):
    """Set environment variables that are not set yet, and take them away again."""
    added = {k: v for k, v in values.items() if k not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


def _indent(text: str, prefix: str) -> str:
    return "\n".join(prefix + line for line in text.splitlines())


# ---------------------------------------------------------------- pairs


def from_text(text_file: Path) -> str:
    """The .ipynb that belongs to a .py percent file, as text. The same input, the same bytes.

    A cell's id comes from what the cell holds, so that it stays when other cells change.
    """
    notebook = jupytext.read(text_file, fmt="py:percent")
    seen = {}
    for cell in notebook.cells:
        content = f"{cell.cell_type}\n{cell.source}"
        seen[content] = seen.get(content, 0) + 1
        cell["id"] = hashlib.sha256(f"{content}\n{seen[content]}".encode()).hexdigest()[:12]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    fresh = nbformat.v4.new_notebook(cells=notebook.cells, metadata=NOTEBOOK_METADATA)
    fresh.nbformat, fresh.nbformat_minor = 4, 5
    nbformat.validate(fresh)
    return nbformat.writes(fresh) + "\n"


def sync(folder: Path = NOTEBOOKS, force: bool = False) -> list[Path]:
    """Write every NAME.ipynb from its NAME.py; return those that changed.

    A newer .ipynb whose cells differ holds somebody's edits: it is left alone with an error,
    unless `force`.
    """
    changed = []
    for text_file in sorted(folder.glob("*.py")):
        notebook_file, wanted = text_file.with_suffix(".ipynb"), from_text(text_file)
        if notebook_file.exists():
            current = notebook_file.read_text(encoding="utf-8")
            if current == wanted:
                continue
            newer = notebook_file.stat().st_mtime > text_file.stat().st_mtime
            if newer and not force and _sources(current) != _sources(wanted):
                raise NotebookError(
                    f"{notebook_file.name} is newer than {text_file.name} and its cells differ.\n"
                    f"Keep its edits:   jupytext --to py:percent notebooks/{notebook_file.name}\n"
                    "Throw them away:  make sync FORCE=1"
                )
        notebook_file.write_text(wanted, encoding="utf-8")
        changed.append(notebook_file)
    return changed


def problems(folder: Path = NOTEBOOKS) -> list[str]:
    """What keeps the notebooks in this folder from being committed; empty when all is well."""
    found = []
    texts = {path.stem for path in folder.glob("*.py")}
    books = {path.stem for path in folder.glob("*.ipynb")}
    found += [f"{name}.py has no {name}.ipynb: run `make sync`" for name in sorted(texts - books)]
    found += [
        f"{name}.ipynb has no {name}.py: run `jupytext --to py:percent notebooks/{name}.ipynb`"
        for name in sorted(books - texts)
    ]
    for name in sorted(texts & books):
        path = folder / f"{name}.ipynb"
        content = path.read_text(encoding="utf-8")
        cells = nbformat.reads(content, as_version=4).cells
        if any(c.get("outputs") or c.get("execution_count") for c in cells):
            found.append(f"{path.name} holds outputs: run `make sync`")
        if sum("parameters" in c.metadata.get("tags", []) for c in cells) != 1:
            found.append(f"{path.name} needs exactly one cell tagged 'parameters'")
        if content != from_text(folder / f"{name}.py"):
            found.append(f"{path.name} is not in step with {name}.py: run `make sync`")
    return found


def _sources(notebook_text: str) -> list:
    cells = nbformat.reads(notebook_text, as_version=4).cells
    return [(cell.cell_type, cell.source) for cell in cells]


# ---------------------------------------------------------------- command line


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="execute one notebook headless")
    run.add_argument("name", help="the notebook's file name without .ipynb")
    run.add_argument("--parameters", default="{}", help="a JSON object of papermill parameters")
    sync_verb = verbs.add_parser("sync", help="write notebooks/*.ipynb from notebooks/*.py")
    sync_verb.add_argument("--force", action="store_true", help="overwrite newer .ipynb edits")
    verbs.add_parser("check", help="are the notebooks fit to be committed?")
    args = parser.parse_args(argv)

    try:
        if args.verb == "run":
            _run(args.name, json.loads(args.parameters))
        elif args.verb == "sync":
            changed = sync(force=args.force)
            print("\n".join(f"wrote {p.relative_to(ROOT)}" for p in changed) or "all in step")
        elif args.verb == "check":
            found = problems()
            if found:
                raise NotebookError("\n".join(found))
            print("notebooks: in step, without outputs, each with its parameters")
    except NotebookError as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)
        return 1
    return 0


def _run(name: str, parameters: dict) -> None:
    source = NOTEBOOKS / f"{name}.ipynb"
    if not source.exists():
        names = ", ".join(sorted(p.stem for p in NOTEBOOKS.glob("*.ipynb")))
        raise NotebookError(f"There is no notebook {name!r}. There are: {names}.")
    shown = ", ".join(f"{k}={v!r}" for k, v in parameters.items())
    print(f"   {name}: running {f'with {shown} ' if shown else ''}...", flush=True)
    target = EXECUTED / f"{name}.ipynb"
    seconds = run_notebook(source, target, parameters)
    for line in stderr_lines(target):
        print(f"   {name}: {line}", flush=True)
    print(f"   {name}: done in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
