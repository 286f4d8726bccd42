"""The linear layer, backwards.

    y = x weightᵀ + bias            y_o = Σ_i x_i weight_oi + bias_o, for every row of x

    x       (..., C_in)     the leading axes are a list of rows, whatever their number
    weight  (C_out, C_in)   one row for each output
    bias    (C_out,), or None
    y       (..., C_out)

Given dy = ∂L/∂y, return ∂L/∂x, ∂L/∂weight and ∂L/∂bias, each shaped as its array; None for a bias of None.

`backward` gets what `forward` saved. You may save other things.
"""

import numpy as np


def forward(x, weight, bias=None):
    y = x @ weight.T
    if bias is not None:
        y = y + bias
    return y, (x, weight, bias is not None)


def backward(dy, saved):
    x, weight, has_bias = saved
    # BEGIN SOLUTION
    c_out, c_in = weight.shape
    rows, dy_rows = x.reshape(-1, c_in), dy.reshape(-1, c_out)  # (R, C_in) and (R, C_out)
    dx = dy @ weight
    dweight = dy_rows.T @ rows  # (C_out, R) @ (R, C_in), which sums over the rows
    dbias = np.sum(dy_rows, axis=0) if has_bias else None
    return dx, dweight, dbias
    # END SOLUTION
