"""Spatial IDs: what an object word's hidden state says about where its object is.

``s(l, row, column)`` is the mean over object pairs of the mean-centred hidden state of an object
word, with the object at that cell of a grid.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from helpers.fingerprint import Fingerprint
from helpers.hooks import HookedVLM
from helpers.reading import read_states
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
        question: str = LEFT_RIGHT,
        **options: Any,
    ) -> "SpatialIDs":
        """Read the IDs of one noun of one question; see :meth:`extract_each`."""
        return cls.extract_each(vlm, pairs, [(noun, question)], sites, **options)[0]

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
        _check_extraction(pairs, wanted, partners)
        everywhere = [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
        sites = vlm.select(everywhere if sites is None else sites)
        kept = None
        if save_to is not None:
            settings = (pairs, list(wanted), sites, grid, partners, size, background, seed)
            kept = _Kept(Path(save_to), str(Fingerprint("ids", settings).add(vlm)), len(wanted))
            if kept.there:
                return [cls.load(path) for path in kept.paths]
        shots = _shots(pairs, grid, partners, size, background, seed)
        sums = torch.zeros(len(wanted), len(sites), len(pairs), grid, grid, vlm.d_model)
        _add_states(sums, vlm, shots, pairs, wanted, sites, batch_size, progress)
        means = sums / min(partners, grid * grid - 1)
        centred = means - means.mean((3, 4), keepdim=True)
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
        return torch.einsum("rc,rcd->d", bilinear_weights(row, column, rows, columns), mean)

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
    def load(
        cls, path: str | Path, vlm: HookedVLM | None = None, sites: Sequence[str] = ()
    ) -> "SpatialIDs":
        """Read a file that :meth:`save` wrote.

        Args:
            path: the file.
            vlm: the model that they are for.
            sites: where they are to be written.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it holds something else, or IDs of another model or other sites.
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
        found = cls(vectors, tuple(about["sites"]), pairs, about["noun"], about["model"])
        if vlm is not None and found.model != _name_of(vlm):
            raise ValueError(
                f"{path} holds IDs of {found.model!r}; the model here is {_name_of(vlm)!r}, and "
                "IDs of one mean nothing to another: extract them anew"
            )
        for site in sites:
            found._site(site)
        return found


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


@dataclass(frozen=True)
class _Shot:
    """An image that a pair's questions are asked about: where its two nouns' objects are."""

    pair: int
    cells: tuple[tuple[int, int], tuple[int, int]]
    scene: Scene


class _Kept:
    """Where extracted IDs are kept: one file for each that was wanted."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self.paths = [folder / f"ids-{name}-{number}.safetensors" for number in range(count)]

    @property
    def there(self) -> bool:
        return all(path.exists() for path in self.paths)

    def write(self, found: Sequence["SpatialIDs"]) -> None:
        for path, ids in zip(self.paths, found, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            ids.save(path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)


def _check_extraction(
    pairs: Sequence[tuple[str, str]], wanted: Sequence[tuple[int, str]], partners: int
) -> None:
    if not pairs:
        raise ValueError("an empty list of pairs has no IDs")
    if not wanted:
        raise ValueError("nothing is wanted: name at least one (noun, question)")
    for noun, _ in wanted:
        if noun not in (0, 1):
            raise ValueError(f"noun must be 0 (the first) or 1 (the second), not {noun}")
    if partners < 1:
        raise ValueError(f"partners must be at least 1, not {partners}")


def _shots(
    pairs: Sequence[tuple[str, str]],
    grid: int,
    partners: int,
    size: float,
    background: Background,
    seed: int,
) -> list[_Shot]:
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
                found.append(((names, int(step), int(one)), _Shot(number, nouns, scene)))
    return [shot for _, shot in sorted(found, key=lambda item: item[0])]


def _add_states(
    sums: torch.Tensor,
    vlm: HookedVLM,
    shots: Sequence[_Shot],
    pairs: Sequence[tuple[str, str]],
    wanted: Sequence[tuple[int, str]],
    sites: Sequence[str],
    batch_size: int,
    progress: bool,
) -> None:
    """Add what is read to ``sums``, ``[wanted, sites, pairs, rows, columns, d_model]``."""
    texts = [*dict.fromkeys(text for _, text in wanted)]
    nouns = [*dict.fromkeys(noun for noun, _ in wanted)]
    size = max(1, batch_size // len(texts))
    starts = range(0, len(shots), size)
    for start in tqdm(starts, desc="spatial IDs", disable=not progress, leave=False):
        part = shots[start : start + size]
        states = _noun_states(vlm, part, pairs, texts, nouns, sites)
        for number, (noun, text) in enumerate(wanted):
            read = states[:, :, texts.index(text), nouns.index(noun)]
            for index, shot in enumerate(part):
                row, column = shot.cells[noun]
                sums[number, :, shot.pair, row, column] += read[:, index]


def _noun_states(
    vlm: HookedVLM,
    shots: Sequence[_Shot],
    pairs: Sequence[tuple[str, str]],
    texts: Sequence[str],
    nouns: Sequence[int],
    sites: Sequence[str],
) -> torch.Tensor:
    """States at the last tokens of nouns: ``[sites, shots, texts, nouns, d_model]``."""
    images = {shot.scene: shot.scene.render() for shot in shots}
    prompts, positions = [], []
    for shot in shots:
        for text in texts:
            prompt = vlm.prompt(images[shot.scene], text.format(*pairs[shot.pair]))
            spans = prompt.words(pairs[shot.pair])
            prompts.append(prompt)
            positions.append([spans[noun][-1] for noun in nouns])
    states = read_states(vlm, prompts, positions, sites)
    return states.unflatten(1, (len(shots), len(texts)))


def bilinear_weights(row: float, column: float, rows: int, columns: int) -> torch.Tensor:
    """Weights of cells for a place between their centres, ``[rows, columns]``; they sum to one."""
    return torch.outer(_hat(row, rows), _hat(column, columns))


def _steps(count: int) -> torch.Tensor:
    return torch.arange(count) - (count - 1) / 2


def _hat(place: float, count: int) -> torch.Tensor:
    return (1 - (torch.arange(count) - float(place)).abs()).clamp(min=0)


def _name_of(vlm: HookedVLM) -> str:
    return Path(str(vlm.model.config._name_or_path)).name or type(vlm.model).__name__
