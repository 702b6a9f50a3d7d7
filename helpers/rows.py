"""Run a model's blocks on rows of tokens that share a prefix.

A prompt's tokens up to some position are its prefix. What may come behind it, an edited question or
another question about the same image, is a row. Rows are run through the model's own blocks, all
at once; only attention is told to look at the shared prefix first, which is never copied.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from transformers import AttentionInterface, Cache

from helpers.hooks import HookedVLM, HookFunction
from helpers.prompts import Prompt

_ATTENTION = "rows"
#: What blocks are called with beside the stream, and the axis of positions of each.
_ARGUMENTS = {
    "position_embeddings": 1,
    "position_ids": 1,
    "cross_attention_mask": 2,
    "full_text_row_masked_out_mask": 2,
}
KeysAndValues = tuple[torch.Tensor, torch.Tensor]


class Enough(Exception):
    """Raised where the rest of a pass would be thrown away."""


# Attention --------------------------------------------------------------------------------------


class Call(NamedTuple):
    """What a block's attention is called with; tensors are ``[batch, heads, pos, d_head]``."""

    layer: int
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    scaling: float
    window: int | None
    mask: torch.Tensor | None


Attend = Callable[[Call], torch.Tensor]


def _told_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    attend: Attend | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    call = Call(module.layer_idx, query, key, value, scaling, sliding_window, attention_mask)
    return attend(call).transpose(1, 2), None


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
    hidden: torch.Tensor | None = None,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention over some of the keys, and the logarithm of the softmax's denominator.

    With the denominators, results over parts of the keys join to the result over all of them.

    Args:
        query: ``[batch, heads, pos, d_head]``.
        keys: ``[batch, heads, keys, d_head]``, and ``values`` alike.
        scaling: of the scores.
        hidden: True where a query must not look; broadcasts to ``[batch, heads, pos, keys]``.
        causal: query ``i`` sees the keys ``0`` to ``i``.
    """
    if query.device.type == "cpu" and hidden is None:
        # The fused kernel never writes the scores to memory. The public function that calls it
        # throws the denominator away.
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, keys, values, is_causal=causal, scale=scaling
        )
    scores = (query @ keys.transpose(-1, -2)).float().mul_(scaling)
    if causal:
        hidden = torch.ones(scores.shape[-2:], device=scores.device).triu(1).bool()
    if hidden is not None:
        scores.masked_fill_(hidden, float("-inf"))
    total = scores.logsumexp(-1)
    # Where nothing is seen there is nothing to mix: zeros, and not 0/0.
    scores.sub_(total.masked_fill(total.isinf(), 0)[..., None]).exp_()
    return scores.to(values.dtype) @ values, total


@dataclass
class Rows:
    """What rows attend to: the prefix of their prompt, which all its rows share, and themselves.

    Attributes:
        keys: of the prefix in each block, ``[prompts, kv_heads, prefix, d_head]``; or none. In a
            block that attends to the picture's own states, of these.
        values: alike.
        start: the position of the rows' first token.
        cross: the blocks that attend to the picture's own states.
        block: for each prompt, the first of the image's tokens and the one behind its last, where
            they see each other in both directions; ``[prompts, 2]``.
        seen: the rows' own keys and values by block, ``[prompts * rows, kv_heads, pos, d_head]``.
        collect: whether every block leaves its own there, or only those that must.
    """

    keys: Sequence[torch.Tensor] = ()
    values: Sequence[torch.Tensor] = ()
    start: int = 0
    cross: tuple[int, ...] = ()
    block: torch.Tensor | None = None
    collect: bool = False
    seen: dict[int, KeysAndValues] = field(default_factory=dict)

    def attend(self, call: Call) -> torch.Tensor:
        """Every token looks at the prefix, and at its row up to itself."""
        if call.layer in self.cross:
            return self._to_picture(call)
        if self.collect:
            self.seen[call.layer] = (call.key, call.value)
        length = call.query.shape[2]
        queries = torch.arange(length, device=call.query.device)[None]
        return self._mixed(call, queries, call.key, call.value)

    def only_see(self, call: Call) -> torch.Tensor:
        """Take the keys and values, and go no further."""
        self.seen[call.layer] = (call.key, call.value)
        raise Enough

    def attend_from(self, where: torch.Tensor) -> Attend:
        """Let chosen tokens look, after :meth:`only_see`; ``where`` is ``[batch, chosen]``."""

        def attend(call: Call) -> torch.Tensor:
            if call.layer in self.cross:
                return self._to_picture(call)
            return self._mixed(call, where.to(call.query.device), *self.seen[call.layer])

        return attend

    def _mixed(
        self, call: Call, queries: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Attention to the prefix and to the row; ``queries`` counts tokens of the row."""
        group = call.query.shape[1] // key.shape[1]
        own_keys = torch.arange(key.shape[2], device=key.device)
        simple = queries.shape[1] == len(own_keys) and self._plain(call.window, len(own_keys))
        own = _softmax_part(
            call.query,
            _repeat(key, group),
            _repeat(value, group),
            call.scaling,
            None if simple else self._hidden(call, queries, own_keys)[:, None],
            causal=simple,
        )
        if not self.keys or not self.keys[call.layer].shape[2]:
            return own[0]
        keys, values = self.keys[call.layer], self.values[call.layer]
        before = torch.arange(keys.shape[2], device=key.device) - self.start
        plain = call.window is None or call.window >= self.start + len(own_keys)
        hidden = None if plain else self._hidden(call, queries, before)[:, None]
        mixed, total = _folded(call.query, keys, values, call.scaling, hidden)
        share = (total - own[1]).sigmoid()[..., None]
        return own[0].lerp(mixed, share.to(mixed.dtype))

    def _plain(self, window: int | None, length: int) -> bool:
        """Whether rows are causal and no more: no window, no image in them that sees itself."""
        return self.block is None and (window is None or window >= length)

    def _hidden(self, call: Call, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """What queries must not see, ``[batch or 1, queries, keys]``; both count from the start."""
        queries = queries[..., None]
        hidden = keys > queries
        if self.block is not None:
            rows = call.query.shape[0] // len(self.block)
            bounds = (self.block.to(keys.device) - self.start).repeat_interleave(rows, 0)
            low, behind = bounds[:, 0, None, None], bounds[:, 1, None, None]
            inside = (queries >= low) & (queries < behind) & (keys >= low) & (keys < behind)
            hidden = hidden & ~inside
        if call.window is not None:
            hidden = hidden | (keys <= queries - call.window)
        return hidden

    def _to_picture(self, call: Call) -> torch.Tensor:
        self.seen[call.layer] = (call.key, call.value)
        hidden = None if call.mask is None else call.mask < 0
        return _folded(call.query, call.key, call.value, call.scaling, hidden)[0]


def _folded(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scaling: float,
    hidden: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`_softmax_part` over keys that all rows of a prompt share.

    Their queries make one large matrix product. ``hidden`` is ``[batch or 1, 1, pos, keys]``.
    """
    prompts, kv_heads, count, width = keys.shape
    batch, heads, length, _ = query.shape
    rows, group = batch // prompts, heads // kv_heads
    folded = query.reshape(prompts, rows, kv_heads, group, length, width).transpose(1, 2)
    folded = folded.reshape(prompts, kv_heads, rows * group * length, width)
    if hidden is not None:
        hidden = hidden.expand(batch, -1, -1, -1).reshape(prompts, 1, rows, 1, length, count)
        hidden = hidden.expand(-1, -1, -1, group, -1, -1).reshape(prompts, 1, -1, count)
    mixed, total = _softmax_part(folded, keys, values, scaling, hidden)
    by_row = (prompts, kv_heads, rows, group, length)
    mixed = mixed.reshape(*by_row, width).transpose(1, 2).reshape(query.shape)
    return mixed, total.reshape(by_row).transpose(1, 2).reshape(query.shape[:-1])


def _repeat(part: torch.Tensor, group: int) -> torch.Tensor:
    """Keys or values once for every head that uses them."""
    return part if group == 1 else part.repeat_interleave(group, 1)


# Blocks -----------------------------------------------------------------------------------------


class Blocks:
    """A model's blocks, called as a full pass called them.

    Rows are ``[prompts, rows, pos, d_model]`` throughout.

    Attributes:
        cross: the blocks that attend to the picture's own states.
        arguments: by block, what the full pass gave it beside the stream. All tensors have the
            prompts (or one for all) on their first axis.
    """

    def __init__(self, vlm: HookedVLM) -> None:
        self.vlm = vlm
        self.cross = vlm.family.cross_layers(vlm.model.config.get_text_config())
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
        wanted = (*_ARGUMENTS, "cross_attention_states")

        def note(module: torch.nn.Module, arguments: tuple, keywords: dict) -> None:
            given = {name: keywords.get(name) for name in wanted}
            self.arguments.append({name: part for name, part in given.items() if part is not None})
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

        def each(part: Any, name: str) -> Any:
            return part if len(part) == 1 else part[image_of.to(part.device)]

        for noted in self.arguments:
            noted.pop("cross_attention_states", None)  # its keys and values are kept
            noted |= _mapped(noted, each)

    def run(self, layer: int, resid: torch.Tensor, rows: Rows) -> torch.Tensor:
        """One block on rows."""
        output = self._call(layer, resid.flatten(0, 1), self._here(resid, rows), rows, rows.attend)
        return output.view(resid.shape)

    def see(self, layer: int, resid: torch.Tensor, rows: Rows) -> None:
        """Only compute a block's keys and values, into ``rows.seen``."""
        with suppress(Enough):
            self._call(layer, resid.flatten(0, 1), self._here(resid, rows), rows, rows.only_see)

    def run_at(
        self, layer: int, resid: torch.Tensor, rows: Rows, where: torch.Tensor
    ) -> torch.Tensor:
        """One block of which only some tokens are wanted: the others give keys and values.

        Args:
            layer: which block.
            resid: the rows' stream before it.
            rows: what they attend to.
            where: the tokens, counted from the rows' first, ``[prompts, rows, chosen]``.

        Returns:
            ``[prompts, rows, chosen, d_model]``.
        """
        if layer not in self.cross:  # there, tokens do not see each other
            self.see(layer, resid, rows)
        prompts, count, chosen = where.shape
        each = torch.arange(prompts)[:, None, None]

        def at(part: torch.Tensor, name: str) -> torch.Tensor:
            axis, places = _ARGUMENTS[name], (where + rows.start).to(part.device)
            part = part.movedim(axis, 1)
            found = part[0, places] if len(part) == 1 else part[each.to(part.device), places]
            return found.flatten(0, 1).movedim(1, axis)

        flat = where.flatten(0, 1).to(resid.device)
        batch = torch.arange(len(flat), device=flat.device)[:, None]
        picked = resid.flatten(0, 1)[batch, flat]
        output = self._call(layer, picked, at, rows, rows.attend_from(flat))
        return output.view(prompts, count, chosen, -1)

    def _here(self, resid: torch.Tensor, rows: Rows) -> Callable:
        """What cuts an argument to the rows' tokens."""
        _, count, length, _ = resid.shape

        def cut(part: torch.Tensor, name: str) -> torch.Tensor:
            part = part.narrow(_ARGUMENTS[name], rows.start, length)
            return part if len(part) == 1 else part.repeat_interleave(count, 0)

        return cut

    def _call(
        self, layer: int, flat: torch.Tensor, cut: Callable, rows: Rows, attend: Attend
    ) -> torch.Tensor:
        noted = dict(self.arguments[layer])
        states = noted.pop("cross_attention_states", None)
        arguments, kept = _mapped(noted, cut), None
        if layer in self.cross:
            arguments["cross_attention_states"] = None if rows.keys else states
            if rows.keys:
                kept = SimpleNamespace(keys=rows.keys[layer], values=rows.values[layer])
                kept = SimpleNamespace(layers={layer: kept})
        with _attention(self.vlm):
            output = self.vlm.layers[layer](
                flat,
                **arguments,
                attention_mask=None,
                past_key_values=kept,
                use_cache=False,
                attend=attend,
            )
        return output[0] if isinstance(output, tuple) else output


def _mapped(noted: dict[str, Any], change: Callable) -> dict[str, Any]:
    """Change every tensor among a block's arguments; some are in pairs."""
    return {
        name: tuple(change(one, name) for one in part)
        if isinstance(part, tuple)
        else change(part, name)
        for name, part in noted.items()
    }


def has_hooks_of_others(vlm: HookedVLM) -> bool:
    """Whether hooks that this package does not know sit on the blocks.

    They may count positions from the start of the prompt.
    """
    return any(map(is_hooked, vlm.layers))


def is_hooked(module: torch.nn.Module) -> bool:
    """Whether somebody's hooks sit on a module.

    Transformers' own, which note hidden states and stay after their first use, do no harm.
    """
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return any(not (hook.__module__ or "").startswith("transformers.") for hook in hooks)
