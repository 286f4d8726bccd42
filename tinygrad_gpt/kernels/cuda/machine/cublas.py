"""Matrix products on the GPU, by cuBLAS.

cuBLAS reads matrices by columns: it takes an array (M, N) whose rows lie one after the other for its transpose (N, M).
So for z = x y we ask for zᵀ = yᵀ xᵀ: y comes first, and nothing in memory needs transposing. It reads a transposed
operand where it lies, and also one whose columns lie one after the other (`w.T` of an array w). Rows may be apart, as
they are in a part of a wider array.

The type of computation decides the precision:

float32   CUBLAS_COMPUTE_32F, which on a handle in its default mode means every bit of float32. Tensor cores cannot do
          that, so these products run on the ordinary cores
tf32      the tensor cores read float32 numbers, but 10 bits of their mantissas
bfloat16  operands that were rounded to bfloat16 before; their products are exact in float32, and added up in it

cuBLAS works on CuPy's current stream. It gives the same bits each time on one kind of GPU, as long as one stream at a
time uses it, and may be recorded in a CUDA graph (cublas_recorded.py) once a handle has been made, that is after
a first product.
"""

import cupy
import numpy as np
from cupy.cuda import cublas, device, runtime

from tinygrad_gpt.array import Array
from tinygrad_gpt.devices import compute_capability
from tinygrad_gpt.kernels.cuda.machine.cublas_recorded import call
from tinygrad_gpt.kernels.cuda.machine.layout import MOST_BLOCKS, THREADS, blocks_for, contiguous, not_ours, pack
from tinygrad_gpt.kernels.cuda.machine.source import load

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
BFLOAT16 = np.dtype(np.uint16)  # NumPy has no bfloat16: an operand of 16 bits is one
TYPES = {BFLOAT16: runtime.CUDA_R_16BF, FLOAT32: runtime.CUDA_R_32F, FLOAT64: runtime.CUDA_R_64F}
COMPUTE_TYPES = {
    "float32": cublas.CUBLAS_COMPUTE_32F,
    "bfloat16": cublas.CUBLAS_COMPUTE_32F,
    "tf32": cublas.CUBLAS_COMPUTE_32F_FAST_TF32,
    "float64": cublas.CUBLAS_COMPUTE_64F,
}
GROUP = 16  # bytes that tensor cores are fed at a time
ROWS = 4  # that a thread rounds numbers of at once (rounding.cu)
TENSOR_CORES = (8, 0)  # compute capability of the first GPUs whose tensor cores take TF32 and bfloat16

# cuBLAS computes z = 1 x y + beta z, and reads 1 and beta, 0 or 1, from the CPU's memory: where they stay.
ZERO_AND_ONE = {dtype: np.array([0, 1], dtype) for dtype in (FLOAT32, FLOAT64)}
ADDRESSES = {dtype: pair.ctypes.data for dtype, pair in ZERO_AND_ONE.items()}


def missing() -> str | None:
    """Why this GPU has no products of TF32 and bfloat16 numbers; None where it has."""
    have, need = (".".join(map(str, version)) for version in (compute_capability(), TENSOR_CORES))
    if compute_capability() >= TENSOR_CORES:
        return None
    return f"this GPU has no tensor cores for it: they came with compute capability {need}, and this one has {have}"


def why_not(*arrays) -> str | None:
    """Why cuBLAS does not multiply these arrays, or None if it may. A None among them stands for no bias."""
    dtypes = {str(a.dtype) for a in arrays if a is not None}
    return not_ours(*arrays) or (f"{' and '.join(sorted(dtypes))} in one product" if len(dtypes) > 1 else None)


def operand(x: Array, precision: str) -> Array:
    """x (R, C) as products of this precision read it; made once for as many products as take it.

    For bfloat16 it is rounded. Tensor cores are fed 16 bytes at a time, and slow where rows begin in between. So each
    row of the result has room for whole groups of 16 bytes: for a vocabulary of 50257, room for 50264 bfloat16 numbers,
    the last seven unused. For tf32 the result is a copy of x where the rows of x begin in between.
    """
    if precision == "float32" or (precision == "tf32" and _lies_in_groups(x)):
        return x
    dtype = BFLOAT16 if precision == "bfloat16" else x.dtype
    r, c = x.shape
    group = GROUP // dtype.itemsize
    padded = -(-c // group) * group
    made = cupy.empty((r, padded), dtype)[:, :c]
    if precision == "tf32":
        made[...] = x
    elif x.size > 0:
        _round(x, made, padded)
    return made


def _lies_in_groups(x: Array) -> bool:
    x, apart, _ = _as_it_lies(x)
    return x.data.ptr % GROUP == 0 and apart * x.itemsize % GROUP == 0


def _round(x: Array, rounded: Array, rounded_apart: int) -> None:
    """rounded[...] = x. Rows of `rounded` are `rounded_apart` elements apart."""
    if x.strides[1] != x.itemsize:
        x = contiguous(x)
    (r, c), x_apart = x.shape, x.strides[0] // x.itemsize
    if x_apart == c == rounded_apart:  # as one long row
        r, c = 1, x.size
    at_once = min(pack(c, x), pack(x_apart, x))
    blocks = blocks_for(c, THREADS * at_once), min(blocks_for(r, ROWS), MOST_BLOCKS)
    kernels = load("machine/rounding", x.dtype, PACK=at_once)
    kernels.to_bfloat16(blocks, THREADS, x, rounded, r, c, x_apart, rounded_apart)


def product(
    x: Array, transposed_x: bool, y: Array, transposed_y: bool, bias: Array | None = None, precision: str = "float32"
) -> Array:
    """x y + bias, with x or y or both transposed: (M, K) @ (K, N) -> (M, N), or a batch of these, (B, M, K) @ (B, K, N)
    -> (B, M, N).

    x, y       operands for this precision (see `operand`) of one dtype
    bias       (N,) or None
    precision  of float32 products; those of float64 are as they are
    """
    rows, inner = x.shape[-2:][:: -1 if transposed_x else 1]
    columns = y.shape[-2 if transposed_y else -1]
    z = cupy.empty((*x.shape[:-2], rows, columns), FLOAT32 if x.dtype == BFLOAT16 else x.dtype)
    if bias is not None:
        z[...] = bias  # written before, and added to
    elif inner == 0:
        z[...] = 0
    if z.size == 0 or inner == 0:
        return z

    x, apart_x, turned_x = _as_it_lies(x)
    y, apart_y, turned_y = _as_it_lies(y)
    turn_x, turn_y = transposed_x != turned_x, transposed_y != turned_y  # of what the memory holds
    zero, one = ADDRESSES[z.dtype], ADDRESSES[z.dtype] + z.itemsize
    beta = zero if bias is None else one
    of_x, of_y, of_z = ((a.data.ptr, TYPES[a.dtype], apart) for a, apart in ((x, apart_x), (y, apart_y), (z, columns)))
    how = COMPUTE_TYPES["float64" if z.dtype == FLOAT64 else precision], cublas.CUBLAS_GEMM_DEFAULT
    handle, sizes = device.get_cublas_handle(), (int(turn_y), int(turn_x), columns, rows, inner)
    if z.ndim == 2:
        call("gemmEx", handle, *sizes, one, *of_y, *of_x, beta, *of_z, *how)
    else:
        strides = [a.strides[0] // a.itemsize for a in (y, x, z)]
        of_y, of_x, of_z = ((*of, stride) for of, stride in zip((of_y, of_x, of_z), strides, strict=True))
        call("gemmStridedBatchedEx", handle, *sizes, one, *of_y, *of_x, beta, *of_z, len(z), *how)
    return z


def _as_it_lies(x: Array) -> tuple[Array, int, bool]:
    """(x, how many elements its rows are apart, False) where each row lies in one piece; (x, how many its columns are
    apart, True) where each column does; else the first of a copy."""
    rows, columns = x.shape[-2:]
    from_row_to_row, from_column_to_column = (stride // x.itemsize for stride in x.strides[-2:])
    if from_column_to_column == 1 and from_row_to_row >= columns:
        return x, from_row_to_row, False
    if from_row_to_row == 1 and from_column_to_column >= rows:
        return x, from_column_to_column, True
    return contiguous(x), columns, False
