"""Height and depth: which of the two a model answers from, and what moves its answers.

In some scenes nearer things are larger and lower, in others larger and anywhere, or higher: see
``helpers.stimuli.sampling``. One scene is asked about both, above or below and in front or behind.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from helpers import geometry, stats, trials
from helpers.hooks import HookedVLM
from helpers.interventions import Job, random_direction
from helpers.reading import read_states
from helpers.stimuli import questions, sampling
from helpers.stimuli.scenes import Scene
from helpers.sweeps import sweep
from helpers.trials import Case, NounIDs, Place

#: Kinds of scenes in which nearer is larger: also lower; anywhere; higher.
SCENES = ("tied", "independent", "conflict")
QUESTIONS = ("above_below", "front_behind")
ANSWERS = tuple(answer for kind in QUESTIONS for answer in questions.ANSWERS[kind])
#: Sprite sides that scenes with depth give to a near and to a far object.
NEAR, FAR = 0.34 / 1.25, 0.34 / 2.5
#: Prompts in one sweep: both questions about a picture share its pass.
_TOGETHER = 32

#: From a case and a site to a vector for each noun.
Aim = Callable[[Case, str], list[torch.Tensor]]


# Scenes and questions ---------------------------------------------------------------------------


def asked_scenes(kind: str, count: int, seed: int, held_out: bool = True) -> list[Scene]:
    """Draw scenes of two objects that have an answer to both questions.

    Raises:
        ValueError: if the kind is unknown or has no depth.
    """
    found: list[Scene] = []
    for more in range(20):
        drawn = sampling.scenes(max(count, 64), 1000 * seed + more, kind, (2, 2), held_out)
        found += [scene for scene in drawn if all(_ask(scene, about) for about in QUESTIONS)]
        if len(found) >= count:
            return found[:count]
    raise ValueError(f"{kind!r} scenes do not have answers to {', '.join(QUESTIONS)}")


def _ask(scene: Scene, about: str) -> questions.Question | None:
    return getattr(questions, about)(scene, *scene.names)


def cases_of(
    vlm: HookedVLM,
    scenes: Sequence[Scene],
    about: Sequence[str] = QUESTIONS,
    pixels: int = 336,
) -> list[Case]:
    """Questions about scenes of two objects, every other one with the nouns exchanged.

    Scenes with depth list what is far first, so one order alone would have one answer.

    Returns:
        Cases whose labels hold, beside those of :func:`helpers.trials.scene_cases`, how many
        cells ``lower`` the first noun's object is, and its ``larger`` size: the log of the ratio.
    """
    cases = []
    for number, scene in enumerate(scenes):
        order = number % 2
        one, other = (scene.find(name) for name in scene.names[:: -1 if order else 1])
        cues = {"lower": 4 * (one.y - other.y), "larger": math.log(one.size / other.size)}
        for kind in about:
            asked = trials.scene_cases(vlm, [scene], kind, (order,), pixels, **cues)
            cases += [replace(case, labels=case.labels | {"scene": number}) for case in asked]
    return cases


def follows_height(table: pd.DataFrame) -> stats.Interval:
    """Share of answers to front/behind that height gives (lower is in front), against size.

    Only scenes count in which the two say different things.

    Args:
        table: of :func:`trial`, unedited rows.

    Raises:
        ValueError: if there is no such scene.
    """
    rows = table[(table["kind"] == "front_behind") & (table["lower"] * table["larger"] < 0)]
    return stats.proportion((rows["before"] > 0) == (rows["lower"] > 0))


# Trials -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Push:
    """What an arm of a trial adds to a case: a vector for each of its nouns, at one site."""

    arm: str
    site: str
    vectors: Sequence[torch.Tensor]
    dose: float = 1.0
    nouns: Sequence[int] = (0, 1)
    labels: Mapping[str, Any] = field(default_factory=dict)


def trial(
    vlm: HookedVLM,
    cases: Sequence[Case],
    pushes: Callable[[Case], Iterable[Push]] = lambda case: (),
    save_to: str | Path | None = None,
) -> pd.DataFrame:
    """Ask every case as it is, and under each of its pushes.

    Returns:
        A row for each case (arm ``"none"``) and each push: the case's labels, ``number``, ``arm``,
        ``seed``, ``dose``, the push's labels, and the columns of :func:`helpers.trials.run`.

    Raises:
        ValueError: if there are no cases.
    """
    jobs = []
    for number, case in enumerate(cases):
        plain = case.labels | {"number": number, "arm": "none", "dose": 0.0, "seed": 0}
        jobs.append(Job(case.prompt, (), plain))
        for push in pushes(case):
            labels = {"number": number, "arm": push.arm, "seed": 0, **push.labels}
            jobs.append(
                trials.steering_job(
                    case, push.site, push.vectors, push.dose, push.nouns, **labels
                )
            )  # fmt: skip
    tables = [
        sweep(vlm, part, ANSWERS, save_to=save_to, progress=False) for part in _parts(jobs)
    ]  # fmt: skip
    if not tables:
        raise ValueError("a trial of no cases has no result")
    return _outcomes(pd.concat(tables, ignore_index=True))


def _parts(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """The jobs of a few prompts at a time; those of one prompt follow each other."""
    part: list[Job] = []
    seen: set[int] = set()
    for job in jobs:
        if id(job.prompt) not in seen and len(seen) == _TOGETHER:
            yield part
            part, seen = [], set()
        part.append(job)
        seen.add(id(job.prompt))
    if part:
        yield part


def _outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """What became of each belief, read from the two answers of its own question."""
    for kind in QUESTIONS:
        one, other = (table[f"log_prob_{answer}"] for answer in questions.ANSWERS[kind])
        own = table["kind"] == kind
        table.loc[own, "log_odds"] = (one - other)[own]
    before = table[table["arm"] == "none"].set_index("number")["log_odds"]
    table["before"] = table["number"].map(before)
    table["right"] = table["before"] * table["toward"] < 0
    return trials.with_outcomes(table)


def can_answer(table: pd.DataFrame, kind: str) -> bool:
    """Whether a model answers a kind of question above chance, with its whole interval."""
    rows = table[(table["kind"] == kind) & (table["arm"] == "none")]
    return len(rows) > 0 and stats.proportion(rows["right"]).low > 0.5


def swaps(table: pd.DataFrame, kind: str, arm: str, dose: float = 1.0) -> stats.Interval:
    """Share of beliefs about a kind of question that an arm swaps, with its interval over scenes.

    Raises:
        ValueError: if the table has fewer than two such scenes.
    """
    rows = table[(table["kind"] == kind) & (table["arm"] == arm) & (table["dose"] == dose)]
    if not rows["seed"].nunique() > 1:
        return stats.proportion(rows["swapped"])
    return trials.share(rows, "swapped")


# Vectors ----------------------------------------------------------------------------------------


def exchanged_rows(case: Case) -> tuple[Place, Place]:
    """Each object in the row of the other, in its own column."""
    (row, column), (other_row, other_column) = case.places
    return (other_row, column), (row, other_column)


def row_aim(ids: Mapping[str, NounIDs]) -> Aim:
    """Exchange the two objects' rows, by ID differences."""

    def aim(case: Case, site: str) -> list[torch.Tensor]:
        return trials.aimed(case, ids[case.kind], site, exchanged_rows(case))

    return aim


@dataclass(frozen=True)
class Nearness:
    """What changes at an object word when its object grows and stays where it is.

    Attributes:
        vectors: ``[nouns, kinds, sites, scenes, d_model]`` for a size that is e times as large,
            in each of several scenes; kinds as in ``QUESTIONS``.
        sites: hook names.
    """

    vectors: torch.Tensor
    sites: tuple[str, ...]

    def each(self, kind: str, noun: int, site: str) -> torch.Tensor:
        """The vectors of single scenes, ``[scenes, d_model]``."""
        return self.vectors[noun, QUESTIONS.index(kind), self.sites.index(site)]

    def mean(self, kind: str, noun: int, site: str) -> torch.Tensor:
        """The direction, ``[d_model]``."""
        return self.each(kind, noun, site).mean(0)

    def aim(self, case: Case, site: str) -> list[torch.Tensor]:
        """Exchange the two objects' sizes, and with them their nearness."""
        larger = case.labels["larger"]
        return [sign * larger * self.mean(case.kind, n, site) for n, sign in ((0, -1), (1, 1))]


def find_nearness(
    vlm: HookedVLM, sites: Sequence[str], count: int = 64, seed: int = 0, pixels: int = 336
) -> Nearness:
    """Draw each of two objects near and far, in all four ways, at places that stay the same.

    Places are those of ``"independent"`` scenes that training may show.

    Args:
        vlm: the model.
        sites: where to read.
        count: how many scenes, with four pictures each.
        seed: draws them.
        pixels: side of the pictures.
    """
    scenes = _roomy(count, seed)
    sizes = [(one, other) for one in (FAR, NEAR) for other in (FAR, NEAR)]
    prompts, words = [], []
    for number, scene in enumerate(scenes):
        names = scene.names[:: -1 if number % 2 else 1]
        for pair in sizes:
            size = dict(zip(names, pair, strict=True))
            objects = tuple(replace(placed, size=size[placed.name]) for placed in scene.objects)
            picture = replace(scene, objects=objects).render(pixels)
            for kind in QUESTIONS:
                prompts.append(vlm.prompt(picture, trials.TEMPLATES[kind].format(*names)))
                words.append([span[-1] for span in prompts[-1].words(names)])
    states = read_states(vlm, prompts, words, sites)
    shape = (len(sites), len(scenes), 2, 2, len(QUESTIONS), 2, -1)
    states = states.reshape(shape)  # sites, scenes, first size, second size, kinds, nouns, d_model
    # The words before the second noun do not know the kind: the first noun's states are the same.
    first = (states[:, :, 1] - states[:, :, 0]).mean(2)[..., 0, :]
    second = (states[:, :, :, 1] - states[:, :, :, 0]).mean(2)[..., 1, :]
    both = torch.stack([first, second]).permute(0, 3, 1, 2, 4) / math.log(NEAR / FAR)
    return Nearness(both, tuple(sites))


def _roomy(count: int, seed: int) -> list[Scene]:
    """Scenes in which both objects can be near and do not touch."""
    found: list[Scene] = []
    for more in range(20):
        drawn = sampling.scenes(
            max(count, 64), 1000 * seed + more, "independent", (2, 2), held_out=False
        )
        for scene in drawn:
            one, other = scene.objects
            if max(abs(one.x - other.x), abs(one.y - other.y)) >= 0.84 * NEAR:
                found.append(scene)
    return found[:count]


# Comparing directions ---------------------------------------------------------------------------


def row_axes(ids: NounIDs, noun: int, site: str) -> torch.Tensor:
    """The row axis of every pair of objects, ``[pairs, d_model]``."""
    own = ids[noun]
    return torch.stack([own.subset([pair]).axes(site).row for pair in own.pairs])


def cosine(one: torch.Tensor, other: torch.Tensor) -> stats.Interval:
    """Cosine of two mean directions, with a jackknife interval over the samples of both.

    Args:
        one: samples of a direction, ``[samples, d_model]``.
        other: samples of another, drawn apart.

    Raises:
        ValueError: with fewer than two samples of either.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"an interval needs two samples of each, not {len(one)} and {len(other)}")
    found = float(geometry.cosine(one.mean(0), other.mean(0)))
    left_out = (
        geometry.cosine(_without_one(one), other.mean(0)),
        geometry.cosine(one.mean(0), _without_one(other)),
    )
    # A resampled mean holds more noise than the mean, and its cosine is too small: leave out.
    spread = sum((len(part) - 1) * part.var(correction=0) for part in left_out)
    half = 1.96 * float(spread) ** 0.5
    return stats.Interval(found, max(-1.0, found - half), min(1.0, found + half), len(other))


def _without_one(samples: torch.Tensor) -> torch.Tensor:
    """The mean of all but each, ``[samples, d_model]``."""
    return (samples.sum(0) - samples) / (len(samples) - 1)


def reliability(samples: torch.Tensor) -> float:
    """Cosine of the means of two halves: one, if the mean direction is free of noise."""
    return float(geometry.cosine(samples[::2].mean(0), samples[1::2].mean(0)))


# A model, measured ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """What :func:`measure` finds.

    Attributes:
        beliefs: unedited rows of :func:`trial` for every kind of scene (column ``scenes``).
        blocks: the chosen block, by (arm, kind of question).
        trial: both arms and random vectors on held-out tied scenes, at the chosen blocks.
        cosines: of the row axis and nearness, by noun, at the block chosen for the row axis and
            front/behind.
        reliabilities: of the row axis and of nearness there, by noun.
    """

    beliefs: pd.DataFrame
    blocks: dict[tuple[str, str], int]
    trial: pd.DataFrame
    cosines: tuple[stats.Interval, stats.Interval]
    reliabilities: tuple[tuple[float, float], tuple[float, float]]

    def accuracy(self, kind: str, scenes: str) -> stats.Interval:
        """Share of right answers to a kind of question in a kind of scene."""
        some = self.beliefs[(self.beliefs["kind"] == kind) & (self.beliefs["scenes"] == scenes)]
        return stats.proportion(some["right"])

    def numbers(self) -> dict[str, stats.Interval]:
        """The headline numbers by name."""
        found = {
            f"{kind} {scenes}": self.accuracy(kind, scenes)
            for kind in QUESTIONS
            for scenes in SCENES
        }
        conflict = self.beliefs[self.beliefs["scenes"] == "conflict"]
        found["follows height"] = follows_height(conflict)
        for arm in ("row axis", "nearness", "random, as row axis", "random, as nearness"):
            found |= {f"{arm}: {kind}": swaps(self.trial, kind, arm) for kind in QUESTIONS}
        for noun, interval in enumerate(self.cosines):
            found[f"cosine, noun {noun}"] = interval
        return found


def usable_blocks(vlm: HookedVLM) -> range:
    """Blocks after which a word may know a place: not before the first that sees the picture."""
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    return range(min(looking, default=0), vlm.n_layers)


def by_block(
    vlm: HookedVLM,
    cases: Sequence[Case],
    aims: Mapping[str, Aim],
    save_to: str | Path | None = None,
) -> pd.DataFrame:
    """Push every case along each aim, at dose one, after each usable block (column ``block``)."""

    def pushes(case: Case) -> Iterator[Push]:
        for block in usable_blocks(vlm):
            site = vlm.resid_post(block)
            for arm, aim in aims.items():
                yield Push(arm, site, aim(case, site), labels={"block": block})

    table = trial(vlm, cases, pushes, save_to)
    table = table[table["arm"] != "none"]
    return table.astype({"block": int})


def best_blocks(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """For each arm and kind of question, the block at which beliefs move furthest."""
    moved = table.groupby(["arm", "kind", "block"])["change"].mean()
    return {key: int(part.idxmax()[2]) for key, part in moved.groupby(level=["arm", "kind"])}


def beside_random(
    vlm: HookedVLM,
    aims: Mapping[str, Aim],
    blocks: Mapping[tuple[str, str], int],
    seeds: int,
    each: int | None = None,
) -> Callable[[Case], Iterator[Push]]:
    """Each aim at its chosen block, and random vectors of its lengths: pushes for a trial.

    Args:
        vlm: the model.
        aims: by the name of their arm.
        blocks: where, by arm and kind of question.
        seeds: of random vectors.
        each: how many of the seeds every scene gets, in turns; all by default.
    """

    def pushes(case: Case) -> Iterator[Push]:
        for arm, aim in aims.items():
            site = vlm.resid_post(blocks[arm, case.kind])
            vectors = aim(case, site)
            yield Push(arm, site, vectors)
            for turn in range(seeds if each is None else each):
                seed = (case.labels["scene"] + turn) % seeds
                # A case's draws are its own, whatever else is in the table.
                words = [seed, case.labels["scene"], *f"{arm} {case.kind}".encode()]
                number = np.array(words, np.uint32)
                state = int(np.random.SeedSequence(number).generate_state(1)[0])
                generator = torch.Generator().manual_seed(state)
                noise = [random_direction(vector, generator) for vector in vectors]
                yield Push(f"random, as {arm}", site, noise, labels={"seed": seed})

    return pushes


def measure(
    vlm: HookedVLM,
    count: int = 500,
    seed: int = 0,
    choosing: int = 40,
    pairs: int = 8,
    partners: int = 2,
    seeds: int = 4,
    save_to: str | Path | None = None,
) -> Measured:
    """Measure what a model answers about depth, and what moves these answers.

    Args:
        vlm: the model.
        count: held-out scenes of each trial, and of plain questions about independent and about
            conflict scenes.
        seed: draws everything.
        choosing: other held-out scenes, to choose blocks with; nearness is read off twice as many.
        pairs: of :func:`helpers.trials.extract_ids`.
        partners: the same.
        seeds: random vectors beside each push.
        save_to: a folder that keeps what is done.
    """
    ids = trials.extract_ids(vlm, QUESTIONS, pairs, partners, seed, save_to=save_to)
    sites = [vlm.resid_post(block) for block in usable_blocks(vlm)]
    near = find_nearness(vlm, sites, 2 * choosing, seed)
    aims = {"row axis": row_aim(ids), "nearness": near.aim}
    to_choose = cases_of(vlm, asked_scenes("tied", choosing, seed + 1))
    blocks = best_blocks(by_block(vlm, to_choose, aims, save_to))
    judged = cases_of(vlm, asked_scenes("tied", count, seed + 2))
    table = trial(vlm, judged, beside_random(vlm, aims, blocks, seeds), save_to)
    beliefs = [table[table["arm"] == "none"].assign(scenes="tied")]
    for scenes in ("independent", "conflict"):
        beliefs.append(ask_about(vlm, scenes, count, seed + 2, save_to))
    site = vlm.resid_post(blocks["row axis", "front_behind"])
    parts = [
        (row_axes(ids["front_behind"], noun, site), near.each("front_behind", noun, site))
        for noun in (0, 1)
    ]
    return Measured(
        pd.concat(beliefs, ignore_index=True),
        blocks,
        table,
        tuple(cosine(row, own) for row, own in parts),
        tuple((reliability(row), reliability(own)) for row, own in parts),
    )


def ask_about(
    vlm: HookedVLM, kind: str, count: int, seed: int, save_to: str | Path | None = None
) -> pd.DataFrame:
    """Ask front/behind about held-out scenes of a kind, and above/below about some of them.

    Returns:
        Unedited rows of :func:`trial`, with the kind as ``scenes``.
    """
    scenes = asked_scenes(kind, count, seed)
    both = min(count, max(8, count // 4))
    cases = cases_of(vlm, scenes[:both])
    if scenes[both:]:
        cases += [
            replace(case, labels=case.labels | {"scene": both + number})
            for number, case in enumerate(cases_of(vlm, scenes[both:], ["front_behind"]))
        ]
    return trial(vlm, cases, save_to=save_to).assign(scenes=kind)
