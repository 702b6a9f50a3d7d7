"""Swaps in time and space: states of a changed clip written into the run of the clip as it is.

:func:`helpers.sweeps.mirror_swap` for many clips, several changes of each, and two questions about
the same two objects: one about time, whose answer turns when the clip runs backwards, and one
about space, whose answer turns when every frame is mirrored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers.clip_trials import ASK
from helpers.extraction import frame_pixels
from helpers.grids import View
from helpers.hooks import HookedVLM
from helpers.interventions import Edit, Job, random_direction
from helpers.pictures import pictures_once
from helpers.prompts import Prompt, Video
from helpers.stimuli.clip_questions import CLIP_ANSWERS
from helpers.stimuli.clip_sampling import clips
from helpers.stimuli.clips import Clip, freeze, shuffle
from helpers.stimuli.questions import Question
from helpers.stimuli.split import held_out_pair
from helpers.sweeps import mirror_swap, sweep

#: The kind of question that is asked about time, and about space.
QUESTION = {"time": "before_after", "space": "left_right"}
ANSWERS = {which: CLIP_ANSWERS[kind] for which, kind in QUESTION.items()}
#: Clips whose prompts are held at once; those of videos are large.
_AT_ONCE = 16


@dataclass(frozen=True)
class Asked:
    """A clip, and two of its objects in the order in which questions name them."""

    clip: Clip
    names: tuple[str, str]

    def question(self, which: str) -> Question | None:
        """The question about ``"time"`` or ``"space"``; None if it has no answer."""
        return ASK[QUESTION[which]](self.clip, *self.names)

    @property
    def frames(self) -> set[int]:
        """The frames in which either object appears."""
        return {frame for name in self.names for frame in self.clip.when(name)}


#: From a clip with its objects to another clip of as many frames.
Change = Callable[[Asked], Clip]
#: From a clip, the question and its prompt to positions by group of tokens.
Groups = Callable[[Asked, str, Prompt], dict[str, list[int]]]


def draw(kind: str, count: int, seed: int, without: Sequence[Asked] = ()) -> list[Asked]:
    """Held-out clips whose held-out pair differs in time and in place, no two alike.

    Every second clip has its two nouns exchanged.

    Args:
        kind: of clips, see :func:`helpers.stimuli.clip_sampling.clips`.
        count: how many.
        seed: the same seed gives the same clips.
        without: clips that shall not come again.
    """
    found: list[Asked] = []
    seen = {asked.clip for asked in without}
    for clip in clips(6 * count + 60, seed, kind, held_out=True):
        pair = held_out_pair(clip.names)
        asked = Asked(clip, pair[:: -1 if len(found) % 2 else 1])
        if len(found) < count and clip not in seen and all(map(asked.question, QUESTION)):
            seen.add(clip)
            found.append(asked)
    return found


# Changes ----------------------------------------------------------------------------------------


def in_another_order(asked: Asked) -> Clip:
    """The frames shuffled so that the answer about time stays; the clip itself if none does."""
    answer = asked.question("time").answer
    for seed in range(200):
        found = shuffle(asked.clip, seed)
        told = Asked(found, asked.names).question("time")
        if told is not None and told.answer == answer and found != asked.clip:
            return found
    return asked.clip


def without_the_two(asked: Asked) -> Clip:
    """A still of the first frame that shows fewest of the two objects."""
    seen = [len(set(asked.names) & set(scene.names)) for scene in asked.clip.frames]
    return freeze(asked.clip, int(np.argmin(seen)))


# Runs -------------------------------------------------------------------------------------------


def prompt_of(vlm: HookedVLM, asked: Asked, which: str, change: Change | None = None) -> Prompt:
    """The question about a clip that may have been changed; its words never change."""
    clip = change(asked) if change else asked.clip
    video = Video(tuple(clip.render(frame_pixels(vlm))))
    return vlm.prompt(video, asked.question(which).text)


def log_odds(
    vlm: HookedVLM, some: Sequence[Asked], which: str, change: Change | None = None
) -> np.ndarray:
    """Log-odds of the first answer against the second, ``[clips]``."""
    found = []
    for start in range(0, len(some), _AT_ONCE):
        part = some[start : start + _AT_ONCE]
        prompts = [prompt_of(vlm, asked, which, change) for asked in part]
        found.append(vlm.beliefs(prompts, ANSWERS[which])["log_odds"])
    return np.concatenate(found)


def truths(some: Sequence[Asked], which: str) -> np.ndarray:
    """+1 where the first answer is true of the clip as it is, else -1, ``[clips]``."""
    first, _ = ANSWERS[which]
    return np.array([1 if asked.question(which).answer == first else -1 for asked in some])


def swaps(
    vlm: HookedVLM,
    sets: Mapping[str, Sequence[Asked]],
    changes: Mapping[str, Mapping[str, Change]],
    groups: Groups,
    sites: Mapping[int, str],
    save_to: str | Path | None = None,
) -> pd.DataFrame:
    """Write states of changed clips into clean runs, by change, site and group of tokens.

    Args:
        vlm: a model that takes videos.
        sets: clips by kind.
        changes: by question, ``"time"`` or ``"space"``, and by name. Questions about the same clip
            share its passes.
        groups: which positions to swap. A group that is empty somewhere is left out there.
        sites: by the name that the table gives them as ``block``.
        save_to: a folder that keeps what is done, as in :func:`helpers.sweeps.sweep`.

    Returns:
        A row for each clip, question, change, block and group: ``kind``, ``clip`` (unique),
        ``question``, ``change``, ``block``, ``group``; ``truth`` (see :func:`truths`) and ``order``
        of the nouns; the log-odds ``clean``, ``mirrored`` (of the changed clip) and ``patched``.

    Raises:
        ValueError: without clips or without changes.
    """
    arms = [(which, name) for which, some in changes.items() for name in some]
    if not arms or not any(sets.values()):
        raise ValueError("swaps of no clips have no result")
    size, tables = max(1, 2 * _AT_ONCE // len(arms)), []
    with pictures_once(vlm):
        for kind, some in sets.items():
            for start in range(0, len(some), size):
                part = some[start : start + size]
                table = _swaps(vlm, part, arms, changes, groups, sites, save_to)
                number = (table.pop("number") + start).astype(str)
                tables.append(table.assign(kind=kind, clip=f"{kind} " + number))
    return pd.concat(tables, ignore_index=True)


def _swaps(vlm, some, arms, changes, groups, sites, save_to) -> pd.DataFrame:
    """The same for a few clips; ``number`` counts them."""
    asked_about = dict.fromkeys(which for which, _ in arms)
    clean = {
        (number, which): prompt_of(vlm, asked, which)
        for number, asked in enumerate(some)
        for which in asked_about
    }
    where = {key: groups(some[key[0]], key[1], prompt) for key, prompt in clean.items()}
    # All that is about one clip lies together, so that its passes are shared.
    rows = [(number, *arm) for number in range(len(some)) for arm in arms]
    names = next(iter(where.values()))
    table = mirror_swap(
        vlm,
        [clean[number, which] for number, which, _ in rows],
        [prompt_of(vlm, some[n], which, changes[which][name]) for n, which, name in rows],
        {
            group: [where[number, which][group] for number, which, _ in rows]
            for group in names
            if all(found.get(group) for found in where.values())
        },
        [ANSWERS[which] for _, which, _ in rows],
        list(sites.values()),
        save_to=save_to,
        progress=False,
    )
    labels = pd.DataFrame(rows, columns=["number", "question", "change"])
    orders = ("alphabet" if a.names == tuple(sorted(a.names)) else "exchanged" for a in some)
    labels["order"] = labels["number"].map(dict(enumerate(orders)))
    truth = {which: truths(some, which) for which in asked_about}
    labels["truth"] = [truth[which][number] for number, which, _ in rows]
    table["block"] = table["site"].map({site: block for block, site in sites.items()})
    return table.join(labels, on="prompt").drop(columns=["prompt", "layer"])


def noise_swaps(
    vlm: HookedVLM,
    some: Sequence[Asked],
    which: str,
    change: Change,
    site: str,
    draws: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Log-odds with noise at the nouns, mean over draws, ``[clips]``.

    At each token it is as long as the change that a swap from the changed clip makes there.
    """
    jobs = []
    for number, asked in enumerate(some):
        clean, changed = (prompt_of(vlm, asked, which, how) for how in (None, change))
        where = [position for span in clean.words(asked.names) for position in span]
        states = vlm.run_with_cache([clean, changed], site)[1][site][:, where].float().cpu()
        generator = torch.Generator().manual_seed(1000 * seed + number)
        for _ in range(draws):
            noise = [random_direction(row, generator) for row in states[1] - states[0]]
            edit = Edit(site, tuple(where), torch.stack(noise))
            jobs.append(Job(clean, (edit,), {"clip": number}))
    table = sweep(vlm, jobs, ANSWERS[which], progress=False)
    return table.groupby("clip")["log_odds"].mean().to_numpy()


# Bands ----------------------------------------------------------------------------------------


def towards(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Changes towards the changed clip's belief, for one change and one group.

    Returns:
        Under the swap, ``[clips, blocks]`` in the order of both, and whole, ``[clips]``.
    """
    sign = np.sign(table["mirrored"] - table["clean"])
    table = table.assign(
        part=sign * (table["patched"] - table["clean"]),
        whole=sign * (table["mirrored"] - table["clean"]),
    )
    part = table.pivot(index="clip", columns="block", values="part")
    return part.to_numpy(), table.groupby("clip")["whole"].first().loc[part.index].to_numpy()


# Steps of time ----------------------------------------------------------------------------------


def step_of(views: Sequence[View], frame: int) -> int:
    """Which view shows a frame: one view may show several."""
    return max(number for number, view in enumerate(views) if view.frame <= frame)


def span_of(views: Sequence[View], frame: int) -> list[int]:
    """Positions from the first to the last token of the step that shows a frame.

    Newlines between its rows are among them.
    """
    positions = views[step_of(views, frame)].positions
    return list(range(positions[0], positions[-1] + 1))


def steps_exchanged(asked: Asked, views: Sequence[View]) -> Clip:
    """The clip, with the steps exchanged in which its two objects first appear."""
    total = len(asked.clip)
    one, other = (step_of(views, asked.clip.when(name)[0]) for name in asked.names)
    order = list(range(total))
    frames = [[f for f in order if step_of(views, f) == step] for step in (one, other)]
    for here, there in zip(*frames, strict=True):
        order[here], order[there] = there, here
    return Clip(tuple(asked.clip.frames[frame] for frame in order))
