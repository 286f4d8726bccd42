"""The fast pairs for the CPU, compiled by Numba.

A file named like an op holds what the registry asks for (`forward`, `backward` or `run`, and `why_not`): plain Python
that brings arrays into the layout that its kernels expect, and the kernels. Files whose names begin with an underscore
are what they share:

    _compile      how a kernel is compiled and cached
    _parallel     how all threads run a kernel
    _disk_cache   machine code on disk, checked before it is run
    _precompile   compiling all kernels at once, in processes of their own
    _threads      how many threads there are, and how they share the cores with NumPy's
    _layout       bringing arrays into the layout that kernels expect; reasons to leave them to the reference
    _many         one kernel over many arrays
    _vector_math  exp and friends, written so that the compiler vectorises them
    _random       the bits of array.random_bits, element by element
    _blocks       vector instructions by hand: a matrix product in registers, a square turned in registers
    _tile         the same for tiles, which lie in the cache
    _product      the matrix product of linear layers, made of tiles
    _few_rows     the product of a few rows with a weight, for generating
    _one_query    attention of a single query, for generating
    _blas         NumPy's own matrix product, callable from inside a kernel
    _blas_tiles   the matrix product of linear layers where our own is slower: BLAS's, a tile for each thread

    _bfloat16, _bfloat16_steps    the matrix product of bfloat16 numbers, and its innermost steps
    _matmul_ladder                seven matrix products, each faster than the one before: for reading, and measuring
"""


def missing() -> str | None:
    """Why no kernel can run in this process, or None. Raises whatever loading Numba's compiler raises."""
    from numba import config

    if config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT switches Numba's compiler off"
    from tinygrad_gpt.kernels.numba import _compile  # noqa: F401 - to see whether it loads

    return None
