"""The checks of chapter 2: they pass the solution, and tell what is wrong with what is wrong."""

import itertools

import pytest

from helpers import Placed, Scene
from helpers.exercises import ch02
from helpers.stimuli import questions
from helpers.stimuli.split import held_out_cells
from helpers.stimuli.sprites import PAPER_OBJECTS


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


def nothing(*_):
    return None


# How many have no answer? -----------------------------------------------------------------------


def test_no_answer():
    ch02.check_no_answer(lambda grid: 1 / (grid + 1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda grid: 1 / grid, "no placement"),
        (lambda grid: grid / (grid + 1), "\\*has\\* an answer"),
        (lambda grid: 100 / (grid + 1), "percent"),
        (lambda grid: 2 / (grid + 1), "one row is no trouble"),
        (lambda grid: (grid - 1) / grid**2, "all of the cells"),
        (lambda grid: 0.2, "grid of 3 x 3"),
        (nothing, "returns nothing"),
    ],
)
def test_no_answer_refuses(wrong, says):
    refuses(says, ch02.check_no_answer, wrong)


# A balanced set ---------------------------------------------------------------------------------

PAIRS = [("frog", "camel"), ("dog", "teapot"), ("robot", "cake")]


def balanced(pairs, columns=(1, 2), steps=(-1, 1), both=True):
    items = []
    for first, second in [*pairs, *(pair[::-1] for pair in pairs if both)]:
        for column, step, row in itertools.product(columns, steps, range(4)):
            places = ((column, row), (column + step, (row + 1) % 4))
            if 0 <= column + step < 4:
                placed = [
                    Placed(name, (c + 0.5) / 4, (r + 0.5) / 4, 0.2)
                    for name, (c, r) in zip((first, second), places, strict=True)
                ]
                scene = Scene(tuple(placed))
                items.append((scene, questions.left_right(scene, first, second)))
    return items


def test_balanced():
    ch02.check_balanced(balanced(PAIRS))


def test_balanced_with_other_weights():
    """Inner columns need not come equally often."""
    ch02.check_balanced(balanced(PAIRS) + balanced(PAIRS, columns=(1,)))


def with_lies(items):
    flip = {"Left": "Right", "Right": "Left"}
    return [(s, questions.Question(q.kind, q.text, flip[q.answer], q.objects)) for s, q in items]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (balanced(PAIRS, both=False), "ask both orders"),
        (balanced(PAIRS, columns=range(4)), "in column 0"),
        (balanced(PAIRS, steps=(1,)), "the answer is Left in 100%"),
        (balanced(PAIRS, steps=(-1, 0, 1)), "a question is None"),
        (balanced(PAIRS[:1]), "at least 40"),
        (with_lies(balanced(PAIRS)), "does not fit its scene"),
        (None, "returns nothing"),
    ],
)
def test_balanced_refuses(wrong, says):
    refuses(says, ch02.check_balanced, wrong)


# Fresh pictures? --------------------------------------------------------------------------------


def picture(scene):
    return frozenset(scene.objects), scene.background


def repeats(train, test, picture=picture):
    known = {picture(scene) for scene in train}
    return [picture(scene) in known for scene in test]


def test_repeats():
    ch02.check_repeats(repeats)


def test_repeats_by_pixels():
    ch02.check_repeats(lambda train, test: repeats(train, test, lambda s: s.render(48).tobytes()))


def like(picture):
    return lambda train, test: repeats(train, test, picture)


def also_among_themselves(train, test):
    known, found = {picture(scene) for scene in train}, []
    for scene in test:
        found.append(picture(scene) in known)
        known.add(picture(scene))
    return found


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda train, test: [scene in train for scene in test], "listed in the other order"),
        (like(lambda s: frozenset(s.names)), "exchanged places"),
        (like(lambda s: frozenset((o.name, o.x, o.y) for o in s.objects)), "another size"),
        (like(lambda s: frozenset(s.objects)), "another background"),
        (like(lambda s: s.names), "listed in the other order"),
        (also_among_themselves, "comes twice in the test set"),
        (lambda train, test: sum(repeats(train, test)) / len(test), "the share comes later"),
        (nothing, "returns nothing"),
    ],
)
def test_repeats_refuses(wrong, says):
    refuses(says, ch02.check_repeats, wrong)


# Find the leak ----------------------------------------------------------------------------------

FOUND = {"amber": "size", "coral": "none", "indigo": "order", "olive": "background"}


def test_leaks():
    ch02.check_leaks(FOUND)


def test_leaks_are_where_the_check_says():
    for name, items in ch02.suspicious_sets().items():
        cues = {
            "size": [s.find(q.objects[0]).size > s.find(q.objects[1]).size for s, q in items],
            "order": [q.objects[0] < q.objects[1] for _, q in items],
            "background": [s.background.colors[0][0] > 170 for s, _ in items],
        }
        agree = {
            cue: sum(t == (q.answer == "Left") for t, (_, q) in zip(told, items, strict=True))
            for cue, told in cues.items()
        }
        leaking = [cue for cue, count in agree.items() if abs(count / len(items) - 0.5) > 0.1]
        assert (leaking or ["none"]) == [FOUND[name]]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (FOUND | {"coral": "size"}, "coral: size is not it"),
        (FOUND | {"amber": "order"}, "amber: order is not it"),
        (FOUND | {"olive": "none"}, "olive: there is a leak"),
        (FOUND | {"indigo": "word order"}, "none of"),
        ({"amber": "size"}, "say what leaks in 'coral'"),
        (None, "hand over a dictionary"),
    ],
)
def test_leaks_refuses(wrong, says):
    refuses(says, ch02.check_leaks, wrong)


# A split without a leak -------------------------------------------------------------------------


def half_turn(number):
    cell = divmod(number % 8, 4)
    return {cell, (3 - cell[0], 3 - cell[1])}


def all_mirrors(number):
    row, column = divmod(number % 4, 2)
    return {(row, column), (3 - row, column), (row, 3 - column), (3 - row, 3 - column)}


@pytest.mark.parametrize("right", [half_turn, all_mirrors])
def test_split(right):
    ch02.check_split(right)


def mirrored(number):
    """Left and right are balanced, above and below are not."""
    row, column = divmod(number % 8, 4)
    return {(row, column), (row, 3 - column)}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda number: held_out_cells(PAPER_OBJECTS[number]), "The nouns alone know that"),
        (mirrored, "'above or below'"),
        (lambda number: {divmod(number, 4)}, "training pictures of"),
        (lambda number: half_turn(0), "a new place, and not a new combination"),
        (lambda number: set(), "not a few of the cells"),
        (lambda number: {(row + 1, 4 - column) for row, column in half_turn(number)}, "not a few"),
        (nothing, "returns nothing"),
    ],
)
def test_split_refuses(wrong, says):
    refuses(says, ch02.check_split, wrong)
