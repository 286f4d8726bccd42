"""A fine-tuned classifier, in use."""

from pathlib import Path

import numpy as np

from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.models.gpt import GPT, count_parameters
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification
from tinygrad_gpt.ops import softmax
from tinygrad_gpt.tasks.classification import scores_of, sequences_of
from tinygrad_gpt.train.finetune import best_run, read_classifier, shape_of
from tinygrad_gpt.train.trained_model import load_weights, tokenizer_of


class Classifier:
    """Texts in, classes out.

    classes  the labels, as they were written in the data
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        """folder  made by `finetune`, for its best run, or the folder of a single run
        device  where to compute

        Raises UserError for other folders, for files that are missing or damaged, and for a missing device.
        """
        run = best_run(folder)
        written = read_classifier(run)
        self.classes, shape = tuple(written["task"]["classes"]), shape_of(run, written)
        self.tokenizer = tokenizer_of(run, written)
        self.model = load_weights(
            run, count_parameters(shape), lambda: GPT1ForClassification(GPT(shape), len(self.classes))
        )
        self.model.to(device)

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """(N, classes) float64: the probability of each class for each text."""
        config = self.model.config
        tokens = TaskTokens.after(config.vocab_size - TaskTokens.COUNT)
        sequences = sequences_of(texts, self.tokenizer, tokens, config.block_size)
        return softmax.forward(scores_of(self.model, sequences).astype(np.float64))[0]
