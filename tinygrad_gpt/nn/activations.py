"""Functions of functional/ as Modules, for Sequential: each maps x (...) to the same shape, but Flatten."""

from tinygrad_gpt import arguments
from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.module import Module


def refuse_inplace(me: str, inplace: bool) -> None:
    """Raise TypeError for inplace=True, which PyTorch has: no op here writes to its input."""
    if flag(me, "inplace", inplace):
        raise TypeError(f"{me}: expected inplace=False, got True: no op writes to its input here")


class Identity(Module):
    """x -> x, in place of a layer that is left out. It takes any arguments, and ignores them."""

    def __init__(self, *arguments, **settings):
        pass

    def forward(self, x):
        return x


class ReLU(Module):
    """max(x, 0)."""

    def __init__(self, inplace: bool = False):
        refuse_inplace("ReLU", inplace)

    def forward(self, x) -> Tensor:
        return F.relu(x)


class GELU(Module):
    """x Φ(x), with Φ the normal distribution's: approximate="none" for the exact form, "tanh" for that of GPT-2."""

    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f'GELU: expected approximate="none" or "tanh", got {shown(approximate)}')
        self.approximate = approximate

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"

    def forward(self, x) -> Tensor:
        return F.gelu(x, approximate=self.approximate)


class SiLU(Module):
    """x σ(x), with σ the logistic function: the "swish" of Llama's feed-forward."""

    def __init__(self, inplace: bool = False):
        refuse_inplace("SiLU", inplace)

    def forward(self, x) -> Tensor:
        return F.silu(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x) -> Tensor:
        return F.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x) -> Tensor:
        return F.sigmoid(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along `dim`, which must be given: PyTorch's guess without it depends on the shape."""

    def __init__(self, dim: int | None = None):
        if dim is None:
            raise TypeError("Softmax: expected the axis as dim, got None: Softmax(dim=-1) is over the classes")
        self.dim = arguments.axis("Softmax", dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"

    def forward(self, x) -> Tensor:
        return F.softmax(x, self.dim)


class LogSoftmax(Softmax):
    """log(softmax(x)) along `dim`, without underflow."""

    def forward(self, x) -> Tensor:
        return F.log_softmax(x, self.dim)


class Flatten(Module):
    """x with its axes from start_dim to end_dim as one: all but the batch's, unless told otherwise."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim = arguments.axis("Flatten", start_dim)
        self.end_dim = arguments.axis("Flatten", end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

    def forward(self, x) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)
