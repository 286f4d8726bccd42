"""What broadcasting stretched.

NumPy adds a bias of shape (3,) to a matrix of shape (2, 3): it uses each number of the bias twice. On the way back the
bias has to hear from both uses. Every backward of an op with two inputs needs this function.

    dy       the gradient of the stretched array
    shape    the shape that it was stretched from, by NumPy's rules: shapes are compared from the right, an axis of 1 is
             stretched to any size, and axes that are missing are added on the left
    returns  the gradient of the array before it was stretched, of this shape
"""

import numpy as np


def sum_to_shape(dy, shape):
    # BEGIN SOLUTION
    added = dy.ndim - len(shape)
    dy = np.sum(dy, axis=tuple(range(added)))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1)
    return np.sum(dy, axis=stretched, keepdims=True)
    # END SOLUTION
