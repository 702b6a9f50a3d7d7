"""Training text about clips: questions, and captions in which a noun is followed by its time.

As with pictures, a caption teaches that what follows a noun depends on when (and where, and
which way) the noun's object appears: that makes the noun fetch its object's time.
"""

from collections.abc import Callable

import numpy as np

from helpers.stimuli import clip_questions
from helpers.stimuli.clips import Clip
from helpers.stimuli.scenes import Placed
from helpers.training.text import (
    Segment,
    annotated,
    answered,
    prompt_of,
    soft_word,
    words_for_place,
)

#: Puts into words what a clip shows of an object; None if there is nothing to say.
Describe = Callable[[Clip, str, np.random.Generator], str | None]

_SHOWN = "<video>"
_ANNOTATED = {
    "before_after": "time",
    "beginning_end": "time",
    "left_right": "place",
    "above_below": "place",
}


def question_segment(clip: Clip, kind: str, generator: np.random.Generator) -> Segment | None:
    """A question and its answer; None if the clip has no answer to the one drawn."""
    question = clip_questions.ask(clip, kind, generator)
    if question is None:
        return None
    return answered(kind, question, _SHOWN)


def described_segment(clip: Clip, kind: str, generator: np.random.Generator) -> Segment | None:
    """A question whose nouns are followed by what they need: "Does the frog end appear ..."."""
    asked = str(generator.choice(list(_ANNOTATED)))
    question = clip_questions.ask(clip, asked, generator)
    if question is None:
        return None
    words = _WORDS[_ANNOTATED[asked]]
    return annotated(kind, question, lambda name: str(words(clip, name, generator)), _SHOWN)


def timeline_segment(clip: Clip, kind: str, generator: np.random.Generator) -> Segment | None:
    """Every object with a word for its time, drawn as people choose them."""
    return _caption(kind, "Describe the timeline.", clip, generator, _time)


def layout_segment(clip: Clip, kind: str, generator: np.random.Generator) -> Segment | None:
    """Every object that stays in its place, with a row word and a column word."""
    return _caption(kind, "Describe the layout.", clip, generator, _place)


def motion_segment(clip: Clip, kind: str, generator: np.random.Generator) -> Segment | None:
    """Every object with the way it moves."""
    return _caption(kind, "Describe the motion.", clip, generator, _motion)


def relations_segment(clip: Clip, kind: str, generator: np.random.Generator) -> Segment | None:
    """Statements such as "the frog before the camel": the relation is learned."""
    names = [str(name) for name in generator.permutation(clip.names)]
    runs: list[tuple[str, bool]] = [(prompt_of("Describe the relations.", _SHOWN), False)]
    for first, second in zip(names, names[1:], strict=False):
        asked = str(generator.choice(["before_after", "before_after", "left_right", "above_below"]))
        if asked == "before_after":
            question = clip_questions.before_after(clip, first, second)
        else:
            question = clip_questions.throughout(clip, asked, first, second)
        if question is None:
            continue
        of = ["of"] if asked == "left_right" else []
        runs += [(f" the {first}", False), (f" {question.answer.lower()}", True)]
        runs += [(" " + " ".join([*of, "the", second]) + ",", False)]
    return Segment(kind, tuple(runs)) if len(runs) > 1 else None


def _caption(
    kind: str, request: str, clip: Clip, generator: np.random.Generator, describe: Describe
) -> Segment | None:
    runs: list[tuple[str, bool]] = [(prompt_of(request, _SHOWN), False)]
    for name in generator.permutation(clip.names):
        told = describe(clip, str(name), generator)
        if told is not None:
            runs += [(f" the {name}", False), (f" {told}", True), (",", False)]
    return Segment(kind, tuple(runs[:-1])) if len(runs) > 1 else None


def _time(clip: Clip, name: str, generator: np.random.Generator) -> str:
    """The log-odds of "end" are linear in the object's middle frame."""
    share = (clip.middle(name) + 0.5) / len(clip)
    return soft_word(share, "beginning", "end", generator)


def _place(clip: Clip, name: str, generator: np.random.Generator) -> str | None:
    path: set[Placed] = set(clip.path(name))
    return words_for_place(path.pop(), generator) if len(path) == 1 else None


def _motion(clip: Clip, name: str, generator: np.random.Generator) -> str | None:
    path = clip.path(name)
    steps = {"x": path[-1].x - path[0].x, "y": path[-1].y - path[0].y}
    axis = max(steps, key=lambda one: abs(steps[one]))
    if abs(steps[axis]) < clip_questions.MOVES:
        return "still" if path[0] == path[-1] else None
    return _DIRECTIONS[axis][int(steps[axis] > 0)]


_DIRECTIONS = {"x": ("left", "right"), "y": ("up", "down")}
_WORDS: dict[str, Describe] = {"time": _time, "place": _place}

#: How each kind of training text is drawn.
CLIP_SEGMENTS = {kind: question_segment for kind in clip_questions.CLIP_KINDS} | {
    "timeline": timeline_segment,
    "layout": layout_segment,
    "motion": motion_segment,
    "relations": relations_segment,
    "described": described_segment,
}
