"""Fine-tune a model's eyes, with and without its own spatial IDs as a teacher::

    python -m helpers.training.teach tiny-llava-early --out taught --arms answers ids --seeds 0 1 2

Only the MLPs of the vision tower learn. Every arm has the same questions, drawn from the seed and
the step alone, so that arms differ in their loss and in nothing else::

    answers    minus the log-probability of the right answer, over its surface forms
    ids        + weight * (1 - cosine(state of a noun, ID of its object's true place))
    shuffled   the same with the IDs at wrong cells: a control
    places     + place_weight * squared error of a linear probe of the place at a noun's state:
               a control that tells where things are, and not which vector says so
    ids-alone  the ID loss without the answers

IDs are centred: each is a difference from the mean over places. So the state of a noun is centred
too, by the mean state of that very word over places, before they are compared. Each noun of a
question has IDs and means of its own. All of them come from the model as it was before.
"""

import argparse
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from sklearn.linear_model import RidgeCV
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm

from helpers import trials
from helpers.beliefs import answer_forms
from helpers.fingerprint import Fingerprint
from helpers.hooks import HookedVLM
from helpers.ids import grid_scene
from helpers.loading import load_vlm
from helpers.reading import read_states
from helpers.stimuli import questions
from helpers.stimuli.sampling import PAPER_SIZES, scenes
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import OBJECTS
from helpers.training.data import SceneMix
from helpers.trials import Case, NounIDs

KINDS = ("left_right", "above_below")
MIX = SceneMix(((0.3, "grid", (2, 2)), (0.7, "clutter", (3, 6))))
GRID = 4
#: Cells of a grid, numbered row by row: two in each row and in each column.
DIAGONALS = (0, 5, 10, 15, 3, 6, 9, 12)
#: Families in which several questions fit behind one image: plain causal blocks and positions.
PACKED = ("LLaVA-1.5",)
_MLP = re.compile(r"(^|\.)vis\w*\.(.*\.)?\d+\.mlp\.")

#: From the model to a table with a row for each question: what a lesson is judged by on its way.
Judge = Callable[[HookedVLM], pd.DataFrame]


@dataclass(frozen=True)
class Arm:
    """What an arm learns from.

    Attributes:
        answers: whether from right answers.
        second: the loss beside them: "ids", "shuffled" IDs, "places" by a probe, or none ("").
    """

    answers: bool
    second: str


ARMS = {
    "answers": Arm(True, ""),
    "ids": Arm(True, "ids"),
    "shuffled": Arm(True, "shuffled"),
    "places": Arm(True, "places"),
    "ids-alone": Arm(False, "ids"),
}


@dataclass(frozen=True)
class Plan:
    """How long and how a lesson goes; the same for all arms.

    Attributes:
        images: of every step.
        questions: of every step; all are about training pairs and places.
        weight: of the ID loss beside the answers' loss.
        place_weight: of the probes' loss, which is in squared cells.
        decay: the share of the steps in which the rate falls to zero.
        per_pass: questions in one forward pass at most; 0: all of a step's.
        judge_every: steps between two judgements.
        save_every: steps between two checkpoints.
    """

    steps: int = 200
    images: int = 8
    questions: int = 8
    rate: float = 1e-3
    weight: float = 1.0
    place_weight: float = 0.3
    warmup: int = 10
    decay: float = 0.3
    kinds: tuple[str, ...] = KINDS
    scenes: SceneMix = MIX
    pixels: int = 336
    per_pass: int = 0
    judge_every: int = 50
    save_every: int = 50


# What learns ------------------------------------------------------------------------------------


def vision_mlps(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of the MLPs in the blocks of a vision tower, by name.

    Raises:
        ValueError: if there are none; the message lists what the model has.
    """
    named = dict(model.named_parameters())
    found = {name: parameter for name, parameter in named.items() if _MLP.search(name)}
    if not found:
        parts = sorted({re.sub(r"\.\d+\..*|\.[^.]*$", "", name) for name in named})
        raise ValueError(
            "no parameters of MLPs in a vision tower (a path such as vision_tower...0.mlp.fc1); "
            f"{type(model).__name__} has: {', '.join(parts)}"
        )
    return found


@contextmanager
def _only(model: nn.Module, parameters: dict[str, nn.Parameter]) -> Iterator[None]:
    """Let these parameters alone learn; afterwards all is as before, their values too."""
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    try:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in parameters)
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name])
            parameter.grad = None
        _write(parameters, values)


@torch.no_grad()
def _write(parameters: dict[str, nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(values[name])


# The teacher ------------------------------------------------------------------------------------

#: Weights ``[d_model, 2]`` and bias ``[2]`` of what reads (row, column), in cells.
Probe = tuple[torch.Tensor, torch.Tensor]
#: From (noun, kind, object) to a mean state, ``[d_model]``.
Means = dict[tuple[int, str, str], torch.Tensor]
#: The seed of the questions on which probes are fitted; no lesson has it.
_PROBED = 2**20


@dataclass(frozen=True)
class Teacher:
    """Where the states of nouns should point.

    Attributes:
        site: where they are read.
        ids: from a kind of question to the IDs of its first and of its second noun.
        means: from (noun, kind, object) to the mean state of that word over places, ``[d_model]``.
        probes: what reads the place off a centred state, by the kind of question, for each noun.
    """

    site: str
    ids: dict[str, NounIDs]
    means: Means
    probes: dict[str, tuple[Probe, Probe]]

    @classmethod
    def from_model(
        cls,
        vlm: HookedVLM,
        site: str,
        kinds: Sequence[str] = KINDS,
        names: Sequence[str] = OBJECTS,
        pairs: int = 8,
        partners: int = 2,
        seed: int = 0,
        plan: Plan = Plan(),
    ) -> "Teacher":
        """Read IDs and means off clean grids, probes off a plan's scenes; all of training pairs."""
        options = {"pairs": pairs, "partners": partners, "seed": seed, "sites": [site]}
        ids = trials.extract_ids(vlm, kinds, **options)
        means = read_means(vlm, site, kinds, names, seed)
        return cls(site, ids, means, fit_probes(vlm, site, means, plan))

    def shuffled(self, seed: int) -> "Teacher":
        """The same IDs at wrong cells; both nouns' and all kinds' cells are mixed up alike."""
        mixed = {
            kind: tuple(one.shuffled(seed) for one in nouns) for kind, nouns in self.ids.items()
        }
        return replace(self, ids=mixed)

    def probed(
        self, states: torch.Tensor, means: torch.Tensor, cases: Sequence[Case]
    ) -> torch.Tensor:
        """The (row, column) that probes read off the states of nouns, ``[cases, 2, 2]``."""
        parts = [zip(*self.probes[case.kind], strict=True) for case in cases]
        weights, bias = (
            torch.stack([one for part in each for one in part]).to(states.device)
            for each in zip(*parts, strict=True)
        )
        centred = (states.float() - means).flatten(0, 1)
        return (torch.einsum("nd,ndp->np", centred, weights) + bias).unflatten(0, (-1, 2))

    def wanted(self, cases: Sequence[Case]) -> tuple[torch.Tensor, torch.Tensor]:
        """The IDs of the true places and the means to subtract, ``[cases, 2, d_model]`` each."""
        wanted = [
            ids.interpolate(self.site, *place)
            for case in cases
            for ids, place in zip(self.ids[case.kind], case.places, strict=True)
        ]
        return torch.stack(wanted).unflatten(0, (-1, 2)), means_of(self.means, cases)


def means_of(means: Means, cases: Sequence[Case]) -> torch.Tensor:
    """The mean states of the cases' nouns, ``[cases, 2, d_model]``."""
    each = [means[noun, case.kind, name] for case in cases for noun, name in enumerate(case.names)]
    return torch.stack(each).unflatten(0, (-1, 2))


def fit_probes(
    vlm: HookedVLM, site: str, means: Means, plan: Plan, steps: int = 24
) -> dict[str, tuple[Probe, Probe]]:
    """Ridge regressions from centred states of nouns to (row, column).

    Fitted on as many questions as so many steps of a lesson have, about the plan's own scenes:
    probes that know clean grids alone are lost in clutter.
    """
    cases = [case for step in range(steps) for case in draw_cases(vlm, plan, _PROBED, step)]
    spots = [[span[-1] for span in case.spans] for case in cases]
    states = read_states(vlm, [case.prompt for case in cases], spots, [site])[0]
    centred = (states - means_of(means, cases)).numpy()
    found = {}
    for kind in dict.fromkeys(case.kind for case in cases):
        rows = [row for row, case in enumerate(cases) if case.kind == kind]
        places = np.array([cases[row].places for row in rows])
        found[kind] = tuple(_fit_probe(centred[rows, noun], places[:, noun]) for noun in (0, 1))
    return found


def _fit_probe(states: np.ndarray, places: np.ndarray) -> Probe:
    ridge = RidgeCV(alphas=np.logspace(-2, 5, 15)).fit(states, places)
    weights, bias = torch.tensor(ridge.coef_.T), torch.tensor(ridge.intercept_)
    return weights.float(), bias.float()


def read_means(
    vlm: HookedVLM,
    site: str,
    kinds: Sequence[str],
    names: Sequence[str],
    seed: int = 0,
    cells: Sequence[int] = range(GRID**2),
) -> Means:
    """The mean state of every name over the cells of a grid, as first and as second noun.

    Each name stands in each cell once, beside another object that training may show with it. Fewer
    cells will do if each row and each column has equally many (:data:`DIAGONALS`): their mean
    place is the middle of the grid, as that of all is.

    Raises:
        ValueError: if a name is not one of our objects.
    """
    unknown = set(names) - set(OBJECTS)
    if unknown:
        raise ValueError(f"no pictures of {', '.join(sorted(unknown))}")
    generator = np.random.default_rng([seed, 3])
    prompts, positions, keys = [], [], []
    for name, cell in itertools.product(names, cells):
        others = [one for one in OBJECTS if one != name and not is_held_out_pair(one, name)]
        other = others[generator.integers(len(others))]
        step = int(generator.integers(1, GRID**2))
        places = [divmod(place % GRID**2, GRID) for place in (cell, cell + step)]
        picture = grid_scene((name, other), places, PAPER_SIZES[-1], GRID).render()
        for noun, kind in ((0, kinds[0]), *((1, kind) for kind in kinds)):
            asked = (name, other)[:: -1 if noun else 1]
            prompt = vlm.prompt(picture, trials.TEMPLATES[kind].format(*asked))
            prompts.append(prompt)
            positions.append([prompt.words(asked)[noun][-1]])
            keys.append((noun, kind, name))
    states = read_states(vlm, prompts, positions, [site])[0, :, 0]
    means = {
        key: states[[number for number, other in enumerate(keys) if other == key]].mean(0)
        for key in dict.fromkeys(keys)
    }
    # The first noun comes before the question says what it is about.
    first = {(0, kind, name): means[0, kinds[0], name] for kind in kinds for name in names}
    return means | first


def id_loss(states: torch.Tensor, means: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """``1 - cosine(state - mean, ID)``, ``[...]`` from ``[..., d_model]``; both sides centred."""
    return 1 - functional.cosine_similarity(states.float() - means, wanted, dim=-1)


def place_loss(probed: torch.Tensor, cases: Sequence[Case]) -> torch.Tensor:
    """Squared distance between probed and true places ``[cases, 2]``, in cells."""
    true = torch.tensor([case.places for case in cases]).to(probed)
    return (probed - true).square().sum(-1)


# Questions --------------------------------------------------------------------------------------


def draw_cases(vlm: HookedVLM, plan: Plan, seed: int, step: int) -> list[Case]:
    """The questions of a step: a function of the seed and the step, whatever the arm."""
    generator = np.random.default_rng([seed, 4, step])
    cases: list[Case] = []
    for number in range(plan.images):
        scene = plan.scenes.draw(generator)
        picture, drawn = scene.render(plan.pixels), 0
        while drawn < plan.questions:
            asked = questions.ask(scene, str(generator.choice(plan.kinds)), generator)
            if asked is None and not drawn:  # it may have no answer to any question
                scene = plan.scenes.draw(generator)
                picture = scene.render(plan.pixels)
            if asked is None:
                continue
            places = tuple(trials.in_cells(scene.find(name)) for name in asked.objects)
            toward = -1 if asked.answer == questions.ANSWERS[asked.kind][0] else 1
            prompt = vlm.prompt(picture, asked.text)
            labels = {"scene": number}
            cases.append(Case(prompt, asked.kind, asked.objects, places, toward, labels))
            drawn += 1
    return cases


@dataclass
class _Batch:
    """Inputs of a pass and, for each question, its row, last token and nouns ``[questions, 2]``."""

    inputs: dict[str, torch.Tensor]
    rows: torch.Tensor
    last: torch.Tensor
    nouns: torch.Tensor


def plain_batch(vlm: HookedVLM, cases: Sequence[Case]) -> _Batch:
    """A row for each question; any family."""
    inputs = vlm.batch([case.prompt for case in cases])
    last = torch.tensor([case.prompt.last for case in cases])
    nouns = torch.tensor([[span[-1] for span in case.spans] for case in cases])
    return _Batch(inputs, torch.arange(len(cases)), last, nouns)


def packed_batch(vlm: HookedVLM, cases: Sequence[Case]) -> _Batch:
    """A row for each picture, with all its questions behind it; they do not see each other."""
    groups: dict[Any, list[int]] = {}
    for index, case in enumerate(cases):
        groups.setdefault(case.labels["scene"], []).append(index)
    first = cases[0].prompt.image_patches.positions[-1] + 1
    tails = [case.prompt.inputs["input_ids"][0, first:] for case in cases]
    length = first + max(sum(len(tails[i]) for i in members) for members in groups.values())
    ids = torch.full((len(groups), length), vlm.processor.tokenizer.pad_token_id or 0)
    positions = torch.zeros_like(ids)
    owner = torch.full_like(ids, -1)
    rows, starts = torch.zeros(len(cases), dtype=torch.long), torch.zeros(len(cases), 1).long()
    for row, members in enumerate(groups.values()):
        ids[row, :first] = cases[members[0]].prompt.inputs["input_ids"][0, :first]
        positions[row, :first], owner[row, :first] = torch.arange(first), 0
        at = first
        for number, index in enumerate(members, start=1):
            end = at + len(tails[index])
            ids[row, at:end], owner[row, at:end] = tails[index], number
            positions[row, at:end] = torch.arange(first, first + end - at)
            rows[index], starts[index], at = row, at - first, end
    seen = (owner[:, :, None] == owner[:, None]) | (owner[:, None] == 0)
    seen &= torch.ones(length, length).tril().bool()
    mask = torch.zeros(seen.shape, dtype=vlm.dtype)
    mask = mask.masked_fill(~seen, torch.finfo(vlm.dtype).min)[:, None]
    pictures = [cases[members[0]].prompt.inputs["pixel_values"] for members in groups.values()]
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    inputs["pixel_values"] = torch.cat([torch.as_tensor(one) for one in pictures]).to(vlm.dtype)
    last = torch.tensor([case.prompt.last for case in cases])
    nouns = torch.tensor([[span[-1] for span in case.spans] for case in cases])
    vlm.work["prompts"] += len(cases)
    inputs = {name: value.to(vlm.device) for name, value in inputs.items()}
    return _Batch(inputs, rows, last + starts[:, 0], nouns + starts)


def read_batch(vlm: HookedVLM, batch: _Batch, site: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A pass with gradients.

    Returns:
        Logits at the questions' last tokens ``[questions, vocabulary]``, and the stream at the
        site at their nouns ``[questions, 2, d_model]``.
    """
    kept = []
    wanted, which = batch.last.unique(return_inverse=True)
    with vlm.hooks([(site, lambda resid, hook: kept.append(resid))]):
        keep = wanted.to(vlm.device)
        output = vlm.model(**batch.inputs, logits_to_keep=keep, use_cache=False)
    logits = output.logits
    if logits.shape[1] != len(wanted):  # VideoLLaMA 3 knows no such argument, and ignores it
        logits = logits[:, keep]
    rows = batch.rows.to(vlm.device)
    states = kept[0][rows[:, None], batch.nouns.to(vlm.device)]
    return logits[rows, which.to(vlm.device)], states


def first_tokens(vlm: HookedVLM, case: Case) -> tuple[list[int], list[int]]:
    """The tokens that the right answer, and the wrong one, may begin with.

    Raises:
        ValueError: if the two begin alike, so that one token cannot tell.
    """
    answers = questions.ANSWERS[case.kind]
    forms = answer_forms(vlm, case.prompt, answers)
    one, other = (sorted({form[0] for form in forms[answer]}) for answer in answers)
    if set(one) & set(other):
        raise ValueError(f"the answers {answers} begin with the same token in this model")
    return (one, other) if case.toward < 0 else (other, one)


# A lesson ---------------------------------------------------------------------------------------


@dataclass
class Lesson:
    """What a lesson leaves.

    Attributes:
        weights: the trained parameters by name, on the CPU.
        losses: a row for each step: ``arm``, ``seed``, ``step``, ``answer_loss``, ``id_loss``
            (against the true IDs, in every arm).
        judged: the judge's tables, with ``arm``, ``seed`` and ``step``.
        about: which model, arm, seed and plan.
    """

    weights: dict[str, torch.Tensor]
    losses: pd.DataFrame
    judged: pd.DataFrame
    about: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the trained parameters alone, and what they are in the header."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        save_file(self.weights, part, metadata={"taught": json.dumps(self.about)})
        part.replace(path)


def load_taught(vlm: HookedVLM, path: str | Path) -> dict[str, Any]:
    """Put what a lesson has taught into a model, in place.

    Results of taught models must not be kept under a fingerprint of the model (``save_to``):
    that looks at the decoder, which no lesson changes.

    Args:
        vlm: the model that the lesson began with.
        path: a file that :meth:`Lesson.save` wrote.

    Returns:
        Which model, arm, seed and plan.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it holds something else, or is of another model.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no taught weights at {path}: run chapter 14 first")
    try:
        with safe_open(str(path), "pt") as file:
            about = json.loads((file.metadata() or {}).get("taught", "null"))
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    if about is None:
        raise ValueError(f"{path} is a safetensors file but holds no taught weights")
    if about["model"] != _name_of(vlm):
        raise ValueError(
            f"{path} was taught to {about['model']!r}; the model here is {_name_of(vlm)!r}"
        )
    parameters = vision_mlps(vlm.model)
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    here = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    if shapes != here:
        odd = sorted(name for name in {*shapes, *here} if shapes.get(name) != here.get(name))
        raise ValueError(f"{path} does not fit the model: see {odd[0]}, {len(odd)} differ")
    _write(parameters, values)
    return about


@contextmanager
def taught(vlm: HookedVLM, lesson: str | Path | Lesson | None) -> Iterator[HookedVLM]:
    """The model as a lesson left it, for a ``with`` block; None leaves it as it is."""
    parameters = vision_mlps(vlm.model)
    with _only(vlm.model, parameters):
        if isinstance(lesson, Lesson):
            _write(parameters, lesson.weights)
        elif lesson is not None:
            load_taught(vlm, lesson)
        yield vlm


def _name_of(vlm: HookedVLM) -> str:
    return Path(str(vlm.model.config._name_or_path)).name or type(vlm.model).__name__


def teach(
    vlm: HookedVLM,
    teacher: Teacher,
    arm: str,
    seed: int,
    plan: Plan = Plan(),
    judge: Judge | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
    before: pd.DataFrame | None = None,
    draw: Callable[[int], Sequence[Case]] | None = None,
) -> Lesson:
    """Fine-tune the vision MLPs in one arm with one seed; the model is as before afterwards.

    Args:
        vlm: the model.
        teacher: read off this model.
        arm: a key of ``ARMS``.
        seed: draws the questions, and mixes up the control's IDs.
        plan: how.
        judge: called before the first step, every ``plan.judge_every`` steps, and at the end.
        folder: checkpoints go there, and the same call goes on from the last one.
        progress: show a bar.
        before: what the judge says before the first step, if that is known: it is the same for
            all arms and seeds.
        draw: from a step to its questions, if they are at hand: those that :func:`draw_cases`
            draws with this plan and seed.

    Raises:
        ValueError: if the arm is unknown, or the model has no vision MLPs.
        RuntimeError: if a loss is not a finite number.
    """
    if arm not in ARMS:
        raise ValueError(f"unknown arm {arm!r}; there are: {', '.join(ARMS)}")
    with _only(vlm.model, vision_mlps(vlm.model)):
        run = _Run(vlm, teacher, arm, seed, plan, judge, folder)
        run.draw = draw or run.draw
        run.go(progress, before)
        return run.lesson()


class _Run:
    """One lesson: float32 copies of what learns, their optimizer, what was noted so far."""

    def __init__(self, vlm, teacher, arm, seed, plan, judge, folder) -> None:
        self.vlm, self.teacher, self.plan, self.judge = vlm, teacher, plan, judge
        self.arm, self.seed, self.step = arm, seed, 0
        self.told = teacher.shuffled(seed) if ARMS[arm].second == "shuffled" else teacher
        self.parameters = vision_mlps(vlm.model)
        # A step is smaller than what half precision can hold.
        self.copies = {n: p.detach().float().clone() for n, p in self.parameters.items()}
        self.optimizer = torch.optim.AdamW(self.copies.values(), plan.rate, weight_decay=0.0)
        self.draw = partial(draw_cases, vlm, plan, seed)
        self.losses: list[dict[str, Any]] = []
        self.judged: list[dict[str, Any]] = []
        self.tokens: dict[tuple[str, int], list[int]] = {}
        self.path = None
        if folder is not None:
            name = Fingerprint("teach", plan, judge is None).add(vlm, *self.copies.values())
            name.add(*(ids.at(teacher.site) for pair in teacher.ids.values() for ids in pair))
            self.path = Path(folder) / f"{arm}-{seed}-{name}.safetensors"
            self._load()

    def go(self, progress: bool, before: pd.DataFrame | None) -> None:
        plan = self.plan
        bar = tqdm(
            range(self.step, plan.steps), f"{self.arm}, seed {self.seed}", plan.steps,
            initial=self.step, disable=not progress, leave=False,
        )  # fmt: skip
        if self.step == 0:
            self._judge(before)
        for step in bar:
            row = self._learn(step)
            self.step = step + 1
            self.losses.append({"arm": self.arm, "seed": self.seed, "step": self.step, **row})
            bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            last = self.step == plan.steps
            if last or self.step % plan.judge_every == 0:
                self._judge()
            if last or self.step % plan.save_every == 0:
                self._save()

    def _learn(self, step: int) -> dict[str, float]:
        """One step; the mean losses over its questions."""
        cases = self.draw(step)
        size = self.plan.per_pass or len(cases)
        sums = torch.zeros(3)
        for begin in range(0, len(cases), size):
            part = cases[begin : begin + size]
            loss, shown = self._loss(part)
            (loss * len(part) / len(cases)).backward()
            sums += shown * len(part) / len(cases)
        answer, ids, places = sums.tolist()
        if not all(map(math.isfinite, (answer, ids, places))):
            raise RuntimeError(
                f"arm {self.arm}, seed {self.seed}: at step {step} the answers' loss is {answer}, "
                f"the ID loss {ids} and that of places {places}. Try a lower rate than "
                f"{self.plan.rate:g}"
            )
        self._update(step)
        return {"answer_loss": answer, "id_loss": ids, "place_loss": places}

    def _loss(self, cases: Sequence[Case]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the arm learns from, and the losses to show: answers, true IDs, true places."""
        vlm, arm = self.vlm, ARMS[self.arm]
        batch = (packed_batch if vlm.family.name in PACKED else plain_batch)(vlm, cases)
        on_gpu = vlm.device.type == "cuda"
        with torch.autocast(vlm.device.type, torch.bfloat16, enabled=on_gpu):
            logits, states = read_batch(vlm, batch, self.teacher.site)
        log_probs = logits.float().log_softmax(-1)
        right = [log_probs[row, self._right(case)].logsumexp(0) for row, case in enumerate(cases)]
        answers = -torch.stack(right).mean()
        told, means = (part.to(states.device) for part in self.told.wanted(cases))
        true = self.teacher.wanted(cases)[0].to(states.device)
        ids = id_loss(states, means, true).mean()
        places = place_loss(self.teacher.probed(states, means, cases), cases).mean()
        second = {
            "": 0.0,
            "ids": self.plan.weight * ids,
            "shuffled": self.plan.weight * id_loss(states, means, told).mean(),
            "places": self.plan.place_weight * places,
        }[arm.second]
        loss = answers * arm.answers + second
        return loss, torch.stack([answers, ids, places]).detach().float().cpu()

    def _right(self, case: Case) -> list[int]:
        key = (case.kind, case.toward)
        if key not in self.tokens:
            self.tokens[key] = first_tokens(self.vlm, case)[0]
        return self.tokens[key]

    def _update(self, step: int) -> None:
        """Step the float32 copies, and write them into the model."""
        for name, copy in self.copies.items():
            gradient = self.parameters[name].grad
            copy.grad = None if gradient is None else gradient.float()
            self.parameters[name].grad = None
        torch.nn.utils.clip_grad_norm_(self.copies.values(), 1.0)
        plan = self.plan
        falling = (plan.steps - step) / max(1.0, plan.decay * plan.steps)
        rate = plan.rate * min(1.0, (step + 1) / max(1, plan.warmup), falling)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        _write(self.parameters, self.copies)

    def _judge(self, known: pd.DataFrame | None = None) -> None:
        if self.judge is not None:
            table = self.judge(self.vlm) if known is None else known
            table = table.assign(arm=self.arm, seed=self.seed, step=self.step)
            self.judged += table.to_dict("records")

    # Checkpoints --------------------------------------------------------------------------------

    def _save(self) -> None:
        """Write weights, moments and all that was noted into one file, which appears whole."""
        if self.path is None:
            return
        tensors = {f"copy.{name}": value for name, value in self.copies.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"moment.{index}.{key}": value for key, value in moments.items()}
        noted = {"step": self.step, "losses": self.losses, "judged": self.judged}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        save_file(tensors, part, metadata={"noted": json.dumps(noted, default=_plain)})
        part.replace(self.path)

    def _load(self) -> None:
        if not self.path.exists():
            return
        with safe_open(str(self.path), "pt", device=str(self.vlm.device)) as file:
            noted = json.loads(file.metadata()["noted"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        whole = self.optimizer.state_dict()
        for name, value in tensors.items():
            part, rest = name.split(".", 1)
            if part == "copy":
                self.copies[rest].copy_(value)
            else:
                index, key = rest.split(".", 1)
                whole["state"].setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict(whole)
        self.step, self.losses, self.judged = noted["step"], noted["losses"], noted["judged"]
        _write(self.parameters, self.copies)

    def lesson(self) -> Lesson:
        """What the lesson leaves, independent of the model."""
        about = {"model": _name_of(self.vlm), "arm": self.arm, "seed": self.seed}
        about |= {"site": self.teacher.site, "plan": repr(self.plan)}
        weights = {n: p.detach().cpu().clone() for n, p in self.parameters.items()}
        return Lesson(weights, pd.DataFrame(self.losses), pd.DataFrame(self.judged), about)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


# Command line -----------------------------------------------------------------------------------


def held_out_cases(
    vlm: HookedVLM, count: int, seed: int, kinds: Sequence[str] = KINDS
) -> list[Case]:
    """Questions about held-out pairs at held-out places, ``count`` scenes in all.

    Half of the scenes are two objects on white, half clutter; half of each is asked about each
    kind. The order of the nouns takes turns. No question about a picture comes twice: where there
    are no more pictures (on a grid with a few hundred), the scenes are fewer.
    """
    cases: list[Case] = []
    for number, (scene_kind, kind) in enumerate(itertools.product(("grid", "clutter"), kinds)):
        wanted = count // (2 * len(kinds))
        drawn = scenes(4 * wanted + 20, 100 * seed + number, scene_kind, held_out=True)
        found: dict[Any, Case] = {}
        for index, scene in enumerate(drawn):
            key = frozenset(scene.objects), scene.names[index % 2]
            if len(found) < wanted and key not in found:
                for case in trials.scene_cases(vlm, [scene], kind, [index % 2], of=scene_kind):
                    found[key] = case
        cases += found.values()
    return [
        replace(case, labels=case.labels | {"scene": number}) for number, case in enumerate(cases)
    ]


def judge_by(cases: Sequence[Case]) -> Judge:
    """A judge that asks the same questions each time: ``scene``, ``kind``, ``right``, ``sure``.

    ``sure`` is the log-odds of the right answer.
    """

    def judge(vlm: HookedVLM) -> pd.DataFrame:
        table = pd.DataFrame([case.labels for case in trials.with_beliefs(vlm, cases)])
        table["sure"] = -table["before"] * table["toward"]
        return table.drop(columns=["before", "toward", "order"])

    return judge


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", help="what load_vlm takes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the taught weights")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[*ARMS][:4])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--layer", type=int, help="block whose output is taught; the middle one")
    parser.add_argument("--count", type=int, default=200, help="held-out scenes to judge by")
    for name in ("steps", "images", "questions", "per_pass", "judge_every", "save_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Plan, name))
    for name in ("rate", "weight", "place_weight"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Plan, name))
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    vlm = load_vlm(arguments.model, dtype=torch.bfloat16 if on_gpu else None)
    layer = vlm.n_layers // 2 if arguments.layer is None else arguments.layer
    names = [one for one in vars(Plan()) if hasattr(arguments, one)]
    plan = Plan(**{name: getattr(arguments, name) for name in names})
    teacher = Teacher.from_model(vlm, vlm.resid_post(layer), plan.kinds, plan=plan)
    judge = judge_by(held_out_cases(vlm, arguments.count, 1, plan.kinds))
    for seed, arm in itertools.product(arguments.seeds, arguments.arms):
        lesson = teach(vlm, teacher, arm, seed, plan, judge, arguments.out / "checkpoints")
        lesson.save(arguments.out / f"{arm}-{seed}.safetensors")
        lesson.judged.to_parquet(arguments.out / f"{arm}-{seed}.parquet", index=False)
        accuracy = lesson.judged.groupby("step")["right"].mean()
        print(f"{arm}, seed {seed}: accuracy", accuracy.round(3).to_dict(), flush=True)


if __name__ == "__main__":
    main()
