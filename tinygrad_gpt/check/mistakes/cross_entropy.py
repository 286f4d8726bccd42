"""Cross-entropy's mistakes. Right is dlogits = (p - q) dy / N.

p is the softmax of the logits, q the target distribution (1 - ε) onehot + ε/V, and N the number of rows that count, or
1 for a sum. Rows that are ignored get 0.
"""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops import cross_entropy, softmax
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX


def _p(saved):
    """The softmax of the logits: (R, V)."""
    return np.exp(_z(saved) - saved.peak) / saved.total


def _z(saved):
    """The logits as rows: (R, V)."""
    return saved.logits.reshape(-1, saved.logits.shape[-1])


def _onehot(saved):
    """1 at the targets, 0 elsewhere: (R, V)."""
    onehot = np.zeros_like(_z(saved))
    onehot[np.arange(len(onehot)), saved.targets] = 1
    return onehot


def _q(saved):
    """What the model should say: (R, V)."""
    return (1 - saved.label_smoothing) * _onehot(saved) + saved.label_smoothing / saved.logits.shape[-1]


def _per_row(dy, saved):
    """What one row's loss gets of dy: (R, 1), or (1, 1) for all rows."""
    if saved.reduction == "mean":
        dy = dy / np.sum(saved.counts, dtype=dy.dtype)
    return dy.reshape(-1, 1)


def _gradients(dz, dy, saved):
    """The gradients, if dz (R, V) are those of each row's loss: times dy's part, 0 where ignored, None for targets."""
    dz = np.where(saved.counts.reshape(-1, 1), dz * _per_row(dy, saved), 0.0)
    return dz.reshape(saved.logits.shape), None


@wrong_backward(
    "C01",
    "not divided by the number of rows",
    why="forward takes the mean over the rows, and a mean hands each of its parts dy divided by their number",
    look="if the batch were twice as large, what would become of the gradient of one row?",
)
def not_divided(dy, saved):
    return _gradients(_p(saved) - _q(saved), dy, saved._replace(reduction="sum"))


@wrong_backward(
    "C02",
    "divided by the number of all rows, ignored ones too",
    why="the mean is over the rows that count: an ignored row is in neither the sum nor the number",
    look="should the loss change when one more row of padding is put in?",
    source="means over unlike numbers of tokens were mixed in transformers #34191",
)
def divided_by_all_rows(dy, saved):
    if saved.reduction == "mean":
        dy = dy / saved.counts.size
    return _gradients(_p(saved) - _q(saved), dy, saved._replace(reduction="sum"))


@wrong_backward(
    "C03",
    "p alone: nothing is subtracted at the target",
    why="the loss is log Σ e^z - z_t. p comes from its first term; the second gives -1 at the target",
    look="which way should the target's own logit be pushed, and what sign has p?",
)
def target_not_subtracted(dy, saved):
    return _gradients(_p(saved) - saved.label_smoothing / saved.logits.shape[-1], dy, saved)


@wrong_backward(
    "C04",
    "onehot - p: the gradient of the log-likelihood",
    why="the loss is the negative logarithm of the likelihood, and so is its gradient the other way round",
    look="gradient descent goes against the gradient: does the target's logit rise or fall with this one?",
)
def of_the_likelihood(dy, saved):
    return _gradients(_q(saved) - _p(saved), dy, saved)


@wrong_backward(
    "C05",
    "the logits themselves where their softmax p belongs",
    why="the derivative of log Σ e^z is the probabilities. Logits may be any numbers, and mean nothing by themselves",
    look="what should a row of the gradient add up to, if p adds up to 1?",
)
def logits_for_probabilities(dy, saved):
    return _gradients(_z(saved) - _q(saved), dy, saved)


@wrong_backward(
    "C06",
    "times p (1 - p): softmax's derivative once more",
    why="p - onehot is the gradient for the logits already. Softmax's derivative has been taken on the way to it",
    look="with respect to what is p - onehot the derivative: to the probabilities or to the logits?",
    source="seen in fromscratchtoml #65",
)
def softmax_again_diagonal(dy, saved):
    p = _p(saved)
    return _gradients((p - _q(saved)) * p * (1 - p), dy, saved)


@wrong_backward(
    "C07",
    "ignored rows get a gradient",
    why="a row that is ignored is not in the loss, so that its logits may be anything",
    look="if the logits of an ignored row change, what does the loss do?",
    source="seen in DALLE-pytorch #57, peft #2986",
)
def ignored_rows_too(dy, saved):
    dz = (_p(saved) - _q(saved)) * _per_row(dy, saved)
    return dz.reshape(saved.logits.shape), None


@wrong_backward(
    "C08",
    "label smoothing forgotten: p - onehot",
    why="the target that forward took is (1 - ε) onehot + ε/V, and the gradient is p less that same target",
    look="at which p is the loss smallest, if ε is 0.1: at 1 for the target?",
)
def smoothing_forgotten(dy, saved):
    return _gradients(_p(saved) - _onehot(saved), dy, saved)


@wrong_forward(
    "C09",
    "softmax taken twice: probabilities go in where logits belong",
    why="cross-entropy takes the softmax itself. From numbers between 0 and 1 it makes no probability near 1, so that "
    "the loss never falls below ln(1 + (V - 1)/e)",
    look="what is the loss of a model that is certain, and right?",
    source="seen in tflearn #562, SciCo #2, EffectiveTensorflow #9",
)
def softmax_twice(logits, targets, *, ignore_index=IGNORE_INDEX, label_smoothing=0.0, reduction="mean"):
    p, _ = softmax.forward(logits)
    settings = {"ignore_index": ignore_index, "label_smoothing": label_smoothing, "reduction": reduction}
    return cross_entropy.forward(p, targets, **settings)


@wrong_backward(
    "C10",
    "p - onehot sent through softmax's backward once more",
    why="p - onehot is the gradient for the logits already: softmax and logarithm were differentiated together",
    look="with respect to what is p - onehot the derivative: to the probabilities or to the logits?",
)
def softmax_again(dy, saved):
    p, d = _p(saved), _p(saved) - _q(saved)
    return _gradients(p * (d - np.sum(d * p, axis=-1, keepdims=True)), dy, saved)


@wrong_backward(
    "C11",
    "only the target's logit gets a gradient",
    why="the other logits are in the loss too, through the sum: each is pushed down by its own p",
    look="does the loss of a row change when the logit of a wrong class grows?",
)
def target_alone(dy, saved):
    return _gradients(_onehot(saved) * (_p(saved) - _q(saved)), dy, saved)


@wrong_backward(
    "C12",
    "-onehot / p: the gradient for the probabilities, not for the logits",
    why="that is the logarithm's part. From p it has to go through softmax, to the logits",
    look="what is the derivative of p_t with respect to the logits?",
)
def stops_at_the_probabilities(dy, saved):
    return _gradients(-_q(saved) / _p(saved), dy, saved)


@wrong_backward(
    "C13",
    "label smoothing by half: (1 - ε) at the target, but ε/V nowhere",
    why="what is taken from the target is spread over all classes: the target distribution adds up to 1",
    look="what should a row of the gradient add up to?",
)
def not_spread(dy, saved):
    return _gradients(_p(saved) - (1 - saved.label_smoothing) * _onehot(saved), dy, saved)


@wrong_backward(
    "C14",
    "ε/V is subtracted beside a whole onehot",
    why="the ε that is spread over the classes is taken from the target, which keeps 1 - ε",
    look="what does the target distribution add up to, with a 1 at the target?",
)
def nothing_taken_from_the_target(dy, saved):
    return _gradients(_p(saved) - _onehot(saved) - saved.label_smoothing / saved.logits.shape[-1], dy, saved)


@wrong_backward(
    "C15",
    "divided by the number of rows, whatever `reduction` says",
    why="only a mean shares dy out among its rows. A sum hands each row all of dy, and without a reduction each row "
    "has its own",
    look="which line of forward divides, and for which reduction?",
)
def always_divided(dy, saved):
    number = np.sum(saved.counts, dtype=dy.dtype)
    return _gradients((_p(saved) - _q(saved)) / number, dy, saved._replace(reduction="sum"))
