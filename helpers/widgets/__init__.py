"""Things to play with: pictures and numbers that follow your hand, live or without a kernel::

    play = Playground(vlm, extract_ids(vlm, ["left_right", "above_below"]), ("frog", "camel"))
    play.see(Push({"frog": (1, 3)}, block=2, dose=1.0))     # numbers, without any front end
    show(play)                                              # live, or as a page can show it

Each widget is a class that knows nothing of a front end: state in, numbers and pictures out. It
keeps what the engine needs of its picture, so that a move runs a few tokens and not the prompt.
``widget.view()`` makes the live widget of it (with ipywidgets and anywidget), ``widget.page()`` the
version for a page, which needs no kernel and no network.
"""

import importlib
from typing import Any

_HOME = {
    "Playground": "playground",
    "Push": "playground",
    "LayerViewer": "layers",
    "AttentionViewer": "attention",
    "VideoScrubber": "scrubber",
    "Tell": "scrubber",
    "show": "showing",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"helpers.widgets.{_HOME[name]}"), name)
    raise AttributeError(f"module 'helpers.widgets' has no attribute {name!r}")
