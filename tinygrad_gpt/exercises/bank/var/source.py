"""The variance, backwards.

    μ = mean x
    y = Σ (x - μ)² / (n - correction)               over the axes `axis`, of which one variance takes n elements

correction is 0 for the variance of these very numbers, and 1 for the estimate from a sample. Given dy = ∂L/∂y, an array
shaped like y, return ∂L/∂x, an array shaped like x.

`forward` saves the deviations x - μ, the divisor, and the shape of y with size 1 for every axis that is gone, `kept`.
You may save other things.
"""

import math

import numpy as np


def forward(x, *, axis=None, keepdims=False, correction=1):
    mean = np.mean(x, axis=axis, keepdims=True)
    deviation = x - mean
    divisor = math.prod(n for n, k in zip(x.shape, mean.shape, strict=True) if k == 1) - correction
    variance = np.sum(deviation**2, axis=axis, keepdims=True) / divisor
    y = variance if keepdims else np.squeeze(variance, axis)
    return y, (deviation, divisor, variance.shape)


def backward(dy, saved):
    deviation, divisor, kept = saved
    # BEGIN SOLUTION
    # what goes through μ is nothing: Σ (x - μ) = 0
    return (dy.reshape(kept) * 2 * deviation / divisor,)
    # END SOLUTION
