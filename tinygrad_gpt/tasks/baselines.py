"""What can be said of a text by counting its tokens: how well one can guess the next of them without looking.

A model that knows how often each token comes, and nothing else, has as its loss the unigram entropy -Σ p log p. Every
training comes by that level, and one that goes wrong may stay there.
"""

import math
from dataclasses import dataclass

import numpy as np

_LOOKED_AT = 2_000_000  # tokens: enough for three digits of the entropy, and counted in milliseconds


@dataclass(frozen=True)
class TextFacts:
    """unigram_entropy  in nats per token
    commonest_share  how much of the text its commonest token is
    """

    unigram_entropy: float
    commonest_share: float


def text_facts(tokens: np.ndarray) -> TextFacts:
    """Facts about a token stream (N,) of integers, from its first two million tokens."""
    counts = np.bincount(np.asarray(tokens[:_LOOKED_AT]).astype(np.int64))
    p = counts[counts > 0] / counts.sum()
    return TextFacts(float(-(p * np.log(p)).sum()), float(p.max()))


def double_softmax_floor(vocab_size: int) -> float:
    """The least loss that a softmax of probabilities can reach, with every prediction sure and right.

    The "logits" are then 1 for the right token and 0 for the V - 1 others, and -log softmax is

        log(e + (V - 1)) - 1 = log(1 + (V - 1)/e)
    """
    return math.log(1 + (vocab_size - 1) / math.e)


def double_softmax_constant(vocab_size: int, share: float) -> float:
    """The loss of a softmax of probabilities where the model always says, for sure, one token of that share:
    log(e + (V - 1)) less 1 where it is right."""
    return math.log(math.e + vocab_size - 1) - share
