"""Checks for the exercises of chapter 17, "Finding temporal IDs"."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

FRAMES = 8


def walks(pairs: int, frames: int = FRAMES, width: int = 128, seed: int = 0) -> torch.Tensor:
    """Random walks, one for each pair, centred over frames: ``[pairs, frames, width]``.

    Neighbouring frames are alike, and no two pairs have anything in common.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(pairs, frames, width, generator=generator)
    return _centred(steps.cumsum(1))


def planted(
    pairs: int, frames: int = FRAMES, width: int = 128, bend: float = 0.0, seed: int = 0
) -> torch.Tensor:
    """A line through time that all pairs share, bent by ``bend``, with noise of each pair's own.

    Returns:
        ``[pairs, frames, width]``, centred over frames.
    """
    across, aside = torch.randn(2, width, generator=torch.Generator().manual_seed(1234))
    steps = torch.arange(frames) - (frames - 1) / 2
    shared = steps[:, None] * across + bend * steps.square()[:, None] * aside
    noise = torch.randn(pairs, frames, width, generator=torch.Generator().manual_seed(seed))
    return _centred(shared + 0.5 * noise)


def squared_correlation(coordinates: Any) -> float:
    """Squared correlation of coordinates ``[..., frames]`` with their frame, all dots together."""
    coordinates = np.asarray(coordinates, dtype=float)
    frames = np.broadcast_to(np.arange(coordinates.shape[-1]), coordinates.shape)
    return float(np.corrcoef(frames.ravel(), coordinates.ravel())[0, 1] ** 2)


def _centred(vectors: torch.Tensor) -> torch.Tensor:
    return vectors - vectors.mean(1, keepdim=True)


# IDs from rows ----------------------------------------------------------------------------------


def check_ids_from_rows(
    function: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor],
) -> None:
    """Check ``(states, frames, count) -> [count, d_model]`` on rows in any order and number.

    Raises:
        AssertionError: with the step that is probably missing.
    """
    generator = torch.Generator().manual_seed(0)
    count, width = 5, 6
    ids = torch.randn(count, width, generator=generator)
    ids = ids - ids.mean(0)
    base = 10 * torch.randn(width, generator=generator)
    frames, pulls = [], []
    for frame, rows in enumerate((2, 4, 6, 2, 4)):  # not equally many
        for row in range(rows):
            frames.append(frame)
            pulls.append(3.0 if row % 2 else -3.0)  # partners pull in opposite directions
    pull = torch.tensor(pulls)[:, None] * torch.randn(width, generator=generator)
    frames = torch.tensor(frames)
    states = base + ids[frames] + pull
    order = torch.randperm(len(frames), generator=generator)
    got = function(states[order].clone(), frames[order].clone(), count)
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert tuple(got.shape) == (count, width), (
        f"the answer has shape {tuple(got.shape)}; wanted (count, d_model) = {(count, width)}: one "
        "vector for each frame"
    )
    got = torch.as_tensor(got).float()
    last = torch.stack([states[order][frames[order] == frame][-1] for frame in range(count)])
    assert not any(torch.allclose(got, v, atol=1e-3) for v in (last, last - last.mean(0))), (
        "each frame holds its last row alone: a later partner has overwritten the earlier ones. "
        "That is the defect of the released code; take the mean over a frame's rows"
    )
    uneven = base + ids - states.mean(0)
    assert not torch.allclose(got, uneven, atol=1e-3), (
        "you subtracted the mean over all rows. Frames with more rows then weigh more: subtract "
        "the mean of the frames' means"
    )
    assert float(got.mean(0).abs().max()) < 1e-3, (
        "the IDs' mean over frames is not zero: subtract it, or what the word *is* stays in them"
    )
    error = float((got - ids).abs().max())
    assert error < 1e-3, (
        f"the planted IDs are off by up to {error:.3f}. A frame's ID is the mean of its rows, less "
        "the mean of these means: in the states' own units, and frames in their order"
    )
    print("Correct: every partner counts, every frame weighs the same, and the sum is zero.")


# The first principal component ------------------------------------------------------------------


def check_pc1_scores(function: Callable[[torch.Tensor, torch.Tensor], tuple]) -> None:
    """Check ``(train, test) -> (in_sample, held_out)`` on a planted line and on random walks.

    Raises:
        AssertionError: with what came out and what should have.
    """
    found = function(planted(12, seed=1), planted(10, seed=2))
    assert found is not None, "the function returns nothing: is a `return` missing?"
    assert np.shape(found) == (2,), f"return two numbers, (in_sample, held_out), not {found!r}"
    inside, outside = map(float, found)
    assert inside > 0.9 and outside > 0.8, (
        f"on a line that all pairs share both must be near 1; got {inside:.2f} and {outside:.2f}"
    )
    draws = np.array(
        [function(walks(12, seed=seed), walks(10, seed=100 + seed)) for seed in range(12)], float
    )
    inside, outside = draws.mean(0)
    assert inside > 0.8, (
        f"eight averaged points of random walks give about 0.97 in-sample; yours is {inside:.2f}. "
        "Fit the component to the mean over the training pairs, and score that same mean"
    )
    assert outside < 0.2, (
        f"random walks have nothing in common, so held out they must be near 0.05; yours is "
        f"{outside:.2f}. Does the component come from the training pairs alone? And are the dots "
        "of all test pairs scored together? If every pair is scored by itself, or their mean is, "
        "a square forgets that half of them run backwards"
    )
    print(f"Correct: from random walks {inside:.2f} in-sample, {outside:.2f} held out.")


# Curves -----------------------------------------------------------------------------------------


def check_curve(function: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
    """Check ``(train, degree) -> [frames, d_model]``, a least-squares polynomial in the frame.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for degree, bend in ((1, 0.0), (1, 0.4), (2, 0.4)):
        train = planted(6, bend=bend, seed=degree)
        got = function(train.clone(), degree)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert tuple(got.shape) == tuple(train.shape[1:]), (
            f"the answer has shape {tuple(got.shape)}; wanted a vector for each frame, "
            f"{tuple(train.shape[1:])}: what the fitted curve says, not its coefficients"
        )
        got = torch.as_tensor(np.asarray(got)).float()
        mean = train.mean(0)
        powers = np.vander(np.arange(FRAMES), degree + 1)
        wanted = torch.from_numpy(powers @ np.linalg.lstsq(powers, mean.numpy(), rcond=None)[0])
        if torch.allclose(got, mean, atol=1e-3):
            raise AssertionError("this is the free mean of each frame: nothing was fitted")
        if degree == 2:
            lone = np.vander(np.arange(FRAMES), 3)[:, [0, 2]]
            only = lone @ np.linalg.lstsq(lone, mean.numpy(), rcond=None)[0]
            assert not torch.allclose(got, torch.from_numpy(only).float(), atol=1e-3), (
                "degree 2 means frame *and* its square; the linear term is missing"
            )
        error = float((got - wanted.float()).abs().max())
        assert error < 1e-2, (
            f"at degree {degree} the curve is off by up to {error:.2f}. Is there a constant among "
            "the columns? Does every pair count alike?"
        )
    print("Correct: the least-squares curve, at degree 1 and 2.")


# First or last frame ----------------------------------------------------------------------------


def check_whose_time(
    function: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple],
) -> None:
    """Check ``(onset, offset, coordinate) -> (slope of onset, slope of offset)``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    stays = np.array([(a, b) for a in range(FRAMES) for b in range(a, FRAMES)], float)
    onset, offset = stays.T
    noise = np.random.default_rng(0).normal(0, 0.05, len(stays))
    cases = {
        "its first frame": (1.0, 0.0),
        "its last frame": (0.0, 1.0),
        "its middle": (0.5, 0.5),
        "something in between": (0.6, 0.2),
    }
    for what, slopes in cases.items():
        coordinate = 3.0 + slopes[0] * onset + slopes[1] * offset + noise
        found = function(onset.copy(), offset.copy(), coordinate.copy())
        assert found is not None, "the function returns nothing: is a `return` missing?"
        assert np.shape(found) == (2,), (
            f"return two numbers, (slope of onset, slope of offset), not {found!r}"
        )
        apart = [np.polyfit(x, coordinate, 1)[0] for x in (onset, offset)]
        if np.allclose(found, apart, atol=1e-3) and not np.allclose(found, slopes, atol=0.1):
            raise AssertionError(
                "these are slopes of two separate fits. What starts late also ends late, so each "
                "takes credit for the other: fit both at once"
            )
        assert np.allclose(found, slopes, atol=0.1), (
            f"where a stay has the time of {what}, the slopes are {slopes}; yours are "
            f"({found[0]:.2f}, {found[1]:.2f}). Is there a constant among the columns, and is "
            "onset first?"
        )
    print("Correct: onset and offset each get what is theirs.")


def check_clocks(clocks: Callable[[torch.Tensor, torch.Tensor, int], dict[str, float]]) -> None:
    """Check ``(ids [frames, d_model], shifted, blanks) -> squared distance by clock``.

    Raises:
        AssertionError: with the clock that was planted, and what came out.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randn(FRAMES, 16, generator=generator, dtype=torch.float64).cumsum(0)
    for blanks in (1, 3):
        rows = torch.arange(FRAMES, dtype=torch.float64)
        places = {
            "position": rows + blanks,
            "share": (rows + blanks) / (FRAMES + blanks - 1) * (FRAMES - 1),
            "order": rows,
        }
        said = {name: _at(ids, place) for name, place in places.items()}
        known = FRAMES - blanks
        for planted, shifted in said.items():
            # What nobody can judge must not count.
            shifted = torch.cat([shifted[:known], 100 + shifted[known:]])
            got = clocks(ids.clone(), shifted.clone(), blanks)
            assert got is not None, "the function returns nothing: is a `return` missing?"
            assert isinstance(got, dict) and set(got) == set(said), (
                f"return a dictionary with {', '.join(map(repr, said))}"
            )
            for name, guess in said.items():
                wanted = float((guess - shifted)[:known].square().mean())
                if abs(got[name] - wanted) < 1e-6 * (1 + wanted):
                    continue
                told = f"{blanks} blanks, planted: {planted}. {name!r} should be off by "
                told += f"{wanted:.3f}, you have {got[name]:.3f}. "
                if got[name] > 100:
                    told += f"Events from {known} on have no ID at their position: leave them out"
                elif abs(got[name] - wanted * 16) < 1e-6 * (1 + wanted):
                    told += "Take the mean over dimensions, too"
                elif name == "share":
                    told += "The last of n frames has passed all: divide by n - 1, then interpolate"
                elif name == "position":
                    told += "Blanks in front make an event later"
                else:
                    told += "Row t of both is about the same event"
                raise AssertionError(told)
    print("Correct: three clocks, judged on the same events.")


def _at(ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """IDs at places between frames; beyond the last, the last."""
    places = places.clamp(max=len(ids) - 1)
    low = places.floor().long().clamp(max=len(ids) - 2)
    part = (places - low)[:, None]
    return (1 - part) * ids[low] + part * ids[low + 1]
