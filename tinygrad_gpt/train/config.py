"""Every setting of a training run, in one place.

`TrainConfig` here and `GPTConfig` in models/gpt.py are the only lists of settings. The options of `tinygrad-gpt train`,
its help, config.json and the comparison that `--resume` makes are all read off their fields, so a new field is all that
a new setting takes.
"""

import dataclasses
from dataclasses import dataclass

from tinygrad_gpt.data.batches import ORDERS
from tinygrad_gpt.devices import NAMES as DEVICES
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.settings import check_settings, setting


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Raises UserError for a value that cannot be."""

    corpus: str = setting("python-docs", "Data", "name of a corpus, or path of a text file or of a folder of them")
    tokenizer: str = setting(
        "char",
        "Data",
        "char, bpe or gpt1 (trained on the corpus), own (of the model that --from names), or the path of a saved "
        "tokenizer or of GPT-2's or GPT-1's vocabulary",
    )
    bpe_vocab: int = setting(4096, "Data", "tokens that a bpe or gpt1 tokenizer learns", low=256)
    from_: str = setting(
        "",
        "Data",
        "model to go on from, whose shape it has: a run folder, a Hugging Face folder, or a name on their hub",
    )
    window: int | None = setting(
        None, "Data", "tokens of a training window; by default block_size, with --from at most 1024", low=1
    )
    batches: str = setting(
        "random", "Data", "windows at random places, or side by side and each once an epoch", choices=tuple(ORDERS)
    )

    steps: int = setting(2000, "Optimiser", "updates of the weights", low=1)
    batch_size: int = setting(12, "Optimiser", "windows of text that go through the model at once", low=1)
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
        250, "Run", "steps between looks at the validation text; 0: at the end only", low=0, free=True
    )
    eval_tokens: int = setting(
        20_000, "Run", "tokens of the validation text that a look takes; the one at the end takes all", low=1, free=True
    )
    checkpoint_interval: int = setting(250, "Run", "steps between checkpoints; 0: at the end only", low=0, free=True)
    health: bool = setting(True, "Run", "watch for what goes wrong in training, and say so", free=True)
    prompt: str = setting(
        "", "Run", "what the sample at the end begins with; by default a line end, which is then not shown", free=True
    )
    sample_tokens: int = setting(500, "Run", "length of the sample at the end", low=0, free=True)

    def __post_init__(self):
        check_settings(self)
        if self.min_lr > self.lr:
            raise UserError(f"min_lr should be at most lr, which is {self.lr:g}, not {self.min_lr:g}")


# GPTConfig's vocab_size is no setting: the tokenizer decides it.
MODEL_FIELDS = tuple(f for f in dataclasses.fields(GPTConfig) if f.name != "vocab_size")
TRAIN_FIELDS = dataclasses.fields(TrainConfig)
SETTINGS = {f.name: f for f in (*MODEL_FIELDS, *TRAIN_FIELDS)}


def option_name(setting_name: str) -> str:
    """How a setting is written on the command line: min_lr is --min-lr, and from_, a word of Python's, is --from."""
    return "--" + setting_name.rstrip("_").replace("_", "-")
