"""Checks for the exercises of chapter 18, "Steering time"."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from helpers.stats import Interval
from helpers.temporal import TemporalIDs

#: The widths, in frames, that a bend may have.
WIDTHS = np.geomspace(0.1, 30, 40)

_SITE = "planted"


def check_push_back(
    push_back: Callable[[tuple[TemporalIDs, TemporalIDs], str, tuple], Sequence[torch.Tensor]],
) -> None:
    """Check ``(ids, site, times) -> [vector, vector]`` on timelines that bend.

    Raises:
        AssertionError: with what came out and what should have.
    """
    ids = tuple(_timeline(noun) for noun in (0, 1))
    for times in ((1, 4), (6, 0), (2.5, 5), (7, 0.5)):
        found = push_back(ids, _SITE, times)
        assert found is not None and len(found) == 2, "return two vectors, one for each noun"
        for noun, vector in enumerate(found):
            own, time = ids[noun], times[noun]
            last = own.frames - 1
            assert torch.is_tensor(vector) and vector.shape == (own.vectors.shape[-1],), (
                f"the vector of noun {noun} must have shape [{own.vectors.shape[-1]}]"
            )
            wanted = own.difference(_SITE, time, last - time)
            if torch.allclose(vector, wanted, atol=1e-4):
                continue
            other = ids[1 - noun]
            wrong = {
                "it points from the reversed clip to this one: the step is target minus origin": (
                    -wanted
                ),
                "you sent it to the time of the other noun: that is the exchange": (
                    own.difference(_SITE, time, times[1 - noun])
                ),
                "you used the IDs of the other noun": other.difference(_SITE, time, last - time),
            }
            hint = [text for text, one in wrong.items() if torch.allclose(vector, one, atol=1e-4)]
            raise AssertionError(
                f"times {times}: the vector of noun {noun} must take it from frame {time} to "
                f"{last - time}"
                + (f"; {hint[0]}" if hint else f" (frames count from 0, the last is {last})")
            )
    print("Correct: each noun by its own IDs, to where the reversed clip has it.")


def _timeline(noun: int) -> TemporalIDs:
    """IDs of eight frames along a bent line, another line for each noun."""
    generator = torch.Generator().manual_seed(noun)
    vectors = torch.randn(1, 2, 8, 24, generator=generator).cumsum(2)
    vectors = vectors - vectors.mean(2, keepdim=True)
    pairs = (("frog", "camel"), ("dog", "cake"))
    return TemporalIDs(vectors, (_SITE,), pairs, noun, "planted")


def check_swapped(swapped: Callable[[pd.DataFrame], Interval]) -> None:
    """Check ``table of scene, right, swapped -> Interval`` on clips with unequal numbers of rows.

    Raises:
        AssertionError: with what came out and what should have.
    """
    table = _beliefs()
    kept = table.copy()
    got = swapped(table)
    assert table.equals(kept), "your function changed the table that it was given"
    assert isinstance(got, Interval), f"return what stats.share returns, not {type(got).__name__}"
    rights = table[table["right"]]
    by_clip = rights.groupby("scene")["swapped"].mean()
    wanted = float(by_clip.mean())
    hint = "first the mean within each clip, then over clips"
    if abs(got.estimate - rights["swapped"].mean()) < 1e-6:
        hint = "you took the mean over rows, and clips with many seeds count more: " + hint
    elif abs(got.estimate - table.groupby("scene")["swapped"].mean().mean()) < 1e-6:
        hint = "you counted the beliefs that were wrong, too: to swap one is to correct it"
    elif abs(got.estimate - _swapped_by_all(table)) < 1e-6:
        hint = "a wrong belief is not a right one that stayed: leave it out, do not count it as 0"
    assert abs(got.estimate - wanted) < 1e-6, (
        f"expected {wanted:.3f}, you say {got.estimate:.3f}; {hint}"
    )
    assert got.n == len(by_clip), (
        f"there are {len(by_clip)} clips with a right belief, and your interval has {got.n} "
        "samples: seeds of one clip are not independent"
    )
    print("Correct: right beliefs alone, and a clip counts once.")


def _swapped_by_all(table: pd.DataFrame) -> float:
    return float((table["right"] & table["swapped"]).groupby(table["scene"]).mean().mean())


def _beliefs() -> pd.DataFrame:
    """Clips with one to nine rows; those with more swap more, and wrong ones most."""
    generator = np.random.default_rng(0)
    rows = []
    for scene in range(30):
        count, right = int(generator.integers(1, 10)), scene % 4 != 0
        chance = 0.1 + 0.07 * count if right else 0.9
        for said in generator.random(count) < chance:
            rows.append({"scene": scene, "right": right, "swapped": bool(said)})
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def check_shout(shout: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]) -> None:
    """Check ``(vectors, streams, factor) -> vectors`` of the wanted lengths.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(2, 64, generator=generator) * torch.tensor([[0.3], [4.0]])
    streams = torch.randn(2, 64, generator=generator) * torch.tensor([[1.0], [10.0]])
    kept = vectors.clone()
    for factor in (5.0, 0.5):
        found = shout(vectors, streams, factor)
        assert torch.equal(vectors, kept), "the vectors that you were given changed: make new ones"
        assert torch.is_tensor(found) and found.shape == vectors.shape, (
            f"return a tensor {list(vectors.shape)}"
        )
        cosines = torch.cosine_similarity(found, vectors, dim=-1)
        assert float(cosines.min()) > 0.999, (
            "a vector points another way than before: scale it, and turn or add nothing"
        )
        lengths, wanted = found.norm(dim=-1), factor * streams.norm(dim=-1)
        hint = "the unit is the length of the state at the same noun"
        if torch.allclose(lengths, factor * vectors.norm(dim=-1), rtol=1e-3):
            hint = "that is `factor` times the vector itself, the other unit: " + hint
        elif torch.allclose(lengths[0], lengths[1], rtol=1e-3):
            hint = "both nouns got the same length: " + hint + ", one for each"
        assert torch.allclose(lengths, wanted, rtol=1e-3), (
            f"factor {factor:g}: lengths should be {wanted[0]:.1f} and {wanted[1]:.1f}, yours are "
            f"{lengths[0]:.1f} and {lengths[1]:.1f}; {hint}"
        )
    still = shout(torch.stack([vectors[0], 0 * vectors[1]]), streams, 5.0)
    assert torch.equal(still[1], torch.zeros(64)), (
        "a vector of zeros has no direction, and must stay as it is; yours became "
        f"{still[1][:2].tolist()}..."
    )
    print("Correct: the same directions, as loud as asked.")


def check_bend(bend: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check ``(distance, log_odds) -> width``, both ``[clips, frames]``, on known curves.

    Raises:
        AssertionError: with what came out and what should have.
    """
    other = np.arange(24) % 6 + 1
    distance = np.arange(8) - other[:, None]
    level = 3.0 * other[:, None]  # each clip has its own, and it goes with the other's frame
    noise = 0.05 * np.random.default_rng(0).standard_normal(distance.shape)
    for width, height, offset in (
        (1.0, 4.0, 0.0), (2.0, 4.0, 3.0), (2.0, 0.5, -1.0), (4.0, -2.0, 1.0),
    ):  # fmt: skip
        odds = level + offset - height * np.tanh(distance / width) + noise * abs(height)
        got = bend(distance.copy(), odds)
        assert isinstance(got, (int, float, np.floating)), f"return a number, not {got!r}"
        assert np.isclose(WIDTHS, got).any(), f"{got} is none of ch18.WIDTHS"
        about = f"b = {height:g} and another a for each clip"
        assert 0.7 < got / width < 1.4, (
            f"a sigmoid of width {width:g} with {about}: you say {got:.2f}. For each width, each "
            "clip's a must be free, and so must b, which all clips share (it may be negative)"
        )
    curves = (np.sign(distance), distance)
    step, line = (bend(distance, level - 2.0 * curve + noise) for curve in curves)
    assert step < 0.6, f"a step has the narrowest widths, you say {step:.2f}"
    assert line > 8, f"a line has the largest widths, you say {line:.2f}"
    print("Correct: it tells a step from a bend from a line.")


def check_longer(
    longer: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    """Check ``(states [n, d_model], onset [n], offset [n]) -> what one more frame does``.

    Raises:
        AssertionError: with what came along with length.
    """
    generator = torch.Generator().manual_seed(0)
    stays = [(a, b) for a in range(8) for b in range(a, 8)] * 3
    stays += [(0, b) for b in range(8)] * 20  # the longer, the later: length and middle go together
    onset, offset = torch.tensor(stays).T
    middle, length = (onset + offset) / 2, (offset - onset).double()
    curve = torch.randn(15, 12, generator=generator, dtype=torch.float64).cumsum(0)
    effect = torch.randn(12, generator=generator, dtype=torch.float64)
    states = curve[(2 * middle).long()] + length[:, None] * effect
    got = longer(states.clone(), onset.clone(), offset.clone())
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert got.shape == (12,), f"return one vector of shape (12,), not {tuple(got.shape)}"
    if torch.allclose(got.double(), effect, atol=1e-6):
        print("Correct: length alone, whatever the middle.")
        return
    ones = torch.ones(len(stays), dtype=torch.float64)
    plain = torch.linalg.lstsq(torch.stack([length, ones], 1), states).solution[0]
    line = torch.linalg.lstsq(torch.stack([length, middle, ones], 1), states).solution[0]
    told = (
        f"off by {float((got - effect).norm() / effect.norm()):.0%} of the effect that is there. "
    )
    if torch.allclose(got.double(), plain, atol=1e-6):
        told += "Here long stays are late stays: you found later, not longer"
    elif torch.allclose(got.double(), line, atol=1e-6):
        told += "A line through the middles is not enough: time is a curve. Compare equal middles"
    elif torch.cosine_similarity(got.double(), effect, dim=0) > 0.999:
        told += (
            "The direction is right, its length is not: the effect of *one* frame, by regression"
        )
    else:
        told += "Take the means away within each middle, of states and of lengths alike"
    raise AssertionError(told)
