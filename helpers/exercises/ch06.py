"""Checks for the exercises of chapter 6, "Steering beliefs"."""

import math
from collections.abc import Callable

import numpy as np
import torch

from helpers.hooks import HookedVLM, HookFunction
from helpers.interventions import as_hooks, steer
from helpers.prompts import Prompt


def check_steering_hook(
    steering_hook: Callable[[int, torch.Tensor], HookFunction], vlm: HookedVLM, prompt: Prompt
) -> None:
    """Check ``(position, vector) -> hook`` against :func:`helpers.interventions.steer`.

    Raises:
        AssertionError: with what came out and what should have.
    """
    site, position = vlm.resid_post(vlm.n_layers // 2), prompt.last - 2
    vector = 3 * torch.randn(vlm.d_model, generator=torch.Generator().manual_seed(0))
    hook = steering_hook(position, vector.clone())
    assert hook is not None, "the function returns nothing: is a `return` missing?"
    assert callable(hook), f"return a function (resid, hook), not {type(hook).__name__}"
    _, plain = vlm.run_with_cache(prompt, site)
    _, edited = vlm.run_with_cache(prompt, site, fwd_hooks=[(site, hook)])
    change = (edited[site] - plain[site])[0].float().cpu()
    moved = change.norm(dim=-1).nonzero().flatten().tolist()
    assert moved, "the hook changes nothing: return the new tensor, or edit `resid` in place"
    assert moved == [position], (
        f"the hook must change position {position} alone; it changes {moved[:8]}. "
        "`resid` is [batch, position, d_model]"
    )
    assert torch.allclose(change[position], vector, atol=0.02 * float(vector.norm())), (
        f"the stream at the position must grow by exactly the vector (length {vector.norm():.1f}); "
        f"it changed by a vector of length {change[position].norm():.1f}. Add, do not replace"
    )
    wanted = vlm.last_logits(prompt, as_hooks([[steer(site, [position], vector)]]))
    for _ in range(2):
        got = vlm.last_logits(prompt, [(site, steering_hook(position, vector))])
        assert torch.allclose(got, wanted, atol=1e-3), (
            "the logits differ from those of `steer`, or from one run to the next: does something "
            "stay behind between runs?"
        )
    assert torch.equal(vector, 3 * torch.randn(
        vlm.d_model, generator=torch.Generator().manual_seed(0)
    )), "the hook changed the vector that it was given; leave it as it is"  # fmt: skip
    print("Correct: the same logits as `steer`, and no other token touched.")


def check_noise(noise: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
    """Check ``(vector, seed) -> random vector of the same norm``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    vector = torch.zeros(256)
    vector[:4] = 5.0
    assert noise(vector.clone(), 0) is not None, (
        "the function returns nothing: is a `return` missing?"
    )
    draws = torch.stack([noise(vector.clone(), seed) for seed in range(200)])
    assert draws.shape == (200, 256), f"expected the shape of the vector, got {draws.shape[1:]}"
    norms = draws.norm(dim=-1)
    assert torch.allclose(norms, vector.norm().expand(200), rtol=1e-3), (
        f"the vector's norm is {vector.norm():.2f}; your noise has norms from {norms.min():.2f} to "
        f"{norms.max():.2f}. Match each draw, not the average"
    )
    assert torch.equal(noise(vector, 7), noise(vector, 7)), (
        "the same seed must give the same noise: use a generator of your own"
    )
    assert not torch.allclose(draws[0], draws[1]), "two seeds must give different noise"
    # A draw that leans towards the vector has a mean, too; that is for the next check to say.
    rest = draws.mean(0)[4:].norm() / vector.norm()
    assert rest < 0.15, "the noise has a mean of its own; draw from a distribution around zero"
    cosines = draws @ vector / vector.norm() ** 2
    assert abs(float(cosines.mean())) < 0.03 and float(cosines.abs().max()) < 0.5, (
        "the noise points along the vector (or against it); it must not know the direction"
    )
    spread = draws.square().mean(0)
    assert float(spread.max() / spread.min()) < 4, (
        "some coordinates get more noise than others; draw all of them alike"
    )
    flat = torch.stack([noise(torch.tensor([3.0, 4.0]), seed) for seed in range(3000)]) / 5
    # Of a direction in the plane, cos^4 + sin^4 is 3/4 on average if no direction is favoured.
    corners = float(flat.pow(4).sum(1).mean())
    assert abs(corners - 0.75) < 0.015, (
        "in two dimensions your directions favour the "
        + ("corners of a square" if corners < 0.75 else "axes")
        + ", whatever their length. Which distribution, taken for each coordinate alone, knows no "
        "axes?"
    )
    print("Correct: same length, no knowledge of the direction, repeatable.")


def check_smallest_dose(smallest_dose: Callable[[Callable[[float], float]], float]) -> None:
    """Check ``log_odds_at -> dose`` on functions whose first sign change is known.

    Raises:
        AssertionError: with what came out and what should have.
    """
    cases = {
        "a falling line": (lambda dose: 2.0 - 1.5 * dose, 4 / 3),
        "a rising line": (lambda dose: -1.0 + 2.0 * dose, 0.5),
        "a curve that comes back": (lambda dose: math.cos(1.2 * dose), math.pi / 2.4),
        "a curve that never crosses": (lambda dose: 3.0 - dose / 2, math.inf),
    }
    for name, (function, wanted) in cases.items():
        asked = []

        def counted(dose: float, function=function, asked=asked) -> float:
            asked.append(dose)
            return function(dose)

        got = smallest_dose(counted)
        assert got is not None, f"{name}: nothing came back; return math.inf if there is no dose"
        assert not asked or max(asked) <= 5 + 1e-9, f"{name}: you asked for a dose above 5"
        if math.isinf(wanted):
            assert math.isinf(got), f"{name} up to dose 5: return math.inf, not {got:.2f}"
            continue
        assert abs(got - wanted) < 0.02, (
            f"{name}: the belief turns at dose {wanted:.2f}, you say {got:.2f}. Scan upwards in "
            "steps first, then halve the step in which the sign changes"
        )
        assert len(asked) <= 60, f"{name}: {len(asked)} passes are too many; halve, do not crawl"
    print("Correct: the first crossing, to a hundredth, in few passes.")


# How many samples are these? --------------------------------------------------------------------


def check_worth(worth: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check ``(values, scene) -> number of independent rows`` on scenes of known agreement.

    Raises:
        AssertionError: with the table that was misjudged and what was probably counted.
    """
    random = np.random.default_rng(0)
    scenes, rows = 2000, 10
    scene = np.repeat(np.arange(scenes), rows)
    for name, shared in (
        ("all rows of a scene agree", 1.0),
        ("a scene tells nothing about its rows", 0.0),
        ("rows of a scene agree in part", 0.5),
    ):
        own = random.normal(size=scenes)[scene] * shared**0.5
        values = 3 + own + random.normal(size=scenes * rows) * (1 - shared) ** 0.5
        order = random.permutation(scenes * rows)
        got = worth(values[order], scene[order])
        assert got is not None, "the function returns nothing: is a `return` missing?"
        wanted = scenes * rows / (1 + (rows - 1) * shared)
        got, near = float(got), 0.12 * wanted
        if abs(got - wanted) < near:
            continue
        told = f"{name}: {scenes * rows} rows from {scenes} scenes are worth about {wanted:.0f}"
        told += f" independent rows; you say {got:.0f}. "
        if abs(got - scenes * rows) < 0.05 * scenes * rows:
            told += "That is all rows. Rows of a scene repeat each other, in part or wholly"
        elif abs(got - scenes) < 0.05 * scenes:
            told += "That is the number of scenes. Rows that differ within a scene tell more"
        elif abs(got - wanted**0.5) < 0.1 * wanted**0.5:
            told += "That is its root: variances fall with the number, spreads with its root"
        elif abs(got - 1 / (1 + (rows - 1) * shared)) < 0.1:
            told += "That is the share of the rows; how many rows is it?"
        else:
            told += (
                "How far may the mean be off, by the means of scenes? And how many independent "
                "rows would bring their own variance down to that?"
            )
        raise AssertionError(told)
    print("Correct: between the number of scenes and the number of rows, as they agree.")


# What is left of the word -----------------------------------------------------------------------


def check_left_of(left_of: Callable[[float], float]) -> None:
    """Check the cosine of a stream with itself after an edit at right angles to it.

    Raises:
        AssertionError: with what is probably wrong.
    """
    stream, edit = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([0.0, 0.0, 5.0])
    for factor in (2.0, 0.5, 5.0, 0.0):
        wanted = float(torch.cosine_similarity(stream + factor * edit, stream, dim=0))
        got = left_of(factor)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = float(got)
        if abs(got - wanted) < 1e-5:
            continue
        slips = {
            1 / (1 + factor): "That is a share of lengths in a row; the two are at right angles",
            factor / (1 + factor): "That is the edit's share of lengths in a row",
            1 / (1 + factor**2): "That is the share of the squared length: the cosine's square",
            factor / (1 + factor**2) ** 0.5: "That is the cosine with the edit: how much is *it*?",
            (1 + factor**2) ** 0.5: "That is the length of the sum; a cosine is at most 1",
        }
        hints = [hint for value, hint in slips.items() if abs(got - value) < 1e-5]
        raise AssertionError(
            f"at a factor of {factor:g} you say {got:.3f}, and measuring says otherwise. "
            + (hints[0] if hints else "Draw the stream, the edit and their sum")
        )
    print("Correct: at a factor of five a fifth is left, and at a factor of one seven tenths.")


# Does the frog go there? ------------------------------------------------------------------------


def check_went(went: Callable[[str, str, str], str]) -> None:
    """Check ``(before, after, target) -> verdict`` on replies that models give.

    Raises:
        AssertionError: with the replies that were misjudged and why they mean something else.
    """
    cases = [
        ("Top left", "Top right", "Top right", "went", "it names the target, and did not before"),
        ("Top left", "Top left", "Top right", "stayed", "it names the same place"),
        ("Top left", "Bottom left", "Top right", "elsewhere", "another place than the target"),
        ("Top left", "Camel", "Top right", "broke", "no place is named"),
        ("Top left", "", "Top right", "broke", "no place is named"),
        ("Top left", "Right", "Top right", "broke", "half a place is named"),
        (
            "Top left", "The frog is at the TOP, on the right.", "Top right", "went",
            "words count, in any case, and whatever stands around them",
        ),
        (
            "Top left.", "top left", "Top right", "stayed",
            "the same place, however it is written",
        ),
        (
            "Top left", "Top left or top right", "Top right", "broke",
            "it has not decided between left and right",
        ),
        (
            "Top left", "At the bright top of the picture", "Top right", "broke",
            "'bright' is not 'right'",
        ),
        (
            "Bottom right", "Bottom right", "Bottom right", "stayed",
            "it was there before, so the edit did nothing",
        ),
        (
            "Camel", "Top right", "Top right", "went",
            "before the edit no place was named, so the target was not",
        ),
        ("Camel", "Camel", "Top right", "broke", "the reply after the edit names no place"),
        (
            "Top left", "Right, right at the top", "Top right", "went",
            "a word may come twice, and in any order",
        ),
    ]  # fmt: skip
    for before, after, target, wanted, why in cases:
        got = went(before, after, target)
        assert got is not None, (
            f"for {before!r}, then {after!r}, nothing comes back: does every way end in a `return`?"
        )
        assert got == wanted, (
            f"{before!r}, then {after!r}, and the edit aimed at {target!r}: you say {got!r}, but "
            f"{why}"
        )
    print(f"Correct: {len(cases)} pairs of replies judged.")
