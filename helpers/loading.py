"""Load a vision-language model by short name, hub id, path, or as it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from helpers.catalog import KNOWN, largest_that_fits, memory_needed
from helpers.families import family_of

if TYPE_CHECKING:
    from helpers.hooks import HookedVLM

ORGANISMS = Path(__file__).parent / "organisms"
_SHORT = {model.short: model for model in KNOWN}


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
        name_or_path_or_model: a shipped model ("tiny-llava"), a short name ("llava-1.5-7b"; see
            :func:`helpers.catalog.models`), a hub id, a folder, or a Hugging Face model that is
            already loaded.
        processor: needed with a loaded model only.
        device: "auto" takes CUDA when there is one.
        dtype: by default float32 on the CPU, and on a GPU what the family is run with.
        options: passed on to ``from_pretrained``: ``device_map="auto"`` spreads a model over
            several devices, ``quantization_config`` loads it in 8 or 4 bits.

    Raises:
        ValueError: if nothing has that name; the message lists what exists.
        FileNotFoundError: if a folder holds no model, or the checkpoint must be converted first.
        PermissionError: if the model is gated and its licence not accepted.
        ConnectionError: if it cannot be downloaded.
        MemoryError: if it does not fit; the message says how much it needs and what would fit.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

    from helpers.hooks import HookedVLM
    from helpers.llava_video import FramesProcessor  # lets the Auto classes know LLaVA-Video

    if isinstance(name_or_path_or_model, PreTrainedModel):
        if processor is None:
            raise ValueError("a loaded model needs its processor: load_vlm(model, processor)")
        return HookedVLM(name_or_path_or_model, processor)
    source = _resolve(str(name_or_path_or_model))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    config = _fetch(AutoConfig, source)
    family = family_of(config)
    if dtype is None:
        dtype = default_dtype(family.dtypes, device)
    if not {"device_map", "quantization_config"} & options.keys():
        check_memory(source, config, dtype, device)
    model = _fetch(AutoModelForImageTextToText, source, dtype=dtype, **options)
    if not {"device_map", "quantization_config"} & options.keys():
        model = model.to(device)
    kind = FramesProcessor if family.frames_as_pictures else AutoProcessor
    return HookedVLM(model, processor or _fetch(kind, source))


def _resolve(name: str) -> str:
    if name in shipped_models():
        return str(ORGANISMS / name)
    if name in _SHORT:
        known = _SHORT[name]
        if known.converted:
            raise FileNotFoundError(
                f"{known.source} is not in Hugging Face's form. Download it, convert it "
                "(python -m helpers.convert llava-video SRC DST), and load the folder DST"
            )
        return known.source
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise FileNotFoundError(f"the folder {name} holds no model: config.json is missing")
        return str(path)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name
    raise ValueError(
        f"no model called {name!r}; shipped: {', '.join(shipped_models())}; "
        f"short names: {', '.join(_SHORT)}; or give a hub id (owner/name) or a folder"
    )


def _fetch(kind: type, source: str, **options: Any) -> Any:
    """``kind.from_pretrained``, with errors that say what to do."""
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    try:
        return kind.from_pretrained(source, **options)
    except OSError as error:
        causes = [error, error.__cause__, error.__context__]
        if any(isinstance(cause, GatedRepoError) for cause in causes):
            raise PermissionError(
                f"{source} is gated: accept its licence on its page on the hub, then log in with "
                "`hf auth login` (or set HF_TOKEN to a token that may read it)"
            ) from error
        if any(isinstance(cause, LocalEntryNotFoundError) for cause in causes):
            raise ConnectionError(
                f"{source} is not on this machine and cannot be downloaded. Without network, give "
                f"a folder that holds the model, or a shipped one: {', '.join(shipped_models())}"
            ) from error
        raise


def default_dtype(preferred: tuple[str, ...], device: str) -> torch.dtype:
    """Float32 on the CPU; on a GPU the first of the family's types that it computes in."""
    if not device.startswith("cuda"):
        return torch.float32
    usable = [
        name
        for name in preferred
        # Older GPUs (T4) only imitate bfloat16, slowly.
        if name != "bfloat16" or torch.cuda.is_bf16_supported(including_emulation=False)
    ]
    return getattr(torch, usable[0])


def count_parameters(config: Any) -> int:
    """Parameters of a model, from its config alone: nothing is loaded."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


def check_memory(source: str, config: Any, dtype: torch.dtype, device: str) -> float:
    """Bytes that a model needs with its passes, if the device has them.

    Raises:
        MemoryError: if it has not: how much is needed, how much there is, and what would fit.
    """
    needed = memory_needed(count_parameters(config), bits=8 * dtype.itemsize)
    available = memory_available(device)
    if needed > available:
        smaller = largest_that_fits(available)
        raise MemoryError(
            f"{source} needs about {needed / 2**30:.1f} GB in {dtype}, and {device} has "
            f"{available / 2**30:.1f} GB free. "
            + (f"{smaller!r} would fit. " if smaller else "")
            + "Or load it in 4 bits (quantization_config) or over several devices "
            'with device_map="auto"'
        )
    return needed


def memory_available(device: str) -> float:
    """Free bytes on a device."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def will_it_fit(name: str) -> str:
    """One line for the beginning of a notebook: what a model needs, and what there is.

    It raises what :func:`load_vlm` raises, before anything large is loaded.
    """
    from transformers import AutoConfig

    import helpers.llava_video  # noqa: F401  # lets the Auto classes know it

    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = _resolve(name)
    config = _fetch(AutoConfig, source)
    dtype = default_dtype(family_of(config).dtypes, device)
    needed = check_memory(source, config, dtype, device)
    return (
        f"{Path(source).name}: needs about {needed / 2**30:.1f} GB in {dtype}; "
        f"{device} has {memory_available(device) / 2**30:.1f} GB free"
    )
