"""Inputs that tell.

Most wrong gradients are right for most inputs. A test is as good as the inputs that it tries. Write the test of
cross-entropy's gradient. It gets a pair, which has

    pair.forward(logits, targets) -> (loss, saved)     logits (N, V), targets (N,) integers, some of them -100
    pair.backward(dy, saved) -> (dlogits, None)        dy = ∂L/∂loss, an array without axes

The loss is the mean over the rows that count: a row whose target is -100 is padding, and counts for nothing. forward is
right. Raise AssertionError if backward is not, for any logits, targets and dy. Right pairs must pass: those of others,
who write the same in other ways.

`measured` is there: the derivative of dy · loss by each logit, right to eight digits or so. Which inputs do you try?
"""

import numpy as np


def measured(pair, logits, targets, dy):
    """∂(dy · loss)/∂logits, by moving each logit up and down a little."""
    slope, h = np.zeros_like(logits), 1e-5
    for place in np.ndindex(logits.shape):
        losses = []
        for step in (h, -h):
            moved = logits.copy()
            moved[place] += step
            losses.append(pair.forward(moved, targets)[0])
        slope[place] = dy * (losses[0] - losses[1]) / (2 * h)
    return slope


def check_cross_entropy(pair):
    # BEGIN SOLUTION
    rng = np.random.default_rng(0)
    for targets in ([0, 2, 1], [2, -100, 0, -100, 1], [3]):
        logits = 2 * rng.normal(size=(len(targets), 4))
        dy = np.array(rng.normal())
        dlogits = pair.backward(dy, pair.forward(logits, np.array(targets))[1])[0]
        assert dlogits.shape == logits.shape
        assert np.allclose(dlogits, measured(pair, logits, np.array(targets), dy), rtol=1e-6, atol=1e-8)
    # END SOLUTION
