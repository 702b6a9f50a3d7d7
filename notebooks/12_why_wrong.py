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
# # Why is it wrong?
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/12_why_wrong.ipynb)
# · about 45 minutes to read, another 80 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [6](06_steering_beliefs.ipynb) and [8](08_real_photos.ipynb)
#
# A model says that the frog is right of the camel. It is not. **Which part failed?** There are
# three suspects:
#
# - the **encoder**: the patches that the language model gets do not say where the frog is;
# - the **binding**: the patches do, and the word "frog" carries the wrong place all the same;
# - the **reasoning**: the words carry the right places, and the answer is wrong.
#
# The paper has two gauges for this. It reads the ID off the word and compares it with the true
# place (its Figure 8a). And it blurs the object, to see whether the answer cares (8b)
# {cite}`kang2026linear`. It stops short of a verdict. This chapter makes one, error by error.
# Then it does what a detective would love to do: it commits the crimes itself, and counts
# how often the verdict names the right suspect.
#
# **You will learn**
# - how to read a place off the words and off the patches, each with the same baseline as its ruler
# - how to blur fairly: paired, with seeds, and against the mean of many boxes
# - how to turn readings into a verdict with limits from *right* answers only
# - how to test a diagnosis with planted causes, and what that test cannot tell
# - why a wrong reading does not explain a wrong answer until you look at right answers

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
WEAK = "tiny-llava-early"  # the same recipe, stopped early: it makes ordinary errors
SMALL = False  # True: fewer images, to try things out
SEED = 0
CACHE = None  # a folder: long runs keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import zlib
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import Job, diagnosis, plots, stats, trials
from helpers.exercises import ch12
from helpers.interventions import Edit
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli import coco_spatial, photos
from helpers.stimuli.blur import blur_box, cover_box, random_boxes
from helpers.stimuli.coco_spatial import Box
from helpers.stimuli.sampling import scenes as draw_scenes
from helpers.stimuli.scenes import mirror

# %%
MODELS = open_models(MODEL, WEAK, chapter="12_why_wrong", small=SMALL, seed=SEED)
YES, EARLY = MODELS  # the names
CAUSES = diagnosis.CAUSES
TONES = {"encoder": "#009E73", "binding": "#0072B2", "reasoning": "#D55E00"}
PIXELS = 224

# %% [markdown]
# ## A model that errs
#
# You cannot study errors in a model that makes none. The shipped model answers nearly all
# ordinary held-out scenes. So make it hard, in three ways that should hurt in different places:
#
# - **small objects**: ordinary scenes whose sprites are shrunk to a side of 4 to 12 % of the
#   picture;
# - **photos** that the book draws, as in {doc}`08_real_photos`;
# - **nearer is higher**: "in front of or behind?", in scenes where the nearer object is larger,
#   as it should be, and stands higher ({doc}`11_depth` is about those).
#
# And add a second model, the same recipe stopped early, which errs on ordinary scenes.

# %%
def ask(vlm, drawn, kinds, count, **labels):
    """One question about each scene, kinds and orders of the nouns in turn."""
    cases = []
    for number, scene in enumerate(drawn):
        kind, order = kinds[number % len(kinds)], number // len(kinds) % 2
        own = labels | {"scene": number}
        cases += trials.scene_cases(vlm, [scene], kind, [order], PIXELS, **own)
        if len(cases) == count:
            break
    return trials.with_beliefs(vlm, cases, CACHE)


def shrunk(drawn):
    draw = np.random.default_rng(SEED)
    return [replace(scene, objects=tuple(
        replace(one, size=float(draw.uniform(0.04, 0.12))) for one in scene.objects))
        for scene in drawn]  # fmt: skip


def ask_photos(vlm, count):
    many = 32 if SMALL else 500  # a set that other chapters have, too
    folder = Path(f"../_build/photos/{many}-seed-{SEED}")
    photos.write_photos(folder, many, seed=SEED, progress=False)
    some = [photo.squared() for photo in coco_spatial.load(folder).photos[:count]]
    asked = trials.photo_cases(vlm, some, orders=(0,), set="photos")
    size = (PIXELS, PIXELS)  # one size, so that all have the same patches
    asked = [replace(case, prompt=vlm.prompt(case.prompt.image.resize(size),
                                             case.prompt.question))
             for case in asked]  # fmt: skip
    return trials.with_beliefs(vlm, asked, CACHE)


# %%
N = {"ordinary": 64, "small objects": 24, "photos": 16, "nearer is higher": 12}
if not SMALL:
    N = {"ordinary": 450, "small objects": 500, "photos": 96, "nearer is higher": 90}
SIDES = ("left_right", "above_below")  # kinds of question
KINDS = {"ordinary": SIDES, "small objects": SIDES, "nearer is higher": ("front_behind",)}
SCENES = {
    "ordinary": draw_scenes(2 * N["ordinary"], SEED + 1, held_out=True),
    "small objects": shrunk(draw_scenes(2 * N["small objects"], SEED + 2, held_out=True)),
    "nearer is higher": draw_scenes(6 * N["nearer is higher"], SEED + 3, "conflict",
                                    (2, 3), held_out=True),
}  # fmt: skip
vlm, ASKED = MODELS[YES], {}  # (model, set) -> cases
for key, drawn in SCENES.items():
    ASKED[YES, key] = ask(vlm, drawn, KINDS[key], N[key], set=key)
ASKED[YES, "photos"] = ask_photos(vlm, N["photos"])
ASKED[EARLY, "ordinary"] = ask(MODELS[EARLY], SCENES["ordinary"], SIDES,
                               64 if SMALL else 300, set="ordinary")  # fmt: skip

# %% [markdown]
# Before anything else, one question to each set: is there knowledge at all? If the interval of
# the accuracy holds one half, the answers are coin tosses. A toss has no cause, so the set
# **stops** here. (An accuracy *below* one half, as a whole, is not a toss. It goes on.)

# %%
def is_toss(cases):
    found = trials.share(pd.DataFrame([case.labels for case in cases]), "right")
    return found.low <= 0.5 <= found.high, found


STOPPED, rows = [], []
for (name, key), cases in ASKED.items():
    toss, found = is_toss(cases)
    STOPPED += [(name, key)] if toss else []
    rows.append({"model": name, "set": key, "right": percent(found), "n": found.n,
                 "the set": "stops: chance" if toss else "goes on"})  # fmt: skip
# Ordinary scenes give the limits of the verdict: without them, a model stops altogether.
GO = [name for name in MODELS if (name, "ordinary") not in STOPPED
      and ASKED[name, "ordinary"][0].prompt.image_patches.views]  # fmt: skip
HARD = [pair for pair in ASKED if pair[0] in GO and pair not in STOPPED]
for name in MODELS:
    if name not in GO:
        print(f"{name} answers ordinary questions by chance, or keeps its patches out of the "
              "sequence: nothing to diagnose. Its part of the chapter stops.")  # fmt: skip
glue("ch12_goes_on", " and ".join(GO) or "no model")
for short, pair in {"ordinary": (YES, "ordinary"), "small": (YES, "small objects"),
                    "photos": (YES, "photos"), "higher": (YES, "nearer is higher"),
                    "early": (EARLY, "ordinary")}.items():  # fmt: skip
    glue(f"ch12_right_{short}", percent(is_toss(ASKED[pair])[1]))
pd.DataFrame(rows).style.hide(axis="index")

# %% [markdown]
# **Table 12.1.** *Share of right answers,* with intervals over scenes; one question a scene.
# Goes on: {glue:text}`ch12_goes_on`. On small objects the model is right in
# {glue:text}`ch12_right_small`; where nearer is higher, in {glue:text}`ch12_right_higher`.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
shown, titles = [], []
for (name, key), cases in ASKED.items():
    wrong = [case for case in cases if not case.labels["right"]] or cases
    case = wrong[len(wrong) // 2]
    shown.append(case.prompt.image)
    question = case.prompt.question.replace(" to the ", "\nto the ", 1)
    titles.append(f"{name}, {key}\n{question}")
figure = plots.show_scenes(shown, titles, columns=5)
for axes in figure.axes:
    axes.title.set_fontsize(7)

# %% [markdown]
# **Figure 12.1.** *One question from each set,* one with a wrong answer if there is any. Can you
# guess, from the picture alone, which part will be to blame?
#
# ## Gauge one: the word
#
# First the IDs, and the block to read them at. {doc}`08_real_photos` found that the block with
# the *sharpest* map need not be the block whose map is *used*. A diagnosis needs the used one:
# a map that nobody reads explains no answer. So choose the block where exchanging IDs swaps most
# {term}`beliefs <belief>`, on scenes that appear nowhere else in the chapter.

# %%
kinds = [*SIDES, "front_behind"]
IDS, SITE, SWAPPED = {}, {}, {}
for name in GO:
    vlm, few = MODELS[name], SMALL or name == EARLY
    IDS[name] = trials.extract_ids(vlm, kinds, 3 if few else 5, 1 if few else 2, SEED,
                                   save_to=CACHE)  # fmt: skip
    drawn = draw_scenes(80, SEED + 4, held_out=True)
    choosing = ask(vlm, drawn, SIDES, 16 if SMALL else 40)
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    blocks, jobs = range(min(looking, default=0), vlm.n_layers), []
    for block in blocks:
        site = vlm.resid_post(block)
        for case in choosing:
            aim = trials.aimed(case, IDS[name][case.kind], site, trials.mirrored(case))
            jobs.append(trials.steering_job(case, site, aim, block=block))
    swaps = trials.run(vlm, jobs, CACHE).groupby("block")["swapped"].mean()
    SITE[name], SWAPPED[name] = vlm.resid_post(int(swaps.idxmax())), swaps.max()
    print(f"{name}: {SITE[name]}, {swaps.max():.0%} of beliefs swapped")
glue("ch12_site", SITE.get(YES, "not measured"))

# %% [markdown]
# A word's state holds the word besides the place. The IDs were centred on each word's mean over
# places, so the state must be, too: *the same baseline on both sides*. (The released analysis
# subtracts the text-only state from one side and the mean from the other. Chapter 8, "What to
# subtract", shows what that costs.) There the baseline came from other photos of the set. Here
# we can do better: it comes from scenes of the *training* kind, so that no scene that we
# diagnose has a part in its own ruler. `diagnosis.WordGauge` does this.
#
# The simplest reading is the nearest ID. Try it.
#
# ````{exercise} The nearest ID
# :label: ch12-nearest
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `nearest_cell(state, ids)` for a centred state `[d]` and the IDs of a grid `[rows,
# columns, d]`. Return the (row, column) of the ID that is nearest to the state.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def nearest_cell(state, ids):
    # Distance and not product: IDs of corners are longer, and win products they should lose.
    distance = (ids - state).norm(dim=-1)
    return divmod(int(distance.argmin()), ids.shape[1])


# %%
ch12.check_nearest_cell(nearest_cell)

# %% [markdown]
# A nearest ID is off by a whole cell or not at all. The plane of the column and row axes reads
# between cells, so the gauge uses that.
#
# ## Gauge two: the patches
#
# Do the *patches* know? Fit a linear probe (scikit-learn's linear discriminants {cite}`pedregosa2011scikit`) on what enters
# the first block: which object does this patch show? It learns from training scenes, in which we
# know what covers each patch. To ask where the frog is, take the mean of all patches' places,
# each weighed by how probable a frog is there.

# %%
def calibrated(name):
    """Both gauges, fitted on scenes that training may show."""
    vlm, cases = MODELS[name], []
    count = 75 if SMALL else 120 if name == EARLY else 240
    drawn = draw_scenes(count, SEED + 5)
    for number, scene in enumerate(drawn):
        kind, picture = kinds[number % len(kinds)], scene.render(PIXELS)
        for first, second in zip(scene.names, np.roll(scene.names, 1), strict=True):
            pair = first, str(second)
            prompt = vlm.prompt(picture, trials.TEMPLATES[kind].format(*pair))
            places = tuple(trials.in_cells(scene.find(word)) for word in pair)
            cases.append(trials.Case(prompt, kind, pair, places, 1, {"scene": number}))
    where = [[span[-1] for span in case.spans] for case in cases]
    states = read_states(vlm, [case.prompt for case in cases], where, [SITE[name]])[0]
    words = diagnosis.WordGauge.fit(cases, states, IDS[name], SITE[name])
    once = {case.labels["scene"]: case for case in cases}  # one question a picture
    seen = diagnosis.read(vlm, list(once.values()), SITE[name])
    return diagnosis.PatchGauge.fit(drawn, seen), words


def gauged(name, cases):
    """The errors of both gauges, in cells: of each question, the worse noun's."""
    known = [case for case in cases if GAUGES[name][1].knows(case)]
    return diagnosis.errors(MODELS[name], known, *GAUGES[name]), known


# %%
GAUGES, READ = {name: calibrated(name) for name in GO}, {}
for pair in HARD:
    READ[pair], ASKED[pair] = gauged(pair[0], ASKED[pair])
for short, name in (("", YES), ("_early", EARLY)):
    told = ["not measured"] * 2
    if name in GO:
        some = ASKED[name, "ordinary"][: 32 if SMALL else 150]
        own = [SCENES["ordinary"][case.labels["scene"]] for case in some]
        seen = diagnosis.read(MODELS[name], some, SITE[name])
        told = [f"{100 * value:.0f} %" for value in GAUGES[name][0].accuracy(own, seen)]
    for which, value in zip(("all", "object"), told, strict=True):
        glue(f"ch12_probe_{which}{short}", value)

# %% [markdown]
# On held-out ordinary scenes, the probe tells {glue:text}`ch12_probe_all` of all patches and
# {glue:text}`ch12_probe_object` of those that show an object (early model:
# {glue:text}`ch12_probe_object_early`).
#
# ## Right answers, wrong answers
#
# Now the paper's Figure 8a: how far are both readings from the truth, where the answer is right
# and where it is wrong? Compare *within* a set. Pooled over sets, small objects would give both
# more errors and worse maps, and you would see a gap even if the two had nothing to do with each
# other. A part of that trouble stays *inside* the set of small objects, whose sizes differ as well:
# the smallest may have both. So for that set, look at the gap among objects of one size, too.

# %%
def mean_of(values):
    """Mean with an interval; without one if there are too few."""
    few = stats.Interval(np.nan, np.nan, np.nan, len(values))
    return stats.mean(values) if len(values) > 1 else few


def told(value):
    """For the text: the interval, if there is one."""
    none = isinstance(value, stats.Interval) and np.isnan(value.estimate)
    return "too few to tell" if none else value


def gap_of(table, column):
    wrong, right = table[~table["right"]][column], table[table["right"]][column]
    if min(len(wrong), len(right)) < 2:
        return stats.Interval(np.nan, np.nan, np.nan, len(table))
    return diagnosis.difference_of_means(wrong, right)


pairs = {"small": (YES, "small objects"), "photos": (YES, "photos"),
         "early": (EARLY, "ordinary")}  # fmt: skip
for short, pair in pairs.items():
    for column in ("words", "patches"):
        found = dict.fromkeys(("right", "wrong", "gap"), "not measured")
        if pair in READ:
            table = READ[pair]
            for key, part in (("right", table["right"]), ("wrong", ~table["right"])):
                found[key] = mean_of(table[part][column])
            found["gap"] = gap_of(table, column)
        for key, value in found.items():
            glue(f"ch12_{column}_{key}_{short}", told(value))

# %% [markdown]
# Cut the questions in five by the size of their smaller noun. Within each fifth, ask how far the share of wrong answers and
# the distance rise and fall together. Pooled over the fifths, that is the gap with size held fixed.

# %%
SIZED = (YES, "small objects")


def gap_within_sizes(table, column, parts=5):
    sizes = [min(one.size for one in SCENES[SIZED[1]][number].objects[:2])
             for number in table["scene"]]  # the first two objects are asked about
    wrong, error = 1.0 - table["right"].to_numpy(), table[column].to_numpy()
    if min(wrong.sum(), (1 - wrong).sum()) < 10:
        return stats.Interval(np.nan, np.nan, np.nan, len(table))
    part = pd.qcut(sizes, parts, labels=False)
    odd, far = (values - pd.Series(values).groupby(part).transform("mean")
                for values in (wrong, error))  # fmt: skip
    return stats.ratio_of_means(odd * far, odd * wrong)


for column in ("words", "patches"):
    held = gap_within_sizes(READ[SIZED], column) if SIZED in READ else None
    glue(f"ch12_{column}_gap_small_sized", "not measured" if held is None else told(held))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if HARD:
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.6), sharey=True)
    for column, axes in zip(("words", "patches"), panels, strict=True):
        for height, pair in enumerate(HARD):
            table = READ[pair]
            for right, color in ((True, "#0072B2"), (False, "black")):
                part = table[table["right"] == right][column]
                where = -height + (0.13 if right else -0.13)
                jitter = np.random.default_rng(0).uniform(-0.07, 0.07, len(part))
                axes.plot(part, where + jitter, ".", ms=3, alpha=0.3, color=color)
                if len(part):
                    axes.plot(part.mean(), where, "D", ms=7, color=color, mec="white",
                              label=None if height else ("wrong", "right")[right])  # fmt: skip
        axes.set(xlabel=f"cells between the {column}' reading and the truth")
        axes.set_yticks(-np.arange(len(HARD)), [f"{name}\n{key}" for name, key in HARD])
    panels[0].legend(title="answer")
    figure.tight_layout()

# %% [markdown]
# **Figure 12.2.** *How far off the readings are, by the answer.* Dots: questions, the worse of the
# two nouns. Diamonds: means. The paper's claim is about the left panel.
#
# | distance read at the words, in cells | right | wrong | gap |
# |---|---|---|---|
# | model, small objects | {glue:text}`ch12_words_right_small` | {glue:text}`ch12_words_wrong_small` | {glue:text}`ch12_words_gap_small` |
# | model, photos | {glue:text}`ch12_words_right_photos` | {glue:text}`ch12_words_wrong_photos` | {glue:text}`ch12_words_gap_photos` |
# | early model, ordinary scenes | {glue:text}`ch12_words_right_early` | {glue:text}`ch12_words_wrong_early` | {glue:text}`ch12_words_gap_early` |
#
# A gap above zero is the paper's finding. Is it size and nothing else? Among small objects of one size
# the gap at the words is {glue:text}`ch12_words_gap_small_sized`, and at the patches
# {glue:text}`ch12_patches_gap_small_sized`.
#
# Now look at what a gap does *not* say. Where nearer is higher,
# both readings can be as good as ever and every answer wrong. And a word that is off may only
# repeat patches that are off: on small objects the patches' gap is
# {glue:text}`ch12_patches_gap_small`.
#
# ## Gauge three: blur it
#
# The third gauge needs no map. Blur the object's box, and see whether the answer cares. A blur
# anywhere may do a little harm, so blur other boxes of the same size as well, as D-RISE
# does {cite}`petsiuk2021drise`. Two traps wait here, both in the released code.
#
# **Seeds.** It draws its random boxes from `hash(name)`. Python salts that number anew in every
# process: run twice, get two figures.
#
# ````{exercise} A seed that stays
# :label: ch12-seed
#
# Difficulty ●○○ · importance ●●○ · 5 minutes
#
# Write `seed_of(text)`: a whole number, not negative, of the text's own, the same in every
# process.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def seed_of(text):
    # A checksum of the bytes. Adding them up would give "dog" and "god" the same boxes.
    return zlib.crc32(text.encode())


# %%
ch12.check_seed_of(seed_of)

# %% [markdown]
# **The minimum.** It blurs the object once and other boxes four times, and takes the *lowest* of
# the four. The lowest of four draws is low even if all boxes are alike. Take the mean. And the
# object's box and the random ones are about the same question: subtract before you average.
#
# ````{exercise} What a blur does
# :label: ch12-blur
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# Write `blur_effect(before, after_object, after_random)` for log-odds of the right answer:
# `[n]`, `[n]`, and `[n, boxes]`. Return, for each question, what blurring the *object* changes
# beyond what blurring *anything* changes, `[n]`.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def blur_effect(before, after_object, after_random):
    changes = after_random - before[:, None]  # after less before, as everywhere
    # The mean over boxes: it has no bias, however many boxes there are.
    return (after_object - before) - changes.mean(axis=1)


# %%
ch12.check_blur_effect(blur_effect)

# %% [markdown]
# Use the set of small objects, in which the model is often right and often wrong. Of each
# question, blur the object that is named first, and other boxes of the same size (`BOXES`) that touch
# neither named object.

# %%
BOXES = 5


def box_of(scene, word):
    """The square of a sprite, in pixels of the picture."""
    placed = scene.find(word)
    side = placed.size * PIXELS
    corner = placed.x * PIXELS - side / 2, placed.y * PIXELS - side / 2
    return Box(*corner, side, side)


def blurred_jobs(vlm, case, scene):
    """The question with the first object blurred, then with each of the other boxes."""
    own, other = (box_of(scene, word) for word in case.names)
    picture, question = case.prompt.image, case.prompt.question
    seed = [SEED, seed_of(f"{case.labels['scene']} {question}")]
    drawn = random_boxes(picture.size, own, BOXES, seed, avoid=(own, other))
    for number, box in enumerate([own, *drawn]):
        prompt = vlm.prompt(blur_box(picture, box), question)
        yield Job(prompt, (), case.labels | {"box": number})


def blur_all(name, key):
    """Changes of the right answer's log-odds: [questions, 1 + BOXES]."""
    vlm, cases, parts = MODELS[name], ASKED[name, key], []
    for begin in range(0, len(cases), 50):  # pictures take room: some at a time
        some = cases[begin : begin + 50]
        jobs = [job for case in some for job in
                blurred_jobs(vlm, case, SCENES[key][case.labels["scene"]])]  # fmt: skip
        # A change counts towards the false answer; turn it round.
        parts.append(-trials.run(vlm, jobs, CACHE)["change"].to_numpy())
    return np.concatenate(parts).reshape(len(cases), -1)


# %%
SMALLS = (YES, "small objects")
BLUR = blur_all(*SMALLS) if SMALLS in HARD else np.empty((0, 1 + BOXES))
blur = READ[SMALLS].copy() if len(BLUR) else pd.DataFrame()
if len(BLUR):
    blur["object"], blur["random"] = BLUR[:, 0], BLUR[:, 1:].mean(1)
    zero = np.zeros(len(BLUR))
    blur["effect"] = blur_effect(zero, BLUR[:, 0], BLUR[:, 1:])
    blur["care"] = np.abs(BLUR[:, 0]) - np.abs(BLUR[:, 1:]).mean(1)
    # A null for the trap: a random box, the lowest of four others.
    blur["null"] = BLUR[:, 5] - BLUR[:, 1:5].mean(1)
    blur["biased null"] = BLUR[:, 5] - BLUR[:, 1:5].min(1)
    keep("blur", blur)
for column in ("object", "random", "effect", "care", "null", "biased null"):
    for when in ("all", "right", "wrong"):
        value = "not measured"
        if len(BLUR):
            chosen = {"all": blur["right"] | True, "right": blur["right"],
                      "wrong": ~blur["right"]}[when]  # fmt: skip
            value = told(mean_of(blur[chosen][column]))
        glue(f"ch12_blur_{column.replace(' ', '_')}_{when}", value)
gap = gap_of(blur, "care") if len(BLUR) else "not measured"
glue("ch12_blur_care_gap", told(gap))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if len(BLUR):
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.7), width_ratios=[0.8, 1.1, 1])
    number = int(np.argmax(-BLUR[:, 0] * (blur["patches"] < 0.5)))
    case = ASKED[SMALLS][number]
    own, other = (box_of(SCENES[SMALLS[1]][case.labels["scene"]], w) for w in case.names)
    seed = [SEED, seed_of(f"{case.labels['scene']} {case.prompt.question}")]
    drawn = random_boxes((PIXELS, PIXELS), own, BOXES, seed, avoid=(own, other))
    panels[0].imshow(blur_box(case.prompt.image, own))
    for box, color in [(own, "#D55E00"), *((box, "white") for box in drawn)]:
        panels[0].add_patch(plt.Rectangle((box.x, box.y), box.width, box.height,
                                          fc="none", ec="black", lw=2.6))  # fmt: skip
        panels[0].add_patch(plt.Rectangle((box.x, box.y), box.width, box.height,
                                          fc="none", ec=color, lw=1.4))  # fmt: skip
    panels[0].set(xticks=[], yticks=[])
    panels[0].set_title(case.prompt.question, fontsize=7.5, fontweight="normal")
    for right, color in ((True, "#0072B2"), (False, "black")):
        part = blur[blur["right"] == right]
        panels[1].plot(-part["before"] * part["toward"], part["object"], ".", ms=5,
                       alpha=0.5, color=color, label=("wrong", "right")[right])  # fmt: skip
    panels[1].axhline(0, color="0.4", lw=1)
    panels[1].axvline(0, color="0.4", lw=1)
    panels[1].set(xlabel="log-odds of the right answer, before",
                  ylabel="change if the object is blurred")  # fmt: skip
    panels[1].legend(title="answer", loc="lower left", markerscale=3)
    for height, (column, label) in enumerate([
        ("object", "the object"), ("random", "random boxes"),
        ("effect", "object less random"), ("care", "the same, of sizes"),
    ]):  # fmt: skip
        for right, color in ((True, "#0072B2"), (False, "black")):
            found = mean_of(blur[blur["right"] == right][column])
            where = -height + (0.12 if right else -0.12)
            panels[2].plot([found.low, found.high], [where] * 2, color=color, lw=2)
            panels[2].plot(found.estimate, where, "o", color=color)
        panels[2].text(-0.02, -height, label, ha="right", va="center", fontsize=9,
                       transform=panels[2].get_yaxis_transform())  # fmt: skip
    panels[2].axvline(0, color="0.4", lw=1)
    panels[2].set(yticks=[], xlabel="change of the log-odds, nats")
    figure.tight_layout()

# %% [markdown]
# **Figure 12.3.** *Blur.* Left: a picture with the first object blurred (orange) and the boxes that it is compared with. Middle: what the blur does, against the log-odds before it.
# Right: means with 95 % intervals over scenes.
#
# | change of the right answer's log-odds | right answers | wrong answers |
# |---|---|---|
# | the object's box blurred | {glue:text}`ch12_blur_object_right` | {glue:text}`ch12_blur_object_wrong` |
# | random boxes, mean of all | {glue:text}`ch12_blur_random_right` | {glue:text}`ch12_blur_random_wrong` |
# | object less random, in pairs | {glue:text}`ch12_blur_effect_right` | {glue:text}`ch12_blur_effect_wrong` |
# | the same, sizes of changes | {glue:text}`ch12_blur_care_right` | {glue:text}`ch12_blur_care_wrong` |
#
# Over all questions, object less random is {glue:text}`ch12_blur_effect_all`.
#
# The middle panel surprised us, and it should not have. A blur tends to take a belief towards zero,
# from wherever it is. Of a *wrong* answer it can therefore *raise* the right one's {term}`log-odds`. Take
# the signed change as "sensitivity", and rises and falls cancel: a wrong answer looks insensitive,
# however hard the model looked at the object. To ask whether the model cares, compare the *sizes*
# of changes (last row). The gap of these, wrong less right, is {glue:text}`ch12_blur_care_gap`. Part of it
# may only be how sure the model was: a belief that is near zero has nowhere to fall.
#
# And the minimum? Take one of the *random* boxes for the object. Against the mean of four others
# its effect is {glue:text}`ch12_blur_null_all`, as it should be. Against the lowest of four it is
# {glue:text}`ch12_blur_biased_null_all`: a finding made of nothing. Its size is that of the
# differences between random boxes. Here these hardly matter; in a model that looks at the
# background, they would.
#
# ## The verdict
#
# Blur says *whether* the model uses the box, not what it makes of it. So the verdict is built on
# the two maps. Follow the place on its way, and blame the first part that lost it:
#
# 1. the patches' reading is too far off: **encoder**;
# 2. otherwise, the words' is: **binding**;
# 3. otherwise: **reasoning**.
#
# "Too far" must not come from the errors that you want to explain. It comes from half of the
# ordinary scenes, *right answers only*: a reading is too far off if only one right answer in
# forty has a worse one.
#
# ````{exercise} Write the rule
# :label: ch12-verdict
#
# Difficulty ●○○ · importance ●●● · 5 minutes
#
# Write `verdict(patches, words, patch_limit, word_limit)`: two readings of one wrong answer, in
# cells, and the two limits. Return "encoder", "binding" or "reasoning".
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def verdict(patches, words, patch_limit, word_limit):
    # In the order of the way: a word cannot know what the patches do not tell it.
    if patches > patch_limit:
        return "encoder"
    return "binding" if words > word_limit else "reasoning"


# %%
ch12.check_verdict(verdict)

# %%
RULE, TEST = {}, {}  # TEST: right answers to plant errors in
for name in GO:
    table, cases = READ[name, "ordinary"], ASKED[name, "ordinary"]
    halves = stats.halves(table["scene"].to_numpy(), SEED)
    part = table[table["scene"].isin(halves[0]) & table["right"]]
    try:
        RULE[name] = diagnosis.Rule.fit(part["patches"], part["words"])
    except ValueError as error:
        print(f"{name}: {error}. Its verdicts stop.")
        continue
    TEST[name] = [case for case in cases
                  if case.labels["scene"] in set(halves[1]) and case.labels["right"]]  # fmt: skip
for short, name in (("", YES), ("_early", EARLY)):
    rule = RULE.get(name)
    glue(f"ch12_limit_patches{short}", rule.patches if rule else "not measured")
    glue(f"ch12_limit_words{short}", rule.words if rule else "not measured")

# %% [markdown]
# The limits: {glue:text}`ch12_limit_patches` cells for patches and {glue:text}`ch12_limit_words`
# for words (early model: {glue:text}`ch12_limit_patches_early` and
# {glue:text}`ch12_limit_words_early`). A limit tells how fine the gauge is. What is off by less
# than that, the rule cannot see, and it says "reasoning" to all that it cannot see. Keep this
# in mind.
#
# ## Commit the crimes
#
# A verdict that nobody checked is an opinion. So take the other half of the ordinary scenes, the
# answers that are *right*, and break one part at a time:
#
# | part | ways to break it |
# |---|---|
# | encoder | blur one object out; paint it over; show it at another place than the truth |
# | binding | at both nouns, write the ID of the mirrored place; or their states from the mirrored picture |
# | reasoning | at the last token, write the state from the mirrored picture; or add noise |
#
# The last is done late, long after the words were read. Keep those errors only where the answer
# did become wrong. What the rule sees are the readings *after* the crime.

# %%
def broken_pictures(name, case, number):
    """For each way, the case with a picture that hides or moves one of its objects."""
    scene, word = SCENES["ordinary"][case.labels["scene"]], case.names[number % 2]
    placed, picture, box = scene.find(word), case.prompt.image, box_of(scene, word)
    moved = [replace(one, x=1 - one.x, y=1 - one.y) if one is placed else one
             for one in scene.objects]  # fmt: skip
    pictures = {"object blurred": blur_box(picture, box),
                "object painted over": cover_box(picture, box),
                "object elsewhere": replace(scene, objects=tuple(moved)).render(PIXELS)}  # fmt: skip
    for way, changed in pictures.items():
        prompt = MODELS[name].prompt(changed, case.prompt.question)
        yield replace(case, prompt=prompt, labels=case.labels | {"way": way})


def plant_encoder(name, cases):
    broken = [one for number, case in enumerate(cases)
              for one in broken_pictures(name, case, number)]  # fmt: skip
    table = diagnosis.errors(MODELS[name], broken, *GAUGES[name])
    plain = [Job(case.prompt, (), case.labels) for case in broken]
    table["after"] = trials.run(MODELS[name], plain, CACHE)["after"]
    return table.assign(planted="encoder")


# %%
def late_site(vlm):
    return vlm.resid_post(round(0.75 * (vlm.n_layers - 1)))


def states_for(name, cases):
    """States of both nouns and the last token, [n, 3, d], at the site and at a late one."""
    where = [[*(span[-1] for span in case.spans), case.prompt.last] for case in cases]
    sites = [SITE[name], late_site(MODELS[name])]
    return read_states(MODELS[name], [case.prompt for case in cases], where, sites)


def mirrored_cases(name, cases):
    for case in cases:
        scene = SCENES["ordinary"][case.labels["scene"]]
        picture = mirror(scene, trials.AXIS[case.kind]).render(PIXELS)
        yield replace(case, prompt=MODELS[name].prompt(picture, case.prompt.question))


def written(name, case, own, other, late, late_other, noise):
    """For each way, its edits and the words' states after it."""
    site, last = SITE[name], (case.prompt.last,)
    ids = IDS[name][case.kind]
    vectors = torch.stack(trials.aimed(case, ids, site, trials.mirrored(case)))
    nouns = [(span[-1],) for span in case.spans]
    end = late_site(MODELS[name])
    yield ("binding", "ID of the mirrored place",
           [Edit(site, n, v) for n, v in zip(nouns, vectors, strict=True)], own + vectors)
    yield ("binding", "nouns of the mirrored picture",
           [Edit(site, n, v, True) for n, v in zip(nouns, other, strict=True)], other)
    yield "reasoning", "last token, mirrored picture", [Edit(end, last, late_other, True)], own
    yield "reasoning", "noise at the last token", [Edit(end, last, noise)], own  # fmt: skip


# %%
def plant_inside(name, cases):
    vlm, read = MODELS[name], READ[name, "ordinary"].set_index("scene")
    clean, other = (states_for(name, some) for some in
                    (cases, list(mirrored_cases(name, cases))))  # fmt: skip
    draw, jobs, found = torch.Generator().manual_seed(SEED), [], []
    for number, case in enumerate(cases):
        own, late = clean[0, number, :2], clean[1, number, 2]
        noise = torch.randn(vlm.d_model, generator=draw)
        noise *= 4 * late.norm() / noise.norm()  # four times the stream: a rude push
        ways = written(name, case, own, other[0, number, :2], late,
                       other[1, number, 2], noise)  # fmt: skip
        for cause, way, edits, words in ways:
            jobs.append(Job(case.prompt, tuple(edits), case.labels | {"way": way}))
            places = GAUGES[name][1].places([case], words[None])
            found.append({"planted": cause,
                          "words": diagnosis.distances(places, [case]).max(),
                          "patches": read["patches"][case.labels["scene"]]})  # fmt: skip
    table = trials.run(vlm, jobs, CACHE)
    return pd.concat([table, pd.DataFrame(found)], axis=1)


PLANTED = {}
for name, cases in TEST.items():
    some = cases[: len(cases) if name == YES else 60]
    both = [plant(name, some) for plant in (plant_encoder, plant_inside)]
    table = pd.concat(both, ignore_index=True)
    table["verdict"] = RULE[name].verdicts(table["patches"], table["words"])
    PLANTED[name] = table[table["after"] > 0].reset_index(drop=True)
    keep(f"planted {name}", PLANTED[name])

# %% [markdown]
# Rivals, to see what each gauge is worth: the words' reading alone (the paper's Figure 8a) can
# only tell "binding" from "reasoning", the patches' alone "encoder" from "reasoning". All three
# get the same errors. Score each by **balanced accuracy**: the mean over causes of the share
# named rightly, so that no cause counts more for being easy to plant. Chance is one third. A gauge
# with two words for three causes cannot get above two thirds, however sharp it is: what the
# comparison shows is that each gauge is blind to one cause.

# %%
def scores(name):
    table, rule = PLANTED[name], RULE[name]
    words = np.where(table["words"] > rule.words, "binding", "reasoning")
    patches = np.where(table["patches"] > rule.patches, "encoder", "reasoning")
    said = {"both gauges": table["verdict"], "words only": words, "patches only": patches}
    return {rival: diagnosis.balanced_accuracy(table.assign(verdict=verdicts))
            for rival, verdicts in said.items()}  # fmt: skip


def passes(score):
    return "passes" if score.low > 0.7 else "fails" if score.high < 0.5 else "is in between"


ENOUGH = [name for name, table in PLANTED.items()
          if set(table["planted"]) == set(CAUSES) and table["scene"].nunique() > 1]  # fmt: skip
SCORE = {name: scores(name) for name in ENOUGH}
for short, name in (("", YES), ("_early", EARLY)):
    for rival in ("both gauges", "words only", "patches only"):
        key = rival.split()[0]
        value = percent(SCORE[name][rival]) if name in SCORE else "not measured"
        glue(f"ch12_accuracy_{key}{short}", value)
    outcome = passes(SCORE[name]["both gauges"]) if name in SCORE else "was not tested"
    glue(f"ch12_passes{short}", outcome)
    glue(f"ch12_planted{short}", len(PLANTED.get(name, ())))
    for cause in CAUSES:
        part = PLANTED[name].query("planted == @cause") if name in SCORE else ()
        hit = percent(stats.proportion(part["verdict"] == cause)) if len(part) else None
        glue(f"ch12_found_{cause}{short}", hit or "not measured")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if ENOUGH:
    figure, panels = plt.subplots(1, len(ENOUGH), figsize=(6.6 * len(ENOUGH), 3.6),
                                  squeeze=False)  # fmt: skip
    for name, axes in zip(ENOUGH, panels[0], strict=True):
        table = PLANTED[name]
        ways = table.drop_duplicates("way")[["planted", "way"]]
        ways = ways.sort_values("planted", key=lambda c: c.map(CAUSES.index), kind="stable")
        shares = diagnosis.confusion(table, by="way").loc[ways["way"]]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(shares.to_numpy()):
            axes.text(column, row, f"{value:.0%}", ha="center", va="center", fontsize=9,
                      color="white" if value > 0.6 else "black")  # fmt: skip
        counts = table["way"].value_counts()
        axes.set_yticks(range(len(shares)), [f"{way} ({counts[way]})" for way in shares.index],
                        fontsize=8)  # fmt: skip
        for tick, cause in zip(axes.get_yticklabels(), ways["planted"], strict=True):
            tick.set_color(TONES[cause])
        axes.set_xticks(range(3), CAUSES)
        axes.grid(False)
        axes.set(title=name, xlabel="verdict")
    figure.tight_layout()

# %% [markdown]
# **Figure 12.4.** *Planted causes and verdicts.* A row for each way to break the model, coloured by
# the part that it breaks, with the number of wrong answers it made; shares of each verdict.
#
# | | model | early model |
# |---|---|---|
# | planted errors | {glue:text}`ch12_planted` | {glue:text}`ch12_planted_early` |
# | encoder errors named rightly | {glue:text}`ch12_found_encoder` | {glue:text}`ch12_found_encoder_early` |
# | binding errors | {glue:text}`ch12_found_binding` | {glue:text}`ch12_found_binding_early` |
# | reasoning errors | {glue:text}`ch12_found_reasoning` | {glue:text}`ch12_found_reasoning_early` |
# | **balanced accuracy** (chance 33 %) | {glue:text}`ch12_accuracy_both` | {glue:text}`ch12_accuracy_both_early` |
# | with words only | {glue:text}`ch12_accuracy_words` | {glue:text}`ch12_accuracy_words_early` |
# | with patches only | {glue:text}`ch12_accuracy_patches` | {glue:text}`ch12_accuracy_patches_early` |
#
# The bar, set before we looked: the whole interval above 70 %. In the model the rule
# **{glue:text}`ch12_passes`**; in the early model it **{glue:text}`ch12_passes_early`**.
#
# Be strict about what this test shows. An ID that is written into the very place where it
# is read will be found there: that row is bookkeeping. The states from a mirrored picture are
# not made of IDs, so that row says more. And nothing that you do to the *last* token can reach
# patches or words before it. The rows of reasoning measure false alarms, and nothing else. The
# encoder's rows are the real test: there the rule must see, in patches that are blurred or
# covered, that the object is gone.
#
# ## Natural errors
#
# Now the errors that the models make by themselves. Where the rule failed its test, its verdicts
# are not shown.

# %%
TRUSTED = [name for name, score in SCORE.items()
           if passes(score["both gauges"]) != "fails"]  # fmt: skip
NATURAL = {}
for pair in HARD:
    if pair[0] in TRUSTED:
        table, rule = READ[pair], RULE[pair[0]]
        table["verdict"] = rule.verdicts(table["patches"], table["words"])
        NATURAL[pair] = table
        keep(f"natural {' '.join(pair)}", table)


def blame(table, right, cause):
    part = table[table["right"] == right]
    return stats.proportion(part["verdict"] == cause) if len(part) else None


shorts = {"ordinary": (YES, "ordinary"), "small": (YES, "small objects"),
          "photos": (YES, "photos"), "higher": (YES, "nearer is higher"),
          "early": (EARLY, "ordinary")}  # fmt: skip
for short, pair in shorts.items():
    table = NATURAL.get(pair)
    glue(f"ch12_errors_{short}", "no" if table is None else int((~table["right"]).sum()))
    for cause in CAUSES:
        found = None if table is None else blame(table, False, cause)
        glue(f"ch12_{cause}_{short}", percent(found) if found else "not measured")
    found = None if table is None else blame(table, True, "reasoning")
    base = stats.Interval(1 - found.estimate, 1 - found.high, 1 - found.low,
                          found.n) if found else None  # fmt: skip
    glue(f"ch12_off_right_{short}", percent(base) if base else "not measured")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
if NATURAL:
    figure, axes = plt.subplots(figsize=(8.5, 0.9 + 0.75 * len(NATURAL)))
    ticks = []
    for height, (pair, table) in enumerate(NATURAL.items()):
        for right, thick in ((False, 0.4), (True, 0.18)):
            part, left = table[table["right"] == right], 0.0
            where = -height - (0.32 if right else 0)
            for cause in CAUSES if len(part) else ():
                share = float((part["verdict"] == cause).mean())
                axes.barh(where, share, thick, left, color=TONES[cause],
                          alpha=0.4 if right else 1.0,
                          label=cause if height == 0 and not right else None)  # fmt: skip
                left += share
        wrong = int((~table["right"]).sum())
        ticks.append(f"{pair[0]}, {pair[1]}\n{wrong} errors of {len(table)}")
    axes.set_yticks(-np.arange(len(ticks)), ticks, fontsize=8)
    axes.set(xlabel="share of verdicts", xlim=(0, 1))
    axes.legend(*axes.get_legend_handles_labels(), ncols=3, loc="lower center",
                bbox_to_anchor=(0.5, 1.0))  # fmt: skip
    axes.grid(axis="y", visible=False)
    figure.tight_layout()

# %% [markdown]
# **Figure 12.5.** *Whose fault?* Thick bars: verdicts on wrong answers. Thin pale bars below:
# what the same rule would say of the *right* answers of the set, where "reasoning" means that no
# reading is off.
#
# | | errors | encoder | binding | reasoning | off in right answers |
# |---|---|---|---|---|---|
# | small objects | {glue:text}`ch12_errors_small` | {glue:text}`ch12_encoder_small` | {glue:text}`ch12_binding_small` | {glue:text}`ch12_reasoning_small` | {glue:text}`ch12_off_right_small` |
# | photos | {glue:text}`ch12_errors_photos` | {glue:text}`ch12_encoder_photos` | {glue:text}`ch12_binding_photos` | {glue:text}`ch12_reasoning_photos` | {glue:text}`ch12_off_right_photos` |
# | nearer is higher | {glue:text}`ch12_errors_higher` | {glue:text}`ch12_encoder_higher` | {glue:text}`ch12_binding_higher` | {glue:text}`ch12_reasoning_higher` | {glue:text}`ch12_off_right_higher` |
# | early model, ordinary | {glue:text}`ch12_errors_early` | {glue:text}`ch12_encoder_early` | {glue:text}`ch12_binding_early` | {glue:text}`ch12_reasoning_early` | {glue:text}`ch12_off_right_early` |
#
# Read the last column before you believe the others. It says how often a reading is off although
# the answer is *right*. Two places have to be put in order, and a frog that is read a cell too
# low is still left of the camel. Where the last column is high, a reading beyond its limit is
# no proof of a cause. It is evidence, as strong as it is rarer in right answers.
#
# And "reasoning" is what remains. Where nearer is higher, it is a fair word if both maps are
# right: the model sees both objects, knows both places, and takes the lower one for the nearer.
# In the early model it may only mean that the gauges are blunt: compare its limits above. The
# {term}`planted` bindings are coarse, the mirrored place each time. A word that is off by a cell goes
# unseen where the limit is larger than a cell, and nothing in Figure 12.4 warns you of that.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def show_error(axes, pair, number):
    case, table = ASKED[pair][number], READ[pair].iloc[number]
    name, side = pair[0], PIXELS / 4
    seen = diagnosis.read(MODELS[name], [case], SITE[name])
    said = {"s": GAUGES[name][0].places([case], seen.patches)[0],
            "X": GAUGES[name][1].places([case], seen.words)[0]}  # fmt: skip
    axes.imshow(case.prompt.image)
    for noun, color in enumerate(("#0072B2", "#D55E00")):
        true = [(value + 0.5) * side for value in case.places[noun][::-1]]
        axes.plot(*true, "o", ms=17, mfc="none", mec=color, mew=2)
        for marker, places in said.items():
            where = [(value + 0.5) * side for value in places[noun][::-1]]
            axes.plot(*where, marker, ms=8, color=color, mec="white", mew=1.2)
    axes.set(xticks=[], yticks=[], xlim=(0, PIXELS), ylim=(PIXELS, 0))
    axes.set_title(f"{case.prompt.question}\n{pair[1]}: {table['verdict']}", fontsize=7,
                   fontweight="normal")  # fmt: skip


examples = {}
for pair, table in NATURAL.items():
    wrong = table[~table["right"]]
    for cause in CAUSES:
        part = wrong[wrong["verdict"] == cause]
        if len(part) and (cause not in examples or pair[1] == "small objects"):
            examples[cause] = pair, int(part.index[len(part) // 2])
if examples:
    figure, panels = plt.subplots(1, len(examples), figsize=(3.9 * len(examples), 4.1),
                                  squeeze=False)  # fmt: skip
    for (pair, number), axes in zip(examples.values(), panels[0], strict=True):
        show_error(axes, pair, number)
    figure.tight_layout()

# %% [markdown]
# **Figure 12.6.** *Errors with their verdicts.* Rings: where the objects are (blue: the one that
# is named first; at the edge, the nearest place that the gauges can name). Squares: where the patches say they are. Crosses: where the words say.
#
# ````{exercise} Take the mistakes back out
# :label: ch12-correct
#
# Difficulty ●●● · importance ●●○ · 20 minutes
#
# The rule mistakes some causes for others, and you know how often: Figure 12.4. Write
# `correct_shares(observed, confusion)` with `observed` `[3]`, the shares of verdicts, and
# `confusion` `[3, 3]`, where a row is a cause and its columns are shares of verdicts. Return the
# shares of causes that would be seen as `observed`. They must not be negative, and sum to one.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def correct_shares(observed, confusion):
    # observed[v] = sum over causes of share[c] * confusion[c, v]: solve the transposed system.
    shares = np.linalg.solve(np.asarray(confusion).T, observed)
    shares = np.clip(shares, 0, None)
    return shares / shares.sum()


# %%
ch12.check_correct_shares(correct_shares)
rows = []
for pair, table in NATURAL.items():
    wrong = table[~table["right"]]
    if len(wrong):
        observed = wrong["verdict"].value_counts(normalize=True).reindex(CAUSES).fillna(0)
        fixed = correct_shares(observed.to_numpy(), diagnosis.confusion(PLANTED[pair[0]]))
        rows.append(dict(zip(CAUSES, fixed, strict=True), set=", ".join(pair)))
pd.DataFrame(rows).set_index("set").round(2) if rows else None

# %% [markdown]
# **Table 12.2.** *Shares of causes with the rule's own mistakes taken out.* (Look up in Figure 12.5 how many errors a set
# has. Of a single error a share can only be 0 or 1.) This trusts one thing
# that nobody can check: that natural errors of a kind look to the gauges as the planted ones do.
#
# ````{exercise} Research sprint: a gauge for the last token
# :label: ch12-arrives
#
# Difficulty ●●● · importance ●●● · 30 minutes for the function, an afternoon for the sprint
#
# "Reasoning" is what the gauges leave over. Give it one of its own: does the *difference* of the two
# places arrive at the last token, with the right sign? Write `arrives(states, differences, train)`
# for states `[n, d_model]`, differences of the two columns `[n]`, and booleans `train` `[n]`. Fit a
# linear readout with a constant on the training samples, by ridge regression with a penalty of 1 on
# all weights but the constant. Return the share of the *other* samples for which it tells the right
# sign. Samples with difference 0 have no sign; they may train, but they are not counted.
#
# Then take the afternoon. Read it block by block, for questions that are answered right and for
# those that are answered wrong. And plant a cause first, as this chapter does: what would your
# gauge show if the error were in binding?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def arrives(states, differences, train):
    # Centred on the training samples, the penalty leaves the constant alone.
    mean, middle = states[train].mean(0), differences[train].mean()
    x = states[train] - mean
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (differences[train] - middle))
    # Judged where it was not fitted: with more numbers in a state than samples, any labels can
    # be fitted, and the sign would be right every time.
    judged = ~train & (differences != 0)
    said = (states[judged] - mean) @ weights + middle
    return float(np.mean(np.sign(said) == np.sign(differences[judged])))


# %%
ch12.check_arrives(arrives)

# %% [markdown]
# ## Summary
#
# - From right answers to wrong ones, the distance between the words' places and the truth grows
#   by {glue:text}`ch12_words_gap_small` cells on small objects, and in the early model by
#   {glue:text}`ch12_words_gap_early`. Compare within a set, with the same baseline on both sides.
# - Blurring the object changes the right answer's log-odds by
#   {glue:text}`ch12_blur_effect_right` beyond random boxes where the answer is right, and by
#   {glue:text}`ch12_blur_effect_wrong` where it is wrong. Signed changes of wrong answers can cancel.
#   Compare sizes: the gap, wrong less right, is {glue:text}`ch12_blur_care_gap`.
# - The lowest of four boxes makes an effect of {glue:text}`ch12_blur_biased_null_all` out of
#   nothing.
# - A rule on two gauges names {glue:text}`ch12_accuracy_both` of planted causes, balanced (chance
#   33 %), and {glue:text}`ch12_accuracy_both_early` in the early model. The words alone, as in
#   the paper's figure: {glue:text}`ch12_accuracy_words` (two thirds at most, by construction). They
#   cannot tell a blind encoder from a lost binding.
# - Of errors on small objects the rule blames the encoder for {glue:text}`ch12_encoder_small`. Where nearer is
#   higher, "reasoning" gets {glue:text}`ch12_reasoning_higher`.
# - A reading can be off and the answer right: on small objects in
#   {glue:text}`ch12_off_right_small` of right answers. A cause that is as common without the
#   error explains nothing.
#
# ## Open question: a research sprint
#
# "Reasoning" is what the gauges leave over. Give it a gauge of its own. If both words carry the
# right places and the answer is wrong, what does the *last* token carry? Read the places of both
# objects there, block by block, with the baselines of this chapter. Does the difference of the
# two places arrive, and does it have the right sign? Or does something else arrive, such as the
# height of an object where its depth was asked for? Plant a cause for each answer first. Then
# take a large model and the real photos of {doc}`08_real_photos`, and write down beforehand
# which part you expect to be to blame.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 8.
# - {cite:t}`cui2026dual` find the layout in background patches: a patch gauge that looks only at
#   the object may miss what an encoder knows.
# - {cite:t}`neo2025interpreting` read objects off patches without a probe.
# - {cite:t}`zhang2024best` and {cite:t}`heimersheim2024use`: how to break a model on purpose.
#
# **What follows.** {doc}`13_steerable_and_capable` puts the question to whole models: are those that can be steered the better ones?
