"""Checks for chapter 1: finding words, log-odds over surface forms, an ablating hook."""

from collections.abc import Callable, Sequence

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
        found = list(find_word("".join(shown), offsets, question, word))
        assert found == expected, (
            f"in {question!r} the word {word!r} is at positions {expected} "
            f"({[shown[i] for i in expected]}), but you found {found} "
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
    found = float(log_odds(logits, left, right))
    for wrong, hint in slips.items():
        assert abs(found - wrong) > 1e-4, f"{found:.4f} came out, not {expected:.4f}: {hint}"
    assert abs(found - expected) < 1e-4, f"{found:.4f} came out, not {expected:.4f}"
    large = float(log_odds(logits + 300, left, right))
    assert abs(large - expected) < 1e-2, (
        f"with 300 added to every logit the log-odds must stay {expected:.4f}, but became {large}: "
        "exp() overflowed; use torch.logsumexp"
    )
    print("correct: probabilities add within an answer, and the log-odds compare the sums")


def check_ablate(ablate: Callable[..., Callable]) -> None:
    """Check ``ablate(positions, vector) -> hook``."""
    point = HookPoint("blocks.0.hook_resid_pre")
    stream = torch.arange(48.0).reshape(2, 6, 4)
    vectors = [torch.full((4,), -1.0), torch.full((4,), -2.0)]
    hooks = [ablate(where, vectors[n]) for n, where in enumerate(([1, 3], [4]))]
    for hook, where, vector in zip(hooks, ([1, 3], [4]), vectors, strict=True):
        given = stream.clone()
        returned = hook(given, point)
        after = given if returned is None else returned
        assert after.shape == stream.shape, (
            f"the stream came in as {list(stream.shape)} and left as {list(after.shape)}"
        )
        assert torch.equal(after[:, where], vector.expand(2, len(where), 4)), (
            f"positions {where} must hold the vector {vector.tolist()} in every row, "
            f"but hold {after[:, where].tolist()}"
        )
        others = [i for i in range(6) if i not in where]
        assert torch.equal(after[:, others], stream[:, others]), (
            f"positions {others} were none of your business, and changed"
        )
    print("correct: these positions are overwritten, and nothing else")
