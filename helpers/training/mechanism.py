"""Does a model use its object words? Mirror swap during training, at every block.

The recovered fraction is ``(patched - clean) / (mirrored - clean)`` of the belief's log-odds,
as a ratio of means over scenes: 1 if the object words alone carry the answer, 0 if nothing.
"""

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from helpers.stimuli import questions
from helpers.stimuli.sampling import sample_scene
from helpers.stimuli.scenes import Scene, mirror
from helpers.training.data import to_pixels

_AXES = {
    "column": (questions.left_right, "left_right"),
    "row": (questions.above_below, "above_below"),
}


def draw_asked(
    generator: np.random.Generator, count: int, kind: str, axis: str, held_out: bool = True
) -> list[tuple[Scene, questions.Question]]:
    """Draw scenes with a question along one axis about their first two objects."""
    ask, _ = _AXES[axis]
    asked: list[tuple[Scene, questions.Question]] = []
    while len(asked) < count:
        scene = sample_scene(generator, kind, (3, 6), held_out)
        first, second = generator.permutation(scene.names[:2])
        question = ask(scene, str(first), str(second))
        if question is not None:
            asked.append((scene, question))
    return asked


@torch.no_grad()
def mirror_swap(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    asked: list[tuple[Scene, questions.Question]],
    axis: str,
) -> list[float]:
    """Recovered fraction at the object words after each block, ``[layers]``."""
    device = model.device
    config = model.config
    texts = [
        f"USER: {'<image>' * config.image_seq_length}\n{question.text} ASSISTANT:"
        for _, question in asked
    ]
    encoded = [tokenizer(text, return_offsets_mapping=True) for text in texts]
    length = max(len(one.input_ids) for one in encoded)
    # Causal attention never looks ahead, so padding on the right needs no mask.
    ids = torch.full((len(asked), length), tokenizer.pad_token_id)
    edited = torch.zeros(len(asked), length, dtype=torch.bool)
    last = torch.tensor([len(one.input_ids) - 1 for one in encoded])
    for row, (one, text, (_, question)) in enumerate(zip(encoded, texts, asked, strict=True)):
        ids[row, : len(one.input_ids)] = torch.tensor(one.input_ids)
        for name in question.objects:
            begin = text.index(f"the {name}") + len("the ")
            for position, (low, high) in enumerate(one.offset_mapping):
                edited[row, position] |= low < begin + len(name) and high > begin
    ids, edited, last = ids.to(device), edited.to(device), last.to(device)
    yes, no = (tokenizer.encode(word)[-1] for word in questions.ANSWERS[_AXES[axis][1]])

    def run(scenes: list[Scene]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        pixels = to_pixels(scenes, config.vision_config.image_size).to(device)
        output = model(input_ids=ids, pixel_values=pixels, output_hidden_states=True)
        return odds(output.logits), output.hidden_states

    def odds(logits: torch.Tensor) -> torch.Tensor:
        final = logits[torch.arange(len(last), device=device), last]
        return final[:, yes] - final[:, no]

    scenes = [scene for scene, _ in asked]
    clean, _ = run(scenes)
    mirrored, states = run([mirror(scene, axis) for scene in scenes])
    pixels = to_pixels(scenes, config.vision_config.image_size).to(device)
    # Beliefs with opposite answers must not cancel in the means: count towards the mirrored one.
    sign = (mirrored - clean).sign()
    recovered = []
    layers = model.get_decoder().layers
    for number, layer in enumerate(layers):
        source = states[number + 1] if number + 1 < len(layers) else None
        if source is None:
            # The last hidden state is after the final norm; no later token can read this site.
            recovered.append(0.0)
            continue
        def swap(module, arguments, output, source=source):
            return torch.where(edited[..., None], source, output)

        handle = layer.register_forward_hook(swap)
        try:
            patched = odds(model(input_ids=ids, pixel_values=pixels).logits)
        finally:
            handle.remove()
        change = (sign * (patched - clean)).mean() / (sign * (mirrored - clean)).mean()
        recovered.append(float(change))
    return recovered


def measure(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
    count: int = 48,
) -> dict[str, list[float]]:
    """Mirror swap for both axes, on two-object grids and on cluttered scenes."""
    generator = np.random.default_rng(seed)
    return {
        f"{kind}_{axis}": mirror_swap(
            model, tokenizer, draw_asked(generator, count, kind, axis), axis
        )
        for kind in ("grid", "clutter")
        for axis in _AXES
    }
