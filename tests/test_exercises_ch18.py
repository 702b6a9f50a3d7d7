"""The checks of chapter 18, and what the chapter adds to ``helpers.clip_trials``."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import clip_trials, stats
from helpers.exercises import ch18
from helpers.ids import SpatialIDs
from helpers.stimuli.clip_sampling import clips
from helpers.temporal import TemporalIDs
from helpers.trials import Case


def refuses(says, check, wrong):
    with pytest.raises(AssertionError, match=says):
        check(wrong)


# Aim backwards ----------------------------------------------------------------------------------


def push_back(ids, site, times):
    last = ids[0].frames - 1
    return [own.difference(site, t, last - t) for own, t in zip(ids, times, strict=True)]


def exchanged(ids, site, times):
    targets = times[::-1]
    return [own.difference(site, *step) for own, *step in zip(ids, times, targets, strict=True)]


def one_map(ids, site, times):
    return push_back((ids[0], ids[0]), site, times)


def one_too_far(ids, site, times):
    return [
        own.difference(site, t, max(6 - t, 0)) for own, t in zip(ids, times, strict=True)
    ]  # fmt: skip


def test_push_back():
    ch18.check_push_back(push_back)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (exchanged, "that is the exchange"),
        (one_map, "IDs of the other noun"),
        (one_too_far, "frames count from 0"),
        (lambda *about: [-vector for vector in push_back(*about)], "target minus origin"),
        (lambda *about: push_back(*about)[:1], "two vectors"),
    ],
)
def test_push_back_refuses(wrong, says):
    refuses(says, ch18.check_push_back, wrong)


# Share of right beliefs -------------------------------------------------------------------------


def swapped(table):
    return stats.mean(table[table["right"]].groupby("scene")["swapped"].mean())


def over_rows(table):
    return stats.mean(table[table["right"]]["swapped"])


def of_all(table):
    return stats.mean(table.groupby("scene")["swapped"].mean())


def zeros_for_wrong(table):
    return stats.mean((table["right"] & table["swapped"]).groupby(table["scene"]).mean())


def test_swapped():
    ch18.check_swapped(swapped)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (over_rows, "mean over rows"),
        (of_all, "were wrong, too"),
        (zeros_for_wrong, "leave it out"),
        (lambda table: swapped(table).estimate, "return what stats.share returns"),
        (lambda table: swapped(table)._replace(n=len(table)), "not independent"),
    ],
)
def test_swapped_refuses(wrong, says):
    refuses(says, ch18.check_swapped, wrong)


# Five times the stream --------------------------------------------------------------------------


def shout(vectors, streams, factor):
    return factor * streams.norm(dim=-1, keepdim=True) * torch.nn.functional.normalize(vectors)


def one_length(vectors, streams, factor):
    return factor * streams.norm(dim=-1).mean() * torch.nn.functional.normalize(vectors)


def divides(vectors, streams, factor):
    return vectors * (factor * streams.norm(dim=-1) / vectors.norm(dim=-1))[:, None]


def test_shout():
    ch18.check_shout(shout)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_length, "both nouns got the same length"),
        (lambda vectors, streams, factor: factor * vectors, "the other unit"),
        (divides, "must stay as it is"),
        (lambda vectors, streams, factor: streams + shout(vectors, streams, factor), "another way"),
        (lambda vectors, streams, factor: vectors.mul_(factor), "changed"),
    ],
)
def test_shout_refuses(wrong, says):
    refuses(says, ch18.check_shout, wrong)


# Line, step or sigmoid --------------------------------------------------------------------------


def closest(distance, log_odds, levels):
    """The width whose curve, with some levels beside it, leaves the smallest error."""
    misses = []
    for width in ch18.WIDTHS:
        design = np.concatenate([levels, np.tanh(distance / width).reshape(-1, 1)], 1)
        fitted = design @ np.linalg.lstsq(design, log_odds.ravel(), rcond=None)[0]
        misses.append(((log_odds.ravel() - fitted) ** 2).sum())
    return ch18.WIDTHS[np.argmin(misses)]


def bend(distance, log_odds):
    clips, frames = distance.shape
    return closest(distance, log_odds, np.eye(clips).repeat(frames, axis=0))


def one_level(distance, log_odds):
    return closest(distance, log_odds, np.ones((distance.size, 1)))


def no_level(distance, log_odds):
    return closest(distance, log_odds, np.ones((distance.size, 0)))


def without_height(distance, log_odds):
    def centred(one):
        return one - one.mean(1, keepdims=True)

    curves = [centred(-np.tanh(distance / width)) for width in ch18.WIDTHS]
    misses = [((centred(log_odds) - curve) ** 2).sum() for curve in curves]
    return ch18.WIDTHS[np.argmin(misses)]


def test_bend():
    ch18.check_bend(bend)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_level, "must be free"),
        (no_level, "must be free"),
        (without_height, "must be free"),
        (lambda distance, log_odds: ch18.WIDTHS[0], "you say 0.10"),
        (lambda distance, log_odds: 2.05, "none of ch18.WIDTHS"),
        (lambda distance, log_odds: None, "return a number"),
    ],
)
def test_bend_refuses(wrong, says):
    refuses(says, ch18.check_bend, wrong)


# What the chapter adds to helpers.clip_trials ---------------------------------------------------


def timeline(noun, frames=8):
    vectors = torch.randn(1, 2, frames, 32, generator=torch.Generator().manual_seed(noun))
    return TemporalIDs(vectors.cumsum(2), ("site",), (("a", "b"), ("c", "d")), noun, "none")


def grid(noun):
    vectors = torch.randn(1, 2, 4, 4, 32, generator=torch.Generator().manual_seed(10 + noun))
    return SpatialIDs(vectors, ("site",), (("a", "b"), ("c", "d")), noun, "none")


SEEDS = dict(zip(clip_trials.TIME_CONTROLS, (3, 2, 2, 2), strict=True))


def arms(places=(1.0, 4.5), **changed):
    case = Case(SimpleNamespace(question="?"), "before_after", ("a", "b"), places, 1)
    about = {"seeds": SEEDS, "places": (grid(0), grid(1)), **changed}
    ids = (timeline(0), timeline(1))
    targets = clip_trials.backwards(case, 8)
    return clip_trials.arms_in_time(case, ids, "site", targets, **about), ids


def test_every_arm_in_time_is_as_long_as_the_ids():
    found, ids = arms()
    aimed = found["temporal IDs", 0]
    assert torch.allclose(aimed[0], ids[0].difference("site", 1.0, 6.0))
    assert torch.allclose(aimed[1], ids[1].difference("site", 4.5, 2.5))
    assert len(found) == 1 + sum(SEEDS.values())
    lengths = [vector.norm() for vector in aimed]
    for (arm, seed), vectors in found.items():
        for noun, (vector, length) in enumerate(zip(vectors, lengths, strict=True)):
            assert torch.isclose(vector.norm(), length, rtol=1e-4), (arm, seed, noun)
            assert (arm, seed) == ("temporal IDs", 0) or not torch.allclose(vector, aimed[noun])


def test_arms_in_time_are_the_same_again_and_stay_in_the_timeline():
    (one, ids), (other, _) = arms(), arms()
    assert all(torch.equal(*pair) for key in one for pair in zip(one[key], other[key], strict=True))
    mean = ids[0].mean("site")
    span = torch.linalg.svd(mean - mean.mean(0), full_matrices=False).Vh[:7]
    vector = one["random in ID subspace", 0][0]
    assert torch.allclose(vector @ span.T @ span, vector, atol=1e-3)


def test_where_the_ids_send_nothing_nor_do_the_controls():
    found, _ = arms((3.5, 4.5))
    assert all(not vectors[0].any() for vectors in found.values())
    assert all(vectors[1].any() for vectors in found.values())


def test_across_the_picture_pushes_the_nouns_apart():
    found, _ = arms()
    right, left = found["across the picture", 0], found["across the picture", 1]
    assert all(torch.allclose(one, -other) for one, other in zip(right, left, strict=True))
    axes = [grid(noun).axes("site").column for noun in (0, 1)]
    signs = [torch.dot(*pair).sign() for pair in zip(right, axes, strict=True)]
    assert signs == [1, -1]


def test_an_unknown_control_in_time_is_refused():
    with pytest.raises(ValueError, match="orthogonal axis"):
        arms(seeds={"orthogonal axis": 1})


def test_a_turned_timeline_keeps_its_distances_alone():
    ids = timeline(0)
    turned = clip_trials.turned(ids, 0)
    for one, other in ((0, 7), (2, 3)):
        step, same = (some.difference("site", one, other) for some in (ids, turned))
        assert torch.isclose(step.norm(), same.norm(), rtol=1e-4)
        assert abs(torch.cosine_similarity(step, same, dim=0)) < 0.7
    assert torch.equal(turned.vectors, clip_trials.turned(ids, 0).vectors)


def test_a_retimed_clip_differs_in_one_object_alone():
    clip = clips(1, 0, "flashes", held_out=True)[0]
    name, other = clip.names
    moved = clip_trials.retimed(clip, name, 6)
    assert moved.when(name) == (6,) and moved.path(name) == clip.path(name)
    assert moved.when(other) == clip.when(other) and moved.path(other) == clip.path(other)


def test_outcomes_refuse_two_cases_of_one_name():
    case = Case(None, "before_after", ("a", "b"), (1.0, 4.5), 1, {"scene": 3})
    with pytest.raises(ValueError, match="scene"):
        clip_trials.outcomes(None, [case, case], [])


# How long ---------------------------------------------------------------------------------------


def longer(states, onset, offset, of_lengths=True):
    length = (offset - onset).to(states)
    for middle in torch.unique(onset + offset):
        same = onset + offset == middle
        states = torch.where(same[:, None], states - states[same].mean(0), states)
        if of_lengths:
            length = torch.where(same, length - length[same].mean(), length)
    return length @ states / length.square().sum()


def test_longer():
    ch18.check_longer(longer)


def fitted(states, *columns):
    columns = torch.stack([*columns, torch.ones_like(columns[0])], 1).to(states)
    return torch.linalg.lstsq(columns, states).solution[0]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s, a, b: fitted(s, b - a), "later, not longer"),
        (lambda s, a, b: fitted(s, b - a, (a + b) / 2), "time is a curve"),
        (lambda s, a, b: 2 * longer(s, a, b), "its length is not"),
        (lambda s, a, b: longer(s, a, b, of_lengths=False), "its length is not"),
        (lambda s, a, b: s[b - a > 3].mean(0) - s[b - a < 3].mean(0), "within each middle"),
        (lambda s, a, b: longer(s, a, b)[None], "one vector"),
        (lambda s, a, b: None, "returns nothing"),
    ],
)
def test_longer_refuses(wrong, says):
    refuses(says, ch18.check_longer, wrong)
