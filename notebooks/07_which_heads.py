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
# # Which heads move the ID?
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/07_which_heads.ipynb)
# · about 60 minutes to read, another 120 for the exercises, one to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb) and [6](06_steering_beliefs.ipynb)
#
# You know where the place of the frog is at the start: in the patches that show the frog. You
# know where it is soon after: at the word "frog". Something carried it across. In a transformer
# only one kind of part moves anything from one token to another, the {term}`attention head`, and there
# are not many of them. **Which heads move the ID?**
#
# You could look: a head leaves a picture of what it attends to, and the picture is pretty. Or
# you could cut: take that look away from one head and see whether the model still knows. You
# will do both, and they will not agree.
#
# **You will learn**
# - how to open a block with a bridge: scores, patterns, values, one head at a time
# - how to say whether a head looks at an object more than chance would
# - how to cut attention so that the rest stays whole, and which controls a cut needs
# - how to tell one indispensable head from a team whose members stand in for each other
# - what a head carries, and what happens if you make it look somewhere else

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
CONTROL = "tiny-llava-direct"  # the same architecture, trained without captions
SMALL = False  # True: fewer images, to try things out
SEED = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "where-is-the-frog[tl] @ git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import copy
import itertools
import math
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from transformers import DynamicCache

from helpers import (
    Prompt,
    Scene,
    SpatialIDs,
    bridge_inputs,
    geometry,
    mirror,
    plots,
    stats,
    to_bridge,
    trials,
)
from helpers.beliefs import answer_forms, read_beliefs
from helpers.exercises import ch07
from helpers.ids import LEFT_RIGHT, grid_scene
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli import questions
from helpers.stimuli.sampling import PAPER_SIZES
from helpers.stimuli.sampling import scenes as draw_scenes
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS

# %% [markdown]
# ## Inside a block
#
# So far you have read and written the [residual stream](../book/notation.md), between blocks.
# Now you need what lies inside. `to_bridge` gives the same model, with the same weights, as a
# TransformerLens {term}`bridge`, which has a named place for every step.

# %%
_ = torch.set_grad_enabled(False)
MODELS = open_models(MODEL, CONTROL, chapter="07_which_heads", small=SMALL, seed=SEED)
YES, NO = MODELS  # the names: of the model, and of its control
BRIDGES = {name: to_bridge(vlm) for name, vlm in MODELS.items()}
HEADS = {
    name: list(itertools.product(range(vlm.n_layers), range(BRIDGES[name].cfg.n_heads)))
    for name, vlm in MODELS.items()
}
for name, vlm in MODELS.items():
    blank = vlm.prompt(Scene(()).render(), "Where is it?")
    if not blank.image_patches.views:
        raise ValueError(
            f"{name} keeps its patches out of the sequence: its words see them through "
            "cross-attention, and the cuts of this chapter do not reach that. Take a "
            "model of another family."
        )
    print(f"{name}: {len(HEADS[name])} heads, patches {blank.image_patches.grid}")
glue("ch7_heads", len(HEADS[YES]))

# %% [markdown]
# A **head** is a small machine. At every token $q$ it asks of every earlier token $k$ (and of
# $q$ itself) how much it wants to look there. That is a **score**. Scores go through a softmax,
# so that the looks of one token sum to one: a row of the **{term}`pattern <attention pattern>`** $A$. The head then takes
# the mean of what those tokens offer, their **values** $v_k$, with the pattern as weights, and
# a matrix $W_O$ of its own turns the result into what it adds to the stream:
#
# $$
# A_{qk} = \operatorname{softmax}_k(\text{score}_{qk}), \qquad
# z_q = \sum_k A_{qk}\, v_k, \qquad
# h_q \leftarrow h_q + z_q W_O .
# $$
#
# | what | hook of block $l$ | shape |
# |---|---|---|
# | scores | `blocks.{l}.attn.hook_attn_scores` | `[batch, head, query, key]` |
# | pattern | `blocks.{l}.attn.hook_pattern` | `[batch, head, query, key]` |
# | $z$ | `blocks.{l}.attn.hook_z` | `[batch, position, head, d_head]` |
#
# We write 3.1 for head 1 of block 3. Both count from 0.
#
# ## The scenes
#
# As in Chapter 6: scenes with pairs of objects and places that no training showed, half of them
# two objects on white, half of them three to six in clutter, asked left/right and above/below,
# in both orders of the nouns. We split the *scenes* in two. The first half is to look and to
# choose with. The second stays closed until the trial.
#
# A patch shows an object if the object's square covers at least a twentieth of it.

# %%
AXES = {"column": "left_right", "row": "above_below"}
ANSWERS = {axis: questions.ANSWERS[kind] for axis, kind in AXES.items()}


def patches_of(prompt, placed):
    """Positions of the patches that show an object."""
    found = []
    for view in prompt.image_patches.views:
        (rows, columns), (left, top, right, bottom) = view.grid, view.box
        covered = []
        for count, low, high, middle in (
            (rows, top, bottom, placed.y), (columns, left, right, placed.x),
        ):  # fmt: skip
            edges = np.linspace(low, high, count + 1)
            ends = np.minimum(edges[1:], middle + placed.size / 2)
            starts = np.maximum(edges[:-1], middle - placed.size / 2)
            covered.append((ends - starts).clip(0) / (edges[1] - edges[0]))
        shown = np.outer(*covered).ravel() > 0.05
        found += np.array(view.positions)[shown].tolist()
    return found


# %% [markdown]
# A *case* is one question about one scene: where its nouns are, and which patches show what. A
# patch that shows both objects counts for neither.

# %%
@dataclass(frozen=True)
class Case:
    scene: Scene
    axis: str
    names: tuple[str, str]
    prompt: Prompt
    nouns: list  # for each noun, the positions of its tokens
    own: tuple  # for each noun, the patches that show its object and not the other
    background: list  # patches that show no object at all
    sign: int  # +1 if the right answer is the first of the two
    labels: dict  # what the tables keep

    @property
    def image(self):
        return self.prompt.image_patches.positions

    @property
    def start(self):
        return self.nouns[0][0]  # the first token that a cut can touch


def make_case(vlm, scene, axis, question, labels):
    prompt = vlm.prompt(scene.render(), question.text)
    shown = {placed.name: patches_of(prompt, placed) for placed in scene.objects}
    one, other = (shown[name] for name in question.objects)
    own = sorted(set(one) - set(other)), sorted(set(other) - set(one))
    taken = set().union(*shown.values())
    grid = itertools.chain(*(view.positions for view in prompt.image_patches.views))
    background = [position for position in grid if position not in taken]
    sign = 1 if question.answer == ANSWERS[axis][0] else -1
    names, nouns = question.objects, prompt.words(question.objects)
    return Case(scene, axis, names, prompt, nouns, own, background, sign, labels)


# %%
def askable(kind, axis, count, seed):
    """Held-out scenes whose first two objects can be compared, with both questions.

    No picture twice: on a grid, the same one comes again and again.
    """
    ask, seen = getattr(questions, AXES[axis]), set()
    for scene in draw_scenes(5 * count, seed, kind, held_out=True):
        one, other = scene.names[:2]
        asked = ask(scene, one, other), ask(scene, other, one)
        if None not in asked and frozenset(scene.objects) not in seen:
            seen.add(frozenset(scene.objects))
            yield scene, asked


COUNT = 4 if SMALL else 52
drawn = {
    f"{kind} {axis} {number}": (kind, axis, scene, asked)
    for kind, axis in itertools.product(("grid", "clutter"), AXES)
    for number, (scene, asked) in enumerate(
        itertools.islice(askable(kind, axis, COUNT, SEED + 1), COUNT)
    )
}
first, second = stats.halves(list(drawn), SEED)


def cases_of(vlm, chosen, orders):
    cases = []
    for label, order in itertools.product(chosen, orders):
        kind, axis, scene, asked = drawn[label]
        labels = {"scene": label, "kind": kind, "axis": axis, "order": order}
        cases.append(make_case(vlm, scene, axis, asked[order], labels))
    return cases


choosing = {name: cases_of(vlm, first[:40], [0]) for name, vlm in MODELS.items()}
judging = {
    name: cases_of(vlm, second if name == YES else second[::2], [0, 1])
    for name, vlm in MODELS.items()
}
print(len(choosing[YES]), "cases to choose with,", len(judging[YES]), "to judge by")
glue("ch7_cases", len(judging[YES]))
glue("ch7_cases_control", len(judging[NO]))

# %% [markdown]
# ## What does a head look at?
#
# Take one question. Run it once through the bridge and keep the patterns. The row of the first
# noun, cut down to the patches, is a picture of what the head looks at from there.

# %%
def good_picture(case):
    """Left/right on white, large sprites, the second object near the middle."""
    one, other = (case.scene.find(name) for name in case.names)
    fits = case.labels["kind"] == "grid" and case.axis == "column"
    return 2 * fits + one.size + other.size - 2 * abs(other.x - 0.5)


number = max(range(len(choosing[YES])), key=lambda i: good_picture(choosing[YES][i]))


def is_pattern(name):
    return name.endswith("attn.hook_pattern")


picture = {}
for name, vlm in MODELS.items():
    inputs = bridge_inputs(vlm, choosing[name][number].prompt)
    _, picture[name] = BRIDGES[name].run_with_cache(**inputs, names_filter=is_pattern)
case = choosing[YES][number]
print(case.prompt.question)
picture[YES]["blocks.0.attn.hook_pattern"].shape

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the slider", "code_prompt_hide": "Hide the code"}
def draw_patterns(block):
    figure, panels = plt.subplots(2, 4, figsize=(10, 5.6))
    for line, name in zip(panels, MODELS, strict=True):
        case = choosing[name][number]
        pattern = picture[name][f"blocks.{block}.attn.hook_pattern"][0]
        rows = pattern[:, case.nouns[0][-1]].float().cpu().numpy()
        on_own = rows[:, case.own[0]].sum(-1)
        shown = sorted(np.argsort(-on_own)[:4])  # of many heads, those that look most
        view = case.prompt.image_patches.whole
        for axes, head in zip(line, shown, strict=False):
            values = rows[head][list(view.positions)].reshape(view.grid)
            title = f"{block}.{head}: {on_own[head]:.0%} on the {case.names[0]}"
            plots.patch_heatmap(case.prompt.image, values, axes=axes)
            axes.set_title(title, fontsize=9, fontweight="normal")
        line[0].set_ylabel(name, fontweight="bold")
    figure.tight_layout()
    return figure


blocks = min(vlm.n_layers for vlm in MODELS.values())
stops = np.unique(np.linspace(0, blocks - 1, 2 if SMALL else min(blocks, 8)).round())
plots.slider(draw_patterns, [int(stop) for stop in stops], "block", start=0)

# %% [markdown]
# **Figure 7.1.** *What heads look at from the first noun. Move the slider.* Each panel is one
# head; yellow patches get the most of its attention (each panel has a scale of its own), and
# the title tells how much goes to the noun's object. In the first block of the model one head
# stares at the right sprite and nowhere else. Tempting. Now look at the lower row: the control
# has such a head too, and its nouns carry nothing that the answer uses. (In {doc}`22_playground` you
# can look from any word, in a picture that you make with your own hands.)
#
# ## Looking, counted
#
# One scene is an anecdote. Take all choosing cases, both nouns, and split each head's attention
# into the noun's own object, the other object of the question, everything else in the image,
# and text.
#
# What would **chance** give? A head that spreads its attention evenly over the image puts on
# the object just the object's share of the patches.

# %%
KINDS = ["own", "other", "background", "image"]


def looks(name, cases):
    """Attention of every head from the last token of each noun, by what it falls on."""
    vlm, rows = MODELS[name], []
    size = max(1, 4096 // vlm.d_model)  # patterns take heads * tokens * tokens a block
    for begin in range(0, len(cases), size):
        part = cases[begin : begin + size]
        inputs = bridge_inputs(vlm, [case.prompt for case in part])
        _, cache = BRIDGES[name].run_with_cache(**inputs, names_filter=is_pattern)
        for (row, case), noun in itertools.product(enumerate(part), (0, 1)):
            sets = case.own[noun], case.own[1 - noun], case.background, case.image
            chance = len(case.own[noun]) / len(case.image)
            for block in range(vlm.n_layers):
                pattern = cache[f"blocks.{block}.attn.hook_pattern"]
                here = pattern[row, :, case.nouns[noun][-1]].float().cpu()
                parts = torch.stack([here[:, keys].sum(-1) for keys in sets], 1)
                for head, values in enumerate(parts.tolist()):
                    found = dict(zip(KINDS, values, strict=True))
                    rows.append(case.labels | {"block": block, "head": head,
                                               "chance": chance} | found)  # fmt: skip
    return pd.DataFrame(rows)


attention = {name: looks(name, choosing[name]) for name in MODELS}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def head_maps(tables, label, **style):
    """A map of blocks and heads for each model."""
    panels = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")[1]
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        few = table.size <= 64
        sns.heatmap(
            table.iloc[::-1].round(2) + 0.0, ax=axes, annot=few, fmt=".2f",
            annot_kws={"fontsize": 8}, linewidths=0.6 * few, cbar=axes is panels[1],
            cbar_kws={"label": label, "shrink": 0.85}, **style,
        )  # fmt: skip
        axes.set(title=name, xlabel="head", ylabel="block")
        axes.tick_params(axis="y", rotation=0)


own = {
    name: table.pivot_table("own", "block", "head") for name, table in attention.items()
}
head_maps(own, "attention on the noun's object", vmin=0, vmax=1, cmap="viridis")
chance = float(attention[YES]["chance"].mean())
glue("ch7_chance", chance)

# %% [markdown]
# **Figure 7.2.** *Attention from a noun to the patches of its own object, head by head.* Read
# it from the bottom (the first block) to the top. Chance is {glue:text}`ch7_chance`. In either
# model a few heads stand out, one of them in the first block.
#
# ````{exercise} Times chance
# :label: ch7-chance
#
# Difficulty ●○○ · importance ●●○ · 5 minutes
#
# A head can put most of its attention on text, as many do on the first token, where it does
# nothing. To see *what in the image* it prefers, leave the text out. Write `times_chance(row,
# keys, patches)`: of the attention that falls on `patches`, the share that falls on `keys`,
# divided by the share of the patches that they are. `row` is one row of a pattern.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def times_chance(row, keys, patches):
    # Both are shares of the image, so text plays no part and 1 means "no preference".
    of_attention = row[keys].sum() / row[patches].sum()
    return float(of_attention / (len(keys) / len(patches)))


# %%
ch07.check_times_chance(times_chance)

# %%
def name_of(head):
    return "{}.{}".format(*head)


rows, LOOKER = [], {}
for name, table in attention.items():
    mean = table.groupby(["block", "head"])[[*KINDS, "chance"]].mean()
    LOOKER[name] = mean["own"].idxmax()
    for head, one in mean.nlargest(3, "own").iterrows():
        times = one["own"] / one["image"] / one["chance"]
        rows.append({"model": name, "head": name_of(head), "own object": one["own"],
                     "other object": one["other"], "background": one["background"],
                     "text": 1 - one["image"], "times chance": times})  # fmt: skip
for key, name in (("", YES), ("_control", NO)):
    glue(f"ch7_looker{key}", name_of(LOOKER[name]))
    glue(f"ch7_looks{key}", f"{100 * own[name].loc[LOOKER[name]]:.0f} %")
pd.DataFrame(rows).set_index(["model", "head"]).round(2)

# %% [markdown]
# **Table 7.1.** *The three heads of each model that look most at the noun's own object.* Means
# over cases and nouns. ("Times chance" is here a ratio of means, which the quiet rows cannot
# upset.)
#
# The model's {glue:text}`ch7_looker` puts {glue:text}`ch7_looks` of its attention on the object
# that the noun names. The control's {glue:text}`ch7_looker_control` puts
# {glue:text}`ch7_looks_control` there. If looking were carrying, the two would do the same job.
# Write down now, for each of the six heads in the table, whether you think that the model needs
# it. You will know in a few cells.
#
# ## Cut it
#
# To *{term}`knock out <knock-out>`* a look, make it impossible and leave everything else. We take one head and the
# tokens of both nouns, and forbid them to look at any patch. All other heads, tokens and blocks
# stay as they are.
#
# ````{exercise} A cut that leaves the rest whole
# :label: ch7-cut
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# Write `cut(head, queries, keys)`. It returns a hook for `hook_attn_scores`, a function of
# `(scores, hook)`: after it, `head` must put no attention at all from `queries` on `keys`, and
# each row of its pattern must still sum to one. Other heads, other queries: untouched.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def cut(head, queries, keys):
    def blind(scores, hook):
        scores = scores.clone()
        for query in queries:
            # Before the softmax: exp(-inf) is 0, and what is left sums to one again.
            # Zeros in the *pattern* would also shrink what the head brings in all.
            scores[:, head, query, keys] = -torch.inf
        return scores

    return blind


# %%
vlm, bridge = MODELS[YES], BRIDGES[YES]
inputs = bridge_inputs(vlm, case.prompt)
ch07.check_cut(cut, bridge, inputs, case.prompt)

# %% [markdown]
# Now cut the heads of the block with the best looker, one at a time, on the scene of Figure
# 7.1.

# %%
def says(logits):
    """The model's first choice at the last token, and how likely it is."""
    chance, token = logits[0, -1].float().softmax(-1).max(-1)
    return f"{vlm.processor.tokenizer.decode([token.item()]).strip()!r:10}{chance:5.0%}"


nouns = [position for span in case.nouns for position in span]
print(case.prompt.question, "\n   no cut    ", says(bridge(**inputs)))
block = LOOKER[YES][0]
for head in range(min(bridge.cfg.n_heads, 8)):
    hooks = [(f"blocks.{block}.attn.hook_attn_scores", cut(head, nouns, case.image))]
    logits = bridge.run_with_hooks(**inputs, fwd_hooks=hooks)
    print(f"   {block}.{head} is cut", says(logits))

# %% [markdown]
# ## All heads, one at a time
#
# That was a handful of passes for one question. You want all heads, many scenes, and controls:
# thousands of passes. Here is a fact that makes it cheap. A token never looks ahead. So nothing
# that we cut at a noun can change anything before the first noun: not the image, which is most
# of the prompt, and not "Is the". Run all that once, keep its keys and values, and run only the
# rest of the question behind them, one row for each cut.
#
# ([How fast, and why](20_how_fast_and_why.ipynb) is about such tricks. The helpers' engine
# edits streams and not scores, so here we do it by hand. If you do not care for the machinery, skip the code of the next
# three cells and keep one line: `odds_under(name, case, cuts)` gives the log-odds of the right answer under each cut.)

# %%
KEPT = {}
MOST = 2 if max(vlm.d_model for vlm in MODELS.values()) > 1000 else 256


def begun(name, case):
    """Keys and values of the tokens before the first noun, run once for a scene."""
    vlm, start, model = MODELS[name], case.start, BRIDGES[name].original_model
    key = name, case.scene, case.prompt.tokens[:start]
    if key not in KEPT:
        if len(KEPT) == MOST:
            KEPT.clear()
        along = ("input_ids", "attention_mask", *vlm.family.padded_inputs)
        inputs = {part: value[:, :start] if part in along else value
                  for part, value in vlm.batch(case.prompt).items()}  # fmt: skip
        kept = DynamicCache()
        model(**inputs, past_key_values=kept)
        KEPT[key] = kept, getattr(model.model, "rope_deltas", None)
    kept, deltas = KEPT[key]
    if deltas is not None:  # Qwen's positions run ahead of the tokens' numbers
        model.model.rope_deltas = deltas
    return kept


# %%
def right_odds(name, case, rows=1, hooks=()):
    """Log-odds of the right answer, once for each row that the hooks edit."""
    vlm, cache = MODELS[name], copy.deepcopy(begun(name, case))
    cache.batch_repeat_interleave(rows)

    def run(ids, cache):
        ids, more = ids.expand(rows, -1), vlm.continued(case.prompt, rows, ids.shape[1])
        model = BRIDGES[name].original_model
        return model(input_ids=ids.to(vlm.device), past_key_values=cache, **more).logits

    def rest(form, some):  # of an answer of several tokens, all but the first
        ids = torch.tensor([form])
        seen = run(ids[:, :-1], copy.deepcopy(cache)).float().log_softmax(-1)
        wanted = ids[:, 1:, None].expand(rows, -1, 1).to(seen.device)
        return seen.gather(2, wanted).sum((1, 2)).cpu()[some]

    with BRIDGES[name].hooks(fwd_hooks=list(hooks)):
        logits = run(case.prompt.inputs["input_ids"][:, case.start :], cache)[:, -1]
    forms = answer_forms(vlm, case.prompt, ANSWERS[case.axis])
    table = read_beliefs([case.prompt.question] * rows, forms, logits, rest)
    return case.sign * table["log_odds"].to_numpy()


# %% [markdown]
# The hooks see only the tokens from the first noun on, so queries count from there. A `Cut`
# describes what to cut, in any set of heads. `factor` will let you weaken a look instead of
# forbidding it: adding its logarithm to the scores multiplies the attention, before rows are
# made to sum to one again.

# %%
@dataclass(frozen=True)
class Cut:
    heads: tuple  # of (block, head)
    keys: tuple  # for each noun, the positions that it sees less of
    factor: float = 0.0


def as_hooks(name, case, cuts):
    """Hooks for a batch with one cut in each row."""
    heads, length, added = BRIDGES[name].cfg.n_heads, len(case.prompt), {}
    shape = len(cuts), heads, length - case.start, length
    for row, cut in enumerate(cuts):
        penalty = math.log(cut.factor) if cut.factor else -math.inf
        less = torch.zeros(shape[2:])
        for span, keys in zip(case.nouns, cut.keys, strict=True):
            for query in span:
                less[query - case.start, keys] = penalty
        for block, head in cut.heads:
            added.setdefault(block, torch.zeros(shape))[row, head] = less
    return [
        (f"blocks.{block}.attn.hook_attn_scores",
         lambda scores, hook, more=more: scores + more.to(scores))
        for block, more in added.items()
    ]  # fmt: skip


def odds_under(name, case, cuts):
    """Log-odds of the right answer under each cut, in batches that fit."""
    most = max(1, 32768 // MODELS[name].d_model)
    parts = [cuts[begin : begin + most] for begin in range(0, len(cuts), most)]
    found = [right_odds(name, case, len(p), as_hooks(name, case, p)) for p in parts]
    return np.concatenate(found)


# %% [markdown]
# A fast way must give what the slow way gives. Check it on the same case, with and without a
# cut:

# %%
def whole_image(case, heads):
    return Cut(tuple(heads), (case.image, case.image))


fast = odds_under(YES, case, [whole_image(case, []), whole_image(case, [LOOKER[YES]])])
blind = cut(LOOKER[YES][1], nouns, case.image)
hooks = [(f"blocks.{block}.attn.hook_attn_scores", blind)]
forms = answer_forms(vlm, case.prompt, ANSWERS["column"])
for quick, edits in zip(fast, ([], hooks), strict=True):
    with bridge.hooks(fwd_hooks=edits):
        logits = bridge(**inputs)[:, -1]
    slow = read_beliefs([""], forms, logits, lambda form, some: torch.tensor([-torch.inf]))
    print(f"fast {quick:+.4f}   slow {case.sign * slow['log_odds'][0]:+.4f}")

# %% [markdown]
# Now all {glue:text}`ch7_heads` heads, on the choosing cases. The measure is the **{term}`log-odds` of
# the right answer**, in nats: large if the model knows, zero if it has no idea.

# %%
def screen(name):
    """For every choosing case: no cut, each head cut alone, all heads cut."""
    sets = [(), *[(head,) for head in HEADS[name]], tuple(HEADS[name])]
    rows = [odds_under(name, case, [whole_image(case, heads) for heads in sets])
            for case in choosing[name]]  # fmt: skip
    columns = ["none", *map(name_of, HEADS[name]), "all"]
    return pd.DataFrame(rows, columns=columns)


screened = {name: screen(name) for name in MODELS}
costs, cost_maps = {}, {}
for name, table in screened.items():
    alone = table[[name_of(head) for head in HEADS[name]]].mean()
    costs[name] = (table["none"].mean() - alone).set_axis(
        pd.MultiIndex.from_tuples(HEADS[name], names=["block", "head"])
    )
    cost_maps[name] = costs[name].unstack("head")
    print(f"{name:18s} no cut {table['none'].mean():5.2f}   all heads cut "
          f"{table['all'].mean():5.2f}")  # fmt: skip
keep("heads", pd.concat(
    pd.DataFrame({"own": own[name].stack(), "cost": costs[name]}).assign(model=name)
    for name in MODELS
).reset_index())  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
limit = max(1.0, *(float(table.abs().to_numpy().max()) for table in cost_maps.values()))
head_maps(cost_maps, "cost of the cut (nats)", vmin=-limit, vmax=limit, cmap="coolwarm")
for key, name in (("", YES), ("_control", NO)):
    glue(f"ch7_plain{key}", float(screened[name]["none"].mean()), 1)
    glue(f"ch7_all_cut{key}", float(screened[name]["all"].mean()), 1)
    glue(f"ch7_worst{key}", name_of(costs[name].idxmax()))
    glue(f"ch7_worst_cost{key}", float(costs[name].max()), 1)
    glue(f"ch7_next_cost{key}", float(costs[name].drop(costs[name].idxmax()).max()), 1)

# %% [markdown]
# **Figure 7.3.** *What each cut costs.* How far the log-odds of the right answer fall when one
# head may no longer look from the nouns at the image. Without any cut they are
# {glue:text}`ch7_plain` in the model and {glue:text}`ch7_plain_control` in the control; with
# all heads cut, {glue:text}`ch7_all_cut` and {glue:text}`ch7_all_cut_control`. The most costly
# single head of the model is {glue:text}`ch7_worst`, at {glue:text}`ch7_worst_cost` nats. The
# runner-up costs {glue:text}`ch7_next_cost`.
#
# We had prepared this chapter for a team of heads, with all that it takes to catch members who
# stand in for each other. The map surprised us.
#
# Now put what you saw first beside what you know now:

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(7, 3.8))
for name in MODELS:
    x, y = own[name].stack(), costs[name]
    color = plots.COLORS["tiny-llava" if name == YES else "tiny-llava-direct"]
    axes.scatter(x, y[x.index], s=36, color=color, label=name, alpha=0.85, lw=0)
    for head in {*x.nlargest(3).index, y.idxmax()}:
        if x[head] > 4 * chance or y[head] > 1:
            axes.annotate(name_of(head), (x[head], y[head]), (0, 7), fontsize=9,
                          textcoords="offset points", ha="center",
                          color=color)  # fmt: skip
axes.axvline(chance, color="0.5", ls=":", lw=1.5)
axes.set(xlabel="attention on the noun's object", ylabel="cost of the cut (nats)")
axes.margins(y=0.15)
axes.legend(loc="upper left", bbox_to_anchor=(0.12, 1))
stares = own[YES].stack()
idle = stares[(stares > 4 * chance) & (costs[YES][stares.index] < 0.1)]
glue("ch7_idle", ", ".join(map(name_of, idle.index)) or "none")

# %% [markdown]
# **Figure 7.4.** *Looking and mattering.* One dot is one head: across, its attention on the
# noun's object (dotted: chance); up, what its cut costs. Labels are block.head. If attention
# told you what matters, the dots would rise together. Look at the right half of the picture,
# near the bottom: heads that stare at the object, and whose look nobody needs. In the model:
# {glue:text}`ch7_idle`. In the control: all of them. **Attention is a hint, not a cause.**
#
# Why would a head look and not matter? A head of a later block may fetch what the word already
# has. Its value may hold something that no question asks for. Or, as we think is the case in
# the control, it brings the place and no later block reads it there. You will find out which.
#
# ## Choose a team, then put it on trial
#
# Choose on the choosing cases alone, by a rule that also works where no single head matters.
# Order the heads by the cost of their own cut. Cut the first one, the first two, the first
# four, and so on; the **team** is the first of these sets that does at least half of the damage
# that cutting all heads does (it may be a team of one). If even all heads together take less
# than a tenth of the log-odds, there is nothing to find. We then put the best *looker* on
# trial, so that the control gets a fair chance.

# %%
def odds_without(name, heads, cases):
    """Mean log-odds of the right answer with some heads cut, over cases."""
    return float(np.mean([odds_under(name, c, [whole_image(c, heads)]) for c in cases]))


def choose_team(name):
    table, order = screened[name], list(costs[name].sort_values(ascending=False).index)
    plain, worst = table["none"].mean(), table["all"].mean()
    if plain - worst < 0.1 * plain:
        return (LOOKER[name],), order
    some = choosing[name][::2]
    clean, blind = (odds_without(name, heads, some) for heads in ((), HEADS[name]))
    count = 1
    while count < len(order):
        if clean - odds_without(name, order[:count], some) >= (clean - blind) / 2:
            break
        count *= 2
    return tuple(order[:count]), order


TEAM, ORDER = {}, {}
for key, name in (("", YES), ("_control", NO)):
    TEAM[name], ORDER[name] = choose_team(name)
    glue(f"ch7_team{key}", ", ".join(map(name_of, TEAM[name])))
    print(f"{name}: on trial {', '.join(map(name_of, TEAM[name]))}")
glue("ch7_team_size", "one head" if len(TEAM[YES]) == 1 else f"{len(TEAM[YES])} heads")

# %% [markdown]
# A cut can hurt for many reasons. What if *any* change to that head hurts? Or to that block? Or
# to any head? Each question has its control, on the same cases:
#
# | cut | asks |
# |---|---|
# | team, own object | is it the look at the noun's *own* object that matters? |
# | team, other object | or any object? |
# | team, background | or the image in general? |
# | rest of its block | is it the block, rather than the head? |
# | random heads | would as many other heads do? (several draws) |
# | all but the team | can the team do it alone? |
# | all heads | how much is there to lose? |

# %%
def trial_cuts(name, case, seeds=1 if SMALL else 2):
    """(arm, cut) for every arm of the trial."""
    team, every = TEAM[name], HEADS[name]
    one, other = case.own
    blocks, others = {b for b, _ in team}, [head for head in every if head not in team]
    yield "no cut", Cut((), ((), ()))
    yield "team, whole image", whole_image(case, team)
    yield "team, own object", Cut(team, (one, other))
    yield "team, other object", Cut(team, (other, one))
    yield "team, background", Cut(team, (case.background, case.background))
    yield "rest of its block", whole_image(case, [h for h in others if h[0] in blocks])
    for seed in range(seeds):
        size = min(len(team), len(others))
        drawn = np.random.default_rng(seed).choice(len(others), size, replace=False)
        yield "random heads", whole_image(case, [others[index] for index in drawn])
    yield "all but the team", whole_image(case, others)
    yield "all heads", whole_image(case, every)


def put_on_trial(name, cases, cuts_of):
    rows = []
    for case in cases:
        arms, cuts = zip(*cuts_of(name, case), strict=True)
        odds = odds_under(name, case, list(cuts))
        rows += [case.labels | {"arm": arm, "odds": value}
                 for arm, value in zip(arms, odds, strict=True)]  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(right=table["odds"] > 0, sure=table["odds"].abs())


# Both questions about a scene one after the other: they share its image.
for cases in judging.values():
    cases.sort(key=lambda case: case.labels["scene"])
trial = {name: put_on_trial(name, judging[name], trial_cuts) for name in MODELS}
keep("trial", pd.concat(table.assign(model=name) for name, table in trial.items()))

# %% [markdown]
# Now open the judging half.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def share(table, column):
    """Mean with an interval over scenes: a scene's two questions belong together."""
    return trials.share(table, column)


columns = {"right": "share of right answers", "odds": "log-odds of the right answer",
           "sure": "size of the log-odds"}  # fmt: skip
hue = {"no cut": "0.2", "team, whole image": "#0072B2", "team, own object": "#0072B2",
       "all heads": "#D55E00"}  # fmt: skip
figure, panels = plt.subplots(2, 3, figsize=(12, 6), sharex="col")
for line, name in zip(panels, MODELS, strict=True):
    arms = list(trial[name]["arm"].unique())
    for axes, column in zip(line, columns, strict=True):
        for height, arm in enumerate(arms):
            found = share(trial[name][trial[name]["arm"] == arm], column)
            color = hue.get(arm, "#7F7F7F")
            axes.plot([found.low, found.high], [-height] * 2, color=color, lw=2)
            axes.plot(found.estimate, -height, "o", color=color)
        axes.set_yticks(-np.arange(len(arms)), arms if column == "right" else [])
        axes.set_ylim(-len(arms) + 0.4, 0.6)
        axes.axvline(0.5 if column == "right" else 0, color="0.4", lw=1, ls=":")
    line[0].set(title=f"{name}: {', '.join(map(name_of, TEAM[name]))}", xlim=(0, 1.03))
for axes, label in zip(panels[1], columns.values(), strict=True):
    axes.set_xlabel(label)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
short = {"plain": "no cut", "team": "team, whole image", "own": "team, own object",
         "other": "team, other object", "background": "team, background",
         "block": "rest of its block", "random": "random heads",
         "alone": "all but the team", "all": "all heads"}  # fmt: skip
for end, name in (("", YES), ("_control", NO)):
    arms = dict(list(trial[name].groupby("arm")))
    for key, arm in short.items():
        glue(f"ch7_right_{key}{end}", percent(share(arms[arm], "right")))
        glue(f"ch7_odds_{key}{end}", share(arms[arm], "odds"), 1)
        glue(f"ch7_sure_{key}{end}", share(arms[arm], "sure"), 1)
    by_scene = {arm: part.groupby("scene")["odds"].mean() for arm, part in arms.items()}
    clean = by_scene["no cut"]
    cost = stats.paired_difference(clean, by_scene["team, whole image"])
    fall = stats.paired_difference(clean, by_scene["all heads"])
    glue(f"ch7_cost{end}", cost, 1)
    needed = cost.low > 0.5 * fall.estimate > 0.05 * clean.mean()
    alone = share(arms["all but the team"], "odds").low > 0.5 * clean.mean()
    verdict = {(True, True): "needs this look, and no other",
               (True, False): "needs this look, among others"}  # fmt: skip
    glue(f"ch7_verdict{end}", verdict.get((needed, alone), "does not need this look"))
    print(f"{name}: the cut of the team costs {cost}, of all heads {fall}")

# %% [markdown]
# **Figure 7.5.** *The trial.* Each dot is one kind of cut, with its 95 % bootstrap interval
# over scenes, on {glue:text}`ch7_cases` questions that had no part in choosing (control:
# {glue:text}`ch7_cases_control`). Left: right answers (dotted: guessing). Middle: log-odds of
# the right answer. Right: how far from zero the log-odds are, whichever way they point. In the
# model, with {glue:text}`ch7_team` on trial:
#
# | cut | right | log-odds | size |
# |---|---|---|---|
# | none | {glue:text}`ch7_right_plain` | {glue:text}`ch7_odds_plain` | {glue:text}`ch7_sure_plain` |
# | **team, whole image** | {glue:text}`ch7_right_team` | {glue:text}`ch7_odds_team` | {glue:text}`ch7_sure_team` |
# | team, own object | {glue:text}`ch7_right_own` | {glue:text}`ch7_odds_own` | {glue:text}`ch7_sure_own` |
# | team, other object | {glue:text}`ch7_right_other` | {glue:text}`ch7_odds_other` | {glue:text}`ch7_sure_other` |
# | team, background | {glue:text}`ch7_right_background` | {glue:text}`ch7_odds_background` | {glue:text}`ch7_sure_background` |
# | rest of its block | {glue:text}`ch7_right_block` | {glue:text}`ch7_odds_block` | {glue:text}`ch7_sure_block` |
# | random heads | {glue:text}`ch7_right_random` | {glue:text}`ch7_odds_random` | {glue:text}`ch7_sure_random` |
# | all but the team | {glue:text}`ch7_right_alone` | {glue:text}`ch7_odds_alone` | {glue:text}`ch7_sure_alone` |
# | all heads | {glue:text}`ch7_right_all` | {glue:text}`ch7_odds_all` | {glue:text}`ch7_sure_all` |
#
# Four things to read off, in the shipped model. The team's cut costs {glue:text}`ch7_cost` nats of the log-odds, and
# cutting *all* heads costs hardly more. The same block without the team, and as many random
# heads, cost next to nothing. With all *other* heads cut, so that no head but the team looks at
# the image from a noun, the model does as well as ever. And it is the noun's own object that
# counts: the rest of the image can be hidden. By the rule "at least half of the damage of all
# heads": the model **{glue:text}`ch7_verdict`**. The control
# **{glue:text}`ch7_verdict_control`** ({glue:text}`ch7_odds_team_control` with the cut,
# {glue:text}`ch7_odds_plain_control` without), and it is right in
# {glue:text}`ch7_right_team_control` of questions all the same: the picture must reach its answer
# by another way than its nouns. (Its last tokens, by the way it was trained; no cut here tests that.)
#
# This agrees with Chapter 3, where the nouns carried the answer from the first block on: what
# you found there by swapping the words, you now find in the part that fills them.
#
# Now compare the two blue rows in the right panel. Hide the *whole image* from the head, and
# the model is **blind**: its log-odds are near zero ({glue:text}`ch7_sure_team` in size). Hide
# only the *object*, and their size grows again ({glue:text}`ch7_sure_own`), though the answers
# are no better. The attention must go somewhere. It goes to other patches, and the model is
# **misled**. If you count only right answers, you cannot tell the two apart.
#
# Does the average hide anything?

# %%
rows = []
groups = {"axis": {"column": "left/right", "row": "above/below"},
          "kind": {"grid": "two on white", "clutter": "clutter"},
          "order": {0: "one order", 1: "the other order"}}  # fmt: skip
for column, names in groups.items():
    for value, label in names.items():
        part = trial[YES][trial[YES][column] == value]
        row = {"questions": label}
        for arm in ("no cut", "team, whole image", "all but the team"):
            found = share(part[part["arm"] == arm], "odds")
            row[arm] = f"{found.estimate:z.1f} [{found.low:z.1f}, {found.high:z.1f}]"
        rows.append(row)
pd.DataFrame(rows).set_index("questions")

# %% [markdown]
# **Table 7.2.** *Log-odds of the right answer in the model, by kind of question.* Columns and
# rows of the picture, few and many objects, either order of the nouns: if the middle column is
# near zero everywhere, the same team fetches all of it.
#
# Near zero, but look closely: in some rows a little *below*. Every scene is asked both ways, so
# a habit of saying "Left" cancels. How can a blind model be worse than a coin? Our guess: it
# knows where things usually are. The test scenes put each object at places where training never
# showed it, so what is usual is wrong here. When we drew more scenes, at unseen and at usual
# places, the difference had the right sign and was small, and not every seed showed it. Take it
# as a guess. But remember the question: chance is what a model can guess without looking, and
# that need not be a half.
#
# ## One head, or a team?
#
# Knocking out heads one at a time has a blind spot. Let two heads do the same work, each able
# to do it alone. Cut the first: the second carries on. Cut the second: the first does. Each
# looks useless, and the two together are everything. Language models do have such backups
# {cite}`wang2023interpretability`.
#
# So cut more and more heads, in the order of their single cost. And ask the opposite question:
# keep the first few, and cut *all others*. A head that is needed shows in the first curve. A
# set that is enough shows in the second.

# %%
def team_sizes(name):
    sizes = [1]
    while 2 * sizes[-1] < len(HEADS[name]):
        sizes.append(2 * sizes[-1])
    return sizes


def growing_cuts(name, case, seeds=1 if SMALL else 2):
    order = ORDER[name]
    outside = [head for head in order if head not in TEAM[name]]
    for size in team_sizes(name):
        yield ("cut the first", size), whole_image(case, order[:size])
        yield ("keep the first, cut the others", size), whole_image(case, order[size:])
        for seed in range(seeds):
            drawn = np.random.default_rng(seed).permutation(len(outside))[:size]
            heads = [outside[index] for index in drawn]
            yield ("cut as many outside the team", size), whole_image(case, heads)


SOME = slice(None, 4, 2) if SMALL else slice(None, None, 5)
some = {name: cases[SOME] for name, cases in judging.items()}
grown = {name: put_on_trial(name, some[name], growing_cuts) for name in MODELS}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
tones = dict(zip(["cut the first", "keep the first, cut the others",
                  "cut as many outside the team"],
                 ["#D55E00", "#0072B2", "#7F7F7F"], strict=True))  # fmt: skip
figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.9), layout="constrained")
for axes, (name, table) in zip(panels, grown.items(), strict=True):
    rows = [{"arm": arm, "size": size, **share(part, "odds")._asdict()}
            for (arm, size), part in table.groupby("arm", sort=False)]  # fmt: skip
    plots.with_band(pd.DataFrame(rows), "size", "arm", axes, tones)
    plain = trial[name].query("arm == 'no cut'")["odds"].iloc[SOME].mean()
    axes.axhline(plain, color="0.4", ls=":", lw=1.5)
    axes.get_legend().remove()
    axes.set_xscale("log", base=2)
    axes.set_xticks(team_sizes(name), team_sizes(name))
    axes.set(title=name, xlabel="number of heads")
    axes.set_ylim(min(-0.5, axes.get_ylim()[0]), None)
panels[0].set_ylabel("log-odds of the right answer")
handles, names = panels[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=3)
kept = grown[YES].groupby("arm")["odds"].mean()
glue("ch7_keep_one", float(kept[("keep the first, cut the others", 1)]), 1)
glue("ch7_cut_one", float(kept[("cut the first", 1)]), 1)

# %% [markdown]
# **Figure 7.6.** *More and more heads.* Red: the first heads in the order of Figure 7.3 are
# cut. Blue: only they may look from the nouns at the image, and all others are cut. Grey: as
# many heads from outside the team. Dotted: no cut. In the model one head's cut leaves
# {glue:text}`ch7_cut_one`, and one head alone keeps {glue:text}`ch7_keep_one`: needed *and*
# enough. A red curve that falls step by step would have meant a team, and a red curve that
# stays up until the last of two heads goes would have meant a backup. (In the control the order
# is that of noise, and all three curves lie on each other: no look from a noun is needed.)
#
# The order of single costs cannot find a backup by itself, since each of the two comes last in
# it. Can you?
#
# ````{exercise} A team of which nobody can be spared
# :label: ch7-team
#
# Difficulty ●●● · importance ●●○ · 60 minutes, and a small research sprint if you go on
#
# Write `lean_team(damage, heads, enough)`. `damage(cut)` tells what cutting a list of heads
# costs; each call is a pass through the model, and you have a few for each head. Return a list
# of heads whose damage is at least `enough` and from which no head can be dropped without
# falling below it. Return `None` if even all heads are not enough. It must find two heads that
# stand in for each other: do not begin with single heads.
#
# Then go on: plant a backup. Which edit of the weights gives the model a second head that does
# the same, and does your function find both?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def lean_team(damage, heads, enough):
    team = list(heads)
    if damage(team) < enough:
        return None
    # Begin with everybody and send home whoever is not missed. Of two heads that stand
    # in for each other neither can go: letting one look again would undo the damage.
    for head in list(heads):
        rest = [other for other in team if other != head]
        if damage(rest) >= enough:
            team = rest
    return team


# %%
ch07.check_lean_team(lean_team)
few = choosing[YES][: 2 if SMALL else 3]
plain, blind = (odds_without(YES, heads, few) for heads in ((), HEADS[YES]))
found = lean_team(
    lambda heads: plain - odds_without(YES, heads, few),
    ORDER[YES][::-1][-64:], 0.5 * (plain - blind),
)  # fmt: skip
glue("ch7_lean", ", ".join(map(name_of, found)) if found else "nobody")
print("nobody can be spared from:", ", ".join(map(name_of, found or [])))

# %% [markdown]
# In the model, the function sends home everybody but {glue:text}`ch7_lean`.
#
# ## How much is a cut?
#
# A cut is the largest {term}`dose`. Between all and nothing you can *weaken* a look: multiply the
# attention to the image by a factor, before the softmax makes the row sum to one again.

# %%
FACTORS = (1.0, 0.1, 0.01, 0.001, 0.0001) if SMALL else (
    1.0, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)  # fmt: skip


def weaker_cuts(name, case):
    for factor in FACTORS:
        keys = case.image, case.image
        yield ("team", factor), Cut(TEAM[name], keys, factor)
        others = tuple(head for head in HEADS[name] if head not in TEAM[name])
        yield ("all but the team", factor), Cut(others, keys, factor)


weak = {name: put_on_trial(name, some[name], weaker_cuts) for name in MODELS}


def left_over(name, factor):
    """The mean share of attention on the image that the first of the team keeps."""
    table = attention[name].set_index(["block", "head"])
    share = table.loc[[TEAM[name][0]], "image"]
    return float((factor * share / (factor * share + 1 - share)).mean())


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.9), layout="constrained")
for name, (arm, style) in itertools.product(
    MODELS, (("team", "-"), ("all but the team", "--"))
):
    label = f"{name}, {arm}"
    tones = {label: plots.COLORS["tiny-llava" if name == YES else "tiny-llava-direct"]}
    rows = [{"factor": one, "left": left_over(name, one), "arm": label,
             **share(part, "odds")._asdict()}
            for (which, one), part in weak[name].groupby("arm")
            if which == arm]  # fmt: skip
    line = pd.DataFrame(rows)
    plots.with_band(line, "factor", "arm", panels[0], tones, {label: style})
    if arm == "team":
        plots.with_band(line, "left", "arm", panels[1], tones)
        curve = line.set_index("factor")["estimate"].sort_index(ascending=False)
        half = next((one for one in curve.index if curve[one] < curve[1.0] / 2), None)
        told = f"a factor of {half:g}" if half else "no factor that we tried"
        glue("ch7_half" + ("" if name == YES else "_control"), told)
panels[0].set(xscale="log", xlabel="factor on the attention to the image",
              ylabel="log-odds of the right answer")  # fmt: skip
panels[1].set(xlabel="attention that is left on the image")
panels[0].legend(fontsize=8)
panels[1].get_legend().remove()
glue("ch7_tenth", f"{100 * left_over(YES, 0.1):.0f} %")
glue("ch7_hundredth", f"{100 * left_over(YES, 0.01):.0f} %")

# %% [markdown]
# **Figure 7.7.** *Dose curves of the cut.* Left: by the factor that multiplies the attention
# (dashed: all heads but the team are weakened instead). Right: the same points of the team, by
# the share of its attention that is left on the image (of the first of the team; bands are 95 %
# intervals over scenes). The model's log-odds are halved first at {glue:text}`ch7_half`.
#
# That looks like an astonishing reserve, and it is none. The head puts nearly everything on the
# image, so a tenth of it still wins: with a factor of 0.1 the share left is
# {glue:text}`ch7_tenth`, with 0.01 it is {glue:text}`ch7_hundredth`. Report the share. The
# factor by itself says little, as the dose of Chapter 6 said little without the length of the
# stream.
#
# ````{exercise} Which factor?
# :label: ch7-factor
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `factor_for(now, wanted)`: by what must you multiply the attention to some keys so that
# their share goes from `now` to `wanted`? Mind that the row is made to sum to one afterwards.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def factor_for(now, wanted):
    # f * now / (f * now + 1 - now) = wanted. In odds: the factor multiplies them.
    return (wanted / (1 - wanted)) / (now / (1 - now))


# %%
ch07.check_factor_for(factor_for)

# %% [markdown]
# ## Does the ID arrive?
#
# The model loses its answer. Is that because the *ID* no longer reaches the word? Read it
# there. From training pairs, take the IDs and their column and row axes, as in Chapter 4, at
# the stream behind the last block of the team. Then, for {term}`held-out pairs <held-out pair>`, put the first object
# in every cell of the grid and read where the word's state lies in the plane of the axes:
# without a cut, with the team cut, and with all other heads cut.

# %%
ordered = list(itertools.permutations(PAPER_OBJECTS, 2))
makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
held_out = [pair for pair in ordered if is_held_out_pair(*pair)]
rng = np.random.default_rng(SEED)
makers = [makers[i] for i in rng.choice(len(makers), 3 if SMALL else 8, replace=False)]
PAIRS = [held_out[i] for i in rng.permutation(len(held_out))[: 2 if SMALL else 5]]
DEPTH = {name: max(block for block, _ in TEAM[name]) for name in MODELS}
SITE = {name: MODELS[name].resid_post(depth) for name, depth in DEPTH.items()}
PLANE = {
    name: SpatialIDs.extract(
        vlm, makers, sites=[SITE[name]], partners=1, seed=SEED, progress=False
    ).axes(SITE[name])
    for name, vlm in MODELS.items()
}
CELLS = list(np.ndindex(4, 4))
LOOKS = ("no cut", "team cut", "all others cut")


def on_grid(pair, cell, seed):
    """A scene with the first object of a pair in a cell, the other in any other one."""
    free = [other for other in CELLS if other != cell]
    partner = free[np.random.default_rng([seed, *cell]).integers(len(free))]
    return grid_scene(pair, (cell, partner), PAPER_SIZES[-1], 4)


# %% [markdown]
# While you are there, read what every part *wrote*. The stream at a site is a sum: what entered
# the first block, plus what each head added, plus what each MLP added. Heads are written out
# with $z_q W_O$.
#
# ````{exercise} What each head adds
# :label: ch7-outputs
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `head_outputs(z, W_O)`. `z` has shape `[batch, position, head, d_head]`, `W_O` has shape
# `[head, d_head, d_model]`. Return what each head adds to the stream, `[batch, position, head,
# d_model]`. Summed over heads it must be what the block's attention adds.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def head_outputs(z, W_O):
    # Every head has its own matrix; the letters say which axes meet. Hugging Face's
    # o_proj does the same on all heads side by side, and sums over them in passing.
    return torch.einsum("bphd,hdm->bphm", z, W_O)


# %%
ch07.check_head_outputs(head_outputs, BRIDGES[YES], inputs)

# %%
def read_words(name, pair, seed):
    """States of the first noun under each look, and what the parts wrote (no cut)."""
    vlm, bridge, team = MODELS[name], BRIDGES[name], TEAM[name]
    text = LEFT_RIGHT.format(*pair)
    prompts = [vlm.prompt(on_grid(pair, cell, seed).render(), text) for cell in CELLS]
    span, image = prompts[0].word(pair[0]), prompts[0].image_patches.positions
    before = [head for head in HEADS[name] if head[0] <= DEPTH[name]]
    others = [head for head in before if head not in team]
    parts = ("attn.hook_z", "hook_mlp_out", "hook_resid_post")
    wanted = [f"blocks.{b}.{part}" for b in range(DEPTH[name] + 1) for part in parts]
    found = {}
    for look, heads in zip(LOOKS, ((), team, others), strict=True):
        hooks = [(f"blocks.{block}.attn.hook_attn_scores", cut(head, span, image))
                 for block, head in heads]  # fmt: skip
        with bridge.hooks(fwd_hooks=hooks):
            inputs = bridge_inputs(vlm, prompts)
            _, seen = bridge.run_with_cache(**inputs, names_filter=wanted)
        found[look] = seen[SITE[name]][:, span[-1]].float().cpu()
        if look == "no cut":
            found |= written(name, seen, span[-1])
    return found


def written(name, seen, position):
    """What the team, the other heads and the MLPs added at a token, up to the site."""
    found = {"team": 0, "other heads": 0, "MLPs": 0}
    for block in range(DEPTH[name] + 1):
        z = seen[f"blocks.{block}.attn.hook_z"][:, position : position + 1]
        outputs = head_outputs(z, BRIDGES[name].blocks[block].attn.W_O)[:, 0]
        for head, vectors in enumerate(outputs.unbind(1)):
            whose = "team" if (block, head) in TEAM[name] else "other heads"
            found[whose] = found[whose] + vectors.float().cpu()
        mlp = seen[f"blocks.{block}.hook_mlp_out"][:, position]
        found["MLPs"] = found["MLPs"] + mlp.float().cpu()
    return found


# %%
places = torch.tensor(CELLS).float().flip(1)  # column, row
places = places - places.mean(0)
plane = {}  # (model, what) -> [pairs, cells, 2], in cells from the pair's own mean
for name in MODELS:
    read = [read_words(name, pair, number) for number, pair in enumerate(PAIRS)]
    for what in read[0]:
        vectors = torch.stack([one[what] for one in read])
        centred = vectors - vectors.mean(1, keepdim=True)
        plane[name, what] = torch.from_numpy(geometry.on_plane(centred, PLANE[name]))


def cells_per_cell(name, what):
    """How far the word's place moves when the object moves by one cell."""
    along = (plane[name, what] * places).sum((1, 2))
    return stats.ratio_of_means(along, [float(places.square().sum())] * len(along))


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(2, 3, figsize=(10.5, 7.2), sharex="row", sharey="row")
for line, name in zip(panels, MODELS, strict=True):
    for axes, what in zip(line, LOOKS, strict=True):
        mean = plane[name, what].mean(0).reshape(4, 4, 2).numpy()
        for points in (*mean, *mean.swapaxes(0, 1)):
            axes.plot(points[:, 0], points[:, 1], color="#0072B2", lw=1, alpha=0.6)
        flat = plane[name, what].reshape(-1, 2).numpy()
        colors = plt.cm.viridis((places[:, 0] / 3 + 0.5).repeat(len(PAIRS)).numpy())
        axes.scatter(flat[:, 0], flat[:, 1], s=14, c=colors, lw=0, zorder=3)
        slope = cells_per_cell(name, what)
        axes.set_title(f"{what}: {slope.estimate:z.2f} cells per cell", fontsize=10)
        axes.set_aspect("equal")
    line[0].set_ylabel(f"{name}, {SITE[name]}\ncells downward", fontsize=9)
    line[0].invert_yaxis()
for axes in panels[1]:
    axes.set_xlabel("cells rightward")
figure.tight_layout()
for end, name in (("", YES), ("_control", NO)):
    for key, what in zip(("plain", "cut", "others"), LOOKS, strict=True):
        glue(f"ch7_slope_{key}{end}", cells_per_cell(name, what))

# %% [markdown]
# **Figure 7.8.** *The map at the word, and what is left of it.* Dots: the first noun's state in
# the plane of the ID axes, for every cell and several held-out pairs, coloured by the column
# that the object is in. Lines join the cells' means. In the title: how many cells the word's
# place moves when the object moves by one. In the model it is {glue:text}`ch7_slope_plain`
# without a cut, {glue:text}`ch7_slope_cut` with the team cut, and {glue:text}`ch7_slope_others`
# with all other heads cut. The map does not bend or fade. It collapses.
#
# Now the lower row, and the second surprise. The control's nouns have a map as well
# ({glue:text}`ch7_slope_plain_control`), rougher, and its looker brings a good part of it: with
# the cut, {glue:text}`ch7_slope_cut_control` is left. Yet Figure 7.5 says that the answer does
# not change. The control's head does fetch places. **Nobody reads them.** A readout at the word
# would have called it a {term}`spatial ID`; so would a picture of the attention.
#
# And who *wrote* the model's map?

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(7.5, 3.2))
parts = ["team", "other heads", "MLPs", "no cut"]
for shift, name in zip((-0.18, 0.18), MODELS, strict=True):
    color = plots.COLORS["tiny-llava" if name == YES else "tiny-llava-direct"]
    for height, what in enumerate(parts):
        found = cells_per_cell(name, what)
        axes.barh(-height - shift, found.estimate, 0.34, color=color, alpha=0.75,
                  label=name if not height else None)  # fmt: skip
        axes.plot([found.low, found.high], [-height - shift] * 2, color="0.15", lw=1.5)
        end = "" if name == YES else "_control"
        glue(f"ch7_wrote_{what.split()[0]}{end}", found)
axes.set_yticks(-np.arange(4), [*parts[:3], "the word's state"])
axes.axvline(0, color="0.3", lw=1)
axes.set(xlabel="cells that it moves when the object moves by one")
axes.grid(False, axis="y")
axes.legend(loc="center right", bbox_to_anchor=(1, 0.62))
figure.tight_layout()

# %% [markdown]
# **Figure 7.9.** *Who writes the map?* What each part adds to the word, along the ID axes; the
# first three add up to the fourth. (What enters the first block is the word itself and knows no
# place.) Lines: 95 % intervals over pairs. In the model the team alone writes
# {glue:text}`ch7_wrote_team` of a cell per cell, the other heads {glue:text}`ch7_wrote_other`,
# the MLPs {glue:text}`ch7_wrote_MLPs`. So most of the ID at the word *is* the output of the
# team. In the control the MLPs have a larger part: {glue:text}`ch7_wrote_MLPs_control`.
#
# (A model that norms what its heads add before adding it, as Gemma 3 does, needs one more step;
# there the first three do not add up.)
#
# ## Where it looks is what it believes
#
# A head brings *values* from *where it looks*. Which of the two says where the frog is? Think
# about it before you go on. Perhaps the patch of the frog says "frog, top left", and the head
# copies it. Then a patch without a frog has nothing to say.
#
# Test it with the {term}`mirror swap` of Chapter 3, but inside the head. Run the mirrored scene, keep
# the patterns and the $z$. Then run the clean scene and, at the two nouns:
# - swap the team's **output** $z$: both where it looks and what it finds there;
# - swap only its **pattern**: it looks at the mirrored places *of the clean image*, where there
#   is, most of the time, nothing but background.

# %%
ARMS = ("team, output", "team, pattern", "other heads, output", "all heads, output")
SITES = ("hook_z", "hook_pattern")


def swap_hooks(name, case, source):
    """Hooks for a row each arm, from the patterns and outputs of the mirrored run."""
    team = TEAM[name]
    nouns = [position - case.start for span in case.nouns for position in span]
    others = [head for head in HEADS[name] if head not in team]
    chosen = dict(zip(ARMS, (team, team, others, HEADS[name]), strict=True))

    def write(tensor, hook, site, block):
        tensor = tensor.clone()
        for row, (arm, heads) in enumerate(chosen.items()):
            mine = [head for b, head in heads if b == block]
            if site == "hook_z" and arm.endswith("output"):
                for head in mine:
                    tensor[row, nouns, head] = source[site, block][0, nouns, head]
            elif site == "hook_pattern" and arm.endswith("pattern"):
                for head in mine:
                    tensor[row, head, nouns] = source[site, block][0, head, nouns]
        return tensor

    return [
        (f"blocks.{b}.attn.{site}",
         lambda t, hook, site=site, b=b: write(t, hook, site, b))
        for b in range(MODELS[name].n_layers) for site in SITES
    ]  # fmt: skip


# %%
def mirror_swap_heads(name, case):
    """One row for each arm: the log-odds clean, mirrored and patched."""
    flipped, source = mirror(case.scene, case.axis), {}
    asked = questions.Question(AXES[case.axis], case.prompt.question, "", case.names)
    other = make_case(MODELS[name], flipped, case.axis, asked, case.labels)
    readers = [
        (f"blocks.{b}.attn.{site}",
         lambda t, hook, site=site, b=b: source.update({(site, b): t.clone()}))
        for b in range(MODELS[name].n_layers) for site in SITES
    ]  # fmt: skip
    mirrored = right_odds(name, other, 1, readers) * other.sign * case.sign
    hooks = swap_hooks(name, case, source)
    *patched, clean = right_odds(name, case, len(ARMS) + 1, hooks)  # the last as it is
    return [case.labels | {"arm": arm, "clean": clean, "mirrored": mirrored[0],
                           "patched": value}
            for arm, value in zip(ARMS, patched, strict=True)]  # fmt: skip


swapped = {}
for name in MODELS:
    cases = judging[name][::4]
    table = pd.DataFrame([row for c in cases for row in mirror_swap_heads(name, c)])
    swapped[name] = table.assign(turned=table["clean"] * table["patched"] < 0)
keep("swaps", pd.concat(table.assign(model=name) for name, table in swapped.items()))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the table", "code_prompt_hide": "Hide the code"}
rows = []
keys = dict(zip(ARMS, ("output", "pattern", "others", "every"), strict=True))
for end, name in (("", YES), ("_control", NO)):
    for arm, part in swapped[name].groupby("arm", sort=False):
        found = stats.recovered_fraction(part)
        turned = percent(stats.share(part["turned"]))
        glue(f"ch7_recovered_{keys[arm]}{end}", found)
        glue(f"ch7_turned_{keys[arm]}{end}", turned)
        text = f"{found.estimate:z.2f} [{found.low:z.2f}, {found.high:z.2f}]"
        rows.append({"model": name, "swapped at the nouns": arm,
                     "beliefs turned": turned, "recovered fraction": text,
                     "questions": found.n})  # fmt: skip
pd.DataFrame(rows).set_index(["model", "swapped at the nouns"])

# %% [markdown]
# **Table 7.3.** *Mirror swaps inside the heads.* The recovered fraction is that of Chapter 3: 0
# if nothing comes along, 1 if the belief is that of the mirrored picture. The team's output
# recovers {glue:text}`ch7_recovered_output` in the model, as much as the outputs of all heads
# ({glue:text}`ch7_recovered_every`).
#
# And the pattern alone recovers {glue:text}`ch7_recovered_pattern` and turns
# {glue:text}`ch7_turned_pattern` of {term}`beliefs <belief>`. Read that again. The image is the clean one. The
# head is made to look where the frog is *not*, finds bare background there, and the model
# believes that the frog is there. So the patch does not say "frog, top left". The frog decides
# where the head *looks*, and the place where it looks becomes the frog's ID.
#
# Then patches without any object must know their place as well. Ask them. Take what the head
# would bring from each patch, if it looked at that patch alone ($v_k W_O$), and put it in the
# plane of the ID axes.

# %%
def offers(name):
    """What the first of the team would bring from each patch, in the ID plane."""
    (block, head), vlm, bridge = TEAM[name][0], MODELS[name], BRIDGES[name]
    site = f"blocks.{block}.attn.hook_v"
    W_O, rows = bridge.blocks[block].attn.W_O[head].float().cpu(), []
    for case in choosing[name]:
        inputs = bridge_inputs(vlm, case.prompt)
        _, seen = bridge.run_with_cache(**inputs, names_filter=lambda n: n == site)
        view, values = case.prompt.image_patches.whole, seen[site][0].float().cpu()
        shared = bridge.cfg.n_heads // values.shape[1]  # heads may share their values
        brought = values[list(view.positions), head // shared] @ W_O
        plane = geometry.on_plane(brought, PLANE[name])
        for index, (place, xy) in enumerate(zip(view.positions, plane, strict=True)):
            row, column = divmod(index, view.grid[1])
            shows = place in case.own[0] or place in case.own[1]
            kind = "empty" if place in case.background else "object" if shows else "?"
            rows.append({"scene": case.labels["scene"], "kind": kind, "row": row,
                         "column": column, "x": xy[0], "y": xy[1],
                         "right": 4 * (column + 0.5) / view.grid[1],
                         "down": 4 * (row + 0.5) / view.grid[0]})  # fmt: skip
    return pd.DataFrame(rows)


def loudness(table):
    """Cells that the offer moves when the patch moves by one, over scenes."""
    values = ["x", "y", "right", "down"]
    table = table.assign(**(table[values] - table[values].mean()))
    table["along"] = table["x"] * table["right"] + table["y"] * table["down"]
    table["whole"] = table["right"] ** 2 + table["down"] ** 2
    sums = table.groupby("scene")[["along", "whole"]].sum()
    return stats.ratio_of_means(sums["along"], sums["whole"])


offered = {name: offers(name) for name in MODELS}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(
    1, 2, figsize=(9, 4.4), layout="constrained", sharex=True, sharey=True
)
for axes, (name, table) in zip(panels, offered.items(), strict=True):
    cells = table[table["kind"] == "empty"].groupby(["row", "column"])[["x", "y"]]
    cells = cells.mean() - cells.mean().mean()
    mesh = np.stack([cells[axis].unstack() for axis in "xy"], -1)
    for points in (*mesh, *mesh.swapaxes(0, 1)):
        axes.plot(points[:, 0], points[:, 1], color="#009E73", lw=1, alpha=0.7)
    tones = np.tile(plt.cm.viridis(np.linspace(0, 1, mesh.shape[1])), (len(mesh), 1))
    axes.scatter(*mesh.reshape(-1, 2).T, c=tones, s=16, zorder=3)
    axes.set(title=f"{name}, head {name_of(TEAM[name][0])}", xlabel="cells rightward")
    axes.set_aspect("equal")
    axes.xaxis.set_major_locator(plt.MaxNLocator(5))
    for kind in ("empty", "object"):
        found = loudness(table[table["kind"] == kind])
        glue(f"ch7_loud_{kind}" + ("" if name == YES else "_control"), found)
panels[0].set_ylabel("cells downward")
panels[0].invert_yaxis()

# %% [markdown]
# **Figure 7.10.** *What an empty patch would tell.* Each dot is a patch, averaged over the
# scenes in which it shows no object, coloured by its column in the image. Neighbours are
# joined. The image is there, laid out in the values of its empty patches. An empty patch moves
# the word by {glue:text}`ch7_loud_empty` cells per cell in the model, and a patch with an
# object by {glue:text}`ch7_loud_object`: every patch says where it is, and an object's patch
# says it louder. In the control the map is crumpled and small
# ({glue:text}`ch7_loud_empty_control` and {glue:text}`ch7_loud_object_control`).
#
# {cite:t}`cui2026dual` argue, by other means and on large models, that the vision encoder lays
# the scene out over background patches. In this model you see it from the side of the head that
# reads it.
#
# ## Point the head
#
# Then you can put the frog anywhere, by hand. Make the head look at one patch and at nothing
# else, and ask the question. Do this for every patch.
#
# ````{exercise} Point the head
# :label: ch7-point
#
# Difficulty ●●○ · importance ●●○ · 20 minutes
#
# Write `look_at(head, query, keys)`. It returns a hook for `hook_pattern`: in row $i$ of the
# batch, `head` at `query` looks at `keys[i]` alone. All other rows, heads and queries stay.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def look_at(head, query, keys):
    def point(pattern, hook):
        pattern = pattern.clone()
        pattern[:, head, query] = 0  # every look away, or rows sum to more than one
        rows = torch.arange(len(keys))
        # Two lists as indices are read as pairs, which is just what is needed here.
        pattern[rows, head, query, torch.tensor(keys)] = 1
        return pattern

    return point


# %%
ch07.check_look_at(look_at, bridge, inputs, case.prompt)


# %%
def point_everywhere(name, case):
    """Log-odds of the first answer, the team's first head pointed at each patch."""
    block, head = TEAM[name][0]
    view, size = case.prompt.image_patches.whole, max(1, 32768 // MODELS[name].d_model)
    odds = []
    for begin in range(0, len(view.positions), size):
        keys = list(view.positions[begin : begin + size])
        hook = look_at(head, case.nouns[0][-1] - case.start, keys)
        hooks = [(f"blocks.{block}.attn.hook_pattern", hook)]
        odds.append(case.sign * right_odds(name, case, len(keys), hooks))
    return np.concatenate(odds).reshape(view.grid)


pointed = {name: point_everywhere(name, choosing[name][number]) for name in MODELS}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(8.6, 4.3), layout="constrained")
limit = max(float(np.abs(values).max()) for values in pointed.values())
for axes, name in zip(panels, MODELS, strict=True):
    case, values = choosing[name][number], pointed[name]
    extent = (0, values.shape[1], values.shape[0], 0)
    axes.imshow(case.prompt.image, extent=extent)
    axes.imshow(values, extent=extent, cmap="coolwarm_r", vmin=-limit, vmax=limit,
                alpha=0.55)  # fmt: skip
    axes.set(title=f"{name}, head {name_of(TEAM[name][0])}", xticks=[], yticks=[])
    for row, column in np.ndindex(values.shape) if values.size <= 100 else ():
        axes.text(column + 0.5, row + 0.5, f"{values[row, column]:+z.0f}", ha="center",
                  va="center", fontsize=7)  # fmt: skip
figure.suptitle(case.prompt.question, fontsize=10)
figure.colorbar(panels[0].images[-1], ax=panels, shrink=0.75,
                label=f"log-odds of “{ANSWERS[case.axis][0]}”")  # fmt: skip
glue("ch7_first_noun", case.names[0])
glue("ch7_second_noun", case.names[1])

# %% [markdown]
# **Figure 7.11.** *Point the head.* Each patch is coloured by the belief that the model has
# when the head looks, from the first noun (“{glue:text}`ch7_first_noun`”), at this patch alone:
# blue for "Left", red for "Right". The picture and the question never change. If the head's
# gaze is what places the first object, blue lies left of the second object
# (“{glue:text}`ch7_second_noun`”) and red lies right of it. In the control, point where you
# will.
#
# How often does it work? Mind a trap that you met in Chapter 6: many patches lie on the side
# where the object really is, and there the right answer proves nothing. So count only patches
# on the *other* side, those that would turn the answer over if the object were there. And take
# questions whose second object lies in the middle half of the picture, so that there is room on
# both sides; and which the model gets right when nobody points.

# %%
def along(case, value):
    """The part of (x, y) that the question is about."""
    return value[0] if case.axis == "column" else value[1]


def turns(name, case):
    """Of the patches that would turn the answer, the share that turned the belief."""
    view = case.prompt.image_patches.whole
    left, top, right, bottom = view.box
    down, across = (np.indices(view.grid) + 0.5) / np.reshape(view.grid, (2, 1, 1))
    places = along(case, (left + (right - left) * across, top + (bottom - top) * down))
    other = case.scene.find(case.names[1])
    distance = along(case, (other.x, other.y)) - places
    would_turn = case.sign * distance < -questions.MARGIN
    return (case.sign * point_everywhere(name, case) < 0)[would_turn].mean()


def has_room(case):
    other = case.scene.find(case.names[1])
    return abs(along(case, (other.x, other.y)) - 0.5) < 0.25


def is_right(name, case):
    return right_odds(name, case)[0] > 0


for end, name in (("", YES), ("_control", NO)):
    roomy = [c for c in judging[name] if has_room(c)][:: 1 if SMALL else 5]
    found = [turns(name, case) for case in roomy[:14] if is_right(name, case)]
    found = [value for value in found if not np.isnan(value)]
    told = percent(stats.share(found)) if len(found) > 1 else "(too few right answers)"
    glue(f"ch7_points{end}", told)
    print(f"{name}: {told} of patches on the other side, {len(found)} questions")

# %% [markdown]
# Pointing one head at one patch turns the belief at {glue:text}`ch7_points` of the patches that
# should turn it in the model, and at {glue:text}`ch7_points_control` of them in the control.
# This is steering (Chapter 6) without any vector: you move the gaze, and the model's own values
# do the rest. Where it fails, remember Figure 7.10: an empty patch speaks softly. Its place is
# drawn towards the middle of the map, and may not get past the second object, which speaks
# loudly.
#
# Be careful with what follows from it. That a *pointed* head decides does not say that patterns
# explain models. The control's head has as clear a pattern, and pointing it does nothing. Here
# the pattern is a cause because we *made* it one, by an edit, and looked at what changed.
#
# ## Summary
#
# - Only attention heads move anything between tokens. A **bridge** opens them: scores,
#   patterns, outputs, with the same weights.
# - Looking is easy to see and easy to over-read. The model's {glue:text}`ch7_looker` puts
#   {glue:text}`ch7_looks` of its attention on the noun's object, the control's
#   {glue:text}`ch7_looker_control` puts {glue:text}`ch7_looks_control` there. Chance is
#   {glue:text}`ch7_chance`.
# - A **cut** before the softmax takes one look away and leaves rows that sum to one. Its
#   controls are other keys, other heads, and everything but the team.
# - On scenes that had no part in choosing, cutting {glue:text}`ch7_team` takes the right
#   answer's log-odds from {glue:text}`ch7_odds_plain` to {glue:text}`ch7_odds_team`; with only
#   this look left they are {glue:text}`ch7_odds_alone`. The model {glue:text}`ch7_verdict`. The
#   control {glue:text}`ch7_verdict_control`.
# - In this model it is {glue:text}`ch7_team_size`. It is small and fetches in one step; expect
#   teams and backups in large ones, and use the methods that find them.
# - The head writes most of the word's ID itself ({glue:text}`ch7_wrote_team` cells per cell).
# - Where it looks is what the model believes: swapping the pattern alone, over an unchanged
#   image, recovers {glue:text}`ch7_recovered_pattern`.
# - The control's head fetches a map that nobody reads. Attention, readout and cause are three
#   measurements, and no two of them agree in both models.
#
# ## Open question: a research sprint
#
# You know that the head finds the frog, and not *how*. Its score is a product of a query, made
# of the word "frog", and a key, made of a patch. Take an afternoon. Is it the name that they
# share? The patches of this model were aligned with words before anything else was learned.
# Swap the query of "frog" for that of "camel": does the head now look at the camel, and does
# the belief follow? What does the head do in a scene without a frog? With two frogs, does it
# choose one, or look at both, and where is the frog then believed to be? In "hot dog", which of
# the two tokens looks? Write down, before you run it, which result would prove you wrong. Then
# go to a large model, where there are a thousand heads, and begin with `lean_team`.
#
# ## Further reading
#
# - {cite:t}`kang2026linear` find IDs at object words; this chapter asks what brings them there.
# - {cite:t}`cui2026dual`: the layout is in the background patches, too.
# - {cite:t}`assouel2026visual`: heads that compute position indices in larger models.
# - {cite:t}`chen2025adaptvis`: spatial answers that get better when attention is scaled.
# - {cite:t}`jain2019attention` and {cite:t}`wiegreffe2019attention`: is attention an
#   explanation?
# - {cite:t}`geva2023dissecting`: cutting attention edges in language models, the knock-out used
#   here.
# - {cite:t}`wang2023interpretability`: a circuit of heads, with backups that step in.
# - {cite:t}`nanda2022transformerlens`: the library behind the bridge.
#
# **What follows.** {doc}`08_real_photos` leaves the white grids behind: do IDs that were read on clean pictures say where things
# are in a photo?
