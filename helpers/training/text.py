"""Training text: what a model reads after an image, and which tokens it learns to predict.

Questions teach a model to answer. Captions teach it that what follows a noun depends on where
the noun's object is, which is what makes the *noun* fetch its object's place (see the chapter
on finding spatial IDs).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from helpers.stimuli import questions
from helpers.stimuli.scenes import Placed, Scene
from helpers.training.tokenizer import placeholder_id

COLUMNS = "ABCDEFGH"

#: Puts an object's place into words.
Describe = Callable[[Placed, np.random.Generator], str]


@dataclass(frozen=True)
class Segment:
    """A text as (piece, learned) runs: loss falls on the tokens of learned runs alone."""

    kind: str
    runs: tuple[tuple[str, bool], ...]


def prompt_of(text: str, shown: str = "<image>") -> str:
    """A question (or request) behind the placeholder of what is shown, before its answer."""
    return f"USER: {shown}\n{text} ASSISTANT:"


def answered(kind: str, question: questions.Question, shown: str = "<image>") -> Segment:
    """A question and its answer, which is learned."""
    prompt = prompt_of(question.text, shown)
    return Segment(kind, ((prompt, False), (f" {question.answer}</s>", True)))


def annotated(
    kind: str,
    question: questions.Question,
    describe: Callable[[str], str],
    shown: str = "<image>",
) -> Segment:
    """A question whose nouns are followed by what ``describe`` says of them, which is learned."""
    runs, rest = [], prompt_of(question.text, shown)
    for name in question.objects:
        before, rest = rest.split(f"the {name}", 1)
        runs.append((f"{before}the {name}", False))
        runs.append((f" {describe(name)}", True))
    runs += [(rest, False), (f" {question.answer}</s>", True)]
    return Segment(kind, tuple(runs))


def question_segment(scene: Scene, kind: str, generator: np.random.Generator) -> Segment | None:
    """A question and its answer; None if the scene has no answer to the one drawn."""
    question = questions.ask(scene, kind, generator)
    if question is None:
        return None
    return answered(kind, question)


def described_segment(scene: Scene, kind: str, generator: np.random.Generator) -> Segment | None:
    """A question whose nouns are followed by place words: "Is the frog top left above or ..."."""
    return _annotated(scene, kind, generator, words_for_place)


def grounded_segment(scene: Scene, kind: str, generator: np.random.Generator) -> Segment | None:
    """A question whose nouns are followed by coordinates, as in referential dialogue."""
    return _annotated(scene, kind, generator, _coordinates)


def _annotated(
    scene: Scene, kind: str, generator: np.random.Generator, describe: Describe
) -> Segment | None:
    question = questions.ask(scene, str(generator.choice(["left_right", "above_below"])), generator)
    if question is None:
        return None
    return annotated(kind, question, lambda name: describe(scene.find(name), generator))


def locate_segment(scene: Scene, kind: str, generator: np.random.Generator) -> Segment:
    """Every object with its column letter and row digit, in either order."""
    return _caption(kind, "Locate every object.", scene, generator, _coordinates)


def layout_segment(scene: Scene, kind: str, generator: np.random.Generator) -> Segment:
    """Every object with a row word and a column word, in either order.

    Words are drawn as people choose them: the nearer to the middle, the less they agree. The
    log-odds of "left" are linear in the column.
    """
    return _caption(kind, "Describe the layout.", scene, generator, words_for_place)


def relations_segment(scene: Scene, kind: str, generator: np.random.Generator) -> Segment | None:
    """Statements such as "the frog left of the camel": the relation is learned."""
    names = [str(name) for name in generator.permutation(scene.names)]
    runs: list[tuple[str, bool]] = [(prompt_of("Describe the relations."), False)]
    for first, second in zip(names, names[1:], strict=False):
        one, other = scene.find(first), scene.find(second)
        if generator.random() < 0.5:
            distance, words = one.x - other.x, ("left of", "right of")
        else:
            distance, words = one.y - other.y, ("above", "below")
        if abs(distance) < questions.MARGIN:
            continue
        relation, *of = words[int(distance > 0)].split()
        runs += [(f" the {first}", False), (f" {relation}", True)]
        runs += [(" " + " ".join([*of, "the", second, ","]).replace(" ,", ","), False)]
    return Segment(kind, tuple(runs)) if len(runs) > 1 else None


def _caption(
    kind: str, request: str, scene: Scene, generator: np.random.Generator, describe: Describe
) -> Segment:
    runs: list[tuple[str, bool]] = [(prompt_of(request), False)]
    for name in generator.permutation(scene.names):
        runs.append((f" the {name}", False))
        runs.append((f" {describe(scene.find(str(name)), generator)}", True))
        runs.append((",", False))
    return Segment(kind, tuple(runs[:-1]))


def _coordinates(placed: Placed, generator: np.random.Generator) -> str:
    column, row = (min(max(int(value * 8), 0), 7) for value in (placed.x, placed.y))
    words = [COLUMNS[column], str(row + 1)]
    return "".join(words if generator.random() < 0.5 else reversed(words))


def words_for_place(placed: Placed, generator: np.random.Generator) -> str:
    """A row word and a column word, in either order."""
    words = [
        soft_word(value, low, high, generator)
        for value, low, high in ((placed.y, "top", "bottom"), (placed.x, "left", "right"))
    ]
    return " ".join(words if generator.random() < 0.5 else reversed(words))


def soft_word(share: float, low: str, high: str, generator: np.random.Generator) -> str:
    """One of two words for a value between 0 and 1; its log-odds are linear in the value."""
    return low if generator.random() < 1 / (1 + np.exp((share - 0.5) / 0.1)) else high


#: How each kind of training text is drawn.
SEGMENTS = {kind: question_segment for kind in questions.KINDS} | {
    "locate": locate_segment,
    "layout": layout_segment,
    "relations": relations_segment,
    "described": described_segment,
    "grounded": grounded_segment,
}


def encode(segment: Segment, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[bool]]:
    """Tokenize a segment; return the ids after the placeholder, and which of them are learned.

    The whole text is tokenized at once, so that training sees the tokens that a prompt gives; a
    token is learned if its characters lie in a learned run.
    """
    text = "".join(piece for piece, _ in segment.runs)
    learned_characters = [learned for piece, learned in segment.runs for _ in piece]
    encoded = tokenizer(text, return_offsets_mapping=True)
    start = encoded.input_ids.index(placeholder_id(tokenizer)) + 1
    ids = encoded.input_ids[start:]
    learned = [
        end > begin and learned_characters[end - 1] for begin, end in encoded.offset_mapping[start:]
    ]
    return ids, learned
