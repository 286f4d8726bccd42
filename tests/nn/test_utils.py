"""Clipping in place, by PyTorch's names."""

import math

import numpy as np
import pytest

from tinygrad_gpt.nn import Parameter, utils


def with_gradients(*grads) -> list[Parameter]:
    params = [Parameter(np.zeros(len(grad), np.float32)) for grad in grads]
    for p, grad in zip(params, grads, strict=True):
        p.grad = np.array(grad, np.float32)
    return params


def test_the_common_norm_is_limited_and_returned():
    params = with_gradients([3.0, 0.0], [4.0])
    norm = utils.clip_grad_norm_(params, 1.0)
    assert norm.item() == 5.0 and norm.dtype == np.float32 and f"{norm:.1f}" == "5.0"
    np.testing.assert_allclose([*params[0].grad, *params[1].grad], [0.6, 0.0, 0.8], rtol=1e-6)
    assert utils.clip_grad_norm_(params[0], 9.0).item() == pytest.approx(0.6)


def test_a_norm_that_is_not_finite_is_an_error_if_asked():
    params = with_gradients([math.inf], [4.0])
    assert utils.clip_grad_norm_(params, 1.0).item() == math.inf and params[1].grad[0] == 4
    with pytest.raises(RuntimeError, match="clip_grad_norm_: expected a finite norm of the gradients, got inf"):
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)


def test_each_element_is_limited():
    params = with_gradients([3.0, -0.5, -7.0], [0.25])
    params.append(Parameter(np.ones(2)))
    utils.clip_grad_value_(params, 0.5)
    assert params[0].grad.tolist() == [0.5, -0.5, -0.5] and params[1].grad.tolist() == [0.25]


def test_other_norms_are_refused():
    with pytest.raises(ValueError, match="clip_grad_norm_: expected norm_type 2, got inf"):
        utils.clip_grad_norm_(with_gradients([1.0]), 1.0, norm_type=math.inf)
