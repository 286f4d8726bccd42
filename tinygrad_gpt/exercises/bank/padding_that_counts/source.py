"""Does padding count?

Texts of unequal lengths are filled up to one length, so that they fit into one array. The filling is no text, and the
model is told so. What it says of a token must be the same with padding and without: on either side, and however much.
Write the probe that finds the models where it is not.

    model    model(ids, real) -> logits, arrays (B, T) of integers below 10 and (B, T) booleans, False for padding,
             -> (B, T, 10). It is deterministic. What it says at places of padding is of no interest
    texts    a list of arrays (T,) of integers below 10, of unequal lengths
    returns  whether padding changes the logits of any real token of them

Numbers that are the same but for rounding are the same.
"""

import numpy as np


def padding_counts(model, texts):
    # BEGIN SOLUTION
    width = max(len(text) for text in texts) + 2
    for on_the_left in (False, True):
        ids, real = np.zeros((len(texts), width), int), np.zeros((len(texts), width), bool)
        for row, text in enumerate(texts):
            where = slice(width - len(text), width) if on_the_left else slice(0, len(text))
            ids[row, where], real[row, where] = text, True
        padded = model(ids, real)
        for row, text in enumerate(texts):
            alone = model(text[None], np.ones((1, len(text)), bool))[0]
            if not np.allclose(padded[row, real[row]], alone, rtol=0, atol=1e-9):
                return True
    return False
    # END SOLUTION
