"""Mistakes in the sum with its layer norm. Right is dx = dresidual = ds + (what layer norm's backward makes of dy)."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops import layer_norm


@wrong_backward(
    "N19",
    "ds is lost: only what comes back through the norm",
    why="the sum s is an output too: it goes on to the next block, and what that block says of it is ds",
    look="which two ways lead from s to the loss?",
)
def without_the_stream(dys, saved):
    _, dy = dys
    dx, dweight, dbias = layer_norm.backward(dy, saved)
    return dx, dx.copy(), dweight, dbias


@wrong_backward(
    "N20",
    "only ds: what comes back through the norm is lost",
    why="y is made of s, so that dy reaches x and residual as well, by layer norm's backward",
    look="which two ways lead from s to the loss?",
)
def without_the_norm(dys, saved):
    ds, dy = dys
    _, dweight, dbias = layer_norm.backward(dy, saved)
    return ds.copy(), ds.copy(), dweight, dbias


@wrong_backward(
    "N21",
    "x gets what comes back through the norm, and residual gets ds",
    why="x and residual are added before anything else, so that both have the gradient of their sum, all of it",
    look="if x grows by a little and residual shrinks by as much, what do s and y do?",
)
def one_way_each(dys, saved):
    ds, dy = dys
    dx, dweight, dbias = layer_norm.backward(dy, saved)
    return dx, ds.copy(), dweight, dbias


@wrong_backward(
    "N22",
    "residual gets ds alone",
    why="the norm is taken of the sum, x + residual: dy comes back to both of them",
    look="does y change when residual does?",
)
def residual_past_the_norm(dys, saved):
    ds, dy = dys
    dx, dweight, dbias = layer_norm.backward(dy, saved)
    return ds + dx, ds.copy(), dweight, dbias


@wrong_backward(
    "N23",
    "the gradient of the sum is shared out, half to x and half to residual",
    why="a sum passes its gradient on to each of its parts, undivided: each moves s as far as it moves itself",
    look="if x grows by 1, by how much does x + residual grow?",
)
def half_each(dys, saved):
    ds, dy = dys
    dx, dweight, dbias = layer_norm.backward(dy, saved)
    half = 0.5 * (ds + dx)
    return half, half.copy(), dweight, dbias


@wrong_backward(
    "N24",
    "the gradients of s and y are exchanged",
    why="backward gets one gradient for each output, in the order in which forward returned them: s, then y",
    look="in which order does forward return its two outputs?",
)
def outputs_exchanged(dys, saved):
    dy, ds = dys
    dx, dweight, dbias = layer_norm.backward(dy, saved)
    return ds + dx, ds + dx, dweight, dbias


@wrong_backward(
    "N25",
    "ds is sent through the norm as well, together with dy",
    why="ds belongs to s as it is, before the norm. Only dy has to find its way back through it",
    look="on which side of the norm is s taken?",
)
def both_through_the_norm(dys, saved):
    ds, dy = dys
    dx, dweight, dbias = layer_norm.backward(ds + dy, saved)
    return dx, dx.copy(), dweight, dbias


@wrong_backward(
    "N26",
    "mean and variance taken for constants in the norm: ds + r dy weight",
    why="both are made of the row's s, so that each s moves every x̂ of its row in three ways, not in one",
    look="which of s, μ and r in (s - μ) r change when s does?",
    source="seen, of batch norm, in CrypTen #143, Knet #288",
)
def norm_of_constants(dys, saved):
    ds, dy = dys
    _, dweight, dbias = layer_norm.backward(dy, saved)
    dx = ds + saved.rstd * dy * saved.weight
    return dx, dx.copy(), dweight, dbias


@wrong_backward(
    "N27",
    "the norm's path through the mean is lost: - mean(dx̂)",
    why="every s of a row moves the row's mean, and with it every x̂",
    look="if all s of a row grow by the same amount, y stays: what should come back through the norm add up to?",
    source="seen, of batch norm, in CrypTen #143, Knet #288",
)
def norm_without_the_mean(dys, saved):
    ds, dy = dys
    _, dweight, dbias = layer_norm.backward(dy, saved)
    d, x_hat = dy * saved.weight, saved.x_hat
    dx = ds + saved.rstd * (d - x_hat * np.mean(d * x_hat, axis=-1, keepdims=True))
    return dx, dx.copy(), dweight, dbias


@wrong_backward(
    "N28",
    "the norm's path through the variance is lost: - x̂ mean(dx̂ x̂)",
    why="every s of a row moves the row's variance, and with it the scale of every x̂",
    look="if the distances of all s from their mean double, y stays: what does dx - ds, times x̂, add up to?",
    source="seen, of batch norm, in CrypTen #143, Knet #288",
)
def norm_without_the_variance(dys, saved):
    ds, dy = dys
    _, dweight, dbias = layer_norm.backward(dy, saved)
    d = dy * saved.weight
    dx = ds + saved.rstd * (d - np.mean(d, axis=-1, keepdims=True))
    return dx, dx.copy(), dweight, dbias
