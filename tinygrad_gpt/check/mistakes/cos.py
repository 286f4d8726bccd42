"""A mistake in the cosine. Right is dx = dy (-sin x)."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E84",
    "the minus is lost: dy sin x",
    why="cos x falls right of 0, where sin x is positive",
    look="does cos x rise or fall just right of 0, and what sign has sin x there?",
)
def minus_lost(dy, saved):
    return (dy * np.sin(saved.x),)
