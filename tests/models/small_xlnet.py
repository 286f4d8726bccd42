"""A small XLNet whose every parameter matters, and a batch for it."""

import numpy as np

from tests.models.small_bert import spread_out
from tinygrad_gpt.models import XLNetConfig, XLNetLMHeadModel

V, C, B, T = 17, 12, 3, 7
CONFIG = dict(vocab_size=V, d_model=C, n_layer=2, n_head=3, d_inner=20, dropout=0.0, mem_len=None)
ORDER = np.array([[2, -1, 5, 0, 1, -1, 3], [-1, 3, 1, 0, -1, 4, 2], [4, 2, -1, 1, 3, 0, -1]])  # -1: context
TARGETS = np.array([[0, 3, 6], [6, 2, 1], [5, 0, 4]])  # places; they have no order
IDS = np.random.default_rng(1).integers(0, V, (B, T))


def xlnet(**settings) -> XLNetLMHeadModel:
    """In float64 and evaluation mode."""
    return spread_out(XLNetLMHeadModel(XLNetConfig(**(CONFIG | settings))))


def may_see(order: np.ndarray) -> np.ndarray:
    """(B, T) -> (B, T, T): the context sees the context; a token in the order sees that, and those before it."""
    i, j = order[:, :, np.newaxis], order[:, np.newaxis]
    return (j < i) | (j == -1)


def batch() -> dict[str, np.ndarray]:
    """For `read`: orders, segments and targets."""
    segments = np.array([[0, 0, 0, 1, 1, 1, 2], [0, 0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 1, 2]])
    return dict(ids=IDS, mask=may_see(ORDER), segments=segments, targets=TARGETS)
