"""Time the moves of the widgets, with the clean pass kept and with a full pass for every move.

    python -m benchmarks.widgets

A move is timed as a hand makes it: a control of the live widget gets a new value, and the time ends
when the new picture is ready to be sent to the browser. Both ways take turns in one run. The table
goes to the screen and to ``_build/benchmarks/widgets.json``.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.engine import machine
from helpers import clip_trials, load_vlm, trials
from helpers.interventions import as_hooks
from helpers.widgets import AttentionViewer, LayerViewer, Playground, VideoScrubber
from helpers.widgets.kept import KeptRun
from helpers.widgets.views import IN_FILM, IN_PICTURE, View

OUT = Path(__file__).resolve().parent.parent / "_build" / "benchmarks" / "widgets.json"
#: A move that takes longer feels slow, in milliseconds.
LIMIT = 150

#: From a turn's number to what is done in it.
Move = Callable[[int], Any]


class FullRun(KeptRun):
    """The same answers from a full pass, with hooks, for every move."""

    def beliefs(self, rows):
        rows = [tuple(row) for row in rows]
        prompts = [self.prompt] * len(rows)
        return self.vlm.beliefs(prompts, self.answers, fwd_hooks=as_hooks(rows))


def in_full(widget: Playground | VideoScrubber) -> None:
    """Let a widget run in full from now on."""
    kept = widget.kept
    widget.kept = FullRun(kept.vlm, kept.prompt, widget.names, kept.answers)


# Moves ------------------------------------------------------------------------------------------


def sets(control: Any, values: list) -> Move:
    """Give a control one value after the other."""

    def move(turn: int) -> None:
        control.value = values[turn % len(values)]

    return move


def drops(board: Any, name: str, cells: list[tuple[int, int]]) -> Move:
    """Drop a piece in one cell after the other."""
    count = itertools.count(1)

    def move(turn: int) -> None:
        row, column = cells[turn % len(cells)]
        board.move = {"name": name, "row": row, "column": column, "turn": next(count)}

    return move


def steering(view: View, name: str, cells: list[tuple[int, int]]) -> dict[str, Move]:
    """The moves that change no picture, once a word has been told something."""
    tell = drops(view.controls["board"], name, cells)
    tell(0)
    return {
        "dose": sets(view.controls["dose"], [0.5, 1.0, 1.5, 2.0]),
        "block": sets(view.controls["block"], [0, 1, 2, 3]),
        "what a word is told": tell,
    }


def walks(view: View, scrubber: VideoScrubber) -> Move:
    """Let the two objects appear in other frames in turn, so that no film comes again soon."""
    boards = [
        drops(view.controls["board"], name, [divmod(frame, 4) for frame in frames])
        for name, frames in zip(scrubber.names, ((1, 3, 5), (0, 2, 4, 6, 7)), strict=True)
    ]
    return lambda turn: boards[turn % 2](turn // 2)


def moves(pairs: int) -> Iterator[tuple[str, str, Move, Move | None]]:
    """(widget, what moves, the move, the same with a full pass or None if it has one anyway)."""
    vlm, video = load_vlm("tiny-llava"), load_vlm("tiny-video")
    ids = trials.extract_ids(vlm, ["left_right", "above_below"], pairs, 1)
    times = clip_trials.extract_temporal_ids(video, pairs, 1)

    def playground() -> Playground:
        return Playground(vlm, ids, ("frog", "camel"), ((1, 0), (2, 2)))

    def scrubber() -> VideoScrubber:
        return VideoScrubber(video, times, ("camel", "frog"))

    cells, frames = [(1, 3), (0, 1), (3, 3), (2, 1)], [(1, 3), (0, 3), (1, 2), (0, 2)]
    for widget, make, name, where in (
        ("playground", playground, "frog", cells),
        ("scrubber", scrubber, "camel", frames),
    ):
        quick, slow = make(), make()
        in_full(slow)
        each = [steering(one.view(), name, where) for one in (quick, slow)]
        for what, move in each[0].items():
            yield widget, what, move, each[1][what]
    view = playground().view()
    yield "playground", "question", sets(view.controls["kind"], ["above_below", "left_right"]), None
    view.controls["hand"].value = IN_PICTURE
    yield "playground", "object in the picture", drops(view.controls["board"], "frog", cells), None
    film = scrubber()
    view = film.view()
    view.controls["hand"].value = IN_FILM
    yield "scrubber", "object in the film", walks(view, film), None
    yield "scrubber", "shown up to", sets(scrubber().view().controls["frame"], [0, 3, 5, 7]), None
    yield from viewers(playground())


def viewers(play: Playground) -> Iterator[tuple[str, str, Move, Move]]:
    """The moves of the two viewers, which read what one pass has left."""
    image, vlm = play.scene.render(), play.vlm

    def layers() -> LayerViewer:
        return LayerViewer(vlm, play.scene, play.question, play.names)

    def attention() -> AttentionViewer:
        return AttentionViewer(vlm, image, play.question, play.names)

    def anew(make: Callable[[], Any], values: Callable[[int], tuple]) -> Move:
        return lambda turn: make().frame(*values(turn)).markup()

    depth, block = layers().view().controls["depth"], attention().view().controls["block"]
    quantity, word = "what its picture changes", play.names[0]
    full = anew(layers, lambda turn: (quantity, word, turn % 4))
    yield "layers", "blocks passed", sets(depth, [1, 2, 3, 4]), full
    full = anew(attention, lambda turn: (word, turn % 4))
    yield "attention", "block", sets(block, [1, 2, 3, 4]), full


# Timing -----------------------------------------------------------------------------------------


def milliseconds(move: Move, turn: int) -> float:
    began = time.perf_counter()
    move(turn)
    return 1000 * (time.perf_counter() - began)


def measure(quick: Move, full: Move | None, turns: int) -> dict[str, float | None]:
    """Median and 95th percentile of both ways, which take turns; the first turn does not count."""
    taken = [
        (milliseconds(quick, turn), milliseconds(full, turn) if full else np.nan)
        for turn in range(turns + 1)
    ][1:]
    kept, whole = np.array(taken).T
    found = {"median": np.median(kept), "p95": np.percentile(kept, 95)}
    if full:
        found |= {"full_median": np.median(whole), "ratio": np.median(whole) / np.median(kept)}
    return {name: round(float(value), 3) for name, value in found.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=40, help="how often every move is made")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of objects for the IDs")
    parser.add_argument("--out", type=Path, default=OUT, help="where the table goes")
    chosen = parser.parse_args(arguments)
    rows = [
        {"widget": widget, "move": what, **measure(quick, full, chosen.turns)}
        for widget, what, quick, full in moves(chosen.pairs)
    ]
    print(pd.DataFrame(rows).to_string(index=False))
    slowest = max(rows, key=lambda row: row["p95"])
    result = {
        "limit": LIMIT,
        "slowest": slowest["p95"],
        "slowest_move": f"{slowest['widget']}: {slowest['move']}",
        "within_limit": slowest["p95"] <= LIMIT,
        "machine": machine(),
        "turns": chosen.turns,
        "moves": rows,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1))
    print(f"slowest (95th percentile): {slowest['p95']} ms; written to {chosen.out}")


if __name__ == "__main__":
    main()
