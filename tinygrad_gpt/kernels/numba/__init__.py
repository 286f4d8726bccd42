"""The fast pairs for the CPU, compiled by Numba.

A file named like an op holds what the registry asks for (`forward`, `backward` or `run`, and `why_not`): plain Python
that brings arrays into the layout that its kernels expect, and the kernels. Files whose names begin with an underscore
are what they share:

    _compile      how a kernel is compiled and cached
    _precompile   compiling all kernels at once, in processes of their own
    _threads      how many threads there are, and how they share the cores with NumPy's
    _packed       a matrix product by packing operands, for float32 and bfloat16
    _vectors      its innermost steps, in AVX-512's instructions
    _blas         NumPy's own matrix product, callable from inside a kernel
    _vector_math  exp and friends, written so that the compiler vectorises them
    _random       the bits of array.random_bits, element by element
    _tile         the matrix product of two tiles that lie in the cache
    _many         one kernel over many arrays
    _layout       bringing arrays into the layout that kernels expect; reasons to leave them to the reference
"""
