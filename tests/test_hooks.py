"""Hooks: the same numbers as plain Hugging Face, edits that do what they say, nothing left."""

import pytest
import torch
from conftest import count_hooks

from helpers.hooks import HookPoint


def plain_inputs(vlm, image, question):
    """The inputs as Hugging Face's documentation makes them, without our code."""
    content = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    return vlm.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def continue_by_hand(vlm, resid, first):
    """Run blocks ``first``, ``first + 1``, ... one by one, then norm and head."""
    decoder = vlm.model.get_decoder()
    places = torch.arange(resid.shape[1])[None]
    rotary = decoder.rotary_emb(resid, places)
    for block in decoder.layers[first:]:
        resid = block(resid, position_embeddings=rotary, position_ids=places, attention_mask=None)
    return vlm.model.lm_head(decoder.norm(resid))


# Parity -----------------------------------------------------------------------------------------


@torch.no_grad()
def test_logits_are_bit_for_bit_those_of_plain_hugging_face(vlm, prompt):
    expected = vlm.model(**plain_inputs(vlm, prompt.image, prompt.question)).logits
    assert torch.equal(vlm.run_with_hooks(prompt), expected)
    logits, _ = vlm.run_with_cache(prompt)
    assert torch.equal(logits, expected)
    assert torch.allclose(vlm.last_logits(prompt), expected[:, -1], atol=1e-6)


@torch.no_grad()
def test_every_site_is_bit_for_bit_a_hidden_state(vlm, prompt):
    inputs = plain_inputs(vlm, prompt.image, prompt.question)
    states = vlm.model(**inputs, output_hidden_states=True).hidden_states
    _, cache = vlm.run_with_cache(prompt)
    assert list(cache) == vlm.hook_names
    assert len(states) == vlm.n_layers + 1
    for layer in range(vlm.n_layers):
        assert torch.equal(cache[f"blocks.{layer}.hook_resid_pre"], states[layer])
    for layer in range(vlm.n_layers - 1):
        assert torch.equal(cache[f"blocks.{layer}.hook_resid_post"], states[layer + 1])
    # Hugging Face's last hidden state has passed the final norm; the site has not.
    last = cache[f"blocks.{vlm.n_layers - 1}.hook_resid_post"]
    assert torch.equal(vlm.model.get_decoder().norm(last), states[-1])
    assert not torch.allclose(last, states[-1], atol=0.1)


@torch.no_grad()
def test_a_batch_of_different_lengths_gives_what_single_prompts_give(vlm, prompts):
    assert len({len(prompt) for prompt in prompts}) == 3
    logits, cache = vlm.run_with_cache(prompts)
    last = vlm.last_logits(prompts)
    for row, prompt in enumerate(prompts):
        alone, states = vlm.run_with_cache(prompt)
        assert torch.allclose(logits[row, : len(prompt)], alone[0], atol=1e-5)
        assert torch.allclose(last[row], alone[0, -1], atol=1e-5)
        for name, state in states.items():
            assert torch.allclose(cache[name][row, : len(prompt)], state[0], atol=1e-5), name
    # The test has power: rows differ by far more than the tolerance.
    assert (last[0] - last[1]).abs().max() > 0.1


@torch.no_grad()
def test_image_and_text_both_move_the_logits(vlm, scene, prompt):
    """Without this, parity would hold for a model that looks at nothing."""
    from helpers import mirror

    other = vlm.prompt(mirror(scene).render(), prompt.question)
    assert (vlm.last_logits(other) - vlm.last_logits(prompt)).abs().max() > 0.01


# Edits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("site", ["hook_resid_pre", "hook_resid_post"])
@torch.no_grad()
def test_an_edit_through_the_hook_equals_the_same_edit_by_hand(vlm, prompt, layer, site):
    generator = torch.Generator().manual_seed(layer)
    direction = torch.randn(vlm.d_model, generator=generator)
    where = prompt.word("frog")
    name = f"blocks.{layer}.{site}"
    clean, cache = vlm.run_with_cache(prompt)

    edited = cache[name].clone()
    edited[:, where] += direction
    expected = continue_by_hand(vlm, edited, layer + (site == "hook_resid_post"))

    def add(resid, hook):
        resid = resid.clone()
        resid[:, where] += direction
        return resid

    logits = vlm.run_with_hooks(prompt, [(name, add)])
    assert torch.allclose(logits, expected, atol=1e-5)
    assert (logits - clean).abs().max() > 0.1
    assert torch.allclose(logits[:, : where[0]], clean[:, : where[0]], atol=1e-6)  # causal


@torch.no_grad()
def test_an_edit_in_place_does_what_a_returned_tensor_does(vlm, prompt):
    where = prompt.word("backpack")

    def in_place(resid, hook):
        resid[:, where] = 0

    def returned(resid, hook):
        resid = resid.clone()
        resid[:, where] = 0
        return resid

    for name in vlm.hook_names:
        one = vlm.run_with_hooks(prompt, [(name, in_place)])
        assert torch.equal(one, vlm.run_with_hooks(prompt, [(name, returned)]))


def test_a_hook_that_returns_none_changes_nothing_and_learns_where_it_is(vlm, prompt):
    seen = []

    def look(resid, hook):
        seen.append((hook.name, hook.layer(), tuple(resid.shape)))

    logits = vlm.run_with_hooks(prompt, [(name, look) for name in vlm.hook_names])
    assert torch.equal(logits, vlm.run_with_hooks(prompt))
    shape = (1, len(prompt), vlm.d_model)
    assert seen == [(name, int(name.split(".")[1]), shape) for name in vlm.hook_names]
    assert HookPoint("blocks.12.hook_resid_pre").layer() == 12


def test_hooks_at_several_layers_each_make_their_own_edit(vlm, prompt):
    """The defect of the released code: a closure that binds late edits with the last layer's."""

    def fill(value):
        return lambda resid, hook: torch.full_like(resid, value)

    edits = [(vlm.resid_post(layer), fill(float(layer + 1))) for layer in range(vlm.n_layers)]
    _, cache = vlm.run_with_cache(prompt, fwd_hooks=edits)
    for layer in range(vlm.n_layers):
        assert (cache[vlm.resid_post(layer)] == layer + 1).all()
    for layer in range(vlm.n_layers - 1):  # what leaves a block enters the next
        assert (cache[f"blocks.{layer + 1}.hook_resid_pre"] == layer + 1).all()


def test_hooks_at_one_site_run_in_order(vlm, prompt):
    name = vlm.resid_post(1)
    hooks = [(name, lambda r, hook: r * 0 + 2), (name, lambda r, hook: r * 3)]
    _, cache = vlm.run_with_cache(prompt, name, hooks)
    assert list(cache) == [name]
    assert (cache[name] == 6).all()


def test_the_cache_keeps_what_was_named(vlm, prompt):
    name = vlm.resid_post(0)
    assert list(vlm.run_with_cache(prompt, name)[1]) == [name]
    assert list(vlm.run_with_cache(prompt, [name])[1]) == [name]
    kept = vlm.run_with_cache(prompt, lambda n: n.endswith("resid_post"))[1]
    assert list(kept) == [vlm.resid_post(layer) for layer in range(vlm.n_layers)]


# Leaks ------------------------------------------------------------------------------------------


def explode(resid, hook):
    raise RuntimeError("the hook failed")


@pytest.mark.parametrize(
    "run",
    [
        lambda vlm, p, hooks: vlm.run_with_hooks(p, hooks),
        lambda vlm, p, hooks: vlm.run_with_cache(p, fwd_hooks=hooks),
        lambda vlm, p, hooks: vlm.last_logits(p, hooks),
        lambda vlm, p, hooks: vlm.generate(p, hooks, max_new_tokens=2),
        lambda vlm, p, hooks: vlm.beliefs(p, ("Left", "Right"), fwd_hooks=hooks),
    ],
    ids=["run_with_hooks", "run_with_cache", "last_logits", "generate", "beliefs"],
)
def test_hooks_never_leak(vlm, prompt, run):
    before, clean = count_hooks(vlm.model), vlm.run_with_hooks(prompt)
    zero = [(name, lambda resid, hook: resid * 0) for name in vlm.hook_names]
    run(vlm, prompt, zero)
    assert count_hooks(vlm.model) == before
    with pytest.raises(RuntimeError, match="the hook failed"):
        run(vlm, prompt, [*zero, (vlm.resid_post(1), explode)])
    assert count_hooks(vlm.model) == before
    with pytest.raises(ValueError, match="no hook called"):
        run(vlm, prompt, [*zero, ("blocks.9.hook_resid_post", explode)])
    assert count_hooks(vlm.model) == before
    assert torch.equal(vlm.run_with_hooks(prompt), clean)


# Generation -------------------------------------------------------------------------------------


@torch.no_grad()
def greedy_by_hand(vlm, prompt, steps, edit=None):
    """Write an answer without a key-value cache, the edit made by a plain torch hook."""
    inputs = dict(prompt.inputs)
    handle = vlm.layers[1].register_forward_hook(edit) if edit else None
    try:
        for _ in range(steps):
            token = vlm.model(**inputs).logits[0, -1].argmax()
            if token == vlm.model.generation_config.eos_token_id:
                break
            inputs["input_ids"] = torch.cat([inputs["input_ids"], token[None, None]], dim=1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    finally:
        if handle:
            handle.remove()
    new = inputs["input_ids"][0, len(prompt) :]
    return vlm.processor.tokenizer.decode(new, skip_special_tokens=True).strip()


def test_generate_equals_greedy_decoding_by_hand_with_and_without_hooks(vlm, prompts):
    answers = vlm.generate(prompts, max_new_tokens=5)
    assert answers == [greedy_by_hand(vlm, prompt, 5) for prompt in prompts]
    assert vlm.generate(prompts[0], max_new_tokens=5) == answers[0]

    prompt = prompts[0]
    where = prompt.last
    direction = 20 * torch.randn(vlm.d_model, generator=torch.Generator().manual_seed(1))
    calls = []

    def through_hook(resid, hook):
        calls.append(tuple(resid.shape))
        resid[:, where] += direction

    def by_hand(block, arguments, output):
        output[:, where] += direction

    changed = vlm.generate(prompt, [(vlm.resid_post(1), through_hook)], max_new_tokens=5)
    assert calls == [(1, len(prompt), vlm.d_model)]  # once, on the prompt
    assert changed == greedy_by_hand(vlm, prompt, 5, by_hand)
    assert changed != answers[0]


def test_generate_stops_at_the_end_token(vlm, prompt):
    end = vlm.processor.tokenizer.eos_token_id
    target = 100 * vlm.model.get_input_embeddings().weight[end].detach()

    def finish(resid, hook):
        resid[:, -1] = target

    assert vlm.generate(prompt, [(vlm.resid_post(vlm.n_layers - 1), finish)]) == ""
