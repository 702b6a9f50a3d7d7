"""The bridge: the same numbers as the model, bit for bit, and a model that it leaves alone."""

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import count_hooks
from PIL import Image
from torch import nn
from zoo import ZOO

from helpers import load_vlm

pytest.importorskip("transformer_lens")
from helpers.bridge import bridge_inputs, to_bridge

HEAD = 1


def picture(seed, size):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (size[1], size[0], 3), generator=generator)
    return Image.fromarray(pixels.byte().numpy())


def ask(vlm):
    """Two prompts of different lengths; the second picture takes fewer tiles."""
    return [
        vlm.prompt(picture(0, (90, 60)), "Is the frog to the left or right of the backpack?"),
        vlm.prompt(picture(1, (36, 40)), "Where is the cat?"),
    ]


def load(name, attention="eager"):
    model, processor = ZOO[name]()
    model.config._attn_implementation = attention  # of the vision tower too
    return load_vlm(model, processor)


@pytest.fixture(scope="module", params=ZOO)
def case(request):
    """A model of every family and its bridge, both with attention step by step."""
    vlm = load(request.param)
    prompts = ask(vlm)
    bridge = to_bridge(vlm)
    inputs = bridge_inputs(vlm, prompts)
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(**inputs)
    return SimpleNamespace(
        vlm=vlm, prompts=prompts, bridge=bridge, inputs=inputs, logits=logits, cache=cache
    )


def attention(case, layer):
    """Name and torch module of a block's attention, in the bridge and in the model."""
    block = case.vlm.layers[layer]
    if hasattr(block, "cross_attn"):
        return f"blocks.{layer}.cross_attn", block.cross_attn
    return f"blocks.{layer}.attn", block.self_attn


def layers(case):
    return range(case.vlm.n_layers)


def run(case, name, function):
    with torch.no_grad():
        return case.bridge.run_with_hooks(**case.inputs, fwd_hooks=[(name, function)])


def run_model(case, module, before):
    """The model itself, with a plain torch hook on what enters a module."""
    handle = module.register_forward_pre_hook(before, with_kwargs=True)
    try:
        return case.vlm.run_with_hooks(case.prompts)
    finally:
        handle.remove()


# Parity -----------------------------------------------------------------------------------------


def test_logits_and_every_site_are_bit_for_bit_the_models(case):
    logits, sites = case.vlm.run_with_cache(case.prompts)
    assert torch.equal(case.logits, logits)
    for name, stream in sites.items():
        assert torch.equal(case.cache[name], stream), name


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "mllama", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@torch.no_grad()
def test_parity_holds_in_half_precision(name, dtype):
    vlm = load(name)
    vlm.model.to(dtype)
    prompts = ask(vlm)
    assert torch.equal(to_bridge(vlm)(**bridge_inputs(vlm, prompts)), vlm.run_with_hooks(prompts))


def test_patterns_are_hugging_faces_own(case):
    expected = case.vlm.model(**case.vlm.batch(case.prompts), output_attentions=True).attentions
    assert len(expected) == case.vlm.n_layers
    heads = case.bridge.cfg.n_heads
    for layer in layers(case):
        pattern = case.cache[attention(case, layer)[0] + ".hook_pattern"]
        assert pattern.shape[:3] == (2, heads, case.logits.shape[1])
        assert torch.equal(pattern, expected[layer])
        assert torch.allclose(pattern.sum(-1), torch.ones(()), atol=1e-5)


def test_nobody_looks_ahead_but_where_the_family_does(case):
    for layer in layers(case):
        name, _ = attention(case, layer)
        pattern = case.cache[f"{name}.hook_pattern"][0]
        if "cross" in name:
            assert (pattern[:, 3, 4:] > 0).any()  # keys are patches: there is no order to keep
            continue
        ahead = pattern.triu(1).any(0).nonzero().tolist()
        image = set(case.prompts[0].image_patches.positions)
        assert all({query, key} <= image for query, key in ahead)
        assert bool(ahead) == case.vlm.family.image_sees_itself


def test_heads_have_their_shapes_with_grouped_queries(case):
    config = case.bridge.cfg
    kv_heads = config.n_key_value_heads or config.n_heads
    assert kv_heads < config.n_heads or case.vlm.family.name == "LLaVA-1.5"
    for layer in layers(case):
        name, module = attention(case, layer)
        sizes = {"q": config.n_heads, "k": kv_heads, "v": kv_heads, "z": config.n_heads}
        for part, count in sizes.items():
            shape = case.cache[f"{name}.hook_{part}"].shape
            assert shape[2:] == (count, module.head_dim)
            if part in "qz":
                assert shape[:2] == case.logits.shape[:2]


# Edits ------------------------------------------------------------------------------------------


def test_a_head_knocked_out_equals_zeroed_columns_before_the_output_projection(case):
    for layer in layers(case):
        name, module = attention(case, layer)
        columns = slice(HEAD * module.head_dim, (HEAD + 1) * module.head_dim)

        def knock_out(z, hook):
            z[:, :, HEAD] = 0

        def zero(projection, arguments, keywords, columns=columns):
            flat = arguments[0].clone()
            flat[..., columns] = 0
            return (flat,), keywords

        edited = run(case, f"{name}.hook_z", knock_out)
        assert torch.equal(edited, run_model(case, module.o_proj, zero))
        assert (edited - case.logits).abs().max() > 1e-3


def test_attention_cut_between_two_places_equals_a_mask_on_one_head(case):
    query, key = case.prompts[0].last, 3
    for layer in layers(case):
        name, module = attention(case, layer)
        seen = {}

        def cut(scores, hook):
            scores[:, HEAD, query, key] = -torch.inf

        def mask(attention, arguments, keywords):
            given = keywords["attention_mask"].expand(-1, case.bridge.cfg.n_heads, -1, -1).clone()
            given[:, HEAD, query, key] = -torch.inf
            return arguments, keywords | {"attention_mask": given}

        def look(pattern, hook, seen=seen):
            seen["pattern"] = pattern.clone()

        with case.bridge.hooks(fwd_hooks=[(f"{name}.hook_pattern", look)]):
            edited = run(case, f"{name}.hook_attn_scores", cut)
        assert torch.equal(edited, run_model(case, module, mask))
        assert (seen["pattern"][:, HEAD, query, key] == 0).all()
        assert torch.allclose(seen["pattern"].sum(-1), torch.ones(()), atol=1e-5)
        assert torch.equal(edited[:, :query], case.logits[:, :query])
        if case.cache[f"{name}.hook_pattern"][0, HEAD, query, key] > 0:  # not beyond a window
            assert (edited[0, query] - case.logits[0, query]).abs().max() > 1e-5


def test_an_edited_pattern_is_the_one_that_is_used(case):
    for layer in layers(case):
        name, _ = attention(case, layer)

        def first_only(pattern, hook):
            pattern = torch.zeros_like(pattern)
            pattern[..., 0] = 1
            return pattern

        seen = {}
        with case.bridge.hooks(
            fwd_hooks=[(f"{name}.hook_z", lambda z, hook, seen=seen: seen.update(z=z.clone()))]
        ):
            run(case, f"{name}.hook_pattern", first_only)
        assert torch.allclose(seen["z"], seen["z"][:, :1].expand_as(seen["z"]), atol=1e-6)


def test_a_neuron_silenced_equals_a_zeroed_column(case):
    for layer in layers(case):

        def silence(post, hook):
            post[..., 7] = 0

        def zero(projection, arguments, keywords):
            flat = arguments[0].clone()
            flat[..., 7] = 0
            return (flat,), keywords

        edited = run(case, f"blocks.{layer}.mlp.hook_post", silence)
        assert torch.equal(edited, run_model(case, case.vlm.layers[layer].mlp.down_proj, zero))
        assert not torch.equal(edited, case.logits)


@pytest.mark.filterwarnings("ignore:A forward hook edited hook_scale/hook_normalized")
def test_every_point_can_be_written_with_what_is_read_there(case):
    """Norms are computed anew from what their hooks return: Gemma's weights are one less."""
    names = [name for name in case.cache if case.cache[name].is_floating_point()]
    hooks = [(name, lambda tensor, hook: tensor.clone()) for name in names]
    with torch.no_grad():
        logits = case.bridge.run_with_hooks(**case.inputs, fwd_hooks=hooks)
    assert len(names) > 40 * case.vlm.n_layers
    assert torch.allclose(logits, case.logits, atol=1e-4)


def test_what_a_block_adds_adds_up(case):
    for layer in layers(case):
        name, _ = attention(case, layer)
        weights = case.bridge.get_submodule(name).W_O  # [head, d_head, d_model]
        heads = torch.einsum("bphd,hdm->bphm", case.cache[f"{name}.hook_z"], weights)
        assert torch.allclose(heads.sum(2), case.cache[f"{name}.hook_out"], atol=1e-5)
        if "cross" in name:  # gates are between, so there is no such name
            assert f"blocks.{layer}.hook_attn_out" not in case.cache
            continue
        names = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
        before, read, middle, thought, after = (
            case.cache[f"blocks.{layer}.hook_{name}"] for name in names
        )
        assert torch.allclose(before + read, middle, atol=1e-5)
        assert torch.allclose(middle + thought, after, atol=1e-5)


@torch.no_grad()
def test_generation_through_the_copy_equals_the_models(case):
    vlm, prompt = case.vlm, case.prompts[0]
    name = vlm.resid_post(0)

    def edit(stream, hook):
        if stream.shape[1] == len(prompt):
            stream[:, -1] = 3 * stream[:, -1].flip(-1)

    def write(model):
        options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
        return model.generate(**vlm.batch(prompt), **options)[0, len(prompt) :].tolist()

    plain = write(case.bridge.original_model)
    assert plain == write(vlm.model)
    with case.bridge.hooks(fwd_hooks=[(name, edit)]):
        edited = write(case.bridge.original_model)
    with vlm.hooks([(name, edit)]):
        assert edited == write(vlm.model)
    assert edited != plain


# The model is left alone ------------------------------------------------------------------------


def fingerprint(model):
    return (
        [(name, type(module)) for name, module in model.named_modules()],
        [(name, weight.data_ptr(), weight.dtype) for name, weight in model.named_parameters()],
        [(name, id(weight)) for name, weight in model.named_parameters()],
        [module.config._attn_implementation for module in model.modules() if has_config(module)],
        count_hooks(model),
        model.training,
    )


def has_config(module):
    return hasattr(getattr(module, "config", None), "_attn_implementation")


@pytest.mark.parametrize("name", ZOO)
@torch.no_grad()
def test_the_model_stays_as_it_was_and_the_weights_are_shared(name):
    vlm = load(name, attention="sdpa")
    prompts = ask(vlm)
    expected, before = vlm.run_with_hooks(prompts), fingerprint(vlm.model)
    weights = {key: value.clone() for key, value in vlm.model.state_dict().items()}

    bridge = to_bridge(vlm)
    inputs = bridge_inputs(vlm, prompts)
    logits, cache = bridge.run_with_cache(**inputs)
    assert torch.allclose(logits, expected, atol=1e-4)
    config = bridge.original_model.config
    assert config.get_text_config()._attn_implementation == "eager"
    assert config.vision_config._attn_implementation == "sdpa"
    ours = {weight.data_ptr() for weight in vlm.model.parameters()}
    assert {weight.data_ptr() for weight in bridge.original_model.parameters()} == ours

    for point in cache:
        if "hook_z" in point:
            bridge.run_with_hooks(**inputs, fwd_hooks=[(point, lambda z, hook: z * 0)])
    with pytest.raises(NotImplementedError, match="not folded or centred"):
        bridge.process_weights()
    with pytest.raises(NotImplementedError, match="not folded or centred"):
        bridge.enable_compatibility_mode()
    assert torch.equal(bridge(**inputs), logits)
    bridge.double()

    assert fingerprint(vlm.model) == before
    assert torch.equal(vlm.run_with_hooks(prompts), expected)
    assert all(torch.equal(value, weights[key]) for key, value in vlm.model.state_dict().items())


@torch.no_grad()
def test_a_change_of_the_weights_reaches_the_bridge():
    vlm = load("llava")
    prompts = ask(vlm)
    bridge = to_bridge(vlm)
    clean = bridge(**bridge_inputs(vlm, prompts))
    vlm.layers[1].mlp.down_proj.weight.zero_()
    changed = bridge(**bridge_inputs(vlm, prompts))
    assert torch.equal(changed, vlm.run_with_hooks(prompts))
    assert not torch.equal(changed, clean)


@torch.no_grad()
def test_weights_of_other_classes_stay_the_same_objects():
    """Quantised weights are such: what they carry with them would be lost in a new Parameter."""

    class Packed(nn.Parameter):
        pass

    vlm = load("llava")
    vlm.model.lm_head.weight = Packed(vlm.model.lm_head.weight.detach().clone())
    prompts = ask(vlm)
    bridge = to_bridge(vlm)
    assert bridge.unembed.original_component.weight is vlm.model.lm_head.weight
    assert torch.equal(bridge(**bridge_inputs(vlm, prompts)), vlm.run_with_hooks(prompts))


# Traps that the module's docstring tells of -----------------------------------------------------


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3", "mllama"])
@torch.no_grad()
def test_start_at_layer_is_silently_wrong_for_some(name):
    vlm = load(name)
    bridge = to_bridge(vlm)
    prompt = ask(vlm)[0]
    logits, cache = bridge.run_with_cache(**bridge_inputs(vlm, prompt))
    again = bridge(cache["blocks.1.hook_resid_pre"], start_at_layer=1)
    assert (again - logits).abs().max() > 0.1


@torch.no_grad()
def test_the_bridges_own_generation_loses_the_image_or_fails():
    def write(vlm, **options):
        inputs = bridge_inputs(vlm, prompt)
        options |= {"max_new_tokens": 6, "return_type": "tokens", "verbose": False}
        written = to_bridge(vlm).generate(**inputs, do_sample=False, stop_at_eos=False, **options)
        return written[0, len(prompt) :].tolist()

    vlm = load("internvl")
    prompt = ask(vlm)[0]
    right, wrong = (write(vlm, use_past_kv_cache=cached) for cached in (True, False))
    assert right[0] == wrong[0]
    assert right[1:] != wrong[1:]

    vlm = load("qwen2_vl")
    prompt = ask(vlm)[0]
    with pytest.raises(RuntimeError, match="must match the size"):
        write(vlm)


@torch.no_grad()
def test_other_traps_are_still_there():
    vlm = load("llava")
    bridge = to_bridge(vlm)
    prompt = ask(vlm)[0]
    inputs = bridge_inputs(vlm, prompt)
    logits, cache = bridge.run_with_cache(**inputs)

    blind = bridge(inputs["input"])  # no image, no complaint
    assert (blind - logits).abs().max() > 0.1
    image = prompt.image_patches.positions
    embedded, entering = cache["hook_embed"], cache["blocks.0.hook_resid_pre"]
    assert not torch.allclose(embedded[:, image], entering[:, image], atol=0.1)
    assert torch.equal(embedded[:, prompt.text_positions], entering[:, prompt.text_positions])

    name = "blocks.0.hook_resid_mid"
    with bridge.hooks(fwd_hooks=[(name, lambda stream, hook: torch.zeros_like(stream))]):
        _, edited = bridge.run_with_cache(**inputs)
    stream = edited["blocks.0.hook_resid_post"] - edited["blocks.0.hook_mlp_out"]
    assert torch.allclose(stream, cache[name], atol=1e-5)  # the stream went on as it was


# Errors -----------------------------------------------------------------------------------------


def test_without_transformer_lens_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformer_lens.model_bridge", None)
    monkeypatch.delitem(sys.modules, "helpers.bridge")
    with pytest.raises(ImportError, match=r'pip install "where-is-the-frog\[tl\]"'):
        importlib.import_module("helpers.bridge")


def test_a_family_without_an_entry_is_refused():
    unknown = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(model_type="blip-2")))
    with pytest.raises(NotImplementedError, match=r"'blip-2'.*there are llava, qwen2_vl"):
        to_bridge(unknown)


def test_weights_in_several_places_are_refused():
    vlm = load("llava")
    vlm.model.model.vision_tower.to("meta")
    with pytest.raises(NotImplementedError, match="on cpu, meta, and a bridge needs them on one"):
        to_bridge(vlm)


def test_hooks_that_are_held_are_refused(case):
    with (
        case.vlm.hooks([("blocks.0.hook_resid_post", lambda stream, hook: None)]),
        pytest.raises(ValueError, match=r"vlm holds hooks at blocks\.0\.hook_resid_post"),
    ):
        to_bridge(case.vlm)


def test_a_hook_that_would_never_run_is_not_offered():
    vlm = load("mllama")
    bridge = to_bridge(vlm)
    inputs = bridge_inputs(vlm, ask(vlm)[0])
    for name in ("blocks.1.cross_attn.hook_rot_q", "blocks.1.attn.hook_z", "blocks.9.hook_out"):
        with pytest.raises(Exception, match=name.replace(".", r"\.")):
            bridge.run_with_hooks(**inputs, fwd_hooks=[(name, lambda tensor, hook: None)])
