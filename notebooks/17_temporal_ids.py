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
# # Finding temporal IDs
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/17_temporal_ids.ipynb)
# · about 45 minutes to read, another 75 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb) and [5](05_their_geometry.ipynb)
#
# A frog flashes up in one frame of a {term}`clip`, a camel in another. "Does the frog appear before
# or after the camel?" In a picture, an {term}`object word` holds a vector that says *where*. **Does an
# object word of a video model hold a vector that says *when*, and how do these vectors lie:
# in a line, like a ruler, or otherwise?**
#
# The paper says yes, and shows in its Figure 10b a {term}`principal component` of seven averaged
# vectors, in order, with "before" and "after" at its ends {cite}`kang2026linear`. You will
# make that figure. Then you will make it from things that know nothing about time.
#
# **You will learn**
# - how to extract temporal IDs, and how much of a word's vector they are
# - why principal components of a few averaged points show order where there is none
# - which shape held-out pairs support: a ruler, a warped ruler, a bend, or no shape at all
# - whether the shape tells you about frames that it was not fitted on
# - which time a *stay* gets: of its first frame, its last, or its middle

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
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import SpatialIDs, Video, geometry, load_vlm, plots, stats
from helpers.animate import show_clip
from helpers.beliefs import surface_forms
from helpers.exercises import ch17
from helpers.extraction import frame_pixels
from helpers.ids import LEFT_RIGHT
from helpers.reading import read_states
from helpers.report import glue, keep, open_models
from helpers.stimuli.clip_questions import BEFORE_AFTER
from helpers.stimuli.clip_sampling import clips, compose, flash
from helpers.stimuli.clips import FRAMES
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.scenes import Background
from helpers.stimuli.split import held_out_pairs, is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS
from helpers.temporal import TemporalIDs

MODELS = open_models(MODEL, chapter="17_temporal_ids", small=SMALL, seed=SEED)
NAME, vlm = next(iter(MODELS.items()))
SITES = [vlm.resid_post(block) for block in range(vlm.n_layers)]
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#D55E00", "#7F7F7F"

# %% [markdown]
# ## The same frog at eight times
#
# The clips are the paper's: eight frames, two objects on white, each there for one frame.

# %%
def two_flashes(pair, times, cells, size=PAPER_SIZES[-1]):
    """A clip in which each object is there for one frame."""
    where = zip(pair, cells, times, strict=True)
    return compose([flash(*one, size) for one in where], Background())


def as_video(clip):
    return Video(tuple(clip.render(frame_pixels(vlm))))


example = two_flashes(("frog", "camel"), (2, 5), ((1, 0), (2, 3)))
show_clip(example, "A frog is there in frame 2, a camel in frame 5; else all is white.")

# %% [markdown]
# **Figure 17.1.** *A clip of two flashes.* "Does the frog appear before or after the camel?"
#
# Let the frog visit all eight frames while the camel is in some other, and read the stream
# at the last token of each noun, after every block. Where the two are does not change over
# the frames that you compare. So if the vector changes, time did it: the frame, or whether it comes
# before the camel's. (Which of the two? The section on stays asks.)

# %%
CELLS = list(itertools.product(range(4), repeat=2))
FEW = [("frog", "camel"), ("dog", "cake"), ("robot", "fan"), ("person", "log")]
FEW, LOOKS = (FEW[:2], 1) if SMALL else (FEW, 3)


def read_raw(pairs, looks):
    """States at both nouns, [sites, pairs, looks, frames, 2, d_model], not centred."""
    rng, prompts = np.random.default_rng(SEED), []
    for pair in pairs:
        for step in 1 + rng.permutation(FRAMES - 1)[:looks]:
            cells = [CELLS[index] for index in rng.permutation(len(CELLS))[:2]]
            for frame in range(FRAMES):
                times = frame, (frame + step) % FRAMES
                clip = two_flashes(pair, times, cells)
                prompts.append(vlm.prompt(as_video(clip), BEFORE_AFTER.format(*pair)))
    nouns = [pair for pair in pairs for _ in range(looks * FRAMES)]
    spots = [[span[-1] for span in prompt.words(pair)]
             for prompt, pair in zip(prompts, nouns, strict=True)]
    states = read_states(vlm, prompts, spots, SITES)
    return states.unflatten(1, (len(pairs), looks, FRAMES))


raw = read_raw(FEW, LOOKS)
print("sites, pairs, looks, frames, nouns, d_model:", list(raw.shape))

# %% [markdown]
# The recipe is that of {doc}`04_finding_spatial_ids`, with frames in place of cells: average
# over partners and places, subtract the mean over frames, then average over pairs. The paper's
# code kept, for each frame, the *last* partner that came along, and did not centre.
#
# ````{exercise} IDs from rows
# :label: ch17-rows
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `ids_from_rows(states, frames, count)` for one pair: `states` is `[rows, d_model]`,
# `frames` says for each row in which frame the object was, `count` is the number of frames.
# Rows come in any order, and frames need not have equally many. Return `[count, d_model]`:
# each frame's mean, less the mean of these means.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def ids_from_rows(states, frames, count):
    means = torch.stack([states[frames == frame].mean(0) for frame in range(count)])
    # Not states.mean(0): frames with more rows would weigh more.
    return means - means.mean(0)

# %%
ch17.check_ids_from_rows(ids_from_rows)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
SHOWN = np.unique(np.linspace(0, len(SITES) - 1, 4).astype(int))
figure, panels = plt.subplots(1, len(SHOWN), figsize=(11, 3.2), squeeze=False)
for block, axes in zip(SHOWN, panels[0], strict=True):
    rows = raw[block, 0, :, :, 0].flatten(0, 1)  # the first pair's first noun
    found = ids_from_rows(rows, torch.arange(FRAMES).repeat(LOOKS), FRAMES)
    alike = geometry.cosine(found[:, None], found[None])
    axes.imshow(alike, cmap="coolwarm", vmin=-1, vmax=1)
    axes.set(title=f"after block {block}", xticks=range(FRAMES), yticks=range(FRAMES))
    axes.grid(False)
panels[0, 0].set_ylabel("frame")
figure.supxlabel("frame", fontsize=10)
figure.tight_layout()

# %% [markdown]
# **Figure 17.2.** *One pair, by hand.* Cosine between the IDs of the frog in two frames (red:
# alike, blue: opposite). If the word knows its time, red fades to blue with the distance of the
# frames. A sharp border may be the partner's doing: at a fixed distance it comes later than the
# frog in the first frames, and earlier in the last. One pair and few looks cannot tell.
#
# ## Many pairs
#
# From here on `TemporalIDs` does the work. As in {doc}`05_their_geometry`, the *makers* are pairs
# of the paper's ten objects, the *test pairs* are of other objects, in pairs that training never
# showed. The same clips get a second question, about left and right: its words have not been
# asked about time.

# %%
ordered = itertools.permutations(PAPER_OBJECTS, 2)
makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
others = [pair for pair in held_out_pairs() if not set(pair) & set(PAPER_OBJECTS)]
TRAIN, TEST, PARTNERS = (3, 3, 1) if SMALL else (12, 12, 3)
rng = np.random.default_rng(SEED)
train_pairs = [makers[i] for i in rng.choice(len(makers), TRAIN, replace=False)]
test_pairs = [others[i] for i in rng.choice(len(others), TEST, replace=False)]
OPTIONS = {"partners": PARTNERS, "seed": SEED, "save_to": CACHE, "progress": False}
KINDS = {
    "first noun": (0, BEFORE_AFTER), "second noun": (1, BEFORE_AFTER),
    "first, left/right": (0, LEFT_RIGHT), "second, left/right": (1, LEFT_RIGHT),
}  # fmt: skip


def extract(model, pairs, kinds):
    """IDs of some kinds, all off the same clips."""
    wanted = [KINDS[kind] for kind in kinds]
    found = TemporalIDs.extract_each(model, pairs, wanted, **OPTIONS)
    return dict(zip(kinds, found, strict=True))


NOUNS = list(KINDS)[:2]
train, test = extract(vlm, train_pairs, NOUNS), extract(vlm, test_pairs, KINDS)
print("sites, pairs, frames, d_model:", list(test["first noun"].vectors.shape))

# %% [markdown]
# **How much** of what varies at the first noun is time? Split the variance as in Chapter 4: the
# object; its frame, the same for all objects (the {term}`temporal ID`); a code of each object's own; the
# rest. And is the ID **shared**? Compare one test pair's ID with the mean of the makers', who
# have no object in common with it. The null: the same, with the makers' frames shuffled.

# %%
def shares(states):
    """Parts of the variance of [pairs, looks, frames, d_model]."""
    x = states - states.mean((0, 1, 2))
    frame = x.mean(1)
    objects, time = frame.mean(1, keepdim=True), frame.mean(0, keepdim=True)
    parts = {
        "object": objects.expand_as(frame), "time": time.expand_as(frame),
        "object × time": frame - objects - time,
    }  # fmt: skip
    total = float(x.square().sum(-1).mean())
    found = {key: float(v.square().sum(-1).mean()) / total for key, v in parts.items()}
    return found | {"partner and place": 1 - sum(found.values())}


def sharing(made, held):
    """Cosines of held-out pairs' IDs with the makers' mean, and the null, by block."""
    for block, site in enumerate(SITES):
        alike = geometry.cosine(held.at(site), made.mean(site)).mean(1)
        yield {"block": block, "what": "one pair", **stats.mean(alike)._asdict()}
        wrong = [made.shuffled(seed).mean(site) for seed in range(20)]
        null = [float(geometry.cosine(held.at(site), ids).mean()) for ids in wrong]
        low, high = np.quantile(null, [0.025, 0.975])
        yield {"block": block, "what": "frames shuffled", "estimate": np.mean(null),
               "low": low, "high": high, "n": len(null)}  # fmt: skip


variance = pd.DataFrame([shares(states) for states in raw[..., 0, :]])
shared = pd.DataFrame(sharing(train["first noun"], test["first noun"]))
keep("sharing", shared)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4), layout="constrained")
TINTS = ["#C9C9C9", BLUE, "#E69F00", "#EFEFEF"]
variance.plot.bar(stacked=True, ax=left, color=TINTS, width=0.85, rot=0)
chance = (variance["time"] + variance["object × time"]) / len(FEW)
for block, level in enumerate(variance["object"] + chance):
    left.plot([block - 0.42, block + 0.42], [level, level], "k--", lw=1)
left.set(xlabel="after block", ylabel="share of variance", title="how much")
left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=9)
tones = {"one pair": BLUE, "frames shuffled": GREY}
plots.with_band(shared, "block", "what", right, tones)
right.axhline(0, color="0.5", lw=0.8)
right.set(xlabel="after block", ylabel="cosine with the makers' mean", title="shared")
wide = shared.set_index(["what", "block"])
clear = wide.loc["one pair", "low"] > wide.loc["frames shuffled", "high"]
large = variance["time"] > 0.1
for key, blocks in (("appears", clear), ("large", large)):
    glue(f"ch17_{key}", f"block {blocks.idxmax()}" if blocks.any() else "no block")

# %% [markdown]
# **Figure 17.3.** *Time at the first noun.* Left: parts of the variance; the dashed line is how
# high the blue part comes if every object has a code of its own. Right: cosine of one test
# pair's ID with the makers' mean, band: 95 % over pairs; grey: 20 shuffles. The shared ID first
# stands clear of its null after {glue:text}`ch17_appears`, and first makes a tenth of the variance
# after {glue:text}`ch17_large`. A cosine has no size.
#
# Settle on a block, on the makers alone: where half of them best predicts the other half, whatever
# the shape. Leave out the last block: what stands at a noun behind it is read by nobody.

# %%
def held_out_r2(prediction, vectors):
    """R2 of [frames, d_model] on other pairs' IDs, with an interval over these."""
    return geometry.r2_over_pairs(prediction[None], vectors[:, None], SEED)


def best_block(ids):
    one, other = stats.halves(range(len(ids.pairs)), SEED)
    fits = [held_out_r2(ids.at(site)[one].mean(0), ids.at(site)[other]).estimate
            for site in SITES[:-1]]
    return int(np.argmax(fits))


BLOCK = best_block(train["first noun"])
SITE = SITES[BLOCK]
glue("ch17_block", BLOCK)
pair_cosine = stats.Interval(*wide.loc[("one pair", BLOCK)])
glue("ch17_cosine", pair_cosine)
glue("ch17_cosine_null", float(wide.loc[("frames shuffled", BLOCK), "estimate"]))
glue("ch17_time_share", f"{100 * variance.loc[BLOCK, 'time']:.0f} %")
strong = "carries" if pair_cosine.low > 0.5 else "carries traces of"
strong = strong if clear[BLOCK] else "does not carry"
glue("ch17_carries", strong)

# %% [markdown]
# That is block {glue:text}`ch17_block`. There the cosine of one pair with the makers is
# {glue:text}`ch17_cosine` (shuffled: {glue:text}`ch17_cosine_null`), and time is
# {glue:text}`ch17_time_share` of the variance. An object word of this model
# **{glue:text}`ch17_carries`** an ID of its frame. (We say "carries" if the interval is above
# one half, "traces" if it is only above the null.)
#
# ## The picture in the paper
#
# Average over pairs, take the first principal component, plot it against the frame: eight
# points. The paper had seven. Do the same with three things that hold no learned time:
#
# - an **untrained copy** of the model: the same architecture with random weights, shown the
#   same clips, read at the same word;
# - **random walks**: each pair a walk of its own, in as many dimensions, averaged over pairs;
# - the model's own IDs with the **frames shuffled** for each pair by itself.
#
# ````{exercise} A first component, in-sample and held out
# :label: ch17-pc1
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `pc1_scores(train, test)` for two sets of IDs, each `[pairs, frames, d_model]`. Find the
# first principal component of the *mean* training IDs. Return two squared correlations with
# the frame, by `ch17.squared_correlation(coordinates)`, whose last axis is frames: of the mean
# training IDs along the component, and of all test pairs' dots together. Guess what random
# walks give for each.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def pc1_scores(train, test):
    mean = train.mean(0)
    axis = torch.linalg.svd(mean - mean.mean(0), full_matrices=False).Vh[0]
    # All dots together: a pair whose time runs backwards must count against it.
    in_sample = ch17.squared_correlation(mean @ axis)
    return in_sample, ch17.squared_correlation(test @ axis)

# %%
ch17.check_pc1_scores(pc1_scores)

# %%
def untrained(model):
    """The same architecture with the weights it is born with; none if it is large."""
    if sum(p.numel() for p in model.model.parameters()) > 5e7:
        return None
    torch.manual_seed(SEED)
    born = type(model.model)(model.model.config).eval()
    return load_vlm(born, model.processor, device=str(model.device))


def each_shuffled(ids, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.stack([pair[torch.randperm(FRAMES, generator=draw)] for pair in ids])


NOUN = "second noun"  # it has read the first, and the question is known
sources = {NAME: (train[NOUN].at(SITE), test[NOUN].at(SITE))}
copy = untrained(vlm)
if copy is not None:
    born = [extract(copy, pairs, NOUNS)[NOUN] for pairs in (train_pairs, test_pairs)]
    sources["untrained copy"] = tuple(ids.at(SITE) for ids in born)
sources["random walks"] = tuple(
    ch17.walks(count, FRAMES, vlm.d_model, seed=SEED + count + extra)
    for extra, count in ((0, TRAIN), (1, TEST))
)
sources["frames shuffled"] = tuple(
    each_shuffled(ids, SEED + number) for number, ids in enumerate(sources[NAME])
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def along(vectors, basis):
    """Coordinates on principal components, the first running forward in time."""
    found = geometry.pca(basis[None], 2)
    sign = np.sign(np.arange(FRAMES) @ found.transform(basis.numpy())[:, 0]) or 1.0
    flat = found.transform(vectors.reshape(-1, vectors.shape[-1]).numpy())
    turned = flat.reshape(*vectors.shape[:-1], 2) * [sign, 1]
    return turned, found.explained_variance_ratio_


figure, panels = plt.subplots(2, len(sources), figsize=(3 * len(sources), 5.4),
                              sharex=True, squeeze=False)
scores = {}
for (what, (made, held)), (top, low) in zip(sources.items(), panels.T, strict=True):
    points, share = along(made.mean(0), made.mean(0))
    in_sample, held_out = pc1_scores(made, held)
    scores[what] = {"in-sample": in_sample, "held out": held_out,
                    "share of PC 1": share[0],
                    "length": float(held.norm(dim=-1).mean())}
    top.plot(points[:, 0], "-o", color=BLUE)
    top.set_title(f"{what}\nPC 1: {share[0]:.0%}", fontsize=10)
    dots, _ = along(held, made.mean(0))
    low.plot(dots[..., 0].T, "-o", color=GREY, lw=0.5, ms=3, alpha=0.7)
    low.set(xlabel="frame", xticks=range(FRAMES))
panels[0, 0].set_ylabel("averaged points")
panels[1, 0].set_ylabel("every held-out pair")
figure.tight_layout()
nulls = pd.DataFrame(scores).T
keep("nulls", nulls.rename_axis("source").reset_index())
for key, what in (("", NAME), ("_walks", "random walks"), ("_born", "untrained copy")):
    row = scores.get(what, {})
    glue(f"ch17_pc1_in{key}", row.get("in-sample", "not measured"))
    glue(f"ch17_pc1_out{key}", row.get("held out", "not measured"))
    share = f"{100 * row['share of PC 1']:.0f} %" if row else "not measured"
    glue(f"ch17_pc1_share{key}", share)
nulls.round(3)

# %% [markdown]
# **Figure 17.4.** *Order from nothing.* Top: the paper's recipe, first principal component of
# eight averaged points, at the second noun. Bottom: the same component, every held-out pair as
# a line of dots. **Table**: squared correlation with the frame, above and below; the length is
# that of one pair's IDs.
#
# The model: {glue:text}`ch17_pc1_in` in-sample with {glue:text}`ch17_pc1_share` of the variance
# on one component. The random walks, which share nothing: {glue:text}`ch17_pc1_in_walks` and
# {glue:text}`ch17_pc1_share_walks`. Wherever neighbours are alike, principal components are
# slow waves: the first goes up once, the second is a U
# {cite}`antognini2018pca,diaconis2008horseshoes`. Averaging over pairs does not help, since a
# mean of walks is a walk. Held-out pairs do: {glue:text}`ch17_pc1_out` for the model,
# {glue:text}`ch17_pc1_out_walks` for the walks.
#
# The untrained copy is the hardest. In-sample it has {glue:text}`ch17_pc1_in_born` with
# {glue:text}`ch17_pc1_share_born` on one component, held out {glue:text}`ch17_pc1_out_born`. If
# that is high, look at its *length*, and remember why: what comes early in a sequence is mixed
# in otherwise than what comes late, by any causal model. Order in a stream is not knowledge of
# order. It has to be large, and it has to be *used* ({doc}`18_steering_time`).
#
# ## A line or a horseshoe?
#
# A second component that bends is no finding either: random walks have one. Draw it for all
# pairs, on components of the makers; then count what the bend buys on new pairs.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the slider", "code_prompt_hide": "Hide the code"}
def draw_plane(block):
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.3))
    for kind, axes in zip(NOUNS, panels, strict=True):
        basis = train[kind].mean(SITES[block])
        dots, share = along(test[kind].at(SITES[block]), basis)
        colors = np.tile(np.arange(FRAMES), len(dots))
        axes.scatter(*dots.reshape(-1, 2).T, c=colors, cmap="viridis", s=14, alpha=0.7)
        middle = dots.mean(0)
        axes.plot(*middle.T, color="0.4", lw=1.2)
        for frame, point in enumerate(middle):
            high = point + [0, np.ptp(middle[:, 0]) * (0.1 + 0.05 * (frame % 2))]
            axes.text(*high, str(frame), weight="bold", ha="center")
        axes.set(title=f"{kind}, block {block}", xlabel=f"PC 1 ({share[0]:.0%})",
                 ylabel=f"PC 2 ({share[1]:.0%})")
        axes.set_aspect("equal", "datalim")
    figure.tight_layout()
    return figure


plots.slider(draw_plane, range(len(SITES)), "block", start=BLOCK)

# %% [markdown]
# **Figure 17.5.** *The plane of the first two components, block by block: move the slider.*
# Components of the makers' mean IDs; a dot for each frame of each test pair, numbers at their
# means, one scale for both axes. Even numbers on a straight line are a ruler; numbers that crowd
# at the ends are a warped ruler; a U is a horseshoe.
#
# Now fit each shape to the makers and predict the test pairs, one pair at a time:
#
# | shape | what it may do |
# |---|---|
# | linear | one direction, even steps: a ruler |
# | sigmoid | one direction, steps that shrink towards both ends |
# | log-odds | one direction, steps that grow towards both ends |
# | quadratic | linear plus a bend |
# | rank 1, 2, 3 | any order and spacing in so many dimensions |
# | free | each frame's mean as it is: the ceiling |
#
# ````{exercise} A curve through time
# :label: ch17-curve
#
# Difficulty ●●○ · importance ●●○ · 10 minutes
#
# Write `curve(train, degree)` for IDs `[pairs, frames, d_model]`: the least-squares polynomial
# of that degree in the frame, as a vector for each frame, `[frames, d_model]`.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def curve(train, degree):
    steps = torch.arange(train.shape[1], dtype=torch.float) - (train.shape[1] - 1) / 2
    columns = torch.stack([steps**k for k in range(degree + 1)], 1)
    # Pairs have the same frames, so a fit to their mean is a fit to all of them.
    return columns @ torch.linalg.lstsq(columns, train.mean(0)).solution

# %%
ch17.check_curve(curve)

# %%
def warped(train, bends):
    """The warped ruler that fits the makers best; a bend says how steep its warp is."""
    x, found = torch.linspace(-1, 1, train.shape[1]), []
    for bend in bends:
        g = torch.tanh(bend * x) if bend > 0 else torch.atanh(-bend * x)
        columns = torch.stack([torch.ones_like(g), g], 1)
        found.append(columns @ torch.linalg.lstsq(columns, train.mean(0)).solution)
    return min(found, key=lambda guess: float((train - guess).square().sum()))


def shapes(train):
    """From a shape's name to its prediction, [frames, d_model]."""
    yield "linear", curve(train, 1)
    yield "sigmoid", warped(train, (0.5, 1.0, 1.5, 2.0, 3.0, 5.0))
    yield "log-odds", warped(train, (-0.5, -0.7, -0.8, -0.9, -0.95, -0.99))
    yield "quadratic", curve(train, 2)
    for rank in (1, 2, 3):
        yield f"rank {rank}", geometry.rank_prediction(train[:, None], rank)[0]
    yield "free", train.mean(0)


GUESSES = {kind: dict(shapes(train[kind].at(SITE))) for kind in NOUNS}
fits = pd.DataFrame(
    {"noun": kind, "shape": shape, **held_out_r2(guess, test[kind].at(SITE))._asdict()}
    for kind in NOUNS
    for shape, guess in GUESSES[kind].items()
)
keep("shapes", fits)

# %%
def gain(kind, better, worse):
    """How much more of the test pairs' variance one shape predicts than another."""
    held = test[kind].at(SITE)
    more, less = ((held - GUESSES[kind][shape]).square().sum((1, 2))
                  for shape in (worse, better))
    return stats.ratio_of_means(more - less, held.square().sum((1, 2)), SEED)


def verdict(kind):
    """The plainest shape that comes within 0.03 of the ceiling."""
    score = fits[fits["noun"] == kind].set_index("shape")["estimate"]
    if score["free"] < 0.1:
        return "nothing that new pairs share"
    if gain(kind, "free", "linear").estimate < 0.03:
        return "a ruler: straight and even"
    if gain(kind, "free", "rank 1").estimate < 0.03:
        places = along(train[kind].mean(SITE), train[kind].mean(SITE))[0][:, 0]
        in_order = np.corrcoef(places.argsort().argsort(), range(FRAMES))[0, 1] > 0.8
        how = "with uneven steps" if in_order else "out of order"
        return f"a warped ruler: straight, {how}"
    flat = gain(kind, "free", "rank 2").estimate < 0.03
    size = gain(kind, "free", "rank 1").estimate
    bent = "strongly" if size > 0.15 else "slightly"
    return f"a {bent} bent curve in {'a plane' if flat else 'three dimensions or more'}"

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(9, 3.8))
for index, (kind, part) in enumerate(fits.groupby("noun", sort=False)):
    x = np.arange(len(part)) + 0.38 * (index - 0.5)
    ends = [part["estimate"] - part["low"], part["high"] - part["estimate"]]
    axes.bar(x, part["estimate"], 0.38, color=(BLUE, GREEN)[index], label=kind)
    axes.errorbar(x, part["estimate"], ends, fmt="none", color="0.2", capsize=3, lw=1)
axes.axhline(0, color="0.3", lw=1)
axes.set_xticks(range(len(part)), part["shape"])
axes.set(ylabel="held-out $R^2$, one pair at a time")
axes.set_ylim(min(0, fits["low"].min()), 1)
axes.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.14))
figure.tight_layout()
for kind in NOUNS:
    key = kind.split()[0]
    table = fits[fits["noun"] == kind].set_index("shape")
    for shape in ("linear", "quadratic", "free"):
        row = table.loc[shape, ["estimate", "low", "high", "n"]]
        glue(f"ch17_{shape}_{key}", stats.Interval(*row))
    glue(f"ch17_bend_{key}", gain(kind, "quadratic", "linear"))
    glue(f"ch17_shape_{key}", verdict(kind))
    one_way = table.loc[["linear", "sigmoid", "log-odds"], "estimate"]
    glue(f"ch17_spacing_{key}", one_way.idxmax())

# %% [markdown]
# **Figure 17.6.** *What each shape says about new pairs*, at block {glue:text}`ch17_block`;
# whiskers: 95 % over test pairs. First noun: linear {glue:text}`ch17_linear_first`, quadratic
# {glue:text}`ch17_quadratic_first`, ceiling {glue:text}`ch17_free_first`. Second noun:
# {glue:text}`ch17_linear_second`, {glue:text}`ch17_quadratic_second`,
# {glue:text}`ch17_free_second`. On the same pairs, the bend adds {glue:text}`ch17_bend_first`
# and {glue:text}`ch17_bend_second`. Of the three with one direction, the best is
# {glue:text}`ch17_spacing_first` at the first noun and {glue:text}`ch17_spacing_second` at the
# second.
#
# Take the plainest shape that comes within 0.03 of the ceiling. The first noun's times are
# **{glue:text}`ch17_shape_first`**; the second noun's are **{glue:text}`ch17_shape_second`**.
# What the ceiling itself misses is each pair's own.
#
# ## Frames that the fit has not seen
#
# A shape that is a law should tell about frames that had no part in the fit. Fit on the even
# frames and predict those between; then fit on frames 0 to 4 and predict the last three.
# "Neighbours" mixes the two nearest known frames, and beyond the last it stays there. At zero, a
# guess is no better than the mean of the known frames.

# %%
TASKS = {"between": ([0, 2, 4, 6], [1, 3, 5]), "beyond": ([0, 1, 2, 3, 4], [5, 6, 7])}


def unseen(mean, known, asked):
    """Predictions for the asked frames from the known ones' IDs, [asked, d_model]."""
    frames = torch.arange(FRAMES, dtype=torch.float)
    for name, degree in (("linear", 1), ("quadratic", 2)):
        x = torch.stack([frames**k for k in range(degree + 1)], 1)
        yield name, x[asked] @ torch.linalg.lstsq(x[known], mean[known]).solution
    mixed = [np.interp(asked, known, column) for column in mean[known].T.numpy()]
    yield "neighbours", torch.from_numpy(np.stack(mixed, 1)).float()
    yield "all frames known", mean[asked]


def score_unseen(kind, known, asked):
    mean, held = train[kind].mean(SITE), test[kind].at(SITE)[:, asked]
    nothing = (held - mean[known].mean(0)).square().sum((1, 2))
    for name, guess in unseen(mean, known, asked):
        ratio = stats.ratio_of_means((held - guess).square().sum((1, 2)), nothing, SEED)
        yield {"noun": kind, "guess": name, "estimate": 1 - ratio.estimate,
               "low": 1 - ratio.high, "high": 1 - ratio.low, "n": ratio.n}


further = pd.DataFrame(
    {"task": task, **row} for kind in NOUNS for task, frames in TASKS.items()
    for row in score_unseen(kind, *frames)
)  # fmt: skip
keep("unseen", further)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
at = further.set_index(["task", "noun", "guess"]).sort_index()
for task in TASKS:
    rows = at.loc[(task, "first noun")]
    for guess in ("linear", "neighbours"):
        row = rows.loc[guess, ["estimate", "low", "high", "n"]]
        glue(f"ch17_{task}_{guess}", stats.Interval(*row))
    glue(f"ch17_{task}_best", rows.drop(index="all frames known")["estimate"].idxmax())
at["estimate"].unstack().loc[list(TASKS), further["guess"].unique()].round(2)

# %% [markdown]
# **Table 17.1.** *Unseen frames*: share of their variance that is predicted on test pairs. At the
# first noun, between known frames: linear {glue:text}`ch17_between_linear`, neighbours
# {glue:text}`ch17_between_neighbours`; best is {glue:text}`ch17_between_best`. Beyond them:
# {glue:text}`ch17_beyond_linear` and {glue:text}`ch17_beyond_neighbours`; best is
# {glue:text}`ch17_beyond_best`. `ids.interpolate` takes the neighbours, and refuses times beyond.
#
# ## Do "before" and "after" lie on the axis?
#
# The paper projects the question's own words on the component. The traps are those of
# {doc}`05_their_geometry`: IDs are centred and words are not, so place the two words as IDs are
# placed, around *their* mean. Ask in both orders, and compare with other words of the question.
# The axis is the least-squares step per frame, `ids.axis(site)`.

# %%
ORDERS = (BEFORE_AFTER, "Does the {0} appear after or before the {1}?")
drawn = clips(8 if SMALL else 32, SEED + 1, "flashes", held_out=True)
texts = [ORDERS[number % 2].format(*clip.names) for number, clip in enumerate(drawn)]
videos = [as_video(clip) for clip in drawn]
state, plain = geometry.word_contrast(vlm, videos, texts, ("before", "after"), SITES)
asked = vlm.prompt(videos[0], texts[0])
up, down = (surface_forms(vlm, asked, word)[0][0] for word in ("After", "Before"))
answer = geometry.unembedding_contrast(vlm, [up], [down])
outputs = len(vlm.model.get_output_embeddings().weight)  # in some, fewer than tokens
some = np.random.default_rng(SEED).integers(
    min(len(vlm.processor.tokenizer), outputs), size=(2, 500)
)
random_words = geometry.unembedding_contrast(vlm, *some)

# %%
rows = []
for block, site in enumerate(SITES):
    step = train["second noun"].axis(site)
    for what, vector, null in (("hidden state", state[block], plain[block]),
                               ("unembedding", answer[0], random_words)):
        level = geometry.cosine(null, step).abs().nanquantile(0.95)
        frames = float(vector @ step / step.square().sum())  # apart, along the axis
        alike = float(geometry.cosine(vector, step))
        rows.append({"block": block, "vector": what, "frames": frames, "cosine": alike,
                     "chance": float(level)})
words = pd.DataFrame(rows)
keep("words", words)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8), width_ratios=[1.25, 1])
step = train["second noun"].axis(SITE)
spots = (test["second noun"].at(SITE) @ step / step.square().sum()).numpy()
jitter = np.random.default_rng(0).uniform(-0.25, 0.25, spots.shape)
colors = np.tile(np.arange(FRAMES), (len(spots), 1))
left.scatter(spots, jitter, c=colors, cmap="viridis", s=14, alpha=0.7, zorder=3)
for frame, x in enumerate(spots.mean(0)):
    left.text(x, 0.34 + 0.14 * (frame % 2), str(frame), ha="center", weight="bold")
now = words[words["block"] == BLOCK].set_index("vector")
half = now.loc["hidden state", "frames"] / 2
spread = (plain[BLOCK] @ step / step.square().sum() / 2).abs().quantile(0.95).item()
left.axvspan(-spread, spread, color="0.9", lw=0, zorder=0)
for word, x, color in (("before", -half, RED), ("after", half, "#CC79A7")):
    left.plot(x, -0.5, "v", color=color, ms=9)
    left.text(x, -0.65, f" {word} ", color=color, va="top",
              ha="left" if word == "after" else "right")
left.set(ylim=(-1.05, 0.75), yticks=[], xlabel="frames from the middle, along the axis")
for what, color in (("hidden state", BLUE), ("unembedding", GREEN)):
    part = words[words["vector"] == what]
    right.plot(part["block"], part["cosine"], "-o", color=color, ms=4, label=what)
    right.fill_between(part["block"], -part["chance"], part["chance"], color=color,
                       alpha=0.13, lw=0)
right.axhline(0, color="0.3", lw=1)
right.set(ylim=(-1, 1), xlabel="block", ylabel="after − before: cosine with the axis")
right.legend(loc="lower left")
figure.tight_layout()
for key, what in (("state", "hidden state"), ("answer", "unembedding")):
    row = now.loc[what]
    glue(f"ch17_words_{key}", f"{row['cosine']:+.2f} (chance ±{row['chance']:.2f})")
    told = f"on the {'late' if row['cosine'] > 0 else 'early'} side"
    told = told if abs(row["cosine"]) > row["chance"] else "on neither side"
    glue(f"ch17_words_{key}_verdict", told)

# %% [markdown]
# **Figure 17.7.** *Two words on the axis of time* (the paper's Figure 10b, all pairs, one
# centring). Left: coordinates of held-out pairs' second nouns in frames; triangles: the two
# words around their own mean; grey: where 95 % of other pairs of words of the question fall
# (its nouns among them, which makes this a strict null).
# Right: cosine of the contrast with the axis, block by block, and its null. At block
# {glue:text}`ch17_block`, "after" is {glue:text}`ch17_words_state_verdict` by its hidden state,
# {glue:text}`ch17_words_state`, and {glue:text}`ch17_words_answer_verdict` by its unembedding,
# {glue:text}`ch17_words_answer`.
#
# Should they align? A time becomes an answer only when it is *compared* with another. A late
# first noun means "After", a late second noun "Before".
#
# ## Both nouns, both questions
#
# The second noun comes when the question is known; and "Is the frog to the left or right of the
# camel?" does not ask about time at all. Compare each with the makers' first noun.

# %%
rows = []
for kind, (noun, _) in KINDS.items():
    for block, site in enumerate(SITES):
        held, made = test[kind].at(site), train["first noun"].mean(site)
        alike = stats.mean(geometry.cosine(held, made).mean(1))
        stream = float(raw[block, ..., noun, :].norm(dim=-1).mean())
        rows.append({"kind": kind, "block": block, **alike._asdict(),
                     "step": float(test[kind].axis(site).norm()) / stream})
nouns = pd.DataFrame(rows)
keep("nouns", nouns)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8), layout="constrained")
TONES = dict(zip(KINDS, (BLUE, GREEN, "#56B4E9", "#E69F00"), strict=True))
plots.with_band(nouns, "block", "kind", left, TONES)
left.get_legend().remove()
left.axhline(0, color="0.5", lw=0.8)
left.set(ylabel="cosine with the first noun's IDs", ylim=(-0.5, 1.05))
for kind, part in nouns.groupby("kind", sort=False):
    right.plot(part["block"], part["step"], "-o", ms=4, color=TONES[kind], label=kind)
right.set(xlabel="block", ylabel="one frame's step / stream", ylim=(0, None))
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)
now = nouns[nouns["block"] == BLOCK].set_index("kind")
row = now.loc["second noun", ["estimate", "low", "high", "n"]]
glue("ch17_nouns", stats.Interval(*row))
alike = now.loc["second noun", "low"] > 0.5
glue("ch17_nouns_verdict", "one code" if alike else "not one code")
glue("ch17_step", f"{100 * now.loc['first noun', 'step']:.1f} %")
unasked = now.loc["first, left/right", "step"] / now.loc["first noun", "step"]
glue("ch17_unasked", f"{100 * unasked:.0f} %")

# %% [markdown]
# **Figure 17.8.** *When nobody asks about time.* Left: cosine of test pairs' IDs with the makers'
# first noun (before/after), bands 95 % over pairs. Right: the length of one frame's step, as a
# share of the stream. At block {glue:text}`ch17_block` the second noun agrees with the first at
# {glue:text}`ch17_nouns`: the two have **{glue:text}`ch17_nouns_verdict`** (by the rule "above
# one half"; where they have not, IDs of either noun must be read and written apart). One step is
# {glue:text}`ch17_step` of the stream. At the first noun of the left/right question it is
# {glue:text}`ch17_unasked` as long.
#
# In Chapter 4 the first noun could not know the question: "Is the frog" begins either. "Does the
# frog" and "Is the frog" differ, so a model may fetch a time only where one is needed.
#
# ## Which time does a stay have?
#
# In films, objects come and stay. If the frog is there from frame 2 to frame 5, which ID does its
# word get? Show all 36 stays. Project each state on the axis of flashes, a coordinate in frames,
# and regress it on onset, offset, and the frame of the other object. (IDs that are averaged over
# partners cannot tell *late* from *later than the other*: in the last frame, all is later.)
#
# | the word holds | onset | offset | other |
# |---|---|---|---|
# | its first frame | 1 | 0 | 0 |
# | its last frame | 0 | 1 | 0 |
# | its middle | ½ | ½ | 0 |
# | a time relative to the other | | | below 0 |
#
# ````{exercise} First, last, or middle
# :label: ch17-stays
#
# Difficulty ●●○ · importance ●●○ · 10 minutes
#
# Write `whose_time(onset, offset, coordinate)` for three NumPy arrays: the two slopes, of onset
# and of offset. What starts late also ends late: mind what that does to two separate fits.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def whose_time(onset, offset, coordinate):
    columns = np.column_stack([onset, offset, np.ones_like(onset)])
    # One fit for both: what they share is counted once.
    return tuple(np.linalg.lstsq(columns, coordinate, rcond=None)[0][:2])

# %%
ch17.check_whose_time(whose_time)

# %%
STAYS = list(itertools.combinations_with_replacement(range(FRAMES), 2))
STAYS = STAYS[::2] if SMALL else STAYS
STAYING = test_pairs[: 2 if SMALL else 8]


def stay_clip(pair, stay, other, cells):
    own, partner = (flash(pair[i], cells[i], other, PAPER_SIZES[-1]) for i in (0, 1))
    staying = dict.fromkeys(range(stay[0], stay[1] + 1), own[other])
    return compose([staying, partner], Background())


def coordinates_of_stays():
    """A row for each stay of each pair's first object: the coordinate of its word."""
    rng, rows, prompts, spots = np.random.default_rng(SEED + 2), [], [], []
    for pair, stay in itertools.product(STAYING, STAYS):
        cells = [CELLS[index] for index in rng.permutation(len(CELLS))[:2]]
        other = int(rng.integers(FRAMES))
        clip = stay_clip(pair, stay, other, cells)
        prompts.append(vlm.prompt(as_video(clip), BEFORE_AFTER.format(*pair)))
        spots.append([prompts[-1].words(pair)[0][-1]])
        rows.append((" ".join(pair), *stay, other))
    step = train["first noun"].axis(SITE)
    states = read_states(vlm, prompts, spots, [SITE])[0, :, 0]
    table = pd.DataFrame(rows, columns=["pair", "onset", "offset", "other"])
    table["coordinate"] = (states @ step / step.square().sum()).numpy()
    # What a pair's word holds in all clips alike falls out, as it does from IDs.
    table["coordinate"] -= table.groupby("pair")["coordinate"].transform("mean")
    return table


stays = coordinates_of_stays()

# %%
def slopes(table):
    x = np.column_stack([table[["onset", "offset", "other"]], np.ones(len(table))])
    return np.linalg.lstsq(x, table["coordinate"], rcond=None)[0][:3]


def slopes_over_pairs(table, draws=300):
    """Slopes, and the share of the onset in own slopes, with intervals over pairs."""
    parts = [part for _, part in table.groupby("pair")]
    picks = np.random.default_rng(SEED).integers(len(parts), size=(draws, len(parts)))
    values = np.array([slopes(table), *(slopes(pd.concat([parts[i] for i in pick]))
                                        for pick in picks)])
    values = np.column_stack([values, values[:, 0] / values[:, :2].sum(1)])
    ends = np.quantile(values[1:], [0.025, 0.975], axis=0)
    names = ("onset", "offset", "other", "share")
    return {name: stats.Interval(float(v), float(a), float(b), len(parts))
            for name, v, a, b in zip(names, values[0], *ends, strict=True)}


found = slopes_over_pairs(stays)
keep("stays", stays)
for name in ("onset", "offset", "other"):
    glue(f"ch17_stay_{name}", found[name])
glue("ch17_stay_share", found["share"])
own, share = found["onset"].estimate + found["offset"].estimate, found["share"].estimate
told = ("its last frame", "a moment between its middle and its last frame",
        "its middle", "a moment between its first frame and its middle",
        "its first frame")
told = told[int(np.searchsorted([0.2, 0.4, 0.6, 0.8], share))]
told = told if own > 0.2 else "no time that the axis can see"
glue("ch17_stay", told)
absolute = abs(found["other"].estimate) < 0.15 * abs(own)
glue("ch17_stay_code", "absolute" if absolute else "not wholly absolute")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=[1.1, 1])
grid = stays.pivot_table(index="onset", columns="offset", values="coordinate")
shown = left.imshow(grid, cmap="viridis", origin="upper")
left.set(xlabel="last frame of the stay", ylabel="first frame")
left.set_title("coordinate in frames")
left.grid(False)
figure.colorbar(shown, ax=left, shrink=0.85)
for x, name in enumerate(("onset", "offset", "other")):
    value = found[name]
    right.bar(x, value.estimate, color=(BLUE, BLUE, GREY)[x], width=0.6)
    right.vlines(x, value.low, value.high, color="0.2", lw=2)
right.set_xticks(range(3), ["first frame", "last frame", "other object"])
for level in (0, 0.5, 1):
    right.axhline(level, color="0.5", lw=1, ls="-" if level == 0 else ":")
right.set(ylabel="slope (frames per frame)")
figure.tight_layout()

# %% [markdown]
# **Figure 17.9.** *36 stays.* Left: mean coordinate of the first noun. Colour that changes from
# top to bottom only follows the onset; from left to right only, the offset; along the diagonal,
# the middle. The diagonal itself holds the flashes. Right: slopes on onset
# ({glue:text}`ch17_stay_onset`), offset ({glue:text}`ch17_stay_offset`) and the other object's
# frame ({glue:text}`ch17_stay_other`), 95 % over pairs. A stay has the time of
# **{glue:text}`ch17_stay`**: the onset has {glue:text}`ch17_stay_share` of the two slopes, and
# the middle begins at 0.4 and ends at 0.6. The code is {glue:text}`ch17_stay_code` (absolute if
# the other's slope is below 15 % of the object's own, as in Chapter 5).
#
# People who are asked when a thing *appears* mean its first frame. A model that is only asked
# where both readings agree, as ours was in training, may choose for itself.
#
# Saved IDs know whose they are. IDs of another model are refused, and so are IDs of another kind.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "temporal_ids.safetensors"
    test["first noun"].save(path)
    stranger = Path(folder) / "stranger.safetensors"
    replace(TemporalIDs.load(path, vlm, [SITE]), model="another-model").save(stranger)
    for kind, file in ((TemporalIDs, stranger), (SpatialIDs, path)):
        try:
            kind.load(file, vlm)
        except ValueError as error:
            print(str(error).replace(f"{folder}/", ""))

# %% [markdown]
# ````{exercise} Research sprint: which clock?
# :label: ch17-clock
#
# Difficulty ●●● · importance ●●● · 30 minutes for the function, an afternoon for the sprint
#
# Is a frame a *time* for the model, or a place in a sequence? Put `blanks` white frames in front of
# the events, and extract again. Three clocks say three things about the ID of what was in frame `t`
# of `count` frames:
#
# - **position**: it is now the ID of frame `t + blanks`;
# - **share**: it has passed the share `(t + blanks) / (count + blanks - 1)` of the clip; take the ID
#   at that share of the old clip, interpolated linearly between neighbours;
# - **order**: it is still the ID of frame `t`.
#
# Write `clocks(ids, shifted, blanks)` for IDs `[count, d_model]` without and with the blank frames, the
# row `t` of both about the same event. Return a dictionary from `"position"`, `"share"` and
# `"order"` to the mean squared distance between what the clock says and what was found. Judge all three
# on the same events: those for which all of them have something to say.
#
# Then take the afternoon: extract, with blanks of 1, 2 and 3 frames, and with every frame shown twice.
# Decide which clock you expect, before you look. What is your null: how near would two of the three
# come if the model had none of these clocks?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def clocks(ids, shifted, blanks):
    count = len(ids)
    known = torch.arange(count - blanks)  # the position of later events has no ID to compare with
    share = (known + blanks) / (count + blanks - 1) * (count - 1)
    low = share.floor().long().clamp(max=count - 2)
    part = (share - low)[:, None].to(ids)
    said = {
        "position": ids[known + blanks],
        "share": (1 - part) * ids[low] + part * ids[low + 1],
        "order": ids[known],
    }
    # The same events for all, or the clock with the easier events would win.
    found = shifted[known]
    return {name: float((guess - found).square().mean()) for name, guess in said.items()}


# %%
ch17.check_clocks(clocks)

# %% [markdown]
# ## Summary
#
# - An object word of the model {glue:text}`ch17_carries` an ID of its frame: one new pair's
#   agrees with the others' mean at {glue:text}`ch17_cosine`, at block {glue:text}`ch17_block`.
# - A first principal component of eight averaged points that runs with the frame is no
#   evidence: random walks give {glue:text}`ch17_pc1_in_walks`. Held-out pairs are better, and
#   not enough: an untrained copy reaches {glue:text}`ch17_pc1_out_born` on them.
# - On new pairs, a line in the frame predicts {glue:text}`ch17_linear_first` where
#   {glue:text}`ch17_free_first` can be predicted; the shape is {glue:text}`ch17_shape_first`.
# - "After" is {glue:text}`ch17_words_state_verdict` of the axis by its hidden state, and
#   {glue:text}`ch17_words_answer_verdict` by its unembedding.
# - The two nouns have {glue:text}`ch17_nouns_verdict`. A {term}`stay` gets the time of
#   {glue:text}`ch17_stay`.
# - All of this says what can be *read*. {doc}`18_steering_time` asks what is *used*.
#
# ## Open question: a research sprint
#
# Is a frame a *time* for the model, or a place in a sequence? Put white frames in front of the
# events, or show each frame twice, and extract again. If the axis follows the position, IDs shift.
# If it follows the share of the clip that has passed, they stretch. If it follows the order of
# events, nothing changes. Decide which you expect, before you look.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 10b, held out.
# - {cite:t}`antognini2018pca`: why principal components of a random walk are cosines, and why
#   the first holds six tenths of the variance.
# - {cite:t}`novembre2008interpreting`: the same waves, once taken for migrations of peoples.
# - {cite:t}`gurnee2024language`: time on a line inside language models, found by probes.
#
# **What follows.** {doc}`18_steering_time` asks whether anybody uses them.
