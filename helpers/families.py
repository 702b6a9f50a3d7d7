"""What differs between model families, as data: one entry each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn


def _square_grid(config: Any, inputs: Mapping[str, Any], count: int) -> tuple[int, int]:
    """One square grid of patches, as CLIP gives for square images."""
    side = round(count**0.5)
    if side * side != count:
        raise ValueError(f"{count} image tokens make no square grid")
    return side, side


@dataclass(frozen=True)
class Family:
    """How one family of models is prompted and where its parts are.

    Attributes:
        name: what people call it.
        model_types: values of ``config.model_type`` that belong to it.
        image_token: the placeholder's name in the model's config.
        grid: from (config, inputs, number of image tokens) to (rows, columns).
        row_inputs: the inputs whose first axis is the prompt, so that batches concatenate them.
        required_inputs: inputs without which logits change silently.
        layers: from the model to its decoder blocks, in order.
    """

    name: str
    model_types: tuple[str, ...]
    image_token: str
    grid: Callable[[Any, Mapping[str, Any], int], tuple[int, int]]
    row_inputs: tuple[str, ...] = ("pixel_values",)
    required_inputs: tuple[str, ...] = ("input_ids", "pixel_values")
    layers: Callable[[nn.Module], nn.ModuleList] = lambda model: model.get_decoder().layers


FAMILIES = (
    Family(
        name="LLaVA-1.5",
        model_types=("llava",),
        image_token="image_token_id",
        grid=_square_grid,
    ),
)


def family_of(config: Any) -> Family:
    """Return the entry for a model's config.

    Raises:
        ValueError: if the family is not known; the message lists those that are.
    """
    for family in FAMILIES:
        if config.model_type in family.model_types:
            return family
    known = ", ".join(kind for family in FAMILIES for kind in family.model_types)
    raise ValueError(
        f"no entry for model type {config.model_type!r} in families.py; known: {known}"
    )
