"""What depends on what in a model: the size of ∂answer_n/∂x_s, where x_s is the vector of token s.

Tokens are integers and have no derivative; the vectors that the embedding makes of them have. Where a model has none
that shows, each token is exchanged for another one instead, which must change nothing either.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.check.probes.subject import Subject
from tinygrad_gpt.nn import Embedding, Module


def dependence(subject: Subject) -> np.ndarray:
    """(N, R, S): how much each answer about row 0 depends on each token of all rows, as shares of the largest."""
    size = np.array(list(_by_gradient(subject)) or _by_exchange(subject))
    if not np.isfinite(size).all():
        return np.where(np.isfinite(size), 0.0, np.inf)
    return size / max(size.max(), np.finfo(float).tiny)


def _by_gradient(subject: Subject) -> Iterator[np.ndarray]:
    """(R, S) for each answer; nothing for a model without an embedding of V rows that is called with the tokens."""
    table = token_table(subject.model)
    if table is None:
        return
    places, k = subject.said(subject.ids).shape[1:]
    u = np.random.default_rng(0).standard_normal((places, k))  # a random direction: no answer's scores cancel
    for n in range(places):
        with _only_trained(subject.model, table), recorded(table) as vectors:
            answers = subject.answers(subject.ids)  # (R, N, K)
            if sum(x.shape[1] for x in vectors if x.ndim == 3) != subject.ids.shape[1]:
                return
            F.sum(answers[0, n] * np.asarray(u[n], answers.dtype, like=answers.data)).backward()
        yield np.concatenate([_norms(x) for x in vectors], axis=1)


def _norms(x: Tensor) -> np.ndarray:
    """The size of the gradient of vectors (R, S, C): (R, S)."""
    return np.zeros(x.shape[:2]) if x.grad is None else np.linalg.norm(to_numpy(x.grad).astype(float), axis=2)


def _by_exchange(subject: Subject) -> list[np.ndarray]:
    ids, other = subject.ids, subject.other_tokens(subject.ids)
    before = subject.said(ids)[0]  # (N, K)
    changed = np.zeros((len(before), *ids.shape))
    for r, s in np.ndindex(ids.shape):
        exchanged = ids.copy()
        exchanged[r, s] = other[r, s]
        after = subject.said(exchanged)[0]
        size = np.abs(after - before).max(axis=1)
        changed[:, r, s] = np.where(size > 2e-6 * np.abs(before).max(), size, 0.0)  # else it is rounding
    return list(changed)


def token_table(model: Module) -> Embedding | None:
    """The embedding of a model's V tokens, None where it has none of its own."""
    v = model.config.vocab_size
    found = (m for m in model.modules() if isinstance(m, Embedding) and m.num_embeddings == v)
    return next(found, None)


@contextmanager
def recorded(module: Module) -> Iterator[list[Tensor]]:
    """What each call of a Module inside this block returns, with gradients kept. (`watching` shows the last call's.)"""
    outputs, forward = [], module.forward

    def record(*given, **settings):
        outputs.append(forward(*given, **settings).retain_grad())
        return outputs[-1]

    module.forward = record
    try:
        yield outputs
    finally:
        del module.forward


@contextmanager
def _only_trained(model: Module, part: Module) -> Iterator[None]:
    """Inside this block gradients are computed for one part alone: a large model has many others."""
    before = [(p, p.requires_grad) for p in model.parameters()]
    kept = {id(p) for p in part.parameters()}
    try:
        for p, _ in before:
            p.requires_grad = id(p) in kept
        yield
    finally:
        for p, requires_grad in before:
            p.requires_grad = requires_grad
