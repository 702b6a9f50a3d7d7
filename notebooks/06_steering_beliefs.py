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
# # Steering beliefs
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/06_steering_beliefs.ipynb)
# · about 45 minutes to read, another 60 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [4](04_finding_spatial_ids.ipynb) and [5](05_their_geometry.ipynb)
#
# You have a map: sixteen vectors, one for each cell, that appear at an object's word. A map
# can hang on the wall without anybody looking at it. **Do {term}`spatial IDs <spatial ID>` cause the {term}`belief`?**
#
# There is only one way to know. Leave the image alone. Leave the question alone. At the
# word "frog", take away the vector that says "here" and add the one that says "there".
# Then ask where the frog is.
#
# Steering is easy to do and easy to believe. Push a network hard enough, anywhere, and its
# answer changes. Most of this chapter is about the difference between moving a belief and
# breaking a model.
#
# **You will learn**
# - how to steer an object word with an ID, and what a dose of one means
# - how to choose a block and a dose without fooling yourself
# - which controls a causal figure needs, and how to read those that live in the ID plane
# - how to slide a belief across the picture, and compare with sliding the object itself
# - what happens at the dose that the paper used

# %% tags=["parameters"]
MODEL = "tiny-llava"  # a shipped model, a Hugging Face name, or a folder
CONTROL = "tiny-llava-direct"  # the same architecture, trained without captions
SMALL = False  # True: fewer images, to try things out
SEED = 0
CACHE = None  # a folder: long runs keep their work there, and go on after a break

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the setup", "code_prompt_hide": "Hide the setup"}
import sys

if "google.colab" in sys.modules:
    # %pip install -q "git+https://github.com/where-is-the-frog/where-is-the-frog"
    pass

import itertools
import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import (
    Job,
    Prompt,
    Scene,
    SpatialIDs,
    geometry,
    mirror,
    plots,
    random_direction,
    random_in_subspace,
    stats,
    steer,
    sweep,
    trials,
    with_norm_of,
)
from helpers.exercises import ch06
from helpers.ids import LEFT_RIGHT
from helpers.reading import read_states
from helpers.report import glue, open_models, percent
from helpers.stimuli import questions
from helpers.stimuli.sampling import scenes as draw_scenes
from helpers.stimuli.split import is_held_out_pair
from helpers.stimuli.sprites import PAPER_OBJECTS, sprite
from helpers.sweeps import replies

# %%
MODELS = open_models(
    MODEL, CONTROL, chapter="06_steering_beliefs", small=SMALL, seed=SEED
)
YES, NO = MODELS  # the names: of the model, and of its control
COLOR = {YES: plots.COLORS["tiny-llava"], NO: plots.COLORS["tiny-llava-direct"]}

# %% [markdown]
# ## The vectors, and the scenes that never made them
#
# IDs come from the paper's grid scenes, with pairs of objects from the training set. Steering
# is judged on scenes with {term}`held-out pairs <held-out pair>` at held-out places, half of them two objects on
# white, half of them three to six objects on colourful backgrounds.
#
# Both nouns get an {term}`edit`, so both need IDs. The first noun is read before the question says
# what it is about: "Is the frog" begins either question. So its IDs serve left/right and
# above/below alike. The second noun knows the question, and gets IDs of its own for each.

# %%
AXES = {"column": "left_right", "row": "above_below"}
TEMPLATES = {"column": LEFT_RIGHT, "row": "Is the {0} above or below the {1}?"}
ANSWERS = {axis: questions.ANSWERS[kind] for axis, kind in AXES.items()}

ordered = itertools.permutations(PAPER_OBJECTS, 2)
makers = [pair for pair in ordered if not is_held_out_pair(*pair)]
rng = np.random.default_rng(SEED)
pairs = [makers[i] for i in rng.choice(len(makers), 3 if SMALL else 8, replace=False)]
options = {"partners": 1 if SMALL else 2, "seed": SEED, "save_to": CACHE}
IDS = {}  # model -> axis of the question -> (IDs of the first noun, of the second)
for name, vlm in MODELS.items():
    wanted = [(0, LEFT_RIGHT), *((1, template) for template in TEMPLATES.values())]
    first, *second = SpatialIDs.extract_each(vlm, pairs, wanted, progress=False, **options)
    IDS[name] = {axis: (first, ids) for axis, ids in zip(TEMPLATES, second, strict=True)}

# %% [markdown]
# A *case* is one question about one scene, with all that {term}`steering` needs: where the nouns'
# tokens are, and where the objects are, as (row, column) of the 4 × 4 grid. In cluttered
# scenes places lie between cell centres. `ids.interpolate` fills in (Chapter 5 measured how
# well). Each scene is asked both ways, "the frog ... the camel" and "the camel ... the frog".

# %%
@dataclass(frozen=True)
class Case:
    scene: Scene
    axis: str
    names: tuple[str, str]
    prompt: Prompt
    labels: dict  # what the tables keep

    @property
    def nouns(self):
        return self.prompt.words(self.names)

    @property
    def places(self):
        return [in_cells(self.scene.find(name)) for name in self.names]


def in_cells(placed):
    """(row, column), as numbers between the first and the last cell centre."""
    return tuple(float(np.clip(4 * v - 0.5, 0, 3)) for v in (placed.y, placed.x))


def mirrored(place, axis):
    row, column = place
    return (row, 3 - column) if axis == "column" else (3 - row, column)


# %%
def askable(kind, axis, count, seed, seen):
    """Held-out scenes whose first two objects can be compared, with both questions.

    None that was seen before: on a grid, the same picture comes again and again.
    """
    ask = getattr(questions, AXES[axis])
    for scene in draw_scenes(5 * count, seed, kind, held_out=True):
        one, other = scene.names[:2]
        asked = ask(scene, one, other), ask(scene, other, one)
        if None not in asked and (axis, frozenset(scene.objects)) not in seen:
            seen.add((axis, frozenset(scene.objects)))
            yield scene, asked


def draw_cases(vlm, count, seed, seen, orders=(0, 1)):
    """Cases about `count` scenes for each kind of scene and each axis."""
    cases = []
    for kind, axis in itertools.product(("grid", "clutter"), AXES):
        found = itertools.islice(askable(kind, axis, count, seed, seen), count)
        for number, (scene, asked) in enumerate(found):
            for order in orders:
                prompt = vlm.prompt(scene.render(), asked[order].text)
                # +1 if the mirrored scene's answer is the first of the two answers.
                toward = 1 if asked[order].answer == ANSWERS[axis][1] else -1
                labels = {"scene": f"{kind} {axis} {number}", "kind": kind,
                          "axis": axis, "order": order, "toward": toward}
                labels["case"] = len(cases)
                cases.append(Case(scene, axis, asked[order].objects, prompt, labels))
    return cases


# %%
CHOOSE, REPORT = (2, 3) if SMALL else (28, 24)
SEEN = {name: set() for name in MODELS}
choosing = {n: draw_cases(v, CHOOSE, SEED + 1, SEEN[n], [0]) for n, v in MODELS.items()}
judging = {n: draw_cases(v, REPORT, SEED + 2, SEEN[n]) for n, v in MODELS.items()}
print(len(choosing[YES]), "cases to choose with,", len(judging[YES]), "to judge by")

# %% [markdown]
# Two separate sets, and no picture twice: block and {term}`dose` will be chosen on the one, and every number you will
# quote comes from the other.
#
# ## One image, every block
#
# Now push. The frog gets the ID of its mirrored cell, the camel of its own mirrored cell:
#
# $$
# h_l(\text{frog}) \leftarrow h_l(\text{frog}) + \alpha\,\big(s(l, \text{mirrored cell}) -
# s(l, \text{cell})\big).
# $$
#
# The factor $\alpha$ is the **dose**. Its unit is the ID difference itself: at one, the vector
# has moved exactly as far as it would have, had the object been over there.

# %%
def push(name, case, site):
    """For each noun, the ID difference from its own to its mirrored place."""
    return [
        ids.difference(site, place, mirrored(place, case.axis))
        for ids, place in zip(IDS[name][case.axis], case.places, strict=True)
    ]


def job(case, site, vectors, dose=1.0, nouns=(0, 1), **labels):
    spans = case.nouns
    edits = tuple(steer(site, spans[noun], vectors[noun], dose) for noun in nouns)
    return Job(case.prompt, edits, case.labels | labels | {"dose": dose})


def run(name, jobs):
    """Run jobs about either axis; one table."""
    parts = []
    for axis, answers in ANSWERS.items():
        part = [one for one in jobs if one.labels["axis"] == axis]
        if part:
            parts.append(sweep(MODELS[name], part, answers, save_to=CACHE, progress=False))
    return pd.concat(parts, ignore_index=True)


# %% [markdown]
# What did an edit do to a belief? For this you need the belief without it. Run every case
# once as it is, and keep the {term}`log-odds`. The **{term}`change`** is after minus before, counted towards
# the answer of the mirrored scene. A belief is **{term}`swapped <belief swap>`** if its sign changed.

# %%
def with_belief(name, cases):
    """The cases, with the log-odds before any edit among their labels."""
    plain = run(name, [Job(case.prompt, (), case.labels) for case in cases])
    before = plain.set_index("case")["log_odds"]
    return [replace(case, labels=case.labels | {"before": before[case.labels["case"]]})
            for case in cases]  # fmt: skip


choosing = {name: with_belief(name, cases) for name, cases in choosing.items()}
judging = {name: with_belief(name, cases) for name, cases in judging.items()}


def outcomes(name, jobs):
    """Run the jobs and say what became of each belief."""
    table = run(name, jobs)
    table["right"] = table["before"] * table["toward"] < 0
    table["after"] = table["log_odds"] * table["toward"]
    table["change"] = table["after"] - table["before"] * table["toward"]
    table["swapped"] = table["log_odds"] * table["before"] < 0
    return table


# %%
def good_picture(case):
    """Right, with large sprites, the first at the edge, the second near the middle."""
    one, other = (case.scene.find(name) for name in case.names)
    right = case.labels["before"] * case.labels["toward"] < 0
    places = abs(one.x - 0.5) - abs(other.x - 0.5) + min(abs(one.y - other.y), 0.25)
    return right + one.size + other.size + 2 * places


is_picture = [c.labels["kind"] == "grid" and c.axis == "column" for c in judging[YES]]
number = max(np.flatnonzero(is_picture), key=lambda i: good_picture(judging[YES][i]))
curves = []
for name, vlm in MODELS.items():
    case = judging[name][number]
    sites = [vlm.resid_post(block) for block in range(vlm.n_layers)]
    jobs = [job(case, s, push(name, case, s), block=b) for b, s in enumerate(sites)]
    jobs.append(job(case, sites[0], push(name, case, sites[0]), 0.0, block=-1))
    curves.append(run(name, jobs).assign(model=name))
curves = pd.concat(curves)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def with_ghosts(scene, ghosts, pixels=336):
    """The scene, with a see-through copy of objects where the vectors say they are."""
    picture = scene.render(pixels).convert("RGBA")
    for name, (row, column) in ghosts.items():
        side = round(scene.find(name).size * pixels)
        copy = sprite(name, side).copy()
        copy.putalpha(copy.getchannel("A").point(lambda level: int(0.38 * level)))
        x, y = ((value + 0.5) / 4 * pixels - side / 2 for value in (column, row))
        picture.alpha_composite(copy, (max(0, round(x)), max(0, round(y))))
    return picture.convert("RGB")


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
case = judging[YES][number]
targets = [mirrored(place, case.axis) for place in case.places]
moved = dict(zip(case.names, targets, strict=True))
figure, panels = plt.subplots(1, 3, figsize=(12, 3.7), width_ratios=[0.85, 1, 1])
panels[0].imshow(with_ghosts(case.scene, moved))
panels[0].set(xticks=[], yticks=[])
panels[0].set_title(case.prompt.question, fontsize=9, fontweight="normal")
for name, axes in zip(MODELS, panels[1:], strict=True):
    for answer, color in zip(ANSWERS["column"], ("#0072B2", "#D55E00"), strict=True):
        part = curves[curves["model"] == name].set_index("block")[f"log_prob_{answer}"]
        edited = part.drop(index=-1)
        axes.plot(edited, marker="o", ms=4, color=color, label=f"“{answer}”")
        axes.axhline(part.loc[-1], color=color, ls=":", lw=1.5)
    axes.set(title=name, xlabel="block that is edited", ylabel="log-probability")
panels[1].legend()
figure.tight_layout()
after = curves[curves["model"] == YES].set_index("block")["log_odds"]
crossed = [b for b in after.index if b >= 0 and after[b] * after[-1] < 0]
glue("ch6_crossed", ", ".join(map(str, crossed)) or "no block")

# %% [markdown]
# **Figure 6.1.** *One image, one push, every block.* Left: solid sprites are where the objects
# are; ghosts are where the added vectors say that they are. Middle and right: log-probability
# of both answers when dose one is given at that block alone. Dotted: without any edit. In the
# model the answer turns over at: {glue:text}`ch6_crossed`. The pixels never changed.
#
# Compare the paper's Figure 6a, on one photograph and LLaVA-1.5, where beliefs cross in the
# middle layers {cite}`kang2026linear`. An edit that comes too late finds the place already
# read; one that comes too early may be overwritten when the noun looks at the image.
#
# ````{exercise} Steer by hand
# :label: ch6-hook
#
# Difficulty ●○○ · importance ●●● · 10 minutes
#
# `steer` describes an edit and `sweep` carries it out. Do it yourself once. Write
# `steering_hook(position, vector)`, which returns a hook: a function of `(resid, hook)`, with
# `resid` of shape `[batch, position, d_model]`, that adds the vector at that one position.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def steering_hook(position, vector):
    def add(resid, hook):
        resid = resid.clone()  # others may hold the old tensor: never write into it
        resid[:, position] += vector.to(resid)
        return resid

    return add


# %%
ch06.check_steering_hook(steering_hook, MODELS[YES], judging[YES][number].prompt)

# %% [markdown]
# ## Which block, which dose?
#
# One image proves nothing. And with eight blocks and many doses to pick from, the best of
# them looks good on any data. The released analysis of the paper took the best three layers
# *on the very samples that it reported*. So: choose on one set, report on the other.

# %%
def share(table, column="swapped"):
    """Mean with an interval over scenes: a scene's two questions belong together."""
    return trials.share(table, column)


layers = {}
for name, vlm in MODELS.items():
    # Where only some blocks look at the picture, no word knows its place before them.
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    blocks = range(min(looking, default=0), vlm.n_layers)
    sites = {block: vlm.resid_post(block) for block in blocks}
    jobs = [job(c, site, push(name, c, site), block=block)
            for block, site in sites.items() for c in choosing[name]]  # fmt: skip
    layers[name] = outcomes(name, jobs)

# %%
rows, BLOCK = [], {}
for name, table in layers.items():
    for block, part in table.groupby("block"):
        rows.append({"model": name, "block": block, **share(part)._asdict()})
    BLOCK[name] = int(table.groupby("block")["swapped"].mean().idxmax())
SITE = {name: MODELS[name].resid_post(block) for name, block in BLOCK.items()}
axes = plots.with_band(pd.DataFrame(rows), "block", "model", colors=COLOR)
for name, block in BLOCK.items():
    axes.axvline(block, color=COLOR[name], ls=":", lw=1.5)
axes.set(ylabel="share of beliefs swapped", xlabel="block that is edited", ylim=(-0.03, 1.03))
glue("ch6_block", BLOCK[YES])
glue("ch6_block_control", BLOCK[NO])

# %% [markdown]
# **Figure 6.2.** *Choosing the block.* Share of beliefs whose sign changes at dose one, on the
# choosing set, with 95 % bootstrap intervals over scenes. Dotted: the chosen blocks,
# {glue:text}`ch6_block` and {glue:text}`ch6_block_control`. The control gets the same chance
# to shine as the model: its own IDs and its own best block.
#
# Next the dose, at that block, on the same choosing set: one, one and a half, or two, whichever
# swaps most beliefs. Fix it now, before the other set is opened.

# %%
DOSE = {}
for name in MODELS:
    jobs = [job(c, SITE[name], push(name, c, SITE[name]), dose)
            for dose in (1.0, 1.5, 2.0) for c in choosing[name]]  # fmt: skip
    table = outcomes(name, jobs)
    DOSE[name] = float(table.groupby("dose")["swapped"].mean().idxmax())
glue("ch6_dose", DOSE[YES], 1)
glue("ch6_dose_control", DOSE[NO], 1)
print("blocks", BLOCK, " doses", DOSE)

# %% [markdown]
# ## Controls, before the result
#
# Anything that changes a vector changes something. Before you look at what IDs do, decide
# what else to compare with. Every {term}`control` below has, case by case and noun by noun, exactly
# the length of the ID difference that it stands in for.
#
# | control | what it keeps | what it takes away |
# |---|---|---|
# | random | the length | everything else |
# | orthogonal axis | a real ID difference | the right axis: rows for a left/right question |
# | shuffled IDs | the vectors of the map | which cell they belong to |
# | random in ID subspace | the few dimensions of the map | the direction within them |
#
# Two things to mind when you read them. The last two lie *in* the map: a random push on a map
# goes somewhere, and in part of the cases to the other side. They will swap some beliefs.
#
# And any push may **blur**. The model is sure of most answers. Disturb it in whatever
# direction, and it becomes less sure; since the belief can hardly grow, its change counts
# "towards the mirrored answer". So do not ask a control for a change of zero. Ask where the
# belief *ends*. Blur takes it to indifference, to zero log-odds, at most. Only a push that
# is aimed takes it *beyond*, on average.
#
# ````{exercise} Noise of the right length
# :label: ch6-noise
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `noise(vector, seed)`: a random vector with exactly the length of `vector`, every
# direction equally likely, the same for the same seed.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def noise(vector, seed):
    generator = torch.Generator().manual_seed(seed)
    # Normal coordinates are the only independent ones that favour no direction.
    draw = torch.randn(vector.shape, generator=generator)
    return draw * (vector.norm() / draw.norm())


# %%
ch06.check_noise(noise)

# %% [markdown]
# The paper drew *one* unseeded noise vector for each sample. One draw says little, so we
# take many. (Matching the length matters as much: uniform noise in a cube, or noise with
# the *expected* length, gives a few draws that are twice as long as others.)

# %%
SEEDS = {"random": 2 if SMALL else 20, "orthogonal axis": 1,
         "shuffled IDs": 2 if SMALL else 5, "random in ID subspace": 2 if SMALL else 5}


@lru_cache
def shuffled(name, axis, noun, seed):
    return IDS[name][axis][noun].shuffled(seed)


@lru_cache
def id_subspace(name, axis, noun, site):
    """The first six principal components of the mean IDs."""
    mean = IDS[name][axis][noun].mean(site)
    return torch.from_numpy(geometry.pca(mean, 6).components_).float()


# %%
def control_push(name, case, site, pushes, control, seed):
    """Stand-ins for the two ID differences of a case, each of the same length."""
    generator = torch.Generator().manual_seed(1000 * seed + case.labels["case"])
    for noun, aimed in enumerate(pushes):
        which = name, case.axis, noun
        ids, (row, column) = IDS[name][case.axis][noun], case.places[noun]
        if control == "random":
            yield random_direction(aimed, generator)
        elif control == "random in ID subspace":
            yield random_in_subspace(aimed, id_subspace(*which, site), generator)
        elif control == "shuffled IDs":
            target = mirrored((row, column), case.axis)
            wrong = shuffled(*which, seed).difference(site, (row, column), target)
            yield with_norm_of(wrong, aimed)
        elif case.axis == "column":  # across the picture along the other axis
            ends = sorted([(0, column), (3, column)], key=lambda end: abs(end[0] - row))
            yield with_norm_of(ids.difference(site, *ends), aimed)
        else:
            ends = sorted([(row, 0), (row, 3)], key=lambda end: abs(end[1] - column))
            yield with_norm_of(ids.difference(site, *ends), aimed)


# %%
def try_all(name, cases, dose, seeds=SEEDS):
    """IDs and every control on the same cases."""
    site = SITE[name]
    aimed = [push(name, c, site) for c in cases]
    pushed = list(zip(cases, aimed, strict=True))
    jobs = [job(c, site, v, dose, arm="spatial IDs") for c, v in pushed]
    for control, count in seeds.items():
        for seed, (c, v) in itertools.product(range(count), pushed):
            vectors = list(control_push(name, c, site, v, control, seed))
            jobs.append(job(c, site, vectors, dose, arm=control, seed=seed))
    return outcomes(name, jobs)


few = {control: min(count, 2) for control, count in SEEDS.items()}
trial = {
    YES: try_all(YES, judging[YES], DOSE[YES]),
    NO: try_all(NO, judging[NO], DOSE[NO], few),
}

# %% [markdown]
# ## The result
#
# Now open the judging set.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
columns = {"swapped": "share of beliefs swapped", "valid": "share of valid answers",
           "after": "log-odds of the mirrored answer",
           "change": "change of the log-odds"}  # fmt: skip
figure, panels = plt.subplots(2, 3, figsize=(12, 5.4), sharex="col")
cells = zip(itertools.product(MODELS, list(columns)[:3]), panels.flat, strict=True)
for (name, column), axes in cells:
    for height, (arm, part) in enumerate(trial[name].groupby("arm", sort=False)):
        found, color = share(part, column), plots.COLORS[arm]
        axes.plot([found.low, found.high], [-height] * 2, color=color, lw=2)
        axes.plot(found.estimate, -height, "o", color=color)
        seeds = part.groupby("seed")[column].mean()
        axes.plot(seeds, [-height - 0.25] * len(seeds), "|", color=color, alpha=0.6)
    arms = list(trial[name]["arm"].unique())
    axes.set_yticks(-np.arange(len(arms)), arms if column == "swapped" else [])
    axes.set_ylim(-len(arms) + 0.4, 0.6)
    axes.set_title(name if column == "swapped" else "")
    if column != "after":
        axes.set_xlim(-0.03, 1.03)
    else:
        axes.axvline(0, color="0.3", lw=1)
        plain = trial[name]["before"] * trial[name]["toward"]
        axes.axvline(plain.mean(), color="0.3", lw=1.5, ls=":")
for axes, title in zip(panels[1], columns.values(), strict=False):
    axes.set_xlabel(title)
figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
for key, name in (("", YES), ("_control", NO)):
    arms = dict(list(trial[name].groupby("arm")))
    for short, arm in (("ids", "spatial IDs"), ("random", "random"),
                       ("orthogonal", "orthogonal axis"), ("shuffled", "shuffled IDs"),
                       ("subspace", "random in ID subspace")):  # fmt: skip
        glue(f"ch6_{short}{key}", percent(share(arms[arm])))
        glue(f"ch6_{short}_change{key}", share(arms[arm], "change"), 1)
        glue(f"ch6_{short}_after{key}", share(arms[arm], "after"), 1)
    aimed, random = arms["spatial IDs"], arms["random"]
    glue(f"ch6_valid{key}", percent(share(aimed, "valid")))
    glue(f"ch6_right{key}", percent(share(aimed, "right")))
    was_right, was_wrong = aimed[aimed["right"]], aimed[~aimed["right"]]
    for short, some in (("was_right", was_right), ("was_wrong", was_wrong)):
        text = f"{100 * some['swapped'].mean():.0f} % of {len(some)}" if len(some) else "none"
        glue(f"ch6_{short}{key}", text)
    gap = stats.paired_difference(aimed.groupby("scene")["swapped"].mean(),
                                  random.groupby("scene")["swapped"].mean())
    glue(f"ch6_gap{key}", percent(gap))
    causes = gap.low > 0.3 and share(aimed, "after").low > 0
    verdict = "yes" if causes else "no" if gap.high < 0.2 else "in part"
    glue(f"ch6_verdict{key}", verdict)
    print(f"{name}: IDs {percent(share(aimed))}, random {percent(share(random))}")
    if share(aimed, "right").low <= 0.5:
        print("    It answers at chance: what moves here is a belief, not knowledge.")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the bar that was set before", "code_prompt_hide": "Hide the bar"}
aimed = trial[YES].query("arm == 'spatial IDs'")
met = (aimed["swapped"].mean() >= 0.8 and aimed["valid"].mean() >= 0.95
       and trial[YES].query("arm == 'random'")["swapped"].mean() <= 0.1)  # fmt: skip
glue("ch6_gate", "meets" if met else "does not meet")

# %% [markdown]
# **Figure 6.3.** *IDs against their controls, on the same held-out cases.* Dots are means with
# 95 % bootstrap intervals over scenes; ticks are single seeds. Right: the log-odds of the
# mirrored answer after the edit; dotted, before it; the line at zero is indifference. In
# the model, dose {glue:text}`ch6_dose` at block {glue:text}`ch6_block`:
#
# | | swapped | change (nats) | ends at |
# |---|---|---|---|
# | spatial IDs | {glue:text}`ch6_ids` | {glue:text}`ch6_ids_change` | {glue:text}`ch6_ids_after` |
# | random | {glue:text}`ch6_random` | {glue:text}`ch6_random_change` | {glue:text}`ch6_random_after` |
# | orthogonal axis | {glue:text}`ch6_orthogonal` | {glue:text}`ch6_orthogonal_change` | {glue:text}`ch6_orthogonal_after` |
# | shuffled IDs | {glue:text}`ch6_shuffled` | {glue:text}`ch6_shuffled_change` | {glue:text}`ch6_shuffled_after` |
# | random in ID subspace | {glue:text}`ch6_subspace` | {glue:text}`ch6_subspace_change` | {glue:text}`ch6_subspace_after` |
#
# {glue:text}`ch6_valid` of the steered answers are {term}`valid <valid answer>`: the model's first choice of all its
# words is one of the two. Before we trained anything we wrote down what would count: at
# least 80 % swapped at a dose of at most two, at least 95 % valid, at most 10 % with random
# vectors. The model **{glue:text}`ch6_gate`** this bar.
#
# For comparison: the paper reports swaps in a median of 64 % over models, against 29.5 % with
# noise, at a far larger dose (we come to that). An independent replication, for which we know no
# reference that you could look up, got 19.3 % for LLaVA-1.5 and 31.3 % for Qwen2.5-VL.
#
# Do the IDs cause the belief, by the rule "at least 30 points above random, and beyond
# indifference on average", both with the whole interval? In the model:
# **{glue:text}`ch6_verdict`** (the gap to random is {glue:text}`ch6_gap`). In the control:
# **{glue:text}`ch6_verdict_control`** ({glue:text}`ch6_ids_control` swapped with IDs,
# {glue:text}`ch6_random_control` with random vectors). Chapter 5 asked what can be read
# from either. This experiment tells what is used.
#
# (What if all scenes come out alike? A bootstrap draws the same scenes again, so every draw comes out
# alike too, and the interval would have no width: [100, 100]. Yet an exception in up to about $4/n$ of all
# scenes could have escaped $n$ that agree. `stats.share` gives that exact bound {cite}`clopper1934use` where the bootstrap
# is blind.)
#
# All cases count above, right or wrong at the start ({glue:text}`ch6_right` were right). A case
# that was wrong is pushed away from the truth, where its belief already is. Apart: of the
# cases that were right, {glue:text}`ch6_was_right` swapped; of those that were wrong,
# {glue:text}`ch6_was_wrong`.
#
# One thing about the intervals. The random arm has a row for each scene, each order of the nouns and each seed, which
# makes {glue:text}`ch6_rows` rows. Its interval is not nearly as narrow as so many rows would make it.
#
# ````{exercise} How many samples are these?
# :label: ch6-samples
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Rows about the same scene are no independent witnesses: a scene that turns easily turns in both orders
# and for most seeds. Write `worth(values, scene)` for two arrays with one entry for each row, the
# outcome and the number of its scene (all scenes have equally many rows). Return how many
# *independent* rows would give a mean as certain as this one. Think of both ends: what if all
# rows of a scene agree? What if a scene tells nothing about its rows?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def worth(values, scene):
    means = pd.Series(values).groupby(np.asarray(scene)).mean()
    # Scenes were drawn independently, so their means tell how far the grand mean may be off.
    squared_error = means.var() / len(means)
    # Independent rows would be off by the rows' variance over their number. Solve for it.
    return np.var(values, ddof=1) / squared_error


# %%
ch06.check_worth(worth)
random_arm = trial[YES].query("arm == 'random'")
number_of = pd.factorize(random_arm["scene"])[0]
rows_worth = worth(random_arm["after"].to_numpy(), number_of)
glue("ch6_rows", len(random_arm))
glue("ch6_scenes", int(number_of.max() + 1))
glue("ch6_worth", round(float(rows_worth)))

# %% [markdown]
# The {glue:text}`ch6_rows` rows of the random arm, from {glue:text}`ch6_scenes` scenes, tell as much about where beliefs
# end as {glue:text}`ch6_worth` independent rows would. Count rows as samples, and an interval comes out too narrow by
# the square root of the ratio. More seeds do not mend that; more scenes do. So in this chapter `share` takes the
# mean of a scene first, and resamples scenes.
#
# ## How much is enough?
#
# A dose of one is not arbitrary: it is the difference that the model itself makes between
# the two places. If beliefs turn only far above one, you are shouting.

# %%
DOSES = (0.5, 1.0, 5.0) if SMALL else (0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0)
sample = {n: judging[n][::3] for n in MODELS}
arms = {YES: {"random": 1, "orthogonal axis": 1, "shuffled IDs": 1}, NO: {"random": 1}}
by_dose = {
    name: pd.concat(try_all(name, sample[name], dose, arms[name]) for dose in DOSES)
    for name in MODELS
}


def lengths(name):
    """Mean length of the stream at the edited positions, and of the ID difference."""
    prompts = [case.prompt for case in sample[name]]
    spots = [[span[-1] for span in case.nouns] for case in sample[name]]
    stream = read_states(MODELS[name], prompts, spots, [SITE[name]])[0]
    steps = torch.stack([torch.stack(push(name, c, SITE[name])) for c in sample[name]])
    return stream.norm(dim=-1), steps.norm(dim=-1)


ratio = {name: float((steps / stream).mean()) for name in MODELS
         for stream, steps in [lengths(name)]}  # fmt: skip
glue("ch6_ratio", ratio[YES])
glue("ch6_ratio_control", ratio[NO])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(2, 2, figsize=(10.5, 7), sharex=True, sharey="row")
for name, line in zip(MODELS, panels.T, strict=True):
    for column, axes in zip(("swapped", "valid"), line, strict=True):
        rows = [
            {"arm": arm, "dose": dose, **share(part, column)._asdict()}
            for (arm, dose), part in by_dose[name].groupby(["arm", "dose"], sort=False)
        ]
        plots.with_band(pd.DataFrame(rows), "dose", "arm", axes)
        axes.set(ylim=(-0.02, 1.02), xscale="log", ylabel=columns[column])
        axes.set_xticks(DOSES, [f"{dose:g}" for dose in DOSES], fontsize=8)
        axes.minorticks_off()
        axes.axvline(1, color="0.6", lw=1, ls=":")
        if column == "swapped":
            axes.get_legend().remove()
        else:
            axes.legend(loc="lower left")
    top = line[0].secondary_xaxis("top")
    top.set_xticks(DOSES, [f"{dose * ratio[name]:.2f}" for dose in DOSES], fontsize=8)
    top.minorticks_off()
    top.set_xlabel(f"{name}\nlength of the edit / length of the stream", fontsize=9)
figure.tight_layout()
curve = by_dose[YES].query("arm == 'spatial IDs'").groupby("dose")["swapped"].mean()
half = next((dose for dose in DOSES if curve[dose] > 0.5), None)
glue("ch6_half", f"dose {half:g}" if half else "no dose")

# %% [markdown]
# **Figure 6.4.** *Dose curves.* Below: dose in units of the ID difference. Above: how long the
# edit is, measured by the stream it is added to. Bands are 95 % intervals over scenes (every
# third case of the judging set). Half of the model's beliefs are swapped first at
# {glue:text}`ch6_half`. At dose one the edit is {glue:text}`ch6_ratio` of the stream's length in
# the model, {glue:text}`ch6_ratio_control` in the control.
#
# Report both scales. The released code uses "factor 5" for five times the stream's *own*
# length in one script and five times the ID difference in another. Here is what that would
# mean: find 5 on each of the two scales.
#
# ````{exercise} The smallest dose
# :label: ch6-dose
#
# Difficulty ●●○ · importance ●●○ · 20 minutes
#
# Share of beliefs swapped says little about a single case. Write
# `smallest_dose(log_odds_at)`: given a function from dose to log-odds, return the smallest
# dose between 0 and 5 at which the sign differs from that at dose 0, to a hundredth, and
# `math.inf` if there is none. Passes are expensive: at most 60. Is it enough to halve the
# interval from 0 to 5? (Not if the curve comes back.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def smallest_dose(log_odds_at, largest=5.0, step=0.25, tolerance=0.01):
    start = log_odds_at(0.0) > 0
    low = 0.0
    # Scan first: a curve that crosses and comes back has the same sign at both ends.
    while low < largest:
        high = min(low + step, largest)
        if (log_odds_at(high) > 0) != start:
            break
        low = high
    else:
        return math.inf
    while high - low > tolerance:
        middle = (low + high) / 2
        if (log_odds_at(middle) > 0) != start:
            high = middle
        else:
            low = middle
    return high


# %%
ch06.check_smallest_dose(smallest_dose)
case, site = judging[YES][number], SITE[YES]
vectors = push(YES, case, site)
found = smallest_dose(
    lambda dose: run(YES, [job(case, site, vectors, dose)])["log_odds"][0]
)
print(f"{case.prompt.question} The belief of Figure 6.1 turns at dose {found:.2f}.")

# %% [markdown]
# If the code were exact and the comparison symmetric, a mirrored pair would turn at dose one
# half, where both objects have met in the middle. How near is your case?
#
# ## Where does it work, and through which noun?
#
# An average hides. Take the trial apart: by the axis of the question, by the kind of scene, by
# the order of the nouns. And edit one noun alone.
#
# With one noun, a swap is not always what the map predicts: move a frog from column 1 to
# column 2 and it is still left of a camel in column 3. So for single nouns look at the change
# of the log-odds. If the model compares the two places by a difference, the changes of the
# first and of the second noun should **add up** to that of both.

# %%
site, dose = SITE[YES], DOSE[YES]
NOUNS = {"first noun": (0,), "second noun": (1,), "both": (0, 1)}
jobs = [job(c, site, push(YES, c, site), dose, nouns, edited=edited)
        for edited, nouns in NOUNS.items() for c in judging[YES]]  # fmt: skip
parts = outcomes(YES, jobs)
table = parts.pivot(index="case", columns="edited", values="change")
total = table["first noun"] + table["second noun"]
glue("ch6_adds", stats.ratio_of_means(total, table["both"]))

# %%
rows = []
groups = {"axis": {"column": "left/right", "row": "above/below"},
          "kind": {"grid": "two on white", "clutter": "clutter"},
          "order": {0: "one order", 1: "the other order"}}  # fmt: skip
for column, labels in groups.items():
    for value, label in labels.items():
        part = parts[(parts[column] == value) & (parts["edited"] == "both")]
        rows.append({"what": label, "value": share(part), "of": "swapped"})
for edited in ("first noun", "second noun", "both"):
    part = parts[parts["edited"] == edited]
    rows.append({"what": edited, "value": share(part, "change"), "of": "change"})

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.4), width_ratios=[1.3, 1])
for of, axes in zip(("swapped", "change"), panels, strict=True):
    lines = [row for row in rows if row["of"] == of]
    for height, row in enumerate(lines):
        found = row["value"]
        axes.plot([found.low, found.high], [-height] * 2, color=COLOR[YES], lw=2)
        axes.plot(found.estimate, -height, "o", color=COLOR[YES])
    axes.set_yticks(-np.arange(len(lines)), [row["what"] for row in lines])
    axes.set(xlabel=columns[of], ylim=(-len(lines) + 0.5, 0.5))
panels[0].set_xlim(-0.03, 1.03)
panels[1].axvline(0, color="0.3", lw=1)
single = {row["what"]: row["value"].estimate for row in rows}
summed = single["first noun"] + single["second noun"]
panels[1].axvline(summed, color="0.5", ls=":", lw=1.5)
figure.tight_layout()
stronger = max(("first noun", "second noun"), key=single.get)
glue("ch6_stronger", stronger)

# %% [markdown]
# **Figure 6.5.** *Taken apart, in the model.* Left: swaps by axis, scene and order, both nouns
# edited. Right: mean change of the log-odds towards the mirrored answer, by the noun that is
# edited; dotted, the sum of the two single nouns. The sum is {glue:text}`ch6_adds` times the
# change of both together. The {glue:text}`ch6_stronger` moves the belief more.
#
# A sum near one says that the later blocks subtract one place from the other, or do
# something that cannot be told from it. A sum below one says that a single edited noun gets
# resisted, or that both together reach further than a sum of parts; above one, that the
# answer saturates: when it has turned, it has turned.
#
# ## Slide a belief across the picture
#
# A swap is a crude outcome. If IDs form a map that is *used*, you can put the object anywhere:
# give the first noun the ID of each column in turn, leave everything else as it is, and the
# log-odds should follow. Move the slider. The image never changes. The ghost shows what the
# vector at the word says.

# %%
PLACES = np.linspace(0, 3, 13)


def give_column(name, case, dose=1.0):
    """Jobs that give the first noun the ID of each column of its own row."""
    ids, place = IDS[name]["column"][0], case.places[0]
    for column in PLACES:
        vectors = [ids.difference(SITE[name], place, (place[0], column))]
        yield job(case, SITE[name], vectors, dose, nouns=(0,), column=column)


swept = {n: run(n, list(give_column(n, judging[n][number]))) for n in MODELS}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the slider", "code_prompt_hide": "Hide the code"}
def draw_belief(quarters):
    case, column = judging[YES][number], quarters / 4
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.7), width_ratios=[1, 1.25])
    left.imshow(with_ghosts(case.scene, {case.names[0]: (case.places[0][0], column)}))
    left.set(xticks=[], yticks=[])
    left.set_title(case.prompt.question, fontsize=9, fontweight="normal")
    for name in MODELS:
        line = swept[name].set_index("column")["log_odds"]
        right.plot(line, color=COLOR[name], label=name)
        height = np.interp(column, line.index, line)
        right.plot(column, height, "o", color=COLOR[name], ms=9)
    right.axhline(0, color="0.3", lw=1)
    for place, style in zip(case.places, (":", "--"), strict=True):
        right.axvline(place[1], color="0.5", ls=style, lw=1.3)
    right.set(xlabel="column that the ID says", ylabel="log-odds of “Left”")
    right.set_title("dotted: where it is · dashed: the other object", fontsize=9,
                    fontweight="normal")
    right.legend(fontsize=9)
    figure.tight_layout()
    return figure


plots.slider(draw_belief, range(0, 13, 2), label="quarters of a cell from the left")

# %% [markdown]
# **Figure 6.6.** *The ghost and the belief: move the slider.* Left: the solid sprites are the
# image as the model gets it; the ghost is the place whose ID the first noun is given. Right:
# the log-odds of "Left" in both models. In a model that uses the map, the curve falls as the
# ghost goes right, and crosses zero where it passes the other object (dashed).
#
# How does this compare with the real thing? Move the *object*, pixel for pixel, over the same
# columns, and lay the two curves over each other, for many scenes. This is the strictest
# test in the chapter: not "does the belief move", but "does it move as if the object had".

# %%
def move_object(vlm, case, column):
    """The same question about a picture in which the first object is elsewhere."""
    objects = [replace(o, x=(column + 0.5) / 4) if o.name == case.names[0] else o
               for o in case.scene.objects]  # fmt: skip
    image = replace(case.scene, objects=tuple(objects)).render()
    prompt = vlm.prompt(image, case.prompt.question)
    return Job(prompt, (), case.labels | {"column": column})


def usable(case):
    """Two objects in different rows, so that one can pass the other."""
    (one, _), (other, _) = case.places
    return case.labels["kind"] == "grid" and case.axis == "column" and one != other


# %%
moved = []
for name, vlm in MODELS.items():
    chosen = [case for case in judging[name] if usable(case)][: 4 if SMALL else 20]
    own = {case.labels["case"]: case.places[0][1] for case in chosen}
    for how, jobs in {
        "the ID moves": [one for c in chosen for one in give_column(name, c)],
        "the object moves": [
            move_object(vlm, c, x) for c in chosen for x in PLACES[::2]
        ],
    }.items():
        table = run(name, jobs).assign(model=name, how=how)
        table["cells"] = table["column"] - table["case"].map(own)
        table["change"] = table["log_odds"] - table["before"]
        moved.append(table)
moved = pd.concat(moved, ignore_index=True)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True)
tones, agreement = {"the ID moves": "#0072B2", "the object moves": "#009E73"}, {}
for name, axes in zip(MODELS, panels, strict=True):
    part = moved[moved["model"] == name]
    part = part.assign(cells=(2 * part["cells"]).round() / 2)
    rows = [
        {"how": how, "cells": cells, **stats.mean(group["change"])._asdict()}
        for (how, cells), group in part.groupby(["how", "cells"]) if len(group) > 2
    ]
    plots.with_band(pd.DataFrame(rows), "cells", "how", axes, tones)
    axes.axhline(0, color="0.3", lw=1)
    axes.axvline(0, color="0.6", lw=1, ls="--")
    axes.set(title=name, xlabel="cells moved to the right",
             ylabel="change of the log-odds of “Left”")
    both = part.pivot_table("log_odds", ["case", "column", "before"], "how").dropna()
    turned = both["the object moves"] * both.index.get_level_values("before") < 0
    follows = both[turned].prod(axis=1) > 0
    agreement[name] = f"{follows.sum()} of {len(follows)}"
    blue = part[part["how"] == "the ID moves"]
    slope = np.polyfit(blue["cells"], blue["change"], 1)[0]
    glue("ch6_slope" + ("" if name == YES else "_control"), float(slope))
figure.tight_layout()
glue("ch6_agree", agreement[YES])
glue("ch6_agree_control", agreement[NO])

# %% [markdown]
# **Figure 6.7.** *Moving the ID, moving the object.* How the log-odds of "Left" change when the
# first object goes some cells to the right (negative: to the left): by its ID (blue; the
# object stays) and in truth (green; the pixels move, no edit). Bands: 95 % intervals over
# scenes. Where blue lies on green, the model cannot tell a vector from a frog. Straight
# lines through the blue points have slopes of {glue:text}`ch6_slope` nats per cell in the
# model and {glue:text}`ch6_slope_control` in the control.
#
# Harder: take the placements at which moving the *object* turns the answer over. Moving the *ID*
# turns it over too in {glue:text}`ch6_agree` such placements in the model, and in
# {glue:text}`ch6_agree_control` in the control.
#
# Our first version of this figure had the distance to the *other* object along the bottom,
# and not the distance moved. It was prettier, and the control's blue curve fell, like
# the model's. Can you see why? (Where the other object stands at the far right, the first
# one really is to its left in most scenes. Each point of such a curve averages over
# different scenes, and their truth shines through, edit or no edit.) Without a control
# that should do nothing, we would have printed it.
#
# Only the first noun is edited here, so whatever else in the prompt still carries the true
# place pulls against it. A blue curve that is flatter than the green one measures that pull.
#
# ## The dose that the paper used
#
# The paper's headline figure scales the vector to **five times the length of the activation**
# that it is added to. After that, five sixths of what stands at the word is the edit. Try it,
# with the same cases and the same directions, and count valid answers next to swaps. Before you do:
#
# ````{exercise} What is left of the word
# :label: ch6-left
#
# Difficulty ●○○ · importance ●●○ · 5 minutes, on paper
#
# An edit at right angles to the stream is `factor` times as long as the stream. Write `left_of(factor)`: the cosine
# between the stream after the edit and the stream before it. What is it at a factor of one? At five? And why does
# the norm at the head of the next block make this cosine the number that counts, and not how long the sum is?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def left_of(factor):
    # Before: (1, 0). After: (1, factor), of length sqrt(1 + factor²). Blocks begin with a norm
    # that divides by the length, so what they read of the old stream is this share of it.
    return 1 / (1 + factor**2) ** 0.5


# %%
ch06.check_left_of(left_of)
for name, factor in ratio.items():
    print(f"{name}: dose one is a factor of {factor:.2f} and leaves {left_of(factor):.2f};")
    print(f"    a factor of five leaves {left_of(5):.2f}")
glue("ch6_left_one", left_of(ratio[YES]))
glue("ch6_left_five", left_of(5))

# %% [markdown]
# At dose one the model's word keeps {glue:text}`ch6_left_one` of what it was (as a cosine, for an edit at right
# angles), at the paper's factor {glue:text}`ch6_left_five`. It is hardly a frog any more, wherever it is.

# %%
FACTORS = (0.5, 1.0, 2.0, 5.0)
shouted = []
for name in MODELS:
    stream, _ = lengths(name)
    jobs = []
    for case, norms in zip(sample[name], stream, strict=True):
        aimed = push(name, case, SITE[name])
        noisy = list(control_push(name, case, SITE[name], aimed, "random", 0))
        directions = {"spatial IDs": aimed, "random": noisy}
        for (arm, vectors), factor in itertools.product(directions.items(), FACTORS):
            unit = [v * (n / v.norm()) for v, n in zip(vectors, norms, strict=True)]
            jobs.append(job(case, SITE[name], unit, factor, arm=arm))
    shouted.append(outcomes(name, jobs).assign(model=name))
shouted = pd.concat(shouted, ignore_index=True)

# %%
keys = ["model", "arm", "dose"]
counted = shouted.groupby(keys, sort=False)[["swapped", "valid"]].mean()
both = shouted.assign(clean=shouted["swapped"] & shouted["valid"])
counted["swapped and valid"] = both.groupby(keys, sort=False)["clean"].mean()
for short, arm in (("ids", "spatial IDs"), ("random", "random")):
    row = counted.loc[(YES, arm, 5.0)]
    glue(f"ch6_five_{short}", f"{100 * row['swapped']:.0f} %")
    glue(f"ch6_five_valid_{short}", f"{100 * row['valid']:.0f} %")
counted = counted.rename_axis(["model", "arm", "factor"]).unstack("factor")
counted.map("{:.0%}".format)

# %% [markdown]
# **Table 6.1.** *Steering by the length of the stream.* Columns give the edit's length as a
# multiple of the stream's. At the paper's factor of five, in the model: IDs swap
# {glue:text}`ch6_five_ids` of beliefs with {glue:text}`ch6_five_valid_ids` valid answers, noise
# swaps {glue:text}`ch6_five_random` with {glue:text}`ch6_five_valid_random` valid. The paper:
# 64 % and 29.5 %.
#
# A noise arm that swaps many beliefs is a warning and not a nuisance: at this dose *any*
# vector may decide. The gap to noise still says something. The share by itself does not. And
# beliefs are only two numbers out of a vocabulary: a model whose best word is neither of the
# two has a belief on paper and says something else. That is why `valid` is reported apart.
#
# ## Ask something else
#
# The IDs come from the questions "left or right" and "above or below", and so do all results. If they
# are the model's *place* of the frog, and not a lever for one question, then they should move other answers,
# too. "Where is the frog?" has four answers, in two words, and the word "frog" stands elsewhere in the sentence.
#
# ````{exercise} Research sprint: does the frog go there?
# :label: ch6-where
#
# Difficulty ●●● · importance ●●● · half a day
#
# Replies are words, so begin with a judge. Write `went(before, after, target)` for a reply without the edit, one with
# it, and the place that the edit aims at, such as `"Top left"`. A reply names a place if it says one word
# of *top* and *bottom* and one of *left* and *right*, once or more often, whole words in any case. Return `"went"` if the
# reply after the edit names the target and the one before did not, `"stayed"` if both name the same place,
# `"broke"` if the reply after names no place, `"elsewhere"` in all other cases.
#
# Then steer the noun along one axis and ask. Write down before: where should the other word of the answer
# go? Which share of `"elsewhere"` and `"broke"` would make you doubt that a place was moved? Which random push is
# fair? Then let the model list what is in the image from left to right. Does the list change its order?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show the first hour", "code_prompt_hide": "Hide the first hour"}
def went(before, after, target):
    def place(reply):
        words = set(re.findall(r"[a-z]+", reply.lower()))  # whole words: "bright" is not "right"
        named = [words & pair for pair in ({"top", "bottom"}, {"left", "right"})]
        # Both words of an axis are no place: "top left or top right" has not decided.
        return frozenset().union(*named) if all(len(one) == 1 for one in named) else None

    now = place(after)
    if now is None:
        return "broke"
    if now == place(before):
        return "stayed"
    return "went" if now == place(target) else "elsewhere"


def where_jobs(name, case):
    """Ask where the first object is, with its ID moved across the picture, and with noise."""
    site, word = SITE[name], case.names[0]
    here, there = (questions.where(s, word) for s in (case.scene, mirror(case.scene, case.axis)))
    if here is None:  # too near a middle line to have an answer
        return
    prompt = MODELS[name].prompt(case.scene.render(), here.text)
    vector, spot = push(name, case, site)[0], prompt.word(word)
    noise = random_direction(vector, torch.Generator().manual_seed(case.labels["case"]))
    labels = {"case": case.labels["case"], "target": there.answer}
    yield Job(prompt, (), labels | {"arm": "none"})
    for arm, direction in (("spatial IDs", vector), ("random", noise)):
        yield Job(prompt, (steer(site, spot, direction, DOSE[name]),), labels | {"arm": arm})


rows = []
for name in MODELS:
    jobs = [one for c in judging[name][:: 4 if SMALL else 8] for one in where_jobs(name, c)]
    told = replies(MODELS[name], jobs, max_new_tokens=12) if jobs else pd.DataFrame()
    for _, three in told.groupby("case") if len(told) else ():
        said = three.set_index("arm")["reply"]
        for arm in ("spatial IDs", "random"):
            verdict = went(said["none"], said[arm], three["target"].iloc[0])
            rows.append({"model": name, "arm": arm, "verdict": verdict})
verdicts = pd.DataFrame(rows, columns=["model", "arm", "verdict"])
verdicts.value_counts(["model", "arm", "verdict"], sort=False).unstack(fill_value=0)
# Still to do: intervals over scenes, several seeds of noise, a dose curve. And if the frog does
# not go: is the ID of "Is the frog" another vector than that of "Where is the frog"? Extract IDs
# with the question of `questions.where` as template, and take the cosine with those used here.

# %%
ch06.check_went(went)

# %% [markdown]
# ## Summary
#
# - Steering adds a difference of IDs at an {term}`object word`. Dose one is the model's own
#   difference between two places; report its ratio to the stream's length as well
#   ({glue:text}`ch6_ratio` here).
# - Block and dose were chosen on one set of scenes; all results are from another, with
#   pairs of objects, and objects at places, that training never showed.
# - IDs swap {glue:text}`ch6_ids` of beliefs at dose {glue:text}`ch6_dose`, random vectors of
#   the same length {glue:text}`ch6_random`. Any push blurs a belief; an aimed one takes it
#   beyond indifference. IDs end at {glue:text}`ch6_ids_after`, shuffled IDs at
#   {glue:text}`ch6_shuffled_after`.
# - Do the IDs cause the belief? Model: {glue:text}`ch6_verdict`. Control:
#   {glue:text}`ch6_verdict_control`.
# - The strictest test: where moving the object turns the answer over, moving the ID does so
#   in {glue:text}`ch6_agree` placements ({glue:text}`ch6_agree_control` in the control).
# - Swaps without valid answers next to them, or at a dose that lets noise win, are not
#   evidence.
#
# Curves are one thing, a frog in your hand is another: {doc}`22_playground` lets you drag it, in the
# picture or only at its word.
#
# ## Open question: a research sprint
#
# What could you steer that the IDs never named? Take an afternoon. Steer along the row axis and ask "in front of or
# behind" in perspective scenes. The paper finds that LLaVA-1.5 takes higher for further. Does this model, which was
# trained on scenes where the two come apart? Or steer *whether*: can an ID make the model see an object at a place
# where there is none, and what does it then say to "Is there a frog in the image?" Write down, before you run
# it, which result would prove you wrong.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figures 2 and 6.
# - {cite:t}`turner2023activation`: steering language models by adding vectors.
# - {cite:t}`feng2024bind`: mean interventions on binding vectors, the closest relative of what
#   you did here.
# - {cite:t}`heimersheim2024use` and {cite:t}`zhang2024best`: how to read causal
#   interventions, and how they mislead.
# - {cite:t}`chen2025adaptvis`: steering attention instead of vectors.
#
# **What follows.** {doc}`07_which_heads` opens the blocks: what brings the ID to the word?
