"""Do the rows of a batch mix?

A batch holds texts side by side because that is quick, not because they have to do with each other. What a model says
of a text must not depend on what stands beside it, nor on where in the batch it stands. One reshape too many, and it
does; the loss falls nonetheless. Write the probe that finds it.

    model    model(ids) -> logits, arrays (B, T) of integers below 10 -> (B, T, 10), for any B >= 1; it is deterministic
    ids      (B, T) a batch to try it on, with B >= 2
    returns  whether the logits of any row are other ones because of its company or its place

Numbers that are the same but for rounding are the same: products of another size round otherwise.
"""

import numpy as np


def mixes(model, ids):
    # BEGIN SOLUTION
    together = model(ids)
    for row in range(len(ids)):
        alone = model(ids[row : row + 1])[0]
        if not np.allclose(alone, together[row], rtol=0, atol=1e-9):
            return True
    return False
    # END SOLUTION
