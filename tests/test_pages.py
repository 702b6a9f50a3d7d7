"""Every page of the built book holds up in a browser without a network, also in the dark."""

import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("playwright", reason="needs the 'test' extra")

import visitor

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
PROGRAM = visitor.find_chromium()

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium here: install it, or name its program in CHROMIUM"
)


@pytest.fixture(scope="module")
def context():
    with visitor.chromium(PROGRAM) as browser:
        yield visitor.telephone(browser)


# ---------------------------------------------------------------- the book


def pages() -> list[str]:
    found = (path.relative_to(HTML) for path in HTML.rglob("*.html"))
    front = "index.html"  # only leads to the welcome page
    return sorted(
        path.as_posix() for path in found if path.parts[0] != "_static" and str(path) != front
    )


@pytest.fixture(scope="module")
def book():
    with visitor.served(HTML) as home:
        yield home


@pytest.mark.skipif(not pages(), reason="the book is not built: run `make book`")
@pytest.mark.parametrize("path", pages())
def test_a_page_holds_up(context, book, path):
    assert visitor.complaints(context, book, path) == []


# ---------------------------------------------------------------- the test


def picture(color: str, alpha: int = 255) -> str:
    buffer = io.BytesIO()
    Image.new("RGBA", (40, 30), color).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


GREEN, RED, CLEAR = picture("green"), picture("red"), picture("#0000")
IMAGE = f'<img src="{GREEN}" alt="A green field without a frog.">'
SLIDER = (
    f'<div>{IMAGE}<output>0</output> <input type="range" aria-label="layer" max="3" value="0" '
    'oninput="this.previousElementSibling.value = this.value;{move}"></div>'
)
MOVE = f"this.closest('div').querySelector('img').src = '{RED}'"
GOOD = IMAGE + SLIDER.replace("{move}", MOVE).replace("green field", "slider's field")


def page_of(body: str, style: str = "") -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><title>A page</title><link rel="icon" href="data:,">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>html[data-theme=dark] body {background: #111; color: #eee}"
        f"html[data-theme=dark] a {{color: #9cf}} {style}</style></head><body><main><article>"
        f'<h1>A page</h1><p><a href="#here">Here</a></p>{body}</article></main></body></html>'
    )


@pytest.fixture
def visit(context, tmp_path):
    def visited(body: str, style: str = "") -> list[str]:
        (tmp_path / "a.html").write_text(page_of(body, style), encoding="utf-8")
        with visitor.served(tmp_path) as home:
            return visitor.complaints(context, home, "a.html")

    return visited


def test_nothing_is_said_about_a_good_page(visit):
    assert visit(GOOD) == []


BROKEN = {
    "a picture without words": (f'<img src="{GREEN}" alt="">', "picture without words"),
    "a picture called by its file": (f'<img src="{GREEN}" alt="_images/a.png">', "without words"),
    "two pictures in the same words": (IMAGE + IMAGE, "two pictures in the same words"),
    "too wide for a phone": ('<pre style="width: 800px">wide</pre>', "px wide on a screen of 390"),
    "wide when unfolded": (
        '<details><summary>More</summary><p style="width: 800px">wide</p></details>',
        "px wide on a screen of 390",
    ),
    "an error on the console": (
        "<script>console.error('no frog')</script>",
        "console error: no frog",
    ),
    "a script that fails": ("<script>frog.jump()</script>", "page error: frog is not defined"),
    "a file that is not there": (
        '<img src="frog.webp" alt="A frog that is not there.">',
        "failed request (404): frog.webp",
    ),
    "another host": (
        '<script src="http://cdn.example/frog.js"></script>',
        "asks another host: http://cdn.example/frog.js",
    ),
    "a dead slider": (SLIDER.replace("{move}", ""), "slider 'layer': moved by a key"),
    "a slider without a name": (
        SLIDER.replace("{move}", MOVE).replace(' aria-label="layer"', ""),
        "label: <input type=",
    ),
    "grey on white": ('<p style="color: #aaa">faint</p>', 'contrast 2.32, rgb(170, 170, 170)'),
    "a half-transparent word": ('<p style="opacity: 0.4">faint</p>', "contrast 2."),
    "black in the dark": ('<p style="color: #000">dark</p>', "in the dark: contrast 1."),
    "ink on a clear ground": (
        f'<img src="{CLEAR}" alt="A drawing in black, on nothing.">',
        "clear parts without a light background",
    ),
    "math that was not set": ('<p>axis <span class="math">\\(x\\)</span></p>', "math not set"),
    "math without its marks": ("<p>the fit has an $R^2$ of one</p>", "raw math"),
    "a button only for the mouse": ('<div onclick="1">Show</div>', "by Tab: <div onclick"),
    "a link left out of the order": ('<a href="#b" tabindex="-1">Next</a>', "by Tab: <a"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_page_is_found(visit, fault):
    body, complaint = BROKEN[fault]
    found = visit(body)
    assert any(complaint in one for one in found), found


def test_a_heavy_page_is_found(visit, tmp_path):
    noise = Image.frombytes("RGB", (1050, 1000), os.urandom(3_150_000))
    noise.save(tmp_path / "noise.png")
    found = visit('<img src="noise.png" alt="Noise, and nothing but." style="max-width: 100%">')
    assert len(found) == 1
    assert found[0].startswith("weighs 3.")
