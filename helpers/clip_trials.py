"""Trials in time: cases about clips, and the vectors that move a belief to another frame.

What :mod:`helpers.trials` does with places: the same cases, controls and runs.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from helpers.hooks import HookedVLM
from helpers.ids import SpatialIDs
from helpers.interventions import with_norm_of
from helpers.prompts import Video
from helpers.stimuli import clip_questions
from helpers.stimuli.clips import Clip
from helpers.stimuli.questions import Question
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS
from helpers.temporal import TemporalIDs
from helpers.trials import Case, Place, in_cells, make_case

#: How a question of each kind is asked about two objects of a clip.
ASK: dict[str, Callable[[Clip, str, str], Question | None]] = {
    "before_after": clip_questions.before_after,
    "left_right": lambda clip, *pair: clip_questions.throughout(clip, "left_right", *pair),
    "above_below": lambda clip, *pair: clip_questions.throughout(clip, "above_below", *pair),
}


def clip_cases(
    vlm: HookedVLM,
    clips: Iterable[Clip],
    kind: str = "before_after",
    orders: Sequence[int] = (0, 1),
    pixels: int = 336,
    **labels: Any,
) -> list[Case]:
    """Ask about the first two objects of each clip; clips without an answer are left out.

    "First" is by name and not by time, so that it says nothing about the answer.

    Args:
        vlm: a model that takes videos.
        clips: what to ask about.
        kind: ``"before_after"``, whose cases have frames for places, or a spatial one.
        orders: 0 names the objects in the order of the alphabet, 1 the other way round.
        pixels: side of the frames.
        **labels: for the tables, the same for all.
    """
    cases = []
    for number, clip in enumerate(clips):
        video = None
        pair = _held_out_pair(clip) or tuple(sorted(clip.names)[:2])
        for order in orders:
            asked = ASK[kind](clip, *pair[:: -1 if order else 1])
            if asked is None:
                break
            video = video or Video(tuple(clip.render(pixels)))
            places = tuple(_place(clip, name, kind) for name in asked.objects)
            about = {"scene": number, "order": order, **labels}
            cases.append(make_case(vlm, video, asked, places, about))
    return cases


def _held_out_pair(clip: Clip) -> tuple[str, str] | None:
    pairs = itertools.combinations(sorted(clip.names), 2)
    return next((pair for pair in pairs if is_held_out_pair(*pair)), None)


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
        **options: of :meth:`TemporalIDs.extract_each`.
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


def backwards(case: Case, frames: int) -> tuple[float, float]:
    """Both objects' times in the reversed clip."""
    first, second = (frames - 1 - place for place in case.places)
    return first, second


def across_the_picture(
    ids: tuple[SpatialIDs, SpatialIDs], site: str, vectors: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """A control for time that is about space: the column axis, as long as each vector."""
    return [
        with_norm_of(own.axes(site).column, vector)
        for own, vector in zip(ids, vectors, strict=True)
    ]
