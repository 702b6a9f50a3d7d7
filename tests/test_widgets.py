"""Widgets: their numbers are those of full passes, and their pages hold every state."""

import itertools
import json
import re

import numpy as np
import pytest
import torch

from helpers import SpatialIDs, TemporalIDs, load_vlm
from helpers.ids import grid_scene
from helpers.interventions import as_hooks
from helpers.plots import Html
from helpers.widgets import (
    AttentionViewer,
    LayerViewer,
    Playground,
    Push,
    Tell,
    VideoScrubber,
    drawing,
    pages,
    show,
    showing,
)
from helpers.widgets.attention import LAST
from tools.notebooks import KERNEL_ENVIRONMENT

NAMES = ("frog", "hot dog")
FILM = ("camel", "frog")


def planted(kind, vlm, shape, noun):
    """IDs that mean nothing: what is tested is what becomes of them."""
    generator = torch.Generator().manual_seed(noun)
    vectors = torch.randn(vlm.n_layers, 2, *shape, vlm.d_model, generator=generator)
    sites = tuple(vlm.resid_post(block) for block in range(vlm.n_layers))
    return kind(vectors, sites, (NAMES, FILM), noun, "planted")


@pytest.fixture(scope="module")
def ids(vlm):
    both = tuple(planted(SpatialIDs, vlm, (4, 4), noun) for noun in (0, 1))
    return {"left_right": both, "above_below": both[::-1]}


@pytest.fixture
def play(vlm, ids):
    return Playground(vlm, ids, NAMES, ((1, 0), (2, 3)), pixels=112)


@pytest.fixture(scope="module")
def video():
    return load_vlm("tiny-video")


@pytest.fixture(scope="module")
def times(video):
    return tuple(planted(TemporalIDs, video, (8,), noun) for noun in (0, 1))


@pytest.fixture
def scrubber(video, times):
    return VideoScrubber(video, times, FILM, (1, 5))


@pytest.fixture(scope="module")
def layers(vlm):
    scene = grid_scene(NAMES, ((1, 0), (2, 3)), 0.25, 4)
    return LayerViewer(vlm, scene, "Is the frog left of the hot dog?", NAMES, pixels=112)


@pytest.fixture(scope="module")
def attention(vlm):
    image = grid_scene(NAMES, ((1, 0), (2, 3)), 0.25, 4).render(112)
    return AttentionViewer(vlm, image, "Is the frog left of the hot dog?", NAMES)


# The playground ---------------------------------------------------------------------------------

PUSHES = [
    Push({"frog": target, "hot dog": (0, 1)}, block, dose)
    for target, block, dose in itertools.product([(1, 3), (3, 3)], (0, 1, 2), (-3.0, 2.0))
]


def in_full(widget, edits):
    """Probabilities and log-odds of one full pass with hooks, in a model that knows no widgets."""
    kept = widget.kept
    row = widget.vlm.beliefs(kept.prompt, kept.answers, fwd_hooks=as_hooks([edits])).iloc[0]
    return [row["log_odds"], *(np.exp(row[f"log_prob_{answer}"]) for answer in kept.answers)]


@pytest.mark.parametrize("kind", ["left_right", "above_below"])
def test_pushes_are_those_of_full_passes(play, kind):
    play.ask(kind)
    together = play.see_all(PUSHES)
    assert len({round(seen.log_odds[1], 4) for seen in together}) > 8  # pushes matter
    for push, seen in zip(PUSHES, together, strict=True):
        expected = in_full(play, play.edits(push))
        assert [seen.log_odds[1], *seen.after.values()] == pytest.approx(expected, abs=1e-5)
        plain = in_full(play, ())
        assert [seen.log_odds[0], *seen.before.values()] == pytest.approx(plain, abs=1e-5)
        alone = play.see(push)
        assert alone.log_odds == pytest.approx(seen.log_odds, abs=1e-5)


def test_the_plane_shows_the_state_that_the_model_has_then(play):
    push = Push({"frog": (1, 3)}, 1, 0.7)
    seen = play.see(push)
    site, place = play.vlm.resid_post(1), play.kept.spans["frog"][-1]
    for edits, shown in zip([(), play.edits(push)], seen.plane["frog"], strict=True):
        _, cache = play.vlm.run_with_cache(play.kept.prompt, site, as_hooks([edits]))
        own = play.ids["left_right"][0]
        axes = own.axes(site)
        state = cache[site][0, place] - play._baselines["left_right"][1, 0]
        basis = torch.stack([axes.column, axes.row], 1)
        found = torch.linalg.lstsq(basis, state[:, None]).solution[:, 0] + 1.5
        assert shown == pytest.approx(found.tolist(), abs=1e-3)
    before, after = seen.plane["hot dog"]
    assert before == after  # nobody pushed it


def test_only_another_picture_or_question_runs_the_prompt(play):
    work = play.vlm.work
    count, clean = work["prompts"], play.kept.clean
    play.see_all(PUSHES)
    play.frame(play.see(Push({"frog": (0, 0)}, 2, 3.0)))
    play.move("frog", (1, 0))  # it is there already
    assert work["prompts"] == count and play.kept.clean is clean
    play.move("frog", (0, 2))
    assert work["prompts"] == count + 1 and play.kept.clean is not clean
    play.ask("above_below")
    assert work["prompts"] == count + 2


def test_a_moved_object_is_seen(play, vlm, ids):
    before = play.see(Push()).log_odds
    play.move("hot dog", (3, 0))
    other = Playground(vlm, ids, NAMES, ((1, 0), (3, 0)), pixels=112)
    assert play.see(Push()).log_odds == pytest.approx(other.see(Push()).log_odds, abs=1e-6)
    assert play.see(Push()).log_odds != pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda play: play.move("frog", (2, 3)), r"cell \(2, 3\) is taken: the hot dog is there"),
        (lambda play: play.move("frog", (4, 0)), "rows and columns count from 0 to 3"),
        (lambda play: play.move("frog", (0.5, 0)), "is no cell"),
        (lambda play: play.move("camel", (0, 0)), "'camel' is no object word of 'Is the frog"),
        (lambda play: play.see(Push({"camel": (0, 0)})), "these are: frog, hot dog"),
        (lambda play: play.see(Push({"frog": (0, 9)})), "is no cell"),
        (lambda play: play.see(Push({"frog": (0, 1)}, 3)), "no block 3; there are blocks 0 to 2"),
        (lambda play: play.see(Push({}, -1)), "no block -1"),
        (lambda play: play.see(Push({"frog": (0, 1)}, 0, np.nan)), "a dose must be a number"),
        (lambda play: play.ask("front_behind"), "no IDs for questions of the kind 'front_behind'"),
    ],
)
def test_a_playground_refuses_what_cannot_be(play, do, says):
    places, kind, odds = dict(play.places), play.kind, play.see(Push()).log_odds
    with pytest.raises(ValueError, match=says):
        do(play)
    assert (play.places, play.kind, play.see(Push()).log_odds) == (places, kind, odds)


def test_a_playground_needs_two_objects_in_two_cells(vlm, ids):
    with pytest.raises(ValueError, match="two different objects"):
        Playground(vlm, ids, ("frog", "frog"))
    with pytest.raises(ValueError, match="is taken"):
        Playground(vlm, ids, NAMES, ((1, 1), (1, 1)))


# The viewers ------------------------------------------------------------------------------------


def test_what_a_picture_changes(layers):
    values = layers.values("what its picture changes", "hot dog")
    assert values.shape == (4, len(layers.prompt))
    text = layers.prompt.text_positions
    assert (values[0, text] == 0).all()  # before the first block no word has seen anything
    assert values[0, layers.grid.positions].max() > 0.01
    assert values[-1, layers.prompt.last] > 1e-4
    alone = grid_scene(NAMES[:1], ((1, 0),), 0.25, 4).render(112)
    both = grid_scene(NAMES, ((1, 0), (2, 3)), 0.25, 4).render(112)
    site = layers.vlm.resid_post(1)
    one, other = (
        layers.vlm.run_with_cache(layers.vlm.prompt(picture, layers.prompt.question), site)[1][site]
        for picture in (both, alone)
    )
    expected = ((one - other).norm(dim=-1) / one.norm(dim=-1))[0]
    assert values[2] == pytest.approx(expected.numpy(), abs=1e-5)
    patches = layers.patches("what its picture changes", "hot dog", 2)
    assert patches.ravel() == pytest.approx(values[2, layers.grid.positions])


def test_behind_all_blocks_the_lens_is_the_model(layers):
    logits = layers.vlm.last_logits(layers.prompt)[0]
    first = layers.prompt.inputs["input_ids"][0, layers.spans["frog"][0]]
    found = layers.values("says its name", "frog")[-1, layers.prompt.last]
    assert found == pytest.approx(float(logits.softmax(-1)[first]), abs=1e-5)


def test_moves_of_the_viewers_run_nothing(layers, attention):
    count = dict(layers.vlm.work)
    layers.frame("says its name", "frog", 3)
    attention.frame("frog", 2)
    assert layers.vlm.work == count


def test_patterns_are_those_of_the_bridge(attention):
    bridge_module = pytest.importorskip("helpers.bridge", reason="needs the 'tl' extra")
    bridge = bridge_module.to_bridge(attention.vlm)
    inputs = bridge_module.bridge_inputs(attention.vlm, attention.prompt)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(**inputs)
    for block, (query, place) in itertools.product(range(3), attention.names.items()):
        expected = cache[f"blocks.{block}.attn.hook_pattern"][0, :, place]
        assert attention.looks(query, block) == pytest.approx(expected.numpy(), abs=1e-5)


def test_patterns_sum_to_one_and_leave_the_model_as_it_was(attention):
    rows = attention.looks("frog", 0)
    assert rows.sum(-1) == pytest.approx(np.ones(attention.heads), abs=1e-5)
    assert (rows[:, attention.names["frog"] + 1 :] == 0).all()
    config = attention.vlm.model.config.get_text_config()
    assert config._attn_implementation == "sdpa"
    assert list(attention.names) == ["frog", "hot dog", LAST]


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda layers, _: layers.patches("colour", "frog", 0), "no quantity 'colour'"),
        (lambda layers, _: layers.values("says its name", "dog"), "'dog' is no object word"),
        (lambda layers, _: layers.frame("says its name", "frog", 4), "0 to 3 blocks"),
        (lambda _, attention: attention.looks("camel", 0), "nothing looks from 'camel'"),
        (lambda _, attention: attention.looks("frog", 3), "no block 3"),
    ],
)
def test_viewers_refuse_what_is_not_there(layers, attention, do, says):
    with pytest.raises(ValueError, match=says):
        do(layers, attention)


def test_a_viewer_refuses_a_word_that_is_not_in_the_question(vlm):
    scene = grid_scene(NAMES, ((1, 0), (2, 3)), 0.25, 4)
    with pytest.raises(ValueError, match="'hot dog' does not follow"):
        LayerViewer(vlm, scene, "Where is the frog?", NAMES, pixels=112)
    with pytest.raises(ValueError, match="'camel' does not follow"):
        AttentionViewer(vlm, scene.render(112), "Where is the frog?", ["camel"])


# The scrubber -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [7, 4])
def test_telling_is_that_of_full_passes(scrubber, shown):
    scrubber.show(shown)
    for block, dose in itertools.product((0, 2, 5), (-0.4, 0.3)):
        tell = Tell({"camel": 6, "frog": 0}, block, dose)
        heard = scrubber.hear(tell)
        expected = in_full(scrubber, scrubber.edits(tell))
        assert [heard.log_odds[1], *heard.after.values()] == pytest.approx(expected, abs=1e-5)


def test_a_film_runs_once_and_is_kept_for_a_while(scrubber):
    count = scrubber.passes
    scrubber.hear_all([Tell({"camel": frame}, 1) for frame in range(8)])
    assert scrubber.passes == count
    scrubber.move("camel", 3)
    scrubber.show(4)
    assert scrubber.passes == count + 2
    scrubber.show(7)
    scrubber.move("camel", 1)
    assert scrubber.passes == count + 2  # both films have been seen


def test_a_film_that_is_cut_short_shows_nothing_behind(scrubber):
    scrubber.show(3)
    assert scrubber.clip.names == ("camel",)
    assert scrubber.clip.when("camel") == (1,)
    assert len(scrubber.clip) == 8


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda film: film.move("frog", 1), "frame 1 is taken: the camel is there"),
        (lambda film: film.move("frog", 8), "no frame 8; there are frames 0 to 7"),
        (lambda film: film.move("dog", 2), "'dog' is no object word"),
        (lambda film: film.show(-1), "no frame -1"),
        (lambda film: film.hear(Tell({"frog": 9})), "no frame 9"),
        (lambda film: film.hear(Tell({"dog": 2})), "'dog' is no object word"),
        (lambda film: film.hear(Tell({"frog": 2}, 6)), "no block 6; there are blocks 0 to 5"),
    ],
)
def test_a_scrubber_refuses_what_cannot_be(scrubber, do, says):
    state = dict(scrubber.times), scrubber.shown, scrubber.kept
    with pytest.raises(ValueError, match=says):
        do(scrubber)
    assert (scrubber.times, scrubber.shown, scrubber.kept) == state


# Pages ------------------------------------------------------------------------------------------


def unpacked(markup):
    """The states of each group on a page, as its script would put them together."""
    for text in re.findall(r'<script type="application/json">(.*?)</script>', markup, re.DOTALL):
        data = json.loads(text)
        stops = itertools.product(*data["stops"])
        panels = ["".join(data["parts"][part] for part in panel) for panel in data["panels"]]
        yield {
            stop: (data["told"][state[0]], [panels[panel] for panel in state[1:]])
            for stop, state in zip(stops, data["states"], strict=True)
        }


def test_the_page_of_the_playground_holds_what_the_playground_says(play):
    (found,) = unpacked(play.page(doses=(0.5, 1.0)).markup)
    assert len(found) == 4 * 4 * 3 * 2
    for row, column, block, dose in [(1, 3, 0, 1.0), (3, 0, 2, 0.5), (1, 0, 1, 1.0)]:
        frame = play.frame(play.see(Push({"frog": (row, column)}, block, dose)))
        told, panels = found[str(row), str(column), str(block), f"{dose:g}"]
        assert told == frame.told
        assert panels == ["".join(panel) for panel in frame.panels.values()]


def test_the_pages_of_the_viewers_hold_every_state(layers, attention):
    (found,) = unpacked(layers.page().markup)
    assert len(found) == 2 * 2 * 4
    frame = layers.frame("says its name", "hot dog", 2)
    assert found["says its name", "hot dog", "2"][0] == frame.told
    (found,) = unpacked(attention.page().markup)
    assert len(found) == 3 * 3
    frame = attention.frame("frog", 2)
    assert found["frog", "2"][1] == ["".join(panel) for panel in frame.panels.values()]


def test_the_page_of_the_scrubber_lets_it_play_and_moves_an_object(scrubber):
    state = dict(scrubber.times), scrubber.shown
    playing, moving = unpacked(scrubber.page().markup)
    assert (scrubber.times, scrubber.shown) == state
    assert len(playing) == 8 and len(moving) == 2 * 7 * 6
    word, really = list(dict.fromkeys(stop[0] for stop in moving))
    heard = scrubber.hear(Tell({"camel": 7}, 2))
    assert moving[word, "7", "2"][0] == scrubber.frame(heard).told
    scrubber.move("camel", 7)
    assert f"{scrubber.hear(Tell()).log_odds[0]:+.1f} in this film" in moving[really, "7", "2"][0]
    scrubber.move("camel", 1)
    scrubber.show(2)
    odds = scrubber.hear(Tell()).log_odds[0]
    assert f"{odds:+.1f}" in playing["2",][0]


@pytest.fixture(params=["play", "layers", "attention", "scrubber"])
def page(request):
    return request.getfixturevalue(request.param).page()


def test_a_page_needs_no_network_and_is_told_in_words(page):
    assert isinstance(page, Html)
    without_pictures = re.sub(r"data:image/(webp|png);base64,[\w+/=]+", "", page.markup)
    assert not re.search(r"https?:|\bsrc=|@import|url\(|//\w|base64", without_pictures)
    assert len(page.markup) < 700_000
    for group in unpacked(page.markup):
        for told, panels in group.values():
            assert len(told) > 20
            drawn = [panel for panel in panels if "<svg" in panel]
            assert drawn
            for panel in drawn:
                assert re.search(r'role="img" aria-label="[^"]{20,}"', panel)
        # The description follows the picture.
        every = {panel for _, panels in group.values() for panel in panels if "<svg" in panel}
        alts = {(re.search(r'aria-label="([^"]*)"', panel) or [""])[1] for panel in every}
        assert len(alts) > len(every) / 3
    assert page.markup.count("aria-live") == page.markup.count('class="widget-page"')


def test_controls_have_names_and_begin_where_the_page_does(attention):
    markup = attention.page().markup
    assert "<label>from<br><select" in markup and ">the last token</option>" in markup
    assert re.search(r'<label>block: <output>0</output><br><input type="range"', markup)
    shown = markup[: markup.index('<script type="application/json">')]
    assert "".join(attention.frame("frog", 0).panels["head 0"]) in shown


def frames(every):
    return [drawing.Frame({"one": ("<b>", str(number), "</b>")}, "told") for number in every]


def test_a_page_that_cannot_be_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="7 is no stop of 'x'"):
        pages.states(frames, {"x": range(3)}, (7,), "label")
    monkeypatch.setattr(pages, "LIMIT", 500)
    with pytest.raises(ValueError, match=r"3 states take .* give the axes fewer stops"):
        pages.states(frames, {"x": range(3)}, (0,), "label")


def test_text_cannot_break_out_of_a_page():
    page = pages.states(
        lambda every: [drawing.Frame({"one": ("</script>",)}, "a </p> & b")],
        {"<x>": [1]},
        (1,),
        '"',
    )
    assert page.markup.count("</script>") == 2  # one is the panel that shows first
    assert "a &lt;/p&gt; &amp; b" in page.markup and "&lt;x&gt;" in page.markup


# Live -------------------------------------------------------------------------------------------


@pytest.fixture
def live():
    pytest.importorskip("anywidget", reason="needs the 'widgets' extra")


def test_the_playground_follows_a_hand(live, play):
    controls = play.view().controls
    board, shown = controls["board"], controls["shown"]
    pictures = [shown.value]

    def changed():
        pictures.append(shown.value)
        return pictures[-1] != pictures[-2]

    board.move = {"name": "frog", "row": 3, "column": 3, "turn": 1}
    assert changed() and play.places["frog"] == (1, 0)
    ghosts = [piece for piece in board.pieces if piece["ghost"]]
    assert [(p["name"], p["row"], p["column"]) for p in ghosts] == [("frog", 3, 3)]
    for name, value in (("dose", 2.0), ("block", 2), ("kind", "above_below")):
        controls[name].value = value
        assert changed()
    push = Push({"frog": (3, 3)}, 2, 2.0)
    assert play.frame(play.see(push)).markup(leave_out=["picture"]) == shown.value
    controls["reset"].click()
    assert changed() and "nothing is pushed" in shown.value


def test_an_object_is_dragged_in_the_picture_unless_its_cell_is_taken(live, play):
    controls = play.view().controls
    controls["hand"].value = controls["hand"].options[1]
    assert not controls["board"].ghostly
    controls["board"].move = {"name": "frog", "row": 0, "column": 2, "turn": 1}
    assert play.places["frog"] == (0, 2) and controls["message"].value == ""
    controls["board"].move = {"name": "frog", "row": 2, "column": 3, "turn": 2}
    assert play.places["frog"] == (0, 2)
    assert "is taken: the hot dog is there" in controls["message"].value
    assert {(p["row"], p["column"]) for p in controls["board"].pieces} == {(0, 2), (2, 3)}


def test_the_viewers_follow_a_hand(live, layers, attention):
    for viewer, moves in (
        (layers, {"depth": 2, "word": "hot dog", "quantity": "says its name"}),
        (attention, {"block": 2, "query": LAST}),
    ):
        controls = viewer.view().controls
        for name, value in moves.items():
            before = controls["shown"].value
            controls[name].value = value
            assert controls["shown"].value != before


def test_the_scrubber_follows_a_hand(live, scrubber):
    controls = scrubber.view().controls
    controls["board"].move = {"name": "camel", "row": 1, "column": 2, "turn": 1}
    assert scrubber.times["camel"] == 1
    assert "told" in controls["shown"].value
    controls["frame"].value = 2
    assert scrubber.shown == 2
    controls["hand"].value = controls["hand"].options[1]
    controls["board"].move = {"name": "camel", "row": 0, "column": 3, "turn": 2}
    assert scrubber.times["camel"] == 3
    controls["board"].move = {"name": "camel", "row": 1, "column": 1, "turn": 3}
    assert "frame 5 is taken" in controls["message"].value


def test_a_person_gets_the_live_widget_and_a_page_the_other(live, attention, monkeypatch):
    monkeypatch.delenv(showing.FOR_A_PAGE, raising=False)
    assert hasattr(show(attention), "controls")
    monkeypatch.setenv(showing.FOR_A_PAGE, KERNEL_ENVIRONMENT[showing.FOR_A_PAGE])
    assert show(attention).markup == attention.page().markup


def test_without_the_packages_everybody_gets_the_page(attention, monkeypatch):
    monkeypatch.delenv(showing.FOR_A_PAGE, raising=False)
    monkeypatch.setattr(showing, "find_spec", lambda name: None)
    assert isinstance(show(attention), Html)


# The benchmark ----------------------------------------------------------------------------------


def test_the_benchmark_makes_every_move_both_ways(live, tmp_path, capsys):
    from benchmarks import widgets

    out = tmp_path / "widgets.json"
    widgets.main(["--turns", "1", "--pairs", "1", "--out", str(out)])
    written = json.loads(out.read_text())
    rows = {(row["widget"], row["move"]): row for row in written["moves"]}
    assert {widget for widget, _ in rows} == {"playground", "layers", "attention", "scrubber"}
    assert all(row["median"] > 0 for row in rows.values())
    assert "ratio" in rows["playground", "dose"]
    assert "ratio" not in rows["playground", "object in the picture"]
    assert written["slowest"] == max(row["p95"] for row in rows.values())
    assert "blocks passed" in capsys.readouterr().out
