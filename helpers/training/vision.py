"""First stage: every patch learns what covers it and where it is.

Like LLaVA's own first stage, it aligns image features with the language model's words: a patch's
projected feature must point at the embedding of the name of its object. Linear heads also ask for
the patch's row and column and its object's centre, so that features keep their place; without
that, no question about place was ever learned.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from helpers.stimuli.scenes import Scene
from helpers.stimuli.sprites import OBJECTS, sprite
from helpers.training.build import Shape
from helpers.training.data import to_pixels

NOTHING = len(OBJECTS)


def patch_labels(scene: Scene, grid: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the object that covers each patch ``[grid, grid]`` and its centre ``[grid, grid, 2]``.

    An object covers a patch if it is on top in more than a seventh of its pixels and in more of
    them than any other; ``NOTHING`` elsewhere.
    """
    owner = np.full((pixels, pixels), NOTHING)
    for placed in scene.objects:
        side = max(1, round(placed.size * pixels))
        alpha = np.asarray(sprite(placed.name, side).getchannel("A")) > 127
        left, top = (round(value * pixels - side / 2) for value in (placed.x, placed.y))
        inside = (slice(max(top, 0), top + side), slice(max(left, 0), left + side))
        shape = owner[inside].shape
        cut = alpha[max(-top, 0) :, max(-left, 0) :][: shape[0], : shape[1]]
        owner[inside][cut] = OBJECTS.index(placed.name)
    side = pixels // grid
    patches = owner.reshape(grid, side, grid, side).swapaxes(1, 2).reshape(grid, grid, -1)
    kinds = np.array([*(OBJECTS.index(name) for name in scene.names)])
    covered = (patches[..., None] == kinds).mean(axis=2)
    best = covered.argmax(-1)
    labels = np.where(covered.max(-1) > 1 / 7, kinds[best], NOTHING)
    centers = np.array([[placed.x, placed.y] for placed in scene.objects])[best]
    return labels, centers


def patch_features(model: PreTrainedModel, pixels: torch.Tensor) -> torch.Tensor:
    """A picture's patches as the language model reads them: ``[batch, patches, width]``."""
    output = model.model.vision_tower(pixels, output_hidden_states=True)
    states = output.hidden_states[model.config.vision_feature_layer]
    if model.config.vision_feature_select_strategy == "default":  # without CLIP's class token
        states = states[:, 1:]
    return model.model.multi_modal_projector(states)


class PatchHeads(nn.Module):
    """Loss of the first stage; its own weights are thrown away after it."""

    def __init__(self, shape: Shape, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.shape = shape
        self.nothing = nn.Parameter(torch.zeros(shape.width))
        self.row = nn.Linear(shape.width, shape.grid)
        self.column = nn.Linear(shape.width, shape.grid)
        self.center = nn.Linear(shape.width, 2)
        self.names = [tokenizer(f" {name}", add_special_tokens=False).input_ids for name in OBJECTS]

    def forward(
        self, model: PreTrainedModel, scenes: list[Scene]
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Return the loss and the share of covered patches whose object is named right."""
        grid, pixels = self.shape.grid, self.shape.image_pixels
        device = self.nothing.device
        features = patch_features(model, to_pixels(scenes, pixels).to(device)).float()
        drawn = [patch_labels(scene, grid, pixels) for scene in scenes]
        labels = torch.tensor(np.stack([label for label, _ in drawn])).flatten(1).to(device)
        centers = torch.tensor(np.stack([center for _, center in drawn])).float().to(device)
        table = model.get_input_embeddings().weight
        words = torch.stack([table[ids].mean(0) for ids in self.names] + [self.nothing])
        logits = features @ words.T
        weight = torch.ones(len(words), device=device)
        weight[NOTHING] = 0.2
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight=weight)
        place = torch.arange(grid, device=device)
        rows, columns = place.repeat_interleave(grid), place.repeat(grid)
        for head, wanted in ((self.row, rows), (self.column, columns)):
            guess = head(features)
            loss = loss + 0.3 * functional.cross_entropy(
                guess.flatten(0, 1), wanted.repeat(len(scenes))
            )
        covered = labels != NOTHING
        error = (self.center(features) - centers.flatten(1, 2))[covered]
        loss = loss + 3.0 * error.square().mean()
        right = (logits.argmax(-1) == labels)[covered].float().mean()
        return loss, {"patches": float(right), "center": float(error.detach().abs().mean())}
