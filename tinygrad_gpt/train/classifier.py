"""Using what a fine-tuning has learned."""

from pathlib import Path

import numpy as np

from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification
from tinygrad_gpt.tasks.classification import scores_of, sequences_of
from tinygrad_gpt.train.finetune import best_run
from tinygrad_gpt.train.run_folder import RunFolder, check_task
from tinygrad_gpt.train.trained_model import load_weights, tokenizer_of

_WRITTEN = {"task": {"name": str, "classes": [str]}, "tokenizer": str, "vocab_size": int}


class Classifier:
    """Texts in, classes out.

    classes  the labels, as they were written in the data
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        """`folder`: one that `finetune` made, whose best run is taken, or that of a single run; `device`: where to
        compute. Raises UserError for other folders, files that are missing or damaged, and a device that is not there.
        """
        run = RunFolder(folder) if RunFolder(folder).config.is_file() else best_run(folder)
        check_task(run, "classification", "a classifier")
        written = run.read_config(_WRITTEN)
        self.classes = tuple(written["task"]["classes"])
        try:
            config = GPTConfig(vocab_size=written["vocab_size"], **written["model"])
        except (UserError, TypeError) as error:  # the latter for names that are not its fields
            raise UserError(f"{run.config} is damaged: {in_short(error)}") from None
        self.tokenizer = tokenizer_of(run, written)
        self.model = load_weights(run, config, lambda: GPT1ForClassification(GPT(config), len(self.classes)))
        self.model.to(device)

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """(N, classes) float64: how likely each class is for each text."""
        config = self.model.config
        tokens = TaskTokens.after(config.vocab_size - TaskTokens.COUNT)
        sequences = sequences_of(texts, self.tokenizer, tokens, config.block_size)
        scores = scores_of(self.model, sequences).astype(np.float64)
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        return likely / likely.sum(axis=1, keepdims=True)
