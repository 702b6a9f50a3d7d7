"""The checks of chapter 7: they pass the solution, and tell what is wrong with what is wrong."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from zoo import ZOO

from helpers import load_vlm
from helpers.exercises import ch07

pytest.importorskip("transformer_lens")
from helpers.bridge import bridge_inputs, to_bridge


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def case(request):
    """A tiny model, its bridge, and a prompt."""
    vlm = load_vlm(*ZOO[request.param]())
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (64, 64, 3), generator=generator).byte().numpy()
    prompt = vlm.prompt(Image.fromarray(pixels), "Is the frog left of the camel?")
    inputs = bridge_inputs(vlm, prompt)
    return SimpleNamespace(bridge=to_bridge(vlm), prompt=prompt, inputs=inputs)


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


# Times chance -----------------------------------------------------------------------------------


def test_times_chance():
    def right(row, keys, patches):
        return row[keys].sum() / row[patches].sum() / (len(keys) / len(patches))

    ch07.check_times_chance(right)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda row, keys, patches: row[keys].sum() * len(patches) / len(keys), "goes to text"),
        (lambda row, keys, patches: row[keys].mean() / row.mean(), "average over all tokens"),
        (lambda row, keys, patches: row[keys].sum() / row[patches].sum(), "keys' share of patches"),
    ],
)
def test_times_chance_refuses(wrong, says):
    refuses(says, ch07.check_times_chance, wrong)


# The cut ----------------------------------------------------------------------------------------


def cut_with(value, heads=None, queries=None):
    """Ways to write the cut, right and wrong."""

    def cut(head, asked, keys):
        def blind(scores, hook):
            scores = scores.clone()
            for query in range(scores.shape[2]) if queries == "all" else asked:
                scores[:, slice(None) if heads == "all" else head, query, keys] = value
            return scores

        return blind

    return cut


def test_cut(case):
    solution = cut_with(-torch.inf)
    ch07.check_cut(solution, case.bridge, case.inputs, case.prompt)
    ch07.check_cut(cut_with(-1e4), case.bridge, case.inputs, case.prompt)


def test_cut_in_place(case):
    def cut(head, queries, keys):
        def blind(scores, hook):
            for query in queries:
                scores[:, head, query, keys] = -torch.inf

        return blind

    ch07.check_cut(cut, case.bridge, case.inputs, case.prompt)


def pairs(head, queries, keys):
    def blind(scores, hook):
        scores = scores.clone()
        scores[:, head, queries, keys] = -torch.inf
        return scores

    return blind


def nothing(head, queries, keys):
    return lambda scores, hook: None


def everything(head, queries, keys):
    def blind(scores, hook):
        scores = scores.clone()
        scores[:, head, queries] = -torch.inf
        return scores

    return blind


def other_name(head, queries, keys):
    return lambda scores, point: scores


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (cut_with(0.0), "a score of 0 is not an attention of 0"),
        (cut_with(-torch.inf, heads="all"), "heads other than"),
        (cut_with(-torch.inf, queries="all"), "tokens other than"),
        (pairs, "Two lists as indices are read as pairs"),
        (nothing, "changes nothing"),
        (everything, "NaN"),
        (other_name, r"hook_function\(tensor, hook=\.\.\.\)"),
        (lambda head, queries, keys: None, "return a function"),
    ],
)
def test_cut_refuses(case, wrong, says):
    refuses(says, ch07.check_cut, wrong, case.bridge, case.inputs, case.prompt)


# The factor -------------------------------------------------------------------------------------


def test_factor_for():
    ch07.check_factor_for(lambda now, wanted: wanted * (1 - now) / (now * (1 - wanted)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda now, wanted: wanted / now, "the row is normed again"),
        (lambda now, wanted: now * (1 - wanted) / max(wanted * (1 - now), 1e-9), "becomes"),
    ],
)
def test_factor_for_refuses(wrong, says):
    refuses(says, ch07.check_factor_for, wrong)


# What heads add ---------------------------------------------------------------------------------


def test_head_outputs(case):
    def right(z, weights):
        return torch.einsum("bphd,hdm->bphm", z, weights)

    ch07.check_head_outputs(right, case.bridge, case.inputs)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda z, W: torch.einsum("bphd,hdm->bpm", z, W), "You added the heads up"),
        (lambda z, W: torch.einsum("bphd,dm->bphm", z, W[0]), "a matrix of its own"),
        (lambda z, W: torch.einsum("bphd,hdm->bpm", z, W)[:, :, None].expand(-1, -1, len(W), -1)
         / len(W), "mixes heads"),
        (lambda z, W: (z @ W[0]).tolist(), "return a tensor"),
    ],
)  # fmt: skip
def test_head_outputs_refuses(case, wrong, says):
    refuses(says, ch07.check_head_outputs, wrong, case.bridge, case.inputs)


# Pointing ---------------------------------------------------------------------------------------


def look_with(clear=True, own_key=True, heads=None):
    def look_at(head, query, keys):
        def point(pattern, hook):
            pattern = pattern.clone()
            chosen = slice(None) if heads == "all" else head
            if clear:
                pattern[:, chosen, query] = 0
            for row, key in enumerate(keys):
                pattern[row, chosen, query, key if own_key else keys[0]] = 1
            return pattern

        return point

    return look_at


def all_keys(head, query, keys):
    def point(pattern, hook):
        pattern = pattern.clone()
        pattern[:, head, query] = 0
        pattern[:, head, query, keys] = 1
        return pattern

    return point


def test_look_at(case):
    ch07.check_look_at(look_with(), case.bridge, case.inputs, case.prompt)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (look_with(clear=False), "a row of a pattern sums to one"),
        (all_keys, "a row of a pattern sums to one"),
        (look_with(own_key=False), "row 1 of the batch must look at key"),
        (look_with(heads="all"), "only head"),
        (nothing, "changes nothing"),
    ],
)
def test_look_at_refuses(case, wrong, says):
    refuses(says, ch07.check_look_at, wrong, case.bridge, case.inputs, case.prompt)


# A team -----------------------------------------------------------------------------------------


def send_home(damage, heads, enough):
    team = list(heads)
    if damage(team) < enough:
        return None
    for head in list(heads):
        rest = [other for other in team if other != head]
        if damage(rest) >= enough:
            team = rest
    return team


def by_single_cost(damage, heads, enough):
    order = sorted(heads, key=lambda head: -damage([head]))
    for count in range(1, len(order) + 1):
        if damage(order[:count]) >= enough:
            return order[:count]
    return None


def useful_alone(damage, heads, enough):
    team = [head for head in heads if damage([head]) > 0.1]
    return team if damage(team) >= enough else None


def every_set(damage, heads, enough):
    for count in range(1, len(heads) + 1):
        for team in itertools.combinations(heads, count):
            if damage(list(team)) >= enough:
                return list(team)
    return None


def test_lean_team():
    ch07.check_lean_team(send_home)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (by_single_cost, "does not need"),
        (useful_alone, "does not need|found no team"),
        (every_set, "every try is a pass"),
        (lambda damage, heads, enough: list(heads), "does not need"),
        (lambda damage, heads, enough: [max(heads, key=lambda h: damage([h]))], "is asked"),
        (lambda damage, heads, enough: send_home(damage, heads, enough) or [], "Return None"),
    ],
)
def test_lean_team_refuses(wrong, says):
    refuses(says, ch07.check_lean_team, wrong)
