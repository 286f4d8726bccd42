"""Token labels: which label has each word of a sentence? Named entities, for example, as O, B-TYPE and I-TYPE.

loss       mean cross-entropy of the scores of the labels, over words: each is asked at one of its pieces, and the other
           pieces, special tokens and padding are left out
metrics    the F1 score of whole entities decides, as in all that is published: a right entity has the right type, and
           begins and ends at the right words. Accuracy, of words, is beside it; where most words are O it says little

A word that was cut off with the end of a long sentence counts as O.
"""

from collections.abc import Sequence

import numpy as np

from tinygrad_gpt.data.alignment import NO_PLACE, cut_off, labels_at_places, read_words
from tinygrad_gpt.ops import softmax
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.fine_tuning import FineTuning, scores_of
from tinygrad_gpt.tasks.scores import cross_entropy
from tinygrad_gpt.tasks.task import Loss


class TokenLabels(FineTuning):
    """Prediction of a label for each word of a sentence."""

    name = "token-labels"

    def __init__(self, config, data, family, rows=32, seed=1):
        self.guess = f"all {data.classes[data.majority]}"
        super().__init__(config, data, family, rows, seed)

    def _read(self, examples):
        read = [self.family.words(words) for words in examples.words]
        places = [one.places for one in read]
        return [one.sequence for one in read], list(zip(places, examples.labels, strict=True))

    def _right(self, targets, which, length):
        rows = [labels_at_places(right, places, length) for places, right in (targets[i] for i in which)]
        labels = np.array(rows)
        return labels, np.full(len(which), _asked_per_row(labels))

    def loss(self, model, *arrays):
        *arrays, per_row = arrays
        total, parts, _ = super().loss(model, *arrays)
        share = _asked_per_row(arrays[-1]) / float(per_row[0])
        if share == 1:
            return Loss(total, parts)
        # A part of a step. The trainer takes the mean of the parts by their rows, and it should be that of all words.
        task = parts.get("task", total)
        return Loss(total + (share - 1) * task, parts | ({"task": share * task} if parts else {}))

    def _judge(self, scores):
        both = list(zip(scores, self.dev_targets, strict=True))
        predicted = [labels_from(s, places) for s, (places, _) in both]
        right = np.concatenate([labels_at_places(y, places, len(s)) for s, (places, y) in both])
        asked = right != IGNORE_INDEX
        return predicted, cross_entropy(right[asked], np.concatenate(scores)[asked])

    def _lines(self, scores):
        names, dev = self.labelled.classes, self.labelled.dev
        for s, (places, right), words in zip(scores, self.dev_targets, dev.words, strict=False):
            rows = zip(words, labels_from(s, places), right, strict=True)
            marked = (f"{word}/{names[best]}" + ("" if best == y else f"({names[y]})") for word, best, y in rows)
            yield " ".join(marked) + "\n"

    def remark(self):
        lost = cut_off(places for places, _ in [*self.targets, *self.dev_targets])
        if not lost.words:
            return ""
        return (
            f"{lost.words:,} of {lost.of_words:,} words, in {lost.sentences:,} sentences, lie beyond the "
            f"{self.family.longest} tokens that are read: they teach nothing, and count as {self.labelled.classes[0]}"
        )

    def example(self):
        return [" ".join(self.labelled.dev.words[0])]

    def facts(self, model):
        return self._facts_of(np.concatenate(self.labelled.train.labels))


def _asked_per_row(labels: np.ndarray) -> float:
    """How many words a row of labels (B, T) has, on average."""
    return float((labels != IGNORE_INDEX).sum() / len(labels))


def labels_of(
    family: Family, model, sentences: Sequence[Sequence[str]], progress: Progress = no_progress
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each sentence, given as its words: the likeliest label (W,) of each word, and its probability (W,). A word
    that was cut off has the label 0 (O), and nan."""
    read = [family.words(words) for words in sentences]
    found = []
    of_all = scores_of(family, model, [one.sequence for one in read], progress)
    for scores, (_, places) in zip(of_all, read, strict=True):
        p = softmax.forward(scores.astype(np.float64))[0]  # (T, K)
        labels = labels_from(scores, places)
        found.append((labels, np.where(places == NO_PLACE, np.nan, p[places, labels])))
    return found


def labels_from(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The model's scores (T, K) of a sentence -> (W,), the likeliest label of each word, which is read at its place."""
    return read_words(scores.argmax(axis=1), places)
