"""tinygrad's side of `train_step.py`: the whole step captured by TinyJit, on its CPU device, which needs clang.

python benchmarks/peers/tinygrad_jit.py SETTINGS.json
"""

import os
import sys
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("DEV", "CPU")

import harness
import sizes
from tinygrad import Tensor, TinyJit
from tinygrad.helpers import Context
from tinygrad.nn.optim import AdamW, OptimizerGroup
from tinygrad.nn.state import safe_load


def linear(p: dict, name: str, x: Tensor) -> Tensor:
    return x.linear(p[f"{name}.weight"].T, p.get(f"{name}.bias"))


def layer_norm(p: dict, name: str, x: Tensor) -> Tensor:
    y = x.layernorm(eps=1e-5) * p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def attention(p: dict, name: str, x: Tensor, heads: int) -> Tensor:
    B, T, C = x.shape
    parts = linear(p, f"{name}.qkv", x).reshape(B, T, 3, heads, C // heads).permute(2, 0, 3, 1, 4)
    y = parts[0].scaled_dot_product_attention(parts[1], parts[2], is_causal=True)  # (B, H, T, D)
    return linear(p, f"{name}.out", y.transpose(1, 2).reshape(B, T, C))


def feed_forward(p: dict, name: str, x: Tensor) -> Tensor:
    return linear(p, f"{name}.down", linear(p, f"{name}.up", x).gelu())  # by tanh


def loss_of(p: dict, ids: Tensor, targets: Tensor, layers: int, heads: int) -> Tensor:
    x = p["token_embedding.weight"][ids] + p["position_embedding.weight"]
    for i in range(layers):
        block = f"blocks.{i}"
        x = x + attention(p, f"{block}.attention", layer_norm(p, f"{block}.attention_norm", x), heads)
        x = x + feed_forward(p, f"{block}.feed_forward", layer_norm(p, f"{block}.feed_forward_norm", x))
    logits = layer_norm(p, "final_norm", x) @ p["token_embedding.weight"].T  # tied
    return logits.sparse_categorical_crossentropy(targets)


def main() -> None:
    config, _, weights, _ = sizes.read_settings(sys.argv[1])
    p = {name: t.to("CPU").is_param_().realize() for name, t in safe_load(str(weights)).items()}
    beta1, beta2 = sizes.BETAS
    optimizer = OptimizerGroup(
        *(
            AdamW([t for t in p.values() if (t.ndim >= 2) == decays], sizes.LR, beta1, beta2, sizes.EPS, decay)
            for decays, decay in ((True, sizes.WEIGHT_DECAY), (False, 0.0))
        )
    )
    data = cycle([(Tensor(ids).realize(), Tensor(targets).realize()) for ids, targets in sizes.batches(config)])

    @TinyJit
    def update(ids: Tensor, targets: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(p, ids, targets, config.layers, config.heads).backward()
        norm = sum((t.grad.square().sum() for t in p.values()), start=Tensor(0.0)).sqrt()
        shorter = (sizes.MAX_NORM / (norm + 1e-6)).minimum(1.0)
        for t in p.values():
            t.grad = t.grad * shorter
        return loss.realize(*optimizer.schedule_step())

    def step() -> float:
        with Context(TRAINING=1):
            return update(*next(data)).item()

    harness.serve_training(step)


if __name__ == "__main__":
    main()
