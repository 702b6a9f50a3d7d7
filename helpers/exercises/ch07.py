"""Checks for the exercises of chapter 7, "Which heads move the ID?"."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from helpers.prompts import Prompt

Head = tuple[int, int]
Hook = Callable[[torch.Tensor, Any], torch.Tensor | None]


def check_times_chance(
    times_chance: Callable[[torch.Tensor, Sequence[int], Sequence[int]], float],
) -> None:
    """Check ``(row, keys, patches) -> attention per patch, in units of the image's average``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    row = torch.tensor([0.50, 0.02, 0.02, 0.20, 0.04, 0.02, 0.10, 0.02, 0.02, 0.06])
    patches = [1, 2, 3, 4, 5, 6, 7, 8]
    for keys in ([3, 6], [3], [1, 2, 5], patches):
        got = times_chance(row.clone(), list(keys), list(patches))
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = float(got)
        on_keys, on_image = row[keys].sum(), row[patches].sum()
        wanted = float(on_keys / on_image) / (len(keys) / len(patches))
        told = f"keys {keys} of patches {patches}: {wanted:.2f} times chance, you say {got:.2f}. "
        if abs(got - float(on_keys) * len(patches) / len(keys)) < 1e-4 and abs(got - wanted) > 1e-3:
            told += (
                "Part of the attention goes to text. Chance spreads only what goes to the image, "
                "so divide by the attention on all patches first"
            )
        elif abs(got - float(row[keys].mean() / row.mean())) < 1e-4:
            told += "You compare with an average over all tokens; compare with that over patches"
        else:
            told += "Share of the image's attention on the keys, over the keys' share of patches"
        assert abs(got - wanted) < 1e-3, told
    print("Correct: 1 is what a head without any preference would give.")


def _block(bridge: Any) -> int:
    """A block in the middle, so that what is before and after it can be told apart."""
    return bridge.cfg.n_layers // 2


@torch.no_grad()
def _patterns(
    bridge: Any, inputs: dict[str, torch.Tensor], block: int, site: str, hook: Hook | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A block's patterns ``[batch, head, query, key]`` and its z, under a hook at one site."""
    seen: dict[str, torch.Tensor] = {}
    readers = [
        (f"blocks.{block}.attn.{name}", lambda t, hook, name=name: seen.update({name: t.clone()}))
        for name in ("hook_pattern", "hook_z")
    ]
    edits = [(f"blocks.{block}.attn.{site}", hook)] if hook else []
    bridge.run_with_hooks(**inputs, fwd_hooks=[*edits, *readers])
    return seen["hook_pattern"].float().cpu(), seen["hook_z"].float().cpu()


def _as_hook(made: Any) -> Hook:
    assert callable(made), (
        f"return a function (tensor, hook) that does the edit, not {type(made).__name__}"
    )
    return made


def _tried(made: Hook, what: str) -> Hook:
    """The hook, with an error about shapes put into words."""

    def wrapped(tensor: torch.Tensor, hook: Any) -> torch.Tensor | None:
        try:
            return made(tensor, hook=hook)
        except TypeError as error:
            raise AssertionError(
                f"your hook is called as hook_function(tensor, hook=...): {error}"
            ) from error
        except (IndexError, RuntimeError, ValueError) as error:
            raise AssertionError(
                f"your hook failed on {what} of shape {list(tensor.shape)}: {error}. Two lists as "
                "indices are read as pairs: loop over one of them"
            ) from error

    return wrapped


def check_cut(
    cut: Callable[[int, Sequence[int], Sequence[int]], Hook],
    bridge: Any,
    inputs: dict[str, torch.Tensor],
    prompt: Prompt,
) -> None:
    """Check ``(head, queries, keys) -> hook`` for the attention scores of one block.

    Raises:
        AssertionError: with what came out and what should have.
    """
    block, head = _block(bridge), bridge.cfg.n_heads - 1
    queries, keys = [prompt.last - 3, prompt.last - 1], prompt.image_patches.positions
    before, _ = _patterns(bridge, inputs, block, "hook_attn_scores")
    hook = _tried(_as_hook(cut(head, queries, keys)), "scores")
    after, _ = _patterns(bridge, inputs, block, "hook_attn_scores", hook)
    left = float(after[:, head][:, queries][:, :, keys].sum(-1).max())
    had = float(before[:, head][:, queries][:, :, keys].sum(-1).max())
    assert not torch.equal(before, after), "the hook changes nothing: return the new scores"
    sums = after[:, head][:, queries].sum(-1)
    assert torch.isfinite(after).all(), "the pattern holds NaN: were all keys of a token cut off?"
    assert torch.allclose(sums, torch.ones(()), atol=1e-2), (
        f"rows of the pattern must still sum to one; yours sum to {float(sums.min()):.2f}"
    )
    assert left < 1e-6, (
        f"the head still puts {left:.3f} on the keys (before: {had:.3f}). Scores go through a "
        "softmax: a score of 0 is not an attention of 0. What must a score be for exp(score) = 0?"
    )
    others = [number for number in range(bridge.cfg.n_heads) if number != head]
    assert torch.equal(before[:, others], after[:, others]), (
        f"heads other than {head} changed too: the scores are [batch, head, query, key]"
    )
    untouched = [query for query in range(before.shape[2]) if query not in queries]
    assert torch.equal(before[:, head][:, untouched], after[:, head][:, untouched]), (
        f"tokens other than {queries} lost attention too: cut these queries alone"
    )
    print("Correct: one head, these tokens, these keys; and every row still sums to one.")


def check_factor_for(factor_for: Callable[[float, float], float]) -> None:
    """Check ``(now, wanted) -> factor`` for a share of attention.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for now, wanted in ((0.99, 0.5), (0.5, 0.25), (0.2, 0.1), (0.9, 0.9), (0.3, 0.0), (0.1, 0.6)):
        got = factor_for(now, wanted)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = float(got)
        share = got * now / (got * now + 1 - now)
        told = (
            f"a share of {now} times your factor {got:.4f} becomes {share:.4f} when the row sums "
            f"to one again, not {wanted}. "
        )
        if abs(got - wanted / now) < 1e-6:
            told += "What the keys lose, all other keys gain: the row is normed again"
        assert abs(share - wanted) < 1e-3, told
    print("Correct: to halve a share of 0.99 you need a factor of about 0.01.")


def check_head_outputs(
    head_outputs: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    bridge: Any,
    inputs: dict[str, torch.Tensor],
) -> None:
    """Check ``(z, W_O) -> what each head adds to the stream``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    name = f"blocks.{_block(bridge)}.attn"
    sites = (f"{name}.hook_z", f"{name}.hook_out")
    with torch.no_grad():
        _, cache = bridge.run_with_cache(**inputs, names_filter=lambda n: n in sites)
    z, whole = cache[sites[0]], cache[sites[1]]
    weights = bridge.get_submodule(name).W_O.detach()
    heads, width = weights.shape[0], weights.shape[2]
    got = head_outputs(z.clone(), weights)
    assert torch.is_tensor(got), f"return a tensor, not {type(got).__name__}"
    wanted = (*z.shape[:3], width)
    hint = ". You added the heads up: keep their axis" if got.shape == whole.shape else ""
    assert got.shape == wanted, (
        f"expected [batch, position, head, d_model] = {list(wanted)}, got {list(got.shape)}{hint}"
    )
    scale = float(whole.float().abs().max())
    missed = float((got.float().sum(2) - whole.float()).abs().max())
    assert missed < 0.02 * scale, (
        f"the heads' sum must be what the block's attention adds; it is off by {missed:.2f} "
        f"(numbers there are as large as {scale:.2f}). Each head has a matrix of its own, W_O[head]"
    )
    alone = torch.zeros_like(z)
    alone[:, :, heads - 1] = z[:, :, heads - 1]
    own = head_outputs(alone, weights).float()
    assert float(own[:, :, : heads - 1].abs().max()) < 1e-6 * max(scale, 1), (
        "a head whose z is zero must add nothing; yours mixes heads"
    )
    print("Correct: one vector for each head, and their sum is what the attention adds.")


def check_look_at(
    look_at: Callable[[int, int, Sequence[int]], Hook],
    bridge: Any,
    inputs: dict[str, torch.Tensor],
    prompt: Prompt,
) -> None:
    """Check ``(head, query, keys) -> hook`` for the patterns of one block, a key for each row.

    Raises:
        AssertionError: with what came out and what should have.
    """
    block, head, query = _block(bridge), bridge.cfg.n_heads - 1, prompt.last - 2
    rows = {
        name: torch.cat([value] * 3) if torch.is_tensor(value) else value
        for name, value in inputs.items()
    }
    keys = prompt.image_patches.positions[:3]
    before, _ = _patterns(bridge, rows, block, "hook_pattern")
    hook = _tried(_as_hook(look_at(head, query, keys)), "a pattern")
    after, _ = _patterns(bridge, rows, block, "hook_pattern", hook)
    assert not torch.equal(before, after), "the hook changes nothing: return the new pattern"
    found = after[:, head, query]
    assert torch.allclose(found.sum(-1), torch.ones(()), atol=1e-3), (
        f"a row of a pattern sums to one; yours sum to {found.sum(-1).tolist()}. Take all other "
        "attention away, and give each row of the batch its own key, keys[row]"
    )
    for row, key in enumerate(keys):
        assert float(found[row, key]) > 0.999, (
            f"row {row} of the batch must look at key {key} alone; it puts "
            f"{float(found[row, key]):.2f} there and looks most at {int(found[row].argmax())}"
        )
    changed = (before != after).any(-1).any(0).nonzero().tolist()
    assert all(place == [head, query] for place in changed), (
        f"only head {head} at query {query} may change; you changed [head, query] {changed[:4]}"
    )
    print("Correct: every row of the batch looks where you point it, and nothing else changed.")


def _toys() -> dict[str, tuple[list[Head], Callable[[set[Head]], float], float]]:
    """Models of which is known what cutting heads does: heads, damage, what is enough."""
    heads = [(block, head) for block in range(6) for head in range(4)]
    rich = {(1, 2): 5.0, (3, 0): 3.0, (4, 1): 0.4}
    pair = {(2, 1), (5, 3)}

    def alone(cut: set[Head]) -> float:
        return sum(rich.get(head, 0.01) for head in cut)

    def backup(cut: set[Head]) -> float:  # either of two heads is enough to see
        return 8.0 * (pair <= cut) + sum(0.3 for head in cut if head[0] == 0)

    def weak(cut: set[Head]) -> float:
        return 0.01 * len(cut)

    return {
        "two heads, each with its own part": (heads, alone, 7.0),
        "two heads that stand in for each other": (heads, backup, 7.0),
        "heads that matter little": (heads, weak, 7.0),
    }


def check_lean_team(
    lean_team: Callable[[Callable[[Sequence[Head]], float], Sequence[Head], float], Any],
) -> None:
    """Check ``(damage, heads, enough) -> team`` on toy models.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for name, (heads, function, enough) in _toys().items():
        asked = []

        def damage(cut: Sequence[Head], function=function, asked=asked) -> float:
            asked.append(tuple(cut))
            return function(set(cut))

        got = lean_team(damage, list(heads), enough)
        most = 4 * len(heads)
        assert len(asked) <= most, (
            f"{name}: you tried {len(asked)} teams, and every try is a pass through the model; "
            f"{most} are allowed, and about one for each head is enough"
        )
        if function(set(heads)) < enough:
            assert got is None, (
                f"{name}: all heads together do {function(set(heads)):.2f} of {enough}: there is "
                f"no team. Return None, not {got}"
            )
            continue
        assert got is not None, (
            f"{name}: you found no team, but cutting all heads does "
            f"{function(set(heads)):.2f} of {enough}. Does a head that costs nothing alone have to "
            "be useless?"
        )
        team = set(got)
        assert function(team) >= enough, (
            f"{name}: your team {sorted(team)} does {function(team):.2f}, and {enough} is asked "
            "for. Cutting heads one at a time does not show those that stand in for each other"
        )
        spare = [head for head in sorted(team) if function(team - {head}) >= enough]
        assert not spare, (
            f"{name}: your team of {len(team)} does not need {spare[0]}: without it the damage is "
            f"still {function(team - {spare[0]}):.2f}"
        )
    print("Correct: nobody is missing, nobody can be spared, and few passes were made.")
