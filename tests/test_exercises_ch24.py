"""The checks of chapter 24: they pass the solution, and tell what is wrong with what is wrong."""

from collections import Counter

import numpy as np
import pytest
import torch

from helpers.exercises import ch24


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Balanced ---------------------------------------------------------------------------------------


def shares(rows, noun):
    counts = Counter(row[noun] for row in rows)
    return {place: count / len(rows) for place, count in counts.items()}


def nouns(holds):
    return range(len(holds[0]))


def test_balanced():
    ch24.check_balanced(lambda h, f: all(shares(h, n) == shares(f, n) for n in nouns(h)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda h, f: np.allclose(np.mean(h, 0), np.mean(f, 0)), "Equal means are not enough"),
        (lambda h, f: all({r[n] for r in h} == {r[n] for r in f} for n in nouns(h)), "A set"),
        (lambda h, f: sorted(h) == sorted(f), "Noun by noun"),
        (
            lambda h, f: all(sorted(r[n] for r in h) == sorted(r[n] for r in f) for n in nouns(h)),
            "Compare shares",
        ),
        (lambda h, f: all(shares(h, n) == shares(f, n) for n in range(2)), "Look at all nouns"),
        (lambda h, f: None, "returns nothing"),
    ],
)
def test_balanced_refuses(wrong, says):
    refuses(says, ch24.check_balanced, wrong)


# Held-out twins ---------------------------------------------------------------------------------


def test_ordered():
    ch24.check_ordered(lambda h, f, nh, nf: (nh - nf) @ (h - f).mean(0) > 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda h, f, nh, nf: (nh - nf) @ (nh - nf).mean(0) > 0, "that you test it on"),
        (lambda h, f, nh, nf: nh @ (h - f).mean(0) > 0, "Compare the twins with each other"),
        (lambda h, f, nh, nf: (nf - nh) @ (h - f).mean(0) > 0, "the other way round"),
        (
            lambda h, f, nh, nf: ((nh - nf) @ (h - f).mean(0) > 0).float().mean(),
            "the share comes later",
        ),
        (lambda h, f, nh, nf: None, "returns nothing"),
    ],
)
def test_ordered_refuses(wrong, says):
    refuses(says, ch24.check_ordered, wrong)


# Shuffled ---------------------------------------------------------------------------------------


def shuffled(differences, seed, turned=0.5, scale=True):
    count = len(differences)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    signs = torch.ones(count)
    signs[order[: int(turned * count)]] = -1
    wrong = (signs[:, None] * differences).mean(0)
    return wrong * (differences.mean(0).norm() / wrong.norm()) if scale else wrong


def test_shuffled():
    ch24.check_shuffled(shuffled)


def coins(differences, seed):
    generator = torch.Generator().manual_seed(seed)
    signs = 2.0 * torch.randint(2, (len(differences), 1), generator=generator) - 1
    wrong = (signs * differences).mean(0)
    return wrong * (differences.mean(0).norm() / wrong.norm())


def reordered(differences, seed):
    order = torch.randperm(len(differences), generator=torch.Generator().manual_seed(seed))
    jitter = 1e-3 * torch.randn(differences.shape[1], generator=torch.Generator().manual_seed(seed))
    wrong = differences[order].mean(0) + jitter
    return wrong * (differences.mean(0).norm() / wrong.norm())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (coins, "Turn exactly half of them"),
        (reordered, "the order of twins does not matter"),
        (lambda d, seed: shuffled(d, seed, scale=False), "a control has its length"),
        (lambda d, seed: shuffled(d, 0), "two seeds give the same"),
        (lambda d, seed: coins(d, int(torch.randint(10**6, ()))), "the same seed"),
    ],
)
def test_shuffled_refuses(wrong, says):
    refuses(says, ch24.check_shuffled, wrong)


# What will you conclude? ------------------------------------------------------------------------


def verdict(readable, gap, reached):
    if gap.low > 0.3:
        return "used"
    if readable.low <= 0.5:
        return "not there"
    quiet = gap.high < 0.3 < reached.low
    return "readable, not used" if quiet else "readable, cannot tell"


def test_verdict():
    ch24.check_verdict(verdict)


def without_positive_control(readable, gap, reached):
    told = verdict(readable, gap, reached)
    return "readable, not used" if told == "readable, cannot tell" else told


def not_above_the_bar(readable, gap, reached):
    told = verdict(readable, gap, reached)
    return "readable, not used" if "cannot" in told and reached.low > 0.3 else told


def by_estimates(readable, gap, reached):
    if gap.estimate > 0.3:
        return "used"
    if readable.estimate <= 0.5:
        return "not there"
    return "readable, not used" if reached.estimate > 0.3 else "readable, cannot tell"


def reading_first(readable, gap, reached):
    return "not there" if readable.low <= 0.5 else verdict(readable, gap, reached)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (without_positive_control, "A null counts only where"),
        (not_above_the_bar, "its whole interval lies below the bar"),
        (by_estimates, "the whole interval|its lower end|its whole interval"),
        (reading_first, "ask for it first"),
        (lambda readable, gap, reached: gap.low > 0.3, "return words"),
    ],
)
def test_verdict_refuses(wrong, says):
    refuses(says, ch24.check_verdict, wrong)


# In other words ---------------------------------------------------------------------------------


def steady(right, join=np.all, leave=True, least=2, chance=np.prod):
    shares = right.mean(0)
    told = ((shares > 0) & (shares < 1)) | (not leave)
    if told.sum() < least:
        raise ValueError("nothing to compare")
    return float(join(right[:, told], axis=1).mean()), float(chance(shares[told]))


def test_steady():
    ch24.check_steady(steady)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda r: steady(r, join=np.mean), "all of them in one scene"),
        (lambda r: steady(r, join=np.any), "all of them in one scene"),
        (lambda r: steady(r, chance=np.mean), "the product of the wordings' shares"),
        (lambda r: steady(r, chance=lambda s: s.mean() ** len(s)), "each as it is"),
        (lambda r: steady(r)[::-1], "First what holds"),
        (lambda r: steady(r, leave=False), "everybody or nobody"),
        (lambda r: steady(r, least=1), "raise a ValueError"),
        (lambda r: steady(r)[0], "two shares"),
        (lambda r: None, "returns nothing"),
    ],
)
def test_steady_refuses(wrong, says):
    refuses(says, ch24.check_steady, wrong)
