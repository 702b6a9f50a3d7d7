"""Small pictures as text: SVG and HTML, made in a millisecond, legible on light and dark pages.

A panel is a tuple of parts that stand one behind the other. States of a widget share most parts
(a picture, a mesh), and a page writes each of them once.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape

import numpy as np
from PIL import Image

from helpers.stimuli.sprites import sprite

Panel = tuple[str, ...]
Point = tuple[float, float]

#: Of the first and of the second object word, legible on white and on black.
WORD_COLORS = ("#1c83c4", "#d9731a")
#: Full colour of heatmaps above and below zero.
_ABOVE, _BELOW = (230, 80, 0), (0, 90, 200)
#: What is believed after a push.
_AFTER = "#17977a"
#: Side of a panel, in the units of its drawing.
SIDE = 300


@dataclass(frozen=True)
class Frame:
    """What a widget shows in one state.

    Attributes:
        panels: by name, in the order in which they stand.
        told: the same in words.
    """

    panels: Mapping[str, Panel]
    told: str

    def markup(self, leave_out: Sequence[str] = ()) -> str:
        """HTML of the panels side by side (one below the other where it is narrow)."""
        shown = [panel for name, panel in self.panels.items() if name not in leave_out]
        return side_by_side(["".join(panel) for panel in shown], self.told)


def side_by_side(panels: Sequence[str], told: str) -> str:
    """Panels in a row that wraps, and what they show in words."""
    narrowest = 12.5 if len(panels) < 4 else 10
    boxes = "".join(
        f'<div data-panel="{number}" style="max-width:22rem;min-width:0">{one}</div>'
        for number, one in enumerate(panels)
    )
    return (
        '<div style="display:grid;gap:1rem;grid-template-columns:'
        f'repeat(auto-fit,minmax(min(100%,{narrowest}rem),1fr))">'
        f'{boxes}</div><p data-told aria-live="polite" style="margin:.4rem 0;line-height:1.4">'
        f"{escape(told)}</p>"
    )


def drawn(alt: str, *parts: str, width: int = SIDE, height: int = SIDE) -> Panel:
    """An SVG panel; ``alt`` says what is seen."""
    head = (
        f'<svg viewBox="-2 -2 {width + 4} {height + 4}" font-size="15" fill="currentColor" '
        'style="display:block;width:100%;height:auto" role="img" aria-label="'
    )
    return head, escape(alt), '">', *parts, "</svg>"


def text(x: float, y: float, words: str, options: str = 'text-anchor="middle"') -> str:
    """Words at a place of a drawing."""
    return f'<text x="{x:g}" y="{y:g}" {options}>{escape(words)}</text>'


# Pictures ---------------------------------------------------------------------------------------


def uri(image: Image.Image, kind: str = "webp") -> str:
    """The picture as a data address."""
    buffer = io.BytesIO()
    options = {"quality": 85} if kind == "webp" else {"optimize": True}
    image.save(buffer, kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@lru_cache(maxsize=256)
def sprite_uri(name: str, pixels: int = 84) -> str:
    """An object's sprite, as an address that holds the picture."""
    return uri(sprite(name, pixels))


def placed(image: str, x: float, y: float, side: float) -> tuple[str, str, str]:
    """A picture by its address around a point, in parts: only the first tells where."""
    size = f'width="{side:.1f}" height="{side:.1f}"'
    box = f'<svg x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" {size}>'
    return box, f'<image href="{image}" width="100%" height="100%"/>', "</svg>"


def backdrop(image: str, side: float = SIDE) -> str:
    """A square picture as the ground of a panel, in a rim that shows on any page."""
    return (
        f'<image href="{image}" width="{side:g}" height="{side:g}"/>'
        f'<rect width="{side:g}" height="{side:g}" fill="none" stroke="#808080" stroke-width="2"/>'
    )


def ghost(name: str, x: float, y: float, side: float, color: str) -> tuple[str, ...]:
    """A see-through sprite in a dashed ring: where a word was told that its object is."""
    ring = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{side * 0.62:.1f}" fill="none" stroke="{color}" '
        'stroke-width="3" stroke-dasharray="7 5"/>'
    )
    return ring, '<g opacity=".45">', *placed(sprite_uri(name), x, y, side), "</g>"


def heat(values: np.ndarray, limit: float, side: float = SIDE) -> str:
    """One value for each patch as a veil over a picture; ``limit`` gets the full colour.

    Args:
        values: ``[rows, columns]``.
        limit: the size of a value at which the colour is full.
        side: of the square that it covers.
    """
    strength = np.clip(np.abs(values) / limit, 0, 1)
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where((values >= 0)[..., None], _ABOVE, _BELOW)
    # Sixteen steps: finer ones cannot be told apart, and make a page heavy.
    pixels[..., 3] = (16 * strength).round() / 16 * 215
    veil = uri(Image.fromarray(pixels), "png")
    return (
        f'<image href="{veil}" width="{side:g}" height="{side:g}" preserveAspectRatio="none" '
        'style="image-rendering:pixelated"/>'
    )


def tinted(tokens: Sequence[str], values: Sequence[float], limit: float, marked: int) -> Panel:
    """Words of a question with a tint each, one of them in a box."""
    spans = []
    for number, (token, value) in enumerate(zip(tokens, values, strict=True)):
        color = _ABOVE if value >= 0 else _BELOW
        strength = round(16 * min(abs(value) / limit, 1)) / 16 * 0.75
        rim = "box-shadow:0 0 0 2px currentColor;" if number == marked else ""
        # A tint of white, under dark letters: it reads on a dark page, too.
        mixed = tuple(round(255 + (part - 255) * strength) for part in color)
        tint = f"color:#111;background:rgb{mixed}" if strength else ""
        spans.append(
            f'<span style="{rim}border-radius:.2em;padding:.1em .15em;{tint}">'
            f"{escape(readable(token))}</span> "
        )
    return ('<p style="line-height:2.1;margin:.3rem 0">', *spans, "</p>")


def readable(token: str) -> str:
    """A token without its spaces; a line break as a sign."""
    return token.strip() or "⏎"


# Numbers ----------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """A probability as a person reads it: the extremes are not rounded away."""
    if 0 < share < 0.01 or 0.99 < share < 1:
        return "under 1 %" if share < 0.5 else "over 99 %"
    return f"{100 * share:.0f} %"


def beliefs(
    before: Mapping[str, float],
    after: Mapping[str, float],
    log_odds: tuple[float, float],
    name: str,
) -> Panel:
    """What is believed: bars of probability, outlined before and filled after, and the log-odds.

    Args:
        before: from answer to probability.
        after: alike.
        log_odds: of the first answer, before and after.
        name: what came between, such as "pushed".
    """
    parts, y = [], 26
    for answer in before:
        parts.append(text(0, y - 7, f"“{answer}”", 'font-size="17" font-weight="bold"'))
        for share, style, what in (
            (before[answer], 'fill="none" stroke="currentColor"', "as it is"),
            (after[answer], f'fill="{_AFTER}" stroke="{_AFTER}"', name),
        ):
            parts.append(f'<rect x="70" y="{y}" height="18" width="{150 * share:.0f}" {style}/>')
            parts.append(text(62, y + 14, what, 'text-anchor="end"'))
            parts.append(text(77 + round(150 * share), y + 14, percent(share), ""))
            y += 23
        y += 34
    told = "; ".join(
        f"“{answer}” {percent(before[answer])} as it is, {percent(after[answer])} {name}"
        for answer in before
    )
    alt = f"Probabilities: {told}. Log-odds {log_odds[0]:+.1f}, {name} {log_odds[1]:+.1f}."
    first, second = list(before)[:2]
    parts += _scale(log_odds, first, second, y)
    return drawn(alt, *parts, width=310, height=y + 46)


def _scale(log_odds: tuple[float, float], first: str, second: str, y: float) -> list[str]:
    """Log-odds on a line from the second answer to the first."""
    was, now = (155 + max(-14.0, min(14.0, value)) * 10 for value in log_odds)
    ground = (
        f'<line x1="15" y1="{y}" x2="295" y2="{y}" stroke="#808080"/>'
        f'<line x1="155" y1="{y - 10}" x2="155" y2="{y + 10}" stroke="#808080"/>'
        + text(0, y + 32, f"← {second}", "")
        + text(155, y + 32, "log-odds")
        + text(310, y + 32, f"{first} →", 'text-anchor="end"')
    )
    return [
        ground,
        f'<circle cx="{was:.0f}" cy="{y}" r="7" fill="none" stroke="currentColor" '
        'stroke-width="2"/>',
        f'<circle cx="{now:.0f}" cy="{y}" r="5" fill="{_AFTER}"/>',
    ]


# Maps -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """A word on a map of IDs: where its state lies before an edit and after it."""

    word: str
    before: Point
    after: Point
    color: str

    @property
    def moved(self) -> bool:
        """Whether the mark is somewhere else than before."""
        return max(abs(a - b) for a, b in zip(self.before, self.after, strict=True)) > 0.005


_LOW, _HIGH, _EDGE = -1.25, 4.25, 34


def _on_paper(point: Point) -> Point:
    """From cells to units of the panel; what lies beyond its rim is drawn at the rim."""
    scale = (SIDE - _EDGE) / (_HIGH - _LOW)
    x, y = (min(max(value, _LOW), _HIGH) - _LOW for value in point)
    return _EDGE + x * scale, y * scale


def mesh(cells: np.ndarray) -> str:
    """IDs as a mesh of cells; ``[rows, columns, 2]`` in cells rightward and downward."""
    points = np.array([[_on_paper(tuple(point)) for point in row] for row in cells])
    lines = "".join(
        f'<polyline points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in line)}"/>'
        for line in (*points, *points.swapaxes(0, 1))
    )
    names = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="12" fill="#808080" fill-opacity=".35"/>'
        + text(x, y + 4, f"{row},{column}", 'text-anchor="middle" font-size="11"')
        for (row, column), (x, y) in _each(points)
    )
    middle, bottom = _EDGE + (SIDE - _EDGE) / 2, SIDE - _EDGE
    turned = f'text-anchor="middle" transform="rotate(-90 14 {bottom / 2:g})"'
    return (
        f'<g fill="none" stroke="#808080" stroke-opacity=".7">{lines}</g>{names}'
        f'<rect x="{_EDGE}" width="{SIDE - _EDGE}" height="{bottom}" fill="none" stroke="#808080"/>'
        + text(middle, SIDE - 12, "cells rightward →")
        + text(14, bottom / 2, "← cells downward", turned)
    )


def _each(points: np.ndarray):
    return (((row, column), points[row, column]) for row, column in np.ndindex(points.shape[:2]))


def plane(cells_drawn: str, marks: Sequence[Mark], where: str) -> Panel:
    """The plane of the column and the row IDs, with the words on it.

    Args:
        cells_drawn: from :func:`mesh`.
        marks: the words.
        where: names the site, for the description.
    """
    parts: list[str] = []
    told = []
    for mark in marks:
        before, after = _on_paper(mark.before), _on_paper(mark.after)
        parts += arrow(before, after, mark) if mark.moved else [spot(before, mark, mark.word)]
        row_first = [f"row {y:.1f}, column {x:.1f}" for x, y in (mark.before, mark.after)]
        told.append(f"“{mark.word}” lies at " + " and moves to ".join(row_first[: 1 + mark.moved]))
    return drawn(f"Plane of spatial IDs {where}: {'; '.join(told)}.", cells_drawn, *parts)


def spot(at: Point, mark: Mark, label: str, filled: bool = False) -> str:
    """A dot with its word beside it."""
    fill = mark.color if filled else "none"
    left = at[0] > SIDE - 50
    where = f'fill="{mark.color}" font-weight="bold" text-anchor="{"end" if left else "start"}"'
    return (
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="6" fill="{fill}" stroke="{mark.color}" '
        f'stroke-width="3"/>' + text(at[0] + (-11 if left else 11), at[1] - 6, label, where)
    )


def arrow(before: Point, after: Point, mark: Mark) -> list[str]:
    """From a hollow dot to a filled one."""
    line = (
        f'<line x1="{before[0]:.1f}" y1="{before[1]:.1f}" x2="{after[0]:.1f}" y2="{after[1]:.1f}" '
        f'stroke="{mark.color}" stroke-width="3" stroke-opacity=".6"/>'
    )
    return [line, spot(before, mark, ""), spot(after, mark, mark.word, filled=True)]


def timeline(ids: Sequence[float], marks: Sequence[Mark], where: str) -> Panel:
    """The line of the temporal IDs, with the words above and below it.

    Args:
        ids: where the IDs of the frames lie on their axis, in frames.
        marks: the words, with one coordinate each.
        where: names the site, for the description.
    """
    low, high, left, right = -1.5, len(ids) + 0.5, 12, 348

    def across(frame: float) -> float:
        return left + (min(max(frame, low), high) - low) / (high - low) * (right - left)

    line = f'<line x1="{left}" y1="80" x2="{right}" y2="80" stroke="#808080"/>' + "".join(
        f'<circle cx="{across(frame):.1f}" cy="80" r="10" fill="#808080" fill-opacity=".45"/>'
        + text(across(frame), 85, str(number))
        for number, frame in enumerate(ids)
    )
    parts, told = [line, text(180, 158, "the line of the IDs: frames, early to late")], []
    for mark, height in zip(marks, (40, 122), strict=True):
        before, after = ((across(one[0]), height) for one in (mark.before, mark.after))
        parts += arrow(before, after, mark) if mark.moved else [spot(before, mark, mark.word)]
        places = [f"{one[0]:.1f}" for one in (mark.before, mark.after)]
        told.append(f"“{mark.word}” lies at frame " + ", pushed to ".join(places[: 1 + mark.moved]))
    alt = f"Line of temporal IDs {where}: {'; '.join(told)}."
    return drawn(alt, *parts, width=360, height=166)


def film(
    frames: Sequence[str], shown: int, ghosts: Sequence[tuple[int, str, str]], alt: str
) -> Panel:
    """All frames of a clip in two rows; those that were not shown yet are empty.

    Args:
        frames: pictures by their addresses.
        shown: the last frame that was shown; it gets a thick rim.
        ghosts: (frame, name, color) of what words were told.
        alt: what is seen.
    """
    side, head = 82, 16
    columns, parts = -(-len(frames) // 2), []
    for number, frame in enumerate(frames):
        x, y = number % columns * (side + 8) + 2, number // columns * (side + head + 8) + head
        rim = 'stroke="currentColor" stroke-width="4"' if number == shown else 'stroke="#808080"'
        parts.append(text(x + side / 2, y - 4, f"frame {number}"))
        parts.append(f'<image x="{x}" y="{y}" width="{side}" height="{side}" href="')
        parts.append(frame)
        parts.append(f'"/><rect x="{x}" y="{y}" width="{side}" height="{side}" fill="none" {rim}/>')
        for at, name, color in ghosts:
            if at == number:
                parts += ghost(name, x + side / 2, y + side / 2, side * 0.4, color)
    rows = -(-len(frames) // columns)
    return drawn(alt, *parts, width=columns * (side + 8) - 4, height=rows * (side + head + 8))
