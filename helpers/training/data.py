"""Batches: scenes drawn on the fly, several texts packed behind each image.

A row is one image and as many segments as fit. Each segment sees the image and itself, and its
positions restart right after the image, so every segment is read exactly as if it stood alone
(a test holds this). That makes a question three to four times cheaper than a sequence each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from helpers.stimuli.clip_sampling import sample_clip
from helpers.stimuli.clips import Clip
from helpers.stimuli.sampling import sample_scene
from helpers.stimuli.scenes import Scene
from helpers.training.text import SEGMENTS, encode
from helpers.training.tokenizer import placeholder_id

IGNORED = -100
#: While a model learns, one object in three has its hue turned by up to 60 degrees, so that the
#: object's shape counts, and recolouring it is a change that the model has seen.
TINTED, TINT = 1 / 3, 60.0


@dataclass(frozen=True)
class SceneMix:
    """Shares of the kinds of scenes: (share, kind, (fewest, most) objects)."""

    parts: tuple[tuple[float, str, tuple[int, int]], ...]

    def draw(self, generator: np.random.Generator, held_out: bool = False) -> Scene:
        """Draw a scene, a training one with tinted sprites."""
        kind, objects = self.draw_kind(generator)
        scene = sample_scene(generator, kind, objects, held_out)
        return scene if held_out else _tint(scene, generator)

    def draw_kind(self, generator: np.random.Generator) -> tuple[str, tuple[int, int]]:
        """Draw a kind of scene by its share, with its smallest and largest number of objects."""
        shares = np.array([share for share, _, _ in self.parts])
        _, *part = self.parts[generator.choice(len(shares), p=shares / shares.sum())]
        return part


@dataclass(frozen=True)
class ClipMix(SceneMix):
    """The same for kinds of clips."""

    def draw(self, generator: np.random.Generator, held_out: bool = False) -> Clip:
        """Draw a clip, a training one with tinted sprites."""
        kind, objects = self.draw_kind(generator)
        clip = sample_clip(generator, kind, objects, held_out)
        if held_out:
            return clip
        degrees = _draw_tints(generator, len(clip.names))
        turned = dict(zip(clip.names, degrees, strict=True))
        return clip.each(lambda scene: _turn(scene, turned))


def _tint(scene: Scene, generator: np.random.Generator) -> Scene:
    degrees = _draw_tints(generator, len(scene.objects))
    return _turn(scene, dict(zip(scene.names, degrees, strict=True)))


def _draw_tints(generator: np.random.Generator, count: int) -> np.ndarray:
    tinted = generator.random(count) < TINTED
    return np.where(tinted, generator.uniform(-TINT, TINT, count), 0.0)


def _turn(scene: Scene, degrees: Mapping[str, float]) -> Scene:
    turned = [replace(placed, hue=float(degrees[placed.name])) for placed in scene.objects]
    return replace(scene, objects=tuple(turned))


@dataclass(frozen=True)
class PictureMix(ClipMix):
    """Clips of one frame, in which everything of a clip is there together."""

    def draw(self, generator: np.random.Generator, held_out: bool = False) -> Clip:
        """Draw a clip of one frame."""
        clip = super().draw(generator, held_out)
        objects = tuple(clip.path(name)[0] for name in clip.names)
        return Clip((replace(clip.frames[0], objects=objects),))


@dataclass
class Batch:
    """What one training step reads.

    Attributes:
        pixels: ``[pictures, 3, height, width]``, normalised as the processor does.
        shown: ``[batch, frames]``, which of the pictures each frame of a clip is; None where
            every row has one picture.
        ids: ``[batch, pos]`` text tokens; image positions hold the image token.
        positions: ``[batch, pos]``, restarting after the image in every segment.
        mask: ``[batch, 1, pos, pos]``, added to attention scores: 0 where a token may look.
        labels: ``[batch, pos]``, the next token where it is learned, else ``IGNORED``.
        weights: ``[batch, pos]``, the share of each label in the loss.
        kinds: for each row, (kind, first position, end) of every segment.
    """

    pixels: torch.Tensor
    shown: torch.Tensor | None
    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    kinds: list[list[tuple[str, int, int]]]

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""
        moved = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in vars(self).items()
        }
        return Batch(**moved)


def to_pixels(scenes: list[Scene], size: int) -> torch.Tensor:
    """Draw scenes and normalise them: ``[batch, 3, size, size]``."""
    images = np.stack([np.asarray(scene.render(size), dtype=np.float32) for scene in scenes])
    mean, std = np.array(OPENAI_CLIP_MEAN), np.array(OPENAI_CLIP_STD)
    images = (images / 255 - mean) / std
    return torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))


def frames_to_pixels(clips: list[Clip], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw every different frame once: ``[pictures, 3, size, size]``, and ``[clips, frames]``."""
    scenes = list(dict.fromkeys(scene for clip in clips for scene in clip.frames))
    number = {scene: index for index, scene in enumerate(scenes)}
    shown = [[number[scene] for scene in clip.frames] for clip in clips]
    return to_pixels(scenes, size), torch.tensor(shown)


def pack(
    pixels: torch.Tensor,
    segments: list[list],
    tokenizer: PreTrainedTokenizerFast,
    image_tokens: int,
    decoy: bool = False,
    shown: torch.Tensor | None = None,
) -> Batch:
    """Pack each picture's (or clip's) segments into one row behind its tokens.

    With a decoy, the words of every question look at another scene (the next row's) in place of
    their own. Only what follows them, from the question's last two tokens ("?" and "ASSISTANT:")
    on, sees the right one.
    """
    placeholder = placeholder_id(tokenizer)
    prefix = tokenizer("USER: " + tokenizer.decode(placeholder)).input_ids[:-1]
    places = list(range(len(prefix) + image_tokens))
    prefix = prefix + [placeholder] * image_tokens
    image = slice(len(prefix) - image_tokens, len(prefix))
    first = len(prefix)
    if decoy:
        prefix, places = prefix + prefix[image], places + places[image]
    start = len(prefix)
    encoded = [[encode(segment, tokenizer) for segment in row] for row in segments]
    length = start + max(sum(len(ids) for ids, _ in row) for row in encoded)
    length += -length % 16
    shape = (len(segments), length)
    ids = torch.full(shape, tokenizer.pad_token_id)
    positions = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    weights = torch.zeros(shape)
    owner = torch.full(shape, -1)
    misled = torch.zeros(shape, dtype=torch.bool)
    kinds: list[list[tuple[str, int, int]]] = []
    for row, texts in enumerate(encoded):
        ids[row, :start] = torch.tensor(prefix)
        positions[row, :start] = torch.tensor(places)
        owner[row, :start] = 0
        at = start
        kinds.append([])
        for number, (tokens, learned) in enumerate(texts, start=1):
            end = at + len(tokens)
            ids[row, at:end] = torch.tensor(tokens)
            positions[row, at:end] = torch.arange(first, first + len(tokens))
            owner[row, at:end] = number
            # A learned token is the label of the position before it.
            where = at + torch.tensor(learned[1:]).nonzero().flatten()
            labels[row, where] = ids[row, where + 1]
            kind = segments[row][number - 1].kind
            # Long texts carry more, and each of their tokens would else count for little.
            importance = 3.0 if len(where) > 4 else 1.0
            weights[row, where] = importance / max(len(where), 1)
            kinds[row].append((kind, at, end))
            misled[row, at : at + learned.index(True) - 2] = decoy
            at = end
    seen = (owner[:, :, None] == owner[:, None, :]) | (owner[:, None, :] == 0)
    seen &= torch.ones(length, length).tril().bool()
    if decoy:
        misled[:, first:start] = True
        seen[:, :, image] &= ~misled[:, :, None]
        seen[:, :, first:start] &= misled[:, :, None]
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    return Batch(pixels, shown, ids, positions, mask, labels, weights, kinds)


def draw_segments(
    scene: Scene | Clip,
    generator: np.random.Generator,
    shares: dict[str, float],
    tokenizer: PreTrainedTokenizerFast,
    budget: int,
    drawers: Mapping[str, Callable] = SEGMENTS,
) -> list:
    """Draw segments about a scene, kinds by their shares, until the token budget is full."""
    kinds = list(shares)
    probabilities = np.array(list(shares.values()))
    probabilities = probabilities / probabilities.sum()
    drawn, used = [], 0
    while True:
        kind = kinds[generator.choice(len(kinds), p=probabilities)]
        segment = drawers[kind](scene, kind, generator)
        if segment is None:
            continue
        used += len(encode(segment, tokenizer)[0])
        if used > budget and drawn:
            return drawn
        drawn.append(segment)
