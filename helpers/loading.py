"""Load a vision-language model by short name, hub id, path, or as it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from helpers.hooks import HookedVLM

ORGANISMS = Path(__file__).parent / "organisms"

#: Short names of models on the hub.
KNOWN = {"llava-1.5-7b": "llava-hf/llava-1.5-7b-hf", "llava-1.5-13b": "llava-hf/llava-1.5-13b-hf"}


def shipped_models() -> list[str]:
    """Names of the models that come with this package."""
    return sorted(path.parent.name for path in ORGANISMS.glob("*/config.json"))


def load_vlm(
    name_or_path_or_model: str | Path | Any,
    processor: Any = None,
    device: str = "auto",
    dtype: torch.dtype | None = None,
    **options: Any,
) -> "HookedVLM":
    """Load a model with its processor and wrap it for hooks.

    Args:
        name_or_path_or_model: a shipped model ("tiny-llava"), a short name ("llava-1.5-7b"), a hub
            id, a folder, or a Hugging Face model that is already loaded.
        processor: needed with a loaded model only.
        device: "auto" takes CUDA when there is one.
        dtype: by default float32 on the CPU and half precision on a GPU.
        options: passed on to ``from_pretrained`` (``device_map``, quantization, ...).

    Raises:
        ValueError: if nothing has that name; the message lists what exists.
        FileNotFoundError: if a folder holds no model.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

    from helpers.hooks import HookedVLM

    if isinstance(name_or_path_or_model, PreTrainedModel):
        if processor is None:
            raise ValueError("a loaded model needs its processor: load_vlm(model, processor)")
        return HookedVLM(name_or_path_or_model, processor)
    source = _resolve(str(name_or_path_or_model))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype is None:
        dtype = torch.float32 if device == "cpu" else torch.float16
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, **options)
    if "device_map" not in options:
        model = model.to(device)
    return HookedVLM(model, processor or AutoProcessor.from_pretrained(source))


def _resolve(name: str) -> str:
    if name in shipped_models():
        return str(ORGANISMS / name)
    if name in KNOWN:
        return KNOWN[name]
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise FileNotFoundError(f"the folder {name} holds no model: config.json is missing")
        return str(path)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name
    raise ValueError(
        f"no model called {name!r}; shipped: {', '.join(shipped_models())}; "
        f"short names: {', '.join(KNOWN)}; or give a hub id (owner/name) or a folder"
    )
