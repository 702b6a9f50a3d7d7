"""Checks for the exercises of chapter 24, "Bring your own relation"."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from helpers.stats import Interval

Rows = Sequence[tuple]

# Balanced ---------------------------------------------------------------------------------------


def check_balanced(balanced: Callable[[Rows, Rows], bool]) -> None:
    """Check ``(places where it holds, where it does not) -> whether each noun's are spread alike``.

    Raises:
        AssertionError: with the design that was judged wrongly.
    """
    cases = (
        ("the same rows", [(0, 1), (1, 0)], [(0, 1), (1, 0)], True, ""),
        ("the same rows in another order", [(0, 1), (1, 0)], [(1, 0), (0, 1)], True, ""),
        (
            "other rows, each noun's places alike", [(1, 0), (2, 3)], [(1, 3), (2, 0)], True,
            "Noun by noun: rows may differ as long as each column has the same values",
        ),
        (
            "twice as many on one side, in the same shares",
            [(0, 1), (1, 0)], [(0, 1), (0, 1), (1, 0), (1, 0)], True,
            "Compare shares and not counts",
        ),
        (
            "the second noun is always right of the first", [(0, 1), (1, 2)], [(1, 0), (2, 1)],
            False, "The first noun is at 0 and 1 on one side, at 1 and 2 on the other",
        ),
        (
            "equal means, unequal spread", [(1, 0), (2, 3)], [(0, 0), (3, 3)], False,
            "Equal means are not enough: in the middle is not at both ends",
        ),
        (
            "the same values, unequally often", [(0, 1), (0, 1), (1, 0)], [(0, 1), (1, 0), (1, 0)],
            False, "A set forgets how often each place comes",
        ),
        (
            "only the third noun gives it away", [(0, 1, 2), (1, 0, 2)], [(0, 1, 3), (1, 0, 3)],
            False, "Look at all nouns",
        ),
    )  # fmt: skip
    for name, holds, fails, wanted, hint in cases:
        got = balanced(list(holds), list(fails))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        if bool(got) != wanted:
            told = f"{name}: {holds} against {fails} is {'' if wanted else 'not '}balanced. {hint}"
            raise AssertionError(told.rstrip())
    print("Correct: nothing about a single noun's place tells whether the relation holds.")


# Held-out twins ---------------------------------------------------------------------------------


def check_ordered(
    ordered: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    """Check ``(holds, fails, new holds, new fails), all [twins, d], -> booleans [new twins]``.

    Raises:
        AssertionError: with what is probably wrong.
    """
    generator = torch.Generator().manual_seed(0)
    width, count = 24, 40
    vector = torch.randn(width, generator=generator)

    def draw(number: int, sign: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        # What twins share, and far from zero: only their difference says something.
        shared = 4 * torch.randn(number, width, generator=generator) + 9 * vector
        noise = 0.4 * torch.randn(2, number, width, generator=generator)
        return shared + sign * 0.4 * vector + noise[0], shared - sign * 0.4 * vector + noise[1]

    train = draw(count)
    parts = [draw(20), draw(20, -1.0)]
    new = tuple(torch.cat(side) for side in zip(*parts, strict=True))
    direction = (train[0] - train[1]).mean(0)
    wanted = (new[0] - new[1]) @ direction > 0
    given = [part.clone() for part in (*train, *new)]
    got = ordered(*given)
    assert got is not None, "the function returns nothing: is a `return` missing?"
    got = torch.as_tensor(got)
    assert got.shape == (40,), (
        f"return one value for each of the 40 new twins, not shape {tuple(got.shape)}: the share "
        "comes later"
    )
    if not torch.equal(got.bool(), wanted):
        own = (new[0] - new[1]) @ (new[0] - new[1]).mean(0) > 0
        alone = new[0] @ direction > 0
        told = f"{int((got.bool() != wanted).sum())} of 40 twins are judged wrongly. "
        if torch.equal(got.bool(), ~wanted):
            told += "All of them the other way round: holds less fails"
        elif torch.equal(got.bool(), alone) or bool(got.bool().all()):
            told += "Compare the twins with each other, not one of them with zero"
        elif torch.equal(got.bool(), own):
            told += "You made the contrast from the twins that you test it on"
        else:
            told += "Project the difference of each new twin on the mean difference of the others"
        raise AssertionError(told)
    print("Correct: the contrast comes from some objects and is tried on others.")


# Shuffled ---------------------------------------------------------------------------------------


def check_shuffled(shuffled: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
    """Check ``(differences [twins, d], seed) -> vector [d]``.

    Raises:
        AssertionError: with what is probably wrong.
    """
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(32, generator=generator)
    differences = vector + 0.3 * torch.randn(40, 32, generator=generator)
    mean = differences.mean(0)
    kept = differences.clone()
    drawn = [shuffled(differences, seed) for seed in range(30)]
    assert torch.equal(differences, kept), "you changed the differences; make new ones instead"
    assert all(torch.is_tensor(one) and one.shape == mean.shape for one in drawn), (
        "return one vector [d] for a seed"
    )
    assert torch.equal(drawn[0], shuffled(differences, 0)), "the same seed, the same vector"
    for one in drawn:
        ratio = float(one.norm() / mean.norm())
        assert abs(ratio - 1) < 1e-3, (
            f"your vector is {ratio:.2f} times as long as the contrast; a control has its length"
        )
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-4), "two seeds give the same vector"
    cosines = torch.stack([torch.cosine_similarity(one, mean, dim=0) for one in drawn])
    if cosines.min() > 0.99:
        raise AssertionError(
            "your vector is the contrast itself: the order of twins does not matter to a mean. "
            "Exchange what is called true and false, which turns a difference round"
        )
    if cosines.abs().max() > 0.75:
        raise AssertionError(
            "in some draws the contrast is still there (cosine "
            f"{float(cosines[cosines.abs().argmax()]):.2f}): more twins keep their sign than lose "
            "it, or the other way round. Turn exactly half of them"
        )
    print("Correct: the same twins, with labels that say nothing.")


# What will you conclude? ------------------------------------------------------------------------


def check_verdict(verdict: Callable[[Interval, Interval, Interval], str]) -> None:
    """Check ``(readable, gap, reached) -> words``.

    Raises:
        AssertionError: with the case that failed.
    """

    def interval(low: float, high: float) -> Interval:
        return Interval((low + high) / 2, low, high, 40)

    high, low, unsure = interval(0.6, 0.8), interval(-0.02, 0.05), interval(0.2, 0.5)
    chance, read = interval(0.42, 0.58), interval(0.9, 1.0)
    touching = interval(0.49, 0.66)
    cases = (
        ("read, and it moves beliefs", read, high, high, "used"),
        ("read; it moves none, and places do", read, low, high, "readable, not used"),
        ("read; nothing moves any", read, low, low, "readable, cannot tell"),
        ("read; places move some, perhaps", read, low, unsure, "readable, cannot tell"),
        ("not read, and it moves none", chance, low, high, "not there"),
        ("the interval holds one half", touching, low, high, "not there"),
        ("it moves some, perhaps", read, unsure, high, "readable, cannot tell"),
        ("not read by us, but it moves beliefs", chance, high, high, "used"),
        ("it moves beliefs, places do not", read, high, low, "used"),
    )
    for name, readable, gap, reached, wanted in cases:
        got = verdict(readable, gap, reached)
        assert isinstance(got, str), f"return words, not {type(got).__name__}"
        if got == wanted:
            continue
        told = f"{name}: wanted {wanted!r}, got {got!r}. "
        if wanted == "readable, cannot tell":
            told += (
                "A null counts only where its whole interval lies below the bar, and something "
                "else does move beliefs at this word: that is what `reached` is for"
            )
        elif wanted == "used":
            told += "What moves beliefs is used, whatever else is true: ask for it first"
        elif "perhaps" in name or "holds" in name:
            told += "The whole interval counts: compare its lower end, not the estimate"
        else:
            told += "Above one half is readable; 0.3 is the bar for moving beliefs"
        raise AssertionError(told)
    print("Correct: and you have said so before you looked.")


# In other words ---------------------------------------------------------------------------------


def check_steady(function: Callable[[np.ndarray], tuple[float, float]]) -> None:
    """Check ``right [scenes, wordings] -> (right in all, the same by chance)``.

    Raises:
        AssertionError: with which of the two is wrong, and why.
    """
    rng = np.random.default_rng(0)
    knows = rng.random(200) < 0.6
    luck = rng.random((200, 3)) < 0.6
    slip = rng.random((200, 3)) < 0.1
    always, never = np.ones((200, 1), dtype=bool), np.zeros((200, 1), dtype=bool)
    cases = {
        "a model that knows, and slips": knows[:, None] & ~slip,
        "luck with sentences": luck,
        "two wordings": luck[:, :2],
        "a wording that everybody gets right": np.hstack([luck, always]),
        "a wording that nobody gets right": np.hstack([never, luck]),
    }
    for name, right in cases.items():
        shares = right.mean(0)
        told = (shares > 0) & (shares < 1)
        wanted = right[:, told].all(1).mean(), shares[told].prod()
        got = function(right.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.shape(got) == (2,), "return two shares: right in all, and the same by chance"
        if np.allclose(got, wanted):
            continue
        text = f"{name}: {wanted[0]:.3f} and {wanted[1]:.3f}, not {got[0]:.3f} and {got[1]:.3f}. "
        if told.sum() < len(told):
            text += "Leave out what everybody or nobody gets right, on both sides"
        elif np.isclose(got[0], right.mean()) or np.isclose(got[0], right.any(1).mean()):
            text += "Right in *every* wording: all of them in one scene"
        elif np.isclose(got[0], wanted[0]):
            text += "By chance: the product of the wordings' shares, each as it is"
        else:
            text += "First what holds, then what chance would give"
        raise AssertionError(text)
    for right in (np.hstack([always, never, luck[:, :1]]), luck[:, :1]):
        try:
            got = function(right)
        except ValueError:
            continue
        raise AssertionError(
            f"with shares {right.mean(0).round(2).tolist()} there is nothing to compare, and you "
            f"returned {got}: raise a ValueError"
        )
    print("Correct: what is known holds in other words, too.")
