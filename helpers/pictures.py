"""Let a vision tower encode equal pictures once.

A clip shows the same frame again and again, and the reversed clip shows them all once more. A
chapter reads beliefs about a picture, then states, then steers. A tower that takes pictures apart
from each other gives each the same states every time.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn
from transformers.utils import ModelOutput

from helpers.hooks import HookedVLM
from helpers.rows import is_hooked

#: Bytes of states that are kept at most for each tower.
BUDGET = 2**28
#: Bytes of weights that may be compared before every use. What a larger tower made of pictures is
#: kept for as long as a function of the package runs, and forgotten then.
SMALL_TOWER = 2**26

#: What a tower made of one picture, by the names in its output.
_States = dict[str, Any]


class _Memory:
    """A tower's forward pass that remembers what the tower made of the pictures it has seen."""

    def __init__(self, weights: int | None) -> None:
        self.weights = weights  # what the states were made with
        self.states: dict[tuple, _States] = {}
        self.kept = 0  # bytes

    def of(self, tower: nn.Module) -> Callable[..., ModelOutput]:
        """The tower's forward pass, from memory where it can."""
        return partial(self._recall, tower.forward)

    def _recall(
        self, look: Callable[..., ModelOutput], pixel_values: torch.Tensor, **options: Any
    ) -> ModelOutput:
        """What the tower returns; ``pixel_values`` is ``[pictures, 3, height, width]``."""
        # Tensors may differ between pictures, and what is kept has no gradients.
        if any(map(torch.is_tensor, options.values())) or torch.is_grad_enabled():
            return look(pixel_values, **options)
        how = repr((options, pixel_values.dtype, pixel_values.device))
        keys = [(how, _digest(picture)) for picture in pixel_values]
        states = {key: self.states[key] for key in keys if key in self.states}
        new = {key: row for row, key in enumerate(keys) if key not in states}
        if new:
            output = look(pixel_values[list(new.values())], **options)
            self.kind = type(output)
            fresh = {
                key: {name: _at(part, row) for name, part in output.items()}
                for row, key in enumerate(new)
            }
            self._keep(fresh, sum(map(_size, output.values())))
            if len(new) == len(keys):
                return output
            states |= fresh
        parts = [states[key] for key in keys]
        return self.kind(**{name: _stacked([one[name] for one in parts]) for name in parts[0]})

    def _keep(self, fresh: dict[tuple, _States], size: int) -> None:
        if self.kept + size > BUDGET:
            self.states, self.kept = {}, 0
        if size <= BUDGET:
            self.states |= fresh
            self.kept += size


def _bytes(tensor: torch.Tensor) -> np.ndarray:
    """All bytes of a tensor; numpy knows no bfloat16."""
    return tensor.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()


def _digest(picture: torch.Tensor) -> bytes:
    return hashlib.sha256(_bytes(picture)).digest()


def _weights(tower: nn.Module) -> int | None:
    """A checksum of a small tower's weights and of its mode; None for a large one."""
    tensors = [*tower.parameters(), *tower.buffers()]
    if sum(tensor.nbytes for tensor in tensors) > SMALL_TOWER:
        return None
    found = int(tower.training)
    for tensor in tensors:
        found = zlib.crc32(_bytes(tensor), found)
    return found


_MEMORIES: WeakKeyDictionary[nn.Module, _Memory] = WeakKeyDictionary()


def _memory_of(tower: nn.Module) -> _Memory:
    """What is known of pictures from before, if the tower's weights are what they were."""
    weights, known = _weights(tower), _MEMORIES.get(tower)
    if weights is None:
        return _Memory(None)
    if known is None or known.weights != weights:
        _MEMORIES[tower] = known = _Memory(weights)
    return known


# A part of an output is a tensor, a tuple of parts, or None: a layer that nobody asked for.


def _at(part: Any, row: int) -> Any:
    if isinstance(part, tuple):
        return tuple(_at(one, row) for one in part)
    return None if part is None else part[row].clone()


def _stacked(parts: list[Any]) -> Any:
    if isinstance(parts[0], tuple):
        return tuple(_stacked(list(layer)) for layer in zip(*parts, strict=True))
    return None if parts[0] is None else torch.stack(parts)


def _size(part: Any) -> int:
    if isinstance(part, tuple):
        return sum(map(_size, part))
    return 0 if part is None else part.nbytes


@contextmanager
def pictures_once(vlm: HookedVLM) -> Iterator[None]:
    """Let the model's vision tower encode each picture once in a ``with`` block.

    The weights must stay as they are meanwhile. A small tower's states stay for the next block,
    until its weights change. Where somebody's hooks sit in the tower, or the family's tower does
    not take pictures apart from each other, all runs as ever.
    """
    tower = vlm.family.tower and vlm.family.tower(vlm.model)
    if not tower or "forward" in vars(tower) or any(map(is_hooked, tower.modules())):
        yield
        return
    tower.forward = _memory_of(tower).of(tower)
    try:
        yield
    finally:
        del tower.forward
