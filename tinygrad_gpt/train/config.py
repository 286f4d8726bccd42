"""The settings of a trainer: optimiser, schedule, intervals. What is learned is the task's to say (tasks/).

The options of `tinygrad-gpt train`, its help, config.json and the comparison that `--resume` makes are read off the
fields of `TrainConfig`, of the task's settings and of the model's, so a new field is all that a new setting takes.
"""

from dataclasses import dataclass

from tinygrad_gpt import array, memory, precision
from tinygrad_gpt.devices import NAMES as DEVICES
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.settings import check_settings, setting


@dataclass(frozen=True)
class TrainConfig:
    """How to train, whatever the task. Raises UserError for a value that is not allowed."""

    steps: int = setting(2000, "Optimiser", "updates of the weights", low=1)
    batch_size: int = setting(12, "Optimiser", "windows or texts that go through the model at once", low=1)
    accumulate: int = setting(1, "Optimiser", "batches whose gradients make one update together", low=1)
    lr: float = setting(1e-3, "Optimiser", "learning rate after the warm-up", above=0)
    min_lr: float = setting(1e-4, "Optimiser", "learning rate at the last step", low=0)
    warmup: int = setting(100, "Optimiser", "steps over which the learning rate rises from 0", low=0)
    schedule: str = setting(
        "cosine", "Optimiser", "how the learning rate falls", choices=("cosine", "linear", "constant")
    )
    beta1: float = setting(0.9, "Optimiser", "AdamW: how much of the mean gradient is kept each step", low=0, below=1)
    beta2: float = setting(0.99, "Optimiser", "AdamW: how much of the mean square is kept each step", low=0, below=1)
    eps: float = setting(1e-8, "Optimiser", "AdamW: added to the root of the mean square", above=0)
    weight_decay: float = setting(0.1, "Optimiser", "AdamW: decay of matrices towards zero, times lr", low=0)
    grad_clip: float = setting(1.0, "Optimiser", "greatest norm of the gradient; 0 for no limit", low=0)

    seed: int = setting(1, "Run", "of everything random: weights, batches, dropout", low=0, below=2**63)
    dtype: str = setting(
        "float32",
        "Run",
        "of weights and arithmetic; tf32, bfloat16: float32, but what matrix products multiply is rounded",
        choices=("float32", "tf32", "bfloat16", "float64"),
    )
    # The CPU by default until the tests in tests/gpu have been seen to pass on a GPU; then "auto".
    device: str = setting(
        "cpu", "Run", "where to compute; auto: on the GPU where one can be used", choices=DEVICES, free=True
    )
    recompute: bool = setting(
        False, "Run", "whether backward runs each block again, which takes less memory and more time", free=True
    )
    log_interval: int = setting(10, "Run", "steps between rows of metrics.jsonl", low=1, free=True)
    eval_interval: int = setting(
        250, "Run", "steps between evaluations on held-out data; 0: at the end only", low=0, free=True
    )
    checkpoint_interval: int = setting(250, "Run", "steps between checkpoints; 0: at the end only", low=0, free=True)
    health: bool = setting(True, "Run", "watch for what goes wrong in training, and say so", free=True)

    def __post_init__(self):
        check_settings(self)
        if self.min_lr > self.lr:
            raise UserError(f"min_lr should be at most lr, which is {self.lr:g}, not {self.min_lr:g}")


def use_arithmetic(config: TrainConfig) -> None:
    """Compute as precisely as the setting dtype says, from here on in the whole process."""
    memory.keep_freed_memory()
    is_float32 = config.dtype in precision.PRECISIONS  # and products may round
    precision.set_matmul_precision(config.dtype if is_float32 else "float32")
    array.set_default_dtype("float32" if is_float32 else config.dtype)
