"""What the tests share: a small LLaVA with random weights, in which everything matters."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may need the network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch

from helpers import Placed, Scene, load_vlm
from helpers.training.build import Shape, build_model, build_processor
from helpers.training.tokenizer import build_tokenizer

SHAPE = Shape(vision_layers=1, vision_width=32, layers=3, width=48, heads=2, mlp_width=64)


def random_llava(shape=SHAPE, seed=0):
    """A model and its processor; weights so large that every token and patch moves the logits."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    model = build_model(shape, tokenizer)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.eval(), build_processor(shape, tokenizer)


@pytest.fixture(scope="session")
def vlm():
    return load_vlm(*random_llava(), device="cpu")


@pytest.fixture(scope="session")
def scene():
    """A frog left of and above a backpack."""
    return Scene((Placed("frog", 0.25, 0.3, 0.3), Placed("backpack", 0.75, 0.6, 0.3)))


@pytest.fixture(scope="session")
def prompt(vlm, scene):
    return vlm.prompt(scene.render(), "Is the frog to the left or right of the backpack?")


@pytest.fixture(scope="session")
def prompts(vlm, scene, prompt):
    """Three prompts of different lengths about different images."""
    other = Scene((Placed("camel", 0.7, 0.2, 0.4), Placed("hot dog", 0.2, 0.7, 0.3)))
    return [
        prompt,
        vlm.prompt(other.render(), "Where is the camel?"),
        vlm.prompt(scene.render(), "Is the frog above or below the frog?"),
    ]


def count_hooks(model):
    modules = list(model.modules())
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)
