"""Scenes: what is where, independent of any resolution, and how to draw it.

Positions are fractions of the canvas: ``x`` runs from 0 (left) to 1 (right), ``y`` from 0 (top)
to 1 (bottom). A scene is a value: transforms return a new one and never change the old.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from helpers.stimuli.sprites import sprite


@dataclass(frozen=True)
class Placed:
    """One object of a scene.

    Attributes:
        name: the object's name, a key of ``OBJECTS``.
        x: the centre, as a fraction of the canvas, from the left.
        y: the same, from the top.
        size: the sprite's side, as a fraction of the canvas.
        depth: distance from the camera (arbitrary units, 1 is nearest); None without perspective.
        lift: how far the object hovers above its ground contact, as a fraction of the canvas.
        hue: rotation of the sprite's hue in degrees (0 leaves it as it is).
    """

    name: str
    x: float
    y: float
    size: float
    depth: float | None = None
    lift: float = 0.0
    hue: float = 0.0


@dataclass(frozen=True)
class Background:
    """What lies behind the objects: ``plain``, ``gradient``, ``blobs`` or ``ground``.

    ``ground`` is a plane seen in perspective, with its horizon at ``horizon``. The colours are
    RGB; ``seed`` fixes the blobs.
    """

    kind: str = "plain"
    colors: tuple[tuple[int, int, int], ...] = ((255, 255, 255),)
    seed: int = 0
    horizon: float = 0.3


@dataclass(frozen=True)
class Scene:
    """Objects, drawn in order from back to front, on a background."""

    objects: tuple[Placed, ...]
    background: Background = Background()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objects, from back to front."""
        return tuple(placed.name for placed in self.objects)

    def find(self, name: str) -> Placed:
        """Return the object called ``name``.

        Raises:
            ValueError: if it is not in the scene.
        """
        for placed in self.objects:
            if placed.name == name:
                return placed
        raise ValueError(f"no {name!r} in this scene; it holds: {', '.join(self.names)}")

    def render(self, pixels: int = 336) -> Image.Image:
        """Draw the scene as an RGB image, ``pixels`` wide and high."""
        canvas = _draw_background(self.background, pixels)
        for placed in self.objects:
            if placed.lift:
                _draw_shadow(canvas, placed, pixels)
            _paste(canvas, placed, pixels)
        return canvas


def _draw_background(background: Background, pixels: int) -> Image.Image:
    colors = np.asarray(background.colors, dtype=np.float32)
    if background.kind == "plain":
        return Image.new("RGB", (pixels, pixels), background.colors[0])
    if background.kind == "gradient":
        corners = colors[[0, 1, 2, 3]].reshape(2, 2, 3)
    elif background.kind == "blobs":
        weights = np.random.default_rng(background.seed).random((6, 6, 1), dtype=np.float32)
        corners = colors[0] * weights + colors[1] * (1 - weights)
    elif background.kind == "ground":
        return _draw_ground(background, pixels)
    else:
        raise ValueError(
            f"unknown background {background.kind!r}; there are: plain, gradient, blobs, ground"
        )
    small = Image.fromarray(corners.round().astype(np.uint8))
    return small.resize((pixels, pixels), Image.Resampling.BICUBIC)


def _draw_ground(background: Background, pixels: int) -> Image.Image:
    """Sky above the horizon, a floor that gets lighter towards it below."""
    sky, ground = np.asarray(background.colors[:2], dtype=np.float32)
    rows = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels
    nearness = np.clip((rows - background.horizon) / (1 - background.horizon), 0, 1)[:, None]
    floor = ground * (0.65 + 0.35 * nearness) + 255 * 0.35 * (1 - nearness)
    column = np.where((rows < background.horizon)[:, None], sky, floor)
    return Image.fromarray(np.repeat(column[:, None], pixels, axis=1).round().astype(np.uint8))


def _draw_shadow(canvas: Image.Image, placed: Placed, pixels: int) -> None:
    """Mark where a hovering object would touch the ground."""
    center = placed.x * pixels
    base = (placed.y + placed.size / 2 + placed.lift) * pixels
    half_width, half_height = 0.4 * placed.size * pixels, 0.1 * placed.size * pixels
    box = (center - half_width, base - half_height, center + half_width, base + half_height)
    ImageDraw.Draw(canvas, "RGBA").ellipse(box, fill=(0, 0, 0, 110))


def _paste(canvas: Image.Image, placed: Placed, pixels: int) -> None:
    side = max(1, round(placed.size * pixels))
    picture = sprite(placed.name, side)
    if placed.hue:
        picture = _rotate_hue(picture, placed.hue)
    left = round(placed.x * pixels - side / 2)
    top = round(placed.y * pixels - side / 2)
    canvas.paste(picture, (left, top), picture)


def _rotate_hue(picture: Image.Image, degrees: float) -> Image.Image:
    hue, saturation, value = picture.convert("RGB").convert("HSV").split()
    shift = round(degrees / 360 * 256)
    hue = hue.point([(level + shift) % 256 for level in range(256)])
    turned = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    turned.putalpha(picture.getchannel("A"))
    return turned


def mirror(scene: Scene, axis: str = "column") -> Scene:
    """Reflect every object's place; the sprites themselves stay upright and unflipped.

    Args:
        scene: the scene to reflect.
        axis: ``"column"`` swaps left and right, ``"row"`` swaps top and bottom.

    Raises:
        ValueError: if ``axis`` is neither.
    """
    if axis == "column":
        moved = tuple(replace(placed, x=1 - placed.x) for placed in scene.objects)
    elif axis == "row":
        moved = tuple(replace(placed, y=1 - placed.y) for placed in scene.objects)
    else:
        raise ValueError(f"axis must be 'column' or 'row', not {axis!r}")
    return replace(scene, objects=moved)


def recolor(scene: Scene, degrees: float = 60.0) -> Scene:
    """Rotate the hue of every object: the picture changes, what is where does not.

    The shipped models saw some objects turned by up to 60 degrees in training.
    """
    turned = tuple(replace(placed, hue=placed.hue + degrees) for placed in scene.objects)
    return replace(scene, objects=turned)
