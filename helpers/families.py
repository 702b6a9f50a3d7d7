"""What differs between model families, as data: one entry each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from helpers.grids import (
    Layout,
    View,
    anyres_views,
    cropped_square,
    flat_frames,
    frames_with_newlines,
    merged_grid,
    no_patches,
    numbered_tiles,
    pooled_frames,
    square,
    square_frames,
    tiles_and_thumbnail,
)

#: From what the processor made of a picture (or a video) to the grids of its patches.
Views = Callable[[Layout], tuple[View, ...]]


@dataclass(frozen=True)
class Family:
    """How one family of models is prompted and where its parts are.

    Attributes:
        name: what people call it.
        model_types: values of ``config.model_type`` that belong to it.
        views: where the patches of a picture are.
        video_views: where those of a video's frames are; None where the family takes no videos.
        video_token: the name, in the model's config, of the placeholder of a video.
        required_inputs: inputs without which logits change silently.
        required_video_inputs: those of a video.
        padded_inputs: inputs with an axis of positions behind the prompts', padded with zeros.
        tiled_inputs: inputs with an axis of tiles behind the prompts', padded with zeros. All
            others are concatenated along their first axis.
        carried_inputs: of the padded ones, those that go on with their last row when text is
            appended.
        image_sees_itself: whether image tokens look at each other in both directions.
        cross_layers: from the text model's config to the blocks that attend to the image's own
            states, and not to the tokens.
        added_between: from the model's config to the number of blocks behind which features are
            added to the image's tokens.
        frames_as_pictures: whether a video's frames are prepared as pictures are. Its own video
            processor does the same to them, but only where torchvision is installed.
        dtypes: what it is run with on a GPU, best first.
        layers: from the model to its decoder blocks, in order.
        tower: from the model to its vision tower, where that takes pictures apart from each other,
            ``[pictures, 3, height, width]``: equal ones are then encoded once.
    """

    name: str
    model_types: tuple[str, ...]
    views: Views
    video_views: Views | None = None
    video_token: str = "video_token_id"
    required_inputs: tuple[str, ...] = ("pixel_values",)
    required_video_inputs: tuple[str, ...] = ("pixel_values_videos",)
    padded_inputs: tuple[str, ...] = ()
    tiled_inputs: tuple[str, ...] = ()
    carried_inputs: tuple[str, ...] = ()
    image_sees_itself: bool = False
    cross_layers: Callable[[Any], tuple[int, ...]] = lambda text_config: ()
    added_between: Callable[[Any], int] = lambda config: 0
    frames_as_pictures: bool = False
    dtypes: tuple[str, ...] = ("bfloat16", "float16")
    layers: Callable[[nn.Module], nn.ModuleList] = lambda model: model.get_decoder().layers
    tower: Callable[[nn.Module], nn.Module] | None = None

    def required(self, video: bool) -> tuple[str, ...]:
        """The inputs that a picture needs, or a video."""
        return self.required_video_inputs if video else self.required_inputs


def _vision_tower(model: nn.Module) -> nn.Module:
    return model.model.vision_tower


_QWEN: Mapping[str, Any] = {
    "views": merged_grid,
    "video_views": flat_frames,
    "required_inputs": ("pixel_values", "image_grid_thw", "mm_token_type_ids"),
    "required_video_inputs": ("pixel_values_videos", "video_grid_thw", "mm_token_type_ids"),
    "padded_inputs": ("mm_token_type_ids",),
}

FAMILIES = (
    Family("LLaVA-1.5", ("llava",), cropped_square, dtypes=("float16",), tower=_vision_tower),
    Family("Qwen2-VL", ("qwen2_vl",), **_QWEN),
    Family(
        "Qwen2.5-VL",
        ("qwen2_5_vl",),
        **_QWEN
        | {"required_video_inputs": (*_QWEN["required_video_inputs"], "second_per_grid_ts")},
    ),
    Family(
        "Qwen3-VL",
        ("qwen3_vl",),
        **_QWEN,
        added_between=lambda config: len(config.vision_config.deepstack_visual_indexes),
    ),
    Family(
        "Llama 3.2 Vision",
        ("mllama",),
        no_patches,
        required_inputs=(
            "pixel_values", "aspect_ratio_ids", "aspect_ratio_mask", "cross_attention_mask",
        ),
        padded_inputs=("cross_attention_mask",),
        carried_inputs=("cross_attention_mask",),
        cross_layers=lambda text_config: tuple(text_config.cross_attention_layers),
    ),
    Family(
        "InternVL3",
        ("internvl",),
        tiles_and_thumbnail,
        square_frames,
        video_token="image_token_id",
        required_video_inputs=("pixel_values",),
        tower=_vision_tower,
    ),
    Family(
        "Gemma 3",
        ("gemma3",),
        square,
        required_inputs=("pixel_values", "token_type_ids"),
        padded_inputs=("token_type_ids",),
        image_sees_itself=True,
        dtypes=("bfloat16", "float32"),  # its activations overflow float16
        tower=_vision_tower,
    ),
    Family(
        "LLaVA-OneVision",
        ("llava_onevision",),
        anyres_views,
        pooled_frames,
        required_inputs=("pixel_values", "image_sizes"),
        tiled_inputs=("pixel_values",),
        frames_as_pictures=True,
        dtypes=("float16",),
        tower=_vision_tower,
    ),
    Family(
        "LLaVA-Video",
        ("llava_video",),
        anyres_views,
        frames_with_newlines,
        required_inputs=("pixel_values", "image_sizes"),
        tiled_inputs=("pixel_values",),
        tower=_vision_tower,
    ),
    Family(
        "VideoLLaMA3",
        ("video_llama_3",),
        merged_grid,
        flat_frames,
        required_inputs=("pixel_values", "image_grid_thw", "image_merge_sizes"),
        required_video_inputs=("pixel_values_videos", "video_grid_thw", "video_merge_sizes"),
    ),
    Family(
        "SmolVLM2",
        ("smolvlm",),
        numbered_tiles,
        square_frames,
        video_token="image_token_id",
        required_video_inputs=("pixel_values",),
        tiled_inputs=("pixel_values", "pixel_attention_mask"),
    ),
)  # fmt: skip


#: Those that were registered since, by their names.
_REGISTERED: dict[str, Family] = {}


def families() -> tuple[Family, ...]:
    """All families: those of this file, then those that were registered."""
    return (*FAMILIES, *_REGISTERED.values())


def register(family: Family) -> None:
    """Make a family known that has no entry in this file.

    An entry that was registered before under the same name is replaced, so that a notebook's cell
    can run twice.

    Raises:
        ValueError: if the entry names no model type, or another family has its name or a type.
    """
    if not family.model_types:
        raise ValueError(f"{family.name!r} names no model type: give those of config.model_type")
    others = [*FAMILIES, *(one for name, one in _REGISTERED.items() if name != family.name)]
    for other in others:
        shared = sorted({*family.model_types} & {*other.model_types})
        if shared:
            raise ValueError(
                f"{other.name!r} has the model type {shared[0]!r} already; a type belongs to one "
                "family. To try an entry of your own for it, give it to HookedVLM(model, "
                "processor, family)"
            )
        if other.name == family.name:
            raise ValueError(f"there is a family called {family.name!r}: choose another name")
    _REGISTERED[family.name] = family


def family_of(config: Any) -> Family:
    """Return the entry for a model's config.

    Raises:
        ValueError: if the family is not known; the message lists those that are.
    """
    for family in families():
        if config.model_type in family.model_types:
            return family
    known = ", ".join(kind for family in families() for kind in family.model_types)
    raise ValueError(
        f"no entry for model type {config.model_type!r} in families.py; known: {known}. "
        "To add one: helpers.families.register(Family(...))"
    )
