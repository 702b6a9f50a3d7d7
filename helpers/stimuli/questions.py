"""Questions about scenes, in the wording that real VLMs are asked, and their answers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helpers.stimuli.scenes import Placed, Scene
from helpers.stimuli.sprites import OBJECTS

#: Two objects closer than this along an axis (a fraction of the canvas) are not compared.
MARGIN = 0.12
#: Nor are two whose depths differ by less than this factor.
DEPTH_RATIO = 1.3
#: Whoever lists objects from left to right takes this much care (a fraction of the canvas).
CARE = 0.03

#: The pairs of answers that beliefs are read from, by kind of question.
ANSWERS = {
    "left_right": ("Left", "Right"),
    "above_below": ("Above", "Below"),
    "front_behind": ("Front", "Behind"),
    "between": ("Yes", "No"),
    "is_there": ("Yes", "No"),
}


@dataclass(frozen=True)
class Question:
    """A question, its true answer, and the object names in it, in the order they are named."""

    kind: str
    text: str
    answer: str
    objects: tuple[str, ...] = ()


def left_right(scene: Scene, first: str, second: str) -> Question | None:
    """Is the first object left or right of the second? None if they are too close to tell."""
    distance = scene.find(first).x - scene.find(second).x
    if abs(distance) < MARGIN:
        return None
    text = f"Is the {first} to the left or right of the {second}?"
    return Question("left_right", text, "Left" if distance < 0 else "Right", (first, second))


def above_below(scene: Scene, first: str, second: str) -> Question | None:
    """Is the first object above or below the second? None if they are too close to tell."""
    distance = scene.find(first).y - scene.find(second).y
    if abs(distance) < MARGIN:
        return None
    text = f"Is the {first} above or below the {second}?"
    return Question("above_below", text, "Above" if distance < 0 else "Below", (first, second))


def front_behind(scene: Scene, first: str, second: str) -> Question | None:
    """Is the first object nearer than the second? None without depth, or if it is too close."""
    near, far = scene.find(first).depth, scene.find(second).depth
    if near is None or far is None or max(near / far, far / near) < DEPTH_RATIO:
        return None
    text = f"Is the {first} in front of or behind the {second}?"
    return Question("front_behind", text, "Front" if near < far else "Behind", (first, second))


def between(scene: Scene, middle: str, first: str, second: str) -> Question | None:
    """Is an object between two others, going by columns? None if any two are too close."""
    x, one, other = (scene.find(name).x for name in (middle, first, second))
    if min(abs(x - one), abs(x - other), abs(one - other)) < MARGIN:
        return None
    answer = "Yes" if min(one, other) < x < max(one, other) else "No"
    text = f"Is the {middle} between the {first} and the {second}?"
    return Question("between", text, answer, (middle, first, second))


def further(scene: Scene, first: str, second: str, side: str) -> Question | None:
    """Which of two objects is further left, right, up or down?"""
    axis, sign = _SIDES[side]
    distance = sign * (getattr(scene.find(first), axis) - getattr(scene.find(second), axis))
    if abs(distance) < MARGIN:
        return None
    text = f"Which object is further {side}, the {first} or the {second}?"
    return Question("which", text, first if distance > 0 else second, (first, second))


_SIDES = {"left": ("x", -1), "right": ("x", 1), "up": ("y", -1), "down": ("y", 1)}


def corner(scene: Scene, row_word: str, column_word: str) -> Question | None:
    """Which object is at a corner? None unless one is clearly the nearest to it."""
    x, y = float(column_word == "right"), float(row_word == "bottom")
    ranked = sorted(scene.objects, key=lambda placed: _distance(placed, x, y))
    clear = len(ranked) < 2 or (_distance(ranked[1], x, y) - _distance(ranked[0], x, y) > MARGIN)
    if not clear or _distance(ranked[0], x, y) > 0.6:
        return None
    text = f"Which object is at the {row_word} {column_word}?"
    return Question("corner", text, ranked[0].name)


def _distance(placed: Placed, x: float, y: float) -> float:
    return float(np.hypot(placed.x - x, placed.y - y))


def where(scene: Scene, name: str) -> Question | None:
    """In which quarter of the image is the object? None if it is close to a middle line."""
    placed = scene.find(name)
    if min(abs(placed.x - 0.5), abs(placed.y - 0.5)) < MARGIN / 2:
        return None
    answer = f"{'Top' if placed.y < 0.5 else 'Bottom'} {'left' if placed.x < 0.5 else 'right'}"
    return Question("where", f"Where is the {name}?", answer, (name,))


def is_there(scene: Scene, name: str) -> Question:
    """Is the object in the image?"""
    article = "an" if name[0] in "aeiou" else "a"
    answer = "Yes" if name in scene.names else "No"
    return Question("is_there", f"Is there {article} {name} in the image?", answer, (name,))


def what(scene: Scene, generator: np.random.Generator | None = None) -> Question:
    """What is in the image? The answer names the objects from left to right.

    With a generator, two at nearly the same column come in either order. A model that learns a
    strict order never goes back for the one it passed.
    """
    columns = np.array([placed.x for placed in scene.objects])
    if generator is not None:
        columns = columns + generator.normal(0, CARE, len(columns))
    names = [scene.names[index] for index in columns.argsort(kind="stable")]
    return Question("what", "What is in the image?", ", ".join(names))


def _ask_pair(function: Callable) -> Callable:
    def ask(scene: Scene, generator: np.random.Generator, focus: tuple[str, ...]):
        if len(focus) < 2:
            return None
        first, second = generator.permutation(focus)[:2]
        return function(scene, str(first), str(second))

    return ask


def _ask_between(scene: Scene, generator: np.random.Generator, focus: tuple[str, ...]):
    if len(scene.objects) < 3:
        return None
    names = [str(name) for name in generator.permutation(scene.names)[:3]]
    # Of three objects in a row one is in the middle: name it first half of the time.
    names.sort(key=lambda name: scene.find(name).x)
    middle = 1 if generator.random() < 0.5 else int(generator.choice([0, 2]))
    others = [name for index, name in enumerate(names) if index != middle]
    first, second = (str(name) for name in generator.permutation(others))
    return between(scene, names[middle], first, second)


def _ask_further(scene: Scene, generator: np.random.Generator, focus: tuple[str, ...]):
    if len(focus) < 2:
        return None
    first, second = (str(name) for name in generator.permutation(focus)[:2])
    return further(scene, first, second, str(generator.choice(list(_SIDES))))


def _ask_corner(scene: Scene, generator: np.random.Generator, focus: tuple[str, ...]):
    row_word, column_word = generator.choice(["top", "bottom"]), generator.choice(["left", "right"])
    return corner(scene, str(row_word), str(column_word))


def _ask_where(scene: Scene, generator: np.random.Generator, focus: tuple[str, ...]):
    return where(scene, str(generator.choice(focus)))


def _ask_is_there(scene: Scene, generator: np.random.Generator, focus: tuple[str, ...]):
    if generator.random() < 0.5:
        return is_there(scene, str(generator.choice(focus)))
    absent = [name for name in OBJECTS if name not in scene.names]
    return is_there(scene, str(generator.choice(absent)))


def _ask_what(scene: Scene, generator: np.random.Generator, focus: tuple[str, ...]):
    return what(scene, generator)


#: How to draw a question of each kind about a scene.
KINDS = {
    "left_right": _ask_pair(left_right),
    "above_below": _ask_pair(above_below),
    "front_behind": _ask_pair(front_behind),
    "between": _ask_between,
    "which": _ask_further,
    "corner": _ask_corner,
    "where": _ask_where,
    "is_there": _ask_is_there,
    "what": _ask_what,
}


def ask(
    scene: Scene,
    kind: str,
    generator: np.random.Generator,
    focus: tuple[str, ...] | None = None,
) -> Question | None:
    """Draw a question of one kind about a scene.

    Args:
        scene: what to ask about.
        kind: a key of ``KINDS``.
        generator: the source of randomness.
        focus: the objects to ask about; by default all in the scene.

    Returns:
        The question, or None if the scene has no answer to the one drawn.

    Raises:
        ValueError: if the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of question {kind!r}; there are: {', '.join(KINDS)}")
    return KINDS[kind](scene, generator, focus or scene.names)
