"""The fast passes give what the full ones give, on every kind of edit."""

import random as pyrandom

import pandas as pd
import pytest
import torch
from PIL import Image

from helpers import Edit, Job, mirror_swap, steer, sweep
from helpers.beliefs import beliefs
from helpers.engine import CleanRun, depth_of
from helpers.interventions import as_hooks
from helpers.packs import Pack
from helpers.reading import read_states
from helpers.sweeps import replies

ANSWERS = ("Left", "Right")
#: The fast and the full pass sum in another order; logits here are of order ten.
EXACT = {"atol": 1e-5, "rtol": 1e-5}


def naive(vlm, jobs):
    """Every job in a full pass of its own, with hooks: ``[jobs, vocabulary]``."""
    return torch.cat([vlm.last_logits(job.prompt, as_hooks([job.edits])) for job in jobs])


def fast(vlm, jobs, start=None):
    """All jobs of one prompt, in one batch."""
    firsts = [min(edit.positions) for job in jobs for edit in job.edits]
    depths = {depth_of(edit.site) for job in jobs for edit in job.edits}
    clean = CleanRun(
        vlm, [jobs[0].prompt], min(firsts) if start is None else start, [*depths, vlm.n_layers]
    )
    return clean.run([[job.edits for job in jobs]])[0]


def noise(seed, *shape, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def asked(vlm):
    """Three prompts of different lengths about different pictures."""
    questions = [
        "Is the frog to the left or right of the teapot?",
        "Is the hot dog to the left or right of the backpack?",
        "Where is the cat?",
    ]
    colors = ["red", "green", "blue"]
    pictures = [Image.new("RGB", (112, 112), color) for color in colors]
    prompts = vlm.prompt(pictures, questions)
    assert len({len(prompt) for prompt in prompts}) == 3
    return prompts


def edits_of(vlm, prompt, kind):
    """One row of edits of each kind that the book uses."""
    word, image, last = prompt.word("frog"), prompt.image_patches.positions, prompt.last
    posts = [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
    d = vlm.d_model
    return {
        "steering": [(steer(site, word, noise(1, d), dose),) for site in posts for dose in (1, -4)],
        "swap at text": [
            (Edit(site, tuple(range(word[0], last)), noise(2, last - word[0], d), True),)
            for site in posts
        ],
        "swap at image": [
            (Edit(site, tuple(image), noise(3, len(image), d), True),) for site in posts
        ],
        "swap at last token": [(Edit(site, (last,), noise(4, 1, d), True),) for site in posts],
        "before a block": [
            (Edit(f"blocks.{layer}.hook_resid_pre", tuple(word), noise(5, d)),)
            for layer in range(vlm.n_layers)
        ],
        "several edits": [
            (steer(posts[0], word, noise(6, d)), steer(posts[-1], [last], noise(7, d))),
            (steer(posts[1], word, noise(8, d)), steer(posts[1], word, noise(9, d))),
            (
                steer(posts[1], word, noise(8, d)),
                Edit(posts[1], (word[-1],), noise(9, d), True),
                Edit("blocks.1.hook_resid_pre", (last,), noise(10, d)),
            ),
            (Edit(posts[0], tuple(image[:3]), noise(11, d)), steer(posts[1], word, noise(12, d))),
        ],
        "the first token": [(Edit("blocks.0.hook_resid_pre", (0,), noise(13, d)),)],
    }[kind]


KINDS = (
    "steering", "swap at text", "swap at image", "swap at last token", "before a block",
    "several edits", "the first token",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_rows_give_the_logits_of_full_passes(vlm, asked, kind):
    jobs = [Job(asked[0], edits) for edits in edits_of(vlm, asked[0], kind)]
    expected = naive(vlm, jobs)
    assert torch.allclose(fast(vlm, jobs), expected, **EXACT)
    clean = vlm.last_logits(asked[0])
    changed = (expected - clean).abs().amax(-1) > 1e-3
    # Behind the last block only the last token counts, and two kinds do not write there.
    assert changed.sum() >= len(jobs) - 2


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_rows_of_mixed_layers_and_kinds_in_batches_of_any_size(vlm, asked, size):
    every = [edits for kind in KINDS for edits in edits_of(vlm, asked[0], kind)] + [()]
    pyrandom.Random(size).shuffle(every)
    jobs = [Job(asked[0], edits) for edits in every[:size]]
    assert torch.allclose(fast(vlm, jobs, start=0), naive(vlm, jobs), **EXACT)


def mixed_jobs(vlm, prompts):
    """Jobs about prompts of different lengths, out of order, some without edits."""
    jobs = []
    for number, prompt in enumerate(prompts):
        words = [[prompt.last - 3], [prompt.last], prompt.image_patches.positions]
        for layer in range(vlm.n_layers):
            for place, where in enumerate(words):
                seed = 100 * number + 10 * layer + place
                edit = Edit(vlm.resid_post(layer), tuple(where), noise(seed, vlm.d_model))
                jobs.append(Job(prompt, (edit,), {"prompt": number, "layer": layer}))
        jobs.append(Job(prompt, (), {"prompt": number, "layer": -1}))
    pyrandom.Random(0).shuffle(jobs)
    return jobs[:-2]  # not equally many for each prompt


def test_a_sweep_over_prompts_of_different_lengths_gives_naive_beliefs_in_order(vlm, asked):
    jobs = mixed_jobs(vlm, asked)
    expected = pd.concat(
        [beliefs(vlm, job.prompt, ANSWERS, as_hooks([job.edits])) for job in jobs],
        ignore_index=True,
    )
    table = sweep(vlm, iter(jobs), ANSWERS, progress=False)
    assert [job.labels["layer"] for job in jobs] == table["layer"].tolist()
    pd.testing.assert_frame_equal(table[expected.columns], expected, atol=1e-5, rtol=1e-5)
    assert expected["log_odds"].round(3).nunique() > len(jobs) / 2


def test_a_small_budget_cuts_the_batches_and_changes_nothing(vlm, asked, monkeypatch):
    jobs, sizes = mixed_jobs(vlm, asked), []
    run = CleanRun.run

    def counted(self, rows):
        sizes.append(len(rows) * len(rows[0]))
        return run(self, rows)

    monkeypatch.setattr(CleanRun, "run", counted)
    whole = sweep(vlm, jobs, ANSWERS, progress=False)
    largest = max(sizes)
    sizes.clear()
    cut = sweep(vlm, jobs, ANSWERS, budget=700_000, progress=False)
    assert max(sizes) < largest
    pd.testing.assert_frame_equal(whole, cut, atol=1e-5, rtol=1e-5)


def test_a_budget_too_small_for_one_row_is_refused_before_anything_runs(vlm, asked, monkeypatch):
    monkeypatch.setattr(CleanRun, "__init__", lambda *_: pytest.fail("something ran"))
    with pytest.raises(ValueError, match=r"budget of 1,000 bytes is too small .* takes about"):
        sweep(vlm, mixed_jobs(vlm, asked), ANSWERS, budget=1000, progress=False)


def test_a_sweep_that_was_cut_off_goes_on_where_it_stopped(vlm, asked, tmp_path, monkeypatch):
    jobs = mixed_jobs(vlm, asked)
    options = {"budget": 700_000, "progress": False}
    whole = sweep(vlm, jobs, ANSWERS, **options)
    run, calls = CleanRun.run, []

    def counted(self, rows):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(self, rows)

    monkeypatch.setattr(CleanRun, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        sweep(vlm, jobs, ANSWERS, save_to=tmp_path, **options)
    (tmp_path / "0123456789abcdef-0000000.part").write_text("half a ta")
    parts = len(list(tmp_path.glob("*.parquet")))
    assert parts >= 2
    resumed = sweep(vlm, jobs, ANSWERS, save_to=tmp_path, **options)
    pd.testing.assert_frame_equal(resumed, whole, atol=1e-5, rtol=1e-5)
    needed = len(calls)
    again = sweep(vlm, jobs, ANSWERS, save_to=tmp_path, **options)
    pd.testing.assert_frame_equal(again, whole, atol=1e-5, rtol=1e-5)
    assert len(calls) == needed  # nothing ran
    other = [*jobs[:-1], Job(jobs[-1].prompt, (), {})]
    sweep(vlm, other, ANSWERS, save_to=tmp_path, **options)
    assert len(calls) > needed  # another sweep does not take these results


def test_the_prefix_is_not_copied_for_rows(vlm, asked):
    word = asked[0].word("frog")
    clean = CleanRun(vlm, asked[:1], word[0], [1, vlm.n_layers])
    rows = [[(steer(vlm.resid_post(0), word, noise(n, vlm.d_model)),) for n in range(64)]]
    shapes = []
    handle = vlm.layers[1].self_attn.k_proj.register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(output.shape))
    )
    try:
        clean.run(rows)
    finally:
        handle.remove()
    assert shapes == [(64, len(asked[0]) - word[0], vlm.d_model)]  # keys of rows' own tokens only


def test_plain_passes_are_untouched_after_fast_ones(vlm, asked):
    before = vlm.last_logits(asked)
    sweep(vlm, mixed_jobs(vlm, asked), ANSWERS, progress=False)
    read_states(vlm, asked, [[0]] * 3, [vlm.resid_post(0)])
    assert torch.equal(vlm.last_logits(asked), before)
    job = Job(asked[0], (Edit(vlm.resid_post(0), (5,), noise(0, vlm.d_model)),))
    handle = vlm.layers[1].register_forward_pre_hook(lambda *_: 1 / 0)
    try:
        with pytest.raises(ZeroDivisionError):
            sweep(vlm, [job], ANSWERS, progress=False)
    finally:
        handle.remove()
    assert torch.equal(vlm.last_logits(asked), before)


def test_hooks_cannot_be_held_around_a_fast_pass(vlm, asked):
    """They would count positions in a part of the tokens."""
    job = Job(asked[0], (Edit(vlm.resid_post(0), (5,), noise(0, vlm.d_model)),))
    with (
        vlm.hooks([(vlm.resid_post(1), lambda resid, hook: None)]),
        pytest.raises(RuntimeError, match=r"held at blocks.1.hook_resid_post; .* make edits"),
    ):
        sweep(vlm, [job], ANSWERS, progress=False)
    assert vlm.held == ()


# Prompts about one image ------------------------------------------------------------------------

SAME = (
    "Is the frog to the left or right of the teapot?",
    "Where is the cat?",
    "Is the hot dog to the left or right of the backpack?",
    "Is the frog above or below the teapot?",
)


@pytest.fixture
def about_two_images(vlm):
    """Several questions about each of two pictures, mixed, of different lengths."""
    red, blue = (Image.new("RGB", (112, 112), color) for color in ("red", "blue"))
    prompts = [
        *vlm.prompt(red, SAME),
        *vlm.prompt(blue, SAME[:2]),
        vlm.prompt(Image.new("RGB", (112, 112), "red"), "Where is the frog?"),
    ]
    return [prompts[i] for i in (4, 0, 6, 2, 1, 5, 3)]


def images_encoded(vlm, run):
    """How many pictures went through the vision tower meanwhile."""
    seen = []
    tower = vlm.model.model.vision_tower
    handle = tower.register_forward_hook(lambda module, inputs, output: seen.append(len(output[0])))
    try:
        run()
    finally:
        handle.remove()
    return sum(seen)


def test_an_image_runs_once_for_all_its_questions(vlm, about_two_images):
    prompts = about_two_images
    jobs = [Job(prompt, (steer(vlm.resid_post(0), [prompt.last - 2], noise(0, vlm.d_model)),))
            for prompt in prompts]  # fmt: skip
    where = [[prompt.last] for prompt in prompts]
    assert images_encoded(vlm, lambda: sweep(vlm, jobs, ANSWERS, progress=False)) == 2
    assert images_encoded(vlm, lambda: read_states(vlm, prompts, where, vlm.hook_names)) == 2


def test_rows_that_would_cost_more_than_they_save_are_not_made(vlm):
    pictures = [Image.new("RGB", (112, 112), (9 * n, 0, 0)) for n in (*range(16), 15)]
    prompts = vlm.prompt(pictures, "Is the frog to the left or right of the teapot?")
    # One picture of sixteen comes twice, and there would be a row for each.
    assert Pack.of(vlm, prompts, prompts[0].last).rows == 0
    pack = Pack.of(vlm, prompts[-2:], prompts[0].last)
    assert pack.rows == 1 and pack.leaders == (0,)
    states = read_states(vlm, prompts, [[p.last] for p in prompts], vlm.hook_names[-1:])
    alone = read_states(vlm, prompts[:1], [[prompts[0].last]], vlm.hook_names[-1:])
    assert torch.allclose(states[:, :1], alone, **EXACT)
    assert torch.allclose(states[:, -2], states[:, -1], **EXACT)


def test_sweeps_over_questions_about_one_image_give_naive_beliefs(vlm, about_two_images):
    jobs = [job for job in mixed_jobs(vlm, about_two_images) if job.labels["layer"] != -1]
    jobs += [Job(prompt, (), {"layer": -1}) for prompt in about_two_images]
    expected = pd.concat(
        [beliefs(vlm, job.prompt, ANSWERS, as_hooks([job.edits])) for job in jobs],
        ignore_index=True,
    )
    for kind in (True, False):  # with edits in the image among them, and without
        kept = [
            index
            for index, job in enumerate(jobs)
            if kind or not job.edits or len(job.edits[0].positions) == 1
        ]
        table = sweep(vlm, [jobs[i] for i in kept], ANSWERS, progress=False)
        right = expected.iloc[kept].reset_index(drop=True)
        pd.testing.assert_frame_equal(table[right.columns], right, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("in_image", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_states_of_questions_about_one_image(vlm, about_two_images, batch_size, in_image):
    prompts = about_two_images
    first = 2 if in_image else -5
    where = [[prompt.last, len(prompt) + first if first < 0 else first] for prompt in prompts]
    for sites in (
        vlm.hook_names,
        [vlm.resid_post(1)],
        ["blocks.2.hook_resid_pre", vlm.resid_post(0)],
        ["blocks.0.hook_resid_pre"],
    ):
        states = read_states(vlm, prompts, where, sites, batch_size)
        for row, prompt in enumerate(prompts):
            cache = vlm.run_with_cache(prompt)[1]
            for number, name in enumerate(sites):
                expected = cache[name][0, where[row]]
                assert torch.allclose(states[number, row], expected, atol=1e-5)


# Reading ----------------------------------------------------------------------------------------


def test_states_are_read_without_running_the_blocks_above(vlm, asked):
    later = []
    handle = vlm.layers[1].mlp.register_forward_hook(lambda *_: later.append(1))
    where = [[prompt.last, 2] for prompt in asked]
    try:
        states = read_states(vlm, asked, where, [vlm.resid_post(0)], batch_size=2)
        assert not later
        read_states(vlm, asked, where, [vlm.resid_post(1)])
        assert later
    finally:
        handle.remove()
    assert states.shape == (1, 3, 2, vlm.d_model)
    for row, prompt in enumerate(asked):
        cache = vlm.run_with_cache(prompt)[1]
        expected = cache[vlm.resid_post(0)][0, where[row]]
        assert torch.allclose(states[0, row], expected, atol=1e-5)


def test_the_last_block_runs_only_where_it_is_read(vlm, asked):
    shapes = []
    handle = vlm.layers[1].mlp.register_forward_hook(lambda m, i, o: shapes.append(o.shape[:2]))
    try:
        read_states(vlm, asked, [[5, 2]] * 3, [vlm.resid_post(1)])
    finally:
        handle.remove()
    assert shapes == [(3, 2)]


def test_states_read_under_hooks_are_those_that_the_hooks_leave(vlm, asked):
    """Hooks count positions from the start of the prompt: every token must pass them."""
    prompts = [*asked, *vlm.prompt(asked[0].image, SAME[:2])]
    where = [[prompt.last, prompt.last - 4] for prompt in prompts]

    def silence(resid, hook):
        resid[:, -3] = 0

    hooks = [(vlm.resid_post(1), silence), ("blocks.0.hook_resid_pre", silence)]
    with vlm.hooks(hooks):
        states = read_states(vlm, prompts, where, vlm.hook_names[1:], batch_size=1)
    for row, prompt in enumerate(prompts):
        cache = vlm.run_with_cache(prompt, fwd_hooks=hooks)[1]
        for number, name in enumerate(vlm.hook_names[1:]):
            assert torch.allclose(states[number, row], cache[name][0, where[row]], atol=1e-5)


def test_mirror_swaps_equal_swaps_by_hand(vlm, asked):
    colors = ["white", "black", "yellow"]
    others = vlm.prompt(
        [Image.new("RGB", (112, 112), color) for color in colors], [p.question for p in asked]
    )
    groups = {
        "image": [p.image_patches.positions for p in asked],
        "text": [p.text_positions for p in asked],
        "last token": [[p.last] for p in asked],
    }
    texts = {name: groups[name] for name in ("text", "last token")}
    work = images_encoded(
        vlm, lambda: mirror_swap(vlm, asked, others, texts, ANSWERS, progress=False)
    )
    assert work == 2 * len(asked)  # each of the two pictures once
    table = mirror_swap(vlm, asked, others, groups, ANSWERS, progress=False)
    assert len(table) == 3 * 3 * vlm.n_layers
    for row in table.itertuples():
        one, other = asked[row.prompt], others[row.prompt]
        states = vlm.run_with_cache(other, row.site)[1][row.site][0]
        where = groups[row.group][row.prompt]
        edits = [Edit(row.site, tuple(where), states[where], replace=True)]
        runs = [(one, ()), (other, ()), (one, as_hooks([edits]))]
        odds = [float(beliefs(vlm, p, ANSWERS, hooks)["log_odds"].iloc[0]) for p, hooks in runs]
        assert [row.clean, row.mirrored, row.patched] == pytest.approx(odds, abs=1e-5)


def test_replies_under_edits_equal_hooked_generation(vlm, asked):
    jobs = [job for job in mixed_jobs(vlm, asked) if job.labels["layer"] >= -1][:12]
    table = replies(vlm, jobs, max_new_tokens=6)
    expected = [vlm.generate(job.prompt, as_hooks([job.edits]), 6) for job in jobs]
    assert table["reply"].tolist() == expected
    assert len(set(expected)) > 3
    assert table["layer"].tolist() == [job.labels["layer"] for job in jobs]
    with pytest.raises(ValueError, match="no jobs"):
        replies(vlm, [])
