"""The fast pairs for an NVIDIA GPU: CUDA C++, compiled and launched by CuPy.

No GPU has run these kernels yet. They compile with NVIDIA's compiler, and what they compute was tested on a CPU that
emulates a GPU (tests/emulated_cuda). How fast they are on a GPU nobody has measured.

NAME.py brings arrays into the layout that its kernels expect, and launches them. The kernels are in NAME.cu, to be read
beside it.

    machine/    what they share: compiling a source, layouts, cuBLAS, recording a step, sums; and what sources include:
                common.cuh (put before every source), rows.cuh, many.cuh, tensor_core.cuh, warp_matrix.cuh
    flash/      parts of attention.py and attention.cu

A GPU runs a kernel on a grid of blocks of threads. The threads of a block share memory and can wait for each other
(`__syncthreads`); 32 of them, a warp, run in step and can read each other's registers (`__shfl_xor_sync`). Blocks know
nothing of each other. So what belongs together (a row of a layer norm, a tile of attention) is one block's, or one
warp's, work.

Python only queues kernels. The GPU runs them one after the other while Python continues. Nothing in this folder waits
for a result, or the GPU would idle while Python decides what comes next. All sums are added in one order, whatever the
threads do, so that a run can be repeated bit for bit.
"""

_ROUNDED = ("bfloat16", "tf32")
PRECISIONS = {"linear": _ROUNDED, "gelu_linear": _ROUNDED, "attention": _ROUNDED}  # the ops whose kernels also round


def missing() -> None:
    """Nothing keeps kernels from running: arrays on a GPU come with all that kernels need."""


def fewer_threads() -> None:
    """None: the processor's cores have no part in it."""


def cannot_round(precision: str) -> str | None:
    """Why this GPU has no products in this precision, tf32 or bfloat16, or None where it has."""
    from tinygrad_gpt.kernels.cuda.machine import cublas

    return cublas.missing()
