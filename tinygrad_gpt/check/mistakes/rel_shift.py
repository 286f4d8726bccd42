"""Mistakes in moving scores by distance. Right is dx[i, c] = dy[i, c + i - first], 0 where dy has no such column."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops.rel_shift import Saved


def _read(a, columns):
    """a[..., i, columns[i, c]], 0 where a has no such column: (..., T, K) and (T, R) -> (..., T, R)."""
    wide = np.concatenate([a, np.zeros_like(a, shape=(*a.shape[:-1], 1))], axis=-1)
    there = (columns >= 0) & (columns < a.shape[-1])
    rows = np.arange(len(columns)).reshape(-1, 1)
    return wide[..., rows, np.where(there, columns, -1)]


def _places(saved):
    """i as a column, c as a row: (T, 1), (1, R)."""
    t, r = saved.shape[-2:]
    return np.arange(t).reshape(t, 1), np.arange(r).reshape(1, r)


@wrong_backward(
    "M11",
    "every gradient one column too far to the left",
    why="query 0 reads column `first` for key 0, so that its dy[0, 0] goes back to column `first`",
    look="which element of x is y[0, 0]?",
)
def one_to_the_left(dy, saved):
    i, c = _places(saved)
    return (_read(dy, c + 1 + i - saved.first),)


@wrong_backward(
    "M12",
    "every gradient one column too far to the right",
    why="query 0 reads column `first` for key 0, so that its dy[0, 0] goes back to column `first`",
    look="which element of x is y[0, 0]?",
)
def one_to_the_right(dy, saved):
    i, c = _places(saved)
    return (_read(dy, c - 1 + i - saved.first),)


@wrong_backward(
    "M13",
    "all rows are moved back as row 0 is",
    why="each query stands one place further on, and began to read one column further to the left",
    look="which element of x is y[1, 0], and which is y[0, 0]?",
)
def as_the_first_row(dy, saved):
    _, c = _places(saved)
    return (_read(dy, c - saved.first + np.zeros((saved.shape[-2], 1), np.int64)),)


@wrong_backward(
    "M14",
    "moved on instead of back: forward, applied to dy",
    why="what forward took from column first + j - i has to go back to it, from column j: the other way",
    look="if x[i, c] came to lie in column j, from which column of dy does it get its gradient?",
)
def moved_on(dy, saved):
    i, c = _places(saved)
    return (_read(dy, saved.first + c - i),)


@wrong_forward(
    "M15",
    "a row reads on into its neighbours where it has no more columns",
    why="in memory the next row follows at once, so that what should be 0 is a number of another query. A causal mask "
    "may hide it, and nothing else does",
    look="what lies in memory behind the last column of row 0?",
    source="so it is in kimiyoung/transformer-xl, _rel_shift with zero_triu=False, where the mask hides it",
)
def reads_on(x, *, first, keys):
    t, r = x.shape[-2:]
    i, j = np.arange(t).reshape(t, 1), np.arange(keys).reshape(1, keys)
    flat = x.reshape(*x.shape[:-2], t * r)
    places = i * r + first + j - i
    there = (places >= 0) & (places < t * r)
    wide = np.concatenate([flat, np.zeros_like(x, shape=(*x.shape[:-2], 1))], axis=-1)
    return wide[..., np.where(there, places, -1)], Saved(x.shape, first)
