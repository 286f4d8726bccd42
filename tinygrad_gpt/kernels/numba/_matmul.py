"""Which matrix product the kernels use: `product(a, b, bias=None)`, a @ b + bias on all cores.

Ours (_product.py) where the processor has AVX-512, where it was measured to be twice as fast as NumPy's
OpenBLAS 0.3.31, which takes a Zen 5 for an older processor and uses half the width of its vectors. Else NumPy's
OpenBLAS, one tile for each thread (_blas_tiles.py). Where there is neither, `product` is None.
"""

from tinygrad_gpt.kernels.numba import _blas, _blocks

if _blocks.VECTOR_BYTES == 64:
    from tinygrad_gpt.kernels.numba._product import product

    DESCRIPTION = "own kernel for AVX-512, packed panels"
elif _blas.AVAILABLE:
    from tinygrad_gpt.kernels.numba._blas_tiles import product

    DESCRIPTION = "NumPy's OpenBLAS, one tile for each thread, called from inside kernels"
else:
    product = None
    DESCRIPTION = "np.matmul (no AVX-512, and no OpenBLAS found in this NumPy that kernels could call)"
