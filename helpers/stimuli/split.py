"""What the shipped models never saw in training: pairs of objects, their places and times.

One in eight pairs never shares a training scene. Each object is never put into three cells of
the 4 x 4 grid, and never appears first in two of a clip's frames. A *held-out* question is about
a held-out pair, both at held-out cells (or frames).
"""

import itertools
import random
from collections.abc import Iterable
from functools import lru_cache

from helpers.stimuli.sprites import OBJECTS

GRID = 4
_NUMBER = {name: number for number, name in enumerate(OBJECTS)}


def is_held_out_pair(first: str, second: str) -> bool:
    """Tell whether the two objects never appear together in training."""
    return first != second and (_NUMBER[first] + _NUMBER[second]) % 8 == 5


def held_out_pair(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two of the names, by the alphabet, that never appear together in training."""
    pairs = itertools.combinations(sorted(names), 2)
    return next((pair for pair in pairs if is_held_out_pair(*pair)), None)


@lru_cache
def held_out_pairs() -> tuple[tuple[str, str], ...]:
    """All pairs that never appear together in training."""
    return tuple(
        (first, second)
        for index, first in enumerate(OBJECTS)
        for second in OBJECTS[index + 1 :]
        if is_held_out_pair(first, second)
    )


@lru_cache
def held_out_cells(name: str) -> frozenset[tuple[int, int]]:
    """The (row, column) cells of the 4 x 4 grid in which training never puts the object."""
    chosen = random.Random(f"held out: {name}").sample(range(GRID * GRID), 3)
    return frozenset(divmod(cell, GRID) for cell in chosen)


@lru_cache
def held_out_frames(name: str, frames: int = 8) -> frozenset[int]:
    """The frames of a clip in which training never lets the object appear first.

    Frame 0 is not among them: what is there all the time is there from the first frame on.
    """
    chosen = random.Random(f"held out in time: {name}").sample(range(1, frames), 2)
    return frozenset(chosen)


def cell_of(x: float, y: float, grid: int = GRID) -> tuple[int, int]:
    """Return the (row, column) of the grid cell that holds the point."""
    return min(int(y * grid), grid - 1), min(int(x * grid), grid - 1)
