"""A mistake in einsum. Right: the gradient of an array is the einsum of dy and the other arrays, with the letters of y
and of that array exchanged; of a letter that comes twice in it, the diagonal alone gets a gradient."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops import einsum


@wrong_backward(
    "L18",
    "where a letter comes twice in an array, the gradient is not for the diagonal alone",
    why='"ii->i" reads the diagonal; the other elements are not in y, so their gradient is 0',
    look='which elements of a 3 × 3 array does "ii->i" read?',
)
def not_the_diagonal_alone(dy, saved):
    grads = []
    for g, term in zip(einsum.backward(dy, saved), saved.terms, strict=True):
        once = "".join(dict.fromkeys(term))
        diagonal = np.einsum(f"{term}->{once}", g)
        sizes = [
            n if term.index(letter) == axis else 1 for axis, (letter, n) in enumerate(zip(term, g.shape, strict=True))
        ]
        grads.append(np.broadcast_to(diagonal.reshape(sizes), g.shape))
    return tuple(grads)
