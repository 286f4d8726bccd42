"""Log-softmax's mistakes. Right is dx = dy - e^y Σ dy, the sum along `axis`."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops.log_softmax import Saved


@wrong_backward(
    "S08",
    "y where the probability e^y belongs",
    why="y is the logarithm of a probability here. The derivative of log Σ e^x is the probability itself",
    look="what is saved as y: a number between 0 and 1, or its logarithm?",
)
def logarithm_for_probability(dy, saved):
    y, axis = saved
    return (dy - y * np.sum(dy, axis=axis, keepdims=True),)


@wrong_backward(
    "S09",
    "dy alone: what goes through log Σ e^x is lost",
    why="y = x - log Σ e^x depends on x twice: each x also raises what is subtracted from every y of its row",
    look="if all x of a row grow by the same amount, what does y do?",
)
def without_the_sum(dy, saved):
    return (dy.copy(),)


@wrong_backward(
    "S16",
    "the gradient of softmax: p (dy - Σ dy p)",
    why="dy belongs to the logarithm of p, not to p. The logarithm's 1/p takes the factor p away again",
    look="is ∂y_i/∂x_j = δ_ij - p_j, or p_i times that?",
    source="the two were exchanged in mlpack #2360, #3468",
)
def of_softmax(dy, saved):
    y, axis = saved
    p = np.exp(y)
    return (p * (dy - np.sum(dy * p, axis=axis, keepdims=True)),)


@wrong_backward(
    "S17",
    "the mean of dy where its sum belongs",
    why="every y of the row has the same log Σ e^x in it, so that all of dy meet there, undivided",
    look="what do the gradients of a row add up to, if all of p does to 1?",
)
def mean_for_sum_of_dy(dy, saved):
    y, axis = saved
    return (dy - np.exp(y) * np.mean(dy, axis=axis, keepdims=True),)


@wrong_backward(
    "S18",
    "the sum of dy p where the sum of dy belongs",
    why="log Σ e^x is in every y of the row with the same weight, -1. The weights p are softmax's",
    look="by how much does y_i fall when log Σ e^x grows by 1, if p_i is large, and if it is small?",
)
def sum_weighted_by_p(dy, saved):
    y, axis = saved
    p = np.exp(y)
    return (dy - p * np.sum(dy * p, axis=axis, keepdims=True),)


@wrong_backward(
    "S19",
    "differentiated as the logarithm alone: dy / p",
    why="that is the gradient for p. From there it has to go through softmax, to x",
    look="of what is 1/p the derivative, and with respect to what?",
)
def as_log_alone(dy, saved):
    y, _ = saved
    return (dy / np.exp(y),)


@wrong_backward(
    "S20",
    "the sum along the last axis, whatever `axis` says",
    why="the sum runs over the outputs that share one log Σ e^x, and they lie along `axis`",
    look="along which axis does e^y add up to 1, if axis is 0?",
)
def last_axis_whatever_axis_says(dy, saved):
    y, _ = saved
    return (dy - np.exp(y) * np.sum(dy, axis=-1, keepdims=True),)


@wrong_backward(
    "S21",
    "only the diagonal of the Jacobian: 1 - p",
    why="x_j lowers every other y of its row too, by way of the sum: ∂y_i/∂x_j = -p_j",
    look="what does y_i do when x_j grows, for a j that is not i?",
)
def diagonal_alone(dy, saved):
    y, _ = saved
    return (dy * (1 - np.exp(y)),)


@wrong_forward(
    "S22",
    "the logarithm of a softmax that was worked out first",
    why="a probability below 10^-308 (10^-38 in float32) becomes 0, and its logarithm -inf. x - log Σ e^x stays finite",
    look="what is np.log(np.exp(-1000.0)), and what should it be?",
)
def logarithm_of_softmax(x, *, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    y = np.log(e / np.sum(e, axis=axis, keepdims=True))
    return y, Saved(y, axis)


@wrong_backward(
    "S29",
    "the sum over all elements, not along `axis`",
    why="each row has a log Σ e^x of its own: what happens in one row does not reach another",
    look="which outputs share the log Σ e^x that x_j is in?",
)
def sum_over_all_elements(dy, saved):
    y, _ = saved
    return (dy - np.exp(y) * np.sum(dy),)


@wrong_backward(
    "S30",
    "p is left out: dy - Σ dy",
    why="a larger x_j raises log Σ e^x by its probability only, not by as much as it grows itself",
    look="what is the derivative of log Σ e^x with respect to x_j?",
)
def without_p(dy, saved):
    _, axis = saved
    return (dy - np.sum(dy, axis=axis, keepdims=True),)


@wrong_backward(
    "S31",
    "the term of the sum is added, not subtracted",
    why="log Σ e^x is subtracted in y = x - log Σ e^x, and so is what comes of it",
    look="if all x of a row grow by the same amount, y stays: what should the gradients of a row add up to?",
)
def term_added(dy, saved):
    y, axis = saved
    return (dy + np.exp(y) * np.sum(dy, axis=axis, keepdims=True),)
