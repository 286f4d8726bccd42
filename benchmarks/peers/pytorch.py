"""PyTorch's side of `train_step.py`: the same GPT at its best, with scaled_dot_product_attention.

    python benchmarks/peers/pytorch.py SETTINGS.json VARIANT     VARIANT: eager | eager-fused | compile | compile-fused

`-fused` uses `AdamW(fused=True)`. Attributes have the names of tinygrad_gpt's GPT, so that weights load by name.
"""

import sys
from functools import partial
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import sizes
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, config: sizes.Config):
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.C, 3 * config.C, bias=config.bias)
        self.out = nn.Linear(config.C, config.C, bias=config.bias)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(C, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, T, D)
        return self.out(y.transpose(1, 2).reshape(B, T, C))


class FeedForward(nn.Module):
    def __init__(self, config: sizes.Config):
        super().__init__()
        self.up = nn.Linear(config.C, 4 * config.C, bias=config.bias)
        self.down = nn.Linear(4 * config.C, config.C, bias=config.bias)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, config: sizes.Config):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.C, bias=config.bias)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.C, bias=config.bias)
        self.feed_forward = FeedForward(config)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class GPT(nn.Module):
    def __init__(self, config: sizes.Config):
        super().__init__()
        self.token_embedding = nn.Embedding(config.V, config.C)
        self.position_embedding = nn.Embedding(config.T, config.C)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(config.C, bias=config.bias)

    def forward(self, ids, targets):
        x = self.token_embedding(ids) + self.position_embedding.weight
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.final_norm(x), self.token_embedding.weight)  # tied
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def make_step(config: sizes.Config, model: GPT, variant: str, device: str, rounded):
    """The function that makes one update and returns the loss before it. `rounded` is a context for forward."""
    forward = torch.compile(model) if variant.startswith("compile") else model
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": sizes.WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=sizes.LR,
        betas=sizes.BETAS,
        eps=sizes.EPS,
        fused=variant.endswith("fused"),
    )
    batches = sizes.batches(config)
    data = cycle([(torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device)) for ids, targets in batches])

    def step() -> torch.Tensor:
        ids, targets = next(data)
        optimizer.zero_grad()
        with rounded:
            loss = forward(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), sizes.MAX_NORM)
        optimizer.step()
        return loss.detach()  # on a GPU nothing waits for it

    return step


def rounding(device: str, dtype: str):
    """The context in which products of float32 matrices are computed in this dtype, at PyTorch's best: its mixed
    precision, where weights stay float32."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"PyTorch {torch.__version__} finds no GPU")
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    return torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16")


def prepare(config: sizes.Config, dtype: str, weights: Path, device: str, variant: str):
    """The step of a model with the weights in the file. On the CPU it computes in float32 whatever the dtype of
    ours."""
    rounded = rounding(device, dtype if device == "cuda" else "float32")
    model = GPT(config)
    model.load_state_dict(load_file(weights))
    return make_step(config, model.to(device), variant, device, rounded)


def tflops(dtype: str, n: int) -> float:
    """Of a product of matrices (n, n) on the GPU."""
    x = torch.randn(n, n, device="cuda", dtype=torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    return harness.product_tflops(lambda: x @ x.T, n, torch.cuda.synchronize)


def main() -> None:
    settings = sizes.read_settings(sys.argv[1])
    step = prepare(*settings, sys.argv[2])
    if settings.device == "cpu":
        return harness.serve_training(step)
    harness.serve_training(
        step,
        torch.cuda.synchronize,
        forget_peak=torch.cuda.reset_peak_memory_stats,
        peak=lambda: torch.cuda.max_memory_allocated() / (1 << 20),
        tflops=partial(tflops, settings.dtype),
    )


if __name__ == "__main__":
    main()
