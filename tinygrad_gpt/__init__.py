"""tinygrad_gpt: a GPT you can read. Autograd, ops, kernels, models and training from scratch on NumPy."""

from tinygrad_gpt.autograd import Tensor, debug, no_grad

__all__ = ["Tensor", "debug", "no_grad"]
