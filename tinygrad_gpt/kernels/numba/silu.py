"""The sigmoid linear unit on the CPU, in one pass over memory (ops/silu.py derives it)."""

from tinygrad_gpt.kernels.numba.machine.elementwise import pair
from tinygrad_gpt.kernels.numba.machine.vector_math import sigmoid
from tinygrad_gpt.ops.silu import FAR


def value(x):
    far = type(x)(FAR)
    return (-far if x < -far else x) * sigmoid(x)  # nan stays nan


def gradient(dy, x):
    one, far = type(x)(1), type(x)(FAR)
    above = -far if x < -far else x
    x = far if above > far else above
    s = sigmoid(x)
    # y = x * s
    return dy * s * (one + x * (one - s))


forward, backward, why_not = pair("silu", value, gradient, keeps="x")
