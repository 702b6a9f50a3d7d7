"""Beliefs: which of a few answers a model finds most likely, over all their surface forms."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch

from helpers.hooks import HookedVLM, HookFunction, _as_list
from helpers.prompts import Prompt

#: From a form of several tokens, and the rows that need it, to the log-probability of all but its
#: first token, ``[rows]``.
Continuation = Callable[[tuple[int, ...], list[int]], torch.Tensor]

# A form that cannot move its answer's log-probability by more than this is not worth a pass.
_NEGLIGIBLE = -9.2  # log(1e-4)


def surface_forms(vlm: HookedVLM, prompt: Prompt, answer: str) -> list[tuple[int, ...]]:
    """Return the token sequences that an answer can begin the reply with.

    Case and a leading space vary: "Left", "left", " Left", " left". The tokens are those that
    appear when the form is written behind the prompt, so word-initial markers come out right.

    Raises:
        ValueError: if the answer is empty.
    """
    word = answer.strip()
    if not word:
        raise ValueError("an empty answer has no surface forms")
    tokenizer = vlm.processor.tokenizer
    tail = prompt.text[-12:].lstrip()
    before = tokenizer(tail, add_special_tokens=False).input_ids
    forms = []
    for text in (word, word[0].upper() + word[1:], word[0].lower() + word[1:]):
        for space in (" ", ""):
            whole = tokenizer(tail + space + text, add_special_tokens=False).input_ids
            if whole[: len(before)] == before and tuple(whole[len(before) :]) not in forms:
                forms.append(tuple(whole[len(before) :]))
    # Nobody answers letter by letter where a word is one token, and such forms cost a pass each.
    shortest = min(map(len, forms))
    return [form for form in forms if len(form) <= shortest + 1]


@torch.no_grad()
def beliefs(
    vlm: HookedVLM,
    prompts: Prompt | Sequence[Prompt],
    answers: Sequence[str],
    fwd_hooks: Sequence[tuple[str, HookFunction]] = (),
) -> pd.DataFrame:
    """Read what a model believes at the last token of each prompt.

    Args:
        vlm: the model.
        prompts: one or several, run as one batch.
        answers: two or more answers, such as ``("Left", "Right")``.
        fwd_hooks: hooks of the pass.

    Returns:
        A row for each prompt: ``question``; ``log_prob_{answer}``, summed over surface forms;
        ``log_odds`` of the first answer against the second; ``belief``, the likeliest answer; and
        ``valid``, whether the model's own first token begins one of the answers.

    Raises:
        TypeError: if the answers are one string.
        ValueError: with fewer than two answers, or answers that share a surface form.
    """
    prompts = _as_list(prompts)
    forms = answer_forms(vlm, prompts[0], answers)
    logits = vlm.last_logits(prompts, fwd_hooks)

    def rest(form: tuple[int, ...], rows: list[int]) -> torch.Tensor:
        # Hooks are for the whole batch.
        return _continuation(vlm, prompts, form, fwd_hooks)[rows]

    return read_beliefs([prompt.question for prompt in prompts], forms, logits, rest)


def answer_forms(
    vlm: HookedVLM, prompt: Prompt, answers: Sequence[str]
) -> dict[str, list[tuple[int, ...]]]:
    """Return each answer's surface forms, checked; see :func:`beliefs` for what is raised."""
    if isinstance(answers, str):
        raise TypeError(f"answers must be a list of words, not the string {answers!r}")
    answers = list(answers)
    if len(answers) < 2:
        raise ValueError(f"a belief is between at least two answers, not {answers}")
    forms = {answer: surface_forms(vlm, prompt, answer) for answer in answers}
    every = [form for group in forms.values() for form in group]
    if len(set(every)) < len(every):
        raise ValueError(f"the answers {answers} share a surface form")
    return forms


def read_beliefs(
    questions: Sequence[str],
    forms: dict[str, list[tuple[int, ...]]],
    logits: torch.Tensor,
    rest: Continuation,
) -> pd.DataFrame:
    """Turn logits at the last token into the table of :func:`beliefs`.

    Args:
        questions: one for each row.
        forms: from :func:`answer_forms`.
        logits: ``[batch, vocabulary]``.
        rest: gives the log-probability of a form's tokens after its first, ``[rows]``. It costs
            a pass, and is only called for forms and rows where it could matter.
    """
    logits = logits.float().cpu()
    first = logits.log_softmax(-1)
    scores = {answer: _score(group, first, rest) for answer, group in forms.items()}
    stacked, answers = torch.stack(list(scores.values())), list(scores)
    begins = torch.tensor([form[0] for group in forms.values() for form in group])
    return pd.DataFrame(
        {
            "question": list(questions),
            **{f"log_prob_{answer}": scores[answer].numpy() for answer in answers},
            "log_odds": (stacked[0] - stacked[1]).numpy(),
            "belief": [answers[index] for index in stacked.argmax(0)],
            "valid": torch.isin(logits.argmax(-1), begins).numpy(),
        }
    )


def _score(forms: list[tuple[int, ...]], first: torch.Tensor, rest: Continuation) -> torch.Tensor:
    """Log-probability of an answer, ``[batch]``: the log of the sum over its forms."""
    single = [first[:, form[0]] for form in forms if len(form) == 1]
    longer = [form for form in forms if len(form) > 1]
    parts = list(single)
    best = torch.stack(single).amax(0) if single else torch.tensor(-torch.inf)
    for form in longer:
        # A form is at most as likely as its first token.
        bound = first[:, form[0]]
        rows = (bound >= best + _NEGLIGIBLE).nonzero().flatten().tolist()
        if rows:
            part = torch.full_like(bound, -torch.inf)
            part[rows] = bound[rows] + rest(form, rows)
            parts.append(part)
    return torch.stack(parts).logsumexp(0)


def _continuation(
    vlm: HookedVLM,
    prompts: list[Prompt],
    form: tuple[int, ...],
    fwd_hooks: Sequence[tuple[str, HookFunction]],
) -> torch.Tensor:
    """Log-probability of a form's tokens after the first, given the first, ``[batch]``."""
    with vlm.hooks(fwd_hooks):
        logits = vlm.model(**vlm.batch(prompts, append=form)).logits
    log_probs = logits.float().log_softmax(-1).cpu()
    total = torch.zeros(len(prompts))
    for row, prompt in enumerate(prompts):
        for offset, token in enumerate(form[1:]):
            total[row] += log_probs[row, len(prompt) + offset, token]
    return total
