"""Spatial IDs: what an object word's hidden state says about where its object is.

``s(l, row, column)`` is the mean over object pairs of the mean-centred hidden state of an object
word, with the object at that cell of a grid.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from helpers.engine import read_states
from helpers.hooks import HookedVLM
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.scenes import Background, Placed, Scene

LEFT_RIGHT = "Is the {0} to the left or right of the {1}?"


@dataclass(frozen=True)
class Axes:
    """Mean displacement vectors per cell, ``[d_model]`` each: rightward and downward."""

    column: torch.Tensor
    row: torch.Tensor


@dataclass(frozen=True)
class SpatialIDs:
    """Object-specific IDs of several object pairs at several sites.

    Attributes:
        vectors: ``[sites, pairs, rows, columns, d_model]``, centred over each pair's cells.
        sites: hook names, where the IDs were read and where they are to be written.
        pairs: (first noun, second noun) of the question.
        noun: which noun of the question the IDs belong to, 0 or 1.
        model: what they were read from.
    """

    vectors: torch.Tensor
    sites: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    noun: int
    model: str

    @classmethod
    def extract(
        cls,
        vlm: HookedVLM,
        pairs: Sequence[tuple[str, str]],
        noun: int = 0,
        sites: Sequence[str] | None = None,
        grid: int = 4,
        partners: int = 3,
        size: float = PAPER_SIZES[-1],
        question: str = LEFT_RIGHT,
        background: Background = Background(),
        seed: int = 0,
        batch_size: int = 32,
        progress: bool = True,
    ) -> "SpatialIDs":
        """Read IDs off grid images of two objects.

        Args:
            vlm: the model.
            pairs: (first, second) nouns of the question.
            noun: the noun whose object is put into every cell in turn, 0 or 1.
            sites: by default the stream after every block.
            grid: cells along each side.
            partners: for each cell, how many cells of the other object are averaged over.
            size: the sprites' side as a fraction of the canvas.
            question: a template with ``{0}`` and ``{1}``.
            background: behind the objects.
            seed: draws the partners' cells.

        Raises:
            ValueError: if there are no pairs or no partners, the noun is not 0 or 1, or a site does
                not exist.
        """
        pairs = [tuple(pair) for pair in pairs]
        if not pairs:
            raise ValueError("an empty list of pairs has no IDs")
        if noun not in (0, 1):
            raise ValueError(f"noun must be 0 (the first) or 1 (the second), not {noun}")
        if partners < 1:
            raise ValueError(f"partners must be at least 1, not {partners}")
        everywhere = [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
        sites = vlm.select(everywhere if sites is None else sites)
        generator = np.random.default_rng(seed)
        cells = [divmod(cell, grid) for cell in range(grid * grid)]
        sums = torch.zeros(len(sites), len(pairs), grid, grid, vlm.d_model)
        work = []
        for index, pair in enumerate(pairs):
            for cell in cells:
                others = [other for other in cells if other != cell]
                for chosen in generator.choice(len(others), min(partners, len(others)), False):
                    places = (cell, others[chosen]) if noun == 0 else (others[chosen], cell)
                    work.append((index, cell, grid_scene(pair, places, size, grid, background)))
        starts = range(0, len(work), batch_size)
        for start in tqdm(starts, desc="spatial IDs", disable=not progress, leave=False):
            part = work[start : start + batch_size]
            texts = [question.format(*pairs[index]) for index, _, _ in part]
            prompts = [
                vlm.prompt(scene.render(), text)
                for (_, _, scene), text in zip(part, texts, strict=True)
            ]
            positions = [
                [prompt.words(pairs[index])[noun][-1]]
                for prompt, (index, _, _) in zip(prompts, part, strict=True)
            ]
            states = read_states(vlm, prompts, positions, sites)[:, :, 0]
            for number, (index, (row, column), _) in enumerate(part):
                sums[:, index, row, column] += states[:, number]
        means = sums / min(partners, len(cells) - 1)
        centred = means - means.mean((2, 3), keepdim=True)
        return cls(centred, tuple(sites), tuple(pairs), noun, _name_of(vlm))

    def _site(self, site: str) -> int:
        if site not in self.sites:
            raise ValueError(f"no IDs were read at {site!r}; there are: {', '.join(self.sites)}")
        return self.sites.index(site)

    def at(self, site: str) -> torch.Tensor:
        """Object-specific IDs at a site, ``[pairs, rows, columns, d_model]``."""
        return self.vectors[self._site(site)]

    def mean(self, site: str) -> torch.Tensor:
        """The spatial IDs of a site, ``[rows, columns, d_model]``: the mean over object pairs."""
        return self.at(site).mean(0)

    def axes(self, site: str) -> Axes:
        """Least-squares slopes of the mean IDs per cell rightward and downward."""
        mean = self.mean(site)
        row_steps, column_steps = (_steps(count) for count in mean.shape[:2])
        column = torch.einsum("c,rcd->d", column_steps, mean) / mean.shape[0]
        row = torch.einsum("r,rcd->d", row_steps, mean) / mean.shape[1]
        return Axes(column / column_steps.square().sum(), row / row_steps.square().sum())

    def interpolate(self, site: str, row: float, column: float) -> torch.Tensor:
        """The ID of a place between cell centres, ``[d_model]``, by bilinear weights.

        Rows and columns count cells from 0; their centres are whole numbers.

        Raises:
            ValueError: if the place is outside the grid of centres.
        """
        mean = self.mean(site)
        rows, columns = mean.shape[:2]
        if not (0 <= row <= rows - 1 and 0 <= column <= columns - 1):
            raise ValueError(
                f"({row}, {column}) is outside the centres of {rows} x {columns} cells"
            )
        weights = torch.outer(_hat(row, rows), _hat(column, columns))
        return torch.einsum("rc,rcd->d", weights, mean)

    def difference(
        self, site: str, origin: tuple[float, float], target: tuple[float, float]
    ) -> torch.Tensor:
        """``s(target) - s(origin)``, ``[d_model]``: what moves a belief to another place."""
        return self.interpolate(site, *target) - self.interpolate(site, *origin)

    def subset(self, pairs: Sequence[tuple[str, str]]) -> "SpatialIDs":
        """The IDs of some of the pairs.

        Raises:
            ValueError: if a pair has none, or the list is empty.
        """
        wanted = [tuple(pair) for pair in pairs]
        if not wanted:
            raise ValueError("an empty list of pairs has no IDs")
        missing = [pair for pair in wanted if pair not in self.pairs]
        if missing:
            raise ValueError(f"no IDs for the pairs {missing}; there are {len(self.pairs)} pairs")
        chosen = [self.pairs.index(pair) for pair in wanted]
        return SpatialIDs(self.vectors[:, chosen], self.sites, tuple(wanted), self.noun, self.model)

    def shuffled(self, seed: int) -> "SpatialIDs":
        """The same vectors at the wrong cells: a control that keeps their span and norms."""
        sites, pairs, rows, columns, width = self.vectors.shape
        generator, cells = torch.Generator().manual_seed(seed), torch.arange(rows * columns)
        order = torch.randperm(rows * columns, generator=generator)
        while len(cells) > 1 and bool((order == cells).any()):  # no vector stays where it was
            order = torch.randperm(rows * columns, generator=generator)
        moved = self.vectors.reshape(sites, pairs, rows * columns, width)[:, :, order]
        return SpatialIDs(
            moved.reshape(self.vectors.shape), self.sites, self.pairs, self.noun, self.model
        )

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, with where the IDs come from in its header."""
        about = {"sites": self.sites, "pairs": self.pairs, "noun": self.noun, "model": self.model}
        header = {"spatial_ids": json.dumps(about)}
        save_file({"vectors": self.vectors.contiguous()}, str(path), metadata=header)

    @classmethod
    def load(cls, path: str | Path) -> "SpatialIDs":
        """Read a file that :meth:`save` wrote.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it holds something else.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"no file with spatial IDs at {path}")
        try:
            with safe_open(str(path), "pt") as file:
                header = (file.metadata() or {}).get("spatial_ids")
                if header is None:
                    raise ValueError(f"{path} is a safetensors file but holds no spatial IDs")
                vectors = file.get_tensor("vectors")
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file: {error}") from error
        about = json.loads(header)
        pairs = tuple(tuple(pair) for pair in about["pairs"])
        return cls(vectors, tuple(about["sites"]), pairs, about["noun"], about["model"])


def grid_scene(
    pair: Sequence[str],
    places: Sequence[tuple[int, int]],
    size: float,
    grid: int,
    background: Background = Background(),
) -> Scene:
    """Objects at the centres of (row, column) cells."""
    placed = tuple(
        Placed(name, (column + 0.5) / grid, (row + 0.5) / grid, size)
        for name, (row, column) in zip(pair, places, strict=True)
    )
    return Scene(placed, background)


def _steps(count: int) -> torch.Tensor:
    return torch.arange(count) - (count - 1) / 2


def _hat(place: float, count: int) -> torch.Tensor:
    return (1 - (torch.arange(count) - float(place)).abs()).clamp(min=0)


def _name_of(vlm: HookedVLM) -> str:
    return Path(str(vlm.model.config._name_or_path)).name or type(vlm.model).__name__
