"""Checks for the exercises of chapter 19, "Space and time"."""

from collections.abc import Callable

import numpy as np
import torch


def check_overlap(overlap: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    """Check ``([k, d], [m, d]) -> mean squared cosine of the principal angles of the two spans``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(12, 12, generator=generator)).Q
    tilted = torch.stack([(axes[0] + axes[5]) / 2**0.5, axes[1]])
    mixed = torch.tensor([[3.0, 1.0], [2.0, 2.0]]) @ axes[:2]
    cases = [
        ("the same two directions", axes[:2], axes[:2], 1.0),
        ("one plane, told by other vectors in it", axes[:2], mixed, 1.0),
        ("nothing in common", axes[:2], 4 * axes[2:4], 0.0),
        ("one direction shared, the other at 45 degrees", axes[:2], 0.1 * tilted, 0.75),
        ("one shared direction of two", axes[:2], axes[1:3], 0.5),
        ("a line in a plane", axes[:1], mixed, 1.0),
    ]
    for name, one, other, wanted in cases:
        got = overlap(one.clone(), other.clone())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert np.size(got) == 1, "return one number: the mean over the angles"
        got = float(got)
        if abs(got - wanted) < 1e-3:
            continue
        told = f"{name}: wanted {wanted:.2f}, got {got:.2f}. "
        if "other vectors" in name or "line" in name:
            told += "A span does not depend on the vectors that tell it: make them orthonormal, "
            told += "or let scipy.linalg.subspace_angles do so (its matrices hold columns)"
        elif wanted == 0.75 and abs(got - (1 + 0.5**0.5) / 2) < 1e-2:
            told += "Square the cosines before you take their mean"
        elif wanted == 0.75 and abs(got - 0.5) < 1e-2:
            told += "That is the largest angle alone; take the mean over all of them"
        elif wanted == 0.5 and got in (0.0, 1.0):
            told += "That is one of the two angles alone"
        else:
            told += "Angles of 0 count 1, right angles count 0"
        raise AssertionError(told)
    print("Correct: the same for any vectors that span the two.")


def check_two_way(two_way: Callable[[torch.Tensor], tuple]) -> None:
    """Check ``[places, times, d] -> place [places, d], time [times, d], rest [places, times, d]``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    place = torch.randn(4, 6, generator=generator)
    time = torch.randn(8, 6, generator=generator)
    own = torch.randn(4, 8, 6, generator=generator)
    place, time = place - place.mean(0), time - time.mean(0)
    own = own - own.mean(0, keepdim=True) - own.mean(1, keepdim=True) + own.mean((0, 1))
    for name, rest, offset in (("a plain sum", 0 * own, 0.0), ("a table", own, 3.0)):
        table = place[:, None] + time + rest + offset
        got = two_way(table.clone())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert len(got) == 3, f"return three tensors (place, time, rest), not {len(got)}"
        for what, found, wanted in zip(
            ("place", "time", "rest"), got, (place, time, rest), strict=True
        ):
            found = torch.as_tensor(found)
            assert found.shape == wanted.shape, (
                f"{what} must be {list(wanted.shape)}, not {list(found.shape)}"
            )
            if torch.allclose(found, wanted, atol=1e-4):
                continue
            told = f"{name}: {what} is off by up to {float((found - wanted).abs().max()):.2f}. "
            if torch.allclose(found, wanted + offset, atol=1e-4):
                told += "Take the mean over the whole table away first"
            elif what == "rest" and torch.allclose(found, rest + offset - 3 * offset, atol=1e-4):
                told += "The mean went away more than once"
            elif what == "rest":
                told += "What is left is the table less its mean, the place part and the time part"
            else:
                told += f"The {what} part is the mean over the other axis, less the mean of all"
            raise AssertionError(told)
    print("Correct: three parts, each of mean zero, and nothing is lost.")


def check_path_weights(
    path_weights: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Check ``(paths [clips, frames], places [clips]) -> weights of start, end and mean``.

    Raises:
        AssertionError: with what came out and what should have.
    """
    rng = np.random.default_rng(0)
    paths = rng.uniform(0, 3, (200, 8)).cumsum(1) / np.arange(1, 9)
    start, end, mean = paths[:, 0], paths[:, -1], paths.mean(1)
    for wanted in ([0.2, 0.7, 0.1], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0], [0.0, 0.4, 0.1]):
        places = np.column_stack([start, end, mean]) @ wanted - 1.5
        got = path_weights(paths.copy(), places.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        got = np.asarray(got, dtype=float)
        assert got.shape == (3,), (
            f"return three weights (start, end, mean), not shape {got.shape}: what does not "
            "depend on the path is no weight"
        )
        if np.allclose(got, wanted, atol=1e-3):
            continue
        columns = np.column_stack([start, end, mean])
        middles = np.column_stack([start, end, (start + end) / 2, np.ones(len(paths))])
        slips = {
            "Without a constant, weights must bend to make up for it": np.linalg.lstsq(
                columns, places, rcond=None
            )[0],
            "The mean is over all frames; half way between the ends is nothing new": (
                np.linalg.lstsq(middles, places, rcond=None)[0][:3]
            ),
            "Do not make them sum to one: whether they do is a finding": (
                np.array(wanted) / sum(wanted)
            ),
        }
        hint = next((t for t, slip in slips.items() if np.allclose(got, slip, atol=1e-3)), "")
        raise AssertionError(
            f"wanted start, end, mean = {wanted}, got {got.round(2).tolist()}. {hint}"
        )
    print("Correct: least squares, with a constant.")


def check_motion(
    motion: Callable[[torch.Tensor, torch.Tensor, np.ndarray], torch.Tensor],
) -> None:
    """Check ``(states, states of the reversed clips, paths) -> [d]``, what "right" adds.

    Raises:
        AssertionError: with what came out and what should have.
    """
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    wanted = torch.randn(10, generator=generator)
    paths = np.linspace(rng.uniform(0, 3, 60), rng.uniform(0, 3, 60), 8, axis=1)
    way = torch.from_numpy(np.sign(paths[:, -1] - paths[:, 0])).float()[:, None]
    # What the clip and its reverse share: the object, and the mean place.
    shared = 4 * torch.randn(60, 10, generator=generator)
    states, back = shared + way * wanted, shared - way * wanted
    got = motion(states.clone(), back.clone(), paths.copy())
    assert got is not None, "the function returns nothing: is a `return` missing?"
    got = torch.as_tensor(got).float()
    assert got.shape == wanted.shape, f"return [d], the mean over clips, not {list(got.shape)}"
    slips = {
        "You forgot the half: a clip and its reverse differ by right minus left": 2 * wanted,
        "That points to the left": -wanted,
        "Turn the sign of clips that go left, or left and right cancel": (states - back).mean(0)
        / 2,
        "The reversed clips are needed: what they share with the clip must fall out": (
            way * states
        ).mean(0),
    }
    if not torch.allclose(got, wanted, atol=1e-4):
        close = (t for t, slip in slips.items() if torch.allclose(got, slip, atol=1e-4))
        hint = next(close, "Half the difference of a clip and its reverse, right minus left")
        raise AssertionError(f"off by up to {float((got - wanted).abs().max()):.2f}. {hint}")
    print("Correct: the object and the mean place fall out; the way it goes stays.")


def check_derivatives(derivatives: Callable[[torch.Tensor, np.ndarray], torch.Tensor]) -> None:
    """Check ``(states [n, d_model], paths [n, frames]) -> [3, d_model]``.

    Raises:
        AssertionError: with which of place, speed and acceleration is wrong.
    """
    rng = np.random.default_rng(0)
    for frames in (8, 5):
        time = np.arange(frames) - (frames - 1) / 2
        start, speed = rng.normal(size=(2, 200, 1))
        # What is fast speeds up, and what speeds up is further right: none may stand for another.
        turn = 0.6 * speed + 0.4 * start + 0.3 * rng.normal(size=(200, 1))
        paths = start + 0.5 * speed + speed * time + turn / 2 * time**2
        values = np.column_stack([paths.mean(1), speed, turn])
        effects, offset = rng.normal(size=(3, 10)), rng.normal(size=10)
        states = torch.from_numpy(values @ effects + offset)
        got = derivatives(states.clone(), paths.copy())
        assert got is not None, "the function returns nothing: is a `return` missing?"
        assert got.shape == (3, 10), f"return shape (3, 10), not {tuple(got.shape)}"
        found = got.double().numpy()
        if np.allclose(found, effects, atol=1e-6):
            continue
        names = ("place", "speed", "acceleration")
        wrong = [
            n
            for n, a, b in zip(names, found, effects, strict=True)
            if not np.allclose(a, b, atol=1e-6)
        ]
        told = f"{frames} frames, wrong: {', '.join(wrong)}. "
        centred = values - values.mean(0)
        alone = centred.T @ states.numpy() / (centred**2).sum(0)[:, None]
        if np.allclose(found, alone, atol=1e-6):
            told += "One regression on all three, not three regressions: they go together"
        elif np.allclose(found[2], 2 * effects[2], atol=1e-6):
            told += "Acceleration is the second derivative of c t²: 2c"
        elif "place" in wrong and len(wrong) == 1:
            told += "Is there a constant?"
        else:
            told += (
                "Place is the mean of the path, not its value in the middle; t counts from the "
                "middle; and the regression has a constant"
            )
        raise AssertionError(told)
    print("Correct: three directions, each with the other two held fixed.")
