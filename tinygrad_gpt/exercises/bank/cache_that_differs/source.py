"""Is cached the same as uncached?

A cache should save time, and change nothing. When it is wrong, the first token is right and the text gets worse with
every token; nobody sees why. Write the probe that finds it.

    model    model(ids, cache) -> (logits, cache): ids (T,) integers below 10, any number of them, and the cache of what
             came before, None for nothing -> logits (T, 10) of each of the new tokens, and the cache with them in it
    ids      (8,) a text to try it on. Without a cache, in one piece, the model is right
    returns  whether it says anything else when it reads in pieces: of any sizes, and also when a cache is used twice,
             for two different continuations

Numbers that are the same but for rounding are the same.
"""

import numpy as np


def differs(model, ids):
    # BEGIN SOLUTION
    whole = model(ids, None)[0]
    for sizes in ((1,) * 8, (3, 1, 1, 3), (2, 3, 3)):
        cache, end = None, 0
        for size in sizes:
            begin, end = end, end + size
            model((ids[begin:end] + 1) % 10, cache)  # another text goes on from here
            logits, cache = model(ids[begin:end], cache)
            if not np.allclose(logits, whole[begin:end], rtol=0, atol=1e-9):
                return True
    return False
    # END SOLUTION
