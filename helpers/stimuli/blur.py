"""Blur a box of a picture, and draw other boxes of its size to compare with."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from helpers.stimuli.coco_spatial import Box

#: Standard deviation of the blur, as a fraction of the box's longer side.
STRENGTH = 0.5
_TRIES = 2000


def blur_box(picture: Image.Image, box: Box, strength: float = STRENGTH) -> Image.Image:
    """A copy of the picture in which a box is blurred, and nothing else.

    What is around the box bleeds into it, as in a blur of the whole picture.

    Args:
        picture: any.
        box: in pixels; what lies outside of the picture is ignored.
        strength: standard deviation of the blur, as a fraction of the box's longer side.

    Raises:
        ValueError: if no pixel of the picture is in the box, or the strength is not positive.
    """
    if strength <= 0:
        raise ValueError(f"a blur's strength must be positive, not {strength}")
    inner = _inside(box, picture.size)
    sigma = strength * max(box.width, box.height)
    # Pixels further away than three standard deviations count for nothing.
    margin = round(3 * sigma)
    left, top = (max(0, edge - margin) for edge in inner[:2])
    outer = (left, top, *(min(edge + margin, side)
                          for edge, side in zip(inner[2:], picture.size, strict=True)))  # fmt: skip
    soft = picture.crop(outer).filter(ImageFilter.GaussianBlur(sigma))
    changed = picture.copy()
    changed.paste(soft.crop(_shifted(inner, -left, -top)), inner[:2])
    return changed


def cover_box(
    picture: Image.Image, box: Box, color: tuple[int, int, int] = (122, 116, 104)
) -> Image.Image:
    """A copy of the picture with a box painted over.

    Raises:
        ValueError: if no pixel of the picture is in the box.
    """
    changed = picture.copy()
    changed.paste(color, _inside(box, picture.size))
    return changed


def random_boxes(
    size: tuple[int, int],
    box: Box,
    count: int,
    seed: int | Sequence[int],
    avoid: Sequence[Box] = (),
) -> list[Box]:
    """Boxes of one box's size, anywhere in a picture, every place equally likely.

    Args:
        size: of the picture, (width, height) in pixels.
        box: whose width and height they get.
        count: how many.
        seed: the same seed gives the same boxes, in any process. Give several numbers (such as the
            run's and the picture's) for a draw of each picture's own.
        avoid: boxes that they must not touch.

    Raises:
        ValueError: if the box is larger than the picture, the count is not positive, or there is
            no room beside the boxes to avoid.
    """
    if count < 1:
        raise ValueError(f"asked for {count} boxes; ask for at least one")
    room = np.subtract(size, (box.width, box.height))
    if (room < 0).any():
        raise ValueError(
            f"a box of {box.width:g} x {box.height:g} pixels does not fit into a picture of "
            f"{size[0]} x {size[1]}"
        )
    generator = np.random.default_rng(seed)
    found: list[Box] = []
    for _ in range(_TRIES):
        x, y = generator.random(2) * room
        new = Box(float(x), float(y), box.width, box.height)
        if not any(_touch(new, other) for other in avoid):
            found.append(new)
            if len(found) == count:
                return found
    raise ValueError(
        f"found room for {len(found)} of {count} boxes of {box.width:g} x {box.height:g} pixels "
        f"beside {len(avoid)} others in {_TRIES} tries"
    )


def _inside(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Edges (left, top, right, bottom) of the box's pixels within the picture."""
    left, top = max(0, round(box.x)), max(0, round(box.y))
    right = min(size[0], round(box.x + box.width))
    bottom = min(size[1], round(box.y + box.height))
    if right <= left or bottom <= top:
        raise ValueError(f"no pixel of a picture of {size[0]} x {size[1]} is in {tuple(box)}")
    return left, top, right, bottom


def _shifted(edges: tuple[int, int, int, int], x: int, y: int) -> tuple[int, int, int, int]:
    return edges[0] + x, edges[1] + y, edges[2] + x, edges[3] + y


def _touch(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )
