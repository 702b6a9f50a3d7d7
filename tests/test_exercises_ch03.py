"""The checks of chapter 3: they pass the solution, and tell what is wrong with what is wrong."""

import numpy as np
import pytest

from helpers.exercises import ch03


def refuses(says, check, *arguments):
    with pytest.raises(AssertionError, match=says):
        check(*arguments)


def nothing(*_):
    return None


# What you know before you look ------------------------------------------------------------------


def known(group, passed, blocks):
    if passed == 0:
        return 1.0 if group == "image" else 0.0
    if passed == blocks:
        return 1.0 if group in ("last token", "all text") else 0.0
    return None


def test_known():
    ch03.check_known(known)


def test_known_as_whole_numbers():
    def whole(*point):
        value = known(*point)
        return value if value is None else int(value)

    ch03.check_known(whole)


def one_group_is_read(group, passed, blocks):
    """Forgets that all text holds the last token."""
    return 0.0 if group == "all text" and passed == blocks else known(group, passed, blocks)


def words_know_already(group, passed, blocks):
    """As if object words held their place before they have looked."""
    return None if passed == 0 and group != "image" else known(group, passed, blocks)


def flows_on(group, passed, blocks):
    return None if passed == blocks and group != "last token" else known(group, passed, blocks)


def image_to_the_end(group, passed, blocks):
    """As if the image held the answer at every depth."""
    return 1.0 if group == "image" else known(group, passed, blocks)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one_group_is_read, "the very last too"),
        (words_know_already, "In which tokens do the two runs differ"),
        (flows_on, "Which token is the answer read from"),
        (image_to_the_end, "Nobody can know"),
        (lambda group, passed, blocks: known(group, passed + 1, blocks), "'image' after 0 of 4"),
        (nothing, "no token has read another yet"),
    ],
)
def test_known_refuses(wrong, says):
    refuses(says, ch03.check_known, wrong)


# The words between the nouns --------------------------------------------------------------------


def between(prompt, first, second):
    one, other = prompt.words([first, second])
    return list(range(one[-1] + 1, other[0]))


def test_between(vlm):
    ch03.check_between(between, vlm)


def from_the_first_token(prompt, first, second):
    one, other = prompt.words([first, second])
    return list(range(one[0] + 1, other[0]))


def with_the_second_noun(prompt, first, second):
    one, other = prompt.words([first, second])
    return list(range(one[-1] + 1, other[-1] + 1))


def one_short(prompt, first, second):
    return between(prompt, first, second)[:-1]


def each_by_itself(prompt, first, second):
    """Takes the first "dog" that comes, which is that of "hot dog"."""
    return list(range(prompt.word(first)[-1] + 1, prompt.word(second)[0]))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (from_the_first_token, "Too much: a word may be several tokens"),
        (with_the_second_noun, "Too much"),
        (one_short, "Too little"),
        (each_by_itself, "Too little"),
        (lambda *given: between(*given)[::-1], "unordered"),
        (nothing, "returns nothing"),
    ],
)
def test_between_refuses(vlm, wrong, says):
    refuses(says, ch03.check_between, wrong, vlm)


# A recovered fraction ---------------------------------------------------------------------------


def recovered(table):
    whole = table["mirrored"] - table["clean"]
    toward = np.sign(whole)
    return (toward * (table["patched"] - table["clean"])).mean() / (toward * whole).mean()


def test_recovered():
    ch03.check_recovered(recovered)


def ratios(table):
    return (table["patched"] - table["clean"]) / (table["mirrored"] - table["clean"])


def plain_means(table):
    with np.errstate(all="ignore"):
        change = table["patched"] - table["clean"]
        return np.divide(change.mean(), (table["mirrored"] - table["clean"]).mean())


def sizes_only(table):
    change, whole = (table[column] - table["clean"] for column in ("patched", "mirrored"))
    return change.abs().mean() / whole.abs().mean()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda table: ratios(table).mean(), "mean of ratios"),
        (lambda table: ratios(table).median(), "median of ratios"),
        (plain_means, "cancelled in the mean"),
        (sizes_only, "no absolute values"),
        (lambda table: 1 - recovered(table), "changes nothing recovers 0"),
        (nothing, "returns nothing"),
    ],
)
def test_recovered_refuses(wrong, says):
    refuses(says, ch03.check_recovered, wrong)


# What each noun contributes ---------------------------------------------------------------------


def parts(table, sign=np.sign):
    toward = sign(table["mirrored"] - table["clean"])
    whole = (toward * (table["mirrored"] - table["clean"])).mean()
    return [
        (toward * (table[swapped] - table["clean"])).mean() / whole
        for swapped in ("first", "second", "both")
    ]


def add_up(table):
    one, other, both = parts(table)
    return one, other, both - one - other


def test_add_up():
    ch03.check_add_up(add_up)


def each_scene_alone(table):
    whole = table["mirrored"] - table["clean"]
    one, other, both = (
        ((table[swapped] - table["clean"]) / whole).mean()
        for swapped in ("first", "second", "both")
    )
    return one, other, both - one - other


def lengths(table):
    one, other, both = (
        (table[swapped] - table["clean"]).abs().mean()
        / (table["mirrored"] - table["clean"]).abs().mean()
        for swapped in ("first", "second", "both")
    )
    return one, other, both - one - other


def sum_minus_both(table):
    one, other, both = parts(table)
    return one, other, one + other - both


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (each_scene_alone, "ratio of two means"),
        (lambda table: add_up(table.assign(clean=0.0)), "A change is after minus before"),
        (sum_minus_both, "the other sign"),
        (lambda table: tuple(parts(table)), "how much of it the sum does not tell"),
        (lambda table: (*add_up(table)[:2], 1.0), "a difference, in parts of the way"),
        (lengths, "no absolute values"),
        (lambda table: parts(table)[:2], "three numbers"),
        (nothing, "returns nothing"),
    ],
)
def test_add_up_refuses(wrong, says):
    refuses(says, ch03.check_add_up, wrong)
