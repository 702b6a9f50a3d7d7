"""What a run leaves behind: one small folder, with all that is needed to compare it with others:

.. code-block:: text

    results/MODEL/CHAPTER/manifest.json   models and revisions, versions, seed, hardware
    results/MODEL/CHAPTER/numbers.json    every number of the text, with its interval
    results/MODEL/CHAPTER/*.parquet       tables

Chapters write it by themselves (:func:`helpers.report.open_models` begins it, ``glue`` and ``keep``
fill it). A reader who ran the book on another model can send in the folder ``results/MODEL``.
"""

import json
import math
import numbers
import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from helpers.hooks import HookedVLM
from helpers.stats import Interval

_MANIFEST, _NUMBERS = "manifest.json", "numbers.json"


class Results:
    """The folder of one chapter, run on one model.

    Attributes:
        folder: where it is.
        manifest: what ran, and on what.
    """

    def __init__(
        self, folder: Path, chapter: str, models: Mapping[str, HookedVLM], seed: int, small: bool
    ) -> None:
        """Begin anew: what an earlier run left in the folder is removed."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in [*self.folder.glob("*.json"), *self.folder.glob("*.parquet")]:
            path.unlink()
        self.manifest = {
            "chapter": chapter,
            "seed": seed,
            "small": small,
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "models": {name: about_model(vlm) for name, vlm in models.items()},
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "hardware": hardware(),
        }
        self._models, self._begun = dict(models), time.perf_counter()
        self._numbers: dict[str, dict[str, Any]] = {}
        self._note_work()

    def number(self, name: str, value: Any) -> None:
        """Note a number of the text: an interval with its ends and samples, or a plain value."""
        if isinstance(value, Interval):
            fields = {"value": value.estimate, "low": value.low, "high": value.high, "n": value.n}
        else:
            fields = {"value": value}
        self._numbers[name] = {key: _plain(part) for key, part in fields.items()}
        self._write(_NUMBERS, self._numbers)
        self._note_work()

    def table(self, name: str, table: pd.DataFrame) -> Path:
        """Keep a table as Parquet."""
        path = self.folder / f"{name}.parquet"
        table.to_parquet(path, index=False)
        return path

    def _note_work(self) -> None:
        """Bring the manifest up to now: seconds, and what the models ran."""
        self.manifest["seconds"] = round(time.perf_counter() - self._begun, 1)
        self.manifest["work"] = {name: dict(vlm.work) for name, vlm in self._models.items()}
        self._write(_MANIFEST, self.manifest)

    def _write(self, name: str, content: dict) -> None:
        # Two runs of a chapter may write at the same time: each has a part of its own.
        path = self.folder / name
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
        part.replace(path)


def _plain(value: Any) -> int | float | str | None:
    """A value as JSON has it: numpy's numbers become Python's, what is not a number nothing."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return str(value)


def about_model(vlm: HookedVLM) -> dict[str, Any]:
    """What tells one model from another."""
    config = vlm.model.config
    return {
        "source": Path(str(config._name_or_path)).name
        if Path(str(config._name_or_path)).is_dir()
        else str(config._name_or_path),
        "revision": getattr(config, "_commit_hash", None),
        "family": vlm.family.name,
        "blocks": vlm.n_layers,
        "d_model": vlm.d_model,
        "parameters": sum(parameter.numel() for parameter in vlm.model.parameters()),
        "dtype": str(vlm.dtype),
        "device": str(vlm.device),
    }


def hardware() -> dict[str, Any]:
    """What a run's speed depends on."""
    import psutil

    found = {
        "system": platform.system(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def read_results(folder: str | Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read what a chapter's run left.

    Returns:
        The manifest, and a table with a row for each number: ``name``, ``value``, and where it is
        an interval ``low``, ``high`` and ``n``.

    Raises:
        FileNotFoundError: if the folder holds no results.
        ValueError: if they are damaged.
    """
    folder = Path(folder)
    missing = [name for name in (_MANIFEST, _NUMBERS) if not (folder / name).exists()]
    if missing:
        raise FileNotFoundError(f"{folder} holds no results: {', '.join(missing)} missing")
    try:
        manifest, noted = (
            json.loads((folder / name).read_text(encoding="utf-8"))
            for name in (_MANIFEST, _NUMBERS)
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"the results in {folder} are damaged: {error}") from error
    columns = ["name", "value", "low", "high", "n"]
    table = pd.DataFrame([{"name": name, **fields} for name, fields in noted.items()])
    return manifest, table.reindex(columns=columns)
