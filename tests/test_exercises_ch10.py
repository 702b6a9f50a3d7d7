"""The checks of chapter 10: they pass the solution, and tell what is wrong with what is wrong."""

import numpy as np
import pytest
import torch

from helpers import stats
from helpers.exercises import ch10


def refuses(says, check, wrong):
    with pytest.raises(AssertionError, match=says):
        check(wrong)


# Turning a map ----------------------------------------------------------------------------------


def by_svd(grid, seed):
    generator = torch.Generator().manual_seed(seed)
    flat = grid.reshape(-1, grid.shape[-1])
    shape, sizes, _ = torch.linalg.svd(flat, full_matrices=False)
    noise = torch.randn(grid.shape[-1], len(sizes), generator=generator)
    return ((shape * sizes) @ torch.linalg.qr(noise).Q.T).reshape(grid.shape)


def by_matrix(grid, seed):
    noise = torch.randn(grid.shape[-1], grid.shape[-1], generator=torch.manual_seed(seed))
    return grid @ torch.linalg.qr(noise).Q


def exchanged_coordinates(grid, seed):
    order = torch.randperm(grid.shape[-1], generator=torch.Generator().manual_seed(seed))
    return grid[..., order]


def noise_for_each(grid, seed):
    noise = torch.randn(grid.shape, generator=torch.Generator().manual_seed(seed))
    return noise * (grid.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True))


def barely_turned(grid, seed):
    noise = 0.02 * torch.randn(grid.shape[-1], grid.shape[-1], generator=torch.manual_seed(seed))
    return grid @ torch.linalg.matrix_exp(noise - noise.T)


@pytest.mark.parametrize("right", [by_svd, by_matrix])
def test_turn(right):
    ch10.check_turn(right)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (noise_for_each, "no map"),
        (exchanged_coordinates, "exchanged coordinates"),
        (barely_turned, "still points"),
        (lambda grid, seed: by_svd(grid, 0), "two seeds"),
        (lambda grid, seed: by_svd(grid, torch.seed() % 1000), "the same seed"),
        (lambda grid, seed: by_svd(grid, seed)[0], "expected a tensor"),
        (lambda grid, seed: grid.mul_(-1), "changed"),
    ],
)
def test_turn_refuses(wrong, says):
    refuses(says, ch10.check_turn, wrong)


# Crossing ---------------------------------------------------------------------------------------


def crossing(columns, odds):
    for here in range(len(columns) - 1):
        now, then = odds[here], odds[here + 1]
        if now > 0 >= then:
            return columns[here] + now / (now - then) * (columns[here + 1] - columns[here])
    return float("nan")


def any_sign_change(columns, odds):
    (changes,) = np.nonzero(np.diff(np.sign(odds)))
    if not len(changes):
        return float("nan")
    at = changes[0]
    return columns[at] + odds[at] / (odds[at] - odds[at + 1]) * (columns[at + 1] - columns[at])


def next_column(columns, odds):
    (below,) = np.nonzero(odds <= 0)
    return columns[below[0]] if len(below) else float("nan")


def test_crossing():
    ch10.check_crossing(crossing)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (any_sign_change, "rises through zero"),
        (next_column, "straight line"),
        (lambda columns, odds: float(np.interp(0, -odds, columns)), "you say"),
        (lambda columns, odds: None, "return a number"),
        (lambda columns, odds: np.nan_to_num(crossing(columns, odds), nan=3.0), "return nan"),
        (lambda columns, odds: crossing(np.arange(4.0), odds), "you say"),
    ],
)
def test_crossing_refuses(wrong, says):
    refuses(says, ch10.check_crossing, wrong)


# The best step ----------------------------------------------------------------------------------


def best_step(truth):
    truth = np.asarray(truth)
    said = [np.arange(len(truth)) < cut for cut in range(len(truth) + 1)]
    return max(max(np.mean(one == truth), np.mean(one != truth)) for one in said)


def one_side_only(truth):
    truth = np.asarray(truth)
    return max(np.mean((np.arange(len(truth)) < cut) == truth) for cut in range(len(truth) + 1))


def test_best_step():
    ch10.check_best_step(best_step)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_side_only, "begin with yes or with no"),
        (lambda truth: max(np.mean(truth), 1 - np.mean(truth)), "change before or after"),
        (lambda truth: 1.0, "a hill changes it twice"),
    ],
)
def test_best_step_refuses(wrong, says):
    refuses(says, ch10.check_best_step, wrong)


# Inside minus outside ---------------------------------------------------------------------------


def by_scene(table):
    table = table[table["expected"] != 0]
    shares = table.groupby(["scene", "expected"])["yes"].mean().unstack()
    return stats.mean((shares[1] - shares[-1]).dropna())


def over_rows(table):
    means = table.groupby("expected")["yes"].mean()
    return stats.Interval(means[1] - means[-1], 0, 1, len(table))


def zeros_for_missing(table):
    shares = table.groupby(["scene", "expected"])["yes"].mean().unstack().fillna(0)
    return stats.mean(shares[1] - shares[-1])


def near_is_outside(table):
    inside = table[table["expected"] == 1].groupby("scene")["yes"].mean()
    outside = table[table["expected"] != 1].groupby("scene")["yes"].mean()
    return stats.mean((inside - outside).dropna())


def test_inside_minus_outside():
    ch10.check_inside_minus_outside(by_scene)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (over_rows, "over all rows"),
        (zeros_for_missing, "have no difference"),
        (near_is_outside, "neither side"),
        (lambda table: by_scene(table).estimate, "return what stats.mean returns"),
    ],
)
def test_inside_minus_outside_refuses(wrong, says):
    refuses(says, ch10.check_inside_minus_outside, wrong)


# Beyond the edge --------------------------------------------------------------------------------


def outside(mean, row, column, constant=1.0):
    rows, columns, width = mean.shape
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).to(mean)
    known = torch.cat([places, torch.full((len(places), 1), constant).to(mean)], 1)
    fit = torch.linalg.lstsq(known, mean.reshape(-1, width), driver="gelsd").solution
    return torch.tensor([row, column, constant]).to(mean) @ fit


def test_outside():
    ch10.check_outside(outside)


def nearest(mean, row, column):
    return mean[min(max(round(row), 0), 2), min(max(round(column), 0), 4)]


def without_offset(mean, row, column):
    return outside(mean, row, column) - outside(mean, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (nearest, "has no edge"),
        (lambda m, r, c: outside(m, c, r), "Rows and columns are exchanged"),
        (without_offset, "The offset is missing"),
        (lambda m, r, c: outside(m, r, c, constant=0.0), "with a constant"),
        (lambda m, r, c: outside(m, r, c)[None], "one vector"),
        (lambda m, r, c: None, "returns nothing"),
    ],
)
def test_outside_refuses(wrong, says):
    refuses(says, ch10.check_outside, wrong)
