"""Widgets on a page: every state is worked out beforehand, and sliders choose among them.

No kernel, no network, no library: the pictures are inside, and some lines of script put together
the state that is asked for. Without script the first state is shown.
"""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from helpers.plots import Html
from helpers.widgets.drawing import Frame

#: A widget on a page takes no more than this, in bytes.
LIMIT = 1_500_000

# Events of all sliders and lists arrive at the box that holds them.
_SCRIPT = """
const data = this.states ||= JSON.parse(this.querySelector('script').textContent);
let number = 0;
this.querySelectorAll('[data-axis]').forEach((control, axis) => {
  const stops = data.stops[axis], name = stops[control.value];
  number = number * stops.length + Number(control.value);
  if (control.type === 'range') {
    control.setAttribute('aria-valuetext', name);
    control.parentNode.querySelector('output').textContent = name;
  }
});
const state = data.states[number];
state.slice(1).forEach((panel, place) => {
  const box = this.querySelector(`[data-panel='${place}']`);
  box.innerHTML = data.panels[panel].map(part => data.parts[part]).join('');
});
this.querySelector('[data-told]').textContent = data.told[state[0]];
"""


def states(
    draw: Callable[[list[tuple]], Sequence[Frame]],
    axes: Mapping[str, Sequence[Any]],
    start: tuple,
    label: str,
) -> Html:
    """All states of a widget, with a slider (or a list, where the stops are words) for each axis.

    Args:
        draw: from the values of the axes, of all states at once, to the frames.
        axes: from the name of an axis to its stops.
        start: the values that show first.
        label: says what this is, for those who do not see it.

    Returns:
        HTML with everything inside.

    Raises:
        ValueError: if an axis has no stops, the start is no stop, or the page would be too heavy.
    """
    axes = {name: list(stops) for name, stops in axes.items()}
    for (name, stops), value in zip(axes.items(), start, strict=True):
        if value not in stops:
            raise ValueError(f"{value!r} is no stop of {name!r}; there are: {stops}")
    every = list(itertools.product(*axes.values()))
    frames = draw(every)
    first = every.index(tuple(start))
    controls = "".join(
        _control(name, stops, value)
        for (name, stops), value in zip(axes.items(), start, strict=True)
    )
    markup = (
        f'<div class="widget-page" role="group" aria-label="{escape(label)}" '
        f'oninput="{escape(_SCRIPT)}" style="max-width:100%">'
        '<div style="display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));'
        f'gap:.3rem 1rem;margin-bottom:.8rem">{controls}</div>{frames[first].markup()}'
        f'<script type="application/json">{_packed(frames, axes)}</script></div>'
    )
    if len(markup) > LIMIT:
        raise ValueError(
            f"{len(every)} states take {len(markup):,} bytes, more than {LIMIT:,}: "
            "give the axes fewer stops"
        )
    return Html(markup)


def _control(name: str, stops: list, value: Any) -> str:
    """A slider; or a list to choose from, where the stops are words."""
    at = stops.index(value)
    if all(isinstance(stop, str) for stop in stops):
        options = "".join(
            f'<option value="{number}"{" selected" if number == at else ""}>{escape(stop)}</option>'
            for number, stop in enumerate(stops)
        )
        return (
            f'<label>{escape(name)}<br><select data-axis style="max-width:100%">'
            f"{options}</select></label>"
        )
    shown = _named(value)
    return (
        f"<label>{escape(name)}: <output>{shown}</output><br>"
        f'<input type="range" data-axis min="0" max="{len(stops) - 1}" value="{at}" '
        f'aria-valuetext="{shown}" style="width:100%"></label>'
    )


def _named(stop: Any) -> str:
    return f"{stop:g}" if isinstance(stop, float) else str(stop)


def _packed(frames: Sequence[Frame], axes: Mapping[str, list]) -> str:
    """Frames as JSON that holds every part, panel and sentence once."""
    parts, panels, told = {}, {}, {}

    def number(table: dict, key: Any) -> int:
        return table.setdefault(key, len(table))

    rows = [
        [
            number(told, frame.told),
            *(
                number(panels, tuple(number(parts, part) for part in panel))
                for panel in frame.panels.values()
            ),
        ]
        for frame in frames
    ]
    packed = {
        "stops": [[_named(stop) for stop in stops] for stops in axes.values()],
        "parts": list(parts),
        "panels": list(panels),
        "told": list(told),
        "states": rows,
    }
    # A closing tag among the parts would end the script.
    return json.dumps(packed, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
