"""Clipping and AdamW in plain NumPy, in place, for the peers that have no such optimiser of their own."""

import numpy as np
import sizes


class AdamW:
    """Over a dictionary of float32 arrays, which `step` changes in place."""

    def __init__(self, params: dict[str, np.ndarray]):
        self.params = params
        self.m = {name: np.zeros_like(p) for name, p in params.items()}
        self.v = {name: np.zeros_like(p) for name, p in params.items()}
        self.count = 0

    def step(self, grads: dict[str, np.ndarray]) -> None:
        """Clip the gradients to norm 1 together, and update."""
        self.count += 1
        norm = np.sqrt(sum(float(np.vdot(g, g)) for g in grads.values()))
        shorter = np.float32(min(1.0, sizes.MAX_NORM / (norm + 1e-6)))
        beta1, beta2 = sizes.BETAS
        for name, p in self.params.items():
            g, m, v = grads[name] * shorter, self.m[name], self.v[name]
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            g *= g
            v += (1 - beta2) * g
            root = np.sqrt(v / (1 - beta2**self.count))
            root += sizes.EPS
            np.divide(m, root, out=root)
            p *= 1 - sizes.LR * (sizes.WEIGHT_DECAY if p.ndim >= 2 else 0.0)
            root *= sizes.LR / (1 - beta1**self.count)
            p -= root
