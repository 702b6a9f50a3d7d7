"""The ways to run steering edits: from a case to the logits of all edits, ``[edits, vocabulary]``.

Peers are used as well as their makers' documents tell: edits in batches, only the last token's
logits, and the image encoded once, before anything is timed. The naive way is that of the paper's
scripts.
"""

import copy
import importlib.util
from collections.abc import Callable
from functools import cache

import torch

from benchmarks.cases import Case
from helpers import Edit
from helpers.engine import CleanRun, depth_of

Way = Callable[[Case, int], torch.Tensor]


def naive(case: Case, edits: int) -> torch.Tensor:
    """Three full passes for each edit: clean with all hidden states, source, edited."""
    vlm, found = case.vlm, []
    inputs = vlm.batch(case.prompt)
    for vector in case.vectors[:edits]:

        def add(resid: torch.Tensor, hook: object, vector: torch.Tensor = vector) -> None:
            resid[:, case.position] += vector

        vlm.model(**inputs, output_hidden_states=True)
        vlm.model(**inputs, output_hidden_states=True)
        found.append(vlm.run_with_hooks(case.prompt, [(case.site, add)])[:, -1])
    return torch.cat(found)


@cache
def _embedded(case: Case) -> torch.Tensor:
    """Embeddings of a batch, with the image encoded: ``[batch, pos, d_model]``."""
    _, kept = case.vlm.run_with_cache(case.prompt, "blocks.0.hook_resid_pre")
    return kept["blocks.0.hook_resid_pre"].expand(case.batch, -1, -1)


def batched_hooks(case: Case, edits: int) -> torch.Tensor:
    """Plain torch hooks."""
    found, embedded = [], _embedded(case)
    for vectors in case.vectors[:edits].split(case.batch):

        def add(module: object, args: object, output: torch.Tensor, v: torch.Tensor = vectors):
            output = output.clone()
            output[:, case.position] += v
            return output

        handle = case.vlm.layers[case.layer].register_forward_hook(add)
        try:
            output = case.vlm.model(inputs_embeds=embedded[: len(vectors)], logits_to_keep=1)
        finally:
            handle.remove()
        found.append(output.logits[:, 0])
    return torch.cat(found)


def with_nnsight(case: Case, edits: int) -> torch.Tensor:
    """nnsight's tracing."""
    from nnsight import NNsight

    wrapped, found = NNsight(case.vlm.model), []
    embedded, position, layer = _embedded(case), case.position, case.layer
    for vectors in case.vectors[:edits].split(case.batch):
        with wrapped.trace(inputs_embeds=embedded[: len(vectors)], logits_to_keep=1):
            resid = wrapped.model.language_model.layers[layer].output
            resid[:, position] += vectors
            logits = wrapped.lm_head.output.save()
        found.append(logits[:, 0])
    return torch.cat(found)


@cache
def _bridge(vlm):
    """The model as a TransformerBridge: a copy, since the bridge rewires what it is given."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    model = copy.deepcopy(vlm.model)
    return build_bridge_from_module(model, type(model).__name__, hf_config=model.config)


def with_bridge(case: Case, edits: int) -> torch.Tensor:
    """TransformerLens's TransformerBridge, fed with embeddings."""
    bridge, found, embedded = _bridge(case.vlm), [], _embedded(case)
    for vectors in case.vectors[:edits].split(case.batch):

        def add(resid: torch.Tensor, hook: object, v: torch.Tensor = vectors) -> torch.Tensor:
            resid = resid.clone()
            resid[:, case.position] += v
            return resid

        logits = bridge.run_with_hooks(
            embedded[: len(vectors)], fwd_hooks=[(f"blocks.{case.layer}.hook_out", add)],
            logits_to_keep=1,
        )  # fmt: skip
        found.append(logits[:, -1])
    return torch.cat(found)


def engine(case: Case, edits: int) -> torch.Tensor:
    """The engine, its clean pass included."""
    clean = CleanRun(case.vlm, [case.prompt], case.position, [depth_of(case.site)])
    return engine_rows(case, edits, clean)


def engine_rows(case: Case, edits: int, clean: CleanRun) -> torch.Tensor:
    """The engine behind a clean pass that was made before."""
    rows = [(Edit(case.site, (case.position,), vector),) for vector in case.vectors[:edits]]
    return clean.run([rows])[0]


def peers() -> dict[str, Way]:
    """The ways of other tools that are installed, and plain hooks."""
    found: dict[str, Way] = {"batched hooks": batched_hooks}
    if importlib.util.find_spec("nnsight"):
        found["nnsight"] = with_nnsight
    if importlib.util.find_spec("transformer_lens"):
        found["TransformerBridge"] = with_bridge
    return found
