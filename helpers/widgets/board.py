"""A board whose pieces can be dragged: with a mouse, a finger, a pen, or the arrow keys.

It is an `anywidget <https://anywidget.dev>`_: one file of script for Jupyter Notebook, JupyterLab,
VS Code and Colab alike. ipywidgets alone has no element that can be dragged, and ipyevents does not
run in Colab.
"""

from pathlib import Path

import anywidget
import traitlets


class Board(anywidget.AnyWidget):
    """Pieces in the cells of a grid.

    Attributes:
        rows: of the grid.
        columns: of the grid.
        pieces: each a dict: ``name``, ``row``, ``column``, ``image`` (an address), ``color``, and
            whether it is a ``ghost``.
        labels: a short text for each cell, row by row; none by default.
        ghostly: whether what is dragged is only a thought: it is shown see-through.
        label: what the board is, for those who do not see it.
        move: what was dropped last: ``name``, ``row``, ``column``, and ``turn``, which counts.
    """

    _esm = Path(__file__).with_name("board.js")

    rows = traitlets.Int(4).tag(sync=True)
    columns = traitlets.Int(4).tag(sync=True)
    pieces = traitlets.List(traitlets.Dict()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    ghostly = traitlets.Bool(True).tag(sync=True)
    label = traitlets.Unicode("board").tag(sync=True)
    move = traitlets.Dict().tag(sync=True)
