"""Checks for the exercises of chapter 11, "Depth"."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

Place = tuple[float, float]


def check_exchange_rows(
    exchange_rows: Callable[[tuple[Place, Place]], tuple[Place, Place]],
) -> None:
    """Check ``((row, column), (row, column)) -> the same, with the rows exchanged``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for places in (((0.5, 1.0), (2.0, 3.0)), ((3.0, 0.0), (1.0, 0.25))):
        (row, column), (other_row, other_column) = places
        wanted = [(other_row, column), (row, other_column)]
        got = exchange_rows(places)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = [tuple(map(float, place)) for place in got]
        hint = ""
        if got == [*places[::-1]]:
            hint = ". Whole places were exchanged: that moves the objects sideways, too"
        elif got == [(3 - row, column), (3 - other_row, other_column)]:
            hint = ". That is the mirrored row; each object is to have the other's"
        elif got == [(row, other_column), (other_row, column)]:
            hint = ". Places are (row, column): you exchanged columns"
        assert got == wanted, f"{places} should become {wanted}, not {got}{hint}"
    print("Correct: who is lower changes, and nothing else.")


def check_follows_height(
    follows_height: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
) -> None:
    """Check ``(says_front, lower, larger) -> share of answers that height gives, not size``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = np.random.default_rng(0)
    lower, larger = generator.normal(size=(2, 400))
    against = lower * larger < 0
    by_height = np.where(generator.random(400) < 0.7, lower > 0, lower < 0)
    for name, says in {
        "one that believes height": lower > 0,
        "one that believes size": larger > 0,
        "one that believes height in seven scenes of ten": by_height,
    }.items():
        wanted = float(((says == (lower > 0)) & against).sum() / against.sum())
        got = follows_height(says.copy(), lower.copy(), larger.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = float(got)
        hint = ""
        if abs(got - float((says == (lower > 0)).mean())) < 1e-6:
            hint = ". Where both cues say the same, an answer follows either: leave those out"
        elif abs(got - (1 - wanted)) < 1e-6:
            hint = ". It is the other way round: what is lower in the picture counts as in front"
        elif abs(got - float(((says == (lower > 0)) & against).mean())) < 1e-6:
            hint = ". Divide by the number of scenes in which the cues disagree"
        assert abs(got - wanted) < 1e-6, f"{name}: expected {wanted:.3f}, got {got:.3f}{hint}"
    try:
        nothing = follows_height(np.array([True]), np.array([1.0]), np.array([1.0]))
    except ValueError:
        print("Correct: only scenes count in which height and size disagree.")
        return
    raise AssertionError(
        f"no scene sets height against size here, and you return {nothing}: raise a ValueError"
    )


def check_cue_weights(
    cue_weights: Callable[[np.ndarray, np.ndarray, np.ndarray], Sequence[float]],
) -> None:
    """Check ``(log_odds, lower, larger) -> (height's weight, size's)``, in nats per SD.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = np.random.default_rng(1)
    for shared in (0.0, 0.8):
        lower, extra = generator.normal(size=(2, 3000)) * [[1.2], [1.0]]
        larger = 0.4 * (shared * lower / 1.2 + np.sqrt(1 - shared**2) * extra)
        for truth in ((3.0, 0.0), (0.5, 4.0)):
            odds = 0.7 + truth[0] * lower / lower.std() + truth[1] * larger / larger.std()
            odds = odds + generator.normal(size=len(odds))
            got = np.asarray(cue_weights(odds.copy(), lower.copy(), larger.copy()), float)
            assert got.shape == (2,), f"return two numbers, not {got}"
            hint = ""
            alone = [np.polyfit(cue / cue.std(), odds, 1)[0] for cue in (lower, larger)]
            both = np.column_stack([lower, larger, np.ones(len(odds))])
            raw = np.linalg.lstsq(both, odds, rcond=None)[0][:2]
            if np.allclose(got, raw, atol=0.05) and not np.allclose(raw, truth, atol=0.15):
                hint = ". These are weights per cell and per log: multiply by each cue's SD"
            elif np.allclose(got, alone, atol=0.1) and shared:
                hint = (
                    ". You fitted each cue alone. These cues go together, so each one takes "
                    "credit for the other: fit both at once"
                )
            assert np.allclose(got, truth, atol=0.15), (
                f"cues that correlate by {shared}: the weights are {truth}, you say "
                f"({got[0]:.2f}, {got[1]:.2f}){hint}"
            )
    print("Correct: each cue gets its own credit, also where they go together.")


def check_size_direction(
    size_direction: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    """Check ``(states, log_sizes, places) -> the states' slope per log size, place held fixed``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(2)
    count, width = 600, 24
    size_axis, row_axis, column_axis, mean = torch.randn(4, width, generator=generator)
    noise = 0.1 * torch.randn(count, width, generator=generator)
    places = 3 * torch.rand(count, 2, generator=generator)
    free = torch.rand(count, generator=generator)
    for tie in (0.0, 0.8):
        sizes = (1 - tie) * free + tie * places[:, 0] / 3 - 1.5
        states = mean + sizes[:, None] * size_axis + noise
        states = states + places[:, :1] * row_axis + places[:, 1:] * column_axis
        got = size_direction(states.clone(), sizes.clone(), places.clone())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = torch.as_tensor(got)
        assert got.shape == (width,), f"expected a vector of {width} numbers, got {got.shape}"
        off = float((got - size_axis).norm() / size_axis.norm())
        hint = ""
        centred = sizes - sizes.mean()
        alone = (centred @ (states - states.mean(0))) / centred.square().sum()
        if float((got - alone).norm()) < 0.05 * float(size_axis.norm()):
            hint = ". What is larger is lower, too, in these scenes: put the place into the fit"
        elif float(torch.cosine_similarity(got, size_axis, dim=0)) > 0.98:
            hint = ". The direction is right, its length is not: give the slope per log size"
        elif float(torch.cosine_similarity(got, size_axis, dim=0)) < -0.9:
            hint = ". It points the wrong way: towards what is larger, please"
        assert off < 0.12, f"sizes tied to rows by {tie}: you are off by {off:.0%}{hint}"
    tied = 0.4 * places[:, 0] - 1
    states = mean + tied[:, None] * size_axis + noise
    try:
        size_direction(states, tied, places)
    except ValueError:
        print("Correct: place held fixed; and where size is a function of place, no answer.")
        return
    raise AssertionError(
        "where size is a function of the row, nobody can tell one's direction from the other's: "
        "raise a ValueError. The rank of the matrix that you fit with tells"
    )


def check_true_cosine(true_cosine: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    """Check ``(samples, samples) -> cosine of the directions without the samples' noise``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(3)
    width, count = 600, 32
    basis = torch.linalg.qr(torch.randn(width, 2, generator=generator)).Q.T
    for truth in (0.0, 0.6, 0.95):
        one = basis[0]
        other = truth * basis[0] + (1 - truth**2) ** 0.5 * basis[1]
        samples = [
            direction + 0.19 * torch.randn(count, width, generator=generator)
            for direction in (one, other)
        ]
        got = true_cosine(*(part.clone() for part in samples))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = float(got)
        raw = float(torch.cosine_similarity(samples[0].mean(0), samples[1].mean(0), dim=0))
        halves = [_halves(part) for part in samples]
        short = raw / float(np.sqrt(halves[0] * halves[1]))
        hint = ""
        if abs(got - raw) < 0.02:
            hint = ". That is the cosine of the means, and noise makes it too small"
        elif abs(got - short) < 0.02:
            hint = (
                ". Half of the samples are noisier than all of them: what two halves share, c, "
                "makes 2c / (1 + c) for the whole"
            )
        assert abs(got - truth) < 0.09, f"the true cosine is {truth}, you say {got:.2f}{hint}"
    print("Correct: noise makes directions look more different than they are.")


def _halves(samples: torch.Tensor) -> float:
    return float(torch.cosine_similarity(samples[::2].mean(0), samples[1::2].mean(0), dim=0))


def check_dial(dial: Callable[[Sequence, Sequence, float, int, int], Sequence]) -> None:
    """Check ``(honest, misleading, share, count, seed) -> scenes``.

    Raises:
        AssertionError: with what two sets differ in besides the share.
    """
    honest, misleading = [f"h{n}" for n in range(120)], [f"m{n}" for n in range(60)]
    sets = {}
    for share in (0.0, 0.02, 0.05, 0.5):
        got = dial(list(honest), list(misleading), share, 100, 3)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert len(got) == 100, f"share {share}: {len(got)} scenes, and 100 were asked for"
        assert len(set(got)) == 100, f"share {share}: a scene comes twice"
        wrong = [scene for scene in got if scene[0] == "m"]
        assert len(wrong) == round(100 * share), (
            f"share {share}: {len(wrong)} of 100 mislead, not {round(100 * share)}. A coin for "
            "each scene gives the share only on average"
        )
        assert list(got) == list(dial(list(honest), list(misleading), share, 100, 3)), (
            "the same seed gave another set: make a generator of the seed, inside"
        )
        sets[share] = got
    for low, high in ((0.02, 0.05), (0.05, 0.5)):
        for mark, fewer, more in (("m", low, high), ("h", high, low)):
            lost = {s for s in sets[fewer] if s[0] == mark} - set(sets[more])
            kind = "misleading" if mark == "m" else "honest"
            assert not lost, (
                f"{len(lost)} of the {kind} scenes at share {fewer} are not among those at {more}: "
                "draw an order of each list once, and take more or less of it"
            )
    half = sets[0.5]
    first = sum(scene[0] == "m" for scene in half[:50])
    assert 10 <= first <= 40, (
        f"{first} of the 50 misleading scenes stand in the first half: shuffle, or training meets "
        "one kind after the other"
    )
    other = dial(list(honest), list(misleading), 0.5, 100, 4)
    assert set(other) != set(half), "another seed gave the same scenes"
    try:
        dial(list(honest), list(misleading), 0.9, 100, 3)
    except ValueError:
        print("Correct: one thing differs, and nothing else.")
        return
    raise AssertionError("90 misleading scenes were wanted, 60 are there: raise a ValueError")
