"""Interventions as values: they do what the same edit does by hand, row by row."""

import pandas as pd
import pytest
import torch

from helpers import (
    Edit,
    Job,
    mirror,
    mirror_swap,
    random_direction,
    random_in_subspace,
    steer,
    swap,
    sweep,
    with_norm_of,
)
from helpers.interventions import as_hooks

ANSWERS = ("Left", "Right")


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def odds_by_hand(vlm, prompt, changes):
    """Log-odds with blocks' outputs changed by plain torch hooks: (block, positions, function)."""
    handles = []
    for block, positions, change in changes:

        def edit(module, arguments, output, positions=positions, change=change):
            output = output.clone()
            output[0, positions] = change(output[0, positions])
            return output

        handles.append(vlm.layers[block].register_forward_hook(edit))
    try:
        return float(vlm.beliefs(prompt, ANSWERS)["log_odds"].iloc[0])
    finally:
        for handle in handles:
            handle.remove()


def test_a_sweep_equals_the_same_edits_by_hand(vlm, prompts):
    one, two = random(1, vlm.d_model), random(2, vlm.d_model)
    first, second, third = prompts
    frog, camel = first.word("frog"), second.word("camel")
    last = [third.last - 1, third.last]
    states = random(3, 2, vlm.d_model)
    jobs = [
        Job(first, (), {"arm": "none", "n": 0}),
        Job(first, (steer(vlm.resid_post(0), frog, one, 2.5),), {"arm": "steer", "n": 1}),
        Job(second, (steer(vlm.resid_post(1), camel, two, -1),), {"arm": "steer", "n": 2}),
        Job(third, (Edit(vlm.resid_post(0), tuple(last), states, replace=True),), {"arm": "swap"}),
        Job(
            first,
            (steer(vlm.resid_post(0), frog, one), steer(vlm.resid_post(1), frog, two)),
            {"arm": "both", "n": 4},
        ),
    ]
    expected = [
        odds_by_hand(vlm, first, []),
        odds_by_hand(vlm, first, [(0, frog, lambda r: r + 2.5 * one)]),
        odds_by_hand(vlm, second, [(1, camel, lambda r: r - two)]),
        odds_by_hand(vlm, third, [(0, last, lambda r: states)]),
        odds_by_hand(vlm, first, [(0, frog, lambda r: r + one), (1, frog, lambda r: r + two)]),
    ]
    table = sweep(vlm, iter(jobs), ANSWERS, progress=False)
    assert table["log_odds"].tolist() == pytest.approx(expected, abs=1e-3)
    assert table["arm"].tolist() == ["none", "steer", "steer", "swap", "both"]
    assert len({round(value, 3) for value in expected}) == 5  # every edit does something else
    alone = sweep(vlm, jobs, ANSWERS, budget=600_000, progress=False)
    pd.testing.assert_frame_equal(table, alone, atol=1e-3)


def test_steering_writes_at_the_last_token_of_the_word_alone(vlm, prompt):
    direction = random(0, vlm.d_model)
    word = prompt.word("backpack")
    assert len(word) == 2
    edit = steer(vlm.resid_post(1), word, direction, dose=3)
    assert edit.positions == (word[-1],)
    site = vlm.resid_post(1)
    before = vlm.run_with_cache(prompt, site)[1][site]
    after = vlm.run_with_cache(prompt, site, as_hooks([[edit]]))[1][site]
    change = after - before
    assert torch.allclose(change[0, word[-1]], 3 * direction, atol=1e-5)
    change[0, word[-1]] = 0
    assert not change.any()


def test_edits_of_one_row_do_not_touch_the_others(vlm, prompt):
    edits = [[], [Edit(vlm.resid_post(0), (3,), random(0, vlm.d_model))], []]
    site = vlm.resid_post(0)
    clean = vlm.run_with_cache([prompt] * 3, site)[1][site]
    edited = vlm.run_with_cache([prompt] * 3, site, as_hooks(edits))[1][site]
    assert torch.equal(edited[[0, 2]], clean[[0, 2]])
    assert not torch.equal(edited[1], clean[1])


def test_edits_at_one_place_add_up(vlm, prompt):
    site, one, two = vlm.resid_post(0), random(1, vlm.d_model), random(2, vlm.d_model)
    clean = vlm.run_with_cache(prompt, site)[1][site]
    edits = [[Edit(site, (5,), one), Edit(site, (5,), two)]]
    edited = vlm.run_with_cache(prompt, site, as_hooks(edits))[1][site]
    assert torch.allclose(edited[0, 5] - clean[0, 5], one + two, atol=1e-5)


def test_a_swap_takes_the_other_runs_states_at_the_same_positions(vlm):
    states = random(0, 10, vlm.d_model)
    edit = swap(vlm.resid_post(0), [2, 7], states)
    assert edit.replace
    assert edit.positions == (2, 7)
    assert torch.equal(edit.vectors, states[[2, 7]])


# Controls ---------------------------------------------------------------------------------------


def test_random_controls_have_the_norm_of_what_they_control_for():
    direction, basis = 7 * random(0, 64), random(1, 3, 64)

    def draw(function, seed, *more):
        return function(direction, *more, torch.Generator().manual_seed(seed))

    for function, more in ((random_direction, ()), (random_in_subspace, (basis,))):
        noise = draw(function, 0, *more)
        assert noise.norm() == pytest.approx(float(direction.norm()), rel=1e-5)
        assert torch.equal(noise, draw(function, 0, *more))
        assert not torch.allclose(noise, draw(function, 1, *more))
    inside = draw(random_in_subspace, 0, basis)
    projector = torch.linalg.pinv(basis) @ basis
    assert torch.allclose(inside @ projector, inside, atol=1e-4)
    assert not torch.allclose(draw(random_direction, 0) @ projector, inside, atol=1)
    scaled = with_norm_of(basis[0], direction)
    assert scaled.norm() == pytest.approx(float(direction.norm()), rel=1e-5)
    assert torch.nn.functional.cosine_similarity(scaled, basis[0], dim=0) > 0.9999


def test_what_is_sent_nowhere_has_controls_that_go_nowhere():
    nothing, direction = torch.zeros(8), torch.ones(8)
    assert torch.equal(with_norm_of(direction, nothing), nothing)
    assert torch.equal(with_norm_of(nothing, nothing), nothing)
    with pytest.raises(ValueError, match="zero vector"):
        with_norm_of(nothing, direction)


def test_random_directions_have_no_preferred_direction():
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([random_direction(torch.ones(8), generator) for _ in range(2000)])
    assert draws.mean(0).norm() < 0.2  # of sqrt(8): the mean vanishes
    assert torch.allclose(draws.T @ draws / 2000, torch.eye(8), atol=0.15)


# Mirror swap ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swapped(vlm, scene):
    """A mirror swap on two prompts of different lengths, with groups whose outcome is known."""
    questions = ["Is the frog left of the backpack?", "Is the backpack to the left of the frog?"]
    clean = vlm.prompt(scene.render(), questions)
    mirrored = vlm.prompt(mirror(scene).render(), questions)
    groups = {
        "everything": [range(len(prompt)) for prompt in clean],
        "last token": [[prompt.last] for prompt in clean],
        "before the image": [[0, 1] for _ in clean],
    }
    sites = ["blocks.0.hook_resid_pre", *(vlm.resid_post(layer) for layer in range(vlm.n_layers))]
    table = mirror_swap(vlm, clean, mirrored, groups, ANSWERS, sites, 700_000, progress=False)
    return table, clean, mirrored, groups, sites


def test_a_mirror_swap_reports_every_prompt_site_and_group(vlm, swapped):
    table, clean, mirrored, groups, sites = swapped
    assert list(table.columns) == [
        "prompt", "site", "layer", "group", "clean", "mirrored", "patched",
    ]  # fmt: skip
    assert len(table) == 2 * len(sites) * len(groups)
    assert not table.duplicated(["prompt", "site", "group"]).any()
    odds = [vlm.beliefs(prompts, ANSWERS)["log_odds"] for prompts in (clean, mirrored)]
    for name, values in zip(("clean", "mirrored"), odds, strict=True):
        expected = table["prompt"].map(values.astype(float).to_dict())
        assert table[name].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-3)
    assert (table["clean"] - table["mirrored"]).abs().min() > 0.01


def test_swapping_everything_gives_the_mirrored_belief_and_nothing_the_clean_one(swapped):
    table = swapped[0]
    whole = table[table["group"] == "everything"]
    assert whole["patched"].tolist() == pytest.approx(whole["mirrored"].tolist(), abs=1e-3)
    nothing = table[table["group"] == "before the image"]
    assert nothing["patched"].tolist() == pytest.approx(nothing["clean"].tolist(), abs=1e-3)
    last = table[table["group"] == "last token"]
    after_all = last[last["layer"] == last["layer"].max()]
    assert after_all["patched"].tolist() == pytest.approx(after_all["mirrored"].tolist(), abs=1e-3)
    before_all = last[last["site"] == "blocks.0.hook_resid_pre"]
    assert before_all["patched"].tolist() == pytest.approx(before_all["clean"].tolist(), abs=1e-3)


def test_batches_do_not_change_a_mirror_swap(vlm, swapped):
    table, clean, mirrored, groups, sites = swapped
    whole = mirror_swap(vlm, clean, mirrored, groups, ANSWERS, sites, progress=False)
    keys = ["prompt", "site", "group"]
    one, other = (t.sort_values(keys).reset_index(drop=True) for t in (table, whole))
    pd.testing.assert_frame_equal(one, other, atol=1e-3)
