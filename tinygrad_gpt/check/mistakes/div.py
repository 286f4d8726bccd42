"""Mistakes in the quotient. Right is da = dy / b and db = -dy a / b² = -(dy / b) y."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import sum_to_shape


@wrong_backward(
    "E02",
    "the minus is lost in db: (dy / b) y",
    why="a / b = a b⁻¹, and the power rule brings the exponent -1 down: the slope in b is -a / b²",
    look="a and b are positive, and b grows: does a / b grow?",
)
def minus_lost(dy, saved):
    a_shape, b, y = saved
    return sum_to_shape(dy / b, a_shape), sum_to_shape(dy / b * y, b.shape)


@wrong_backward(
    "E03",
    "one division by b is lost in db: -dy y",
    why="the slope in b is -a / b², and y = a / b holds only one of the two divisions by b",
    look="y is a / b: what is a / b² in terms of y?",
)
def one_division_lost(dy, saved):
    a_shape, b, y = saved
    return sum_to_shape(dy / b, a_shape), sum_to_shape(-dy * y, b.shape)


@wrong_backward(
    "E25",
    "a's slope is b, as in a product: da = dy b",
    why="a / b is a times 1 / b, so that 1 / b is what a is multiplied with",
    look="by how much does a / 4 grow when a grows by 1?",
)
def as_a_product(dy, saved):
    a_shape, b, y = saved
    return sum_to_shape(dy * b, a_shape), sum_to_shape(-dy / b * y, b.shape)
