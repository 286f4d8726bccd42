"""Wrong diagnoses that are near."""

from tinygrad_gpt.exercises.writing import wrong


@wrong(
    "SX01",
    "layer_norm as a lost mean",
    why="without the mean's path, the difference would be the same along the row",
    look="what is should - is, in the four places? And what is xhat there?",
)
def lost_mean():
    return {"layer_norm": "N01"}


@wrong(
    "SX02",
    "embedding as divided by the count",
    why="1 and 5, divided by two, would be 3",
    look="what is the mean of 1 and 5?",
)
def divided():
    return {"embedding": "M02"}


@wrong(
    "SX03",
    "cross_entropy as not divided by the count",
    why="then the numbers would be too large, by the count; they are too small",
    look="is the gradient too large or too small, and by which factor?",
)
def too_large():
    return {"cross_entropy": "C01"}


@wrong(
    "SX04",
    "dropout with the mask turned round",
    why="then each place would be zero in one of the two; the third is zero in neither",
    look="which places are kept in both masks?",
)
def turned_round():
    return {"dropout": "D04"}


@wrong(
    "SX05",
    "softmax as exp alone",
    why="dy y is 1, -0.3, 0.2",
    look="what is dy y, element by element?",
)
def as_exp():
    return {"softmax": "S02"}
