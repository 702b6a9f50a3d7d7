"""Turn a training run into a Hugging Face folder that the book ships::

    python -m helpers.training.export tiny-llava checkpoints/tiny-llava helpers/organisms/tiny-llava

With ``--step``, the weights are those that the run kept after that step (see ``Recipe.keep``).
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
from transformers import GenerationConfig

from helpers.training.train import RECIPES, Run


def export(recipe: str, run_folder: Path, out: Path, step: int | None = None) -> None:
    """Write weights in half precision, config, processor, tokenizer and the training log.

    Raises:
        FileNotFoundError: if the folder holds no checkpoint, or none of that step was kept.
    """
    if not (run_folder / "state.json").exists():
        raise FileNotFoundError(f"no checkpoint in {run_folder}: state.json is missing")
    run = Run(RECIPES[recipe], run_folder, "cpu")
    log = run.state.log
    if step is not None:
        kept = run.kept(step)
        if not kept.exists():
            found = ", ".join(sorted(path.name for path in run_folder.glob("kept-*"))) or "nothing"
            raise FileNotFoundError(f"{kept.name} is not in {run_folder}; it kept: {found}")
        run.load_weights(kept)
        log = [row for row in log if row["step"] <= step]
    tokenizer = run.tokenizer
    model = run.model.eval().to(torch.float16)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(out)
    run.processor.save_pretrained(out)
    pd.DataFrame(log).to_csv(out / "training_log.csv", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("run", type=Path, help="folder of the checkpoints")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--step", type=int, help="weights that were kept after this step")
    arguments = parser.parse_args()
    export(arguments.recipe, arguments.run, arguments.out, arguments.step)


if __name__ == "__main__":
    main()
