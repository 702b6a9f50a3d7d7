"""Clips: what is true of them follows from their frames, splits hold, questions fit the frames."""

import re
from itertools import combinations, permutations

import numpy as np
import pytest

from helpers import mirror
from helpers.stimuli import clip_questions as asked
from helpers.stimuli import clip_sampling
from helpers.stimuli.clip_sampling import (
    FASTEST,
    SLOWEST,
    clips,
    compose,
    flash,
    sample_clip,
)
from helpers.stimuli.clips import FRAMES, Clip, freeze, reverse, shuffle
from helpers.stimuli.sampling import overlaps
from helpers.stimuli.scenes import Background, Placed, Scene
from helpers.stimuli.split import cell_of, held_out_cells, held_out_frames, is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS

KINDS = ("flashes", "events", "moving", "still")
OPPOSITE = {"Before": "After", "After": "Before", "Left": "Right", "Right": "Left"}
OPPOSITE |= {"First": "Last", "Last": "First", "Beginning": "End", "End": "Beginning"}


@pytest.fixture(scope="module")
def drawn():
    """Sixty clips of each kind that training may show, and sixty that it may not."""
    return {
        (kind, held_out): clips(60, seed=5, kind=kind, held_out=held_out)
        for kind in KINDS
        for held_out in (False, True)
    }


def made(**when):
    """A clip by hand: for each object, the frames in which it appears, or a path by frame."""
    tracks = []
    for number, (name, frames) in enumerate(when.items()):
        if not isinstance(frames, dict):
            frames = {frame: (0.2 + 0.3 * number, 0.2) for frame in frames}
        tracks.append({frame: Placed(name, x, y, 0.2) for frame, (x, y) in frames.items()})
    return compose(tracks, Background())


def answer(question):
    return question and question.answer


# Clips ------------------------------------------------------------------------------------------


def test_what_a_clip_says_of_its_objects():
    clip = made(frog=[2, 3], camel=[0, 5, 7], log=[2])
    assert len(clip) == FRAMES == 8
    assert clip.names == ("camel", "frog", "log")
    assert (clip.when("camel"), clip.middle("camel")) == ((0, 5, 7), 4)
    assert [placed.x for placed in clip.path("frog")] == [0.2, 0.2]
    with pytest.raises(ValueError, match=r"no 'dog' .* 8 frames; it has camel, frog, log"):
        clip.when("dog")
    with pytest.raises(ValueError, match="it has nothing"):
        Clip((Scene(()),)).path("dog")
    with pytest.raises(ValueError, match="at least one frame"):
        Clip(())


def test_clips_are_drawn_frame_by_frame():
    clip = clips(1, seed=2, kind="moving")[0]
    assert [frame.tobytes() for frame in clip.render(56)] == [
        scene.render(56).tobytes() for scene in clip.frames
    ]
    drawn = clip.tensor(56)
    assert drawn.shape == (8, 3, 56, 56)
    assert np.array_equal(drawn[3].permute(1, 2, 0), np.asarray(clip.frames[3].render(56)))


def test_each_changes_every_frame_alike():
    clip = clips(1, seed=2, kind="moving")[0]
    assert clip.each(mirror).frames == tuple(mirror(scene) for scene in clip.frames)


# Transforms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_reversed_clip_has_the_opposite_answers(drawn, kind):
    turned = {"before_after": 0, "first_last": 0, "beginning_end": 0, "moving": 0}
    for clip in drawn[kind, False]:
        back = reverse(clip)
        assert reverse(back) == clip
        assert set(back.names) == set(clip.names)
        for first, second in permutations(clip.names, 2):
            one, other = (asked.before_after(c, first, second) for c in (clip, back))
            assert answer(other) == OPPOSITE.get(answer(one))
            turned["before_after"] += one is not None
        for name in clip.names:
            for ask in ("first_last", "beginning_end", "moving"):
                one, other = (getattr(asked, ask)(c, name) for c in (clip, back))
                assert answer(other) == OPPOSITE.get(answer(one)), ask
                turned[ask] += one is not None
        for when, opposite in (("first", "last"), ("last", "first")):
            one, other = asked.which_appears(clip, when), asked.which_appears(back, opposite)
            assert answer(one) == answer(other)
    times = {name: count for name, count in turned.items() if name != "moving"}
    if kind in ("flashes", "events"):
        assert min(times.values()) > 20
        assert turned["moving"] == 0
    else:
        assert max(times.values()) == 0
        assert (turned["moving"] > 20) == (kind == "moving")


@pytest.mark.parametrize("kind", ["events", "moving"])
def test_a_frozen_clip_shows_one_frame_and_neither_time_nor_motion(drawn, kind):
    for number, clip in enumerate(drawn[kind, False]):
        frozen = freeze(clip, number % 8)
        assert frozen.frames == (clip.frames[number % 8],) * 8
        assert reverse(frozen) == frozen
        for first, second in permutations(frozen.names, 2):
            assert asked.before_after(frozen, first, second) is None
        for name in frozen.names:
            assert asked.moving(frozen, name) is None
            assert asked.beginning_end(frozen, name) is None
            assert asked.first_last(frozen, name) is None
    for frame in (-1, 8):
        with pytest.raises(ValueError, match=f"no frame {frame} in a clip of 8 frames"):
            freeze(clip, frame)


def test_a_shuffled_clip_keeps_its_frames_and_not_their_order(drawn):
    orders = set()
    for clip in drawn["moving", False][:20]:
        mixed = shuffle(clip, seed=1)
        assert mixed == shuffle(clip, seed=1)
        assert sorted(map(repr, mixed.frames)) == sorted(map(repr, clip.frames))
        assert sorted(mixed.names) == sorted(clip.names)
    numbered = made(frog={frame: (frame / 8, 0.5) for frame in range(8)})
    for seed in range(20):
        orders.add(tuple(int(8 * place.x) for place in shuffle(numbered, seed).path("frog")))
    assert len(orders) > 15
    assert all(sorted(order) == list(range(8)) for order in orders)


# Sampling ---------------------------------------------------------------------------------------


def test_a_seed_fixes_the_clips_and_the_first_do_not_depend_on_the_count():
    for kind in KINDS:
        assert clips(3, seed=7, kind=kind) == clips(5, seed=7, kind=kind)[:3]
        assert clips(3, seed=7, kind=kind) != clips(3, seed=8, kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_training_never_shows_what_is_held_out(drawn, kind):
    for clip in drawn[kind, False]:
        assert not any(is_held_out_pair(*pair) for pair in combinations(clip.names, 2))
        for name in clip.names:
            assert clip.when(name)[0] not in held_out_frames(name)
            if kind != "moving":
                assert not held_out_places(clip, name)


def held_out_places(clip, name):
    """In how many of its frames an object is in a cell that training never puts it into."""
    return sum(cell_of(one.x, one.y) in held_out_cells(name) for one in clip.path(name))


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_clips_have_a_pair_at_places_and_in_frames_never_seen(drawn, kind):
    for clip in drawn[kind, True]:
        # Those that come in one frame stand in the order in which they were drawn.
        pairs = [pair for pair in combinations(clip.names, 2) if is_held_out_pair(*pair)]
        held = [
            pair
            for pair in pairs
            if all(fully_held_out(clip, name, kind) for name in pair)
            and (
                kind not in ("flashes", "events") or clip.when(pair[0])[0] != clip.when(pair[1])[0]
            )
        ]
        assert held
        if kind in ("moving", "still"):
            assert is_held_out_pair(*clip.names[:2])


def fully_held_out(clip, name, kind):
    onset, places = clip.when(name)[0], held_out_places(clip, name)
    if kind in ("flashes", "events"):
        return onset in held_out_frames(name) and places == len(clip.when(name))
    return kind == "moving" or places == len(clip.when(name))


def test_flashes_are_two_objects_for_one_frame_each_in_cells_on_white(drawn):
    onsets = set()
    for clip in [*drawn["flashes", False], *drawn["flashes", True]]:
        assert len(clip.names) == 2
        assert set(clip.names) <= set(PAPER_OBJECTS)
        frames = [clip.when(name) for name in clip.names]
        assert [len(frame) for frame in frames] == [1, 1]
        assert frames[0] != frames[1]
        onsets.update(frames)
        assert {scene.background for scene in clip.frames} == {Background()}
        for name in clip.names:
            (placed,) = clip.path(name)
            assert (placed.x * 8 % 2, placed.y * 8 % 2) == (1, 1)  # centres of a 4 x 4 grid
    assert onsets == {(frame,) for frame in range(8)}


def test_a_flash_is_in_its_cell_and_frame():
    assert flash("frog", (1, 2), 5, 0.2) == {5: Placed("frog", 0.625, 0.375, 0.2)}


def test_events_stay_in_place_without_a_gap(drawn):
    stays = []
    for clip in drawn["events", False]:
        assert 3 <= len(clip.names) <= 5
        assert len({scene.background for scene in clip.frames}) == 1
        for name in clip.names:
            when = clip.when(name)
            assert when == tuple(range(when[0], when[-1] + 1))
            assert len(set(clip.path(name))) == 1
            stays.append(len(when))
    assert len(set(stays)) > 4


def test_still_clips_stand_still(drawn):
    assert all(len(set(clip.frames)) == 1 for clip in drawn["still", False])


def test_moving_objects_move_evenly_along_one_line_and_stay_in_the_picture(drawn):
    kinds = {"stands": 0, "along an axis": 0, "swap": 0}
    for clip in drawn["moving", False]:
        for scene in (clip.frames[0], clip.frames[-1]):
            assert not any(
                overlaps(one, scene.objects[:index]) for index, one in enumerate(scene.objects)
            )
        start, end = clip.frames[0].objects, clip.frames[-1].objects
        places = [np.array([(one.x, one.y) for one in objects[:2]]) for objects in (start, end)]
        swapped = np.allclose(places[0], places[1][::-1])
        kinds["swap"] += swapped
        for index, name in enumerate(clip.names):
            path = np.array([(one.x, one.y) for one in clip.path(name)])
            assert len(path) == 8
            assert len({one.size for one in clip.path(name)}) == 1
            assert ((path > 0) & (path < 1)).all()
            steps = np.diff(path, axis=0)
            lengths = np.hypot(*steps.T)
            moved = lengths > 1e-9
            if not moved.any():
                kinds["stands"] += 1
                continue
            assert np.ptp(lengths[moved]) < 1e-9
            assert moved[moved.argmax() : 8 - 1 - moved[::-1].argmax()].all()  # without a stop
            if not (swapped and index < 2):
                kinds["along an axis"] += 1
                assert (np.abs(steps).max(0) > 1e-9).sum() == 1
                # The edge of the picture may stop it early; no path is longer.
                assert lengths.sum() <= FASTEST * 7 + 1e-9
    assert min(kinds.values()) > 10, kinds
    assert 0 < SLOWEST < FASTEST


def test_every_path_goes_either_way_equally_often(monkeypatch):
    """Half of the clips are turned round, so which paths there are does not tell the way."""
    turned = []
    monkeypatch.setattr(clip_sampling, "reverse", lambda clip: turned.append(clip) or reverse(clip))
    drawn = clips(500, seed=11, kind="moving", objects=(1, 2))
    assert abs(len(turned) / 500 - 0.5) < 0.07  # three standard errors
    assert {reverse(clip) for clip in turned} <= set(drawn)
    left = {"left half": [], "right half": []}
    for clip in drawn:
        for name in clip.names:
            question, path = asked.moving(clip, name), clip.path(name)
            if question:
                half = "left half" if path[0].x + path[-1].x < 1 else "right half"
                left[half].append(question.answer == "Left")
    for half, found in left.items():
        assert len(found) > 80
        assert abs(np.mean(found) - 0.5) < 1.5 / np.sqrt(len(found)), half


def test_when_objects_move_says_nothing_about_the_way():
    """Waits before a movement are as common as waits behind it."""
    before = after = 0
    for clip in clips(200, seed=12, kind="moving", objects=(1, 2)):
        for name in clip.names:
            path = clip.path(name)
            if path[0] != path[-1]:
                before += path[0] == path[1]
                after += path[-1] == path[-2]
    assert min(before, after) > 20
    assert abs(before - after) < 3 * np.sqrt(before + after)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clips(0, 0), "asked for 0 clips"),
        (lambda: clips(-2, 0), "asked for -2 clips"),
        (lambda: clips(1, 0, "films"), "'films'; there are: flashes, events, moving, still"),
        (lambda: clips(1, 0, objects=(0, 2)), "from 0 to 2 objects"),
        (lambda: clips(1, 0, objects=(4, 3)), "from 4 to 3 objects"),
    ],
)
def test_clips_that_cannot_be_drawn(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_more_objects_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("helpers.stimuli.clip_sampling._TRIES", 3)
    with pytest.raises(RuntimeError, match=r"no still clip with \(20, 20\) objects in 3 tries"):
        sample_clip(np.random.default_rng(0), "still", (20, 20))


# Questions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frog", "camel", "expected"),
    [
        ([0], [7], "Before"),
        ([7], [0], "After"),
        ([2], [3], "Before"),
        ([0, 1, 2], [2, 3], "Before"),  # overlapping, but first to come and first to go
        ([0, 5], [2, 7], "Before"),
        ([3], [3], None),
        ([1, 2], [1, 2, 3], None),  # they come together
        ([2, 3], [1, 2, 3], None),  # they go together
        ([2], [1, 2, 3], None),  # nested
        (range(8), [4], None),
    ],
)
def test_before_and_after_are_asked_where_coming_and_going_agree(frog, camel, expected):
    clip = made(frog=frog, camel=camel)
    question = asked.before_after(clip, "frog", "camel")
    assert answer(question) == expected
    assert answer(asked.before_after(clip, "camel", "frog")) == OPPOSITE.get(expected)
    if expected:
        assert question.text == "Does the frog appear before or after the camel?"
        assert question.objects == ("frog", "camel")
        assert {expected, OPPOSITE[expected]} == set(asked.CLIP_ANSWERS[question.kind])


def test_first_and_last_of_all():
    clip = made(frog=[1], camel=[3, 4], log=[6, 7])
    found = [asked.first_last(clip, name) for name in ("frog", "camel", "log")]
    assert list(map(answer, found)) == ["First", None, "Last"]
    assert found[0].text == "Does the frog appear first or last?"
    assert asked.first_last(made(frog=[1]), "frog") is None  # alone
    assert asked.first_last(made(frog=[1], camel=[3], log=[1]), "frog") is None
    assert asked.first_last(made(frog=[1], camel=[3], log=[0, 2]), "frog") is None


def test_which_appears_first_or_last():
    clip = made(frog=[1], camel=[3, 4], log=[1, 2])
    assert asked.which_appears(clip, "first") is None  # the frog and the log come together
    last = asked.which_appears(clip, "last")
    assert (last.text, last.answer) == ("Which object appears last?", "camel")
    two = asked.which_appears(clip, "first", ("camel", "log"))
    assert two.text == "Which object appears first, the camel or the log?"
    assert (two.answer, two.objects) == ("log", ("camel", "log"))
    assert answer(asked.which_appears(clip, "last", ("camel", "frog"))) == "camel"
    assert asked.which_appears(made(frog=[1]), "first") is None
    assert asked.which_appears(clip, "first", ("frog", "frog")) is None
    with pytest.raises(ValueError, match="'first' or 'last', not 'earliest'"):
        asked.which_appears(clip, "earliest")


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([0], "Beginning"),
        ([0, 1, 2, 3], "Beginning"),
        ([2], "Beginning"),
        ([3], None),
        ([4], None),
        ([5], "End"),
        ([6, 7], "End"),
        (range(8), None),
        ([0, 7], None),
        ([3, 4], None),
    ],
)
def test_the_beginning_and_the_end(frames, expected):
    question = asked.beginning_end(made(frog=frames), "frog")
    assert answer(question) == expected
    if expected:
        assert question.text == "Does the frog appear at the beginning or the end?"


def line(start, end):
    return {frame: tuple(np.linspace(start, end, 8)[frame]) for frame in range(8)}


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((0.8, 0.5), (0.2, 0.5), "Left"),
        ((0.2, 0.5), (0.8, 0.5), "Right"),
        ((0.5, 0.5), (0.66, 0.5), "Right"),
        ((0.5, 0.5), (0.64, 0.5), None),  # hardly
        ((0.5, 0.2), (0.5, 0.8), None),  # downwards
        ((0.2, 0.2), (0.7, 0.6), None),  # as much down as across
        ((0.2, 0.2), (0.8, 0.4), "Right"),
        ((0.5, 0.5), (0.5, 0.5), None),
    ],
)
def test_moving_left_and_right(start, end, expected):
    question = asked.moving(made(frog=line(start, end)), "frog")
    assert answer(question) == expected
    if expected:
        assert question.text == "Is the frog moving to the left or right?"


def test_spatial_questions_at_a_moment():
    clip = made(frog=line((0.2, 0.2), (0.8, 0.2)), camel=line((0.5, 0.6), (0.5, 0.6)), log=[3])
    first, last = (
        asked.at_moment(clip, "left_right", "frog", "camel", when) for when in ("beginning", "end")
    )
    assert first.text == "At the beginning, is the frog to the left or right of the camel?"
    assert last.text == "At the end, is the frog to the left or right of the camel?"
    assert (first.answer, last.answer, first.kind) == ("Left", "Right", "left_right_at")
    above = asked.at_moment(clip, "above_below", "camel", "frog", "end")
    assert (above.answer, above.kind) == ("Below", "above_below_at")
    assert {first.kind, above.kind} <= set(asked.CLIP_ANSWERS)
    assert asked.at_moment(clip, "left_right", "frog", "log", "end") is None  # not there then
    close = made(frog=line((0.5, 0.2), (0.8, 0.2)), camel=line((0.5, 0.6), (0.5, 0.6)))
    assert asked.at_moment(close, "left_right", "frog", "camel", "beginning") is None
    for kind, when in (("left_right", "middle"), ("front_behind", "end")):
        with pytest.raises(ValueError, match=f"no '{kind}' at the '{when}'; there are: left_right"):
            asked.at_moment(clip, kind, "frog", "camel", when)


def test_questions_about_the_whole_clip_have_one_answer_all_along():
    clip = made(frog=line((0.2, 0.2), (0.8, 0.2)), camel=line((0.5, 0.6), (0.5, 0.6)), log=[3])
    assert asked.throughout(clip, "left_right", "frog", "camel") is None
    above = asked.throughout(clip, "above_below", "frog", "camel")
    assert (above.text, above.answer) == ("Is the frog above or below the camel?", "Above")
    apart = made(frog=[0, 1], camel=[5])  # never there together
    assert answer(asked.throughout(apart, "left_right", "frog", "camel")) == "Left"
    assert asked.throughout(apart, "above_below", "frog", "camel") is None  # at one height


def test_where_and_is_there():
    clip = made(frog=[0, 1], camel=line((0.2, 0.8), (0.8, 0.8)), log=[3])
    assert answer(asked.where(clip, "frog")) == "Top left"
    assert asked.where(clip, "camel") is None
    assert asked.is_there(clip, "frog").text == "Is there a frog in the video?"
    assert asked.is_there(clip, "umbrella").text == "Is there an umbrella in the video?"
    assert (asked.is_there(clip, "log").answer, asked.is_there(clip, "cat").answer) == ("Yes", "No")


@pytest.mark.parametrize(
    "ask",
    [
        lambda clip: asked.before_after(clip, "frog", "zebra"),
        lambda clip: asked.before_after(clip, "zebra", "frog"),
        lambda clip: asked.first_last(clip, "zebra"),
        lambda clip: asked.which_appears(clip, "first", ("frog", "zebra")),
        lambda clip: asked.beginning_end(clip, "zebra"),
        lambda clip: asked.moving(clip, "zebra"),
        lambda clip: asked.at_moment(clip, "left_right", "frog", "zebra", "end"),
        lambda clip: asked.throughout(clip, "left_right", "zebra", "frog"),
        lambda clip: asked.where(clip, "zebra"),
    ],
)
def test_an_object_that_never_appears_is_an_error(ask):
    with pytest.raises(
        ValueError, match="no 'zebra' appears in this clip of 8 frames; it has frog"
    ):
        ask(made(frog=[2], camel=[5]))


def test_questions_are_drawn_about_every_kind_of_clip(drawn):
    generator = np.random.default_rng(3)
    answers = {kind: {} for kind in asked.CLIP_KINDS}
    for kind, found in answers.items():
        for clip in (one for each in KINDS for one in drawn[each, False]):
            question = asked.ask(clip, kind, generator)
            if question:
                assert question.kind == kind
                assert question.text.endswith("?")
                assert all(re.search(rf"\b{name}\b", question.text) for name in question.objects)
                found[question.answer] = found.get(question.answer, 0) + 1
    for kind, pair in asked.CLIP_ANSWERS.items():
        counts = answers[kind]
        assert set(counts) == set(pair), kind
        assert min(counts.values()) > 0.3 * sum(counts.values()), kind
    assert all(len(found) > 3 for kind, found in answers.items() if kind not in asked.CLIP_ANSWERS)


def test_questions_can_be_kept_to_some_objects(drawn):
    generator = np.random.default_rng(4)
    for clip in drawn["events", False]:
        focus = clip.names[:2]
        question = asked.ask(clip, "before_after", generator, focus)
        assert question is None or set(question.objects) == set(focus)
        assert asked.ask(clip, "before_after", generator, focus[:1]) is None


def test_an_unknown_kind_and_a_clip_of_nothing():
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="'riddle'; there are: before_after, first_last"):
        asked.ask(made(frog=[1]), "riddle", generator)
    nothing = freeze(made(frog=[1]), 0)
    assert all(asked.ask(nothing, kind, generator) is None for kind in asked.CLIP_KINDS)
