"""Checks and material for the exercises of chapter 2, "Making stimuli"."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from helpers.stimuli.questions import Question, left_right
from helpers.stimuli.sampling import PAPER_SIZES, scenes
from helpers.stimuli.scenes import Background, Placed, Scene
from helpers.stimuli.split import GRID, cell_of
from helpers.stimuli.sprites import PAPER_OBJECTS

Item = tuple[Scene, Question]

#: How often the planted cue agrees with the answer.
STRENGTH = 0.85
_PLANTED = {"amber": "size", "coral": "none", "indigo": "order", "olive": "background"}


def check_balanced(items: Sequence[Item], least: int = 40) -> None:
    """Check a set of left/right questions whose first noun's column says nothing."""
    assert items is not None, "the function returns nothing: is a `return` missing?"
    items = list(items)
    assert len(items) >= least, f"make at least {least} questions; these are {len(items)}"
    for scene, question in items:
        assert question is not None, (
            "a question is None: two objects in one column are neither left nor right of each other"
        )
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
    assert isinstance(found, dict), (
        f"hand over a dictionary from a set's name to its cue, not a {type(found).__name__}"
    )
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


# How many have no answer? -----------------------------------------------------------------------


def check_no_answer(no_answer: Callable[[int], float]) -> None:
    """Check the share of placements in one column, by going through all placements.

    Raises:
        AssertionError: with the grid that is wrong and what was probably counted.
    """
    for grid in (3, 4, 7, 2):
        cells = list(itertools.product(range(grid), repeat=2))
        wanted = np.mean([one[1] == two[1] for one, two in itertools.permutations(cells, 2)])
        got = no_answer(grid)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        if abs(float(got) - wanted) < 1e-9:
            continue
        slips = {
            1 / grid: "both objects in one cell are no placement: which cells are left for the "
            "second?",
            100 * wanted: "that is percent; return a share between 0 and 1",
            1 - wanted: "that is the share that *has* an answer",
            2 * (grid - 1) / (grid**2 - 1): "one row is no trouble: left and right can be told "
            "there",
            (grid - 1) / grid**2: "the second object cannot stand in all of the cells",
        }
        hints = [hint for value, hint in slips.items() if abs(float(got) - value) < 1e-9]
        raise AssertionError(
            f"on a grid of {grid} x {grid} you say {float(got):.3f}, which is not what counting "
            f"gives: {hints[0] if hints else 'put the first object down, and count for the second'}"
        )
    print("correct: the same as counting all placements")


# Fresh pictures? --------------------------------------------------------------------------------


def check_repeats(repeats: Callable[[list[Scene], list[Scene]], Sequence[bool]]) -> None:
    """Check ``(train, test) -> booleans``: is a test scene's picture a training picture?

    Raises:
        AssertionError: with the scene that was judged wrongly.
    """
    train = scenes(40, seed=0, kind="grid") + scenes(10, seed=0)
    seen, other = train[3], train[44]
    one, two = seen.objects
    elsewhere = next(size for size in PAPER_SIZES if size != one.size)
    cases = [
        ("a training scene", seen, True),
        ("a training scene with a background", other, True),
        ("its objects listed in the other order", replace(seen, objects=(two, one)), True),
        (
            "the two objects at exchanged places",
            replace(seen, objects=(replace(one, name=two.name), replace(two, name=one.name))),
            False,
        ),
        (
            "one object of another size",
            replace(seen, objects=(replace(one, size=elsewhere), two)),
            False,
        ),
        ("another background", replace(seen, background=other.background), False),
        ("another hue", replace(seen, objects=(replace(one, hue=40.0), two)), False),
        ("one object gone", replace(seen, objects=(one,)), False),
    ]
    got = repeats(list(train), [scene for _, scene, _ in cases])
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert np.shape(got) == (len(cases),), (
        f"return a boolean for each of the {len(cases)} test scenes; the share comes later"
    )
    for (name, _, wanted), found in zip(cases, got, strict=True):
        assert bool(found) == wanted, (
            f"{name}: {'the pixels are the same' if wanted else 'other pixels'}, and you say "
            f"{bool(found)}"
        )
    twice = repeats([seen], [other, other])
    assert not any(twice), (
        "a picture that comes twice in the test set, and not in training, is no repeat of a "
        "training picture (count it another time)"
    )
    print("correct: the same pictures, however their objects are listed")


# A split without a leak -------------------------------------------------------------------------

_AXES = {"above or below": 0, "left or right": 1}


def check_split(held_out: Callable[[int], Collection[tuple[int, int]]]) -> None:
    """Check held-out cells by going through every picture that a split allows, and forbids.

    Raises:
        AssertionError: with the nouns that know an answer, or with what is missing.
    """
    every = set(itertools.product(range(GRID), repeat=2))
    held = []
    for number in range(len(PAPER_OBJECTS)):
        cells = held_out(number)
        assert cells is not None, "the function returns nothing: is a `return` missing?"
        cells = {tuple(map(int, cell)) for cell in cells}
        assert cells and cells < every, (
            f"object {number}: {sorted(cells)} are not a few of the cells, (0, 0) to (3, 3)"
        )
        held.append(cells)
    everywhere = set.intersection(*held)
    assert not everywhere, (
        f"no object is ever put into {sorted(everywhere)}: that tests a new place, and not a new "
        "combination of an object and a place"
    )
    for where, cells in (("training", [every - some for some in held]), ("held-out", held)):
        for first, second in itertools.permutations(range(len(PAPER_OBJECTS)), 2):
            for what, axis in _AXES.items():
                share = _share(cells[first], cells[second], axis)
                pair = f"({PAPER_OBJECTS[first]}, {PAPER_OBJECTS[second]})"
                assert share is not None, (
                    f"no {where} picture of {pair} can be asked {what!r}: their cells never differ "
                    "along that axis"
                )
                assert share == Fraction(1, 2), (
                    f"{where} pictures of {pair}: the answer to {what!r} is the first of the two "
                    f"words in {float(share):.0%}. The nouns alone know that. Which change of a "
                    "picture turns this answer round, and does it lead to a picture of the same "
                    "kind?"
                )
    print(f"correct: {len(held[0])} cells held out for an object, and the nouns know nothing")


def _share(
    one: Collection[tuple[int, int]], two: Collection[tuple[int, int]], axis: int
) -> Fraction | None:
    """Share of placements, among those that differ along an axis, with the first before."""
    signs = [first[axis] < second[axis] for first, second in itertools.product(one, two)
             if first[axis] != second[axis]]  # fmt: skip
    return Fraction(sum(signs), len(signs)) if signs else None
