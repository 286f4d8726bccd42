"""A GPT you can read. Autograd, ops, kernels, models and training from scratch on NumPy.

    import tinygrad_gpt as tg

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                            # [2. 4.]

An op of your own is a pair of functions on arrays: `tg.op(name, forward, backward)` makes it a function of Tensors, and
`tg.register(name, forward, backward)` runs it in the place of one that is there.

The other modules load when first used, so that this import stays quick: tg.nn, tg.optim, tg.models, tg.generate,
tg.check, tg.data, tg.train.
"""

import importlib

from tinygrad_gpt import functional, habits, operators  # noqa: F401 - operators gives them to Tensors
from tinygrad_gpt.autograd import Tensor, debug, no_grad
from tinygrad_gpt.devices import device
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.functional import tensor
from tinygrad_gpt.functional.own_ops import op
from tinygrad_gpt.kernels.registry import explain, register, unregister, using
from tinygrad_gpt.precision import set_matmul_precision, using_matmul_precision
from tinygrad_gpt.random_stream import manual_seed

__version__ = "0.1.0"

_LOADED_WHEN_USED = ("check", "data", "generate", "models", "nn", "optim", "train")

__all__ = [
    "Tensor",
    "UserError",
    "debug",
    "device",
    "explain",
    "functional",
    "manual_seed",
    "no_grad",
    "op",
    "register",
    "set_matmul_precision",
    "tensor",
    "unregister",
    "using",
    "using_matmul_precision",
    *_LOADED_WHEN_USED,
]


def __getattr__(name: str):
    if name in _LOADED_WHEN_USED:
        return importlib.import_module(f"{__name__}.{name}")
    raise habits.missing(f"module {__name__!r}", name, habits.PACKAGE)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LOADED_WHEN_USED])
