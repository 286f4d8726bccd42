"""Each element of dy is added to the one that it came from."""

import numpy as np


def sum_to_shape(dy, shape):
    places = np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), dy.shape)
    dx = np.zeros(np.prod(shape, dtype=int))
    np.add.at(dx, places.ravel(), dy.ravel())
    return dx.reshape(shape)
