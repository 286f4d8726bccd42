"""Random directions instead of single elements: two measurements for each axis."""

import numpy as np


def check_softmax(pair):
    rng = np.random.default_rng(1)
    for axis in (0, 1, 2, -1):
        x, dy = rng.normal(size=(2, 3, 4, 5))[:2]
        dx = pair.backward(dy, pair.forward(x, axis=axis)[1])[0]
        for _ in range(2):
            d = rng.normal(size=x.shape)
            up, down = (np.sum(dy * pair.forward(x + h * d, axis=axis)[0]) for h in (1e-6, -1e-6))
            np.testing.assert_allclose((up - down) / 2e-6, np.sum(dx * d), rtol=1e-5, atol=1e-7)
