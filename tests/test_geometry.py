"""Geometry on vectors whose planes, ranks and fits are known."""

import numpy as np
import pytest
import torch

from helpers import geometry
from helpers.ids import Axes
from helpers.reading import read_states

COLUMN, ROW = torch.tensor([2.0, 0, 0, 1, 0, 0]), torch.tensor([1.0, 3, 0, 0, 0, 0])


def grid(column=COLUMN, row=ROW, rows=3, columns=4):
    """IDs linear in the cell, ``[rows, columns, d_model]``, centred."""
    r, c = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (r - (rows - 1) / 2)[..., None] * row + (c - (columns - 1) / 2)[..., None] * column


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_cells_are_flattened_row_by_row_with_their_places():
    ids = torch.arange(2 * 3 * 4).reshape(2, 3, 4, 1).float()
    places, vectors = geometry.as_cells(ids)
    assert places.shape == (24, 2)
    for (r, c), vector, pair in zip(places, vectors, [0] * 12 + [1] * 12, strict=True):
        assert vector == ids[pair, int(r), int(c)].numpy()


def test_coordinates_in_a_skewed_plane_come_back():
    """The axes are neither orthogonal nor of unit length."""
    axes = Axes(COLUMN, ROW)
    vectors = 1.5 * COLUMN - 2 * ROW + torch.tensor([0, 0, 5.0, 0, 0, 0])
    assert geometry.on_plane(vectors, axes) == pytest.approx([1.5, -2], abs=1e-5)
    found = geometry.on_plane(grid(), axes)  # (cells rightward, cells downward)
    assert found[0, 0] == pytest.approx([-1.5, -1], abs=1e-5)
    assert found[0, 3] == pytest.approx([1.5, -1], abs=1e-5)
    assert found[2, 0] == pytest.approx([-1.5, 1], abs=1e-5)


def test_the_share_in_the_plane():
    axes = Axes(COLUMN, ROW)
    outside = torch.tensor([0, 0, 1.0, 0, 0, 0])
    assert geometry.plane_share(grid(), axes) == pytest.approx(1, abs=1e-5)
    assert geometry.plane_share(outside, axes) == pytest.approx(0, abs=1e-6)
    half = COLUMN / COLUMN.norm() + outside
    assert geometry.plane_share(half, axes) == pytest.approx(0.5, abs=1e-5)
    pairs = torch.stack([grid(), grid()])
    over_pairs = geometry.plane_share_over_pairs(pairs, axes)
    assert over_pairs.estimate == pytest.approx(1, abs=1e-5)
    assert over_pairs.n == 2


def test_a_linear_map_fits_linear_ids_and_nothing_else():
    train = torch.stack([grid(), grid()])
    assert geometry.linear_fit(train, grid()) == pytest.approx(1, abs=1e-6)
    # Fitted on one set, scored on the other: the opposite IDs are missed by far.
    assert geometry.linear_fit(train, -grid()) == pytest.approx(-3, abs=1e-4)
    bowl = (grid() ** 2).sum(-1, keepdim=True)
    bowl = bowl - bowl.mean()
    assert geometry.linear_fit(bowl, bowl) < 0.35
    assert geometry.linear_fit(noise(0, 8, 3, 4, 6), noise(1, 3, 4, 6)) < 0.1
    prediction = geometry.linear_prediction(train + 3)
    assert torch.allclose(prediction, grid() + 3, atol=1e-5)


def test_the_rank_fit_counts_dimensions():
    """Variance 12 along one axis, 3 along a second, orthogonal one."""
    column, row = torch.eye(6)[0] * 2, torch.eye(6)[1]
    ids = grid(column, row, 4, 4)
    table = geometry.rank_fit(torch.stack([ids, ids]), ids, (1, 2, 3))
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["r2"].tolist() == pytest.approx([0.8, 1, 1], abs=1e-5)
    assert geometry.rank_fit(ids, -ids, (2,))["r2"][0] == pytest.approx(-3, abs=1e-4)  # held out


def test_r2_over_pairs_agrees_with_the_r2_of_all_of_them():
    test = torch.stack([grid() + 0.3 * noise(seed, 3, 4, 6) for seed in range(5)])
    test = test - test.mean((1, 2), keepdim=True)
    over_pairs = geometry.r2_over_pairs(geometry.linear_prediction(grid()), test)
    assert over_pairs.estimate == pytest.approx(geometry.linear_fit(grid(), test), abs=1e-4)
    assert over_pairs.low <= over_pairs.estimate <= over_pairs.high
    assert over_pairs.n == 5


def test_principal_components_of_a_plane():
    model = geometry.pca(grid(rows=4), 3)
    assert model.explained_variance_ratio_[:2].sum() == pytest.approx(1, abs=1e-5)


def test_probes_are_tested_on_objects_that_they_never_saw():
    rng = np.random.default_rng(0)
    order = rng.permutation(160)  # no fold holds whole objects by chance
    number = np.repeat(np.arange(10), 16)[order]
    objects = [f"object {i}" for i in number]
    places = np.tile([[r, c] for r in range(4) for c in range(4)], (10, 1))[order].astype(float)
    mixing = rng.normal(size=(2, 20))
    shared = places @ mixing + 0.01 * rng.normal(size=(160, 20))
    table = geometry.probe(shared, places, objects).set_index("axis")["r2"]
    assert table["row"] > 0.95
    assert table["column"] > 0.95
    # Each object has dimensions of its own: readable within objects, not across them.
    own = np.zeros((160, 20))
    for i in range(10):
        own[number == i, 2 * i : 2 * i + 2] = places[number == i] - 1.5
    assert geometry.probe(own, places, objects)["r2"].max() < 0.1
    # Only the row is there: the column's probe says no.
    only_row = places[:, :1] @ mixing[:1] + 0.1 * rng.normal(size=(160, 20))
    table = geometry.probe(only_row, places, objects).set_index("axis")["r2"]
    assert table["row"] > 0.95
    assert table["column"] < 0.1


def test_cosines():
    assert geometry.cosine(COLUMN, 3 * COLUMN) == pytest.approx(1)
    assert geometry.cosine(COLUMN, -COLUMN) == pytest.approx(-1)
    assert geometry.cosine(torch.eye(3)[:2], torch.eye(3)[1:]).tolist() == [0, 0]


# Words ------------------------------------------------------------------------------------------


def test_states_at_positions_are_those_of_the_cache(vlm, prompts):
    sites = [vlm.resid_post(0), vlm.resid_post(1)]
    where = [[0, prompt.last] for prompt in prompts]
    states = read_states(vlm, prompts, where, sites, batch_size=2)
    assert states.shape == (2, 3, 2, vlm.d_model)
    for number, site in enumerate(sites):
        for row, prompt in enumerate(prompts):
            alone = vlm.run_with_cache(prompt, site)[1][site][0, where[row]]
            assert torch.allclose(states[number, row], alone, atol=1e-5)


def test_a_word_contrast_is_to_less_from(vlm, prompts):
    question, site = "Is it left or right?", vlm.resid_post(0)
    image = prompts[0].image
    contrast, null = geometry.word_contrast(vlm, [image], [question], ("left", "right"), [site])
    prompt = vlm.prompt(image, question)
    states = vlm.run_with_cache(prompt, site)[1][site][0]
    expected = states[prompt.word("right")[-1]] - states[prompt.word("left")[-1]]
    assert torch.allclose(contrast[0], expected, atol=1e-5)
    others = len(prompt.text_positions) - 2
    assert null.shape == (1, others * (others - 1) // 2, vlm.d_model)


@torch.no_grad()
def test_the_unembedding_contrast_raises_one_token_against_another(vlm, prompt):
    tokenizer = vlm.processor.tokenizer
    right, left = (tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("Right", "Left"))
    direction = geometry.unembedding_contrast(vlm, [right], [left])[0]

    def push(resid, hook):
        resid[:, prompt.last] += direction

    site = vlm.resid_post(vlm.n_layers - 1)
    before, after = vlm.last_logits(prompt), vlm.last_logits(prompt, [(site, push)])
    odds = [float(logits[0, right] - logits[0, left]) for logits in (before, after)]
    assert odds[1] > odds[0]
