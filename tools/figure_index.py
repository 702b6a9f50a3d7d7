"""The index of figures: each figure of the chapters, small, with its title and a link.

`mark_figures` puts an anchor before each caption of an executed notebook, and returns what the
index shows of it. `write_index` fills the page.
"""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageSequence

from tools.figures import glued_values, plain, shows_figure

MARKER = "<!-- figures -->"
#: Width and height of the small pictures, in pixels, and how many colours they have.
SMALL, COLORS = (300, 225), 48
IN_HTML = re.compile(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)")
#: "**Figure 14.1.** *Title.*" or "**Figure 2. Title.**"
CAPTION = re.compile(r"\*\*(Figure \w+(?:\.\w+)*)\.(?: (.+?))?\*\*(?:\s*\*(.+?)\*)?", re.DOTALL)


@dataclass(frozen=True)
class Figure:
    """What the index shows of a figure.

    Attributes:
        anchor: where its caption is, unlike that of any other figure of the book.
        label: "Figure 14.1".
        title: the caption's title.
        picture: the picture itself, as a browser takes it; None for a figure made of text.
    """

    anchor: str
    label: str
    title: str
    picture: bytes | None


def mark_figures(notebook, chapter: str) -> list[Figure]:
    """Give every caption an anchor, in place; return the figures."""
    values, found = glued_values(notebook), []
    for number, cell in enumerate(notebook.cells):
        caption = CAPTION.match(cell.source) if cell.cell_type == "markdown" else None
        if not caption:
            continue
        label, in_bold, behind = caption.groups()
        title = plain(in_bold or behind or "", values).rstrip(".,:")
        anchor = re.sub(r"[ ._]", "-", f"{label} of {chapter}").lower()
        found.append(Figure(anchor, label, title, picture_before(notebook.cells, number)))
        cell.source = f"({anchor})=\n{cell.source}"
    return found


def picture_before(cells: Sequence, number: int) -> bytes | None:
    """The last picture between a caption and the text before it; of a slider, the first."""
    for cell in reversed(cells[:number]):
        if cell.cell_type == "markdown":
            return None
        if shows_figure(cell):
            return next(_pictures(cell))
    return None


def _pictures(cell) -> Iterator[bytes]:
    for output in cell.outputs:
        data = output.get("data", {})
        yield from (base64.b64decode(data[kind]) for kind in data if kind.startswith("image/"))
        yield from map(base64.b64decode, IN_HTML.findall(str(data.get("text/html"))))


def small(picture: bytes) -> bytes:
    """A PNG of a picture made small: of a film, the frame with most in it."""
    frames = ImageSequence.Iterator(Image.open(io.BytesIO(picture)))
    image = max((frame.convert("RGBA") for frame in frames), key=Image.Image.entropy)
    image.thumbnail(SMALL, Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image)
    kept = io.BytesIO()
    canvas.convert("RGB").quantize(COLORS).save(kept, "PNG")
    return kept.getvalue()


def write_index(page: Path, chapters: Sequence[tuple[str, str, Sequence[Figure]]]) -> None:
    """Fill a staged page, and write the small pictures beside it.

    Args:
        page: the page, with its marker.
        chapters: of each, the notebook's name, its title, and its figures.

    Raises:
        ValueError: if the page has no marker.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(MARKER) != 1:
        raise ValueError(f"{page.name} needs the line {MARKER!r} once")
    folder = page.with_suffix("")
    folder.mkdir()
    parts = []
    for name, title, figures in chapters:
        if not figures:
            continue
        parts += [f"## [{title}](../notebooks/{name})", "::::{grid} 2 2 3 4", ":gutter: 2", ""]
        for figure in figures:
            picture = None
            if figure.picture:
                picture = folder / f"{figure.anchor}.png"
                picture.write_bytes(small(figure.picture))
            place = f"../notebooks/{name}.html#{figure.anchor}"
            parts += [card(figure, place, picture and f"{folder.name}/{picture.name}"), ""]
        parts += ["::::", ""]
    page.write_text(text.replace(MARKER, "\n".join(parts)), encoding="utf-8")


def card(figure: Figure, place: str, picture: str | None) -> str:
    """A picture with its label and title, all of it a link to the figure's place."""
    lines = [":::{grid-item-card}", f":link: {place}"]
    # Its name stands below it, so the picture itself says nothing to those who do not see it.
    lines += [f":img-top: {picture}", ":img-alt: "] if picture else []
    lines += [":class-card: figure-index", f"**{figure.label}** {figure.title}", ":::"]
    return "\n".join(lines)
