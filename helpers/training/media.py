"""What differs between training on pictures and on clips, as data: one entry each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from helpers.stimuli.clip_questions import CLIP_KINDS
from helpers.stimuli.questions import KINDS
from helpers.training import mechanism
from helpers.training.build import Shape, build_model, build_processor
from helpers.training.build_video import build_video_model, build_video_processor
from helpers.training.clip_text import CLIP_SEGMENTS
from helpers.training.data import Batch, frames_to_pixels, to_pixels
from helpers.training.text import SEGMENTS
from helpers.training.tokenizer import build_tokenizer
from helpers.training.vision import patch_features


@dataclass(frozen=True)
class Medium:
    """Pictures or clips.

    Attributes:
        tokenizer: builds the tokenizer.
        model: builds the model.
        processor: builds the processor.
        kinds: of questions.
        segments: how training texts of every kind are drawn.
        draw: stimuli to pixels, and which of the pictures each frame is.
        tokens: of one picture or clip in the sequence.
        watch: what is measured at every report.
        shown: the kinds whose running accuracy is printed.
    """

    tokenizer: Callable[[], PreTrainedTokenizerFast]
    model: Callable[[Shape, PreTrainedTokenizerFast], PreTrainedModel]
    processor: Callable[[Shape, PreTrainedTokenizerFast], Any]
    kinds: Mapping[str, Callable]
    segments: Mapping[str, Callable]
    draw: Callable[[list, int], tuple[torch.Tensor, torch.Tensor | None]]
    tokens: Callable[[Shape, torch.Tensor | None], int]
    watch: Callable
    shown: tuple[str, ...]


def _clip_tokens(shape: Shape, shown: torch.Tensor) -> int:
    """Pooled frames and a newline."""
    return shown.shape[1] * (-(-shape.grid // 2)) ** 2 + 1


PICTURES = Medium(
    build_tokenizer,
    build_model,
    build_processor,
    KINDS,
    SEGMENTS,
    lambda scenes, pixels: (to_pixels(scenes, pixels), None),
    lambda shape, shown: shape.grid**2,
    mechanism.watch_pictures,
    ("left_right", "above_below", "front_behind", "which", "is_there", "what"),
)
CLIPS = Medium(
    partial(build_tokenizer, video=True),
    build_video_model,
    build_video_processor,
    CLIP_KINDS,
    CLIP_SEGMENTS,
    frames_to_pixels,
    _clip_tokens,
    mechanism.watch_clips,
    ("before_after", "beginning_end", "moving", "left_right", "left_right_at", "is_there"),
)
MEDIA = {"pictures": PICTURES, "clips": CLIPS}


def features(model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    """What stands for each row's picture or clip in the sequence, ``[tokens, width]`` each."""
    patches = patch_features(model, batch.pixels)
    if batch.shown is None:
        return tuple(patches)
    pooled = model.model.apply_pooling(patches)
    frames = pooled[batch.shown].flatten(1, 2)
    newline = model.model.image_newline.expand(len(frames), 1, -1).to(frames)
    return tuple(torch.cat((frames, newline), dim=1))
