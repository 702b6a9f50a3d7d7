"""The checks of chapter 14: they pass the solution, and tell what is wrong with what is wrong."""

import re

import numpy as np
import pytest
import torch

from helpers import stats
from helpers.exercises import ch14

cosine = torch.nn.functional.cosine_similarity


def refuses(says, check, wrong):
    with pytest.raises(AssertionError, match=says):
        check(wrong)


# What learns ------------------------------------------------------------------------------------


def test_learns():
    ch14.check_learns(lambda name: bool(re.search(r"\.vis\w*\..*\d+\.mlp\.", name)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda name: "mlp" in name, "in no block of the tower"),
        (lambda name: "vision_tower" in name and "mlp" in name, "however the family calls that"),
        (lambda name: ".mlp." in name and "merger" not in name, "the reader would learn"),
        (lambda name: ".vis" in name and "merger" not in name, "in no MLP"),
    ],
)
def test_learns_refuses(wrong, says):
    refuses(says, ch14.check_learns, wrong)


# The distance -----------------------------------------------------------------------------------


def test_distance():
    ch14.check_distance(lambda states, means, ids: 1 - cosine(states - means, ids, dim=-1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s, m, i: 1 - cosine(s, i, dim=-1), "So must the state be"),
        (lambda s, m, i: cosine(s - m, i, dim=-1), "That is the cosine"),
        (lambda s, m, i: 1 - cosine(s - m, i - m, dim=-1), "centred already"),
        (lambda s, m, i: (s - m - i).norm(dim=-1), "asks for the ID's length"),
        (lambda s, m, i: (1 - cosine(s - m, i, dim=-1)).mean(), "one number for each state"),
        (lambda s, m, i: 1 - cosine(s.detach() - m, i, dim=-1), "no gradient"),
        (lambda s, m, i: 1.0, "return a tensor"),
    ],
)
def test_distance_refuses(wrong, says):
    refuses(says, ch14.check_distance, wrong)


# The sampler ------------------------------------------------------------------------------------


def test_generator_for():
    ch14.check_generator_for(lambda seed, step: np.random.default_rng([seed, step]))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda seed, step: np.random.default_rng(seed), "several steps have the same"),
        (lambda seed, step: np.random.default_rng(step), "several seeds have the same"),
        (lambda seed, step: np.random.default_rng(seed + step), "not their sum"),
        (lambda seed, step: np.random.default_rng(), "asked for again"),
        (lambda seed, step: np.random, "return a numpy Generator"),
    ],
)
def test_generator_for_refuses(wrong, says):
    refuses(says, ch14.check_generator_for, wrong)


def test_generator_that_goes_on():
    generator = np.random.default_rng(0)
    refuses("asked for again", ch14.check_generator_for, lambda seed, step: generator)


# The interval -----------------------------------------------------------------------------------


def bootstrap(seeds, scenes):
    def over_both(table):
        rng, means = np.random.default_rng(0), []
        for _ in range(1000):
            rows = rng.integers(len(table), size=len(table)) if seeds else slice(None)
            columns = rng.integers(table.shape[1], size=table.shape[1]) if scenes else slice(None)
            means.append(table[rows][:, columns].mean())
        return stats.Interval(table.mean(), *np.quantile(means, [0.025, 0.975]), table.shape[1])

    return over_both


def cells(table):
    return stats.mean(table.ravel())


def test_over_both():
    ch14.check_over_both(bootstrap(True, True))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (bootstrap(False, True), "Draw whole seeds again as well"),
        (bootstrap(True, False), "draw whole scenes"),
        (cells, "draw whole scenes"),
        (lambda table: np.quantile(table, [0.025, 0.975]), "return a stats.Interval"),
        (lambda table: cells(table)._replace(estimate=np.median(table)), "mean of the table"),
        (
            lambda table: stats.Interval(table.mean(), *np.quantile(table, [0.025, 0.975]), 1),
            "about .* wide",
        ),
    ],
)
def test_over_both_refuses(wrong, says):
    refuses(says, ch14.check_over_both, wrong)


# Turned -----------------------------------------------------------------------------------------


def in_plane(ids, first, second, angle):
    x, y = ids @ first, ids @ second
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = (cos - 1) * x - sin * y, sin * x + (cos - 1) * y
    return ids + x[..., None] * first + y[..., None] * second


def turned(ids, axes, angle):
    first = axes[0] / axes[0].norm()
    second = axes[1] - (axes[1] @ first) * first
    return in_plane(ids, first, second / second.norm(), angle)


def test_turned():
    ch14.check_turned(turned)


def plane_alone(ids, axes, angle):
    found = turned(ids, axes, angle)
    q = torch.linalg.qr(axes.T).Q
    return found @ q @ q.T


def in_place(ids, axes, angle):
    return ids.copy_(turned(ids, axes, angle))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda i, a, angle: in_plane(i, a[0], a[1], angle), "lengths in the plane"),
        (lambda i, a, angle: in_plane(i, *torch.nn.functional.normalize(a), angle),
         "lengths in the plane"),
        (lambda i, a, angle: turned(i, a, -angle), "the other way"),
        (plane_alone, "what lies off the plane"),
        (in_place, "you changed the IDs"),
        (lambda i, a, angle: turned(i, a, angle)[0], "shape"),
        (lambda i, a, angle: None, "returns nothing"),
    ],
)  # fmt: skip
def test_turned_refuses(wrong, says):
    refuses(says, ch14.check_turned, wrong)
