"""Checks for the exercises of chapter 1, "Meet the model"."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from helpers.hooks import HookPoint

# Each case: the tokens of a prompt (the image is short here), its question, a word, and where the
# word's tokens are.
_CASES = (
    (
        ["USER:", "<image>", "<image>", "\n", "Is", " the", " frog", " above", " the", " fan", "?"],
        "Is the frog above the fan?", "frog", [6],
        "a word that is one token",
    ),
    (
        ["USER:", "<image>", "\n", "Is", " the", " hot", " dog", " left", " of", " the", " back",
         "pack", "?"],
        "Is the hot dog left of the backpack?", "backpack", [10, 11],
        "a word of two tokens: both belong to it",
    ),
    (
        ["USER:", "<image>", "\n", "Is", " the", " hot", " dog", " left", " of", " the", " back",
         "pack", "?"],
        "Is the hot dog left of the backpack?", "hot dog", [5, 6],
        "a name of two words",
    ),
    (
        ["USER:", "<image>", "\n", "Is", " the", " pine", "apple", " left", " of", " the", " apple",
         "?"],
        "Is the pineapple left of the apple?", "apple", [10],
        "the apple, not the second half of the pineapple",
    ),
    (
        ["USER:", "<image>", "<image>", "\n", "Is", " there", " a", " car", " in", " the", " image",
         "?"],
        "Is there a car in the image?", "image", [10],
        "the word of the question, not the placeholders of the patches",
    ),
    (
        ["USER:", "<image>", "\n", "Is", " the", "▁", "frog", " to", " the", " left", "?"],
        "Is the frog to the left?", "frog", [6],
        "a tokenizer that makes the space before a word a token of its own",
    ),
)  # fmt: skip


def check_find_word(find_word: Callable[..., Sequence[int]]) -> None:
    """Check ``find_word(text, offsets, question, word) -> positions``."""
    for tokens, question, word, expected, why in _CASES:
        shown = [token.replace("▁", " ") for token in tokens]
        ends = torch.tensor([len(token) for token in shown]).cumsum(0).tolist()
        offsets = list(zip([0, *ends[:-1]], ends, strict=True))
        found = find_word("".join(shown), offsets, question, word)
        assert found is not None, "the function returns nothing: is a `return` missing?"
        found = list(found)
        assert found == expected, (
            f"in {question!r} you found {word!r} at positions {found} "
            f"({[shown[i] for i in found if 0 <= i < len(shown)]}). The case: {why}."
        )
    print(f"correct: all {len(_CASES)} words found, every token of them and no other")


def check_log_odds(log_odds: Callable[..., torch.Tensor | float]) -> None:
    """Check ``log_odds(logits, forms, other_forms)``: logits ``[vocabulary]``, token ids."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(50, generator=generator)
    left, right = [4, 17, 29], [8, 33]
    mass = logits.softmax(-1)
    expected = float(mass[left].sum().log() - mass[right].sum().log())
    slips = {
        -expected: "the sign is turned round: first answer minus second",
        float(logits[left].max() - logits[right].max()): "you took the best form of each answer; "
        "add the probabilities of all forms",
        float(logits[left].sum() - logits[right].sum()): "you added log-probabilities, which "
        "multiplies probabilities; add the probabilities, then take the log",
        float(
            logits[left].mean() - logits[right].mean()
        ): "you averaged log-probabilities; add the probabilities, then take the log",
        float(mass[left].sum() - mass[right].sum()): "this is a difference of probabilities; take "
        "the log of each sum first",
        float(mass[left].sum() / mass[right].sum()): "these are the odds; take their log",
    }
    slips |= {
        float(mass[left].mean().log() - mass[right].mean().log()): "you averaged the probabilities "
        "of an answer's forms; an answer with more forms has more ways to be said: add them",
        float(mass[left].sum().log() - (1 - mass[left].sum()).log()): "you compared the first "
        "answer with all other tokens; compare it with the second answer",
    }
    found = log_odds(logits, left, right)
    assert found is not None, "the function returns nothing: is a `return` missing?"
    found = float(found)
    for wrong, hint in slips.items():
        assert abs(found - wrong) > 1e-4, f"{found:.4f} is not it: {hint}"
    assert abs(found - expected) < 1e-4, (
        f"{found:.4f} is not it: two probabilities, each summed over an answer's forms, and the "
        "log of their ratio"
    )
    large = float(log_odds(logits + 300, left, right))
    assert abs(large - expected) < 1e-2, (
        f"with 300 added to every logit the log-odds must stay as they are, but became {large}: "
        "exp() overflowed; torch has a function that adds probabilities and never leaves the logs"
    )
    print("correct: probabilities add within an answer, and the log-odds compare the sums")


def check_ablate(ablate: Callable[..., Callable]) -> None:
    """Check ``ablate(positions, vector) -> hook``."""
    point = HookPoint("blocks.0.hook_resid_pre")
    stream = torch.arange(48.0).reshape(2, 6, 4)
    vectors = [torch.full((4,), -1.0), torch.full((4,), -2.0)]
    hooks = [ablate(where, vectors[n]) for n, where in enumerate(([1, 3], [4]))]
    assert all(map(callable, hooks)), f"return a hook, not {type(hooks[0]).__name__}"
    for hook, where, vector in zip(hooks, ([1, 3], [4]), vectors, strict=True):
        given = stream.clone()
        returned = hook(given, point)
        after = given if returned is None else returned
        assert after.shape == stream.shape, (
            f"the stream came in as {list(stream.shape)} and left as {list(after.shape)}: return "
            "all of it"
        )
        others = [i for i in range(6) if i not in where]
        assert torch.equal(after[:, others], stream[:, others]), (
            f"positions {others} were none of your business, and changed. The axes are [batch, "
            "position, d_model]"
        )
        told = f"positions {where} do not hold the vector in every row. "
        if torch.equal(after, stream):
            told += "Nothing changed: edit `resid` in place, or return the new tensor"
        elif torch.allclose(after[:, where], stream[:, where] + vector):
            told += "It was added; what was there before must be gone"
        elif torch.equal(after[0, where], vector.expand(len(where), 4)):
            told += "The first row of the batch does, and the second does not"
        elif torch.equal(after[:, where], vectors[-1].expand(2, len(where), 4)):
            told += "They hold the vector of another hook: each hook keeps its own"
        assert torch.equal(after[:, where], vector.expand(2, len(where), 4)), told
    print("correct: these positions are overwritten, and nothing else")


# What it sees, what it prefers ------------------------------------------------------------------


def check_apart(apart: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    """Check ``(asked, exchanged) -> (evidence, preference)`` on beliefs made of known parts.

    Raises:
        AssertionError: with what is probably wrong.
    """
    evidence = np.array([3.0, -2.0, 0.5, -4.0, 0.0])
    preference = np.array([1.0, 1.0, -0.5, 6.0, 2.0])
    got = apart(evidence + preference, preference - evidence)
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert len(got) == 2, f"return two arrays, evidence and preference, not {len(got)} things"
    seen, liked = (np.asarray(part, dtype=float) for part in got)
    for name, part in (("evidence", seen), ("preference", liked)):
        assert part.shape == evidence.shape, (
            f"the {name} has shape {part.shape}; every pair of beliefs has its own: {len(evidence)}"
        )
    told = ""
    if np.allclose(seen, preference) and np.allclose(liked, evidence):
        told = "the two are in the wrong order: evidence first"
    elif np.allclose(seen, 2 * evidence) or np.allclose(liked, 2 * preference):
        told = "twice as much as there is: each belief holds either part once"
    elif np.allclose(seen, -evidence):
        told = "the evidence has the other sign: it is that of the question as asked"
    elif np.allclose(liked, np.abs(preference)) or np.allclose(seen, np.abs(evidence)):
        told = "without their signs the parts do not add up to the belief"
    elif np.allclose(seen, evidence + preference):
        told = "the belief as asked still holds the preference; what does the other order tell?"
    elif not np.allclose(seen, evidence):
        told = "the evidence must change its sign when the nouns change places, and nothing else"
    elif not np.allclose(liked, preference):
        told = "the preference must be the same in either order; the evidence must cancel"
    assert not told, told[0].upper() + told[1:]
    print("correct: two parts that add up to either belief")


# A pair of words --------------------------------------------------------------------------------


def check_word_pair(
    word_pair: Callable[..., tuple[int, int, float]],
) -> None:
    """Check ``(logits, left, scene, seed) -> (token, token, share)`` on planted words, and none.

    Raises:
        AssertionError: with what came out and what was probably forgotten.
    """
    random = np.random.default_rng(0)
    logits, left, scene = _readings(random, scenes=80, words=300)
    logits[:, 17] += np.where(left, 1.5, -1.5) + 4  # likelier than the other word everywhere
    logits[:, 203] += np.where(left, -1.5, 1.5)
    logits[:, 99] *= 30  # loud, and about something else
    got = word_pair(logits.copy(), left.copy(), scene.copy(), seed=0)
    assert got is not None, "the function returns nothing: is a `return` missing?"
    assert len(got) == 3, f"return three things: two tokens and a share, not {len(got)}"
    one, other, share = int(got[0]), int(got[1]), float(got[2])
    assert (one, other) != (203, 17), "that is the pair, turned round: first what leans to the left"
    assert 99 not in (one, other), (
        f"token {99} varies thirty times as much as the others and tells nothing about the side: "
        "measure a difference between the sides by the spread within them"
    )
    assert (one, other) == (17, 203), (
        f"two words are planted that tell the side almost always; you chose {one} and {other}"
    )
    assert share > 0.9, (
        f"the planted pair tells the side in more than 90 % of rows, you report {share:.0%}. One "
        "of the two words is likelier than the other on both sides: where do you cut?"
    )
    found = []
    for seed in range(40):
        logits, left, scene = _readings(random, scenes=24, words=400)
        found.append(float(word_pair(logits, left, scene, seed=seed)[2]))
    share = float(np.mean(found))
    told = f"where there is nothing to find you report {share:.0%} on average. "
    assert share < 0.8, told + "Was the pair judged on the rows that chose it?"
    assert share < 0.57, told + (
        "A picture and its mirror image are no strangers: what tells them apart by chance in one "
        "half of the rows tells the twin's side in the other. Which halves do not share a scene?"
    )
    assert share > 0.43, told + "That is less than guessing: do the halves hold as many of each?"
    print(f"correct: a planted pair is found, and {share:.0%} where there is none")


def _readings(
    random: np.random.Generator, scenes: int, words: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits without a word for a side, of scenes and their mirror images; rows in no order.

    A scene tells its two pictures apart in some way of its own, as real scenes do.
    """
    own = random.normal(size=(scenes, words))
    logits = np.concatenate([own, -own]) + 0.2 * random.normal(size=(2 * scenes, words))
    first = random.random(scenes) < 0.5
    order = random.permutation(2 * scenes)
    return logits[order], np.concatenate([first, ~first])[order], np.tile(range(scenes), 2)[order]
