"""Which part of a model is to blame for a wrong answer: the encoder, the binding, or the reasoning?

Two gauges read a place off the same pass: :class:`PatchGauge` off the image's patches,
:class:`WordGauge` off the nouns. A :class:`Rule` compares both with the truth, with limits from
questions that the model answers rightly.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats as scipy_stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from helpers import geometry, stats
from helpers.hooks import HookedVLM
from helpers.reading import read_states
from helpers.stimuli.scenes import Placed, Scene
from helpers.trials import Case, NounIDs

CAUSES = ("encoder", "binding", "reasoning")
#: What the language model gets from the encoder.
ENTRY = "blocks.0.hook_resid_pre"
#: Of a sprite's square, the share of its side within which it is drawn.
_EXTENT = 0.84
#: A patch with more of an object than the one shows it; with less than the other it shows none.
_MUCH, _LITTLE = 0.5, 0.15


# Reading ----------------------------------------------------------------------------------------


class States(NamedTuple):
    """What the gauges read, of n questions.

    Attributes:
        words: states of both nouns' last tokens at a site, ``[n, 2, d_model]``.
        patches: what enters the first block at the patches, row by row, ``[n, patches, d_model]``.
        grid: (rows, columns) of the patches.
    """

    words: torch.Tensor
    patches: torch.Tensor
    grid: tuple[int, int]


def read(vlm: HookedVLM, cases: Sequence[Case], site: str) -> States:
    """Read nouns and patches in one pass.

    Raises:
        ValueError: if there are no cases, the model keeps its patches out of the sequence, or
            pictures have different grids of patches.
    """
    if not cases:
        raise ValueError("an empty list of cases has no states")
    views = [case.prompt.image_patches.whole for case in cases]
    grids = {view.grid for view in views}
    if len(grids) > 1:
        raise ValueError(f"give all pictures one size: their patches are {sorted(grids)}")
    where = [
        [span[-1] for span in case.spans] + list(view.positions)
        for case, view in zip(cases, views, strict=True)
    ]
    prompts = [case.prompt for case in cases]
    entry, behind = read_states(vlm, prompts, where, [ENTRY, site])
    return States(behind[:, :2].clone(), entry[:, 2:].clone(), views[0].grid)


def distances(places: np.ndarray, cases: Sequence[Case]) -> np.ndarray:
    """How far places ``[n, 2, 2]`` are from the true ones, in cells: ``[n, 2]`` for both nouns."""
    missed = places - np.array([case.places for case in cases])
    return np.hypot(missed[..., 0], missed[..., 1])


# Gauges -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WordGauge:
    """Reads the place that a noun's state says, on the plane of the IDs.

    The IDs are centred on their word's mean over places, and so is the state: its baseline is the
    mean of ``state - ID of the true place`` over the pictures that the gauge was fitted on.

    Attributes:
        ids: of both nouns, by kind of question.
        site: where the states are read.
        baselines: (noun, kind, word) to ``[d_model]``. The first noun does not know the kind yet:
            its kind is "".
    """

    ids: Mapping[str, NounIDs]
    site: str
    baselines: Mapping[tuple[int, str, str], torch.Tensor]

    @classmethod
    def fit(
        cls, cases: Sequence[Case], words: torch.Tensor, ids: Mapping[str, NounIDs], site: str
    ) -> "WordGauge":
        """Take the words' baselines from cases with their states, ``[n, 2, d_model]``."""
        found = defaultdict(list)
        for case, states in zip(cases, words, strict=True):
            for noun, state in enumerate(states):
                place = ids[case.kind][noun].interpolate(site, *case.places[noun])
                found[_word(case, noun)].append(state - place)
        means = {word: torch.stack(rests).mean(0) for word, rests in found.items()}
        return cls(ids, site, means)

    def knows(self, case: Case) -> bool:
        """Whether the gauge was fitted on both nouns, each where it stands in the question."""
        return all(_word(case, noun) in self.baselines for noun in (0, 1))

    def places(self, cases: Sequence[Case], words: torch.Tensor) -> np.ndarray:
        """The (row, column) that each noun says, ``[n, 2, 2]``, within the outer cell centres.

        Raises:
            ValueError: if a word was not among the cases that the gauge was fitted on.
        """
        said = np.empty((len(cases), 2, 2))
        for number, (case, states) in enumerate(zip(cases, words, strict=True)):
            for noun, state in enumerate(states):
                word = _word(case, noun)
                if word not in self.baselines:
                    raise ValueError(f"no baseline for {case.names[noun]!r} in {word}")
                axes = self.ids[case.kind][noun].axes(self.site)
                right, down = geometry.on_plane(state - self.baselines[word], axes)
                said[number, noun] = down, right
        # Coordinates on the plane start at the middle of the 4 x 4 grid.
        return np.clip(said + 1.5, 0, 3)


def _word(case: Case, noun: int) -> tuple[int, str, str]:
    return noun, case.kind if noun else "", case.names[noun]


@dataclass(frozen=True)
class PatchGauge:
    """Tells what each patch shows, by linear discriminants, and so where an object is.

    Attributes:
        probe: classes are the objects' names, and "" for background.
        grid: (rows, columns) of patches.
    """

    probe: LinearDiscriminantAnalysis
    grid: tuple[int, int]

    @classmethod
    def fit(cls, scenes: Sequence[Scene], states: States) -> "PatchGauge":
        """Fit the probe on patches of scenes, ``states.patches[i]`` of ``scenes[i]``."""
        shown = np.stack([shown_by_patches(scene, states.grid) for scene in scenes])
        flat, labels = states.patches.flatten(0, 1).numpy(), shown.reshape(-1)
        clear = labels != "?"
        probe = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01)
        return cls(probe.fit(flat[clear], labels[clear]), states.grid)

    def accuracy(self, scenes: Sequence[Scene], states: States) -> tuple[float, float]:
        """Share of patches told rightly, and of those that show an object, in other scenes."""
        shown = np.stack([shown_by_patches(scene, self.grid) for scene in scenes]).reshape(-1)
        right = self.probe.predict(states.patches.flatten(0, 1).numpy()) == shown
        clear = shown != "?"
        return float(right[clear].mean()), float(right[clear & (shown != "")].mean())

    def places(self, cases: Sequence[Case], patches: torch.Tensor) -> np.ndarray:
        """The (row, column) of each noun's object, ``[n, 2, 2]``: the mean of the patches'
        places, each weighed by how probable the object is there.

        Raises:
            ValueError: if the probe does not know an object.
        """
        classes = list(self.probe.classes_)
        unknown = {name for case in cases for name in case.names} - set(classes)
        if unknown:
            raise ValueError(f"the probe was not fitted on: {', '.join(sorted(unknown))}")
        scores = self.probe.predict_log_proba(patches.flatten(0, 1).numpy())
        scores = scores.reshape(len(cases), -1, len(classes))
        cells = np.clip(4 * patch_centres(self.grid) - 0.5, 0, 3)
        said = np.empty((len(cases), 2, 2))
        for number, case in enumerate(cases):
            for noun, name in enumerate(case.names):
                own = scores[number, :, classes.index(name)]
                weights = np.exp(own - own.max())
                said[number, noun] = weights @ cells / weights.sum()
        return said


def errors(
    vlm: HookedVLM,
    cases: Sequence[Case],
    patches: PatchGauge,
    words: WordGauge,
    batch_size: int = 64,
) -> pd.DataFrame:
    """Run both gauges on questions.

    Returns:
        A row for each case: its labels; ``patches`` and ``words``, how far each gauge is from the
        truth, in cells, for the noun at which it is further off.
    """
    parts = []
    for begin in range(0, len(cases), batch_size):
        some = cases[begin : begin + batch_size]
        states = read(vlm, some, words.site)
        parts.append(
            pd.DataFrame(
                {
                    "patches": distances(patches.places(some, states.patches), some).max(1),
                    "words": distances(words.places(some, states.words), some).max(1),
                }
            )
        )
    labels = pd.DataFrame([case.labels for case in cases])
    return pd.concat([labels, pd.concat(parts, ignore_index=True)], axis=1)


def patch_centres(grid: tuple[int, int]) -> np.ndarray:
    """Centres (y, x) of patches, row by row, as fractions of the picture: ``[patches, 2]``."""
    rows, columns = grid
    y, x = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
    return np.stack(np.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)


def shown_by_patches(scene: Scene, grid: tuple[int, int]) -> np.ndarray:
    """What each patch shows, row by row: a name, "" for background, "?" for the edge of one."""
    found = np.full(grid[0] * grid[1], "", dtype="<U32")
    for placed in scene.objects:
        covered = _covered(placed, grid)
        found[(covered > _LITTLE) & (covered < _MUCH)] = "?"
        found[covered >= _MUCH] = placed.name
    return found


def _covered(placed: Placed, grid: tuple[int, int]) -> np.ndarray:
    """The share of each patch that an object covers."""
    share, half = 1.0, _EXTENT * placed.size / 2
    for axis, (count, centre) in enumerate(zip(grid, (placed.y, placed.x), strict=True)):
        own, patch = patch_centres(grid)[:, axis], 0.5 / count
        low = np.maximum(own - patch, centre - half)
        high = np.minimum(own + patch, centre + half)
        share = share * np.clip(high - low, 0, None) * count
    return share


# The rule ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """Names the first part whose reading is further from the truth than in right answers.

    Attributes:
        patches: the limit for errors at patches, in cells.
        words: the limit for errors at words.
    """

    patches: float
    words: float

    @classmethod
    def fit(cls, patches: Sequence[float], words: Sequence[float], level: float = 0.975) -> "Rule":
        """Set each limit at a quantile of the errors in right answers.

        Args:
            patches: of each question, the larger of its two nouns' errors, in cells.
            words: the same, at the words.
            level: with the default, either gauge calls one right answer in forty bad.

        Raises:
            ValueError: with fewer than 20 questions, too few for a limit.
        """
        if len(patches) < 20 or len(words) < 20:
            count = min(len(patches), len(words))
            raise ValueError(f"limits need at least 20 right answers, not {count}")
        return cls(float(np.quantile(patches, level)), float(np.quantile(words, level)))

    def verdicts(self, patches: Sequence[float], words: Sequence[float]) -> np.ndarray:
        """The part to blame, one of ``CAUSES``, for each wrong answer."""
        later = np.where(np.asarray(words) > self.words, "binding", "reasoning")
        return np.where(np.asarray(patches) > self.patches, "encoder", later)


def confusion(table: pd.DataFrame, by: str = "planted") -> pd.DataFrame:
    """Shares of verdicts for each planted cause: a row a cause, a column a verdict."""
    shares = pd.crosstab(table[by], table["verdict"], normalize="index")
    if by == "planted":
        shares = shares.reindex(index=[cause for cause in CAUSES if cause in shares.index])
    return shares.reindex(columns=list(CAUSES), fill_value=0.0)


def balanced_accuracy(table: pd.DataFrame, seed: int = 0, resamples: int = 2000) -> stats.Interval:
    """Mean over planted causes of the share of right verdicts, bootstrapped over scenes.

    Args:
        table: a row for each error: ``scene``, ``planted`` and ``verdict``.
        seed: of the bootstrap.
        resamples: of the scenes.

    Raises:
        ValueError: with fewer than two scenes.
    """
    hit = table["verdict"] == table["planted"]
    found = hit.groupby([table["scene"], table["planted"]]).agg(["sum", "size"])
    hits, counts = (found[key].unstack(fill_value=0).to_numpy() for key in ("sum", "size"))
    if len(hits) < 2:
        raise ValueError(f"an interval needs at least two scenes, not {len(hits)}")
    chosen = np.random.default_rng(seed).integers(0, len(hits), (resamples, len(hits)))
    # How often each scene is drawn, [resamples, scenes]: sums over a draw are products with it.
    drawn = np.stack([np.bincount(row, minlength=len(hits)) for row in chosen])
    with np.errstate(invalid="ignore"):
        values = np.nanmean((drawn @ hits) / (drawn @ counts), axis=1)
    low, high = np.percentile(values, [2.5, 97.5])
    estimate = float((hits.sum(0) / counts.sum(0)).mean())
    return stats.Interval(estimate, float(low), float(high), len(table))


def difference_of_means(
    one: Sequence[float], other: Sequence[float], seed: int = 0
) -> stats.Interval:
    """Mean of one group less that of another, bootstrapped over the members of each.

    Raises:
        ValueError: if a group has fewer than two members.
    """
    groups = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if min(map(len, groups)) < 2:
        raise ValueError(f"groups of {len(groups[0])} and {len(groups[1])} have no interval")
    found = scipy_stats.bootstrap(
        groups, lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True,
        n_resamples=stats.RESAMPLES, method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    gap = float(groups[0].mean() - groups[1].mean())
    return stats.Interval(gap, float(found.low), float(found.high), sum(map(len, groups)))
