"""Every version of every op that takes arrays on the GPU, on all of the op's cases: gradients by finite differences,
and the reference's numbers on the CPU, in float64 and float32. A kernel that is added is checked here at once."""

import numpy as np
import pytest

from tests.gpu.on_gpu import AtHome, emulated, to_cpu, to_gpu
from tinygrad_gpt.array import whole
from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import check_op
from tinygrad_gpt.kernels import registry


@pytest.mark.parametrize("op", registry.op_names())
def test_gradcheck(op):
    for version in registry.versions(op, "cuda"):
        _check(op, AtHome(version))


@pytest.mark.parametrize("op", ["embedding", "cross_entropy"])
def test_gradcheck_with_ids_on_the_cpu(op):
    for version in registry.versions(op, "cuda"):
        if version.name != "reference":  # which has all on one side
            _check(op, AtHome(version, ids_stay=True))


def _check(op, version):
    report = check_op(op, version)
    if version.name in registry.ROUNDING:
        assert not report.findings, f"{op}[{version.name}] runs without having been asked for"
    else:
        report.raise_if_failed()


@pytest.mark.parametrize("op", registry.op_names())
def test_a_kernel_takes_some_of_the_cases(op):
    """A why_not that is never None would pass all other tests."""
    kernels = [v for v in registry.versions(op, "cuda") if v.name == "cuda"]
    for version in kernels:
        taken = [case for case in cases(op) if AtHome(version).why_not(*case.arrays, **case.settings) is None]
        assert taken, f"{version} takes none of the op's cases"


@pytest.mark.skipif(not emulated, reason="only the emulation can choose the order of threads")
@pytest.mark.parametrize("op", registry.op_names())
def test_same_bits_in_whatever_order_threads_run(op):
    from tests.emulated_cuda import in_every_order

    kernels = [v for v in registry.versions(op, "cuda") if v.name == "cuda"]
    for version in kernels:
        for case in cases(op):
            arrays = to_gpu(tuple(a.astype(np.float32) if _is_float(a) else a for a in case.arrays))
            settings = {name: to_gpu(value) for name, value in case.settings.items()}
            if version.why_not(*arrays, **settings) is not None:
                continue

            def run(version=version, arrays=arrays, settings=settings):
                y, saved = version.forward(*arrays, **settings)
                many = isinstance(y, tuple)
                rng = np.random.default_rng(3)
                dys = [
                    to_gpu(np.asarray(rng.standard_normal(part.shape), part.dtype)) for part in (y if many else (y,))
                ]
                grads = tuple(map(whole, version.backward(tuple(dys) if many else dys[0], saved)))
                return [a.tobytes() for a in to_cpu((*(y if many else (y,)), *grads)) if a is not None]

            first, *others = in_every_order(run)
            assert all(other == first for other in others), f"{version} on {case.name!r}: a barrier is missing"


def _is_float(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"
