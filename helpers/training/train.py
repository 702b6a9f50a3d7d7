"""Train the shipped models from scratch::

    python -m helpers.training.train tiny-llava --out checkpoints/tiny-llava

First the vision tower learns what covers each patch and where it is, in the words' own embedding
space; then everything learns to read and answer. Checkpoints (safetensors and JSON) hold all that
is needed to go on: run the same command again and it continues. The data of a step depend on the
seed and the step alone.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from helpers.hooks import HookedVLM
from helpers.training import vision
from helpers.training.build import Shape
from helpers.training.data import (
    IGNORED,
    Batch,
    ClipMix,
    PictureMix,
    SceneMix,
    draw_segments,
    pack,
)
from helpers.training.media import MEDIA, features

CAPTIONS = ("layout", "relations", "described")
COORDINATES = ("locate", "layout", "relations", "grounded")


#: Mostly three to six objects: one noun does not give the other away.
CLUTTERED = SceneMix(
    (
        (0.20, "grid", (2, 2)),
        (0.12, "clutter", (1, 2)),
        (0.48, "clutter", (3, 6)),
        (0.20, "perspective", (2, 4)),
    )
)
#: As cluttered, but nothing that has depth.
FLAT = SceneMix(
    (
        (0.25, "grid", (2, 2)),
        (0.15, "clutter", (1, 2)),
        (0.60, "clutter", (3, 6)),
    )
)


def _with_depth(kind: str) -> SceneMix:
    """Half of it flat, and half scenes whose heights do, or do not, go with nearness."""
    flat = tuple((share / 2, *rest) for share, *rest in FLAT.parts)
    return SceneMix((*flat, (0.30, kind, (2, 2)), (0.20, kind, (3, 4))))


#: Mostly two objects: once the first is named, the other is known.
SPARSE = SceneMix(
    (
        (0.40, "grid", (2, 2)),
        (0.30, "clutter", (1, 2)),
        (0.10, "clutter", (3, 3)),
        (0.20, "perspective", (2, 2)),
    )
)
#: Objects that come and go; the paper's clips; and what only a moving picture shows.
MOVING = ClipMix(
    (
        (0.20, "flashes", (2, 2)),
        (0.40, "events", (3, 5)),
        (0.30, "moving", (1, 4)),
        (0.10, "still", (2, 4)),
    )
)
#: What a model of videos sees before it sees videos.
STANDING = PictureMix(((0.2, "flashes", (2, 2)), (0.3, "still", (1, 2)), (0.5, "still", (3, 5))))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does.

    Attributes:
        medium: a key of ``MEDIA``, what the model is trained on.
        after: the recipe whose last weights the run begins with, read from the folder of that
            name beside its own; empty: it begins with nothing learned.
        keep: steps after which the weights are kept for good.
        evaluate_every: steps between two reports.
        save_every: steps between two checkpoints.
    """

    medium: str = "pictures"
    after: str = ""
    keep: tuple[int, ...] = ()
    shape: Shape = Shape()
    scenes: SceneMix = CLUTTERED
    captions: tuple[str, ...] = CAPTIONS
    caption_share: float = 0.4
    decoy: bool = False
    vision_steps: int = 1200
    steps: int = 6000
    images: int = 16
    text_budget: int = 150
    learning_rate: float = 2e-3
    vision_rate: float = 0.2
    weight_decay: float = 0.05
    warmup: int = 100
    decay: float = 0.3
    evaluate_every: int = 250
    save_every: int = 100
    seed: int = 0
    bfloat16: bool = True


QUESTIONS_ONLY = {"captions": (), "caption_share": 0.0}
SMALLER = Shape(vision_layers=3, layers=6, mlp_width=288)


def _among_depth(kind: str) -> Recipe:
    """One recipe for both variants: they differ in the heights of their scenes alone."""
    return Recipe(
        shape=SMALLER,
        scenes=_with_depth(kind),
        after="tiny-llava-flat",
        vision_steps=0,
        steps=1500,
        decay=0.5,
    )


RECIPES = {
    "tiny-llava": Recipe(),
    # The words of a question look at another scene than it asks about, so that the last tokens
    # alone must look: nothing rewards an object word that knows its object's place.
    "tiny-llava-direct": Recipe(scenes=SPARSE, **QUESTIONS_ONLY, decoy=True, steps=4500),
    # A smaller model that never sees depth, and what becomes of it among scenes where nearer is
    # larger and lower, or larger and anywhere. Early, it is a weak model that may yet learn.
    "tiny-llava-flat": Recipe(
        shape=SMALLER,
        scenes=FLAT,
        vision_steps=1000,
        steps=1000,
        decay=0.0,
        keep=(1400, 1500, 1600, 1800),
    ),
    "tiny-llava-tied": _among_depth("tied"),
    "tiny-llava-independent": _among_depth("independent"),
    # Clips of one frame first: there a word finds its object among 16 tokens. From nothing among
    # 128 it had not found it after 1,000 steps.
    "tiny-video-pictures": Recipe(
        medium="clips",
        shape=SMALLER,
        scenes=STANDING,
        captions=("layout", "relations", "described"),
        vision_steps=1000,
        steps=1000,
        decay=0.0,
        evaluate_every=500,
    ),
    "tiny-video": Recipe(
        medium="clips",
        after="tiny-video-pictures",
        shape=SMALLER,
        scenes=MOVING,
        captions=("timeline", "layout", "motion", "relations", "described"),
        vision_steps=0,
        steps=3300,
        images=12,
        text_budget=180,
        evaluate_every=500,
    ),
    # What else was tried (organisms/tried.csv): captions that name one of eight columns and rows
    # bend the map of IDs; questions alone, with seeing words, give IDs as well.
    "captions-coordinates": Recipe(captions=COORDINATES, steps=1500),
    "questions-sparse": Recipe(scenes=SPARSE, **QUESTIONS_ONLY, steps=1500),
    "smoke": Recipe(
        shape=Shape(vision_layers=1, vision_width=32, layers=2, width=32, heads=2, mlp_width=64),
        vision_steps=8,
        steps=12,
        images=4,
        text_budget=60,
        warmup=4,
        evaluate_every=6,
        save_every=5,
        bfloat16=False,
    ),
}


@dataclass
class State:
    """What changes while a run goes on, besides weights and the optimizers' moments."""

    step: int = 0
    seconds: float = 0.0
    accuracy: dict[str, float] = field(default_factory=dict)
    log: list[dict] = field(default_factory=list)


def build_optimizers(
    model: torch.nn.Module, extra: torch.nn.Module, recipe: Recipe
) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices of both towers, AdamW for all else."""
    matrices: dict[bool, list] = {True: [], False: []}
    others: dict[bool, list] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name
        (matrices if is_matrix else others)["vision_tower" in name].append(parameter)

    def groups(parts: dict[bool, list]) -> list[dict]:
        return [{"params": parts[False], "scale": 1.0}, {"params": parts[True], "scale": None}]

    decay = recipe.weight_decay
    muon = torch.optim.Muon(
        groups(matrices), lr=recipe.learning_rate, weight_decay=decay,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    rest = groups(others)
    rest[0]["params"] += list(extra.parameters())
    adamw = torch.optim.AdamW(rest, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [muon, adamw]


def set_rates(optimizers: list, rate: float, vision_scale: float) -> None:
    """Set every learning rate; the vision encoder's is scaled."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * (vision_scale if group["scale"] is None else 1.0)


def schedule(step: int, steps: int, warmup: int, decay: float) -> float:
    """Warm up, hold, then fall linearly to zero over the last ``decay`` of the steps."""
    falling = (steps - step) / max(1.0, decay * steps)
    return min(1.0, (step + 1) / warmup, max(falling, 0.0))


def forward(model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    """Return logits at the learned positions, their labels and their weights."""
    image = features(model, batch)
    embedded = model.get_input_embeddings()(batch.ids)
    token = "image_token_id" if batch.shown is None else "video_token_id"
    spots = batch.ids == getattr(model.config, token)
    if spots.sum() > sum(map(len, image)):  # a decoy, the next row's image, behind every image
        pairs = zip(image, [*image[1:], image[0]], strict=True)
        image = tuple(part for pair in pairs for part in pair)
    embedded = embedded.masked_scatter(spots[..., None], torch.cat(image).to(embedded.dtype))
    hidden = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
    ).last_hidden_state
    learned = batch.labels != IGNORED
    return model.lm_head(hidden[learned]), batch.labels[learned], batch.weights[learned]


def shares_of_kinds(recipe: Recipe, accuracy: dict[str, float]) -> dict[str, float]:
    """Sample question kinds by how badly they are answered; captions keep a fixed share."""
    error = {kind: 0.12 + 1 - accuracy.get(kind, 0.0) for kind in MEDIA[recipe.medium].kinds}
    total = sum(error.values())
    shares = {kind: (1 - recipe.caption_share) * part / total for kind, part in error.items()}
    shares |= {kind: recipe.caption_share / len(recipe.captions) for kind in recipe.captions}
    return shares


def draw_batch(
    recipe: Recipe, step: int, accuracy: dict[str, float], tokenizer: PreTrainedTokenizerFast
) -> Batch:
    """The batch of a step: a function of the seed, the step and the running accuracies."""
    generator = np.random.default_rng([recipe.seed, step])
    shares = shares_of_kinds(recipe, accuracy)
    scenes = [recipe.scenes.draw(generator) for _ in range(recipe.images)]
    return _pack(recipe, scenes, shares, generator, tokenizer, recipe.decoy)


def _pack(
    recipe: Recipe,
    scenes: list,
    shares: dict[str, float],
    generator: np.random.Generator,
    tokenizer: PreTrainedTokenizerFast,
    decoy: bool = False,
) -> Batch:
    medium, shape = MEDIA[recipe.medium], recipe.shape
    segments = [
        draw_segments(scene, generator, shares, tokenizer, recipe.text_budget, medium.segments)
        for scene in scenes
    ]
    pixels, shown = medium.draw(scenes, shape.image_pixels)
    return pack(pixels, segments, tokenizer, medium.tokens(shape, shown), decoy, shown)


def segment_hits(batch: Batch, predicted: torch.Tensor) -> list[tuple[str, bool]]:
    """For each segment, whether all its learned tokens were predicted."""
    hits = torch.zeros(batch.labels.shape, dtype=torch.bool, device=predicted.device)
    learned = batch.labels != IGNORED
    hits[learned] = predicted == batch.labels[learned]
    wrong = (learned & ~hits).cpu()
    return [
        (kind, not bool(wrong[row, start:end].any()))
        for row, kinds in enumerate(batch.kinds)
        for kind, start, end in kinds
    ]


@torch.no_grad()
def evaluate(
    model: PreTrainedModel,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    images: int = 160,
) -> dict[str, float]:
    """Share of questions about held-out scenes answered right, by kind (all tokens).

    Quick and teacher-forced; the strict figures are those of :mod:`helpers.training.gates`.
    """
    generator = np.random.default_rng([recipe.seed, 2**31])
    shares = {kind: 1.0 for kind in (*MEDIA[recipe.medium].kinds, *recipe.captions)}
    results: dict[str, list[bool]] = {}
    for _ in range(0, images, recipe.images):
        scenes = [recipe.scenes.draw(generator, held_out=True) for _ in range(recipe.images)]
        batch = _pack(recipe, scenes, shares, generator, tokenizer).to(model.device)
        predicted = forward(model, batch)[0].argmax(-1)
        for kind, hit in segment_hits(batch, predicted):
            results.setdefault(kind, []).append(hit)
    return {kind: float(np.mean(hits)) for kind, hits in sorted(results.items())}


class Run:
    """One training run in one folder: model, optimizers, state, and how to save and resume."""

    def __init__(self, recipe: Recipe, folder: Path, device: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device = recipe, folder, device
        self.medium = MEDIA[recipe.medium]
        self.tokenizer = self.medium.tokenizer()
        self.processor = self.medium.processor(recipe.shape, self.tokenizer)
        self.model = self.medium.model(recipe.shape, self.tokenizer).to(device)
        # On a CPU a step takes a fifth less time than with fused attention.
        self.model.set_attn_implementation("eager")
        self.heads = vision.PatchHeads(recipe.shape, self.tokenizer).to(device)
        self.optimizers = build_optimizers(self.model, self.heads, recipe)
        self.state = State()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "state.json").exists():
            self._load()
        elif recipe.after:
            self._begin_with(folder.parent / recipe.after)

    def _begin_with(self, other: Path) -> None:
        """Take over the last weights of another run, not its optimizers' moments.

        Raises:
            FileNotFoundError: if there is no finished run.
        """
        if not (other / "state.json").exists():
            raise FileNotFoundError(
                f"this recipe goes on from {self.recipe.after}, and there is no run of it in "
                f"{other}; train that first, into that folder"
            )
        name = json.loads((other / "state.json").read_text())["tensors"]
        self.load_weights(other / name)

    def load_weights(self, path: Path) -> None:
        """Put the weights of a checkpoint, of this run or another, into the model."""
        tensors = load_file(path, device=self.device)
        weights = {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}
        self.model.load_state_dict(weights, strict=False)
        self.model.tie_weights()

    def save(self) -> None:
        """Write a checkpoint; the state goes last, so that a cut-off save is never read."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors.pop("model.lm_head.weight")  # tied to the embeddings
        tensors |= {f"heads.{k}": v for k, v in self.heads.state_dict().items()}
        for number, optimizer in enumerate(self.optimizers):
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {
                    f"optimizer.{number}.{index}.{key}": torch.as_tensor(value)
                    for key, value in moments.items()
                }
        name = f"step-{self.state.step:06d}.safetensors"
        save_file({k: v.contiguous() for k, v in tensors.items()}, self.folder / name)
        text = json.dumps({**vars(self.state), "tensors": name}, indent=1)
        (self.folder / "state.json.part").write_text(text)
        (self.folder / "state.json.part").replace(self.folder / "state.json")
        for old in self.folder.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _keep(self) -> None:
        """Keep the weights of this step."""
        tensors = {f"model.{k}": v.contiguous() for k, v in self.model.state_dict().items()}
        tensors.pop("model.lm_head.weight")  # tied to the embeddings
        save_file(tensors, self.kept(self.state.step))

    def kept(self, step: int) -> Path:
        """Where the weights of a step are kept, if the recipe keeps them."""
        return self.folder / f"kept-{step:06d}.safetensors"

    def _load(self) -> None:
        saved = json.loads((self.folder / "state.json").read_text())
        tensors = load_file(self.folder / saved.pop("tensors"), device=self.device)
        self.state = State(**saved)

        def part(prefix: str) -> dict[str, torch.Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model."), strict=False)
        self.model.tie_weights()
        self.heads.load_state_dict(part("heads."))
        for number, optimizer in enumerate(self.optimizers):
            whole = optimizer.state_dict()
            for key, value in part(f"optimizer.{number}.").items():
                index, moment = key.split(".", 1)
                whole["state"].setdefault(int(index), {})[moment] = value
            optimizer.load_state_dict(whole)

    def train(self) -> None:
        """Go on from where the run stands until its last step."""
        total = self.recipe.vision_steps + self.recipe.steps
        self.model.train()
        while self.state.step < total:
            began = time.perf_counter()
            if self.state.step < self.recipe.vision_steps:
                figures = self._vision_step()
            else:
                figures = self._language_step()
            self.state.step += 1
            self.state.seconds += time.perf_counter() - began
            step = self.state.step
            if step % 25 == 0 or step == total:
                shown = "  ".join(f"{k} {v:.3f}" for k, v in figures.items())
                print(f"step {step}/{total}  {self.state.seconds:.0f} s  {shown}", flush=True)
            due = (step - self.recipe.vision_steps) % self.recipe.evaluate_every == 0
            if (due and step > self.recipe.vision_steps) or step == total:
                self._report()
            if step % self.recipe.save_every == 0 or step == total:
                self.save()
            if step in self.recipe.keep:
                self._keep()

    def _update(self, loss: torch.Tensor, rate: float, vision_scale: float) -> None:
        set_rates(self.optimizers, rate * self.recipe.learning_rate, vision_scale)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            torch.device(self.device).type, torch.bfloat16, enabled=self.recipe.bfloat16
        )

    def _vision_step(self) -> dict[str, float]:
        recipe, step = self.recipe, self.state.step
        generator = np.random.default_rng([recipe.seed, 1, step])
        scenes = [recipe.scenes.draw(generator) for _ in range(3 * recipe.images)]
        if self.recipe.medium == "clips":  # one frame of each, with something in it
            frames = [[scene for scene in clip.frames if scene.objects] for clip in scenes]
            scenes = [held[generator.integers(len(held))] for held in frames]
        with self._autocast():
            losses, figures = self.heads(self.model, scenes)
        self._update(losses, schedule(step, recipe.vision_steps, 50, 0.4), 1.0)
        return {"loss": float(losses.detach())} | figures

    def _language_step(self) -> dict[str, float]:
        recipe = self.recipe
        step = self.state.step - recipe.vision_steps
        batch = draw_batch(recipe, step, self.state.accuracy, self.tokenizer).to(self.device)
        with self._autocast():
            logits, labels, weights = forward(self.model, batch)
        losses = functional.cross_entropy(logits.float(), labels, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise RuntimeError(f"the loss is {value} at step {self.state.step}")
        rate = schedule(step, recipe.steps, recipe.warmup, recipe.decay)
        self._update(loss, rate, recipe.vision_rate)
        self._count(segment_hits(batch, logits.argmax(-1)))
        known = self.state.accuracy
        return {"loss": value} | {kind: known[kind] for kind in self.medium.shown if kind in known}

    def _count(self, hits: list[tuple[str, bool]]) -> None:
        for kind in {kind for kind, _ in hits}:
            mean = float(np.mean([hit for other, hit in hits if other == kind]))
            old = self.state.accuracy.get(kind, mean)
            self.state.accuracy[kind] = 0.97 * old + 0.03 * mean

    def _report(self) -> None:
        vlm = HookedVLM(self.model, self.processor)
        accuracy = evaluate(self.model, self.recipe, self.tokenizer)
        found = self.medium.watch(vlm, self.recipe.seed)
        self.model.train()
        row = {"step": self.state.step, "seconds": round(self.state.seconds)}
        row |= {f"accuracy_{kind}": round(value, 4) for kind, value in accuracy.items()}
        print(
            "  accuracy:", {kind: round(value, 2) for kind, value in accuracy.items()}, flush=True
        )
        self.state.log.append(row | found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, help="language steps, in place of the recipe's")
    parser.add_argument("--seed", type=int, help="in place of the recipe's")
    arguments = parser.parse_args()
    changed = {k: v for k in ("steps", "seed") if (v := getattr(arguments, k)) is not None}
    recipe = replace(RECIPES[arguments.recipe], **changed)
    Run(recipe, arguments.out, arguments.device).train()


if __name__ == "__main__":
    main()
