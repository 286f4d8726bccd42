"""The AdamW update of all parameters on the CPU, in one pass over memory instead of a dozen (ops/adamw.py has the
equations). Where arrays share memory, the order of the updates matters, so the reference makes them.
"""

import math

import numba
import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import kernel, my_part, read
from tinygrad_gpt.kernels.numba.machine.layout import not_ours
from tinygrad_gpt.kernels.numba.machine.many import addresses, check_alike, check_writeable, overlap, pieces, vector_at
from tinygrad_gpt.ops import adamw as reference


def why_not(params, grads, ms, vs, *, lr, beta1, beta2, eps, weight_decays, steps, grad_scale=1.0):
    arrays = [*params, *grads, *ms, *vs]
    reason = not_ours(*arrays)
    if reason is None and len({a.dtype for a in arrays}) > 1:
        return "parameters of several dtypes"
    if reason is None and not all([a.flags.c_contiguous for a in (*params, *ms, *vs)]):
        return "updates contiguous arrays only"
    return reason


def run(params, grads, ms, vs, *, lr, beta1, beta2, eps, weight_decays, steps, grad_scale=1.0):
    """Update params, ms and vs in place. Returns nothing."""
    check_alike("adamw", params=params, grads=grads, ms=ms, vs=vs)
    check_writeable("adamw", [*params, *ms, *vs])
    if min(steps, default=1) < 1:
        raise ValueError(f"adamw: expected steps counted from 1, got {min(steps)}")
    table = [
        # lr m_hat / (sqrt(v_hat) + eps), both divisions by 1 - beta^step taken out of the loop
        (1 - lr * decay, lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step))
        for _, decay, step in zip(params, weight_decays, steps, strict=True)
    ]
    if not params:
        return
    grads = [np.ascontiguousarray(g) for g in grads]
    starts = addresses(params, grads, ms, vs)
    sizes = tuple([p.size for p in params])
    if overlap(starts, np.array(sizes) * params[0].itemsize, [0, 2, 3]):
        numbers = dict(lr=lr, beta1=beta1, beta2=beta2, eps=eps, grad_scale=grad_scale)
        return reference.run(params, grads, ms, vs, weight_decays=weight_decays, steps=steps, **numbers)
    shared = (grad_scale, beta1, 1 - beta1, beta2, 1 - beta2, eps)
    _update(np.array(table, params[0].dtype), starts, pieces(sizes), *shared)


@kernel(lambda f: (read(f, "P 3"), read(numba.int64, "P 4"), read(numba.int64, "N 3"), *[f] * 6))
def _update(share, table, arrays, parts, grad_scale, beta1, rest1, beta2, rest2, eps):
    """table (P, 3) and arrays (P, 4) have a row for each parameter, parts (N, 3) one for each piece of work."""
    for i in my_part(share, len(parts)):
        p, first, n = parts[i]
        kept, rate, root_scale = table[p]
        param, grad = vector_at(arrays[p, 0], first, n, table), vector_at(arrays[p, 1], first, n, table)
        m, v = vector_at(arrays[p, 2], first, n, table), vector_at(arrays[p, 3], first, n, table)
        for j in range(n):
            g = grad_scale * grad[j]
            m_j = beta1 * m[j] + rest1 * g
            v_j = beta2 * v[j] + rest2 * g * g
            m[j] = m_j
            v[j] = v_j
            param[j] = kept * param[j] - rate * m_j / (np.sqrt(v_j) * root_scale + eps)
