"""One AdamW update on the CPU, in one pass over memory instead of a dozen (ops/adamw.py has the equations)."""

import numpy as np

from tinygrad_gpt.kernels.numba import _threads
from tinygrad_gpt.kernels.numba._compile import kernel, of, read, write
from tinygrad_gpt.kernels.numba._layout import CHUNK, flat, not_ours, part

_threads.start()


def why_not(param, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step):
    if not (param.flags.c_contiguous and m.flags.c_contiguous and v.flags.c_contiguous):
        return "updates contiguous arrays only"
    return not_ours(param, grad, m, v)


def run(param, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step):
    """Update param, m and v in place. Returns nothing."""
    _update(
        flat(param),
        flat(grad),
        flat(m),
        flat(v),
        1 - lr * weight_decay,
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        # lr m_hat / (sqrt(v_hat) + eps), both divisions by 1 - beta^step taken out of the loop
        lr / (1 - beta1**step),
        1 / np.sqrt(1 - beta2**step),
        eps,
    )


@kernel(lambda f: (write(f, 1), read(f, 1), write(f, 1), write(f, 1), *[f] * 8))
def _update(share, param, grad, m, v, kept, beta1, rest1, beta2, rest2, rate, root_scale, eps):
    for chunk in of(share, (param.size + CHUNK - 1) // CHUNK):
        params, grads, ms, vs = part(param, chunk), part(grad, chunk), part(m, chunk), part(v, chunk)
        for i in range(params.size):
            g = grads[i]
            m_i = beta1 * ms[i] + rest1 * g
            v_i = beta2 * vs[i] + rest2 * g * g
            ms[i] = m_i
            vs[i] = v_i
            params[i] = kept * params[i] - rate * m_i / (np.sqrt(v_i) * root_scale + eps)
