"""Does it see the future?

A language model predicts token t + 1 from tokens 0 .. t. If a mask is wrong, its prediction at t depends on later
tokens: its loss is too good, and what it writes is bad. Write the probe that finds it.

    model    model(ids) -> logits, arrays (T,) of integers below 10 -> (T, 10); it is deterministic
    ids      (T,) a text to try it on
    returns  whether the logits of any place change when a later token does
"""

import numpy as np


def leaks(model, ids):
    # BEGIN SOLUTION
    before = model(ids)
    for place in range(1, len(ids)):
        changed = ids.copy()
        changed[place] = (ids[place] + 1) % 10
        if np.any(np.abs(model(changed)[:place] - before[:place]) > 1e-9):
            return True
    return False
    # END SOLUTION
