"""COCO-Spatial: captions, boxes and places, what is refused and why, and the set that we draw."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import SpatialIDs
from helpers.stimuli import photos, questions
from helpers.stimuli.coco_spatial import (
    ANNOTATIONS,
    CAPTIONS,
    IMAGES,
    OPPOSITES,
    PADDING,
    Box,
    Caption,
    grid_place,
    load,
    parse_caption,
)
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import OBJECTS, sprite

ROOT = Path(__file__).resolve().parent.parent
LEFT = ["A photo of a dog to the left of a person", "A photo of a dog to the right of a person"]
DOG, PERSON = ("dog", (10, 40, 20, 10)), ("person", (60, 20, 20, 50))


@pytest.fixture
def coco(tmp_path):
    """Write a folder by hand: one image of 100 x 80 pixels for each list of (name, box)."""

    def write(rows, *images, crowds=(), size=(100, 80)):
        (tmp_path / IMAGES).mkdir()
        (tmp_path / ANNOTATIONS).parent.mkdir()
        names = ["person", "car", "carrot", "dog", "hot dog", "tv", "potted plant"]
        boxes = [
            {"image_id": number, "category_id": names.index(name) * 3, "bbox": box, "iscrowd": 0}
            for number, objects in enumerate(images, start=1)
            for name, box in objects
        ]
        for number in crowds:
            boxes[number]["iscrowd"] = 1
        content = {
            "images": [
                {"id": number + 1, "width": size[0], "height": size[1]}
                for number in range(len(images))
            ],
            "annotations": boxes,
            "categories": [{"id": 3 * number, "name": name} for number, name in enumerate(names)],
        }
        (tmp_path / ANNOTATIONS).write_text(json.dumps(content))
        (tmp_path / CAPTIONS).write_text(json.dumps(rows))
        for number in range(len(images)):
            picture = Image.new("RGB", (100, 80), (200, 30, 30))
            picture.save(tmp_path / IMAGES / f"{number + 1:012d}.jpg")
        return tmp_path

    return write


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos") / "ours"
    return photos.write_photos(folder, 32, seed=3, progress=False)


def reasons(data):
    return dict(zip(data.refused["row"], data.refused["reason"], strict=True))


# Captions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first", "relation", "second"),
    [
        ("A photo of a dog to the left of a person", "dog", "left", "person"),
        ("A photo of an apple to the right of the cup", "apple", "right", "cup"),
        ("A photo of a dog above a cat", "dog", "above", "cat"),
        ("A photo of an umbrella below an elephant", "umbrella", "below", "elephant"),
        ("A photo of a hot dog above a dining table", "hot dog", "above", "dining table"),
        ("A photo of an potted plant below a hot dog", "potted plant", "below", "hot dog"),
        ("A photo of a dog to the left of a hot dog", "dog", "left", "hot dog"),
        ("A photo of a TV to the right of a teddy bear", "tv", "right", "teddy bear"),
        ("a photo of the dog Above the cat ", "dog", "above", "cat"),
    ],
)
def test_every_form_of_caption_is_read(text, first, relation, second):
    assert parse_caption(text) == Caption(first, relation, second)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The dog is above the cat", 'does not begin with "A photo of"'),
        ("", 'does not begin with "A photo of"'),
        ("A photo of a dog", "names no relation"),
        ("A photo of a dog left of a cat", "names no relation"),
        ("A photo of a dog on the left of a cat", "names no relation"),
        ("A photo of a dog in front of a cat", "names no relation"),
        ("A photo of a dog above a cat below a car", "names 2 relations: above, below"),
        ("A photo of dog above a cat", "'dog' is no article"),
        ("A photo of a dog above two cats", "'two cats' is no article"),
        ("A photo of a dog above a cat.", "'a cat.' is no article"),
        ("A photo of a above a cat", "'a' is no article"),
        ("A photo of a  dog above a cat", "'a  dog' is no article"),
        ("A photo of a dog above a dog", "names 'dog' twice"),
        ("A photo of a dog to the left of the Dog", "names 'dog' twice"),
    ],
)
def test_other_captions_are_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError) as caught:
        parse_caption(text)
    assert reason in str(caught.value)


# Rows -------------------------------------------------------------------------------------------


def test_a_row_becomes_a_photo(coco):
    data = load(coco([["000000000001", *LEFT]], [DOG, PERSON]))
    (photo,) = data.photos
    assert data.refused.empty
    assert list(data.refused.columns) == ["row", "image_id", "caption", "reason"]
    assert (photo.image_id, photo.path.name) == (1, "000000000001.jpg")
    assert (photo.first, photo.relation, photo.second) == ("dog", "left", "person")
    assert photo.boxes == (Box(10, 40, 20, 10), Box(60, 20, 20, 50))
    assert photo.centre("dog") == (0.2, 45 / 80)
    assert photo.centre("person") == (0.7, 45 / 80)
    assert photo.place("dog", 4, 4) == pytest.approx((45 / 80 * 4 - 0.5, 0.3))
    assert (photo.image().size, photo.image().mode) == ((100, 80), "RGB")
    with pytest.raises(ValueError, match="of 'dog' and 'person', not 'cat'"):
        photo.box("cat")


def test_questions_are_asked_in_both_orders_however_close_the_two_are(coco):
    above = ["A photo of a tv above a hot dog", "A photo of a tv below a hot dog"]
    close = [("hot dog", (10, 41, 20, 20)), ("tv", (10, 40, 20, 20)), DOG, PERSON]
    one, other = load(coco([[1, *LEFT], [1, *above]], close)).photos
    assert one.question() == questions.Question(
        "left_right", "Is the dog to the left or right of the person?", "Left", ("dog", "person")
    )
    assert one.question(reverse=True).text == "Is the person to the left or right of the dog?"
    assert one.question(reverse=True).answer == "Right"
    assert other.question().text == "Is the tv above or below the hot dog?"
    assert [other.question(turn).answer for turn in (False, True)] == ["Above", "Below"]
    assert other.question().kind == "above_below"


def test_rows_that_cannot_be_used_are_listed_with_their_reasons(coco):
    photo = "A photo of "
    rows = [
        [1, "The dog is left of the person", LEFT[1]],
        [1, f"{photo}a dog to the left of a dog", f"{photo}a dog to the right of a dog"],
        [1, LEFT[0], "A photo of the dog and a person"],
        [1, LEFT[0], LEFT[0]],
        [1, LEFT[0], f"{photo}a person to the left of a dog"],
        [1, LEFT[1], LEFT[0]],
        [9, *LEFT],
        [-1, *LEFT],
        [1, LEFT[0]],
        "dog",
        [1, *(text.replace("dog", "zebra") for text in LEFT)],
        [1, f"{photo}a tv above a dog", f"{photo}a tv below a dog"],
        [1, *LEFT],
    ]
    data = load(coco(rows, [DOG, PERSON]))
    assert len(data.photos) == 1
    expected = {
        0: 'does not begin with "A photo of"',
        1: "names 'dog' twice, so no word says which one is meant",
        2: "the false caption names no relation",
        3: "the false caption is not the opposite",
        4: "the false caption is not the opposite",
        5: "the boxes contradict the caption: the dog at (20, 45) is not to the right of the",
        6: "there is no image 9 among the annotations",
        7: "there is no image -1 among the annotations",
        8: "is not [image_id, true caption, false caption]",
        9: "is not [image_id, true caption, false caption]",
        10: "there is no category 'zebra'",
        11: "no boxes of category 'tv'",
    }
    found = reasons(data)
    assert list(found) == list(expected)
    for row, reason in expected.items():
        assert found[row].startswith(reason), row
    assert data.refused["caption"][5] == LEFT[1]
    assert data.refused["image_id"][6] == 9


def test_categories_are_exact(coco):
    """A substring search finds carrots for cars, and hot dogs for dogs."""
    car = ["A photo of a car above a dog", "A photo of a car below a dog"]
    carrot, hot_dog = ("carrot", (0, 0, 9, 9)), ("hot dog", (0, 50, 9, 9))
    real = ("car", (40, 0, 10, 10)), ("dog", (30, 50, 20, 20))
    data = load(
        coco(
            [[1, *car], [2, *car], [3, *car]],
            [carrot, real[1]],
            [real[0], hot_dog],
            [carrot, hot_dog, *real],
        )
    )
    assert reasons(data) == {0: "no boxes of category 'car'", 1: "no boxes of category 'dog'"}
    (photo,) = data.photos
    assert photo.boxes == (Box(40, 0, 10, 10), Box(30, 50, 20, 20))


def test_crowds_do_not_count_and_two_boxes_are_ambiguous(coco):
    crowd = ("person", (0, 0, 90, 80))
    data = load(
        coco(
            [[1, *LEFT], [2, *LEFT], [3, *LEFT]],
            [DOG, crowd, PERSON],
            [DOG, ("dog", (0, 0, 5, 5)), PERSON],
            [DOG, crowd],
            crowds=(1, 7),
        )
    )
    assert [photo.image_id for photo in data.photos] == [1]
    assert data.photos[0].box("person") == Box(*PERSON[1])
    assert reasons(data) == {1: "2 boxes of category 'dog'", 2: "no boxes of category 'person'"}


def test_empty_boxes_and_sizes(coco):
    data = load(coco([[1, *LEFT]], [("dog", (10, 40, 0, 10)), PERSON]))
    assert reasons(data)[0].startswith("the box of 'dog' is empty: (10, 40, 0, 10)")


def test_an_image_that_is_said_to_have_no_pixels(coco):
    data = load(coco([[1, *LEFT]], [DOG, PERSON], size=(0, 80)))
    assert reasons(data) == {0: "the image has no pixels: its size is 0 x 80"}


# Files ------------------------------------------------------------------------------------------


def test_missing_images_are_counted_and_named(coco):
    folder = coco([[n, *LEFT] for n in (1, 2, 2, *range(3, 9))], *[[DOG, PERSON]] * 8)
    for number in (2, 3, 4, 5, 6, 8):
        (folder / IMAGES / f"{number:012d}.jpg").unlink()
    (folder / IMAGES / "000000000008.jpg").touch()  # as a download that broke off
    with pytest.raises(FileNotFoundError) as caught:
        load(folder)
    for part in ("6 of 8 images", "000000000002.jpg, 000000000003", "skip_missing=True", ", ..."):
        assert part in str(caught.value)
    assert "000000000008" not in str(caught.value)  # five are named
    data = load(folder, skip_missing=True)
    assert [photo.image_id for photo in data.photos] == [1, 7]
    assert list(data.refused["row"]) == [1, 2, 3, 4, 5, 6, 8]
    assert data.refused["reason"].iloc[0] == "000000000002.jpg is missing or empty"


def test_missing_and_broken_files_of_the_data_set(coco, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{CAPTIONS} is missing; a COCO-Spatial folder"):
        load(tmp_path / "nowhere")
    folder = coco([[1, *LEFT]], [DOG, PERSON])
    (folder / "few.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no list"):
        load(folder, captions="few.json")
    (folder / "few.json").write_text("[[1,")
    with pytest.raises(ValueError, match=r"few\.json is no JSON"):
        load(folder, captions="few.json")
    (folder / ANNOTATIONS).write_text('{"images": []}')
    with pytest.raises(ValueError, match="not in the form of COCO's instances: KeyError"):
        load(folder)
    (folder / ANNOTATIONS).unlink()
    with pytest.raises(FileNotFoundError, match="instances_val2017"):
        load(folder)


def test_images_that_cannot_be_read(coco):
    (photo,) = load(coco([[1, *LEFT]], [DOG, PERSON])).photos
    whole = photo.path.read_bytes()
    photo.path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"000000000001\.jpg \(0 bytes\) cannot be read"):
        photo.image()
    photo.path.write_bytes(whole[: len(whole) - 100])
    with pytest.raises(ValueError, match="cannot be read: image file is truncated"):
        photo.image()
    Image.new("RGB", (80, 100)).save(photo.path)
    with pytest.raises(ValueError, match="has 80 x 100 pixels, and its boxes are for 100 x 80"):
        photo.squared().image()
    photo.path.unlink()
    with pytest.raises(FileNotFoundError):
        photo.image()


def test_a_grey_photo_comes_out_in_colour(coco):
    (photo,) = load(coco([[1, *LEFT]], [DOG, PERSON])).photos
    Image.new("L", (100, 80), 99).save(photo.path)
    assert photo.image().getpixel((0, 0)) == (99, 99, 99)


# Squares and places -----------------------------------------------------------------------------


def test_a_squared_photo_keeps_its_objects_under_their_boxes(coco):
    (photo,) = load(coco([[1, *LEFT]], [DOG, PERSON])).photos
    square = photo.squared()
    picture = np.asarray(square.image())
    assert square.size == (100, 100) == square.image().size
    assert (picture[:10] == PADDING).all()
    assert (picture[90:] == PADDING).all()
    assert (picture[10:90] != PADDING).any(-1).all()
    assert square.box("dog") == Box(10, 50, 20, 10)
    assert square.centre("dog") == (0.2, 0.55)
    assert square.question() == photo.question()
    assert square.squared() == square


@pytest.mark.parametrize("size", [(30, 40), (40, 30), (40, 39), (39, 40), (40, 40)])
def test_photos_of_any_shape_are_squared(coco, size):
    (photo,) = load(coco([[1, *LEFT]], [DOG, PERSON])).photos
    marked = np.zeros((*size[::-1], 3), np.uint8)
    marked[5:15, 10:20] = 255
    Image.fromarray(marked).save(photo.path.with_suffix(".png"))
    photo = replace(
        photo,
        path=photo.path.with_suffix(".png"),
        size=size,
        file_size=size,
        boxes=(Box(10, 5, 10, 10), Box(25, 5, 5, 5)),
    )
    square = photo.squared()
    assert square.image().size == square.size == (40, 40)
    rows, columns = np.nonzero((np.asarray(square.image()) == 255).all(-1))
    x, y, width, height = square.box("dog")
    assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (
        y,
        x,
        y + height,
        x + width,
    )


def weights(x, y, rows=4, columns=5):
    """The weights that the ID of a point is made with: each cell's ID is a direction of its own."""
    vectors = torch.eye(rows * columns).reshape(1, 1, rows, columns, -1)
    ids = SpatialIDs(vectors, ("site",), (("dog", "cat"),), 0, "none")
    place = grid_place(x, y, rows, columns)
    return ids.interpolate("site", *place).reshape(rows, columns)


def test_weights_are_exact_at_the_centres_of_cells():
    for row in range(4):
        for column in range(5):
            x, y = (column + 0.5) / 5, (row + 0.5) / 4
            assert grid_place(x, y, 4, 5) == pytest.approx((row, column))
            expected = torch.zeros(4, 5)
            expected[row, column] = 1
            torch.testing.assert_close(weights(x, y), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("point", "cells"),
    [
        ((0.0, 0.0), {(0, 0): 1}),
        ((1.0, 1.0), {(3, 4): 1}),
        ((1.0, 0.0), {(0, 4): 1}),
        ((0.05, 0.5), {(1, 0): 0.5, (2, 0): 0.5}),  # left of the first centre
        ((0.2, 0.99), {(3, 0): 0.5, (3, 1): 0.5}),  # on the border of two columns
        ((0.2, 0.25), {(0, 0): 0.25, (0, 1): 0.25, (1, 0): 0.25, (1, 1): 0.25}),
        ((0.35, 0.125), {(0, 1): 0.75, (0, 2): 0.25}),
    ],
)
def test_weights_at_edges_and_corners(point, cells):
    found = weights(*point)
    assert {tuple(cell) for cell in (found > 1e-6).nonzero().tolist()} == set(cells)
    for cell, weight in cells.items():
        assert float(found[cell]) == pytest.approx(weight, abs=1e-6)


def test_weights_sum_to_one_and_point_to_the_place():
    for x, y in np.random.default_rng(0).random((200, 2)):
        found = weights(x, y)
        assert float(found.sum()) == pytest.approx(1, abs=1e-6)
        assert float(found.min()) >= 0
        row, column = grid_place(x, y, 4, 5)
        assert float(found.sum(1) @ torch.arange(4.0)) == pytest.approx(row, abs=1e-5)
        assert float(found.sum(0) @ torch.arange(5.0)) == pytest.approx(column, abs=1e-5)


def test_points_outside_the_image_have_no_place():
    with pytest.raises(ValueError, match=r"\(1\.01, 0\.5\) is outside the image"):
        grid_place(1.01, 0.5, 4, 4)


# The set that we draw ---------------------------------------------------------------------------


def test_our_set_is_read_whole_and_its_captions_are_true(ours):
    data = load(ours)
    assert data.refused.empty
    assert len(data.photos) == 32
    for photo in data.photos:
        assert is_held_out_pair(photo.first, photo.second)
        x, y = np.subtract(photo.box(photo.first).centre, photo.box(photo.second).centre)
        seen = {"left": -x, "right": x, "above": -y, "below": y}
        assert max(seen, key=seen.get) == photo.relation  # further along the axis than across it
        assert seen[photo.relation] > questions.MARGIN * max(photo.size)
        across = photo.relation in ("above", "below")
        one, other = (slice(box[across], box[across] + box[2 + across]) for box in photo.boxes)
        assert one.stop < other.start or other.stop < one.start  # no reaching over the other
        for order in (False, True):
            expected = OPPOSITES[photo.relation] if order else photo.relation
            assert photo.question(order).answer.lower() == expected


def test_our_set_is_balanced_and_varied(ours):
    found = load(ours).photos
    kinds = [(photo.relation, photos.background_of(photo.image_id)) for photo in found]
    assert {kinds.count(kind) for kind in kinds} == {2}
    assert len(set(kinds)) == 4 * len(photos.BACKGROUNDS)
    assert {photo.size for photo in found} == set(photos.SIZES)
    centres = [photo.centre(name) for photo in found for name in (photo.first, photo.second)]
    assert len(set(centres)) == len(centres)  # anywhere, not on a grid
    content = json.loads((ours / ANNOTATIONS).read_text())
    owners = [entry["image_id"] for entry in content["annotations"]]
    assert {owners.count(number) for number in owners} == {4, 5, 6, 7}
    held = {(entry["image_id"], entry["category_id"]) for entry in content["annotations"]}
    assert len(held) == len(owners)  # one of each
    assert [entry["name"] for entry in content["categories"]] == list(OBJECTS)
    assert "creativecommons.org/licenses/by/2.0" in (ours / "CREDITS.txt").read_text()
    assert "danielbuechele" in (ours / "CREDITS.txt").read_text()


def test_backgrounds_are_of_their_kind():
    generator = np.random.default_rng(0)
    pieces = {
        kind: [
            np.asarray(photos._draw_background(generator, kind, (96, 64)), float) for _ in range(3)
        ]
        for kind in photos.BACKGROUNDS
    }
    for several in pieces.values():
        assert all(piece.shape == (64, 96, 3) for piece in several)
        assert all(piece.std() > 5 for piece in several)
        assert np.abs(several[0] - several[1]).mean() > 5


def test_boxes_are_tight_around_what_is_drawn():
    """Against the pixels that change when a sprite is put on a colour that none of them has."""
    plain = Image.new("RGB", (300, 200), (255, 0, 255))
    for number, name in enumerate(OBJECTS):
        spot = photos._Spot(name, 10 + number, 20, 90 + number)
        changed = np.asarray(photos._draw(plain, [spot])).astype(int) - np.asarray(plain)
        rows, columns = np.nonzero(np.abs(changed).max(-1) > 100)
        x, y, width, height = spot.box
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.subtract(found, (x, y, x + width, y + height))).max() <= 1, name
        assert spot.area == (np.asarray(sprite(name, spot.side))[..., 3] > 127).sum()


def test_the_files_hold_what_the_boxes_say(tmp_path, monkeypatch):
    """On plain backgrounds, everything that is drawn lies in the boxes and reaches their edges."""
    plain = (255, 0, 255)
    draw = lambda generator, kind, size: Image.new("RGB", size, plain)  # noqa: E731
    monkeypatch.setattr(photos, "_draw_background", draw)
    folder = photos.write_photos(tmp_path / "plain", 6, seed=1, progress=False)
    content = json.loads((folder / ANNOTATIONS).read_text())
    for image in content["images"]:
        picture = np.asarray(Image.open(folder / IMAGES / image["file_name"])).astype(int)
        assert picture.shape == (image["height"], image["width"], 3)
        drawn = np.abs(picture - plain).max(-1) > 100
        boxes = [e["bbox"] for e in content["annotations"] if e["image_id"] == image["id"]]
        for x, y, width, height in (map(int, box) for box in boxes):
            inside = drawn[y : y + height, x : x + width]
            rows, columns = np.nonzero(inside)
            assert max(rows.min(), columns.min()) <= 3
            assert min(rows.max() - height, columns.max() - width) >= -4
            drawn[max(y - 2, 0) : y + height + 2, max(x - 2, 0) : x + width + 2] = False
        assert not drawn.any()


def digest(folder):
    found = hashlib.sha256()
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


def test_another_process_draws_the_same_files(ours, tmp_path):
    code = (
        "from helpers.stimuli.photos import write_photos\n"
        f"write_photos({str(tmp_path / 'again')!r}, 32, seed=3, progress=False)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", code], cwd="/", env=environment, check=True)
    assert digest(tmp_path / "again") == digest(ours)


def test_the_first_photos_do_not_depend_on_how_many_there_are(ours, tmp_path):
    few = photos.write_photos(tmp_path / "few", 3, seed=3, progress=False)
    other = photos.write_photos(tmp_path / "other", 3, seed=4, progress=False)
    names = [f"{number:012d}.jpg" for number in (1, 2, 3)]
    for name in names:
        one, same, new = ((folder / IMAGES / name).read_bytes() for folder in (few, ours, other))
        assert one == same != new
    assert json.loads((few / CAPTIONS).read_text()) == json.loads((ours / CAPTIONS).read_text())[:3]


def test_a_set_that_exists_is_kept_and_another_is_not_overwritten(ours, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in ours.rglob("*")}
    assert photos.write_photos(ours, 32, seed=3, progress=False) == ours
    for count, seed in ((31, 3), (32, 4)):
        with pytest.raises(FileExistsError, match="is no set with this count, seed and pairs"):
            photos.write_photos(ours, count, seed=seed, progress=False)
    with pytest.raises(FileExistsError):
        photos.write_photos(tmp_path, 1, progress=False)
    assert {path: path.stat().st_mtime_ns for path in ours.rglob("*")} == before


def test_a_run_that_stops_leaves_no_folder(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(photos, "_draw", stop)
        with pytest.raises(KeyboardInterrupt):
            photos.write_photos(tmp_path / "new", 2, progress=False)
    assert list(tmp_path.iterdir()) == []
    assert len(load(photos.write_photos(tmp_path / "new", 2, progress=False)).photos) == 2


def test_pairs_can_be_chosen(tmp_path):
    pairs = [("dog", "hot dog"), ("cake", "fan")]
    found = load(photos.write_photos(tmp_path / "two", 12, pairs=pairs, progress=False)).photos
    assert {frozenset((photo.first, photo.second)) for photo in found} == set(map(frozenset, pairs))
    assert len({(photo.first, photo.second) for photo in found}) > 2  # in either order
    names = [photo.first for photo in found if "dog" in (photo.first, photo.second)]
    assert {"dog", "hot dog"} == set(names)


@pytest.mark.parametrize(
    ("count", "pairs", "message"),
    [
        (0, None, "asked for 0 photos"),
        (1, [], "at least one pair"),
        (1, [("dog", "dog")], "'dog', 'dog'"),
        (1, [("dog", "zebra")], "'dog', 'zebra'"),
    ],
)
def test_photos_that_cannot_be_drawn(tmp_path, count, pairs, message):
    with pytest.raises(ValueError, match=message):
        photos.write_photos(tmp_path / "none", count, pairs=pairs, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_may_draw_the_same_photos_at_once(tmp_path, monkeypatch):
    """Chapters share a set and run side by side: whoever is later takes what is there."""
    folder, draw = tmp_path / "set", photos._write

    def meanwhile(unfinished, about, progress):
        draw(unfinished, about, progress)
        with monkeypatch.context() as patch:
            patch.setattr(photos, "_write", draw)
            photos.write_photos(folder, about["count"], about["seed"], progress=False)

    monkeypatch.setattr(photos, "_write", meanwhile)
    assert photos.write_photos(folder, 2, seed=3, progress=False) == folder
    assert len(list((folder / photos.IMAGES).iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
