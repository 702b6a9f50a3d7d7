# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Out of the laboratory: photos
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/08_real_photos.ipynb)
# · about 45 minutes to read, another 60 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb), [5](05_their_geometry.ipynb) and [6](06_steering_beliefs.ipynb)
#
# So far the frog stood in a laboratory: on white, or on a few coloured blobs, in a picture as
# wide as it is high. Nobody takes such photos. In a photo there is a kitchen behind the dog, a
# bottle before the chair, and the picture is oblong.
#
# **Do IDs that were read off clean grids on white hold in cluttered, photo-like pictures? And
# do they steer there?** If they do not, you have studied grids. If they do, you have studied the
# model.
#
# **You will learn**
# - how to read a benchmark of photos strictly, and why to list what you refuse
# - what a vision tower never gets to see of an oblong photo
# - how to read a place off a word in a photo: which baseline to subtract, and which not
# - whether a wrong answer is a wrong map, or a right map read wrongly
# - how to steer in photos, with every control, and how to *predict* the dose that a photo needs

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
CONTROL = "tiny-llava-direct"  # the same architecture, trained without captions
PHOTOS = ""  # a folder with COCO-Spatial; empty: photos that the book draws
SMALL = False  # True: fewer images, to try things out
SEED = 0
CACHE = None  # a folder: long runs keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import itertools
import json
import re
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import (
    Job,
    Prompt,
    SpatialIDs,
    geometry,
    plots,
    random_direction,
    random_in_subspace,
    stats,
    steer,
    sweep,
    trials,
    with_norm_of,
)
from helpers.exercises import ch08
from helpers.ids import LEFT_RIGHT
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli import coco_spatial, photos, questions
from helpers.stimuli.sampling import scenes as draw_scenes
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS

# %%
MODELS = open_models(MODEL, CONTROL, chapter="08_real_photos", small=SMALL, seed=SEED)
YES, NO = MODELS  # the names: of the model, and of its control
COLOR = {YES: plots.COLORS["tiny-llava"], NO: plots.COLORS["tiny-llava-direct"]}

# %% [markdown]
# ## A row, two captions, two boxes
#
# **COCO-Spatial** is a list of photos {cite}`kamath2023whatsup`. A row holds the number of a
# photo of the COCO collection {cite}`lin2014coco`, a caption that is true and one that is false. COCO itself says
# where things are: a *box* around every object.
#
# Those photos cannot be shipped with a book. So by default this chapter draws its own, in
# exactly that format: two named objects and some others, at any place and size, on pieces of
# photographs and on painted backgrounds. The two were never together in training. If you have
# the real data, put the folder's path into `PHOTOS` and run the chapter again. Every number
# below is measured in the run, whichever photos it got.

# %%
COUNT = 32 if SMALL else 500
OURS, FOLDER = not PHOTOS, Path(PHOTOS)
if OURS:
    FOLDER = Path(f"../_build/photos/{COUNT}-seed-{SEED}")
    photos.write_photos(FOLDER, COUNT, seed=SEED, progress=False)
data = coco_spatial.load(FOLDER)
rows = json.loads((FOLDER / coco_spatial.CAPTIONS).read_text(encoding="utf-8"))
source = "photos that this book drew" if OURS else "the photos in your folder"
glue("ch8_source", source)
glue("ch8_count", len(data.photos))
glue("ch8_rows", len(rows))
for row in rows[:3]:
    print(row)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
FIRST, SECOND = "#0072B2", "#D55E00"


def show_photo(axes, photo, title=None):
    """A photo with the boxes of its two objects, the first one's in blue."""
    axes.imshow(photo.image())
    for name, color in ((photo.first, FIRST), (photo.second, SECOND)):
        x, y, width, height = photo.box(name)
        box = plt.Rectangle((x, y), width, height, ec=color, fc="none", lw=2.2)
        axes.add_patch(box)
        axes.text(x + 4, y - 7 if y > 40 else y + 22, name, color="white", fontsize=9.5,
                  bbox={"fc": color, "ec": "none", "pad": 1.5})  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.set_title(title or photo.question().text, fontsize=10.5, fontweight="normal")


figure, panels = plt.subplots(2, 4, figsize=(12.5, 6.6))
for photo, axes in zip(data.photos[:8], panels.flat, strict=True):
    show_photo(axes, photo, f"{photo.first} · {photo.relation} · {photo.second}")
figure.tight_layout()

# %% [markdown]
# **Figure 8.1.** *What a row becomes.* The first eight of {glue:text}`ch8_count` usable rows
# ({glue:text}`ch8_rows` in the file); these are {glue:text}`ch8_source`. Blue: the caption's
# first object. Above: what the true caption says. The model is asked a question instead, "Is
# the ... to the left or right of the ...?", and in either order of the two objects.
#
# ## Read captions strictly
#
# Everything hangs on two words of the caption. The released code of the paper looks for "the
# ... is above the ...". The captions read "A photo of a dog above a cat". It finds "photo of
# a" where the object should be, asks "Is the photo of a above or below the cat?", and steers
# the word "a". No error, a figure all the same.
#
# ````{exercise} A parser that refuses
# :label: ch8-parse
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `parse(caption)`. It returns `(first, relation, second)` in lower case, with the
# relation one of left, right, above and below. Captions read "A photo of a hot dog to the
# left of an oven". Raise a `ValueError` for anything else: another form, another relation,
# two relations, the same noun twice. Guess nothing.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
SIDES = {"to the left of": "left", "to the right of": "right",
         "above": "above", "below": "below"}  # fmt: skip
NOUN = r"(?:an?|the) ([a-z]+(?: [a-z]+)*)"


def parse(caption):
    # Split at relations first: a pattern for the whole caption would happily read
    # "a cat above a chair" as the name of one object.
    first, *rest = re.split(rf" ({'|'.join(SIDES)}) ", caption.lower())
    if len(rest) != 2:
        raise ValueError(f"not one relation: {caption!r}")
    one = re.fullmatch("a photo of " + NOUN, first)
    other = re.fullmatch(NOUN, rest[1])
    if not (one and other) or one[1] == other[1]:
        raise ValueError(f"not two different objects: {caption!r}")
    return one[1], SIDES[rest[0]], other[1]


# %%
ch08.check_parse(parse)

# %% [markdown]
# ### What was refused, and why
#
# A caption that parses can still be unusable. With two dogs in the photo, "the dog" means
# neither. `load` keeps a row only if both captions parse and say the opposite, if there is
# exactly one box of each category, and if the boxes do what the caption says. Everything else
# goes into `data.refused`, with the reason.

# %%
print(f"{len(data.photos)} photos, {len(data.refused)} rows refused")
reasons = data.refused["reason"].str.replace(r"'[^']*'|\d+", "...", regex=True)
for reason, count in reasons.value_counts().head(8).items():
    print(f"{count:5d}  {reason}")
data.refused.head() if len(data.refused) else None

# %% [markdown]
# Photos that somebody drew by rule break no rules, and a filter that refuses nothing has not
# been tested. So break some. The next cell takes good rows, spoils each in one way, writes
# them into a folder that lives for a second, and loads that.

# %%
def row_of(photo):
    """The row of the captions that a photo comes from."""
    number = str(photo.image_id)
    some = [row for row in rows if str(row[0]).lstrip("0") == number]
    ends = f" {photo.second}"
    return next(row for row in some if row[1].strip().lower().endswith(ends))


def spoil(row, content):
    """Rows that must not pass. Changes COCO's boxes (`content`) for the last two."""
    number, true, false = row
    dog = parse(true)[0]  # whatever it is, it plays the dog
    yield "another form", [number, f"The {dog} is above the fan", false]
    yield "no such relation", [number, f"A photo of a {dog} near a fan", false]
    yield "one object twice", [number, f"A photo of a {dog} above a {dog}", false]
    yield "captions agree", [number, true, true]
    yield "captions exchanged", [number, false, true]
    yield "no such category", [
        number, *(f"A photo of a {dog} {side} a unicorn" for side in ("above", "below"))
    ]  # fmt: skip
    yield "no such photo", [999999999999, true, false]
    names = {entry["name"]: entry["id"] for entry in content["categories"]}
    for what, photo in zip(("two of a kind", "a crowd"), data.photos[1:3], strict=True):
        for box in content["annotations"]:
            here = box["image_id"] == photo.image_id and not box["iscrowd"]
            if here and box["category_id"] == names[photo.first]:
                if what == "a crowd":
                    box["iscrowd"] = 1
                else:
                    content["annotations"].append(box)
                break
        yield what, row_of(photo)


# %%
content = json.loads((FOLDER / coco_spatial.ANNOTATIONS).read_text(encoding="utf-8"))
good = row_of(data.photos[0])
spoiled = dict(spoil(good, content))
with tempfile.TemporaryDirectory() as folder:
    for name, what in ((coco_spatial.CAPTIONS, [*spoiled.values(), good]),
                       (coco_spatial.ANNOTATIONS, content)):  # fmt: skip
        (Path(folder) / name).parent.mkdir(exist_ok=True)
        (Path(folder) / name).write_text(json.dumps(what), encoding="utf-8")
    tried = coco_spatial.load(folder, skip_missing=True)
caught = [row for row in tried.refused["row"] if row < len(spoiled)]
glue("ch8_caught", f"{len(caught)} of {len(spoiled)}")
table = tried.refused.set_index("row").loc[caught, ["reason"]]
table.insert(0, "spoiled", [list(spoiled)[number] for number in caught])
table.style.hide(axis="index").set_properties(**{"text-align": "left"})

# %% [markdown]
# **Table 8.1.** *Spoiled rows, and what `load` says to each:* {glue:text}`ch8_caught` refused.
# A substring search would have let some of them pass. It takes a hot dog for a dog.
#
# ## What the model never sees
#
# Photos are oblong and vision towers are square. CLIP's processor scales the shorter side to
# the tower's size and keeps the square in the middle. The ends are cut off. If the dog stands
# there, it does not exist. If it does not, its box still counts from the edge of a picture
# that the model never saw, and every place that you compute is off.
#
# `photo.squared()` pads the photo with grey to a square and moves the boxes along. Nothing is
# lost, and a place in the photo is a place in what the model sees.

# %%
def is_cut(photo):
    """Whether the centre of a named object lies outside the square in the middle."""
    half = min(photo.size) / 2
    return any(
        abs(value - side / 2) > half
        for box in photo.boxes
        for value, side in zip(box.centre, photo.size, strict=True)
    )  # fmt: skip


def middle(picture):
    """The square that CLIP's processor keeps."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    return picture.crop((left, top, left + side, top + side))


oblong = [photo for photo in data.photos if photo.size[0] != photo.size[1]]
glue("ch8_oblong", f"{len(oblong)} of {len(data.photos)}")
glue("ch8_cut", sum(map(is_cut, oblong)))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
photo = max(oblong, key=lambda one: (is_cut(one), one.size[0] > one.size[1]))
figure, panels = plt.subplots(1, 3, figsize=(11.5, 4), width_ratios=[1.3, 1, 1])
show_photo(panels[0], photo)
side, (width, height) = min(photo.size), photo.size
corner = ((width - side) / 2, (height - side) / 2)
square = plt.Rectangle(corner, side, side, fc="none", ec="white", lw=2.5, ls="--")
panels[0].add_patch(square)
panels[1].imshow(middle(photo.image()))
panels[1].set(xticks=[], yticks=[])
panels[1].set_title("cropped: what the model gets", fontsize=10.5, fontweight="normal")
show_photo(panels[2], photo.squared(), "squared: what it gets from us")
figure.tight_layout()

# %% [markdown]
# **Figure 8.2.** *Cut off.* Left: a photo and the square that is kept (dashed).
# {glue:text}`ch8_oblong` photos are oblong, and in {glue:text}`ch8_cut` of these the centre
# of one of the two objects lies outside.
#
# What does it cost? First the bookkeeping. A *case* is one question about one picture, with all
# that later sections need: where the nouns' tokens are, and where the objects are on the 4 × 4
# grid of IDs. The photos are split in two **halves**, once and for all. On one you may choose
# (a block, a {term}`dose`). Numbers come from the other. (All but those of the next figure, where nothing
# is chosen.) Photos of the choosing half are asked about in one order, those of the judging
# half in both.

# %%
@dataclass(frozen=True)
class Case:
    names: tuple[str, str]
    places: tuple[tuple[float, float], ...]  # (row, column), in cells
    prompt: Prompt
    labels: dict  # what the tables keep

    @cached_property
    def nouns(self):
        return self.prompt.words(self.names)


def make_case(vlm, picture, asked, places, **labels):
    # +1 if the false answer is the first of the two answers.
    toward = 1 if asked.answer == questions.ANSWERS[asked.kind][1] else -1
    labels |= {"kind": asked.kind, "answer": asked.answer.lower(), "toward": toward}
    return Case(asked.objects, places, vlm.prompt(picture, asked.text), labels)


def cases_of(vlm, some, orders=(0,)):
    """Questions about photos, in one order of the nouns or in both."""
    cases = []
    for number, photo in enumerate(some):
        picture = photo.image()
        for order in orders:
            asked = photo.question(reverse=bool(order))
            places = tuple(photo.place(name, 4, 4) for name in asked.objects)
            labels = {"image": photo.image_id, "photo": number, "order": order,
                      "case": len(cases)}  # fmt: skip
            cases.append(make_case(vlm, picture, asked, places, **labels))
    return cases


# %%
def run(name, jobs):
    """Run jobs about either kind of question; one table."""
    parts = []
    for kind in ("left_right", "above_below"):
        part = [one for one in jobs if one.labels["kind"] == kind]
        if part:
            options = {"save_to": CACHE, "progress": False}
            parts.append(sweep(MODELS[name], part, questions.ANSWERS[kind], **options))
    return pd.concat(parts, ignore_index=True)


def plain(name, cases):
    """The answers without any edit."""
    table = run(name, [Job(case.prompt, (), case.labels) for case in cases])
    return table.assign(right=table["log_odds"] * table["toward"] < 0)


def share(table, column="right"):
    """Mean with an interval over images: questions about one image belong together."""
    table = table.dropna(subset=[column])
    images = table["image"].nunique()
    if images < 2:  # too few for an interval
        return stats.Interval(np.nan, np.nan, np.nan, images)
    return trials.share(table, column, "image")


def with_belief(cases, table):
    """The cases, with the log-odds before any edit among their labels."""
    before = table.set_index("case")["log_odds"]
    return [replace(case, labels=case.labels | {"before": before[case.labels["case"]]})
            for case in cases]  # fmt: skip


# %%
halves = [set(part) for part in stats.halves([p.image_id for p in data.photos], SEED)]
CHOOSE, JUDGE = ([p.squared() for p in data.photos if p.image_id in h] for h in halves)
FEW = (4, 8) if SMALL else (40, 80)  # photos of either half for the control
choosing = {YES: cases_of(MODELS[YES], CHOOSE),
            NO: cases_of(MODELS[NO], CHOOSE[: FEW[0]])}  # fmt: skip
judging = {YES: cases_of(MODELS[YES], JUDGE, (0, 1)),
           NO: cases_of(MODELS[NO], JUDGE[: FEW[1]], (0, 1))}  # fmt: skip
chosen = {name: plain(name, cases) for name, cases in choosing.items()}
judged = {name: plain(name, cases) for name, cases in judging.items()}
choosing = {name: with_belief(choosing[name], chosen[name]) for name in MODELS}
judging = {name: with_belief(judging[name], judged[name]) for name in MODELS}
cropped = plain(YES, cases_of(MODELS[YES], oblong))
print(len(choosing[YES]), "questions to choose with,", len(judging[YES]), "to judge by")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
# Every photo in one order, cropped and squared.
cut = {photo.image_id: is_cut(photo) for photo in oblong}
whole = pd.concat([chosen[YES], judged[YES].query("order == 0")])
both = pd.concat([cropped.assign(way="cropped"), whole.assign(way="squared")])
both = both[both["image"].isin(cut)].assign(cut=lambda table: table["image"].map(cut))
figure, axes = plt.subplots(figsize=(7, 2.6))
names = {True: "an object's centre is cut off", False: "both centres are kept"}
tones = {"cropped": "#7F7F7F", "squared": "#0072B2"}
for hidden, (way, tone) in itertools.product(names, tones.items()):
    part = both[(both["cut"] == hidden) & (both["way"] == way)]
    found, height = share(part), -1.0 * (not hidden) - 0.22 * (way == "squared")
    axes.plot([found.low, found.high], [height] * 2, color=tone, lw=2)
    axes.plot(found.estimate, height, "o", color=tone, label=None if hidden else way)
    glue(f"ch8_{way}_{'cut' if hidden else 'kept'}", percent(found))
axes.set_yticks([-0.11, -1.11], names.values())
axes.set(xlabel="share of right answers", ylim=(-1.6, 0.4), xlim=(0.45, 1.02))
axes.axvline(0.5, color="0.6", ls=":", lw=1.5)
axes.legend(loc="lower left")
figure.tight_layout()

# %% [markdown]
# **Figure 8.3.** *The same oblong photos, cropped and squared* (the model, one order; 95 %
# bootstrap intervals over images; dotted, chance). Where a centre is cut off, the model is right
# in {glue:text}`ch8_cropped_cut` cropped and {glue:text}`ch8_squared_cut` squared. Where both
# centres are kept: {glue:text}`ch8_cropped_kept` cropped, {glue:text}`ch8_squared_kept` squared.
#
# Squaring is not free. In a padded photo all objects are smaller. LLaVA-1.5 was trained on padded
# photos {cite}`liu2024improved`; the models that come with this book never saw a grey bar.
# Compare the lower two dots. We square all the same: a method that puts an object at its
# box's place needs a picture that has this place.
#
# ## Does the model answer at all?
#
# A {term}`belief` that was never there cannot be swapped. So look at accuracy first, by relation and
# by order of the nouns. The rule is set before you look: if the interval of an arm (a model
# and an axis) reaches down to one half, the model answers by chance there, and the arm
# **stops**.

# %%
AXES = {"left_right": "left/right", "above_below": "above/below"}
ALIVE = {}  # model -> the kinds of question that go on
for key, name in (("", YES), ("_control", NO)):
    found = {kind: share(part) for kind, part in judged[name].groupby("kind")}
    ALIVE[name] = [kind for kind in AXES if kind in found and found[kind].low > 0.5]
    stopped = " and ".join(AXES[kind] for kind in AXES if kind not in ALIVE[name])
    glue(f"ch8_accuracy{key}", percent(share(judged[name])))
    glue(f"ch8_stopped{key}", f"stops at {stopped}" if stopped else "goes on")
    for kind, value in found.items():
        print(f"{name}, {AXES[kind]}: {percent(value)}")
CHANCE = not ALIVE[YES]
if CHANCE:
    ALIVE[YES] = list(AXES)
    told = "stops, on both axes: what follows shows the procedure and is no result"
    glue("ch8_stopped", told)
    print(f"{YES} answers by chance, and there is no belief to steer. The arm {told}.")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.6), sharey=True)
relations = ("left", "right", "above", "below")
for name, axes in zip(MODELS, panels, strict=True):
    table, named = judged[name], set()
    for height, (answer, order) in enumerate(itertools.product(relations, (0, 1))):
        part = table[(table["answer"] == answer) & (table["order"] == order)]
        if len(part):
            found = stats.proportion(part["right"])
            color, style = COLOR[name], {"mfc": "white" if order else None}
            label = ("the caption's order", "the other order")[order]
            axes.plot([found.low, found.high], [-height] * 2, color=color, lw=2)
            axes.plot(found.estimate, -height, "o", color=color, **style,
                      label=None if label in named else label)  # fmt: skip
            named.add(label)
    axes.axvline(0.5, color="0.4", ls=":", lw=1.5)
    axes.set(title=name, xlabel="share of right answers", xlim=(0.3, 1.03))
    axes.set_ylim(-7.6, 0.6)
panels[0].set_yticks(-2 * np.arange(4) - 0.5, relations)
panels[0].legend(loc="lower left")
figure.tight_layout()

# %% [markdown]
# **Figure 8.4.** *Right answers by the true answer and the order of the nouns,* squared photos of
# the judging half, Wilson's 95 % intervals. Over all of them the model is right in
# {glue:text}`ch8_accuracy`, the control in {glue:text}`ch8_accuracy_control`. The model
# {glue:text}`ch8_stopped`; the control {glue:text}`ch8_stopped_control`.
#
# ## Read the map in a photo
#
# The IDs come from where they always came from: the paper's grids on white, with pairs of
# objects from the training set. No photo has a part in them. Nor have the places that you are
# about to read: call those, as the words of a photo say them, the model's *map* of the photo.

# %%
ABOVE_BELOW = "Is the {0} above or below the {1}?"
WANTED = [(0, LEFT_RIGHT), (1, LEFT_RIGHT), (1, ABOVE_BELOW)]
ordered = itertools.permutations(PAPER_OBJECTS, 2)
makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
rng = np.random.default_rng(SEED)
pairs = [makers[i] for i in rng.choice(len(makers), 2 if SMALL else 6, replace=False)]
IDS = {}  # model -> kind of question -> (IDs of the first noun, of the second)
SITES = {}  # model -> block -> site behind it
for name, vlm in MODELS.items():
    # Where only some blocks look at the picture, no word knows its place before them.
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    blocks = range(min(looking, default=0), vlm.n_layers)
    SITES[name] = {block: vlm.resid_post(block) for block in blocks}
    options = {"partners": 1 if SMALL else 2, "seed": SEED, "progress": False}
    options["save_to"] = CACHE
    sites = list(SITES[name].values())
    # The first noun comes before the question: its IDs serve both kinds.
    first, *second = SpatialIDs.extract_each(vlm, pairs, WANTED, sites, **options)
    IDS[name] = {kind: (first, ids) for kind, ids in zip(AXES, second, strict=True)}

# %% [markdown]
# IDs live on a grid of cells; boxes are in pixels. Between the two lies a small formula that
# the released code gets wrong. It has no half-cell offset, and weights at the edges that do not
# sum to one.
#
# ````{exercise} From a box to a cell
# :label: ch8-cell
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `cell_of_box(box, size, rows, columns)` for a box `(x, y, width, height)` in a picture of
# `size` (width, height), all in pixels. Return the (row, column) of its centre in cells, where
# whole numbers are the *centres* of cells: the middle of a 4 × 4 grid is (1.5, 1.5). There are
# no IDs beyond the outer centres, so a place there becomes the nearest one that has one.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def cell_of_box(box, size, rows, columns):
    x, y, width, height = box
    # Cell 0 reaches from 0 to 1 cell widths; its centre is half a cell in.
    row = (y + height / 2) / size[1] * rows - 0.5
    column = (x + width / 2) / size[0] * columns - 0.5
    return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)


# %%
ch08.check_cell_of_box(cell_of_box)
photo = JUDGE[0]
print(np.round(cell_of_box(photo.box(photo.first), photo.size, 4, 4), 3), "by hand")
print(np.round(photo.place(photo.first, 4, 4), 3), "by Photo.place")

# %% [markdown]
# ### What to subtract
#
# An ID is what is left of a word's state when its mean over all cells is gone. A state in a
# photo still holds the word itself. Before you compare the two, something has to be
# subtracted from the state as well. What?
#
# - **Nothing.** The plane of the IDs is small, and perhaps the rest of the word hardly reaches
#   into it.
# - **The word without an image**: run the text alone. The released analysis does this. But the
#   IDs were not centred on states without an image.
# - **The word's own mean over places**, as for the IDs. On a grid every word visits every
#   cell, so its mean is easy. In photos it does not. A kite is always at the top.
#
# For the third, take the *other* photos of the same word, subtract from each state the ID of
# where its object is, and average. What remains is the word.
#
# ````{exercise} The baseline trap
# :label: ch8-baseline
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# Write `own_baseline(states, place_ids, words)` for states `[n, d_model]`, the IDs of the
# places where their objects truly are `[n, d_model]`, and n words, each of which occurs at
# least twice. Return one baseline for each state: the mean of `state - place_id` over all
# *other* states of its word. Why "other"? Think of a word with two photos.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def own_baseline(states, place_ids, words):
    numbers = torch.tensor(pd.factorize(np.asarray(words))[0])
    others = (numbers[:, None] == numbers).float()
    # With itself in its baseline, a state of two would lose half of its own place, and
    # the truth about its place would leak in besides.
    others.fill_diagonal_(0)
    return others @ (states - place_ids) / others.sum(1, keepdim=True)


# %%
ch08.check_own_baseline(own_baseline)

# %% [markdown]
# Read the first noun of every question after every block. At the first noun the model does not
# know yet what it will be asked. In the judging half every object is the first noun once.

# %%
@torch.no_grad()
def text_alone(vlm, prompt, position, sites):
    """States at a position, without the image's tokens: [sites, d_model]."""
    tokens = prompt.inputs["input_ids"][0]
    text, found = tokens != vlm.model.config.image_token_id, {}
    place = int(text[:position].sum())
    every = [vlm.resid_post(block) for block in range(vlm.n_layers)]

    def note(resid, hook):
        found[hook.name] = resid[0, place].float().cpu()

    with vlm.hooks([(site, note) for site in every]):
        vlm.model(input_ids=tokens[text][None].to(vlm.device))
    for before, site in itertools.pairwise(every):
        # Blocks that only look at an image are passed over when there is none.
        found.setdefault(site, found[before])
    return torch.stack([found[site] for site in sites])


def read_first_nouns(name):
    """States at first nouns in photos, and of these words without an image."""
    cases = choosing[name] + judging[name]
    count = pd.Series([case.names[0] for case in cases]).value_counts()
    cases = [case for case in cases if count[case.names[0]] > 1]
    where = [[case.nouns[0][-1]] for case in cases]
    prompts = [case.prompt for case in cases]
    sites, alone = list(SITES[name].values()), {}
    states = read_states(MODELS[name], prompts, where, sites)[:, :, 0]
    for case, (position,) in zip(cases, where, strict=True):
        word = case.names[0]
        if word not in alone:
            alone[word] = text_alone(MODELS[name], case.prompt, position, sites)
    alone = torch.stack([alone[case.names[0]] for case in cases], 1)
    # site -> states [cases, d_model]
    return (cases, *(dict(zip(sites, part, strict=True)) for part in (states, alone)))


STATES = {name: read_first_nouns(name) for name in MODELS}


# %%
@lru_cache
def baselines(name, site):
    """What can be subtracted from the states at a site."""
    cases, states, alone = STATES[name]
    ids, words = IDS[name]["left_right"][0], [case.names[0] for case in cases]
    at_truth = torch.stack([ids.interpolate(site, *case.places[0]) for case in cases])
    own = own_baseline(states[site], at_truth, words)
    return {"nothing": 0, "the word without an image": alone[site],
            "the word's own mean": own}  # fmt: skip


def read_places(name, site, baseline="the word's own mean"):
    """The place that each first noun says, and the true one, in cells; one row each."""
    cases, states, _ = STATES[name]
    ids, truth = IDS[name]["left_right"][0], np.array([c.places[0] for c in cases])
    here = states[site] - baselines(name, site)[baseline]
    # Coordinates on the plane of the two axes start at the middle of the grid.
    right, down = geometry.on_plane(here, ids.axes(site)).T
    table = pd.DataFrame([case.labels for case in cases])
    table["half"] = np.where(table["image"].isin(halves[0]), "choosing", "judging")
    table["word"] = [case.names[0] for case in cases]
    table["true row"], table["true column"] = truth.T
    table["row"], table["column"] = down + 1.5, right + 1.5
    table["error"] = np.hypot(table["row"] - truth[:, 0], table["column"] - truth[:, 1])
    return table


# %%
BASELINES = ("nothing", "the word without an image", "the word's own mean")
lines, READ = [], {}  # READ: the block whose map is best on the choosing half
for name in MODELS:
    error = {}  # by block, on the choosing half
    for baseline, (block, site) in itertools.product(BASELINES, SITES[name].items()):
        half = dict(list(read_places(name, site, baseline).groupby("half")))
        lines.append({"model": name, "block": block, "what": baseline,
                      **share(half["judging"], "error")._asdict()})  # fmt: skip
        error[block] = half["choosing"]["error"].mean()
    READ[name] = min(error, key=error.get)  # of the last baseline, the word's own mean
lines = pd.DataFrame(lines)
glue("ch8_read_block", READ[YES])
glue("ch8_read_block_control", READ[NO])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.9), sharey=True)
tones = dict(zip(BASELINES, ("#7F7F7F", "#E69F00", "#0072B2"), strict=True))
for name, axes in zip(MODELS, panels, strict=True):
    plots.with_band(lines[lines["model"] == name], "block", "what", axes, tones)
    truth = read_places(name, SITES[name][READ[name]])[["true row", "true column"]]
    lazy = np.hypot(*(truth - truth.mean()).to_numpy().T).mean()
    axes.axhline(lazy, color="0.3", ls="--", lw=1.2)
    axes.axvline(READ[name], color="0.5", ls=":", lw=1.5)
    axes.get_legend().remove()
    axes.set(title=name, xlabel="after block", yscale="log")
    axes.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    axes.minorticks_off()
panels[0].set_ylabel("mean error of the place, in cells")
handles, labels = panels[0].get_legend_handles_labels()
figure.legend(handles, labels, title="subtracted from the state", ncols=3,
              loc="lower center", bbox_to_anchor=(0.5, -0.16))  # fmt: skip
figure.tight_layout()
for key, baseline in zip(("raw", "text", "own"), BASELINES, strict=True):
    table = lines[(lines["model"] == YES) & (lines["what"] == baseline)]
    table = table.set_index("block")
    for when, block in (("first", table.index[0]), ("last", table.index[-1])):
        value = stats.Interval(*table.loc[block, ["estimate", "low", "high", "n"]])
        glue(f"ch8_error_{key}_{when}", value)

# %% [markdown]
# **Figure 8.5.** *How far off is the place that a word says?* Distance between the place read
# at the first noun and the true centre of its box, in cells, by what is subtracted first.
# Judging half, 95 % intervals over images, log scale. Dashed: always guessing the mean place.
# Dotted: the block whose map is best on the choosing half, {glue:text}`ch8_read_block` and
# {glue:text}`ch8_read_block_control`.
#
# | subtracted (in the model) | error after the first block | after the last |
# |---|---|---|
# | nothing | {glue:text}`ch8_error_raw_first` | {glue:text}`ch8_error_raw_last` |
# | the word without an image | {glue:text}`ch8_error_text_first` | {glue:text}`ch8_error_text_last` |
# | the word's own mean | {glue:text}`ch8_error_own_first` | {glue:text}`ch8_error_own_last` |
#
# What surprised us, with the shipped model, is the grey curve. In early blocks you may forget
# the baseline and nothing happens: what a word *is* hardly reaches into the plane of the map.
# In late blocks it does. So the mistake is invisible at the block where you debug, and costs
# you at the block where you publish. And look at the other wrong one. A baseline of another
# kind than the one inside the IDs need not be better than none at all.
#
# ### Right answers, wrong answers
#
# From here on, the word's own mean. Take each model's best block and lay the places that words
# say against the places where the boxes are.

# %%
places = {name: read_places(name, SITES[name][READ[name]]) for name in MODELS}
places = {name: table[table["half"] == "judging"] for name, table in places.items()}
places = {name: table.merge(judged[name][["case", "right"]], on="case")
          for name, table in places.items()}  # fmt: skip
keep("places", pd.concat(table.assign(model=name) for name, table in places.items()))


def r2(table, axis):
    """Share of the places' variance that words tell, with an interval over images."""
    truth = table[f"true {axis}"]
    parts = pd.DataFrame({"image": table["image"], "all": (truth - truth.mean()) ** 2,
                          "missed": (truth - table[axis]) ** 2})  # fmt: skip
    sums = parts.groupby("image").sum()
    missed = stats.ratio_of_means(sums["missed"], sums["all"])
    ends = 1 - missed.high, 1 - missed.low
    return stats.Interval(1 - missed.estimate, *ends, missed.n)


for key, name in (("", YES), ("_control", NO)):
    table = places[name]
    found = {axis: r2(table, axis) for axis in ("column", "row")}
    for axis, value in found.items():
        glue(f"ch8_r2_{axis}{key}", value)
    for short, was_right in (("right", True), ("wrong", False)):
        error = share(table[table["right"] == was_right], "error")
        glue(f"ch8_error_{short}{key}", error)
    low = min(value.low for value in found.values())
    high = max(value.high for value in found.values())
    holds = "yes" if low > 0.5 else "no" if high < 0.2 else "in part"
    glue(f"ch8_holds{key}", holds)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(2, 2, figsize=(9, 8), sharex=True, sharey=True)
for name, line in zip(MODELS, panels, strict=True):
    for axis, axes in zip(("column", "row"), line, strict=True):
        for right, color, size in ((True, COLOR[name], 9), (False, "black", 16)):
            part = places[name][places[name]["right"] == right]
            axes.scatter(part[f"true {axis}"], part[axis].clip(-2.2, 5.2), s=size,
                         color=color, alpha=0.35 if right else 0.8, lw=0,
                         label="right answer" if right else "wrong answer")  # fmt: skip
        axes.plot([0, 3], [0, 3], color="0.3", lw=1)
        axes.set(ylim=(-2.3, 5.3), title=f"{name}, {axis}")
for axes in panels[1]:
    axes.set_xlabel("true place, in cells")
for axes in panels[:, 0]:
    axes.set_ylabel("place that the word says")
panels[0, 0].legend(loc="upper left", markerscale=2)
figure.tight_layout()

# %% [markdown]
# **Figure 8.6.** *The map, read in photos.* Each point is one word in one photo of the
# judging half; black where the answer to that question is wrong. Points beyond the frame are
# drawn at its edge. IDs from white grids tell the places in photos if points lie on the line.
# Read them as $R^2$, which is 1 for all points on the line, 0 for guessing the mean and below
# zero for anything worse:
#
# | | columns | rows | error if right | if wrong |
# |---|---|---|---|---|
# | model | {glue:text}`ch8_r2_column` | {glue:text}`ch8_r2_row` | {glue:text}`ch8_error_right` | {glue:text}`ch8_error_wrong` |
# | control | {glue:text}`ch8_r2_column_control` | {glue:text}`ch8_r2_row_control` | {glue:text}`ch8_error_right_control` | {glue:text}`ch8_error_wrong_control` |
#
# Do IDs hold in photos, by the rule "$R^2$ above one half on both axes, with the whole interval"?
# In the model: **{glue:text}`ch8_holds`**. In the control: **{glue:text}`ch8_holds_control`**.
#
# The paper's Figure 8 makes the same split, and finds that wrong
# answers have IDs far from the truth {cite}`kang2026linear`. But how far is too far? A frog
# that is read one cell too low may still be left of the camel. Ask the sharper question:
# **does the map, as read, give the answer that the model gave?**

# %%
ALONG = {"left_right": "column", "above_below": "row"}


def gaps(name, site):
    """For each question to judge by: the signed distance of the two objects."""
    table = read_places(name, site).query("half == 'judging'")
    said = table.set_index(["photo", "word"])[["row", "column"]]
    lines = []
    for case in judging[name]:
        axis, number = ALONG[case.labels["kind"]], case.labels["photo"]
        keys = [(number, word) for word in case.names]
        if all(key in said.index for key in keys):
            one, other = (said.loc[key, axis] for key in keys)
            true = np.subtract(*case.places)[("row", "column").index(axis)]
            lines.append(case.labels | {"read": one - other, "true": true})
    table = pd.DataFrame(lines)
    table["right"] = table["before"] * table["toward"] < 0
    # A negative distance is "left" or "above", the answers of positive log-odds.
    table["agrees"] = table["read"] * table["before"] < 0
    table["true map"] = table["read"] * table["true"] > 0
    return table


for key, name in (("", YES), ("_control", NO)):
    gap = gaps(name, SITES[name][READ[name]])
    for short, some in (("right", gap[gap["right"]]), ("wrong", gap[~gap["right"]])):
        found = f"{percent(share(some, 'agrees'))} of {len(some)}"
        glue(f"ch8_agrees_{short}{key}", found)
        glue(f"ch8_true_{short}{key}", percent(share(some, "true map")))
        print(f"{name}, {short} answers: the map agrees in {found}")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def show_reading(axes, number):
    """A photo with the places that the two words say, and the model's answer."""
    photo, table = JUDGE[number], places[YES]
    show_photo(axes, photo)
    side = photo.size[0] / 4
    for name, color in ((photo.first, FIRST), (photo.second, SECOND)):
        said = table[(table["photo"] == number) & (table["word"] == name)]
        if len(said):
            row, column = np.clip(said[["row", "column"]].to_numpy()[0], -0.4, 3.4)
            where = (column + 0.5) * side, (row + 0.5) * side
            axes.annotate("", where, photo.box(name).centre,
                          arrowprops={"arrowstyle": "->", "color": "white",
                                      "lw": 2})  # fmt: skip
            axes.plot(*where, "X", ms=11, color=color, mec="white", mew=1.5)
    answered = judged[YES].query(f"photo == {number} and order == 0")["belief"].iloc[0]
    axes.set_title(f"{photo.question().text}\n“{answered}”", fontsize=9.5,
                   fontweight="normal")  # fmt: skip


asked = judged[YES].query("order == 0")
error = places[YES].groupby("photo")["error"].max()
right = [n for n in asked[asked["right"]]["photo"] if n in error.index]
right = right[:: max(1, len(right) // 2)][:2]
wrong = [n for n in asked[~asked["right"]]["photo"] if n in error.index]
wrong = sorted(wrong, key=lambda number: error[number])  # the middle one, and the worst
wrong = [wrong[len(wrong) // 2], wrong[-1]] if len(wrong) > 1 else wrong
shown = right + wrong
down = -(-len(shown) // 2)
figure, panels = plt.subplots(down, 2, figsize=(9, 4.8 * down), squeeze=False)
for axes in panels.flat[len(shown) :]:
    axes.axis("off")
for axes, number in zip(panels.flat, shown, strict=False):
    show_reading(axes, number)
figure.tight_layout()

# %% [markdown]
# **Figure 8.7.** *Where the words say the objects are.* Crosses: the place read at the word,
# with an arrow from the box's centre. Below the question, the model's answer. Above: two
# photos that it gets right. Below: two that it gets wrong, one with a middling and one with
# the largest error.
#
# | the map, as read, gives the model's own answer | when the model is right | when it is wrong |
# |---|---|---|
# | model | {glue:text}`ch8_agrees_right` | {glue:text}`ch8_agrees_wrong` |
# | control | {glue:text}`ch8_agrees_right_control` | {glue:text}`ch8_agrees_wrong_control` |
#
# **Table 8.2.** *Whose mistake is it?* Look at the last column. If it is high, then a wrong answer is mostly what the
# map says: the comparison is sound, and what it compares is not. If it is far *below* one half, the opposite holds: the
# words know the truth, and the answer does not ask them.
#
# We had put the control there for symmetry, and its row surprised us more than the model's.
# In the control's wrong answers, its words put the two objects the right way round in
# {glue:text}`ch8_true_wrong_control` (in the model's, in {glue:text}`ch8_true_wrong`). A high
# number here is what "a readable ID need not be a used one" looks like from the inside of a
# mistake.
#
# (How can the control's $R^2$ be so low when its words have the order? $R^2$ wants the place, in
# cells. A map with the wrong zero or the wrong scale still has an order.)
#
# ## Steer in photos
#
# Reading says nothing about use. So swap: the first noun gets the ID of the second object's
# place instead of its own, and the second noun that of the first. Boxes lie between cells, so
# both IDs are interpolated at the true centres of the boxes.
#
# $$
# h_l(\text{dog}) \leftarrow h_l(\text{dog}) + \alpha\,\big(s(l, \text{place of the person}) -
# s(l, \text{place of the dog})\big)
# $$
#
# First the block and the dose, on the choosing half. The dose is the smallest that comes within
# two points of the best: more would only be louder.

# %%
STEERED = [name for name in MODELS if ALIVE[name]]


def steerable(name, case):
    """In an arm that goes on, and with places that differ on the grid of IDs."""
    axis = ("row", "column").index(ALONG[case.labels["kind"]])
    apart = abs(np.subtract(*case.places)[axis])
    return case.labels["kind"] in ALIVE[name] and apart > 0.1


def push(name, case, site):
    """For each noun, the ID difference from its own to the other object's place."""
    one, other = case.places
    first, second = IDS[name][case.labels["kind"]]
    return [first.difference(site, one, other), second.difference(site, other, one)]


def job(case, site, vectors, dose=1.0, **labels):
    edits = tuple(
        steer(site, span, vector, dose)
        for span, vector in zip(case.nouns, vectors, strict=True)
    )
    return Job(case.prompt, edits, case.labels | labels | {"dose": dose})


def outcomes(name, jobs):
    """Run the jobs and say what became of each belief."""
    table = run(name, jobs)
    table["right"] = table["before"] * table["toward"] < 0
    table["after"] = table["log_odds"] * table["toward"]
    table["change"] = table["after"] - table["before"] * table["toward"]
    table["swapped"] = table["log_odds"] * table["before"] < 0
    return table


# %%
trying = {name: [c for c in choosing[name] if steerable(name, c)][:60]
          for name in STEERED}  # fmt: skip
lines, BLOCK, SITE, DOSE = [], {}, {}, {}
for name, cases in trying.items():
    jobs = [job(c, site, push(name, c, site), block=block)
            for block, site in SITES[name].items() for c in cases]  # fmt: skip
    for block, part in outcomes(name, jobs).groupby("block"):
        found = share(part, "swapped")._asdict()
        lines.append({"model": name, "block": block, **found})
    own = pd.DataFrame(lines).query("model == @name").set_index("block")["estimate"]
    BLOCK[name] = int(own.idxmax())
    SITE[name] = SITES[name][BLOCK[name]]
    jobs = [job(c, SITE[name], push(name, c, SITE[name]), dose)
            for dose in (0.5, 1.0, 1.5, 2.0) for c in cases]  # fmt: skip
    by_dose = outcomes(name, jobs).groupby("dose")["swapped"].mean()
    DOSE[name] = float(by_dose.index[by_dose >= by_dose.max() - 0.02].min())
print("blocks", BLOCK, " doses", DOSE)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
axes = plots.with_band(pd.DataFrame(lines), "block", "model", colors=COLOR)
for name, block in BLOCK.items():
    axes.axvline(block, color=COLOR[name], ls=":", lw=1.5)
axes.set(ylabel="share of beliefs swapped", ylim=(-0.02, 1.02))
axes.set_xlabel("block after which the nouns are edited")
for key, name in (("", YES), ("_control", NO)):
    glue(f"ch8_block{key}", BLOCK.get(name, "none"))
    glue(f"ch8_dose{key}", f"{DOSE[name]:g}" if name in DOSE else "none")
same = BLOCK[YES] == READ[YES]
glue("ch8_two_blocks", "the same block" if same else "another block")

# %% [markdown]
# **Figure 8.8.** *Choosing the block,* at dose one on the choosing half. Chosen: block
# {glue:text}`ch8_block` and dose {glue:text}`ch8_dose` in the model, block
# {glue:text}`ch8_block_control` and dose {glue:text}`ch8_dose_control` in the control.
#
# The map was best to *read* after block {glue:text}`ch8_read_block`. It is best *written*
# after {glue:text}`ch8_two_blocks`. Where the two differ, the sharpest map hangs in a room
# that nobody enters: when it is finished, the places have long been taken elsewhere. A
# {term}`probe`'s best block says nothing about where to intervene.
#
# Now the trial on the judging half. The controls are those of {doc}`06_steering_beliefs`, each
# with exactly the length of the ID difference that it stands in for: random vectors, shuffled
# IDs, ID differences along the wrong axis, and random vectors within the span of the IDs.
# Every second photo gets other doses besides, for the section after this.

# %%
SEEDS = {"random": 2 if SMALL else 3, "shuffled IDs": 2, "orthogonal axis": 1,
         "random in ID subspace": 1}  # fmt: skip
DOSES = (0.5, 1.0, 2.0) if SMALL else (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
CURVE = {dose: {"random": place % 2} for place, dose in enumerate(DOSES)}


@lru_cache
def shuffled(name, kind, noun, seed):
    return IDS[name][kind][noun].shuffled(seed)


@lru_cache
def id_subspace(name, kind, noun, site):
    """The first six principal components of the mean IDs."""
    mean = IDS[name][kind][noun].mean(site)
    return torch.from_numpy(geometry.pca(mean, 6).components_).float()


def control_push(name, case, site, aimed, control, seed):
    """Stand-ins for the two ID differences of a case, each of the same length."""
    generator = torch.Generator().manual_seed(1000 * seed + case.labels["case"])
    for noun, (own, vector) in enumerate(zip(case.places, aimed, strict=True)):
        which, target = (name, case.labels["kind"], noun), case.places[1 - noun]
        if control == "random":
            yield random_direction(vector, generator)
        elif control == "random in ID subspace":
            yield random_in_subspace(vector, id_subspace(*which, site), generator)
        elif control == "shuffled IDs":
            wrong = shuffled(*which, seed).difference(site, own, target)
            yield with_norm_of(wrong, vector)
        else:  # along the other axis, from the nearer end to the further one
            across = 1 - ("row", "column").index(ALONG[case.labels["kind"]])
            ends = [tuple(np.where(np.arange(2) == across, end, own)) for end in (0, 3)]
            ends.sort(key=lambda end: abs(end[across] - own[across]))
            ids = IDS[name][case.labels["kind"]][noun]
            yield with_norm_of(ids.difference(site, *ends), vector)


# %%
def plan(name, case):
    """Dose -> control -> number of seeds, for one case."""
    few = {control: min(count, 2) for control, count in SEEDS.items()}
    more = CURVE if case.labels["photo"] % 2 == 0 else {}
    return more | {DOSE[name]: SEEDS if name == YES else few}


def try_all(name, cases, plans):
    """IDs and controls on the same cases."""
    jobs = []
    for case, doses in zip(cases, plans, strict=True):
        aimed = push(name, case, SITE[name])
        for dose, seeds in doses.items():
            arms = {("spatial IDs", 0): aimed}
            for control, count in seeds.items():
                for seed in range(count):
                    vectors = control_push(name, case, SITE[name], aimed, control, seed)
                    arms[control, seed] = list(vectors)
            for (arm, seed), vectors in arms.items():
                labels = {"arm": arm, "seed": seed}
                labels["length"] = float(torch.stack(vectors).norm())
                jobs.append(job(case, SITE[name], vectors, dose, **labels))
    return outcomes(name, jobs)


cases = {name: [c for c in judging[name] if steerable(name, c)] for name in STEERED}
tried = {name: try_all(name, cases[name], [plan(name, case) for case in cases[name]])
         for name in STEERED}  # fmt: skip
trial = {name: table[table["dose"] == DOSE[name]] for name, table in tried.items()}
keep("trial", pd.concat(table.assign(model=name) for name, table in tried.items()))
glue("ch8_steered", len(cases[YES]))
glue("ch8_left_out", len(judging[YES]) - len(cases[YES]))
print({name: len(table) for name, table in tried.items()}, "edits")

# %% [markdown]
# One more thing to write before the figure. Every arm ran on the same photos, and some photos
# turn more easily than others. An interval of a *gap* between arms must not pay for that.
#
# ````{exercise} The gap, photo by photo
# :label: ch8-paired
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `paired_gap(table, one, other)` for a table with the columns `arm`, `image` and
# `swapped`, a row for each edit, in any order. Return the mean of arm `one` less that of arm
# `other` with its 95 % interval. Each image counts once, whatever its number of questions and
# seeds. `stats.paired_difference` does the bootstrap; give it the right things.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def paired_gap(table, one, other):
    # A row for each image, a column for each arm: aligned by name.
    means = table.groupby(["image", "arm"])["swapped"].mean().unstack("arm")
    # The difference of an image loses what is easy or hard about the image itself.
    return stats.paired_difference(means[one], means[other])


# %%
ch08.check_paired_gap(paired_gap)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
columns = {"swapped": "share of beliefs swapped", "valid": "share of valid answers",
           "after": "log-odds of the false answer"}  # fmt: skip
figure, panels = plt.subplots(len(STEERED), 3, figsize=(12, 2.7 * len(STEERED)),
                              sharex="col", squeeze=False)  # fmt: skip
for (name, column), axes in zip(itertools.product(STEERED, columns), panels.flat,
                                strict=True):  # fmt: skip
    for height, (arm, part) in enumerate(trial[name].groupby("arm", sort=False)):
        found, color = share(part, column), plots.COLORS[arm]
        axes.plot([found.low, found.high], [-height] * 2, color=color, lw=2)
        axes.plot(found.estimate, -height, "o", color=color)
        seeds = part.groupby("seed")[column].mean()
        axes.plot(seeds, [-height - 0.25] * len(seeds), "|", color=color, alpha=0.6)
    arms = list(trial[name]["arm"].unique())
    axes.set_yticks(-np.arange(len(arms)), arms if column == "swapped" else [])
    axes.set_ylim(-len(arms) + 0.4, 0.6)
    axes.set_title(name if column == "swapped" else "")
    if column == "after":
        axes.axvline(0, color="0.3", lw=1)
        plain_after = trial[name]["before"] * trial[name]["toward"]
        axes.axvline(plain_after.mean(), color="0.3", lw=1.5, ls=":")
    else:
        axes.set_xlim(-0.03, 1.03)
for axes, title in zip(panels[-1], columns.values(), strict=True):
    axes.set_xlabel(title)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
SHORT = {"ids": "spatial IDs", "random": "random", "orthogonal": "orthogonal axis",
         "shuffled": "shuffled IDs", "subspace": "random in ID subspace"}  # fmt: skip
for key, name in (("", YES), ("_control", NO)):
    if name not in STEERED:
        for short in (*SHORT, "gap"):
            glue(f"ch8_{short}{key}", "not run")
        glue(f"ch8_verdict{key}", "not run, since it answers by chance")
        continue
    arms = dict(list(trial[name].groupby("arm")))
    for short, arm in SHORT.items():
        glue(f"ch8_{short}{key}", percent(share(arms[arm], "swapped")))
        glue(f"ch8_{short}_after{key}", share(arms[arm], "after"), 1)
        glue(f"ch8_{short}_valid{key}", percent(share(arms[arm], "valid")))
    gap = paired_gap(trial[name], "spatial IDs", "random")
    glue(f"ch8_gap{key}", percent(gap))
    beyond = share(arms["spatial IDs"], "after").low > 0
    verdict = "in part" if gap.high >= 0.2 else "no"
    verdict = "yes" if gap.low > 0.3 and beyond else verdict
    if name == YES and CHANCE:
        verdict = "not asked, since it answers by chance"
    glue(f"ch8_verdict{key}", verdict)
for short, some in trial[YES].query("arm == 'spatial IDs'").groupby("right"):
    text = f"{100 * some['swapped'].mean():.0f} % of {len(some)}"
    glue("ch8_was_right" if short else "ch8_was_wrong", text)

# %% [markdown]
# **Figure 8.9.** *IDs off white grids, written into photos.* {glue:text}`ch8_steered` questions
# of the judging half, dots with 95 % bootstrap intervals over images, ticks for single seeds.
# ({glue:text}`ch8_left_out` questions are left out: their arm stopped, or both objects
# lie beyond the same outer centre of the grid, where they have one ID.) Right: where the
# belief ends; zero is indifference; dotted, before the edit. In the model, dose
# {glue:text}`ch8_dose` after block {glue:text}`ch8_block`:
#
# | | swapped | ends at (nats) | valid |
# |---|---|---|---|
# | spatial IDs | {glue:text}`ch8_ids` | {glue:text}`ch8_ids_after` | {glue:text}`ch8_ids_valid` |
# | random | {glue:text}`ch8_random` | {glue:text}`ch8_random_after` | {glue:text}`ch8_random_valid` |
# | orthogonal axis | {glue:text}`ch8_orthogonal` | {glue:text}`ch8_orthogonal_after` | {glue:text}`ch8_orthogonal_valid` |
# | shuffled IDs | {glue:text}`ch8_shuffled` | {glue:text}`ch8_shuffled_after` | {glue:text}`ch8_shuffled_valid` |
# | random in ID subspace | {glue:text}`ch8_subspace` | {glue:text}`ch8_subspace_after` | {glue:text}`ch8_subspace_valid` |
#
# Do IDs from grids cause beliefs about photos? {doc}`06_steering_beliefs` set the rule: at least
# 30 points above random, and beyond indifference on average, both with the whole interval.
# In the model: **{glue:text}`ch8_verdict`**; the gap to random is
# {glue:text}`ch8_gap`. In the control: **{glue:text}`ch8_verdict_control`**
# ({glue:text}`ch8_ids_control` swapped with IDs, {glue:text}`ch8_random_control` with random
# vectors).
#
# The edit pushes towards the false answer, also where the model had given it already. So look at
# both groups: of the beliefs that were right, {glue:text}`ch8_was_right` swapped; of
# those that were wrong, {glue:text}`ch8_was_wrong`.
#
# ## Photos against grids, dose by dose
#
# Is a photo harder to steer than a grid? Run both with the same IDs, at the same block, with the
# same swap: {term}`held-out pairs <held-out pair>` on white grids, as in {doc}`06_steering_beliefs`, next to every second
# photo of the judging half.

# %%
def grid_cases(vlm, count, seed):
    """Both kinds of question about held-out grid scenes, in both orders."""
    cases = []
    for kind in AXES:
        ask, found = getattr(questions, kind), 0
        for scene in draw_scenes(5 * count, seed, "grid", held_out=True):
            if found == count or ask(scene, *scene.names) is None:
                continue
            found += 1
            for order, names in enumerate((scene.names, scene.names[::-1])):
                placed = [scene.find(name) for name in names]
                spots = [coco_spatial.grid_place(o.x, o.y, 4, 4) for o in placed]
                labels = {"image": f"{kind} {found}", "order": order}
                labels["case"] = len(cases)
                cases.append(make_case(vlm, scene.render(), ask(scene, *names),
                                       tuple(spots), **labels))  # fmt: skip
    return cases


grids = grid_cases(MODELS[YES], 4 if SMALL else 24, SEED + 3)
grids = with_belief(grids, plain(YES, grids))
grids = [case for case in grids if steerable(YES, case)]
curves = [try_all(YES, grids, [CURVE] * len(grids)).assign(model=YES, pictures="grids")]
for name, table in tried.items():
    shown = (table["photo"] % 2 == 0) & (table["seed"] == 0)
    shown &= table["arm"].isin(["spatial IDs", "random"])
    curves.append(table[shown].assign(model=name, pictures="photos"))
curves = pd.concat(curves)

# %%
def stream_ratio(name):
    """Mean length of the first noun's edit at dose one, by that of the stream there."""
    read_cases, states, _ = STATES[name]
    norms = states[SITE[name]].norm(dim=-1)
    judged_ones = [i for i, c in enumerate(read_cases) if steerable(name, c)]
    steps = [push(name, read_cases[i], SITE[name])[0].norm() for i in judged_ones]
    return float((torch.stack(steps) / norms[judged_ones]).mean())


ratio = {name: stream_ratio(name) for name in STEERED}
glue("ch8_ratio", ratio[YES])
ONE = curves.query("model == @YES and arm == 'spatial IDs' and dose == 1")
for pictures, part in ONE.groupby("pictures"):
    glue(f"ch8_{pictures}_one", percent(share(part, "swapped")))
    glue(f"ch8_{pictures}_one_right", percent(share(part[part["right"]], "swapped")))
    for kind, some in part.groupby("kind"):
        short = kind.split("_")[0]
        glue(f"ch8_{pictures}_one_{short}", percent(share(some, "swapped")))
for kind in set(AXES) - set(ALIVE[YES]):
    for pictures in ("photos", "grids"):
        glue(f"ch8_{pictures}_one_{kind.split('_')[0]}", "not run")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, len(STEERED), figsize=(5.6 * len(STEERED), 4.3),
                              sharey=True, squeeze=False)  # fmt: skip
for name, axes in zip(STEERED, panels[0], strict=True):
    part = curves[curves["model"] == name]
    table = pd.DataFrame(
        {"what": f"{arm}, {pictures}", "dose": dose, **share(some, "swapped")._asdict()}
        for (arm, pictures, dose), some in part.groupby(["arm", "pictures", "dose"],
                                                        sort=False)
    )  # fmt: skip
    tones = {what: plots.COLORS[what.split(",")[0]] for what in table["what"]}
    styles = {what: "--" if what.endswith("grids") else "-" for what in table["what"]}
    plots.with_band(table, "dose", "what", axes, tones, styles)
    axes.set(ylim=(-0.03, 1.03), xlabel="dose, in ID differences")
    axes.set_xticks(DOSES, [f"{dose:g}" for dose in DOSES], fontsize=8)
    axes.legend(loc="center right" if name == YES else "upper left", fontsize=8)
    top = axes.secondary_xaxis("top")
    top.set_xticks(DOSES, [f"{dose * ratio[name]:.2f}" for dose in DOSES], fontsize=8)
    top.set_xlabel(f"{name}\nlength of the edit / length of the stream", fontsize=9)
panels[0, 0].set_ylabel("share of beliefs swapped")
figure.tight_layout()

# %% [markdown]
# **Figure 8.10.** *Dose curves, photos (solid) and grids (dashed),* 95 % intervals over
# images. At dose one the edit is {glue:text}`ch8_ratio` of the stream's length at the first
# noun. There, in the model:
#
# | dose one, spatial IDs | all | right before | left/right | above/below |
# |---|---|---|---|---|
# | photos | {glue:text}`ch8_photos_one` | {glue:text}`ch8_photos_one_right` | {glue:text}`ch8_photos_one_left` | {glue:text}`ch8_photos_one_above` |
# | grids | {glue:text}`ch8_grids_one` | {glue:text}`ch8_grids_one_right` | {glue:text}`ch8_grids_one_left` | {glue:text}`ch8_grids_one_above` |
#
# ## Predict the dose before you give it
#
# A share of swaps says little about a single photo. At dose one, nearly all may turn, or
# hardly any, and you cannot tell which of them were close. But you have the map! From it you
# can say, *before* any edit, at which dose the belief about this one photo should turn.
#
# ````{exercise} Where two places meet
# :label: ch8-dose
#
# Difficulty ●○○ · importance ●●○ · 5 minutes, on paper
#
# The words say that the objects are `read` cells apart (signed: first less second); in truth
# it is `true` cells. An edit of dose $a$ moves the first noun's place by $-a$ · `true` and the
# second's by $+a$ · `true`: it is made of the true places, not of those the model sees. Write
# `turning_dose(read, true)`: the dose at which the two places meet. Both have the same sign.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def turning_dose(read, true):
    # Each walks `true` cells per dose, towards the other: 2 * true * dose == read.
    return read / (2 * true)


# %%
ch08.check_turning_dose(turning_dose)


# %%
def observed_dose(part):
    """The dose at which the belief passes zero, by straight lines between doses."""
    part = part.sort_values("dose")
    doses = np.array([0, *part["dose"]])
    false = np.array([(part["before"] * part["toward"]).iloc[0], *part["after"]])
    over = np.flatnonzero(false > 0)
    if not len(over):
        return np.inf
    around = slice(over[0] - 1, over[0] + 1)
    return float(np.interp(0, false[around], doses[around]))


def turning(name):
    """Predicted and observed dose for the photos that were answered rightly."""
    found = curves.query("model == @name and arm == 'spatial IDs' and right")
    found = found[found["pictures"] == "photos"].groupby("case")
    found = found.apply(observed_dose, include_groups=False)
    table = gaps(name, SITE[name]).merge(found.rename("observed"), on="case")
    table["predicted"] = turning_dose(table["read"], table["true"])
    return table


turns = turning(YES)
did = turns[np.isfinite(turns["observed"])].copy()
glue("ch8_turned", f"{len(did)} of {len(turns)}")
keep("doses", turns)

# %% [markdown]
# Two places can meet at one half by construction: if a model saw every place where it is,
# `read` would equal `true`, and every belief would turn at dose one half. What varies from
# photo to photo is the error of the map. So give the prediction a null. Deal the errors out
# again, each photo getting another's, and predict from those.

# %%
def correlation(table, one, other, method="pearson", seed=0):
    """Correlation of two columns, with an interval over images."""
    draw = np.random.default_rng(seed)
    images = list(table.groupby("image").indices.values())
    if len(images) < 3:  # too few for an interval
        return stats.Interval(np.nan, np.nan, np.nan, len(images))
    values = []
    for _ in range(40 if SMALL else 200):
        chosen = draw.integers(0, len(images), len(images))
        part = table.iloc[np.concatenate([images[i] for i in chosen])]
        values.append(part[one].corr(part[other], method=method))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    whole = float(table[one].corr(table[other], method=method))
    return stats.Interval(whole, float(low), float(high), len(images))


def dealt_again(table, seed):
    """Predictions from the errors of other photos."""
    error = (table["read"] - table["true"]) * np.sign(table["true"])
    dealt = np.random.default_rng(seed).permutation(np.array(error))
    dealt = dealt * np.sign(table["true"])
    return turning_dose(table["true"] + dealt, table["true"])


null = [did["observed"].corr(dealt_again(did, seed)) for seed in range(200)]
glue("ch8_dose_correlation", correlation(did, "predicted", "observed"))
glue("ch8_dose_null", f"{np.mean(null):.2f} [{np.percentile(null, 2.5):.2f}, "
                      f"{np.percentile(null, 97.5):.2f}]")  # fmt: skip
glue("ch8_dose_predicted", float(did["predicted"].median()))
glue("ch8_dose_observed", float(did["observed"].median()))
did["missed"] = (did["observed"] - did["predicted"]).abs()
did["gain"] = (did["observed"] - 0.5).abs() - did["missed"]
glue("ch8_dose_missed", share(did, "missed"))
glue("ch8_dose_gain", share(did, "gain"))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(5.4, 5))
axes.plot([0, 1.2], [0, 1.2], color="0.3", lw=1)
for value, draw in ((0.5, axes.axvline), (0.5, axes.axhline)):
    draw(value, color="0.6", lw=1, ls=":")
for kind, marker in (("left_right", "o"), ("above_below", "s")):
    part = did[did["kind"] == kind]
    axes.plot(part["predicted"].clip(-0.1, 1.3), part["observed"], marker, ms=5,
              color=COLOR[YES] if marker == "o" else "#009E73", alpha=0.5, mew=0,
              label=AXES[kind])  # fmt: skip
axes.set(xlabel="dose predicted from the map, before any edit",
         ylabel="dose at which the belief turned")  # fmt: skip
axes.legend()
figure.tight_layout()

# %% [markdown]
# **Figure 8.11.** *Predicted and observed.* Each point is one question about one photo that
# the model had answered rightly (every second photo of the judging half;
# {glue:text}`ch8_turned` of them turned within the doses tried). Nothing is fitted. Dotted:
# dose one half.
#
# Median dose predicted: {glue:text}`ch8_dose_predicted`; observed:
# {glue:text}`ch8_dose_observed`. Their correlation is {glue:text}`ch8_dose_correlation`; with
# errors dealt out again it is {glue:text}`ch8_dose_null`. The prediction misses by
# {glue:text}`ch8_dose_missed` on average. Compared with saying "one half" for every photo, it
# is better by {glue:text}`ch8_dose_gain`.
#
# We had planned to end with the swaps, and this figure says more. A swap needs only a push
# that is aimed and strong enough. Where the points follow the line, the *size* of the push
# that it takes can be read off the word beforehand, photo by photo. Be fair to the rival,
# though: "one half" is a good guess for most photos, so look at the gain as well as at the
# correlation.
#
# ## Which photos resist?
#
# Take the photos apart: by what lies behind the objects, by their size and by their distance.
# For each group, look at three things: how often the model is right, how far off its map is,
# and the dose that it takes to turn a right belief.

# %%
def thirds(values, names):
    return pd.qcut(pd.Series(values).rank(method="first"), 3, labels=names).tolist()


def facts(some):
    """What distinguishes photos, one row each."""
    table = pd.DataFrame({"image": [p.image_id for p in some]})
    table["photo"] = range(len(some))
    if OURS:
        table["background"] = [photos.background_of(p.image_id) for p in some]
    padded = [p.size != p.file_size for p in some]
    table["shape"] = ["padded" if one else "square" for one in padded]
    table["side"] = [min((b.width * b.height) ** 0.5 for b in p.boxes) / p.size[0]
                     for p in some]  # fmt: skip
    table["apart"] = [float(np.hypot(*np.subtract(*(p.place(name, 4, 4) for name in
                      (p.first, p.second))))) for p in some]  # fmt: skip
    table["smaller object"] = thirds(table["side"], ["small", "medium", "large"])
    table["distance"] = thirds(table["apart"], ["near", "middling", "far"])
    return table


known = facts(JUDGE)
FACTORS = [key for key in ("background", "shape", "smaller object", "distance")
           if key in known]  # fmt: skip
by_photo = known.set_index("photo")
by_photo["right"] = judged[YES].groupby("photo")["right"].mean()
by_photo["error"] = places[YES].groupby("photo")["error"].mean()
by_photo["dose"] = did.groupby("photo")["observed"].mean()

# %%
lines = []
for factor, measure in itertools.product(FACTORS, ("right", "error", "dose")):
    for level, part in by_photo.groupby(factor, sort=False):
        found = share(part, measure)._asdict()
        lines.append({"factor": factor, "level": level, "measure": measure, **found})
groups = pd.DataFrame(lines)
order = {"small": 0, "medium": 1, "large": 2, "near": 0, "middling": 1, "far": 2}
groups["place"] = groups["level"].map(order).fillna(0)
groups = groups.sort_values(["factor", "place", "level"], kind="stable")
ENDS = {"right": ("right", "idxmin"), "error": ("error", "idxmax"),
        "dose": ("dose", "idxmax"), "soon": ("dose", "idxmin")}  # fmt: skip
for short, (measure, worst) in ENDS.items():
    part = groups[groups["measure"] == measure].dropna(subset="estimate")
    row = part.loc[getattr(part["estimate"], worst)()] if len(part) else groups.iloc[0]
    there = by_photo[row["factor"]] == row["level"]
    glue(f"ch8_worst_{short}", f"{row['factor']}: {row['level']}")
    for where, some in (("worst", by_photo[there]), ("rest", by_photo[~there])):
        found = share(some, measure)
        found = percent(found) if measure == "right" else found
        glue(f"ch8_{where}_{short}_value", found)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
titles = {"right": "share of right answers", "error": "error of the map, in cells",
          "dose": "dose that turns it"}  # fmt: skip
figure, panels = plt.subplots(1, 3, figsize=(12, 4.6), sharey=True)
labels = groups[["factor", "level"]].drop_duplicates()
heights, height, last = {}, 0.0, None
for factor, level in labels.itertuples(index=False):
    height -= 1 if factor == last else 1.7
    heights[factor, level], last = height, factor
for (measure, title), axes in zip(titles.items(), panels, strict=True):
    for row in groups[groups["measure"] == measure].itertuples():
        where, color = heights[row.factor, row.level], COLOR[YES]
        axes.plot([row.low, row.high], [where] * 2, color=color, lw=2)
        axes.plot(row.estimate, where, "o", color=color)
    axes.axvline(by_photo[measure].mean(), color="0.4", ls=":", lw=1.5)
    axes.set(xlabel=title)
names = [f"{factor}: {level}" for factor, level in heights]
panels[0].set_yticks(list(heights.values()), names)
figure.tight_layout(w_pad=3)

# %% [markdown]
# **Figure 8.12.** *Photos taken apart,* in the model, 95 % intervals over images; dotted, the
# mean of all. "Smaller object" is the smaller of the two boxes, "distance" that of their
# centres; both in thirds.
#
# | | where | there | elsewhere |
# |---|---|---|---|
# | fewest right answers | {glue:text}`ch8_worst_right` | {glue:text}`ch8_worst_right_value` | {glue:text}`ch8_rest_right_value` |
# | largest error of the map | {glue:text}`ch8_worst_error` | {glue:text}`ch8_worst_error_value` | {glue:text}`ch8_rest_error_value` |
# | highest dose | {glue:text}`ch8_worst_dose` | {glue:text}`ch8_worst_dose_value` | {glue:text}`ch8_rest_dose_value` |
# | lowest dose | {glue:text}`ch8_worst_soon` | {glue:text}`ch8_worst_soon_value` | {glue:text}`ch8_rest_soon_value` |
#
# A group that is the first of many is so partly by luck. Look at its interval before you explain
# it. And groups are a blunt tool: ask what goes with the dose, photo by photo.

# %%
table = did.merge(known[["photo", "side", "apart"]], on="photo")
table["sure"] = table["before"].abs()
table["far off"] = table["photo"].map(by_photo["error"])
WHAT = {"predicted": "dose predicted from the map", "sure": "how sure the model was",
        "side": "size of the smaller object", "apart": "distance of the two",
        "far off": "error of the map"}  # fmt: skip
ranks = {what: correlation(table.dropna(subset=key), key, "observed", "spearman")
         for key, what in WHAT.items()}  # fmt: skip
most = max(ranks, key=lambda what: abs(ranks[what].estimate))
glue("ch8_most", most)
glue("ch8_most_value", ranks[most])
shown = pd.DataFrame(ranks, index=["rank correlation", "from", "to", "photos"]).T
shown.astype({"photos": int}).round(2)

# %% [markdown]
# **Table 8.3.** *What goes with the dose that a photo needs?* Most of all: {glue:text}`ch8_most`
# ({glue:text}`ch8_most_value`).
#
# Read the signs. If the predicted dose leads the table, a photo resists when the model *sees
# the two objects further apart than they are*: the edit is made of true distances, and falls
# short. If the map's error has a negative sign, photos that are hard to see turn *sooner*. We
# had expected the hard photos to resist. To be hard to see and to be hard to steer are two
# things.
#
# ````{exercise} Research sprint: repair the map
# :label: ch8-repair
#
# Difficulty ●●● · importance ●●○ · half a day
#
# If a wrong answer comes from a wrong map, mending the map should mend the answer. Add
# `s(true place) - s(place read)` at both nouns, at the site and on the half that you were not
# allowed to choose on. No dose to tune: one is right or wrong. But be careful. A strong push
# towards the truth makes *any* belief true. Which photos must *not* be repaired, if the story
# holds? Which random push is fair? Write both down first.
#
# Then write `repaired(cases, said)`: cases with a wrong answer and the places read at their
# nouns, `said.loc[photo, word]`, in; the table that `outcomes` makes of your jobs out. Its check,
# `ch08.check_trial(table, chosen_on)`, looks for what a causal claim needs (a dose curve for the
# IDs, several random seeds, equal lengths, both orders, no image that was used to choose). The
# trial of this chapter has to pass, too.
# ````

# %%
ch08.check_trial(tried[YES], halves[0])
said = read_places(YES, SITE[YES]).query("half == 'judging'")
said = said.set_index(["photo", "word"])[["row", "column"]]
failed = set(judged[YES][~judged[YES]["right"]]["photo"])
to_mend = [
    case for case in cases[YES]
    if case.labels["photo"] in failed
    and all((case.labels["photo"], word) in said.index for word in case.names)
]  # fmt: skip


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show the first hour", "code_prompt_hide": "Hide the first hour"}
def repaired(cases, said):
    jobs = []
    for case in cases:
        # The fair random push is as long as this one, and there are several.
        aimed, noise = repair(case, said), torch.Generator().manual_seed(case.labels["photo"])
        own = {"arm": "spatial IDs", "seed": 0}
        own["length"] = float(torch.stack(aimed).norm())
        jobs += [job(case, SITE[YES], aimed, dose, **own) for dose in (0.5, 1.0, 2.0)]
        for seed in range(5):
            vectors = [random_direction(vector, noise) for vector in aimed]
            own |= {"arm": "random", "seed": seed}
            jobs.append(job(case, SITE[YES], vectors, **own))
    return outcomes(YES, jobs) if jobs else pd.DataFrame()


def repair(case, said):
    # A beginning. The row to look at is the one whose answer was wrong although its map was
    # right. An edit that follows the map has little to mend there. If it mends all the same,
    # then "right" was too coarse a word for these maps, or the push does more than move a
    # place. Count them before you conclude.
    vectors = []
    for noun, word in enumerate(case.names):
        place = tuple(said.loc[(case.labels["photo"], word)].clip(0, 3))
        ids = IDS[YES][case.labels["kind"]][noun]
        vectors.append(ids.difference(SITE[YES], place, case.places[noun]))
    return vectors


# %%
mended = repaired(to_mend, said)
if len(mended):
    ch08.check_trial(mended, halves[0])
    maps = gaps(YES, SITE[YES]).set_index("case")["true map"]
    said_as = {True: "right", False: "wrong"}
    mended["map was"] = mended["case"].map(maps).map(said_as)
    mended["answer was"] = mended["right"].map(said_as)
    mended["mended"] = mended["after"] < 0
    keys = ["answer was", "map was", "arm", "dose"]
    mended = mended.groupby(keys)["mended"].agg(["mean", "size"]).round(2)
mended

# %% [markdown]
# ## Summary
#
# - Read a benchmark strictly and list what you refuse. A caption that is misread makes a
#   figure as good-looking as any.
# - Square oblong photos, or count your boxes in what the model sees. With a centre cut off,
#   the model is right in {glue:text}`ch8_cropped_cut`; squared, in
#   {glue:text}`ch8_squared_cut`. Squaring has its own price.
# - Do IDs read off white grids hold in photos? Model: **{glue:text}`ch8_holds`** ($R^2$
#   {glue:text}`ch8_r2_column` for columns, {glue:text}`ch8_r2_row` for rows). Control:
#   **{glue:text}`ch8_holds_control`**.
# - Subtract the same kind of baseline on both sides. A wrong one may cost nothing at one block
#   and a lot at the next.
# - When the model is wrong, its map as read gives the wrong answer in
#   {glue:text}`ch8_agrees_wrong` questions.
# - Do they steer? Model: **{glue:text}`ch8_verdict`**: {glue:text}`ch8_ids` of beliefs swapped at
#   dose {glue:text}`ch8_dose`, {glue:text}`ch8_random` with random vectors. Control:
#   **{glue:text}`ch8_verdict_control`**. On white grids, at dose one, {glue:text}`ch8_grids_one`.
# - The dose that the map predicts and the dose that a photo needs have a correlation of
#   {glue:text}`ch8_dose_correlation`. Nothing was fitted.
#
# And what this chapter has not shown. The photos that the book draws are photo-*like*: pieces
# of photographs, and on them sprites that the model knows from training. A real dog has a
# back, a shadow and another dog behind it. With the real data in `PHOTOS` and a large model,
# the same cells tell you what of this survives.
#
# ## Open question: a research sprint
#
# Where does a wrong place come from? The word reads it off the image, but did the vision
# tower lay it out wrongly, or did the word look at the wrong patch? Take photos with wrong
# answers. Put the objects on a plain background, at the same places. Blur everything but the
# two boxes. Swap in the patches of another photo. Each of these has a control that you know
# by now: the same blur somewhere else. Then tell in one figure which part of the model is to
# blame, and for how many of the mistakes.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: Figure 8 is about the reading, Figures 2 and 6 about the steering.
# - {cite:t}`kamath2023whatsup` made COCO-Spatial, with two sets of photos taken for the purpose.
# - {cite:t}`liu2023vsr`: photos with many more relations, and people's judgements.
# - {cite:t}`cui2026dual` look for the layout in the vision encoder, where your sprint begins.
#
# **What follows.** {doc}`09_swapping_beliefs` begins with the paper's own experiments, one by one and with every control.
