"""The scores of each kind of task (data/examples.py), and of a guess without a model."""

from typing import Any

import numpy as np

from tinygrad_gpt.data.examples import AnsweredQuestions, Examples, LabelledTask, LabelledWords
from tinygrad_gpt.tasks.scores.answers import answer_scores
from tinygrad_gpt.tasks.scores.classes import accuracy, macro_f1, matthews
from tinygrad_gpt.tasks.scores.entities import entity_scores
from tinygrad_gpt.tasks.scores.numbers import mean_squared_error, pearson, spearman

METRICS = {  # kind -> score -> whether more is better. The first one decides which of several models is the best
    "classes": {"matthews": True, "accuracy": True, "macro_f1": True},
    "pair-classes": {"matthews": True, "accuracy": True, "macro_f1": True},
    "similarity": {"spearman": True, "pearson": True, "mse": False},
    "tokens": {"f1": True, "precision": True, "recall": True, "accuracy": True},
    "spans": {"f1": True, "exact_match": True},
}


def score(task: LabelledTask, examples: Examples, predicted: Any) -> dict[str, float]:
    """The scores that METRICS lists for the kind of the task.

    examples   task.dev or task.test
    predicted  for classes (N,) integers, for similarity (N,) floats, for tokens N arrays (W,) of integers (the tag of
               each word), for spans N texts
    """
    if isinstance(examples, AnsweredQuestions):
        exact, f1 = answer_scores([[answer.text for answer in each] for each in examples.answers], predicted)
        return {"f1": f1, "exact_match": exact}
    labels = examples.labels
    if isinstance(examples, LabelledWords):
        tags = ([[task.classes[label] for label in row] for row in side] for side in (labels, predicted))
        precision, recall, f1 = entity_scores(*tags)
        right = accuracy(np.concatenate(labels), np.concatenate(predicted))  # of words
        return {"f1": f1, "precision": precision, "recall": recall, "accuracy": right}
    if task.kind == "similarity":
        mse = mean_squared_error(labels, predicted)
        return {"spearman": spearman(labels, predicted), "pearson": pearson(labels, predicted), "mse": mse}
    scores = matthews(labels, predicted), accuracy(labels, predicted), macro_f1(labels, predicted)
    return dict(zip(METRICS[task.kind], scores, strict=True))


def baseline(task: LabelledTask) -> dict[str, float]:
    """The scores on dev of what LabelledTask.guess answers without a model."""
    return score(task, task.dev, task.guess(task.dev))
