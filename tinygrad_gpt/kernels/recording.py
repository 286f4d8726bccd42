"""Functions that are called many times with arrays of the same shapes, as a training step is."""

from collections.abc import Callable


def recorded(function: Callable, where: str) -> Callable:
    """`function` as it runs fastest where its arrays lie: on a GPU recorded once and then repeated by the GPU alone
    (kernels/cuda/machine/record.py says what that asks of it), on the CPU as it is."""
    if where != "cuda":
        return function
    from tinygrad_gpt.kernels.cuda.machine.record import Recorded

    return Recorded(function)
