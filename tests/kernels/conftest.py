"""Kernels compile once for all tests of a run."""

import pytest

pytest.importorskip("numba", reason="the kernels of this folder are compiled by Numba")


@pytest.fixture(autouse=True)
def kernels_take_small_arrays_too(monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.kernels.small.LEAST", 0)
