"""A small Llama: RMSNorm, rotary positions, SwiGLU."""

import numpy as np

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt.nn import Embedding, Linear, Module, RMSNorm


def rotate(x, cos, sin):  # x (B, H, T, D); cos, sin (T, D/2)
    a, b = F.chunk(x, 2, dim=-1)
    return F.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


class Block(Module):
    def __init__(self, config):
        c, h = config.n_embd, 8 * config.n_embd // 3
        self.n_head = config.n_head
        self.norm1, self.qkv, self.out = RMSNorm(c), Linear(c, 3 * c, bias=False), Linear(c, c, bias=False)
        self.norm2, self.gate, self.up = RMSNorm(c), Linear(c, h, bias=False), Linear(c, h, bias=False)
        self.down = Linear(h, c, bias=False)
        angles = np.outer(np.arange(config.block_size), 1e4 ** -np.linspace(0, 1, c // config.n_head // 2, False))
        self.register_buffer("cos", tg.tensor(np.cos(angles), dtype=tg.float32), persistent=False)
        self.register_buffer("sin", tg.tensor(np.sin(angles), dtype=tg.float32), persistent=False)

    def forward(self, x):
        b, t, c = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(b, t, 3 * self.n_head, c // self.n_head).transpose(1, 2)
        q, k, v = F.chunk(qkv, 3, dim=1)
        q, k = rotate(q, self.cos[:t], self.sin[:t]), rotate(k, self.cos[:t], self.sin[:t])
        y = F.attention(q, k, v, causal=True).transpose(1, 2).reshape(b, t, c)
        x = x + self.out(y)
        n = self.norm2(x)
        return x + self.down(F.silu(self.gate(n)) * self.up(n))


class Model(Module):
    def __init__(self, config):
        self.embedding = Embedding(config.vocab_size, config.n_embd)
        self.blocks = [Block(config) for _ in range(config.n_layer)]
        self.norm, self.head = RMSNorm(config.n_embd), Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, ids):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))
