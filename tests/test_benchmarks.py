"""The benchmark runs, compares like with like, and writes what the book reads. Nothing is timed."""

import json

import pytest
import torch

from benchmarks import engine, ways
from benchmarks.cases import llava_7b, random_llava
from helpers.training.build import Shape

TINY = Shape(layers=4, width=32, vision_layers=1, vision_width=32)


def test_the_command_writes_its_table(tmp_path, capsys):
    out = tmp_path / "deep" / "engine.json"
    engine.main(["--quick", "--rounds", "1", "--out", str(out)])
    written = json.loads(out.read_text())
    assert written["quick"] and written["rounds"] == 1
    for name in ("edit_vs_naive", "edit_vs_best_peer", "share_of_limit", "extract_vs_naive"):
        assert written[name] > 0
        assert written[name] == pytest.approx(written["medians"][engine.HEAD][name], abs=1e-3)
    assert written["shapes"][engine.HEAD]["edits"] == 16
    assert {row["grows"] for row in written["growth"]} == {"edits", "image tokens", "blocks"}
    printed = capsys.readouterr().out
    assert "naive, ms an edit" in printed and "batched hooks" in printed


def test_every_way_gives_the_naive_logits():
    case = random_llava(TINY, edits=20)  # more than one batch
    expected = ways.naive(case, 20)
    assert (expected[0] - expected[1]).abs().max() > 1e-3  # edits matter
    for name, way in {**ways.peers(), "engine": ways.engine}.items():
        with torch.no_grad():
            engine.check_equal(case, name, way(case, 20), expected)


def test_a_way_that_gives_other_numbers_is_not_timed(monkeypatch):
    monkeypatch.setattr(ways, "batched_hooks", lambda case, edits: ways.engine(case, edits) + 0.01)
    monkeypatch.setattr(engine, "side_by_side", lambda *_: pytest.fail("it was timed"))
    with pytest.raises(RuntimeError, match="batched hooks gives other numbers"):
        engine.measure(random_llava(TINY, edits=2), rounds=1)


def test_the_7b_shape_in_half_precision_stays_close():
    sizes = {"num_hidden_layers": 3, "hidden_size": 64, "intermediate_size": 96}
    text = sizes | {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16}
    vision = sizes | {"num_attention_heads": 4, "image_size": 56}
    case = llava_7b("cpu", edits=4, text=text, vision=vision)
    assert case.vlm.dtype == torch.float16
    assert case.vlm.model.config.text_config.vocab_size == 32000  # the rest is the real one's
    with torch.no_grad():
        engine.check_equal(case, "engine", ways.engine(case, 4), ways.naive(case, 4))


def test_operations_of_edits_are_counted_as_they_are_done():
    """The formula against a count of the products that a row really makes."""
    from torch.utils.flop_counter import FlopCounterMode

    case = random_llava(TINY, edits=8)
    clean = ways.CleanRun(case.vlm, [case.prompt], case.position, [case.layer + 1])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        ways.engine_rows(case, 8, clean)
    done, needed = counter.get_total_flops(), engine.edit_operations(case, 8)
    # The fused attention is not counted; queries of the last block that nobody needs are.
    assert 0.8 * needed < done < 1.1 * needed
