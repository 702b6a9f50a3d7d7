"""The checks of chapter 20: they pass the solution, and tell what is wrong with what is wrong."""

import pytest
import torch
from transformers import DynamicCache

from helpers import grid_scenes, load_vlm
from helpers.exercises import ch20


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Counting ---------------------------------------------------------------------------------------


def test_passes():
    ch20.check_passes(lambda t, f, b, d, e: 1 + e * (t - f) * (b - d) / (t * b))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda t, f, b, d, e: e * (t - f) * (b - d) / (t * b), "the clean pass alone"),
        (lambda t, f, b, d, e: 1 + e * f * d / (t * b), "touch everything"),
        (lambda t, f, b, d, e: 1 + e * (t - f) / t, "5 of 10 blocks"),
        (lambda t, f, b, d, e: None, "nothing came back"),
    ],
)
def test_passes_refuses(wrong, says):
    refuses(says, ch20.check_passes, wrong)


# Attention in two parts -------------------------------------------------------------------------


def merge(out_a, log_a, out_b, log_b):
    share = torch.sigmoid(log_a - log_b)[..., None]
    return out_b + share * (out_a - out_b)


def test_merge():
    ch20.check_merge(merge)


def overflowing(out_a, log_a, out_b, log_b):
    one, other = log_a.exp()[..., None], log_b.exp()[..., None]
    return (one * out_a + other * out_b) / (one + other)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (overflowing, "never take exp of a logarithm"),
        (lambda a, p, b, q: (a + b) / 2, "plain average"),
        (lambda a, p, b, q: merge(a, q, b, p), "by the other's denominator"),
        (
            lambda a, p, b, q: (p[..., None] * a + q[..., None] * b) / (p + q)[..., None],
            "logs are no weights",
        ),
        (lambda a, p, b, q: torch.cat([a, b], -2), "expected shape"),
        (lambda a, p, b, q: None, "nothing came back"),
    ],
)
def test_merge_refuses(wrong, says):
    refuses(says, ch20.check_merge, wrong)


# The suffix -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vlm():
    return load_vlm("tiny-llava")


@pytest.fixture(scope="module")
def prompt(vlm):
    scene = grid_scenes(pairs=[("frog", "camel")])[0]
    return vlm.prompt(scene.render(), "Is the frog to the left or right of the camel?")


def suffix_logits(vlm, embeds, start, first=None):
    cache = DynamicCache(config=vlm.model.config.get_text_config())
    vlm.model(inputs_embeds=embeds[:, :start], past_key_values=cache, use_cache=True)
    first = start if first is None else first
    places = torch.arange(first, first + embeds.shape[1] - start)[None]
    rest = embeds[:, start:]
    return vlm.model(inputs_embeds=rest, past_key_values=cache, position_ids=places).logits[:, -1]


def test_suffix_logits(vlm, prompt):
    ch20.check_suffix_logits(suffix_logits, vlm, prompt)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda v, e, s: suffix_logits(v, e, s, first=0), "positions start at"),
        (lambda v, e, s: v.model(inputs_embeds=e[:, s:]).logits[:, -1], "hand over the cache"),
        (lambda v, e, s: v.model(inputs_embeds=e).logits, "the last token alone"),
        (lambda v, e, s: None, "nothing came back"),
    ],
)
def test_suffix_logits_refuses(vlm, prompt, wrong, says):
    refuses(says, ch20.check_suffix_logits, wrong, vlm, prompt)


# Memory -----------------------------------------------------------------------------------------


def rows_that_fit(budget, prefix, suffix, blocks, width, bytes_each, copied):
    token = 2 * width * bytes_each * blocks
    if copied:
        return budget // ((prefix + suffix) * token)
    return max(0, (budget - prefix * token) // (suffix * token))


def test_rows_that_fit():
    ch20.check_rows_that_fit(rows_that_fit)


def always_copied(budget, prefix, suffix, blocks, width, bytes_each, copied):
    return rows_that_fit(budget, prefix, suffix, blocks, width, bytes_each, True)


def keys_alone(budget, prefix, suffix, blocks, width, bytes_each, copied):
    return rows_that_fit(2 * budget, prefix, suffix, blocks, width, bytes_each, copied)


def less_than_none(budget, prefix, suffix, blocks, width, bytes_each, copied):
    token = 2 * width * bytes_each * blocks
    shared = 0 if copied else prefix
    return (budget - shared * token) // ((suffix + prefix - shared) * token)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (always_copied, "90 tokens once, 10 a row"),
        (keys_alone, "a copied prefix: 100 tokens a row"),
        (less_than_none, "no rows, not fewer than none"),
        (lambda *given, **named: None, "nothing came back"),
    ],
)
def test_rows_that_fit_refuses(wrong, says):
    refuses(says, ch20.check_rows_that_fit, wrong)


# One key replaced -------------------------------------------------------------------------------


def replace_key(out, log_z, old, old_value, new, new_value, divided=True, taken=True):
    leaves, comes = (old - log_z).exp() * taken, (new - log_z).exp()
    total = 1 - leaves + comes
    out = out - leaves[:, None] * old_value + comes[:, None] * new_value
    return out / (total[:, None] if divided else 1), log_z + total.log()


def test_replace_key():
    ch20.check_replace_key(replace_key)


def with_large_numbers(out, log_z, old, old_value, new, new_value):
    total = log_z.exp() - old.exp() + new.exp()
    out = out * log_z.exp()[:, None] - old.exp()[:, None] * old_value
    return (out + new.exp()[:, None] * new_value) / total[:, None], total.log()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (with_large_numbers, "take exp of differences only"),
        (lambda *given: replace_key(*given, divided=False), "Divide by the new denominator"),
        (lambda *given: replace_key(*given, taken=False), "what the old key brought in"),
        (lambda *given: (replace_key(*given)[0], given[1]), "The denominator has changed, too"),
        (lambda *given: replace_key(*given)[::-1], "shapes"),
        (lambda *given: None, "nothing came back"),
    ],
)
def test_replace_key_refuses(wrong, says):
    refuses(says, ch20.check_replace_key, wrong)
