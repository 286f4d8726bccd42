"""Every version of every op and routine that is a kernel for the CPU, on 1, 2 and 3 threads: which results differ.

    NUMBA_NUM_THREADS=3 python -m tests.kernels.same_bits      # prints what test_same_bits.py reads

It is a process of its own, since the most threads that a process can have is set when Numba loads; there may be more
of them than cores.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

import numpy as np

from tests.kernels.calls import CALLS, op_of, outputs_and_gradients, with_floats
from tests.kernels.fuzz_kernels import versions
from tests.kernels.test_against_reference import ADAMW, kernel, normal
from tests.kernels.test_block_step import step_case
from tinygrad_gpt.array import FLOATS
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.kernels.numba.machine.compile import KERNELS, Kernel
from tinygrad_gpt.kernels.numba.product import bfloat16, blas, blas_tiles, packed
from tinygrad_gpt.precision import using_matmul_precision

MOST = 3
THREADS = range(1, MOST + 1)


def all_calls() -> Iterator[tuple[str, Callable]]:
    """(title, function without arguments that returns arrays) of each call."""
    for dtype in FLOATS:
        for name in CALLS:
            for version in versions(op_of(name)):
                if version.name not in registry.ROUNDING or dtype == np.float32:
                    yield f"{version}: {name}, {dtype}", lambda v=version, n=name, d=dtype: call(v, n, d)
        for routine in (adamw, block_step, likeliest, sum_squares):
            yield f"{routine.__name__}[numba], {dtype}", lambda r=routine, d=dtype: r(d)
        for module in products(dtype):
            for shape in ((130, 900, 333), (2500, 33, 70), (70, 33, 2500), (1, 70, 90), (5, 0, 7)):
                yield f"{module.__name__} {shape}, {dtype}", lambda m=module, s=shape, d=dtype: product(m, s, d)


def products(dtype) -> list:
    """The modules with a product of this dtype that runs here, whether or not it is the one that linear calls."""
    rounds = dtype == np.float32 and not bfloat16.missing()
    return [packed, *[blas_tiles] * blas.AVAILABLE, *[bfloat16] * rounds]


def call(version, name: str, dtype) -> list[np.ndarray]:
    arrays, settings = with_floats(name, dtype)
    rounds = version.name in registry.ROUNDING
    with using_matmul_precision(version.name) if rounds else nullcontext():
        assert version.why_not(*arrays, **settings) is None, f"{version} leaves {name} to others"
    return outputs_and_gradients(version, arrays, settings)


def adamw(dtype) -> list[np.ndarray]:
    params, grads, ms, vs = [[normal((5000, 9), dtype, 4 * p + i) for p in range(3)] for i in range(4)]
    vs = [v**2 for v in vs]
    kernel("adamw").run(params, grads, ms, vs, **ADAMW, weight_decays=[0.1] * 3, steps=[2] * 3, grad_scale=0.3)
    return [*params, *ms, *vs]


def block_step(dtype) -> list[np.ndarray]:
    (x, keys, values, *rest), settings = step_case(2, 4, 64, 300, 200, 300, dtype, masked=True, biased=True)
    keys, values = keys.copy(), values.copy()
    return [kernel("block_step").run(x, keys, values, *rest, **settings), keys, values]


def likeliest(dtype) -> list[np.ndarray]:
    return list(kernel("likeliest").run(normal((9, 5003), dtype), k=10))


def sum_squares(dtype) -> list[np.ndarray]:
    return [np.asarray(kernel("sum_squares").run(*[normal((5000, 9), dtype, p) for p in range(3)]))]


def product(module, shape: tuple[int, int, int], dtype) -> list[np.ndarray]:
    m, k, n = shape
    a, b, bias = normal((m, k), dtype), normal((k, n), dtype, 1), normal(n, dtype, 2)
    turned = np.ascontiguousarray(a.T), True, np.ascontiguousarray(b.T), True
    added = [] if module is bfloat16 else [module.product(*turned, out=normal((m, n), dtype, 3), adds=True)]
    return [module.product(a, False, b, False), module.product(*turned, bias), *added]


@contextmanager
def noting(ran: set) -> Iterator[None]:
    """In this block (kernel, dtype) of each that runs on MOST threads is added to the set."""
    take, plain, taken = threads.take, Kernel.__call__, [1]

    def taking():
        taken[0] = take()
        return taken[0]

    def calling(kernel, *args):
        taken[0] = 1
        plain(kernel, *args)
        if taken[0] == MOST:
            ran.add((kernel, args[0].dtype))

    with mock.patch.object(threads, "take", taking), mock.patch.object(Kernel, "__call__", calling):
        yield


def main() -> None:
    ran, differ, titles = set(), [], []
    for title, function in all_calls():
        with noting(ran):
            results = []
            for number in THREADS:
                with threads.limited_to(number):  # as if the machine had so many cores
                    results.append([a.tobytes() for a in function()])
        titles.append(title)
        if any(result != results[0] for result in results):
            differ.append(title)
    for op in registry.op_names() + registry.ROUTINES:
        versions(op)  # loads its kernels
    cannot = [bfloat16.PAIRS] if bfloat16.missing() else []
    idle = [f"{k}, {d}" for k in KERNELS for d in k.dtypes if d not in cannot and (k, d) not in ran]
    without = [str(v) for op in (*registry.op_names(), *registry.ROUTINES) for v in versions(op)]
    without = [v for v in without if not any(title.startswith(v) for title in titles)]
    print(json.dumps({"differ": differ, "without a call": without, "on fewer threads": sorted(idle)}))


if __name__ == "__main__":
    main()
