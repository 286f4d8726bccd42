"""PyTorch's side of `train_step.py`: the same GPT at its best, with scaled_dot_product_attention.

    python benchmarks/peers/pytorch.py SETTINGS.json VARIANT     VARIANT: eager | eager-fused | compile | compile-fused

`-fused` uses `AdamW(fused=True)`. Attributes have the names of tinygrad_gpt's GPT, so that weights load by name.
"""

import sys
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


def make_step(config: sizes.Config, model: GPT, variant: str):
    """The function that makes one update and returns the loss before it."""
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
    data = cycle([(torch.from_numpy(ids), torch.from_numpy(targets)) for ids, targets in sizes.batches(config)])

    def step() -> float:
        ids, targets = next(data)
        optimizer.zero_grad()
        loss = forward(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), sizes.MAX_NORM)
        optimizer.step()
        return loss.item()

    return step


def prepare(config: sizes.Config, dtype: str, weights: Path, variant: str):
    """The step of a model with the weights in the file. It computes in float32 whatever the dtype of ours."""
    model = GPT(config)
    model.load_state_dict(load_file(weights))
    return make_step(config, model, variant)


def main() -> None:
    harness.serve_training(prepare(*sizes.read_settings(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main()
