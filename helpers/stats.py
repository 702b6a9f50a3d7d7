"""Intervals and held-out choices, on top of scipy. All intervals are 95 % unless said."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with the ends of its interval and the number of samples behind it."""

    estimate: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.estimate:z.3f} [{self.low:z.3f}, {self.high:z.3f}] (n = {self.n})"


def proportion(hits: Sequence[bool]) -> Interval:
    """Share of hits, with Wilson's interval.

    Raises:
        ValueError: without samples.
    """
    values = np.asarray(hits, dtype=bool)
    if values.size == 0:
        raise ValueError("a share of no samples is not defined")
    result = scipy_stats.binomtest(int(values.sum()), values.size)
    ends = result.proportion_ci(method="wilson")
    return Interval(float(values.mean()), float(ends.low), float(ends.high), values.size)


def mean(values: Sequence[float], seed: int = 0) -> Interval:
    """Mean with a bootstrap interval over samples."""
    return _bootstrap((np.asarray(values, dtype=float),), np.mean, seed)


def share(values: Sequence[float], seed: int = 0) -> Interval:
    """Mean of what lies between 0 and 1, such as the share of hits in each scene.

    A bootstrap interval over samples. Where all of them are alike it would have no width, and the
    interval is Clopper and Pearson's exact one instead.

    Raises:
        ValueError: if there are fewer than two samples, or one is below 0 or above 1.
    """
    values = np.asarray(values, dtype=float)
    if not _are_shares(values):
        raise ValueError(
            f"shares lie between 0 and 1, and these go from {values.min():.3g} to "
            f"{values.max():.3g}: take stats.mean"
        )
    return _if_alike(values, (0.0, 1.0)) or mean(values, seed)


def paired_difference(one: Sequence[float], other: Sequence[float], seed: int = 0) -> Interval:
    """Mean of ``one - other`` over the same samples, bootstrapped in pairs.

    Differences of shares that are all alike have an exact interval, as in :func:`share`.

    Raises:
        ValueError: if the numbers of samples differ.
    """
    _check_paired(one, other)
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    alike = None
    if _are_shares(one) and _are_shares(other):
        alike = _if_alike(one - other, (-1.0, 1.0))
    return alike or mean(one - other, seed)


def _are_shares(values: np.ndarray) -> bool:
    return bool(np.all((values >= 0) & (values <= 1)))


def _if_alike(values: np.ndarray, bounds: tuple[float, float]) -> Interval | None:
    """The interval of a mean whose samples came out alike, though they need not; else None.

    Clopper and Pearson's exact bound says how large a part of the population is sure to come out
    so; the rest may lie anywhere between the bounds.
    """
    if len(values) < 2 or np.ptp(values) > 0:
        return None
    sure = scipy_stats.binomtest(len(values), len(values)).proportion_ci(method="exact").low
    value = float(values[0])
    low, high = (float(sure * value + (1 - sure) * bound) for bound in bounds)
    return Interval(value, low, high, len(values))


def ratio_of_means(
    numerator: Sequence[float], denominator: Sequence[float], seed: int = 0
) -> Interval:
    """Ratio of two means over the same samples, bootstrapped in pairs.

    The mean of ratios is no substitute: where a denominator is near zero it is all noise.

    Raises:
        ValueError: if the numbers of samples differ.
    """
    _check_paired(numerator, denominator)

    def ratio(top: np.ndarray, bottom: np.ndarray, axis: int = -1) -> np.ndarray:
        return top.mean(axis) / bottom.mean(axis)

    samples = (np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float))
    return _bootstrap(samples, ratio, seed)


def _check_paired(one: Sequence[float], other: Sequence[float]) -> None:
    if len(one) != len(other):
        raise ValueError(f"pairs are needed, but there are {len(one)} and {len(other)} samples")


def _bootstrap(samples: tuple[np.ndarray, ...], statistic, seed: int) -> Interval:
    count = len(samples[0])
    if count < 2:
        raise ValueError(f"an interval needs at least two samples, not {count}")
    estimate = float(statistic(*samples, axis=-1))
    if all(np.ptp(sample) == 0 for sample in samples):
        return Interval(estimate, estimate, estimate, count)
    result = scipy_stats.bootstrap(
        samples, statistic, paired=True, vectorized=True, n_resamples=RESAMPLES,
        method="percentile", rng=np.random.default_rng(seed),
    )  # fmt: skip
    ends = result.confidence_interval
    return Interval(estimate, float(ends.low), float(ends.high), count)


def recovered_fraction(table: pd.DataFrame, seed: int = 0) -> Interval:
    """``(patched - clean) / (mirrored - clean)`` of the log-odds, as a ratio of means.

    Samples whose answers are opposite must not cancel, so each counts towards its mirrored
    belief.

    Args:
        table: columns ``clean``, ``mirrored``, ``patched``.
        seed: of the bootstrap.
    """
    sign = np.sign(table["mirrored"] - table["clean"])
    return ratio_of_means(
        sign * (table["patched"] - table["clean"]),
        sign * (table["mirrored"] - table["clean"]),
        seed,
    )


def recovered_by(table: pd.DataFrame, by: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Recovered fraction with its interval for every group of a mirror-swap table."""
    rows = []
    for key, part in table.groupby(list(by), sort=False):
        rows.append(dict(zip(by, key, strict=True)) | recovered_fraction(part, seed)._asdict())
    return pd.DataFrame(rows)


def halves(samples: Sequence[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split samples in two at random: choose on the first half, report on the second."""
    unique = np.random.default_rng(seed).permutation(np.unique(samples))
    return unique[: len(unique) // 2], unique[len(unique) // 2 :]


def choose_layer(table: pd.DataFrame, value: str, sample: str = "prompt", seed: int = 0):
    """Choose the layer with the highest mean on one half of the samples.

    Args:
        table: a row for each sample and layer, with columns ``layer``, ``value`` and ``sample``.
        value: the column to maximise.
        sample: the column that names samples; both halves of a sample stay together.
        seed: of the split.

    Returns:
        The layer, and the rows of that layer for the other half: report those.

    Raises:
        ValueError: with fewer than two samples.
    """
    first, second = halves(table[sample].to_numpy(), seed)
    if not len(first):
        raise ValueError(f"two halves need at least two samples, not {len(second)}")
    chosen = table[table[sample].isin(first)].groupby("layer")[value].mean().idxmax()
    held_out = table[table[sample].isin(second) & (table["layer"] == chosen)]
    return int(chosen), held_out
