"""Read hidden states at chosen positions, and run nothing that is not needed for them."""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from helpers.engine import depth_of
from helpers.hooks import HookedVLM, HookPoint
from helpers.packs import Pack, image_bounds, image_key, text_start
from helpers.pictures import pictures_once
from helpers.prompts import Prompt
from helpers.rows import Blocks, Enough, Rows, has_hooks_of_others


@torch.no_grad()
def read_states(
    vlm: HookedVLM,
    prompts: Sequence[Prompt],
    positions: Sequence[Sequence[int]],
    sites: Sequence[str],
    batch_size: int = 32,
) -> torch.Tensor:
    """Hidden states at chosen positions.

    No block above the last site is run, and of the last one only what the chosen positions need.
    Prompts about the same image share its pass, wherever they are in the list. Memory grows with
    ``batch_size`` and not with the number of prompts.

    Args:
        vlm: the model.
        prompts: any number.
        positions: for each prompt equally many positions.
        sites: hook names.
        batch_size: prompts in one pass.

    Returns:
        ``[sites, prompts, positions, d_model]`` in float32 on the CPU.

    Raises:
        ValueError: if there are no prompts or no sites, a site does not exist, or positions are
            missing, unequal in number, or outside their prompt.
    """
    sites = vlm.select(list(sites))
    where = _checked(prompts, positions)
    firsts: dict[tuple, int] = {}
    keys = [(text_start(prompt), image_key(vlm, prompt)) for prompt in prompts]
    for index, key in enumerate(keys):
        firsts.setdefault(key, index)
    order = sorted(range(len(prompts)), key=lambda i: (keys[i][0], firsts[keys[i]]))
    found = torch.empty(len(sites), *where.shape, vlm.d_model)
    with pictures_once(vlm):
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            found[:, chosen] = _read(vlm, [prompts[i] for i in chosen], where[chosen], sites)
    return found


def _checked(prompts: Sequence[Prompt], positions: Sequence[Sequence[int]]) -> torch.Tensor:
    """The positions as ``[prompts, positions]``."""
    if not prompts:
        raise ValueError("an empty list of prompts has no states")
    counts = {len(row) for row in positions}
    if len(positions) != len(prompts) or len(counts) != 1 or counts == {0}:
        raise ValueError(
            f"{len(prompts)} prompts need equally many positions each; there are "
            f"{len(positions)} rows of {', '.join(map(str, sorted(counts))) or 'no'} positions"
        )
    for prompt, row in zip(prompts, positions, strict=True):
        outside = [position for position in row if not 0 <= position < len(prompt)]
        if outside:
            raise ValueError(f"positions {outside} are outside a prompt of {len(prompt)} tokens")
    return torch.tensor([list(row) for row in positions])


def _read(
    vlm: HookedVLM, prompts: Sequence[Prompt], where: torch.Tensor, sites: Sequence[str]
) -> torch.Tensor:
    """States of one batch: ``[sites, prompts, positions, d_model]``."""
    pack, blocks = Pack.of(vlm, prompts, int(where.min())), Blocks(vlm)
    full, prefix = _read_in_full(blocks, pack, where[list(pack.leaders)], sites)
    behind = {site: None for site in sites}
    if pack.rows:
        members = torch.tensor(pack.row_members)
        behind = _read_behind(blocks, pack, where[members] - pack.start, sites, prefix)
    return torch.stack([pack.join(full[site], behind[site]) for site in sites])


def _read_in_full(
    blocks: Blocks, pack: Pack, where: torch.Tensor, sites: Sequence[str]
) -> tuple[dict[str, torch.Tensor], Rows | None]:
    """States of the prompts that run in full, and the prefix that the others run behind."""
    vlm, found, entering = blocks.vlm, {}, []
    end = max(sites, key=lambda site: (depth_of(site), site.endswith("pre")))
    layer = depth_of(end) - 1
    # A hook of others on the last block may want all tokens: then it runs whole.
    trimmed = end.endswith("post") and not has_hooks_of_others(vlm)
    rows = torch.arange(len(where))[:, None]

    def keep(resid: torch.Tensor, hook: HookPoint) -> None:
        found[hook.name] = resid[rows.to(resid.device), where.to(resid.device)].float().cpu()
        if hook.name == end:
            raise Enough

    def enter(resid: torch.Tensor, hook: HookPoint) -> None:
        entering.append(resid)

    hooks = [(site, keep) for site in sites if not (trimmed and site == end)]
    if trimmed:
        hooks.append((f"blocks.{layer}.hook_resid_pre", enter))
    cache = DynamicCache() if pack.rows else None
    blocks.full_pass(pack.run_in_full, hooks, cache, before=layer if trimmed else None)
    alone = Rows(cross=blocks.cross, block=image_bounds(vlm, pack.run_in_full))
    if trimmed:
        resid = blocks.run_at(layer, entering[0][:, None], alone, where[:, None])
        found[end] = resid[:, 0].float().cpu()
    if cache is None:
        return found, None
    kept = [(part.keys, part.values) for part in cache.layers[: depth_of(end) - trimmed]]
    kept += list(alone.seen.values())
    keys, values = (
        [
            part[side] if number in blocks.cross else part[side][:, :, : pack.start]
            for number, part in enumerate(kept)
        ]
        for side in (0, 1)
    )
    return found, Rows(keys, values, pack.start, blocks.cross)


def _read_behind(
    blocks: Blocks, pack: Pack, where: torch.Tensor, sites: Sequence[str], prefix: Rows
) -> dict[str, torch.Tensor]:
    """States of the other prompts, ``[images, rows, positions, d_model]`` at each site."""
    found: dict[str, torch.Tensor] = {}
    resid, end = pack.embeddings(blocks.vlm), max(map(depth_of, sites))
    for depth in range(end + 1):
        if depth == end and depth > 0:
            states = blocks.run_at(depth - 1, resid, prefix, where)
        else:
            if depth:
                resid = blocks.run(depth - 1, resid, prefix)
            index = where.to(resid.device)[..., None].expand(-1, -1, -1, resid.shape[-1])
            states = resid.gather(2, index)
        for site in sites:
            if depth_of(site) == depth:
                found[site] = states.float().cpu()
    return found
