"""Where the patches of a picture are in the sequence: grids over the whole of it, or over a part.

Families cut pictures in different ways: one square grid, tiles with a thumbnail, merged patches,
a newline behind every row. A :class:`View` is one grid of patches with the part of the picture
that it shows. Each function here goes from what a processor made to the views, the one of the
whole picture first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple


class View(NamedTuple):
    """One grid of patches.

    Attributes:
        positions: of the patches in the sequence, row by row.
        grid: (rows, columns).
        box: the part of the picture that it shows, (left, top, right, bottom) as fractions.
        frame: the first frame of a video that it shows; 0 for pictures.
    """

    positions: tuple[int, ...]
    grid: tuple[int, int]
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    frame: int = 0

    def at(self, row: int, column: int) -> int:
        """Return the position of the patch in a row and column of the grid.

        Raises:
            IndexError: if the grid has no such patch.
        """
        rows, columns = self.grid
        if not (0 <= row < rows and 0 <= column < columns):
            raise IndexError(f"no patch ({row}, {column}) in a grid of {rows} x {columns}")
        return self.positions[row * columns + column]

    def patch(self, x: float, y: float) -> int | None:
        """The position of the patch that shows a point, or None if this view does not show it.

        Args:
            x: from the left edge of the picture, as a fraction of its width.
            y: from the top edge, as a fraction of its height.
        """
        left, top, right, bottom = self.box
        across, down = (x - left) / (right - left), (y - top) / (bottom - top)
        if not (0 <= across < 1 and 0 <= down < 1):
            return None
        rows, columns = self.grid
        return self.at(int(down * rows), int(across * columns))


@dataclass(frozen=True)
class Layout:
    """What a processor made of one picture or video.

    Attributes:
        config: the model's.
        processor: of the same model.
        inputs: what the processor returned.
        size: of the picture, (width, height) in pixels.
        places: the positions of all placeholders.
        text: the prompt with its placeholders written out.
        frames: of a video.
    """

    config: Any
    processor: Any
    inputs: Mapping[str, Any]
    size: tuple[int, int]
    places: Sequence[int]
    text: str
    frames: int = 1


def _side(count: int) -> int:
    side = round(count**0.5)
    if side * side != count:
        raise ValueError(f"{count} image tokens make no square grid")
    return side


def _cut(places: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Cut the placeholders into parts of given sizes, which must use them all."""
    if sum(sizes) != len(places):
        raise ValueError(f"{len(places)} image tokens, but grids of {sum(sizes)}")
    rest = iter(places)
    return [tuple(islice(rest, size)) for size in sizes]


# Pictures ---------------------------------------------------------------------------------------


def square(layout: Layout) -> tuple[View, ...]:
    """One square grid of the whole picture (Gemma 3)."""
    side = _side(len(layout.places))
    return (View(tuple(layout.places), (side, side)),)


def cropped_square(layout: Layout) -> tuple[View, ...]:
    """One square grid; of an oblong picture, CLIP's processor cuts the sides off (LLaVA-1.5)."""
    view = square(layout)[0]
    if not getattr(layout.processor.image_processor, "do_center_crop", False):
        return (view,)
    width, height = layout.size
    across, down = (1 - min(width, height) / length for length in (width, height))
    return (view._replace(box=(across / 2, down / 2, 1 - across / 2, 1 - down / 2)),)


def merged_grid(layout: Layout) -> tuple[View, ...]:
    """A grid as large as the picture asks for, patches merged (Qwen-VL, VideoLLaMA 3)."""
    _, high, wide = layout.inputs["image_grid_thw"][0].tolist()
    merge = _merge(layout, "image")
    return (View(tuple(layout.places), (high // merge, wide // merge)),)


def _merge(layout: Layout, kind: str) -> int:
    """How many patches are merged along each side into a token."""
    given = layout.inputs.get(f"{kind}_merge_sizes")
    return layout.config.vision_config.spatial_merge_size if given is None else int(given[0])


def tiles_and_thumbnail(layout: Layout) -> tuple[View, ...]:
    """Square tiles row by row, and the whole picture behind them if they are several (InternVL)."""
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
        get_optimal_tiled_canvas,
    )

    each = layout.processor.image_seq_length
    side, count = _side(each), len(layout.places) // each
    parts = _cut(layout.places, [each] * count)
    if count == 1:
        return (View(parts[0], (side, side)),)
    images, (width, height) = layout.processor.image_processor, layout.size
    tile = (images.size["height"], images.size["width"])
    columns, rows = get_optimal_tiled_canvas(
        (height, width), tile, images.min_patches, images.max_patches
    )
    return View(parts[-1], (side, side)), *_tiles(parts[:-1], (side, side), rows, columns)


def _tiles(
    parts: Sequence[tuple[int, ...]], grid: tuple[int, int], rows: int, columns: int
) -> list[View]:
    if len(parts) != rows * columns:
        raise ValueError(f"{len(parts)} tiles do not make {rows} rows of {columns}")
    return [
        View(
            part,
            grid,
            (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows),
        )
        for part, (row, column) in zip(
            parts, ((r, c) for r in range(rows) for c in range(columns)), strict=True
        )
    ]


def numbered_tiles(layout: Layout) -> tuple[View, ...]:
    """Square tiles, each behind a token with its row and column, then the whole (SmolVLM)."""
    each = layout.processor.image_seq_len
    side = _side(each)
    parts = _cut(layout.places, [each] * (len(layout.places) // each))
    whole = View(parts[-1], (side, side))
    named = re.findall(r"<row_(\d+)_col_(\d+)>", layout.text)
    if not named:
        return (whole,)
    rows, columns = (max(int(pair[axis]) for pair in named) for axis in (0, 1))
    return whole, *_tiles(parts[:-1], (side, side), rows, columns)


def anyres_views(layout: Layout) -> tuple[View, ...]:
    """The whole picture, then all tiles as one grid with a newline behind each row (OneVision)."""
    processor, (width, height) = layout.processor, layout.size
    base = processor.num_image_tokens
    tile = layout.config.vision_config.image_size
    best = _best_resolution((height, width), processor.image_processor.image_grid_pinpoints)
    side = _side(base)
    cells, rows = processor._get_unpadded_features(
        height, width, side, side, best[0] // tile, best[1] // tile
    )
    columns = cells // rows
    whole, lines = _cut(layout.places, [base, rows * (columns + 1)])
    patches = [place for index, place in enumerate(lines) if index % (columns + 1) < columns]
    return View(whole, (side, side)), View(tuple(patches), (rows, columns))


def _best_resolution(size: tuple[int, int], pinpoints: list) -> tuple[int, int]:
    from transformers.image_processing_utils import select_best_resolution

    return select_best_resolution(list(size), pinpoints)


def no_patches(layout: Layout) -> tuple[View, ...]:
    """None in the sequence: blocks attend to the picture's states on the side (Mllama)."""
    return ()


# Videos -----------------------------------------------------------------------------------------


def _frames(
    places: Sequence[int], steps: int, grid: tuple[int, int], frames: int
) -> tuple[View, ...]:
    """Equal grids one after the other, each of as many frames as go into one."""
    parts = _cut(places, [grid[0] * grid[1]] * steps)
    each = -(-frames // steps)
    return tuple(View(part, grid, frame=number * each) for number, part in enumerate(parts))


def flat_frames(layout: Layout) -> tuple[View, ...]:
    """Merged grids, two frames or one in each (Qwen-VL, VideoLLaMA 3 without compression)."""
    steps, high, wide = layout.inputs["video_grid_thw"][0].tolist()
    merge = _merge(layout, "video")
    return _frames(layout.places, steps, (high // merge, wide // merge), layout.frames)


def square_frames(layout: Layout) -> tuple[View, ...]:
    """One square grid a frame (InternVL, SmolVLM)."""
    side = _side(len(layout.places) // layout.frames)
    return _frames(layout.places, layout.frames, (side, side), layout.frames)


def pooled_frames(layout: Layout) -> tuple[View, ...]:
    """Square grids, pooled 2 x 2, and one newline at the very end (OneVision)."""
    side = -(-_side(layout.processor.num_image_tokens) // 2)
    return _frames(layout.places[:-1], layout.frames, (side, side), layout.frames)


def frames_with_newlines(layout: Layout) -> tuple[View, ...]:
    """Square grids with a newline behind every row of every frame (LLaVA-Video)."""
    each = len(layout.places) // layout.frames
    side = int(each**0.5)
    parts = _cut(layout.places, [side * (side + 1)] * layout.frames)
    return tuple(
        View(
            tuple(place for index, place in enumerate(part) if index % (side + 1) < side),
            (side, side),
            frame=number,
        )
        for number, part in enumerate(parts)
    )
