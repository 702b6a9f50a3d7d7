"""The checks of chapter 4: they pass the solution, and tell what is wrong with what is wrong."""

import pytest
import torch
from zoo import ZOO

from helpers import load_vlm
from helpers.exercises import ch04
from helpers.geometry import cosine


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


def nothing(*_):
    return None


# IDs by hand ------------------------------------------------------------------------------------


def by_hand(states):
    averaged = states.mean(1)
    return (averaged - averaged.mean((1, 2), keepdim=True)).mean(0)


@pytest.mark.parametrize("family", ["shipped", "qwen2_vl"])
def test_by_hand(vlm, family):
    ch04.check_by_hand(by_hand, vlm if family == "shipped" else load_vlm(*ZOO[family]()))


def centred_over_pairs(states):
    averaged = states.mean(1)
    return (averaged - averaged.mean(0)).mean(0)


def centred_in_each_row(states):
    averaged = states.mean(1)
    return (averaged - averaged.mean(2, keepdim=True)).mean(0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda states: states.mean((0, 1)), "subtract each pair's mean"),
        (lambda states: by_hand(states[:, :1]), "Is every partner in your average"),
        (centred_over_pairs, "you subtracted the mean over pairs"),
        (centred_in_each_row, "not one for every row or column"),
        (lambda states: states.mean(1), "keep rows and columns"),
        (nothing, "returns nothing"),
    ],
)
def test_by_hand_refuses(vlm, wrong, says):
    refuses(says, ch04.check_by_hand, wrong, vlm)


# Split-half reliability -------------------------------------------------------------------------


def split_half(one, other):
    return float(cosine(one.mean(0), other.mean(0)).mean())


def test_split_half():
    ch04.check_split_half(split_half)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda a, b: float(cosine(a, b).mean()), "average over the pairs of a half first"),
        (lambda a, b: float(cosine(a.mean(0), b.mean(0)).abs().mean()), "opposite halves"),
        (lambda a, b: cosine(a.mean(0).flatten(), b.mean(0).flatten()), "Every cell has one vote"),
        (lambda a, b: (a.mean(0) * b.mean(0)).sum(-1).mean(), "the same agree at 1"),
        (nothing, "returns nothing"),
    ],
)
def test_split_half_refuses(wrong, says):
    refuses(says, ch04.check_split_half, wrong)


# How far below zero -----------------------------------------------------------------------------


def test_wrong_cell():
    ch04.check_wrong_cell(lambda cells: -1 / (cells - 1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda cells: 0.0, "at right angles"),
        (lambda cells: 1 / (cells - 1), "which side of zero"),
        (lambda cells: -1 / cells, "How many \\*others\\*"),
        (lambda cells: -1, "cannot be all of them"),
        (lambda cells: -1 / 15, "squared length of the sum"),
        (nothing, "returns nothing"),
    ],
)
def test_wrong_cell_refuses(wrong, says):
    refuses(says, ch04.check_wrong_cell, wrong)


# IDs for any place ------------------------------------------------------------------------------


def at_place(mean, row, column):
    def hat(place, count):
        return (1 - (torch.arange(count) - place).abs()).clamp(min=0)

    weights = torch.outer(hat(row, mean.shape[0]), hat(column, mean.shape[1]))
    return torch.einsum("rc,rcd->d", weights, mean)


def test_interpolate():
    ch04.check_interpolate(at_place)


def nearest(mean, row, column):
    return mean[round(row), round(column)]


def exchanged(mean, row, column):
    return at_place(mean.transpose(0, 1), row, column)


def by_distance(mean, row, column):
    """Weights one over the distance to the four nearest centres."""
    low = min(int(row), mean.shape[0] - 2), min(int(column), mean.shape[1] - 2)
    cells = [(low[0] + i, low[1] + j) for i in (0, 1) for j in (0, 1)]
    weights = torch.tensor([1 / (1e-9 + (row - r) ** 2 + (column - c) ** 2) for r, c in cells])
    return sum(w * mean[cell] for w, cell in zip(weights / weights.sum(), cells, strict=True))


def without_the_edge(mean, row, column):
    """Leaves out the last row and column, as a loop over lower corners may."""
    inner = torch.zeros_like(mean)
    inner[:-1, :-1] = mean[:-1, :-1]
    return at_place(inner, row, column)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (nearest, "that of the nearest cell"),
        (exchanged, "Rows and columns are exchanged"),
        (by_distance, "in a line"),
        (without_the_edge, "sum to 0.00 there"),
        (nothing, "returns nothing"),
    ],
)
def test_interpolate_refuses(wrong, says):
    refuses(says, ch04.check_interpolate, wrong)


# Absolute or relative ---------------------------------------------------------------------------


def code_of(own, both, partner):
    ruler = own.mean(0)
    one, other = (
        float(change.mean(0) @ ruler / ruler.square().sum()) for change in (both, partner)
    )
    return one, -other


def test_code():
    ch04.check_code(code_of)


def by_cosine(own, both, partner):
    own = own.mean(0)
    return float(cosine(both.mean(0), own)), -float(cosine(partner.mean(0), own))


def by_length(own, both, partner):
    own = own.mean(0)
    return float(both.mean(0).norm() / own.norm()), float(partner.mean(0).norm() / own.norm())


def one_by_one(own, both, partner):
    def part(change):
        return float(((change * own).sum(-1) / own.square().sum(-1)).mean())

    return part(both), -part(partner)


def the_rest(own, both, partner):
    absolute, _ = code_of(own, both, partner)
    return absolute, 1 - absolute


def in_its_own_units(own, both, partner):
    unit = own.mean(0) / own.mean(0).norm()
    return float(both.mean(0) @ unit), -float(partner.mean(0) @ unit)


def toward_the_partner(own, both, partner):
    absolute, relative = code_of(own, both, partner)
    return absolute, -relative


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (by_cosine, "A cosine has no size"),
        (by_length, "A length counts all"),
        (one_by_one, "Average first"),
        (the_rest, "One is not 1 minus the other"),
        (in_its_own_units, "Measure in own steps"),
        (toward_the_partner, "the sign"),
        (lambda *changes: code_of(*changes)[0:1], "two numbers"),
        (nothing, "returns nothing"),
    ],
)
def test_code_refuses(wrong, says):
    refuses(says, ch04.check_code, wrong)
