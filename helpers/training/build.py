"""Build the shipped models' architecture: a small LLaVA with its real Hugging Face classes."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from helpers.training.tokenizer import build_tokenizer

Model = TypeVar("Model", bound=PreTrainedModel)


@dataclass(frozen=True)
class Shape:
    """Sizes of a small LLaVA. The defaults are the shipped models'."""

    image_pixels: int = 112
    patch_pixels: int = 14
    vision_layers: int = 4
    vision_width: int = 128
    layers: int = 8
    width: int = 128
    heads: int = 4
    mlp_width: int = 352

    @property
    def grid(self) -> int:
        """Patches along each side."""
        return self.image_pixels // self.patch_pixels


def vision_settings(shape: Shape) -> dict[str, int]:
    """What the config of a vision tower says, CLIP's or SigLIP's."""
    return {
        "hidden_size": shape.vision_width,
        "intermediate_size": 4 * shape.vision_width,
        "num_hidden_layers": shape.vision_layers,
        "num_attention_heads": shape.heads,
        "image_size": shape.image_pixels,
        "patch_size": shape.patch_pixels,
    }


def text_settings(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What the config of a decoder says, Llama's or Qwen2's."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.width,
        "intermediate_size": shape.mlp_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def prepared(model: Model, tokenizer: PreTrainedTokenizerFast) -> Model:
    """Draw the embeddings of a new model, and tell it where answers end."""
    embeddings = model.get_input_embeddings().weight
    # Tied embeddings give logits of order one under a unit-norm stream.
    torch.nn.init.normal_(embeddings, std=embeddings.shape[1] ** -0.5)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def build_model(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """Return a randomly initialised model; seed torch first to repeat it."""
    vision = CLIPVisionConfig(**vision_settings(shape))
    text = LlamaConfig(**text_settings(shape, tokenizer))
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.image_token_id,
        image_seq_length=shape.grid**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    return prepared(LlavaForConditionalGeneration(config), tokenizer)


def build_processor(
    shape: Shape, tokenizer: PreTrainedTokenizerFast | None = None
) -> LlavaProcessor:
    """Return the processor that goes with :func:`build_model`."""
    tokenizer = tokenizer or build_tokenizer()
    side = {"height": shape.image_pixels, "width": shape.image_pixels}
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": shape.image_pixels}, crop_size=side, do_convert_rgb=True
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=shape.patch_pixels,
        vision_feature_select_strategy="default",
        chat_template=tokenizer.chat_template,
        num_additional_image_tokens=1,
    )
