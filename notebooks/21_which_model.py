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
# · about 10 minutes to read, seconds to run · runs without a GPU
#
# Every chapter runs on any model below: set `MODEL` in its parameters cell to a short name, a
# hub id or a folder. **Which one fits the machine that you have, and how long will it take?**
#
# **You will learn**
# - which models the book knows, what they need, and what they cost to download
# - what to do when one does not fit
# - how to work out a run's time from counts, before you start it

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
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import helpers
from helpers.catalog import KNOWN, memory_needed
from helpers.exercises import ch21
from helpers.report import glue

# %% [markdown]
# ## The models
#
# Those without a note are in the paper. `memory` is what the weights take at half precision, in
# GB, and a little more for passes. `image tokens` are those of a picture of 448 × 448 pixels.

# %%
table = helpers.models()
table.drop(columns="note").sort_values("parameters")

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
# ## Does it fit?

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
# ````{exercise} Shrink an experiment
# :label: which-shrink
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# You have two hours of a T4 and a model of 7 billion parameters in 4 bits. Chapter 6 sweeps
# blocks × doses × controls × cases. What would you cut first, and what last? Write down your
# order and the numbers, then compare with the solution. (There is no check: argue.)
# ````
#
# ````{dropdown} One answer
# Cut doses before controls: two doses (the one you will report and half of it) still show a
# slope. Cut blocks by bisecting: every fourth first, then around the best, chosen on one half of
# the cases. Keep the noise seeds, since they are what your claim is against. Keep the cases above
# a few hundred: the width of an interval shrinks with the root of their number only, so below
# that you buy nothing but doubt. And sort by prompt: edits of one prompt share its clean pass.
# ````
#
# ## Send in what you found
#
# A chapter leaves a small folder, `results/MODEL/CHAPTER`: a manifest (model and revision,
# versions, seed, hardware, counts), every number of its text with its interval, and its tables.
# Nothing in it names you or your machine's folders. Zip `results/MODEL` and send it in with an
# issue; a later edition shows such runs beside the book's own.

# %%
found = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))
print("\n".join(found) or "nothing here yet")
print("CUDA:", torch.cuda.get_device_name() if torch.cuda.is_available() else "none")

# %% [markdown]
# ## Summary
#
# - Weights at half precision take two bytes for each parameter; add a little for passes.
# - Count prompts and edits first. Two operations for each parameter and token, a third of the
#   data sheet: that is close enough to plan with.
# - When it does not fit, take a smaller sibling before you take fewer bits.
#
# ## Open question: a research sprint
#
# Does rounding the weights move spatial IDs? Load one model of the table in half precision, in 8
# and in 4 bits. Extract IDs with each, and compare: cosine of the axes, held-out R², steering at
# the same dose. Which of the three breaks first, and would you have noticed from accuracy alone?
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: the models of the paper, and how each was used.
