"""Figures of the book: one style, captions in the text, values from tidy tables."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes as PlotAxes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

from helpers.stimuli.scenes import Scene
from helpers.stimuli.sprites import sprite


@dataclass(frozen=True)
class Html:
    """Markup that a notebook shows as it is."""

    markup: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.markup


#: One colour for each thing that is compared throughout the book (colour-blind safe).
COLORS = {
    "spatial IDs": "#0072B2",
    "image": "#009E73",
    "object words": "#0072B2",
    "text between": "#E69F00",
    "last token": "#D55E00",
    "all text": "#CC79A7",
    "random": "#7F7F7F",
    "shuffled IDs": "#E69F00",
    "orthogonal axis": "#CC79A7",
    "random in ID subspace": "#56B4E9",
    "tiny-llava": "#0072B2",
    "tiny-llava-direct": "#D55E00",
}


def use_style() -> None:
    """Set the book's style; every notebook calls it once."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update(
        {
            "figure.figsize": (7, 4),
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titleweight": "bold",
            "axes.titlesize": "medium",
            "legend.edgecolor": "none",  # no frame, but no line runs through its words
            "legend.framealpha": 0.85,
        }
    )


def show_scenes(
    scenes: Sequence[Scene | Image.Image],
    titles: Sequence[str] | None = None,
    columns: int = 4,
    pixels: int = 224,
) -> Figure:
    """Show pictures side by side."""
    columns = min(columns, len(scenes))
    rows = -(-len(scenes) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(2.2 * columns, 2.45 * rows), squeeze=False)
    for index, axes in enumerate(grid.flat):
        axes.axis("off")
        if index < len(scenes):
            one = scenes[index]
            axes.imshow(one.render(pixels) if isinstance(one, Scene) else one)
            axes.add_patch(
                plt.Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, ec="0.8", lw=1)
            )
            if titles is not None:
                axes.set_title(titles[index], fontsize=9, fontweight="normal")
    figure.tight_layout()
    return figure


def patch_heatmap(
    image: Image.Image,
    values: np.ndarray,
    title: str = "",
    labels: np.ndarray | None = None,
    axes: PlotAxes | None = None,
    limit: float | None = None,
) -> PlotAxes:
    """Lay one value for each patch over the picture.

    Args:
        image: the picture.
        values: ``[rows, columns]``.
        title: above it.
        labels: a short text for each patch, ``[rows, columns]``.
        axes: where to draw.
        limit: values at this size get the full colour; by default the largest.
    """
    axes = axes or plt.subplots(figsize=(4.2, 4.2))[1]
    rows, columns = values.shape
    axes.imshow(image, extent=(0, columns, rows, 0), alpha=0.85)
    limit = limit or float(np.abs(values).max()) or 1.0
    low = -limit if (values < 0).any() else 0.0
    palette = "coolwarm" if low else "viridis"
    axes.imshow(values, extent=(0, columns, rows, 0), cmap=palette, vmin=low, vmax=limit, alpha=0.5)
    if labels is not None:
        for row, column in np.ndindex(rows, columns):
            axes.text(
                column + 0.5, row + 0.5, labels[row, column], ha="center", va="center", fontsize=6
            )
    axes.set(title=title, xticks=[], yticks=[])
    return axes


def sprites_at(
    axes: PlotAxes, points: np.ndarray, names: Sequence[str], zoom: float = 0.16
) -> None:
    """Draw sprites at ``points`` ``[n, 2]`` (x, y) of a plot."""
    for (x, y), name in zip(points, names, strict=True):
        picture = OffsetImage(np.asarray(sprite(name, 128)), zoom=zoom)
        axes.add_artist(AnnotationBbox(picture, (x, y), frameon=False))
    axes.update_datalim(points)
    axes.autoscale_view()


def id_grid(
    coordinates: np.ndarray, axes: PlotAxes | None = None, color: str = "#0072B2", title: str = ""
) -> PlotAxes:
    """Draw a grid of IDs in the plane of their axes as a mesh with its cells numbered.

    Args:
        coordinates: ``[rows, columns, 2]``, cells rightward and downward.
        axes: where to draw.
        color: of the mesh.
        title: above it.
    """
    axes = axes or plt.subplots(figsize=(4.5, 4.5))[1]
    for line in (*coordinates, *coordinates.swapaxes(0, 1)):
        axes.plot(line[:, 0], line[:, 1], color=color, lw=1, alpha=0.5)
    rows, columns = coordinates.shape[:2]
    for row, column in np.ndindex(rows, columns):
        x, y = coordinates[row, column]
        axes.scatter(x, y, s=190, color=color, zorder=3)
        axes.text(x, y, f"{row},{column}", color="white", ha="center", va="center", fontsize=7)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.set(title=title, xlabel="cells rightward", ylabel="cells downward")
    axes.set_aspect("equal")
    return axes


def with_band(
    table: pd.DataFrame,
    x: str,
    by: str | None = None,
    axes: PlotAxes | None = None,
    colors: dict[str, str] | None = None,
    styles: dict[str, str] | None = None,
) -> PlotAxes:
    """Draw lines with their intervals.

    Args:
        table: columns ``x``, ``estimate``, ``low``, ``high`` and, for several lines, ``by``.
        x: the horizontal column.
        by: the column that names lines.
        axes: where to draw.
        colors: by line; the book's colours by default.
        styles: line styles by line.
    """
    axes = axes or plt.subplots()[1]
    colors = COLORS | (colors or {})
    groups = [("", table)] if by is None else list(table.groupby(by, sort=False))
    for name, part in groups:
        part = part.sort_values(x)
        line = axes.plot(
            part[x], part["estimate"], marker="o", ms=4, label=name or None,
            color=colors.get(name), ls=(styles or {}).get(name, "-"),
        )[0]  # fmt: skip
        axes.fill_between(
            part[x], part["low"], part["high"], color=line.get_color(), alpha=0.18, lw=0
        )
    axes.set_xlabel(x)
    if by is not None:
        axes.legend()
    return axes


def png(figure: Figure, dpi: int = 110) -> str:
    """Return a figure as base64 PNG data, and close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def slider(
    draw: Callable[[int], Figure],
    values: Sequence[int],
    label: str = "layer",
    start: int | None = None,
) -> Html:
    """A slider over pictures that works in the rendered book, without kernel or network.

    Args:
        draw: makes the figure of one value.
        values: the stops.
        label: what the slider moves along.
        start: the value that shows first; the middle one by default.

    Returns:
        HTML with every picture inside; without JavaScript the first is shown.
    """
    values = list(values)
    start = values[len(values) // 2] if start is None else start
    figures = [png(draw(value)) for value in values]
    first = values.index(start)
    pictures = "".join(
        f'<img alt="{escape(label)} {value}" src="data:image/png;base64,{data}" '
        f'style="max-width:100%;display:{"block" if index == first else "none"}">'
        for index, (value, data) in enumerate(zip(values, figures, strict=True))
    )
    script = (
        "const box=this.closest('.layer-slider');"
        "box.querySelectorAll('img').forEach((p,i)=>p.style.display=i==this.value?'block':'none');"
        "const stop=JSON.parse(box.dataset.stops)[this.value];"
        "box.querySelector('output').textContent=stop;"
        "this.setAttribute('aria-valuetext',stop);"
    )
    return Html(
        f'<div class="layer-slider" data-stops="{values}">'
        f"<label>{escape(label)} <output>{start}</output> "
        f'<input type="range" min="0" max="{len(values) - 1}" value="{first}" '
        f'aria-label="{escape(label)}" aria-valuetext="{start}" oninput="{script}"></label>'
        f"{pictures}</div>"
    )
