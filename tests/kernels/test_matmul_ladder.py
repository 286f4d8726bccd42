"""Each rung of the ladder is a right version of `linear`."""

from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.kernels.test_against_reference import normal
from tests.kernels.test_bfloat16_product import rounded
from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import check_op
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.product.ladder import LADDER, TILE_I, TILE_J, TILE_P

ONLY_FLOAT32 = ("bfloat16",)


def usable(name, dtype=np.float32):
    rung = LADDER[name]
    if reason := rung.missing(np.dtype(dtype)):
        pytest.skip(reason)
    return rung


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in LADDER if name not in ONLY_FLOAT32])
def test_gradcheck(name):
    report = check_op("linear", SimpleNamespace(**usable(name, np.float64).pair()))
    report.raise_if_failed()
    assert report.cases == len(cases("linear"))


@pytest.mark.parametrize("name", LADDER)
def test_agrees_with_the_reference_on_the_cases_of_linear(name):
    pair, reference = SimpleNamespace(**usable(name).pair()), registry.reference("linear")
    tolerance = 2**-6 if name == "bfloat16" else 2e-5
    for case in cases("linear"):
        arrays = [a if a is None else a.astype(np.float32) for a in case.arrays]
        assert pair.why_not(*arrays) is None
        y, saved = pair.forward(*arrays)
        right, right_saved = reference.forward(*case.arrays)
        dy = normal(y.shape, np.float32, 9)
        got = (y, *pair.backward(dy, saved))
        for g, r in zip(got, (right, *reference.backward(dy.astype(np.float64), right_saved)), strict=True):
            if r is None:
                assert g is None
            else:
                assert g.shape == r.shape and g.dtype == np.float32
                assert np.abs(g - r).max(initial=0) <= tolerance * np.abs(r).max(initial=0), case.name


@pytest.mark.parametrize("m, k, n", [(TILE_I + 1, TILE_P + 1, TILE_J + 1), (TILE_I, 2 * TILE_P, TILE_J), (3, 0, 2)])
@pytest.mark.parametrize("name", LADDER)
def test_products_around_tiles(name, m, k, n):
    a, b = normal((m, k), np.float32, 1), normal((k, n), np.float32, 2)
    as_multiplied = rounded if name == "bfloat16" else np.asarray
    right = as_multiplied(a).astype(np.float64) @ as_multiplied(b).astype(np.float64)
    np.testing.assert_allclose(usable(name).multiply(a, b), right, rtol=0, atol=1e-4)


def test_a_rung_may_run_a_layer():
    version = tg.register("linear", **LADDER["tiled"].pair())
    try:
        x, weight = tg.Tensor(normal((5, 3), np.float32), requires_grad=True), tg.Tensor(normal((4, 3), np.float32))
        y = tg.functional.linear(x, weight)
        assert y.node.version is version
        y.backward(np.ones_like(y.data))
        np.testing.assert_allclose(x.grad, np.ones((5, 4), np.float32) @ weight.data, rtol=1e-5)
    finally:
        tg.unregister(version)


def test_no_rung_is_a_version_unless_registered():
    assert not {v.name for op in ("linear", "matmul") for v in registry.versions(op)} & (set(LADDER) - {"bfloat16"})
