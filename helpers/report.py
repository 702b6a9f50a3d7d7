"""Numbers for the prose: the book's text shows what the run measured, never what was typed."""

from typing import Any

from helpers.stats import Interval


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
