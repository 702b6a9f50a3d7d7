"""Checks for the exercises of chapter 6, "Steering beliefs"."""

import math
from collections.abc import Callable

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
    cosines = draws @ vector / vector.norm() ** 2
    assert abs(float(cosines.mean())) < 0.03 and float(cosines.abs().max()) < 0.5, (
        "the noise points along the vector (or against it); it must not know the direction"
    )
    spread = draws.square().mean(0)
    assert float(spread.max() / spread.min()) < 4, (
        "some coordinates get more noise than others; draw all of them alike"
    )
    lean = draws.mean(0).norm() / vector.norm()
    assert lean < 0.15, "the noise has a mean of its own; draw from a distribution around zero"
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
