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
# # Swapping beliefs
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/09_swapping_beliefs.ipynb)
# · about 35 minutes to read, another 70 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [6](06_steering_beliefs.ipynb) and [8](08_real_photos.ipynb)
#
# The paper's Figure 2 has one number for each model: the share of {term}`beliefs <belief>` that {term}`spatial IDs <spatial ID>`
# swap. Its median over models is 64 %. Noise of the same length swaps 29.5 %
# {cite}`kang2026linear`. Somebody else ran the same thing on two of the models, and got 19 %
# and 31 %, with noise below 1 %.
#
# All of these are shares of the same event. **How often can IDs make a model believe the
# opposite, and what does a percentage like 64 % mean?**
#
# {doc}`06_steering_beliefs` has told you what steering is, what a {term}`dose` is, and what each
# control takes away. Here you use all that on many scenes and photos. Then you take the number
# itself apart: you rebuild the paper's protocol and turn it into ours, one change at a time.
#
# **You will learn**
# - what to count as a swap, and what not
# - how to choose a block and a dose at once, and how often IDs then swap a belief
# - why a model that is merely broken "swaps" half of its beliefs
# - which part of a percentage comes from the protocol, rung by rung

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
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import plots, random_direction, stats, trials
from helpers.exercises import ch09
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli import coco_spatial, photos
from helpers.stimuli.questions import ANSWERS
from helpers.stimuli.sampling import sample_scene

# %%
MODELS = open_models(
    MODEL, CONTROL, chapter="09_swapping_beliefs", small=SMALL, seed=SEED
)
YES, NO = MODELS  # the names: of the model, and of its control
KEY = {YES: "", NO: "_control"}
KINDS = {"left_right": "left/right", "above_below": "above/below"}

# %% [markdown]
# ## Three sets of questions
#
# - **Choosing scenes**: for the block and the dose, and for nothing else.
# - **Judging scenes**: half of them two objects on a white grid, half three to six objects on
#   colourful backgrounds. Pairs and places are held out: training never showed them.
# - **Photos** in the format of COCO-Spatial, squared, as in {doc}`08_real_photos` (unless you set
#   `PHOTOS`, they are the ones that the book draws). Nothing is
#   chosen on them.
#
# `helpers.trials` holds what you wrote out in chapters 6 and 8: cases, the belief before any edit, aimed pushes and their
# controls. Each picture gets one question, about columns or about rows. Every second picture is asked
# about with the two nouns exchanged. So one picture is one sample, and both orders are there.
# No question about a picture comes twice, in any set.

# %%
def scenes_for(vlm, count, seed, asked):
    """One question about each of `count` held-out scenes, by picture and question.

    `asked` remembers what was asked: on a grid the same picture comes again and again.
    """
    cases = []
    for pictures, kind in itertools.product(("grid", "clutter"), KINDS):
        rng, found = np.random.default_rng([seed, len(cases)]), 0
        while found < count:
            scene = sample_scene(rng, pictures, held_out=True)
            question = kind, frozenset(scene.objects), scene.names[found % 2]
            if question in asked:
                continue
            asked.add(question)
            labels = {"pictures": pictures, "scene": f"{pictures} {kind} {found}"}
            some = trials.scene_cases(vlm, [scene], kind, [found % 2], **labels)
            found += len(some)  # 0 if the two are too close to tell
            cases += some
    return cases


def photos_for(vlm, some):
    """One question about each photo."""
    cases = []
    for number, photo in enumerate(some):
        labels = {"pictures": "photos", "scene": str(photo.image_id)}
        cases += trials.photo_cases(vlm, [photo.squared()], [number % 2], **labels)
    return cases


# %%
COUNT = 32 if SMALL else 500
FOLDER = Path(PHOTOS or f"../_build/photos/{COUNT}-seed-{SEED}")
if not PHOTOS:
    photos.write_photos(FOLDER, COUNT, seed=SEED, progress=False)
data = coco_spatial.load(FOLDER)

# For each of two kinds of scenes and two of questions; and photos, for the model alone.
SIZES = {YES: (2, 4, COUNT) if SMALL else (18, 128, len(data.photos)),
         NO: (2, 4, 0) if SMALL else (8, 125, 0)}  # fmt: skip
SETS = {}  # (model, set) -> cases, with the log-odds before any edit
for name, vlm in MODELS.items():
    (choose, judge, shown), asked = SIZES[name], set()
    for what, cases in {
        "choosing": scenes_for(vlm, choose, SEED + 1, asked),
        "scenes": scenes_for(vlm, judge, SEED + 2, asked),
        "photos": photos_for(vlm, data.photos[:shown]),
    }.items():
        SETS[name, what] = trials.with_beliefs(vlm, cases, CACHE) if cases else []
glue("ch9_scenes", len(SETS[YES, "scenes"]))
glue("ch9_choosing", len(SETS[YES, "choosing"]))
glue("ch9_photos", len(SETS[YES, "photos"]))

# %% [markdown]
# A belief that was never there cannot be swapped. The rule of {doc}`08_real_photos` holds here
# too: where the interval of a model's accuracy, by set and by question, reaches down to one
# half, the arm **stops**.

# %%
def accuracy(cases):
    return trials.share(pd.DataFrame([case.labels for case in cases]), "right")


ALIVE = {}  # model -> what goes on, as (set, kind of question)
for name in MODELS:
    ALIVE[name], lines = set(), []
    for what, kind in itertools.product(("scenes", "photos"), KINDS):
        some = [case for case in SETS[name, what] if case.kind == kind]
        if not SETS[name, what]:
            continue
        if len({case.labels["scene"] for case in some}) < 2:
            lines.append(f"{what}, {KINDS[kind]}: too few for an interval")
        elif trials.can_answer(some):
            ALIVE[name].add((what, kind))
        else:
            lines.append(f"{what}, {KINDS[kind]}: {percent(accuracy(some))} right")
    for what in ("scenes", "photos"):
        if SETS[name, what]:
            glue(f"ch9_right_{what}{KEY[name]}", percent(accuracy(SETS[name, what])))
    if lines:
        print(f"{name} answers by chance, and stops here:", *lines, sep="\n    ")
    glue(f"ch9_stopped{KEY[name]}", "; ".join(lines) or "no arm stops")


def going_on(name, what):
    """The cases of a set whose arm goes on."""
    where = "scenes" if what == "choosing" else what
    return [c for c in SETS[name, what] if (where, c.kind) in ALIVE[name]]


LIVE = [name for name in MODELS if going_on(name, "scenes")]

# %% [markdown]
# The model is right in {glue:text}`ch9_right_scenes` of the judging scenes and
# {glue:text}`ch9_right_photos` of the photos, the control in
# {glue:text}`ch9_right_scenes_control` of the scenes. (Chapter 8 has shown it photos.) In the
# model, {glue:text}`ch9_stopped`; in the control, {glue:text}`ch9_stopped_control`.
#
# ## What counts
#
# A belief is *swapped* if its sign changes. As an event that is well defined. As evidence that
# an aimed vector did what it was aimed at, it lets two things through:
#
# - **wrong to right.** You push towards the false answer. A wrong belief that turns right went
#   *against* the push.
# - **babble.** A belief compares two words out of a whole vocabulary. If the model's first
#   choice is "cake", its belief about left and right may have any sign, but nobody hears it.
#
# ````{exercise} What counts as a swap
# :label: ch9-count
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `clean_swaps(before, after, valid)` for three NumPy arrays, one entry for each question:
# the log-odds *of the false answer* before and after the edit, and whether the model's first
# choice after the edit is one of the two answers. Return floats: 1 where a right belief became
# wrong and is said, 0 where a right belief did not, and `np.nan` where the belief was wrong
# before. Means that skip NaN then have the right denominator.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def clean_swaps(before, after, valid):
    turned = (after > 0) & valid
    # What was wrong before cannot be swapped by a push towards the wrong answer. It is no
    # failure either: it leaves the denominator.
    return np.where(before < 0, turned.astype(float), np.nan)


# %%
ch09.check_clean_swaps(clean_swaps)

# %% [markdown]
# From here on, "swapped" means a clean swap, as a share of the beliefs that were right. The
# looser counts come back in the second part, under their own names.

# %%
def run(name, jobs):
    """Run jobs; say what became of each belief, counted in three ways."""
    table = trials.run(MODELS[name], jobs, CACHE)
    false_before = (table["before"] * table["toward"]).to_numpy()
    after, valid = table["after"].to_numpy(), table["valid"].to_numpy()
    table["clean"] = clean_swaps(false_before, after, valid)
    table["turned"] = clean_swaps(false_before, after, np.ones_like(valid))
    return table


def share(table, column="clean"):
    """Mean with an interval over pictures; None if there are too few."""
    means = table.groupby("scene")[column].mean().dropna()
    if len(means) < 2:
        return None
    # One yes or no for each picture: Wilson's interval has a width at 0 of 512, too.
    return stats.proportion(means > 0) if means.isin([0, 1]).all() else stats.mean(means)


def told(interval):
    return "not measured" if interval is None else percent(interval)


# %% [markdown]
# ## Every block, every dose
#
# The IDs come from the paper's grids on white, from pairs that training may show. Each noun
# is given the ID of its mirrored place: the frog is said to be as far from the right edge as
# it is from the left. Block and dose are chosen together, on the choosing scenes alone: of all
# cells of the map that come within two points of the best, the one with the smallest dose. It
# must be one at least. A control that never listens shall not get away with a whisper.

# %%
DOSES = (0.5, 1.0, 2.0) if SMALL else (0.5, 1.0, 1.5, 2.0, 3.0)
IDS, SITES, heat = {}, {}, {}
for name in LIVE:
    vlm = MODELS[name]
    # Where only some blocks look at the picture, no word knows its place before them.
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    blocks = range(min(looking, default=0), vlm.n_layers)
    SITES[name] = {block: vlm.resid_post(block) for block in blocks}
    few = {"pairs": 2, "partners": 1} if SMALL else {"pairs": 4}
    sites = list(SITES[name].values())
    IDS[name] = trials.extract_ids(
        vlm, list(KINDS), seed=SEED, sites=sites, save_to=CACHE, **few
    )


def aim(name, case, site, targets=trials.mirrored):
    return trials.aimed(case, IDS[name][case.kind], site, targets(case))


# %%
BLOCK, DOSE, SITE = {}, {}, {}
for name in LIVE:
    jobs = [
        trials.steering_job(case, site, aim(name, case, site), dose, block=block)
        for (block, site), dose in itertools.product(SITES[name].items(), DOSES)
        for case in going_on(name, "choosing")
    ]
    heat[name] = run(name, jobs)
    found = heat[name].groupby(["dose", "block"])["clean"].mean()
    found = found[found.index.get_level_values("dose") >= 1]
    close = found[found >= found.max() - 0.02].reset_index()
    close = close[close["dose"] == close["dose"].min()]
    best = close.loc[close["clean"].idxmax()]
    BLOCK[name], DOSE[name] = int(best["block"]), float(best["dose"])
    SITE[name] = SITES[name][BLOCK[name]]
for name in LIVE:
    print(f"{name}: block {BLOCK[name]}, dose {DOSE[name]:g}")

# %% [markdown]
# A dose is in units of the model's own ID difference. How *long* the edit is, compared with
# the stream that it is added to, is another question. You need both: the paper's dose is
# given in lengths of the stream.
#
# ````{exercise} From a factor to a dose
# :label: ch9-dose
#
# Difficulty ●●○ · importance ●●○ · 10 minutes
#
# Write `dose_for(factor, vector, states, position)`. `states` is the stream of one prompt at
# one site, `[position, d_model]`. Return the dose, a float, at which `dose * vector` is
# `factor` times as long as the stream *at the position that is edited*. (The released code
# takes the norm over all occurrences of the word at once, also those in the model's own reply.
# With two, that makes the edit 1.4 times too long.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def dose_for(factor, vector, states, position):
    # The edit must be factor * |state| long and each unit of dose brings |vector|.
    return float(factor * states[position].norm() / vector.norm())


# %%
ch09.check_dose_for(dose_for)


# %%
def states_at_nouns(name, cases):
    """The stream at the last token of both nouns: site -> [cases, 2, d_model]."""
    sites = list(SITES[name].values())
    where = [[span[-1] for span in case.spans] for case in cases]
    states = read_states(MODELS[name], [c.prompt for c in cases], where, sites)
    return dict(zip(sites, states, strict=True))


def length_ratio(name, cases, site, states):
    """The edit's length at dose one over the stream's, mean over the nouns."""
    ratios = []
    for case, rows in zip(cases, states, strict=True):
        for noun, vector in enumerate(aim(name, case, site)):
            ratios.append(1 / dose_for(1.0, vector, rows, noun))
    return float(np.mean(ratios))


RATIO = {}  # model -> block -> length of the edit at dose one / length of the stream
for name in LIVE:
    cases = going_on(name, "choosing")
    states = states_at_nouns(name, cases)
    RATIO[name] = {block: length_ratio(name, cases, site, states[site])
                   for block, site in SITES[name].items()}  # fmt: skip
for name, key in KEY.items():
    here = name in LIVE
    glue(f"ch9_block{key}", BLOCK[name] if here else "not measured")
    glue(f"ch9_dose{key}", f"{DOSE[name]:g}" if here else "not measured")
    ratio = DOSE[name] * RATIO[name][BLOCK[name]] if here else None
    glue(f"ch9_ratio{key}", ratio if here else "not measured")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def no_panel(axes):
    """For a model whose arms all stopped."""
    axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])


figure, panels = plt.subplots(1, 2, figsize=(11.5, 4.6))
for name, axes in zip(MODELS, panels, strict=True):
    axes.set_title(name)
    if name not in LIVE:
        no_panel(axes)
        continue
    grid = heat[name].pivot_table(index="block", columns="dose", values="clean")
    axes.imshow(grid, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    for (row, block), (column, dose) in itertools.product(
        enumerate(grid.index), enumerate(grid.columns)
    ):
        value, tone = grid.iloc[row, column], "black"
        tone = "white" if value < 0.6 else "black"
        axes.text(column, row - 0.08, f"{100 * value:.0f}", ha="center", color=tone,
                  fontsize=10, fontweight="bold")  # fmt: skip
        axes.text(column, row + 0.36, f"×{dose * RATIO[name][block]:.2f}", ha="center",
                  color=tone, fontsize=7)  # fmt: skip
    chosen = list(grid.columns).index(DOSE[name]), list(grid.index).index(BLOCK[name])
    corner = chosen[0] - 0.5, chosen[1] - 0.5
    axes.add_patch(plt.Rectangle(corner, 1, 1, fill=False, ec="#D55E00", lw=3))
    axes.set_xticks(range(len(grid.columns)), [f"{dose:g}" for dose in grid.columns])
    axes.set_yticks(range(len(grid.index)), grid.index)
    axes.set(xlabel="dose, in ID differences", ylabel="block that is edited")
figure.tight_layout()
if LIVE:
    keep("heat", pd.concat(table.assign(model=n) for n, table in heat.items()))

# %% [markdown]
# **Figure 9.1.** *Every block, every dose,* on the {glue:text}`ch9_choosing` choosing scenes.
# Large: percent of right beliefs that were swapped. Small: the edit's length, in lengths of the
# stream. Framed: the choice, block {glue:text}`ch9_block` and dose {glue:text}`ch9_dose` in the
# model (×{glue:text}`ch9_ratio` of the stream), block {glue:text}`ch9_block_control` and dose
# {glue:text}`ch9_dose_control` in the control.
#
# Read it by rows first. A block either listens or does not, and shouting at one that does not
# is of little use. Then along the best row: more is not better for ever.
#
# ## The trial
#
# Now the judging scenes and the photos, at the framed cell. Controls are those of
# {doc}`06_steering_beliefs`, made by `helpers.trials`; each is, question by question and noun
# by noun, exactly as long as the ID difference that it stands in for. There are 20 seeds of
# noise, dealt out in turn: each question gets three of them (two in photos). One more arm asks
# whether "mirrored" is special: **exchanged** gives each noun the ID of the other's place.

# %%
SEEDS = {"random": 2, "shuffled IDs": 1, "orthogonal axis": 1,
         "random in ID subspace": 1}  # fmt: skip


def try_all(name, what):
    """IDs and their controls on the same questions; of the control model, noise alone."""
    site, jobs = SITE[name], []
    seeds = SEEDS | ({"random": 3} if what == "scenes" else {})
    seeds = seeds if name == YES else {"random": 1}
    for number, case in enumerate(going_on(name, what)):
        ids, start = IDS[name][case.kind], number * seeds["random"]
        made = trials.arms(case, ids, site, trials.mirrored(case), seeds)
        if name == YES:
            made["exchanged", 0] = aim(name, case, site, trials.exchanged)
        for (arm, seed), vectors in made.items():
            seed = (start + seed) % 20 if arm == "random" else seed
            labels = {"arm": arm, "seed": seed, "what": what}
            jobs.append(trials.steering_job(case, site, vectors, DOSE[name], **labels))
    return run(name, jobs).assign(model=name)


trial = {(name, what): try_all(name, what) for name in LIVE
         for what in ("scenes", "photos") if going_on(name, what)}  # fmt: skip
if trial:
    keep("trial", pd.concat(trial.values(), ignore_index=True))

# %%
def paired_gap(table, column="clean"):
    """How much more often IDs swap than noise does, on the same pictures."""
    means = table.groupby(["scene", "arm"])[column].mean().unstack("arm")
    means = means[["spatial IDs", "random"]].dropna()
    return stats.paired_difference(*means.to_numpy().T) if len(means) > 1 else None


ARMS = {"ids": "spatial IDs", "exchanged": "exchanged", "noise": "random",
        "shuffled": "shuffled IDs", "orthogonal": "orthogonal axis",
        "subspace": "random in ID subspace"}  # fmt: skip
TWO = {short: ARMS[short] for short in ("ids", "noise")}
for name, what in itertools.product(MODELS, ("scenes", "photos")):
    table = trial.get((name, what))
    end = ("_photos" if what == "photos" else "") + KEY[name]
    for short, arm in ARMS.items():
        part = None if table is None else table[table["arm"] == arm]
        for column, tag in (("clean", ""), ("valid", "_valid")):
            value = None if table is None else share(part, column)
            glue(f"ch9_{short}{tag}{end}", told(value))
    gap = None if table is None else paired_gap(table)
    glue(f"ch9_gap{end}", told(gap))
    enough = "not measured" if gap is None else "no" if gap.high < 0.2 else "in part"
    glue(f"ch9_verdict{end}", "yes" if gap and gap.low > 0.3 else enough)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
COLOR = plots.COLORS | {"exchanged": "#009E73"}


def dots(axes, rows):
    """Labelled estimates with their intervals, from the top; hollow for the control."""
    names = list(dict.fromkeys(row["label"] for row in rows))
    for row in rows:
        found, height = row["value"], -names.index(row["label"]) - row.get("down", 0)
        if found is not None:
            axes.plot([found.low, found.high], [height] * 2, color=row["color"], lw=2)
            face = "white" if row.get("hollow") else row["color"]
            axes.plot(found.estimate, height, "o", color=row["color"], mfc=face, mew=1.5)
    axes.set_yticks(-np.arange(len(names)), names)
    axes.set(ylim=(-len(names) + 0.4, 0.6), xlim=(-0.03, 1.03))


figure, panels = plt.subplots(1, 2, figsize=(11, 3.6), sharey=True)
for what, axes in zip(("scenes", "photos"), panels, strict=True):
    rows = []
    for arm, name in itertools.product(ARMS.values(), MODELS):
        table = trial.get((name, what))
        value = None if table is None else share(table[table["arm"] == arm])
        rows.append({"label": arm, "value": value, "color": COLOR[arm],
                     "hollow": name == NO, "down": 0.25 * (name == NO)})  # fmt: skip
    dots(axes, rows)
    axes.set(title=what, xlabel="share of right beliefs swapped")
figure.tight_layout()

# %% [markdown]
# **Figure 9.2.** *Swapped beliefs, by arm,* {glue:text}`ch9_scenes` held-out scenes and
# {glue:text}`ch9_photos` photos, 95 % intervals over pictures. Full: the model;
# hollow: the control, with its own IDs, block and dose, against noise.
#
# | the model | scenes | valid | photos | valid |
# |---|---|---|---|---|
# | spatial IDs, mirrored | {glue:text}`ch9_ids` | {glue:text}`ch9_ids_valid` | {glue:text}`ch9_ids_photos` | {glue:text}`ch9_ids_valid_photos` |
# | spatial IDs, exchanged | {glue:text}`ch9_exchanged` | {glue:text}`ch9_exchanged_valid` | {glue:text}`ch9_exchanged_photos` | {glue:text}`ch9_exchanged_valid_photos` |
# | random | {glue:text}`ch9_noise` | {glue:text}`ch9_noise_valid` | {glue:text}`ch9_noise_photos` | {glue:text}`ch9_noise_valid_photos` |
# | shuffled IDs | {glue:text}`ch9_shuffled` | {glue:text}`ch9_shuffled_valid` | {glue:text}`ch9_shuffled_photos` | {glue:text}`ch9_shuffled_valid_photos` |
# | orthogonal axis | {glue:text}`ch9_orthogonal` | {glue:text}`ch9_orthogonal_valid` | {glue:text}`ch9_orthogonal_photos` | {glue:text}`ch9_orthogonal_valid_photos` |
# | random in ID subspace | {glue:text}`ch9_subspace` | {glue:text}`ch9_subspace_valid` | {glue:text}`ch9_subspace_photos` | {glue:text}`ch9_subspace_valid_photos` |
# | **IDs less random, paired** | {glue:text}`ch9_gap` | | {glue:text}`ch9_gap_photos` | |
#
# Do IDs make the model believe the opposite, by the rule "at least 30 points above random, with
# the whole interval"? In scenes **{glue:text}`ch9_verdict`**, in photos
# **{glue:text}`ch9_verdict_photos`**. In the control: **{glue:text}`ch9_verdict_control`**
# ({glue:text}`ch9_ids_control` with IDs, {glue:text}`ch9_noise_control` with noise).
#
# ### A stuck model swaps half
#
# Before you trust a share, ask what it would be for a model that is simply broken. Say an edit
# destroys whatever the noun knew, and from then on the model answers "Left", always. In half of
# the questions "Left" was the false answer, so half of the beliefs are swapped, all answers are
# valid, and nobody steered anything. A percentage near 50 can be made of nothing.
#
# There is a simple defence. Aimed edits turn Left to Right *and* Right to Left. A stuck model has
# all its swaps on one side.
#
# ````{exercise} Both ways
# :label: ch9-both
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `both_ways(table)` for a table with columns `kind` (of the question), `toward` (+1 or -1:
# which of its two answers is false) and `clean` (1, 0 or NaN). For every kind there are two
# directions. Return the share of swaps in the direction in which it is *smallest*, over all
# kinds, a float. Why not pool the kinds first? Think of a model stuck on "Left" and "Below".
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def both_ways(table):
    # By kind as well: stuck on the first answer of one kind and on the second of the other,
    # both values of `toward` would look alike.
    return float(table.groupby(["kind", "toward"])["clean"].mean().min())


# %%
ch09.check_both_ways(both_ways)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def direction(kind, toward):
    first, second = ANSWERS[kind]
    return f"{second} to {first}" if toward > 0 else f"{first} to {second}"


def groups(table):
    """Parts of a table worth seeing apart."""
    for (kind, toward), part in table.groupby(["kind", "toward"], sort=False):
        yield direction(kind, toward), part
    for order, part in table.groupby("order"):
        yield ("one order of nouns", "the other order")[order], part
    for pictures, part in table.groupby("pictures", sort=False):
        yield {"grid": "two on white"}.get(pictures, pictures), part


parts = [table for (name, _), table in trial.items() if name == YES]
rows = []
if parts:
    for label, part in groups(pd.concat(parts)):
        for arm, some in part.groupby("arm", sort=False):
            if arm in ("spatial IDs", "random"):
                rows.append({"label": label, "value": share(some), "color": COLOR[arm]})
figure, axes = plt.subplots(figsize=(7, 3.8))
if rows:
    dots(axes, rows)
    axes.set_xlabel("share of right beliefs swapped")
else:
    no_panel(axes)
for what in ("scenes", "photos"):
    table = trial.get((YES, what))
    ids = None if table is None else table[table["arm"] == "spatial IDs"]
    value = "not measured" if ids is None else f"{100 * both_ways(ids):.0f} %"
    glue("ch9_both_ways" + ("_photos" if what == "photos" else ""), value)

# %% [markdown]
# **Figure 9.3.** *Taken apart, in the model.* Blue: spatial IDs; grey: noise; scenes and photos
# together. From above: the four directions, the order of the nouns, the kind of picture. The
# weakest direction has {glue:text}`ch9_both_ways` in scenes and
# {glue:text}`ch9_both_ways_photos` in photos.
#
# ## The paper's protocol, rung by rung
#
# So far, our way. Now theirs, as we read their released code, on the same judging scenes:
#
# - The edit is **five times as long as the stream** that it is added to.
# - Of all IDs, **three corners** are used. "Further right" is one corner less the other, whatever
#   the object's own place.
# - **Every change of sign** counts: wrong to right, and babble too.
# - The **three blocks** at which IDs swap most are picked **on the very samples** reported.
# - Noise is **one draw** for each sample.
#
# That is a point in a space of protocols. We walk from there to ours, one change at a time. Each
# rung shows what IDs swap and what noise swaps.

# %%
CORNERS = {"left_right": ((0, 0), (0, 3)), "above_below": ((0, 0), (3, 0))}


def corner_push(name, case, site):
    """For each noun, one corner's ID less the other's, towards the false answer."""
    near, far = CORNERS[case.kind]
    # toward > 0: the false answer is "Left" or "Above", so the first noun goes there.
    targets = (near, far) if case.toward > 0 else (far, near)
    pairs = zip(IDS[name][case.kind], targets, targets[::-1], strict=True)
    return [ids.difference(site, origin, target) for ids, target, origin in pairs]


def stretched(vectors, rows, factor):
    """The vectors, made `factor` times as long as the stream at their nouns."""
    return [dose_for(factor, v, rows, noun) * v for noun, v in enumerate(vectors)]


def noise_like(vectors, *seed):
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(
        [SEED, *seed]).generate_state(1)[0]))  # fmt: skip
    return [random_direction(vector, generator) for vector in vectors]


# %% [markdown]
# `theirs` runs both arms at every block with factor five. `ours` stays at the block that was
# chosen on the choosing scenes, and has all factors, with the ID of each noun's mirrored place.

# %%
FACTORS = (0.5, 1.0, 5.0, 10.0) if SMALL else (0.5, 1.0, 2.0, 5.0, 10.0)
MORE = 1  # draws of noise at factor five, beside the first


def theirs(name, number, case, states, blocks=None):
    for block in blocks or SITES[name]:
        site = SITES[name][block]
        vectors = stretched(corner_push(name, case, site), states[site][number], 5.0)
        for arm, some in {"spatial IDs": vectors,
                          "random": noise_like(vectors, number, block)}.items():  # fmt: skip
            labels = {"part": "theirs", "arm": arm, "block": block, "factor": 5.0}
            yield trials.steering_job(case, site, some, **labels)


def same_half(case):
    """Whether both objects lie in the same half, along the axis of the question."""
    axis = ("row", "column").index(trials.AXIS[case.kind])
    one, other = (place[axis] - 1.5 for place in case.places)
    return one * other > 0


def ours(name, number, case, states):
    site, labels = SITE[name], {"part": "ours", "block": BLOCK[name]}
    labels["same half"] = same_half(case)
    for factor in FACTORS:
        vectors = stretched(aim(name, case, site), states[site][number], factor)
        arms = [("spatial IDs", vectors)]
        for draw in range(MORE if factor == 5 else 1):
            arms.append(("random", noise_like(vectors, number, 100 + draw, int(4 * factor))))
        for arm, some in arms:
            more = labels | {"arm": arm, "factor": factor}
            yield trials.steering_job(case, site, some, **more)


# %%
replay = {}
for name in LIVE:
    cases = going_on(name, "scenes")
    states, jobs = states_at_nouns(name, cases), []
    for number, case in enumerate(cases):
        jobs += theirs(name, number, case, states)
        jobs += ours(name, number, case, states) if name == YES else ()
    replay[name] = run(name, jobs).assign(model=name)
if replay:
    keep("replay", pd.concat(replay.values(), ignore_index=True))

# %% [markdown]
# One rung is worth an exercise. If you may pick the best of many blocks on the samples that you
# report, luck is on your side. (And noise is read at the blocks that are best for the IDs.)
#
# ````{exercise} Pick on one set, report on another
# :label: ch9-pick
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `picked(choose, report, count)`. Both arrays are `[scenes, blocks]`, with 1 for a swap
# and 0 for none. Find the `count` blocks with the most swaps in `choose`, and return their mean
# share in `report`, a float. `picked(x, x, 3)` is then the paper's way.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def picked(choose, report, count):
    best = np.argsort(choose.mean(0))[-count:]
    # `report` must have no say in which blocks these are.
    return float(report[:, best].mean())


# %%
ch09.check_picked(picked)


# %%
def by_block(table, arm, column="swapped"):
    """Swaps of the paper's protocol, [scenes, blocks], and the blocks."""
    part = table[(table["part"] == "theirs") & (table["arm"] == arm)]
    wide = part.pivot_table(index="scene", columns="block", values=column)
    return wide.to_numpy(dtype=float), list(wide.columns)


BEST = {}  # model -> the three blocks of the paper's way
for name in LIVE:
    swaps, blocks = by_block(replay[name], "spatial IDs")
    BEST[name] = [blocks[index] for index in np.argsort(swaps.mean(0))[-3:]]
here = YES in LIVE
made = {}
if here:
    swaps, _ = by_block(replay[YES], "spatial IDs")
    one, other = swaps[::2], swaps[1::2]
    made = {"same": picked(other, other, 3), "three": picked(one, other, 3),
            "block": picked(one, other, 1)}  # fmt: skip
for key in ("same", "three", "block"):
    glue(f"ch9_picked_{key}", f"{100 * made[key]:.0f} %" if made else "not measured")
glue("ch9_best_blocks", ", ".join(map(str, sorted(BEST[YES]))) if here else "none")

# %% [markdown]
# Take half of the judging scenes. The three best blocks, picked on this very half, swap
# {glue:text}`ch9_picked_same` with IDs in the model. Picked on the other half, the three have
# {glue:text}`ch9_picked_three` here, and the single best has {glue:text}`ch9_picked_block`.
#
# Now the ladder.

# %%
def rungs(name):
    """What each rung counts: label -> (table, column)."""
    table = replay[name]
    first = table[table["part"] == "theirs"]
    best, one = (first[first["block"].isin(b)] for b in (BEST[name], [BLOCK[name]]))
    five = table[(table["part"] == "ours") & (table["factor"] == 5)]
    draws, aimed = five[five["arm"] == "random"], five[five["arm"] == "spatial IDs"]
    many = pd.concat([one, draws])
    noise = many[many["arm"] == "random"]
    final = trial[name, "scenes"]
    final = final[final["scene"].isin(first["scene"])]
    return {
        "the paper's protocol": (best, "swapped"),
        "count only right to wrong": (best, "turned"),
        "... and only valid answers": (best, "clean"),
        "one block, chosen elsewhere": (one, "clean"),
        f"{MORE + 1} draws of noise": (many, "clean"),
        "the ID of each place, not corners": (pd.concat([aimed, noise]), "clean"),
        "dose in ID differences: ours": (final, "clean"),
    }


lines = []
for name in LIVE:
    for (rung, (table, column)), arm in itertools.product(
        rungs(name).items(), ("spatial IDs", "random")
    ):
        part = table[table["arm"] == arm]
        found = share(part, column)
        if found is not None:
            lines.append({"model": name, "rung": rung, "arm": arm, **found._asdict(),
                          "valid": part["valid"].mean()})  # fmt: skip
ladder = pd.DataFrame(lines, columns=["model", "rung", "arm", *stats.Interval._fields,
                                      "valid"])  # fmt: skip
keep("ladder", ladder)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def interval(row):
    return stats.Interval(row["estimate"], row["low"], row["high"], row["n"])


figure, axes = plt.subplots(figsize=(8.5, 4))
own = ladder[ladder["model"] == YES]
if len(own):
    dots(axes, [{"label": row["rung"], "value": interval(row), "color": COLOR[row["arm"]]}
                for _, row in own.iterrows()])  # fmt: skip
    names = list(own["rung"].unique())
    for _, row in own.iterrows():
        place = 1.07 if row["arm"] == "spatial IDs" else 1.2
        axes.text(place, -names.index(row["rung"]), f"{100 * row['valid']:.0f} %",
                  color=COLOR[row["arm"]], va="center", fontsize=9)  # fmt: skip
    axes.text(1.07, 0.75, "valid answers", fontsize=9)
    axes.set_xlabel("share of beliefs swapped")
else:
    no_panel(axes)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def rung_values(name, arm):
    part = ladder[(ladder["model"] == name) & (ladder["arm"] == arm)]
    return part.set_index("rung")


for name, key in KEY.items():
    for short, arm in TWO.items():
        part = rung_values(name, arm)
        glue(f"ch9_five_{short}{key}", told(interval(part.iloc[0]) if len(part) else None))
        first = rungs(name)["the paper's protocol"][0] if len(part) else None
        valid = share(first[first["arm"] == arm], "valid") if len(part) else None
        glue(f"ch9_five_valid_{short}{key}", told(valid))
    first = rungs(name)["the paper's protocol"] if name in LIVE else None
    glue(f"ch9_five_gap{key}", told(paired_gap(*first) if first else None))
for short, arm in TWO.items():
    part = rung_values(YES, arm)["estimate"]
    steps = part.diff().dropna()
    if len(steps):
        rung = "one block, chosen elsewhere"
        glue(f"ch9_step_block_{short}", f"{100 * steps[rung]:+.0f}")
        glue(f"ch9_one_{short}", told(interval(rung_values(YES, arm).loc[rung])))
        largest = steps.abs().idxmax()
        glue(f"ch9_step_{short}", largest.removeprefix("... and "))
        glue(f"ch9_step_points_{short}", f"{100 * steps[largest]:+.0f}")
        glue(f"ch9_range_{short}", f"{100 * part.min():.0f} to {100 * part.max():.0f} %")
    else:
        for what in ("step", "step_points", "step_block", "one", "range"):
            glue(f"ch9_{what}_{short}", "not measured")

# %% [markdown]
# **Figure 9.4.** *From the paper's protocol to ours, in the model.* Blue: IDs; grey: noise; 95 %
# intervals over the judging scenes; at the right, valid answers. Each rung keeps all changes of
# those above it. The three blocks of the paper's way are {glue:text}`ch9_best_blocks`.
#
# The same IDs, the same scenes, and the share that IDs swap is anything from
# {glue:text}`ch9_range_ids` (noise: {glue:text}`ch9_range_noise`). For the IDs the largest step is
# “{glue:text}`ch9_step_ids`” ({glue:text}`ch9_step_points_ids` points), for noise it is
# “{glue:text}`ch9_step_noise`” ({glue:text}`ch9_step_points_noise` points).
#
# Choosing on the test data flatters, says every textbook. Leaving that habit changed the IDs'
# share by {glue:text}`ch9_step_block_ids` points here. We had expected a minus. But the paper's
# way averages over *three* blocks, and where fewer than three listen, that costs more than the
# choice gains. A bad habit need not err in your favour. At the one block, noise has
# {glue:text}`ch9_one_noise`. (The paper's 29.5 % is a mean over three blocks of large models: should the
# two be near each other, that is no confirmation.) Where a block listens, it may listen to anything
# that is long enough.
#
# And mind the order of the rungs. A step is what one change does *after* those above it. Climb in
# another order, and the steps have other sizes.
#
# The paper's samples were photos. Replay its protocol there as well, at the same three blocks.
#
# %%
photo_replay = None
if here and going_on(YES, "photos"):
    cases = going_on(YES, "photos")
    states, jobs = states_at_nouns(YES, cases), []
    for number, case in enumerate(cases):
        jobs += theirs(YES, number, case, states, BEST[YES])
    photo_replay = run(YES, jobs)
    keep("photo_replay", photo_replay)


def five_on_photos(arm, column="swapped"):
    if photo_replay is None:
        return None
    return share(photo_replay[photo_replay["arm"] == arm], column)


for short, arm in TWO.items():
    glue(f"ch9_five_{short}_photos", told(five_on_photos(arm)))
    glue(f"ch9_five_valid_{short}_photos", told(five_on_photos(arm, "valid")))

# %% [markdown]
# In photos, the paper's way gives {glue:text}`ch9_five_ids_photos` for IDs and
# {glue:text}`ch9_five_noise_photos` for noise; in scenes it was {glue:text}`ch9_five_ids` and
# {glue:text}`ch9_five_noise`.
#
# ## Louder
#
# The replication swept the factor, and saw the share of swaps rise up to the largest factor it
# tried, ten, where it reached 43 %. More is better, then? Watch noise and validity as you turn the
# volume up.

# %%
lines = []
if here:
    part = replay[YES][replay[YES]["part"] == "ours"]
    for (arm, factor), some in part.groupby(["arm", "factor"]):
        about = {"arm": arm, "factor": factor}
        for column in ("clean", "valid"):
            found = share(some, column)
            if found is not None:
                lines.append({**about, "column": column, **found._asdict()})
        about |= {"column": "both ways", "estimate": both_ways(some)}
        lines.append(about)
fields = ["estimate", "low", "high", "n"]
curves = pd.DataFrame(lines, columns=["arm", "factor", "column", *fields])
curves = curves.astype(dict.fromkeys(fields, float))
keep("factors", curves)


def curve(arm, column):
    part = curves[(curves["arm"] == arm) & (curves["column"] == column)]
    return part.set_index("factor")


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
titles = {"clean": "right beliefs swapped", "both ways": "... in the weakest direction",
          "valid": "valid answers"}  # fmt: skip
figure, panels = plt.subplots(1, 3, figsize=(12, 3.9), sharey=True)
for (column, title), axes in zip(titles.items(), panels, strict=True):
    axes.set_title(title)
    if not here:
        no_panel(axes)
        continue
    for arm in TWO.values():
        part = curve(arm, column)
        axes.plot(part["estimate"], marker="o", ms=4, color=COLOR[arm], label=arm)
        axes.fill_between(part.index, part["low"], part["high"], alpha=0.18,
                          color=COLOR[arm], lw=0)  # fmt: skip
    natural = DOSE[YES] * RATIO[YES][BLOCK[YES]]
    axes.axvline(natural, color="#009E73", ls="--", lw=1.3)
    axes.axvline(5, color="0.4", ls=":", lw=1.3)
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="factor: edit / stream, in lengths")
    axes.set_xticks(FACTORS, [f"{factor:g}" for factor in FACTORS], fontsize=8)
    axes.minorticks_off()
if here:
    panels[0].legend(fontsize=9)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
noise = curve("random", "clean")
over = noise.index[noise["low"] > 0.05]  # the whole interval above one in twenty
begins = f"factor {over[0]:g}" if len(over) else "no factor that we tried"
glue("ch9_noise_begins", begins if here else "not measured")
for short, arm in TWO.items():
    values = {column: curve(arm, column)["estimate"] for column in titles}
    for column, tag in (("clean", "swap"), ("both ways", "weakest"), ("valid", "valid")):
        some = values[column].get(10.0, np.nan)
        text = f"{100 * some:.0f} %" if here else "not measured"
        glue(f"ch9_ten_{tag}_{short}", text)
    peak = f"factor {values['clean'].idxmax():g}" if here else "not measured"
    glue(f"ch9_peak_{short}", peak)
halves = {}
if here:
    five_ids = replay[YES].query("part == 'ours' and arm == 'spatial IDs' and factor == 5")
    halves = {bool(same): share(some) for same, some in five_ids.groupby("same half")}
glue("ch9_same_half", told(halves.get(True)))
glue("ch9_two_halves", told(halves.get(False)))
lowest = curves[curves["column"] == "valid"]["estimate"]
glue("ch9_lowest_valid", f"{100 * lowest.min():.0f} %" if here else "not measured")
five = 5 / RATIO[YES][BLOCK[YES]] if here else None
glue("ch9_five_dose", f"{five:.1f}" if here else "not measured")

# %% [markdown]
# **Figure 9.5.** *Turning the volume up,* at the chosen block, with the ID of each noun's mirrored
# place, in the model; bands are 95 % intervals over scenes. Dashed green: the dose that we chose;
# dotted grey: the paper's factor, which here is a dose of {glue:text}`ch9_five_dose`. Left: clean swaps. Middle: the same in the direction in which they
# are rarest. Right: valid answers.
#
# Noise begins to swap more than one belief in twenty at: {glue:text}`ch9_noise_begins`. IDs swap
# most at: {glue:text}`ch9_peak_ids`; noise at: {glue:text}`ch9_peak_noise`. At factor ten:
#
# | in the model, factor 10 | swapped | weakest direction | valid |
# |---|---|---|---|
# | spatial IDs | {glue:text}`ch9_ten_swap_ids` | {glue:text}`ch9_ten_weakest_ids` | {glue:text}`ch9_ten_valid_ids` |
# | random | {glue:text}`ch9_ten_swap_noise` | {glue:text}`ch9_ten_weakest_noise` | {glue:text}`ch9_ten_valid_noise` |
#
# At factor five, five sixths of what stands at the word is the edit. And every block begins by
# scaling its input to one length. So a longer edit is not a louder one. It is a replacement:
# what is left at the noun is a direction.
#
# One more thing is lost. Stretching all edits to one length forgets how far each noun had to go:
# two objects in the same half are sent across side by side, and need not change their order. At
# factor five, IDs swap {glue:text}`ch9_same_half` of the beliefs about objects in the same half,
# and {glue:text}`ch9_two_halves` of the others. A dose in ID differences remembers the distance.
#
# If valid answers fall, the model babbles. If they do not, and the weakest direction lies far
# below the mean, it is getting stuck. Only where all three panels are high has the model been
# made to believe something. We had expected valid answers to give the noise away. Their lowest
# share in the model is {glue:text}`ch9_lowest_valid`. Where that is near 100 %, the question
# alone tells the model which words to choose from, and it is the middle panel that warns.
#
# ## Among the published numbers
#
# Finally, all the numbers on one axis, as in the paper's Figure 2.

# %%
PUBLISHED = {  # share swapped by IDs, by noise; at factor 5
    "paper, median of 11 models": (0.645, 0.295),
    "replication, LLaVA-1.5": (0.193, 0.007),
    "replication, Qwen2.5-VL": (0.313, 0.0),
}


def exact(value):
    return stats.Interval(value, value, value, 0)


rows = [
    {"label": label, "value": exact(value), "color": COLOR[arm]}
    for label, values in PUBLISHED.items()
    for arm, value in zip(("spatial IDs", "random"), values, strict=True)
]
for name, arm in itertools.product(LIVE, ("spatial IDs", "random")):
    for rung, tag in ((0, "the paper's way"), (-1, "our way")):
        value = interval(rung_values(name, arm).iloc[rung])
        label = f"{name}, {tag}"
        rows.append({"label": label, "value": value, "color": COLOR[arm]})
    if name == YES and photo_replay is not None:
        table = trial[YES, "photos"]
        for tag, value in (("the paper's way", five_on_photos(arm)),
                           ("our way", share(table[table["arm"] == arm]))):  # fmt: skip
            label = f"{name}, {tag}, photos"
            rows.append({"label": label, "value": value, "color": COLOR[arm]})
for row in rows:
    row["down"] = 0.2 * (row["color"] == COLOR["random"])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(8.5, 4.4))
heights = list(dict.fromkeys(row["label"] for row in rows))
for label in heights:
    ends = [row["value"].estimate for row in rows if row["label"] == label and row["value"]]
    axes.plot(ends, [-heights.index(label)] * len(ends), color="0.8", lw=4, zorder=0)
dots(axes, rows)
for value, arm in zip(PUBLISHED["paper, median of 11 models"], ("spatial IDs", "random"),
                      strict=True):  # fmt: skip
    axes.axvline(value, color=COLOR[arm], ls=":", lw=1.5)
axes.set_xlabel("share of beliefs swapped")
figure.tight_layout()

# %% [markdown]
# **Figure 9.6.** *Our points among the published ones.* Blue: IDs; grey: noise; the bar between
# them is the gap. Published points are at factor five and without intervals; dotted lines carry
# the paper's medians {cite}`kang2026linear` through the figure. "The paper's way" is the first
# rung of the ladder, "our way" the last; {glue:text}`ch9_five_ids` and
# {glue:text}`ch9_five_noise` against {glue:text}`ch9_ids` and
# {glue:text}`ch9_noise` in the model.
#
# The replication used the paper's factor on two of its models, and lies 33 and 45 points below
# the paper's median; its noise swaps next to nothing. Which rung is behind that cannot be seen
# from here. What can be seen is how far one share of one model travels when nothing changes but
# the protocol.
#
# So what does "64 %" mean? By itself, that a change of sign happened that often. To say that IDs
# cause beliefs you need four numbers beside it: noise on the same samples, the weakest
# direction, valid answers, and the dose in the model's own units.
#
# ## What survives?
#
# You have seen how far one share travels. If a number is to compare *models*, it need not stay the
# same under every protocol. It has to rank the models alike.
#
# ````{exercise} Research sprint: a number that survives
# :label: ch9-survives
#
# Difficulty ●●● · importance ●●○ · 20 minutes for the function, an afternoon for the sprint
#
# Write `survives(table)`: a row for each protocol, a column for each model, any measure in the
# cells. Return the *lowest* rank correlation (Spearman's) between two protocols: 1 if all of them
# rank the models alike, -1 if two of them turn the order round. A protocol that gives all models the
# same value ranks nobody: its correlation with any other counts as 0.
#
# Then go on with the open question at the end of the chapter: fill such a table for three measures,
# and let your function tell which of them survives. Write down first how low is too low.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def survives(table):
    # Ranks, not values: a protocol may squeeze or stretch the measure as it likes.
    ranks, worst = table.rank(axis=1), 1.0
    for one, other in itertools.combinations(table.index, 2):
        flat = ranks.loc[one].std() == 0 or ranks.loc[other].std() == 0
        worst = min(worst, 0.0 if flat else ranks.loc[one].corr(ranks.loc[other]))
    # The lowest and not the mean: a reader of a paper gets one protocol, not all of them.
    return float(worst)


# %%
ch09.check_survives(survives)

# %% [markdown]
# ## Summary
#
# - At block {glue:text}`ch9_block` and dose {glue:text}`ch9_dose`, chosen elsewhere, IDs turn
#   {glue:text}`ch9_ids` of the model's right beliefs over in held-out scenes, noise
#   {glue:text}`ch9_noise`; the paired gap is {glue:text}`ch9_gap`. Valid:
#   {glue:text}`ch9_ids_valid`.
# - In photos, with nothing chosen on them: {glue:text}`ch9_ids_photos`, noise
#   {glue:text}`ch9_noise_photos`.
# - In the control, which answers too, but without its {term}`object words <object word>`:
#   {glue:text}`ch9_ids_control`.
# - Under the paper's protocol the same IDs swap {glue:text}`ch9_five_ids`, noise
#   {glue:text}`ch9_five_noise` (gap {glue:text}`ch9_five_gap`), with valid answers in
#   {glue:text}`ch9_five_valid_ids` and {glue:text}`ch9_five_valid_noise`.
# - A broken model swaps half of its beliefs. Look at both directions.
# - A share of swaps is a property of a model *and* a protocol.
#
# ## Open question: a research sprint
#
# Is there a number that survives the protocol? Candidates: the dose at which half of the beliefs
# turn; the gap to noise, divided by one less the share of noise; the area between the two curves
# of Figure 9.5. Take an afternoon. Pick three protocols of the ladder and two models, and ask which
# candidate ranks the models alike under all of them. Decide beforehand what "survives" means. If
# you have a GPU, add LLaVA-1.5: run this chapter with `MODEL="llava-hf/llava-1.5-7b-hf"`, and
# see on which side of the replication you land.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 2.
# - {cite:t}`zhang2024best` and {cite:t}`heimersheim2024use`: how choices of method change what
#   causal interventions say.
# - {cite:t}`turner2023activation`: adding vectors, and how their strength was chosen there.
# - {cite:t}`feng2024bind`: mean interventions that turn over which attribute belongs to whom.
#
# **What follows.** So far an object changed sides. {doc}`10_any_place` sends it to any place.
