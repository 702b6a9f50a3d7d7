"""The video model that is shipped: a complete Hugging Face folder that answers about time."""

import json

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForImageTextToText

from helpers import Video, clips, load_vlm, reverse, shipped_models, stats
from helpers.llava_video import FramesProcessor
from helpers.loading import ORGANISMS
from helpers.stimuli import clip_questions
from helpers.training import clip_gates, mechanism

FOLDER = ORGANISMS / "tiny-video"
MEGABYTES = 10

pytestmark = pytest.mark.skipif(
    not (FOLDER / "config.json").exists(), reason="the shipped model tiny-video is not there yet"
)


@pytest.fixture(scope="module")
def vlm():
    return load_vlm("tiny-video", device="cpu")


def test_the_folder_is_complete_and_small():
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size <= MEGABYTES * 1e6, f"{size / 1e6:.1f} MB"
    names = {path.name for path in FOLDER.iterdir()}
    assert {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "processor_config.json", "README.md", "training_log.csv",
        "accuracy.csv", "mechanism.csv",
    } <= names  # fmt: skip
    assert "tiny-video" in shipped_models()
    with safe_open(FOLDER / "model.safetensors", "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"F16"}
    assert json.loads((FOLDER / "config.json").read_text())["model_type"] == "llava_onevision"


@torch.no_grad()
def test_the_book_sees_what_plain_transformers_sees(vlm):
    """The same logits from a folder loaded without our loader, through the same video."""
    model = AutoModelForImageTextToText.from_pretrained(FOLDER, dtype=torch.float32).eval()
    processor = FramesProcessor.from_pretrained(FOLDER)
    clip = clips(1, seed=3, kind="events")[0]
    text = "Does the frog appear before or after the camel?"
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": text}]}
    prompt = processor.apply_chat_template([message], add_generation_prompt=True)
    assert prompt == f"USER: <video>\n{text} ASSISTANT:"
    inputs = processor(videos=[clip.render()], text=[prompt], return_tensors="pt")
    ours = vlm.prompt(Video(tuple(clip.render())), text)
    assert inputs["input_ids"].tolist() == ours.inputs["input_ids"].tolist()
    expected = model(**inputs).logits
    found, _ = vlm.run_with_cache(ours, names=[vlm.resid_post(0)])
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_frame_has_a_grid_of_patches_and_the_newline_is_none(vlm):
    clip = clips(1, seed=3, kind="events")[0]
    patches = vlm.prompt(Video(tuple(clip.render())), "Where is the frog?").image_patches
    assert [view.frame for view in patches.views] == list(range(8))
    seen = [position for view in patches.views for position in view.positions]
    assert seen == patches.positions[:-1]


@pytest.mark.parametrize(
    ("kind", "clip_kind"),
    [("before_after", "flashes"), ("before_after", "events"), ("moving", "moving"),
     ("left_right_at", "still"), ("beginning_end", "flashes")],
)  # fmt: skip
def test_it_answers_held_out_questions(vlm, kind, clip_kind):
    """A small sample of what the gates measure."""
    drawn = list(clip_gates.draw_questions(kind, clip_kind, 60, (2, 4), seed=5))
    given = clip_gates.answers(vlm, [one[0] for one in drawn], [one[1].text for one in drawn])
    right = [
        answer == question.answer for (_, question, _), answer in zip(drawn, given, strict=True)
    ]
    assert stats.proportion(right).estimate >= 0.85


def test_it_changes_its_mind_when_the_clip_is_reversed(vlm):
    drawn = list(clip_gates.draw_questions("before_after", "events", 60, (3, 4), seed=6))
    given = clip_gates.answers(
        vlm, [reverse(clip) for clip, _, _ in drawn], [question.text for _, question, _ in drawn]
    )
    first, second = clip_questions.CLIP_ANSWERS["before_after"]
    other = {first: second, second: first}
    hits = [answer == other[q.answer] for (_, q, _), answer in zip(drawn, given, strict=True)]
    assert stats.proportion(hits).estimate >= 0.85


def test_object_words_carry_the_time(vlm):
    table = mechanism.clip_swap(vlm, "flashes", "time", count=24, seed=3)
    assert stats.recovered_by(table, ["layer"])["estimate"].max() >= 0.5
    assert max(mechanism.time_fit(vlm)) > 0.5


def test_the_card_and_the_log_are_shipped():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for part in ("## Data", "## Training", "## Limits"):
        assert part in card
    log = pd.read_csv(FOLDER / "training_log.csv")
    assert log["step"].is_monotonic_increasing
    assert "accuracy_before_after" in log.columns and "id_fit" in log.columns
