"""A snapshot of a model: a few numbers that show whether it learns, at little cost.

    block_gradients     norm of the last step's gradient in each block, first block first (in each nn.Block; in a model
                        without them, in each Module of its list `blocks`)
    prediction_share    on a piece of held-out data: the share of the commonest prediction (where there is a target)
    predicted           this prediction
    accuracy            the share of predictions that are right
    flat_units          in each nn.Block, the share of feed-forward units whose activation has no slope on that piece:
                        dead ones, silent everywhere on it, and saturated ones, nearly everywhere at an end of the tanh
    saturated_attention in each nn.Block, the share of heads and positions where one weight is nearly 1
    double_softmax      whether the loss takes a softmax of probabilities: softmax twice
    sees_future         whether a prediction changes with a token that comes after it (Task.left_to_right)

A snapshot runs the model forwards once, in evaluation mode. It draws no random number and changes no weight.
"""

from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import check_fits
from tinygrad_gpt.nn import Block, Module
from tinygrad_gpt.nn.block import is_plain
from tinygrad_gpt.optim import grad_norm
from tinygrad_gpt.tasks.task import Task

ONE_WEIGHT = 0.999  # an attention weight from here on: the softmax's slope p(1 - p) is below 1/1000
# Where activations are flat: ReLU's slope is 0 there, tanh's is below 0.01, and the others' are below 1e-3.
FLAT_BELOW = {"relu": 0.0, "gelu": -5.0, "gelu_tanh": -5.0, "silu": -10.0}
FLAT_BEYOND = {"tanh": 3.0}
# The share of positions at which a flat unit is there. A unit that is rarely active is as useful as a rare word, but a
# tanh that jumps between its two ends has hardly any slope.
DEAD_AT, SATURATED_AT = 1.0, 0.9
CHANGED = 1e-5  # of the largest score: more than rounding

_BY_BLOCK = ("block_gradients", "flat_units", "saturated_attention")
_SCHEMA = {"prediction_share?": float, "predicted?": int, "accuracy?": float, "double_softmax?": bool}
_SCHEMA |= {"sees_future?": bool}
_SCHEMA |= {name: [float] for name in _BY_BLOCK}


def has_snapshot(row: dict[str, Any]) -> bool:
    """Whether a row of metrics holds a snapshot of the model."""
    health = row.get("health", {})
    return "block_gradients" in health or "prediction_share" in health


def check_snapshot(row: dict[str, Any], blocks: int | None) -> int:
    """The number of blocks in a row's snapshot. Raises UserError if the snapshot is damaged, or the number is not
    `blocks` (None: any)."""
    seen = check_fits(row["health"], _SCHEMA, "it")
    blocks = blocks or len(seen["block_gradients"])
    if not all(len(seen[name]) in (blocks, 0) for name in _BY_BLOCK):  # 0: nothing to look at
        raise UserError(f"{', '.join(_BY_BLOCK)} should have a number for each of {blocks} blocks")
    return blocks


def snapshot(model, task: Task) -> dict[str, Any]:
    """A snapshot of a model that holds the gradients of its last step, on the task's probe."""
    blocks = {path: module for path, module in model.named_modules() if isinstance(module, Block)}
    layers = list(blocks.values()) or [b for b in getattr(model, "blocks", []) if isinstance(b, Module)]
    if not all(map(is_plain, layers)):
        blocks = {}  # one of them computes something else: do not look into them
    gradients = {"block_gradients": [float(f"{grad_norm(b.parameters()):.4g}") for b in layers]}
    arrays = task.probe()
    if arrays is None:
        return gradients | {"flat_units": [], "saturated_attention": []}
    watched = [f"{path}.{part}" for path in blocks for part in ("attention", "feed_forward.up")]
    with model.evaluating(), no_grad():
        with model.watching(*watched) as seen:
            logits, targets = task.answers(model, *arrays)  # (N, ..., K), (N, ...)
        first = [a[:1] for a in arrays]
        total, parts, _ = task.loss(model, *first)
        own = next(iter(parts.values()), total).item()
        logits_of_first, targets_of_first = task.answers(model, *first)
        double_softmax = _is_double_softmax(own, logits_of_first, targets_of_first)
        future = _sees_future(model, task, first, logits_of_first)
    asked = targets >= 0  # the loss leaves out the others
    predicted, targets = to_numpy(np.argmax(logits.data, axis=-1))[asked], targets[asked]  # (N, ...) -> (A,)
    counts = np.bincount(predicted)
    ups = [(seen[f"{path}.feed_forward.up"].output.data, b.feed_forward.activation) for path, b in blocks.items()]
    return (
        gradients
        | {
            "prediction_share": round(float(counts.max() / predicted.size), 4),
            "predicted": int(counts.argmax()),
            "accuracy": round(float(np.mean(predicted == targets)), 4),
            "flat_units": [_flat_share(u, activation) for u, activation in ups],  # u (B, T, hidden)
            "saturated_attention": [_saturated_share(seen[f"{path}.attention"].weights.data) for path in blocks],
            "double_softmax": double_softmax,
        }
        | ({} if future is None else {"sees_future": future})
    )


def _is_double_softmax(own: float, logits, y) -> bool:
    """Whether the model's own loss fits softmax(softmax(logits)) rather than softmax(logits), or the head returns
    probabilities."""
    z = logits.data
    if (z >= 0).all() and np.allclose(z.sum(axis=-1), 1, atol=1e-3):
        return True
    once = F.cross_entropy(logits, y).item()
    twice = F.cross_entropy(F.softmax(logits), y).item()
    return abs(own - twice) < 1e-3 * twice < abs(own - once)


def _sees_future(model, task: Task, row: list[np.ndarray], logits) -> bool | None:
    """Whether another token changes what the model predicts before it. It is the last but one: where the task shifts
    the row to the right by one, nobody reads the last. None for a task that is not read from left to right, for a row
    (1, T) of two tokens or fewer, and for one of equal tokens.

    logits  of this row (1, T, K)
    """
    if task.left_to_right is None or logits.shape[1] < 3:
        return None
    ids = row[task.left_to_right]
    others = ids[ids != ids[0, -2]]
    if not others.size:
        return None
    changed = list(row)
    changed[task.left_to_right] = np.concatenate([ids[:, :-2], others[None, :1], ids[:, -1:]], axis=1)
    before, after = (to_numpy(each.data)[:, :-2] for each in (logits, task.answers(model, *changed)[0]))
    return bool(np.abs(after - before).max(initial=0.0) > CHANGED * np.abs(before).max(initial=0.0))


def _flat_share(u: Array, activation: str) -> float:
    """u (B, T, hidden) -> the share of units that are where the activation is flat."""
    if activation in FLAT_BEYOND:
        flat, needed = np.abs(u) > FLAT_BEYOND[activation], SATURATED_AT
    else:
        flat, needed = u < FLAT_BELOW[activation], DEAD_AT
    return round(float((flat.reshape(-1, u.shape[-1]).mean(axis=0) >= needed).mean()), 4)


def _saturated_share(p: Array) -> float:
    """p (B, H, T, T) -> the share of heads and positions with one weight above ONE_WEIGHT, without the first quarter of
    the positions, which have little to choose from."""
    return round(float((p[:, :, p.shape[2] // 4 :].max(axis=-1) > ONE_WEIGHT).mean()), 4)
