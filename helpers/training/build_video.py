"""Build the shipped video model: a small LLaVA-OneVision with its real Hugging Face classes.

LLaVA-OneVision's class takes videos, is what LLaVA-Video is built on, and has plain rotary
positions: a frame's time is its place in the sequence and nothing else. (Qwen2.5-VL counts
frames in a part of its rotary positions.) A pooled frame has 16 tokens, which lie on the paper's
4 x 4 grid.
"""

import torch
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
from helpers.training.build import Shape
from helpers.training.tokenizer import build_tokenizer


def build_video_model(
    shape: Shape, tokenizer: PreTrainedTokenizerFast
) -> LlavaOnevisionForConditionalGeneration:
    """Return a randomly initialised model; seed torch first to repeat it."""
    vision = SiglipVisionConfig(
        hidden_size=shape.vision_width,
        intermediate_size=4 * shape.vision_width,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.heads,
        image_size=shape.image_pixels,
        patch_size=shape.patch_pixels,
        vision_use_head=False,
    )
    text = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.mlp_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=[[shape.image_pixels, shape.image_pixels]],
        tie_word_embeddings=True,
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    # Tied embeddings give logits of order one under a unit-norm stream.
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=shape.width**-0.5)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


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
