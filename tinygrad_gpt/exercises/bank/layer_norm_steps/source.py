"""Layer norm, backwards, one line at a time.

    mean    = Σ x / C                   (N, 1)   over the C numbers of a row
    centred = x - mean                  (N, C)
    var     = Σ centred² / C            (N, 1)
    rstd    = (var + eps) ** -0.5       (N, 1)
    xhat    = centred * rstd            (N, C)
    y       = weight * xhat + bias      (N, C)

Given dy = ∂L/∂y, go back from the last line to the first. Return the gradient of every name on the way, in this order:
the checker tells you the first that is wrong. You may return a dictionary that ends early, and go on later.

    x, dy    (N, C), weight (C,)
    returns  {"dbias": (C,), "dweight": (C,), "dxhat": (N, C), "drstd": (N, 1), "dvar": (N, 1), "dcentred": (N, C),
             "dmean": (N, 1), "dx": (N, C)}

centred is used by two lines, and x too: such a gradient has two parts.
"""

import numpy as np


def layer_norm_backward(x, weight, dy, eps=1e-5):
    c = x.shape[-1]
    mean = np.sum(x, axis=-1, keepdims=True) / c
    centred = x - mean
    var = np.sum(centred**2, axis=-1, keepdims=True) / c
    rstd = (var + eps) ** -0.5
    xhat = centred * rstd
    # BEGIN SOLUTION
    # y = weight * xhat + bias
    dbias = np.sum(dy, axis=0)
    dweight = np.sum(dy * xhat, axis=0)
    dxhat = dy * weight
    # xhat = centred * rstd
    drstd = np.sum(dxhat * centred, axis=-1, keepdims=True)
    # rstd = (var + eps) ** -0.5
    dvar = -0.5 * drstd * rstd**3
    # xhat = centred * rstd, and var = Σ centred² / c
    dcentred = dxhat * rstd + 2 * centred * dvar / c
    # centred = x - mean
    dmean = -np.sum(dcentred, axis=-1, keepdims=True)
    dx = dcentred + dmean / c
    names = ("dbias", "dweight", "dxhat", "drstd", "dvar", "dcentred", "dmean", "dx")
    return dict(zip(names, (dbias, dweight, dxhat, drstd, dvar, dcentred, dmean, dx), strict=True))
    # END SOLUTION
