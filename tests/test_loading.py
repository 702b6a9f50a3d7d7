"""Loading: names, memory, gates, what is passed on, and models over several devices."""

import types

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError
from zoo import ZOO

import helpers
from helpers import Edit, Job, catalog, load_vlm, loading, read_states, sweep
from helpers.families import FAMILIES
from helpers.interventions import as_hooks

ANSWERS = ("Left", "Right")


def test_the_table_of_models():
    table = helpers.models()
    assert table.index.is_unique and len(table) == len(catalog.KNOWN)
    assert set(table["family"]) == {family.name for family in FAMILIES}
    assert table.loc["qwen2.5-vl-7b", "video"] and not table.loc["gemma-3-4b", "video"]
    assert table.loc["llava-1.5-7b", "memory"] == pytest.approx(2 * 7.1e9 / 2**30 + 1.5, abs=0.1)
    fits = table["fits a T4"]
    assert fits["smolvlm2-256m"] == "yes" and fits["llava-1.5-13b"] == "in 4 bits"
    assert "gated" in table.loc["llama-3.2-11b", "licence"]
    assert "convert" in table.loc["llava-video-7b", "note"]


@pytest.mark.parametrize("known", catalog.KNOWN, ids=lambda known: known.short)
def test_short_names_lead_to_the_hub(known):
    if known.converted:
        with pytest.raises(FileNotFoundError, match=r"python -m helpers.convert llava-video"):
            load_vlm(known.short)
    else:
        assert loading._resolve(known.short) == known.source
        assert loading._resolve(known.source) == known.source


@pytest.fixture
def saved(tmp_path):
    """A tiny LLaVA in a folder."""
    model, processor = ZOO["llava"]()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    return tmp_path, model


def test_a_folder_is_loaded_and_its_parameters_counted_before(saved):
    folder, model = saved
    vlm = load_vlm(folder, device="cpu")
    assert vlm.family.name == "LLaVA-1.5" and vlm.dtype == torch.float32
    assert loading.count_parameters(model.config) == sum(p.numel() for p in model.parameters())
    line = loading.will_it_fit(str(folder))
    assert "needs about 1.5 GB in torch.float32" in line and "cpu has" in line


def test_too_little_memory_is_an_error_before_anything_is_loaded(saved, monkeypatch):
    folder, _ = saved
    monkeypatch.setattr(loading, "memory_needed", lambda parameters, bits: 30 * 2**30)
    monkeypatch.setattr(loading, "memory_available", lambda device: 6 * 2**30)
    monkeypatch.setattr(
        "transformers.AutoModelForImageTextToText.from_pretrained",
        lambda *a, **k: pytest.fail("it was loaded"),
    )
    told = r"needs about 30.0 GB in torch.float32, and cpu has 6.0 GB free. '(\S+)' would fit"
    with pytest.raises(MemoryError, match=told) as caught:
        load_vlm(folder, device="cpu")
    smaller = str(caught.value).split("'")[1]
    assert smaller in helpers.models().index
    assert helpers.models().loc[smaller, "memory"] <= 6
    assert catalog.largest_that_fits(2**30) is None


class Refused(OSError):
    pass


def refusing(cause):
    def from_pretrained(*arguments, **options):
        raise Refused("no") from cause

    return from_pretrained


def test_a_gated_model_says_what_to_accept(monkeypatch):
    response = types.SimpleNamespace(headers={}, request=None, status_code=403)
    gate = GatedRepoError("gated", response=response)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refusing(gate))
    with pytest.raises(PermissionError, match=r"gemma-3-4b-it is gated: accept .*hf auth login"):
        load_vlm("gemma-3-4b")


def test_no_network_says_so(monkeypatch):
    missing = LocalEntryNotFoundError("not here")
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refusing(missing))
    with pytest.raises(ConnectionError, match=r"Qwen2-VL-2B-Instruct is not on this machine"):
        load_vlm("qwen2-vl-2b")


def test_other_errors_stay_as_they_are(monkeypatch):
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refusing(None))
    with pytest.raises(Refused):
        load_vlm("qwen2-vl-2b")


def test_options_are_passed_on_and_nothing_is_moved(saved, monkeypatch):
    folder, model = saved
    given = {}

    def from_pretrained(source, **options):
        given.update(options)
        return model

    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", from_pretrained)
    monkeypatch.setattr(model, "to", lambda *_: pytest.fail("a quantised model was moved"))
    monkeypatch.setattr(loading, "memory_available", lambda device: 0)
    options = {"quantization_config": object(), "device_map": "auto"}
    load_vlm(folder, device="cpu", **options)
    assert options.items() <= given.items()


def test_dtype_follows_family_and_gpu(monkeypatch):
    pick = loading.default_dtype
    assert pick(("bfloat16", "float16"), "cpu") == torch.float32
    for new, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda new=new, **_: new)
        assert pick(("bfloat16", "float32"), "cuda") == expected
        assert pick(("float16",), "cuda:1") == torch.float16


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "mllama", "gemma3"])
def test_a_model_over_several_devices_keeps_hooks_and_the_engine(name, tmp_path):
    """Some blocks' weights lie on disk and come for every pass, as with ``device_map="auto"``."""
    accelerate = pytest.importorskip("accelerate")
    model, processor = ZOO[name]()
    whole = load_vlm(model, processor)
    from PIL import Image

    prompt = whole.prompt(Image.effect_noise((80, 60), 90), "Is the frog left of the cat?")
    word = prompt.word("frog")[-1]
    edits = [
        (Edit(whole.resid_post(layer), (word,), torch.full((whole.d_model,), 0.5)),)
        for layer in range(whole.n_layers)
    ]
    jobs = [Job(prompt, edit) for edit in edits]
    logits = torch.cat([whole.last_logits(prompt, as_hooks([edit])) for edit in edits])
    table = sweep(whole, jobs, ANSWERS, progress=False)
    states = read_states(whole, [prompt], [[word]], whole.hook_names)

    decoder = next(n for n, m in model.named_modules() if m is model.get_decoder())
    places = {f"{decoder}.layers.{i}": "disk" if i % 2 else "cpu" for i in range(whole.n_layers)}
    for path, _ in model.named_modules():
        parent = any(place.startswith(path + ".") for place in places) or path == ""
        covered = any(path == place or path.startswith(place + ".") for place in places)
        if not parent and not covered:
            places[path] = "cpu"
    for path, _ in model.named_parameters():
        if not any(path.startswith(place + ".") for place in places):
            places[path] = "cpu"
    spread = accelerate.dispatch_model(
        model, places, main_device="cpu", offload_dir=str(tmp_path), force_hooks=True
    )
    assert any(p.device.type == "meta" for p in spread.parameters())
    vlm = load_vlm(spread, processor)
    found = torch.cat([vlm.last_logits(prompt, as_hooks([edit])) for edit in edits])
    assert torch.allclose(found, logits, atol=1e-5)
    again = sweep(vlm, jobs, ANSWERS, progress=False)
    assert again["log_odds"].tolist() == pytest.approx(table["log_odds"].tolist(), abs=1e-5)
    read = read_states(vlm, [prompt], [[word]], vlm.hook_names)
    assert torch.allclose(read, states, atol=1e-5)
