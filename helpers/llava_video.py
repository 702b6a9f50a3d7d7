"""LLaVA-Video for transformers: LLaVA-OneVision with a newline token behind every row of a video.

Images go LLaVA-OneVision's way. A video's frames are pooled 2 x 2, and its tokens are:

.. code-block:: text

    frame 0:  row 0 from left to right, newline,  row 1, newline,  ...
    frame 1:  row 0, ...

with no token between the frames and none at the end: ``frames * side * (side + 1)`` in all.
LLaVA-OneVision has one newline token for the whole video, at its end. Importing this module tells
transformers' Auto classes about ``llava_video``; ``helpers.convert`` makes such a checkpoint.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionModel,
    LlavaOnevisionProcessor,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.processing_utils import MultiModalData
from transformers.video_utils import make_batched_videos

PoolMode = Literal["bilinear", "average"]


def pooled_side(side: int, mode: PoolMode) -> int:
    """Rows (and columns) that are left of a frame of ``side`` x ``side`` patches.

    Of an odd side, "average" drops the last row and column; "bilinear" keeps something of them.
    """
    return side // 2 if mode == "average" else (side + 1) // 2


def _bilinear(grid: torch.Tensor) -> torch.Tensor:
    sides = [pooled_side(side, "bilinear") for side in grid.shape[-2:]]
    return functional.interpolate(grid, size=sides, mode="bilinear")


def _average(grid: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(grid, 2)


_POOLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "bilinear": _bilinear,
    "average": _average,
}


@strict
class LlavaVideoConfig(LlavaOnevisionConfig):
    """LLaVA-OneVision's settings and how a video's frames are pooled.

    Attributes:
        spatial_pool_mode: "bilinear" or "average"; the processor has the same setting, and the two
            must agree, or the model finds too many or too few placeholders.
    """

    model_type = "llava_video"

    spatial_pool_mode: PoolMode = "bilinear"


class LlavaVideoModel(LlavaOnevisionModel):
    """LLaVA-OneVision without its head; only the packing of videos differs."""

    config: LlavaVideoConfig

    def apply_pooling(self, image_features: torch.Tensor) -> torch.Tensor:
        """Pool frames and end every row with a newline.

        Args:
            image_features: ``[frames, side * side, width]``; the frames of all videos.

        Returns:
            ``[frames, pooled * (pooled + 1), width]``.
        """
        side = self.config.vision_config.image_size // self.config.vision_config.patch_size
        grid = image_features.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        rows = _POOLS[self.config.spatial_pool_mode](grid).permute(0, 2, 3, 1)
        newline = self.image_newline.to(rows).expand(*rows.shape[:2], 1, -1)
        return torch.cat((rows, newline), dim=2).flatten(1, 2)

    # generate() looks at this signature to learn what the method takes.
    def get_video_features(
        self,
        pixel_values_videos: torch.Tensor,
        vision_feature_layer: int | list[int] | None = None,
        vision_feature_select_strategy: str | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Encode videos.

        Args:
            pixel_values_videos: ``[videos, frames, 3, height, width]``.
            vision_feature_layer: as in LLaVA-OneVision; by default the config's.
            vision_feature_select_strategy: the same.
            kwargs: what else LLaVA-OneVision takes.

        Returns:
            The vision tower's output; its ``pooler_output`` is ``[videos, tokens, width]``.
        """
        outputs = super().get_video_features(
            pixel_values_videos,
            vision_feature_layer=vision_feature_layer,
            vision_feature_select_strategy=vision_feature_select_strategy,
            **kwargs | {"return_dict": True},
        )
        # LLaVA-OneVision adds its one newline behind the whole video; here each row has its own.
        outputs.pooler_output = outputs.pooler_output[:, :-1]
        return outputs


class LlavaVideoForConditionalGeneration(LlavaOnevisionForConditionalGeneration):
    """LLaVA-Video: the parameters have the names that they have in LLaVA-OneVision."""

    config: LlavaVideoConfig

    def __init__(self, config: LlavaVideoConfig) -> None:
        # Not the parent's own __init__, which would first build a LlavaOnevisionModel.
        super(LlavaOnevisionForConditionalGeneration, self).__init__(config)
        self.model = LlavaVideoModel(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()


#: Prepared frames that a processor keeps.
_PREPARED = 256
_VIDEO_PROCESSOR = "LlavaOnevisionVideoProcessor"
#: Settings of pictures that are those of frames, too.
_OF_FRAMES = (
    "do_convert_rgb", "do_normalize", "do_rescale", "do_resize", "image_mean", "image_std",
    "resample", "rescale_factor", "size",
)  # fmt: skip


class FramesProcessor(LlavaOnevisionProcessor):
    """LLaVA-OneVision's processor, with every frame of a video prepared as an image is.

    It has no video processor of its own, so it needs no torchvision. Which frames to take from a
    film is for the caller to choose; all videos of one call need equally many.
    """

    # The parent's __call__ looks for this name before it calls _process_videos.
    video_processor = None

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        num_image_tokens: int | None = None,
        vision_feature_select_strategy: str | None = None,
        chat_template: str | None = None,
        image_token: str = "<image>",
        video_token: str = "<video>",
        vision_aspect_ratio: str = "anyres_max_9",
    ) -> None:
        super().__init__(
            image_processor,
            tokenizer,
            num_image_tokens=num_image_tokens,
            vision_feature_select_strategy=vision_feature_select_strategy,
            chat_template=chat_template,
            image_token=image_token,
            video_token=video_token,
            vision_aspect_ratio=vision_aspect_ratio,
        )
        self._prepared: dict[tuple, torch.Tensor] = {}

    def _process_videos(self, videos: Any, **kwargs: Any) -> tuple[dict[str, Any], list[str]]:
        videos = make_batched_videos(videos)
        for video in videos:
            if isinstance(video, (str, Path)):
                raise TypeError(f"a video must be given as its frames, not as {video!r}")
        counts = {len(video) for video in videos}
        if len(counts) > 1:
            raise ValueError(
                f"the videos have {sorted(counts)} frames: give all of one call equally many"
            )
        pixels = torch.stack([self._frames(list(video)) for video in videos])
        replacements = [self.video_token * self._video_length(len(video)) for video in videos]
        return {"pixel_values_videos": pixels}, replacements

    def _frames(self, frames: list[Any]) -> torch.Tensor:
        """The frames as ``[frames, 3, height, width]``."""
        size = self.image_processor.size
        how = self.image_processor.to_json_string()
        keys = [(how, np.shape(frame), np.asarray(frame).tobytes()) for frame in frames]
        # A picture that is shown again and again, in this video or the next, is prepared once.
        ready = {key: self._prepared[key] for key in keys if key in self._prepared}
        new = {key: frame for key, frame in zip(keys, frames, strict=True) if key not in ready}
        if new:
            # The first of an image's tiles shows it whole. One more is the fewest to ask for.
            tiles = self.image_processor(
                list(new.values()),
                image_grid_pinpoints=[[size["height"], size["width"]]],
                return_tensors="pt",
            )
            ready |= dict(zip(new, tiles["pixel_values"][:, 0].unbind(), strict=True))
        self._prepared = dict(list((self._prepared | ready).items())[-_PREPARED:])
        return torch.stack([ready[key] for key in keys])

    def to_dict(self) -> dict[str, Any]:
        """What is saved: transformers reads it as LLaVA-OneVision's own, beside torchvision."""
        found = super().to_dict()
        if type(self) is FramesProcessor:
            images = found["image_processor"]
            frames = {key: images[key] for key in _OF_FRAMES if key in images}
            found["processor_class"] = LlavaOnevisionProcessor.__name__
            found["video_processor"] = {"video_processor_type": _VIDEO_PROCESSOR, **frames}
        return found

    def _video_length(self, frames: int) -> int:
        """Tokens of a video: the pooled frames and one newline at the end."""
        return frames * pooled_side(round(self.num_image_tokens**0.5), "bilinear") ** 2 + 1


class LlavaVideoProcessor(FramesProcessor):
    """Text, images and videos, as LLaVA-Video packs them; frames as in the original code."""

    # The signature is what transformers saves and loads: it cannot be shortened to **kwargs.
    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        num_image_tokens: int | None = None,
        vision_feature_select_strategy: str | None = None,
        chat_template: str | None = None,
        image_token: str = "<image>",
        video_token: str = "<video>",
        vision_aspect_ratio: str = "anyres_max_9",
        spatial_pool_mode: PoolMode = "bilinear",
    ) -> None:
        self.spatial_pool_mode = spatial_pool_mode
        super().__init__(
            image_processor,
            tokenizer,
            num_image_tokens,
            vision_feature_select_strategy,
            chat_template,
            image_token,
            video_token,
            vision_aspect_ratio,
        )

    def _video_length(self, frames: int) -> int:
        side = pooled_side(round(self.num_image_tokens**0.5), self.spatial_pool_mode)
        return frames * side * (side + 1)

    def _get_num_multimodal_tokens(
        self, image_sizes: Any = None, video_sizes: Any = None, **kwargs: Any
    ) -> MultiModalData:
        # Other programs plan with these counts; the parent's would be wrong for videos.
        counts = super()._get_num_multimodal_tokens(image_sizes, None, **kwargs)
        if video_sizes is not None:
            counts.num_video_tokens = [self._video_length(frames) for frames, _, _ in video_sizes]
        return counts


def _register() -> None:
    """Tell the Auto classes, so that ``from_pretrained`` needs no remote code."""
    AutoConfig.register(LlavaVideoConfig.model_type, LlavaVideoConfig, exist_ok=True)
    AutoModel.register(LlavaVideoConfig, LlavaVideoModel, exist_ok=True)
    AutoModelForImageTextToText.register(
        LlavaVideoConfig, LlavaVideoForConditionalGeneration, exist_ok=True
    )
    AutoProcessor.register(LlavaVideoConfig, LlavaVideoProcessor, exist_ok=True)


_register()
