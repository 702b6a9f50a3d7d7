"""Student notebooks: stubs in place of solutions, every check where it was, clear errors.

`test_notebooks.py` runs every chapter with its stubs and then its solutions.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("papermill", reason="needs the 'book' extra")

from tools import notebooks, student

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))
BOOK = "https://example.org/frog"


# ---------------------------------------------------------------- the book's own chapters


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request):
    """Name, notebook, exercises and student's copy of a chapter."""
    notebook = student.read_chapter(request.param)
    copied, _ = student.student_copy(notebook, request.param, BOOK)
    return request.param, notebook, student.exercises_of(notebook, request.param), copied


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_stub_raises_not_implemented_and_does_nothing_else(chapter):
    _, _, exercises, copied = chapter
    sources = [cell.source for cell in code(copied)]
    assert exercises
    for exercise in exercises:
        text = student.stub(exercise)
        assert sources.count(text) == 1
        for function in ast.parse(text).body:
            told = [ast.unparse(part) for part in function.body if not is_docstring(part)]
            assert len(told) == 1
            function.decorator_list, function.args.defaults = [], []
            function.args.kw_defaults = [None] * len(function.args.kwonlyargs)
            names = {}
            exec(compile(ast.Module([function], []), "stub", "exec"), names)
            positional = function.args.posonlyargs + function.args.args
            keywords = {one.arg: None for one in function.args.kwonlyargs}
            with pytest.raises(NotImplementedError, match=f"^Exercise {exercise.label}: "):
                names[function.name](*positional, **keywords)


def is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def test_nothing_of_a_solution_is_left(chapter):
    _, notebook, _, copied = chapter
    answers = [cell for cell in code(notebook) if student.is_solution(cell)]
    given = [cell for cell in code(notebook) if not student.is_solution(cell)]
    hidden = set().union(*map(statements, answers)) - set().union(*map(statements, given))
    assert not hidden & set().union(*map(statements, code(copied)))
    assert not any("solution" in cell.metadata.get("tags", []) for cell in copied.cells)


def statements(cell):
    """Every statement of a cell on its own, functions without their bodies."""
    found = [node for node in ast.walk(student.parsed(cell)) if isinstance(node, ast.stmt)]
    plain = [node for node in found if not isinstance(node, ast.FunctionDef)]
    return {ast.unparse(node) for node in plain if not is_docstring(node)}


def test_all_else_stays_where_it_was(chapter):
    name, notebook, exercises, copied = chapter
    links = [f"{BOOK}/notebooks/{name}.html#{exercise.label}" for exercise in exercises]
    assert [link for cell in copied.cells for link in re.findall(r"\((\S+#\S+)\)\.\*$", cell.source)
            if link.startswith(BOOK)] == links  # fmt: skip
    solved = {exercise.solution for exercise in exercises}
    kept = [cell.source for n, cell in enumerate(notebook.cells) if n not in solved][1:]
    stubs = {student.stub(exercise) for exercise in exercises}
    found = [cell.source for cell in copied.cells if cell.source not in stubs][1:]
    assert [source for source in found if not source.startswith("*Solved it")] == kept
    assert "colab.research.google.com" not in copied.cells[0].source


def test_named_exercises_are_stubs_and_all_others_are_given(chapter):
    """The last alone: the longest way through what is given."""
    name, notebook, exercises, _ = chapter
    *given, last = exercises
    copied, asked = student.student_copy(notebook, name, BOOK, [last.label])
    assert asked == [last]
    by_id = {cell.id: cell for cell in copied.cells}
    source = {e.label: by_id[notebook.cells[e.solution].id].source for e in exercises}
    assert source.pop(last.label) == student.stub(last)
    assert source == {
        e.label: f"{student.GIVEN}\n{notebook.cells[e.solution].source}" for e in given
    }


# ---------------------------------------------------------------- a small chapter

PARTS = {
    "title": "# %% [markdown]\n# # A chapter\n#\n# [Open in Colab](https://example.org) · short",
    "parameters": '# %% tags=["parameters"]\nSMALL = False',
    "setup": (
        "# %%\nfrom types import SimpleNamespace\n\n\ndef check(function):\n"
        "    assert function(1) == 2, 'one more'\n\n\nch90 = SimpleNamespace(check_more=check)"
    ),
    "exercise": (
        "# %% [markdown]\n# ```{exercise} One more\n# :label: ch90-more\n#\n# Add one.\n# ```"
    ),
    "solution": '# %% tags=["solution", "hide-input"]\ndef more(x, by=1):\n    return x + by',
    "check": "# %%\nch90.check_more(more)",
    "end": "# %%\nprint('the end', more(41))",
}  # fmt: skip


def write_chapter(folder, name="90_a_chapter", order=tuple(PARTS), **changed):
    parts = PARTS | changed
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text("\n\n".join(parts[part] for part in order) + "\n")
    return folder


def copied_chapter(folder):
    return student.student_copy(student.read_chapter("90_a_chapter", folder), "90_a_chapter", BOOK)


def test_a_stub_keeps_signature_and_docstring(tmp_path):
    solution = (
        '# %% tags=["solution"]\nimport math\n\n\ndef more(x: float, *, by: int = 1) -> float:\n'
        '    """x and one more.\n\n    Any x."""\n    return helper(x, by)\n\n\n'
        "def helper(x, by):\n    return math.fsum([x, by])"
    )
    copied, asked = copied_chapter(write_chapter(tmp_path, solution=solution))
    assert [exercise.label for exercise in asked] == ["ch90-more"]
    (source,) = [cell.source for cell in copied.cells if "NotImplementedError" in cell.source]
    assert source == (
        'def more(x: float, *, by: int=1) -> float:\n    """x and one more.\n\n    Any x."""\n'
        "    # Exercise: One more\n"
        '    raise NotImplementedError("Exercise ch90-more: write more")'
    )


def test_a_run_stops_at_the_check_and_goes_on_once_it_is_solved(tmp_path):
    copied, _ = copied_chapter(write_chapter(tmp_path))
    path, target, failed = (tmp_path / name for name in ("90.ipynb", "out/90.ipynb", "failed"))
    nbformat.write(copied, path)
    with pytest.raises(notebooks.NotebookError) as error:
        notebooks.run_notebook(path, target, {"SMALL": True}, failed_dir=failed)
    assert "raised NotImplementedError: Exercise ch90-more: write more" in str(error.value)
    assert "| ch90.check_more(more)" in str(error.value)
    (stub,) = [cell for cell in copied.cells if "NotImplementedError" in cell.source]
    stub.source = "def more(x):\n    return x + 1"
    nbformat.write(copied, path)
    notebooks.run_notebook(path, target, {"SMALL": True}, failed_dir=failed)
    assert nbformat.read(target, 4).cells[-1].outputs[0].text == "the end 42\n"


def project(folder):
    """The least that `write` hands out."""
    folder.mkdir()
    (folder / "_config.yml").write_text("repository:\n  url: https://github.com/us/the-book\n")
    (folder / "helpers" / "__pycache__").mkdir(parents=True)
    (folder / "helpers" / "__init__.py").touch()
    for name in ("pyproject.toml", "constraints.txt", "LICENSE"):
        (folder / name).touch()
    return folder


def test_write_makes_a_folder_that_stands_by_itself(tmp_path):
    root, folder, target = project(tmp_path / "root"), tmp_path / "chapters", tmp_path / "out"
    write_chapter(folder)
    assert student.write(target, folder=folder, root=root) == {"90_a_chapter": 1}
    files = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert files == {
        "README.md", "LICENSE", "constraints.txt", "pyproject.toml", "helpers/__init__.py",
        "notebooks/90_a_chapter.ipynb",
    }  # fmt: skip
    text = (target / "notebooks" / "90_a_chapter.ipynb").read_text()
    assert "https://us.github.io/the-book/notebooks/90_a_chapter.html#ch90-more" in text
    assert "return x + by" not in text


def test_only_chapters_of_named_exercises_are_written_and_the_readme_lists_them(tmp_path):
    root, folder, target = project(tmp_path / "root"), tmp_path / "chapters", tmp_path / "out"
    for number in ("91", "92"):
        changed = {part: text.replace("ch90", f"ch{number}") for part, text in PARTS.items()}
        second = {
            "exercise2": changed["exercise"].replace("-more", "-again"),
            "solution2": changed["solution"].replace("more(", "again("),
            "check2": changed["check"].replace("(more)", "(again)"),
        }
        order = (*tuple(PARTS)[:-1], *second, "end")
        write_chapter(folder, f"{number}_chapter", order=order, **changed, **second)
    counts = student.write(target, folder=folder, root=root, named=["ch91-again"])
    assert counts == {"91_chapter": 1}
    assert [path.name for path in (target / "notebooks").iterdir()] == ["91_chapter.ipynb"]
    text = (target / "README.md").read_text()
    assert "One more (`ch91-again`)" in text and "ch91-more" not in text and "Given" in text
    cells = nbformat.read(target / "notebooks" / "91_chapter.ipynb", 4).cells
    assert not any("#ch91-more" in cell.source for cell in cells)  # no link to what is given
    with pytest.raises(NotImplementedError, match=r"^Exercise ch91-again: "):
        exec("\n".join(cell.source for cell in cells if cell.cell_type == "code"), {})


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["ch90-mroe"], "no exercise 'ch90-mroe'. Did you mean ch90-more?"),
        (["ch90-more", "zzz"], "no exercise 'zzz'. There are: ch90-more."),
        (["ch90-moor", "ch90-mere"], "(?s)'ch90-mere'.*'ch90-moor'"),
    ],
)
def test_an_unknown_label_is_told_with_the_nearest_and_nothing_is_written(tmp_path, labels, says):
    root, folder, target = project(tmp_path / "root"), tmp_path / "chapters", tmp_path / "out"
    write_chapter(folder)
    with pytest.raises(student.StudentError, match=says):
        student.write(target, folder=folder, root=root, named=labels)
    assert not target.exists()


# ---------------------------------------------------------------- chapters that will not do

SECOND = PARTS["exercise"].replace("# ```{", "# Text.\n#\n# ```{")


@pytest.mark.parametrize(
    ("order", "changed", "says"),
    [
        (None, {"exercise": PARTS["exercise"].replace("# :label: ch90-more\n", "")}, "no label"),
        ("title parameters setup exercise check", {}, "has 0 cells tagged 'solution'"),
        ("title parameters setup exercise solution solution check", {}, "has 2 cells"),
        ("title parameters setup solution exercise", {}, "cell 3: a solution without an exercise"),
        ("title parameters setup exercise solution end", {}, "no cell behind its solution calls"),
        ("title parameters setup exercise check solution", {}, "no cell behind its solution calls"),
        (None, {"exercise": PARTS["exercise"] + "\n#\n" + SECOND[15:]}, "has 0 cells"),
        (None, {"solution": '# %% tags=["solution"]\nmore = 3'}, "its solution has no function"),
        (None, {"check": "# %%\nch90.check_more(len)"}, r"uses none .* functions \(more\)"),
        (None, {"solution": PARTS["solution"] + "\n\n\nLIMIT = 3", "end": "# %%\nLIMIT"},
         "cell 6 uses 'LIMIT', which goes with the solution"),
        ("title parameters setup exercise solution check exercise solution check", {},
         "two exercises have the label 'ch90-more'"),
    ],
)  # fmt: skip
def test_a_chapter_that_will_not_do_is_named_with_what_to_mend(tmp_path, order, changed, says):
    parts = tuple(order.split()) if order else tuple(PARTS)
    folder = write_chapter(tmp_path, order=parts, **changed)
    with pytest.raises(student.StudentError, match=says) as error:
        copied_chapter(folder)
    assert str(error.value).startswith("90_a_chapter, ") or "90_a_chapter:" in str(error.value)


def test_a_local_name_of_another_cell_is_not_the_solutions(tmp_path):
    solution = PARTS["solution"] + "\n\n\nLIMIT = [step for step in (1, 2)]"
    end = "# %%\ndef other(LIMIT):\n    return [step for step in LIMIT]"
    assert len(copied_chapter(write_chapter(tmp_path, solution=solution, end=end))[1]) == 1


def test_a_solution_that_needs_another_ones_is_refused(tmp_path):
    """A student may be given the second and not the first."""
    second = {
        "exercise2": PARTS["exercise"].replace("-more", "-again"),
        "solution2": PARTS["solution"].replace("more(x, by=1)", "again(x, by=LIMIT)"),
        "check2": PARTS["check"].replace("(more)", "(again)"),
    }
    solution = PARTS["solution"] + "\n\n\nLIMIT = 1"
    order = (*tuple(PARTS)[:-1], *second, "end")
    folder = write_chapter(tmp_path, order=order, solution=solution, **second)
    with pytest.raises(student.StudentError, match="uses 'LIMIT', which goes with the solution"):
        copied_chapter(folder)


def test_an_error_leaves_the_folder_as_it_was_and_tells_of_every_chapter(tmp_path):
    root, folder, target = project(tmp_path / "root"), tmp_path / "chapters", tmp_path / "out"
    for name in ("91_one", "92_other"):
        write_chapter(folder, name, order=("title", "parameters", "setup", "exercise"))
    target.mkdir()
    (target / "kept.txt").touch()
    with pytest.raises(student.StudentError, match=r"91_one(.|\n)*92_other"):
        student.write(target, folder=folder, root=root)
    assert [path.name for path in target.iterdir()] == ["kept.txt"]


def test_an_unknown_chapter_and_no_chapters(tmp_path):
    with pytest.raises(student.StudentError, match=r"no chapter '90'. There are: 90_a_chapter"):
        student.read_chapter("90", write_chapter(tmp_path))
    with pytest.raises(student.StudentError, match="no chapters"):
        student.write(tmp_path / "out", folder=tmp_path / "none", root=project(tmp_path / "root"))


def test_the_command_says_what_is_wrong(monkeypatch, capsys):
    def wrong(**given):
        raise student.StudentError("cell 3: mend it")

    monkeypatch.setattr(student, "write", wrong)
    assert student.main(["write"]) == 1
    assert "cell 3: mend it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        student.main(["wirte"])


def test_the_command_takes_labels(monkeypatch):
    asked = []
    monkeypatch.setattr(student, "write", lambda **given: asked.append(given) or {})
    assert student.main(["write", "--exercises", "ch6-hook", "ch6-dose"]) == 0
    assert student.main(["write"]) == 0
    assert [given["named"] for given in asked] == [["ch6-hook", "ch6-dose"], ()]
