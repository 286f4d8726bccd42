"""tinygrad_gpt's side of `ops.py`: any version of an op.

    python benchmarks/peers/ops_ours.py DEVICE     DEVICE: cpu | cuda

The reference has a process of its own, into which no kernel is loaded: kernels give the cores to Numba's threads and
leave NumPy's products one, and the reference is to be measured at its best.
"""

import sys
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numpy as np
import op_cases
import op_server
from ours import round_products, tflops

from tinygrad_gpt import array, devices, memory, optim, sparse_rows
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.nn.module import Parameter

DEVICE = devices.device(sys.argv[1])


def versions(op: str) -> list[str]:
    names = [version.name for version in registry.versions(op, DEVICE.kind)]
    return [name for name in names if name not in registry.ROUNDING or not registry.cannot_round(name, DEVICE.kind)]


def brought(arrays: tuple) -> tuple:
    """The arrays where this side computes."""
    if DEVICE.kind == "cpu":
        return arrays
    from cupy.lib.stride_tricks import as_strided

    def view(flat, first, shape, apart):
        return as_strided(flat[first:], shape, tuple(step * flat.itemsize for step in apart))

    return op_cases.elsewhere(arrays, DEVICE.move_here, view)


def prepare(case: op_cases.OpCase, version: str) -> op_server.Call | str:
    arrays = brought(case.arrays())
    if case.op in op_cases.OPTIMISER:
        return routine(case.op, version, *arrays)
    if case.op == "likeliest":
        return search(version, *arrays, **case.settings)
    with registry.using("reference"):
        chosen = registry.choose(case.op, arrays, case.settings)
    if version in registry.ROUNDING:  # runs only where it was asked for
        round_products(version, DEVICE.kind)
    if version != "reference":
        chosen = next(v for v in registry.versions(case.op, DEVICE.kind) if v.name == version)
    reason = chosen.why_not(*arrays, **case.settings)
    if reason is not None:
        return reason
    y, _ = chosen.forward(*arrays, **case.settings)
    dy = brought(tuple(case.upstream(piece) for piece in (y if isinstance(y, tuple) else (y,))))
    dy = dy if isinstance(y, tuple) else dy[0]
    given = []  # the arrays of the next call, which leave this list with it

    def before() -> None:
        given.append((arrays[0].copy(), *arrays[1:]) if case.handed_over else arrays)

    return op_server.Call(
        forward=lambda: chosen.forward(*given.pop(), **case.settings),
        backward=lambda made: tuple(sparse_rows.dense(gradient) for gradient in chosen.backward(dy, made[1])),
        results=lambda made: tuple(map(array.to_numpy, made[0] if isinstance(made[0], tuple) else (made[0],))),
        before=before,
    )


def routine(name: str, version: str, values: np.ndarray, gradient: np.ndarray) -> op_server.Call:
    """AdamW, and the norm that clipping asks for, of one parameter, as the optimiser calls them."""
    parameter = Parameter(values)
    parameter.grad = gradient
    optimizer = optim.AdamW([parameter], weight_decay=0.1)

    def update():
        with registry.using(**{name: version}):
            optimizer.step()
        return parameter.data

    def norm():
        with registry.using(**{name: version}):
            return np.asarray(optim.clip_grad_norm([parameter], 1e9), np.float32)

    return op_server.Call(update if name == "adamw" else norm, None, results=lambda made: (array.to_numpy(made),))


def search(version: str, logits: np.ndarray, k: int) -> op_server.Call:
    """What beam search asks of the logits."""

    def best() -> tuple[np.ndarray, np.ndarray]:
        with registry.using(likeliest=version):
            return registry.run("likeliest", logits, k=k)

    return op_server.Call(best, None, results=lambda made: tuple(a.astype(np.float32) for a in made))


def peak_of_new_arrays(function) -> float:
    """Peak MiB of what NumPy allocates as the function runs. (Kernels keep only tiles to themselves.)"""
    tracemalloc.start()
    result = function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del result
    return peak / (1 << 20)


def growth_of_the_pool(function) -> float:
    """MiB that CuPy takes from the GPU as the function runs, when it has none left of before."""
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    result = function()
    del result
    return (pool.total_bytes() - before) / (1 << 20)


def gbytes(size: int) -> float:
    """GB/s of copying an array of so many float32 numbers on the GPU, reading and writing counted."""
    import cupy

    x, y = cupy.zeros(size, np.float32), cupy.empty(size, np.float32)
    cupy.copyto(y, x)
    return 2 * 4 * size / harness.time_steps(lambda: cupy.copyto(y, x), 10, DEVICE.synchronize) / 1e6


def gflops(dtype: str, n: int) -> float:
    return 1e3 * tflops(dtype, DEVICE, n)


if __name__ == "__main__":
    memory.keep_freed_memory()
    memory = peak_of_new_arrays if DEVICE.kind == "cpu" else growth_of_the_pool
    op_server.serve(
        prepare, array.to_numpy, memory, DEVICE.synchronize, versions=versions, gbytes=gbytes, gflops=gflops
    )
