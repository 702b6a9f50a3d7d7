"""What is timed: a model, a prompt, and steering edits at a middle block."""

from dataclasses import dataclass

import torch
from PIL import Image
from transformers import LlavaConfig, LlavaForConditionalGeneration

from helpers import HookedVLM, Prompt, load_vlm
from helpers.training.build import Shape, build_model, build_processor
from helpers.training.tokenizer import build_tokenizer

#: As long as the questions of the paper's scripts: some 25 tokens from the first noun on.
QUESTION = (
    "Is the frog to the left or right of the teapot in the image? "
    "Is the teapot above or below the frog?"
)
#: The questions of one image from which IDs are read: both axes, both orders.
QUESTIONS = [
    template.format(*pair)
    for template in (
        "Is the {} to the left or right of the {}?",
        "Is the {} above or below the {}?",
    )
    for pair in (("frog", "teapot"), ("teapot", "frog"))
]
#: A LLaVA with 576 image tokens, as wide and deep as two cores can bear.
LARGE = Shape(
    image_pixels=336, patch_pixels=14, vision_layers=6, vision_width=256,
    layers=8, width=512, heads=8, mlp_width=1408,
)  # fmt: skip
EDITS = 64


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt, a middle block, and one vector for each edit at the last token of "frog"."""

    vlm: HookedVLM
    prompt: Prompt
    layer: int
    vectors: torch.Tensor  # [edits, d_model]

    @property
    def position(self) -> int:
        return self.prompt.word("frog")[-1]

    @property
    def site(self) -> str:
        return self.vlm.resid_post(self.layer)

    @property
    def batch(self) -> int:
        """Edits in one pass of a peer: more than 8 gain nothing on two cores."""
        return 16 if self.vlm.device.type == "cuda" else 8

    def sizes(self) -> dict[str, int | str]:
        """What the figures belong to."""
        return {
            "tokens": len(self.prompt),
            "image tokens": len(self.prompt.image_patches.positions),
            "suffix": len(self.prompt) - self.position,
            "blocks": self.vlm.n_layers,
            "d_model": self.vlm.d_model,
            "edited after block": self.layer,
            "edits": len(self.vectors),
            "dtype": str(self.vlm.dtype),
            "device": str(self.vlm.device),
        }


def picture(seed: int = 0) -> Image.Image:
    """Noise: a picture like no other."""
    pixels = torch.randint(256, (336, 336, 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(pixels.byte().numpy())


def make_case(vlm: HookedVLM, edits: int = EDITS) -> Case:
    prompt = vlm.prompt(picture(), QUESTION)
    vectors = torch.randn(edits, vlm.d_model, generator=torch.Generator().manual_seed(0))
    return Case(vlm, prompt, vlm.n_layers // 2 - 1, vectors.to(vlm.device, vlm.dtype))


def random_llava(shape: Shape, edits: int = EDITS) -> Case:
    """A small LLaVA with random weights, large enough that every edit matters."""
    torch.manual_seed(0)
    processor = build_processor(shape)
    model = build_model(shape, processor.tokenizer)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return make_case(load_vlm(model, processor), edits)


def llava_7b(
    device: str,
    dtype: torch.dtype = torch.float16,
    edits: int = EDITS,
    text: dict | None = None,
    vision: dict | None = None,
) -> Case:
    """LLaVA-1.5-7B's shape with random weights: nothing is downloaded.

    Args:
        device: where to build it.
        dtype: half precision, as the real one is run.
        edits: how many vectors.
        text: sizes of the text model, where they are not to be the real one's.
        vision: of the vision model, alike.
    """
    tokenizer = build_tokenizer()
    config = LlavaConfig(image_token_index=tokenizer.image_token_id)
    for part, sizes in ((config.text_config, text), (config.vision_config, vision)):
        for name, value in (sizes or {}).items():
            setattr(part, name, value)
    torch.manual_seed(0)
    with torch.device(device):
        model = LlavaForConditionalGeneration._from_config(config, dtype=dtype)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    seen = config.vision_config
    shape = Shape(image_pixels=seen.image_size, patch_pixels=seen.patch_size)
    return make_case(load_vlm(model, build_processor(shape, tokenizer)), edits)
