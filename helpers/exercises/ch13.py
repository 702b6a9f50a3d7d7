"""Checks for the exercises of chapter 13, "Steerable means capable?"."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats as scipy_stats


def _numbers(got: object, count: int, what: str) -> list[float]:
    """The numbers that a function returned.

    Raises:
        AssertionError: if they are not ``count`` numbers.
    """
    assert got is not None, "the function returns nothing: is a `return` missing?"
    found = np.asarray(got, dtype=float)
    assert found.size == count, f"return {what}, not {found.size} numbers"
    return [float(value) for value in found.ravel()]


def check_uncoupled(
    uncoupled: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, float]],
) -> None:
    """Check ``(right, turned, first) -> accuracy, steerability``, booleans, one a question.

    Raises:
        AssertionError: with what came out and what should have.
    """
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.5
    right = rng.random(400) < np.where(first, 0.9, 0.6)
    turned = rng.random(400) < np.where(right, np.where(first, 0.3, 0.5), 0.95)
    second = ~first
    accuracy, steered = right[first].mean(), turned[second & right].mean()
    got = uncoupled(right.copy(), turned.copy(), first.copy())
    got = _numbers(got, 2, "two numbers, accuracy and steerability")
    if abs(got[0] - accuracy) > 1e-6:
        told = f"accuracy: wanted {accuracy:.3f}, got {got[0]:.3f}. "
        if abs(got[0] - right.mean()) < 1e-6:
            told += "You took all questions; the second half is for steerability alone"
        elif abs(got[0] - right[second].mean()) < 1e-6:
            told += "That is the second half"
        else:
            told += "Of the first half, the share that was right"
        raise AssertionError(told)
    slips = {
        turned[second].mean(): "A wrong belief cannot be steered wrong: leave it out",
        (turned & right)[second].mean(): (
            "Wrong beliefs have left the numerator, but not the denominator: the share can still "
            "not be larger than the accuracy"
        ),
        turned[right].mean(): "You took both halves; the first one is for accuracy alone",
        turned[first & right].mean(): "That is the half that gave the accuracy",
    }
    hint = next((text for slip, text in slips.items() if abs(got[1] - slip) < 1e-6), "")
    assert abs(got[1] - steered) < 1e-6, (
        f"steerability: wanted {steered:.3f}, got {got[1]:.3f}. "
        f"{hint or 'Of the second half, and of its right beliefs, the share that turned'}"
    )
    print("Correct: no question is in both numbers, and no wrong belief in the second.")


def check_spearman_interval(
    spearman_interval: Callable[[np.ndarray, np.ndarray, int, int], tuple[float, float]],
) -> None:
    """Check ``(x, y, rounds, seed) -> low, high`` of a bootstrap over models.

    Raises:
        AssertionError: with what came out and what should have.
    """
    rng = np.random.default_rng(1)
    for count in (40, 5):
        x = rng.normal(size=count)
        y = 0.6 * x + rng.normal(size=count)
        x[0], y[0] = 60.0, 50.0  # ranks do not care how far off a model is
        got = spearman_interval(x.copy(), y.copy(), 3000, 0)
        low, high = _numbers(got, 2, "two numbers, low and high")
        assert np.isfinite([low, high]).all(), (
            f"with {count} models the interval is [{low}, {high}]: some draws hold one model only, "
            "and have no correlation. Leave these draws out"
        )
        assert high - low > 1e-9, "the interval has no width: draw models *with* replacement"
        wanted = _interval(x, y, _spearman)
        if np.allclose((low, high), wanted, atol=0.1):
            continue
        told = f"{count} models: wanted about [{wanted[0]:.2f}, {wanted[1]:.2f}], "
        told += f"got [{low:.2f}, {high:.2f}]. "
        if np.allclose((low, high), _interval(x, y, _pearson), atol=0.03):
            told += "That is Pearson's correlation, and one far model makes it; take ranks"
        elif count == 40 and abs(low + high) < 0.15:
            told += "A model's two numbers belong together: draw models, not x and y apart"
        else:
            told += "Draw as many models as there are, and take the percentiles 2.5 and 97.5"
        raise AssertionError(told)
    print("Correct: and now look at how wide it is.")


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    return _pearson(scipy_stats.rankdata(x), scipy_stats.rankdata(y))


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _interval(
    x: np.ndarray, y: np.ndarray, correlation: Callable[[np.ndarray, np.ndarray], float]
) -> tuple[float, float]:
    rng, found = np.random.default_rng(5), []
    for _ in range(3000):
        chosen = rng.integers(0, len(x), len(x))
        if np.ptp(x[chosen]) > 0 and np.ptp(y[chosen]) > 0:
            found.append(correlation(x[chosen], y[chosen]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def check_permutation_p(
    permutation_p: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    """Check ``(x, y) -> p``, one-sided and exact, of Spearman's correlation.

    Raises:
        AssertionError: with what came out and what should have.
    """
    cases = {
        "three models in perfect order": ([0.1, 0.2, 0.9], [1.0, 4.0, 5.0]),
        "five models, two of them out of order": ([1, 2, 3, 4, 5], [1, 3, 2, 5, 4]),
        "six models that fall": ([1, 2, 3, 4, 5, 6], [6, 5, 3, 4, 2, 1]),
    }
    for name, pair in cases.items():
        x, y = (np.array(values, dtype=float) for values in pair)
        found = [_spearman(x, np.array(order)) for order in itertools.permutations(y)]
        same = np.array(found)
        own = _spearman(x, y)
        wanted = float((same >= own - 1e-9).mean())
        (got,) = _numbers(permutation_p(x.copy(), y.copy()), 1, "one number")
        if abs(got - wanted) < 1e-6:
            continue
        told = f"{name}: wanted {wanted:.4f}, got {got:.4f}. "
        if abs(got - (same > own + 1e-9).mean()) < 1e-6:
            told += "The order as it is counts, too: at least as high, not higher"
        elif abs(got - (abs(same) >= abs(own) - 1e-9).mean()) < 1e-6:
            told += 'The claim has a direction ("rise together"): count only orders as high'
        elif abs(got - wanted) < 0.03:
            told += "Near, but drawn at random: so few models have few orders, so count them all"
        else:
            told += "Of all orders of y, the share whose correlation is at least the observed one"
        raise AssertionError(told)
    print("Correct: with three families, p cannot be smaller than 1/6.")


def check_within_and_between(
    within_and_between: Callable[[np.ndarray, np.ndarray, Sequence[str]], tuple[float, float]],
) -> None:
    """Check ``(x, y, family) -> within, between``, Pearson's correlations.

    Raises:
        AssertionError: with what came out and what should have.
    """
    rng = np.random.default_rng(3)
    sizes = {"a": 7, "b": 3, "c": 5, "d": 1}
    family = np.array([name for name, size in sizes.items() for _ in range(size)])
    centre = {"a": (0.0, 3.0), "b": (1.0, 2.2), "c": (2.0, 0.9), "d": (3.5, 0.0)}
    x, y = np.array([centre[name] for name in family]).T
    step = rng.normal(size=len(x)) * 0.5
    x, y = x + step, y + 0.8 * step + rng.normal(size=len(x)) * 0.1
    deviations, means = [], []
    for values in (x, y):
        mean = {name: values[family == name].mean() for name in sizes}
        means.append(np.array(list(mean.values())))
        deviations.append(values - np.array([mean[name] for name in family]))
    wanted = _pearson(*deviations), _pearson(*means)
    got = within_and_between(x.copy(), y.copy(), family.copy())
    got = _numbers(got, 2, "two numbers, within and between")
    if np.allclose(got, wanted, atol=1e-6):
        print("Correct: one correlation rises and the other falls, in the same points.")
        return
    told = f"wanted {wanted[0]:.3f} within and {wanted[1]:.3f} between, "
    told += f"got {got[0]:.3f} and {got[1]:.3f}. "
    if np.allclose(got[::-1], wanted, atol=1e-6):
        told += "You return them the other way round"
    elif any(np.isnan(got)):
        told += "A family of one has no correlation of its own: take differences from family means"
    elif any(abs(value - _pearson(x, y)) < 1e-6 for value in got):
        told += "One of the two is over all points at once, which mixes within and between"
    elif abs(got[0] - wanted[0]) < 1e-6:
        told += "Between: one point for each family, its means, each counted once"
    else:
        told += "Within: subtract each family's mean from its x and y, then correlate all points"
    raise AssertionError(told)


def check_models_needed(models_needed: Callable[..., int]) -> None:
    """Check ``(correlation, power=0.8) -> number of independent models``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    normal = scipy_stats.norm
    for correlation, power in ((0.9, 0.8), (0.5, 0.8), (0.3, 0.8), (0.5, 0.95)):
        span = normal.ppf(0.975) + normal.ppf(power)
        wanted = (span / np.arctanh(correlation)) ** 2 + 3
        (got,) = _numbers(models_needed(correlation, power), 1, "one number")
        if abs(got - wanted) <= max(1.5, 0.1 * wanted):
            continue
        told = f"correlation {correlation}, power {power}: wanted about {np.ceil(wanted):.0f} "
        told += f"models, got {got:.0f}. "
        slips = {
            (normal.ppf(0.975) / np.arctanh(correlation)) ** 2 + 3: (
                "With so few, the interval misses zero in half of the studies only: add the "
                "quantile of the power"
            ),
            (span / np.arctanh(correlation)) ** 2: "The error of z is 1 / sqrt(n - 3): add three",
            (span / correlation) ** 2 + 3: "z is arctanh of the correlation",
        }
        slip = min(slips, key=lambda number: abs(np.ceil(number) - got))
        known = abs(np.ceil(slip) - got) <= 1
        hint = slips[slip] if known else "arctanh(r) has an error of 1 / sqrt(n - 3)"
        raise AssertionError(told + hint)
    print("Correct: and how many independent models does your own study have?")


def check_fooled(fooled: Callable[[Sequence[int], float, int, int], float]) -> None:
    """Check ``(sizes, spread, draws, seed) -> share of studies of nothing that find something``.

    Raises:
        AssertionError: with the design that failed, and what is probably wrong.
    """
    cases = [
        ("no families, no spread", [1] * 10, 0.0),
        ("families that have nothing in common", [4, 4, 4], 0.0),
        ("each model a family of its own", [1] * 10, 3.0),
        ("four families of five", [5] * 4, 1.0),
        ("two families of six, far apart", [6, 6], 5.0),
        ("one large family and four small ones", [8, 1, 1, 1, 1], 2.0),
    ]
    for name, sizes, spread in cases:
        got = fooled(list(sizes), spread, 4000, 0)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        wanted = _fooled(sizes, spread)
        if abs(got - wanted) < 0.035:
            continue
        told = f"{name} ({sizes}, spread {spread:g}): about {wanted:.2f}, you have {got:.2f}. "
        if abs(got - _fooled(sizes, spread, shared=True)) < 0.035:
            told += "With one part for both measures, there *is* a relation between them"
        elif abs(got - 0.05) < 0.035 and wanted > 0.1:
            told += "Models of a family share one draw of its part; do not draw for each model"
        elif abs(got - _fooled(sizes, spread, level=0.1)) < 0.02 and spread == 0:
            told += "Two-sided: 2.5 % on either side"
        else:
            told += "Count all models in the test, as if they were independent"
        raise AssertionError(told)
    print("Correct: models of a family are not so many studies.")


def _fooled(sizes, spread, shared=False, level=0.05, draws=6000) -> float:
    rng = np.random.default_rng(1)
    family, found = np.repeat(np.arange(len(sizes)), sizes), []
    parts = spread * rng.normal(size=(2, draws, len(sizes)))
    x, y = parts[[0, 0] if shared else [0, 1]][:, :, family] + rng.normal(
        size=(2, draws, len(family))
    )
    x, y = (scipy_stats.zscore(one, axis=1) for one in (x, y))
    found = np.abs((x * y).mean(1))
    t = scipy_stats.t.ppf(1 - level / 2, len(family) - 2)
    return float(np.mean(found > t / np.sqrt(len(family) - 2 + t**2)))
