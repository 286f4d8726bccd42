"""Mistakes in the product. Right is da = dy b and db = dy a, each summed back to its side's shape."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import sum_to_shape


@wrong_backward(
    "E01",
    "the factors are not exchanged: da = dy a, db = dy b",
    why="y = a b is linear in a, and its slope is what a is multiplied with: the other factor",
    look="with b = 7 and a grown by 1, by how much does a b grow?",
)
def each_its_own_factor(dy, saved):
    a, b = saved
    return sum_to_shape(dy * a, a.shape), sum_to_shape(dy * b, b.shape)


@wrong_backward(
    "E24",
    "the gradient of a side that was broadcast is averaged over its copies",
    why="every copy is a path of its own to the loss, and paths add up; an average divides by how many there are",
    look="if b is one number that multiplies 1000 others, does the loss hang on it less than if it multiplied one?",
)
def broadcast_averaged(dy, saved):
    a, b = saved
    return _mean_to_shape(dy * b, a.shape), _mean_to_shape(dy * a, b.shape)


def _mean_to_shape(g, shape):
    total = sum_to_shape(g, shape)
    return total * (total.size / g.size) if g.size else total
