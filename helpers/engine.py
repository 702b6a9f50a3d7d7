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

from helpers.hooks import HookedVLM, HookFunction, HookPoint
from helpers.interventions import Edit
from helpers.packs import Pack, image_bounds
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
        start: the first position that rows hold; all before it is shared. Before the first edit,
            in an image whose tokens see each other.
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
        self.vlm, self.prompts = vlm, list(prompts)
        self.start, self._block = self._begin(start)
        self.last = torch.tensor([prompt.last for prompt in prompts], device=vlm.device)
        self._blocks, self._streams, self._added = Blocks(vlm), {}, {}
        pack = Pack.of(vlm, prompts, self.start)
        self._run_in_full(pack, set(depths) | {vlm.n_layers - 1})
        if pack.rows:
            self._run_behind(pack)
            self._blocks.spread(pack.image_of)

    def _begin(self, start: int) -> tuple[int, torch.Tensor | None]:
        """Where rows begin, and the image among them if its tokens see each other."""
        bounds = image_bounds(self.vlm, self.prompts)
        if bounds is None or start >= int(bounds[:, 1].max()):
            return start, None
        # Tokens of the image that stand before an edit in it see the edit, too.
        return min(start, int(bounds[:, 0].min())), bounds

    def _run_in_full(self, pack: Pack, depths: set[int]) -> None:
        vlm, blocks, top = self.vlm, self._blocks, self.vlm.n_layers - 1
        depth_at = {name_at(vlm, depth): depth for depth in depths if depth <= top}
        whole: list[torch.Tensor] = []

        def keep(resid: torch.Tensor, hook: HookPoint) -> None:
            depth = depth_at[hook.name]
            self._streams[depth] = resid[:, self.start :].clone()
            if depth == top:
                whole.append(resid)

        cache = DynamicCache()
        hooks = [(name, keep) for name in depth_at] + self._note_added(pack)
        blocks.full_pass(pack.run_in_full, hooks, cache, before=top)
        rows = Rows(cross=blocks.cross, block=self._block, collect=True)
        if vlm.n_layers in depths:
            resid = blocks.run(top, whole[0][:, None], rows)[:, 0]
            self._streams[vlm.n_layers] = resid[:, self.start :]
        else:
            blocks.see(top, whole[0][:, None], rows)
        kept = [(layer.keys, layer.values) for layer in cache.layers[:top]] + [rows.seen[top]]
        self._keys, self._values = map(list, zip(*kept, strict=True))

    def _note_added(self, pack: Pack) -> list[tuple[str, HookFunction]]:
        """Hooks that note what is added to the image's tokens between blocks (DeepStack)."""
        vlm, behind = self.vlm, {}
        if self.start >= pack.start:
            return []

        def before(resid: torch.Tensor, hook: HookPoint) -> None:
            behind[hook.layer() + 1] = resid[:, self.start :].clone()

        def after(resid: torch.Tensor, hook: HookPoint) -> None:
            depth = hook.layer()
            self._added[depth] = resid[:, self.start :] - behind.pop(depth)

        layers = range(vlm.family.added_between(vlm.model.config))
        return [
            pair
            for layer in layers
            for pair in (
                (vlm.resid_post(layer), before),
                (f"blocks.{layer + 1}.hook_resid_pre", after),
            )
        ]

    def _prefix(self, end: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Keys and values before a position; of the picture's own states, all of them."""
        cross = self._blocks.cross
        return tuple(
            [part if layer in cross else part[:, :, :end] for layer, part in enumerate(parts)]
            for parts in (self._keys, self._values)
        )

    def _run_behind(self, pack: Pack) -> None:
        """Run the other prompts' texts behind the images that were run."""
        blocks, begin = self._blocks, pack.start
        rows = Rows(*self._prefix(begin), begin, blocks.cross, collect=True)
        resid = pack.embeddings(self.vlm)
        for depth in range(self.vlm.n_layers + 1):
            if depth in self._streams:
                clean, offset = self._streams[depth], self.start - begin
                self._streams[depth] = pack.join(clean, resid[:, :, offset:].to(clean.device))
            if depth == self.vlm.n_layers - 1 and depth + 1 not in self._streams:
                blocks.see(depth, resid, rows)
                break
            if depth < self.vlm.n_layers:
                resid = blocks.run(depth, resid, rows)
        images = len(pack.leaders)
        for kept, side in ((self._keys, 0), (self._values, 1)):
            for layer, full in enumerate(kept):
                image_of = pack.image_of.to(full.device)
                if layer in blocks.cross:
                    kept[layer] = full[image_of]
                    continue
                own = rows.seen[layer][side].unflatten(0, (images, -1))
                text = pack.join(full[:, :, begin:], own)
                kept[layer] = torch.cat([full[:, :, :begin][image_of], text], 2)

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
        vlm.work["edits"] += sum(map(len, rows))
        first = torch.tensor([[self._first_depth(edits) for edits in part] for part in rows])
        # Rows of all prompts that share a slot start together; late starters come last.
        order = first.sort(dim=1).indices
        begins = first.gather(1, order).amin(0).tolist()
        edits_at = self._by_depth(rows, order)
        shared = Rows(
            *self._prefix(self.start), self.start, self._blocks.cross, self._block, collect
        )
        resid = None
        for depth in range(begins[0], vlm.n_layers):
            resid = self._join(resid, depth, begins.count(depth))
            _write(resid, edits_at.get((depth, False), ()))
            if depth in self._added:
                resid += self._added[depth][:, None].to(resid.device)
            _write(resid, edits_at.get((depth, True), ()))
            if depth < top:
                resid = self._blocks.run(depth, resid, shared)
        last = (self.last - self.start)[:, None, None].expand(-1, len(begins), 1)
        resid = self._blocks.run_at(top, resid, shared, last)
        _write(resid, edits_at.get((vlm.n_layers, False), ()))
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

    def _by_depth(
        self, rows: Sequence[Sequence[Edits]], order: torch.Tensor
    ) -> dict[tuple[int, bool], list]:
        """Collect edits as (indices, vectors, replace) that act on all rows at once.

        They go by depth and, at a depth, by whether they come before a block (``hook_resid_pre``)
        and not behind one. A row's edits at one place act one after the other, as hooks would.
        """
        waves: dict[tuple[int, bool, int, bool], list] = {}
        for prompt, slots in enumerate(order.tolist()):
            for slot, row in enumerate(slots):
                turns: dict[tuple[int, bool], int] = {}
                for edit in rows[prompt][row]:
                    place = (depth_of(edit.site), edit.site.endswith("pre"))
                    turn = turns[place] = turns.get(place, -1) + 1
                    waves.setdefault((*place, turn, edit.replace), []).append((prompt, slot, edit))
        found: dict[tuple[int, bool], list] = {}
        for (depth, pre, _, replace), wave in sorted(waves.items(), key=lambda item: item[0][:3]):
            places, vectors = [], []
            for prompt, slot, edit in wave:
                each = edit.vectors.expand(len(edit.positions), -1).to(self.vlm.device)
                for number, column in self._columns(edit, prompt, depth):
                    places.append((prompt, slot, column))
                    vectors.append(each[number])
            if places:
                indices = tuple(torch.tensor(places, device=self.vlm.device).T)
                found.setdefault((depth, pre), []).append((indices, torch.stack(vectors), replace))
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
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
            started = sum(begin <= layer for begin in begins)
            whole = []
            for clean, own in zip((keys, values), seen.get(layer, (None, None)), strict=True):
                full = clean.expand(len(rows), -1, -1, -1).clone()
                if started and layer not in self._blocks.cross:
                    full[:started, :, self.start :] = own
                whole.append(full[back[0]])
            cache.update(*whole, layer)
        return logits[0], cache


def _write(resid: torch.Tensor, edits: Sequence[tuple]) -> None:
    for places, vectors, replace in edits:
        vectors = vectors.to(resid)
        resid[places] = vectors if replace else resid[places] + vectors
