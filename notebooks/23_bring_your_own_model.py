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
# # Bring your own model
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/23_bring_your_own_model.ipynb)
# · about 40 minutes to read, another 85 for the exercises, seconds to run
# · runs without a GPU · builds on Chapters [1](01_meet_the_model.ipynb) and [20](20_how_fast_and_why.ipynb)
#
# Every chapter runs on a dozen families of models. Yours is not among them. **What must the book
# know about your model?**
#
# Less than you may think: where its {term}`blocks <block>` are, which of its tokens show the picture, and what
# its processor must hand over. That is about thirty lines. The danger is not that thirty lines
# are many. It is that a *wrong* entry runs as smoothly as a right one. Patches that are read one
# token too late still give a heat map. So this chapter has two halves. In the first you write
# an entry for a model that the book has never met. In the second a judge tries to break it.
#
# **You will learn**
# - to find the blocks, the final norm and the unembedding of any Hugging Face model
# - to work out which token shows which part of a picture, from what the processor writes
# - to register a family at run time, as data
# - what a judge must check, and how four plausible mistakes look to it
# - how to go on to real weights: precision, memory, which chapters, where results go

# %% tags=["parameters"]
MODEL = "tiny-llava"  # the judge tries this one, too: a shipped model, a hub id, or a folder
SMALL = False  # for the sake of uniformity: nothing here takes long
SEED = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import inspect
from dataclasses import fields, replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import transformers as hf
from PIL import Image, ImageDraw
from tokenizers import AddedToken
from torch import nn
from transformers.models.ovis2.configuration_ovis2 import Ovis2VisionConfig
from transformers.models.ovis2.image_processing_pil_ovis2 import Ovis2ImageProcessorPil

from helpers import families, load_vlm
from helpers.exercises import ch23
from helpers.families import Family
from helpers.grids import View
from helpers.hooks import HookedVLM
from helpers.judge import judge, patches_alone
from helpers.report import glue, keep, open_models
from helpers.training.tokenizer import build_tokenizer

# %%
MODELS = open_models(MODEL, chapter="23_bring_your_own_model", small=SMALL, seed=SEED)
(YES,) = MODELS

# %% [markdown]
# ## A stranger
#
# Our stranger is **Ovis2** {cite}`lu2024ovis`. Hugging Face has it, this book does not. It is a good test,
# because it does two things its own way. Its vision tower gives no vectors but, for each patch, a
# *probability over a vocabulary of visual words*; what the decoder reads is the mixture of
# their embeddings. And it cuts large pictures into tiles, with tokens of their own between them.
#
# You need no weights to write an entry. A model of the real class with a tiny, random
# configuration takes the same path through the same code, and runs in milliseconds. (The package's
# tests have such a model for every family.) Two rules for building one. Switch on whatever is
# odd about the real checkpoint: here, the tiles. And draw weights so large that every
# token matters. A model that ignores its picture cannot tell you that you read the picture wrong.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how the tiny model is built", "code_prompt_hide": "Hide how the tiny model is built"}
ATOM = "<IMG_ATOM>"
MARKS = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
WIDTH, SIDE, PATCH = 64, 28, 14  # of the decoder; of a tile and of a patch, in pixels


def build_tokens():
    """The book's own tokenizer, with the marks that Ovis2 writes around a picture."""
    tokenizer = build_tokenizer()
    added = [AddedToken(mark, special=True, normalized=False) for mark in (ATOM, *MARKS)]
    tokenizer.add_tokens(added, special_tokens=True)
    return tokenizer


def build_config(tokenizer):
    ids = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("bos", "eos", "pad")}
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
             "num_attention_heads": 2, "image_size": SIDE, "patch_size": PATCH,
             "vocab_size": 48}  # fmt: skip
    text = {"hidden_size": WIDTH, "intermediate_size": 96, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(tokenizer),
            "max_position_embeddings": 2048}  # fmt: skip
    return hf.Ovis2Config(
        text_config=hf.Qwen2Config(**text, **ids),
        vision_config=Ovis2VisionConfig(**tower),
        image_token_id=tokenizer.convert_tokens_to_ids(ATOM),
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(MARKS),
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
    )


# %% [markdown]
# Those were its settings. Now the model, with weights so large that every token counts, and its
# processor.

# %%
def build_stranger(seed=SEED):
    """A tiny Ovis2 of the real classes, in which every token moves the logits."""
    torch.manual_seed(seed)
    tokenizer = build_tokens()
    model = hf.Ovis2ForConditionalGeneration(build_config(tokenizer))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=weight[0].numel() ** -0.5)
    images = Ovis2ImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, crop_to_patches=True, max_patches=4
    )
    processor = hf.Ovis2Processor(
        image_processor=images, tokenizer=tokenizer, image_seq_length=(SIDE // PATCH) ** 2,
        chat_template=tokenizer.chat_template,
    )  # fmt: skip
    return model.eval(), processor

# %%
model, processor = build_stranger()
try:
    load_vlm(model, processor)
except ValueError as error:
    print(error)

# %% [markdown]
# The book says so and stops. What it wants is an entry: one `Family`, a plain dataclass. Most
# of its fields have defaults.

# %%
for field in fields(Family):
    needed = field.default is field.default_factory  # neither a value nor a function is given
    print(f"{field.name:22}", "needed" if needed else "has a default")

# %% [markdown]
# Three are needed: a name, the values of `config.model_type`, and `views`, the places of {term}`patches <patch>`.
# `layers` has a default that you should check. The other fields are for families that are odd in some other
# way: image tokens that see each other, features that are added between blocks, inputs that
# grow with the prompt. The judge will tell if you need one.
#
# ## Where are the blocks?
#
# A vision-language model has at least two stacks of blocks, and both are a `ModuleList`.

# %%
for name, module in model.named_modules():
    if isinstance(module, nn.ModuleList):
        print(f"{len(module)} × {type(module[0]).__name__:24} at  {name}")

# %% [markdown]
# Which is the decoder's? In this model both have three blocks, so counting will not tell. Nor will the
# order in which they are listed: it differs between families.
#
# ````{exercise} Find the decoder
# :label: ch23-blocks
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `find_blocks(model)`. It returns the `nn.ModuleList` of the *decoder's* blocks. Every
# Hugging Face model has a method `get_decoder()`, which returns the decoder as a module; the name
# of the list inside differs between families (`layers`, `h`, `blocks`). A block may hold lists
# of its own, such as experts. Take the outermost list.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def find_blocks(model):
    # named_modules walks from the outside in: the first list that it meets holds the others.
    modules = (module for _, module in model.get_decoder().named_modules())
    return next(module for module in modules if isinstance(module, nn.ModuleList))


# %%
ch23.check_find_blocks(find_blocks)
print("the default agrees:", find_blocks(model) is Family("?", ("?",), None).layers(model))

# %% [markdown]
# ## What makes logits of the last block's output?
#
# The fast passes of this book stop at the last block and finish by themselves: final norm, then
# {term}`unembedding`. In some families more happens there: Cohere's models scale their logits, Gemma 2 caps
# them. Look once, with nothing but Hugging Face.

# %%
def ask(picture, question="Where is the frog?"):
    """What the processor makes of a picture and a question, and the text that it writes."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    inputs = processor(images=[picture], text=[text], return_tensors="pt")
    return inputs, processor.tokenizer.decode(inputs["input_ids"][0])


inputs, _ = ask(Image.new("RGB", (40, 40), "red"))
kept = []
handle = find_blocks(model)[-1].register_forward_hook(lambda *call: kept.append(call[-1]))
with torch.no_grad():
    logits = model(**inputs).logits
    handle.remove()
    by_hand = model.get_output_embeddings()(model.get_decoder().norm(kept[0]))
print("largest difference:", float((logits - by_hand).abs().max()))

# %% [markdown]
# ## Which token shows what?
#
# This is the part that goes wrong. Do not read the paper for it, and do not count tokens once and
# write the number down. Let the processor write, and read what it wrote. Three pictures, a small
# square, a larger one, and one that is three times as wide as it is high. Each patch's placeholder is
# `<IMG_ATOM>`; a run of four, one tile, is shown as ▦.

# %%
SIZES = {"small": (28, 28), "square": (90, 90), "wide": (240, 80)}
tile = ATOM * processor.image_seq_length
for name, size in SIZES.items():
    inputs, text = ask(Image.new("RGB", size, "white"))
    pixels = tuple(inputs["pixel_values"].shape)
    print(f"{name} {size}: pixel_values {pixels}")
    print("   ", text.replace(tile, "▦").replace("\n", "⏎").replace("IMG_", ""), "\n")

# %% [markdown]
# Read slowly. There is a lot in these lines.
#
# - The first ▦, before `<GRID>`, is there even for the small picture: the whole picture in one
#   tile, a *thumbnail*. What comes behind `<GRID>` are the tiles. A small picture has none.
# - `<COL>` stands between the tiles of a row and `<ROW>` between rows. These tokens show
#   nothing. A heat map that counts them as patches is off by one from there on.
# - Two tokens call themselves the image. The chat template writes `<image>`, which is what
#   `processor.image_token` says. The processor replaces it by `<IMG_ATOM>`, which is what
#   `config.image_token_id` says. Only the second ever reaches the model.
# - And now the wide picture. You would cut it into tiles *side by side*. Look for `<COL>`. There is
#   none: this processor cuts it into rows, one above the other, and stretches each to a
#   square.
#
# That looks like a slip in this version of the library: rows and columns are exchanged between
# the function that chooses a grid and the one that cuts. Perhaps the next version mends it. For
# your entry it does not matter who is right. The entry has to say what the processor *does*.
# So it must not work the grid out from the picture's shape, as you would have. It must read the
# grid off the text.
#
# One helper first: the parts of the picture that tiles show, row by row, as (left, top, right,
# bottom) in fractions of its width and height.

# %%
def boxes(rows, columns):
    return [(column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
            for row in range(rows) for column in range(columns)]  # fmt: skip


# %% [markdown]
# ````{exercise} From text to patches
# :label: ch23-views
#
# Difficulty ●●○ · importance ●●● · 25 minutes
#
# Write `ovis_views(layout)`. It returns a tuple of `View(positions, grid, box)`: the whole
# picture first, then the tiles row by row. `layout.places` are the positions of all
# `<IMG_ATOM>` tokens in order, `layout.text` is the prompt as the processor wrote it, and
# `layout.processor.image_seq_length` is the number of patches in a tile (a square). `grid` is
# (rows, columns) of *patches* in a view, and `box` the part of the picture that it shows: one of
# `boxes(rows, columns)`, and left out where a view shows the whole.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def ovis_views(layout):
    each = layout.processor.image_seq_length
    side = round(each**0.5)
    parts = [tuple(layout.places[begin : begin + each])
             for begin in range(0, len(layout.places), each)]  # fmt: skip
    whole, *tiles = parts
    # The processor throws its grid away, but its marks tell: none behind the last of a row.
    rows = layout.text.count("<IMG_ROW>") + 1
    columns = layout.text.count("<IMG_COL>") // rows + 1
    shown = boxes(rows, columns) if tiles else []
    return View(whole, (side, side)), *(
        View(tile, (side, side), box) for tile, box in zip(tiles, shown, strict=True)
    )


# %%
ch23.check_ovis_views(ovis_views)

# %% [markdown]
# ## The entry
#
# What must the processor hand over? `pixel_values`, without which the model answers about no
# picture at all, and does not complain. That is the default of `required_inputs`. So this is all:

# %%
OVIS2 = Family("Ovis2", ("ovis2",), ovis_views, dtypes=("bfloat16", "float16"))
families.register(OVIS2)
vlm = load_vlm(model, processor)
lines = 2 + sum(len(inspect.getsource(f).splitlines()) for f in (boxes, ovis_views))
glue("ch23_lines", lines)
vlm

# %% [markdown]
# {glue:text}`ch23_lines` lines. From here on everything in this book runs on an Ovis2: prompts,
# hooks, IDs, steering, fast passes. (On a tiny one, that is, with random weights. This chapter does not
# load the released ones.) It would also run if half of them were wrong.
#
# ## The judge
#
# `judge(vlm)` runs a list of checks. Each measures a difference that is zero, or rounding, if
# the entry is right. The tests of this package run the same list on a tiny model of every family,
# so what is asked of your entry is what was asked of ours.

# %%
def shown(table):
    """The table, with small numbers readable."""
    numbers = {"difference": "{:.1e}", "allowed": "{:.0e}"}
    return table.drop(columns="hint").style.format(numbers).hide(axis="index")


verdict = judge(vlm)
keep("judge", verdict)
glue("ch23_checks", len(verdict))
glue("ch23_passed", int(verdict["passed"].sum()))
measured = verdict["difference"].to_numpy()
glue("ch23_worst", f"{measured.max():.0e}")
shown(verdict)

# %% [markdown]
# **Table 23.1.** *The judge on the stranger.* `difference` is relative: the largest difference,
# divided by one plus the number that was compared; or a count, where nothing may be wrong at
# all. Passed: {glue:text}`ch23_passed` of {glue:text}`ch23_checks`. The largest difference is
# {glue:text}`ch23_worst`.
#
# What do they ask?
#
# - *Tokens, words, inputs.* The prompt is what the processor makes of the chat template. A word's
#   span decodes to the word. And: leave out, one by one, the inputs that the entry does *not*
#   require. If the model goes on without a word, and says something else, the entry should
#   have required them.
# - *Patches.* Put a red spot where the entry says that a patch is. Silence attention in the
#   vision tower, so that patches stay apart. The token that moves most, among those of its view,
#   must be the one that the entry names. This is the only check that looks at the picture.
# - *Hooks.* Without an edit, logits and every block's output equal Hugging Face's, bit by bit. An edit is
#   read where it was written and nowhere else.
# - *The engine.* Fast passes give what full passes with hooks give: for edits at words, in the
#   image, and before it.
# - *A planted ID.* A plain torch {term}`hook`, which knows nothing of this package, finds the noun by
#   decoding tokens, tells from the raw pixels where the object is, and adds a known vector
#   for this place. Extraction must find these vectors: prompts, positions, sites, averaging and centring,
#   all in one number.
#
# Here is what the spot check sees.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
SPOT = (0.3, 0.42)  # as fractions of the picture's width and height


def entering(vlm, picture):
    site = "blocks.0.hook_resid_pre"
    return vlm.run_with_cache(vlm.prompt(picture, "Where?"), site)[1][site][0]


wide = Image.new("RGB", SIZES["wide"], "white")
spotted = wide.copy()
x, y = (share * length for share, length in zip(SPOT, wide.size, strict=True))
ImageDraw.Draw(spotted).ellipse([x - 9, y - 4, x + 9, y + 4], fill="red")
with patches_alone(model):
    moved = (entering(vlm, spotted) - entering(vlm, wide)).norm(dim=-1)
patches = vlm.prompt(wide, "Where?").image_patches
tones = ["#999999", "#0072B2", "#009E73", "#E69F00"]
figure, panels = plt.subplots(1, 2, figsize=(11, 2.7), width_ratios=[1, 1.5])
panels[0].imshow(spotted)
for number, (view, tone) in enumerate(zip(patches.views, tones, strict=True)):
    left, top, right, bottom = np.array(view.box) * [*wide.size, *wide.size]
    inset = 0 if number else -4  # the whole picture's frame goes around the others'
    box = (left + inset, top + inset), right - left - 2 * inset, bottom - top - 2 * inset
    panels[0].add_patch(plt.Rectangle(*box, fill=False, ec=tone, lw=2.5))
    label = f"tile {number}" if number else "whole picture"
    places = list(view.positions)
    panels[1].bar(places, moved[places], color=tone, label=label)
panels[0].axis("off")
panels[0].set(xlim=(-8, wide.width + 8), ylim=(wide.height + 8, -8))
told = patches.showing(*SPOT)
for place in told:
    panels[1].annotate("▼", (place, float(moved[place])), ha="center", va="bottom")
panels[1].set(xlabel="position in the sequence", ylabel="change on entering",
              xlim=(patches.positions[0] - 1, patches.positions[-1] + 1),
              ylim=(0, 1.25 * float(moved.max())))  # fmt: skip
panels[1].xaxis.get_major_locator().set_params(integer=True)
panels[1].legend(fontsize=9, ncol=2)
figure.tight_layout()

# %% [markdown]
# **Figure 23.1.** *A spot and its tokens.* Left: the wide picture, with the views of the entry as
# frames (grey around all: the thumbnail). Right: how much each token changes when the spot is
# painted. The triangles are the tokens that `patches.showing` names for the spot, one for each view
# that shows it. The gaps between the colours are the marks, which show nothing and do not move.
# The spot sits in the *middle* tile, because tiles are stacked.
#
# ## Four wrong entries
#
# A test that has never failed has never been tested. So break the entry, one mistake at a time. Each is
# one that we have made, or seen others make. The registry is left alone: `HookedVLM` takes an entry of
# its own.
#
# **One: the wrong stack of blocks.** You print the model, see a list of three blocks, and take it.

# %%
def tower_layers(model):
    return model.model.vision_tower.transformer.encoder.layers


def failed(table):
    """What failed, and what the judge says about it."""
    for row in table[~table["passed"]].itertuples():
        print(f"✗ {row.check}\n    {row.hint[:230]}")


EXHIBITS = {}
EXHIBITS["wrong blocks"] = judge(
    HookedVLM(model, processor, replace(OVIS2, layers=tower_layers))
)
failed(EXHIBITS["wrong blocks"].head(6))

# %% [markdown]
# It has the right number of blocks. Without the comparison with Hugging Face you would have read
# the vision tower for a week.
#
# **Two: the wrong image token.** `processor.image_token_id` is a real token with a tempting
# name. Suppose that a converted checkpoint has it in its config.

# %%
right = model.config.image_token_id
model.config.image_token_id = processor.image_token_id
EXHIBITS["wrong image token"] = judge(vlm)
model.config.image_token_id = right
failed(EXHIBITS["wrong image token"].head(2))

# %% [markdown]
# Loud, and so harmless: no prompt can be made, and every check says so.
#
# **Three: rows and columns exchanged.** You work out the grid yourself, as any sensible person would,
# and a wide picture gets its tiles side by side.

# %%
def sensible_views(layout):
    whole, *tiles = ovis_views(layout)
    columns = layout.text.count("<IMG_ROW>") + 1  # "of course they are side by side"
    shown = boxes(len(tiles) // columns, columns) if tiles else []
    return whole, *(
        view._replace(box=box) for view, box in zip(tiles, shown, strict=True)
    )


EXHIBITS["rows and columns exchanged"] = judge(
    HookedVLM(model, processor, replace(OVIS2, views=sensible_views))
)
failed(EXHIBITS["rows and columns exchanged"])

# %% [markdown]
# One check of all. Every token is a real image token, each is used once, all logits agree. Only the picture
# knows better.
#
# **Four: off by one.** You count from the start mark and not from the first patch.

# %%
def late_views(layout):
    return tuple(
        view._replace(positions=tuple(place + 1 for place in view.positions))
        for view in ovis_views(layout)
    )


EXHIBITS["off by one"] = judge(
    HookedVLM(model, processor, replace(OVIS2, views=late_views))
)
failed(EXHIBITS["off by one"])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
tables = {"the right entry": verdict, **EXHIBITS}
grid = pd.DataFrame({name: table.set_index("check")["passed"] for name, table in tables.items()})
keep("exhibits", grid.reset_index())
figure, axes = plt.subplots(figsize=(9.5, 4.6))
axes.grid(False)
axes.imshow(grid.astype(float), cmap="RdYlGn", vmin=-0.25, vmax=1.25, aspect="auto", alpha=0.75)
for row, column in np.ndindex(grid.shape):
    axes.text(column, row, "✓" if grid.iloc[row, column] else "✗", ha="center", va="center")
axes.set_xticks(range(grid.shape[1]), [name.replace(" ", "\n") for name in grid.columns])
axes.set_yticks(range(grid.shape[0]), grid.index)
figure.tight_layout()
caught = (~grid.drop(columns="the right entry")).sum()
glue("ch23_exchanged", int(caught["rows and columns exchanged"]))
glue("ch23_late", int(caught["off by one"]))
glue("ch23_blocks", int(caught["wrong blocks"]))
glue("ch23_token", int(caught["wrong image token"]))

# %% [markdown]
# **Figure 23.2.** *Which check catches what.* Columns are entries, rows are checks. The loud mistake
# fails {glue:text}`ch23_token` checks, wrong blocks {glue:text}`ch23_blocks`, being off by one
# {glue:text}`ch23_late`, and exchanged rows and columns {glue:text}`ch23_exchanged`.
#
# The two quiet mistakes are the dangerous ones. Hooks, words, steering and all fast passes are
# right under both: only what is said about *patches* is wrong. Your chapter 6 would be fine, and
# your chapters 3 and 7 would tell a wrong story about where place information sits.
#
# An earlier version of the judge let the third mistake through. It painted its spots on a single picture of
# 180 × 120 pixels, which this processor cuts into two rows of two. Exchange rows and columns
# in such a grid, and nothing changes.
#
# ````{exercise} A picture that tells
# :label: ch23-telling
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# A test is as good as the case on which right and wrong differ. Write
# `telling(right, wrong, sizes)`: `right` and `wrong` are functions from a size (width, height) to
# (rows, columns) of tiles; `sizes` is a list of sizes. Return the first size on which the two differ,
# or `None` if there is none.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def telling(right, wrong, sizes):
    # The pairs, and not the numbers of tiles: one row of three is not three rows of one.
    return next((size for size in sizes if right(size) != wrong(size)), None)


# %%
ch23.check_telling(telling)


def cut_by_processor(size):
    _, text = ask(Image.new("RGB", size))
    rows = text.count("<IMG_ROW>") + 1
    return rows, text.count("<IMG_COL>") // rows + 1


candidates = [(40, 40), (180, 120), (120, 180), (240, 80), (80, 240)]
print([cut_by_processor(size) for size in candidates])
print("tells:", telling(cut_by_processor, lambda s: cut_by_processor(s)[::-1], candidates))

# %% [markdown]
# ### Where does it go wrong?
#
# Some failures are not of the entry but of the model: a block that does something between blocks
# (as Qwen3-VL does), a window, a cap. Then "fast passes" fails and "blocks" passes, or the other way round. The way to find
# the place is always the same. Compare with the plain model block by block, and look at the
# *first* block that differs. What comes behind it differs because of it.
#
# ````{exercise} The first block that differs
# :label: ch23-first
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `first_apart(found, expected, allowed)` for two lists of tensors, one for each block. Return the number
# of the first block at which the largest difference, divided by one plus the size of what
# was expected there, is above `allowed`; `None` if there is none. A difference that is not a number is
# above everything. (Comparisons with NaN are always false: mind which way round you ask.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def first_apart(found, expected, allowed):
    for block, (one, other) in enumerate(zip(found, expected, strict=True)):
        share = ((one - other).abs() / (1 + other.abs())).max()
        # `not <=` and not `>`: NaN is neither, and must not pass.
        if not share <= allowed:
            return block
    return None


# %%
ch23.check_first_apart(first_apart)

# %% [markdown]
# Try it on a fifth mistake, a sly one: the right blocks in the wrong order.

# %%
def exchanged_layers(model):
    first, second, third = model.get_decoder().layers
    return nn.ModuleList([first, third, second])


sly = HookedVLM(model, processor, replace(OVIS2, layers=exchanged_layers))
prompt = sly.prompt(wide, "Where is the frog?")
with torch.no_grad():
    states = model(**prompt.inputs, output_hidden_states=True).hidden_states
_, cache = sly.run_with_cache(prompt)
found = [cache[sly.resid_post(block)] for block in range(sly.n_layers - 1)]
print("first block that differs:", first_apart(found, states[1:-1], 1e-5))

# %% [markdown]
# ## The model of the parameters cell
#
# The same judge, on the model that this notebook was started with. Set `MODEL` to any model that
# you mean to use, and let this be the first thing that you run.

# %%
own = judge(MODELS[YES])
keep("judge_model", own)
glue("ch23_own", f"{int(own['passed'].sum())} of {len(own)}")
glue("ch23_own_worst", f"{np.nanmax(own['difference']):.0e}")
failed(own)
shown(own)

# %% [markdown]
# **Table 23.2.** *The judge on the book's model.* Passed: {glue:text}`ch23_own`; the largest
# difference is {glue:text}`ch23_own_worst`.
#
# ## With real weights
#
# The entry is written and judged on a tiny model. Now the real one.
#
# **Load it** under its hub id or from a folder. Register first: `load_vlm` looks the family up.
#
# ```python
# families.register(OVIS2)
# vlm = load_vlm("thisisiron/Ovis2-1B-hf", dtype=torch.float32)
# judge(vlm)
# ```
#
# **Precision.** Judge in float32, once, on the CPU if need be. In half precision the judge allows
# a thousand times more, since a batch of another shape already rounds differently. A check that fails
# in float32 is a mistake. One that fails in half precision alone is mostly rounding: look at the
# number. For the chapters take what the family is run with; `load_vlm` does (`dtypes`, best first).
#
# **Device and memory.** Before anything large is loaded, each chapter prints what the model needs
# and what is free; too little is an error that names a model that would fit. {doc}`21_which_model` has the
# arithmetic, and the ways out: `device_map="auto"` over several devices,
# `quantization_config` for 8 or 4 bits.
#
# **Which chapters?** With `MODEL="..."` in their parameters cell:
#
# | chapters | what your entry needs |
# |---|---|
# | 1 to 6, 8 to 15, 24 | nothing more |
# | 7 | patches in the sequence; with `no_patches` it says so and stops |
# | 16 to 19 | `video_views` and `video_token`: the same exercise, for frames |
# | 20 | nothing more: its sweeps show whether your family gets the full speed |
#
# A chapter whose question your model answers at chance says so and stops that arm. A registered entry
# lives as long as the Python process, and each notebook has its own: repeat the two cells
# (`ovis_views`, `register`) behind its setup cell. Or make it permanent.
#
# **Make it permanent.** Put the views into `helpers/grids.py`, the entry into
# `helpers/families.py`, and `build_stranger` into `tests/zoo.py`. Then `pytest tests/test_families.py`
# judges it with all others, and `tests/test_any_model.py` runs chapters on it. That is what a pull
# request for a new family consists of.
#
# **Send what you find.** A chapter leaves `results/MODEL/CHAPTER`: model and revision, versions,
# seed, and every number with its interval. {doc}`21_which_model` tells how to send it in, and {doc}`../book/ledger`
# shows runs of others beside the book's own.
#
# ````{exercise} Research sprint: who looks ahead?
# :label: ch23-ahead
#
# Difficulty ●●● · importance ●●● · 25 minutes for the function, a day for the sprint
#
# The engine keeps what stands before an edit. That is right only where no token sees what is
# behind it. Do not believe a paper about this: measure it. Write `looks_ahead(states_of, tokens, other)`.
# `states_of(tokens)` runs a model and returns its states `[pos, d_model]` after some block; `tokens` is a
# list of token ids, and `other` an id that is not among them. Return a list of booleans, one for
# each position: does its state depend on any *later* token? States that differ by less than 1e-4 are
# equal.
#
# Then take the day. The open question below asks what becomes of a family whose words see each
# other. Begin with this function: run it on a model of yours, after its first block and after its last.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def looks_ahead(states_of, tokens, other):
    own, found = states_of(tokens), [False] * len(tokens)
    # One token at a time, and every one: the last of them is not seen by words of a prefix, and
    # with all of them changed at once two changes may cancel.
    for place in range(1, len(tokens)):
        changed = states_of([*tokens[:place], other, *tokens[place + 1 :]])
        moved = (changed - own).abs().amax(-1) > 1e-4
        for position in range(place):
            found[position] |= bool(moved[position])
    return found


# %%
ch23.check_looks_ahead(looks_ahead)

# %% [markdown]
# ## Summary
#
# - An entry says where blocks are, which token shows what, and which inputs must not be missing.
#   For Ovis2 that took {glue:text}`ch23_lines` lines.
# - Read places off what the processor writes. What a sensible person would expect is no source.
# - The judge passed {glue:text}`ch23_passed` of {glue:text}`ch23_checks` checks, with
#   differences of at most {glue:text}`ch23_worst`.
# - Of four mistakes, the loudest failed {glue:text}`ch23_token` checks, and the quietest
#   {glue:text}`ch23_exchanged`. Quiet mistakes are found by a check that was built for them, on a case
#   that tells, or not at all.
#
# ## Open question: a research sprint
#
# Take a family that the judge *cannot* pass with an entry alone. PaliGemma lets every token of
# the question see every other, in both directions: a word's state depends on the words behind it, and
# an edit at "camel" changes "frog". Register it as if it were causal. Which checks fail, and which
# pass although the book's picture of the model is wrong? Which of the book's *questions* still
# make sense there? Then propose the smallest change to the package that would make it right, and the check
# that would have told you.
#
# ## Further reading
#
# - {cite:t}`lu2024ovis`: the stranger. Why a patch may be a mixture of visual words.
# - {doc}`15_bug_museum`: what a wrong position, a wrong layer and a missing input did to real figures.
# - {doc}`20_how_fast_and_why`: what the engine assumes, and why its results are exact.
#
# **What follows.** {doc}`24_bring_your_own_relation` keeps the model and changes the question.
