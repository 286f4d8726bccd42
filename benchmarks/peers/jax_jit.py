"""JAX's side of `train_step.py`: the whole step (loss, gradients, clipping, AdamW) as one jitted function.

    python benchmarks/peers/jax_jit.py SETTINGS.json

Parameters and optimiser state are donated, so that XLA updates them in place. On a GPU, bfloat16 is mixed precision as
it is usual: weights, norms and the loss are float32, what linear layers and attention compute is bfloat16.
"""

import os
import sys
from functools import partial
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import jax
import jax.numpy as jnp
import sizes
from safetensors.numpy import load_file

MATMUL = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}  # JAX's names on a GPU

rounded = jnp.float32  # what linear layers compute in


def linear(p: dict, name: str, x):
    y = x.astype(rounded) @ p[f"{name}.weight"].astype(rounded).T
    return y + p[f"{name}.bias"].astype(rounded) if f"{name}.bias" in p else y


def layer_norm(p: dict, name: str, x):
    centred = x - x.mean(-1, keepdims=True)
    y = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def attention(p: dict, name: str, x, heads: int):
    B, T, C = x.shape
    q, k, v = (a.reshape(B, T, heads, C // heads) for a in jnp.split(linear(p, f"{name}.qkv", x), 3, axis=-1))
    fast = "cudnn" if rounded == jnp.bfloat16 else None  # which takes no float32
    y = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=fast)  # (B, T, H, D)
    return linear(p, f"{name}.out", y.reshape(B, T, C))


def feed_forward(p: dict, name: str, x):
    return linear(p, f"{name}.down", jax.nn.gelu(linear(p, f"{name}.up", x), approximate=True))


def loss_of(p: dict, ids, targets, layers: int, heads: int):
    x = p["token_embedding.weight"][ids] + p["position_embedding.weight"]
    for i in range(layers):
        block = f"blocks.{i}"
        x = x + attention(p, f"{block}.attention", layer_norm(p, f"{block}.attention_norm", x), heads)
        x = x + feed_forward(p, f"{block}.feed_forward", layer_norm(p, f"{block}.feed_forward_norm", x))
    logits = linear(p, "token_embedding", layer_norm(p, "final_norm", x)).astype(jnp.float32)  # tied
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return (jax.nn.logsumexp(logits, axis=-1) - chosen).mean()


@partial(jax.jit, static_argnames=("layers", "heads"), donate_argnames=("p", "m", "v"))
def update(p, m, v, count, ids, targets, layers, heads):
    """One step: (p, m, v) anew, and the loss before it."""
    loss, g = jax.value_and_grad(loss_of)(p, ids, targets, layers, heads)
    norm = jnp.sqrt(sum((x**2).sum() for x in g.values()))
    shorter = jnp.minimum(1.0, sizes.MAX_NORM / (norm + 1e-6))
    beta1, beta2 = sizes.BETAS
    for name in p:
        grad = shorter * g[name]
        m[name] = beta1 * m[name] + (1 - beta1) * grad
        v[name] = beta2 * v[name] + (1 - beta2) * grad**2
        direction = (m[name] / (1 - beta1**count)) / (jnp.sqrt(v[name] / (1 - beta2**count)) + sizes.EPS)
        decay = sizes.WEIGHT_DECAY if p[name].ndim >= 2 else 0.0
        p[name] = (1 - sizes.LR * decay) * p[name] - sizes.LR * direction
    return p, m, v, loss


def main() -> None:
    global rounded
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the GPU's memory is not for one side alone
    config, dtype, weights, device = sizes.read_settings(sys.argv[1])
    jax.config.update("jax_platforms", device)
    if device == "cuda":
        jax.config.update("jax_default_matmul_precision", MATMUL[dtype])
        rounded = jnp.bfloat16 if dtype == "bfloat16" else jnp.float32
    p = {name: jnp.asarray(a) for name, a in load_file(weights).items()}
    m, v = ({name: jnp.zeros_like(a) for name, a in p.items()} for _ in range(2))
    data = cycle([(jnp.asarray(ids), jnp.asarray(targets)) for ids, targets in sizes.batches(config)])
    count = 0

    def step() -> jax.Array:
        nonlocal p, m, v, count
        count += 1
        p, m, v, loss = update(p, m, v, jnp.float32(count), *next(data), config.layers, config.heads)
        return loss if device == "cuda" else loss.block_until_ready()  # the whole step is one computation

    def peak() -> float:
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / (1 << 20)

    more = {"peak": peak} if device == "cuda" else {}
    harness.serve_training(step, lambda: jax.block_until_ready((p, m, v)), **more)


if __name__ == "__main__":
    main()
