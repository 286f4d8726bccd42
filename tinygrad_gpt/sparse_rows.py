"""Sparse gradients: the few rows of a table that were looked up, without the zeros of all the others."""

import numpy as np

from tinygrad_gpt.array import Array, is_array


def scatter_add(target: Array, index, values: Array) -> None:
    """target[index] += values, in place, where an element that `index` names k times gets the sum of its k values.

    (`target[index] += values` itself would add only the last of them.) On the GPU they are added in any order, so that
    where k > 1 the last bits may differ from run to run; embedding's own kernel keeps to one order.

    Raises IndexError for an index out of range. (CuPy wraps it round.)
    """
    by_rows = isinstance(target, np.ndarray) and is_array(index) and index.ndim == 1 and index.dtype.kind in "iu"
    if by_rows and index.size > 0 and len(index) == len(values):
        n = len(target)
        if int(index.min()) < -n or int(index.max()) >= n:
            raise IndexError(f"scatter_add: expected rows in {-n} .. {n - 1}, got {index.min()} .. {index.max()}")
        # Sort the rows so that equal ones are neighbours, and sum each run: np.add.at is up to three times slower.
        rows = index.astype(np.intp) % n  # index's own dtype may be too small for the length
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
        target[rows[starts]] += np.add.reduceat(values[order], starts, axis=0)
    else:
        np.add.at(target, index, values)


class SparseRows:
    """A sparse gradient: an array (n, C) that is zero except in a few rows, as for a table with few rows looked up.

    ids     integers (R,): the row of each of `values`; a row that comes k times gets the sum of its k values
    values  (R, C)
    n       how many rows the dense array has; every id is below it

    It is added to an existing gradient without making the dense array: GPT-2's would be 154 MB, mostly zeros.
    """

    def __init__(self, ids: Array, values: Array, n: int, scatter_add=scatter_add):
        self.ids, self.values, self.scatter_add = ids, values, scatter_add
        self.shape, self.dtype = (n, values.shape[1]), values.dtype

    def add_to(self, target: Array) -> None:
        """target += this. Raises ValueError for a target of another shape or dtype."""
        if target.shape != self.shape or target.dtype != self.dtype:
            got = f"{target.dtype}{tuple(target.shape)}"
            raise ValueError(f"expected {self.dtype}{self.shape} to add rows to, got {got}")
        self.scatter_add(target, self.ids, self.values)

    def dense(self) -> Array:
        """The dense array, with its zeros."""
        target = np.zeros_like(self.values, shape=self.shape)
        self.add_to(target)
        return target


def dense(x):
    """`x` itself, or the array that SparseRows stand for."""
    return x.dense() if isinstance(x, SparseRows) else x
