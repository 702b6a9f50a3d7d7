"""Checks for the exercises of the page "How fast, and why"."""

from collections.abc import Callable

import torch

from helpers.hooks import HookedVLM
from helpers.prompts import Prompt


def check_passes(passes: Callable[[int, int, int, int, int], float]) -> None:
    """Check ``(tokens, first, blocks, depth, edits) -> passes``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    cases = {
        (100, 80, 10, 5, 0): (1.0, "no edits: the clean pass alone"),
        (100, 0, 10, 0, 3): (
            4.0,
            "edits that touch everything: a pass each, and the clean one",
        ),
        (100, 80, 10, 5, 10): (2.0, "20 of 100 tokens in 5 of 10 blocks are a tenth of a pass"),
        (600, 574, 32, 16, 64): (
            1 + 64 * 26 * 16 / (600 * 32),
            "26 of 600 tokens, half the blocks",
        ),
        (10, 9, 4, 3, 40): (2.0, "one token in one block"),
    }
    for case, (wanted, why) in cases.items():
        got = passes(*case)
        assert got is not None, "nothing came back: return a number"
        assert abs(got - wanted) < 1e-9, (
            f"passes{case} should be {wanted:.4g} ({why}); you have {got:.4g}"
        )
    print("Correct.")


def check_merge(merge: Callable[..., torch.Tensor]) -> None:
    """Check ``(out_a, log_a, out_b, log_b) -> out`` against attention over all keys.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 40.0):
        query, keys, values = (
            torch.randn(2, 3, length, 16, generator=generator) for length in (5, 12, 12)
        )
        scores = scale * query @ keys.transpose(-1, -2)
        wanted = scores.softmax(-1) @ values
        parts = []
        for part in (slice(0, 9), slice(9, 12)):
            some = scores[..., part]
            parts += [some.softmax(-1) @ values[..., part, :], some.logsumexp(-1)]
        got = merge(*parts)
        assert got is not None, "nothing came back: return the merged output"
        assert got.shape == wanted.shape, (
            f"expected shape {tuple(wanted.shape)}, got {tuple(got.shape)}"
        )
        assert torch.isfinite(got).all(), (
            f"with scores up to {scores.max():.0f} the result is not finite: never take exp of a "
            "logarithm as it is, only of differences"
        )
        average = (parts[0] + parts[2]) / 2
        assert not torch.allclose(got, average, atol=1e-3), (
            "this is the plain average: each part counts by its share of the denominator"
        )
        error = float((got - wanted).abs().max())
        told = f"differs from attention over all keys by {error:.2g}. "
        if torch.allclose(got, parts[0] + parts[2] - wanted, atol=1e-4):
            told += "Each part counts by the other's denominator"
        else:
            told += "A part counts by its denominator, over the sum of both; logs are no weights"
        assert error < 1e-4, told
    print("Correct: the two parts are the whole.")


@torch.no_grad()
def check_suffix_logits(
    suffix_logits: Callable[[HookedVLM, torch.Tensor, int], torch.Tensor],
    vlm: HookedVLM,
    prompt: Prompt,
) -> None:
    """Check ``(vlm, embeds, start) -> logits`` against a full pass.

    Raises:
        AssertionError: with what came out and what should have.
    """
    _, kept = vlm.run_with_cache(prompt, "blocks.0.hook_resid_pre")
    embeds = kept["blocks.0.hook_resid_pre"]
    wanted = vlm.last_logits(prompt)
    for start in (prompt.last // 2, prompt.last - 3, prompt.last):
        got = suffix_logits(vlm, embeds.clone(), start)
        assert got is not None, "nothing came back: return the logits"
        assert got.shape == wanted.shape, (
            f"expected logits of shape {tuple(wanted.shape)}, got {tuple(got.shape)}: the last "
            "token alone"
        )
        alone = vlm.model(inputs_embeds=embeds[:, start:]).logits[:, -1]
        assert not torch.allclose(got, alone, atol=1e-4), (
            "these are the logits of the suffix without its prefix: hand over the cache"
        )
        error = float((got - wanted).abs().max() / wanted.abs().max())
        allowed = 1e-4 if vlm.dtype == torch.float32 else 3e-2
        assert error < allowed, (
            f"starting at token {start}, the logits differ from a full pass by {error:.1g}. Do the "
            f"suffix's positions start at {start}?"
        )
    print("Correct: the logits of a full pass.")


def check_rows_that_fit(rows_that_fit: Callable[..., int]) -> None:
    """Check ``(budget, prefix, suffix, blocks, width, bytes_each, copied) -> rows``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    shape = {"prefix": 90, "suffix": 10, "blocks": 2, "width": 8, "bytes_each": 4}
    token = 2 * 8 * 4 * 2
    cases = [
        (1000 * token, True, 10, "a copied prefix: 100 tokens a row"),
        (1000 * token, False, 91, "90 tokens once, 10 a row"),
        (1009 * token, False, 91, "no half rows"),
        (80 * token, False, 0, "the prefix alone does not fit: no rows, not fewer than none"),
        (80 * token, True, 0, "not one row fits"),
    ]
    for budget, copied, wanted, why in cases:
        got = rows_that_fit(budget, **shape, copied=copied)
        assert got is not None, "nothing came back: return a number of rows"
        assert got == wanted, (
            f"{budget:,} bytes, copied={copied}: {wanted} rows fit ({why}); you have {got}. A "
            f"token takes 2 x width x bytes_each x blocks = {token} bytes"
        )
    print("Correct.")


def check_replace_key(replace_key: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Check ``(out, log_z, old, old_value, new, new_value) -> (out, log_z)``.

    Raises:
        AssertionError: with how far it is from attention over all keys, and what is missing.
    """
    generator = torch.Generator().manual_seed(0)
    for shift in (0.0, 800.0, -800.0):
        scores = torch.randn(6, 20, generator=generator, dtype=torch.float64) + shift
        values = torch.randn(20, 8, generator=generator, dtype=torch.float64)
        changed = scores.clone(), values.clone()
        changed[0][:, 7] += torch.randn(6, generator=generator, dtype=torch.float64)
        changed[1][7] = torch.randn(8, generator=generator, dtype=torch.float64)
        (out, log_z), (wanted, wanted_z) = (
            (one.softmax(-1) @ value, one.logsumexp(-1))
            for one, value in ((scores, values), changed)
        )
        given = (out, log_z, scores[:, 7], values[7], changed[0][:, 7], changed[1][7])
        got = replace_key(*(part.clone() for part in given))
        assert got is not None, "nothing came back: return the output and its log_z"
        assert len(got) == 2, "return two things: the output and its log_z"
        output, found_z = got
        assert output.shape == wanted.shape and found_z.shape == wanted_z.shape, (
            f"shapes {tuple(output.shape)} and {tuple(found_z.shape)}, not {tuple(wanted.shape)} "
            f"and {tuple(wanted_z.shape)}"
        )
        finite = torch.isfinite(output).all() and torch.isfinite(found_z).all()
        assert finite, f"not finite with scores near {shift:.0f}: take exp of differences only"
        error, error_z = (output - wanted).abs().max(), (found_z - wanted_z).abs().max()
        if error < 1e-8 and error_z < 1e-8:
            continue
        told = f"off by {error:.2g} from attention over all keys, log_z by {error_z:.2g}. "
        total = (wanted_z - log_z).exp()[:, None]
        if torch.allclose(output / total, wanted):
            told += "Divide by the new denominator"
        elif error < 1e-8:
            told += "The denominator has changed, too: by its new share"
        else:
            told += (
                "Take away what the old key brought in, exp(old - log_z) of its old value; add "
                "what the new one brings; then divide by the new denominator"
            )
        raise AssertionError(told)
    print("Correct: one key replaced, and the others left alone.")
