"""Gauges and the rule find what was planted; blurs change their box and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from zoo import ZOO

from helpers import Placed, Scene, diagnosis, load_vlm, trials
from helpers.diagnosis import PatchGauge, Rule, States, WordGauge
from helpers.ids import SpatialIDs
from helpers.stimuli.blur import blur_box, cover_box, random_boxes
from helpers.stimuli.coco_spatial import Box
from helpers.stimuli.sampling import scenes

SITE = "blocks.0.hook_resid_post"


@pytest.fixture(scope="module")
def cases(vlm):
    return trials.scene_cases(vlm, scenes(12, 0, "clutter"), "left_right", pixels=112)


def planted_ids(noun):
    """IDs in which rows and columns are two directions of the stream."""
    vectors = torch.zeros(1, 1, 4, 4, 48)
    steps = torch.arange(4) - 1.5
    vectors[..., 0], vectors[..., 1] = steps[None, :], steps[:, None]
    return SpatialIDs(vectors, (SITE,), (("frog", "dog"),), noun, "planted")


# Gauges -----------------------------------------------------------------------------------------


def test_the_word_gauge_reads_planted_places(cases):
    ids = {"left_right": (planted_ids(0), planted_ids(1))}
    words = torch.zeros(len(cases), 2, 48)
    for number, case in enumerate(cases):
        for noun, (row, column) in enumerate(case.places):
            # What the word is reaches into the plane, and must be taken out again.
            own = len(case.names[noun]) + 10 * noun
            words[number, noun, 0] = column - 1.5 + own
            words[number, noun, 1] = row - 1.5 - own
    gauge = WordGauge.fit(cases, words, ids, SITE)
    assert all(map(gauge.knows, cases))
    places = gauge.places(cases, words)
    np.testing.assert_allclose(places, [case.places for case in cases], atol=1e-4)
    assert diagnosis.distances(places, cases).max() < 1e-3
    few = WordGauge.fit(cases[:1], words[:1], ids, SITE)
    stranger = next(case for case in cases if not few.knows(case))
    with pytest.raises(ValueError, match="no baseline"):
        few.places([stranger], words[:1])


def test_the_patch_gauge_reads_planted_patches(cases, vlm):
    drawn, grid, generator = scenes(60, 1, "clutter"), (8, 8), torch.Generator().manual_seed(0)
    names = sorted({placed.name for scene in drawn for placed in scene.objects})
    codes = {"": torch.zeros(48), "?": torch.zeros(48)}
    codes |= {name: torch.randn(48, generator=generator) for name in names}

    def states(some):
        shown = [diagnosis.shown_by_patches(scene, grid) for scene in some]
        patches = torch.stack([torch.stack([codes[name] for name in row]) for row in shown])
        patches = patches + 0.05 * torch.randn(patches.shape, generator=generator)
        return States(torch.zeros(len(some), 2, 48), patches, grid)

    gauge = PatchGauge.fit(drawn, states(drawn))
    assert min(gauge.accuracy(drawn, states(drawn))) > 0.99
    found = trials.scene_cases(vlm, drawn, "left_right", (0,), 112)[:10]
    own = states([drawn[case.labels["scene"]] for case in found])
    far = diagnosis.distances(gauge.places(found, own.patches), found)
    assert np.median(far) < 0.3
    names = set(gauge.probe.classes_)
    gauge.probe.classes_ = np.array([f"not {name}" for name in names])
    with pytest.raises(ValueError, match="not fitted on"):
        gauge.places(found, own.patches)


def test_what_patches_show():
    scene = Scene((Placed("frog", 0.25, 0.75, 0.5),))
    shown = diagnosis.shown_by_patches(scene, (4, 4)).reshape(4, 4)
    assert set(shown[2:, :2].flat) == {"frog"}
    assert set(shown[:2].flat) | set(shown[:, 2:].flat) == {""}
    oblong = diagnosis.shown_by_patches(scene, (2, 4)).reshape(2, 4)
    assert list(oblong[1]) == ["frog", "frog", "", ""]


def test_read_reads_words_and_patches(vlm, cases):
    states = diagnosis.read(vlm, cases[:3], SITE)
    prompt = cases[1].prompt
    _, cache = vlm.run_with_cache(prompt)
    patches = prompt.image_patches.whole
    assert states.grid == patches.grid
    entering = cache[diagnosis.ENTRY][0, list(patches.positions)]
    torch.testing.assert_close(states.patches[1], entering.float(), atol=1e-4, rtol=1e-3)
    last = [span[-1] for span in cases[1].spans]
    torch.testing.assert_close(states.words[1], cache[SITE][0, last].float(), atol=1e-4, rtol=1e-3)
    with pytest.raises(ValueError, match="empty"):
        diagnosis.read(vlm, [], SITE)


def test_a_model_without_patches_in_the_sequence_is_refused():
    other = load_vlm(*ZOO["mllama"]())
    asked = trials.scene_cases(other, scenes(3, 0, "grid"), "left_right", (0,), 64)
    with pytest.raises(ValueError, match="no patch tokens"):
        diagnosis.read(other, asked, SITE)


# The rule ---------------------------------------------------------------------------------------


def test_the_rule_blames_the_first_part_that_failed():
    right = np.linspace(0, 1, 101)
    rule = Rule.fit(right, 2 * right, level=0.9)
    assert rule.patches == pytest.approx(0.9)
    assert rule.words == pytest.approx(1.8)
    said = rule.verdicts([0.1, 0.1, 2, 2], [0.1, 2, 0.1, 2])
    assert list(said) == ["reasoning", "binding", "encoder", "encoder"]
    with pytest.raises(ValueError, match="at least 20"):
        Rule.fit(right[:5], right[:5])


def test_confusion_and_balanced_accuracy():
    planted = ["encoder"] * 8 + ["binding"] * 4 + ["reasoning"] * 2
    verdict = ["encoder"] * 8 + ["binding"] * 2 + ["encoder"] * 2 + ["reasoning", "binding"]
    table = pd.DataFrame({"planted": planted, "verdict": verdict, "scene": list(range(7)) * 2})
    shares = diagnosis.confusion(table)
    assert list(shares.index) == list(shares.columns) == list(diagnosis.CAUSES)
    assert shares.loc["binding", "encoder"] == 0.5
    found = diagnosis.balanced_accuracy(table)
    # Causes count alike, however many errors they have.
    assert found.estimate == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert found.low < found.estimate < found.high
    with pytest.raises(ValueError, match="two scenes"):
        diagnosis.balanced_accuracy(table.assign(scene=0))


def test_difference_of_means():
    generator = np.random.default_rng(0)
    gap = diagnosis.difference_of_means(generator.normal(2, 1, 300), generator.normal(0, 1, 40))
    assert gap.low < 2 < gap.high
    assert gap.n == 340
    with pytest.raises(ValueError, match="no interval"):
        diagnosis.difference_of_means([1.0], [1.0, 2.0])


# Blur -------------------------------------------------------------------------------------------


@pytest.fixture
def noise():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("change", [blur_box, cover_box])
def test_only_the_box_changes(noise, change):
    before = np.asarray(noise).copy()
    after = np.asarray(change(noise, Box(10.2, 20.4, 30, 15)))
    inside = np.zeros(before.shape[:2], dtype=bool)
    inside[20:35, 10:40] = True
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert (after[inside] != before[inside]).mean() > 0.9
    assert after[inside].std() < 0.2 * before[inside].std()
    np.testing.assert_array_equal(np.asarray(noise), before)


def test_a_box_at_the_edge_is_cut_and_one_outside_is_refused(noise):
    assert blur_box(noise, Box(70, -5, 30, 20)).size == noise.size
    with pytest.raises(ValueError, match="no pixel"):
        blur_box(noise, Box(90, 0, 10, 10))
    with pytest.raises(ValueError, match="positive"):
        blur_box(noise, Box(0, 0, 10, 10), strength=0)


def test_random_boxes():
    box, taken = Box(5, 5, 20, 10), [Box(30, 20, 25, 25)]
    found = random_boxes((80, 60), box, 50, [3, 4], taken)
    assert found == random_boxes((80, 60), box, 50, [3, 4], taken)
    assert found != random_boxes((80, 60), box, 50, [3, 5], taken)
    for one in found:
        assert (one.width, one.height) == (20, 10)
        assert 0 <= one.x <= 60 and 0 <= one.y <= 50
        other = taken[0]
        apart = one.x + 20 <= other.x or one.x >= other.x + 25
        assert apart or one.y + 10 <= other.y or one.y >= other.y + 25
    centres = np.array([one.centre for one in random_boxes((80, 60), box, 2000, 0)])
    np.testing.assert_allclose(centres.mean(0), (40, 30), atol=1.5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (((80, 60), Box(0, 0, 90, 10), 1, 0), "does not fit"),
        (((80, 60), Box(0, 0, 9, 10), 0, 0), "at least one"),
        (((80, 60), Box(0, 0, 60, 40), 2, 0, [Box(30, 20, 20, 20)]), "found room for 0 of 2"),
    ],
)
def test_random_boxes_refuses(arguments, says):
    with pytest.raises(ValueError, match=says):
        random_boxes(*arguments)
