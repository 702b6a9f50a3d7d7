"""The checks of chapter 15: they pass the repaired function, and refuse the bug and its kin."""

import math

import numpy as np
import pytest

from helpers import stats
from helpers.exercises import ch15


def refuses(says, check, wrong):
    with pytest.raises(AssertionError, match=says):
        check(wrong)


# One name for one site --------------------------------------------------------------------------


def site_of(number, n_layers):
    if not 0 <= number < n_layers:
        raise ValueError(f"hidden_states[{number}] is no block's stream")
    return f"blocks.{number - 1}.hook_resid_post" if number else "blocks.0.hook_resid_pre"


def test_site():
    ch15.check_site(site_of)


def minus_one(number, n_layers):
    return f"blocks.{number - 1}.hook_resid_post"


def clamped(number, n_layers):
    return f"blocks.{max(number - 1, 0)}.hook_resid_post"


def unbounded(number, n_layers):
    return minus_one(number, n_layers) if number else "blocks.0.hook_resid_pre"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda number, n_layers: f"blocks.{number}.hook_resid_post", "one block late"),
        (minus_one, "what enters the first block"),
        (clamped, "what enters the first block"),
        (unbounded, "after the final norm"),
    ],
)
def test_site_refuses(wrong, says):
    refuses(says, ch15.check_site, wrong)


# All forms of an answer -------------------------------------------------------------------------


def score(logs, answer):
    forms = [v for token, v in logs.items() if token.strip().lower() == answer.lower()]
    if not forms:
        raise ValueError(f"no token spells {answer!r}")
    return math.log(sum(map(math.exp, forms)))


def one_form(logs, answer):
    return logs[" " + answer.lower()]


def some_forms(keep, combine):
    def wrong(logs, answer):
        return combine([value for token, value in logs.items() if keep(token, answer)])

    return wrong


def log_of_sum(values):
    return math.log(sum(map(math.exp, values)))


def same(token, answer):
    return token.strip().lower() == answer.lower()


def all_four(logs, answer):
    low, high = answer.lower(), answer.capitalize()
    return log_of_sum([logs[form] for form in (low, high, " " + low, " " + high)])


def test_score():
    ch15.check_score(score)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_form, "says"),
        (lambda logs, answer: logs[" " + answer.capitalize()], "one form alone"),
        (some_forms(same, max), "one form alone"),
        (some_forms(same, sum), "add probabilities"),
        (some_forms(lambda t, a: t.strip().lower().startswith(a.lower()), log_of_sum), "whole"),
        (some_forms(lambda t, a: a.lower() in t.lower(), log_of_sum), "whole words"),
        (all_four, "there is no token"),
        (some_forms(same, lambda values: log_of_sum(values) if values else -math.inf), "Refuse"),
    ],
)
def test_score_refuses(wrong, says):
    refuses(says, ch15.check_score, wrong)


# Steerability -----------------------------------------------------------------------------------


def by_sample(table):
    return table.groupby(["sample", "arm"])["swapped"].mean().unstack("arm")


def steerability(table):
    both = by_sample(table).dropna()
    return (both["IDs"] - both["noise"]).mean()


def pooled(table):
    means = table.groupby("arm")["swapped"].mean()
    return means["IDs"] - means["noise"]


def arms_apart(table):
    return by_sample(table)["IDs"].mean() - by_sample(table)["noise"].mean()


def seeds_pooled(table):
    both = set(table[table["arm"] == "IDs"]["sample"])
    return pooled(table[table["sample"].isin(both)])


def test_steerability():
    ch15.check_steerability(steerability)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda table: table[table["arm"] == "IDs"]["swapped"].mean(), "nothing is owed"),
        (lambda table: abs(steerability(table)), "Keep the sign"),
        (pooled, "only one arm"),
        (arms_apart, "only one arm"),
        (seeds_pooled, "seeds first"),
    ],
)
def test_steerability_refuses(wrong, says):
    refuses(says, ch15.check_steerability, wrong)


# Boxes ------------------------------------------------------------------------------------------


def box_where(keep, crowds=False, single=True):
    def find_box(annotations, name):
        found = [
            one["box"]
            for one in annotations
            if keep(one["name"], name) and (crowds or not one["iscrowd"])
        ]
        if not found or (single and len(found) > 1):
            raise ValueError(f"{len(found)} boxes of {name!r}")
        return found[0]

    return find_box


def exact(there, name):
    return there == name


def test_find_box():
    ch15.check_find_box(box_where(exact))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (box_where(lambda there, name: name in there, single=False), "hot dog"),
        (box_where(lambda there, name: there.split()[-1] == name, single=False), "hot dog"),
        (box_where(lambda there, name: there.startswith(name), single=False), "carrot"),
        (box_where(exact, crowds=True, single=False), "crowd"),
        (box_where(exact, single=False), "two cats"),
        (box_where(lambda there, name: name in there.split()), "you refuse it"),
        (lambda annotations, name: next(
            (o["box"] for o in annotations if o["name"] == name and not o["iscrowd"]), None
        ), "two cats"),
    ],
)  # fmt: skip
def test_find_box_refuses(wrong, says):
    refuses(says, ch15.check_find_box, wrong)


# Shares of variance -----------------------------------------------------------------------------


def centred(points):
    return points - points.mean(1, keepdims=True)


def share_in_plane(fit, judge):
    axes = np.linalg.svd(fit.reshape(-1, fit.shape[-1]), full_matrices=False)[2][:2]
    return ((judge @ axes.T) ** 2).sum() / (judge**2).sum()


def test_plane_share():
    ch15.check_plane_share(lambda train, test: share_in_plane(centred(train), centred(test)))
    ch15.check_plane_share(
        lambda train, test: share_in_plane(centred(train).mean(0), centred(test))
    )


def centred_as_one(points):
    return points - points.mean((0, 1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda train, test: share_in_plane(centred(test), centred(test)), "judged by"),
        (lambda train, test: share_in_plane(centred(train), centred(train)), "judged by"),
        (lambda train, test: share_in_plane(train, test), "judged by|own cells"),
        (lambda train, test: share_in_plane(centred(train), test), "own cells"),
        (lambda train, test: share_in_plane(centred_as_one(train), centred_as_one(test)), "own"),
        (lambda train, test: share_in_plane(train, centred(test)), "own cells"),
    ],
)
def test_plane_share_refuses(wrong, says):
    refuses(says, ch15.check_plane_share, wrong)


# Blurs ------------------------------------------------------------------------------------------


def blur_effect(objects, others):
    difference = objects - others.mean(1)
    return difference[~np.isnan(difference)].mean()


def test_blur_effect():
    ch15.check_blur_effect(blur_effect)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda objects, others: np.nanmean(objects - others.max(1)), "no fair opponent"),
        (lambda objects, others: np.nanmean(objects - others.min(1)), "no fair opponent"),
        (lambda objects, others: np.nanmean(objects - np.median(others, 1)), "mean 1"),
        (lambda objects, others: (objects - others.mean(1)).mean(), "NaN of everything"),
        (lambda objects, others: np.nan_to_num(objects - others.mean(1)).mean(), "2.5"),
        (lambda objects, others: np.nanmean(objects) - np.nanmean(others), "2.5"),
        (lambda objects, others: np.nanmean(objects - np.nanmean(others, 1)), "2.5"),
    ],
)
def test_blur_effect_refuses(wrong, says):
    refuses(says, ch15.check_blur_effect, wrong)


# Two bugs together ------------------------------------------------------------------------------


def together(right, one, other, both):
    apart = both - one - other + right
    return stats.mean(apart[~np.isnan(apart)])


def test_together():
    ch15.check_together(together)


def four_means(*scores):
    kept = ~np.isnan(sum(scores))
    right, one, other, both = (stats.mean(score[kept]) for score in scores)
    estimate = both.estimate - one.estimate - other.estimate + right.estimate
    half = sum((part.high - part.low) ** 2 for part in (right, one, other, both)) ** 0.5 / 2
    return stats.Interval(estimate, estimate - half, estimate + half, right.n)


def each_its_own(*scores):
    found = together(*scores)
    right, one, other, both = (np.nanmean(score) for score in scores)
    return found._replace(estimate=both - one - other + right)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda r, a, b, both: stats.mean(both - r), "take the two single effects away"),
        (lambda r, a, b, both: stats.mean(both - a - b), "both - right"),
        (lambda r, a, b, both: together(-r, -a, -b, -both), "The sign is turned"),
        (lambda r, a, b, both: stats.mean(both - a - b + r), "Leave out what any script has lost"),
        (four_means, "not four separate means"),
        (each_its_own, "the same samples"),
        (lambda r, a, b, both: (both - a - b + r).mean(), "return a stats.Interval"),
        (lambda r, a, b, both: None, "returns nothing"),
    ],
)
def test_together_refuses(wrong, says):
    refuses(says, ch15.check_together, wrong)
