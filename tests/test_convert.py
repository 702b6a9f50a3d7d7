"""The converter, on a small source with random weights in the original code's layout.

``Reference`` is that code's forward pass, written a second time in plain torch from the source's
own files, and knows nothing of transformers' model.
"""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn import functional as F

from helpers import convert
from helpers.convert import convert_llava_video, main
from helpers.llava_video import LlavaVideoForConditionalGeneration, LlavaVideoProcessor, pooled_side

# 72 is no multiple of 14 and 5 is odd, as 384 and 27 are in the real tower.
SIZE, PATCH = 72, 14
SIDE = SIZE // PATCH
TOWER = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": SIZE,
    "patch_size": PATCH,
}
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SETTINGS = {
    "architectures": ["LlavaQwenForCausalLM"],
    "model_type": "llava",
    "torch_dtype": "float32",
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "max_window_layers": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_scaling": None,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "sliding_window": 512,
    "use_sliding_window": False,
    "use_cache": True,
    "add_faster_video": False,
    "image_aspect_ratio": "anyres_max_2",
    # (width, height): wide pictures only, so that a mix-up with (height, width) shows.
    "image_grid_pinpoints": [[SIZE, SIZE], [2 * SIZE, SIZE], [3 * SIZE, SIZE]],
    "mm_hidden_size": 16,
    "mm_newline_position": "grid",
    "mm_patch_merge_type": "spatial_unpad",
    "mm_projector_type": "mlp2x_gelu",
    "mm_resampler_type": None,
    "mm_spatial_pool_mode": "bilinear",
    "mm_spatial_pool_stride": 2,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower": "test/small-siglip",
}

# A small source --------------------------------------------------------------------------------


def write_tokenizer(folder):
    """Qwen2's files: vocab.json, merges.txt and a config with three special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["Is the frog to the left or right of the camel?"], trainer)
    tokenizer.model.save(str(folder))
    first = tokenizer.get_vocab_size()
    added = {
        str(first + number): {"content": token, "special": True, "normalized": False}
        | dict.fromkeys(("lstrip", "rstrip", "single_word"), False)
        for number, token in enumerate(SPECIALS)
    }
    text = {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": added,
        "additional_special_tokens": SPECIALS[1:],
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": "not the one of the original code",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(text))
    return first + len(SPECIALS)


def shapes(settings):
    """Names and shapes of the original state dict; the tower has already lost its last block."""
    wide, mlp = TOWER["hidden_size"], TOWER["intermediate_size"]
    width, text_mlp, words = (
        settings[name] for name in ("hidden_size", "intermediate_size", "vocab_size")
    )
    keys = width // settings["num_attention_heads"] * settings["num_key_value_heads"]
    tower = "model.vision_tower.vision_tower.vision_model."
    shapes = {
        tower + "embeddings.patch_embedding.weight": (wide, 3, PATCH, PATCH),
        tower + "embeddings.patch_embedding.bias": (wide,),
        tower + "embeddings.position_embedding.weight": (SIDE**2, wide),
        tower + "post_layernorm.weight": (wide,),
        tower + "post_layernorm.bias": (wide,),
        "model.mm_projector.0.weight": (width, wide),
        "model.mm_projector.0.bias": (width,),
        "model.mm_projector.2.weight": (width, width),
        "model.mm_projector.2.bias": (width,),
        "model.image_newline": (width,),
        "model.embed_tokens.weight": (words, width),
        "model.norm.weight": (width,),
        "lm_head.weight": (words, width),
    }
    for block in range(TOWER["num_hidden_layers"] - 1):
        linear = {f"self_attn.{name}_proj": (wide, wide) for name in ("q", "k", "v", "out")}
        linear |= {"mlp.fc1": (mlp, wide), "mlp.fc2": (wide, mlp)}
        for name, shape in linear.items():
            shapes[f"{tower}encoder.layers.{block}.{name}.weight"] = shape
            shapes[f"{tower}encoder.layers.{block}.{name}.bias"] = shape[:1]
        for norm in ("layer_norm1", "layer_norm2"):
            shapes[f"{tower}encoder.layers.{block}.{norm}.weight"] = (wide,)
            shapes[f"{tower}encoder.layers.{block}.{norm}.bias"] = (wide,)
    for block in range(settings["num_hidden_layers"]):
        start = f"model.layers.{block}."
        for name, rows in (("q", width), ("k", keys), ("v", keys)):
            shapes[f"{start}self_attn.{name}_proj.weight"] = (rows, width)
            shapes[f"{start}self_attn.{name}_proj.bias"] = (rows,)
        shapes[start + "self_attn.o_proj.weight"] = (width, width)
        shapes[start + "mlp.gate_proj.weight"] = (text_mlp, width)
        shapes[start + "mlp.up_proj.weight"] = (text_mlp, width)
        shapes[start + "mlp.down_proj.weight"] = (width, text_mlp)
        shapes[start + "input_layernorm.weight"] = (width,)
        shapes[start + "post_attention_layernorm.weight"] = (width,)
    return shapes


def random_weights(settings, seed=0):
    """Weights with which everything matters: no bias is zero, no norm is one."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes(settings).items():
        values = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            values *= torch.Size(shape[1:]).numel() ** -0.5
        elif name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
            values = 1 + 0.2 * values
        else:
            values *= 0.3
        weights[name] = values
    return weights


def write_weights(folder, weights, files=3):
    names = list(weights)
    weight_map = {}
    for number in range(files):
        file = f"model-{number + 1:05}-of-{files:05}.safetensors"
        group = names[number::files]
        save_file({name: weights[name] for name in group}, folder / file)
        weight_map |= dict.fromkeys(group, file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def make_source(folder, spare_rows=0, change=None, weights=None):
    """Write a source. ``spare_rows``: rows of the word tables for which there is no token.

    ``change`` alters the settings once the weights are written, ``weights`` the weights before.
    """
    folder.mkdir()
    settings = SETTINGS | {"vocab_size": write_tokenizer(folder) + spare_rows}
    tensors = random_weights(settings)
    if weights:
        weights(tensors)
    write_weights(folder, tensors)
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 3}))
    (folder / "config.json").write_text(json.dumps(settings | (change or {})))
    return folder


@pytest.fixture(autouse=True)
def small_tower(monkeypatch):
    monkeypatch.setitem(convert.TOWERS, "test/small-siglip", TOWER)


@pytest.fixture
def source(tmp_path):
    return make_source(tmp_path / "source", spare_rows=5)


# The original forward pass ----------------------------------------------------------------------


class Reference:
    """The original code's forward pass for one prompt with one image or one video."""

    def __init__(self, folder):
        self.settings = json.loads((folder / "config.json").read_text())
        self.weights = {}
        for file in folder.glob("*.safetensors"):
            self.weights |= load_file(file)

    def linear(self, values, name):
        bias = self.weights.get(name + ".bias")
        return F.linear(values, self.weights[name + ".weight"], bias)

    def layer_norm(self, values, name):
        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return F.layer_norm(values, weight.shape, weight, bias, 1e-6)

    def tower(self, pixels):
        """``[frames, 3, size, size]`` to what leaves the last block, before the final norm."""
        start = "model.vision_tower.vision_tower.vision_model."
        patches = start + "embeddings.patch_embedding"
        kernel, bias = self.weights[patches + ".weight"], self.weights[patches + ".bias"]
        values = F.conv2d(pixels, kernel, bias, stride=PATCH).flatten(2).transpose(1, 2)
        values = values + self.weights[start + "embeddings.position_embedding.weight"]
        for block in range(TOWER["num_hidden_layers"] - 1):
            name = f"{start}encoder.layers.{block}"
            inside = self.layer_norm(values, name + ".layer_norm1")
            q, k, v = (
                self.linear(inside, f"{name}.self_attn.{part}_proj")
                .unflatten(-1, (TOWER["num_attention_heads"], -1))
                .transpose(1, 2)
                for part in ("q", "k", "v")
            )
            pattern = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
            mixed = (pattern @ v).transpose(1, 2).flatten(2)
            values = values + self.linear(mixed, name + ".self_attn.out_proj")
            inside = self.linear(self.layer_norm(values, name + ".layer_norm2"), name + ".mlp.fc1")
            inside = F.gelu(inside, approximate="tanh")
            values = values + self.linear(inside, name + ".mlp.fc2")
        return values

    def features(self, pixels):
        """``[frames, side, side, width]``, in the language model's width."""
        hidden = F.gelu(self.linear(self.tower(pixels), "model.mm_projector.0"))
        return self.linear(hidden, "model.mm_projector.2").unflatten(1, (SIDE, SIDE))

    def video(self, pixels):
        """``[frames, 3, size, size]`` to ``[tokens, width]``: each row of each frame, newline."""
        tokens = []
        for frame in self.features(pixels):
            for row in self.pool(frame):
                tokens += [*row, self.weights["model.image_newline"]]
        return torch.stack(tokens)

    def pool(self, frame):
        """``[side, side, width]`` to the pooled grid, cell by cell."""
        if self.settings["mm_spatial_pool_mode"] == "average":
            rows = [
                [frame[r : r + 2, c : c + 2].mean((0, 1)) for c in range(0, SIDE - 1, 2)]
                for r in range(0, SIDE - 1, 2)
            ]
            return torch.stack([torch.stack(row) for row in rows])
        weights = bilinear_weights(SIDE, math.ceil(SIDE / 2))
        return torch.einsum("ri,cj,ijd->rcd", weights, weights, frame)

    def image(self, tiles, columns, size):
        """``[1 + columns, 3, side, side]`` (one row of tiles) to ``[tokens, width]``."""
        whole, *parts = self.features(tiles)
        assert len(parts) == columns
        grid = torch.cat(parts, dim=1)
        (rows, wide), (width, height) = grid.shape[:2], size
        if width / height > wide / rows:  # the picture was padded above and below
            pad = (rows - int(height * wide / width)) // 2
            grid = grid[pad : rows - pad]
        else:
            pad = (wide - int(width * rows / height)) // 2
            grid = grid[:, pad : wide - pad]
        rows, wide = grid.shape[:2]
        most = int(self.settings["image_aspect_ratio"].removeprefix("anyres_max_"))
        shrink = math.sqrt(rows * wide / (most * SIDE**2))
        if shrink > 1.1:
            down = bilinear_weights(rows, int(rows // shrink))
            across = bilinear_weights(wide, int(wide // shrink))
            grid = torch.einsum("ri,cj,ijd->rcd", down, across, grid)
        tokens = [*whole.flatten(0, 1)]
        for row in grid:
            tokens += [*row, self.weights["model.image_newline"]]
        return torch.stack(tokens)

    def logits(self, before, seen, after):
        """Splice features between two pieces of text and run Qwen2; ``[tokens, words]``."""
        table = self.weights["model.embed_tokens.weight"]
        values = torch.cat((table[before], seen, table[after]))
        for block in range(self.settings["num_hidden_layers"]):
            values = self.block(values, f"model.layers.{block}")
        return self.linear(self.rms_norm(values, "model.norm"), "lm_head")

    def rms_norm(self, values, name):
        scale = values.square().mean(-1, keepdim=True) + self.settings["rms_norm_eps"]
        return values * scale.rsqrt() * self.weights[name + ".weight"]

    def block(self, values, name):
        inside = self.rms_norm(values, name + ".input_layernorm")
        heads, shared = (
            self.settings["num_attention_heads"],
            self.settings["num_key_value_heads"],
        )
        q = self.linear(inside, name + ".self_attn.q_proj").unflatten(-1, (heads, -1))
        k = self.linear(inside, name + ".self_attn.k_proj").unflatten(-1, (shared, -1))
        v = self.linear(inside, name + ".self_attn.v_proj").unflatten(-1, (shared, -1))
        q, k = self.rotate(q), self.rotate(k)
        mixed = []
        for head in range(heads):
            other = head // (heads // shared)
            scores = q[:, head] @ k[:, other].T * q.shape[-1] ** -0.5
            later = torch.ones_like(scores).triu(1).bool()
            mixed.append(scores.masked_fill(later, -torch.inf).softmax(-1) @ v[:, other])
        values = values + self.linear(torch.cat(mixed, -1), name + ".self_attn.o_proj")
        inside = self.rms_norm(values, name + ".post_attention_layernorm")
        gate = F.silu(self.linear(inside, name + ".mlp.gate_proj"))
        up = self.linear(inside, name + ".mlp.up_proj")
        return values + self.linear(gate * up, name + ".mlp.down_proj")

    def rotate(self, heads):
        """Rotary positions: coordinates i and i + half turn together."""
        half = heads.shape[-1] // 2
        speeds = self.settings["rope_theta"] ** -(torch.arange(half) / half)
        angles = torch.arange(len(heads))[:, None, None] * speeds
        a, b = heads[..., :half], heads[..., half:]
        return torch.cat(
            (a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()), dim=-1
        )


def bilinear_weights(before, after):
    """What each of ``after`` cells takes from ``before`` cells: centres mapped, two neighbours."""
    weights = torch.zeros(after, before)
    for cell in range(after):
        place = max((cell + 0.5) * before / after - 0.5, 0)
        low = min(int(place), before - 1)
        high = min(low + 1, before - 1)
        weights[cell, low] += 1 - (place - low)
        weights[cell, high] += place - low
    return weights


# What comes out ---------------------------------------------------------------------------------


def load(folder):
    model, info = hf.AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values()), info
    return model.eval(), hf.AutoProcessor.from_pretrained(folder)


def prompt(processor, kind):
    content = [{"type": kind}, {"type": "text", "text": "Is the frog left of the camel?"}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )


def around(ids, placeholder):
    """The text before and after the placeholders, and how many there are."""
    places = (ids == placeholder).nonzero().flatten()
    assert places.tolist() == list(range(places[0], places[-1] + 1))
    return ids[: places[0]], ids[places[-1] + 1 :], len(places)


def picture(width, height, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("mode", ["bilinear", "average"])
@torch.no_grad()
def test_video_equals_the_original_code(tmp_path, mode):
    source = make_source(tmp_path / "source", spare_rows=5, change={"mm_spatial_pool_mode": mode})
    convert_llava_video(source, tmp_path / "model", progress=False)
    model, processor = load(tmp_path / "model")
    assert type(model) is LlavaVideoForConditionalGeneration
    reference = Reference(source)
    pixels = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    side = {"bilinear": 3, "average": 2}[mode]

    expected = reference.video(pixels)
    assert expected.shape == (4 * side * (side + 1), SETTINGS["hidden_size"])
    found = model.get_video_features(pixels[None]).pooler_output
    torch.testing.assert_close(found, expected[None], atol=1e-5, rtol=0)

    frames = [picture(90, 40, seed) for seed in range(4)]
    inputs = processor(videos=[frames], text=[prompt(processor, "video")], return_tensors="pt")
    inputs["pixel_values_videos"] = pixels[None]
    before, after, count = around(inputs["input_ids"][0], model.config.video_token_id)
    assert count == len(expected)
    logits = reference.logits(before, expected, after)
    assert logits.std() > 0.3
    torch.testing.assert_close(model(**inputs).logits[0], logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "columns", "tokens"),
    [
        ((70, 72), 1, 25 + 5 * 6),  # one tile, nothing cut
        ((100, 72), 2, 25 + 5 * 7),  # two tiles, cut at the sides
        ((216, 40), 3, 25 + 3 * 16),  # three tiles, cut above and below
        ((210, 72), 3, 25 + 4 * 13),  # three tiles, more than the two allowed: shrunk
    ],
)
@torch.no_grad()
def test_image_equals_the_original_code(source, tmp_path, size, columns, tokens):
    convert_llava_video(source, tmp_path / "model", progress=False)
    model, processor = load(tmp_path / "model")
    reference = Reference(source)
    inputs = processor(
        images=[picture(*size)], text=[prompt(processor, "image")], return_tensors="pt"
    )
    expected = reference.image(inputs["pixel_values"][0], columns, size)
    assert len(expected) == tokens
    found = model.get_image_features(inputs["pixel_values"], inputs["image_sizes"]).pooler_output
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)
    before, after, count = around(inputs["input_ids"][0], model.config.image_token_id)
    assert count == len(expected)
    logits = reference.logits(before, expected, after)
    torch.testing.assert_close(model(**inputs).logits[0], logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_batch_equals_its_prompts_one_by_one(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    model, processor = load(tmp_path / "model")
    videos = [[picture(90, 40, 2 * video + frame) for frame in range(2)] for video in range(2)]
    texts = [prompt(processor, "video").replace("camel", words) for words in ("a", "a big camel")]
    both = processor(videos=videos, text=texts, padding=True, return_tensors="pt")
    assert both["pixel_values_videos"].shape == (2, 2, 3, SIZE, SIZE)
    logits = model(**both).logits
    for row in range(2):
        one = processor(videos=videos[row], text=texts[row], return_tensors="pt")
        alone = model(**one).logits[0]
        kept = both["attention_mask"][row].bool()
        assert kept.all() == (row == 1)
        torch.testing.assert_close(logits[row][kept], alone, atol=1e-5, rtol=0)


def test_frames_are_scaled_to_a_square_as_in_the_original_code(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    processor = hf.AutoProcessor.from_pretrained(tmp_path / "model")
    assert type(processor) is LlavaVideoProcessor
    frames = [picture(90, 40), picture(90, 40, 1)]
    inputs = processor(videos=[frames], text=[prompt(processor, "video")], return_tensors="pt")
    for found, frame in zip(inputs["pixel_values_videos"][0], frames, strict=True):
        square = np.array(frame.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        expected = torch.from_numpy(square).permute(2, 0, 1) / 127.5 - 1
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_prompts_are_those_of_the_original_code(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    processor = hf.AutoProcessor.from_pretrained(tmp_path / "model")
    for kind in ("image", "video"):
        assert prompt(processor, kind) == (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
            f"<{kind}>\nIs the frog left of the camel?<|im_end|>\n<|im_start|>assistant\n"
        )
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert processor.apply_chat_template(chat) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
    )


def test_a_video_is_counted_as_the_model_packs_it(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    model, processor = load(tmp_path / "model")
    side = pooled_side(SIDE, model.config.spatial_pool_mode)
    counts = processor._get_num_multimodal_tokens(video_sizes=[(6, 40, 90), (1, 40, 90)])
    assert counts.num_video_tokens == [6 * side * (side + 1), side * (side + 1)]
    # The real tower has 27 patches a side.
    assert [pooled_side(27, "bilinear"), pooled_side(27, "average")] == [14, 13]


def test_model_and_processor_must_pool_alike(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    model, _ = load(tmp_path / "model")
    processor = hf.AutoProcessor.from_pretrained(tmp_path / "model", spatial_pool_mode="average")
    inputs = processor(
        videos=[[picture(90, 40)]], text=[prompt(processor, "video")], return_tensors="pt"
    )
    with pytest.raises(ValueError, match="tokens do not match"):
        model(**inputs)


def test_videos_that_cannot_be_packed(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    processor = hf.AutoProcessor.from_pretrained(tmp_path / "model")
    text = prompt(processor, "video")
    with pytest.raises(ValueError, match=r"\[1, 2\] frames"):
        processor(videos=[[picture(9, 9)], [picture(9, 9)] * 2], text=[text, text])
    with pytest.raises(TypeError, match=r"as its frames, not as 'film.mp4'"):
        processor(videos=["film.mp4"], text=[text])


@torch.no_grad()
def test_it_generates_and_keeps_the_generation_config(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    model, processor = load(tmp_path / "model")
    assert model.generation_config.max_new_tokens == 3
    inputs = processor(
        videos=[[picture(90, 40)] * 2], text=[prompt(processor, "video")], return_tensors="pt"
    )
    model.generation_config.eos_token_id = None
    ids = model.generate(**inputs, do_sample=False)[0]
    for position in range(inputs["input_ids"].shape[1], len(ids)):
        whole = dict(inputs) | {"input_ids": ids[None, :position]}
        whole["attention_mask"] = torch.ones_like(whole["input_ids"])
        assert model(**whole).logits[0, -1].argmax() == ids[position]
    assert len(ids) == inputs["input_ids"].shape[1] + 3


# Weights and names ------------------------------------------------------------------------------


def weights_of(folder):
    found = [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
    merged = {name: tensor for tensors in found for name, tensor in tensors.items()}
    assert len(merged) == sum(len(tensors) for tensors in found)
    return merged


def test_every_parameter_is_used_exactly_once(source, tmp_path):
    convert_llava_video(source, tmp_path / "model", progress=False)
    left = weights_of(tmp_path / "model")
    config = hf.AutoConfig.from_pretrained(tmp_path / "model")
    plain = hf.LlavaOnevisionConfig(
        text_config=config.text_config, vision_config=config.vision_config
    )
    model = hf.LlavaOnevisionForConditionalGeneration(plain)
    assert set(left) == set(model.state_dict())
    for name, tensor in weights_of(source).items():
        same = [key for key in left if torch.equal(left[key], tensor)]
        assert len(same) == 1, name
        del left[same[0]]
    assert not left


def test_weights_keep_their_type_and_bits(tmp_path):
    def halve(weights):
        for name in weights:
            weights[name] = weights[name].bfloat16()

    source = make_source(tmp_path / "source", weights=halve, change={"torch_dtype": "bfloat16"})
    convert_llava_video(source, tmp_path / "model", progress=False)
    assert {tensor.dtype for tensor in weights_of(tmp_path / "model").values()} == {torch.bfloat16}
    assert hf.AutoConfig.from_pretrained(tmp_path / "model").dtype == torch.bfloat16


def test_new_tokens_get_rows(tmp_path):
    source = make_source(tmp_path / "source")
    convert_llava_video(source, tmp_path / "model", progress=False)
    before, after = weights_of(source), weights_of(tmp_path / "model")
    words = len(before["lm_head.weight"])
    model, processor = load(tmp_path / "model")
    assert model.config.get_text_config().vocab_size == len(processor.tokenizer) == words + 2
    assert (model.config.image_token_id, model.config.video_token_id) == (words, words + 1)
    for ours, theirs in (
        ("model.language_model.embed_tokens.weight", "model.embed_tokens.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ):
        assert torch.equal(after[ours][:words], before[theirs])
        mean = before[theirs].mean(0).expand(2, -1)
        torch.testing.assert_close(after[ours][words:], mean)


def test_spare_rows_and_tokens_of_the_source_are_used(tmp_path):
    source = make_source(tmp_path / "source", spare_rows=5)
    settings = json.loads((source / "tokenizer_config.json").read_text())
    last = max(int(number) for number in settings["added_tokens_decoder"])
    entry = settings["added_tokens_decoder"][str(last)]
    settings["added_tokens_decoder"][str(last + 1)] = entry | {"content": "<image>"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    convert_llava_video(source, tmp_path / "model", progress=False)
    model, processor = load(tmp_path / "model")
    assert (model.config.image_token_id, model.config.video_token_id) == (last + 1, last + 2)
    assert model.config.get_text_config().vocab_size == last + 1 + 5
    assert processor.tokenizer("a<video>b<image>")["input_ids"].count(last + 2) == 1


def test_tied_word_tables(tmp_path):
    source = make_source(
        tmp_path / "source",
        change={"tie_word_embeddings": True},
        weights=lambda weights: weights.pop("lm_head.weight"),
    )
    convert_llava_video(source, tmp_path / "model", progress=False)
    assert "lm_head.weight" not in weights_of(tmp_path / "model")
    model, _ = load(tmp_path / "model")
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_memory_is_bounded_by_the_size_of_a_file(source, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    convert_llava_video(source, whole, progress=False)
    assert len(list(whole.glob("*.safetensors"))) == 1
    monkeypatch.setattr(convert, "SHARD_BYTES", 8000)
    convert_llava_video(source, tmp_path / "parts", progress=False)
    files = [load_file(file) for file in (tmp_path / "parts").glob("*.safetensors")]
    assert len(files) > 10
    for tensors in files:
        assert sum(tensor.nbytes for tensor in tensors.values()) <= 8000 or len(tensors) == 1
    expected, found = weights_of(whole), weights_of(tmp_path / "parts")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    load(tmp_path / "parts")


def test_one_file_without_an_index(source, tmp_path):
    weights = weights_of(source)
    for file in source.glob("model*"):
        file.unlink()
    save_file(weights, source / "model.safetensors")
    convert_llava_video(source, tmp_path / "model", progress=False)
    load(tmp_path / "model")


# What is refused --------------------------------------------------------------------------------


def rewrite(source, **change):
    path = source / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def refused(source, error, match):
    """The conversion fails with a message and leaves nothing behind."""
    around = set(source.parent.iterdir())
    with pytest.raises(error, match=match):
        convert_llava_video(source, source.parent / "model", progress=False)
    assert set(source.parent.iterdir()) == around


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"mm_newline_position": "frame"}, 'mm_newline_position: found "frame", expected "grid"'),
        ({"mm_newline_position": None}, 'mm_newline_position: found null, expected "grid"'),
        ({"mm_spatial_pool_mode": "max"}, 'found "max", expected "bilinear" or "average"'),
        ({"mm_spatial_pool_stride": 4}, "mm_spatial_pool_stride: found 4, expected 2 or null"),
        ({"mm_projector_type": "linear"}, 'found "linear", expected "mlp2x_gelu"'),
        ({"mm_patch_merge_type": "flat"}, 'found "flat", expected "spatial_unpad"'),
        ({"mm_resampler_type": "qformer"}, 'found "qformer", expected null'),
        ({"mm_vision_select_layer": -1}, "mm_vision_select_layer: found -1, expected -2"),
        ({"mm_vision_tower": "x/clip"}, 'found "x/clip", expected "google/siglip-so400m'),
        ({"mm_use_im_start_end": True}, "mm_use_im_start_end: found true, expected false"),
        ({"add_faster_video": True}, "add_faster_video: found true, expected false"),
        ({"image_aspect_ratio": "pad"}, 'image_aspect_ratio: found "pad", expected "anyres_max_9"'),
        (
            {"image_grid_pinpoints": "(1x1),...,(6x6)"},
            r"found .\(1x1\).*, expected a list of pairs",
        ),
        ({"image_grid_pinpoints": [72, 72]}, r"found \[72, 72\], expected a list of pairs"),
        ({"image_grid_pinpoints": None}, "image_grid_pinpoints: missing"),
        ({"architectures": ["LlavaLlamaForCausalLM"]}, "LlavaLlamaForCausalLM"),
        ({"model_type": "llava_onevision"}, 'found "llava_onevision", expected "llava" or'),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling: found"),
        ({"hidden_size": None}, "hidden_size: missing"),
    ],
)
def test_settings_that_are_not_supported(source, change, match):
    rewrite(source, **change)
    refused(source, ValueError, match)


def test_all_wrong_settings_are_named_at_once(source):
    rewrite(source, mm_projector_type="linear", mm_newline_position="one_token")
    refused(source, ValueError, r"(?s)mlp2x_gelu.*one_token")


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        (lambda w: w.pop("model.mm_projector.0.bias"), "1 missing: model.mm_projector.0.bias$"),
        (lambda w: w.pop("lm_head.weight"), "1 missing: lm_head.weight$"),
        (
            lambda w: w.update({"model.faster_token": torch.ones(2)}),
            "1 unknown: model.faster_token$",
        ),
        (
            lambda w: w.update({"model.layers.2.input_layernorm.weight": torch.ones(32)}),
            "1 unknown: model.layers.2.input_layernorm.weight$",
        ),
        (
            lambda w: w.update({"model.norm.weight": torch.ones(31)}),
            r"1 of another shape than the config says: model.norm.weight \(31,\), expected \(32,\)",
        ),
        (
            lambda w: w.update({"model.norm.weight": torch.ones(32, dtype=torch.int8)}),
            "model.norm.weight has type I8, expected F32, F16, BF16",
        ),
    ],
)
def test_weights_that_do_not_fit(tmp_path, weights, match):
    refused(make_source(tmp_path / "source", weights=weights), ValueError, match)


def test_long_lists_are_cut(source):
    rewrite(source, num_hidden_layers=3)
    refused(source, ValueError, r"12 missing: model.layers.2.input_layernorm.*, and 4 more")


def test_the_same_parameter_twice(source):
    first, second, _ = sorted(source.glob("*.safetensors"))
    save_file(load_file(first) | {"model.norm.weight": torch.ones(32)}, first)
    save_file(load_file(second) | {"model.norm.weight": torch.ones(32)}, second)
    refused(source, ValueError, r"model.norm.weight is in model-0000\d.* and in model-0000\d")


def test_files_that_are_missing(source):
    for name, match in (
        ("model-00002-of-00003.safetensors", "files that are missing: model-00002-of-00003"),
        ("config.json", "holds no config.json"),
        ("vocab.json", "holds no tokenizer"),
    ):
        kept = (source / name).read_bytes()
        (source / name).unlink()
        refused(source, FileNotFoundError, match)
        (source / name).write_bytes(kept)
    for file in source.glob("model*"):
        file.unlink()
    refused(source, FileNotFoundError, "holds no weights")
    (source / "pytorch_model.bin").write_bytes(b"")
    refused(source, ValueError, "pickles")
    with pytest.raises(FileNotFoundError, match="no folder"):
        convert_llava_video(source / "nowhere", source.parent / "model")


def test_a_destination_that_holds_something(source, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="full exists already and is no empty folder"):
        convert_llava_video(source, tmp_path / "full")
    with pytest.raises(FileExistsError):
        convert_llava_video(source, source / "config.json")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "kept"
    (tmp_path / "empty").mkdir()
    convert_llava_video(source, tmp_path / "empty", progress=False)
    load(tmp_path / "empty")


def test_a_conversion_that_is_cut_off(source, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "SHARD_BYTES", 8000)
    seen = SimpleNamespace(calls=0, folder=None)

    def save_some(tensors, path, metadata):
        seen.calls += 1
        seen.folder = path.parent
        assert not (tmp_path / "model").exists()
        if seen.calls == 4:
            raise KeyboardInterrupt
        save_file(tensors, path, metadata)

    monkeypatch.setattr(convert, "save_file", save_some)
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        convert_llava_video(source, tmp_path / "model", progress=False)
    assert seen.calls == 4
    assert not seen.folder.exists()
    assert set(tmp_path.iterdir()) == before
    monkeypatch.setattr(convert, "save_file", save_file)
    convert_llava_video(source, tmp_path / "model", progress=False)
    load(tmp_path / "model")


def test_command_line(source, tmp_path, capsys):
    main(["llava-video", str(source), str(tmp_path / "deep" / "model")])
    out, err = capsys.readouterr()
    assert "load_vlm" in out and "helpers.llava_video" in out
    assert "weights: 100%" in err
    load(tmp_path / "deep" / "model")
    with pytest.raises(SystemExit, match=r"error: .* is no empty folder"):
        main(["llava-video", str(source), str(tmp_path / "deep" / "model")])
    with pytest.raises(SystemExit):
        main(["videollama", str(source), str(tmp_path / "other")])
    assert "invalid choice" in capsys.readouterr().err
