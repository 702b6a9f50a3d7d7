"""The checks of chapter 12: they pass the solution, and tell what is wrong with what is wrong."""

import zlib

import numpy as np
import pytest

from helpers.exercises import ch12


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# The nearest cell -------------------------------------------------------------------------------


def distances(state, ids):
    return (ids - state).norm(dim=-1).flatten()


def test_nearest_cell():
    ch12.check_nearest_cell(lambda s, ids: divmod(int(distances(s, ids).argmin()), ids.shape[1]))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s, ids: distances(s, ids).argmin(), "return .row, column."),
        (lambda s, ids: divmod(int(distances(s, ids).argmin()), ids.shape[1])[::-1], "column, row"),
        (lambda s, ids: divmod(int(distances(s, ids).argmin()), ids.shape[0]), "not of rows"),
        (lambda s, ids: divmod(int((ids @ s).argmax()), ids.shape[1]), "favours long IDs"),
        (lambda s, ids: None, "returns nothing"),
    ],
)
def test_nearest_cell_refuses(wrong, says):
    refuses(says, ch12.check_nearest_cell, wrong)


# Seeds ------------------------------------------------------------------------------------------


def test_seed_of():
    ch12.check_seed_of(lambda text: zlib.crc32(text.encode()))
    ch12.check_seed_of(lambda text: int.from_bytes(text.encode(), "big"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda text: hash(text) % 2**32, "you ask hash"),
        (lambda text: sum(text.encode()), "order of the bytes"),
        (lambda text: len(text), "order of the bytes"),
        (lambda text: int(np.random.default_rng().integers(2**31)), "the same seed every time"),
        (lambda text: -zlib.crc32(text.encode()), "no negative seeds"),
        (lambda text: text, "a whole number"),
    ],
)
def test_seed_of_refuses(wrong, says):
    refuses(says, ch12.check_seed_of, wrong)


# Blur -------------------------------------------------------------------------------------------


def test_blur_effect():
    ch12.check_blur_effect(lambda before, after, random: (after - before) - (
        random - before[:, None]).mean(1))  # fmt: skip
    ch12.check_blur_effect(lambda before, after, random: after - random.mean(1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda before, after, random: after - random.min(1), "by luck alone"),
        (lambda before, after, random: after - random[:, :4].min(1), "by luck alone"),
        (lambda before, after, random: random.mean(1) - after, "after less before"),
        (lambda before, after, random: after - before, "subtract the random boxes"),
        (lambda before, after, random: (after - random.mean(1)).mean(), "within a question"),
    ],
)
def test_blur_effect_refuses(wrong, says):
    refuses(says, ch12.check_blur_effect, wrong)


# Verdicts ---------------------------------------------------------------------------------------


def verdict(patches, words, patch_limit, word_limit):
    if patches > patch_limit:
        return "encoder"
    return "binding" if words > word_limit else "reasoning"


def words_first(patches, words, patch_limit, word_limit):
    if words > word_limit:
        return "binding"
    return "encoder" if patches > patch_limit else "reasoning"


def one_limit(patches, words, patch_limit, word_limit):
    return verdict(patches, words, word_limit, word_limit)


def limits_crossed(patches, words, patch_limit, word_limit):
    return verdict(patches, words, word_limit, patch_limit)


def both_needed(patches, words, patch_limit, word_limit):
    if patches > patch_limit and words > word_limit:
        return "encoder"
    return "binding" if words > word_limit else "reasoning"


def test_verdict():
    ch12.check_verdict(verdict)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (words_first, "the first part that is wrong"),
        (one_limit, "its own limit"),
        (limits_crossed, "its own limit"),
        (both_needed, "the first part that is wrong"),
        (lambda *readings: None, "returns nothing"),
    ],
)
def test_verdict_refuses(wrong, says):
    refuses(says, ch12.check_verdict, wrong)


# Shares -----------------------------------------------------------------------------------------


def corrected(observed, confusion):
    shares = np.clip(np.linalg.solve(confusion.T, observed), 0, None)
    return shares / shares.sum()


def test_correct_shares():
    ch12.check_correct_shares(corrected)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda observed, confusion: observed, "what you were given"),
        (lambda observed, confusion: np.linalg.solve(confusion, observed), "transposed"),
        (lambda observed, confusion: np.linalg.solve(confusion.T, observed), "not negative"),
        (lambda observed, confusion: observed / np.diag(confusion), "times its row"),
    ],
)
def test_correct_shares_refuses(wrong, says):
    refuses(says, ch12.check_correct_shares, wrong)


# What arrives at the last token -----------------------------------------------------------------


def arrives(states, differences, train, judged=None, zeros=False, penalty=1.0, constant=True):
    mean = states[train].mean(0) * constant
    middle = differences[train].mean() * constant
    x = states[train] - mean
    square = x.T @ x + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(square, x.T @ (differences[train] - middle))
    judged = ~train if judged is None else judged
    judged = judged & ((differences != 0) | zeros)
    said = (states[judged] - mean) @ weights + middle
    return np.mean(np.sign(said) == np.sign(differences[judged]))


def test_arrives():
    ch12.check_arrives(arrives)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s, d, t: arrives(s, d, t, judged=t), "You judged where you fitted"),
        (lambda s, d, t: arrives(s, d, np.ones_like(t), judged=~t), "You judged where you fitted"),
        (lambda s, d, t: arrives(s, d, t, zeros=True), "Samples without a sign"),
        (lambda s, d, t: arrives(s, d, t, penalty=1e4), "A ridge with a penalty of 1"),
        (lambda s, d, t: np.sign(d[~t]), "one number"),
        (lambda s, d, t: None, "returns nothing"),
    ],
)
def test_arrives_refuses(wrong, says):
    refuses(says, ch12.check_arrives, wrong)
