"""A user's script, for type checkers: Tensors, a model of one's own, an optimiser, a loop."""

import numpy as np

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt import nn, optim
from tinygrad_gpt.nn import Module


class Net(nn.Module):
    def __init__(self, vocab_size: int, c: int = 16):
        self.table = nn.Embedding(vocab_size, c)
        self.norm = nn.LayerNorm(c)
        self.layers = [nn.Linear(c, c), nn.Linear(c, c)]
        self.head = nn.Linear(c, vocab_size)
        self.drop = nn.Dropout(0.1)

    def forward(self, ids: tg.Tensor) -> tg.Tensor:
        x = self.table(ids)
        for layer in self.layers:
            x = x + F.gelu(layer(self.norm(x)))
        return self.head(self.drop(x))


class Pair(Module):
    def forward(self, x: tg.Tensor, twice: bool = False) -> tuple[tg.Tensor, int]:
        return (x * 2 if twice else x), 1


def loss_of(model: Net, ids: tg.Tensor, targets: tg.Tensor) -> tg.Tensor:
    logits = model(ids)
    b, t, v = logits.shape
    return F.cross_entropy(logits.view(b * t, v), targets.view(-1))


def train(steps: int = 20) -> list[float]:
    tg.manual_seed(0)
    model = Net(11)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    losses: list[float] = []
    for _ in range(steps):
        ids = tg.randint(11, (4, 8))
        loss = loss_of(model, ids, (ids + 1) % 11)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def tensors() -> float:
    x = tg.randn(2, 3, requires_grad=True)
    y = (2 * x**2 - x / 3 + np.ones(3, np.float32)) @ x.T
    values, indices = y.max(dim=-1)
    z = tg.where(y > 0, y, 0.0).sum(dim=0, keepdim=True).exp().mean()
    mask = (x > 0) & ~(x < 1) | (x == 2)
    right: float = (indices == y.argmax(-1)).float().mean().item()
    w = tg.cat([x.permute(1, 0).reshape(-1), x.flatten()]).softmax(dim=0)
    parts = x.transpose(0, 1).split(2)
    z.backward()
    first: tg.Tensor = Pair()(x, twice=True)[0]
    shape: tuple[int, ...] = first.masked_fill(mask, 0.0).shape
    return right + values.sum().item() + w[0].item() + len(parts) + len(shape) + x.size + x.size(0)


if __name__ == "__main__":
    losses = train()
    print(f"{losses[0]:.3f} -> {losses[-1]:.3f}, {tensors():.3f}")
