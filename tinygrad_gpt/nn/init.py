"""Initial values, written into Tensors in place: PyTorch's functions, on the package's stream of random numbers.

    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)

Each returns its Tensor. A weight (out, in) has in inputs ("fan in") and out outputs ("fan out"). Layers draw their own
weights when they are made (see their docstrings); these functions draw others.
"""

import math
from statistics import NormalDist

import numpy as np

from tinygrad_gpt.arguments import number, shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.random_stream import next_seed


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number."""
    return _fill("constant_", tensor, number("constant_", "val", val, finite=False))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return _fill("zeros_", tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return _fill("ones_", tensor, 1.0)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with numbers from [a, b), all equally likely."""
    a, b = number("uniform_", "a", a), number("uniform_", "b", b)
    return _fill("uniform_", tensor, lambda rng, shape: a + (b - a) * rng.random(shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with normally distributed numbers."""
    mean, std = number("normal_", "mean", mean), number("normal_", "std", std, low=0)
    return _fill("normal_", tensor, lambda rng, shape: mean + std * rng.standard_normal(shape))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Fill with normally distributed numbers of which none lies outside [a, b]; a and b are values, not multiples of
    std. Numbers outside are drawn again."""
    me = "trunc_normal_"
    mean, std = number(me, "mean", mean), number(me, "std", std, above=0)
    a, b = number(me, "a", a, finite=False), number(me, "b", b, finite=False)
    bell = NormalDist(mean, std)
    if not bell.cdf(b) - bell.cdf(a) > 1e-3:
        raise ValueError(f"{me}: expected a and b around the mean {mean:g}, not {a:g} and {b:g} for std {std:g}")

    def draw(rng, shape):
        x = mean + std * rng.standard_normal(shape)
        while (outside := (x < a) | (x > b)).any():
            x[outside] = mean + std * rng.standard_normal(outside.sum())
        return x

    return _fill(me, tensor, draw)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill with uniform numbers in ±gain √(6 / (in + out)): neither outputs nor gradients grow from layer to layer.
    (Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, eq. 16.)"""
    bound = math.sqrt(3) * _xavier("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill with normal numbers of standard deviation gain √(2 / (in + out)). (The same paper.)"""
    return normal_(tensor, 0.0, _xavier("xavier_normal_", tensor, gain))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fill with uniform numbers in ±gain √(3 / in): outputs keep the variance that inputs have, through a
    `nonlinearity` (see calculate_gain; `a` is its parameter). mode="fan_out" divides by out, and keeps that of the
    gradients. (He et al., "Delving deep into rectifiers", 2015, section 2.2.)"""
    bound = math.sqrt(3) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fill with normal numbers of standard deviation gain / √in; see kaiming_uniform_."""
    return normal_(tensor, 0.0, _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill with gain times a random matrix whose rows (or columns, if there are more rows) are orthonormal; axes after
    the first count as one. (Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014.)"""
    gain = number("orthogonal_", "gain", gain)
    _fans("orthogonal_", tensor)

    def draw(rng, shape):
        rows, columns = shape[0], math.prod(shape[1:])
        x = rng.standard_normal((rows, columns))
        q, r = np.linalg.qr(x.T if rows < columns else x)
        q *= np.sign(np.diag(r))  # so that every such matrix is equally likely
        return gain * (q.T if rows < columns else q).reshape(shape)

    return _fill("orthogonal_", tensor, draw)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with 1 on its diagonal, and 0 elsewhere."""
    if not isinstance(tensor, Tensor) or tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got {shown(tensor)}")
    return _fill("eye_", tensor, lambda rng, shape: np.eye(*shape))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What a function takes from the variance of its inputs, as the factor that makes up for it: 1 for "linear" and
    "sigmoid", 5/3 for "tanh", √2 for "relu", √(2 / (1 + param²)) for "leaky_relu" (param: its slope, 0.01 by default),
    3/4 for "selu"."""
    if nonlinearity == "leaky_relu":
        slope = number("calculate_gain", "param", param, or_none=True)
        return math.sqrt(2 / (1 + (0.01 if slope is None else slope) ** 2))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in gains:
        known = ", ".join([*gains, "leaky_relu"])
        raise ValueError(f"calculate_gain: expected nonlinearity {known}, got {shown(nonlinearity)}")
    return gains[nonlinearity]


def _fill(me: str, tensor: Tensor, values) -> Tensor:
    """Write a number, or values(rng, shape), into a Tensor. It is changed in place: do it before it is used."""
    if not isinstance(tensor, Tensor) or tensor.data.dtype.kind != "f":
        raise TypeError(f"{me}: expected a Tensor of floats, got {shown(tensor)}")
    if callable(values):
        values = np.asarray(values(np.random.default_rng(next_seed()), tensor.shape), tensor.dtype, like=tensor.data)
    tensor.data[...] = values
    return tensor


def _fans(me: str, tensor: Tensor) -> tuple[int, int]:
    """(fan in, fan out) of a weight (out, in, ...); axes after the second count in both."""
    if not isinstance(tensor, Tensor) or tensor.ndim < 2:
        raise ValueError(f"{me}: expected a Tensor with two axes or more, (out, in), got {shown(tensor)}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _xavier(me: str, tensor: Tensor, gain: float) -> float:
    """The standard deviation of Xavier initialisation."""
    return number(me, "gain", gain) * math.sqrt(2 / sum(_fans(me, tensor)))


def _kaiming(me: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """The standard deviation of Kaiming initialisation."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'{me}: expected mode="fan_in" or "fan_out", got {shown(mode)}')
    fan = _fans(me, tensor)[("fan_in", "fan_out").index(mode)]
    return calculate_gain(nonlinearity, number(me, "a", a)) / math.sqrt(fan)
