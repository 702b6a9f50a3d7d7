"""Time the exact fast passes against the ways that people use today, side by side in one run.

    python -m benchmarks.engine

Every way computes the same logits (checked before anything is timed) for a batch of steering edits
at a middle block. Figures are medians over rounds in which all ways take turns. The table goes to
the screen and to ``_build/benchmarks/engine.json``. On a machine with CUDA, LLaVA-1.5-7B's shape
is timed as well, with random weights in half precision.
"""

import argparse
import gc
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from benchmarks import ways
from benchmarks.cases import EDITS, LARGE, QUESTIONS, Case, llava_7b, picture, random_llava
from benchmarks.cases import make_case as case_of
from helpers import load_vlm, read_states
from helpers.engine import CleanRun, depth_of
from helpers.training.build import Shape

OUT = Path(__file__).resolve().parent.parent / "_build" / "benchmarks" / "engine.json"
#: The case whose ratios stand at the top of the file.
HEAD = "576 image tokens"
#: Largest difference from the naive logits, as a share of the largest of these.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 3e-2, torch.bfloat16: 1e-1}
#: Bytes of GPU memory that LLaVA-1.5-7B and its passes need.
NEED_7B = 20 * 2**30


# Timing -----------------------------------------------------------------------------------------


def seconds(function: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def side_by_side(
    calls: dict[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, float]:
    """Median seconds of each call; in every round all take a turn.

    From three rounds on, the median leaves out a slow first turn.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in tqdm(range(rounds), desc="rounds", leave=False):
        for name, call in calls.items():
            taken[name].append(seconds(call, device))
    return {name: statistics.median(times) for name, times in taken.items()}


# The limit --------------------------------------------------------------------------------------


def product_rate(case: Case) -> float:
    """Floating-point operations a second of a large matrix product, the best of several."""
    size = 8192 if case.vlm.device.type == "cuda" else 1536
    one = torch.randn(size, size, device=case.vlm.device, dtype=case.vlm.dtype)
    best = min(seconds(lambda: one @ one, case.vlm.device) for _ in range(8))
    return 2 * size**3 / best


def edit_operations(case: Case, edits: int) -> float:
    """What edits need by definition.

    Their tokens in the blocks above, attention among it; in the last block keys and values of all
    of these tokens, and the rest for the last token alone; one row of logits.
    """
    config = case.vlm.model.config.get_text_config()
    width, length = config.hidden_size, len(case.prompt)
    head = getattr(config, "head_dim", None) or width // config.num_attention_heads
    tokens, blocks = length - case.position, case.vlm.n_layers - depth_of(case.site)
    keys = 2 * width * config.num_key_value_heads * head
    rest = 2 * width * config.num_attention_heads * head + 3 * width * config.intermediate_size
    attention = 4 * config.num_attention_heads * head
    seen = sum(range(case.position + 1, length + 1))
    whole = (blocks - 1) * (2 * tokens * (keys + rest) + attention * seen)
    last = 2 * (tokens * keys + rest) + attention * length
    return edits * (whole + last + 2 * width * config.vocab_size)


def clean_operations(case: Case) -> float:
    """Matrix products of the clean pass, counted (attention in the fused kernel is not)."""
    with FlopCounterMode(display=False) as counter:
        CleanRun(case.vlm, [case.prompt], case.position, [depth_of(case.site)])
    return counter.get_total_flops()


# Extraction: states at two nouns up to a middle block, of several questions about each image ------


def _asked(case: Case, questions: list[str], images: int) -> tuple[list, list[list[int]]]:
    prompts = [p for n in range(images) for p in case.vlm.prompt(picture(n), questions)]
    return prompts, [[p.word("frog")[-1], p.word("teapot")[-1]] for p in prompts]


def extract_naive(case: Case, prompts: list, where: list[list[int]]) -> torch.Tensor:
    """One prompt at a time, all blocks, all hidden states kept."""
    found = []
    for prompt, positions in zip(prompts, where, strict=True):
        output = case.vlm.model(**case.vlm.batch(prompt), output_hidden_states=True)
        found.append(output.hidden_states[case.layer + 1][0, positions])
    return torch.stack(found).float().cpu()


def extract_engine(case: Case, prompts: list, where: list[list[int]]) -> torch.Tensor:
    return read_states(case.vlm, prompts, where, [case.site], batch_size=8)[0]


# The tables -------------------------------------------------------------------------------------


def check_equal(case: Case, name: str, found: torch.Tensor, expected: torch.Tensor) -> None:
    """Raise a RuntimeError where a way gives other numbers than the naive one."""
    error = float((found.float() - expected.float()).abs().max() / expected.float().abs().max())
    if not error <= TOLERANCE[case.vlm.dtype]:
        raise RuntimeError(f"{name} gives other numbers than the naive way: {error:.1e}")


@torch.no_grad()
def measure(case: Case, rounds: int, bridge: bool = True) -> dict[str, float]:
    """Milliseconds for each edit and each extracted prompt by each way, and the ratios."""
    count = len(case.vectors)
    clean = CleanRun(case.vlm, [case.prompt], case.position, [depth_of(case.site)])
    peers = {n: way for n, way in ways.peers().items() if bridge or way is not ways.with_bridge}
    every = {
        **peers,
        "engine": ways.engine,
        "engine, clean pass kept": lambda case, edits: ways.engine_rows(case, edits, clean),
    }
    edits_of = {name: case.batch if name in peers else count for name in every}
    expected = ways.naive(case, 2)
    calls = {"naive": lambda: ways.naive(case, 1)}
    for name, way in every.items():
        check_equal(case, name, way(case, 2), expected)
        # A batch tells what a peer takes for each edit, and keeps the rounds short.
        calls[name] = lambda way=way, n=edits_of[name]: way(case, n)
    extracted = {"several": _asked(case, QUESTIONS, 2), "one": _asked(case, QUESTIONS[:1], 4)}
    for kind, (prompts, where) in extracted.items():
        right = extract_naive(case, prompts, where)
        check_equal(case, "extraction", extract_engine(case, prompts, where), right)
        calls[f"extract naive, {kind}"] = lambda a=prompts, b=where: extract_naive(case, a, b)
        calls[f"extract, {kind}"] = lambda a=prompts, b=where: extract_engine(case, a, b)
    taken = side_by_side(calls, case.vlm.device, rounds)
    each = {name: taken[name] / edits_of[name] for name in every} | {"naive": taken["naive"]}
    ratio = {
        kind: taken[f"extract naive, {kind}"] / taken[f"extract, {kind}"] for kind in extracted
    }
    operations = edit_operations(case, count) + clean_operations(case)
    return {
        **{f"{name}, ms an edit": 1000 * each[name] for name in ("naive", *every)},
        "edit_vs_naive": each["naive"] / each["engine"],
        "edit_vs_naive, clean pass kept": each["naive"] / each["engine, clean pass kept"],
        "edit_vs_best_peer": min(each[name] for name in peers) / each["engine"],
        "share_of_limit": operations / product_rate(case) / taken["engine"],
        "extract_vs_naive": ratio["several"],
        "extract_vs_naive, one question an image": ratio["one"],
    }


@torch.no_grad()
def growth(rounds: int, shape: Shape = LARGE, edits: int = EDITS) -> list[dict[str, float]]:
    """Milliseconds of the engine against the number of edits, image tokens and blocks."""
    found = []

    def add(what: str, value: int, case: Case, edits: int) -> None:
        clean = CleanRun(case.vlm, [case.prompt], case.position, [depth_of(case.site)])
        calls = {
            "ms an edit": lambda: ways.engine(case, edits),
            "ms an edit, clean pass kept": lambda: ways.engine_rows(case, edits, clean),
        }
        taken = side_by_side(calls, case.vlm.device, rounds)
        each = {name: 1000 * value / edits for name, value in taken.items()}
        found.append({"grows": what, "value": value, **each})

    case = random_llava(shape, 4 * edits)
    for count in (1, edits // 16, edits // 4, edits, 4 * edits):
        add("edits", count, case, count)
    for part in (0.5, 0.75, 1, 4 / 3):
        wider = replace(shape, image_pixels=round(shape.grid * part) * shape.patch_pixels)
        add("image tokens", wider.grid**2, random_llava(wider, edits), edits)
    for part in (0.5, 1, 1.5):
        deeper = replace(shape, layers=round(shape.layers * part))
        add("blocks", deeper.layers, random_llava(deeper, edits), edits)
    return found


def measure_7b(rounds: int) -> tuple[dict[str, float], dict] | None:
    """LLaVA-1.5-7B's shape on the GPU, or None and a line that says why not."""
    if not torch.cuda.is_available():
        print("LLaVA-1.5-7B's shape is timed on CUDA only; this machine has none.")
        return None
    gc.collect()
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    if free < NEED_7B:
        print(f"LLaVA-1.5-7B needs {NEED_7B:,} bytes of GPU memory; {free:,} are free.")
        return None
    case = llava_7b("cuda")
    # The bridge is a second copy of the weights.
    return measure(case, rounds, bridge=free > 2 * NEED_7B), case.sizes()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns that every way takes")
    parser.add_argument("--out", type=Path, default=OUT, help="where the table goes")
    parser.add_argument("--quick", action="store_true", help="a tiny shape: does it all run?")
    chosen = parser.parse_args(arguments)
    shape = Shape(layers=4, width=32, vision_layers=1, vision_width=32) if chosen.quick else LARGE
    edits = 16 if chosen.quick else EDITS
    cases = {"tiny-llava": case_of(load_vlm("tiny-llava"), edits), HEAD: random_llava(shape, edits)}
    tables = {name: measure(case, chosen.rounds) for name, case in cases.items()}
    sizes = {name: case.sizes() for name, case in cases.items()}
    grown = growth(min(3, chosen.rounds), shape, edits)
    on_gpu = None if chosen.quick else measure_7b(chosen.rounds)
    if on_gpu:
        tables["LLaVA-1.5-7B"], sizes["LLaVA-1.5-7B"] = on_gpu
    print(pd.DataFrame(tables).round(3).to_string())
    print(pd.DataFrame(grown).round(3).to_string(index=False))
    heads = ("edit_vs_naive", "edit_vs_best_peer", "share_of_limit", "extract_vs_naive")
    result = {name: round(tables[HEAD][name], 3) for name in heads} | {
        "machine": machine(),
        "quick": chosen.quick,
        "rounds": chosen.rounds,
        "shapes": sizes,
        "medians": tables,
        "growth": grown,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1))
    print(f"written to {chosen.out}")


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    found = {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


if __name__ == "__main__":
    main()
