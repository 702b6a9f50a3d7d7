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
# # Where does spatial information flow?
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/03_where_does_it_flow.ipynb)
# · about 45 minutes to read, another 30 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [1](01_meet_the_model.ipynb) and [2](02_making_stimuli.ipynb)
#
# You show the model a frog on the left. It says "Left". Between the pixels and that word
# lie a few blocks and about eighty tokens. **At which tokens, and in which blocks, does
# the answer live?**
#
# You will find out by surgery. Flip the scene, run the model on the flipped one too,
# and carry a few hidden states from one run into the other. If the answer comes along,
# it was in what you carried.
#
# **You will learn**
# - how to do a mirror swap by hand: one scene, one block, one change of mind
# - how to measure it: the recovered fraction, and why it is a ratio of means
# - where the image, the object words and the last token matter, block by block
# - which controls make the result worth believing (recolouring, and a second model)
# - why a model can be right for the wrong reason, and what training has to do with it

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

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import Job, mirror_swap, plots, stats, swap, sweep
from helpers.exercises import ch03
from helpers.loading import ORGANISMS
from helpers.report import glue, open_models
from helpers.stimuli import questions
from helpers.stimuli.sampling import grid_scenes
from helpers.stimuli.sampling import scenes as draw_scenes
from helpers.stimuli.scenes import mirror, recolor
from helpers.training.train import RECIPES

MODELS = open_models(
    MODEL, CONTROL, chapter="03_where_does_it_flow", small=SMALL, seed=SEED
)
YES, NO = MODELS  # the names: of the model, and of its control
vlm = MODELS[YES]

# %% [markdown]
# ## One swap by hand
#
# Two objects, one question. On the right, the same scene with its left and right
# exchanged: every object moves to the mirrored place, and no sprite is flipped, so the
# only thing that differs is *where things are*.

# %%
QUESTIONS = {"column": questions.left_right, "row": questions.above_below}
ANSWERS = {
    "column": questions.ANSWERS["left_right"],
    "row": questions.ANSWERS["above_below"],
}


def draw(kind, axis, count, seed=SEED, without=()):
    """Scenes that no model was trained on, each with a question that has an answer.

    No question about a picture comes twice, nor one of those in `without`.
    """
    found, told = [], {picture_and_text(one) for one in without}
    for number, scene in enumerate(draw_scenes(6 * count, seed, kind, held_out=True)):
        names = scene.names[:2] if number % 2 else scene.names[1::-1]
        question = QUESTIONS[axis](scene, *names)
        if question and picture_and_text((scene, question)) not in told:
            told.add(picture_and_text((scene, question)))
            found.append((scene, question))
    return found[:count]


def picture_and_text(example):
    scene, question = example
    return frozenset(scene.objects), question.text


# %%
def size(example):
    """Large sprites in different rows make a good picture."""
    one, other = example[0].objects
    return one.size + abs(one.y - other.y) / 4


scene, question = max(draw("grid", "column", 16), key=size)
flipped = mirror(scene)
first, second = question.objects
print(question.text, "→", question.answer)
_ = plots.show_scenes([scene, flipped], ["clean", "mirrored"])

# %% [markdown]
# **Figure 3.1.** *One scene and its mirror image.* The question has one answer for the
# left picture and the opposite answer for the right one. The words of the question are
# the same, so the two prompts have the same tokens at the same positions. That is what
# makes swapping possible.
#
# The [belief](../book/notation.md) is a number: the {term}`log-odds` of "Left" against "Right"
# at the last token of the prompt. Positive means "Left".

# %%
images = [scene.render(), flipped.render()]
clean, mirrored = vlm.prompt(images, question.text)


def log_odds(prompt, hooks=()):
    return float(vlm.beliefs(prompt, ANSWERS["column"], fwd_hooks=hooks)["log_odds"][0])


before, target = log_odds(clean), log_odds(mirrored)
print(f"clean {before:+.2f}     mirrored {target:+.2f}")

# %% [markdown]
# Now the {term}`swap`. Take a block in the middle. Record the
# [residual stream](../book/notation.md) of the *mirrored* run there. Then run the *clean*
# image and, at the two {term}`object words <object word>` and nowhere else, write the recorded vectors over
# the model's own. The image stays. The question stays. Two words now carry vectors that
# grew up looking at the other picture.

# %%
nouns = clean.word(first) + clean.word(second)
print("swapping", [clean.tokens[position] for position in nouns])


def after_swap(site):
    """The belief about the clean picture, with the nouns of the mirrored one."""
    _, cache = vlm.run_with_cache(mirrored, site)

    def paste(resid, hook):
        resid = resid.clone()
        resid[:, nouns] = cache[site][:, nouns]
        return resid

    return log_odds(clean, [(site, paste)])


site = vlm.resid_post(vlm.n_layers // 2 - 1)
after = after_swap(site)
print(f"clean {before:+.2f}   mirrored {target:+.2f}   swapped {after:+.2f}  at {site}")

# %% [markdown]
# How far did the {term}`belief` travel, as a part of the whole way from the clean picture to
# the mirrored one? In this book a change is always *after minus before*, so
#
# $$
# \text{part of the way} =
#   \frac{b^{\text{patched}} - b^{\text{clean}}}{b^{\text{mirrored}} - b^{\text{clean}}}
# $$
#
# is 0 if nothing came along and 1 if everything did. If nothing did, the block may have been too early or too late: we took
# the middle for no reason. Try every one.

# %%
def depths(model, most=12):
    """Up to ``most`` blocks, evenly spread, first and last included."""
    chosen = np.linspace(0, model.n_layers - 1, min(model.n_layers, most)).round()
    return [int(layer) for layer in np.unique(chosen)]


swapped = {layer: after_swap(vlm.resid_post(layer)) for layer in depths(vlm)}
way = target - before
parts = {layer: (value - before) / way for layer, value in swapped.items()}
glue("ch3_part", float((after - before) / way))
glue("ch3_most", max(parts.values()))
glue("ch3_most_at", max(parts, key=parts.get))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(6.5, 3.4))
axes.hlines(list(parts), before, target, color="0.85")
axes.scatter(list(swapped.values()), list(parts), s=70, color="#0072B2", zorder=3)
for x, text in [(before, "clean"), (target, "mirrored")]:
    axes.axvline(x, color="0.4")
    axes.annotate(
        text, (x, 1), (0, 4), ("data", "axes fraction"), "offset points", ha="center"
    )
axes.axvline(0, color="0.6", ls=":")
axes.set(yticks=list(parts), ylabel="swapped after block")
axes.set(xlabel="log-odds of Left against Right")
axes.grid(False)

# %% [markdown]
# **Figure 3.2.** *One scene, two words, one swap for each block.* The block in the middle
# takes the belief {glue:text}`ch3_part` of the way; block {glue:text}`ch3_most_at` takes it
# {glue:text}`ch3_most` of the way, the most of all. Where a dot lies beyond the dotted line,
# the model has changed its mind about a picture in which nothing moved.
#
# So depth matters a great deal. One scene proves little, though. But you have now done by
# hand everything that the rest of the chapter does many times.
#
# ## Which part of the picture?
#
# Before the words, the pixels. The same surgery works on image tokens. Cut the image
# into tiles, swap one tile at a time, and colour each by its part of the way. Move the
# slider to go deeper into the model. It begins at 0, before the first block, where a patch
# holds what the vision tower saw there and no token of the text has looked at it yet.
#
# `swap` makes an edit of what you did by hand, and `sweep` runs a list of such edits
# ({doc}`chapter 1 <01_meet_the_model>`).

# %%
def site_after(model, passed):
    """The stream after so many blocks; 0 is before the first."""
    return "blocks.0.hook_resid_pre" if passed == 0 else model.resid_post(passed - 1)


def patches_by_tile(patches, tiles):
    """Positions of the patches in each tile of the picture, row by row of tiles."""
    found = [[] for _ in range(tiles**2)]
    for view in patches.views:  # some models see the picture in more grids than one
        (rows, columns), (left, top, right, bottom) = view.grid, view.box
        for row, column in np.ndindex(view.grid):
            y = top + (row + 0.5) / rows * (bottom - top)
            x = left + (column + 0.5) / columns * (right - left)
            found[int(y * tiles) * tiles + int(x * tiles)].append(view.at(row, column))
    return found


def tile_map(model, passed):
    """Part of the way for each tile of the image, swapped alone after some blocks."""
    one, other = model.prompt([scene.render(), flipped.render()], question.text)
    if not one.image_patches.views:
        return np.full((1, 1), np.nan)
    site = site_after(model, min(passed, model.n_layers))
    source = model.run_with_cache(other, site)[1][site][0]
    tiles = min(4, *one.image_patches.grid)
    swaps = [swap(site, p, source) for p in patches_by_tile(one.image_patches, tiles)]
    jobs = [Job(one), Job(other), *(Job(one, (edit,)) for edit in swaps)]
    odds = sweep(model, jobs, ANSWERS["column"], progress=False)["log_odds"].to_numpy()
    return ((odds[2:] - odds[0]) / (odds[1] - odds[0])).reshape(tiles, tiles)


# %%
deepest = 5 * vlm.n_layers // 8  # nothing happens above, as you can check
steps = np.unique(np.linspace(0, deepest, 6).round().astype(int)).tolist()
steps = steps[: 2 if SMALL else 6]
maps = {
    (name, step): tile_map(model, step)
    for name, model in MODELS.items()
    for step in steps
}
if not clean.image_patches.views:
    print(f"{vlm.family.name} keeps its picture out of the row of tokens: no patches.")
    print("Below, “image” is the one token in its place: swapping it does nothing.")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
limit = max(0.05, *(float(np.nan_to_num(abs(one)).max()) for one in maps.values()))


def draw_maps(step):
    figure, panels = plt.subplots(1, 2, figsize=(7.2, 3.8))
    for axes, name in zip(panels, MODELS, strict=True):
        # A hair below zero keeps the two-sided palette where nothing moves the belief.
        values = maps[name, step] - 1e-9
        plots.patch_heatmap(scene.render(), values, name, axes=axes, limit=limit)
    figure.tight_layout()
    return figure


plots.slider(draw_maps, steps, "blocks passed", start=steps[0])

# %% [markdown]
# **Figure 3.3.** *Where in the picture, block by block.* A coloured tile is one whose
# hidden state, taken from the mirrored run, moves the belief. Early on, look at the tiles
# where the objects are, and at the empty tiles where they would be in the mirror: telling
# the model "here is nothing" and "here is a frog" both count. Deeper down the map goes
# pale. The picture is still there, but nobody reads it any more. Where has the answer
# gone?
#
# ## From one scene to a number
#
# To find out, swap *groups* of tokens: all image tokens, all text, the two object words,
# the words between the nouns, the last token. Do it before the first block (we write -1) and
# after every block, and for enough scenes to put an interval on the result. `mirror_swap` makes a table of all these
# swaps; what the rest of the code does is to say which tokens are in which group.

# %%
def prompts_of(model, asked, change=None):
    """The prompts of scenes with their questions; the scenes may be changed first."""
    shown = [change(s) if change else s for s, _ in asked]
    return model.prompt([s.render() for s in shown], [q.text for _, q in asked])


def groups_of(prompts, asked):
    """Which positions to swap, by group, in every prompt."""
    nouns = [p.words(q.objects) for p, (_, q) in zip(prompts, asked, strict=True)]
    return {
        "image": [p.image_patches.positions for p in prompts],
        "all text": [p.text_positions for p in prompts],
        "object words": [one + other for one, other in nouns],
        "text between": [list(range(one[-1] + 1, other[0])) for one, other in nouns],
        "last token": [[p.last] for p in prompts],
    }


# %%
def flip(axis):
    return lambda scene: mirror(scene, axis)


BEFORE = -1  # where others have the number of a block: before the first one


def measure(
    model, kind, axis, count, change=None, groups=groups_of, seed=SEED, blocks=None
):
    """Swap groups of tokens, from the mirrored scenes; by default before and after blocks.

    With another seed, no question is one of those that the figures are about.
    """
    shown = [] if seed == SEED else draw(kind, axis, SCENES[kind])
    asked = draw(kind, axis, count, seed, shown)
    prompts = prompts_of(model, asked)
    others = prompts_of(model, asked, change or flip(axis))
    sites = [model.resid_post(layer) for layer in blocks or depths(model)]
    if blocks is None:
        sites.insert(0, "blocks.0.hook_resid_pre")
    table = mirror_swap(
        model, prompts, others, groups(prompts, asked), ANSWERS[axis], sites,
        save_to=CACHE, progress=False,
    )  # fmt: skip
    first = table["site"].str.endswith("pre")
    return table.assign(layer=table["layer"].mask(first, BEFORE))


SCENES = {"grid": 4 if SMALL else 16, "clutter": 4 if SMALL else 12}
N = SCENES["grid"]
grid = {name: measure(model, "grid", "column", N) for name, model in MODELS.items()}
grid[YES].head(3).round(2)

# %% [markdown]
# Each row is one swap: the belief before (`clean`), on the flipped picture (`mirrored`),
# and after (`patched`). The scenes are two objects on a white grid, the paper's stimuli;
# the pair of objects and their places were held out from training.
#
# The **{term}`recovered fraction`** makes one number of all scenes: the *mean* change under the
# swap divided by the *mean* change under mirroring. Each scene counts towards its own
# mirrored answer, so that scenes with the answers "Left" and "Right" do not cancel. The
# interval comes from drawing scenes again with replacement (2,000 times, 95 %).

# %%
def draw_curves(table, axes, title):
    colors = {"one token late": plots.COLORS["text between"]}
    plots.with_band(table, "layer", "group", axes, colors)
    axes.get_legend().remove()
    axes.axhline(0, color="0.5", lw=0.8)
    axes.set(title=title, xlabel="swapped after block", ylim=(-0.25, 1.25))


def draw_both(tables, ylabel="recovered fraction"):
    """The two models side by side, one legend for both."""
    figure, panels = plt.subplots(
        1, 2, figsize=(10, 4), sharey=True, layout="constrained"
    )
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        draw_curves(table, axes, name)
    panels[0].set_ylabel(ylabel)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5)


BY = ["group", "layer"]
curves = {name: stats.recovered_by(table, BY) for name, table in grid.items()}
draw_both(curves)

# %% [markdown]
# **Figure 3.4.** *Who carries the answer, block by block (left or right, two objects).*
# Bands are 95 % intervals. Follow three colours. Green falls: at some depth nobody reads
# the image any more. Orange-red rises: in the end the last token knows everything. The
# question of the chapter is what lies between them. At -1, before the first block, all of the
# answer is in the image, in any model: the words have not looked yet. In the paper's Figure 4
# {cite}`kang2026linear` the blue curve of the **object words** stands up in a narrow band
# of middle layers. In the shipped model they fetch their places as early as they can, in the
# very first block. (It is small, and its patches come aligned with words; that this is why, we have not
# tested.) A model that has no
# such band must have carried the answer in some
# other way.
#
# Three points of this figure are no discoveries. They must hold in any model, so they
# test the code, and it is good practice to know such points before you run anything.

# %%
for name, table in curves.items():
    value = table.set_index(["group", "layer"])["estimate"]
    end = max(table["layer"])
    print(name, "after the last block:")
    for group in ("last token", "image", "object words"):
        print(f"    {group:12s} {value[group, end]:.3f}")
    if MODELS[name].dtype.itemsize == 4:  # in half precision small effects drown
        assert abs(value["last token", end] - 1) < 1e-3 > abs(value["image", end])

# %% [markdown]
# After the last block nothing flows between tokens any more. The answer is read off the
# last token, so swapping that token must recover exactly 1 and swapping any other
# exactly 0.
#
# There are more such points than three.
#
# ````{exercise} What you know before you look
# :label: ch3-known
#
# Difficulty ●○○ · importance ●●● · 5 minutes
#
# Write `known(group, passed, blocks)`. It returns the recovered fraction that a group of
# tokens *must* have in a model of so many `blocks` when it is swapped after `passed` of them
# (0: before the first), or `None` where theory says nothing. The groups are those of
# Figure 3.4: `"image"`, `"all text"`, `"object words"`, `"text between"`, `"last token"`. A
# patch and a word stand in one row here, and both runs are asked the same question.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def known(group, passed, blocks):
    if passed == 0:
        # The words of both runs are the same vectors still. So swapping words changes nothing,
        # and swapping the image makes the clean run the mirrored one in every token.
        return 1.0 if group == "image" else 0.0
    if passed == blocks:
        # No block is left in which one token could read another.
        return 1.0 if group in ("last token", "all text") else 0.0
    return None  # some tokens have been read by then, and nobody can say beforehand which


# %%
ch03.check_known(known)
for name, table in curves.items():
    foretold = [known(row.group, row.layer + 1, MODELS[name].n_layers)
                for row in table.itertuples()]  # fmt: skip
    missed = (table["estimate"] - np.array(foretold, dtype=float)).abs()
    print(f"{name}: {missed.notna().sum()} of {len(table)} points of Figure 3.4 were known;")
    print(f"    the curves miss them by {missed.max():.1e} at most")

# %% [markdown]
# Points that you know are the cheapest test of a pipeline that there is. An edit at the wrong
# block, a cache of the wrong run or a swap of the wrong tokens misses one of them. (If a miss
# is large with a model of your own, find out which of the rules it breaks before you
# go on. Where a picture is kept out of the row, or is fed in again between blocks, the
# image's tokens are not all of the image.)
#
# ### The band, in numbers
#
# Which block is best? If you pick the highest point of a curve and report its height,
# you report luck as well: the highest of several noisy numbers is too high on average.
# So choose the block on the scenes of the figure and read its value on many others.

# %%
MANY = 8 if SMALL else 500


def only_nouns(prompts, asked):
    return {"object words": groups_of(prompts, asked)["object words"]}


def best_block(name, table, kind="grid", axis="column", count=MANY):
    """The block where object words carry most; their recovered fraction on other scenes."""
    known = table[(table["group"] == "object words") & (table["layer"] != BEFORE)]
    curve = stats.recovered_by(known, BY)
    layer = int(curve.loc[curve["estimate"].idxmax(), "layer"])
    more = measure(
        MODELS[name], kind, axis, count,
        groups=only_nouns, seed=SEED + 2, blocks=[layer],
    )  # fmt: skip
    return layer, stats.recovered_fraction(more)


def in_words(value):
    if value.low > 0.5:
        return "carry most of the answer"
    return "carry next to nothing" if value.high < 0.1 else "carry a part of the answer"


found = {name: best_block(name, table) for name, table in grid.items()}
glue("ch3_many", found[YES][1].n)
for key, name in [("model", YES), ("control", NO)]:
    layer, value = found[name]
    glue(f"ch3_block_{key}", layer)
    glue(f"ch3_nouns_{key}", value)
    glue(f"ch3_words_{key}", in_words(value))
    print(f"{name}: block {layer}, recovered {value} → {in_words(value)}")

# %% [markdown]
# In the model, the object words {glue:text}`ch3_words_model`: at block
# {glue:text}`ch3_block_model` they recover {glue:text}`ch3_nouns_model` on
# {glue:text}`ch3_many` questions, no two alike, that had no say in choosing the block (held-out
# pairs at held-out places of a grid do not make many more). In the control they
# {glue:text}`ch3_words_control`: {glue:text}`ch3_nouns_control`.
#
# The two models have the same architecture and they are asked the same questions. Do they
# also answer equally well?

# %%
def accuracy(model, kind, axis, count):
    asked = draw(kind, axis, count, seed=SEED + 1)
    said = model.beliefs(prompts_of(model, asked), ANSWERS[axis])["belief"]
    return stats.proportion(said == [q.answer for _, q in asked])


many = 8 if SMALL else 60
right = {name: accuracy(m, "grid", "column", many) for name, m in MODELS.items()}
for key, name in [("model", YES), ("control", NO)]:
    glue(f"ch3_right_{key}", right[name])
    print(f"{name:18s} right on held-out scenes: {right[name]}")
    if right[name].low <= 0.5:
        print("    At chance: swaps show what moves its belief, not how it knows.")

# %% [markdown]
# The model is right in a share of {glue:text}`ch3_right_model` of held-out scenes, the
# control in {glue:text}`ch3_right_control`. Accuracy looks at the end of the pipe. It
# cannot tell you what is inside.
#
# ## Every token, every block
#
# Groups are a choice, and a choice can miss something. So give up the groups: take one
# sentence and swap each of its words alone.

# %%
SENTENCE = "Is the FIRST to the left or right of the SECOND"


def columns_of(prompt, objects):
    """Names and positions of the parts of a prompt: image, each word, '?', the end."""
    names = SENTENCE.split()
    nouns = dict(zip(["FIRST", "SECOND"], objects, strict=True))
    spans = prompt.words([nouns.get(name, name) for name in names])
    mark = spans[-1][-1] + 1
    parts = [("image", prompt.image_patches.positions), *zip(names, spans, strict=True)]
    parts += [("?", [mark]), ("end", list(range(mark + 1, len(prompt))))]
    return {f"{number}:{name}": where for number, (name, where) in enumerate(parts)}


def word_groups(prompts, asked):
    parts = [columns_of(p, q.objects) for p, (_, q) in zip(prompts, asked, strict=True)]
    return {name: [part[name] for part in parts] for name in parts[0]}


def token_map(model, count):
    table = measure(model, "grid", "column", count, groups=word_groups, seed=SEED + 2)
    table = stats.recovered_by(table, ["layer", "group"])
    order = table["group"].unique()
    return table.pivot(index="layer", columns="group", values="estimate")[order]


heat = {name: token_map(model, 2 if SMALL else 8) for name, model in MODELS.items()}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for axes, (name, table) in zip(panels, heat.items(), strict=True):
    shown = table.iloc[::-1].rename(columns=lambda key: key.split(":", 1)[1])
    sns.heatmap(
        shown, ax=axes, cmap="coolwarm", vmin=-1, vmax=1, cbar=axes is panels[1],
        linewidths=0.6, cbar_kws={"label": "recovered fraction", "shrink": 0.8},
    )  # fmt: skip
    axes.set(title=name, xlabel="", ylabel="swapped after block")
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    for label in axes.get_xticklabels():
        if label.get_text() in ("FIRST", "SECOND"):
            label.set(color=plots.COLORS["object words"], fontweight="bold")

# %% [markdown]
# **Figure 3.5.** *The route of the answer through the sentence.* Read it from the bottom
# (the first block) to the top (the last). Each column is one word, swapped alone; the
# image is one column. A model that binds places to words leaves the image through FIRST
# and SECOND before it reaches the end. A model that looks straight at the picture jumps
# from the first column to the last one.
#
# Look for dark cells outside the columns you expected. With only two objects in the
# picture there is a short cut: once the *first* noun has been read, the second one is
# known, so the words between the nouns can work out the answer before the second noun
# comes. In an early sketch of the shipped model we saw exactly that. It is one reason
# why the model trains on scenes with up to six objects.
#
# ````{exercise} The words between the nouns
# :label: ch3-between
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `between(prompt, first, second)`. It returns the positions of all tokens between
# two nouns of a question, neither noun included. Words may be several tokens long, and
# "hot dog" contains "dog". `prompt.words([first, second])` gives the positions of both
# nouns in order; `prompt.tokens[position]` shows a token.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def between(prompt, first, second):
    one, other = prompt.words([first, second])
    # Behind the last token of the first noun, up to the first token of the second.
    return list(range(one[-1] + 1, other[0]))


# %%
ch03.check_between(between, vlm)

# %% [markdown]
# ## The control: change the picture, not the places
#
# A swap carries over everything that differs between two runs. After mirroring, that is
# the places, but perhaps also something else: any two runs on different pictures differ
# a little everywhere. Maybe *any* foreign vector at an object word upsets the belief.
#
# So swap in vectors from a picture that differs as much to the eye, but not in where
# things are: every sprite in another hue (a full turn is 360 degrees).

# %%
four = [scene, flipped, recolor(scene, 60), recolor(scene, 120)]
_ = plots.show_scenes(four, ["clean", "mirrored", "hue + 60°", "hue + 120°"])

# %% [markdown]
# **Figure 3.6.** *The change that matters and the change that should not.* The paper
# uses the same control and calls it an attribute swap.
#
# How should you report it? Not as a recovered fraction of its own: {term}`recolouring` hardly
# moves the belief, so its own denominator is near zero. Divide by the *mirror's*
# denominator on the same scenes. The number then says: of the change that mirroring makes,
# how much does a foreign picture make that leaves the places alone? It should be near 0
# everywhere, at the blocks where the {term}`mirror swap` is near 1 above all.

# %%
KEY = ["prompt", "layer", "group"]


def checked(prompts, asked):
    groups = groups_of(prompts, asked)
    return {name: groups[name] for name in ("image", "object words", "last token")}


def against_mirror(recolored, mirrored):
    """Recolouring's swaps with the clean and mirrored beliefs of the same scenes."""
    kept = recolored[[*KEY, "patched"]]
    return kept.merge(mirrored[[*KEY, "clean", "mirrored"]], on=KEY)


def hue(degrees):
    return lambda scene: recolor(scene, degrees)


hues = {
    name: measure(model, "grid", "column", N, hue(60), checked)
    for name, model in MODELS.items()
}
harmless = {
    name: stats.recovered_by(against_mirror(hues[name], grid[name]), BY)
    for name in MODELS
}
draw_both(harmless, "change / mirror's change")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
for key, name in [("model", YES), ("control", NO)]:
    table = harmless[name]
    worst = table.loc[table["estimate"].abs().idxmax()]
    value = stats.Interval(*worst[["estimate", "low", "high", "n"]])
    glue(f"ch3_recolor_{key}", value)
    print(f"{name}: largest change {value}, {worst['group']} at block {worst['layer']}")

# %% [markdown]
# **Figure 3.7.** *Recolouring by 60 degrees of hue.* The same axes as Figure 3.4. The
# largest of all these numbers is {glue:text}`ch3_recolor_model` in the model and
# {glue:text}`ch3_recolor_control` in the control.
#
# A control has a {term}`dose`, too. Turn the hue further, and at some point the picture loses
# more than its colours: a model that no longer recognises the frog does not know where
# the frog is either. So turn the hue step by step and watch two numbers at the block
# where the object words carry most: what the swap does, and how many of the recoloured
# pictures still get the answer that they had.

# %%
def nouns_only(prompts, asked):
    return {"object words": groups_of(prompts, asked)["object words"]}


block = found[YES][0]
site = vlm.resid_post(block)
asked = draw("grid", "column", N)
prompts = prompts_of(vlm, asked)
truth = grid[YES].query("group == 'object words' and layer == @block")
rows = []
for degrees in (15, 30, 60, 120, 180):
    table = mirror_swap(
        vlm, prompts, prompts_of(vlm, asked, hue(degrees)), nouns_only(prompts, asked),
        ANSWERS["column"], [site], progress=False,
    )  # fmt: skip
    same = stats.proportion(np.sign(table["mirrored"]) == np.sign(table["clean"]))
    value = stats.recovered_fraction(against_mirror(table, truth))
    row = {"swap / mirror's change": value, "same answer": same}
    rows.append({"hue": degrees} | {key: f"{v[0]:z.2f} [{v[1]:z.2f}, {v[2]:z.2f}]"
                                    for key, v in row.items()})  # fmt: skip
pd.DataFrame(rows).set_index("hue")

# %% [markdown]
# **Table 3.1.** *The dose of the control.* If the swap's effect grows only where the share
# of unchanged answers falls, the effect is not that of a foreign vector: it is that of an
# object that the model has lost. Where the answers stay, the swap should do little.
# That is what you need to read Figure 3.4 as a statement about places.
#
# ## Two traps on the way to these curves
#
# Both are in the code that came with the paper. Neither raises an error.
#
# ### Trap 1: the mean of ratios
#
# It is tempting to compute the part of the way for each scene, as you did by hand, and
# to average. The paper's grid keeps scenes in which the two objects share a column. For
# those the mirrored answer is the same as the clean one, the denominator is near zero, and
# the ratio can be anything. Take all scenes of a few pairs, as they come:

# %%
everything = grid_scenes([("frog", "camel"), ("dog", "cake")])
chosen = np.random.default_rng(SEED).permutation(len(everything))[: 12 if SMALL else 60]
asked = [everything[index] for index in chosen]
texts = ["Is the {} to the left or right of the {}?".format(*s.names) for s in asked]
prompts = vlm.prompt([s.render() for s in asked], texts)
others = vlm.prompt([mirror(s).render() for s in asked], texts)
spans = [p.words(s.names) for p, s in zip(prompts, asked, strict=True)]
nouns = {"object words": [one + other for one, other in spans]}
raw = mirror_swap(
    vlm, prompts, others, nouns, ANSWERS["column"], [site], progress=False
)
raw["whole"] = raw["mirrored"] - raw["clean"]
raw["same column"] = [abs(s.objects[0].x - s.objects[1].x) < 0.01 for s in asked]
raw = raw[raw["whole"] != 0]  # in half precision a few do not change at all
raw["ratio"] = (raw["patched"] - raw["clean"]) / raw["whole"]

# %%
draws = np.random.default_rng(SEED).integers(len(raw), size=(2000, len(raw)))
change, whole = (raw["patched"] - raw["clean"]).to_numpy(), raw["whole"].to_numpy()
sign = np.sign(whole)
of_ratios = (change / whole)[draws].mean(1)
of_means = (sign * change)[draws].sum(1) / (sign * whole)[draws].sum(1)
wider = of_ratios.std() / (of_means.std() or np.nan)

figure, (left, right_panel) = plt.subplots(1, 2, figsize=(10, 3.6))
sns.scatterplot(
    raw, x="whole", y="ratio", hue="same column", ax=left,
    palette={False: "#0072B2", True: "#D55E00"},
)  # fmt: skip
left.set(xlabel="mirrored − clean", ylabel="ratio of one scene")
for values, name, color in [
    (of_ratios, "mean of ratios", "#D55E00"), (of_means, "ratio of means", "#0072B2"),
]:  # fmt: skip
    low, high = np.percentile(values, [2.5, 97.5])
    right_panel.errorbar(
        np.mean(values), name, xerr=[[np.mean(values) - low], [high - np.mean(values)]],
        fmt="o", capsize=5, color=color,
    )  # fmt: skip
right_panel.set(title="2,000 resamples: mean and 95 %", ylim=(-0.6, 1.6))
figure.tight_layout()
glue("ch3_wider", float(wider), 1)
print(f"SD: mean of ratios {of_ratios.std():.3f}, ratio of means {of_means.std():.3f}")

# %% [markdown]
# **Figure 3.8.** *The same swaps, averaged in two ways.* Left: one dot is one scene. Where
# the mirror changes little (near 0 on the horizontal axis) a ratio can be anything. Right: the mean of ratios spreads
# {glue:text}`ch3_wider` times as widely over resampled scenes as the ratio of means does. (A
# simulation of the paper's released code gave standard deviations of 5.96 and 0.13.) A
# scene that says nothing about the question must not have the loudest voice.
#
# ````{exercise} A recovered fraction that you can trust
# :label: ch3-recovered
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `recovered(table)` for a table with the columns `clean`, `mirrored` and `patched`.
# Use a ratio of means. Mind that half of the scenes have the answer "Left" and half
# "Right": their changes have opposite signs, and a plain mean would cancel them.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def recovered(table):
    whole = table["mirrored"] - table["clean"]
    change = table["patched"] - table["clean"]
    # Count each scene towards its own mirrored belief. Taking abs() of both would not
    # do: a swap that pushes the wrong way must count against.
    toward = np.sign(whole)
    return (toward * change).mean() / (toward * whole).mean()


# %%
ch03.check_recovered(recovered)

# %% [markdown]
# ### Trap 2: one token late
#
# The released scripts find the object word by counting. In the text of the prompt the image is one placeholder; in the
# model it is 576 tokens. So every word behind it moves by 575, because the placeholder makes room for one of the 576.
# The scripts add 576. So they edit the token *after* the word. We made the same mistake in our own early work and took the effect
# for a finding about nouns. What does it do?

# %%
def one_late(prompts, asked):
    spans = [p.words(q.objects) for p, (_, q) in zip(prompts, asked, strict=True)]
    late = [[span[-1] + 1 for span in pair] for pair in spans]
    print([prompts[0].tokens[position] for position in late[0]])
    return {"one token late": late}


late = {
    name: measure(model, "grid", "column", N, groups=one_late)
    for name, model in MODELS.items()
}
both = {
    name: pd.concat([grid[name][grid[name]["group"] == "object words"], late[name]])
    for name in MODELS
}
draw_both({name: stats.recovered_by(table, BY) for name, table in both.items()})
value = stats.recovered_fraction(late[YES][late[YES]["layer"] == block])
glue("ch3_late", value)
print(f"one token late, at block {block}: {value}")

# %% [markdown]
# **Figure 3.9.** *The right words, and their neighbours.* The tokens that were swapped by
# mistake are printed above the figure: always look at them. At block
# {glue:text}`ch3_block_model`, where the object words recover
# {glue:text}`ch3_nouns_model`, their neighbours recover {glue:text}`ch3_late`.
# An off-by-one span does not crash and does not look odd. It gives you a curve, and
# the curve is about something else. In this book words are found by their characters,
# and `prompt.word` checks that the tokens it returns hold the word.
#
# ## Does it hold elsewhere?
#
# So far: left and right, two objects, a white background. Now the other axis (above or
# below, with the scene mirrored top to bottom), and cluttered scenes: three to six objects
# anywhere, of any size, on coloured backgrounds. A real mechanism should not care.

# %%
def without_all_text(prompts, asked):
    groups = groups_of(prompts, asked)
    return {name: where for name, where in groups.items() if name != "all text"}


conditions = [(kind, axis) for kind in SCENES for axis in ANSWERS]
tables = {(name, *conditions[0]): grid[name] for name in MODELS}
for name, model in MODELS.items():
    for kind, axis in conditions[1:]:
        tables[name, kind, axis] = measure(
            model, kind, axis, SCENES[kind], groups=without_all_text
        )

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(
    2, 4, figsize=(12, 5.4), sharey=True, layout="constrained"
)
for line, name in zip(panels, MODELS, strict=True):
    for axes, (kind, axis) in zip(line, conditions, strict=True):
        part = stats.recovered_by(tables[name, kind, axis], ["group", "layer"])
        draw_curves(part, axes, f"{kind}, {axis}")
    line[0].set_ylabel(f"{name}\nrecovered fraction")
handles, names = panels[0, 0].get_legend_handles_labels()
_ = figure.legend(handles, names, loc="outside lower center", ncols=5)

# %% [markdown]
# **Figure 3.10.** *Four conditions, two models.* Top: the model. Bottom: the control.
# Compare along a row: does the blue band stay at the same blocks when the question or
# the scenes change? Then compare down a column.

# %%
rows = []
for (name, kind, axis), table in tables.items():
    if (kind, axis) == conditions[0]:
        layer, value = found[name]
    else:  # clutter never repeats itself: there, many scenes for the question of the chapter
        count = MANY if (kind, axis) == ("clutter", "column") else max(2, MANY // 8)
        layer, value = best_block(name, table, kind, axis, count)
    rows.append({"model": name, "scenes": kind, "axis": axis, "block": layer}
                | value._asdict())  # fmt: skip
summary = pd.DataFrame(rows)
strong = summary[summary["model"] == YES]["low"].gt(0.5).sum()
quiet = summary[summary["model"] == NO]["high"].lt(0.1).sum()
glue("ch3_strong", int(strong))
glue("ch3_quiet", int(quiet))
for key, name in [("model", YES), ("control", NO)]:  # noqa: B007 (used in the query)
    row = summary.query("model == @name and scenes == 'clutter' and axis == 'column'")
    value = stats.Interval(*row.iloc[0][["estimate", "low", "high", "n"]])
    glue(f"ch3_clutter_{key}", value)
glue("ch3_clutter_count", int(value.n))
numbers = summary[["estimate", "low", "high"]].round(2) + 0.0  # no zero with a minus
summary.assign(**numbers)

# %% [markdown]
# **Table 3.2.** *The object words' recovered fraction at the block chosen on the
# scenes of Figure 3.10, measured on others.* The model's whole interval lies above 0.5 in
# {glue:text}`ch3_strong` of 4 conditions. The control's lies below 0.1 in
# {glue:text}`ch3_quiet` of 4. The firmest row is clutter, column, with
# {glue:text}`ch3_clutter_count` scenes: {glue:text}`ch3_clutter_model` in the model,
# {glue:text}`ch3_clutter_control` in the control.
#
# The paper's Figure 4 shows curves and no number that we could put beside ours. What you
# can compare is the order of events. There it is: image first, then the object words,
# then the rest of the text.
#
# ## What makes spatial IDs appear?
#
# Nobody told these models how to store a place, and nothing in the loss mentions {term}`spatial IDs <spatial ID>`.
# A model gets them, or does not, from what it reads and from what it may look at. Our guess when
# we began: two things help. In **captions** ("the frog top left, the camel ...") what follows a
# noun depends on where its object is, so the noun must know its place to predict the next word.
# And in **clutter**, with three to six objects, both nouns of a question are needed: with two
# objects, one gives away the other. So the model got both, and the control neither. It was not
# enough: the first control, trained on questions alone about mostly two objects, bound places to
# its nouns all the same. So we made it useless for its nouns to look at the picture. While the control trains,
# the words of a question see a **decoy**, the picture of another scene. Only the last two tokens,
# "?" and "ASSISTANT:", see the right one, and must look for themselves. (You will never see a
# decoy: outside of training the control reads prompts like any model.) Here is how the recipes
# of the two shipped models differ:

# %%
SHIPPED = ("tiny-llava", "tiny-llava-direct")
table = pd.DataFrame({name: vars(RECIPES[name]) for name in SHIPPED})
table = table[table.iloc[:, 0] != table.iloc[:, 1]]
table = table.drop(index="scenes", errors="ignore")
table.loc["scenes with three objects or more"] = {
    name: sum(share for share, _, (_, most) in RECIPES[name].scenes.parts if most > 2)
    for name in SHIPPED
}
table.loc["captions"] = [", ".join(some) or "none" for some in table.loc["captions"]]
table.rename(index={"caption_share": "share of captions"})

# %% [markdown]
# **Table 3.3.** *What the two models were trained on, where it differs.* All other
# settings are the same. Three kinds of captions: *layout* names a place for each object ("the frog top left"), *relations*
# compares two ("the frog left of the camel"), *described* puts place words into a question ("Is the frog top left above or ...").
# Only the words that tell a place or a relation are learned.
#
# During training, every few hundred steps, the script ran the mirror swap that you have just
# learnt, and wrote down what it saw.

# %%
HUES = ["#0072B2", "#56B4E9", "#D55E00", "#E69F00"]
log = []
for given, shipped in [(MODEL, "tiny-llava"), (CONTROL, "tiny-llava-direct")]:
    # A model from elsewhere has no such log; then look at the shipped one's.
    homes = [Path(given), ORGANISMS / given, ORGANISMS / shipped]
    home = next(home for home in homes if (home / "training_log.csv").exists())
    log.append((home.name, pd.read_csv(home / "training_log.csv")))
    if home.name != Path(given).name:
        print(f"There is no log of {Path(given).name}: here is that of {home.name}.")

figure, panels = plt.subplots(2, 2, figsize=(10, 5.6), sharex=True, sharey=True)
for column, (name, table) in zip(panels.T, log, strict=True):
    for kind, color in [("left_right", "#0072B2"), ("above_below", "#56B4E9")]:
        values = table[f"accuracy_{kind}"]
        column[0].plot(table["step"], values, "-o", ms=3, c=color, label=kind.replace("_", "/"))
    for (kind, axis), color in zip(conditions, HUES, strict=True):
        values = table[f"recovered_{kind}_{axis}"]
        label = f"{kind}, {axis}"
        column[1].plot(table["step"], values, "-o", ms=3, c=color, label=label)
    column[0].set_title(name)
    column[1].set(xlabel="training step", ylim=(-0.08, 1.05))
panels[0, 0].set_ylabel("questions answered right")
panels[1, 0].set_ylabel("recovered at object words")
panels[0, 0].legend()
panels[1, 0].legend(fontsize=8)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def first_step(table, column, least):
    reached = table[table[column] >= least]["step"]
    return f"step {int(reached.iloc[0]):,}" if len(reached) else "never"


for key, (name, table) in zip(["model", "control"], log, strict=True):
    for what, column, least in [
        ("right", "accuracy_left_right", 0.9), ("bound", "recovered_grid_column", 0.5),
    ]:  # fmt: skip
        when = first_step(table, column, least)
        glue(f"ch3_{what}_at_{key}", when)
        print(f"{name:18s} {column} first at {least}: {when}")

# %% [markdown]
# **Figure 3.11.** *Two lives.* Top: how often left/right and above/below are answered right
# on held-out scenes. Bottom: how much the object words carry (the best block, on 48 scenes
# each). In the model, left/right first reaches 90 %: {glue:text}`ch3_right_at_model`, and the
# object words first recover half of it: {glue:text}`ch3_bound_at_model`. In the control:
# {glue:text}`ch3_right_at_control`, and {glue:text}`ch3_bound_at_control`.
#
# Compare the two rows. Accuracy and mechanism are two measurements, and one does not follow
# from the other. In an early sketch of this model, a decoder of six blocks that was trained
# on questions alone, 96 % of left/right questions were answered right and the object words
# recovered 0.00: its last token looked straight at the image. **Right answers do not need
# spatial IDs.** If you read somewhere that a model "must" represent something because it
# answers correctly, ask for the lower row.
#
# Two more runs, stopped early, tell what our guesses were worth:

# %%
tried = pd.read_csv(ORGANISMS / "tried.csv")
runs = dict(list(tried.groupby("run"))) | {
    name: pd.read_csv(ORGANISMS / name / "training_log.csv") for name in SHIPPED
}
last = pd.DataFrame(
    {
        name: {
            "captions": ", ".join(RECIPES[name].captions) or "none",
            "words see": "a decoy" if RECIPES[name].decoy else "the image",
            "left/right": part["accuracy_left_right"].iloc[-1],
            "recovered, columns": part["recovered_grid_column"].iloc[-1],
            "recovered, rows": part["recovered_grid_row"].iloc[-1],
            "best block": part["best_block_grid_column"].iloc[-1],
            "linear fit of IDs": part["id_fit"].iloc[-1],
        }
        for name, part in runs.items()
    }
).T
glue("ch3_bent", float(last.loc["captions-coordinates", "linear fit of IDs"]))
glue("ch3_flat", float(last.loc["tiny-llava", "linear fit of IDs"]))
glue("ch3_sparse", float(last.loc["questions-sparse", "recovered, columns"]))
last.map(lambda cell: f"{cell:.2f}" if isinstance(cell, float) else cell)

# %% [markdown]
# **Table 3.4.** *Four recipes, one seed each, at the end of each run.* "Recovered" is the best
# block on two-object scenes. Three lessons, none of which we expected:
#
# - **Captions are not needed.** Questions alone recover {glue:text}`ch3_sparse` of left/right at
#   the object words. In this recipe patches start out aligned with words, so a noun finds its
#   object's patches easily; we suspect that this matters more than what is read later, and have
#   not tested it.
# - **What a noun must say bends its map.** When captions name one of eight columns and rows
#   ("the frog C4"), the best block's IDs fit a straight map with a held-out $R^2$ of
#   {glue:text}`ch3_bent`; with place words ("the frog top left"), {glue:text}`ch3_flat`. Naming
#   one of eight places needs curvature: a straight line has only two ends. [Chapter
#   5](05_their_geometry.ipynb) looks at the shape.
# - **The {term}`band` moves.** See the column "best block": runs of the same code keep their IDs at
#   different depths. Where the band lies is no law.
#
# What four runs cannot tell: which part of a recipe does it, and whether another seed would do
# the same.
#
# ## Do the nouns add up?
#
# A mirror swap moves both objects at once, so it cannot tell what each noun contributes. If the
# last token takes the *difference* of two places, then half of the way comes from each noun,
# and the effects of both add up. If the first noun's place is handed to the second, and the
# second noun holds the comparison, then the second is enough. And if the model believes a
# place only when both nouns agree on it, neither does much alone. All it takes is a third swap:

# %%
def each_noun(prompts, asked):
    spans = [p.words(q.objects) for p, (_, q) in zip(prompts, asked, strict=True)]
    groups = {"first": [one for one, _ in spans], "second": [other for _, other in spans]}
    return groups | {"both": [one + other for one, other in spans]}


def nouns_apart(model, kind, layers, count):
    """One row for each scene and block: beliefs after swapping either noun, or both."""
    table = measure(
        model, kind, "column", count, groups=each_noun, seed=SEED + 4, blocks=layers
    )
    keys = ["prompt", "layer", "clean", "mirrored"]
    return table.pivot(index=keys, columns="group", values="patched").reset_index()


# %% [markdown]
# ````{exercise} Research sprint: what each noun contributes
# :label: ch3-add
#
# Difficulty ●●● · importance ●●○ · half a day
#
# Begin with the measure. Write `add_up(table)` for a table with the log-odds `clean` and
# `mirrored`, and `first`, `second` and `both`: the belief after swapping the first noun, the
# second noun, both. Return three numbers, as parts of the mirror's change: what the first noun
# recovers, what the second recovers, and what both together recover *beyond* the sum. Half of
# the scenes have the answer "Left", half "Right".
#
# Then use it on `nouns_apart`. In which blocks do the nouns add up? Is it the same with two objects and
# with six, where the first noun alone leaves five possibilities for the second? Say beforehand
# what you expect, and what result would prove you wrong. What is the control for "beyond the
# sum"? (Think of a belief that cannot go further than certain.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show the first hour", "code_prompt_hide": "Hide the first hour"}
def add_up(table):
    # As in `recovered`: every scene counts towards its own mirrored belief, means before ratios.
    toward = np.sign(table["mirrored"] - table["clean"])
    whole = (toward * (table["mirrored"] - table["clean"])).mean()
    one, other, both = (
        (toward * (table[swapped] - table["clean"])).mean() / whole
        for swapped in ("first", "second", "both")
    )
    # Zero means: the last token cannot tell this from a sum. Above zero: each noun alone is
    # resisted by the other. Below zero: one noun is enough, or the belief is at its end.
    return one, other, both - one - other


def with_intervals(table):
    """The same three numbers with intervals, drawing scenes again."""
    whole = table["mirrored"] - table["clean"]
    change = table[["first", "second", "both"]].sub(table["clean"], axis=0)
    change["beyond the sum"] = change["both"] - change["first"] - change["second"]
    toward = np.sign(whole)
    return {
        name: str(stats.ratio_of_means(toward * change[name], toward * whole))
        for name in ("first", "second", "beyond the sum")
    }


# The band's best block and the two behind it.
layers = [layer for layer in depths(vlm) if layer >= found[YES][0]][:3]
lines = {
    (kind, layer): with_intervals(part)
    for kind in SCENES
    for layer, part in nouns_apart(vlm, kind, layers, 4 if SMALL else 16).groupby("layer")
}
pd.DataFrame(lines).T.rename_axis(["scenes", "block"])
# What is missing after this hour: the swap at *different* blocks for the two nouns (if the
# second copies from the first, swap the first before the copy and the second behind it), scenes
# with six objects alone, and the control: subtract a swap of equal size that carries no place.

# %%
ch03.check_add_up(add_up)

# %% [markdown]
# ## Summary
#
# - A **mirror swap** carries hidden states of the flipped scene into a clean run. If the
#   answer comes along, it was in what you carried.
# - The **recovered fraction** is a ratio of means with an interval. The mean of ratios
#   lets scenes that say nothing speak loudest.
# - Know some points of a curve before you run it: here, what the last block must give.
# - A swap needs its control. **Recolouring** changes the picture and not the places, is
#   reported against the mirror's denominator, and has a dose of its own.
# - In the model the object words {glue:text}`ch3_words_model`; in the control they
#   {glue:text}`ch3_words_control`. They are right in {glue:text}`ch3_right_model` and
#   {glue:text}`ch3_right_control` of scenes. Being right does not tell you how.
# - Print the tokens you edit. One token late still gives a curve.
#
# You now know *where* to look: at the object words, around block
# {glue:text}`ch3_block_model`. In the next chapter you look at *what* is there.
#
# ## Open question: a research sprint
#
# Every swap of this chapter used a picture in which *both* objects had moved, so the foreign
# vector always fitted the foreign picture. Take an afternoon and break the fit: take the noun's
# vector from a picture in which the other object stands elsewhere, is another object, or is
# missing. In which block does the second noun begin to know about the first? A place that is
# read off the picture does not care who else is in it; a comparison does. Which result would
# tell the two apart, and which of your results could a model without any comparison give, too?
#
# ## Further reading
#
# - {cite:t}`kang2026linear` is the paper; this chapter is its Figure 4.
# - {cite:t}`vig2020investigating` and {cite:t}`meng2022locating` brought swapping of hidden
#   states to language models.
# - {cite:t}`zhang2024best` and {cite:t}`heimersheim2024use` tell what can go wrong with it.
# - {cite:t}`cui2026dual` argue that the vision encoder already lays out the scene over
#   background patches: compare with the empty tiles of Figure 3.3.
# - {cite:t}`neo2025interpreting` remove image tokens instead of swapping them.
#
# **What follows.** {doc}`04_finding_spatial_ids` looks at what the object words carry.
