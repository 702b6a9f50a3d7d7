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
# # Meet the model: from pixels to tokens to an answer
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/01_meet_the_model.ipynb)
# · about 40 minutes to read, another 35 for the exercises, one to run
# · runs without a GPU · builds on no other chapter
#
# You show a model a picture with a frog and a camel. You ask which side the frog is on. It says
# "Left". **What happens between the picture and that word?** This chapter follows the question
# through the model once, from the first pixel to the last token, and opens the model at every
# station on the way.
#
# **You will learn**
# - how a picture and a question become one row of tokens
# - how to find a word in that row, also when it is several tokens
# - how to turn an answer into a number, the *belief*
# - how to read and change what flows through the model, with hooks
# - what a logit lens shows at patches and at words, and what it cannot show

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
SMALL = False  # True: fewer images, to try things out
SEED = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

from html import escape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML

from helpers import Edit, Job, Placed, Scene, mirror, plots, scenes, stats, sweep
from helpers.beliefs import surface_forms
from helpers.exercises import ch01
from helpers.reading import read_states
from helpers.report import glue, open_models, percent
from helpers.stimuli import questions
from helpers.stimuli.scenes import Background
from helpers.stimuli.sprites import OBJECTS

(vlm,) = open_models(MODEL, chapter="01_meet_the_model", small=SMALL, seed=SEED).values()
# Some models take pictures of any size, and name none.
PIXELS = int(np.max(getattr(vlm.model.config.vision_config, "image_size", 336)))
PASSED = list(range(vlm.n_layers + 1))  # how many blocks a token has passed

# %% [markdown]
# ## One picture
#
# A {term}`scene` is a list of objects with places. `x` runs from 0 at the left edge to 1 at the right, `y`
# from 0 at the top to 1 at the bottom. Because we made the picture, we know every true answer.

# %%
scene = Scene(
    (
        Placed("frog", x=0.20, y=0.68, size=0.26),
        Placed("camel", x=0.76, y=0.38, size=0.30),
        Placed("backpack", x=0.46, y=0.20, size=0.22),
        Placed("hot dog", x=0.70, y=0.80, size=0.22),
    ),
    Background(
        "gradient", ((255, 244, 214), (214, 236, 255), (226, 255, 226), (255, 224, 236))
    ),
)

# %% [markdown]
# The model never sees this scene, only pixels, and fewer than you might think. Its processor
# shrinks the picture and cuts it into a grid of square **{term}`patches <patch>`**. Let us take the pixels from the
# very tensor that the model gets, and pull the patches apart.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
prompt = vlm.prompt(scene.render(336), "Is the frog to the left or right of the camel?")
IN_ROW = bool(prompt.image_patches.views)  # are there patches in the row of tokens?
rows, columns = prompt.image_patches.grid if IN_ROW else (1, 1)
if not IN_ROW:
    print(f"{vlm.family.name} keeps its picture out of the row of tokens: no patches.")


def as_seen(prompt):
    """The pixels that the model gets, 0 to 1, [height, width, 3]."""
    pixels = prompt.inputs["pixel_values"]
    if pixels.shape[:-2] != (1, 3):  # cut up already: show the picture that was cut
        return np.asarray(prompt.image) / 255
    pixels = pixels[0].permute(1, 2, 0).numpy()
    return (pixels - pixels.min()) / (pixels.max() - pixels.min())


def pulled_apart(pixels, rows, columns):
    """The same picture with white gaps between its patches."""
    side, gap = pixels.shape[0] // rows, max(1, pixels.shape[0] // rows // 4)
    canvas = np.ones((rows * (side + gap), columns * (side + gap), 3))
    for row, column in np.ndindex(rows, columns):
        patch = pixels[
            row * side : (row + 1) * side, column * side : (column + 1) * side
        ]
        top, left = row * (side + gap), column * (side + gap)
        canvas[top : top + side, left : left + side] = patch
    return canvas


figure, (first, second) = plt.subplots(1, 2, figsize=(8, 4.1))
first.imshow(scene.render(672))
second.imshow(pulled_apart(as_seen(prompt), rows, columns))
first.set_title("what we drew")
patches = f"{rows} x {columns} patches" if IN_ROW else "no patches in the row"
second.set_title(f"what the model gets: {patches}")
for axes in (first, second):
    axes.axis("off")
figure.tight_layout()
plt.show()

glue("patches", rows * columns if IN_ROW else "no")
glue("side", PIXELS)
glue("blocks", vlm.n_layers)
glue("d_model", vlm.d_model)

# %% [markdown]
# **Figure 1.1.** *The frog, before and after.* Left: our drawing. Right: the model's input,
# {glue:text}`side` pixels wide, as {glue:text}`patches` patches. A vision tower turns each patch into
# a vector (here CLIP's architecture {cite}`radford2021clip`), and a small projector turns that vector
# into something that can stand in a sentence, as if it were a word. Row by row, from the top left, the
# patches queue up. From here on "left" is a matter of who stands where in the queue, and of what
# the vision tower wrote into each vector about its place.
#
# ## One row of tokens
#
# The question joins the queue. The model's own chat template puts a frame around it, and the
# tokenizer cuts it into **{term}`tokens <token>`**: whole words if they are common, pieces if not. Here is the whole
# row, with its positions.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how the strip is made"}
CHIP = (
    "display:inline-block;text-align:center;padding:2px 5px;margin:2px 1px;border-radius:6px;"
    "font-family:monospace;font-size:0.9em;color:{ink};background:{fill}"
)


def chip(text, number, fill="#ececec", ink="#222"):
    shown = escape(text.replace("\n", "⏎").replace(" ", "·"))
    small = f'<div style="font-size:0.65em">{number}</div>'
    return f'<span style="{CHIP.format(ink=ink, fill=fill)}">{shown}{small}</span>'


def token_strip(prompt, fills):
    """The prompt's tokens as coloured chips; the patches share one chip."""
    image = prompt.image_patches.positions
    count = sum(len(view.positions) for view in prompt.image_patches.views)
    chips = []
    for position, token in enumerate(prompt.tokens):
        if position == image[0]:
            label = f"{count} patches" if count else "the picture"
            chips.append(chip(label, f"{image[0]} to {image[-1]}", "#007F5C", "#fff"))
        elif position not in image:
            chips.append(chip(token, position, *fills.get(position, ())))
    return HTML(f'<div style="line-height:2.6">{"".join(chips)}</div>')


def mark_words(prompt, *words):
    """Blue for the object words, orange for the last token."""
    fills = {
        position: ("#0072B2", "#fff")
        for word in words
        for position in prompt.word(word)
    }
    return fills | {prompt.last: ("#B84F00", "#fff")}


# %%
token_strip(prompt, mark_words(prompt, "frog", "camel"))

# %% [markdown]
# **Figure 1.2.** *The whole prompt.* Green: the patches. Blue: the two **object words**, which will be
# the heroes of this book. Orange: the last token. A dot stands for a space. The model is *causal*: a token can look
# at those before it, never at those after. So the patches never see the question, and only the last
# token sees everything. The answer is read there.
#
# Not every word is one token:

# %%
other = vlm.prompt(scene.render(336), "Is the hot dog above or below the backpack?")
for word in ("hot dog", "backpack"):
    positions = other.word(word)
    print(
        f"{word!r}: positions {positions}, tokens {[other.tokens[p] for p in positions]}"
    )
token_strip(other, mark_words(other, "hot dog", "backpack"))

# %% [markdown]
# **Figure 1.3.** *Words and their spans.* A word's meaning is complete at its *last* token: at "hot" the
# model cannot know yet that this is about food. The paper {cite}`kang2026linear` reads its spatial
# IDs at the last token of an object word, and so do we.
#
# Finding words sounds like a detail. It is where this kind of research goes wrong most quietly. An
# edit one position off lands on the article, runs without an error, and yields a plausible curve. It
# happened to us while this book was made. So do it by hand once, and never again.

# %% [markdown]
# ````{exercise} Find every token of a word
# :label: ch1-find-word
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# Write `find_word(text, offsets, question, word)`. It gets the whole prompt as `text`, for each token
# its `(begin, end)` characters in it, the `question`, and a `word` of the question. Return the
# positions of all tokens that hold some of the word's first occurrence. Traps: "apple" is also
# a part of "pineapple", the prompt holds more than the question, and many tokens begin
# with a space.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
import re


def find_word(text, offsets, question, word):
    # Search in the question alone: the rest of the prompt may hold the same word.
    start = text.rindex(question)
    # \b is a word's edge, so that "apple" is not found inside "pineapple".
    match = re.search(rf"\b{re.escape(word)}\b", question)
    begin, end = start + match.start(), start + match.end()
    # A token belongs to the word if they share at least one character.
    return [i for i, (low, high) in enumerate(offsets) if low < end and high > begin]


# %%
ch01.check_find_word(find_word)

# %% [markdown]
# `prompt.word("frog")` does this from now on. It also raises an error, with the tokens in it, when the word
# is not there. Silence is the enemy.
#
# ## An answer
#
# Now let it speak. These are questions in the wording that real vision-language models are asked.

# %%
asked = [
    questions.left_right(scene, "frog", "camel"),
    questions.left_right(scene, "camel", "frog"),
    questions.above_below(scene, "hot dog", "backpack"),
    questions.where(scene, "frog"),
    questions.corner(scene, "bottom", "right"),
    questions.further(scene, "camel", "backpack", "right"),
    questions.between(scene, "backpack", "frog", "camel"),
    questions.is_there(scene, "hot dog"),
    questions.is_there(scene, "dog"),
    questions.what(scene),
]
replies = vlm.generate(vlm.prompt(scene.render(336), [one.text for one in asked]))

table = pd.DataFrame(
    {"question": [one.text for one in asked], "truth": [one.answer for one in asked]}
)
table["model"] = replies
right = [
    r.lower().startswith(t.lower())
    for r, t in zip(replies, table["truth"], strict=True)
]
table[""] = np.where(right, "✓", "✗")
glue("answers_right", sum(right))
glue("answers_asked", len(right))
pd.set_option("display.max_colwidth", None)  # whole questions
table

# %% [markdown]
# **Table 1.1.** *Ten questions about one picture.* {glue:text}`answers_right` of
# {glue:text}`answers_asked` are right. Look at the last but one: there is a *hot dog* and no dog. A
# model that matches pieces of words falls for it. Did this one? And the frog and the camel are one of the pairs
# that the book's models never saw together in training, so the first two answers cannot be recalled;
# they have to be worked out.
#
# One picture proves little ([chapter 2](02_making_stimuli.ipynb) is about that). So draw many with a hot
# dog and no dog, and ask about the dog; and of the same pictures, to compare, about a camel that is
# not there either.

# %%
COUNT = 16 if SMALL else 96
drawn = [s for s in scenes(20 * COUNT, SEED + 5) if "hot dog" in s.names]
drawn = [s for s in drawn if not {"dog", "camel"} & set(s.names)][:COUNT]
pictures = [s.render() for s in drawn]


def says_yes(absent):
    """How often the model sees an object that is not in the picture."""
    asked = vlm.prompt(pictures, f"Is there a {absent} in the image?")
    return stats.proportion(vlm.beliefs(asked, ("Yes", "No"))["belief"] == "Yes")


seen = {absent: says_yes(absent) for absent in ("dog", "camel")}
for absent, value in seen.items():
    glue(f"false_{absent}", percent(value))
    print(f"hot dog in the picture, {absent} not: sees a {absent} in {percent(value)}")

# %% [markdown]
# The dog is seen in {glue:text}`false_dog` of these pictures, the camel in {glue:text}`false_camel`.
# That row of the table was meant for careless searches of words, and it caught the model. If the
# first number is large, you have found a bug in a mind, and you can guess at its cause: "hot dog" is two
# tokens, and one of them is "dog". In training, each patch of this model was pulled towards the words for what it shows (more on that below), here
# towards both. That is a guess. How would you test it?
#
# For any test we need a finer measure than a word.
#
# ## A belief is a number
#
# A model does not say "Left". It gives every token of its vocabulary a probability, and someone
# picks the largest. Here is what stands behind the word.


# %%
def names_of(ids, space="·"):
    """Tokens as text. Tokenizers write a leading space as ▁ or as Ġ."""
    names = vlm.processor.tokenizer.convert_ids_to_tokens(list(ids))
    return [name.replace("▁", space).replace("Ġ", space) for name in names]


def top_tokens(logits, count=8):
    """The likeliest next tokens and their probabilities."""
    probabilities, ids = logits.float().softmax(-1).topk(count)
    return names_of(ids.tolist()), probabilities.cpu().numpy()


names, probabilities = top_tokens(vlm.last_logits(prompt)[0])
axes = plt.subplots(figsize=(6, 2.8))[1]
axes.barh([repr(name) for name in names], probabilities, color="#D55E00")
axes.invert_yaxis()
axes.set(xlabel="probability (log scale)", xscale="log", title="the next token")
plt.show()
glue("top_share", f"{100 * probabilities[0]:.1f} %")

# %% [markdown]
# **Figure 1.4.** *The eight likeliest first tokens of the reply.* Mind the log scale: the first one holds
# {glue:text}`top_share`.
#
# "Left" can be written "Left" or "left", with a space before it or without. For the model
# these are different tokens; for you they are one answer. The
# authors' released scripts read three different forms of it for one and the same model. LLaVA answers with a
# capital; lower-case "left" there holds a probability of about 2 in 100,000, so a script that
# reads it measures the fog on the windscreen. Our rule: an answer's probability is the *sum over its
# {term}`surface forms <surface form>`*.

# %%
for answer in ("Left", "Right"):
    forms = surface_forms(vlm, prompt, answer)
    print(
        answer,
        [vlm.processor.tokenizer.convert_ids_to_tokens(list(form)) for form in forms],
    )

# %% [markdown]
# The **{term}`belief`** is then one number, the {term}`log-odds` of the first answer against the second:
#
# $$b = \log \sum_{a \in \text{Left}} p(a) - \log \sum_{a \in \text{Right}} p(a).$$
#
# Above zero the model leans to "Left", below it to "Right". The logarithm is the natural one, and its unit is the
# *nat*: three nats are odds of 20 to 1.
#
# ````{exercise} Log-odds over surface forms
# :label: ch1-log-odds
#
# Difficulty ●○○ · importance ●●● · 5 minutes
#
# Write `log_odds(logits, forms, other_forms)`. `logits` is a tensor `[vocabulary]`; the other two are
# lists of token ids, the forms of either answer that are one token. Do you need the softmax? What
# happens to `exp` when logits are large?
# ````


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def log_odds(logits, forms, other_forms):
    # The softmax divides both sums by the same number, which cancels in the difference.
    # logsumexp adds probabilities without ever forming a number too large for a float.
    return logits[forms].logsumexp(0) - logits[other_forms].logsumexp(0)


# %%
ch01.check_log_odds(log_odds)

# %% [markdown]
# `vlm.beliefs` does the same for many prompts, and takes care of forms that are several tokens. Now
# that a belief is a number, we can watch it *move*. Put the camel in the middle and let the frog
# walk from the left edge to the right.


# %%
def walk(x):
    """The frog at x, the camel in the middle, two bystanders."""
    return Scene(
        (
            Placed("frog", x, 0.76, 0.24),
            Placed("camel", 0.50, 0.36, 0.28),
            Placed("backpack", 0.14, 0.20, 0.20),
            Placed("hot dog", 0.86, 0.22, 0.20),
        )
    )


steps = np.linspace(0.12, 0.88, 9 if SMALL else 39)
walks = [walk(x).render(PIXELS) for x in steps]
ASK = "Is the {} to the left or right of the {}?"
odds = pd.DataFrame(
    {
        "frog first": vlm.beliefs(
            vlm.prompt(walks, ASK.format("frog", "camel")), ("Left", "Right")
        )["log_odds"],
        "camel first": vlm.beliefs(
            vlm.prompt(walks, ASK.format("camel", "frog")), ("Left", "Right")
        )["log_odds"],
    }
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
axes = plt.subplots(figsize=(7.5, 4.2))[1]
axes.axvspan(0.5 - questions.MARGIN, 0.5 + questions.MARGIN, color="0.93", lw=0)
axes.axhline(0, color="0.4", lw=1)
for name, color in (("frog first", "#0072B2"), ("camel first", "#E69F00")):
    axes.plot(steps, odds[name], color=color, lw=2, label=name)
every = slice(0, None, 2 if SMALL else 6)
points = np.column_stack([steps[every], odds["frog first"][every]])
plots.sprites_at(axes, points, ["frog"] * len(points), zoom=0.2)
top = float(odds.abs().to_numpy().max())
axes.set(
    xlabel="where the frog is (0 left, 1 right)",
    ylabel="belief: log-odds of Left against Right",
    ylim=(-1.35 * top, 1.35 * top),
)
plots.sprites_at(axes, np.array([[0.5, -1.1 * top]]), ["camel"], zoom=0.26)
axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2)
plt.show()

away = np.abs(steps - 0.5) > questions.MARGIN
truth = np.where(steps < 0.5, 1, -1)
agree = [
    np.mean(np.sign(odds[n][away]) == s * truth[away])
    for n, s in (("frog first", 1), ("camel first", -1))
]
glue("walk_first", f"{100 * agree[0]:.0f} %")
glue("walk_second", f"{100 * agree[1]:.0f} %")

# %% [markdown]
# **Figure 1.5.** *The frog walks past the camel.* Blue: "Is the frog to the left or right of the camel?"
# Orange: the same with the nouns exchanged, for which every true answer is the opposite. In the grey band
# the two are almost above each other, and there is no fair answer. Outside it the sign is right in
# {glue:text}`walk_first` of the steps (frog first) and {glue:text}`walk_second` (camel first).
#
# The orange curve ought to be the blue one upside down. Wherever it is not, the model has a
# preference for a word, whatever the picture shows. How large is it?
#
# ````{exercise} What it sees, what it prefers
# :label: ch1-orders
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# Think of a belief as a sum of two parts. *Evidence* is what the picture says about the two
# places. *Preference* is a liking for the word "Left" that is there whatever the picture shows.
# Write `apart(asked, exchanged)` for two arrays of beliefs, both log-odds of Left against Right:
# the question as asked, and with the nouns exchanged. Return two arrays, evidence (for the question
# as asked) and preference. What must happen to either part when the nouns change places?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def apart(asked, exchanged):
    # Exchanging the nouns turns the evidence round and leaves the preference as it is:
    #     asked = evidence + preference,  exchanged = -evidence + preference.
    # Half the difference is free of the preference, half the sum is free of the evidence.
    return (asked - exchanged) / 2, (asked + exchanged) / 2


# %%
ch01.check_apart(apart)
evidence, preference = apart(*(odds[name].to_numpy() for name in odds))
sees = np.mean(np.sign(evidence[away]) == truth[away])
glue("walk_evidence", f"{100 * sees:.0f} %")
glue("walk_preference", float(preference.mean()))
glue("walk_reach", float(np.abs(evidence).max()))
glue("walk_widest", float(np.abs(preference).max()))

# %% [markdown]
# Along the walk the evidence reaches {glue:text}`walk_reach` nats, and its sign is right in
# {glue:text}`walk_evidence` of the steps outside the band. The preference is {glue:text}`walk_preference` on average and
# {glue:text}`walk_widest` at most. Whoever asks in one order reads the sum. A model that sees nothing and likes "Left"
# is right in half of the questions, and so is one that sees everything and likes "Left" more than anything it sees.
# From now on we ask everything in *both orders of the nouns*.
#
# ## The residual stream
#
# Between the row of tokens and the answer there are {glue:text}`blocks` {term}`blocks <block>`. Every token carries a vector
# of {glue:text}`d_model` numbers, its **{term}`residual stream`**. Each block reads the streams, lets tokens
# look at earlier ones (attention), thinks about each by itself (the MLP), and *adds* what it found. Nothing
# is overwritten, only added to.
#
# `run_with_cache` runs the model and keeps what passes. The names are those of TransformerLens
# {cite}`nanda2022transformerlens`: `blocks.3.hook_resid_pre` enters block 3, `blocks.3.hook_resid_post` leaves
# it. [Words and symbols](../book/notation.md) has the table that translates between the paper's
# layers and these.

# %%
logits, cache = vlm.run_with_cache(prompt)
print("logits", list(logits.shape))
for name in (
    "blocks.0.hook_resid_pre",
    "blocks.0.hook_resid_post",
    "blocks.1.hook_resid_pre",
):
    print(name, list(cache[name].shape))

same = torch.equal(cache["blocks.0.hook_resid_post"], cache["blocks.1.hook_resid_pre"])
print("what leaves block 0 is what enters block 1:", same)


# %% [markdown]
# We will speak of *how many blocks a token has passed*. After none, a token is just its embedding; after all
# {glue:text}`blocks` of them, its stream decides the next token. Where in the row does each block do its work? Measure by how
# much it changes each stream, as a share of the stream's length.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
def stream(cache, passed):
    """The residual stream after so many blocks, [batch, pos, d_model]."""
    return cache[
        "blocks.0.hook_resid_pre" if passed == 0 else vlm.resid_post(passed - 1)
    ]


work = []
for passed in PASSED[1:]:
    before, after = (
        stream(cache, passed - 1)[0].float(),
        stream(cache, passed)[0].float(),
    )
    work.append(((after - before).norm(dim=-1) / before.norm(dim=-1)).cpu().numpy())
work = np.array(work)

image, text = prompt.image_patches.positions, prompt.text_positions
shown = np.column_stack([work[:, image].mean(1), work[:, text]])
figure, axes = plt.subplots(figsize=(8.5, 3.6))
drawn = axes.imshow(shown, aspect="auto", cmap="magma", norm="log")
axes.set_xticks(
    range(shown.shape[1]),
    ["patches (mean)" if IN_ROW else "the picture",
     *(repr(prompt.tokens[p])[1:-1] for p in text)],
    rotation=60, ha="right", fontsize=8,
)  # fmt: skip
axes.set(ylabel="block", title="how much a block changes each token's stream")
axes.grid(False)
figure.colorbar(drawn, ax=axes, label="|change| / |stream before|")
plt.show()
glue("work_patches", float(np.median(work[:, image])) if IN_ROW else "(no patches)")
glue("work_text", float(np.median(work[:, text])))

# %% [markdown]
# **Figure 1.6.** *Who is busy, and when.* Bright: the block changes this token's stream a lot (the scale is logarithmic). The median
# change for a block is {glue:text}`work_patches` of the stream for patches and
# {glue:text}`work_text` for words. Compare the first column with the others before you read on: patches and words
# do not live the same life in the language model. The vision tower has already worked on the patches;
# the words arrive raw.
#
# Busy is not the same as important. To learn what matters you have to *change* something.
#
# ## A first edit
#
# A **{term}`hook`** is a function of yours that the model calls at a named {term}`site`, with the tensor that passes
# there. Change the tensor, and everything downstream runs on the changed one. The function's second argument, `hook`, tells by its
# `name` at which site it runs. Here we do not need it.


# %%
def silence(positions):
    """A hook that sets the stream at some positions to zero."""

    def hook(resid, hook):
        resid = resid.clone()
        resid[:, positions] = 0
        return resid

    return hook


def belief(fwd_hooks=()):
    table = vlm.beliefs(prompt, ("Left", "Right"), fwd_hooks=fwd_hooks)
    return float(table["log_odds"].iloc[0])


site = "blocks.0.hook_resid_pre"
print("before      ", round(belief(), 2))
print("frog silent ", round(belief([(site, silence(prompt.word("frog")))]), 2))
print("after       ", round(belief(), 2), "(the hook is gone)")

# %% [markdown]
# Now do that to every token of the question in turn, and colour each by what its silence does to
# the belief. Change is always *after minus before*.

# %%
clean = belief()
changes = {p: belief([(site, silence([p]))]) - clean for p in prompt.text_positions}
largest = max(abs(change) for change in changes.values())
fills = {}
for position, change in changes.items():
    shade = plt.get_cmap("RdBu")(0.5 + 0.5 * change / largest)
    light = sum(shade[:3]) > 1.4
    fills[position] = (plt.matplotlib.colors.to_hex(shade), "#222" if light else "#fff")
token_strip(prompt, fills)

# %% tags=["remove-output"]
ranked = sorted(changes, key=lambda p: -abs(changes[p]))
glue("loudest", ", ".join(f'"{prompt.tokens[p].strip()}"' for p in ranked[:3]))
glue("loudest_change", float(changes[ranked[0]]))
glue("clean_belief", clean)

# %% [markdown]
# **Figure 1.7.** *Which words can the model not do without?* Red: silencing the token moves the belief
# towards "Right"; blue: towards "Left". The belief was {glue:text}`clean_belief`; the three tokens that move it
# most are {glue:text}`loudest`, the first of them by {glue:text}`loudest_change` nats.
#
# Do not read too much into it. A stream of zeros is nothing the model ever met, and a token may matter
# because it says *which question* this is. Figure 1.7 cannot tell "this token knows where
# the frog is" from "without this token the sentence makes no sense". Telling them apart takes
# better edits, and those are what [chapter 3](03_where_does_it_flow.ipynb) is about.
#
# The same tool on the picture is on firmer ground, because there we can build a proper control.

# %% [markdown]
# ````{exercise} Make the frog disappear
# :label: ch1-ablate
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# Write `ablate(positions, vector)`. It returns a hook that writes `vector` over the stream at
# `positions`, in every row of the batch, and leaves everything else alone. Then think: if the model
# stops seeing the frog when its patches are overwritten, what else would you have to show before you
# may say "because those were the *frog's* patches"?
# ````


# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def ablate(positions, vector):
    def hook(resid, hook):
        resid = resid.clone()  # somebody else may hold this tensor
        resid[:, positions] = vector.to(resid)
        return resid

    return hook


# The control: overwrite as many patches that show no object. If that does the same, then what
# counted was the damage, not the frog.

# %%
ch01.check_ablate(ablate)

# %% [markdown]
# Try it on our picture. In place of the frog's patches we write the mean of all patches: no frog, but
# nothing outlandish either. The question is now "Is there a frog in the image?".


# %%
def patches_of(placed, view):
    """Patches of one grid, as (row, column), that the box of an object touches."""
    (rows, columns), (left, top, right, bottom) = view.grid, view.box
    high, wide = (bottom - top) / rows, (right - left) / columns
    y = top + (np.arange(rows) + 0.5) * high
    x = left + (np.arange(columns) + 0.5) * wide
    near_y = np.abs(y - placed.y) < placed.size / 2 + 0.4 * high
    near_x = np.abs(x - placed.x) < placed.size / 2 + 0.4 * wide
    return [
        (int(r), int(c)) for r in np.flatnonzero(near_y) for c in np.flatnonzero(near_x)
    ]


def tokens_of(placed, views):
    """Positions of an object's patches; some models see it in more grids than one."""
    return [view.at(*cell) for view in views for cell in patches_of(placed, view)]


def background_of(scene, views):
    """Positions of the patches that no object touches."""
    taken = {token for placed in scene.objects for token in tokens_of(placed, views)}
    return [token for view in views for token in view.positions if token not in taken]


# %%
there = vlm.prompt(scene.render(PIXELS), "Is there a frog in the image?")
frog = tokens_of(scene.find("frog"), there.image_patches.views)
empty = background_of(scene, there.image_patches.views)[: len(frog)]
mean_patch = cache[site][0, there.image_patches.positions].mean(0)
arms = {"untouched": []} | ({"frog": frog, "background": empty} if IN_ROW else {})
for label, positions in arms.items():
    hooks = [(site, ablate(positions, mean_patch))] if positions else []
    answer = vlm.beliefs(there, ("Yes", "No"), fwd_hooks=hooks)["log_odds"].iloc[0]
    reply = vlm.generate(there, fwd_hooks=hooks)
    print(f"{label:10s} log-odds of Yes {answer:6.2f}   reply: {reply}")

# %% [markdown]
# One picture, one edit. Now the experiment: many pictures the model has not seen, each with its control on the
# same picture, and the edit made after 0, 1, 2, ... blocks. If the frog's patches can be wiped out *late*
# without harm, then what they had to say has been read before.
#
# For so many edits a function each would be clumsy. An `Edit` says the same as a value: at this site and these positions add
# a vector, or with `replace=True` write it over the stream. A `Job` is a prompt with its edits and some labels.
# `sweep` runs a list of jobs and returns a table: a row for each job, with its labels and its belief. Most experiments of
# this book have that form.

# %%
rng = np.random.default_rng(SEED)
CONTROLS = 1 if SMALL else 2
jobs = []
for number, one in enumerate(
    scenes(4 if SMALL else 24, SEED + 1, objects=(3, 4), held_out=True)
):
    name = one.names[0]
    ask = vlm.prompt(one.render(PIXELS), questions.is_there(one, name).text)
    views = ask.image_patches.views
    own, free = tokens_of(one.find(name), views), background_of(one, views)
    if not own or len(free) < len(own):
        continue
    arms = [("object", own)]
    arms += [("background", rng.permutation(free)[: len(own)]) for _ in range(CONTROLS)]
    jobs.append(Job(ask, (), {"scene": number, "arm": "none", "passed": -1}))
    _, kept = vlm.run_with_cache(ask)
    for passed in PASSED[:-1]:
        mean_patch = stream(kept, passed)[0, ask.image_patches.positions].mean(0)
        for arm, tokens in arms:
            where = tuple(map(int, tokens))
            edit = Edit(
                f"blocks.{passed}.hook_resid_pre", where, mean_patch, replace=True
            )
            jobs.append(
                Job(ask, (edit,), {"scene": number, "arm": arm, "passed": passed})
            )
swept = sweep(vlm, jobs, ("Yes", "No"), progress=False) if jobs else None


# %%
def changes_by_scene(swept):
    """Each arm's change of the log-odds in each scene, after each number of blocks."""
    before = swept[swept["arm"] == "none"].set_index("scene")["log_odds"]
    edited = swept[swept["arm"] != "none"].copy()
    edited["change"] = edited["log_odds"] - edited["scene"].map(before)
    keys = ["arm", "passed", "scene"]
    return edited.groupby(keys, as_index=False)["change"].mean()


if jobs:
    by_scene = changes_by_scene(swept)
    curves = pd.DataFrame(
        [
            {"arm": arm, "passed": passed} | stats.mean(part["change"])._asdict()
            for (arm, passed), part in by_scene.groupby(["arm", "passed"], sort=False)
        ]
    )
    axes = plots.with_band(
        curves, "passed", "arm", colors={"object": "#009E73", "background": "#7F7F7F"}
    )
    axes.axhline(0, color="0.4", lw=1)
    axes.set(xlabel="blocks passed before the edit")
    axes.set(ylabel="change of the log-odds of Yes")
    plt.show()

# %% tags=["remove-output"]
if jobs:
    pair = by_scene.pivot(
        index=["passed", "scene"], columns="arm", values="change"
    ).reset_index()
    early = pair[pair["passed"] == 0]
    gap = stats.paired_difference(early["object"], early["background"])
    clear = gap.high < 0
    verdict = "the object's own patches count" if clear else "no difference can be told"
    last = curves[(curves["arm"] == "object") & (curves["high"] < 0)]["passed"]
    last = int(last.max()) if len(last) else "no"
else:
    gap, early, verdict, last = "(no patches)", [], "there are none to wipe out", "no"
glue("ablate_gap", gap)
glue("ablate_n", len(early))
glue("ablate_verdict", verdict)
glue("ablate_last", last)

# %% [markdown]
# **Figure 1.8.** *Wiping out an object, and wiping out nothing.* Green: the patches of the object that the
# question is about. Grey: as many background patches of the same picture. Bands are 95 % {term}`bootstrap` intervals over {glue:text}`ablate_n` pictures: they tell how far the mean moves when you draw
# the pictures again, with repetition, from those that you have. At the entrance of the model the difference between the two is
# {glue:text}`ablate_gap` nats: {glue:text}`ablate_verdict`. How many blocks had passed before the last edit that still had a clear effect: {glue:text}`ablate_last`. (With 0 the edit
# comes before the first block.)
#
# Patches count until someone has read them. *Who* reads them, the {term}`object word` or the last token, and
# which is it for *where* rather than *whether*? Keep that question. It is the next chapter but one.
#
# ## Reading without touching: the logit lens
#
# The model turns its last stream into words with two steps: a final norm and the {term}`unembedding`, a matrix
# with one row for each token. Nothing stops you from doing this *earlier*: take the stream after three
# blocks, pretend the model were finished, and see which word comes out. This is the **{term}`logit lens`**
# {cite}`nostalgebraist2020logit`.


# %%
@torch.no_grad()
def lens(resid):
    """Decode a stream as if it were the last one: final norm, then unembedding."""
    norm = vlm.model.get_decoder().norm
    return vlm.model.get_output_embeddings()(norm(resid)).float()


gap_to_model = (lens(stream(cache, vlm.n_layers)) - logits.float()).abs().max()
print(
    f"after all blocks the lens is the model: largest difference {float(gap_to_model):.1e}"
)

# %% [markdown]
# ### On patches: do they name what they show?
#
# A patch is not a word, and nobody asks it to predict one. Still, decode each one and write its likeliest
# token on it. Where that token is (a part of) an object's name, the patch turns green.


# %%
def name_ids():
    """For each object's name, the ids of its tokens as they stand in a question."""
    blank = Scene(()).render(PIXELS)
    asked = vlm.prompt(blank, [f"Is the {name} in the image?" for name in OBJECTS])
    pairs = zip(asked, OBJECTS, strict=True)
    return [one.inputs["input_ids"][0, one.word(name)] for one, name in pairs]


ids = name_ids()
naming = set(torch.cat(ids).tolist())


def lens_on_patches(passed):
    where = list(prompt.image_patches.whole.positions)
    top = lens(stream(cache, passed)[0, where]).argmax(-1)
    words = names_of(top.tolist(), space="")
    figure, axes = plt.subplots(figsize=(6, 6.2))
    axes.imshow(as_seen(prompt), extent=(0, columns, rows, 0), alpha=0.55)
    for number, (token, word) in enumerate(zip(top.tolist(), words, strict=True)):
        row, column = divmod(number, columns)
        if token in naming:
            box = plt.Rectangle((column, row), 1, 1, color="#009E73", alpha=0.6, lw=0)
            axes.add_patch(box)
        style = {"weight": "bold", "color": "white"} if token in naming else {}
        axes.text(
            column + 0.5, row + 0.5, word.replace("<0x0A>", "⏎")[:7],
            ha="center", va="center", fontsize=72 / columns, clip_on=True, **style,
        )  # fmt: skip
    axes.set(title=f"after {passed} blocks", xticks=[], yticks=[])
    return figure


stops = sorted({*PASSED[:: max(1, len(PASSED) // 12)], vlm.n_layers})
plots.slider(lens_on_patches, stops, "blocks passed", start=0) if IN_ROW else None

# %% [markdown]
# **Figure 1.9.** *The logit lens on patches. Move the slider.* Where do you read "frog", "camel", "hot" or "dog"?
# What do the empty patches say?
#
# A pretty picture is no measurement, and eyes find frogs everywhere. So count: among the book's
# {glue:text}`names` object names, which gets the highest score at a patch? Take patches near an object's centre,
# and as the control, ask how often *background* patches name an object that is in the picture.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the counting"}
def named(resid):
    """The object whose name fits each stream best: mean logit over the name's tokens."""
    logits = lens(resid)
    scores = torch.stack([logits[:, one.to(logits.device)].mean(-1) for one in ids], -1)
    return [OBJECTS[index] for index in scores.argmax(-1).tolist()]


counts = []
drawn = scenes(4 if SMALL else 40, SEED + 2, objects=(3, 4), held_out=True)
for one in drawn if IN_ROW else []:
    ask = vlm.prompt(one.render(PIXELS), "What is in the image?")
    whole = ask.image_patches.whole
    rows, columns = whole.grid
    core = {whole.at(r, c): p.name for p in one.objects for r, c in patches_of(p, whole)
            if max(abs((r + 0.5) / rows - p.y),
                   abs((c + 0.5) / columns - p.x)) < 0.3 * p.size}  # fmt: skip
    core = core or {whole.patch(p.x, p.y): p.name for p in one.objects}
    free = background_of(one, [whole])
    _, kept = vlm.run_with_cache(ask)
    for passed in PASSED:
        resid = stream(kept, passed)[0]
        own = named(resid[list(core)])
        hits = np.mean([a == b for a, b in zip(own, core.values(), strict=True)])
        counts.append(("its own object", passed, hits))
        if free:
            other = named(resid[free])
            counts.append(
                ("background", passed, np.mean([a in one.names for a in other]))
            )
counts = pd.DataFrame(counts, columns=["patches", "passed", "share"])


# %%
def shares_of(counts):
    """The mean over pictures with its interval, for either kind of patches."""
    parts = counts.groupby(["patches", "passed"], sort=False)["share"]
    return pd.DataFrame(
        [
            {"patches": kind, "passed": passed} | stats.mean(part)._asdict()
            for (kind, passed), part in parts
        ]
    )


tones = {"its own object": "#009E73", "background": "#7F7F7F"}
ends = dict.fromkeys((0, vlm.n_layers), "(no patches)")
if IN_ROW:
    shares = shares_of(counts)
    axes = plots.with_band(shares, "passed", "patches", colors=tones)
    axes.axhline(1 / len(OBJECTS), color="0.4", ls=":", lw=1)
    axes.set(xlabel="blocks passed", ylabel="share of patches", ylim=(-0.02, 1.02))
    plt.show()
    own = shares[shares["patches"] == "its own object"].set_index("passed")
    own = own[["estimate", "low", "high", "n"]]
    ends = {passed: stats.Interval(*own.loc[passed]) for passed in ends}
glue("names", len(OBJECTS))
glue("named_first", ends[0])
glue("named_last", ends[vlm.n_layers])

# %% [markdown]
# **Figure 1.10.** *Do patches name their object?* Green: patches near an object's centre name that object; guessing
# gives 1 in {glue:text}`names` (dotted). Grey: background patches name one of the three or four objects in the
# picture. The interval is over pictures, because patches of one picture are no independent
# witnesses. At the entrance {glue:text}`named_first`, after the last block {glue:text}`named_last`.
# The two figures ask different questions: a name can be the best of all *names* while other tokens of the vocabulary
# stand before it. Counting among names is the easier test.
#
# :::{admonition} Two models, two reasons
# :class: note
# In large LLaVA models patches begin to name their object in the middle layers, and no one trained them
# to {cite}`neo2025interpreting`. In the book's small models the reason is duller: the first stage of their
# training pulled each patch towards the word for what it shows. What you read after *no* block at all is that
# objective; only what comes later was added by the language model. Run this chapter on
# `llava-hf/llava-1.5-7b-hf` to see the other case.
# :::
#
# ### On words: where does "Left" appear?
#
# Now the question's tokens, all of them, after every block: the likeliest next token, and how likely it
# is.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
text = prompt.text_positions
likely = [lens(stream(cache, passed)[0, text]).softmax(-1).max(-1) for passed in stops]
values = np.array([one.values.cpu().numpy() for one in likely])
tokens = [names_of(one.indices.tolist(), space="") for one in likely]

figure, axes = plt.subplots(figsize=(11, 0.42 * len(stops) + 1.4))
axes.imshow(values, aspect="auto", cmap="YlGnBu", vmin=0, vmax=1, origin="lower")
for row, column in np.ndindex(values.shape):
    word = tokens[row][column].replace("\n", "⏎")[:8]
    ink = "white" if values[row, column] > 0.6 else "black"
    axes.text(column, row, word, ha="center", va="center", fontsize=7, color=ink)
axes.set_xticks(
    range(len(text)),
    [repr(prompt.tokens[p])[1:-1] for p in text],
    rotation=45,
    ha="right",
)
axes.set_yticks(range(len(stops)), stops)
axes.set(ylabel="blocks passed", xlabel="token of the prompt")
axes.grid(False)
plt.show()

# %% [markdown]
# **Figure 1.11.** *The logit lens on the question.* Each column is a token, read from the bottom up. The bottom
# row mostly repeats the token itself: input and output words share one table in the small models. The top
# row is the model's real prediction. Watch the last column, where the answer takes shape, and the two nouns.
#
# Again: one picture. Take many, and at each token ask for the log-odds of the *true* answer against the
# wrong one, so that 0 means "cannot tell".


# %%
def first_tokens(answer):
    """Its forms of one token; of an answer without such, what its forms begin with."""
    forms = surface_forms(vlm, prompt, answer)
    alone = [form[0] for form in forms if len(form) == 1]
    return alone or sorted({form[0] for form in forms})


FORMS = [first_tokens(answer) for answer in ("Left", "Right")]
found = []
for number, one in enumerate(scenes(4 if SMALL else 60, SEED + 3, held_out=True)):
    order = one.names[:2] if number % 2 else one.names[1::-1]
    question = questions.left_right(one, *order)
    if question is None:
        continue
    ask = vlm.prompt(one.render(PIXELS), question.text)
    spans = ask.words(question.objects)
    places = {
        "last token": ask.last,
        "second noun": spans[1][-1],
        "first noun": spans[0][-1],
    }
    _, kept = vlm.run_with_cache(ask)
    for passed in PASSED:
        decoded = lens(stream(kept, passed)[0, list(places.values())])
        sign = 1 if question.answer == "Left" else -1
        for place, one_logits in zip(places, decoded, strict=True):
            found.append(
                (number, place, passed, sign * float(log_odds(one_logits, *FORMS)))
            )
found = pd.DataFrame(found, columns=["scene", "token", "passed", "odds"])

# %%
lines = pd.DataFrame(
    [
        {"token": token, "passed": passed} | stats.mean(part["odds"])._asdict()
        for (token, passed), part in found.groupby(["token", "passed"], sort=False)
    ]
)
palette = {"second noun": "#0072B2", "first noun": "#56B4E9"}
axes = plots.with_band(lines, "passed", "token", colors=palette)
axes.axhline(0, color="0.4", lw=1)
axes.set(xlabel="blocks passed", ylabel="lens: log-odds, true against wrong")
plt.show()

# %% tags=["remove-output"]
last = lines[lines["token"] == "last token"].sort_values("passed")
clear = (last["low"] > 0).to_numpy()
since = next((p for p in PASSED if clear[p:].all()), None)
glue("appears", "at no depth" if since is None else f"after {since} blocks")
final = found[(found["token"] == "last token") & (found["passed"] == vlm.n_layers)]
glue("final_right", percent(stats.proportion(final["odds"] > 0)))
nouns = {}
for token in ("first noun", "second noun"):
    one = lines[lines["token"] == token].reset_index(drop=True)
    nouns[token] = one.loc[one["estimate"].abs().idxmax()]
    values = nouns[token][["estimate", "low", "high", "n"]]
    glue(f"{token.split()[0]}_noun", stats.Interval(*values))
glue("last_odds", float(last["estimate"].iloc[-1]))

# %% [markdown]
# **Figure 1.12.** *Where "Left" appears.* Orange: the last token. Blue: the two nouns. Bands are 95 % intervals
# over pictures the model has not seen. At the last token the lens leans to the true answer for good
# {glue:text}`appears`, and in the end it is right in {glue:text}`final_right` of the questions. The mean log-odds
# there reach {glue:text}`last_odds`.
#
# Now the nouns. Where their curves are farthest from zero, the first stands at {glue:text}`first_noun` and the second at
# {glue:text}`second_noun`. If you see the lens lean *for* the true answer at the first noun and *against* it at the second, and both
# before the last token has an opinion, stop and think. The first noun comes before the second: it cannot know what
# it will be compared with. And the second noun is not wrong. Each one tells where *its own* object is. When the
# frog is on the left and the camel on the right, "frog" says left and "camel" says right, and the answer
# to "is the frog to the left?" is made of both.
#
# That is a story, and it fits. It is not yet a finding: nothing here shows that the last token *uses* what the
# nouns say. And if the curves of the nouns are flat, as they are in some models, that would not show that
# the nouns know nothing. It would mean that what they know is not written in the direction that separates the
# words "Left" and "Right". So do not tell a noun which words to use:
#
# ### On the noun: what changes when the frog moves?
#
# Back to the frog that walks past the camel. Decode the last token of "frog" after all blocks, at every
# step, and keep the eight tokens of the whole vocabulary whose probability changes most along the walk. As
# the control, decode the word "camel" in the same way. The camel stands still.


# %%
def lens_along_walk(noun):
    """Probabilities of all tokens at a noun, for every step: [steps, vocabulary]."""
    asked = vlm.prompt(walks, ASK.format("frog", "camel"))
    rows = []
    for one in asked:
        _, kept = vlm.run_with_cache(one, vlm.resid_post(vlm.n_layers - 1))
        rows.append(
            lens(stream(kept, vlm.n_layers)[0, one.word(noun)[-1]]).softmax(-1).cpu()
        )
    return torch.stack(rows).numpy()


lensed = {noun: lens_along_walk(noun) for noun in ("frog", "camel")}
moving = np.argsort(-lensed["frog"].std(0))[:8]
center = lensed["frog"][:, moving] / lensed["frog"][:, moving].sum(0)
moving = moving[np.argsort((steps[:, None] * center).sum(0))]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code"}
figure, pair = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
words = names_of(moving.tolist())
for axes, (noun, probabilities) in zip(pair, lensed.items(), strict=True):
    axes.imshow(
        probabilities[:, moving].T, aspect="auto", cmap="viridis", vmin=0,
        vmax=float(lensed["frog"].max()),
        extent=(steps[0], steps[-1], len(moving) - 0.5, -0.5),
    )  # fmt: skip
    axes.set_yticks(range(len(moving)), words)
    axes.set(xlabel="where the frog is", title=f'at the word "{noun}"')
    axes.grid(False)
figure.tight_layout()
plt.show()

moved = {noun: float(p.std(0).max()) for noun, p in lensed.items()}
glue("moved_frog", moved["frog"], 3)
glue("moved_camel", moved["camel"], 3)
glue("moving_words", ", ".join(f'"{word.strip("·")}"' for word in words))
told = "the frog's word follows the frog, the camel's does not"
glue(
    "moved_verdict",
    told if moved["frog"] > 3 * moved["camel"] else "the two differ little",
)

# %% [markdown]
# **Figure 1.13.** *The frog's word while the frog walks.* Left to right: where the frog is. Top to bottom: the eight
# tokens that change most at the word "frog" ({glue:text}`moving_words`). Brighter is more probable; the scale is the same in both
# panels. The largest standard deviation along the walk is {glue:text}`moved_frog` at "frog" and
# {glue:text}`moved_camel` at "camel": {glue:text}`moved_verdict`.
#
# We picked the tokens *because* they change, so that they do is no news. News would be that they line up
# in an order, and that the camel's word stays calm. If you see "left" fade into "right" at the frog, here is
# why: `tiny-llava` was trained, among other texts, on captions in which a noun is followed by words for its
# object's place, as in "the frog top left". Row word or column word came first by the toss of a coin, so the
# noun predicts both; and since the frog walks on level ground, its row word stays. These nouns *have a
# reason* to look up where their object is. The twin, `tiny-llava-direct`, never read such captions. Set
# `MODEL = "tiny-llava-direct"` in the parameters cell and run the chapter again. It answers the same
# questions. Does its "frog" still follow the frog? And if not: how does it know? That is the subject of this
# book.
#
# ### What a logit lens can and cannot show
#
# :::{admonition} Read with care
# :class: warning
# - **It can show that a word is readable** at a site with the model's own reading head. That needs no training, so
#   it cannot overfit.
# - **It cannot show that something is absent.** It looks along the directions of words. Place, depth or identity
#   may be written across them, where the lens is blind.
# - **Early blocks write in another hand.** The final norm and the unembedding were trained for the last stream.
#   What looks like nonsense after two blocks may be a clear message that only later blocks can read.
# - **Readable is not used.** That "frog" can be read at a patch does not show that anyone reads it. In a study before this
#   book, a model's nouns told where their objects were, and the model did not care.
# :::
#
# The last point needs edits, not lenses. That is why hooks write as well as read.
#
# ## Which words do the nouns use?
#
# Figure 1.12 asked the nouns about "Left" and "Right", and flat curves there would prove nothing. Figure 1.13 looked
# for the nouns' own words, in one picture. Between the two lies a measurement that you can make: let the
# *data* choose the pair of words. With a vocabulary of thousands, data will always find you a pair. Whether
# it has found anything is the question.
#
# ````{exercise} Research sprint: a pair of words for a place
# :label: ch1-words
#
# Difficulty ●●● · importance ●●○ · half a day
#
# Which two words of the vocabulary tell best whether a noun's object is in the left or the right half of the
# picture? Write `word_pair(logits, left, scene, seed=0)`. Its rows are lens readings at nouns: `logits` is an
# array `[rows, vocabulary]`, `left` tells for each row whether the object is on the left, and
# `scene` gives the number of the scene. Each scene has two rows, one for its picture and one for the mirrored
# picture. Choose the pair on one half of the data. Return the token that leans to the left, the
# token that leans to the right, and the share of the *other* half whose side the difference of the two logits
# tells. (Some words are likelier than others everywhere, so the cut between the sides need not be at zero.)
#
# Then run it on nouns, after every block. Mind what you compare with: what does your function report
# if there is nothing to find?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show the first hour", "code_prompt_hide": "Hide the first hour"}
def word_pair(logits, left, scene, seed=0):
    # Halves of scenes, not of rows: a picture and its mirror image share everything but the
    # side, so what was learned by heart from the one would be right about the other.
    chosen, judged = (np.isin(scene, half) for half in stats.halves(scene, seed))
    one, other = logits[chosen & left], logits[chosen & ~left]
    # In units of the spread, or the word that varies most would win, whatever it varies with.
    lean = (one.mean(0) - other.mean(0)) / (np.sqrt(one.var(0) + other.var(0)) + 1e-6)
    towards, away = int(lean.argmax()), int(lean.argmin())
    odds = logits[:, towards] - logits[:, away]
    cut = (odds[chosen & left].mean() + odds[chosen & ~left].mean()) / 2  # chosen, too
    return towards, away, float(np.mean((odds[judged] > cut) == left[judged]))


def nouns_of(count):
    """Prompts about scenes and their mirror images, with the first noun's side in each."""
    drawn = [s for s in scenes(3 * count, SEED + 6, held_out=True)
             if abs(s.objects[0].x - 0.5) > questions.MARGIN / 2][:count]  # fmt: skip
    for number, one in enumerate(drawn):
        for version in (one, mirror(one)):
            asked = vlm.prompt(version.render(PIXELS), ASK.format(*one.names[:2]))
            yield number, asked, one.names[0], version.objects[0].x < 0.5


number, asked, nouns, left = map(list, zip(*nouns_of(8 if SMALL else 40), strict=True))
sites = ["blocks.0.hook_resid_pre", *(vlm.resid_post(block) for block in PASSED[:-1])]
spots = [[one.word(noun)[-1]] for one, noun in zip(asked, nouns, strict=True)]
states = read_states(vlm, asked, spots, sites)[:, :, 0].to(vlm.device, vlm.dtype)
rows = []
for passed in PASSED:
    decoded = lens(states[passed]).cpu().numpy()
    tried = [word_pair(decoded, np.array(left), np.array(number), s) for s in range(5)]
    # The null: sides exchanged at random, scene by scene, and everything else as it was.
    turned = np.random.default_rng(SEED).random(len(left))[number] < 0.5
    null = [word_pair(decoded, np.array(left) ^ turned, np.array(number), s) for s in range(5)]
    row = {"blocks passed": passed, "towards left": names_of([tried[0][0]])[0]}
    row |= {"towards right": names_of([tried[0][1]])[0]}
    rows.append(row | {"right": np.mean([one[2] for one in tried]),
                       "sides by chance": np.mean([one[2] for one in null])})  # fmt: skip
pd.DataFrame(rows).set_index("blocks passed").round(2)
# Still to do: choose the block on the first half, too, before you quote its number; do the same
# at the article before the noun, which has seen the picture and does not know which object comes.

# %%
ch01.check_word_pair(word_pair)

# %% [markdown]
# ## Summary
#
# - A picture becomes {glue:text}`patches` patches, and patches and words stand in one row of tokens. Tokens see only what comes
#   before them.
# - An object word may be several tokens. Find it by its characters, check the {term}`span`, use the last token.
# - A belief is the log-odds of two answers, each summed over its surface forms. Ask in both orders of the nouns.
# - The residual stream is read with `run_with_cache` and changed with `run_with_hooks`, or with hooks in `beliefs`
#   and `generate`. Change is after minus before, and every edit needs a control of the same size.
# - The logit lens finds the answer at the last token ({glue:text}`appears`). At the nouns it shows
#   only what is written in words.
#
# ## Open question: a research sprint
#
# Say that your sprint has found a pair of words that tells the noun's side. How would you show that the model
# *uses* what these words read? Think of an edit at the noun, of the belief that it should move, and of an edit of the
# same size that should not. Which outcome would tell you that the pair is readable and idle? Take an afternoon, and
# write down your design before you read [chapter 6](06_steering_beliefs.ipynb).
#
# ## Further reading
#
# - {cite:t}`liu2024improved`: LLaVA-1.5, whose form the small models copy; {cite:t}`touvron2023llama` for its language model.
# - {cite:t}`neo2025interpreting`: the logit lens and ablations on patches of large models.
# - {cite:t}`nostalgebraist2020logit`: the post that gave the lens its name.
# - {cite:t}`kang2026linear`: the paper that this book re-implements.
#
# **What follows.** One picture proves little. {doc}`02_making_stimuli` makes many, such that each asks one thing alone.
