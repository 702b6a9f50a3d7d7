"""Draw scenes: the paper's grids, cluttered scenes, and scenes in perspective."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from helpers.stimuli.scenes import Background, Placed, Scene
from helpers.stimuli.split import (
    GRID,
    cell_of,
    held_out_cells,
    held_out_pairs,
    is_held_out_pair,
)
from helpers.stimuli.sprites import OBJECTS, PAPER_OBJECTS

#: Sprite sides in the paper's 896-pixel grid images, as fractions of the canvas.
PAPER_SIZES = tuple(pixels / 896 for pixels in (74, 124, 174, 224))

HORIZON = 0.3
NEAREST, FARTHEST = 1.0, 3.0
#: Heights of centres where height does or does not go with depth, as fractions of the canvas.
HIGHEST, LOWEST = 0.16, 0.84
_TRIES = 2000


def grid_scenes(
    pairs: Sequence[tuple[str, str]] | None = None,
    sizes: Sequence[float] = PAPER_SIZES[-1:],
    grid: int = GRID,
) -> list[Scene]:
    """The paper's stimuli: two objects in two cells of a grid, on white.

    Cells of one row or one column are kept: which questions have an answer is for
    ``questions.ask`` to say.

    Args:
        pairs: ordered pairs of names; by default all 90 of the paper's ten objects.
        sizes: sprite sides as fractions of the canvas; each scene is drawn at each size.
        grid: cells along each side.

    Returns:
        ``len(pairs) * grid**2 * (grid**2 - 1) * len(sizes)`` scenes, the pair's first object first.

    Raises:
        ValueError: if ``pairs`` or ``sizes`` is empty.
    """
    if pairs is None:
        pairs = list(itertools.permutations(PAPER_OBJECTS, 2))
    if not pairs or not sizes:
        raise ValueError("grid_scenes needs at least one pair of objects and one size")
    cells = list(itertools.product(range(grid), repeat=2))
    return [
        Scene(
            tuple(
                Placed(name, (column + 0.5) / grid, (row + 0.5) / grid, size)
                for name, (row, column) in zip(pair, places, strict=True)
            )
        )
        for pair in pairs
        for places in itertools.permutations(cells, 2)
        for size in sizes
    ]


def scenes(
    count: int,
    seed: int,
    kind: str = "clutter",
    objects: tuple[int, int] = (3, 6),
    held_out: bool = False,
) -> list[Scene]:
    """Draw random scenes.

    Args:
        count: how many.
        seed: the same seed gives the same scenes.
        kind: ``"grid"`` (two objects in grid cells, on white), ``"clutter"`` (anywhere, on
            backgrounds), ``"perspective"`` (on a ground plane), or one of three in which nearer
            is larger: ``"tied"`` (nearer is lower, too), ``"independent"`` (nearer is anywhere)
            and ``"conflict"`` (nearer is higher).
        objects: smallest and largest number of objects in a scene (``"grid"`` has two).
        held_out: if True, the first two objects are a pair and at places that the shipped models
            never saw; if False, only what training may show. Scenes with depth list their
            objects from far to near, so there the pair may stand anywhere in the list.

    Raises:
        ValueError: if the count is not positive or the kind unknown.
    """
    if count < 1:
        raise ValueError(f"asked for {count} scenes; ask for at least one")
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of scene {kind!r}; there are: {', '.join(_KINDS)}")
    generator = np.random.default_rng(seed)
    return [sample_scene(generator, kind, objects, held_out) for _ in range(count)]


def sample_scene(
    generator: np.random.Generator,
    kind: str,
    objects: tuple[int, int] = (3, 6),
    held_out: bool = False,
) -> Scene:
    """Draw one scene from a generator; see :func:`scenes`."""
    for _ in range(_TRIES):
        scene = _KINDS[kind](generator, objects, held_out)
        if scene is not None:
            return scene
    raise RuntimeError(f"found no {kind} scene with {objects} objects in {_TRIES} tries")


def _grid(generator: np.random.Generator, objects: tuple[int, int], held_out: bool) -> Scene:
    names = draw_names(generator, 2, held_out, PAPER_OBJECTS)
    size = generator.choice(PAPER_SIZES)
    cells: list[tuple[int, int]] = []
    for name in names:
        cells.append(_draw_cell(generator, name, held_out, taken=cells))
    return Scene(
        tuple(
            Placed(name, (column + 0.5) / GRID, (row + 0.5) / GRID, float(size))
            for name, (row, column) in zip(names, cells, strict=True)
        )
    )


def _clutter(
    generator: np.random.Generator, objects: tuple[int, int], held_out: bool
) -> Scene | None:
    count = int(generator.integers(objects[0], objects[1] + 1))
    names = draw_names(generator, count, held_out, OBJECTS)
    largest = 0.34 if count < 4 else 0.26
    placed: list[Placed] = []
    for index, name in enumerate(names):
        size = generator.uniform(0.12, largest)
        new = draw_place(generator, name, size, held_out and index < 2, placed, index > 1)
        if new is None:
            return None
        placed.append(new)
    return Scene(tuple(placed), draw_background(generator))


def _perspective(
    generator: np.random.Generator, objects: tuple[int, int], held_out: bool
) -> Scene | None:
    placed = _place_in_depth(generator, objects, held_out, _draw_in_perspective)
    if placed is None:
        return None
    sky, ground = _draw_color(generator, 170, 256), _draw_color(generator, 60, 190)
    return Scene(placed, Background("ground", (sky, ground), horizon=HORIZON))


def _place_in_depth(
    generator: np.random.Generator,
    objects: tuple[int, int],
    held_out: bool,
    draw: Callable[[np.random.Generator, str], Placed],
) -> tuple[Placed, ...] | None:
    """Place objects one by one, and list them from far to near; None if there is no room."""
    count = int(generator.integers(objects[0], objects[1] + 1))
    names = draw_names(generator, count, held_out, OBJECTS)
    placed: list[Placed] = []
    for index, name in enumerate(names):
        for _ in range(40):
            new = draw(generator, name)
            cell_held_out = cell_of(new.x, new.y) in held_out_cells(name)
            wanted = held_out if index < 2 else cell_held_out and held_out
            if cell_held_out == wanted and not overlaps(new, placed):
                placed.append(new)
                break
        else:
            return None
    return tuple(sorted(placed, key=lambda one: -one.depth))


def _draw_in_perspective(generator: np.random.Generator, name: str) -> Placed:
    """Nearer is lower and larger; one in four hovers and one in four has an odd size.

    The exceptions separate the cues: a hovering object is higher than its depth says (its
    shadow and size tell the truth), an odd-sized one larger or smaller (its base tells it).
    """
    depth = generator.uniform(NEAREST, FARTHEST)
    exception = generator.choice(["none", "hover", "size"], p=[0.5, 0.25, 0.25])
    factor = generator.uniform(0.9, 1.1)
    if exception == "size":
        factor = generator.uniform(0.6, 0.75) if generator.random() < 0.5 else 1.4
    size = min(0.34 / depth * factor, 0.42)
    base = HORIZON + 0.66 / depth
    lift = generator.uniform(0.1, 0.25) if exception == "hover" else 0.0
    lift = min(lift, base - size - 0.02)
    return Placed(
        name=name,
        x=float(generator.uniform(0.4 * size, 1 - 0.4 * size)),
        y=float(base - size / 2 - lift),
        size=float(size),
        depth=float(depth),
        lift=float(lift),
    )


def _by_size(height: str) -> Callable:
    """Scenes whose objects are the larger the nearer, with or without a rule for their height.

    Heights are spread alike in all of them: what differs is whether they go with nearness.
    """

    def draw(generator: np.random.Generator, name: str) -> Placed:
        depth = float(generator.uniform(NEAREST, FARTHEST))
        size = 0.34 / depth * float(generator.uniform(0.9, 1.1))
        x = float(generator.uniform(0.4 * size, 1 - 0.4 * size))
        nearness = (FARTHEST - depth) / (FARTHEST - NEAREST)
        share = {
            "tied": nearness,
            "independent": float(generator.random()),
            "conflict": 1 - nearness,
        }[height]
        return Placed(name, x, HIGHEST + share * (LOWEST - HIGHEST), size, depth)

    def scene(
        generator: np.random.Generator, objects: tuple[int, int], held_out: bool
    ) -> Scene | None:
        placed = _place_in_depth(generator, objects, held_out, draw)
        return None if placed is None else Scene(placed, draw_background(generator))

    return scene


_KINDS = {
    "grid": _grid,
    "clutter": _clutter,
    "perspective": _perspective,
    "tied": _by_size("tied"),
    "independent": _by_size("independent"),
    "conflict": _by_size("conflict"),
}


def draw_names(
    generator: np.random.Generator, count: int, held_out: bool, pool: Sequence[str]
) -> list[str]:
    """Draw names of objects.

    Held out, the first two are a held-out pair; otherwise no two of them are.
    """
    if held_out and count > 1:
        pairs = [pair for pair in held_out_pairs() if set(pair) <= set(pool)]
        names = list(generator.permutation(pairs[generator.integers(len(pairs))]))
        rest = [name for name in pool if name not in names]
        return [str(name) for name in (*names, *generator.permutation(rest)[: count - 2])]
    names: list[str] = []
    for name in generator.permutation(pool):
        if not any(is_held_out_pair(name, other) for other in names):
            names.append(str(name))
        if len(names) == count:
            break
    return names


def _draw_cell(
    generator: np.random.Generator,
    name: str,
    held_out: bool,
    taken: Sequence[tuple[int, int]] = (),
    anywhere: bool = False,
) -> tuple[int, int]:
    cells = [
        cell
        for cell in itertools.product(range(GRID), repeat=2)
        if cell not in taken and (anywhere or (cell in held_out_cells(name)) == held_out)
    ]
    row, column = cells[generator.integers(len(cells))]
    return row, column


def draw_place(
    generator: np.random.Generator,
    name: str,
    size: float,
    held_out: bool,
    others: Sequence[Placed],
    distractor: bool,
) -> Placed | None:
    """Draw a place for an object that overlaps none of the others; None if there is no room."""
    anywhere = distractor and any(is_held_out_pair(a.name, b.name) for a, b in [others[:2]])
    for _ in range(20):
        row, column = _draw_cell(generator, name, held_out, anywhere=anywhere)
        x, y = (np.array([column, row]) + generator.random(2)) / GRID
        low, high = 0.42 * size, 1 - 0.42 * size
        # An object too large for the cell's outer edge moves inwards, but not to another cell.
        x, y = np.clip([x, y], low, high)
        new = Placed(name, float(x), float(y), float(size))
        if cell_of(x, y) == (row, column) and not overlaps(new, others):
            return new
    return None


def overlaps(new: Placed, others: Sequence[Placed]) -> bool:
    """Whether an object would cover a good part of another."""
    return any(
        max(abs(new.x - other.x), abs(new.y - other.y)) < 0.42 * (new.size + other.size)
        for other in others
    )


def _draw_color(generator: np.random.Generator, low: int = 0, high: int = 256) -> tuple:
    return tuple(int(level) for level in generator.integers(low, high, 3))


def draw_background(generator: np.random.Generator) -> Background:
    """Draw a white, plain, gradient or blobs background."""
    kind = generator.choice(["white", "plain", "gradient", "blobs"], p=[0.25, 0.25, 0.25, 0.25])
    if kind == "white":
        return Background()
    colors = tuple(_draw_color(generator, 64) for _ in range(4))
    return Background(str(kind), colors, seed=int(generator.integers(2**31)))
