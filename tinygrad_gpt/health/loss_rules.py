"""Rules about the curve of the loss. Each takes a History and returns a Symptom, or None."""

import math

import numpy as np

from tinygrad_gpt.health.history import HIGH_LR, IN_A_ROW, LITTLE_WARMUP, History, Symptom
from tinygrad_gpt.health.score_rules import ONE_CLASS, one_class, stuck_in_fine_tuning
from tinygrad_gpt.tasks.baselines import double_softmax_loss

NEAR_CONSTANT = 0.02  # nats: the level of a double softmax is known to the third digit
UNTRAINED = 0.98  # share of log V: a guess that knows nothing
FELL = 1.05  # times the level: a loss that began higher has fallen
JUMP = 0.5  # nats: no batch of ordinary text makes the loss rise by this much ...
NOISY = 6  # ... nor by this many standard deviations of a row's loss
SPIKES = 3  # fewer may be chance
LASTING = 5  # steps: a batch of odd text raises the loss for one step, an update that was too large for several
CLIPPED = 0.9  # share of the steps: clipping is meant for rare ones
STEADY = 0.02  # share of the loss: batches alone make it rise by less
LOW_LR = 1e-4  # for small models: below it Adam takes hundreds of steps to move a weight by its own size
FIRST_STEPS = 100  # in which a missing warm-up shows
OVERFITTED = 1.03  # times the best validation loss


def unigram(history: History) -> Symptom | None:
    """The loss stands at the unigram entropy: the model knows how often each token occurs, and uses no context."""
    plan = history.plan
    if not history.counts_only or one_class(history):
        return None
    if any(f"{plan.part}_accuracy" in row for row in history.rows):
        return None  # which tells more: score_rules.py
    share = history.snapshots[-1].get("prediction_share") if history.snapshots else None
    if plan.fine_tuned and share is not None and share >= ONE_CLASS:
        return None  # evaluations will tell: score_rules.py
    what, unused = ("classes", "the text") if plan.fine_tuned else ("text", "context")
    seen = (
        f"the loss has stood at {history.answers.plateau:.3f} for {plan.window} steps, the unigram entropy of the "
        f"{what} ({plan.unigram_entropy:.3f}): predictions make no use of {unused}"
    )
    if share is not None:
        seen += f", and {share:.0%} of them are the same {plan.answer}"
    return Symptom("unigram", history.step, seen, *_stuck(history))


def double_softmax_level(history: History) -> Symptom | None:
    """The loss stands where a softmax of probabilities has it if the model always predicts the commonest token."""
    plan, level = history.plan, history.answers.plateau
    if None in (level, plan.choices, plan.unigram_entropy, plan.commonest_share):
        return None
    expected = double_softmax_loss(plan.choices, plan.commonest_share)
    distance = min(abs(expected - plan.unigram_entropy), math.log(plan.choices) - expected)  # from other explanations
    if abs(level - expected) > NEAR_CONSTANT or distance <= 2 * NEAR_CONSTANT:
        return None
    seen = (
        f"the loss has stood at {level:.3f} for {plan.window} steps, which is log(e + V - 1) less the share of the "
        f"commonest {plan.answer}"
    )
    return double_softmax_finding(history, seen)


def double_softmax_finding(history: History, seen: str) -> Symptom:
    """The symptom of softmax taken twice, with what was seen of it."""
    choices = history.plan.choices
    floor = f"below log(1 + (V-1)/e) = {double_softmax_loss(choices):.3f}" if choices else "to 0"
    cause = f"softmax twice: the loss cannot fall {floor}, and its gradient vanishes"
    return Symptom("double-softmax", history.step, seen, cause, "give cross_entropy the logits, without a softmax")


def untrained(history: History) -> Symptom | None:
    """The loss stands at log V, or above it."""
    plan, level = history.plan, history.answers.plateau
    if level is None or plan.choices is None or level < UNTRAINED * (blind := math.log(plan.choices)):
        return None
    if plan.unigram_entropy is not None and plan.unigram_entropy > UNTRAINED * blind:
        return None  # all tokens occur equally often: a blind guess and counting are the same
    if level <= blind + JUMP and history.rows[0].get(plan.answers_loss, 0.0) > FELL * level:
        return None  # it began above log V: something was learned
    if level > blind + JUMP:
        seen = f"the loss has stood at {level:.2f} for {plan.window} steps, above log V = {blind:.2f}"
        return _lr_too_high(history, f"{seen}, that of a blind guess")
    seen = f"the loss has stood at {level:.3f} for {plan.window} steps, log V = {blind:.3f}: nothing is learned"
    cause = "a learning rate far too small, or gradients that vanish"
    remedy = "raise --lr" + " tenfold" * (not plan.fine_tuned)
    return Symptom("untrained", history.step, seen, cause, remedy)


def diverging(history: History) -> Symptom | None:
    """The loss has risen far above its best, and stays there."""
    losses = history.loss.losses
    smooth = _medians(losses, max(IN_A_ROW, history.rows_in(LASTING)))
    if len(smooth) < 2 * IN_A_ROW:
        return None
    best = smooth[:-IN_A_ROW].min()
    if losses[-IN_A_ROW:].min() < best + max(JUMP, NOISY * history.loss.noise):
        return None
    seen = f"the loss had fallen to {best:.2f} and has risen to {smooth[-1]:.2f}"
    return _lr_too_high(history, seen)


def spikes(history: History) -> Symptom | None:
    """The loss has jumped up several times."""
    lasting = history.rows_in(LASTING)
    losses = _medians(history.loss.losses, lasting)
    if len(losses) < 3 * IN_A_ROW:
        return None
    jumps = losses[5:] - _medians(losses[:-1], 5)  # over the five before
    high = jumps > max(JUMP, NOISY * history.loss.noise / math.sqrt(lasting))
    number = np.count_nonzero(high[1:] & ~high[:-1]) + int(high[0])
    if number < SPIKES:
        return None
    seen = f"the loss has jumped up {number} times, by {jumps.max():.1f} nats at most"
    return _lr_too_high(history, seen)


def clipped_and_rising(history: History) -> Symptom | None:
    """Nearly every gradient is clipped, and the loss still rises."""
    plan, halves = history.plan, history.loss.halves
    if halves is None or not plan.grad_clip:
        return None
    clipped = float(np.mean([row.get("grad_norm", 0.0) > plan.grad_clip for row in history.window]))
    rise = halves[1] - halves[0]
    noise = history.loss.noise / math.sqrt(len(history.window) / 2)
    if clipped < CLIPPED or rise < max(STEADY * halves[0], NOISY * noise):
        return None
    seen = (
        f"the gradient was clipped to {plan.grad_clip:g} at {clipped:.0%} of the last {plan.window} steps, and the "
        f"loss rose from {halves[0]:.2f} to {halves[1]:.2f}"
    )
    return _lr_too_high(history, seen)


def no_warmup(history: History) -> Symptom | None:
    """The first steps raised the loss, since no warm-up kept them small."""
    plan, first = history.plan, history.rows[0]
    if plan.warmup >= LITTLE_WARMUP or len(history.rows) < 2 * IN_A_ROW or history.step < FIRST_STEPS:
        return None
    begins = first.get("health", {}).get("loss_first", first["train_loss"])
    early = [_highest(row) for row in history.rows[: FIRST_STEPS + 1] if row["step"] <= FIRST_STEPS]
    lasting = _medians(np.array(early), history.rows_in(LASTING))
    if not len(lasting):
        return None  # too few rows to tell
    peak = lasting.max()
    spread = float(np.median([_highest(row) - row["train_loss"] for row in history.recent]))  # of single batches
    if peak < begins + max(JUMP, 4 * spread, NOISY * history.loss.noise):
        return None
    seen = f"the loss jumped from {begins:.2f} to {peak:.2f} in the first steps, which had the full learning rate"
    cause = f"the warm-up of {plan.warmup} steps is missing or too short for Adam"
    remedy = plan.usual_warmup + (f", {plan.lower_lr}" if plan.lr > HIGH_LR else "")
    return Symptom("no-warmup", history.step, seen, cause, remedy)


def overfitting(history: History) -> Symptom | None:
    """The validation loss rises while the training loss falls."""
    measured = [(i, row["val_loss"]) for i, row in enumerate(history.recent) if "val_loss" in row]
    if len(measured) <= IN_A_ROW:
        return None
    at, best = min(measured[:-IN_A_ROW], key=lambda m: m[1])
    if min(v for _, v in measured[-IN_A_ROW:]) < OVERFITTED * best:
        return None
    then, now = history.loss.losses[max(0, at - 4) : at + 1].mean(), history.loss.losses[-5:].mean()
    if now >= then:
        return None
    seen = (
        f"the validation loss rose from {best:.3f} (step {history.recent[at]['step']}) to {measured[-1][1]:.3f} while "
        f"the training loss fell to {now:.3f}"
    )
    dropout = "--dropout 0.2" if history.plan.dropout < 0.2 else "more --dropout"
    remedy = f"fewer steps, more text, {dropout} or a smaller model"
    if history.plan.fine_tuned:
        remedy = "fewer --epochs, more examples or more --head-dropout"
    return Symptom("overfitting", history.step, seen, "the model learns the training text by heart", remedy)


def _medians(losses: np.ndarray, n: int) -> np.ndarray:
    """losses (R,) -> (R - n + 1,): the median of each n neighbours; (0,) if R < n."""
    if len(losses) < n:
        return losses[:0]
    return np.median(np.lib.stride_tricks.sliding_window_view(losses, n), axis=1)


def _highest(row) -> float:
    """The highest loss of a row's steps; their mean loss if it was not recorded."""
    return row.get("health", {}).get("loss_max", row["train_loss"])


def _stuck(history: History) -> tuple[str, str]:
    """(cause, remedy) of a model that learns nothing from context."""
    plan = history.plan
    if plan.fine_tuned:
        return stuck_in_fine_tuning(plan)
    pre = "".join(f", {option}" for option in plan.pre_norm)
    if plan.lr < LOW_LR:
        return f"the learning rate {plan.lr:g} is too low", "raise --lr tenfold"
    if plan.warmup < LITTLE_WARMUP:
        cause = f"first steps with the full learning rate of {plan.lr:g}, without a warm-up"
        cause += ", through layer norms after the residual sums" if plan.post_norm else ""
        return cause, f"{plan.usual_warmup}, {plan.lower_lr}{pre}"
    cause = f"the learning rate {plan.lr:g} is too high for a model of this depth; or the text has no order to learn"
    return cause, f"{plan.lower_lr}{pre}"


def _lr_too_high(history: History, seen: str) -> Symptom:
    """The symptom of a learning rate that is too high, with what was seen of it."""
    plan = history.plan
    warmup = f", {plan.usual_warmup}" if plan.warmup < LITTLE_WARMUP else ""
    clip = "" if plan.grad_clip else ", --grad-clip 1"
    cause = f"the learning rate {plan.lr:g} is too high"
    return Symptom("lr-too-high", history.step, seen, cause, f"{plan.lower_lr}{warmup}{clip}")


RULES = (unigram, double_softmax_level, untrained, diverging, spikes, clipped_and_rising, no_warmup, overfitting)
