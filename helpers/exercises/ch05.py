"""Checks for the exercises of chapter 5, "Their geometry"."""

from collections.abc import Callable

import torch

from helpers.ids import SpatialIDs


def noise_ids(pairs: int, width: int = 128, seed: int = 0) -> SpatialIDs:
    """IDs without any map in them: random numbers, centred as real IDs are."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(1, pairs, 4, 4, width, generator=generator)
    names = tuple((f"noise {index}", "nothing") for index in range(pairs))
    return SpatialIDs(vectors - vectors.mean((2, 3), keepdim=True), ("noise",), names, 0, "noise")


def planted_ids(pairs: int, width: int = 128, noise: float = 0.3, seed: int = 0) -> SpatialIDs:
    """IDs that lie on a plane, the same for every seed, with noise that differs."""
    fixed = torch.Generator().manual_seed(1234)
    column, row = torch.randn(2, width, generator=fixed)
    steps = torch.arange(4) - 1.5
    grid = steps[None, :, None] * column + steps[:, None, None] * row
    vectors = grid + noise * noise_ids(pairs, width, seed).vectors
    names = tuple((f"planted {index}", "nothing") for index in range(pairs))
    return SpatialIDs(vectors, ("noise",), names, 0, "planted")


def check_axis(column_axis: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Check a least-squares column axis, ``[rows, columns, d_model] -> [d_model]``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    truth, other = torch.randn(2, 16, generator=generator)
    rows, columns = 3, 5
    grid = torch.arange(columns)[None, :, None] * truth + torch.arange(rows)[:, None, None] * other
    got = column_axis(grid.clone())
    assert isinstance(got, torch.Tensor) and got.shape == (16,), (
        f"expected a tensor of shape (16,), the width of an ID; got {getattr(got, 'shape', got)!r}"
    )
    size = float(got @ truth / truth.square().sum())
    if abs(size) < 0.01 or float(torch.cosine_similarity(got, other, dim=0)) > 0.99:
        raise AssertionError("this is not the column axis: does it run along the rows?")
    assert size > 0, "the axis points left; a step from column c to c + 1 must come out positive"
    assert abs(size - 1) < 1e-3, (
        f"on a perfect grid the axis must be one cell long; yours is {size:.2f} cells. Do zero "
        "differences (a cell with itself) or steps of more than one cell enter your mean?"
    )
    assert torch.allclose(got, truth, atol=1e-4), (
        "a perfect grid's axis must come out exactly; yours has something else mixed in"
    )
    shifted = column_axis(grid + torch.randn(16, generator=generator))
    assert torch.allclose(shifted, truth, atol=1e-4), (
        "adding one vector to all cells must not change the axis; centre the steps"
    )
    noisy = grid + torch.randn(grid.shape, generator=generator)
    steps = torch.arange(columns) - (columns - 1) / 2
    wanted = torch.einsum("c,rcd->d", steps, noisy) / rows / steps.square().sum()
    edges = (noisy[:, -1] - noisy[:, 0]).mean(0) / (columns - 1)
    got = column_axis(noisy.clone())
    assert not torch.allclose(got, edges, atol=1e-4), (
        "right on a perfect grid, but with noise this uses the first and the last column alone: "
        "the mean of neighbouring differences cancels all the others. Fit a slope instead"
    )
    assert torch.allclose(got, wanted, atol=1e-4), (
        "right on a perfect grid, but not the least-squares slope when there is noise"
    )
    print("Correct: one cell long, and every column has its say.")


def check_two_shares(two_shares: Callable[[SpatialIDs, SpatialIDs, str], tuple]) -> None:
    """Check ``(train, test, site) -> (in_sample, held_out)`` on noise and on a planted plane.

    Raises:
        AssertionError: with what came out and what should have.
    """
    shares = two_shares(planted_ids(12, seed=1), planted_ids(12, seed=2), "noise")
    assert len(shares) == 2, f"return two numbers, (in_sample, held_out), not {shares!r}"
    inside, held_out = map(float, shares)
    assert 0 <= inside <= 1 and 0 <= held_out <= 1, (
        f"shares lie between 0 and 1; got {inside:.2f} and {held_out:.2f}"
    )
    assert held_out > 0.9, (
        f"on a planted plane the held-out share must be near 1; got {held_out:.2f}"
    )
    draws = [
        two_shares(noise_ids(8, seed=seed), noise_ids(8, seed=100 + seed), "noise")
        for seed in range(12)
    ]
    inside, held_out = (sum(float(draw[k]) for draw in draws) / len(draws) for k in (0, 1))
    assert held_out < 0.05, (
        f"on noise the held-out share must be about 2/128 = 0.016; yours is {held_out:.2f}. "
        "Do the axes come from the training IDs alone, and the share from the test IDs alone?"
    )
    assert 0.09 < inside < 0.19, (
        f"on noise the in-sample share must be about 2/15 = 0.13; yours is {inside:.2f}. Measure "
        "the mean IDs of the pairs that made the axes: train.mean(site)"
    )
    print(f"Correct: on pure noise {inside:.2f} in-sample, {held_out:.3f} held out.")
