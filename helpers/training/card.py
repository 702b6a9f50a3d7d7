"""Write a shipped model's card from its measured figures.

On the command line::

    python -m helpers.training.card tiny-llava helpers/organisms/tiny-llava
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helpers.training.train import RECIPES, Recipe

HEADER = """---
license: mit
library_name: transformers
pipeline_tag: image-text-to-text
---

# {name}

{purpose}

{architecture}
Trained from scratch for the book "Where Is the Frog?". {parameters}

{loading}

## Data

{stimuli}{depth}. Never shown in training: one in eight
pairs of objects, and for every object three cells of the 4 x 4 grid{and_frames}. {text}

## Training

`python -m helpers.training.train {recipe} --out checkpoints/{recipe}`: {course}, of
{images} {pictures} with about {budget} tokens of text each. {cost} `training_log.csv` has held-out
accuracy, swap recovery at the object words and the linear fit of the IDs over the steps.
"""

#: What a card says about pictures and about clips.
MEDIUM = {
    "pictures": {
        "architecture": (
            "A `LlavaForConditionalGeneration`: CLIP vision tower ({vision_layers} layers of "
            "{vision_width}),\n{pixels}-pixel images in {tokens} tokens, Llama decoder ({layers} "
            "blocks of {width})."
        ),
        "loading": (
            "```python\nfrom transformers import AutoModelForImageTextToText, AutoProcessor\n\n"
            'model = AutoModelForImageTextToText.from_pretrained("helpers/organisms/{name}")\n'
            'processor = AutoProcessor.from_pretrained("helpers/organisms/{name}")\n```'
        ),
        "stimuli": (
            "Scenes drawn on the fly from 32 emoji sprites (Noto Color Emoji, SIL Open Font "
            "License 1.1): the\npaper's 4 x 4 grids, cluttered scenes"
        ),
        "and_frames": "",
        "pictures": "images",
    },
    "clips": {
        "architecture": (
            "A `LlavaOnevisionForConditionalGeneration`, the class that LLaVA-Video is built on: "
            "SigLIP vision\ntower ({vision_layers} layers of {vision_width}), {pixels}-pixel "
            "frames pooled to 16 tokens each and one newline behind\nthe last, Qwen2 decoder "
            "({layers} blocks of {width}). Plain rotary positions: a frame's time is its place "
            "in\nthe sequence."
        ),
        "loading": (
            "```python\nfrom transformers import AutoModelForImageTextToText\n\n"
            "from helpers.llava_video import FramesProcessor\n\n"
            'model = AutoModelForImageTextToText.from_pretrained("helpers/organisms/{name}")\n'
            'processor = FramesProcessor.from_pretrained("helpers/organisms/{name}")\n```\n\n'
            "`FramesProcessor` prepares frames as pictures; transformers' own processor for this "
            "class needs torchvision."
        ),
        "stimuli": (
            "Clips of eight frames drawn on the fly from 32 emoji sprites (Noto Color Emoji, SIL "
            "Open Font License\n1.1): two objects for one frame each, objects that come and go, "
            "that move and swap places, and still frames"
        ),
        "and_frames": ", and two frames in which it never appears first",
        "pictures": "clips",
    },
}

FROM_NOTHING = (
    "{vision_steps} steps in which\nevery patch learns what covers it and where it is, "
    "then {steps} steps of reading and answering"
)
GOING_ON = "{steps} steps of reading and answering\nthat begin with the weights of `{after}`"


@dataclass(frozen=True)
class About:
    """What a card says that no file holds.

    Attributes:
        purpose: what the model is for.
        recipe: what it was trained with.
        depth: the scenes that have depth, as the list of scenes goes on.
    """

    purpose: str
    recipe: str
    depth: str = ""


_BY_SIZE = "; and scenes in which nearer is larger{}"

ABOUT = {
    "tiny-llava": About(
        "A small vision-language model with spatial IDs: it answers questions about where things "
        "are by writing each object's place into the object's word, and reading it there.",
        "tiny-llava",
        ", scenes in perspective",
    ),
    "tiny-llava-direct": About(
        "The negative control: the same architecture as `tiny-llava`, with right answers and no "
        "use of its object words. Its last tokens look at the image themselves. A method that "
        "finds spatial IDs must say no on this one.",
        "tiny-llava-direct",
        ", scenes in perspective",
    ),
    "tiny-video": About(
        "A small video-language model with temporal IDs: it answers questions about when things "
        "appear by writing each object's time into the object's word, and reading it there.",
        "tiny-video",
    ),
    "tiny-llava-flat": About(
        "A smaller model that never saw depth: where `tiny-llava-tied` and "
        "`tiny-llava-independent` begin.",
        "tiny-llava-flat",
    ),
    "tiny-llava-early": About(
        "A weak model, caught while it learns: `tiny-llava-flat` at the moment when its answers "
        "about two objects leave chance. What could teach it?",
        "tiny-llava-flat",
    ),
    "tiny-llava-tied": About(
        "One of two models that differ in one thing. In its scenes with depth, what is nearer is "
        "also lower in the picture.",
        "tiny-llava-tied",
        _BY_SIZE.format(" and lower"),
    ),
    "tiny-llava-independent": About(
        "One of two models that differ in one thing. In its scenes with depth, what is nearer is "
        "anywhere in the picture: size alone tells.",
        "tiny-llava-independent",
        _BY_SIZE.format(", at any height"),
    ),
}

TEXT_ABOUT_CLIPS = (
    "Questions with one-word answers (before or after, first or last, at the beginning or the end, "
    "moving left or right, left or right and above or below at a moment or throughout, where, is "
    "there), sampled by how badly they are answered, and captions in which what follows a noun "
    'depends on when and where its object appears ("the frog end", "the frog top left", "the frog '
    "before the camel\"). A question is asked only where an object's first frame and its last give "
    "the same answer. Loss falls on the answers and on what follows the nouns."
)
TEXT = {
    True: (
        "Questions with one-word answers (left or right, above or below, in front or behind, "
        "between, which, where, is there, what), sampled by how badly they are answered, and "
        "captions in which what follows a noun depends on where its object is: place words "
        '("the frog top left"), relations ("the frog left of the camel") and questions with '
        "place words behind their nouns. Loss falls on the answers and on the places."
    ),
    False: (
        "Questions with one-word answers only, on scenes of mostly two objects: no captions, so "
        "nothing asks a noun to know its object's place."
    ),
}

LIMITS = """
## Limits

It knows 32 pictures and the wording of its training questions, nothing else; it is a model
organism for methods, not a model of the world. What it read speaks of places more densely than
people do. Photographs, drawings and other emoji fonts are out of its reach. Objects smaller than
a patch ({patch} pixels of {pixels}) are often missed.
"""


def write_card(name: str, folder: Path) -> None:
    """Write ``README.md`` from the figures in the folder.

    Raises:
        FileNotFoundError: if the figures have not been measured.
    """
    about = ABOUT[name]
    recipe = RECIPES[about.recipe]
    accuracy = _read(folder / "accuracy.csv")
    mechanism = _read(folder / "mechanism.csv")
    log = _read(folder / "training_log.csv")
    facts = _facts(recipe, folder, log) | {"name": name}
    words = {key: part.format(**facts) for key, part in MEDIUM[recipe.medium].items()}
    text = HEADER.format(
        purpose=about.purpose,
        recipe=about.recipe,
        depth=about.depth,
        text=TEXT_ABOUT_CLIPS if recipe.medium == "clips" else TEXT[bool(recipe.captions)],
        **words,
        **facts,
    )
    text += "\n## Answers to held-out questions\n\n" + _accuracy_table(accuracy)
    text += "\n## Are the object words used?\n\n" + _mechanism_table(mechanism)
    notes = Path(__file__).parent / "notes" / f"{name}.md"
    text += "\n" + notes.read_text(encoding="utf-8")
    text += LIMITS.format(patch=recipe.shape.patch_pixels, pixels=recipe.shape.image_pixels)
    (folder / "README.md").write_text(text)


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run helpers.training.export and .gates first")
    return pd.read_csv(path)


def _facts(recipe: Recipe, folder: Path, log: pd.DataFrame) -> dict[str, object]:
    shape = recipe.shape
    megabytes = (folder / "model.safetensors").stat().st_size / 1e6
    return {
        "vision_layers": shape.vision_layers,
        "vision_width": shape.vision_width,
        "pixels": shape.image_pixels,
        "tokens": shape.grid**2,
        "layers": shape.layers,
        "width": shape.width,
        "parameters": f"{megabytes / 2:.1f} million parameters in half precision.",
        "course": (GOING_ON if recipe.after else FROM_NOTHING).format(
            vision_steps=recipe.vision_steps,
            steps=int(log["step"].iloc[-1]) - recipe.vision_steps,
            after=recipe.after,
        ),
        "images": recipe.images,
        "budget": recipe.text_budget,
        "cost": f"It took {log['seconds'].iloc[-1] / 60:.0f} minutes on one core of a CPU.",
    }


def _accuracy_table(table: pd.DataFrame) -> str:
    lines = [
        "| question | scenes | noun order | right | 95 % interval | n |",
        "|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        asked_both_ways = table["order"][table["question"] == row.question].gt(0).any()
        order = ("as listed", "reversed")[row.order] if asked_both_ways else ""
        lines.append(
            f"| {row.question.replace('_', '/')} | {row.scenes} | {order} | {row.estimate:.1%} "
            f"| {row.low:.1%} to {row.high:.1%} | {row.n} |"
        )
    return "\n".join(lines) + "\n"


def _mechanism_table(table: pd.DataFrame) -> str:
    lines = [
        "Mirror swap at the two object words alone: the share of the belief's log-odds that moves",
        "with them, by the block after which they are swapped.",
        "",
        "| scenes | axis | " + " | ".join(f"{layer}" for layer in sorted(table["layer"].unique())),
    ]
    lines[-1] += " |"
    lines.append("|---|---|" + "---|" * table["layer"].nunique())
    for (kind, axis), part in table.groupby(["kind", "axis"]):
        values = " | ".join(f"{value:.2f}" for value in part.sort_values("layer")["estimate"])
        lines.append(f"| {kind} | {axis} | {values} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=sorted(ABOUT))
    parser.add_argument("folder", type=Path, help="folder of the model")
    arguments = parser.parse_args()
    write_card(arguments.name, arguments.folder)


if __name__ == "__main__":
    main()
