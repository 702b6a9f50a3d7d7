"""The checks of chapter 16: they pass the solution, and tell what is wrong with what is wrong."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.exercises import ch16
from helpers.stimuli.clips import Clip


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Right in both directions -----------------------------------------------------------------------


def test_right_both():
    ch16.check_right_both(lambda c, r, t: (c * t > 0) & (r * t < 0))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda c, r, t: (c * t > 0) & (r * t > 0), "the truth has the other sign"),
        (lambda c, r, t: c * r < 0, "turning is not enough"),
        (lambda c, r, t: c * t > 0, "who does not turn is wrong once"),
        (lambda c, r, t: ((c * t > 0) & (r * t < 0)).mean(), "the share comes later"),
        (lambda c, r, t: None, "returns nothing"),
    ],
)
def test_right_both_refuses(wrong, says):
    refuses(says, ch16.check_right_both, wrong)


# The tokens of some frames ----------------------------------------------------------------------


def showing(views, frames, total):
    ends = [*(view.frame for view in views[1:]), total]
    return [
        position
        for view, end in zip(views, ends, strict=True)
        if set(range(view.frame, end)) & set(frames)
        for position in view.positions
    ]


def test_showing():
    ch16.check_showing(showing)


def named(views, frames, total):
    return [p for view in views if view.frame in frames for p in view.positions]


def counted(views, frames, total):
    """As if all tokens stood without a gap, a frame in each view."""
    size = len(views[0].positions)
    begin = views[0].positions[0]
    return [p for f in sorted(frames) for p in range(begin + f * size, begin + (f + 1) * size)]


def without_end(views, frames, total):
    pairs = zip(views, views[1:], strict=False)
    return [
        p
        for view, after in pairs
        if set(range(view.frame, after.frame)) & set(frames)
        for p in view.positions
    ]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (named, "not only the first of them"),
        (counted, "do not count tokens"),
        (without_end, "up to the end of the video"),
        (lambda v, f, t: showing(v, f, t)[::-1], "not sorted"),
        (lambda v, f, t: None, "returns nothing"),
    ],
)
def test_showing_refuses(wrong, says):
    refuses(says, ch16.check_showing, wrong)


# One yardstick ----------------------------------------------------------------------------------


def against(table, reference):
    whole = table[table["change"] == reference].groupby("clip")["mirrored"].first()
    return table.assign(mirrored=table["clip"].map(whole))


def test_against():
    ch16.check_against(against)


def one_for_all(table, reference):
    part = table[table["change"] == reference]
    return table.assign(mirrored=part.groupby("clip")["mirrored"].first().mean())


def by_row(table, reference):
    return table.assign(mirrored=table[table["change"] == reference]["mirrored"])


def in_order(table, reference):
    values = table[table["change"] == reference]["mirrored"].to_numpy()
    return table.assign(mirrored=np.resize(values, len(table)))


def in_place(table, reference):
    table["mirrored"] = against(table, reference)["mirrored"]
    return table


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_for_all, "every clip has its own yardstick"),
        (by_row, "not by the row's number"),
        (in_order, "any order"),
        (in_place, "copy it first"),
        (lambda t, r: t, "unchanged"),
        (lambda t, r: t[t["change"] == r], "keep the rows of all changes"),
        (lambda t, r: t["mirrored"], "return a table"),
        (lambda t, r: None, "returns nothing"),
    ],
)
def test_against_refuses(wrong, says):
    refuses(says, ch16.check_against, wrong)


def test_against_is_what_recovered_by_needs():
    table = pd.DataFrame(
        {
            "clip": ["a", "a", "b", "b"], "change": ["reversed", "recoloured"] * 2,
            "clean": [0.0] * 4, "mirrored": [2.0, 0.1, -2.0, -0.1], "patched": [0.0] * 4,
        }
    )  # fmt: skip
    found = against(table, "reversed")
    assert found["mirrored"].tolist() == [2.0, 2.0, -2.0, -2.0]


# Where a band begins and ends -------------------------------------------------------------------


def band(blocks, fractions, least=None):
    half = fractions.max() / 2 if least is None else least
    high, found = np.flatnonzero(fractions >= half), []
    if fractions.max() <= 0 or not len(high):
        return np.nan, np.nan
    for inside, outside in ((high[0], high[0] - 1), (high[-1], high[-1] + 1)):
        pair = [outside, inside] if 0 <= outside < len(blocks) else [inside, inside]
        found.append(float(np.interp(half, fractions[pair], blocks[pair])))
    return tuple(found)


def test_band():
    ch16.check_band(band)


def whole_blocks(blocks, fractions):
    high = blocks[fractions >= fractions.max() / 2]
    return (float(high[0]), float(high[-1])) if fractions.max() > 0 else (np.nan, np.nan)


def first_hill(blocks, fractions):
    low = np.flatnonzero(fractions < fractions.max() / 2)
    end = low[low > fractions.argmax()]
    return (
        band(blocks[: end[0] + 1], fractions[: end[0] + 1]) if len(end) else band(blocks, fractions)
    )


def never_nan(blocks, fractions):
    found = band(blocks, fractions)
    return (0.0, 0.0) if np.isnan(found[0]) else found


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (whole_blocks, "Go along the line to the next block"),
        (lambda b, f: band(b, f, 0.5), "a low hill has a band"),
        (first_hill, "behind the second hill"),
        (never_nan, "there is no band"),
        (lambda b, f: band(np.arange(len(b)), f), "straight line"),
        (lambda b, f: band(b, f)[0], "two numbers"),
        (lambda b, f: None, "returns nothing"),
    ],
)
def test_band_refuses(wrong, says):
    refuses(says, ch16.check_band, wrong)


# Exchange two frames ----------------------------------------------------------------------------


def exchange(states, one, other):
    return [*one, *other], states[[*other, *one]]


def test_exchange():
    ch16.check_exchange(exchange)


def one_after_the_other(states, one, other):
    states = states.clone()
    states[one] = states[other]
    states[other] = states[one]
    return [*one, *other], states[[*one, *other]]


def overwritten(states, one, other):
    states[one] = states[other]
    return [*one, *other], states[[*one, *other]]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_after_the_other, "read both before you write either"),
        (overwritten, "you changed `states`"),
        (lambda s, a, b: ([*a, *b], s[[*a, *b]]), "Nothing has moved"),
        (lambda s, a, b: (a, s[b]), "write to all of both"),
        (lambda s, a, b: ([*a, *b], s[[*b[::-1], *a[::-1]]]), "order of the tokens"),
        (lambda s, a, b: s[[*b, *a]], "return two things"),
        (lambda s, a, b: None, "returns nothing"),
    ],
)
def test_exchange_refuses(wrong, says):
    refuses(says, ch16.check_exchange, wrong)


# One object moved -------------------------------------------------------------------------------


def moved(clip, name, by, path=None, last=True):
    when = clip.when(name)
    if when[0] + by < 0 or when[-1] + by >= len(clip):
        raise ValueError("outside")
    frames = []
    for number, scene in enumerate(clip.frames):
        objects = [placed for placed in scene.objects if placed.name != name]
        if number - by in when:
            placed = clip.frames[when[0] if path == "first" else number - by].find(name)
            objects.insert(len(objects) if last else 0, placed)
        frames.append(replace(scene, objects=tuple(objects)))
    return Clip(tuple(frames))


def test_moved():
    ch16.check_moved(moved)


def rolled(clip, name, by):
    """All frames go round, with all that is in them."""
    return Clip(tuple(clip.frames[(number - by) % len(clip)] for number in range(len(clip))))


def copied(clip, name, by):
    """The object is put in, and not taken out."""
    there = moved(clip, name, by)
    return Clip(
        tuple(
            scene if name in scene.names or name not in old.names else old
            for scene, old in zip(there.frames, clip.frames, strict=True)
        )
    )


def cut_off(clip, name, by):
    when = clip.when(name)
    by = max(-when[0], min(by, len(clip) - 1 - when[-1]))
    return moved(clip, name, by)


def with_background(clip, name, by):
    frames = list(moved(clip, name, by).frames)
    for frame in clip.when(name):
        frames[frame + by] = replace(frames[frame + by], background=clip.frames[frame].background)
    return Clip(tuple(frames))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (rolled, "move one object, not frames"),
        (copied, "it is in frames"),
        (cut_off, "raise a ValueError"),
        (with_background, "the backgrounds have moved"),
        (lambda c, n, b: moved(c, n, -b), "it is in frames"),
        (lambda c, n, b: moved(c, n, b, path="first"), "its places or sizes"),
        (lambda c, n, b: moved(c, n, b, last=False), "append it last"),
        (lambda c, n, b: moved(c, n, b).frames, "return a Clip"),
        (lambda c, n, b: None, "returns nothing"),
    ],
)
def test_moved_refuses(wrong, says):
    refuses(says, ch16.check_moved, wrong)
