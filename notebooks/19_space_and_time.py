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
# # Space and time
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/19_space_and_time.ipynb)
# · about 45 minutes to read, another 85 for the exercises, two or three to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb), [17](17_temporal_ids.ipynb) and [18](18_steering_time.ipynb)
#
# A video model has vectors that say *where* an object is ({doc}`04_finding_spatial_ids`) and
# vectors that say *when* it appears ({doc}`17_temporal_ids`). Both stand at the same word. The
# paper {cite}`kang2026linear` studies them one at a time and stops there. People put them
# together: we say that an hour is *long* and that a meeting moves *forward*, and timelines run
# from left to right. **Does the model have one map for both, or two?**
#
# An object that moves is the hardest case. It is in several places. **What does its word say
# then: one place, which one, or a path?**
#
# **You will learn**
# - how to compare two subspaces, and what to hold the number against
# - whether place and time add up at a word, and what the question does to either
# - to look for cross-talk: steer when, ask where, and the other way round
# - which of its places the word of a moving object carries, and whether you can ask for another
# - whether there is a direction for *moving right*, apart from *being at the right*

# %% tags=["parameters"]
MODEL = "tiny-video"  # a shipped model, a Hugging Face name, or a folder
SMALL = False  # True: fewer clips, to try things out
SEED = 0
CACHE = None  # a folder: long runs keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import itertools
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.linalg import subspace_angles

from helpers import (
    Job,
    Placed,
    geometry,
    plots,
    random_direction,
    stats,
    steer,
    sweep,
    trials,
    with_norm_of,
)
from helpers.animate import show_clip
from helpers.clip_trials import ASK, clip_cases, extract_temporal_ids
from helpers.exercises import ch19
from helpers.extraction import Shot, centred_means, frame_pixels
from helpers.ids import LEFT_RIGHT
from helpers.prompts import Video
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli import clip_questions
from helpers.stimuli.clip_questions import BEFORE_AFTER
from helpers.stimuli.clip_sampling import compose, flash, sample_clip
from helpers.stimuli.clips import FRAMES, reverse
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.scenes import Background
from helpers.stimuli.split import held_out_pairs, is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS

# %%
MODELS = open_models(MODEL, chapter="19_space_and_time", small=SMALL, seed=SEED)
(vlm,) = MODELS.values()
BLOCKS = range(vlm.n_layers)
SITES = [vlm.resid_post(block) for block in BLOCKS]
TONE = {"time": "#D55E00", "column": "#0072B2", "row": "#009E73", "noise": "#7F7F7F"}

# %% [markdown]
# ## Three kinds of IDs
#
# Temporal IDs come from flashes, {term}`spatial IDs <spatial ID>` from {term}`clips <clip>` in which nothing changes. Each kind is
# read where it is at home: time in "Does the ... appear before or after the ...?", places in
# "Is the ... to the left or right of" and "above or below the ...?". All pairs of objects are
# of the training set.

# %%
KINDS = {"time": "before_after", "column": "left_right", "row": "above_below"}
PAIRS = 2 if SMALL else 8
TIME = extract_temporal_ids(vlm, PAIRS, 1 if SMALL else 2, SEED, save_to=CACHE)
SPACE = trials.extract_ids(
    vlm, ["left_right", "above_below"], PAIRS, 1, SEED, frames=FRAMES, save_to=CACHE
)
IDS = {"time": TIME, "column": SPACE["left_right"], "row": SPACE["above_below"]}


def axis(which, site, noun=0, some=slice(None)):
    """The axis from the IDs of some pairs: later, rightwards or downwards."""
    ids = IDS[which][noun]
    ids = replace(ids, vectors=ids.vectors[:, some])
    return ids.axis(site) if which == "time" else getattr(ids.axes(site), which)


# %% [markdown]
# ## Which block?
#
# The first experiment is one that you know ({doc}`06_steering_beliefs`, {doc}`18_steering_time`).
# It settles at which block to look, and whether there is anything to look at. The clips are
# flashes of {term}`held-out pairs <held-out pair>`, at places and times that training left out. We keep those in which
# the two objects differ in frame, column and row, so that **all three questions** have an
# answer. `push` gives both nouns the time in the reversed clip, or the place in the mirrored one.

# %%
def draw(count, seed):
    """Held-out flashes about which all three questions can be asked."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        clip = sample_clip(rng, "flashes", held_out=True)
        if all(ASK[kind](clip, *sorted(clip.names)) for kind in KINDS.values()):
            found.append(clip)
    return found


def where_to(clip, name, edit):
    """An object's time or place, the reversed or mirrored one, and the step between."""
    if edit == "time":
        time = clip.middle(name)
        return time, FRAMES - 1 - time, FRAMES - 1 - 2 * time
    row, column = trials.in_cells(clip.path(name)[0])
    there = (row, 3 - column) if edit == "column" else (3 - row, column)
    return (row, column), there, sum(there) - row - column


def push(clip, names, edit, site):
    """A vector for each noun, and the aim: +1 if they make the first object earlier (or
    further left, or up) than the second, which is the first of the answers; else -1."""
    moves = [where_to(clip, name, edit) for name in names]
    pairs = zip(IDS[edit], moves, strict=True)
    vectors = [ids.difference(site, here, there) for ids, (here, there, _) in pairs]
    return vectors, int(np.sign(moves[1][2] - moves[0][2]))


# %% [markdown]
# Clips take turns to name either object first. `ask` runs all questions about a clip, as it is
# and with edits. The **aimed change** is that of the {term}`log-odds` towards the answer that the edit
# aims at. (A few clips go at a time: then the questions about one share its pass.)

# %%
WORDS = {axis: trials.ANSWERS[kind] for axis, kind in KINDS.items()}


def ask(drawn, edits, axes=tuple(KINDS)):
    """Ask kinds of questions about clips, with and without edits: tables by kind."""
    answers, parts = [word for axis in axes for word in WORDS[axis]], []
    for start in range(0, len(drawn), 10):
        jobs, some = [], enumerate(drawn[start : start + 10], start)
        for (number, clip), axis in itertools.product(some, axes):
            (case,) = clip_cases(vlm, [clip], KINDS[axis], [number % 2], asked=axis)
            case = replace(case, labels=case.labels | {"scene": number})
            jobs.append(Job(case.prompt, (), case.labels | {"arm": "no edit"}))
            jobs += edits(clip, case, axis)
        parts.append(sweep(vlm, jobs, answers, save_to=CACHE, progress=False))
    found = dict(list(pd.concat(parts, ignore_index=True).groupby("asked")))
    for axis, table in found.items():
        one, other = (table[f"log_prob_{word}"] for word in WORDS[axis])
        found[axis] = counted(table.assign(log_odds=one - other))
    return found


def counted(table):
    """What became of each belief; rows without an edit are left out."""
    table = table.copy()
    plain = table["arm"] == "no edit"
    table["before"] = table["scene"].map(table[plain].set_index("scene")["log_odds"])
    table["right"] = table["before"] * table["toward"] < 0
    table["aimed change"] = (table["log_odds"] - table["before"]) * table["aim"]
    table["swapped"] = table["log_odds"] * table["before"] < 0
    return table[~plain].astype({"aim": int})


def over_clips(table, column, only_right=False):
    """Mean with its interval over clips; several rows of a clip count once."""
    some = table[table["right"]] if only_right and table["right"].any() else table
    return trials.share(some, column)


def as_interval(row):
    return stats.Interval(row["estimate"], row["low"], row["high"], int(row["n"]))


# %%
CHOOSE, JUDGE = (6, 6) if SMALL else (48, 500)


def own_pushes(clip, case, axis):
    for block, site in enumerate(SITES):
        vectors, aim = push(clip, case.names, axis, site)
        for dose in (1.0, 1.5, 2.0):
            about = {"arm": axis, "aim": aim, "block": block}
            yield trials.steering_job(case, site, vectors, dose, **about)


choosing = ask(draw(CHOOSE, SEED + 1), own_pushes)
LIVE = [axis for axis in KINDS if over_clips(choosing[axis], "right").low > 0.5]
table = pd.concat([choosing[axis] for axis in LIVE or KINDS])
table = table[table["right"]]
at_one = table[table["dose"] == 1].groupby(["asked", "block"])
rows = [{"asked": asked, "block": block, **over_clips(part, "swapped")._asdict()}
        for (asked, block), part in at_one if part["scene"].nunique() > 1]  # fmt: skip
shares = pd.DataFrame(rows).pivot(index="block", columns="asked", values="estimate")
BLOCK = int(shares.mean(axis=1).idxmax())
SITE = SITES[BLOCK]
here = table[table["block"] == BLOCK].groupby(["asked", "dose"])["swapped"].mean()
DOSE = {axis: float(here[axis].idxmax()) for axis in here.index.levels[0]}
DOSE = {axis: DOSE.get(axis, 1.0) for axis in KINDS}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
axes = plots.with_band(pd.DataFrame(rows), "block", "asked", colors=TONE)
axes.axvline(BLOCK, color="0.5", ls=":", lw=1.5)
axes.set(ylim=(-0.02, 1.02), ylabel="right beliefs swapped")
names = {"time": "before/after", "column": "left/right", "row": "above/below"}
for which in KINDS:
    glue(f"ch19_can_{which}", percent(over_clips(choosing[which], "right")))
dead = [names[which] for which in KINDS if which not in LIVE]
glue("ch19_block", BLOCK)
glue("ch19_doses", ", ".join(f"{DOSE[which]:g} ({names[which]})" for which in KINDS))
can = f"cannot answer {' and '.join(dead)}" if dead else "can answer all three"
glue("ch19_live", can)

# %% [markdown]
# **Figure 19.1.** *Each kind of ID in its own question.* Share of right beliefs that its own IDs
# swap at dose one, on the clips to choose with; bands are 95 % intervals over clips. Dotted: the
# block with the best mean, {glue:text}`ch19_block`. From here on, "the block" is this one. Doses
# that swap most there: {glue:text}`ch19_doses`. Right answers without an edit:
# {glue:text}`ch19_can_time` (before/after), {glue:text}`ch19_can_column` (left/right),
# {glue:text}`ch19_can_row` (above/below). The model **{glue:text}`ch19_live`** of the three
# questions above chance. Where it cannot, later figures about beliefs leave that question out.
#
# ## One subspace or two?
#
# Two axes have a cosine. But IDs bend, and need more than one direction each
# ({doc}`05_their_geometry`, {doc}`17_temporal_ids`). Take the plane of the first two principal
# components of the {term}`temporal IDs <temporal ID>`, and that of the spatial IDs. Two planes in a large space have two
# **{term}`principal angles <principal angle>`** {cite}`bjorck1973angles`: the smallest angle between a vector of the one and a vector of the other,
# then the smallest among what is perpendicular to those. Their mean squared cosine is
# the **overlap**: how much of a vector in one plane lies in the other, on average.
#
# ````{exercise} Overlap
# :label: ch19-overlap
#
# Difficulty ●○○ · importance ●●● · 15 minutes
#
# Write `overlap(one, other)` for tensors `[k, d]` and `[m, d]`, the rows of which span two subspaces:
# the mean squared cosine of their principal angles. `scipy.linalg.subspace_angles` gives
# angles; its matrices have vectors as columns. Why is it wrong to take the mean of the squared
# cosines of all pairs of rows?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def overlap(one, other):
    # Rows need not be perpendicular: the cosines of pairs depend on which vectors you
    # took to span the plane, the principal angles do not.
    angles = subspace_angles(one.T.numpy(), other.T.numpy())
    return float(np.mean(np.cos(angles) ** 2))


# %%
ch19.check_overlap(overlap)

# %% [markdown]
# What would be much, and what little? Two random planes of the whole space overlap by 2/d. That
# null is too easy: the states of a noun live in few dimensions, and *any* two things that they
# encode must share these. So draw random planes where nouns live: among the principal components
# that hold 95 % of the variance of the noun's states over objects, places and times (**chance**).
#
# The other end is not one. IDs of few pairs are noisy, and two estimates of the *same* plane do
# not overlap fully. Split the pairs in halves, and compare time with time and space
# with space (**ceiling**). Time and space are compared across the same halves, with the same noise.

# %%
RANK = 2


def plane(which, block, some):
    """The first principal components of the mean IDs of some pairs, [RANK, d_model]."""
    mean = IDS[which][0].vectors[block][some].mean(0).flatten(0, -2)
    return torch.linalg.svd(mean - mean.mean(0), full_matrices=False).Vh[:RANK]


def noun_states(drawn, kind):
    """States of the first noun of a question about clips, [sites, clips, d_model]."""
    cases = clip_cases(vlm, drawn, KINDS[kind], [0])
    spots = [[case.spans[0][-1]] for case in cases]
    return read_states(vlm, [case.prompt for case in cases], spots, SITES)[:, :, 0]


def lived_in(some):
    """Principal components that hold 95 % of the variance, [components, d_model]."""
    _, lengths, components = torch.linalg.svd(some - some.mean(0), full_matrices=False)
    held = lengths.square().cumsum(0) / lengths.square().sum()
    return components[: int((held < 0.95).sum()) + 1]


seen = draw(6 if SMALL else 64, SEED + 2)
states = torch.cat([noun_states(seen, which) for which in ("time", "column")], 1)
LIVED = [lived_in(some) for some in states]
generator = torch.Generator().manual_seed(SEED)
rows = []
for block, split in itertools.product(BLOCKS, range(4 if SMALL else 20)):
    one, other = stats.halves(range(PAIRS), split)
    planes = {(which, half): plane(which, block, some) for which in ("time", "column")
              for half, some in (("one", one), ("other", other))}  # fmt: skip
    random = torch.randn(2 * RANK, len(LIVED[block]), generator=generator)
    random = random @ LIVED[block]
    found = {
        "time and space": overlap(planes["time", "one"], planes["column", "other"]),
        "time and time": overlap(planes["time", "one"], planes["time", "other"]),
        "space and space": overlap(planes["column", "one"], planes["column", "other"]),
        "chance": overlap(random[:RANK], random[RANK:]),
    }
    rows += [(of, block, value) for of, value in found.items()]
overlaps = pd.DataFrame(rows, columns=["of", "block", "overlap"])
keep("overlaps", overlaps)

# %% [markdown]
# Beside the planes, the axes themselves: cosines of *later*, *rightwards* and *downwards*, with
# intervals over the pairs of objects.

# %%
def cosine_over_pairs(one, other, resamples=1000):
    """Cosine of two mean vectors, each of [pairs, d_model], bootstrapped over pairs."""
    rng = np.random.default_rng(SEED)
    draws = torch.from_numpy(rng.integers(0, len(one), (resamples, len(one))))
    values = geometry.cosine(one[draws].mean(1), other[draws].mean(1))
    ends = np.quantile(values.numpy(), [0.025, 0.975])
    estimate = geometry.cosine(one.mean(0), other.mean(0))
    return stats.Interval(float(estimate), *ends, len(one))


rows = []
for block, site in enumerate(SITES):
    single = {
        which: torch.stack([axis(which, site, 0, [pair]) for pair in range(PAIRS)])
        for which in KINDS
    }
    for both in itertools.combinations(KINDS, 2):
        found = cosine_over_pairs(*(single[which] for which in both))
        rows.append((", ".join(both), block, *found))
ENDS = ["estimate", "low", "high", "n"]
cosines = pd.DataFrame(rows, columns=["of", "block", *ENDS])
keep("cosines", cosines)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
OF = {"time and time": TONE["time"], "space and space": TONE["column"],
      "time and space": "#CC79A7", "chance": "#7F7F7F"}  # fmt: skip
figure, panels = plt.subplots(1, 2, figsize=(11, 3.8))
for of, color in OF.items():
    part = overlaps[overlaps["of"] == of].groupby("block")["overlap"]
    panels[0].plot(part.mean(), "o-", ms=4, color=color, label=of)
    low, high = part.quantile(0.05), part.quantile(0.95)
    panels[0].fill_between(low.index, low, high, color=color, alpha=0.15, lw=0)
panels[0].set(xlabel="block", ylabel="overlap of two planes", ylim=(-0.02, 1.02))
panels[0].legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncol=4)
colors = (TONE["column"], TONE["row"], "0.4")
tones = dict(zip(cosines["of"].unique(), colors, strict=True))
plots.with_band(cosines, "block", "of", panels[1], tones)
panels[1].axhline(0, color="0.3", lw=1)
panels[1].set(ylabel="cosine of two axes", ylim=(-1, 1))
for axes in panels:
    axes.axvline(BLOCK, color="0.5", ls=":", lw=1.5)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
at = overlaps[overlaps["block"] == BLOCK].groupby("of")["overlap"].mean()
ceiling = (at["time and time"] + at["space and space"]) / 2
shared = (at["time and space"] - at["chance"]) / (ceiling - at["chance"])
for of, value in at.items():
    glue(f"ch19_overlap_{of.replace(' ', '_')}", float(value))
room = ceiling - at["chance"] > 0.2
glue("ch19_shared", float(shared) if room else "not measured")
one_map = "share a plane" if shared > 0.5 else "share a part of their planes"
one_map = "lie apart" if shared < 0.2 else one_map
both = overlaps[(overlaps["block"] == BLOCK)].groupby("of")["overlap"]
beyond = both.quantile(0.95)["time and space"] < both.quantile(0.05)["chance"]
one_map = "lie further apart than chance" if beyond else one_map
glue("ch19_lived", len(LIVED[BLOCK]))
unclear = "cannot be compared (the ceiling is near chance)"
glue("ch19_one_map", one_map if room else unclear)
at = cosines[cosines["block"] == BLOCK].set_index("of")
for key, of in zip(("column", "row", "places"), at.index, strict=True):
    glue(f"ch19_cosine_{key}", as_interval(at.loc[of]))

# %% [markdown]
# **Figure 19.2.** *Planes and axes of the first noun.* Left: overlap of the plane of temporal IDs
# with that of spatial IDs (pink), between the two ceilings and chance; means over splits of the
# pairs, bands from the 5th to the 95th percentile of splits. Right: cosines of the axes, 95 %
# intervals over pairs.
#
# At the block, time and space overlap by {glue:text}`ch19_overlap_time_and_space`. Chance is
# {glue:text}`ch19_overlap_chance`, the ceilings are {glue:text}`ch19_overlap_time_and_time` (time)
# and {glue:text}`ch19_overlap_space_and_space` (space). On a scale from chance (0) to ceiling
# (1), that is {glue:text}`ch19_shared`. We say "share a plane" above 0.5, and "lie apart" below
# 0.2 (below zero, they avoid each other): time and space **{glue:text}`ch19_one_map`**. Nouns
# live in {glue:text}`ch19_lived` components there. Cosines of the axes: time with
# column {glue:text}`ch19_cosine_column`, time with row {glue:text}`ch19_cosine_row`, column with
# row {glue:text}`ch19_cosine_places`.
#
# ## A sum or a table?
#
# Every object of a flash has a place *and* a time. Is the word's state a place part plus a time
# part? Or is there a vector for each combination, as a table has a cell for each? For that, the
# two must vary together: put the object into each of four columns in each of eight frames.

# %%
def joint_shots(pairs):
    """Each object in each column and frame; rows, and steps between, are a pair's."""
    for number, pair in enumerate(pairs):
        rng = np.random.default_rng([SEED, number])
        rows = rng.permutation(4)[:2]
        across, later = rng.integers(4), rng.integers(1, FRAMES)
        for column, frame in itertools.product(range(4), range(FRAMES)):
            other = (column + across) % 4, (frame + later) % FRAMES
            places = (column, frame), other
            tracks = [flash(name, (row, at), when, PAPER_SIZES[-1])
                      for name, row, (at, when) in zip(pair, rows, places, strict=True)]
            yield Shot(number, places, compose(tracks, Background()))


ordered = itertools.permutations(PAPER_OBJECTS, 2)
makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
rng = np.random.default_rng(SEED + 3)
pairs = [makers[i] for i in rng.choice(len(makers), PAIRS, replace=False)]
ASKED = {"before or after?": BEFORE_AFTER, "left or right?": LEFT_RIGHT}
WANTED = list(itertools.product((0, 1), ASKED.values()))  # both nouns of both questions
joint = centred_means(vlm, list(joint_shots(pairs)), pairs, WANTED, SITES, (4, FRAMES),
                      32, False)  # fmt: skip
print("wanted, sites, pairs, columns, frames, d_model:", tuple(joint.shape))

# %% [markdown]
# ````{exercise} Two ways
# :label: ch19-two-way
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `two_way(table)` for `[places, times, d]`. Return the place part `[places, d]`, the time
# part `[times, d]` and the rest `[places, times, d]`, so that mean + place + time + rest is the
# table again. Each part has mean zero over each of its axes. Guess before you look: for pure noise
# in a table of 4 × 8, what share of the squared length is in the rest?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def two_way(table):
    # 31 free vectors in all: 3 for places, 7 for times, 21 for the rest. Noise puts two
    # thirds of its squared length into the rest: raw shares make any model a table.
    centred = table - table.mean((0, 1))
    place, time = centred.mean(1), centred.mean(0)
    return place, time, centred - place[:, None] - time


# %%
ch19.check_two_way(two_way)

# %% [markdown]
# Noise alone fills the rest. So ask other pairs: take the parts of all pairs but one, and how
# much of the *left-out* pair's squared length do they explain (inner product over length)? Noise
# of one pair has no inner product with that of another.

# %%
rows = []
for (noun, text), (block, _) in itertools.product(WANTED, enumerate(SITES)):
    tables = joint[WANTED.index((noun, text)), block]
    for pair in range(PAIRS):
        others = tables[np.arange(PAIRS) != pair].mean(0)
        place, time, rest = two_way(others)
        parts = {"place": place[:, None], "time": time, "rest": rest}
        for part, vectors in parts.items():
            inner = float((vectors * tables[pair]).sum())
            rows.append({"noun": noun, "question": text, "block": block, "pair": pair,
                         "part": part, "inner": inner,
                         "all": float(tables[pair].square().sum())})  # fmt: skip
rows = pd.DataFrame(rows)
parts = pd.DataFrame([
    dict(zip(("noun", "question", "block", "part"), key, strict=True))
    | stats.ratio_of_means(some["inner"], some["all"])._asdict()
    for key, some in rows.groupby(["noun", "question", "block", "part"])
])  # fmt: skip
keep("parts", parts)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
PART = {"place": TONE["column"], "time": TONE["time"], "rest": "#7F7F7F"}
figure, panels = plt.subplots(1, 4, figsize=(11, 3.2), sharey=True)
for (noun, title), axes in zip(itertools.product((0, 1), ASKED), panels, strict=True):
    part = parts[(parts["noun"] == noun) & (parts["question"] == ASKED[title])]
    plots.with_band(part, "block", "part", axes, PART)
    axes.axvline(BLOCK, color="0.5", ls=":", lw=1.5)
    axes.axhline(0, color="0.3", lw=1)
    axes.set_title(f"{('first', 'second')[noun]} noun\n{title}", fontsize=10)
    if axes is not panels[0]:
        axes.get_legend().remove()
panels[0].set_ylabel("share of a left-out pair")
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
at = parts[parts["block"] == BLOCK].set_index(["noun", "question", "part"])["estimate"]
first = at[0]
for short, text in (("time", BEFORE_AFTER), ("space", LEFT_RIGHT)):
    some = parts[(parts["block"] == BLOCK) & (parts["question"] == text)]
    some = some[some["noun"] == 0].set_index("part")
    for part in PART:
        found = as_interval(some.loc[part])
        glue(f"ch19_{part}_when_{short}", percent(found))
summed = float(sum(first[text, part] for text in ASKED.values() for part in PART))
rest = float(sum(first[text, "rest"] for text in ASKED.values())) / summed
glue("ch19_rest", f"{100 * max(rest, 0):.0f} %" if summed > 0.1 else "not measured")
adds = "a sum" if rest < 0.1 else "a sum in the main" if rest < 0.3 else "a table"
glue("ch19_adds", adds if summed > 0.1 else "too weak to tell")


def fetches(block):
    """Whether each part is at least twice as large where it is asked for."""
    here = parts[(parts["block"] == block) & (parts["noun"] == 0)]
    share = here.set_index(["question", "part"])["estimate"]
    more_time = share[BEFORE_AFTER, "time"] > 2 * share[LEFT_RIGHT, "time"]
    more_place = share[LEFT_RIGHT, "place"] > 2 * share[BEFORE_AFTER, "place"]
    return more_time and more_place and share[BEFORE_AFTER, "time"] > 0.1


def top(vectors):
    return torch.linalg.svd(vectors, full_matrices=False).Vh[:RANK]


for short, text in (("time", BEFORE_AFTER), ("space", LEFT_RIGHT)):
    place, time, _ = two_way(joint[WANTED.index((0, text)), BLOCK].mean(0))
    glue(f"ch19_same_{short}", overlap(top(place), top(time)))
found = [str(block) for block in BLOCKS if fetches(block)]
glue("ch19_fetch", ", ".join(found) or "none")

# %% [markdown]
# **Figure 19.3.** *Place, time, and the rest.* How much of a left-out pair's states each part of
# the other pairs explains; 95 % intervals over pairs. The clips are the same in all panels.
#
# At the block, for the first noun: asked about time, the place part explains
# {glue:text}`ch19_place_when_time`, the time part {glue:text}`ch19_time_when_time`, the rest
# {glue:text}`ch19_rest_when_time`. Asked about space: place {glue:text}`ch19_place_when_space`,
# time {glue:text}`ch19_time_when_space`, rest {glue:text}`ch19_rest_when_space`. Of all that
# other pairs explain, the rest has {glue:text}`ch19_rest`. So the joint ID is
# **{glue:text}`ch19_adds`** (below 10 %, a sum; above 30 %, a table).
#
# Compare the panels of the first noun. It stands before "appear" or "left". All it knows of
# the question is its first word, "Does" or "Is". Is each part at least twice as large when it is
# asked for? After these blocks it is: **{glue:text}`ch19_fetch`**. There the word holds what the
# question is about, and IDs that were read from two questions differ for that reason too: two
# planes need not be two maps in one word, they may be two *states* of it. Does that explain Figure
# 19.2? Here both parts come from the same prompts. The planes of the place part and of the time
# part overlap by {glue:text}`ch19_same_time` (asked about time) and
# {glue:text}`ch19_same_space` (about space).
#
# ## Steer one, ask the other
#
# Geometry says what could be mixed up. Only an edit says what is. Take new clips, ask all three
# questions about each, and give each of the three edits: at its **own {term}`dose`**, and **matched**,
# at the length that the question's own edit has. On the diagonal, the edit aims at the false
# answer. Off it, the aim is the answer that would follow if *early*, *left* and *above* were one
# thing: an edit that makes the first object earlier aims at "Left". If time and space are
# mixed up, the aimed change is not zero there (its sign says in which sense). Noise of
# the same length aims at the false answer, and what it gets is blur. There are ten draws for each
# clip, and two of shuffled IDs.

# %%
NOISE = 2 if SMALL else 10


def all_edits(clip, case, axis):
    """Each kind of edit at several doses, matched in length, and two controls."""
    made = {edit: push(clip, case.names, edit, SITE) for edit in KINDS}
    own, aim = made[axis]
    own = [DOSE[axis] * vector for vector in own]
    for edit, (vectors, sign) in made.items():
        about = {"arm": edit, "aim": sign}
        whole = case.labels["scene"] < max(JUDGE // 4, 4)  # these get all doses
        for dose in {0.5, 1.0, 2.0, 4.0, DOSE[edit]} if whole else {DOSE[edit]}:
            yield trials.steering_job(case, SITE, vectors, dose, how="dose", **about)
        matched = [with_norm_of(*pair) for pair in zip(vectors, own, strict=True)]
        yield trials.steering_job(case, SITE, matched, how="matched", **about)
    draws = torch.Generator().manual_seed(1000 * SEED + case.labels["scene"])
    for seed in range(NOISE):
        noise = [random_direction(vector, draws) for vector in own]
        about = {"arm": "noise", "aim": aim, "seed": seed, "how": "matched"}
        yield trials.steering_job(case, SITE, noise, **about)
    for seed in range(2):
        moves = [where_to(clip, name, axis)[:2] for name in case.names]
        wrong = [WRONG[axis, noun, seed].difference(SITE, *move)
                 for noun, move in enumerate(moves)]  # fmt: skip
        wrong = [with_norm_of(*pair) for pair in zip(wrong, own, strict=True)]
        about = {"arm": "shuffled IDs", "aim": aim, "seed": seed, "how": "matched"}
        yield trials.steering_job(case, SITE, wrong, **about)


WRONG = {(axis, noun, seed): IDS[axis][noun].shuffled(seed)
         for axis in KINDS for noun in (0, 1) for seed in range(2)}  # fmt: skip
crossed = ask(draw(JUDGE, SEED + 4), all_edits, LIVE) if LIVE else {}

# %%
ARMS = [*KINDS, "noise", "shuffled IDs"]
rows = []
for (asked, table), arm in itertools.product(crossed.items(), ARMS):
    table = table[table["arm"] == arm]
    hows = {"matched": table[table["how"] == "matched"]}
    if arm in KINDS:
        own = (table["how"] == "dose") & (table["dose"] == DOSE[arm])
        hows["own dose"] = table[own]
    for how, part in hows.items():
        outcomes = [("aimed change", *over_clips(part, "aimed change")),
                    ("swapped", *over_clips(part, "swapped", only_right=True)),
                    ("valid", *over_clips(part, "valid"))]  # fmt: skip
        rows += [(asked, arm, how, *outcome) for outcome in outcomes]
cross = pd.DataFrame(rows, columns=["asked", "edit", "how", "outcome", *ENDS])
keep("cross", cross)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw_cross(axes, how, outcome, arms):
    part = cross[(cross["how"] == how) & (cross["outcome"] == outcome)]
    part = part.set_index(["asked", "edit"])
    table = np.array([[part.loc[(asked, arm), "estimate"] for arm in arms]
                      for asked in LIVE])  # fmt: skip
    limit = 1 if outcome == "swapped" else max(np.abs(table).max(), 1e-3)
    axes.imshow(table, cmap="coolwarm", vmin=-limit, vmax=limit, aspect="auto")
    for (y, asked), (x, arm) in itertools.product(enumerate(LIVE), enumerate(arms)):
        found = part.loc[(asked, arm)]
        digits = 2 if outcome == "swapped" else 1
        values = [round(found[end], digits) + 0.0 for end in ENDS[:3]]  # no -0.0
        best, *ends = (f"{value:.{digits}f}" for value in values)
        told = f"{best}\n[{', '.join(ends)}]"
        ink = "white" if abs(found["estimate"]) > 0.6 * limit else "black"
        axes.text(x, y, told, ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks(range(len(arms)), arms, fontsize=9)
    axes.set_yticks(range(len(LIVE)), [names[asked] for asked in LIVE], fontsize=9)
    axes.set_title(f"{outcome}, {how}", fontsize=10)
    axes.grid(False)


if LIVE:
    figure, panels = plt.subplots(3, figsize=(8, 7.5), layout="constrained")
    draw_cross(panels[0], "own dose", "aimed change", list(KINDS))
    draw_cross(panels[1], "matched", "aimed change", ARMS)
    draw_cross(panels[2], "matched", "swapped", ARMS)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
at = cross[cross["how"] == "matched"].set_index(["outcome", "asked", "edit"])
leaks, small, worst = [], [], 0.0
for outcome, asked, edit in itertools.product(("aimed change", "swapped"), KINDS, ARMS):
    key = f"ch19_{'change' if outcome == 'aimed change' else 'swap'}_{asked}_{edit[:8]}"
    if asked not in LIVE:
        glue(key, "not measured")
        continue
    found = at.loc[(outcome, asked, edit)]
    interval = as_interval(found)
    glue(key, percent(interval) if outcome == "swapped" else interval)
    across = edit in KINDS and (edit == "time") != (asked == "time")
    if outcome == "swapped" or not across:
        continue
    own = at.loc[(outcome, asked, asked), "estimate"]
    worst = max(worst, abs(interval.estimate) / abs(own))
    if interval.low * interval.high > 0:
        large = abs(interval.estimate) > 0.1 * abs(own)
        (leaks if large else small).append(f"{edit} into {names[asked]}")
both = "time" in LIVE and len(LIVE) > 1
glue("ch19_leaks", (", ".join(leaks) or "none") if both else "not measured")
glue("ch19_small", (", ".join(small) or "none") if both else "not measured")
glue("ch19_worst", f"{100 * worst:.0f} %" if both else "not measured")
valid = [at.loc[("valid", asked, asked), "estimate"] for asked in LIVE]
glue("ch19_valid", f"{100 * min(valid):.0f} %" if valid else "not measured")
works = both and all(at.loc[("aimed change", a, a), "low"] > 0 for a in LIVE)
verdict = "no cross-talk" if not leaks else "cross-talk"
verdict = verdict if works else "nothing: not every edit works in its own question"
glue("ch19_cross_verdict", verdict if both else "not measured")

# %% [markdown]
# **Figure 19.4.** *Cross-talk.* Rows: the question. Columns: what was added at both nouns. Above:
# aimed change in nats, at own doses. Below: at the length of the question's own edit, the aimed
# change and the share of right beliefs that changed sign. 95 % intervals over clips.
#
# At matched length, asked before/after: time edits change
# {glue:text}`ch19_change_time_time` nats, column edits {glue:text}`ch19_change_time_column`, row
# edits {glue:text}`ch19_change_time_row`. Asked left/right: column edits
# {glue:text}`ch19_change_column_column`, time edits {glue:text}`ch19_change_column_time`. Asked
# above/below: row edits {glue:text}`ch19_change_row_row`, time edits
# {glue:text}`ch19_change_row_time`. Swaps in before/after: {glue:text}`ch19_swap_time_time` by
# time, {glue:text}`ch19_swap_time_column` by columns, {glue:text}`ch19_swap_time_noise` by noise.
#
# A leak is an aimed change between time and space whose interval excludes zero, and that has at
# least a tenth of the own edit's size. Leaks: **{glue:text}`ch19_leaks`**. Smaller, but not zero:
# {glue:text}`ch19_small`. The largest effect across is {glue:text}`ch19_worst` of the own one.
# Verdict: **{glue:text}`ch19_cross_verdict`**. Under own edits, at least {glue:text}`ch19_valid`
# of the answers stay valid.
#
# Look back at Figure 19.3. A part may stand at the word and move nothing: what can be *read* at
# the block in the "wrong" question is not therefore *used* there.
#
# Small numbers across mean that *these* questions do not read the other kind of ID at that
# length. Longer edits may. So look at the dose:

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if LIVE:
    size = (4.2 * len(LIVE), 3.4)
    figure, panels = plt.subplots(1, len(LIVE), figsize=size, squeeze=False)
    for asked, axes in zip(LIVE, panels[0], strict=True):
        table = crossed[asked].query("how == 'dose'")
        lines = [(*key, *over_clips(part, "aimed change"))
                 for key, part in table.groupby(["arm", "dose"])]  # fmt: skip
        lines = pd.DataFrame(lines, columns=["edit", "dose", *ENDS])
        plots.with_band(lines, "dose", "edit", axes, TONE)
        axes.axhline(0, color="0.3", lw=1)
        axes.set_title(names[asked])
    panels[0, 0].set_ylabel("aimed change (nats)")
    figure.tight_layout()

# %% [markdown]
# **Figure 19.5.** *Dose curves of the cross-talk.* Aimed change by dose; each edit in units of its
# own ID difference. Bands are 95 % intervals over clips (a quarter of them). Effects that
# only show at doses of four are effects of shouting.

# %% [markdown]
# ## An object that moves
#
# Now let an object slide from one column to another, while its partner stands still in another
# row. It may take the whole clip (**steady**), or the first frames and then wait (**early**), or
# wait and go at the end (**late**): three speeds and pauses that part the *mean* of the path from
# the middle of its ends. Every clip also comes reversed.

# %%
SPEEDS = {"steady": (0, FRAMES - 1), "early": (0, 3), "late": (4, FRAMES - 1)}
SIZE = 0.22


def slide(name, row, path):
    """The track of an object at the given columns, which may lie between cells."""
    return {frame: Placed(name, (column + 0.5) / 4, (row + 0.5) / 4, SIZE)
            for frame, column in enumerate(path)}  # fmt: skip


def draw_path(rng):
    start, end = rng.uniform(0, 3, 2)
    while abs(start - end) < 1:
        start, end = rng.uniform(0, 3, 2)
    first, last = SPEEDS[rng.choice(list(SPEEDS))]
    share = np.clip((np.arange(FRAMES) - first) / (last - first), 0, 1)
    return start + share * (end - start)


others = [pair for pair in held_out_pairs() if not set(pair) & set(PAPER_OBJECTS)]
rng = np.random.default_rng(SEED + 5)
movers = [others[i] for i in rng.choice(len(others), 2 if SMALL else 8, replace=False)]
EACH = 3 if SMALL else 8  # paths for each pair
looks, PATHS, SEEN = [], [], []
for pair, _ in itertools.product(range(len(movers)), range(EACH)):
    path, column = draw_path(rng), float(rng.integers(4))
    (mover, partner), (row, other) = movers[pair], rng.permutation(4)[:2]
    still = slide(partner, other, [column] * FRAMES)
    clip = compose([slide(mover, row, path), still], Background())
    for shown, places in ((clip, path), (reverse(clip), path[::-1])):
        looks.append((pair, len(looks) // 2, "moving", *places[[0, -1]], places.mean()))
        PATHS.append(places)
        SEEN.append(shown)
    for place in (0.0, 1.0, 2.0, 3.0) if len(looks) % (2 * EACH) == 0 else ():
        looks.append((pair, -1, "still", place, place, place))
        PATHS.append(np.full(FRAMES, place))
        SEEN.append(compose([slide(mover, row, [place] * FRAMES), still], Background()))
looks = pd.DataFrame(looks, columns=["pair", "path", "kind", "start", "end", "mean"])
first = int(np.flatnonzero(looks["kind"] == "moving")[0])
told = f"The {movers[0][0]} slides along its row; the {movers[0][1]} stands still."
show_clip(SEEN[first], told)

# %% [markdown]
# The word of the mover is read in three questions. "Is the" says nothing of a moment. "At the
# beginning, is the" and "At the end, is the" do, *before* the noun: if it can, it may fetch what
# is going to be asked for. From each state we take away the mean over the clips in which the same
# noun *stands still*, under the same question. What is left is put on the plane of the spatial
# IDs, which come from other objects. Its coordinate says in which column the word has its object.

# %%
TEXTS = {"no moment": LEFT_RIGHT,
         "at the beginning": "At the beginning, i" + LEFT_RIGHT[1:],
         "at the end": "At the end, i" + LEFT_RIGHT[1:]}  # fmt: skip


def mover_states(numbers, pair):
    """States of the first noun, [sites, clips, texts, d_model]."""
    prompts = []
    for number in numbers:
        video = Video(tuple(SEEN[number].render(frame_pixels(vlm))))
        prompts += [vlm.prompt(video, text.format(*pair)) for text in TEXTS.values()]
    spots = [[prompt.word(pair[0])[-1]] for prompt in prompts]
    found = read_states(vlm, prompts, spots, SITES)[:, :, 0]
    return found.unflatten(1, (len(numbers), len(TEXTS)))


moved = torch.empty(len(SITES), len(looks), len(TEXTS), vlm.d_model)
for pair, part in looks.groupby("pair"):
    found = mover_states(part.index, movers[pair])
    still = found[:, torch.tensor((part["kind"] == "still").tolist())]
    moved[:, part.index.tolist()] = found - still.mean(1, keepdim=True)
columns = np.stack([  # [sites, clips, texts]
    geometry.on_plane(moved[block], SPACE["left_right"][0].axes(site))[..., 0]
    for block, site in enumerate(SITES)
])

# %% [markdown]
# ````{exercise} Which place of a path?
# :label: ch19-path
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `path_weights(paths, places)`. `paths` `[clips, frames]` holds the column in every frame,
# `places` `[clips]` the coordinate that was read. Return three least-squares weights: of the start,
# of the end, and of the mean over all frames. Should they sum to one? (Let them do what they
# want.) Which clips would make the weights impossible to tell apart?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def path_weights(paths, places):
    # If all movement were steady, the mean would lie half way between start and end in
    # every clip, and one of the three would be redundant.
    ones = np.ones(len(paths))
    known = np.column_stack([paths[:, 0], paths[:, -1], paths.mean(1), ones])
    return np.linalg.lstsq(known, places, rcond=None)[0][:3]


# %%
ch19.check_path_weights(path_weights)

# %%
def weights_with_intervals(paths, places, resamples=300):
    """Weights of start, end, mean, and their sum, bootstrapped over paths."""
    rng, count, found = np.random.default_rng(SEED), len(paths) // 2, []
    for draw in [np.arange(count), *rng.integers(0, count, (resamples, count))]:
        some = np.concatenate([2 * draw, 2 * draw + 1])  # a path and its reverse
        weights = path_weights(paths[some], places[some])
        found.append([*weights, weights.sum()])
    found, names = np.array(found), ("start", "end", "mean of the path", "sum")
    low, high = np.quantile(found[1:], [0.025, 0.975], axis=0)
    for name, *ends in zip(names, found[0], low, high, strict=True):
        yield name, stats.Interval(*ends, count)


moving, still = (np.flatnonzero(looks["kind"] == kind) for kind in ("moving", "still"))
paths, rows, slopes = np.stack(PATHS)[moving], [], []
for (block, _), (number, text) in itertools.product(enumerate(SITES), enumerate(TEXTS)):
    found = weights_with_intervals(paths, columns[block, moving, number])
    rows += [(block, text, of, *one) for of, one in found]
    slope = np.polyfit(looks.loc[still, "start"], columns[block, still, number], 1)[0]
    slopes.append({"block": block, "text": text, "slope": slope})
weights = pd.DataFrame(rows, columns=["block", "text", "of", *ENDS])
slopes = pd.DataFrame(slopes)
keep("path_weights", weights)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
OF = {"start": "#E69F00", "end": "#0072B2", "mean of the path": "#009E73"}
figure, panels = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True)
for text, axes in zip(TEXTS, panels, strict=True):
    part = weights[(weights["text"] == text) & (weights["of"] != "sum")]
    plots.with_band(part, "block", "of", axes, OF)
    slope = slopes[slopes["text"] == text].set_index("block")["slope"]
    axes.plot(slope, color="0.2", ls="--", lw=1.5, label="slope for still clips")
    axes.axhline(0, color="0.3", lw=1)
    axes.axvline(BLOCK, color="0.5", ls=":", lw=1.5)
    axes.set_title(text)
    axes.get_legend().remove()
panels[0].set(ylabel="weight", ylim=(-1.5, 2))
figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", ncols=4)
figure.tight_layout(rect=(0, 0, 1, 0.92))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
at = weights[weights["block"] == BLOCK].set_index(["text", "of"])
slope = slopes[slopes["block"] == BLOCK].set_index("text")["slope"]
for short, text in zip(("plain", "begin", "end"), TEXTS, strict=True):
    for of in ("start", "end", "mean of the path", "sum"):
        found = as_interval(at.loc[(text, of)])
        glue(f"ch19_{short}_{of.split()[0]}", found)
    glue(f"ch19_{short}_still", float(slope[text]))
three = at.loc["no moment"].drop("sum")
best = three["estimate"].idxmax()
readable = slope["no moment"] > 0.3 and three.loc[best, "low"] > 0
glue("ch19_which_place", f"the {best}" if readable else "no place that we can read")
plain = weights[(weights["text"] == "no moment") & (weights["of"] != "sum")]
largest = plain.loc[plain.groupby("block")["estimate"].idxmax()]
largest = largest[largest["low"] > 0].set_index("block")["of"]
told = [f"{of.split()[0]} ({block})" for block, of in largest.items()]
glue("ch19_by_block", ", ".join(told) or "none")
ahead = plain[(plain["of"] == "start") & (plain["high"] < 0)]["block"]
glue("ch19_ahead", ", ".join(map(str, ahead)) or "none")
shift = {text: at.loc[(text, "end"), "estimate"] - at.loc[(text, "start"), "estimate"]
         for text in TEXTS}  # fmt: skip
asked = shift["at the end"] - shift["at the beginning"]
glue("ch19_shift", float(asked))
can_ask = "fetches the moment that is asked for" if asked > 1 else "leans to the moment"
can_ask = can_ask if asked > 0.3 else "hardly heeds the moment"
nothing = "shows no place in any question"
glue("ch19_can_ask", can_ask if slope["no moment"] > 0.3 else nothing)

# %% [markdown]
# **Figure 19.6.** *Which place of a path?* Weights of the start, the end and the mean of the path in
# the column that the noun's state says, for objects that made none of the IDs. Bands: 95 %
# intervals over paths. Dashed: the slope for objects that stand still. A perfect reading has
# one.
#
# At the block, without a moment: start {glue:text}`ch19_plain_start`, end
# {glue:text}`ch19_plain_end`, mean {glue:text}`ch19_plain_mean`, sum {glue:text}`ch19_plain_sum`
# (still clips: {glue:text}`ch19_plain_still`). The word carries
# **{glue:text}`ch19_which_place`**. If the sum equals the slope of still clips, the state is a
# weighted mean of the object's places, as a ruler would read it. The largest weight by block:
# {glue:text}`ch19_by_block`. A *negative* weight of the start would mean that the coordinate runs
# ahead of the object, beyond its end. Blocks where it is negative with its whole interval:
# {glue:text}`ch19_ahead`. Keep them in mind for the next section.
#
# With "At the beginning": start {glue:text}`ch19_begin_start`, end {glue:text}`ch19_begin_end`,
# mean {glue:text}`ch19_begin_mean`. With "At the end": start {glue:text}`ch19_end_start`, end
# {glue:text}`ch19_end_end`, mean {glue:text}`ch19_end_mean`. The difference between end and start
# moves by {glue:text}`ch19_shift` from the one moment to the other. The noun
# **{glue:text}`ch19_can_ask`**.
#
# ## Which way?
#
# A clip and its reverse show the same places equally long. All that differs is the order. So half
# the difference of the two states, right minus left, is what *moving right* adds to a word.
#
# ````{exercise} Moving right
# :label: ch19-motion
#
# Difficulty ●●○ · importance ●●○ · 10 minutes
#
# Write `motion(states, backwards, paths)`: states of clips `[clips, d]`, of the same clips reversed
# `[clips, d]`, and the paths `[clips, frames]` of the former. Return the mean vector `[d]` that
# movement to the right adds to the state that a clip shares with its reverse. (States are tensors,
# paths a NumPy array.) Mind the clips that go left.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def motion(states, backwards, paths):
    way = torch.from_numpy(np.sign(paths[:, -1] - paths[:, 0])).float()[:, None]
    # Right is shared + m, left is shared - m: half of the difference is m.
    return (way * (states - backwards)).mean(0) / 2


# %%
ch19.check_motion(motion)

# %% [markdown]
# Is that a new direction? If the word says the end of the path, then right minus left is a
# difference of *places*, and no movement is needed to explain it. So split the vector: the part
# in the plane of the spatial IDs, and the part that **leaves that plane**. Then see which of
# them tells left from right in clips of other objects.

# %%
forward, back = moving[::2], moving[1::2]
way = torch.tensor(np.sign(looks["end"] - looks["start"])).float()
steps = way[forward, None] * (moved[:, forward, 0] - moved[:, back, 0]) / 2
owner = looks.loc[forward, "pair"].to_numpy()
each = torch.stack([steps[:, owner == p].mean(1) for p in range(len(movers))], 1)
MOTION = each.mean(1)  # [sites, d_model]


def off_the_plane(vectors, site):
    """What is left without the plane of the column and row axes, [..., d_model]."""
    axes = SPACE["left_right"][0].axes(site)
    basis = torch.linalg.qr(torch.stack([axes.column, axes.row], 1)).Q
    return vectors - (vectors @ basis) @ basis.T


rows = []
for block, site in enumerate(SITES):
    for name in ("all of it", "off the place plane"):
        sure = []
        for pair in range(len(movers)):
            made = each[block][np.arange(len(movers)) != pair].mean(0)
            made = made if name == "all of it" else off_the_plane(made, site)
            mine = moving[looks.loc[moving, "pair"] == pair]
            right = ((moved[block, mine, 0] @ made) * way[mine] > 0).float()
            sure += list(zip(looks.loc[mine, "path"], right.tolist(), strict=True))
        sure = pd.DataFrame(sure, columns=["path", "right"]).groupby("path")["right"]
        rows.append((name, block, *stats.share(sure.mean())))
told = pd.DataFrame(rows, columns=["read with", "block", *ENDS])
rows = []
for block, site in enumerate(SITES):
    right = SPACE["left_right"][0].axes(site).column.expand(len(movers), -1)
    rows.append((block, *cosine_over_pairs(each[block], right)))
alike = pd.DataFrame(rows, columns=["block", *ENDS])
outside = map(off_the_plane, MOTION, SITES)
outside = torch.stack(list(outside))
alike["share"] = 1 - (outside.norm(dim=-1) / MOTION.norm(dim=-1)).square().numpy()
keep("motion", told)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.6))
tones = {"all of it": "#CC79A7", "off the place plane": "#56B4E9"}
plots.with_band(told, "block", "read with", panels[0], tones)
panels[0].axhline(0.5, color="0.3", lw=1)
panels[0].set(ylabel="left and right told apart", ylim=(0, 1.02))
alike["of"] = "cosine with the column axis"
plots.with_band(alike, "block", "of", panels[1])
panels[1].plot(alike["block"], alike["share"], "s--", color="0.4",
               label="share in the place plane")  # fmt: skip
panels[1].axhline(0, color="0.3", lw=1)
panels[1].set(ylabel="", ylim=(-1, 1.02))
panels[1].legend(fontsize=9)
figure.tight_layout()

# %% [markdown]
# **Figure 19.7.** *The vector of "moving right".* Left: how often it tells which way the object of a
# left-out pair moves, whole and without its part in the place plane; intervals over paths, chance
# is one half. Right: its cosine with the column axis (interval over pairs), and the share of its
# squared length in the plane of column and row.
#
# ## Does the model use it?
#
# "Is the frog moving to the left or right?" Take held-out clips of moving objects, two to four in
# each, on colourful backgrounds. Up to the noun, this question reads like those about places,
# so the vector is at home there. To turn an object that moves right, add minus twice the
# vector. Beside it: the {term}`column axis`, and the {term}`motion vector` without its part in the place plane.
# Two controls: noise, and random mixtures of the states of *still* clips, which lie where the
# states of nouns do and hold no movement. All have the same length.
#
# (Our first control was the mean of the differences with random signs. It swapped more than half
# of the {term}`beliefs <belief>`. Can you see why? Differences that are all alike add up to a multiple of the same
# vector, whatever the signs, and scaling to equal length brings all of it back.)

# %%
def moving_cases(count, seed):
    """Held-out clips in which one of the pair moves left or right, and the question."""
    rng = np.random.default_rng(seed)
    while count:
        clip = sample_clip(rng, "moving", (2, 4), held_out=True)
        pair = next(p for p in itertools.combinations(sorted(clip.names), 2)
                    if is_held_out_pair(*p))  # fmt: skip
        question = clip_questions.moving(clip, pair[count % 2])
        if question is not None:
            count -= 1
            yield clip, question


def ask_movement(drawn, edits):
    """As `ask`, about movement: `edits(case)` gives labels, site, and a vector."""
    parts = []
    for start in range(0, len(drawn), 50):
        jobs = []
        for number, (clip, question) in enumerate(drawn[start : start + 50], start):
            video = Video(tuple(clip.render(frame_pixels(vlm))))
            case = trials.make_case(vlm, video, question, (0.0,), {"scene": number})
            jobs.append(Job(case.prompt, (), case.labels | {"arm": "no edit"}))
            for labels, site, vector in edits(case):
                about = {"aim": case.toward, **labels}
                edit = steer(site, case.spans[0], vector)
                jobs.append(Job(case.prompt, (edit,), case.labels | about))
        parts.append(trials.run(vlm, jobs, CACHE))
    return counted(pd.concat(parts, ignore_index=True))


# %%
def turned(case, block):
    """Twice the motion vector, against the way that the object goes."""
    return -2 * case.toward * MOTION[block]  # "Left" is the first answer: minus is left


def turns(case):
    for block, site in enumerate(SITES):
        for dose in (1.0, 2.0, 4.0):
            about = {"arm": "motion", "block": block, "how": dose}
            yield about, site, dose * turned(case, block)


trying = ask_movement(list(moving_cases(CHOOSE, SEED + 6)), turns)
MOVES = over_clips(trying, "right").low > 0.5
good = trying[trying["right"]].groupby(["block", "how"])["swapped"].mean()
TURN_BLOCK, TURN_DOSE = good.idxmax() if len(good) else (BLOCK, 1.0)
glue("ch19_can_moving", percent(over_clips(trying, "right")))
glue("ch19_turn_block", int(TURN_BLOCK) if MOVES else "not measured")
glue("ch19_turn_dose", f"{TURN_DOSE:g}" if MOVES else "not measured")

# %%
def turns_and_controls(case):
    block, site = int(TURN_BLOCK), SITES[int(TURN_BLOCK)]
    once = turned(case, block)
    aimed = TURN_DOSE * once
    for dose in (0.5, 1.0, 2.0, 4.0):
        yield {"arm": "motion", "how": dose}, site, dose * once
    right = SPACE["left_right"][0].axes(site).column
    given = {"motion": aimed, "off the place plane": off_the_plane(aimed, site),
             "column axis": -case.toward * right}  # fmt: skip
    for arm, vector in given.items():
        yield {"arm": arm, "how": "matched"}, site, with_norm_of(vector, aimed)
    draws = torch.Generator().manual_seed(1000 * SEED + case.labels["scene"])
    for seed in range(NOISE):
        about = {"seed": seed, "how": "matched"}
        yield about | {"arm": "noise"}, site, random_direction(aimed, draws)
        if seed < 3:
            mixed = torch.randn(len(still), generator=draws) @ moved[block, still, 0]
            yield about | {"arm": "still states"}, site, with_norm_of(mixed, aimed)


turning = None
if MOVES:
    turning = ask_movement(list(moving_cases(JUDGE, SEED + 7)), turns_and_controls)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
TURNS = {"motion": "#CC79A7", "off the place plane": "#56B4E9",
         "column axis": "#0072B2", "still states": "#E69F00",
         "noise": "#7F7F7F"}  # fmt: skip
if turning is not None:
    matched = dict(list(turning[turning["how"] == "matched"].groupby("arm")))
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.2))
    for column, axes in zip(("aimed change", "swapped"), panels, strict=False):
        for height, (arm, color) in enumerate(TURNS.items()):
            found = over_clips(matched[arm], column, only_right=column == "swapped")
            axes.plot([found.low, found.high], [-height] * 2, color=color, lw=2)
            axes.plot(found.estimate, -height, "o", color=color)
        axes.set_yticks(-np.arange(len(TURNS)), [] if column == "swapped" else TURNS)
        axes.axvline(0, color="0.3", lw=1)
        axes.set_xlabel("swapped" if column == "swapped" else "change (nats)")
    by_dose = turning[turning["how"] != "matched"]
    lines = [("motion", dose, *over_clips(part, "aimed change"))
             for dose, part in by_dose.groupby("how")]  # fmt: skip
    lines = pd.DataFrame(lines, columns=["edit", "dose", *ENDS])
    plots.with_band(lines, "dose", "edit", panels[2], TURNS)
    panels[2].set_ylabel("aimed change (nats)")
    figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
shorts = dict(zip(TURNS, ("motion", "off", "column", "mixed", "noise"), strict=True))
change = {}
for arm, short in shorts.items():
    if turning is not None:
        change[short] = over_clips(matched[arm], "aimed change")
        glue(f"ch19_turn_{short}", change[short])
        glue(f"ch19_turned_{short}", percent(over_clips(matched[arm], "swapped", True)))
    else:
        glue(f"ch19_turn_{short}", "not measured")
        glue(f"ch19_turned_{short}", "not measured")
block = int(TURN_BLOCK) if MOVES else BLOCK
row = alike.set_index("block").loc[block]
glue("ch19_motion_cosine", as_interval(row))
glue("ch19_motion_share", f"{100 * row['share']:.0f} %")
reads = told[told["block"] == block].set_index("read with")
for short, name in (("all", "all of it"), ("off", "off the place plane")):
    found = as_interval(reads.loc[name])
    glue(f"ch19_tells_{short}", percent(found))
if change:
    bar = max(change["noise"].high, change["mixed"].high, 0)
    used, beyond = change["motion"].low > bar, change["off"].low > bar
    by_place = change["column"].low > bar
    part = change["column"].estimate / change["motion"].estimate
    glue("ch19_used", "is used" if used else "is not used at this length")
    glue("ch19_beyond", f"has {'an' if beyond else 'no'} effect of its own")
    told = f"moves (by {100 * part:.0f} % of what the motion vector does)"
    glue("ch19_by_place", told if by_place else "does not move")
else:
    for key in ("used", "beyond", "by_place"):
        glue(f"ch19_{key}", "(not measured)")

# %% [markdown]
# **Figure 19.8.** *Turning a moving object.* Edits at the noun, at block
# {glue:text}`ch19_turn_block` and dose {glue:text}`ch19_turn_dose` (both chosen on other clips,
# of which {glue:text}`ch19_can_moving` were answered rightly without an edit). All
# edits have the same length. Left: change towards the false answer. Middle: right beliefs that
# changed sign. Right: dose curve of the motion vector. 95 % intervals over clips.
#
# | edit | change (nats) | swapped |
# |---|---|---|
# | motion | {glue:text}`ch19_turn_motion` | {glue:text}`ch19_turned_motion` |
# | off the place plane | {glue:text}`ch19_turn_off` | {glue:text}`ch19_turned_off` |
# | column axis | {glue:text}`ch19_turn_column` | {glue:text}`ch19_turned_column` |
# | still states | {glue:text}`ch19_turn_mixed` | {glue:text}`ch19_turned_mixed` |
# | noise | {glue:text}`ch19_turn_noise` | {glue:text}`ch19_turned_noise` |
#
# The bar is an effect above those of both controls and above zero, with the whole interval. The
# motion vector **{glue:text}`ch19_used`**. Its part off the place plane **{glue:text}`ch19_beyond`**. The
# column axis, which says *where*, **{glue:text}`ch19_by_place`** answers about *which way*. The
# vector's cosine with the column axis is {glue:text}`ch19_motion_cosine`;
# {glue:text}`ch19_motion_share` of its squared length lie in the place plane. Read with, it tells
# left from right in {glue:text}`ch19_tells_all` of clips of other objects, and in
# {glue:text}`ch19_tells_off` without its part in that plane.
#
# An effect of the whole vector alone would not show a code for movement: its part in the place
# plane could do it. It takes the part off the plane. And even that may hold bends of the place
# code (Figure 5.5): "off the plane of two axes" is not "off all that says where".
#
# ````{exercise} Research sprint: place, speed, acceleration
# :label: ch19-derivatives
#
# Difficulty ●●● · importance ●●○ · 30 minutes for the function, an afternoon for the sprint
#
# If a word knows that something moves right, does it know that it moves *faster and faster*? Write
# `derivatives(states, paths)` for states `[n, d_model]`, a tensor, and paths `[n, frames]`, a NumPy
# array (columns of the picture, one for each frame). Count time from the middle of the clip. For each path fit
# $a + b\,t + c\,t^2$; its speed is $b$, its acceleration $2c$, and its place is its mean over
# frames. Return what one unit of each does to the states, `[3, d_model]`, by *one* regression on
# the three and a constant.
#
# Then take the afternoon: draw clips in which an object speeds up, slows down, or turns back at the same
# mean place and the same speed, and extract. Does an object that moves *down* have a vector of its own,
# and is it the row axis that it resembles? Write down first what would count against each.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def derivatives(states, paths):
    time = np.arange(paths.shape[1]) - (paths.shape[1] - 1) / 2
    square, speed, _ = np.polyfit(time, paths.T, 2)
    # Together: what speeds up to the right also ends up further right, and each alone would take
    # credit for the other.
    known = np.column_stack([paths.mean(1), speed, 2 * square, np.ones(len(paths))])
    fit = np.linalg.lstsq(known, states.numpy().astype(known.dtype), rcond=None)[0]
    return torch.from_numpy(fit[:3]).to(states)


# %%
ch19.check_derivatives(derivatives)

# %% [markdown]
# ## Summary
#
# - Compare {term}`subspaces <subspace>` by principal angles, between chance *where the states live* and
#   the overlap of two estimates of the same thing. Time and space **{glue:text}`ch19_one_map`**.
# - Place and time at the word of a flash: **{glue:text}`ch19_adds`**. Blocks
#   after which the word holds what is asked for: {glue:text}`ch19_fetch`.
# - Steer one, ask the other: **{glue:text}`ch19_cross_verdict`** (leaks, of a tenth of the own effect or
#   more: {glue:text}`ch19_leaks`; smaller, but not zero: {glue:text}`ch19_small`).
# - The word of a moving object carries **{glue:text}`ch19_which_place`**; asked for a moment, it
#   **{glue:text}`ch19_can_ask`**.
# - The motion vector **{glue:text}`ch19_used`** for "moving to the left or right?", and off the
#   place plane it **{glue:text}`ch19_beyond`**.
# - One small model, trained on such clips and such questions. What it shows is that the methods
#   can tell these answers apart, not that large models give the same ones.
#
# :::{admonition} What we had seen when we decided
# :class: note
#
# Three things changed after we had seen results of half trained weights: chance planes are drawn
# evenly among the components that hold 95 % of the variance, where they had been drawn by variance
# (which gives a higher chance); mixtures of still states replaced motion vectors with random signs,
# which had kept a part of the motion; and "fetches what is asked" is judged over all blocks.
# :::
#
# ## Open question: a research sprint
#
# Does the motion vector move beliefs about *place*? Ask "At the end, is the frog to the left or
# right of the camel?" of clips in which nothing moves, and steer the frog with it. If the model
# extrapolates, the frog should end further right. Does an object that moves *down* have a vector
# of its own, and is it the row axis that it resembles? And acceleration: would you expect
# a direction for it? Write down first what would count against each.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: spatial and temporal IDs, one at a time.
# - {doc}`05_their_geometry` and {doc}`17_temporal_ids`: the shape of either.
# - {cite:t}`feng2024bind`: when representations of two things factorise.
# - {cite:t}`zhang2024best`: what causal interventions can and cannot show.
#
# **What follows.** This was the last experiment of ours. In {doc}`22_playground` you take the vectors in your own hand.
