"""Stimuli: scenes are values, splits hold, questions have the answers that the picture has."""

import dataclasses
import re

import numpy as np
import pytest

import helpers
from helpers import Placed, Scene, grid_scenes, mirror, recolor, scenes
from helpers.stimuli import questions
from helpers.stimuli.sampling import PAPER_SIZES, sample_scene
from helpers.stimuli.scenes import Background
from helpers.stimuli.split import (
    cell_of,
    held_out_cells,
    held_out_pairs,
    is_held_out_pair,
)
from helpers.stimuli.sprites import OBJECTS, PAPER_OBJECTS, sprite

BY_SIZE = ("tied", "independent", "conflict")
KINDS = ("grid", "clutter", "perspective", *BY_SIZE)


def cells(scene):
    return [(placed.name, cell_of(placed.x, placed.y)) for placed in scene.objects]


# Sprites and rendering --------------------------------------------------------------------------


def test_there_are_sprites_for_the_papers_objects_and_more():
    assert len(OBJECTS) >= 24
    assert len(set(OBJECTS)) == len(OBJECTS)
    assert OBJECTS[:10] == PAPER_OBJECTS
    pictures = [np.asarray(sprite(name, 24)) for name in OBJECTS]
    assert all(picture.shape == (24, 24, 4) for picture in pictures)
    assert all(0.1 < (picture[..., 3] > 127).mean() < 1 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(OBJECTS)


@pytest.mark.parametrize("pixels", [56, 112, 336])
def test_scenes_render_at_any_size(pixels):
    for kind in KINDS:
        image = scenes(1, seed=0, kind=kind)[0].render(pixels)
        assert (image.size, image.mode) == ((pixels, pixels), "RGB")


def test_an_object_is_drawn_where_the_scene_says():
    image = np.asarray(Scene((Placed("frog", 0.25, 0.75, 0.2),)).render(200)).astype(int)
    rows, columns = np.nonzero((image != 255).any(-1))
    assert (rows.min() + rows.max()) / 2 == pytest.approx(150, abs=4)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(50, abs=4)
    assert rows.max() - rows.min() <= 40
    assert columns.max() - columns.min() <= 40


def test_rendering_is_deterministic_and_backgrounds_differ():
    one = Scene((), Background("blobs", ((0, 0, 0), (255, 255, 255)), seed=1))
    two = dataclasses.replace(one, background=dataclasses.replace(one.background, seed=2))
    assert one.render(40).tobytes() == one.render(40).tobytes() != two.render(40).tobytes()


# Transforms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["column", "row"])
@pytest.mark.parametrize("kind", KINDS)
def test_mirroring_twice_gives_the_scene_back(kind, axis):
    for scene in scenes(10, seed=1, kind=kind):
        flipped = mirror(scene, axis)
        assert flipped != scene
        back = mirror(flipped, axis)
        for one, other in zip(scene.objects, back.objects, strict=True):
            assert (other.x, other.y) == pytest.approx((one.x, one.y), abs=1e-12)
            assert dataclasses.replace(other, x=one.x, y=one.y) == one
        assert back.background == scene.background
        assert back.render(56).tobytes() == scene.render(56).tobytes()


def test_mirroring_moves_objects_and_turns_answers_without_flipping_sprites():
    scene = Scene((Placed("key", 0.2, 0.3, 0.2), Placed("log", 0.7, 0.8, 0.2)))
    assert [(p.x, p.y) for p in mirror(scene).objects] == [(0.8, 0.3), (pytest.approx(0.3), 0.8)]
    assert [p.y for p in mirror(scene, "row").objects] == [0.7, pytest.approx(0.2)]
    for ask, axis in ((questions.left_right, "column"), (questions.above_below, "row")):
        answers = {ask(s, "key", "log").answer for s in (scene, mirror(scene, axis))}
        assert len(answers) == 2
        other = "row" if axis == "column" else "column"
        assert ask(mirror(scene, other), "key", "log") == ask(scene, "key", "log")
    before = np.asarray(scene.render(100))[20:40, 10:30]
    after = np.asarray(mirror(scene).render(100))[20:40, 70:90]
    assert np.array_equal(before, after)


def test_recolouring_changes_colours_and_nothing_else():
    scene = scenes(1, seed=3)[0]
    turned = recolor(scene)
    assert [dataclasses.replace(p, hue=0.0) for p in turned.objects] == list(scene.objects)
    assert turned.background == scene.background
    before, after = (np.asarray(s.render(112)).astype(int) for s in (scene, turned))
    changed = (before != after).any(-1)
    assert 0.01 < changed.mean() < 0.6
    covered = np.zeros_like(changed)
    for p in scene.objects:
        top, left = (int(112 * (value - p.size / 2)) for value in (p.y, p.x))
        bottom, right = (int(112 * (value + p.size / 2)) + 1 for value in (p.y, p.x))
        covered[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
    assert not (changed & ~covered).any()
    whole_turn = np.asarray(recolor(scene, 360).render(112)).astype(int)
    assert np.abs(whole_turn - before).max() <= 8  # rounding of colours


# Sampling ---------------------------------------------------------------------------------------


def test_grid_scenes_are_all_of_the_papers():
    pairs = [("frog", "camel"), ("camel", "frog")]
    made = grid_scenes(pairs, sizes=PAPER_SIZES[:3])
    assert len(made) == 2 * 16 * 15 * 3
    assert len(set(made)) == len(made)
    assert all(len({cell for _, cell in cells(scene)}) == 2 for scene in made)
    assert {scene.names for scene in made} == set(pairs)
    centres = {value for scene in made for p in scene.objects for value in (p.x, p.y)}
    assert centres == {0.125, 0.375, 0.625, 0.875}
    assert len(grid_scenes(pairs[:1], grid=3)) == 9 * 8
    everything = grid_scenes(grid=2)
    assert len(everything) == 90 * 4 * 3
    assert {name for scene in everything for name in scene.names} == set(PAPER_OBJECTS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held_out", [False, True])
def test_scenes_are_seeded(kind, held_out):
    one = scenes(5, seed=4, kind=kind, held_out=held_out)
    assert one == scenes(5, seed=4, kind=kind, held_out=held_out)
    assert one[:3] == scenes(3, seed=4, kind=kind, held_out=held_out)
    assert one != scenes(5, seed=5, kind=kind, held_out=held_out)


@pytest.mark.parametrize("kind", KINDS)
def test_training_scenes_hold_no_held_out_pair_and_no_held_out_place(kind):
    for scene in scenes(300, seed=0, kind=kind, objects=(1, 6)):
        names = scene.names
        assert len(set(names)) == len(names)
        assert not any(is_held_out_pair(a, b) for a in names for b in names)
        assert not any(cell in held_out_cells(name) for name, cell in cells(scene))


@pytest.mark.parametrize(("kind", "objects"), [("grid", (2, 2)), ("clutter", (3, 6))])
def test_held_out_scenes_are_about_held_out_pairs_at_held_out_places(kind, objects):
    for scene in scenes(100, seed=0, kind=kind, objects=objects, held_out=True):
        assert is_held_out_pair(*scene.names[:2])
        assert all(cell in held_out_cells(name) for name, cell in cells(scene)[:2])


@pytest.mark.parametrize("kind", ["perspective", *BY_SIZE])
def test_held_out_scenes_with_depth(kind):
    """Their objects are ordered from far to near, so the pair may be anywhere among them."""
    for scene in scenes(100, seed=0, kind=kind, objects=(2, 4), held_out=True):
        held = {name for name, cell in cells(scene) if cell in held_out_cells(name)}
        assert any(is_held_out_pair(a, b) for a in held for b in held)


def test_the_split_is_symmetric_and_leaves_enough_on_both_sides():
    count = len(OBJECTS)
    assert len(held_out_pairs()) == pytest.approx(count * (count - 1) / 2 / 8, rel=0.1)
    assert all(is_held_out_pair(b, a) for a, b in held_out_pairs())
    assert not any(is_held_out_pair(name, name) for name in OBJECTS)
    assert {name for pair in held_out_pairs() for name in pair} == set(OBJECTS)
    assert all(len(held_out_cells(name)) == 3 for name in OBJECTS)
    assert len({held_out_cells(name) for name in OBJECTS}) > count / 2
    assert cell_of(0.0, 0.99) == (3, 0)
    assert cell_of(1.0, 1.0) == (3, 3)


@pytest.mark.parametrize("kind", ["clutter", "perspective", *BY_SIZE])
def test_objects_are_as_many_as_asked_and_inside_the_picture(kind):
    drawn = scenes(60, seed=2, kind=kind, objects=(3, 4))
    assert {len(scene.objects) for scene in drawn} == {3, 4}
    for placed in (placed for scene in drawn for placed in scene.objects):
        assert 0.3 * placed.size < placed.x < 1 - 0.3 * placed.size
        assert 0.3 * placed.size < placed.y < 1 - 0.3 * placed.size


def test_in_perspective_nearer_is_larger_and_lower_with_exceptions():
    drawn = scenes(200, seed=0, kind="perspective", objects=(2, 4))
    placed = [p for scene in drawn for p in scene.objects]
    depth, size, y, lift = np.array([(p.depth, p.size, p.y, p.lift) for p in placed]).T
    assert np.corrcoef(depth, size)[0, 1] < -0.8
    standing = lift == 0
    assert np.corrcoef(depth[standing], (y + size / 2)[standing])[0, 1] < -0.95
    assert 0.1 < (~standing).mean() < 0.4
    for scene in drawn:  # drawn from back to front
        depths = [p.depth for p in scene.objects]
        assert depths == sorted(depths, reverse=True)


def test_nearer_is_larger_and_lower_or_anywhere_or_higher():
    heights = {}
    for kind in BY_SIZE:
        drawn = scenes(400, seed=0, kind=kind, objects=(2, 2))
        placed = [p for scene in drawn for p in scene.objects]
        depth, size, y = np.array([(p.depth, p.size, p.y) for p in placed]).T
        assert np.corrcoef(1 / depth, size)[0, 1] > 0.95
        heights[kind] = y
        slope = np.corrcoef(depth, y)[0, 1]
        wanted = {"tied": -1, "independent": 0, "conflict": 1}[kind]
        assert slope == pytest.approx(wanted, abs=0.1)
    # How heights are spread must not differ, or more would differ than the rule.
    for kind in ("tied", "conflict"):
        quantiles = np.quantile(heights[kind], [0.1, 0.5, 0.9])
        assert quantiles == pytest.approx(
            np.quantile(heights["independent"], [0.1, 0.5, 0.9]), abs=0.1
        )


# Questions --------------------------------------------------------------------------------------


def answer_from_coordinates(scene, kind, text):
    """The answer, worked out again from the words of the question and the places."""
    at = {p.name: p for p in scene.objects}
    names = "|".join(sorted(OBJECTS, key=len, reverse=True))
    asked = re.findall(rf"(?<!\w)(?:{names})(?!\w)", text)
    if kind == "left_right":
        return "Left" if at[asked[0]].x < at[asked[1]].x else "Right"
    if kind == "above_below":
        return "Above" if at[asked[0]].y < at[asked[1]].y else "Below"
    if kind == "front_behind":
        return "Front" if at[asked[0]].depth < at[asked[1]].depth else "Behind"
    if kind == "between":
        middle, *ends = (at[name].x for name in asked)
        return "Yes" if (middle > min(ends)) and (middle < max(ends)) else "No"
    if kind == "which":
        side = re.search(r"further (\w+),", text)[1]
        axis, sign = {"left": ("x", -1), "right": ("x", 1), "up": ("y", -1), "down": ("y", 1)}[side]
        return max(asked, key=lambda name: sign * getattr(at[name], axis))
    if kind == "corner":
        row, column = re.search(r"at the (\w+) (\w+)\?", text).groups()
        x, y = column == "right", row == "bottom"
        return min(scene.objects, key=lambda p: (p.x - x) ** 2 + (p.y - y) ** 2).name
    if kind == "where":
        p = at[asked[0]]
        return f"{'Top' if p.y < 0.5 else 'Bottom'} {'left' if p.x < 0.5 else 'right'}"
    if kind == "is_there":
        return "Yes" if asked[0] in at else "No"
    return ", ".join(sorted(at, key=lambda name: at[name].x))


def same_list(found, expected, scene):
    """Whether two lists hold the same names, in the same order but for near ties."""
    found, expected = found.split(", "), expected.split(", ")
    apart = [abs(scene.find(a).x - scene.find(b).x) for a, b in zip(found, expected, strict=True)]
    return sorted(found) == sorted(expected) and max(apart) < 6 * questions.CARE


@pytest.mark.parametrize("kind", list(questions.KINDS))
def test_answers_are_right_and_balanced(kind):
    generator = np.random.default_rng(0)
    scene_kind = "perspective" if kind == "front_behind" else "clutter"
    answers, swapped = [], 0
    for _ in range(250):
        scene = sample_scene(generator, scene_kind, (3, 6))
        question = questions.ask(scene, kind, generator)
        if question is None:
            continue
        assert question.kind == kind
        expected = answer_from_coordinates(scene, kind, question.text)
        if kind == "what":
            assert same_list(question.answer, expected, scene)
            assert questions.what(scene).answer == expected  # without a generator
            swapped += question.answer != expected
        else:
            assert question.answer == expected
        assert all(f"{name}" in question.text for name in question.objects)
        found = [question.text.index(f" {name}") for name in question.objects]
        assert found == sorted(found)  # named in this order
        answers.append(question.answer)
    assert len(answers) > 50
    assert (swapped > 0) == (kind == "what")
    if kind in questions.ANSWERS:
        first, second = questions.ANSWERS[kind]
        assert set(answers) == {first, second}
        assert 0.4 < answers.count(first) / len(answers) < 0.6


def test_questions_without_an_answer_are_not_asked():
    column = Scene((Placed("frog", 0.5, 0.2, 0.2), Placed("dog", 0.55, 0.8, 0.2)))
    assert questions.left_right(column, "frog", "dog") is None
    assert questions.above_below(column, "frog", "dog").answer == "Above"
    assert questions.front_behind(column, "frog", "dog") is None  # no depth
    assert questions.where(column, "frog") is None
    assert questions.is_there(column, "apple").text == "Is there an apple in the image?"


def test_both_orders_of_the_nouns_are_asked():
    scene = Scene((Placed("frog", 0.2, 0.2, 0.2), Placed("dog", 0.8, 0.8, 0.2)))
    one, other = (questions.left_right(scene, *pair) for pair in (("frog", "dog"), ("dog", "frog")))
    assert (one.answer, other.answer) == ("Left", "Right")
    generator = np.random.default_rng(0)
    orders = {questions.ask(scene, "left_right", generator).objects for _ in range(30)}
    assert orders == {("frog", "dog"), ("dog", "frog")}


def test_public_names_are_importable():
    for name in helpers.__all__:
        assert getattr(helpers, name) is not None
    assert set(dir(helpers)) == set(helpers.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = helpers.nothing
