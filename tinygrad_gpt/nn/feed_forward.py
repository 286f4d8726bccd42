"""FeedForward: the part of a Transformer block that works on every position by itself."""

from functools import partial

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.dropout import Dropout
from tinygrad_gpt.nn.linear import Linear
from tinygrad_gpt.nn.module import Module
from tinygrad_gpt.nn.watching import show

GELUS = {"gelu_tanh": "tanh", "gelu": "none"}  # activation -> F.gelu's approximate
ACTIVATIONS = {
    **{name: partial(F.gelu, approximate=approximate) for name, approximate in GELUS.items()},
    "relu": F.relu,
    "silu": F.silu,
    "tanh": F.tanh,
}


class FeedForward(Module):
    """x (..., C) -> (..., C) through `hidden` channels: up, an activation, down.

    hidden      4C by default, as in every model since Vaswani et al. (2017, section 3.3)
    activation  "gelu_tanh" (GPT-1 and GPT-2), "gelu" (exact; BERT), "relu" (the first Transformer), "silu" or "tanh"
    dropout     on the hidden channels, after the activation
    std, residual_std  standard deviations of the initial weights of up and of down; None: that of Linear
    """

    def __init__(
        self,
        c: int,
        hidden: int | None = None,
        *,
        activation: str = "gelu_tanh",
        bias: bool = True,
        dropout: float = 0.0,
        std: float | None = None,
        residual_std: float | None = None,
    ):
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ValueError(f"FeedForward: expected activation {', '.join(ACTIVATIONS)}, got {shown(activation)}")
        c, hidden = integer("FeedForward", "c", c, low=1), integer("FeedForward", "hidden", hidden, low=1, or_none=True)
        hidden = 4 * c if hidden is None else hidden
        self.up = Linear(c, hidden, bias, std=std)
        self.activation = activation
        self.dropout = Dropout(dropout) if dropout else None
        self.down = Linear(hidden, c, bias, std=residual_std)

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)  # (..., C) -> (..., hidden)
        if self.activation in GELUS and self.dropout is None:
            # One op with `down`, to keep one array of this size, not two.
            approximate = GELUS[self.activation]
            y = F.gelu_linear(x, self.down.weight, self.down.bias, approximate=approximate)  # -> (..., C)
            show(self.down, output=y)
            return y
        x = ACTIVATIONS[self.activation](x)
        return self.down(x if self.dropout is None else self.dropout(x))  # -> (..., C)
