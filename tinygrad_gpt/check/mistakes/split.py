"""A mistake in split. Right is the pieces' gradients, joined along the axis that was cut."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E92",
    "joined along the first axis, whatever `axis` says",
    why="what was cut along an axis is joined along the same axis",
    look="along which axis did forward cut?",
)
def along_the_first_axis(dys, saved):
    return (np.concatenate(dys, axis=0),)
