"""The emoji sprites that every scene is made of.

The pictures are Noto Color Emoji (SIL Open Font License 1.1, see ``sprites/LICENSE``),
cut out once at 128 x 128 pixels, so that scenes look the same on every machine.
"""

from functools import lru_cache
from pathlib import Path

from PIL import Image

SPRITE_FOLDER = Path(__file__).parent / "sprites"

#: The ten objects of the paper's synthetic stimuli.
PAPER_OBJECTS = (
    "backpack", "fan", "camel", "frog", "dog", "cake", "log", "robot", "person", "teapot",
)  # fmt: skip

#: Every object that has a sprite. Some names contain others on purpose (dog and hot dog,
#: apple and pineapple): a careless substring search confuses them.
OBJECTS = PAPER_OBJECTS + (
    "cat", "car", "tree", "chair", "guitar", "bicycle", "apple", "banana", "key", "boat",
    "elephant", "umbrella", "mushroom", "hot dog", "teddy bear", "traffic light",
    "pineapple", "balloon", "snowman", "cactus", "clock", "book",
)  # fmt: skip


@lru_cache(maxsize=4096)
def sprite(name: str, pixels: int) -> Image.Image:
    """Return the RGBA picture of an object, ``pixels`` wide and high.

    Raises:
        ValueError: if no sprite has that name; the message lists the names.
    """
    if name not in OBJECTS:
        raise ValueError(f"no sprite for {name!r}; there are: {', '.join(OBJECTS)}")
    picture = Image.open(SPRITE_FOLDER / f"{name.replace(' ', '_')}.png").convert("RGBA")
    return picture.resize((pixels, pixels), Image.Resampling.LANCZOS)
