"""The judge: does this package see a model as Hugging Face runs it? ::

    vlm = load_vlm("your/model", dtype=torch.float32)
    judge(vlm)          # a table: check, passed, difference, allowed, hint

Each check measures a difference that is zero, or rounding, if the model's entry in
:mod:`helpers.families` is right. The tests of this package run the same checks on a tiny model of
every family. A model need not know anything: random weights will do.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw
from torch import nn

from helpers.engine import CleanRun, depth_of
from helpers.hooks import HookedVLM
from helpers.ids import LEFT_RIGHT, SpatialIDs, grid_scene
from helpers.interventions import Edit, as_hooks, steer
from helpers.prompts import Prompt
from helpers.rows import Enough
from helpers.stimuli.sampling import PAPER_SIZES

#: About pictures of three shapes, and of three lengths.
QUESTIONS = (
    "Is the frog to the left or right of the backpack?",
    "Where is the cat?",
    "Is the camel above or below the tree?",
)
SHAPES = ((90, 60), (60, 90), (40, 40))
#: What rounding may do, as a share of one plus the number that is compared.
ROUNDING = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
#: A picture with room for a square grid of tiles, and one that asks for tiles in a row.
_SPOTTED = ((180, 120), (240, 80))
#: Patches of each view that are tried with a spot, and blocks that are edited.
_SPOTS, _BLOCKS = 9, 5


class Finding(NamedTuple):
    """What a check measured, and how much would be rounding; ``note`` says where, if anywhere."""

    difference: float
    allowed: float
    note: str = ""


@dataclass(frozen=True)
class Check:
    """One question to a model, and what is probably wrong where the answer is no."""

    name: str
    measure: Callable[["Bench"], Finding]
    hint: str


class Bench:
    """A model with prompts to try it on: pictures of noise, questions of different lengths.

    Attributes:
        vlm: the model.
        rounding: the difference that its numbers' precision allows.
    """

    def __init__(self, vlm: HookedVLM) -> None:
        self.vlm = vlm
        self.rounding = ROUNDING[vlm.dtype]

    @cached_property
    def prompts(self) -> list[Prompt]:
        """Three prompts about three pictures, and another about the first picture."""
        asked = zip(SHAPES, QUESTIONS, strict=True)
        found = [
            self.vlm.prompt(noise_picture(seed, size), question)
            for seed, (size, question) in enumerate(asked)
        ]
        return [*found, self.vlm.prompt(noise_picture(0, SHAPES[0]), QUESTIONS[1])]

    def plain(self, prompt: Prompt, **options: Any) -> Any:
        """What Hugging Face alone makes of a prompt."""
        with torch.no_grad():
            inputs = {
                name: value.to(self.vlm.device) if torch.is_tensor(value) else value
                for name, value in prompt.inputs.items()
            }
            for name in inputs:
                if name.startswith("pixel_values"):
                    inputs[name] = inputs[name].to(self.vlm.dtype)
            return self.vlm.model(**inputs, **options)

    def last(self, prompt: Prompt) -> torch.Tensor:
        """The last token's logits by Hugging Face alone, ``[1, vocabulary]``."""
        return self.plain(prompt).logits[:, -1]


def judge(vlm: HookedVLM) -> pd.DataFrame:
    """Run every check.

    Returns:
        A row for each check: ``check``; ``passed``; ``difference``, what was measured, and
        ``allowed``, what would be rounding (both NaN if the check could not run); ``hint``, empty
        where it passed.
    """
    bench = Bench(vlm)
    return pd.DataFrame([run_check(check, bench) for check in CHECKS])


def run_check(check: Check, bench: Bench) -> dict[str, Any]:
    """One row of the table of :func:`judge`. An error inside a check is a finding as well."""
    row = {"check": check.name, "passed": False, "difference": math.nan, "allowed": math.nan}
    try:
        found = check.measure(bench)
    except Exception as error:
        told = " ".join(str(error).split())
        return row | {"hint": f"{type(error).__name__}: {told[:300]}. {check.hint}"}
    passed = found.difference <= found.allowed
    row |= {"passed": passed, "difference": found.difference, "allowed": found.allowed}
    told = f"{found.note}. {check.hint}" if found.note else check.hint
    return row | {"hint": "" if passed else told}


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, as a share of one plus what was expected; inf if shapes differ."""
    if found.shape != expected.shape:
        return math.inf
    expected = expected.float().cpu()
    return float(((found.float().cpu() - expected).abs() / (1 + expected.abs())).max())


def noise_picture(seed: int, size: tuple[int, int] = SHAPES[0]) -> Image.Image:
    """A picture of random colours, ``size`` is (width, height)."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (size[1], size[0], 3), generator=generator)
    return Image.fromarray(pixels.byte().numpy())


# Prompts ----------------------------------------------------------------------------------------


def _tokens(bench: Bench) -> Finding:
    processor, wrong = bench.vlm.processor, 0
    for prompt in bench.prompts:
        content = [{"type": "image"}, {"type": "text", "text": prompt.question}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        begins = text.startswith(processor.tokenizer.bos_token or "\0")
        given = processor(
            images=[prompt.image], text=[text], return_tensors="pt", add_special_tokens=not begins
        )
        pairs = itertools.zip_longest(given["input_ids"][0].tolist(), prompt.inputs["input_ids"][0])
        wrong += sum(one is None or other is None or one != int(other) for one, other in pairs)
        wrong += len(set(given) ^ set(prompt.inputs))
        wrong += prompt.question not in prompt.text
    return Finding(wrong, 0)


def _words(bench: Bench) -> Finding:
    decode, missed = bench.vlm.processor.tokenizer.decode, []
    for prompt in bench.prompts:
        for word in [*prompt.question.strip("?").split(), "?"]:
            span = prompt.word(word)
            whole = span == list(range(span[0], span[-1] + 1))
            behind = span[0] > prompt.image_patches.positions[-1]
            says = decode(prompt.inputs["input_ids"][0, span]).strip()
            if not (whole and behind and says == word):
                missed.append(f"{word!r} is found as {says!r}")
    return Finding(len(missed), 0, "; ".join(missed[:3]))


def _inputs(bench: Bench) -> Finding:
    """Inputs that the entry does not require, and that nobody would miss, change nothing."""
    family, largest, note = bench.vlm.family, 0.0, ""
    for prompt in bench.prompts[:2]:
        clean = bench.last(prompt)
        kept = {"input_ids", "attention_mask", *family.required_inputs}
        for name in set(prompt.inputs) - kept:
            inputs = {key: value for key, value in prompt.inputs.items() if key != name}
            try:
                without = bench.last(Prompt(**{**vars(prompt), "inputs": inputs}))
            except Exception:
                # Whatever it raises, it does not go on without: nobody leaves this input out
                # unnoticed, which is all that is asked here.
                continue
            if apart(without, clean) > largest:
                largest, note = apart(without, clean), f"without {name} the logits are others"
    return Finding(largest, bench.rounding, note)


# Patches ----------------------------------------------------------------------------------------


def _patches(bench: Bench) -> Finding:
    wrong = 0
    for prompt in bench.prompts:
        patches = prompt.image_patches
        shown = [position for view in patches.views for position in view.positions]
        wrong += len(shown) - len(set(shown)) + len(set(shown) - set(patches.positions))
        wrong += sum(len(view.positions) != math.prod(view.grid) for view in patches.views)
    return Finding(wrong, 0)


def _spots(bench: Bench) -> Finding:
    """A spot in the picture moves, in each view, the patch that shows it most."""
    missed, tried, note = 0, 0, ""
    with patches_alone(bench.vlm.model):
        for size in _SPOTTED:
            grey = Image.new("RGB", size, "grey")
            patches = bench.vlm.prompt(grey, "Where?").image_patches
            before = _entering(bench, grey)
            for number, view in enumerate(patches.views):
                count = min(_SPOTS, len(view.positions))
                for index in np.linspace(0, len(view.positions) - 1, count).round().astype(int):
                    row, column = divmod(int(index), view.grid[1])
                    after = _entering(bench, _with_spot(grey, view, row, column))
                    change = (after - before).norm(dim=-1)[patches.positions]
                    # Other views show the spot as well: only this one's patches are compared.
                    change = {p: float(c) for p, c in zip(patches.positions, change, strict=True)}
                    moved = max(view.positions, key=lambda p: change.get(p, -1.0))
                    tried += 1
                    if moved != view.positions[index]:
                        missed += 1
                        note = note or (
                            f"in a picture of {size[0]} x {size[1]}, a spot on patch ({row}, "
                            f"{column}) of view {number}, said to be token "
                            f"{view.positions[index]}, moves token {moved}"
                        )
    return Finding(missed / max(tried, 1), 0, note)


def _entering(bench: Bench, picture: Image.Image) -> torch.Tensor:
    """What enters the decoder, ``[pos, d_model]``: its own first block, not the entry's."""
    found = []

    def stop(block: nn.Module, arguments: tuple, keywords: dict) -> None:
        found.append(keywords["hidden_states"] if "hidden_states" in keywords else arguments[0])
        raise Enough

    block = bench.vlm.model.get_decoder().layers[0]
    handle = block.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with suppress(Enough):
            bench.plain(bench.vlm.prompt(picture, "Where?"))
    finally:
        handle.remove()
    return found[0][0].float().cpu()


def _with_spot(picture: Image.Image, view: Any, row: int, column: int) -> Image.Image:
    """The picture with a red spot in the middle of a patch, half as wide as the patch."""
    left, top, right, bottom = view.box
    high, wide = (bottom - top) / view.grid[0], (right - left) / view.grid[1]
    x, y = left + (column + 0.5) * wide, top + (row + 0.5) * high
    edges = (x - wide / 4, y - high / 4, x + wide / 4, y + high / 4)
    spotted = picture.copy()
    box = [edge * length for edge, length in zip(edges, picture.size * 2, strict=True)]
    ImageDraw.Draw(spotted).rectangle(box, fill="red")
    return spotted


@contextmanager
def patches_alone(model: nn.Module) -> Iterator[None]:
    """Let no patch of the vision tower see another, for a while."""
    decoder = set(model.get_decoder().modules())

    def nothing(module: nn.Module, arguments: tuple, output: Any) -> Any:
        if isinstance(output, tuple):
            return (torch.zeros_like(output[0]), *output[1:])
        return torch.zeros_like(output)

    handles = [
        module.register_forward_hook(nothing)
        for name, module in model.named_modules()
        if module not in decoder and name.endswith(("self_attn", "attn", "attention"))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# Hooks ------------------------------------------------------------------------------------------


def _blocks(bench: Bench) -> Finding:
    """Logits and every block's output are those of Hugging Face."""
    vlm, difference = bench.vlm, 0.0
    there = vlm.model.config.get_text_config().num_hidden_layers
    if vlm.n_layers != there:
        note = f"the entry finds {vlm.n_layers} blocks and the config says {there}"
        return Finding(math.inf, 0, note)
    for prompt in bench.prompts:
        plain = bench.plain(prompt, output_hidden_states=True)
        logits, cache = vlm.run_with_cache(prompt)
        difference = max(difference, apart(logits, plain.logits))
        # Hugging Face notes the last one behind the final norm: see the next check.
        sites = ["blocks.0.hook_resid_pre", *map(vlm.resid_post, range(vlm.n_layers - 1))]
        for site, states in zip(sites, plain.hidden_states[:-1], strict=True):
            difference = max(difference, apart(cache[site], states))
    return Finding(difference, 0)


def _unembedding(bench: Bench) -> Finding:
    """The last block's output, through the final norm and the unembedding, gives the logits."""
    vlm, difference = bench.vlm, 0.0
    norm, head = vlm.model.get_decoder().norm, vlm.model.get_output_embeddings()
    for prompt in bench.prompts:
        site = vlm.resid_post(vlm.n_layers - 1)
        _, cache = vlm.run_with_cache(prompt, site)
        with torch.no_grad():
            found = head(norm(cache[site]))
        difference = max(difference, apart(found, bench.plain(prompt).logits))
    return Finding(difference, bench.rounding)


def _batches(bench: Bench) -> Finding:
    """Prompts of different lengths and pictures in one batch give what each gives alone."""
    together = bench.vlm.last_logits(bench.prompts)
    alone = torch.cat([bench.last(prompt) for prompt in bench.prompts])
    return Finding(apart(together, alone), bench.rounding)


def _edits(bench: Bench) -> Finding:
    """What is added at one token is read at this token, and nowhere else at the same site."""
    vlm, prompt, difference = bench.vlm, bench.prompts[0], 0.0
    word = prompt.word("frog")[-1]
    for name in vlm.hook_names:
        edit = Edit(name, (word,), noise(0, vlm.d_model))
        clean = vlm.run_with_cache(prompt, name)[1][name]
        after = vlm.run_with_cache(prompt, name, as_hooks([[edit]]))[1][name]
        expected = clean.clone()
        expected[0, word] += edit.vectors.to(clean)
        difference = max(difference, apart(after, expected))
    return Finding(difference, bench.rounding)


# The engine -------------------------------------------------------------------------------------


def noise(seed: int, *shape: int, scale: float = 3.0) -> torch.Tensor:
    """Normal numbers of a seed."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def edits_of(vlm: HookedVLM, prompt: Prompt) -> list[tuple[Edit, ...]]:
    """Rows of edits of every kind that the book uses, after some of the blocks."""
    word, last = prompt.word(prompt.question.split()[2].strip("?")), prompt.last
    image = prompt.image_patches.positions
    d, posts = vlm.d_model, [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
    few = np.linspace(0, vlm.n_layers - 1, min(_BLOCKS, vlm.n_layers)).round().astype(int)
    rows = []
    for layer in few.tolist():
        pre, site = f"blocks.{layer}.hook_resid_pre", posts[layer]
        rows.append((steer(site, word, noise(1, d), 1.0),))
        rows.append((Edit(pre, tuple(word), noise(2, d)),))
        rows.append((Edit(site, tuple(range(word[0], last)), noise(3, last - word[0], d), True),))
        rows.append((Edit(site, (last,), noise(4, 1, d), True),))
        rows.append((Edit(site, tuple(image), noise(5, len(image), d), True),))
        rows.append((Edit(site, (image[len(image) // 2],), noise(6, d)),))
        rows.append((Edit(pre, (image[0],), noise(7, d)),))
    rows.append((steer(posts[0], word, noise(8, d)), steer(posts[-1], [last], noise(9, d))))
    rows.append((Edit(posts[0], (image[-1],), noise(10, d)),
                 Edit("blocks.1.hook_resid_pre", (image[-1], last), noise(11, d))))  # fmt: skip
    rows.append((Edit("blocks.0.hook_resid_pre", (0,), noise(12, d)),))
    return rows


def touches(prompt: Prompt, edits: Sequence[Edit]) -> str:
    """Where a row's first edit is: ``beginning`` (before the image), ``image``, or ``text``."""
    first = min(min(edit.positions) for edit in edits)
    if first > prompt.image_patches.positions[-1]:
        return "text"
    return "image" if first >= prompt.image_patches.positions[0] else "beginning"


def rows_apart(vlm: HookedVLM, prompt: Prompt, rows: Sequence[tuple[Edit, ...]]) -> float:
    """The engine's logits for rows of edits against a full pass with hooks for each of them."""
    start = min(min(edit.positions) for row in rows for edit in row)
    clean = CleanRun(vlm, [prompt], start, {depth_of(edit.site) for row in rows for edit in row})
    full = torch.cat([vlm.last_logits(prompt, as_hooks([edits])) for edits in rows])
    return apart(clean.run([rows])[0], full)


def _engine(*where: str) -> Callable[[Bench], Finding]:
    def measure(bench: Bench) -> Finding:
        difference = 0.0
        for prompt in bench.prompts[:2]:
            rows = [row for row in edits_of(bench.vlm, prompt) if touches(prompt, row) in where]
            difference = max(difference, rows_apart(bench.vlm, prompt, rows))
        return Finding(difference, bench.rounding)

    return measure


# A known ID -------------------------------------------------------------------------------------


class _Plant:
    """Adds known vectors at a noun, by plain torch hooks that know nothing of this package.

    They see what the model is given: which tokens, and which pixels. What is added is ``column``
    times one vector plus ``row`` times another.
    """

    def __init__(self, model: nn.Module, processor: Any, layer: int, places: Mapping[str, tuple]):
        self.places, self.processor = places, processor
        self.axes = [noise(20 + axis, model.config.get_text_config().hidden_size, scale=1)
                     for axis in range(2)]  # fmt: skip
        block = model.get_decoder().layers[layer]
        self.handles = [
            model.register_forward_pre_hook(self._look, with_kwargs=True),
            block.register_forward_hook(self._write),
        ]

    def vector(self, row: int, column: int) -> torch.Tensor:
        return row * self.axes[0] + column * self.axes[1]

    def _look(self, model: nn.Module, arguments: tuple, inputs: dict) -> None:
        self.ids, self.pixels = inputs["input_ids"][0].tolist(), inputs["pixel_values"]

    def _write(self, block: nn.Module, arguments: tuple, output: Any) -> Any:
        resid = output[0] if isinstance(output, tuple) else output
        resid = resid.clone()
        decode, ids = self.processor.tokenizer.decode, self.ids
        for place in range(len(ids) - 1, 0, -1):  # from the end, where the question is
            if decode(ids[max(0, place - 8) : place + 1]).endswith(_PLANTED[0]):
                resid[0, place] += self.vector(*self.places[_pixels(self.pixels)]).to(resid)
                break
        return (resid, *output[1:]) if isinstance(output, tuple) else resid


#: A noun, in most vocabularies of several tokens, and its partner.
_PLANTED = ("backpack", "camel")
_CELLS = tuple(itertools.product(range(2), repeat=2))


def _pixels(values: torch.Tensor) -> str:
    return hashlib.sha256(values.float().cpu().contiguous().numpy().tobytes()).hexdigest()


def _planted(bench: Bench) -> Finding:
    """IDs with known vectors in the model, less those without, are the known vectors."""
    vlm = bench.vlm
    layer = vlm.n_layers // 2
    site, options = vlm.resid_post(layer), {"grid": 2, "partners": 3, "batch_size": 1}
    names, places = sorted(_PLANTED), {}
    for own, other in itertools.permutations(_CELLS, 2):
        where = [own if name == _PLANTED[0] else other for name in names]
        scene = grid_scene(names, where, PAPER_SIZES[-1], 2)
        prompt = vlm.prompt(scene.render(), LEFT_RIGHT.format(*_PLANTED))
        places[_pixels(vlm.batch(prompt)["pixel_values"])] = own

    def extracted() -> torch.Tensor:
        return SpatialIDs.extract(
            vlm, [_PLANTED], sites=[site], progress=False, **options
        ).mean(site)  # fmt: skip

    before = extracted()
    plant = _Plant(vlm.model, vlm.processor, layer, places)
    try:
        found = extracted() - before
    finally:
        for handle in plant.handles:
            handle.remove()
    known = torch.stack([plant.vector(*cell) for cell in _CELLS]).view(2, 2, -1)
    return Finding(apart(found, known - known.mean((0, 1))), 10 * bench.rounding)


_VIEWS = "The entry's `views` must give each grid's positions row by row, and its box"
_LAYERS = "The entry's `layers` must lead to the decoder's blocks: model.get_decoder().layers"
_PASSED_ON = "Name what the processor must give in `required_inputs`"
_ENGINE = (
    "The fast passes assume causal attention and a plain stream between blocks; see "
    "`image_sees_itself`, `cross_layers`, `added_between`. Until it passes, use hooks"
)
CHECKS = (
    Check("tokens are the processor's own", _tokens,
          "The config's image_token_id must be the token that the processor writes"),
    Check("words are found", _words, "Does the tokenizer give offsets (is it a fast one)?"),
    Check("inputs that matter are required", _inputs, _PASSED_ON),
    Check("patches are image tokens, each once", _patches, _VIEWS),
    Check("a spot moves its own patch", _spots, _VIEWS),
    Check("blocks are Hugging Face's", _blocks, _LAYERS),
    Check("norm and unembedding give the logits", _unembedding,
          "The model scales or caps its logits, or its final norm is not get_decoder().norm"),
    Check("a batch equals single prompts", _batches,
          "Which axis grows with the prompt, or with tiles? See `padded_inputs`, `tiled_inputs`"),
    Check("an edit is read where it is written", _edits, _LAYERS),
    Check("fast passes, edits in the text", _engine("text"), _ENGINE),
    Check("fast passes, edits from the image on", _engine("beginning", "image"), _ENGINE),
    Check("a planted ID is recovered", _planted, f"{_LAYERS}. And are words found?"),
)  # fmt: skip
