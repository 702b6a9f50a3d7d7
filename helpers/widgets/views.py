"""Live widgets: controls and a place for pictures around the classes that do the work.

Each function returns an ipywidgets box. What can be moved is in its attribute ``controls``, by
name, so that a program can move it too; ``controls["shown"].value`` is what is seen.
"""

from collections.abc import Callable
from typing import Any

import ipywidgets

from helpers.stimuli.split import GRID
from helpers.widgets.attention import AttentionViewer
from helpers.widgets.board import Board
from helpers.widgets.drawing import WORD_COLORS, sprite_uri
from helpers.widgets.layers import QUANTITIES, LayerViewer
from helpers.widgets.playground import Playground, Push
from helpers.widgets.scrubber import Tell, VideoScrubber

_STYLE = {"style": {"description_width": "7rem"}, "layout": {"width": "22rem"}}


class View(ipywidgets.VBox):
    """Controls above what they show."""

    def __init__(self, controls: dict[str, Any], rows: list) -> None:
        super().__init__(rows)
        self.controls = controls


def _box(*parts: Any) -> ipywidgets.Box:
    """Parts side by side where there is room, else one below the other."""
    layout = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start"}
    return ipywidgets.Box(parts, layout=layout)


def _slider(name: str, stops: int, value: int = 0) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(value, 0, stops - 1, description=name, **_STYLE)


def _dose() -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(1.0, min=0.0, max=3.0, step=0.25, description="dose", **_STYLE)


def _choice(name: str, options: Any) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, description=name, **_STYLE)


def _follow(controls: dict[str, Any], names: tuple[str, ...], draw: Callable[..., None]) -> None:
    """Draw now, and whenever one of these controls is moved."""
    for name in names:
        controls[name].observe(draw, "value")
    draw()


def _tried(action: Callable[..., None], *arguments: Any) -> str:
    """Do what a hand asked for; if it cannot be done, say why."""
    try:
        action(*arguments)
    except ValueError as error:
        return str(error)
    return ""


def _hands(options: tuple[str, str]) -> ipywidgets.ToggleButtons:
    style = {"button_width": "auto"}
    return ipywidgets.ToggleButtons(options=options, description="", style=style)


# The playground ---------------------------------------------------------------------------------

IN_MIND, IN_PICTURE = "what a word is told", "the object in the picture"


def playground_view(play: Playground) -> View:
    """The steering playground: drag on the board, choose question, block and dose."""
    targets: dict[str, tuple[int, int]] = {}
    controls: dict[str, Any] = {
        "hand": _hands((IN_MIND, IN_PICTURE)),
        "board": Board(rows=GRID, columns=GRID, label="the picture: drag an object to a cell"),
        "kind": _choice("question", [(kind.replace("_", "/"), kind) for kind in play.ids]),
        "block": _slider("after block", play.vlm.n_layers, play.strongest(play.names[0])),
        "dose": _dose(),
        "reset": ipywidgets.Button(description="Tell nothing"),
        "message": ipywidgets.HTML(),
        "shown": ipywidgets.HTML(layout={"flex": "1 1 20rem"}),
    }
    controls["kind"].value = play.kind

    def draw(_: Any = None) -> None:
        push = Push(dict(targets), controls["block"].value, controls["dose"].value)
        frame = play.frame(play.see(push))
        controls["shown"].value = frame.markup(leave_out=("picture",))
        controls["board"].pieces = _pieces(play.names, play.places, targets)

    def dropped(change: Any) -> None:
        name, cell = change.new["name"], (change.new["row"], change.new["column"])
        if controls["hand"].value == IN_PICTURE:
            told = _tried(play.move, name, cell)
        else:
            told, targets[name] = "", cell
        controls["message"].value = told
        draw()

    def asked(change: Any) -> None:
        play.ask(change.new)
        draw()

    def reset(_: Any) -> None:
        targets.clear()
        draw()

    controls["board"].observe(dropped, "move")
    controls["kind"].observe(asked, "value")
    controls["reset"].on_click(reset)
    controls["hand"].observe(_ghostly(controls["board"], IN_MIND), "value")
    _follow(controls, ("block", "dose"), draw)
    names = ("kind", "block", "dose", "reset", "message")
    side = ipywidgets.VBox([controls[name] for name in names])
    label = ipywidgets.Label("Drag")
    top = ipywidgets.VBox([label, controls["hand"], controls["board"]], layout={"width": "20rem"})
    return View(controls, [_box(top, side), controls["shown"]])


def _ghostly(board: Board, in_mind: str) -> Callable[[Any], None]:
    def change(event: Any) -> None:
        board.ghostly = event.new == in_mind

    return change


def _pieces(names: tuple[str, str], places: dict, targets: dict) -> list[dict]:
    """Objects where they are, and ghosts where words were told that they are."""
    found = []
    for ghost, where in ((False, places), (True, targets)):
        for name, color in zip(names, WORD_COLORS, strict=True):
            if name in where and not (ghost and where[name] == places[name]):
                row, column = where[name]
                piece = {"name": name, "row": row, "column": column, "ghost": ghost}
                found.append(piece | {"image": sprite_uri(name), "color": color})
    return found


# The viewers ------------------------------------------------------------------------------------


def layers_view(viewer: LayerViewer) -> View:
    """The layer-by-patch viewer."""
    controls = {
        "quantity": _choice("shown", list(QUANTITIES)),
        "word": _choice("object", list(viewer.names)),
        "depth": _slider("blocks passed", len(viewer.depths)),
        "shown": ipywidgets.HTML(),
    }

    def draw(_: Any = None) -> None:
        names = ("quantity", "word", "depth")
        frame = viewer.frame(*(controls[name].value for name in names))
        controls["shown"].value = frame.markup()

    _follow(controls, ("quantity", "word", "depth"), draw)
    return View(controls, list(controls.values()))


def attention_view(viewer: AttentionViewer) -> View:
    """The attention viewer."""
    controls = {
        "query": _choice("from", list(viewer.names)),
        "block": _slider("block", viewer.vlm.n_layers),
        "shown": ipywidgets.HTML(),
    }

    def draw(_: Any = None) -> None:
        frame = viewer.frame(controls["query"].value, controls["block"].value)
        controls["shown"].value = frame.markup()

    _follow(controls, ("query", "block"), draw)
    return View(controls, list(controls.values()))


# The scrubber -----------------------------------------------------------------------------------

TOLD, IN_FILM = "what a word is told", "the object in the film"


def scrubber_view(scrubber: VideoScrubber) -> View:
    """The video scrubber: let the film play, drag objects or words to other frames."""
    told: dict[str, int] = {}
    columns = -(-scrubber.frames // 2)
    play = ipywidgets.Play(
        value=scrubber.shown, min=0, max=scrubber.frames - 1, interval=700, repeat=False
    )
    shown_up_to = _slider("shown up to", scrubber.frames, scrubber.shown)
    ipywidgets.jslink((play, "value"), (shown_up_to, "value"))
    labels = [f"frame {number}" for number in range(scrubber.frames)]
    board = Board(rows=2, columns=columns, labels=labels, label="the film: drag to a frame")
    controls: dict[str, Any] = {
        "hand": _hands((TOLD, IN_FILM)),
        "board": board,
        "frame": shown_up_to,
        "block": _slider(
            "after block", scrubber.vlm.n_layers, scrubber.strongest(scrubber.names[0])
        ),
        "dose": _dose(),
        "reset": ipywidgets.Button(description="Tell nothing"),
        "message": ipywidgets.HTML(),
        "shown": ipywidgets.HTML(layout={"flex": "1 1 20rem"}),
    }

    def draw(_: Any = None) -> None:
        tell = Tell(dict(told), controls["block"].value, controls["dose"].value)
        frame = scrubber.frame(scrubber.hear(tell))
        controls["shown"].value = frame.markup()
        times, ghosts = ({n: divmod(f, columns) for n, f in one.items()}
                         for one in (scrubber.times, told))  # fmt: skip
        board.pieces = _pieces(scrubber.names, times, ghosts)

    def dropped(change: Any) -> None:
        name, frame = change.new["name"], change.new["row"] * columns + change.new["column"]
        if controls["hand"].value == IN_FILM:
            said = _tried(scrubber.move, name, frame)
        else:
            said = _tried(scrubber.edits, Tell({name: frame}))
            told.update({} if said else {name: frame})
        controls["message"].value = said
        draw()

    def scrubbed(change: Any) -> None:
        scrubber.show(change.new)
        draw()

    def reset(_: Any) -> None:
        told.clear()
        draw()

    board.observe(dropped, "move")
    shown_up_to.observe(scrubbed, "value")
    controls["reset"].on_click(reset)
    controls["hand"].observe(_ghostly(board, TOLD), "value")
    _follow(controls, ("block", "dose"), draw)
    names = ("frame", "block", "dose", "reset", "message")
    side = ipywidgets.VBox([play, *(controls[name] for name in names)])
    label = ipywidgets.Label("Drag")
    top = ipywidgets.VBox([label, controls["hand"], board], layout={"width": "20rem"})
    return View(controls, [_box(top, side), controls["shown"]])
