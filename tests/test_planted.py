"""Models whose spatial IDs are known, because they were put there.

Three small LLaVAs with random weights carry plain torch hooks, which know nothing of our code:

- ``planted``: block 1 looks at the pixels, finds the objects that the question names, and adds
  ``column * COLUMN_AXIS + row * ROW_AXIS`` at the last token of each name. Block 3 reads these
  vectors off the stream and pushes the last token towards Left or Right, Above or Below.
- ``direct``: answers alike, but the last token looks at the pixels itself; names carry nothing.
- ``readable``: the planted vectors are there, and nobody reads them: it answers as ``direct``.

Every method must say yes on the first, and no where there is nothing to find.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import count_hooks, random_llava

from helpers import (
    Job,
    Placed,
    Scene,
    SpatialIDs,
    geometry,
    grid_scenes,
    load_vlm,
    mirror,
    mirror_swap,
    random_direction,
    stats,
    steer,
    sweep,
)
from helpers.ids import LEFT_RIGHT
from helpers.stimuli import questions
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.sprites import PAPER_OBJECTS
from helpers.training import mechanism
from helpers.training.build import Shape

SHAPE = Shape(vision_layers=1, vision_width=32, layers=5, width=64, heads=2, mlp_width=64)
WRITES, READS = 1, 3
ABOVE_BELOW = "Is the {0} above or below the {1}?"
PAIRS = [("frog", "camel"), ("backpack", "dog"), ("cake", "teapot")]
TEST_PAIRS = [("robot", "log"), ("person", "backpack")]
SITE = f"blocks.{WRITES}.hook_resid_post"

generator = torch.Generator().manual_seed(7)
# Neither orthogonal nor of one length: nothing may rest on that.
COLUMN_AXIS = 4 * torch.nn.functional.normalize(torch.randn(64, generator=generator), dim=0)
ROW_AXIS = 3 * torch.nn.functional.normalize(torch.randn(64, generator=generator), dim=0)
ROW_AXIS += 0.25 * COLUMN_AXIS


class Plant:
    """Looks at the pixels and the words that a model is given, and writes what it sees."""

    def __init__(self, model, processor, writes, answers_from):
        self.model, self.processor = model, processor
        tokenizer = processor.tokenizer
        self.names = {
            name: tokenizer(f" {name}", add_special_tokens=False).input_ids
            for name in PAPER_OBJECTS
        }
        table = model.get_input_embeddings().weight.detach()
        pieces = tokenizer.convert_tokens_to_ids
        self.colon, self.above = pieces("▁ASSISTANT:"), pieces("▁above")
        pairs = ("Left", "Right"), ("Above", "Below")
        self.words = [[table[pieces(f"▁{word}")] for word in pair] for pair in pairs]
        self.templates, self.seen = self._templates(), {}
        blocks = model.get_decoder().layers
        model.model.vision_tower.register_forward_pre_hook(self.keep_image, with_kwargs=True)
        model.register_forward_pre_hook(self.keep_words, with_kwargs=True)
        blocks[0].register_forward_pre_hook(self.look)
        if writes:
            blocks[WRITES].register_forward_hook(self.write, with_kwargs=True)
        blocks[READS].register_forward_hook(self.answer, with_kwargs=True)
        self.answers_from = answers_from

    def _pixels(self, scene):
        return self.processor.image_processor(scene.render(), return_tensors="pt").pixel_values[0]

    def _templates(self):
        """How each object looks in a cell of an empty grid, at each size: [3, 28, 28]."""
        sizes = [
            (name, size, self._pixels(Scene((Placed(name, 0.375, 0.375, size),))))
            for name in PAPER_OBJECTS
            for size in PAPER_SIZES
        ]
        return {(name, size): image[:, 28:56, 28:56] for name, size, image in sizes}

    def find(self, image, name):
        """(column, row) of the object, from the middle of the grid, by comparing pictures."""
        key = (name, image.numpy().tobytes())
        if key not in self.seen:
            self.seen[key] = self._compare(image, name)
        return self.seen[key]

    def _compare(self, image, name):
        cells = image.unfold(1, 28, 28).unfold(2, 28, 28).permute(1, 2, 0, 3, 4)
        misses = [
            (cells - template).abs().mean((2, 3, 4))
            for (other, _), template in self.templates.items()
            if other == name
        ]
        row, column = divmod(int(torch.stack(misses).amin(0).argmin()), 4)
        return torch.tensor([column - 1.5, row - 1.5])

    def keep_image(self, tower, arguments, inputs):
        self.images = arguments[0] if arguments else inputs["pixel_values"]

    def keep_words(self, model, arguments, inputs):
        self.ids = inputs["input_ids"].tolist()

    def look(self, block, arguments):
        """Find what each prompt names. While an answer is written, there is nothing to find."""
        self.rows = []
        if len(self.ids[0]) == 1:
            return
        for ids, image in zip(self.ids, self.images, strict=True):
            spots = sorted(
                (start + len(pieces) - 1, name)
                for name, pieces in self.names.items()
                for start in range(len(ids))
                if ids[start : start + len(pieces)] == pieces
            )
            places = torch.stack([self.find(image, name) for _, name in spots])
            last = max(i for i, token in enumerate(ids) if token == self.colon)
            spots = [spot for spot, _ in spots]
            axis = int(self.above in ids)  # what is asked: the column or the row
            self.rows.append(SimpleNamespace(spots=spots, places=places, last=last, axis=axis))

    def rows_of(self, output, inputs):
        """Each row of a batch with what it asks, and the position of its first token.

        A fast pass holds several rows for each prompt of the last full one, and of those only the
        tokens from some position on.
        """
        start, prompts = int(inputs["position_ids"].flatten()[0]), len(self.rows)
        for index, stream in enumerate(output) if prompts else ():
            number = index // (len(output) // prompts)
            yield number, stream, self.rows[number], start

    def write(self, block, arguments, inputs, output):
        output = output.clone()
        for _, stream, row, start in self.rows_of(output, inputs):
            added = row.places @ torch.stack([COLUMN_AXIS, ROW_AXIS])
            for spot, vector in zip(row.spots, added, strict=True):
                if spot >= start:
                    stream[spot - start] += vector
        return output

    def answer(self, block, arguments, inputs, output):
        output = output.clone()
        if len(output) == len(self.rows) and int(inputs["position_ids"].flatten()[0]) == 0:
            self.full = output.clone()
        for number, stream, row, start in self.rows_of(output, inputs):
            places = row.places
            if self.answers_from == "stream":
                axes = torch.stack([COLUMN_AXIS, ROW_AXIS], dim=1)
                whole = torch.cat([self.full[number, :start], stream])
                places = whole[row.spots] @ torch.linalg.pinv(axes).T
            further = (places[0] - places[1])[row.axis]
            low, high = self.words[row.axis]
            stream[row.last - start] += 200 * (low + high) + 40 * further * (high - low)
        return output


def planted_llava(writes, answers_from):
    model, processor = random_llava(SHAPE, seed=3)
    # Quiet weights: what was planted must not drown in what random blocks add.
    for block in model.get_decoder().layers:
        for parameter in block.parameters():
            if parameter.ndim == 2:
                parameter.data *= 0.1
    before = count_hooks(model)
    Plant(model, processor, writes, answers_from)
    assert count_hooks(model) == before + 4 + writes
    return load_vlm(model, processor, device="cpu")


@pytest.fixture(scope="module")
def planted():
    return planted_llava(writes=True, answers_from="stream")


@pytest.fixture(scope="module")
def direct():
    return planted_llava(writes=False, answers_from="pixels")


@pytest.fixture(scope="module")
def readable():
    return planted_llava(writes=True, answers_from="pixels")


@pytest.fixture(scope="module")
def ids(planted):
    return SpatialIDs.extract(planted, PAIRS + TEST_PAIRS, partners=1, progress=False)


def asked(vlm, axis, pairs=TEST_PAIRS, count=16):
    """Grid scenes with an answer: (scene, pair, prompt), a fixed choice among all of them."""
    ask = mechanism.ASK[axis]
    drawn = [(scene, ask(scene, *scene.names)) for scene in grid_scenes(pairs)]
    drawn = [(scene, question) for scene, question in drawn if question is not None]
    chosen = np.random.default_rng(0).choice(len(drawn), count, replace=False)
    return [(s, q, vlm.prompt(s.render(), q.text)) for s, q in (drawn[i] for i in chosen)]


# The models do what they are said to do ---------------------------------------------------------


@pytest.mark.parametrize("name", ["planted", "direct", "readable"])
def test_all_three_answer_right(request, name):
    vlm = request.getfixturevalue(name)
    for axis in ("column", "row"):
        drawn = asked(vlm, axis)
        answers = questions.ANSWERS[drawn[0][1].kind]
        table = vlm.beliefs([prompt for _, _, prompt in drawn], answers)
        assert table["belief"].tolist() == [question.answer for _, question, _ in drawn]
        assert table["valid"].all()
    _, question, prompt = drawn[0]
    assert vlm.generate(prompt, max_new_tokens=1) == question.answer


# Extraction -------------------------------------------------------------------------------------


@pytest.mark.parametrize("noun", [0, 1])
@pytest.mark.parametrize("question", [LEFT_RIGHT, ABOVE_BELOW])
def test_extraction_recovers_the_planted_axes(planted, noun, question):
    ids = SpatialIDs.extract(
        planted, PAIRS, noun=noun, sites=[SITE], partners=1, question=question, progress=False
    )
    axes = ids.axes(SITE)
    assert geometry.cosine(axes.column, COLUMN_AXIS) >= 0.99
    assert geometry.cosine(axes.row, ROW_AXIS) >= 0.99
    assert axes.column.norm() == pytest.approx(float(COLUMN_AXIS.norm()), rel=0.05)  # per cell
    assert axes.row.norm() == pytest.approx(float(ROW_AXIS.norm()), rel=0.05)
    # Column and row are told apart: the axes planted have a cosine of their own.
    assert geometry.cosine(axes.column, ROW_AXIS) < 0.6


def test_ids_are_where_they_were_planted_and_not_before(planted, ids):
    assert ids.vectors.shape == (5, 5, 4, 4, 64)
    before = ids.mean(f"blocks.{WRITES - 1}.hook_resid_post").norm(dim=-1).mean()
    after = ids.mean(SITE).norm(dim=-1).mean()
    assert after > 20 * before
    r, c = torch.meshgrid(torch.arange(4) - 1.5, torch.arange(4) - 1.5, indexing="ij")
    expected = c[..., None] * COLUMN_AXIS + r[..., None] * ROW_AXIS
    cosines = geometry.cosine(ids.mean(SITE), expected)
    assert cosines.min() >= 0.99
    # Between centres, too.
    half = ids.interpolate(SITE, 0.5, 2.75)
    assert geometry.cosine(half, -ROW_AXIS + 1.25 * COLUMN_AXIS) >= 0.99


def test_the_geometry_of_held_out_pairs_is_a_plane_with_a_grid_on_it(ids):
    train, test = ids.subset(PAIRS), ids.subset(TEST_PAIRS)
    held_out, axes = test.mean(SITE), train.axes(SITE)
    assert geometry.linear_fit(train.at(SITE), test.at(SITE)) > 0.97
    assert geometry.rank_fit(train.at(SITE), held_out, (1, 2))["r2"].tolist() == [
        pytest.approx(0.6, abs=0.2),
        pytest.approx(1, abs=0.03),
    ]
    assert geometry.plane_share(held_out, axes) > 0.97
    spots = geometry.on_plane(held_out, axes)
    r, c = np.meshgrid(np.arange(4) - 1.5, np.arange(4) - 1.5, indexing="ij")
    assert spots == pytest.approx(np.stack([c, r], axis=-1), abs=0.2)


def test_a_model_without_ids_has_none_to_extract(direct, ids):
    nothing = SpatialIDs.extract(direct, PAIRS[:2], sites=[SITE], partners=1, progress=False)
    assert nothing.mean(SITE).norm(dim=-1).mean() < 0.05 * ids.mean(SITE).norm(dim=-1).mean()


# Steering ---------------------------------------------------------------------------------------


def flips(vlm, ids, axis, site, dose=1.0, seed=None):
    """Share of beliefs that swap when both objects are moved to each other's places.

    With a seed, the direction is random, of the same norm.
    """
    drawn = asked(vlm, axis)
    answers = questions.ANSWERS[drawn[0][1].kind]
    noise = None if seed is None else torch.Generator().manual_seed(seed)
    jobs = []
    for scene, question, prompt in drawn:
        cells = [(p.y * 4 - 0.5, p.x * 4 - 0.5) for p in map(scene.find, question.objects)]
        edits = []
        spans = prompt.words(question.objects)
        for span, origin, target in zip(spans, cells, cells[::-1], strict=True):
            direction = ids.difference(site, origin, target)
            if noise is not None:
                direction = random_direction(direction, noise)
            edits.append(steer(site, span, direction, dose))
        jobs.append(Job(prompt, tuple(edits)))
    after = sweep(vlm, jobs, answers, progress=False)["belief"]
    # Before, every belief is right: a test above holds that.
    return float(np.mean([now != q.answer for now, (_, q, _) in zip(after, drawn, strict=True)]))


@pytest.mark.parametrize("axis", ["column", "row"])
@pytest.mark.parametrize("layer", [WRITES, WRITES + 1])
def test_steering_flips_beliefs_and_noise_of_the_same_norm_does_not(planted, ids, axis, layer):
    site = planted.resid_post(layer)
    train = ids.subset(PAIRS)  # steered on objects that the IDs were not read from
    assert flips(planted, train, axis, site) == 1
    assert max(flips(planted, train, axis, site, seed=seed) for seed in range(3)) <= 0.1
    assert flips(planted, train, axis, site, dose=0.3) == 0  # less than half of the way
    assert flips(planted, train, axis, site, dose=-1) == 0  # further the way it was


def test_steering_is_too_late_after_the_ids_were_read(planted, ids):
    assert flips(planted, ids, "column", planted.resid_post(READS)) == 0


@pytest.mark.parametrize("name", ["direct", "readable"])
def test_ids_that_nobody_reads_do_not_steer(request, ids, name):
    """A readable ID need not be a used one."""
    vlm = request.getfixturevalue(name)
    assert flips(vlm, ids, "column", SITE) == 0


def test_moving_an_object_along_one_axis_leaves_the_other_question_alone(planted, ids):
    drawn = asked(planted, "column")
    down = ids.difference(SITE, (0, 1.5), (3, 1.5))
    prompts = [prompt for _, _, prompt in drawn]
    before = planted.beliefs(prompts, ("Left", "Right"))["log_odds"]
    jobs = [Job(p, (steer(SITE, p.words(q.objects)[0], down),)) for _, q, p in drawn]
    after = sweep(planted, jobs, ("Left", "Right"), progress=False)["log_odds"]
    assert (np.sign(before) == np.sign(after)).all()


# Mirror swap ------------------------------------------------------------------------------------


def recovered(vlm, axis="column", change=mirror):
    """Recovered fraction by block and by group of tokens."""
    drawn = asked(vlm, axis, count=8)
    clean = [prompt for _, _, prompt in drawn]
    other = [vlm.prompt(change(s, axis).render(), q.text) for s, q, _ in drawn]
    words = [p.words(q.objects) for (_, q, p) in drawn]
    groups = {
        "object words": [[*a, *b] for a, b in words],
        "last tokens of the words": [[span[-1] for span in spans] for spans in words],
        "last token": [[p.last] for p in clean],
        "words between": [list(range(a[-1] + 1, b[0])) for a, b in words],
    }
    answers = questions.ANSWERS[drawn[0][1].kind]
    table = mirror_swap(vlm, clean, other, groups, answers, progress=False)
    return stats.recovered_by(table, ["group", "layer"]).set_index(["group", "layer"])["estimate"]


@pytest.mark.parametrize("axis", ["column", "row"])
def test_the_mirror_swap_finds_where_the_information_is(planted, axis):
    share = recovered(planted, axis)
    for group in ("object words", "last tokens of the words"):
        expected = [0, 1, 1, 0, 0]  # from where it is written to before it is read
        assert share[group].tolist() == pytest.approx(expected, abs=0.1)
    assert share["last token"].tolist() == pytest.approx([0, 0, 0, 1, 1], abs=0.1)
    assert share["words between"].tolist() == pytest.approx([0] * 5, abs=0.1)


@pytest.mark.parametrize("name", ["direct", "readable"])
def test_the_mirror_swap_says_no_where_words_are_not_used(request, name):
    share = recovered(request.getfixturevalue(name))
    assert share["object words"].tolist() == pytest.approx([0] * 5, abs=0.05)
    assert share["last token"].tolist() == pytest.approx([0, 0, 0, 1, 1], abs=0.1)


def test_what_training_watches_agrees(planted, direct):
    """The figures in the training log come from these functions."""
    for axis in ("column", "row"):
        for vlm, expected in ((planted, [0, 1, 1, 0, 0]), (direct, [0] * 5)):
            table = mechanism.object_word_swap(vlm, "grid", axis, count=8)
            share = stats.recovered_by(table, ["layer"])["estimate"]
            assert share.tolist() == pytest.approx(expected, abs=0.1)
