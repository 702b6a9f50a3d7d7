"""Time the exact fast passes against the ways that people use today, side by side in one run.

    python -m benchmarks.engine

Every way computes the same logits (checked before anything is timed) for a batch of steering edits
at a middle block. Figures are medians over rounds in which all ways take turns. The table goes to
the screen and to ``_build/benchmarks/engine.json``.
"""

import argparse
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from helpers import Edit, HookedVLM, Prompt, load_vlm
from helpers.engine import CleanRun, depth_of
from helpers.reading import read_states
from helpers.training.build import Shape, build_model, build_processor

OUT = Path(__file__).resolve().parent.parent / "_build" / "benchmarks" / "engine.json"
#: As long as the questions of the paper's scripts: some 25 tokens from the first noun on.
QUESTION = (
    "Is the frog to the left or right of the teapot in the image? "
    "Is the teapot above or below the frog?"
)
#: A LLaVA with 576 image tokens, as wide and deep as two cores can bear.
LARGE = Shape(
    image_pixels=336, patch_pixels=14, vision_layers=6, vision_width=256,
    layers=8, width=512, heads=8, mlp_width=1408,
)  # fmt: skip
EDITS = 64


@dataclass
class Case:
    """What is timed: a prompt, a middle block, and one vector for each edit."""

    vlm: HookedVLM
    prompt: Prompt
    layer: int
    vectors: torch.Tensor  # [edits, d_model]

    @property
    def position(self) -> int:
        return self.prompt.word("frog")[-1]

    @property
    def site(self) -> str:
        return self.vlm.resid_post(self.layer)


def random_llava(shape: Shape, edits: int = EDITS) -> Case:
    """A case with random weights, large enough that every edit matters."""
    torch.manual_seed(0)
    model, processor = build_model(shape, build_processor(shape).tokenizer), build_processor(shape)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return make_case(load_vlm(model, processor), edits)


def make_case(vlm: HookedVLM, edits: int = EDITS) -> Case:
    prompt = vlm.prompt(Image.effect_noise((336, 336), 90).convert("RGB"), QUESTION)
    vectors = torch.randn(edits, vlm.d_model, generator=torch.Generator().manual_seed(0))
    return Case(vlm, prompt, vlm.n_layers // 2 - 1, vectors.to(vlm.device, vlm.dtype))


# The ways: from a case to logits of all edits, [edits, vocabulary] -------------------------------


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


def _embedded(case: Case, rows: int) -> torch.Tensor:
    """Embeddings with the image encoded once, ``[rows, pos, d_model]``."""
    seen = []
    first = case.vlm.layers[0]
    handle = first.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]),
        with_kwargs=True,
    )
    try:
        case.vlm.last_logits(case.prompt)
    finally:
        handle.remove()
    return seen[0].expand(rows, -1, -1)


def batched_hooks(case: Case, edits: int, batch: int = 16) -> torch.Tensor:
    """Plain torch hooks, the image encoded once, edits in batches, the last token alone read."""
    found, embedded = [], _embedded(case, batch)
    for begin in range(0, edits, batch):
        vectors = case.vectors[begin : min(begin + batch, edits)]

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


def with_nnsight(case: Case, edits: int, batch: int = 16) -> torch.Tensor:
    """nnsight's tracing, used in the same way as the plain hooks."""
    from nnsight import NNsight

    wrapped, found = NNsight(case.vlm.model), []
    embedded = _embedded(case, batch)
    position, layer = case.position, case.layer
    for begin in range(0, edits, batch):
        vectors = case.vectors[begin : min(begin + batch, edits)]
        with wrapped.trace(inputs_embeds=embedded[: len(vectors)], logits_to_keep=1):
            resid = wrapped.model.language_model.layers[layer].output
            resid[:, position] += vectors
            logits = wrapped.lm_head.output.save()
        found.append(logits[:, 0])
    return torch.cat(found)


def engine(case: Case, edits: int) -> torch.Tensor:
    """The engine, its clean pass included."""
    depth = depth_of(case.site)
    clean = CleanRun(case.vlm, [case.prompt], case.position, [depth])
    rows = [(Edit(case.site, (case.position,), vector),) for vector in case.vectors[:edits]]
    return clean.run([rows])[0]


# Extraction: states at one word of several prompts, up to a middle block --------------------------


def extract_naive(case: Case, count: int) -> torch.Tensor:
    """One prompt at a time, all layers, all hidden states kept."""
    found = []
    for _ in range(count):
        output = case.vlm.model(**case.vlm.batch(case.prompt), output_hidden_states=True)
        found.append(output.hidden_states[case.layer + 1][0, case.position])
    return torch.stack(found)


def extract_engine(case: Case, count: int) -> torch.Tensor:
    where = [[case.position]] * count
    return read_states(case.vlm, [case.prompt] * count, where, [case.site], 4)[0, :, 0]


# Timing -----------------------------------------------------------------------------------------


def seconds(function: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def side_by_side(
    ways: dict[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, float]:
    """Median seconds of each way; in every round all take a turn."""
    for way in ways.values():
        way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in tqdm(range(rounds), desc="rounds", leave=False):
        for name, way in ways.items():
            taken[name].append(seconds(way, device))
    return {name: statistics.median(times) for name, times in taken.items()}


def product_rate(case: Case) -> float:
    """Floating-point operations a second of a large matrix product, the best of several."""
    size = 4096 if case.vlm.device.type == "cuda" else 1536
    one = torch.randn(size, size, device=case.vlm.device, dtype=case.vlm.dtype)
    best = min(seconds(lambda: one @ one, case.vlm.device) for _ in range(8))
    return 2 * size**3 / best


def edit_operations(case: Case, edits: int) -> float:
    """What edits need by definition: their tokens in the blocks above, attention, one logit row."""
    config = case.vlm.model.config.get_text_config()
    length = len(case.prompt)
    tokens, blocks = length - case.position, case.vlm.n_layers - depth_of(case.site)
    width, heads = (
        config.hidden_size,
        config.num_attention_heads * (config.hidden_size // config.num_attention_heads),
    )
    kv = config.num_key_value_heads * (config.hidden_size // config.num_attention_heads)
    linear = width * (2 * heads + 2 * kv) + 3 * width * config.intermediate_size
    attended = sum(range(case.position + 1, length + 1))
    each = blocks * (tokens * 2 * linear + 4 * heads * attended) + 2 * width * config.vocab_size
    return edits * each


def clean_operations(case: Case) -> float:
    """What the clean pass costs, counted."""
    with FlopCounterMode(display=False) as counter:
        CleanRun(case.vlm, [case.prompt], case.position, [depth_of(case.site)])
    return counter.get_total_flops()


@torch.no_grad()
def measure(case: Case, rounds: int) -> dict[str, float]:
    """Seconds for each edit by each way, and the ratios."""
    ways = {"naive": (naive, 2), "batched hooks": (batched_hooks, EDITS)}
    if importlib.util.find_spec("nnsight"):
        ways["nnsight"] = (with_nnsight, EDITS)
    ways["engine"] = (engine, EDITS)
    expected = naive(case, 2)
    for name, (way, _) in ways.items():
        error = float((way(case, 2) - expected).abs().max() / expected.abs().max())
        if error > (1e-5 if case.vlm.dtype == torch.float32 else 2e-2):
            raise RuntimeError(f"{name} gives other logits than the naive way: {error:.1e}")
    calls = {name: (lambda w=way, n=n: w(case, n)) for name, (way, n) in ways.items()}
    calls["extract naive"] = lambda: extract_naive(case, 8)
    calls["extract engine"] = lambda: extract_engine(case, 8)
    taken = side_by_side(calls, case.vlm.device, rounds)
    each = {name: taken[name] / ways[name][1] for name in ways}
    needed = edit_operations(case, EDITS) + clean_operations(case)
    peers = [seconds for name, seconds in each.items() if name not in ("naive", "engine")]
    return {
        **{f"{name}, ms an edit": 1000 * value for name, value in each.items()},
        "edit_vs_naive": each["naive"] / each["engine"],
        "edit_vs_best_peer": min(peers) / each["engine"],
        "share_of_limit": needed / product_rate(case) / taken["engine"],
        "extract_vs_naive": taken["extract naive"] / taken["extract engine"],
    }


@torch.no_grad()
def growth(rounds: int) -> list[dict[str, float]]:
    """Milliseconds of the engine against the number of edits, image tokens and blocks."""
    from dataclasses import replace

    found = []

    def add(what: str, value: int, case: Case, edits: int) -> None:
        taken = side_by_side({"engine": lambda: engine(case, edits)}, case.vlm.device, rounds)
        clean = CleanRun(case.vlm, [case.prompt], case.position, [depth_of(case.site)])
        rows = [[(Edit(case.site, (case.position,), v),) for v in case.vectors[:edits]]]
        alone = side_by_side({"rows": lambda: clean.run(rows)}, case.vlm.device, rounds)
        found.append(
            {
                "grows": what,
                "value": value,
                "ms an edit": 1000 * taken["engine"] / edits,
                "ms an edit, clean pass apart": 1000 * alone["rows"] / edits,
            }
        )

    case = random_llava(LARGE, 256)
    for edits in (1, 4, 16, 64, 256):
        add("edits", edits, case, edits)
    for pixels in (168, 252, 336, 448):
        shape = replace(LARGE, image_pixels=pixels)
        add("image tokens", shape.grid**2, random_llava(shape), EDITS)
    for layers in (4, 8, 12):
        add("blocks", layers, random_llava(replace(LARGE, layers=layers)), EDITS)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cases = {
        "tiny-llava": make_case(load_vlm("tiny-llava")),
        "576 image tokens": random_llava(LARGE),
    }
    tables = {name: measure(case, arguments.rounds) for name, case in cases.items()}
    grown = growth(max(3, arguments.rounds // 2))
    print(pd.DataFrame(tables).round(3).to_string())
    print(pd.DataFrame(grown).round(3).to_string(index=False))
    large = tables["576 image tokens"]
    heads = ("edit_vs_naive", "edit_vs_best_peer", "share_of_limit", "extract_vs_naive")
    result = {name: round(large[name], 3) for name in heads} | {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "shapes": {
            name: {
                "tokens": len(case.prompt),
                "suffix": len(case.prompt) - case.position,
                "blocks": case.vlm.n_layers,
                "d_model": case.vlm.d_model,
                "block": case.layer,
                "edits": EDITS,
            }
            for name, case in cases.items()
        },
        "medians": tables,
        "growth": grown,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1))
    print(f"written to {OUT}")


if __name__ == "__main__":
    main()
