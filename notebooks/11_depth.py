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
# # Depth
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/11_depth.ipynb)
# · about 40 minutes to read, another 100 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb) and [6](06_steering_beliefs.ipynb)
#
# "Is the frog in front of or behind the camel?" You look at the photo and know. But how? What is
# near is larger. On a floor, what is near is also *lower* in the picture. Mostly the two agree,
# so an answer that is right does not tell which of them gave it.
#
# **Does the model see depth, or does it read height and call it depth? And what decides that?**
#
# The paper steers {term}`object words <object word>` along the {term}`row axis` of their IDs, and asks once "above or below"
# and once "in front of or behind" (its Figure 7). In LLaVA-1.5 both answers move: the model
# conflates height with depth. In this chapter you repeat that with controls. Then you do what
# cannot be done with a model that somebody else trained: you change what it saw.
#
# **You will learn**
# - how to set two cues against each other, so that an answer tells whom the model believes
# - how to steer one axis and read two questions
# - how to find a direction for nearness, with place held fixed, and how noise shrinks a cosine
# - how to test a claim about training data: two models that differ in nothing else

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
TIED = "tiny-llava-tied"  # trained on scenes in which nearer is lower
INDEPENDENT = "tiny-llava-independent"  # trained on scenes in which nearer is anywhere
SMALL = False  # True: fewer images, to try things out
SEED = 0
CACHE = None  # a folder: long runs keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import depth, plots, shipped_models, stats, trials
from helpers.exercises import ch11
from helpers.loading import ORGANISMS
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent

# %%
# With a real model, Part 2 stays out: it is about two models of our own.
both_there = {TIED, INDEPENDENT} <= set(shipped_models())
VARIANTS = [TIED, INDEPENDENT] if MODEL in shipped_models() and both_there else []
MODELS = open_models(MODEL, *VARIANTS, chapter="11_depth", small=SMALL, seed=SEED)
NAME = Path(MODEL).name
VLM = MODELS[NAME]
COLOR = {NAME: "#0072B2", TIED: "#D55E00", INDEPENDENT: "#009E73"}
COUNT = 24 if SMALL else 500  # held-out scenes of each trial
CHOOSE = 5 if SMALL else 24  # other scenes, to choose blocks with
PAIRS, PARTNERS = (2, 1) if SMALL else (8, 1)


def tell(name, value):
    """Glue a share with its interval, or say that there is none."""
    glue(name, "not measured" if value is None else percent(value))


# %% [markdown]
# ## Scenes that set one cue against the other
#
# All scenes here follow one rule: **nearer is larger**. That is the truth about depth. What
# differs is what height says:
#
# | scenes | nearer is ... | height says |
# |---|---|---|
# | tied | larger and lower | the same as size |
# | independent | larger, at any height | nothing |
# | conflict | larger and *higher* | the opposite of size |
#
# There is no floor and no shadow: nothing in the picture decides, except size.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
shown = {kind: depth.asked_scenes(kind, 2, SEED + 2) for kind in depth.SCENES}
pictures = [some[number] for number in (0, 1) for some in shown.values()]
titles = [
    f"{kind}: {' behind '.join(some[number].names)}"
    for number in (0, 1) for kind, some in shown.items()
]  # fmt: skip
figure = plots.show_scenes(pictures, titles, columns=3)

# %% [markdown]
# **Figure 11.1.** *Size is depth; height is a witness who may lie.* Two scenes of each kind, one
# above the other, with what is true. In conflict scenes the nearer, larger object is the higher.
#
# Each scene is asked two questions, "above or below" and "in front of or behind", about two
# objects that were never together in training. Every other scene is asked with the nouns
# exchanged, so that neither answer is right more often.

# %%
FEWER = (COUNT, 12, COUNT) if SMALL else (COUNT // 4, COUNT, COUNT)
beliefs = {
    kind: depth.ask_about(VLM, kind, count, SEED + 2, CACHE)
    for kind, count in zip(depth.SCENES, FEWER, strict=True)
}
ABLE = [kind for kind in depth.QUESTIONS if depth.can_answer(beliefs["tied"], kind)]
for kind in set(depth.QUESTIONS) - set(ABLE):
    print(f"{NAME} answers {kind} at chance in tied scenes: these arms stop here.")
SEES = "front_behind" in ABLE
stops = ("This model answers front/behind at chance even where both cues agree: "
         "what follows about depth was not measured with it.")  # fmt: skip
glue("ch11_stops", "Both cues agree in tied scenes." if SEES else stops)

# %% [markdown]
# {glue:text}`ch11_stops`
#
# In independent and conflict scenes there is an exact way to say whom the model believes. Height
# and size say different things in some of the first, and in all of the second.
#
# ````{exercise} Whom does it believe?
# :label: ch11-follows
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `follows_height(says_front, lower, larger)`. For each question you get whether the model
# says "in front of", how many cells the first object is `lower` than the second, and the log of
# the ratio of their sizes, `larger`. Return the share of answers that height gives, out of
# those questions in which height and size disagree. Raise a `ValueError` if there are none.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def follows_height(says_front, lower, larger):
    # Where both cues say the same, an answer follows either of them.
    disagree = (lower > 0) != (larger > 0)
    if not disagree.any():
        raise ValueError("height and size disagree in none of these scenes")
    return (says_front == (lower > 0))[disagree].mean()


# %%
ch11.check_follows_height(follows_height)
found = depth.follows_height(beliefs["conflict"]) if SEES else None
tell("ch11_height", found)


def believed(share):
    if share is None:
        return "not measured"
    return "height" if share.low > 0.5 else "size" if share.high < 0.5 else "neither"


glue("ch11_believes", believed(found))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
ASKED = {"above_below": "above/below", "front_behind": "front/behind"}
accuracy = pd.DataFrame([
    {"scenes": scenes, "question": ASKED[kind],
     **stats.proportion(part["right"])._asdict()}
    for scenes, table in beliefs.items() for kind, part in table.groupby("kind")
])  # fmt: skip
keep("accuracy", accuracy)


def dots(axes, names, intervals, color, shift=0.0, label=None):
    """Estimates with their intervals, one above the other."""
    for height, one in enumerate(intervals):
        y = -height - shift
        axes.plot([one.low, one.high], [y, y], color=color, lw=2)
        axes.plot(one.estimate, y, "o", color=color, label=None if height else label)
    axes.set_yticks(-np.arange(len(names)), names)


figure, panels = plt.subplots(1, 2, figsize=(9, 2.4), sharey=True)
for axes, (kind, part) in zip(panels, accuracy.groupby("question"), strict=True):
    dots(axes, part["scenes"], [*part.itertuples()], COLOR[NAME])
    axes.axvline(0.5, color="0.6", ls=":")
    axes.set(title=kind, xlim=(-0.03, 1.03), xlabel="share right")
figure.tight_layout()

# %% [markdown]
# **Figure 11.2.** *Right, as long as height tells the truth.* Share of right answers by kind of
# scene, with 95 % intervals; dotted: chance. Where height and size are set against each
# other, the model follows height in {glue:text}`ch11_height` of the conflict scenes. It believes
# **{glue:text}`ch11_believes`**.
#
# A share near one or near zero is easy to read. In between, you want to know how much each cue
# weighs. In independent scenes height and size vary freely, and a {term}`belief` has a strength.
#
# ````{exercise} Weigh the cues
# :label: ch11-weights
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `cue_weights(log_odds, lower, larger)`: fit the log-odds of "in front of" by both cues and
# a constant. Return the weight of height and that of size, in nats per standard deviation of
# the cue, so that they can be compared. What goes wrong if you fit each cue alone?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def cue_weights(log_odds, lower, larger):
    # Both at once: alone, a cue takes credit for the other where they go together.
    cues = np.column_stack([lower, larger, np.ones(len(lower))])
    weights = np.linalg.lstsq(cues, log_odds, rcond=None)[0]
    return weights[0] * np.std(lower), weights[1] * np.std(larger)


# %%
ch11.check_cue_weights(cue_weights)


def weights_in(table):
    part = table[table["kind"] == "front_behind"]
    columns = (part[name].to_numpy() for name in ("before", "lower", "larger"))
    height, size = cue_weights(*columns)
    return f"{height:.1f} and {size:.1f}"


glue("ch11_weights", weights_in(beliefs["independent"]) if SEES else "not measured")

# %% [markdown]
# In independent scenes, height and size weigh {glue:text}`ch11_weights` nats per standard
# deviation in {glue:text}`ch11_model`.
#
# ### Why would it?
#
# We did not expect this. `tiny-llava` learned about depth from scenes with a floor, and we had
# put exceptions into them on purpose: one object in four hovers, higher than its depth says, and
# one in four has an odd size. That should keep the cues apart. Count how often an exception
# changes the *answer*: how often height, or size, would give the wrong one.

# %%
glue("ch11_model", NAME)
floor = depth.asked_scenes("perspective", 60 if SMALL else 1000, SEED + 3)


def misled_by(scene, cue):
    """Whether the far object (listed first) is lower, or larger, than the near one."""
    far, near = scene.objects
    return getattr(far, cue) > getattr(near, cue)


for cue, short in (("y", "height"), ("size", "size")):
    some = [scene for scene in floor if misled_by(scene, cue)]
    tell(f"ch11_floor_{short}", stats.proportion([misled_by(s, cue) for s in floor]))
    found = None
    if SEES and some:
        cases = depth.cases_of(VLM, some[:50], ["front_behind"])
        found = stats.proportion(depth.trial(VLM, cases, save_to=CACHE)["right"])
    tell(f"ch11_floor_{short}_right", found)

# %% [markdown]
# In scenes with a floor, height gives the wrong answer in {glue:text}`ch11_floor_height`, size
# in {glue:text}`ch11_floor_size`. The model is right in {glue:text}`ch11_floor_height_right` of
# those in which height misleads, and in {glue:text}`ch11_floor_size_right` of those in which
# size does. (The intervals are wide; such scenes are rare. That is the point.)
#
# So our exceptions were no exceptions. A hovering object rarely hovers high enough to get above
# one that is farther away. A rule that is nearly always right is a good rule, and
# nothing in training pays for a better one. "The data contain counterexamples" is not enough:
# count how many change an answer.
#
# ## One axis, two questions
#
# What a model believes in a picture is one thing; what its IDs say is another. Steer them. The
# IDs come from the paper's grids, where all objects have one size: their row axis knows about
# height, and has never seen depth. Chapter 6 ({doc}`06_steering_beliefs`) has the machinery.
#
# Scenes are tied ones, so both questions have a clear answer. Each object gets the row of the
# other; its column stays. If depth is a thing of its own, "above or below" turns and "in front
# of or behind" stays.
#
# ````{exercise} Exchange rows
# :label: ch11-exchange
#
# Difficulty ●○○ · importance ●○○ · 5 minutes
#
# Write `exchange_rows(places)`. It takes the (row, column) of both objects, and returns where
# the IDs shall say that they are: each in the row of the other, in its own column.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def exchange_rows(places):
    (row, column), (other_row, other_column) = places
    # Whole places exchanged would move the objects sideways as well.
    return (other_row, column), (row, other_column)


# %%
ch11.check_exchange_rows(exchange_rows)
IDS = trials.extract_ids(VLM, depth.QUESTIONS, PAIRS, PARTNERS, SEED, save_to=CACHE)

# %% [markdown]
# There is a second direction to try. Let the *picture* say what nearness is: draw an object
# large and draw it small, at the same place, and take the difference at its word. The mean over
# many scenes is the **nearness direction**. It is the complement of the row axis: size without
# height, where that was height without size. Exchanging the two objects' sizes along it
# should turn "in front of or behind", and leave "above or below" alone.

# %%
SITES = [VLM.resid_post(block) for block in depth.usable_blocks(VLM)]
NEAR = depth.find_nearness(VLM, SITES, 2 * CHOOSE, SEED)
AIMS = {"row axis": depth.row_aim(IDS), "nearness": NEAR.aim}


def askable(vlm, scenes):
    return depth.cases_of(vlm, scenes, ABLE)


layers = None
if ABLE:
    choosing = askable(VLM, depth.asked_scenes("tied", CHOOSE, SEED + 1))
    layers = depth.by_block(VLM, choosing, AIMS, CACHE)
    BLOCKS = depth.best_blocks(layers)
    for (arm, kind), block in BLOCKS.items():
        print(f"{arm}, {kind.replace('_', '/')}: block {block}")

# %% [markdown]
# Block by block, on scenes for choosing only. Each direction and each question gets the block
# at which it moves beliefs most, so that no arm loses for being pushed at the wrong place. All
# results below are from other scenes.
#
# Then everything at once, on the same held-out scenes: both directions, {term}`dose` curves, and controls
# of the same lengths, case by case and noun by noun.

# %%
DOSES = (0.5, 1.0, 2.0) if SMALL else (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
CONTROLS = {"shuffled IDs": 2, "orthogonal axis": 1, "random in ID subspace": 2}


def all_pushes(case):
    for arm, each in (("row axis", 2), ("nearness", 1)):
        # Ten random seeds, of which scenes take some in turns.
        one = {arm: AIMS[arm]}
        yield from depth.beside_random(VLM, one, BLOCKS, 10, each)(case)
    site = VLM.resid_post(BLOCKS["row axis", case.kind])
    targets = depth.exchanged_rows(case)
    arms = trials.arms(case, IDS[case.kind], site, targets, CONTROLS)
    for (arm, seed), vectors in arms.items():
        if arm == "spatial IDs":  # the row axis itself, for the dose curve
            if case.labels["scene"] % 4 == 0:
                for dose in set(DOSES) - {1.0}:
                    yield depth.Push("row axis", site, vectors, dose)
        else:
            yield depth.Push(arm, site, vectors, labels={"seed": seed})


# %%
trial = None
if ABLE:
    judging = askable(VLM, depth.asked_scenes("tied", COUNT, SEED + 2))
    trial = depth.trial(VLM, judging, all_pushes, CACHE)
    print(f"{trial['number'].nunique()} questions, {len(trial)} answers")
    mean = trial.groupby(["kind", "arm", "dose"])["swapped"].mean()
    keep("trial", mean.reset_index())


def swapped(kind, arm):
    """Share of beliefs swapped at dose one; None where the model cannot answer."""
    return depth.swaps(trial, kind, arm) if kind in ABLE else None


ARMS = {"row axis": "row", "random, as row axis": "random", "shuffled IDs": "shuffled",
        "orthogonal axis": "column", "random in ID subspace": "subspace",
        "nearness": "nearness", "random, as nearness": "nearness_random"}  # fmt: skip
for arm, short in ARMS.items():
    for kind in depth.QUESTIONS:
        tell(f"ch11_{short}_{kind}", swapped(kind, arm))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
TONE = {"above_below": "#0072B2", "front_behind": "#D55E00"}


def intervals_by(table, column, *by):
    """The mean of a column with its interval over scenes, by other columns."""
    return pd.DataFrame([
        dict(zip(by, key, strict=True)) | trials.share(part, column)._asdict()
        for key, part in table.groupby(list(by), sort=False)
        if part["scene"].nunique() > 2
    ])  # fmt: skip


figure, panels = plt.subplots(1, 3, figsize=(12.5, 3.6), layout="constrained")
for kind in ABLE:
    label = {"axes": None, "colors": {ASKED[kind]: TONE[kind]}}
    rows = layers[(layers["kind"] == kind) & (layers["arm"] == "row axis")]
    curve = intervals_by(rows.assign(asked=ASKED[kind]), "swapped", "block", "asked")
    plots.with_band(curve, "block", "asked", **label | {"axes": panels[0]})
    rows = trial[(trial["kind"] == kind) & (trial["arm"] == "row axis")]
    rows = rows[rows["scene"] % 4 == 0].assign(asked=ASKED[kind])
    curve = intervals_by(rows, "swapped", "dose", "asked")
    plots.with_band(curve, "dose", "asked", **label | {"axes": panels[1]})
    found = [swapped(kind, arm) for arm in ARMS]
    dots(panels[2], list(ARMS), found, TONE[kind], 0.25 * (kind == ABLE[-1]))
panels[0].set(xlabel="block that is edited", ylabel="share of beliefs swapped")
panels[1].set(xlabel="dose", xscale="log")
panels[1].set_xticks(DOSES, [f"{dose:g}" for dose in DOSES], fontsize=8)
panels[1].minorticks_off()
panels[2].set(xlabel="share swapped at dose one", xlim=(-0.03, 1.03))
for axes in panels[:2]:
    axes.set_ylim(-0.03, 1.03)

# %% [markdown]
# **Figure 11.3.** *The row axis, read by two questions.* Left: dose one at each block, on the
# choosing scenes. Middle: dose curves at the chosen blocks (every fourth scene). Right: all arms
# at dose one, on the same {glue:text}`ch11_count` held-out scenes; "orthogonal axis" is the column
# axis. Bands and bars: 95 % intervals over scenes.
#
# | at dose one | above/below swapped | front/behind swapped |
# |---|---|---|
# | row axis | {glue:text}`ch11_row_above_below` | {glue:text}`ch11_row_front_behind` |
# | random, same length | {glue:text}`ch11_random_above_below` | {glue:text}`ch11_random_front_behind` |
# | column axis | {glue:text}`ch11_column_above_below` | {glue:text}`ch11_column_front_behind` |
# | shuffled IDs | {glue:text}`ch11_shuffled_above_below` | {glue:text}`ch11_shuffled_front_behind` |
# | random in the ID subspace | {glue:text}`ch11_subspace_above_below` | {glue:text}`ch11_subspace_front_behind` |
# | nearness | {glue:text}`ch11_nearness_above_below` | {glue:text}`ch11_nearness_front_behind` |

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the verdict", "code_prompt_hide": "Hide the code"}
def by_scene(table, kind, arm):
    rows = table[(table["kind"] == kind) & (table["arm"] == arm)]
    rows = rows[rows["dose"] == 1.0]
    return rows.groupby("scene")["swapped"].mean()


def conflates(table):
    """Row-axis vectors swap front/behind: 30 points above random, whole interval."""
    arms = ("row axis", "random, as row axis")
    row, random = (by_scene(table, "front_behind", arm) for arm in arms)
    gap = stats.paired_difference(row, random)
    return "yes" if gap.low > 0.3 else "no" if gap.high < 0.1 else "in part"


glue("ch11_count", COUNT)
glue("ch11_conflates", conflates(trial) if SEES else "not measured")

# %% [markdown]
# Does the row axis move depth, by the rule "at least 30 points above random, with the whole
# interval"? In {glue:text}`ch11_model`: **{glue:text}`ch11_conflates`**.
#
# A "yes" is the paper's finding for LLaVA-1.5, in a small model and with two additions. Controls tell
# whether any push would do it. And the nearness arm says whether there is a depth *beside* height.
#
# ### Slide an object down
#
# The paper's figure shows log-probabilities as the row of the ID changes. Here is ours. The first
# noun gets the ID of each row in turn; nothing else changes. How fast do the {term}`log-odds` of "below"
# and of "in front of" grow?

# %%
ROWS = np.linspace(0, 3, 7)


def each_row(case):
    site = VLM.resid_post(BLOCKS["row axis", case.kind])
    row, column = case.places[0]
    for target in ROWS:
        vector = IDS[case.kind][0].difference(site, (row, column), (target, column))
        labels = {"cells": target - row}
        yield depth.Push("slide", site, [vector], nouns=(0,), labels=labels)


slide, slopes = None, {}
if ABLE:
    few = [case for case in judging if case.labels["scene"] < (5 if SMALL else 60)]
    slide = depth.trial(VLM, few, each_row, CACHE).query("arm == 'slide'").copy()
    # Counted towards "below", a second answer, and "in front of", a first one.
    toward = slide["kind"].map({"above_below": -1, "front_behind": 1})
    slide["nats"] = toward * (slide["log_odds"] - slide["before"])
for kind in depth.QUESTIONS:
    if kind in ABLE:
        part = slide[slide["kind"] == kind]
        slopes[kind] = stats.mean([
            np.polyfit(one["cells"], one["nats"], 1)[0]
            for _, one in part.groupby("scene")
        ])  # fmt: skip
    glue(f"ch11_slope_{kind}", slopes.get(kind, "not measured"))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(6, 3.6))
for kind in ABLE:
    part = slide[slide["kind"] == kind]
    part = part.assign(cells=part["cells"].round(), asked=ASKED[kind])
    curve = intervals_by(part, "nats", "cells", "asked")
    plots.with_band(curve, "cells", "asked", axes, {ASKED[kind]: TONE[kind]})
axes.axhline(0, color="0.3", lw=1)
axes.axvline(0, color="0.6", lw=1, ls="--")
axes.set(xlabel="cells that the ID moves down", ylabel="change of the log-odds (nats)")
figure.tight_layout()

# %% [markdown]
# **Figure 11.4.** *An ID goes down; what comes nearer?* Change of the log-odds of "below" (blue)
# and "in front of" (red) as the first noun's ID moves down (negative: up), with 95 % intervals
# over scenes. Slopes: {glue:text}`ch11_slope_above_below` nats per cell for "below",
# {glue:text}`ch11_slope_front_behind` for "in front of". If the model knew depth apart from
# height, the red line would be flat.
#
# One warning from the released code: in its version of this figure, the results for height are
# plotted as depth and the results for depth as height. With two curves that rise together,
# nobody notices. Tables with named columns notice.
#
# ## Two models that differ in what they saw
#
# Is the conflation a property of the architecture, of IDs, of language? Or of the data? Nobody can
# retrain LLaVA-1.5 to find out. You can retrain a small model. We took one model that had never
# seen depth, `tiny-llava-flat`, and trained two copies of it. Same weights at the start, same
# number of steps, same questions. They differ in one function call:
#
# - **tied**: in half of the scenes objects have depth; nearer is larger *and lower*.
# - **independent**: the same, but nearer is larger *at any height*.
#
# Heights are spread alike in both. What differs is whether height goes with nearness.

# %%
DATA = {}
for name in VARIANTS:
    DATA[Path(name).name] = depth.measure(
        MODELS[Path(name).name], COUNT, SEED, CHOOSE, PAIRS, PARTNERS,
        seeds=2, save_to=CACHE,
    )  # fmt: skip
if not DATA:
    print("Without the two models, or with another MODEL, this was not measured.")
numbers = {name: found.numbers() for name, found in DATA.items()}
keep("variants", pd.DataFrame([
    {"model": name, "what": what, **value._asdict()}
    for name, some in numbers.items() for what, value in some.items()
]))  # fmt: skip
SHORT = {"tied": Path(TIED).name, "independent": Path(INDEPENDENT).name}


def of(short, what):
    return numbers.get(SHORT[short], {}).get(what)


for short in SHORT:
    tell(f"ch11_height_{short}", of(short, "follows height"))
    for scenes in depth.SCENES:
        tell(f"ch11_right_{scenes}_{short}", of(short, f"front_behind {scenes}"))
    for kind in depth.QUESTIONS:
        tell(f"ch11_row_{kind}_{short}", of(short, f"row axis: {kind}"))
        tell(f"ch11_random_{kind}_{short}", of(short, f"random, as row axis: {kind}"))
        tell(f"ch11_nearness_{kind}_{short}", of(short, f"nearness: {kind}"))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
SEEDS = ORGANISMS / "depth_seeds.csv"
seeds = pd.read_csv(SEEDS) if SEEDS.exists() else pd.DataFrame()
PANELS = {
    "share right": [
        f"{kind} {scenes}" for kind in depth.QUESTIONS for scenes in depth.SCENES
    ],
    "share swapped at dose one": [
        f"{arm}: {kind}" for arm in ("row axis", "random, as row axis", "nearness")
        for kind in depth.QUESTIONS
    ],
}  # fmt: skip
figure, panels = plt.subplots(1, 2, figsize=(12.5, 3.8), layout="constrained")
for axes, (label, wanted) in zip(panels, PANELS.items(), strict=True):
    names = [what.replace("_", "/") for what in wanted]
    for shift, (name, some) in zip((0, 0.25), numbers.items(), strict=False):
        dots(axes, names, [some[what] for what in wanted], COLOR[name], shift, name)
        if len(seeds):
            part = seeds[seeds["recipe"] == name]
            for height, what in enumerate(wanted):
                axes.plot(part[what], [-height - shift - 0.12] * len(part), "|",
                          color=COLOR[name], ms=7)  # fmt: skip
    axes.set(xlabel=label, xlim=(-0.03, 1.03))
panels[0].axvline(0.5, color="0.6", ls=":")
if numbers:
    panels[0].legend(fontsize=8, loc="upper left")

# %%
SHOWN = ["follows height", "row axis: above_below", "row axis: front_behind",
         "nearness: above_below", "nearness: front_behind"]  # fmt: skip


def over_seeds(short, what):
    """The smallest and the largest value of all trainings that were measured."""
    part = seeds[seeds["recipe"] == SHORT[short]][what] if len(seeds) else []
    return f"{min(part):.2f} to {max(part):.2f}" if len(part) else "not measured"


for short in SHORT:
    glue(f"ch11_seeds_height_{short}", over_seeds(short, "follows height"))
    glue(f"ch11_seeds_row_{short}", over_seeds(short, "row axis: front_behind"))
    glue(f"ch11_seeds_nearness_{short}", over_seeds(short, "nearness: front_behind"))
glue("ch11_seeds", len(seeds))
if len(seeds):
    seeds = seeds[["recipe", "seed", "steps", "front_behind independent", *SHOWN]]
    seeds = seeds.assign(recipe=seeds["recipe"].str.removeprefix("tiny-llava-"))
else:
    print("There is no table of other trainings here; the ticks are missing.")
seeds = seeds.rename(columns=lambda column: column.replace("_", "/\u200b"))  # may break there
seeds.style.hide(axis="index").format(precision=2)

# %% [markdown]
# **Figure 11.5.** *Same start, same questions, other scenes.* Left: share of right answers; right:
# beliefs swapped, on {glue:text}`ch11_count` held-out tied scenes. Dots are this run with 95 %
# intervals over scenes. Ticks, and the table, are {glue:text}`ch11_seeds` trainings with several
# seeds, those of the dots among them: an interval over scenes says nothing about the next
# training. (Mind the number of steps: a shorter training knows less.)
#
# | | model of tied scenes | model of independent scenes |
# |---|---|---|
# | front/behind right, tied scenes | {glue:text}`ch11_right_tied_tied` | {glue:text}`ch11_right_tied_independent` |
# | front/behind right, independent scenes | {glue:text}`ch11_right_independent_tied` | {glue:text}`ch11_right_independent_independent` |
# | front/behind right, conflict scenes | {glue:text}`ch11_right_conflict_tied` | {glue:text}`ch11_right_conflict_independent` |
# | follows height in conflict scenes | {glue:text}`ch11_height_tied` | {glue:text}`ch11_height_independent` |
# | row axis swaps above/below | {glue:text}`ch11_row_above_below_tied` | {glue:text}`ch11_row_above_below_independent` |
# | row axis swaps front/behind | {glue:text}`ch11_row_front_behind_tied` | {glue:text}`ch11_row_front_behind_independent` |
# | random vectors swap front/behind | {glue:text}`ch11_random_front_behind_tied` | {glue:text}`ch11_random_front_behind_independent` |
# | nearness swaps above/below | {glue:text}`ch11_nearness_above_below_tied` | {glue:text}`ch11_nearness_above_below_independent` |
# | nearness swaps front/behind | {glue:text}`ch11_nearness_front_behind_tied` | {glue:text}`ch11_nearness_front_behind_independent` |

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the verdict", "code_prompt_hide": "Hide the code"}
def height_by_scene(found):
    table = found.beliefs.query("scenes == 'conflict' and kind == 'front_behind'")
    agrees = (table["before"] > 0) == (table["lower"] > 0)
    return agrees.groupby(table["scene"]).mean()


gaps = {"believes": None, "row": None}
if DATA:
    one, other = (DATA[name] for name in SHORT.values())
    pairs = {
        "believes": [height_by_scene(found) for found in (one, other)],
        "row": [
            by_scene(found.trial, "front_behind", "row axis") for found in (one, other)
        ],
    }
    gaps = {name: stats.paired_difference(*both) for name, both in pairs.items()}
for name, gap in gaps.items():
    tell(f"ch11_gap_{name}", gap)
verdict = "not measured"
if DATA:
    least = min(gap.low for gap in gaps.values())
    most = max(gap.low for gap in gaps.values())
    verdict = "yes" if least > 0.3 else "in part" if most > 0.3 else "no"
glue("ch11_verdict_data", verdict)
for short in SHORT:
    glue(f"ch11_believes_{short}", believed(of(short, "follows height")))

# %% [markdown]
# The model of tied scenes believes **{glue:text}`ch11_believes_tied`** where the cues disagree,
# that of independent scenes **{glue:text}`ch11_believes_independent`**. On the same scenes the
# first follows height more often by {glue:text}`ch11_gap_believes`, and row-axis vectors swap
# its depth answers more often by {glue:text}`ch11_gap_row`.
#
# The last two rows are the test from the other side: vectors that say "larger" and know nothing of
# height. They swap {glue:text}`ch11_nearness_front_behind_independent` of the depth beliefs and
# {glue:text}`ch11_nearness_above_below_independent` of the height beliefs of the model of
# independent scenes, and {glue:text}`ch11_nearness_front_behind_tied` of the depth beliefs of
# the other. What they do not swap may be carried by other words, or by another code than one
# straight direction.
#
# And other trainings? Over all that were measured, the models of tied scenes follow height in
# shares from {glue:text}`ch11_seeds_height_tied`, those of independent scenes
# {glue:text}`ch11_seeds_height_independent`. Row-axis vectors swap
# {glue:text}`ch11_seeds_row_tied` and {glue:text}`ch11_seeds_row_independent` of the depth
# beliefs; nearness vectors {glue:text}`ch11_seeds_nearness_tied` and
# {glue:text}`ch11_seeds_nearness_independent`. Where the ranges of two columns do not meet, the
# data decide more than the seed. Where one column's range is wide, do not quote one training.
#
# Is the conflation a property of the data? We ask for 30 points in both, with the whole
# interval: **{glue:text}`ch11_verdict_data`**. Read a "yes" narrowly. In this architecture, from this
# start, changing the data is enough to change the mechanism. It does not say that architecture
# and language play no part, nor what made LLaVA-1.5 as it is.
#
# ## One direction or two?
#
# If a model has a single code for "low" and "near", the row axis and the nearness direction
# should be one direction. If it keeps them apart, they should be at a right angle. Compare
# their cosine. But both are means over samples, and noise in a mean makes any two directions
# look more different than they are.
#
# ````{exercise} The cosine without the noise
# :label: ch11-cosine
#
# Difficulty ●●● · importance ●●○ · 25 minutes
#
# Write `true_cosine(one, other)` for two sets of samples, `[samples, d_model]` each, of two
# directions. The mean of a set is its direction plus noise. How much noise, the set itself
# tells: compare the means of its two halves. If the halves' cosine is $c$, the whole mean
# shares $r = 2c / (1 + c)$ of its squared length with the truth (Spearman and Brown {cite}`spearman1910correlation,brown1910some`). The cosine that you measure is the true one times $\sqrt{r_1 r_2}$. Return the true one.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def true_cosine(one, other):
    def cosine(a, b):
        return torch.cosine_similarity(a, b, dim=0)

    def reliability(samples):
        shared = cosine(samples[::2].mean(0), samples[1::2].mean(0))
        return 2 * shared / (1 + shared)  # of all samples, not of half of them

    noise = reliability(one) * reliability(other)
    return float(cosine(one.mean(0), other.mean(0)) / noise.clamp(min=0.01).sqrt())


# %%
ch11.check_true_cosine(true_cosine)
for short, name in SHORT.items():
    found = DATA.get(name)
    for noun, which in enumerate(("first", "second")):
        cosine = halves = true = "not measured"
        if found:
            cosine, both = found.cosines[noun], found.reliabilities[noun]
            halves, true = float(both[1]), "too noisy"
            if min(both) > 0.3:
                whole = [2 * shared / (1 + shared) for shared in both]
                true = float(cosine.estimate / np.sqrt(np.prod(whole)))
        glue(f"ch11_cosine_{which}_{short}", cosine)
        glue(f"ch11_halves_{which}_{short}", halves)
        glue(f"ch11_true_{which}_{short}", true)

# %% [markdown]
# | cosine of row axis and nearness | tied | independent |
# |---|---|---|
# | first noun | {glue:text}`ch11_cosine_first_tied` | {glue:text}`ch11_cosine_first_independent` |
# | second noun | {glue:text}`ch11_cosine_second_tied` | {glue:text}`ch11_cosine_second_independent` |
# | corrected, first noun | {glue:text}`ch11_true_first_tied` | {glue:text}`ch11_true_first_independent` |
# | corrected, second noun | {glue:text}`ch11_true_second_tied` | {glue:text}`ch11_true_second_independent` |
# | halves of nearness, first noun | {glue:text}`ch11_halves_first_tied` | {glue:text}`ch11_halves_first_independent` |
# | halves of nearness, second noun | {glue:text}`ch11_halves_second_tied` | {glue:text}`ch11_halves_second_independent` |
#
# The last rows are the cosine between the nearness directions of two halves of the scenes. Where
# they are low, there is hardly a direction to compare with: the word does not say how near its
# object is, and no correction helps. Where they are near one, the first rows can be trusted.
# The row axis was read off grids in which all objects have one size, nearness off scenes of
# their own: the two share no samples, so noise cannot make them agree.
#
# There is another way to a nearness direction: no pairs of pictures, just scenes as they
# come, and a regression. It shows why the data decide.
#
# ````{exercise} Place held fixed
# :label: ch11-direction
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# Write `size_direction(states, log_sizes, places)`: the slope of hidden states `[n, d_model]` per
# log size `[n]`, with row and column (`places`, `[n, 2]`) held fixed, as a vector. Raise a
# `ValueError` where size is a function of place.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def size_direction(states, log_sizes, places):
    cues = torch.cat([log_sizes[:, None], places, torch.ones(len(places), 1)], 1)
    # Where one cue follows from the others, any mixture of them fits as well.
    if torch.linalg.matrix_rank(cues, rtol=1e-4) < cues.shape[1]:
        raise ValueError("size is a function of place: nothing tells them apart")
    return torch.linalg.lstsq(cues, states).solution[0]


# %%
ch11.check_size_direction(size_direction)


def regressed(vlm, site, count):
    """The nearness direction at first nouns, from independent scenes as they come."""
    scenes = depth.asked_scenes("independent", count, SEED + 4, held_out=False)
    cases = depth.cases_of(vlm, scenes, ["front_behind"])
    spots = [[case.spans[0][-1]] for case in cases]
    states = read_states(vlm, [case.prompt for case in cases], spots, [site])[0, :, 0]
    sizes = [s.find(c.names[0]).size for s, c in zip(scenes, cases, strict=True)]
    places = torch.tensor([case.places[0] for case in cases])
    return size_direction(states, torch.tensor(sizes).log(), places)


agreement = "not measured"
if DATA:
    name, vlm = SHORT["independent"], MODELS[SHORT["independent"]]
    site = vlm.resid_post(DATA[name].blocks["nearness", "front_behind"])
    paired = depth.find_nearness(vlm, [site], 2 * CHOOSE, SEED)
    own = regressed(vlm, site, 24 if SMALL else 120)
    agreement = float(torch.cosine_similarity(
        own, paired.mean("front_behind", 0, site), dim=0
    ))  # fmt: skip
glue("ch11_agreement", agreement)

# %% [markdown]
# In the model of independent scenes, the regression's direction and that of the paired pictures
# have a cosine of {glue:text}`ch11_agreement`.
#
# Now look at the error that your function raises. In tied scenes size is (nearly) a function of
# height. You cannot tell their directions apart, whatever you compute. Training is a
# regression, too. The model of tied scenes stands where you stand with that error. But it cannot
# raise one. It has to answer, and takes the cue that is easier to read.
#
# ````{exercise} Research sprint: turn the dial
# :label: ch11-dial
#
# Difficulty ●●● · importance ●●○ · 25 minutes for the function, a day for the sprint
#
# Between "tied" and "independent" lies a dial: the share of scenes in which height misleads. To
# turn it you need training sets that differ in *nothing* but that share. Write
# `dial(honest, misleading, share, count, seed)`: `count` scenes out of two lists, none twice,
# `round(share * count)` of them misleading, in random order, the same for the same seed. And
# nested: what misleads at 2 % must be among what misleads at 5 %, and what is honest at 5 % among
# what is honest at 2 %. If a list is too short, raise a `ValueError`.
#
# Then train on sets of several shares, as the open question at the end tells, and draw the share
# that follows height over the dial. Guess first: a slope, or a threshold?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def dial(honest, misleading, share, count, seed):
    wrong = round(share * count)
    if wrong > len(misleading) or count - wrong > len(honest):
        raise ValueError(f"{wrong} misleading and {count - wrong} honest scenes are not there")
    rng = np.random.default_rng(seed)
    # The order within each list does not hang on the share: more of it is the same, and more.
    # With a fresh draw for each share, luck with the scenes would look like the dial.
    orders = [rng.permutation(len(scenes)) for scenes in (honest, misleading)]
    chosen = [honest[n] for n in orders[0][: count - wrong]]
    chosen += [misleading[n] for n in orders[1][:wrong]]
    return [chosen[n] for n in rng.permutation(count)]


# %%
ch11.check_dial(dial)

# %% [markdown]
# ## Summary
#
# - Where height and size are set against each other, {glue:text}`ch11_model` follows height in
#   {glue:text}`ch11_height`: it believes {glue:text}`ch11_believes`.
# - Row-axis vectors swap {glue:text}`ch11_row_above_below` of its above/below beliefs and
#   {glue:text}`ch11_row_front_behind` of its front/behind beliefs; random vectors of the same
#   length {glue:text}`ch11_random_front_behind`. Does the row axis move depth?
#   {glue:text}`ch11_conflates`.
# - Exceptions in training help only where they change an answer. Ours changed
#   {glue:text}`ch11_floor_height`.
# - Two models from the same weights, on scenes in which height does or does not go with nearness:
#   the first follows height in {glue:text}`ch11_height_tied`, the second in
#   {glue:text}`ch11_height_independent`. Row-axis vectors swap
#   {glue:text}`ch11_row_front_behind_tied` and {glue:text}`ch11_row_front_behind_independent` of
#   their depth beliefs. Is the conflation a property of the data?
#   {glue:text}`ch11_verdict_data`.
#
# For LLaVA-1.5 this makes a prediction, and no proof: photographs are taken by people who stand on
# the same floor as what they photograph.
#
# ## Open question: a research sprint
#
# How many counterexamples are enough? Between "tied" and "independent" lies a dial: the share of
# scenes in which height misleads. Train `tiny-llava-flat` on with 2, 5, 10 and 20 % of them
# (`helpers/training/train.py` has the recipes; a run takes minutes) and draw the share that
# follows height over the dial. Is there a threshold? Then ask a harder one: train the model of
# tied scenes on with independent scenes. Does the old direction turn, or does a new one appear
# beside it? Write down your guess first.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 7.
# - {cite:t}`geirhos2020shortcut`: rules that work on the training data and mean something else.
# - {cite:t}`ooi2001distance`: people read distance off the height in the visual field, too.
# - {cite:t}`liu2023vsr` and {cite:t}`kamath2023whatsup`: benchmarks with "in front of" and "behind".
#
# **What follows.** Some answers are wrong, and now you know one reason. {doc}`12_why_wrong` finds the part that is to blame, answer by answer.
