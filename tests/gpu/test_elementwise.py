"""GELU on the GPU: both forms, of any size and layout."""

import numpy as np
import pytest

from tests.gpu.on_gpu import to_cpu, to_gpu
from tinygrad_gpt.kernels import registry


@pytest.mark.parametrize("approximate", ["tanh", "none"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (255,), (257,), (3, 5, 171)])
def test_gelu(shape, dtype, approximate):
    rng = np.random.default_rng(1)
    x, dy = (np.asarray(rng.standard_normal(shape), dtype) for _ in range(2))
    _assert_right(x, to_gpu(x), dy, to_gpu(dy), approximate)


@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_gelu_of_arrays_that_do_not_lie_row_by_row(approximate):
    x, dy = np.random.default_rng(1).standard_normal((2, 7, 12))
    for piece in (lambda a: a.T, lambda a: a[::2, 1::3], lambda a: a[:, ::-1]):
        _assert_right(piece(x), piece(to_gpu(x)), piece(dy), piece(to_gpu(dy)), approximate)


def _assert_right(x, x_gpu, dy, dy_gpu, approximate):
    version = registry.choose("gelu", (x_gpu,), {"approximate": approximate})
    assert version.name == "cuda"
    reference = registry.reference("gelu")
    tolerance = 1e-13 if x.dtype == np.float64 else 2e-6
    y, saved = version.forward(x_gpu, approximate=approximate)
    right, right_saved = reference.forward(x, approximate=approximate)
    (dx,), (right_dx,) = to_cpu(version.backward(dy_gpu, saved)), reference.backward(dy, right_saved)
    for got, wanted in ((to_cpu(y), right), (dx, right_dx)):
        assert (got.dtype, got.shape) == (x.dtype, wanted.shape)
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
