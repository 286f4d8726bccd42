"""Negation: y = -x, for x a float array of any shape. dy/dx = -1, so dx = -dy. Nothing is saved."""

from tinygrad_gpt.ops._shapes import check_floats


def check(x):
    """Raises TypeError for integers."""
    check_floats("neg", x)


def forward(x):
    return -x, None


def backward(dy, saved):
    # y = -x
    return (-dy,)
