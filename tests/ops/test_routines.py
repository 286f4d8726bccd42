"""AdamW and the sum of squares: every version against the formulas, one number at a time."""

import math

import numpy as np
import pytest

from tinygrad_gpt.kernels import registry

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


def test_adamw_does_not_write_to_what_is_locked():
    for version in registry.versions("adamw"):
        for locked in (0, 2, 3):
            arrays = [[x] for x in draw([(7,)] * 4, np.float32, 0)]
            arrays[3][0] **= 2
            before = arrays[locked][0].copy()
            arrays[locked][0].flags.writeable = False
            with pytest.raises(ValueError, match="read-only"):
                version.forward(*arrays, **SETTINGS, weight_decays=[0.1], steps=[1])
            np.testing.assert_array_equal(arrays[locked][0], before)


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
