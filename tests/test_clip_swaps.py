"""Swaps between clips: what is drawn, what changes keep, and that rows are about what they say."""

import numpy as np
import pytest
from zoo import ZOO

from helpers import clip_swaps, load_vlm, stats
from helpers.clip_swaps import Asked
from helpers.grids import View
from helpers.stimuli.clip_questions import comes_before
from helpers.stimuli.clip_sampling import compose, flash
from helpers.stimuli.clips import reverse
from helpers.stimuli.scenes import Background, mirror
from helpers.stimuli.split import is_held_out_pair


def flashes(one=1, other=5, names=("frog", "camel")):
    tracks = [flash(names[0], (0, 0), one, 0.25), flash(names[1], (2, 3), other, 0.25)]
    return Asked(compose(tracks, Background()), names)


@pytest.fixture(scope="module")
def qwen():
    """Two frames go into one step of time."""
    return load_vlm(*ZOO["qwen2_5_vl"](), device="cpu")


# What is drawn, and changes ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flashes", "events"])
def test_drawn_clips_are_held_out_balanced_and_have_both_answers(kind):
    some = clip_swaps.draw(kind, 12, seed=0)
    assert len({asked.clip for asked in some}) == 12
    assert all(is_held_out_pair(*asked.names) for asked in some)
    assert all(asked.question(which) for asked in some for which in clip_swaps.QUESTION)
    assert sum(asked.names == tuple(sorted(asked.names)) for asked in some) == 6
    again = clip_swaps.draw(kind, 12, 0, without=some)
    assert not {asked.clip for asked in again} & {asked.clip for asked in some}


def test_another_order_keeps_the_answer_and_a_still_has_none_of_the_two():
    for kind in ("flashes", "events"):
        for asked in clip_swaps.draw(kind, 6, seed=1):
            found = clip_swaps.in_another_order(asked)
            assert comes_before(found, *asked.names) == comes_before(asked.clip, *asked.names)
    still = clip_swaps.without_the_two(flashes())
    assert len(still) == 8 and still.names == ()


def test_reversing_turns_the_answer_about_time_and_mirroring_that_about_space():
    asked = flashes()
    turned = Asked(reverse(asked.clip), asked.names)
    flipped = Asked(asked.clip.each(mirror), asked.names)
    truth = {which: clip_swaps.truths([asked, turned, flipped], which).tolist()
             for which in clip_swaps.QUESTION}  # fmt: skip
    assert truth == {"time": [1, -1, 1], "space": [1, 1, -1]}


# Steps of time ----------------------------------------------------------------------------------


def test_steps_hold_the_frames_up_to_the_next():
    views = [View(tuple(range(10 * n, 10 * n + 4)), (2, 2), frame=2 * n) for n in range(4)]
    assert [clip_swaps.step_of(views, frame) for frame in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert clip_swaps.span_of(views, 3) == [10, 11, 12, 13]
    asked = flashes(1, 6)
    clip = clip_swaps.steps_exchanged(asked, views)
    assert (clip.when("frog"), clip.when("camel")) == ((7,), (0,))
    single = [View((n,), (1, 1), frame=n) for n in range(8)]
    clip = clip_swaps.steps_exchanged(asked, single)
    assert (clip.when("frog"), clip.when("camel")) == ((6,), (1,))


# Runs -------------------------------------------------------------------------------------------


def groups(asked, which, prompt):
    return {
        "video": prompt.image_patches.positions,
        "nouns": [position for span in prompt.words(asked.names) for position in span],
        "last": [prompt.last],
        "nothing": [],
    }


def test_swaps_are_labelled_with_their_clip_question_change_and_block(qwen):
    sets = {"flashes": [flashes(), flashes(6, 2), flashes(names=("camel", "frog"))]}
    changes = {"reversed": lambda a: reverse(a.clip), "mirrored": lambda a: a.clip.each(mirror)}
    arms = {"time": {"reversed": changes["reversed"]}, "space": changes}
    end = qwen.n_layers - 1
    sites = {-1: "blocks.0.hook_resid_pre", end: qwen.resid_post(end)}
    every = clip_swaps.swaps(qwen, sets, arms, groups, sites)
    assert len(every) == 3 * 3 * 2 * 3 and "nothing" not in set(every["group"])
    truth = every.groupby(["question", "clip"])["truth"].first()
    assert truth["time"].tolist() == [1, -1, 1] and truth["space"].tolist() == [1, 1, 1]
    orders = every.groupby("clip")["order"].first()
    assert orders.tolist() == ["exchanged", "exchanged", "alphabet"]
    for (which, change), table in every.groupby(["question", "change"]):
        some, how = sets["flashes"], changes[change]
        wanted = {"clean": clip_swaps.log_odds(qwen, some, which),
                  "mirrored": clip_swaps.log_odds(qwen, some, which, how)}  # fmt: skip
        for column, odds in wanted.items():
            np.testing.assert_allclose(table.groupby("clip")[column].first(), odds, atol=1e-4)
        part = stats.recovered_by(table, ["block", "group"]).set_index(["block", "group"])
        assert part["estimate"][-1, "video"] == pytest.approx(1, abs=1e-3)
        assert part["estimate"][end, "nouns"] == pytest.approx(0, abs=1e-3)
        if which == "space":  # "Before" is several tokens here, and those behind look back
            assert part["estimate"][end, "last"] == pytest.approx(1, abs=1e-3)
            part, whole = clip_swaps.towards(table[table["group"] == "last"])
            assert part.shape == (3, 2) and (whole > 0).all()
            np.testing.assert_allclose(part[:, 1], whole, atol=1e-3)


def test_swaps_of_no_clips(qwen):
    with pytest.raises(ValueError, match="no clips"):
        clip_swaps.swaps(qwen, {}, {"time": {"reversed": lambda a: a.clip}}, groups, {})


def test_noise_is_the_same_for_the_same_seed(qwen):
    some, change = [flashes(), flashes(6, 2)], lambda asked: reverse(asked.clip)
    site = qwen.resid_post(0)
    one, same, other = (
        clip_swaps.noise_swaps(qwen, some, "time", change, site, 2, seed) for seed in (0, 0, 1)
    )
    assert one.shape == (2,) and np.allclose(one, same) and not np.allclose(one, other)
