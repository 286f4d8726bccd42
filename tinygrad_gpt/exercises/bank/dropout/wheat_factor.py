"""The mask holds the scale already."""

from tinygrad_gpt.random_stream import keep_mask


def forward(x, *, p, seed):
    factor = keep_mask(seed, x.shape, p, like=x).astype(x.dtype) / (1 - p)
    return x * factor, factor


def backward(dy, saved):
    return (saved * dy,)
