"""Mistakes in the matrix product. Right is da = dy @ bᵀ and db = aᵀ @ dy, summed over batch axes that were broadcast.

ᵀ exchanges the last two axes; a vector is treated as a matrix of one row (a) or one column (b).
"""

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import sum_to_shape


def _as_matrices(dy, saved):
    a, b = saved
    dy = dy[..., None] if b.ndim == 1 else dy
    dy = dy[..., None, :] if a.ndim == 1 else dy
    return a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-1, 1) if b.ndim == 1 else b, dy


def _turned(a):
    return a.swapaxes(-1, -2)


def _as_given(da, db, saved):
    """Summed over the batch axes that were broadcast, and vectors again where they were vectors."""
    a, b = saved
    da = sum_to_shape(da, (1, *a.shape) if a.ndim == 1 else a.shape)
    db = sum_to_shape(db, (*b.shape, 1) if b.ndim == 1 else b.shape)
    return da.reshape(a.shape), db.reshape(b.shape)


@wrong_backward(
    "L08",
    "a batch axis that was broadcast is not summed",
    why="one matrix served every matrix of the batch: each of them is a path of its own to the loss, and paths add up",
    look="b is (3, 5) and a is (4, 2, 3): how often is b multiplied, and which shape has your db?",
)
def batch_not_summed(dy, saved):
    a, b, dy = _as_matrices(dy, saved)
    da, db = dy @ _turned(b), _turned(a) @ dy
    return da[..., 0, :] if saved.a.ndim == 1 else da, db[..., 0] if saved.b.ndim == 1 else db


@wrong_backward(
    "L10",
    "the gradient of a matrix that served a whole batch is averaged over it",
    why="each matrix of the batch is a path of its own to the loss, and paths add up; an average divides by how many "
    "there are",
    look="if one matrix serves 1000 others, does the loss hang on it less than if it served one?",
)
def averaged_over_the_batch(dy, saved):
    a, b, dy = _as_matrices(dy, saved)
    da, db = dy @ _turned(b), _turned(a) @ dy
    ga, gb = _as_given(da, db, saved)
    return ga * (ga.size / da.size) if da.size else ga, gb * (gb.size / db.size) if db.size else gb


@wrong_backward(
    "L11",
    ".T for a transpose of the last two axes: it turns the batch axes round too",
    why=".T reverses all axes, so that (4, 3, 5) becomes (5, 3, 4); the matrices of a batch are its last two axes",
    look="which shape has b.T for a b of shape (4, 3, 5)?",
)
def all_axes_reversed(dy, saved):
    a, b, dy = _as_matrices(dy, saved)
    return _as_given(dy @ b.T, a.T @ dy, saved)


@wrong_backward(
    "L12",
    "reshape for a transpose: b and a have the turned shape, and their elements stand in wrong places",
    why="reshape leaves the elements in their order and cuts it anew; a transpose exchanges rows and columns",
    look="is x.reshape(3, 2) the same as x.T, for x = [[1, 2, 3], [4, 5, 6]]?",
    source="seen in annotated-transformer #17",
)
def reshaped(dy, saved):
    a, b, dy = _as_matrices(dy, saved)
    return _as_given(dy @ b.reshape(_turned(b).shape), a.reshape(_turned(a).shape) @ dy, saved)


@wrong_backward(
    "L13",
    "db is transposed: dyᵀ @ a, of shape (N, K)",
    why="db = aᵀ @ dy has the shape of b, (K, N); the other order of the two factors is its transpose",
    look="b is (K, N): which shape has what you return for it?",
)
def db_transposed(dy, saved):
    a, b, dy = _as_matrices(dy, saved)
    da, db = _as_given(dy @ _turned(b), _turned(a) @ dy, saved)
    return da, _turned(db) if db.ndim > 1 else db
