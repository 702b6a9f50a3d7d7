"""A small set of our own in exactly the format of COCO-Spatial, so that its notebooks run anywhere.

Every picture is cluttered: two named objects and two to five others, at any place and size, on a
piece of a photograph or on a painted background. ``coco_spatial.load`` reads the folder as it
reads the real one.
"""

import json
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from sklearn.datasets import load_sample_images
from tqdm.auto import tqdm

from helpers.stimuli.coco_spatial import ANNOTATIONS, CAPTIONS, IMAGES, OPPOSITES, STEPS, Box
from helpers.stimuli.questions import MARGIN
from helpers.stimuli.scenes import Background, Scene
from helpers.stimuli.split import held_out_pairs
from helpers.stimuli.sprites import OBJECTS, sprite

#: What lies behind the objects, in turn; see :func:`background_of`.
BACKGROUNDS = ("china", "flower", "noise", "painted")
#: Width and height in pixels: landscape and portrait as most of COCO's photos are, and square.
SIZES = ((640, 480), (480, 640), (512, 512))
#: Sides of the sprites, as fractions of the image's shorter side.
SMALLEST, LARGEST = 0.18, 0.36
#: Pixels between the boxes of any two objects.
GAP = 4
_TRIES = 200


def write_photos(
    folder: str | Path,
    count: int,
    seed: int = 0,
    pairs: Sequence[tuple[str, str]] | None = None,
    progress: bool = True,
) -> Path:
    """Draw photos, captions and boxes into a new folder.

    All is drawn beside the folder and moved there at the end, so a folder that exists is whole.
    If it already holds what is asked for, nothing is drawn. The first photos of a longer set are
    those of a shorter one.

    Args:
        folder: where to; made here.
        count: how many photos, each with one row of captions. Relations and backgrounds are in
            balance over every 16.
        seed: the same seed gives the same files.
        pairs: objects to ask about, in either order; by default the pairs that the shipped models
            never saw together.
        progress: show a bar.

    Returns:
        The folder, for ``coco_spatial.load``.

    Raises:
        ValueError: if the count is not positive, or the pairs are empty or of unknown objects.
        FileExistsError: if the folder holds something else.
    """
    folder = Path(folder)
    pairs = _checked(count, held_out_pairs() if pairs is None else pairs)
    about = {"count": count, "seed": seed, "pairs": [list(pair) for pair in pairs]}
    if folder.exists():
        _check_same(folder, about)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as space:
        unfinished = Path(space) / folder.name
        _write(unfinished, about, progress)
        try:
            unfinished.rename(folder)
        except OSError:  # another run was quicker
            if not folder.exists():
                raise
            _check_same(folder, about)
    return folder


def background_of(image_id: int) -> str:
    """Return which of ``BACKGROUNDS`` a photo of ours has."""
    return BACKGROUNDS[(image_id - 1) % len(BACKGROUNDS)]


def _checked(count: int, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    if count < 1:
        raise ValueError(f"asked for {count} photos; ask for at least one")
    if not pairs:
        raise ValueError("photos need at least one pair of objects")
    for first, second in pairs:
        if first == second or not {first, second} <= set(OBJECTS):
            raise ValueError(
                f"({first!r}, {second!r}) is no pair of two of our objects: {', '.join(OBJECTS)}"
            )
    return [(first, second) for first, second in pairs]


def _check_same(folder: Path, about: dict[str, Any]) -> None:
    path = folder / ANNOTATIONS
    found = json.loads(path.read_text(encoding="utf-8"))["info"] if path.exists() else None
    if not isinstance(found, dict) or found.get("made_from") != about:
        raise FileExistsError(
            f"{folder} exists and is no set with this count, seed and pairs; remove it or name "
            "another folder"
        )


# What is where ----------------------------------------------------------------------------------


class _Spot(NamedTuple):
    """A sprite's name, the left and top edge of its square picture and its side, in pixels."""

    name: str
    left: int
    top: int
    side: int

    @property
    def box(self) -> Box:
        """The tight box around what is seen of the sprite."""
        left, top, right, bottom = _outline(self.name, self.side)
        return Box(self.left + left, self.top + top, right - left, bottom - top)

    @property
    def area(self) -> int:
        """Pixels that the object covers."""
        return int(np.count_nonzero(_mask(self.name, self.side)))


def _mask(name: str, side: int) -> Image.Image:
    """Where a sprite is more seen than the background behind it."""
    return sprite(name, side).getchannel("A").point(lambda level: 255 * (level > 127))


@lru_cache
def _outline(name: str, side: int) -> tuple[int, int, int, int]:
    return _mask(name, side).getbbox()


def _arrange(
    generator: np.random.Generator, pair: Sequence[str], relation: str, size: tuple[int, int]
) -> list[_Spot]:
    """Place the pair in the relation, and two to five other objects where there is room."""
    others = generator.permutation([name for name in OBJECTS if name not in pair])
    names = [*pair, *map(str, others[: generator.integers(2, 6)])]
    for _ in range(_TRIES):
        sides = [round(generator.uniform(SMALLEST, LARGEST) * min(size)) for _ in names]
        spots: list[_Spot] = []
        for name, side in zip(names, sides, strict=True):
            anywhere = (_draw_spot(generator, name, side, size) for _ in range(_TRIES))
            spot = next((new for new in anywhere if _fits(new, spots, relation, size)), None)
            if spot is None:
                break
            spots.append(spot)
        if len(spots) == len(names):
            return spots
    raise RuntimeError(f"found no room for {', '.join(names)} in {_TRIES} tries")


def _draw_spot(
    generator: np.random.Generator, name: str, side: int, size: tuple[int, int]
) -> _Spot:
    left, top = (int(generator.integers(0, length - side + 1)) for length in size)
    return _Spot(name, left, top, side)


def _fits(new: _Spot, placed: Sequence[_Spot], relation: str, size: tuple[int, int]) -> bool:
    if len(placed) == 1:  # the second of the pair
        return _is_clear(placed[0].box, new.box, relation, MARGIN * max(size))
    return not _touches(new, placed)


def _is_clear(first: Box, second: Box, relation: str, least: float) -> bool:
    """Whether anybody would say it: side by side, and further along the axis than across it.

    Boxes one of which reaches over or under the other are not "left" or "right" of each other,
    and of two in a diagonal people say "above" as readily as "left".
    """
    steps = np.array(STEPS[relation])
    apart = np.subtract(first.centre, second.centre)
    along, across = float(apart @ steps), float(np.abs(apart) @ (1 - np.abs(steps)))
    extents = (first.width + second.width) / 2, (first.height + second.height) / 2
    extent = float(np.dot(extents, np.abs(steps))) + GAP
    return along >= max(extent, across, least)


def _touches(new: _Spot, others: Sequence[_Spot]) -> bool:
    x, y, width, height = new.box
    return any(
        x < box.x + box.width + GAP
        and box.x < x + width + GAP
        and y < box.y + box.height + GAP
        and box.y < y + height + GAP
        for box in (other.box for other in others)
    )


# What it looks like -----------------------------------------------------------------------------


def _draw(background: Image.Image, spots: Sequence[_Spot]) -> Image.Image:
    picture = background.copy()
    for spot in spots:
        drawn = sprite(spot.name, spot.side)
        picture.paste(drawn, (spot.left, spot.top), drawn)
    return picture


def _draw_background(
    generator: np.random.Generator, kind: str, size: tuple[int, int]
) -> Image.Image:
    if kind == "noise":
        return _grain(generator, _noise(generator, size))
    if kind == "painted":
        return _grain(generator, _painted(generator, size))
    return _crop(generator, _samples()[kind], size)


@lru_cache
def _samples() -> dict[str, Image.Image]:
    """The photographs that scikit-learn carries, by name."""
    found = load_sample_images()
    names = [Path(name).stem for name in found.filenames]
    return {name: Image.fromarray(array) for name, array in zip(names, found.images, strict=True)}


def _crop(
    generator: np.random.Generator, photograph: Image.Image, size: tuple[int, int]
) -> Image.Image:
    """A piece of a photograph: at any zoom, mirrored or not, more or less sharp and bright."""
    zoom = generator.uniform(0.4, 1.0) * min(np.divide(photograph.size, size))
    width, height = (zoom * length for length in size)
    left = generator.uniform(0, photograph.width - width)
    top = generator.uniform(0, photograph.height - height)
    piece = photograph.resize(
        size, Image.Resampling.BICUBIC, (left, top, left + width, top + height)
    )
    if generator.random() < 0.5:
        piece = ImageOps.mirror(piece)
    piece = piece.filter(ImageFilter.GaussianBlur(generator.uniform(0, 3)))
    return ImageEnhance.Brightness(piece).enhance(generator.uniform(0.6, 1.3))


def _noise(generator: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Clouds of three colours: octaves of noise, each twice as fine and half as strong."""
    heights = np.zeros(size[::-1])
    for octave in range(1, 8):
        cells = 2**octave
        coarse = Image.fromarray(generator.random((cells + 1, cells + 1), dtype=np.float32))
        heights += np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)) / cells
    heights = (heights - heights.min()) / np.ptp(heights)
    colors = generator.integers(0, 256, (3, 3))
    channels = [np.interp(heights, (0, 0.5, 1), channel) for channel in colors.T]
    return Image.fromarray(np.stack(channels, -1).round().astype(np.uint8))


def _painted(generator: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """The backgrounds of the synthetic scenes, in any colours."""
    background = Background(
        str(generator.choice(["gradient", "blobs", "ground"])),
        tuple(tuple(map(int, color)) for color in generator.integers(0, 256, (4, 3))),
        seed=int(generator.integers(2**31)),
        horizon=float(generator.uniform(0.2, 0.6)),
    )
    return Scene((), background).render(max(size)).crop((0, 0, *size))


def _grain(generator: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Noise of a camera's sensor, a few levels strong."""
    levels = np.asarray(picture) + generator.normal(0, 5, (*picture.size[::-1], 1))
    return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8))


# Files ------------------------------------------------------------------------------------------


def _write(folder: Path, about: dict[str, Any], progress: bool) -> None:
    (folder / IMAGES).mkdir(parents=True)
    (folder / ANNOTATIONS).parent.mkdir()
    images, annotations, captions = [], [], []
    for number in tqdm(range(about["count"]), desc="photos", disable=not progress, leave=False):
        image_id, size, spots, relation = _write_photo(folder, number, about)
        images.append(_image_entry(image_id, size))
        captions.append([image_id, *_captions(spots[0].name, relation, spots[1].name)])
        for spot in spots:
            annotations.append(_box_entry(len(annotations) + 1, image_id, spot))
    content = {
        "info": {
            "description": "Drawn in the format of COCO-Spatial; see CREDITS.txt",
            "version": "1.0",
            "made_from": about,
        },
        "licenses": _LICENSES,
        "images": images,
        "annotations": annotations,
        "categories": [
            {"supercategory": "object", "id": number, "name": name}
            for number, name in enumerate(OBJECTS, start=1)
        ],
    }
    (folder / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")
    (folder / CAPTIONS).write_text(json.dumps(captions), encoding="utf-8")
    text = _CREDITS.format(sample_images=load_sample_images().DESCR.strip())
    (folder / "CREDITS.txt").write_text(text, encoding="utf-8")


def _write_photo(
    folder: Path, number: int, about: dict[str, Any]
) -> tuple[int, tuple[int, int], list[_Spot], str]:
    """Draw photo ``number`` (from 0); its generator is its own, whatever was drawn before."""
    generator = np.random.default_rng([about["seed"], number])
    image_id = number + 1
    # Shifted by one from each four to the next: 16 photos have each relation on each background.
    relation = list(STEPS)[(number + number // len(BACKGROUNDS)) % len(STEPS)]
    size = SIZES[generator.integers(len(SIZES))]
    pair = generator.permutation(about["pairs"][generator.integers(len(about["pairs"]))])
    spots = _arrange(generator, [str(name) for name in pair], relation, size)
    background = _draw_background(generator, background_of(image_id), size)
    _draw(background, spots).save(folder / IMAGES / f"{image_id:012d}.jpg", quality=90)
    return image_id, size, spots, relation


def _captions(first: str, relation: str, second: str) -> list[str]:
    """The true and the false caption."""
    words = {"left": "to the left of", "right": "to the right of"}
    return [
        f"A photo of {_with_article(first)} {words.get(side, side)} {_with_article(second)}"
        for side in (relation, OPPOSITES[relation])
    ]


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _image_entry(image_id: int, size: tuple[int, int]) -> dict[str, Any]:
    kind = background_of(image_id)
    return {
        "license": 1 if kind in _samples() else 2,
        "file_name": f"{image_id:012d}.jpg",
        "height": size[1],
        "width": size[0],
        "id": image_id,
    }


def _box_entry(number: int, image_id: int, spot: _Spot) -> dict[str, Any]:
    return {
        "area": spot.area,
        "iscrowd": 0,
        "image_id": image_id,
        "bbox": [float(value) for value in spot.box],
        "category_id": OBJECTS.index(spot.name) + 1,
        "id": number,
    }


_LICENSES = [
    {
        "id": 1,
        "name": "Attribution License (background), SIL Open Font License 1.1 (objects)",
        "url": "https://creativecommons.org/licenses/by/2.0/",
    },
    {
        "id": 2,
        "name": "MIT License (background), SIL Open Font License 1.1 (objects)",
        "url": "https://openfontlicense.org/",
    },
]

_CREDITS = """\
Objects: Noto Color Emoji, Copyright Google LLC, SIL Open Font License 1.1, scaled.

Backgrounds "china" and "flower": pieces, mirrored, blurred and brightened or darkened, of two
photographs under Creative Commons Attribution 2.0. Their credits, as scikit-learn gives them:

{sample_images}

Backgrounds "noise" and "painted": drawn by code.
"""
