"""The checks of chapter 21: they pass the solution, and tell what is wrong with what is wrong."""

import math

import pytest
import torch

from helpers.exercises import ch21


def refuses(says, check, wrong):
    with pytest.raises(AssertionError, match=says):
        check(wrong)


# Choosing ---------------------------------------------------------------------------------------


def choose(table, gigabytes, video, patches):
    fits = table["memory"] <= gigabytes
    fits &= table["video"] | (not video)
    fits &= (table["image tokens"] > 1) | (not patches)
    return table.loc[fits, "parameters"].idxmax() if fits.any() else None


def test_choose():
    ch21.check_choose(choose)


def strictly_less(table, gigabytes, video, patches):
    return choose(table[table["memory"] < gigabytes], gigabytes, video, patches)


def first_row(table, gigabytes, video, patches):
    fits = table[table["memory"] <= gigabytes]
    return fits.index[0] if len(fits) else None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (strictly_less, "it needs as much as there is"),
        (first_row, "you chose"),
        (lambda t, g, v, p: choose(t, g, v, False), "one image token is no grid"),
        (lambda t, g, v, p: choose(t, g, False, p), "it must take videos"),
        (lambda t, g, v, p: choose(t, g, v, p) or "small", "nothing fits: say None"),
    ],
)
def test_choose_refuses(wrong, says):
    refuses(says, ch21.check_choose, wrong)


# Counting from a config -------------------------------------------------------------------------


def decoder_parameters(config, heads=None, head=None, tables=None, norms=True):
    d = config.hidden_size
    head = config.head_dim if head is None else head(config)
    heads = heads or config.num_key_value_heads
    attention = 2 * d * head * (config.num_attention_heads + heads)
    block = attention + 3 * d * config.intermediate_size + 2 * d * norms
    tables = tables or (1 if config.tie_word_embeddings else 2)
    return tables * config.vocab_size * d + config.num_hidden_layers * block + d * norms


def test_decoder_parameters():
    ch21.check_decoder_parameters(decoder_parameters)


def narrow(config):
    return config.hidden_size // config.num_attention_heads


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda c: decoder_parameters(c, norms=False), "The norms are missing"),
        (lambda c: decoder_parameters(c, tables=2), "are one table"),
        (lambda c: decoder_parameters(c, tables=1), "they are two"),
        (lambda c: decoder_parameters(c, heads=c.num_attention_heads), "num_key_value_heads heads"),
        (lambda c: decoder_parameters(c, head=narrow), "A head is config.head_dim wide"),
        (lambda c: 12 * c.num_hidden_layers * c.hidden_size**2, "four matrices in attention"),
        (lambda c: None, "nothing came back"),
    ],
)
def test_decoder_parameters_refuses(wrong, says):
    refuses(says, ch21.check_decoder_parameters, wrong)


# As few bits as you must ------------------------------------------------------------------------


def which_fit(table, gigabytes, passes=1.5, unit=2**30, choices=(8, 4)):
    found = {}
    for name, row in table.iterrows():
        for bits in (int(row["bits"]), *choices):
            if row["parameters"] * 1e9 * bits / 8 / unit + passes <= gigabytes:
                found[name] = bits
                break
    return found


def test_which_fit():
    ch21.check_which_fit(which_fit)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda t, g: which_fit(t, g, passes=0), "passes need 1.5 more"),
        (lambda t, g: which_fit(t.assign(bits=16), g), "32 bits of its own"),
        (lambda t, g: which_fit(t, g, choices=(4,)), "Round no more than you must"),
        (lambda t, g: dict.fromkeys(t.index, 4), "Round no more than you must"),
        (lambda t, g: {"none": 16} | which_fit(t, g), "leave out what does not fit"),
        (lambda t, g: None, "nothing came back"),
    ],
)
def test_which_fit_refuses(wrong, says):
    refuses(says, ch21.check_which_fit, wrong)


# Passes in an hour ------------------------------------------------------------------------------


def test_affordable():
    ch21.check_affordable(lambda h, b, t, f: int(h * 3600 * f // (2 * b * 1e9 * t)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda h, b, t, f: int(h * 3600 * f // (b * 1e9 * t)), "2e12 operations a pass"),
        (lambda h, b, t, f: int(h * 60 * f // (2 * b * 1e9 * t)), "3,600 seconds"),
        (lambda h, b, t, f: h * 3600 * f / (2 * b * 1e9 * t), "rounded down"),
        (lambda h, b, t, f: None, "nothing came back"),
    ],
)
def test_affordable_refuses(wrong, says):
    refuses(says, ch21.check_affordable, wrong)


# A sweep ----------------------------------------------------------------------------------------


def sweep_cost(prompts, edits, tokens, first, blocks, width, bytes_each, left=-1):
    suffix = tokens - first
    kept = (2 * first + suffix) * width * bytes_each * blocks
    return prompts * (1 + edits * suffix / tokens * (blocks + left) / 2), kept


def test_sweep_cost():
    ch21.check_sweep_cost(sweep_cost)


def of_one_prompt(prompts, *given):
    passes, kept = sweep_cost(prompts, *given)
    return 1 + passes - prompts, kept


def whole_blocks(prompts, edits, tokens, first, blocks, *given):
    _, kept = sweep_cost(prompts, edits, tokens, first, blocks, *given)
    return prompts * (1 + edits * blocks * (tokens - first) / tokens), kept


def of_all_prompts(prompts, *given):
    passes, kept = sweep_cost(prompts, *given)
    return passes, prompts * kept


def keys_everywhere(prompts, edits, tokens, first, blocks, width, bytes_each):
    passes, _ = sweep_cost(prompts, edits, tokens, first, blocks, width, bytes_each)
    return passes, 2 * tokens * width * bytes_each * blocks


def no_residuals(prompts, edits, tokens, first, blocks, width, bytes_each):
    passes, _ = sweep_cost(prompts, edits, tokens, first, blocks, width, bytes_each)
    return passes, 2 * first * width * bytes_each * blocks


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (of_one_prompt, "a clean pass of its own"),
        (lambda *given: sweep_cost(*given, left=1), "An edit .behind. block 0"),
        (whole_blocks, "Behind block l there are"),
        (of_all_prompts, "Prompts come one after the other"),
        (keys_everywhere, "one residual for each token and block, not two"),
        (no_residuals, "a key and a value for each token before"),
        (lambda *given: sweep_cost(*given)[:1], "two numbers"),
        (lambda *given: None, "nothing came back"),
    ],
)
def test_sweep_cost_refuses(wrong, says):
    refuses(says, ch21.check_sweep_cost, wrong)


# Shrinking --------------------------------------------------------------------------------------


def shrink(plan, least, budget, fewest=None):
    plan, fewest = dict(plan), fewest or least
    for name in least:
        others = math.prod(count for other, count in plan.items() if other != name)
        plan[name] = max(fewest[name], min(plan[name], budget // others))
    if math.prod(plan.values()) > budget:
        raise ValueError("too few")
    return plan


def test_shrink():
    ch21.check_shrink(shrink)


def in_place(plan, least, budget):
    plan.update(shrink(plan, least, budget))
    return plan


def to_the_least(plan, least, budget):
    plan = dict(plan)
    for name, fewest in least.items():
        if math.prod(plan.values()) > budget:
            plan[name] = fewest
    return plan


def from_the_back(plan, least, budget):
    return shrink(plan, dict(reversed(least.items())), budget)


def alike(plan, least, budget):
    factor = (budget / math.prod(plan.values())) ** (1 / len(plan))
    return {name: int(count * min(1, factor)) for name, count in plan.items()}


def never_refuses(plan, least, budget):
    try:
        return shrink(plan, least, budget)
    except ValueError:
        return least


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (in_place, "you changed the plan"),
        (to_the_least, "cut no more than you must"),
        (from_the_back, "has to give way first"),
        (alike, "has to give way first"),
        (lambda p, m, b: shrink(p, m, b, dict.fromkeys(m, 1)), "no claim with under 2"),
        (lambda p, m, b: p | {}, "can be paid"),
        (never_refuses, "raise a ValueError"),
        (lambda p, m, b: None, "nothing came back"),
    ],
)
def test_shrink_refuses(wrong, says):
    refuses(says, ch21.check_shrink, wrong)


# Rounding ---------------------------------------------------------------------------------------


def rounded(weights, bits, largest=None, levels=None, snap=torch.round):
    largest = weights.abs().amax(1, keepdim=True) if largest is None else largest
    step = largest.clamp(min=1e-300) / (levels or 2 ** (bits - 1) - 1)
    return snap(weights / step) * step


def test_rounded():
    ch21.check_rounded(rounded)


def in_place_rounded(weights, bits):
    return weights.copy_(rounded(weights, bits))


def without_care(weights, bits):
    step = weights.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (weights / step).round() * step


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda w, b: rounded(w, b, largest=w.abs().max()), "the end of its own scale"),
        (lambda w, b: rounded(w, b, levels=2**b - 1), "one bit is the sign"),
        (lambda w, b: rounded(w, b, snap=torch.trunc), "round, do not cut off"),
        (without_care, "0 / 0"),
        (in_place_rounded, "you changed the weights"),
        (lambda w, b: None, "nothing came back"),
    ],
)
def test_rounded_refuses(wrong, says):
    refuses(says, ch21.check_rounded, wrong)
