"""Softmax's mistakes. Right is dx = y (dy - Σ dy y), the sum along `axis`."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops.softmax import Saved


@wrong_backward(
    "S01",
    "only the diagonal of the Jacobian: y (1 - y)",
    why="every output depends on every input of its row, through the sum that it is divided by",
    look="what does y_j do when x_i grows, for a j that is not i?",
    source="seen in libnd4j #440, Odyssey #2134, cTensor #31",
)
def only_the_diagonal(dy, saved):
    y, _ = saved
    return (dy * y * (1 - y),)


@wrong_backward(
    "S02",
    "differentiated as if it were exp alone: dy y",
    why="the sum in the denominator depends on x too, and takes back what the numerator gives",
    look="if all x of a row grow by the same amount, y stays: what should the gradients of a row add up to?",
)
def as_exp_alone(dy, saved):
    y, _ = saved
    return (dy * y,)


@wrong_backward(
    "S03",
    "the sum of dy where the sum of dy y belongs",
    why="each dy_i reaches the denominator through its own y_i, so it is weighted with it",
    look="which factor does ∂y_i/∂x_j = -y_i y_j put before dy_i?",
)
def sum_without_y(dy, saved):
    y, axis = saved
    return (y * (dy - np.sum(dy, axis=axis, keepdims=True)),)


@wrong_backward(
    "S04",
    "the mean of dy y where its sum belongs",
    why="the weights y add up to 1 already, so that their sum is the mean of dy: it is not divided by the size again",
    look="if dy is 1 everywhere, dx must be 0: what is subtracted from 1 then?",
)
def mean_for_sum(dy, saved):
    y, axis = saved
    return (y * (dy - np.mean(dy * y, axis=axis, keepdims=True)),)


@wrong_backward(
    "S05",
    "the sum along the last axis, whatever `axis` says",
    why="the sum runs over the inputs that share a denominator, and they lie along `axis`",
    look="along which axis does y add up to 1, if axis is 0?",
    source="a wrong axis was seen in PyTorch-NLP #2, labml #146, fastNLP #254",
)
def always_the_last_axis(dy, saved):
    y, _ = saved
    return (y * (dy - np.sum(dy * y, axis=-1, keepdims=True)),)


@wrong_backward(
    "S06",
    "y before the bracket is lost: dy - Σ dy y",
    why="both terms of ∂y_i/∂x_j = y_i (δ_ij - y_j) hold y_j: a probability that is nearly 0 hardly moves",
    look="what should dx be for an x so low that its y is 0?",
)
def without_the_outer_y(dy, saved):
    y, axis = saved
    return (dy - np.sum(dy * y, axis=axis, keepdims=True),)


@wrong_backward(
    "S07",
    "the gradient of log-softmax: dy - y Σ dy",
    why="it belongs to log y. Without the logarithm each ∂y_i/∂x_j has a factor y_i more",
    look="of which function is ∂/∂x_j = δ_ij - y_j, of y_i or of its logarithm?",
    source="the two were exchanged in mlpack #2360, #3468",
)
def of_log_softmax(dy, saved):
    y, axis = saved
    return (dy - y * np.sum(dy, axis=axis, keepdims=True),)


@wrong_backward(
    "S10",
    "zeros",
    why="y adds up to 1 whatever x is, so that the sum of y has gradient 0: that is dy = 1. Any other dy moves x",
    look="which loss was it tried with, and does that loss change when x does?",
    source="a check that takes the sum of y as its loss passes it",
)
def zeros(dy, saved):
    return (np.zeros_like(dy),)


@wrong_forward(
    "S11",
    "the largest x is not subtracted before exp",
    why="e^x overflows for x > 709 (x > 88 in float32), and inf / inf is nan. Subtracting one number from a row "
    "cancels, and changes nothing else",
    look="what is np.exp(1000.0), and what is left of it after the division?",
)
def no_largest_subtracted(x, *, axis=-1):
    e = np.exp(x)
    y = e / np.sum(e, axis=axis, keepdims=True)
    return y, Saved(y, axis)


@wrong_backward(
    "S12",
    "the sum over all elements, not along `axis`",
    why="rows have denominators of their own: what happens in one does not reach another",
    look="which inputs share the denominator of y_i?",
    source="a wrong axis was seen in PyTorch-NLP #2, labml #146, fastNLP #254",
)
def sum_over_everything(dy, saved):
    y, _ = saved
    return (y * (dy - np.sum(dy * y)),)


@wrong_backward(
    "S13",
    "y multiplies the first term only: y dy - Σ dy y",
    why="y_j stands before the whole bracket: the sum reaches x_j by way of e^x_j, and so with the factor y_j",
    look="where is the bracket in y (dy - Σ dy y)?",
)
def without_the_bracket(dy, saved):
    y, axis = saved
    return (y * dy - np.sum(dy * y, axis=axis, keepdims=True),)


@wrong_backward(
    "S14",
    "the sum is added, not subtracted",
    why="a larger x_j makes the denominator larger, and so every other y smaller",
    look="has ∂y_i/∂x_j a plus or a minus, for i other than j?",
)
def sum_added(dy, saved):
    y, axis = saved
    return (y * (dy + np.sum(dy * y, axis=axis, keepdims=True)),)


@wrong_forward(
    "S15",
    "divided by the sum of all elements, not of those along `axis`",
    why="each row is to be probabilities by itself, and add up to 1",
    look="what does y add up to along `axis`, and what in all?",
)
def one_sum_for_all(x, *, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    y = e / np.sum(e)
    return y, Saved(y, axis)


@wrong_backward(
    "S28",
    "the mean of dy where the sum of dy y belongs",
    why="what is taken out is a mean of dy weighted with y: a row does not share its probability out evenly",
    look="which factor does ∂y_i/∂x_j = -y_i y_j put before dy_i?",
)
def plain_mean(dy, saved):
    y, axis = saved
    return (y * (dy - np.mean(dy, axis=axis, keepdims=True)),)
