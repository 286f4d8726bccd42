"""Using what a fine-tuning run has learned."""

from pathlib import Path

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import load_tokenizer
from tinygrad_gpt.data.tokenizers import FILE_NAME
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification
from tinygrad_gpt.train.checkpoint import load_checkpoint, naming_the_file
from tinygrad_gpt.train.finetune import scores_of, sequences_of
from tinygrad_gpt.train.finetune_run import DESCRIPTION, WEIGHTS
from tinygrad_gpt.train.room import check_as_large

_WRITTEN = {"model": dict, "tokenizer": str, "classes": [str]}


class Classifier:
    """Texts in, classes out.

    classes  the labels, as they were written in the task
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        """`device`: where to compute. Raises UserError where there is no such device, for a folder that `finetune` did
        not make, or whose files are missing or damaged."""
        path = folder / DESCRIPTION
        if not path.is_file():
            raise UserError(f"{folder} is no folder that `tinygrad-gpt finetune` made: it has no {DESCRIPTION}")
        written = read_json(path, _WRITTEN)
        self.classes, fingerprint = tuple(written["classes"]), written["tokenizer"]
        try:
            config = GPTConfig(**written["model"])
        except (UserError, TypeError) as error:  # the latter for names that are none of its fields
            raise UserError(f"{path} is damaged: {in_short(error)}") from None
        self.tokenizer = load_tokenizer(folder / FILE_NAME)
        if self.tokenizer.fingerprint() != fingerprint:
            raise UserError(f"{folder / FILE_NAME} is not the tokenizer of this run: put that one back")
        arrays, _ = load_checkpoint(folder / WEIGHTS)
        with naming_the_file(folder / WEIGHTS), random_stream.uninitialised():
            check_as_large(config, arrays)
            self.model = GPT1ForClassification(GPT(config), len(self.classes))
            self.model.load_state_dict({name.removeprefix("model."): a for name, a in arrays.items()})
        self.model.to(device)

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """(N, classes) float64: how likely each class is for each text."""
        scores = scores_of(self.model, sequences_of(texts, self.tokenizer, self.model)).astype(np.float64)
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        return likely / likely.sum(axis=1, keepdims=True)
