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
# # The bug museum
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/15_bug_museum.ipynb)
# · about 60 minutes to read, another 95 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [3](03_where_does_it_flow.ipynb), [4](04_finding_spatial_ids.ipynb), [5](05_their_geometry.ipynb) and [6](06_steering_beliefs.ipynb)
#
# Nobody publishes a figure that looks wrong. So the bugs that reach print are those that make
# figures look fine: axes that are a little short, words that are one token off, a control that
# is a little too weak. We read and ran the code that was released with the paper, and listed
# what would change its reading. Here are sixteen exhibits from that list, each with its number there
# ({doc}`the ledger <../book/ledger>` uses the same numbers), built again in
# miniature, out of our own parts, and let loose on a model whose mechanism you know by now.
#
# **How far does each bug move the number?** For some, not far. That is worth knowing as well.
#
# This is no trial. We made one of them ourselves (exhibit 2), and took its effect for a
# finding. Good people make them, on good days, and review does not see them.
#
# **You will learn**
# - sixteen ways in which an interpretability figure goes wrong without looking wrong
# - what each of them costs, measured with and without it on the same samples
# - for each, the assertion or the test that would have caught it
# - how to repair six of them yourself, against checks that know the usual wrong repairs
# - twelve questions to ask of any plot, your own first

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

import os
import subprocess
import textwrap
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import ImageFilter
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import Job, Scene, geometry, plots, stats, steer, trials
from helpers.beliefs import beliefs, surface_forms
from helpers.exercises import ch15
from helpers.ids import LEFT_RIGHT, bilinear_weights, grid_scene
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli import questions
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.sampling import scenes as draw_scenes
from helpers.stimuli.scenes import Placed
from helpers.stimuli.split import held_out_pairs, is_held_out_pair
from helpers.stimuli.sprites import OBJECTS, PAPER_OBJECTS

# %%
MODELS = open_models(MODEL, CONTROL, chapter="15_bug_museum", small=SMALL, seed=SEED)
YES, NO = MODELS  # the names: of the model, and of its control
VLM = MODELS[YES]

# %% [markdown]
# ## The workshop
#
# All exhibits share what follows: questions about held-out scenes, one a scene, half of them on
# white and half cluttered; IDs from the paper's grids; a block, chosen on scenes of its own.
# Wherever a {term}`belief` is steered, both nouns get the ID difference to their mirrored places, at
# {term}`dose` one, as in {doc}`06_steering_beliefs`.

# %%
COUNT, FEW = (40, 24) if SMALL else (500, 150)


def draw(count, seed):
    """Held-out scenes that have an answer: on white and cluttered in turn."""
    kinds = [draw_scenes(count, seed, k, held_out=True) for k in ("grid", "clutter")]
    every = [scene for both in zip(*kinds, strict=True) for scene in both]
    every = dict.fromkeys(every)  # on a grid, the same scene may come again
    return [s for s in every if questions.left_right(s, *s.names[:2])][:count]


def ask(vlm, scenes, kind="left_right"):
    """One question a scene, with the belief before anything is done."""
    return trials.with_beliefs(vlm, trials.scene_cases(vlm, scenes, kind, orders=[0]))


SCENES = draw(COUNT, SEED + 1)
CASES = ask(VLM, SCENES)
CAN = trials.can_answer(CASES)
options = {"pairs": 3 if SMALL else 8, "partners": 1 if SMALL else 2, "seed": SEED}
IDS = trials.extract_ids(VLM, ["left_right"], **options, save_to=CACHE)["left_right"]
share = np.mean([case.labels["right"] for case in CASES])
print(f"{len(CASES)} scenes, right in {share:.0%}")
if not CAN:
    print("Not above chance: exhibits that need a belief are left out, and say so.")


# %%
def aim(case, site):
    """The ID differences from both nouns' places to their mirrored ones."""
    return trials.aimed(case, IDS, site, trials.mirrored(case))


looking = VLM.family.cross_layers(VLM.model.config.get_text_config())
BLOCKS = range(min(looking, default=0), VLM.n_layers)
sites = {block: VLM.resid_post(block) for block in BLOCKS}
chosen_on = ask(VLM, draw(6 if SMALL else 24, SEED + 2))
jobs = [trials.steering_job(case, site, aim(case, site), block=block)
        for case in chosen_on for block, site in sites.items()]  # fmt: skip
BLOCK = int(trials.run(VLM, jobs, CACHE).groupby("block")["swapped"].mean().idxmax())
SITE = sites[BLOCK]
glue("ch15_block", BLOCK)


# %% [markdown]
# Every exhibit hangs the same way: a plaque, the bug in a few lines, a figure with the bug on
# the left and without it on the right, and how to catch it. Code of figures is folded.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how exhibits are hung", "code_prompt_hide": "Hide how exhibits are hung"}
BAD, GOOD = "#D55E00", "#0072B2"
museum, told = [], set()


def tell(name, value):
    told.add(name)
    glue(f"ch15_{name}", value)


def note(defect, exhibit, measure, slug, bug, fix):
    """Put an exhibit's two numbers into the museum's table."""
    row = {"defect": str(defect), "exhibit": exhibit, "measure": measure}
    for side, found in (("with_bug", bug), ("without_bug", fix)):
        row[side] = found.estimate
        row |= {f"{side}_low": found.low, f"{side}_high": found.high}
    museum.append(row | {"n": fix.n})
    show = percent if measure.startswith("share") else (lambda found: found)
    tell(f"{slug}_bug", show(bug))
    tell(slug, show(fix))


def walls(height=2.4, **options):
    """Two panels, the bug on the left."""
    options = {"sharex": True, "layout": "constrained", **options}
    panels = plt.subplots(1, 2, figsize=(10, height), **options)[1]
    panels[0].set_title("with the bug", color=BAD)
    panels[1].set_title("without", color=GOOD)
    return zip(panels, (BAD, GOOD), strict=True)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how exhibits are hung", "code_prompt_hide": "Hide how exhibits are hung"}
def dots(bug, fix, label, zero=None):
    """Estimates with their intervals, by name, on either wall."""
    panels = walls(1 + 0.45 * len(fix))
    for (axes, color), found in zip(panels, (bug, fix), strict=True):
        for height, value in enumerate(found.values()):
            axes.plot([value.low, value.high], [-height] * 2, color=color, lw=2.5)
            axes.plot(value.estimate, -height, "o", color=color)
        axes.set_yticks(-np.arange(len(found)), list(found))
        axes.set(xlabel=label, ylim=(0.6 - len(found), 0.6))
        if zero is not None:
            axes.axvline(zero, color="0.3", lw=1)


def refused(check, function):
    """Show what a check says about a function."""
    try:
        check(function)
    except AssertionError as why:
        print(textwrap.fill(f"The check says: {why}", 80))
    else:
        print("The check lets it pass.")


# %% [markdown]
# ## First room: the wrong address
#
# ### Exhibit 1. The dog called "photo of a"
#
# *Defect 1. A script that turns captions into questions.* It was written for captions such as
# "The dog is above the cat". Then came a data set with "A photo of a dog above a cat". Nothing
# crashed: the first noun became "a", the question "Is the photo of a above or below the cat?", and the
# edit went to the token "a". It happens when a parser is tried on the first file only. Our variant:

# %%
def parse(caption):  # the bug
    words = caption.split()
    at = words.index("to")  # "... to the left of the ..."
    return " ".join(words[1 : at - 1]), " ".join(words[at + 5 :])


def misread(case):
    """The case as the parser understands its caption."""
    one, side = case.names[0], "left" if case.toward < 0 else "right"
    article = "an" if one[0] in "aeiou" else "a"
    caption = f"A photo of {article} {one} to the {side} of a {case.names[1]}"
    names = parse(caption)
    prompt = VLM.prompt(case.prompt.image, LEFT_RIGHT.format(*names))
    return replace(case, prompt=prompt, names=names)


assert parse("The dog is to the left of the cat") == ("dog", "cat")  # all is well
wrong = misread(CASES[0])
print(wrong.prompt.question, "· steers:", wrong.prompt.tokens[wrong.spans[0][-1]])


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def right(cases):
    return stats.proportion([case.labels["right"] for case in cases])


if CAN:
    those = CASES[:FEW]
    wrong = trials.with_beliefs(VLM, [misread(case) for case in those])
    halves = [("on white", 0), ("clutter", 1)]
    parts = [{"all": right(cases)} | {name: right(
        [c for c in cases if len(SCENES[c.labels["scene"]].objects) > 2] if some else
        [c for c in cases if len(SCENES[c.labels["scene"]].objects) == 2])
        for name, some in halves} for cases in (wrong, those)]  # fmt: skip
    dots(*parts, "share of right answers", zero=0.5)
    note(1, "The dog called “photo of a”", "share of right answers", "parse",
         right(wrong), right(those))  # fmt: skip

# %% [markdown]
# **Figure 15.1.** *The question that was really asked.* Share of right answers with captions as
# parsed, and with the nouns that are meant: {glue:text}`ch15_parse_bug` and
# {glue:text}`ch15_parse`. The line is chance. All that is measured afterwards is measured on
# those questions.
#
# **How to catch it.** Parse once, with one expression for each form, and refuse what fits none.
# Then `assert names == ("dog", "cat")` for *every* form that the data holds. An exercise in
# {doc}`08_real_photos` builds that parser.
#
# ### Exhibits 2 and 3. One token late, one block late
#
# *Defect 2. Scripts that count tokens.* The image takes 576 tokens, one of which was there
# already, as the placeholder. Add 576 where 575 is right, and you edit the token *after* the word.
#
# *Defect 3. A script that reads hidden states in one place and edits in another.* `hidden_states[l]`
# is what *enters* block `l`; a hook on `layers[l]` sees what *leaves* it. Both are called `l`. Another
# script of the same release has it right, so two figures of one paper speak of different blocks.

# %%
NEXT = VLM.resid_post(min(BLOCK + 1, VLM.n_layers - 1))


def three_addresses(case):
    vectors = aim(case, SITE)
    yield trials.steering_job(case, SITE, vectors, arm="right address")
    spans = [(span[-1] + 1,) for span in case.spans]  # bug 2
    late = tuple(steer(SITE, s, v) for s, v in zip(spans, vectors, strict=True))
    yield Job(case.prompt, late, case.labels | {"arm": "one token late"})
    yield trials.steering_job(case, NEXT, vectors, arm="one block late")  # bug 3


if CAN:
    jobs = [job for case in CASES for job in three_addresses(case)]
    arms = dict(list(trials.run(VLM, jobs, CACHE).groupby("arm", sort=False)))
    print("edited:", [CASES[0].prompt.tokens[span[-1] + 1] for span in CASES[0].spans])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    swaps = {arm: stats.proportion(table["swapped"]) for arm, table in arms.items()}
    shown = list(arms)[1:], list(arms)[:1]
    for (axes, _), names in zip(walls(2.8, sharey=True), shown, strict=True):
        before = arms["right address"]["before"] * arms["right address"]["toward"]
        bins = np.linspace(-16, 24, 41)
        axes.hist(before, bins, color="0.75", label="before")
        colors = (GOOD,) if len(names) == 1 else (BAD, "#E69F00")
        for name, color in zip(names, colors, strict=True):
            axes.hist(arms[name]["after"], bins, color=color, alpha=0.75, label=name)
        axes.axvline(0, color="0.3", lw=1)
        axes.set_xlabel("log-odds of the mirrored answer")
        axes.legend(fontsize=9)
    for number, slug in ((2, "token"), (3, "block")):
        name = f"one {slug} late"
        note(number, name.capitalize(), "share of beliefs swapped", f"late_{slug}",
             swaps[name], swaps["right address"])  # fmt: skip

# %% [markdown]
# **Figure 15.2.** *The same vectors at three addresses*, one of them right. Scenes by their
# log-odds before the edit (grey) and after. At the word and the block where the IDs were read
# (block {glue:text}`ch15_block`), {glue:text}`ch15_late_token` of beliefs swap; one token late
# {glue:text}`ch15_late_token_bug`, one block late {glue:text}`ch15_late_block_bug`.
#
# With the right vectors, the right doses and the right statistics, each of these two makes a
# different finding. {doc}`03_where_does_it_flow` shows what the first one does to a {term}`mirror swap`.
#
# **How to catch it.** Find words by their characters and assert what you found:
# `assert "".join(tokens[i] for i in span).strip() == word`. Give a stream *one* name, and let
# reading and writing both take that name and never a bare number. `SpatialIDs` refuses a site
# at which it was not read.
#
# ````{exercise} Find the bug: which stream is it?
# :label: ch15-site
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# `site_of` names the stream in `hidden_states[number]` of a model with `n_layers` blocks, as
# this book names streams. It is wrong nearly everywhere. Repair it. Two entries need a thought:
# the first, which no block has written, and the last. Hugging Face takes the last one *after* the
# model's final norm, so it is no block's stream. What should the function do when it is asked
# for that?
# ````

# %%
def site_of(number, n_layers):
    return f"blocks.{number}.hook_resid_post"


refused(ch15.check_site, site_of)


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def site_of(number, n_layers):
    # A list of n_layers + 1 tempts to use its last entry, and -1 for it. Both are
    # refused: an ID read behind the norm means nothing at any block.
    if not 0 <= number < n_layers:
        raise ValueError(f"hidden_states[{number}] is no stream of {n_layers} blocks")
    if number == 0:
        return "blocks.0.hook_resid_pre"
    return f"blocks.{number - 1}.hook_resid_post"


# %%
ch15.check_site(site_of)

# %% [markdown]
# ### Exhibit 4. Half a cell off
#
# *Defect 22. A function that gives an object the ID of the centre of its box.* Centres lie half a
# cell in from the edge; forget the half, and every place slides right and down. Then the last
# row: both neighbours are the same cell, and its second weight is written over the first.

# %%
def careless_weights(x, y, cells=4):  # x and y: fractions of the picture
    weights = torch.zeros(cells, cells)
    column, row = int(cells * x), int(cells * y)  # bug: the centre of cell 0 is at 0.5
    across, down = cells * x - column, cells * y - row
    for r, up in ((row, 1 - down), (min(row + 1, cells - 1), down)):
        for c, left in ((column, 1 - across), (min(column + 1, cells - 1), across)):
            weights[r, c] = up * left  # bug: at the edge this overwrites
    return weights


print(f"sum at the centre {careless_weights(0.5, 0.5).sum():.2f}, "
      f"at the right edge {careless_weights(0.95, 0.5).sum():.2f}, "
      f"in the corner {careless_weights(0.95, 0.95).sum():.2f}")

# %% [markdown]
# For this exhibit and four later ones: pairs on the paper's white grid, any two cells, as the
# paper has them. The pairs were never together in training.

# %%
PAIRS = [pair for pair in held_out_pairs() if set(pair) <= set(PAPER_OBJECTS)]
rng = np.random.default_rng(SEED + 3)
grid, GRID = [], []
for number in range(96 if SMALL else 384):
    first, pair = number % 16, number // 16 % len(PAIRS)
    second = (first + int(rng.integers(1, 16))) % 16
    (row, column), (_, other) = divmod(first, 4), divmod(second, 4)
    GRID.append(grid_scene(PAIRS[pair], (divmod(first, 4), divmod(second, 4)),
                           PAPER_SIZES[-1], 4))  # fmt: skip
    grid.append({"pair": pair, "row": row, "column": column, "other": other})
grid = pd.DataFrame(grid)
asked = [LEFT_RIGHT.format(*scene.names) for scene in GRID]
prompts = [VLM.prompt(s.render(), text) for s, text in zip(GRID, asked, strict=True)]
nouns = [[prompt.words(scene.names)[0][-1]]
         for prompt, scene in zip(prompts, GRID, strict=True)]  # fmt: skip
STATES = read_states(VLM, prompts, nouns, [SITE])[0, :, 0]  # at first nouns


def log_odds(prompts):
    parts = [beliefs(VLM, prompts[i : i + 32], ("Left", "Right"))
             for i in range(0, len(prompts), 32)]  # fmt: skip
    return pd.concat(parts)["log_odds"].to_numpy()


grid["log_odds"] = log_odds(prompts)


def centre(states, groups):
    """Subtract each group's mean: what is left is not its word."""
    groups = torch.tensor(groups.to_numpy())
    count = int(groups.max()) + 1
    means = torch.stack([states[groups == group].mean(0) for group in range(count)])
    return states - means[groups]


CENTRED = centre(STATES, grid["pair"])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
mean, axes_here = IDS[0].mean(SITE), IDS[0].axes(SITE)
said = geometry.on_plane(CENTRED, axes_here)
gaps = []
for (axes, color), bug in zip(walls(3.6, sharey=True), (True, False), strict=True):
    weights = torch.stack([
        careless_weights((c + 0.5) / 4, (r + 0.5) / 4)
        if bug else bilinear_weights(r, c, 4, 4)
        for r, c in zip(grid["row"], grid["column"], strict=True)
    ])  # fmt: skip
    truth = geometry.on_plane(torch.einsum("nrc,rcd->nd", weights, mean), axes_here)
    gaps.append(stats.mean(np.linalg.norm(said - truth, axis=1)))
    for (x, y), (u, v) in zip(said[::3], truth[::3], strict=True):
        axes.plot([x, u], [y, v], color=color, alpha=0.35, lw=1)
    axes.plot(*truth.T, "o", color=color)
    axes.set(xlabel="cells rightward", ylabel="cells downward")
axes.invert_yaxis()
note(22, "Half a cell off", "cells from the place read to the true one", "cell", *gaps)

# %% [markdown]
# **Figure 15.3.** *Where words say their objects are, and where the IDs of the true places are*,
# in the plane of the axes. A line goes from each word (every third is drawn) to the ID of its
# true place (dot). They are {glue:text}`ch15_cell_bug` cells apart with the bug and
# {glue:text}`ch15_cell` without. A figure that asks "are wrong answers far from the truth?"
# starts with that distance for the right ones.
#
# **How to catch it.** `assert weights.sum() == 1` at centres, edges and corners, and the ID of a
# cell's centre must be the cell's ID. See the exercise in {doc}`04_finding_spatial_ids`. Mind that
# *steering* hides this bug: in a difference of two IDs the same slip of half a cell falls out
# where the map is straight, but for the edges.
#
# ### Exhibit 5. The hot dog
#
# *Defect 23. A look-up of boxes by name.* `if name in label` finds the dog in "hot dog", the car
# in "carrot", the apple in "pineapple". In most photos there is no hot dog, and it works.

# %%
def box_of(annotations, name):
    return next(one for one in annotations if name in one.name)  # the bug


DECOYS = {"dog": "hot dog", "apple": "pineapple"}


def with_decoy(number):
    rng = np.random.default_rng([SEED, number])
    target = list(DECOYS)[number % 2]
    others = [name for name in OBJECTS
              if is_held_out_pair(target, name)
              and name not in DECOYS.values()]  # fmt: skip
    names = (target, str(rng.choice(others)), DECOYS[target])
    places = zip(names, rng.permutation(4)[:3], rng.integers(0, 4, 3), strict=True)
    return Scene(tuple(
        Placed(name, (c + 0.5) / 4, (r + 0.5) / 4, 0.22) for name, c, r in places
    ))  # fmt: skip


menu = [with_decoy(number) for number in range(COUNT)]
found = [box_of(scene.objects[::-1], scene.names[0]).name for scene in menu]
print("asked for:", menu[0].names[0], "· found:", found[0])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    cases, jobs = ask(VLM, menu), []
    for case in cases:
        scene = menu[case.labels["scene"]]
        taken = trials.in_cells(box_of(scene.objects[::-1], case.names[0]))
        wrong = replace(case, places=(taken, case.places[1]))
        jobs.append(trials.steering_job(case, SITE, aim(wrong, SITE), arm="bug"))
        jobs.append(trials.steering_job(case, SITE, aim(case, SITE), arm="fix"))
    table = trials.run(VLM, jobs, CACHE)
    parts = [{name: stats.proportion(part["swapped"]) for name, part in (
        ("all", table[table["arm"] == arm]),
        *((k, table[(table["arm"] == arm) & table["question"].str.contains(f" {k} ")])
          for k in DECOYS))} for arm in ("bug", "fix")]  # fmt: skip
    dots(*parts, "share of beliefs swapped")
    for word in DECOYS:
        tell(f"{word}_bug", percent(parts[0][word]))
        tell(word, percent(parts[1][word]))
        asked_for = [case for case in cases if word in case.names]
        tell(f"{word}_right", percent(right(asked_for)))
    note(23, "The hot dog", "share of beliefs swapped", "hotdog",
         parts[0]["all"], parts[1]["all"])  # fmt: skip

# %% [markdown]
# **Figure 15.4.** *Steering from where the decoy lies.* Share of beliefs swapped:
# {glue:text}`ch15_hotdog_bug` with the decoy's box, {glue:text}`ch15_hotdog` with the right one.
# Apples: {glue:text}`ch15_apple_bug` and {glue:text}`ch15_apple`. Dogs: {glue:text}`ch15_dog_bug`
# and {glue:text}`ch15_dog`. Before any edit the model answers {glue:text}`ch15_apple_right` of the
# questions about apples right and {glue:text}`ch15_dog_right` of those about dogs.
#
# The dogs surprised us. Compare the two words before you read on. In our tokenizer "hot dog" ends
# in the very token "dog", while the tokens of "pineapple" do not hold the one of "apple". If the model
# answers worse about dogs, and if dogs are steered as well from the wrong box as from the right
# one, then our guess is that the word "dog" fetches something of the hot dog, too: the model
# makes the bug itself. An average over both words hides that.
#
# **How to catch it.** Compare names with `==`. Then test with the nastiest list that you can
# think of, as in the exercise.
#
# ````{exercise} Find the bugs: whose box?
# :label: ch15-box
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# `find_box` takes the annotations of a picture, a list of dictionaries with `name`, `box` and
# `iscrowd` (1 where the box is around many of a kind), and a name. More than one thing is wrong
# with it. Repair it. Raise a `ValueError` wherever no single box is the answer.
# ````

# %%
def find_box(annotations, name):
    return next(one["box"] for one in annotations if name in one["name"])


refused(ch15.check_find_box, find_box)


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def find_box(annotations, name):
    exact = [one for one in annotations if one["name"] == name and not one["iscrowd"]]
    # Taking the first of two cats would be a guess that nobody sees.
    if len(exact) != 1:
        raise ValueError(f"{len(exact)} single boxes of {name!r}; one is needed")
    return exact[0]["box"]


# %%
ch15.check_find_box(find_box)

# %% [markdown]
# ## Second room: what is counted
#
# ### Exhibit 6. The wrong sign
#
# *Defect 5. Plotting scripts.* One subtracts the patched run from the original and calls it the
# change; another does the opposite. Each is consistent with itself. It happens when a minus is
# typed in a plot, and not in one function that everybody calls. No new run is needed:

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    table = arms["right address"]
    before, after = table["before"] * table["toward"], table["after"]
    parts = [{"steered by IDs": stats.mean(change)}
             for change in (before - after, after - before)]  # fmt: skip
    dots(*parts, "“change” towards the mirrored answer (nats)", zero=0)
    note(5, "The wrong sign", "change of the log-odds (nats)", "sign",
         *(part["steered by IDs"] for part in parts))  # fmt: skip

# %% [markdown]
# **Figure 15.5.** *One experiment, two signs*: {glue:text}`ch15_sign_bug` and
# {glue:text}`ch15_sign` nats. The left one says that steering makes the model *more* sure.
#
# **How to catch it.** Change is after minus before, in one function. Test it with an edit whose
# effect is known: writing the mirrored run over everything must give a *positive* change.
#
# ### Exhibit 7. One spelling of the answer
#
# *Defects 6 and 7. Scripts that read an answer off one token.* For one and the same model the
# scripts read three different forms, "left" and "▁Left" among them. LLaVA says "Left". For Above
# and Behind, one took the tokens "▁A" and "▁Be", since these words are split, and whole words
# for their opposites. It happens because *some* number always comes out, and it even moves.

# %%
if CAN:
    sides = CASES[:FEW]
    upright = ask(VLM, SCENES[: FEW + FEW // 3], "above_below")[:FEW]
    logs = []
    for cases in (sides, upright):
        few = [case.prompt for case in cases]
        rows = [VLM.last_logits(few[i : i + 32]) for i in range(0, len(few), 32)]
        logs.append(torch.cat(rows).float().log_softmax(-1).cpu())

    def token(text):  # the bug: one id for an answer
        return surface_forms(VLM, CASES[0].prompt, text)[0][0]

    lower = logs[0][:, token("left")] - logs[0][:, token("right")]
    uneven = logs[1][:, token("A")] - logs[1][:, token("Below")]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    def agree(odds, cases):
        pairs = zip(odds, cases, strict=True)
        return stats.proportion([one * case.toward < 0 for one, case in pairs])

    names = ("left/right", "above/below")
    bug = {"“left” and “right” only": agree(lower, sides),
           "“A” against “Below”": agree(uneven, upright)}  # fmt: skip
    fix = dict(zip(names, (right(sides), right(upright)), strict=True))
    dots(bug, fix, "share of answers read as right", zero=0.5)
    tell("lower_right", percent(next(iter(bug.values()))))
    mass = logs[0][:, [token("left"), token("right")]].exp().sum(1).mean()
    tell("lower_mass", f"{float(mass):.0e}")
    note("6, 7", "One spelling", "share of answers read as right", "forms",
         list(bug.values())[1], fix["above/below"])  # fmt: skip

# %% [markdown]
# **Figure 15.6.** *What the model is said to say.* Reading "A" against "Below":
# {glue:text}`ch15_forms_bug` right; over all forms of the whole words {glue:text}`ch15_forms`.
# Lower case alone: {glue:text}`ch15_lower_right` right, read off tokens that hold
# {glue:text}`ch15_lower_mass` of the probability. Such leftovers owe nobody
# anything: they may follow the belief, or go against it.
#
# **How to catch it.** Add up the probability of all forms of the *whole* word, and report how much
# of the whole that is. `assert` that the model's likeliest token is one of the forms, for most
# prompts.
#
# ````{exercise} Find the bug: one score for a word
# :label: ch15-score
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# `score` gets the log-probability of every token, by the token's text, and an answer. It must
# return the log-probability that the reply begins with that word, in whatever case of its first letter
# and with or without a space before it. Not every form need be a token, but if none is, refuse.
# ````

# %%
def score(log_probs, answer):
    return max(value for token, value in log_probs.items()
               if token.strip().lower().startswith(answer.lower()))  # fmt: skip


refused(ch15.check_score, score)


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def score(log_probs, answer):
    forms = [value for token, value in log_probs.items()
             if token.strip().lower() == answer.lower()]  # fmt: skip
    if not forms:
        raise ValueError(f"no token spells {answer!r}")
    # Either form is that answer: probabilities of "this or that" add up.
    return float(np.logaddexp.reduce(forms))


# %%
ch15.check_score(score)

# %% [markdown]
# ### Exhibit 8. Left of what?
#
# *Defect 16. The set of stimuli.* Two objects in any two cells. An object in column 0 is never
# right of anything, so a model (or a probe) that knows *absolute* columns looks as if it knew the
# *relation*. And pairs in one column are asked about like the rest: whatever the model says
# about those, somebody has to call it right or wrong.

# %%
answered = grid["column"] != grid["other"]
truth = np.where(grid["column"] < grid["other"], 1, -1)  # bug: a tie counts as "Right"
grid["right"] = grid["log_odds"] * truth > 0


def read_relation(states):
    """Is the first object left? For half of the pairs, from probes on the others."""
    states = states.numpy()
    guess, halves = np.zeros(len(grid), bool), grid["pair"] % 2
    for half in (0, 1):
        train, test = (answered & (halves == side) for side in (1 - half, half))
        regression = LogisticRegression(C=0.01, max_iter=500)
        probe = make_pipeline(StandardScaler(), regression)
        probe.fit(states[train.to_numpy()], truth[train] > 0)
        guess[test] = probe.predict(states[test.to_numpy()])
    return guess == (truth > 0)


grid["probe"] = read_relation(CENTRED)
# Balanced: as many scenes with either answer for every column of the first object.
strata = grid[answered].assign(left=truth[answered] > 0).groupby(["column", "left"])
sizes = strata.size().unstack(fill_value=0).min(axis=1)
balanced = pd.concat([part.head(sizes[key[0]]) for key, part in strata])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
bug = {"a probe for “left of”": stats.proportion(grid[answered]["probe"]),
       "the model's answers": stats.proportion(grid["right"])}  # fmt: skip
fix = {"a probe for “left of”": stats.proportion(balanced["probe"]),
       "the model's answers": stats.proportion(grid[answered]["right"])}  # fmt: skip
dots(bug, fix, "share right", zero=0.5)
for key, name, slug in zip(bug, ("Left of what?", "No answer"), ("relation", "tie"),
                           strict=True):  # fmt: skip
    note(16, name, "share right", slug, bug[key], fix[key])

# %% [markdown]
# **Figure 15.7.** *A relation, or a place?* A linear probe at the *first* noun is asked for "left
# of the other object", on pairs that it was not trained on. With the design as it is:
# {glue:text}`ch15_relation_bug`. Where each column has as many lefts as rights (columns 0 and 3
# fall out): {glue:text}`ch15_relation`. The line is chance. Below: the model's own answers with
# questions that have no answer among them, {glue:text}`ch15_tie_bug`, and without,
# {glue:text}`ch15_tie`.
#
# The confusion can be seen before any model is run: guess "left" in columns 0 and 1
# and "right" in 2 and 3, and five of six answers are right.
#
# **How to catch it.** Score a guess that sees only *one* object. If it beats chance, the design
# leaks. Then balance, and drop what has no answer, as {doc}`02_making_stimuli` does.
#
# ## Third room: compared with what?
#
# ### Exhibits 9 and 10. Five times what? And a single draw
#
# *Defect 11. One name, "factor 5".* In one script it is five times the length of the *activation*
# that is edited, in another five times the ID difference. No dose curve tells them apart.
#
# *Defect 12. The noise arm.* One isotropic draw, without a seed. Our variant draws one
# direction and uses it for all samples. (A new draw for each sample would average out.) Any
# noise that is long enough has an opinion. Another day, another opinion.

# %%
DRAWS = 4 if SMALL else 10
DOSES = (1.0, 2.0, 5.0)
spans = [[span[-1] for span in case.spans] for case in CASES]
LENGTHS = read_states(VLM, [c.prompt for c in CASES], spans, [SITE])[0].norm(dim=-1)
generator = torch.Generator().manual_seed(SEED)
draws = torch.randn(DRAWS, VLM.d_model, generator=generator)


def scaled(vectors, lengths):
    return [v * (n / v.norm()) for v, n in zip(vectors, lengths, strict=True)]


def shouts(case, lengths):
    sides = trials.arms(case, IDS, SITE, trials.mirrored(case), {"random": 1})
    for (arm, _), vectors in sides.items():
        for dose in DOSES:
            yield trials.steering_job(case, SITE, vectors, dose, arm=arm, unit="ID")
        loud = scaled(vectors, lengths)
        yield trials.steering_job(case, SITE, loud, 5.0, arm=arm, unit="stream")
    for number, drawn in enumerate(draws):
        loud = scaled([drawn, drawn], lengths)
        yield trials.steering_job(case, SITE, loud, 5.0, arm="draw", draw=number)


if CAN:
    jobs = [j for c, n in zip(CASES, LENGTHS, strict=True) for j in shouts(c, n)]
    loud = trials.run(VLM, jobs, CACHE)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    cells = loud[loud["arm"] != "draw"].groupby(["unit", "arm", "dose"])["swapped"]
    cells = {key: stats.proportion(values) for key, values in cells}
    (left, _), (panel, _) = walls(3.2, sharex=False)
    four = [(unit, arm) for unit in ("stream", "ID")
            for arm in ("spatial IDs", "random")]  # fmt: skip
    for height, (unit, arm) in enumerate(four):
        value, color = cells[unit, arm, 5.0], plots.COLORS[arm]
        left.plot([value.low, value.high], [-height] * 2, color=color, lw=2.5)
        left.plot(value.estimate, -height, "o", color=color)
    names = [f"{arm}, × {unit}" for unit, arm in four]
    left.set_yticks(-np.arange(4), names)
    left.set(xlabel="share swapped at “factor 5”", xlim=(-0.03, 1.03))
    curve = pd.DataFrame([{"dose": d, "arm": a, **v._asdict()}
                          for (u, a, d), v in cells.items() if u == "ID"])  # fmt: skip
    plots.with_band(curve, "dose", "arm", panel)
    panel.set(xlabel="dose, in ID differences", ylabel="share swapped")
    note(11, "Five times what?", "share of beliefs swapped by noise", "five",
         cells["stream", "random", 5.0], cells["ID", "random", 1.0])  # fmt: skip
    tell("five_ids", percent(cells["stream", "spatial IDs", 5.0]))
    tell("one_ids", percent(cells["ID", "spatial IDs", 1.0]))

# %% [markdown]
# **Figure 15.8.** *Factor 5 in two units, and a curve in one.* At five times the stream, noise
# swaps {glue:text}`ch15_five_bug` of beliefs and IDs {glue:text}`ch15_five_ids`. At dose one noise of
# the same length swaps {glue:text}`ch15_five` and IDs {glue:text}`ch15_one_ids`. The curve shows it;
# a point hides it. {doc}`06_steering_beliefs` counts valid answers beside.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    by_draw = loud[loud["arm"] == "draw"].groupby("draw")["swapped"]
    each = [stats.proportion(values) for _, values in by_draw]
    over = stats.mean([one.estimate for one in each])
    panels = walls(2.6, sharey=True)
    for (axes, color), shown in zip(panels, (each[:1], each), strict=True):
        for number, one in enumerate(shown):
            axes.plot([number] * 2, [one.low, one.high], color=color, lw=2.5)
            axes.plot(number, one.estimate, "o", color=color)
        axes.set(xlabel="draw", ylabel="share swapped", ylim=(0, 1))
        axes.set_xlim(-0.7, DRAWS - 0.3)
    axes.axhspan(over.low, over.high, color=GOOD, alpha=0.15)
    note(12, "A single draw", "share of beliefs swapped by noise", "draw",
         each[0], over)  # fmt: skip
    low, high = (pick(each, key=lambda one: one.estimate) for pick in (min, max))
    tell("draw_low", percent(low))
    tell("draw_high", percent(high))

# %% [markdown]
# **Figure 15.9.** *One draw of noise, and all of them*, five times as long as the stream. The first
# says {glue:text}`ch15_draw_bug`, and its interval knows nothing of the others, which go from
# {glue:text}`ch15_draw_low` to {glue:text}`ch15_draw_high`. Band: the mean over draws,
# {glue:text}`ch15_draw`, with an interval that counts *draws* and not scenes.
#
# **How to catch them.** Name the unit in the variable (`dose_in_ids`, `length_over_stream`) and
# plot a curve. Seed each draw, take many, and let the interval run over whatever was drawn
# anew. Then compare arms on the same samples.
#
# ### Exhibit 11. The best three
#
# *Defect 13. A plotting notebook.* For each model the three best layers are picked by their swaps,
# on the very samples that are reported, and the error bar is the spread over those three layers.
# In our model layers differ so much that anybody picks the same one. So pick among things that are
# all worth the same: the draws of noise above, dealt out anew for every scene, so that no
# "draw" is better than another. Take 20 scenes, pick the three best, report them on those
# 20. Repeat a thousand times, and ask the other scenes each time.

# %%
def best_three(wide, rng, size=20):
    """[scenes, candidates] -> shares swapped, as reported and on the other scenes."""
    chosen = rng.permutation(len(wide))
    test, rest = wide[chosen[:size]], wide[chosen[size:]]
    best = test.mean(0).argsort()[-3:]
    return test.mean(0)[best].mean(), rest.mean(0)[best].mean()  # bug, truth


def spread(values, n):
    low, high = np.quantile(values, [0.025, 0.975])
    return stats.Interval(float(np.mean(values)), float(low), float(high), n)


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    drawn = loud[loud["arm"] == "draw"]
    wide = drawn.pivot(index="scene", columns="draw", values="swapped").to_numpy(float)
    rng = np.random.default_rng(SEED)
    wide = rng.permuted(wide, axis=1)  # each scene has an order of its own
    picked = np.array([best_three(wide, rng) for _ in range(1000)])
    for (axes, color), values in zip(walls(2.6, sharey=True), picked.T, strict=True):
        axes.hist(values, np.linspace(0, 1, 41), color=color)
        axes.axvline(values.mean(), color="0.2", lw=1.5)
        axes.set(xlabel="share swapped, best three draws", ylabel="of 1,000 times")
    note(13, "The best three", "share of beliefs swapped by noise", "best",
         *(spread(values, len(wide)) for values in picked.T))  # fmt: skip

# %% [markdown]
# **Figure 15.10.** *Noise, picked and reported on the same 20 scenes, and the same draws on all
# others.* Line: mean. {glue:text}`ch15_best_bug` and {glue:text}`ch15_best`, with the middle 95 % of
# repetitions. What the left has over the right is the picking alone. Our first version kept each
# draw as it was; there some draws really swap more, picking finds those, and the bug costs next to
# nothing. It bites where there is nothing to find. And the spread over three layers is not the
# uncertainty of anything. The same analysis counts a wrong belief that becomes
# right as a swap. This model has none to correct.
#
# **How to catch it.** Run the whole analysis, picking included, on something that cannot work.
# Choose on one half, report on the other (`stats.choose_layer`).
#
# ### Exhibit 12. Steerable and capable
#
# *Defect 14. A figure over models.* It is said to show "ID minus noise" against accuracy, but
# nothing is subtracted, and the horizontal axis is accuracy *lost* by steering. Who is right in
# 95 % can lose much. Who guesses can lose nothing. So simulate models whose steerability has
# nothing at all to do with their accuracy, eleven at a time, 300 questions each.

# %%
def no_relation(rng, models=11, asked=300):
    accuracy = rng.uniform(0.55, 0.98, models)
    ids, noise = rng.uniform(0.3, 0.8, models), rng.uniform(0, 0.3, models)
    right = rng.binomial(asked, accuracy)
    swaps = rng.binomial(right, ids), rng.binomial(asked - right, ids)
    lost = (swaps[0] - swaps[1]) / asked  # the bug: right to wrong less wrong to right
    steerability = sum(swaps) / asked - rng.binomial(asked, noise) / asked
    return lost, steerability, right / asked


rng = np.random.default_rng(SEED)
worlds = [no_relation(rng) for _ in range(200 if SMALL else 2000)]
correlations = np.array([[np.corrcoef(x, accuracy)[0, 1] for x in pair]
                         for *pair, accuracy in worlds])  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
typical = np.abs(correlations - correlations.mean(0)).sum(1).argmin()
labels = "accuracy lost", "swaps by IDs less swaps by noise"
*pair, accuracy = worlds[typical]
panels = walls(2.9, sharex=False, sharey=True)
for (axes, color), x, label in zip(panels, pair, labels, strict=True):
    axes.plot(x, accuracy, "o", color=color)
    axes.set(xlabel=label, ylabel="accuracy")
note(14, "Steerable and capable", "correlation with accuracy", "coupled",
     *(spread(values, len(worlds)) for values in correlations.T))  # fmt: skip

# %% [markdown]
# **Figure 15.11.** *Eleven models without any relation*, a typical set. Correlation with accuracy
# over all sets, with the middle 95 %: {glue:text}`ch15_coupled_bug` for accuracy lost,
# {glue:text}`ch15_coupled` for swaps less swaps by noise. {doc}`13_steerable_and_capable` asks
# the question with real models.
#
# **How to catch it.** Before you plot one quantity against another, write both as formulas. If a
# symbol stands in both, simulate.
#
# ````{exercise} Find the bugs: how steerable?
# :label: ch15-steerability
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# The table has a row for each `sample`, `arm` ("IDs" or "noise") and `seed`, and says whether the
# belief `swapped`. `steerability` should be the share that IDs swap less the share that noise
# swaps. Repair it. Some samples are in one arm only, some have more seeds than others.
# ````

# %%
def steerability(table):
    swaps = table.groupby("arm")["swapped"].mean()
    return abs(swaps["IDs"])


refused(ch15.check_steerability, steerability)


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def steerability(table):
    # A sample counts once, however many seeds it has, and only if both arms have it.
    shares = table.groupby(["sample", "arm"])["swapped"].mean().unstack("arm").dropna()
    return float((shares["IDs"] - shares["noise"]).mean())


# %%
ch15.check_steerability(steerability)

# %% [markdown]
# ### Exhibit 13. The worst of four
#
# *Defect 25. A notebook about blurred boxes.* Does the model look at the object? Blur its box, blur
# four random boxes, and compare the object's score with the *minimum* of the four. Of four
# blows the hardest is harder than one blow, whoever deals them. (A bare `except` dropped what
# failed on the way.)

# %%
BLURRED = 8 if SMALL else 120


def blur(picture, x, y, size):
    """Blur a square box around a point; all three as fractions of the picture."""
    side = picture.width
    ends = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
    box = tuple(min(max(int(side * end), 0), side) for end in ends)
    soft = picture.filter(ImageFilter.GaussianBlur(side * size / 3))
    blurred = picture.copy()
    blurred.paste(soft.crop(box), box)
    return blurred


def five_blurs(case):
    """The object's box, then four random ones of its size; explicit seeds."""
    placed = SCENES[case.labels["scene"]].find(case.names[0])
    rng = np.random.default_rng([SEED, case.labels["scene"]])
    ends = placed.size / 2, 1 - placed.size / 2
    for x, y in [(placed.x, placed.y), *rng.uniform(*ends, (4, 2))]:
        yield blur(case.prompt.image, x, y, placed.size)


if CAN:
    cases = CASES[:BLURRED]
    pictures = [(case, picture) for case in cases for picture in five_blurs(case)]
    odds = log_odds([VLM.prompt(picture, c.prompt.question) for c, picture in pictures])
    toward = np.array([case.toward for case in cases])
    before = np.array([case.labels["before"] for case in cases])
    drops = (odds.reshape(-1, 5) - before[:, None]) * toward[:, None]  # what truth lost

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    names = "the object's box", "a random box instead"
    chance = drops[:, 1:]  # each of the four in turn plays the object
    worst = [chance[:, k] - np.delete(chance, k, 1).max(1) for k in range(4)]
    sides = [drops[:, 0] - chance.max(1), np.mean(worst, 0),
             drops[:, 0] - chance.mean(1),
             chance[:, 0] - chance[:, 1:].mean(1)]  # fmt: skip
    sides = [stats.mean(side) for side in sides]
    bug, fix = (dict(zip(names, part, strict=True)) for part in (sides[:2], sides[2:]))
    dots(bug, fix, "what it costs more (nats)", zero=0)
    note(25, "The worst of four", "a random box's cost over others (nats)", "worst",
         bug[names[1]], fix[names[1]])  # fmt: skip
    tell("object_bug", bug[names[0]])
    tell("object", fix[names[0]])

# %% [markdown]
# **Figure 15.12.** *How much more it costs to blur the object.* Object against random boxes:
# {glue:text}`ch15_object_bug` nats against the worst of four, {glue:text}`ch15_object` against
# their mean. Below, a random box plays the object, against the three others (on the left each
# of the four in turn; on the right only the first, or it would be 0 exactly). The truth is 0; the
# bug says {glue:text}`ch15_worst_bug`, the mean {glue:text}`ch15_worst`.
#
# **How to catch it.** Put a random box in the object's place. If the answer is not zero, the
# comparison is not fair.
#
# ````{exercise} Find the bugs: does it look?
# :label: ch15-blur
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# `blur_effect` gets what the true answer lost when the object was blurred, `[scenes]`, and when
# random boxes were, `[scenes, boxes]`. A pass that failed left a NaN; leave its whole scene
# out. Return how much more the object costs, in the mean over scenes.
# ````

# %%
def blur_effect(object_drop, random_drops):
    return np.nan_to_num(object_drop - random_drops.max(1)).mean()


refused(ch15.check_blur_effect, blur_effect)


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def blur_effect(object_drop, random_drops):
    difference = object_drop - random_drops.mean(1)  # NaN wherever any pass failed
    return float(difference[~np.isnan(difference)].mean())


# %%
ch15.check_blur_effect(blur_effect)

# %% [markdown]
# ### Exhibit 14. Today's hash
#
# *Defect 26. The seeds of those boxes.* They come from `hash()` of a text. Looks
# reproducible. But since 2012 Python salts the hash of strings, anew in every process.

# %%
BUG = """
from random import Random
print([Random(hash(f"{n}.jpg")).randrange(16) for n in range(400)])
"""
FIX = BUG.replace('hash(f"{n}.jpg")', 'f"{n}.jpg"')  # a text is a fine seed by itself


def in_a_new_process(code, salt):
    """What a process prints; the salt stands for another day."""
    environment = os.environ | {"PYTHONHASHSEED": str(salt)}
    command = [sys.executable, "-c", code]
    printed = subprocess.check_output(command, env=environment, text=True)
    return np.array([int(one) for one in printed.strip("[]\n").split(",")])


days = [[in_a_new_process(code, salt) for salt in (1, 2)] for code in (BUG, FIX)]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
for (axes, color), (one, two) in zip(walls(2.4, sharey=True), days, strict=True):
    axes.plot(one[:30], "o", color=color, ms=8, alpha=0.5, label="today")
    axes.plot(two[:30], "x", color="0.2", label="tomorrow")
    axes.set(xlabel="picture", ylabel="cell of its box")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
note(26, "Today's hash", "share of boxes drawn again in a second process", "hash",
     *(stats.proportion(one == two) for one, two in days))  # fmt: skip

# %% [markdown]
# **Figure 15.13.** *The same script, run twice.* {glue:text}`ch15_hash_bug` of boxes come out
# where they were (1 in 16 would by luck), and {glue:text}`ch15_hash` with the name itself as the
# seed.
#
# **How to catch it.** Run the test in two processes with two values of `PYTHONHASHSEED`, and
# compare.
#
# ## Fourth room: geometry
#
# ### Exhibit 15. The axis that is too short
#
# *Defect 17. A mean of differences between IDs.* Nine of them, and three are the difference of a cell
# with itself. So the "axis per cell" has two thirds of its length. In our variant `prepend` makes the
# first column a step to itself: of four steps one is zero.

# %%
def short_axis(mean):
    """[rows, columns, d_model] -> [d_model]"""
    return torch.diff(mean, dim=1, prepend=mean[:, :1]).mean((0, 1))  # the bug


def along(case, axis, **labels):
    """Move each noun to its mirrored column: so many cells, at so much a cell."""
    nouns = zip(IDS, case.places, strict=True)
    vectors = [(3 - 2 * column) * axis(ids) for ids, (_, column) in nouns]
    for dose in (0.5, 0.75, 1):
        yield trials.steering_job(case, SITE, vectors, dose, **labels)


AXES = {"bug": lambda ids: short_axis(ids.mean(SITE)),
        "fix": lambda ids: ids.axes(SITE).column}  # fmt: skip
if CAN:
    jobs = [job for case in CASES for arm, axis in AXES.items()
            for job in along(case, axis, arm=arm)]  # fmt: skip
    moved = trials.run(VLM, jobs, CACHE)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if CAN:
    curve = {}
    for (axes, color), arm in zip(walls(2.8, sharey=True), AXES, strict=True):
        part = moved[moved["arm"] == arm].groupby("dose")
        curve[arm] = {dose: stats.proportion(one["swapped"]) for dose, one in part}
        rows = [{"dose": dose, **stats.mean(one["after"])._asdict()}
                for dose, one in part]  # fmt: skip
        plots.with_band(pd.DataFrame(rows), "dose", axes=axes, colors={"": color})
        axes.axhline(0, color="0.3", lw=1)
        axes.set(ylabel="log-odds, mirrored", xlabel="“cells” moved / cells to move")
    ends = [stats.mean(moved[(moved["arm"] == arm) & (moved["dose"] == 1)]["change"])
            for arm in AXES]  # fmt: skip
    note(17, "The axis too short", "change of the log-odds (nats)", "axis", *ends)
    for arm, name in (("bug", "axis_half_bug"), ("fix", "axis_half")):
        tell(name, percent(curve[arm][0.75]))

# %% [markdown]
# **Figure 15.14.** *So many cells to the right.* With the short axis a full move changes the log-odds by
# {glue:text}`ch15_axis_bug` nats, with the slope by {glue:text}`ch15_axis`. At three quarters of the
# way, {glue:text}`ch15_axis_half_bug` against {glue:text}`ch15_axis_half` of beliefs have swapped. The
# direction is right, so nothing looks wrong. The model only seems a little harder to steer.
#
# **How to catch it.** Give the function a grid whose slope you know: `ids = row * down + column *
# right` must return `right` and `down`. {doc}`05_their_geometry` has the exercise.
#
# ### Exhibit 16. The points that made the axes
#
# *Defect 21. A share of explained variance.* Principal components explain a lot of the points
# that they were made from. They would, whatever the points are. So here is a map that does
# not exist: the model's own IDs, with each pair's cells dealt out at random.

# %%
def dealt(ids, seed):
    """[pairs, rows, columns, d_model], each pair's cells in an order of its own."""
    rng = np.random.default_rng([SEED, seed])
    flat = ids.flatten(1, 2)
    orders = [torch.from_numpy(rng.permutation(flat.shape[1])) for _ in flat]
    mixed = [pair[order] for pair, order in zip(flat, orders, strict=True)]
    return torch.stack(mixed).reshape(ids.shape)


def explained(ids):  # the bug: judged by the points that made it
    points = ids.mean(0).flatten(0, 1).numpy()
    return float(PCA(2).fit(points).explained_variance_ratio_.sum())


def predicted(ids):
    half = len(ids) // 2  # these pairs make the plane, the others are predicted
    return geometry.r2(geometry.rank_prediction(ids[:half], 2), ids[half:])


real = IDS[0].at(SITE)
none = [dealt(real, seed) for seed in range(20)]
maps = {"bug": [explained(m) for m in none], "fix": [predicted(m) for m in none]}
control = MODELS[NO]
place = control.resid_post(min(BLOCK, control.n_layers - 1))
unused = trials.extract_ids(control, ["left_right"], **options, sites=[place])
unused = unused["left_right"][0].at(place)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
functions = {"bug": explained, "fix": predicted}
for (axes, color), (side, f) in zip(walls(2.6, sharey=True), functions.items(),
                                    strict=True):  # fmt: skip
    axes.hist(maps[side], np.linspace(-1.2, 1, 45), color=color, alpha=0.6)
    axes.axvline(f(real), color="0.2", lw=2)
    axes.axvline(f(unused), color="0.2", lw=2, ls=":")
    axes.set(xlabel="share of variance, two dimensions", ylabel="of 20 dealt maps")
note(21, "The points that made the axes", "R² of a map that does not exist", "plane",
     *(spread(values, 20) for values in maps.values()))  # fmt: skip
tell("plane_real_bug", float(explained(real)))
tell("plane_real", float(predicted(real)))
tell("plane_control_bug", float(explained(unused)))
tell("plane_control", float(predicted(unused)))
tell("control", NO)

# %% [markdown]
# **Figure 15.15.** *A map that does not exist, the real one* (dark line), *and that of a model which does
# not use its own* (dotted: {glue:text}`ch15_control`). Two components explain
# {glue:text}`ch15_plane_bug` of IDs dealt at random, and {glue:text}`ch15_plane_real_bug` of the real
# ones. Asked to predict the IDs of *other pairs* at the same cells, they reach
# {glue:text}`ch15_plane` and {glue:text}`ch15_plane_real`. Negative: worse than saying "the middle".
# The control: {glue:text}`ch15_plane_control_bug` and {glue:text}`ch15_plane_control`.
#
# **How to catch it.** Feed noise to the analysis. Judge axes by pairs that had no part in them.
#
# ````{exercise} Find the bugs: in the plane
# :label: ch15-plane
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# `plane_share(train, test)` gets vectors `[pairs, cells, d]` of different pairs, not centred. It
# should return which share of the variance over cells of `test` lies in the plane of the first
# two principal components of `train`. Beware: each pair has a mean of its own, which is its word
# and not a place.
# ````

# %%
def plane_share(train, test):
    points = test.reshape(-1, test.shape[-1])
    axes = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][:2]
    return ((points @ axes.T) ** 2).sum() / (points**2).sum()


refused(ch15.check_plane_share, plane_share)


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def plane_share(train, test):
    # The mean over a pair's cells is what its word is like anywhere.
    train, test = (one - one.mean(1, keepdims=True) for one in (train, test))
    points = train.reshape(-1, train.shape[-1])
    axes = np.linalg.svd(points, full_matrices=False)[2][:2]
    return float(((test @ axes.T) ** 2).sum() / (test**2).sum())


# %%
ch15.check_plane_share(plane_share)

# %% [markdown]
# ## The collection
#
# Not on display: the mean of ratios (defect 9), which {doc}`03_where_does_it_flow` shows; a word and an
# ID with different baselines (24), which {doc}`08_real_photos` shows; transparent pictures that turn
# black (18); vectors that overwrite each other instead of being averaged (28); and those that need a
# video. Here is the rest, ranked by how far the bug moves the number. Measures have different
# units, so divide the distance by the larger of both numbers: 0 is no effect at all, 1 means that one
# of the two is zero, and more than 1 that the sign turned.

# %%
MUSEUM = pd.DataFrame(museum)
keep("museum", MUSEUM)
largest = MUSEUM[["with_bug", "without_bug"]].abs().max(axis=1)
moved = (MUSEUM["with_bug"] - MUSEUM["without_bug"]).abs()
moved = moved / largest.where(largest > 0, 1)
apart = ((MUSEUM["with_bug_low"] > MUSEUM["without_bug_high"])
         | (MUSEUM["with_bug_high"] < MUSEUM["without_bug_low"]))  # fmt: skip
ranked = MUSEUM.assign(moved=moved, apart=apart).sort_values("moved", ascending=False)
told_at_end = {
    "exhibits": f"{len(MUSEUM)} rows",
    "apart": f"{apart.sum()} of {len(MUSEUM)}",
    "most": ", ".join(ranked["exhibit"].head(3)),
    "least": ", ".join(ranked["exhibit"].tail(3)),
    "median": float(moved.median()),
}
for name, value in told_at_end.items():
    tell(name, value)


def text(row, side):
    ends = f"[{row[f'{side}_low']:.2f}, {row[f'{side}_high']:.2f}]"
    return f"{row[side]:.2f} {ends}"


shown = ranked[["defect", "exhibit", "measure"]].copy()
for side in ("with_bug", "without_bug"):
    shown[side.replace("_", " ")] = [text(row, side) for _, row in ranked.iterrows()]
shown["n"], shown["moved"] = ranked["n"], ranked["moved"].round(2)
shown.style.hide(axis="index").format(precision=2)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
SLUGS = ("parse late_token late_block cell hotdog sign forms relation tie five "
         "draw best coupled worst hash axis plane").split()  # fmt: skip
EXTRA = ("lower_right lower_mass five_ids one_ids draw_low draw_high object_bug object "
         "axis_half_bug axis_half dog_bug dog apple_bug apple dog_right "
         "apple_right").split()
for name in [*SLUGS, *(f"{slug}_bug" for slug in SLUGS), *EXTRA]:
    if name not in told:  # the model cannot answer: nothing to measure
        tell(name, "not measured")

# %% [markdown]
# **Table 15.1.** *All exhibits.* 95 % intervals: Wilson's for shares, bootstrap for means, middle 95 %
# of repetitions for exhibits 11, 12 and 16. In {glue:text}`ch15_apart` rows the two intervals do not touch. The
# bugs that moved the number most: {glue:text}`ch15_most`. Least: {glue:text}`ch15_least`. The median
# is {glue:text}`ch15_median`.
#
# Do not read the bottom of the table as "harmless". What a bug costs depends on the model, the
# pictures and the question. What surprised us is how many of these are *invisible at the place
# where they are made*: no error, no NaN, no odd-looking figure.
#
# ## Twelve questions to ask of any interpretability plot
#
# Numbers in brackets are defects of the list.
#
# 1. **Which token?** Print it. Is it the word, or its neighbour? (2)
# 2. **Which stream?** Was it read and written at one and the same site? (3)
# 3. **What was really asked?** Read ten prompts, and look at ten pictures as the model gets them. (1, 18)
# 4. **How is an answer read?** Which spellings, how much probability, how many valid answers? (6, 7)
# 5. **Which way is up?** Is change after minus before, and does a known edit give the known sign? (5)
# 6. **What is the dose?** In which unit, how long against the stream, and where is the curve? (11, 17)
# 7. **Compared with what?** Same samples, same length, how many draws, which seeds? (12, 26)
# 8. **Who chose?** Layer, dose, threshold: on data that is not reported? (13)
# 9. **Could it have come out otherwise?** Run the analysis on noise, on a model without the
#    mechanism, on an object that is none. (13, 21, 25)
# 10. **Do the axes share a symbol?** Then a relation is built in. (14)
# 11. **Does the design leak?** What would a guess reach that sees one object only? (16)
# 12. **Same baseline, all samples?** What was subtracted, averaged, overwritten, dropped? (9, 24, 28)
#
# ````{exercise} Research sprint: do two bugs hide each other?
# :label: ch15-together
#
# Difficulty ●●● · importance ●●○ · 20 minutes for the function, an afternoon for the sprint
#
# Two bugs in one script need not add up. Write `together(right, one, other, both)`: four arrays of the
# same samples' scores, by the right script, with one bug, with the other, and with both. Return a
# `stats.Interval`: by how much the effect of both differs from the sum of the two effects. Below zero,
# they take from each other. The interval must belong to the *difference*, sample by sample. And a
# sample that any of the scripts lost (NaN) is lost to all.
#
# Then take the afternoon that the open question offers: plant two exhibits of this museum into one
# chapter. Which pairs do you expect to hide each other? Write down the sign first.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def together(right, one, other, both):
    # (both - right) - (one - right) - (other - right): what is easy or hard about a sample is in
    # all four, and drops out before anything is resampled.
    apart = both - one - other + right
    return stats.mean(apart[~np.isnan(apart)])


# %%
ch15.check_together(together)

# %% [markdown]
# ## Summary
#
# - Sixteen exhibits, {glue:text}`ch15_exhibits` of measurements, each with and without, on the same samples.
#   Intervals are apart in {glue:text}`ch15_apart`.
# - Wrong addresses lose the effect: one token late, {glue:text}`ch15_late_token_bug` of swaps are left of
#   {glue:text}`ch15_late_token`; one block late, {glue:text}`ch15_late_block_bug`.
# - Wrong comparisons *make* effects: correlation {glue:text}`ch15_coupled_bug` among models without any
#   relation, {glue:text}`ch15_plane_bug` explained of a map that does not exist.
# - One draw of loud noise may say anything from {glue:text}`ch15_draw_low` to
#   {glue:text}`ch15_draw_high`.
# - For each there is an assertion of one line. Most come down to two habits: look at what goes
#   in, and run the analysis where the answer is known.
#
# ## Open question: a research sprint
#
# Which bug of this museum would change the conclusion of a paper that you like? Pick one with
# released code. Choose three questions of the twelve, and answer them from the code alone, then
# by running it. Plant the defects that you find into a chapter of this book, one at a time and
# then two together. Do they add up, or do two bugs hide each other (half a cell off, and a difference)?
# Write down the sign of your guess before you run it.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: the paper whose released code stood model. Which of its findings
#   hold on our model, the chapters before this one ask.
# - {cite:t}`zhang2024best` and {cite:t}`heimersheim2024use`: choices in causal interventions that
#   change results without being bugs.
# - {cite:t}`jain2019attention` and {cite:t}`wiegreffe2019attention`: a debate about what an analysis
#   shows when it is run on something that cannot have the answer.
#
# **What follows.** {doc}`The ledger <../book/ledger>` draws up what holds of the paper's claims. And {doc}`16_flow_in_time` begins again, with time.
