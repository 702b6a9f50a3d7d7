"""Clips on a page: an animation, and a strip of its frames, without kernel, network or script::

    show_clip(clip, "A frog comes first, and a camel when it is gone.")

Pictures are WebP inside the HTML. Whoever has turned motion off in their system sees no motion.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from PIL import Image, ImageDraw, ImageFont, ImageOps

from helpers.prompts import Video
from helpers.stimuli.clips import Clip
from helpers.stimuli.films import as_frames

#: An animation takes no more than this, in bytes.
LIMIT = 60_000
#: Grey and white stand out from each other, and from a light page and a dark one.
_GREY, _WHITE = (96, 96, 96), (255, 255, 255)
_STILL = "(prefers-reduced-motion: reduce)"
_NARROW = "(max-width: 600px)"

Frames = Clip | Video | Sequence[Image.Image]


@dataclass(frozen=True)
class Moving:
    """Markup that a notebook shows as it is; as text, what it shows in words.

    Attributes:
        alt: what is seen, in words.
        markup: the HTML.
    """

    alt: str
    markup: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.markup


def show_clip(
    clip: Frames,
    alt: str,
    labels: Sequence[str] | None = None,
    pixels: int = 168,
    seconds: float = 0.5,
) -> Moving:
    """Show a clip moving, and below it all its frames in a strip.

    Args:
        clip: a clip, a video, or pictures of one size.
        alt: what is seen, for those who do not see it.
        labels: a short text for each frame; by default their numbers from 0.
        pixels: width of a frame; larger pictures are shrunk.
        seconds: for which each frame is shown.

    Returns:
        What a notebook displays. Without motion, the frame with most in it stands in for the
        animation.

    Raises:
        ValueError: if there are no frames or they differ in size, ``alt`` is empty, there are
            not as many labels as frames, or the animation takes more than ``LIMIT`` bytes.
    """
    frames = _frames(clip, pixels)
    fullest = max(frames, key=Image.Image.entropy)
    moving = _picture(_animated(frames, seconds), _checked(alt), {_STILL: _webp(_rimmed(fullest))})
    row = strip(
        frames, f"{alt.rstrip('.')}: all {len(frames)} frames, side by side.", labels, pixels
    )
    style = "margin-bottom:0.75rem"
    return Moving(alt, f'<div class="clip"><div style="{style}">{moving}</div>{row.markup}</div>')


def animation(clip: Frames, alt: str, pixels: int = 168, seconds: float = 0.5) -> Moving:
    """Show a clip moving, over and over; without motion, its strip. See :func:`show_clip`."""
    frames = _frames(clip, pixels)
    numbers = _labels(frames, None)
    stills = {
        f"{_STILL} and {_NARROW}": _webp(_strip(frames, numbers, _rows(frames))),
        _STILL: _webp(_strip(frames, numbers, 1)),
    }
    markup = _picture(_animated(frames, seconds), _checked(alt), stills)
    return Moving(alt, markup)


def strip(clip: Frames, alt: str, labels: Sequence[str] | None = None, pixels: int = 168) -> Moving:
    """Show all frames side by side, on a narrow page in two rows. See :func:`show_clip`."""
    frames = _frames(clip, pixels)
    labels = _labels(frames, labels)
    wide = _strip(frames, labels, 1)
    narrow = _webp(_strip(frames, labels, _rows(frames)))
    return Moving(alt, _picture(_webp(wide), _checked(alt), {_NARROW: narrow}))


# Pieces -----------------------------------------------------------------------------------------


def _frames(clip: Frames, pixels: int) -> list[Image.Image]:
    frames = as_frames(clip.frames if isinstance(clip, Video) else clip, pixels)
    width, height = frames[0].size
    if width <= pixels:
        return frames
    size = (pixels, max(1, round(height * pixels / width)))
    return [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]


def _labels(frames: list[Image.Image], labels: Sequence[str] | None) -> list[str]:
    labels = list(map(str, range(len(frames)) if labels is None else labels))
    if len(labels) != len(frames):
        raise ValueError(f"{len(frames)} frames need as many labels, not {len(labels)}")
    return labels


def _checked(alt: str) -> str:
    if not alt.strip():
        raise ValueError("say in words what the clip shows: alt is empty")
    return alt


def _rows(frames: list[Image.Image]) -> int:
    return 2 if len(frames) > 4 else 1


def _strip(frames: list[Image.Image], labels: list[str], rows: int) -> Image.Image:
    """All frames in a picture, each in a grey rim with its label above; clear between them."""
    width, height = frames[0].size
    columns = -(-len(frames) // rows)
    head, rim, gap = max(14, width // 5), max(1, width // 84), max(2, width // 28)
    font = ImageFont.load_default(head * 0.8)
    across, down = width + 2 * rim + gap, height + head + rim + gap
    canvas = Image.new("RGBA", (columns * across - gap, rows * down - gap), (*_GREY, 0))
    draw = ImageDraw.Draw(canvas)
    for index, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        left, top = index % columns * across, index // columns * down
        box = (left, top, left + across - gap - 1, top + down - gap - 1)
        draw.rectangle(box, fill=_GREY)
        draw.text((left + across // 2, top + head // 2), label, _WHITE, font, anchor="mm")
        canvas.paste(frame, (left + rim, top + head))
    return canvas


def _webp(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()


def _rimmed(frame: Image.Image) -> Image.Image:
    """White pictures end somewhere on a white page, too."""
    return ImageOps.expand(frame, 1, _GREY)


def _animated(frames: list[Image.Image], seconds: float) -> bytes:
    """An endless animation, as good as the limit lets it be."""
    if not seconds > 0:
        raise ValueError(f"each frame needs a time to be shown, not {seconds} seconds")
    first, *rest = map(_rimmed, frames)
    for quality in (90, 75, 50, 25):
        buffer = io.BytesIO()
        first.save(
            buffer, "WEBP", save_all=True, append_images=rest,
            duration=round(1000 * seconds), loop=0, quality=quality,
        )  # fmt: skip
        if buffer.tell() <= LIMIT:
            return buffer.getvalue()
    raise ValueError(
        f"{len(frames)} frames of {frames[0].width} x {frames[0].height} pixels take "
        f"{buffer.tell()} bytes, more than {LIMIT}: show fewer frames, or set pixels lower"
    )


def _picture(shown: bytes, alt: str, others: dict[str, bytes]) -> str:
    """A picture, and the one that is shown instead where a media query holds."""
    sources = "".join(
        f'<source media="{query}" type="image/webp" srcset="{_uri(data)}">'
        for query, data in others.items()
    )
    return (
        f'<picture>{sources}<img src="{_uri(shown)}" alt="{escape(alt)}" '
        'style="max-width:100%;height:auto"></picture>'
    )


def _uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
