"""A small language model, written out, so that each mistake is a method of it that is written otherwise."""

import math

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.models import GPTConfig
from tinygrad_gpt.nn import Embedding, LayerNorm, Linear, Module
from tinygrad_gpt.nn.watching import show

CONFIG = GPTConfig(17, block_size=12, n_layer=2, n_head=2, n_embd=12)


class Attention(Module):
    def __init__(self, config):
        c = config.n_embd
        self.n_head, self.scale = config.n_head, 1 / math.sqrt(c // config.n_head)
        self.q, self.k, self.v, self.out = (Linear(c, c) for _ in range(4))

    def split(self, x):  # (B, T, C) -> (B, H, T, D)
        b, t, c = x.shape
        return x.reshape(b, t, self.n_head, c // self.n_head).transpose(1, 2)

    def mask(self, t):
        return np.tri(t, dtype=bool)

    def weights(self, scores, mask):
        return F.softmax(F.where(mask, scores, -np.inf), dim=-1)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        p = self.weights(F.matmul(q, k.transpose(2, 3)) * self.scale, self.mask(t))
        show(self, weights=p)
        return self.out(F.matmul(p, v).transpose(1, 2).reshape(b, t, c))


class Block(Module):
    attention_class = Attention

    def __init__(self, config):
        c = config.n_embd
        self.ln_1, self.attention = LayerNorm(c), self.attention_class(config)
        self.ln_2, self.up, self.down = LayerNorm(c), Linear(c, 2 * c), Linear(2 * c, c)

    def forward(self, x):
        x = x + self.attention(self.ln_1(x))
        return x + self.down(F.gelu(self.up(self.ln_2(x))))


class Small(Module):
    block_class = Block
    std = 0.1

    def __init__(self, config=CONFIG):
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.n_embd, std=self.std)
        self.positions = Embedding(config.block_size, config.n_embd, std=0.1)
        self.blocks = [self.block_class(config) for _ in range(config.n_layer)]
        self.norm = LayerNorm(config.n_embd)

    def embedded(self, ids):
        return self.tokens(ids) + self.positions.weight[: ids.shape[1]]

    def scores(self, x):
        return F.linear(x, self.tokens.weight)

    def forward(self, ids):
        x = self.embedded(ids)
        for block in self.blocks:
            x = block(x)
        return self.scores(self.norm(x))


def with_attention(**methods) -> type[Small]:
    """Small, with other methods in its attention."""
    attention = type("Attention", (Attention,), methods)
    return with_block(attention_class=attention)


def with_block(**methods) -> type[Small]:
    return type("Small", (Small,), {"block_class": type("Block", (Block,), methods)})


def with_model(**methods) -> type[Small]:
    return type("Small", (Small,), methods)
