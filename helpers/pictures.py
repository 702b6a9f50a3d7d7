"""Let a vision tower encode equal pictures once.

A clip shows the same frame again and again, and the reversed clip shows them all once more. A
tower that takes pictures apart from each other gives each the same states every time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers.utils import ModelOutput

from helpers.hooks import HookedVLM
from helpers.rows import is_hooked

#: Bytes of states that are kept at most, for as long as a function of the package runs.
BUDGET = 2**28

#: What a tower made of one picture, by the names in its output.
_States = dict[str, Any]


class _Memory:
    """A tower's forward pass that remembers what the tower made of the pictures it has seen."""

    def __init__(self, tower: nn.Module) -> None:
        self.look = tower.forward
        self.states: dict[tuple, _States] = {}
        self.kept = 0  # bytes

    def __call__(self, pixel_values: torch.Tensor, **options: Any) -> ModelOutput:
        """What the tower returns; ``pixel_values`` is ``[pictures, 3, height, width]``."""
        if any(map(torch.is_tensor, options.values())):  # they may differ between pictures
            return self.look(pixel_values, **options)
        keys = [(repr(options), _bytes(picture)) for picture in pixel_values]
        states = {key: self.states[key] for key in keys if key in self.states}
        new = {key: row for row, key in enumerate(keys) if key not in states}
        if new:
            output = self.look(pixel_values[list(new.values())], **options)
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


def _bytes(picture: torch.Tensor) -> bytes:
    """All of a picture; numpy knows no bfloat16."""
    return picture.contiguous().view(torch.uint8).cpu().numpy().tobytes()


# A part of an output is a tensor, a tuple of parts, or None: a layer that nobody asked for.


def _at(part: Any, row: int) -> Any:
    if isinstance(part, tuple):
        return tuple(_at(one, row) for one in part)
    return None if part is None else part[row]


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

    The weights must stay as they are meanwhile. Where somebody's hooks sit in the tower, or the
    family's tower does not take pictures apart from each other, all runs as ever.
    """
    tower = vlm.family.tower and vlm.family.tower(vlm.model)
    if not tower or "forward" in vars(tower) or any(map(is_hooked, tower.modules())):
        yield
        return
    tower.forward = _Memory(tower)
    try:
        yield
    finally:
        del tower.forward
