"""The fast pairs for an NVIDIA GPU: CUDA C++, compiled and launched by CuPy.

A file NAME.py named like an op holds what the registry asks for (`forward`, `backward` or `run`, and `why_not`): plain
Python that brings arrays into the layout that its kernels expect, and launches them. The kernels are in NAME.cu, to be
read beside it. What they share:

    common.cuh                        put before every NAME.cu: types, sums over the threads of a block, random bits
    rows.cuh                          included by those that work on rows of numbers
    many.cuh, _many                   the same work on every parameter of a model
    tensor_core.cuh, warp_matrix.cuh  matrix products by warps, on tensor cores or without; what attention is made of
    attention_scores.cuh, _attention  what attention's kernels, forward, backward and for few queries, share
    _source                           compiling a NAME.cu for a dtype, and calling its kernels
    _layout                           the layout that kernels expect; reasons to leave arrays to the reference
    _cublas, _cublas_recorded         matrix products by cuBLAS; the same while a graph is recorded
    _sum_rows                         sums of columns
    _replay                           a training step, recorded once and repeated by the GPU alone

A GPU runs a kernel on a grid of blocks of threads. The threads of a block share memory and can wait for each other
(`__syncthreads`); 32 of them, a warp, run in step and can read each other's registers (`__shfl_xor_sync`). Blocks know
nothing of each other. So what belongs together (a row of a layer norm, a tile of attention) is one block's, or one
warp's, work.

Python only queues kernels; the GPU runs them one after the other while Python goes on. Nothing here waits for a result,
or a GPU would idle while Python makes up its mind; and all sums are added in one order, whatever the threads do, so
that a run can be repeated bit for bit.
"""


def missing() -> None:
    """No reason why kernels cannot run: whoever has arrays on a GPU has what they take."""
