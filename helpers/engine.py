"""Exact fast passes: run only what an edit can change.

An edit at the stream before block ``d`` leaves untouched the image's features, every block below
``d``, and, attention being causal, every token before the first edited one. So a clean pass over a
batch of prompts is kept (:class:`CleanRun`): the keys and values of all tokens, and the stream at
the depths where edits begin. Edits then run as rows that hold the tokens from the first edited one
on, start at the depth of their first edit, and share the prompt's keys and values without copying
them. In the last block, only the token that is read needs more than keys and values. The result
is that of the full pass, up to rounding; ``tests/test_engine.py`` holds it to 1e-5.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from transformers import DynamicCache

from helpers.hooks import HookedVLM, HookPoint
from helpers.interventions import Edit
from helpers.packs import Pack
from helpers.prompts import Prompt
from helpers.rows import Blocks, Rows

#: The edits of one row, made in one pass.
Edits = tuple[Edit, ...]


def depth_of(site: str) -> int:
    """Return how many blocks the stream has passed at a site."""
    _, layer, place = site.split(".")
    return int(layer) + (place == "hook_resid_post")


def name_at(vlm: HookedVLM, depth: int) -> str:
    """A hook name for the stream at a depth."""
    return "blocks.0.hook_resid_pre" if depth == 0 else vlm.resid_post(depth - 1)


class CleanRun:
    """One clean pass over a batch of prompts, and what rows of edits need of it.

    Attributes:
        prompts: the batch.
        start: the first position that rows hold; all before it is shared.
        last: every prompt's last position, ``[prompts]``.
    """

    @torch.no_grad()
    def __init__(
        self, vlm: HookedVLM, prompts: Sequence[Prompt], start: int, depths: Sequence[int]
    ) -> None:
        """Run the prompts, those about one image together.

        Args:
            vlm: the model.
            prompts: the batch.
            start: the first position that any edit writes to.
            depths: where the stream is kept, for edits to begin. Those behind the last block begin
                before it.

        Raises:
            RuntimeError: inside ``vlm.hooks``: rows hold a part of the tokens, where hooks would
                count positions wrong.
        """
        if vlm.held:
            raise RuntimeError(
                f"hooks are held at {', '.join(vlm.held)}; a fast pass holds a part of the tokens, "
                "where they would write to wrong positions: make edits of them"
            )
        self.vlm, self.prompts, self.start = vlm, list(prompts), start
        self.last = torch.tensor([prompt.last for prompt in prompts], device=vlm.device)
        self._blocks, self._streams = Blocks(vlm), {}
        pack = Pack.of(vlm, prompts, start)
        self._run_in_full(pack, set(depths) | {vlm.n_layers - 1})
        if pack.rows:
            self._run_behind(pack)
            self._blocks.spread(pack.image_of)

    def _run_in_full(self, pack: Pack, depths: set[int]) -> None:
        vlm, blocks, top = self.vlm, self._blocks, self.vlm.n_layers - 1
        depth_at = {name_at(vlm, depth): depth for depth in depths if depth <= top}
        whole: list[torch.Tensor] = []

        def keep(resid: torch.Tensor, hook: HookPoint) -> None:
            depth = depth_at[hook.name]
            self._streams[depth] = resid[:, self.start :].clone()
            if depth == top:
                whole.append(resid)

        cache = DynamicCache(config=vlm.model.config.get_text_config())
        blocks.full_pass(pack.run_in_full, [(name, keep) for name in depth_at], cache, before=top)
        rows = Rows((), (), collect=True)
        if vlm.n_layers in depths:
            resid = blocks.run(top, whole[0][:, None], 0, rows)[:, 0]
            self._streams[vlm.n_layers] = resid[:, self.start :]
        else:
            blocks.see(top, whole[0][:, None], 0, rows)
        kept = [(layer.keys, layer.values) for layer in cache.layers[:top]] + [rows.seen[top]]
        self._keys, self._values = map(list, zip(*kept, strict=True))

    def _run_behind(self, pack: Pack) -> None:
        """Run the other prompts' texts behind the images that were run."""
        blocks, begin = self._blocks, pack.start
        prefix = [[part[:, :, :begin] for part in parts] for parts in (self._keys, self._values)]
        rows = Rows(*prefix, collect=True)
        resid = pack.embeddings(self.vlm)
        for depth in range(self.vlm.n_layers + 1):
            if depth in self._streams:
                clean, offset = self._streams[depth], self.start - begin
                self._streams[depth] = pack.join(clean, resid[:, :, offset:].to(clean.device))
            if depth == self.vlm.n_layers - 1 and depth + 1 not in self._streams:
                blocks.see(depth, resid, begin, rows)
                break
            if depth < self.vlm.n_layers:
                resid = blocks.run(depth, resid, begin, rows)
        images = len(pack.leaders)
        for layer, own in rows.seen.items():
            for kept, part in zip((self._keys, self._values), own, strict=True):
                text = pack.join(kept[layer][:, :, begin:], part.unflatten(0, (images, -1)))
                image = kept[layer][:, :, :begin][pack.image_of]
                kept[layer] = torch.cat([image, text], 2)

    def stream(self, depth: int) -> torch.Tensor:
        """The clean stream at a depth, from ``start`` on: ``[prompts, pos, d_model]``."""
        return self._streams[depth]

    @cached_property
    def logits(self) -> torch.Tensor:
        """Clean logits at every prompt's last token, ``[prompts, vocabulary]``."""
        return self.run([[()]] * len(self.prompts))[:, 0]

    @torch.no_grad()
    def run(self, rows: Sequence[Sequence[Edits]]) -> torch.Tensor:
        """Run rows of edits, the same number for each prompt.

        Args:
            rows: for each prompt, its rows; a row without edits is the clean pass.

        Returns:
            Logits at the last token, ``[prompts, rows, vocabulary]``.
        """
        return self._run(rows)[0]

    def _run(self, rows: Sequence[Sequence[Edits]], collect: bool = False):
        vlm, top = self.vlm, self.vlm.n_layers - 1
        first = torch.tensor([[self._first_depth(edits) for edits in part] for part in rows])
        # Rows of all prompts that share a slot start together; late starters come last.
        order = first.sort(dim=1).indices
        begins = first.gather(1, order).amin(0).tolist()
        edits_at = self._by_depth(rows, order)
        prefix = [[part[:, :, : self.start] for part in kv] for kv in (self._keys, self._values)]
        shared = Rows(*prefix, collect)
        resid = None
        for depth in range(begins[0], vlm.n_layers):
            resid = self._join(resid, depth, begins.count(depth))
            _write(resid, edits_at.get(depth, ()))
            if depth < top:
                resid = self._blocks.run(depth, resid, self.start, shared)
        last = (self.last - self.start)[:, None, None].expand(-1, len(begins), 1)
        resid = self._blocks.run_at(top, resid, self.start, shared, last)
        _write(resid, edits_at.get(vlm.n_layers, ()))
        head = vlm.model.get_output_embeddings()
        logits = head(vlm.model.get_decoder().norm(resid[:, :, 0]))
        back = order.argsort(1).to(logits.device)
        logits = logits.gather(1, back[..., None].expand(-1, -1, logits.shape[-1]))
        return logits, shared.seen, back, begins

    def _first_depth(self, edits: Edits) -> int:
        depths = [depth_of(edit.site) for edit in edits]
        return min([*depths, self.vlm.n_layers - 1])

    def _join(self, resid: torch.Tensor | None, depth: int, joining: int) -> torch.Tensor:
        """Add rows that start at a depth: ``[prompts, rows, pos, d_model]``."""
        if not joining:
            return resid
        clean = self._streams[depth][:, None].expand(-1, joining, -1, -1)
        return clean.clone() if resid is None else torch.cat([resid, clean.to(resid.device)], 1)

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
            places, vectors = [], []
            for prompt, slot, edit in wave:
                each = edit.vectors.expand(len(edit.positions), -1).to(self.vlm.device)
                for number, column in self._columns(edit, prompt, depth):
                    places.append((prompt, slot, column))
                    vectors.append(each[number])
            if places:
                indices = tuple(torch.tensor(places, device=self.vlm.device).T)
                found.setdefault(depth, []).append((indices, torch.stack(vectors), replace))
        return found

    def _columns(self, edit: Edit, prompt: int, depth: int) -> list[tuple[int, int]]:
        """Which of an edit's vectors go where in rows. Behind the last block one token is left."""
        if depth < self.vlm.n_layers:
            return [(number, place - self.start) for number, place in enumerate(edit.positions)]
        last = self.prompts[prompt].last
        return [(number, 0) for number, place in enumerate(edit.positions) if place == last]

    @torch.no_grad()
    def caches(self, rows: Sequence[Edits]) -> tuple[torch.Tensor, DynamicCache]:
        """Run rows of edits of a single prompt and keep what generation goes on from.

        Returns:
            Logits at the last token, ``[rows, vocabulary]``, and the filled cache of all tokens.
        """
        logits, seen, back, begins = self._run([rows], collect=True)
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


def _write(resid: torch.Tensor, edits: Sequence[tuple]) -> None:
    for places, vectors, replace in edits:
        vectors = vectors.to(resid)
        resid[places] = vectors if replace else resid[places] + vectors


def _place_in_pass(edit: Edit) -> tuple[int, bool]:
    """Where in a pass a hook at the edit's site runs: ``resid_post`` before the next ``pre``."""
    return depth_of(edit.site), edit.site.endswith("pre")
