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
# # Finding spatial IDs
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/04_finding_spatial_ids.ipynb)
# · about 40 minutes to read, another 45 for the exercises, one or two to run
# · runs without a GPU · builds on Chapter [3](03_where_does_it_flow.ipynb)
#
# In the last chapter you found *where* the answer passes through: the {term}`object words <object word>`. Now
# open one of them. The vector at the word "frog" holds many things: that it is a frog, that
# it stands in a question, perhaps how large the picture of it is. **Is there a part of it
# that says "top left", and is it the same part for a teapot?**
#
# If so, that part deserves a name. {cite:t}`kang2026linear` call it the **{term}`spatial ID`**.
#
# **You will learn**
# - how to subtract *what* an object is and keep *where* it is
# - how to test that an ID is shared between objects: halves without a common object, and
#   a null that you can see
# - how much of a word's vector is about place, and how much about the object
# - which token carries the ID, in the first noun, the second noun, and in "hot dog"
# - what the other object in the picture does to an ID, and how to be rid of it

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
CONTROL = "tiny-llava-direct"  # the same architecture, trained on other text
SMALL = False  # True: fewer images, to try things out
SEED = 0
CACHE = None  # a folder: long runs keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA

from helpers import SpatialIDs, plots, stats
from helpers.exercises import ch04
from helpers.geometry import cosine
from helpers.ids import LEFT_RIGHT, grid_scene
from helpers.reading import read_states
from helpers.report import glue, open_models
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.sprites import OBJECTS, PAPER_OBJECTS

MODELS = open_models(
    MODEL, CONTROL, chapter="04_finding_spatial_ids", small=SMALL, seed=SEED
)
YES, NO = MODELS  # the names: of the model, and of its control
vlm = MODELS[YES]

# %% [markdown]
# ## The same frog in sixteen places
#
# The stimuli are the paper's: a 4 by 4 grid, two objects. The first object of the question
# visits all sixteen cells. The second, its *{term}`partner`*, sits somewhere else.

# %%
SIZE = PAPER_SIZES[-1]
CELLS = [divmod(cell, 4) for cell in range(16)]
pair = ("frog", "camel")
corners = [(0, 0), (0, 3), (3, 0), (3, 3)]
tour = [grid_scene(pair, (cell, (2, 1)), SIZE, 4) for cell in corners]
_ = plots.show_scenes(tour, ["top left", "top right", "bottom left", "bottom right"])

# %% [markdown]
# **Figure 4.1.** *Four of the frog's sixteen places.* The question is always "Is the frog to
# the left or right of the camel?". What does the word *frog* hold in each case?
#
# Read the [residual stream](../book/notation.md) at the word's last token, after every
# block, for several pairs of objects, all sixteen cells, and a few places of the partner.

# %%
def states_at(model, work, sites, batch=32):
    """States at the first noun, [sites, work, d_model]; work: (pair, cell, partner)."""
    parts = []
    for start in range(0, len(work), batch):
        some = work[start : start + batch]
        scenes = [grid_scene(pair, cells, SIZE, 4) for pair, *cells in some]
        texts = [LEFT_RIGHT.format(*pair) for pair, *_ in some]
        prompts = model.prompt([scene.render() for scene in scenes], texts)
        pairs = [pair for pair, *_ in some]
        where = [[p.words(pair)[0][-1]] for p, pair in zip(prompts, pairs, strict=True)]
        parts.append(read_states(model, prompts, where, sites)[:, :, 0])
    return torch.cat(parts, 1)


def read_raw(model, pairs, sites, partners):
    """Uncentred states, ``[sites, pairs, partners, rows, columns, d_model]``."""
    generator = np.random.default_rng(SEED)
    work = []
    for pair in pairs:
        for cell in CELLS:
            others = [other for other in CELLS if other != cell]
            for index in generator.permutation(len(others))[:partners]:
                work.append((pair, cell, others[index]))
    states = states_at(model, work, sites)
    states = states.reshape(len(sites), len(pairs), 4, 4, partners, -1)
    return states.permute(0, 1, 4, 2, 3, 5)


# %%
def blocks(model, most=12):
    """Up to ``most`` blocks, evenly spread, first and last included."""
    # Where only some blocks look at the picture, begin at the first that does.
    looking = model.family.cross_layers(model.model.config.get_text_config())
    first, last = min(looking, default=0), model.n_layers - 1
    chosen = np.linspace(first, last, min(last - first + 1, most)).round()
    return [int(layer) for layer in np.unique(chosen)]


def sites_of(model):
    return [model.resid_post(layer) for layer in blocks(model)]


FEW = [("frog", "camel"), ("dog", "cake"), ("robot", "fan"), ("person", "log")]
if not SMALL:
    FEW += [("cake", "dog"), ("camel", "robot"), ("fan", "frog"), ("log", "person")]
raw = {name: read_raw(model, FEW, sites_of(model), 2) for name, model in MODELS.items()}
print("sites, pairs, partners, rows, columns, d_model:", list(raw[YES].shape))

# %% [markdown]
# ## Three steps
#
# 1. **Average over partners.** What remains belongs to the object and its place.
# 2. **{term}`Centre <centring>`**: for each pair, subtract the mean over the sixteen cells. What is the same
#    everywhere goes: that it is a frog, that it is a noun, that it is the third word. What
#    remains is the *{term}`object-specific ID`* $s_o(l, r, c)$.
# 3. **Average over pairs.** What differs from object to object goes. What remains is the
#    *spatial ID* $s(l, r, c)$, {eq}`eq-spatial-id` in the notation.
#
# Look at each step in two dimensions, at a block in the middle.

# %%
def flat(vectors, sheet=None):
    """Vectors on two principal components: their own, or those of a sheet of IDs."""
    points = vectors.reshape(-1, vectors.shape[-1]).numpy()
    if sheet is None:
        return PCA(2).fit_transform(points)
    plane = PCA(2).fit(sheet.reshape(16, -1).numpy())
    # Turn the plane as a whole, so that right is right and down is down if that can be.
    cells = np.array([(column - 1.5, row - 1.5) for row, column in CELLS])
    lying = plane.transform(sheet.reshape(16, -1).numpy())
    turn = orthogonal_procrustes(lying, cells)[0]
    return plane.transform(points) @ turn


def bare(axes, title):
    axes.set(title=title, xlabel="", ylabel="", xticks=[], yticks=[], aspect="auto")


# %%
STEPS = ["averaged over partners", "centred", "averaged over pairs"]
figure, panels = plt.subplots(2, 3, figsize=(11, 7.4))
names = [first for first, _ in FEW for _ in CELLS]
for line, name in zip(panels, MODELS, strict=True):
    averaged = raw[name][len(raw[name]) // 2].mean(1)
    centred = averaged - averaged.mean((1, 2), keepdim=True)
    sheet = centred.mean(0)
    plots.sprites_at(line[0], flat(averaged), names, zoom=0.12)
    plots.sprites_at(line[1], flat(centred, sheet), names, zoom=0.12)
    line[1].invert_yaxis()
    plots.id_grid(flat(sheet, sheet).reshape(4, 4, 2), line[2])
    for axes, step in zip(line, STEPS, strict=True):
        bare(axes, f"{name}\n{step}")
figure.tight_layout()

# %% [markdown]
# **Figure 4.2.** *What each step does.* Left: every sprite is one hidden state, an object
# at one of its sixteen places, on the two directions in which the states vary most. Do they
# flock by object, or by place? Middle: the same states after centring. What an object *is*
# has been subtracted, so flocks of one kind of sprite must dissolve. Right: averaged over
# pairs, the sixteen cells as *row, column*, neighbours joined. We turned the middle and the
# right plane (rotated or reflected, nothing else) so that right is right and down is down, as far as
# that is possible. A clean sheet of squares means: the vectors lie as the cells lie
# in the picture. A crumpled sheet means that they do not. Nobody gave the model this sheet.
#
# Principal components see what varies most, whatever it is. The next figure looks at all
# blocks; after that come numbers.
#
# ````{exercise} IDs by hand
# :label: ch4-by-hand
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `ids_by_hand(states)` for states of shape `[pairs, partners, rows, columns,
# d_model]`. Return the spatial IDs, `[rows, columns, d_model]`. The check compares you
# with made-up states whose IDs are known, and then with `SpatialIDs.extract` on the model.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def ids_by_hand(states):
    averaged = states.mean(1)
    # Each pair loses its own mean, which leaves its object-specific ID. (Averaging first
    # and centring once gives the same mean IDs: both steps are linear.)
    centred = averaged - averaged.mean((1, 2), keepdim=True)
    return centred.mean(0)


# %%
ch04.check_by_hand(ids_by_hand, vlm)

# %% [markdown]
# ## All blocks
#
# From here on `SpatialIDs.extract` does the three steps. One choice is worth a thought. We
# want to know whether IDs are shared between *objects*, so split the paper's ten objects in
# two halves, **A** and **B**, and make pairs within each half. No pair of A has an object
# in common with any pair of B.

# %%
def ring(objects, steps):
    """Pairs in which every object is first equally often."""
    n = len(objects)
    return [(objects[i], objects[(i + step) % n]) for step in steps for i in range(n)]


HALF = {"A": PAPER_OBJECTS[:5], "B": PAPER_OBJECTS[5:]}


def extract(model, noun=0, steps=(1,)):
    """IDs of half A's pairs, then of half B's."""
    pairs = ring(HALF["A"], steps) + ring(HALF["B"], steps)
    return SpatialIDs.extract(
        model, pairs, noun, sites_of(model), partners=1 if SMALL else 3, seed=SEED,
        save_to=CACHE, progress=False,
    )  # fmt: skip


steps = (1,) if SMALL else (1, 2)
ids = {name: extract(model, steps=steps) for name, model in MODELS.items()}
print("A:", ring(HALF["A"], [1])[:3], "...")
print("B:", ring(HALF["B"], [1])[:3], "...")
print("sites, pairs, rows, columns, d_model:", list(ids[YES].vectors.shape))

# %%
CORNERS = [0, 3, 12, 15]
SHOWN = ring(HALF["A"], [1]) + ring(HALF["B"], [1])


def draw_sheet(number):
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 4.3))
    for axes, name in zip(panels, MODELS, strict=True):
        site = ids[name].sites[min(number, len(ids[name].sites) - 1)]
        sheet = ids[name].mean(site)
        plots.id_grid(flat(sheet, sheet).reshape(4, 4, 2), axes)
        points = flat(ids[name].subset(SHOWN).at(site), sheet).reshape(-1, 16, 2)
        firsts = [first for first, _ in SHOWN for _ in CORNERS]
        plots.sprites_at(axes, points[:, CORNERS].reshape(-1, 2), firsts, zoom=0.09)
        bare(axes, f"{name}\n{site}")
    figure.tight_layout()
    return figure


plots.slider(draw_sheet, range(len(ids[YES].sites)), "block number", start=0)

# %% [markdown]
# **Figure 4.3.** *Sheets and flocks, block by block.* Blue: the spatial IDs of all sixteen
# cells on their first two principal components. Sprites: the object-specific IDs of the
# four *corner* cells, one for each pair. Where IDs are shared, four mixed flocks sit at the
# corners of the sheet. Move the slider and see at which block the sheet unfolds.
#
# ## How much of a word is place?
#
# A figure of two components may hide that place is a tiny part of the vector. So split
# the variance of the raw states, at each block, into four parts that add up to all of it:
# the **object** (the same in all places), the **place** (the same for all objects: this is
# the spatial ID), **object × place** (a place code of each object's own), and the rest, which
# is the **partner**.

# %%
def shares(states):
    """Parts of the variance of ``[pairs, partners, rows, columns, d_model]``."""
    x = states.flatten(2, 3)
    x = x - x.mean((0, 1, 2))
    cell = x.mean(1)  # pairs, cells, d_model
    objects, place = cell.mean(1, keepdim=True), cell.mean(0, keepdim=True)
    parts = {
        "object": objects.expand_as(cell), "place": place.expand_as(cell),
        "object × place": cell - objects - place,
    }  # fmt: skip
    total = float(x.square().sum(-1).mean())
    found = {key: float(v.square().sum(-1).mean()) / total for key, v in parts.items()}
    return found | {"partner": 1 - sum(found.values())}


variance = {
    name: pd.DataFrame([shares(s) for s in raw[name]], index=blocks(MODELS[name]))
    for name in MODELS
}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(
    1, 2, figsize=(10, 3.9), sharey=True, layout="constrained"
)
TINTS = ["#C9C9C9", "#0072B2", "#E69F00", "#EFEFEF"]
for axes, (name, table) in zip(panels, variance.items(), strict=True):
    table.plot.bar(stacked=True, ax=axes, color=TINTS, width=0.85, legend=False, rot=0)
    # Without any shared place, averaging over n pairs leaves 1/n of the mixed part.
    chance = (table["place"] + table["object × place"]) / len(FEW)
    for index, (low, level) in enumerate(zip(table["object"], chance, strict=True)):
        axes.plot([index - 0.42, index + 0.42], [low + level] * 2, "k--", lw=1)
    axes.set(title=name, xlabel="after block")
panels[0].set_ylabel("share of variance")
handles, labels = panels[0].get_legend_handles_labels()
_ = figure.legend(handles, labels, loc="outside lower center", ncols=4)

# %% [markdown]
# **Figure 4.4.** *What varies at an object word.* Blue is the spatial ID. The dashed line
# shows how high the blue part would come by chance alone: if every object had a place code
# of its own, the mean over pairs would still keep one part in as many as there are
# pairs. Only what rises above the line is shared.

# %%
def ratio(table):
    """Of all that depends on place: how much is shared between objects."""
    return table["place"] / (table["place"] + table["object × place"])


middle = {name: table.iloc[len(table) // 2] for name, table in variance.items()}
flock = "by place" if middle[YES]["place"] > middle[YES]["object"] else "by object"
glue("ch4_flock", flock)
for key, name in [("yes", YES), ("no", NO)]:
    glue(f"ch4_place_{key}", float(middle[name]["place"]))
    glue(f"ch4_shared_{key}", float(ratio(middle[name])))
    print(f"{name}: place is {middle[name]['place']:.2f} of all variance;")
    print(f"    of what depends on place {ratio(middle[name]):.2f} is shared")
print(f"by chance: {1 / len(FEW):.2f}")

# %% [markdown]
# In the middle block of the model, place accounts for {glue:text}`ch4_place_yes` of all
# variance; of the part that depends on place at all, {glue:text}`ch4_shared_yes` is shared
# between objects. In the control the two numbers are {glue:text}`ch4_place_no` and
# {glue:text}`ch4_shared_no`. So the model's states in Figure 4.2 flock more
# {glue:text}`ch4_flock`, and now you know how much more. (A word of a large model has more
# to remember than where things are. Expect a smaller share there.)
#
# ## Does a frog's "top left" point where a teapot's does?
#
# Two vectors agree when they point the same way: the cosine between them. Take one pair of
# half A and compare its sixteen IDs with the *mean* IDs of half B, cell by cell. It never
# met an object of B.
#
# A cosine of 0.6 means nothing without a **{term}`null`**: what would you get with no sharing of
# places? Shuffle the sixteen cells of one side and compare again. This keeps everything
# (the vectors, their lengths, the space they span) but the places.
#
# ````{exercise} Split-half reliability
# :label: ch4-split-half
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# One pair's ID is noisy; a mean over pairs is less so. Write `split_half(one, other)` for
# IDs of two halves, each `[pairs, rows, columns, d_model]`. Return one number: the cosine
# between the halves' mean IDs at each cell, averaged over cells. Mind the order of
# averaging and cosine.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def split_half(one, other):
    # First the mean over pairs: what is not shared averages out. Then the cosine.
    # The other order would measure single pairs, noise and all.
    return float(cosine(one.mean(0), other.mean(0)).mean())


# %%
ch04.check_split_half(split_half)


# %%
def bootstrap(one, other, draws=200):
    """Split-half reliability with a 95 % interval: pairs of each half drawn again."""
    random = torch.Generator().manual_seed(SEED)

    def again(half):
        return half[torch.randint(len(half), (len(half),), generator=random)]

    values = [split_half(again(one), again(other)) for _ in range(draws)]
    low, high = np.percentile(values, [2.5, 97.5])
    return stats.Interval(split_half(one, other), float(low), float(high), len(one))


def by_shuffling(these, site, draws=20):
    """The same number with the cells of half B in a random order."""
    n = len(these.pairs) // 2
    null = [
        split_half(these.at(site)[:n], these.shuffled(seed).at(site)[n:])
        for seed in range(1, draws + 1)
    ]
    low, high = np.percentile(null, [2.5, 97.5])
    return stats.Interval(float(np.mean(null)), float(low), float(high), draws)


# %%
def sharing(name):
    """Two tables: curves over blocks, and the cosine of every single pair."""
    rows, singles, these = [], [], ids[name]
    for layer, site in zip(blocks(MODELS[name]), these.sites, strict=True):
        n = len(these.pairs) // 2
        a, b = these.at(site)[:n], these.at(site)[n:]
        single = torch.cat([cosine(a, b.mean(0)), cosine(b, a.mean(0))]).mean((1, 2))
        for kind, value in [
            ("one pair", stats.mean(single)),
            ("mean of a half", bootstrap(a, b)),
            ("shuffled cells", by_shuffling(these, site)),
        ]:
            rows.append({"layer": layer, "what": kind} | value._asdict())
        for number, value in enumerate(single):
            singles.append({"layer": layer, "pair": number, "cosine": float(value)})
    return pd.DataFrame(rows), pd.DataFrame(singles)


shared = {name: sharing(name) for name in MODELS}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw_two(tables, by, ylabel, colors, styles=None):
    figure, panels = plt.subplots(
        1, 2, figsize=(10, 4), sharey=True, layout="constrained"
    )
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        plots.with_band(table, "layer", by, axes, colors, styles)
        axes.get_legend().remove()
        axes.axhline(0, color="0.5", lw=0.8)
        axes.set(title=name, xlabel="after block", ylim=(-0.35, 1.05))
    panels[0].set_ylabel(ylabel)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


KINDS = {
    "one pair": "#56B4E9", "mean of a half": "#0072B2", "shuffled cells": "#7F7F7F",
}  # fmt: skip
curves = {name: table for name, (table, _) in shared.items()}
draw_two(curves, "what", "cosine across halves", KINDS)

# %% [markdown]
# **Figure 4.5.** *Sharing between objects that have nothing in common.* Light blue: one
# pair against the mean of the other half. Dark blue: mean against mean. Grey: mean against
# mean with shuffled cells, 20 shuffles. Bands are 95 % (over pairs; for grey, over
# shuffles; the dark band leans low, since a half drawn again has some pairs twice and others
# not at all). The distance between the two blues is what averaging buys you. The grey
# band lies a little *below* zero: centred IDs sum to zero over the cells, so a wrong
# cell is on average the opposite of the right one.
#
# ````{exercise} How far below zero?
# :label: ch4-null
#
# Difficulty ●○○ · importance ●●○ · 5 minutes, on paper
#
# Some vectors, `cells` of them, are equally long and sum to zero. Take the cosine of every vector with every *other*
# one. Write `wrong_cell(cells)`: the mean of all these cosines. Do you need to know how the vectors lie, or in how
# many dimensions?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def wrong_cell(cells):
    # The squared length of the sum is zero. Written out it holds every vector with itself,
    # cells times a cosine of 1, and every ordered pair, cells * (cells - 1) times their mean.
    return -1 / (cells - 1)


# %%
ch04.check_wrong_cell(wrong_cell)
at_level = curves[YES].pivot(index="layer", columns="what", values="estimate")
at_level["foretold"] = wrong_cell(16) * at_level["mean of a half"]
at_level[["shuffled cells", "foretold"]].round(3).rename_axis(columns=None)

# %% [markdown]
# *Beside the grey level, what arithmetic foretells*: where halves agree at $r$, a wrong cell is at $-r/15$. So this
# null is no zero, and a null seldom is. If you had compared with 0, IDs without any agreement would have looked
# better than they are; and of a sheet with four cells only, a null of $-1/3$ would look like a discovery of its own.
#
# Choose the block on the pairs of half A, read the number on those of half B.

# %%
def chosen_block(singles, pairs):
    """The block with the highest cosine on half A, and the interval on half B."""
    on_a = singles[singles["pair"] < pairs // 2].groupby("layer")["cosine"].mean()
    best = int(on_a.idxmax())
    on_b = singles[(singles["pair"] >= pairs // 2) & (singles["layer"] == best)]
    return best, stats.mean(on_b["cosine"])


def halves_at(name):
    """The interval of 'mean of a half' at the model's chosen block."""
    table = shared[name][0]
    row = table[(table["what"] == "mean of a half") & (table["layer"] == BEST[name])]
    row = row[["estimate", "low", "high", "n"]].astype(object)  # n stays whole
    return stats.Interval(*row.iloc[0])


BEST = {}
for key, name in [("yes", YES), ("no", NO)]:
    BEST[name], value = chosen_block(shared[name][1], len(ids[name].pairs))
    halves = halves_at(name)
    glue(f"ch4_block_{key}", BEST[name])
    glue(f"ch4_single_{key}", value)
    glue(f"ch4_halves_{key}", halves)
    print(f"{name}, block {BEST[name]}: one pair {value}; halves {halves}")

# %% [markdown]
# In the model, at block {glue:text}`ch4_block_yes`, the ID of one pair has a cosine of
# {glue:text}`ch4_single_yes` with the mean of the other half, and the two halves agree at
# {glue:text}`ch4_halves_yes`. In the control, at its best block
# {glue:text}`ch4_block_no`: {glue:text}`ch4_single_no` and {glue:text}`ch4_halves_no`.

# %%
def verdict(value):
    if value.low > 0.5:
        return "largely shared between objects"
    return "not shared beyond chance" if value.low < 0.1 else "shared to some extent"


for key, name in [("yes", YES), ("no", NO)]:
    glue(f"ch4_verdict_{key}", verdict(halves_at(name)))
    print(f"{name}: IDs are {verdict(halves_at(name))}")

# %% [markdown]
# So, in words: in the model the IDs are {glue:text}`ch4_verdict_yes`. In the control they
# are {glue:text}`ch4_verdict_no`.
#
# (An estimate above its own interval is no misprint: the caption of Figure 4.5 tells why these bands lean low.)
#
# Be careful with that second sentence, whichever way it came out. If both sentences read the same, then the cosine alone
# fails the test that this book began with: it finds IDs in a model that gets its answers without them. A cosine has no size. The
# control's words, too, can look at the image, and a trace of place may reach them that
# averages to a clean direction although it is a tiny part of the vector. Figure 4.4 says how
# much of the vector it is; the {term}`mirror swap` of {doc}`03_where_does_it_flow` says that the
# answer does not use it. **A readable ID need not be a used one.** Only an intervention can
# tell, and {doc}`06_steering_beliefs` makes it.
#
# ## First noun, second noun
#
# So far the ID was read at the first noun. There the model has read "Is the frog" and no
# more. It cannot know what will be asked. Whatever it does there, it does on speculation:

# %%
image = tour[0].render()
questions = [LEFT_RIGHT.format(*pair), "Is the frog above or below the camel?"]
both = vlm.prompt([image, image], questions)
where = [[one.word("frog")[-1]] for one in both]
states = read_states(vlm, both, where, sites_of(vlm))
gap = float((states[:, 0] - states[:, 1]).abs().max())
print(f"largest difference at 'frog' between the two questions: {gap:.1e}")

# %% [markdown]
# No difference beyond rounding, at any block: the same ID must serve every question that might come. That
# is a reason for a *general* code of place at the first noun. The second noun is
# different. It comes when the question is known and the first object has been read. Does it
# carry the same IDs?

# %%
second = {name: extract(model, noun=1) for name, model in MODELS.items()}


def nouns_table(name):
    """Across halves: each noun with itself, and the first with the second."""
    rows, n = [], len(second[name].pairs) // 2
    for layer, site in zip(blocks(MODELS[name]), second[name].sites, strict=True):
        two = second[name].at(site)
        one = ids[name].subset(second[name].pairs).at(site)
        for what, value in [
            ("first noun", bootstrap(one[:n], one[n:])),
            ("second noun", bootstrap(two[:n], two[n:])),
            ("first against second", bootstrap(one[:n], two[n:])),
        ]:
            rows.append({"layer": layer, "what": what} | value._asdict())
    return pd.DataFrame(rows)


# %%
nouns = {name: nouns_table(name) for name in MODELS}
NOUNS = dict(zip(nouns[YES]["what"], ["#0072B2", "#009E73", "#D55E00"], strict=False))
draw_two(nouns, "what", "cosine across halves", NOUNS)
at = nouns[YES][nouns[YES]["layer"] == BEST[YES]].set_index("what").astype(object)
for key, what in [("second", "second noun"), ("cross", "first against second")]:
    value = stats.Interval(*at.loc[what, ["estimate", "low", "high", "n"]])
    glue(f"ch4_{key}", value)
    print(f"{YES}, block {BEST[YES]}, {what}: {value}")

# %% [markdown]
# **Figure 4.6.** *Two nouns, one code?* All three curves compare halves without a common
# object. Green: is the second noun's ID shared between objects? Red: does the first noun's
# "top left" (half A) point where the second noun's "top left" (half B) does? At block
# {glue:text}`ch4_block_yes` of the model: {glue:text}`ch4_second` and
# {glue:text}`ch4_cross`. Where red is as high as the other two, both nouns use one code,
# and an ID read at one may be written at the other. Where it is lower, they do not, and
# code that reads IDs at the first noun and uses them at the second (the released training
# script does) compares two different things.
#
# ## Which token of "hot dog"?
#
# Words come in pieces. The paper reads the *last* token of an object word. Why the last? A
# causal model at "hot" has not yet read "dog". But it may guess. Measure it: for all
# words that this tokenizer splits, look for the spatial ID at the article, at the word's
# first and last token, and at the token behind it.

# %%
blank = tour[0].render()


def is_split(word, model=vlm):
    return len(model.prompt(blank, LEFT_RIGHT.format(word, "camel")).word(word)) > 1


SPLIT = [word for word in OBJECTS if is_split(word)]
example = vlm.prompt(blank, LEFT_RIGHT.format(SPLIT[0], "camel"))
print("split:", ", ".join(SPLIT))
print("for example:", [example.tokens[p] for p in example.word(SPLIT[0])])
SPOTS = {
    "the": lambda where: where[0] - 1, "first token": lambda where: where[0],
    "last token": lambda where: where[-1], "next word": lambda where: where[-1] + 1,
}  # fmt: skip


# %%
def tour_of(model, word):
    """Prompts of a word's object in all cells, each with the partner at two places."""
    prompts = []
    for number, cell in enumerate(CELLS):
        for step in (5, 11):
            cells = (cell, CELLS[(number + step) % 16])
            image = grid_scene((word, "camel"), cells, SIZE, 4).render()
            prompts.append(model.prompt(image, LEFT_RIGHT.format(word, "camel")))
    return prompts


# %%
def amount(states, reference):
    """How much of the ID is in these states: 1 is all of it, 0 nothing."""
    cell = states.reshape(16, 2, -1).mean(1)
    cell = cell - cell.mean(0)
    return float((cell * reference).sum() / reference.square().sum())


rows = []
for name, model in MODELS.items():
    site = model.resid_post(BEST[name])
    whole = [pair for pair in ids[name].pairs if not is_split(pair[0], model)]
    reference = ids[name].subset(whole or ids[name].pairs).mean(site).reshape(16, -1)
    for word in SPLIT[: 2 if SMALL else None]:
        prompts = tour_of(model, word)
        spans = [prompt.word(word) for prompt in prompts]
        where = [[position(span) for position in SPOTS.values()] for span in spans]
        states = read_states(model, prompts, where, [site])[0]
        for number, spot in enumerate(SPOTS):
            value = amount(states[:, number], reference)
            rows.append({"model": name, "word": word, "spot": spot, "amount": value})
pieces = pd.DataFrame(rows)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(
    1, 2, figsize=(10, 3.6), sharey=True, layout="constrained"
)
for axes, (name, part) in zip(panels, pieces.groupby("model", sort=False), strict=True):
    for spot, color in zip(SPOTS, ["0.8", "#56B4E9", "#0072B2", "0.8"], strict=True):
        value = part[part["spot"] == spot]["amount"]
        mean, low, high, _ = stats.mean(value)
        axes.bar(spot, mean, yerr=[[mean - low], [high - mean]], color=color, capsize=4)
        axes.scatter([spot] * len(value), value, s=12, color="0.25", zorder=3)
    axes.axhline(0, color="0.5", lw=0.8)
    axes.set_title(name)
panels[0].set_ylabel("amount of the spatial ID")
own = pieces[pieces["model"] == YES].groupby("spot")["amount"]
for spot in ("first token", "last token", "next word"):
    glue(f"ch4_piece_{spot.split()[0]}", stats.mean(own.get_group(spot)))

# %% [markdown]
# **Figure 4.7.** *Where in a split word the ID sits.* The IDs come from words of one token
# only; 1 means that all of the ID is there. Dots are words, bars their mean, whiskers 95 %
# intervals. In the model: {glue:text}`ch4_piece_first` at the first token,
# {glue:text}`ch4_piece_last` at the last, {glue:text}`ch4_piece_next` behind the word. If
# you read one token early or late, this is what you get instead. Note what is measured:
# *this* ID, in this direction. A token may know the place in another code.
#
# ## The partner is a nuisance
#
# When the frog is at the left, the camel is more often to its right than to its left: there
# is more room. So where the partner is depends on where the frog is, and whatever the
# word "frog" knows about the camel leaks into the frog's ID. Averaging over partners is
# the cure. How many do you need?
#
# Draw $k$ partners for each cell, make an ID; draw $k$ others, make another. How well do
# the two agree?

# %%
LOTS = 6 if SMALL else 14
SOME = FEW[:2]


def agreement_by_partners(name):
    site = MODELS[name].resid_post(BEST[name])
    states = read_raw(MODELS[name], SOME, [site], LOTS)[0]
    random = np.random.default_rng(SEED)
    rows = []
    for k in range(1, LOTS // 2 + 1):
        values = []
        for _ in range(30):
            order = torch.from_numpy(random.permutation(LOTS))
            one = states[:, order[:k]].mean(1)
            other = states[:, order[k : 2 * k]].mean(1)
            one = one - one.mean((1, 2), keepdim=True)
            other = other - other.mean((1, 2), keepdim=True)
            values.append(float(cosine(one, other).mean()))
        low, high = np.percentile(values, [2.5, 97.5])
        rows.append([name, k, np.mean(values), low, high])
    return pd.DataFrame(rows, columns=["model", "partners", "estimate", "low", "high"])


partners = pd.concat([agreement_by_partners(name) for name in MODELS])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(6.5, 4))
colors = {YES: "#0072B2", NO: "#D55E00"}
plots.with_band(partners, "partners", "model", axes, colors)
for name, part in partners.groupby("model", sort=False):
    one = part["estimate"].iloc[0]
    k = part["partners"]
    # If partners were independent noise, k of them would agree like this.
    axes.plot(k, k * one / (1 + (k - 1) * one), "--", color=colors[name], lw=1)
axes.set(xlabel="partners averaged over", ylabel="cosine between two draws")
axes.set(ylim=(-0.05, 1.05), xticks=sorted(set(partners["partners"])))
axes.axhline(0, color="0.5", lw=0.8)
for key, name in [("yes", YES), ("no", NO)]:
    part = partners[partners["model"] == name]["estimate"]
    glue(f"ch4_partner_one_{key}", float(part.iloc[0]))
    glue(f"ch4_partner_many_{key}", float(part.iloc[-1]))

# %% [markdown]
# **Figure 4.8.** *How many partners?* Two IDs of one pair from disjoint draws of partners,
# at each model's best block; bands hold 95 % of 30 draws. With one partner each they agree
# at {glue:text}`ch4_partner_one_yes` in the model and {glue:text}`ch4_partner_one_no` in
# the control; with the most that we have, at {glue:text}`ch4_partner_many_yes` and
# {glue:text}`ch4_partner_many_no`. The dashed lines are what you would expect if partners
# were independent noise: agreement $r$ with one partner becomes $kr / (1 + (k-1)r)$ with $k$
# (Spearman and Brown's formula {cite}`spearman1910correlation,brown1910some`). With too few partners two people who follow the same
# recipe find different "IDs" for the same frog.
#
# Averaging does not remove everything. The partner can be in any cell *but the frog's*, so
# even with all 15 of them the ID of a cell lacks that one cell's share: 1/15 of the
# partner's own effect stays, with the sign reversed.
#
# ## Between the cells
#
# A model does not know of our grid. If IDs form a smooth sheet, a place between two cells
# should have an ID between theirs. You will need such IDs to steer an object to any
# place in {doc}`06_steering_beliefs`.
#
# ````{exercise} IDs for any place
# :label: ch4-interpolate
#
# Difficulty ●●○ · importance ●○○ · 15 minutes
#
# Write `at_place(mean, row, column)` for mean IDs `[rows, columns, d_model]` and a place in
# cells (1.5 is half way between the centres of cells 1 and 2). Weigh the four
# surrounding cells bilinearly. Check that your weights sum to 1 at the edges as well: in the
# released code they sum to anything from 0.04 to 0.5 there.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def at_place(mean, row, column):
    def hat(place, count):
        # 1 at the place's own cell, falling to 0 at the next one on each side.
        return (1 - (torch.arange(count) - place).abs()).clamp(min=0)

    weights = torch.outer(hat(row, mean.shape[0]), hat(column, mean.shape[1]))
    return torch.einsum("rc,rcd->d", weights, mean)


# %%
ch04.check_interpolate(at_place)

# %%
site = vlm.resid_post(BEST[YES])
mean = ids[YES].mean(site)
turn = np.linspace(0, 2 * np.pi, 60)
walk = [at_place(mean, 1.5 + 1.3 * np.sin(t), 1.5 + 1.3 * np.cos(t)) for t in turn]
figure, axes = plt.subplots(figsize=(5, 5))
plots.id_grid(flat(mean, mean).reshape(4, 4, 2), axes)
points = flat(torch.stack(walk), mean)
axes.plot(*points.T, color="#D55E00", lw=2)
plots.sprites_at(axes, points[:1], ["frog"], zoom=0.25)
bare(axes, f"{YES}, {site}")

# %% [markdown]
# **Figure 4.9.** *A frog walks in a circle.* The red line is the interpolated ID of an
# object that goes around the centre of the image once. How round it looks tells you how
# even the sheet is.
#
# ## Keep them
#
# In work of your own you will want to keep IDs. (The chapters of this book extract theirs anew, so
# that each of them runs alone.) The file is a safetensors file: an array and
# a short header that says where it came from, at which sites, from which pairs. No
# pickle, so opening somebody else's IDs runs nobody else's code.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "spatial_ids.safetensors"
    ids[YES].save(path)
    size = path.stat().st_size / 1e6
    again = SpatialIDs.load(path)
assert torch.equal(again.vectors, ids[YES].vectors)
print(f"{size:.1f} MB, {len(again.pairs)} pairs, noun {again.noun}, {again.model}")
print("sites:", again.sites[0], "...", again.sites[-1])

# %% [markdown]
# The site's name travels with the vectors. That matters: an ID that was read at one
# site must be written at that same site. One of the released scripts reads at one
# block and writes one block later, since a bare number does not say what it counts.
#
# ## A place, or a place beside something?
#
# An ID is defined by our grid of cells in the *image*. A noun could as well say where its object is *seen from the
# other one*: "one column to the left of the camel". On averages over partners you cannot tell: the partner averages
# out. You need pictures that pull the two apart. Move one object by a cell, move the other one, move both.
#
# ````{exercise} Research sprint: absolute or relative
# :label: ch4-code
#
# Difficulty ●●● · importance ●●● · half a day
#
# For the measure, write `code_of(own, both, partner)`. Each argument holds changes of the state at a noun, after
# minus before, `[scenes, d_model]`: when its own object moves a cell to the right, when both objects do, and when
# the partner alone does. Return two numbers, `absolute` and `relative`, as parts of the change that the own step makes:
# how much of it is still there if the partner comes along, and how much of it the partner makes by going the *other*
# way. A code of places in the image gives 1 and 0, one of relations 0 and 1. Mind three things: a scene is noisy; the
# partner may change something else in the vector, too; and a cosine has no size.
#
# Then make the pictures, read both nouns, and say beforehand what you expect at either, and why.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show the first hour", "code_prompt_hide": "Hide the first hour"}
def code_of(own, both, partner):
    # Means before products: the noise of one scene would lengthen the ruler, and shorten
    # whatever is measured with it. The projection on the own step leaves out what the partner
    # changes elsewhere in the vector, and keeps the size that a cosine throws away.
    ruler = own.mean(0)
    along = [float(change.mean(0) @ ruler / ruler.square().sum()) for change in (both, partner)]
    # They need not sum to one: that they do is a finding (the two places add up), so measure both.
    return along[0], -along[1]


def four_pictures(model, count):
    """States at both nouns: as it is, the first object moved, the second moved, both moved."""
    random, prompts, spans = np.random.default_rng(SEED), [], []
    for number in range(count):
        pair, rows = FEW[number % len(FEW)], random.permutation(4)[:2]
        columns = random.integers(0, 3, 2)
        for steps in ((0, 0), (1, 0), (0, 1), (1, 1)):
            places = zip(rows, columns, steps, strict=True)
            cells = [(int(row), int(column + step)) for row, column, step in places]
            image = grid_scene(pair, cells, SIZE, 4).render()
            prompts.append(model.prompt(image, LEFT_RIGHT.format(*pair)))
            spans.append([span[-1] for span in prompts[-1].words(pair)])
    states = read_states(model, prompts, spans, sites_of(model))
    return states.reshape(len(states), count, 4, 2, -1)


states = four_pictures(vlm, 8 if SMALL else 32)
changes, lines = states - states[:, :, :1], {}
for layer, change in zip(blocks(vlm), changes, strict=True):
    for noun, word in enumerate(("first noun", "second noun")):
        own, partner, both = (change[:, picture, noun] for picture in (1 + noun, 2 - noun, 3))
        lines[word, layer] = code_of(own, both, partner)
code = pd.DataFrame(lines, index=["absolute", "relative"]).T.round(2) + 0.0  # no -0.00
code.unstack(0).swaplevel(axis=1).sort_index(axis=1).rename_axis("after block")
# Still to do: intervals (draw scenes again, all four pictures of a scene together), the same
# along rows, and the control: a step of an object that the question does not name.

# %%
ch04.check_code(code_of)

# %% [markdown]
# ## Summary
#
# - Average over partners, centre over places, average over pairs: what is left says *where*,
#   whatever the *what*.
# - In the model the IDs are {glue:text}`ch4_verdict_yes`: halves of the pairs without a common
#   object agree at {glue:text}`ch4_halves_yes`, at block {glue:text}`ch4_block_yes`.
#   In the control they are {glue:text}`ch4_verdict_no` ({glue:text}`ch4_halves_no`).
# - Compare with a null that keeps all but the thing in question: here, shuffled cells.
# - Place is {glue:text}`ch4_place_yes` of the variance at an object word in the model's middle
#   block and {glue:text}`ch4_place_no` in the control's. A direction can be clean and small.
# - At the first noun the model does not know the question, so its ID must serve all.
# - Say which noun and which token an ID came from. They may differ.
# - A partner's place leaks in; average over several.
#
# You have a vector for each cell. {doc}`05_their_geometry` asks how they lie: is
# it really a sheet, is it flat, and do the words "left" and "right" lie on it?
#
# ## Open question: a research sprint
#
# With two objects, "seen from the other one" and "seen from the middle of all objects" are nearly the same code. In a
# crowd they are not. Take an afternoon: design scenes with four or five objects that tell apart a place in the image,
# a place beside the object that the question will name, and a place in the crowd. The first noun cannot know
# whom the question will name. What does each hypothesis predict for it? Decide before you run it.
#
# ## Further reading
#
# - {cite:t}`kang2026linear` define spatial IDs and find them in eleven models.
# - {cite:t}`feng2024bind` found *binding IDs* in language models: vectors that tie a
#   name to its attribute, and that add as these do.
# - {cite:t}`assouel2026visual` describe heads that compute position indices.
# - {cite:t}`cui2026dual` look for the layout in the vision encoder.
#
# **What follows.** {doc}`05_their_geometry` draws the map of these vectors.
