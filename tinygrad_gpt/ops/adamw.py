"""One AdamW update of one parameter, in place: a routine, outside the tape.

    param   the parameter θ, float, any shape
    grad    its gradient g, same shape and dtype
    m, v    running means of g and of g², same shape and dtype, zeros before the first step
    step    counts from 1

Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1) divides a running mean of
gradients by the root of a running mean of their squares, so that every element moves by about lr a step whatever its
gradient's scale:

    m ← β₁ m + (1 - β₁) g            v ← β₂ v + (1 - β₂) g²
    m̂ = m / (1 - β₁^step)            v̂ = v / (1 - β₂^step)
    θ ← θ - lr m̂ / (√v̂ + ε)

m starts at 0, so after `step` steps its weights sum to 1 - β₁^step instead of 1; dividing by that makes it a mean
again.

AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2) shrinks the parameter by
itself instead of adding weight_decay · θ to the gradient, where it would be divided by √v̂ too: first θ ← (1 - lr ·
weight_decay) θ.
"""

import numpy as np

from tinygrad_gpt.ops._shapes import check_floats


def check(param, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step):
    """Raises TypeError for integers, ValueError for shapes that differ and for a step below 1."""
    check_floats("adamw", param, grad, m, v)
    if not param.shape == grad.shape == m.shape == v.shape:
        raise ValueError(
            f"adamw: expected param, grad, m and v of one shape, got {param.shape}, {grad.shape}, {m.shape}, {v.shape}"
        )
    if step < 1:
        raise ValueError(f"adamw: expected a step counted from 1, got {step}")


def run(param, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step):
    """Update param, m and v in place. Returns nothing."""
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * grad * grad
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    param *= 1 - lr * weight_decay
    param -= lr * m_hat / (np.sqrt(v_hat) + eps)
