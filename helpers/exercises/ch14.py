"""Checks for the exercises of chapter 14, "IDs as a teacher"."""

from collections.abc import Callable

import numpy as np
import torch

from helpers.stats import Interval

#: Names of parameters as real models have them, and whether they are of vision MLPs.
NAMES = {
    "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight": True,
    "model.vision_tower.encoder.layers.11.mlp.fc2.bias": True,
    "model.visual.blocks.3.mlp.gate_proj.weight": True,
    "model.vision_model.global_transformer.layers.0.mlp.fc1.weight": True,
    "model.vision_tower.encoder.layers.0.self_attn.q_proj.weight": False,
    "model.visual.blocks.3.norm1.weight": False,
    "model.visual.merger.mlp.0.weight": False,
    "model.multi_modal_projector.linear_1.weight": False,
    "model.language_model.layers.0.mlp.gate_proj.weight": False,
    "model.language_model.layers.0.self_attn.q_proj.weight": False,
    "lm_head.weight": False,
}


def check_learns(learns: Callable[[str], bool]) -> None:
    """Check ``name -> whether this parameter belongs to an MLP in a block of a vision tower``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for name, wanted in NAMES.items():
        got = bool(learns(name))
        told = f"{name}: you say {got}. "
        if wanted:
            told += "It is an MLP's, in a block of the vision tower, however the family calls that"
        elif "language_model" in name:
            told += "It is the language model's: with it the reader would learn, and not the eyes"
        elif "merger" in name or "projector" in name:
            told += "It stands between the tower and the language model, in no block of the tower"
        else:
            told += "It is in no MLP of the vision tower"
        assert got == wanted, told
    print("Correct: the eyes' MLPs, and nothing of the reader.")


def check_distance(
    distance: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    """Check ``(states, means, ids) -> 1 - cosine``, ``[n]`` from ``[n, d_model]``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randn(5, 32, generator=generator)
    means = 3 * torch.randn(5, 32, generator=generator)
    noise = torch.randn(5, 32, generator=generator)
    states = (means + ids + noise).requires_grad_()
    got = distance(states, means, ids)
    assert torch.is_tensor(got), f"return a tensor, not {type(got).__name__}"
    assert got.shape == (5,), f"expected one number for each state, [5], got {list(got.shape)}"
    cosine = torch.nn.functional.cosine_similarity
    centred, raw = 1 - cosine(states - means, ids, dim=-1), 1 - cosine(states, ids, dim=-1)
    first = float(got[0].detach())
    told = f"expected {float(centred[0].detach()):.3f} for the first state, got {first:.3f}. "
    if torch.allclose(got, raw, atol=1e-4):
        told += "IDs are differences from a mean over places. So must the state be: subtract that"
    elif torch.allclose(got, 1 - centred, atol=1e-4):
        told += "That is the cosine; a loss must be small where the two point the same way"
    elif torch.allclose(got, 1 - cosine(states - means, ids - means, dim=-1), atol=1e-4):
        told += "The IDs are centred already: subtract the mean from the state alone"
    elif torch.allclose(got, (states - means - ids).norm(dim=-1), atol=1e-3):
        told += "That is a distance: it asks for the ID's length too"
    assert torch.allclose(got, centred, atol=1e-4), told
    assert got.requires_grad, "no gradient reaches the states: stay in torch, and detach nothing"
    print("Correct: both sides are differences from the same mean, and a gradient flows.")


def check_generator_for(generator_for: Callable[[int, int], np.random.Generator]) -> None:
    """Check ``(seed, step) -> the generator that draws the questions of a step``.

    Raises:
        AssertionError: with what came out and what should have.
    """

    def draw(seed: int, step: int) -> tuple[int, ...]:
        generator = generator_for(seed, step)
        assert isinstance(generator, np.random.Generator), (
            f"return a numpy Generator, not {type(generator).__name__}: the global one is shared "
            "with everything else that draws"
        )
        return tuple(generator.integers(2**31, size=4).tolist())

    straight = {(seed, step): draw(seed, step) for seed in range(4) for step in range(6)}
    for key in [(0, 5), (3, 2), (0, 0), (3, 2)]:
        assert draw(*key) == straight[key], (
            f"seed {key[0]}, step {key[1]} gave other numbers when it was asked for again. One "
            "that was cut off goes on at a later step, and other arms draw other things between"
        )
    for seed in range(4):
        drawn = [straight[seed, step] for step in range(6)]
        assert len(set(drawn)) == 6, f"with seed {seed} several steps have the same questions"
    for step in range(6):
        drawn = [straight[seed, step] for seed in range(4)]
        assert len(set(drawn)) == 4, f"at step {step} several seeds have the same questions"
    assert len(set(straight.values())) == len(straight), (
        "different seeds share steps: seed 0 at step 1 is seed 1 at step 0. Then your seeds are "
        "nearly one run. Give numpy both numbers, not their sum"
    )
    print("Correct: a step's questions depend on the seed and the step, and on nothing else.")


def check_over_both(over_both: Callable[[np.ndarray], Interval]) -> None:
    """Check ``differences [seeds, scenes] -> Interval``, a 95 % bootstrap interval of the mean.

    Raises:
        AssertionError: with what came out and what should have.
    """
    rng = np.random.default_rng(0)
    seeds, scenes = rng.normal(size=(8, 1)), rng.normal(size=(1, 400))
    noise = rng.normal(size=(8, 400))
    cases = {
        "scenes differ, seeds do not": (3 * scenes + 0 * noise[:, :1], 3 * scenes.std() / 20),
        "seeds differ, scenes do not": (3 * seeds + 0 * noise, 3 * seeds.std() / 8**0.5),
        "each cell is its own": (3 * noise, None),
    }
    for what, (table, spread) in cases.items():
        found = over_both(table.copy())
        assert found is not None, "the function returns nothing: is a `return` missing?"
        assert isinstance(found, Interval), (
            f"return a stats.Interval(estimate, low, high, n), not {type(found).__name__}: the "
            "cells below draw all of it"
        )
        assert abs(found.estimate - table.mean()) < 1e-6, (
            f"{what}: the estimate is the mean of the table, {table.mean():.3f}, not "
            f"{found.estimate:.3f}"
        )
        low, high = found.low, found.high
        assert low <= table.mean() <= high, f"{what}: the mean is not between your ends"
        if spread is None:
            continue
        wide = 3.92 * spread
        told = f"{what}: expected an interval about {wide:.2f} wide, got {high - low:.2f}. "
        if high - low < 0.7 * wide:
            told += (
                "Draw whole seeds again as well: a run's luck does not shrink with more scenes"
                if "seeds differ" in what
                else "All seeds saw the same scenes: draw whole scenes, not single cells"
            )
        assert 0.7 * wide < high - low < 1.4 * wide, told
    print("Correct: seeds and scenes are drawn again, each as a whole.")


def check_turned(turned: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]) -> None:
    """Check ``(ids [..., d_model], axes [2, d_model], angle) -> ids``, rotated in the axes' plane.

    Raises:
        AssertionError: with what a rotation keeps and this did not.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randn(4, 3, 9, generator=generator, dtype=torch.float64)
    one, other, *rest = torch.linalg.qr(
        torch.randn(9, 9, generator=generator, dtype=torch.float64)
    ).Q.T
    rest = torch.stack(rest)
    named = {
        "perpendicular axes of length one": torch.stack([one, other]),
        "long axes": torch.stack([3 * one, 0.5 * other]),
        "slanted axes": torch.stack([2 * one, one + other]),
    }
    for name, axes in named.items():
        for angle in (0.0, 0.4, np.pi / 2, -1.0):
            given = ids.clone()
            got = turned(given, axes.clone(), angle)
            assert got is not None, "the function returns nothing: is a `return` missing?"
            assert torch.equal(given, ids), "you changed the IDs; make new ones"
            assert got.shape == ids.shape, f"shape {tuple(got.shape)}, not {tuple(ids.shape)}"
            where = f"{name}, angle {angle:.2f}: "
            assert torch.allclose(got @ rest.T, ids @ rest.T, atol=1e-8), (
                where + "what lies off the plane has changed, and should stay"
            )
            x, y = ids @ one, ids @ other
            wanted = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
            found = got @ one, got @ other
            lengths = [(a**2 + b**2).sqrt() for a, b in (wanted, found)]
            assert torch.allclose(*lengths, atol=1e-8), (
                where + "lengths in the plane have changed: make two perpendicular directions of "
                "length one out of the axes first"
            )
            assert all(
                torch.allclose(a, b, atol=1e-8) for a, b in zip(wanted, found, strict=True)
            ), (
                where + "turned by another angle, or the other way: from the first axis towards "
                "the second"
            )
    print("Correct: the same map, turned.")
