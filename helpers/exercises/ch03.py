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
    assert np.isclose(got, 4.5 / 8.001), f"expected {4.5 / 8.001:.3f}, got {got:.3f}"
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
        got = "".join(prompt.tokens[position] for position in positions).strip()
        hint = ""
        if len(got) > len(wanted):
            hint = " Too much: a word may be several tokens; start behind the *last* of the first."
        elif len(got) < len(wanted):
            hint = " Too little: end right before the *first* token of the second noun."
        assert got == wanted, (
            f"in {prompt.question!r} your positions read {got!r}; wanted {wanted!r}.{hint}"
        )
        assert positions == sorted(set(positions)), (
            f"positions repeat or are unordered: {positions}"
        )
    print("Correct: the words between the nouns, whatever the nouns' number of tokens.")
