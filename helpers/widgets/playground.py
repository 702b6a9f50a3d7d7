"""The steering playground: move an object in the picture, or only in the model's mind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from helpers import geometry
from helpers.hooks import HookedVLM
from helpers.ids import SpatialIDs, grid_scene
from helpers.interventions import Edit, steer
from helpers.plots import Html
from helpers.reading import read_states
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.split import GRID
from helpers.trials import ANSWERS, TEMPLATES, NounIDs
from helpers.widgets import drawing
from helpers.widgets.drawing import WORD_COLORS, Frame, Mark, Point
from helpers.widgets.kept import KeptRun, check_block, check_word, probabilities
from helpers.widgets.pages import states

Cell = tuple[int, int]


@dataclass(frozen=True)
class Push:
    """What the words are told.

    Attributes:
        targets: from an object word to the (row, column) that it is told; words that are not
            named are left alone.
        block: after which the vectors are added.
        dose: in units of the ID difference.
    """

    targets: Mapping[str, Cell] = field(default_factory=dict)
    block: int = 0
    dose: float = 1.0


@dataclass(frozen=True)
class Seen:
    """What a push does.

    Attributes:
        push: the push.
        before: from answer to probability, without it.
        after: alike, with it.
        log_odds: of the first answer against the second, (before, after).
        plane: for each object word its (cells rightward, cells downward) in the plane of the IDs
            after the push's block, before and after.
    """

    push: Push
    before: dict[str, float]
    after: dict[str, float]
    log_odds: tuple[float, float]
    plane: dict[str, tuple[Point, Point]]


class Playground:
    """A picture of two objects on a grid, a question about them, and pushes at its words.

    The clean pass of the picture is kept: pushes run a few words, and only a changed picture or
    question runs in full.
    """

    def __init__(
        self,
        vlm: HookedVLM,
        ids: Mapping[str, NounIDs],
        names: tuple[str, str],
        places: tuple[Cell, Cell] = ((1, 0), (2, 3)),
        kind: str = "left_right",
        size: float = PAPER_SIZES[-1],
        pixels: int = 336,
    ) -> None:
        """Draw the picture and ask about it.

        Args:
            vlm: the model.
            ids: from a kind of question to the IDs of its two nouns
                (:func:`helpers.trials.extract_ids`).
            names: the two objects, in the order of the question.
            places: their (row, column).
            kind: of the question.
            size: of the sprites, as a fraction of the canvas.
            pixels: side of the picture.

        Raises:
            ValueError: if the objects are one, share a cell or lie outside, or the kind has no IDs.
        """
        if len(set(names)) != 2:
            raise ValueError(f"a playground needs two different objects, not {names}")
        self.vlm, self.ids, self.names, self.kind = vlm, ids, names, kind
        self.size, self.pixels = size, pixels
        self.places = dict(zip(names, map(self._cell, places), strict=True))
        self._check_free(names[0], self.places[names[0]])
        self._mesh = lru_cache(maxsize=64)(self._mesh_of)
        self._look()
        self._baselines = self._read_baselines()

    # State --------------------------------------------------------------------------------------

    @property
    def question(self) -> str:
        """The question as the model reads it."""
        return TEMPLATES[self.kind].format(*self.names)

    def move(self, name: str, cell: Cell) -> None:
        """Move an object in the picture; this alone runs the picture anew.

        Raises:
            ValueError: if there is no such object or cell, or the cell is taken.
        """
        check_word(name, self.names, self.question)
        cell = self._cell(cell)
        self._check_free(name, cell)
        if cell != self.places[name]:
            self.places[name] = cell
            self._look()

    def ask(self, kind: str) -> None:
        """Ask another question about the same picture.

        Raises:
            ValueError: if there are no IDs for this kind of question.
        """
        if kind != self.kind:
            before, self.kind = self.kind, kind
            try:
                self._look()
            except ValueError:
                self.kind = before
                raise

    def _look(self) -> None:
        """Draw, ask, run in full, and keep the pass."""
        if self.kind not in self.ids:
            told = ", ".join(self.ids)
            raise ValueError(f"no IDs for questions of the kind {self.kind!r}; there are: {told}")
        self.scene = grid_scene(self.names, list(self.places.values()), self.size, GRID)
        image = self.scene.render(self.pixels)
        self._backdrop = drawing.backdrop(drawing.uri(image.resize((224, 224))))
        prompt = self.vlm.prompt(image, self.question)
        self.kept = KeptRun(self.vlm, prompt, self.names, ANSWERS[self.kind])

    def _cell(self, cell: Cell) -> Cell:
        if len(cell) != 2 or not all(value in range(GRID) for value in cell):
            raise ValueError(f"{cell} is no cell: rows and columns count from 0 to {GRID - 1}")
        return int(cell[0]), int(cell[1])

    def _check_free(self, name: str, cell: Cell) -> None:
        for other, place in self.places.items():
            if other != name and place == cell:
                raise ValueError(f"cell {cell} is taken: the {other} is there")

    # Pushes -------------------------------------------------------------------------------------

    def edits(self, push: Push) -> tuple[Edit, ...]:
        """The push as edits.

        Raises:
            ValueError: for a word, cell or block that is not there, or a dose that is no number.
        """
        check_block(self.vlm, push.block)
        if not np.isfinite(push.dose):
            raise ValueError(f"a dose must be a number, not {push.dose}")
        found = []
        for word, target in push.targets.items():
            check_word(word, self.names, self.question)
            target = self._cell(target)
            if target != self.places[word]:
                site, spans = self.vlm.resid_post(push.block), self.kept.spans
                found.append(steer(site, spans[word], self._vector(push, word, target), push.dose))
        return tuple(found)

    def _vector(self, push: Push, word: str, target: Cell) -> torch.Tensor:
        own, _ = self._own(word)
        return own.difference(self.vlm.resid_post(push.block), self.places[word], target)

    def see(self, push: Push) -> Seen:
        """What one push does; see :meth:`see_all`."""
        return self.see_all([push])[0]

    def see_all(self, pushes: Sequence[Push]) -> list[Seen]:
        """What each push does, run as rows behind the kept pass.

        Raises:
            ValueError: for a word, a cell or a block that is not there.
        """
        rows = [self.edits(push) for push in pushes]
        table, before, answers = self.kept.beliefs(rows), self.kept.before, self.kept.answers
        plain = probabilities(before, answers)
        return [
            Seen(
                push,
                plain,
                probabilities(row, answers),
                (float(before["log_odds"]), float(row["log_odds"])),
                {word: self._on_plane(push, word) for word in self.names},
            )
            for push, (_, row) in zip(pushes, table.iterrows(), strict=True)
        ]

    def strongest(self, word: str) -> int:
        """The block after which telling a word the mirrored cell moves the belief most."""
        row, column = self.places[word]
        target = (GRID - 1 - row, GRID - 1 - column)
        seen = self.see_all([Push({word: target}, b) for b in range(self.vlm.n_layers)])
        return int(np.argmax([abs(one.log_odds[1] - one.log_odds[0]) for one in seen]))

    def _on_plane(self, push: Push, word: str) -> tuple[Point, Point]:
        depth = push.block + 1
        state = self.kept.state(word, depth)
        moved = state
        target = push.targets.get(word, self.places[word])
        if target != self.places[word]:
            moved = state + push.dose * self._vector(push, word, target)
        own, noun = self._own(word)
        axes = own.axes(self.vlm.resid_post(push.block))
        both = torch.stack([state, moved]) - self._baselines[self.kind][push.block, noun]
        # The plane's coordinates begin in the middle of the grid.
        before, after = geometry.on_plane(both, axes) + (GRID - 1) / 2
        return (float(before[0]), float(before[1])), (float(after[0]), float(after[1]))

    def _own(self, word: str) -> tuple[SpatialIDs, int]:
        """The IDs of a word in this question, and its number."""
        noun = self.names.index(word)
        return self.ids[self.kind][noun], noun

    def _read_baselines(self) -> dict[str, torch.Tensor]:
        """Each word's mean state over all places of its object, ``[blocks, words, d_model]``.

        What is left of a state without it is about the place, as in the making of IDs.
        """
        cells = [divmod(cell, GRID) for cell in range(GRID**2)]
        others = [cells[number] for number in np.roll(np.arange(GRID**2), 5)]
        images = [
            grid_scene(self.names, pair, self.size, GRID).render(self.pixels)
            for pair in zip(cells, others, strict=True)
        ]
        texts = {kind: TEMPLATES[kind].format(*self.names) for kind in self.ids}
        prompts = [self.vlm.prompt(image, text) for image in images for text in texts.values()]
        places = [[span[-1] for span in prompt.words(self.names)] for prompt in prompts]
        sites = [self.vlm.resid_post(block) for block in range(self.vlm.n_layers)]
        # Questions about one image share its pass.
        states = read_states(self.vlm, prompts, places, sites)
        means = states.unflatten(1, (len(images), len(texts))).mean(1)
        return {kind: means[:, number] for number, kind in enumerate(texts)}

    # Pictures -----------------------------------------------------------------------------------

    def frame(self, seen: Seen) -> Frame:
        """The picture, the plane of the IDs and the belief."""
        push, site = seen.push, f"after block {seen.push.block}"
        told = {w: c for w, c in push.targets.items() if self._cell(c) != self.places[w]}
        if not push.dose:
            told = {}
        marks = [
            Mark(word, *seen.plane[word], color)
            for word, color in zip(self.names, WORD_COLORS, strict=True)
        ]
        # The first word's IDs stand for both: those of the second lie much the same.
        cells = self._mesh(self.kind, next(iter(told), self.names[0]), push.block)
        return Frame(
            {
                "picture": self._picture(told),
                "plane": drawing.plane(cells, marks, site),
                "belief": drawing.beliefs(seen.before, seen.after, seen.log_odds, "pushed"),
            },
            self._told(seen, told),
        )

    def _mesh_of(self, kind: str, word: str, block: int) -> str:
        own, site = self.ids[kind][self.names.index(word)], self.vlm.resid_post(block)
        return drawing.mesh(geometry.on_plane(own.mean(site), own.axes(site)) + (GRID - 1) / 2)

    def _picture(self, told: Mapping[str, Cell]) -> drawing.Panel:
        side, parts = drawing.SIDE / GRID, []
        for word, (row, column) in told.items():
            x, y = (column + 0.5) * side, (row + 0.5) * side
            color = WORD_COLORS[self.names.index(word)]
            parts += drawing.ghost(word, x, y, self.size * drawing.SIDE, color)
        seen = " and ".join(f"{n} at row {r}, column {c}" for n, (r, c) in self.places.items())
        alt = f"The picture: {seen}."
        for word, (row, column) in told.items():
            alt += f" The word “{word}” is told row {row}, column {column}."
        return drawing.drawn(alt, self._backdrop, *parts)

    def _told(self, seen: Seen, told: Mapping[str, Cell]) -> str:
        first, before, after = self.kept.answers[0], *seen.log_odds
        words = f"{self.question} Log-odds of “{first}”: {before:+.1f}"
        if not told:
            return f"{words}; nothing is pushed."
        turned = "The belief has turned" if before * after < 0 else "The belief has not turned"
        return f"{words}, pushed {after:+.1f}. {turned}; the picture is the same."

    # Front ends ---------------------------------------------------------------------------------

    def view(self):
        """The live widget (with ipywidgets and anywidget)."""
        from helpers.widgets.views import playground_view

        return playground_view(self)

    def page(self, word: str | None = None, doses: Sequence[float] = (0.5, 1.0, 2.0)) -> Html:
        """The version for a page: all cells for one word, all blocks, some doses."""
        word = self.names[0] if word is None else word
        row, column = self.places[word]
        axes = {
            f"“{word}” is told row": range(GRID),
            f"“{word}” is told column": range(GRID),
            "after block": range(self.vlm.n_layers),
            "dose": list(doses),
        }
        start = (row, GRID - 1 - column, self.strongest(word), 1.0)

        def draw(all_values):
            pushes = [Push({word: (r, c)}, block, dose) for r, c, block, dose in all_values]
            return [self.frame(seen) for seen in self.see_all(pushes)]

        return states(draw, axes, start, f"Steering playground: {self.question}")
