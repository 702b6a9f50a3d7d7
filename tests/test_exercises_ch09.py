"""The checks of chapter 9: they pass the solution, and tell what is wrong with what is wrong."""

import itertools

import numpy as np
import pytest

from helpers.exercises import ch09


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# What counts ------------------------------------------------------------------------------------


def test_clean_swaps():
    def right(before, after, valid):
        return np.where(before < 0, ((after > 0) & valid).astype(float), np.nan)

    ch09.check_clean_swaps(right)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda b, a, v: (b * a < 0).astype(float), "the sign of its belief is not said"),
        (lambda b, a, v: ((b * a < 0) & v).astype(float), "went against the push"),
        (lambda b, a, v: ((b < 0) & (a > 0) & v).astype(float), "leave the denominator"),
        (lambda b, a, v: np.where(b < 0, (a > 0) * 1.0, np.nan), "the sign of its belief"),
        (lambda b, a, v: np.where(b > 0, (a < 0) * 1.0, np.nan), "Right is below zero"),
        (lambda b, a, v: float(np.mean((b < 0) & (a > 0) & v)), "the mean comes later"),
        (lambda b, a, v: None, "returns nothing"),
    ],
)
def test_clean_swaps_refuses(wrong, says):
    refuses(says, ch09.check_clean_swaps, wrong)


# From a factor to a dose ------------------------------------------------------------------------


def test_dose_for():
    ch09.check_dose_for(lambda f, v, s, p: float(f * s[p].norm() / v.norm()))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda f, v, s, p: f * s.norm() / v.norm(), "all positions at once"),
        (lambda f, v, s, p: f * s.norm(dim=-1).mean() / v.norm(), "averaged over positions"),
        (lambda f, v, s, p: f * s[p].norm(), "a unit of dose brings"),
        (lambda f, v, s, p: f * v.norm() / s[p].norm(), "Upside down"),
        (lambda f, v, s, p: f, "must be factor"),
        (lambda f, v, s, p: f * s[p].norm() * v, "one number"),
        (lambda f, v, s, p: None, "returns nothing"),
    ],
)
def test_dose_for_refuses(wrong, says):
    refuses(says, ch09.check_dose_for, wrong)


# Both ways --------------------------------------------------------------------------------------


def test_both_ways():
    ch09.check_both_ways(lambda t: float(t.groupby(["kind", "toward"])["clean"].mean().min()))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda t: t["clean"].mean(), "hides a stuck model"),
        (lambda t: t.groupby("toward")["clean"].mean().min(), "pooled the kinds"),
        (lambda t: t.groupby("kind")["clean"].mean().min(), "two directions"),
        (lambda t: t.fillna(0).groupby(["kind", "toward"])["clean"].mean().min(), "NaN left out"),
        (lambda t: t.groupby(["kind", "toward"])["clean"].mean(), "one number"),
        (lambda t: None, "returns nothing"),
    ],
)
def test_both_ways_refuses(wrong, says):
    refuses(says, ch09.check_both_ways, wrong)


# Pick on one set, report on another -------------------------------------------------------------


def picked(choose, report, count):
    return float(report[:, np.argsort(choose.mean(0))[-count:]].mean())


def test_picked():
    ch09.check_picked(picked)


def in_place(choose, report, count):
    found = picked(choose, report, count)
    report[:] = 0
    return found


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda c, r, n: picked(r, r, n), "its luck is in the number"),
        (lambda c, r, n: picked(c, c, n), "where they were picked"),
        (lambda c, r, n: float(r[:, np.argsort(c.mean(0))[:n]].mean()), "fewest swaps"),
        (lambda c, r, n: picked(c, r, 1), "not one"),
        (lambda c, r, n: r[:, np.argsort(c.mean(0))[-n:]].mean(0), "one number"),
        (in_place, "changed the arrays"),
        (lambda c, r, n: None, "returns nothing"),
    ],
)
def test_picked_refuses(wrong, says):
    refuses(says, ch09.check_picked, wrong)


# What survives ----------------------------------------------------------------------------------


def lowest(table, join=min, ranked=True, flat=0.0):
    ranks = table.rank(axis=1) if ranked else table
    found = [
        ranks.loc[one].corr(ranks.loc[other])
        for one, other in itertools.combinations(table.index, 2)
    ]
    return float(join([flat if np.isnan(value) else value for value in found]))


def test_survives():
    ch09.check_survives(lowest)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda t: lowest(t, join=np.mean), "one pair that disagrees is enough"),
        (lambda t: lowest(t, ranked=False), "Correlate ranks"),
        (lambda t: lowest(t, flat=1.0), "count that pair as 0"),
        (lambda t: lowest(t, join=np.max, flat=np.nan), "wanted -1"),
        (lambda t: None, "returns nothing"),
    ],
)
def test_survives_refuses(wrong, says):
    refuses(says, ch09.check_survives, wrong)
