"""Reorder the axes.

    x     array of any shape and dtype
    axes  a tuple that names every axis of x once: axis i of y is axis axes[i] of x
    y     a view of x

(1, 2, 0) takes axis 0 of y from axis 1 of x, and so on; the gradient's axes go back where they came from, by the
inverse permutation: if y's axis i came from x's axis axes[i], then dx's axis axes[i] comes from dy's axis i.
"""

from typing import NamedTuple

from tinygrad_gpt.ops._shapes import normalize_axes


class Saved(NamedTuple):
    axes: tuple[int, ...]


def check(x, *, axes):
    """Raises ValueError unless `axes` names every axis of x once."""
    if len(axes) != x.ndim:
        raise ValueError(
            f"permute: expected every one of the {x.ndim} axes of shape {x.shape} once, got {axes}: "
            "two are exchanged by transpose"
        )
    normalize_axes("permute", axes, x.ndim)


def forward(x, *, axes):
    return x.transpose(axes), Saved(tuple(a % x.ndim for a in axes))


def backward(dy, saved):
    inverse = sorted(range(dy.ndim), key=lambda i: saved.axes[i])
    # y = x.transpose(axes)
    return (dy.transpose(inverse),)
