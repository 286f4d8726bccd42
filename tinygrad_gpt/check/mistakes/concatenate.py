"""Mistakes in concatenate. Right: each array gets its own stretch of dy."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward


@wrong_backward(
    "E90",
    "every array gets a stretch from the beginning of dy",
    why="the second array begins in y where the first one ends, and so does its stretch of dy",
    look="two arrays of 2 and 4 are joined: at which place of y does the second one begin?",
)
def all_from_the_beginning(dy, saved):
    before = (slice(None),) * saved.axis
    return tuple(dy[(*before, slice(size))] for size in saved.sizes)


@wrong_backward(
    "E91",
    "dy is cut along the first axis, whatever `axis` says",
    why="what was joined along an axis is cut along the same axis",
    look="along which axis did forward join?",
)
def along_the_first_axis(dy, saved):
    starts = [sum(saved.sizes[:i]) for i in range(len(saved.sizes))]
    return tuple(dy[start : start + size] for start, size in zip(starts, saved.sizes, strict=True))
