"""Similarity: how alike are two texts, as a number?

loss       mean squared error of the model's number
metrics    Spearman's rank correlation decides; Pearson's beside it. Both are 0 for a constant answer
"""

from collections.abc import Sequence

import numpy as np

from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.fine_tuning import FineTuning, scores_of, texts_of
from tinygrad_gpt.tasks.scores import mean_squared_error


class Similarity(FineTuning):
    """Prediction of a number for a pair of texts."""

    name = "similarity"
    guess = "mean of the training examples"

    @classmethod
    def outputs_for(cls, classes):
        return 1

    def _read(self, examples):
        return [self.family.symmetric(*pair) for pair in texts_of(examples)], examples.labels

    def _right(self, targets, which, length):
        return (targets[which],)

    def _judge(self, scores):
        predicted = numbers_from(scores)
        return predicted, mean_squared_error(self.labelled.dev.labels, predicted)

    def _lines(self, scores):
        for number, right, pair in zip(
            numbers_from(scores), self.labelled.dev.labels, texts_of(self.labelled.dev), strict=False
        ):
            yield "\t".join((f"{number:.2f}", f"{right:.2f}", *pair)) + "\n"

    def example(self):
        return list(texts_of(self.labelled.dev)[0])

    def probe(self):
        return None  # there are no answers to choose from


def numbers(family: Family, model, pairs: Sequence[tuple[str, str]], progress: Progress = no_progress) -> np.ndarray:
    """(N,) float64: how alike the texts of each pair are, on the scale of the training examples."""
    return numbers_from(scores_of(family, model, [family.symmetric(*pair) for pair in pairs], progress))


def numbers_from(scores: list[np.ndarray]) -> np.ndarray:
    """The model's scores (1,) of each pair -> (N,) float64."""
    return np.array(scores, dtype=np.float64)[:, 0]
