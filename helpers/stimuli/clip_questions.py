"""Questions about clips, in the wording that real video VLMs are asked, and their answers.

Whoever is asked when an object appears may think of its first frame or of its last. So one
object is compared with another only where both readings give the same answer; that also makes
the answer for the reversed clip the opposite one. "At the beginning or the end" goes by the
object's middle frame.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from helpers.stimuli import questions
from helpers.stimuli.clips import Clip
from helpers.stimuli.questions import Question
from helpers.stimuli.scenes import Scene
from helpers.stimuli.sprites import OBJECTS

#: An object is at the beginning (or the end) if its middle frame is so far from the clip's.
CLEARLY = 0.15
#: An object moves if it gets this much further between its first and its last frame.
MOVES = 0.15
#: The moments at which a spatial question is asked, and their frames.
MOMENTS = {"beginning": 0, "end": -1}

#: The pairs of answers that beliefs are read from, by kind of question.
CLIP_ANSWERS = {
    "before_after": ("Before", "After"),
    "first_last": ("First", "Last"),
    "beginning_end": ("Beginning", "End"),
    "moving": ("Left", "Right"),
    "left_right_at": ("Left", "Right"),
    "above_below_at": ("Above", "Below"),
    "left_right": ("Left", "Right"),
    "above_below": ("Above", "Below"),
    "is_there": ("Yes", "No"),
}

BEFORE_AFTER = "Does the {0} appear before or after the {1}?"


def comes_before(clip: Clip, first: str, second: str) -> bool | None:
    """Whether one object comes and goes before another; None if they do so together, or nested."""
    one, other = clip.when(first), clip.when(second)
    starts, ends = one[0] - other[0], one[-1] - other[-1]
    return starts < 0 if starts * ends > 0 else None


def before_after(clip: Clip, first: str, second: str) -> Question | None:
    """Does the first object appear before or after the second? None if that cannot be told."""
    before = comes_before(clip, first, second)
    if before is None:
        return None
    text = BEFORE_AFTER.format(first, second)
    return Question("before_after", text, "Before" if before else "After", (first, second))


def first_last(clip: Clip, name: str) -> Question | None:
    """Does the object appear first or last of all? None if neither, or it is alone."""
    order = [comes_before(clip, name, other) for other in clip.names if other != name]
    if not order or None in order or len(set(order)) > 1:
        return None
    text = f"Does the {name} appear first or last?"
    return Question("first_last", text, "First" if order[0] else "Last", (name,))


def which_appears(clip: Clip, when: str, pair: tuple[str, str] | None = None) -> Question | None:
    """Which object appears first (or last), of two or of all? None if that cannot be told.

    Raises:
        ValueError: if ``when`` is neither "first" nor "last".
    """
    if when not in ("first", "last"):
        raise ValueError(f"when must be 'first' or 'last', not {when!r}")
    names = pair or clip.names
    wanted = when == "first"
    found = [
        name
        for name in names
        if all(comes_before(clip, name, other) is wanted for other in names if other != name)
    ]
    if len(set(names)) < 2 or not found:
        return None
    choice = f", the {pair[0]} or the {pair[1]}" if pair else ""
    return Question("which_appears", f"Which object appears {when}{choice}?", found[0], pair or ())


def beginning_end(clip: Clip, name: str) -> Question | None:
    """Is the object there at the beginning or the end? None if about the middle."""
    if len(clip) < 2:
        return None
    share = clip.middle(name) / (len(clip) - 1) - 0.5
    if abs(share) < CLEARLY:
        return None
    text = f"Does the {name} appear at the beginning or the end?"
    return Question("beginning_end", text, "Beginning" if share < 0 else "End", (name,))


def moving(clip: Clip, name: str) -> Question | None:
    """Is the object moving to the left or right? None if it does neither."""
    path = clip.path(name)
    across, down = path[-1].x - path[0].x, path[-1].y - path[0].y
    if abs(across) < max(MOVES, 2 * abs(down)):
        return None
    text = f"Is the {name} moving to the left or right?"
    return Question("moving", text, "Left" if across < 0 else "Right", (name,))


def at_moment(clip: Clip, kind: str, first: str, second: str, moment: str) -> Question | None:
    """A spatial question about the beginning or the end; None if it has no answer there.

    Raises:
        ValueError: if the kind or moment is unknown, or an object appears in no frame at all.
    """
    if kind not in _SPATIAL or moment not in MOMENTS:
        raise ValueError(
            f"no {kind!r} at the {moment!r}; there are: {', '.join(_SPATIAL)} at the "
            f"{' or '.join(MOMENTS)}"
        )
    for name in (first, second):
        clip.when(name)  # a name that is never there is a mistake, not a question without answer
    scene = clip.frames[MOMENTS[moment]]
    if not {first, second} <= set(scene.names):
        return None
    question = _SPATIAL[kind](scene, first, second)
    if question is None:
        return None
    text = f"At the {moment}, {question.text[0].lower()}{question.text[1:]}"
    return replace(question, kind=f"{kind}_at", text=text)


def throughout(clip: Clip, kind: str, first: str, second: str) -> Question | None:
    """A spatial question without a moment; None unless its answer is always the same.

    The objects need not be there together: then their places are compared, not those at one time.
    """
    asked = [
        _SPATIAL[kind](Scene((one, other)), first, second)
        for one in clip.path(first)
        for other in clip.path(second)
    ]
    answers = {question.answer if question else None for question in asked}
    return asked[0] if len(answers) == 1 else None


_SPATIAL: dict[str, Callable[[Scene, str, str], Question | None]] = {
    "left_right": questions.left_right,
    "above_below": questions.above_below,
}


def where(clip: Clip, name: str) -> Question | None:
    """In which quarter of the picture is the object? None if it changes or is in the middle."""
    asked = [questions.where(Scene((placed,)), name) for placed in clip.path(name)]
    answers = {question.answer if question else None for question in asked}
    return asked[0] if len(answers) == 1 else None


def is_there(clip: Clip, name: str) -> Question:
    """Does the object appear in the clip?"""
    article = "an" if name[0] in "aeiou" else "a"
    answer = "Yes" if name in clip.names else "No"
    return Question("is_there", f"Is there {article} {name} in the video?", answer, (name,))


def _pair(generator: np.random.Generator, focus: tuple[str, ...]) -> tuple[str, str] | None:
    if len(focus) < 2:
        return None
    first, second = generator.permutation(focus)[:2]
    return str(first), str(second)


def _ask_pair(function: Callable) -> Callable:
    def ask(clip: Clip, generator: np.random.Generator, focus: tuple[str, ...]):
        pair = _pair(generator, focus)
        return None if pair is None else function(clip, *pair)

    return ask


def _ask_one(function: Callable) -> Callable:
    def ask(clip: Clip, generator: np.random.Generator, focus: tuple[str, ...]):
        return function(clip, str(generator.choice(focus)))

    return ask


def _ask_at(kind: str) -> Callable:
    def ask(clip: Clip, generator: np.random.Generator, focus: tuple[str, ...]):
        pair, moment = _pair(generator, focus), str(generator.choice(list(MOMENTS)))
        return None if pair is None else at_moment(clip, kind, *pair, moment)

    return ask


def _ask_which(clip: Clip, generator: np.random.Generator, focus: tuple[str, ...]):
    when, pair = str(generator.choice(["first", "last"])), _pair(generator, focus)
    return which_appears(clip, when, pair if generator.random() < 0.5 else None)


def _ask_is_there(clip: Clip, generator: np.random.Generator, focus: tuple[str, ...]):
    if generator.random() < 0.5:
        return is_there(clip, str(generator.choice(focus)))
    return is_there(clip, str(generator.choice([n for n in OBJECTS if n not in clip.names])))


#: How to draw a question of each kind about a clip.
CLIP_KINDS = {
    "before_after": _ask_pair(before_after),
    "first_last": _ask_one(first_last),
    "which_appears": _ask_which,
    "beginning_end": _ask_one(beginning_end),
    "moving": _ask_one(moving),
    "left_right_at": _ask_at("left_right"),
    "above_below_at": _ask_at("above_below"),
    "left_right": _ask_pair(lambda clip, *pair: throughout(clip, "left_right", *pair)),
    "above_below": _ask_pair(lambda clip, *pair: throughout(clip, "above_below", *pair)),
    "where": _ask_one(where),
    "is_there": _ask_is_there,
}


def ask(
    clip: Clip,
    kind: str,
    generator: np.random.Generator,
    focus: tuple[str, ...] | None = None,
) -> Question | None:
    """Draw a question of one kind about a clip; see :func:`helpers.stimuli.questions.ask`.

    Of a clip in which nothing appears there is nothing to ask: None.

    Raises:
        ValueError: if the kind is unknown.
    """
    if kind not in CLIP_KINDS:
        raise ValueError(f"unknown kind of question {kind!r}; there are: {', '.join(CLIP_KINDS)}")
    focus = focus or clip.names
    return CLIP_KINDS[kind](clip, generator, focus) if focus else None
