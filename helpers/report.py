"""A chapter's first lines, and its numbers: the text shows what the run measured."""

import platform
from pathlib import Path
from typing import Any

import torch
import transformers

from helpers import plots
from helpers.hooks import HookedVLM
from helpers.loading import load_vlm
from helpers.stats import Interval


def open_models(*names: str, small: bool = False, seed: int = 0) -> dict[str, HookedVLM]:
    """Begin a chapter: set the style of figures and the seed, load the models, say what runs.

    Args:
        names: what :func:`helpers.load_vlm` takes; empty ones are left out.
        small: whether the chapter runs with fewer images (only printed).
        seed: for torch.

    Returns:
        The models by the last part of their names.

    Raises:
        ValueError: if two names end alike.
    """
    plots.use_style()
    torch.manual_seed(seed)
    names = tuple(name for name in names if name)
    short = [Path(name).name for name in names]
    if len(set(short)) < len(short):
        raise ValueError(f"two models are called alike, {short}: results could not be told apart")
    opened = {key: load_vlm(name) for key, name in zip(short, names, strict=True)}
    versions = f"Python {platform.python_version()} · torch {torch.__version__}"
    versions += f" · transformers {transformers.__version__}"
    print(f"{versions} · seed {seed}{' · SMALL: fewer images' if small else ''}")
    for key, vlm in opened.items():
        print(f"{key} on {vlm.device}: {vlm.n_layers} blocks, d_model {vlm.d_model}")
    return opened


def glue(name: str, value: Any, digits: int = 2) -> None:
    """Give a value a name that the chapter's text can show.

    Intervals become "0.93 [0.90, 0.95]", floats are rounded. Outside the book's own kernel (no
    myst-nb) the value is printed.
    """
    if isinstance(value, Interval):
        text = f"{value.estimate:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    elif isinstance(value, float):
        text = f"{value:.{digits}f}"
    else:
        text = str(value)
    try:
        from myst_nb import glue as myst_glue
    except ImportError:
        print(f"{name}: {text}")
    else:
        myst_glue(name, text, display=False)


def percent(interval: Interval) -> str:
    """Write a share with its interval in percent: "93 % [90, 95]"."""
    return f"{100 * interval.estimate:.0f} % [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"
