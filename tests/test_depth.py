"""Height and depth: scenes, cues, pushes, and the table of runs."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import depth, stats
from helpers.stimuli import questions
from helpers.stimuli.sampling import sample_scene
from helpers.training import depth as runs
from helpers.training.train import RECIPES

SITE = "blocks.0.hook_resid_post"


@pytest.fixture(scope="module")
def cases(vlm):
    return depth.cases_of(vlm, depth.asked_scenes("conflict", 4, 0))


# Scenes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", depth.SCENES)
def test_scenes_answer_both_questions(kind):
    found = depth.asked_scenes(kind, 6, 3)
    for scene in found:
        assert questions.above_below(scene, *scene.names)
        assert questions.front_behind(scene, *scene.names)
    assert depth.asked_scenes(kind, 6, 3) == found


def test_scenes_without_depth_are_refused():
    with pytest.raises(ValueError, match="do not have answers"):
        depth.asked_scenes("grid", 4, 0)


def test_cues_and_orders(cases):
    assert [case.kind for case in cases] == [*depth.QUESTIONS] * 4
    assert [case.labels["scene"] for case in cases] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [case.labels["order"] for case in cases] == [0, 0, 1, 1] * 2
    for case in cases:
        # In these scenes nearer is larger, and higher.
        assert case.labels["lower"] * case.labels["larger"] < 0
        (row, _), (other_row, _) = case.places
        assert np.sign(row - other_row) == np.sign(case.labels["lower"])
        if case.kind == "front_behind":
            assert (case.labels["larger"] > 0) == (case.labels["toward"] == -1)


def test_exchanged_rows(cases):
    (row, column), (other_row, other_column) = cases[0].places
    assert depth.exchanged_rows(cases[0]) == ((other_row, column), (row, other_column))


# Trials -----------------------------------------------------------------------------------------


def test_a_trial_compares_with_the_unedited_belief(vlm, cases):
    push = torch.randn(2, vlm.d_model, generator=torch.Generator().manual_seed(0))
    table = depth.trial(vlm, cases, lambda case: [depth.Push("noise", SITE, list(10 * push))])
    plain, noise = (table[table["arm"] == arm] for arm in ("none", "noise"))
    assert len(plain) == len(noise) == len(cases)
    np.testing.assert_allclose(plain["change"], 0, atol=1e-6)
    assert not plain["swapped"].any()
    assert (noise["change"].abs() > 1e-4).all()
    np.testing.assert_allclose(noise["before"], plain["log_odds"])
    for kind, rows in table.groupby("kind"):
        one, other = questions.ANSWERS[kind]
        odds = rows[f"log_prob_{one}"] - rows[f"log_prob_{other}"]
        np.testing.assert_allclose(rows["log_odds"], odds)


def test_a_trial_of_nothing_is_refused(vlm):
    with pytest.raises(ValueError, match="no cases"):
        depth.trial(vlm, [])


def test_follows_height():
    table = pd.DataFrame(
        {
            "kind": ["front_behind"] * 4 + ["above_below"],
            "lower": [1.0, -1.0, 1.0, 1.0, 1.0],
            "larger": [-0.5, 0.5, -0.5, 0.5, -0.5],
            "before": [2.0, -1.0, -3.0, -3.0, -3.0],
        }
    )
    found = depth.follows_height(table)
    assert (found.estimate, found.n) == (pytest.approx(2 / 3), 3)
    with pytest.raises(ValueError, match="no samples"):
        depth.follows_height(table[3:])


# Directions -------------------------------------------------------------------------------------


def test_nearness_moves_each_noun_towards_the_others_size(vlm, cases):
    found = depth.find_nearness(vlm, [SITE], count=3)
    assert found.vectors.shape == (2, 2, 1, 3, vlm.d_model)
    # The first noun comes before the question says what it is about.
    torch.testing.assert_close(found.vectors[0, 0], found.vectors[0, 1], atol=1e-4, rtol=1e-3)
    one, other = found.aim(cases[0], SITE)
    larger = cases[0].labels["larger"]
    torch.testing.assert_close(one, -larger * found.mean("above_below", 0, SITE))
    torch.testing.assert_close(other, larger * found.mean("above_below", 1, SITE))


def test_cosine_of_noisy_directions():
    generator = torch.Generator().manual_seed(0)
    axis = torch.randn(50, generator=generator)
    one, other = (axis + 0.5 * torch.randn(40, 50, generator=generator) for _ in range(2))
    found = depth.cosine(one, other)
    assert found.low < found.estimate < found.high and found.estimate > 0.9
    assert depth.reliability(one) > 0.9
    assert depth.cosine(one, -other).estimate == pytest.approx(-found.estimate)
    with pytest.raises(ValueError, match="two samples of each"):
        depth.cosine(one[:1], other)


# A whole model ----------------------------------------------------------------------------------


def test_measure_has_a_number_for_everything(vlm):
    found = depth.measure(vlm, count=6, choosing=4, pairs=2, partners=1, seeds=2)
    numbers = found.numbers()
    assert {"follows height", "row axis: front_behind", "nearness: above_below"} <= set(numbers)
    assert all(isinstance(value, stats.Interval) for value in numbers.values())
    assert all(math.isfinite(value.estimate) for value in numbers.values())
    assert set(found.beliefs["scenes"]) == set(depth.SCENES)
    assert numbers["row axis: front_behind"].n == 6
    again = depth.measure(vlm, count=6, choosing=4, pairs=2, partners=1, seeds=2)
    assert again.numbers() == numbers


def test_random_vectors_do_not_depend_on_what_else_is_asked(vlm, cases):
    aims = {"nearness": depth.find_nearness(vlm, [SITE], count=2).aim}
    blocks = {("nearness", kind): 0 for kind in depth.QUESTIONS}
    few, many = (list(depth.beside_random(vlm, aims, blocks, seeds)(cases[0])) for seeds in (1, 3))
    assert [push.arm for push in many] == ["nearness", *["random, as nearness"] * 3]
    torch.testing.assert_close(few[1].vectors, many[1].vectors)
    for noise, vector in zip(many[1].vectors, many[0].vectors, strict=True):
        torch.testing.assert_close(noise.norm(), vector.norm())


def test_scenes_take_turns_with_seeds(vlm, cases):
    aims = {"nearness": depth.find_nearness(vlm, [SITE], count=2).aim}
    blocks = {("nearness", kind): 0 for kind in depth.QUESTIONS}
    pushes = depth.beside_random(vlm, aims, blocks, 3, each=2)
    drawn = [[push.labels["seed"] for push in list(pushes(case))[1:]] for case in cases[::2]]
    assert drawn == [[0, 1], [1, 2], [2, 0], [0, 1]]


# Runs -------------------------------------------------------------------------------------------


def test_names_of_runs(tmp_path):
    assert runs.name_of(tmp_path / "tiny-llava-tied") == ("tiny-llava-tied", 0)
    assert runs.name_of(tmp_path / "tiny-llava-independent-seed2") == ("tiny-llava-independent", 2)
    for name in ("tiny-llava", "tied-seed1", "tiny-llava-tied-1"):
        with pytest.raises(ValueError, match="does not say what it is"):
            runs.name_of(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        runs.load_run(tmp_path / "tiny-llava-tied")


def test_rows_are_added_once(tmp_path, monkeypatch):
    measured = []

    def row_of(vlm, count):
        measured.append(vlm)
        return {"follows height": 0.5}

    steps = {"tiny-llava-tied": 10, "tiny-llava-tied-seed1": 10}
    monkeypatch.setattr(runs, "row_of", row_of)
    monkeypatch.setattr(runs, "load_run", lambda folder: (folder.name, steps[folder.name]))
    out = tmp_path / "table.csv"
    folders = [tmp_path / name for name in steps]
    runs.add_rows(folders[:1], out, 4)
    table = runs.add_rows(folders, out, 4)
    assert measured == ["tiny-llava-tied", "tiny-llava-tied-seed1"]
    assert table["seed"].tolist() == [0, 1]
    pd.testing.assert_frame_equal(pd.read_csv(out), table)
    steps["tiny-llava-tied"] = 20  # it went on: measured again, and one row
    table = runs.add_rows(folders, out, 4)
    assert len(measured) == 3 and table["steps"].tolist() == [20, 10]


def test_recipes_differ_in_scenes_alone():
    one, other = (vars(RECIPES[f"tiny-llava-{kind}"]) for kind in ("tied", "independent"))
    assert [key for key in one if one[key] != other[key]] == ["scenes"]
    scene = sample_scene(np.random.default_rng(0), "tied", (2, 2))
    far, near = scene.objects
    assert near.y > far.y and near.depth < far.depth
