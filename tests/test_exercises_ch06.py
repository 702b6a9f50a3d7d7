"""The checks of chapter 6: they pass the solution, and tell what is wrong with what is wrong."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.exercises import ch06


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


def nothing(*_):
    return None


# Steer by hand ----------------------------------------------------------------------------------


def hook_that(change):
    def steering_hook(position, vector):
        def hook(resid, hook):
            resid = resid.clone()
            change(resid, position, vector.to(resid))
            return resid

        return hook

    return steering_hook


def add(resid, position, vector):
    resid[:, position] += vector


def in_place(position, vector):
    def hook(resid, hook):
        resid[:, position] += vector

    return hook


@pytest.mark.parametrize("right", [hook_that(add), in_place])
def test_steering_hook(vlm, prompt, right):
    ch06.check_steering_hook(right, vlm, prompt)


def replace(resid, position, vector):
    resid[:, position] = vector


def add_late(resid, position, vector):
    resid[:, position + 1] += vector


def add_from_there(resid, position, vector):
    resid[:, position:] += vector


def forgotten(position, vector):
    def hook(resid, hook):
        resid = resid.clone()
        resid[:, position] += vector

    return hook


def grows(position, vector):
    """Doubles the caller's vector each time."""

    def hook(resid, hook):
        resid[:, position] += vector
        vector.mul_(2)

    return hook


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (hook_that(replace), "Add, do not replace"),
        (hook_that(add_late), "must change position"),
        (hook_that(add_from_there), "must change position"),
        (forgotten, "changes nothing"),
        (grows, "something stay behind"),
        (lambda position, vector: vector, "return a function"),
        (nothing, "returns nothing"),
    ],
)
def test_steering_hook_refuses(vlm, prompt, wrong, says):
    refuses(says, ch06.check_steering_hook, wrong, vlm, prompt)


# Noise of the right length ----------------------------------------------------------------------


def noise(vector, seed, draw=torch.randn):
    generator = torch.Generator().manual_seed(seed)
    found = draw(vector.shape, generator=generator)
    return found * (vector.norm() / found.norm())


def test_noise():
    ch06.check_noise(noise)


def from_a_cube(vector, seed):
    return noise(vector, seed, lambda *a, **k: 2 * torch.rand(*a, **k) - 1)


def signs(vector, seed):
    return noise(vector, seed, lambda *a, **k: torch.rand(*a, **k).sub(0.5).sign())


def off_centre(vector, seed):
    return noise(vector, seed, torch.rand)


def right_on_average(vector, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(vector.shape, generator=generator) * vector.norm() / len(vector) ** 0.5


def shuffled(vector, seed):
    return vector[torch.randperm(len(vector), generator=torch.Generator().manual_seed(seed))]


def as_it_comes(vector, seed):
    found = torch.randn(vector.shape)
    return found * (vector.norm() / found.norm())


def on_the_vector(vector, seed):
    return noise(vector, seed, lambda *a, **k: vector + 0.1 * torch.randn(*a, **k))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (from_a_cube, "corners of a square"),
        (signs, "corners of a square"),
        (off_centre, "a mean of its own"),
        (right_on_average, "Match each draw"),
        (shuffled, "must not know the direction"),
        (as_it_comes, "the same seed must give the same noise"),
        (lambda vector, seed: noise(vector, 0), "two seeds"),
        (on_the_vector, "must not know the direction"),
        (nothing, "returns nothing"),
    ],
)
def test_noise_refuses(wrong, says):
    refuses(says, ch06.check_noise, wrong)


# The smallest dose ------------------------------------------------------------------------------


def smallest_dose(log_odds_at, largest=5.0, step=0.25, tolerance=0.01):
    start, low = log_odds_at(0.0) > 0, 0.0
    while low < largest:
        high = min(low + step, largest)
        if (log_odds_at(high) > 0) != start:
            break
        low = high
    else:
        return math.inf
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (low, middle) if (log_odds_at(middle) > 0) != start else (middle, high)
    return high


def test_smallest_dose():
    ch06.check_smallest_dose(smallest_dose)


def halved(log_odds_at):
    """One bisection of the whole interval."""
    start, low, high = log_odds_at(0.0) > 0, 0.0, 5.0
    if (log_odds_at(high) > 0) == start:
        return math.inf
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if (log_odds_at(middle) > 0) != start else (middle, high)
    return high


def crawling(log_odds_at):
    start = log_odds_at(0.0) > 0
    return next((n / 100 for n in range(501) if (log_odds_at(n / 100) > 0) != start), math.inf)


def coarse(log_odds_at):
    return smallest_dose(log_odds_at, tolerance=0.5)


def only_downwards(log_odds_at):
    return smallest_dose(lambda dose: log_odds_at(dose) if dose else 1.0)


def without_end(log_odds_at):
    found = smallest_dose(log_odds_at)
    return 5.0 if math.isinf(found) else found


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (halved, "a curve that comes back"),
        (crawling, "do not crawl"),
        (coarse, "Scan upwards"),
        (only_downwards, "a rising line"),
        (without_end, "return math.inf"),
        (lambda log_odds_at: smallest_dose(log_odds_at, largest=20.0), "a dose above 5"),
        (nothing, "nothing came back"),
    ],
)
def test_smallest_dose_refuses(wrong, says):
    refuses(says, ch06.check_smallest_dose, wrong)


# How many samples are these? --------------------------------------------------------------------


def worth(values, scene):
    means = pd.Series(values).groupby(np.asarray(scene)).mean()
    return np.var(values, ddof=1) / (means.var() / len(means))


def test_worth():
    ch06.check_worth(worth)


def by_spread(values, scene):
    return worth(values, scene) ** 0.5


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda values, scene: len(values), "That is all rows"),
        (lambda values, scene: len(set(scene)), "That is the number of scenes"),
        (by_spread, "That is its root"),
        (lambda values, scene: worth(values, scene) / len(values), "share of the rows"),
        (lambda values, scene: worth(values, np.arange(len(values)) // 10), "That is all rows"),
        (lambda values, scene: worth(values, scene) / len(set(scene)), "How far may the mean"),
        (nothing, "returns nothing"),
    ],
)
def test_worth_refuses(wrong, says):
    refuses(says, ch06.check_worth, wrong)


# What is left of the word -----------------------------------------------------------------------


def test_left_of():
    ch06.check_left_of(lambda factor: 1 / (1 + factor**2) ** 0.5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda factor: 1 / (1 + factor), "at right angles"),
        (lambda factor: factor / (1 + factor), "edit's share"),
        (lambda factor: 1 / (1 + factor**2), "the cosine's square"),
        (lambda factor: factor / (1 + factor**2) ** 0.5, "cosine with the edit"),
        (lambda factor: (1 + factor**2) ** 0.5, "length of the sum"),
        (lambda factor: 1 - factor, "Draw the stream"),
        (nothing, "returns nothing"),
    ],
)
def test_left_of_refuses(wrong, says):
    refuses(says, ch06.check_left_of, wrong)


# Does the frog go there? ------------------------------------------------------------------------


def words_of(reply):
    return set(re.findall(r"[a-z]+", reply.lower()))


def place(reply, words_of=words_of):
    named = [words_of(reply) & pair for pair in ({"top", "bottom"}, {"left", "right"})]
    return frozenset().union(*named) if all(len(one) == 1 for one in named) else None


def went(before, after, target, place=place):
    now = place(after)
    if now is None:
        return "broke"
    if now == place(before):
        return "stayed"
    return "went" if now == place(target) else "elsewhere"


def test_went():
    ch06.check_went(went)


def reading(place):
    return lambda *replies: went(*replies, place=place)


def the_words_as_they_are(before, after, target):
    if not after:
        return "broke"
    return "stayed" if after == before else "went" if after == target else "elsewhere"


def parts_of_words(reply):
    """Words anywhere in the reply, inside of others, too."""
    return {word for word in ("top", "bottom", "left", "right") if word in reply.lower()}


def any_change(before, after, target):
    verdict = went(before, after, target)
    return "went" if verdict == "elsewhere" else verdict


def target_first(before, after, target):
    if place(after) == place(target):
        return "went"
    return went(before, after, target)


def last_words(reply):
    """The last word of each kind counts, as if the model had decided in the end."""
    words = re.findall(r"[a-z]+", reply.lower())
    named = [
        next((word for word in reversed(words) if word in pair), None)
        for pair in (("top", "bottom"), ("left", "right"))
    ]
    return None if None in named else tuple(named)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (the_words_as_they_are, "no place is named"),
        (reading(lambda reply: place(reply, parts_of_words)), "is not 'right'"),
        (any_change, "another place than the target"),
        (target_first, "it was there before"),
        (reading(last_words), "has not decided"),
        (reading(lambda reply: frozenset(words_of(reply)) or None), "no place is named"),
        (nothing, "does every way end in a `return`"),
    ],
)
def test_went_refuses(wrong, says):
    refuses(says, ch06.check_went, wrong)
