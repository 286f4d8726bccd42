"""Mistakes in clamp. Right: dy passes where x is within the bounds, at them too, and is 0 beyond."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops.clamp import Saved


@wrong_backward(
    "E73",
    "the mask is inverted: dy passes beyond the bounds and stops within",
    why="within the bounds y is x and moves with it; beyond them y is the bound, whatever x does",
    look="with a bound at 1, x is 5 and grows a little: what does y do?",
)
def mask_inverted(dy, saved):
    return (np.where(saved.is_within, 0.0, dy),)


@wrong_forward(
    "E74",
    "the upper bound is forgotten in the mask: dy passes above it too",
    why="above the upper bound y is that bound, whatever x does, just as below the lower one",
    look="at how many places has y a corner, and how many of them does your mask know?",
)
def upper_bound_forgotten(x, *, min=None, max=None):
    y = np.clip(x, -np.inf if min is None else min, np.inf if max is None else max)
    return y, Saved(x >= (-np.inf if min is None else min))


@wrong_forward(
    "E75",
    "at a bound itself dy is stopped",
    why="there is a kink there, and either answer is a slope of one side; this op lets dy pass, so that an element at "
    "its bound can be moved back inside",
    look="x stands exactly at the bound and dy would move it inside: should it be able to?",
)
def stopped_at_the_bounds(x, *, min=None, max=None):
    lowest, highest = -np.inf if min is None else min, np.inf if max is None else max
    return np.clip(x, lowest, highest), Saved((x > lowest) & (x < highest))
