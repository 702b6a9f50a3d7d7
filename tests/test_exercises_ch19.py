"""The checks of chapter 19: they pass the solution, and tell what is wrong with what is wrong."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from helpers.exercises import ch19


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Overlap of two spans ---------------------------------------------------------------------------


def cosines(one, other):
    return np.cos(subspace_angles(one.T.numpy(), other.T.numpy()))


def test_overlap():
    ch19.check_overlap(lambda a, b: float(np.mean(cosines(a, b) ** 2)))


def unit(vectors):
    return vectors / vectors.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda a, b: np.mean(cosines(a, b)), "Square the cosines"),
        (lambda a, b: np.min(cosines(a, b)) ** 2, "largest angle alone"),
        (lambda a, b: np.mean((unit(a) @ unit(b).T).square().sum(1).numpy()), "orthonormal"),
        (lambda a, b: cosines(a, b) ** 2, "one number"),
        (lambda a, b: None, "returns nothing"),
    ],
)
def test_overlap_refuses(wrong, says):
    refuses(says, ch19.check_overlap, wrong)


# Place, time, and the rest ----------------------------------------------------------------------


def two_way(table):
    centred = table - table.mean((0, 1))
    place, time = centred.mean(1), centred.mean(0)
    return place, time, centred - place[:, None] - time


def test_two_way():
    ch19.check_two_way(two_way)


def keeps_the_mean(table):
    place, time = table.mean(1), table.mean(0)
    return place, time, table - place[:, None] - time


def keeps_the_parts(table):
    place, time, _ = two_way(table)
    return place, time, table - table.mean((0, 1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (keeps_the_mean, "whole table away first"),
        (keeps_the_parts, "less its mean, the place part"),
        (lambda t: two_way(t)[:2], "three tensors"),
        (lambda t: (two_way(t)[1], two_way(t)[0], two_way(t)[2]), "place must be"),
        (lambda t: None, "returns nothing"),
    ],
)
def test_two_way_refuses(wrong, says):
    refuses(says, ch19.check_two_way, wrong)


# Weights of a path ------------------------------------------------------------------------------


def fit(*columns, places):
    return np.linalg.lstsq(np.column_stack(columns), places, rcond=None)[0]


def path_weights(paths, places):
    ones = np.ones(len(paths))
    return fit(paths[:, 0], paths[:, -1], paths.mean(1), ones, places=places)[:3]


def test_path_weights():
    ch19.check_path_weights(path_weights)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda p, x: fit(p[:, 0], p[:, -1], p.mean(1), places=x), "Without a constant"),
        (
            lambda p, x: fit(
                p[:, 0], p[:, -1], (p[:, 0] + p[:, -1]) / 2, np.ones(len(p)), places=x
            )[:3],
            "half way between",
        ),
        (lambda p, x: path_weights(p, x) / path_weights(p, x).sum(), "Do not make them sum"),
        (lambda p, x: fit(p[:, 0], p[:, -1], p.mean(1), 0 * x + 1, places=x), "three weights"),
        (lambda p, x: None, "returns nothing"),
    ],
)
def test_path_weights_refuses(wrong, says):
    refuses(says, ch19.check_path_weights, wrong)


# Which way it goes ------------------------------------------------------------------------------


def way(paths):
    return torch.from_numpy(np.sign(paths[:, -1] - paths[:, 0])).float()[:, None]


def test_motion():
    ch19.check_motion(lambda s, b, p: (way(p) * (s - b)).mean(0) / 2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s, b, p: (way(p) * (s - b)).mean(0), "forgot the half"),
        (lambda s, b, p: (way(p) * (b - s)).mean(0) / 2, "points to the left"),
        (lambda s, b, p: (s - b).mean(0) / 2, "left and right cancel"),
        (lambda s, b, p: (way(p) * s).mean(0), "reversed clips are needed"),
        (lambda s, b, p: way(p) * (s - b) / 2, "mean over clips"),
        (lambda s, b, p: None, "returns nothing"),
    ],
)
def test_motion_refuses(wrong, says):
    refuses(says, ch19.check_motion, wrong)


# Place, speed, acceleration ---------------------------------------------------------------------


def derivatives(states, paths, centred=True, twice=2, mean=True, constant=1.0):
    frames = paths.shape[1]
    time = np.arange(frames) - (frames - 1) / 2 * centred
    square, speed, middle = np.polyfit(time, paths.T, 2)
    known = [paths.mean(1) if mean else middle, speed, twice * square]
    known = np.column_stack([*known, np.full(len(paths), constant)])
    return torch.from_numpy(np.linalg.lstsq(known, states.numpy(), rcond=None)[0][:3])


def test_derivatives():
    ch19.check_derivatives(derivatives)


def one_by_one(states, paths):
    time = np.arange(paths.shape[1]) - (paths.shape[1] - 1) / 2
    square, speed, _ = np.polyfit(time, paths.T, 2)
    values = np.stack([paths.mean(1), speed, 2 * square])
    values = values - values.mean(1, keepdims=True)
    return torch.from_numpy(values @ states.numpy() / (values**2).sum(1)[:, None])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_by_one, "not three regressions"),
        (lambda s, p: derivatives(s, p, twice=1), "2c"),
        (lambda s, p: derivatives(s, p, mean=False), "not its value in the middle"),
        (lambda s, p: derivatives(s, p, centred=False), "t counts from the middle"),
        (lambda s, p: derivatives(s, p, constant=0.0), "has a constant"),
        (lambda s, p: derivatives(s, p)[:2], "return shape"),
        (lambda s, p: None, "returns nothing"),
    ],
)
def test_derivatives_refuses(wrong, says):
    refuses(says, ch19.check_derivatives, wrong)
