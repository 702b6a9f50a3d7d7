"""Build the shipped video model: a small LLaVA-OneVision with its real Hugging Face classes.

LLaVA-OneVision's class takes videos, is what LLaVA-Video is built on, and has plain rotary
positions: a frame's time is its place in the sequence and nothing else. (Qwen2.5-VL counts
frames in a part of its rotary positions.) A pooled frame has 16 tokens, which lie on the paper's
4 x 4 grid.
"""

from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

from helpers.llava_video import FramesProcessor
from helpers.training.build import Shape, prepared, text_settings, vision_settings
from helpers.training.tokenizer import build_tokenizer


def build_video_model(
    shape: Shape, tokenizer: PreTrainedTokenizerFast
) -> LlavaOnevisionForConditionalGeneration:
    """Return a randomly initialised model; seed torch first to repeat it."""
    vision = SiglipVisionConfig(**vision_settings(shape), vision_use_head=False)
    text = Qwen2Config(**text_settings(shape, tokenizer))
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=[[shape.image_pixels, shape.image_pixels]],
        tie_word_embeddings=True,
    )
    return prepared(LlavaOnevisionForConditionalGeneration(config), tokenizer)


def build_video_processor(
    shape: Shape, tokenizer: PreTrainedTokenizerFast | None = None
) -> FramesProcessor:
    """Return the processor that goes with :func:`build_video_model`."""
    tokenizer = tokenizer or build_tokenizer(video=True)
    side = {"height": shape.image_pixels, "width": shape.image_pixels}
    images = LlavaOnevisionImageProcessorPil(
        size=side,
        image_grid_pinpoints=[[shape.image_pixels, shape.image_pixels]],
        image_mean=OPENAI_CLIP_MEAN,
        image_std=OPENAI_CLIP_STD,
    )
    return FramesProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        num_image_tokens=shape.grid**2,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
    )
