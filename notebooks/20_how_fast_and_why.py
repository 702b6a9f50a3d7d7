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
# # How fast, and why
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/20_how_fast_and_why.ipynb)
# · about 35 minutes to read, another 85 for the exercises, two to run
# · runs without a GPU · builds on Chapters [1](01_meet_the_model.ipynb) and [6](06_steering_beliefs.ipynb)
#
# Causal claims are bought with forward passes. One {term}`belief`, thirty layers, twenty noise seeds,
# seven doses, five hundred scenes: that is two million edits. The paper's scripts run the whole
# model three times for each of them.
#
# An edit changes very little. It adds one vector at one word in one layer, and you read one
# token at the end. **How much of the model has to run again?**
#
# You will take the naive way apart, remove what cannot change, and time every step. The answer
# of the model stays the same to five digits. None of the tricks belongs to vision or to this
# book: you can use them wherever you patch activations.
#
# **You will learn**
# - to count the work of an intervention before you run it
# - which parts of a pass an edit cannot touch, and the one assumption behind that
# - how attention to a shared prefix is computed once for all edits, exactly
# - where the tricks end: edits in the image, models that look backwards

# %% tags=["parameters"]
MODEL = ""  # empty: a LLaVA with random weights, large enough to time; or a model's name
BENCHMARK = "../_build/benchmarks/engine.json"  # written by `make bench`
SMALL = False  # True: a tiny shape and fewer edits, to try things out
SEED = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import copy
import json
import os
import statistics
import time
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.patches import Rectangle
from PIL import Image
from transformers import DynamicCache

from helpers import Edit, load_vlm
from helpers.engine import CleanRun
from helpers.exercises import ch20
from helpers.report import glue, open_models
from helpers.training.build import Shape, build_model, build_processor

# %% [markdown]
# ## A model worth timing
#
# The shipped model is so small that Python's own overhead is half of its time. So here is a
# LLaVA with the paper's 576 image tokens, eight blocks of width 512, and random weights. It
# knows nothing, but a matrix product takes as long for nonsense as for sense.

# %%
opened = open_models(MODEL, chapter="20_how_fast_and_why", small=SMALL, seed=SEED)
torch.set_grad_enabled(False)
torch.set_num_threads(os.cpu_count() or 1)  # in the book, nothing runs beside this chapter


def random_llava(seed=SEED):
    """A LLaVA whose weights are large enough that every token matters."""
    shape = Shape(
        image_pixels=336, vision_layers=6, vision_width=256,
        layers=8, width=512, heads=8, mlp_width=1408,
    ) if not SMALL else Shape(layers=4, width=64)  # fmt: skip
    torch.manual_seed(seed)
    processor = build_processor(shape)
    model = build_model(shape, processor.tokenizer)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return load_vlm(model, processor)


vlm = next(iter(opened.values())) if MODEL else random_llava()
QUESTION = (
    "Is the frog to the left or right of the teapot in the image? "
    "Is the teapot above or below the frog?"
)
noise = np.random.default_rng(SEED).integers(0, 256, (336, 336, 3), dtype=np.uint8)
prompt = vlm.prompt(Image.fromarray(noise), QUESTION)
inputs = vlm.batch(prompt)

DEPTH = vlm.n_layers // 2  # the edit is made before this block
SITE = vlm.resid_post(DEPTH - 1)
WORD = prompt.word("frog")[-1]
EDITS = 8 if SMALL else 32
vectors = torch.randn(EDITS, vlm.d_model, generator=torch.Generator().manual_seed(SEED))
vectors = vectors.to(vlm.device, vlm.dtype)
suffix = len(prompt) - WORD
images = len(prompt.image_patches.positions)
print(f"{len(prompt)} tokens, {images} of them of the image")
print(f"“frog” is token {WORD}; from there {suffix} to the end")
glue("speed_tokens", len(prompt))
glue("speed_image", images)
glue("speed_suffix", suffix)
glue("speed_blocks", vlm.n_layers)

# %% [markdown]
# ## Count first
#
# Think of a pass as a table: a column for each token, a row for each block. Every cell costs
# about the same, the matrix products of one token in one block. Now ask of each cell: *can it
# come out differently under the edit?*
#
# - **Tokens before "frog"** cannot. Attention is causal: a token sees what stands before it and
#   itself. Whatever you do at "frog", the image and "Is the" never hear of it.
# - **Blocks below the edit** cannot. The stream flows upwards.
# - **The vision encoder** cannot. You edit behind it.
# - **In the last block**, the tokens between "frog" and the end still change. But nobody reads
#   them: the last token looks at their keys and values, and the rest of their work is lost.
#
# What is left is a small corner.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how a pass is drawn", "code_prompt_hide": "Hide the code"}
KEYS = 0.2  # of a block's work, about this share goes into keys and values
first_text = prompt.image_patches.positions[-1] + 1
WIDTH = {"image": 10.0, "is the": 2.5, "suffix": 7.0}  # drawn widths; the image is cut short


def table_of_work(axes, title, times, vision, begin, bottom, trimmed=False):
    """Shade what runs: from the column `begin` on, from the block `bottom` up."""
    edges, n = np.cumsum([0, *WIDTH.values()]), vlm.n_layers

    def box(left, low, right, height=0.86, color="#0072B2"):
        axes.add_patch(Rectangle((left, low), right - left, height, color=color, lw=0))

    for row in range(n):
        box(0, row, edges[-1], color="0.9")
        if row >= bottom and trimmed and row == n - 1:
            box(edges[begin], row, edges[-1], height=0.2)
            box(edges[-1] - 0.6, row, edges[-1])
        elif row >= bottom:
            box(edges[begin], row, edges[-1])
    box(0, -1.6, edges[1], color="#009E73" if vision else "0.9")
    for x in edges[1:-1]:
        axes.axvline(x, color="white", lw=2)
    axes.plot(edges[2] + 0.5, DEPTH - 0.07, "P", color="#D55E00", mec="white", ms=13)
    axes.set(xlim=(0, edges[-1]), ylim=(-1.7, n), xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=12)
    if times > 1:
        style = {"color": "white", "fontsize": 26, "ha": "center", "weight": "bold"}
        axes.text(edges[1] / 2, n / 2, f"{times} ×", **style)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
cells = {
    "naive": 3 * len(prompt) * vlm.n_layers,
    "one pass, image encoded once": len(prompt) * vlm.n_layers,
    "behind the kept prefix": suffix * vlm.n_layers,
    "from the edited block up": suffix * (vlm.n_layers - DEPTH),
    "last block trimmed": suffix * (vlm.n_layers - DEPTH - 1 + KEYS),
}
shading = [(3, True, 0, 0), (1, False, 0, 0), (1, False, 2, 0), (1, False, 2, DEPTH),
           (1, False, 2, DEPTH, True)]  # fmt: skip
figure, panels = plt.subplots(2, 3, figsize=(11, 6.2))
for axes, (name, count), shade in zip(panels.flat, cells.items(), shading, strict=False):
    share = count / len(prompt) / vlm.n_layers
    table_of_work(axes, f"{name}\n{share:.2g} passes", *shade)
    axes.set_xlabel("image tokens            “Is the”    “frog” to the end", fontsize=9, loc="left")
panels[0, 0].set_ylabel("vision    blocks, first to last", fontsize=10, loc="bottom")
panels[1, 0].set_ylabel("vision    blocks, first to last", fontsize=10, loc="bottom")
keys = [Rectangle((0, 0), 1, 1, color=c) for c in ("#0072B2", "#009E73", "0.9")]
panels[1, 2].legend(keys, ["a token in a block that runs", "the vision encoder runs",
                           "kept from the clean pass"], loc="center", fontsize=11)  # fmt: skip
panels[1, 2].axis("off")
figure.tight_layout()
by_count = cells["naive"] / cells["last block trimmed"]
glue("speed_by_count", f"{by_count:.0f}")

# %% [markdown]
# **Figure A.1.** *What runs for one edit.* Columns are tokens (the image's are drawn shorter than
# they are), rows are blocks, the green bar is the vision encoder, the cross is the edit. Each
# panel removes what the edit cannot change. From left to right, the shaded part shrinks by a
# factor of {glue:text}`speed_by_count`.
#
# Counting is cheap, and it tells you what to hope for. It leaves out one thing: the parts that
# are kept must be computed once, in a *clean pass*. With few edits for each prompt you pay
# mostly for that.
#
# ````{exercise} Count it yourself
# :label: speed-count
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `passes(tokens, first, blocks, depth, edits)`: how many full passes' worth of
# token-blocks do `edits` edits need, the clean pass included? An edit at token `first` before
# block `depth` runs the tokens from `first` on in the blocks from `depth` on. Leave the last
# block's trick and the vision encoder out.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def passes(tokens, first, blocks, depth, edits):
    # One clean pass, and then for each edit a corner of the table.
    return 1 + edits * (tokens - first) * (blocks - depth) / (tokens * blocks)

# %%
ch20.check_passes(passes)
for count in (1, 16, 64, 1024):
    needed = passes(len(prompt), WORD, vlm.n_layers, DEPTH, count)
    print(f"{count:5d} edits: {needed:6.2f} passes instead of {3 * count}")

# %% [markdown]
# The clean pass is why a *{term}`sweep`* pays and a single edit does not: the first edit of a prompt
# costs a whole pass, whatever you do.
#
# ## One step at a time
#
# Now write it. Each function below takes vectors and gives the logits at the last token for
# each of them. First the naive protocol of the paper's scripts: a clean pass with all hidden
# states, a pass of the source, and the edited pass.

# %%
def adding(vector, position=WORD):
    def hook(resid, hook):
        resid[:, position] += vector

    return [(SITE, hook)]


def naive(vectors):
    found = []
    for vector in vectors:
        vlm.model(**inputs, output_hidden_states=True)  # clean
        vlm.model(**inputs, output_hidden_states=True)  # source
        found.append(vlm.run_with_hooks(prompt, adding(vector))[:, -1])
    return torch.cat(found)


def one_pass(vectors):
    found = [vlm.run_with_hooks(prompt, adding(vector))[:, -1] for vector in vectors]
    return torch.cat(found)

# %% [markdown]
# The clean pass and the source do not depend on the {term}`dose` or the seed, so they need not be
# repeated. Next, the image. Its features enter before the first block. Keep what enters there,
# and hand it to the model in place of pixels; ask for one row of logits and not for 600.

# %%
def embedded():
    _, kept = vlm.run_with_cache(prompt, "blocks.0.hook_resid_pre")
    return kept["blocks.0.hook_resid_pre"]


def image_once(vectors):
    embeds, found = embedded(), []
    for vector in vectors:
        with vlm.hooks(adding(vector)):
            found.append(vlm.model(inputs_embeds=embeds, logits_to_keep=1).logits[:, -1])
    return torch.cat(found)


def batched(vectors, size=8):
    embeds, found = embedded(), []
    for part in vectors.split(size):
        with vlm.hooks(adding(part)):
            rows = embeds.expand(len(part), -1, -1)
            found.append(vlm.model(inputs_embeds=rows, logits_to_keep=1).logits[:, -1])
    return torch.cat(found)

# %% [markdown]
# Then the prefix. A transformer that writes text keeps the keys and values of the tokens that
# it has seen: the *KV cache*. An edit at "frog" leaves all keys and values before "frog" as
# they are. So run the prefix once, and put each batch of edits behind a copy of its cache.

# %%
def behind_prefix(vectors, size=8):
    embeds, found = embedded(), []
    kept = DynamicCache(config=vlm.model.config.get_text_config())
    vlm.model(inputs_embeds=embeds[:, :WORD], past_key_values=kept, logits_to_keep=1)
    for part in vectors.split(size):
        cache = copy.deepcopy(kept)
        cache.batch_repeat_interleave(len(part))
        rows = embeds[:, WORD:].expand(len(part), -1, -1)
        with vlm.hooks(adding(part, position=0)):
            output = vlm.model(inputs_embeds=rows, past_key_values=cache, logits_to_keep=1)
        found.append(output.logits[:, -1])
    return torch.cat(found)

# %% [markdown]
# And last, what no cache of a library gives you: start in the middle of the model, share the
# prefix without copying it, and stop caring about most of the last block. That is
# `helpers.engine`. A `CleanRun` is the clean pass with all that must be kept; `run` takes rows
# of edits.

# %%
def with_engine(vectors):
    clean = CleanRun(vlm, [prompt], start=WORD, depths=[DEPTH])
    return clean.run([[(Edit(SITE, (WORD,), vector),) for vector in vectors]])[0]


def differ(logits, wanted):
    return float((logits - wanted).abs().max() / wanted.abs().max())


ROUNDING = 1e-5 if vlm.dtype == torch.float32 else 3e-2
alone = vlm.model(inputs_embeds=embedded()).logits[:, -1]
BY_HAND = differ(alone, vlm.last_logits(prompt)) < ROUNDING
if not BY_HAND:
    print(f"{vlm.family.name} needs more than embeddings: the steps by hand are left out.")

# %%
STEPS = {
    "three passes (naive)": (naive, 2),
    "one pass": (one_pass, 2),
    "image once": (image_once, 4),
    "batches of 8": (batched, 8),
    "behind the prefix": (behind_prefix, EDITS),
    "engine": (with_engine, EDITS),
}
if not BY_HAND:
    for name in ("image once", "batches of 8", "behind the prefix"):
        del STEPS[name]
wanted = naive(vectors[:2])
for name, (way, _) in STEPS.items():
    error = differ(way(vectors[:2]), wanted)
    print(f"{name:22s} differs from the naive way by {error:.0e}")
    assert error < ROUNDING

# %% [markdown]
# The same logits, up to the last digits of float32. *Test this first.* A fast wrong answer is
# the easiest thing in the world to write: one position off, one mask forgotten, and the
# figures look as good as ever.

# %%
def now():
    if vlm.device.type == "cuda":
        torch.cuda.synchronize()  # a GPU is still at work when Python is done
    return time.perf_counter()


def seconds(function, repeats=2):
    """The median over a few calls."""
    taken = []
    for _ in range(repeats):
        began = now()
        function()
        taken.append(now() - began)
    return statistics.median(taken)


taken = {
    name: 1000 * seconds(lambda way=way, n=count: way(vectors[:n])) / count
    for name, (way, count) in STEPS.items()
}
steps = pd.DataFrame({"ms an edit": taken})
steps["times faster than naive"] = steps["ms an edit"].iloc[0] / steps["ms an edit"]
steps["bought by this step"] = steps["ms an edit"].shift() / steps["ms an edit"]
steps.map("{:,.1f}".format).replace("nan", "")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(8, 3.2))
axes.barh(steps.index[::-1], steps["ms an edit"][::-1], color=["#0072B2", *["#9db8cc"] * 5])
axes.set(xscale="log", xlabel="milliseconds an edit (logarithmic)")
axes.grid(axis="y", visible=False)
for height, (value, times) in enumerate(
    zip(steps["ms an edit"][::-1], steps["times faster than naive"][::-1], strict=True)
):
    axes.text(value * 1.06, height, f"{times:.3g} ×", va="center", fontsize=10)
axes.set_xlim(steps["ms an edit"].min() / 4, steps["ms an edit"].max() * 2)
figure.tight_layout()
glue("speed_live", f"{steps['times faster than naive'].iloc[-1]:.0f}")
bought = steps["bought by this step"].map("{:.1f}".format)
glue("speed_prefix", bought.get("behind the prefix", "(not by hand)"))
glue("speed_resume", bought["engine"] if BY_HAND else "(not by hand)")
glue("speed_batch", bought.get("batches of 8", "(not by hand)"))
glue("speed_edits", EDITS)

# %% [markdown]
# **Figure A.2.** *What each step buys.* Milliseconds for one edit, {glue:text}`speed_edits` edits
# in all, clean passes and copies included, on the machine and with the threads that made this
# page. In the end an edit is {glue:text}`speed_live` times cheaper than at the start. The prefix
# alone buys a factor of {glue:text}`speed_prefix`; starting at the edit, sharing the prefix and
# trimming the last block buy another {glue:text}`speed_resume`. Batches alone buy
# {glue:text}`speed_batch`: on a CPU a long prompt fills the machine by itself. On a GPU, batches
# should matter more; this figure does not show it.
#
# ## Where the time goes

# %%
def profile():
    """Seconds in each part of one full pass."""
    spent, begun, handles = {}, {}, []
    parts = {f"block {i}": block for i, block in enumerate(vlm.layers)}
    parts["logits"] = vlm.model.get_output_embeddings()

    def begin(module, inputs, name):
        begun[name] = now()

    def end(module, inputs, output, name):
        spent[name] = now() - begun[name]

    for name, part in parts.items():
        handles.append(part.register_forward_pre_hook(partial(begin, name=name)))
        handles.append(part.register_forward_hook(partial(end, name=name)))
    began = now()
    vlm.model(**inputs)
    spent["the rest"] = now() - began - sum(spent.values())
    # Before the first block the image is encoded; little else happens there.
    spent["vision encoder"] = begun["block 0"] - began
    spent["the rest"] -= spent["vision encoder"]
    for handle in handles:
        handle.remove()
    return spent


profile()  # to warm up
spent = pd.Series(profile())
blocks = spent[spent.index.str.startswith("block")]
share = {
    "vision encoder": spent["vision encoder"],
    "blocks below the edit": blocks.iloc[:DEPTH].sum(),
    "blocks above, before “frog”": blocks.iloc[DEPTH:].sum() * WORD / len(prompt),
    "blocks above, from “frog” on": blocks.iloc[DEPTH:].sum() * suffix / len(prompt),
    "logits and the rest": spent["logits"] + spent["the rest"],
}
share = pd.Series(share) / sum(share.values())
glue("speed_needed", f"{100 * share['blocks above, from “frog” on']:.1f} %")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, axes = plt.subplots(figsize=(8, 1.9))
tones, left = ["#009E73", "#cfdbe5", "#9db8cc", "#D55E00", "0.75"], 0
for tone, (name, part) in zip(tones, share.items(), strict=True):
    axes.barh(0, part, left=left, color=tone, label=f"{name}: {part:.0%}")
    left += part
axes.set(yticks=[], xlim=(0, 1), xlabel="share of one pass")
axes.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.45), frameon=False, fontsize=9)
axes.grid(False)
plt.show()

# %% [markdown]
# **Figure A.3.** *One pass, taken apart.* The orange sliver, {glue:text}`speed_needed` of the
# pass, is what an edit at "frog" has to run again. (Within the blocks above, time is shared out
# by the number of tokens.)
#
# ## Attention in two parts
#
# One piece is not obvious. A row of edits has its own {glue:text}`speed_suffix` tokens, and they
# attend to themselves *and* to the prefix. All rows share the prefix's keys. Copying them for
# each row costs more memory than the rows themselves. Can attention be computed in two parts,
# one for the shared keys and one for the row's own, and put together afterwards?
#
# A softmax over all keys has one denominator, $Z = Z_a + Z_b$, a sum over both parts. Let $o_a$
# and $o_b$ be the outputs of attention over each part alone. Then
#
# $$ o \;=\; \frac{Z_a\, o_a + Z_b\, o_b}{Z_a + Z_b}
#    \;=\; o_b + \sigma(\log Z_a - \log Z_b)\,(o_a - o_b), $$
#
# with $\sigma$ the logistic function. So each part has to hand over its output and one number
# for each query, $\log Z$. Kernels for fast attention compute that number anyway: it is how
# FlashAttention {cite:p}`dao2022flash` goes through the keys in blocks. Hydragen
# {cite:p}`juravsky2024hydragen` uses the same split to serve many users who share a prompt.
#
# ````{exercise} Put two parts together
# :label: speed-merge
#
# Difficulty ●●○ · importance ●●○ · 15 minutes
#
# Write `merge(out_a, log_a, out_b, log_b)`: outputs `[..., pos, d_head]` and logarithms of
# denominators `[..., pos]` in, the output of attention over all keys out. The scores can be
# large: `exp(log_a)` may overflow.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def merge(out_a, log_a, out_b, log_b):
    # Only the difference of the logarithms counts, and the logistic function takes any.
    share = torch.sigmoid(log_a - log_b)[..., None]
    return out_b + share * (out_a - out_b)

# %%
ch20.check_merge(merge)

# %% [markdown]
# There is more in it. The rows' queries meet the *same* prefix keys, so they can be stacked: in
# place of 64 products of 26 queries with 582 keys, one product of 1664 queries. Large products
# run nearer to the machine's limit than many small ones.
#
# ## Against other tools
#
# `make bench` times the {term}`engine` side by side with plain hooks, nnsight {cite}`fiottokaufman2025nnsight` and TransformerLens's
# bridge, each used as its documents recommend: batches, one row of logits, the image encoded
# beforehand. It also measures how fast the machine multiplies matrices at its best, and divides:
# how long would the operations take that the edits need by definition?

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the table", "code_prompt_hide": "Hide the code"}
HEAD = "576 image tokens"
record = json.loads(Path(BENCHMARK).read_text()) if Path(BENCHMARK).exists() else None
if record is None:
    print(f"No timings at {BENCHMARK}: run `make bench` first. The rest of the page works without.")
    compared = pd.DataFrame()
else:
    compared = pd.DataFrame(record["medians"]).loc[lambda t: t.index.str.endswith("ms an edit")]
    compared.index = compared.index.str.removesuffix(", ms an edit")
    compared = compared.add_suffix(", ms an edit")
    head = f"{HEAD}, ms an edit"
    compared["engine is faster by"] = compared[head] / compared.loc["engine", head]
measured = record["medians"][HEAD] if record else {}


def told(name, form):
    return form.format(measured[name]) if measured else "(not timed)"


glue("speed_naive", told("edit_vs_naive", "{:.0f}"))
glue("speed_kept", told("edit_vs_naive, clean pass kept", "{:.0f}"))
glue("speed_peer", told("edit_vs_best_peer", "{:.0f}"))
glue("speed_limit", told("share_of_limit", "{:.0%}").replace("%", " %"))
glue("speed_extract", told("extract_vs_naive", "{:.1f}"))
glue("speed_extract_one", told("extract_vs_naive, one question an image", "{:.1f}"))
machine = record["machine"] if record else {}
glue("speed_machine", f"{machine.get('processor', '?')}, {machine.get('threads', '?')} threads")
compared.map("{:,.3g}".format)

# %% [markdown]
# **Table A.1.** *Milliseconds for one of 64 steering edits*, on the shipped model and on the
# random LLaVA ({glue:text}`speed_machine`; medians of rounds in which all ways take turns). On the
# larger model the engine is {glue:text}`speed_naive` times faster than the naive protocol, its
# clean pass included; {glue:text}`speed_kept` times where a sweep uses a clean pass again. It is
# {glue:text}`speed_peer` times faster than the best of the others, and reaches
# {glue:text}`speed_limit` of the arithmetic limit. On the shipped model everything is faster and
# the gains are smaller: there, overhead counts.
#
# The others are not badly made. They run the model that you give them, on the tokens that you
# give them. If you write the prefix by hand, as above, you can have most of the gain in any of
# them.
#
# Reading gains less than editing, since every new image must be seen: the states of a middle
# block come {glue:text}`speed_extract_one` times faster than by the naive way for one question
# an image, and {glue:text}`speed_extract` times for four, because the image runs once for all of
# them.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if record:
    grown = pd.DataFrame(record["growth"])
    figure, panels = plt.subplots(1, 3, figsize=(10.5, 3.1), sharey=True)
    for axes, (what, part) in zip(panels, grown.groupby("grows", sort=False), strict=True):
        for column, tone in (("ms an edit", "#D55E00"), ("ms an edit, clean pass kept", "#0072B2")):
            axes.plot(part["value"], part[column], "o-", color=tone, label=column)
        axes.set(xlabel=f"number of {what}", yscale="log")
        if what == "edits":
            axes.set_xscale("log")
    panels[0].set_ylabel("milliseconds an edit")
    panels[1].legend(fontsize=9)
    figure.tight_layout()
    kept = grown[grown["grows"] == "image tokens"].set_index("value")["ms an edit, clean pass kept"]
    glue("speed_flat", f"{kept.iloc[-1] / kept.iloc[0]:.2f}")
    glue("speed_wider", f"{kept.index[-1] / kept.index[0]:.1f}")
else:
    glue("speed_flat", "(not timed)")
    glue("speed_wider", "(not timed)")

# %% [markdown]
# **Figure A.4.** *What an edit costs as things grow.* Orange includes the clean pass, blue leaves
# it out. Left: the clean pass is shared by more and more edits. Middle: with
# {glue:text}`speed_wider` times as many image tokens an edit takes {glue:text}`speed_flat` times
# as long, since only attention to the prefix grows. Right: cost follows the number of blocks
# above the edit.
#
# ## Where it ends
#
# Everything above rests on one assumption: *what stands before the edit cannot see it*. Move the
# edit, and the corner of Figure A.1 grows.

# %%
PATCH = "an image patch" if prompt.image_patches.views else "the picture’s token"
PLACES = {PATCH: prompt.image_patches.positions[0], "“frog”": WORD,
          "the last token": prompt.last}  # fmt: skip
few, rows = vectors[:2], []
for place, position in PLACES.items():
    for depth in sorted({1, DEPTH, vlm.n_layers - 1}):
        clean = CleanRun(vlm, [prompt], position, [depth])
        site = vlm.resid_post(depth - 1)
        edits = [[(Edit(site, (position,), vector),) for vector in few]]
        cost = 1000 * seconds(lambda c=clean, e=edits: c.run(e)) / len(few)
        left = vlm.n_layers - depth
        rows.append({"edit at": place, "blocks left to run": left, "ms": cost})
ends = pd.DataFrame(rows).pivot(index="edit at", columns="blocks left to run", values="ms")
ends = ends.loc[list(PLACES)]
glue("speed_patch", f"{ends.iloc[0, -1] / ends.iloc[1, -1]:.0f}")
ends.map("{:.3g}".format)

# %% [markdown]
# **Table A.2.** *The same edit in three places*, in milliseconds, without the clean pass. At the first image patch nearly all tokens come
# behind the edit, and only the blocks below are saved: up to {glue:text}`speed_patch` times the
# cost of an edit at the word. That is why a mirror swap of the whole image is slow, and one of
# the object words is not.
#
# Three more limits, all of them traps:
#
# - **Models that look backwards.** Gemma 3 lets image tokens see each other in both directions.
#   A prefix may be cut behind the image, never inside it.
# - **Models with a second way in.** Qwen3-VL adds features of the image between the first
#   blocks, too. Text behind the image is safe; a resumed image token would miss them.
# - **Positions.** Rotary embeddings must know where a token stands. A suffix that starts at
#   position 0 gives fluent nonsense. You will see it in a minute.
#
# ````{exercise} Run the suffix yourself
# :label: speed-suffix
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# Write `suffix_logits(vlm, embeds, start)`: run the embeddings before `start` once, keep their
# cache, run the rest behind it, and return the logits at the last token, `[batch, vocabulary]`.
# `behind_prefix` above shows such a cache, and how the model takes it.
# Hand over the positions of the suffix yourself (`position_ids`). Then let them start at zero:
# does anything complain?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def suffix_logits(vlm, embeds, start):
    cache = DynamicCache(config=vlm.model.config.get_text_config())
    vlm.model(inputs_embeds=embeds[:, :start], past_key_values=cache, use_cache=True)
    # Nothing complains about wrong positions: only a comparison with a full pass finds them.
    places = torch.arange(start, embeds.shape[1], device=embeds.device)[None]
    output = vlm.model(
        inputs_embeds=embeds[:, start:], past_key_values=cache, position_ids=places
    )
    return output.logits[:, -1]

# %%
if BY_HAND:
    ch20.check_suffix_logits(suffix_logits, vlm, prompt)
else:
    print(f"Not checked: {vlm.family.name} needs more than embeddings.")

# %% [markdown]
# ````{exercise} Memory
# :label: speed-memory
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `rows_that_fit(budget, prefix, suffix, blocks, width, bytes_each, copied)`: how many
# rows fit into `budget` bytes, if each row holds keys and values of its suffix in every block
# (two vectors of `width` numbers for each token), and if the prefix is held once for all rows
# or, with `copied=True`, once for each row?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def rows_that_fit(budget, prefix, suffix, blocks, width, bytes_each, copied):
    token = 2 * width * bytes_each * blocks
    if copied:
        return budget // ((prefix + suffix) * token)
    # What is shared is paid first; if even that does not fit, there is no row.
    return max(0, (budget - prefix * token) // (suffix * token))

# %%
ch20.check_rows_that_fit(rows_that_fit)
shape_7b = {"prefix": 600, "suffix": 26, "blocks": 32, "width": 4096, "bytes_each": 2}
for copied in (True, False):
    rows = rows_that_fit(8 * 2**30, **shape_7b, copied=copied)
    print(f"LLaVA-1.5-7B, 8 GB, prefix {'copied' if copied else 'shared'}: {rows} rows")

# %% [markdown]
# ````{exercise} Research sprint: one key among many
# :label: speed-replace
#
# Difficulty ●●● · importance ●●○ · 30 minutes for the function, a day for the sprint
#
# In the first block above an edit, a query behind the edited word meets keys and values of which
# *one* has changed. You kept its output and the logarithm of its denominator. Do not go through the
# keys again. Write `replace_key(out, log_z, old, old_value, new, new_value)`: outputs
# `[pos, d_head]`, logarithms of denominators `[pos]`, the scores of the changed key before and after
# `[pos]`, and its values before and after `[d_head]`. Return the output with the new key in place of the
# old one, and its `log_z`. Scores can be large: take `exp` of differences only.
#
# Then take the day. The open question below tells where this fits into the engine. There is a catch that
# you will meet: where the old key had nearly all of the attention, you subtract two numbers that are
# nearly equal. When do you have to go through the keys after all?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def replace_key(out, log_z, old, old_value, new, new_value):
    # In units of the old denominator, what leaves and what comes in.
    leaves, comes = (old - log_z).exp(), (new - log_z).exp()
    total = 1 - leaves + comes
    out = out - leaves[:, None] * old_value + comes[:, None] * new_value
    return out / total[:, None], log_z + total.log()

# %%
ch20.check_replace_key(replace_key)

# %% [markdown]
# ## Summary
#
# - Before you run a sweep, count the token-blocks that can change. Here: one in
#   {glue:text}`speed_by_count` of the naive protocol's.
# - Encode the image once, keep the keys and values of the prefix, start at the edited block,
#   read one token. Each is exact, and each has a test that says so.
# - Attention over a shared prefix splits into two parts that one number for each query puts
#   together.
# - The clean pass is shared by all edits of a prompt, so plan experiments by prompt.
# - All of it hangs on causality. Know which way your model looks.
#
# In the book, `helpers.sweep` does this for any mix of prompts, sites, doses and batch
# sizes, cuts batches to a memory budget, and goes on where it was cut off.
#
# ## Open question: a research sprint
#
# There is work left to save. In the first block above the edit, only the edited token's stream
# has changed. So the queries, keys and values of all other tokens in that block are those of
# the clean pass, and so is most of what they see: of all the keys, only one is new. What share
# of a row's work is that, for {glue:text}`speed_blocks` blocks? Write it, hold it to 1e-5, and
# measure whether the bookkeeping eats the gain. Then think about edits at *two* words.
#
# ## Further reading
#
# - {cite:t}`dao2022flash`: attention in blocks, with the denominator carried along.
# - {cite:t}`juravsky2024hydragen`: attention to shared prefixes as one large product.
# - {cite:t}`kwon2023paged`: how servers share prefixes between requests.
# - {cite:t}`heimersheim2024use`: what all these edits are for.
#
# **What follows.** {doc}`21_which_model` counts what the same costs on a model of your choice.
