"""Trials: questions about known places, IDs written at their nouns, and controls beside them.

Every causal figure of the book is made the same way. A :class:`Case` is one question about one
picture. :func:`arms` makes the vectors for its two nouns: the aimed ID differences, and controls
of exactly their lengths. :func:`run` edits and says what became of each belief.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from helpers import geometry, stats
from helpers.hooks import HookedVLM
from helpers.ids import LEFT_RIGHT, SpatialIDs
from helpers.interventions import (
    Job,
    random_direction,
    random_in_subspace,
    steer,
    with_norm_of,
)
from helpers.prompts import Prompt, Video
from helpers.stimuli import clip_questions, questions
from helpers.stimuli.coco_spatial import Photo
from helpers.stimuli.scenes import Placed, Scene
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS
from helpers.sweeps import sweep
from helpers.temporal import TemporalIDs

TEMPLATES = {
    "left_right": LEFT_RIGHT,
    "above_below": "Is the {0} above or below the {1}?",
    "front_behind": "Is the {0} in front of or behind the {1}?",
}
#: The pairs of answers that beliefs are read from, by kind of question.
ANSWERS = questions.ANSWERS | clip_questions.CLIP_ANSWERS
#: The axis of the picture that a kind of question is about.
AXIS = {"left_right": "column", "above_below": "row", "front_behind": "row"}
CONTROLS = ("random", "shuffled IDs", "orthogonal axis", "random in ID subspace")
#: Kinds that were added since.
_ADDED: set[str] = set()
#: Principal components of the mean IDs that span "the ID subspace".
RANK = 6

#: (row, column), or the frame of a clip.
Place = tuple[float, float] | float
#: IDs of the first and of the second noun of a question.
NounIDs = tuple[SpatialIDs, SpatialIDs] | tuple[TemporalIDs, TemporalIDs]


# Kinds ------------------------------------------------------------------------------------------


def add_kind(kind: str, template: str, answers: tuple[str, str]) -> None:
    """Let trials know another kind of question, about a relation of your own.

    A kind that was added before is replaced, so that a notebook's cell can run twice.

    Args:
        kind: its name, as in ``kind`` of :class:`helpers.stimuli.questions.Question`.
        template: the question, with ``{0}`` for the first noun, ``{1}`` for the second, and so on.
        answers: the two that beliefs are read from; the first is the one that a positive log-odds
            means.

    Raises:
        ValueError: if the book has a kind of that name, the template names no noun, or there are
            not two different answers.
    """
    if kind in ANSWERS and kind not in _ADDED:
        raise ValueError(f"there is a kind called {kind!r}: choose another name")
    if "{0}" not in template:
        raise ValueError(f"the template {template!r} has no {{0}} for the first noun")
    if isinstance(answers, str) or len(set(answers)) != 2 or len(answers) != 2:
        raise ValueError(f"a kind has two different answers, not {answers!r}")
    _ADDED.add(kind)
    TEMPLATES[kind], ANSWERS[kind] = template, tuple(answers)


# Cases ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One question about one picture.

    Attributes:
        prompt: picture and question.
        kind: of the question, a key of ``ANSWERS``.
        names: the two nouns, in the order of the question.
        places: (row, column) of each noun's object, in cells of a 4 x 4 grid, centres whole; or,
            in questions about time, the middle of the frames in which it appears.
        toward: +1 if the false answer is the first of the kind's answers, else -1. Times a
            log-odds, it counts towards the false answer.
        labels: what tables keep. ``scene`` names the picture: the unit of intervals.
    """

    prompt: Prompt
    kind: str
    names: tuple[str, str]
    places: tuple[Place, Place]
    toward: int
    labels: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def spans(self) -> list[list[int]]:
        """The positions of each noun's tokens."""
        return self.prompt.words(self.names)


def in_cells(placed: Placed, cells: int = 4) -> Place:
    """An object's (row, column) between the first and the last cell centre."""
    row, column = (float(np.clip(cells * v - 0.5, 0, cells - 1)) for v in (placed.y, placed.x))
    return row, column


def scene_cases(
    vlm: HookedVLM,
    scenes: Iterable[Scene],
    kind: str,
    orders: Sequence[int] = (0, 1),
    pixels: int = 336,
    **labels: Any,
) -> list[Case]:
    """Ask about the first two objects of each scene; scenes without an answer are left out.

    Args:
        vlm: the model.
        scenes: what to ask about.
        kind: a key of ``TEMPLATES``.
        orders: 0 names the objects as the scene lists them, 1 the other way round.
        pixels: side of the pictures.
        **labels: for the tables, the same for all.
    """
    ask = getattr(questions, kind)
    cases = []
    for number, scene in enumerate(scenes):
        picture = None
        for order in orders:
            asked = ask(scene, *scene.names[:2][:: -1 if order else 1])
            if asked is None:
                break
            picture = picture or scene.render(pixels)
            places = tuple(in_cells(scene.find(name)) for name in asked.objects)
            about = {"scene": number, "order": order, **labels}
            cases.append(make_case(vlm, picture, asked, places, about))
    return cases


def photo_cases(
    vlm: HookedVLM, photos: Iterable[Photo], orders: Sequence[int] = (0, 1), **labels: Any
) -> list[Case]:
    """Ask about the two objects of each photo: square it first (``photo.squared()``)."""
    cases = []
    for photo in photos:
        picture = photo.image()
        for order in orders:
            asked = photo.question(reverse=bool(order))
            places = tuple(photo.place(name, 4, 4) for name in asked.objects)
            about = {"scene": photo.image_id, "order": order, **labels}
            cases.append(make_case(vlm, picture, asked, places, about))
    return cases


def make_case(
    vlm: HookedVLM,
    picture: Image.Image | Video,
    asked: questions.Question,
    places: tuple[Place, Place],
    labels: dict[str, Any],
) -> Case:
    """A case of one question about one picture or video."""
    first, _ = ANSWERS[asked.kind]
    toward = -1 if asked.answer == first else 1
    prompt = vlm.prompt(picture, asked.text)
    labels = {**labels, "kind": asked.kind, "toward": toward}
    return Case(prompt, asked.kind, asked.objects, places, toward, labels)


def with_beliefs(
    vlm: HookedVLM, cases: Sequence[Case], save_to: str | Path | None = None
) -> list[Case]:
    """The cases, with the log-odds ``before`` any edit, and whether that is ``right``."""
    plain = [
        Job(case.prompt, (), {"number": number, "kind": case.kind})
        for number, case in enumerate(cases)
    ]
    before = _sweep(vlm, plain, save_to, False).set_index("number")["log_odds"]
    return [
        replace(case, labels=case.labels | {"before": odds, "right": odds * case.toward < 0})
        for case, odds in zip(cases, before.loc[range(len(cases))], strict=True)
    ]


def can_answer(cases: Sequence[Case], chance: float = 0.5) -> bool:
    """Whether the share of right answers is above chance, with its whole interval over scenes.

    Where it is not, there is no knowledge to steer, and a figure would show noise.

    Raises:
        ValueError: if there are fewer than two scenes, or their beliefs were not read.
    """
    if cases and "right" not in cases[0].labels:
        raise ValueError("nobody has read these cases' beliefs: call with_beliefs first")
    return share(pd.DataFrame([case.labels for case in cases]), "right").low > chance


# Vectors ----------------------------------------------------------------------------------------


def extract_ids(
    vlm: HookedVLM,
    kinds: Sequence[str],
    pairs: int = 8,
    partners: int = 2,
    seed: int = 0,
    **options: Any,
) -> dict[str, NounIDs]:
    """Read the IDs of both nouns off the paper's grids, with pairs that training may show.

    Args:
        vlm: the model.
        kinds: of questions. The first noun comes before the question says what it is about, so
            its IDs serve all kinds; the second has its own for each.
        pairs: how many ordered pairs of objects to average over.
        partners: of each pair, how many cells of the other object.
        seed: draws both.
        **options: of :meth:`helpers.ids.SpatialIDs.extract_each`.

    Returns:
        From a kind of question to the IDs of its first and of its second noun.
    """
    generator = np.random.default_rng(seed)
    ordered = itertools.permutations(PAPER_OBJECTS, 2)
    makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
    chosen = [makers[index] for index in generator.choice(len(makers), pairs, replace=False)]
    wanted = [(0, LEFT_RIGHT), *((1, TEMPLATES[kind]) for kind in kinds)]
    options = {"progress": False, **options}
    first, *second = SpatialIDs.extract_each(
        vlm, chosen, wanted, partners=partners, seed=seed, **options
    )
    return {kind: (first, ids) for kind, ids in zip(kinds, second, strict=True)}


def mirrored(case: Case) -> tuple[Place, Place]:
    """Both objects' places, reflected along the axis of the question."""
    if AXIS[case.kind] == "column":
        return tuple((row, 3 - column) for row, column in case.places)
    return tuple((3 - row, column) for row, column in case.places)


def exchanged(case: Case) -> tuple[Place, Place]:
    """Each object at the place of the other."""
    return case.places[::-1]


def aimed(case: Case, ids: NounIDs, site: str, targets: tuple[Place, Place]) -> list[torch.Tensor]:
    """For each noun, the ID difference from its object's place to its target, ``[d_model]``."""
    return [
        own.difference(site, place, target)
        for own, place, target in zip(ids, case.places, targets, strict=True)
    ]


def arms(
    case: Case,
    ids: NounIDs,
    site: str,
    targets: tuple[Place, Place],
    seeds: Mapping[str, int],
) -> dict[tuple[str, int], list[torch.Tensor]]:
    """The vectors of every arm of a trial: the IDs, and controls of the same lengths.

    Args:
        case: the question.
        ids: of its two nouns.
        site: where they were read, and are to be written.
        targets: where each noun's object shall be.
        seeds: how many draws of each control, by its name in ``CONTROLS``.

    Returns:
        From (arm, seed) to a vector for each noun.

    Raises:
        ValueError: if a control is unknown, or the IDs hold nothing for the site.
    """
    vectors = aimed(case, ids, site, targets)
    found = {("spatial IDs", 0): vectors}
    for control, count in seeds.items():
        if control not in _MAKERS:
            raise ValueError(f"unknown control {control!r}; there are: {', '.join(CONTROLS)}")
        for seed in range(count):
            # A case's draws are its own, whatever else is in the table.
            generator = torch.Generator().manual_seed(_number(case, control, seed))
            found[control, seed] = [
                _MAKERS[control](case, noun, ids[noun], site, vector, targets, seed, generator)
                for noun, vector in enumerate(vectors)
            ]
    return found


def _number(case: Case, *parts: Any) -> int:
    text = f"{case.labels.get('scene')}|{case.prompt.question}|{parts}"
    # As an array: numpy takes a list apart number by number, which costs more than a row.
    entropy = np.frombuffer(text.encode(), np.uint8).astype(np.uint32)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _random(case, noun, ids, site, vector, targets, seed, generator) -> torch.Tensor:
    return random_direction(vector, generator)


def _in_subspace(case, noun, ids, site, vector, targets, seed, generator) -> torch.Tensor:
    return random_in_subspace(vector, _subspace(ids, site), generator)


def _shuffled(case, noun, ids, site, vector, targets, seed, generator) -> torch.Tensor:
    wrong = _mixed_up(ids, seed).difference(site, case.places[noun], targets[noun])
    return with_norm_of(wrong, vector)


def _orthogonal(case, noun, ids, site, vector, targets, seed, generator) -> torch.Tensor:
    """Across the picture along the other axis, from the nearer end to the further one."""
    across = 1 if AXIS[case.kind] == "row" else 0
    own = case.places[noun]
    ends = [tuple(np.where(np.arange(2) == across, end, own)) for end in (0, 3)]
    ends.sort(key=lambda end: abs(end[across] - own[across]))
    return with_norm_of(ids.difference(site, *ends), vector)


_MAKERS = {
    "random": _random,
    "shuffled IDs": _shuffled,
    "orthogonal axis": _orthogonal,
    "random in ID subspace": _in_subspace,
}


@lru_cache(maxsize=64)
def _subspace(ids: SpatialIDs, site: str) -> torch.Tensor:
    """The first principal components of the mean IDs, ``[RANK, d_model]``."""
    points = ids.mean(site).flatten(0, -2)[None]  # places of any shape, as one row
    return torch.from_numpy(geometry.pca(points, RANK).components_).float()


@lru_cache(maxsize=256)
def _mixed_up(ids: SpatialIDs, seed: int) -> SpatialIDs:
    return ids.shuffled(seed)


# Running ----------------------------------------------------------------------------------------


def steering_job(
    case: Case,
    site: str,
    vectors: Sequence[torch.Tensor],
    dose: float = 1.0,
    nouns: Sequence[int] = (0, 1),
    **labels: Any,
) -> Job:
    """Add ``dose`` times its vector at the last token of each noun."""
    edits = tuple(steer(site, case.spans[noun], vectors[noun], dose) for noun in nouns)
    return Job(case.prompt, edits, case.labels | {"dose": dose} | labels)


def run(
    vlm: HookedVLM,
    jobs: Sequence[Job],
    save_to: str | Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Run jobs about any kinds of questions, and say what became of each belief.

    Returns:
        The table of :func:`helpers.sweeps.sweep` in the order of the jobs. Where the jobs' labels
        hold the log-odds ``before``: ``after`` and ``change`` (after - before), both towards the
        false answer, in nats; ``swapped``, whether the sign changed.
    """
    table = _sweep(vlm, jobs, save_to, progress)
    return with_outcomes(table) if "before" in table else table


def with_outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """Add what became of each belief: ``after``, ``change`` and ``swapped``, as in :func:`run`."""
    table["after"] = table["log_odds"] * table["toward"]
    table["change"] = table["after"] - table["before"] * table["toward"]
    table["swapped"] = table["log_odds"] * table["before"] < 0
    return table


def _sweep(
    vlm: HookedVLM, jobs: Sequence[Job], save_to: str | Path | None, progress: bool
) -> pd.DataFrame:
    """One sweep for each kind of question; rows in the order of the jobs."""
    if not jobs:
        raise ValueError("a trial of no cases has no result")
    parts = []
    for kind in dict.fromkeys(job.labels["kind"] for job in jobs):
        numbers = [number for number, job in enumerate(jobs) if job.labels["kind"] == kind]
        some = [jobs[number] for number in numbers]
        table = sweep(vlm, some, ANSWERS[kind], save_to=save_to, progress=progress)
        parts.append(table.set_index(pd.Index(numbers)))
    return pd.concat(parts).sort_index()


def share(table: pd.DataFrame, column: str, by: str = "scene") -> stats.Interval:
    """Mean of a column with its interval over scenes: questions about one belong together.

    Raises:
        ValueError: if there are fewer than two scenes.
    """
    means = table.groupby(by)[column].mean()
    return stats.share(means) if table[column].dtype == bool else stats.mean(means)
