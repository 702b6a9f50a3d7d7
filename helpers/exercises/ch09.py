"""Checks for the exercises of chapter 9, "Swapping beliefs"."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch


def check_clean_swaps(
    clean_swaps: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Check ``(before, after, valid) -> 1, 0 or NaN``, log-odds of the false answer.

    Raises:
        AssertionError: with what came out and what should have.
    """
    cases = [
        ("right before, wrong after, valid", -2.0, 1.5, True, 1.0),
        ("right before, wrong after, but it babbles", -2.0, 1.5, False, 0.0),
        ("right before and after", -2.0, -0.5, True, 0.0),
        ("right before, less sure after", -9.0, -0.1, True, 0.0),
        ("wrong before, right after", 2.0, -1.5, True, np.nan),
        ("wrong before and after", 2.0, 3.0, True, np.nan),
        ("wrong before, and it babbles after", 1.0, -3.0, False, np.nan),
    ]
    names, before, after, valid, wanted = (list(part) for part in zip(*cases, strict=True))
    arrays = np.array(before), np.array(after), np.array(valid)
    got = clean_swaps(*(array.copy() for array in arrays))
    assert got is not None, "the function returns nothing: is a `return` missing?"
    got = np.asarray(got, dtype=float)
    assert got.shape == (len(cases),), (
        f"return one value for each of the {len(cases)} questions, not shape {got.shape}: the mean "
        "comes later"
    )
    for name, value, right in zip(names, got, wanted, strict=True):
        if np.array_equal(value, right, equal_nan=True):
            continue
        told = f"{name}: wanted {right:g}, got {value:g}. "
        if np.isnan(right) and value == 1:
            told += "A wrong belief that turns right went against the push"
        elif np.isnan(right):
            told += "It could not be swapped, so it must leave the denominator: NaN, not 0"
        elif "babbles" in name:
            told += "If the model would say another word, the sign of its belief is not said"
        else:
            told += "Right is below zero: these are log-odds of the false answer"
        raise AssertionError(told)
    print("Correct: right to wrong, and said; what was wrong before does not count.")


def check_dose_for(
    dose_for: Callable[[float, torch.Tensor, torch.Tensor, int], float],
) -> None:
    """Check ``(factor, vector, states, position) -> dose``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    for factor, position, size in ((1.0, 2, 0.5), (5.0, 4, 3.0), (0.5, 0, 8.0)):
        states = torch.randn(6, 32, generator=generator) * torch.arange(1, 7)[:, None]
        vector = size * torch.randn(32, generator=generator)
        got = dose_for(factor, vector.clone(), states.clone(), position)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.ndim(got) == 0 or np.size(got) == 1, "return one number, the dose"
        got = float(got)
        length, stream = float(vector.norm()), float(states[position].norm())
        wanted = factor * stream / length
        if abs(got - wanted) < 1e-3 * wanted:
            continue
        slips = {
            factor * float(states.norm()) / length: (
                "You took the norm of all positions at once; take that of the edited one"
            ),
            factor * float(states.norm(dim=-1).mean()) / length: (
                "You averaged over positions; only one of them is edited"
            ),
            factor * stream: "That is the length of the edit; a unit of dose brings |vector|",
            length / stream * factor: "Upside down: a longer vector needs a smaller dose",
        }
        hint = next((text for slip, text in slips.items() if abs(got - slip) < 1e-3 * slip), None)
        raise AssertionError(
            f"factor {factor:g}: a dose of {got:.3f} makes the edit {got * length / stream:.3f} "
            f"times as long as the stream at position {position}. "
            f"{hint or 'dose * |vector| must be factor * |stream|'}"
        )
    print("Correct: the same length, told on the other scale.")


def check_both_ways(both_ways: Callable[[pd.DataFrame], float]) -> None:
    """Check ``table -> share of swaps in the weakest direction``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for name, shares in {
        "aimed": {("lr", 1): 0.9, ("lr", -1): 0.8, ("ab", 1): 1.0, ("ab", -1): 0.5},
        "stuck on Left": {("lr", 1): 1.0, ("lr", -1): 0.0, ("ab", 1): 0.6, ("ab", -1): 0.4},
        "stuck on Left and Below": {
            ("lr", 1): 1.0, ("lr", -1): 0.0, ("ab", 1): 0.0, ("ab", -1): 1.0,
        },
    }.items():  # fmt: skip
        table = pd.DataFrame(
            {"kind": kind, "toward": toward, "clean": float(number < round(10 * share))}
            for (kind, toward), share in shares.items()
            for number in range(10)
        )
        # Beliefs that were wrong before, in the direction that is strongest.
        unasked = pd.DataFrame({"kind": "lr", "toward": 1, "clean": [np.nan] * 30})
        table = pd.concat([table, unasked]).sample(frac=1, random_state=0, ignore_index=True)
        wanted = min(shares.values())
        got = both_ways(table.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.ndim(got) == 0, "return one number, the smallest of the four shares"
        if abs(float(got) - wanted) < 1e-6:
            continue
        pooled = float(table.groupby("toward")["clean"].mean().min())
        halves = float(table.groupby("kind")["clean"].mean().min())
        told = f"a model that is {name}: wanted {wanted:.2f}, got {float(got):.2f}. "
        if abs(float(got) - float(table["clean"].mean())) < 1e-6:
            told += "That is the share over all directions, and it hides a stuck model"
        elif abs(float(got) - pooled) < 1e-6:
            told += "You pooled the kinds: stuck on Left and Below, both signs look alike"
        elif abs(float(got) - halves) < 1e-6:
            told += "You split by kind alone: each kind has two directions"
        else:
            told += "Split by kind and toward, take means (NaN left out), then the smallest"
        raise AssertionError(told)
    print("Correct: a stuck model gets 0, however its answers fall.")


def check_picked(picked: Callable[[np.ndarray, np.ndarray, int], float]) -> None:
    """Check ``(choose, report, count) -> mean share in report of the best blocks of choose``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    rng = np.random.default_rng(0)
    chances = np.linspace(0.1, 0.8, 8)
    choose = (rng.random((200, 8)) < chances).astype(float)
    report = (rng.random((120, 8)) < chances[[3, 6, 1, 0, 4, 7, 5, 2]]).astype(float)
    for count in (1, 3):
        copies = choose.copy(), report.copy()
        got = picked(*copies, count)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.ndim(got) == 0, "return one number: the mean over scenes and picked blocks"
        wanted = float(report[:, np.argsort(choose.mean(0))[-count:]].mean())
        slips = {
            float(choose[:, np.argsort(choose.mean(0))[-count:]].mean()): (
                "That is their share where they were picked; report the other set"
            ),
            float(report[:, np.argsort(report.mean(0))[-count:]].mean()): (
                "You picked on `report`: then its luck is in the number"
            ),
            float(report[:, np.argsort(choose.mean(0))[:count]].mean()): (
                "You picked the blocks with the fewest swaps"
            ),
            float(report[:, np.argmax(choose.mean(0))].mean()): f"Take {count} blocks, not one",
        }
        if abs(float(got) - wanted) > 1e-6:
            hint = next((t for slip, t in slips.items() if abs(float(got) - slip) < 1e-6), "")
            raise AssertionError(
                f"{count} of 8 blocks: wanted {wanted:.3f}, got {float(got):.3f}. {hint}"
            )
        assert np.array_equal(copies[0], choose) and np.array_equal(copies[1], report), (
            "you changed the arrays that you were given; work on a copy"
        )
    print("Correct: the reported set has no say in what is picked.")


def check_survives(survives: Callable[[pd.DataFrame], float]) -> None:
    """Check ``table [protocols, models] -> lowest rank correlation of two protocols``.

    Raises:
        AssertionError: with the table that failed, and what it should have said.
    """
    models = ["a", "b", "c", "d", "e"]
    rising = np.array([0.1, 0.2, 0.4, 0.7, 0.9])
    cases = [
        ("a protocol squeezes what another stretches", [rising, rising**4, rising / 9], 1.0),
        ("one of three turns the order round", [rising, rising + 1, -rising], -1.0),
        ("two models change places", [rising, rising[[1, 0, 2, 3, 4]], rising], 0.9),
        ("one protocol calls all models alike", [rising, rising * 2, rising * 0 + 0.5], 0.0),
        ("only the last two disagree", [rising, rising[[0, 1, 2, 4, 3]], rising[[1, 0, 2, 3, 4]]],
         0.8),
    ]  # fmt: skip
    for name, rows, wanted in cases:
        table = pd.DataFrame(
            rows, columns=models, index=[f"protocol {n}" for n in range(len(rows))]
        )
        got = survives(table.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        if not np.isnan(got) and abs(got - wanted) < 1e-9:
            continue
        told = f"{name}: wanted {wanted:g}, got {got:.3g}. "
        with np.errstate(invalid="ignore", divide="ignore"):  # a flat row has no correlation
            raw, ranks = np.corrcoef(rows), np.corrcoef(np.argsort(np.argsort(rows)))
        pairs = np.triu_indices(len(rows), 1)
        if np.isnan(got) or name.startswith("one protocol"):
            told += "Who ranks nobody agrees with nobody: count that pair as 0"
        elif np.isclose(got, ranks[pairs].mean()):
            told += "That is the mean over pairs; one pair that disagrees is enough"
        elif np.isclose(got, raw[pairs].min()):
            told += "Correlate ranks: a curved relation ranks the models alike, too"
        else:
            told += "Rank the models within a protocol, and look at every pair of protocols"
        raise AssertionError(told)
    print("Correct: the weakest pair of protocols decides.")
