"""Checks for the exercises of chapter 5, "Their geometry"."""

from collections.abc import Callable

import torch
from scipy.stats import beta

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
    assert got is not None, "the function returns nothing: is a `return` missing?"
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
    assert shares is not None, "the function returns nothing: is a `return` missing?"
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


def check_ceiling(ceiling: Callable[[torch.Tensor], float]) -> None:
    """Check ``ids -> R2`` of what pairs share, on noise and on maps with noise of known size.

    Raises:
        AssertionError: with what came out and what was probably forgotten.
    """
    for pairs in (4, 3):
        got = ceiling(noise_ids(pairs, 512).at("noise"))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        told = f"{pairs} pairs of pure noise share nothing, and you say {float(got):.2f}. "
        if abs(float(got) - 1 / pairs) < 0.03:
            told += "Each pair is in the mean that it is compared with, and so misses too little"
        elif abs(float(got) + 1 / (pairs - 1)) < 0.03:
            told += (
                "The mean of the others is a poor guess, with noise of its own. That is what you "
                "would miss with *this* mean; how much would the shared part itself miss?"
            )
        else:
            told += "How much of the squared length is each pair's own?"
        assert abs(float(got)) < 0.03, told
    shared = 3 * noise_ids(1, 256, seed=9).at("noise")
    ids = shared + noise_ids(10, 256).at("noise")
    ids[0] *= 5  # one pair with long IDs has more to be missed
    own = (ids - ids.mean(0)).square().sum((1, 2, 3)) * 10 / 9
    there = ids.square().sum((1, 2, 3))
    got, wanted = float(ceiling(ids.clone())), float(1 - own.sum() / there.sum())
    told = f"for ten pairs, one with IDs five times as long, you have {got:.2f}. "
    if abs(got - float((1 - own / there).mean())) < 1e-3:
        told += "That is the mean of each pair's own R2; sum what is missed and what there is first"
    else:
        told += (
            "What is each pair's own, over the squared length of all, summed over pairs and cells"
        )
    assert abs(got - wanted) < 1e-3, told
    print("Correct: 0 for noise, however few pairs there are.")


def check_surprising(surprising: Callable[[int], float]) -> None:
    """Check the cosine that two random directions exceed in one draw of twenty.

    Raises:
        AssertionError: with what is probably wrong.
    """
    for width in (128, 1024):
        # The square of one coordinate of a random direction has a beta distribution.
        squared = beta(0.5, (width - 1) / 2)
        got = surprising(width)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = float(got)
        if abs(got / squared.ppf(0.95) ** 0.5 - 1) < 0.03:
            continue
        slips = {
            1.96 / width: "The *squares* of the coordinates sum to one",
            1 / width**0.5: "That is one standard deviation, which a third of the draws exceed",
            1.645 / width**0.5: "That leaves out a twentieth on one side; count both senses",
            (2 / torch.pi / width) ** 0.5: "That is the mean size, not what one in twenty exceeds",
            2.576 / width**0.5: "One draw in a hundred exceeds that",
        }
        hints = [hint for value, hint in slips.items() if abs(got / value - 1) < 0.01]
        raise AssertionError(
            f"of two random directions in {width} dimensions, the cosine exceeds your {got:.3f} in "
            f"{squared.sf(got**2):.1%} of draws, not in 5 %. "
            + (hints[0] if hints else "How large is one coordinate of a vector of length one?")
        )
    print("Correct: one random direction in twenty is beyond it.")


def check_same_shape(same_shape: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    """Check ``(map, map) -> R2``, each cell foretold by the others, on maps that were made up.

    Raises:
        AssertionError: with the pair of maps that was misjudged, and why that may be.
    """
    generator = torch.Generator().manual_seed(0)

    def turned(points: torch.Tensor, width: int, noise: float = 0.1) -> torch.Tensor:
        """A map of a few dimensions, lying somehow in many, with a little noise."""
        frame = torch.linalg.qr(torch.randn(width, points.shape[-1], generator=generator)).Q
        found = points @ frame.T
        found = found + noise / width**0.5 * torch.randn(found.shape, generator=generator)
        return found - found.mean((0, 1))

    steps = torch.arange(4) - 1.5
    net = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    order = torch.tensor([6, 9, 0, 15, 3, 12, 10, 1, 13, 4, 7, 2, 5, 14, 8, 11])
    stretched = net * torch.tensor([1.0, 3.0])
    noise = [noise_ids(1, 128, seed).at("noise")[0] for seed in (1, 2)]
    cases = [
        (
            "a net, and the same net turned in more dimensions",
            (turned(net, 48), turned(net, 128)),
            (0.9, 1.01),
            "Turn the one onto the other as a whole: which rotation misses least?",
        ),
        (
            "a net, and the same net seen in a mirror",
            (turned(net, 48), turned(net.flip(1), 48)),
            (0.9, 1.01),
            "A reflection is allowed",
        ),
        (
            "a net, and one of five times its size",
            (turned(net, 64), 5 * turned(net, 64)),
            (0.9, 1.01),
            "One factor for the size of the whole map is allowed; without it a shape has a size",
        ),
        (
            "noise, and other noise",
            tuple(noise),
            (-1.0, 0.2),
            "In 128 dimensions any sixteen points can be turned onto any others. Is the cell that "
            "you foretell among those that you turned with?",
        ),
        (
            "a net, and the net with its cells shuffled",
            (turned(net, 64), turned(net.reshape(16, 2)[order].reshape(4, 4, 2), 64)),
            (-1.0, 0.3),
            "Which cell is which must count",
        ),
        (
            "a net, and the net three times as wide as high",
            (turned(net, 64), turned(stretched, 64)),
            (0.3, 0.93),
            "They are not alike, nor without likeness. A regression stretches each direction as it "
            "needs; a rotation does not",
        ),
    ]
    for name, (one, other), (low, high), hint in cases:
        got = same_shape(one.clone(), other.clone())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert low < float(got) < high, f"{name}: you have {float(got):.2f}. {hint}"
    print("Correct: turned, mirrored and scaled maps are alike, and noise is not.")
