"""Mistakes in broadcast_to. Right is dy, summed over every axis that was added or stretched."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops._shapes import sum_to_shape


@wrong_backward(
    "E85",
    "averaged over the copies, not summed",
    why="every copy is a path of its own to the loss, and paths add up; an average divides by how many there are",
    look="one number is shown 1000 times and grows by 1: by how much does the sum of all that is shown grow?",
)
def averaged(dy, saved):
    total = sum_to_shape(dy, saved.shape)
    return (total * (total.size / dy.size) if dy.size else total,)


@wrong_backward(
    "E86",
    "only the new axes are summed, not those that were stretched from size 1",
    why="an element is repeated along a stretched axis just as along a new one, and each copy has its dy",
    look="x is (3, 1) and y is (3, 5): how often is x[0, 0] in y?",
)
def new_axes_alone(dy, saved):
    return (dy.sum(axis=tuple(range(dy.ndim - len(saved.shape)))),)
