"""A question whose clean pass is kept: what a widget asks again and again."""

from collections.abc import Sequence

import pandas as pd
import torch

from helpers.beliefs import answer_forms, read_beliefs
from helpers.engine import CleanRun
from helpers.hooks import HookedVLM
from helpers.interventions import check_edit
from helpers.prompts import Prompt
from helpers.sweeps import rest_of_form

#: Rows that run at once.
_ROWS = 64


class KeptRun:
    """One prompt, run once; edits of its words then run from the first edited word on.

    Attributes:
        prompt: the question.
        clean: its clean pass, with the stream kept at every depth from the first word on.
        before: what the model believes without any edit, a row of :func:`helpers.beliefs.beliefs`.
    """

    def __init__(
        self, vlm: HookedVLM, prompt: Prompt, words: Sequence[str], answers: Sequence[str]
    ) -> None:
        """Run the prompt.

        Args:
            vlm: the model.
            prompt: the question.
            words: of the question, in its order; edits go to these or to what follows.
            answers: the answers that the belief is between.

        Raises:
            ValueError: if a word is not in the question.
        """
        self.vlm, self.prompt, self.answers = vlm, prompt, tuple(answers)
        self.spans = dict(zip(words, prompt.words(words), strict=True))
        start = min(span[0] for span in self.spans.values())
        self.clean = CleanRun(vlm, [prompt], start, range(vlm.n_layers + 1))
        self._forms = answer_forms(vlm, prompt, answers)
        self.before = self.beliefs([()]).iloc[0]

    def state(self, word: str, depth: int) -> torch.Tensor:
        """The clean state of a word's last token at a depth, ``[d_model]``."""
        place = self.spans[word][-1] - self.clean.start
        return self.clean.stream(depth)[0, place].float().cpu()

    def beliefs(self, rows: Sequence[Sequence]) -> pd.DataFrame:
        """What the model believes under each row of edits, as :func:`helpers.beliefs.beliefs`.

        Raises:
            ValueError: if an edit cannot be made, or stands before the first word.
        """
        rows = [tuple(row) for row in rows]
        for edit in (edit for row in rows for edit in row):
            check_edit(self.vlm, self.prompt, edit)
            if min(edit.positions) < self.clean.start:
                raise ValueError(
                    f"an edit at position {min(edit.positions)}, but the pass is kept from "
                    f"position {self.clean.start} on"
                )
        parts = [self._read(rows[begin : begin + _ROWS]) for begin in range(0, len(rows), _ROWS)]
        return pd.concat(parts, ignore_index=True)

    @torch.no_grad()
    def _read(self, rows: list[tuple]) -> pd.DataFrame:
        logits = self.clean.run([rows])[0]

        def rest(form: tuple[int, ...], chosen: list[int]) -> torch.Tensor:
            return rest_of_form(self.clean, [rows[row] for row in chosen], form)

        return read_beliefs([self.prompt.question] * len(rows), self._forms, logits, rest)


def probabilities(row: pd.Series, answers: Sequence[str]) -> dict[str, float]:
    """From a row of a table of beliefs to the probability of each answer."""
    return {answer: float(torch.tensor(row[f"log_prob_{answer}"]).exp()) for answer in answers}


def check_block(vlm: HookedVLM, block: int) -> None:
    """Raise a ValueError that names the blocks there are, if this is none of them."""
    if isinstance(block, bool) or block not in range(vlm.n_layers):
        raise ValueError(f"there is no block {block}; there are blocks 0 to {vlm.n_layers - 1}")


def check_word(word: str, words: Sequence[str], question: str) -> None:
    """Raise a ValueError that names the object words, if this is none of them."""
    if word not in words:
        told = ", ".join(words)
        raise ValueError(f"{word!r} is no object word of {question!r}; these are: {told}")
