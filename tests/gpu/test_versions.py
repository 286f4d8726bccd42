"""Kernels give the same bits however the threads of a GPU run, and wherever ids lie (test_gradcheck.py: right ones).

A kernel that is added is checked here at once, on all cases of its op.
"""

import numpy as np
import pytest

from tests.gpu.on_gpu import cases_of, emulated, to_cpu, to_gpu
from tinygrad_gpt import precision
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.sparse_rows import dense


def results(version, arrays: tuple, settings: dict) -> list[bytes]:
    """Outputs and gradients for a random dy."""
    y, saved = version.forward(*arrays, **settings)
    ys, rng = (y if isinstance(y, tuple) else (y,)), np.random.default_rng(3)
    dys = tuple(to_gpu(np.asarray(rng.standard_normal(part.shape), part.dtype)) for part in ys)
    grads = tuple(map(dense, version.backward(dys if isinstance(y, tuple) else dys[0], saved)))
    return [a.tobytes() for a in to_cpu((*ys, *grads)) if a is not None]


def taken(version, dtype):
    """(name, arrays on the GPU, settings) of the cases that a version takes."""
    for case in cases_of(version.op):
        arrays = to_gpu(tuple(a.astype(dtype) if _is_float(a) else a for a in case.arrays))
        settings = {name: to_gpu(value) for name, value in case.settings.items()}
        if version.why_not(*arrays, **settings) is None:
            yield case.name, arrays, settings


@pytest.mark.skipif(not emulated, reason="only the emulation can choose the order of threads")
@pytest.mark.parametrize("op", registry.op_names())
def test_in_whatever_order_threads_run(op):
    from tests.emulated_cuda import in_every_order

    for version in registry.versions(op, "cuda")[:-1]:  # the last is the reference, which has no threads
        rounding = version.name if version.name in registry.ROUNDING else "float32"
        count = 0
        with precision.using_matmul_precision(rounding):
            for name, arrays, settings in taken(version, np.float32):
                every = in_every_order(lambda v=version, a=arrays, s=settings: results(v, a, s))
                assert all(one == every[0] for one in every), f"{version} on {name!r}: is a barrier missing?"
                count += 1
        assert count, f"{version} takes none of the op's cases"


@pytest.mark.parametrize("op", ["embedding", "cross_entropy"])
def test_ids_may_stay_on_the_cpu(op):
    for version in registry.versions(op, "cuda")[:-1]:
        for name, arrays, settings in taken(version, np.float64):
            ids_here = tuple(to_cpu(a) if getattr(a, "dtype", None) == np.int64 else a for a in arrays)
            assert version.why_not(*ids_here, **settings) is None
            assert results(version, ids_here, settings) == results(version, arrays, settings), f"{version} on {name!r}"


def _is_float(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"
