"""Checks for the exercises of chapter 22, "Push it yourself"."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.widgets.playground import Push

# The nearest cell -------------------------------------------------------------------------------


def check_cell(function: Callable[[float, float], tuple[int, int]]) -> None:
    """Check ``(rightward, downward) -> (row, column)`` on points of the plane.

    Raises:
        AssertionError: with the point that failed, and what is probably wrong.
    """
    points = {
        (2.9, 1.1): (1, 3), (0.2, 2.6): (3, 0), (1.4, 1.6): (2, 1), (-0.8, 1.0): (1, 0),
        (3.7, 4.2): (3, 3), (0.0, 0.0): (0, 0), (2.51, 0.49): (0, 3),
    }  # fmt: skip
    for (right, down), wanted in points.items():
        got = function(right, down)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.shape(got) == (2,), "return two numbers: (row, column)"
        got = tuple(got)
        if got == wanted:
            continue
        told = f"{right} cells rightward and {down} downward: wanted {wanted}, got {got}. "
        if got == wanted[::-1]:
            told += "Rightward is the column, downward the row, and the row comes first"
        elif any(value not in range(4) for value in got if float(value).is_integer()):
            told += "There is no such cell: a point beyond the grid belongs to the cell at its rim"
        elif not all(float(value).is_integer() for value in got):
            told += "A cell has whole numbers"
        elif got == (int(np.clip(down, 0, 3)), int(np.clip(right, 0, 3))):
            told += "Round to the nearest; `int` cuts off"
        else:
            told += "Centres of cells are whole numbers, from 0 to 3"
        raise AssertionError(told)
    print("Correct: every point of the plane has a cell that it is nearest to.")


# The gentlest push ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    push: Push
    log_odds: tuple[float, float]


class _Planted:
    """A playground whose belief is known at every dose, and which counts how often it is asked."""

    def __init__(self, before: float, after: Mapping[float, float]) -> None:
        self.before, self.after, self.calls = before, dict(after), 0
        self.asked: list[Push] = []

    def see(self, push: Push) -> _Answer:
        return self.see_all([push])[0]

    def see_all(self, pushes: Sequence[Push]) -> list[_Answer]:
        self.calls += 1
        self.asked += pushes
        return [_Answer(push, (self.before, self.after[push.dose])) for push in pushes]


def check_gentlest(function: Callable[..., float | None]) -> None:
    """Check ``(play, targets, block, doses) -> dose or None``.

    Raises:
        AssertionError: with the beliefs that failed.
    """
    cases = [
        ("turns at 1", 4.0, {0.5: 2.0, 1.0: -1.0, 2.0: -3.0}, 1.0),
        ("never turns", 4.0, {0.5: 3.0, 1.0: 2.0, 2.0: 1.0}, None),
        ("is negative at first", -2.0, {0.5: -1.0, 1.0: 0.5, 2.0: 3.0}, 1.0),
        ("turns and comes back", 3.0, {0.5: -0.1, 1.0: 1.0, 2.0: -2.0}, 0.5),
        ("moves far and does not turn", 6.0, {0.5: 9.0, 1.0: 12.0, 2.0: -0.2}, 2.0),
        ("doses in any order", 4.0, {2.0: -3.0, 0.5: 2.0, 1.0: -1.0}, 1.0),
    ]
    targets = {"frog": (1, 3)}
    for name, before, after, wanted in cases:
        play = _Planted(before, after)
        got = function(play, targets, 5, list(after))
        wrong = [one for one in play.asked if (one.targets, one.block) != (targets, 5)]
        assert not wrong, f"you asked for {wrong[0]}, not for {targets} after block 5"
        told = f"a belief that {name}: log-odds {before:+.1f}, by dose {after}. "
        assert got == wanted, f"{told}Wanted {wanted}, got {got}. " + _hint(before, after, got)
        assert play.calls == 1, (
            f"right, but the playground was asked {play.calls} times: give `see_all` every push "
            "at once, and they run as rows of one pass"
        )
    print("Correct: the smallest dose that turns the belief, all doses in one pass.")


def _hint(before: float, after: Mapping[float, float], got: float | None) -> str:
    if got is not None and got in after and after[got] * before > 0:
        return "There the sign is still that of before"
    if got == min(after, key=after.get):
        return "That is where the belief is lowest, not where it first has another sign"
    if got is not None and got == next((d for d in after if after[d] * before < 0), None):
        return "That is the first in the list; the smallest is wanted"
    if got is None:
        return "A belief turns when its sign does, whichever sign it had"
    return "The *smallest* dose whose sign differs from that without a push"


# Arrival ----------------------------------------------------------------------------------------


def check_arrives(function: Callable[[np.ndarray, int], int | None]) -> None:
    """Check ``(values, position) -> depth or None``.

    Raises:
        AssertionError: with the column that failed.
    """
    columns = {
        "comes at once": ([0.0, 0.9, 1.0, 0.8], 1),
        "comes slowly": ([0.0, 0.2, 0.4, 0.6, 0.9, 1.0], 3),
        "comes and goes": ([0.0, 0.6, 0.1, 0.1], 1),
        "is never there": ([0.0, 0.0, 0.0], None),
        "is small": ([0.0, 0.01, 0.04, 0.05], 2),
        "is there from the start": ([0.9, 1.0, 0.7], 0),
    }
    for name, (column, wanted) in columns.items():
        values = np.tile(np.array(column)[:, None], (1, 5)) * [0.0, 3.0, 1.0, 2.0, 0.5]
        values[:, 4] = np.array(column)[::-1] * 9
        kept = values.copy()
        got = function(values, 2)
        assert np.array_equal(kept, values), "you changed the values that were given"
        if got == wanted:
            continue
        told = f"what {name}: {column} at the position, wanted depth {wanted}, got {got}. "
        if wanted is None:
            told += "Half of nothing is nothing: without any change there is no arrival, None"
        elif name == "is small":
            told += "Half of *its own* largest value, not of the largest anywhere, and not 0.5"
        elif got == int(np.argmax(column)):
            told += "That is the largest value; it *arrives* when it is half as large"
        elif name == "comes and goes":
            told += "The first depth, whatever comes behind it"
        else:
            told += "values[depth, position]: the first depth at which half of the largest is there"
        raise AssertionError(told)
    print("Correct: what arrives somewhere has a depth at which it does.")


# Settling ---------------------------------------------------------------------------------------


def check_settles(function: Callable[[Sequence[float]], int]) -> None:
    """Check ``log-odds by frame -> frame`` from which on the sign stays.

    Raises:
        AssertionError: with the film that failed.
    """
    films = {
        "early": ([-1.0, 6.0, 6.5, 10.0], 1),
        "late": ([2.0, 3.0, 1.0, -4.0], 3),
        "from the first frame on": ([0.5, 1.0, 2.0], 0),
        "after some doubt": ([-1.0, 2.0, -0.5, 3.0, 4.0], 3),
        "weaker, but the same": ([-1.0, 6.0, 0.5, 2.0], 1),
    }
    for name, (odds, wanted) in films.items():
        got = function(list(odds))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        if got == wanted:
            continue
        told = f"a belief that settles {name}: {odds}, wanted frame {wanted}, got {got}. "
        sign = np.sign(odds)
        if got == int(np.flatnonzero(sign == sign[-1])[0]):
            told += "It changes its mind again behind that frame"
        elif got == int(np.argmax(np.abs(odds))):
            told += "That is where it is surest; its *sign* was settled before"
        elif got == wanted - 1:
            told += "That is the last frame with the other sign: one too early"
        else:
            told += "The first frame from which on every log-odds has the sign of the last one"
        raise AssertionError(told)
    print("Correct: the frame from which on the belief no longer turns.")


# The courier ------------------------------------------------------------------------------------


def check_courier(
    function: Callable[[np.ndarray, Sequence[int], Sequence[int]], tuple[int, int]],
) -> None:
    """Check ``(pattern, own, patches) -> (block, head)``.

    Raises:
        AssertionError: with what that head looks at.
    """
    patches, own = list(range(2, 12)), [3, 4]
    pattern = np.full((3, 2, 16), 1 / 16)
    # block.head: what it puts on (the object, other patches, the text)
    shares = {
        (0, 0): (0.20, 0.80, 0.00), (0, 1): (0.30, 0.10, 0.60), (1, 0): (0.05, 0.05, 0.90),
        (1, 1): (0.62, 0.18, 0.20), (2, 0): (0.50, 0.00, 0.50), (2, 1): (0.01, 0.00, 0.99),
    }  # fmt: skip
    for (block, head), (on_own, on_rest, on_text) in shares.items():
        row = np.zeros(16)
        row[own] = on_own * np.array([0.9, 0.1])
        row[[p for p in patches if p not in own]] = on_rest / 8
        row[[p for p in range(16) if p not in patches]] = on_text / 6
        pattern[block, head] = row
    got = function(pattern.copy(), list(own), list(patches))
    assert got is not None and np.shape(got) == (2,), "return two numbers: (block, head)"
    got = tuple(int(value) for value in got)
    if got == (1, 1):
        print("Correct: in our example, head 1.1 brings most from the object.")
        return
    assert got in shares, f"there is no head {got}: the pattern is [block, head, position]"
    told = f"head {got[0]}.{got[1]} puts {shares[got][0]:.0%} on the object, head 1.1 puts 62%. "
    if got in ((2, 0), (2, 1)):
        told += (
            "You divided by what falls on the picture: a head that hardly looks there brings "
            "little, whatever part of it falls on the object"
        )
    elif got == (0, 0):
        told += "That head looks at the picture most, not at the object"
    else:
        told += "Sum the pattern over all of the object's patches, and take the largest"
    raise AssertionError(told)


def check_luck(luck: Callable[[int, float, int, int], float]) -> None:
    """Check ``(tried, rate, scenes, hits) -> bound for the chance that it was luck``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    cases = [
        ("one push, tried once", 1, 0.1, 50, 12),
        ("the best of twenty pushes", 20, 0.1, 50, 12),
        ("no hit at all", 1, 0.3, 20, 0),
        ("every scene is a hit", 5, 0.5, 10, 10),
        ("the best of a thousand", 1000, 0.2, 50, 12),
        ("noise never does it", 3, 0.0, 30, 1),
    ]
    for name, tried, rate, scenes, hits in cases:
        one = sum(
            math.comb(scenes, k) * rate**k * (1 - rate) ** (scenes - k)
            for k in range(hits, scenes + 1)
        )
        wanted = min(1.0, tried * one)
        got = luck(tried, rate, scenes, hits)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        if math.isclose(got, wanted, rel_tol=1e-6, abs_tol=1e-12):
            continue
        exactly = math.comb(scenes, hits) * rate**hits * (1 - rate) ** (scenes - hits)
        told = (
            f"{name}, luck({tried}, {rate}, {scenes}, {hits}): wanted {wanted:.4g}, got {got:.4g}. "
        )
        if math.isclose(got, tried * exactly, rel_tol=1e-6):
            told += f"{hits} hits *or more*, not exactly as many"
        elif math.isclose(got, min(1.0, tried * (one - exactly)), rel_tol=1e-6, abs_tol=1e-12):
            told += f"More than {hits} hits; {hits} themselves count, too"
        elif got > 1:
            told += "A chance is no more than 1"
        elif math.isclose(got, one, rel_tol=1e-6):
            told += "You chose it among several: each had its chance to surprise you"
        else:
            told += "The chance of that many hits by luck, times the pushes that you tried"
        raise AssertionError(told)
    print("Correct: what was tried counts, too.")
