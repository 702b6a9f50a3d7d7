"""Interventions as values: what to write, where, and the controls that go with it.

An :class:`Edit` names a site, positions and vectors. :func:`helpers.sweeps.sweep` runs any number
of them. All controls have the norm of what they control for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from helpers.hooks import HookedVLM, HookFunction, HookPoint
from helpers.prompts import Prompt


@dataclass(frozen=True)
class Edit:
    """A change to the residual stream of one prompt.

    Attributes:
        site: a hook name.
        positions: token positions.
        vectors: ``[d_model]`` for all positions, or ``[positions, d_model]``.
        replace: write the vectors over the stream instead of adding them.
    """

    site: str
    positions: tuple[int, ...]
    vectors: torch.Tensor
    replace: bool = False


@dataclass(frozen=True)
class Job:
    """One row of a sweep: a prompt, its edits, and the labels that the table keeps."""

    prompt: Prompt
    edits: tuple[Edit, ...] = ()
    labels: dict[str, Any] = field(default_factory=dict)


def steer(site: str, positions: Sequence[int], direction: torch.Tensor, dose: float = 1.0) -> Edit:
    """Add ``dose * direction`` at the last of a word's positions, which carries the ID.

    Args:
        site: where to write.
        positions: the word's positions, as ``prompt.word`` gives them.
        direction: ``[d_model]``, usually ``ids.difference(site, origin, target)``.
        dose: in units of the direction.

    Raises:
        ValueError: if there are no positions.
    """
    if not positions:
        raise ValueError("no positions to steer at: find them with prompt.word")
    return Edit(site, (positions[-1],), dose * direction)


def swap(site: str, positions: Sequence[int], states: torch.Tensor) -> Edit:
    """Write another run's states over the stream.

    Args:
        site: where to write.
        positions: which tokens.
        states: the other run's stream at that site, ``[pos, d_model]``, all positions.
    """
    chosen = tuple(positions)
    return Edit(site, chosen, states[list(chosen)], replace=True)


# Controls ---------------------------------------------------------------------------------------


def random_direction(direction: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A random direction with the norm of the one given: the least that a control must be."""
    noise = torch.randn(direction.shape, generator=generator)
    return noise * (direction.norm() / noise.norm())


def random_in_subspace(
    direction: torch.Tensor, basis: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """A random direction of the same norm within the span of ``basis`` ``[rank, d_model]``."""
    orthonormal = torch.linalg.qr(basis.float().T).Q
    noise = orthonormal @ torch.randn(orthonormal.shape[1], generator=generator)
    return noise * (direction.norm() / noise.norm())


def with_norm_of(direction: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Scale a direction to the norm of another.

    Raises:
        ValueError: if the direction is zero and the other is not.
    """
    if not reference.any():
        return torch.zeros_like(direction)
    if not direction.any():
        raise ValueError("a zero vector has no direction: it cannot be as long as another")
    return direction * (reference.norm() / direction.norm())


# As hooks ---------------------------------------------------------------------------------------


def as_hooks(edits: Sequence[Sequence[Edit]]) -> list[tuple[str, HookFunction]]:
    """Turn the edits of a batch's rows into hooks, one for each site, in order of the rows."""
    by_site: dict[str, list[tuple[int, Edit]]] = {}
    for row, row_edits in enumerate(edits):
        for edit in row_edits:
            by_site.setdefault(edit.site, []).append((row, edit))
    return [(site, _writer(rows)) for site, rows in by_site.items()]


def _writer(rows: list[tuple[int, Edit]]) -> HookFunction:
    def write(resid: torch.Tensor, hook: HookPoint) -> torch.Tensor:
        # The edit belongs to this run alone: never write into a tensor that others may hold.
        resid = resid.clone()
        for row, edit in rows:
            where = list(edit.positions)
            vectors = edit.vectors.to(resid)
            resid[row, where] = vectors if edit.replace else resid[row, where] + vectors
        return resid

    return write


def check_edit(vlm: HookedVLM, prompt: Prompt, edit: Edit) -> None:
    """Raise a ValueError for a site that does not exist, a position outside the prompt, or
    vectors of the wrong shape."""
    vlm.check_names([edit.site])
    if not edit.positions:
        raise ValueError(f"an edit at {edit.site} names no positions")
    outside = [position for position in edit.positions if not 0 <= position < len(prompt)]
    if outside:
        raise ValueError(f"positions {outside} are outside a prompt of {len(prompt)} tokens")
    allowed = [(vlm.d_model,), (len(edit.positions), vlm.d_model)]
    if tuple(edit.vectors.shape) not in allowed:
        raise ValueError(
            f"vectors at {edit.site} have shape {tuple(edit.vectors.shape)}; "
            f"expected {allowed[0]} or {allowed[1]}"
        )
