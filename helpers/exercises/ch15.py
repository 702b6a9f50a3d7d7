"""Checks for the exercises of chapter 15, "The bug museum".

Each exercise gives a function with a bug in it. Each check runs the repaired one on a case that
tells, and refuses repairs that only move the bug.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.stats import Interval


def check_site(site_of: Callable[[int, int], str]) -> None:
    """Check ``(number, n_layers) -> hook name`` of the stream in ``hidden_states[number]``.

    Raises:
        AssertionError: with the number that failed and what it should have given.
    """
    for n_layers in (8, 32):
        for number in (1, 2, n_layers // 2, n_layers - 1):
            got = site_of(number, n_layers)
            hint = ""
            if got == f"blocks.{number}.hook_resid_post":
                hint = ". That is one block late: hidden_states[0] are the embeddings"
            # What leaves a block is what enters the next: two names, one stream.
            wanted = (f"blocks.{number - 1}.hook_resid_post", f"blocks.{number}.hook_resid_pre")
            assert got in wanted, (
                f"hidden_states[{number}] is the stream at {wanted[0]}, not at {got}{hint}"
            )
        got = site_of(0, n_layers)
        assert got == "blocks.0.hook_resid_pre", (
            f"hidden_states[0] is what enters the first block, blocks.0.hook_resid_pre, not {got}: "
            "no block has written to it"
        )
        for number, why in (
            (n_layers, "the last entry is taken after the final norm: no block's stream is it"),
            (n_layers + 1, "there is no such entry"),
            (-1, "counted from the end it would be the one after the final norm"),
        ):
            _must_refuse(lambda n=number, k=n_layers: site_of(n, k), f"number {number}: {why}")
    print("Correct: one name for one stream, and no name for what is none.")


def check_score(score: Callable[[dict[str, float], str], float]) -> None:
    """Check ``(log-probability of each token, answer) -> log-probability of the answer``.

    Raises:
        AssertionError: with what came out and what was probably forgotten.
    """
    shares = {
        " Left": 0.25, "Left": 0.15, " left": 0.10, "left": 0.05, " Leftover": 0.12, " Lef": 0.08,
        " Right": 0.05, "Right": 0.01, " right": 0.02, "right": 0.02, " L": 0.10, " upright": 0.05,
    }  # fmt: skip
    logs = {token: math.log(share) for token, share in shares.items()}
    before = dict(logs)
    for answer, wanted in {"Left": 0.55, "left": 0.55, "Right": 0.10}.items():
        got = score(dict(logs), answer)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        _close_share(float(got), wanted, answer)
    # A tokenizer need not have every form as a token.
    few = {" Above": math.log(0.5), " A": math.log(0.3), " above": math.log(0.1)}
    try:
        got = score(few, "Above")
    except KeyError as missing:
        raise AssertionError(
            f"there is no token {missing} here: count the forms that there are"
        ) from missing
    _close_share(float(got), 0.6, "Above")
    _must_refuse(lambda: score(few, "Below"), "no form of 'Below' is among the tokens")
    assert logs == before, "the function changes the table that it was given"
    print("Correct: every form of the word, and only of the word.")


def _close_share(got: float, wanted: float, answer: str) -> None:
    hint = "add probabilities, exp(log-probability), and take the log of their sum"
    if math.exp(min(got, 10)) > wanted + 0.01:
        hint = "whole words only: ' Leftover' is not ' Left', and ' A' is not ' Above'"
    elif any(math.isclose(math.exp(got), part, abs_tol=1e-6) for part in (0.25, 0.05, 0.5)):
        hint = "that is one form alone: case and the leading space vary"
    assert math.isclose(math.exp(min(got, 10)), wanted, abs_tol=1e-6), (
        f"all forms of {answer!r} together have {wanted:.2f}; your score says "
        f"{math.exp(min(got, 10)):.3f}: {hint}"
    )


def check_steerability(steerability: Callable[[pd.DataFrame], float]) -> None:
    """Check a table's ``swap (IDs) - swap (noise)`` on tables where the answer is known.

    Columns: ``sample``, ``arm`` ("IDs" or "noise"), ``seed`` and ``swapped``.

    Raises:
        AssertionError: with the case that failed.
    """

    def rows(arm: str, swapped: Sequence[Sequence[bool]], first: int = 0) -> list[dict[str, Any]]:
        return [
            {"sample": first + sample, "arm": arm, "seed": seed, "swapped": value}
            for sample, values in enumerate(swapped)
            for seed, value in enumerate(values)
        ]

    def ask(*parts: list[dict[str, Any]]) -> float:
        table = pd.DataFrame([row for part in parts for row in part]).sample(frac=1, random_state=0)
        got = steerability(table.reset_index(drop=True))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        return float(got)

    half = [[True], [False], [True], [False]]
    got = ask(rows("IDs", half), rows("noise", half))
    assert math.isclose(got, 0, abs_tol=1e-9), (
        f"IDs swap half and noise swaps half: nothing is owed to the IDs, so 0, not {got:.2f}"
    )
    got = ask(rows("IDs", half), rows("noise", [[True]] * 4))
    assert math.isclose(got, -0.5, abs_tol=1e-9), (
        f"noise swaps all and IDs half: -0.5, not {got:.2f}. Keep the sign"
    )
    extra = rows("noise", [[True]] * 12, first=4)
    got = ask(rows("IDs", [[True]] * 4), rows("noise", [[False]] * 4), extra)
    assert math.isclose(got, 1, abs_tol=1e-9), (
        f"on the four samples of both arms IDs swap all and noise none: 1, not {got:.2f}. "
        "Samples that only one arm has must not count"
    )
    uneven = [[True] * 9, [False], [False], [False]]
    got = ask(rows("IDs", [[True]] * 4), rows("noise", uneven))
    assert math.isclose(got, 0.75, abs_tol=1e-9), (
        f"noise swaps one sample (with nine seeds) of four: 1 - 1/4 = 0.75, not {got:.2f}. Average "
        "a sample's seeds first, then the samples"
    )
    print("Correct: the same samples in both arms, seeds averaged, and a difference.")


def check_find_box(find_box: Callable[[list[dict[str, Any]], str], Any]) -> None:
    """Check ``(annotations of a picture, name) -> box``.

    An annotation has ``name``, ``box`` and ``iscrowd``.

    Raises:
        AssertionError: with the name that failed.
    """

    def entry(name: str, number: int, crowd: int = 0) -> dict[str, Any]:
        return {"name": name, "box": (number, number, 10, 10), "iscrowd": crowd}

    picture = [
        entry("hot dog", 1), entry("dog", 2, crowd=1), entry("dog", 3), entry("carrot", 4),
        entry("car", 5), entry("pineapple", 6), entry("apple", 7), entry("cat", 8),
        entry("cat", 9), entry("teddy bear", 10), entry("person", 11, crowd=1),
    ]  # fmt: skip
    wanted = {"dog": 3, "hot dog": 1, "car": 5, "carrot": 4, "apple": 7, "pineapple": 6}
    for name, number in wanted.items():
        try:
            got = find_box(picture, name)
        except ValueError as error:
            raise AssertionError(
                f"{name!r} is there once (crowds aside), and you refuse it: {error}"
            ) from error
        assert got is not None, f"{name!r} is there, and nothing came back"
        owner = next((one for one in picture if one["box"] == tuple(got)), None)
        assert tuple(got) == (number, number, 10, 10), (
            f"you say the {name} is at {tuple(got)}: that is "
            f"{'a crowd of' if owner and owner['iscrowd'] else 'the'} "
            f"{owner['name'] if owner else 'nothing in the picture'}"
        )
    for name, why in {
        "cat": "two cats are there, and no box says which one is meant",
        "bear": "there is a teddy bear and no bear",
        "person": "only a crowd of persons is there, not one person",
        "frog": "there is none",
    }.items():
        _must_refuse(lambda name=name: find_box(picture, name), f"{name!r}: {why}")
    print("Correct: the exact name, one of it, no crowd.")


def check_plane_share(plane_share: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check ``(train, test) -> share of test's variance in train's plane``.

    Both are ``[pairs, cells, d]``, not centred. The plane is that of the first two principal
    components of the training pairs; each pair is centred over its own cells.

    Raises:
        AssertionError: with the case that failed.
    """
    rng = np.random.default_rng(0)
    unrelated = rng.normal(size=(2, 1, 16, 60))
    got = plane_share(unrelated[0].copy(), unrelated[1].copy())
    assert got is not None, "the function returns nothing: is a `return` missing?"
    got = float(got)
    assert got < 0.1, (
        f"test has nothing to do with train, and you find {got:.2f} of it in train's plane. Were "
        "the axes made from the points that they are judged by? Chance is 2 in 60"
    )
    corner = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), -1).reshape(16, 2) - 1.5
    directions = np.linalg.qr(rng.normal(size=(60, 60)))[0].T
    plane = corner @ directions[:2]
    aside = corner[rng.permutation(16)] @ directions[2:4]
    offsets = 20 * rng.normal(size=(2, 6, 1, 60))
    for share in (1.0, 0.8, 0.3):
        test = math.sqrt(share) * plane + math.sqrt(1 - share) * aside
        # Every pair has the same cells, but a mean of its own: words differ.
        got = float(plane_share(plane + offsets[0], test + offsets[1]))
        assert not math.isnan(got), "the share is not a number"
        assert abs(got - share) < 0.02, (
            f"{share:.2f} of the test pairs' variance lies in the plane, you find {got:.2f}. "
            "Each pair's mean is its word and not a place: centre every pair of train *and* of "
            "test over its own cells"
        )
    print("Correct: axes from some pairs, the share from others, both centred alike.")


def check_blur_effect(blur_effect: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check how much more it costs to blur the object than a random box.

    Takes ``[scenes]`` and ``[scenes, boxes]``: what the right answer lost. NaN marks a pass that
    failed; its scene is left out.

    Raises:
        AssertionError: with the case that failed.
    """
    rng = np.random.default_rng(0)
    drops = rng.normal(size=(4000, 5))
    got = blur_effect(drops[:, 0].copy(), drops[:, 1:].copy())
    assert got is not None, "the function returns nothing: is a `return` missing?"
    got = float(got)
    assert abs(got) < 0.1, (
        f"here the object is a random box like the others, so the effect is 0; you find {got:.2f}. "
        "The largest (or smallest) of four is no fair opponent of one: take their mean"
    )
    got = float(blur_effect(np.full(3, 2.0), np.array([[0.0, 0, 0, 4]] * 3)))
    assert math.isclose(got, 1), (
        f"the object costs 2, random boxes 0, 0, 0 and 4: mean 1, so 1, not {got:.2f}"
    )
    some = np.array([5.0, np.nan, 1.0, 3.0])
    others = np.array([[1.0, 1.0], [9.0, 9.0], [0.0, 0.0], [np.nan, 8.0]])
    got = float(blur_effect(some, others))
    assert not math.isnan(got), "NaN in the data made NaN of everything: leave those scenes out"
    assert math.isclose(got, 2.5), (
        f"two scenes are whole, with 5 - 1 and 1 - 0: mean 2.5, not {got:.2f}. A pass that failed "
        "is no pass with a drop of 0, and its scene leaves both sides"
    )
    print("Correct: the mean of the boxes, scene by scene, and nothing made up.")


def _must_refuse(call: Callable[[], Any], what: str) -> None:
    try:
        got = call()
    except ValueError:
        return
    except Exception as error:
        raise AssertionError(
            f"{what}. Refuse it with a ValueError that says so; {type(error).__name__} came"
        ) from error
    raise AssertionError(f"{what}. Refuse it with a ValueError; you return {got!r}")


def check_together(together: Callable[..., Interval]) -> None:
    """Check ``(right, one, other, both) -> Interval`` of what two bugs do besides their sum.

    Raises:
        AssertionError: with what came out, and what is probably wrong.
    """
    rng = np.random.default_rng(0)
    ease = rng.normal(0, 5, 300)  # samples differ far more than scripts do
    noise = rng.normal(0, 0.3, (4, 300))
    cases = {"bugs that add up": 0.0, "bugs that hide each other": -0.4, "bugs that help": 0.3}
    for name, extra in cases.items():
        scores = [ease, ease + 0.5, ease + 0.2, ease + 0.7 + extra]
        scores = [score + part for score, part in zip(scores, noise, strict=True)]
        for lost in (False, True):
            given = [score.copy() for score in scores]
            if lost:
                for number, array in enumerate(given):
                    array[number * 10 : number * 10 + 5] = np.nan
            apart = given[3] - given[1] - given[2] + given[0]
            apart = apart[~np.isnan(apart)]
            got = together(*(array.copy() for array in given))
            assert got is not None, "the function returns nothing: is a `return` missing?"
            assert isinstance(got, Interval), f"return a stats.Interval, not a {type(got).__name__}"
            told = f"{name}{', some samples lost' if lost else ''}: "
            assert not np.isnan(got.estimate), told + "NaN. Leave out what any script has lost"
            if abs(got.estimate - apart.mean()) > 1e-9:
                told += f"{apart.mean():+.3f} beyond the sum, not {got.estimate:+.3f}. "
                effects = [np.nanmean(array) - np.nanmean(given[0]) for array in given]
                if abs(got.estimate - effects[3]) < 1e-9:
                    told += "That is the effect of both; take the two single effects away"
                elif lost:
                    told += "The four means must be of the same samples"
                elif abs(got.estimate + apart.mean()) < 1e-9:
                    told += "The sign is turned: effect of both, minus the sum"
                else:
                    told += "(both - right) - (one - right) - (other - right)"
                raise AssertionError(told)
            width, wanted = got.high - got.low, 4 * apart.std() / len(apart) ** 0.5
            assert width < 1.5 * wanted, (
                f"{told}the interval is {width:.2f} wide, and should be about {wanted:.2f}: "
                "resample the differences of samples, not four separate means"
            )
            assert width > wanted / 1.5, f"{told}the interval is {width:.2f} wide: too narrow"
    print("Correct: what two bugs do together, sample by sample.")
