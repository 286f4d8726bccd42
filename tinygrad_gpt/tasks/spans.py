"""Spans: where in a text does the answer to a question stand?

loss       mean of the cross-entropies of the first and the last token. Training leaves out a text whose answer is cut
           off with its end; in the metrics such a text counts like all others
answer     the likeliest first and last token together, the last not before the first, and of at most 30 tokens (as in
           SQuAD's baselines)
metrics    F1 of the answer's words decides; exact match beside it. Of several right answers the nearest one counts

(Devlin et al., "BERT", 2019, section 4.2.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.ops import log_softmax
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.fine_tuning import FineTuning, scores_of

_LONGEST_ANSWER = 30  # tokens


class Span(NamedTuple):
    """text         the answer: the characters begin:end of the text
    probability  of its first token times that of its last, among those of the text
    """

    text: str
    begin: int
    end: int
    probability: float


class Spans(FineTuning):
    """Prediction of the part of a text that answers a question.

    cut_off  how many training examples are left out, since their answer is beyond the last token that is read
    """

    name = "spans"
    metrics = {"f1": True, "exact_match": True, "val_loss": False}  # noqa: RUF012 - read only
    outputs = 2
    guess = "the whole text"

    def __init__(self, config, data, family, rows=32, seed=1):
        super().__init__(config, data, family, rows, seed)
        kept = [i for i, (_, places) in enumerate(self.targets) if places[0] >= 0]
        self.cut_off = len(self.targets) - len(kept)
        if not kept:
            raise UserError(f"no answer of {data.name} is within the first {family.longest} tokens: raise --max-length")
        self.sequences, self.targets = [self.sequences[i] for i in kept], [self.targets[i] for i in kept]

    def _read(self, examples):
        pairs = zip(examples.questions, examples.texts, strict=True)
        passages = [self.family.passage(question, text) for question, text in pairs]
        right = [_places(p.offsets, a[0].start, a[0].end) for p, a in zip(passages, examples.answers, strict=True)]
        return [p.sequence for p in passages], list(zip([p.offsets for p in passages], right, strict=True))

    def _right(self, targets, which, length):
        places = np.array([targets[i][1] for i in which])  # (B, 2)
        return places[:, 0], places[:, 1]

    def _judge(self, scores):
        answers, losses = [], []
        for s, (offsets, places), text in zip(scores, self.dev_targets, self.data.dev.texts, strict=True):
            answers.append(_best(s, offsets, text).text)
            if places[0] >= 0:
                log_p = log_softmax.forward(s.T.astype(np.float64))[0]  # (2, T)
                losses.append(-(log_p[0, places[0]] + log_p[1, places[1]]) / 2)
        return answers, float(np.mean(losses)) if losses else 0.0

    def _lines(self, scores):
        dev = self.data.dev
        rows = zip(scores, self.dev_targets, dev.texts, dev.answers, dev.questions, strict=False)
        for s, (offsets, _), text, answers, question in rows:
            yield f"{_best(s, offsets, text).text}\t{answers[0].text}\t{question}\n"

    def example(self):
        return [self.data.dev.questions[0]]

    def probe(self):
        return None  # two answers are asked for at once


def answers(family: Family, model, asked: Sequence[tuple[str, str]], progress: Progress = no_progress) -> list[Span]:
    """The likeliest answer to each (question, text)."""
    passages = [family.passage(question, text) for question, text in asked]
    scores = scores_of(family, model, [p.sequence for p in passages], progress)
    return [_best(s, p.offsets, text) for s, p, (_, text) in zip(scores, passages, asked, strict=True)]


def _places(offsets: np.ndarray, begin: int, end: int) -> tuple[int, int]:
    """The places of the first and the last token that hold characters of begin:end; -1, -1 if some were cut off."""
    inside = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > begin))
    if not len(inside) or end > offsets[:, 1].max():
        return -1, -1
    return int(inside[0]), int(inside[-1])


def _best(scores: np.ndarray, offsets: np.ndarray, text: str) -> Span:
    """scores (T, 2) -> the likeliest span of the text."""
    places = np.flatnonzero(offsets[:, 0] >= 0)
    if not len(places):
        return Span("", 0, 0, 0.0)  # the question left no room for a text
    first, last = log_softmax.forward(scores[places].T.astype(np.float64))[0]  # (P,), (P,)
    p = first[:, None] + last  # (P, P): log probability of each first token with each last one
    n = len(places)
    allowed = np.triu(np.ones((n, n), bool)) & ~np.triu(np.ones((n, n), bool), _LONGEST_ANSWER)
    a, b = np.unravel_index(np.where(allowed, p, -np.inf).argmax(), p.shape)
    begin, end = int(offsets[places[a], 0]), int(offsets[places[b], 1])
    return Span(text[begin:end], begin, end, float(np.exp(p[a, b])))
