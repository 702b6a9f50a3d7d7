"""Words for figures, made from their captions; and what is done to the built pages."""

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("papermill", reason="needs the 'book' extra")

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

from tools import figures, icons, pages


def png(color="green", size=(40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def figure_cell(source="draw()", tags=(), html=None, **metadata):
    data = {"text/html": html} if html else {"image/png": base64.b64encode(png()).decode()}
    output = nbformat.v4.new_output("display_data", data)
    metadata |= {"tags": list(tags)}
    return nbformat.v4.new_code_cell(source, outputs=[output], metadata=metadata)


def gluing_cell(name, text):
    output = nbformat.v4.new_output(
        "display_data", {figures.RECORD: repr(text)}, metadata={"scrapbook": {"name": name}}
    )
    return nbformat.v4.new_code_cell(
        "glue()", outputs=[output], metadata={"tags": ["remove-output"]}
    )


def notebook_of(*cells):
    cells = [nbformat.v4.new_markdown_cell(c) if isinstance(c, str) else c for c in cells]
    return nbformat.v4.new_notebook(cells=cells)


def alt(cell):
    return cell.metadata["mystnb"]["image"]["alt"]


# ---------------------------------------------------------------- words from captions


def test_a_caption_is_read_aloud():
    caption = (
        "**Figure 9.1.** *The map\nof {cite:t}`kang2026linear`, at $R^2$ {glue:text}`ch9_fit`.* "
        "See [chapter 3](03_flow.ipynb), {doc}`notation <../book/notation>` and `mirror`.\n\n"
        "What follows is no caption."
    )
    notebook = notebook_of(figure_cell(), gluing_cell("ch9_fit", "0.93 [0.90, 0.95]"), caption)
    assert figures.describe_figures(notebook) == []
    assert alt(notebook.cells[0]) == (
        "Figure 9.1. The map of, at R^2 0.93 [0.90, 0.95]. See chapter 3, notation and mirror."
    )


def test_a_long_caption_ends_with_a_sentence():
    long = "**Figure 1. One.** " + " ".join(f"Sentence {n} says a little more." for n in range(40))
    notebook = notebook_of(figure_cell(), long)
    figures.describe_figures(notebook)
    assert len(alt(notebook.cells[0])) <= figures.LONGEST
    assert alt(notebook.cells[0]).endswith("says a little more.")


def test_words_of_its_own_come_first():
    cell = figure_cell(mystnb={"image": {"alt": "Four squares."}})
    assert figures.describe_figures(notebook_of(cell, "**Figure 1.** *A title.*")) == []
    assert alt(cell) == "Four squares."


@pytest.mark.parametrize(
    "cells",
    [
        (figure_cell("x = 1\nplot(x)"), "Text that is no caption."),
        (figure_cell("x = 1\nplot(x)"), figure_cell("other()"), "**Figure 1.** *Of the other.*"),
        (figure_cell("x = 1\nplot(x)"),),
    ],
)
def test_a_figure_without_words_is_named(cells):
    missing = figures.describe_figures(notebook_of("# Title", *cells))
    assert missing == ["cell 1 ('plot(x)'): a figure without caption or alt text"]


def test_a_figure_that_no_page_shows_needs_no_words():
    assert figures.describe_figures(notebook_of(figure_cell(tags=["remove-output"]))) == []


def test_a_sliders_stops_say_of_which_figure():
    html = '<div class="layer-slider"><img alt="layer 3" src="a"><img alt="layer 4" src="b"></div>'
    notebook = notebook_of(figure_cell(html=html), '**Figure 5.2.** *A "map".* More of it.')
    figures.describe_figures(notebook)
    shown = notebook.cells[0].outputs[0].data["text/html"]
    assert 'alt="Figure 5.2. A &quot;map&quot;. At layer 3."' in shown
    assert 'At layer 4."' in shown


# ---------------------------------------------------------------- built pages


def font_with(path, codes):
    """A font of squares."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 500), (500, 500), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    names = [".notdef", *(f"icon{code:x}" for code in codes)]
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(codes, names[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Icons", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path.parent.mkdir(parents=True)
    builder.save(path)


@pytest.fixture
def built(tmp_path):
    (tmp_path / "_images").mkdir()
    styles = tmp_path / icons.STYLES
    styles.parent.mkdir(parents=True)
    styles.write_text(
        '@font-face{src:url(../vendor/fontawesome/webfonts/fa.woff2) format("woff2"),'
        'url(../vendor/fontawesome/webfonts/fa.ttf) format("truetype")}'
        r'.fa-frog:before{content:"\f52e"}.fa-cog:before,.fa-gear:before{content:"\f013"}'
        r'.fa-zap:before{content:"\f0e7"}:root{--icon:"\f0f3"}.other:before{content:"→"}'
    )
    font_with(tmp_path / icons.FONTS / "fa.ttf", [0xF52E, 0xF013, 0xF0E7, 0xF0F3])
    (tmp_path / icons.FONTS / "fa.woff2").touch()
    (tmp_path / "_static" / "scripts").mkdir()
    (tmp_path / "_static" / "scripts" / "fontawesome.js").touch()
    (tmp_path / "_images" / "a.png").write_bytes(png("#123456"))
    uri = f"data:image/png;base64,{base64.b64encode(png('red', (20, 10))).decode()}"
    (tmp_path / "page.html").write_text(
        '<script src="../_static/scripts/fontawesome.js?digest=8"></script>'
        '<i class="fa-solid fa-frog"></i><i class="fas fa-gear"></i>'
        '<script src="keep.js"></script><script>const THEBE_JS_URL = "https://cdn"; x</script>'
        '<img src="_images/a.png" alt="A"><a href="_images/a.png">large</a>'
        '<img src="_images/a.png" style="width: 50%"><img src="_images/elsewhere.png">'
        f'<img alt="B" src="{uri}" style="max-width:100%">'
    )
    pages.finish(tmp_path)
    return tmp_path


def test_pages_lose_what_they_do_not_use(built):
    text = (built / "page.html").read_text()
    assert "fontawesome" not in text
    assert "THEBE" not in text
    assert '<script src="keep.js"></script>' in text
    assert not (built / "_static" / "scripts" / "fontawesome.js").exists()


def test_icons_that_no_page_names_are_left_out(built):
    style = (built / icons.STYLES).read_text()
    assert ".fa-frog:before" in style
    assert ".fa-cog:before,.fa-gear:before" in style
    assert "fa-zap" not in style
    assert '.other:before{content:"→"}' in style
    assert "woff2" not in style
    fonts = list((built / icons.FONTS).iterdir())
    assert [font.name for font in fonts] == ["fa.ttf"]
    assert sorted(TTFont(fonts[0]).getBestCmap()) == [0xF013, 0xF0F3, 0xF52E]


def test_pictures_become_webp_wherever_they_are_named(built):
    text = (built / "page.html").read_text()
    assert [path.name for path in (built / "_images").iterdir()] == ["a.webp"]
    assert text.count("_images/a.webp") == 3
    assert "_images/elsewhere.png" in text
    assert "image/png" not in text
    assert (
        '<img width="40" height="30" style="--natural:40px" src="_images/a.webp" alt="A">' in text
    )
    assert 'width="20" height="10" style="--natural:20px;max-width:100%">' in text
    assert '<img src="_images/a.webp" style="width: 50%">' in text


def test_drawings_stay_as_they_are_and_photographs_look_alike():
    rng = np.random.default_rng(0)
    few = rng.integers(0, 2, (64, 64, 3), dtype=np.uint8) * 255
    smooth = np.asarray(
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((256, 256))
    )
    for picture, error in ((few, 0), (smooth, 4)):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        back = np.asarray(Image.open(io.BytesIO(pages.webp(buffer.getvalue()).data)), dtype=float)
        assert np.abs(back - picture).mean() <= error
