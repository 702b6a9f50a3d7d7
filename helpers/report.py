"""A chapter's first lines, and its numbers: the text shows what the run measured."""

import os
import platform
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from helpers import plots
from helpers.hooks import HookedVLM
from helpers.loading import load_vlm, shipped_models, will_it_fit
from helpers.results import Results
from helpers.stats import Interval

#: The results of the chapter that runs, if it keeps any.
_results: Results | None = None


def open_models(
    *names: str, small: bool = False, seed: int = 0, chapter: str | None = None
) -> dict[str, HookedVLM]:
    """Begin a chapter: set the style of figures and the seed, load the models, say what runs.

    Before a large model is loaded, a line says whether it will fit.

    Args:
        names: what :func:`helpers.loading.load_vlm` takes; empty ones are left out.
        small: whether the chapter runs with fewer images (only printed).
        seed: for torch.
        chapter: the notebook's name. With it, the run's numbers go to ``results/MODEL/CHAPTER``
            (or, in place of ``results``, the folder that HELPERS_RESULTS names).

    Returns:
        The models by the last part of their names.

    Raises:
        ValueError: if two names end alike.
    """
    global _results
    plots.use_style()
    torch.manual_seed(seed)
    names = tuple(name for name in names if name)
    short = [Path(name).name for name in names]
    if len(set(short)) < len(short):
        raise ValueError(f"two models are called alike, {short}: results could not be told apart")
    for name in names:
        if name not in shipped_models():
            print(will_it_fit(name))
    opened = {key: load_vlm(name) for key, name in zip(short, names, strict=True)}
    versions = f"Python {platform.python_version()} · torch {torch.__version__}"
    versions += f" · transformers {transformers.__version__}"
    print(f"{versions} · seed {seed}{' · SMALL: fewer images' if small else ''}")
    for key, vlm in opened.items():
        print(f"{key} on {vlm.device}: {vlm.n_layers} blocks, d_model {vlm.d_model}")
    _results = None
    if chapter:
        folder = Path(os.environ.get("HELPERS_RESULTS", "results"))
        folder = folder / (short[0] if short else "no model") / chapter
        _results = Results(folder, chapter, opened, seed, small)
    return opened


class Told(str):
    """Text that remembers the interval it was made from."""

    interval: Interval

    def __new__(cls, text: str, interval: Interval) -> "Told":
        told = super().__new__(cls, text)
        told.interval = interval
        return told


def glue(name: str, value: Any, digits: int = 2) -> None:
    """Give a value a name that the chapter's text can show, and keep it among the results.

    Intervals become "0.93 [0.90, 0.95]", floats are rounded, and no zero has a minus. Outside the
    book's own kernel (no myst-nb) the value is printed.
    """
    if isinstance(value, Interval):
        ends = f"[{value.low:z.{digits}f}, {value.high:z.{digits}f}]"
        text = f"{value.estimate:z.{digits}f} {ends}"
    elif isinstance(value, float):
        text = f"{value:z.{digits}f}"
    else:
        text = str(value)
    if _results:
        _results.number(name, value.interval if isinstance(value, Told) else value)
    try:
        from myst_nb import glue as myst_glue
    except ImportError:
        print(f"{name}: {text}")
    else:
        myst_glue(name, text, display=False)


def keep(name: str, table: pd.DataFrame) -> None:
    """Keep a table among the chapter's results, if it keeps any."""
    if _results:
        _results.table(name, table)


def percent(interval: Interval) -> Told:
    """Write a share with its interval in percent: "93 % [90, 95]"."""
    ends = f"[{100 * interval.low:z.0f}, {100 * interval.high:z.0f}]"
    return Told(f"{100 * interval.estimate:z.0f} % {ends}", interval)
