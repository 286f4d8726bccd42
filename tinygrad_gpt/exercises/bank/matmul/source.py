"""The matrix product, backwards.

    y = a @ b                       y_mn = Σ_k a_mk b_kn

    a  (..., M, K)      b  (..., K, N)      y  (..., M, N)

The leading axes are a batch of such products, and they broadcast: one b may serve many a. Given dy = ∂L/∂y, return
∂L/∂a and ∂L/∂b, each shaped as its array.

A vector is a matrix of one row (a) or of one column (b). That is taken care of: in `backward` a, b and dy are matrices,
and what you call da and db is shaped back. `summed_to` does what the exercise broadcast_to was about.
"""

import numpy as np


def forward(a, b):
    return a @ b, (a, b)


def backward(dy, saved):
    a_shape, b_shape = saved[0].shape, saved[1].shape
    a, b, dy = as_matrices(dy, *saved)
    # BEGIN SOLUTION
    # a_mk meets every b_kn of row k, b_kn every a_mk of column k
    da = summed_to(dy @ b.swapaxes(-1, -2), a.shape)
    db = summed_to(a.swapaxes(-1, -2) @ dy, b.shape)
    # END SOLUTION
    return da.reshape(a_shape), db.reshape(b_shape)


def as_matrices(dy, a, b):
    """a, b and dy, with one row more where a is a vector, and one column more where b is one."""
    if b.ndim == 1:
        b, dy = b[:, None], dy[..., None]
    if a.ndim == 1:
        a, dy = a[None, :], dy[..., None, :]
    return a, b, dy


def summed_to(g, shape):
    """g, summed over what broadcasting has repeated, as in the exercise broadcast_to: an array of this shape."""
    g = np.sum(g, axis=tuple(range(g.ndim - len(shape))))
    return np.sum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
