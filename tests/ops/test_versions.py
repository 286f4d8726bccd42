"""Every version of every op on all of the op's cases: gradients by finite differences, and the reference's numbers."""

import numpy as np
import pytest

from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import check_op
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.sparse_rows import dense


@pytest.fixture(autouse=True)
def kernels_take_small_arrays_too(monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.kernels.small.LEAST", 0)


@pytest.mark.parametrize("op", registry.op_names())
def test_gradcheck(op, request):
    check_op(op, registry.reference(op)).raise_if_failed()
    request.getfixturevalue("measured_along_directions_only")  # the same numbers, which were measured just now
    for version in registry.versions(op)[:-1]:
        report = check_op(op, version)
        if version.name in registry.ROUNDING:
            assert not report.findings, f"{version} runs without having been asked for"
        else:
            report.raise_if_failed()


@np.errstate(divide="ignore", invalid="ignore")  # in cases at the edge of a domain
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("op", registry.op_names())
def test_agrees_with_the_reference_in_float64(op, dtype):
    """Outputs and gradients, and their dtypes: a float32 graph never drifts to float64."""
    tolerance = 1e-10 if dtype == np.float64 else 2e-5
    reference = registry.reference(op)
    for case in cases(op):
        arrays = tuple(a.astype(dtype) if _is_float(a) else a for a in case.arrays)
        exact = tuple(a.astype(np.float64) if _is_float(a) else a for a in arrays)
        right_y, right_saved = reference.forward(*exact, **case.settings)
        many = isinstance(right_y, tuple)
        rng = np.random.default_rng(3)
        dys = [np.asarray(rng.standard_normal(y.shape), dtype) for y in (right_y if many else (right_y,))]
        exact_dys = tuple(dy.astype(np.float64) for dy in dys)
        right_grads = reference.backward(exact_dys if many else exact_dys[0], right_saved)
        for version in registry.versions(op):
            if version.why_not(*arrays, **case.settings) is not None:
                continue
            y, saved = version.forward(*arrays, **case.settings)
            grads = tuple(map(dense, version.backward(tuple(dys) if many else dys[0], saved)))
            what = f"{version} on {case.name!r}, {np.dtype(dtype)}"
            _same(y, right_y, dtype, tolerance, what)
            _same(grads, right_grads, dtype, tolerance, what)


def test_ignored_rows_count_for_nothing_even_where_they_are_not_finite():
    logits, targets = np.array([[1.0, 2.0], [np.inf, 1.0], [np.nan, 1.0]]), np.array([0, -100, -100])
    for version in registry.versions("cross_entropy"):
        with np.errstate(invalid="ignore"):
            y, saved = version.forward(logits, targets)
            dlogits, _ = version.backward(np.asarray(1.0), saved)
        assert np.isfinite(y) and np.isfinite(dlogits[0]).all() and not dlogits[1:].any(), version


def _is_float(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def _same(got, right, dtype, tolerance, what):
    if isinstance(right, tuple):
        assert len(got) == len(right), what
        for g, r in zip(got, right, strict=True):
            _same(g, r, dtype, tolerance, what)
    elif right is None:
        assert got is None, what
    else:
        assert got.dtype == dtype, what
        scale = float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right))) or 1.0
        np.testing.assert_allclose(got / scale, right / scale, rtol=0, atol=tolerance, err_msg=what)
