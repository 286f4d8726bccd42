"""Each rung of the ladder is a right version of `attention`."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.kernels.test_against_reference import normal
from tests.test_structure import SOURCES
from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import check_op
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.flash.ladder import LADDER
from tinygrad_gpt.ops.attention import causal_mask

LONG = ("on their side", "strips")  # they take seconds to compile
RUNGS = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in LADDER]
)


def pair(name):
    return SimpleNamespace(**LADDER[name].pair())


def right_answer(q, k, v, causal, scale):
    """y by the reference and log Σ exp S by its formula, in float64."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    y, _ = registry.reference("attention").forward(q[None], k[None], v[None], causal=causal, scale=scale)
    s = scale * q @ k.swapaxes(1, 2)
    with np.errstate(divide="ignore"):  # of queries that see nothing
        return y[0], np.log(np.sum(np.exp(s), axis=-1, where=causal_mask(s) if causal else True))


def assert_near(got, right, tolerance=2e-5):
    assert got.shape == right.shape and got.dtype == np.float32
    assert np.abs(got - right).max(initial=0) <= tolerance * np.abs(right).max(initial=1e-3)


@RUNGS
@pytest.mark.parametrize("causal", [False, True])
def test_gives_what_the_reference_gives(name, causal):
    sizes = [(t, t, d) for t in (1, 5, 37, 64, 130) for d in (8, 16, 33, 64)]
    for tq, tk, d in [*sizes, (37, 130, 33), (1, 65, 16)]:
        q, k, v = (normal((3, t, d), np.float32, i) for i, t in enumerate((tq, tk, tk)))
        scale = 1 / math.sqrt(d)
        found = LADDER[name].attend(q, k, v, causal, scale)
        for got, right in zip(found, right_answer(q, k, v, causal, scale), strict=True):
            assert_near(got, right)


@RUNGS
def test_queries_before_the_first_key_see_nothing(name):
    q, k, v = (normal((1, t, 8), np.float32, i) for i, t in enumerate((150, 70, 70)))
    y, lse = LADDER[name].attend(q, k, v, True, 1.0)
    assert not y[:, :80].any() and (lse[:, :80] == np.inf).all()
    for got, right in zip((y, lse), right_answer(q, k, v, True, 1.0), strict=True):
        assert_near(got[:, 80:], right[:, 80:])


@RUNGS
def test_large_scores_do_not_overflow(name):
    q, k, v = (normal((1, 130, 16), np.float32, i) for i in range(3))
    y, lse = LADDER[name].attend(100 * q, k, v, True, 1.0)
    right, _ = registry.reference("attention").forward(100 * q[None], k[None], v[None], causal=True, scale=1.0)
    np.testing.assert_allclose(y, right[0], atol=2e-3)
    assert np.isfinite(lse).all()


@RUNGS
def test_agrees_with_the_reference_on_the_cases_of_attention(name):
    version, reference, seen = pair(name), registry.reference("attention"), set()
    for case in cases("attention"):
        arrays = [a if a is None else a.astype(np.float32) for a in case.arrays]
        if version.why_not(*arrays, **case.settings):
            continue
        seen.add(case.settings.get("causal", False))
        y, saved = version.forward(*arrays, **case.settings)
        exact = [a if a is None else a.astype(np.float64) for a in arrays]
        right, right_saved = reference.forward(*exact, **case.settings)
        dy = normal(y.shape, np.float32, 9)
        rights = right, *reference.backward(dy.astype(np.float64), right_saved)
        *gradients, none = version.backward(dy, saved)
        assert none is None and rights[-1] is None
        for got, wanted in zip((y, *gradients), rights[:-1], strict=True):
            assert_near(got, wanted, 5e-5)  # among them are scores so large that float32 has few digits left for exp
    assert seen == {False, True}


@pytest.mark.long
@RUNGS
def test_gradcheck(name):
    report = check_op("attention", pair(name))
    report.raise_if_failed()
    assert report.cases > 3


def test_gradients_across_blocks():
    """Of queries and keys that several blocks make up."""
    for tq, tk in ((130, 130), (70, 150)):
        q, k, v = (normal((1, 2, t, 5), np.float32, i) for i, t in enumerate((tq, tk, tk)))
        dy, versions = normal(q.shape, np.float32, 9), (pair("blocks"), registry.reference("attention"))
        found = [version.backward(dy, version.forward(q, k, v, causal=True)[1])[:3] for version in versions]
        for got, wanted in zip(*found, strict=True):
            assert_near(got, wanted)


def test_masks_and_dropout_are_left_to_other_versions():
    q = normal((1, 1, 4, 8), np.float32)
    why_not = pair("blocks").why_not
    assert why_not(q, q, q, causal=True) is None
    assert "masks" in why_not(q, q, q, np.ones((4, 4), bool))
    assert "dropout" in why_not(q, q, q, dropout=0.1)


def test_a_rung_may_run_a_layer():
    version = tg.register("attention", **LADDER["blocks"].pair())
    try:
        q, k, v = (tg.Tensor(normal((2, 3, 7, 8), np.float32, i), requires_grad=True) for i in range(3))
        y = tg.functional.attention(q, k, v, causal=True)
        assert y.node.version is version
        y.backward(np.ones_like(y.data))
        assert_near(v.grad.sum(axis=2), np.full((2, 3, 8), 7.0))  # each query's weights sum to 1
    finally:
        tg.unregister(version)


def test_nothing_loads_a_ladder_but_who_asks_for_it():
    """So that a process that trains does not wait for what it does not use; and no rung is a version by itself."""
    assert not [name for name, source in SOURCES.items() if ".ladder import" in source or "import ladder" in source]
    assert not {v.name for v in registry.versions("attention")} & set(LADDER)
