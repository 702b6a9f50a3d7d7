"""The models of the paper and those that readers can afford: a table, and whether they fit."""

from dataclasses import dataclass

import pandas as pd

#: Bytes that a free Colab GPU (T4) has for a model and its passes.
T4 = 14.5 * 2**30
#: What passes need beside the weights: activations, keys and values, the CUDA context.
_BESIDE = 1.5 * 2**30


@dataclass(frozen=True)
class KnownModel:
    """A model that the book was written for.

    Attributes:
        short: what to call it here.
        source: its hub id.
        family: its entry in ``families.py``.
        billions: of parameters.
        image_tokens: of a picture of 448 x 448 pixels.
        licence: the weights' licence.
        gated: whether its licence must be accepted before it can be downloaded.
        converted: whether the checkpoint must go through ``python -m helpers.convert`` first.
        role: where it appears: in the paper, or for readers with less memory.
    """

    short: str
    source: str
    family: str
    billions: float
    image_tokens: int
    licence: str
    gated: bool = False
    converted: bool = False
    role: str = "paper"


_LLAMA2, _LLAMA3, _APACHE = "Llama 2 Community", "Llama 3.2 Community", "Apache 2.0"
_QWEN, _GEMMA, _CARD = "Qwen Research", "Gemma", "see its card"

# Licences as the model cards had them when this was written: read them again before you publish.
# Image tokens follow from the settings of the checkpoints' processors.
KNOWN = (
    KnownModel("llava-1.5-7b", "llava-hf/llava-1.5-7b-hf", "LLaVA-1.5", 7.1, 576, _LLAMA2),
    KnownModel("llava-1.5-13b", "llava-hf/llava-1.5-13b-hf", "LLaVA-1.5", 13.4, 576, _LLAMA2),
    KnownModel("qwen2-vl-2b", "Qwen/Qwen2-VL-2B-Instruct", "Qwen2-VL", 2.2, 256, _APACHE),
    KnownModel("qwen2.5-vl-3b", "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL", 3.8, 256, _QWEN),
    KnownModel("qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL", 8.3, 256, _APACHE),
    KnownModel(
        "llama-3.2-11b", "meta-llama/Llama-3.2-11B-Vision-Instruct", "Llama 3.2 Vision",
        10.7, 1, _LLAMA3, gated=True,
    ),
    KnownModel(
        "llava-cot-11b", "Xkev/Llama-3.2V-11B-cot", "Llama 3.2 Vision", 10.7, 1, _LLAMA3
    ),
    KnownModel("internvl3-1b", "OpenGVLab/InternVL3-1B-hf", "InternVL3", 0.9, 256, _CARD),
    KnownModel("internvl3-2b", "OpenGVLab/InternVL3-2B-hf", "InternVL3", 2.1, 256, _CARD),
    KnownModel("internvl3-8b", "OpenGVLab/InternVL3-8B-hf", "InternVL3", 7.9, 256, _CARD),
    KnownModel("internvl3-14b", "OpenGVLab/InternVL3-14B-hf", "InternVL3", 15.1, 256, _CARD),
    KnownModel("gemma-3-4b", "google/gemma-3-4b-it", "Gemma 3", 4.3, 256, _GEMMA, gated=True),
    KnownModel("gemma-3-12b", "google/gemma-3-12b-it", "Gemma 3", 12.2, 256, _GEMMA, gated=True),
    KnownModel(
        "llava-video-7b", "lmms-lab/LLaVA-Video-7B-Qwen2", "LLaVA-Video", 8.0, 3699, _APACHE,
        converted=True,
    ),
    KnownModel(
        "videollama3-2b", "lkhl/VideoLLaMA3-2B-Image-HF", "VideoLLaMA3", 2.0, 1024, _APACHE
    ),
    KnownModel(
        "smolvlm2-256m", "HuggingFaceTB/SmolVLM2-256M-Video-Instruct", "SmolVLM2",
        0.26, 1088, _APACHE, role="small",
    ),
    KnownModel(
        "smolvlm2-500m", "HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "SmolVLM2",
        0.51, 1088, _APACHE, role="small",
    ),
    KnownModel(
        "llava-onevision-0.5b", "llava-hf/llava-onevision-qwen2-0.5b-ov-hf", "LLaVA-OneVision",
        0.9, 3699, _APACHE, role="small",
    ),
    KnownModel(
        "qwen3-vl-2b", "Qwen/Qwen3-VL-2B-Instruct", "Qwen3-VL", 2.1, 196, _APACHE, role="small"
    ),
)  # fmt: skip


def memory_needed(parameters: float, bits: int = 16) -> float:
    """Bytes that a model of so many parameters needs with its passes."""
    return parameters * bits / 8 + _BESIDE


def models() -> pd.DataFrame:
    """The models that the book knows, a row each, by short name.

    Returns:
        Columns ``hub id``, ``family``, ``parameters`` (billions), ``memory`` (GB at half
        precision, passes included), ``fits a T4`` (as it is, in 4 bits, or not), ``image tokens``
        (of 448 x 448 pixels; Llama 3.2's patches are not in the sequence), ``video``, ``licence``,
        and ``note``.
    """
    from helpers.families import families

    films = {family.name for family in families() if family.video_views is not None}
    rows = []
    for model in KNOWN:
        parameters = model.billions * 1e9
        half, quarter = memory_needed(parameters), memory_needed(parameters, bits=4)
        notes = [
            "accept its licence on the hub first" if model.gated else "",
            "convert it first" if model.converted else "",
            "for readers with less memory" if model.role == "small" else "",
        ]
        rows.append(
            {
                "model": model.short,
                "hub id": model.source,
                "family": model.family,
                "parameters": model.billions,
                "memory": round(half / 2**30, 1),
                "fits a T4": "yes" if half < T4 else "in 4 bits" if quarter < T4 else "no",
                "image tokens": model.image_tokens,
                "video": model.family in films,
                "licence": model.licence + (" (gated)" if model.gated else ""),
                "note": "; ".join(filter(None, notes)),
            }
        )
    return pd.DataFrame(rows).set_index("model")


def largest_that_fits(available: float) -> str | None:
    """The largest known model that needs no more than so many bytes at half precision."""
    fitting = [model for model in KNOWN if memory_needed(model.billions * 1e9) <= available]
    return max(fitting, key=lambda model: model.billions).short if fitting else None
