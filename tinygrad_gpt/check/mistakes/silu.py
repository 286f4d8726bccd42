"""Mistakes in the SiLU. Right is dx = dy (σ + x σ (1 - σ)), with σ at x."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops import sigmoid


@wrong_backward(
    "E39",
    "the product rule's second term is lost: dy σ(x)",
    why="x σ(x) is a product of two things that move with x: what σ's moving does, x σ', belongs to the slope too",
    look="how many of the factors of x σ(x) depend on x?",
)
def second_term_lost(dy, saved):
    s, _ = sigmoid.forward(saved.x)
    return (dy * s,)


@wrong_backward(
    "E40",
    "the product rule's first term is lost: dy x σ (1 - σ)",
    why="x σ(x) is a product: the factor x moves too, with slope 1, and leaves σ beside it",
    look="for large x, σ(x) is 1 and x σ(x) is x: what is the slope there, and what is yours?",
)
def first_term_lost(dy, saved):
    s, _ = sigmoid.forward(saved.x)
    return (dy * saved.x * s * (1 - s),)


@wrong_backward(
    "E41",
    "x is lost from the second term: dy (σ + σ (1 - σ))",
    why="the product rule says u'v + uv': beside σ's own slope stands the factor x",
    look="in u'v + uv' with u = x and v = σ(x), what is u v'?",
)
def x_lost(dy, saved):
    s, _ = sigmoid.forward(saved.x)
    return (dy * (s + s * (1 - s)),)
