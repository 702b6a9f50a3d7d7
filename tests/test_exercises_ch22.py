"""The checks of chapter 22: they pass the solution, and tell what is wrong with what is wrong."""

import numpy as np
import pytest
from scipy.stats import binom

from helpers.exercises import ch22
from helpers.widgets import Push


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


def clipped(value):
    return int(np.clip(round(value), 0, 3))


def test_cell():
    ch22.check_cell(lambda right, down: (clipped(down), clipped(right)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda right, down: (clipped(right), clipped(down)), "the row comes first"),
        (lambda right, down: (round(down), round(right)), "no such cell"),
        (lambda right, down: (int(np.clip(down, 0, 3)), int(np.clip(right, 0, 3))), "cuts off"),
        (lambda right, down: (down, right), "whole numbers"),
        (lambda right, down: None, "returns nothing"),
    ],
)
def test_cell_refuses(wrong, says):
    refuses(says, ch22.check_cell, wrong)


def gentlest(play, targets, block, doses):
    seen = play.see_all([Push(targets, block, dose) for dose in doses])
    turned = [one.push.dose for one in seen if one.log_odds[0] * one.log_odds[1] < 0]
    return min(turned, default=None)


def test_gentlest():
    ch22.check_gentlest(gentlest)


def one_by_one(play, targets, block, doses):
    for dose in sorted(doses):
        before, after = play.see(Push(targets, block, dose)).log_odds
        if before * after < 0:
            return dose
    return None


def below_zero(play, targets, block, doses):
    seen = play.see_all([Push(targets, block, dose) for dose in doses])
    return min((one.push.dose for one in seen if one.log_odds[1] < 0), default=None)


def lowest(play, targets, block, doses):
    seen = play.see_all([Push(targets, block, dose) for dose in doses])
    return min(seen, key=lambda one: one.log_odds[1]).push.dose


def elsewhere(play, targets, block, doses):
    return gentlest(play, targets, block - 1, doses)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_by_one, "asked [2-9] times"),
        (below_zero, "still that of before"),
        (lowest, "where the belief is lowest"),
        (elsewhere, "after block 5"),
        (lambda *_: None, "whichever sign it had"),
    ],
)
def test_gentlest_refuses(wrong, says):
    refuses(says, ch22.check_gentlest, wrong)


def arrives(values, position):
    column = values[:, position]
    return int(np.argmax(column >= column.max() / 2)) if column.max() > 0 else None


def test_arrives():
    ch22.check_arrives(arrives)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda v, p: int(np.argmax(v[:, p] >= v[:, p].max() / 2)), "there is no arrival"),
        (lambda v, p: int(v[:, p].argmax()) if v[:, p].max() > 0 else None, "half as large"),
        (lambda v, p: next((d for d, x in enumerate(v[:, p]) if x >= 0.5), None), "its own"),
        (lambda v, p: arrives(v, p + 1 - 1) if v[0, p] else None, "the first depth"),
    ],
)
def test_arrives_refuses(wrong, says):
    refuses(says, ch22.check_arrives, wrong)


def settles(log_odds):
    same = np.sign(log_odds) == np.sign(log_odds[-1])
    other = np.flatnonzero(~same)
    return int(other[-1]) + 1 if len(other) else 0


def test_settles():
    ch22.check_settles(settles)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda o: int(np.argmax(np.sign(o) == np.sign(o[-1]))), "changes its mind again"),
        (lambda o: int(np.argmax(np.abs(o))), "where it is surest"),
        (lambda o: settles(o) - 1, "one too early"),
        (lambda o: None, "returns nothing"),
    ],
)
def test_settles_refuses(wrong, says):
    refuses(says, ch22.check_settles, wrong)


def courier(pattern, own, patches):
    looks = pattern[:, :, own].sum(-1)
    return np.unravel_index(looks.argmax(), looks.shape)


def test_courier():
    ch22.check_courier(courier)


def by_share(pattern, own, patches):
    looks = pattern[:, :, own].sum(-1) / pattern[:, :, patches].sum(-1)
    return np.unravel_index(looks.argmax(), looks.shape)


def at_pictures(pattern, own, patches):
    looks = pattern[:, :, patches].sum(-1)
    return np.unravel_index(looks.argmax(), looks.shape)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (by_share, "divided by what falls on the picture"),
        (at_pictures, "looks at the picture most"),
        (lambda p, own, patches: (5, 0), "no head"),
        (lambda p, own, patches: None, "return two numbers"),
    ],
)
def test_courier_refuses(wrong, says):
    refuses(says, ch22.check_courier, wrong)


# Luck -------------------------------------------------------------------------------------------


def luck(tried, rate, scenes, hits):
    return min(1.0, tried * float(binom.sf(hits - 1, scenes, rate)))


def test_luck():
    ch22.check_luck(luck)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda t, r, n, k: luck(1, r, n, k), "You chose it among several"),
        (lambda t, r, n, k: min(1, t * binom.sf(k, n, r)), "themselves count, too"),
        (lambda t, r, n, k: min(1, t * binom.pmf(k, n, r)), "or more"),
        (lambda t, r, n, k: t * binom.sf(k - 1, n, r), "no more than 1"),
        (lambda t, r, n, k: r**k, "times the pushes that you tried"),
        (lambda t, r, n, k: None, "returns nothing"),
    ],
)
def test_luck_refuses(wrong, says):
    with pytest.raises(AssertionError, match=says):
        ch22.check_luck(wrong)
