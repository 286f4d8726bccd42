"""Mistakes in moving rows, each by its own number. Right is dx[i, c] = dy[i, c - first[i]], 0 where dy has none."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops import shift_rows


@wrong_backward(
    "M16",
    "moved on instead of back: forward, applied to dy",
    why="what forward took from column first + j has to go back to it, from column j: the other way",
    look="if x[i, c] came to lie in column j, from which column of dy does it get its gradient?",
)
def moved_on(dy, saved):
    return shift_rows.forward(dy, saved.first, keys=saved.columns)[0], None


@wrong_backward(
    "M17",
    "columns that no key reads get the gradient of the nearest one that is read",
    why="what is not in y has gradient 0. Clipping a column to the ends keeps the index legal, but not right",
    look="does y change when a column left of first[i] does?",
)
def clipped(dy, saved):
    columns = np.arange(saved.columns) - saved.first[..., np.newaxis]
    return np.take_along_axis(dy, np.clip(columns, 0, dy.shape[-1] - 1), axis=-1), None


@wrong_backward(
    "M18",
    "all rows are moved back by the first row's number",
    why="each query stands at a place of its own: row i was read from column first[i] on",
    look="which element of x is y[1, 0], and which is y[0, 0]?",
)
def as_the_first_row(dy, saved):
    first = saved.first - saved.first + saved.first[..., :1]
    return shift_rows.forward(dy, -first, keys=saved.columns)[0], None


@wrong_backward(
    "M19",
    "every gradient one column too far to the right",
    why="row i reads column first[i] for key 0, so that its dy[i, 0] goes back to column first[i]",
    look="which element of x is y[i, 0]?",
)
def one_to_the_right(dy, saved):
    return shift_rows.forward(dy, -saved.first - 1, keys=saved.columns)[0], None


@wrong_backward(
    "M20",
    "every gradient one column too far to the left",
    why="row i reads column first[i] for key 0, so that its dy[i, 0] goes back to column first[i]",
    look="which element of x is y[i, 0]?",
)
def one_to_the_left(dy, saved):
    return shift_rows.forward(dy, 1 - saved.first, keys=saved.columns)[0], None
