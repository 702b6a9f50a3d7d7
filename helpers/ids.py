"""IDs: what an object word's hidden state says about where (or when) its object is.

``s(l, row, column)`` is the mean over object pairs of the mean-centred hidden state of an object
word, with the object at that cell of a grid.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from helpers.extraction import Kept, Shot, Wanted, centred_means, check_extraction
from helpers.fingerprint import Fingerprint
from helpers.hooks import HookedVLM
from helpers.stimuli.clips import Clip
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.scenes import Background, Placed, Scene

LEFT_RIGHT = "Is the {0} to the left or right of the {1}?"


@dataclass(frozen=True)
class Axes:
    """Mean displacement vectors per cell, ``[d_model]`` each: rightward and downward."""

    column: torch.Tensor
    row: torch.Tensor


@dataclass(frozen=True)
class IDs:
    """Object-specific IDs of several object pairs at several sites.

    Attributes:
        vectors: ``[sites, pairs, *places, d_model]``, centred over each pair's places.
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

    #: What the header of a file calls them, and the question that they are read from.
    KIND: ClassVar[str]
    QUESTION: ClassVar[str]

    @classmethod
    def extract(
        cls,
        vlm: HookedVLM,
        pairs: Sequence[tuple[str, str]],
        noun: int = 0,
        sites: Sequence[str] | None = None,
        question: str | None = None,
        **options: Any,
    ) -> Self:
        """Read the IDs of one noun of one question, by default ``QUESTION``.

        The options are those of ``extract_each``, which says the rest.
        """
        wanted = [(noun, cls.QUESTION if question is None else question)]
        return cls.extract_each(vlm, pairs, wanted, sites, **options)[0]

    @classmethod
    def _read(
        cls,
        vlm: HookedVLM,
        pairs: Sequence[tuple[str, str]],
        wanted: Wanted,
        sites: Sequence[str] | None,
        shots: Callable[[], list[Shot]],
        shape: tuple[int, ...],
        settings: tuple,
        batch_size: int,
        save_to: str | Path | None,
        progress: bool,
    ) -> list[Self]:
        """IDs of each that is wanted, off the shots, or off the files of the same settings."""
        everywhere = [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
        sites = vlm.select(everywhere if sites is None else sites)
        kept = None
        if save_to is not None:
            name = Fingerprint(cls.KIND, (pairs, list(wanted), sites, *settings)).add(vlm)
            kept = Kept(Path(save_to), str(name), len(wanted))
            if kept.there:
                return [cls.load(path) for path in kept.paths]
        centred = centred_means(vlm, shots(), pairs, wanted, sites, shape, batch_size, progress)
        names = (tuple(sites), tuple(pairs))
        found = [
            cls(vectors, *names, noun, _name_of(vlm))
            for vectors, (noun, _) in zip(centred, wanted, strict=True)
        ]
        if kept is not None:
            kept.write(found)
        return found

    def _site(self, site: str) -> int:
        if site not in self.sites:
            raise ValueError(f"no IDs were read at {site!r}; there are: {', '.join(self.sites)}")
        return self.sites.index(site)

    def at(self, site: str) -> torch.Tensor:
        """Object-specific IDs at a site, ``[pairs, *places, d_model]``."""
        return self.vectors[self._site(site)]

    def mean(self, site: str) -> torch.Tensor:
        """The IDs of a site, ``[*places, d_model]``: the mean over object pairs."""
        return self.at(site).mean(0)

    @cached_property
    def _means(self) -> torch.Tensor:
        """The IDs of all sites; a trial asks for them once for every case and arm."""
        return self.vectors.mean(1).contiguous()

    def subset(self, pairs: Sequence[tuple[str, str]]) -> Self:
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
        return replace(self, vectors=self.vectors[:, chosen], pairs=tuple(wanted))

    def shuffled(self, seed: int) -> Self:
        """The same vectors at the wrong places: a control that keeps their span and norms."""
        flat = self.vectors.flatten(2, -2)
        count = flat.shape[2]
        generator, places = torch.Generator().manual_seed(seed), torch.arange(count)
        order = torch.randperm(count, generator=generator)
        while count > 1 and bool((order == places).any()):  # no vector stays where it was
            order = torch.randperm(count, generator=generator)
        return replace(self, vectors=flat[:, :, order].reshape(self.vectors.shape))

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, with where the IDs come from in its header."""
        about = {"sites": self.sites, "pairs": self.pairs, "noun": self.noun, "model": self.model}
        header = {self.KIND: json.dumps(about)}
        save_file({"vectors": self.vectors.contiguous()}, str(path), metadata=header)

    @classmethod
    def load(
        cls, path: str | Path, vlm: HookedVLM | None = None, sites: Sequence[str] = ()
    ) -> Self:
        """Read a file that :meth:`save` wrote.

        Args:
            path: the file.
            vlm: the model that they are for.
            sites: where they are to be written.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it holds something else, or IDs of another model or other sites.
        """
        kind = cls.KIND.replace("_ids", " IDs")
        if not Path(path).exists():
            raise FileNotFoundError(f"no file with {kind} at {path}")
        try:
            with safe_open(str(path), "pt") as file:
                header = (file.metadata() or {}).get(cls.KIND)
                if header is None:
                    raise ValueError(f"{path} is a safetensors file but holds no {kind}")
                vectors = file.get_tensor("vectors")
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file: {error}") from error
        about = json.loads(header)
        pairs = tuple(tuple(pair) for pair in about["pairs"])
        found = cls(vectors, tuple(about["sites"]), pairs, about["noun"], about["model"])
        if vlm is not None and found.model != _name_of(vlm):
            raise ValueError(
                f"{path} holds IDs of {found.model!r}; the model here is {_name_of(vlm)!r}, and "
                "IDs of one mean nothing to another: extract them anew"
            )
        for site in sites:
            found._site(site)
        return found


@dataclass(frozen=True)
class SpatialIDs(IDs):
    """IDs by the (row, column) of a grid: ``vectors`` is ``[sites, pairs, rows, columns, d]``."""

    KIND: ClassVar[str] = "spatial_ids"
    QUESTION: ClassVar[str] = LEFT_RIGHT

    @classmethod
    def extract_each(
        cls,
        vlm: HookedVLM,
        pairs: Sequence[tuple[str, str]],
        wanted: Sequence[tuple[int, str]],
        sites: Sequence[str] | None = None,
        grid: int = 4,
        partners: int = 3,
        size: float = PAPER_SIZES[-1],
        background: Background = Background(),
        seed: int = 0,
        frames: int | None = None,
        batch_size: int = 32,
        save_to: str | Path | None = None,
        progress: bool = True,
    ) -> list["SpatialIDs"]:
        """Read IDs off grid images of two objects, several kinds off the same images.

        In every image, one object is in the cell whose ID it gives, and so is the other. Each
        object is in each cell equally often, and a pair in either order has the same images.

        Args:
            vlm: the model.
            pairs: (first, second) nouns of the questions.
            wanted: what to read, as (noun, question): the noun is 0 (the first) or 1, the question
                a template with ``{0}`` and ``{1}``.
            sites: by default the stream after every block.
            grid: cells along each side.
            partners: for each cell, how many cells of the other object are averaged over.
            size: the sprites' side as a fraction of the canvas.
            background: behind the objects.
            seed: draws the partners' cells.
            frames: for a model of videos: show each picture as a clip of so many still frames.
            batch_size: prompts in one pass.
            save_to: a folder. IDs are kept there, and the same call reads them.
            progress: show a bar.

        Returns:
            The IDs of each that is wanted, in their order.

        Raises:
            ValueError: if there are no pairs, no partners or nothing wanted, a noun is not 0 or 1,
                or a site does not exist.
        """
        pairs = [tuple(pair) for pair in pairs]
        check_extraction(pairs, wanted, partners)
        settings = (grid, partners, size, background, seed, frames)
        return cls._read(
            vlm,
            pairs,
            wanted,
            sites,
            lambda: _shots(pairs, *settings),
            (grid, grid),
            settings,
            batch_size,
            save_to,
            progress,
        )

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
        mean = self._means[self._site(site)]
        rows, columns, width = mean.shape
        if not (0 <= row <= rows - 1 and 0 <= column <= columns - 1):
            raise ValueError(
                f"({row}, {column}) is outside the centres of {rows} x {columns} cells"
            )
        return _weights(row, column, rows, columns) @ mean.view(-1, width)

    def difference(
        self, site: str, origin: tuple[float, float], target: tuple[float, float]
    ) -> torch.Tensor:
        """``s(target) - s(origin)``, ``[d_model]``: what moves a belief to another place."""
        return self.interpolate(site, *target) - self.interpolate(site, *origin)


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


# Extraction -------------------------------------------------------------------------------------


def _shots(
    pairs: Sequence[tuple[str, str]],
    grid: int,
    partners: int,
    size: float,
    background: Background,
    seed: int,
    frames: int | None,
) -> list[Shot]:
    """The images of all pairs, those that two pairs share next to each other."""
    cells = [divmod(cell, grid) for cell in range(grid * grid)]
    found = []
    for number, pair in enumerate(pairs):
        # The seed is that of the two names, so either order of a pair has the same images.
        names = sorted(pair)
        generator = np.random.default_rng([seed, *"|".join(names).encode()])
        order = generator.permutation(len(cells))
        steps = 1 + generator.permutation(len(cells) - 1)[:partners]
        for step in steps:
            for one, other in zip(order, np.roll(order, -step), strict=True):
                places = (cells[one], cells[other])
                scene = grid_scene(names, places, size, grid, background)
                nouns = places if list(pair) == names else places[::-1]
                shown = scene if frames is None else Clip((scene,) * frames)
                found.append(((names, int(step), int(one)), Shot(number, nouns, shown)))
    return [shot for _, shot in sorted(found, key=lambda item: item[0])]


def bilinear_weights(row: float, column: float, rows: int, columns: int) -> torch.Tensor:
    """Weights of cells for a place between their centres, ``[rows, columns]``; they sum to one."""
    return torch.outer(_hat(row, rows), _hat(column, columns))


@lru_cache(maxsize=1024)
def _weights(row: float, column: float, rows: int, columns: int) -> torch.Tensor:
    """:func:`bilinear_weights` in one row; places come back with every arm and block."""
    return bilinear_weights(row, column, rows, columns).flatten()


def _steps(count: int) -> torch.Tensor:
    return torch.arange(count) - (count - 1) / 2


def _hat(place: float, count: int) -> torch.Tensor:
    return (1 - (torch.arange(count) - float(place)).abs()).clamp(min=0)


def _name_of(vlm: HookedVLM) -> str:
    return Path(str(vlm.model.config._name_or_path)).name or type(vlm.model).__name__
