"""One AdamW update of many parameters, in place: a routine, outside the tape.

    params         the parameters θ, a list of float arrays of any shapes
    grads          the gradient g of each, same shape and dtype
    ms, vs         running means of g and of g² of each, same shape and dtype, zeros before the first step
    weight_decays  of each, 0 for none
    steps          how many updates of each there have been with this one, counted from 1
    grad_scale     by which every gradient is multiplied first: a gradient that is clipped need not be rewritten

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


def check(params, grads, ms, vs, *, lr, beta1, beta2, eps, weight_decays, steps, grad_scale=1.0):
    """Raises TypeError for integers, ValueError for lists and shapes that don't match and for a step below 1."""
    if not len(params) == len(grads) == len(ms) == len(vs) == len(weight_decays) == len(steps):
        raise ValueError(f"adamw: expected lists of one length, got {len(params)} parameters, {len(grads)} gradients")
    check_floats("adamw", *params, *grads, *ms, *vs)
    for param, grad, m, v, step in zip(params, grads, ms, vs, steps, strict=True):
        if not param.shape == grad.shape == m.shape == v.shape:
            raise ValueError(
                "adamw: expected a parameter, its gradient, m and v of one shape, "
                f"got {param.shape}, {grad.shape}, {m.shape}, {v.shape}"
            )
        if step < 1:
            raise ValueError(f"adamw: expected steps counted from 1, got {step}")


def run(params, grads, ms, vs, *, lr, beta1, beta2, eps, weight_decays, steps, grad_scale=1.0):
    """Update params, ms and vs in place. Returns nothing."""
    for param, grad, m, v, weight_decay, step in zip(params, grads, ms, vs, weight_decays, steps, strict=True):
        g = grad if grad_scale == 1 else grad_scale * grad
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        m_hat = m / (1 - beta1**step)
        v_hat = v / (1 - beta2**step)
        param *= 1 - lr * weight_decay
        param -= lr * m_hat / (np.sqrt(v_hat) + eps)
