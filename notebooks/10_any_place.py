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
# # Any place you like
#
# [Open in Colab](https://colab.research.google.com/github/where-is-the-frog/where-is-the-frog/blob/main/notebooks/10_any_place.ipynb)
# · about 45 minutes to read, another 90 for the exercises, one or two to run
# · runs without a GPU · builds on Chapters [6](06_steering_beliefs.ipynb) and [8](08_real_photos.ipynb)
#
# In {doc}`06_steering_beliefs` and {doc}`08_real_photos` you swapped {term}`beliefs <belief>`: left became
# right. A light switch can do that. If an ID is a *coordinate*, it can do more. You can write
# any place you like at the word "frog", also one where nothing stands, and the answer has to
# be the one for that place. **Can you send an object to any place, and does every relation
# follow?**
#
# The last relation of this chapter is the hard one. "Is the frog between the camel and the
# dog?" turns from no to yes and *back to no* while the frog goes from left to right. Nothing
# that only pushes "to the right" can do that.
#
# **You will learn**
# - how to build a control for a whole map: the same map, turned to point nowhere
# - how to measure *where* a belief crosses, and what it should be compared with
# - whether nearness follows the row of an ID
# - why "between" is a sharper test than "left", and what the best one-way push could reach
# - to draw the answers of a model as a field of arrows over a picture

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
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image

from helpers import Job, Scene, plots, stats, steer, trials
from helpers.exercises import ch10
from helpers.reading import read_states
from helpers.report import glue, keep, open_models, percent
from helpers.stimuli import coco_spatial, photos, questions
from helpers.stimuli.sampling import sample_scene
from helpers.stimuli.scenes import Placed

# %%
MODELS = open_models(MODEL, CONTROL, chapter="10_any_place", small=SMALL, seed=SEED)
YES, NO = MODELS  # the names: of the model, and of its control
COLOR = {YES: plots.COLORS["tiny-llava"], NO: plots.COLORS["tiny-llava-direct"]}

# %% [markdown]
# ## Pictures and questions
#
# Three relations, each on scenes of its own: left and right in photos, front and behind in
# scenes with depth, and between in scenes with three objects. The photos are the book's own
# (or see {doc}`08_real_photos` for real ones). The headings carry the letters of the paper's Figure 6, whose panels 6a to
# 6d this chapter goes through. All pairs of objects are held out from
# training. Two sets: one to choose a block and a {term}`dose` with, one to report on.

# %%
COUNT = {YES: 16 if SMALL else 500, NO: 8 if SMALL else 60}
TRY, CHOOSE = (8, 4) if SMALL else (60, 24)  # to test a model on; of these, to choose with


def draw_photos(count, seed):
    """Squared photos of two objects side by side: every second photo of a set."""
    folder = Path(f"../_build/photos/{count}-seed-{seed}")
    photos.write_photos(folder, count, seed=seed, progress=False)
    data = coco_spatial.load(folder).photos
    return [p.squared() for p in data if p.relation in ("left", "right")]


# The first set is one that other chapters have, too.
pool = draw_photos(32 if SMALL else 500, SEED) + draw_photos(32 if SMALL else 640, SEED + 1)
PHOTOS = {"choose": pool[:TRY], "judge": pool[TRY:]}

# %% [markdown]
# Photos and scenes in turn ask about their objects in either order, so that every answer is
# as often true. For "between", the two outer objects leave room on both sides: otherwise there
# would be no outside to send the middle one to.

# %%
def photo_cases(vlm, some):
    return [trials.photo_cases(vlm, [photo], [number % 2], scene=number)[0]
            for number, photo in enumerate(some)]  # fmt: skip


def depth_cases(vlm, count, seed):
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        scene, number = sample_scene(rng, "perspective", (2, 2), True), len(found)
        order = [number % 2]
        found += trials.scene_cases(vlm, [scene], "front_behind", order, scene=number)
    return found


def between_cases(vlm, count, seed):
    """Is the X between the A and the B? With room to the left and right of A and B."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        scene = sample_scene(rng, "clutter", (3, 3), True)
        asked = questions.ask(scene, "between", rng)
        if asked is None:
            continue
        places = tuple(trials.in_cells(scene.find(name)) for name in asked.objects)
        low, high = sorted(column for _, column in places[1:])
        if low >= 0.4 and high <= 2.6 and high - low >= 1:
            toward = 1 if asked.answer == "No" else -1
            labels = {"scene": len(found), "kind": "between", "toward": toward}
            prompt = vlm.prompt(scene.render(), asked.text)
            found.append(trials.Case(prompt, "between", asked.objects, places, toward, labels))
    return found


# %%
def draw_cases(vlm, some, count, seed):
    return {"left_right": photo_cases(vlm, some[:count]),
            "front_behind": depth_cases(vlm, count, seed),
            "between": between_cases(vlm, count, seed)}  # fmt: skip


KINDS = {"left_right": "left or right", "front_behind": "front or behind",
         "between": "between"}  # fmt: skip
AXIS = trials.AXIS | {"between": "column"}
choosing = {n: draw_cases(v, PHOTOS["choose"], TRY, SEED + 2)
            for n, v in MODELS.items()}  # fmt: skip

# %% [markdown]
# Can the model answer these questions at all? Where its share of right answers is not above
# one half with the whole interval, nothing is known that could be moved, and the arm **stops**.

# %%
LIVE = {name: [] for name in MODELS}
for name, kind in itertools.product(MODELS, KINDS):
    cases = trials.with_beliefs(MODELS[name], choosing[name][kind], CACHE)
    found = trials.share(pd.DataFrame([case.labels for case in cases]), "right")
    if trials.can_answer(cases):
        LIVE[name].append(kind)
    else:
        print(f"{name} answers {KINDS[kind]} by chance: this arm stops here.")
    glue(f"ch10_right_{kind}{'_control' * (name == NO)}", percent(found))
for key, name in (("", YES), ("_control", NO)):
    stopped = ", ".join(KINDS[kind] for kind in KINDS if kind not in LIVE[name])
    glue(f"ch10_stopped{key}", f"stops at: {stopped}" if stopped else "goes on with all")

# %% [markdown]
# | right answers (choosing set) | left or right | front or behind | between |
# |---|---|---|---|
# | model | {glue:text}`ch10_right_left_right` | {glue:text}`ch10_right_front_behind` | {glue:text}`ch10_right_between` |
# | control | {glue:text}`ch10_right_left_right_control` | {glue:text}`ch10_right_front_behind_control` | {glue:text}`ch10_right_between_control` |
#
# **Table 10.1.** *Who can answer what.* The model {glue:text}`ch10_stopped`. The control
# {glue:text}`ch10_stopped_control`.
#
# ## One map for all relations
#
# All IDs come from grids on white and from *one* question, "Is the ... to the left or right of
# the ...?". The first noun comes before the question says what it is about. At "Is the frog"
# the model cannot know whether sides, depth or a third object will follow. So its IDs have to
# serve all three. Do not take this on trust. Compare the states.

# %%
IDS = {
    name: trials.extract_ids(
        vlm, ["left_right"], 3 if SMALL else 8, 1 if SMALL else 2, SEED, save_to=CACHE
    )["left_right"]
    for name, vlm in MODELS.items()
}


vlm, scene = MODELS[YES], sample_scene(np.random.default_rng(SEED), "clutter", (3, 3))
x, a, b = scene.names
prompts = [vlm.prompt(scene.render(), f"Is the {x} {rest}?") for rest in (
    f"to the left or right of the {a}", f"in front of or behind the {a}",
    f"between the {a} and the {b}")]  # fmt: skip
sites = [vlm.resid_post(block) for block in range(vlm.n_layers)]
spots = [[prompt.word(x)[-1]] for prompt in prompts]
states = read_states(vlm, prompts, spots, sites)  # [sites, prompts, 1, d_model]
apart = float((states - states[:, :1]).abs().max())
glue("ch10_same_first", "the same" if apart < 1e-3 else f"up to {apart:.3f} apart")
print("first noun, three questions: largest difference", f"{apart:.0e}")

# %% [markdown]
# The states of the first noun under the three questions are
# {glue:text}`ch10_same_first` (to rounding).
#
# ### A control for a map
#
# Earlier chapters compared one push with one random push of its length. Here a word visits
# many places, and a control should visit them too. Random vectors, drawn anew for each place,
# would not: their steps from place to place make no path at all. So take the *whole* map,
# keep all distances between its sixteen places, and turn it to point in random directions. It
# is still a map, with a left and a right. It is just not the model's.
#
# ````{exercise} Turn a map
# :label: ch10-turn
#
# Difficulty ●●○ · importance ●●● · 20 minutes
#
# Write `turn(grid, seed)` for a map `[rows, columns, d_model]`. Return a map of the same shape,
# in which any two places are as far apart as before and the directions are random: all
# directions equally likely, the same for the same seed. (A matrix of d_model × d_model does it.
# For a model with 4096 dimensions and a map of 16 places you can do with far less.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def turn(grid, seed):
    generator = torch.Generator().manual_seed(seed)
    flat = grid.reshape(-1, grid.shape[-1])
    # A map of 16 places spans at most 16 directions. The SVD tells its shape in these
    # from where they point; give the shape a random set of directions instead.
    shape, sizes, _ = torch.linalg.svd(flat, full_matrices=False)
    noise = torch.randn(grid.shape[-1], len(sizes), generator=generator)
    return ((shape * sizes) @ torch.linalg.qr(noise).Q.T).reshape(grid.shape)


# %%
ch10.check_turn(turn)

# %% [markdown]
# Four maps, then. The IDs; turned maps (*random*); the IDs dealt out to wrong places (*shuffled
# IDs*); and the map with rows and columns exchanged (*orthogonal axis*): a real map, and one
# that says "down" where it should say "right". Every vector gets the length of the ID
# difference that it stands in for.

# %%
SEEDS = 3
ARMS = [("spatial IDs", 0), *(("random", seed) for seed in range(SEEDS)),
        ("shuffled IDs", 0), ("shuffled IDs", 1), ("orthogonal axis", 0)]  # fmt: skip


@lru_cache(maxsize=256)
def maps(name, site, noun):
    """(arm, seed) -> the map at one site that this arm believes in."""
    ids = IDS[name][noun]
    grid = ids.mean(site)
    grids = dict.fromkeys(ARMS, grid)
    for arm, seed in ARMS:
        if arm == "random":
            grids[arm, seed] = turn(grid, seed)
        elif arm == "shuffled IDs":
            grids[arm, seed] = ids.shuffled(seed).mean(site)
        elif arm == "orthogonal axis":
            grids[arm, seed] = grid.transpose(0, 1)
    about = {"sites": (site,), "pairs": ids.pairs[:1]}
    return {arm: replace(ids, vectors=one[None, None], **about)
            for arm, one in grids.items()}  # fmt: skip


def vector(name, site, arm, noun, start, place):
    """What moves a noun from a place to another on a map, as long as on the true one."""
    found = maps(name, site, min(noun, 1))
    aimed, own = (found[one].difference(site, start, place) for one in (ARMS[0], arm))
    return own * (aimed.norm() / own.norm().clamp(min=1e-12))


# %% [markdown]
# `send` gives one noun the ID of a place, and notes what the answer should be if the object
# stood there (`expected`: +1 for the first of the two answers, -1 for the second, 0 if the places
# are closer than a quarter of a cell). For depth, we *guess* that lower means nearer, as on
# a floor. Whether that holds is part of the question. A belief **follows** if its sign is the
# expected one.

# %%
def expected(case, noun, place):
    """The answer, as a sign, if one of the objects stood somewhere else."""
    places = [place if n == noun else own for n, own in enumerate(case.places)]
    (row, column), *others = places
    columns = [other for _, other in others]
    gap = {
        "left_right": columns[0] - column,
        "above_below": others[0][0] - row,
        "front_behind": row - others[0][0],
        "between": min(column - min(columns), max(columns) - column),
    }[case.kind]
    return 0 if abs(gap) < 0.25 else int(np.sign(gap))


def send(name, case, place, arm=ARMS[0], noun=0, block=0, dose=1.0, **labels):
    site = MODELS[name].resid_post(block)
    step = vector(name, site, arm, noun, case.places[noun], place)
    labels |= {"arm": arm[0], "seed": arm[1], "noun": noun, "block": block, "dose": dose,
               "row": place[0], "column": place[1],
               "expected": expected(case, noun, place)}  # fmt: skip
    return Job(case.prompt, (steer(site, case.spans[noun], step, dose),), case.labels | labels)

# %%
def path(case, count=4, axis=None, noun=0):
    """Places along an axis of the picture, through where a noun's object stands."""
    row, column = case.places[noun]
    along = (axis or AXIS[case.kind]) == "column"
    return [(row, float(x)) if along else (float(x), column)
            for x in np.linspace(0, 3, count)]  # fmt: skip


def run(name, jobs):
    table = trials.run(MODELS[name], list(jobs), CACHE)
    return table.assign(follows=table["log_odds"] * table["expected"] > 0)


def as_it_is(case, **labels):
    """The case without any edit: where all curves start from."""
    about = {"arm": "no edit", "seed": 0, "expected": -case.toward}
    return Job(case.prompt, (), case.labels | about | labels)


def far_end(case, noun=0):
    """The end of the path that is further from where the object stands."""
    place, ends = np.array(case.places[noun]), path(case, 2, noun=noun)
    return max(ends, key=lambda end: abs(place - end).sum())


def follow(table):
    """Share of beliefs that follow, with its interval over scenes."""
    return trials.share(table[table["expected"] != 0], "follows")


# %% [markdown]
# ## Choosing a block and a dose
#
# For each relation apart: send the first noun to the four places along the axis of the question.
# The block is the one at which most beliefs follow; the dose, the smallest within two points of
# the best.

# %%
DOSES = (0.5, 1.0, 1.5, 2.0)
PAIR = ARMS[:2]  # the IDs, and one turned map


def choose(name, kind):
    """A table over blocks and one over doses, and what is best in each."""
    vlm, cases = MODELS[name], choosing[name][kind][:CHOOSE]
    looking = vlm.family.cross_layers(vlm.model.config.get_text_config())
    blocks = range(min(looking, default=0), vlm.n_layers)
    jobs = (send(name, c, place, block=block)
            for c in cases for place in path(c) for block in blocks)  # fmt: skip
    by_block = run(name, jobs)
    block = int(by_block.groupby("block")["follows"].mean().idxmax())
    jobs = (send(name, c, place, arm, block=block, dose=dose) for c in cases
            for place in path(c) for dose in DOSES for arm in PAIR)  # fmt: skip
    by_dose = run(name, jobs)
    shares = by_dose[by_dose["arm"] == "spatial IDs"].groupby("dose")["follows"].mean()
    dose = float(shares.index[shares >= shares.max() - 0.02].min())
    return by_block, by_dose, {"block": block, "dose": dose}


tried = {(name, kind): choose(name, kind) for name in MODELS for kind in LIVE[name]}
AT = {key: best for key, (_, _, best) in tried.items()}
for (name, kind), best in AT.items():
    print(f"{name}, {KINDS[kind]}: block {best['block']}, dose {best['dose']:g}")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
TONE = {"left_right": "#0072B2", "front_behind": "#D55E00", "between": "#009E73"}


def shares_by(table, column, **about):
    return [about | {column: value, **follow(part)._asdict()}
            for value, part in table.groupby(column)]  # fmt: skip


figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.6), sharey=True)
for number, (axes, column) in enumerate(zip(panels, ("block", "dose"), strict=True)):
    rows = []
    for kind in LIVE[YES]:
        for arm, part in tried[YES, kind][number].groupby("arm", sort=False):
            what = KINDS[kind] + (", random" if arm == "random" else "")
            rows += shares_by(part, column, what=what)
    tones = {KINDS[kind] + end: TONE[kind] for kind in KINDS for end in ("", ", random")}
    styles = {KINDS[kind] + ", random": ":" for kind in KINDS}
    if rows:
        plots.with_band(pd.DataFrame(rows), column, "what", axes, tones, styles)
        axes.get_legend().remove()
    axes.set(xlabel=f"{column} (first noun)", ylim=(0.2, 1.03))
panels[0].set_ylabel("share of beliefs that follow")
if LIVE[YES]:
    panels[1].legend(fontsize=8, loc="lower right", ncol=2)
figure.tight_layout()
for kind in KINDS:
    best = AT.get((YES, kind), {})
    glue(f"ch10_block_{kind}", best.get("block", "not measured"))
    glue(f"ch10_dose_{kind}", f"{best['dose']:g}" if best else "not measured")

# %% [markdown]
# **Figure 10.1.** *Choosing.* Share of beliefs that follow the ID of the first noun, by the block
# after which it is written (left, dose one) and by the dose (right, at the best block; dotted:
# a turned map). Chosen (block, dose): {glue:text}`ch10_block_left_right`,
# {glue:text}`ch10_dose_left_right` for left or right; {glue:text}`ch10_block_front_behind`,
# {glue:text}`ch10_dose_front_behind` for front or behind; {glue:text}`ch10_block_between`,
# {glue:text}`ch10_dose_between` for between. The dotted lines are not at zero. An object that
# is sent a little way often keeps its side, and then the old answer "follows" as well.
#
# ## 6a. One photo, every block; then five hundred
#
# The paper's Figure 6a takes one photo and LLaVA-1.5 {cite}`kang2026linear`. Let the two objects
# exchange their columns: each gets the ID of the other's column, in its own row, after one
# block at a time. Do the log-probabilities of "Left" and "Right" cross?

# %%
cases = {
    name: trials.with_beliefs(
        MODELS[name], photo_cases(MODELS[name], PHOTOS["judge"][: COUNT[name]]), CACHE
    )
    for name in MODELS if "left_right" in LIVE[name]
}  # fmt: skip


def columns_exchanged(case):
    (row, column), (other_row, other_column) = case.places
    return (row, other_column), (other_row, column)


def exchange(name, case, block, arm=ARMS[0]):
    """Each of the two nouns gets the ID of the other's column."""
    site = MODELS[name].resid_post(block)
    moves = enumerate(zip(case.places, columns_exchanged(case), strict=True))
    edits = [steer(site, case.spans[noun], vector(name, site, arm, noun, *move))
             for noun, move in moves]  # fmt: skip
    about = {"arm": arm[0], "seed": arm[1], "block": block, "expected": case.toward}
    return Job(case.prompt, tuple(edits), case.labels | about)


def every_block(name):
    """IDs at every block, a turned map at every second; all controls at the best one."""
    best = AT[name, "left_right"]["block"]
    for case, block in itertools.product(cases[name], range(MODELS[name].n_layers)):
        arms = ARMS if block == best else PAIR[: 1 + (block - best) % 2]
        for arm in arms:
            yield exchange(name, case, block, arm)


exchanged = {name: run(name, every_block(name)) for name in cases}
for table in exchanged.values():
    # Log-probability of the answer that is false in the picture, and of the true one.
    turned, left, right = (table[c] for c in ("toward", "log_prob_Left", "log_prob_Right"))
    table["false"] = np.where(turned > 0, left, right)
    table["true"] = np.where(turned > 0, right, left)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def ghosted(photo, ghosts):
    """The photo, with a pale copy of an object's box at each (name, (row, column))."""
    picture, side = photo.image(), photo.size[0]
    for name, (row, column) in ghosts:
        x, y, width, height = (round(value) for value in photo.box(name))
        piece = picture.crop((x, y, x + width, y + height))
        left = round((column + 0.5) / 4 * side - width / 2)
        top = round((row + 0.5) / 4 * side - height / 2)
        picture.paste(piece, (left, top), Image.new("L", piece.size, 120))
    return picture


def good_photo(case, photo):
    """Right, with large objects that are far apart along both axes."""
    size = min(min(box.width, box.height) for box in photo.boxes) / photo.size[0]
    return case.labels["right"] + size + np.abs(np.subtract(*case.places)).sum() / 6


def draw_one(panels, case, photo, table):
    ghosts = zip(case.names, columns_exchanged(case), strict=True)
    panels[0].imshow(ghosted(photo, ghosts))
    panels[0].set(xticks=[], yticks=[])
    panels[0].set_title(case.prompt.question, fontsize=9, fontweight="normal")
    own = table[(table["scene"] == case.labels["scene"]) & (table["arm"] == "spatial IDs")]
    for answer, tone in (("Left", "#0072B2"), ("Right", "#D55E00")):
        line = own.set_index("block")[f"log_prob_{answer}"]
        panels[1].plot(line, "o-", ms=4, color=tone, label=f"“{answer}”")
    panels[1].set_title("this photo", fontsize=10)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw_many(axes, table):
    for arm, style in (("spatial IDs", "-"), ("random", ":")):
        for answer, tone in (("true", "#555555"), ("false", "#CC79A7")):
            part = table[(table["arm"] == arm) & (table["seed"] == 0)]
            rows = [{"block": block, **trials.share(some, answer)._asdict()}
                    for block, some in part.groupby("block")]  # fmt: skip
            plots.with_band(pd.DataFrame(rows), "block", None, axes)
            axes.lines[-1].set(color=tone, ls=style, label=f"{answer} answer, {arm}")
            axes.collections[-1].set_color(tone)
    axes.set_title(f"mean of {table['scene'].nunique()} photos", fontsize=10)


if YES in cases:
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.9), width_ratios=[0.9, 1, 1.1])
    pairs = list(zip(cases[YES], PHOTOS["judge"], strict=False))
    draw_one(panels, *max(pairs, key=lambda pair: good_photo(*pair)), exchanged[YES])
    draw_many(panels[2], exchanged[YES])
    for axes in panels[1:]:
        axes.set(xlabel="block after which the nouns are edited", ylabel="log-probability")
        axes.legend(fontsize=8)
    figure.tight_layout()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def tell(found, names):
    """Glue numbers under their names; what an arm that stopped has not found, as such."""
    for name in names.split():
        glue(f"ch10_{name}", found.get(name, "not measured"))


SHORT = {"ids": "spatial IDs", "random": "random", "shuffled": "shuffled IDs",
         "orthogonal": "orthogonal axis"}  # fmt: skip
found = {}
for key, name in (("", YES), ("_control", NO)):
    if name in cases:
        best = exchanged[name]["block"] == AT[name, "left_right"]["block"]
        for short, arm in SHORT.items():
            part = exchanged[name][best & (exchanged[name]["arm"] == arm)]
            found[f"6a_{short}{key}"] = percent(trials.share(part, "swapped"))
            found[f"6a_{short}_change{key}"] = trials.share(part, "change")
if YES in cases:
    keep("6a", exchanged[YES])
    ids = exchanged[YES].query("arm == 'spatial IDs'")
    ends = {block: trials.share(part, "after").low for block, part in ids.groupby("block")}
    over = [block for block, low in ends.items() if low > 0]
    found["6a_crossed"] = ", ".join(map(str, over)) or "none"
    found["6a_blocks"] = MODELS[YES].n_layers
each = [f"6a_{short}{end}" for short in SHORT for end in ("", "_change")]
tell(found, " ".join([*each, *(one + "_control" for one in each), "6a_crossed", "6a_blocks"]))

# %% [markdown]
# **Figure 10.2.** *Two objects exchange their columns, after one block at a time.* Left: the photo
# as the model sees it; the pale copies are where the vectors say that the objects are. Middle:
# log-probabilities in this photo, dose one. Right: the mean over all photos, with 95 %
# intervals, of the answer that is true in the picture and the one that is false. Dotted: a
# turned map. Beliefs end beyond indifference, on average, after blocks:
# {glue:text}`ch10_6a_crossed` (of {glue:text}`ch10_6a_blocks`, counted from 0).
#
# At the best block (chosen on other photos):
#
# | | beliefs swapped | change (nats) | swapped, control model |
# |---|---|---|---|
# | spatial IDs | {glue:text}`ch10_6a_ids` | {glue:text}`ch10_6a_ids_change` | {glue:text}`ch10_6a_ids_control` |
# | random | {glue:text}`ch10_6a_random` | {glue:text}`ch10_6a_random_change` | {glue:text}`ch10_6a_random_control` |
# | shuffled IDs | {glue:text}`ch10_6a_shuffled` | {glue:text}`ch10_6a_shuffled_change` | |
# | orthogonal axis | {glue:text}`ch10_6a_orthogonal` | {glue:text}`ch10_6a_orthogonal_change` | |
#
# **Table 10.2.** *Exchanged in photos.* In the paper's LLaVA-1.5, with 32 blocks, the curves cross
# in the middle. Our small model has eight, and reads places early. "Middle" is no law. What
# the two have in common is the order: there are blocks at which the word knows its place and
# nobody has read it yet, and after these an edit comes too late.
#
# Why columns alone? In our first version the objects exchanged whole places, and the "orthogonal"
# arm swapped many beliefs. A transposed map turns a difference of rows into one of columns, so
# it pushed along the right axis after all. We saw that in the result, changed the move for all
# arms, and ran the same photos again.
#
# In the sweeps that follow, too, we changed how the controls are scored after a first look at these
# scenes, to save time: they are sent to the further end, or to the other side, and no longer to
# all places. No conclusion changed. But these arms were not fixed before the data were seen.
#
# ## 6b. Where does the belief cross?
#
# Now move the first noun alone, in small steps from the left edge to the right. If its ID is a
# coordinate, the belief has to cross *where the other object stands*: in every photo somewhere
# else. And where the object itself stands in the pixels should not matter any more.
#
# ````{exercise} Where it crosses
# :label: ch10-crossing
#
# Difficulty ●○○ · importance ●●○ · 10 minutes
#
# Write `crossing(columns, log_odds)` for two arrays, columns in rising order. Return the column
# at which the log-odds of "Left" first fall from above zero to zero or below, with a straight
# line between neighbours, and `nan` if they never do. (A curve that only *rises* through zero
# does not count: that would be a belief against the map.)
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def crossing(columns, log_odds):
    for here in range(len(columns) - 1):
        now, then = log_odds[here], log_odds[here + 1]
        if now > 0 >= then:
            # now - then is positive: the share of the step that it takes to lose `now`.
            step = columns[here + 1] - columns[here]
            return float(columns[here] + now / (now - then) * step)
    return float("nan")


# %%
ch10.check_crossing(crossing)


# %%
def columns_of(name):
    """The IDs at seven columns; every control at the end that is further away."""
    at = AT[name, "left_right"]
    for case in cases[name]:
        about = {"own": case.places[0][1], "other": case.places[1][1]}
        for place in path(case, 7):
            yield send(name, case, place, **at, **about)
        for arm in ARMS[1:]:
            yield send(name, case, far_end(case), arm, **at, **about)


swept = {name: run(name, columns_of(name)) for name in cases}


# %% [markdown]
# One more tool. Slopes and $R^2$ need an interval over photos, too: draw photos with replacement,
# all their rows with them, and compute the number again.

# %%
def interval(statistic, *arrays, draws=1000):
    """A statistic of arrays `[scenes, ...]` with its bootstrap interval over scenes."""
    count, rng = len(arrays[0]), np.random.default_rng(SEED)
    picks = rng.integers(count, size=(draws, count))
    values = [statistic(*(array[pick] for array in arrays)) for pick in picks]
    ends = np.percentile(values, [2.5, 97.5])
    return stats.Interval(float(statistic(*arrays)), *map(float, ends), count)


def slope(x, y):
    return np.cov(x, y)[0, 1] / np.var(x, ddof=1)


def r2(x, y):
    return np.corrcoef(x, y)[0, 1] ** 2


def weight_of_truth(odds, other, own):
    """How much a cell of the true column counts, by a cell of the ID's."""
    column = np.tile(np.linspace(0, 3, odds.shape[1]), len(odds))
    other, own = (np.repeat(one, odds.shape[1]) for one in (other, own))
    design = np.stack([np.ones_like(column), column, other, own], 1)
    weights = np.linalg.lstsq(design, odds.ravel(), rcond=None)[0]
    return weights[3] / weights[1]


def per_cell(table):
    """The change of the log-odds per cell rightward (downward), sent to the further end."""
    cells = table["column"] - table["own"]
    far = table["column"].isin((0, 3)) & (cells.abs() >= 1.5)
    change = (table["log_odds"] - table["before"]) / cells
    return change[far].groupby(table["scene"]).mean()


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
found, crossed = {}, {}
for key, name in (("", YES), ("_control", NO)):
    if name in swept:
        ids = swept[name].query("arm == 'spatial IDs'")
        odds = ids.pivot(index="scene", columns="column", values="log_odds")
        about = ids.groupby("scene")[["own", "other"]].first()
        about["crossing"] = [crossing(odds.columns, line) for line in odds.to_numpy()]
        reachable = about[about["other"].between(0.5, 2.5)]
        found[f"6b_crossed{key}"] = percent(stats.proportion(reachable["crossing"].notna()))
        crossed[name] = done = reachable.dropna()
        found[f"6b_follow{key}"] = percent(follow(ids))
        for short, arm in SHORT.items():
            part = swept[name][swept[name]["arm"] == arm]
            found[f"6b_{short}_per_cell{key}"] = stats.mean(per_cell(part))
        if len(done) > 5:
            pair = done["other"].to_numpy(), done["crossing"].to_numpy()
            found[f"6b_slope{key}"] = interval(slope, *pair)
            found[f"6b_r2{key}"] = interval(r2, *pair)
            found[f"6b_error{key}"] = stats.mean(np.abs(pair[1] - pair[0]))
            truth = (odds.to_numpy(), *about[["other", "own"]].to_numpy().T)
            found[f"6b_truth{key}"] = interval(weight_of_truth, *truth, draws=300)
if YES in swept:
    keep("6b", swept[YES])
each = ["6b_crossed", "6b_follow", "6b_slope", "6b_r2", "6b_error", "6b_truth",
        *(f"6b_{short}_per_cell" for short in SHORT)]  # fmt: skip
tell(found, " ".join([*each, *(one + "_control" for one in each)]))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw_groups(axes, table):
    """Log-odds by the ID's column, for photos in three groups of the other's column."""
    ids = table[table["arm"] == "spatial IDs"]
    thirds = {"left": (0, 1), "middle": (1, 2), "right": (2, 3.1)}
    for (label, (low, high)), tone in zip(thirds.items(), plt.cm.viridis((0.1, 0.5, 0.8)),
                                          strict=True):  # fmt: skip
        part = ids[(ids["other"] >= low) & (ids["other"] < high)]
        rows = [{"column": column, **stats.mean(some["log_odds"])._asdict()}
                for column, some in part.groupby("column") if len(some) > 1]  # fmt: skip
        if rows:
            plots.with_band(pd.DataFrame(rows), "column", None, axes)
            axes.lines[-1].set(color=tone, label=f"other object {label}")
            axes.collections[-1].set_color(tone)
            axes.axvline(part["other"].mean(), color=tone, ls="--", lw=1.2)
    axes.axhline(0, color="0.3", lw=1)
    axes.set(xlabel="column of the ID", ylabel="log-odds of “Left”")
    axes.legend(fontsize=8)


def draw_arms(axes, table, value=per_cell):
    for height, (arm, part) in enumerate(table.groupby("arm", sort=False)):
        told, tone = stats.mean(value(part)), plots.COLORS[arm]
        axes.plot([told.low, told.high], [-height] * 2, color=tone, lw=2)
        axes.plot(told.estimate, -height, "o", color=tone)
        for _, some in part.groupby("seed"):
            axes.plot(value(some).mean(), -height - 0.25, "|", color=tone)
    axes.set_yticks(-np.arange(height + 1), table["arm"].unique())
    axes.axvline(0, color="0.3", lw=1)


if YES in swept:
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.8), width_ratios=[1.1, 1, 0.8])
    draw_groups(panels[0], swept[YES])
    done = crossed[YES]
    panels[1].plot(done["other"], done["crossing"], ".", color=COLOR[YES], alpha=0.4)
    panels[1].plot([0.5, 2.5], [0.5, 2.5], color="0.3", lw=1, ls="--")
    panels[1].set(xlabel="column where the other object stands",
                  ylabel="column where the belief crosses")
    draw_arms(panels[2], swept[YES])
    panels[2].set_xlabel("log-odds of “Left” per column")
    figure.tight_layout()

# %% [markdown]
# **Figure 10.3.** *Does the belief cross where the other object stands?* Left: log-odds of "Left" as
# the first noun gets the ID of each column; photos in three groups by the column of the
# *other* object (dashed: its mean). Each photo is in every point of its curve. Middle: a dot
# for each photo; on the dashed line, the belief crosses exactly at the other object. Right: how
# much the log-odds change per column, for the IDs and the controls, all on the same photos
# (ticks: single seeds).
#
# | | model | control |
# |---|---|---|
# | photos whose belief crosses | {glue:text}`ch10_6b_crossed` | {glue:text}`ch10_6b_crossed_control` |
# | slope of crossing on place | {glue:text}`ch10_6b_slope` | {glue:text}`ch10_6b_slope_control` |
# | $R^2$ | {glue:text}`ch10_6b_r2` | {glue:text}`ch10_6b_r2_control` |
# | distance from the other object, in cells | {glue:text}`ch10_6b_error` | {glue:text}`ch10_6b_error_control` |
# | weight of the true column, where the ID's column weighs 1 | {glue:text}`ch10_6b_truth` | {glue:text}`ch10_6b_truth_control` |
# | nats per column, IDs | {glue:text}`ch10_6b_ids_per_cell` | {glue:text}`ch10_6b_ids_per_cell_control` |
# | nats per column, random | {glue:text}`ch10_6b_random_per_cell` | {glue:text}`ch10_6b_random_per_cell_control` |
#
# **Table 10.3.** *The sweep in numbers.* Crossings are looked for where the other object stands
# between columns 0.5 and 2.5, so that there is map on both sides of it. Nats per column are
# counted from the unedited belief to that at the end that is further away. Where hardly a belief
# crosses, there is no crossing to measure.
#
# A coordinate has slope one, and the true column of the moved object counts nothing. That last
# row but two is the sharper of the two tests. We regressed the {term}`log-odds` on three columns: of
# the ID, of the other object and of the moved object's pixels. Zero says that the pixels are
# forgotten. A weight above zero is a place that still comes in by another way; below zero, an
# edit that overshoots.
#
# A slope says where beliefs cross on average, and $R^2$ how far single photos are off. A slope whose
# interval lies below one says that the crossing follows the other object only in part. The dots
# scatter. An ID is a mean over pairs of objects in clean grids, and no photo's word has exactly
# this map ({doc}`08_real_photos` measured how well it can be read there). A coordinate with
# an error bar, then, and the error bar is {glue:text}`ch10_6b_error` cells long.
#
# ## 6c. Near and far
#
# A picture has two axes and the world has three. What does an ID say about depth? Take scenes
# on a floor and ask "in front of or behind". Send the first noun down the rows, and, as the
# other axis, along the columns.

# %%
KIND = "front_behind"
depth = {
    name: depth_cases(MODELS[name], COUNT[name], SEED + 3)
    for name in MODELS if KIND in LIVE[name]
}  # fmt: skip


def rows_and_columns(name):
    """IDs of the four rows and of the four columns; other controls at the further end."""
    at = AT[name, KIND]
    for case in depth[name]:
        yield as_it_is(case)
        for number, axis in enumerate(("row", "column")):
            for place in path(case, axis=axis):
                yield send(name, case, place, **at, axis=axis, own=case.places[0][number])
        for arm in ARMS[1:-1]:
            about = {"axis": "row", "own": case.places[0][0]}
            yield send(name, case, far_end(case), arm, **at, **about)


fallen = {}
for name in depth:
    table = run(name, rows_and_columns(name))
    plain = table[table["arm"] == "no edit"].set_index("scene")["log_odds"]
    fallen[name] = table = table[table["arm"] != "no edit"].copy()
    table["before"], along = table["scene"].map(plain), table["axis"] == "column"
    table["column"] = np.where(along, table["column"], table["row"])  # cells along the axis
    table.loc[along, "arm"] = "orthogonal axis"

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
found, lines = {}, []
for key, name in (("", YES), ("_control", NO)):
    if name in fallen:
        ids = fallen[name].query("arm == 'spatial IDs'")
        found[f"6c_follow{key}"] = percent(follow(ids))
        for short, arm in SHORT.items():
            part = fallen[name][fallen[name]["arm"] == arm]
            found[f"6c_{short}{key}"] = stats.mean(per_cell(part))
            lines += [{"model": name, "arm": arm, "cell": cell,
                       **trials.share(some, "log_odds")._asdict()}
                      for cell, some in part.groupby("column")]  # fmt: skip
if YES in fallen:
    keep("6c", fallen[YES])
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.7), width_ratios=[1.2, 1])
    table = pd.DataFrame(lines).query("model == @YES")
    table = table[table["arm"].isin(["spatial IDs", "orthogonal axis"])]
    plots.with_band(table, "cell", "arm", panels[0])
    panels[0].axhline(0, color="0.3", lw=1)
    panels[0].set(xlabel="row of the ID (orthogonal axis: column)", xticks=range(4))
    panels[0].set_ylabel("log-odds of “Front”")
    draw_arms(panels[1], fallen[YES])
    panels[1].set_xlabel("log-odds of “Front” per cell")
    figure.tight_layout()
each = ["6c_follow", *(f"6c_{short}" for short in SHORT)]
tell(found, " ".join([*each, *(one + "_control" for one in each)]))
near = found.get("6c_ids")
words = {True: "goes with the row of the ID: lower is nearer", False: "does not go with the row"}
if near is None:
    glue("ch10_6c_verdict", "was not measured")
else:
    rival = max(abs(found["6c_orthogonal"].estimate), abs(found["6c_random"].estimate))
    glue("ch10_6c_verdict", words[bool(near.low > 2 * rival)])

# %% [markdown]
# **Figure 10.4.** *Down the rows, along the columns.* Left: mean log-odds of "Front" as the first
# noun gets the ID of each row of its column (blue) or, as the orthogonal axis, of each column of
# its row. Right: the change per cell on the way to the end that is further away.
#
# | nats per cell | model | control |
# |---|---|---|
# | IDs, per row | {glue:text}`ch10_6c_ids` | {glue:text}`ch10_6c_ids_control` |
# | IDs, per column | {glue:text}`ch10_6c_orthogonal` | {glue:text}`ch10_6c_orthogonal_control` |
# | random | {glue:text}`ch10_6c_random` | {glue:text}`ch10_6c_random_control` |
# | shuffled IDs | {glue:text}`ch10_6c_shuffled` | {glue:text}`ch10_6c_shuffled_control` |
#
# **Table 10.4.** *Nearness and the ID.* In the model, nearness {glue:text}`ch10_6c_verdict`;
# {glue:text}`ch10_6c_follow` of beliefs are the ones that "lower is nearer" asks for.
#
# Is the row of the random maps above zero? They know no rows. But an object that is low in the
# picture is mostly near, and its further end is up. A push of any kind may blur a sure "Front", and
# here blur would look like a slope. You have met this in {doc}`06_steering_beliefs`. A control tells
# you how much of an effect any push of that length has.
#
# Stop before you rejoice. The IDs were read in flat pictures, on white, without any depth. They
# know rows. If a row moves the answer about depth, the model takes height for depth, or it
# knows that on a floor the two go together. Which of the two? That is {doc}`11_depth`.
#
# ## 6d. In between
#
# Last, three objects. As the ID of X goes from left to right, the answer to "Is the X between
# the A and the B?" should rise, stay, and *fall*. A direction in which "Yes" grows cannot do
# this. How far could one get? Let the rival know everything but the hill: for each scene it may
# choose, after the fact, the best threshold and the better side to say "Yes" on.
#
# ````{exercise} The best one-way rule
# :label: ch10-step
#
# Difficulty ●●○ · importance ●●○ · 20 minutes
#
# Write `best_step(truth)`. `truth` is a list of true and false, the right answers from left to
# right. A *step* says the same up to some place and the opposite from there on (it may also say
# the same throughout). Return the largest share of right answers that any step can reach.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def best_step(truth):
    truth = np.asarray(truth, dtype=bool)
    shares = []
    for cut in range(len(truth) + 1):
        # "Yes" before the cut and "No" behind it. The other way round, all that was
        # wrong is right, and the share is one minus this.
        said = np.arange(len(truth)) < cut
        shares += [np.mean(said == truth), np.mean(said != truth)]
    return float(max(shares))


# %%
ch10.check_best_step(best_step)

# %% [markdown]
# Send X to seven columns. For the controls one place will do, *the other side*: if X is inside,
# the end of the picture that is further from A and B; if it is outside, the middle between
# them. And the other way round: leave X alone and move A (in every second scene, B) to
# either end. Their nouns come after the word "between"; we have no IDs from this question, so
# they borrow those of the second noun of "left or right".

# %%
KIND = "between"
three = {
    name: between_cases(MODELS[name], COUNT[name], SEED + 4)
    for name in MODELS if KIND in LIVE[name]
}  # fmt: skip


def other_side(case):
    """Into the middle of A and B, or out to the end that is further from both."""
    row, (low, high) = case.places[0][0], sorted(c for _, c in case.places[1:])
    if case.toward > 0:  # "Yes" is false: X is outside
        return row, (low + high) / 2
    return row, 0.0 if low > 3 - high else 3.0


def hill_jobs(name):
    """X to seven columns; X to the other side, by every map; A or B to the ends."""
    at = AT[name, KIND]
    for number, case in enumerate(three[name]):
        yield as_it_is(case, part="plain")
        for place in path(case, 7):
            yield send(name, case, place, **at, part="X")
        for arm in ARMS:
            yield send(name, case, other_side(case), arm, **at, part="arms")
        for place in path(case, 2, noun=1 + number % 2):
            yield send(name, case, place, **at, noun=1 + number % 2, part="A or B")


hills = {name: run(name, hill_jobs(name)) for name in three}
for name, table in hills.items():
    ends = [sorted(c for _, c in case.places[1:]) for case in three[name]]
    low, high = (table["scene"].map(dict(enumerate(side))) for side in zip(*ends, strict=True))
    # 0 at the left one of A and B, 1 at the right one.
    table["relative"] = (table["column"] - low) / (high - low)
    table["yes"] = table["log_odds"] > 0

# %% [markdown]
# The number for the ledger: how much oftener does the model say "Yes" when X is sent inside than
# when it is sent outside? There are more columns outside than inside, and scenes differ in how
# many. So count scene by scene.
#
# ````{exercise} Inside minus outside
# :label: ch10-inside
#
# Difficulty ●●○ · importance ●●● · 15 minutes
#
# Write `inside_minus_outside(table)` for a table with the columns `scene`, `expected` (+1 inside,
# -1 outside, 0 too close to say) and `yes`. Return the mean over scenes of each scene's share of
# "Yes" inside less its share outside, with its 95 % interval (`stats.mean`). Leave out places
# that are too close, and scenes that lack one of the two sides.
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def inside_minus_outside(table):
    table = table[table["expected"] != 0]
    shares = table.groupby(["scene", "expected"])["yes"].mean().unstack("expected")
    # A scene without an inside has nothing to compare; dropna leaves it out.
    shares = shares.reindex(columns=[1, -1]).dropna()
    return stats.mean(shares[1] - shares[-1])


# %%
ch10.check_inside_minus_outside(inside_minus_outside)


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the numbers", "code_prompt_hide": "Hide the code"}
def side_gaps(table):
    """Yes inside less yes left of both, and less yes right of both; over scenes."""
    side = np.select([table["expected"] > 0, table["relative"] < 0], ["inside", "left"], "right")
    clear = table["expected"] != 0
    shares = table[clear].groupby(["scene", side[clear]])["yes"].mean().unstack()
    shares = shares.reindex(columns=["inside", "left", "right"]).dropna()
    return [stats.paired_difference(shares["inside"], shares[one]) for one in ("left", "right")]


found = {}
for key, name in (("", YES), ("_control", NO)):
    if name in hills:
        parts = dict(list(hills[name].groupby("part")))
        found[f"6d_right{key}"] = percent(trials.share(parts["plain"], "follows"))
        found[f"6d_gap{key}"] = percent(inside_minus_outside(parts["X"]))
        found[f"6d_follow{key}"] = percent(follow(parts["X"]))
        found[f"6d_moved{key}"] = percent(follow(parts["A or B"]))
        clear = parts["X"][parts["X"]["expected"] != 0].sort_values("column")
        best = clear.groupby("scene")["expected"].agg(lambda one: best_step(one > 0))
        found[f"6d_step{key}"] = percent(stats.mean(best))
        gaps = side_gaps(parts["X"])
        found[f"6d_left{key}"], found[f"6d_right_side{key}"] = map(percent, gaps)
        found[f"6d_verdict{key}"] = "a hill" if min(gap.low for gap in gaps) > 0 else "no hill"
        for short, arm in SHORT.items():
            part = parts["arms"][parts["arms"]["arm"] == arm]
            found[f"6d_{short}{key}"] = percent(follow(part))
if YES in hills:
    keep("6d", hills[YES])
each = ["6d_right", "6d_gap", "6d_follow", "6d_moved", "6d_step", "6d_left", "6d_right_side",
        "6d_verdict", *(f"6d_{short}" for short in SHORT)]  # fmt: skip
tell(found, " ".join([*each, *(one + "_control" for one in each)]))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw_hill(axes, name):
    """Share of Yes by where the ID is, seen from A and B."""
    ids = hills[name][hills[name]["part"] == "X"]
    near = ids.assign(relative=(ids["relative"] * 4).round() / 4).query("-1 <= relative <= 2")
    rows = [{"relative": where, **stats.proportion(some["yes"])._asdict()}
            for where, some in near.groupby("relative")]  # fmt: skip
    plots.with_band(pd.DataFrame(rows), "relative", None, axes)
    axes.lines[-1].set(color=COLOR[name], label=name)
    axes.collections[-1].set_color(COLOR[name])


if YES in hills:
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.7), width_ratios=[1.3, 1])
    panels[0].axvspan(0, 1, color="0.93")
    for name in hills:
        draw_hill(panels[0], name)
    panels[0].set_xticks([0, 1], ["left one of\nA and B", "right one of\nA and B"])
    panels[0].set(ylabel="share of “Yes”", xlabel="where the ID puts X", ylim=(-0.03, 1.03))
    panels[0].legend()
    arms = hills[YES][hills[YES]["part"] == "arms"]
    draw_arms(panels[1], arms, lambda part: part.groupby("scene")["follows"].mean())
    panels[1].set_xlabel("sent to the other side: share that follow")
    figure.tight_layout()

# %% [markdown]
# **Figure 10.5.** *The hill.* Left: share of "Yes" as the first noun gets the ID of each column,
# drawn by where that column is between A (0) and B (1); shaded, inside. (Scenes reach different
# ends of this axis; the numbers below compare within scenes.) Right: share of beliefs that follow
# when X is sent to the other side, for the IDs and the controls, on the same scenes.
#
# | | model | control |
# |---|---|---|
# | "Yes" inside minus outside | {glue:text}`ch10_6d_gap` | {glue:text}`ch10_6d_gap_control` |
# | inside minus left of both | {glue:text}`ch10_6d_left` | {glue:text}`ch10_6d_left_control` |
# | inside minus right of both | {glue:text}`ch10_6d_right_side` | {glue:text}`ch10_6d_right_side_control` |
# | beliefs that follow the ID | {glue:text}`ch10_6d_follow` | {glue:text}`ch10_6d_follow_control` |
# | most that a step could reach | {glue:text}`ch10_6d_step` | {glue:text}`ch10_6d_step_control` |
# | beliefs that follow A or B | {glue:text}`ch10_6d_moved` | {glue:text}`ch10_6d_moved_control` |
# | sent to the other side, follow: IDs | {glue:text}`ch10_6d_ids` | {glue:text}`ch10_6d_ids_control` |
# | ... random | {glue:text}`ch10_6d_random` | {glue:text}`ch10_6d_random_control` |
# | ... shuffled IDs | {glue:text}`ch10_6d_shuffled` | {glue:text}`ch10_6d_shuffled_control` |
# | ... orthogonal axis | {glue:text}`ch10_6d_orthogonal` | {glue:text}`ch10_6d_orthogonal_control` |
#
# **Table 10.5.** *In between.* Verdict: in the model, {glue:text}`ch10_6d_verdict`; in the
# control, {glue:text}`ch10_6d_verdict_control` (it answers this question at
# {glue:text}`ch10_right_between_control`).
#
# Move the slider to see it happen once.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the slider", "code_prompt_hide": "Hide the code"}
def wide(case):
    """A and B far apart, and X outside: a long way in, a long way out."""
    (_, x), (_, a), (_, b) = case.places
    return -abs(abs(a - b) - 1.5) + (not min(a, b) < x < max(a, b))


def draw_between(case, picture, odds, quarters):
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.7), width_ratios=[1, 1.25])
    side, (row, _), column = picture.size[0], case.places[0], quarters / 4
    left.imshow(picture)
    spot = ((column + 0.5) / 4 * side, (row + 0.5) / 4 * side)
    left.plot(*spot, "o", ms=34, mfc=(1, 1, 1, 0.55), mec="#0072B2", mew=2)
    left.text(*spot, case.names[0], ha="center", va="center", fontsize=8)
    left.set(xticks=[], yticks=[])
    left.set_title(case.prompt.question, fontsize=9, fontweight="normal")
    right.plot(odds, color=COLOR[YES])
    right.plot(column, np.interp(column, odds.index, odds), "o", color=COLOR[YES], ms=9)
    for _, other in case.places[1:]:
        right.axvline(other, color="0.5", ls="--", lw=1.3)
    right.axhline(0, color="0.3", lw=1)
    right.set(xlabel="column that the ID says (dashed: A and B)", ylabel="log-odds of “Yes”")
    figure.tight_layout()
    return figure


shown = None
if YES in three:
    case = max(three[YES], key=wide)
    fine = run(YES, (send(YES, case, place, **AT[YES, KIND]) for place in path(case, 25)))
    odds = fine.set_index("column")["log_odds"]
    picture = case.prompt.image
    shown = plots.slider(lambda q: draw_between(case, picture, odds, q), range(0, 13, 2),
                         label="quarters of a cell from the left")  # fmt: skip
shown

# %% [markdown]
# **Figure 10.6.** *One scene: move the slider.* The picture never changes; the ring is where the
# ID says that X is.
#
# ## A field of arrows
#
# Put it all into one picture. Frog and camel stand where they stand. The frog's word gets the ID
# of each of 169 places in turn, and the model is asked both questions: left or right of the
# camel, above or below it. Draw the two answers as one arrow: "that way from the camel".

# %%
def lattice(name, scene, steps=13):
    """Both answers for the first object at every place of a lattice: two arrays."""
    vlm, fields = MODELS[name], {}
    for kind in ("left_right", "above_below"):
        (case,) = trials.scene_cases(vlm, [scene], kind, [0])
        places = itertools.product(np.linspace(0, 3, steps), repeat=2)
        jobs = [send(name, case, (float(r), float(c)), **AT[name, "left_right"])
                for r, c in places]  # fmt: skip
        table = run(name, jobs)
        fields[kind] = table["log_odds"].to_numpy().reshape(steps, steps)
        fields[kind + " follows"] = follow_one(table)
    return fields


def follow_one(table):
    """Among the places that are at least a quarter of a cell off."""
    clear = table[table["expected"] != 0]
    return f"{clear['follows'].sum()} of {len(clear)}"


frog, camel = ("frog", 0.125, 0.875), ("camel", 0.55, 0.42)
scene = Scene(tuple(Placed(*one, 0.22) for one in (frog, camel)))
fields = lattice(YES, scene) if "left_right" in LIVE[YES] else {}
tell({f"map_{kind}": fields.get(kind + " follows", "not measured")
      for kind in ("left_right", "above_below")},
     "map_left_right map_above_below")  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of the figure", "code_prompt_hide": "Hide the code"}
def draw_field(axes, picture, fields):
    side, steps = picture.size[0], len(fields["left_right"])
    centres = (np.linspace(0, 3, steps) + 0.5) / 4 * side
    # tanh(x / 2) is the difference of the two answers' probabilities.
    right, down = (-np.tanh(fields[kind] / 2) for kind in ("left_right", "above_below"))
    axes.imshow(picture, alpha=0.55)
    angle = np.arctan2(down, right)
    axes.quiver(centres, centres, right, down, angle, angles="xy", cmap="hsv", scale=19,
                width=0.006, pivot="mid", clim=(-np.pi, np.pi))  # fmt: skip
    axes.set(xticks=[], yticks=[])


if fields:
    picture, camel = scene.render(448), trials.in_cells(scene.find("camel"))
    figure, panels = plt.subplots(1, 3, figsize=(13, 4.3), width_ratios=[1.15, 1, 1])
    draw_field(panels[0], picture, fields)
    panels[0].set_title("that way from the camel", fontsize=10)
    for axes, (kind, title) in zip(panels[1:], (("left_right", "log-odds of “Left”"),
                                                ("above_below", "log-odds of “Above”")),
                                   strict=True):  # fmt: skip
        span = (-0.125, 3.125, 3.125, -0.125)
        drawn = axes.imshow(fields[kind], cmap="RdBu", vmin=-10, vmax=10, extent=span)
        ticks = np.linspace(0, 3, len(fields[kind]))
        axes.contour(ticks, ticks, fields[kind], [0], colors="black", linewidths=1.5)
        axes.plot(camel[1], camel[0], "*", ms=16, color="gold", mec="black")
        axes.set(xlabel="column of the frog's ID", ylabel="row", title=title)
        axes.grid(False)
        figure.colorbar(drawn, ax=axes, shrink=0.75)
    figure.tight_layout()

# %% [markdown]
# **Figure 10.7.** *Where the model believes the frog is, seen from the camel.* Left: an arrow for
# each place whose ID the word "frog" is given. It points right as far as the model says
# "Right", and down as far as it says "Below". Middle and right: the two log-odds; black, where
# the belief crosses; star, the camel. Of the places that are not level with the camel,
# {glue:text}`ch10_map_left_right` get the right answer for left and right and
# {glue:text}`ch10_map_above_below` for above and below. One picture, so an illustration and no
# evidence; the evidence is in the tables.
#
# If an ID were a switch, there would be two kinds of arrows. If it were a coordinate, they
# would all point away from the camel, and the black lines would meet at the star. The IDs of
# 153 of these 169 places were never read from anything: they are interpolated.
#
# ````{exercise} Research sprint: beyond the edge
# :label: ch10-outside
#
# Difficulty ●●● · importance ●●○ · 25 minutes for the function, an afternoon for the sprint
#
# Bilinear interpolation ends at the outer cells. To write an ID *outside* the picture, you need a map
# without an edge. Write `outside(mean, row, column)` for IDs `mean` of shape
# `[rows, columns, d_model]`. Fit them by least squares as $o + r\,u + c\,v$ for row $r$ and column $c$, with three vectors: $o$, a
# step down $u$ and a step to the right $v$. Return what the fit says of any
# `row` and `column`, also of -4 or 6.
#
# Then take the afternoon: the open question at the end tells what to ask about a frog at column 6.
# Before you do, compare the fit with the IDs where both exist. How much of an ID is not in it, and
# what will you not know because of that?
# ````

# %% tags=["solution", "hide-input"] mystnb={"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}
def outside(mean, row, column):
    rows, columns, width = mean.shape
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).to(mean)
    # A column of ones: without it the fit would have to pass through zero at row 0, column 0.
    known = torch.cat([places, torch.ones(len(places), 1).to(mean)], 1)
    fit = torch.linalg.lstsq(known, mean.reshape(-1, width)).solution
    return torch.tensor([row, column, 1.0]).to(mean) @ fit


# %%
ch10.check_outside(outside)

# %% [markdown]
# ## Summary
#
# - In photos, two objects that exchange their IDs at the best block swap
#   {glue:text}`ch10_6a_ids` of beliefs ({glue:text}`ch10_6a_random` with a turned map), a shift
#   of {glue:text}`ch10_6a_ids_change` nats.
# - Where does the belief cross? Against the place of the other object: slope {glue:text}`ch10_6b_slope`, $R^2$
#   {glue:text}`ch10_6b_r2`. A cell of the true place counts {glue:text}`ch10_6b_truth` of a cell
#   of the ID.
# - Nearness {glue:text}`ch10_6c_verdict`: {glue:text}`ch10_6c_ids` nats per row against
#   {glue:text}`ch10_6c_orthogonal` per column. This does not tell depth from height.
# - "Between" is {glue:text}`ch10_6d_verdict`: "Yes" inside minus outside
#   {glue:text}`ch10_6d_gap`; {glue:text}`ch10_6d_follow` of beliefs follow, and the best step
#   could reach {glue:text}`ch10_6d_step`.
# - The control model answers {glue:text}`ch10_right_left_right_control` of the choosing photos
#   right, and its beliefs do not care: {glue:text}`ch10_6a_ids_control` swapped.
# - A control for a map is a map: turned, shuffled, or transposed.
#
# ## Open question: a research sprint
#
# The map ends at the outer cells. Does it? Extrapolate: `ids.axes(site)` gives a vector per cell,
# so you can write an ID *outside* the picture, at column 6 or -4. Does "between" still answer
# "No", and "left" "Left"? Does the model ever say that the object is not there ("Is there a frog
# in the image?")? Then try a place that two words share, or one object at two places (the mean
# of two IDs). What is the answer of a coordinate system to a frog that is at both ends? Write
# down what you expect before you run it.
#
# ## Further reading
#
# - {cite:t}`kang2026linear`: this chapter is its Figure 6.
# - {cite:t}`feng2024bind`: mean interventions that move a binding to a place that no input had.
# - {cite:t}`cui2026dual`: absolute and relative position, told apart by shifting pictures.
# - {cite:t}`heimersheim2024use`: on reading interventions; see there why a control must be able
#   to fail in the same way as the thing it controls.
#
# **What follows.** Near and far came up here. {doc}`11_depth` asks what the model takes for depth.
