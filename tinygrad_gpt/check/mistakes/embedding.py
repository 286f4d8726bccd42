"""Embedding's mistakes. Right is dweight[v] = Σ dy over the places where ids is v, 0 for a row that was not used."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.sparse_rows import scatter_add


def _dweight(dy, saved):
    """dweight as it should be."""
    dweight = np.zeros_like(dy, shape=saved.weight_shape)
    scatter_add(dweight, saved.ids.reshape(-1), dy.reshape(saved.ids.size, saved.weight_shape[1]))
    return dweight


@wrong_backward(
    "M01",
    "an id that occurs more than once gets the gradient of its last place alone",
    why="its row was copied to all of these places, so that their gradients add up. dweight[ids] = dy overwrites, and "
    "dweight[ids] += dy adds only once to each row",
    look="what is x after x = np.zeros(2); x[[0, 0]] += 1?",
    source="seen in HIPS autograd #39, mxnet #9172, pytorch #1528",
)
def overwritten(dy, saved):
    ids, shape = saved
    dweight = np.zeros_like(dy, shape=shape)
    dweight[ids] += dy
    return None, dweight


@wrong_backward(
    "M02",
    "divided by how often the id occurs",
    why="each place where a row was used has its own part in the loss, and they add up. If the loss is a mean, dy has "
    "been divided already",
    look="a row that is used ten times: does a change of it do more to the loss than if it were used once?",
)
def divided_by_the_count(dy, saved):
    count = np.bincount(saved.ids.reshape(-1), minlength=saved.weight_shape[0])
    return None, _dweight(dy, saved) / np.maximum(count, 1).astype(dy.dtype)[:, None]


@wrong_backward(
    "M03",
    "dy is returned as it came, a row for each place",
    why="dweight is shaped as the table: a row for each of its V symbols, used or not",
    look="what shape has weight, and what shape has dy?",
)
def as_it_came(dy, saved):
    return None, dy.copy()


@wrong_backward(
    "M09",
    "added up row by row of ids: an id that occurs twice in one row of ids counts once there",
    why="dweight[ids[i]] += dy[i] adds only once to each row of the table, if ids[i] is a row of ids",
    look="what is x after x = np.zeros(2); x[[0, 0]] += 1?",
)
def row_by_row(dy, saved):
    ids, shape = saved
    dweight = np.zeros_like(dy, shape=shape)
    for i in range(len(ids)):
        dweight[ids[i]] += dy[i]
    return None, dweight


@wrong_backward(
    "M10",
    "id 0 is taken for padding: its row gets no gradient",
    why="0 is an id as any other, unless the op is told that it is not, and this one has no such setting",
    look="what does forward do where ids is 0?",
)
def zero_as_padding(dy, saved):
    dweight = _dweight(dy, saved)
    dweight[0] = 0
    return None, dweight


@wrong_backward(
    "M21",
    "only the first sequence of a batch gives its rows a gradient",
    why="each place of ids, in whatever sequence, looked a row up, and brings that row its dy",
    look="how many places does ids have, and how many does backward go through?",
)
def of_the_first_sequence(dy, saved):
    ids = saved.ids
    if ids.ndim > 1:
        ids, dy = ids[:1], dy[:1]
    return None, _dweight(dy, saved._replace(ids=ids))
