"""Rules about the snapshots of the model. Each takes a History and returns a Symptom, or None."""

import numpy as np

from tinygrad_gpt.health.history import History, Symptom
from tinygrad_gpt.health.loss_rules import double_softmax_finding
from tinygrad_gpt.health.score_rules import one_class

COLLAPSED = 0.95  # of all predictions are one token ...
COMMON = 0.5  # ... which has less than this share of the text: a text of spaces may be predicted so
VANISHED = 1e-3  # gradient of one block over that of another: in healthy models it is above 1/100
EXPLODED = 100.0  # norm of the whole gradient: with a mean loss in nats it is usually about 1
FLAT = 0.5  # of a block's feed-forward units; for ReLU models a tenth is harmless
SATURATED = 0.95  # of a block's heads and positions; single heads that attend to one token each are useful and usual


def double_softmax(history: History) -> Symptom | None:
    """The loss takes a softmax of probabilities. One snapshot is enough, since chance plays no part in it."""
    if not any(row.get("health", {}).get("double_softmax") for row in history.recent):
        return None
    return double_softmax_finding(history, "the model's loss takes a softmax of probabilities")


def future(history: History) -> Symptom | None:
    """A prediction changes with a token that comes after it. One snapshot is enough: chance plays no part in it."""
    if not any(row.get("health", {}).get("sees_future") for row in history.recent):
        return None
    seen = "predictions change with tokens that come after them: the future leaks"
    cause = "attention without a causal mask, or with its rows and columns exchanged"
    return Symptom("future", history.step, seen, cause, "let each place attend to itself and those before: causal=True")


def collapse(history: History) -> Symptom | None:
    """The model predicts the same token everywhere, and its loss has stopped falling. (Every model predicts the
    commonest token for a while at first.)"""
    plan, snapshots = history.plan, history.snapshots
    shares = [s.get("prediction_share", 0.0) for s in snapshots]
    if history.answers.plateau is None or min(shares, default=0.0) < COLLAPSED:
        return None
    if len({s["predicted"] for s in snapshots}) > 1 or (plan.commonest_share or 0.0) >= COMMON:
        return None
    if history.counts_only or plan.fine_tuned or one_class(history):
        return None  # another rule reports it
    share = "" if plan.commonest_share is None else f" (the commonest is {plan.commonest_share:.0%} of the data)"
    last = snapshots[-1]
    seen = f"{last['prediction_share']:.0%} of all predictions are token {last['predicted']}{share}"
    if any(s["double_softmax"] for s in snapshots):
        return Symptom("collapse", history.step, seen, "softmax twice", "give cross_entropy the logits")
    cause = f"updates so large that the output no longer depends on the input (lr {plan.lr:g})"
    return Symptom("collapse", history.step, seen, cause, f"{plan.lower_lr}, {plan.longer_warmup}")


def gradients_by_layer(history: History) -> Symptom | None:
    """The gradient grows or fades on its way through the blocks."""
    snapshots = history.snapshots
    if not snapshots or not snapshots[0]["block_gradients"]:
        return None
    gradients = np.array([s["block_gradients"] for s in snapshots])  # (IN_A_ROW, layers)
    least, most = gradients.argmin(axis=1), gradients.argmax(axis=1)
    ratio = gradients.min(axis=1) / np.maximum(gradients.max(axis=1), np.finfo(float).tiny)
    if (ratio > VANISHED).any() or not (np.sign(most - least) == np.sign(most - least)[0]).all():
        return None
    weak, strong = int(least[-1]), int(most[-1])
    norms = f"{gradients[-1, weak]:.1e} in block {weak + 1} and {gradients[-1, strong]:.1e} in block {strong + 1}"
    changes = "fades" if weak < strong else "grows"
    seen = f"the gradient {changes} on its way to the input: its norm is {norms} of {gradients.shape[1]}"
    if weak < strong:
        return Symptom("vanishing", history.step, seen, *_vanishing(history))
    cause, remedy = "weights of very different size from block to block", "one initialisation for all blocks"
    return Symptom("exploding", history.step, seen, cause, remedy)


def exploding(history: History) -> Symptom | None:
    """The whole gradient is far too long in nearly every row."""
    norms = [row.get("grad_norm", 0.0) for row in history.window]
    if not norms or np.quantile(norms, 0.1) < EXPLODED:
        return None
    seen = f"the gradient's norm has been {np.median(norms):.3g} for {history.plan.window} steps"
    cause, remedy = "weights that are too large", "smaller initial weights, a smaller --lr, --grad-clip 1"
    return Symptom("exploding", history.step, seen, cause, remedy)


def flat_units(history: History) -> Symptom | None:
    """Most of a block's feed-forward units are where their activation has no slope."""
    block = _block_above(history, "flat_units", FLAT)
    if block is None:
        return None
    share, activation = history.snapshots[-1]["flat_units"][block], history.plan.activation
    if activation == "tanh":
        seen = f"{share:.0%} of the feed-forward units of block {block + 1} are saturated (tanh near -1 or 1)"
        cause = "weights that are too large: too high a learning rate, or too wide an initialisation"
        return Symptom("saturated-units", history.step, seen, cause, f"{history.plan.lower_lr}, smaller weights")
    seen = f"{share:.0%} of the feed-forward units of block {block + 1} are dead ({activation} never active)"
    cause = "an update threw their biases or weights far below zero, where no gradient brings them back"
    remedy = f"start a new run with {history.plan.lower_lr} and a warm-up"
    return Symptom("dead-units", history.step, seen, cause, remedy + (", or with gelu" * (activation == "relu")))


def saturated_attention(history: History) -> Symptom | None:
    """All heads of a block give all their weight to one position."""
    block = _block_above(history, "saturated_attention", SATURATED)
    if block is None:
        return None
    share = history.snapshots[-1]["saturated_attention"][block]
    seen = f"attention in block {block + 1} is saturated: {share:.0%} of its weights are 0 or 1"
    cause = "queries and keys grew so large that the softmax passes no gradient to them"
    remedy = f"{history.plan.lower_lr}, {history.plan.longer_warmup}, more --weight-decay"
    return Symptom("saturated-attention", history.step, seen, cause, remedy)


def _block_above(history: History, name: str, limit: float) -> int | None:
    """The first block whose share `name` was above the limit in each of the last snapshots."""
    if not history.snapshots:
        return None
    least = np.array([s[name] for s in history.snapshots]).min(axis=0)  # (IN_A_ROW, layers) -> (layers,)
    above = np.flatnonzero(least > limit)
    return int(above[0]) if len(above) else None


def _vanishing(history: History) -> tuple[str, str]:
    """(cause, remedy) of a gradient that vanishes."""
    if any(s.get("double_softmax") for s in history.snapshots):
        return "softmax twice: sure predictions pass no gradient", "give cross_entropy the logits"
    plan = history.plan
    if plan.post_norm:
        cause = "layer norms after the residual sums, which divide the gradient, and first steps that were too large"
        return cause, ", or ".join([*plan.pre_norm, f"{plan.longer_warmup} and a smaller --lr"])
    return "activations or attention without slope", f"a smaller --lr, {plan.longer_warmup}"


RULES = (double_softmax, future, collapse, gradients_by_layer, exploding, flat_units, saturated_attention)
