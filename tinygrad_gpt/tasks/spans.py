"""Spans: where in a text does the answer to a question stand?

A long text is read in windows that overlap (data/windows.py).

loss       mean of the cross-entropies of the answer's first and last token; both are [CLS] in a window without it
answer     the best first and last token together, of all windows
metrics    F1 of the answer's words decides; exact match beside it. Of several right answers the nearest one counts

(Devlin et al., "BERT", 2019, section 4.2.)
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.data.alignment import characters_of, pieces_of
from tinygrad_gpt.data.windows import best_of_windows
from tinygrad_gpt.ops import logsumexp
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.family import Family, Passage
from tinygrad_gpt.tasks.fine_tuning import SAMPLE, FineTuning, scores_of
from tinygrad_gpt.tasks.scores import cross_entropy

_NOWHERE = (0, 0)  # [CLS]: the answer is not in this window


class Targets(NamedTuple):
    """passages  one for each example
    places    (S, 2) int64: of the answer's first and last token in each sequence
    """

    passages: list[Passage]
    places: np.ndarray


class PredictedAnswer(NamedTuple):
    """text         the answer: the characters begin:end of the text that was asked
    probability  of its first token times that of its last, among all tokens of the text
    """

    text: str
    begin: int
    end: int
    probability: float


class Spans(FineTuning):
    """Prediction of the part of a text that answers a question."""

    name = "spans"
    guess = "the whole text"

    @classmethod
    def outputs_for(cls, classes):
        return 2

    def _read(self, examples):
        asked = zip(examples.questions, examples.texts, strict=True)
        passages = [self.family.passage(question, text) for question, text in asked]
        places = []
        for passage, (answer, *_) in zip(passages, examples.answers, strict=True):
            pieces = pieces_of(passage.offsets, answer.start, answer.end)
            for window in passage.windows:
                places.append((pieces and window.places(*pieces, passage.before)) or _NOWHERE)
        return [sequence for p in passages for sequence in p.sequences], Targets(passages, np.array(places))

    def _right(self, targets, which, length):
        return targets.places[which, 0], targets.places[which, 1]

    def _judge(self, scores):
        losses = [cross_entropy(right, s.T) for s, right in zip(scores, self.dev_targets.places, strict=True)]
        found = answers_from(scores, self.dev_targets.passages, self.labelled.dev.texts)
        return [answer.text for answer in found], float(np.mean(losses))

    def _lines(self, scores):
        dev = self.labelled.dev
        found = answers_from(scores, self.dev_targets.passages, dev.texts)
        for answer, right, question in zip(found, dev.answers, dev.questions, strict=False):
            yield f"{answer.text}\t{right[0].text}\t{question}\n"

    def sample(self, model):
        windows = sum(len(passage.windows) for passage in self.dev_targets.passages[:SAMPLE])
        return self._lines(scores_of(self.family, model, self.dev_sequences[:windows]))

    def remark(self):
        nowhere = (self.targets.places == _NOWHERE).all(axis=1)  # (S,)
        ends = np.cumsum([len(passage.windows) for passage in self.targets.passages])
        lost = sum(part.all() for part in np.split(nowhere, ends[:-1]))
        if not lost:
            return ""
        return (
            f"{lost:,} of {len(ends):,} training answers do not fit into a sequence of {self.family.longest} tokens "
            "beside their question: the model learns that they are not there"
        )

    def example(self):
        return [self.labelled.dev.questions[0]]

    def probe(self):
        return None  # two answers are asked for at once


def answers(
    family: Family, model, asked: Sequence[tuple[str, str]], progress: Progress = no_progress
) -> list[PredictedAnswer]:
    """The likeliest answer to each (question, text)."""
    passages = [family.passage(question, text) for question, text in asked]
    scores = scores_of(family, model, [s for p in passages for s in p.sequences], progress)
    return list(answers_from(scores, passages, [text for _, text in asked]))


def answers_from(
    scores: Iterable[np.ndarray], passages: Sequence[Passage], texts: Sequence[str]
) -> Iterator[PredictedAnswer]:
    """The model's scores (T, 2) of each window -> the best answer in each text, as far as there are scores."""
    scores = iter(scores)
    for passage, text in zip(passages, texts, strict=True):
        of_windows = list(islice(scores, len(passage.windows)))
        if len(of_windows) < len(passage.windows):
            return
        yield _answer(of_windows, passage, text)


def _answer(scores: list[np.ndarray], passage: Passage, text: str) -> PredictedAnswer:
    """scores (T, 2) of each window -> the best answer in the text."""
    if not len(passage.offsets):
        return PredictedAnswer("", 0, 0, 0.0)  # a text without tokens
    before = passage.before
    parts = zip(scores, passage.windows, strict=True)
    of_pieces = [s[before : before + w.end - w.begin].astype(np.float64) for s, w in parts]  # (N, 2) of each window
    first, last, score = best_of_windows(of_pieces, passage.windows)
    begin, end = characters_of(text, passage.offsets, first, last)
    total, _ = logsumexp.forward(np.concatenate(of_pieces), axis=0)  # (2,)
    return PredictedAnswer(text[begin:end], begin, end, float(np.exp(score - total.sum())))
