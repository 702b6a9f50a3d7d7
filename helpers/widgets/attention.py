"""The attention viewer: what each head looks at from an object's word."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from helpers.hooks import HookedVLM
from helpers.plots import Html
from helpers.prompts import Prompt
from helpers.widgets import drawing
from helpers.widgets.drawing import Frame
from helpers.widgets.kept import check_block
from helpers.widgets.pages import states

#: Queries that can be chosen beside the object words.
LAST = "the last token"


@torch.no_grad()
def patterns(vlm: HookedVLM, prompt: Prompt, queries: Sequence[int]) -> torch.Tensor:
    """How much each head looks at every token from some of them, ``[blocks, heads, queries, pos]``.

    Attention is computed step by step for this one pass: fused kernels never write it down.

    Raises:
        RuntimeError: if the model gives no patterns.
    """
    config = vlm.model.config.get_text_config()
    usual = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        found = vlm.model(**vlm.batch(prompt), output_attentions=True).attentions
    finally:
        config._attn_implementation = usual
    if not found or any(part is None or part.shape[-1] != len(prompt) for part in found):
        raise RuntimeError(
            f"{vlm.family.name} gives no patterns over the whole sequence: take a model whose "
            "patches are among its tokens"
        )
    return torch.stack([part[0, :, list(queries)].float().cpu() for part in found])


class AttentionViewer:
    """A picture and a question, run once; the patterns of the object words are kept.

    Attributes:
        prompt: the question.
        names: from what can look (the object words and the last token) to its position.
        pattern: ``[blocks, heads, queries, pos]``, queries in the order of ``names``.
    """

    def __init__(
        self, vlm: HookedVLM, image: Image.Image, question: str, words: Sequence[str]
    ) -> None:
        """Run the picture.

        Args:
            vlm: the model.
            image: the picture.
            question: what is asked.
            words: object words of the question, in its order.

        Raises:
            ValueError: if a word is not in the question.
        """
        self.vlm, self.prompt = vlm, vlm.prompt(image, question)
        spans = self.prompt.words(words)
        self.names = {word: span[-1] for word, span in zip(words, spans, strict=True)}
        self.names[LAST] = self.prompt.last
        self.pattern = patterns(vlm, self.prompt, list(self.names.values()))
        self.grid = self.prompt.image_patches.whole
        self._backdrop = drawing.backdrop(drawing.uri(image.resize((160, 160))))

    @property
    def heads(self) -> int:
        """How many heads a block has."""
        return self.pattern.shape[1]

    def looks(self, query: str, block: int) -> np.ndarray:
        """What every head looks at, ``[heads, pos]``; each row sums to one.

        Raises:
            ValueError: if there is no such query or block.
        """
        if query not in self.names:
            raise ValueError(f"nothing looks from {query!r}; there are: {', '.join(self.names)}")
        check_block(self.vlm, block)
        return self.pattern[block, :, list(self.names).index(query)].numpy()

    def frame(self, query: str, block: int) -> Frame:
        """Every head of a block: patches over the picture, and words."""
        rows, panels, told = self.looks(query, block), {}, []
        patches = list(self.grid.positions)
        text = self.prompt.text_positions
        tokens = [self.prompt.tokens[position] for position in text]
        marked = text.index(self.names[query])
        for head, row in enumerate(rows):
            on_image = float(row[list(self.prompt.image_patches.positions)].sum())
            values = row[patches].reshape(self.grid.grid)
            at = np.unravel_index(values.argmax(), values.shape)
            alt = (
                f"Head {block}.{head} from “{query}”: {drawing.percent(on_image)} of its attention "
                f"is on the picture, most at patch row {at[0]}, column {at[1]}."
            )
            heat = drawing.heat(values, max(float(values.max()), 1e-6))
            title = f"<strong>{block}.{head}</strong>: {drawing.percent(on_image)} on the picture"
            words = drawing.tinted(tokens, row[text], 0.5, marked)
            panels[f"head {head}"] = (title, *drawing.drawn(alt, self._backdrop, heat), *words)
            told.append(f"{block}.{head} {drawing.percent(on_image)}")
        shown = f"Attention from “{query}” in block {block}, share on the picture: "
        return Frame(panels, shown + ", ".join(told) + ".")

    def view(self):
        """The live widget (with ipywidgets)."""
        from helpers.widgets.views import attention_view

        return attention_view(self)

    def page(self) -> Html:
        """The version for a page: all blocks, from each object word and from the last token."""
        axes = {"from": list(self.names), "block": range(self.vlm.n_layers)}
        label = f"Attention viewer: {self.prompt.question}"
        start = (next(iter(self.names)), 0)
        return states(lambda every: [self.frame(*one) for one in every], axes, start, label)
