"""AdamW and the sum of squares: every version against the formulas, one number at a time."""

import math

import numpy as np
import pytest

from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.machine import many
from tinygrad_gpt.ops.likeliest import likeliest

SETTINGS = {"lr": 0.01, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8}
SHAPES = ((), (7,), (3, 5), (0, 3), (2, 5000))  # the last is more than one piece of a kernel's work


def adamw_of_one_number(theta, g, m, v, *, lr, beta1, beta2, eps, weight_decay, step):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    theta -= lr * weight_decay * theta
    theta -= lr * (m / (1 - beta1**step)) / (math.sqrt(v / (1 - beta2**step)) + eps)
    return theta, m, v


def draw(shapes, dtype, seed):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grad_scale", [1.0, 0.25, 2.0])
@pytest.mark.parametrize("shapes", [SHAPES, SHAPES[2:3], ()], ids=["many", "one", "none"])
def test_adamw(shapes, grad_scale, dtype):
    """Parameters of many sizes at once, each with its own decay and its own count of steps."""
    decays, begun = [0.1 * (i % 2) for i in range(len(shapes))], [10 * i for i in range(len(shapes))]
    for version in registry.versions("adamw"):
        params = draw(shapes, dtype, 0)
        ms, vs = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
        right = [[(float(theta), 0.0, 0.0) for theta in param.ravel()] for param in params]
        for count in (1, 2, 3):
            grads = draw(shapes, dtype, count)
            kept = [grad.copy() for grad in grads]
            steps = [n + count for n in begun]
            settings = SETTINGS | {"weight_decays": decays, "steps": steps, "grad_scale": grad_scale}
            assert version.why_not(params, grads, ms, vs, **settings) is None
            version.forward(params, grads, ms, vs, **settings)
            for grad, before in zip(grads, kept, strict=True):
                np.testing.assert_array_equal(grad, before)
            right = [
                [
                    adamw_of_one_number(theta, grad_scale * float(g), m, v, **SETTINGS, weight_decay=decay, step=step)
                    for (theta, m, v), g in zip(numbers, grad.ravel(), strict=True)
                ]
                for numbers, grad, decay, step in zip(right, grads, decays, steps, strict=True)
            ]
        tolerance = 1e-6 if dtype == np.float32 else 1e-13
        for *got, numbers in zip(params, ms, vs, right, strict=True):
            for array, wanted in zip(got, zip(*numbers, strict=True) if numbers else ((), (), ()), strict=True):
                assert array.dtype == dtype
                np.testing.assert_allclose(array.ravel(), wanted, rtol=tolerance, atol=tolerance, err_msg=str(version))


def test_the_first_step_of_adamw_is_lr_long_whatever_the_gradient():
    for version in registry.versions("adamw"):
        param, grad = np.zeros(3), np.array([1e-3, -2.0, 1e5])
        version.forward([param], [grad], [np.zeros(3)], [np.zeros(3)], **SETTINGS, weight_decays=[0.0], steps=[1])
        np.testing.assert_allclose(param, -0.01 * np.sign(grad), rtol=1e-4, err_msg=str(version))


def test_adamw_does_not_write_to_what_takes():
    for version in registry.versions("adamw"):
        for locked in (0, 2, 3):
            arrays = [[x] for x in draw([(7,)] * 4, np.float32, 0)]
            arrays[3][0] **= 2
            before = arrays[locked][0].copy()
            arrays[locked][0].flags.writeable = False
            with pytest.raises(ValueError, match="read-only"):
                version.forward(*arrays, **SETTINGS, weight_decays=[0.1], steps=[1])
            np.testing.assert_array_equal(arrays[locked][0], before)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("other", [np.ones(7, np.float32), np.ones(0, np.float32), np.ones((3, 2), np.float32), None])
def test_adamw_refuses_arrays_that_are_not_alike(place, other):
    """By the registry and directly: a kernel that has addresses would write beside the smaller one."""
    for run in (lambda *a, **s: registry.run("adamw", *a, **s), registry.versions("adamw")[0].forward):
        arrays = [[np.ones(2, np.float32), np.ones(6, np.float32)] for _ in range(4)]
        arrays[place][1:] = [] if other is None else [other]
        before = [[a.copy() for a in some] for some in arrays]
        with pytest.raises(ValueError, match="adamw: expected"):
            run(*arrays, **SETTINGS, weight_decays=[0.1] * 2, steps=[1] * 2)
        for some, kept in zip(arrays, before, strict=True):
            for a, b in zip(some, kept, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("lists", [("weight_decays", [0.1]), ("steps", [1, 2, 3]), ("steps", [])])
def test_adamw_refuses_numbers_for_more_or_fewer_parameters(lists):
    settings = SETTINGS | {"weight_decays": [0.1] * 2, "steps": [1] * 2} | dict([lists])
    for run in (lambda *a, **s: registry.run("adamw", *a, **s), *[v.forward for v in registry.versions("adamw")]):
        with pytest.raises(ValueError):
            run(*[draw([(3,), (2,)], np.float32, i) for i in range(4)], **settings)


SHARED = {  # (list, place) -> the (list, place), and how many elements on, where it lies
    "a parameter twice": ((0, 1), (0, 0), 0),
    "a parameter that overlaps another": ((0, 1), (0, 0), 1),
    "a gradient that is its parameter": ((1, 0), (0, 0), 0),
    "a gradient that is another parameter": ((1, 1), (0, 0), 0),
    "a gradient that overlaps m": ((1, 0), (2, 0), 1),
    "m that is v": ((2, 0), (3, 0), 0),
    "m of two parameters": ((2, 1), (2, 0), 0),
}


@pytest.mark.parametrize("name", SHARED)
def test_arrays_that_share_memory_are_updated_in_the_order_of_the_reference(name):
    (which, at), (whose, there), offset = SHARED[name]
    n = 20000  # several pieces, for several threads
    results = []
    for version in registry.versions("adamw"):
        wide = [[a for a in draw([(n + 1,)] * 2, np.float64, i)] for i in range(4)]
        wide[3] = [v**2 for v in wide[3]]
        arrays = [[a[:n] for a in some] for some in wide]
        arrays[which][at] = wide[whose][there][offset : n + offset]
        version.forward(*arrays, **SETTINGS, weight_decays=[0.1, 0.0], steps=[1, 2], grad_scale=0.5)
        results.append([a.copy() for some in arrays for a in some])
    for got, right in zip(*results, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-12)


def test_what_overlaps():
    """Of addresses: arrays of 8 and of 16 bytes; the second of four lists is only read."""
    apart = np.array([[100, 200, 300, 400], [108, 200, 316, 408]])
    sizes, written = np.array([8, 16]), [0, 2, 3]
    assert not many.overlap(apart, sizes, written)  # the gradients may be one, and neighbours may touch
    for place, address in (
        ((1, 0), 107),
        ((0, 2), 301 + 15),
        ((1, 1), 123),
        ((1, 1), 93),
        ((0, 1), 107),
        ((1, 3), 100),
    ):
        starts = apart.copy()
        starts[place] = address
        assert many.overlap(starts, sizes, written), (place, address)
    for place, address in (((1, 1), 124), ((1, 1), 84), ((0, 0), 92), ((0, 1), 124)):
        starts = apart.copy()
        starts[place] = address
        assert not many.overlap(starts, sizes, written), (place, address)
    assert not many.overlap(np.full((2, 4), 100), np.array([0, 0]), written)
    assert not many.overlap(np.empty((0, 4), np.int64), np.empty(0, np.int64), written)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", [SHAPES, SHAPES[2:3], ()], ids=["many", "one", "none"])
def test_sum_squares(shapes, dtype):
    arrays = draw(shapes, dtype, 0)
    right = math.fsum(float(value) ** 2 for x in arrays for value in x.ravel())
    for version in registry.versions("sum_squares"):
        if version.why_not(*arrays) is None:
            got = version.forward(*arrays)
            assert isinstance(got, float)  # np.float64 is one
            assert got == pytest.approx(right, rel=1e-12), version


def test_sum_squares_of_an_exploded_gradient_is_finite():
    x = np.full(1000, 1e30, np.float32)  # 1e60 is beyond float32
    assert registry.run("sum_squares", x) == pytest.approx(1e63, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_likeliest_are_the_first_of_a_sorted_row_and_their_log_softmax(dtype):
    logits = np.random.default_rng(0).normal(size=(4, 40)).astype(dtype).round(1)  # so that some are equal
    logits[1, 3:] = -np.inf
    log_p = logits - np.log(np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True))
    for k in (1, 5, 40):
        best = [sorted(range(40), key=lambda j, row=row: (-row[j], j))[:k] for row in logits]
        for version in registry.versions("likeliest"):
            assert version.why_not(logits, k=k) is None
            classes, got = version.forward(logits, k=k)
            assert classes.tolist() == best, version
            np.testing.assert_allclose(got, np.take_along_axis(log_p, classes, axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("v", [1, 65, 300, 5003])
def test_likeliest_of_a_row_wherever_they_stand(v):
    """The largest side by side, apart by as many places as a table of them has columns, or equal; and -inf."""
    rng = np.random.default_rng(v)
    random = rng.standard_normal(v)
    rows = random, np.sort(random), np.sort(random)[::-1], rng.integers(0, 3, v) / 2, np.where(random < 0, -np.inf, 1.0)
    for k in {1, 2, min(v, 50), v // 3 or 1, v}:
        apart = random.copy()
        apart[:: 256 + 8 * k] += 10
        for row in (*rows, apart):
            assert likeliest(row, k).tolist() == np.argsort(-row, kind="stable")[:k].tolist()


def test_likeliest_takes_rows_and_a_number_of_classes_that_they_have():
    logits = np.zeros((2, 5))
    for array, k in ((logits, 0), (logits, 6), (logits, 2.0), (logits[0], 1)):
        with pytest.raises(ValueError, match=r"likeliest: expected logits \(R, V\) and 0 < k <= V, got .* and k = "):
            registry.run("likeliest", array, k=k)
    with pytest.raises(TypeError, match="likeliest"):
        registry.run("likeliest", np.zeros((2, 5), np.int64), k=1)
