"""Mistakes in the linear layer on top of a GELU. Right, with h = gelu(x): dweight and dh are those of the linear layer
at h, and dx is the GELU's, from dh and x."""

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops import gelu, linear


def _through_linear(dy, saved):
    """h, and the gradients of h, weight and bias."""
    h, _ = gelu.forward(saved.x, approximate=saved.approximate)
    return h, linear.backward(dy, linear.Saved(h, saved.weight, saved.has_bias))


@wrong_backward(
    "L14",
    "dweight is formed with x, where the linear layer read gelu(x)",
    why="the weight was multiplied with h = gelu(x), so that is its slope; h is not saved and has to be computed again",
    look="which array did forward multiply with the weight?",
)
def dweight_with_x(dy, saved):
    _, (dh, _, dbias) = _through_linear(dy, saved)
    _, dweight, _ = linear.backward(dy, linear.Saved(saved.x, saved.weight, saved.has_bias))
    (dx,) = gelu.backward(dh, gelu.Saved(saved.x, saved.approximate))
    return dx, dweight, dbias


@wrong_backward(
    "L15",
    "the GELU's slope is left out: dx is the gradient of h",
    why="x reaches y through h = gelu(x): by the chain rule the gradient of h is multiplied by the GELU's slope",
    look="what came before the linear layer in forward, and so has to come after it in backward?",
)
def gelu_left_out(dy, saved):
    _, grads = _through_linear(dy, saved)
    return grads


@wrong_backward(
    "L16",
    "the GELU's slope is taken at gelu(x), not at x",
    why="the slope of gelu(x) is a function of what went in, x; h = gelu(x) is what came out",
    look="at which of x and h does the chain rule want the GELU's slope?",
)
def slope_at_h(dy, saved):
    h, (dh, dweight, dbias) = _through_linear(dy, saved)
    (dx,) = gelu.backward(dh, gelu.Saved(h, saved.approximate))
    return dx, dweight, dbias


@wrong_backward(
    "L17",
    "the slope of the exact GELU, whatever `approximate` says",
    why="the exact form and the tanh form are two functions, a little apart: each has the slope of its own",
    look="which GELU did forward compute, and which one does backward differentiate?",
    source="seen in TinyTorch #1399, tt-metal #35971",
)
def always_the_exact_form(dy, saved):
    _, (dh, dweight, dbias) = _through_linear(dy, saved)
    (dx,) = gelu.backward(dh, gelu.Saved(saved.x, "none"))
    return dx, dweight, dbias


@wrong_backward(
    "L19",
    "the GELU's slope is multiplied in twice",
    why="x reaches y through one GELU, so that the chain rule brings its slope once",
    look="how many lines of backward multiply with the slope, and how many of forward apply the GELU?",
)
def slope_twice(dy, saved):
    _, (dh, dweight, dbias) = _through_linear(dy, saved)
    of_gelu = gelu.Saved(saved.x, saved.approximate)
    (once,) = gelu.backward(dh, of_gelu)
    (dx,) = gelu.backward(once, of_gelu)
    return dx, dweight, dbias
