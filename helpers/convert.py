"""Convert a checkpoint that transformers cannot read as it is::

    python -m helpers.convert llava-video SRC DST

SRC is a folder with the files of LLaVA-Video (lmms-lab/LLaVA-Video-7B-Qwen2) as its authors
published them: ``config.json``, ``*.safetensors`` and the tokenizer's files. DST becomes a model
that ``load_vlm`` reads. Everything is checked before the first weight is copied; weights are copied
bit for bit, a few gigabytes at a time; DST appears only when it is complete.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm
from transformers import (
    AddedToken,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

from helpers.llava_video import (
    LlavaVideoConfig,
    LlavaVideoForConditionalGeneration,
    LlavaVideoProcessor,
)

#: Vision towers by ``mm_vision_tower``: the source's config says nothing else about them.
TOWERS: dict[str, dict[str, int]] = {
    "google/siglip-so400m-patch14-384": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 14,
    }
}

#: What a source's config may say; None: the setting may be missing. Others change the features.
SETTINGS: dict[str, tuple[Any, ...]] = {
    "architectures": (["LlavaQwenForCausalLM"],),
    "model_type": ("llava", "llava_qwen"),
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_resampler_type": (None,),
    "mm_vision_select_layer": (-2,),
    "mm_patch_merge_type": ("spatial_unpad",),
    "mm_newline_position": ("grid",),
    "mm_spatial_pool_mode": ("bilinear", "average"),
    "mm_spatial_pool_stride": (2, None),
    "mm_use_im_start_end": (False, None),
    "add_faster_video": (False, None),
    "rope_scaling": (None,),
    "use_sliding_window": (False, None),
}

#: The language model's sizes, copied from the source's config.
TEXT_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
)

#: Beginnings of parameters' names: here, and in the source. The first that fits counts.
PREFIXES = (
    ("model.vision_tower.", "model.vision_tower.vision_tower.vision_model."),
    ("model.multi_modal_projector.linear_1.", "model.mm_projector.0."),
    ("model.multi_modal_projector.linear_2.", "model.mm_projector.2."),
    ("model.language_model.", "model."),
    ("", ""),  # model.image_newline, lm_head
)

#: Tables with a row for each token.
WORD_TABLES = ("model.language_model.embed_tokens.weight", "lm_head.weight")

#: Bytes of each number, by safetensors' name of the type; others are quantized.
TYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}

#: The most bytes of weights that are held at once, and the size of the files written.
SHARD_BYTES = 2 * 2**30

#: ChatML with Qwen's default system prompt, as the original code's "qwen_1_5"; a picture or film
#: is followed by a line break.
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% elif part['type'] == 'video' %}<video>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Stored(NamedTuple):
    """Where a parameter of the source is, and how large."""

    file: Path
    shape: tuple[int, ...]
    bytes: int


def convert_llava_video(source: str | Path, destination: str | Path, progress: bool = True) -> None:
    """Write a LLaVA-Video checkpoint in the form that ``load_vlm`` reads.

    Args:
        source: folder with the original files.
        destination: folder to make; it may exist if it is empty.
        progress: whether to show a bar.

    Raises:
        FileNotFoundError: if the source, its config, its weights or its tokenizer is missing.
        FileExistsError: if the destination is a file or holds anything.
        ValueError: if a setting is not supported, the weights are not safetensors, or their names,
            shapes or types are not those of the model that the config describes.
    """
    source = Path(source).expanduser()
    destination = Path(destination).expanduser().resolve()
    settings = read_settings(source)
    _check_destination(destination)
    stored = find_weights(source)
    tokenizer = read_tokenizer(source)
    config = build_config(settings, tokenizer)
    names = match_names(config, stored)
    config.text_config.vocab_size = max(config.text_config.vocab_size, len(tokenizer))
    processor = build_processor(config, tokenizer)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=destination.parent, prefix=f".{destination.name}.unfinished-"
    ) as folder:
        # A folder of its own, since a temporary one is closed to other users.
        model = Path(folder) / "model"
        model.mkdir()
        config.save_pretrained(model)
        processor.save_pretrained(model)
        if (source / "generation_config.json").exists():
            shutil.copyfile(source / "generation_config.json", model / "generation_config.json")
        _copy_weights(names, stored, config.text_config.vocab_size, model, progress)
        if destination.exists():
            destination.rmdir()
        model.rename(destination)


# Reading the source -----------------------------------------------------------------------------


def read_settings(source: Path) -> dict[str, Any]:
    """Return the source's config, checked.

    Raises:
        FileNotFoundError: if there is no such folder or no config in it.
        ValueError: if a setting is missing or not supported.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"no folder {source}; download the checkpoint's files first")
    if not (source / "config.json").exists():
        raise FileNotFoundError(f"{source} holds no config.json, so it is no checkpoint")
    settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    wrong = _unsupported(settings)
    if wrong:
        raise ValueError(f"{source / 'config.json'} is not supported:\n  " + "\n  ".join(wrong))
    return settings


def _unsupported(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with a source's settings, a line each."""
    allowed = SETTINGS | {"mm_vision_tower": tuple(TOWERS)}
    wrong = [
        f"{name}: found {json.dumps(settings.get(name))}, "
        f"expected {' or '.join(json.dumps(value) for value in values)}"
        for name, values in allowed.items()
        if settings.get(name) not in values
    ]
    ratio = settings.get("image_aspect_ratio")
    if not re.fullmatch(r"anyres_max_\d+", str(ratio)):
        wrong.append(f'image_aspect_ratio: found {json.dumps(ratio)}, expected "anyres_max_9"')
    needed = (*TEXT_SIZES, "rope_theta", "image_grid_pinpoints")
    return wrong + [f"{name}: missing" for name in needed if settings.get(name) is None]


def find_weights(source: Path) -> dict[str, Stored]:
    """Read the headers of all weight files; no weight is loaded.

    Raises:
        FileNotFoundError: if there are no weights, or one of the index's files is missing.
        ValueError: if there are pickled weights only, a type is not supported, or two files hold
            the same parameter.
    """
    stored: dict[str, Stored] = {}
    for file in _weight_files(source):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no dict)
                if name in stored:
                    raise ValueError(f"{name} is in {stored[name].file.name} and in {file.name}")
                entry = weights.get_slice(name)
                kind, shape = entry.get_dtype(), tuple(entry.get_shape())
                if kind not in TYPE_BYTES:
                    raise ValueError(
                        f"{name} has type {kind}, expected {', '.join(TYPE_BYTES)}: "
                        "convert the checkpoint before it is quantized"
                    )
                size = TYPE_BYTES[kind] * torch.Size(shape).numel()
                stored[name] = Stored(file, shape, size)
    return stored


def _weight_files(source: Path) -> list[Path]:
    index = source / "model.safetensors.index.json"
    if index.exists():
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        paths = [source / name for name in sorted(set(files))]
    else:
        paths = sorted(source.glob("*.safetensors"))
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(f"{index} names files that are missing: {_some(missing)}")
    if not paths and list(source.glob("*.bin")):
        raise ValueError(
            f"{source} holds its weights as .bin files only. These are pickles, which can run any "
            "code when they are read: get the safetensors files"
        )
    if not paths:
        raise FileNotFoundError(f"{source} holds no weights: no *.safetensors")
    return paths


def read_tokenizer(source: Path) -> PreTrainedTokenizerBase:
    """Return the source's tokenizer, with tokens ``<image>`` and ``<video>``.

    Raises:
        FileNotFoundError: if the source holds no tokenizer.
    """
    if not any((source / name).exists() for name in ("tokenizer.json", "vocab.json")):
        raise FileNotFoundError(f"{source} holds no tokenizer: no tokenizer.json, no vocab.json")
    # The source's own config names no model that transformers knows.
    tokenizer = AutoTokenizer.from_pretrained(source, config=Qwen2Config())
    for token in ("<image>", "<video>"):
        if token not in tokenizer.get_vocab():
            tokenizer.add_tokens(AddedToken(token, special=True, normalized=False), True)
    return tokenizer


# Building what is not copied --------------------------------------------------------------------


def build_config(
    settings: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase
) -> LlavaVideoConfig:
    """Return the config that a source's settings describe.

    Raises:
        ValueError: if the image sizes (``image_grid_pinpoints``) cannot be read.
    """
    tower = TOWERS[settings["mm_vision_tower"]]
    vision = SiglipVisionConfig(
        # LLaVA cuts off the tower's last block and its head and takes what leaves the last block
        # that remains, before the final norm.
        **tower | {"num_hidden_layers": tower["num_hidden_layers"] - 1},
        vision_use_head=False,
    )
    optional = ("bos_token_id", "eos_token_id", "pad_token_id", "hidden_act")
    tied = bool(settings.get("tie_word_embeddings"))
    text = Qwen2Config(
        **{name: settings[name] for name in TEXT_SIZES},
        **{name: settings[name] for name in optional if settings.get(name) is not None},
        rope_parameters={"rope_type": "default", "rope_theta": settings["rope_theta"]},
        tie_word_embeddings=tied,
    )
    return LlavaVideoConfig(
        architectures=[LlavaVideoForConditionalGeneration.__name__],
        text_config=text,
        vision_config=vision,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=_image_sizes(settings["image_grid_pinpoints"]),
        vision_aspect_ratio=settings["image_aspect_ratio"],
        spatial_pool_mode=settings["mm_spatial_pool_mode"],
        tie_word_embeddings=tied,
        dtype=settings.get("torch_dtype"),
    )


def _image_sizes(pinpoints: Any) -> list[list[int]]:
    """The sizes that images are scaled to as (height, width); the source has (width, height)."""
    if not (
        isinstance(pinpoints, list)
        and pinpoints
        and all(isinstance(pair, list) and len(pair) == 2 for pair in pinpoints)
    ):
        raise ValueError(
            f"image_grid_pinpoints: found {json.dumps(pinpoints)}, expected a list of pairs "
            "[width, height] in pixels"
        )
    return [[height, width] for width, height in pinpoints]


def build_processor(
    config: LlavaVideoConfig, tokenizer: PreTrainedTokenizerBase
) -> LlavaVideoProcessor:
    """Return the processor of a config: SigLIP's pixels, LLaVA-OneVision's tiles."""
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    images = LlavaOnevisionImageProcessorPil(
        size={"height": side, "width": side},
        image_grid_pinpoints=config.image_grid_pinpoints,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaVideoProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        num_image_tokens=(side // patch) ** 2,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
        vision_aspect_ratio=config.vision_aspect_ratio,
        spatial_pool_mode=config.spatial_pool_mode,
    )


# Weights ----------------------------------------------------------------------------------------


def match_names(config: LlavaVideoConfig, stored: Mapping[str, Stored]) -> dict[str, str]:
    """Return for every parameter of the model the source's name for it.

    Raises:
        ValueError: if the source lacks one, has one that the model has not, or another shape.
    """
    with torch.device("meta"):  # names and shapes, no memory
        model = LlavaVideoForConditionalGeneration(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del shapes["lm_head.weight"]
    names = {name: source_name(name) for name in shapes}
    problems = {
        "missing": sorted(set(names.values()) - set(stored)),
        "unknown": sorted(set(stored) - set(names.values())),
        "of another shape than the config says": [
            f"{name} {stored[name].shape}, expected {shapes[target]}"
            for target, name in names.items()
            if name in stored and stored[name].shape != shapes[target]
        ],
    }
    lines = [f"  {len(found)} {kind}: {_some(found)}" for kind, found in problems.items() if found]
    if lines:
        raise ValueError("the source's parameters do not fit its config:\n" + "\n".join(lines))
    return names


def source_name(name: str) -> str:
    """The original code's name for a parameter."""
    ours, theirs = next(pair for pair in PREFIXES if name.startswith(pair[0]))
    return theirs + name.removeprefix(ours)


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def plan_files(names: Mapping[str, str], stored: Mapping[str, Stored]) -> list[list[str]]:
    """Divide parameters among files of at most ``SHARD_BYTES``, or of one parameter that is larger.

    They stay in the order in which they lie in the source.
    """
    files: list[list[str]] = []
    left = 0
    for name in sorted(names, key=lambda name: (stored[names[name]].file, names[name])):
        size = stored[names[name]].bytes
        if size > left:
            files.append([])
            left = SHARD_BYTES
        files[-1].append(name)
        left -= size
    return files


def _copy_weights(
    names: Mapping[str, str],
    stored: Mapping[str, Stored],
    rows: int,
    folder: Path,
    progress: bool,
) -> None:
    """Write the weight files and their index, one file's tensors in memory at a time."""
    plan = plan_files(names, stored)
    weight_map, written = {}, 0
    total = sum(stored[name].bytes for name in names.values())
    with tqdm(total=total, desc="weights", unit="B", unit_scale=True, disable=not progress) as bar:
        for number, group in enumerate(plan, start=1):
            file = f"model-{number:05}-of-{len(plan):05}.safetensors"
            tensors = {}
            for name in group:
                tensors[name] = _load(names[name], stored[names[name]].file)
                if name in WORD_TABLES:
                    tensors[name] = with_rows(tensors[name], rows)
                weight_map[name] = file
                written += tensors[name].nbytes
                bar.update(stored[names[name]].bytes)
            save_file(tensors, folder / file, metadata={"format": "pt"})
    index = {"metadata": {"total_size": written}, "weight_map": weight_map}
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _load(name: str, file: Path) -> torch.Tensor:
    with safe_open(file, framework="pt") as weights:
        return weights.get_tensor(name)


def with_rows(table: torch.Tensor, rows: int) -> torch.Tensor:
    """Add rows to ``[tokens, width]`` for new tokens: the mean of those that are there.

    The placeholders' embeddings are never used, and the mean makes them no likely answer.
    """
    if rows <= len(table):
        return table
    mean = table.mean(dim=0, dtype=torch.float32).to(table.dtype)
    return torch.cat((table, mean.expand(rows - len(table), -1)))


# Command line -----------------------------------------------------------------------------------


def _check_destination(destination: Path) -> None:
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise FileExistsError(
            f"{destination} exists already and is no empty folder: name another, or remove it"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what is wrong ends it with a message."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.convert",
        description="Convert a checkpoint that transformers cannot read as it is.",
    )
    parser.add_argument("kind", choices=["llava-video"], help="what the source is")
    parser.add_argument("source", metavar="SRC", help="folder with the original files")
    parser.add_argument("destination", metavar="DST", help="folder to make")
    options = parser.parse_args(arguments)
    try:
        convert_llava_video(options.source, options.destination)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(
        f"{options.destination} is complete. To use it:\n\n"
        "    from helpers import load_vlm\n"
        f"    vlm = load_vlm({options.destination!r})\n\n"
        "With transformers alone, import helpers.llava_video first; then AutoProcessor and\n"
        "AutoModelForImageTextToText read it. A film is given as a list of frames."
    )


if __name__ == "__main__":
    main()
