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
# # Bring your own relation
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/24_bring_your_own_relation.ipynb)
# · about 40 minutes to read, another 80 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb), [6](06_steering_beliefs.ipynb) and [10](10_any_place.ipynb)
#
# Left and right, above and below, near and far: the book's relations are those of the paper, and every
# helper knows them. You care about another one: inside, touching, occluding, between. **Does the method find
# relations that nobody planted?**
#
# There are two ways to fool yourself. Your model may not know the relation at all: then a contrast of
# averages still gives a vector, and the vector means nothing. Or the relation can be *read* off
# a word, by you, while the model never reads it there: then you have found a fact about your probe. You
# will meet both in this chapter, with two relations that no chapter has looked for: **inside**, which
# the shipped model was never asked about, and **between**, which it answers, but for which nobody
# ever looked for a vector.
#
# **You will learn**
# - to draw *twins*: stimuli in which nothing but the relation differs
# - to register a kind of question, and to stop where the model cannot answer it
# - to read the vector of a relation, with objects held out, at every word
# - which controls a relation needs that a place does not: the answer itself, and a word that listens
# - to fix your verdict before you see the result

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
import textwrap
from collections import Counter
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from PIL import Image, ImageDraw

from helpers import (
    Job,
    Placed,
    Scene,
    geometry,
    plots,
    random_direction,
    stats,
    steer,
    trials,
    with_norm_of,
)
from helpers.exercises import ch24
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli.questions import Question
from helpers.stimuli.sampling import overlaps
from helpers.stimuli.sprites import OBJECTS

# %%
MODELS = open_models(
    MODEL, CONTROL, chapter="24_bring_your_own_relation", small=SMALL, seed=SEED
)
YES, NO = MODELS  # the names: of the model, and of its control

# %% [markdown]
# ## Twins
#
# A relation is a difference between pictures. So draw pictures in pairs. **Twins** show the same
# objects; in the first the relation holds, in the second it does not. Whatever twins share falls out
# of their difference, as what a frog looks like falls out of a {term}`spatial ID`.
#
# What twins do *not* share, beside the relation, will be mistaken for it. If an object inside a box is
# always in the middle of the picture, your vector of "inside" is a vector of "middle". So before anything
# else, decide what has to be alike.
#
# **Inside.** Two objects, and a box drawn around one of them. The twin has the box around the *other*.
# Objects, places, sizes and the box are the same; all that moves is which object the box is around.

# %%
@dataclass(frozen=True)
class Twins:
    """Two pictures: the relation holds in the first, and not in the second.

    `names` are the nouns of the question. `places` and `goals` have an entry for each picture:
    (row, column) of each noun, and where the first would have to be for the other answer.
    """

    names: tuple[str, ...]
    pictures: tuple[Image.Image, Image.Image]
    places: tuple
    goals: tuple


def boxed(scene, name, pixels=336):
    """The scene, with a box drawn around one object."""
    picture, one = scene.render(pixels), scene.find(name)
    reach = 0.62 * one.size
    edges = (one.x - reach, one.y - reach, one.x + reach, one.y + reach)
    corners = [round(edge * pixels) for edge in edges]
    ImageDraw.Draw(picture).rectangle(corners, outline=(120, 75, 30), width=pixels // 48)
    return picture


def draw_inside(rng, names):
    """Two objects anywhere, with room for a box around either."""
    first, second = names[:2]
    while True:
        spots = [Placed(name, *map(float, rng.uniform(0.2, 0.8, 2)), 0.22)
                 for name in (first, second)]  # fmt: skip
        one, other = spots
        if not overlaps(Placed("frog", other.x, other.y, 0.5), [one]):
            break
    scene = Scene(tuple(spots))
    own, there = (trials.in_cells(spot) for spot in spots)
    return Twins((first, "box"), (boxed(scene, first), boxed(scene, second)),
                 ((own, own), (own, there)), (there, there))  # fmt: skip

# %% [markdown]
# **Between.** Three objects in a grid of four columns. "Is the frog between the camel and the dog?" is a
# question about *three* places at once, and a good test for exactly this reason: you can balance it so that no single
# object's place says anything. Write rows of columns, (frog, camel, dog):

# %%
HOLDS = [(1, 0, 2), (1, 2, 0), (2, 1, 3), (2, 3, 1)]
FAILS = [(1, 2, 3), (1, 3, 2), (2, 0, 1), (2, 1, 0)]
GOALS = {(1, 0, 2): 3, (1, 2, 0): 3, (2, 1, 3): 0, (2, 3, 1): 0,  # out of the gap
         (1, 2, 3): 2.5, (1, 3, 2): 2.5, (2, 0, 1): 0.5, (2, 1, 0): 0.5}  # fmt: skip

# %% [markdown]
# ````{exercise} Is it balanced?
# :label: ch24-balanced
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `balanced(holds, fails)` for two lists of rows, one entry in a row for each noun. Return
# whether *every* noun's places are spread alike over both lists: the same places, in the same
# shares. The lists may differ in length.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def balanced(holds, fails):
    def shares(rows, noun):
        counts = Counter(row[noun] for row in rows)
        return {place: count / len(rows) for place, count in counts.items()}

    # Noun by noun: it is one noun's place alone that must not give the answer away.
    return all(shares(holds, noun) == shares(fails, noun) for noun in range(len(holds[0])))


# %%
ch24.check_balanced(balanced)
print("ours:", balanced(HOLDS, FAILS))

# %%
def draw_between(rng, names):
    """Three objects in rows of their own; the first stays where it is in both twins."""
    rows = rng.permutation(4)[:3]
    number = int(rng.integers(4))
    holds = HOLDS[number]
    fails = FAILS[2 * (holds[0] - 1) + int(rng.integers(2))]
    pictures, places, goals = [], [], []
    for columns in (holds, fails):
        spots = [Placed(name, (column + 0.5) / 4, (row + 0.5) / 4, 0.2)
                 for name, column, row in zip(names, columns, rows, strict=True)]  # fmt: skip
        pictures.append(Scene(tuple(spots)).render())
        places.append(tuple(trials.in_cells(spot) for spot in spots))
        goals.append((float(rows[0]), float(GOALS[columns])))
    return Twins(tuple(names), tuple(pictures), tuple(places), tuple(goals))


# %% [markdown]
# Then the question. A kind of question has a name, a template and two answers, and the helpers take
# it from there. The book has a kind called "between" already; "inside" is ours.

# %%
trials.add_kind("inside", "Is the {0} inside the {1}?", ("Yes", "No"))
DRAW = {"inside": draw_inside, "between": draw_between}
TEMPLATE = {"inside": trials.TEMPLATES["inside"],
            "between": "Is the {0} between the {1} and the {2}?"}  # fmt: skip

# %% [markdown]
# Objects are split in two. A vector is made of twins with the first sixteen objects, and every number
# that you will read comes from twins with the *other* sixteen. A third set, with objects of
# the first half again but new pictures, is for choosing where to edit.

# %%
MAKE, CHOOSE, JUDGE = (8, 4, 6) if SMALL else (64, 24, 250)
half = np.random.default_rng(SEED).permutation(OBJECTS)
POOLS = {"make": half[:16], "choose": half[:16], "judge": half[16:]}


def draw_twins(kind, part, count):
    rng = np.random.default_rng([SEED, *f"{kind} {part}".encode()])
    return [DRAW[kind](rng, [str(name) for name in rng.permutation(POOLS[part])[:3]])
            for _ in range(count)]  # fmt: skip


SIZES = {"make": MAKE, "choose": CHOOSE, "judge": JUDGE}
TWINS = {kind: {part: draw_twins(kind, part, count) for part, count in SIZES.items()}
         for kind in DRAW}  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
pictures, titles = [], []
for kind, parts in TWINS.items():
    one = parts["judge"][0]
    for picture, answer in zip(one.pictures, ("Yes", "No"), strict=True):
        pictures.append(picture)
        title = f"{TEMPLATE[kind].format(*one.names)} {answer}"
        titles.append(textwrap.fill(title, 26))
figure = plots.show_scenes(pictures, titles)

# %% [markdown]
# **Figure 24.1.** *Twins.* Left: inside. Right: between. What differs between twins is who the box
# is around, or who stands in the gap.
#
# ## Can it answer?
#
# Ask first. In earlier chapters this was a formality. Here it decides.

# %%
def cases_of(vlm, kind, twins):
    """A case for each picture, twins after each other: first where it holds."""
    cases = []
    for number, one in enumerate(twins):
        for side, answer in enumerate(("Yes", "No")):
            text = TEMPLATE[kind].format(*one.names)
            asked = Question(kind, text, answer, one.names)
            labels = {"scene": number, "side": side}
            cases.append(
                trials.make_case(vlm, one.pictures[side], asked, one.places[side], labels)
            )
    return cases


def asked(name, kind, part, count=None):
    """The cases of a set with their beliefs before any edit, and the table of them."""
    vlm = MODELS[name]
    cases = cases_of(vlm, kind, TWINS[kind][part][:count])
    table = trials.run(vlm, [Job(case.prompt, (), case.labels) for case in cases], CACHE)
    table["right"] = table["log_odds"] * table["toward"] < 0
    known = zip(cases, table["log_odds"], table["right"], strict=True)
    cases = [replace(case, labels=case.labels | {"part": part, "before": odds, "right": right})
             for case, odds, right in known]  # fmt: skip
    return cases, table


CASES, LIVE, rows = {}, {name: [] for name in MODELS}, []
for name, kind in itertools.product(MODELS, TWINS):
    cases, table = asked(name, kind, "judge", 50)
    if trials.can_answer(cases):  # else it is not asked any further
        cases, table = asked(name, kind, "judge")
    right, valid = (percent(trials.share(table, column)) for column in ("right", "valid"))
    rows.append({"model": name, "relation": kind, "right": right, "valid": valid})
    end = "_control" * (name == NO)
    glue(f"ch24_right_{kind}{end}", right)
    glue(f"ch24_valid_{kind}{end}", valid)
    if trials.can_answer(cases):
        LIVE[name].append(kind)
        CASES[name, kind] = {"judge": cases, "choose": asked(name, kind, "choose")[0]}
    else:
        print(f"{name} answers {kind} by chance: this arm stops here.")
pd.DataFrame(rows).set_index(["model", "relation"])

# %% [markdown]
# **Table 24.1.** *Who can answer what,* on held-out objects, with 95 % intervals over twins,
# fewer of them where the answers are by chance. `valid`: the model's first choice of all its words is Yes or No.
#
# The model answers {glue:text}`ch24_right_inside` of the questions about *inside* right, and
# {glue:text}`ch24_right_between` of those about *between*. For inside, one half is what a coin would
# get. The shipped model never saw a box, and was never asked about one. Look at `valid`, too:
# {glue:text}`ch24_valid_inside` of its answers about inside are a proper Yes or No. **A model that
# does not know will not tell you.** It has {term}`beliefs <belief>` about boxes, with {term}`log-odds` to many digits, and you could
# steer them. The figures would look like all other figures of this book. There is only no knowledge behind
# them.
#
# So where the interval is not above one half, the arm stops, and this chapter prints "not measured" for
# it from here on. On a larger model, which knows what a box is, it goes on by itself: set `MODEL`.
#
# Why not teach it? We tried, with a copy of the shipped model and twins like these. In the time that a
# chapter may take it did not get beyond guessing. {doc}`14_ids_as_teacher` shows how to teach, and what a
# lesson leaves behind.
#
# ## Where can the relation be read?
#
# Take the mean difference between twins, at each word and after each block:
#
# $$
# r(l, w) = \operatorname{mean}_\text{twins}\big(h_l(w \mid \text{it holds}) -
# h_l(w \mid \text{it does not})\big).
# $$
#
# No centring is needed: a difference of twins is centred already. There is *always* such a vector. The question is
# whether it knows anything about objects that it was not made of. So try it on new twins: does their own
# difference point the same way?
#
# ````{exercise} Try it on others
# :label: ch24-ordered
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `ordered(holds, fails, new_holds, new_fails)`. All are states, `[twins, d]`: of the twins that
# the vector is made of, and of new ones. Return a tensor of booleans, one for each *new* pair of twins:
# whether the vector puts the two in the right order. The share is one half for a vector that knows
# nothing.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def ordered(holds, fails, new_holds, new_fails):
    direction = (holds - fails).mean(0)
    # Twins against each other: where zero lies, nobody knows.
    return (new_holds - new_fails) @ direction > 0


# %%
ch24.check_ordered(ordered)


# %%
def words_of(case):
    """The last token of each noun, the question mark, and the last token of all."""
    *spans, mark = case.prompt.words([*case.names, "?"])
    return [*(span[-1] for span in spans), mark[-1], case.prompt.last]


WORDS = {"inside": ["first noun", "box", "?", "last"],
         "between": ["first noun", "second noun", "third noun", "?", "last"]}  # fmt: skip


def usable_blocks(vlm):
    """Where only some blocks look at the picture, no word knows anything before them."""
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    return range(min(looking, default=0), vlm.n_layers)


def states_of(name, kind, cases):
    """States at all words: `[blocks, twins, 2, words, d]`."""
    vlm = MODELS[name]
    sites = [vlm.resid_post(block) for block in usable_blocks(vlm)]
    where = [words_of(case) for case in cases]
    states = read_states(vlm, [case.prompt for case in cases], where, sites)
    return states.unflatten(1, (-1, 2))


STATES = {}
for name, kinds in LIVE.items():
    for kind in kinds:
        made = cases_of(MODELS[name], kind, TWINS[kind]["make"])
        STATES[name, kind] = {"make": states_of(name, kind, made),
                              "judge": states_of(name, kind, CASES[name, kind]["judge"])}  # fmt: skip


# %%
def reading(name, kind):
    """Which new twins are put in order, `[blocks, words, twins]`."""
    made, new = STATES[name, kind]["make"], STATES[name, kind]["judge"]
    return torch.stack([
        torch.stack([ordered(*made[block, :, :, word].unbind(1), *new[block, :, :, word].unbind(1))
                     for word in range(made.shape[3])])
        for block in range(len(made))
    ])  # fmt: skip


READ = {key: reading(*key) for key in STATES}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, max(len(READ), 1), figsize=(5.4 * max(len(READ), 1), 4.2),
                              squeeze=False, layout="constrained")  # fmt: skip
for axes, ((name, kind), found) in zip(panels.flat, READ.items(), strict=False):
    shares = pd.DataFrame(found.float().mean(-1).numpy(), list(usable_blocks(MODELS[name])),
                          WORDS[kind])  # fmt: skip
    sns.heatmap(shares, ax=axes, vmin=0, vmax=1, cmap="vlag", annot=True, fmt=".2f",
                annot_kws={"size": 8}, cbar=False)  # fmt: skip
    axes.invert_yaxis()
    axes.set(title=f"{name}: {kind}", ylabel="after block")
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=30)
if not READ:
    panels[0, 0].text(0.5, 0.5, "no arm is left", ha="center")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def put(name, value=None):
    """Glue a number; where an arm has stopped, say so."""
    glue(f"ch24_{name}", "not measured" if value is None else value)


def at_word(name, kind, word):
    """The best block to read a word at, and the share of twins in order there."""
    if (name, kind) not in READ:
        return None, None
    found = READ[name, kind][:, WORDS[kind].index(word)].float()
    best = int(found.mean(-1).argmax())
    return usable_blocks(MODELS[name])[best], stats.proportion(found[best].bool().numpy())


for end, name in (("", YES), ("_control", NO)):
    for word in ("first noun", "last"):
        block, value = at_word(name, "between", word)
        put(f"read_{word.split()[0]}{end}", value and percent(value))
        put(f"read_{word.split()[0]}_block{end}", block)

# %% [markdown]
# **Figure 24.2.** *Where a relation can be read.* Share of held-out twins that the mean difference puts
# in order, by word and block; one half is chance (white). Red: readable. Blue is no less odd than red:
# differences that are systematically the other way round for new objects.
#
# For *between*, the first noun puts {glue:text}`ch24_read_first` of new twins in order, best after
# block {glue:text}`ch24_read_first_block`; the last token {glue:text}`ch24_read_last`, after block
# {glue:text}`ch24_read_last_block`. (In the control, the first noun:
# {glue:text}`ch24_read_first_control`; the last token: {glue:text}`ch24_read_last_control`. The best
# of several blocks is a little too high. With a share near one that does not matter; with one of
# 0.6 it would.)
#
# So there is a vector of *between* at the word "frog", before the question has even said
# "between". It carries over to objects that it was not made of, and the place of no single object explains
# it: the design took care of that. Many a paper would end here.
#
# ## What is it made of?
#
# Three things to compare it with, none of which needs an intervention.
#
# - *Itself*, made of other objects. A vector that is real does not depend on which frogs it was made of.
# - *The plane of places.* Spatial IDs span a few dimensions. How much of the vector lies there?
# - *The word "Yes".* At the last token the model prepares its answer. Make the same contrast from a question
#   about something else, "Is there a frog in the image?". If the vectors agree, then what you have found
#   at the last token is not *between*. It is *yes*.

# %%
IDS = {
    name: trials.extract_ids(
        MODELS[name], ["left_right"], 3 if SMALL else 4, 1 if SMALL else 2, SEED, save_to=CACHE
    )["left_right"][0]
    for name in MODELS if LIVE[name]
}  # fmt: skip


def yes_elsewhere(name, count=8 if SMALL else 40):
    """Yes less No at the last token, from questions about who is there: `[blocks, d]`."""
    vlm, rng, prompts = MODELS[name], np.random.default_rng(SEED), []
    for _ in range(count):
        here, other, away = (str(n) for n in rng.permutation(POOLS["make"])[:3])
        spots = [Placed(n, (c + 0.5) / 4, (r + 0.5) / 4, 0.2)
                 for n, (r, c) in zip((here, other), rng.permutation(16)[:2, None]
                                      // [4, 1] % 4, strict=True)]  # fmt: skip
        picture = Scene(tuple(spots)).render()
        for noun in (here, away):
            article = "an" if noun[0] in "aeiou" else "a"
            prompts.append(vlm.prompt(picture, f"Is there {article} {noun} in the image?"))
    sites = [vlm.resid_post(block) for block in usable_blocks(vlm)]
    states = read_states(vlm, prompts, [[p.last] for p in prompts], sites)[:, :, 0]
    return (states[:, ::2] - states[:, 1::2]).mean(1)


ANSWER = {name: yes_elsewhere(name) for name in MODELS if LIVE[name]}


def contrast(name, kind, part="make"):
    """The vector of the relation at every word: `[blocks, words, d]`."""
    states = STATES[name, kind][part]
    return (states[:, :, 0] - states[:, :, 1]).mean(1)


# %%
def comparisons(name, kind):
    """For each block: agreement over objects, share in the plane of places, agreement with Yes."""
    own, others = contrast(name, kind), contrast(name, kind, "judge")
    last = WORDS[kind].index("last")
    rows = []
    for index, block in enumerate(usable_blocks(MODELS[name])):
        axes = IDS[name].axes(MODELS[name].resid_post(block))
        share = geometry.plane_share(own[index, :1], axes)
        for what, value in (
            ("first noun, other objects", geometry.cosine(own[index, 0], others[index, 0])),
            ("first noun, length in the plane of places", share**0.5),
            ("last token, other objects", geometry.cosine(own[index, last], others[index, last])),
            ("last token, “Yes” elsewhere", geometry.cosine(own[index, last], ANSWER[name][index])),
        ):
            rows.append({"block": block, "what": what, "cosine": float(value)})
    return pd.DataFrame(rows)


COMPARED = {key: comparisons(*key) for key in STATES}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
mine = [key for key in COMPARED if key[0] == YES]
figure, panels = plt.subplots(1, max(len(mine), 1), figsize=(7.5 * max(len(mine), 1), 3.6),
                              squeeze=False, sharey=True)  # fmt: skip
styles = ["-", ":", "-", ":"]
tones = ["#0072B2", "#0072B2", "#D55E00", "#D55E00"]
for axes, key in zip(panels.flat, mine, strict=False):
    groups = COMPARED[key].groupby("what", sort=False)
    for (what, part), style, tone in zip(groups, styles, tones, strict=True):
        axes.plot(part["block"], part["cosine"], "o", ls=style, color=tone, label=what, ms=4)
    axes.axhline(0, color="0.4", lw=1)
    axes.set(xlabel="after block", title=f"{key[0]}: {key[1]}", ylabel="cosine")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
known = COMPARED.get((YES, "between"))
wide = known.pivot(index="block", columns="what", values="cosine") if known is not None else None
put("same", None if wide is None else float(wide["first noun, other objects"].max()))
name = "first noun, length in the plane of places"
put("in_plane", None if wide is None else float(wide[name].max()))
name = "last token, “Yes” elsewhere"
put("as_yes", None if wide is None else float(wide[name].max()))

# %% [markdown]
# **Figure 24.3.** *What the vector is like.* Solid: cosine with the same vector made of the other sixteen
# objects. Dotted blue: the part of the first noun's vector that lies in the plane of the two axes of place. Dotted
# orange: cosine of the last token's vector with Yes less No from another question. For *between* the largest values
# are {glue:text}`ch24_same` (first noun, other objects), {glue:text}`ch24_in_plane` (in the plane) and
# {glue:text}`ch24_as_yes` (as Yes).
#
# Read off the first noun's two numbers: how stable is the vector over objects, and how much of it lies *outside* of the plane
# of places? Even a vector that is stable and new need not be what the model uses. Is it?
#
# ## Before you push
#
# An edit that changes nothing can mean two things: the vector is not used, or nobody listens at this
# word any more. So a null needs a **positive control**: something else, written at the same
# word, that *does* change the answer to the same question. We have one. The spatial ID of the first noun: send the frog out
# of the gap, or into it (`goals`), and leave the picture alone.
#
# And an edit that changes everything can mean two things as well, if it is made at the last token:
# the relation, or the answer. There the vector of *Yes* from elsewhere is the control, at the same length.
#
# | arm | at the word | at the last token |
# |---|---|---|
# | relation | the vector of twins | the vector of twins |
# | shuffled | twins with labels exchanged | the same |
# | random | a random direction | the same |
# | place | to where the answer would be the other one | |
# | Yes elsewhere | | the answer to another question |
#
# All but "place" have the length of the relation's vector. (Place has the length of its own step. Figure 24.5
# puts all arms at equal lengths.)
#
# ````{exercise} Labels that say nothing
# :label: ch24-shuffled
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `shuffled(differences, seed)` for the differences of an even number of twins, `[twins, d]`. Return the vector
# that you would have got with wrong labels, `[d]`: exactly half of the twins, drawn at random, have
# "holds" and "fails" exchanged. It shall be as long as the true mean difference.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def shuffled(differences, seed):
    count = len(differences)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    signs = torch.ones(count)
    signs[order[: count // 2]] = -1  # half exactly: what they share cancels
    wrong = (signs[:, None] * differences).mean(0)
    return wrong * (differences.mean(0).norm() / wrong.norm())


# %%
ch24.check_shuffled(shuffled)

# %% [markdown]
# And one more thing belongs before the result: what you will say about it.
#
# ````{exercise} What will you conclude?
# :label: ch24-verdict
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# Write `verdict(readable, gap, reached)` for three intervals (with `.low` and `.high`): the share of held-out twins
# in order; the share of beliefs that the relation's vector swaps, *less* that of random vectors; and the same
# gap for the positive control, place. Return
#
# - `"used"` if the vector moves beliefs: the whole interval of the gap is above 0.3;
# - else `"not there"` if it is not readable: its interval does not lie above one half;
# - else `"readable, not used"` if its gap lies below that bar with the whole interval, and the positive
#   control moves beliefs (by the same bar);
# - else `"readable, cannot tell"`.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def verdict(readable, gap, reached):
    if gap.low > 0.3:
        return "used"
    if readable.low <= 0.5:
        return "not there"
    # A null at a word where nothing moves anything says nothing about the vector. Nor does an
    # interval that reaches over the bar.
    quiet = gap.high < 0.3 < reached.low
    return "readable, not used" if quiet else "readable, cannot tell"


# %%
ch24.check_verdict(verdict)

# %% [markdown]
# ## Push
#
# First choose, on the choosing set: the block where the relation's vector moves beliefs furthest. Place is
# written at the same word after the same block: it is there to tell whether anybody listens. For the last
# token take the *earliest* block that reaches four fifths of the best: at the very end of the model any
# vector of the answer works, and that would be no news.

# %%
SEEDS = 2 if SMALL else 3


def vectors_of(name, kind, case, word, block):
    """What each claiming arm writes at a word, towards the other answer."""
    index = usable_blocks(MODELS[name]).index(block)
    number = 0 if word == "word" else len(WORDS[kind]) - 1
    sign = -1 if case.labels["side"] == 0 else 1
    relation = sign * contrast(name, kind)[index, number]
    site = MODELS[name].resid_post(block)
    if word == "word":
        goal = TWINS[kind][case.labels["part"]][case.labels["scene"]].goals[case.labels["side"]]
        return {"relation": relation, "place": IDS[name].difference(site, case.places[0], goal)}
    return {"relation": relation,
            "Yes elsewhere": with_norm_of(sign * ANSWER[name][index], relation)}  # fmt: skip


def job_of(name, case, word, block, vector, **labels):
    position = words_of(case)[0 if word == "word" else -1]
    labels |= {"where": word, "block": block}
    edit = steer(MODELS[name].resid_post(block), [position], vector)
    return Job(case.prompt, (edit,), case.labels | labels)


# %%
def choose(name, kind):
    """(where, arm) -> block."""
    jobs = [job_of(name, case, word, block, vector, arm=arm)
            for case in CASES[name, kind]["choose"] for word in ("word", "last")
            for block in usable_blocks(MODELS[name])
            for arm, vector in vectors_of(name, kind, case, word, block).items()
            if arm == "relation"]  # fmt: skip
    table = trials.run(MODELS[name], jobs, CACHE)
    moved = table.groupby(["where", "block"])["change"].mean()
    word, last = moved["word"], moved["last"]
    block, late = int(word.idxmax()), int(last.index[last >= last.max() - 0.2 * abs(last.max())].min())
    return {("word", "relation"): block, ("word", "place"): block,
            ("last", "relation"): late, ("last", "Yes elsewhere"): late}  # fmt: skip


CHOSEN = {(YES, kind): choose(YES, kind) for kind in LIVE[YES]}
for (_, kind), blocks in CHOSEN.items():
    told = ", ".join(f"{arm} at the {word}: {block}" for (word, arm), block in blocks.items())
    print(f"{kind}, after block: {told}")


# %% [markdown]
# Then judge, on twins with objects that had no part in any vector.

# %%
def controls(name, kind, case, word, block, relation):
    """Shuffled and random vectors as long as the relation's: (arm, seed) -> vector."""
    index = usable_blocks(MODELS[name]).index(block)
    number = 0 if word == "word" else len(WORDS[kind]) - 1
    states = STATES[name, kind]["make"][index, :, :, number]
    sign = -1 if case.labels["side"] == 0 else 1
    for seed in range(SEEDS):
        yield "shuffled", seed, sign * shuffled(states[:, 0] - states[:, 1], seed)
        entropy = [seed, case.labels["scene"], case.labels["side"], number]
        draw = np.random.SeedSequence(entropy).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(draw))
        yield "random", seed, random_direction(relation, generator)


def try_all(name, kind):
    jobs, blocks = [], CHOSEN[name, kind]
    for case in CASES[name, kind]["judge"]:
        for (word, arm), block in blocks.items():
            aimed = vectors_of(name, kind, case, word, block)[arm]
            jobs.append(job_of(name, case, word, block, aimed, arm=arm, seed=0))
            if arm == "relation":
                for control, seed, vector in controls(name, kind, case, word, block, aimed):
                    jobs.append(job_of(name, case, word, block, vector, arm=control, seed=seed))
    return trials.run(MODELS[name], jobs, CACHE)


TRIAL = {key: try_all(*key) for key in CHOSEN}
for (_, kind), table in TRIAL.items():
    keep(f"trial_{kind}", table.drop(columns=["question"]))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
TONES = {"relation": "#0072B2", "place": "#009E73", "Yes elsewhere": "#D55E00",
         "shuffled": "#E69F00", "random": "#7F7F7F"}  # fmt: skip
SIDES = ("true → false", "false → true")


def bar(axes, height, values, tone, hollow=False):
    found = stats.proportion(values) if values.dtype == bool else stats.mean(values)
    axes.plot([found.low, found.high], [height] * 2, color=tone, lw=2)
    axes.plot(found.estimate, height, "o", color=tone, mfc="white" if hollow else tone, ms=7)


count = max(len(TRIAL), 1)
figure, panels = plt.subplots(count, 2, figsize=(11, 3.2 * count), squeeze=False)
for line, (key, table) in zip(panels, TRIAL.items(), strict=False):
    for axes, word in zip(line, ("word", "last"), strict=True):
        groups = sorted(table[table["where"] == word].groupby("arm"),
                        key=lambda group: list(TONES).index(group[0]))  # fmt: skip
        for height, (arm, part) in enumerate(groups):
            for side, shift in ((0, 0.13), (1, -0.13)):
                per_twin = part[part["side"] == side].groupby("scene")["swapped"].mean()
                bar(axes, shift - height, per_twin, TONES[arm], hollow=bool(side))
        axes.set_yticks(-np.arange(len(groups)), [arm for arm, _ in groups])
        axes.set(xlim=(-0.03, 1.03), ylim=(0.5 - len(groups), 0.5),
                 xlabel="share of beliefs swapped")  # fmt: skip
        block = CHOSEN[key]["last" if word == "last" else "word", "relation"]
        where = "the last token" if word == "last" else "the first noun"
        axes.set_title(f"{key[1]}: at {where}, relation after block {block}", fontsize=10)
if not TRIAL:
    panels[0, 0].text(0.5, 0.5, "no arm is left", ha="center")
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def gap(table, word, arm):
    """Swapped by an arm, less swapped by random vectors, over twins."""
    per_twin = table[table["where"] == word].groupby(["arm", "scene"])["swapped"].mean()
    return stats.paired_difference(per_twin[arm], per_twin["random"])


def swaps(table, where, arm, side):
    if table is None:
        return None
    part = table[(table["where"] == where) & (table["arm"] == arm)]
    part = part if side is None else part[part["side"] == side]
    return percent(trials.share(part, "swapped"))


ARMS = ("relation", "shuffled", "random")
between = TRIAL.get((YES, "between"))
for where, last_arm in (("word", "place"), ("last", "Yes elsewhere")):
    for arm, side in itertools.product((*ARMS, last_arm), (None, 0, 1)):
        end = "" if side is None else f"_{side}"
        put(f"between_{where}_{arm.split()[0]}{end}", swaps(between, where, arm, side))
    put(f"between_{where}_block", CHOSEN.get((YES, "between"), {}).get((where, "relation")))
for kind in DRAW:
    table = TRIAL.get((YES, kind))
    said = None
    if table is not None:
        _, readable = at_word(YES, kind, "first noun")
        reached, own = gap(table, "word", "place"), gap(table, "word", "relation")
        said = verdict(readable, own, reached)
        put(f"{kind}_gap", percent(own))
        put(f"{kind}_reached", percent(reached))
    else:
        put(f"{kind}_gap")
        put(f"{kind}_reached")
    put(f"{kind}_verdict", said)
    print(kind, "at the first noun:", said or "not measured")

# %% [markdown]
# **Figure 24.4.** *Reading is not using.* Share of beliefs swapped on held-out objects; full dots: from a
# true Yes; hollow: from a true No; bars are 95 % intervals over twins. Left: at the first noun. Right: at the
# last token.
#
# | between, at the first noun | all | true → false | false → true |
# |---|---|---|---|
# | relation | {glue:text}`ch24_between_word_relation` | {glue:text}`ch24_between_word_relation_0` | {glue:text}`ch24_between_word_relation_1` |
# | shuffled | {glue:text}`ch24_between_word_shuffled` | {glue:text}`ch24_between_word_shuffled_0` | {glue:text}`ch24_between_word_shuffled_1` |
# | random | {glue:text}`ch24_between_word_random` | {glue:text}`ch24_between_word_random_0` | {glue:text}`ch24_between_word_random_1` |
# | place | {glue:text}`ch24_between_word_place` | {glue:text}`ch24_between_word_place_0` | {glue:text}`ch24_between_word_place_1` |
#
# | between, at the last token | all | true → false | false → true |
# |---|---|---|---|
# | relation | {glue:text}`ch24_between_last_relation` | {glue:text}`ch24_between_last_relation_0` | {glue:text}`ch24_between_last_relation_1` |
# | shuffled | {glue:text}`ch24_between_last_shuffled` | {glue:text}`ch24_between_last_shuffled_0` | {glue:text}`ch24_between_last_shuffled_1` |
# | random | {glue:text}`ch24_between_last_random` | {glue:text}`ch24_between_last_random_0` | {glue:text}`ch24_between_last_random_1` |
# | Yes elsewhere | {glue:text}`ch24_between_last_Yes` | {glue:text}`ch24_between_last_Yes_0` | {glue:text}`ch24_between_last_Yes_1` |
#
# **Table 24.2.** *Between.* All arms are written after block {glue:text}`ch24_between_word_block` at the first noun,
# and after block {glue:text}`ch24_between_last_block` at the last token.
#
# By the rule that you fixed, at the first noun: *between* is **{glue:text}`ch24_between_verdict`** (gap to random
# {glue:text}`ch24_between_gap`; the positive control's gap, {glue:text}`ch24_between_reached`). *Inside*:
# **{glue:text}`ch24_inside_verdict`** (gap {glue:text}`ch24_inside_gap`; positive control,
# {glue:text}`ch24_inside_reached`). A verdict is about {term}`dose` one, the difference that the model itself makes.
#
# "Not used" is short for "below the bar": read the gap and its interval beside it. And it is about one vector at one word.
#
# At the last token compare the relation's vector with the one from a question that is not about places at all. As far as
# the second does the work of the first, what you steer there is the answer.
#
# ## Perhaps you did not push hard enough?
#
# A vector that is made of small differences is short, and place takes a longer step. Put all arms at
# equal lengths: at the word, in lengths of each case's step of place; at the last token, in lengths of the relation's own vector.

# %%
DOSES = (0.5, 1.0, 2.0) if SMALL else (0.25, 0.5, 1.0, 2.0, 4.0)


def at_length(name, kind, case):
    """(where, arm, dose) -> a job; all arms of one place and dose are equally long."""
    blocks = CHOSEN[name, kind]
    for word in ("word", "last"):
        block = blocks[word, "place" if word == "word" else "relation"]
        found = vectors_of(name, kind, case, word, block)
        unit = found["place" if word == "word" else "relation"]
        if not unit.any():
            continue  # its goal is where it is
        _, _, noise = list(controls(name, kind, case, word, block, unit))[1]
        for arm, vector in (found | {"random": noise}).items():
            for dose in DOSES:
                vector = dose * with_norm_of(vector, unit)
                yield job_of(name, case, word, block, vector, arm=arm, dose=dose)


BY_DOSE = {}
for name, kind in TRIAL:
    sample = CASES[name, kind]["judge"][: 2 * (4 if SMALL else 24)]
    jobs = [one for case in sample for one in at_length(name, kind, case)]
    BY_DOSE[name, kind] = trials.run(MODELS[name], jobs, CACHE)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(count, 3, figsize=(11, 4 * count), squeeze=False, sharey=True)
ways = (("word", 0), ("word", 1), ("last", None))
for line, (key, table) in zip(panels, BY_DOSE.items(), strict=False):
    for axes, (word, side) in zip(line, ways, strict=True):
        part = table[table["where"] == word]
        part = part if side is None else part[part["side"] == side]
        rows = [{"arm": arm, "dose": dose, **trials.share(some, "swapped")._asdict()}
                for (arm, dose), some in part.groupby(["arm", "dose"], sort=False)]  # fmt: skip
        plots.with_band(pd.DataFrame(rows), "dose", "arm", axes, TONES)
        unit = "steps of place" if word == "word" else "lengths of the vector"
        axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel=f"dose, in {unit}")
        axes.set_xticks(DOSES, [f"{dose:g}" for dose in DOSES])
        axes.minorticks_off()
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3, fontsize=9,
                    handlelength=1.2, columnspacing=1)  # fmt: skip
        where = "last token" if word == "last" else f"first noun, {SIDES[side]}"
        axes.set_title(f"{key[1]}: {where}", fontsize=10)
    line[0].set_ylabel("share of beliefs swapped")
figure.tight_layout()
curve = BY_DOSE.get((YES, "between"))


def times_longer(name, kind):
    """How many times as long as the relation's vector a step of place is, on average."""
    block = CHOSEN[name, kind]["word", "place"]
    pairs = [vectors_of(name, kind, case, "word", block) for case in CASES[name, kind]["judge"]]
    return float(np.mean([pair["place"].norm() / pair["relation"].norm() for pair in pairs]))


put("longer", None if curve is None else times_longer(YES, "between"))
for arm in ("relation", "place", "random"):
    for side in (0, 1):
        value = None
        if curve is not None:
            part = curve[(curve["where"] == "word") & (curve["arm"] == arm)]
            part = part[(part["side"] == side) & (part["dose"] == 1)]
            value = percent(trials.share(part, "swapped"))
        put(f"equal_{arm}_{side}", value)

# %% [markdown]
# **Figure 24.5.** *Dose curves at equal lengths,* with 95 % intervals over twins. Left and middle: at the first
# noun, by what is true. Right: at the last token.
#
# At the first noun, at one step of place:
#
# | | true → false | false → true |
# |---|---|---|
# | place | {glue:text}`ch24_equal_place_0` | {glue:text}`ch24_equal_place_1` |
# | relation | {glue:text}`ch24_equal_relation_0` | {glue:text}`ch24_equal_relation_1` |
# | random | {glue:text}`ch24_equal_random_0` | {glue:text}`ch24_equal_random_1` |
#
# **Table 24.3.** *As long as a step of place.* That is {glue:text}`ch24_longer` times the relation's own length: no
# two twins are that far apart. Read the two columns against each other. A vector of a *relation* has
# two directions: subtracted it should make the relation false, and added, true. Pushed hard,
# the relation's vector may take a Yes away. To *give* one, an edit has to put the frog into the gap. The
# gap is in another place in every picture, and a single vector does not know where. Place IDs know,
# because you told them (`goals`). Look at place in the middle panel. Where its curve rises up to dose one and falls
# behind it, twice the step has carried the frog through the gap and out at the other side. A
# coordinate can overshoot. A light switch cannot.
#
# So here "between" acts like no single direction at the first noun. What fits is that a later part of the model
# works it out, from places that words carry. We pushed one mean vector at one word of one small model: a code that bends,
# or that is spread over several words, we would have missed.
#
# ````{exercise} Research sprint: your relation, in other words
# :label: ch24-steady
#
# Difficulty ●●● · importance ●●○ · 20 minutes for the function, an afternoon for the sprint
#
# Does a model know your relation, or a sentence? Ask every scene in several wordings. Write
# `steady(right)` for booleans `[scenes, wordings]`, and return two shares: of scenes that are answered
# right in *every* wording, and the same share if wordings had nothing to do with each other (each right
# as often as it is, in scenes of its own). If the two are equal, you measured luck with
# sentences. Wordings that nobody gets right, or everybody, tell nothing: raise a `ValueError` if there
# are no two others.
#
# Then take the afternoon that the open question below offers, with three wordings for your relation.
# Which of them would you have used, had you tried only one?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def steady(right):
    shares = right.mean(0)
    told = (shares > 0) & (shares < 1)
    if told.sum() < 2:
        raise ValueError(f"{told.sum()} wordings are right now and then, two are needed: {shares}")
    # Only the wordings that tell something count, on both sides of the comparison.
    return float(right[:, told].all(1).mean()), float(shares[told].prod())


# %%
ch24.check_steady(steady)

# %% [markdown]
# ## Summary
#
# - A relation needs **twins**, balanced so that no single place gives it away; a template; two answers
#   (`trials.add_kind`); and a model that can answer. Right about *inside*: {glue:text}`ch24_right_inside`.
#   Where that is no better than chance, the arm stops.
# - A contrast of averages always gives a vector. On held-out objects, the first noun's vector of *between*
#   puts {glue:text}`ch24_read_first` of twins in order.
# - At that word it swaps {glue:text}`ch24_between_word_relation` of beliefs; place, at the same word,
#   {glue:text}`ch24_between_word_place`. Verdict: **{glue:text}`ch24_between_verdict`**.
# - At the last token the relation swaps {glue:text}`ch24_between_last_relation`, and the answer to another
#   question, at the same length, {glue:text}`ch24_between_last_Yes`.
# - So, does the method find relations that nobody planted? It finds what can be read, and its controls tell
#   you whether that is what is used. You need both halves.
#
# ## Open question: a research sprint
#
# A relation that is *one noun's own business*, "inside the box", could be carried at the noun, as a place is.
# One that needs three nouns has to be worked out. Is that a law? Take a model that knows what a box is
# (`MODEL`, any of those in {doc}`21_which_model`), run this chapter, and compare the two verdicts. Then bring a
# third relation of your own, such as touching, or hidden behind. Write down its verdict before you run it.
#
# ## Further reading
#
# - {doc}`10_any_place` moves one noun through the gap and back out, with spatial IDs alone.
# - {doc}`11_depth`: a relation that looked as if it were there, and what it was made of.
# - {cite:t}`kang2026linear` on IDs, and {cite:t}`feng2024bind` on how properties are bound to things.
# - {cite:t}`heimersheim2024use`: what patching can and cannot show.
#
# **What follows.** {doc}`The ledger <../book/ledger>` draws up what holds of the paper's claims. {doc}`20_how_fast_and_why` tells how so many edits fit into minutes.
