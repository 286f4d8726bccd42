"""Matrix products of batches on the GPU, by cuBLAS (ops/matmul.py derives the gradients).

CuPy's own product copies a matrix that does not lie row by row, a transposed one for example. This one reads it where
it lies.
"""

import math

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.cuda.machine import cublas
from tinygrad_gpt.kernels.cuda.machine.cublas import product


def why_not(a, b):
    if min(a.ndim, b.ndim) < 2 or a.shape[:-2] != b.shape[:-2]:
        return "takes matrices or batches of equally many; CuPy's product broadcasts"
    return cublas.why_not(a, b)


def forward(a, b):
    batch = a.shape[:-2]
    a, b = _one_axis(a), _one_axis(b)
    y = product(a, False, b, False)  # (B, M, K) @ (B, K, N) -> (B, M, N)
    return y.reshape(*batch, *y.shape[1:]), (a, b, batch)


def backward(dy, saved):
    a, b, batch = saved
    dy = _one_axis(dy)
    # y = a @ b
    da = product(dy, False, b, True)  # (B, M, N) @ (B, N, K) -> (B, M, K)
    db = product(a, True, dy, False)  # (B, K, M) @ (B, M, N) -> (B, K, N)
    return da.reshape(*batch, *a.shape[1:]), db.reshape(*batch, *b.shape[1:])


def _one_axis(x: Array) -> Array:
    """(..., M, N) -> (B, M, N): a view where the leading axes are evenly apart, else a copy."""
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
