"""Layer norm's mistakes. Right is dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) with dx̂ = dy weight, the means over a row."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops.layer_norm import Saved


def _mean(a):
    """Of each row: (..., C) -> (..., 1)."""
    return np.mean(a, axis=-1, keepdims=True)


def _of_parameters(dy, saved):
    """dweight and dbias, as they should be."""
    rows = tuple(range(dy.ndim - 1))
    return np.sum(dy * saved.x_hat, axis=rows), np.sum(dy, axis=rows) if saved.has_bias else None


def _dx(dy, saved):
    """dx as it should be."""
    d = dy * saved.weight
    return saved.rstd * (d - _mean(d) - saved.x_hat * _mean(d * saved.x_hat))


@wrong_backward(
    "N01",
    "the path through the mean is lost: - mean(dx̂)",
    why="every x of a row moves the row's mean, and with it every x̂",
    look="if all x of a row grow by the same amount, y stays: what should dx add up to?",
    source="seen, of batch norm, in CrypTen #143, Knet #288",
)
def without_the_mean(dy, saved):
    d = dy * saved.weight
    return saved.rstd * (d - saved.x_hat * _mean(d * saved.x_hat)), *_of_parameters(dy, saved)


@wrong_backward(
    "N02",
    "the path through the variance is lost: - x̂ mean(dx̂ x̂)",
    why="every x of a row moves the row's variance, and with it the scale of every x̂",
    look="if the distances of all x from their mean double, y stays: what should the sum of dx x̂ be, but for ε?",
    source="seen, of batch norm, in CrypTen #143, Knet #288",
)
def without_the_variance(dy, saved):
    d = dy * saved.weight
    return saved.rstd * (d - _mean(d)), *_of_parameters(dy, saved)


@wrong_backward(
    "N03",
    "mean and variance taken for constants: dx = r dx̂",
    why="both are made of the row's x, so that each x moves every x̂ of its row in three ways, not in one",
    look="which of x, μ and r in (x - μ) r change when x does?",
    source="seen, of batch norm, in CrypTen #143, Knet #288",
)
def statistics_as_constants(dy, saved):
    return saved.rstd * dy * saved.weight, *_of_parameters(dy, saved)


@wrong_backward(
    "N04",
    "dx without the factor r, one over the standard deviation",
    why="forward multiplies x - μ by r, so that a row which is spread ten times as wide has gradients a tenth as large",
    look="what is the derivative of (x - μ) r with respect to x, if μ and r stay?",
)
def without_rstd(dy, saved):
    return _dx(dy, saved) / saved.rstd, *_of_parameters(dy, saved)


@wrong_backward(
    "N05",
    "weight is left out of dx",
    why="forward multiplies x̂ by the weight, and so does backward dy, before anything else",
    look="if a weight is 0, its x̂ doesn't reach y: what does it get of dy?",
)
def without_the_weight(dy, saved):
    return _dx(dy, saved._replace(weight=np.ones_like(saved.weight))), *_of_parameters(dy, saved)


@wrong_backward(
    "N06",
    "x̂ is left out of dweight: it is the gradient of bias",
    why="the weight is multiplied with x̂, and so its gradient is dy x̂, summed over rows. dy alone is what bias gets",
    look="what stands beside the weight in y = weight x̂ + bias?",
)
def dweight_without_x_hat(dy, saved):
    _, dbias = _of_parameters(dy, saved)
    return _dx(dy, saved), np.sum(dy, axis=tuple(range(dy.ndim - 1))), dbias


@wrong_backward(
    "N07",
    "dweight is a mean over the rows, not their sum",
    why="each row uses the same weight: what they have to say of it adds up. A mean belongs to the loss, if anywhere",
    look="if each row came twice, and the loss added them all up, how much more would a change of the weight do?",
)
def dweight_as_a_mean(dy, saved):
    _, dbias = _of_parameters(dy, saved)
    return _dx(dy, saved), np.mean(dy * saved.x_hat, axis=tuple(range(dy.ndim - 1))), dbias


@wrong_backward(
    "N08",
    "the term x̂ mean(dx̂ x̂) is added, not subtracted",
    why="a larger x at the edge of its row makes the variance larger and r smaller, which takes back what it gained",
    look="∂r/∂x_j = -r² x̂_j / C: where has the minus gone?",
)
def sign_of_the_variance(dy, saved):
    d = dy * saved.weight
    return saved.rstd * (d - _mean(d) + saved.x_hat * _mean(d * saved.x_hat)), *_of_parameters(dy, saved)


@wrong_backward(
    "N09",
    "sums over the row where its means belong",
    why="μ and the variance are means of C numbers, so that one x moves them by a C-th of its own change",
    look="if one x grows by 1, by how much does the mean of its row grow?",
)
def sums_for_means(dy, saved):
    d, x_hat = dy * saved.weight, saved.x_hat
    along = np.sum(d * x_hat, axis=-1, keepdims=True)
    return saved.rstd * (d - np.sum(d, axis=-1, keepdims=True) - x_hat * along), *_of_parameters(dy, saved)


@wrong_backward(
    "N10",
    "C - 1 where C belongs, in the variance's term",
    why="forward divides the squares by C. A backward with C - 1 is that of another variance, the unbiased one",
    look="by what does forward divide the sum of (x - μ)²?",
)
def one_less(dy, saved):
    d, x_hat = dy * saved.weight, saved.x_hat
    along = np.sum(d * x_hat, axis=-1, keepdims=True) / (x_hat.shape[-1] - 1)
    return saved.rstd * (d - _mean(d) - x_hat * along), *_of_parameters(dy, saved)


@wrong_forward(
    "N11",
    "ε is added to the standard deviation, outside the root",
    why="layer norm is 1 / sqrt(variance + ε). Outside the root the same ε does something else, above all in rows that "
    "hardly vary",
    look="what is r for a row of equal numbers: 1/√ε or 1/ε?",
    source="seen in BERT-pytorch #30, annotated-transformer #122, hkproj #31",
)
def eps_outside_the_root(x, weight, bias=None, *, eps=1e-5):
    rstd = 1 / (np.std(x, axis=-1, keepdims=True) + eps)
    x_hat = (x - _mean(x)) * rstd
    y = weight * x_hat if bias is None else weight * x_hat + bias
    return y, Saved(x_hat, rstd, weight, bias is not None)


@wrong_backward(
    "N12",
    "the means are taken over the first axis, not over the row",
    why="layer norm takes its mean and variance of one row of C numbers. What it does with one row knows no other",
    look="if one row of the batch changes, which rows of dx may change?",
    source="statistics over the wrong axis were seen in TPlinker #37",
)
def means_over_the_batch(dy, saved):
    d, x_hat = dy * saved.weight, saved.x_hat
    along = np.mean(d * x_hat, axis=0, keepdims=True)
    return saved.rstd * (d - np.mean(d, axis=0, keepdims=True) - x_hat * along), *_of_parameters(dy, saved)


@wrong_backward(
    "N16",
    "r is multiplied in twice",
    why="the variance's term has r² only as long as x - μ stands in it. x̂ has taken one r already",
    look="in which terms of r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) does r stand once, and in which twice?",
)
def rstd_squared(dy, saved):
    return saved.rstd * _dx(dy, saved), *_of_parameters(dy, saved)


@wrong_backward(
    "N17",
    "r is multiplied in three times",
    why="∂r/∂variance = -r³/2 is one step on the way of one of the three paths, not a factor of all of dx",
    look="what is the derivative of (x - μ) r with respect to x, if μ and r stay?",
)
def rstd_cubed(dy, saved):
    return saved.rstd**2 * _dx(dy, saved), *_of_parameters(dy, saved)


@wrong_forward(
    "N18",
    "the variance is divided by C - 1, not by C",
    why="layer norm scales the C numbers that it has, and estimates nothing of others. Some libraries' std divides "
    "by C - 1 unless told otherwise",
    look="what is the mean of x̂² in a row, and what should it be, but for ε?",
    source="seen in BERT-pytorch #30, annotated-transformer #122, hkproj #31",
)
def unbiased(x, weight, bias=None, *, eps=1e-5):
    rstd = 1 / np.sqrt(np.var(x, axis=-1, keepdims=True, ddof=1) + eps)
    x_hat = (x - _mean(x)) * rstd
    y = weight * x_hat if bias is None else weight * x_hat + bias
    return y, Saved(x_hat, rstd, weight, bias is not None)
