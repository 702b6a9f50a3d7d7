"""Prompts: where words and patches are, and what becomes of pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import Placed, Scene
from helpers.prompts import as_rgb

WHITE = Image.new("RGB", (64, 64), "white")


def read(vlm, prompt, positions):
    """The text of some tokens, by decoding their ids: what the model itself sees there."""
    return vlm.processor.tokenizer.decode(prompt.inputs["input_ids"][0, positions]).strip()


def spans(vlm, question, word):
    """Every occurrence of a word, as positions."""
    prompt, found = vlm.prompt(WHITE, question), []
    while True:
        try:
            found.append(prompt.word(word, len(found)))
        except ValueError:
            return prompt, found


# Words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "tokens"),
    [("frog", 1), ("backpack", 2), ("hot dog", 2), ("pineapple", 2), ("traffic light", 2)],
)
def test_a_span_holds_all_tokens_of_the_word_and_no_others(vlm, word, tokens):
    for question in (f"Is the {word} there?", f"the {word}", f"Is it a key, {word}, or book?"):
        prompt, found = spans(vlm, question, word)
        assert len(found) == 1
        assert read(vlm, prompt, found[0]) == word
        assert len(found[0]) == tokens
        assert found[0] == list(range(found[0][0], found[0][-1] + 1))


@pytest.mark.parametrize("pair", [("dog", "hot dog"), ("car", "carrot"), ("apple", "pineapple")])
def test_a_word_is_not_found_inside_a_longer_one(vlm, pair):
    short, long = pair
    question = f"Is the {long} left of the {short}?"
    prompt, found = spans(vlm, question, short)
    begins = [prompt.offsets[positions[0]][0] for positions in found]
    lone = prompt.text.rindex(short)
    if " " in long:  # "dog" is a word of "hot dog": ask for the nouns in order, as `words` does
        assert len(found) == 2
    else:
        assert len(found) == 1
    assert begins[-1] in (lone, lone - 1)
    first, second = prompt.words([long, short])
    assert read(vlm, prompt, first) == long
    assert read(vlm, prompt, second) == short
    assert second == found[-1]
    assert not set(first) & set(second)


def test_nouns_in_the_other_order(vlm):
    prompt = vlm.prompt(WHITE, "Is the dog left of the hot dog?")
    first, second = prompt.words(["dog", "hot dog"])
    assert (read(vlm, prompt, first), read(vlm, prompt, second)) == ("dog", "hot dog")
    assert first[-1] < second[0]


def test_occurrences_of_a_repeated_word(vlm):
    question = "Is the teapot above a teapot or below the teapot?"
    prompt, found = spans(vlm, question, "teapot")
    assert len(found) == 3
    assert found == sorted(found)
    assert all(read(vlm, prompt, positions) == "teapot" for positions in found)
    assert prompt.word("teapot", -1) == found[2]
    assert prompt.word("teapot", -3) == found[0]
    assert prompt.words(["teapot"] * 3) == found


def test_the_span_is_the_word_not_the_article_before_nor_the_mark_after_it(vlm):
    """The defect of the released code: one position off, at the article or the word after."""
    prompt = vlm.prompt(WHITE, "Is the frog left of the camel?")
    (position,) = prompt.word("camel")
    assert prompt.tokens[position].strip() == "camel"
    assert prompt.tokens[position - 1].strip() == "the"
    assert prompt.tokens[position + 1] == "?"
    assert read(vlm, prompt, prompt.word("?")) == "?"
    assert read(vlm, prompt, prompt.word("left of the")) == "left of the"


def test_a_word_of_the_template_is_not_a_word_of_the_question(vlm):
    prompt = vlm.prompt(WHITE, "Where is the frog?")
    assert "ASSISTANT" in prompt.text
    with pytest.raises(ValueError, match="occurrence 0 of 'ASSISTANT'"):
        prompt.word("ASSISTANT")


# The sequence -----------------------------------------------------------------------------------


def test_tokens_cover_the_prompt_and_match_the_model_inputs(vlm, prompt):
    ids = prompt.inputs["input_ids"][0]
    assert len(prompt) == len(ids) == len(prompt.offsets) == len(prompt.tokens)
    assert prompt.last == len(ids) - 1
    assert prompt.tokens[0] == "<s>"
    assert "".join(prompt.tokens[1:]) == prompt.text
    assert read(vlm, prompt, prompt.text_positions).startswith(prompt.question)
    assert prompt.text_positions[-1] == prompt.last


def test_image_patches_are_the_placeholders_row_by_row(vlm, prompt):
    ids = prompt.inputs["input_ids"][0]
    image = (ids == vlm.model.config.image_token_id).nonzero().flatten().tolist()
    patches = prompt.image_patches
    assert patches.positions == image
    assert patches.grid == (8, 8)
    assert patches.at(0, 0) == image[0]
    assert patches.at(2, 3) == image[2 * 8 + 3]
    assert patches.at(7, 7) == image[-1]
    for outside in ((8, 0), (0, 8), (-1, 0)):
        with pytest.raises(IndexError, match="grid of 8 x 8"):
            patches.at(*outside)


@pytest.mark.parametrize("cell", [(0, 0), (1, 6), (7, 2)])
@torch.no_grad()
def test_a_patch_is_where_the_picture_says(vlm, cell):
    """A change of one square of the image changes that patch's embedding the most."""
    row, column = cell
    changed = np.full((112, 112, 3), 255, np.uint8)
    changed[14 * row : 14 * row + 14, 14 * column : 14 * column + 14] = (200, 30, 90)
    plain = Image.new("RGB", (112, 112), "white")
    embedded = [
        vlm.run_with_cache(vlm.prompt(image, "Where?"), "blocks.0.hook_resid_pre")[1]
        for image in (plain, Image.fromarray(changed))
    ]
    before, after = (next(iter(cache.values()))[0] for cache in embedded)
    prompt = vlm.prompt(plain, "Where?")
    assert (after - before).norm(dim=-1).argmax() == prompt.image_patches.at(row, column)


def test_lists_of_images_and_questions_are_paired(vlm):
    red = Image.new("RGB", (64, 64), "red")
    two = vlm.prompt([WHITE, red], ["Where is the frog?", "Where is the dog?"])
    assert [prompt.question for prompt in two] == ["Where is the frog?", "Where is the dog?"]
    assert two[1].image.getpixel((0, 0)) == (255, 0, 0)
    assert [p.question for p in vlm.prompt([WHITE, red], "Where?")] == ["Where?"] * 2
    assert [p.image for p in vlm.prompt(red, ["Where?", "What?"])] == [red, red]


# Pictures ---------------------------------------------------------------------------------------


def test_transparent_pictures_go_on_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert as_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert as_rgb(half).getpixel((0, 0)) == pytest.approx((127, 127, 127), abs=1)
    assert as_rgb(Image.new("LA", (4, 4), (0, 0))).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.info["transparency"] = 0
    assert as_rgb(palette).getpixel((0, 0)) == (255, 255, 255)


def test_grey_pictures_and_arrays_are_converted():
    assert as_rgb(Image.new("L", (4, 4), 77)).getpixel((0, 0)) == (77, 77, 77)
    assert as_rgb(Image.new("1", (4, 4), 1)).getpixel((0, 0)) == (255, 255, 255)
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[..., 2] = 9
    assert as_rgb(colour).getpixel((0, 0)) == (0, 0, 9)
    assert as_rgb(np.full((4, 4), 50, np.uint8)).getpixel((0, 0)) == (50, 50, 50)


def test_a_transparent_picture_gives_the_same_logits_as_the_one_on_white(vlm):
    scene = Scene((Placed("frog", 0.4, 0.4, 0.5),))
    white = scene.render(112)
    pixels = np.asarray(white)
    empty = (pixels == 255).all(-1)
    clear = Image.fromarray(np.dstack([pixels, np.where(empty, 0, 255).astype(np.uint8)]))
    one, other = (vlm.prompt(image, "Where is the frog?") for image in (white, clear))
    assert torch.equal(vlm.last_logits(one), vlm.last_logits(other))
