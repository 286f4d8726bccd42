"""HIPS autograd's side of `train_step.py`: a GPT in its NumPy, the gradient by `value_and_grad`, AdamW in NumPy.

python benchmarks/peers/hips_autograd.py SETTINGS.json
"""

import sys
from functools import partial
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import autograd.numpy as np
import harness
import sizes
from autograd import value_and_grad
from numpy_adamw import AdamW
from safetensors.numpy import load_file


def linear(p: dict, name: str, x):
    y = np.matmul(x, p[f"{name}.weight"].T)
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def layer_norm(p: dict, name: str, x):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    y = centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + 1e-5) * p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def attention(p: dict, name: str, x, heads: int, hidden):
    B, T, C = x.shape
    qkv = np.reshape(linear(p, f"{name}.qkv", x), (B, T, 3, heads, C // heads))
    q, k, v = np.transpose(qkv, (2, 0, 3, 1, 4))  # (3, B, H, T, D)
    scores = np.matmul(q * (C // heads) ** -0.5, np.transpose(k, (0, 1, 3, 2))) + hidden
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights = weights / np.sum(weights, axis=-1, keepdims=True)
    y = np.matmul(weights, v)  # (B, H, T, D)
    return linear(p, f"{name}.out", np.reshape(np.transpose(y, (0, 2, 1, 3)), (B, T, C)))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))  # sqrt(2 / pi)


def loss_of(p: dict, ids, targets, layers: int, heads: int, hidden):
    x = p["token_embedding.weight"][ids] + p["position_embedding.weight"]
    for i in range(layers):
        block = f"blocks.{i}"
        x = x + attention(p, f"{block}.attention", layer_norm(p, f"{block}.attention_norm", x), heads, hidden)
        h = gelu(linear(p, f"{block}.feed_forward.up", layer_norm(p, f"{block}.feed_forward_norm", x)))
        x = x + linear(p, f"{block}.feed_forward.down", h)
    logits = np.matmul(layer_norm(p, "final_norm", x), p["token_embedding.weight"].T)  # tied
    logits = np.reshape(logits, (-1, logits.shape[-1]))
    logits = logits - np.max(logits, axis=-1, keepdims=True)
    chosen = logits[np.arange(targets.size), np.reshape(targets, (-1,))]
    return np.mean(np.log(np.sum(np.exp(logits), axis=-1)) - chosen)


def main() -> None:
    config, _, weights, _ = sizes.read_settings(sys.argv[1])
    p = load_file(weights)
    optimizer = AdamW(p)
    hidden = np.triu(np.full((config.T, config.T), -np.inf, np.float32), 1)
    gradient = value_and_grad(partial(loss_of, layers=config.layers, heads=config.heads, hidden=hidden))
    data = cycle(sizes.batches(config))

    def step() -> float:
        loss, grads = gradient(p, *next(data))
        optimizer.step(grads)
        return float(loss)

    harness.serve_training(step)


if __name__ == "__main__":
    main()
