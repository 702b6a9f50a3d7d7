"""Checks and material for chapter 2: a balanced set, and sets with a planted leak."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from helpers.stimuli.questions import Question, left_right
from helpers.stimuli.scenes import Background, Placed, Scene
from helpers.stimuli.split import GRID, cell_of
from helpers.stimuli.sprites import PAPER_OBJECTS

Item = tuple[Scene, Question]

#: How often the planted cue agrees with the answer.
STRENGTH = 0.85
_PLANTED = {"amber": "size", "coral": "none", "indigo": "order", "olive": "background"}


def check_balanced(items: Sequence[Item], least: int = 40) -> None:
    """Check a set of left/right questions whose first noun's column says nothing."""
    items = list(items)
    assert len(items) >= least, f"make at least {least} questions; these are {len(items)}"
    for scene, question in items:
        truth = left_right(scene, *question.objects)
        assert truth is not None and truth.answer == question.answer, (
            f"{question.text!r} with answer {question.answer!r} does not fit its scene, where "
            f"{[(placed.name, round(placed.x, 2)) for placed in scene.objects]}"
        )
    _half("over the whole set", items)
    orders = Counter(question.objects for _, question in items)
    for first, second in orders:
        assert orders[first, second] == orders[second, first], (
            f"({first}, {second}) is asked {orders[first, second]} times and "
            f"({second}, {first}) {orders[second, first]} times; ask both orders equally often"
        )
    for pair in orders:
        _half(f"for the nouns {pair}", [item for item in items if item[1].objects == pair])
    columns = [_column(scene, question.objects[0]) for scene, question in items]
    for column in sorted(set(columns)):
        chosen = [item for item, here in zip(items, columns, strict=True) if here == column]
        _half(f"with the first noun in column {column}", chosen)
    print(
        f"correct: {len(items)} questions, and neither the nouns, nor their order, nor the first "
        "noun's column tells the answer"
    )


def _column(scene: Scene, name: str) -> int:
    placed = scene.find(name)
    return cell_of(placed.x, placed.y, GRID)[1]


def _half(where: str, items: Sequence[Item]) -> None:
    left = np.mean([question.answer == "Left" for _, question in items])
    assert abs(left - 0.5) <= 0.02, (
        f"{where} the answer is Left in {left:.0%} of {len(items)} questions; it should be 50 %"
    )


def suspicious_sets(count: int = 400, seed: int = 0) -> dict[str, list[Item]]:
    """Four sets of left/right questions. Some have a planted leak; which, is yours to find.

    Returns:
        By name: (scene, question) items. Every set has as many Lefts as Rights, give or take.
    """
    generator = np.random.default_rng(seed)
    return {name: [_item(generator, cue) for _ in range(count)] for name, cue in _PLANTED.items()}


def _item(generator: np.random.Generator, planted: str) -> Item:
    """One question: three harmless coin tosses, unless one of them knows the answer."""
    is_left = generator.random() < 0.5
    toss = {cue: generator.random() < 0.5 for cue in ("size", "order", "background")}
    if planted in toss:
        toss[planted] = is_left == (generator.random() < STRENGTH)
    names = sorted(str(name) for name in generator.permutation(PAPER_OBJECTS)[:2])
    first, second = names if toss["order"] else names[::-1]
    small, large = generator.uniform(0.14, 0.2), generator.uniform(0.22, 0.28)
    sizes = (large, small) if toss["size"] else (small, large)
    low, high = generator.uniform(0.15, 0.42), generator.uniform(0.58, 0.85)
    places = (low, high) if is_left else (high, low)
    level = int(generator.integers(*((190, 250) if toss["background"] else (90, 150))))
    scene = Scene(
        tuple(
            Placed(name, float(x), float(generator.uniform(0.2, 0.8)), float(size))
            for name, x, size in zip((first, second), places, sizes, strict=True)
        ),
        Background("plain", ((level, level, level),)),
    )
    question = left_right(scene, first, second)
    if question is None:
        raise AssertionError("the two objects are too close to ask about")
    return scene, question


def check_leaks(found: dict[str, str]) -> None:
    """Check which cue you say leaks in which set: size, order, background or none."""
    cues = sorted({*_PLANTED.values()})
    for name, planted in _PLANTED.items():
        assert name in found, f"say what leaks in {name!r}: one of {', '.join(cues)}"
        said = found[name]
        assert said in cues, f"{name}: {said!r} is none of {', '.join(cues)}"
        assert said == planted or said == "none", (
            f"{name}: {said} is not it. Answer the set's questions from {said} alone: you will be "
            "right about half of the time"
        )
        assert said == planted, (
            f"{name}: there is a leak. One simple rule that never compares places is right far "
            "more often than half of the time"
        )
    print("correct: three leaks found, and one clean set left in peace")
