"""Temperature, top-k, top-p: what the next token is drawn from.

    logits       (V,) what the model says; no two are equal
    temperature  divides the logits; 0 means: always the likeliest token
    top_k        keep the k likeliest tokens only; None: all
    top_p        of those that are left, keep the likeliest, as few as have probability p or more together; None: all
                 (Holtzman et al., "The curious case of neural text degeneration", 2020, section 3.1)
    returns      (V,) probabilities, in the order of the logits: 0 for tokens that are not kept, and with a sum of 1

In this order: first the temperature, then top_k, then top_p.
"""

import numpy as np


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    # BEGIN SOLUTION
    order = np.argsort(-logits)
    order = order[: 1 if temperature == 0 else top_k]
    kept = np.exp((logits[order] - logits[order[0]]) / (temperature or 1.0))
    kept = kept / np.sum(kept)
    if top_p is not None:
        before = np.cumsum(kept) - kept  # what the likelier ones have: below p, one more is needed
        order, kept = order[before < top_p], kept[before < top_p]
    p = np.zeros(len(logits))
    p[order] = kept / np.sum(kept)
    return p
    # END SOLUTION
