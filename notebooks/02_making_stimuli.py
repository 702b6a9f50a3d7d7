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
# # Making stimuli: pictures that ask one question at a time
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/02_making_stimuli.ipynb)
# · about 40 minutes to read, another 45 for the exercises, one to run
# · runs without a GPU · builds on Chapter [1](01_meet_the_model.ipynb)
#
# A model that gets 97 % right may know where the frog is. Or it may know that our frogs tend to be
# on the left. From outside, you cannot tell; the difference was made when the pictures were.
# **Which pictures let us ask where a model keeps its knowledge of place?** We build them, look
# for the ways to cheat, and let a very dumb opponent try them all.
#
# **You will learn**
# - how the paper's grids, cluttered scenes and perspective scenes are made, and what each is for
# - why absolute and relative position cannot be fully separated by balancing, and what to do instead
# - how mirroring and recolouring change exactly one thing
# - how to check a data set for leaks with baselines that cannot see, or hardly
# - how well both of the book's models answer, in both orders of the nouns, with intervals

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
CONTROL = "tiny-llava-direct"  # the model to compare with; "" for none
SMALL = False  # True: fewer images, to try things out
SEED = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

from dataclasses import replace
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import (
    Placed,
    Scene,
    grid_scenes,
    mirror,
    plots,
    recolor,
    scenes,
    stats,
)
from helpers.exercises import ch02
from helpers.report import glue, open_models, percent
from helpers.stimuli import questions
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.split import cell_of, held_out_cells, is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS

# %%
vlms = open_models(MODEL, CONTROL, chapter="02_making_stimuli", small=SMALL, seed=SEED)
# Some models take pictures of any size, and name none.
towers = {name: vlm.model.config.vision_config for name, vlm in vlms.items()}
PIXELS = {n: int(np.max(getattr(t, "image_size", 336))) for n, t in towers.items()}
COLORS = dict(zip(vlms, ("#0072B2", "#D55E00"), strict=False))

# %% [markdown]
# ## The paper's grid
#
# The paper {cite}`kang2026linear` asks about the plainest pictures one can think of: two of ten objects, in two
# {term}`cells <cell>` of a 4 x 4 grid, on white, at four sizes. Here is one ordered pair, *every* picture of it.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
pair_scenes = grid_scenes(pairs=[("frog", "camel")])
TINTS = {
    "Left": (0.80, 0.90, 1.0),
    "Right": (1.0, 0.90, 0.76),
    None: (0.72, 0.72, 0.72),
}


def answer_of(scene, kind=questions.left_right):
    question = kind(scene, *scene.names[:2])
    return question.answer if question else None


def tile_of(placed):
    row, column = cell_of(placed.x, placed.y)
    return 4 * column + row  # column by column, so that left comes before right


side = 48
sheet = np.ones((16 * side, 16 * side, 3))
for one in pair_scenes:
    frog, camel = (tile_of(placed) for placed in one.objects)
    tile = np.asarray(one.render(side - 2)) / 255 * TINTS[answer_of(one)]
    top, left = frog * side, camel * side
    sheet[top : top + side - 2, left : left + side - 2] = tile
figure, axes = plt.subplots(figsize=(8.5, 8.5))
axes.imshow(sheet)
ticks = (np.arange(4) * 4 + 2) * side
axes.set_xticks(ticks, [f"camel in column {column}" for column in range(4)])
axes.set_yticks(ticks, [f"frog in\ncolumn {column}" for column in range(4)])
axes.grid(False)
plt.show()

# %% tags=["remove-output"]
count = len(pair_scenes)
no_lr = stats.proportion([answer_of(one) is None for one in pair_scenes])
no_ab = stats.proportion(
    [answer_of(one, questions.above_below) is None for one in pair_scenes]
)
glue("per_pair", count)
glue("all_pictures", f"{count * 90 * len(PAPER_SIZES):,}")
glue("no_answer", f"{100 * no_lr.estimate:.0f} %")
glue("no_answer_ab", f"{100 * no_ab.estimate:.0f} %")

# %% [markdown]
# **Figure 2.1.** *All {glue:text}`per_pair` pictures of one pair.* Down: the frog's cell, column by column
# and from top to bottom in each. Across: the camel's. White: both would be in one cell. Blue: the frog is
# left of the camel. Orange: right of it. Grey: neither, since they share a column. With 90 ordered pairs and
# four sizes the whole set has {glue:text}`all_pictures` pictures.
#
# Two things are in this sheet that you should not forgive too quickly.
#
# *The grey tiles.* In {glue:text}`no_answer` of the pictures "Is the frog to the left or right of the camel?" has no
# answer, and in {glue:text}`no_answer_ab` "above or below?" has none. The authors' code asks anyway. Our questions return `None`
# in that case, and we drop the picture.
#
# *The staircase of blue and orange.* Cover the bottom axis, and look at the frog's column alone: can you still
# guess the colour? We come to that.
#
# ````{exercise} How many have no answer?
# :label: ch2-no-answer
#
# Difficulty ●○○ · importance ●●○ · 5 minutes, on paper
#
# Two objects stand in two different cells of a grid of `grid` by `grid` cells, every placement equally likely. In
# which share of placements do they stand in the same column? Write `no_answer(grid)` as a formula. Would a finer grid
# have spared the paper the problem?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def no_answer(grid):
    # Put the first object anywhere. Of the grid² - 1 cells that are left, grid - 1 are in its
    # column: (grid - 1) / (grid² - 1), and the factor (grid - 1) falls out.
    return 1 / (grid + 1)


# %%
ch02.check_no_answer(no_answer)
print(f"on a 4 x 4 grid {no_answer(4):.0%}, and counted on the sheet {no_lr.estimate:.0%}")

# %% [markdown]
# A finer grid helps slowly: for one such picture in a hundred you would need 99 columns. Dropping them costs nothing.
# Keeping them costs more than their number says, because whatever is divided by "how much the answer
# changed" gets a denominator near zero from each of them ([chapter 3](03_where_does_it_flow.ipynb) shows it).
#
# ## Three kinds of scenes

# %%
kinds = {
    "grid": scenes(4, SEED + 3, "grid"),
    "clutter": scenes(4, SEED + 4, "clutter"),
    "perspective": scenes(4, SEED + 7, "perspective", objects=(3, 4)),
}
pictures = [scene for group in kinds.values() for scene in group]
plots.show_scenes(pictures, [name for name in kinds for _ in range(4)])
plt.show()

# %% [markdown]
# **Figure 2.2.** *Grid, clutter, perspective.* *Grid*: as in the paper. Clean, cheap, and good for extracting spatial IDs ({doc}`chapter 4 <04_finding_spatial_ids>`), because every cell is visited by every object. *Clutter*: three to six objects anywhere, on any background. With
# only two objects, a model that has read "frog" knows that the other one is the camel, and need not
# wait for its word. With five it must wait. *Perspective*: nearer is lower and larger, and shadows show what
# hovers.
#
# Perspective needs exceptions, or depth is nothing but another name for height. How often
# is each rule of thumb right?

# %%
depth = []
for one in scenes(300 if SMALL else 3000, SEED, "perspective", objects=(2, 2)):
    first, second = one.objects
    question = questions.front_behind(one, first.name, second.name)
    if question is None:
        continue
    front = question.answer == "Front"
    bottom = [placed.y + placed.size / 2 for placed in (first, second)]
    depth.append(
        {
            "lower is nearer": (bottom[0] > bottom[1]) == front,
            "larger is nearer": (first.size > second.size) == front,
        }
    )
depth = pd.DataFrame(depth)
depth["both, where they agree"] = depth.iloc[:, 0].where(
    depth.iloc[:, 0] == depth.iloc[:, 1]
)
for rule in depth:
    share = stats.proportion(depth[rule].dropna().astype(bool))
    print(f"{rule:24s} {share}")
    glue(rule.split()[0].rstrip(",") + "_rule", percent(share))

# %% [markdown]
# Height alone is right in {glue:text}`lower_rule` of the questions, size alone in {glue:text}`larger_rule`. So a model
# can be good at "in front of or behind" and never represent depth. The paper finds just that kind of
# thing: LLaVA-1.5 mixes up depth and height. In a set without exceptions nobody could have noticed.
#
# ## Absolute and relative position
#
# Now cover the camel. In the grid, what does the *column of the frog alone* tell about the answer?


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the counting"}
def left_by_column(pairs_of_items, which):
    """P(answer = Left | column) for the first (0) or the second (1) noun's object."""
    rows = [
        (cell_of(placed.x, placed.y)[1], question.answer == "Left")
        for scene, question in pairs_of_items
        for placed in [scene.find(question.objects[which])]
    ]
    return (
        pd.DataFrame(rows, columns=["column", "left"]).groupby("column")["left"].mean()
    )


def asked(some_scenes, kind=questions.left_right):
    """(scene, question) for the first two objects of each scene, where there is an answer."""
    pairs = [(one, kind(one, *one.names[:2])) for one in some_scenes]
    return [(one, question) for one, question in pairs if question]


sets = {
    "the paper's grid": asked(pair_scenes),
    "clutter": asked(scenes(400 if SMALL else 4000, SEED, "clutter")),
}


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
def draw_by_column(sets):
    figure, pair = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    for axes, which, noun in zip(pair, (0, 1), ("first", "second"), strict=True):
        for (name, items), color in zip(
            sets.items(), ("#0072B2", "#E69F00", "#009E73"), strict=False
        ):
            share = left_by_column(items, which)
            axes.plot(
                share.index, share, marker="o", ms=9, lw=2, color=color, label=name
            )
        axes.axhline(0.5, color="0.5", ls=":", lw=1)
        axes.set(
            xticks=range(4),
            ylim=(-0.08, 1.08),
            xlabel=f"column of the {noun} noun's object",
        )
    plots.sprites_at(pair[0], np.array([[0.12, 0.25]]), ["frog"], zoom=0.3)
    plots.sprites_at(pair[1], np.array([[0.12, 0.75]]), ["camel"], zoom=0.3)
    pair[0].set(ylabel="P(the answer is Left)")
    pair[0].legend(loc="upper right", fontsize=9)
    figure.tight_layout()


draw_by_column(sets)
plt.show()

# %% tags=["remove-output"]
shares = left_by_column(sets["the paper's grid"], 0)
glue("one_column", f"{100 * np.maximum(shares, 1 - shares).mean():.0f} %")
glue("column_zero", f"{100 * shares[0]:.0f} %")

# %% [markdown]
# **Figure 2.3.** *One object already tells.* In column 0 the frog is never right of anything, so the answer is Left in
# {glue:text}`column_zero` of the cases. A cheat that looks up the first noun's column, and never finds the
# second object at all, gets {glue:text}`one_column` right. Clutter is no better. Dotted: what balance would look like.
#
# This is worse than it sounds, because it is about what we *find*, not only about what the model scores.
# If you average the hidden states of "frog" over all pictures in which the frog is in column 0, you average over pictures whose
# answer is Left. Is the vector that you get "column 0", or is it "Left"? In the grid these are
# the same set of pictures.
#
# ### Can you balance it away?
#
# Half. You can choose pictures so that the *first* noun's column says nothing. You cannot do it for both nouns at once,
# and the proof is one line: *whichever column is the leftmost that you use, an object in it has all its partners
# on the right.*

# %% [markdown]
# ````{exercise} Build a balanced set
# :label: ch2-balanced
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `balanced(pairs)`. For a list of unordered pairs of names, return a list of `(scene, question)`
# about left and right in which none of these tells the answer: the two nouns, their order, the
# column of the first noun's object in the 4 x 4 grid. Hint: which columns have neighbours on both sides?
# `questions.left_right(scene, first, second)` makes the question. A scene is
# `Scene((Placed(name, x, y, size), ...))`: x runs from 0 to 1 to the right and y down, the middle of column `c` is
# at `(c + 0.5) / 4`, and 0.2 is a good size.
# ````


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def balanced(pairs):
    items = []
    for first, second in [*pairs, *(pair[::-1] for pair in pairs)]:  # both orders
        for column in (1, 2):  # an inner column has a neighbour on either side
            for step in (-1, 1):  # one picture of each for the same nouns and column
                for row in range(4):
                    places = ((column, row), (column + step, (row + 1) % 4))
                    scene = Scene(
                        tuple(
                            Placed(name, (c + 0.5) / 4, (r + 0.5) / 4, 0.2)
                            for name, (c, r) in zip(
                                (first, second), places, strict=True
                            )
                        )
                    )
                    items.append((scene, questions.left_right(scene, first, second)))
    return items


# %%
even = balanced([("frog", "camel"), ("dog", "teapot"), ("robot", "cake")])
ch02.check_balanced(even)

# %%
draw_by_column({"the paper's grid": sets["the paper's grid"], "balanced": even})
plt.show()

# %% [markdown]
# **Figure 2.4.** *What balance buys, and what it cannot.* Orange: the balanced set. On the first noun's side the
# line is flat at one half. On the second noun's side the confound is not gone. It has moved, and
# it is steeper at the edges than before. That is the theorem at work: balance for both does not exist.
#
# ### Then move the whole scene
#
# What balancing cannot do, *pairs of pictures* can. Shift both objects together: absolute positions change and the
# relation stays. Keep the first object and put its partner on the other side: the relation changes and the
# first position stays. Try it with both of the book's models. The *first* is `tiny-llava`, which you know. The *second* is its
# twin, `tiny-llava-direct`, which answers the same questions and never read captions that tell places.


# %%
def beliefs_about(items, answers):
    """Every model's beliefs about (scene, question) items: tables by model, in their order."""
    tables = {}
    for name, vlm in vlms.items():
        parts = []
        for start in range(0, len(items), 64):
            part = items[start : start + 64]
            images = [scene.render(PIXELS[name]) for scene, _ in part]
            prompts = vlm.prompt(images, [question.text for _, question in part])
            parts.append(vlm.beliefs(prompts, answers))
        tables[name] = pd.concat(parts, ignore_index=True)
    return tables


LR = questions.ANSWERS["left_right"]
base = Scene((Placed("frog", 0.36, 0.62, 0.24), Placed("camel", 0.64, 0.38, 0.24)))
shifts = list(range(-24, 25, 12 if SMALL else 6))


def shifted(scene, by):
    return replace(
        scene, objects=tuple(replace(one, x=one.x + by) for one in scene.objects)
    )


moved = asked([shifted(base, shift / 100) for shift in shifts])
moved_odds = beliefs_about(moved, LR)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
reach = 1.15 * max(
    float(table["log_odds"].abs().max()) for table in moved_odds.values()
)


def draw_shift(shift):
    number = shifts.index(shift)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
    left.imshow(moved[number][0].render(224))
    left.axis("off")
    left.add_patch(plt.Rectangle((0, 0), 223, 223, fill=False, ec="0.8"))
    values = [table["log_odds"][number] for table in moved_odds.values()]
    right.barh(list(vlms), values, color=list(COLORS.values()))
    right.axvline(0, color="0.3", lw=1)
    right.set(
        xlim=(-reach, reach),
        xlabel="belief: Right ← 0 → Left",
        title=moved[number][1].text,
    )
    right.title.set_fontsize(8)
    figure.tight_layout()
    return figure


plots.slider(draw_shift, shifts, label="percent of the width")

# %% [markdown]
# **Figure 2.5.** *Shift the scene. Move the slider.* The frog stays left of the camel all the way. A model
# that compares the two objects keeps its bars where they are; one that looks at absolute places lets them slide.
#
# Now with numbers: two objects in neighbouring columns, the first noun's object in each column in turn, its partner to
# the right or to the left. Each sample is one pair of objects, drawn in all six ways.

# %%
rng = np.random.default_rng(SEED)
layouts = [
    (0, 1),
    (1, 1),
    (2, 1),
    (1, -1),
    (2, -1),
    (3, -1),
]  # first column, step to partner
items, labels = [], []
for sample in range(4 if SMALL else 24):
    names = [str(name) for name in rng.permutation(PAPER_OBJECTS)[:2]]
    heights = (rng.permutation(4)[:2] + 0.5) / 4
    for column, step in layouts:
        xs = ((column + 0.5) / 4, (column + step + 0.5) / 4)
        trio = zip(names, xs, heights, strict=True)
        scene = Scene(tuple(Placed(name, x, float(y), 0.22) for name, x, y in trio))
        items.append((scene, questions.left_right(scene, *names)))
        labels.append({"sample": sample, "column": column, "step": step})
shift_tables = {
    name: pd.concat([pd.DataFrame(labels), table], axis=1)
    for name, table in beliefs_about(items, LR).items()
}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
drawings = {
    "only compares": pd.DataFrame(
        [{"column": c, "step": s, "log_odds": 4.0 * s} for c, s in layouts]
    ),
    "only sees the first": pd.DataFrame(
        [{"column": c, "step": s, "log_odds": 6 - 4.0 * c} for c, s in layouts]
    ),
} | shift_tables
figure, panels = plt.subplots(1, len(drawings), figsize=(2.7 * len(drawings), 3.4))
for axes, (name, table) in zip(panels, drawings.items(), strict=True):
    for step, color, label in (
        (1, "#56B4E9", "partner right"),
        (-1, "#E69F00", "partner left"),
    ):
        part = table[table["step"] == step].groupby("column")["log_odds"]
        values = part.apply(
            lambda v: stats.mean(v).estimate if len(v) > 1 else v.iloc[0]
        )
        nudge = 0.05 * step
        axes.plot(values.index + nudge, values, marker="o", color=color, label=label)
        for column, v in part:
            if len(v) > 1:
                spread = stats.mean(v)
                axes.vlines(
                    column + nudge,
                    spread.low,
                    spread.high,
                    color=color,
                    lw=3,
                    alpha=0.4,
                )
    axes.axhline(0, color="0.5", lw=1)
    axes.set(xticks=range(4), title=name, xlabel="first noun's column")
    axes.title.set_fontsize(9)
    if name in ("only compares", "only sees the first"):
        axes.set_facecolor("#f6f6f6")
        axes.set_yticks([0])
panels[0].set_ylabel("log-odds of Left")
panels[0].legend(fontsize=8, loc="center right")
figure.tight_layout()
plt.show()

# %%
effects = []
for name, table in shift_tables.items():
    wide = table.pivot(index="sample", columns=["column", "step"], values="log_odds")
    relation = (wide[1, 1] - wide[1, -1] + wide[2, 1] - wide[2, -1]) / 2
    place = (wide[2, 1] - wide[0, 1] + wide[3, -1] - wide[1, -1]) / 4
    effects.append(
        {
            "model": name,
            "partner changes sides": str(stats.mean(relation)),
            "one column to the right": str(stats.mean(place)),
        }
    )
    tag = "model" if name == next(iter(vlms)) else "control"
    glue(f"relation_{tag}", stats.mean(relation))
    glue(f"place_{tag}", stats.mean(place))
    slope, little = stats.mean(place), 0.05
    direction = "stays level"
    if slope.high < -little:
        direction = "falls as an absolute cue would make it"
    if slope.low > little:
        direction = "rises, against the cue of Figure 2.3"
    glue(f"slope_{tag}", direction)
pd.DataFrame(effects)

# %% [markdown]
# **Figure 2.6.** *The shifted-scene test.* Grey panels: two models that we made up. One only compares the objects, one
# sees the first object alone. White panels: the real ones, with 95 % intervals over samples. **Table 2.1** puts
# them in numbers: how the belief in "Left" changes when the partner changes sides while the first object
# stays, and when the whole scene moves by one column while the relation stays.
#
# For the first model the relation moves the {term}`belief` by {glue:text}`relation_model` nats and one column of place by
# {glue:text}`place_model`: the line {glue:text}`slope_model`. For the second it is {glue:text}`relation_control` and
# {glue:text}`place_control`: its line {glue:text}`slope_control`. Figure 2.3 says that absolute place is honest
# evidence in the pictures a model grew up on, so a falling slope beside a large effect of the relation
# would be no scandal. But you have to *know* its size before you call some vector "column 0".
#
# ## Change one thing: mirror and recolour
#
# To find out which part of the model carries *where*, we need two pictures that differ in where and in nothing
# else. And for a control, two that differ in something else and not in where.

# %%
example = scenes(1, SEED + 11, "clutter", objects=(4, 4), held_out=True)[0]
changed = {
    "original": example,
    "mirror": mirror(example),
    'mirror(axis="row")': mirror(example, "row"),
    "recolor": recolor(example),
}
plots.show_scenes(list(changed.values()), list(changed))
plt.show()
for name, one in changed.items():
    print(f"{name:20s}", *(str(answer_of(one, kind)) for kind in
                           (questions.left_right, questions.above_below)))  # fmt: skip

# %% [markdown]
# **Figure 2.7.** *One thing at a time.* `mirror` moves the objects to the other side and does *not* flip them: a
# camel that looks the other way would differ in *what*, too. Left and right change places, above and below do not, and
# with `axis="row"` it is the other way round. `recolor` turns the hue of every object: each patch with an object in it
# changes, and no answer does.
#
# If the model behaves, its belief changes sign under the mirror and stays under new colours. The first
# we can demand. The second depends on how far we turn the hue: the shipped models
# learned from objects turned by up to 60 degrees, and at some angle a camel is no longer seen as one. So we try several.

# %%
originals = asked(scenes(8 if SMALL else 45, SEED + 5, "clutter", held_out=True))
angles = (30, 120) if SMALL else (10, 20, 40, 80, 120)
versions = {"original": originals, "mirror": [(mirror(s), q) for s, q in originals]}
versions |= {angle: [(recolor(s, angle), q) for s, q in originals] for angle in angles}
odds = {version: beliefs_about(items, LR) for version, items in versions.items()}

kept = []
for name in vlms:
    before = np.sign(odds["original"][name]["log_odds"])
    for angle in angles:
        share = stats.proportion(np.sign(odds[angle][name]["log_odds"]) == before)
        kept.append({"model": name, "angle": angle} | share._asdict())
kept = pd.DataFrame(kept)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.1))
for name in vlms:
    x, y = (odds[version][name]["log_odds"] for version in ("original", "mirror"))
    left.scatter(x, y, s=16, alpha=0.6, color=COLORS[name], label=name)
bound = max(abs(v) for v in (*left.get_xlim(), *left.get_ylim()))
left.plot([-bound, bound], [bound, -bound], color="0.5", lw=1, zorder=0)
left.set(title="mirror", xlabel="belief, original", ylabel="belief, mirrored")
left.set(xlim=(-bound, bound), ylim=(-bound, bound))
plots.with_band(kept, "angle", "model", axes=right, colors=COLORS)
right.axhline(0.5, color="0.4", ls=":", lw=1)
right.set(
    title="recolor", xlabel="hue turned by (degrees)", ylabel="belief keeps its sign"
)
right.set(ylim=(0, 1.03))
figure.tight_layout()
plt.show()

# %% tags=["remove-output"]
for tag, name in zip(("model", "control"), vlms, strict=False):
    sign = [
        np.sign(odds[version][name]["log_odds"]) for version in ("original", "mirror")
    ]
    glue(f"flips_{tag}", percent(stats.proportion(sign[0] == -sign[1])))
first_model = kept[kept["model"] == next(iter(vlms))].set_index("angle")
mild = [angle for angle in angles if first_model["estimate"].loc[:angle].min() >= 0.9]
glue("mild", f"up to {max(mild)} degrees" if mild else "at no angle that we tried")
full = first_model.loc[120]
glue("stays_default", percent(stats.Interval(*full[["estimate", "low", "high", "n"]])))

# %% [markdown]
# **Figure 2.8.** *Does the belief follow the picture?* Left: each dot is a scene with its left/right question, mirrored against
# original; a perfect mirror lies on the line. The sign turns in {glue:text}`flips_model` of the scenes for the first
# model and {glue:text}`flips_control` for the second. Right: how often the belief keeps its sign when the colours
# turn. For the first model it does in nine of ten scenes or more {glue:text}`mild`. At 120 degrees it does in
# {glue:text}`stays_default`.
#
# Read the right panel before you use {term}`recolouring` as a control. A control has to change something *and leave the rest
# alone*. Where the belief no longer keeps its sign, new colours do more than change the colour: the model loses
# the objects. Then use a smaller angle. We did not expect to need that curve when we wrote `recolor`. An earlier
# model of ours had seen no tints in training and lost its objects beyond 30 degrees.
#
# ## Held out: pairs and places
#
# A model may answer "frog left of camel" because it has seen that very picture, or close. The shipped models never
# saw certain *pairs* of objects together, nor certain objects in certain *places*.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
def board(axes, size):
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xticks=[], yticks=[])
    axes.set_aspect("equal")


figure = plt.figure(figsize=(9.5, 4.6))
left = figure.add_axes((0, 0, 0.47, 1))
board(left, 10)
for row, one in enumerate(PAPER_OBJECTS):
    for column, other in enumerate(PAPER_OBJECTS):
        fill = "#D55E00" if is_held_out_pair(one, other) else "#e9eef2"
        fill = "#ffffff" if one == other else fill
        left.add_patch(
            plt.Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=fill, lw=0)
        )
for number, name in enumerate(PAPER_OBJECTS):
    plots.sprites_at(left, np.array([[number, number]]), [name], zoom=0.2)
board(left, 10)
left.set_title("pairs never shown together")
figure.text(0.76, 1.02, "places never shown", ha="center", weight="bold")
for number, name in enumerate(PAPER_OBJECTS[:6]):
    axes = figure.add_axes(
        (0.52 + 0.165 * (number % 3), 0.5 - 0.5 * (number // 3), 0.15, 0.44)
    )
    for row, column in np.ndindex(4, 4):
        fill = "#D55E00" if (row, column) in held_out_cells(name) else "#e9eef2"
        axes.add_patch(
            plt.Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=fill, lw=0)
        )
    cells = np.array([(column, row) for row, column in sorted(held_out_cells(name))])
    plots.sprites_at(axes, cells, [name] * len(cells), zoom=0.15)
    board(axes, 4)
    axes.set_title(name, fontsize=9, fontweight="normal")
plt.show()

# %%
seen = [s for kind in kinds for s in scenes(50, SEED, kind, objects=(2, 2))]
new = [
    s for kind in kinds for s in scenes(50, SEED, kind, objects=(2, 2), held_out=True)
]
print(
    "held-out pairs among training scenes:",
    sum(is_held_out_pair(*s.names) for s in seen),
)
print(
    "held-out pairs among held-out scenes:",
    sum(is_held_out_pair(*s.names) for s in new),
)
strange = [cell_of(o.x, o.y) in held_out_cells(o.name) for s in new for o in s.objects]
print(f"objects of held-out scenes in places never shown: {np.mean(strange):.0%}")

# %% [markdown]
# **Figure 2.9.** *What the models never saw.* Left: orange where a pair of objects never shared a picture in
# training. Right: for six objects, the cells in which training never put them. A held-out question is about a
# held-out pair, *both* in held-out places. The cell above does not trust the figure: it counts.
#
# Remember this figure. It hides a {term}`leak` of our own, and a dumb baseline is about to find it.
#
# ## A leak check with dumb baselines
#
# A **leak** is a way to the right answer that does not pass through what you want to study. To find leaks, train
# something that *cannot* do the task properly, and see whether it does. Ours get, in order of rising strength:
#
# | baseline | what it gets | what it could exploit |
# |---|---|---|
# | majority | nothing | more Lefts than Rights |
# | words | the nouns and their order | some objects tend to be left |
# | colours | a histogram of 64 colours, no places | a colour that goes with an answer |
# | colours × words | each colour, separately for each noun | what is there, but not where |
# | thumbnail | the picture at 8 x 8 pixels | the layout, but not what was asked |
# | thumbnail, neighbours | the same, with 15 nearest neighbours | the same, without straight lines |
# | thumbnail and words | both, side by side | layout and question, not multiplied |
# | thumbnail × words | each pixel, separately for each noun | "where is the green?" |

# %%
NUMBER = {name: number for number, name in enumerate(PAPER_OBJECTS)}


def words_of(question):
    """+1 for the first noun, and in a second half of the vector for the second one."""
    vector = np.zeros((2, len(NUMBER)))
    for place, name in enumerate(question.objects):
        vector[place, NUMBER[name]] = 1
    return vector


def features(items):
    rows = {name: [] for name in ("words", "colours", "thumbnail", "c × w", "t × w")}
    for scene, question in items:
        picture = scene.render(64)
        bins = np.asarray(picture).reshape(-1, 3).astype(int) // 64
        colors = np.sqrt(np.bincount(bins @ [16, 4, 1], minlength=64) / 4096)
        thumb = np.asarray(picture.resize((8, 8), Image.Resampling.BOX)).ravel() / 255
        word = words_of(question)
        rows["words"].append(word.ravel())
        rows["colours"].append(colors)
        rows["thumbnail"].append(thumb)
        rows["c × w"].append(np.outer(word[0] - word[1], colors).ravel())
        rows["t × w"].append(np.outer(word[0] - word[1], thumb - 1).ravel())
    return rows


# %%
def linear(strength=0.1):
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=400))


BASELINES = {
    "words": (("words",), linear),
    "colours": (("colours",), linear),
    "colours × words": (("c × w",), lambda: linear(0.01)),
    "thumbnail": (("thumbnail",), lambda: linear(0.01)),
    "thumbnail, neighbours": (("thumbnail",), lambda: KNeighborsClassifier(15)),
    "thumbnail and words": (("thumbnail", "words"), lambda: linear(0.01)),
    "thumbnail × words": (("t × w",), lambda: linear(0.003)),
}


def leak_check(train, tests):
    """Share of right answers for every baseline on every test set, with Wilson's interval."""
    x, y = features(train), [question.answer for _, question in train]
    rows = []
    majority = max(set(y), key=y.count)
    held = {
        name: (features(items), [q.answer for _, q in items])
        for name, items in tests.items()
    }
    for test, (_, truth) in held.items():
        hits = [answer == majority for answer in truth]
        rows.append(
            {"baseline": "majority", "test": test} | stats.proportion(hits)._asdict()
        )
    for name, (parts, make) in BASELINES.items():
        model = make().fit(np.hstack([x[part] for part in parts]), y)
        for test, (z, truth) in held.items():
            hits = model.predict(np.hstack([z[part] for part in parts])) == np.array(
                truth
            )
            rows.append(
                {"baseline": name, "test": test} | stats.proportion(hits)._asdict()
            )
    return pd.DataFrame(rows)


# %% [markdown]
# Four tests. *Like training*: fresh pictures of the kind the baseline was trained on. *New pairs*: objects that never
# shared a picture, each in places where it has been. *New pairs and places*: the book's held-out pictures (Figure 2.9).
# *The same, with mirrors*: each of these, and its mirror image as well.
#
# A "×" stands for all products of the one with the other. So a baseline that only adds up its inputs, each with a weight,
# can weigh each pixel differently for each noun.
#
# A baseline at chance proves nothing if it could never have left chance. So there is a second task in
# which colours *do* tell: "Is there a frog in the image?" Absent objects are drawn from the same ten; had we drawn
# them from all 32, the words alone would give the answer away.


# %%
def new_pairs(count, seed):
    """Grid scenes of held-out pairs, in cells where training does put the objects."""
    rng = np.random.default_rng(seed)
    pairs = [pair for pair in combinations(PAPER_OBJECTS, 2) if is_held_out_pair(*pair)]
    found = []
    while len(found) < count:
        names = rng.permutation(pairs[rng.integers(len(pairs))])
        cells = [tuple(map(int, divmod(tile, 4))) for tile in rng.permutation(16)[:2]]
        if all(
            cell not in held_out_cells(str(n))
            for n, cell in zip(names, cells, strict=True)
        ):
            placed = [
                Placed(
                    str(n),
                    (column + 0.5) / 4,
                    (row + 0.5) / 4,
                    float(rng.choice(PAPER_SIZES)),
                )
                for n, (row, column) in zip(names, cells, strict=True)
            ]
            found.append(Scene(tuple(placed)))
    return found


# %%
def ask_left_right(some_scenes):
    """Both orders of the nouns in turn."""
    found = []
    for number, one in enumerate(some_scenes):
        question = questions.left_right(
            one, *(one.names if number % 2 else one.names[::-1])
        )
        found += [(one, question)] if question else []
    return found


def ask_is_there(some_scenes):
    rng = np.random.default_rng(SEED)
    found = []
    for number, one in enumerate(some_scenes):
        absent = [name for name in PAPER_OBJECTS if name not in one.names]
        name = rng.choice(one.names if number % 2 else absent)
        found.append((one, questions.is_there(one, str(name))))
    return found


# %%
def with_mirrors(items):
    flip = {"Left": "Right", "Right": "Left", "Yes": "Yes", "No": "No"}
    return items + [(mirror(s), replace(q, answer=flip[q.answer])) for s, q in items]


N_TRAIN, N_TEST = (200, 80) if SMALL else (2400, 800)
drawn = {
    "like training": scenes(N_TEST, SEED + 1, "grid"),
    "new pairs": new_pairs(N_TEST, SEED + 2),
    "new pairs and places": scenes(N_TEST, SEED + 3, "grid", held_out=True),
}
checks = []
for task, ask in (
    ("left or right?", ask_left_right),
    ("is there a ...?", ask_is_there),
):
    tests = {name: ask(some) for name, some in drawn.items()}
    tests["the same, with mirrors"] = with_mirrors(tests["new pairs and places"])
    train = ask(scenes(N_TRAIN, SEED, "grid"))
    checks.append(leak_check(train, tests).assign(task=task))
checks = pd.concat(checks, ignore_index=True)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
TEST_COLORS = dict(
    zip(tests, ("#0072B2", "#CC79A7", "#D55E00", "#009E73"), strict=True)
)
figure, pair = plt.subplots(1, 2, figsize=(9.5, 5.4), sharey=True)
order = list(dict.fromkeys(checks["baseline"]))
for axes, (task, table) in zip(pair, checks.groupby("task", sort=False), strict=True):
    for offset, (test, color) in zip(
        (-0.27, -0.09, 0.09, 0.27), TEST_COLORS.items(), strict=True
    ):
        part = table[table["test"] == test].set_index("baseline").loc[order]
        y = np.arange(len(order)) + offset
        axes.hlines(y, part["low"], part["high"], color=color, lw=3, alpha=0.5)
        axes.plot(part["estimate"], y, "o", ms=5, color=color, label=test)
    axes.axvline(0.5, color="0.4", ls=":", lw=1)
    axes.set(title=task, xlabel="share right", xlim=(0, 1))
pair[0].set_yticks(range(len(order)), order)
pair[0].invert_yaxis()
figure.legend(*pair[0].get_legend_handles_labels(), ncol=4, fontsize=9, loc="upper center",
              bbox_to_anchor=(0.55, 1.05))  # fmt: skip
figure.tight_layout()
plt.show()


# %% tags=["remove-output"]
def score(baseline, test, task="left or right?"):
    one = checks.query(
        "baseline == @baseline and test == @test and task == @task"
    ).iloc[0]
    return stats.Interval(one["estimate"], one["low"], one["high"], int(one["n"]))


def against_chance(interval):
    if interval.low > 0.5:
        return "above chance"
    return "below chance" if interval.high < 0.5 else "not to be told from chance"


SHORT = {
    "words": "words", "colours": "colours",
    "c × w": "colours × words", "t × w": "thumbnail × words",
}  # fmt: skip
for tag, test in zip(("fresh", "pairs", "held", "mirror"), TEST_COLORS, strict=True):
    for short, baseline in SHORT.items():
        name = short.replace(" × ", "")
        glue(f"{name}_{tag}", percent(score(baseline, test)))
        glue(f"{name}_{tag}_verdict", against_chance(score(baseline, test)))
glue("there_cw", percent(score("colours × words", "like training", "is there a ...?")))

# %% [markdown]
# **Figure 2.10.** *What the dumb can do.* Share of right answers with 95 % Wilson intervals {cite}`wilson1927probable`; chance is dotted. With mirrors, every
# picture counts twice, so read those intervals as a little too narrow.
#
# Go through it row by row.
#
# *Colours* on left/right: {glue:text}`colours_fresh` on fresh pictures. Multiplied with the words:
# {glue:text}`cw_fresh` ({glue:text}`cw_fresh_verdict`). A histogram has no places in it, so there is nothing for it to find, and had it found
# something, that would have been a leak. And it *can* learn: on "Is there a ...?" the very same features reach
# {glue:text}`there_cw`.
#
# *Words* on left/right: {glue:text}`words_fresh` on fresh pictures ({glue:text}`words_fresh_verdict`) and {glue:text}`words_held` in new
# places ({glue:text}`words_held_verdict`). This is the leak of Figure 2.9, and it is ours. If cells on the left are forbidden to the
# frog in training, then in training the frog is more often on the right; and the held-out pictures use exactly the
# forbidden cells. A model that guesses from the noun is a little better than chance
# on the first and much *worse* on the second. Below chance is information, too. We found this because we
# asked; nobody sees it in the pictures.
#
# *With mirrors* the words are at {glue:text}`words_mirror`. They must be at one half exactly: whatever a noun predicts, the mirrored
# picture has the opposite answer. **Mirroring is a balance that costs nothing**, and one reason
# why mirrored pictures, and not just any others, are the main tool of [chapter 3](03_where_does_it_flow.ipynb). The
# price: a mirrored picture is no longer in held-out places.
#
# *Thumbnail × words*: {glue:text}`tw_fresh` on fresh pictures. Is this a leak? No. The thumbnail holds the places, and the product
# lets the baseline ask "is the green blob left of the brown one?". That *is* the task, done by a poor eye. With new
# pairs it still gets {glue:text}`tw_pairs`. But in new places it scores {glue:text}`tw_held`. Not chance: nearly always *wrong*. Why? It has learned, for
# each noun, where blobs mean what. In a cell that is forbidden to the frog, every blob it ever saw was the frog's
# *partner*. Now both objects stand in forbidden cells, and each is taken for the other.
#
# That is a gift. It tells us what held-out places are for: a model that answers well there cannot be
# a table of places for each object. What it is instead, no accuracy will tell. For that we have to look inside.
#
# One more look at the first column of Figure 2.10. *Like training* means fresh pictures: another seed. But are they?
#
# ````{exercise} Fresh pictures?
# :label: ch2-repeats
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# A seed is no promise. On a grid there are only so many pictures, and two seeds can draw the same. Write
# `repeats(train, test)` for two lists of scenes: a list of booleans, one for each test scene, that tells whether the
# same picture is among the training scenes. What makes two pictures the same? A scene lists its objects in some
# order, and pixels do not know which. `scene.objects` and `scene.background` hold all that is drawn.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def repeats(train, test):
    def picture(scene):
        # A set: the frog and the camel are the camel and the frog. The size stays in, since
        # other pixels are another picture, though for a model they may be nearly the same.
        return frozenset(scene.objects), scene.background

    # A set of training pictures is looked up in one step, however many there are.
    known = {picture(scene) for scene in train}
    return [picture(scene) in known for scene in test]


# %%
ch02.check_repeats(repeats)


# %%
def of_one_size(some):
    """The same scenes, as if all sprites had one size."""
    return [
        replace(s, objects=tuple(replace(o, size=0.2) for o in s.objects)) for s in some
    ]


seen, fresh = scenes(N_TRAIN, SEED, "grid"), drawn["like training"]
held = drawn["new pairs and places"]
old = {
    "to the pixel": repeats(seen, fresh),
    "but for the size": repeats(of_one_size(seen), of_one_size(fresh)),
    "held out, but for the size": repeats(of_one_size(seen), of_one_size(held)),
}
for how, same in old.items():
    print(f"{how:28s} {percent(stats.proportion(same))}")
glue("repeats_exact", percent(stats.proportion(old["to the pixel"])))
glue("repeats_size", percent(stats.proportion(old["but for the size"])))

# %% [markdown]
# Of the "fresh" pictures, {glue:text}`repeats_exact` are in the training set to the pixel, and
# {glue:text}`repeats_size` if you do not look at the size. Nobody copied a file: with about a hundred and fifty
# placements of a pair, drawing often enough is copying. Whoever learns pictures by heart is right about
# those, and "like training" measures in part what was learned by heart. Of the held-out pictures none can be in the
# training set, and this is not a matter of luck. Look for repeats whenever both halves of your data are drawn from
# the same small world, and let no picture come twice within one half either: it would count as two samples
# and be one.

# %% [markdown]
# ````{exercise} Find the leak
# :label: ch2-leaks
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# `ch02.suspicious_sets()` returns four sets of left/right questions, as `(scene, question)`. In some of them one
# thing gives the answer away: the *size* of the objects (the first noun's is larger), the *order* of the
# nouns (alphabetical or not), or the *background* (light or dark). Say for each set which. Write
# `find_leaks(suspicious)`: a dictionary of the sets in, a dictionary from a set's name to `"size"`, `"order"`,
# `"background"` or `"none"` out. `question.objects` are the nouns in their order; `scene.find(name).size` and
# `scene.background.colors[0]` (red, green and blue, 0 to 255) tell the rest. Then think: would your audit have found a leak that nobody listed for you?
# ````

# %% mystnb={"image": {"alt": "The first picture of each of the four sets. Above it the set's name, the two nouns of the question, and the answer."}}
suspicious = ch02.suspicious_sets(count=400, seed=SEED)
for name, items in suspicious.items():
    left = np.mean([question.answer == "Left" for _, question in items])
    print(f"{name:8s} {len(items)} questions, {left:.0%} Left")
plots.show_scenes(
    [items[0][0] for items in suspicious.values()],
    [
        f"{name}\n{question.objects[0]} ... {question.objects[1]}? {question.answer}"
        for name, ((_, question), *_) in suspicious.items()
    ],
)
plt.show()

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def find_leaks(suspicious):
    cues = {
        "size": lambda s, q: s.find(q.objects[0]).size > s.find(q.objects[1]).size,
        "order": lambda s, q: q.objects[0] < q.objects[1],
        "background": lambda s, q: s.background.colors[0][0] > 170,
    }
    found = {}
    for name, items in suspicious.items():
        agree = {
            cue: stats.proportion([tell(s, q) == (q.answer == "Left") for s, q in items])
            for cue, tell in cues.items()
        }
        # A cue may point either way: what counts is how far it is from one half. With three
        # cues on four sets, some interval will miss one half by bad luck: ask for more.
        leaking = [
            cue for cue, share in agree.items() if share.low > 0.6 or share.high < 0.4
        ]
        found[name] = leaking[0] if leaking else "none"
        print(f"{name:8s}", {cue: f"{share.estimate:.2f}" for cue, share in agree.items()})
    return found


# %%
ch02.check_leaks(find_leaks(suspicious))

# %% [markdown]
# All four sets have as many Lefts as Rights, and each looks fine picture by picture. A leak is a property of a
# *set*; no amount of staring at examples reveals it. The cues that you list protect you from the leaks
# that you thought of. A dumb model protects you from a few more.
#
# ## How well do the models answer?
#
# At last the scores. Every left/right and above/below question is asked in both orders of the nouns, on held-out
# pairs and places, and every number carries its interval.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code"}
N = 5 if SMALL else 50
ABOUT = ("left_right", "above_below")
PLAN = {"grid": ABOUT, "clutter": ABOUT, "perspective": (*ABOUT, "front_behind")}


def held_out_pair(scene):
    """Two objects that were never shown together, both in places never shown, in any order."""
    strange = [
        o.name for o in scene.objects if cell_of(o.x, o.y) in held_out_cells(o.name)
    ]
    pair = next(pair for pair in combinations(strange, 2) if is_held_out_pair(*pair))
    return pair if round(1e6 * scene.objects[0].x) % 2 else pair[::-1]  # a fair coin


scored = []
for kind, abouts in PLAN.items():
    drawn = scenes(2 * N, SEED + 20, kind, objects=(3, 5), held_out=True)
    for about in abouts:
        ask = getattr(questions, about)
        usable = [one for one in drawn if ask(one, *held_out_pair(one))][:N]
        for order in (1, 2):
            items = [
                (one, ask(one, *held_out_pair(one)[:: 3 - 2 * order])) for one in usable
            ]
            for name, table in beliefs_about(items, questions.ANSWERS[about]).items():
                table["right"] = table["belief"] == [
                    question.answer for _, question in items
                ]
                table["model"], table["order"] = name, order
                scored.append(table.assign(question=f"{about} · {kind}"))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code"}
N_WRITTEN = 3 if SMALL else 30
rng = np.random.default_rng(SEED)
for about in ("where", "which", "corner", "between", "is_there", "what"):
    items = []
    for one in scenes(10 * N_WRITTEN, SEED + 30, "clutter", held_out=True):
        question = questions.ask(one, about, rng)
        if question and len(items) < N_WRITTEN:
            items.append((one, question))
    for name, vlm in vlms.items():
        images = [one.render(PIXELS[name]) for one, _ in items]
        replies = vlm.generate(
            vlm.prompt(images, [question.text for _, question in items])
        )
        for (_, question), reply in zip(items, replies, strict=True):
            hit = reply.lower().rstrip(".") == question.answer.lower()
            row = {
                "model": name,
                "question": f"{about} · clutter",
                "order": 0,
                "right": hit,
            }
            scored.append(pd.DataFrame([row]))
scored = pd.concat(scored, ignore_index=True)

# %%
accuracy = pd.DataFrame(
    [
        {"model": name, "question": question, "order": order}
        | stats.proportion(part["right"])._asdict()
        for (name, question, order), part in scored.groupby(
            ["model", "question", "order"], sort=False
        )
    ]
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
rows = list(dict.fromkeys(accuracy["question"]))
figure, axes = plt.subplots(figsize=(7.5, 0.42 * len(rows) + 1))
for number, name in enumerate(vlms):
    for order, mark in ((0, "o"), (1, ">"), (2, "<")):
        part = accuracy[(accuracy["model"] == name) & (accuracy["order"] == order)]
        y = np.array([rows.index(q) for q in part["question"]]) + 0.3 * number - 0.22
        y = y + (0.12 if order == 2 else 0)
        axes.hlines(
            y, part["low"], part["high"], color=COLORS[name], lw=2.5, alpha=0.45
        )
        axes.plot(
            part["estimate"], y, mark, ms=5, color=COLORS[name],
            label=name if order == 1 else None, ls="",
        )  # fmt: skip
axes.axvline(0.5, color="0.4", ls=":", lw=1)
axes.set_yticks(
    range(len(rows)), [row.replace("is_", "is ").replace("_", "/") for row in rows]
)
axes.invert_yaxis()
axes.set(xlim=(0, 1.02), xlabel="share right, held-out pairs and places")
axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2, fontsize=9)
plt.show()

# %% tags=["remove-output"]
two = scored[scored["question"].str.startswith(("left_right", "above_below"))]
for tag, name in zip(("model", "control"), vlms, strict=False):
    for order in (1, 2):
        part = two[(two["model"] == name) & (two["order"] == order)]
        glue(f"accuracy_{tag}_{order}", percent(stats.proportion(part["right"])))
    valid = two[two["model"] == name]["valid"].astype(bool)
    glue(f"valid_{tag}", percent(stats.proportion(valid)))
if len(vlms) == 1:  # the text speaks of two models; say so where there is one
    about_control = "relation place slope flips accuracy valid".split()
    for name in [
        f"{word}_control{end}" for word in about_control for end in ("", "_1", "_2")
    ]:
        glue(name, "(no second model)")

# %% [markdown]
# **Figure 2.11.** *Right answers, by question and kind of scene.* Triangles: the two orders of the nouns (▷ the one, ◁ the other).
# Circles: questions that are asked once, whose written reply must match to the letter. Bars: 95 % Wilson intervals. Dotted: one
# half, which is chance wherever there are two answers.
#
# A confession about those two orders. In our first draft, the order in which a scene *lists* its objects decided which noun
# came first. Perspective scenes list them from far to near, so that the near ones are painted last. Every
# "in front of or behind" in one order had the answer "Behind", and a half-trained model that always said "Front"
# scored 0 % in one order and 100 % in the other. Had we asked in one order alone, we would have printed one of these
# numbers. Now a coin decides.
#
# Over left/right and above/below on all kinds of scenes, the first model is right in {glue:text}`accuracy_model_1` and
# {glue:text}`accuracy_model_2` (either order), the second in {glue:text}`accuracy_control_1` and {glue:text}`accuracy_control_2`. Their
# own first token begins one of the two answers in {glue:text}`valid_model` and {glue:text}`valid_control` of the questions.
#
# If you had to hire one of the two by this figure, which one? Keep your answer; from
# [the next chapter](03_where_does_it_flow.ipynb) on we look at *how* they do it.
#
# ## A split without a leak
#
# The split of Figure 2.9 leaks through the nouns, and mirrors mended that afterwards. Can you hold out places so that
# nothing needs mending?
#
# ````{exercise} Research sprint: hold out places and leak nothing
# :label: ch2-split
#
# Difficulty ●●● · importance ●●○ · half a day
#
# Write `held_out(number)`: for each of the ten objects, `number` 0 to 9, the set of (row, column) cells of the
# 4 x 4 grid in which training never puts it. A training picture shows two objects in two cells that training
# allows, a held-out picture two objects in cells that it does not, every placement equally likely. Demands:
#
# - For any two nouns in either order, in training *and* in held-out pictures: half of the left/right questions have
#   the answer "Left", and half of the above/below questions "Above". Both kinds of questions exist in both.
# - Every cell is allowed to some object. (Or else you hold out a piece of the canvas, and not a combination.)
#
# How few cells can you hold out? Before you draw anything: prove that one cell for each object is too few. Then show
# with the *words* baseline that your design works, and tell what it gives up. There is always something.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show the first hour", "code_prompt_hide": "Hide the first hour"}
def held_out(number):
    # A cell and the one opposite, half a turn around the middle. Turning a picture by half a
    # turn turns both answers round and leads from allowed places to allowed ones, and from
    # held-out to held-out. So pictures come in twins of opposite answers, for the same nouns.
    # One cell is too few: then a held-out pair has one picture, and the nouns know its answer.
    cell = divmod(number % 8, 4)
    return {cell, (3 - cell[0], 3 - cell[1])}


def draw_split(forbidden, count):
    """Scenes of two objects in places that the split allows, or forbids."""
    rng, found = np.random.default_rng(SEED), []
    every = {divmod(tile, 4) for tile in range(16)}
    cells = [sorted(held_out(n) if forbidden else every - held_out(n)) for n in range(10)]
    while len(found) < count:
        pair = rng.permutation(10)[:2]
        places = [cells[n][rng.integers(len(cells[n]))] for n in pair]
        if places[0] != places[1]:
            named = [PAPER_OBJECTS[n] for n in pair]
            spots = zip(named, places, strict=True)
            found.append(Scene(tuple(
                Placed(n, (column + 0.5) / 4, (row + 0.5) / 4, 0.2) for n, (row, column) in spots
            )))  # fmt: skip
    return found


def words_alone(train, test):
    """How often the nouns and their order tell the answer, without a picture."""
    x, z = (np.array([words_of(q).ravel() for _, q in items]) for items in (train, test))
    model = linear().fit(x, [q.answer for _, q in train])
    return stats.proportion(model.predict(z) == np.array([q.answer for _, q in test]))


mine = [ask_left_right(draw_split(*how)) for how in ((False, N_TRAIN), (True, N_TEST))]
ours = ask_left_right(seen), ask_left_right(held)
print("Figure 2.9's split, words on held-out places:", percent(words_alone(*ours)))
print("half turns, words on held-out places:      ", percent(words_alone(*mine)))
# The price: a mirrored picture is no longer in held-out places. Four cells (a cell, its two mirror
# images and the opposite one) would keep mirrors, and leave each object twelve cells to learn from.
# And a pair now has two to four held-out pictures of a size. So the interval, which counts
# pictures, is too narrow: there are ninety ordered pairs of nouns to guess from, and no more.

# %%
ch02.check_split(held_out)

# %% [markdown]
# ## Summary
#
# - Grids are for extracting, clutter for testing, perspective for depth. Each has exceptions built in on purpose.
# - Drop questions without an answer: {glue:text}`no_answer` of the paper's left/right questions are of that kind.
# - In any set of pictures some absolute position predicts the answer. Balance one noun, and use shifted and
#   mirrored *pairs* of pictures for the rest.
# - `mirror` changes where and nothing else. `recolor` changes colours, and is a control only as far as the model still
#   sees the same objects: measure that first.
# - Hold out pairs and places, and then check what holding out has done to the words. Ours leaked until we mirrored.
# - A dumb baseline needs a task on which it succeeds. Otherwise its failure means nothing.
# - Ask in both orders, and give every share its interval.
#
# ## Open question: a research sprint
#
# The shipped models grew up with the leaky split of Figure 2.9, on far more pictures than the *words* baseline. Have they learned the leak? A model can be right nearly always and still lean as the nouns say where the picture says
# nothing. Take an afternoon: ask about pictures in which the question has no fair answer (one column, or no objects
# at all), and compare the lean with what the nouns predicted in training. Which control tells a leak that was learned
# from a liking for some words?
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: the paper's stimuli are described with its figure 5.
# - {cite:t}`kamath2023whatsup`: photographs taken so that only the preposition differs, and models that fail on them.
# - {cite:t}`liu2023vsr`: a benchmark of spatial relations in natural images.
# - {cite:t}`cui2026dual`: shifted squares and strip swaps, to tell absolute from relative position inside the model.
#
# **What follows.** {doc}`03_where_does_it_flow` puts mirrored pictures into each other, inside the model, and sees which part carries the answer.
