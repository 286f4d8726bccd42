"""Small arrays are left to NumPy's loops, before any kernel is loaded (kernels/small.py)."""

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.kernels import registry, small

SMALL = """
import sys
import tinygrad_gpt as tg
x = tg.tensor([1.0, 2.0], requires_grad=True)
((x * x).exp() + x).tanh().softmax(-1).sum().backward()
assert "numba" not in sys.modules, "Numba was loaded for two numbers"
assert "numba: runs" in tg.explain("exp", [1.0] * 5000), tg.explain("exp", [1.0] * 5000)
"""


@pytest.mark.parametrize("op", sorted(small.OPS))
def test_each_of_these_ops_has_a_kernel(op):
    assert "numba" in [version.name for version in registry.versions(op)]


def test_what_numpy_does_as_quickly_is_left_to_it(monkeypatch):
    monkeypatch.setattr(small, "LEAST", 100)
    few, enough = np.ones(99, np.float32), np.ones(100, np.float32)
    assert registry.choose("exp", (few,), {}).name == "reference"
    assert registry.choose("exp", (enough,), {}).name == registry.choose("mul", (enough, enough), {}).name == "numba"
    with tg.using("numba"):
        assert registry.choose("exp", (few,), {}).name == "reference"
    assert "numba: on fewer than 100 elements NumPy's loops are as quick" in tg.explain("exp", few)


def test_numba_is_not_loaded_for_a_few_numbers():
    subprocess.run([sys.executable, "-c", SMALL], check=True)
