"""The corrections folded into one rate and a larger eps, as in the paper's remark."""

import numpy as np


def adamw_step(w, g, m, v, step, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    m = m + (1 - beta1) * (g - m)
    v = v + (1 - beta2) * (g * g - v)
    root = np.sqrt(1 - beta2**step)
    rate = lr * root / (1 - beta1**step)
    return w - lr * decay * w - rate * m / (np.sqrt(v) + eps * root), m, v
