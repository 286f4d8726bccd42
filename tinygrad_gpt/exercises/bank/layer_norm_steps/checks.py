"""Layer norm's backward, line by line, on the package's tape."""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.exercises.writing import Case, wrong

EPS = 1e-5


def ours(x, weight, dy):
    """The forward lines with Tensors, whose gradients are kept."""
    c = x.shape[-1]
    x, weight, bias = (Tensor(a, requires_grad=True) for a in (x, weight, np.zeros(c)))
    mean = (F.sum(x, axis=-1, keepdims=True) / c).retain_grad()
    centred = (x - mean).retain_grad()
    var = (F.sum(centred * centred, axis=-1, keepdims=True) / c).retain_grad()
    rstd = ((var + EPS) ** -0.5).retain_grad()
    xhat = (centred * rstd).retain_grad()
    F.sum((weight * xhat + bias) * dy).backward()
    of = dict(bias=bias, weight=weight, xhat=xhat, rstd=rstd, var=var, centred=centred, mean=mean, x=x)
    return {f"d{name}": np.asarray(tensor.grad) for name, tensor in of.items()}


def cases():
    rng = np.random.default_rng(0)
    for name, n, c, scale in (
        ("three rows", 3, 5, 1.0),
        ("one row", 1, 7, 1.0),
        ("large x", 4, 3, 30.0),
        ("x so small that eps counts", 2, 5, 0.003),
    ):
        given = scale * rng.normal(size=(n, c)) + 1, rng.normal(size=c), rng.normal(size=(n, c))
        yield Case(name, given, right=ours(*given))


def backward(x, weight, dy, *, power=3, with_weight=True, with_xhat=True, of_var=1, of_mean=1, mean=1, keep=True):
    """The right one, but for what is given."""
    c = x.shape[-1]
    centred = x - x.mean(axis=-1, keepdims=True)
    rstd = (np.mean(centred**2, axis=-1, keepdims=True) + EPS) ** -0.5
    dxhat = dy * weight if with_weight else dy
    drstd = np.sum(dxhat * centred, axis=-1, keepdims=True) if keep else dxhat * centred
    dvar = -0.5 * drstd * rstd**power
    dcentred = dxhat * rstd + of_var * 2 * centred * dvar / (c if mean else 1)
    dmean = -np.sum(dcentred, axis=-1, keepdims=True)
    dweight = np.sum(dy * centred * rstd if with_xhat else dy, axis=0)
    grads = {"dbias": np.sum(dy, axis=0), "dweight": dweight, "dxhat": dxhat, "drstd": drstd, "dvar": dvar}
    return grads | {"dcentred": dcentred, "dmean": dmean, "dx": dcentred + of_mean * dmean / c}


@wrong(
    "N06",
    "x̂ is left out of dweight: it is the gradient of bias",
    why="weight is multiplied with xhat, so its gradient is too; bias is only added",
    look="how much does y change when weight grows by 1?",
)
def without_xhat(x, weight, dy):
    return backward(x, weight, dy, with_xhat=False)


@wrong(
    "N05",
    "weight is left out of dxhat",
    why="y is weight times xhat: what xhat does to y is as large as weight",
    look="what is the gradient of xhat where weight is 0?",
)
def without_weight(x, weight, dy):
    return backward(x, weight, dy, with_weight=False)


@wrong(
    "LS01",
    "drstd is not summed over the row",
    why="one rstd serves all C numbers of its row, and hears from all of them",
    look="which shape has rstd, and so its gradient?",
)
def not_summed(x, weight, dy):
    return backward(x, weight, dy, keep=False)


@wrong(
    "N04",
    "rstd instead of rstd³ in dvar",
    why="the exponent goes down by one: -½ - 1 is -3/2, and (var + eps) to the -3/2 is rstd³",
    look="what is the derivative of v to the power -½?",
)
def power_of_one(x, weight, dy):
    return backward(x, weight, dy, power=1)


@wrong(
    "N02",
    "the path through the variance is lost: dcentred has one part only",
    why="centred stands in two lines, that of xhat and that of var",
    look="in which lines does centred stand on the right side?",
)
def no_variance(x, weight, dy):
    return backward(x, weight, dy, of_var=0)


@wrong(
    "N09",
    "the 1/C of the variance is lost in dcentred",
    why="var is a mean of squares: each of them has a share of 1/C",
    look="with twice as many numbers in a row, how much does one of them move the variance?",
)
def sum_for_mean(x, weight, dy):
    return backward(x, weight, dy, mean=0)


@wrong(
    "N01",
    "the path through the mean is lost: dx is dcentred",
    why="each x is in the mean of its row as well, which is subtracted from all",
    look="what happens to y if all x of a row grow by the same?",
)
def no_mean(x, weight, dy):
    return backward(x, weight, dy, of_mean=0)


@wrong(
    "LS02",
    "the mean's part is added with the wrong sign",
    why="dmean has its minus already, from centred = x - mean; x gets it as it is, times 1/C",
    look="what do the rows of dx add up to?",
)
def sign(x, weight, dy):
    return backward(x, weight, dy, of_mean=-1)
