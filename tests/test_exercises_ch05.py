"""The checks of chapter 5: they pass the solution, and tell what is wrong with what is wrong."""

import numpy as np
import pytest
import torch

from helpers import geometry
from helpers.exercises import ch05


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


def nothing(*_):
    return None


# A map of nothing -------------------------------------------------------------------------------


def two_shares(train, test, site):
    axes = train.axes(site)
    return tuple(geometry.plane_share(ids.mean(site), axes) for ids in (train, test))


def test_two_shares():
    ch05.check_two_shares(two_shares)


def own_axes(train, test, site):
    return tuple(geometry.plane_share(ids.mean(site), ids.axes(site)) for ids in (train, test))


def both_held_out(train, test, site):
    share = geometry.plane_share(test.mean(site), train.axes(site))
    return share, share


def single_pairs(train, test, site):
    """Every pair's own IDs, which hold more than the mean does."""
    axes = train.axes(site)
    return tuple(geometry.plane_share(ids.at(site), axes) for ids in (train, test))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (own_axes, "the share from the test IDs alone"),
        (lambda *given: two_shares(*given)[::-1], "Do the axes come from the training IDs alone"),
        (both_held_out, "in-sample share must be about"),
        (single_pairs, "the mean IDs of the pairs"),
        (lambda *given: two_shares(*given)[:1], "return two numbers"),
        (lambda *given: [100 * share for share in two_shares(*given)], "between 0 and 1"),
        (nothing, "returns nothing"),
    ],
)
def test_two_shares_refuses(wrong, says):
    refuses(says, ch05.check_two_shares, wrong)


# The best that any map could do -----------------------------------------------------------------


def ceiling(ids):
    own = (ids - ids.mean(0)).square().sum() / (len(ids) - 1)
    return 1 - own / ids.square().sum((1, 2, 3)).mean()


def test_ceiling():
    ch05.check_ceiling(ceiling)


def with_itself(ids):
    return 1 - (ids - ids.mean(0)).square().sum() / ids.square().sum()


def without_itself(ids):
    others = (ids.sum(0, keepdim=True) - ids) / (len(ids) - 1)
    return 1 - (ids - others).square().sum() / ids.square().sum()


def pair_by_pair(ids):
    own = (ids - ids.mean(0)).square().sum((1, 2, 3)) * len(ids) / (len(ids) - 1)
    return (1 - own / ids.square().sum((1, 2, 3))).mean()


def half_and_half(ids):
    """Means of two halves: how well the shared map is known, which is another question."""
    one, other = ids[: len(ids) // 2].mean(0), ids[len(ids) // 2 :].mean(0)
    return 1 - (one - other).square().sum() / other.square().sum()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (with_itself, "misses too little"),
        (without_itself, "noise of its own"),
        (pair_by_pair, "the mean of each pair's own R2"),
        (half_and_half, "each pair's own"),
        (lambda ids: 1 - ids.var(0).sum() / ids.mean(0).square().sum(), "each pair's own"),
        (nothing, "returns nothing"),
    ],
)
def test_ceiling_refuses(wrong, says):
    refuses(says, ch05.check_ceiling, wrong)


# Axes by least squares --------------------------------------------------------------------------


def column_axis(ids):
    steps = torch.arange(ids.shape[1]) - (ids.shape[1] - 1) / 2
    return (steps @ ids.mean(0)) / steps.square().sum()


def test_axis():
    ch05.check_axis(column_axis)


def neighbours(ids):
    return (ids[:, 1:] - ids[:, :-1]).mean((0, 1))


def with_zeros(ids):
    """Differences of all columns with all columns, those with themselves among them."""
    steps = [ids[:, j] - ids[:, i] for i in range(ids.shape[1]) for j in (i, min(i + 1, 4))]
    return torch.stack(steps).mean((0, 1))


def uncentred(ids):
    steps = torch.arange(ids.shape[1]).float()
    return (steps @ ids.mean(0)) / steps.square().sum()


def first_row(ids):
    return column_axis(ids[:1])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (neighbours, "the mean of neighbouring differences cancels"),
        (with_zeros, "zero differences"),
        (uncentred, "must be one cell long"),
        (first_row, "not the least-squares slope"),
        (lambda ids: column_axis(ids.transpose(0, 1)), "does it run along the rows"),
        (lambda ids: -column_axis(ids), "points left"),
        (lambda ids: column_axis(ids)[None], "a tensor of shape"),
        (nothing, "returns nothing"),
    ],
)
def test_axis_refuses(wrong, says):
    refuses(says, ch05.check_axis, wrong)


# A surprising cosine ----------------------------------------------------------------------------


def test_surprising():
    ch05.check_surprising(lambda width: 1.96 / width**0.5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda width: 1.96 / width, "squares"),
        (lambda width: width**-0.5, "one standard deviation"),
        (lambda width: 1.645 / width**0.5, "on one side"),
        (lambda width: (2 / np.pi / width) ** 0.5, "the mean size"),
        (lambda width: 0.05, "one coordinate of a vector"),
        (nothing, "returns nothing"),
    ],
)
def test_surprising_refuses(wrong, says):
    refuses(says, ch05.check_surprising, wrong)


# The same shape ---------------------------------------------------------------------------------


def procrustes(a, b, reflect=True, scale=True):
    """What turns centred points onto others."""
    u, s, v = np.linalg.svd(a.T @ b, full_matrices=False)
    return (s.sum() / (a**2).sum() if scale else 1.0) * u @ v


def regression(a, b):
    return np.linalg.lstsq(a, b, rcond=None)[0]


def same_shape(one, other, turn=procrustes, left_out=True):
    x, y = (geometry.as_cells(ids)[1].astype(float) for ids in (one, other))
    missed = total = 0.0
    for cell in range(len(x)):
        kept = np.arange(len(x)) != cell if left_out else slice(None)
        middles = x[kept].mean(0), y[kept].mean(0)
        sides = []
        for part, middle in zip((x, y), middles, strict=True):
            u, s, v = np.linalg.svd(part[kept] - middle, full_matrices=False)
            sides.append(((u * s)[:, :-1], v[:-1]))
        (a, basis), (b, target) = sides
        guess = middles[1] + (x[cell] - middles[0]) @ basis.T @ turn(a, b) @ target
        missed += ((y[cell] - guess) ** 2).sum()
        total += ((y[cell] - middles[1]) ** 2).sum()
    return 1 - missed / total


def test_same_shape():
    ch05.check_same_shape(same_shape)


def in_sample(one, other):
    return same_shape(one, other, left_out=False)


def by_regression(one, other):
    return same_shape(one, other, turn=regression)


def without_scale(one, other):
    return same_shape(one, other, turn=lambda a, b: procrustes(a, b, scale=False))


def sorted_distances(one, other):
    """Compares how far cells are from each other, whichever cells they are."""
    x, y = (np.sort(torch.pdist(ids.reshape(16, -1)).numpy()) for ids in (one, other))
    return np.corrcoef(x, y)[0, 1]


def without_turning(one, other):
    width = min(one.shape[-1], other.shape[-1])
    one, other = one[..., :width], other[..., :width]
    return 1 - (other - one).square().sum() / other.square().sum()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (in_sample, "among those that you turned with"),
        (by_regression, "A regression stretches"),
        (without_scale, "One factor for the size"),
        (sorted_distances, "any sixteen points"),
        (without_turning, "Turn the one onto the other"),
        (nothing, "returns nothing"),
    ],
)
def test_same_shape_refuses(wrong, says):
    refuses(says, ch05.check_same_shape, wrong)
