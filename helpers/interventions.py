"""Interventions as values: what to write, where, and the controls that go with it.

An :class:`Edit` names a site, positions and vectors. ``sweep`` runs any number of them, on any
prompts, and returns a tidy table. All controls have the norm of what they control for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from helpers.beliefs import beliefs
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
    """Scale a direction to the norm of another."""
    return direction * (reference.norm() / direction.norm())


# Running ----------------------------------------------------------------------------------------


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


def sweep(
    vlm: HookedVLM,
    jobs: Iterable[Job],
    answers: Sequence[str],
    batch_size: int = 64,
    progress: bool = True,
) -> pd.DataFrame:
    """Run every job and read the belief at the last token.

    Returns:
        A row for each job: its labels and the columns of :func:`helpers.beliefs.beliefs`.

    Raises:
        ValueError: if there are no jobs, or an edit cannot be made (before anything runs).
    """
    jobs = list(jobs)
    if not jobs:
        raise ValueError("a sweep of no jobs has no result")
    for job in jobs:
        for edit in job.edits:
            check_edit(vlm, job.prompt, edit)
    tables = []
    starts = range(0, len(jobs), batch_size)
    for start in tqdm(starts, desc="sweep", disable=not progress or len(starts) < 4, leave=False):
        part = jobs[start : start + batch_size]
        table = beliefs(
            vlm, [job.prompt for job in part], answers, as_hooks([job.edits for job in part])
        )
        labels = pd.DataFrame([job.labels for job in part], index=table.index)
        tables.append(pd.concat([labels, table], axis=1))
    return pd.concat(tables, ignore_index=True)


def mirror_swap(
    vlm: HookedVLM,
    prompts: Sequence[Prompt],
    mirrored: Sequence[Prompt],
    groups: dict[str, Sequence[Sequence[int]]],
    answers: Sequence[str],
    sites: Sequence[str] | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> pd.DataFrame:
    """Write the states of mirrored runs into clean ones, by site and by group of tokens.

    Args:
        vlm: the model.
        prompts: the clean prompts.
        mirrored: the same questions about the mirrored (or recoloured) images.
        groups: name of a group to its positions in every prompt.
        answers: the two answers that the belief is read from.
        sites: by default the stream after every block.

    Returns:
        A row for each prompt, site and group: ``prompt``, ``site``, ``layer``, ``group``, and the
        log-odds ``clean``, ``mirrored`` and ``patched``.

    Raises:
        ValueError: if there are no prompts or no groups, or if a prompt and its mirrored one have
            different tokens.
    """
    if not prompts:
        raise ValueError("an empty list of prompts has no result")
    if not groups:
        raise ValueError("no groups of positions to swap")
    everywhere = [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
    sites = vlm.select(everywhere if sites is None else sites)
    for one, other in zip(prompts, mirrored, strict=True):
        if one.tokens != other.tokens:
            raise ValueError(f"tokens differ: {one.question!r} and {other.question!r}")
    rows = []
    starts = range(0, len(prompts), batch_size)
    for start in tqdm(starts, desc="mirror swap", disable=not progress, leave=False):
        chosen = range(start, min(start + batch_size, len(prompts)))
        clean = [prompts[index] for index in chosen]
        sources = [mirrored[index] for index in chosen]
        _, cache = vlm.run_with_cache(sources, sites)
        odds = {
            "clean": beliefs(vlm, clean, answers)["log_odds"].tolist(),
            "mirrored": beliefs(vlm, sources, answers)["log_odds"].tolist(),
        }
        for site in sites:
            for group, positions in groups.items():
                edits = [
                    [swap(site, positions[index], cache[site][row])]
                    for row, index in enumerate(chosen)
                ]
                table = beliefs(vlm, clean, answers, as_hooks(edits))
                for row, index in enumerate(chosen):
                    rows.append(
                        {
                            "prompt": index,
                            "site": site,
                            "layer": int(site.split(".")[1]),
                            "group": group,
                            "clean": odds["clean"][row],
                            "mirrored": odds["mirrored"][row],
                            "patched": table["log_odds"].iloc[row],
                        }
                    )
    return pd.DataFrame(rows)
