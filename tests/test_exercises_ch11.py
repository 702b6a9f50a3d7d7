"""The checks of chapter 11: they pass the solution, and tell what is wrong with what is wrong."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from helpers.exercises import ch11


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Rows exchanged ---------------------------------------------------------------------------------


def test_exchange_rows():
    ch11.check_exchange_rows(lambda places: [(places[1][0], places[0][1]),
                                             (places[0][0], places[1][1])])  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda places: places[::-1], "sideways"),
        (lambda places: [(3 - row, column) for row, column in places], "mirrored"),
        (lambda places: [(places[0][0], places[1][1]), (places[1][0], places[0][1])], "columns"),
        (lambda places: places, "should become"),
    ],
)
def test_exchange_rows_refuses(wrong, says):
    refuses(says, ch11.check_exchange_rows, wrong)


# Following height -------------------------------------------------------------------------------


def share_where_they_differ(says, lower, larger):
    against = lower * larger < 0
    if not against.any():
        raise ValueError("no scene sets height against size")
    return (says == (lower > 0))[against].mean()


def test_follows_height():
    ch11.check_follows_height(share_where_they_differ)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda says, lower, larger: (says == (lower > 0)).mean(), "leave those out"),
        (lambda *given: 1 - share_where_they_differ(*given), "other way round"),
        (lambda says, lower, larger: ((says == (lower > 0)) & (lower * larger < 0)).mean(),
         "Divide by"),
        (lambda says, lower, larger: (says == (lower > 0))[lower * larger < 0].sum()
         / max(1, (lower * larger < 0).sum()), "raise a ValueError"),
    ],
)  # fmt: skip
def test_follows_height_refuses(wrong, says):
    refuses(says, ch11.check_follows_height, wrong)


# Weights of cues --------------------------------------------------------------------------------


def fitted(odds, lower, larger):
    cues = np.column_stack([lower, larger, np.ones(len(odds))])
    return np.linalg.lstsq(cues, odds, rcond=None)[0]


def test_cue_weights():
    def right(odds, lower, larger):
        return fitted(odds, lower, larger)[:2] * [lower.std(), larger.std()]

    ch11.check_cue_weights(right)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda *given: fitted(*given)[:2], "SD"),
        (lambda odds, *cues: [np.polyfit(c / c.std(), odds, 1)[0] for c in cues], "each cue alone"),
        (lambda *given: fitted(*given), "two numbers"),
        (lambda odds, lower, larger: [np.corrcoef(odds, lower)[0, 1],
                                      np.corrcoef(odds, larger)[0, 1]], "the weights are"),
    ],
)  # fmt: skip
def test_cue_weights_refuses(wrong, says):
    refuses(says, ch11.check_cue_weights, wrong)


# The direction of size --------------------------------------------------------------------------


def slope(states, sizes, places, with_place=True, checked=True):
    columns = [sizes[:, None], torch.ones(len(sizes), 1)]
    cues = torch.cat([*columns, places] if with_place else columns, 1)
    if checked and torch.linalg.matrix_rank(cues, rtol=1e-4) < cues.shape[1]:
        raise ValueError("size is a function of place")
    return torch.linalg.lstsq(cues, states, driver="gelsd").solution[0]


def test_size_direction():
    ch11.check_size_direction(slope)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda *given: slope(*given, with_place=False), "put the place into the fit"),
        (lambda *given: slope(*given, checked=False), "raise a ValueError"),
        (lambda *given: torch.nn.functional.normalize(slope(*given), dim=0), "its length"),
        (lambda *given: -slope(*given), "wrong way"),
        (lambda states, sizes, places: slope(states, sizes, places)[None], "a vector of"),
    ],
)
def test_size_direction_refuses(wrong, says):
    refuses(says, ch11.check_size_direction, wrong)


# The cosine without noise -----------------------------------------------------------------------


def reliability(samples, corrected=True):
    shared = cosine_similarity(samples[::2].mean(0), samples[1::2].mean(0), dim=0)
    return 2 * shared / (1 + shared) if corrected else shared


def plain(one, other):
    return cosine_similarity(one.mean(0), other.mean(0), dim=0)


def test_true_cosine():
    def right(one, other):
        return plain(one, other) / (reliability(one) * reliability(other)).sqrt()

    ch11.check_true_cosine(right)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (plain, "noise makes it too small"),
        (lambda one, other: plain(one, other)
         / (reliability(one, False) * reliability(other, False)).sqrt(), r"2c / \(1 \+ c\)"),
        (lambda one, other: cosine_similarity(one, other).mean(), "the true cosine is"),
        (lambda one, other: plain(one, other) / (reliability(one) * reliability(other)),
         "the true cosine is"),
    ],
)  # fmt: skip
def test_true_cosine_refuses(wrong, says):
    refuses(says, ch11.check_true_cosine, wrong)


# The dial ---------------------------------------------------------------------------------------


def dial(honest, misleading, share, count, seed, shuffled=True, fresh=False):
    wrong = round(share * count)
    if wrong > len(misleading) or count - wrong > len(honest):
        raise ValueError("too few")
    rng = np.random.default_rng([seed, wrong] if fresh else seed)
    orders = [rng.permutation(len(scenes)) for scenes in (honest, misleading)]
    chosen = [misleading[n] for n in orders[1][:wrong]]
    chosen += [honest[n] for n in orders[0][: count - wrong]]
    return [chosen[n] for n in rng.permutation(count)] if shuffled else chosen


def test_dial():
    ch11.check_dial(dial)


def coins(honest, misleading, share, count, seed):
    rng = np.random.default_rng(seed)
    return [(misleading if rng.random() < share else honest)[n % 60] for n in range(count)]


def coins_once(honest, misleading, share, count, seed):
    rng = np.random.default_rng(seed)
    wrong = int(rng.binomial(count, share)) + 1
    return dial(honest, misleading, wrong / count, count, seed)


def with_what_there_is(honest, misleading, share, count, seed):
    return dial(honest, misleading, min(share, 0.6), count, seed)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (coins, "a scene comes twice"),
        (coins_once, "only on average"),
        (lambda *given: dial(*given, fresh=True), "draw an order of each list once"),
        (lambda *given: dial(*given, shuffled=False), "one kind after the other"),
        (lambda h, m, s, c, seed: dial(h, m, s, c, 0), "another seed gave the same"),
        (with_what_there_is, "raise a ValueError"),
        (lambda *given: dial(*given)[1:], "99 scenes"),
        (lambda *given: None, "returns nothing"),
    ],
)
def test_dial_refuses(wrong, says):
    refuses(says, ch11.check_dial, wrong)
