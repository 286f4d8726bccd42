"""tinygrad_gpt's side of `train_step.py`. It also writes the weights that the other sides load.

python benchmarks/peers/ours.py SETTINGS.json
"""

import math
import sys
from functools import partial
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numpy as np
import sizes
from safetensors.numpy import save_file

from tinygrad_gpt import devices, memory, optim, random_stream
from tinygrad_gpt.devices import Device
from tinygrad_gpt.kernels import recording, registry
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


def make_step(config: sizes.Config, model: GPT, device: Device):
    """The function that makes one update and returns the loss before it, as train/trainer.py does. On a GPU its
    `not_recorded()` says why Python still runs every step, if so."""
    groups = optim.decay_matrices(model.parameters(), sizes.WEIGHT_DECAY)
    optimizer = optim.AdamW(groups, lr=sizes.LR, betas=sizes.BETAS, eps=sizes.EPS)
    data = cycle(sizes.batches(config))

    def forward_and_backward(ids, targets):
        optimizer.zero_grad()
        loss = model.loss(ids, targets)
        loss.backward()
        gradients = [p.grad for p in optimizer.parameters()]
        return loss.data, registry.run("sum_squares", *gradients), gradients

    forward_and_backward = recording.recorded(forward_and_backward, device.kind)

    def step() -> float:
        loss, squares, gradients = forward_and_backward(*next(data))
        for p, gradient in zip(optimizer.parameters(), gradients, strict=True):
            p.grad = gradient
        optimizer.step(optim.clip_scale(math.sqrt(float(squares)), sizes.MAX_NORM))
        return float(loss)

    step.not_recorded = lambda: getattr(forward_and_backward, "why_not", None)
    return step


def round_products(dtype: str, device: str = "cpu") -> None:
    """Let linear layers round what they multiply. Raises SystemExit where this machine has no fast way to."""
    from tinygrad_gpt import precision

    reason = registry.cannot_round(dtype, device)
    if reason:
        raise SystemExit(f"no {dtype} here: {reason}")
    precision.set_matmul_precision(dtype)


def prepare(config: sizes.Config, dtype: str, weights: Path, device: str):
    """The step of a fresh model, whose weights are written to the file unless it is there: they are always the same."""
    if dtype != "float32":
        round_products(dtype, device)
    memory.keep_freed_memory()
    random_stream.manual_seed(0)
    model = make_model(config)
    if not weights.exists():
        save_file(model.state_dict(), weights)
    return make_step(config, model.to(device), devices.device(device))


def tflops(dtype: str, device: Device, n: int) -> float:
    """Of a product of matrices (n, n) on the GPU."""
    from tinygrad_gpt.kernels.cuda.machine.cublas import operand, product

    numbers = np.random.default_rng(0).standard_normal((n, n), dtype=np.float32)
    x = operand(device.move_here(numbers), dtype)
    return harness.product_tflops(lambda: product(x, False, x, True, precision=dtype), n, device.synchronize)


def main() -> None:
    settings = sizes.read_settings(sys.argv[1])
    device, step, more = devices.device(settings.device), prepare(*settings), {}
    if device.kind == "cuda":
        more = {"peak": lambda: device.memory_kept() / (1 << 20), "tflops": partial(tflops, settings.dtype, device)}
        more["not_recorded"] = step.not_recorded
    harness.serve_training(step, device.synchronize, **more)


if __name__ == "__main__":
    main()
