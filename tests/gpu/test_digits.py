"""The kernels for the GPU keep their digits where a formula taken word for word would lose them (tests/digits.py)."""

import numpy as np
import pytest

from tests import digits
from tests.gpu.on_gpu import to_cpu, to_gpu
from tinygrad_gpt.kernels import registry

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def run(op, arrays, settings, dy):
    arrays = to_gpu(arrays)
    version = registry.choose(op, arrays, settings)
    assert version.name == "cuda", version
    y, saved = version.forward(*arrays, **settings)
    return to_cpu(y), to_cpu(version.backward(to_gpu(dy), saved))


@DTYPES
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(dtype, approximate):
    digits.gelu_keeps_its_digits_in_the_tail(run, dtype, approximate)
    digits.limits_are_reached(run, dtype, "gelu", {"approximate": approximate})


@DTYPES
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_is_blind_to_an_offset(dtype, label_smoothing):
    digits.cross_entropy_is_blind_to_an_offset(run, dtype, label_smoothing)


@DTYPES
@pytest.mark.parametrize("op", ["layer_norm", "add_layer_norm"])
def test_layer_norm(op, dtype):
    digits.layer_norm_of_equal_numbers_is_the_bias(run, dtype, op)
    digits.layer_norm_is_blind_to_an_offset(run, dtype, op)
