"""Texts with what should be learnt about them: the examples of the five kinds of tasks, and a task of one kind.

    kind          an example                            its label                      examples
    classes       a text                                a class                        LabelledTexts
    pair-classes  two texts                             a class                        LabelledPairs
    similarity    two texts                             a number                       LabelledPairs
    tokens        the words of a sentence               O, B-TYPE or I-TYPE for each   LabelledWords
    spans         a question and a text that answers    where the answer stands        AnsweredQuestions

In all of them `labels` holds what is right, as arrays; for spans `answers` does.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

CLASSES, PAIR_CLASSES, SIMILARITY, TOKENS, SPANS = "classes", "pair-classes", "similarity", "tokens", "spans"
KINDS = (CLASSES, PAIR_CLASSES, SIMILARITY, TOKENS, SPANS)
OUTSIDE = "O"  # the tag of a word that belongs to no entity


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, and their labels as indices into the list of classes: (N,) int64."""

    texts: list[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def lines(self, classes: tuple[str, ...]) -> Iterator[str]:
        return (f"{classes[label]}\t{text}" for text, label in zip(self.texts, self.labels, strict=True))


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of texts: the first ones, the second ones, and the labels: (N,) int64 indices into the list of classes, or
    (N,) float64 numbers."""

    first: list[str]
    second: list[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def lines(self, classes: tuple[str, ...]) -> Iterator[str]:
        for first, second, label in zip(self.first, self.second, self.labels.tolist(), strict=True):
            yield f"{classes[label] if classes else label}\t{first}\t{second}"


@dataclass(frozen=True)
class LabelledWords:
    """Sentences as words, and a label for each word: for every sentence of W words an array (W,) int64 of indices into
    the list of classes, which here are tags (see conll.py)."""

    words: list[tuple[str, ...]]
    labels: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.words)

    def lines(self, classes: tuple[str, ...]) -> Iterator[str]:
        for words, labels in zip(self.words, self.labels, strict=True):
            yield "".join(f"{word}\t{classes[label]}\n" for word, label in zip(words, labels, strict=True))


class Answer(NamedTuple):
    """A part of a text: its characters, text[start : start + len(answer.text)]."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """The place after its last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class AnsweredQuestions:
    """Questions, for each the text that holds the answer, and one or more right answers. Training learns the first."""

    questions: list[str]
    texts: list[str]
    answers: list[tuple[Answer, ...]]

    def __len__(self) -> int:
        return len(self.questions)

    def lines(self, classes: tuple[str, ...]) -> Iterator[str]:
        return (json.dumps(example) for example in zip(self.questions, self.texts, self.answers, strict=True))


Examples = LabelledTexts | LabelledPairs | LabelledWords | AnsweredQuestions


@dataclass(frozen=True)
class LabelledTask:
    """Examples of one kind, to train and to test on.

    name     the name or path that open_task was called with
    kind     one of KINDS
    train    what to learn from
    dev      what to test on while one chooses settings
    test     what to test on at the very end; None if there is nothing for it
    classes  the labels as they are written; () for similarity and spans. For tokens "O" is the first, and each type has
             both B- and I-
    path     the absolute path it was read from; None for a named task
    """

    name: str
    kind: str
    train: Any  # Examples; Any, since its kind tells a reader which
    dev: Any
    test: Any = None
    classes: tuple[str, ...] = ()
    path: str | None = None

    @property
    def majority(self) -> int:
        """The class with the most training examples; of tokens, with the most words."""
        labels = np.concatenate(self.train.labels) if self.kind == TOKENS else self.train.labels
        return int(np.bincount(labels).argmax())

    def guess(self, examples: Examples) -> Any:
        """What is answered for each of these examples without a look at it, to measure a model against: the most
        frequent class, the mean of the training numbers, the most frequent tag, the whole text.

        Returns the form that a model's predictions have: (N,) labels, N arrays of labels (W,), or N texts.
        """
        if isinstance(examples, AnsweredQuestions):
            return list(examples.texts)
        if isinstance(examples, LabelledWords):
            return [np.full_like(labels, self.majority) for labels in examples.labels]
        constant = self.train.labels.mean() if self.kind == SIMILARITY else self.majority
        return np.full_like(examples.labels, constant)

    @cached_property
    def sha256(self) -> str:
        """Of all examples to train on and of dev, with their labels, in their order."""
        digest = hashlib.sha256()
        for part in (self.train, self.dev):
            for line in part.lines(self.classes):
                digest.update(f"{line}\n".encode())
            digest.update(b"\0")
        return digest.hexdigest()
