"""Checks for the exercises of chapter 4, "Finding spatial IDs"."""

from collections.abc import Callable

import torch

from helpers.hooks import HookedVLM
from helpers.ids import LEFT_RIGHT, SpatialIDs, grid_scene
from helpers.reading import read_states
from helpers.stimuli.sampling import PAPER_SIZES

_PAIRS = (("frog", "camel"), ("teapot", "dog"), ("log", "cake"))


def check_by_hand(function: Callable[[torch.Tensor], torch.Tensor], vlm: HookedVLM) -> None:
    """Check averaging and centring against :class:`SpatialIDs` on the model itself.

    Raises:
        AssertionError: with the step that is probably missing.
    """
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(5, 1, 1, 1, 8, generator=generator)
    place = torch.randn(1, 1, 3, 3, 8, generator=generator)
    place = place - place.mean((2, 3), keepdim=True)
    # Five pairs, four partners that pull in opposite directions, a 3 x 3 grid.
    pull = torch.tensor([1.0, -1.0, 2.0, -2.0]).reshape(1, 4, 1, 1, 1)
    states = 10 * base + place + pull * torch.randn(5, 1, 3, 3, 8, generator=generator)
    got = function(states.clone())
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert tuple(got.shape) == (3, 3, 8), (
        f"the answer has shape {tuple(got.shape)}; wanted (rows, columns, d_model) = (3, 3, 8): "
        "average over partners and over pairs, keep rows and columns"
    )
    error = float((got - place[0, 0]).abs().max())
    assert float(got.mean((0, 1)).abs().max()) < 1e-4, (
        "the IDs' mean over the grid is not zero: subtract each pair's mean over rows and columns"
    )
    assert error < 1e-4, f"the planted IDs are off by up to {error:.3f}"

    grid, site = 2, vlm.resid_post(vlm.n_layers // 2)
    cells = [divmod(cell, grid) for cell in range(grid * grid)]
    work = [
        (pair, cell, other) for pair in _PAIRS for cell in cells for other in cells if other != cell
    ]
    prompts = [
        vlm.prompt(
            grid_scene(pair, (cell, other), PAPER_SIZES[-1], grid).render(),
            LEFT_RIGHT.format(*pair),
        )
        for pair, cell, other in work
    ]
    positions = [
        [prompt.words(pair)[0][-1]] for prompt, (pair, _, _) in zip(prompts, work, strict=True)
    ]
    flat = read_states(vlm, prompts, positions, [site])[0, :, 0]
    states = flat.reshape(len(_PAIRS), grid, grid, len(cells) - 1, -1).permute(0, 3, 1, 2, 4)
    wanted = SpatialIDs.extract(
        vlm, _PAIRS, sites=[site], grid=grid, partners=len(cells) - 1, progress=False
    ).mean(site)
    difference = float((function(states) - wanted).abs().max() / wanted.abs().max())
    assert difference < 1e-3, (
        f"on the model your IDs and SpatialIDs.extract differ by {100 * difference:.1f} %"
    )
    print("Correct: the same IDs as SpatialIDs.extract, from the model's own hidden states.")


def check_split_half(function: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    """Check a split-half reliability on IDs with a known amount of noise.

    Raises:
        AssertionError: with the case that failed and what was probably forgotten.
    """
    generator = torch.Generator().manual_seed(1)

    def noise(scale: float) -> torch.Tensor:
        return scale * torch.randn(30, 4, 4, 64, generator=generator)

    shared = torch.randn(1, 4, 4, 64, generator=generator)
    shared = shared - shared.mean((1, 2), keepdim=True)

    same = function(shared.repeat(30, 1, 1, 1), shared.repeat(30, 1, 1, 1))
    assert same is not None, "the function returns nothing: is a `return` missing?"
    assert abs(float(same) - 1) < 1e-4, f"two halves that are the same agree at 1, not {same:.3f}"
    nothing = float(function(noise(1), noise(1)))
    assert abs(nothing) < 0.15, (
        f"two halves of pure noise agree at about 0, not {nothing:.3f}: is an `abs` in the way?"
    )
    opposite = float(function(shared + noise(0.1), -shared + noise(0.1)))
    assert opposite < -0.9, f"opposite halves agree at about -1, not {opposite:.3f}"
    noisy = float(function(shared + noise(2), shared + noise(2)))
    assert noisy > 0.75, (
        f"30 noisy pairs on each side should still agree at about 0.9, not {noisy:.3f}: "
        "average over the pairs of a half first, then take the cosine"
    )
    scaled = float(function(shared + noise(2), 3 * (shared + noise(2))))
    assert 0.75 < scaled < 1.01, f"the size of the vectors must not matter: got {scaled:.3f}"
    print(f"Correct: signal behind noise of twice its size still agrees at {noisy:.2f}.")


def check_interpolate(
    function: Callable[[torch.Tensor, float, float], torch.Tensor],
) -> None:
    """Check bilinear interpolation at centres, between them, and at edges and corners.

    Raises:
        AssertionError: with the place that came out wrong.
    """
    grid = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(2))
    ids = SpatialIDs(grid[None, None], ("blocks.0.hook_resid_post",), (("a", "b"),), 0, "made up")
    places = [
        ("a centre", 1.0, 2.0),
        ("a corner", 0.0, 0.0),
        ("the far corner", 3.0, 4.0),
        ("half way along a row", 1.0, 2.5),
        ("half way down a column", 0.5, 3.0),
        ("anywhere", 1.3, 3.8),
        ("the last row", 3.0, 0.25),
    ]
    for what, row, column in places:
        got = function(grid, row, column)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert tuple(got.shape) == (6,), f"at {what} the shape is {tuple(got.shape)}, not (6,)"
        wanted = ids.interpolate(ids.sites[0], row, column)
        assert torch.allclose(got, wanted, atol=1e-4), (
            f"at {what} (row {row}, column {column}) the vector is off by "
            f"{float((got - wanted).abs().max()):.3f}"
        )
    ones = function(torch.ones(4, 5, 6), 2.7, 0.1)
    assert torch.allclose(ones, torch.ones(6), atol=1e-5), "the four weights must sum to 1"
    print("Correct: exact at centres, at edges and in between, and the weights sum to 1.")
