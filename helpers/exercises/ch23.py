"""Checks for the exercises of chapter 23, "Bring your own model"."""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import torch
from torch import nn

from helpers.grids import Layout, View

# Find the decoder -------------------------------------------------------------------------------


class _Stack(nn.Module):
    """Blocks under some name, with parts before and behind them."""

    def __init__(self, name: str, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 2)
        self.add_module(name, blocks)
        self.norm = nn.LayerNorm(2)


class _Model(nn.Module):
    """A vision tower and a decoder, listed in either order."""

    def __init__(self, decoder: nn.Module, tower: nn.Module, tower_first: bool) -> None:
        super().__init__()
        parts = {"language": decoder, "vision": tower}
        for name in sorted(parts, reverse=tower_first):
            self.add_module(name, parts[name])

    def get_decoder(self) -> nn.Module:
        return self.language


def _plain(count: int) -> nn.ModuleList:
    return nn.ModuleList([nn.Linear(2, 2) for _ in range(count)])


def _with_experts(count: int) -> nn.ModuleList:
    blocks = [nn.ModuleDict({"experts": _plain(5)}) for _ in range(count)]
    return nn.ModuleList(blocks)


def check_find_blocks(find_blocks: Callable[[nn.Module], nn.ModuleList]) -> None:
    """Check ``model -> the decoder's blocks``.

    Raises:
        AssertionError: with the model on which it failed.
    """
    cases = (
        ("the tower is listed first", _Stack("layers", _plain(3)), 3, True),
        ("the decoder is listed first", _Stack("layers", _plain(2)), 4, False),
        ("the list is called 'h'", _Stack("h", _plain(3)), 3, True),
        ("blocks hold lists of experts", _Stack("blocks", _with_experts(3)), 6, False),
    )
    for name, decoder, tower, first in cases:
        seen = _Stack("layers", _plain(tower))
        model = _Model(decoder, seen, first)
        wanted = next(part for part in decoder.children() if isinstance(part, nn.ModuleList))
        got = find_blocks(model)
        assert got is not None, f"{name}: the function returns nothing. Does it look at all lists?"
        assert isinstance(got, nn.ModuleList), f"return the nn.ModuleList, not {type(got).__name__}"
        if got is wanted:
            continue
        told = f"{name}: these are not the decoder's blocks. "
        if any(got is part for part in seen.modules()):
            told += "They are the vision tower's: begin at model.get_decoder(), not at the model"
        elif any(got is part for part in wanted.modules()):
            told += "They are inside of a block: take the outermost list"
        raise AssertionError(told)
    print("Correct: the decoder's own list, whatever it is called and wherever it stands.")


# From text to patches ---------------------------------------------------------------------------


def _ovis_layout(rows: int, columns: int, each: int, size: tuple[int, int]) -> Layout:
    """What the processor of Ovis2 makes of a picture that it cuts into rows and columns."""
    atoms = ["<IMG_ATOM>"] * each
    tokens = ["<s>", "USER:", "<IMG_START>", *atoms, "<IMG_GRID>"]
    if rows * columns > 1:
        for row in range(rows):
            for column in range(columns):
                tokens += atoms + ["<IMG_COL>"] * (column < columns - 1)
            tokens += ["<IMG_ROW>"] * (row < rows - 1)
    tokens += ["<IMG_END>", "Where?"]
    places = [place for place, token in enumerate(tokens) if token == "<IMG_ATOM>"]
    processor = SimpleNamespace(image_seq_length=each)
    return Layout(None, processor, {}, size, places, "".join(tokens))


def check_ovis_views(views: Callable[[Layout], tuple[View, ...]]) -> None:
    """Check ``layout -> views`` of Ovis2.

    Raises:
        AssertionError: with the picture on which it failed and what is probably wrong.
    """
    cases = (
        ("a small picture", 1, 1, 4, (28, 28)),
        ("two rows of two tiles", 2, 2, 4, (90, 90)),
        ("a wide picture, cut into three rows of one tile", 3, 1, 4, (240, 80)),
        ("a tall picture, cut into two columns", 1, 2, 9, (80, 200)),
        ("two rows of three tiles of nine patches", 2, 3, 9, (100, 100)),
    )
    for name, rows, columns, each, size in cases:
        layout = _ovis_layout(rows, columns, each, size)
        wanted = _ovis_views(layout, rows, columns, each)
        got = views(layout)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = tuple(got)
        assert len(got) == len(wanted), (
            f"{name}: {len(got)} views, not {len(wanted)}: the whole picture first, then the "
            "tiles, if there are any. A picture that is not cut has one view"
        )
        for number, (one, right) in enumerate(zip(got, wanted, strict=True)):
            which = f"{name}, " + (f"tile {number}: " if number else "the whole picture: ")
            assert isinstance(one, View), f"{which}a View, not {type(one).__name__}"
            _check_positions(which, tuple(one.positions), right, wanted, layout)
            assert tuple(one.grid) == right.grid, (
                f"{which}its grid is {right.grid} patches (the square root of image_seq_length "
                f"along each side), you say {tuple(one.grid)}"
            )
            if not torch.allclose(torch.tensor(one.box).double(), torch.tensor(right.box).double()):
                told = f"{which}it shows {_told(right.box)}, you say {_told(one.box)}. "
                if rows != columns:
                    told += f"The marks tell {rows} row(s) of {columns}: do not guess from the size"
                else:
                    told += "Tiles go row by row; a box is (left, top, right, bottom)"
                raise AssertionError(told)
    print("Correct: the places are read off what the processor wrote.")


def _check_positions(
    which: str, got: tuple, right: View, wanted: tuple[View, ...], layout: Layout
) -> None:
    if got == right.positions:
        return
    told = f"{which}wanted positions {right.positions}, got {got}. "
    if right is wanted[0] and got == wanted[-1].positions:
        told += "The whole picture comes first in the sequence, before <IMG_GRID>"
    elif set(got) - set(layout.places):
        told += "Some of them are marks between tiles: take them from layout.places, do not count"
    else:
        told += "layout.places holds the whole picture's patches, then those of each tile"
    raise AssertionError(told)


def _ovis_views(layout: Layout, rows: int, columns: int, each: int) -> tuple[View, ...]:
    side = round(each**0.5)
    parts = [tuple(layout.places[i : i + each]) for i in range(0, len(layout.places), each)]
    found = [View(parts[0], (side, side))]
    for number, part in enumerate(parts[1:]):
        row, column = divmod(number, columns)
        box = (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        found.append(View(part, (side, side), box))
    return tuple(found)


def _told(box: Sequence[float]) -> str:
    return "(" + ", ".join(f"{edge:.2f}" for edge in box) + ")"


# A picture that tells ---------------------------------------------------------------------------

Size = tuple[int, int]


def check_telling(
    telling: Callable[
        [Callable[[Size], Size], Callable[[Size], Size], Sequence[Size]], Size | None
    ],
) -> None:
    """Check ``(right, wrong, sizes) -> the first size that tells them apart``, or None.

    Raises:
        AssertionError: with what came out and what should have.
    """
    sizes = [(40, 40), (90, 90), (240, 80), (80, 240)]
    tiles = {(40, 40): (1, 1), (90, 90): (2, 2), (240, 80): (3, 1), (80, 240): (1, 3)}
    right = tiles.__getitem__
    cases = (
        ("rows and columns exchanged", lambda size: tiles[size][::-1], (240, 80)),
        ("never cuts anything", lambda size: (1, 1), (90, 90)),
        ("the same function", right, None),
        ("wrong for tall pictures alone", lambda s: (3, 1) if s[1] > s[0] else right(s), (80, 240)),
    )
    for name, wrong, wanted in cases:
        got = telling(right, wrong, list(sizes))
        if got == wanted:
            continue
        told = f"{name}: wanted {wanted}, got {got}. "
        if isinstance(got, int):
            told += "Return the size, not its number in the list"
        elif wanted and got is None and math.prod(right(wanted)) == math.prod(wrong(wanted)):
            told += "You compare the number of tiles: one row of three is not three rows of one"
        elif wanted is None:
            told += "Where nothing tells them apart, return None"
        elif got in sizes and right(got) != wrong(got):
            told += "It does tell them apart, but it is not the first"
        else:
            told += "On this size the two agree"
        raise AssertionError(told)
    print("Correct: a test needs a case on which right and wrong differ.")


# The first block that differs -------------------------------------------------------------------


def check_first_apart(
    first_apart: Callable[[list[torch.Tensor], list[torch.Tensor], float], int | None],
) -> None:
    """Check ``(found, expected, allowed) -> number of a block``, or None.

    Raises:
        AssertionError: with the case that failed.
    """
    generator = torch.Generator().manual_seed(0)
    expected = [torch.randn(5, 3, generator=generator) for _ in range(4)]

    def states(**changes: torch.Tensor) -> list[torch.Tensor]:
        found = [one.clone() for one in expected]
        for block, change in changes.items():
            found[int(block[1:])] += change
        return found

    large = [1000 + one for one in expected]
    nothing = torch.zeros(5, 3)
    spot, hole = nothing.clone(), nothing.clone()
    spot[2, 1], hole[4, 0] = 1.0, math.nan
    cases = (
        ("all equal", states(), expected, None),
        ("only rounding", states(b1=nothing + 1e-7), expected, None),
        ("from block 1 on, and more later", states(b1=spot, b2=9 * spot, b3=spot), expected, 1),
        ("one number, below the mean of the others", states(b2=0.001 * spot), expected, 2),
        ("rounding of large numbers", [one + 1e-3 for one in large], large, None),
        ("a difference downwards", states(b3=-spot), expected, 3),
        ("the very first block", states(b0=spot), expected, 0),
        ("a NaN", states(b1=hole), expected, 1),
    )
    for name, found, right, wanted in cases:
        got = first_apart(found, [one.clone() for one in right], 1e-4)
        if got == wanted and (got is None) == (wanted is None):
            continue
        told = f"{name}: wanted {wanted}, got {got}. "
        hints = {
            "from block 1 on, and more later": "The *first* block, not the one with the largest "
            "difference",
            "one number, below the mean of the others": "The largest difference, not the mean",
            "rounding of large numbers": "Divide by one plus the size of what was expected",
            "a difference downwards": "Differences go both ways: take their size",
            "the very first block": "Block 0 is a block, and `if block:` is false for it",
            "a NaN": "NaN > allowed is false: ask `not difference <= allowed`",
        }
        raise AssertionError(told + hints.get(name, "Nothing differs by more than is allowed"))
    print("Correct: where it begins to differ, the cause is near.")


# Who looks ahead --------------------------------------------------------------------------------


def check_looks_ahead(
    function: Callable[[Callable[[list[int]], torch.Tensor], list[int], int], Sequence[bool]],
) -> None:
    """Check ``(states_of, tokens, other) -> for each position, whether it sees a later token``.

    Raises:
        AssertionError: with how the model looks, and what was said about it.
    """
    length, other = 8, 9
    causal = torch.ones(length, length).tril()
    prefix, block, far = causal.clone(), causal.clone(), causal.clone()
    prefix[:5, :5] = 1  # a question whose words see each other, as PaliGemma's do
    block[2:5, 2:5] = 1  # a picture in the middle, as Gemma 3's
    far[1, 6] = 1
    models = {
        "every token sees what stands before it": causal,
        "every token sees all": torch.ones(length, length),
        "the first five see each other": prefix,
        "tokens 2 to 4 see each other": block,
        "token 1 sees token 6, and no other does": far,
    }
    embeddings = torch.randn(10, 6, generator=torch.Generator().manual_seed(0))
    noise = torch.Generator().manual_seed(1)
    for name, mask in models.items():

        def states_of(tokens: list[int], mask: torch.Tensor = mask) -> torch.Tensor:
            assert len(tokens) == length, f"run all {length} tokens, not {len(tokens)}"
            states = mask / mask.sum(1, keepdim=True) @ embeddings[list(tokens)]
            return states + 1e-6 * torch.randn(states.shape, generator=noise)  # rounding

        tokens = [3, 1, 4, 1, 5, 2, 6, 5]
        got = function(states_of, list(tokens), other)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert len(got) == length, f"one boolean for each of {length} tokens, not {len(got)}"
        wanted = [bool(mask[place, place + 1 :].any()) for place in range(length)]
        found = [bool(value) for value in got]
        if found == wanted:
            continue
        told = f"{name}: {_places(wanted)} look ahead, you found {_places(found)}. "
        if not any(wanted):
            told += "A token's own change is not a later one's; and small differences are rounding"
        elif sum(found) < sum(wanted):
            told += (
                "Change every later token, one after the other: each may be the one that is seen"
            )
        else:
            told += "Compare a position only with changes behind it"
        raise AssertionError(told)
    print("Correct: you know what an edit can reach.")


def _places(flags: Sequence[bool]) -> str:
    return ", ".join(str(place) for place, flag in enumerate(flags) if flag) or "none"
