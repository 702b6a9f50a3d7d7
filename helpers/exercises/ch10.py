"""Checks for the exercises of chapter 10, "Any place you like"."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from helpers.stats import Interval


def check_turn(turn: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
    """Check ``(grid [rows, columns, d_model], seed) -> grid``, turned at random.

    Raises:
        AssertionError: with what came out and what should have.
    """
    grid = _map_of_few_coordinates()
    kept = grid.clone()
    turn(grid, 0)
    assert torch.equal(grid, kept), "the map that you were given changed: make a new one"
    turned = [turn(grid, seed) for seed in range(40)]
    assert all(torch.is_tensor(one) and one.shape == grid.shape for one in turned), (
        f"expected a tensor {list(grid.shape)} for each seed"
    )
    far, found = _distances(grid), _distances(turned[0])
    assert torch.allclose(far, found, atol=1e-3 * float(far.max())), (
        f"places were up to {float(far.max()):.2f} apart, and a distance changed by "
        f"{float((far - found).abs().max()):.2f}. The same turn must be used for all places: noise "
        "of its own for each is no map"
    )
    assert torch.equal(turned[0], turn(grid, 0)), "the same seed must give the same map"
    assert not torch.allclose(turned[0], turned[1], atol=1e-4), (
        "two seeds give the same map: draw from a generator with the seed"
    )
    shown = torch.stack([_steps(one) for one in turned])
    assert float((shown * _steps(grid)).sum(-1).mean().abs()) < 0.15, (
        "over 40 seeds the turned map still points the way of the first one, on average"
    )
    assert float((shown.abs() > 1e-4).float().mean()) > 0.9, (
        "most coordinates of your map are zero: you exchanged coordinates (or signs). The "
        "directions must be random, not only the order of the numbers"
    )
    print("Correct: the same map, and it points nowhere in particular.")


def _map_of_few_coordinates() -> torch.Tensor:
    """A bent map ``[4, 4, 48]`` that lives in three of its coordinates."""
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    grid = torch.zeros(4, 4, 48)
    grid[..., 0], grid[..., 1], grid[..., 2] = columns - 1.5, rows - 1.5, 0.3 * rows * columns
    return grid


def _distances(grid: torch.Tensor) -> torch.Tensor:
    flat = grid.reshape(-1, grid.shape[-1])
    # One by one: the fast way loses digits where two places are close.
    return (flat[:, None] - flat).norm(dim=-1)


def _steps(grid: torch.Tensor) -> torch.Tensor:
    """The direction from the first to the last column, of length one."""
    step = (grid[:, -1] - grid[:, 0]).mean(0)
    return step / step.norm()


def check_crossing(crossing: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check ``(columns, log_odds) -> where they first fall through zero``, or nan.

    Raises:
        AssertionError: with what came out and what should have.
    """
    columns = np.array([0.0, 1.0, 1.5, 3.0])
    for odds, wanted, why in (
        ([4.0, 2.0, -2.0, -5.0], 1.25, "a straight line between neighbours"),
        ([3.0, 1.0, 0.5, -1.0], 2.0, "neighbours need not be one column apart"),
        ([1.0, -3.0, -4.0, -5.0], 0.25, "the nearer to zero, the nearer the crossing"),
        ([2.0, 0.0, -1.0, -2.0], 1.0, "zero itself counts as crossed"),
        ([2.0, -2.0, 2.0, -2.0], 0.5, "the first crossing counts"),
        ([-1.0, 1.0, -1.0, -2.0], 1.25, "a curve that rises through zero does not count"),
        ([-3.0, -2.0, 1.0, 4.0], math.nan, "it only rises: return nan"),
        ([5.0, 4.0, 3.0, 2.0], math.nan, "it never gets to zero: return nan"),
    ):
        got = crossing(columns.copy(), np.array(odds))
        assert isinstance(got, (int, float, np.floating)), f"return a number, not {got!r}"
        same = math.isnan(got) if math.isnan(wanted) else abs(got - wanted) < 1e-6
        assert same, (
            f"log-odds {odds} at columns {columns.tolist()}: {wanted}, you say {float(got):.3f} "
            f"({why})"
        )
    print("Correct: it tells where, and says so when there is nowhere.")


def check_best_step(best_step: Callable[[Sequence[bool]], float]) -> None:
    """Check ``truth -> largest share of right answers of any step``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for length in (1, 4, 7):
        for truth in itertools.product([False, True], repeat=length):
            got = best_step(list(truth))
            assert got is not None, "the function returns nothing: is a `return` missing?"
            got = float(got)
            wanted = max(
                max(share, 1 - share)
                for cut in range(length + 1)
                for share in [np.mean([(n < cut) == one for n, one in enumerate(truth)])]
            )
            told = "".join("yn"[not one] for one in truth)
            hint = ""
            if got < wanted:
                hint = ". A step may begin with yes or with no, and change before or after any"
            elif got == 1:
                hint = ". A step changes its mind once; a hill changes it twice"
            assert abs(got - wanted) < 1e-6, (
                f"right answers {told}: the best step reaches {wanted:.3f}, you say {got:.3f}{hint}"
            )
    print("Correct: nothing that goes one way can do better.")


def check_inside_minus_outside(
    inside_minus_outside: Callable[[pd.DataFrame], Interval],
) -> None:
    """Check ``table of scene, expected, yes -> Interval`` on scenes that differ a lot.

    Raises:
        AssertionError: with what came out and what should have.
    """
    table, wanted, scenes = _hills()
    kept = table.copy()
    got = inside_minus_outside(table)
    assert table.equals(kept), "your function changed the table that it was given"
    assert isinstance(got, Interval), f"return what stats.mean returns, not {type(got).__name__}"
    means = table.groupby("expected")["yes"].mean()
    hint = "Each scene's inside less its own outside first, then the mean"
    if abs(got.estimate - (means[1] - means[-1])) < 1e-6:
        hint = "You took the mean over all rows, and scenes with many columns count more. " + hint
    elif got.n > scenes:
        hint = "Scenes without an inside, or without an outside, have no difference. " + hint
    assert abs(got.estimate - wanted) < 1e-6, (
        f"expected {wanted:.3f} over scenes, got {got.estimate:.3f}. {hint} "
        "(and `expected` 0 is neither side)"
    )
    assert got.n == scenes, f"the interval is over {scenes} scenes, yours over {got.n} samples"
    print("Correct: scene by scene, and only what can be compared.")


def _hills() -> tuple[pd.DataFrame, float, int]:
    """Scenes of unequal sizes, some without one of the sides, in no order."""
    generator = np.random.default_rng(0)
    rows, gaps = [], []
    for scene in range(30):
        inside, outside = int(generator.integers(1, 6)), int(generator.integers(1, 9))
        if scene in (3, 11):
            inside = 0
        if scene == 17:
            outside = 0
        # Scenes with many columns inside say Yes to everything.
        inner = generator.random(inside) < 0.6 + 0.08 * inside
        outer = generator.random(outside) < 0.15 * inside
        near = generator.random(3) < 0.5
        for expected, said in ((1, inner), (-1, outer), (0, near)):
            rows += [{"scene": scene, "expected": expected, "yes": bool(one)} for one in said]
        if inside and outside:
            gaps.append(inner.mean() - outer.mean())
    table = pd.DataFrame(rows).sample(frac=1, random_state=1)
    return table, float(np.mean(gaps)), len(gaps)


def check_outside(outside: Callable[[torch.Tensor, float, float], torch.Tensor]) -> None:
    """Check ``(mean [rows, columns, d_model], row, column) -> vector``, by a plane's fit.

    Raises:
        AssertionError: with the place that failed, and what is probably wrong.
    """
    generator = torch.Generator().manual_seed(0)
    offset, by_row, by_column = torch.randn(3, 10, generator=generator, dtype=torch.float64)
    shape = (3, 5)
    rows, columns = (torch.arange(count, dtype=torch.float64) for count in shape)
    flat = offset + rows[:, None, None] * by_row + columns[:, None] * by_column
    noise = 0.3 * torch.randn(*shape, 10, generator=generator, dtype=torch.float64)
    # What a plane cannot have: its fit must not change.
    design = torch.cartesian_prod(rows, columns)
    design = torch.cat([design, torch.ones(len(design), 1)], 1)
    rest = noise.reshape(-1, 10)
    rest = rest - design @ torch.linalg.lstsq(design, rest).solution
    for name, mean in {
        "a flat map": flat,
        "a map with bumps": flat + rest.reshape(noise.shape),
    }.items():
        for row, column in ((1, 2), (0.5, 3.25), (0, 6), (-4, 1), (7, -2)):
            wanted = offset + row * by_row + column * by_column
            got = outside(mean.clone(), row, column)
            assert got is not None, "the function returns nothing: is a `return` missing?"
            assert got.shape == (10,), f"return one vector of shape (10,), not {tuple(got.shape)}"
            if torch.allclose(got.double(), wanted, atol=1e-4):
                continue
            told = f"{name}, row {row}, column {column}: not what the fit says. "
            inside = mean[min(max(round(row), 0), 2), min(max(round(column), 0), 4)]
            other = offset + column * by_row + row * by_column
            if torch.allclose(got.double(), inside, atol=1e-4):
                told += "That is the ID of the nearest cell; the fit smooths, and has no edge"
            elif torch.allclose(got.double(), other, atol=1e-4):
                told += "Rows and columns are exchanged"
            elif torch.allclose(got.double(), wanted - offset, atol=1e-4):
                told += "The offset is missing"
            else:
                told += "Fit all cells at once, with a constant; row 0 and column 0 are first"
            raise AssertionError(told)
    print("Correct: the map goes on beyond its edge.")
