"""Attention with products of bfloat16 numbers: attention.py on tensor cores. All arrays are float32, and so are the
scores, the sums of weights and what products are added up in; rounded are q, k, v and dy, the weights and dS, each when
it goes into a product."""

from functools import partial

from tinygrad_gpt.kernels.cuda import attention

forward = partial(attention.forward_by, "BF16")
backward = attention.backward  # in the way that is saved


def why_not(q, k, v, mask=None, **settings):
    return attention.why_not_rounded("bfloat16", q, k, v, mask, settings)
