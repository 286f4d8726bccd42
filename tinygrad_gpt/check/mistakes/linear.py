"""Mistakes in the linear layer. Right, with all leading axes flattened to R rows:

dx       dy @ weight    (R, C_out) @ (C_out, C_in)
dweight  dyᵀ @ x        (C_out, R) @ (R, C_in)
dbias    Σ_r dy_r       (C_out,)
"""

import math

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops import linear


def _rows(x):
    """(..., C) -> (R, C)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


@wrong_backward(
    "L01",
    "dweight is transposed: xᵀ @ dy, of shape (C_in, C_out)",
    why="weight is kept as (C_out, C_in), one row per output, and its gradient has the same shape",
    look="which shape has weight, and which has what you return for it?",
)
def dweight_transposed(dy, saved):
    dx, dweight, dbias = linear.backward(dy, saved)
    return dx, dweight.T, dbias


@wrong_backward(
    "L02",
    "dx with the transposed weight: dy @ weightᵀ",
    why="forward multiplied by weightᵀ, (C_in, C_out), so the way back is by weight, (C_out, C_in)",
    look="dy is (R, C_out): which of weight and weightᵀ can stand on its right?",
)
def dx_with_the_transposed_weight(dy, saved):
    _, dweight, dbias = linear.backward(dy, saved)
    dx = (_rows(dy) @ saved.weight.T).reshape(saved.x.shape)
    return dx, dweight, dbias


@wrong_backward(
    "L03",
    "dbias is the mean over the rows, not the sum",
    why="the same bias is added to every row: each row is a path of its own to the loss, and paths add up",
    look="the bias grows by 1: by how much does the sum of all outputs grow?",
)
def dbias_a_mean(dy, saved):
    dx, dweight, dbias = linear.backward(dy, saved)
    return dx, dweight, dbias if dbias is None else dbias / len(_rows(dy))


@wrong_backward(
    "L04",
    "dbias is one number for all outputs: dy summed over them too",
    why="each output has a bias of its own, which the dy of the other outputs do not concern",
    look="over which axes was the bias repeated in forward?",
    source="seen in rasbt/stat453 #5, where all biases were equal",
)
def dbias_summed_over_all(dy, saved):
    dx, dweight, dbias = linear.backward(dy, saved)
    return dx, dweight, dbias if dbias is None else np.full_like(dbias, np.sum(dy))


@wrong_backward(
    "L05",
    "dbias is summed over axis 0 alone, where x has other leading axes",
    why="the bias was added to the rows along every leading axis, not just along the first",
    look="x is (B, T, C_in): how often is each bias added?",
)
def dbias_summed_over_axis_0(dy, saved):
    dx, dweight, dbias = linear.backward(dy, saved)
    return dx, dweight, dbias if dbias is None else np.sum(dy, axis=0)


@wrong_backward(
    "L06",
    "dweight is averaged over the rows, not summed",
    why="the same weight serves every row, and paths add up; where a mean is meant, the loss has it and dy brings it",
    look="if the loss is a mean over rows, what is in dy already?",
)
def dweight_averaged(dy, saved):
    dx, dweight, dbias = linear.backward(dy, saved)
    return dx, dweight / len(_rows(dy)), dbias


@wrong_backward(
    "L07",
    "dweight is made of the first row alone",
    why="every row of x was multiplied by weight, so every row adds its outer product dy_r x_r",
    look="which rows of x does your dweight read?",
)
def first_row_alone(dy, saved):
    dx, _, dbias = linear.backward(dy, saved)
    return dx, _rows(dy)[:1].T @ _rows(saved.x)[:1], dbias


@wrong_forward(
    "L09",
    "the weight is read as (C_in, C_out), though it is kept as (C_out, C_in)",
    why="the numbers are as many, so that a reshape makes them fit, but a reshape is no transpose: each output gets "
    "weights of others",
    look="y_o is a sum over i of x_i times which element of weight?",
    source="GPT-2's Conv1D keeps its weights as (C_in, C_out)",
)
def weight_read_the_other_way(x, weight, bias=None):
    c_out, c_in = weight.shape
    y = _rows(x) @ weight.reshape(c_in, c_out)
    y = y if bias is None else y + bias
    return y.reshape((*x.shape[:-1], c_out)), linear.Saved(x, weight, bias is not None)
