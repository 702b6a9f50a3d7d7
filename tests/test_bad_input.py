"""Bad input: one clear error each, that says what was wrong and what to do."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlamaConfig, LlamaForCausalLM

import helpers
from helpers import (
    Edit,
    Job,
    SpatialIDs,
    load_vlm,
    mirror_swap,
    read_states,
    stats,
    steer,
    sweep,
)  # fmt: skip
from helpers.stimuli import questions, sampling, scenes, sprites

IMAGE = Image.new("RGB", (32, 32), "white")


def bad(call, kind, *parts):
    """One case: a call, the error it must raise, and what the message must hold."""
    return pytest.param(call, kind, parts, id=f"{kind.__name__}: {parts[0]}")


CASES = [
    # Words
    bad(lambda v, p: p.word("zebra"), ValueError, "'zebra'", "has 0", "backpack", " | "),
    bad(lambda v, p: p.word("Frog"), ValueError, "'Frog'", "has 0"),
    bad(lambda v, p: p.word("frog", 1), ValueError, "occurrence 1 of 'frog'", "has 1"),
    bad(lambda v, p: p.word("frog", -2), ValueError, "occurrence -2", "has 1"),
    bad(lambda v, p: p.word(" "), ValueError, "empty word"),
    bad(lambda v, p: p.words(["backpack", "frog"]), ValueError, "'frog' does not follow", "|"),
    # Images
    bad(lambda v, p: v.prompt("frog.png", "What?"), TypeError, "PIL image", "not str"),
    bad(lambda v, p: v.prompt(None, "What?"), TypeError, "PIL image", "not NoneType"),
    bad(lambda v, p: v.prompt(torch.zeros(3, 8, 8), "What?"), TypeError, "not Tensor"),
    bad(lambda v, p: v.prompt(np.zeros((8, 8, 3)), "What?"), TypeError, "uint8", "float64"),
    bad(lambda v, p: v.prompt(np.zeros((8, 8)), "What?"), TypeError, "uint8", "float64"),
    bad(lambda v, p: v.prompt(np.zeros((3, 8, 8), np.uint8), "What?"), TypeError, "(3, 8, 8)"),
    bad(lambda v, p: v.prompt(Image.new("RGB", (0, 8)), "What?"), ValueError, "no pixels"),
    bad(lambda v, p: v.prompt(Image.new("I;16", (8, 8)), "What?"), ValueError, "I;16", "8 bits"),
    bad(lambda v, p: v.prompt(Image.new("F", (8, 8)), "What?"), ValueError, "mode F", "8 bits"),
    # Questions
    bad(lambda v, p: v.prompt(IMAGE, " "), ValueError, "question is empty"),
    bad(lambda v, p: v.prompt(IMAGE, "What is <image>?"), ValueError, "<image>", "question"),
    bad(lambda v, p: v.prompt([], "What?"), ValueError, "empty list"),
    bad(lambda v, p: v.prompt(IMAGE, []), ValueError, "empty list"),
    bad(lambda v, p: v.prompt([IMAGE] * 2, ["What?"] * 3), ValueError, "2 images", "3 questions"),
    # Models
    bad(
        lambda v, p: load_vlm("tiny-lava"), ValueError, "no model called 'tiny-lava'",
        "llava-1.5-7b", "llava-1.5-13b", "hub id", *helpers.shipped_models(),
    ),
    bad(lambda v, p: load_vlm("./not/here"), ValueError, "no model called './not/here'"),
    bad(lambda v, p: load_vlm(v.model), ValueError, "needs its processor"),
    bad(lambda v, p: load_vlm(llama(), v.processor), ValueError, "'llama'", "families.py", "llava"),
    # Layers and hooks
    bad(lambda v, p: v.resid_post(3), IndexError, "layer 3", "0 to 2"),
    bad(lambda v, p: v.resid_post(-1), IndexError, "layer -1", "0 to 2"),
    bad(
        lambda v, p: v.run_with_cache(p, "blocks.1.hook_resid_pst"), ValueError,
        "'blocks.1.hook_resid_pst'", "nearest is 'blocks.1.hook_resid_post'",
    ),
    bad(
        lambda v, p: v.run_with_hooks(p, [("blocks.7.hook_resid_pre", print)]), ValueError,
        "nearest is", "layers 0 to 2",
    ),
    bad(lambda v, p: v.run_with_cache(p, 2), ValueError, "no hook called 2"),
    bad(lambda v, p: v.run_with_cache(p, []), ValueError, "empty list of hook names"),
    bad(lambda v, p: v.run_with_cache(p, lambda n: False), ValueError, "no hook name passes"),
    # Empty lists of prompts
    bad(lambda v, p: v.run_with_hooks([]), ValueError, "empty list of prompts"),
    bad(lambda v, p: v.run_with_cache([]), ValueError, "empty list of prompts"),
    bad(lambda v, p: v.last_logits([]), ValueError, "empty list of prompts"),
    bad(lambda v, p: v.generate([]), ValueError, "empty list of prompts"),
    # Answers
    bad(lambda v, p: v.beliefs([], ("Left", "Right")), ValueError, "empty list of prompts"),
    bad(lambda v, p: v.beliefs(p, []), ValueError, "at least two answers"),
    bad(lambda v, p: v.beliefs(p, ["Left"]), ValueError, "at least two answers", "Left"),
    bad(lambda v, p: v.beliefs(p, "Left"), TypeError, "'Left'", "list"),
    bad(lambda v, p: v.beliefs(p, ["Left", " "]), ValueError, "empty answer"),
    bad(lambda v, p: v.beliefs(p, ["Left", "left"]), ValueError, "share a surface form"),
    # IDs
    bad(lambda v, p: SpatialIDs.extract(v, []), ValueError, "empty list of pairs"),
    bad(lambda v, p: extract(v, noun=2), ValueError, "noun must be 0", "not 2"),
    bad(lambda v, p: extract(v, sites=["blocks.9.hook_resid_post"]), ValueError, "no hook called"),
    bad(lambda v, p: extract(v, sites=[]), ValueError, "empty list of hook names"),
    bad(lambda v, p: extract(v, partners=0), ValueError, "partners"),
    bad(lambda v, p: SpatialIDs.extract_each(v, [("a", "b")], []), ValueError, "nothing is wanted"),
    bad(lambda v, p: read(v, p, [[1, 2], [3]]), ValueError, "2 prompts", "2 rows of 1, 2"),
    bad(lambda v, p: read(v, p, [[1]]), ValueError, "2 prompts", "1 rows of 1 positions"),
    bad(lambda v, p: read(v, p, [[1], [9999]]), ValueError, "[9999]", "outside a prompt of"),
    bad(lambda v, p: read(v, p, [[], []]), ValueError, "2 rows of 0 positions"),
    bad(lambda v, p: extract(v, question="Is it {0}?"), ValueError, "'camel' does not follow"),
    bad(lambda v, p: ids().mean("blocks.1.hook_resid_post"), ValueError, "there are: blocks.0."),
    bad(lambda v, p: ids().interpolate(ids().sites[0], 0, 1.01), ValueError, "outside", "2 x 2"),
    bad(lambda v, p: ids().interpolate(ids().sites[0], -0.1, 0), ValueError, "outside"),
    bad(lambda v, p: ids().subset([]), ValueError, "empty list of pairs"),
    bad(lambda v, p: ids().subset([("dog", "cat")]), ValueError, "('dog', 'cat')", "1 pairs"),
    bad(lambda v, p: SpatialIDs.load("nowhere.safetensors"), FileNotFoundError, "nowhere"),
    # Interventions
    bad(lambda v, p: sweep(v, [], ("Left", "Right")), ValueError, "no jobs"),
    bad(lambda v, p: run(v, p, site="blocks.0.resid_post"), ValueError, "no hook called"),
    bad(lambda v, p: run(v, p, where=()), ValueError, "no positions"),
    bad(lambda v, p: run(v, p, where=(len(p),)), ValueError, "outside a prompt of"),
    bad(lambda v, p: run(v, p, where=(-1,)), ValueError, "outside a prompt of"),
    bad(lambda v, p: run(v, p, vector=torch.zeros(5)), ValueError, "(5,)", "expected (48,)"),
    bad(lambda v, p: steer(v.resid_post(0), [], torch.zeros(48)), ValueError, "no positions"),
    bad(lambda v, p: swap_all(v, [], []), ValueError, "empty list of prompts"),
    bad(lambda v, p: swap_all(v, [p], [p], groups={}), ValueError, "no groups"),
    bad(lambda v, p: swap_all(v, [p], [p], sites=[]), ValueError, "empty list of hook names"),
    bad(
        lambda v, p: swap_all(v, [p], [v.prompt(IMAGE, "What is it?")]), ValueError,
        "tokens differ", "What is it?",
    ),
    # Stimuli
    bad(lambda v, p: sprites.sprite("zebra", 8), ValueError, "'zebra'", "frog, ", "hot dog"),
    bad(lambda v, p: scenes.Scene(()).find("frog"), ValueError, "no 'frog'"),
    bad(lambda v, p: helpers.mirror(scenes.Scene(()), "x"), ValueError, "'column' or 'row'", "'x'"),
    bad(lambda v, p: helpers.grid_scenes([]), ValueError, "at least one pair"),
    bad(lambda v, p: helpers.grid_scenes([("frog", "dog")], []), ValueError, "one size"),
    bad(lambda v, p: helpers.scenes(0, 0), ValueError, "asked for 0 scenes"),
    bad(lambda v, p: helpers.scenes(1, 0, "video"), ValueError, "'video'", "grid, clutter"),
    bad(
        lambda v, p: questions.ask(sampling.grid_scenes()[0], "riddle", np.random.default_rng(0)),
        ValueError, "'riddle'", "left_right",
    ),
    bad(
        lambda v, p: scenes.Scene((), scenes.Background("stars")).render(8), ValueError,
        "'stars'", "gradient",
    ),
    # Statistics
    bad(lambda v, p: stats.proportion([]), ValueError, "no samples"),
    bad(lambda v, p: stats.mean([1.0]), ValueError, "at least two samples, not 1"),
    bad(lambda v, p: stats.share([1.0]), ValueError, "at least two samples, not 1"),
    bad(lambda v, p: stats.share([0.5, 1.2]), ValueError, "these go from 0.5 to 1.2"),
    bad(lambda v, p: stats.mean([]), ValueError, "at least two samples, not 0"),
    bad(lambda v, p: stats.paired_difference([1, 2, 3], [1]), ValueError, "3 and 1 samples"),
    bad(lambda v, p: stats.ratio_of_means([1, 2], [1, 2, 3]), ValueError, "2 and 3 samples"),
]  # fmt: skip


def llama():
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 9}
    return LlamaForCausalLM(LlamaConfig(**size, num_attention_heads=1))


def extract(vlm, **options):
    return SpatialIDs.extract(vlm, [("frog", "camel")], grid=2, progress=False, **options)


def ids():
    pairs = (("frog", "camel"),)
    return SpatialIDs(torch.zeros(1, 1, 2, 2, 4), ("blocks.0.hook_resid_post",), pairs, 0, "none")


def run(vlm, prompt, site="blocks.0.hook_resid_post", where=(1,), vector=None):
    edit = Edit(site, where, torch.zeros(48) if vector is None else vector)
    return sweep(vlm, [Job(prompt), Job(prompt, (edit,))], ("Left", "Right"), progress=False)


def read(vlm, prompt, positions):
    return read_states(vlm, [prompt] * 2, positions, [vlm.resid_post(0)])


def swap_all(vlm, prompts, mirrored, groups=None, **options):
    groups = {"last": [[prompt.last] for prompt in prompts]} if groups is None else groups
    return mirror_swap(vlm, prompts, mirrored, groups, ("Left", "Right"), progress=False, **options)


@pytest.mark.parametrize(("call", "kind", "parts"), CASES)
def test_bad_input_gives_one_clear_error(vlm, prompt, call, kind, parts):
    with pytest.raises(kind) as caught:
        call(vlm, prompt)
    assert type(caught.value) is kind
    for part in parts:
        assert part in str(caught.value)


def test_a_word_that_is_missing_is_told_with_the_tokens(prompt):
    with pytest.raises(ValueError, match=re.escape("| back | pack |".replace("| back", " back"))):
        prompt.word("zebra")


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no model: config\.json is missing"):
        load_vlm(tmp_path)


def test_a_file_that_holds_no_ids(tmp_path):
    from safetensors.torch import save_file

    save_file({"vectors": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no spatial IDs"):
        SpatialIDs.load(tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("not a tensor")
    with pytest.raises(ValueError, match="is no safetensors file"):
        SpatialIDs.load(tmp_path / "text.safetensors")


def test_a_processor_without_a_chat_template(vlm, monkeypatch):
    monkeypatch.setattr(vlm.processor, "chat_template", None)
    with pytest.raises(ValueError, match="has no chat template"):
        vlm.prompt(IMAGE, "What?")


def test_an_input_that_is_left_out(vlm):
    """Inputs that are missing change logits silently: the family says what it needs."""

    class Blind:
        chat_template = vlm.processor.chat_template
        tokenizer = vlm.processor.tokenizer
        apply_chat_template = vlm.processor.apply_chat_template

        def __call__(self, **options):
            inputs = vlm.processor(**options)
            del inputs["pixel_values"]
            return inputs

    with pytest.raises(ValueError, match="needs pixel_values and Blind gave only input_ids"):
        load_vlm(vlm.model, Blind()).prompt(IMAGE, "What?")


def test_a_bad_job_is_told_before_anything_runs(vlm, prompt):
    calls = []
    handle = vlm.model.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        with pytest.raises(ValueError, match="outside a prompt"):
            run(vlm, prompt, where=(999,))
    finally:
        handle.remove()
    assert not calls


def test_choosing_a_layer_needs_samples_for_both_halves():
    import pandas as pd

    table = pd.DataFrame({"prompt": [0, 0], "layer": [0, 1], "value": [1.0, 2.0]})
    with pytest.raises(ValueError, match="at least two"):
        stats.choose_layer(table, "value")


def test_probes_need_as_many_objects_as_folds():
    from helpers.geometry import probe

    with pytest.raises(ValueError, match="5 folds need as many objects, not 2"):
        probe(np.zeros((4, 3)), np.zeros((4, 2)), ["frog", "frog", "dog", "dog"])
