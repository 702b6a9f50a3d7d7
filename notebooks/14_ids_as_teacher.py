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
# # IDs as a teacher
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/14_ids_as_teacher.ipynb)
# · about 35 minutes to read, another 75 for the exercises, six to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb) and [6](06_steering_beliefs.ipynb)
#
# So far you have read IDs and written IDs. Now hand them to a teacher. You know where the frog
# is, for you put it there. So you know which vector should stand at the word "frog". Tell the
# model: not only "the answer is left", but "and *this* is what you should have been thinking".
#
# The paper did, with Qwen2-VL-2B. Fine-tuned on answers, its accuracy went from 0.77 to 0.85. With
# an {term}`ID loss` beside the answers it went to 0.91 {cite}`kang2026linear`. **Are IDs a learning
# signal?**
#
# Two things make this hard to answer. Two training runs differ by luck, so one run in each arm
# says nothing about arms. And *any* second loss may help a little, as noise or as a brake. A
# teacher must be compared with a teacher who talks nonsense.
#
# **You will learn**
# - how to put an ID loss on a model, and which mean to subtract on which side
# - how to compare two ways of training: same batches, several seeds, one look at the test
# - why an interval needs to be over scenes *and* over seeds
# - to ask, before you train, which part of the model your loss can reach
# - what became of the map, and of steering, in models that were taught

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
WEAK = ""  # the model to teach; empty: tiny-llava as it was early, or your own MODEL
SMALL = False  # True: a few steps, to try things out
SEED = 0
CACHE = None  # a folder: lessons keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import itertools
import math
import re
from functools import lru_cache, partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import Job, geometry, plots, stats, trials
from helpers.exercises import ch14
from helpers.fingerprint import Fingerprint
from helpers.reading import read_states
from helpers.report import Told, glue, keep, open_models, percent
from helpers.stimuli import coco_spatial, photos
from helpers.stimuli.sprites import OBJECTS, PAPER_OBJECTS
from helpers.training import teach as lessons
from helpers.training.data import SceneMix
from helpers.training.teach import Plan, Teacher, taught, teach, vision_mlps

# %%
WEAK = WEAK or ("tiny-llava-early" if MODEL == "tiny-llava" else MODEL)
names = dict.fromkeys([MODEL, WEAK])  # once, if they are the same
MODELS = open_models(*names, chapter="14_ids_as_teacher", small=SMALL, seed=SEED)
YES, EARLY = (Path(name).name for name in (MODEL, WEAK))
glue("ch14_weak", EARLY)

# %% [markdown]
# ## Two pupils
#
# A model that answers everything right has nothing to learn. You need pupils who fail, and it
# matters *why* they fail. Take two.
#
# - **The beginner** is `tiny-llava-early`: a small model from the middle of its training, at
#   the very moment when it began to answer questions about places.
# - **The near-sighted** is `tiny-llava` after an accident. Noise was added to every weight matrix
#   in the MLPs of its vision tower, with 0.85 of the matrix's own standard deviation. Nothing
#   else was touched. It still knows how to read a map. It no longer sees well. (We tried a few
#   strengths, and took one at which about three answers in four are right.)
#
# We planned the beginner alone, as the headline of this chapter. The near-sighted came when
# we saw what the beginner did, so take it as the second experiment, not the first.
#
# (With another `MODEL` there is one pupil: that model as it is.)
#
# First some questions. All are about {term}`held-out pairs <held-out pair>` at held-out places: some to watch by, some
# to look at maps with, and a **test** that stays shut until all training is done. A second
# test has the photos of {doc}`08_real_photos`.

# %%
KINDS = lessons.KINDS  # left/right and above/below
COUNT = {"validation": 12 if SMALL else 60, "test": 8 if SMALL else 500,
         "map": 12 if SMALL else 160, "photos": 4 if SMALL else 96}  # fmt: skip


def photo_cases(vlm):
    folder = Path(f"../_build/photos/{32 if SMALL else 500}-seed-{SEED}")
    photos.write_photos(folder, 32 if SMALL else 500, seed=SEED, progress=False)
    some = coco_spatial.load(folder).photos[: COUNT["photos"]]
    return [trials.photo_cases(vlm, [photo.squared()], [number % 2], of="photos")[0]
            for number, photo in enumerate(some)]  # fmt: skip


def asks_like(vlm):
    """A name for how a model is asked. Models of one name can share their questions."""
    scene = lessons.MIX.draw(np.random.default_rng(SEED))
    probe = vlm.prompt(scene.render(), "Is the frog to the left or right of the camel?")
    return str(Fingerprint(vlm.family.name, probe.tokens).add(*probe.inputs.values()))


DRAWN = {}


def draw_sets(vlm):
    """Questions by which to watch, to test, and to look at maps."""
    key = asks_like(vlm)
    if key not in DRAWN:
        found = {name: lessons.held_out_cases(vlm, COUNT[name], SEED + number)
                 for number, name in enumerate(("validation", "test", "map"), 1)}  # fmt: skip
        DRAWN[key] = found | {"photos": photo_cases(vlm)}
    return dict(DRAWN[key])

# %%
def blur_eyes(vlm, scale=0.85):
    """Add noise to the weight matrices of the vision MLPs; return what was there."""
    rng = torch.Generator().manual_seed(SEED)
    before = {}
    with torch.no_grad():
        for name, weight in vision_mlps(vlm.model).items():
            before[name] = weight.clone()
            if weight.ndim == 2:
                noise = torch.randn(weight.shape, generator=rng).to(weight)
                weight += scale * weight.std() * noise
    return before

# %% [markdown]
# `vision_mlps` picks what will be taught, too: as in the paper, **only the MLPs of the vision
# tower** learn. The language model stays frozen. So whatever the pupils learn, they learn to
# *see* it. Families call their towers by different names, so the choice goes by the path.
#
# ````{exercise} Only the eyes
# :label: ch14-learns
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `learns(name)`: whether a parameter belongs to an MLP in a *block* of a vision tower.
# Towers are called `vision_tower`, `vision_model` or `visual`. Their blocks have numbers. Not
# everything called `mlp` is in one: Qwen's `visual.merger.mlp` leads out of the tower.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def learns(name):
    # "vis..." somewhere on the path, and later a number right before "mlp".
    return bool(re.search(r"(^|\.)vis\w*\.(.*\.)?\d+\.mlp\.", name))

# %%
ch14.check_learns(learns)
for name, vlm in MODELS.items():
    taught_share = sum(p.numel() for p in vision_mlps(vlm.model).values())
    whole = sum(p.numel() for p in vlm.model.parameters())
    print(f"{name}: {taught_share:,} of {whole:,} parameters learn")

# %% [markdown]
# ## Where is the fault?
#
# Both pupils get questions wrong. Does the map at the nouns already say the wrong thing, or does
# the model misread a good map? The paper asks this in its Figure 8, and
# {doc}`12_why_wrong` is all about it. Here you need only one number for each pupil. Read the
# two places off the two nouns, in the plane of the column and row axes. Which one is further
# left? That is **the map's own answer**. Compare it with the model's.
#
# For this, and for the lessons, choose a block: the one at which steering with the pupil's own
# IDs swaps most {term}`beliefs <belief>` on the validation questions. It is chosen now and kept.

# %%
MIX = SceneMix(((1.0, "grid", (2, 2)),)) if SMALL else lessons.MIX
NOUNS = PAPER_OBJECTS if SMALL else OBJECTS  # the nouns that lessons are about
OURS = EARLY.startswith("tiny-llava")  # else a real model: smaller steps, larger pictures
SHARED = {"images": 2 if SMALL else 6, "questions": 2 if SMALL else 4, "scenes": MIX,
          "pixels": 112 if OURS else 336}  # fmt: skip
PROBED = Plan(**SHARED)  # the scenes of lessons: probes are fitted on them, see below


def choose_site(vlm, ids, cases):
    """Where steering with the IDs swaps most beliefs."""
    cases = trials.with_beliefs(vlm, cases)
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    sites = [vlm.resid_post(block)
             for block in range(min(looking, default=0), vlm.n_layers)]  # fmt: skip
    jobs = []
    for site, case in itertools.product(sites, cases):
        vectors = trials.aimed(case, ids[case.kind], site, trials.mirrored(case))
        jobs.append(trials.steering_job(case, site, vectors, where=site))
    return trials.run(vlm, jobs).groupby("where")["swapped"].mean().idxmax()


def read_nouns(vlm, site, cases):
    """The stream at the last tokens of both nouns, `[cases, 2, d_model]`."""
    spots = [[span[-1] for span in case.spans] for case in cases]
    return read_states(vlm, [case.prompt for case in cases], spots, [site])[0]


def read_map(teacher, centred, cases):
    """Where the teacher's map puts the nouns: (column, row), from the middle, in cells."""
    places = np.empty((len(cases), 2, 2))
    for index, case in enumerate(cases):
        for noun, ids in enumerate(teacher.ids[case.kind]):
            axes = ids.axes(teacher.site)
            places[index, noun] = geometry.on_plane(centred[index, noun], axes)
    return places

# %%
def map_answers(vlm, teacher, cases):
    """For each case, whether the map answers right, and the ID loss of its nouns."""
    ids, means = teacher.wanted(cases)
    centred = read_nouns(vlm, teacher.site, cases) - means
    places = read_map(teacher, centred, cases)
    axis = [0 if trials.AXIS[case.kind] == "column" else 1 for case in cases]
    step = (places[:, 0] - places[:, 1])[np.arange(len(cases)), axis]
    # The first answers are "Left" and "Above": true where the first noun's number is less.
    first_is_true = np.array([case.toward < 0 for case in cases])
    loss = 1 - geometry.cosine(centred, ids).mean(1).numpy()
    return pd.DataFrame({"map right": (step < 0) == first_is_true, "loss": loss})

# %%
PUPILS = {"beginner": MODELS[EARLY]}
SETS, TEACHERS, BEFORE, FIRST = {}, {}, {}, {}
if EARLY != YES:
    PUPILS["near-sighted"] = MODELS[YES]
    blur_eyes(MODELS[YES])


def enrol(pupil, vlm):
    """A pupil's questions; if it knows anything, its teacher and what its map says."""
    SETS[pupil] = draw_sets(vlm)
    before = lessons.judge_by(SETS[pupil]["validation"])(vlm)
    if stats.share(before["right"]).low <= 0.5:
        print(f"The {pupil} answers by chance: there is nothing to teach with. Stop here.")
        return
    options = {"pairs": 2 if SMALL else 8, "partners": 1 if SMALL else 2, "seed": SEED}
    ids = trials.extract_ids(vlm, KINDS, **options)
    site = choose_site(vlm, ids, SETS[pupil]["validation"][: 8 if SMALL else 60])
    cells = lessons.DIAGONALS[: 4 if SMALL else 8]
    means = lessons.read_means(vlm, site, KINDS, NOUNS, SEED, cells)
    probes = lessons.fit_probes(vlm, site, means, PROBED)
    TEACHERS[pupil], FIRST[pupil] = Teacher(site, ids, means, probes), before
    known = [c for c in SETS[pupil]["map"] if set(c.names) <= set(NOUNS)]
    SETS[pupil]["map"] = known
    BEFORE[pupil] = map_answers(vlm, TEACHERS[pupil], known)
    BEFORE[pupil]["right"] = lessons.judge_by(known)(vlm)["right"]


for pupil, vlm in PUPILS.items():
    enrol(pupil, vlm)
ABLE = [pupil for pupil in PUPILS if pupil in TEACHERS]
KEY = {"beginner": "", "near-sighted": "_eyes"}  # endings of the numbers' names

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
SAID = {"right": ("the model's answer", "#7F7F7F"),
        "map right": ("the map's answer", plots.COLORS["spatial IDs"])}  # fmt: skip


def draw_interval(axes, found, height, color, label=None):
    axes.plot([found.low, found.high], [height] * 2, color=color, lw=2)
    axes.plot(found.estimate, height, "o", color=color, label=label)


figure, axes = plt.subplots(figsize=(7, 2.4))
for row, pupil in enumerate(PUPILS):
    for number, (column, (label, color)) in enumerate(SAID.items()):
        name = f"ch14_{column.split()[0]}_at_first{KEY[pupil]}"
        if pupil not in ABLE:
            glue(name, "not measured")
            continue
        found = stats.share(BEFORE[pupil][column])
        draw_interval(axes, found, -row - 0.2 * number, color, None if row else label)
        glue(name, percent(found))
axes.set_yticks([-row - 0.1 for row in range(len(PUPILS))], list(PUPILS))
axes.set(xlim=(0.45, 1.02), ylim=(-len(PUPILS) + 0.4, 0.5), xlabel="share of right answers")
axes.axvline(0.5, color="0.6", ls=":")
if ABLE:
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
for pupil, key in KEY.items():
    here = pupil in ABLE
    fault = site = "not measured"
    if here:
        table = BEFORE[pupil].astype(float)
        gap = stats.paired_difference(table["map right"], table["right"])
        fault = "the reading" if gap.low > 0.05 else "the seeing"
        site = TEACHERS[pupil].site.split(".")[1]
    glue(f"ch14_fault{key}", fault)
    glue(f"ch14_site{key}", site)
    if pupil not in PUPILS:
        glue(f"ch14_right_at_first{key}", "not measured")
        glue(f"ch14_map_at_first{key}", "not measured")

# %% [markdown]
# **Figure 14.1.** *The model's answer and its map's answer, before any lesson.* Dots: means with
# 95 % intervals over held-out scenes. Dotted: chance.
#
# | | the model is right | its map is right | by our rule the fault is in | block |
# |---|---|---|---|---|
# | beginner | {glue:text}`ch14_right_at_first` | {glue:text}`ch14_map_at_first` | **{glue:text}`ch14_fault`** | {glue:text}`ch14_site` |
# | near-sighted | {glue:text}`ch14_right_at_first_eyes` | {glue:text}`ch14_map_at_first_eyes` | **{glue:text}`ch14_fault_eyes`** | {glue:text}`ch14_site_eyes` |
#
# The rule: where the map is right more often than the model, by more than five points with the
# whole interval, the fault is in the reading. Then a loss that improves the map polishes
# what is good already. Otherwise the rule says that the fault is in the seeing, and the loss
# aims at it. (The rule has two words only. A model that is right more often than its map gets part of
# its answer by another way, and is called "the seeing" all the same.) Write down now what you expect for each pupil.
#
# ## The lesson
#
# Let $h$ be the stream at the last token of a noun, at the chosen block. The ID loss is
#
# $$
# 1 - \cos\big(h - \bar h_{\text{word}},\; s(\text{true cell})\big),
# $$
#
# averaged over both nouns. $\bar h_{\text{word}}$ is the mean state of that very word over all
# cells. IDs are what is left when such a mean is taken away. So it has to be taken away on the
# other side as well. The released code compares the raw state with the centred ID. A raw state
# is mostly the word itself, and "frog-ness" is at right angles to "top left".
#
# There is more to get right. The first and the second noun have different IDs: the second has
# read half of the question. The released code takes IDs of the first noun, and puts the
# loss on the second. Ours gives each its own. All of it is read off clean grids, by the
# pupil itself, before the first lesson. The teacher knows nothing that the pupil does not.
#
# ````{exercise} Centre both sides
# :label: ch14-distance
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# Write `distance(states, means, ids)`, all `[n, d_model]`: the ID loss of each state, `[n]`.
# It must let gradients through to the states.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def distance(states, means, ids):
    # IDs are centred: their mean is not in them. So the states must lose theirs, too.
    cosine = torch.nn.functional.cosine_similarity(states - means, ids, dim=-1)
    return 1 - cosine

# %%
ch14.check_distance(distance)

# %% [markdown]
# What does it cost to forget the mean? Take held-out questions, before any lesson.

# %%
def losses_before(pupil):
    """The ID loss with the states centred, and raw: a mean over nouns for each case."""
    teacher, cases = TEACHERS[pupil], SETS[pupil]["map"]
    states = read_nouns(PUPILS[pupil], teacher.site, cases).flatten(0, 1)
    ids, means = (part.flatten(0, 1) for part in teacher.wanted(cases))
    for subtract in (means, 0 * means):
        yield distance(states, subtract, ids).unflatten(0, (-1, 2)).mean(1).numpy()


for pupil, key in KEY.items():
    found = losses_before(pupil) if pupil in ABLE else [None, None]
    for name, values in zip(("centred", "raw"), found, strict=True):
        glue(f"ch14_loss_{name}{key}",
             "not measured" if values is None else stats.mean(values))

# %% [markdown]
# The beginner begins with an ID loss of {glue:text}`ch14_loss_centred`. With raw states it
# would be {glue:text}`ch14_loss_raw`. The near-sighted: {glue:text}`ch14_loss_centred_eyes`, and
# raw {glue:text}`ch14_loss_raw_eyes`. What a raw loss adds is no error of the pupil. It can only
# be lowered by forgetting the word, or by drowning it.
#
# ## Four arms, one sampler
#
# | arm | loss |
# |---|---|
# | answers alone | minus the log-probability of the right answer |
# | + IDs | the same, plus the ID loss |
# | + shuffled IDs | the same, plus the ID loss with the IDs at the *wrong cells* |
# | + places | answers, plus the squared error of a linear probe that reads row and column off the noun |
#
# The third arm has the same vectors, the same lengths, the same extra gradient. It only
# lies about places. If it helps as much as the second, then what helped was not the map.
#
# The fourth arm asks the opposite. It tells the truth about places, as the second does, but does not say
# *which vector* should stand at the noun: any state will do from which the place can be read. Its probes are ridge
# regressions on the pupil's own states, fitted on other scenes of the kind that lessons have, one for
# each noun. How heavy should its loss be? A rival that is not heard is no rival. We took a weight at
# which, on the training questions of one near-sighted pupil, the probes end nearer to the true places
# than after lessons with IDs. If this arm helps as much as the second, then labels of places are what
# helps, and IDs are one way among others to hand them over. (We added this arm last, when we had seen
# the results of the other three. A reviewer had asked.)
#
# In the released code the two arms use different samplers, without a seed, and each ran once.
# Then arms differ in their questions, too. Here the questions of a step depend on the seed
# and the step, and on nothing else. Every difference between arms is paired.
#
# ````{exercise} A sampler that no arm can disturb
# :label: ch14-sampler
#
# Difficulty ●●○ · importance ●●● · 10 minutes
#
# Write `generator_for(seed, step)`, which returns the numpy generator that draws the
# questions of one step. It must be the same in every arm, also in a lesson that was cut off
# and goes on, and different for any two pairs of a seed and a step.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def generator_for(seed, step):
    # A list of numbers, not their sum: with a sum, neighbouring seeds share nearly all.
    return np.random.default_rng([seed, step])

# %%
ch14.check_generator_for(generator_for)

# %% [markdown]
# How long, and how fast? We tried rates on validation questions, with one seed: at a rate of
# 0.001 the beginner got *worse* within 25 steps in every arm. Below it, arms differed little.
# The rates here are the ones we then kept, the same for all arms.

# %%
ARMS = {"answers": "answers alone", "ids": "+ IDs", "shuffled": "+ shuffled IDs",
        "places": "+ places"}  # fmt: skip
TONES = {"answers": "#009E73", "ids": plots.COLORS["spatial IDs"],
         "shuffled": plots.COLORS["shuffled IDs"], "places": "#CC79A7"}  # fmt: skip
SEEDS = range(2 if SMALL else 3)
STEPS = {"beginner": 2 if SMALL else 50, "near-sighted": 2 if SMALL else 40}
RATES = {"beginner": 2e-4 if OURS else 1e-5, "near-sighted": 3e-4}
PLANS = {
    pupil: Plan(steps=steps, rate=RATES[pupil], save_every=20, **SHARED,
                judge_every=steps if SMALL else steps // 2)
    for pupil, steps in STEPS.items()
}  # fmt: skip

# %%
ALIKE = {asks_like(vlm): pupil for pupil, vlm in PUPILS.items()}


@lru_cache(maxsize=max(STEPS.values()) if OURS else 1)
def questions_of(alike, seed, step):
    """The questions of a step; small pictures are kept for the next arm and pupil."""
    pupil = ALIKE[alike]  # plans differ in steps and rates, and not in what is drawn
    return lessons.draw_cases(PUPILS[pupil], PLANS[pupil], SEED + seed, step)


LESSONS = {}
for seed, pupil, arm in itertools.product(SEEDS, ABLE, ARMS):
    judge = lessons.judge_by(SETS[pupil]["validation"])
    lesson = teach(PUPILS[pupil], TEACHERS[pupil], arm, SEED + seed, PLANS[pupil], judge,
                   folder=CACHE, progress=False, before=FIRST[pupil],
                   draw=partial(questions_of, asks_like(PUPILS[pupil]), seed))  # fmt: skip
    LESSONS[pupil, arm, seed] = lesson
    if pupil == "beginner":  # chapter 13 steers these
        folder = Path("../_build/taught") / (EARLY + ("-small" if SMALL else ""))
        lesson.save(folder / f"{arm}-{seed}.safetensors")
questions_of.cache_clear()
asked = SHARED["images"] * SHARED["questions"]
glue("ch14_asked", asked)
glue("ch14_seeds", len(SEEDS))
glue("ch14_test_count", COUNT["test"])

# %% [markdown]
# ### Two kinds of luck
#
# A number such as "accuracy with the ID loss" has two kinds of luck in it: which *scenes* it was
# tested on, and which *run* this was. More scenes do nothing about the second. An interval over
# scenes alone would tell you how surely *these three models* differ. You want to know about
# the next one.
#
# ````{exercise} An interval over both
# :label: ch14-both
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# Write `over_both(table)`: given an array `[seeds, scenes]`, one number for each seed and scene,
# return `stats.Interval(estimate, low, high, n)`: the mean, the two ends of its 95 % bootstrap
# interval, and the number of scenes. Every seed was tested on the same scenes. What must be drawn
# again as a whole?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def over_both(table, draws=2000):
    rng = np.random.default_rng(0)
    seeds, scenes = table.shape
    # How often each seed, and each scene, is drawn: whole rows and whole columns.
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    columns = rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=draws)
    means = ((rows @ table) * columns).sum(1) / (seeds * scenes)
    low, high = np.quantile(means, [0.025, 0.975])
    return stats.Interval(float(table.mean()), float(low), float(high), scenes)

# %%
ch14.check_over_both(over_both)

# %% [markdown]
# Three seeds are few: a bootstrap over three numbers comes out too narrow. The ticks in the
# figures are single runs. Look at them as well.
#
# ## On the way

# %%
def table_of(pupil, arm, step, column="right"):
    """Validation, ``[seeds, scenes]``."""
    parts = [LESSONS[pupil, arm, seed].judged.query("step == @step") for seed in SEEDS]
    return np.stack([part.sort_values("scene")[column].to_numpy(float) for part in parts])


rows = []
for pupil, arm in itertools.product(ABLE, ARMS):
    for step in LESSONS[pupil, arm, 0].judged["step"].unique():
        for column in ("right", "sure"):
            found = over_both(table_of(pupil, arm, step, column))
            rows.append({"pupil": pupil, "arm": arm, "step": step, "of": column,
                         **found._asdict()})  # fmt: skip
columns = ["pupil", "arm", "step", "of", "estimate", "low", "high", "n"]
curves = pd.DataFrame(rows, columns=columns)
keep("curves", curves)
keep("losses", pd.concat([one.losses.assign(pupil=key[0]) for key, one in LESSONS.items()]
                         or [pd.DataFrame({"pupil": []})]))  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
wanted = {"right": "share of right answers", "sure": "log-odds of the right answer"}
figure, panels = plt.subplots(len(PUPILS), 3, figsize=(12, 3.3 * len(PUPILS)), squeeze=False)
for pupil, line in zip(PUPILS, panels, strict=True):
    line[0].set_title(pupil)
    if pupil not in ABLE:
        for axes in line:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        continue
    for (column, label), axes in zip(wanted.items(), line, strict=False):
        part = curves.query("pupil == @pupil and of == @column").replace({"arm": ARMS})
        plots.with_band(part, "step", "arm", axes, {ARMS[a]: TONES[a] for a in ARMS})
        axes.set(ylabel=label)
        for arm, seed in itertools.product(ARMS, SEEDS):
            means = LESSONS[pupil, arm, seed].judged.groupby("step")[column].mean()
            axes.plot(means, color=TONES[arm], lw=0.7, alpha=0.6)
    line[1].get_legend().remove()
    for arm in ARMS:
        noted = pd.concat([LESSONS[pupil, arm, seed].losses for seed in SEEDS])
        mean = noted.groupby("step")["id_loss"].mean()
        line[2].plot(mean.rolling(8, min_periods=1).mean(), color=TONES[arm])
    line[2].set(xlabel="step", ylabel="ID loss, true places")
figure.tight_layout()

# %% [markdown]
# **Figure 14.2.** *Learning.* Left and middle: validation questions about held-out pairs at
# held-out places, read at three points only. Bands: 95 % intervals over seeds and scenes;
# thin lines: single seeds. Right: the ID loss against the *true* places on the training
# questions, in every arm, also where nobody asks for it (a running mean over eight steps). A
# step has {glue:text}`ch14_asked` questions.
#
# The right column shows whether the teacher was heard. The left shows whether it was of any use.
# These are two questions. Do not let the first answer the second.
#
# ## The test, read once
#
# Now open the test. Each taught model answers every question of the test once.

# %%
def answers_of(pupil, lesson, name):
    """Right or not for each question of a set."""
    with taught(PUPILS[pupil], lesson) as vlm:
        return lessons.judge_by(SETS[pupil][name])(vlm)["right"].to_numpy(float)


RIGHT, START = {}, {}  # (pupil, set, arm) -> [seeds, scenes]; (pupil, set) -> [scenes]
for pupil, name in itertools.product(ABLE, ("test", "photos")):
    START[pupil, name] = answers_of(pupil, None, name)
    for arm in ARMS:
        some = [answers_of(pupil, LESSONS[pupil, arm, seed], name) for seed in SEEDS]
        RIGHT[pupil, name, arm] = np.stack(some)

# %%
PAIRS = {"ids": ("ids", "answers"), "shuffled": ("shuffled", "answers"),
         "places": ("places", "answers"), "map": ("ids", "shuffled"),
         "vector": ("ids", "places")}  # fmt: skip
rows = []
for pupil, name in START:
    first = stats.share(START[pupil, name])
    arms = {arm: RIGHT[pupil, name, arm] for arm in ARMS}
    found = {"before": first} | {arm: over_both(table) for arm, table in arms.items()}
    found |= {f"gain {key}": over_both(arms[one] - arms[other])
              for key, (one, other) in PAIRS.items()}  # fmt: skip
    found["gain answers"] = over_both(arms["answers"] - START[pupil, name])
    rows += [{"pupil": pupil, "set": name, "what": what, **value._asdict()}
             for what, value in found.items()]  # fmt: skip
results = pd.DataFrame(rows, columns=["pupil", "set", "what", *stats.Interval._fields])
keep("results", results)


def result(pupil, name, what):
    """An interval of the table, or None."""
    row = results.query("pupil == @pupil and set == @name and what == @what")
    if row.empty:
        return None
    estimate, low, high, n = row.iloc[0][list(stats.Interval._fields)]
    return stats.Interval(float(estimate), float(low), float(high), int(n))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(len(PUPILS), 2, figsize=(11, 3.2 * len(PUPILS)), squeeze=False)
lines = {"before": "before", **ARMS}
gains = {"gain ids": "+ IDs less answers alone",
         "gain shuffled": "+ shuffled less answers alone",
         "gain places": "+ places less answers alone",
         "gain map": "+ IDs less + shuffled",
         "gain vector": "+ IDs less + places"}  # fmt: skip
tints = {"gain ids": TONES["ids"], "gain shuffled": TONES["shuffled"],
         "gain places": TONES["places"], "gain map": "0.3", "gain vector": "0.3",
         "before": "0.3", **TONES}  # fmt: skip
for pupil, line in zip(PUPILS, panels, strict=True):
    for axes, some in zip(line, (lines, gains), strict=True):
        for row, what in enumerate(some):
            for number, name in enumerate(("test", "photos")):
                found = result(pupil, name, what)
                if found is None:
                    continue
                height = -row - 0.3 * number
                draw_interval(axes, found, height, tints[what])
                if number:
                    axes.plot(found.estimate, height, "s", color="white", ms=3, zorder=3)
                one, other = PAIRS.get(what.removeprefix("gain "), (what, None))
                if (pupil, name, one) in RIGHT and what != "before":
                    runs = RIGHT[pupil, name, one].mean(1)
                    if what in gains:
                        runs = runs - RIGHT[pupil, name, other].mean(1)
                    axes.plot(runs, [height - 0.12] * len(runs), "|", color=tints[what])
        axes.set_yticks([-row - 0.15 for row in range(len(some))], some.values())
        axes.set_ylim(-len(some) + 0.4, 0.4)
    line[0].set(title=pupil, xlabel="share of right answers")
    line[1].set(xlabel="difference, same seeds, same scenes")
    line[1].axvline(0, color="0.3", lw=1)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the words for an interval", "code_prompt_hide": "Hide the code"}
def in_points(found):
    """A difference in points of accuracy; "not measured" if there is none."""
    if found is None:
        return "not measured"
    ends = [f"{100 * value:+.1f}" for value in found[:3]]
    return Told(f"{ends[0]} [{ends[1]}, {ends[2]}]", found)


def verdict(found):
    """What an interval of a difference says."""
    if found is None:
        return "not measured"
    return "helps" if found.low > 0 else "hurts" if found.high < 0 else "changes nothing we see"


def against_places(pupil):
    """What the fourth arm says of the second."""
    ids, places, gap = (result(pupil, "test", f"gain {what}") for what in ("ids", "places", "vector"))
    if ids is None:
        return "not measured"
    if gap.low > 0:
        return "IDs did more than labels of places"
    if gap.high < 0:
        return "labels of places did more than IDs"
    helped = ids.low > 0 and places.low > 0
    return ("both helped, and we cannot tell them apart" if helped
            else "we cannot tell them apart, and not both helped")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
SHORT = {"before": "before", "answers": "without", "ids": "with", "shuffled": "shuffled",
         "places": "places", "gain ids": "gain", "gain shuffled": "gain_shuffled",
         "gain places": "gain_places", "gain map": "gain_map", "gain vector": "gain_vector",
         "gain answers": "gain_answers"}  # fmt: skip
for (pupil, key), (what, short) in itertools.product(KEY.items(), SHORT.items()):
    for name, ending in (("test", ""), ("photos", "_photos")):
        found = result(pupil, name, what)
        text = in_points(found) if what in gains or not found else percent(found)
        glue(f"ch14_{short}{key}{ending}", text)
for pupil, key in KEY.items():
    for arm in ("answers", "ids", "places"):
        off = [LESSONS[pupil, arm, seed].losses["place_loss"].iloc[-10:].mean()
               for seed in SEEDS if pupil in ABLE]  # fmt: skip
        glue(f"ch14_off_{arm}{key}", f"{np.mean(off):.2f}" if off else "not measured")
    glue(f"ch14_verdict{key}", verdict(result(pupil, "test", "gain ids")))
    glue(f"ch14_verdict_shuffled{key}", verdict(result(pupil, "test", "gain shuffled")))
    glue(f"ch14_verdict_map{key}", verdict(result(pupil, "test", "gain map")))
    glue(f"ch14_verdict_places{key}", verdict(result(pupil, "test", "gain places")))
    glue(f"ch14_verdict_vector{key}", verdict(result(pupil, "test", "gain vector")))
    glue(f"ch14_rival{key}", against_places(pupil))

# %% [markdown]
# **Figure 14.3.** *The test.* Left: accuracy. Right: paired differences between arms. Filled dots:
# the test set of {glue:text}`ch14_test_count` scenes; dots with a white middle: photos. Lines:
# 95 % intervals over seeds and scenes. Ticks: single seeds.
#
# | test set | before | answers alone | + IDs | + shuffled IDs | + places |
# |---|---|---|---|---|---|
# | beginner | {glue:text}`ch14_before` | {glue:text}`ch14_without` | {glue:text}`ch14_with` | {glue:text}`ch14_shuffled` | {glue:text}`ch14_places` |
# | ... photos | {glue:text}`ch14_before_photos` | {glue:text}`ch14_without_photos` | {glue:text}`ch14_with_photos` | {glue:text}`ch14_shuffled_photos` | {glue:text}`ch14_places_photos` |
# | near-sighted | {glue:text}`ch14_before_eyes` | {glue:text}`ch14_without_eyes` | {glue:text}`ch14_with_eyes` | {glue:text}`ch14_shuffled_eyes` | {glue:text}`ch14_places_eyes` |
# | ... photos | {glue:text}`ch14_before_eyes_photos` | {glue:text}`ch14_without_eyes_photos` | {glue:text}`ch14_with_eyes_photos` | {glue:text}`ch14_shuffled_eyes_photos` | {glue:text}`ch14_places_eyes_photos` |
#
# The paired difference that the paper claims to be above zero, + IDs less answers alone:
# **{glue:text}`ch14_gain`** for the beginner, **{glue:text}`ch14_gain_eyes`** for the
# near-sighted (points of accuracy; {glue:text}`ch14_gain_photos` and
# {glue:text}`ch14_gain_eyes_photos` on photos). By the rule "the whole interval on one side of
# zero", the ID loss **{glue:text}`ch14_verdict`** for the beginner and
# **{glue:text}`ch14_verdict_eyes`** for the near-sighted. The paper: 6 points.
#
# And the teacher who lies? Shuffled IDs less answers alone: {glue:text}`ch14_gain_shuffled`
# (**{glue:text}`ch14_verdict_shuffled`**) and {glue:text}`ch14_gain_shuffled_eyes`
# (**{glue:text}`ch14_verdict_shuffled_eyes`**). Were the ID loss a mere brake or a mere noise, the
# lie would do as well as the truth. True less shuffled: {glue:text}`ch14_gain_map` and
# {glue:text}`ch14_gain_map_eyes`. Mind which comparison you quote. "True beats shuffled" is the
# easy one. It is met as soon as the lie does harm. "True beats nothing" is the claim.
#
# One rival is left. The ID loss tells the pupil *where things are*, which the answers tell only in part.
# Does any loss that does so help as much? That is the fourth arm. Places by a probe less answers
# alone: {glue:text}`ch14_gain_places` (**{glue:text}`ch14_verdict_places`**) and
# {glue:text}`ch14_gain_places_eyes` (**{glue:text}`ch14_verdict_places_eyes`**). It was heard: in the last ten steps
# the near-sighted's probes were off by {glue:text}`ch14_off_places_eyes` squared cells in this arm, by
# {glue:text}`ch14_off_ids_eyes` with IDs and by {glue:text}`ch14_off_answers_eyes` with answers alone. IDs less places by a
# probe: {glue:text}`ch14_gain_vector` and {glue:text}`ch14_gain_vector_eyes`. So for the beginner
# **{glue:text}`ch14_rival`**; for the near-sighted **{glue:text}`ch14_rival_eyes`**. An interval that
# holds zero does not say that the two are the same. But as long as no test tells them apart, the plain reading is
# enough: what helps is to be told places, in whichever form. That IDs are a *special* signal would need more.
#
# This arm nearly fooled us. Our first probes were fitted on clean grids, and were lost in clutter, and their loss weighed little. The arm changed
# nothing, and IDs less places came out well above zero: a clear win for IDs, over a teacher whom nobody could hear. Before
# you beat a control, check that it did its job. (So the test was read twice for this arm, with those probes
# and with these. The weight was chosen on training questions.)
#
# ## What became of the map?
#
# The lesson asked for a better map, not for better answers. Did it get one? Read the nouns of
# Figure 14.1 again, by the map from *before* the lessons. Then extract each model's IDs anew: how well does
# a straight line from place to ID fit those of other pairs, and how far did they turn from what
# they were? Last, steer with the new IDs. Chapter 13 goes on from there
# ({doc}`13_steerable_and_capable`).

# %%
FEW = {"pairs": 2 if SMALL else 4, "partners": 1}


def steered(vlm, ids, site, cases):
    """Share of beliefs swapped by the model's own IDs, and by random vectors as long."""
    jobs = []
    for number, case in enumerate(cases):
        jobs.append(Job(case.prompt, (), case.labels | {"arm": "none", "number": number}))
        made = trials.arms(case, ids[case.kind], site, trials.mirrored(case), {"random": 1})
        jobs += [trials.steering_job(case, site, vectors, arm=arm, number=number)
                 for (arm, _), vectors in made.items()]  # fmt: skip
    table = trials.run(vlm, jobs)
    before = table[table["arm"] == "none"].set_index("number")["log_odds"]
    table["swapped"] = table["log_odds"] * table["number"].map(before) < 0
    return table.groupby("arm")["swapped"].mean()


def examine(pupil, lesson):
    """What a model's map is like."""
    teacher, site = TEACHERS[pupil], TEACHERS[pupil].site
    some = SETS[pupil]["map"]
    with taught(PUPILS[pupil], lesson) as vlm:
        told = map_answers(vlm, teacher, some)
        ids = trials.extract_ids(vlm, KINDS, seed=SEED + 7, sites=[site], **FEW)
        swaps = steered(vlm, ids, site, some[:: 1 if SMALL else 3])
    first, old = ids["left_right"][0], teacher.ids["left_right"][0]
    half = len(first.pairs) // 2
    fit = geometry.linear_fit(first.at(site)[:half], first.at(site)[half:].mean(0))
    turned = geometry.cosine(first.mean(site), old.mean(site)).mean()
    return {"map right": told["map right"].mean(), "loss": told["loss"].mean(), "fit": fit,
            "cosine": float(turned), "IDs": swaps["spatial IDs"], "random": swaps["random"]}

# %%
rows = []
for pupil in ABLE:
    rows.append({"pupil": pupil, "arm": "before", "seed": 0, **examine(pupil, None)})
    for arm, seed in itertools.product(ARMS, SEEDS[:1] if SMALL else SEEDS):
        found = examine(pupil, LESSONS[pupil, arm, seed])
        rows.append({"pupil": pupil, "arm": arm, "seed": seed, **found})
LOOKS = ["map right", "loss", "fit", "cosine", "IDs", "random"]
maps = pd.DataFrame(rows, columns=["pupil", "arm", "seed", *LOOKS])
keep("maps", maps)
shown = maps.replace({"arm": ARMS}).groupby(["pupil", "arm"], sort=False)[LOOKS].mean()
shown.style.format("{:.2f}")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def spread(pupil, arm, column):
    """Mean over seeds, with the least and the greatest."""
    values = maps.query("pupil == @pupil and arm == @arm")[column]
    if values.empty:
        return "not measured"
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"


for (pupil, key), arm in itertools.product(KEY.items(), ARMS):
    for column in ("map right", "loss", "IDs"):
        glue(f"ch14_{column.split()[0].lower()}_{arm}{key}", spread(pupil, arm, column))
for pupil, key in KEY.items():  # noqa: B007 (used in the query)
    for column in ("map right", "loss", "IDs", "random"):
        values = maps.query("pupil == @pupil and arm == 'before'")[column]
        text = f"{values.iloc[0]:.2f}" if len(values) else "not measured"
        glue(f"ch14_{column.split()[0].lower()}_before{key}", text)

# %% [markdown]
# **Table 14.1.** *Maps of taught models*, means over seeds. *map right*: share of held-out questions
# that the old map answers right; *loss*: their ID loss, by the old map; *fit*: held-out $R^2$ of a straight line
# from place to new ID; *cosine*: of new and old IDs; *IDs* and *random*: share of beliefs swapped
# by steering at dose one with the model's own new IDs, and with random vectors of that length.
#
# The ID loss on held-out questions (means, and the range over seeds):
#
# | | before | answers alone | + IDs | + shuffled IDs | + places |
# |---|---|---|---|---|---|
# | beginner | {glue:text}`ch14_loss_before` | {glue:text}`ch14_loss_answers` | {glue:text}`ch14_loss_ids` | {glue:text}`ch14_loss_shuffled` | {glue:text}`ch14_loss_places` |
# | near-sighted | {glue:text}`ch14_loss_before_eyes` | {glue:text}`ch14_loss_answers_eyes` | {glue:text}`ch14_loss_ids_eyes` | {glue:text}`ch14_loss_shuffled_eyes` | {glue:text}`ch14_loss_places_eyes` |
#
# Share of beliefs that steering swaps:
#
# | | before | answers alone | + IDs | + shuffled IDs | + places |
# |---|---|---|---|---|---|
# | beginner | {glue:text}`ch14_ids_before` | {glue:text}`ch14_ids_answers` | {glue:text}`ch14_ids_ids` | {glue:text}`ch14_ids_shuffled` | {glue:text}`ch14_ids_places` |
# | near-sighted | {glue:text}`ch14_ids_before_eyes` | {glue:text}`ch14_ids_answers_eyes` | {glue:text}`ch14_ids_ids_eyes` | {glue:text}`ch14_ids_shuffled_eyes` | {glue:text}`ch14_ids_places_eyes` |
#
# Read the first table against Figure 14.3. A map that gets better while answers do not is a good
# map that nobody reads better than before: the language model is frozen.
#
# ````{exercise} Research sprint: a map that is turned
# :label: ch14-turned
#
# Difficulty ●●● · importance ●●○ · 25 minutes for the function, an afternoon for the sprint
#
# Does a pupil learn *places*, or the very directions that its reader knows? Teach it a map that is
# as good as the old one, but turned. Write `turned(ids, axes, angle)` for IDs `[..., d_model]`, two
# axes `[2, d_model]` and an angle in radians: what lies in the plane of the two axes is rotated
# within it, from the first axis towards the second, and the rest stays. The axes need be neither of
# length one nor perpendicular.
#
# Then take the afternoon: teach with the healthy IDs as they are, turned by a quarter, and turned by
# a little. The open question at the end tells what to compare. Which of the three must be worse, if
# the reader's own directions are what counts?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def turned(ids, axes, angle):
    # Two perpendicular directions of length one, the first along the first axis.
    first = axes[0] / axes[0].norm()
    second = axes[1] - (axes[1] @ first) * first
    second = second / second.norm()
    x, y = ids @ first, ids @ second
    cos, sin = math.cos(angle), math.sin(angle)
    # Only what changes is added: the rest of an ID, off the plane, is left as it is.
    x, y = (cos - 1) * x - sin * y, sin * x + (cos - 1) * y
    return ids + x[..., None] * first + y[..., None] * second

# %%
ch14.check_turned(turned)

# %% [markdown]
# ## Summary
#
# - The ID loss asks that the centred state of a noun point where the ID of the true place points.
#   Centre both sides by the same mean. Give each noun its own IDs.
# - Arms had the same questions, drawn from the seed and the step alone, {glue:text}`ch14_seeds`
#   seeds each, and one look at the test; the fourth arm, which came last, had two.
# - Does the ID loss help beyond answers? The beginner: **{glue:text}`ch14_verdict`**,
#   {glue:text}`ch14_gain`. The near-sighted: **{glue:text}`ch14_verdict_eyes`**,
#   {glue:text}`ch14_gain_eyes`. The paper: 6 points, from one run in each arm.
# - IDs at wrong cells, against answers alone: the beginner
#   **{glue:text}`ch14_verdict_shuffled`**, the near-sighted
#   **{glue:text}`ch14_verdict_shuffled_eyes`**.
# - Told the true places by a probe's loss and not by IDs, the near-sighted gains {glue:text}`ch14_gain_places_eyes`. For
#   it, **{glue:text}`ch14_rival_eyes`**. IDs less places is
#   {glue:text}`ch14_gain_vector` for the beginner and {glue:text}`ch14_gain_vector_eyes` for the near-sighted.
# - Steering with the model's own IDs swaps, after answers alone and after answers with IDs,
#   {glue:text}`ch14_ids_answers` and {glue:text}`ch14_ids_ids` of the beginner's beliefs,
#   {glue:text}`ch14_ids_answers_eyes` and {glue:text}`ch14_ids_ids_eyes` of the near-sighted's.
# - Before you train, ask where the fault is. The beginner's map answered
#   {glue:text}`ch14_map_at_first` right when the beginner itself answered
#   {glue:text}`ch14_right_at_first`: {glue:text}`ch14_fault`. The near-sighted:
#   {glue:text}`ch14_map_at_first_eyes` and {glue:text}`ch14_right_at_first_eyes`:
#   {glue:text}`ch14_fault_eyes`. A loss on the map is aimed at the map. That it helps where the map is at
#   fault fits two pupils, who differ in much else: take it as a guess to test.
#
# What this cannot say: whether another recipe gives the same. When we took fewer pictures a step
# to save time, the near-sighted's gain fell to where its interval reached zero, and we put the
# pictures back: quote the gain with its recipe. Nor can it say whether a large model, taught for
# thousands of steps, gains more. Ours were taught for minutes, and the IDs were those of the weak pupil itself. For a real model, run
# `python -m helpers.training.teach MODEL --out FOLDER` on a GPU. It has a fifth arm as well, the
# ID loss without any answers.
#
# ## Open question: a research sprint
#
# A pupil who teaches itself hands on its own errors. Take a better teacher: read IDs and means
# off `tiny-llava` with *healthy* eyes (`Teacher.from_model`, before `blur_eyes`), and teach the
# near-sighted with those. In a first try with two seeds this made answers surer than either arm
# here. Is it better seeing, or is it that the reader gets the language it grew up with? Two
# ways to find out: turn the healthy IDs by a random rotation within their plane, and compare
# maps, not answers. Then ask how *few* labelled places are enough. Places are cheap where scenes
# are drawn and dear where they are photographed. Before you run it, write down which result would
# prove you wrong.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: the experiment in its original form.
# - {doc}`12_why_wrong`: seeing and reading, taken apart.
# - {doc}`13_steerable_and_capable`: what else the models taught here can show.
# - {cite:t}`kamath2023whatsup` and {cite:t}`liu2023vsr`: how badly models do on left and
#   right, and why more of the same data did not help.
#
# **What follows.** Every result so far could have come out otherwise by a small mistake. {doc}`15_bug_museum` shows how.
