"""What is done to the pages when Sphinx has written them: lighter pictures, fewer scripts.

The theme loads 1.5 MB of JavaScript for a dozen icons that its style sheet draws as well, and a
script for live code that this book does not use. Matplotlib's PNG pictures are half as large as
WebP, pixel for pixel.
"""

import base64
import io
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tools.icons import keep_used_icons

#: A picture with more colours than this is a photograph, or holds one; a drawing that takes more
#: bytes than this, to the pixel, is treated like one.
DRAWING, LARGE = 10_000, 60_000
#: Scripts that pages do without: icons (the style sheet draws them) and live code (never used).
UNUSED = re.compile(
    r"\s*<script\b[^>]*\b(?:scripts/fontawesome|sphinx-thebe)\.js[^>]*></script>"
    r"|\s*<script>const THEBE_JS_URL.*?</script>"
    r"|\s*<link\b[^>]*\bsphinx-thebe\.css[^>]*/>"
)
UNUSED_FILES = (
    "_static/scripts/fontawesome.js*",
    "_static/sphinx-thebe.*",
    "_static/**/*.map",
)
IMAGE = re.compile(r"<img\b[^>]*>")
#: A PNG inside a page, or the name of one beside it.
INSIDE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
BESIDE = re.compile(r"(?<=_images/)[^\"'\s/]+\.png")
HAS_WIDTH = re.compile(r"\swidth=|[\";\s]width:")


@dataclass(frozen=True)
class Picture:
    """A picture as WebP, and its size in pixels."""

    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        return f"data:image/webp;base64,{base64.b64encode(self.data).decode()}"


def finish(pages: Path) -> None:
    """Make every page lighter, in place, and tell browsers how large its pictures are."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(pages.rglob("*.html"))}
    files = sorted((pages / "_images").glob("*.png"))
    inside = sorted({png for text in texts.values() for png in INSIDE.findall(text)})
    known = {path.name: path.read_bytes() for path in files}
    known |= {png: base64.b64decode(png) for png in inside}
    pictures = dict(zip(known, all_as_webp(known.values()), strict=True))
    for path in files:
        path.with_suffix(".webp").write_bytes(pictures[path.name].data)
        path.unlink()
    for path, text in texts.items():
        path.write_text(lighter(text, pictures), encoding="utf-8")
    for pattern in UNUSED_FILES:
        for path in pages.glob(pattern):
            path.unlink()
    keep_used_icons(pages)


def lighter(text: str, pictures: dict[str, Picture]) -> str:
    """A page without unused scripts, and with smaller pictures.

    Args:
        text: the page.
        pictures: by the name of the PNG file, or by its base64 text.
    """
    text = UNUSED.sub("", text)
    text = IMAGE.sub(lambda tag: sized(tag[0], pictures), text)
    text = INSIDE.sub(lambda found: pictures[found[1]].uri, text)
    return BESIDE.sub(
        lambda found: found[0].replace(".png", ".webp") if found[0] in pictures else found[0], text
    )


def sized(tag: str, pictures: dict[str, Picture]) -> str:
    """An image's tag with its size, so that a page does not jump when the picture arrives.

    The style sheet reads `--natural`, and lets a phone show a wide picture large enough to read.
    """
    source = INSIDE.search(tag) or BESIDE.search(tag)
    picture = pictures.get(source[source.lastindex or 0]) if source else None
    if picture is None or HAS_WIDTH.search(INSIDE.sub("", tag)):
        return tag
    size = f' width="{picture.width}" height="{picture.height}"'
    natural = f"--natural:{picture.width}px"
    if ' style="' in tag:
        return tag.replace(' style="', f'{size} style="{natural};', 1)
    return tag.replace("<img", f'<img{size} style="{natural}"', 1)


def all_as_webp(pictures: Iterable[bytes]) -> list[Picture]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(webp, pictures))


def webp(png: bytes) -> Picture:
    """A picture as WebP: drawings to the pixel, large ones and photographs as the eye sees them."""
    picture = Image.open(io.BytesIO(png))
    picture = picture.convert("RGBA" if has_clear_parts(picture) else "RGB")
    exact, near = io.BytesIO(), io.BytesIO()
    if picture.getcolors(DRAWING):
        picture.save(exact, "WEBP", lossless=True, quality=20, method=1)
        if exact.tell() <= LARGE:
            return Picture(exact.getvalue(), *picture.size)
    picture.save(near, "WEBP", quality=90, method=3, use_sharp_yuv=True)
    return Picture(near.getvalue(), *picture.size)


def has_clear_parts(picture: Image.Image) -> bool:
    return picture.has_transparency_data and picture.convert("RGBA").getextrema()[3][0] < 255
