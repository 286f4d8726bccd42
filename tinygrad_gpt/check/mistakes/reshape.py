"""A mistake in reshape. Right is dy in x's shape, the elements in the same row-major order."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E89",
    "dy is transposed before it is reshaped",
    why="forward kept the elements in their order and cut it anew; transposing changes the order",
    look="which element of y is x[0, 1], and which is it after a transpose?",
)
def transposed_before(dy, saved):
    return (dy.T.reshape(saved.shape),)
