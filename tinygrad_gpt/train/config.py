"""The settings of a trainer: optimiser, schedule, intervals. The settings of what is learned stand in tasks/.

The options of `tinygrad-gpt train`, its help, config.json and the comparison that `--resume` makes are read off the
fields of `TrainConfig`, of the task's settings and of the model's. A new setting is a new field, and nothing else.
"""

from dataclasses import dataclass
from typing import Any

from tinygrad_gpt import array, memory, precision
from tinygrad_gpt.devices import NAMES as DEVICES
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.settings import advanced, check_settings, setting


@dataclass(frozen=True)
class TrainConfig:
    """How to train on any task. Raises UserError for a value that is not allowed."""

    steps: int = setting(2000, "Optimiser", "updates of the weights", low=1)
    batch_size: int = setting(12, "Optimiser", "windows or texts that go through the model at once", low=1)
    accumulate: int = advanced(1, "Optimiser", "batches whose gradients make one update", low=1)
    lr: float = setting(
        1e-3, "Optimiser", "learning rate after the warm-up; of noam, then 1, times 1/√(C warmup)", above=0
    )
    min_lr: float = advanced(1e-4, "Optimiser", "learning rate at the last step, of cosine and linear", low=0)
    warmup: int = advanced(100, "Optimiser", "steps over which the learning rate rises from 0", low=0)
    schedule: str = advanced(
        "cosine",
        "Optimiser",
        "how the learning rate falls; inverse_sqrt, noam: with the root of the step, whatever the steps",
        choices=("cosine", "linear", "constant", "inverse_sqrt", "noam"),
    )
    beta1: float = advanced(0.9, "Optimiser", "AdamW: how much of the mean gradient is kept each step", low=0, below=1)
    beta2: float = advanced(0.99, "Optimiser", "AdamW: how much of the mean square is kept each step", low=0, below=1)
    eps: float = advanced(1e-8, "Optimiser", "AdamW: added to the root of the mean square", above=0)
    weight_decay: float = advanced(0.1, "Optimiser", "AdamW: decay of matrices towards zero, times lr", low=0)
    grad_clip: float = advanced(1.0, "Optimiser", "greatest norm of the gradient; 0 for no limit", low=0)

    seed: int = advanced(1, "Run", "decides everything random: weights, batches, dropout", low=0, below=2**63)
    dtype: str = advanced(
        "float32",
        "Run",
        "of weights and arithmetic; tf32, bfloat16: float32, but matrix products round their inputs",
        choices=("float32", "tf32", "bfloat16", "float64"),
    )
    # The CPU by default until the tests in tests/gpu have been seen to pass on a GPU; then "auto".
    device: str = setting(
        "cpu", "Run", "where to compute; auto: on the GPU if one can be used", choices=DEVICES, free=True
    )
    recompute: bool = advanced(False, "Run", "backward runs each block again: less memory, more time", free=True)
    log_interval: int = advanced(10, "Run", "steps between rows of metrics.jsonl", low=1, free=True)
    eval_interval: int = advanced(
        250,
        "Run",
        "steps between evaluations on held-out data; 0: at the end only",
        low=0,
        free=True,
        free_unless="patience",  # which counts them
    )
    checkpoint_interval: int = advanced(250, "Run", "steps between checkpoints; 0: at the end only", low=0, free=True)
    average: int = advanced(
        1, "Run", "the run ends with the mean of this many weights, the last ones at each average_interval", low=1
    )
    average_interval: int = advanced(100, "Run", "steps between weights that are averaged", low=1)
    patience: int = advanced(
        0,
        "Run",
        "evaluations without a better result after which the run ends; 0: it makes all its steps",
        low=0,
    )
    health: bool = advanced(True, "Run", "check the run's health, and report problems", free=True)

    def __post_init__(self):
        check_settings(self)
        if self.schedule in ("cosine", "linear") and self.min_lr > self.lr:  # the others do not read it
            raise UserError(f"min_lr should be at most lr, which is {self.lr:g}, not {self.min_lr:g}")


def with_scale_of_noam(given: dict[str, Any]) -> dict[str, Any]:
    """The settings that a user gives beside a preset, with the paper's scale for its schedule: the preset's learning
    rate is of another schedule, and would be a scale that learns nothing."""
    return {"lr": 1.0} | given if given.get("schedule") == "noam" else given


def use_arithmetic(config: TrainConfig) -> None:
    """Set the precision of the whole process to what the setting dtype says."""
    memory.keep_freed_memory()
    is_float32 = config.dtype in precision.PRECISIONS  # and products may round
    precision.set_matmul_precision(config.dtype if is_float32 else "float32")
    array.set_default_dtype("float32" if is_float32 else config.dtype)
