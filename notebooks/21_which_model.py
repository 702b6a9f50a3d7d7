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
# # Which model, on which GPU, for how long
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/21_which_model.ipynb)
# · about 15 minutes to read, another 130 for the exercises, seconds to run
# · runs without a GPU · builds on Chapter [20](20_how_fast_and_why.ipynb)
#
# Every chapter runs on any model below: set `MODEL` in its parameters cell to a short name, a
# hub id or a folder. **Which one fits the machine that you have, and how long will it take?**
#
# **You will learn**
# - which models the book knows, what they need, and what they cost to download
# - how to count a model's parameters from its config, before you download it
# - what to do when one does not fit, and what rounding its weights does to it
# - how to work out a run's time from counts, and what to cut when it is too long

# %% tags=["parameters"]
MODEL = "tiny-llava"  # whose run of the book the counts come from
RESULTS = "../_build/results"  # where chapters leave what they measured
SMALL = False  # for the sake of uniformity: nothing here takes long
SEED = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import LlamaConfig

import helpers
from helpers.catalog import KNOWN, memory_needed
from helpers.exercises import ch21
from helpers.report import glue
from helpers.stimuli import questions

# %% [markdown]
# ## The models
#
# Those without a note are in the paper; {doc}`../book/references` has the reports of all of them. `memory` is what the weights take at half precision, in
# GB, and a little more for passes. `image tokens` are those of a picture of 448 × 448 pixels.

# %%
table = helpers.models()
table.drop(columns=["family", "note"]).sort_values("parameters")

# %%
notes = table.loc[table["note"] != "", "note"]
notes.to_frame()

# %% [markdown]
# - **Gated** models need a yes to their licence on their page on the hub, and a login
#   (`hf auth login`). `load_vlm` says so before it starts.
# - **LLaVA-Video** is not in Hugging Face's form. Download it, then run
#   `python -m helpers.convert llava-video SRC DST`, and set `MODEL` to the folder `DST`.
# - **Llama 3.2** keeps the picture's patches out of the sequence: its text blocks attend to them
#   on the side. Parts of the book that edit image tokens skip it, and say so.
#
# ````{exercise} Choose by what you will do
# :label: which-choose
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `choose(table, gigabytes, video, patches)`: the name (index) of the model with the most
# `parameters` whose `memory` is no more than `gigabytes`. With `video=True` it must take videos.
# With `patches=True` you will edit patches, so a picture must be more than one of the
# `image tokens`. If none will do, return `None`.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def choose(table, gigabytes, video, patches):
    fits = table["memory"] <= gigabytes
    # What an experiment cannot do without comes first, and size last.
    if video:
        fits &= table["video"]
    if patches:
        fits &= table["image tokens"] > 1
    return table.loc[fits, "parameters"].idxmax() if fits.any() else None


# %%
ch21.check_choose(choose)
for video, patches in ((False, True), (True, False)):
    print("on a T4,", "videos:" if video else "patches:", choose(table, 14.5, video, patches))

# %% [markdown]
# ## Does it fit?
#
# The table gives rounded numbers of parameters. You can have them exactly, from a file of a few
# lines that every model on the hub has beside its weights: `config.json`. In a decoder like
# Llama's, each block has four matrices in attention (queries, keys, values, output), three in the
# MLP (gate, up, down), and two norms with a number for each dimension of the stream. Before the
# blocks stands a vector for each token, behind them one more norm, and the matrix of the logits.
# Nothing has a bias.
#
# ````{exercise} Count before you download
# :label: which-count
#
# Difficulty ●●○ · importance ●●○ · 20 minutes
#
# Write `decoder_parameters(config)`. Of the config you need `vocab_size`, `hidden_size`,
# `intermediate_size`, `num_hidden_layers`, `num_attention_heads`, `num_key_value_heads` (several
# heads may share keys and values), `head_dim`, and `tie_word_embeddings` (the logits' matrix is
# the embeddings' again).
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def decoder_parameters(config):
    d, head = config.hidden_size, config.head_dim
    # Queries and output: as many heads as attend. Keys and values: as many as are kept.
    attention = 2 * d * head * (config.num_attention_heads + config.num_key_value_heads)
    block = attention + 3 * d * config.intermediate_size + 2 * d
    tables = 1 if config.tie_word_embeddings else 2
    return tables * config.vocab_size * d + config.num_hidden_layers * block + d


# %%
ch21.check_decoder_parameters(decoder_parameters)
of_llava = LlamaConfig(vocab_size=32064)  # all else is Llama's 7B, on which LLaVA-1.5 is built
for name, keys in {"LLaVA-1.5-7B's text": 32, "with keys of 8 heads": 8}.items():
    of_llava.num_key_value_heads = keys
    print(f"{name}: {decoder_parameters(of_llava) / 1e9:.2f} billion")

# %% [markdown]
# Shared keys save few weights. They are there for the passes: the KV cache of
# {doc}`20_how_fast_and_why` shrinks with their number.

# %%
GPUS = {"T4": 14.5, "L4": 22, "A100 40 GB": 39, "A100 80 GB": 79, "H100": 79}  # GB free


def fits(billions, gigabytes):
    for bits, text in ((16, "yes"), (8, "in 8 bits"), (4, "in 4 bits")):
        if memory_needed(billions * 1e9, bits) < gigabytes * 2**30:
            return text
    return "no"


chart = pd.DataFrame(
    {gpu: {m.short: fits(m.billions, size) for m in KNOWN} for gpu, size in GPUS.items()}
)
chart.loc[table.sort_values("parameters").index]

# %% [markdown]
# **Table B.1.** *What fits where.* Free Colab gives you a T4. Its bfloat16 is only imitated, so
# `load_vlm` takes float16 there (float32 for Gemma 3, whose activations overflow float16: count
# twice the memory).
#
# Three ways out when it does not fit:
# - a smaller sibling: findings in 1 to 3 billion parameters are findings;
# - `load_vlm(MODEL, quantization_config=BitsAndBytesConfig(load_in_4bit=True))`. Edits work on the
#   stream, which stays in half precision. But the weights are rounded, so say it with your results;
# - `load_vlm(MODEL, device_map="auto")` spreads blocks over several GPUs, or over GPU and main
#   memory, which is slow.
#
# Every chapter prints a line at the start, before anything large is loaded: what the model needs,
# and what is free. Too little is an error that names the largest model that would fit.
#
# ````{exercise} As few bits as you must
# :label: which-bits
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `which_fit(table, gigabytes)`. The table has `parameters` (billions) and `bits`: those
# that the model runs in unrounded, 32 for Gemma 3 on a T4. A weight takes `bits / 8` bytes;
# passes take another 1.5 GB; a GB is `2**30` bytes here. Return a dictionary from a model's name
# to the most bits that fit: its own, or 8, or 4. Leave out what does not fit.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def which_fit(table, gigabytes):
    found = {}
    for name, row in table.iterrows():
        for bits in (int(row["bits"]), 8, 4):
            if row["parameters"] * 1e9 * bits / 8 + 1.5 * 2**30 <= gigabytes * 2**30:
                found[name] = bits
                break  # from many bits to few: the first that fits is the most
    return found


# %%
ch21.check_which_fit(which_fit)
own_bits = table["family"].eq("Gemma 3").map({True: 32, False: 16})
on_t4 = which_fit(table.assign(bits=own_bits), GPUS["T4"])
print("on a T4:", ", ".join(f"{name} {bits}" for name, bits in on_t4.items()))

# %% [markdown]
# ## How long?
#
# Two numbers tell: how many prompts a chapter runs in full, and how many edits it runs behind
# them. Each run of the book counts them.

# %%
def counts(folder):
    """Prompts and edits of each chapter, from what its run left."""
    rows = []
    for path in sorted(Path(folder).glob("*/manifest.json")):
        manifest = json.loads(path.read_text())
        work = pd.DataFrame(manifest["work"].values(), columns=["prompts", "edits"]).sum()
        rows.append([manifest["chapter"], *work.astype(int), manifest["seconds"]])
    columns = ["chapter", "prompts", "edits", "seconds here"]
    return pd.DataFrame(rows, columns=columns).set_index("chapter")


folder = Path(RESULTS) / Path(MODEL).name
work = counts(folder)
if work.empty:
    print(f"No results in {folder}: run some chapters first. Round numbers instead:")
    work = pd.DataFrame({"prompts": [3000], "edits": [30000], "seconds here": [np.nan]},
                        index=pd.Index(["a chapter"], name="chapter"))  # fmt: skip
work

# %% [markdown]
# **Table B.2.** *Counts of the book's own run*, on one thread of a CPU, both models of a chapter
# together. On another model the counts stay nearly the same.
#
# Now the rule of thumb. A pass costs two operations for each parameter and token. A GPU reaches
# perhaps a third of what its data sheet says, because the prompts are short and batches small. An
# edit behind a kept prefix costs about a fiftieth of a pass (see "How fast, and why").

# %%
SHEET = {"T4": 65e12, "L4": 121e12, "A100": 312e12, "H100": 989e12}  # half precision, dense


def minutes(billions, tokens, prompts, edits, sheet, reached=1 / 3, edit=1 / 50):
    passes = prompts + edit * edits
    return passes * 2 * billions * 1e9 * tokens / (sheet * reached) / 60


total = work[["prompts", "edits"]].sum()
times = {
    m.short: {
        gpu: minutes(m.billions, m.image_tokens + 40, total["prompts"], total["edits"], sheet)
        for gpu, sheet in SHEET.items()
    }
    for m in KNOWN
    if m.family != "Llama 3.2 Vision"
}
times = pd.DataFrame(times).T
glue("which_prompts", f"{total['prompts']:,}")
glue("which_edits", f"{total['edits']:,}")
glue("which_t4", f"{times.loc['qwen2-vl-2b', 'T4']:.0f}")
times.map("{:,.0f}".format)

# %% [markdown]
# **Table B.3.** *Minutes for all chapters together, by rule of thumb*:
# {glue:text}`which_prompts` prompts and {glue:text}`which_edits` edits. These are estimates from
# counts, not measurements, and leave out loading and drawing: take them for "minutes, hours, or
# days". Qwen2-VL-2B on a free T4: about {glue:text}`which_t4` minutes. (Llama 3.2 is left out:
# its patches cost time without being tokens.)
#
# ````{exercise} Your own estimate
# :label: which-estimate
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `affordable(hours, billions, tokens, flops)`: how many full passes can you afford, if the
# machine does `flops` operations a second and you count two operations for each parameter and
# token? Round down.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def affordable(hours, billions, tokens, flops):
    # One multiplication and one addition for each weight and token.
    return int(hours * 3600 * flops // (2 * billions * 1e9 * tokens))


# %%
ch21.check_affordable(affordable)
print(f"two hours, 7 billion, 620 tokens, 20 TFLOPS: {affordable(2, 7, 620, 20e12):,} passes")

# %% [markdown]
# Edits are cheaper than passes, and there are more of them. In the book's sweeps each prompt is
# run once, and kept: in each block, a key and a value for the tokens before the edited word
# `first`, and the residual of each token from it on. Behind block $l$ of $L$, an edit then runs
# the tokens from `first` on through $L - 1 - l$ blocks.
#
# ````{exercise} The cost of a sweep
# :label: which-sweep
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# Write `sweep_cost(prompts, edits, tokens, first, blocks, width, bytes_each)`. For each prompt,
# `edits` edits are made behind *every* block. Return two numbers: what the sweep costs in full
# passes, clean passes included, and how many bytes must be kept at a time, if prompts come one
# after the other and keys, values and residuals are `width` numbers each.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def sweep_cost(prompts, edits, tokens, first, blocks, width, bytes_each):
    suffix = tokens - first
    # Blocks left to run behind block l: L - 1 - l. Over all l that sums up to L (L - 1) / 2.
    share = suffix / tokens * (blocks - 1) / 2
    kept = (2 * first + suffix) * width * bytes_each * blocks
    return prompts * (1 + edits * share), kept


# %%
ch21.check_sweep_cost(sweep_cost)
shape = {"tokens": 620, "first": 594, "blocks": 32, "width": 4096, "bytes_each": 2}
for edits in (1, 20, 200):
    needed, kept = sweep_cost(500, edits, **shape)
    print(f"500 prompts, {edits} edits behind each of 32 blocks: {needed:,.0f} passes "
          f"(naively {500 * (1 + 32 * edits):,}), {kept / 2**20:.0f} MB kept")

# %% [markdown]
# What if it is still too long? Cut, but not everything alike. Doses first: two of them, the one
# that you will report and half of it, still show a slope. Then blocks: every fourth, then those
# around the best, chosen on one half of the cases. Then cases, down to a few hundred: the
# width of an interval shrinks with the root of their number only. Noise seeds last, since they
# are what your claim is against.
#
# ````{exercise} Shrink an experiment
# :label: which-shrink
#
# Difficulty ●●○ · importance ●●● · 25 minutes
#
# Write `shrink(plan, least, budget)`. A plan is a dictionary of counts, such as
# `{"doses": 9, "blocks": 32, "cases": 500, "seeds": 20}`; their product is the number of edits.
# Return a plan of no more than `budget` edits. Cut in the order of `least`: the first count down
# to its least, and no further than needed, before the second is touched, and so on. If even the
# least of all is too much, raise a `ValueError`. Then ask yourself: for which of *your* questions
# would this order be wrong?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def shrink(plan, least, budget):
    plan = dict(plan)
    for name, fewest in least.items():
        others = math.prod(count for other, count in plan.items() if other != name)
        # How many the budget pays for, with all else as it is by now.
        plan[name] = max(fewest, min(plan[name], budget // others))
    if math.prod(plan.values()) > budget:
        raise ValueError(f"{budget:,} edits are too few: {plan} is the least, and still more")
    return plan


# %%
ch21.check_shrink(shrink)
wanted = {"doses": 9, "blocks": 32, "cases": 500, "seeds": 20}
least = {"doses": 2, "blocks": 8, "cases": 200, "seeds": 5}
for budget in (10**6, 10**5, 2 * 10**4):
    print(f"{budget:9,} edits:", shrink(wanted, least, budget))

# %% [markdown]
# For a question about *how* a {term}`belief` turns ({doc}`18_steering_time` asks whether along a line or
# a step), doses are what you measure, and should go last.
#
# ## What rounding does
#
# Fewer bits are the usual way out when a model does not fit. A weight in $b$ bits is one of
# $2^b - 1$ evenly spaced values, from the negative of the largest weight of its row to the
# largest. What does that do to a belief? You need no large model to begin.
#
# ````{exercise} A research sprint: fewer bits, other beliefs?
# :label: which-rounded
#
# Difficulty ●●● · importance ●●○ · 30 minutes for the function, an afternoon for the sprint
#
# Write `rounded(weights, bits)` for a matrix `[rows, columns]`: a copy in which every weight is
# the nearest of the values of its row, as above. A row of zeros stays as it is. The cell below it
# then rounds the blocks of `tiny-llava`, a few bits at a time, and asks about left and right.
# Look at the table: which column warns you first?
#
# Now the sprint. Does rounding move spatial *IDs*? Extract them ({doc}`04_finding_spatial_ids`)
# from the model at 8, 4 and 3 bits, and compare: cosine of the axes, held-out R², steering
# at the same dose. Which of the three breaks first, and would you have noticed from accuracy
# alone? Is it the rounding of attention or of the MLPs? With a GPU, do the same with a model of
# the table, in half precision, in 8 and in 4 bits. Write down your guess before you run it.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def rounded(weights, bits):
    largest = weights.abs().amax(1, keepdim=True)
    # One bit is the sign. Real tools differ in the details: scales for groups of columns, or
    # values that are closer together near zero, where most of the weights are.
    step = largest.clamp(min=torch.finfo(weights.dtype).tiny) / (2 ** (bits - 1) - 1)
    return (weights / step).round() * step


# %%
ch21.check_rounded(rounded)
small = helpers.load_vlm("tiny-llava")
asked = [
    (scene, question)
    for scene in helpers.grid_scenes(pairs=[("frog", "camel"), ("dog", "teapot")])
    for question in [questions.left_right(scene, *scene.names)] if question
][:: 64 if SMALL else 16]  # fmt: skip
prompts = [small.prompt(scene.render(), question.text) for scene, question in asked]
truth = np.array([1 if question.answer == "Left" else -1 for _, question in asked])


def beliefs_in(bits):
    """Log-odds of the model with rounded blocks, and how far its matrices are from its own."""
    matrices = [p for p in small.layers.parameters() if p.ndim == 2]
    own, error = [p.detach().clone() for p in matrices], 0.0
    with torch.no_grad():
        for parameter, kept in zip(matrices, own, strict=True):
            parameter.copy_(rounded(kept, bits))
            error += float((parameter - kept).norm() / kept.norm()) / len(own)
        odds = small.beliefs(prompts, ("Left", "Right"))["log_odds"].to_numpy()
        for parameter, kept in zip(matrices, own, strict=True):
            parameter.copy_(kept)
    return odds, error


exact = small.beliefs(prompts, ("Left", "Right"))["log_odds"].to_numpy()
rows = []
for bits in (8, 6, 4, 3, 2):
    odds, error = beliefs_in(bits)
    moved = np.abs(odds - exact).mean() / np.abs(exact).mean()
    rows.append({"bits": bits, "weights off by": error, "beliefs off by": moved,
                 "right answers": np.mean(odds * truth > 0)})  # fmt: skip
pd.DataFrame(rows).set_index("bits").map("{:.0%}".format)

# %% [markdown]
# **Table B.4.** *The blocks of `tiny-llava` in fewer and fewer bits.* How far weights and
# log-odds are from those of the model as it is, as a share of their own size, and how many
# answers are right. It is a small model, trained without rounding; large ones bear more.
#
# ## Send in what you found
#
# A chapter leaves a small folder, `results/MODEL/CHAPTER`: a manifest (model and revision,
# versions, seed, hardware, counts), every number of its text with its interval, and its tables.
# Nothing in it names you or your machine's folders. Zip `results/MODEL` and send it in with an
# issue; a later edition shows such runs beside the book's own.

# %%
found = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))
print("\n".join(found[:6]) or "nothing here yet")
print(f"in all: {len(found)} files" if found else "run a chapter first")
print("CUDA:", torch.cuda.get_device_name() if torch.cuda.is_available() else "none")

# %% [markdown]
# ## Summary
#
# - Weights at half precision take two bytes for each parameter; add a little for passes.
# - Count prompts and edits first. Two operations for each parameter and token, a third of the
#   data sheet: that is close enough to plan with.
# - When it does not fit, take a smaller sibling before you take fewer bits: beliefs move long
#   before answers turn.
# - When it takes too long, cut what your claim does not rest on.
#
# ## Open question: a research sprint
#
# Every number on this page is about *cost*. But what is a model worth to you? Take one question of
# this book and three models of the table that you can run. Before you run anything, write down
# what you expect each to answer, and how sure you are. Then run the smallest. Did it change
# what you expect of the others? If the second does not change it either, what would the third be
# for? Work out a rule that says when to stop: what an hour of GPU has to teach you before you
# pay for it.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: the models of the paper, and how each was used.
#
# **What follows.** Take a chapter and a model, and run it. {doc}`The ledger <../book/ledger>` has a place for what comes out.
