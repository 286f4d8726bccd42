"""The cases are there for every op, always the same, and as awkward as they claim to be."""

import numpy as np
import pytest

from tinygrad_gpt.cases import cases
from tinygrad_gpt.kernels import registry


def floats(op):
    return [a for case in cases(op) for a in case.arrays if isinstance(a, np.ndarray) and a.dtype.kind == "f"]


@pytest.mark.parametrize("op", registry.op_names())
def test_cases(op):
    first, second = cases(op), cases(op)
    assert len(first) >= 5
    assert len({case.name for case in first}) == len(first), "two cases have one name"
    for a, b in zip(first, second, strict=True):
        assert (a.name, len(a.arrays)) == (b.name, len(b.arrays))
        for x, y in zip(a.arrays, b.arrays, strict=True):
            np.testing.assert_array_equal(x, y)
    assert all(a.dtype == np.float64 for a in floats(op))
    assert any(1 in a.shape for a in floats(op)), "no axis of size 1"
    for case in first:
        registry.choose(op, case.arrays, case.settings)  # raises for a case that the op does not allow


@pytest.mark.parametrize("op", registry.op_names())
def test_some_are_empty_and_some_not_contiguous(op):
    assert any(np.size(a) == 0 for case in cases(op) for a in case.arrays if a is not None)
    assert any(not a.flags.c_contiguous for a in floats(op))


def test_an_unknown_op():
    with pytest.raises(ValueError, match=r"there is no op 'convolution'; the ops are add, "):
        cases("convolution")
