"""Equal pictures go through a vision tower once, and nothing comes out differently."""

import numpy as np
import pytest
import torch
from PIL import Image
from zoo import VIDEO, ZOO

from helpers import Video, load_vlm, pictures, read_states
from helpers.families import FAMILIES
from helpers.pictures import pictures_once

TOWERS = [kind for family in FAMILIES for kind in family.model_types if family.tower]
QUESTION = "Is the frog to the left or right of the camel?"


def frame(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def asked(vlm, name):
    """Prompts whose pictures come again, in one prompt or in the next."""
    if name in VIDEO:
        films = [(0, 0, 1, 0), (1, 0, 2, 2)]
        return [vlm.prompt(Video(tuple(map(frame, film))), QUESTION) for film in films]
    return [vlm.prompt(frame(seed), QUESTION) for seed in (0, 1, 0)]


class Count:
    """Counts the pictures that a tower is shown."""

    def __init__(self, tower):
        self.pictures, self.forward = 0, tower.forward

    def __call__(self, pixel_values, **options):
        self.pictures += len(pixel_values)
        return self.forward(pixel_values, **options)


@pytest.fixture(scope="module", params=TOWERS)
def towered(request):
    vlm = load_vlm(*ZOO[request.param](), device="cpu")
    return vlm, asked(vlm, request.param)


def test_equal_pictures_are_encoded_once_and_logits_stay(towered, monkeypatch):
    vlm, prompts = towered
    tower = vlm.family.tower(vlm.model)
    expected = vlm.last_logits(prompts)
    count = Count(tower)
    monkeypatch.setattr(type(tower), "forward", lambda self, *a, **k: count(*a, **k))
    vlm.last_logits(prompts)
    shown, count.pictures = count.pictures, 0
    with pictures_once(vlm):
        first, second = vlm.last_logits(prompts), vlm.last_logits(prompts[::-1])
    assert 0 < count.pictures < shown
    torch.testing.assert_close(first, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(second, expected.flip(0), atol=1e-5, rtol=1e-5)


def test_a_small_budget_forgets_and_is_right(towered, monkeypatch):
    vlm, prompts = towered
    expected = vlm.last_logits(prompts)
    monkeypatch.setattr(pictures, "BUDGET", 1000)
    with pictures_once(vlm):
        for _ in range(2):
            torch.testing.assert_close(vlm.last_logits(prompts), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def small():
    vlm = load_vlm(*ZOO["llava"](), device="cpu")
    return vlm, vlm.family.tower(vlm.model), asked(vlm, "llava")


def test_other_weights_afterwards_are_seen(small):
    vlm, tower, prompts = small
    site = vlm.resid_post(0)
    where = [[prompt.last] for prompt in prompts]
    before = read_states(vlm, prompts, where, [site])
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.mul_(1.5)
    after = read_states(vlm, prompts, where, [site])
    assert (after - before).abs().max() > 1e-2


@pytest.mark.parametrize("large", [False, True])
def test_only_a_small_tower_is_remembered_for_the_next_function(small, monkeypatch, large):
    vlm, tower, prompts = small
    count = Count(tower)
    monkeypatch.setattr(type(tower), "forward", lambda self, *a, **k: count(*a, **k))
    if large:
        monkeypatch.setattr(pictures, "SMALL_TOWER", 1000)
    where = [[prompt.last] for prompt in prompts]
    first = read_states(vlm, prompts, where, [vlm.resid_post(0)])
    shown, count.pictures = count.pictures, 0
    second = read_states(vlm, prompts, where, [vlm.resid_post(0)])
    assert shown == 2  # of three pictures, two are alike
    assert count.pictures == (shown if large else 0)
    torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-5)


def test_weights_changed_behind_the_back_of_autograd_are_seen(small):
    vlm, tower, prompts = small
    where = [[prompt.last] for prompt in prompts]
    before = read_states(vlm, prompts, where, [vlm.resid_post(0)])
    weight = max(tower.parameters(), key=len)
    weight.data[:] = weight.data.flip(0)  # the same numbers, in another order
    after = read_states(vlm, prompts, where, [vlm.resid_post(0)])
    assert (after - before).abs().max() > 1e-4


def test_what_is_kept_does_not_change_when_its_user_writes_into_it(small):
    vlm, tower, prompts = small
    where = [[prompt.last] for prompt in prompts]
    expected = read_states(vlm, prompts, where, [vlm.resid_post(0)])
    pictures._MEMORIES.pop(tower)

    def spoil(module, inputs):
        inputs[0].add_(1.0)

    handle = vlm.model.model.multi_modal_projector.register_forward_pre_hook(spoil)
    spoiled = read_states(vlm, prompts, where, [vlm.resid_post(0)])
    handle.remove()
    assert (spoiled - expected).abs().max() > 1e-4
    found = read_states(vlm, prompts, where, [vlm.resid_post(0)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_somebodys_hooks_in_the_tower_see_every_picture(small):
    vlm, tower, prompts = small
    seen = []
    block = next(m for m in tower.modules() if type(m).__name__.endswith("EncoderLayer"))
    handle = block.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    with pictures_once(vlm):
        vlm.last_logits(prompts)
    handle.remove()
    assert seen == [len(prompts)]


def test_the_tower_is_as_before_also_after_an_error(small):
    vlm, tower, _ = small
    with pytest.raises(RuntimeError, match="on purpose"), pictures_once(vlm):
        assert "forward" in vars(tower)
        raise RuntimeError("on purpose")
    assert "forward" not in vars(tower)


# Frames -----------------------------------------------------------------------------------------


@pytest.fixture
def frames_processor():
    return ZOO["llava_video"]()[1]


def pixels_of(processor, seeds):
    film = np.stack([np.asarray(frame(seed)) for seed in seeds])
    inputs = processor(text="<video> Where?", videos=[film], return_tensors="pt")
    return inputs["pixel_values_videos"][0]


def test_frames_that_were_prepared_before_are_the_same_again(frames_processor):
    one = pixels_of(frames_processor, (0, 1, 1, 2))
    other = pixels_of(frames_processor, (2, 1, 3, 0))
    fresh = pixels_of(ZOO["llava_video"]()[1], (2, 1, 3, 0))
    torch.testing.assert_close(other, fresh, atol=0, rtol=0)
    torch.testing.assert_close(one[[3, 1, 0]], other[[0, 1, 3]], atol=0, rtol=0)


def test_frames_are_prepared_anew_under_other_settings(frames_processor):
    before = pixels_of(frames_processor, (0, 1, 1, 2))
    frames_processor.image_processor.image_mean = [0.1, 0.1, 0.1]
    assert (pixels_of(frames_processor, (0, 1, 1, 2)) - before).abs().min() > 0.1


def test_prepared_frames_are_not_saved(frames_processor, tmp_path):
    pixels_of(frames_processor, (0, 1, 1, 2))
    frames_processor.save_pretrained(tmp_path)
    assert "prepared" not in (tmp_path / "processor_config.json").read_text()
