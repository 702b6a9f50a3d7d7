"""Batches of prompts in which those about one image share its pass."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from helpers.hooks import HookedVLM
from helpers.prompts import Prompt
from helpers.rows import has_hooks_of_others


def image_key(vlm: HookedVLM, prompt: Prompt) -> str:
    """Name what stands before a prompt's text: the same image in the same frame, the same name."""
    before = prompt.inputs["input_ids"][0, : text_start(prompt)].tolist()
    found = hashlib.sha256(repr(before).encode())
    for name, value in sorted(prompt.inputs.items()):
        if name not in ("input_ids", "attention_mask", *vlm.family.padded_inputs):
            value = torch.as_tensor(value).contiguous()
            found.update(repr((name, value.shape)).encode() + value.numpy().tobytes())
    return found.hexdigest()


def text_start(prompt: Prompt) -> int:
    """The position behind the image."""
    return prompt.image_patches.positions[-1] + 1


def image_bounds(vlm: HookedVLM, prompts: Sequence[Prompt]) -> torch.Tensor | None:
    """First image token and the one behind the last, ``[prompts, 2]``, where they see each other.

    None in families whose image tokens look back only, as text does.
    """
    if not vlm.family.image_sees_itself:
        return None
    places = [prompt.image_patches.positions for prompt in prompts]
    return torch.tensor([[part[0], part[-1] + 1] for part in places])


@dataclass(frozen=True)
class Pack:
    """A batch of prompts: one of each image runs in full, the others only from their text on.

    Attributes:
        prompts: the batch.
        leaders: for each image, the index of its longest prompt.
        followers: for each image, the indices of the others.
        start: the position where the followers' rows begin.
    """

    prompts: tuple[Prompt, ...]
    leaders: tuple[int, ...]
    followers: tuple[tuple[int, ...], ...]
    start: int

    @classmethod
    def of(cls, vlm: HookedVLM, prompts: Sequence[Prompt], first: int) -> "Pack":
        """Pack prompts of which nothing before the position ``first`` is wanted."""
        starts = {text_start(prompt) for prompt in prompts}
        together = len(starts) == 1 and first >= min(starts) and not has_hooks_of_others(vlm)
        groups: dict[object, list[int]] = {}
        for index, prompt in enumerate(prompts):
            groups.setdefault(image_key(vlm, prompt) if together else index, []).append(index)
        ordered = [sorted(group, key=lambda i: -len(prompts[i])) for group in groups.values()]
        leaders = tuple(group[0] for group in ordered)
        followers = tuple(tuple(group[1:]) for group in ordered)
        pack = cls(tuple(prompts), leaders, followers, min(starts))
        return pack if pack._pays else pack._taken_apart()

    @property
    def _pays(self) -> bool:
        """Whether rows, equally many for each image, are fewer tokens than the passes they save."""
        longest = max(map(len, self.prompts))
        in_rows = len(self.leaders) * self.rows * (longest - self.start)
        return in_rows <= (len(self.prompts) - len(self.leaders)) * longest

    def _taken_apart(self) -> "Pack":
        """Every prompt by itself."""
        count = len(self.prompts)
        return Pack(self.prompts, tuple(range(count)), ((),) * count, self.start)

    @property
    def rows(self) -> int:
        """Rows behind each image: as many as the image with most has."""
        return max(map(len, self.followers))

    @property
    def run_in_full(self) -> list[Prompt]:
        """The prompts that run in full, one for each image."""
        return [self.prompts[index] for index in self.leaders]

    @property
    def row_members(self) -> list[list[int]]:
        """The prompt of every row; images with fewer followers repeat their leader."""
        pairs = zip(self.leaders, self.followers, strict=True)
        return [[*others, *[leader] * (self.rows - len(others))] for leader, others in pairs]

    def embeddings(self, vlm: HookedVLM) -> torch.Tensor:
        """The rows' text, padded on the right: ``[images, rows, pos, d_model]``."""
        longest = max(map(len, self.prompts))
        ids = torch.zeros(len(self.leaders), self.rows, longest - self.start, dtype=torch.long)
        for image, members in enumerate(self.row_members):
            for row, index in enumerate(members):
                text = self.prompts[index].inputs["input_ids"][0, self.start :]
                ids[image, row, : len(text)] = text
        return vlm.model.get_input_embeddings()(ids.to(vlm.device))

    def join(self, full: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
        """Put results in the order of the prompts.

        Args:
            full: of the leaders, ``[images, ...]``.
            rows: of the followers, ``[images, rows, ...]``.

        Returns:
            ``[prompts, ...]``.
        """
        if rows is None:
            order = self.image_of
            return full if order.tolist() == list(range(len(full))) else full[order.to(full.device)]
        both = torch.cat([full[:, None], rows], 1).flatten(0, 1)
        place = {index: (1 + self.rows) * image for image, index in enumerate(self.leaders)}
        for image, members in enumerate(self.followers):
            for row, index in enumerate(members):
                place[index] = (1 + self.rows) * image + 1 + row
        return both[[place[index] for index in range(len(self.prompts))]]

    @property
    def image_of(self) -> torch.Tensor:
        """The number of each prompt's image, ``[prompts]``."""
        found = torch.empty(len(self.prompts), dtype=torch.long)
        for image, (leader, others) in enumerate(zip(self.leaders, self.followers, strict=True)):
            found[[leader, *others]] = image
        return found
