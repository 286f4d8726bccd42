"""Shapes that are often given, and wrong."""

from tinygrad_gpt.exercises.writing import wrong


@wrong(
    "SG01",
    "each head has all channels",
    why="the C channels are cut into as many pieces as there are heads",
    look="how many channels are there for one head?",
)
def whole_heads():
    return {"queries": (8, 4, 50, 128), "next_queries": (8, 4, 1, 128)}


@wrong(
    "SG02",
    "scores between channels",
    why="a score belongs to a query and a key: two tokens",
    look="what does one score compare?",
)
def of_channels():
    return {"scores": (8, 4, 32, 32)}


@wrong(
    "SG03",
    "the table's gradient has a row for each token of the batch",
    why="a token that comes up often gets a sum of gradients in its one row; one that doesn't gets zeros",
    look="what is subtracted from the table in a step of gradient descent?",
)
def by_token():
    return {"d_table": (8, 50, 128)}


@wrong(
    "SG04",
    "the new token sees itself alone",
    why="its query meets the keys of all tokens so far, which the cache has kept, 50, and its own",
    look="what is a cache for?",
)
def without_the_past():
    return {"next_scores": (8, 4, 1, 1)}
