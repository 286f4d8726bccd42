"""`tinygrad-gpt eval` of a BERT that `train` pre-trained: what it makes of held-out documents."""

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from tinygrad_gpt.cli.shared import download_progress
from tinygrad_gpt.data.documents import open_documents
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.tasks.masked_lm import MaskedLM
from tinygrad_gpt.train.reporter import make_reporter, reading_bar
from tinygrad_gpt.train.trained_model import TrainedModel


def evaluate_bert(source: TrainedModel, tokenizer: Tokenizer, model: Any, name: str | None, as_json: bool) -> None:
    """Measure a pre-trained BERT on the held-out documents of a corpus, all of them, masked as in its training.

    name  of the corpus, see open_documents; None: the one that it was trained on
    """
    settings = source.settings
    if settings is None:
        raise UserError(
            f"{source.name} does not say how it was pre-trained, and so not how to measure it: `tinygrad-gpt finetune` "
            "measures what it knows, on a task of your own"
        )
    progress = download_progress(make_reporter(sys.stderr))
    config = settings.task if name is None else dataclasses.replace(settings.task, corpus=name, held_out=True)
    try:
        documents = source.corpus(progress) if name is None else open_documents(name, True, progress=progress)
    except UserError as error:
        if name is not None:
            raise
        again = command("tinygrad-gpt", "eval", Path(source.name))
        raise UserError(f"{error}: put it back, or name other documents, {again} CORPUS") from None
    task = MaskedLM(config, documents, tokenizer, settings.window, settings.train.batch_size, seed=settings.train.seed)
    began = time.perf_counter()
    with reading_bar(unit="pairs") as bar:
        scores = task.evaluate(model, last=True, progress=bar)
    seconds, guesses = time.perf_counter() - began, task.guesses()
    figures = {name.removeprefix("val_"): value for name, value in scores.items()}
    part = "held-out part" if config.held_out else "the part that it learned from"
    if as_json:
        known = {name: x if math.isfinite(x) else None for name, x in figures.items()}
        answer = {"model": source.name, "corpus": config.corpus, "part": part, "pairs": len(task.pairs)} | known
        print(json.dumps(answer | {"guesses": guesses, "seconds": round(seconds, 3)}))
        return
    print(f"{config.corpus}, {part}: {len(task.pairs):,} pairs of at most {settings.window} tokens")
    for name, value in figures.items():
        guess = f" (a guess: {guesses[name]:.4f})" if name in guesses else ""
        print(f"{name.replace('_', ' '):<22}  {value:.4f}{guess}")
