"""Checks for the exercises of chapter 8, "Out of the laboratory: photos"."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd
import torch

from helpers import stats

_CAPTIONS = {
    "A photo of a dog to the left of a person": ("dog", "left", "person"),
    "A photo of a dog above a cat": ("dog", "above", "cat"),
    "A photo of a hot dog to the right of a dog": ("hot dog", "right", "dog"),
    "A photo of an umbrella below a traffic light": ("umbrella", "below", "traffic light"),
    "a photo of the Dog to the left of an oven": ("dog", "left", "oven"),
    "A photo of a sandwich below a handbag": ("sandwich", "below", "handbag"),
}
_REFUSED = {
    "The dog is above the cat": "another form",
    "A photo of a dog next to a cat": "no relation that we ask about",
    "A photo of a dog to the left of a cat above a chair": "two relations",
    "A photo of a dog above a dog": "one noun twice: which dog is meant?",
    "A photo of two dogs above a cat": "no article and noun",
    "A photo of a dog": "one object",
    "Look! A photo of a dog above a cat, and more": "something before and behind",
}


def check_parse(parse: Callable[[str], tuple[str, str, str]]) -> None:
    """Check ``caption -> (first, relation, second)``, which raises ValueError for other forms.

    Raises:
        AssertionError: with the caption, what came out and what should have.
    """
    for caption, wanted in _CAPTIONS.items():
        try:
            got = parse(caption)
        except ValueError as error:
            raise AssertionError(f"{caption!r} is fine, but you refuse it: {error}") from error
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = tuple(got)
        assert "photo" not in str(got[0]), (
            f"in {caption!r} your first object is {got[0]!r}. The released code makes this "
            "mistake, and asks where the 'photo of a' is"
        )
        assert [str(part).lower() for part in got] != list(wanted) or got == wanted, (
            f"{caption!r}: {got} should be in lower case, {wanted}, so that one object has one name"
        )
        assert got == wanted, f"{caption!r}: you read {got}, it says {wanted}"
    for caption, why in _REFUSED.items():
        try:
            got = parse(caption)
        except ValueError:
            continue
        raise AssertionError(
            f"{caption!r} ({why}) must raise a ValueError; you read {got}. A caption that is "
            "misread becomes a question about the wrong thing, and nobody notices"
        )
    print(f"Correct: {len(_CAPTIONS)} captions read, {len(_REFUSED)} refused.")


def check_cell_of_box(cell_of_box: Callable[..., tuple[float, float]]) -> None:
    """Check ``(box, size, rows, columns) -> (row, column)``.

    Raises:
        AssertionError: with the box, what came out and what should have.
    """
    cases = [
        ("in the middle of cell (0, 2)", (240, 30, 20, 40), (400, 400), 4, 4, (0.0, 2.0)),
        ("in the middle of the picture", (190, 150, 20, 100), (400, 400), 4, 4, (1.5, 1.5)),
        ("in an oblong picture", (300, 80, 200, 80), (800, 400), 4, 4, (0.7, 1.5)),
        ("on a grid of 2 rows and 6 columns", (290, 90, 20, 20), (600, 200), 2, 6, (0.5, 2.5)),
        ("in the corner at the top left", (0, 0, 40, 20), (400, 400), 4, 4, (0.0, 0.0)),
        ("at the right edge", (360, 190, 40, 20), (400, 400), 4, 4, (1.5, 3.0)),
    ]
    for where, box, size, rows, columns, wanted in cases:
        got = cell_of_box(box, size, rows, columns)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = tuple(float(value) for value in got)
        assert len(got) == 2, f"return (row, column), two numbers, not {got}"
        if np.allclose(got, wanted, atol=1e-6):
            continue
        raise AssertionError(
            f"a box {where}, {box} of {size[0]} x {size[1]} pixels: wanted (row, column) = "
            f"{_shown(wanted)}, got {_shown(got)}. {_slip(got, box, size, rows, columns)}"
        )
    print("Correct: whole numbers are centres of cells, and nothing lies beyond the outer ones.")


def _shown(numbers: Sequence[float]) -> str:
    return f"({', '.join(f'{number:.2f}' for number in numbers)})"


def _slip(got: tuple, box: tuple, size: tuple, rows: int, columns: int) -> str:
    """What probably went wrong with the place of a box."""

    def place(x: float, y: float, offset: float = 0.5) -> tuple[float, float]:
        return y / size[1] * rows - offset, x / size[0] * columns - offset

    x, y, width, height = box
    centre = x + width / 2, y + height / 2
    slips = {
        "That is (column, row): x counts columns": place(*centre)[::-1],
        "Cell 0 is as wide as the others, and its centre is half a cell in": place(*centre, 0),
        "x and y are the box's corner, not its centre": place(x, y),
        "There are no IDs beyond the outer centres: take the nearest place that has one": place(
            *centre
        ),
        "Divide x by the width and y by the height": (
            centre[1] / max(size) * rows - 0.5,
            centre[0] / max(size) * columns - 0.5,
        ),
        "Rows go with y and columns with x, each with its own count": (
            centre[1] / size[1] * columns - 0.5,
            centre[0] / size[0] * rows - 0.5,
        ),
    }
    edges = [0, 0], [rows - 1, columns - 1]
    for hint, wrong in slips.items():
        if np.allclose(got, wrong) or np.allclose(got, np.clip(wrong, *edges)):
            return hint
    return "Centre of the box, as a fraction of the picture, times cells, less half a cell"


def check_own_baseline(own_baseline: Callable[..., torch.Tensor]) -> None:
    """Check ``(states, place_ids, words) -> baselines`` on planted words and places.

    Raises:
        AssertionError: with what came out and what was probably forgotten.
    """
    generator = torch.Generator().manual_seed(0)
    kinds = {word: 20 * torch.randn(12, generator=generator) for word in ("dog", "hot dog", "car")}
    words = ["dog", "car", "dog", "hot dog", "car", "dog", "hot dog", "dog", "car", "hot dog"]
    # Dogs are mostly at one place: their mean is not that of a dog who goes everywhere.
    place_ids = torch.randn(len(words), 12, generator=generator) + 2
    truth = torch.stack([kinds[word] for word in words])
    states = truth + place_ids
    got = own_baseline(states.clone(), place_ids.clone(), list(words))
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert tuple(got.shape) == tuple(states.shape), (
        f"one baseline for each state: wanted {tuple(states.shape)}, got {tuple(got.shape)}"
    )
    for what, wrong in _wrong_baselines(states, place_ids, words).items():
        assert not torch.allclose(got, wrong, atol=1e-3), what
    assert torch.allclose(got, truth, atol=1e-3), (
        "the states here are exactly a word's vector plus an ID of the place. The baseline must "
        f"be the word's vector; yours is off by up to {float((got - truth).abs().max()):.2f}"
    )
    moved = states.clone()
    moved[2] += 100
    again = own_baseline(moved, place_ids.clone(), list(words))
    assert torch.allclose(again[2], got[2], atol=1e-3), (
        "a state is part of its own baseline: change the state and its baseline changes. Leave "
        "it out, or you subtract from each state a part of what you look for"
    )
    assert not torch.allclose(again[0], got[0], atol=1e-3), (
        "another state of the same word changed, and the baseline did not: average over all others"
    )
    print("Correct: the word without the place, and no state in its own baseline.")


def _wrong_baselines(
    states: torch.Tensor, place_ids: torch.Tensor, words: Sequence[str]
) -> dict[str, torch.Tensor]:
    same = torch.tensor([[one == other for other in words] for one in words]).float()
    others = same - torch.eye(len(words))
    every = torch.ones_like(same) - torch.eye(len(words))

    def mean(weights: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        return weights @ vectors / weights.sum(1, keepdim=True)

    return {
        "you average the states as they are. A word's photos do not cover all places evenly, so "
        "what their mean holds of place must go: subtract `place_ids` first": mean(others, states),
        "this baseline holds places, and each state itself: subtract `place_ids` before you "
        "average, and leave the state out": mean(same, states),
        "you average over all words. What a dog is stays in the dog's states then": mean(
            every, states - place_ids
        ),
    }


def check_turning_dose(turning_dose: Callable[[float, float], float]) -> None:
    """Check ``(read, true) -> dose`` against moving the two places in small steps.

    Raises:
        AssertionError: with what came out and what should have.
    """
    for read, true in ((1.0, 2.0), (-1.5, -1.0), (2.0, 2.0), (0.3, 0.9), (-2.4, -0.8)):
        wanted = _walk(read, true)
        got = turning_dose(read, true)
        assert got is not None, "the function returns nothing: is a `return` missing?"
        told = f"the words say {read:+.1f} cells, the truth is {true:+.1f}: "
        slips = {
            read / true: "Both nouns get an edit: they walk towards each other",
            true / (2 * read): "The edit is made of the true places, so its unit is the true "
            "distance. You have the ratio upside down",
            true / read: "The edit is made of the true places, and both nouns walk",
            -wanted: "A dose is positive: both distances have the same sign here",
            read - 2 * true: "That is the distance left after dose one. At which dose is it zero?",
        }
        if abs(float(got) - wanted) < 0.01:
            continue
        hints = [hint for value, hint in slips.items() if abs(float(got) - value) < 1e-6]
        raise AssertionError(
            f"{told}they meet at dose {wanted:.2f}, you say {float(got):.2f}. "
            + (hints[0] if hints else "Write down both places after an edit of dose a")
        )
    print("Correct: where two places meet that walk towards each other.")


def _walk(read: float, true: float, step: float = 0.001) -> float:
    """The dose at which the first object's place passes the second's, by trying."""
    dose, one, other = 0.0, read, 0.0
    while (one - other) * read > 0:
        dose += step
        one, other = read - dose * true, dose * true
    return dose


def check_paired_gap(paired_gap: Callable[[pd.DataFrame, str, str], stats.Interval]) -> None:
    """Check ``(table, one, other) -> interval`` on made-up photos, some of which turn easily.

    Raises:
        AssertionError: with the interval that came out and the one that should have.
    """
    table = _made_up_trial()
    means = table.groupby(["arm", "image"])["swapped"].mean().unstack("arm")
    wanted = stats.paired_difference(means["IDs"], means["noise"])
    got = paired_gap(table.copy(), "IDs", "noise")
    assert got is not None, "the function returns nothing: is a `return` missing?"
    estimate, low, high = (float(value) for value in tuple(got)[:3])
    assert abs(estimate - wanted.estimate) < 0.005, (
        f"the gap is {wanted.estimate:+.3f}, you have {estimate:+.3f}: first minus second arm, "
        "each image counting once, however many seeds an arm has"
    )
    width, right = high - low, wanted.high - wanted.low
    assert low < estimate < high, f"the interval [{low:.3f}, {high:.3f}] leaves out {estimate:.3f}"
    hints = {
        width > 1.15 * right: "Both arms ran on the same images. Take the difference image by "
        "image (align them by name, not by row), and resample the differences",
        width < 0.87 * right: "The rows of one image are no independent samples: two orders and "
        "several seeds of one picture turn together. Average them, then resample images",
    }
    for wrong, hint in hints.items():
        assert not wrong, f"your interval is {width:.3f} wide and should be {right:.3f}. {hint}"
    swapped_over = paired_gap(table.copy(), "noise", "IDs")
    assert abs(float(next(iter(swapped_over))) + estimate) < 0.005, (
        "with the arms exchanged the sign must change: use the names that you are given"
    )
    print(f"Correct: {estimate:+.2f} [{low:.2f}, {high:.2f}], photo by photo.")


def _made_up_trial(images: int = 80) -> pd.DataFrame:
    """Two arms, two orders, five seeds of noise; rows in no order. Some images turn easily."""
    generator = np.random.default_rng(0)
    rows = []
    for image in range(images):
        ease = generator.uniform()
        for order in (0, 1):
            for arm, seed in [("IDs", 0), *(("noise", seed) for seed in range(5))]:
                turns = ease > (0.3 if arm == "IDs" else 0.7)
                by_chance = generator.random() < 0.05
                rows.append((arm, f"photo {image}", order, seed, turns ^ by_chance))
    table = pd.DataFrame(rows, columns=["arm", "image", "order", "seed", "swapped"])
    return table.sample(frac=1, random_state=0, ignore_index=True)


def check_trial(table: pd.DataFrame, chosen_on: Collection) -> None:
    """Check that a steering trial has what a causal claim needs.

    Args:
        table: a row for each edit: ``arm``, ``image``, ``order``, ``seed``, ``dose``, ``length``
            (of the edit at dose one), ``swapped`` and ``valid``.
        chosen_on: the images on which site and dose were chosen.

    Raises:
        AssertionError: with what is missing.
    """
    needed = ["arm", "image", "order", "seed", "dose", "length", "swapped", "valid"]
    missing = [column for column in needed if column not in table]
    assert not missing, f"the table lacks {missing}; it has {list(table)}"
    both = set(table["image"]) & set(chosen_on)
    assert not both, (
        f"{len(both)} images were used to choose and to report, such as {sorted(both)[:3]}: what "
        "was chosen to look good on them looks good on them"
    )
    arms = dict(list(table.groupby("arm", sort=False)))
    for arm in ("spatial IDs", "random"):
        assert arm in arms, f"there is no arm {arm!r}; there are: {', '.join(arms)}"
    asked = {arm: set(zip(part["image"], part["order"], strict=True)) for arm, part in arms.items()}
    for arm, questions in asked.items():
        other = questions ^ asked["spatial IDs"]
        assert not other, (
            f"{arm!r} and 'spatial IDs' differ in {len(other)} questions: {_few(other)}"
        )
    assert table["order"].nunique() == 2, "ask every question in both orders of the nouns"
    seeds = arms["random"]["seed"].nunique()
    assert seeds > 1, f"{seeds} random draw says little: take several seeds"
    spread = table.groupby(["image", "order"])["length"].agg(lambda part: np.ptp(part) / part.max())
    assert spread.max() < 1e-3, (
        f"on {int((spread >= 1e-3).sum())} questions the arms' edits differ in length: a longer "
        "push does more, whatever its direction"
    )
    doses = arms["spatial IDs"]["dose"].nunique()
    assert doses >= 3, f"{doses} doses are no curve: run at least three"
    print(f"Sound: {len(asked['spatial IDs'])} questions, {len(arms)} arms, {doses} doses.")


def _few(questions: Collection) -> str:
    return ", ".join(map(str, sorted(questions)[:3]))
