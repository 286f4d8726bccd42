"""Classes: which of a few classes does a text, or a pair of texts, belong to?

loss       mean cross-entropy of the scores of the classes
metrics    Matthews' correlation decides: a constant answer gets 0 of it, whatever the shares of the classes. For
           sst2-sentences accuracy does, as in all that is published about it
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tinygrad_gpt.errors import in_short
from tinygrad_gpt.ops import softmax
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.fine_tuning import FineTuning, scores_of, texts_of
from tinygrad_gpt.tasks.scores import cross_entropy


class TextClasses(FineTuning):
    """Prediction of the class of a text, or of a pair."""

    name = "classification"
    guess = "most frequent class"

    def _read(self, examples):
        return [self.family.text(*texts) for texts in texts_of(examples)], examples.labels

    def _right(self, targets, which, length):
        return (targets[which],)

    def _judge(self, scores):
        return np.argmax(scores, axis=1), cross_entropy(self.labelled.dev.labels, np.array(scores))

    def _lines(self, scores):
        classes, dev = self.labelled.classes, self.labelled.dev
        for best, label, texts in zip(np.argmax(scores, axis=1), dev.labels, texts_of(dev), strict=False):
            yield "\t".join((classes[best], classes[label], *texts)) + "\n"

    def remark(self):
        return "; ".join(filter(None, (super().remark(), *self._odd_classes())))

    def _odd_classes(self) -> Iterator[str]:
        """What hints at a mistake in a file of one's own."""
        classes, (train, dev) = (
            self.labelled.classes,
            (side.labels for side in (self.labelled.train, self.labelled.dev)),
        )
        counts = np.bincount(train, minlength=len(classes))
        for k in np.flatnonzero(counts == 1) if np.sum(counts == 1) < len(classes) else ():
            text = in_short(texts_of(self.labelled.train)[np.flatnonzero(train == k)[0]][0])
            yield f"only one training text has the class {in_short(classes[k])}: {text!r}"
        if len(set(dev.tolist())) == 1 < len(dev):
            yield (
                f"all {len(dev):,} texts to test on have the class {in_short(classes[dev[0]])}, so their scores say "
                "little: give more texts, or a folder with train and dev"
            )

    def example(self):
        return list(texts_of(self.labelled.dev)[0])

    def facts(self, model):
        return self._facts_of(self.labelled.train.labels)


def probabilities(
    family: Family, model, texts: Sequence[tuple[str, ...]], progress: Progress = no_progress
) -> np.ndarray:
    """(N, K) float64: the probability of each class for each text, (text,), or pair, (text, text)."""
    scores = scores_of(family, model, [family.text(*one) for one in texts], progress)
    return softmax.forward(np.array(scores, dtype=np.float64))[0]
