"""Every chapter runs on any family of models, with small sizes.

Models are tiny and random, so they know nothing: what counts is that a chapter does not assume
the shipped model's number of blocks or patches, its tokenizer, or that pictures are one square
grid in the sequence. All pairs of a chapter and a family take minutes, so the families take
turns by the chapter's number: each chapter runs on one of four families, each of these runs
several. With EVERY_FAMILY=1 in the environment, every chapter runs on every family of the zoo.
"""

import itertools
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("papermill", reason="needs the 'book' extra")

from zoo import VIDEO, ZOO

from helpers.loading import ORGANISMS
from tools import notebooks

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
CONTROL = ORGANISMS / "tiny-llava-direct"

#: What is odd about them: image tokens that look at each other; patches outside of the sequence,
#: and blocks that see no picture; no picture size, and positions in three dimensions; a grid of
#: tiles with newlines behind its rows.
TELLING = ("gemma3", "mllama", "qwen2_5_vl", "llava_video")
#: Chapter 7 cuts attention to patches; where there are none in the sequence, it says so and stops.
REFUSED = ("07_which_heads", "mllama")
#: The chapters about time run on families that take videos: two frames in one step and times in
#: seconds; a token for pictures that stands for frames; newlines behind rows; no such thing.
ABOUT_TIME = [name for name in CHAPTERS if 16 <= int(name[:2]) <= 19]
MOVING = ("qwen2_5_vl", "smolvlm", "llava_video", "video_llama_3")
PAIRS = (
    [
        pair
        for chapter in CHAPTERS
        for pair in itertools.product([chapter], VIDEO if chapter in ABOUT_TIME else ZOO)
        if pair != REFUSED
    ]
    if os.environ.get("EVERY_FAMILY")
    else [
        (chapter, families[int(chapter[:2]) % len(families)])
        for chapter in CHAPTERS
        for families in [MOVING if chapter in ABOUT_TIME else TELLING]
    ]
)

RUN = """
import sys
from tools import notebooks
source, target, model, failed = sys.argv[1:]
try:
    notebooks.run_notebook(source, target, {"SMALL": True, "MODEL": model}, failed_dir=failed)
except notebooks.NotebookError as error:
    sys.exit(str(error))
"""

# Some families' processors have a video processor, which cannot be saved or loaded without
# torchvision. The kernels take these from the zoo; IPython runs this file when a kernel starts.
STARTUP = """
from pathlib import Path
from transformers import AutoProcessor

from helpers.llava_video import FramesProcessor


def with_the_zoo(load):
    def from_pretrained(source, **options):
        name = Path(source).name
        if not name.startswith("random-") or (Path(source) / "tokenizer_config.json").exists():
            return load(source, **options)
        from tests.zoo import ZOO

        return ZOO[name.removeprefix("random-")]()[1]

    return from_pretrained


for kind in (AutoProcessor, FramesProcessor):
    kind.from_pretrained = with_the_zoo(kind.from_pretrained)
"""


def save(family, folder):
    """Save a model of a family and, if that can be done, its processor."""
    model, processor = ZOO[family]()
    model.save_pretrained(folder)
    if not hasattr(processor, "video_processor"):
        processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """The pairs that were asked for, two at a time: (chapter, family) to what went wrong."""
    folder = tmp_path_factory.mktemp("any-model")
    asked = [
        item.callspec.params for item in request.session.items if "outcomes" in item.fixturenames
    ]
    pairs = sorted({(params["chapter"], params["family"]) for params in asked})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for family in {family for _, family in pairs}:
            save(family, folder / f"random-{family}")
    startup = folder / "ipython" / "profile_default" / "startup" / "processors.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(STARTUP)
    environment = os.environ | notebooks.KERNEL_ENVIRONMENT
    path = [str(ROOT), os.environ.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    environment["IPYTHONDIR"] = str(startup.parents[2])
    environment["HF_HUB_OFFLINE"] = "1"

    def run(pair):
        chapter, family = pair
        source = ROOT / "notebooks" / f"{chapter}.ipynb"
        target = folder / family / "executed" / f"{chapter}.ipynb"
        model, failed = folder / f"random-{family}", folder / family / "failed"
        command = [sys.executable, "-W", "ignore", "-c", RUN, source, target, model, failed]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        trouble = done.stderr[-6000:] if done.returncode else ""
        return pair, trouble or ("" if target.exists() else "no executed copy")

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(run, pairs))


@pytest.mark.skipif(not CONTROL.exists(), reason=f"there is no model {CONTROL.name}")
@pytest.mark.parametrize(("chapter", "family"), PAIRS)
def test_a_chapter_runs_on_a_family(outcomes, chapter, family):
    trouble = outcomes[chapter, family]
    assert not trouble, trouble


def test_every_chapter_and_every_telling_family_has_its_turn():
    assert {chapter for chapter, _ in PAIRS} == set(CHAPTERS)
    assert {family for _, family in PAIRS} >= {*TELLING, *MOVING}
