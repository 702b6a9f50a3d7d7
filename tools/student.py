"""Student notebooks: each chapter with its answers taken out.

    python -m tools.student write
    python -m tools.student write --exercises ch6-hook ch6-dose
    python -m tools.student write --book https://example.org/our-copy

The chapter is the source. In its copy, the solution of an exercise becomes a stub: the same
signature, and `raise NotImplementedError`. All else stays, the exercises' text and their checks
too. Where exercises are named, only theirs become stubs, all other solutions stay and are marked
as given, and only the chapters of those exercises are written. The copies lie in
`_build/student/`, with the package and what is needed to install it, so that the folder can be
handed out as it is.

What a chapter must keep to, so that this works for everybody's exercises:

- an exercise is an `{exercise}` directive with a label, alone in its Markdown cell;
- behind it, before the next exercise, stands one code cell tagged "solution", and then a cell
  that calls `chNN.check_...` with what the solution wrote;
- a solution is functions. Those that reach the check become stubs. The rest of the cell belongs
  to the answer and goes; nothing outside may use it.
"""

import argparse
import ast
import copy
import json
import shutil
import symtable
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import nbformat
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from markdown_it import MarkdownIt

from tools.notebooks import NOTEBOOKS, ROOT, from_text

STUDENT = ROOT / "_build" / "student"
#: The first line of a solution that students are given.
GIVEN = "# Given: this exercise is not among yours, and here is its solution."
#: What a student needs beside the notebooks.
TAKEN = ("helpers", "pyproject.toml", "constraints.txt", "LICENSE")


class StudentError(Exception):
    """A chapter that no student notebook can be made of. The message says what to mend."""


# ---------------------------------------------------------------- what a chapter holds


@dataclass(frozen=True)
class Exercise:
    """An exercise and where its parts are.

    Attributes:
        label: of the directive; its address on the book's page, too.
        title: of the directive.
        cell: number of the Markdown cell that tells what to do.
        solution: number of the cell with the answer.
        checks: numbers of the cells that call its check.
        functions: what the reader writes, as the solution has it.
    """

    label: str
    title: str
    cell: int
    solution: int
    checks: tuple[int, ...]
    functions: tuple[ast.FunctionDef, ...]


def read_chapter(name: str, folder: Path = NOTEBOOKS) -> nbformat.NotebookNode:
    """A chapter's notebook, from its text.

    Raises:
        StudentError: if there is no such chapter.
    """
    path = folder / f"{name}.py"
    if not path.exists():
        names = ", ".join(sorted(other.stem for other in folder.glob("*.py")))
        raise StudentError(f"There is no chapter {name!r}. There are: {names or 'none'}.")
    return nbformat.reads(from_text(path), as_version=4)


def exercises_of(notebook: nbformat.NotebookNode, name: str) -> list[Exercise]:
    """The exercises of a chapter, in order.

    Raises:
        StudentError: if one lacks a part, or the parts do not fit together.
    """
    told = [(n, *title) for n, cell in enumerate(notebook.cells) for title in directives(cell)]
    solutions = [n for n, cell in enumerate(notebook.cells) if is_solution(cell)]
    ends = [n for n, _, _ in told[1:]] + [len(notebook.cells)]
    if early := [n for n in solutions if not told or n < told[0][0]]:
        raise StudentError(f"{name}, cell {early[0]}: a solution without an exercise before it.")
    found = []
    for (cell, title, label), end in zip(told, ends, strict=True):
        where = f"{name}, exercise {label or title!r}"
        if not label:
            raise StudentError(f"{where}: it has no label. Write `:label: ...` below its title.")
        inside = [n for n in solutions if cell <= n < end]
        if len(inside) != 1:
            raise StudentError(
                f"{where}: it has {len(inside)} cells tagged 'solution' and needs one."
            )
        found.append(_exercise(notebook, where, title, label, cell, inside[0], end))
    labels = [exercise.label for exercise in found]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise StudentError(f"{name}: two exercises have the label {twice[0]!r}.")
    return found


def _exercise(notebook, where, title, label, cell, solution, end) -> Exercise:
    cells = notebook.cells
    checks = tuple(n for n in range(solution + 1, end) if check_calls(cells[n]))
    if not checks:
        raise StudentError(
            f"{where}: no cell behind its solution calls a check, as in `ch01.check_this(this)`."
        )
    body = parsed(cells[solution]).body
    functions = [part for part in body if isinstance(part, ast.FunctionDef)]
    if not functions:
        raise StudentError(
            f"{where}: its solution has no function. Write one, and hand it to the check, so that "
            "a stub can stand in its place."
        )
    used = set().union(*(loaded(cells[n]) for n in checks))
    asked = tuple(function for function in functions if function.name in used)
    if not asked:
        names = ", ".join(function.name for function in functions)
        raise StudentError(f"{where}: its check uses none of the solution's functions ({names}).")
    answer = bound(cells[solution]) - {function.name for function in asked}
    _refuse_what_would_be_lost(cells, answer, solution, where)
    return Exercise(label, title, cell, solution, checks, asked)


def _refuse_what_would_be_lost(cells, answer: set[str], solution: int, where: str) -> None:
    """Raise if other cells use a name that only the answer gives a meaning to.

    Other solutions count, too: a student may be given theirs and not this one.
    """
    if not answer:
        return
    others = {n: c for n, c in enumerate(cells) if is_code(c) and n != solution}
    lost = answer.difference(*(bound(c) for c in others.values() if not is_solution(c)))
    for number, cell in others.items():
        if used := sorted(lost & loaded(cell) - bound(cell)):
            raise StudentError(
                f"{where}: cell {number} uses {used[0]!r}, which goes with the solution. Move it "
                "to a cell of its own."
            )


def directives(cell) -> list[tuple[str, str]]:
    """Title and label of each exercise in a cell."""
    if cell.cell_type != "markdown":
        return []
    found = []
    for token in MarkdownIt().parse(cell.source):
        kind, _, title = token.info.partition(" ")
        if token.type == "fence" and kind == "{exercise}":
            options = [line.split(":", 2) for line in token.content.splitlines() if line[:1] == ":"]
            label = next((o[2].strip() for o in options if len(o) == 3 and o[1] == "label"), "")
            found.append((title.strip(), label))
    return found


def is_code(cell) -> bool:
    return cell.cell_type == "code"


def is_solution(cell) -> bool:
    return is_code(cell) and "solution" in cell.metadata.get("tags", [])


def plain_code(cell) -> str:
    """A code cell's text as Python, in which `%pip` and the like are calls."""
    return TransformerManager().transform_cell(cell.source)


def parsed(cell) -> ast.Module:
    """A code cell's syntax, to be read and not to be changed."""
    return _parsed(cell.source)


@cache  # every exercise looks at every cell
def _parsed(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


def check_calls(cell) -> list[str]:
    """Names of the checks that a cell calls."""
    if not is_code(cell):
        return []
    calls = [node.func for node in ast.walk(parsed(cell)) if isinstance(node, ast.Call)]
    names = [called.attr for called in calls if isinstance(called, ast.Attribute)]
    return [name for name in names if name.startswith("check_")]


def loaded(cell) -> set[str]:
    """Names of the notebook that a code cell reads, also within its functions."""
    found, scopes = set(), [_scope(cell.source)]
    while scopes:
        scope = scopes.pop()
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and (scope.get_type() == "module" or symbol.is_global()):
                found.add(symbol.get_name())
        scopes += scope.get_children()
    return found


def bound(cell) -> set[str]:
    """Names of the notebook that a code cell gives a meaning to."""
    symbols = _scope(cell.source).get_symbols()
    return {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}


@cache
def _scope(source: str) -> symtable.SymbolTable:
    return symtable.symtable(TransformerManager().transform_cell(source), "a cell", "exec")


# ---------------------------------------------------------------- a student's copy


def stub(exercise: Exercise) -> str:
    """Code in place of a solution: the signatures, and `raise NotImplementedError`."""
    return "\n\n\n".join(_stub_of(function, exercise) for function in exercise.functions)


def _stub_of(function: ast.FunctionDef, exercise: Exercise) -> str:
    signature = copy.copy(function)
    told = json.dumps(f"Exercise {exercise.label}: write {function.name}")
    lines = [f"    # Exercise: {exercise.title}", f"    raise NotImplementedError({told})"]
    if ast.get_docstring(function) is None:
        signature.body = [ast.Expr(ast.Constant(...))]
        head = ast.unparse(signature).splitlines()[:-1]
    else:
        signature.body = [function.body[0]]
        head = ast.unparse(signature).splitlines()
    return "\n".join([*head, *lines])


def student_copy(
    notebook: nbformat.NotebookNode, name: str, book: str, named: Collection[str] = ()
) -> tuple[nbformat.NotebookNode, list[Exercise]]:
    """A chapter without its answers, and the exercises that are left to solve.

    Args:
        notebook: the chapter.
        name: its file's name.
        book: address of the published book, where the solutions are.
        named: labels of the exercises to solve, of this chapter or others. The solutions of all
            others stay, marked as given. Without any, all are to be solved.
    """
    page = f"{book.rstrip('/')}/notebooks/{name}.html"
    found = exercises_of(notebook, name)
    by_solution = {exercise.solution: exercise for exercise in found}
    asked = [exercise for exercise in found if not named or exercise.label in named]
    cells = []
    for number, cell in enumerate(notebook.cells):
        cell = copy.deepcopy(cell)
        exercise = by_solution.get(number)
        if number == 0:
            cell.source = _own_badge(cell.source, page)
        if exercise is None:
            cells.append(cell)
            continue
        cell.metadata = nbformat.from_dict({})
        cell.source = stub(exercise) if exercise in asked else f"{GIVEN}\n{cell.source}"
        cells.append(cell)
        if exercise in asked:
            link = f"*Solved it, or stuck? [The book has a solution]({page}#{exercise.label}).*"
            cells.append(nbformat.v4.new_markdown_cell(link, id=f"solution-{number}"))
    fresh = copy.deepcopy(notebook)
    fresh.cells = cells
    fresh.metadata.pop("jupytext", None)  # a copy has no twin to be kept in step with
    nbformat.validate(fresh)
    return fresh, asked


def refuse_unknown(named: Iterable[str], known: Collection[str]) -> None:
    """Raise if a label is none of an exercise. The message names those that are nearest."""
    troubles = []
    for label in sorted(set(named) - set(known)):
        near = get_close_matches(label, known, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."
        troubles.append(f"There is no exercise {label!r}. {hint}")
    if troubles:
        raise StudentError("\n".join(troubles))


def _own_badge(opening: str, page: str) -> str:
    """The badge opens the chapter with its solutions; a copy links to its page instead."""
    lines = opening.split("\n")
    badge = f"A student's copy: [the chapter in the book]({page})"
    lines = [badge if line.startswith("[Open in Colab](") else line for line in lines]
    return "\n".join(lines)


# ---------------------------------------------------------------- the folder


READ_ME = """# Where Is the Frog? Notebooks for students

You need Python 3.11 or newer, about 3 GB of disk, and no GPU. In this folder:

```bash
python3 -m venv .venv
.venv/bin/pip install -c constraints.txt -e '.[book,tl]'
.venv/bin/jupyter lab notebooks
```

Run a notebook from the top. It stops at the first exercise that you have not solved, with a
`NotImplementedError` that names it. Write the function, run its cell and the check below it, and
go on. A check is silent about style and clear about mistakes.

{exercises}

To try things out with fewer images, set `SMALL = True` in the notebook's first code cell. The
solutions, each with its reason, are in the book: {book}
"""

#: Where all exercises are to be solved.
ALL = """Past an exercise that your teacher did not ask for, copy its solution from the book: the
link stands below it."""

#: Where some are.
NAMED = """Your exercises:

{listed}

The other exercises of these chapters are solved already, so that the notebooks run: see the cells
that begin with "Given"."""


def write(
    target: Path = STUDENT,
    book: str | None = None,
    folder: Path = NOTEBOOKS,
    root: Path = ROOT,
    named: Collection[str] = (),
) -> dict[str, int]:
    """Write a copy of every chapter, and beside them what is needed to run them.

    All chapters are read first, so that an error in one leaves the folder as it was.

    Args:
        target: the folder, written anew.
        book: address of the published book.
        folder: where the chapters are.
        root: where the package is.
        named: labels of the exercises to solve. Only their chapters are written, and the other
            solutions in these stay. Without any, all chapters and all exercises.

    Returns:
        The number of exercises to solve by chapter.

    Raises:
        StudentError: if no exercise has one of the labels, or a chapter will not do.
    """
    book = book or published(root)
    names = sorted(path.stem for path in folder.glob("*.py"))
    if not names:
        raise StudentError(f"There are no chapters in {folder}.")
    chapters, known, troubles = {}, [], []
    for name in names:
        try:
            chapters[name] = read_chapter(name, folder)
            known += [exercise.label for exercise in exercises_of(chapters[name], name)]
        except StudentError as error:
            troubles.append(str(error))
    if troubles:
        raise StudentError("\n".join(troubles))
    refuse_unknown(named, known)
    copies = {n: student_copy(chapter, n, book, named) for n, chapter in chapters.items()}
    copies = {name: (copied, asked) for name, (copied, asked) in copies.items() if asked}
    shutil.rmtree(target, ignore_errors=True)
    (target / "notebooks").mkdir(parents=True)
    for name, (notebook, _) in copies.items():
        nbformat.write(notebook, target / "notebooks" / f"{name}.ipynb")
    told = {name: asked for name, (_, asked) in copies.items()}
    exercises = NAMED.format(listed=_listed(told)) if named else ALL
    text = READ_ME.format(book=book, exercises=exercises)
    (target / "README.md").write_text(text, encoding="utf-8")
    for part in TAKEN:
        if (root / part).is_dir():
            shutil.copytree(
                root / part, target / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(root / part, target / part)
    return {name: len(asked) for name, asked in told.items()}


def _listed(told: dict[str, list[Exercise]]) -> str:
    """The exercises as a list in Markdown, one line for each chapter."""
    lines = []
    for name, asked in told.items():
        titles = "; ".join(f"{exercise.title} (`{exercise.label}`)" for exercise in asked)
        lines.append(f"- `{name}.ipynb`: {titles}")
    return "\n".join(lines)


def published(root: Path) -> str:
    """Where GitHub Pages shows the book, by the repository that the book's settings name."""
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    owner, repository = settings["repository"]["url"].rstrip("/").split("/")[-2:]
    return f"https://{owner}.github.io/{repository}"


# ---------------------------------------------------------------- command line


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.student", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("write", help="write the student notebooks to _build/student/")
    verb.add_argument("--book", metavar="ADDRESS", help="where your students read the book")
    verb.add_argument(
        "--exercises", metavar="LABEL", nargs="+", default=(), help="which to leave unsolved"
    )
    args = parser.parse_args(argv)
    try:
        counts = write(book=args.book, named=args.exercises)
    except StudentError as error:
        print(f"\n{error}\n", file=sys.stderr)
        return 1
    for name, count in counts.items():
        print(f"   {name}: {count} exercises")
    print(f"\n{sum(counts.values())} exercises to solve in {STUDENT.relative_to(ROOT)}/")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
