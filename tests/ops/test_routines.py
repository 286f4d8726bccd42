"""AdamW and the sum of squares: every version against the formulas, one number at a time."""

import math

import numpy as np
import pytest

from tinygrad_gpt.kernels import registry

SETTINGS = {"lr": 0.01, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}


def adamw_of_one_number(theta, g, m, v, *, lr, beta1, beta2, eps, weight_decay, step):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    theta -= lr * weight_decay * theta
    theta -= lr * (m / (1 - beta1**step)) / (math.sqrt(v / (1 - beta2**step)) + eps)
    return theta, m, v


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0, 3), (2, 1030)])
def test_adamw(shape, dtype):
    rng = np.random.default_rng(0)
    for version in registry.versions("adamw"):
        param = np.asarray(rng.standard_normal(shape), dtype)
        m, v = np.zeros_like(param), np.zeros_like(param)
        if version.why_not(param, param, m, v, **SETTINGS, step=1) is not None:
            continue
        right = [(float(theta), 0.0, 0.0) for theta in param.ravel()]
        for step in (1, 2, 3):
            grad = np.asarray(rng.standard_normal(shape), dtype)
            kept = grad.copy()
            version.forward(param, grad, m, v, **SETTINGS, step=step)
            np.testing.assert_array_equal(grad, kept)
            right = [
                adamw_of_one_number(theta, float(g), m_, v_, **SETTINGS, step=step)
                for (theta, m_, v_), g in zip(right, grad.ravel(), strict=True)
            ]
        for got, numbers in zip((param, m, v), zip(*right, strict=True) if right else ((), (), ()), strict=True):
            assert got.dtype == dtype
            tolerance = 1e-6 if dtype == np.float32 else 1e-13
            np.testing.assert_allclose(got.ravel(), numbers, rtol=tolerance, atol=tolerance, err_msg=str(version))


def test_the_first_step_of_adamw_is_lr_long_whatever_the_gradient():
    for version in registry.versions("adamw"):
        param, grad = np.zeros(3), np.array([1e-3, -2.0, 1e5])
        version.forward(param, grad, np.zeros(3), np.zeros(3), **(SETTINGS | {"weight_decay": 0.0}), step=1)
        np.testing.assert_allclose(param, -0.01 * np.sign(grad), rtol=1e-4, err_msg=str(version))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0, 3), (2, 1030)])
def test_sum_squares(shape, dtype):
    x = np.asarray(np.random.default_rng(0).standard_normal(shape), dtype)
    right = math.fsum(float(value) ** 2 for value in x.ravel())
    for version in registry.versions("sum_squares"):
        if version.why_not(x) is None:
            got = version.forward(x)
            assert type(got) is float
            assert got == pytest.approx(right, rel=1e-12), version


def test_sum_squares_of_an_exploded_gradient_is_finite():
    x = np.full(1000, 1e30, np.float32)  # 1e60 is beyond float32
    assert registry.run("sum_squares", x) == pytest.approx(1e63, rel=1e-6)
