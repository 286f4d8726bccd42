"""One step of AdamW (Loshchilov and Hutter, 2019, algorithm 2).

    m ← β1 m + (1 - β1) g           running mean of the gradient
    v ← β2 v + (1 - β2) g²          and of its square

Both start at 0, and are corrected for it. A parameter moves by lr times the corrected mean, over the root of the
corrected mean of squares plus eps. Besides it shrinks by lr · decay of itself, before it moves.

    w, g, m, v  arrays of one shape: the parameter, its gradient, the two means before this step
    step        how many steps there have been with this one: 1 at the first
    returns     the new (w, m, v); what is given stays as it is
"""

import numpy as np


def adamw_step(w, g, m, v, step, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    # BEGIN SOLUTION
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    w = w * (1 - lr * decay)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v
    # END SOLUTION
