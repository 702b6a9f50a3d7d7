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
# # Push it yourself
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/22_playground.ipynb)
# · about 30 minutes to play, another 70 for the exercises, half a minute to run
# · runs without a GPU · builds on Chapters [6](06_steering_beliefs.ipynb) and [17](17_temporal_ids.ipynb)
#
# You have read that a vector at the word "frog" moves the frog in the model's mind. You have seen
# it in curves, with controls and intervals. You have not had it in your hand. **What happens if
# you push it yourself?**
#
# Here are four things to play with. None of them proves anything: one picture is an anecdote, and
# you choose which. That is what the other chapters are for. This one is for the questions that you
# would never have asked.
#
# **You will learn**
# - what a push feels like: how far, how early, how hard
# - to tell a push that failed from a push that was aimed at nothing
# - to see a picture's news travel: patches, heads, words, the last token
# - when, while a film plays, a model makes up its mind
# - how to keep every move quick, whatever you build
#
# :::{note}
# On the book's page every widget is a row of sliders over states that were worked out beforehand:
# no kernel, no network. Run this notebook yourself (`make lab`, or the link to Colab) and the same
# cells give live widgets. Then you *drag*: the frog, the camel, the frames of a film. Without a
# mouse, go to an object with Tab and move it with the arrow keys.
# :::

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
VIDEO_MODEL = "tiny-video"  # alike, a model that takes videos
SMALL = False  # True: IDs from fewer pictures, to try things out
SEED = 0
CACHE = None  # a folder: IDs are kept there

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "where-is-the-frog[widgets] @ git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import statistics
import time

import numpy as np
from scipy.stats import binom

from helpers import clip_trials, trials
from helpers.exercises import ch22
from helpers.interventions import as_hooks
from helpers.report import glue, open_models
from helpers.widgets import (
    AttentionViewer,
    LayerViewer,
    Playground,
    Push,
    Tell,
    VideoScrubber,
    show,
)

# %%
MODELS = open_models(
    MODEL, VIDEO_MODEL, chapter="22_playground", small=SMALL, seed=SEED
)
vlm, video = MODELS.values()

# %% [markdown]
# ## The playground
#
# A playground needs a map to push along: the IDs of {doc}`04_finding_spatial_ids`, read once off
# grid pictures, of both nouns and for two kinds of questions.

# %%
KINDS = ["left_right", "above_below"]
PAIRS = 2 if SMALL else 4
IDS = trials.extract_ids(vlm, KINDS, PAIRS, partners=1, seed=SEED, save_to=CACHE)
play = Playground(vlm, IDS, ("frog", "camel"), ((1, 0), (2, 2)))
show(play)

# %% [markdown]
# **Figure 22.1.** *The steering playground.* First: the picture, and in the dashed ring the cell that
# the *word* "frog" is told. Second: where the words' states lie in the plane of the column and the
# row IDs, after the block of your choice; hollow before the push, filled after it. Numbers in the
# mesh are (row, column). Third: the belief, outlined as it is, filled after the push.
#
# Things to try, and to say aloud before you look:
#
# 1. Tell "frog" the cell right of the camel. Then go through the blocks. The dot in the plane
#    arrives every time. Does the {term}`belief` come along every time? What does it mean if it does not?
# 2. Tell it the cell just *below* where it is. The question is about left and right.
# 3. Half of the {term}`dose`, then twice. Is twice the dose twice the belief?
# 4. (live) Drag the *object* instead, and let the word alone. Compare the two pushes.
# 5. (live) Push both words, towards each other and past each other.
#
# The state that you push is one of many that pass through the model, and a push lands in its
# plane *by construction*: you added exactly that. So the second panel can never tell you whether the
# model cares. Only the third can. {doc}`06_steering_beliefs` has the controls.
#
# The same numbers without any widget:

# %%
pushes = [Push({"frog": (1, 3)}, block) for block in range(vlm.n_layers)]
for one in play.see_all(pushes):
    before, after = one.log_odds
    right, down = one.plane["frog"][1]
    print(f"after block {one.push.block}: log-odds {before:+5.1f} → {after:+5.1f}, "
          f"the word lies at row {down:.1f}, column {right:.1f}")  # fmt: skip

# %% [markdown]
# ````{exercise} Read the map
# :label: ch22-cell
#
# Difficulty ●○○ · importance ●●○ · 5 minutes
#
# Write `cell(rightward, downward)`: the (row, column) of the cell that a point of the plane is
# nearest to. Centres of cells are whole numbers from 0 to 3; points may lie beyond them.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def cell(rightward, downward):
    # Downward counts rows. A point beyond the rim still has a nearest cell.
    row, column = (int(np.clip(round(value), 0, 3)) for value in (downward, rightward))
    return row, column


# %%
ch22.check_cell(cell)

# %% [markdown]
# ````{exercise} The gentlest push
# :label: ch22-gentlest
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `gentlest(play, targets, block, doses)`: the smallest of the doses at which the belief has
# another sign than without a push, or None. `play.see_all` takes a list of
# `Push(targets, block, dose)`, and gives for each a result with `log_odds`, a pair (before, after),
# and the `push` itself. Ask it *once*: pushes that are asked together run together.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def gentlest(play, targets, block, doses):
    seen = play.see_all([Push(targets, block, dose) for dose in doses])
    # The product is negative where the signs differ, whichever came first.
    turned = [one.push.dose for one in seen if one.log_odds[0] * one.log_odds[1] < 0]
    return min(turned, default=None)


# %%
ch22.check_gentlest(gentlest)

# %% [markdown]
# With it, a small question of your own: how hard must you push "frog" past the camel, block by
# block?

# %%
DOSES = [round(0.1 * step, 1) for step in range(1, 31)]
needed = {b: gentlest(play, {"frog": (1, 3)}, b, DOSES) for b in range(vlm.n_layers)}
turned = {block: dose for block, dose in needed.items() if dose is not None}
glue("ch22_turns", ", ".join(f"{b} (dose {d:g})" for b, d in turned.items()) or "none")
glue("ch22_never", ", ".join(str(b) for b in needed if b not in turned) or "none")

# %% [markdown]
# Blocks after which a dose of at most three turns this belief: {glue:text}`ch22_turns`. Blocks after
# which none does: {glue:text}`ch22_never`. In the latter the word lies where you put it, and not
# enough of it is read to turn the belief.
#
# ## Layer by patch
#
# Where does the frog go, if you follow it through the blocks? Take it out of the picture, run again,
# and see which states have changed, and how much. What changed knew about the frog.

# %%
layers = LayerViewer(vlm, play.scene, play.question, play.names)
show(layers)

# %% [markdown]
# **Figure 22.2.** *The layer-by-patch viewer.* "What its picture changes": how far each state moves when
# the object is taken out, as a share of its length. "Says its name": the probability of the object's
# name when a state is read as if the model ended there, the logit lens of
# {doc}`01_meet_the_model`. First the patches, then the words; the boxed word is the object's.
#
# Before any block, only patches know. (In a vision encoder that lets patches look at each other,
# *all* of them may know a little.) Watch for the depth at which the word lights up, and for the one
# at which the last token does.
#
# ````{exercise} When the news arrives
# :label: ch22-arrives
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `arrives(values, position)`. `values` is `[depths, positions]`: how far each state moves. Return
# the first depth at which this position has at least half of its *own* largest value, or None if it
# never moves.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def arrives(values, position):
    column = values[:, position]
    if not column.max() > 0:
        return None  # half of nothing is reached at once, and means nothing
    return int(np.argmax(column >= column.max() / 2))


# %%
ch22.check_arrives(arrives)

# %%
changes = layers.values("what its picture changes", "frog")
word, last = layers.spans["frog"][-1], layers.prompt.last
glue("ch22_at_word", str(arrives(changes, word)))
glue("ch22_at_last", str(arrives(changes, last)))

# %% [markdown]
# Half of the news is there at depth {glue:text}`ch22_at_word` (so many blocks are passed) at the word
# "frog", and at depth {glue:text}`ch22_at_last` at the last token. That it arrives does not say that it is used, or that it is about
# the place. But a push that comes before the first of these depths may be overwritten, and one that
# comes after the second is late. Compare with the blocks above.
#
# ## Who carries it?
#
# Patches cannot come to the words by themselves. Some head looks from the word at the patches and
# brings what they hold.

# %%
heads = AttentionViewer(vlm, play.scene.render(), play.question, play.names)
show(heads)

# %% [markdown]
# **Figure 22.3.** *The attention viewer.* Each panel is a head of the block: how it spreads its attention
# from the boxed token over the patches (each panel has a colour scale of its own) and over the
# words (one scale for all). Titles tell how much falls on the picture in all.
#
# ````{exercise} The courier
# :label: ch22-courier
#
# Difficulty ●●○ · importance ●●○ · 10 minutes
#
# Write `courier(pattern, own, patches)`: the (block, head) that puts most of its attention on the
# object. `pattern` is `[block, head, position]` from the object's word; `own` are the positions of
# the patches that show the object, `patches` of all. Which of the two do you need?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def courier(pattern, own, patches):
    # Not divided by what falls on all patches: who hardly looks there brings hardly anything.
    looks = pattern[:, :, own].sum(-1)
    return np.unravel_index(looks.argmax(), looks.shape)


# %%
ch22.check_courier(courier)

# %%
grid = heads.grid
own = [position for position in grid.positions
       if changes[0, position] >= 0.5 * changes[0, list(grid.positions)].max()]  # fmt: skip
from_frog = np.stack([heads.looks("frog", block) for block in range(vlm.n_layers)])
block, head = (int(value) for value in courier(from_frog, own, grid.positions))
glue("ch22_courier", f"{block}.{head}")
glue("ch22_courier_share", f"{100 * from_frog[block, head, own].sum():.0f} %")

# %% [markdown]
# Here head {glue:text}`ch22_courier` puts {glue:text}`ch22_courier_share` of its attention on the
# patches that the frog changes most. Is it the one that moves the ID, or does it carry the name, or
# nothing at all? {doc}`07_which_heads` blindfolds heads one by one to find out; looking is not
# enough.
#
# ## A film to scrub
#
# The same for time. An object appears for one frame, another for another frame. Let the film play
# up to some frame, with nothing behind it, and ask already. Or move an appearance: in the film, or
# only in what its word is told.

# %%
TIMES = clip_trials.extract_temporal_ids(
    video, PAIRS, partners=1, seed=SEED, save_to=CACHE
)
scrubber = VideoScrubber(video, TIMES, ("camel", "frog"), times=(1, 5))
show(scrubber)

# %% [markdown]
# **Figure 22.4.** *The video scrubber.* First: the film; the thick rim is the last frame that was shown.
# Second: the line of the temporal IDs ({doc}`17_temporal_ids`), frame by frame, and where the two
# words lie on it. Third: the belief. On the page there are two: above, the film plays; below, the
# first object moves, in the film or only in its word.
#
# Let it play and watch the belief. Somewhere on the way the model could not know the answer yet.
# Does it say so?
#
# ````{exercise} Making up its mind
# :label: ch22-settles
#
# Difficulty ●●○ · importance ●●○ · 10 minutes
#
# Write `settles(log_odds)` for the log-odds after frame 0, 1, 2 and so on: the first frame from which
# on the sign never changes again.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def settles(log_odds):
    other = np.flatnonzero(np.sign(log_odds) != np.sign(log_odds[-1]))
    # Behind the last frame with the other sign; not at the first with this one.
    return int(other[-1]) + 1 if len(other) else 0


# %%
ch22.check_settles(settles)

# %%
odds = []
for frame in range(scrubber.frames):
    scrubber.show(frame)
    odds.append(scrubber.hear(Tell()).log_odds[0])
print("log-odds of “Before” by frame:", ", ".join(f"{value:+.1f}" for value in odds))
settled, second = settles(odds), scrubber.times["frog"]
if settled < second:
    glue("ch22_settled", f"from frame {settled} on, before the second object is ever seen")
else:
    glue("ch22_settled", f"from frame {settled} on, when it has seen both objects")

# %% [markdown]
# The model's belief no longer turns {glue:text}`ch22_settled`. If that is before the frog comes,
# then in this film it did not compare two times. It may have learned that whoever has been seen while
# the other has not must have come first. In a film that ends there, that is no worse than a guess; in a
# film in which the frog never comes, the question has no answer, and the model gives one. What
# would you have to show it in training to make it wait?
#
# ## Why it follows your hand
#
# A widget that answers after a second is a form to fill in. Every move here runs a few tokens: the
# picture's pass is kept, and behind it a push is one more row. Only
# another picture runs in full. How much is that worth? The same push both ways, in turns:

# %%
def move(push):
    play.frame(play.see(push)).markup()


def full_pass(push):
    vlm.last_logits([play.kept.prompt], as_hooks([play.edits(push)]))


def milliseconds(function, push):
    began = time.perf_counter()
    function(push)
    return 1000 * (time.perf_counter() - began)


turns = range(5 if SMALL else 15)
pushes = [Push({"frog": (n % 4, 3)}, block=n % 2, dose=1 + n / 20) for n in turns]
taken = [(milliseconds(move, p), milliseconds(full_pass, p)) for p in pushes]
kept, full = zip(*taken, strict=True)
glue("ch22_kept", f"{statistics.median(kept):.0f}")
glue("ch22_full", f"{statistics.median(full):.0f}")
glue("ch22_limit", "within" if max(kept) < 150 else "not always within")

# %% [markdown]
# A push with all three panels drawn takes {glue:text}`ch22_kept` ms (a median, on one core of the
# machine that made this page, with another chapter beside it), {glue:text}`ch22_limit` the 150 ms in which
# a hand and a picture seem to be one thing. A full pass with hooks, without drawing anything, takes
# {glue:text}`ch22_full` ms. The model is tiny, and its picture
# has few patches: with more of both, the gap grows ({doc}`20_how_fast_and_why` measures it). `python -m benchmarks.widgets` times every kind
# of move.
#
# To build a widget of your own, keep the two halves apart as `helpers.widgets` does: a class that
# turns a state into numbers and pictures and has never heard of a browser, which you can test; and
# controls that do nothing but call it. Then `view()` and `page()` show the same, for they ask the same
# class.
#
# ````{exercise} Research sprint: does your surprise survive?
# :label: ch22-luck
#
# Difficulty ●●● · importance ●●● · 20 minutes for the function, an afternoon for the sprint
#
# In a playground you try many pushes and remember one. Write `luck(tried, rate, scenes, hits)`. You
# tried `tried` pushes and chose one of them. On `scenes` fresh scenes it did what surprised you in
# `hits`; random vectors of its length do so in a share `rate`. Return a bound for the chance that
# luck brings `hits` or more to *any* of the pushes that you tried: `tried` times the chance for one of
# them, and no more than 1.
#
# Then take the afternoon that the open question below offers. Count your pushes while you play: how
# many were there, the boring ones included?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def luck(tried, rate, scenes, hits):
    # "hits or more": sf(k) is the chance of *more* than k. The pushes may hang together, so their
    # chances are added up: a bound that holds all the same.
    return min(1.0, tried * float(binom.sf(hits - 1, scenes, rate)))


# %%
ch22.check_luck(luck)
for tried in (1, 20, 200):
    print(f"{tried:3d} pushes tried, 12 hits in 50, noise at 10 %: {luck(tried, 0.1, 50, 12):.3f}")

# %% [markdown]
# ## Summary
#
# - A push lands where it is aimed, in every block. Whether it *matters* shows in the belief alone. Here
#   it does after these blocks: {glue:text}`ch22_turns`.
# - The picture's news is at the word at depth {glue:text}`ch22_at_word`, and at the last token at depth
#   {glue:text}`ch22_at_last`.
# - A head's looks are a place to start from ({glue:text}`ch22_courier` looks at the frog most), and no
#   evidence.
# - Shown a film bit by bit, the model's belief is settled {glue:text}`ch22_settled`.
# - Whatever you found by playing, you found on one picture that you chose. Write it down as a question.
#
# ## Open question: a research sprint
#
# Find a push that surprises you: one that fails where its neighbours work, or works where it should
# not. Write down the cell, the block and the dose. Now leave the playground. Draw fifty scenes that you
# have not looked at (`helpers.scenes(50, seed, held_out=True)`), make the same push in all of them, and
# put noise of the same length beside it (`helpers.trials.arms`). Does your surprise survive? Say
# beforehand which share would convince you that it was luck.
#
# ## Further reading
#
# - {doc}`06_steering_beliefs` and {doc}`18_steering_time` do with controls what you did by hand.
# - {cite:t}`kang2026linear`: the steering that this chapter puts into your hand.
# - {cite:t}`nostalgebraist2020logit` on the logit lens; {cite:t}`jain2019attention` on what attention
#   does not explain.
# - {cite:t}`heimersheim2024use` on how interventions mislead, which a playground does best.
#
# **What follows.** {doc}`23_bring_your_own_model` asks what it takes to do all this to a model that the book has never met.
