"""Compiling sources, and calling their kernels."""

import numpy as np
import pytest

from tests.gpu.on_gpu import to_cpu, to_gpu
from tinygrad_gpt.kernels import compiling


@pytest.mark.parametrize("limit, expected", [(-1, ["told"]), (1e9, [])], ids=["compiled", "found"])
def test_a_source_that_takes_long_to_load_was_compiled_and_that_is_told(limit, expected, monkeypatch):
    from tinygrad_gpt.kernels.cuda.machine import source

    monkeypatch.setattr(source, "LOADED_WITHIN", limit)
    kernels, told = source.load.__wrapped__("gelu", np.float32), []
    with compiling.watched_by(lambda: told.append("told")):
        x = to_gpu(np.array([-1, 0, 3], np.float32))
        y = np.empty_like(x)
        kernels.forward(1, 32, x, y, 3, False)
        kernels.forward(1, 32, x, y, 3, False)
    assert told == expected
    np.testing.assert_allclose(to_cpu(y), [-0.158808, 0, 2.996363], rtol=1e-5)
