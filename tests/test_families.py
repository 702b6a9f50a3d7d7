"""The whole matrix on a tiny model of every family: prompts, hooks, patches, the engine.

What holds for LLaVA in detail (``test_prompts``, ``test_hooks``, ``test_engine``) must hold here.
"""

import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw
from zoo import VIDEO, ZOO, video_inputs

from helpers import Edit, Job, load_vlm, mirror_swap, read_states, steer, sweep
from helpers.beliefs import beliefs
from helpers.engine import CleanRun, depth_of
from helpers.interventions import as_hooks
from helpers.prompts import Video
from helpers.sweeps import replies

EXACT = {"atol": 1e-5, "rtol": 1e-5}
ANSWERS = ("Left", "Right")
QUESTIONS = (
    "Is the frog to the left or right of the backpack?",
    "Where is the cat?",
    "Is the camel above or below the tree?",
)


@pytest.fixture(scope="module", params=ZOO)
def vlm(request):
    return load_vlm(*ZOO[request.param](), device="cpu")


def picture(seed, size=(90, 60)):
    pixels = torch.randint(
        256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(seed)
    )
    return Image.fromarray(pixels.byte().numpy())


@pytest.fixture(scope="module")
def asked(vlm):
    """Pictures of different shapes, questions of different lengths; two about one picture."""
    shapes = [(90, 60), (60, 90), (40, 40)]
    prompts = [
        vlm.prompt(picture(seed, size), question)
        for seed, (size, question) in enumerate(zip(shapes, QUESTIONS, strict=True))
    ]
    return [*prompts, vlm.prompt(picture(0, shapes[0]), QUESTIONS[1])]


def plain(vlm, prompt):
    """The last token's logits, by Hugging Face alone."""
    with torch.no_grad():
        return vlm.model(**prompt.inputs).logits[:, -1]


def noise(seed, *shape, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Prompts ----------------------------------------------------------------------------------------


def test_tokens_are_the_processors_own(vlm, asked):
    for prompt in asked:
        content = [{"type": "image"}, {"type": "text", "text": prompt.question}]
        text = vlm.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        begins = text.startswith(vlm.processor.tokenizer.bos_token or "\0")
        given = vlm.processor(
            images=[prompt.image], text=[text], return_tensors="pt", add_special_tokens=not begins
        )
        assert given["input_ids"].tolist() == prompt.inputs["input_ids"].tolist()
        assert set(given) == set(prompt.inputs)
        assert prompt.question in prompt.text


def test_words_are_found_with_all_their_tokens(vlm, asked):
    prompt = asked[0]
    for word in ("frog", "backpack", "left or right", "?"):
        span = prompt.word(word)
        assert span == list(range(span[0], span[-1] + 1))
        ids = prompt.inputs["input_ids"][0, span]
        assert vlm.processor.tokenizer.decode(ids).strip() == word
    assert prompt.word("the", -1)[0] > prompt.word("frog")[0]
    assert min(prompt.word("Is")) > prompt.image_patches.positions[-1]
    with pytest.raises(ValueError, match="zebra"):
        prompt.word("zebra")


def test_a_missing_input_is_an_error_and_not_other_logits(vlm, monkeypatch):
    processor = type(vlm.processor)
    call = processor.__call__
    for name in vlm.family.required_inputs:

        def without(self, *arguments, name=name, **options):
            given = call(self, *arguments, **options)
            return type(given)({key: value for key, value in given.items() if key != name})

        monkeypatch.setattr(processor, "__call__", without)
        with pytest.raises(ValueError, match=rf"needs {name} .* logits change silently"):
            vlm.prompt(picture(0), QUESTIONS[0])


def test_a_placeholder_in_the_question_is_refused(vlm, asked):
    place = asked[0].image_patches.positions[0]
    token = vlm.processor.tokenizer.convert_ids_to_tokens(
        int(asked[0].inputs["input_ids"][0, place])
    )
    with pytest.raises(ValueError, match="must not hold"):
        vlm.prompt(picture(0), f"What is {token}?")


# Patches ----------------------------------------------------------------------------------------


def test_every_image_token_is_a_patch_or_stands_between_rows(vlm, asked):
    for prompt in asked:
        patches = prompt.image_patches
        shown = [position for view in patches.views for position in view.positions]
        assert len(shown) == len(set(shown))
        assert set(shown) <= set(patches.positions)
        for view in patches.views:
            assert len(view.positions) == view.grid[0] * view.grid[1]
        if vlm.family.name not in ("Llama 3.2 Vision", "LLaVA-OneVision", "LLaVA-Video"):
            assert set(shown) == set(patches.positions)


def test_a_spot_in_the_picture_moves_the_patches_that_show_it(vlm):
    """Of each view, the patch that shows the spot changes most on entering the decoder."""
    if vlm.family.name == "Llama 3.2 Vision":
        with pytest.raises(ValueError, match="not in the sequence"):
            vlm.prompt(picture(0), "Where?").image_patches.at(0, 0)
        return
    width, height = 180, 120
    grey = Image.new("RGB", (width, height), "grey")
    prompt = vlm.prompt(grey, "Where?")
    _mute_vision_attention(vlm)
    site = "blocks.0.hook_resid_pre"
    before = vlm.run_with_cache(prompt, site)[1][site][0]
    tested = 0
    for view in prompt.image_patches.views:
        left, top, right, bottom = view.box
        for row in range(view.grid[0]):
            for column in range(view.grid[1]):
                x = left + (column + 0.5) / view.grid[1] * (right - left)
                y = top + (row + 0.5) / view.grid[0] * (bottom - top)
                spotted = grey.copy()
                reach = 2
                ImageDraw.Draw(spotted).rectangle(
                    [x * width - reach, y * height - reach, x * width + reach, y * height + reach],
                    fill="red",
                )
                after = vlm.run_with_cache(vlm.prompt(spotted, "Where?"), site)[1][site][0]
                change = (after - before).norm(dim=-1)[list(view.positions)]
                assert view.positions[int(change.argmax())] == view.at(row, column)
                assert view.at(row, column) in prompt.image_patches.showing(x, y)
                tested += 1
    assert tested >= 4


def _mute_vision_attention(vlm):
    """Let every patch of the vision tower see itself alone, so that patches stay apart."""
    for name, module in vlm.model.named_modules():
        text = name.startswith(("model.language_model", "model.text_model"))
        if not text and name.endswith(("self_attn", "attn", "attention")):
            for part in ("out_proj", "proj", "projection_layer"):
                if hasattr(module, part):
                    getattr(module, part).weight.data.zero_()


# Hooks ------------------------------------------------------------------------------------------


def test_logits_and_sites_are_those_of_hugging_face(vlm, asked):
    for prompt in asked:
        with torch.no_grad():
            output = vlm.model(**prompt.inputs, output_hidden_states=True)
        logits, cache = vlm.run_with_cache(prompt)
        assert torch.equal(logits, output.logits)
        assert torch.allclose(vlm.last_logits(prompt), output.logits[:, -1], atol=1e-6)
        for layer in range(vlm.n_layers - 1):
            assert torch.equal(cache[vlm.resid_post(layer)], output.hidden_states[layer + 1])
        decoder = vlm.model.get_decoder()
        last = decoder.norm(cache[vlm.resid_post(vlm.n_layers - 1)])
        assert torch.equal(last, output.hidden_states[-1])


def test_batches_of_different_lengths_and_pictures_give_what_single_prompts_give(vlm, asked):
    assert len({len(prompt) for prompt in asked}) > 1
    last = vlm.last_logits(asked)
    for row, prompt in enumerate(asked):
        assert torch.allclose(last[row], plain(vlm, prompt)[0], **EXACT)


def test_an_edit_is_read_where_it_is_written(vlm, asked):
    prompt = asked[0]
    word = prompt.word("frog")[-1]
    for name in vlm.hook_names:
        edit = Edit(name, (word,), noise(0, vlm.d_model))
        clean = vlm.run_with_cache(prompt, name)[1][name]
        after = vlm.run_with_cache(prompt, name, as_hooks([[edit]]))[1][name]
        change = (after - clean)[0]
        assert torch.allclose(change[word], edit.vectors, atol=1e-5)
        assert change.norm(dim=-1).count_nonzero() == 1


def test_beliefs_over_forms_of_several_tokens(vlm, asked):
    """Appended tokens carry on what the family needs: against a prompt that ends in them."""
    answers = ("backpack", "Left")
    table = beliefs(vlm, asked, answers)
    for row, prompt in zip(table.itertuples(), asked, strict=True):
        alone = beliefs(vlm, prompt, answers).iloc[0]
        assert row.log_odds == pytest.approx(alone["log_odds"], abs=1e-4)


# The engine -------------------------------------------------------------------------------------


def edits_of(vlm, prompt):
    """Rows of edits of every kind that the book uses."""
    word, last = prompt.word(prompt.question.split()[2].strip("?")), prompt.last
    image = prompt.image_patches.positions
    d, posts = vlm.d_model, [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
    rows = []
    for layer, site in enumerate(posts):
        rows.append((steer(site, word, noise(1, d), 1.0),))
        rows.append((Edit(f"blocks.{layer}.hook_resid_pre", tuple(word), noise(2, d)),))
        rows.append((Edit(site, tuple(range(word[0], last)), noise(3, last - word[0], d), True),))
        rows.append((Edit(site, (last,), noise(4, 1, d), True),))
        rows.append((Edit(site, tuple(image), noise(5, len(image), d), True),))
        rows.append((Edit(site, (image[len(image) // 2],), noise(6, d)),))
        rows.append((Edit(f"blocks.{layer}.hook_resid_pre", (image[0],), noise(7, d)),))
    rows.append((steer(posts[0], word, noise(8, d)), steer(posts[-1], [last], noise(9, d))))
    rows.append((Edit(posts[0], (image[-1],), noise(10, d)),
                 Edit("blocks.1.hook_resid_pre", (image[-1], last), noise(11, d))))  # fmt: skip
    rows.append((Edit("blocks.0.hook_resid_pre", (0,), noise(12, d)),))
    return rows


def full(vlm, prompt, rows):
    return torch.cat([vlm.last_logits(prompt, as_hooks([edits])) for edits in rows])


def touches(prompt, edits):
    """Where a row's first edit is: before the image, in it, or behind it."""
    first = min(min(edit.positions) for edit in edits)
    if first > prompt.image_patches.positions[-1]:
        return "text"
    return "image" if first >= prompt.image_patches.positions[0] else "beginning"


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
    other = [vlm.prompt(picture(9, p.image.size), p.question) for p in clean]
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
    return [picture(seed + number, (84, 56)) for number in range(count)]


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
    _mute_vision_attention(vlm)
    frames, site = clip(), "blocks.0.hook_resid_pre"
    prompt = vlm.prompt(Video(tuple(frames)), "Where?")
    before = vlm.run_with_cache(prompt, site)[1][site][0]
    for view in prompt.image_patches.views:
        changed = list(frames)
        changed[view.frame] = picture(99, (84, 56))
        after = vlm.run_with_cache(vlm.prompt(Video(tuple(changed)), "Where?"), site)[1][site][0]
        moved = set((after - before).norm(dim=-1).gt(1e-4).nonzero().flatten().tolist())
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
