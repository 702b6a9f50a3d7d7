"""The layer-by-patch viewer: what every patch and every word holds after every block."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from helpers.hooks import HookedVLM
from helpers.plots import Html
from helpers.stimuli.scenes import Scene
from helpers.widgets import drawing
from helpers.widgets.drawing import Frame
from helpers.widgets.kept import check_word
from helpers.widgets.pages import states

#: What can be shown, and how it is said.
QUANTITIES = {
    "what its picture changes": (
        "How far the state changes when the {word} is taken out of the picture, "
        "as a share of its length."
    ),
    "says its name": (
        "Probability of “{word}” when the state is read as if the model ended here (logit lens)."
    ),
}


class LayerViewer:
    """A picture and a question, run once with the stream kept at all depths.

    Attributes:
        prompt: the question.
        names: the objects that it names.
        depths: how many blocks are passed, from 0 on.
    """

    def __init__(
        self, vlm: HookedVLM, scene: Scene, question: str, names: Sequence[str], pixels: int = 336
    ) -> None:
        """Run the picture, and the picture without each of the objects.

        Args:
            vlm: the model.
            scene: what is seen.
            question: what is asked.
            names: object words of the question, in its order; all are in the scene.
            pixels: side of the picture.

        Raises:
            ValueError: if a word is not in the question, an object not in the scene, or the
                model has no patches in its sequence.
        """
        self.vlm, self.names, self.depths = vlm, tuple(names), range(vlm.n_layers + 1)
        image = scene.render(pixels)
        without = [
            Scene(
                tuple(one for one in scene.objects if one is not scene.find(name)), scene.background
            )
            for name in names
        ]
        images = [image, *(other.render(pixels) for other in without)]
        prompts = vlm.prompt(images, question)
        self.prompt = prompts[0]
        self.spans = dict(zip(names, self.prompt.words(names), strict=True))
        self.grid = self.prompt.image_patches.whole
        sites = ["blocks.0.hook_resid_pre", *(vlm.resid_post(b) for b in range(vlm.n_layers))]
        _, cache = vlm.run_with_cache(prompts, sites)
        #: ``[depths, picture, pos, d_model]``; first as it is, then without each object.
        self.streams = torch.stack([cache[site].float().cpu() for site in sites])
        self._backdrop = drawing.backdrop(drawing.uri(image.resize((224, 224))))

    def values(self, quantity: str, word: str) -> np.ndarray:
        """The quantity for every depth and position, ``[depths, pos]``.

        Raises:
            ValueError: if there is no such quantity or word.
        """
        if quantity not in QUANTITIES:
            raise ValueError(f"no quantity {quantity!r}; there are: {', '.join(QUANTITIES)}")
        check_word(word, self.names, self.prompt.question)
        found = self._changes if quantity == "what its picture changes" else self._lens
        return found[self.names.index(word)]

    @cached_property
    def _changes(self) -> np.ndarray:
        clean = self.streams[:, :1]
        changed = (self.streams[:, 1:] - clean).norm(dim=-1) / clean.norm(dim=-1)
        return changed.movedim(1, 0).numpy()

    @cached_property
    @torch.no_grad()
    def _lens(self) -> np.ndarray:
        head, norm = self.vlm.model.get_output_embeddings(), self.vlm.model.get_decoder().norm
        tokens = self.prompt.inputs["input_ids"][0]
        first = [int(tokens[span[0]]) for span in self.spans.values()]
        stream = self.streams[:, 0].to(self.vlm.device, self.vlm.dtype)
        decoded = torch.stack([head(norm(part)).float().softmax(-1) for part in stream])
        return decoded[..., first].movedim(-1, 0).cpu().numpy()

    def patches(self, quantity: str, word: str, depth: int) -> np.ndarray:
        """The quantity at every patch, ``[rows, columns]``.

        Raises:
            ValueError: if there is no such depth, quantity or word.
        """
        self._check_depth(depth)
        row = self.values(quantity, word)[depth]
        return row[list(self.grid.positions)].reshape(self.grid.grid)

    def _check_depth(self, depth: int) -> None:
        if depth not in self.depths:
            raise ValueError(f"no depth {depth}: 0 to {self.vlm.n_layers} blocks can be passed")

    def frame(self, quantity: str, word: str, depth: int) -> Frame:
        """Patches over the picture, and the words of the question."""
        patches = self.patches(quantity, word, depth)
        values = self.values(quantity, word)
        shown = [*self.grid.positions, *self.prompt.text_positions]
        limit = max(float(values[:, shown].max()), 1e-6)
        row, column = np.unravel_index(patches.argmax(), patches.shape)
        what = QUANTITIES[quantity].format(word=word)
        alt = (
            f"Patches after {depth} blocks. {what} The largest value, {patches.max():.2f}, is at "
            f"patch row {row}, column {column}."
        )
        text = self.prompt.text_positions
        tokens = [self.prompt.tokens[position] for position in text]
        words = drawing.tinted(tokens, values[depth, text], limit, text.index(self.spans[word][-1]))
        told = (
            f"{what} After {depth} blocks: at most {patches.max():.2f} at a patch, "
            f"{values[depth, self.spans[word][-1]]:.2f} at the word “{word}”, "
            f"{values[depth, self.prompt.last]:.2f} at the last token. Full colour: {limit:.2f}."
        )
        heat = drawing.heat(patches, limit)
        return Frame({"patches": drawing.drawn(alt, self._backdrop, heat), "words": words}, told)

    def view(self):
        """The live widget (with ipywidgets)."""
        from helpers.widgets.views import layers_view

        return layers_view(self)

    def page(self) -> Html:
        """The version for a page: all depths, words and quantities."""
        axes = {"shown": list(QUANTITIES), "object": list(self.names), "blocks passed": self.depths}
        start = (next(iter(QUANTITIES)), self.names[0], 0)
        label = f"Layer-by-patch viewer: {self.prompt.question}"
        return states(lambda every: [self.frame(*one) for one in every], axes, start, label)
