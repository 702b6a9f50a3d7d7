"""The checks of chapter 23: they pass the solution, and tell what is wrong with what is wrong."""

import pytest
import torch
from torch import nn

from helpers.exercises import ch23
from helpers.grids import View


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Find the decoder -------------------------------------------------------------------------------


def lists(module):
    return [part for part in module.modules() if isinstance(part, nn.ModuleList)]


def test_find_blocks():
    ch23.check_find_blocks(lambda model: lists(model.get_decoder())[0])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda model: lists(model)[0], "They are the vision tower's"),
        (lambda model: max(lists(model), key=len), "They are the vision tower's"),
        (lambda model: lists(model.get_decoder())[-1], "take the outermost list"),
        (lambda model: list(lists(model.get_decoder())[0]), "return the nn.ModuleList"),
        (lambda model: None, "returns nothing"),
    ],
)
def test_find_blocks_refuses(wrong, says):
    refuses(says, ch23.check_find_blocks, wrong)


# From text to patches ---------------------------------------------------------------------------


def cut(layout):
    each = layout.processor.image_seq_length
    return [tuple(layout.places[i : i + each]) for i in range(0, len(layout.places), each)]


def counted(layout):
    rows = layout.text.count("<IMG_ROW>") + 1
    return rows, layout.text.count("<IMG_COL>") // rows + 1


def views(layout, grid=counted, parts=cut):
    side = round(layout.processor.image_seq_length**0.5)
    whole, *tiles = parts(layout)
    rows, columns = grid(layout)
    found = [View(whole, (side, side))]
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        box = (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        found.append(View(tile, (side, side), box))
    return tuple(found)


def test_ovis_views():
    ch23.check_ovis_views(views)


def guessed(layout):
    """Side by side if the picture is wide."""
    rows, columns = counted(layout)
    count = rows * columns
    if count == 4:
        return 2, 2
    return (1, count) if layout.size[0] > layout.size[1] else (count, 1)


def thumbnail_last(layout):
    first, *rest = cut(layout)
    return [*rest, first]


def counting(layout):
    """As if nothing stood between tiles."""
    each = layout.processor.image_seq_length
    start = layout.places[0]
    return [
        tuple(range(start + n * each, start + (n + 1) * each))
        for n in range(len(layout.places) // each)
    ]


def one_patch_grids(layout):
    return tuple(view._replace(grid=(1, len(view.positions))) for view in views(layout))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda layout: views(layout, grid=guessed), "do not guess from the size"),
        (lambda layout: views(layout, parts=thumbnail_last), "whole picture"),
        (lambda layout: views(layout, parts=counting), "Some of them are marks"),
        (lambda layout: views(layout)[1:], "the whole picture first"),
        (one_patch_grids, "the square root of image_seq_length"),
        (lambda layout: [tuple(view) for view in views(layout)], "a View, not tuple"),
        (lambda layout: None, "returns nothing"),
    ],
)
def test_ovis_views_refuses(wrong, says):
    refuses(says, ch23.check_ovis_views, wrong)


# A picture that tells ---------------------------------------------------------------------------


def test_telling():
    ch23.check_telling(
        lambda right, wrong, sizes: next((s for s in sizes if right(s) != wrong(s)), None)
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda r, w, sizes: next(
                (s for s in sizes if r(s)[0] * r(s)[1] != w(s)[0] * w(s)[1]), None
            ),
            "compare the number of tiles",
        ),
        (
            lambda r, w, sizes: next((n for n, s in enumerate(sizes) if r(s) != w(s)), None),
            "Return the size, not its number",
        ),
        (lambda r, w, sizes: max(sizes, key=lambda s: r(s) != w(s)), "return None"),
        (
            lambda r, w, sizes: next((s for s in sizes[::-1] if r(s) != w(s)), None),
            "not the first",
        ),
        (lambda r, w, sizes: next((s for s in sizes if r(s) == w(s)), None), "the two agree"),
    ],
)
def test_telling_refuses(wrong, says):
    refuses(says, ch23.check_telling, wrong)


# The first block that differs -------------------------------------------------------------------


def shares(found, expected):
    pairs = zip(found, expected, strict=True)
    return [((one - other).abs() / (1 + other.abs())).max() for one, other in pairs]


def test_first_apart():
    ch23.check_first_apart(
        lambda f, e, a: next((n for n, s in enumerate(shares(f, e)) if not s <= a), None)
    )


def largest(found, expected, allowed):
    found = shares(found, expected)
    worst = int(torch.stack(found).argmax())
    return worst if not found[worst] <= allowed else None


def blind_to_nan(found, expected, allowed):
    return next((n for n, s in enumerate(shares(found, expected)) if s > allowed), None)


def absolute(found, expected, allowed):
    pairs = enumerate(zip(found, expected, strict=True))
    return next((n for n, (f, e) in pairs if not (f - e).abs().max() <= allowed), None)


def mean(found, expected, allowed):
    pairs = enumerate(zip(found, expected, strict=True))
    return next((n for n, (f, e) in pairs if not (f - e).abs().mean() <= allowed), None)


def upwards(found, expected, allowed):
    pairs = enumerate(zip(found, expected, strict=True))
    return next((n for n, (f, e) in pairs if not ((f - e) / (1 + e.abs())).max() <= allowed), None)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (largest, "The \\*first\\* block"),
        (blind_to_nan, "NaN > allowed is false"),
        (absolute, "Divide by one plus"),
        (mean, "not the mean"),
        (upwards, "both ways"),
    ],
)
def test_first_apart_refuses(wrong, says):
    refuses(says, ch23.check_first_apart, wrong)


# Who looks ahead --------------------------------------------------------------------------------


def looks_ahead(states_of, tokens, other, places=None, reach=0, limit=1e-4):
    own, found = states_of(tokens), [False] * len(tokens)
    for place in places or range(1, len(tokens)):
        changed = states_of([*tokens[:place], other, *tokens[place + 1 :]])
        moved = (changed - own).abs().amax(-1) > limit
        for position in range(place + reach):
            found[position] |= bool(moved[position])
    return found


def test_looks_ahead():
    ch23.check_looks_ahead(looks_ahead)


def next_alone(states_of, tokens, other):
    own, found = states_of(tokens), [False] * len(tokens)
    for place in range(1, len(tokens)):
        changed = states_of([*tokens[:place], other, *tokens[place + 1 :]])
        found[place - 1] = bool((changed - own)[place - 1].abs().max() > 1e-4)
    return found


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s, t, o: looks_ahead(s, t, o, places=[len(t) - 1]), "Change every later token"),
        (next_alone, "Change every later token"),
        (lambda s, t, o: looks_ahead(s, t, o, reach=1), "own change is not a later"),
        (lambda s, t, o: looks_ahead(s, t, o, limit=0), "small differences are rounding"),
        (lambda s, t, o: [True] * 8, "own change is not a later"),
        (lambda s, t, o: s(t[:-1]), "run all 8 tokens"),
        (lambda s, t, o: looks_ahead(s, t, o)[:-1], "one boolean for each"),
        (lambda s, t, o: None, "returns nothing"),
    ],
)
def test_looks_ahead_refuses(wrong, says):
    refuses(says, ch23.check_looks_ahead, wrong)
