"""Hooks, stimuli and statistics for looking inside vision-language models.

Names are imported when they are first used, so that ``import helpers`` is quick.
"""

import importlib
from typing import Any

_HOME = {
    "load_vlm": "loading",
    "models": "catalog",
    "shipped_models": "loading",
    "HookedVLM": "hooks",
    "HookPoint": "hooks",
    "Prompt": "prompts",
    "Video": "prompts",
    "to_bridge": "bridge",
    "bridge_inputs": "bridge",
    "SpatialIDs": "ids",
    "Axes": "ids",
    "TemporalIDs": "temporal",
    "Clip": "stimuli.clips",
    "clips": "stimuli.clip_sampling",
    "reverse": "stimuli.clips",
    "shuffle": "stimuli.clips",
    "freeze": "stimuli.clips",
    "Edit": "interventions",
    "Job": "interventions",
    "steer": "interventions",
    "swap": "interventions",
    "read_states": "reading",
    "sweep": "sweeps",
    "mirror_swap": "sweeps",
    "random_direction": "interventions",
    "random_in_subspace": "interventions",
    "with_norm_of": "interventions",
    "grid_scenes": "stimuli.sampling",
    "scenes": "stimuli.sampling",
    "Scene": "stimuli.scenes",
    "Placed": "stimuli.scenes",
    "mirror": "stimuli.scenes",
    "recolor": "stimuli.scenes",
}
_MODULES = ("geometry", "plots", "stats", "stimuli", "exercises")

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"helpers.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"helpers.{_HOME[name]}"), name)
    raise AttributeError(f"module 'helpers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
