"""A mistake in the sine. Right is dx = dy cos x."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E83",
    "a minus that belongs to the cosine's derivative: dy (-cos x)",
    why="sin x rises at 0, with slope 1 = cos 0; it is cos whose derivative has a minus",
    look="does sin x rise or fall at 0?",
)
def minus_of_cos(dy, saved):
    return (-dy * np.cos(saved.x),)
