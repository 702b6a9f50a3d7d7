"""Run a model's blocks on rows of tokens that share a prefix.

A prompt's tokens up to some position are its prefix. What may come behind it, an edited question or
another question about the same image, is a row. Rows are run through the model's own blocks, all
at once; only attention is told to look at the shared prefix first, which is never copied.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, Cache

from helpers.hooks import HookedVLM, HookFunction
from helpers.prompts import Prompt

_ATTENTION = "rows"
#: From (layer, query, key, value, scaling), all ``[batch, heads, pos, d_head]``, to mixed values.
Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]


class Enough(Exception):
    """Raised where the rest of a pass would be thrown away."""


# Attention --------------------------------------------------------------------------------------


def _told_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float,
    dropout: float = 0.0,
    attend: Attend | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    return attend(module.layer_idx, query, key, value, scaling).transpose(1, 2), None


AttentionInterface.register(_ATTENTION, _told_attention)


@contextmanager
def _attention(vlm: HookedVLM) -> Iterator[None]:
    """Let the blocks attend as they are told, for a while."""
    config = vlm.model.config.get_text_config()
    usual = config._attn_implementation
    config._attn_implementation = _ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = usual


def _softmax_part(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scaling: float,
    later: torch.Tensor | None = None,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention over some of the keys, and the logarithm of the softmax's denominator.

    With the denominators, results over parts of the keys join to the result over all of them.

    Args:
        query: ``[batch, heads, pos, d_head]``.
        keys: ``[batch, heads, keys, d_head]``, and ``values`` alike.
        scaling: of the scores.
        later: True where a query must not look; broadcasts to ``[batch, heads, pos, keys]``.
        causal: query ``i`` sees the keys ``0`` to ``i``.
    """
    if query.device.type == "cpu" and later is None:
        # The fused kernel never writes the scores to memory. The public function that calls it
        # throws the denominator away.
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, keys, values, is_causal=causal, scale=scaling
        )
    scores = (query @ keys.transpose(-1, -2)).float().mul_(scaling)
    if causal:
        later = torch.ones(scores.shape[-2:], device=scores.device).triu(1).bool()
    if later is not None:
        scores.masked_fill_(later, float("-inf"))
    total = scores.logsumexp(-1)
    return scores.sub_(total[..., None]).exp_().to(values.dtype) @ values, total


@dataclass
class Rows:
    """What rows attend to: the prefix of their prompt, which all its rows share, and themselves.

    Attributes:
        keys: of the prefix in each block, ``[prompts, kv_heads, prefix, d_head]``; or none.
        values: alike.
        seen: the rows' own keys and values by block, ``[prompts * rows, kv_heads, pos, d_head]``.
        collect: whether every block leaves its own there, or only those that must.
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    collect: bool = False
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def attend(self, layer, query, key, value, scaling) -> torch.Tensor:
        """Every token looks at the prefix, and at its row up to itself."""
        if self.collect:
            self.seen[layer] = (key, value)
        own = _softmax_part(query, *_for_heads(query, key, value), scaling, causal=True)
        return self._with_prefix(layer, query, own, scaling)

    def only_see(self, layer, query, key, value, scaling) -> torch.Tensor:
        """Take the keys and values, and go no further."""
        self.seen[layer] = (key, value)
        raise Enough

    def attend_from(self, where: torch.Tensor) -> Attend:
        """Let chosen tokens look, after :meth:`only_see`; ``where`` is ``[batch, chosen]``."""

        def attend(layer, query, key, value, scaling) -> torch.Tensor:
            key, value = _for_heads(query, *self.seen[layer])
            later = torch.arange(key.shape[2], device=where.device) > where[..., None]
            own = _softmax_part(query, key, value, scaling, later[:, None].to(key.device))
            return self._with_prefix(layer, query, own, scaling)

        return attend

    def _with_prefix(self, layer, query, own, scaling) -> torch.Tensor:
        if not self.keys or not self.keys[layer].shape[2]:
            return own[0]
        keys, values = self.keys[layer], self.values[layer]
        prompts, kv_heads, _, width = keys.shape
        batch, heads, length, _ = query.shape
        rows, group = batch // prompts, heads // kv_heads
        # All rows of a prompt look at the same keys: their queries make one matrix product.
        folded = query.reshape(prompts, rows, kv_heads, group, length, width).transpose(1, 2)
        folded = folded.reshape(prompts, kv_heads, rows * group * length, width)
        before, total = _softmax_part(folded, keys, values, scaling)
        by_row = (prompts, kv_heads, rows, group, length)
        before = before.reshape(*by_row, width).transpose(1, 2).reshape(query.shape)
        total = total.reshape(by_row).transpose(1, 2).reshape(query.shape[:-1])
        share = (total - own[1]).sigmoid()[..., None]
        return own[0].lerp(before, share.to(before.dtype))


def _for_heads(query, key, value) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values once for every head that uses them."""
    group = query.shape[1] // key.shape[1]
    if group == 1:
        return key, value
    return key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)


# Blocks -----------------------------------------------------------------------------------------


class Blocks:
    """A model's blocks, called as a full pass called them.

    Rows are ``[prompts, rows, pos, d_model]`` throughout.

    Attributes:
        arguments: by block, what the full pass gave it beside the stream. What has an axis of
            positions has it second, behind one for the prompts (or of size one).
    """

    def __init__(self, vlm: HookedVLM) -> None:
        self.vlm = vlm
        self.arguments: list[dict[str, Any]] = []

    def full_pass(
        self,
        prompts: Sequence[Prompt],
        fwd_hooks: Sequence[tuple[str, HookFunction]],
        cache: Cache | None,
        before: int | None,
    ) -> None:
        """Run the model up to a block, that block's arguments included.

        Args:
            prompts: the batch.
            fwd_hooks: hooks that read the stream; they may raise :class:`Enough`.
            cache: gets the keys and values, where they are wanted.
            before: the block before which to stop, or None to run as far as the hooks let it.
        """

        def note(module: torch.nn.Module, arguments: tuple, keywords: dict) -> None:
            names = ("position_embeddings", "position_ids")
            self.arguments.append({name: keywords[name] for name in names})
            if len(self.arguments) - 1 == before:
                raise Enough

        vlm, handles = self.vlm, []
        with vlm.hooks(fwd_hooks), suppress(Enough):
            try:
                # After the hooks that are there: what they change in the stream comes first.
                for layer in vlm.layers:
                    handles.append(layer.register_forward_pre_hook(note, with_kwargs=True))
                vlm.model(**vlm.batch(prompts), past_key_values=cache, use_cache=cache is not None)
            finally:
                for handle in handles:
                    handle.remove()

    def spread(self, image_of: torch.Tensor) -> None:
        """From one prompt for each image to all prompts, whose images are given."""

        def each(part: torch.Tensor) -> torch.Tensor:
            return part if len(part) == 1 else part[image_of]

        for noted in self.arguments:
            noted["position_embeddings"] = tuple(map(each, noted["position_embeddings"]))
            noted["position_ids"] = each(noted["position_ids"])

    def run(self, layer: int, resid: torch.Tensor, start: int, rows: Rows) -> torch.Tensor:
        """One block on rows whose first token stands at position ``start``."""
        output = self._call(layer, resid.flatten(0, 1), self._here(resid, start), rows.attend)
        return output.view(resid.shape)

    def see(self, layer: int, resid: torch.Tensor, start: int, rows: Rows) -> None:
        """Only compute a block's keys and values, into ``rows.seen``."""
        with suppress(Enough):
            self._call(layer, resid.flatten(0, 1), self._here(resid, start), rows.only_see)

    def run_at(
        self, layer: int, resid: torch.Tensor, start: int, rows: Rows, where: torch.Tensor
    ) -> torch.Tensor:
        """One block of which only some tokens are wanted: the others give keys and values.

        Args:
            where: the tokens, counted from ``start``, ``[prompts, rows, chosen]``.

        Returns:
            ``[prompts, rows, chosen, d_model]``.
        """
        self.see(layer, resid, start, rows)
        prompts, count, chosen = where.shape
        each = torch.arange(prompts, device=where.device)[:, None, None]

        def at(part: torch.Tensor) -> torch.Tensor:
            places = (where + start).to(part.device)
            found = part[0, places] if len(part) == 1 else part[each.to(part.device), places]
            return found.flatten(0, 1)

        flat = where.flatten(0, 1)
        batch = torch.arange(len(flat), device=flat.device)[:, None]
        picked = resid.flatten(0, 1)[batch.to(resid.device), flat.to(resid.device)]
        output = self._call(layer, picked, at, rows.attend_from(flat))
        return output.view(prompts, count, chosen, -1)

    def _here(self, resid: torch.Tensor, start: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """What cuts an argument to the rows' tokens."""
        _, rows, length, _ = resid.shape

        def cut(part: torch.Tensor) -> torch.Tensor:
            part = part.narrow(1, start, length)
            return part if len(part) == 1 else part.repeat_interleave(rows, 0)

        return cut

    def _call(
        self,
        layer: int,
        flat: torch.Tensor,
        cut: Callable[[torch.Tensor], torch.Tensor],
        attend: Attend,
    ) -> torch.Tensor:
        noted = self.arguments[layer]
        with _attention(self.vlm):
            output = self.vlm.layers[layer](
                flat,
                position_embeddings=tuple(cut(part) for part in noted["position_embeddings"]),
                position_ids=cut(noted["position_ids"]),
                attention_mask=None,
                past_key_values=None,
                use_cache=False,
                attend=attend,
            )
        return output[0] if isinstance(output, tuple) else output


def has_hooks_of_others(vlm: HookedVLM) -> bool:
    """Whether hooks that this package does not know sit on the blocks.

    They may count positions from the start of the prompt. Transformers' own, which note hidden
    states and stay after their first use, do no harm.
    """
    return any(
        not (hook.__module__ or "").startswith("transformers.")
        for block in vlm.layers
        for hook in [*block._forward_hooks.values(), *block._forward_pre_hooks.values()]
    )
