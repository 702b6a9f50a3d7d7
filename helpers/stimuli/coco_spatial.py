"""COCO-Spatial: photos of two objects, a caption that is true, one that is false, and boxes.

A folder holds what the What'sUp benchmark and COCO publish, or what ``photos.write_photos`` drew::

    coco_qa_two_obj.json                    [[image_id, true caption, false caption], ...]
    val2017/000000000139.jpg                the images, named with 12 digits
    annotations/instances_val2017.json      COCO's boxes

    data = load("coco")
    photo = data.photos[0].squared()
    prompt = vlm.prompt(photo.image(), photo.question().text)
    ids.interpolate(site, *photo.place(photo.first, 4, 4))

Nothing is dropped silently: rows that cannot be used are listed in ``data.refused``.
"""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image

from helpers.stimuli import questions
from helpers.stimuli.scenes import Placed, Scene

CAPTIONS = "coco_qa_two_obj.json"
ANNOTATIONS = "annotations/instances_val2017.json"
IMAGES = "val2017"

#: From the second object to the first, in columns and rows.
STEPS = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
OPPOSITES = {"left": "right", "right": "left", "above": "below", "below": "above"}

#: CLIP's mean colour, 0 after its normalisation. LLaVA-1.5 was trained on photos padded with it.
PADDING = (122, 116, 104)

# Captions ---------------------------------------------------------------------------------------

_WORDS = {"to the left of": "left", "to the right of": "right", "above": "above", "below": "below"}
_OPENING = re.compile(r"A photo of ", re.IGNORECASE)
_RELATION = re.compile(rf" ({'|'.join(_WORDS)}) ", re.IGNORECASE)
_NOUN = re.compile(r"(?:an?|the) ([a-z]+(?: [a-z]+)*)", re.IGNORECASE)


@dataclass(frozen=True)
class Caption:
    """What a caption says: the first object is ``relation`` (a key of ``STEPS``) the second."""

    first: str
    relation: str
    second: str


def parse_caption(text: str) -> Caption:
    """Read "A photo of a dog to the left of a person".

    The forms are those of the benchmark: "to the left of", "to the right of", "above" and "below";
    nouns of one or more words behind "a", "an" (also where English wants "a", as in its "an
    potted plant") or "the". Case does not count, and nouns come back in lower case.

    Raises:
        ValueError: with the reason, if the caption has another form or names one noun twice.
    """
    text = text.strip()
    opening = _OPENING.match(text)
    if not opening:
        raise ValueError('does not begin with "A photo of"')
    first, *rest = _RELATION.split(text[opening.end() :])
    if not rest:
        raise ValueError(f"names no relation; there are: {', '.join(_WORDS)}")
    if len(rest) > 2:
        raise ValueError(f"names {len(rest) // 2} relations: {', '.join(rest[::2])}")
    relation, second = rest
    nouns = _noun(first), _noun(second)
    if nouns[0] == nouns[1]:
        raise ValueError(f"names {nouns[0]!r} twice, so no word says which one is meant")
    return Caption(nouns[0], _WORDS[relation.lower()], nouns[1])


def _noun(phrase: str) -> str:
    found = _NOUN.fullmatch(phrase)
    if not found:
        raise ValueError(f"{phrase!r} is no article (a, an, the) and a noun in letters")
    return found[1].lower()


# Photos -----------------------------------------------------------------------------------------


class Box(NamedTuple):
    """The left and top edge, width and height of an object, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box (x, y), in pixels."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Photo:
    """A photo of two objects; its picture is read when it is asked for.

    Attributes:
        image_id: COCO's number. Several photos may share one: same image, other objects.
        path: the image file.
        first: the name of the object that the caption names first.
        second: the other's.
        relation: where the first is, seen from the second: left, right, above or below.
        boxes: of the first and the second object, in pixels of ``image()``.
        size: width and height of ``image()`` in pixels.
        file_size: width and height of the file's picture; ``size`` is larger if padded.
    """

    image_id: int
    path: Path
    first: str
    relation: str
    second: str
    boxes: tuple[Box, Box]
    size: tuple[int, int]
    file_size: tuple[int, int]

    def image(self) -> Image.Image:
        """Read the picture, RGB.

        Raises:
            FileNotFoundError: if the file is gone.
            ValueError: if it is empty or no image, or its size is not what the boxes are for.
        """
        try:
            with Image.open(self.path) as file:
                picture = file.convert("RGB")
        except FileNotFoundError:
            raise
        except OSError as error:
            count = self.path.stat().st_size
            raise ValueError(f"{self.path} ({count} bytes) cannot be read: {error}") from error
        if picture.size != self.file_size:
            raise ValueError(
                f"{self.path} has {_times(picture.size)} pixels, and its boxes are for "
                f"{_times(self.file_size)}"
            )
        if self.size == self.file_size:
            return picture
        canvas = Image.new("RGB", self.size, PADDING)
        canvas.paste(picture, _offset(self.file_size))
        return canvas

    def squared(self) -> "Photo":
        """The same photo padded to a square, its boxes moved along.

        CLIP's processor scales the shorter side to what the model takes and keeps the square in
        the middle: of an oblong photo it never shows the ends, nor what stands there, and the
        centres of boxes are not where the model sees them.
        """
        if self.size[0] == self.size[1]:
            return self
        left, top = _offset(self.file_size)
        boxes = tuple(box._replace(x=box.x + left, y=box.y + top) for box in self.boxes)
        return replace(self, boxes=boxes, size=(max(self.size),) * 2)

    def box(self, name: str) -> Box:
        """The box of one of the two objects.

        Raises:
            ValueError: if the photo is of others.
        """
        if name not in (self.first, self.second):
            raise ValueError(f"this photo is of {self.first!r} and {self.second!r}, not {name!r}")
        return self.boxes[(self.first, self.second).index(name)]

    def centre(self, name: str) -> tuple[float, float]:
        """The centre (x, y) of an object's box, as fractions of the image's width and height."""
        x, y = self.box(name).centre
        return x / self.size[0], y / self.size[1]

    def place(self, name: str, rows: int, columns: int) -> tuple[float, float]:
        """Where an object is on a grid of IDs; see :func:`grid_place`."""
        return grid_place(*self.centre(name), rows, columns)

    def question(self, reverse: bool = False) -> questions.Question:
        """Ask where the first object is seen from the second, or the other way round.

        The pair of answers is ``questions.ANSWERS[question.kind]``.
        """
        # The caption decides, however close the two are: the template is asked about a scene
        # in which they stand one whole canvas apart.
        x, y = STEPS[self.relation]
        scene = Scene((Placed(self.first, x, y, 0), Placed(self.second, 0, 0, 0)))
        names = scene.names[::-1] if reverse else scene.names
        ask = questions.left_right if x else questions.above_below
        return ask(scene, *names)


def grid_place(x: float, y: float, rows: int, columns: int) -> tuple[float, float]:
    """Turn a point of an image into a (row, column) of a grid, in cells.

    Cell 0 reaches from 0 to one cell's width and its centre is half a cell in: whole numbers are
    centres, as ``SpatialIDs.interpolate`` counts. There are no IDs beyond the outer centres, and a
    point there gets the nearest place that has one.

    Args:
        x: a fraction of the image's width.
        y: a fraction of its height.
        rows: of the grid.
        columns: of the grid.

    Raises:
        ValueError: if the point is outside the image.
    """
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"({x}, {y}) is outside the image; fractions are between 0 and 1")
    row = min(max(y * rows - 0.5, 0.0), rows - 1.0)
    column = min(max(x * columns - 0.5, 0.0), columns - 1.0)
    return row, column


def _offset(size: tuple[int, int]) -> tuple[int, int]:
    """Left and top padding that makes a picture square."""
    side = max(size)
    return (side - size[0]) // 2, (side - size[1]) // 2


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


# Folders ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CocoSpatial:
    """The photos of a folder, and the rows of its captions that are not among them.

    Attributes:
        photos: in the order of the captions.
        refused: a row for each caption left out: ``row`` (counted from 0), ``image_id``,
            ``caption`` and ``reason``.
    """

    photos: tuple[Photo, ...]
    refused: pd.DataFrame


def load(folder: str | Path, captions: str = CAPTIONS, skip_missing: bool = False) -> CocoSpatial:
    """Read a folder in the layout at the top of this file.

    A row is used if both its captions parse and say the opposite, the image has exactly one box
    of each of the two categories (regions marked as crowds do not count), and the centres of the
    boxes are as the true caption says. All others are in ``refused``.

    Args:
        folder: where the data are.
        captions: name of the file with captions.
        skip_missing: go on without images that are missing or empty, and list them as refused.

    Raises:
        FileNotFoundError: if the captions or annotations are missing, or images are and
            ``skip_missing`` is off; the message counts and names them.
        ValueError: if a file is no JSON of the right form.
    """
    folder = Path(folder)
    rows = _read_json(folder / captions)
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{folder / captions} holds no list of [image_id, caption, caption]")
    annotations = _Annotations.read(folder / ANNOTATIONS)
    photos: dict[int, Photo] = {}
    reasons: dict[int, str] = {}
    for number, row in enumerate(rows):
        try:
            photos[number] = _photo(row, folder / IMAGES, annotations)
        except ValueError as error:
            reasons[number] = str(error)
    missing = {number: photo.path for number, photo in photos.items() if _is_missing(photo.path)}
    if missing and not skip_missing:
        raise FileNotFoundError(_missing_message(missing, photos))
    reasons |= {number: f"{path.name} is missing or empty" for number, path in missing.items()}
    refused = [_refusal(number, rows[number], reasons[number]) for number in sorted(reasons)]
    return CocoSpatial(
        tuple(photo for number, photo in photos.items() if number not in missing),
        pd.DataFrame(refused, columns=["row", "image_id", "caption", "reason"]),
    )


def _read_json(path: Path) -> Any:
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing; a COCO-Spatial folder holds {CAPTIONS}, {ANNOTATIONS} "
            f"and {IMAGES}/"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error


@dataclass(frozen=True)
class _Annotations:
    """COCO's annotations, by image and exact category name."""

    sizes: dict[int, tuple[int, int]]
    categories: frozenset[str]
    boxes: dict[tuple[int, str], list[Box]]

    @classmethod
    def read(cls, path: Path) -> "_Annotations":
        content = _read_json(path)
        try:
            names = {entry["id"]: entry["name"].lower() for entry in content["categories"]}
            sizes = {entry["id"]: (entry["width"], entry["height"]) for entry in content["images"]}
            boxes = defaultdict(list)
            for entry in content["annotations"]:
                if not entry["iscrowd"]:
                    name = names[entry["category_id"]]
                    boxes[entry["image_id"], name].append(Box(*entry["bbox"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not in the form of COCO's instances: {error!r}") from error
        return cls(sizes, frozenset(names.values()), dict(boxes))

    def box(self, image_id: int, name: str) -> Box:
        if name not in self.categories:
            raise ValueError(f"there is no category {name!r}")
        found = self.boxes.get((image_id, name), [])
        if len(found) != 1:
            # Of two dogs, the caption does not tell which it means.
            raise ValueError(f"{len(found) or 'no'} boxes of category {name!r}")
        if min(found[0].width, found[0].height) <= 0:
            raise ValueError(f"the box of {name!r} is empty: {tuple(found[0])}")
        return found[0]


def _photo(row: Any, images: Path, annotations: _Annotations) -> Photo:
    """Make a photo of a row, or raise ValueError with the reason why there is none."""
    if not (isinstance(row, list) and len(row) == 3 and all(isinstance(t, str) for t in row[1:])):
        raise ValueError("is not [image_id, true caption, false caption]")
    image_id = int(row[0]) if str(row[0]).isdecimal() else None
    if image_id not in annotations.sizes:
        raise ValueError(f"there is no image {row[0]!r} among the annotations")
    size = annotations.sizes[image_id]
    if min(size) <= 0:
        raise ValueError(f"the image has no pixels: its size is {_times(size)}")
    said = _parse_both(*row[1:])
    boxes = annotations.box(image_id, said.first), annotations.box(image_id, said.second)
    _check_relation(said, boxes)
    path = images / f"{image_id:012d}.jpg"
    return Photo(image_id, path, said.first, said.relation, said.second, boxes, size, size)


def _parse_both(true: str, false: str) -> Caption:
    said = parse_caption(true)
    try:
        denied = parse_caption(false)
    except ValueError as error:
        raise ValueError(f"the false caption {error}") from error
    if denied != replace(said, relation=OPPOSITES[said.relation]):
        raise ValueError(f"the false caption is not the opposite of the true one: {false!r}")
    return said


def _check_relation(said: Caption, boxes: tuple[Box, Box]) -> None:
    (x, y), (other_x, other_y) = (box.centre for box in boxes)
    step_x, step_y = STEPS[said.relation]
    if (x - other_x) * step_x + (y - other_y) * step_y <= 0:
        words = next(words for words, relation in _WORDS.items() if relation == said.relation)
        raise ValueError(
            f"the boxes contradict the caption: the {said.first} at ({x:.0f}, {y:.0f}) is not "
            f"{words} the {said.second} at ({other_x:.0f}, {other_y:.0f})"
        )


def _is_missing(path: Path) -> bool:
    return not path.is_file() or path.stat().st_size == 0


def _missing_message(missing: dict[int, Path], photos: dict[int, Photo]) -> str:
    names = sorted({path.name for path in missing.values()})
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    every = {photo.path for photo in photos.values()}
    return (
        f"{len(names)} of {len(every)} images are missing or empty in "
        f"{next(iter(every)).parent}: {shown}; skip_missing=True goes on with the others"
    )


def _refusal(number: int, row: Any, reason: str) -> tuple[int, Any, Any, str]:
    fields: Sequence[Any] = row if isinstance(row, list) and len(row) >= 2 else (None, str(row))
    return number, fields[0], fields[1], reason
