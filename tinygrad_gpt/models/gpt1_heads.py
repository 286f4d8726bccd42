"""GPT-1 for tasks: the pre-trained body, and one linear layer that reads the extract token.

    h = features of the sequence at its extract token      (C,)
    P(y | sequence) = softmax(W h)                         equation 3 (the published code adds a bias, and so do we)
    L2 = log P(y | sequence)                               equation 4: the task
    L3 = L2 + λ L1                                         equation 5; L1: the language model, on the same sequences

(Radford et al., "Improving language understanding by generative pre-training", 2018, sections 3.2 and 3.3; the
sequences come from data/gpt1_inputs.py.) The paper maximises sums of log-likelihoods. Here L1 and L2 are means, to be
minimised, L2 over examples and L1 over tokens: that is what its λ = 0.5 weighs.

    GPT1ForClassification       W (classes, C)   classification and entailment: one sequence
    GPT1ForSimilarity           W (classes, C)   two sequences; W reads the sum of their two h
    GPT1ForMultipleChoice       W (1, C)         a sequence for each answer; softmax over the answers
    GPT1ForTokenClassification  W (classes, C)   reads every place; the paper has no such task
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer, number, shown
from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.models.causal_lm import next_tokens, signed_ids
from tinygrad_gpt.models.gpt import GPT, STD, GPTConfig
from tinygrad_gpt.nn import Dropout, Linear, Module
from tinygrad_gpt.nn.head_loss import head_loss
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.random_stream import normal, uninitialised
from tinygrad_gpt.tensor import plain_array, plain_ids


class TaskLoss(NamedTuple):
    """What a batch costs: total = task + λ language (L3, L2 and L1), each in nats; language is None where λ is 0."""

    total: Tensor
    task: Tensor
    language: Tensor | None


class _GPT1Head(Module):
    """What they have in common; a subclass makes scores in _scores(features, last).

    body       a GPT whose vocabulary has the task's tokens (see `with_new_tokens`)
    n_outputs  rows of W
    dropout    on h, in training

    sequences  of an example: N of ids (B, N, T); 1: ids are (B, T)
    """

    sequences = 1

    def __init__(self, body: GPT, n_outputs: int, dropout: float = 0.1):
        if not isinstance(body, GPT):
            raise TypeError(f"{type(self).__name__}: expected a GPT as body, got {shown(body)}")
        self.body = body
        self.dropout = Dropout(dropout)
        self.score = Linear(body.config.n_embd, n_outputs)
        self.score.weight.data[...] = normal(self.score.weight.shape, STD)

    @property
    def config(self) -> GPTConfig:
        """That of the body."""
        return self.body.config

    @property
    def recompute(self) -> bool:
        """Whether training runs the body's blocks again in backward."""
        return self.body.recompute

    @recompute.setter
    def recompute(self, on: bool) -> None:
        self.body.recompute = on

    def forward(self, ids, last) -> Tensor:
        """ids (..., T) and the place `last` (...) of each sequence's extract token -> scores (B, classes)."""
        return self._scores(self._features(ids), _places(last, ids))

    def loss(self, ids, last, labels, lm_weight: float = 0.5) -> TaskLoss:
        """The loss L3 of a batch: `labels` (B,) are the right classes or answers, lm_weight is λ."""
        last, lm_weight = _places(last, ids), number("loss", "lm_weight", lm_weight, low=0)
        features = self._features(ids)  # (N, T, C)
        task = self._task_loss(self._scores(features, last), labels)
        if lm_weight == 0:
            return TaskLoss(task, task, None)
        language = head_loss(self.body.head, features, _lm_targets(ids, last))  # of features (N, T, C)
        return TaskLoss(task + lm_weight * language, task, language)

    def _task_loss(self, scores: Tensor, labels) -> Tensor:
        """L2, to be minimised."""
        return F.cross_entropy(scores, plain_ids(labels, "GPT-1", "labels"))

    def _features(self, ids) -> Tensor:
        ids = plain_ids(ids, "GPT-1")
        return self.body.features(ids.reshape(-1, ids.shape[-1]))  # (..., T) -> (N, T) -> (N, T, C)

    def _extracted(self, features: Tensor, last) -> Tensor:
        """features (N, T, C) -> (..., C): those of the extract tokens, in the shape of `last` (...)."""
        rows = np.arange(last.size, like=last)
        h = features[rows, last.reshape(-1)]  # (N, C)
        return self.dropout(F.reshape(h, (*last.shape, h.shape[-1])))


class GPT1ForClassification(_GPT1Head):
    """ids (B, T), last (B,) -> scores (B, classes). For one text, and for entailment's two in one sequence."""

    def _scores(self, features, last):
        return self.score(self._extracted(features, last))  # (B, C) -> (B, classes)


class GPT1ForSimilarity(_GPT1Head):
    """ids (B, 2, T), last (B, 2) -> scores (B, classes): both orders of two texts, their h added.

    With a single output, a number for each pair, (B, 1): L2 is then the mean squared error of `labels` (B,), floats.
    """

    sequences = 2

    def _scores(self, features, last):
        return self.score(self._extracted(features, last).sum(axis=1))  # (B, 2, C) -> (B, C) -> (B, classes)

    def _task_loss(self, scores, labels):
        if scores.shape[1] > 1:
            return super()._task_loss(scores, labels)
        numbers = np.asarray(plain_array(labels, "labels"), scores.dtype, like=scores.data)
        if numbers.shape != scores.shape[:1]:
            raise ValueError(f"GPT-1: expected labels of shape {scores.shape[:1]}, got {numbers.shape}")
        return F.mse_loss(scores[:, 0], numbers)


class GPT1ForMultipleChoice(_GPT1Head):
    """ids (B, N, T), last (B, N) -> scores (B, N): one number for each of N answers."""

    sequences = 2  # or more

    def __init__(self, body: GPT, dropout: float = 0.1):
        super().__init__(body, 1, dropout)

    def _scores(self, features, last):
        return F.reshape(self.score(self._extracted(features, last)), last.shape)  # (B, N, C) -> (B, N, 1) -> (B, N)


class GPT1ForTokenClassification(_GPT1Head):
    """ids (B, T), last (B,) -> scores (B, T, classes): of each place, from what the model has read up to there.

    `labels` (B, T) are -100 where the loss should not look.
    """

    def _scores(self, features, last):
        return self.score(self.dropout(features))  # (B, T, C) -> (B, T, classes)


def _places(last, ids) -> Array:
    """The places of the extract tokens, one for each sequence: `last` (...) for ids (..., T)."""
    last, shape = plain_ids(last, "GPT-1", "places `last`"), plain_ids(ids, "GPT-1").shape
    if not shape or last.shape != shape[:-1]:
        raise ValueError(f"GPT-1: expected ids of shape (..., T) and last of shape (...), got {shape} and {last.shape}")
    return last


def _lm_targets(ids, last) -> np.ndarray:
    """ids (..., T) -> (N, T): at each place the token that follows; nothing at the extract token and in the padding."""
    ids, last = to_numpy(signed_ids(ids)), to_numpy(last)
    is_text = np.arange(ids.shape[-1]) <= last[..., None]  # (..., T)
    return next_tokens(np.where(is_text, ids, IGNORE_INDEX).reshape(-1, ids.shape[-1]))


def with_new_tokens(body: GPT, count: int) -> GPT:
    """A copy of `body` with `count` tokens more in its vocabulary: the ids that follow the old ones. Their rows of the
    embedding (and of an untied head) are drawn with standard deviation 0.02."""
    if not isinstance(body, GPT):
        raise TypeError(f"with_new_tokens: expected a GPT as body, got {shown(body)}")
    count = integer("with_new_tokens", "count", count, low=0)
    config = dataclasses.replace(body.config, vocab_size=body.config.vocab_size + count)
    with uninitialised():
        larger = type(body)(config)
    old = dict(body.named_parameters())
    for name, p in larger.named_parameters():
        before = old[name].data
        p.data = np.empty_like(before, shape=p.shape)  # (V, C) -> (V + count, C); the others keep their shape
        p.data[: len(before)] = before
        added = p.data[len(before) :]
        added[...] = np.asarray(normal(added.shape, STD, before.dtype), like=before)
    return larger.train(body.training)
