"""Beliefs against sums done by hand, and multi-token answers against brute force."""

import math

import numpy as np
import pytest
import torch

from helpers.beliefs import surface_forms

ANSWER_PAIRS = [("Left", "Right"), ("backpack", "teapot"), ("Top left", "Top right")]


def forms_by_hand(vlm, prompt, answer):
    """All spellings, read off the tokens that follow the prompt when it is written out.

    Not those that are spelt in pieces where others are one: at most one token more.
    """
    tokenizer, found = vlm.processor.tokenizer, set()
    ids = prompt.inputs["input_ids"][0].tolist()
    for text in {answer, answer.capitalize(), answer[0].lower() + answer[1:]}:
        for space in (" ", ""):
            whole = tokenizer(prompt.text + space + text).input_ids
            assert whole[: len(ids)] == ids
            found.add(tuple(whole[len(ids) :]))
    shortest = min(map(len, found))
    return {form for form in found if len(form) <= shortest + 1}


@torch.no_grad()
def log_prob_by_hand(vlm, prompt, form):
    """Log-probability of a sequence of tokens after the prompt, one forward pass each."""
    inputs, total = dict(prompt.inputs), 0.0
    for token in form:
        log_probs = vlm.model(**inputs).logits[0, -1].double().log_softmax(-1)
        total += float(log_probs[token])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return total


def answer_by_hand(vlm, prompt, answer):
    forms = forms_by_hand(vlm, prompt, answer)
    return math.log(sum(math.exp(log_prob_by_hand(vlm, prompt, form)) for form in forms))


@pytest.mark.parametrize("answer", [a for pair in ANSWER_PAIRS for a in pair] + ["yes", "hot dog"])
def test_surface_forms_are_the_tokens_that_follow_the_prompt(vlm, prompt, answer):
    forms = surface_forms(vlm, prompt, answer)
    assert len(forms) == len(set(forms))
    assert set(forms) == forms_by_hand(vlm, prompt, answer)


def test_surface_forms_vary_case_and_space_and_read_back_as_the_answer(vlm, prompt):
    tokenizer = vlm.processor.tokenizer
    forms = surface_forms(vlm, prompt, "left")
    assert set(forms) == set(surface_forms(vlm, prompt, " Left "))
    pieces = tokenizer.convert_ids_to_tokens
    assert {"".join(pieces(list(form))) for form in forms} == {"▁Left", "▁left"}
    some = {"".join(pieces(list(form))) for form in surface_forms(vlm, prompt, "it")}
    assert {"▁it", "it"} <= some  # without a space it takes two tokens


@pytest.mark.parametrize("answers", ANSWER_PAIRS)
def test_beliefs_equal_brute_force_over_all_forms(vlm, prompts, answers):
    table = vlm.beliefs(prompts, answers)
    assert table["question"].tolist() == [prompt.question for prompt in prompts]
    for prompt, (_, row) in zip(prompts, table.iterrows(), strict=True):
        one, other = (answer_by_hand(vlm, prompt, answer) for answer in answers)
        # Forms that weigh less than 1e-4 of an answer may be left out: one in 1e4 for each.
        assert row[f"log_prob_{answers[0]}"] == pytest.approx(one, abs=5e-4)
        assert row[f"log_prob_{answers[1]}"] == pytest.approx(other, abs=5e-4)
        assert row["log_odds"] == pytest.approx(one - other, abs=1e-3)
        assert row["belief"] == answers[int(one < other)]


def test_answers_of_several_tokens_are_exact(vlm, prompts):
    table = vlm.beliefs(prompts, ("backpack", "traffic light"))
    for prompt, value in zip(prompts, table["log_prob_traffic light"], strict=True):
        assert value == pytest.approx(answer_by_hand(vlm, prompt, "traffic light"), abs=1e-5)


def test_a_form_of_several_tokens_counts_beside_one_of_a_single_token(vlm, prompt):
    """ "it" without a space has some percent of the probability here: it is not left out."""
    tokenizer, table = vlm.processor.tokenizer, vlm.model.get_input_embeddings().weight.detach()
    whole, *letters = (table[i] for i in tokenizer.convert_tokens_to_ids(["▁it", *"it"]))
    stream = 30 * torch.stack([whole + 0.5 * letters[0], *letters[1:]])

    def spell(resid, hook):
        resid = resid.clone()
        count = min(2, resid.shape[1] - prompt.last)
        resid[:, prompt.last : prompt.last + count] = stream[:count]
        return resid

    site = vlm.resid_post(vlm.n_layers - 1)
    row = vlm.beliefs(prompt, ("it", "of"), fwd_hooks=[(site, spell)]).iloc[0]
    handle = vlm.layers[-1].register_forward_hook(lambda block, a, output: spell(output, None))
    try:
        expected = answer_by_hand(vlm, prompt, "it")
        in_letters = log_prob_by_hand(vlm, prompt, tokenizer.convert_tokens_to_ids(["i", "t"]))
    finally:
        handle.remove()
    assert math.exp(in_letters - expected) > 0.01
    assert row["log_prob_it"] == pytest.approx(expected, abs=5e-4)


def test_hooks_act_on_every_token_of_a_long_answer(vlm, prompt):
    where = prompt.word("backpack")

    def double(resid, hook):
        resid = resid.clone()
        resid[:, where] *= 3
        return resid

    hooked = vlm.beliefs(prompt, ("backpack", "teapot"), fwd_hooks=[(vlm.resid_post(0), double)])
    handle = vlm.layers[0].register_forward_hook(lambda block, a, output: double(output, None))
    try:
        expected = [answer_by_hand(vlm, prompt, answer) for answer in ("backpack", "teapot")]
    finally:
        handle.remove()
    found = hooked[["log_prob_backpack", "log_prob_teapot"]].iloc[0]
    assert found.to_numpy(float) == pytest.approx(expected, abs=1e-5)
    clean = vlm.beliefs(prompt, ("backpack", "teapot"))
    assert abs(clean["log_prob_teapot"][0] - expected[1]) > 1e-3


def test_a_belief_reads_the_answer_however_it_is_spelt(vlm, prompt):
    """One defect of the released code: "Left" for one model, "left" for another."""
    tokenizer, table = vlm.processor.tokenizer, vlm.model.get_input_embeddings().weight
    for piece in ("▁Left", "▁left"):
        target = 30 * table[tokenizer.convert_tokens_to_ids(piece)].detach()

        def say(resid, hook, target=target):
            resid[:, prompt.last] = target

        site = vlm.resid_post(vlm.n_layers - 1)
        row = vlm.beliefs(prompt, ("Left", "Right"), fwd_hooks=[(site, say)]).iloc[0]
        assert row["belief"] == "Left"
        assert row["log_prob_Left"] > -0.5
        assert row["log_odds"] > 2
        assert row["valid"]


def test_valid_says_whether_the_model_begins_one_of_the_answers(vlm, prompts):
    """Babble may still have log-odds: it is told apart."""
    tokenizer, table = vlm.processor.tokenizer, vlm.model.get_input_embeddings().weight
    frog = 30 * table[tokenizer.convert_tokens_to_ids("▁frog")].detach()
    right = 30 * table[tokenizer.convert_tokens_to_ids("▁Right")].detach()

    def say(resid, hook):
        resid[0, prompts[0].last] = frog
        resid[1, prompts[1].last] = right

    site = vlm.resid_post(vlm.n_layers - 1)
    found = vlm.beliefs(prompts[:2], ("Left", "Right"), fwd_hooks=[(site, say)])
    assert found["valid"].tolist() == [False, True]
    assert found["belief"][1] == "Right"


def test_more_than_two_answers(vlm, prompt):
    answers = ("Left", "Right", "Above")
    row = vlm.beliefs(prompt, answers).iloc[0]
    scores = [row[f"log_prob_{answer}"] for answer in answers]
    assert row["belief"] == answers[int(np.argmax(scores))]
    assert row["log_odds"] == pytest.approx(scores[0] - scores[1], abs=1e-6)
