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
# # Steerable means capable?
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/13_steerable_and_capable.ipynb)
# · about 35 minutes to read, another 95 for the exercises, two to run
# · runs without a GPU · builds on Chapters [6](06_steering_beliefs.ipynb) and [9](09_swapping_beliefs.ipynb)
#
# The paper's Figure 9 has a point for each of eleven models: how easily {term}`spatial IDs <spatial ID>` steer it, and
# how often it is right. The points rise together {cite}`kang2026linear`. That would be good news.
# You could tell a capable model by its handles, and hope to make it better by giving it more.
#
# **Are models that can be steered the better ones?**
#
# A scatter plot over models can go wrong in two ways. Its axes may share a term, so that it rises
# whatever the models do. And its points may be relatives, so that eleven of them say no more than
# three. You will build a plot that rises out of nothing, and then one that could fall.
#
# **You will learn**
# - why accuracy lost goes with accuracy, in models that have nothing to do with each other
# - how to measure steerability and accuracy so that neither is in the other
# - what a correlation over six models is worth, and over three families
# - which models are steerable and not capable, or capable and not steerable, and how to make one
# - what comes first in training: a map, its use, or right answers

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
CONTROL = "tiny-llava-direct"  # the same architecture, trained without captions
SMALL = False  # True: fewer images, to try things out
SEED = 0
CACHE = None  # a folder: long runs keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import itertools
import math
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import norm, rankdata
from scipy.stats import t as student_t

from helpers import Job, plots, shipped_models, stats, trials
from helpers.exercises import ch13
from helpers.fingerprint import Fingerprint
from helpers.loading import ORGANISMS
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli.sampling import sample_scene
from helpers.training.teach import taught

# %%
# All models that come with the book (those for video have a chapter of their own).
OURS = [name for name in shipped_models() if "video" not in name][: 4 if SMALL else None]
NAMES = [name for name in dict.fromkeys([MODEL, CONTROL, *OURS]) if name]
MODELS = open_models(
    *NAMES, chapter="13_steerable_and_capable", small=SMALL, seed=SEED
)
YES, NO = Path(MODEL).name, Path(CONTROL).name
KINDS = {"left_right": "left/right", "above_below": "above/below"}

# %% [markdown]
# ## A plot of nothing
#
# In the released analysis the axis that is called "ID minus noise" has nothing subtracted. It is
# the **accuracy lost**: the share of right answers before an edit, less that after it. The other
# axis is the accuracy before. So you see $a - b$ against $a$. If $b$ is nearly the same for all
# models, the points lie on a line, whoever they are. And $b$ is nearly the same if the edit is so
# strong that every model ends up guessing, or babbling.
#
# Invent models to see how much that is. Each has an accuracy, and independently of it a *pull*: the
# chance that an aimed edit turns a right {term}`belief` over. There is no relation, by construction. Edits
# work in one of two ways. **Aimed**: right beliefs turn over by the model's pull; wrong ones are
# pushed to where they already are; noise does nothing. **Broken**: the edit ruins the model,
# whatever its direction, and each answer is a coin that is thrown.

# %%
def invented(rng, broken, sets=2000, models=11, questions=200):
    """Right before? turned by IDs? by noise? Arrays `[sets, models, questions]`."""
    size = (sets, models, questions)
    accuracy, pull = rng.uniform([[[0.55]], [[0.2]]], [[[1.0]], [[0.9]]],
                                 (2, sets, models))[..., None]  # fmt: skip
    right = rng.random(size) < accuracy
    if broken:
        ids, noise = ((rng.random(size) < 0.5) != right for _ in range(2))
    else:
        ids, noise = right & (rng.random(size) < pull), np.zeros(size, bool)
    return right, ids, noise


def three_ways(right, ids, noise):
    """(Steerability, accuracy) as released, then half corrected, then un-coupled."""
    half = right.shape[-1] // 2
    accuracy, lost = right.mean(-1), right.mean(-1) - (right != ids).mean(-1)
    difference = ids.astype(float) - noise
    known = np.where(right, difference, np.nan)[..., half:]
    return {
        "accuracy lost": (lost, accuracy),
        "all swaps, less noise": (difference.mean(-1), accuracy),
        "right beliefs of other\nscenes, less noise": (
            np.nanmean(known, -1), right[..., :half].mean(-1)
        ),
    }  # fmt: skip


def rank_correlations(x, y):
    """Spearman's correlation along the last axis."""
    x, y = (rankdata(part, axis=-1) for part in (x, y))
    x, y = (part - part.mean(-1, keepdims=True) for part in (x, y))
    return (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
rng = np.random.default_rng(SEED)
figure, panels = plt.subplots(2, 3, figsize=(11, 6), sharey=True)
for world, line in zip(("aimed", "broken"), panels, strict=True):
    ways = three_ways(*invented(rng, world == "broken", 300 if SMALL else 2000))
    for (way, (x, y)), short, axes in zip(
        ways.items(), ("lost", "swaps", "apart"), line, strict=True
    ):
        found = rank_correlations(x, y)
        low, middle, high = np.percentile(found, [2.5, 50, 97.5])
        glue(f"ch13_nothing_{short}_{world}", f"{middle:.2f} [{low:.2f}, {high:.2f}]")
        typical = int(np.abs(found - middle).argmin())
        axes.plot(x[typical], y[typical], "o", color="#0072B2")
        axes.set_title(f"edits are {world}\nr = {middle:.2f} [{low:.2f}, {high:.2f}]",
                       fontsize=10)  # fmt: skip
        axes.set(xlabel=way if world == "broken" else "")
        axes.locator_params(axis="x", nbins=5)
    line[0].set_ylabel("accuracy")
figure.tight_layout()

# %% [markdown]
# **Figure 13.1.** *Eleven invented models, without any relation,* drawn three ways. Dots: a typical
# set of eleven. Numbers: rank correlation (1 if both numbers put the models in the same order, -1 if in the opposite one),
# median and the range of 95 % of the sets.
#
# | invented, no relation | edits are aimed | edits break the model |
# |---|---|---|
# | accuracy lost, as released | {glue:text}`ch13_nothing_lost_aimed` | {glue:text}`ch13_nothing_lost_broken` |
# | all swaps, less noise | {glue:text}`ch13_nothing_swaps_aimed` | {glue:text}`ch13_nothing_swaps_broken` |
# | right beliefs of other scenes, less noise | {glue:text}`ch13_nothing_apart_aimed` | {glue:text}`ch13_nothing_apart_broken` |
#
# Broken edits make a perfect figure. To subtract noise cures that. But the middle column still leans
# when edits are aimed: *a wrong belief cannot be swapped to wrong*. A model with accuracy $a$ and
# pull $p$ loses $ap$, and $a$ is on the other axis, too. Only the last column is level. It looks
# at right beliefs alone, and at scenes that the accuracy has not seen, so that a lucky sample does
# not push both numbers up.
#
# ````{exercise} Un-couple a plot
# :label: ch13-uncouple
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `uncoupled(right, turned, first)` for three boolean arrays, one entry for each question:
# whether the belief was right before the edit, whether the false answer is believed after it, and
# whether the question is of the first half. Return (accuracy, steerability), such that no question
# is in both, and no wrong belief in the second.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def uncoupled(right, turned, first):
    # Two ties to cut: the samples (by halves) and the denominator (by right beliefs).
    return float(right[first].mean()), float(turned[~first & right].mean())


# %%
ch13.check_uncoupled(uncoupled)

# %% [markdown]
# ## The models at hand
#
# Ours are small, and we know where they come from. That is their use here: nobody can tell you
# which of LLaVA's relatives share a vision tower, a language model, and a million captions.
#
# - **Whole models**: every shipped model, and the one in `MODEL`.
# - **Blends**: weights between `tiny-llava-early` and `tiny-llava-flat`, which is the same
#   training run later on.
# - **Taught**: what {doc}`14_ids_as_teacher` leaves behind. For these pages it ran first; run alone, or
#   in Colab, this chapter has no such points, and what it says of *all points* differs from the book.
# - **Damaged** copies, with noise in the weights of one part.
#
# Blends and copies are *not* independent models. They are drawn with other markers, and the
# headline correlation leaves them out. They answer another question, and better: what happens if
# you change one part and leave the rest?
#
# Say beforehand what should happen. A right answer takes three steps: the **eyes** see, a noun
# takes up its object's place, and the **readers**, the later blocks, turn two places into a word.
# Steering writes the place by hand. So it needs readers, and no eyes:
#
# | | accuracy | steerability |
# |---|---|---|
# | noise in the eyes (vision tower, projector) | falls | stays |
# | noise in the readers (blocks behind the steered one) | falls | falls |
#
# If that is how it is, accuracy and {term}`steerability` have a common cause, the readers, and each has
# causes of its own.

# %%
#: What a model grew out of: relatives are not independent.
LINEAGE = dict.fromkeys((f"tiny-llava-{end}" for end in
                         ("early", "flat", "tied", "independent")), "flat")  # fmt: skip


def lineage(name):
    return LINEAGE.get(name, name)


@contextmanager
def changed(vlm, parameters, change):
    """A model with some parameters changed, for a `with` block."""
    parameters = list(parameters)
    before = [parameter.detach().clone() for parameter in parameters]
    try:
        with torch.no_grad():
            for number, parameter in enumerate(parameters):
                parameter.copy_(change(number, parameter))
        yield vlm
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)

# %%
def eyes(vlm):
    named = vlm.model.named_parameters()
    return [value for key, value in named if "vision" in key or "projector" in key]


def readers(vlm, block):
    return [value for layer in vlm.layers[block + 1 :] for value in layer.parameters()]


def noisy(strength, seed):
    """Noise on matrices: `strength` times the standard deviation of each one's entries."""
    generator = torch.Generator().manual_seed(seed)

    def change(number, parameter):
        if parameter.ndim < 2:
            return parameter
        noise = torch.randn(parameter.shape, generator=generator).to(parameter)
        return parameter + strength * parameter.std() * noise

    return change


def blend(vlm, other, share, **_):
    """A model with `share` of the way to another's weights."""
    theirs = list(other.model.parameters())
    mix = lambda number, own: torch.lerp(own, theirs[number].to(own), share)  # noqa: E731
    return changed(vlm, vlm.model.parameters(), mix)


# %% [markdown]
# ## Measuring
#
# Three sets of held-out scenes, none in two of them: to **choose** block and {term}`dose`, to count right
# **answers**, to **steer**. Half are two objects on white, half are clutter. Each picture gets one
# question, in either order of the nouns. Every model gets the same scenes.

# %%
# Scenes for each of two kinds of pictures and two of questions.
SIZES = {"choose": 2, "answers": 6, "steer": 6} if SMALL else {
    "choose": 10, "answers": 125, "steer": 125}  # fmt: skip


def draw_cases(vlm, count, seed, told):
    """One question about each of `count` scenes for each kind of picture and question.

    `told` remembers what was asked: on a grid the same picture comes again and again.
    """
    cases = []
    for pictures, kind in itertools.product(("grid", "clutter"), KINDS):
        rng, found = np.random.default_rng([seed, len(cases)]), 0
        while found < count:
            scene = sample_scene(rng, pictures, held_out=True)
            question = kind, frozenset(scene.objects), scene.names[found % 2]
            if question in told:
                continue
            told.add(question)
            labels = {"scene": f"{pictures} {kind} {found}", "found": found}
            some = trials.scene_cases(vlm, [scene], kind, [found % 2], **labels)
            found += len(some)  # 0 if the two are too close to tell
            cases += some
    return cases


DRAWN = {}


def sets_for(vlm):
    """The three sets; models that turn a question into the same tokens share them."""
    scene = sample_scene(np.random.default_rng(SEED), "grid")
    probe = vlm.prompt(scene.render(), "Is the frog to the left or right of the camel?")
    key = str(Fingerprint(vlm.family.name, probe.tokens).add(*probe.inputs.values()))
    if key not in DRAWN:
        told = set()
        DRAWN[key] = {what: draw_cases(vlm, count, SEED + 10 * number, told)
                      for number, (what, count) in enumerate(SIZES.items())}  # fmt: skip
    return DRAWN[key]


# %% [markdown]
# Steering is as in {doc}`09_swapping_beliefs`: both nouns get the ID of their mirrored place, noise
# has exactly the same length, and a **clean swap** is a right belief that becomes wrong *and is
# said*. One sweep does all: each question without an edit, with IDs, and with noise.

# %%
def attempt(vlm, cases, ids, tries, draws=0, save_to=None):
    """Every question without an edit and, at each (block, dose), with IDs and noise."""
    jobs = []
    for number, case in enumerate(cases):
        jobs.append(Job(case.prompt, (), case.labels | {"number": number, "arm": "none"}))
        for block, dose in tries:
            site, labels = vlm.resid_post(block), {"number": number, "block": block}
            made = trials.arms(case, ids[case.kind], site, trials.mirrored(case),
                               {"random": draws})  # fmt: skip
            for (arm, seed), vectors in made.items():
                more = labels | {"arm": arm, "seed": seed}
                jobs.append(trials.steering_job(case, site, vectors, dose, **more))
    table = trials.run(vlm, jobs, save_to)
    plain = table[table["arm"] == "none"].set_index("number")["log_odds"]
    table["before"] = table["number"].map(plain)
    table["right"] = table["before"] * table["toward"] < 0
    wrong_after = table["log_odds"] * table["toward"] > 0
    said = (wrong_after & table["valid"]).astype(float)
    table["clean"] = np.where(table["right"], said, np.nan)
    table["right_after"] = ~wrong_after & table["valid"]
    return table


# %%
def looking(vlm):
    """Blocks at which a word may know its place: from the first that sees the picture."""
    cross = vlm.family.cross_layers(vlm.model.config.get_text_config())
    return range(min(cross, default=0), vlm.n_layers)


def choose(vlm, cases, ids, save_to=None):
    """The block and the dose with the most clean swaps; of equals, the smallest dose."""
    tries = list(itertools.product(looking(vlm), (1.0, 2.0)))
    table = attempt(vlm, cases, ids, tries, save_to=save_to)
    table = table[table["arm"] == "spatial IDs"]
    found = table.groupby(["dose", "block"])["clean"].mean().fillna(0)
    dose, block = found.idxmax()
    return int(block), float(dose)


def measure(vlm, part=1.0, save_to=None, ids=None):
    """Accuracy, steerability and how they came about; with its own IDs or with those given."""
    sets = {what: [c for c in cases if c.labels["found"] < max(2, part * SIZES[what])]
            for what, cases in sets_for(vlm).items()}  # fmt: skip
    asked = trials.with_beliefs(vlm, sets["answers"], save_to)
    answers = pd.DataFrame([case.labels for case in asked])
    row = {"accuracy": trials.share(answers, "right")}
    alive = [kind for kind in ids or KINDS
             if trials.can_answer([case for case in asked if case.kind == kind])]  # fmt: skip
    row["stopped"] = ", ".join(KINDS[kind] for kind in KINDS if kind not in alive)
    if not alive:
        return row
    sets = {what: [c for c in cases if c.kind in alive] for what, cases in sets.items()}
    few = {"pairs": 2, "partners": 1} if SMALL else {"pairs": 6, "partners": 1}
    if ids is None:
        ids = trials.extract_ids(vlm, alive, seed=SEED, save_to=save_to, **few)
    row["vectors"] = ids
    row["block"], row["dose"] = choose(vlm, sets["choose"], ids, save_to)
    where = [(row["block"], row["dose"])]
    draws = 2 if part == 1 else 1
    return row | told_by(attempt(vlm, sets["steer"], ids, where, draws, save_to))

# %%
def told_by(table):
    """Steerability, and the same table read in the released way."""
    means = table.groupby(["scene", "arm"])["clean"].mean().unstack("arm")
    means = means[["spatial IDs", "random"]].dropna()
    if len(means) < 2:
        return {}
    arms = dict(list(table.groupby("arm")))
    before, after = arms["none"]["right"].mean(), arms["spatial IDs"]["right_after"].mean()
    return {
        "steerability": stats.paired_difference(means["spatial IDs"], means["random"]),
        "ids": stats.share(means["spatial IDs"]),
        "noise": stats.share(means["random"]),
        "valid": float(arms["spatial IDs"]["valid"].mean()),
        "lost": float(before - after),
        "right_before": float(before),
    }


# %% [markdown]
# A relation that a model answers by chance is not steered: there is nothing to turn over. The model
# keeps its place on the axis of accuracy, and has none on the other.

# %%
ROWS = []


def add(name, of, kind, row, strength=np.nan):
    ROWS.append({"name": name, "of": of, "lineage": lineage(of), "kind": kind,
                 "strength": strength} | row)  # fmt: skip
    if row["stopped"]:
        print(f"{name}: {percent(row['accuracy'])} right; by chance: {row['stopped']}")


for name, vlm in MODELS.items():
    add(name, name, "whole", measure(vlm, save_to=CACHE))
WHOLE = {row["name"]: row for row in ROWS}

# %%
PART = 0.28  # of the scenes, for those that are no models of their own
SHARES = () if SMALL else (0.25, 0.5, 0.75)
if {"tiny-llava-early", "tiny-llava-flat"} <= set(MODELS):
    early, late = MODELS["tiny-llava-early"], MODELS["tiny-llava-flat"]
    for share in SHARES:
        with blend(late, early, 1 - share) as vlm:
            row = measure(vlm, PART)
        add(f"blend {share:g}", "tiny-llava-flat", "blend", row, share)

FOLDER = Path("../_build/taught/tiny-llava-early")
LESSONS = [] if SMALL else sorted(FOLDER.glob("*-0.safetensors"))  # the first seed
for path in LESSONS if "tiny-llava-early" in MODELS else []:
    with taught(MODELS["tiny-llava-early"], path) as vlm:
        add(f"taught {path.stem}", "tiny-llava-early", "taught", measure(vlm, PART))
glue("ch13_taught", f"{len(LESSONS)} of them, one for each arm" if LESSONS else
     "none, as the weights that chapter 14 leaves are not there")  # fmt: skip

# %%
STRENGTHS = {  # (model, part) -> strengths of the noise
    ("tiny-llava", "eyes"): (0.6,) if SMALL else (0.4, 0.6),
    ("tiny-llava", "readers"): (1.0,) if SMALL else (1.0, 1.6),
    ("tiny-llava-direct", "eyes"): () if SMALL else (0.3,),
}
PARTLY = []  # damaged models, steered with the IDs of the undamaged one
for (base, part), strengths in STRENGTHS.items():
    intact = WHOLE.get(base, {})
    if "block" not in intact:
        continue
    vlm, block = MODELS[base], intact["block"]
    parameters = eyes(vlm) if part == "eyes" else readers(vlm, block)
    for strength in strengths:
        name, kind = f"{base}, {part} {strength:g}", f"noise in {part}"
        with changed(vlm, parameters, noisy(strength, SEED)):
            add(name, base, kind, measure(vlm, PART), strength)
            if kind == "noise in eyes" and strength == 0.6 and not SMALL:
                row = measure(vlm, PART, ids=intact["vectors"])
                PARTLY.append(row | {"strength": strength})

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the table", "code_prompt_hide": "Hide the code"}
INTERVALS = ("accuracy", "steerability", "ids", "noise")


def number(value):
    return value.estimate if isinstance(value, stats.Interval) else np.nan


def tidy(rows):
    """One row for each model; intervals as three columns."""
    table = pd.DataFrame(rows).drop(columns="vectors", errors="ignore")
    for column in (*INTERVALS, "block", "dose", "lost", "right_before", "valid"):
        table[column] = table.get(column, np.nan)
    for column, end in itertools.product(INTERVALS, ("low", "high")):
        table[f"{column}_{end}"] = [getattr(v, end, np.nan) for v in table[column]]
    return table.assign(**{column: table[column].map(number) for column in INTERVALS})


points = tidy(ROWS)
steered = points.dropna(subset="steerability")
whole = steered[steered["kind"] == "whole"]
keep("points", points.astype({"block": float, "dose": float}))
for key, name in (("", YES), ("_control", NO)):
    row = WHOLE.get(name, {})
    for column in ("accuracy", "steerability"):
        value = row.get(column)
        glue(f"ch13_{column}{key}", percent(value) if value else "not measured")
glue("ch13_models", len(whole))
glue("ch13_lineages", whole["lineage"].nunique())
glue("ch13_points", len(steered))
shown = points[["name", "lineage", "accuracy", "steerability", "ids", "noise", "valid",
                "block", "dose"]]  # fmt: skip
table = shown.style.hide(axis="index").format(precision=2, na_rep="–")
table.format("{:g}", subset=["block", "dose"], na_rep="–")

# %% [markdown]
# **Table 13.1.** *Every model and what became of it.* Accuracy: of the *answers* scenes. `ids` and
# `noise`: share of right beliefs of the *steer* scenes that turn over. Steerability: their paired
# difference. Blocks and doses were chosen on other scenes again. Taught models:
# {glue:text}`ch13_taught`.
#
# ## Both plots

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
PALETTE = {"tiny-llava": plots.COLORS["tiny-llava"], "flat": "#009E73",
           "tiny-llava-direct": plots.COLORS["tiny-llava-direct"]}  # fmt: skip
MARKS = {"whole": "o", "blend": "d", "taught": "*", "noise in eyes": "v",
         "noise in readers": "s"}  # fmt: skip


def scatter(axes, x, y, bars=False):
    for row in steered.to_dict("records"):
        color, full = PALETTE.get(row["lineage"], "#7F7F7F"), row["kind"] == "whole"
        if bars:
            axes.plot([row[f"{x}_low"], row[f"{x}_high"]], [row[y]] * 2, color=color, lw=1)
            axes.plot([row[x]] * 2, [row[f"{y}_low"], row[f"{y}_high"]], color=color, lw=1)
        axes.plot(row[x], row[y], MARKS[row["kind"]], color=color, ms=9 if full else 7,
                  mfc=color if full else "white", mew=1.5)  # fmt: skip
        if full:
            short = row["name"].removeprefix("tiny-llava-")
            left = short not in ("tiny-llava", "direct")
            where = {"tied": (4, 15), "independent": (-5, 6)}.get(short, (-5, -14))
            axes.annotate(short, (row[x], row[y]), xytext=where if left else (7, 5),
                          fontsize=8, ha="right" if left else "left",
                          textcoords="offset points")  # fmt: skip
    axes.set(xlim=(-0.08, 1.08), ylim=(0.45, 1.06))


figure, panels = plt.subplots(1, 2, figsize=(11.5, 5), sharey=True)
scatter(panels[0], "lost", "right_before")
panels[0].plot([0, 1], [0, 1], color="0.6", lw=1, ls=":")
panels[0].set(xlabel="accuracy lost", ylabel="accuracy", title="as released")
scatter(panels[1], "steerability", "accuracy", bars=True)
panels[1].set(xlabel="steerability: right beliefs turned, IDs less noise",
              title="un-coupled")  # fmt: skip
for kind, mark in MARKS.items():
    panels[1].plot([], [], mark, color="0.4", label=kind,
                   mfc="0.4" if kind == "whole" else "white")  # fmt: skip
for name, color in PALETTE.items():
    panels[1].plot([], [], "-", lw=4, color=color, label=f"lineage {name}")
figure.legend(*panels[1].get_legend_handles_labels(), ncols=4, fontsize=10,
              loc="upper center", bbox_to_anchor=(0.5, 0.0))  # fmt: skip
figure.tight_layout()

# %% [markdown]
# **Figure 13.2.** *Accuracy against steerability, two ways.* Full: whole models. Hollow: blends,
# taught models and damaged copies of the same colour's lineage. Lines: 95 % intervals over scenes.
# On the left no model can be below the diagonal: nobody can lose more accuracy than they have.
#
# There are {glue:text}`ch13_models` whole models with both numbers. That sounds like little, and it
# is less. `early` is `flat` in the middle of its training; `tied` and `independent` are `flat`,
# trained on in two ways. So there are {glue:text}`ch13_lineages` lineages.
#
# ## What is a correlation over a few models worth?
#
# ````{exercise} Bootstrap over models
# :label: ch13-bootstrap
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# The intervals in Figure 13.2 are over scenes. More scenes would make them small, and would tell
# you nothing about the *next model*. The claim is about models, so models are what you draw again.
# Write `spearman_interval(x, y, rounds, seed)`: the rank correlation's 95 % percentile interval,
# (low, high). (`rank_correlations` above takes arrays `[rounds, models]` at once.) What do you do with a draw in which all models are the same one?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def spearman_interval(x, y, rounds, seed):
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(x), (rounds, len(x)))  # a model keeps its two numbers
    x, y = np.asarray(x)[chosen], np.asarray(y)[chosen]
    # One model, many times, has no correlation: leave such draws out.
    varied = (np.ptp(x, axis=1) > 0) & (np.ptp(y, axis=1) > 0)
    found = rank_correlations(x[varied], y[varied])
    return tuple(float(end) for end in np.percentile(found, [2.5, 97.5]))


# %%
ch13.check_spearman_interval(spearman_interval)

# %%
def both(table):
    return table["steerability"].to_numpy(), table["accuracy"].to_numpy()


def enough(x, y):
    return len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0


def over_models(x, y):
    """Rank correlation with its interval over models; None where there are too few."""
    if not enough(x, y):
        return None
    low, high = spearman_interval(x, y, 4000, SEED)
    return stats.Interval(float(rank_correlations(x, y)), low, high, len(x))


def over_lineages(table, rounds=2000):
    """The same, drawing whole lineages; n is their number."""
    groups = [both(part) for _, part in table.groupby("lineage")]
    if len(groups) < 2 or not enough(*both(table)):
        return None
    rng, found = np.random.default_rng(SEED), []
    for _ in range(rounds):
        drawn = [groups[index] for index in rng.integers(0, len(groups), len(groups))]
        x, y = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        if enough(x, y):
            found.append(float(rank_correlations(x, y)))
    low, high = (float(end) for end in np.percentile(found, [2.5, 97.5]))
    return stats.Interval(float(rank_correlations(*both(table))), low, high, len(groups))


released = over_models(whole["lost"].to_numpy(), whole["right_before"].to_numpy())
found = {
    "whole models, as released": released,
    "whole models": over_models(*both(whole)),
    "whole models, lineages drawn": over_lineages(whole),
    "all points, lineages drawn": over_lineages(steered),
}
shorts = ("released", "correlation", "whole_lineages", "all_lineages")
for short, value in zip(shorts, found.values(), strict=True):
    glue(f"ch13_{short}", "not measured" if value is None else value)

# %%
leave = {}
for name in whole["name"]:
    x, y = both(whole[whole["name"] != name])
    if enough(x, y):
        leave[name] = float(rank_correlations(x, y))
ends = (min, max) if leave else ()
for short, end in zip(("lowest", "highest"), ends, strict=False):
    who = end(leave, key=leave.get)
    glue(f"ch13_leave_{short}", f"{leave[who]:.2f}, without {who}")
if not leave:
    glue("ch13_leave_lowest", "not measured")
    glue("ch13_leave_highest", "not measured")
pearson = np.corrcoef(*both(whole))[0, 1] if enough(*both(whole)) else np.nan
glue("ch13_pearson", "not measured" if np.isnan(pearson) else float(pearson))

# %% [markdown]
# An interval by bootstrap asks: what if I had drawn other models? With few points it is wide, and
# it is a poor guess even of its own width. A **permutation test** asks something simpler: if the
# two numbers had nothing to do with each other, how many of all ways to pair them up would look at
# least as good?
#
# ````{exercise} All orders
# :label: ch13-permute
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `permutation_p(x, y)`: of *all* orders of `y`, the share whose rank correlation with `x` is
# at least as high as the observed one. Before you run it: what is the smallest p that three points
# can give?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def permutation_p(x, y):
    x, y = rankdata(x), rankdata(y)
    orders = np.array(list(itertools.permutations(y)))
    # With the ranks fixed, the correlation grows with the sum of their products.
    return float((orders @ x >= y @ x - 1e-9).mean())


# %%
ch13.check_permutation_p(permutation_p)

# %%
def p_of(table, most=9):
    """p over all orders (of the first `most` models: the orders soon are too many)."""
    x, y = both(table[:most])
    return f"{permutation_p(x, y):.3f}" if enough(x, y) else "not measured"


families = whole.groupby("lineage")[["steerability", "accuracy"]].mean()
value, p = found["whole models"], p_of(families)
holds = value is not None and value.low > 0
glue("ch13_verdict", "yes" if holds else "cannot tell")
beyond = holds and p != "not measured" and float(p) <= 0.05
glue("ch13_verdict_lineages", "yes" if beyond else "cannot tell")
glue("ch13_p", p_of(whole))
glue("ch13_p_lineages", p)
least = 1 / math.factorial(max(1, whole["lineage"].nunique()))
glue("ch13_p_least", f"{least:.3f}")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(8, 3.6))
lines = [(name, value) for name, value in found.items() if value is not None]
lines += [(f"without {name}", value) for name, value in leave.items()]
for height, (name, value) in enumerate(lines):
    if isinstance(value, stats.Interval):
        axes.plot([value.low, value.high], [-height] * 2, color="#0072B2", lw=2)
        value = value.estimate
    axes.plot(value, -height, "o", color="#0072B2" if name in found else "0.5")
axes.set_yticks(-np.arange(len(lines)), [name for name, _ in lines], fontsize=9)
axes.axvline(0, color="0.3", lw=1)
axes.set(xlim=(-1.05, 1.05), xlabel="rank correlation of steerability and accuracy")
figure.tight_layout()

# %% [markdown]
# **Figure 13.3.** *One correlation, many ways to be unsure of it.* Blue: with 95 % intervals. Grey:
# leaving one model out.
#
# | | rank correlation |
# |---|---|
# | whole models, as released (lost accuracy) | {glue:text}`ch13_released` |
# | **whole models, un-coupled; models drawn** | {glue:text}`ch13_correlation` |
# | the same, lineages drawn | {glue:text}`ch13_whole_lineages` |
# | all points, lineages drawn | {glue:text}`ch13_all_lineages` |
# | lowest when one is left out | {glue:text}`ch13_leave_lowest` |
# | highest when one is left out | {glue:text}`ch13_leave_highest` |
#
# Pearson's correlation of the whole models is {glue:text}`ch13_pearson`. By permutation, p is
# {glue:text}`ch13_p` if you take them for independent. With one point for each lineage it is
# {glue:text}`ch13_p_lineages`, and it could not be smaller than {glue:text}`ch13_p_least`, however
# strong the relation.
#
# Compare the rows where lineages are drawn with the row above them. Fewer things to draw, and perhaps
# a *narrower* interval? Do not believe it. Three lineages give ten different draws, and whenever each
# of them leans the same way, so do all. A bootstrap over three is no interval, it is a list.
#
# So, do they rise together? Over these models, by the rule "the whole interval over models above
# zero": **{glue:text}`ch13_verdict`**. Beyond these lineages, by the rule "and p over lineages at
# most 0.05": **{glue:text}`ch13_verdict_lineages`**. "Cannot tell" is not "no". It is all that so few
# lineages are able to say. And mind the two coefficients. Ranks do not see how *far* the control is
# from the others; Pearson's correlation sees little else.
#
# ## Within a family and between families
#
# The paper's eleven models are a handful of families in several sizes. A correlation over all of
# them mixes two: *in a family, is the more steerable model the better one?* and *are families
# that are more steerable better?* They can have different signs. Then the pooled one is an accident
# of who is in the sample: Simpson's paradox.
#
# ````{exercise} Within and between
# :label: ch13-simpson
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `within_and_between(x, y, family)`, three arrays of one length. *Within*: subtract from each
# value the mean of its family, then take Pearson's correlation over all points. *Between*: that of
# the families' means, each family once. Why is it no good to average the families' own
# correlations?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def within_and_between(x, y, family):
    table = pd.DataFrame({"x": x, "y": y, "family": family})
    apart = table[["x", "y"]] - table.groupby("family").transform("mean")
    means = table.groupby("family").mean()
    # A family of one or two has a correlation of nothing, or of 1: it must not count
    # as much as a large one.
    return apart["x"].corr(apart["y"]), means["x"].corr(means["y"])


# %%
ch13.check_within_and_between(within_and_between)

# %%
def say(value):
    return "not measured" if value is None or np.isnan(value) else float(value)


x, y = both(steered)
shown = enough(x, y) and steered["lineage"].nunique() > 1
within, between = within_and_between(x, y, steered["lineage"]) if shown else (None, None)
pooled = np.corrcoef(x, y)[0, 1] if shown else None
x, y = both(families)
alone = np.corrcoef(x, y)[0, 1] if enough(x, y) else None
for short, value in (("within", within), ("between", between), ("pooled", pooled),
                     ("between_whole", alone)):  # fmt: skip
    glue(f"ch13_{short}", say(value))
own = []
for name, part in steered.groupby("lineage"):
    x, y = both(part)
    if enough(x, y):
        own.append({"lineage": name, "points": len(part), "r": np.corrcoef(x, y)[0, 1],
                    "steerability from": x.min(), "to": x.max()})  # fmt: skip
pd.DataFrame(own).style.hide(axis="index").format(precision=2)

# %% [markdown]
# **Table 13.2.** *Inside each lineage*, over its whole models, blends and copies. Pearson's
# correlation over all points: {glue:text}`ch13_pooled`. Within lineages: {glue:text}`ch13_within`.
# Between them: {glue:text}`ch13_between`, from {glue:text}`ch13_lineages` points; and
# {glue:text}`ch13_between_whole` if the lineages' means are over whole models alone. The lineages are
# the same. Only whom you count in differs. While we wrote this chapter, that coefficient changed its
# sign with the number of damaged copies.
#
# Read "within" with care as well. You chose which copies to damage, and how. Take only damaged eyes,
# and it is one number; only damaged readers, and it is another. A correlation describes your sample.
# So look at what you did to each.
#
# ## One part at a time

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
BASE, LENT = "tiny-llava", "noise in eyes, IDs of the intact model"
PARTS = {"noise in eyes": "#D55E00", LENT: "#E69F00", "noise in readers": "#0072B2"}
lent = tidy([row | {"name": "", "of": BASE, "kind": LENT} for row in PARTLY])
copies = pd.concat([points, lent]) if PARTLY else points
figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
start = points[points["name"] == BASE].assign(strength=0.0)
for kind in PARTS:
    part = copies[(copies["of"] == BASE) & (copies["kind"] == kind)]
    line = pd.concat([start, part]).sort_values("strength")
    for column, axes in zip(("accuracy", "steerability"), panels, strict=True):
        if column == "accuracy" and kind == LENT:
            continue
        rows = pd.DataFrame({"strength": line["strength"], "estimate": line[column],
                             "low": line[f"{column}_low"], "high": line[f"{column}_high"],
                             "what": kind})  # fmt: skip
        rows = rows.dropna()
        if len(rows):
            plots.with_band(rows, "strength", "what", axes, colors=PARTS)
            axes.legend(fontsize=8, loc="lower left")
        axes.set(xlabel="noise, in SDs of each matrix", title=column, ylim=(-0.08, 1.05))
panels[0].axhline(0.5, color="0.4", ls=":", lw=1.5)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def fall(kind):
    """What the strongest damage that could still be steered costs, in both measures."""
    part = copies[(copies["of"] == BASE) & (copies["kind"] == kind)]
    part = part.dropna(subset="steerability")
    whole_one = steered[steered["name"] == BASE]
    if part.empty or whole_one.empty:
        return None
    worst = part.loc[part["strength"].idxmax()]
    return {column: (worst[f"{column}_high"] < whole_one[f"{column}_low"].iloc[0],
                     worst[column], worst[f"{column}_low"], worst[f"{column}_high"])
            for column in ("accuracy", "steerability")}  # fmt: skip


PREDICTED = {"eyes": (True, False), "lent": (True, False), "readers": (True, True)}
for (short, wanted), kind in zip(PREDICTED.items(), PARTS, strict=True):
    result, verdict = fall(kind), "not measured"
    for column in ("accuracy", "steerability"):
        value = "not measured"
        if result:
            _, middle, low, high = result[column]
            value = f"{100 * middle:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
        glue(f"ch13_{short}_{column}", value)
        cost = result and round(100 * (start[column].iloc[0] - result[column][1]))
        glue(f"ch13_{short}_{column}_cost", "not measured" if result is None else cost)
    if result:
        fell = tuple(bool(result[column][0]) for column in result)
        verdict = "as predicted" if fell == wanted else "not as predicted"
    glue(f"ch13_{short}_verdict", verdict)

# %% [markdown]
# **Figure 13.4.** *Noise in one part.* 95 % intervals over scenes. Where a line ends early, the
# model answers by chance and is not steered; dotted, chance.
#
# | `tiny-llava`, strongest noise that could be steered | accuracy | steerability | |
# |---|---|---|---|
# | in the eyes | {glue:text}`ch13_eyes_accuracy` | {glue:text}`ch13_eyes_steerability` | {glue:text}`ch13_eyes_verdict` |
# | in the eyes, IDs of the intact model | {glue:text}`ch13_lent_accuracy` | {glue:text}`ch13_lent_steerability` | {glue:text}`ch13_lent_verdict` |
# | in the readers | {glue:text}`ch13_readers_accuracy` | {glue:text}`ch13_readers_steerability` | {glue:text}`ch13_readers_verdict` |
#
# ("Falls" means: the two intervals do not touch.) Now by degree, in points. Noise in the eyes costs
# {glue:text}`ch13_eyes_accuracy_cost` of accuracy and {glue:text}`ch13_eyes_steerability_cost` of
# steerability; noise in the readers {glue:text}`ch13_readers_accuracy_cost` of accuracy and
# {glue:text}`ch13_readers_steerability_cost` of steerability. Compare the two ratios.
#
# Why should steerability fall at all when only the eyes are hurt? We had not thought of three things.
# IDs are read *through* the eyes, so bad eyes blur the vectors that you steer with. Lending the copy
# the IDs of the intact model rules this one out: that is the second row. Next, a difference of
# IDs starts from where the object *is*, and a half-blind noun believes that it is elsewhere, so the
# push lands elsewhere. Last, right beliefs are in part lucky guesses, weakly held, that noise turns
# over as well, and noise is subtracted. Look at `ids` and `noise` apart in Table 13.1
# before you say that a model listens less. (The readers stand a good deal more noise than the eyes.
# And where they break, few answers are valid: by changes of sign alone, babble would count as
# steerable.)
#
# ## Four corners
#
# "Steerable means capable" can be read in two directions, and a single model can refute either.
# No single model can refute a correlation. So name the corners. *Accurate*: at least 85 % right,
# with the whole interval; *inaccurate*: below 85 % with the whole interval. *Steerable*: at least
# 30 points above noise, as in {doc}`06_steering_beliefs`; *stiff*: less than 20.

# %%
corner = {
    "accurate": steered["accuracy_low"] >= 0.85,
    "inaccurate": steered["accuracy_high"] < 0.85,
    "steerable": steered["steerability_low"] > 0.3,
    "stiff": steered["steerability_high"] < 0.2,
}
for able, open_ in itertools.product(("accurate", "inaccurate"), ("steerable", "stiff")):
    names = steered["name"][corner[able] & corner[open_]]
    glue(f"ch13_{able}_{open_}", "; ".join(names) or "none")
glue("ch13_steerable_means_capable", "refuted" if
     (corner["inaccurate"] & corner["steerable"]).any() else "not refuted")  # fmt: skip
glue("ch13_capable_means_steerable", "refuted" if
     (corner["accurate"] & corner["stiff"]).any() else "not refuted")  # fmt: skip
stricter = ((steered["accuracy_low"] >= 0.9) & corner["stiff"]).any()
glue("ch13_capable_at_90", "refuted" if stricter else "not refuted")

# %% [markdown]
# | | steerable | stiff |
# |---|---|---|
# | accurate | {glue:text}`ch13_accurate_steerable` | {glue:text}`ch13_accurate_stiff` |
# | inaccurate | {glue:text}`ch13_inaccurate_steerable` | {glue:text}`ch13_inaccurate_stiff` |
#
# - *If it is steerable, it is capable*: **{glue:text}`ch13_steerable_means_capable`**.
# - *If it is capable, it is steerable*: **{glue:text}`ch13_capable_means_steerable`**. With the
#   bar at 90 %, where we had it until we saw the control on neither side of it:
#   {glue:text}`ch13_capable_at_90`. The control
#   is right in {glue:text}`ch13_accuracy_control`, and its steerability is
#   {glue:text}`ch13_steerability_control`; the model's are {glue:text}`ch13_accuracy` and
#   {glue:text}`ch13_steerability`.
#
# `tiny-llava-direct` was built to be a counterexample: in its training, the nouns looked at another
# picture. Does such a model arise by itself? {doc}`03_where_does_it_flow` tells of an early sketch
# of ours that did. A scatter plot of eleven published models says what is common. It does not
# say what must be.
#
# ## What comes first?
#
# A more useful question than "do they go together": in one model that learns, is it steerable
# before it is right, at the same time, or after? The training logs know. Every 250 steps they hold
# the accuracy, for left/right and for above/below; the fraction of the mirrored belief that
# a swap *at the {term}`object words <object word>`* recovers ({doc}`03_where_does_it_flow`), which is steering with the
# model's own states; and how well a straight map fits the IDs.

# %%
AXES = {"column": "left_right", "row": "above_below"}


def lives():
    """(run, axis) -> steps, accuracy and recovered fraction, for runs that began at chance."""
    logs = {name: pd.read_csv(path) for name in OURS if name != "tiny-llava-early"
            and (path := ORGANISMS / name / "training_log.csv").exists()}  # fmt: skip
    tried = ORGANISMS / "tried.csv"
    if tried.exists():
        logs |= dict(list(pd.read_csv(tried).groupby("run")))
    for (name, log), (axis, kind) in itertools.product(logs.items(), AXES.items()):
        table = pd.DataFrame({"step": log["step"], "accuracy": log[f"accuracy_{kind}"],
                              "recovered": log[[f"recovered_grid_{axis}",
                                                f"recovered_clutter_{axis}"]].mean(axis=1),
                              "map": log["id_fit"]})  # fmt: skip
        if table["accuracy"].iloc[0] < 0.65:  # others begin with what a run has learned
            yield (name, axis), table


def first(table, column, least):
    steps = table["step"][table[column] >= least]
    return float(steps.iloc[0]) if len(steps) else np.inf


def which_first(used, answers):
    if np.isinf(used):
        return "neither" if np.isinf(answers) else "never"
    return "before" if used < answers else "after" if used > answers else "with"


LIVES = dict(lives())
rows = []
for (name, axis), table in LIVES.items():
    answers, used = first(table, "accuracy", 0.75), first(table, "recovered", 0.5)
    rows.append({"run": name, "axis": axis, "used": used, "right": answers,
                 "steerable": which_first(used, answers),
                 "map at first": table["map"].iloc[0],
                 "accuracy at first": table["accuracy"].iloc[0]})  # fmt: skip
order = pd.DataFrame(rows)
steps = {"used": "used at step", "right": "right at step"}
table = order[["run", "axis", "map at first", "accuracy at first", *steps, "steerable"]]
table = table.replace(np.inf, np.nan).rename(columns=steps).style.hide(axis="index")
table.format(precision=2, na_rep="–").format("{:.0f}", subset=[*steps.values()], na_rep="–")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
counts = order["steerable"].value_counts()
for word in ("before", "with", "after", "never", "neither"):
    glue(f"ch13_{word}", int(counts.get(word, 0)))
glue("ch13_lives", len(order))
early_map = order.dropna(subset="map at first")
low, high = early_map["map at first"].min(), early_map["map at first"].max()
glue("ch13_map_first", f"{low:.2f} to {high:.2f}")
glue("ch13_map_accuracy", f"{100 * early_map['accuracy at first'].min():.0f} to "
                          f"{100 * early_map['accuracy at first'].max():.0f} %")  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(6.6, 4.8))
tones = dict(zip(order["run"].unique(), plots.sns.color_palette("colorblind", 8), strict=False))
tones |= {"tiny-llava": PALETTE["tiny-llava"], "tiny-llava-flat": PALETTE["flat"],
          "tiny-llava-direct": PALETTE["tiny-llava-direct"],
          "captions-coordinates": "#CC79A7", "questions-sparse": "#E69F00"}  # fmt: skip
for (name, axis), table in LIVES.items():
    axes.plot(table["accuracy"], table["recovered"], "o-" if axis == "column" else "s--",
              color=tones[name], ms=4, lw=1.2, alpha=0.8,
              label=name if axis == "column" else None)  # fmt: skip
axes.plot([0.5, 1], [0, 1], color="0.6", lw=1, ls=":")
axes.set(xlabel="accuracy", ylabel="recovered at the object words", xlim=(0.3, 1.03))
axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
figure.tight_layout()

# %% [markdown]
# **Figure 13.5.** *Training runs as paths.* One dot for each report, every 250 steps; full lines
# and circles: left/right, dashed lines and squares: above/below. Dotted: if one rose exactly as the
# other. A run whose path goes up first is steerable before it is right; one that goes right along
# the bottom never becomes steerable.
#
# Of {glue:text}`ch13_lives` lives (runs that began at chance, for each axis), the object words
# recover half of the mirrored belief *before* answers pass 75 % in {glue:text}`ch13_before`, *in the
# same report* in {glue:text}`ch13_with`, *after* it in {glue:text}`ch13_after`, and *never*, though
# the answers came right, in {glue:text}`ch13_never` (neither happened in
# {glue:text}`ch13_neither`). What falls into one report of 250 steps, only denser reports could
# order. Look at the run that leaves the others: `captions-coordinates`, left/right. Its words
# carried most of the belief while its answers were no better than a coin.
#
# The third number is what surprised us. In the first report of these runs, with accuracy at
# {glue:text}`ch13_map_accuracy`, a straight map already fits the IDs with a held-out $R^2$ of
# {glue:text}`ch13_map_first`. **The map comes first. What comes later is its use.** (Few runs, and some
# share a recipe.) That
# goes for the control, too, which has a map and never uses it. (These runs begin with a vision tower
# that has been trained, so patches know places, and a noun that looks roughly the right way
# picks some up. We have no report of an earlier step.) So "steerable" tells you that a map is read.
# That is a step on the way to right answers, for models that take this way.
#
# ## A sample that could say no
#
# How many models would it take? For Pearson's $r$ over $n$ independent models, $\operatorname{arctanh}(r)$ has an
# error of about $1/\sqrt{n-3}$, nearly normal.
#
# ````{exercise} How many models?
# :label: ch13-power
#
# Difficulty ●●○ · importance ●●○ · 10 minutes
#
# Write `models_needed(correlation, power=0.8)`: how many independent models you need so that the
# 95 % interval lies above zero with probability `power`, if the true correlation is that large.
# `norm.ppf` gives quantiles. Then answer with it: is a study with eleven models of five families
# large enough for a true correlation of 0.5?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def models_needed(correlation, power=0.8):
    # The estimate has to lie 1.96 errors above zero, and not just on average.
    span = norm.ppf(0.975) + norm.ppf(power)
    return math.ceil((span / math.atanh(correlation)) ** 2 + 3)


# %%
ch13.check_models_needed(models_needed)
for strength in (0.9, 0.7, 0.5, 0.3):
    glue(f"ch13_needed_{10 * strength:.0f}", models_needed(strength))

# %% [markdown]
# For a true correlation of 0.9 you need {glue:text}`ch13_needed_9` models, for 0.7
# {glue:text}`ch13_needed_7`, for 0.5 {glue:text}`ch13_needed_5`, for 0.3
# {glue:text}`ch13_needed_3`: *independent* ones. Nobody has so many families. So do not ask for more
# models of the kind that there is. Ask for those that could refute the claim: models trained
# alike but for one thing, such as captions, where the claim says beforehand which is better.
#
# ````{exercise} Research sprint: how often would you be fooled?
# :label: ch13-fooled
#
# Difficulty ●●● · importance ●●● · 30 minutes for the function, a day for the sprint
#
# Before you design a study, find out what a study of *nothing* would show. Models of one family are
# alike for a hundred reasons. Write `fooled(sizes, spread, draws, seed)`: `sizes` are the numbers of
# models in each family. In each of `draws` studies, both measures of a model are its family's part
# (normal, standard deviation `spread`, drawn for each measure on its own) and its own part (normal,
# standard deviation 1). So the two have nothing to do with each other. Return the share of studies
# in which Pearson's correlation over all models is significant at 0.05, two-sided, by the usual test
# (`scipy.stats.pearsonr`), which believes that models are independent.
#
# Then write the study that could falsify the claim, as the open question at the end asks. Put your
# own families in, and report this number beside your result.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def fooled(sizes, spread, draws, seed):
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(len(sizes)), sizes)
    # Two measures, each with parts of its own: what they share is the list of families.
    parts = spread * rng.normal(size=(2, draws, len(sizes)))[:, :, family]
    x, y = parts + rng.normal(size=(2, draws, len(family)))
    x, y = (one - one.mean(1, keepdims=True) for one in (x, y))
    r = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    # The correlation at which the test says 0.05, for as many models, whatever their families.
    t = student_t.ppf(0.975, len(family) - 2)
    return float(np.mean(np.abs(r) > t / np.sqrt(len(family) - 2 + t**2)))


# %%
ch13.check_fooled(fooled)
print("for spreads of 0, 1 and 3:")
for sizes in ([1] * 12, [3] * 4, [6] * 2):
    shares = [f"{fooled(sizes, spread, 2000, SEED):.0%}" for spread in (0, 1, 3)]
    print(f"{len(sizes)} families of {sizes[0]}: fooled in {', '.join(shares)}")

# %% [markdown]
# ## Summary
#
# - Accuracy lost against accuracy rises for models with no relation whatever: a rank correlation of
#   {glue:text}`ch13_nothing_lost_broken` if edits break them, {glue:text}`ch13_nothing_lost_aimed`
#   if edits are aimed. Subtract noise, count right beliefs, use other scenes.
# - Over {glue:text}`ch13_models` whole models of {glue:text}`ch13_lineages` lineages, the rank
#   correlation is {glue:text}`ch13_correlation`. Do they rise together? Over these models:
#   **{glue:text}`ch13_verdict`**. Beyond these lineages: **{glue:text}`ch13_verdict_lineages`**.
# - With one point for each lineage, p cannot fall below {glue:text}`ch13_p_least`.
# - "Steerable, therefore capable": {glue:text}`ch13_steerable_means_capable`. "Capable, therefore
#   steerable": {glue:text}`ch13_capable_means_steerable`.
# - Accuracy needs eyes and readers, steering only readers: that was the prediction. Noise in the
#   eyes: {glue:text}`ch13_eyes_verdict`, with lent IDs {glue:text}`ch13_lent_verdict`; in the
#   readers: {glue:text}`ch13_readers_verdict`.
# - In training, a map can be read long before it is used.
#
# What this chapter has not shown: anything about the eleven models of the paper. Ours are small, of
# one architecture, and one of them was made to disagree. Give `MODEL` the name of a large one, and
# it joins the plot as one point more.
#
# ## Open question: a research sprint
#
# Design the study that could falsify "steerable means capable", before you measure anything. Write
# down: which models, and why they are independent; what you hold fixed between them; which
# of the two directions you test; the sites and doses, and on which scenes they are chosen; what
# result would make you drop the claim; and how likely you are to get it if the claim is false.
# Two leads. Seeds of one recipe are cheap at our size: ten of them have a spread in both
# measures, and no other cause of it. And a large model before and after instruction tuning has the
# same eyes: the claim says what must become of both numbers.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 9.
# - {cite:t}`zhang2024best`: what a causal intervention measures depends on how it is counted.
# - {cite:t}`jain2019attention` and {cite:t}`wiegreffe2019attention`: an older quarrel about whether
#   what can be manipulated is what explains.
#
# **What follows.** If IDs go with being right, can they be taught? {doc}`14_ids_as_teacher` tries.
