"""The checks of chapter 8 accept a right answer and tell plausible wrong ones what went wrong."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import stats
from helpers.exercises import ch08
from helpers.stimuli.coco_spatial import grid_place, parse_caption

WORDS = {
    "to the left of": "left", "to the right of": "right", "above": "above", "below": "below",
}  # fmt: skip


def refused(check, answer, message):
    with pytest.raises(AssertionError, match=message):
        check(answer)


# Parsing ----------------------------------------------------------------------------------------


def strict(caption):
    said = parse_caption(caption)
    return said.first, said.relation, said.second


def one_pattern(caption):
    """Reads "a cat above a chair" as the name of one object."""
    found = re.fullmatch(
        rf"a photo of an? ([a-z ]+?) ({'|'.join(WORDS)}) an? ([a-z ]+)",
        caption.lower().replace(" the dog", " a dog"),
    )
    if found is None or found[1] == found[3]:
        raise ValueError(caption)
    return found[1], WORDS[found[2]], found[3]


def as_released(caption):
    """Expects "the X is above the Y", and takes what it finds."""
    relation = next((words for words in WORDS if f" {words} " in caption), None)
    if relation is None:
        raise ValueError(caption)
    one, other = caption.split(f" {relation} ")[:2]
    return one.split(" ", 1)[1], WORDS[relation], other.split(" ", 1)[1]


def in_capitals(caption):
    first, relation, second = strict(caption)
    return ("Dog" if "Dog" in caption else first), relation, second


def last_word_only(caption):
    first, relation, second = strict(caption)
    return first.split()[-1], relation, second.split()[-1]


def test_parse(capsys):
    ch08.check_parse(strict)
    assert "Correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (one_pattern, "two relations"),
        (as_released, "photo of a"),
        (last_word_only, "it says .*hot dog"),
        (in_capitals, "lower case"),
        (lambda caption: None, "return"),
    ],
)
def test_parse_finds(answer, message):
    refused(ch08.check_parse, answer, message)


# Places -----------------------------------------------------------------------------------------


def cell(box, size, rows, columns):
    x, y, width, height = box
    return grid_place((x + width / 2) / size[0], (y + height / 2) / size[1], rows, columns)


def no_offset(box, size, rows, columns):
    row, column = unclipped(box, size, rows, columns)
    return row + 0.5, column + 0.5


def unclipped(box, size, rows, columns):
    x, y, width, height = box
    return (y + height / 2) / size[1] * rows - 0.5, (x + width / 2) / size[0] * columns - 0.5


def corner(box, size, rows, columns):
    return cell((*box[:2], 0, 0), size, rows, columns)


def as_if_square(box, size, rows, columns):
    return cell(box, (max(size),) * 2, rows, columns)


def test_cell_of_box(capsys):
    ch08.check_cell_of_box(cell)
    assert "Correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *args: cell(*args)[::-1], "x counts columns"),
        (no_offset, "half a cell in"),
        (corner, "not its centre"),
        (unclipped, "no IDs beyond"),
        (as_if_square, "x by the width"),
        (lambda *args: None, "return"),
    ],
)
def test_cell_of_box_finds(answer, message):
    refused(ch08.check_cell_of_box, answer, message)


# Baselines --------------------------------------------------------------------------------------


def own(states, place_ids, words, itself=False, every=False):
    same = torch.tensor([[every or one == other for other in words] for one in words]).float()
    weights = same if itself else same * (1 - torch.eye(len(words)))
    return weights @ (states - place_ids) / weights.sum(1, keepdim=True)


def test_own_baseline(capsys):
    ch08.check_own_baseline(own)
    assert "Correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda s, p, w: own(s, p, w, itself=True), "part of its own baseline"),
        (lambda s, p, w: own(s, 0 * p, w), "do not cover all places evenly"),
        (lambda s, p, w: own(s, 0 * p, w, itself=True), "leave the state out"),
        (lambda s, p, w: own(s, p, w, every=True), "over all words"),
        (lambda s, p, w: s - p, "part of its own baseline"),
        (lambda s, p, w: own(s, p, w).mean(0), "one baseline for each state"),
    ],
)
def test_own_baseline_finds(answer, message):
    refused(ch08.check_own_baseline, answer, message)


# Doses ------------------------------------------------------------------------------------------


def test_turning_dose(capsys):
    ch08.check_turning_dose(lambda read, true: read / (2 * true))
    assert "Correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda read, true: read / true, "Both nouns"),
        (lambda read, true: true / (2 * read), "upside down"),
        (lambda read, true: read - 2 * true, "left after dose one"),
        (lambda read, true: 0.5, "they meet at dose"),
    ],
)
def test_turning_dose_finds(answer, message):
    refused(ch08.check_turning_dose, answer, message)


# Gaps -------------------------------------------------------------------------------------------


def paired(table, one, other):
    means = table.groupby(["image", "arm"])["swapped"].mean().unstack("arm")
    return stats.paired_difference(means[one], means[other])


def unpaired(table, one, other):
    """Both arms' images are drawn again, each on its own."""
    generator = np.random.default_rng(0)
    means = table.groupby(["image", "arm"])["swapped"].mean().unstack("arm")
    draws = [
        generator.choice(means[one], len(means)).mean()
        - generator.choice(means[other], len(means)).mean()
        for _ in range(2000)
    ]
    return (means[one].mean() - means[other].mean(), *np.percentile(draws, [2.5, 97.5]))


def by_row(table, one, other):
    """As if the rows of one image were independent."""
    generator = np.random.default_rng(0)
    arms = [table[table["arm"] == arm]["swapped"].to_numpy(float) for arm in (one, other)]
    draws = [
        np.subtract(*(generator.choice(arm, len(arm)).mean() for arm in arms)) for _ in range(2000)
    ]
    return (arms[0].mean() - arms[1].mean(), *np.percentile(draws, [2.5, 97.5]))


def misaligned(table, one, other):
    """Takes the images of either arm in the order in which they come."""
    arms = [
        table[table["arm"] == arm].groupby("image", sort=False)["swapped"].mean()
        for arm in (one, other)
    ]
    return stats.paired_difference(*(arm.to_numpy() for arm in arms))


def test_paired_gap(capsys):
    ch08.check_paired_gap(paired)
    assert "Correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (unpaired, "image by image"),
        (misaligned, "image by image"),
        (by_row, "no independent samples"),
        (lambda table, one, other: paired(table, other, one), "first minus second"),
        (lambda table, one, other: paired(table, "IDs", "noise"), "sign must change"),
    ],
)
def test_paired_gap_finds(answer, message):
    refused(ch08.check_paired_gap, answer, message)


# Trials -----------------------------------------------------------------------------------------


@pytest.fixture
def trial():
    rows = [
        {"arm": arm, "image": image, "order": order, "seed": seed, "dose": dose,
         "length": 1.0 + image, "swapped": True, "valid": True}
        for image in range(10, 14) for order in (0, 1)
        for arm, seeds, doses in (("spatial IDs", 1, (0.5, 1, 2)), ("random", 3, (1,)))
        for seed in range(seeds) for dose in doses
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_trial(trial, capsys):
    ch08.check_trial(trial, {1, 2, 3})
    assert "Sound: 8 questions, 2 arms, 3 doses" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="valid"), "lacks .*valid"),
        (lambda t: t.assign(image=t["image"].replace(12, 2)), "1 images were used to choose"),
        (lambda t: t[t["arm"] != "random"], "no arm 'random'"),
        (lambda t: t[(t["arm"] != "random") | (t["image"] > 10)], "differ in 2 questions"),
        (lambda t: t[t["order"] == 0], "both orders"),
        (lambda t: t[t["seed"] == 0], "1 random draw"),
        (lambda t: t.assign(length=t["length"] * (1 + (t["arm"] == "random"))), "differ in length"),
        (lambda t: t[t["dose"] == 1], "no curve"),
    ],
)
def test_trial_finds(trial, spoil, message):
    with pytest.raises(AssertionError, match=message):
        ch08.check_trial(spoil(trial), {1, 2, 3})
