"""Models: one file each, read from top to bottom, with one dataclass of settings each."""

from tinygrad_gpt.models.gpt import GPT, GPTConfig

__all__ = ["GPT", "GPTConfig"]
