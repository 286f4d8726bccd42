"""The AdamW update of all parameters on the GPU, in one pass over memory (ops/adamw.py has the equations)."""

import math

from tinygrad_gpt.kernels.cuda.machine.layout import THREADS, contiguous, not_ours
from tinygrad_gpt.kernels.cuda.machine.many import launches


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
    rows = zip(params, [contiguous(g) for g in grads], ms, vs, weight_decays, steps, strict=True)
    rows = [row for row in rows if row[0].size > 0]
    for step in sorted({row[-1] for row in rows}):  # one, unless some parameter had no gradient for a while
        *lists, decays, _ = zip(*[row for row in rows if row[-1] == step], strict=True)
        # lr m_hat / (sqrt(v_hat) + eps), both divisions by 1 - beta^step taken out of the loop
        rate, root_scale = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
        numbers = (grad_scale, lr, rate, root_scale, beta1, 1 - beta1, beta2, 1 - beta2, eps)
        for kernels, blocks, table in launches("adamw", *lists, numbers=decays):
            kernels.run(blocks, THREADS, table, *map(float, numbers))
