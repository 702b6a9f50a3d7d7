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
# # Where does time flow?
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/16_flow_in_time.ipynb)
# · about 45 minutes to read, another 95 for the exercises, one or two to run
# · runs without a GPU · builds on Chapter [3](03_where_does_it_flow.ipynb)
#
# A frog appears for a moment. Later, a camel. You ask: "Does the frog appear before or after the
# camel?" A model that watches the {term}`clip` sees a row of frames, cut into tokens, and then the words.
# **At which tokens, and in which blocks, does it know *when*?**
#
# For *where*, you answered this in {doc}`03_where_does_it_flow`: flip the picture, run both, and
# carry states from one run into the other. For *when* the flip is easier still. Play the clip
# backwards. No pixel of any frame changes, only their order.
#
# **You will learn**
# - how to do a reversed-video swap by hand, and for many clips
# - how to find groups of tokens in any video model, whatever it makes of a frame
# - which control changes place and not time, and which changes time and not the answer
# - whether time and space take the same route through the same model
# - whether the tokens of a frame know when they are, or are told by where they stand

# %% tags=["parameters"]
MODEL = "tiny-video"  # a shipped video model, a Hugging Face name, or a folder
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
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch

from helpers import Edit, Job, clip_swaps, plots, stats, swap, sweep
from helpers.animate import show_clip
from helpers.beliefs import answer_forms
from helpers.clip_swaps import ANSWERS, QUESTION
from helpers.exercises import ch16
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli.clips import Clip, reverse
from helpers.stimuli.scenes import mirror, recolor

MODELS = open_models(MODEL, chapter="16_flow_in_time", small=SMALL, seed=SEED)
vlm = MODELS[Path(MODEL).name]

# %% [markdown]
# ## Clips that have a when and a where
#
# Two kinds of clips. **Flashes** are the paper's: two objects on white, each for a single frame.
# In **{term}`events <event>`**, three to five objects come and go on colourful backgrounds, and many are there
# for longer. All are held out: training never showed the two objects together, nor let either
# appear first in that frame, nor at that place.
#
# The model is `tiny-video`, trained for this book as `tiny-llava` was, on clips of eight frames. It is of the kind of
# LLaVA-Video: a vision tower looks at each frame by itself, and the frames' tokens stand in one row, frame after frame, before
# the question. A twin without temporal IDs does not come with it, so in these chapters the controls have to do more of the work.
#
# Each clip is asked two questions about the same two objects, one about time and one about
# space. So clips are kept only if both have an answer. Every second clip is asked with the two
# nouns exchanged. Some clips are for **choosing** a block, others for **judging** it.

# %%
KINDS = ("flashes", "events")
CHOOSE, JUDGE, FEW = (4, 6, 2) if SMALL else (20, 250, 5)  # clips of each kind
CHOOSING = {kind: clip_swaps.draw(kind, CHOOSE, SEED + 1) for kind in KINDS}
JUDGING = {k: clip_swaps.draw(k, JUDGE, SEED + 2, CHOOSING[k]) for k in KINDS}
for which in QUESTION:
    asked = CHOOSING["flashes"][0].question(which)
    print(f"{which:6s} {asked.text} → {asked.answer}")


# %% [markdown]
# ## One swap by hand
#
# One clip of the choosing set, forwards and backwards.

# %%
def looks(asked):
    """Large sprites that are far apart in time make a good picture."""
    sizes = [asked.clip.path(name)[0].size for name in asked.names]
    return sum(sizes) + np.ptp(sorted(asked.frames)) / 8


def in_words(clip):
    return "; ".join(f"{name} in frame {clip.when(name)[0]}" for name in clip.names)


example = max(CHOOSING["flashes"], key=looks)
columns = ""
for clip in (example.clip, reverse(example.clip)):
    shown = show_clip(clip, in_words(clip), pixels=112).markup
    columns += f'<div style="flex:1 1 600px">{shown}</div>'
print(example.question("time").text, "→", example.question("time").answer)
plots.Html(f'<div style="display:flex;flex-wrap:wrap;gap:1.5rem">{columns}</div>')

# %% [markdown]
# **Figure 16.1.** *A clip, and the same clip backwards.* The frames are the same, and so are the
# words of the question. Only the order differs, and with it the answer. Below each clip: its
# frames, counted from 0.
#
# Both prompts have the same tokens at the same positions: the video's, frame after frame, then
# the question. So states can be carried over. Take the two {term}`object words <object word>`, nothing else, from the
# reversed run.

# %%
CHANGES = {"reversed": lambda asked: reverse(asked.clip)}
clean = clip_swaps.prompt_of(vlm, example, "time")
changed = clip_swaps.prompt_of(vlm, example, "time", CHANGES["reversed"])
nouns = [position for span in clean.words(example.names) for position in span]
views = clean.image_patches.views
print(f"{len(clean)} tokens, {len(views)} steps of time, grids of {views[0].grid}")
print("swapping", [clean.tokens[position] for position in nouns])

# %%
BEFORE = -1  # where others have the number of a block: before the first one


def depths(most=12):
    """Up to ``most`` blocks, evenly spread, first and last included."""
    chosen = np.linspace(0, vlm.n_layers - 1, min(vlm.n_layers, most)).round()
    return [int(layer) for layer in np.unique(chosen)]


SITES = {BEFORE: "blocks.0.hook_resid_pre"} | {b: vlm.resid_post(b) for b in depths()}
_, cache = vlm.run_with_cache(changed, list(SITES.values()))
jobs = [Job(clean, (), {"what": "clean"}), Job(changed, (), {"what": "reversed"})]
for block, site in SITES.items():
    steps = {number: view.positions for number, view in enumerate(views)}
    for what, where in ({"nouns": nouns} | steps).items():
        edit = swap(site, where, cache[site][0])
        jobs.append(Job(clean, (edit,), {"what": what, "block": block}))
by_hand = sweep(vlm, jobs, ANSWERS["time"], progress=False).astype({"block": "Int64"})
before, target = by_hand["log_odds"][:2]
by_hand["part"] = (by_hand["log_odds"] - before) / (target - before)
print(f"log-odds of Before against After: clean {before:+.2f}, reversed {target:+.2f}")
of_nouns = by_hand[by_hand["what"] == "nouns"].set_index("block")["part"]
glue("ch16_hand_most", float(of_nouns.max()))
glue("ch16_hand_at", int(of_nouns.idxmax()))

# %% [markdown]
# The part of the way that a {term}`belief` travels is
# $(b^{\text{swapped}} - b^{\text{clean}}) / (b^{\text{reversed}} - b^{\text{clean}})$: 0 if
# nothing came along, 1 if everything did. The same cell has swapped more: the tokens of each
# step of time, one step after the other.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def heat_map(table, axes, limit=1.0, **options):
    """Blocks upwards, parts of the prompt to the right."""
    options |= {"cmap": "coolwarm", "vmin": -limit, "vmax": limit, "linewidths": 0.6}
    sns.heatmap(table.iloc[::-1], ax=axes, **options)
    axes.set(xlabel="", ylabel="swapped after block")
    axes.tick_params(axis="y", rotation=0)


frames = by_hand[by_hand["what"].map(lambda what: isinstance(what, int))]
frames = frames.pivot(index="block", columns="what", values="part").astype(float)
frames.columns = [view.frame for view in views]
bar = {"label": "part of the way"}
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(1, 1.6))
left.plot(of_nouns, of_nouns.index, "o-", color=plots.COLORS["object words"])
left.axvline(0, color="0.6", lw=0.8)
left.set(xlabel="part of the way", ylabel="swapped after block", title="the two nouns")
heat_map(frames, right, max(0.05, float(frames.abs().max().max())), cbar_kws=bar)
right.set(xlabel="tokens of the step that begins with frame", title="one step of time")
figure.tight_layout()

# %% [markdown]
# **Figure 16.2.** *One clip, one swap for each point.* Left: the two nouns. After block
# {glue:text}`ch16_hand_at` they take the belief {glue:text}`ch16_hand_most` of the way, the most
# of all. Right: one step of the video at a time, from the bottom (before the first block) up.
# Look for the frames in which the objects are, and for those in which they would be if the clip
# ran backwards: "now nothing" and "now the frog" both count. Where the columns go pale, the
# frames are still there, but nobody reads from them any more.
#
# ## Is it right, both ways?
#
# A swap from the reversed clip carries a belief about the reversed clip. If that belief is
# wrong, there is little to carry. So ask first, in both directions. One more thing to keep in
# mind: who is right both ways has *changed its mind* when the clip was turned round. A model
# that always says "Before" is right half of the time, and never both ways.
#
# ````{exercise} Right in both directions
# :label: ch16-both
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `right_both(clean, changed, truth)` for three NumPy arrays: the log-odds of "Before"
# against "After" for the clips and for the reversed clips, and +1 where "Before" is true of the
# clip *as it is*, -1 where "After" is. Return an array of booleans.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def right_both(clean, changed, truth):
    # Backwards, the other answer is true: the sign must turn.
    return (clean * truth > 0) & (changed * truth < 0)


# %%
ch16.check_right_both(right_both)

# %% [markdown]
# The space question has its own change of the answer: the clip in which every frame is
# **mirrored**. Reversing leaves places alone; mirroring leaves times alone.

# %%
CHANGES["mirrored"] = lambda asked: asked.clip.each(mirror)
TURNS = {"time": "reversed", "space": "mirrored"}  # what turns a question's answer


rows = []
for which, kind in itertools.product(QUESTION, KINDS):
    some, turn = CHOOSING[kind], CHANGES[TURNS[which]]
    odds, turned = (clip_swaps.log_odds(vlm, some, which, how) for how in (None, turn))
    truth = clip_swaps.truths(some, which)
    shares = {"as it is": odds * truth > 0, "turned": turned * truth < 0,
              "both": right_both(odds, turned, truth)}  # fmt: skip
    shares = {name: stats.proportion(right) for name, right in shares.items()}
    rows.append({"question": which, "clips": kind} | shares)
right = pd.DataFrame(rows).set_index(["question", "clips"])
sure = right["as it is"].map(lambda share: share.low > 0.5)
LIVE = {which: [kind for kind in KINDS if sure[which, kind]] for which in QUESTION}
stopped = ", ".join(f"{which} in {kind}" for which, kind in sure.index[~sure])
glue("ch16_stopped", stopped or "none")
right.map(percent)

# %% [markdown]
# **Table 16.1.** *Right answers on the choosing clips.* "Turned": about the reversed clip (time)
# or the mirrored one (space). Where the interval "as it is" reaches down to one half, the arm
# stops, as in {doc}`08_real_photos`: swaps would then show what moves a belief, and not where
# knowledge is. Stopped here: {glue:text}`ch16_stopped`.
#
# Which clips should the swaps use? We use **all of them**, right or wrong. To keep those that
# the model gets right both ways is to select on the outcome, and it would answer another
# question ("where is it, when it is there?"). It is a good question too, and it costs nothing:
# Table 16.2 has both.
#
# ## Which tokens?
#
# Now the groups. Do not count tokens: models differ. One makes 16 tokens of a frame and one
# newline of the whole video. Another ends every row with a newline. A third merges two frames
# into one step; a fourth writes the time between frames. The prompt knows its own layout:
# `prompt.image_patches.views` has one grid for each step, and `view.frame` is the first frame
# that it shows.
#
# ````{exercise} The tokens of some frames
# :label: ch16-showing
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `showing(views, frames, total)`. It returns the positions of all tokens of all views
# that show any of the `frames`, sorted, for a video of `total` frames. A view shows the frames
# from `view.frame` up to the next view's, or up to the end; its tokens are `view.positions`.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def showing(views, frames, total):
    ends = [*(view.frame for view in views[1:]), total]
    found = []
    for view, end in zip(views, ends, strict=True):
        # With two frames in a step, the second is in no view's name: look at the range.
        if set(range(view.frame, end)) & set(frames):
            found += view.positions
    return sorted(found)


# %%
ch16.check_showing(showing)

# %% [markdown]
# Which frames belong to the two objects? Those in which they appear, forwards *or* backwards.
# If only the first were swapped, the frog would vanish and come back nowhere.

# %%
CHOICE = {"time": ("before", "after"), "space": ("left", "right")}
VIDEO = ("all video", "frames of the two", "other frames", "newlines and marks")
TEXT = ("object words", "choice words", "words between", "other text", "last token")


def groups_of(asked, which, prompt):
    """Positions by group: four of the video, five of the text."""
    patches, total = prompt.image_patches, len(asked.clip)
    video = range(patches.positions[0], patches.positions[-1] + 1)
    grids = {position for view in patches.views for position in view.positions}
    frames = asked.frames | {total - 1 - frame for frame in asked.frames}
    of_two = showing(patches.views, frames, total)
    one, *choice, other = prompt.words([asked.names[0], *CHOICE[which], asked.names[1]])
    choice, nouns = [p for span in choice for p in span], [*one, *other]
    between = [p for p in range(one[-1] + 1, other[0]) if p not in choice]
    known = {*nouns, *choice, *between, prompt.last}
    rest = [p for p in prompt.text_positions if p not in known]
    others = sorted(grids - set(of_two))
    marks = [p for p in video if p not in grids]
    parts = [list(video), of_two, others, marks, nouns, choice, between, rest]
    return dict(zip(VIDEO + TEXT, [*parts, [prompt.last]], strict=True))


def fewer(*names):
    """Only some of the groups of tokens."""
    return lambda *given: {name: groups_of(*given)[name] for name in names}


for name, where in groups_of(example, "time", clean).items():
    shown = [clean.tokens[p].strip() or repr(clean.tokens[p]) for p in where]
    print(f"{name:18s} {len(where):4d}", *shown[:6], "..." if len(shown) > 6 else "")


# %% [markdown]
# Always look at what you are about to edit. Now swap each group before the first block and
# after every block, in both kinds of clips.

# %%
def swaps(sets, changes, groups=groups_of, sites=SITES):
    """Swaps in the clips whose question is answered; a table without rows if there are none.

    `changes` are names, by question.
    """
    tables = []
    for kind, some in sets.items():
        live = {
            which: {name: CHANGES[name] for name in names}
            for which, names in changes.items()
            if kind in LIVE[which]
        }
        if live:
            some = {kind: some}
            tables.append(clip_swaps.swaps(vlm, some, live, groups, sites, CACHE))
    if not tables:
        return pd.DataFrame(columns=["question", "kind", "change", "group", "block"])
    return pd.concat(tables, ignore_index=True)


def of(table, **wanted):
    """Rows whose columns have one of the wanted values."""
    for column, values in wanted.items():
        table = table[table[column].isin([values] if isinstance(values, str) else values)]
    return table


chosen = {
    "time": swaps(CHOOSING, {"time": ["reversed"]}),
    "space": swaps(CHOOSING, {"space": ["mirrored"]}, fewer("all video", *TEXT)),
}
keep("choosing", pd.concat(chosen.values()))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
COLORS = plots.COLORS | {
    "all video": "#009E73", "frames of the two": "#56B4E9", "other frames": "#999999",
    "newlines and marks": "#000000", "choice words": "#CC79A7", "words between": "#E69F00",
    "other text": "#999999", "reversed": "#0072B2", "mirrored": "#D55E00",
    "recoloured": "#E69F00", "other times": "#009E73", "frozen": "#999999",
    "in place": "#009E73", "moved": "#0072B2",
}  # fmt: skip


def curves(axes, table, by, title=""):
    """Recovered fraction by block, a line for each value of ``by``."""
    axes.set(title=title, xlabel="swapped after block", ylim=(-0.3, 1.3))
    axes.axhline(0, color="0.5", lw=0.8)
    if table.empty:
        axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        return
    table, dashed = stats.recovered_by(table, [by, "block"]), {"frames of the two": "--"}
    plots.with_band(table, "block", by, axes, COLORS, dashed)
    axes.set_xlabel("swapped after block")
    axes.legend(fontsize=8)


figure, panels = plt.subplots(2, 2, figsize=(11, 7.4), sharey=True, layout="constrained")
for line, groups in zip(panels, (VIDEO, TEXT), strict=True):
    for axes, kind in zip(line, KINDS, strict=True):
        curves(axes, of(chosen["time"], kind=kind, group=groups), "group", kind)
    line[0].set_ylabel("recovered fraction")
figure.get_layout_engine().set(h_pad=0.12)

# %% [markdown]
# **Figure 16.3.** *Who carries the answer to "before or after", block by block,* swapped from
# the reversed clip: the video's tokens above, the words below. Bands are 95 % intervals over
# clips. Above, compare "all video" with "frames of the two": if they are the same, nothing of
# use is kept in empty frames or in newlines. (A group that some clip has no tokens of is left
# out: in events, the two may be in every frame.) Below, read from left to right: which words
# have the answer first, and who has it last? The paper's Figure 10a {cite}`kang2026linear` shows this
# for three large models: video early, object words in a middle band, then the rest of the text.
#
# As with pictures, some points are no discoveries. After the last block nothing flows between
# tokens, so the last token must recover 1 and all others 0. Before the first block, the video
# is all that differs, so it must recover 1.

# %%
words = [form for forms in answer_forms(vlm, clean, ANSWERS["time"]).values() for form in forms]
single = all(len(form) == 1 for form in words)  # else later tokens of the answer look back, too
if len(chosen["time"]) and vlm.dtype == torch.float32 and single:
    ends = stats.recovered_by(chosen["time"], ["group", "block"])
    ends = ends.set_index(["group", "block"])["estimate"]
    assert abs(ends["last token", vlm.n_layers - 1] - 1) < 1e-3
    assert abs(ends["object words", vlm.n_layers - 1]) < 1e-3
    assert abs(ends["all video", BEFORE] - 1) < 1e-3
    print("The ends of the curves are where they must be.")

# %% [markdown]
# ## What else did you carry?
#
# A swap carries everything in which two runs differ. So change something else, and see what a
# swap does then, in the same clips and at the same words:
#
# - **mirrored**: every frame flipped. All places change, no time does.
# - **recoloured**: every object in another hue. Pixels change, neither place nor time does.
# - **other times**: the frames in another order that keeps the answer. All times change, but
#   who was first does not.
# - **{term}`frozen <frozen clip>`**: one frame without the two, all the time. Nobody comes at all.
# - **noise**: as long, at every token, as the change that the reversed clip makes there; ten
#   draws for each clip.
#
# Mirrored and recoloured should move nothing, and noise little: it may blot something out; other times a little at most, where the two
# come closer together. *Frozen* is a ruler: it takes the knowledge away and puts no other in its
# place, so the belief should fall to about the middle, which is half of the way. Whatever moves a
# belief well beyond one half has brought *another* answer, and not just lost the old one.

# %%
CHANGES |= {
    "recoloured": lambda asked: asked.clip.each(recolor),
    "other times": clip_swaps.in_another_order,
    "frozen": clip_swaps.without_the_two,
}

# %% [markdown]
# How large is what a control does? Recolouring hardly moves the belief, so it must not be
# measured by its own yardstick.
#
# ````{exercise} One yardstick
# :label: ch16-against
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `against(table, reference)`. The table has a row for each `clip`, `change`, `block` and
# `group`, with the log-odds `clean`, `mirrored` (of the changed clip, whatever the change) and
# `patched`. Return a copy in which `mirrored` is, in every row, what it is for the change called
# `reference` *of the same clip*. `stats.recovered_by` then has one denominator for all changes.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def against(table, reference):
    whole = table[table["change"] == reference].groupby("clip")["mirrored"].first()
    # By clip, not by row: rows of other changes are in another order.
    return table.assign(mirrored=table["clip"].map(whole))


# %%
ch16.check_against(against)


# %%
others = [change for change in CHANGES if change != "reversed"]
pair = ("object words", "last token")
controls = swaps(CHOOSING, {"time": others}, fewer(*pair))
if len(controls):
    controls = pd.concat([of(chosen["time"], group=pair), controls], ignore_index=True)
    controls = against(controls, "reversed")
    keep("controls", controls)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
for axes, group in zip(panels, ("object words", "last token"), strict=True):
    curves(axes, of(controls, group=group), "change", group)
    axes.axhline(0.5, color="0.6", ls=":")
    axes.set_ylabel("change / reversal's change" if group == "object words" else "")

# %% [markdown]
# **Figure 16.4.** *Five changes, one yardstick,* flashes and events together. Dotted: half of
# the way, where a belief ends that has only been lost. Read the controls where the blue curve
# is high. *Other times* is the strictest of them: both nouns get new times, and only their order
# is kept. The last block of the right panel is no swap any more: it shows how far the change
# itself moves the belief. A control that is above zero there is a clip that the model reads
# otherwise (where it was wrong or unsure, any new picture draws a new error), and a swap can but
# carry that over.
#
# ## One block, many other clips
#
# Choose the block where the object words carry most on the choosing clips, for each question.
# Then read its value on the judging clips, which had no say.

# %%
WORD_SITES = {block: site for block, site in SITES.items() if block != BEFORE}
both_changes = {which: ["reversed", "mirrored"] for which in QUESTION}
found = swaps(JUDGING, both_changes, fewer("object words"), WORD_SITES)
BLOCK, judged = {}, {}
for which, table in found.groupby("question"):
    known = of(chosen[which], group="object words", block=list(WORD_SITES))
    known = stats.recovered_by(known, ["block"]).set_index("block")["estimate"]
    BLOCK[which] = int(known.idxmax())
    judged[which] = against(table, TURNS[which])
if judged:
    keep("judging", pd.concat(judged.values()))
print("blocks", BLOCK)


def at_block(which, change, **wanted):
    """The recovered fraction at the chosen block, on judging clips; None if not measured."""
    if which not in judged:
        return None
    table = of(judged[which], change=change, block=[BLOCK[which]], **wanted)
    return stats.recovered_fraction(table) if len(table) > 1 else None


def answered(which):
    """By clip: whether the answer is right as it is, and in both directions."""
    table = of(judged[which], change=TURNS[which], block=[BLOCK[which]]).set_index("clip")
    odds, turned, truth = table["clean"], table["mirrored"], table["truth"]
    return odds * truth > 0, right_both(odds, turned, truth)


lines = {}
for which, change in itertools.product(QUESTION, ("reversed", "mirrored")):
    good = answered(which)[1] if which in judged else None
    parts = {"all": {}, "flashes": {"kind": "flashes"}, "events": {"kind": "events"},
             "nouns by alphabet": {"order": "alphabet"}, "exchanged": {"order": "exchanged"},
             "right both ways": {"clip": [] if good is None else good.index[good]}}  # fmt: skip
    row = {name: at_block(which, change, **wanted) for name, wanted in parts.items()}
    lines[which, change] = row


def in_short(value):
    return "–" if value is None else f"{value[0]:z.2f} [{value[1]:z.2f}, {value[2]:z.2f}]"


results = pd.DataFrame(lines).rename_axis(columns=["question", "swapped from"])
results.map(in_short)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def words_for(value):
    """What an interval allows to say."""
    if value is None:
        return "were not measured"
    if value.low > 0.5:
        return "carry most of the answer"
    return "carry next to nothing" if value.high < 0.1 else "carry a part of the answer"


def put(name, value, show=lambda value: value):
    glue(f"ch16_{name}", "not measured" if value is None else show(value))


for which, change in lines:
    put(f"{which}_{change}", lines[which, change]["all"])
for which in QUESTION:
    row = lines[which, TURNS[which]]
    put(f"{which}_words", words_for(row["all"]))
    put(f"{which}_block", BLOCK.get(which))
    put(f"{which}_knowing", row["right both ways"])
    shares = map(stats.proportion, answered(which)) if which in judged else (None, None)
    for key, share in zip(("right", "both"), shares, strict=True):
        put(f"{which}_{key}", share, percent)
for kind in KINDS:
    put(f"time_{kind}", lines["time", "reversed"][kind])
put("judged", sum(len(JUDGING[kind]) for kind in LIVE["time"]))

beside = dict.fromkeys(["recoloured", "noise", "other times", "frozen"])
if "time" in judged:
    block = BLOCK["time"]
    more = swaps(JUDGING, {"time": ["recoloured"]}, fewer("object words"), {block: SITES[block]})
    turned = of(found, question="time", change="reversed", block=[block])
    more = against(pd.concat([turned, more], ignore_index=True), "reversed")
    beside["recoloured"] = stats.recovered_fraction(of(more, change="recoloured"))
    for change in ("other times", "frozen"):
        table = of(controls, change=change, group="object words", block=[block])
        beside[change] = stats.recovered_fraction(table)
    some = [asked for kind in LIVE["time"] for asked in CHOOSING[kind]]
    after = clip_swaps.noise_swaps(
        vlm, some, "time", CHANGES["reversed"], SITES[block], 2 if SMALL else 10, SEED
    )
    table = of(chosen["time"], group="object words", block=[block])
    beside["noise"] = stats.recovered_fraction(table.assign(patched=after))
for change, value in beside.items():
    put(change.replace(" ", "_"), value)

# %% [markdown]
# **Table 16.2.** *The object words' recovered fraction at the chosen block, on judging clips,*
# by kind of clip, by order of the nouns, and on those clips alone that the model gets right both
# ways. Each control is divided by the change that turns the question's answer.
#
# About time, the object words {glue:text}`ch16_time_words`: at block
# {glue:text}`ch16_time_block` they recover {glue:text}`ch16_time_reversed` on
# {glue:text}`ch16_judged` clips ({glue:text}`ch16_time_flashes` in {term}`flashes <flash>`,
# {glue:text}`ch16_time_events` in events). Mirrored clips bring {glue:text}`ch16_time_mirrored`.
# Recoloured ones bring {glue:text}`ch16_recoloured`. On the choosing clips, at the same block,
# noise of the same length brings {glue:text}`ch16_noise`, other times with the same answer
# {glue:text}`ch16_other_times`, and a frozen clip {glue:text}`ch16_frozen`. The model is right about
# {glue:text}`ch16_time_right` of the judging clips, and about {glue:text}`ch16_time_both` of them
# both ways; on these the object words recover {glue:text}`ch16_time_knowing`.
#
# About space, in the same clips, they {glue:text}`ch16_space_words`: at block
# {glue:text}`ch16_space_block`, {glue:text}`ch16_space_mirrored` from mirrored clips and
# {glue:text}`ch16_space_reversed` from reversed ones ({glue:text}`ch16_space_right` right,
# {glue:text}`ch16_space_both` both ways).
#
# ## Time and space, side by side
#
# Two questions and two changes make four curves. The clips are the same, the nouns are the same,
# and so is the model. If *when* and *where* are kept apart, each question listens to its own
# change and is deaf to the other.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(2, 2, figsize=(11, 7.4), sharey=True, layout="constrained")
for (above, below), which in zip(panels.T, QUESTION, strict=True):
    main = of(chosen[which], group=["all video", *TEXT])
    curves(above, main, "group", f"asked about {which}")
    curves(below, judged.get(which, found.iloc[:0]), "change", "object words")
    if which in BLOCK:
        below.axvline(BLOCK[which], color="0.6", ls=":")
panels[0, 0].set_ylabel("recovered fraction")
panels[1, 0].set_ylabel("change / change of a turned answer")
figure.get_layout_engine().set(h_pad=0.12)

# %% [markdown]
# **Figure 16.5.** *Two questions about the same clips.* Above: who carries the answer, on the
# choosing clips, each question swapped from the clip that turns its answer. Below: the object
# words alone, on the judging clips. Blue: swapped from the clip that runs backwards; red: from
# the mirrored one; dotted: the chosen block. A mechanism that binds *when* and *where* to nouns,
# apart from each other, shows one high curve in each lower panel, and not the same one.
#
# Do the two high curves have their hill at the same blocks? Put numbers on it: where a hill
# begins, and where it ends.
#
# ````{exercise} Where a band begins and ends
# :label: ch16-band
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `band(blocks, fractions)` for two NumPy arrays. It returns two floats: the depth at which
# the curve first rises to half of its highest value, and the depth at which it last falls below
# it. Between two blocks, go along the straight line. A curve that is high at its first (or last)
# block begins (or ends) there. If nothing is above zero, return `(np.nan, np.nan)`.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def band(blocks, fractions):
    half, found = fractions.max() / 2, []
    high = np.flatnonzero(fractions >= half)
    if half <= 0:
        return np.nan, np.nan
    for inside, outside in ((high[0], high[0] - 1), (high[-1], high[-1] + 1)):
        if 0 <= outside < len(blocks):  # np.interp wants what it looks up in rising order
            pair = [outside, inside]
            found.append(float(np.interp(half, fractions[pair], blocks[pair])))
        else:
            found.append(float(blocks[inside]))
    return tuple(found)


# %%
ch16.check_band(band)


# %%
def band_of(which, kinds):
    """A function from rows of clips to the band of the object words in them; their number."""
    table = of(judged[which], change=TURNS[which], kind=kinds)
    part, whole = clip_swaps.towards(table)
    blocks = np.array([BEFORE, *WORD_SITES])

    def find(rows):
        # Before the first block words know nothing of the video.
        return band(blocks, np.array([0, *part[rows].mean(0) / whole[rows].mean()]))

    return find, len(whole)


def time_less_space(kinds, draws=1000):
    """How much later time's band begins, and ends, with intervals over the clips of both."""
    (time, count), (space, _) = (band_of(which, kinds) for which in QUESTION)
    picked = np.random.default_rng(SEED).integers(count, size=(draws, count))
    found = [np.subtract(time(r), space(r)) for r in [np.arange(count), *picked]]
    low, high = np.nanpercentile(found[1:], [2.5, 97.5], axis=0)
    ends = zip(found[0].tolist(), low.tolist(), high.tolist(), strict=True)
    return [stats.Interval(*end, count) for end in ends]


def later(value):
    if value is None:
        return "cannot be compared (one of the two was not measured, or has no band)"
    if abs(value.estimate) < 0.25 or value.low <= 0 <= value.high:
        return "at about the same depth"
    return "later" if value.estimate > 0 else "earlier"


shared = [kind for kind in LIVE["time"] if kind in LIVE["space"]]
high = [lines[which, TURNS[which]]["all"] for which in QUESTION]
there = shared and all(value is not None and value.low > 0.1 for value in high)
begins, ends = time_less_space(shared) if there else (None, None)
for name, value in (("begins", begins), ("ends", ends)):
    put(name, value)
    put(f"{name}_words", later(value))
    print(f"band of time less band of space, {name}: {value}")

# %% [markdown]
# The band of time begins {glue:text}`ch16_begins` blocks after that of space:
# {glue:text}`ch16_begins_words`. It ends {glue:text}`ch16_ends` blocks after it:
# {glue:text}`ch16_ends_words`. (We say "about the same" below a quarter of a block, or where the
# interval holds zero.)
#
# And the rest of the sentence? Give up the groups, and swap each word alone.

# %%
SENTENCE = {"time": "Does the FIRST appear before or after the SECOND",
            "space": "Is the FIRST to the left or right of the SECOND"}  # fmt: skip


def word_groups(asked, which, prompt):
    """The video, each word of the question, '?', and what the template adds."""
    names = SENTENCE[which].split()
    nouns = dict(zip(["FIRST", "SECOND"], asked.names, strict=True))
    spans = prompt.words([nouns.get(name, name) for name in names])
    mark = spans[-1][-1] + 1
    video = list(range(prompt.image_patches.positions[0], prompt.text_positions[0]))
    parts = [("video", video), *zip(names, spans, strict=True), ("?", [mark])]
    parts += [("end", list(range(mark + 1, len(prompt))))]
    return {f"{number}:{name}": where for number, (name, where) in enumerate(parts)}


few = {kind: some[:FEW] for kind, some in CHOOSING.items()}
words = {which: swaps(few, {which: [TURNS[which]]}, word_groups) for which in QUESTION}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
for axes, (which, table) in zip(panels, words.items(), strict=True):
    axes.set_title(f"asked about {which}")
    stray = None
    if table.empty:
        axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
    else:
        cells = stats.recovered_by(table, ["block", "group"])
        cells[["number", "word"]] = cells["group"].str.split(":", n=1).tolist()
        cells["number"] = cells["number"].astype(int)
        wide = cells.pivot(index="block", columns="number", values="estimate")
        wide.columns = cells.groupby("number")["word"].first()
        heat_map(wide, axes, cbar=axes is panels[1], cbar_kws={"label": "recovered fraction"})
        axes.tick_params(axis="x", rotation=60)
        cells = cells[~cells["word"].isin(["video", "FIRST", "SECOND", "end"])]
        most = cells.loc[cells["estimate"].idxmax()]
        stray = f"{most['estimate']:.2f}, at “{most['word']}” after block {most['block']}"
    put(f"stray_{which}", stray)

# %% [markdown]
# **Figure 16.6.** *The route through the sentence,* one word at a time, from the bottom (before
# the first block) to the top. The same clips, asked about time (left) and about space (right).
# Compare FIRST and SECOND in both panels. Then look for dark cells at words that were not meant
# to carry anything. The darkest recovers {glue:text}`ch16_stray_time`, for time, and
# {glue:text}`ch16_stray_space`, for space (as the largest of many, and on few clips, both are too
# high). Words between the nouns can work on the answer once they have read the first noun.
#
# ## Does a frame know when it is?
#
# The shipped model sees frames one by one: the part that looks at pictures knows no time. A
# frame's tokens learn their time in the decoder, if at all. Either they *know* it: the state
# itself says "sixth frame". Or they do not, and whoever reads them can tell from *where they
# stand* in the sequence.
#
# There is a test. Take the two frames in which the objects flash, and **exchange their states**
# after some block, each written to where the other stood. If states have no time of their own,
# that is as good as exchanging the frames: the frog is now late. If they have, they bring it
# along, and nothing changes.
#
# But nothing would change either if nobody read the frames any more. So a second swap tells how
# much is still read: states for the same tokens from a run in which the two frames *were*
# exchanged (**in place**: each has been where it says). Compare the two: exchanged states
# (**moved**) against states that grew up there.
#
# ````{exercise} Exchange two frames
# :label: ch16-exchange
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `exchange(states, one, other)`: `states` is the stream of a prompt at one site,
# `[position, d_model]`; `one` and `other` are two equally long lists of positions. Return
# `(positions, vectors)`: a list of all these positions, and what to write there, so that each
# list gets what stood at the other. Do not change `states`.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def exchange(states, one, other):
    # Both are read before anything is written: one step, not two.
    return [*one, *other], states[[*other, *one]]


# %%
ch16.check_exchange(exchange)


# %%
CHANGES["exchanged"] = lambda asked: clip_swaps.steps_exchanged(asked, views)


def spans(asked):
    """The tokens of the two steps of time in which the objects flash."""
    return [clip_swaps.span_of(views, asked.clip.when(name)[0]) for name in asked.names]


def moved(some):
    """The beliefs after exchanging the states of the two steps, by clip and block."""
    jobs = []
    for number, asked in enumerate(some):
        prompt = clip_swaps.prompt_of(vlm, asked, "time")
        _, cache = vlm.run_with_cache(prompt, list(SITES.values()))
        for block, site in SITES.items():
            positions, vectors = exchange(cache[site][0], *spans(asked))
            edit = Edit(site, tuple(positions), vectors, replace=True)
            jobs.append(Job(prompt, (edit,), {"clip": f"flashes {number}", "block": block}))
    table = sweep(vlm, jobs, ANSWERS["time"], progress=False)
    return table.rename(columns={"log_odds": "patched"})[["clip", "block", "patched"]]


def both_steps(asked, which, prompt):
    return {"in place": [position for span in spans(asked) for position in span]}


travel, some = None, []
if "flashes" in LIVE["time"]:  # two flashes in one step cannot be exchanged
    some = [a for a in CHOOSING["flashes"] if spans(a)[0] != spans(a)[1]]
if len(some) > 1:
    stay = swaps({"flashes": some}, {"time": ["exchanged"]}, both_steps)
    known = stay[["clip", "block", "clean", "mirrored"]]
    travel = known.merge(moved(some), on=["clip", "block"]).assign(group="moved")
    travel = pd.concat([stay, travel], ignore_index=True)
    keep("moved", travel)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(7, 4))
curves(axes, pd.DataFrame() if travel is None else travel, "group")
axes.set_ylabel("share of the change\nwhen frames are exchanged")
put("travel", None if travel is None else int(travel["clip"].nunique()))
until, knows, ends = None, "was not measured", {}
if travel is not None:
    value = stats.recovered_by(travel, ["group", "block"])
    share = value.pivot(index="block", columns="group", values="estimate")
    share = share[share["in place"] > 0.2]  # below that, nobody reads, and all is still
    until = int(share.index[-1])
    at_end = of(value, block=[until]).set_index("group")
    ends = {name: stats.Interval(*row) for name, *row in at_end.iloc[:, 1:].itertuples()}
    own = share.index[share["moved"] < 0.5 * share["in place"]]
    knows = "is mostly where they stand, as long as anybody reads them"
    if len(own):
        knows = f"is mostly their own from block {own[0]} on"
put("read_until", until)
put("in_place", ends.get("in place"))
put("moved", ends.get("moved"))
put("frames_know", knows)

# %% [markdown]
# **Figure 16.7.** *Can the states of a frame be moved in time?* On {glue:text}`ch16_travel`
# clips with two flashes. Green: states that grew up in their new place, so this is how much is
# still read from the frames. Blue: states of the clean run, exchanged. At -1, before the first
# block, the two must agree: a frame that no block has seen is nothing but its picture. Where blue
# falls below green, states bring a time of their own. At the last block where a fifth or more is
# still read, block {glue:text}`ch16_read_until`, green is at {glue:text}`ch16_in_place` and blue at
# {glue:text}`ch16_moved`.
#
# In this model the time of a frame's tokens {glue:text}`ch16_frames_know`.
#
# Mind what this cannot tell. Moved states meet keys and neighbours that they do not fit, so some
# of what is lost may be mere confusion. But confusion would leave a belief in the middle, near
# 0.5, as the frozen clip does. Well below 0.5 the model still believes in the old order, against
# the order in which the states now stand. And a family that turns time into rotary positions
# (Qwen) or writes it between the frames (InternVL) offers other ways to read it off.
#
# ## Move only one
#
# A reversed clip turns the times of *both* objects. What if only the frog moves, and the camel stays?
#
# ````{exercise} Research sprint: move one object in time
# :label: ch16-moved
#
# Difficulty ●●● · importance ●●○ · 25 minutes for the function, an afternoon for the sprint
#
# Write `moved(clip, name, by)`: the clip in which the object `name` appears `by` frames later (earlier,
# if `by` is negative), in the same places and sizes, for as long as before. All other objects stay in
# their frames, and so does each frame's background. Where two objects meet in a frame, the moved one is
# in front (last in `objects`). If a frame of it would fall outside the clip, raise a `ValueError`. You
# need `clip.frames` (scenes), `clip.when(name)`, `scene.objects`, `scene.find(name)`,
# `dataclasses.replace(scene, objects=...)` and `Clip(frames)`.
#
# The cell below it moves one flash through the clip of Figure 16.1. Then take the afternoon: for many
# clips, how far must the frog move before the belief turns? Is that the same at the first noun and at
# the second? And what does the model say when both are in the same frame?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def moved(clip, name, by):
    when = clip.when(name)
    if when[0] + by < 0 or when[-1] + by >= len(clip):
        raise ValueError(f"{name} in frames {when} cannot move by {by}: {len(clip)} frames")
    frames = []
    for number, scene in enumerate(clip.frames):
        objects = [placed for placed in scene.objects if placed.name != name]
        if number - by in when:
            # As it is placed in the frame that this one now stands for, not as in its first.
            objects.append(clip.frames[number - by].find(name))
        frames.append(replace(scene, objects=tuple(objects)))
    return Clip(tuple(frames))


# %%
ch16.check_moved(moved)
name, other = example.names
here = example.clip.when(name)[0]
shifts = range(-here, len(example.clip) - here)
run = [
    clip_swaps.prompt_of(vlm, example, "time", lambda asked, by=by: moved(asked.clip, name, by))
    for by in shifts
]
odds = vlm.beliefs(run, ANSWERS["time"])["log_odds"]
print(f"{name} moved, {other} in frame {example.clip.when(other)[0]}:")
print(", ".join(f"{here + by}: {value:+.1f}" for by, value in zip(shifts, odds, strict=True)))

# %% [markdown]
# ## Summary
#
# - A **{term}`reversed-video swap`** finds time as a {term}`mirror swap` finds space. Each frame stays what it is;
#   only the order turns.
# - Ask in **both directions** first. Who always says "Before" is never right both ways.
# - Find **groups of tokens** by the prompt's own layout: frames that show the objects, forwards
#   or backwards; newlines and marks; words by their characters.
# - A **mirrored** clip is the control for time, and a **reversed** one for space. All changes are
#   measured by one yardstick. A **frozen** clip shows what mere forgetting does.
# - About time, the object words {glue:text}`ch16_time_words`
#   ({glue:text}`ch16_time_reversed`); about space, they {glue:text}`ch16_space_words`
#   ({glue:text}`ch16_space_mirrored`). Compared with the band of space, that of time begins
#   {glue:text}`ch16_begins_words`, and ends {glue:text}`ch16_ends_words`.
# - The time of a frame's tokens {glue:text}`ch16_frames_know`.
#
# Would you like to move a frame with your own hands? {doc}`22_playground` has a film to scrub.
#
# You know where to look. What is there, and does it look like a line of eight moments? That is
# the next chapter.
#
# ## Open question: a research sprint
#
# A reversed clip turns the times of *both* objects. Reverse only one: move the frog's flash to
# another frame, and leave the camel where it was. How far must the frog move before the belief
# turns, and is that the same at the first noun and at the second? Then give the model two frogs,
# one early and one late. Which of them does the word "frog" know? Say beforehand what you expect,
# and what result would prove you wrong.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is their Figure 10a. Their scripts swap at positions
#   that were counted once, for one model; {doc}`15_bug_museum` shows what a miscount does.
# - {cite:t}`vig2020investigating` and {cite:t}`zhang2024best` on swapping states, and what to
#   watch for.
# - {cite:t}`neo2025interpreting` ask of pictures what the last section asks of frames: what do
#   the tokens of an image hold, and who reads them?
#
# **What follows.** {doc}`17_temporal_ids` reads the vectors that say *when*.
