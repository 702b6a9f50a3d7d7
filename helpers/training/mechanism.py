"""Does a model use its object words? What training watches, besides the answers.

A model can answer well without spatial IDs. So at every report the mirror swap is run at the two
object words alone, and IDs are extracted and fitted, with the same code that the chapters use.
"""

import numpy as np
import pandas as pd

from helpers import geometry, stats
from helpers.hooks import HookedVLM
from helpers.ids import SpatialIDs
from helpers.stimuli import questions
from helpers.stimuli.sampling import sample_scene
from helpers.stimuli.scenes import Scene, mirror
from helpers.sweeps import mirror_swap

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
        The table of :func:`helpers.interventions.mirror_swap`.
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
