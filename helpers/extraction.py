"""Reading IDs off stimuli: what spatial and temporal IDs share.

A :class:`Shot` is a picture or a clip in which two objects have known places (cells, or frames).
The hidden state of each noun of a question about it is added to the mean of its object's place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from helpers.hooks import HookedVLM
from helpers.pictures import pictures_once
from helpers.prompts import Video
from helpers.reading import read_states
from helpers.stimuli.clips import Clip
from helpers.stimuli.scenes import Scene

#: (noun, question): what is to be read.
Wanted = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Shot:
    """What a pair's questions are asked about, and where its two nouns' objects are.

    Attributes:
        pair: its number.
        places: of the first and of the second noun, each an index into the places of the IDs.
        stimulus: the picture or the clip.
    """

    pair: int
    places: tuple[tuple[int, ...], tuple[int, ...]]
    stimulus: Scene | Clip


class Kept:
    """Where extracted IDs are kept: one file for each that was wanted."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self.paths = [folder / f"ids-{name}-{number}.safetensors" for number in range(count)]

    @property
    def there(self) -> bool:
        """Whether all files are there."""
        return all(path.exists() for path in self.paths)

    def write(self, found: Sequence[Any]) -> None:
        """Write the IDs, each to its file; a run that is cut off leaves no half file."""
        for path, ids in zip(self.paths, found, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            ids.save(path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)


def check_extraction(pairs: Sequence[tuple[str, str]], wanted: Wanted, partners: int) -> None:
    """Raise a ValueError if nothing could be read."""
    if not pairs:
        raise ValueError("an empty list of pairs has no IDs")
    if not wanted:
        raise ValueError("nothing is wanted: name at least one (noun, question)")
    for noun, _ in wanted:
        if noun not in (0, 1):
            raise ValueError(f"noun must be 0 (the first) or 1 (the second), not {noun}")
    if partners < 1:
        raise ValueError(f"partners must be at least 1, not {partners}")


def centred_means(
    vlm: HookedVLM,
    shots: Sequence[Shot],
    pairs: Sequence[tuple[str, str]],
    wanted: Wanted,
    sites: Sequence[str],
    shape: tuple[int, ...],
    batch_size: int,
    progress: bool,
) -> torch.Tensor:
    """Mean states of nouns by their objects' places, less the mean over all places.

    Args:
        vlm: the model.
        shots: those that share a stimulus next to each other; every place equally often.
        pairs: (first, second) nouns.
        wanted: what to read.
        sites: hook names.
        shape: of the places, such as (rows, columns) or (frames,).
        batch_size: prompts in one pass.
        progress: show a bar.

    Returns:
        ``[wanted, sites, pairs, *shape, d_model]``.
    """
    sums = torch.zeros(len(wanted), len(sites), len(pairs), *shape, vlm.d_model)
    counts = torch.zeros(len(pairs), *shape, 1)
    texts = [*dict.fromkeys(text for _, text in wanted)]
    nouns = [*dict.fromkeys(noun for noun, _ in wanted)]
    for shot in shots:
        counts[shot.pair, *shot.places[0]] += 1
    size = max(1, batch_size // len(texts))
    starts = range(0, len(shots), size)
    with pictures_once(vlm):
        for start in tqdm(starts, desc="IDs", disable=not progress, leave=False):
            part = shots[start : start + size]
            states = _noun_states(vlm, part, pairs, texts, nouns, sites)
            for number, (noun, text) in enumerate(wanted):
                read = states[:, :, texts.index(text), nouns.index(noun)]
                for index, shot in enumerate(part):
                    sums[number, :, shot.pair, *shot.places[noun]] += read[:, index]
    means = sums / counts
    over = tuple(range(3, 3 + len(shape)))
    return means - means.mean(over, keepdim=True)


def _noun_states(
    vlm: HookedVLM,
    shots: Sequence[Shot],
    pairs: Sequence[tuple[str, str]],
    texts: Sequence[str],
    nouns: Sequence[int],
    sites: Sequence[str],
) -> torch.Tensor:
    """States at the last tokens of nouns: ``[sites, shots, texts, nouns, d_model]``."""
    shown = {shot.stimulus: _show(vlm, shot.stimulus) for shot in shots}
    prompts, positions = [], []
    for shot in shots:
        for text in texts:
            prompt = vlm.prompt(shown[shot.stimulus], text.format(*pairs[shot.pair]))
            spans = prompt.words(pairs[shot.pair])
            prompts.append(prompt)
            positions.append([spans[noun][-1] for noun in nouns])
    states = read_states(vlm, prompts, positions, sites)
    return states.unflatten(1, (len(shots), len(texts)))


def frame_pixels(vlm: HookedVLM, most: int = 336) -> int:
    """The side of the frames that a model looks at, where it has one; ``most`` if that is less."""
    side = getattr(vlm.model.config.vision_config, "image_size", None)
    return min(side, most) if isinstance(side, int) else most


def _show(vlm: HookedVLM, stimulus: Scene | Clip) -> Any:
    """What a prompt takes: a picture, or a video."""
    if isinstance(stimulus, Clip):
        return Video(tuple(stimulus.render(frame_pixels(vlm))))
    return stimulus.render()
