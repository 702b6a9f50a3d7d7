"""Statistics against numbers that are known."""

import numpy as np
import pandas as pd
import pytest

from helpers import stats


def test_wilsons_interval_of_a_share():
    share = stats.proportion([True] * 8 + [False] * 2)
    assert tuple(share) == pytest.approx((0.8, 0.4902, 0.9433, 10), abs=1e-4)
    none = stats.proportion([False] * 20)  # not [0, 0]: twenty failures are no proof
    assert (none.estimate, none.low) == (0, 0)
    assert none.high == pytest.approx(0.1611, abs=1e-4)


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(0).normal(3, 2, 400)
    interval = stats.mean(values)
    assert interval.estimate == pytest.approx(values.mean())
    assert interval.n == 400
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert interval == stats.mean(values)
    assert interval != stats.mean(values, seed=1)
    assert stats.mean([2.0, 2.0, 2.0]) == (2, 2, 2, 3)


def test_a_paired_difference_uses_the_pairing():
    rng = np.random.default_rng(0)
    before = rng.normal(0, 100, 50)
    after = before + 1 + rng.normal(0, 0.1, 50)
    interval = stats.paired_difference(after, before)  # change = after - before
    assert interval.estimate == pytest.approx(1, abs=0.1)
    assert 0.9 < interval.low < interval.high < 1.1  # unpaired it would be some 40 wide


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_shares_that_are_all_alike_are_no_proof(value):
    interval = stats.share([value] * 20)
    # With 14 % of exceptions in the population, 20 samples in a row without one still happen.
    sure = 0.8316  # Clopper and Pearson's lower end for 20 of 20
    assert interval[:3] == pytest.approx((value, sure * value, sure * value + 1 - sure), abs=1e-4)
    assert interval.n == 20


def test_shares_that_differ_are_bootstrapped_as_ever():
    values = np.random.default_rng(0).random(50)
    assert stats.share(values) == stats.mean(values)


def test_differences_of_shares_that_are_all_alike_have_a_width_and_others_do_not():
    same = stats.paired_difference([1.0] * 20, [1.0] * 20)
    assert same[:3] == pytest.approx((0, -0.1684, 0.1684), abs=1e-4)
    all_of_it = stats.paired_difference([True] * 20, [False] * 20)
    assert all_of_it[:3] == pytest.approx((1, 0.6632, 1), abs=1e-4)
    nats = stats.paired_difference([7.0] * 20, [5.0] * 20)
    assert nats == (2, 2, 2, 20)


def test_the_ratio_of_means_is_not_the_mean_of_ratios():
    top, bottom = np.array([1.0, 2, 3, 0.5]), np.array([2.0, 4, 6, 0.001])
    interval = stats.ratio_of_means(top, bottom)
    assert interval.estimate == pytest.approx(6.5 / 12.001)
    assert np.mean(top / bottom) > 100
    half = stats.ratio_of_means(np.arange(1.0, 9) / 2, np.arange(1.0, 9))
    assert half[:3] == pytest.approx((0.5, 0.5, 0.5))


def test_the_recovered_fraction_does_not_let_opposite_answers_cancel():
    table = pd.DataFrame(
        {"clean": [-2.0, 2.0, -4.0], "mirrored": [2.0, -2.0, 4.0], "patched": [0.0, 0.0, 2.0]}
    )
    assert stats.recovered_fraction(table).estimate == pytest.approx((2 + 2 + 6) / (4 + 4 + 8))
    clean, mirrored = table["clean"], table["mirrored"]
    assert stats.recovered_fraction(table.assign(patched=clean)).estimate == 0
    assert stats.recovered_fraction(table.assign(patched=mirrored)).estimate == 1
    backwards = stats.recovered_fraction(table.assign(patched=clean - (mirrored - clean)))
    assert backwards.estimate == pytest.approx(-1)  # the wrong way counts as such


def test_recovered_by_gives_a_row_for_each_group():
    rows = [
        {"layer": layer, "group": group, "clean": 0.0, "mirrored": 4 + i, "patched": v * (4 + i)}
        for layer, group, v in ((0, "a", 0.0), (0, "b", 0.25), (1, "a", 1.0))
        for i in range(3)
    ]
    table = stats.recovered_by(pd.DataFrame(rows), ["layer", "group"])
    assert table[["layer", "group"]].to_numpy().tolist() == [[0, "a"], [0, "b"], [1, "a"]]
    assert table["estimate"].tolist() == pytest.approx([0, 0.25, 1])
    assert {"low", "high", "n"} <= set(table.columns)


def test_halves_are_disjoint_and_keep_every_sample():
    samples = [7, 7, 3, 1, 9, 9, 3, 4]
    first, second = stats.halves(samples)
    assert not set(first) & set(second)
    assert set(first) | set(second) == set(samples)
    assert abs(len(first) - len(second)) <= 1
    assert [h.tolist() for h in stats.halves(samples)] == [first.tolist(), second.tolist()]
    others = {tuple(sorted(stats.halves(range(20), seed)[0])) for seed in range(5)}
    assert len(others) == 5


@pytest.mark.parametrize("seed", range(5))
def test_a_layer_is_chosen_on_one_half_and_reported_on_the_other(seed):
    """Layer 2 looks best on the first half by luck alone; the report must not show the luck."""
    first, second = stats.halves(range(20), seed)
    rows = [
        {"prompt": sample, "layer": layer, "swapped": value}
        for sample in range(20)
        for layer, value in enumerate((0.1, 0.5, 0.9 if sample in first else 0.0))
    ]
    shuffled = pd.DataFrame(rows).sample(frac=1, random_state=seed)
    layer, report = stats.choose_layer(shuffled, "swapped", seed=seed)
    assert layer == 2
    assert sorted(report["prompt"]) == sorted(second)
    assert set(report["layer"]) == {2}
    assert report["swapped"].mean() == 0


def test_a_layer_is_chosen_by_its_mean_and_samples_stay_whole():
    rows = [
        {"scene": scene, "layer": layer, "value": value, "seed": seed}
        for scene in range(6)
        for seed in range(3)
        for layer, value in ((4, 1.0), (7, 10.0 if seed == 0 and scene == 0 else 0.0))
    ]
    layer, report = stats.choose_layer(pd.DataFrame(rows), "value", sample="scene")
    assert layer == 4
    assert (report.groupby("scene").size() == 3).all()


def test_an_interval_reads_well():
    assert str(stats.Interval(0.5, 0.25, 0.75, 12)) == "0.500 [0.250, 0.750] (n = 12)"
    assert str(stats.Interval(-1e-5, -0.1, 1e-5, 12)) == "0.000 [-0.100, 0.000] (n = 12)"
