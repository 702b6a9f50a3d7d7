"""Prompts: an image and a question as tokens, with the places of words and patches in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from helpers.families import Family
from helpers.grids import Layout, View


class Patches(NamedTuple):
    """Where the picture is in the sequence.

    Attributes:
        positions: of all its tokens, newlines between rows included.
        views: grids of patches, the one of the whole picture first; one a frame in a video; none
            where patches are not in the sequence (Mllama).
    """

    positions: list[int]
    views: tuple[View, ...]

    @property
    def whole(self) -> View:
        """The grid that shows the whole picture, or the first frame.

        Raises:
            ValueError: if this family keeps the picture's patches out of the sequence.
        """
        if not self.views:
            raise ValueError("this model's picture is not in the sequence: it has no patch tokens")
        return self.views[0]

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the whole picture's grid."""
        return self.whole.grid

    def at(self, row: int, column: int) -> int:
        """Return the position of a patch of the whole picture."""
        return self.whole.at(row, column)

    def showing(self, x: float, y: float) -> list[int]:
        """Return the positions of all patches that show a point, one for each view that does.

        Args:
            x: from the left edge, as a fraction of the picture's width.
            y: from the top edge, as a fraction of its height.
        """
        found = (view.patch(x, y) for view in self.views)
        return [position for position in found if position is not None]


@dataclass(frozen=True)
class Video:
    """Frames of one size, in order, to be asked about.

    Raises:
        ValueError: if there are none, or they differ in size.
    """

    frames: tuple[Image.Image, ...]

    def __post_init__(self) -> None:
        sizes = {frame.size for frame in self.frames}
        if len(sizes) != 1:
            told = ", ".join(map(str, sorted(sizes))) or "no frames"
            raise ValueError(f"a video needs frames of one size; there are {told}")


@dataclass(frozen=True)
class Prompt:
    """One image and one question, ready for the model.

    Attributes:
        image: the picture, RGB; of a video, its first frame.
        question: the question, as given.
        inputs: what the processor made of them, a batch of one.
        tokens: the text of every token.
        offsets: for every token, its first character in ``text`` and the one after its last.
        text: the whole prompt, image placeholders included.
        image_patches: where the image's tokens are.
        frames: of a video, RGB; empty for a picture.
    """

    image: Image.Image
    question: str
    inputs: dict[str, torch.Tensor]
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    text: str
    image_patches: Patches
    frames: tuple[Image.Image, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def last(self) -> int:
        """The position whose output predicts the answer."""
        return len(self.tokens) - 1

    @property
    def text_positions(self) -> list[int]:
        """Every position after the image: the question, its frame, and the last token."""
        return list(range(self.image_patches.positions[-1] + 1, len(self.tokens)))

    def word(self, word: str, occurrence: int = 0) -> list[int]:
        """Return the positions of all tokens of a word (or phrase) of the question.

        Args:
            word: whole words only: "car" is not found in "carrot"; case matters.
            occurrence: 0 for the first, 1 for the second, -1 for the last.

        Raises:
            ValueError: if the word is not in the question or has no such occurrence; the message
                shows the tokens.
        """
        if not word.strip():
            raise ValueError("an empty word is nowhere in the question")
        matches = self._matches(word)
        if not -len(matches) <= occurrence < len(matches):
            raise ValueError(
                f"occurrence {occurrence} of {word!r} asked for, but the question has "
                f"{len(matches)} ({self.question!r}); tokens after the image: {self._shown()}"
            )
        return self._positions(*matches[occurrence])

    def words(self, words: Sequence[str]) -> list[list[int]]:
        """Return the positions of several words that follow each other in the question.

        Each word is searched behind the one before it, so that "dog" in "Is the hot dog left of
        the dog?" is found where it stands alone: ``words(["hot dog", "dog"])``.
        """
        spans, begin = [], 0
        for word in words:
            after = [match for match in self._matches(word) if match[0] >= begin]
            if not after:
                raise ValueError(
                    f"{word!r} does not follow {list(words)[: len(spans)]} in {self.question!r}; "
                    f"tokens after the image: {self._shown()}"
                )
            spans.append(self._positions(*after[0]))
            begin = after[0][1]
        return spans

    def _matches(self, word: str) -> list[tuple[int, int]]:
        start = self.text.rindex(self.question)
        # Where the word itself ends in a mark, as "?" does, a letter may be next to it.
        before = r"(?<!\w)" if re.match(r"\w", word) else ""
        after = r"(?!\w)" if re.search(r"\w$", word) else ""
        pattern = before + re.escape(word) + after
        return [
            (start + match.start(), start + match.end())
            for match in re.finditer(pattern, self.question)
        ]

    def _positions(self, begin: int, end: int) -> list[int]:
        positions = [
            position
            for position, (low, high) in enumerate(self.offsets)
            # Some tokenizers give a word's leading space to its first token: compare overlap.
            if low < end and high > begin and self.text[max(low, begin) : min(high, end)].strip()
        ]
        covered = self.text[self.offsets[positions[0]][0] : self.offsets[positions[-1]][1]]
        if self.text[begin:end] not in covered:
            raise AssertionError(f"span {covered!r} does not hold {self.text[begin:end]!r}")
        return positions

    def _shown(self) -> str:
        return " | ".join(self.tokens[position] for position in self.text_positions)


def as_rgb(image: Any) -> Image.Image:
    """Return an RGB picture: transparent ones go on white, grey ones are converted.

    Raises:
        TypeError: if it is no picture.
        ValueError: if it has no pixels, or more than 8 bits a channel.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] in ((3,), (4,))):
            raise TypeError(
                "an array must be uint8 of shape (height, width), (height, width, 3) or "
                f"(height, width, 4), not {image.dtype} of shape {image.shape}"
            )
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        raise TypeError(
            f"an image must be a PIL image or a uint8 array, not {type(image).__name__}"
        )
    if 0 in image.size:
        raise ValueError(f"the image has no pixels: its size is {image.size}")
    if image.mode.startswith(("I", "F")):
        # Pillow would clip these to black and white without a word.
        raise ValueError(f"the image has mode {image.mode}: scale it to 8 bits (0 to 255) first")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def build_prompt(
    processor: Any, config: Any, family: Family, picture: Any, question: str
) -> Prompt:
    """Put a picture or a video and a question through the processor's own chat template.

    Args:
        processor: the model's.
        config: the model's.
        family: its entry.
        picture: an image, or a :class:`Video`.
        question: what is asked.

    Raises:
        ValueError: if the question is empty or holds the image placeholder, the processor has no
            chat template, the family takes no videos, or an input that it needs is missing.
    """
    frames = tuple(as_rgb(frame) for frame in picture.frames) if isinstance(picture, Video) else ()
    image = frames[0] if frames else as_rgb(picture)
    if frames and family.video_views is None:
        raise ValueError(f"{family.name} takes no videos")
    placeholder_id = getattr(config, family.video_token if frames else "image_token_id")
    placeholder = processor.tokenizer.convert_ids_to_tokens(placeholder_id)
    _check_question(processor, question, placeholder)
    content = [{"type": "video" if frames else "image"}, {"type": "text", "text": question}]
    message = {"role": "user", "content": content}
    text = processor.apply_chat_template([message], add_generation_prompt=True)
    special = {"add_special_tokens": not text.startswith(processor.tokenizer.bos_token or "\0")}
    inputs = processor(
        text=[text],
        return_tensors="pt",
        return_text_replacement_offsets=True,
        **({"videos": [list(frames)]} if frames else {"images": [image]}),
        **special,
    )
    inputs = dict(inputs)
    full_text = _written_out(text, inputs.pop("text_replacement_offsets", None))
    missing = [name for name in family.required(bool(frames)) if name not in inputs]
    if missing:
        raise ValueError(
            f"{family.name} needs {', '.join(missing)} and {type(processor).__name__} gave only "
            f"{', '.join(inputs)}; without them logits change silently"
        )
    ids = inputs["input_ids"][0].tolist()
    places = [place for place, token in enumerate(ids) if token == placeholder_id]
    if not places:
        raise ValueError(f"the prompt holds no image token (id {placeholder_id}): {text!r}")
    encoded = processor.tokenizer(full_text, return_offsets_mapping=True, **special)
    if encoded["input_ids"] != ids:
        raise AssertionError("the processor's tokens differ from its tokenizer's on the same text")
    layout = Layout(config, processor, inputs, image.size, places, full_text, len(frames) or 1)
    views = (family.video_views if frames else family.views)(layout)
    offsets = encoded["offset_mapping"]
    return Prompt(
        image=image,
        question=question,
        inputs=inputs,
        tokens=_shown_tokens(processor.tokenizer, ids, full_text, offsets),
        offsets=tuple(tuple(offset) for offset in offsets),
        text=full_text,
        image_patches=Patches(places, views),
        frames=frames,
    )


def _check_question(processor: Any, question: str, placeholder: str) -> None:
    if not question.strip():
        raise ValueError("the question is empty")
    for token in {placeholder, getattr(processor, "image_token", None) or placeholder}:
        if token in question:
            raise ValueError(f"the question must not hold {token!r}: {question!r}")
    if not getattr(processor, "chat_template", None):
        raise ValueError(
            f"{type(processor).__name__} has no chat template, so a prompt in the model's own "
            "format cannot be made; set processor.chat_template"
        )


def _written_out(text: str, replaced: list[list[dict]] | None) -> str:
    """The text with the placeholders as the processor wrote them out; without a word if none."""
    parts, begin = [], 0
    for one in (replaced or [[]])[0]:
        low, high = one["span"]
        parts += [text[begin:low], one["replacement"]]
        begin = high
    return "".join([*parts, text[begin:]])


def _shown_tokens(
    tokenizer: Any, ids: list[int], text: str, offsets: list[tuple[int, int]]
) -> tuple[str, ...]:
    """The characters of each token; the name of those that have none, such as ``<s>``."""
    return tuple(
        text[low:high] or tokenizer.convert_ids_to_tokens(token)
        for token, (low, high) in zip(ids, offsets, strict=True)
    )
