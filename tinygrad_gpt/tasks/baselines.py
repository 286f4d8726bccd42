"""Losses of guesses without a model: how well can one predict a text by counting its tokens?

A model that knows how often each token occurs, and nothing else, has the unigram entropy -Σ p log p as its loss. Every
training run passes this level, and one that goes wrong may stay there.
"""

import math

import numpy as np

_COUNTED = 2_000_000  # tokens: enough for three digits of the entropy, and counted in milliseconds


def text_facts(tokens: np.ndarray) -> dict[str, float]:
    """The unigram_entropy, in nats per token, and the commonest_share, the share of the commonest token, of a token
    stream (N,) of integers, from its first two million tokens."""
    counts = np.bincount(np.asarray(tokens[:_COUNTED]).astype(np.int64))
    p = counts[counts > 0] / counts.sum()
    return {"unigram_entropy": float(-(p * np.log(p)).sum()), "commonest_share": float(p.max())}


def double_softmax_loss(vocab_size: int, share: float = 1.0) -> float:
    """The loss of a softmax of probabilities, if every prediction is sure and this share of them is right.

    The "logits" are then 1 for one token and 0 for the V - 1 others, so -log softmax is log(e + V - 1), less 1 where
    that token is right. With all predictions right this is the lowest loss, log(e + V - 1) - 1 = log(1 + (V - 1)/e).
    """
    return math.log(math.e + vocab_size - 1) - share
