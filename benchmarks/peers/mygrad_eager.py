"""MyGrad's side of `train_step.py`: a GPT in its tensors, AdamW in NumPy.

    python benchmarks/peers/mygrad_eager.py SETTINGS.json

Numbers are float32 arrays, because a Python number would become a float64 tensor, and everything after it too. Memory
guarding, which locks arrays that a graph holds, is off: it costs time.
"""

import sys
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import mygrad as mg
import numpy as np
import sizes
from mygrad.nnet.activations import softmax
from mygrad.nnet.losses import softmax_crossentropy
from numpy_adamw import AdamW
from safetensors.numpy import load_file

EPS, HALF, ONE, ROOT, CUBIC = (np.float32(x) for x in (1e-5, 0.5, 1.0, np.sqrt(2 / np.pi), 0.044715))


def linear(p: dict, name: str, x):
    y = mg.matmul(x, p[f"{name}.weight"].T)
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def layer_norm(p: dict, name: str, x):
    centred = x - mg.mean(x, axis=-1, keepdims=True)
    y = centred / mg.sqrt(mg.mean(centred * centred, axis=-1, keepdims=True) + EPS) * p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def attention(p: dict, name: str, x, heads: int, hidden):
    B, T, C = x.shape
    qkv = mg.transpose(linear(p, f"{name}.qkv", x).reshape(B, T, 3, heads, C // heads), (2, 0, 3, 1, 4))
    scores = mg.matmul(qkv[0] * np.float32((C // heads) ** -0.5), mg.transpose(qkv[1], (0, 1, 3, 2))) + hidden
    y = mg.matmul(softmax(scores, axis=-1), qkv[2])  # (B, H, T, D)
    return linear(p, f"{name}.out", mg.transpose(y, (0, 2, 1, 3)).reshape(B, T, C))


def gelu(x):
    return HALF * x * (ONE + mg.tanh(ROOT * (x + CUBIC * (x * x * x))))


def loss_of(p: dict, ids, targets, layers: int, heads: int, hidden):
    x = p["token_embedding.weight"][ids] + p["position_embedding.weight"]
    for i in range(layers):
        block = f"blocks.{i}"
        x = x + attention(p, f"{block}.attention", layer_norm(p, f"{block}.attention_norm", x), heads, hidden)
        h = gelu(linear(p, f"{block}.feed_forward.up", layer_norm(p, f"{block}.feed_forward_norm", x)))
        x = x + linear(p, f"{block}.feed_forward.down", h)
    logits = mg.matmul(layer_norm(p, "final_norm", x), p["token_embedding.weight"].T)  # tied
    return softmax_crossentropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def main() -> None:
    config, _, weights, _ = sizes.read_settings(sys.argv[1])
    mg.turn_memory_guarding_off()
    p = {name: mg.tensor(a, copy=False) for name, a in load_file(weights).items()}
    optimizer = AdamW({name: t.data for name, t in p.items()})
    hidden = np.triu(np.full((config.T, config.T), -np.inf, np.float32), 1)
    data = cycle(sizes.batches(config))

    def step() -> float:
        loss = loss_of(p, *next(data), config.layers, config.heads, hidden)
        loss.backward()
        optimizer.step({name: t.grad for name, t in p.items()})
        for t in p.values():
            t.null_grad()
        return loss.item()

    harness.serve_training(step)


if __name__ == "__main__":
    main()
