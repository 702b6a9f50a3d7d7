"""The machinery of the book: notebooks run headless, pairs in step, a book without a warning."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

pytest.importorskip("papermill", reason="needs the 'book' extra")

import dodo
from tools import book, notebooks

ROOT = Path(__file__).resolve().parent.parent


def write_notebook(path: Path, *sources: str, parameters: str = "SIZE = 3") -> Path:
    cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = notebooks.NOTEBOOK_METADATA
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


# ---------------------------------------------------------------- running


def test_parameters_reach_the_notebook(tmp_path):
    source = write_notebook(tmp_path / "a.ipynb", "print(SIZE * 2)")
    target = tmp_path / "out" / "a.ipynb"
    seconds = notebooks.run_notebook(source, target, {"SIZE": 21}, failed_dir=tmp_path / "failed")
    assert seconds > 0
    assert nbformat.read(target, 4).cells[-1].outputs[0].text == "42\n"


def test_unknown_parameter_is_refused_before_the_run(tmp_path):
    source = write_notebook(tmp_path / "a.ipynb", "print(SIZE)")
    target = tmp_path / "out.ipynb"
    with pytest.raises(notebooks.NotebookError, match=r"no parameter 'size'. Did you mean 'SIZE'"):
        notebooks.run_notebook(source, target, {"size": 1})
    assert not target.exists()


def test_a_notebook_without_a_parameters_cell_is_refused(tmp_path):
    source = tmp_path / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), source)
    with pytest.raises(notebooks.NotebookError, match="no cell tagged 'parameters'"):
        notebooks.run_notebook(source, tmp_path / "out.ipynb")


def test_a_failed_run_leaves_no_fresh_copy(tmp_path):
    source = write_notebook(tmp_path / "a.ipynb", "print('before')", "raise ValueError('no frog')")
    target, failed = tmp_path / "out" / "a.ipynb", tmp_path / "failed"
    target.parent.mkdir()
    target.write_text("an older run that went well")
    with pytest.raises(notebooks.NotebookError) as error:
        notebooks.run_notebook(source, target, failed_dir=failed)
    assert "ValueError: no frog" in str(error.value)
    assert str(failed / "a.ipynb") in str(error.value)
    assert list(target.parent.iterdir()) == []
    outputs = [o for c in nbformat.read(failed / "a.ipynb", 4).cells for o in c.get("outputs", [])]
    assert any(output.get("text") == "before\n" for output in outputs)


# ---------------------------------------------------------------- pairs


def test_committed_notebooks_are_in_step_and_without_outputs():
    assert notebooks.problems() == []


def test_the_chapters_are_the_same_everywhere():
    on_disk = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    in_toc = [Path(file).name for file in files if file.startswith("notebooks/")]
    assert on_disk == sorted(dodo.PARAMETERS) == sorted(in_toc)


def write_text(path: Path, *cells: str) -> Path:
    parts = ['# %% tags=["parameters"]\nSIZE = 3\n', *(f"# %%\n{cell}\n" for cell in cells)]
    path.write_text("\n".join(parts))
    return path


def test_sync_is_stable_and_keeps_the_ids_of_unchanged_cells(tmp_path):
    text = write_text(tmp_path / "a.py", "x = 1", "y = 2", "x = 1")
    assert notebooks.sync(tmp_path) == [tmp_path / "a.ipynb"]
    assert notebooks.sync(tmp_path) == []
    before = {c.id: c.source for c in nbformat.read(tmp_path / "a.ipynb", 4).cells}
    assert len(before) == 4  # equal cells have ids of their own
    write_text(text, "x = 1", "new = 0", "y = 2", "x = 1")
    notebooks.sync(tmp_path)
    after = {c.id: c.source for c in nbformat.read(tmp_path / "a.ipynb", 4).cells}
    assert before.items() <= after.items()


def test_sync_does_not_overwrite_newer_edits(tmp_path):
    text = write_text(tmp_path / "a.py", "x = 1")
    notebooks.sync(tmp_path)
    edited = nbformat.read(tmp_path / "a.ipynb", 4)
    edited.cells[-1].source = "x = 'a student edited this'"
    nbformat.write(edited, tmp_path / "a.ipynb")
    os.utime(text, (1, 1))
    with pytest.raises(notebooks.NotebookError, match="newer"):
        notebooks.sync(tmp_path)
    assert notebooks.sync(tmp_path, force=True) == [tmp_path / "a.ipynb"]


def test_problems_are_named(tmp_path):
    write_text(tmp_path / "a.py", "x = 1")
    (tmp_path / "b.py").write_text("# %%\nx = 1\n")
    notebooks.sync(tmp_path)
    ran = nbformat.read(tmp_path / "a.ipynb", 4)
    ran.cells[-1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    nbformat.write(ran, tmp_path / "a.ipynb")
    write_notebook(tmp_path / "c.ipynb")
    told = "\n".join(notebooks.problems(tmp_path))
    assert "a.ipynb holds outputs" in told
    assert "b.ipynb needs exactly one cell tagged 'parameters'" in told
    assert "c.ipynb has no c.py" in told


# ---------------------------------------------------------------- what depends on what


def test_a_notebook_needs_helpers_and_models_but_not_other_chapters_exercises(
    tmp_path, monkeypatch
):
    files = [
        "hooks.py", "README.md", "training/train.py", "stimuli/sprites/frog.png",
        "organisms/tiny/model.safetensors", "organisms/tiny/README.md",
        "exercises/__init__.py", "exercises/chapter_01.py", "exercises/chapter_02.py",
    ]  # fmt: skip
    for name in files:
        path = tmp_path / "helpers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_meet_the_model.ipynb").write_text("from helpers import hooks")
    (tmp_path / "notebooks" / "03_flow.ipynb").write_text("from helpers.training import train")
    monkeypatch.setattr(dodo, "ROOT", tmp_path)
    assert tmp_path / "helpers" / "training" / "train.py" in dodo.needs("03_flow")
    found = {str(path.relative_to(tmp_path)) for path in dodo.needs("01_meet_the_model")}
    assert {name for name in found if name.startswith("helpers")} == {
        "helpers/hooks.py",
        "helpers/stimuli/sprites/frog.png",
        "helpers/organisms/tiny/model.safetensors",
        "helpers/exercises/__init__.py",
        "helpers/exercises/chapter_01.py",
    }


def test_only_what_changed_runs_again(tmp_path):
    """A small copy of the project, driven through doit as `make book` does."""
    recipe = (ROOT / "dodo.py").read_text()
    table = 'PARAMETERS = {"01_one": {}, "02_two": {}}\n'
    recipe, count = re.subn(r"(?ms)^PARAMETERS = \{.*?^\}\n", table, recipe)
    assert count == 1
    (tmp_path / "dodo.py").write_text(recipe)
    (tmp_path / "constraints.txt").touch()
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    helper = tmp_path / "helpers" / "a.py"
    helper.parent.mkdir()
    helper.write_text("x = 1")
    one = write_notebook(
        tmp_path / "notebooks" / "01_one.ipynb", "print(SMALL)", parameters="SMALL = 0"
    )
    write_notebook(tmp_path / "notebooks" / "02_two.ipynb", "print(SMALL)", parameters="SMALL = 0")

    def ran(*settings):
        command = [sys.executable, "-m", "doit", "-n", "2", "-P", "thread", *settings, "notebook"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return sorted(re.findall(r"(\w+): done", done.stdout)), done

    assert ran()[0] == ["01_one", "02_two"]
    os.utime(one)  # a new date is not a new content
    assert ran()[0] == []
    write_notebook(one, "print('changed')", parameters="SMALL = 0")
    assert ran()[0] == ["01_one"]
    helper.write_text("x = 2")
    assert ran()[0] == ["01_one", "02_two"]
    write_notebook(one, "1 / 0", parameters="SMALL = 0")
    for expected in (["02_two"], []):  # a new parameter for both; one fails, and is tried again
        names, done = ran("SMALL=true")
        assert names == expected
        assert done.returncode != 0
        assert "ZeroDivisionError" in done.stdout + done.stderr


# ---------------------------------------------------------------- pages


def write_book(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "_config.yml").write_text("title: A test\nexecute:\n  execute_notebooks: 'off'\n")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    (folder / "intro.md").write_text(text)
    return folder


def test_a_broken_reference_fails_the_build(tmp_path):
    good = write_book(tmp_path / "good", "(here)=\n# Title\n\nSee {ref}`here`.\n")
    pages = book.build_pages(good, tmp_path / "work", tmp_path / "book.log")
    assert (pages / "intro.html").exists()
    broken = write_book(tmp_path / "broken", "# Title\n\nSee {ref}`nowhere`.\n")
    with pytest.raises(book.BookError, match=r"intro\.md:3: WARNING.*nowhere"):
        book.build_pages(broken, tmp_path / "work", tmp_path / "book.log")


def test_loads_from_the_network_are_found(tmp_path):
    (tmp_path / "style.css").write_text("@import 'https://fonts.example/a.css'; a{color:red}")
    (tmp_path / "a.html").write_text(
        '<a href="https://example.org">a link is fine</a> <img src="local.png">'
        '<link rel="canonical" href="https://example.org/a.html">'
        '<script src="https://cdn.example/require.js"></script>'
        '<script>import("//cdn.example/m.js")</script>'
        '<div style="background: url(https://cdn.example/b.png)"></div>'
        '<img src="data:image/png;base64,AAAA" srcset="https://cdn.example/2x.png 2x">'
    )
    assert {address for _, address in book.external_loads(tmp_path)} == {
        "https://fonts.example/a.css",
        "https://cdn.example/require.js",
        "//cdn.example/m.js",
        "https://cdn.example/b.png",
        "https://cdn.example/2x.png 2x",
    }


def test_a_live_widget_is_refused_unless_its_output_is_removed():
    output = nbformat.v4.new_output("display_data", {book.WIDGET: {}, "text/plain": "a slider"})
    cell = nbformat.v4.new_code_cell("slider", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    with pytest.raises(book.BookError, match="live widget"):
        book.refuse_widgets(notebook, "a.ipynb")
    cell.metadata["tags"] = ["remove-output"]
    book.refuse_widgets(notebook, "a.ipynb")


def test_an_object_without_a_picture_is_refused():
    def notebook(**data):
        output = nbformat.v4.new_output("execute_result", data)
        cells = [nbformat.v4.new_code_cell("figure.legend()", outputs=[output])]
        return nbformat.v4.new_notebook(cells=cells)

    told = "<matplotlib.legend.Legend at 0x7f8f9165ee10>"
    with pytest.raises(book.BookError, match=r"cell 0: the output is '<matplotlib\.legend\.Legend"):
        book.refuse_addresses(notebook(**{"text/plain": told}), "a.ipynb")
    book.refuse_addresses(notebook(**{"text/plain": told, "image/png": "..."}), "a.ipynb")
    book.refuse_addresses(notebook(**{"text/plain": "at 0x1, 3 < 4"}), "a.ipynb")
