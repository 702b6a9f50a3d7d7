"""Exact fast passes: run only what an edit can change.

An edit at the stream before block ``d`` leaves untouched the image's features, every block below
``d``, and, attention being causal, every token before the first edited one. So a clean pass over a
batch of prompts is kept (:class:`CleanRun`): the keys and values of all tokens, and the stream at
the depths where edits begin. Edits then run as rows that hold the tokens from the first edited one
on, start at the depth of their first edit, and share the prompt's keys and values without copying
them. The result is that of the full pass, up to rounding; ``tests/test_engine.py`` holds it to
1e-5.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache

from helpers.hooks import HookedVLM, HookPoint
from helpers.interventions import Edit
from helpers.prompts import Prompt

_ATTENTION = "shared_prefix"


#: The edits of one row, made in one pass.
Edits = tuple[Edit, ...]


def depth_of(site: str) -> int:
    """Return how many blocks the stream has passed at a site."""
    _, layer, place = site.split(".")
    return int(layer) + (place == "hook_resid_post")


def _name_at(vlm: HookedVLM, depth: int) -> str:
    """A hook name for the stream at a depth."""
    return "blocks.0.hook_resid_pre" if depth == 0 else vlm.resid_post(depth - 1)


# Attention to a shared prefix -------------------------------------------------------------------


@dataclass
class _Prefix:
    """What attention needs beside the rows' own keys, and what it saw of those if asked to."""

    keys: list[torch.Tensor]  # of each block, [prompts, heads, prefix, d_head]
    values: list[torch.Tensor]
    later: torch.Tensor  # [pos, pos], True where a row's token must not look
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] | None = None


def _shared_prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float,
    dropout: float = 0.0,
    shared: _Prefix | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to a prompt's prefix and to the row's own tokens, under one softmax.

    All rows of a prompt look at the same prefix, so their queries are folded into one matrix
    product for each head.
    """
    layer = module.layer_idx
    if shared.seen is not None:
        shared.seen[layer] = (key, value)
    keys, values = shared.keys[layer], shared.values[layer]
    prompts, kv_heads, prefix, width = keys.shape
    batch, heads, length, _ = query.shape
    rows, folded = batch // prompts, (batch // prompts) * (heads // kv_heads) * length
    query = query * scaling
    by_row = query.reshape(batch, kv_heads, -1, width)
    by_prompt = by_row.view(prompts, rows, kv_heads, -1, width).transpose(1, 2)
    by_prompt = by_prompt.reshape(prompts, kv_heads, folded, width)

    def to_prompt(of_rows: torch.Tensor) -> torch.Tensor:
        split = of_rows.view(prompts, rows, kv_heads, -1, of_rows.shape[-1])
        return split.transpose(1, 2).reshape(prompts, kv_heads, folded, -1)

    own = (by_row @ key.transpose(-1, -2)).float().view(batch, heads, length, length)
    own = to_prompt(own.masked_fill_(shared.later, float("-inf")))
    top = own.amax(-1, keepdim=True)
    before = (by_prompt @ keys.transpose(-1, -2)).float()
    if prefix:
        top = torch.maximum(top, before.amax(-1, keepdim=True))
    before.sub_(top).exp_()
    own.sub_(top).exp_()
    total = before.sum(-1, keepdim=True) + own.sum(-1, keepdim=True)
    mixed = (before.to(values.dtype) @ values).float()
    own = own.view(prompts, kv_heads, rows, -1, length).transpose(1, 2)
    own = own.reshape(batch, kv_heads, -1, length).to(value.dtype) @ value
    mixed = (mixed + to_prompt(own)) / total
    mixed = mixed.view(prompts, kv_heads, rows, -1, width).transpose(1, 2)
    return mixed.reshape(batch, heads, length, width).transpose(1, 2).to(query.dtype), None


AttentionInterface.register(_ATTENTION, _shared_prefix_attention)


@contextmanager
def _attention(vlm: HookedVLM) -> Iterator[None]:
    """Let the blocks use :func:`_shared_prefix_attention` for a while."""
    config = vlm.model.config.get_text_config()
    usual = config._attn_implementation
    config._attn_implementation = _ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = usual


# A clean pass, and rows that start from it ------------------------------------------------------


class CleanRun:
    """One clean pass over a batch of prompts, and what rows of edits need of it.

    Attributes:
        prompts: the batch.
        start: the first position that rows hold; all before it is shared.
        logits: ``[prompts, vocabulary]`` at every prompt's last token.
    """

    @torch.no_grad()
    def __init__(
        self, vlm: HookedVLM, prompts: Sequence[Prompt], start: int, depths: Sequence[int]
    ) -> None:
        self.vlm, self.prompts, self.start = vlm, list(prompts), start
        self.last = torch.tensor([prompt.last for prompt in prompts], device=vlm.device)
        self._streams: dict[int, torch.Tensor] = {}
        self._arguments: list[dict[str, Any]] = []
        depth_at = {_name_at(vlm, depth): depth for depth in depths}

        def keep(resid: torch.Tensor, hook: HookPoint) -> None:
            self._streams[depth_at[hook.name]] = resid[:, start:].clone()

        def note(module: torch.nn.Module, arguments: tuple, keywords: dict) -> None:
            self._arguments.append(keywords)

        handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in vlm.layers]
        wanted, row_of = self.last.unique(return_inverse=True)
        try:
            with vlm.hooks([(name, keep) for name in depth_at]):
                output = vlm.model(**vlm.batch(prompts), use_cache=True, logits_to_keep=wanted)
        finally:
            for handle in handles:
                handle.remove()
        self.logits = output.logits[torch.arange(len(self.prompts)), row_of]
        layers = output.past_key_values.layers
        self._keys, self._values = [kv.keys for kv in layers], [kv.values for kv in layers]

    def stream(self, depth: int) -> torch.Tensor:
        """The clean stream at a depth, from ``start`` on: ``[prompts, pos, d_model]``."""
        return self._streams[depth]

    @torch.no_grad()
    def run(self, rows: Sequence[Sequence[Edits]]) -> torch.Tensor:
        """Run rows of edits, the same number for each prompt.

        Args:
            rows: for each prompt, its rows; a row without edits is the clean pass.

        Returns:
            Logits at the last token, ``[prompts, rows, vocabulary]``.
        """
        return self._run(rows)[0]

    def _run(self, rows: Sequence[Sequence[Edits]], keep: bool = False):
        vlm = self.vlm
        first = torch.tensor([[_first_depth(vlm, edits) for edits in part] for part in rows])
        # Rows of all prompts that share a slot start together; late starters come last.
        order = first.sort(dim=1).indices
        begins = first.gather(1, order).amin(0).tolist()
        edits_at = self._by_depth(rows, order)
        length = int(self.last.max()) + 1 - self.start
        later = torch.ones(length, length, device=vlm.device).triu(1).bool()
        shared = _Prefix(
            [keys[:, :, : self.start] for keys in self._keys],
            [values[:, :, : self.start] for values in self._values],
            later,
            {} if keep else None,
        )
        resid = None
        with _attention(vlm):
            for depth in range(begins[0], vlm.n_layers + 1):
                resid = self._join(resid, depth, begins.count(depth))
                for places, vectors, replace in edits_at.get(depth, ()):
                    vectors = vectors.to(resid)
                    resid[places] = vectors if replace else resid[places] + vectors
                if depth < vlm.n_layers:
                    resid = self._block(depth, resid, shared)
        last = resid[torch.arange(len(rows)), :, self.last - self.start]
        head = vlm.model.get_output_embeddings()
        logits = head(vlm.model.get_decoder().norm(last))
        back = order.argsort(1).to(logits.device)
        logits = logits.gather(1, back[..., None].expand(-1, -1, logits.shape[-1]))
        return logits, shared.seen, back, begins

    def _join(self, resid: torch.Tensor | None, depth: int, joining: int) -> torch.Tensor:
        """Add rows that start at a depth: ``[prompts, rows, pos, d_model]``."""
        if not joining:
            return resid
        clean = self._streams[depth][:, None].expand(-1, joining, -1, -1)
        return clean.clone() if resid is None else torch.cat([resid, clean.to(resid.device)], 1)

    def _block(self, layer: int, resid: torch.Tensor, shared: _Prefix) -> torch.Tensor:
        rows = resid.shape[1]
        arguments = _for_rows(self._arguments[layer], self.start, rows, resid.shape[2])
        flat = resid.flatten(0, 1)
        output = self.vlm.layers[layer](flat, **arguments, shared=shared)
        output = output[0] if isinstance(output, tuple) else output
        return output.view(resid.shape)

    def _by_depth(self, rows: Sequence[Sequence[Edits]], order: torch.Tensor) -> dict[int, list]:
        """Collect edits by depth, as (indices, vectors, replace) that act on all rows at once.

        A row's edits at one depth act one after the other, as hooks would.
        """
        waves: dict[tuple[int, int, bool], list] = {}
        for prompt, slots in enumerate(order.tolist()):
            for slot, row in enumerate(slots):
                turns: dict[int, int] = {}
                for edit in sorted(rows[prompt][row], key=_place_in_pass):
                    depth = depth_of(edit.site)
                    turn = turns[depth] = turns.get(depth, -1) + 1
                    waves.setdefault((depth, turn, edit.replace), []).append((prompt, slot, edit))
        found: dict[int, list] = {}
        for (depth, _, replace), wave in sorted(waves.items(), key=lambda item: item[0][:2]):
            where = [
                (prompt, slot, position - self.start)
                for prompt, slot, edit in wave
                for position in edit.positions
            ]
            vectors = [
                edit.vectors.expand(len(edit.positions), -1).to(self.vlm.device)
                for _, _, edit in wave
            ]
            places = tuple(torch.tensor(where, device=self.vlm.device).T)
            found.setdefault(depth, []).append((places, torch.cat(vectors), replace))
        return found

    @torch.no_grad()
    def caches(self, rows: Sequence[Edits]) -> tuple[torch.Tensor, DynamicCache]:
        """Run rows of edits of a single prompt and keep what generation goes on from.

        Returns:
            Logits at the last token, ``[rows, vocabulary]``, and the filled cache of all tokens.
        """
        logits, seen, back, begins = self._run([rows], keep=True)
        config = self.vlm.model.config.get_text_config()
        cache = DynamicCache(config=config)
        for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
            started = sum(begin <= layer for begin in begins)
            whole = []
            for clean, own in zip((keys, values), seen.get(layer, (None, None)), strict=True):
                full = clean.expand(len(rows), -1, -1, -1).clone()
                if started:
                    full[:started, :, self.start :] = own
                whole.append(full[back[0]])
            cache.update(*whole, layer)
        return logits[0], cache


def _first_depth(vlm: HookedVLM, edits: Edits) -> int:
    return min((depth_of(edit.site) for edit in edits), default=vlm.n_layers)


def _place_in_pass(edit: Edit) -> tuple[int, bool]:
    """Where in a pass a hook at the edit's site runs: ``resid_post`` before the next ``pre``."""
    return depth_of(edit.site), edit.site.endswith("pre")


def _for_rows(arguments: dict[str, Any], start: int, rows: int, length: int) -> dict[str, Any]:
    """A block's arguments in the clean pass, cut to the rows' tokens."""

    def cut(tensor: torch.Tensor, axis: int) -> torch.Tensor:
        tensor = tensor.narrow(axis, start, length)
        return tensor if tensor.shape[0] == 1 else tensor.repeat_interleave(rows, 0)

    kept = {
        name: value
        for name, value in arguments.items()
        if name not in ("hidden_states", "attention_mask", "past_key_values", "use_cache")
    }
    kept["position_embeddings"] = tuple(cut(part, 1) for part in arguments["position_embeddings"])
    kept["position_ids"] = cut(arguments["position_ids"], -1)
    return kept | {"attention_mask": None, "past_key_values": None, "use_cache": False}


# Reading ----------------------------------------------------------------------------------------


class _Enough(Exception):
    """Raised behind the last site that is read: the blocks above it need not run."""


@torch.no_grad()
def read_states(
    vlm: HookedVLM,
    prompts: Sequence[Prompt],
    positions: Sequence[Sequence[int]],
    sites: Sequence[str],
    batch_size: int = 32,
) -> torch.Tensor:
    """Hidden states at chosen positions, without running any block above the last site.

    Args:
        vlm: the model.
        prompts: any number.
        positions: for each prompt equally many positions.
        sites: hook names.
        batch_size: prompts in one pass.

    Returns:
        ``[sites, prompts, positions, d_model]`` in float32 on the CPU.

    Raises:
        ValueError: if there are no prompts or no sites, or one does not exist.
    """
    sites = vlm.select(list(sites))
    if not prompts:
        raise ValueError("an empty list of prompts has no states")
    end = max(sites, key=lambda site: (depth_of(site), site.endswith("pre")))
    found: dict[str, list[torch.Tensor]] = {site: [] for site in sites}
    for begin in range(0, len(prompts), batch_size):
        where = torch.tensor(positions[begin : begin + batch_size])
        rows = torch.arange(len(where))[:, None]

        def keep(resid: torch.Tensor, hook: HookPoint, where=where, rows=rows) -> None:
            at = resid[rows.to(resid.device), where.to(resid.device)]
            found[hook.name].append(at.float().cpu())
            if hook.name == end:
                raise _Enough

        try:
            with vlm.hooks([(site, keep) for site in sites]):
                vlm.model(**vlm.batch(prompts[begin : begin + batch_size]))
        except _Enough:
            pass
    return torch.stack([torch.cat(found[site]) for site in sites])
