"""The whole matrix on a tiny model of every family: prompts, hooks, patches, the engine.

What holds for LLaVA in detail (``test_prompts``, ``test_hooks``, ``test_engine``) must hold here.
"""

import pandas as pd
import pytest
import torch
from PIL import Image
from zoo import VIDEO, ZOO, video_inputs

from helpers import Edit, Job, load_vlm, mirror_swap, read_states, steer, sweep
from helpers.beliefs import beliefs
from helpers.engine import CleanRun, depth_of
from helpers.interventions import as_hooks
from helpers.judge import (
    CHECKS,
    QUESTIONS,
    Bench,
    edits_of,
    noise,
    noise_picture,
    patches_alone,
    run_check,
    touches,
)
from helpers.prompts import Video
from helpers.sweeps import replies

EXACT = {"atol": 1e-5, "rtol": 1e-5}
ANSWERS = ("Left", "Right")


@pytest.fixture(scope="module", params=ZOO)
def vlm(request):
    return load_vlm(*ZOO[request.param](), device="cpu")


@pytest.fixture(scope="module")
def bench(vlm):
    return Bench(vlm)


@pytest.fixture(scope="module")
def asked(bench):
    """Pictures of different shapes, questions of different lengths; two about one picture."""
    return bench.prompts


def plain(vlm, prompt):
    """The last token's logits, by Hugging Face alone."""
    with torch.no_grad():
        return vlm.model(**prompt.inputs).logits[:, -1]


# The judge --------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_judge_passes_the_family(bench, check):
    found = run_check(check, bench)
    assert found["passed"], found


def test_the_judges_rows_move_the_logits(vlm, asked):
    """Else equal logits would say nothing."""
    prompt = asked[0]
    rows = edits_of(vlm, prompt)
    moved = (full(vlm, prompt, rows) - plain(vlm, prompt)).abs().amax(-1) > 1e-3
    # Behind the last block only the last token is read; beyond a window nothing is.
    assert moved.float().mean() >= 0.5


# Prompts ----------------------------------------------------------------------------------------


def test_a_missing_input_is_an_error_and_not_other_logits(vlm, monkeypatch):
    processor = type(vlm.processor)
    call = processor.__call__
    for name in vlm.family.required_inputs:

        def without(self, *arguments, name=name, **options):
            given = call(self, *arguments, **options)
            return type(given)({key: value for key, value in given.items() if key != name})

        monkeypatch.setattr(processor, "__call__", without)
        with pytest.raises(ValueError, match=rf"needs {name} .* logits change silently"):
            vlm.prompt(noise_picture(0), QUESTIONS[0])


def test_a_placeholder_in_the_question_is_refused(vlm, asked):
    place = asked[0].image_patches.positions[0]
    token = vlm.processor.tokenizer.convert_ids_to_tokens(
        int(asked[0].inputs["input_ids"][0, place])
    )
    with pytest.raises(ValueError, match="must not hold"):
        vlm.prompt(noise_picture(0), f"What is {token}?")


# Patches ----------------------------------------------------------------------------------------


def test_every_image_token_is_a_patch_or_stands_between_rows(vlm, asked):
    if vlm.family.name in ("Llama 3.2 Vision", "LLaVA-OneVision", "LLaVA-Video"):
        return  # no patches in the sequence; newlines among the image's tokens
    for prompt in asked:
        shown = [position for view in prompt.image_patches.views for position in view.positions]
        assert set(shown) == set(prompt.image_patches.positions)


def test_a_family_without_patches_says_so():
    vlm = load_vlm(*ZOO["mllama"](), device="cpu")
    with pytest.raises(ValueError, match="not in the sequence"):
        vlm.prompt(noise_picture(0), "Where?").image_patches.at(0, 0)


# Beliefs ----------------------------------------------------------------------------------------


def test_beliefs_over_forms_of_several_tokens(vlm, asked):
    """Appended tokens carry on what the family needs: against a prompt that ends in them."""
    answers = ("backpack", "Left")
    table = beliefs(vlm, asked, answers)
    for row, prompt in zip(table.itertuples(), asked, strict=True):
        alone = beliefs(vlm, prompt, answers).iloc[0]
        assert row.log_odds == pytest.approx(alone["log_odds"], abs=1e-4)


# The engine -------------------------------------------------------------------------------------


def full(vlm, prompt, rows):
    return torch.cat([vlm.last_logits(prompt, as_hooks([edits])) for edits in rows])


@pytest.mark.parametrize("where", ["text", "middle of the image", "anywhere"])
def test_rows_give_the_logits_of_full_passes(vlm, asked, where):
    for prompt in asked[:3]:
        rows = edits_of(vlm, prompt)
        if where == "text":
            rows = [row for row in rows if touches(prompt, row) == "text"]
        elif where == "middle of the image":
            middle = prompt.image_patches.positions[len(prompt.image_patches.positions) // 2]
            rows = [row for row in rows if [e.positions for e in row] == [(middle,)]]
        start = min(min(edit.positions) for row in rows for edit in row)
        depths = {depth_of(edit.site) for row in rows for edit in row}
        clean = CleanRun(vlm, [prompt], start, depths)
        found, expected = clean.run([rows])[0], full(vlm, prompt, rows)
        assert torch.allclose(found, expected, **EXACT)
        assert torch.allclose(clean.logits, plain(vlm, prompt), **EXACT)
        moved = (expected - plain(vlm, prompt)).abs().amax(-1) > 1e-3
        # Behind the last block only the last token is read; beyond a window nothing is.
        assert moved.float().mean() >= 0.5


def test_a_sweep_over_all_prompts_gives_naive_beliefs(vlm, asked):
    jobs = [Job(prompt, edits) for prompt in asked for edits in [(), *edits_of(vlm, prompt)]]
    expected = pd.concat(
        [beliefs(vlm, job.prompt, ANSWERS, as_hooks([job.edits])) for job in jobs],
        ignore_index=True,
    )
    table = sweep(vlm, jobs, ANSWERS, progress=False)
    pd.testing.assert_frame_equal(table[expected.columns], expected, atol=2e-5, rtol=2e-5)
    text = [
        i for i, job in enumerate(jobs) if job.edits and touches(job.prompt, job.edits) == "text"
    ]
    table = sweep(vlm, [jobs[i] for i in text], ANSWERS, progress=False)
    right = expected.iloc[text].reset_index(drop=True)
    pd.testing.assert_frame_equal(table[right.columns], right, atol=2e-5, rtol=2e-5)


def test_states_are_read_as_a_full_pass_has_them(vlm, asked):
    for where in (
        [[prompt.last, prompt.word("the", 0)[0] if "the" in prompt.question else prompt.last - 1]
         for prompt in asked],
        [[prompt.last, prompt.image_patches.positions[0]] for prompt in asked],
    ):  # fmt: skip
        for sites in (
            vlm.hook_names,
            [vlm.resid_post(1)],
            [f"blocks.{vlm.n_layers - 1}.hook_resid_pre"],
        ):
            states = read_states(vlm, asked, where, sites)
            for row, prompt in enumerate(asked):
                cache = vlm.run_with_cache(prompt)[1]
                for number, name in enumerate(sites):
                    expected = cache[name][0, where[row]]
                    assert torch.allclose(states[number, row], expected, **EXACT), (name, row)


def test_mirror_swaps_equal_swaps_by_hand(vlm, asked):
    clean = asked[:2]
    other = [vlm.prompt(noise_picture(9, p.image.size), p.question) for p in clean]
    groups = {
        "image": [p.image_patches.positions for p in clean],
        "text": [p.text_positions for p in clean],
    }
    table = mirror_swap(vlm, clean, other, groups, ANSWERS, progress=False)
    for row in table.itertuples():
        one, source = clean[row.prompt], other[row.prompt]
        where = groups[row.group][row.prompt]
        states = vlm.run_with_cache(source, row.site)[1][row.site][0, where]
        edit = Edit(row.site, tuple(where), states, replace=True)
        odds = beliefs(vlm, one, ANSWERS, as_hooks([[edit]]))["log_odds"].iloc[0]
        assert row.patched == pytest.approx(odds, abs=2e-5)


def test_replies_under_edits_equal_hooked_generation(vlm, asked):
    jobs = [Job(prompt, edits) for prompt in asked[:2] for edits in edits_of(vlm, prompt)[::3]]
    table = replies(vlm, jobs, max_new_tokens=5)
    expected = [vlm.generate(job.prompt, as_hooks([job.edits]), 5) for job in jobs]
    assert table["reply"].tolist() == expected
    assert len(set(expected)) > 2


# Videos -----------------------------------------------------------------------------------------


def clip(seed=0, count=4):
    return [noise_picture(seed + number, (84, 56)) for number in range(count)]


@pytest.mark.parametrize("name", VIDEO)
def test_a_video_is_a_prompt_like_any_other(name):
    vlm = load_vlm(*ZOO[name](), device="cpu")
    frames = clip()
    prompt = vlm.prompt(Video(tuple(frames)), QUESTIONS[0])
    given = video_inputs(vlm.processor, frames, QUESTIONS[0])
    assert prompt.inputs["input_ids"].tolist() == given["input_ids"].tolist()
    with torch.no_grad():
        assert torch.allclose(vlm.last_logits(prompt), vlm.model(**given).logits[:, -1], **EXACT)
    views = prompt.image_patches.views
    assert len({view.grid for view in views}) == 1
    assert [view.frame for view in views] in ([0, 1, 2, 3], [0, 2])
    word = prompt.word("frog")
    rows = [(steer(vlm.resid_post(0), word, noise(1, vlm.d_model)),),
            (Edit(vlm.resid_post(0), (views[-1].at(0, 0),), noise(2, vlm.d_model)),)]  # fmt: skip
    clean = CleanRun(vlm, [prompt], views[-1].at(0, 0), [1])
    assert torch.allclose(clean.run([rows])[0], full(vlm, prompt, rows), **EXACT)


@pytest.mark.parametrize("name", VIDEO)
def test_a_frame_moves_its_own_patches(name):
    vlm = load_vlm(*ZOO[name](), device="cpu")
    frames, site = clip(), "blocks.0.hook_resid_pre"
    with patches_alone(vlm.model):
        prompt = vlm.prompt(Video(tuple(frames)), "Where?")
        before = vlm.run_with_cache(prompt, site)[1][site][0]
        for view in prompt.image_patches.views:
            changed = list(frames)
            changed[view.frame] = noise_picture(99, (84, 56))
            other = vlm.prompt(Video(tuple(changed)), "Where?")
            after = vlm.run_with_cache(other, site)[1][site][0]
            change = (after - before).norm(dim=-1)
            moved = set(change.gt(1e-4).nonzero().flatten().tolist())
            assert set(view.positions) <= moved
            others = [p for v in prompt.image_patches.views if v != view for p in v.positions]
            assert not moved & set(others)


def test_a_family_without_videos_says_so():
    vlm = load_vlm(*ZOO["gemma3"](), device="cpu")
    with pytest.raises(ValueError, match="Gemma 3 takes no videos"):
        vlm.prompt(Video(tuple(clip())), "Where?")
    with pytest.raises(ValueError, match=r"frames of one size; there are \(8, 8\), \(9, 8\)"):
        Video((Image.new("RGB", (8, 8)), Image.new("RGB", (9, 8))))
    with pytest.raises(ValueError, match="no frames"):
        Video(())
