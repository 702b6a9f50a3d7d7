"""Does a model use its object words? What training watches, besides the answers.

A model can answer well without spatial IDs. So at every report the mirror swap is run at the two
object words alone, and IDs are extracted and fitted, with the same code that the chapters use.
"""

import numpy as np
import pandas as pd

from helpers import geometry, stats
from helpers.extraction import frame_pixels
from helpers.hooks import HookedVLM
from helpers.ids import SpatialIDs
from helpers.prompts import Video
from helpers.stimuli import clip_questions, questions
from helpers.stimuli.clip_sampling import sample_clip
from helpers.stimuli.clips import Clip, reverse
from helpers.stimuli.sampling import sample_scene
from helpers.stimuli.scenes import Scene, mirror
from helpers.stimuli.split import held_out_pair
from helpers.sweeps import mirror_swap
from helpers.temporal import TemporalIDs

ASK = {"column": questions.left_right, "row": questions.above_below}

#: Pairs for the ID fit; the linear map is fitted on the first half and tested on the second.
ID_PAIRS = (
    ("frog", "camel"), ("dog", "cake"), ("robot", "fan"), ("log", "person"),
    ("teapot", "frog"), ("cake", "robot"), ("fan", "backpack"), ("camel", "dog"),
)  # fmt: skip


def draw_asked(
    generator: np.random.Generator,
    count: int,
    kind: str,
    axis: str,
    held_out: bool = True,
    objects: tuple[int, int] = (3, 6),
) -> list[tuple[Scene, questions.Question]]:
    """Draw scenes with a question along one axis about their first two objects."""
    asked: list[tuple[Scene, questions.Question]] = []
    while len(asked) < count:
        scene = sample_scene(generator, kind, objects, held_out)
        first, second = generator.permutation(scene.names[:2])
        question = ASK[axis](scene, str(first), str(second))
        if question is not None:
            asked.append((scene, question))
    return asked


def object_word_swap(
    vlm: HookedVLM, kind: str, axis: str, count: int = 48, seed: int = 0
) -> pd.DataFrame:
    """Mirror swap at the two object words, after every block.

    Returns:
        The table of :func:`helpers.sweeps.mirror_swap`.
    """
    asked = draw_asked(np.random.default_rng(seed), count, kind, axis)
    texts = [question.text for _, question in asked]
    clean = vlm.prompt([scene.render() for scene, _ in asked], texts)
    mirrored = vlm.prompt([mirror(scene, axis).render() for scene, _ in asked], texts)
    words = [
        [position for span in prompt.words(question.objects) for position in span]
        for prompt, (_, question) in zip(clean, asked, strict=True)
    ]
    answers = questions.ANSWERS[asked[0][1].kind]
    return mirror_swap(vlm, clean, mirrored, {"object words": words}, answers, progress=False)


def recovered(vlm: HookedVLM, count: int = 48, seed: int = 0) -> pd.DataFrame:
    """Recovered fraction at the object words by kind of scene, axis and block.

    Returns:
        Columns ``kind``, ``axis``, ``layer``, ``estimate``, ``low``, ``high``, ``n``.
    """
    tables = [
        object_word_swap(vlm, kind, axis, count, seed).assign(kind=kind, axis=axis)
        for kind in ("grid", "clutter")
        for axis in ASK
    ]
    return stats.recovered_by(pd.concat(tables), ["kind", "axis", "layer"])


def id_fit(vlm: HookedVLM) -> list[float]:
    """Held-out R2 of the linear map from place to ID after every block, ``[layers]``."""
    ids = SpatialIDs.extract(vlm, ID_PAIRS, partners=2, progress=False)
    half = len(ID_PAIRS) // 2
    train, test = ids.subset(ID_PAIRS[:half]), ids.subset(ID_PAIRS[half:])
    return [geometry.linear_fit(train.mean(site), test.mean(site)) for site in ids.sites]


def time_fit(vlm: HookedVLM) -> list[float]:
    """Held-out R2 of the linear map from frame to temporal ID after every block, ``[layers]``."""
    ids = TemporalIDs.extract(vlm, ID_PAIRS, partners=2, progress=False)
    half = len(ID_PAIRS) // 2
    train, test = ids.subset(ID_PAIRS[:half]), ids.subset(ID_PAIRS[half:])
    return [
        geometry.linear_fit(train.mean(site)[None], test.mean(site)[None]) for site in ids.sites
    ]


def watch_pictures(vlm: HookedVLM, seed: int) -> dict[str, float | int]:
    """Print and return the mirror swap and the fit of the IDs: a row of the training log."""
    found = _told(recovered(vlm, seed=seed), "mirror swap")
    fits = id_fit(vlm)
    print("  linear ID fit:", [round(value, 2) for value in fits], flush=True)
    return found | {"id_fit": round(max(fits), 4)}


def watch_clips(vlm: HookedVLM, seed: int) -> dict[str, float | int]:
    """The same for clips: reversed and mirrored ones swapped at the object words."""
    found = _told(recovered_in_clips(vlm, count=24, seed=seed), "swap")
    fits = time_fit(vlm)
    print("  linear temporal ID fit:", [round(value, 2) for value in fits], flush=True)
    return found | {"id_fit": round(max(fits), 4)}


def _told(swaps: pd.DataFrame, what: str) -> dict[str, float | int]:
    row: dict[str, float | int] = {}
    for (kind, axis), part in swaps.groupby(["kind", "axis"]):
        best = part.loc[part["estimate"].idxmax()]
        row[f"recovered_{kind}_{axis}"] = round(float(best["estimate"]), 4)
        row[f"best_block_{kind}_{axis}"] = int(best["layer"])
        print(f"  {what} {kind} {axis}:", part["estimate"].round(2).tolist(), flush=True)
    return row


#: By what is swapped: the question, and what changes its answer.
IN_CLIPS = {
    "time": (clip_questions.before_after, reverse),
    "column": (
        lambda clip, *pair: clip_questions.throughout(clip, "left_right", *pair),
        lambda clip: clip.each(mirror),
    ),
}


def recovered_in_clips(vlm: HookedVLM, count: int = 48, seed: int = 0) -> pd.DataFrame:
    """Recovered fraction at the object words of clips; see :func:`recovered`."""
    tables = [
        clip_swap(vlm, kind, axis, count, seed).assign(kind=kind, axis=axis)
        for kind in ("flashes", "events")
        for axis in IN_CLIPS
    ]
    return stats.recovered_by(pd.concat(tables), ["kind", "axis", "layer"])


def clip_swap(vlm: HookedVLM, kind: str, axis: str, count: int = 48, seed: int = 0) -> pd.DataFrame:
    """Swap in the object words of the reversed (or mirrored) clip, after every block."""
    ask, change = IN_CLIPS[axis]
    generator = np.random.default_rng(seed)
    asked: list[tuple[Clip, questions.Question]] = []
    while len(asked) < count:
        clip = sample_clip(generator, kind, held_out=True)
        first, second = generator.permutation(held_out_pair(clip.names))
        question = ask(clip, str(first), str(second))
        if question is not None:
            asked.append((clip, question))
    texts = [question.text for _, question in asked]
    pixels = frame_pixels(vlm)
    clean = vlm.prompt([Video(tuple(clip.render(pixels))) for clip, _ in asked], texts)
    changed = vlm.prompt([Video(tuple(change(clip).render(pixels))) for clip, _ in asked], texts)
    words = [
        [position for span in prompt.words(question.objects) for position in span]
        for prompt, (_, question) in zip(clean, asked, strict=True)
    ]
    answers = clip_questions.CLIP_ANSWERS[asked[0][1].kind]
    return mirror_swap(vlm, clean, changed, {"object words": words}, answers, progress=False)
