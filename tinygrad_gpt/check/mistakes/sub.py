"""A mistake in the difference. Right is da = dy and db = -dy, each summed back to its side's shape."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import sum_to_shape


@wrong_backward(
    "E78",
    "the minus is lost in db, as if it were a sum",
    why="a - b falls as b grows: its slope in b is -1",
    look="b grows by 1: what does a - b do?",
)
def minus_lost(dy, saved):
    return sum_to_shape(dy, saved.a_shape), sum_to_shape(dy, saved.b_shape)
