"""Clips: what is where in every frame, independent of any resolution, and how to draw it.

A clip is a row of scenes. An object *appears* in the frames whose scenes hold it. Transforms
return a new clip and never change the old; what is true of a clip is read off its frames, so the
labels of a reversed or shuffled clip are right without further ado.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from helpers.stimuli.scenes import Placed, Scene

#: Frames of the clips in this book, as in the paper.
FRAMES = 8


@dataclass(frozen=True)
class Clip:
    """Frames in order, each a scene.

    Raises:
        ValueError: if there are no frames.
    """

    frames: tuple[Scene, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("a clip needs at least one frame")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def names(self) -> tuple[str, ...]:
        """Every object of the clip, in the order in which they first appear."""
        return tuple(dict.fromkeys(name for scene in self.frames for name in scene.names))

    def when(self, name: str) -> tuple[int, ...]:
        """Return the frames in which an object appears.

        Raises:
            ValueError: if it appears in none.
        """
        found = tuple(i for i, scene in enumerate(self.frames) if name in scene.names)
        if not found:
            told = ", ".join(self.names) or "nothing"
            raise ValueError(
                f"no {name!r} appears in this clip of {len(self)} frames; it has {told}"
            )
        return found

    def middle(self, name: str) -> float:
        """Return the mean of the frames in which an object appears, counted from 0."""
        return float(np.mean(self.when(name)))

    def path(self, name: str) -> tuple[Placed, ...]:
        """Return the object as it is placed in each of the frames in which it appears."""
        return tuple(self.frames[frame].find(name) for frame in self.when(name))

    def render(self, pixels: int = 336) -> list[Image.Image]:
        """Draw every frame as an RGB image, ``pixels`` wide and high."""
        drawn = {scene: scene.render(pixels) for scene in dict.fromkeys(self.frames)}
        return [drawn[scene] for scene in self.frames]

    def tensor(self, pixels: int = 336) -> torch.Tensor:
        """Draw every frame: uint8, ``[frames, 3, pixels, pixels]``."""
        frames = np.stack([np.asarray(frame) for frame in self.render(pixels)])
        return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()

    def each(self, transform: Callable[[Scene], Scene]) -> "Clip":
        """Change every frame alike, for example by :func:`helpers.stimuli.scenes.mirror`."""
        return Clip(tuple(transform(scene) for scene in self.frames))


def reverse(clip: Clip) -> Clip:
    """Play it backwards: what came before comes after, what moved left moves right."""
    return Clip(clip.frames[::-1])


def shuffle(clip: Clip, seed: int) -> Clip:
    """Put the frames into a random order: what appears stays, when is lost."""
    order = np.random.default_rng(seed).permutation(len(clip))
    return Clip(tuple(clip.frames[frame] for frame in order))


def freeze(clip: Clip, frame: int) -> Clip:
    """Show one frame all the time: nothing comes, goes or moves.

    Raises:
        ValueError: if there is no such frame.
    """
    if not 0 <= frame < len(clip):
        raise ValueError(f"no frame {frame} in a clip of {len(clip)} frames; they count from 0")
    return Clip((clip.frames[frame],) * len(clip))
