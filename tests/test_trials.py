"""Trials: the vectors of every arm, what an edit does to a belief, and what is refused."""

import pytest
import torch

from helpers import Placed, Scene, SpatialIDs, trials
from helpers.beliefs import beliefs
from helpers.interventions import as_hooks
from helpers.stimuli.questions import ANSWERS, Question

SITES = ("blocks.0.hook_resid_post", "blocks.1.hook_resid_post")
SCENES = [
    Scene((Placed("frog", 0.125, 0.375, 0.2), Placed("camel", 0.875, 0.625, 0.2))),
    Scene((Placed("dog", 0.625, 0.875, 0.2), Placed("cake", 0.375, 0.125, 0.2))),
]


@pytest.fixture(scope="module")
def ids(vlm):
    """``row * ROW + column * COLUMN`` at either site, the second noun's twice as long."""
    generator = torch.Generator().manual_seed(0)
    row_axis, column_axis = torch.randn(2, vlm.d_model, generator=generator)
    steps = torch.arange(4.0)
    grid = steps[:, None, None] * row_axis + steps[None, :, None] * column_axis
    vectors = (grid - grid.mean((0, 1)))[None, None].repeat(len(SITES), 2, 1, 1, 1)
    pairs = (("frog", "camel"), ("dog", "cake"))
    made = tuple(
        SpatialIDs(factor * vectors, SITES, pairs, noun, "planted")
        for noun, factor in enumerate((1.0, 2.0))
    )
    return made, row_axis, column_axis


@pytest.fixture(scope="module")
def cases(vlm):
    across = trials.scene_cases(vlm, SCENES, "left_right")
    return across + trials.scene_cases(vlm, SCENES, "above_below", orders=(1,))


def test_a_case_knows_its_places_words_and_what_is_false(cases):
    case, turned = cases[:2]
    assert case.names == ("frog", "camel") and turned.names == ("camel", "frog")
    assert case.places == ((1.0, 0.0), (2.0, 3.0)) and turned.places == case.places[::-1]
    # "Left" is right, so the false answer is the second; and the other way round.
    assert (case.toward, turned.toward) == (-1, 1)
    words = [case.prompt.tokens[span[-1]].strip("▁ ") for span in case.spans]
    assert words == ["frog", "camel"]
    assert {(c.labels["scene"], c.labels["order"]) for c in cases[:4]} == {
        (0, 0), (0, 1), (1, 0), (1, 1),
    }  # fmt: skip


def test_objects_that_cannot_be_compared_are_left_out(vlm):
    level = Scene((Placed("frog", 0.2, 0.5, 0.2), Placed("camel", 0.8, 0.52, 0.2)))
    assert trials.scene_cases(vlm, [level], "above_below") == []
    assert len(trials.scene_cases(vlm, [level], "left_right")) == 2


def test_targets(cases):
    case, below = cases[0], cases[4]
    assert trials.mirrored(case) == ((1.0, 3.0), (2.0, 0.0))
    assert trials.exchanged(case) == case.places[::-1]
    assert trials.mirrored(below) == ((1.0, below.places[0][1]), (2.0, below.places[1][1]))


def test_aimed_vectors_are_each_nouns_own_id_differences(cases, ids):
    pair, _, column = ids
    first, second = trials.aimed(cases[0], pair, SITES[0], trials.mirrored(cases[0]))
    assert torch.allclose(first, 3 * column, atol=1e-4)
    assert torch.allclose(second, 2 * -3 * column, atol=1e-4)


def test_every_control_has_the_lengths_of_the_ids_and_not_their_direction(cases, ids, monkeypatch):
    monkeypatch.setattr(trials, "RANK", 2)  # these IDs have no third dimension
    pair, row, column = ids
    seeds = {control: 2 for control in trials.CONTROLS}
    made = trials.arms(cases[0], pair, SITES[0], trials.mirrored(cases[0]), seeds)
    aimed = made["spatial IDs", 0]
    assert len(made) == 1 + 2 * len(trials.CONTROLS)
    for (arm, _), vectors in made.items():
        for vector, wanted in zip(vectors, aimed, strict=True):
            assert torch.allclose(vector.norm(), wanted.norm(), rtol=1e-4), arm
    # From the nearer end of the column to the further one: the frog is in row 1 of 0 to 3.
    along = row * (3 * column.norm() / row.norm())
    assert torch.allclose(made["orthogonal axis", 0][0], along, atol=1e-3)
    inside = made["random in ID subspace", 0][0]
    span = torch.linalg.qr(torch.stack([row, column]).T).Q
    assert torch.allclose(span @ (span.T @ inside), inside, atol=1e-3)
    outside = made["random", 0][0]
    assert (span.T @ outside).norm() < 0.7 * outside.norm()
    assert not torch.allclose(made["random", 0][0], made["random", 1][0])


def test_a_cases_draws_do_not_depend_on_the_others(cases, ids):
    target = trials.mirrored(cases[2])
    alone = trials.arms(cases[2], ids[0], SITES[0], target, {"random": 1})["random", 0]
    trials.arms(cases[0], ids[0], SITES[0], target, {"random": 3})
    more = {"shuffled IDs": 1, "random": 4}
    again = trials.arms(cases[2], ids[0], SITES[0], target, more)["random", 0]
    assert all(torch.equal(one, other) for one, other in zip(alone, again, strict=True))


def test_a_run_says_what_became_of_each_belief(vlm, cases, ids):
    told = trials.with_beliefs(vlm, cases)
    order = [4, 0, 2, 1, 3]  # kinds mixed: rows must come back in the order of the jobs
    jobs = []
    for number in order:
        case = told[number]
        vectors = trials.aimed(case, ids[0], SITES[1], trials.mirrored(case))
        jobs.append(trials.steering_job(case, SITES[1], vectors, 2.0, which=number))
    table = trials.run(vlm, jobs)
    assert table["which"].tolist() == order
    for row, job in zip(table.to_dict("records"), jobs, strict=True):
        case = told[row["which"]]
        hooked = beliefs(vlm, job.prompt, ANSWERS[case.kind], as_hooks([job.edits]))
        assert row["question"] == case.prompt.question
        assert row["log_odds"] == pytest.approx(hooked["log_odds"].iloc[0], abs=1e-4)
        assert row["after"] == pytest.approx(row["log_odds"] * case.toward)
        before = case.labels["before"]
        assert row["change"] == pytest.approx(row["after"] - before * case.toward)
        assert row["swapped"] == (row["log_odds"] * before < 0)
        assert row["right"] == (before * case.toward < 0)
    plain = trials.run(vlm, [trials.steering_job(told[0], SITES[1], vectors, 0.0)])
    assert plain["change"].iloc[0] == pytest.approx(0.0, abs=1e-4)


def test_chance_is_no_knowledge(cases):
    def told(right):
        marked = []
        for number, case in enumerate(cases * 10):
            labels = case.labels | {"scene": number, "right": right(number)}
            marked.append(trials.replace(case, labels=labels))
        return marked

    assert not trials.can_answer(told(lambda number: number % 2 == 0))
    assert trials.can_answer(told(lambda number: number % 8 > 0))
    with pytest.raises(ValueError, match="with_beliefs"):
        trials.can_answer(cases)


def test_what_is_refused(vlm, cases, ids):
    with pytest.raises(ValueError, match="unknown control 'loud'"):
        trials.arms(cases[0], ids[0], SITES[0], trials.mirrored(cases[0]), {"loud": 1})
    with pytest.raises(ValueError, match=r"no IDs were read at 'blocks\.2\.hook_resid_post'"):
        trials.aimed(cases[0], ids[0], "blocks.2.hook_resid_post", cases[0].places)
    with pytest.raises(ValueError, match="no cases"):
        trials.run(vlm, [])
    table = trials.pd.DataFrame({"scene": [0, 0], "right": [1.0, 0.0]})
    with pytest.raises(ValueError, match="at least two samples, not 1"):
        trials.share(table, "right")


def test_ids_of_another_model_or_site_are_refused_and_both_are_named(vlm, ids, tmp_path):
    path = tmp_path / "ids.safetensors"
    ids[0][0].save(path)
    assert SpatialIDs.load(path).model == "planted"
    with pytest.raises(ValueError, match="IDs of 'planted'; the model here is 'Llava"):
        SpatialIDs.load(path, vlm)
    with pytest.raises(ValueError, match=r"no IDs were read at 'blocks.7.*there are: blocks.0"):
        SpatialIDs.load(path, sites=["blocks.7.hook_resid_post"])


# Kinds of one's own -----------------------------------------------------------------------------


@pytest.fixture
def kinds(monkeypatch):
    for name in ("TEMPLATES", "ANSWERS"):
        monkeypatch.setattr(trials, name, dict(getattr(trials, name)))
    monkeypatch.setattr(trials, "_ADDED", set())


def test_a_kind_of_ones_own_runs_like_the_books(vlm, kinds):
    trials.add_kind("touching", "Does the {0} touch the {1}?", ("No", "Yes"))
    trials.add_kind("touching", "Is the {0} in the {1}?", ("Yes", "No"))  # a cell that runs twice
    asked = Question("touching", "Is the frog in the camel?", "No", ("frog", "camel"))
    case = trials.make_case(vlm, SCENES[0].render(), asked, ((1, 0), (2, 3)), {"scene": 0})
    assert case.toward == 1 and len(case.spans) == 2
    odds = trials.with_beliefs(vlm, [case])[0].labels["before"]
    wanted = beliefs(vlm, case.prompt, ("Yes", "No"))["log_odds"][0]
    assert odds == pytest.approx(wanted, abs=1e-5)
    assert trials.TEMPLATES["touching"] == "Is the {0} in the {1}?"


def test_a_kind_must_not_clash_and_has_a_noun_and_two_answers(kinds):
    with pytest.raises(ValueError, match="there is a kind called 'left_right'"):
        trials.add_kind("left_right", "Is the {0} left?", ("Yes", "No"))
    with pytest.raises(ValueError, match=r"has no \{0\} for the first noun"):
        trials.add_kind("touching", "Do they touch?", ("Yes", "No"))
    for answers in (("Yes",), ("Yes", "Yes"), "No", ("Yes", "No", "Maybe")):
        with pytest.raises(ValueError, match="two different answers"):
            trials.add_kind("touching", "Is the {0} in the {1}?", answers)
