"""Arrays that cost digits: what versions of an op must give for them, whoever computes it.

Each function here takes `run(op, arrays, settings, dy) -> (y, gradients)` of one version, on NumPy arrays, and a dtype.
Right values come from mathematics: from erfc of the C library in float64, from 50 digits worked out elsewhere, or from
what must not change when all numbers of a row are moved by one that they can be moved by exactly.
"""

import math

import numpy as np

# a, and Φ(-a), the probability that a normal number is above a, to 20 digits
TAILS = [
    (0.25, 0.40129367431707627576),
    (1.5, 0.066807201268858066004),
    (3.25, 0.00057702504239076704292),
    (5.4375, 2.7016675179823067326e-8),
    (6.25, 2.0522634252189388816e-10),
    (6.3125, 1.3728173111051324235e-10),
    (9.0, 1.1285884059538406477e-19),
    (12.5, 3.7325642988777133772e-36),
    (20.0, 2.7536241186062336951e-89),
    (36.0, 4.1826240657972833317e-284),
]


def rtol(dtype, units: float) -> dict:
    """A relative error of so many units in the last place."""
    return {"rtol": units * float(np.finfo(dtype).eps), "atol": 0}


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def on_grid(x, dtype, step: float):
    """x rounded to multiples of a step, so that adding a whole number to it is exact."""
    return (np.rint(x / step) * step).astype(dtype)


# --- gelu ------------------------------------------------------------------------------------------------------------


def gelu_keeps_its_digits_in_the_tail(run, dtype, approximate):
    """Relative to numbers that fall below 1e-30, not to 1."""
    x = np.linspace(-9.9 if approximate == "tanh" else -12.5, 9, 4001).astype(dtype)
    y, (dx,) = run("gelu", (x,), {"approximate": approximate}, np.ones_like(x))
    wide = x.astype(np.float64)
    if approximate == "tanh":
        k, cubic = math.sqrt(2 / math.pi), 0.044715
        e = np.exp(-2 * k * np.abs(wide + cubic * wide**3))
        cdf = np.where(wide < 0, e, 1) / (1 + e)
        slope = cdf + wide * 2 * e / (1 + e) ** 2 * k * (1 + 3 * cubic * wide**2)
    else:
        cdf = np.array([math.erfc(-v * math.sqrt(0.5)) / 2 for v in wide])
        slope = cdf + wide * np.exp(-wide * wide / 2) / math.sqrt(2 * math.pi)
    # the exponent of the tail, up to 90, is a rounded number in most versions: that many units, and a few
    np.testing.assert_allclose(y, wide * cdf, **rtol(dtype, 200))
    np.testing.assert_allclose(dx[x < -1.5], slope[x < -1.5], **rtol(dtype, 400))
    np.testing.assert_allclose(dx, slope, rtol=0, atol=2.5 * np.finfo(dtype).eps)


def limits_are_reached(run, dtype, op, settings):
    """0 on the left and x on the right, slopes 0 and 1: at infinity, and where squares and cubes overflow."""
    most = np.finfo(dtype).max
    right = np.array([200, 1e4, 1e15, 1e30, most, np.inf], dtype)
    with np.errstate(over="ignore"):
        y, (dx,) = run(op, (np.concatenate([-right, right]),), settings, np.ones(12, dtype))
    tiny = max(1e-80, float(np.finfo(dtype).tiny))
    assert (np.abs(y[:6]) < tiny).all() and (y[6:] == right).all(), y
    assert (np.abs(dx[:6]) < tiny).all() and (dx[6:] == 1).all(), dx
    y, (dx,) = run(op, (np.array([np.nan], dtype),), settings, np.ones(1, dtype))
    assert np.isnan(y).all() and np.isnan(dx).all(), "nan must stay visible"


# --- tanh, log_softmax -----------------------------------------------------------------------------------------------


def tanh_keeps_its_digits(run, dtype):
    """Relative to numbers near 0, where tanh x is x, and up to the limits."""
    small = np.concatenate([np.logspace(-30, 0, 301), np.linspace(0.001, 25, 5001)])
    x = np.concatenate([-small, small, [0.0]]).astype(dtype)
    y, (dx,) = run("tanh", (x,), {}, np.ones_like(x))
    right = np.array([math.tanh(v) for v in x.astype(np.float64)])
    np.testing.assert_allclose(y, right, **rtol(dtype, 4))
    np.testing.assert_allclose(dx, 1 - right**2, rtol=0, atol=4 * np.finfo(dtype).eps)
    y, (dx,) = run("tanh", (np.array([np.inf, -np.inf, 1e30, np.nan], dtype),), {}, np.ones(4, dtype))
    assert (y[:3] == [1, -1, 1]).all() and (dx[:3] == 0).all() and np.isnan(y[3]) and np.isnan(dx[3])


def log_softmax_is_blind_to_an_offset(run, dtype):
    x = on_grid(2 * normal(7, 61), dtype, 1 / 8)
    y, _ = run("log_softmax", (x,), {}, np.ones_like(x))
    for offset in (100, -(10.0**4), 10.0**6):
        moved = (x + offset).astype(dtype)
        assert (moved - dtype(offset) == x).all(), "an offset that cannot be added exactly"
        np.testing.assert_allclose(run("log_softmax", (moved,), {}, np.ones_like(x))[0], y, **rtol(dtype, 4))


# --- cross-entropy ---------------------------------------------------------------------------------------------------


def cross_entropy_is_blind_to_an_offset(run, dtype, label_smoothing):
    """Logits that all have one number more mean the same: the same loss, the same gradient."""
    logits = on_grid(2 * normal(7, 61), dtype, 1 / 8)
    targets = np.arange(7) * 8
    settings = {"reduction": "none", "label_smoothing": label_smoothing}
    dy = normal(7, seed=1).astype(dtype)
    loss, (gradient, _) = run("cross_entropy", (logits, targets), settings, dy)
    for offset in (100, -(10.0**4), 10.0**6, -(10.0**6)):
        moved = (logits + offset).astype(dtype)
        assert (moved - dtype(offset) == logits).all(), "an offset that cannot be added exactly"
        moved_loss, (moved_gradient, _) = run("cross_entropy", (moved, targets), settings, dy)
        np.testing.assert_allclose(moved_loss, loss, **rtol(dtype, 4))
        np.testing.assert_allclose(moved_gradient, gradient, rtol=0, atol=4 * np.finfo(dtype).eps)
        small = np.abs(gradient) < 0.1 * np.abs(dy[:, None])  # no wanted class, whose p - 1 cancels
        if label_smoothing == 0:
            np.testing.assert_allclose(moved_gradient[small], gradient[small], **rtol(dtype, 8))


# --- layer norm ------------------------------------------------------------------------------------------------------


def layer_norm_of_equal_numbers_is_the_bias(run, dtype, op):
    for c, value in ((768, 100000.1), (100, 1449.33), (3, 0.1), (257, -1e7 / 3), (1, 0.7), (1000, 1e-3 / 3)):
        x = np.full((5, c), value, dtype)
        weight, bias, dy = (normal(*shape, seed=i).astype(dtype) for i, shape in enumerate(((c,), (c,), (5, c))))
        y, (_, dweight, _) = layer_norm(run, op, x, weight, bias, dy)
        assert (y == bias).all(), f"{c} times {value}: {np.abs(y - bias).max()} beside the bias"
        assert (dweight == 0).all()


def layer_norm_is_blind_to_an_offset(run, dtype, op):
    for c in (100, 768):
        x = on_grid(normal(6, c), dtype, 1 / 8)
        weight, bias, dy = (normal(*shape, seed=i).astype(dtype) for i, shape in enumerate(((c,), (c,), (6, c))))
        results = []
        for offset in (0, 100, -(10.0**4), 10.0**6):
            moved = (x + offset).astype(dtype)
            assert (moved - dtype(offset) == x).all(), "an offset that cannot be added exactly"
            y, grads = layer_norm(run, op, moved, weight, bias, dy)
            results.append([y, *grads])
        for moved in results[1:]:
            for got, wanted in zip(moved, results[0], strict=True):
                np.testing.assert_allclose(got, wanted, rtol=0, atol=16 * np.finfo(dtype).eps * np.abs(wanted).max())


def layer_norm(run, op: str, x, weight, bias, dy):
    """(y, (dx, dweight, dbias)), of add_layer_norm with x as a sum of two."""
    if op == "layer_norm":
        return run(op, (x, weight, bias), {}, dy)
    (_, y), (dx, _, *rest) = run(op, (x / 2, x / 2, weight, bias), {}, (np.zeros_like(dy), dy))
    return y, (dx, *rest)
