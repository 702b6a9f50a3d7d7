"""Checks for the exercises of chapter 3, "Where does spatial information flow?"."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from PIL import Image

from helpers.hooks import HookedVLM
from helpers.prompts import Prompt


def check_recovered(function: Callable[[pd.DataFrame], float]) -> None:
    """Check a recovered fraction on made-up tables where the right answer is known.

    Raises:
        AssertionError: with the case that failed and what was probably forgotten.
    """
    clean = np.array([-4.0, -2.0, 1.0, 5.0])  # their mean is 0: careless means cancel
    mirrored = -clean

    def ask(
        patched: np.ndarray, before: np.ndarray = clean, target: np.ndarray = mirrored
    ) -> float:
        table = pd.DataFrame({"clean": before, "mirrored": target, "patched": patched})
        answer = function(table)
        assert answer is not None, "the function returns nothing: is a `return` missing?"
        assert np.isfinite(answer), (
            "the answer is not a number: scenes with opposite answers cancelled in the mean. "
            "Give each change the sign of (mirrored - clean) before you average."
        )
        return float(answer)

    got = ask(clean)
    assert np.isclose(got, 0), f"a swap that changes nothing recovers 0, not {got:.3f}"
    got = ask(mirrored)
    assert np.isclose(got, 1), f"a swap that carries everything recovers 1, not {got:.3f}"
    got = ask(clean + 0.25 * (mirrored - clean))
    assert np.isclose(got, 0.25), f"a quarter of the way in every scene is 0.25, not {got:.3f}"
    got = ask(clean - 0.5 * (mirrored - clean))
    assert np.isclose(got, -0.5), (
        f"half the way in the wrong direction is -0.5, not {got:.3f}: change = after - before, "
        "and no absolute values"
    )
    # One scene hardly notices the mirror; its own ratio is (0.5 / 0.001) = 500.
    before, target = np.array([2.0, 2.0, 0.0]), np.array([-2.0, -2.0, 0.001])
    got = ask(np.array([0.0, 0.0, 0.5]), before, target)
    assert got < 10, (
        f"one scene with a denominator of 0.001 took over: {got:.0f}. That is the mean of ratios. "
        "Take the ratio of the two means."
    )
    assert np.isclose(got, 4.5 / 8.001), (
        f"in three scenes of which one says next to nothing you have {got:.3f}, not "
        f"{4.5 / 8.001:.3f}. A median of ratios, or leaving scenes out, is another measure: take "
        "the mean change of all scenes, and divide it by the mirror's mean change"
    )
    print("Correct: a ratio of means, with every scene counted towards its own mirror.")


def check_between(function: Callable[[Prompt, str, str], Sequence[int]], vlm: HookedVLM) -> None:
    """Check a function that finds the positions of the words between two nouns.

    Raises:
        AssertionError: with the question that failed and the tokens that were chosen.
    """
    sideways, upright = "to the left or right of the", "above or below the"
    cases = [
        ("frog", "camel", sideways),
        ("dog", "log", upright),
        ("teapot", "backpack", sideways),
        ("hot dog", "teddy bear", upright),
        ("hot dog", "dog", sideways),
    ]
    for first, second, wanted in cases:
        question = f"Is the {first} {wanted} {second}?"
        prompt = vlm.prompt(Image.new("RGB", (224, 224), "white"), question)
        positions = function(prompt, first, second)
        assert positions is not None, "the function returns nothing: is a `return` missing?"
        positions = list(positions)
        assert positions == sorted(set(positions)), (
            f"positions repeat or are unordered: {positions}"
        )
        got = "".join(prompt.tokens[position] for position in positions).strip()
        hint = ""
        if len(got) > len(wanted):
            hint = " Too much: a word may be several tokens; start behind the *last* of the first."
        elif len(got) < len(wanted):
            hint = " Too little: end right before the *first* token of the second noun."
        assert got == wanted, (
            f"in {prompt.question!r} your positions read {got!r}; wanted {wanted!r}.{hint}"
        )
    print("Correct: the words between the nouns, whatever the nouns' number of tokens.")


def check_known(function: Callable[[str, int, int], float | None]) -> None:
    """Check ``(group, passed, blocks) -> recovered fraction or None`` at every point of a curve.

    Raises:
        AssertionError: with the point that is wrong and what to think about there.
    """
    ends = {
        "image": (1.0, 0.0),
        "all text": (0.0, 1.0),
        "object words": (0.0, 0.0),
        "text between": (0.0, 0.0),
        "last token": (0.0, 1.0),
    }
    for blocks in (4, 32):
        for group, (begin, end) in ends.items():
            for passed in range(blocks + 1):
                wanted = {0: begin, blocks: end}.get(passed)
                got = function(group, passed, blocks)
                if got == wanted:
                    continue
                told = f"{group!r} after {passed} of {blocks} blocks: you say {got}. "
                if wanted is None:
                    told += (
                        "Nobody can know that: some blocks are behind you and some ahead, so it "
                        "depends on who has read whom. Return None"
                    )
                elif passed == 0:
                    told += (
                        "This is known: no token has read another yet. In which tokens do the two "
                        "runs differ at all, and are these among the ones that you swap?"
                    )
                elif group == "all text":
                    told += "This is known: which tokens are in this group, the very last too?"
                else:
                    told += (
                        "This is known: no block is left in which one token could read another. "
                        "Which token is the answer read from?"
                    )
                raise AssertionError(told)
    print("Correct: both ends of every curve are known, and nothing between them.")


def check_add_up(function: Callable[[pd.DataFrame], tuple[float, float, float]]) -> None:
    """Check ``table -> (first, second, beyond the sum)`` on models that were made up.

    Raises:
        AssertionError: with the made-up model and what was probably forgotten.
    """
    clean = np.array([-4.0, -2.0, 1.0, 5.0, 0.001])  # signs differ; one scene says nothing
    whole = np.array([8.0, 4.0, -2.0, -10.0, 0.001])
    cases = [
        ("one that subtracts two places", 0.4, 0.6, 1.0),
        ("one that needs both nouns", 0.1, 0.0, 1.0),
        ("one to which either noun is enough", 0.9, 0.9, 1.0),
        ("one whose first noun pushes the wrong way", -0.2, 0.9, 0.7),
    ]
    for name, first, second, both in cases:
        table = pd.DataFrame({"clean": clean, "mirrored": clean + whole})
        for column, part in (("first", first), ("second", second), ("both", both)):
            table[column] = clean + part * whole
            table.loc[4, column] += 0.05  # what a ratio of this scene alone would blow up
        got = function(table.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.shape(got) == (3,), "return three numbers: first, second, beyond the sum"
        got = np.array(got, dtype=float)
        toward, way = np.sign(whole), np.abs(whole).mean()
        one, other, together = (
            float((toward * (table[column] - clean)).mean() / way)
            for column in ("first", "second", "both")
        )
        wanted = np.array([one, other, together - one - other])
        if np.allclose(got, wanted, atol=1e-6):
            continue
        numbers = ", ".join(f"{number:+.2f}" for number in got)
        told = f"for {name} you have {numbers}. "
        if not np.isfinite(got).all() or np.abs(got).max() > 5:
            told += (
                "One scene, or the sum of scenes with opposite answers, is near zero in your "
                "denominator. Give each change its sign, and take the ratio of two means"
            )
        elif np.allclose(got[:2], wanted[:2]) and np.allclose(got[2], -wanted[2]):
            told += "Beyond the sum is both minus the sum; yours has the other sign"
        elif np.allclose(got[:2], wanted[:2]) and np.allclose(got[2], together):
            told += "The third is what both recover; ask how much of it the sum does not tell"
        elif np.allclose(got[:2], wanted[:2]):
            told += "The first two are right. The third is a difference, in parts of the way"
        elif (got[:2] >= 0).all() and (wanted[:2] < 0).any():
            told += "A push the wrong way counts against: no absolute values"
        else:
            told += "A change is after minus before, divided by the mirror's change"
        raise AssertionError(told)
    print("Correct: sums, gates and spare nouns can be told apart.")
