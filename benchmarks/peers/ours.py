"""tinygrad_gpt's side of `train_step.py`. It also writes the weights that the other sides load.

python benchmarks/peers/ours.py SETTINGS.json
"""

import sys
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import sizes
from safetensors.numpy import save_file

from tinygrad_gpt import array, optim
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.models.gpt import GPT, GPTConfig


def make_model(config: sizes.Config) -> GPT:
    return GPT(
        GPTConfig(
            vocab_size=config.V,
            block_size=config.T,
            n_layer=config.layers,
            n_head=config.heads,
            n_embd=config.C,
            bias=config.bias,
        )
    )


def make_step(config: sizes.Config, model: GPT):
    """The function that makes one update and returns the loss before it."""
    optimizer = optim.AdamW(
        model.parameters(), lr=sizes.LR, betas=sizes.BETAS, eps=sizes.EPS, weight_decay=sizes.WEIGHT_DECAY
    )
    data = cycle(sizes.batches(config))

    def step() -> float:
        ids, targets = next(data)
        optimizer.zero_grad()
        loss = model.loss(ids, targets)
        loss.backward()
        norm = optim.grad_norm(optimizer.parameters())
        optimizer.step(optim.clip_scale(norm, sizes.MAX_NORM))
        return loss.item()

    return step


def round_products(dtype: str) -> None:
    """Let linear layers round what they multiply. Raises SystemExit where this machine has no fast way to."""
    from tinygrad_gpt import precision

    reason = registry.cannot_round(dtype)
    if reason:
        raise SystemExit(f"no {dtype} here: {reason}")
    precision.set_matmul_precision(dtype)


def prepare(config: sizes.Config, dtype: str, weights: Path):
    """The step of a fresh model, whose weights are written to the file unless it is there: they are always the same."""
    if dtype != "float32":
        round_products(dtype)
    array.keep_freed_memory()
    array.manual_seed(0)
    model = make_model(config)
    if not weights.exists():
        save_file(model.state_dict(), weights)
    return make_step(config, model)


def main() -> None:
    harness.serve_training(prepare(*sizes.read_settings(sys.argv[1])))


if __name__ == "__main__":
    main()
