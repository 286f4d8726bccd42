"""Answers that are often given, and wrong."""

import numpy as np

from tinygrad_gpt.exercises.writing import wrong


@wrong(
    "BR01",
    "logarithms to base 2",
    why="losses are in nats, as np.log gives them",
    look="which logarithm does cross-entropy take?",
)
def in_bits():
    return {"loss_at_start": float(np.log2(65)), "loss_of_zeros": float(np.log2(10))}


@wrong(
    "BR02",
    "a step as long as the gradient",
    why="that is SGD: Adam divides by the root of the mean square",
    look="what is m / √v after one gradient of 1000?",
)
def as_sgd():
    return {"first_step": 0.001 * 1000.0}


@wrong(
    "BR03",
    "a loss of 0 at best",
    why="softmax of probabilities, which are between 0 and 1, can never be nearly 1",
    look="what is softmax of (1, 0, 0, 0)?",
)
def down_to_zero():
    return {"double_softmax": 0.0}
