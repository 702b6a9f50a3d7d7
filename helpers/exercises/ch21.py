"""Checks for the exercises of the page "Which model, on which GPU, for how long"."""

from collections.abc import Callable


def check_affordable(affordable: Callable[[float, float, int, float], int]) -> None:
    """Check ``(hours, billions, tokens, flops) -> passes``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    cases = {
        (1, 1, 1000, 2e12): (3600, "2e12 operations a pass, 3,600 seconds at 2e12 a second"),
        (2, 7, 600, 20e12): (17142, "8.4e12 operations a pass, rounded down"),
        (0.5, 0.5, 100, 1e9): (18, "half an hour is 1,800 seconds"),
    }
    for case, (wanted, why) in cases.items():
        got = affordable(*case)
        assert got is not None, "nothing came back: return a number of passes"
        assert got == wanted, (
            f"affordable{case} should be {wanted:,} ({why}); you have {got:,}. Two operations for "
            "each parameter and token; hours in seconds; whole passes"
        )
    print("Correct.")
