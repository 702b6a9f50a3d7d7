"""The checks of chapter 1: they pass the solution, and tell what is wrong with what is wrong."""

import re

import numpy as np
import pytest
import torch

from helpers import stats
from helpers.exercises import ch01


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


def nothing(*_, **__):
    return None


# Find every token of a word ---------------------------------------------------------------------


def find_word(text, offsets, question, word, pattern=r"\b{}\b", touches=None):
    start = text.rindex(question)
    match = re.search(pattern.format(re.escape(word)), question)
    begin, end = start + match.start(), start + match.end()
    touches = touches or (lambda low, high: low < end and high > begin)
    return [i for i, (low, high) in enumerate(offsets) if touches(low, high)]


def test_find_word():
    ch01.check_find_word(find_word)


def inside_others(*given):
    return find_word(*given, pattern="{}")


def first_token(*given):
    return find_word(*given)[:1]


def last_token(*given):
    return find_word(*given)[-1:]


def whole_prompt(text, offsets, question, word):
    return find_word(text, offsets, text, word)


def without_spaces(text, offsets, question, word):
    """Misses tokens that begin with a space."""
    start = text.rindex(question) + re.search(rf"\b{word}\b", question).start()
    end = start + len(word)
    return [i for i, (low, high) in enumerate(offsets) if start <= low and high <= end]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (inside_others, "not the second half of the pineapple"),
        (first_token, "both belong to it"),
        (last_token, "both belong to it"),
        (whole_prompt, "not the placeholders"),
        (without_spaces, "a word that is one token"),
        (nothing, "returns nothing"),
    ],
)
def test_find_word_refuses(wrong, says):
    refuses(says, ch01.check_find_word, wrong)


# Log-odds ---------------------------------------------------------------------------------------


def log_odds(logits, forms, others):
    return logits[forms].logsumexp(0) - logits[others].logsumexp(0)


def test_log_odds():
    ch01.check_log_odds(log_odds)


def sums(logits, forms, others):
    mass = logits.softmax(-1)
    return mass[forms].sum(), mass[others].sum()


def overflowing(logits, forms, others):
    return (logits[forms].exp().sum() / logits[others].exp().sum()).log()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda z, a, b: log_odds(z, b, a), "the sign is turned round"),
        (lambda z, a, b: z[a].max() - z[b].max(), "the best form"),
        (lambda z, a, b: z[a].sum() - z[b].sum(), "added log-probabilities"),
        (lambda z, a, b: z[a].mean() - z[b].mean(), "averaged log-probabilities"),
        (
            lambda z, a, b: z.softmax(-1)[a].mean().log() - z.softmax(-1)[b].mean().log(),
            "more ways",
        ),
        (lambda z, a, b: sums(z, a, b)[0] - sums(z, a, b)[1], "difference of probabilities"),
        (lambda z, a, b: sums(z, a, b)[0] / sums(z, a, b)[1], "take their log"),
        (lambda z, a, b: torch.logit(sums(z, a, b)[0]), "with all other tokens"),
        (overflowing, "overflowed"),
        (nothing, "returns nothing"),
    ],
)
def test_log_odds_refuses(wrong, says):
    refuses(says, ch01.check_log_odds, wrong)


# What it sees, what it prefers ------------------------------------------------------------------


def apart(asked, exchanged):
    return (asked - exchanged) / 2, (asked + exchanged) / 2


def test_apart():
    ch01.check_apart(apart)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda one, other: apart(one, other)[::-1], "evidence first"),
        (lambda one, other: (one - other, one + other), "twice as much"),
        (lambda one, other: apart(other, one), "the other sign"),
        (lambda one, other: (apart(one, other)[0], abs(one + other) / 2), "without their signs"),
        (lambda one, other: (one, (one + other) / 2), "still holds the preference"),
        (lambda one, other: ((one - other) / 2, ((one + other) / 2).mean()), "has its own"),
        (lambda one, other: ((one - other) / 2, one), "the evidence must cancel"),
        (nothing, "returns nothing"),
    ],
)
def test_apart_refuses(wrong, says):
    with pytest.raises(AssertionError, match=re.compile(says, re.IGNORECASE)):
        ch01.check_apart(wrong)


# An ablating hook -------------------------------------------------------------------------------


def ablate(positions, vector):
    def hook(resid, hook):
        resid = resid.clone()
        resid[:, positions] = vector.to(resid)
        return resid

    return hook


def in_place(positions, vector):
    def hook(resid, hook):
        resid[:, positions] = vector

    return hook


@pytest.mark.parametrize("right", [ablate, in_place])
def test_ablate(right):
    ch01.check_ablate(right)


def editing(change):
    """A hook that makes a copy and changes it."""

    def make(positions, vector):
        def hook(resid, hook):
            resid = resid.clone()
            change(resid, positions, vector)
            return resid

        return hook

    return make


def add(resid, positions, vector):
    resid[:, positions] += vector


def first_row(resid, positions, vector):
    resid[0, positions] = vector


def by_batch(resid, positions, vector):
    resid[..., :1] = vector[0]


def keeps_the_copy(positions, vector):
    def hook(resid, hook):
        resid = resid.clone()
        resid[:, positions] = vector

    return hook


def only_the_part(positions, vector):
    return lambda resid, hook: vector.expand(len(resid), len(positions), -1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (editing(add), "It was added"),
        (editing(first_row), "the second does not"),
        (editing(by_batch), "none of your business"),
        (keeps_the_copy, "Nothing changed"),
        (only_the_part, "return all of it"),
        (nothing, "return a hook"),
    ],
)
def test_ablate_refuses(wrong, says):
    refuses(says, ch01.check_ablate, wrong)


# A pair of words --------------------------------------------------------------------------------


def split_by_scene(scene, seed):
    return tuple(np.isin(scene, half) for half in stats.halves(scene, seed))


def split_by_row(scene, seed):
    chosen = np.random.default_rng(seed).random(len(scene)) < 0.5
    return chosen, ~chosen


def no_split(scene, seed):
    return (np.ones(len(scene), dtype=bool),) * 2


def word_pair(logits, left, scene, seed=0, split=split_by_scene, by_spread=True, at_zero=False):
    chosen, judged = split(scene, seed)
    one, other = logits[chosen & left], logits[chosen & ~left]
    lean = one.mean(0) - other.mean(0)
    if by_spread:
        lean /= np.sqrt(one.var(0) + other.var(0))
    towards, away = int(lean.argmax()), int(lean.argmin())
    odds = logits[:, towards] - logits[:, away]
    cut = (odds[chosen & left].mean() + odds[chosen & ~left].mean()) / 2
    cut = 0 if at_zero else cut
    return towards, away, float(np.mean((odds[judged] > cut) == left[judged]))


def test_word_pair():
    ch01.check_word_pair(word_pair)


def like(**options):
    return lambda *given, seed=0: word_pair(*given, seed=seed, **options)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (like(split=no_split), "judged on the rows that chose it"),
        (like(split=split_by_row), "no strangers"),
        (like(by_spread=False), "by the spread within them"),
        (like(at_zero=True), "where do you cut"),
        (lambda z, left, *more, seed=0: word_pair(z, ~left, *more, seed=seed), "turned round"),
        (lambda *given, seed=0: word_pair(*given, seed=seed)[:2], "three things"),
        (nothing, "returns nothing"),
    ],
)
def test_word_pair_refuses(wrong, says):
    refuses(says, ch01.check_word_pair, wrong)
