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
# # Steering time
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/18_steering_time.ipynb)
# · about 40 minutes to read, another 90 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [6](06_steering_beliefs.ipynb) and [17](17_temporal_ids.ipynb)
#
# A frog appears, and later a camel. At the word "frog" there is a vector that says *early*
# ({doc}`17_temporal_ids`). Take it away, and write *late* in its place. No frame changes.
# **Do {term}`temporal IDs <temporal ID>` cause the {term}`belief` about when?**
#
# This is Figure 10c of the paper {cite}`kang2026linear`, and more: you will send an object to
# every frame of a {term}`clip`, and ask questions that the IDs were never read from.
# {doc}`06_steering_beliefs` told you what a {term}`dose` is and what each control takes away.
#
# **You will learn**
# - to move an object through a clip at one word, and watch "before" become "after"
# - two ways to aim at the opposite order, and what each of them tests
# - where a belief crosses, and whether it bends, jumps or goes straight
# - whether IDs that were read from one question steer another, and leave space alone

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
from IPython.display import display

from helpers import Job, clip_trials, plots, stats, sweeps, trials
from helpers.animate import show_clip
from helpers.exercises import ch18
from helpers.extraction import frame_pixels
from helpers.prompts import Video
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli.clip_sampling import clips, sample_clip
from helpers.stimuli.clips import FRAMES

# %%
MODELS = open_models(MODEL, chapter="18_steering_time", small=SMALL, seed=SEED)
(vlm,) = MODELS.values()
BLOCKS = range(vlm.n_layers)
SITES = [vlm.resid_post(block) for block in BLOCKS]

# %% [markdown]
# ## Vectors and clips
#
# The IDs come from flashes: two objects on white, each in one frame alone. Each noun of "Does the
# ... appear before or after the ...?" has its own. For a control you also need vectors about
# space: {term}`spatial IDs <spatial ID>` of the same model, read from clips in which nothing changes.

# %%
IDS = clip_trials.extract_temporal_ids(
    vlm, 2 if SMALL else 8, 1 if SMALL else 2, SEED, save_to=CACHE
)
SPACE = trials.extract_ids(
    vlm, ["left_right"], 1 if SMALL else 3, 1, SEED, frames=FRAMES, save_to=CACHE
)["left_right"]

# %% [markdown]
# The clips to judge by are others: pairs of objects that training never showed together, each in
# a place, and from a frame on, in which training never showed it. **Flashes** are like those
# of the IDs. **Events** are harder: three to five objects on colourful backgrounds come and go.
# Clips take turns to name either object first.

# %%
KINDS = ("flashes", "events")
CHOOSE = 8 if SMALL else 48  # clips of each kind
JUDGE = {"flashes": 8 if SMALL else 500, "events": 8 if SMALL else 250}
CLIPS = {}  # by the label "scene"


def draw_cases(kind, count, seed):
    rng, cases = np.random.default_rng([seed, KINDS.index(kind)]), []
    while len(cases) < count:
        clip = sample_clip(rng, kind, held_out=True)
        scene = f"{kind} {seed} {len(cases)}"
        about = {"orders": [len(cases) % 2], "scene": scene, "film": kind}
        cases += clip_trials.clip_cases(vlm, [clip], **about)
        CLIPS[scene] = clip
    return cases


choosing = {k: trials.with_beliefs(vlm, draw_cases(k, CHOOSE, SEED + 1), CACHE)
            for k in KINDS}  # fmt: skip

# %% [markdown]
# Can the model tell before from after at all? Where its share of right answers is not above one
# half with the whole interval, there is nothing to steer, and that arm **stops**.

# %%
LIVE = [kind for kind in KINDS if trials.can_answer(choosing[kind])]
for kind in KINDS:
    told = pd.DataFrame([case.labels for case in choosing[kind]])
    glue(f"ch18_can_{kind}", percent(trials.share(told, "right")))
    if kind not in LIVE:
        print(f"Of {kind}, the model knows no order above chance: this arm stops here.")
stopped = " and ".join(kind for kind in KINDS if kind not in LIVE)
glue("ch18_stopped", f"stops at {stopped}" if stopped else "goes on with both")

# %% [markdown]
# Right answers on the clips to choose with: {glue:text}`ch18_can_flashes` of flashes,
# {glue:text}`ch18_can_events` of events. The model {glue:text}`ch18_stopped`.
#
# ## One clip by hand
#
# Take one clip of flashes, and the noun that its question names first.

# %%
def good_clip(case):
    """Right, with large sprites, the other object near the middle of the clip."""
    sizes = [CLIPS[case.labels["scene"]].path(name)[0].size for name in case.names]
    own, other = case.places
    return case.labels["right"] + min(sizes) - abs(other - 3.5) + abs(own - other) / 4


one = max(choosing["flashes"], key=good_clip)
clip = CLIPS[one.labels["scene"]]
told = [f"a {name} in frame {clip.when(name)[0]}" for name in clip.names]
print(one.prompt.question)
show_clip(clip, f"A clip of {FRAMES} frames, white but for {told[0]} and {told[1]}.")

# %% [markdown]
# Give this noun the ID of frame 0, of frame 1, and so on: add
#
# $$
# t(l, \text{target frame}) - t(l, \text{frame in which it appears})
# $$
#
# at the last token of its word, after block $l$. Do so after every block in turn.

# %%
def give_frame(case, noun, frame, site, ids=IDS, dose=1.0, **labels):
    """One noun gets the ID of a frame; `ids` may be another timeline."""
    vector = ids[noun].difference(site, case.places[noun], frame)
    about = {"noun": noun, "frame": frame, **labels}
    return trials.steering_job(case, site, [vector] * 2, dose, (noun,), **about)


by_hand = trials.run(vlm, [
    give_frame(one, 0, frame, site, block=block)
    for block, site in enumerate(SITES) for frame in range(FRAMES)
])  # fmt: skip


def crossing(log_odds):
    """The time at which the log-odds of each frame first fall through zero, or nan."""
    for frame, (now, then) in enumerate(itertools.pairwise(log_odds)):
        if now > 0 >= then:
            return frame + now / (now - then)
    return float("nan")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(7.5, 3.8))
tones = plt.cm.viridis(np.linspace(0, 0.9, len(BLOCKS)))
for block, tone in zip(BLOCKS, tones, strict=True):
    line = by_hand[by_hand["block"] == block].set_index("frame")["log_odds"]
    axes.plot(line, "o-", ms=4, color=tone, label=f"block {block}")
axes.axhline(0, color="0.3", lw=1)
for place, style in zip(one.places, (":", "--"), strict=True):
    axes.axvline(place, color="0.5", ls=style, lw=1.5)
axes.set(xlabel=f"frame whose ID “{one.names[0]}” is given")
axes.set_ylabel("log-odds of “Before”")
axes.legend(fontsize=8, ncol=2)
at = by_hand.groupby("block")["log_odds"].agg(lambda odds: crossing(odds)).dropna()
falls = ", ".join(f"{block} (at {frame:.1f})" for block, frame in at.items())
glue("ch18_hand", falls or "none")

# %% [markdown]
# **Figure 18.1.** *One word, all frames.* Log-odds of "Before" in the clip above, as its first
# noun is given the ID of each frame, after one block at a time. Dotted: the frame in which the
# object appears; there all lines meet, for nothing is added. Dashed: the frame of the other
# object. Blocks after which the belief falls through zero: {glue:text}`ch18_hand`.
#
# ## Two ways to say the opposite
#
# Which vectors would make the model believe the opposite order? There are two answers, and
# they are different experiments.
#
# - **Backwards.** Play the clip in reverse: an object of frame 1 is now in frame 6. Each noun
#   gets the ID of its time in the reversed clip, as {doc}`16_flow_in_time` did with states.
# - **Exchanged.** Each noun gets the time of the *other*. If the objects are in frames 1 and 2,
#   both steps are short.
#
# ````{exercise} Aim backwards
# :label: ch18-backwards
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `push_back(ids, site, times)`. `ids` holds the `TemporalIDs` of the first and of the second
# noun, `times` the frame of each noun's object (it may lie between two frames). Return two
# vectors that take each noun from its time to its time in the reversed clip. `ids[0].frames`
# says how many frames there are, and they count from 0.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def push_back(ids, site, times):
    # Frame 0 becomes the last, whose number is frames - 1. Each noun has its own IDs.
    return [
        own.difference(site, time, own.frames - 1 - time)
        for own, time in zip(ids, times, strict=True)
    ]

# %%
ch18.check_push_back(push_back)

# %% [markdown]
# ## Choosing a block and a dose
#
# First the block at dose one, then the dose, on the clips to choose with and on no others. What
# to count: *right* beliefs that change their sign. To "swap" a wrong belief is to correct it, and
# noise does that too ({doc}`09_swapping_beliefs`).
#
# ````{exercise} Share of right beliefs
# :label: ch18-swapped
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `swapped(table)` for a table with columns `scene` (which clip), `right` and `swapped`. A
# clip has several rows when an arm has several seeds. Return the share of right beliefs that
# were swapped, with its interval over clips (`stats.share`): mean within a clip, then over clips.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def swapped(table):
    # Ten seeds of one clip are not ten clips: they stand or fall together.
    return stats.share(table[table["right"]].groupby("scene")["swapped"].mean())

# %%
ch18.check_swapped(swapped)

# %%
def aim(case, block, dose):
    vectors = push_back(IDS, SITES[block], case.places)
    return trials.steering_job(case, SITES[block], vectors, dose, block=block)


def choose(column, options):
    """Shares by block or dose, and the first one within two points of the best."""
    cases = [case for kind in LIVE for case in choosing[kind]]
    edits = [aim(case, *option) for case in cases for option in options]
    table = clip_trials.outcomes(vlm, cases, edits, CACHE).query("arm != 'no edit'")
    rows = [{column: value, "film": kind, **swapped(part)._asdict()}
            for (kind, value), part in table.groupby(["film", column])]  # fmt: skip
    shares = table[table["right"]].groupby(column)["swapped"].mean()
    return rows, shares.index[shares >= shares.max() - 0.02].min()


BLOCK, DOSE, tried = len(BLOCKS) // 2, 1.0, {}
if LIVE:
    tried["block"], BLOCK = choose("block", [(block, 1.0) for block in BLOCKS])
    BLOCK = int(BLOCK)
    tried["dose"], DOSE = choose("dose", [(BLOCK, dose) for dose in (1.0, 1.5, 2.0)])
SITE = SITES[BLOCK]
glue("ch18_block", BLOCK if LIVE else "not measured")
glue("ch18_dose", f"{DOSE:g}" if LIVE else "not measured")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if LIVE:
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    tones = {"flashes": "#0072B2", "events": "#D55E00"}
    best = {"block": BLOCK, "dose": DOSE}
    for axes, (column, rows) in zip(panels, tried.items(), strict=True):
        plots.with_band(pd.DataFrame(rows), column, "film", axes, tones)
        axes.set(ylim=(-0.02, 1.02), xlabel=f"{column} (backwards)")
        axes.axvline(best[column], color="0.5", ls=":", lw=1.5)
    panels[0].set_ylabel("right beliefs swapped")
    figure.tight_layout()

# %% [markdown]
# **Figure 18.2.** *Choosing.* Share of right beliefs that are swapped when both nouns are sent
# backwards, by block (left, dose one) and by dose (right, at the best block), with 95 %
# intervals over clips. Dotted: chosen for all that follows, block {glue:text}`ch18_block` and dose
# {glue:text}`ch18_dose`.
#
# ## Against its controls
#
# Every control is as long as the backwards vector that it stands in for, noun by noun.
#
# | control | what it keeps | what it takes away |
# |---|---|---|
# | random (ten draws) | the length | everything else |
# | shuffled IDs | the vectors of the timeline | which frame they belong to |
# | random in ID subspace | the dimensions of the timeline | the direction within them |
# | across the picture | a real ID of the same model | that it is about time |
#
# The last one pushes the first noun to the right and the second to the left, and the other way
# round. If "early" were only another word for "left", it would do what time does.

# %%
MANY, SOME = (2, 1) if SMALL else (10, 5)
SEEDS = {"random": MANY, "shuffled IDs": SOME, "random in ID subspace": 2,
         "across the picture": 2}  # fmt: skip
FEW = {"random": 1, "shuffled IDs": 1, "across the picture": 2}


def arms(case, dose, seeds, ids=IDS, places=SPACE):
    """Backwards by the IDs, and every control of the same lengths."""
    back = clip_trials.backwards(case, FRAMES)
    found = clip_trials.arms_in_time(case, ids, SITE, back, seeds, places)
    for (arm, seed), vectors in found.items():
        nouns = range(len(vectors))
        yield trials.steering_job(case, SITE, vectors, dose, nouns, arm=arm, seed=seed)


def other_aims(case):
    """Exchanged times; backwards by one noun alone."""
    vectors = trials.aimed(case, IDS, SITE, trials.exchanged(case))
    yield trials.steering_job(case, SITE, vectors, DOSE, arm="exchanged", seed=0)
    back = push_back(IDS, SITE, case.places)
    for noun, arm in enumerate(("first noun", "second noun")):
        yield trials.steering_job(case, SITE, back, DOSE, [noun], arm=arm, seed=0)


judging = {kind: draw_cases(kind, JUDGE[kind], SEED + 2) for kind in LIVE}
trial = {}
for kind, cases in judging.items():
    edits = [job for c in cases for job in (*arms(c, DOSE, SEEDS), *other_aims(c))]
    trial[kind] = clip_trials.outcomes(vlm, cases, edits, CACHE)
    keep(f"trial_{kind}", trial[kind])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
COLOR = plots.COLORS | {"temporal IDs": "#0072B2", "exchanged": "#009E73",
                        "across the picture": "#CC79A7"}  # fmt: skip


def was_right(table, column="after"):
    return trials.share(table[table["right"]], column)


def draw_arms(axes, table, measure, names):
    """A dot with its interval for each arm, ticks for its seeds."""
    for height, arm in enumerate(names):
        part = table[table["arm"] == arm]
        told = measure(part)
        axes.plot([told.low, told.high], [-height] * 2, color=COLOR[arm], lw=2)
        axes.plot(told.estimate, -height, "o", color=COLOR[arm])
        seeds = [measure(some).estimate for _, some in part.groupby("seed")]
        axes.plot(seeds, [-height - 0.25] * len(seeds), "|", color=COLOR[arm])
    labels = ["backwards" if arm == "temporal IDs" else arm for arm in names]
    axes.set_yticks(-np.arange(len(names)), labels)
    axes.set_ylim(-len(names) + 0.5, 0.5)


if LIVE:
    figure, panels = plt.subplots(len(LIVE), 2, figsize=(10.5, 2.7 * len(LIVE)),
                                  sharex="col", sharey=True, squeeze=False)  # fmt: skip
    for kind, line in zip(LIVE, panels, strict=True):
        for axes, measure in zip(line, (swapped, was_right), strict=True):
            draw_arms(axes, trial[kind], measure, ("temporal IDs", "exchanged", *SEEDS))
        line[0].set(title=kind, xlim=(-0.03, 1.03))
        plain = was_right(trial[kind].query("arm == 'no edit'")).estimate
        line[1].axvline(plain, color="0.3", lw=1.5, ls=":")
        line[1].axvline(0, color="0.3", lw=1)
    panels[-1, 0].set_xlabel("right beliefs swapped")
    panels[-1, 1].set_xlabel("ends at: log-odds of the false answer")
    figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how arms are compared", "code_prompt_hide": "Hide the code"}
def tell(found, names):
    """Glue numbers under their names, or that they were not measured."""
    for name in names:
        glue(f"ch18_{name}", found.get(name, "not measured"))


SHORT = {"ids": "temporal IDs", "exchanged": "exchanged", "random": "random",
         "shuffled": "shuffled IDs", "subspace": "random in ID subspace",
         "across": "across the picture"}  # fmt: skip


def gap_to(table, control):
    """Right beliefs swapped by IDs less those by a control, over the same clips."""
    shares = table[table["right"]].groupby(["arm", "scene"])["swapped"].mean()
    return stats.paired_difference(shares["temporal IDs"], shares[control])


def compare(table, key, shorts):
    """Shares, where beliefs end, the verdict by the text's rule, the nearest rival."""
    found = {}
    for short in shorts:
        part = table[table["arm"] == SHORT[short]]
        found[f"{key}_{short}"] = percent(swapped(part))
        found[f"{key}_{short}_after"] = was_right(part)
    gap = gap_to(table, "random")
    causes = gap.low > 0.3 and found[f"{key}_ids_after"].low > 0
    verdict = "yes" if causes else "no" if gap.high < 0.2 else "in part"
    rivals = [SHORT[short] for short in shorts if short not in ("ids", "exchanged")]
    rivals = {arm: gap_to(table, arm) for arm in rivals}
    nearest = min(rivals, key=lambda name: rivals[name].estimate)
    found[f"{key}_nearest"] = f"{nearest}, {percent(rivals[nearest])}"
    return found | {f"{key}_gap": percent(gap), f"{key}_verdict": verdict}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
found = {}
for kind, table in trial.items():
    found |= compare(table, kind, SHORT)
    aimed, rights = table[table["arm"] == "temporal IDs"], table[table["right"]]
    for column in ("right", "valid"):
        found[f"{kind}_{column}"] = percent(trials.share(aimed, column))
    pairs = {c.labels["scene"]: tuple(sorted(c.names)) for c in judging[kind]}
    shares = rights[rights["arm"] == "temporal IDs"]
    shares = shares.groupby(shares["scene"].map(pairs))["swapped"].mean()
    low, high = (f"{100 * share:.0f} %" for share in (shares.min(), shares.max()))
    found[f"{kind}_pairs"] = f"{low} to {high} ({len(shares)} pairs)"
    change = rights.pivot_table("change", "scene", "arm")
    for short, arm in (("first", "first noun"), ("second", "second noun"),
                       ("both", "temporal IDs")):  # fmt: skip
        found[f"{kind}_change_{short}"] = stats.mean(change[arm])
    total = change["first noun"] + change["second noun"]
    found[f"{kind}_adds"] = stats.ratio_of_means(total, change["temporal IDs"])
ends = [*SHORT, *(f"{short}_after" for short in SHORT), "right", "valid", "gap",
        "verdict", "nearest", "pairs", "change_first", "change_second", "change_both",
        "adds"]  # fmt: skip
tell(found, [f"{kind}_{end}" for kind in KINDS for end in ends])

# %% [markdown]
# **Figure 18.3.** *IDs against their controls, on the same held-out clips.* Left: share of right
# beliefs swapped. Right: mean log-odds of the answer that is false in the clip, after the edit,
# for clips that were answered right; dotted, without an edit; zero is indifference. Ticks are
# single seeds.
#
# | | flashes: swapped | ends at (nats) | events: swapped | ends at (nats) |
# |---|---|---|---|---|
# | IDs, backwards | {glue:text}`ch18_flashes_ids` | {glue:text}`ch18_flashes_ids_after` | {glue:text}`ch18_events_ids` | {glue:text}`ch18_events_ids_after` |
# | IDs, exchanged | {glue:text}`ch18_flashes_exchanged` | {glue:text}`ch18_flashes_exchanged_after` | {glue:text}`ch18_events_exchanged` | {glue:text}`ch18_events_exchanged_after` |
# | random | {glue:text}`ch18_flashes_random` | {glue:text}`ch18_flashes_random_after` | {glue:text}`ch18_events_random` | {glue:text}`ch18_events_random_after` |
# | shuffled IDs | {glue:text}`ch18_flashes_shuffled` | {glue:text}`ch18_flashes_shuffled_after` | {glue:text}`ch18_events_shuffled` | {glue:text}`ch18_events_shuffled_after` |
# | random in ID subspace | {glue:text}`ch18_flashes_subspace` | {glue:text}`ch18_flashes_subspace_after` | {glue:text}`ch18_events_subspace` | {glue:text}`ch18_events_subspace_after` |
# | across the picture | {glue:text}`ch18_flashes_across` | {glue:text}`ch18_flashes_across_after` | {glue:text}`ch18_events_across` | {glue:text}`ch18_events_across_after` |
#
# **Table 18.1.** *Sent to the opposite order.* The model was right about
# {glue:text}`ch18_flashes_right` of flashes and {glue:text}`ch18_events_right` of events. Under
# the push backwards, {glue:text}`ch18_flashes_valid` and {glue:text}`ch18_events_valid` of its
# first choices are one of the two answers.
#
# Do temporal IDs cause the belief, by the rule of {doc}`06_steering_beliefs`, "at least 30 points
# above random, and beyond indifference on average", both with the whole interval? Flashes:
# **{glue:text}`ch18_flashes_verdict`** (gap {glue:text}`ch18_flashes_gap`). Events:
# **{glue:text}`ch18_events_verdict`** (gap {glue:text}`ch18_events_gap`). The control that comes
# nearest, and the gap to it: flashes {glue:text}`ch18_flashes_nearest`; events
# {glue:text}`ch18_events_nearest`. (Shuffled IDs and the subspace lie *in* the timeline. A random
# push along a line goes the right way in half of the cases, so these two may swap some.)
#
# Intervals are over clips. But the paper's ten objects have few {term}`held-out pairs <held-out pair>`. By pair, the IDs
# swap {glue:text}`ch18_flashes_pairs` of flashes. What holds for other objects, the intervals do
# not say.
#
# ### One noun, or both
#
# With one noun sent backwards, the order need not change: from frame 1 to 6 is still before 7. So
# look at the change of the {term}`log-odds`. If the model compares by a difference, changes **add up**.
#
# | change towards the false answer (nats) | flashes | events |
# |---|---|---|
# | first noun alone | {glue:text}`ch18_flashes_change_first` | {glue:text}`ch18_events_change_first` |
# | second noun alone | {glue:text}`ch18_flashes_change_second` | {glue:text}`ch18_events_change_second` |
# | both | {glue:text}`ch18_flashes_change_both` | {glue:text}`ch18_events_change_both` |
# | sum of single nouns, by both | {glue:text}`ch18_flashes_adds` | {glue:text}`ch18_events_adds` |
#
# **Table 18.2.** *Who carries the time.* In clips that were answered right. A ratio below one says
# that both nouns together reach further than their parts; above one, that the answer saturates.
#
# ## How much is enough?
#
# Dose one is the difference that the model itself makes between two times. The paper's edits
# are *five times as long as the state* that they are added to. To report both, you need both
# units. (In this section, every sixth clip.)
#
# ````{exercise} Five times the stream
# :label: ch18-shout
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `shout(vectors, streams, factor)`. `vectors` and `streams` are `[nouns, d_model]`: what
# is to be added at each noun, and the state that stands there. Return the vectors in their own
# directions, each `factor` times as long as the state of *its own* noun. (An object in the very
# middle of a clip is nowhere else when it runs backwards. Its vector is zero, and stays so.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def shout(vectors, streams, factor):
    # `normalize` leaves zeros alone; a plain division would make them 0 / 0.
    directions = torch.nn.functional.normalize(vectors, dim=-1)
    return factor * streams.norm(dim=-1, keepdim=True) * directions

# %%
ch18.check_shout(shout)

# %%
DOSES = (0.5, 1.0, 5.0) if SMALL else (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)
sample = [case for kind in LIVE for case in judging[kind][:: 2 if SMALL else 6]]


def paper_dose(case, stream):
    """IDs and noise, five times as long as what stands at each noun."""
    for job in arms(case, 1.0, {"random": 1}):
        loud = shout(torch.stack([edit.vectors for edit in job.edits]), stream, 5.0)
        edits = [replace(e, vectors=v) for e, v in zip(job.edits, loud, strict=True)]
        yield replace(job, edits=tuple(edits), labels=job.labels | {"dose": "paper"})


if sample:
    spots = [[span[-1] for span in case.spans] for case in sample]
    streams = read_states(vlm, [case.prompt for case in sample], spots, [SITE])[0]
    steps = torch.stack([torch.stack(push_back(IDS, SITE, c.places)) for c in sample])
    ratio = float((steps.norm(dim=-1) / streams.norm(dim=-1)).mean())  # [cases, nouns]
    edits = [job for c in sample for dose in DOSES for job in arms(c, dose, FEW)]
    pairs = zip(sample, streams, strict=True)
    edits += [job for pair in pairs for job in paper_dose(*pair)]
    dosed = clip_trials.outcomes(vlm, sample, edits, CACHE).query("arm != 'no edit'")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
found = {}
if sample:
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.9))
    paper, curve = dosed[dosed["dose"] == "paper"], dosed[dosed["dose"] != "paper"]
    measures = {"right beliefs swapped": swapped,
                "valid answers": lambda part: trials.share(part, "valid")}  # fmt: skip
    for axes, (title, measure) in zip(panels, measures.items(), strict=True):
        rows = [{"arm": arm, "dose": dose, **measure(part)._asdict()}
                for (arm, dose), part in curve.groupby(["arm", "dose"], sort=False)]
        plots.with_band(pd.DataFrame(rows), "dose", "arm", axes, COLOR)
        axes.set(ylim=(-0.02, 1.02), xscale="log", ylabel=title)
        top = axes.secondary_xaxis("top")
        for scale, unit in ((axes, 1), (top, ratio)):
            labels = [f"{dose * unit:.2g}" for dose in DOSES]
            scale.set_xticks(DOSES, labels, fontsize=8)
            scale.minorticks_off()
        top.set_xlabel("length of the edit / length of the stream", fontsize=9)
    panels[0].legend(fontsize=8)
    panels[1].get_legend().remove()
    figure.tight_layout()
    aimed = curve.query("arm == 'temporal IDs' and right")
    shares = aimed.groupby("dose")["swapped"].mean()
    half = shares.index[shares > 0.5]
    found = {"ratio": ratio, "half": f"dose {half[0]:g}" if len(half) else "no dose"}
    for short in ("ids", "random"):
        part = paper[paper["arm"] == SHORT[short]]
        found[f"five_{short}"] = percent(swapped(part))
        found[f"five_{short}_valid"] = percent(trials.share(part, "valid"))
tell(found, ["ratio", "half", "five_ids", "five_ids_valid", "five_random",
             "five_random_valid"])  # fmt: skip

# %% [markdown]
# **Figure 18.4.** *Dose curves, in both units.* Bands are 95 % intervals over clips. Half of the
# right beliefs are swapped first at {glue:text}`ch18_half`. At dose one the edit is
# {glue:text}`ch18_ratio` of the stream's length. At the *paper's dose*, IDs swap
# {glue:text}`ch18_five_ids` of right beliefs, with {glue:text}`ch18_five_ids_valid` valid answers;
# random vectors swap {glue:text}`ch18_five_random`, with {glue:text}`ch18_five_random_valid`
# valid.
#
# ## Every frame
#
# A swap is a light switch. If the ID is a time, the *whole* curve has to be right. Send one noun
# of each clip of flashes to every frame, first the one and then the other. The log-odds of "Before"
# should fall as the first noun gets later, and rise as the second does. (We turn the second
# noun's curves over, so that all of them fall.) And they should cross zero *at the frame of the
# other object*, in every clip somewhere else. For comparison, a timeline that knows nothing: the
# model's own, turned in a random way, with all its distances kept ({doc}`10_any_place`).
#
# The dose is **one** here, whatever was chosen above. Twice the step from frame 2 to 4 is a step to
# frame 6: at dose two nobody could say where a coordinate should cross. The first noun's curves at
# the chosen dose ({glue:text}`ch18_dose`) stand beside it as *louder*.

# %%
TURNED = [tuple(clip_trials.turned(ids, seed) for ids in IDS) for seed in range(10)]


def all_frames(number, case):
    for noun, frame in itertools.product((0, 1), range(FRAMES)):
        about = {"own": case.places[noun], "other": case.places[1 - noun]}
        yield give_frame(case, noun, frame, SITE, arm="temporal IDs", **about)
        if noun == 0:  # each clip has one of the turned timelines
            ids = TURNED[number % len(TURNED)]
            yield give_frame(case, noun, frame, SITE, ids, arm="turned", **about)
            yield give_frame(case, noun, frame, SITE, arm="louder", dose=DOSE, **about)


framed = None
if "flashes" in LIVE:
    cases = judging["flashes"][:250]
    edits = [job for number, c in enumerate(cases) for job in all_frames(number, c)]
    framed = clip_trials.outcomes(vlm, cases, edits, CACHE)
    framed = framed[framed["arm"] != "no edit"].copy()
    framed["distance"] = framed["frame"] - framed["other"]  # later than the other
    framed["odds"] = framed["log_odds"] * np.where(framed["noun"] == 0, 1, -1)
    framed["follows"] = framed["odds"] * framed["distance"] < 0
    keep("frames", framed)

# %% [markdown]
# One more curve: in some clips, move the *object* to every frame, pixels and all, and edit
# nothing. Is the edit like the real thing?

# %%
def move_object(case, frame):
    """The same question about a clip with the first noun's object in another frame."""
    film = clip_trials.retimed(CLIPS[case.labels["scene"]], case.names[0], frame)
    video = Video(tuple(film.render(frame_pixels(vlm))))
    prompt = vlm.prompt(video, case.prompt.question)
    about = {"frame": frame, "distance": frame - case.places[1]}
    return Job(prompt, (), case.labels | about)


agree = {}
if framed is not None:
    moves = [move_object(c, frame) for c in judging["flashes"][: 4 if SMALL else 20]
             for frame in range(FRAMES) if frame != c.places[1]]  # fmt: skip
    objects = trials.run(vlm, moves, CACHE)
    for arm in ("temporal IDs", "louder"):
        ids = framed[(framed["noun"] == 0) & (framed["arm"] == arm)]
        ids = ids[["scene", "frame", "odds", "before"]]
        both = objects.merge(ids, on=["scene", "frame"])
        over = both[both["log_odds"] * both["before"] < 0]
        over = over.assign(agrees=over["log_odds"] * over["odds"] > 0)
        if over["scene"].nunique() > 1:
            agree[arm] = percent(trials.share(over, "agrees"))
glue("ch18_agree", agree.get("temporal IDs", "not measured"))
glue("ch18_agree_louder", agree.get("louder", "not measured"))

# %% [markdown]
# What is the shape of these curves? On a **line**, each frame later counts the same. With a
# **step**, all that counts is which of the two is later. A **sigmoid** is a line that bends flat
# where the order is beyond doubt. All three are one family, $a - b \tanh(d / w)$, where $d$ says
# how many frames later than the other object the ID is: a narrow width $w$ makes it a step, a
# huge one a line.
#
# Compare frames *within* a clip. Across clips, those whose other object comes late are mostly
# those whose true answer is "Before", and this truth would pass for a slope.
#
# ````{exercise} Line, step or sigmoid?
# :label: ch18-bend
#
# Difficulty ●●○ · importance ●●○ · 25 minutes
#
# Write `bend(distance, log_odds)` for two arrays `[clips, frames]`. Return the width out of
# `ch18.WIDTHS` with which $a - b \tanh(d / w)$ comes closest to the log-odds, by squared error:
# for each width with the best $b$, the same for all clips, and the best $a$ for each clip.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def bend(distance, log_odds):
    # The best a for each clip takes the clip's mean away, on both sides. The best b for
    # what is left then explains sum(x y)² / sum(x²) of the squares of y.
    y = log_odds - log_odds.mean(1, keepdims=True)
    explained = []
    for width in ch18.WIDTHS:
        x = np.tanh(distance / width)
        x = x - x.mean(1, keepdims=True)
        explained.append(np.sum(x * y) ** 2 / np.sum(x**2))
    return float(ch18.WIDTHS[int(np.argmax(explained))])

# %%
ch18.check_bend(bend)

# %% [markdown]
# Choose the width on every second clip, and compare the three on the others. And does the frame in
# which the object *really* appears still count? Regress the log-odds on three times, as
# {doc}`10_any_place` does with columns: of the ID, of the other object, and of the object itself.

# %%
STEP, LINE = 1e-3, 1e3  # widths at which the sigmoid is one or the other


def interval(statistic, *arrays):
    """A statistic of arrays `[clips, ...]` with its bootstrap interval over clips."""
    count = len(arrays[0])
    picks = np.random.default_rng(SEED).integers(count, size=(500, count))
    with np.errstate(invalid="ignore"):  # a few clips may all be the same one
        values = [statistic(*(array[pick] for array in arrays)) for pick in picks]
    ends = np.nanpercentile(values, [2.5, 97.5])
    return stats.Interval(float(statistic(*arrays)), *map(float, ends), count)


def slope(x, y):
    return np.cov(x, y)[0, 1] / np.var(x, ddof=1)


def fit(width):
    """R2 of the sigmoid of one width, within clips: each clip's mean is taken away."""
    def r2(distance, odds):
        curve = np.tanh(distance / width)
        x, y = (one - one.mean(1, keepdims=True) for one in (curve, odds))
        return np.sum(x * y) ** 2 / (np.sum(x**2) * np.sum(y**2))

    return r2


def own_weight(odds, other, own):
    """How much a frame of the object's true time counts, by a frame of the ID's."""
    frames = np.tile(np.arange(FRAMES), len(odds))
    design = [np.ones(odds.size), frames, other.repeat(FRAMES), own.repeat(FRAMES)]
    weights = np.linalg.lstsq(np.stack(design, 1), odds.ravel(), rcond=None)[0]
    return weights[3] / weights[1]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how curves are described", "code_prompt_hide": "Hide the code"}
def about_shape(odds, other):
    distance = np.arange(FRAMES) - other[:, None]
    width = bend(distance[::2], odds[::2])
    rest = distance[1::2], odds[1::2]
    widths = {"step": STEP, "bend": width, "line": LINE}
    found = {name: interval(fit(one), *rest) for name, one in widths.items()}
    gains = {name: interval(lambda *a, w=w: fit(width)(*a) - fit(w)(*a), *rest)
             for name, w in (("step", STEP), ("line", LINE))}  # fmt: skip
    alike = [f"a {name}" for name, gain in gains.items() if gain.low <= 0]
    verdict = f"no better than {' or '.join(alike)}" if alike else "better than both"
    return found | {"width": width, "shape": verdict}


def about_crossings(odds, other):
    inside = (other >= 1) & (other <= FRAMES - 2)
    at = np.array([crossing(line) for line in odds])[inside]
    done, found = pd.DataFrame({"other": other[inside], "at": at}).dropna(), {}
    if len(at):
        found["crossed"] = percent(stats.proportion(~np.isnan(at)))
    if len(done) > 5 and done["other"].nunique() > 1:
        pair = done["other"].to_numpy(), done["at"].to_numpy()
        found["slope"] = interval(slope, *pair)
        found["error"] = stats.mean(abs(pair[1] - pair[0]))
    return done, found

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
found, crossed = {}, []
if framed is not None:
    clear = framed.query("distance != 0 and arm == 'turned'")
    found["turned_follow"] = percent(trials.share(clear, "follows"))
    for noun, key, arm in ((0, "first", "temporal IDs"), (1, "second", "temporal IDs"),
                           (0, "louder", "louder")):  # fmt: skip
        part = framed[(framed["noun"] == noun) & (framed["arm"] == arm)]
        about = part.groupby("scene")[["other", "own"]].first()
        odds = part.pivot(index="scene", columns="frame", values="odds").to_numpy()
        other, own = about["other"].to_numpy(), about["own"].to_numpy()
        done, told = about_crossings(odds, other)
        crossed.append(done)
        told["follow"] = percent(trials.share(part[part["distance"] != 0], "follows"))
        told["own"] = interval(own_weight, odds, other, own)
        told |= about_shape(odds, other)
        found |= {f"{key}_{end}": value for end, value in told.items()}
ends = ["follow", "crossed", "slope", "error", "own", "step", "bend", "line", "width",
        "shape"]  # fmt: skip
if framed is not None:  # with both objects in one frame nothing was asked: 7 are left
    lines = objects.sort_values(["scene", "frame"])[["distance", "log_odds"]].to_numpy()
    found["object_width"] = bend(*lines.reshape(-1, FRAMES - 1, 2).transpose(2, 0, 1))
keys = [f"{key}_{end}" for key in ("first", "second", "louder") for end in ends]
tell(found, [*keys, "turned_follow", "object_width"])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw(axes, parts, x):
    """Mean log-odds with their intervals, a line for each (label, colour, table)."""
    rows = [{"what": label, x: value, **stats.mean(some["odds"])._asdict()}
            for label, _, part in parts for value, some in part.groupby(x)
            if len(some) > 1]  # fmt: skip
    tones = {label: tone for label, tone, _ in parts}
    plots.with_band(pd.DataFrame(rows), x, "what", axes, tones)
    axes.axhline(0, color="0.3", lw=1)
    axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)


if framed is not None:
    figure, panels = plt.subplots(1, 3, figsize=(11, 4.4), width_ratios=[1, 1.1, 0.9])
    ids = framed.query("noun == 0 and arm == 'temporal IDs'")
    thirds = (0, 2, "#440154"), (3, 4, "#21918c"), (5, 7, "#b5a318")
    groups = [(f"other in {low} to {high}", tone, ids[ids["other"].between(low, high)])
              for low, high, tone in thirds]  # fmt: skip
    draw(panels[0], groups, "frame")
    for _, tone, part in groups:
        panels[0].axvline(part["other"].mean(), color=tone, ls="--", lw=1.2)
    panels[0].set(xlabel="frame of the first noun's ID", ylabel="log-odds of “Before”")
    moved = objects.assign(odds=objects["log_odds"])
    draw(panels[1], [("first noun", "#0072B2", ids),
                     ("second noun", "#56B4E9", framed.query("noun == 1")),
                     ("first, louder", "#D55E00", framed.query("arm == 'louder'")),
                     ("turned timeline", "#7F7F7F", framed.query("arm == 'turned'")),
                     ("object moved", "#009E73", moved)], "distance")  # fmt: skip
    panels[1].axvline(0, color="0.6", lw=1, ls="--")
    panels[1].set(xlabel="frames later than the other object",
                  xticks=range(2 - FRAMES, FRAMES, 2))  # fmt: skip
    tones = "#0072B2", "#56B4E9", "#D55E00"
    for number, (done, tone) in enumerate(zip(crossed, tones, strict=True)):
        spread = np.random.default_rng(number).uniform(-0.12, 0.12, len(done))
        across = done["other"] + spread + (number - 1) / 4
        panels[2].plot(across, done["at"], ".", alpha=0.4, ms=4, color=tone)
    panels[2].plot([0.5, 6.5], [0.5, 6.5], color="0.3", lw=1, ls="--")
    panels[2].set(xlabel="frame of the other object", ylabel="frame where it crosses")
    figure.tight_layout()

# %% [markdown]
# **Figure 18.5.** *Send one noun to every frame.* Left: log-odds of "Before" by the frame whose
# ID the first noun gets; clips in three groups by the frame of the *other* object (dashed: its
# mean). Middle: all clips, by how many frames later than the other object the ID is; grey, a
# timeline that points nowhere; green, the object itself is moved. Right: a dot for each clip
# (spread sideways, colours as in the middle); on the dashed line the belief crosses exactly at
# the other object. In the middle, grey falls as well: each of its points averages over
# different clips, and their truth shines through, edit or no edit.
#
# | | first noun | second noun | first, louder |
# |---|---|---|---|
# | beliefs that follow the ID | {glue:text}`ch18_first_follow` | {glue:text}`ch18_second_follow` | {glue:text}`ch18_louder_follow` |
# | clips whose belief crosses | {glue:text}`ch18_first_crossed` | {glue:text}`ch18_second_crossed` | {glue:text}`ch18_louder_crossed` |
# | slope of crossing on frame | {glue:text}`ch18_first_slope` | {glue:text}`ch18_second_slope` | {glue:text}`ch18_louder_slope` |
# | distance from the other, in frames | {glue:text}`ch18_first_error` | {glue:text}`ch18_second_error` | {glue:text}`ch18_louder_error` |
# | weight of the true frame, where the ID's frame weighs 1 | {glue:text}`ch18_first_own` | {glue:text}`ch18_second_own` | {glue:text}`ch18_louder_own` |
# | width of the sigmoid, in frames | {glue:text}`ch18_first_width` | {glue:text}`ch18_second_width` | {glue:text}`ch18_louder_width` |
# | R2 within clips: a step | {glue:text}`ch18_first_step` | {glue:text}`ch18_second_step` | {glue:text}`ch18_louder_step` |
# | ... the sigmoid | {glue:text}`ch18_first_bend` | {glue:text}`ch18_second_bend` | {glue:text}`ch18_louder_bend` |
# | ... a line | {glue:text}`ch18_first_line` | {glue:text}`ch18_second_line` | {glue:text}`ch18_louder_line` |
#
# **Table 18.3.** *The sweep in numbers.* Crossings are looked for where the other object is in
# frames 1 to 6. A coordinate has slope one, and the true frame counts nothing. A weight above zero
# is a time that still comes in by another way. (At a dose $D$ a coordinate's weight would be
# $(1 - D) / D$ and so below zero where an edit overshoots.) On a turned timeline,
# {glue:text}`ch18_turned_follow` of beliefs follow: a short move often leaves the order as it is,
# and then the old answer follows as well.
#
# On clips that did not choose its width, a sigmoid is {glue:text}`ch18_first_shape` (a step, a line)
# for the first noun and {glue:text}`ch18_second_shape` for the second. The object itself, moved,
# has a width of {glue:text}`ch18_object_width`. And where moving the *object* turns the answer
# over, moving the *ID* to the same frame turns it over in {glue:text}`ch18_agree` of cases
# ({glue:text}`ch18_agree_louder` when it is louder).
#
# Read the slope and the weight together. A curve may cross two frames from the other object in
# every clip, on this side or on that, and have a slope of one.
#
# ## A question that the IDs were not read from
#
# All IDs come from "before or after". Ask about *one* object: "Does the frog appear at the
# beginning or the end?", or "... first or last?" If the vector at "frog" is a time, and not
# half of a before/after answer, it should move these answers, too. One thing is no surprise: all
# three questions begin "Does the frog", and a causal model has not read on.

# %%
video = Video(tuple(clip.render(frame_pixels(vlm))))
asked = [f"Does the {one.names[0]} appear {rest}?" for rest in (
    f"before or after the {one.names[1]}", "first or last",
    "at the beginning or the end")]  # fmt: skip
prompts = [vlm.prompt(video, question) for question in asked]
states = read_states(vlm, prompts, [[p.word(one.names[0])[-1]] for p in prompts], SITES)
apart = float((states - states[:, :1]).abs().max())
glue("ch18_same", "the same" if apart < 1e-3 else f"up to {apart:.3f} apart")

# %% [markdown]
# The noun's states under the three questions are {glue:text}`ch18_same` (to rounding). What is in
# doubt is who *reads* them. Block and dose stay as they were chosen; nothing here was fitted to
# these questions.

# %%
ALONE = ("beginning_end", "first_last")
BUT = {"random": MANY, "shuffled IDs": SOME, "across the picture": 2}
found = {}
for number, kind in enumerate(ALONE):
    count = 8 if SMALL else 200
    drawn = clips(4 * count, SEED + 3 + number, "flashes", held_out=True)
    cases = clip_trials.alone_cases(vlm, drawn, kind, count) if LIVE else []
    if cases:
        edits = [job for c in cases for job in arms(c, DOSE, BUT, IDS[:1], SPACE[:1])]
        table = clip_trials.outcomes(vlm, cases, edits, CACHE)
        right = trials.share(table.query("arm == 'no edit'"), "right")
        found[f"{kind}_right"] = percent(right)
        if right.low > 0.5:
            keep(kind, table)
            found |= compare(table, kind, ("ids", "random", "shuffled", "across"))

ends = ["right", "gap", "verdict", "nearest", *(short + end for end in ("", "_after")
        for short in ("ids", "random", "shuffled", "across"))]  # fmt: skip
tell(found, [f"{kind}_{end}" for kind in ALONE for end in ends])

# %% [markdown]
# | | beginning or end | first or last |
# |---|---|---|
# | right without an edit | {glue:text}`ch18_beginning_end_right` | {glue:text}`ch18_first_last_right` |
# | swapped by IDs | {glue:text}`ch18_beginning_end_ids` | {glue:text}`ch18_first_last_ids` |
# | ... ends at (nats) | {glue:text}`ch18_beginning_end_ids_after` | {glue:text}`ch18_first_last_ids_after` |
# | random | {glue:text}`ch18_beginning_end_random` | {glue:text}`ch18_first_last_random` |
# | shuffled IDs | {glue:text}`ch18_beginning_end_shuffled` | {glue:text}`ch18_first_last_shuffled` |
# | across the picture | {glue:text}`ch18_beginning_end_across` | {glue:text}`ch18_first_last_across` |
#
# **Table 18.4.** *Does it transfer?* Right beliefs swapped when the only noun is sent to its time in
# the reversed clip; other flashes than before. By the same rule as above: beginning or end
# **{glue:text}`ch18_beginning_end_verdict`**, first or last
# **{glue:text}`ch18_first_last_verdict`**. The rule asks for a gap to random vectors
# ({glue:text}`ch18_beginning_end_gap` and {glue:text}`ch18_first_last_gap`). Look at the control
# that comes nearest, too: {glue:text}`ch18_beginning_end_nearest`, and
# {glue:text}`ch18_first_last_nearest`. The second question is the harder one: "last" compares with
# an object that the question does not name, and nobody has edited that one.
#
# ## In its own words, and about space
#
# A belief is two numbers out of a vocabulary. Does the model still *speak*? Let it answer freely.

# %%
found = {}
if sample:
    few = sample[:: max(1, len(sample) // (4 if SMALL else 50))]
    jobs = [Job(c.prompt, (), c.labels | {"arm": "no edit"}) for c in few]
    jobs += [job for c in few for job in arms(c, DOSE, {})]
    said = sweeps.replies(vlm, jobs).replace("temporal IDs", "backwards")
    said["question"] = [job.prompt.question for job in jobs]
    word = said["reply"].str.extract(r"^\W*(\w+)")[0].str.capitalize()
    said["clean"] = word.isin(["Before", "After"])
    said["false"] = word == np.where(said["toward"] > 0, "Before", "After")
    for arm, part in said.groupby("arm"):
        for column in ("clean", "false"):
            told = percent(trials.share(part, column))
            found[f"replies_{arm.split()[0]}_{column}"] = told
    shown = said.pivot(index=["scene", "question"], columns="arm", values="reply")
    display(shown.droplevel("scene").head(5))
tell(found, [f"replies_{arm}_{column}" for arm in ("no", "backwards")
             for column in ("clean", "false")])  # fmt: skip

# %% [markdown]
# **Table 18.5.** *What it says*, in some clips. Over all that were tried, the reply begins with one
# of the two answers in {glue:text}`ch18_replies_no_clean` without an edit and
# {glue:text}`ch18_replies_backwards_clean` with it. The false one is given in
# {glue:text}`ch18_replies_no_false` and {glue:text}`ch18_replies_backwards_false`.
#
# Last, turn the spatial control around. Push the same nouns backwards in time, in the same clips,
# and ask: "Is the frog to the left or right of the camel?"

# %%
def about_space(case):
    """The case with another question, and the same vectors at the same nouns."""
    scene, order = case.labels["scene"], [case.labels["order"]]
    film = [CLIPS[scene]]
    for other in clip_trials.clip_cases(vlm, film, "left_right", order, scene=scene):
        jobs = []
        for job in arms(case, DOSE, {"random": MANY}):
            vectors = [edit.vectors for edit in job.edits]  # the dose is in them
            about = {key: job.labels[key] for key in ("arm", "seed")}
            jobs.append(trials.steering_job(other, SITE, vectors, **about))
        yield other, jobs


few, found = 8 if SMALL else 100, {}
some = [case for cases in judging.values() for case in cases[:few]]
pairs = [pair for case in some for pair in about_space(case)]
if len(pairs) > 1:
    others, jobs = zip(*pairs, strict=True)
    space = clip_trials.outcomes(vlm, others, list(itertools.chain(*jobs)), CACHE)
    right = trials.share(space.query("arm == 'no edit'"), "right")
    found["space_right"] = percent(right)
    if right.low > 0.5:
        same = pd.concat(trial.values()).query("arm == 'temporal IDs'")
        found["space_time"] = percent(swapped(same[same["scene"].isin(space["scene"])]))
        found |= compare(space, "space", ("ids", "random"))
tell(found, [f"space_{end}" for end in ("right", "ids", "random", "gap", "time")])

# %% [markdown]
# Of right beliefs about left and right ({glue:text}`ch18_space_right` are right), the push in
# time swaps {glue:text}`ch18_space_ids`, and random vectors of its length
# {glue:text}`ch18_space_random` (gap {glue:text}`ch18_space_gap`). In the same clips it swaps
# {glue:text}`ch18_space_time` of beliefs about before and after. How the two maps lie to each
# other is the subject of {doc}`19_space_and_time`.
#
# ````{exercise} Research sprint: how long
# :label: ch18-longer
#
# Difficulty ●●● · importance ●●○ · 30 minutes for the function, an afternoon for the sprint
#
# An object that stays for four frames has one ID, near the middle of its stay. Is there something in
# the word that says *how long* it stayed? You need a direction that length has and the middle has not.
# Time is a curve in the stream, so a line through the middles will not take it out. Write
# `longer(states, onset, offset)` for states `[n, d_model]` and first and last frames `[n]`. Compare only
# stays with the same middle: within each, take the mean away, of states and of lengths. Then return
# what one more frame does, by one regression over all of them, `[d_model]`.
#
# Then take the afternoon. Steer a flash with it: does "Does the frog appear before the camel is gone?"
# change? Which random vector is fair, and which question must *not* change?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def longer(states, onset, offset):
    length = (offset - onset).to(states)
    # Twice the middle is a whole number, and so is safe to compare.
    middles, group = torch.unique(onset + offset, return_inverse=True)
    for number in range(len(middles)):
        same = group == number
        states = torch.where(same[:, None], states - states[same].mean(0), states)
        length = torch.where(same, length - length[same].mean(), length)
    # A middle with one length only is all zeros by now, and has no say.
    return length @ states / length.square().sum()

# %%
ch18.check_longer(longer)

# %% [markdown]
# ## Summary
#
# - Do temporal IDs cause the belief about when? Flashes: {glue:text}`ch18_flashes_verdict`;
#   events: {glue:text}`ch18_events_verdict`. They swap {glue:text}`ch18_flashes_ids` and
#   {glue:text}`ch18_events_ids` of right beliefs, random vectors of the same length
#   {glue:text}`ch18_flashes_random` and {glue:text}`ch18_events_random`.
# - "Backwards" and "exchanged" are two experiments. Say which one you ran.
# - Send the first noun to every frame at dose one, and {glue:text}`ch18_first_follow` of beliefs
#   follow ({glue:text}`ch18_louder_follow` at dose {glue:text}`ch18_dose`). They cross
#   {glue:text}`ch18_first_error` frames from the other object
#   ({glue:text}`ch18_louder_error`), and a frame of the object's true time still counts
#   {glue:text}`ch18_first_own` frames of its ID's ({glue:text}`ch18_louder_own`).
# - The same vectors on questions that they were not read from: beginning or end
#   {glue:text}`ch18_beginning_end_verdict`, first or last {glue:text}`ch18_first_last_verdict`.
# - A switch, a dial and a coordinate all pass the swap test. Only the sweep over frames, with its
#   crossing, tells them apart.
#
# :::{admonition} What we had seen when we decided
# :class: note
#
# This chapter was written while the model was still being trained, and on judging clips of half
# trained weights. After looks at those we settled how many clips and seeds each arm has, and moved
# the sweep over frames from the chosen dose to dose one, with the louder one beside it. After a
# look at the shipped weights we added the agreement at the louder dose and the width of the object's
# own curve. The block, the dose and the rule behind each verdict were not touched.
# :::
#
# ## Open question: a research sprint
#
# Can you steer *how long*? An object that stays for four frames has one ID, near the middle of
# its stay. Read IDs of stays of different lengths at the same middle, and steer a flash with
# their difference: does "Does the frog appear before the camel is gone?" change? Or write two
# times into one word, the sum of two differences. Does the model believe in two frogs, or in one
# between them? Write down, before you run it, what would prove you wrong.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 10c.
# - {cite:t}`turner2023activation`: steering language models by adding vectors.
# - {cite:t}`feng2024bind`: binding vectors, and interventions on their means.
# - {cite:t}`heimersheim2024use`: how interventions on states mislead.
#
# **What follows.** {doc}`19_space_and_time` sets both kinds of IDs side by side, and lets objects move.
