"""A user's script, for type checkers: Tensors, an op and a model of one's own, optimisers, training, runs."""

from collections.abc import Iterator

import numpy as np

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt import nn, optim
from tinygrad_gpt.models import GPT2, GPTConfig
from tinygrad_gpt.nn import Module
from tinygrad_gpt.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from tinygrad_gpt.train import TrainConfig, Trainer, fit


class Net(nn.Module):
    def __init__(self, vocab_size: int, c: int = 16):
        self.table = nn.Embedding(vocab_size, c)
        self.norm = nn.LayerNorm(c)
        self.layers = [nn.Linear(c, c), nn.Linear(c, c)]
        self.rest = nn.Sequential(nn.Dropout(0.1), nn.Linear(c, vocab_size))
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, ids: tg.Tensor) -> tg.Tensor:
        x = self.table(ids)
        for layer in self.layers:
            x = x + F.gelu(layer(self.norm(x)))
        return self.rest(x)


class Pair(Module):
    def forward(self, x: tg.Tensor, twice: bool = False) -> tuple[tg.Tensor, int]:
        return (x * 2 if twice else x), 1


def batches(count: int) -> Iterator[tg.Tensor]:
    for _ in range(count):
        yield tg.randint(11, (4, 8))


def train(steps: int = 20) -> list[float]:
    tg.manual_seed(0)
    model = Net(11).train()
    decay = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99))
    scheduler = SequentialLR(optimizer, [LinearLR(optimizer), CosineAnnealingLR(optimizer, steps)], milestones=[5])
    losses: list[float] = []
    for ids in batches(steps):
        logits = model(ids)
        b, t, v = logits.shape
        loss = F.cross_entropy(logits.view(b * t, v), ((ids + 1) % 11).view(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    optimizer.param_groups[0]["lr"] = 1e-4
    model.load_state_dict(model.state_dict())
    model.eval().requires_grad_(False)
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


def double_forward(x):
    return 2 * x, None


def double_backward(dy, saved):
    return (2 * dy,)


def own_op() -> tg.Tensor:
    double = tg.op("doubled", double_forward, double_backward, cases=[((3, 5),)])
    y = double(tg.ones(2, 3, requires_grad=True))
    tg.check.gradcheck(lambda x: F.softmax(x, dim=-1), np.ones((2, 3)))
    return y


def fitted(path: str) -> float:
    ids = np.arange(200) % 11
    model = GPT2(GPTConfig(11, block_size=8, n_layer=1, n_head=1, n_embd=8))

    def show(trainer: Trainer) -> bool:
        return trainer.step >= 3

    history = fit(model, ids, steps=4, batch_size=2, block_size=8, callbacks=show, log=print, progress=False)
    batch = ids[:16].reshape(2, 8)
    loss: tg.Tensor = model(batch, labels=batch).loss
    continued: np.ndarray = model.generate(batch[:, :4], max_new_tokens=2)
    tg.save(model, path)
    model.load_state_dict(tg.load(path))
    return history[-1]["train_loss"] + loss.item() + continued.size + TrainConfig(steps=3).lr


def run_of(path: str) -> str:
    model, tokenizer = tg.load(path)
    ids = tokenizer.encode("ROMEO:")
    model.eval()
    return tokenizer.decode(ids) + tg.load(path).sample("ROMEO:", 20)


if __name__ == "__main__":
    losses = train()
    print(f"{losses[0]:.3f} -> {losses[-1]:.3f}, {tensors():.3f}, {own_op().shape}")
    print(f"{fitted('weights.safetensors'):.3f}")
