"""Temporal IDs: what an object word's hidden state says about when its object appears.

``t(l, frame)`` is the mean over object pairs of the mean-centred hidden state of an object word,
with the object in that frame of a clip alone.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from helpers.extraction import Shot, Wanted, check_extraction
from helpers.hooks import HookedVLM
from helpers.ids import IDs
from helpers.stimuli.clip_questions import BEFORE_AFTER
from helpers.stimuli.clip_sampling import compose, flash
from helpers.stimuli.clips import FRAMES
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.scenes import Background
from helpers.stimuli.split import GRID


@dataclass(frozen=True)
class TemporalIDs(IDs):
    """IDs by the frame of a clip: ``vectors`` is ``[sites, pairs, frames, d_model]``."""

    KIND: ClassVar[str] = "temporal_ids"
    QUESTION: ClassVar[str] = BEFORE_AFTER

    @classmethod
    def extract_each(
        cls,
        vlm: HookedVLM,
        pairs: Sequence[tuple[str, str]],
        wanted: Wanted,
        sites: Sequence[str] | None = None,
        frames: int = FRAMES,
        partners: int = 3,
        size: float = PAPER_SIZES[-1],
        background: Background = Background(),
        seed: int = 0,
        batch_size: int = 32,
        save_to: str | Path | None = None,
        progress: bool = True,
    ) -> list["TemporalIDs"]:
        """Read IDs off clips in which two objects appear for one frame each.

        Each object is in each frame equally often, and so is the other. Where the two are does
        not change over the frames that are compared, so that place falls out of the IDs.

        Args:
            vlm: the model.
            pairs: (first, second) nouns of the questions.
            wanted: what to read, as (noun, question): the noun is 0 (the first) or 1, the question
                a template with ``{0}`` and ``{1}``.
            sites: by default the stream after every block.
            frames: of the clips.
            partners: for each frame, how many frames of the other object are averaged over, and
                how many pairs of cells.
            size: the sprites' side as a fraction of the canvas.
            background: behind the objects.
            seed: draws the partners' frames, and the cells.
            batch_size: prompts in one pass.
            save_to: a folder. IDs are kept there, and the same call reads them.
            progress: show a bar.

        Returns:
            The IDs of each that is wanted, in their order.

        Raises:
            ValueError: if there are no pairs, no partners, fewer than two frames, or nothing
                wanted, a noun is not 0 or 1, a site does not exist, or the model takes no videos.
        """
        pairs = [tuple(pair) for pair in pairs]
        check_extraction(pairs, wanted, partners)
        if frames < 2:
            raise ValueError(f"an object has no time in a clip of {frames} frames")
        settings = (frames, partners, size, background, seed)
        return cls._read(
            vlm,
            pairs,
            wanted,
            sites,
            lambda: _shots(pairs, *settings),
            (frames,),
            settings,
            batch_size,
            save_to,
            progress,
        )

    @property
    def frames(self) -> int:
        """How many frames the clips had."""
        return self.vectors.shape[2]

    def axis(self, site: str) -> torch.Tensor:
        """Least-squares slope of the mean IDs per frame, ``[d_model]``."""
        steps = torch.arange(self.frames) - (self.frames - 1) / 2
        return torch.einsum("f,fd->d", steps, self.mean(site)) / steps.square().sum()

    def interpolate(self, site: str, frame: float) -> torch.Tensor:
        """The ID of a time between two frames, ``[d_model]``; frames count from 0.

        Raises:
            ValueError: if the time is before the first frame or after the last.
        """
        if not 0 <= frame <= self.frames - 1:
            raise ValueError(f"{frame} is not between frames 0 and {self.frames - 1}")
        return _weights(frame, self.frames) @ self._means[self._site(site)]

    def difference(self, site: str, origin: float, target: float) -> torch.Tensor:
        """``t(target) - t(origin)``, ``[d_model]``: what moves a belief to another time."""
        return self.interpolate(site, target) - self.interpolate(site, origin)


@lru_cache(maxsize=1024)
def _weights(frame: float, frames: int) -> torch.Tensor:
    """Weights of the frames for a time between them, ``[frames]``; they sum to one."""
    return (1 - (torch.arange(frames) - float(frame)).abs()).clamp(min=0)


def _shots(
    pairs: Sequence[tuple[str, str]],
    frames: int,
    partners: int,
    size: float,
    background: Background,
    seed: int,
) -> list[Shot]:
    """The clips of all pairs, those that two pairs share next to each other."""
    cells = list(itertools.product(range(GRID), repeat=2))
    found = []
    for number, pair in enumerate(pairs):
        # The seed is that of the two names, so either order of a pair has the same clips.
        names = sorted(pair)
        generator = np.random.default_rng([seed, *"|".join(names).encode()])
        steps = 1 + generator.permutation(frames - 1)[:partners]
        for step in steps:
            places = [cells[index] for index in generator.permutation(len(cells))[:2]]
            for one in range(frames):
                times = (one, (one + int(step)) % frames)
                tracks = [
                    flash(name, cell, time, size)
                    for name, cell, time in zip(names, places, times, strict=True)
                ]
                clip = compose(tracks, background, frames)
                nouns = times if list(pair) == names else times[::-1]
                shot = Shot(number, tuple((time,) for time in nouns), clip)
                found.append(((names, int(step), one), shot))
    return [shot for _, shot in sorted(found, key=lambda item: item[0])]
