"""Which scores each kind of task has (data/examples.py), what they are called, and which one decides."""

from typing import Any

import numpy as np

from tinygrad_gpt.data.examples import (
    CLASSES,
    PAIR_CLASSES,
    SIMILARITY,
    SPANS,
    TOKENS,
    AnsweredQuestions,
    Examples,
    LabelledTask,
    LabelledWords,
)
from tinygrad_gpt.tasks.scores.answers import answer_scores
from tinygrad_gpt.tasks.scores.classes import accuracy, matthews
from tinygrad_gpt.tasks.scores.entities import entity_scores
from tinygrad_gpt.tasks.scores.numbers import pearson, spearman

TITLES = {  # of all scores, by their names in files. More is better for each of them
    "matthews": "Matthews",
    "accuracy": "accuracy",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "exact_match": "exact match",
    "bleu": "BLEU",
}
_OF_KIND = {
    CLASSES: ("matthews", "accuracy"),
    PAIR_CLASSES: ("matthews", "accuracy"),
    SIMILARITY: ("spearman", "pearson"),
    TOKENS: ("f1", "precision", "recall", "accuracy"),
    SPANS: ("f1", "exact_match"),
}
_BY_ACCURACY = ("sst2-sentences",)  # tasks of which accuracy is published: their classes are about equally frequent


def scores_of_task(kind: str, name: str = "") -> tuple[str, ...]:
    """The names of a task's scores; the first one decides which of several models is the best.

    kind, name  of a LabelledTask
    """
    names = _OF_KIND[kind]
    return tuple(sorted(names, key="accuracy".__ne__)) if name in _BY_ACCURACY else names


def score(task: LabelledTask, examples: Examples, predicted: Any) -> dict[str, float]:
    """The scores that `scores_of_task` names, in its order.

    examples   task.dev or task.test
    predicted  for classes (N,) integers, for similarity (N,) floats, for tokens N arrays (W,) of integers (the tag of
               each word), for spans N texts
    """
    found = _scores(task, examples, predicted)
    return {name: found[name] for name in scores_of_task(task.kind, task.name)}


def _scores(task: LabelledTask, examples: Examples, predicted: Any) -> dict[str, float]:
    if isinstance(examples, AnsweredQuestions):
        return answer_scores([[answer.text for answer in each] for each in examples.answers], predicted)._asdict()
    labels = examples.labels
    if isinstance(examples, LabelledWords):
        right, given = ([[task.classes[label] for label in row] for row in side] for side in (labels, predicted))
        of_words = accuracy(np.concatenate(labels), np.concatenate(predicted))
        return entity_scores(right, given)._asdict() | {"accuracy": of_words}
    if task.kind == SIMILARITY:
        return {"spearman": spearman(labels, predicted), "pearson": pearson(labels, predicted)}
    return {"matthews": matthews(labels, predicted), "accuracy": accuracy(labels, predicted)}
