"""tinygrad_gpt: a GPT you can read. Autograd, ops, kernels, models and training from scratch on NumPy."""

from tinygrad_gpt import functional  # gives Tensors their operators
from tinygrad_gpt.array import manual_seed
from tinygrad_gpt.autograd import Tensor, debug, no_grad
from tinygrad_gpt.kernels.registry import explain, register, unregister, using

__all__ = ["Tensor", "debug", "explain", "functional", "manual_seed", "no_grad", "register", "unregister", "using"]
