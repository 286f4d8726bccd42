"""Place by place, in a loop."""

import numpy as np


def forward(ids, weight):
    ids = np.array(ids, dtype=np.int64)
    return weight[ids], {"ids": ids, "rows": len(weight)}


def backward(dy, saved):
    dweight = np.zeros((saved["rows"], dy.shape[-1]), dy.dtype)
    for place in np.ndindex(saved["ids"].shape):
        dweight[saved["ids"][place]] += dy[place]
    return None, dweight
