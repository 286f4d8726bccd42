"""A check that can fail.

Write the test of softmax's gradient. It gets a pair, which has

    pair.forward(x, axis=-1) -> (y, saved)      y sums to 1 along the axis; this part is right
    pair.backward(dy, saved) -> (dx,)           this part may be wrong

and raises AssertionError if the gradient is wrong: for any dy, along any axis. It will be tried on right pairs, which
it must let pass, and on wrong ones.

A derivative can be measured: with L = Σ dy · y, moving one element of x by h changes L by about h · dx. In float64,
with h = 1e-6 and both sides, (L(x + h) - L(x - h)) / 2h is right to seven digits or so.
"""

import numpy as np


def check_softmax(pair):
    # BEGIN SOLUTION
    rng = np.random.default_rng(0)
    for axis in (-1, 0):
        x, dy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
        dx = pair.backward(dy, pair.forward(x, axis=axis)[1])[0]
        for place in np.ndindex(x.shape):
            h = np.zeros_like(x)
            h[place] = 1e-6
            up, down = (np.sum(dy * pair.forward(x + d, axis=axis)[0]) for d in (h, -h))
            assert abs((up - down) / 2e-6 - dx[place]) < 1e-6, f"dx is wrong at {place} along axis {axis}"
    # END SOLUTION
