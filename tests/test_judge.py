"""The judge finds what is wrong with a wrong entry, and says which check found it."""

from dataclasses import replace

import pytest
import torch
from conftest import random_llava
from zoo import ZOO

from helpers import families
from helpers.families import Family
from helpers.grids import View, square
from helpers.hooks import HookedVLM
from helpers.judge import CHECKS, judge

NAMES = {check.name for check in CHECKS}
LLAVA = next(family for family in families.FAMILIES if family.model_types == ("llava",))


@pytest.fixture(scope="module")
def parts():
    return random_llava()


def failed(parts, **changes):
    """The checks that a changed entry fails, with their hints."""
    table = judge(HookedVLM(*parts, replace(LLAVA, **changes)))
    assert set(table["check"]) == NAMES
    bad = table[~table["passed"]]
    assert bad["hint"].all() and not table.loc[table["passed"], "hint"].any()
    return dict(zip(bad["check"], bad["hint"], strict=True))


def test_a_right_entry_passes_and_leaves_no_hook(parts):
    model = parts[0]
    before = [weight.clone() for weight in model.parameters()]
    assert not failed(parts)
    hooks = [module._forward_hooks | module._forward_pre_hooks for module in model.modules()]
    assert all(
        (hook.__module__ or "").startswith("transformers.")
        for one in hooks
        for hook in one.values()
    )
    assert all(map(torch.equal, before, model.parameters()))


def test_the_blocks_of_the_vision_tower_are_not_the_decoders(parts):
    bad = failed(parts, layers=lambda model: model.model.vision_tower.encoder.layers)
    assert "the entry finds 1 blocks and the config says 3" in bad["blocks are Hugging Face's"]


def test_blocks_in_another_order_are_found(parts):
    turned = lambda model: torch.nn.ModuleList(list(model.get_decoder().layers)[::-1])  # noqa: E731
    bad = failed(parts, layers=turned)
    assert "blocks are Hugging Face's" in bad
    assert "a spot moves its own patch" not in bad


def one_late(layout):
    view = square(layout)[0]
    return (view._replace(positions=tuple(place + 1 for place in view.positions)),)


def turned(layout):
    (view,) = square(layout)
    rows, columns = view.grid
    order = [view.at(row, column) for column in range(columns) for row in range(rows)]
    return (View(tuple(order), view.grid, view.box),)


def whole_picture(layout):
    """As if nothing were cut off an oblong picture."""
    return square(layout)


@pytest.mark.parametrize(
    ("views", "found"),
    [
        (one_late, "patches are image tokens, each once"),
        (one_late, "a spot moves its own patch"),
        (turned, "a spot moves its own patch"),
        (whole_picture, "a spot moves its own patch"),
    ],
)
def test_patches_in_wrong_places_are_found(parts, views, found):
    bad = failed(parts, views=views)
    assert found in bad
    assert "blocks are Hugging Face's" not in bad


def test_another_image_token_is_an_error_of_every_prompt(parts):
    config = parts[0].config
    right = config.image_token_id
    config.image_token_id = 0  # never in a text
    try:
        bad = failed(parts)
    finally:
        config.image_token_id = right
    assert "no image token (id 0)" in bad["tokens are the processor's own"]


def test_an_input_that_matters_must_be_required():
    model, processor = ZOO["qwen2_5_vl"]()
    entry = families.family_of(model.config)
    left_out = ("pixel_values", "image_grid_thw")
    table = judge(HookedVLM(model, processor, replace(entry, required_inputs=left_out)))
    bad = table[~table["passed"]].set_index("check")["hint"]
    assert "mm_token_type_ids" in bad["inputs that matter are required"]


def test_an_image_that_sees_itself_breaks_fast_passes_that_do_not_know_it():
    model, processor = ZOO["gemma3"]()
    entry = replace(families.family_of(model.config), image_sees_itself=False)
    table = judge(HookedVLM(model, processor, entry)).set_index("check")
    assert not table["passed"]["fast passes, edits from the image on"]
    assert table["passed"]["blocks are Hugging Face's"]


def test_scaled_logits_are_found(parts):
    class Scaled(torch.nn.Module):
        def __init__(self, head):
            super().__init__()
            self.head = head

        def forward(self, resid):
            return self.head(resid) / 3

    model, _ = parts
    head = model.lm_head
    model.lm_head = Scaled(head)
    model.get_output_embeddings = lambda: head
    try:
        bad = failed(parts)
    finally:
        model.lm_head = head
        del model.get_output_embeddings
    assert "scales or caps" in bad["norm and unembedding give the logits"]


# Registering ------------------------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(families, "_REGISTERED", {})


def test_a_registered_family_is_found_and_can_be_registered_again(registry):
    first, second = (Family("Mine", ("mine",), views) for views in (square, one_late))
    families.register(first)
    families.register(second)
    config = type("Config", (), {"model_type": "mine"})
    assert families.family_of(config) is second
    assert families.families()[-1] is second


def test_a_family_must_not_clash_with_another(registry):
    with pytest.raises(ValueError, match=r"'LLaVA-1\.5' has the model type 'llava' already"):
        families.register(Family("Mine", ("mine", "llava"), square))
    with pytest.raises(ValueError, match="there is a family called 'Gemma 3'"):
        families.register(Family("Gemma 3", ("mine",), square))
    with pytest.raises(ValueError, match="names no model type"):
        families.register(Family("Mine", (), square))
    families.register(Family("Mine", ("mine",), square))
    with pytest.raises(ValueError, match="'Mine' has the model type 'mine' already"):
        families.register(Family("Other", ("mine",), square))


def test_an_unknown_model_is_told_how_to_add_it(registry):
    config = type("Config", (), {"model_type": "mine"})
    with pytest.raises(ValueError, match=r"no entry for model type 'mine'.*register"):
        families.family_of(config)
    families.register(Family("Mine", ("mine",), square))
    assert families.family_of(config).name == "Mine"
