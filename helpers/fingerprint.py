"""Names for what results depend on: the same content, the same name."""

import hashlib
from typing import Any

import torch

from helpers.hooks import HookedVLM
from helpers.prompts import Prompt

#: Values of each weight tensor that a model's name depends on.
_SAMPLED = 16


class Fingerprint:
    """A hash that takes what experiments are made of."""

    def __init__(self, *parts: Any) -> None:
        """Begin with anything whose ``repr`` says it all."""
        self._hash = hashlib.sha256(repr(parts).encode())

    def add(self, *parts: Any) -> "Fingerprint":
        """Add tensors by their values, models by name and weights, the rest by its ``repr``."""
        for part in parts:
            if isinstance(part, HookedVLM):
                self.add(str(part.model.config._name_or_path), str(part.dtype))
                # A few values of every tensor tell one checkpoint, or one lesson, from another.
                for weight in part.model.parameters():
                    values = weight.detach().flatten()
                    self.add(values[:: max(1, len(values) // _SAMPLED)])
            elif isinstance(part, Prompt):
                self.add(part.text)
                for picture in part.frames or (part.image,):
                    self._hash.update(picture.tobytes())
            elif isinstance(part, torch.Tensor):
                values = part.detach().float().cpu().contiguous()
                self._hash.update(repr(values.shape).encode() + values.numpy().tobytes())
            else:
                self._hash.update(repr(part).encode())
        return self

    def __str__(self) -> str:
        return self._hash.hexdigest()[:16]
