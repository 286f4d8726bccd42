"""Warm-up, then a cosine.

The learning rate of a step. During the warm-up it rises in equal steps; after it, it falls along half a cosine:

    min_lr + ½ (lr - min_lr) (1 + cos πs)        s: the share of the way down that is done, from 0 to 1

    step     counted from 0. Steps 0 .. warmup - 1 are the warm-up. Step `warmup` is the first with lr itself,
             and a step -1, if there were one, would have 0
    total    the step that has min_lr; all steps after it have min_lr too
    returns  the rate, a float

There may be no warm-up: then step 0 has lr. Schedules go wrong at their ends, so look at both.
"""

import math


def learning_rate(step, lr, min_lr, warmup, total):
    # BEGIN SOLUTION
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    s = min(1.0, (step - warmup) / (total - warmup))
    return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * s))
    # END SOLUTION
