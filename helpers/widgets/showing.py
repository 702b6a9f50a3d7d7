"""Show a widget in the way that whoever reads it can use."""

import os
from importlib.util import find_spec
from typing import Any

#: Set by what runs notebooks for pages (tools/notebooks.py): nobody will be there to move things.
FOR_A_PAGE = "HELPERS_FOR_A_PAGE"


def is_live() -> bool:
    """Whether a person runs this notebook, and the packages for a live widget are there."""
    if os.environ.get(FOR_A_PAGE):
        return False
    return all(find_spec(name) is not None for name in ("ipywidgets", "anywidget"))


def show(widget: Any) -> Any:
    """The live widget where a person runs the notebook; on a page, sliders that need no kernel.

    ``widget.view()`` and ``widget.page()`` give either, whoever runs it.
    """
    return widget.view() if is_live() else widget.page()
