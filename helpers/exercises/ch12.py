"""Checks for the exercises of chapter 12, "Why is it wrong?"."""

import builtins
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np
import torch


def check_nearest_cell(nearest_cell: Callable[[torch.Tensor, torch.Tensor], tuple]) -> None:
    """Check ``(state, ids) -> (row, column)``: state ``[d]``, ids ``[rows, columns, d]``.

    Raises:
        AssertionError: with the cell, what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randn(3, 5, 16, generator=generator)
    ids[0, 1] *= 6  # a long ID: it has the largest product with many states, and is far from all
    for wanted in ((0, 0), (1, 3), (2, 4), (0, 1), (2, 0)):
        state = ids[wanted] + 0.1 * torch.randn(16, generator=generator) + 0.1 * ids[0, 1]
        got = nearest_cell(state, ids)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        flat = wanted[0] * ids.shape[1] + wanted[1]
        assert np.ndim(got) == 1 and len(got) == 2, (
            f"return (row, column), not {got}. argmin counts through the whole grid; divmod by "
            "the number of columns makes a row and a column of it"
        )
        got = tuple(int(number) for number in got)
        if got == wanted:
            continue
        slip = "Nearest means the smallest distance"
        products = (ids @ state).flatten().argmax()
        if got == wanted[::-1]:
            slip = "That is (column, row)"
        elif got == divmod(flat, ids.shape[0]):
            slip = "Divide by the number of columns, not of rows: grids need not be square"
        elif got == divmod(int(products), ids.shape[1]):
            slip = "The largest product favours long IDs; nearest means the smallest distance"
        raise AssertionError(f"a state near cell {wanted}: you say {got}. {slip}")
    print("Correct: the nearest ID, also where another one is long, on a grid that is not square.")


def check_seed_of(seed_of: Callable[[str], int]) -> None:
    """Check ``text -> whole number that is the same in every process``.

    Raises:
        AssertionError: with what is wrong.
    """
    texts = ["dog-000000000139", "dog-000000000140", "god-000000000139", "", "hot dog"]
    asked = []

    def spy(value: object) -> int:
        asked.append(value)
        return -1

    with mock.patch.object(builtins, "hash", spy):
        seeds = [seed_of(text) for text in texts]
        again = [seed_of(text) for text in texts]
    assert not asked, (
        "you ask hash(). For strings it differs in every process, on purpose: the boxes of the "
        "released code are others each time that it runs. Use the text's bytes"
    )
    for text, seed in zip(texts, seeds, strict=True):
        whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
        assert whole, f"return a whole number: {text!r} gives {seed!r}"
        assert seed >= 0, f"{text!r} gives {seed}, and numpy takes no negative seeds"
    assert seeds == again, "the same text must give the same seed every time"
    assert seeds[0] != seeds[2], (
        f"{texts[0]!r} and {texts[2]!r} have the same letters in another order, and you give both "
        f"the seed {seeds[0]}: the order of the bytes must count"
    )
    assert len(set(seeds)) == len(seeds), f"different texts share a seed: {seeds}"
    print("Correct: a text's seed is its own, and the same in every process.")


def check_blur_effect(blur_effect: Callable[[np.ndarray, np.ndarray, np.ndarray], object]) -> None:
    """Check ``(before [n], after_object [n], after_random [n, boxes]) -> [n]``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = np.random.default_rng(0)
    before = generator.normal(6, 2, 300)
    noise = generator.normal(0, 1, (300, 9))
    nothing = blur_effect(before, before + noise[:, 0], before[:, None] + noise[:, 1:])
    assert nothing is not None, "the function returns nothing: is a `return` missing?"
    nothing = np.asarray(nothing, dtype=float)
    assert nothing.shape == (300,), (
        f"return one number for each question, [300], not {list(nothing.shape)}: the difference "
        "is made within a question, before any mean over questions"
    )
    assert abs(nothing.mean()) < 0.3, (
        "here the object's box is a box like any other, and your effect is "
        f"{nothing.mean():+.2f} where it should be about 0. The minimum of several random boxes "
        "is lower than one box by luck alone (the maximum higher): take their mean"
    )
    before, after = np.array([5.0, 4.0]), np.array([1.0, 4.5])
    random = np.array([[5.0, 4.0], [3.5, 4.5]])
    got = np.asarray(blur_effect(before, after, random), dtype=float)
    wanted = np.array([-3.5, 0.5])
    if not np.allclose(got, wanted):
        hint = "change of the object's box, less the mean change of the random ones"
        if np.allclose(got, -wanted):
            hint = "A change is after less before, everywhere in this book"
        elif np.allclose(got, after - before):
            hint = "You left out what a blur does anywhere: subtract the random boxes"
        raise AssertionError(f"wanted {wanted}, got {got}. {hint}")
    print("Correct: paired, and no box is compared with the worst of several.")


def check_verdict(verdict: Callable[[float, float, float, float], str]) -> None:
    """Check ``(patches, words, patch_limit, word_limit) -> cause``.

    Raises:
        AssertionError: with the readings, what came out and what should have.
    """
    cases = [
        ((0.1, 0.3), "reasoning", "both readings are within their limits, so what is left is"),
        ((0.1, 2.0), "binding", "the patches are right and the word is not, so it is"),
        (
            (2.0, 2.0),
            "encoder",
            "the word is wrong as well, but it can only repeat what the patches tell it: blame "
            "the first part that is wrong,",
        ),
        ((2.0, 0.3), "encoder", "the patches are wrong; the first part that is wrong is"),
        ((0.3, 0.5), "reasoning", "each reading has its own limit: neither is above it, so it is"),
        ((0.5, 0.7), "encoder", "each reading has its own limit: the patches' is 0.4, so it is"),
    ]
    for (patches, words), wanted, why in cases:
        got = verdict(patches, words, 0.4, 0.8)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert got == wanted, (
            f"patches {patches} cells off (limit 0.4), word {words} cells off (limit 0.8): {why} "
            f"{wanted!r}, not {got!r}"
        )
    print(f"Correct: {len(cases)} errors, each with the first part that failed.")


def check_correct_shares(
    correct_shares: Callable[[np.ndarray, np.ndarray], Sequence[float]],
) -> None:
    """Check ``(observed [3], confusion [3, 3]) -> [3]``; rows are causes, columns verdicts.

    Raises:
        AssertionError: with the shares, what came out and what should have.
    """
    confusion = np.array([[0.9, 0.1, 0.0], [0.05, 0.85, 0.1], [0.05, 0.15, 0.8]])
    for true in ([0.2, 0.3, 0.5], [0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]):
        observed = np.array(true) @ confusion
        got = correct_shares(observed, confusion)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = np.asarray(got, dtype=float)
        if np.allclose(got, true, atol=0.02):
            continue
        hint = "A verdict's share is the sum over causes of the cause's share times its row"
        if np.allclose(got, observed, atol=1e-6):
            hint = "You return what you were given"
        elif np.allclose(got, np.linalg.solve(confusion, observed), atol=1e-6):
            hint = "Rows are causes, so the matrix must be transposed before you solve"
        raise AssertionError(
            f"true shares {np.round(true, 2)} are seen as {np.round(observed, 3)}; you get "
            f"{np.round(got, 3)} back. {hint}"
        )
    got = np.asarray(correct_shares(np.array([0.0, 0.02, 0.98]), confusion), dtype=float)
    assert (got > -1e-9).all() and abs(got.sum() - 1) < 1e-6, (
        f"few errors can be seen in shares that no true shares give: you say {np.round(got, 2)}. "
        "Shares are not negative and sum to one: cut at 0 and scale"
    )
    print("Correct: what the rule mistakes is taken back out.")


def check_arrives(arrives: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> None:
    """Check ``(states [n, d_model], differences [n], train [n]) -> share of right signs``.

    Raises:
        AssertionError: with what was planted in the states, and what came out.
    """
    rng = np.random.default_rng(0)
    count, width = 400, 120
    train = np.arange(count) % 2 == 0
    differences = rng.choice([-3.0, -2, -1, 0, 1, 2, 3], count)
    direction = rng.normal(size=width)
    noise = rng.normal(size=(count, width))
    cases = {
        "pure noise": noise,
        "the difference, clean": noise * 0.01 + differences[:, None] * direction + 5,
        "the difference, in noise": 6 * noise + differences[:, None] * direction,
    }
    for name, states in cases.items():
        wanted = _signs(states, differences, train)
        got = arrives(states.copy(), differences.copy(), train.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.shape(got) == (), "return one number: a share"
        if abs(got - wanted) < 1e-6:
            continue
        told = f"{name}: {wanted:.3f} of the signs, not {got:.3f}. "
        zeros = _signs(states, differences, train, zeros=True)
        if got > wanted + 0.15:
            told += "You judged where you fitted: any labels can be fitted there"
        elif np.isclose(got, zeros):
            told += "Samples without a sign were counted as wrong"
        elif name == "the difference, clean":
            told += "Is there a constant, and is it free of the penalty?"
        else:
            told += "A ridge with a penalty of 1, fitted on the training samples alone"
        raise AssertionError(told)
    print("Correct: one half for noise, and more where something arrives.")


def _signs(states, differences, train, zeros=False) -> float:
    """Share of right signs outside the training samples."""
    mean, middle = states[train].mean(0), differences[train].mean()
    x = states[train] - mean
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (differences[train] - middle))
    judged = ~train & ((differences != 0) | zeros)
    said = (states[judged] - mean) @ weights + middle
    return float(np.mean(np.sign(said) == np.sign(differences[judged])))
