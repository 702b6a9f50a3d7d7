"""The checks of chapter 13: they pass the solution, and tell what is wrong with what is wrong."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from helpers.exercises import ch13


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Un-couple a plot -------------------------------------------------------------------------------


def test_uncoupled():
    ch13.check_uncoupled(lambda r, t, f: (r[f].mean(), t[~f & r].mean()))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda r, t, f: (r.mean(), t[~f & r].mean()), "You took all questions"),
        (lambda r, t, f: (r[~f].mean(), t[~f & r].mean()), "the second half"),
        (lambda r, t, f: (r[f].mean(), t[~f].mean()), "cannot be steered wrong"),
        (lambda r, t, f: (r[f].mean(), (t & r)[~f].mean()), "not the denominator"),
        (lambda r, t, f: (r[f].mean(), t[r].mean()), "both halves"),
        (lambda r, t, f: (r[f].mean(), t[f & r].mean()), "that gave the accuracy"),
        (lambda r, t, f: t[~f & r].mean(), "two numbers"),
        (lambda r, t, f: None, "returns nothing"),
    ],
)
def test_uncoupled_refuses(wrong, says):
    refuses(says, ch13.check_uncoupled, wrong)


# Bootstrap over models --------------------------------------------------------------------------


def bootstrap(x, y, rounds, seed, apart=False, method="spearman", replace=True, keep=False):
    rng, found = np.random.default_rng(seed), []
    for _ in range(rounds):
        one = rng.choice(len(x), len(x), replace=replace)
        other = rng.choice(len(x), len(x)) if apart else one
        with np.errstate(all="ignore"):
            found.append(pd.Series(x[one]).corr(pd.Series(y[other]), method=method))
    return (np.percentile if keep else np.nanpercentile)(found, [2.5, 97.5])


def test_spearman_interval():
    ch13.check_spearman_interval(bootstrap)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"apart": True}, "belong together"),
        ({"method": "pearson"}, "one far model makes it"),
        ({"replace": False}, "no width"),
        ({"keep": True}, "Leave these draws out"),
    ],
)
def test_spearman_interval_refuses(options, says):
    refuses(says, ch13.check_spearman_interval, lambda *given: bootstrap(*given, **options))


def test_spearman_interval_refuses_other_returns():
    refuses("two numbers", ch13.check_spearman_interval, lambda x, y, rounds, seed: 0.5)
    refuses("percentiles", ch13.check_spearman_interval, lambda x, y, rounds, seed: (-1.0, 0.2))


# Permutations -----------------------------------------------------------------------------------


def permutation(x, y, better=lambda found, own: found >= own - 1e-9):
    own = scipy_stats.spearmanr(x, y).statistic
    found = [scipy_stats.spearmanr(x, order).statistic for order in itertools.permutations(y)]
    return float(np.mean(better(np.array(found), own)))


def drawn(x, y):
    rng = np.random.default_rng(0)
    own = scipy_stats.spearmanr(x, y).statistic
    found = [scipy_stats.spearmanr(x, rng.permutation(y)).statistic for _ in range(300)]
    return float(np.mean(np.array(found) >= own - 1e-9))


def test_permutation_p():
    ch13.check_permutation_p(permutation)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda x, y: permutation(x, y, lambda f, o: f > o + 1e-9), "at least as high"),
        (lambda x, y: permutation(x, y, lambda f, o: abs(f) >= abs(o) - 1e-9), "a direction"),
        (drawn, "count them all"),
        (lambda x, y: 0.9, "Of all orders"),
        (lambda x, y: (0.1, 0.2), "one number"),
        (lambda x, y: None, "returns nothing"),
    ],
)
def test_permutation_p_refuses(wrong, says):
    refuses(says, ch13.check_permutation_p, wrong)


# Within and between -----------------------------------------------------------------------------


def split(x, y, family):
    table = pd.DataFrame({"x": x, "y": y, "family": family})
    means = table.groupby("family").transform("mean")
    apart = table[["x", "y"]] - means
    between = table.groupby("family").mean()
    return apart["x"].corr(apart["y"]), between["x"].corr(between["y"])


def averaged(x, y, family):
    table = pd.DataFrame({"x": x, "y": y, "family": family})
    with np.errstate(all="ignore"):
        each = [part["x"].corr(part["y"]) for _, part in table.groupby("family")]
    return np.mean(each), split(x, y, family)[1]


def weighted(x, y, family):
    means = pd.DataFrame({"x": x, "y": y, "family": family}).groupby("family").transform("mean")
    return split(x, y, family)[0], means["x"].corr(means["y"])


def test_within_and_between():
    ch13.check_within_and_between(split)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda x, y, f: split(x, y, f)[::-1], "the other way round"),
        (lambda x, y, f: (split(x, y, f)[0], np.corrcoef(x, y)[0, 1]), "all points at once"),
        (averaged, "A family of one"),
        (weighted, "each counted once"),
        (lambda x, y, f: (0.5, split(x, y, f)[1]), "subtract each family's mean"),
        (lambda x, y, f: split(x, y, f)[0], "two numbers"),
        (lambda x, y, f: None, "returns nothing"),
    ],
)
def test_within_and_between_refuses(wrong, says):
    refuses(says, ch13.check_within_and_between, wrong)


# How many models --------------------------------------------------------------------------------


def needed(correlation, power=0.8, add=3, quantile=True, curve=math.atanh):
    span = scipy_stats.norm.ppf(0.975) + quantile * scipy_stats.norm.ppf(power)
    return math.ceil((span / curve(correlation)) ** 2 + add)


def test_models_needed():
    ch13.check_models_needed(needed)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda r, power: needed(r, power, quantile=False), "quantile of the power"),
        (lambda r, power: needed(r, power, add=0), "add three"),
        (lambda r, power: needed(r, power, curve=float), "arctanh of the correlation"),
        (lambda r, power: 11, "models"),
        (lambda r, power: (10, 20), "one number"),
        (lambda r, power: None, "returns nothing"),
    ],
)
def test_models_needed_refuses(wrong, says):
    refuses(says, ch13.check_models_needed, wrong)


# Fooled -----------------------------------------------------------------------------------------


def fooled(sizes, spread, draws, seed, shared=False, each=False, level=0.05):
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(len(sizes)), sizes)
    if each:
        family = np.arange(len(family))
    parts = spread * rng.normal(size=(2, draws, family.max() + 1))[:, :, family]
    if shared:
        parts = parts[[0, 0]]
    x, y = parts + rng.normal(size=(2, draws, len(family)))
    p = scipy_stats.pearsonr(x, y, axis=1).pvalue
    return float(np.mean(p < level))


def test_fooled():
    ch13.check_fooled(fooled)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda *given: fooled(*given, shared=True), r"there \*is\* a relation"),
        (lambda *given: fooled(*given, each=True), "do not draw for each model"),
        (lambda *given: fooled(*given, level=0.1), "Two-sided"),
        (lambda s, spread, d, seed: fooled(s, 0, d, seed), "do not draw for each model"),
        (lambda *given: None, "returns nothing"),
    ],
)
def test_fooled_refuses(wrong, says):
    refuses(says, ch13.check_fooled, wrong)
