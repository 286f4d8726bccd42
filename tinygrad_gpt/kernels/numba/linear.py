"""The linear layer on the CPU: three matrix products (ops/linear.py derives them).

On a processor with AVX-512 they are our own products (product/packed.py). Elsewhere NumPy's OpenBLAS multiplies
tiles (product/blas_tiles.py). Both read an operand transposed where it lies.

In bfloat16 what goes into a product is rounded while it is packed (product/bfloat16.py). All arrays are float32: the
weights, the results, the bias and its gradient are not rounded.
"""

import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import STRIP, check_dy, not_ours, rows
from tinygrad_gpt.kernels.numba.product import bfloat16, blas
from tinygrad_gpt.kernels.numba.product.few_rows import FEW, few_rows
from tinygrad_gpt.kernels.numba.product.registers import AVX_512

# Only the one that runs is imported, because all kernels that are imported get compiled.
if AVX_512:
    from tinygrad_gpt.kernels.numba.product.packed import product
elif blas.AVAILABLE:
    from tinygrad_gpt.kernels.numba.product.blas_tiles import product
else:  # linear is left to the reference then (see why_not), but gelu_linear has a kernel beside its products
    from tinygrad_gpt.kernels.numba.product.blas import numpy_product as product


def why_not(x, weight, bias=None):
    if not AVX_512 and not blas.AVAILABLE:
        return "this NumPy has no OpenBLAS that kernels can call; np.matmul runs instead"
    return not_ours(x, weight, bias)


def why_not_rounded(x, weight, bias=None):
    if x.size == x.shape[-1]:
        return "for one row the weight is read once, which packing it would do alone"
    return None


def forward(x, weight, bias=None, *, precision="float32"):
    """precision: of the products, "bfloat16", or "float32" for those of x's own dtype."""
    c_out, c_in = weight.shape
    x_rows = rows(x, c_in)  # (..., C_in) -> (R, C_in)
    if precision == "float32" and len(x_rows) <= FEW:
        y = few_rows(x_rows, np.ascontiguousarray(weight), bias)
    else:
        y = product_in(precision)(x_rows, False, weight, True, bias)  # (R, C_in) @ (C_in, C_out) -> (R, C_out)
    return y.reshape((*x.shape[:-1], c_out)), (x, weight, bias is not None, precision)


def product_in(precision):
    return bfloat16.product if precision == "bfloat16" else product


def backward(dy, saved):
    x, weight, has_bias, precision = saved
    c_out, c_in = weight.shape
    product = product_in(precision)
    check_dy("linear", dy, (*x.shape[:-1], c_out), x.dtype)
    dy_rows = rows(dy, c_out)  # (..., C_out) -> (R, C_out)
    # y = x @ weight.T + bias
    dx = product(dy_rows, False, weight, False)  # (R, C_out) @ (C_out, C_in) -> (R, C_in)
    dweight = product(dy_rows, True, rows(x, c_in), False)  # (C_out, R) @ (R, C_in) -> (C_out, C_in)
    dbias = sum_rows(dy_rows) if has_bias else None  # (R, C_out) -> (C_out,)
    return dx.reshape(x.shape), dweight, dbias


def sum_rows(x, onto=None):
    """x.sum(axis=0), or that added to `onto`."""
    total = np.zeros(x.shape[1], x.dtype) if onto is None else onto
    _add_rows(x, total)
    return total


@kernel(lambda f: (read(f, "R C"), write(f, "C")))
def _add_rows(share, x, total):
    """total += x.sum(axis=0), each thread for some of the columns, so that the order of a sum is always the same."""
    r, c = x.shape
    strips = (c + STRIP - 1) // STRIP
    for strip in my_part(share, strips):
        left, right = strip * STRIP, min((strip + 1) * STRIP, c)
        part = total[left:right]
        for i in range(r):
            row = x[i, left:right]
            for j in range(right - left):
                part[j] += row[j]
