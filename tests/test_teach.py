"""Fine-tuning with the ID loss: what learns, from which loss, and that arms share batches."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from conftest import random_llava
from safetensors.torch import load_file, save_file
from torch import nn
from zoo import ZOO

from helpers import load_vlm, read_states
from helpers.training import teach as module
from helpers.training.data import SceneMix
from helpers.training.teach import ARMS, Plan, Teacher, draw_cases, load_taught, taught, teach

NAMES = ("backpack", "fan", "camel", "frog", "dog", "cake", "log", "robot", "person", "teapot")
GRIDS = SceneMix(((1.0, "grid", (2, 2)),))
PLAN = Plan(
    steps=4, images=2, questions=2, warmup=1, scenes=GRIDS, pixels=112, judge_every=2, save_every=2
)


@pytest.fixture(scope="module")
def vlm():
    return load_vlm(*random_llava(), device="cpu")


@pytest.fixture(scope="module")
def teacher(vlm):
    site = vlm.resid_post(1)
    return Teacher.from_model(vlm, site, names=NAMES, pairs=2, partners=1, plan=PLAN)


@pytest.fixture(scope="module")
def cases(vlm):
    return draw_cases(vlm, PLAN, seed=0, step=0)


def weights_of(vlm):
    return {name: value.clone() for name, value in vlm.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


# What learns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(ZOO))
def test_vision_mlps_of_every_family(family):
    model, _ = ZOO[family]()
    found = module.vision_mlps(model)
    assert found
    for name in found:
        assert "mlp" in name and "vis" in name
        assert not {"language_model", "merger", "projector"} & set(name.split("."))


def test_no_vision_mlps():
    with pytest.raises(ValueError, match="Sequential has: 0"):
        module.vision_mlps(nn.Sequential(nn.Linear(2, 2)))


def test_only_the_vision_mlps_learn_and_the_model_is_as_before(vlm, teacher):
    before = weights_of(vlm)
    found = teach(vlm, teacher, "ids", 0, PLAN, progress=False)
    assert same(before, weights_of(vlm))
    assert all(parameter.requires_grad for parameter in vlm.model.parameters())
    assert set(found.weights) == set(module.vision_mlps(vlm.model))
    assert any(not torch.equal(before[name], found.weights[name]) for name in found.weights)
    with taught(vlm, found):
        changed = {name for name, value in vlm.model.state_dict().items()
                   if not torch.equal(value, before[name])}  # fmt: skip
        assert changed and changed <= set(found.weights)
    assert same(before, weights_of(vlm))


# The loss ---------------------------------------------------------------------------------------


def test_both_sides_are_centred_alike(vlm, teacher):
    """A state that is the word's mean plus an ID has no loss; without centring it would."""
    generator = torch.Generator().manual_seed(0)
    means = 10 * torch.randn(3, 2, 8, generator=generator)
    wanted = torch.randn(3, 2, 8, generator=generator)
    assert module.id_loss(means + 0.5 * wanted, means, wanted).abs().max() < 1e-5
    assert module.id_loss(means - wanted, means, wanted).mean() > 1.99
    assert module.id_loss(means + wanted, 0 * means, wanted).mean() > 0.3


def test_each_noun_has_its_own_ids_and_means(vlm, teacher, cases):
    wanted, means = teacher.wanted(cases)
    assert wanted.shape == means.shape == (len(cases), 2, vlm.d_model)
    for index, case in enumerate(cases):
        for noun in (0, 1):
            ids = teacher.ids[case.kind][noun]
            assert ids.noun == noun
            place = ids.interpolate(teacher.site, *case.places[noun])
            assert torch.equal(wanted[index, noun], place)
            key = noun, case.kind, case.names[noun]
            assert torch.equal(means[index, noun], teacher.means[key])


def test_the_states_are_those_of_the_nouns(vlm, teacher, cases):
    spots = [[span[-1] for span in case.spans] for case in cases]
    read = read_states(vlm, [case.prompt for case in cases], spots, [teacher.site])[0]
    for make in (module.plain_batch, module.packed_batch):
        with torch.no_grad():
            _, states = module.read_batch(vlm, make(vlm, cases), teacher.site)
        torch.testing.assert_close(states, read, rtol=1e-4, atol=1e-4)


def test_packed_and_plain_give_the_same_gradients(vlm, teacher, cases):
    found = []
    for make in (module.plain_batch, module.packed_batch):
        parameters = module.vision_mlps(vlm.model)
        with module._only(vlm.model, parameters):
            logits, states = module.read_batch(vlm, make(vlm, cases), teacher.site)
            (logits.float().log_softmax(-1)[:, 5].mean() + states.square().mean()).backward()
            found.append({name: value.grad.clone() for name, value in parameters.items()})
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-3, atol=1e-4)


def test_means_are_over_places(vlm, teacher):
    """The mean state of a word is that of its own word: other words' means lie elsewhere."""
    means = torch.stack([teacher.means[0, "left_right", name] for name in NAMES])
    assert torch.pdist(means).min() > 0
    assert torch.equal(means[0], teacher.means[0, "above_below", NAMES[0]])
    second = [teacher.means[1, kind, "frog"] for kind in module.KINDS]
    assert not torch.equal(*second)  # the second noun knows the question


def test_first_tokens(vlm, cases):
    decode = vlm.processor.tokenizer.decode
    for case in cases:
        right, wrong = module.first_tokens(vlm, case)
        answers = module.questions.ANSWERS[case.kind]
        truth = answers[0] if case.toward < 0 else answers[1]
        assert truth.lower() in {decode([token]).strip().lower() for token in right}
        assert not set(right) & set(wrong)


# Arms -------------------------------------------------------------------------------------------


def test_a_step_has_the_same_questions_in_every_arm(vlm):
    def told(step, seed):
        return [(c.prompt.question, c.places, c.toward) for c in draw_cases(vlm, PLAN, seed, step)]

    assert told(3, 1) == told(3, 1)
    assert told(3, 1) != told(4, 1)
    assert told(3, 1) != told(3, 2)


def test_no_held_out_pair_is_taught(vlm):
    for step in range(20):
        for case in draw_cases(vlm, PLAN, 0, step):
            assert not module.is_held_out_pair(*case.names)


def test_arms_differ_in_their_loss_alone(vlm, teacher):
    lessons = {arm: teach(vlm, teacher, arm, 0, PLAN, progress=False) for arm in ARMS}
    first = {arm: one.losses.iloc[0] for arm, one in lessons.items()}
    for row in first.values():  # before anything is learned, all see the same
        assert row["answer_loss"] == pytest.approx(first["answers"]["answer_loss"], rel=1e-5)
        assert row["id_loss"] == pytest.approx(first["answers"]["id_loss"], rel=1e-5)
    ends = [one.weights for one in lessons.values()]
    for number, one in enumerate(ends):
        assert not any(same(one, other) for other in ends[:number])


def test_the_shuffled_teacher_says_wrong_places(teacher, cases):
    mixed = teacher.shuffled(0)
    true, wrong = teacher.wanted(cases)[0], mixed.wanted(cases)[0]
    assert not torch.allclose(true, wrong)
    assert mixed.means is teacher.means
    for kind in teacher.ids:
        for noun in (0, 1):
            before, after = (one.ids[kind][noun].at(teacher.site) for one in (teacher, mixed))
            assert before.norm() == pytest.approx(float(after.norm()), rel=1e-5)


def test_probes_find_a_place_that_was_planted_in_the_states(vlm, teacher, cases, monkeypatch):
    """Row and column on two directions of each noun's own, under noise and the word's mean."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(2, 2, vlm.d_model, generator=generator)  # [nouns, (row, column), d_model]

    def states_of(some):
        places = torch.tensor([case.places for case in some], dtype=torch.float32)
        states = torch.einsum("cnp,npd->cnd", places - 1.5, axes)
        states = states + 0.1 * torch.randn(states.shape, generator=generator)
        return states + module.means_of(teacher.means, some), places

    drawn = []
    monkeypatch.setattr(module, "draw_cases", lambda *a: drawn.extend(draw_cases(*a)) or drawn[-4:])
    monkeypatch.setattr(module, "read_states", lambda *a: states_of(drawn)[0][None])
    probes = module.fit_probes(vlm, teacher.site, teacher.means, PLAN, steps=40)
    knowing = replace(teacher, probes=probes)
    states, places = states_of(cases)
    means = module.means_of(teacher.means, cases)
    probed = knowing.probed(states, means, cases)
    torch.testing.assert_close(probed, places, atol=0.1, rtol=0)
    assert module.place_loss(probed, cases).max() < 0.02
    other = knowing.probed(states.flip(1) - means.flip(1) + means, means, cases)
    assert (other - places.flip(1)).abs().max() > 0.3  # each noun has a probe of its own


def test_the_place_loss_brings_probes_nearer_to_the_places(vlm, teacher, cases):
    plan = replace(PLAN, steps=20, rate=1e-3, place_weight=100)
    spots = [[span[-1] for span in case.spans] for case in cases]

    def error(model):
        states = read_states(model, [case.prompt for case in cases], spots, [teacher.site])[0]
        means = teacher.wanted(cases)[1]
        return float(module.place_loss(teacher.probed(states, means, cases), cases).mean())

    before = error(vlm)
    lesson = teach(vlm, teacher, "places", 0, plan, progress=False, draw=lambda step: cases)
    with taught(vlm, lesson) as after:
        assert error(after) < 0.8 * before


def test_teaching_lowers_the_loss(vlm, teacher):
    plan = Plan(steps=12, images=2, questions=4, rate=3e-3, warmup=1, scenes=GRIDS, pixels=112)
    found = teach(vlm, teacher, "ids-alone", 0, plan, progress=False)
    loss = found.losses["id_loss"]
    assert loss.tail(4).mean() < loss.head(4).mean()


def test_what_is_known_is_not_judged_again(vlm, teacher):
    cases = module.held_out_cases(vlm, 8, 1)
    many = module.held_out_cases(vlm, 200, 1)
    shown = {(case.prompt.image.tobytes(), case.prompt.question) for case in many}
    assert len(shown) == len(many) == 200  # no question about a picture comes twice
    judge, times = module.judge_by(cases), []
    known = judge(vlm)
    found = teach(
        vlm, teacher, "ids", 0, PLAN, lambda one: times.append(1) or judge(one), None, False, known
    )
    assert len(times) == 2
    drawn = [draw_cases(vlm, PLAN, 0, step) for step in range(PLAN.steps)]
    options = {"progress": False, "draw": drawn.__getitem__}
    whole = teach(vlm, teacher, "ids", 0, PLAN, judge, **options)
    assert same(whole.weights, found.weights)
    pd.testing.assert_frame_equal(found.judged, whole.judged)


def test_cells_of_the_diagonals_are_balanced():
    cells = [divmod(cell, module.GRID) for cell in module.DIAGONALS]
    for axis in zip(*cells, strict=True):
        assert sorted(axis) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_unknown_arm(vlm, teacher):
    with pytest.raises(ValueError, match="unknown arm 'noise'; there are: answers"):
        teach(vlm, teacher, "noise", 0, PLAN)


def test_a_loss_that_is_no_number(vlm, teacher):
    broken = {key: value * torch.nan for key, value in teacher.means.items()}
    broken = replace(teacher, means=broken)
    with pytest.raises(RuntimeError, match=r"arm ids, seed 0: at step 0 .*Try a lower rate"):
        teach(vlm, broken, "ids", 0, PLAN, progress=False)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "mllama", "gemma3", "video_llama_3"])
def test_any_family_can_be_taught(family):
    vlm = load_vlm(*ZOO[family]())
    site = vlm.resid_post(vlm.n_layers - 1)
    plan = Plan(
        steps=1, images=1, questions=2, per_pass=1, kinds=("left_right",), scenes=GRIDS, pixels=84
    )
    options = {"pairs": 2, "partners": 1, "plan": plan}
    teacher = Teacher.from_model(vlm, site, ["left_right"], NAMES, **options)
    for arm in ("ids", "places"):
        found = teach(vlm, teacher, arm, 0, plan, progress=False)
        assert found.losses[["answer_loss", "id_loss", "place_loss"]].notna().all(axis=None)


def test_parts_of_a_step_add_up(vlm, teacher):
    whole = teach(vlm, teacher, "ids", 0, PLAN, progress=False)
    parts = Plan(**vars(PLAN) | {"per_pass": 1})
    found = teach(vlm, teacher, "ids", 0, parts, progress=False)
    assert found.losses["id_loss"].tolist() == pytest.approx(
        whole.losses["id_loss"].tolist(), rel=1e-3
    )


# Going on, keeping, loading ---------------------------------------------------------------------


class Cut(Exception):
    """Somebody pulled the plug."""


def test_a_lesson_that_was_cut_off_goes_on(vlm, teacher, tmp_path, monkeypatch):
    judge = module.judge_by(module.held_out_cases(vlm, 8, 1))
    whole = teach(vlm, teacher, "ids", 0, PLAN, judge, progress=False)
    before = weights_of(vlm)
    learn = module._Run._learn

    def cut(run, step):
        if step == 3:
            raise Cut
        return learn(run, step)

    with monkeypatch.context() as patch:
        patch.setattr(module._Run, "_learn", cut)
        with pytest.raises(Cut):
            teach(vlm, teacher, "ids", 0, PLAN, judge, tmp_path, progress=False)
    assert same(before, weights_of(vlm))
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(
            module._Run, "_learn", lambda run, step: steps.append(step) or learn(run, step)
        )
        found = teach(vlm, teacher, "ids", 0, PLAN, judge, tmp_path, progress=False)
        again = teach(vlm, teacher, "ids", 0, PLAN, judge, tmp_path, progress=False)
    assert steps == [2, 3]
    for one in (found, again):
        assert same(whole.weights, one.weights)
        pd.testing.assert_frame_equal(whole.losses, one.losses)
        pd.testing.assert_frame_equal(whole.judged, one.judged, check_dtype=False)
    assert sorted(whole.judged["step"].unique()) == [0, 2, 4]


def test_taught_weights_are_kept_and_loaded(vlm, teacher, tmp_path):
    before = weights_of(vlm)
    found = teach(vlm, teacher, "answers", 3, PLAN, progress=False)
    path = tmp_path / "deep" / "answers-3.safetensors"
    found.save(path)
    assert set(load_file(path)) == set(module.vision_mlps(vlm.model))
    fresh = load_vlm(*random_llava(), device="cpu")
    about = load_taught(fresh, path)
    assert (about["arm"], about["seed"], about["site"]) == ("answers", 3, teacher.site)
    with taught(vlm, path):
        assert same(weights_of(vlm), weights_of(fresh))
    assert same(before, weights_of(vlm))


def test_what_cannot_be_loaded(vlm, teacher, tmp_path):
    with pytest.raises(FileNotFoundError, match="run chapter 14 first"):
        load_taught(vlm, tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(ValueError, match="holds no taught weights"):
        load_taught(vlm, other)
    other.write_text("no tensors")
    with pytest.raises(ValueError, match="no safetensors file"):
        load_taught(vlm, other)
    found = teach(vlm, teacher, "answers", 0, PLAN, progress=False)
    found.about["model"] = "tiny-other"
    found.save(other)
    with pytest.raises(ValueError, match="was taught to 'tiny-other'; the model here is"):
        load_taught(vlm, other)
    found.about["model"] = module._name_of(vlm)
    found.weights.popitem()
    found.save(other)
    with pytest.raises(ValueError, match="does not fit the model"):
        load_taught(vlm, other)


def test_names_without_pictures(vlm):
    with pytest.raises(ValueError, match="no pictures of unicorn"):
        module.read_means(vlm, vlm.resid_post(0), ["left_right"], ["unicorn"])


def test_command_line(vlm, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "load_vlm", lambda name, dtype: vlm)
    monkeypatch.setattr(module, "GRID", 2)  # fewer pictures
    arguments = ["teach", "a model", "--out", str(tmp_path), "--arms", "ids", "--seeds", "2"]
    arguments += ["--steps", "1", "--images", "1", "--questions", "1", "--count", "4"]
    monkeypatch.setattr("sys.argv", arguments)
    module.main()
    assert "ids, seed 2: accuracy {0:" in capsys.readouterr().out
    assert load_taught(vlm, tmp_path / "ids-2.safetensors")["arm"] == "ids"
