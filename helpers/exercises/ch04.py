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
    told = f"the planted IDs are off by up to {error:.2f}. "
    if float(got.abs().max()) < 1e-3:
        told += "Nothing is left: you subtracted the mean over pairs, and the IDs went with it"
    elif any(float((got.mean(axis)).abs().max()) < 1e-4 for axis in (0, 1)):
        told += "Subtract one mean over all cells of a pair, not one for every row or column"
    else:
        told += "Is every partner in your average? Each of them pulls the state its own way"
    assert error < 1e-4, told

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
    one, other = torch.ones(30, 4, 4, 64), torch.ones(30, 4, 4, 64)
    one[:, 0, 0], other[:, 0, 0] = 50.0, 50.0  # a long ID that agrees, among fifteen that do not
    other[:, 0, 1:] = other[:, 1:] = -1.0
    uneven = float(function(one, other))
    assert abs(uneven + 14 / 16) < 1e-3, (
        f"one cell with long IDs agrees and fifteen with short ones are opposite: you get "
        f"{uneven:.2f}. Every cell has one vote: a cosine for each cell, then the mean"
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
        if torch.allclose(got, wanted, atol=1e-4):
            continue
        total = float(function(torch.ones(4, 5, 1), row, column))
        told = f"at {what} (row {row}, column {column}) the vector is wrong. "
        if abs(total - 1) > 1e-4:
            told += f"Your weights sum to {total:.2f} there, not to 1"
        elif torch.allclose(got, grid[round(row), round(column)], atol=1e-4):
            told += "It is that of the nearest cell; its neighbours have a say, too"
        elif row < 4 and torch.allclose(got, ids.interpolate(ids.sites[0], min(column, 3), row)):
            told += "Rows and columns are exchanged"
        else:
            told += "The weights sum to 1, but the nearer a cell the more it must weigh, in a line"
        raise AssertionError(told)
    print("Correct: exact at centres, at edges and in between, and the weights sum to 1.")


def check_wrong_cell(function: Callable[[int], float]) -> None:
    """Check the mean cosine between different vectors, of one length, that sum to zero.

    Raises:
        AssertionError: with what is probably wrong.
    """
    for cells in (4, 16, 3):
        # Any such vectors do: the corners of a simplex, or points of a circle.
        turn = 2 * torch.pi * torch.arange(cells) / cells
        vectors = torch.stack([turn.cos(), turn.sin()], 1)
        table = vectors @ vectors.T
        wanted = float(table[~torch.eye(cells, dtype=torch.bool)].mean())
        got = function(cells)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = float(got)
        if abs(got - wanted) < 1e-5:
            continue
        slips = {
            0.0: "If all the others were at right angles, the sum could not be zero",
            -wanted: "The others must cancel the one: on which side of zero is that?",
            -1 / cells: "How many *others* does a vector have?",
            -1.0: "One vector that is the opposite would do, but it cannot be all of them",
        }
        hints = [hint for value, hint in slips.items() if abs(got - value) < 1e-5]
        raise AssertionError(
            f"for {cells} vectors you say {got:.4f}; on a circle it is not so. "
            + (hints[0] if hints else "Write the squared length of the sum as a sum of products")
        )
    print("Correct: it hangs on the number of cells alone.")


def check_code(
    function: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[float, float]],
) -> None:
    """Check ``(own, both, partner) -> (absolute, relative)`` on codes that were made up.

    Raises:
        AssertionError: with the code that was misread and what was probably forgotten.
    """
    random = torch.Generator().manual_seed(0)
    step, nuisance = torch.linalg.qr(torch.randn(64, 2, generator=random)).Q.T
    codes = {
        "a code of places in the image": (1.0, 0.0, 1.0),
        "a code of relations": (0.0, 1.0, 1.0),
        "half of each": (0.5, 0.5, 1.0),
        "places in the image, and a little with the partner": (1.2, -0.2, 1.0),
        "a code in which the two places do not add up": (0.5, 0.2, 1.0),
        "small steps of a code of places": (1.0, 0.0, 0.2),
    }
    for name, (absolute, relative, size) in codes.items():
        # The partner turns something else in the vector, four times as much as a step.
        own = size * step.repeat(1600, 1)
        both = size * (absolute * step + 4 * nuisance).repeat(1600, 1)
        partner = size * (-relative * step + 4 * nuisance).repeat(1600, 1)
        noisy = [
            part + size * 0.2 * torch.randn(1600, 64, generator=random)
            for part in (own, both, partner)
        ]
        got = function(*noisy)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert len(got) == 2, f"return two numbers, absolute and relative, not {len(got)}"
        one, other = (float(value) for value in got)
        if abs(one - absolute) < 0.08 and abs(other - relative) < 0.08:
            continue
        ruler, means = noisy[0].mean(0), [part.mean(0) for part in noisy]
        singles = [
            float(((part * noisy[0]).sum(-1) / noisy[0].square().sum(-1)).mean()) for part in noisy
        ]
        cosines = [float(torch.cosine_similarity(mean, ruler, dim=0)) for mean in means]
        lengths = [float(mean.norm() / ruler.norm()) for mean in means]
        told = (
            f"{name} gives {absolute:+.1f} and {relative:+.1f}; you have {one:+.2f}, {other:+.2f}. "
        )
        if abs(one - absolute) < 0.08 and abs(other + relative) < 0.08:
            told += "The partner's step to the right is a step to the left, seen from it: the sign"
        elif abs(one - cosines[1]) < 1e-3 and abs(other + cosines[2]) < 1e-3:
            told += "A cosine has no size, and what the partner turns elsewhere makes it smaller"
        elif abs(one - lengths[1]) < 1e-3 and abs(other - lengths[2]) < 1e-3:
            told += "A length counts all that changes; only what lies along the own step is place"
        elif abs(one + other - 1) < 1e-4:
            told += "One is not 1 minus the other: whether places add up is to be found out"
        elif abs(one - singles[1]) < 1e-3 and abs(other + singles[2]) < 1e-3:
            told += (
                "Both come out too small, as they do if scenes are measured one by one: their "
                "noise makes every ruler longer. Average first"
            )
        elif abs(one - size * absolute) < 0.08 and abs(other - size * relative) < 0.08:
            told += "Measure in own steps: a code with small steps is a code, too"
        else:
            told += "How much of the mean change lies along the mean own step, in own steps?"
        raise AssertionError(told)
    print("Correct: places and relations are told apart, whatever else the partner does.")
