"""The video scrubber: let a clip play, move an appearance in time, or only tell a word so."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch

from helpers.extraction import frame_pixels
from helpers.hooks import HookedVLM
from helpers.interventions import Edit, steer
from helpers.plots import Html
from helpers.prompts import Prompt, Video
from helpers.reading import read_states
from helpers.stimuli.clip_questions import BEFORE_AFTER
from helpers.stimuli.clip_sampling import compose, flash
from helpers.stimuli.clips import Clip
from helpers.stimuli.scenes import Background, Scene
from helpers.temporal import TemporalIDs
from helpers.trials import ANSWERS
from helpers.widgets import drawing
from helpers.widgets.drawing import WORD_COLORS, Frame, Mark
from helpers.widgets.kept import KeptRun, check_block, check_word, probabilities
from helpers.widgets.pages import states

#: Passes that are kept: one for each film that was looked at lately.
_KEPT = 8


@dataclass(frozen=True)
class Tell:
    """What the words are told.

    Attributes:
        frames: from an object word to the frame that it is told.
        block: after which the vectors are added.
        dose: in units of the ID difference.
    """

    frames: Mapping[str, int] = field(default_factory=dict)
    block: int = 0
    dose: float = 1.0


@dataclass(frozen=True)
class Heard:
    """What telling does.

    Attributes:
        tell: what was told.
        before: from answer to probability, without it.
        after: alike, with it.
        log_odds: of the first answer against the second, (before, after).
        line: for each object word where its state lies on the line of the IDs, in frames, before
            and after.
    """

    tell: Tell
    before: dict[str, float]
    after: dict[str, float]
    log_odds: tuple[float, float]
    line: dict[str, tuple[float, float]]


class VideoScrubber:
    """A clip in which two objects appear for one frame each, and the question which comes first.

    Attributes:
        names: the objects, in the order of the question.
        times: the frame in which each appears.
        shown: the last frame that the model has seen; those behind it are empty.
        passes: how many films have run in full.
    """

    def __init__(
        self,
        vlm: HookedVLM,
        ids: tuple[TemporalIDs, TemporalIDs],
        names: tuple[str, str],
        times: tuple[int, int] = (1, 5),
        cells: tuple[tuple[int, int], tuple[int, int]] = ((1, 1), (2, 2)),
        size: float = 0.4,
    ) -> None:
        """Make the clip and ask about it.

        Args:
            vlm: a model that takes videos.
            ids: of the two nouns (:func:`helpers.clip_trials.extract_temporal_ids`).
            names: the two objects, in the order of the question.
            times: the frame in which each appears.
            cells: (row, column) of each on a 4 x 4 grid.
            size: of the sprites, as a fraction of a frame.

        Raises:
            ValueError: if the objects are one, share a frame, or a frame is not there.
        """
        if len(set(names)) != 2:
            raise ValueError(f"a clip needs two different objects, not {names}")
        self.vlm, self.ids, self.names, self.cells, self.size = vlm, ids, names, cells, size
        self.question, self.frames = BEFORE_AFTER.format(*names), ids[0].frames
        self.shown, self.passes = self.frames - 1, 0
        self.times = dict(zip(names, map(self._checked, times), strict=True))
        self._check_free(names[0], self.times[names[0]])
        self._films: OrderedDict[tuple, KeptRun] = OrderedDict()
        self._baseline = self._read_baseline()
        self._look()

    # State --------------------------------------------------------------------------------------

    def move(self, name: str, frame: int) -> None:
        """Let an object appear in another frame: another film, which runs in full.

        Raises:
            ValueError: if there is no such object or frame, or the other object is there.
        """
        check_word(name, self.names, self.question)
        frame = self._checked(frame)
        self._check_free(name, frame)
        self.times[name] = frame
        self._look()

    def show(self, frame: int) -> None:
        """Show the film up to a frame and nothing behind it: another film, too.

        Raises:
            ValueError: if there is no such frame.
        """
        self.shown = self._checked(frame)
        self._look()

    @property
    def clip(self) -> Clip:
        """What the model sees."""
        clip = self._clip(*self.times.values())
        empty = Scene((), clip.frames[0].background)
        behind = (empty,) * (self.frames - 1 - self.shown)
        return Clip(clip.frames[: self.shown + 1] + behind)

    def _clip(self, one: int, other: int) -> Clip:
        tracks = [
            flash(name, cell, time, self.size)
            for name, cell, time in zip(self.names, self.cells, (one, other), strict=True)
        ]
        return compose(tracks, Background(), self.frames)

    def _look(self) -> None:
        """Take the kept pass of this film, or run it in full."""
        film = (*self.times.values(), self.shown)
        if film not in self._films:
            prompt = self._prompt(self.clip)
            self._films[film] = KeptRun(self.vlm, prompt, self.names, ANSWERS["before_after"])
            self.passes += 1
            if len(self._films) > _KEPT:
                self._films.popitem(last=False)
        self._films.move_to_end(film)
        self.kept = self._films[film]

    def _prompt(self, clip: Clip) -> Prompt:
        pixels = frame_pixels(self.vlm)
        return self.vlm.prompt(Video(tuple(clip.render(pixels))), self.question)

    def _checked(self, frame: int) -> int:
        if isinstance(frame, bool) or frame not in range(self.frames):
            raise ValueError(f"there is no frame {frame}; there are frames 0 to {self.frames - 1}")
        return int(frame)

    def _check_free(self, name: str, frame: int) -> None:
        for other, time in self.times.items():
            if other != name and time == frame:
                raise ValueError(f"frame {frame} is taken: the {other} is there")

    # Telling ------------------------------------------------------------------------------------

    def edits(self, tell: Tell) -> tuple[Edit, ...]:
        """What is told, as edits.

        Raises:
            ValueError: for a word, frame or block that is not there, or a dose that is no number.
        """
        check_block(self.vlm, tell.block)
        if not np.isfinite(tell.dose):
            raise ValueError(f"a dose must be a number, not {tell.dose}")
        found = []
        for word, frame in tell.frames.items():
            check_word(word, self.names, self.question)
            if self._checked(frame) != self.times[word]:
                vector, site = self._vector(tell, word), self.vlm.resid_post(tell.block)
                found.append(steer(site, self.kept.spans[word], vector, tell.dose))
        return tuple(found)

    def _vector(self, tell: Tell, word: str) -> torch.Tensor:
        own = self.ids[self.names.index(word)]
        site = self.vlm.resid_post(tell.block)
        return own.difference(site, self.times[word], tell.frames[word])

    def hear(self, tell: Tell) -> Heard:
        """What telling does; see :meth:`hear_all`."""
        return self.hear_all([tell])[0]

    def hear_all(self, tells: Sequence[Tell]) -> list[Heard]:
        """What telling each of these does, run as rows behind the kept pass.

        Raises:
            ValueError: for a word, a frame or a block that is not there.
        """
        rows = [self.edits(tell) for tell in tells]
        table, before, answers = self.kept.beliefs(rows), self.kept.before, self.kept.answers
        return [
            Heard(
                tell,
                probabilities(before, answers),
                probabilities(row, answers),
                (float(before["log_odds"]), float(row["log_odds"])),
                {word: self._on_line(tell, word) for word in self.names},
            )
            for tell, (_, row) in zip(tells, table.iterrows(), strict=True)
        ]

    def strongest(self, word: str) -> int:
        """The block after which telling a word the mirrored frame moves the belief most."""
        frame = self.frames - 1 - self.times[word]
        heard = self.hear_all([Tell({word: frame}, b) for b in range(self.vlm.n_layers)])
        return int(np.argmax([abs(one.log_odds[1] - one.log_odds[0]) for one in heard]))

    def _on_line(self, tell: Tell, word: str) -> tuple[float, float]:
        noun, site = self.names.index(word), self.vlm.resid_post(tell.block)
        state = self.kept.state(word, tell.block + 1) - self._baseline[tell.block, noun]
        moved = state
        if tell.frames.get(word, self.times[word]) != self.times[word]:
            moved = state + tell.dose * self._vector(tell, word)
        before, after = _along(torch.stack([state, moved]), self.ids[noun], site)
        return float(before), float(after)

    def _read_baseline(self) -> torch.Tensor:
        """Each word's mean state over all frames of its object, ``[blocks, words, d_model]``."""
        half = self.frames // 2
        clips = [self._clip(time, (time + half) % self.frames) for time in range(self.frames)]
        prompts = [self._prompt(clip) for clip in clips]
        places = [[span[-1] for span in prompt.words(self.names)] for prompt in prompts]
        sites = [self.vlm.resid_post(block) for block in range(self.vlm.n_layers)]
        return read_states(self.vlm, prompts, places, sites).mean(1)

    # Pictures -----------------------------------------------------------------------------------

    def frame(self, heard: Heard) -> Frame:
        """The film, the line of the IDs and the belief."""
        told = {w: f for w, f in heard.tell.frames.items() if f != self.times[w]}
        if not heard.tell.dose:
            told = {}
        return Frame(self._panels(heard, told, "told"), self._told(heard, told))

    def _panels(self, heard: Heard, told: Mapping[str, int], what: str) -> dict[str, drawing.Panel]:
        marks = [
            Mark(word, *((place, 0.0) for place in heard.line[word]), color)
            for word, color in zip(self.names, WORD_COLORS, strict=True)
        ]
        own = self.ids[self.names.index(next(iter(told), self.names[0]))]
        site = self.vlm.resid_post(heard.tell.block)
        line = [float(place) for place in _along(own.mean(site), own, site)]
        return {
            "film": self._film(told),
            "line": drawing.timeline(line, marks, f"after block {heard.tell.block}"),
            "belief": drawing.beliefs(heard.before, heard.after, heard.log_odds, what),
        }

    def _film(self, told: Mapping[str, int]) -> drawing.Panel:
        clip = self.clip
        pictures = [_address(scene) for scene in clip.frames]
        seen = [
            f"{name} in frame {time}" for name, time in self.times.items() if time <= self.shown
        ]
        what = " and ".join(seen) or "nothing"
        alt = f"{self.frames} frames, shown up to frame {self.shown}: {what}."
        for word, frame in told.items():
            alt += f" The word “{word}” is told frame {frame}."
        ghosts = [(f, w, WORD_COLORS[self.names.index(w)]) for w, f in told.items()]
        return drawing.film(pictures, self.shown, ghosts, alt)

    def _told(self, heard: Heard, told: Mapping[str, int]) -> str:
        first, before, after = self.kept.answers[0], *heard.log_odds
        words = f"{self.question} Shown up to frame {self.shown}. "
        words += f"Log-odds of “{first}”: {before:+.1f}"
        if not told:
            return f"{words}."
        turned = "The belief has turned" if before * after < 0 else "The belief has not turned"
        return f"{words}, told {after:+.1f}. {turned}; the film is the same."

    # Front ends ---------------------------------------------------------------------------------

    def view(self):
        """The live widget (with ipywidgets and anywidget)."""
        from helpers.widgets.views import scrubber_view

        return scrubber_view(self)

    def page(self, word: str | None = None) -> Html:
        """The version for a page: the film plays; and one object moves, in it or in the mind."""
        word = self.names[0] if word is None else word
        check_word(word, self.names, self.question)
        return Html(self._playing().markup + "<hr>" + self._moving(word).markup)

    def _playing(self) -> Html:
        """The film up to every frame."""
        before = self.shown

        def draw(every: list[tuple]) -> list[Frame]:
            frames = []
            for (shown,) in every:
                self.show(shown)
                heard = self.hear(last.tell)
                odds = (last.log_odds[0], heard.log_odds[0])
                both = replace(heard, before=last.before, log_odds=odds)
                frames.append(Frame(self._panels(both, {}, "so far"), self._told(heard, {})))
            return frames

        last = self.hear(Tell(block=self.strongest(self.names[0])))
        stops = {"shown up to frame": range(self.frames)}
        try:
            return states(draw, stops, (self.frames - 1,), f"Let the film play: {self.question}")
        finally:
            self.show(before)

    def _moving(self, word: str) -> Html:
        """One object in every frame, in the film or only in what its word is told."""
        home = self.times[word]
        frames = [f for f in range(self.frames) if f not in self.times.values() or f == home]
        ways = (f"only the word “{word}”", f"the {word} in the film")
        blocks = range(self.vlm.n_layers)

        def draw(every: list[tuple]) -> list[Frame]:
            tells = [Tell({word: f}, b) for way, f, b in every if way == ways[0]]
            mind = [self.frame(heard) for heard in self.hear_all(tells)]
            plain = self.hear_all([Tell(block=block) for block in blocks])
            return mind + [
                self._really(word, frame, plain[block])
                for way, frame, block in every
                if way == ways[1]
            ]

        start = (ways[0], max(frames, key=lambda frame: abs(frame - home)), self.strongest(word))
        axes = {"what moves": list(ways), "to frame": frames, "after block": blocks}
        return states(draw, axes, start, f"Move the {word} in time: {self.question}")

    def _really(self, word: str, frame: int, home: Heard) -> Frame:
        """Another film, beside the one as it was: what telling pretends."""
        was = self.times[word]
        self.move(word, frame)
        there = self.hear(home.tell)
        both = {one: (home.line[one][0], there.line[one][0]) for one in self.names}
        odds = (home.log_odds[0], there.log_odds[0])
        heard = replace(there, before=home.before, log_odds=odds, line=both)
        told = (
            f"{self.question} The {word} really appears in frame {frame}. Log-odds of "
            f"“{self.kept.answers[0]}”: {odds[0]:+.1f} as it was, {odds[1]:+.1f} in this film."
        )
        shown = Frame(self._panels(heard, {}, "moved"), told)
        self.move(word, was)
        return shown


def _along(vectors: torch.Tensor, ids: TemporalIDs, site: str) -> torch.Tensor:
    """Where vectors lie along the axis of the IDs, in frames."""
    axis = ids.axis(site)
    return vectors @ axis / axis.square().sum() + (ids.frames - 1) / 2


@lru_cache(maxsize=64)
def _address(scene: Scene) -> str:
    """A frame as a small picture inside the page."""
    return drawing.uri(scene.render(112))
