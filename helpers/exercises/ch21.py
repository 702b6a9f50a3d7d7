"""Checks for the exercises of the page "Which model, on which GPU, for how long"."""

import math
from collections.abc import Callable

import pandas as pd
import torch
from transformers import LlamaConfig, LlamaForCausalLM


def check_choose(choose: Callable[..., str | None]) -> None:
    """Check ``(table, gigabytes, video, patches) -> name or None``.

    Raises:
        AssertionError: with what the experiment needed and what the choice lacks.
    """
    rows = {
        "small": (0.5, 2.4, False, 1088), "medium": (2.2, 5.6, True, 256),
        "films": (4.0, 9.0, True, 3699), "large": (7.1, 14.7, False, 576),
        "aside": (10.7, 21.4, True, 1), "huge": (15.1, 29.6, False, 256),
    }  # fmt: skip
    columns = ["parameters", "memory", "video", "image tokens"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table = table.sample(frac=1, random_state=0)
    cases = [
        ((14.7, False, False), "large", "it needs as much as there is: it fits"),
        ((24.0, False, False), "aside", "nothing is needed but memory"),
        ((24.0, False, True), "large", "patches must be edited: one image token is no grid"),
        ((14.7, True, False), "films", "it must take videos"),
        ((24.0, True, True), "films", "videos and patches, both"),
        ((8.0, True, True), "medium", "the largest that fits"),
        ((1.0, False, False), None, "nothing fits: say None, and do not guess"),
    ]
    for (gigabytes, video, patches), wanted, why in cases:
        got = choose(table.copy(), gigabytes, video, patches)
        assert got == wanted, (
            f"with {gigabytes} GB, video={video}, patches={patches} it is {wanted!r} ({why}); you "
            f"chose {got!r}"
        )
    print("Correct: the largest of those that will do.")


def check_decoder_parameters(decoder_parameters: Callable[[LlamaConfig], int]) -> None:
    """Check ``config -> number of parameters`` against models of these configs.

    The models are made without memory for their weights.

    Raises:
        AssertionError: with how many are missing, and where they probably are.
    """
    base = {
        "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 3,
        "num_attention_heads": 8, "num_key_value_heads": 8, "tie_word_embeddings": False,
    }  # fmt: skip
    cases = {
        "a plain decoder": {},
        "one table for embeddings and logits": {"tie_word_embeddings": True},
        "heads that share keys and values": {"num_key_value_heads": 2},
        "heads wider than their share of the stream": {"head_dim": 16},
    }
    for name, changed in cases.items():
        config = LlamaConfig(**(base | changed))
        with torch.device("meta"):
            model = LlamaForCausalLM(config)
        wanted = sum(parameter.numel() for parameter in model.parameters())
        got = decoder_parameters(config)
        assert got is not None, "nothing came back: return a number of parameters"
        if got == wanted:
            continue
        attention, norms = model.model.layers[0].self_attn, (2 * 3 + 1) * 64
        heads = (attention.k_proj.weight.numel() + attention.v_proj.weight.numel()) * 3
        told = f"{name}: {wanted:,} parameters, you have {got:,}. "
        if wanted - got == norms:
            told += "The norms are missing: two in each block, one behind the last"
        elif abs(wanted - got) == 64_000:
            told += "Tied, embeddings and logits are one table; not tied, they are two"
        elif name == "heads that share keys and values":
            told += f"Keys and values have num_key_value_heads heads: {heads:,} parameters in all"
        elif name == "heads wider than their share of the stream":
            told += "A head is config.head_dim wide, whatever the width of the stream"
        else:
            told += "A block has four matrices in attention, three in the MLP, and two norms"
        raise AssertionError(told)
    print("Correct: counted from the config, to the last parameter.")


def check_which_fit(which_fit: Callable[[pd.DataFrame, float], dict[str, int]]) -> None:
    """Check ``(table, gigabytes) -> bits by name``.

    Raises:
        AssertionError: with the model that is wrong, and its sum.
    """
    rows = {"tiny": (0.5, 16), "seven": (7.0, 16), "four": (4.3, 32), "eleven": (10.7, 16),
            "thirty": (30.0, 16)}  # fmt: skip
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["parameters", "bits"])
    for gigabytes in (14.5, 22.0, 2.0, 79.0):
        wanted = {}
        for name, (billions, own) in rows.items():
            needs = {b: billions * b / 8 * 1e9 / 2**30 + 1.5 for b in (own, 8, 4)}
            fitting = [bits for bits, memory in needs.items() if memory <= gigabytes]
            if fitting:
                wanted[name] = max(fitting)
        got = which_fit(table.copy(), gigabytes)
        assert got is not None, "nothing came back: return a dictionary"
        for name, (billions, own) in rows.items():
            mine, right = got.get(name), wanted.get(name)
            if mine == right:
                continue
            told = f"{gigabytes} GB, {name!r} ({billions} billion, {own} bits of its own): "
            told += f"{right} bits, not {mine}. " if right else f"it does not fit, not in {mine}. "
            if right is None and mine is None:
                told += "Leave out what does not fit"
            elif mine is not None and (right is None or mine > right):
                needs = billions * mine / 8 * 1e9 / 2**30
                told += (
                    f"Its weights alone take {needs:.1f} GB in {mine} bits; passes need 1.5 more"
                )
            else:
                told += "Round no more than you must: its own bits first, then 8, then 4"
            raise AssertionError(told)
        assert set(got) == set(wanted), f"leave out what does not fit: {set(got) - set(wanted)}"
    print("Correct: each with as many bits as the card allows.")


def check_affordable(affordable: Callable[[float, float, int, float], int]) -> None:
    """Check ``(hours, billions, tokens, flops) -> passes``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    cases = {
        (1, 1, 1000, 2e12): (3600, "2e12 operations a pass, 3,600 seconds at 2e12 a second"),
        (2, 7, 600, 20e12): (17142, "8.4e12 operations a pass, rounded down"),
        (0.5, 0.5, 100, 1e9): (18, "half an hour is 1,800 seconds"),
    }
    for case, (wanted, why) in cases.items():
        got = affordable(*case)
        assert got is not None, "nothing came back: return a number of passes"
        assert got == wanted, (
            f"affordable{case} should be {wanted:,} ({why}); you have {got:,}. Two operations for "
            "each parameter and token; hours in seconds; whole passes"
        )
    print("Correct.")


def check_sweep_cost(sweep_cost: Callable[..., tuple[float, int]]) -> None:
    """Check ``(prompts, edits, tokens, first, blocks, width, bytes_each) -> (passes, kept)``.

    Raises:
        AssertionError: with which of the two is wrong, and why.
    """
    cases = [
        ((1, 0, 100, 80, 10, 8, 4), "no edits: the clean passes alone"),
        ((5, 0, 100, 80, 10, 8, 4), "no edits: the clean passes alone"),
        ((1, 2, 100, 0, 4, 8, 4), "edits at the first token run all tokens"),
        ((3, 7, 620, 594, 32, 4096, 2), "26 of 620 tokens"),
        ((1, 5, 100, 50, 1, 8, 2), "behind the only block nothing is left to run"),
    ]
    for case, why in cases:
        prompts, edits, tokens, first, blocks, width, each = case
        wanted = prompts * (1 + edits * (tokens - first) / tokens * (blocks - 1) / 2)
        kept = (2 * first + (tokens - first)) * width * each * blocks
        got = sweep_cost(*case)
        assert got is not None, "nothing came back: return passes and bytes"
        assert len(got) == 2, "return two numbers: passes, and bytes kept"
        passes, held = got
        if not math.isclose(passes, wanted):
            told = f"sweep_cost{case}: {wanted:.4g} passes ({why}), not {passes:.4g}. "
            if math.isclose(passes, 1 + (wanted - prompts)):
                told += "Every prompt has a clean pass of its own"
            elif blocks > 1 and math.isclose(
                passes, prompts * (1 + edits * (tokens - first) / tokens * (blocks + 1) / 2)
            ):
                told += "An edit *behind* block 0 leaves blocks - 1 of them to run, and so on"
            else:
                told += "Behind block l there are blocks - 1 - l to run, from the edited token on"
            raise AssertionError(told)
        if held != kept:
            told = f"sweep_cost{case}: {kept:,} bytes, not {held:,}. "
            if held == prompts * kept:
                told += "Prompts come one after the other: what one of them needs is enough"
            elif held == (2 * first + 2 * (tokens - first)) * width * each * blocks:
                told += "Behind `first`, one residual for each token and block, not two"
            else:
                told += (
                    "In each block, a key and a value for each token before `first`, and one "
                    "residual for each token from it on"
                )
            raise AssertionError(told)
    print("Correct: passes, and what must be kept meanwhile.")


def check_shrink(shrink: Callable[[dict, dict, int], dict]) -> None:
    """Check ``(plan, least, budget) -> plan``.

    Raises:
        AssertionError: with the plan that came out, and what is wrong with it.
    """
    plan = {"doses": 9, "blocks": 32, "cases": 500, "seeds": 20}
    least = {"doses": 2, "blocks": 8, "cases": 200, "seeds": 5}
    whole = math.prod(plan.values())
    cases = [
        (whole, plan, "it fits as it is"),
        (whole // 2, plan | {"doses": 4}, "fewer doses are enough"),
        (2 * 32 * 500 * 20 - 1, plan | {"doses": 2, "blocks": 31}, "one block less is enough"),
        (2 * 8 * 300 * 20 + 7, {"doses": 2, "blocks": 8, "cases": 300, "seeds": 20}, "then cases"),
        (2 * 8 * 200 * 7, {"doses": 2, "blocks": 8, "cases": 200, "seeds": 7}, "seeds come last"),
    ]
    for budget, wanted, why in cases:
        given = dict(plan)
        got = shrink(given, dict(least), budget)
        assert got is not None, "nothing came back: return the smaller plan"
        assert given == plan, "you changed the plan that you were given: make a new one"
        edits = math.prod(got.values())
        assert edits <= budget, f"{got} has {edits:,} edits, and {budget:,} can be paid"
        below = [name for name in least if got[name] < least[name]]
        assert not below, (
            f"{below[0]} fell to {got[below[0]]}: no claim with under {least[below[0]]}"
        )
        if got == wanted:
            continue
        told = f"of {budget:,} edits, {wanted} ({why}); you have {got}. "
        first = next(name for name in plan if got[name] != wanted[name])
        if got[first] < wanted[first]:
            told += f"{first}: cut no more than you must"
        else:
            told += f"{first} has to give way first, before anything behind it does"
        raise AssertionError(told)
    try:
        got = shrink(dict(plan), dict(least), math.prod(least.values()) - 1)
    except ValueError:
        print("Correct: what can be spared goes first, and what a claim rests on stays.")
        return
    raise AssertionError(
        f"not even the least of everything can be paid, and you returned {got}: raise a "
        "ValueError, or somebody will believe what comes out"
    )


def check_rounded(rounded: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
    """Check ``(weights [rows, columns], bits) -> rounded``, a scale for each row.

    Raises:
        AssertionError: with what is wrong with the grid of values.
    """
    weights = torch.randn(6, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights *= torch.tensor([0.01, 0.1, 1.0, 5.0, 20.0, 0.0], dtype=torch.float64)[:, None]
    for bits in (8, 4, 3, 2):
        given = weights.clone()
        got = rounded(given, bits)
        assert got is not None, "nothing came back: return the rounded weights"
        assert torch.equal(given, weights), "you changed the weights; make new ones"
        assert got.shape == weights.shape, f"shape {tuple(got.shape)}, not {tuple(weights.shape)}"
        assert torch.isfinite(got).all(), "a row of zeros gave 0 / 0: it has nothing to round"
        most, levels = weights.abs().amax(1), 2 ** (bits - 1) - 1
        top, step = got.abs().amax(1), most / levels
        assert ((top - most).abs() <= 1.001 * step).all(), (
            f"{bits} bits: the largest weights of the rows are {most.tolist()}, after rounding "
            f"{[round(value, 3) for value in top.tolist()]}. A row's largest weight is the end of "
            "its own scale, and stays"
        )
        found = max(len(row.abs().unique()) for row in got) - 1
        assert found <= levels, (
            f"{bits} bits: {found} sizes besides zero, and there are 2 ** (bits - 1) - 1 = "
            f"{levels}: one bit is the sign"
        )
        error = ((got - weights).abs() - step[:, None] / 2).max()
        assert error < 1e-9, f"{bits} bits: off by more than half a step: round, do not cut off"
    print("Correct: every row on its own grid.")
