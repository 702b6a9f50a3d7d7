"""Training on clips: the same texts, pixels and logits as a prompt of plain transformers gives."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.stimuli.clip_sampling import sample_clip
from helpers.stimuli.clips import FRAMES, Clip
from helpers.stimuli.split import cell_of, held_out_cells, held_out_frames, is_held_out_pair
from helpers.training import train
from helpers.training.build import Shape
from helpers.training.build_video import build_video_model, build_video_processor
from helpers.training.clip_text import CLIP_SEGMENTS
from helpers.training.data import IGNORED, draw_segments, frames_to_pixels, pack
from helpers.training.media import features
from helpers.training.text import encode
from helpers.training.tokenizer import build_tokenizer
from helpers.training.train import RECIPES, Run, draw_batch, forward

TOKENIZER = build_tokenizer(video=True)
SHAPE = Shape(vision_layers=1, vision_width=32, layers=2, width=32, heads=2, mlp_width=64)
TOKENS = FRAMES * 16 + 1
CLIPS = {name: recipe for name, recipe in RECIPES.items() if recipe.medium == "clips"}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_video_model(SHAPE, TOKENIZER).eval()


@pytest.fixture(scope="module")
def processor():
    return build_video_processor(SHAPE, TOKENIZER)


def text_of(segment):
    return "".join(piece for piece, _ in segment.runs)


@pytest.mark.parametrize("kind", CLIP_SEGMENTS)
def test_learned_tokens_are_the_learned_words(kind):
    generator, drawn = np.random.default_rng(0), 0
    while drawn < 4:
        clip = sample_clip(generator, str(generator.choice(["flashes", "events", "moving"])))
        segment = CLIP_SEGMENTS[kind](clip, kind, generator)
        if segment is None:
            continue
        drawn += 1
        ids, learned = encode(segment, TOKENIZER)
        assert TOKENIZER(text_of(segment)).input_ids[-len(ids) :] == ids
        assert TOKENIZER.unk_token_id not in ids
        chosen = [token for token, is_learned in zip(ids, learned, strict=True) if is_learned]
        wanted = "".join(piece for piece, is_learned in segment.runs if is_learned)
        assert TOKENIZER.decode(chosen).replace(" ", "") == wanted.replace(" ", "")


def test_time_words_follow_the_clip():
    """Of an object in the last frame alone, "end" is said nearly always; in the first, never."""
    generator, counts = np.random.default_rng(0), {0: [], FRAMES - 1: []}
    while min(map(len, counts.values())) < 40:
        clip = sample_clip(generator, "flashes")
        segment = CLIP_SEGMENTS["timeline"](clip, "timeline", generator)
        words = [piece.strip() for piece, learned in segment.runs if learned]
        names = [piece.removeprefix(" the ") for piece, _ in segment.runs if " the " in piece][-2:]
        for name, word in zip(names, words, strict=True):
            counts.setdefault(clip.when(name)[0], []).append(word == "end")
    assert np.mean(counts[FRAMES - 1]) > 0.9 and np.mean(counts[0]) < 0.1


@torch.no_grad()
def test_features_are_those_of_transformers(model):
    generator = np.random.default_rng(1)
    clips = [sample_clip(generator, kind) for kind in ("flashes", "moving", "still")]
    pixels, shown = frames_to_pixels(clips, 112)
    assert len(pixels) < shown.numel()  # frames that are alike are drawn once
    segments = [[CLIP_SEGMENTS["is_there"](clip, "is_there", generator)] for clip in clips]
    batch = pack(pixels, segments, TOKENIZER, TOKENS, shown=shown)
    expected = model.model.get_video_features(pixels[shown]).pooler_output
    assert torch.allclose(torch.stack(features(model, batch)), expected, atol=1e-5)


@torch.no_grad()
def test_packed_texts_give_the_logits_of_single_prompts(model, processor):
    generator = np.random.default_rng(2)
    clips = [sample_clip(generator, kind) for kind in ("events", "moving")]
    shares = dict.fromkeys(CLIP_SEGMENTS, 1.0)
    segments = [draw_segments(c, generator, shares, TOKENIZER, 120, CLIP_SEGMENTS) for c in clips]
    pixels, shown = frames_to_pixels(clips, 112)
    batch = pack(pixels, segments, TOKENIZER, TOKENS, shown=shown)
    packed, labels, _ = forward(model, batch)
    where = (batch.labels != IGNORED).nonzero().tolist()
    checked = 0
    for row, (clip, texts) in enumerate(zip(clips, segments, strict=True)):
        for (_, begin, end), segment in zip(batch.kinds[row], texts, strict=True):
            alone = processor(videos=[clip.render(112)], text=[text_of(segment)],
                              return_tensors="pt")  # fmt: skip
            logits, ids = model(**alone).logits[0], alone["input_ids"][0]
            offset = len(ids) - (end - begin)
            for (r, position), found, label in zip(where, packed, labels, strict=True):
                if r == row and begin <= position < end:
                    spot = offset + position - begin
                    assert torch.allclose(found, logits[spot], atol=1e-4)
                    assert label == ids[spot + 1]
                    checked += 1
    assert checked == len(packed)


@pytest.mark.parametrize("name", CLIPS)
def test_nothing_held_out_is_trained_on(name):
    generator = np.random.default_rng(0)
    for _ in range(60):
        clip: Clip = CLIPS[name].scenes.draw(generator)
        for one in clip.names:
            assert not any(is_held_out_pair(one, other) for other in clip.names)
            path = clip.path(one)
            if len(set(path)) == 1:
                assert cell_of(path[0].x, path[0].y) not in held_out_cells(one)
            assert clip.when(one)[0] not in held_out_frames(one)


def test_a_step_has_always_the_same_batch():
    recipe = replace(RECIPES["tiny-video"], images=3, text_budget=60)
    one, other, later = (draw_batch(recipe, step, {}, TOKENIZER) for step in (3, 3, 4))
    for name in ("pixels", "shown", "ids", "labels", "weights"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.ids.shape != later.ids.shape or not torch.equal(one.ids, later.ids)


def test_two_stages_train_go_on_and_are_exported(tmp_path, monkeypatch):
    """Pictures first, then clips; cut off after a step, the run goes on; the folder loads."""
    small = {"shape": SHAPE, "images": 2, "text_budget": 40, "bfloat16": False, "warmup": 2,
             "save_every": 2, "evaluate_every": 1000}  # fmt: skip
    monkeypatch.setattr(train.Run, "_report", lambda run: run.state.log.append({"step": 1}))
    first = replace(RECIPES["tiny-video-pictures"], vision_steps=2, steps=2, **small)
    Run(first, tmp_path / "tiny-video-pictures", "cpu").train()
    second = replace(RECIPES["tiny-video"], steps=4, **small)
    whole = Run(second, tmp_path / "tiny-video", "cpu")
    whole.train()

    halves = Run(second, tmp_path / "halves", "cpu")
    stop = iter([False, False, True])
    language_step = train.Run._language_step

    def cut_off(run):
        if next(stop, False):
            raise KeyboardInterrupt
        return language_step(run)

    monkeypatch.setattr(train.Run, "_language_step", cut_off)
    with pytest.raises(KeyboardInterrupt):
        halves.train()
    again = Run(second, tmp_path / "halves", "cpu")
    assert again.state.step == 2
    again.train()
    for name, value in whole.model.state_dict().items():
        assert torch.allclose(value, again.model.state_dict()[name], atol=1e-6), name

    from helpers.loading import load_vlm
    from helpers.training.export import export

    monkeypatch.setitem(RECIPES, "tiny-video", second)
    export("tiny-video", tmp_path / "tiny-video", tmp_path / "out")
    vlm = load_vlm(tmp_path / "out")
    assert type(vlm.model).__name__ == "LlavaOnevisionForConditionalGeneration"
    assert vlm.family.name == "LLaVA-OneVision"


def test_the_second_stage_says_when_the_first_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", "tiny-video", "--out", str(tmp_path / "alone")])
    with pytest.raises(FileNotFoundError, match="tiny-video-pictures"):
        train.main()
