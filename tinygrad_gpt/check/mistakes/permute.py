"""Mistakes in permute. Right is dy with its axes put back, by the inverse permutation."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E87",
    "the same permutation once more, not its inverse",
    why="axes (1, 2, 0) rotate, and rotating once more does not lead back; only where two axes changed places is the "
    "way back the way there",
    look="you rotate three axes by one: by how many more must you rotate until all stand as before?",
)
def same_axes_once_more(dy, saved):
    return (dy.transpose(saved.axes),)


@wrong_backward(
    "E88",
    "dy is reshaped to x's shape, where its axes should be exchanged",
    why="reshape leaves the elements in their order and cuts it anew: the shape is right, and the elements stand in "
    "wrong places",
    look="is x.reshape(3, 2) the same as x.T, for x = [[1, 2, 3], [4, 5, 6]]?",
    source="seen in annotated-transformer #17",
)
def reshaped(dy, saved):
    shape = [0] * dy.ndim
    for i, axis in enumerate(saved.axes):
        shape[axis] = dy.shape[i]
    return (dy.reshape(shape),)
