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
# # Their geometry
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/05_their_geometry.ipynb)
# · about 40 minutes to read, another 50 for the exercises, one or two to run
# · runs without a GPU · builds on Chapter [4](04_finding_spatial_ids.ipynb)
#
# Chapter 4 left you with sixteen vectors, one for each cell of a grid: the {term}`spatial IDs <spatial ID>`.
# Each is a list of numbers without any picture in it. **Do they form a map?** If the
# frog one cell further right always moves the vector the same way, wherever the frog
# was and whatever it stands next to, then the model has something like graph paper
# inside. If not, it has sixteen separate labels.
#
# You will draw the map first and measure it afterwards. The measuring is where people
# fool themselves, so each number here comes from pairs of objects that had no part in
# making the map, and stands next to what pure chance gives.
#
# **You will learn**
# - how to find the plane on which IDs lie, and to look at it block by block
# - why explained variance of the points that made the axes says little
# - how well place predicts an ID on new objects, with intervals, next to the paper's numbers
# - whether the code is absolute ("second column") or relative ("left of the other one")
# - whether the words "left" and "right" point along the axes, and what chance gives

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

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from helpers import Placed, Scene, SpatialIDs, geometry, plots, stats
from helpers.beliefs import surface_forms
from helpers.exercises import ch05
from helpers.ids import LEFT_RIGHT
from helpers.reading import read_states
from helpers.report import glue, open_models
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.split import held_out_pairs, is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS

MODELS = open_models(
    MODEL, CONTROL, chapter="05_their_geometry", small=SMALL, seed=SEED
)
YES, NO = MODELS  # the names: of the model, and of its control
COLOR = {YES: plots.COLORS["tiny-llava"], NO: plots.COLORS["tiny-llava-direct"]}

# %% [markdown]
# ## Two sets of objects
#
# Before any vector is read, decide who may see what. The *map makers* are pairs of the
# paper's ten objects. The *test pairs* are made of the other objects, paired in ways that
# the shipped models never saw in training. No object is in both sets. Whatever the map
# says about a test pair, it cannot have learned it from that pair.

# %%
rng = np.random.default_rng(SEED)
ordered = itertools.permutations(PAPER_OBJECTS, 2)
makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
others = [p for p in held_out_pairs() if not set(p) & set(PAPER_OBJECTS)]
TRAIN, TEST, PARTNERS = (6, 4, 1) if SMALL else (18, 12, 2)
train_pairs = [makers[i] for i in rng.choice(len(makers), TRAIN, replace=False)]
test_pairs = [others[i] for i in rng.choice(len(others), TEST, replace=False)]

train, test = {}, {}
for name, vlm in MODELS.items():
    options = {"partners": PARTNERS, "seed": SEED, "save_to": CACHE, "progress": False}
    train[name] = SpatialIDs.extract(vlm, train_pairs, **options)
    test[name] = SpatialIDs.extract(vlm, test_pairs, **options)
print("a map maker:", train_pairs[0], "  a test pair:", test_pairs[0])
print("sites, pairs, rows, columns, d_model:", tuple(train[YES].vectors.shape))

# %% [markdown]
# You also need to settle on one block to talk about, without peeking at the test pairs.
# Half of the map makers predict the other half; the block where they do it best wins.

# %%
def blocks_that_see(vlm):
    """All blocks; where only some look at the picture, those from the first such."""
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    return range(min(looking, default=0), vlm.n_layers)


def best_site(ids, blocks):
    """The site at which one half of the pairs predicts the other half best."""
    one, other = stats.halves(range(len(ids.pairs)), SEED)
    sites = [ids.sites[block] for block in blocks]
    fits = [geometry.linear_fit(ids.at(s)[one], ids.at(s)[other]) for s in sites]
    return sites[int(np.argmax(fits))]


BLOCKS = {name: blocks_that_see(vlm) for name, vlm in MODELS.items()}
SITE = {name: best_site(train[name], BLOCKS[name]) for name in MODELS}
layer_of = {name: int(site.split(".")[1]) for name, site in SITE.items()}
glue("ch5_layer", layer_of[YES])
glue("ch5_layer_control", layer_of[NO])
print(SITE)

# %% [markdown]
# ## Draw it before you measure it
#
# Sixteen vectors of a hundred or more numbers: take the two directions along which they
# differ most (their first two {term}`principal components <principal component>`) and forget the rest. Principal
# components know nothing about rows and columns. They see sixteen unlabelled points.
#
# We then stick a small picture on each point: the cell whose ID it is.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def thumbnails(axes, points, word="frog"):
    """Put on each point a picture of an object in the cell that it stands for."""
    rows, columns = points.shape[:2]
    for row, column in np.ndindex(rows, columns):
        y, x = 0.22 + 0.56 * np.array([row / (rows - 1), column / (columns - 1)])
        picture = np.asarray(Scene((Placed(word, x, y, 0.44),)).render(96))
        image = OffsetImage(picture, zoom=0.4)
        box = AnnotationBbox(image, points[row, column], pad=0.05)
        box.patch.set_edgecolor(plt.cm.viridis(column / max(columns - 1, 1)))
        box.patch.set_linewidth(1.5)
        axes.add_artist(box)
    axes.update_datalim(points.reshape(-1, 2))
    axes.autoscale_view()
    axes.margins(0.14)


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw_pca(name, axes):
    mean = train[name].mean(SITE[name])
    found = geometry.pca(mean, 6)
    points = found.transform(geometry.as_cells(mean)[1])[:, :2]
    points = points.reshape(*mean.shape[:2], 2)
    for line in (*points, *points.swapaxes(0, 1)):
        axes.plot(*line.T, color="0.8", lw=1, zorder=0)
    thumbnails(axes, points)
    share = found.explained_variance_ratio_
    axes.set(xlabel=f"PC 1 ({share[0]:.0%})", ylabel=f"PC 2 ({share[1]:.0%})")
    axes.set_title(f"{name}, block {layer_of[name]}")
    return share[:2].sum()


figure, panels = plt.subplots(1, 2, figsize=(11.5, 5.6))
for key, name, axes in zip(("", "_control"), MODELS, panels, strict=True):
    glue(f"ch5_pca{key}", f"{100 * draw_pca(name, axes):.0f} %")
figure.tight_layout()

# %% [markdown]
# **Figure 5.1.** *The map, found without labels.* Each picture sits where the first two
# principal components put the ID of its cell; grey lines join neighbours in the image.
# The frame's colour goes from left (dark) to right (bright). If the lines make a net
# without folds, the model has laid the cells out as they are in the image, maybe turned
# or flipped: principal components do not know which way is up. Two components hold
# {glue:text}`ch5_pca` of the variance in the model and {glue:text}`ch5_pca_control` in the
# control.
#
# Look hard at the right panel. The control is the model whose answers should not pass
# through {term}`object words <object word>`, and yet principal components draw *something* for it, with a
# percentage that may look splendid. This chapter is about what can be *read* from a vector; the
# next is about what a model *uses*. And percentages of variance are cheap, as you will see
# in a moment.
#
# ## The plane of the two axes
#
# Principal components are whatever directions vary. We want two with a meaning. The
# **{term}`column axis`** is the change of the ID for one cell to the right, the **{term}`row axis`** for
# one cell down: least-squares slopes over the map makers' mean IDs. Every vector then
# has coordinates in cells. The coordinates of a *test* pair's IDs say where the map
# believes that the object is.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the slider", "code_prompt_hide": "Hide the code"}
def draw_plane(name, layer, axes):
    site = MODELS[name].resid_post(layer)
    made = train[name].axes(site)
    for pair in geometry.on_plane(test[name].at(site), made):
        for line in (*pair, *pair.swapaxes(0, 1)):
            axes.plot(*line.T, color=COLOR[name], lw=0.5, alpha=0.13)
    mesh = geometry.on_plane(test[name].mean(site), made)
    plots.id_grid(mesh, axes, COLOR[name], f"{name}, block {layer}")
    arrow = {"arrowstyle": "-|>", "lw": 2.2, "color": "0.15", "mutation_scale": 16}
    axes.annotate("", (1, 0), (0, 0), arrowprops=arrow, zorder=5)
    axes.annotate("", (0, 1), (0, 0), arrowprops=arrow, zorder=5)
    axes.set(xlim=(-2.7, 2.7), ylim=(2.7, -2.7))


def both_planes(layer):
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 5.2))
    for name, axes in zip(MODELS, panels, strict=True):
        draw_plane(name, min(layer, MODELS[name].n_layers - 1), axes)
    figure.tight_layout()
    return figure


plots.slider(both_planes, range(MODELS[YES].n_layers), "block", layer_of[YES])

# %% [markdown]
# **Figure 5.2.** *New objects on the old map, block by block: move the slider.* Axes from
# the map makers, points from the test pairs. Numbers are (row, column) of the cell; faint
# meshes are single pairs, the strong one is their mean; the arrows are the axes, one cell
# long each. A perfect map shows a square net with corners at ±1.5 and every faint mesh
# under the strong one. After block 0 the word has had one chance to look at the image.
# Start there and watch what each block makes of the net.
#
# Look at the net's bends as well. Do the middle cells crowd together, or the outer ones?
# A map can be complete and still be stretched, like a projection of the globe.
#
# ## How much of an ID lies on the plane?
#
# The net shows the part of an ID that lies *in* the plane. What of the part that sticks
# out? The **share** is the squared length inside, over the whole. The paper's code took
# this share on the very points that the axes were made from. Try that on numbers without
# any meaning before you believe it.

# %% [markdown]
# ````{exercise} A map of nothing
# :label: ch5-noise
#
# Difficulty ●○○ · importance ●●● · 15 minutes
#
# `ch05.noise_ids(pairs, seed=...)` makes `SpatialIDs` of pure random numbers, centred as
# real ones are. Write `two_shares(train, test, site)`, which returns two numbers: the share
# of the *training* pairs' mean IDs that lies in the plane of the training axes, and the
# share of the *test* pairs' mean IDs in that same plane. `ids.mean(site)`,
# `ids.axes(site)` and `geometry.plane_share(vectors, axes)` are all you need.
#
# Guess first: sixteen random points, a plane fitted to them. What share will lie on it?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def two_shares(train, test, site):
    # The plane is fitted to the training pairs: only the test pairs can say no to it.
    axes = train.axes(site)
    in_sample = geometry.plane_share(train.mean(site), axes)
    held_out = geometry.plane_share(test.mean(site), axes)
    return in_sample, held_out


# %%
ch05.check_two_shares(two_shares)

# %% [markdown]
# Two random directions in 128 dimensions hold 2/128 of a vector. But sixteen centred
# points span only fifteen dimensions, and axes that were fitted to them hold two of
# those: 2/15 in-sample, out of nothing. Principal components do better still, since
# they may pick the two largest. That is why Figure 5.1's percentages are cheap.
#
# Now the real IDs, held out, one pair at a time, next to a harder chance level than noise:
# *shuffled IDs*, the same vectors assigned to wrong cells, so that everything is as it was
# except the map.

# %%
rows, chance = [], []
for name in MODELS:
    for block in BLOCKS[name]:
        site = train[name].sites[block]
        made, held = train[name].axes(site), test[name].at(site)
        where = {"model": name, "block": block}
        share = geometry.plane_share_over_pairs(held, made)
        rows.append(where | share._asdict())
        for seed in range(3 if SMALL else 10):
            wrong = train[name].shuffled(seed).axes(site)
            chance.append(where | {"share": geometry.plane_share(held, wrong)})
shares = pd.DataFrame(rows)
chance = pd.DataFrame(chance).groupby(["model", "block"])["share"].mean()

axes = plots.with_band(shares, "block", "model", colors=COLOR)
for name in MODELS:
    axes.plot(chance[name].index, chance[name], color=COLOR[name], ls=":", lw=1.5)
axes.axhline(2 / MODELS[YES].d_model, color="0.5", lw=1)
axes.set(ylabel="share of the ID on the plane", ylim=(0, 1))
axes.set_xticks(range(MODELS[YES].n_layers))
for key, name in (("", YES), ("_control", NO)):
    row = shares.set_index(["model", "block"]).loc[name, layer_of[name]]
    glue(f"ch5_share{key}", stats.Interval(*row[["estimate", "low", "high", "n"]]))
    glue(f"ch5_share_shuffled{key}", float(chance[name, layer_of[name]]))

# %% [markdown]
# **Figure 5.3.** *Share of held-out IDs on the plane of the axes.* Bands are 95 % bootstrap
# intervals over test pairs. Dotted: axes from shuffled IDs. Grey: two random directions. At
# the chosen block the model has {glue:text}`ch5_share` on the plane, against
# {glue:text}`ch5_share_shuffled` with shuffled cells; the control has
# {glue:text}`ch5_share_control`.
#
# Where the shuffled level stands above two random directions, it is because IDs live in a
# few dimensions only, and any axes made from them stay within these.
#
# What is left over is not all error. It holds bends of the map, things that single pairs
# do in their own way, and places that the model is unsure about.
#
# ## From place to ID
#
# The paper's number for "linear" is an $R^2$: fit a linear map from (row, column) to the
# ID, and ask how much of the IDs' variance it predicts. At rank 3 it reports 0.854 for
# LLaVA-1.5, 0.869 for Llama-3.2-V and 0.903 for Qwen2.5-VL {cite}`kang2026linear`. Ours is
# harder in one respect: fit on the map makers, score on new objects. There are two
# honest ways to score, and they answer different questions:
#
# - **one pair at a time**: how well do you know the vector at *this* word?
# - **the mean over test pairs**: how well do you know the shared map? What single objects
#   add falls out.

# %%
def scores(name, site):
    made, held = train[name].at(site), test[name].at(site)
    flat = geometry.linear_prediction(made)
    yield "one pair", geometry.r2_over_pairs(flat, held)
    shared, n = geometry.r2(flat, held.mean(0)), len(held)
    # Pairs drawn with replacement are fewer different ones, and their mean is a noisier one than
    # ours: a bootstrap would be too pessimistic. So leave out one pair at a time.
    without = [geometry.r2(flat, (held.sum(0) - pair) / (n - 1)) for pair in held]
    error = 1.96 * np.sqrt(n - 1) * np.std(without)  # the jackknife's
    yield "mean of pairs", stats.Interval(shared, shared - error, min(1, shared + error), n)


fits = pd.DataFrame(
    {"model": name, "block": block, "scored": how, **score._asdict()}
    for name in MODELS
    for block in BLOCKS[name]
    for how, score in scores(name, train[name].sites[block])
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True)
for how, axes in zip(fits["scored"].unique(), panels, strict=True):
    plots.with_band(fits[fits["scored"] == how], "block", "model", axes, COLOR)
    axes.axhspan(0.854, 0.903, color="0.5", alpha=0.25, lw=0)
    axes.text(0.1, 0.92, "paper, rank 3", fontsize=8)
    axes.set(title=how, ylabel="held-out $R^2$", ylim=(min(0, fits["low"].min()), 1))
    axes.set_xticks(range(MODELS[YES].n_layers))
    axes.legend(loc="lower left")
panels[0].get_legend().remove()
figure.tight_layout()
at = fits.set_index(["model", "scored", "block"])
for key, name in (("", YES), ("_control", NO)):
    for short, how in (("one", "one pair"), ("mean", "mean of pairs")):
        row = at.loc[(name, how, layer_of[name])]
        interval = stats.Interval(row.estimate, row.low, row.high, row.n)
        glue(f"ch5_r2_{short}{key}", interval)
best_mean = at.loc[(YES, "mean of pairs", layer_of[YES]), "estimate"]
glue("ch5_gate", "reaches" if best_mean >= 0.85 else "does not reach")

# %% [markdown]
# **Figure 5.4.** *How linear is the map?* Held-out $R^2$ of a linear map from (row, column)
# to ID, with 95 % intervals over test pairs (left: bootstrap; right: jackknife {cite}`efron1979bootstrap`); the grey bar is the range of the paper's three
# numbers. At the chosen block of the model: {glue:text}`ch5_r2_mean` on the mean of the test
# pairs, {glue:text}`ch5_r2_one` one pair at a time. The mean {glue:text}`ch5_gate` 0.85, the
# bar that we set ourselves before training. The control: {glue:text}`ch5_r2_mean_control` and
# {glue:text}`ch5_r2_one_control`.
#
# The gap between the panels is the objects' own contribution: an ID is nearly, not
# wholly, independent of what the object is.
#
# How high could the left panel come at best? Not to 1. What a pair does in its own way, no map
# of places can tell, however it bends.
#
# ````{exercise} The best that any map could do
# :label: ch5-ceiling
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Say that a pair's ID at a cell is what all pairs share there plus something of its own. Write
# `ceiling(ids)` for IDs `[pairs, rows, columns, d_model]`, each pair centred: the $R^2$ that the shared part
# would have on single pairs, if you knew it. You do not. You know the mean over pairs, and it
# holds some of what is each pair's own.
#
# Guess first: four pairs of pure noise share nothing, so the answer is 0. What comes out if you take
# the mean of all four for the shared part? And what if you compare each pair with the mean of the other three?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def ceiling(ids):
    # Each pair is in the mean that it is compared with, so it misses too little: noise would get
    # 1/pairs. With the mean of the others it misses too much, since that has noise of its own:
    # noise would get -1/(pairs - 1). Dividing by pairs - 1 is right in between, as in any variance.
    own = (ids - ids.mean(0)).square().sum() / (len(ids) - 1)
    return 1 - float(own / ids.square().sum((1, 2, 3)).mean())


# %%
ch05.check_ceiling(ceiling)
best = {name: ceiling(test[name].at(SITE[name])) for name in MODELS}
linear = {name: at.loc[(name, "one pair", layer_of[name]), "estimate"] for name in MODELS}
for name in MODELS:
    print(f"{name}: the linear map {linear[name]:.3f}, the shared part {best[name]:.3f}")
glue("ch5_ceiling", best[YES])
glue("ch5_ceiling_control", best[NO])
glue("ch5_left_to_bend", float(best[YES] - linear[YES]))

# %% [markdown]
# What pairs share is {glue:text}`ch5_ceiling` of their IDs in the model and {glue:text}`ch5_ceiling_control` in the control.
# That is the height to compare the left panel with. A low $R^2$ under a low ceiling says that objects go their own
# ways. A low $R^2$ under a high ceiling says that they share a map, and that it is no straight one:
# in the model, {glue:text}`ch5_left_to_bend` are left for bends (and for what the map makers do not share with the test
# pairs).
#
# A linear map has rank two: one direction for columns, one for rows. Perhaps the map is
# curved and needs more room. So let each cell's mean ID, squeezed into $k$ principal
# components, predict the same cell on the test pairs, for growing $k$.

# %%
ranks = range(1, 7)
ranked = pd.DataFrame(
    {"model": name, "rank": rank, **geometry.r2_over_pairs(guess, held)._asdict()}
    for name in MODELS
    for held in [test[name].at(SITE[name])]
    for rank in ranks
    for guess in [geometry.rank_prediction(train[name].at(SITE[name]), rank)]
)

# %%
apart = {}
axes = plots.with_band(ranked, "rank", "model", colors=COLOR)
for name in MODELS:
    mean = train[name].mean(SITE[name])
    row_plus_column = mean.mean(1, keepdim=True) + mean.mean(0, keepdim=True)
    apart[name] = geometry.r2_over_pairs(row_plus_column, test[name].at(SITE[name]))
    axes.axhline(apart[name].estimate, color=COLOR[name], ls="--", lw=1.2)
    straight = at.loc[(name, "one pair", layer_of[name]), "estimate"]
    axes.axhline(straight, color=COLOR[name], ls=":", lw=1.5)
lowest = min(0, ranked["low"].min())
axes.set(ylabel="held-out $R^2$, one pair at a time", ylim=(lowest, 1))
gain = ranked[ranked["model"] == YES].set_index("rank")["estimate"]
glue("ch5_rank2", float(gain[2]))
glue("ch5_rank3", float(gain[3]))
glue("ch5_rank6", float(gain[6]))
straight = at.loc[(YES, "one pair", layer_of[YES]), "estimate"]
glue("ch5_apart", apart[YES])
bend = gain[6] - straight
some = "bends a little" if bend > 0.03 else "is flat"
some = "bends strongly" if bend > 0.15 else some
fits_at_all = max(gain[6], straight) > 0.2
glue("ch5_bend", some if fits_at_all else "says next to nothing about new objects")
glue("ch5_bend_size", float(bend))

# %% [markdown]
# **Figure 5.5.** *How many dimensions does the map need?* Dotted: the linear map of
# Figure 5.4. Two free directions give {glue:text}`ch5_rank2` in the model, three
# {glue:text}`ch5_rank3`, six {glue:text}`ch5_rank6`. Where a curve rises above its dotted
# line, cells have places that no straight ruler predicts. From linear to six dimensions the
# gain is {glue:text}`ch5_bend_size`. We call a map flat below 0.03 and strongly bent above
# 0.15. The model's map **{glue:text}`ch5_bend`**.
#
# Dashed: "one vector for the row plus one for the column", each free to go where it likes.
# In the model it reaches {glue:text}`ch5_apart`. If the dashed line is near the end of the
# curve and the dotted one far below, rows and columns are coded *apart* from each other,
# each along a path that bends. Figure 5.11 shows what such a path looks like.
#
# ````{exercise} Axes by least squares
# :label: ch5-axis
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Everything above hangs on the axes. The released code of the paper took a mean of nine
# differences between IDs, three of which were differences of a cell with itself: zero. Its
# axis has two thirds of the right length, and is not "per cell".
#
# Write `column_axis(ids)` for IDs `[rows, columns, d_model]`: the least-squares slope of the
# ID for one column to the right, all rows together. The grid need not be square. Before you
# start: what does the plain mean of the differences between *neighbouring* columns make of
# the columns in the middle?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def column_axis(ids):
    columns = ids.shape[1]
    steps = torch.arange(columns) - (columns - 1) / 2  # centred: an offset drops out
    by_column = ids.mean(0)  # [columns, d_model]
    # Slope of a regression on one variable: sum(x * y) / sum(x * x).
    return (steps @ by_column) / steps.square().sum()


# %%
ch05.check_axis(column_axis)
mean = train[YES].mean(SITE[YES])
right = column_axis(mean)
neighbours = (mean[:, 1:] - mean[:, :-1]).mean((0, 1))
print(f"length of the axis: {right.norm():.2f}; with three zeros in nine: "
      f"{(6 * right / 9).norm():.2f}")
print(f"cosine with the mean of neighbouring differences: "
      f"{geometry.cosine(right, neighbours):.3f}")

# %% [markdown]
# The mean of neighbouring differences telescopes: $(s_1 - s_0) + (s_2 - s_1) + (s_3 - s_2)$
# is $s_3 - s_0$. The middle columns cancel, and the noise of two columns decides. A slope
# listens to all of them. And length matters, not only direction: in the next chapter a
# {term}`dose` of one means "one ID difference", and an axis that is a third too short would make
# every effect look a third harder to get.
#
# ## One look at a time
#
# So far every vector was an average over partners. The model never sees averages. Take
# single runs: two objects at random, at random places, one question, and the raw hidden
# state. Can a **{term}`linear probe <probe>`** read the place from it, for an object it never saw?
#
# And where could it read it *without* the object word? The word before the noun, "the",
# has seen the same image, but cannot know which object comes next. It is the control.

# %%
def single_looks(count, seed):
    """Random held-out pairs at random places that do not touch: a table of looks."""
    draw, pairs, looks = np.random.default_rng(seed), held_out_pairs(), []
    while len(looks) < count:
        pair = pairs[draw.integers(len(pairs))]
        names = [str(name) for name in draw.permutation(pair)]
        own, other = draw.uniform(0.13, 0.87, (2, 2))
        if np.abs(own - other).max() < 0.25:
            continue
        placed = Placed(names[0], *own, 0.22), Placed(names[1], *other, 0.22)
        cells = 4 * np.array([own, other]).ravel() - 0.5
        looks.append((Scene(placed), *names, *cells))
    columns = ["scene", "first", "second", "x1", "y1", "x2", "y2"]
    return pd.DataFrame(looks, columns=columns)


looks = single_looks(60 if SMALL else 400, SEED)

# %%
states = {}  # [sites, looks, (before the first noun, first noun, second noun), d_model]
for name, vlm in MODELS.items():
    pairs = looks[["first", "second"]].to_numpy().tolist()
    questions = [LEFT_RIGHT.format(*pair) for pair in pairs]
    prompts = vlm.prompt([scene.render() for scene in looks["scene"]], questions)
    nouns = [p.words(pair) for p, pair in zip(prompts, pairs, strict=True)]
    spots = [(one[0] - 1, one[-1], other[-1]) for one, other in nouns]
    states[name] = read_states(vlm, prompts, spots, train[name].sites)
titles = [f"{first} or {second}?" for first, second in pairs[:4]]
_ = plots.show_scenes(looks["scene"][:4], titles)

# %% [markdown]
# **Figure 5.6.** *Single looks.* Random held-out pairs at random places. The probe sees one
# hidden state of one such run at a time.

# %%
WORDS = {"the word before": 0, "first noun": 1, "second noun": 2}
FOLDS = 3 if SMALL else 5
probed = []
for name in MODELS:
    for block in range(len(train[name].sites)):
        for word, spot in WORDS.items():
            whose, n = ("second", 2) if spot == 2 else ("first", 1)
            places = looks[[f"y{n}", f"x{n}"]].to_numpy()
            vectors = states[name][block, :, spot].numpy()
            found = geometry.probe(vectors, places, looks[whose], FOLDS)
            probed.append(found.assign(model=name, block=block, word=word))
probed = pd.concat(probed, ignore_index=True)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True)
tones = {"the word before": "0.55", "first noun": "#0072B2", "second noun": "#CC79A7"}
for name, axes in zip(MODELS, panels, strict=True):
    for word, axis in itertools.product(WORDS, ("column", "row")):
        part = probed.query("model == @name and word == @word and axis == @axis")
        style = "-" if axis == "column" else "--"
        axes.plot(part["block"], part["r2"], style, color=tones[word], marker="o", ms=4,
                  label=word if axis == "column" else None)
    axes.set(title=name, xlabel="block", ylim=(-0.25, 1))
    axes.axhline(0, color="0.3", lw=1)
panels[0].set_ylabel("held-out $R^2$ of the probe")
panels[0].legend(loc="center right")
figure.tight_layout()
by_block = probed.groupby(["model", "word", "block"])["r2"].mean()
top = by_block.groupby(["model", "word"]).max()
glue("ch5_probe", float(top[YES, "first noun"]))
glue("ch5_probe_before", float(top[YES, "the word before"]))
glue("ch5_probe_control", float(top[NO, "first noun"]))

# %% [markdown]
# **Figure 5.7.** *Where is it? Asked of one vector.* Held-out $R^2$ of linear probes for the
# column (solid) and the row (dashed) of the word's own object; for "the word before", of the
# object that comes next. Test objects are new to the probe; curves below −0.25 are cut. At
# its best block, the mean of both axes is {glue:text}`ch5_probe` at the model's first noun,
# {glue:text}`ch5_probe_before` at the word before it, and {glue:text}`ch5_probe_control` at
# the control's first noun.
#
# What can be *decoded* from the control is not nothing either, if its curve rises at all: a
# noun may look at its object to recognise it, and some of the place leaks along. A probe
# with hundreds of examples finds whatever is there. It does not ask what it is for.
#
# ## Absolute or relative?
#
# "Second column from the left" and "left of the camel" are different codes. On averages
# over partners you cannot tell them apart: the other object's place averages out. On
# single looks you can. Project each state on the column axis and regress the coordinate on
# two numbers: the object's own column, and the column of the other object.
#
# | code | slope for own column | slope for the other's |
# |---|---|---|
# | absolute | 1 | 0 |
# | relative | 1 | −1 |
#
# Make a prediction for each noun before you look. At the first noun the model has read
# "Is the frog", and the question could still be about anything.

# %%
second = {
    name: SpatialIDs.extract(vlm, train_pairs[: TRAIN // 2], noun=1, **options)
    for name, vlm in MODELS.items()
}


# %%
def slopes(name, block, noun, seed=SEED):
    """Slopes of the column coordinate on own and other column, with intervals."""
    made = (train, second)[noun][name].axes(train[name].sites[block])
    y = geometry.on_plane(states[name][block, :, 1 + noun], made)[:, 0]
    x = looks[["x1", "x2"] if noun == 0 else ["x2", "x1"]].to_numpy()
    x, y = np.column_stack([x, np.ones(len(x))]), y - y.mean()
    draws = np.random.default_rng(seed).integers(0, len(x), (100, len(x)))
    fitted = np.linalg.lstsq(x, y, rcond=None)[0]
    spread = [np.linalg.lstsq(x[d], y[d], rcond=None)[0] for d in draws]
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    for k, whose in enumerate(("own column", "other's column")):
        yield {"of": whose, "estimate": fitted[k], "low": low[k], "high": high[k]}


# %%
relative = pd.DataFrame(
    {"model": name, "block": block, "noun": ("first noun", "second noun")[noun], **row}
    for name in MODELS
    for block in BLOCKS[name]
    for noun in (0, 1)
    for row in slopes(name, block, noun)
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(2, 2, figsize=(10, 6.4), sharex="col", sharey=True)
for (name, noun), axes in zip(itertools.product(MODELS, relative["noun"].unique()),
                              panels.flat, strict=True):
    part = relative.query("model == @name and noun == @noun")
    plots.with_band(part, "block", "of", axes, {"own column": "#0072B2",
                                                "other's column": "#E69F00"})
    for level in (-1, 0, 1):
        axes.axhline(level, color="0.6", lw=1, ls="-" if level == 0 else ":")
    axes.set(title=f"{name}: {noun}", ylabel="slope (cells per cell)", ylim=(-1.6, 2.1))
figure.tight_layout()


at_block = relative[(relative["model"] == YES) & (relative["block"] == layer_of[YES])]
for key in ("first", "second"):
    part = at_block[at_block["noun"] == f"{key} noun"].set_index("of")
    follows, part = part.loc["own column", "low"] > 0, part["estimate"]
    ratio = -part["other's column"] / part["own column"]
    code = "absolute" if ratio < 0.15 else "relative" if ratio > 0.85 else "in between"
    glue(f"ch5_{key}_code", code if follows else "unclear")
    glue(f"ch5_{key}_own", float(part["own column"]))
    glue(f"ch5_{key}_other", float(part["other's column"]))

# %% [markdown]
# **Figure 5.8.** *Whose column does the coordinate follow?* Slopes on own and other column,
# 95 % bootstrap intervals over looks; what lies beyond the frame is cut. Look first at the orange
# curves: near 0 the code is absolute, near −1 relative. Are the control's where the model's are? At block
# {glue:text}`ch5_layer` of the model, slopes are {glue:text}`ch5_first_own` and
# {glue:text}`ch5_first_other` at the first noun, {glue:text}`ch5_second_own` and
# {glue:text}`ch5_second_other` at the second. Call a code absolute if the other's slope is
# below 15 % of the own one, relative above 85 %: the first noun's is
# **{glue:text}`ch5_first_code`**, the second's **{glue:text}`ch5_second_code`**.
#
# Can the first noun be relative at all? The second noun has not been read when the vector is
# made. But with two objects in the picture there is only one other to compare with, and a
# model may lean on that: see the control. In a crowd it could not know. (Draw `single_looks` with a third
# object and see whether the slope for the other one shrinks.) And this looks along the
# column axis alone: a noun may keep its own place on this axis and the comparison on
# another.
#
# ## Do the words "left" and "right" point along the axis?
#
# The paper projects the question's own words on the plane of the IDs and finds "left" on
# the left and "right" on the right. This would be a pleasing answer to *how* a place
# becomes a word. There are two vectors that one may mean, and both have traps:
#
# - the **hidden state** of the word in the question. IDs are centred, hidden states are not;
#   comparing them as they are compares a place with "whatever words have in common". So take
#   a difference on both sides: state("right") − state("left") against one step along the
#   axis. The two words also differ in where they stand in the sentence, so ask in both
#   orders ("to the left or right", "to the right or left").
# - the **{term}`unembedding`**: the direction in the stream that raises the logit of the answer
#   "Right" against "Left".
#
# In either case the question is: more than two *other* words do?

# %%
CONTRASTS = {
    "column": ("left", "right", ("Is the {} to the left or right of the {}?",
                                 "Is the {} to the right or left of the {}?")),
    "row": ("above", "below", ("Is the {} above or below the {}?",
                               "Is the {} below or above the {}?")),
}  # fmt: skip


# %%
def contrasts(name, axis, count=8 if SMALL else 24):
    """Two contrasts of one pair of words, each with its null."""
    vlm, (low, high, templates) = MODELS[name], CONTRASTS[axis]
    texts = [templates[i % 2].format(*pair) for i, pair in enumerate(pairs[:count])]
    images = [scene.render() for scene in looks["scene"][:count]]
    state, plain = geometry.word_contrast(
        vlm, images, texts, (low, high), train[name].sites
    )
    prompt = vlm.prompt(images[0], texts[0])
    up, down = (surface_forms(vlm, prompt, word.title())[0][0] for word in (high, low))
    answer = geometry.unembedding_contrast(vlm, [up], [down])
    outputs = vlm.model.get_output_embeddings().weight  # in some, fewer than tokens
    size = min(len(vlm.processor.tokenizer), len(outputs))
    some = np.random.default_rng(SEED).integers(size, size=(2, 500))
    others = geometry.unembedding_contrast(vlm, *some)
    blocks = len(state)
    yield "hidden state", state, plain
    yield "unembedding", answer.expand(blocks, -1), others.expand(blocks, -1, -1)


# %%
rows = []
for name, axis in itertools.product(MODELS, CONTRASTS):
    for what, vectors, null in contrasts(name, axis):
        for block in BLOCKS[name]:
            step = getattr(train[name].axes(train[name].sites[block]), axis)
            chance = geometry.cosine(null[block], step).abs().nanquantile(0.95)
            found = float(geometry.cosine(vectors[block], step)), float(chance)
            rows.append((name, axis, block, what, *found))
aligned = pd.DataFrame(
    rows, columns=["model", "axis", "block", "vector", "cosine", "chance"]
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(2, 2, figsize=(10, 6.4), sharex="col", sharey=True)
tone = {"column": "#0072B2", "row": "#009E73"}
label = {"column": "right − left, column axis", "row": "below − above, row axis"}
for (name, what), axes in zip(itertools.product(MODELS, aligned["vector"].unique()),
                              panels.flat, strict=True):
    for axis in CONTRASTS:
        part = aligned.query("model == @name and vector == @what and axis == @axis")
        axes.plot(part["block"], part["cosine"], color=tone[axis], marker="o", ms=4,
                  label=label[axis])
        x, level = part["block"], part["chance"]
        axes.fill_between(x, -level, level, color=tone[axis], alpha=0.12, lw=0)
    axes.axhline(0, color="0.3", lw=1)
    axes.set(title=f"{name}: {what}", ylim=(-1, 1), ylabel="cosine", xlabel="block")
panels[0, 0].legend(loc="lower left", fontsize=9)
figure.tight_layout()


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def beyond(name, what):
    rows = aligned[(aligned["model"] == name) & (aligned["vector"] == what)]
    part = rows[rows["block"] == layer_of[name]]
    said = [f"{row.axis} {row.cosine:+.2f} (chance ±{row.chance:.2f})"
            for row in part.itertuples()]
    return ", ".join(said), int((part["cosine"] > part["chance"]).sum())


for key, what in (("state", "hidden state"), ("answer", "unembedding")):
    text, passed = beyond(YES, what)
    glue(f"ch5_words_{key}", text)
    glue(f"ch5_words_{key}_verdict", ("neither axis", "one axis", "both axes")[passed])

# %% [markdown]
# **Figure 5.9.** *Words against axes.* Cosine of each contrast with the axis of the same
# meaning. Shaded: 95 % of what other words give, that is, differences of two other tokens of
# the same question (left) or of two random words of the vocabulary (right). At block
# {glue:text}`ch5_layer` of the model, hidden states: {glue:text}`ch5_words_state`, beyond
# chance in the expected direction for {glue:text}`ch5_words_state_verdict`. Unembedding:
# {glue:text}`ch5_words_answer`, beyond chance for {glue:text}`ch5_words_answer_verdict`.
#
# The shaded bands are what makes this figure worth drawing. How large a cosine is large?
#
# ````{exercise} A surprising cosine
# :label: ch5-surprise
#
# Difficulty ●○○ · importance ●●○ · 5 minutes, on paper
#
# Write `surprising(width)`: the size that the cosine of two *random* directions of so many dimensions
# exceeds in one draw of twenty, in whichever sense it points. A formula will do. (Turn the one direction
# onto an axis: the cosine is then one coordinate of a random vector of length one. The squares
# of all its coordinates sum to one.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def surprising(width):
    # A coordinate has mean square 1 / width and, with many dimensions, is as good as normal:
    # 1.96 standard deviations leave out a twentieth, both tails together.
    return 1.96 / width**0.5


# %%
ch05.check_surprising(surprising)
chosen = aligned[(aligned["model"] == YES) & (aligned["block"] == layer_of[YES])]
chance = chosen.groupby("vector")["chance"].mean()
width = MODELS[YES].d_model
print(f"random directions in {width} dimensions: {surprising(width):.2f};  in 4096: "
      f"{surprising(4096):.2f}")
print(chance.round(2).to_string())
glue("ch5_chance_random", float(surprising(width)))
glue("ch5_chance_state", float(chance["hidden state"]))
glue("ch5_chance_answer", float(chance["unembedding"]))

# %% [markdown]
# Random directions stay below {glue:text}`ch5_chance_random` in this model, differences of two other words of the
# sentence below {glue:text}`ch5_chance_state`, differences of two unembeddings below {glue:text}`ch5_chance_answer`.
# Vectors of a model are no random directions. Some crowd into the few dimensions that an axis lies in, and even
# two dull words can differ along it; others keep out of them. So the formula is a first guess before you have run
# anything, and no more. A cosine of 0.2 may be a finding beside the one null and nothing beside the other: take
# the null from what the model has.
#
# Where the unembedding does align, a step to the right at the noun already leans, ever so
# slightly, towards saying "Right". A curve outside its band on the *other* side leans away from
# it, and that is no chance either. If only one of the two vectors aligns, note that "the word
# right" is not one direction in the model.
#
# It is not even one token. The panels on the right take the words of the *answers*, which begin with
# a capital. But in {doc}`01_meet_the_model` the nouns of the shipped model said "left" and "right" in small
# letters, the words that follow a noun in its captions ("the frog top left"). Small and capital are
# different tokens, with different unembeddings. So ask for the words of captions as well.

# %%
def spoken(name, axis, low, high):
    """Cosine of the axis with the unembeddings of two words in small letters."""
    vlm, block = MODELS[name], layer_of[name]
    prompt = vlm.prompt(looks["scene"][0].render(), CONTRASTS[axis][2][0].format(*pairs[0]))
    up, down = (surface_forms(vlm, prompt, word)[0][0] for word in (high, low))
    words = geometry.unembedding_contrast(vlm, [up], [down])
    step = getattr(train[name].axes(train[name].sites[block]), axis)
    return float(geometry.cosine(words, step))


for axis, (low, high) in {"column": ("left", "right"), "row": ("top", "bottom")}.items():
    glue(f"ch5_spoken_{axis}", f"{spoken(YES, axis, low, high):+.2f}")
    print(f"{high} − {low}, {axis} axis: {spoken(YES, axis, low, high):+.2f}")

# %% [markdown]
# In the model, "right" − "left" has a cosine of {glue:text}`ch5_spoken_column` with the column axis, and
# "bottom" − "top" one of {glue:text}`ch5_spoken_row` with the row axis. Set these against the figure. Where they
# are near one, the axes do point along words: along those that the noun had to predict, and not
# along those of the answer.
#
# Should they align at all? An object word's place is compared with another place by
# later blocks. Nothing forces the model to keep places in the coordinates of its answers. What it
# must say next at the noun may. So before you take an alignment for a fact about spatial IDs
# as such, ask what the model has read.
#
# ## Between the cells
#
# The map was surveyed on a 4 × 4 grid. Ask it about places in between. Put small sprites
# on an 8 × 8 grid: none of its centres is a centre of the old grid. Then compare the new
# IDs with what the old map says: by **bilinear interpolation** (the four nearest centres,
# weighted so that weights sum to one), by the nearest cell, by the linear map, and by
# interpolation on a shuffled map.

# %%
fine = {
    name: SpatialIDs.extract(vlm, test_pairs[: 2 if SMALL else 6], grid=8, partners=1,
                             size=PAPER_SIZES[1], seed=SEED, progress=False)
    for name, vlm in MODELS.items()
}  # fmt: skip


# %%
def inner(grid):
    """The 6 x 6 cells that lie between old centres, centred again."""
    part = grid[..., 1:7, 1:7, :]
    return part - part.mean((-3, -2), keepdim=True)


def guesses(ids, site):
    """What the old map says about each of the inner cells of the new grid."""
    middle = np.arange(1, 7) / 2 - 0.25  # in cells of the old grid
    where = list(itertools.product(middle, middle))
    axes, wrong = ids.axes(site), ids.shuffled(SEED)
    ways = {
        "bilinear": lambda r, c: ids.interpolate(site, r, c),
        "nearest cell": lambda r, c: ids.mean(site)[round(r), round(c)],
        "linear map": lambda r, c: (r - 1.5) * axes.row + (c - 1.5) * axes.column,
        "shuffled map": lambda r, c: wrong.interpolate(site, r, c),
    }
    for way, function in ways.items():
        found = torch.stack([function(*place) for place in where]).reshape(6, 6, -1)
        yield way, found - found.mean((0, 1))

# %%
between = pd.DataFrame(
    {"model": name, "way": way, **geometry.r2_over_pairs(guess, inner(held))._asdict(),
     "mean": geometry.r2(guess, inner(held).mean(0))}
    for name in MODELS
    for held in [fine[name].at(SITE[name])]
    for way, guess in guesses(train[name], SITE[name])
)  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=[1.15, 1])
made = train[YES].axes(SITE[YES])
for ids, color, size in ((train, "0.55", 60), (fine, COLOR[YES], 18)):
    mesh = geometry.on_plane(ids[YES].mean(SITE[YES]), made)
    for line in (*mesh, *mesh.swapaxes(0, 1)):
        left.plot(*line.T, color=color, lw=1, alpha=0.7)
    left.scatter(*mesh.reshape(-1, 2).T, s=size, color=color, zorder=3)
left.set(title=f"{YES}: old map and new places", xlabel="cells rightward",
         ylabel="cells downward", aspect="equal")
left.invert_yaxis()
width = 0.38
for index, name in enumerate(MODELS):
    part = between[between["model"] == name]
    at_x = np.arange(len(part)) + width * (index - 0.5)
    heights = part["mean"].clip(lower=-0.3)
    right.bar(at_x, heights, width, color=COLOR[name], label=name)
right.set_xticks(range(len(part)), part["way"], rotation=20)
right.set(ylabel="$R^2$ on the mean of the new IDs", ylim=(-0.35, 1.2))
right.legend(ncols=2, loc="upper center")
figure.tight_layout()
score = between.set_index(["model", "way"])["mean"][YES]
glue("ch5_bilinear", float(score["bilinear"]))
glue("ch5_nearest", float(score["nearest cell"]))
smooth = score["bilinear"] > max(0.6, score["nearest cell"])
glue("ch5_between", "interpolates" if smooth else "does not interpolate well")

# %% [markdown]
# **Figure 5.10.** *A finer survey.* Left: the 4 × 4 map (grey) and the mean IDs of 8 × 8
# places (colour), of other objects with smaller sprites, in the plane of the old axes. Right:
# how well four readings of the old map predict the new IDs. Bilinear interpolation:
# {glue:text}`ch5_bilinear`; nearest cell: {glue:text}`ch5_nearest`. By the rule "above 0.6,
# and better than the nearest cell", the map {glue:text}`ch5_between`. (Bars are cut at −0.3.)
#
# If the blue net hangs together between the grey points, the sixteen IDs are samples of
# something continuous. This is what lets you steer to places that no grid ever had, in
# the next chapter. Watch the size of the net, too: sprites are half as large here, and
# places at the rim lie further out than any centre of the old grid.
#
# With sixty-four places you can also see what the further dimensions of Figure 5.5 hold.
# Paint each principal component of the fine IDs as a picture: one pixel for each place, its
# colour the ID's coordinate along that component.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(2, 6, figsize=(11, 4.2))
for name, line in zip(MODELS, panels, strict=True):
    mean = fine[name].mean(SITE[name])
    found = geometry.pca(mean, 6)
    pictures = found.transform(geometry.as_cells(mean)[1]).T.reshape(6, 8, 8)
    for k, (picture, axes) in enumerate(zip(pictures, line, strict=True)):
        limit = np.abs(picture).max()
        axes.imshow(picture, cmap="coolwarm", vmin=-limit, vmax=limit)
        share = found.explained_variance_ratio_[k]
        axes.set_title(f"PC {k + 1}: {share:.0%}", fontsize=9)
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, fontsize=9)
figure.tight_layout()

# %% [markdown]
# **Figure 5.11.** *The map's dimensions as pictures.* Each square is the image plane. A
# ramp from one side to the other is an axis. A ramp along the diagonal is a mixture of
# both axes, which principal components may choose freely when two are equally strong. A
# band that is one colour in the middle and another at both edges is a *bend*: it tells
# the middle from the rim. Stripes that come and go several times are the next harmonics,
# as in a Fourier series.
#
# Why would a map bend at all? A place on a straight line can only be picked out by *more* or
# *less*. On a curve, each place is the furthest in some direction of its own, so a later
# block can ask for "column C" with a single dot product. An earlier version of our model was
# trained on captions that named one of eight columns and one of eight rows, by letter and
# digit. It used its object words just as much, and its map bent so strongly that a straight
# ruler failed. With captions of graded place words ("top left", less sure near the middle)
# the map unbent. The recipe `captions-coordinates` of `helpers.training` brings the bend
# back. So whether IDs are *linear* is not a law of vision-language models. It depends on what
# the places are for.
#
# ## What the control says
#
# Put the two models next to each other one last time.

# %%
r2_at = at["estimate"]
share_at = shares.set_index(["model", "block"])["estimate"]
summary = pd.DataFrame(
    {
        name: {
            "share on the plane": share_at[name, layer_of[name]],
            "R², one pair": r2_at[name, "one pair", layer_of[name]],
            "R², mean of pairs": r2_at[name, "mean of pairs", layer_of[name]],
            "R², row + column": apart[name].estimate,
            "probe at the first noun": top[name, "first noun"],
            "probe at the word before": top[name, "the word before"],
            "length of one step / stream": float(
                train[name].axes(SITE[name]).column.norm()
                / states[name][layer_of[name], :, 1].norm(dim=-1).mean()),
        }
        for name in MODELS
    }
)  # fmt: skip
glue("ch5_step", float(summary.loc["length of one step / stream", YES]))
glue("ch5_step_control", float(summary.loc["length of one step / stream", NO]))
readable = summary.loc["R², mean of pairs", NO] > 0.4 or top[NO, "first noun"] > 0.4
said = "you can read places" if readable else "you can hardly read places"
glue("ch5_readable", said)
summary.round(3).rename(columns=lambda name: f"{name}, block {layer_of[name]}")

# %% [markdown]
# **Table 5.1.** *Both models in numbers.* The last row holds what $R^2$ and cosines do not see:
# size. One step of the column axis is {glue:text}`ch5_step` of the length of the stream in
# the model and {glue:text}`ch5_step_control` in the control.
#
# In the control, by these measures (an $R^2$ above 0.4 at the first noun),
# {glue:text}`ch5_readable`. Now go back to the {term}`mirror swap` of Chapter 3, which asked whether
# its object words carry the answer. If you had only this chapter's tools, how sure would
# you be which of the two models *uses* its map? **A readable ID need not be a used one.**
# Compare the blocks, too. Held-out fits chose block {glue:text}`ch5_layer` in the model; Chapter 3
# told you at which blocks its object words still matter. Where the two differ, the map hangs at
# the word long after it has been read, and it even gets tidier.
# To find out, you have to push.
#
# ## One map, or two?
#
# Both models lay out sixteen cells. Do they lay them out *alike*? No axis of one model is an axis of the other, and
# they need not even be equally wide. But a shape can be compared: turn the one map, as a whole, until it
# lies on the other.
#
# ````{exercise} Research sprint: the same shape
# :label: ch5-shape
#
# Difficulty ●●● · importance ●●○ · half a day
#
# Write `same_shape(one, other)` for two maps of mean IDs, `[rows, columns, d]` each, perhaps of
# different `d`. Allow a rotation or reflection and one factor for the size, and nothing else (this is
# called *Procrustes analysis* {cite}`schonemann1966procrustes`). Return how well the turned first map foretells the second, as an
# $R^2$: missed over total squared distance, where the total is that from the mean of the cells that were used.
#
# There is a trap, and it is deep. In many dimensions, sixteen points can be turned onto *any* sixteen points, nearly.
# So turn with fifteen cells and foretell the sixteenth, for each in turn. Then compare: the two models, the two nouns
# of one model, early and late blocks. Which null tells you that a shape is shared, and not
# only "some shape"?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show the first hour", "code_prompt_hide": "Hide the first hour"}
def same_shape(one, other):
    x, y = (geometry.as_cells(ids)[1] for ids in (one, other))
    missed = total = 0.0
    for cell in range(len(x)):
        kept = np.arange(len(x)) != cell
        middles = x[kept].mean(0), y[kept].mean(0)
        sides = []
        for part, middle in zip((x, y), middles, strict=True):
            # Fifteen centred points span fourteen directions. What a cell has outside of them
            # cannot be turned by what the others have shown.
            u, s, v = np.linalg.svd(part[kept] - middle, full_matrices=False)
            sides.append(((u * s)[:, :-1], v[:-1]))
        (a, basis), (b, target) = sides
        u, s, v = np.linalg.svd(a.T @ b, full_matrices=False)
        factor = s.sum() / (a**2).sum()
        guess = middles[1] + factor * (x[cell] - middles[0]) @ basis.T @ u @ v @ target
        missed += ((y[cell] - guess) ** 2).sum()
        total += ((y[cell] - middles[1]) ** 2).sum()
    return 1 - missed / total


maps = {name: train[name].mean(SITE[name]) for name in MODELS}
first_block = train[YES].mean(train[YES].sites[BLOCKS[YES][0]])
compared = {
    "model and control": (maps[YES], train[NO], SITE[NO]),
    "first and second noun": (maps[YES], second[YES], SITE[YES]),
    "first and chosen block": (first_block, train[YES], SITE[YES]),
}
pd.DataFrame(
    {
        what: {
            "as they are": same_shape(one, ids.mean(site)),
            # A null with the same points, the same span, the same sizes: other cells.
            "cells shuffled": np.mean(
                [same_shape(one, ids.shuffled(s).mean(site)) for s in range(5)]
            ),
        }
        for what, (one, ids, site) in compared.items()
    }
).T.round(2)
# Still to do: how high can it come? Two halves of one model's pairs give a ceiling (see above).
# And the null that decides: both maps are flat nets of squares, so they agree in *that*. Take
# the linear part out of both, and ask whether the bends agree.

# %%
ch05.check_same_shape(same_shape)

# %% [markdown]
# ## Summary
#
# - Draw first. Principal components lay out the cells without being told of rows and columns.
# - Explained variance of the points that made the axes is worth little: 2/15 on pure noise.
#   All numbers here are on other pairs, of other objects.
# - On new objects, place predicts the mean ID with $R^2$ {glue:text}`ch5_r2_mean` and a single
#   pair's with {glue:text}`ch5_r2_one`. The paper's 0.854 to 0.903 are at rank 3; our map
#   {glue:text}`ch5_bend`.
# - The first noun's code is {glue:text}`ch5_first_code`, the second's
#   {glue:text}`ch5_second_code`.
# - Alignment with words needs the same centring on both sides, other words as the null, and the right tokens: "Right" and
#   "right" are two.
# - The map {glue:text}`ch5_between` between its cells.
# - Geometry tells what could be read. It does not tell what is used.
#
# ## Open question: a research sprint
#
# Is the map flat because the world is, or because the questions are? The shipped model was
# asked about left, right, above, below and for coordinates: flat things all. Its perspective
# scenes have depth. Take an afternoon: extract IDs with objects at three depths but at the
# same place in the picture (`Placed` has `depth`, `scenes(kind="perspective")` shows how they
# are drawn). Is there a third axis, orthogonal to the two? Is it there at the noun, or at
# the last token only? Decide on the null before you look.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 5, held out.
# - {cite:t}`assouel2026visual` find heads that compute position indices: another code for
#   place, and another geometry.
# - {cite:t}`feng2024bind`: binding IDs, the idea of a vector that says *which* and not *what*.
# - {cite:t}`cui2026dual`: absolute against relative position, by strips and shifted squares.
# - {cite:t}`nostalgebraist2020logit`: the logit lens, which is what comparing a stream with
#   unembeddings amounts to.
#
# **What follows.** A map may hang on a wall and help nobody. {doc}`06_steering_beliefs` asks whether the model uses it.
