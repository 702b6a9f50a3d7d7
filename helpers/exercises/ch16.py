"""Checks for the exercises of chapter 16, "Where does time flow?"."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from helpers.grids import View
from helpers.stimuli.clips import Clip
from helpers.stimuli.scenes import Background, Placed, Scene

# Right in both directions -----------------------------------------------------------------------


def check_right_both(
    function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Check ``(clean, changed, truth) -> booleans``.

    Raises:
        AssertionError: with the clip that was judged wrongly.
    """
    cases = [
        ("Before is true, and the model says Before, then After", 2.0, -1.0, 1, True),
        ("After is true, and the model says After, then Before", -3.0, 2.0, -1, True),
        ("Before is true, and the model says Before both times", 4.0, 1.0, 1, False),
        ("After is true, and the model says After both times", -4.0, -1.0, -1, False),
        ("Before is true, and the model says After both times", -2.0, -2.5, 1, False),
        ("Before is true, and the model says After, then Before", -1.0, 1.0, 1, False),
    ]
    names, *columns, wanted = zip(*cases, strict=True)
    got = function(*(np.array(column) for column in columns))
    assert got is not None, "the function returns nothing: is a `return` missing?"
    got = np.asarray(got)
    assert got.shape == (len(cases),), (
        f"return one value for each of the {len(cases)} clips, not shape {got.shape}: the share "
        "comes later"
    )
    for name, value, right in zip(names, got.astype(bool), wanted, strict=True):
        if value == right:
            continue
        told = f"{name}: wanted {right}, got {bool(value)}. "
        if "both times" in name:
            told += "Backwards, the other answer is true: who does not turn is wrong once"
        elif right:
            told += "Both answers are right: in the reversed clip the truth has the other sign"
        else:
            told += "Both answers are wrong: turning is not enough"
        raise AssertionError(told)
    print("Correct: the truth turns with the clip, and the model must turn with it.")


# The tokens of some frames ----------------------------------------------------------------------


def _videos() -> dict[str, tuple[tuple[View, ...], int, int]]:
    """Layouts of 8 frames: views, frames, tokens of a step with what stands between steps."""

    def steps(count: int, size: int, gap: int, each: int) -> tuple[View, ...]:
        start = 3
        return tuple(
            View(
                tuple(range(start + n * (size + gap), start + n * (size + gap) + size)),
                (1, size),
                frame=n * each,
            )
            for n in range(count)
        )

    return {
        "one frame in a step": (steps(8, 4, 0, 1), 8, 1),
        "two frames in a step": (steps(4, 6, 0, 2), 8, 2),
        "a newline behind every frame": (steps(8, 4, 1, 1), 8, 1),
        "three frames in a step, two in the last": (steps(3, 5, 0, 3), 8, 3),
    }


def check_showing(
    function: Callable[[Sequence[View], Sequence[int], int], Sequence[int]],
) -> None:
    """Check ``(views, frames, total) -> positions``.

    Raises:
        AssertionError: with the layout that failed and what is probably wrong.
    """
    for name, (views, total, each) in _videos().items():
        for frames in ([0], [5], [7], [1, 6], {2, 3}, []):
            steps = sorted({frame // each for frame in frames})
            wanted = [position for step in steps for position in views[step].positions]
            got = function(views, frames, total)
            assert got is not None, "the function returns nothing: is a `return` missing?"
            got = list(got)
            if got == wanted:
                continue
            told = f"{name}, frames {sorted(frames)}: wanted {wanted}, got {got}. "
            named = [p for view in views if view.frame in frames for p in view.positions]
            if sorted(set(got)) == wanted:
                told += "The positions are right, but not sorted, or not each once"
            elif got == named:
                told += "A view shows all frames up to the next view's, not only the first of them"
            elif set(got) - {p for view in views for p in view.positions}:
                told += "Some positions are in no view: take view.positions, do not count tokens"
            elif set(wanted) - set(got) and max(frames, default=0) == total - 1:
                told += "The last view goes up to the end of the video"
            else:
                told += "Compare the frames that each view shows with those that were asked for"
            raise AssertionError(told)
    print("Correct: frames are found by what the views show, however many tokens they have.")


# One yardstick ----------------------------------------------------------------------------------


def check_against(function: Callable[[pd.DataFrame, str], pd.DataFrame]) -> None:
    """Check ``(table, reference) -> table`` with one denominator for all changes of a clip.

    Raises:
        AssertionError: with what is probably wrong.
    """
    rng = np.random.default_rng(0)
    clips, changes, blocks = 6, ("recoloured", "reversed", "mirrored"), (0, 1, 2)
    clean = rng.normal(size=clips)
    odds = {change: rng.normal(size=clips) for change in changes}
    table = pd.DataFrame(
        {
            "clip": f"flashes {clip}", "change": change, "block": block, "group": "object words",
            "clean": clean[clip], "mirrored": odds[change][clip], "patched": rng.normal(),
        }
        for clip in range(clips)
        for change in changes
        for block in blocks
        if change != "mirrored" or block != 1  # changes need not have the same rows
    )  # fmt: skip
    table = table.sample(frac=1, random_state=1).reset_index(drop=True)
    given = table.copy()
    got = function(given, "reversed")
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert isinstance(got, pd.DataFrame), f"return a table, not a {type(got).__name__}"
    pd.testing.assert_frame_equal(given, table, obj="the table that you were given (copy it first)")
    assert len(got) == len(table), (
        f"{len(table)} rows went in, {len(got)} came out: keep the rows of all changes, each once"
    )
    number = table["clip"].str.split().str[-1].astype(int)
    keys = ["clip", "change", "block"]
    wanted = table.assign(mirrored=odds["reversed"][number]).set_index(keys).sort_index()
    got = got.set_index(keys).sort_index()
    for column in ("clean", "patched"):
        assert np.allclose(got[column], wanted[column]), f"leave {column!r} as it is"
    value = got["mirrored"].to_numpy(dtype=float)
    if not np.allclose(value, wanted["mirrored"]):
        told = "`mirrored` is not what the reversed clip gives, clip by clip. "
        if np.isnan(value).any():
            told += "Some of it is missing: look it up by the clip, not by the row's number"
        elif np.allclose(value, odds["reversed"].mean()):
            told += "You took the mean over all clips; every clip has its own yardstick"
        elif np.allclose(value, table.set_index(keys).sort_index()["mirrored"]):
            told += "It is unchanged"
        else:
            told += "Rows are in any order: look it up by the clip"
        raise AssertionError(told)
    print("Correct: every change of a clip is measured by what reversing does to it.")


# Where a band begins and ends -------------------------------------------------------------------


def check_band(
    function: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
) -> None:
    """Check ``(blocks, fractions) -> (begin, end)``.

    Raises:
        AssertionError: with the curve that failed.
    """
    cases = [
        ("a hill", [0, 1, 2, 3, 4], [0.0, 0.25, 1.0, 0.25, 0.0], (4 / 3, 8 / 3)),
        ("a low hill", [0, 1, 2, 3], [0.0, 0.4, 0.4, 0.0], (0.5, 2.5)),
        ("high from the first block on", [0, 1, 2], [0.8, 0.8, 0.0], (0.0, 1.5)),
        ("high up to the last block", [0, 1, 2], [0.0, 0.9, 0.9], (0.5, 2.0)),
        ("two hills", [0, 1, 2, 3, 4], [0.0, 1.0, 0.0, 0.6, 0.2], (0.5, 3.25)),
        ("blocks 4, 8 and 12 of a large model", [0, 4, 8, 12], [0.0, 0.0, 0.8, 0.0], (6.0, 10.0)),
        ("a dip below zero", [0, 1, 2, 3], [-0.5, 0.5, 0.5, -0.5], (0.75, 2.25)),
        ("nothing above zero", [0, 1, 2], [0.0, -0.1, -0.2], (np.nan, np.nan)),
    ]
    for name, blocks, fractions, wanted in cases:
        got = function(np.array(blocks), np.array(fractions))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.shape(got) == (2,), "return two numbers: where the band begins, and where it ends"
        if np.allclose(got, wanted, equal_nan=True):
            continue
        begin, end = (float(number) for number in got)
        told = f"{name}: wanted {wanted[0]:.2f} to {wanted[1]:.2f}, got {begin:.2f} to {end:.2f}. "
        high = [b for b, f in zip(blocks, fractions, strict=True) if f >= max(fractions) / 2]
        if max(fractions) <= 0:
            told += "Without a hill there is no band: NaN, twice"
        elif np.allclose(got, (high[0], high[-1])):
            told += "Go along the line to the next block, down to half of the height"
        elif name == "a low hill":
            told += "Half of *its highest value*: a low hill has a band, too"
        elif name == "two hills":
            told += "It *last* falls below half behind the second hill"
        else:
            told += "Go along the straight line between the blocks on both sides of the crossing"
        raise AssertionError(told)
    print("Correct: a band has two ends, wherever its hill is and however high.")


# Exchange two frames ----------------------------------------------------------------------------


def check_exchange(
    function: Callable[[torch.Tensor, list[int], list[int]], tuple[Sequence[int], torch.Tensor]],
) -> None:
    """Check ``(states, one, other) -> (positions, vectors)``.

    Raises:
        AssertionError: with what stands where after the edit.
    """
    states = torch.arange(12.0)[:, None] * torch.ones(5)
    for one, other in (([2, 3], [6, 7]), ([8, 9, 10], [1, 2, 3])):
        given = states.clone()
        got = function(given, list(one), list(other))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert torch.equal(given, states), "you changed `states`; make new vectors instead"
        assert isinstance(got, tuple) and len(got) == 2, "return two things: positions, vectors"
        positions, vectors = list(got[0]), torch.as_tensor(got[1])
        assert sorted(positions) == sorted(one + other), (
            f"for frames at {one} and {other}, positions are {positions}: write to all of both"
        )
        assert vectors.shape == (len(positions), 5), (
            f"{len(positions)} positions need vectors of shape ({len(positions)}, 5), not "
            f"{tuple(vectors.shape)}"
        )
        after = states.clone()
        after[positions] = vectors
        wanted = states.clone()
        wanted[one], wanted[other] = states[other], states[one]
        if torch.equal(after, wanted):
            continue
        found = {place: int(after[place, 0]) for place in one + other}
        told = f"after the edit, position → whose state stands there: {found}. "
        if torch.equal(after, states):
            told += "Nothing has moved: give each list what stands at the *other*"
        elif torch.equal(after[one], after[other]):
            told += "Both hold the same frame: read both before you write either"
        else:
            told += "Keep the order of the tokens within a frame"
        raise AssertionError(told)
    print("Correct: each frame stands where the other stood.")


# One object moved -------------------------------------------------------------------------------


def check_moved(function: Callable[[Clip, str, int], Clip]) -> None:
    """Check ``(clip, name, by) -> clip`` with one object in other frames.

    Raises:
        AssertionError: with what is where in the clip that came out.
    """
    frog = {2: Placed("frog", 0.2, 0.3, 0.2), 3: Placed("frog", 0.3, 0.3, 0.25)}
    camel = {frame: Placed("camel", 0.7, 0.6, 0.2) for frame in (3, 4, 5)}
    greys = [Background(colors=((shade, shade, shade),)) for shade in range(200, 248, 6)]
    clip = Clip(
        tuple(
            Scene(tuple(track[frame] for track in (frog, camel) if frame in track), greys[frame])
            for frame in range(8)
        )
    )
    tracks = {"frog": frog, "camel": camel}
    for name, by in (("frog", 2), ("frog", -2), ("camel", 2), ("frog", 4), ("camel", -3)):
        track = tracks[name]
        got = function(clip, name, by)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert isinstance(got, Clip), f"return a Clip, not a {type(got).__name__}"
        assert len(got) == 8, f"{len(got)} frames, not 8"
        told = f"{name} moved by {by}: "
        assert name in got.names, told + "it is nowhere"
        wanted = tuple(frame + by for frame in track)
        assert got.when(name) == wanted, told + f"it is in frames {got.when(name)}, not {wanted}"
        assert got.path(name) == tuple(track.values()), (
            told + "its places or sizes have changed: each frame of it keeps its own"
        )
        other, kept = ("camel", camel) if name == "frog" else ("frog", frog)
        assert other in got.names and got.when(other) == tuple(kept), (
            told + f"{other} should stay in frames {tuple(kept)}; move one object, not frames"
        )
        backgrounds = [scene.background for scene in got.frames]
        assert backgrounds == greys, told + "the backgrounds have moved with it"
        behind = [n for n, scene in enumerate(got.frames)
                  if name in scene.names and scene.names[-1] != name]  # fmt: skip
        assert not behind, told + f"in frame {behind[0]} it is behind the other: append it last"
    for name, by in (("frog", -3), ("frog", 5), ("camel", 3)):
        try:
            got = function(clip, name, by)
        except ValueError:
            continue
        raise AssertionError(
            f"{name} cannot move by {by}, and ends up in frames "
            f"{got.when(name) if name in got.names else 'of no clip'}: raise a ValueError"
        )
    print("Correct: one object has moved in time, and nothing else.")
