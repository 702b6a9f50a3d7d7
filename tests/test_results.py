"""What runs leave behind: numbers with their intervals, tables, and caches that are found again."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from helpers import SpatialIDs, mirror_swap, report, steer
from helpers.engine import CleanRun
from helpers.fingerprint import Fingerprint
from helpers.results import Results, read_results
from helpers.stats import Interval, proportion


@pytest.fixture
def run(vlm, tmp_path, monkeypatch):
    """A chapter that has begun."""
    results = Results(tmp_path / "tiny" / "03", "03", {"tiny": vlm}, seed=5, small=True)
    monkeypatch.setattr(report, "_results", results)
    return results


def test_glued_numbers_are_kept_with_their_intervals(run, capsys):
    share = proportion([True] * 9 + [False])
    report.glue("swapped", report.percent(share))
    report.glue("r2", Interval(np.float32(0.5), 0.4, 0.6, np.int64(30)))
    report.glue("layer", np.int64(3))
    report.glue("undefined", float("nan"))
    report.glue("verdict", "yes")
    report.keep("table", pd.DataFrame({"a": [1, 2]}))
    manifest, numbers = read_results(run.folder)
    numbers = numbers.set_index("name")
    assert numbers.loc["swapped", ["value", "low", "high", "n"]].tolist() == list(share)
    assert numbers.loc["r2", "high"] == 0.6 and numbers.loc["layer", "value"] == 3
    assert pd.isna(numbers.loc["undefined", "value"])
    assert pd.isna(numbers.loc["layer", "low"]) and numbers.loc["verdict", "value"] == "yes"
    assert pd.read_parquet(run.folder / "table.parquet")["a"].tolist() == [1, 2]
    assert (manifest["seed"], manifest["small"], manifest["chapter"]) == (5, True, "03")
    about = manifest["models"]["tiny"]
    assert about["blocks"] == 3 and about["family"] == "LLaVA-1.5" and about["parameters"] > 1000
    assert manifest["versions"]["torch"] == torch.__version__
    assert not list(run.folder.glob("*.part"))


def test_a_new_run_does_not_keep_numbers_of_an_old_one(run, vlm):
    report.glue("old", 1)
    report.keep("old", pd.DataFrame({"a": [1]}))
    again = Results(run.folder, "03", {"tiny": vlm}, seed=6, small=False)
    again.number("new", 2)
    manifest, numbers = read_results(run.folder)
    assert numbers["name"].tolist() == ["new"] and manifest["seed"] == 6
    assert not (run.folder / "old.parquet").exists()


def test_a_chapter_begins_its_results(tmp_path, monkeypatch):
    monkeypatch.setenv("HELPERS_RESULTS", str(tmp_path))
    monkeypatch.setattr(report, "_results", None)
    report.open_models("tiny-llava", chapter="03_flow", seed=1)
    report.glue("one", 1.5)
    manifest, numbers = read_results(tmp_path / "tiny-llava" / "03_flow")
    assert numbers["value"].tolist() == [1.5]
    # A folder of this machine is nobody else's business.
    assert manifest["models"]["tiny-llava"]["source"] == "tiny-llava"
    report.open_models("tiny-llava", seed=1)
    report.glue("two", 2)  # no chapter, no results
    assert len(read_results(tmp_path / "tiny-llava" / "03_flow")[1]) == 1


def test_the_manifest_counts_what_ran(run, vlm, prompts):
    word = prompts[0].word("frog")
    before = dict(vlm.work)
    clean = CleanRun(vlm, prompts[:1], word[0], [1])
    clean.run([[(steer(vlm.resid_post(0), word, torch.ones(vlm.d_model)),)] * 5])
    report.glue("any", 1)
    work = read_results(run.folder)[0]["work"]["tiny"]
    assert {key: work[key] - before[key] for key in work} == {"prompts": 1, "edits": 5}
    assert read_results(run.folder)[0]["seconds"] >= 0


def test_missing_and_damaged_results_are_clear_errors(run):
    with pytest.raises(FileNotFoundError, match=r"numbers.json missing"):
        read_results(run.folder)
    (run.folder / "numbers.json").write_text('{"half": ')
    with pytest.raises(ValueError, match="damaged"):
        read_results(run.folder)


def test_fingerprints_tell_models_prompts_and_tensors_apart(vlm, prompts):
    from conftest import random_llava

    from helpers import load_vlm

    names = {
        str(Fingerprint().add(part))
        for part in (vlm, *prompts, torch.zeros(2), torch.zeros(2, 1), torch.ones(2), "a", ("a",))
    }
    assert len(names) == 9
    assert str(Fingerprint().add(prompts[0])) == str(Fingerprint().add(prompts[0]))
    other = load_vlm(*random_llava(), device="cpu")
    assert str(Fingerprint().add(other)) == str(Fingerprint().add(vlm))
    other.model.get_decoder().norm.weight.data += 0.1
    assert str(Fingerprint().add(other)) != str(Fingerprint().add(vlm))
    seen = json.loads(json.dumps({"a": str(Fingerprint("x"))}))
    assert len(seen["a"]) == 16


def test_ids_that_were_kept_are_read_and_not_run_again(vlm, tmp_path, monkeypatch):
    wanted = [(0, "Is the {0} left of the {1}?"), (1, "Is the {0} above or below the {1}?")]
    options = {"grid": 2, "partners": 1, "progress": False, "save_to": tmp_path / "deep"}
    pairs = [("frog", "camel")]
    first = SpatialIDs.extract_each(vlm, pairs, wanted, **options)
    assert len(list((tmp_path / "deep").glob("*.safetensors"))) == 2
    monkeypatch.setattr("helpers.extraction.read_states", lambda *_: pytest.fail("it ran again"))
    for one, other in zip(
        first, SpatialIDs.extract_each(vlm, pairs, wanted, **options), strict=True
    ):
        assert torch.equal(one.vectors, other.vectors) and one.sites == other.sites
        assert (one.pairs, one.noun) == (other.pairs, other.noun)
    with pytest.raises(BaseException, match="it ran again"):
        SpatialIDs.extract_each(vlm, pairs, wanted, **options | {"seed": 1})


def test_a_mirror_swap_that_was_kept_runs_no_rows(vlm, tmp_path, monkeypatch):
    pictures = [Image.new("RGB", (112, 112), color) for color in ("red", "blue")]
    clean, other = vlm.prompt(pictures, "Where is the cat?")
    groups = {"last": [[clean.last]]}
    answers = ("Left", "Right")
    options = {"save_to": tmp_path, "progress": False}
    first = mirror_swap(vlm, [clean], [other], groups, answers, **options)
    monkeypatch.setattr(CleanRun, "run", lambda *_: pytest.fail("rows ran again"))
    again = mirror_swap(vlm, [clean], [other], groups, answers, **options)
    pd.testing.assert_frame_equal(first, again, atol=1e-6)


def test_a_model_of_which_any_part_was_trained_on_has_another_name():
    """Results of a model are not those of the same model after a lesson."""
    from conftest import random_llava

    from helpers import load_vlm

    vlm = load_vlm(*random_llava(), device="cpu")
    same = load_vlm(*random_llava(), device="cpu")
    assert str(Fingerprint().add(vlm)) == str(Fingerprint().add(same))
    with torch.no_grad():
        vlm.model.model.vision_tower.encoder.layers[0].mlp.fc1.weight.mul_(1.01)
    assert str(Fingerprint().add(vlm)) != str(Fingerprint().add(same))
