"""Wrong diagnoses that are near."""

from tinygrad_gpt.exercises.writing import wrong


@wrong(
    "BK01",
    "run one as a leak of the mask",
    why="a model that sees the next letter writes badly too, but has no reason to repeat its own letter",
    look="what would a model write that has learned to copy its input?",
)
def as_a_leak():
    return {"one": "A13"}


@wrong(
    "BK02",
    "run three as missing positions",
    why="a model without positions still learns which letters are frequent, and after which: it gets far below 2.5",
    look="what is the lowest loss where probabilities go through softmax once more, with 20 letters?",
)
def as_no_positions():
    return {"three": "M05"}


@wrong(
    "BK03",
    "run four as Adam without its correction",
    why="that makes the first steps three times as long, and wears off; here it gets worse with time",
    look="does the trouble of run four come at the start, or later?",
)
def as_no_correction():
    return {"four": "T07"}
