"""Kernels compile once for all tests of a run."""

import pytest

pytest.importorskip("numba", reason="the kernels of this folder are compiled by Numba")
