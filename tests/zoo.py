"""A zoo: one tiny model of every family, of its real Hugging Face classes, built without network.

Weights are random, but so large that every patch and every token moves the logits. What is odd
about a family is switched on as in its checkpoints: multimodal rotary positions, tiles, sliding
windows, tied embeddings, and so on; each builder's docstring says what.

    model, processor = ZOO["qwen2_vl"]()
    inputs = video_inputs(processor, frames, "Does the frog move left or right?")

Image processors are the PIL versions. All video processors of Hugging Face need torchvision, so
:class:`FrameByFrame` stands in for them; processor and model are the real ones.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from unittest import mock

import torch
import transformers as hf
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import processing_utils
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import (
    VideoLlama3ImageProcessorPil,
)
from transformers.video_processing_utils import VideoProcessorMixin
from transformers.video_utils import VideoMetadata

from helpers.llava_video import (
    LlavaVideoConfig,
    LlavaVideoForConditionalGeneration,
    LlavaVideoProcessor,
)
from helpers.training.build import Shape, build_model, build_processor
from helpers.training.tokenizer import build_tokenizer

Built = tuple[nn.Module, Any]

#: The sizes of every decoder: grouped queries (two query heads share a key), heads of 16.
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
#: The sizes of every vision tower.
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}

# Tokenizers -------------------------------------------------------------------------------------

_SENTENCES = (
    "Is the frog to the left or right of the camel? Is the dog above or below the tree?",
    "Where is the cat? Left. Right. Yes. No. The car is in front of the chair, behind the robot.",
    "Does the object move left or right, up or down? Which back-pack? You are a helpful assistant.",
    "user assistant model system User: Assistant: Time 0.0s: Frame1: seconds",
)


def chat_template(
    turn: str, end: str, image: str, video: str = "", begin: str = "", assistant: str = "assistant"
) -> str:
    """A chat template: ``turn`` opens what ROLE says, ``end`` closes it."""
    role = "message['role'] | capitalize" if assistant.istitle() else "message['role']"
    return (
        f"{begin}{{% for message in messages %}}{turn.replace('ROLE', '{{ ' + role + ' }}')}"
        "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
        f"{{% elif part['type'] == 'image' %}}{image}{{% else %}}{video}{{% endif %}}{{% endfor %}}"
        f"{end}{{% endfor %}}{{% if add_generation_prompt %}}"
        f"{turn.replace('ROLE', assistant)}{{% endif %}}"
    )


CHATML = {"turn": "<|im_start|>ROLE\n", "end": "<|im_end|>\n"}


def make_tokenizer(
    specials: Sequence[str], template: str, bos: str | None = None, **named: str
) -> hf.PreTrainedTokenizerFast:
    """A byte-level BPE in which *frog* is one token, *left* another, and *backpack* several.

    Args:
        specials: the family's special tokens; their ids follow the words' in this order.
        template: its chat template.
        bos: the token that begins every text, in families that have one.
        named: what the processor asks the tokenizer for, such as ``image_token``.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + 160, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    if bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    named = {"bos_token": bos, **named}
    usual = {name: named.pop(name) for name in ("bos_token", "eos_token", "pad_token")}
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{name: token for name, token in usual.items() if token},
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=2048,
        extra_special_tokens=named,
        chat_template=template,
    )


def chatml_tokenizer(image: str, video: str, extra: Sequence[str] = (), **options: Any):
    """The tokenizer of Qwen and of what is built on it."""
    named = options.pop("named", {"image_token": image, "video_token": video})
    before, after = options.pop("around", ("", ""))
    template = chat_template(
        **CHATML, image=before + image + after, video=before + video + after, **options
    )
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *extra, image, video]
    return make_tokenizer(
        specials, template, eos_token="<|im_end|>", pad_token="<|endoftext|>", **named
    )


# Weights ----------------------------------------------------------------------------------------


def make_model(
    kind: Callable[[Any], nn.Module], config: Any, tokenizer: Any, seed: int = 0
) -> nn.Module:
    """Build a model, with weights with which everything matters and the ids that end an answer."""
    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(std=weight[0].numel() ** -0.5)
            elif name.endswith("gate"):
                weight.fill_(0.8)  # Mllama's gates are born shut: nothing of the image comes in
            else:
                # Norms keep their centre, which is 1, or 0 in Gemma, which adds the 1 itself.
                weight.add_(0.1 * torch.randn_like(weight))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.eval()


def ids(tokenizer: Any) -> dict[str, int]:
    """What a decoder's config says about the vocabulary."""
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


# Videos without torchvision ---------------------------------------------------------------------


class FrameByFrame(VideoProcessorMixin):
    """Stands in for a family's video processor: the image processor on every frame, then packed.

    What it returns has the names, shapes and order of patches of the real one. Frames are not
    sampled, and each has the image's budget of pixels. A video is a list of frames of one size.
    """

    fps = 1.0
    num_frames = None

    def __init__(
        self, image_processor: Any, pack: Callable[[Mapping[str, torch.Tensor]], dict], **options
    ) -> None:
        super().__init__()
        self.image_processor, self.pack, self.options = image_processor, pack, options
        for name in ("merge_size", "temporal_patch_size"):
            if hasattr(image_processor, name):
                setattr(self, name, options.get(name, getattr(image_processor, name)))

    def __call__(self, videos: Any, return_metadata: bool = False, **ignored: Any) -> BatchFeature:
        videos = [videos] if isinstance(videos[0], Image.Image) else videos
        packed = [
            self.pack(self.image_processor(list(video), return_tensors="pt", **self.options))
            for video in videos
        ]
        data = {name: torch.cat([one[name] for one in packed]) for name in packed[0]}
        if return_metadata:
            data["video_metadata"] = [
                VideoMetadata(
                    total_num_frames=len(video),
                    fps=self.fps,
                    duration=len(video) / self.fps,
                    frames_indices=list(range(len(video))),
                )
                for video in videos
            ]
        return BatchFeature(data)


def pack_patches(frames: Mapping[str, torch.Tensor], steps: int = 2) -> dict[str, torch.Tensor]:
    """Qwen's flat patches of ``steps`` frames each; the last frame is repeated if one is missing.

    An image is a video that stands still: its patches hold it ``steps`` times.
    """
    grid = frames["image_grid_thw"]
    count, patches = len(grid), int(grid[0].prod())
    side = round((frames["pixel_values"].shape[1] / 3 / steps) ** 0.5)
    still = frames["pixel_values"].view(count, patches, 3, steps, side, side)[:, :, :, 0]
    still = torch.cat([still, still[-1:].expand(-count % steps, *still.shape[1:])])
    moving = still.unflatten(0, (-1, steps)).permute(0, 2, 3, 1, 4, 5)
    return {
        "pixel_values_videos": moving.reshape(-1, 3 * steps * side * side),
        "video_grid_thw": torch.tensor([[len(moving), *grid[0, 1:].tolist()]]),
    }


def pack_uncompressed(frames: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """VideoLLaMA 3's patches of one frame each, merged 2 x 2, all of them kept."""
    packed = pack_patches(frames, steps=1)
    merge = frames["image_merge_sizes"][:1]
    tokens = int(packed["video_grid_thw"].prod() // merge**2)
    return packed | {
        "video_merge_sizes": merge,
        "video_compression_mask": torch.ones(tokens, dtype=torch.bool),
    }


def pack_frames(frames: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Whole frames ``[1, frame, channel, row, column]``; of tiles, the one that shows it all."""
    values = frames["pixel_values"]
    return {"pixel_values_videos": (values[:, 0] if values.ndim == 5 else values)[None]}


def pack_as_images(frames: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """SmolVLM's frames, which are images of one prompt."""
    return {
        name: frames[name].flatten(0, 1)[None] for name in ("pixel_values", "pixel_attention_mask")
    }


def assemble(kind: type, **parts: Any) -> Any:
    """Build a processor of images and videos.

    It checks the class of its video processor against ``transformers.VideoProcessorMixin``, which
    exists but is exported only beside torchvision: export it meanwhile.
    """
    library = processing_utils.transformers_module
    with mock.patch.object(library, "VideoProcessorMixin", VideoProcessorMixin, create=True):
        return kind(chat_template=parts["tokenizer"].chat_template, **parts)


def video_inputs(processor: Any, frames: Sequence[Image.Image], question: str) -> BatchFeature:
    """A video and a question through the processor, as ``build_prompt`` does with an image."""
    content = [{"type": "video"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return processor(videos=[list(frames)], text=[text], return_tensors="pt")


# Families ---------------------------------------------------------------------------------------


def llava() -> Built:
    """LLaVA-1.5: one square grid of CLIP's patches, without its class token; a Llama."""
    tokenizer = build_tokenizer()
    shape = Shape(vision_layers=1, vision_width=32, layers=3, width=48, heads=2, mlp_width=64)
    model = make_model(partial(build_model, shape), tokenizer, tokenizer)
    return model, build_processor(shape, tokenizer)


_VISION_MARKS = ("<|vision_start|>", "<|vision_end|>")


def _qwen_tokenizer(begin: str = "") -> Any:
    return chatml_tokenizer(
        "<|image_pad|>", "<|video_pad|>", extra=_VISION_MARKS, around=_VISION_MARKS, begin=begin
    )


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = ("image", "video", "vision_start", "vision_end")
    tokens = ("<|image_pad|>", "<|video_pad|>", *_VISION_MARKS)
    return {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
        for name, token in zip(names, tokens, strict=True)
    }


def _qwen_processor(kind: type, tokenizer: Any, patch: int = 14) -> Any:
    area = (2 * patch) ** 2  # of one token
    size = {"shortest_edge": 4 * area, "longest_edge": 16 * area}
    images = Qwen2VLImageProcessorPil(size=size, patch_size=patch)
    return assemble(
        kind,
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=FrameByFrame(images, pack_patches),
    )


_QWEN_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
_QWEN_VISION = {"depth": 2, "num_heads": 2, "patch_size": 14}
_MROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}


def qwen2_vl() -> Built:
    """Qwen2-VL: any image size, 2 x 2 patches merged, text before the image, positions (time,
    row, column) in parts of each head, biases in queries, keys and values, tied embeddings (2B)."""
    tokenizer = _qwen_tokenizer(_QWEN_SYSTEM)
    config = hf.Qwen2VLConfig(
        text_config=hf.Qwen2VLTextConfig(**TEXT, **ids(tokenizer), rope_parameters=dict(_MROPE)),
        vision_config=hf.models.qwen2_vl.configuration_qwen2_vl.Qwen2VLVisionConfig(
            **_QWEN_VISION, embed_dim=32, mlp_ratio=2, hidden_size=TEXT["hidden_size"]
        ),
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    model = make_model(hf.Qwen2VLForConditionalGeneration, config, tokenizer)
    return model, _qwen_processor(hf.Qwen2VLProcessor, tokenizer)


def qwen2_5_vl() -> Built:
    """Qwen2.5-VL: as Qwen2-VL, with windows of patches in the vision tower, video positions in
    seconds, and untied embeddings (7B)."""
    tokenizer = _qwen_tokenizer(_QWEN_SYSTEM)
    config = hf.Qwen2_5_VLConfig(
        text_config=hf.Qwen2_5_VLTextConfig(**TEXT, **ids(tokenizer), rope_parameters=dict(_MROPE)),
        vision_config=hf.models.qwen2_5_vl.configuration_qwen2_5_vl.Qwen2_5_VLVisionConfig(
            **_QWEN_VISION,
            hidden_size=32,
            intermediate_size=48,
            out_hidden_size=TEXT["hidden_size"],
            window_size=56,
            fullatt_block_indexes=[1],
            tokens_per_second=2,
        ),
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    model = make_model(hf.Qwen2_5_VLForConditionalGeneration, config, tokenizer)
    return model, _qwen_processor(hf.Qwen2_5_VLProcessor, tokenizer)


def qwen3_vl() -> Built:
    """Qwen3-VL: DeepStack adds vision features to the image's tokens behind the first two blocks;
    interleaved positions, norms on queries and keys, heads wider than the stream's share, a
    timestamp before every video frame, no system prompt, tied embeddings (4B)."""
    tokenizer = _qwen_tokenizer()
    rope = _MROPE | {"rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    text = TEXT | {"hidden_size": 48, "head_dim": 16, "num_hidden_layers": 4}
    config = hf.Qwen3VLConfig(
        text_config=hf.Qwen3VLTextConfig(**text, **ids(tokenizer), rope_parameters=rope),
        vision_config=hf.models.qwen3_vl.configuration_qwen3_vl.Qwen3VLVisionConfig(
            depth=3,
            num_heads=2,
            patch_size=16,
            hidden_size=32,
            intermediate_size=48,
            out_hidden_size=text["hidden_size"],
            num_position_embeddings=36,
            deepstack_visual_indexes=[0, 1],
        ),
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    model = make_model(hf.Qwen3VLForConditionalGeneration, config, tokenizer)
    return model, _qwen_processor(hf.Qwen3VLProcessor, tokenizer, patch=16)


def mllama() -> Built:
    """Llama 3.2 Vision: blocks 1 and 3 attend to the image and to nothing else, gated; one
    placeholder whatever the image, whose id is beyond the output's vocabulary; tiles with an
    aspect ratio; Llama 3's rotary scaling."""
    bos, eot = "<|begin_of_text|>", "<|eot_id|>"
    head = ("<|start_header_id|>", "<|end_header_id|>")
    pad, image = "<|finetune_right_pad_id|>", "<|image|>"
    template = chat_template(f"{head[0]}ROLE{head[1]}\n\n", eot, image, begin=bos)
    tokenizer = make_tokenizer(
        [bos, "<|end_of_text|>", *head, eot, "<|python_tag|>", pad, image],
        template,
        bos=bos,
        eos_token=eot,
        pad_token=pad,
        image_token=image,
    )
    rope = {
        "rope_type": "llama3",
        "rope_theta": 5e5,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    }
    text = TEXT | ids(tokenizer) | {"vocab_size": len(tokenizer) - 1, "num_hidden_layers": 5}
    config = hf.MllamaConfig(
        text_config=hf.models.mllama.configuration_mllama.MllamaTextConfig(
            **text, cross_attention_layers=[1, 3], rope_parameters=rope
        ),
        vision_config=hf.models.mllama.configuration_mllama.MllamaVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_global_layers=1,
            attention_heads=2,
            image_size=42,
            patch_size=14,
            intermediate_layers_indices=[0, 1],
            vision_output_dim=3 * 32,
        ),
        image_token_index=tokenizer.image_token_id,
    )
    processor = hf.MllamaProcessor(
        image_processor=MllamaImageProcessorPil(size={"height": 42, "width": 42}),
        tokenizer=tokenizer,
        chat_template=template,
    )
    return make_model(hf.MllamaForConditionalGeneration, config, tokenizer), processor


def internvl() -> Built:
    """InternVL3: square tiles row by row and a thumbnail after them, pixel shuffle 2 x 2, the
    image between marks; a Qwen2 with tied embeddings (1B)."""
    marks = ("<img>", "</img>")
    context, video = "<IMG_CONTEXT>", "<video>"
    named = {
        "start_image_token": marks[0],
        "end_image_token": marks[1],
        "context_image_token": context,
        "video_token": video,
    }
    tokenizer = chatml_tokenizer(context, video, extra=marks, around=("", "\n"), named=named)
    config = hf.InternVLConfig(
        text_config=hf.Qwen2Config(**TEXT, **ids(tokenizer), tie_word_embeddings=True),
        vision_config=hf.InternVLVisionConfig(**VISION, image_size=56, patch_size=14),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        tie_word_embeddings=True,
    )
    images = GotOcr2ImageProcessorPil(size={"height": 56, "width": 56}, max_patches=4)
    processor = assemble(
        hf.InternVLProcessor,
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=FrameByFrame(images, pack_frames, crop_to_patches=False),
        image_seq_length=4,
    )
    return make_model(hf.InternVLForConditionalGeneration, config, tokenizer), processor


def gemma3() -> Built:
    """Gemma 3: the image's tokens see each other in both directions; sliding windows, shorter
    than the prompt, in all blocks but every third, with rotary angles of their own; four norms a
    block, norms on queries and keys, embeddings scaled by the root of the width, scores not
    scaled by the heads' size (27B); tied."""
    bos, turns = "<bos>", ("<start_of_turn>", "<end_of_turn>")
    begin, end, soft = "<start_of_image>", "<end_of_image>", "<image_soft_token>"
    template = chat_template(
        f"{turns[0]}ROLE\n", f"{turns[1]}\n", begin, begin=bos, assistant="model"
    )
    tokenizer = make_tokenizer(
        ["<pad>", "<eos>", bos, *turns, begin, end, soft],
        template,
        bos=bos,
        eos_token="<eos>",
        pad_token="<pad>",
        boi_token=begin,
        eoi_token=end,
        image_token=soft,
    )
    text = TEXT | {"num_hidden_layers": 4, "head_dim": 16, "query_pre_attn_scalar": 21}
    config = hf.Gemma3Config(
        text_config=hf.Gemma3TextConfig(
            **text,
            **ids(tokenizer),
            sliding_window=24,
            sliding_window_pattern=3,
            rope_parameters={
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        ),
        vision_config=hf.SiglipVisionConfig(
            **VISION, image_size=112, patch_size=14, vision_use_head=False
        ),
        mm_tokens_per_image=16,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    processor = hf.Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": 112, "width": 112}),
        tokenizer=tokenizer,
        chat_template=template,
        image_seq_length=16,
    )
    return make_model(hf.Gemma3ForConditionalGeneration, config, tokenizer), processor


def llava_onevision() -> Built:
    """LLaVA-OneVision: the whole image first, then its tiles as one large grid, cut to the
    image's shape, shrunk if more than four tiles' worth, a newline token behind every row; a
    Qwen2. Video frames are pooled 2 x 2."""
    tokenizer = chatml_tokenizer("<image>", "<video>", around=("", "\n"))
    side = 42
    tiles = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1), (2, 3), (3, 2)]
    pinpoints = [[side * rows, side * columns] for rows, columns in tiles]
    config = hf.LlavaOnevisionConfig(
        text_config=hf.Qwen2Config(**TEXT, **ids(tokenizer)),
        vision_config=hf.SiglipVisionConfig(
            **VISION, image_size=side, patch_size=14, vision_use_head=False
        ),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=pinpoints,
        vision_aspect_ratio="anyres_max_4",
    )
    images = LlavaOnevisionImageProcessorPil(
        size={"height": side, "width": side}, image_grid_pinpoints=pinpoints
    )
    processor = assemble(
        hf.LlavaOnevisionProcessor,
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=FrameByFrame(images, pack_frames),
        num_image_tokens=9,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_4",
    )
    return make_model(hf.LlavaOnevisionForConditionalGeneration, config, tokenizer), processor


def llava_video() -> Built:
    """LLaVA-Video: as LLaVA-OneVision, with a newline behind every row of every video frame."""
    base, onevision = llava_onevision()
    config = LlavaVideoConfig(**{
        key: value for key, value in base.config.to_dict().items() if key != "model_type"
    })  # fmt: skip
    processor = LlavaVideoProcessor(
        image_processor=onevision.image_processor,
        tokenizer=onevision.tokenizer,
        num_image_tokens=onevision.num_image_tokens,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_4",
        chat_template=onevision.chat_template,
    )
    return make_model(LlavaVideoForConditionalGeneration, config, processor.tokenizer), processor


def video_llama_3() -> Built:
    """VideoLLaMA 3: any image size, a token for every patch of an image and for 2 x 2 of a video,
    of one frame each with its time before it; a Qwen2."""
    tokenizer = chatml_tokenizer("<|image_pad|>", "<|video_pad|>", around=("", "\n"))
    config = hf.VideoLlama3Config(
        text_config=hf.Qwen2Config(**TEXT, **ids(tokenizer)),
        vision_config=hf.VideoLlama3VisionConfig(**VISION, patch_size=14),
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
    )
    size = {"shortest_edge": 4 * 14**2, "longest_edge": 24 * 14**2}
    images = VideoLlama3ImageProcessorPil(size=size)
    processor = assemble(
        hf.VideoLlama3Processor,
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=FrameByFrame(images, pack_uncompressed, merge_size=2),
    )
    return make_model(hf.VideoLlama3ForConditionalGeneration, config, tokenizer), processor


def smolvlm(splitting: bool = True) -> Built:
    """SmolVLM2: tiles row by row, each behind a token that names its row and column, then the
    whole image; pixel shuffle 2 x 2; a Llama. Without splitting the whole image is alone."""
    image, around, whole = "<image>", "<fake_token_around_image>", "<global-img>"
    rows_columns = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    template = chat_template(
        "ROLE:", "<end_of_utterance>\n", image, begin="<|im_start|>", assistant="Assistant"
    )
    tokenizer = make_tokenizer(
        ["<|im_start|>", "<|im_end|>", around, whole, *rows_columns, image, "<end_of_utterance>"],
        template,
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        image_token=image,
        fake_image_token=around,
        global_image_token=whole,
    )
    config = hf.SmolVLMConfig(
        text_config=hf.LlamaConfig(**TEXT, **ids(tokenizer)),
        vision_config=hf.SmolVLMVisionConfig(**VISION, image_size=56, patch_size=14),
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
    )
    images = SmolVLMImageProcessorPil(
        size={"longest_edge": 112},
        max_image_size={"longest_edge": 56},
        do_image_splitting=splitting,
    )
    # It wants the package num2words, for the number of frames in words: digits will do.
    processing_smolvlm.num2words = processing_smolvlm.num2words or str
    processor = assemble(
        hf.SmolVLMProcessor,
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=FrameByFrame(images, pack_as_images, do_image_splitting=False),
        image_seq_len=4,
    )
    return make_model(hf.SmolVLMForConditionalGeneration, config, tokenizer), processor


#: By ``config.model_type``, except for the last, which is ``smolvlm`` too.
ZOO: dict[str, Callable[[], Built]] = {
    "llava": llava,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "mllama": mllama,
    "internvl": internvl,
    "gemma3": gemma3,
    "llava_onevision": llava_onevision,
    "llava_video": llava_video,
    "video_llama_3": video_llama_3,
    "smolvlm": smolvlm,
    "smolvlm_whole": partial(smolvlm, splitting=False),
}
#: Those that take videos; SmolVLM never splits their frames.
VIDEO = (
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision", "llava_video"),
    *("video_llama_3", "smolvlm"),
)
