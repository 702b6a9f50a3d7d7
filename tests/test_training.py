"""Training: packed batches read as single prompts, runs resume exactly, exports load plainly."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from helpers.stimuli import questions
from helpers.stimuli.sampling import sample_scene
from helpers.stimuli.split import held_out_cells, is_held_out_pair
from helpers.stimuli.sprites import OBJECTS
from helpers.training import train
from helpers.training.build import build_processor
from helpers.training.data import IGNORED, draw_segments, pack, to_pixels
from helpers.training.export import export
from helpers.training.text import SEGMENTS, encode
from helpers.training.tokenizer import WHOLE, build_tokenizer
from helpers.training.train import RECIPES, Run, draw_batch, forward

SMOKE = RECIPES["smoke"]
TOKENIZER = build_tokenizer()


def text_of(segment):
    return "".join(piece for piece, _ in segment.runs)


# Tokenizer and text -----------------------------------------------------------------------------


def test_the_tokenizer_splits_some_object_words_as_real_ones_do():
    lengths = {name: len(TOKENIZER.tokenize(f" {name}")) for name in OBJECTS}
    assert {name for name, length in lengths.items() if length == 1} == WHOLE & set(OBJECTS)
    assert lengths["backpack"] == lengths["teapot"] == lengths["hot dog"] == 2


@pytest.mark.parametrize(
    "text", ["Is the frog left of the teapot?", "zebra-42, ünknown? Ω", " a  b\nc"]
)
def test_text_comes_back_and_what_has_no_letter_is_unknown(text):
    ids = TOKENIZER(text, add_special_tokens=False).input_ids
    known = "".join(c for c in text if ord(c) < 128)
    back = TOKENIZER.decode(ids).replace("<unk>", "")
    assert back.split() == known.split()
    assert (TOKENIZER.unk_token_id in ids) == (known != text)


@pytest.mark.parametrize("kind", list(SEGMENTS))
def test_loss_falls_on_the_learned_words_alone(kind):
    generator = np.random.default_rng(0)
    drawn = 0
    while drawn < 10:
        scene = sample_scene(generator, "perspective", (2, 4))
        segment = SEGMENTS[kind](scene, kind, generator)
        if segment is None:
            continue
        drawn += 1
        ids, learned = encode(segment, TOKENIZER)
        whole = TOKENIZER(text_of(segment)).input_ids
        assert whole[-len(ids) :] == ids  # the tokens that a prompt gives
        wanted = "".join(piece for piece, is_learned in segment.runs if is_learned)
        chosen = [token for token, is_learned in zip(ids, learned, strict=True) if is_learned]
        found = TOKENIZER.decode(chosen)
        assert found.replace(" ", "") == wanted.replace(" ", "")
        if kind in questions.KINDS:
            assert learned[-1]
            assert ids[-1] == TOKENIZER.eos_token_id
            prompt = text_of(segment).split(" ASSISTANT:")[0]
            assert not any(learned[: len(TOKENIZER(prompt.split("<image>")[1]).input_ids) - 1])


# Packed batches ---------------------------------------------------------------------------------


def test_pixels_are_those_of_the_processor():
    generator = np.random.default_rng(0)
    scenes = [sample_scene(generator, kind) for kind in ("clutter", "perspective")]
    processor = build_processor(SMOKE.shape, TOKENIZER)
    expected = processor.image_processor([s.render(112) for s in scenes], return_tensors="pt")
    assert torch.allclose(to_pixels(scenes, 112), expected.pixel_values, atol=1e-5)


@torch.no_grad()
def test_packed_texts_give_the_logits_of_single_prompts(vlm):
    """Several texts behind one image, each read as if it stood alone."""
    generator = np.random.default_rng(1)
    scenes = [sample_scene(generator, "clutter") for _ in range(2)]
    shares = dict.fromkeys(SEGMENTS, 1.0)
    segments = [draw_segments(s, generator, shares, TOKENIZER, 120) for s in scenes]
    assert all(len(row) > 2 for row in segments)
    batch = pack(to_pixels(scenes, 112), segments, TOKENIZER, 64)
    packed, labels, _ = forward(vlm.model, batch)
    where = (batch.labels != IGNORED).nonzero()
    assert len(where) == len(packed) == len(labels)
    checked = 0
    for row, (scene, texts) in enumerate(zip(scenes, segments, strict=True)):
        for (kind, begin, end), segment in zip(batch.kinds[row], texts, strict=True):
            assert kind == segment.kind
            image, text = scene.render(112), text_of(segment)
            alone = vlm.processor(images=image, text=text, return_tensors="pt")
            logits = vlm.model(**alone).logits[0]
            ids = alone["input_ids"][0]
            offset = len(ids) - (end - begin)
            for (r, position), found, label in zip(where.tolist(), packed, labels, strict=True):
                if r == row and begin <= position < end:
                    spot = offset + position - begin
                    assert torch.allclose(found, logits[spot], atol=1e-4)
                    assert label == ids[spot + 1]
                    checked += 1
    assert checked == len(packed)
    assert packed.std(0).max() > 0.1  # positions differ by far more than the tolerance


@torch.no_grad()
def test_a_decoy_shows_the_next_scene_to_the_words_and_the_right_one_to_the_last_tokens(vlm):
    generator = np.random.default_rng(1)
    answer_next = TOKENIZER.convert_tokens_to_ids("▁ASSISTANT:")
    scenes = [sample_scene(generator, "clutter") for _ in range(3)]
    shares = dict.fromkeys(questions.KINDS, 1.0)
    segments = [draw_segments(s, generator, shares, TOKENIZER, 60) for s in scenes]
    batch = pack(to_pixels(scenes, 112), segments, TOKENIZER, 64, decoy=True)
    batch.labels[:] = 0  # read the logits of every position
    packed = forward(vlm.model, batch)[0].reshape(*batch.ids.shape, -1)
    batch.pixels[1] += 1
    changed = forward(vlm.model, batch)[0].reshape(packed.shape)
    for row, texts in enumerate(segments):
        for (_, begin, end), segment in zip(batch.kinds[row], texts, strict=True):
            image = scenes[(row + 1) % 3].render(112)
            alone = vlm.processor(images=image, text=text_of(segment), return_tensors="pt")
            logits = vlm.model(**alone).logits[0][begin - end :]
            last = batch.ids[row, begin:end].tolist().index(answer_next)
            assert torch.allclose(
                packed[row, begin : begin + last - 1], logits[: last - 1], atol=1e-4
            )
            assert not torch.allclose(packed[row, begin + last], logits[last], atol=1e-4)
            same = torch.isclose(packed, changed, atol=1e-4).all(-1)[row, begin : begin + last - 1]
            assert same.all() if row != 0 else not same.any()


def test_a_short_answer_counts_once_and_a_long_text_three_times():
    scene = sample_scene(np.random.default_rng(0), "clutter")
    kinds = ("is_there", "layout")
    segments = [[SEGMENTS[k](scene, k, np.random.default_rng(3)) for k in kinds]]
    batch = pack(to_pixels([scene], 112), segments, TOKENIZER, 64)
    sums = [float(batch.weights[0, begin:end].sum()) for _, begin, end in batch.kinds[0]]
    assert sums == pytest.approx([1, 3])
    assert ((batch.weights > 0) == (batch.labels != IGNORED)).all()


def test_a_step_has_always_the_same_batch_and_never_anything_held_out():
    one, other, later = (draw_batch(SMOKE, step, {}, TOKENIZER) for step in (3, 3, 4))
    for name in ("pixels", "ids", "positions", "mask", "labels", "weights"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert not torch.equal(one.pixels, later.pixels)
    for recipe in (one for one in RECIPES.values() if one.medium == "pictures"):
        generator = np.random.default_rng(0)
        for _ in range(100):
            scene = recipe.scenes.draw(generator)
            assert not any(is_held_out_pair(a, b) for a in scene.names for b in scene.names)
            for p in scene.objects:
                assert (int(p.y * 4), int(p.x * 4)) not in held_out_cells(p.name)


def test_badly_answered_questions_are_asked_more():
    shares = train.shares_of_kinds(SMOKE, {"left_right": 0.5, "above_below": 1.0})
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["left_right"] > 4 * shares["above_below"]
    assert sum(shares[kind] for kind in SMOKE.captions) == pytest.approx(SMOKE.caption_share)


def test_the_rate_warms_up_holds_and_falls_to_zero():
    rates = [train.schedule(step, 100, 10, 0.3) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == rates[69] == 1
    assert rates[85] == pytest.approx(0.5)
    assert rates[100] == 0


# A whole run ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """``python -m helpers.training.train smoke``: 20 steps, with reports."""
    folder = tmp_path_factory.mktemp("smoke")
    arguments = ["train", "smoke", "--out", str(folder), "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        train.main()
    return folder


def weights(folder):
    (file,) = folder.glob("step-*.safetensors")
    return load_file(file)


def test_twenty_steps_train_everything(run_folder):
    fresh = Run(SMOKE, run_folder / "fresh", "cpu").model.state_dict()
    run = Run(SMOKE, run_folder, "cpu")
    assert run.state.step == SMOKE.vision_steps + SMOKE.steps == 20
    trained = run.model.state_dict()
    assert all(torch.isfinite(value).all() for value in trained.values())
    unmoved = [name for name in fresh if torch.equal(fresh[name], trained[name])]
    # The class token's path ends before the language model; all else must have moved.
    assert all("post_layernorm" in name or "position_ids" in name for name in unmoved), unmoved


def test_the_log_has_accuracy_recovery_and_fit_over_the_steps(run_folder):
    log = Run(SMOKE, run_folder, "cpu").state.log
    assert [row["step"] for row in log] == [14, 20]
    for row in log:
        for kind in questions.KINDS:
            if f"accuracy_{kind}" in row:
                assert 0 <= row[f"accuracy_{kind}"] <= 1
        names = " ".join(row)
        for wanted in ("accuracy_left_right", "grid_column", "clutter_row", "fit"):
            assert wanted in names, wanted


@pytest.mark.parametrize("stop", [6, 13])  # in the first stage, and in the second
def test_a_run_that_was_cut_off_ends_with_the_weights_of_one_that_was_not(
    run_folder, tmp_path, monkeypatch, stop
):
    class CutOffError(Exception):
        pass

    def cut_off(run, *arguments, original=Run._update):
        if run.state.step == stop:
            raise CutOffError
        original(run, *arguments)

    monkeypatch.setattr(Run, "_report", lambda run: None)  # it must have no effect on the weights
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_update", cut_off)
        with pytest.raises(CutOffError):
            Run(SMOKE, tmp_path, "cpu").train()
    again = Run(SMOKE, tmp_path, "cpu")
    assert again.state.step == stop - stop % SMOKE.save_every
    again.train()
    one, other = weights(run_folder), weights(tmp_path)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_another_seed_gives_other_weights(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "_report", lambda run: None)
    Run(replace(SMOKE, seed=1, vision_steps=2, steps=1), tmp_path, "cpu").train()
    one, other = weights(run_folder), weights(tmp_path)
    name = next(name for name in one if "embed_tokens" in name)
    assert not torch.allclose(one[name], other[name])


# Export -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    export("smoke", run_folder, folder)
    return folder


def test_an_exported_folder_is_a_plain_hugging_face_model(run_folder, exported):
    model = AutoModelForImageTextToText.from_pretrained(exported, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(exported)
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    image = Image.new("RGB", (200, 120), "white")
    content = [{"type": "image", "image": image}, {"type": "text", "text": "Where is the frog?"}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True,
        tokenize=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    text = processor.tokenizer.decode(inputs["input_ids"][0]).replace("<image>", "")
    assert text.replace("<s>", "").split() == "USER: Where is the frog? ASSISTANT:".split()
    assert (inputs["input_ids"] == model.config.image_token_id).sum() == 64
    output = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert output.shape[1] > inputs["input_ids"].shape[1]
    # The weights are those of the run, in half precision.
    trained = Run(SMOKE, run_folder, "cpu").model.eval().half().float()
    with torch.no_grad():
        expected, found = trained(**inputs).logits, model(**inputs).logits
    assert torch.allclose(expected, found, atol=1e-5)


def test_an_exported_folder_holds_half_precision_tied_weights_and_the_log(exported):
    tensors = load_file(exported / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert not any("lm_head" in name for name in tensors)
    lines = (exported / "training_log.csv").read_text().splitlines()
    assert lines[0].startswith("step,")
    assert len(lines) == 3


def test_an_exported_folder_loads_by_its_path(exported):
    from helpers import load_vlm

    vlm = load_vlm(exported, device="cpu")
    assert vlm.dtype == torch.float32
    assert vlm.n_layers == SMOKE.shape.layers
    prompt = vlm.prompt(Image.new("RGB", (50, 50)), "Is there a frog in the image?")
    assert vlm.beliefs(prompt, ("Yes", "No"))["belief"][0] in ("Yes", "No")


def test_exporting_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"state\.json is missing"):
        export("smoke", tmp_path, tmp_path / "out")


# Going on from another run ------------------------------------------------------------------------


@pytest.fixture
def quiet(monkeypatch):
    """Reports take time and must have no effect."""
    monkeypatch.setattr(Run, "_report", lambda run: None)


def short(**changed):
    return replace(SMOKE, vision_steps=2, steps=3, save_every=5, **changed)


def test_weights_of_a_step_are_kept_and_can_be_exported(quiet, tmp_path, monkeypatch):
    recipe = short(keep=(3,))
    monkeypatch.setitem(train.RECIPES, "short", recipe)
    seen = {}

    def look(run, original=Run._keep):
        original(run)
        seen.update({k: v.clone() for k, v in run.model.state_dict().items()})

    monkeypatch.setattr(Run, "_keep", look)
    Run(recipe, tmp_path / "run", "cpu").train()
    export("short", tmp_path / "run", tmp_path / "third", step=3)
    export("short", tmp_path / "run", tmp_path / "last")
    third = AutoModelForImageTextToText.from_pretrained(tmp_path / "third", dtype=torch.float32)
    last = AutoModelForImageTextToText.from_pretrained(tmp_path / "last", dtype=torch.float32)
    name = "model.language_model.layers.1.mlp.up_proj.weight"
    assert torch.equal(third.state_dict()[name], seen[name].half().float())
    assert not torch.equal(third.state_dict()[name], last.state_dict()[name])
    with pytest.raises(FileNotFoundError, match=r"kept-000004.*it kept: kept-000003"):
        export("short", tmp_path / "run", tmp_path / "fourth", step=4)


def test_a_recipe_may_go_on_from_the_last_weights_of_another(quiet, tmp_path):
    first = Run(short(), tmp_path / "first", "cpu")
    first.train()
    after = Run(short(after="first", seed=1), tmp_path / "second", "cpu")
    assert after.state.step == 0
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, after.model.state_dict()[name]), name
    after.train()
    again = Run(
        short(after="first", seed=1), tmp_path / "second", "cpu"
    )  # its own, not the first's
    assert again.state.step == 5
    assert torch.equal(
        again.model.state_dict()["lm_head.weight"], after.model.state_dict()["lm_head.weight"]
    )


def test_without_the_run_before_it_a_recipe_says_what_to_train_first(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"goes on from tiny-llava-flat.*train that first"):
        Run(short(after="tiny-llava-flat"), tmp_path / "second", "cpu")


def test_the_two_recipes_for_depth_differ_in_the_heights_of_their_scenes_alone():
    tied, independent = (train.RECIPES[f"tiny-llava-{kind}"] for kind in ("tied", "independent"))
    assert replace(tied, scenes=independent.scenes) == independent
    parts = zip(tied.scenes.parts, independent.scenes.parts, strict=True)
    assert {(a, b) for (_, a, _), (_, b, _) in parts if a != b} == {("tied", "independent")}
