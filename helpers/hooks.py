"""TransformerLens-style hooks on an unmodified Hugging Face vision-language model::

    vlm = load_vlm("tiny-llava")
    prompt = vlm.prompt(image, "Is the frog to the left or right of the camel?")
    logits, cache = vlm.run_with_cache(prompt)
    cache["blocks.3.hook_resid_post"]            # [batch, pos, d_model]

    def silence(resid, hook):                    # edit in place, or return a new tensor, or None
        resid[:, prompt.word("frog")] = 0

    logits = vlm.run_with_hooks(prompt, fwd_hooks=[("blocks.3.hook_resid_post", silence)])

``hook_resid_pre`` is what enters a block, ``hook_resid_post`` what leaves it (Hugging Face's
``hidden_states[l]`` and ``hidden_states[l + 1]``; the last one is before the final norm).
Prompts of different lengths are padded on the right, where causal attention never looks:
positions found with ``prompt.word`` hold in any batch.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from helpers.families import Family, family_of
from helpers.prompts import Prompt, build_prompt

HookFunction = Callable[[torch.Tensor, "HookPoint"], torch.Tensor | None]
Names = str | Sequence[str] | Callable[[str], bool] | None

_SITES = ("hook_resid_pre", "hook_resid_post")


@dataclass(frozen=True)
class HookPoint:
    """What a hook function learns about where it runs."""

    name: str

    def layer(self) -> int:
        """The block's number."""
        return int(self.name.split(".")[1])


class HookedVLM:
    """A Hugging Face model and its processor, with named places to read and write.

    Attributes:
        model: the model, unmodified.
        processor: its processor.
        family: its entry in ``families.py``.
        n_layers: number of decoder blocks.
        d_model: width of the residual stream.
        hook_names: every site, in the order in which a forward pass reaches them.
        held: the sites at which :meth:`hooks` holds hooks now.
        work: how many prompts ran in full so far, and how many rows of edits behind them.
    """

    def __init__(self, model: nn.Module, processor: Any, family: Family | None = None) -> None:
        """Wrap a model; ``family`` is its entry, by default the one of its ``model_type``."""
        self.family = family_of(model.config) if family is None else family
        self.model = model.eval()
        self.processor = processor
        self.layers = self.family.layers(model)
        self.n_layers = len(self.layers)
        self.d_model = model.config.get_text_config().hidden_size
        self.hook_names = [f"blocks.{i}.{site}" for i in range(self.n_layers) for site in _SITES]
        self.held: tuple[str, ...] = ()
        self.work = {"prompts": 0, "edits": 0}

    def __repr__(self) -> str:
        return (
            f"HookedVLM({self.family.name}, {self.n_layers} blocks of {self.d_model}, "
            f"{self.dtype}, {self.device})"
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of its weights."""
        return self.model.dtype

    def resid_post(self, layer: int) -> str:
        """Name of the residual stream after a block.

        Raises:
            IndexError: if there is no such block.
        """
        if not 0 <= layer < self.n_layers:
            raise IndexError(f"layer {layer} is out of range: there are 0 to {self.n_layers - 1}")
        return f"blocks.{layer}.hook_resid_post"

    # Prompts ------------------------------------------------------------------------------------

    def prompt(self, image: Any, question: str | Sequence[str]) -> Prompt | list[Prompt]:
        """Make a prompt; lists of images and questions give a list of prompts.

        An image may be a :class:`helpers.prompts.Video`. One image with several questions, or one
        question for several images, is paired up.

        Raises:
            ValueError: if a list is empty or the two lists differ in length.
        """
        if not isinstance(image, (list, tuple)) and isinstance(question, str):
            return self._prompt(image, question)
        images = list(image) if isinstance(image, (list, tuple)) else [image] * len(question)
        texts = [question] * len(images) if isinstance(question, str) else list(question)
        if not images or not texts:
            raise ValueError("an empty list of images or questions makes no prompt")
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} images but {len(texts)} questions")
        return [self._prompt(*pair) for pair in zip(images, texts, strict=True)]

    def _prompt(self, image: Any, question: str) -> Prompt:
        return build_prompt(self.processor, self.model.config, self.family, image, question)

    # Hooks --------------------------------------------------------------------------------------

    def check_names(self, names: Iterable[str]) -> None:
        """Raise a ValueError that suggests the nearest name for the first that does not exist."""
        for name in names:
            if name in self.hook_names:
                continue
            near = difflib.get_close_matches(str(name), self.hook_names, n=1, cutoff=0)
            raise ValueError(
                f"no hook called {name!r}; the nearest is {near[0]!r} "
                f"(layers 0 to {self.n_layers - 1}; sites {', '.join(_SITES)})"
            )

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[tuple[str, HookFunction]]) -> Iterator[None]:
        """Hold hooks for a ``with`` block; they are gone after it, whatever happens inside."""
        fwd_hooks = list(fwd_hooks)
        self.check_names(name for name, _ in fwd_hooks)
        handles, outside = [], self.held
        self.held += tuple(name for name, _ in fwd_hooks)
        try:
            for name, function in fwd_hooks:
                handles.append(self._attach(HookPoint(name), function))
            yield
        finally:
            self.held = outside
            for handle in handles:
                handle.remove()

    def _attach(self, point: HookPoint, function: HookFunction) -> Any:
        block = self.layers[point.layer()]
        if point.name.endswith("hook_resid_pre"):

            def before(module: nn.Module, arguments: tuple, keywords: dict) -> tuple | None:
                by_name = "hidden_states" in keywords
                resid = keywords["hidden_states"] if by_name else arguments[0]
                changed = function(resid, point)
                if changed is None:
                    return None
                if by_name:
                    return arguments, keywords | {"hidden_states": changed}
                return (changed, *arguments[1:]), keywords

            return block.register_forward_pre_hook(before, with_kwargs=True)

        def after(module: nn.Module, arguments: tuple, output: Any) -> Any:
            # Blocks return the stream alone or, in some families, first in a tuple.
            resid = output[0] if isinstance(output, tuple) else output
            changed = function(resid, point)
            if changed is None:
                return None
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return block.register_forward_hook(after)

    # Forward passes -----------------------------------------------------------------------------

    def batch(
        self, prompts: Prompt | Sequence[Prompt], append: Sequence[int] = ()
    ) -> dict[str, torch.Tensor]:
        """Collate prompts, padded on the right, on the model's device.

        Args:
            prompts: one or several, all with pictures or all with videos.
            append: tokens to write behind each of them.

        Raises:
            ValueError: if there are none, or they have different inputs.
        """
        prompts = _as_list(prompts)
        self.work["prompts"] += len(prompts)
        kinds = {tuple(sorted(prompt.inputs)) for prompt in prompts}
        if len(kinds) > 1:
            raise ValueError("prompts with pictures and with videos do not go into one batch")
        length = max(len(prompt) for prompt in prompts) + len(append)
        pad = self.processor.tokenizer.pad_token_id or 0
        ids = torch.full((len(prompts), length), pad)
        mask = torch.zeros(len(prompts), length, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            end = len(prompt) + len(append)
            ids[row, :end] = torch.tensor([*prompt.inputs["input_ids"][0], *append])
            mask[row, :end] = 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        for name in prompts[0].inputs:
            if name not in inputs:
                inputs[name] = self._collate(name, prompts, length, len(append))
        return {name: value.to(self.device) for name, value in inputs.items()}

    def continued(self, prompt: Prompt, rows: int, count: int) -> dict[str, torch.Tensor]:
        """What the model needs beside ``count`` tokens behind rows of a kept prompt."""
        return {
            name: torch.as_tensor(prompt.inputs[name])[:, -1:]
            .expand(rows, count, *prompt.inputs[name].shape[2:])
            .to(self.device)
            for name in self.family.carried_inputs
        }

    def _collate(
        self, name: str, prompts: Sequence[Prompt], length: int, extra: int
    ) -> torch.Tensor:
        parts = [torch.as_tensor(prompt.inputs[name]) for prompt in prompts]
        if name in self.family.carried_inputs:
            parts = [torch.cat([part, part[:, -1:].expand(-1, extra, *part.shape[2:])], 1)
                     for part in parts]  # fmt: skip
        if name in self.family.padded_inputs:
            parts = [_padded(part, length) for part in parts]
        elif name in self.family.tiled_inputs:
            parts = [_padded(part, max(part.shape[1] for part in parts)) for part in parts]
        values = torch.cat(parts)
        # Numbers such as seconds stay as they are: half a bit of them is too much.
        return values.to(self.dtype) if name.startswith("pixel_values") else values

    @torch.no_grad()
    def run_with_hooks(
        self,
        prompts: Prompt | Sequence[Prompt],
        fwd_hooks: Sequence[tuple[str, HookFunction]] = (),
    ) -> torch.Tensor:
        """Run the model with hooks and return the logits ``[batch, pos, vocabulary]``.

        Raises:
            ValueError: if there is no prompt or a hook's name does not exist.
        """
        with self.hooks(fwd_hooks):
            return self.model(**self.batch(prompts)).logits

    @torch.no_grad()
    def run_with_cache(
        self,
        prompts: Prompt | Sequence[Prompt],
        names: Names = None,
        fwd_hooks: Sequence[tuple[str, HookFunction]] = (),
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Run the model and keep what passes the named sites.

        Args:
            prompts: one or several.
            names: a name, several, a filter on names, or None for every site.
            fwd_hooks: edits made in the same pass; the cache holds the stream after them.

        Returns:
            Logits ``[batch, pos, vocabulary]`` and, by name, ``[batch, pos, d_model]``.
        """
        cache: dict[str, torch.Tensor] = {}

        def keep(resid: torch.Tensor, hook: HookPoint) -> None:
            cache[hook.name] = resid.detach().clone()

        readers = [(name, keep) for name in self.select(names)]
        return self.run_with_hooks(prompts, [*fwd_hooks, *readers]), cache

    def select(self, names: Names) -> list[str]:
        """Return the hook names that ``names`` stands for, checked."""
        if names is None:
            return list(self.hook_names)
        if callable(names):
            chosen = [name for name in self.hook_names if names(name)]
            if not chosen:
                raise ValueError("no hook name passes the filter")
            return chosen
        one = isinstance(names, str) or not isinstance(names, Iterable)
        chosen = [names] if one else list(names)
        if not chosen:
            raise ValueError("an empty list of hook names keeps nothing")
        self.check_names(chosen)
        return chosen

    @torch.no_grad()
    def last_logits(
        self,
        prompts: Prompt | Sequence[Prompt],
        fwd_hooks: Sequence[tuple[str, HookFunction]] = (),
    ) -> torch.Tensor:
        """Logits at every prompt's last token alone, ``[batch, vocabulary]``."""
        prompts = _as_list(prompts)
        last = torch.tensor([prompt.last for prompt in prompts], device=self.device)
        wanted, row_of = last.unique(return_inverse=True)
        with self.hooks(fwd_hooks):
            logits = self.model(**self.batch(prompts), logits_to_keep=wanted).logits
        if logits.shape[1] != len(wanted):  # VideoLLaMA 3 knows no such argument, and ignores it
            logits = logits[:, wanted]
        return logits[torch.arange(len(prompts), device=logits.device), row_of]

    @torch.no_grad()
    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        fwd_hooks: Sequence[tuple[str, HookFunction]] = (),
        max_new_tokens: int = 24,
    ) -> str | list[str]:
        """Answer greedily, one prompt at a time.

        Hooks act on the prompt only: they see it once, as ``[1, pos, d_model]``, and what they
        change stays in the key-value cache while the answer is written.
        """
        answers = []
        for prompt in _as_list(prompts):
            once = [(name, _on_prompt(function, len(prompt))) for name, function in fwd_hooks]
            with self.hooks(once):
                output = self.model.generate(
                    **self.batch(prompt), max_new_tokens=max_new_tokens, do_sample=False
                )
            new = output[0, len(prompt) :]
            answers.append(self.processor.tokenizer.decode(new, skip_special_tokens=True).strip())
        return answers[0] if isinstance(prompts, Prompt) else answers

    def beliefs(self, prompts: Prompt | Sequence[Prompt], answers: Sequence[str], **options: Any):
        """What the model believes; see :func:`helpers.beliefs.beliefs`."""
        from helpers.beliefs import beliefs

        return beliefs(self, prompts, answers, **options)


def _on_prompt(function: HookFunction, length: int) -> HookFunction:
    def wrapped(resid: torch.Tensor, hook: HookPoint) -> torch.Tensor | None:
        return function(resid, hook) if resid.shape[1] == length else None

    return wrapped


def _padded(part: torch.Tensor, length: int) -> torch.Tensor:
    """Fill the second axis up with zeros."""
    missing = length - part.shape[1]
    return torch.cat([part, part.new_zeros(part.shape[0], missing, *part.shape[2:])], 1)


def _as_list(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    if isinstance(prompts, Prompt):
        return [prompts]
    prompts = list(prompts)
    if not prompts:
        raise ValueError("an empty list of prompts has no answer")
    return prompts
