"""Trials in time: cases about clips, and the vectors that move a belief to another frame.

What :mod:`helpers.trials` does with places: the same cases, controls and runs.
"""

import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from helpers import geometry
from helpers.extraction import frame_pixels
from helpers.hooks import HookedVLM
from helpers.ids import SpatialIDs
from helpers.interventions import Job, random_in_subspace, with_norm_of
from helpers.prompts import Video
from helpers.stimuli import clip_questions
from helpers.stimuli.clip_sampling import compose
from helpers.stimuli.clips import Clip
from helpers.stimuli.questions import Question
from helpers.stimuli.split import held_out_pair, is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS
from helpers.temporal import TemporalIDs
from helpers.trials import RANK, Case, NounIDs, Place, arms, in_cells, make_case, run, with_outcomes

#: How a question of each kind is asked about two objects of a clip.
ASK: dict[str, Callable[[Clip, str, str], Question | None]] = {
    "before_after": clip_questions.before_after,
    "left_right": lambda clip, *pair: clip_questions.throughout(clip, "left_right", *pair),
    "above_below": lambda clip, *pair: clip_questions.throughout(clip, "above_below", *pair),
}
#: How a question of each kind is asked about one object of a clip.
ASK_ALONE: dict[str, Callable[[Clip, str], Question | None]] = {
    "beginning_end": clip_questions.beginning_end,
    "first_last": clip_questions.first_last,
}
#: Controls of :func:`arms_in_time`; the last takes spatial IDs of the same model.
TIME_CONTROLS = ("random", "shuffled IDs", "random in ID subspace", "across the picture")


def clip_cases(
    vlm: HookedVLM,
    clips: Iterable[Clip],
    kind: str = "before_after",
    orders: Sequence[int] = (0, 1),
    pixels: int | None = None,
    **labels: Any,
) -> list[Case]:
    """Ask about two objects of each clip; clips without an answer are left out.

    They are the held-out pair where there is one, else the first two by the alphabet.

    Args:
        vlm: a model that takes videos.
        clips: what to ask about.
        kind: ``"before_after"``, whose cases have frames for places, or a spatial one.
        orders: 0 names the objects in the order of the alphabet, 1 the other way round.
        pixels: side of the frames; by default what the model looks at, and at most 336.
        **labels: for the tables, the same for all.
    """
    pixels = pixels or frame_pixels(vlm)
    cases = []
    for number, clip in enumerate(clips):
        video = None
        pair = held_out_pair(clip.names) or tuple(sorted(clip.names)[:2])
        for order in orders:
            asked = ASK[kind](clip, *pair[:: -1 if order else 1])
            if asked is None:
                break
            video = video or Video(tuple(clip.render(pixels)))
            places = tuple(_place(clip, name, kind) for name in asked.objects)
            about = {"scene": number, "order": order, **labels}
            cases.append(make_case(vlm, video, asked, places, about))
    return cases


def alone_cases(
    vlm: HookedVLM,
    clips: Iterable[Clip],
    kind: str,
    count: int | None = None,
    pixels: int | None = None,
    **labels: Any,
) -> list[Case]:
    """Ask about one object of each clip, in turn the first and the second of its pair.

    Their ``names`` and ``places`` have one entry: the object, and the middle of its frames.

    Args:
        vlm: a model that takes videos.
        clips: what to ask about; clips without an answer are left out.
        kind: a key of ``ASK_ALONE``.
        count: stop after so many cases.
        pixels: side of the frames, as in :func:`clip_cases`.
        **labels: for the tables, the same for all.
    """
    pixels = pixels or frame_pixels(vlm)
    cases: list[Case] = []
    for clip in clips:
        if len(cases) == count:
            break
        pair = held_out_pair(clip.names) or tuple(sorted(clip.names)[:2])
        name = pair[len(cases) % 2]
        asked = ASK_ALONE[kind](clip, name)
        if asked is not None:
            video = Video(tuple(clip.render(pixels)))
            about = {"scene": len(cases), **labels}
            cases.append(make_case(vlm, video, asked, (clip.middle(name),), about))
    return cases


def _place(clip: Clip, name: str, kind: str) -> Place:
    if kind == "before_after":
        return clip.middle(name)
    return in_cells(clip.path(name)[0])


def extract_temporal_ids(
    vlm: HookedVLM, pairs: int = 8, partners: int = 3, seed: int = 0, **options: Any
) -> tuple[TemporalIDs, TemporalIDs]:
    """Read the IDs of both nouns of the before/after question, off pairs training may show.

    Args:
        vlm: a model that takes videos.
        pairs: how many ordered pairs of objects to average over.
        partners: of each pair, how many frames of the other object.
        seed: draws both.
        **options: of :meth:`helpers.temporal.TemporalIDs.extract_each`.
    """
    generator = np.random.default_rng(seed)
    ordered = itertools.permutations(PAPER_OBJECTS, 2)
    makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
    chosen = [makers[index] for index in generator.choice(len(makers), pairs, replace=False)]
    wanted = [(0, clip_questions.BEFORE_AFTER), (1, clip_questions.BEFORE_AFTER)]
    options = {"progress": False, **options}
    first, second = TemporalIDs.extract_each(
        vlm, chosen, wanted, partners=partners, seed=seed, **options
    )
    return first, second


def backwards(case: Case, frames: int) -> tuple[float, ...]:
    """The objects' times in the reversed clip."""
    return tuple(frames - 1 - place for place in case.places)


def arms_in_time(
    case: Case,
    ids: NounIDs,
    site: str,
    targets: Sequence[Place],
    seeds: Mapping[str, int],
    places: tuple[SpatialIDs, ...] = (),
) -> dict[tuple[str, int], list[torch.Tensor]]:
    """The vectors of every arm of a trial in time: as :func:`helpers.trials.arms`.

    Args:
        case: a question about time.
        ids: of its nouns.
        site: where they were read, and are to be written.
        targets: when each noun's object shall appear.
        seeds: how many draws of each control, by its name in ``TIME_CONTROLS``. Draws of "across
            the picture" in turn push the first noun to the right and the second to the left,
            and the other way round.
        places: for "across the picture", spatial IDs of each noun.

    Returns:
        From (arm, seed) to a vector for each noun; the IDs' own arm is "temporal IDs".

    Raises:
        ValueError: if a control is unknown, or the IDs hold nothing for the site.
    """
    unknown = set(seeds) - set(TIME_CONTROLS)
    if unknown:
        told = ", ".join(TIME_CONTROLS)
        raise ValueError(f"unknown controls {sorted(unknown)}; there are: {told}")
    shared = {name: seeds[name] for name in TIME_CONTROLS[:2] if name in seeds}
    found = arms(case, ids, site, targets, shared)
    vectors = found.pop(("spatial IDs", 0))
    for seed in range(seeds.get(TIME_CONTROLS[2], 0)):
        text = f"{case.labels.get('scene')}|{case.prompt.question}|{seed}"
        generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        found[TIME_CONTROLS[2], seed] = [
            random_in_subspace(vector, _timeline_subspace(own, site), generator)
            for own, vector in zip(ids, vectors, strict=True)
        ]
    for seed in range(seeds.get(TIME_CONTROLS[3], 0)):
        across = across_the_picture(places, site, vectors)
        found[TIME_CONTROLS[3], seed] = [
            vector * (-1) ** (seed + noun) for noun, vector in enumerate(across)
        ]
    return {("temporal IDs", 0): vectors, **found}


@lru_cache(maxsize=64)
def _timeline_subspace(ids: TemporalIDs, site: str) -> torch.Tensor:
    """The first principal components of the mean IDs, ``[RANK, d_model]`` or fewer."""
    rank = min(RANK, ids.frames - 1)
    return torch.from_numpy(geometry.pca(ids.mean(site)[None], rank).components_).float()


def across_the_picture(
    ids: tuple[SpatialIDs, ...], site: str, vectors: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """A control for time that is about space: the column axis, as long as each vector."""
    return [
        with_norm_of(own.axes(site).column, vector)
        for own, vector in zip(ids, vectors, strict=True)
    ]


def retimed(clip: Clip, name: str, frame: int) -> Clip:
    """The clip with one object in another frame, and in that alone: what steering pretends."""
    tracks = [
        {frame: clip.path(one)[0]}
        if one == name
        else dict(zip(clip.when(one), clip.path(one), strict=True))
        for one in clip.names
    ]
    return compose(tracks, clip.frames[0].background, len(clip))


def turned(ids: TemporalIDs, seed: int) -> TemporalIDs:
    """The same timeline, all of it turned alike in a random way: its distances are kept."""
    generator = torch.Generator().manual_seed(seed)
    width = ids.vectors.shape[-1]
    turn = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    return replace(ids, vectors=ids.vectors @ turn)


def outcomes(
    vlm: HookedVLM, cases: Sequence[Case], edits: Sequence[Job], save_to: str | Path | None = None
) -> pd.DataFrame:
    """Run every case as it is (arm "no edit") and under the edits, in one go.

    As :func:`helpers.trials.run` on cases whose beliefs were read, without reading them twice.

    Args:
        vlm: the model.
        cases: each with a label ``scene`` of its own.
        edits: jobs about these cases.
        save_to: a folder that keeps what is done.

    Returns:
        A row for each case and edit, with ``before``, ``right``, ``after``, ``change`` and
        ``swapped``.

    Raises:
        ValueError: if there are no cases, or two of them have the same label ``scene``.
    """
    scenes = [case.labels["scene"] for case in cases]
    if len(set(scenes)) < len(scenes):
        raise ValueError("two cases have the same label 'scene': their beliefs would be mixed up")
    plain = [Job(case.prompt, (), case.labels | {"arm": "no edit"}) for case in cases]
    table = run(vlm, [*plain, *edits], save_to)
    odds = table[table["arm"] == "no edit"].set_index("scene")["log_odds"]
    table["before"] = table["scene"].map(odds)
    table["right"] = table["before"] * table["toward"] < 0
    return with_outcomes(table)
