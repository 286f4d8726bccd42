"""The maximum, backwards.

    y = max x                       over the axes `axis`: one, several, or all of them (None)

Given dy = ∂L/∂y, an array shaped like y, return ∂L/∂x, an array shaped like x. Where k elements are equally large, and
no other is larger, each of them shall get the k-th part of dy: then their order does not matter.

`forward` saves which elements are the largest of theirs, an array of booleans shaped like x. You may save other things.
"""

import numpy as np


def forward(x, *, axis=None, keepdims=False):
    largest = np.max(x, axis=axis, keepdims=True)
    y = largest if keepdims else np.squeeze(largest, axis)
    return y, (x == largest, axis)


def backward(dy, saved):
    is_largest, axis = saved
    # BEGIN SOLUTION
    ties = np.sum(is_largest, axis=axis, keepdims=True, dtype=dy.dtype)
    return (is_largest * (dy.reshape(ties.shape) / ties),)
    # END SOLUTION
