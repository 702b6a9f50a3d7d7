"""Measure training runs that differ in what their scenes say about depth, one row for each::

    python -m helpers.training.depth runs/tiny-llava-tied* --out helpers/organisms/depth_seeds.csv

A run's folder is named after its recipe, with ``-seedN`` behind it unless the seed is the
recipe's own. Runs that the table already holds, with the same number of steps, are left alone.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from helpers import depth
from helpers.hooks import HookedVLM
from helpers.training.train import RECIPES, Run

KEYS = ["recipe", "seed", "steps"]
_NAME = re.compile(r"(tiny-llava-(?:tied|independent))(?:-seed(\d+))?")


def name_of(folder: Path) -> tuple[str, int]:
    """The recipe and the seed that a run's folder is named after.

    Raises:
        ValueError: if it is named otherwise.
    """
    found = _NAME.fullmatch(folder.name)
    if not found:
        raise ValueError(
            f"{folder.name!r} does not say what it is: name a run's folder tiny-llava-tied or "
            "tiny-llava-independent, or either with -seedN behind it"
        )
    recipe, seed = found.groups()
    return recipe, RECIPES[recipe].seed if seed is None else int(seed)


def load_run(folder: Path) -> tuple[HookedVLM, int]:
    """A run's model, and how many steps it was trained.

    Raises:
        FileNotFoundError: if the folder holds no checkpoint.
        ValueError: if its name does not say what it is.
    """
    recipe, seed = name_of(folder)
    if not (folder / "state.json").exists():
        raise FileNotFoundError(f"no checkpoint in {folder}: state.json is missing")
    run = Run(replace(RECIPES[recipe], seed=seed), folder, "cpu")
    run.model.set_attn_implementation("sdpa")
    return HookedVLM(run.model.eval(), run.processor), run.state.step


def row_of(vlm: HookedVLM, count: int) -> dict[str, float]:
    """The numbers of :meth:`helpers.depth.Measured.numbers`, each with its interval's ends."""
    row = {}
    for name, interval in depth.measure(vlm, count).numbers().items():
        row |= {
            name: round(interval.estimate, 4),
            f"{name} (low)": round(interval.low, 4),
            f"{name} (high)": round(interval.high, 4),
        }
    return row


def add_rows(folders: Sequence[Path], out: Path, count: int = 500) -> pd.DataFrame:
    """Measure the runs that the table does not hold, and write it after each.

    Args:
        folders: of training runs.
        out: the table, a CSV file; it need not exist.
        count: held-out scenes of each trial.

    Returns:
        The whole table.
    """
    table = pd.read_csv(out) if out.exists() else pd.DataFrame(columns=KEYS)
    for folder in folders:
        recipe, seed = name_of(folder)
        vlm, steps = load_run(folder)
        if (table[KEYS] == [recipe, seed, steps]).all(axis=1).any():
            print(f"{folder.name}, {steps} steps: is in {out} already")
            continue
        row = {"recipe": recipe, "seed": seed, "steps": steps, "scenes": count}
        # A run that went on since it was measured has one row, the newer.
        older = (table["recipe"] == recipe) & (table["seed"] == seed)
        rows = [*table[~older].to_dict("records"), row | row_of(vlm, count)]
        table = pd.DataFrame(rows).sort_values(["recipe", "seed"], ignore_index=True)
        table.to_csv(out.with_suffix(".part"), index=False)
        out.with_suffix(".part").replace(out)
        print(f"{folder.name}, {steps} steps: measured", flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of training runs")
    parser.add_argument("--out", type=Path, required=True, help="the table, a CSV file")
    parser.add_argument("--scenes", type=int, default=500, help="held-out scenes of a trial")
    arguments = parser.parse_args()
    add_rows(arguments.runs, arguments.out, arguments.scenes)


if __name__ == "__main__":
    main()
