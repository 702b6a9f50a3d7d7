"""Draw clips: objects that come and go, that move and swap places, or that stand still."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from helpers.stimuli.clips import FRAMES, Clip, reverse
from helpers.stimuli.sampling import PAPER_SIZES, draw_background, draw_names, draw_place, overlaps
from helpers.stimuli.scenes import Background, Placed, Scene
from helpers.stimuli.split import GRID, held_out_cells, held_out_frames
from helpers.stimuli.sprites import OBJECTS, PAPER_OBJECTS

#: A moving object's slowest and fastest step, as fractions of the canvas per frame.
SLOWEST, FASTEST = 0.03, 0.1
_TRIES = 2000


def clips(
    count: int,
    seed: int,
    kind: str = "events",
    objects: tuple[int, int] = (3, 5),
    held_out: bool = False,
) -> list[Clip]:
    """Draw random clips of eight frames.

    Args:
        count: how many.
        seed: the same seed gives the same clips.
        kind: ``"flashes"`` (the paper's: two objects in cells of a grid, on white, each for one
            frame), ``"events"`` (objects come and go, on backgrounds), ``"moving"`` (objects move,
            stand still, or swap places) or ``"still"`` (nothing changes).
        objects: smallest and largest number of objects in a clip (``"flashes"`` has two).
        held_out: if True, the first two objects are a pair, at places and in frames, that the
            shipped models never saw; if False, only what training may show. In ``"moving"`` and
            ``"still"`` clips, where time or place is not the object's own, the pair is.

    Raises:
        ValueError: if a count is not positive, or the kind unknown.
    """
    if count < 1:
        raise ValueError(f"asked for {count} clips; ask for at least one")
    if not 1 <= objects[0] <= objects[1]:
        raise ValueError(f"from {objects[0]} to {objects[1]} objects; ask for at least one")
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of clip {kind!r}; there are: {', '.join(_KINDS)}")
    generator = np.random.default_rng(seed)
    return [sample_clip(generator, kind, objects, held_out) for _ in range(count)]


def sample_clip(
    generator: np.random.Generator,
    kind: str,
    objects: tuple[int, int] = (3, 5),
    held_out: bool = False,
) -> Clip:
    """Draw one clip from a generator; see :func:`clips`."""
    for _ in range(_TRIES):
        clip = _KINDS[kind](generator, objects, held_out)
        if clip is not None:
            return clip
    raise RuntimeError(f"found no {kind} clip with {objects} objects in {_TRIES} tries")


def compose(
    tracks: Sequence[dict[int, Placed]], background: Background, frames: int = FRAMES
) -> Clip:
    """Put objects' tracks, from frame to place, together on one background."""
    return Clip(
        tuple(
            Scene(tuple(track[frame] for track in tracks if frame in track), background)
            for frame in range(frames)
        )
    )


def flash(name: str, cell: tuple[int, int], frame: int, size: float, grid: int = GRID) -> dict:
    """The track of an object that appears in one frame, in the (row, column) cell of a grid."""
    row, column = cell
    return {frame: Placed(name, (column + 0.5) / grid, (row + 0.5) / grid, size)}


def _flashes(generator: np.random.Generator, objects: tuple[int, int], held_out: bool) -> Clip:
    names = draw_names(generator, 2, held_out, PAPER_OBJECTS)
    size = float(generator.choice(PAPER_SIZES[1:]))
    tracks = []
    for name in names:
        cells = [
            divmod(cell, GRID)
            for cell in range(GRID * GRID)
            if (divmod(cell, GRID) in held_out_cells(name)) == held_out
        ]
        taken = [frame for track in tracks for frame in track]
        onset = _draw_onset(generator, name, held_out, taken)
        tracks.append(flash(name, cells[generator.integers(len(cells))], onset, size))
    return compose(tracks, Background())


def _events(
    generator: np.random.Generator, objects: tuple[int, int], held_out: bool
) -> Clip | None:
    placed = _placed(generator, objects, held_out)
    if placed is None:
        return None
    tracks, onsets = [], []
    for index, one in enumerate(placed):
        strict = held_out and index < 2
        onset = _draw_onset(generator, one.name, strict, onsets[:2] if strict else ())
        onsets.append(onset)
        # Short stays are more common, so that there is an order in which objects come and go.
        stay = min(int(generator.geometric(0.35)), FRAMES - onset)
        tracks.append({frame: one for frame in range(onset, onset + stay)})
    return compose(tracks, draw_background(generator))


def _moving(
    generator: np.random.Generator, objects: tuple[int, int], held_out: bool
) -> Clip | None:
    placed = _placed(generator, objects, held_out)
    if placed is None:
        return None
    if len(placed) > 1 and generator.random() < 0.35:
        ends = [placed[1], placed[0]]
    else:
        ends = [_draw_end(generator, one) for one in placed[:2]]
    ends += [_draw_end(generator, one) for one in placed[2:]]
    last = [replace(one, x=end.x, y=end.y) for one, end in zip(placed, ends, strict=True)]
    if any(overlaps(one, last[:index]) for index, one in enumerate(last)):
        return None
    tracks = [
        _line(one, end, *_draw_start(generator)) for one, end in zip(placed, last, strict=True)
    ]
    clip = compose(tracks, draw_background(generator))
    # Either way equally often: which paths there are says nothing about which way they go.
    return reverse(clip) if generator.random() < 0.5 else clip


def _still(generator: np.random.Generator, objects: tuple[int, int], held_out: bool) -> Clip | None:
    placed = _placed(generator, objects, held_out)
    if placed is None:
        return None
    return Clip((Scene(placed, draw_background(generator)),) * FRAMES)


_KINDS = {"flashes": _flashes, "events": _events, "moving": _moving, "still": _still}


def _placed(
    generator: np.random.Generator, objects: tuple[int, int], held_out: bool
) -> tuple[Placed, ...] | None:
    count = int(generator.integers(objects[0], objects[1] + 1))
    names = draw_names(generator, count, held_out, OBJECTS)
    placed: list[Placed] = []
    for index, name in enumerate(names):
        size = generator.uniform(0.18, 0.36 if count < 4 else 0.3)
        new = draw_place(generator, name, size, held_out and index < 2, placed, index > 1)
        if new is None:
            return None
        placed.append(new)
    return tuple(placed)


def _draw_onset(
    generator: np.random.Generator, name: str, held_out: bool, taken: Sequence[int] = ()
) -> int:
    """The frame in which an object appears first, one that training has or has not."""
    free = [
        frame
        for frame in range(FRAMES)
        if frame not in taken and (frame in held_out_frames(name)) == held_out
    ]
    return int(generator.choice(free)) if free else int(generator.integers(FRAMES))


def _draw_end(generator: np.random.Generator, placed: Placed) -> Placed:
    """Where an object is after seven steps in one direction; one in three stands still."""
    if generator.random() < 1 / 3:
        return placed
    far = generator.uniform(SLOWEST, FASTEST) * (FRAMES - 1)
    axis = "x" if generator.random() < 0.7 else "y"
    low, high = 0.42 * placed.size, 1 - 0.42 * placed.size
    here = getattr(placed, axis)
    # Towards the side with more room, mostly: from the left edge nothing moves left.
    there = here + far * (1 if generator.random() < (high - here) / (high - low) else -1)
    return replace(placed, **{axis: float(np.clip(there, low, high))})


def _draw_start(generator: np.random.Generator) -> tuple[int, int]:
    """First and last frame of a movement; three in four take all of the clip."""
    if generator.random() < 0.75:
        return 0, FRAMES - 1
    first = int(generator.integers(0, 4))
    return first, int(generator.integers(first + 3, FRAMES))


def _line(start: Placed, end: Placed, first: int, last: int) -> dict[int, Placed]:
    """The object waits at its start, moves evenly, and waits at its end."""
    shares = np.clip((np.arange(FRAMES) - first) / (last - first), 0, 1)
    return {
        frame: replace(
            start,
            x=float(start.x + share * (end.x - start.x)),
            y=float(start.y + share * (end.y - start.y)),
        )
        for frame, share in enumerate(shares)
    }
