"""The checks of chapter 17: they pass the solution, and tell what is wrong with what is wrong."""

import numpy as np
import pytest
import torch

from helpers.exercises import ch17


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# IDs from rows ----------------------------------------------------------------------------------


def means_of(states, frames, count):
    return torch.stack([states[frames == frame].mean(0) for frame in range(count)])


def from_rows(states, frames, count):
    means = means_of(states, frames, count)
    return means - means.mean(0)


def last_one(states, frames, count):
    found = torch.zeros(count, states.shape[1])
    for state, frame in zip(states, frames, strict=True):
        found[frame] = state
    return found - found.mean(0)


def test_ids_from_rows():
    ch17.check_ids_from_rows(from_rows)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (last_one, "overwritten"),
        (lambda s, f, n: means_of(s, f, n), "mean over frames is not zero"),
        (lambda s, f, n: means_of(s, f, n) - s.mean(0), "mean over all rows"),
        (lambda s, f, n: s - s.mean(0), "one vector for each frame"),
        (lambda s, f, n: 2 * from_rows(s, f, n), "off by up to"),
        (lambda s, f, n: None, "returns nothing"),
    ],
)
def test_ids_from_rows_refuses(wrong, says):
    refuses(says, ch17.check_ids_from_rows, wrong)


# The first principal component ------------------------------------------------------------------


def pc1(vectors):
    mean = vectors.mean(0)
    return torch.linalg.svd(mean - mean.mean(0), full_matrices=False).Vh[0]


def pc1_scores(train, test):
    score, axis = ch17.squared_correlation, pc1(train)
    return score(train.mean(0) @ axis), score(test @ axis)


def one_by_one(train, test):
    axis = pc1(train)
    each = [ch17.squared_correlation(pair @ axis) for pair in test]
    return pc1_scores(train, test)[0], float(np.mean(each))


def of_the_mean(train, test):
    return pc1_scores(train, test)[0], ch17.squared_correlation(test.mean(0) @ pc1(train))


def test_pc1_scores():
    ch17.check_pc1_scores(pc1_scores)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_by_one, "run backwards"),
        (of_the_mean, "run backwards"),
        (lambda a, b: (pc1_scores(a, b)[0], pc1_scores(b, a)[0]), "training pairs alone"),
        (lambda a, b: (pc1_scores(b, a)[1], pc1_scores(a, b)[1]), "in-sample"),
        (lambda a, b: pc1_scores(a, b)[0], "two numbers"),
        (lambda a, b: None, "returns nothing"),
    ],
)
def test_pc1_scores_refuses(wrong, says):
    refuses(says, ch17.check_pc1_scores, wrong)


# Curves -----------------------------------------------------------------------------------------


def curve(train, degree, keep=slice(None)):
    x = np.vander(np.arange(train.shape[1]), degree + 1)[:, keep]
    return torch.from_numpy(x @ np.linalg.lstsq(x, train.mean(0).numpy(), rcond=None)[0])


def test_curve():
    ch17.check_curve(curve)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda t, d: t.mean(0), "nothing was fitted"),
        (lambda t, d: curve(t, 1), "off by up to"),
        (lambda t, d: curve(t, d, [0, d]), "linear term is missing"),
        (lambda t, d: curve(t, d, slice(0, d)), "a constant"),
        (lambda t, d: curve(t[:1], d), "every pair count alike"),
        (lambda t, d: curve(t, d)[:2], "not its coefficients"),
        (lambda t, d: None, "returns nothing"),
    ],
)
def test_curve_refuses(wrong, says):
    refuses(says, ch17.check_curve, wrong)


# First or last frame ----------------------------------------------------------------------------


def whose_time(onset, offset, y):
    x = np.column_stack([onset, offset, np.ones_like(onset)])
    return tuple(np.linalg.lstsq(x, y, rcond=None)[0][:2])


def test_whose_time():
    ch17.check_whose_time(whose_time)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda a, b, y: (np.polyfit(a, y, 1)[0], np.polyfit(b, y, 1)[0]), "separate fits"),
        (lambda a, b, y: whose_time(b, a, y), "onset first"),
        (
            lambda a, b, y: np.linalg.lstsq(np.column_stack([a, b]), y, rcond=None)[0],
            "a constant",
        ),
        (lambda a, b, y: whose_time(a, b, y)[0], "two numbers"),
        (lambda a, b, y: None, "returns nothing"),
    ],
)
def test_whose_time_refuses(wrong, says):
    refuses(says, ch17.check_whose_time, wrong)


# What they are made of --------------------------------------------------------------------------


def test_a_square_is_taken_over_all_dots():
    forward = np.arange(8.0)
    assert ch17.squared_correlation(forward) == pytest.approx(1)
    assert ch17.squared_correlation([forward, -forward]) == pytest.approx(0)


def test_walks_have_no_pair_in_common():
    one = ch17.walks(6, seed=3)
    assert one.shape == (6, 8, 128)
    assert one.mean(1).abs().max() < 1e-5
    assert torch.equal(one, ch17.walks(6, seed=3))
    flat = torch.nn.functional.normalize(one.flatten(1), dim=1)
    assert (flat @ flat.T - torch.eye(6)).abs().max() < 0.4


# Three clocks -----------------------------------------------------------------------------------


def clocks(ids, shifted, blanks, known=None, ends=1, step=None, join=torch.mean):
    count = len(ids)
    known = torch.arange(count - blanks) if known is None else known
    share = (known + blanks) / (count + blanks - ends) * (count - ends)
    low = share.floor().long().clamp(max=count - 2)
    part = (share - low)[:, None]
    later = (known + (blanks if step is None else step)).clamp(0, count - 1)
    said = {
        "position": ids[later],
        "share": (1 - part) * ids[low] + part * ids[low + 1],
        "order": ids[known],
    }
    found = shifted[known]
    return {name: float(join((guess - found).square())) for name, guess in said.items()}


def test_clocks():
    ch17.check_clocks(clocks)


def summed(errors):
    return errors.sum(-1).mean()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda i, s, b: clocks(i, s, b, known=torch.arange(len(i))), "leave them out"),
        (lambda i, s, b: clocks(i, s, b, ends=0), "divide by n - 1"),
        (lambda i, s, b: clocks(i, s, b, step=-b), "make an event later"),
        (lambda i, s, b: clocks(i, s, b, join=summed), "mean over dimensions"),
        (lambda i, s, b: min(clocks(i, s, b)), "return a dictionary"),
        (lambda i, s, b: None, "returns nothing"),
    ],
)
def test_clocks_refuses(wrong, says):
    refuses(says, ch17.check_clocks, wrong)
