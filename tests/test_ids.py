"""Spatial IDs: extraction against plain Hugging Face, and sums against hand-made arrays."""

from collections import Counter

import numpy as np
import pytest
import torch

from helpers import Placed, Scene, SpatialIDs
from helpers.ids import LEFT_RIGHT, _shots
from helpers.stimuli.scenes import Background

SITES = ("blocks.0.hook_resid_post", "blocks.1.hook_resid_post")
PAIRS = (("frog", "camel"), ("dog", "cake"), ("log", "fan"))


@pytest.fixture
def ids():
    """3 rows and 4 columns, so that the two cannot be mistaken for each other."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(2, 3, 3, 4, 5, generator=generator)
    vectors = vectors - vectors.mean((2, 3), keepdim=True)
    return SpatialIDs(vectors, SITES, PAIRS, 0, "by hand")


def linear_ids(column, row, rows=3, columns=4):
    """IDs that are exactly linear in the cell."""
    r, c = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    grid = (r - (rows - 1) / 2)[..., None] * row + (c - (columns - 1) / 2)[..., None] * column
    return SpatialIDs(grid[None, None].float(), SITES[:1], PAIRS[:1], 0, "by hand")


# By hand ----------------------------------------------------------------------------------------


def test_the_mean_is_over_pairs(ids):
    expected = (ids.vectors[1, 0] + ids.vectors[1, 1] + ids.vectors[1, 2]) / 3
    assert torch.allclose(ids.mean(SITES[1]), expected, atol=1e-6)
    assert torch.equal(ids.at(SITES[1]), ids.vectors[1])


def test_axes_of_linear_ids_are_the_vectors_per_cell():
    """The released code's axis is two thirds of its size: three of nine differences are zero."""
    column, row = torch.tensor([1.0, 2, 0, -1]), torch.tensor([0.0, 3, 1, 0.5])
    axes = linear_ids(column, row).axes(SITES[0])
    assert torch.allclose(axes.column, column, atol=1e-5)
    assert torch.allclose(axes.row, row, atol=1e-5)


def test_axes_are_least_squares_slopes(ids):
    mean = ids.mean(SITES[0]).numpy()
    axes = ids.axes(SITES[0])
    r, c = np.meshgrid(range(3), range(4), indexing="ij")
    design = np.stack([r.ravel(), c.ravel(), np.ones(12)], axis=1)
    slopes = np.linalg.lstsq(design, mean.reshape(12, -1), rcond=None)[0]
    assert axes.row.numpy() == pytest.approx(slopes[0], abs=1e-5)
    assert axes.column.numpy() == pytest.approx(slopes[1], abs=1e-5)


def test_interpolation_is_exact_at_centres_and_bilinear_between(ids):
    mean = ids.mean(SITES[0])
    for r in range(3):
        for c in range(4):
            assert torch.allclose(ids.interpolate(SITES[0], r, c), mean[r, c], atol=1e-6)
    between = ids.interpolate(SITES[0], 1.25, 2.5)
    upper = 0.5 * mean[1, 2] + 0.5 * mean[1, 3]
    lower = 0.5 * mean[2, 2] + 0.5 * mean[2, 3]
    assert torch.allclose(between, 0.75 * upper + 0.25 * lower, atol=1e-6)


def test_interpolation_weights_sum_to_one():
    same = SpatialIDs(torch.ones(1, 1, 3, 4, 2), SITES[:1], PAIRS[:1], 0, "ones")
    for r, c in ((0, 0), (2, 3), (0, 3), (0.3, 1.9), (1.999, 0.001)):
        assert torch.allclose(same.interpolate(SITES[0], r, c), torch.ones(2), atol=1e-6)


def test_a_difference_is_target_less_origin(ids):
    mean = ids.mean(SITES[0])
    found = ids.difference(SITES[0], origin=(0, 1), target=(2, 3))
    assert torch.allclose(found, mean[2, 3] - mean[0, 1], atol=1e-6)
    back = ids.difference(SITES[0], origin=(2, 3), target=(0, 1))
    assert torch.allclose(found, -back, atol=1e-6)


def test_a_subset_keeps_its_pairs_in_the_order_asked(ids):
    part = ids.subset([PAIRS[2], PAIRS[0]])
    assert part.pairs == (PAIRS[2], PAIRS[0])
    assert torch.equal(part.vectors, ids.vectors[:, [2, 0]])
    assert (part.sites, part.noun, part.model) == (ids.sites, ids.noun, ids.model)


def test_shuffled_ids_are_the_same_vectors_at_wrong_cells(ids):
    for seed in range(20):
        shuffled = ids.shuffled(seed)
        before = ids.vectors.flatten(2, 3)
        after = shuffled.vectors.flatten(2, 3)
        # Where each cell's vector came from: one permutation for all sites and pairs.
        source = [(before[0, 0] == vector).all(-1).nonzero().item() for vector in after[0, 0]]
        assert sorted(source) == list(range(12))
        assert all(cell != origin for cell, origin in enumerate(source))
        assert torch.equal(after, before[:, :, source])
    assert torch.equal(ids.shuffled(3).vectors, ids.shuffled(3).vectors)
    assert not torch.equal(ids.shuffled(3).vectors, ids.shuffled(4).vectors)


def test_what_is_saved_comes_back(ids, tmp_path):
    # A view whose memory is not in order must be written right, too.
    turned = SpatialIDs(ids.vectors.transpose(2, 3), SITES, PAIRS, 1, "turned")
    for one in (ids, turned):
        one.save(tmp_path / "ids.safetensors")
        back = SpatialIDs.load(tmp_path / "ids.safetensors")
        assert torch.equal(back.vectors, one.vectors)
        for name in ("sites", "pairs", "noun", "model"):
            assert getattr(back, name) == getattr(one, name), name


# Extraction -------------------------------------------------------------------------------------


@torch.no_grad()
def extract_by_hand(vlm, pair, noun, grid, size, question):
    """IDs of one pair with plain Hugging Face: every cell, every partner's cell."""
    cells = [(r, c) for r in range(grid) for c in range(grid)]
    sums = torch.zeros(vlm.n_layers - 1, grid, grid, vlm.d_model)
    for cell in cells:
        for other in cells:
            if other == cell:
                continue
            places = (cell, other) if noun == 0 else (other, cell)
            placed = [
                Placed(name, (c + 0.5) / grid, (r + 0.5) / grid, size)
                for name, (r, c) in zip(pair, places, strict=True)
            ]
            inputs = vlm.processor(
                images=Scene(tuple(placed)).render(),
                text=f"USER: <image>\n{question.format(*pair)} ASSISTANT:",
                return_tensors="pt",
            )
            states = vlm.model(**inputs, output_hidden_states=True).hidden_states
            pieces = vlm.processor.tokenizer(pair[noun], add_special_tokens=False).input_ids
            ids = inputs["input_ids"][0].tolist()
            spots = [i for i in range(len(ids)) if ids[i : i + len(pieces)] == pieces]
            assert len(spots) == 1
            spot = spots[0] + len(pieces) - 1  # the word's last token
            for layer in range(vlm.n_layers - 1):
                sums[layer][cell] += states[layer + 1][0, spot]
    means = sums / (len(cells) - 1)
    return means - means.mean((1, 2), keepdim=True)


@pytest.mark.parametrize(("pair", "noun"), [(("backpack", "frog"), 0), (("camel", "hot dog"), 1)])
def test_extracted_ids_are_those_computed_by_hand(vlm, pair, noun):
    question = "Is the {0} above or below the {1}?"
    ids = SpatialIDs.extract(
        vlm, [pair], noun=noun, grid=2, partners=9, size=0.3, question=question,
        batch_size=5, progress=False,
    )  # fmt: skip
    assert ids.vectors.shape == (vlm.n_layers, 1, 2, 2, vlm.d_model)
    assert ids.sites == tuple(vlm.resid_post(layer) for layer in range(vlm.n_layers))
    assert (ids.pairs, ids.noun) == ((pair,), noun)
    expected = extract_by_hand(vlm, pair, noun, 2, 0.3, question)
    assert torch.allclose(ids.vectors[:-1, 0], expected, atol=2e-5)
    assert expected.abs().max() > 0.01  # there is something to compare


def test_ids_are_centred_over_each_pairs_cells(vlm):
    ids = SpatialIDs.extract(
        vlm, [("frog", "camel"), ("dog", "cake")], grid=2, partners=1, progress=False
    )
    assert ids.vectors.mean((2, 3)).abs().max() < 1e-5


def test_extraction_is_seeded_and_does_not_depend_on_the_batch(vlm):
    def run(seed=0, **options):
        return SpatialIDs.extract(
            vlm, [("frog", "camel")], sites=[vlm.resid_post(0)], grid=3, partners=1,
            seed=seed, progress=False, **options,
        ).vectors  # fmt: skip

    first = run(batch_size=4)
    assert first.shape[0] == 1
    assert torch.allclose(first, run(batch_size=32), atol=1e-5)
    assert not torch.allclose(first, run(seed=1), atol=1e-5)


def test_several_kinds_of_ids_come_off_the_same_images(vlm):
    """One pass for both nouns, both questions and both orders gives what single ones give."""
    pairs = [("frog", "camel"), ("dog", "cake"), ("camel", "frog")]
    wanted = [(0, LEFT_RIGHT), (1, "Is the {0} above or below the {1}?"), (1, LEFT_RIGHT)]
    options = {"grid": 3, "partners": 2, "progress": False}
    seen = []
    tower = vlm.model.model.vision_tower
    handle = tower.register_forward_hook(lambda module, inputs, output: seen.append(len(output[0])))
    try:
        together = SpatialIDs.extract_each(vlm, pairs, wanted, batch_size=100, **options)
    finally:
        handle.remove()
    assert sum(seen) == 2 * 2 * 9  # two pairs of objects, two partners, nine cells
    for found, (noun, question) in zip(together, wanted, strict=True):
        alone = SpatialIDs.extract(vlm, pairs, noun, question=question, batch_size=7, **options)
        assert (found.noun, found.pairs, found.sites) == (noun, alone.pairs, alone.sites)
        assert torch.allclose(found.vectors, alone.vectors, atol=1e-5)
    assert not torch.allclose(together[1].vectors, together[2].vectors, atol=1e-3)


@pytest.mark.parametrize("partners", [1, 3, 15])
def test_every_cell_has_its_partners_and_every_object_its_cells(partners):
    shots = _shots([("frog", "camel"), ("camel", "frog")], 4, partners, 0.2, Background(), 0, None)
    assert len(shots) == 2 * 16 * partners
    for pair, names in ((0, ("frog", "camel")), (1, ("camel", "frog"))):
        of_pair = [shot for shot in shots if shot.pair == pair]
        assert len({shot.places for shot in of_pair}) == 16 * partners
        for noun in (0, 1):
            counts = Counter(shot.places[noun] for shot in of_pair)
            assert set(counts.values()) == {partners} and len(counts) == 16
        for shot in of_pair:
            assert shot.places[0] != shot.places[1]
            for name, (row, column) in zip(names, shot.places, strict=True):
                placed = shot.stimulus.find(name)
                assert (placed.x, placed.y) == ((column + 0.5) / 4, (row + 0.5) / 4)
    assert {s.stimulus for s in shots if s.pair == 0} == {s.stimulus for s in shots if s.pair == 1}


def test_the_noun_is_found_where_it_stands_alone(vlm):
    """ "dog" in "Is the hot dog ... the dog?": the IDs of the second noun are not the first's."""
    options = {"grid": 2, "partners": 9, "size": 0.3, "progress": False}
    first, second = (
        SpatialIDs.extract(vlm, [("hot dog", "dog")], noun=noun, **options) for noun in (0, 1)
    )
    assert not torch.allclose(first.vectors, second.vectors, atol=1e-3)
    site = vlm.resid_post(0)
    scene = Scene((Placed("hot dog", 0.25, 0.25, 0.3), Placed("dog", 0.75, 0.75, 0.3)))
    prompt = vlm.prompt(scene.render(), "Is the hot dog to the left or right of the dog?")
    assert prompt.words(("hot dog", "dog"))[1] == prompt.word("dog", -1)
    assert site in second.sites
