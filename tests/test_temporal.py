"""Temporal IDs: against plain Hugging Face, against hand-made arrays, and in a model that has them.

The planted model is that of ``test_planted``, made to watch clips: at the last token of each name
it writes ``frame * TIME_AXIS + column * PLACE_AXIS``, and it answers Before or After from what
stands there (``planted``), or from the pixels (``readable``: nobody reads what was written).
"""

import zlib
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from test_planted import COLUMN_AXIS, ROW_AXIS, SHAPE, SITE, WRITES, Plant
from zoo import ZOO, video_inputs

from helpers import Placed, Scene, SpatialIDs, Video, geometry, load_vlm, trials
from helpers.clip_trials import (
    across_the_picture,
    backwards,
    clip_cases,
    extract_temporal_ids,
)
from helpers.extraction import frame_pixels
from helpers.stimuli.clip_questions import BEFORE_AFTER, comes_before
from helpers.stimuli.clip_sampling import clips, compose, flash
from helpers.stimuli.clips import Clip, reverse
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.scenes import Background
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS
from helpers.temporal import TemporalIDs, _shots
from helpers.training.build_video import build_video_model, build_video_processor
from helpers.training.tokenizer import build_tokenizer

SITES = ("blocks.0.hook_resid_post", "blocks.1.hook_resid_post")
PAIRS = (("frog", "camel"), ("dog", "cake"), ("log", "fan"))
LEFT_RIGHT = "Is the {0} to the left or right of the {1}?"
#: A frame's step must stand out from what a name's embedding happens to have along the axis.
GAIN = 3
TIME_AXIS, PLACE_AXIS = GAIN * COLUMN_AXIS, GAIN * ROW_AXIS


@pytest.fixture
def ids():
    """Five frames of four numbers."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(2, 3, 5, 4, generator=generator)
    vectors = vectors - vectors.mean(2, keepdim=True)
    return TemporalIDs(vectors, SITES, PAIRS, 0, "by hand")


@pytest.fixture(scope="module", params=["llava_onevision", "qwen2_vl", "internvl"])
def watcher(request):
    """Random models of videos; Qwen2-VL merges two frames into one step."""
    return load_vlm(*ZOO[request.param](), device="cpu")


def small_video_model(seed=0):
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(video=True)
    model = build_video_model(SHAPE, tokenizer)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.eval(), build_video_processor(SHAPE, tokenizer)


@pytest.fixture(scope="module")
def small():
    return load_vlm(*small_video_model(), device="cpu")


# By hand ----------------------------------------------------------------------------------------


def test_the_mean_is_over_pairs_and_the_frames_are_counted(ids):
    expected = (ids.vectors[1, 0] + ids.vectors[1, 1] + ids.vectors[1, 2]) / 3
    assert torch.allclose(ids.mean(SITES[1]), expected, atol=1e-6)
    assert ids.frames == 5


def test_the_axis_is_the_least_squares_slope_per_frame(ids):
    design = np.stack([np.arange(5), np.ones(5)], axis=1)
    slopes = np.linalg.lstsq(design, ids.mean(SITES[0]).numpy(), rcond=None)[0]
    assert ids.axis(SITES[0]).numpy() == pytest.approx(slopes[0], abs=1e-5)


def test_interpolation_is_exact_at_frames_and_linear_between(ids):
    mean = ids.mean(SITES[0])
    for frame in range(5):
        assert torch.allclose(ids.interpolate(SITES[0], frame), mean[frame], atol=1e-6)
    between = 0.75 * mean[2] + 0.25 * mean[3]
    assert torch.allclose(ids.interpolate(SITES[0], 2.25), between, atol=1e-6)
    there = ids.difference(SITES[0], origin=1, target=3.5)
    assert torch.allclose(there, (mean[3] + mean[4]) / 2 - mean[1], atol=1e-6)
    assert torch.allclose(ids.difference(SITES[0], 3.5, 1), -there, atol=1e-6)


@pytest.mark.parametrize("frame", [-0.1, 4.01, 9])
def test_there_is_no_time_outside_of_the_clip(ids, frame):
    with pytest.raises(ValueError, match="not between frames 0 and 4"):
        ids.interpolate(SITES[0], frame)


def test_shuffled_ids_are_the_same_vectors_at_wrong_frames(ids):
    for seed in range(10):
        after = ids.shuffled(seed).vectors
        source = [(ids.vectors[0, 0] == vector).all(-1).nonzero().item() for vector in after[0, 0]]
        assert sorted(source) == list(range(5))
        assert all(frame != origin for frame, origin in enumerate(source))
        assert torch.equal(after, ids.vectors[:, :, source])


def test_what_is_saved_comes_back_and_a_subset_keeps_its_order(ids, tmp_path):
    part = ids.subset([PAIRS[2], PAIRS[0]])
    assert torch.equal(part.vectors, ids.vectors[:, [2, 0]])
    part.save(tmp_path / "ids.safetensors")
    back = TemporalIDs.load(tmp_path / "ids.safetensors", sites=SITES)
    assert isinstance(back, TemporalIDs) and torch.equal(back.vectors, part.vectors)
    for name in ("sites", "pairs", "noun", "model"):
        assert getattr(back, name) == getattr(part, name), name


# Clips ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partners", [1, 3, 7])
def test_frames_partners_and_cells_are_balanced(partners):
    pairs = [("frog", "camel"), ("camel", "frog")]
    shots = _shots(pairs, 8, partners, 0.25, Background(), 0)
    assert len(shots) == 2 * 8 * partners
    for number, names in enumerate(pairs):
        of_pair = [shot for shot in shots if shot.pair == number]
        assert len({shot.places for shot in of_pair}) == 8 * partners
        compared = defaultdict(list)
        for noun in (0, 1):
            counts = Counter(shot.places[noun] for shot in of_pair)
            assert counts == {(frame,): partners for frame in range(8)}
        for shot in of_pair:
            (first,), (second,) = shot.places
            assert first != second
            assert shot.stimulus.when(names[0]) == (first,)
            assert shot.stimulus.when(names[1]) == (second,)
            cells = tuple((p.x, p.y) for name in names for p in shot.stimulus.path(name))
            assert cells[0] != cells[1]
            compared[(second - first) % 8].append((first, cells))
        # Frames are compared at one distance to the partner: with the same cells in all of them.
        assert len(compared) == partners
        for group in compared.values():
            assert sorted(first for first, _ in group) == list(range(8))
            assert len({cells for _, cells in group}) == 1
    assert {s.stimulus for s in shots if s.pair == 0} == {s.stimulus for s in shots if s.pair == 1}


# Extraction -------------------------------------------------------------------------------------


@torch.no_grad()
def extract_by_hand(vlm, pair, noun, question, frames, partners):
    """IDs of one pair with plain Hugging Face: every clip by itself."""
    shots = _shots([pair], frames, partners, PAPER_SIZES[-1], Background(), 0)
    assert len(shots) == frames * partners
    sums = torch.zeros(vlm.n_layers - 1, frames, vlm.d_model)
    for shot in shots:
        pictures = shot.stimulus.render(frame_pixels(vlm))
        inputs = video_inputs(vlm.processor, pictures, question.format(*pair))
        inputs = {name: value for name, value in inputs.items() if name != "video_metadata"}
        states = vlm.model(**inputs, output_hidden_states=True).hidden_states
        pieces = vlm.processor.tokenizer(f" {pair[noun]}", add_special_tokens=False).input_ids
        tokens = inputs["input_ids"][0].tolist()
        spots = [i for i in range(len(tokens)) if tokens[i : i + len(pieces)] == pieces]
        assert len(spots) == 1
        for layer in range(vlm.n_layers - 1):
            # The word's last token.
            state = states[layer + 1][0, spots[0] + len(pieces) - 1]
            sums[layer, shot.places[noun][0]] += state
    means = sums / partners
    return means - means.mean(1, keepdim=True)


@pytest.mark.parametrize(("pair", "noun"), [(("backpack", "frog"), 0), (("camel", "robot"), 1)])
def test_extracted_ids_are_those_computed_by_hand(watcher, pair, noun):
    ids = TemporalIDs.extract(
        watcher, [pair], noun=noun, frames=4, partners=2, batch_size=3, progress=False
    )
    assert ids.vectors.shape == (watcher.n_layers, 1, 4, watcher.d_model)
    assert ids.sites == tuple(watcher.resid_post(layer) for layer in range(watcher.n_layers))
    assert (ids.pairs, ids.noun, ids.frames) == ((pair,), noun, 4)
    expected = extract_by_hand(watcher, pair, noun, BEFORE_AFTER, 4, 2)
    assert torch.allclose(ids.vectors[:-1, 0], expected, atol=5e-5)
    assert expected.abs().max() > 0.01  # there is something to compare


def test_extraction_is_seeded_centred_and_does_not_depend_on_the_batch(small):
    def run(seed=0, **options):
        return TemporalIDs.extract(
            small, PAIRS[:2], sites=[SITES[0]], frames=4, partners=1, seed=seed,
            progress=False, **options,
        ).vectors  # fmt: skip

    first = run(batch_size=3)
    assert first.shape[0] == 1
    assert first.mean(2).abs().max() < 1e-5
    assert torch.allclose(first, run(batch_size=32), atol=1e-5)
    assert not torch.allclose(first, run(seed=1), atol=1e-5)


def test_several_kinds_of_ids_come_off_the_same_clips(small):
    pairs = [("frog", "camel"), ("camel", "frog")]
    wanted = [(0, BEFORE_AFTER), (1, LEFT_RIGHT), (1, BEFORE_AFTER)]
    options = {"frames": 4, "partners": 2, "progress": False}
    together = TemporalIDs.extract_each(small, pairs, wanted, **options)
    for found, (noun, question) in zip(together, wanted, strict=True):
        alone = TemporalIDs.extract(small, pairs, noun, question=question, **options)
        assert (found.noun, found.pairs, found.sites) == (noun, alone.pairs, alone.sites)
        assert torch.allclose(found.vectors, alone.vectors, atol=1e-5)
    assert not torch.allclose(together[1].vectors, together[2].vectors, atol=1e-3)


def test_ids_that_were_kept_are_read_and_not_computed(small, tmp_path):
    options = {"frames": 3, "partners": 1, "progress": False, "save_to": tmp_path}
    first = TemporalIDs.extract(small, PAIRS[:1], **options)
    marked = TemporalIDs(torch.ones_like(first.vectors), first.sites, first.pairs, 0, first.model)
    (path,) = tmp_path.glob("*.safetensors")
    marked.save(path)
    assert torch.equal(TemporalIDs.extract(small, PAIRS[:1], **options).vectors, marked.vectors)
    assert not torch.equal(
        TemporalIDs.extract(small, PAIRS[:1], seed=1, **options).vectors, marked.vectors
    )


def test_a_real_pair_is_one_that_training_may_show(small):
    options = {"frames": 3, "sites": [SITES[0]]}
    first, second = extract_temporal_ids(small, pairs=3, partners=1, seed=5, **options)
    assert (first.noun, second.noun) == (0, 1)
    assert first.pairs == second.pairs and len(set(first.pairs)) == 3
    for pair in first.pairs:
        assert set(pair) <= set(PAPER_OBJECTS) and not is_held_out_pair(*pair)


# Cases about clips ------------------------------------------------------------------------------


def test_cases_know_when_their_objects_appear(small):
    drawn = clips(6, 0, "events", held_out=True)
    cases = clip_cases(small, drawn, source="test")
    assert cases
    for case in cases:
        clip = drawn[case.labels["scene"]]
        assert case.places == tuple(clip.middle(name) for name in case.names)
        assert is_held_out_pair(*case.names)
        assert case.prompt.question == BEFORE_AFTER.format(*case.names)
        assert len(case.prompt.frames) == len(clip)
        # +1 pushes towards "Before": the false answer if the first noun's object comes after.
        assert case.toward == (-1 if comes_before(clip, *case.names) else 1)
        assert case.labels["source"] == "test"
        back = reverse(clip)
        assert backwards(case, len(clip)) == tuple(back.middle(name) for name in case.names)
    orders = defaultdict(set)
    for case in cases:
        orders[case.labels["scene"]].add((case.labels["order"], case.names))
    for found in orders.values():
        assert {order for order, _ in found} == {0, 1}
        assert len({names for _, names in found}) == 2


def test_cases_about_places_and_clips_without_an_answer(small):
    left = flash("frog", (1, 0), 2, 0.2) | flash("frog", (1, 0), 3, 0.2)
    around = {frame: Placed("camel", 0.875, 0.375, 0.2) for frame in range(8)}
    clip = compose([left, around], Background())
    assert clip_cases(small, [clip]) == []  # the camel comes before, and goes after
    first, second = clip_cases(small, [clip], "left_right")
    assert (first.names, second.names) == (("camel", "frog"), ("frog", "camel"))
    assert first.places == ((1.0, 3.0), (1.0, 0.0))
    assert (first.toward, second.toward) == (1, -1)
    (only,) = clip_cases(small, [clip], "left_right", orders=[1])
    assert only.names == ("frog", "camel")


# Planted ----------------------------------------------------------------------------------------


class Watcher(Plant):
    """Looks at clips of flashes, and writes when (and in which column) each object is."""

    def __init__(self, model, processor, answers_from):
        super().__init__(model, processor, writes=True, answers_from=answers_from)
        table, pieces = model.get_input_embeddings().weight, processor.tokenizer
        self.words[0] = [
            table.detach()[pieces.convert_tokens_to_ids(f"▁{word}")] for word in ("Before", "After")
        ]

    def _pixels(self, scene):
        pictures = self.processor.image_processor(scene.render(112), return_tensors="pt")
        return pictures.pixel_values[0, 0, :, ::4, ::4]

    def _templates(self):
        """How each object looks in each cell at each size: [columns, ..., 3, 28, 28]."""
        found = {}
        for name in PAPER_OBJECTS:
            looks = [
                self._pixels(Scene((flash(name, (row, column), 0, size)[0],)))
                for column in range(4)
                for row in range(4)
                for size in PAPER_SIZES[1:]
            ]
            found[name] = torch.stack(looks)
        return found

    def find(self, video, name):
        """(frame, column), each from the middle, times the gain."""
        key = (name, zlib.crc32(video.contiguous().numpy().tobytes()))
        if key not in self.seen:
            looks = self.templates[name]
            misses = (video[:, None, :, ::4, ::4] - looks).abs().mean((2, 3, 4))
            frame, look = divmod(int(misses.argmin()), len(looks))
            self.seen[key] = GAIN * torch.tensor([frame - 3.5, look // 12 - 1.5])
        return self.seen[key]

    def keep_image(self, tower, arguments, inputs):
        frames = arguments[0] if arguments else inputs["pixel_values"]
        self.images = frames.unflatten(0, (-1, 8))


def planted_video(answers_from):
    model, processor = small_video_model(seed=3)
    # Quiet weights: what was planted must not drown in what random blocks add.
    for block in model.get_decoder().layers:
        for parameter in block.parameters():
            if parameter.ndim == 2:
                parameter.data *= 0.1
    Watcher(model, processor, answers_from)
    return load_vlm(model, processor, device="cpu")


@pytest.fixture(scope="module")
def planted():
    return planted_video("stream")


@pytest.fixture(scope="module")
def readable():
    return planted_video("pixels")


@pytest.fixture(scope="module")
def found(planted):
    return extract_temporal_ids(planted, pairs=3, partners=2)


def drawn_cases(vlm, count=8):
    """One question about each clip: the planted hooks know one question for each video."""
    drawn = clips(8 * count, 4, "flashes", held_out=True)
    apart = [clip for clip in drawn if abs(np.subtract(*map(clip.middle, clip.names))) > 1]
    cases = clip_cases(vlm, apart[:count], orders=[0], part="first")
    cases += clip_cases(vlm, apart[count : 2 * count], orders=[1], part="second")
    return trials.with_beliefs(vlm, cases)


@pytest.mark.parametrize("name", ["planted", "readable"])
def test_both_answer_right(request, name):
    cases = drawn_cases(request.getfixturevalue(name))
    assert len(cases) == 16 and all(case.labels["right"] for case in cases)


@pytest.mark.parametrize("noun", [0, 1])
def test_extraction_recovers_the_planted_axis_and_nothing_of_place(found, noun):
    ids = found[noun]
    assert geometry.cosine(ids.axis(SITE), TIME_AXIS) >= 0.99
    assert ids.axis(SITE).norm() == pytest.approx(float(TIME_AXIS.norm()), rel=0.05)  # per frame
    expected = (torch.arange(8) - 3.5)[:, None] * TIME_AXIS
    for each in (ids.mean(SITE), *ids.at(SITE)):
        missed = (each - expected).square().sum() / expected.square().sum()
        assert missed < 0.02  # the cells' part of the stream, PLACE_AXIS, has fallen out
    before = ids.mean(f"blocks.{WRITES - 1}.hook_resid_post").norm(dim=-1).mean()
    assert ids.mean(SITE).norm(dim=-1).mean() > 20 * before


def test_a_time_between_frames_has_a_vector_between(found):
    first, _ = found
    assert geometry.cosine(first.interpolate(SITE, 2.5), -TIME_AXIS) >= 0.99
    step = first.difference(SITE, 1.25, 6.75)
    assert step.norm() == pytest.approx(5.5 * float(TIME_AXIS.norm()), rel=0.05)


def swapped(vlm, ids, site=SITE, dose=1.0, **seeds):
    """Share of beliefs that swap with both objects at each other's time, by arm."""
    jobs = []
    for case in drawn_cases(vlm):
        arms = trials.arms(case, ids, site, trials.exchanged(case), seeds)
        for (arm, seed), vectors in arms.items():
            jobs.append(trials.steering_job(case, site, vectors, dose, arm=arm, seed=seed))
    return trials.run(vlm, jobs).groupby("arm")["swapped"].mean()


def test_steering_swaps_before_and_after_and_noise_does_not(planted, found):
    share = swapped(planted, found, random=3)
    assert share["spatial IDs"] == 1
    assert share["random"] <= 0.1
    assert swapped(planted, found, dose=0.3)["spatial IDs"] == 0  # less than half of the way
    assert swapped(planted, found, dose=-1)["spatial IDs"] == 0  # further the way it was
    late = planted.resid_post(3)
    assert swapped(planted, found, late)["spatial IDs"] == 0  # they were read already


def test_ids_that_nobody_reads_do_not_steer(readable, found):
    assert swapped(readable, found)["spatial IDs"] == 0


def test_a_push_across_the_picture_leaves_time_alone(planted, found):
    options = {"sites": [SITE], "frames": 8, "partners": 1, "progress": False}
    places = tuple(
        SpatialIDs.extract(planted, [("frog", "camel")], noun, **options) for noun in (0, 1)
    )
    jobs = []
    for case in drawn_cases(planted, 4):
        aimed = trials.aimed(case, found, SITE, trials.exchanged(case))
        vectors = across_the_picture(places, SITE, aimed)
        for vector, own in zip(vectors, aimed, strict=True):
            assert vector.norm() == pytest.approx(float(own.norm()), rel=1e-4)
            assert geometry.cosine(vector, PLACE_AXIS) >= 0.99
        jobs.append(trials.steering_job(case, SITE, vectors))
    assert not trials.run(planted, jobs)["swapped"].any()


# Bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"frames": 1}, "no time in a clip of 1 frames"),
        ({"partners": 0}, "partners must be at least 1"),
        ({"noun": 2}, "noun must be 0"),
        ({"sites": ["blocks.99.hook_resid_post"]}, r"no hook called 'blocks\.99"),
    ],
)
def test_what_cannot_be_extracted(small, options, says):
    with pytest.raises(ValueError, match=says):
        TemporalIDs.extract(small, [("frog", "camel")], progress=False, **options)


def test_no_pairs_and_nothing_wanted(small):
    with pytest.raises(ValueError, match="empty list of pairs"):
        TemporalIDs.extract(small, [])
    with pytest.raises(ValueError, match="nothing is wanted"):
        TemporalIDs.extract_each(small, [("frog", "camel")], [])
    with pytest.raises(ValueError, match="no sprite for 'zebra'"):
        TemporalIDs.extract(small, [("frog", "zebra")], progress=False)


def test_a_model_of_pictures_takes_no_videos(vlm):
    with pytest.raises(ValueError, match="takes no videos"):
        TemporalIDs.extract(vlm, [("frog", "camel")], progress=False)
    with pytest.raises(ValueError, match="takes no videos"):
        vlm.prompt(Video(tuple(clips(1, 0)[0].render(32))), "What?")


def test_an_object_that_never_appears():
    clip = Clip((Scene(()), Scene((Placed("frog", 0.5, 0.5, 0.3),))))
    for call in (clip.when, clip.middle, clip.path):
        with pytest.raises(ValueError, match="no 'zebra' appears in this clip of 2 frames; it has"):
            call("zebra")
    with pytest.raises(ValueError, match="frog"):
        comes_before(clip, "frog", "zebra")


def test_files_that_hold_something_else(ids, small, tmp_path):
    path = tmp_path / "ids.safetensors"
    with pytest.raises(FileNotFoundError, match="no file with temporal IDs"):
        TemporalIDs.load(path)
    SpatialIDs(torch.zeros(1, 1, 2, 2, 4), SITES[:1], PAIRS[:1], 0, "by hand").save(path)
    with pytest.raises(ValueError, match="holds no temporal IDs"):
        TemporalIDs.load(path)
    ids.save(path)
    with pytest.raises(ValueError, match="holds no spatial IDs"):
        SpatialIDs.load(path)
    with pytest.raises(ValueError, match="IDs of 'by hand'; the model here is"):
        TemporalIDs.load(path, small)
    with pytest.raises(ValueError, match=r"no IDs were read at 'blocks\.7"):
        TemporalIDs.load(path, sites=["blocks.7.hook_resid_post"])
    with pytest.raises(ValueError, match=r"no IDs were read at 'blocks\.7"):
        ids.axis("blocks.7.hook_resid_post")
    path.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="no safetensors file"):
        TemporalIDs.load(path)
