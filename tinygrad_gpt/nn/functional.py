"""tinygrad_gpt.functional at PyTorch's place: `import tinygrad_gpt.nn.functional as F`."""

from tinygrad_gpt import functional
from tinygrad_gpt.functional import *  # noqa: F403
from tinygrad_gpt.functional import __all__ as __all__


def __getattr__(name: str):
    return getattr(functional, name)
