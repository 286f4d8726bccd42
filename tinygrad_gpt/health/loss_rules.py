"""Rules about the curve of the loss. Each takes a History and returns a Symptom, or None."""

import math

import numpy as np

from tinygrad_gpt.health.history import HIGH_LR, LOOKS, History, Symptom
from tinygrad_gpt.tasks.baselines import double_softmax_constant, double_softmax_floor

ABOVE_UNIGRAM = 0.03  # parts of the entropy: weights that are kept in motion by a high learning rate cost that much
BELOW_UNIGRAM = 0.015  # parts of the entropy: a model that is further below it uses some context
NEAR_CONSTANT = 0.02  # nats: what a double softmax stands at is known to the third digit
UNTRAINED = 0.98  # parts of log V: a guess that knows nothing at all
JUMP = 0.5  # nats: a rise of the loss that no batch of ordinary text makes by itself ...
NOISY = 6  # ... nor by this many standard deviations of a row's loss
SPIKES = 3  # that many are a habit
LASTING = 5  # steps: a single batch of odd text raises the loss for one step, a step that was too long for several
CLIPPED = 0.9  # of the steps: clipping is there for the odd one
STEADY = 0.02  # parts of the loss: a rise by less is a matter of batches
LITTLE_WARMUP = 10  # steps: Adam's mean of g² is one of fewer gradients than this while they are made
LOW_LR = 1e-4  # of small models: below it Adam takes hundreds of steps to move a weight by its own size
FIRST_STEPS = 100  # when a missing warm-up shows
OVERFITTED = 1.03  # times the best validation loss


def unigram(history: History) -> Symptom | None:
    """The loss stands at the unigram entropy: the model knows how often each token comes, and uses no context."""
    level, entropy = history.plateau, history.plan.unigram_entropy
    if level is None or entropy is None or not is_unigram(level, entropy):
        return None
    seen = (
        f"the loss has stood at {level:.3f} for {history.plan.window} steps, the unigram entropy of the text "
        f"({entropy:.3f}): predictions make no use of context"
    )
    if history.looks and "prediction_share" in history.looks[-1]:
        seen += f", and {history.looks[-1]['prediction_share']:.0%} of them are the same token"
    return Symptom("unigram", history.step, seen, *_stuck(history))


def is_unigram(level: float, entropy: float) -> bool:
    """Whether a loss is that of a model which knows how often each token comes, and nothing else."""
    return -BELOW_UNIGRAM * entropy <= level - entropy <= ABOVE_UNIGRAM * entropy


def double_softmax_level(history: History) -> Symptom | None:
    """The loss stands where a softmax of probabilities puts a model that always says the commonest token."""
    plan, level = history.plan, history.plateau
    if None in (level, plan.choices, plan.unigram_entropy, plan.commonest_share):
        return None
    expected = double_softmax_constant(plan.choices, plan.commonest_share)
    told_apart = min(abs(expected - plan.unigram_entropy), math.log(plan.choices) - expected) > 2 * NEAR_CONSTANT
    if abs(level - expected) > NEAR_CONSTANT or not told_apart:
        return None
    seen = (
        f"the loss has stood at {level:.3f} for {plan.window} steps, which is log(e + V - 1) less the share of the "
        "commonest token"
    )
    return double_softmax_finding(history, seen)


def double_softmax_finding(history: History, seen: str) -> Symptom:
    """Softmax twice, however it was seen."""
    choices = history.plan.choices
    floor = f" below log(1 + (V-1)/e) = {double_softmax_floor(choices):.3f}" if choices else ""
    cause = f"softmax twice: the loss cannot fall{floor or ' to 0'}, and its gradient vanishes"
    return Symptom("double-softmax", history.step, seen, cause, "give cross_entropy the logits, without a softmax")


def untrained(history: History) -> Symptom | None:
    """The loss stands at log V, or above it."""
    plan, level = history.plan, history.plateau
    if level is None or plan.choices is None or level < UNTRAINED * (blind := math.log(plan.choices)):
        return None
    if plan.unigram_entropy is not None and plan.unigram_entropy > UNTRAINED * blind:
        return None  # a text whose tokens all come equally often: a blind guess and counting are the same
    if level > blind + JUMP:
        seen = f"the loss has stood at {level:.2f} for {plan.window} steps, above log V = {blind:.2f}"
        return Symptom("lr-too-high", history.step, f"{seen}, that of a blind guess", *_too_high(history))
    seen = f"the loss has stood at {level:.3f} for {plan.window} steps, log V = {blind:.3f}: nothing is learned"
    return Symptom(
        "untrained", history.step, seen, "a learning rate far too small, or gradients that vanish", "raise --lr tenfold"
    )


def diverging(history: History) -> Symptom | None:
    """The loss has risen far above its best, and stays there."""
    losses = history.losses
    smooth = _medians(losses, max(LOOKS, history.rows_in(LASTING)))
    if len(smooth) < 2 * LOOKS:
        return None
    best = smooth[:-LOOKS].min()
    if losses[-LOOKS:].min() < best + max(JUMP, NOISY * history.noise):
        return None
    seen = f"the loss had come down to {best:.2f} and has risen to {smooth[-1]:.2f}"
    return Symptom("lr-too-high", history.step, seen, *_too_high(history))


def spikes(history: History) -> Symptom | None:
    """The loss has jumped up time and again."""
    together = history.rows_in(LASTING)
    losses = _medians(history.losses, together)
    if len(losses) < 3 * LOOKS:
        return None
    jumps = losses[5:] - _medians(losses[:-1], 5)  # over the five before
    high = jumps > max(JUMP, NOISY * history.noise / math.sqrt(together))
    number = np.count_nonzero(high[1:] & ~high[:-1]) + int(high[0])
    if number < SPIKES:
        return None
    seen = f"the loss has jumped up {number} times, by {jumps.max():.1f} nats at most"
    return Symptom("lr-too-high", history.step, seen, *_too_high(history))


def clipped_and_rising(history: History) -> Symptom | None:
    """Nearly every gradient is clipped, and the loss rises all the same."""
    plan, halves = history.plan, history.halves
    if halves is None or not plan.grad_clip:
        return None
    clipped = float(np.mean([row.get("grad_norm", 0.0) > plan.grad_clip for row in history.window]))
    rise = halves[1] - halves[0]
    if clipped < CLIPPED or rise < max(STEADY * halves[0], NOISY * history.noise / math.sqrt(len(history.window) / 2)):
        return None
    seen = (
        f"the gradient was clipped to {plan.grad_clip:g} at {clipped:.0%} of the last {plan.window} steps, and the "
        f"loss rose from {halves[0]:.2f} to {halves[1]:.2f}"
    )
    return Symptom("lr-too-high", history.step, seen, *_too_high(history))


def no_warmup(history: History) -> Symptom | None:
    """The very first steps threw the loss up, and no warm-up was there to keep them small."""
    plan, first = history.plan, history.rows[0]
    if plan.warmup >= LITTLE_WARMUP or len(history.rows) < 2 * LOOKS or history.step < FIRST_STEPS:
        return None
    begins = first.get("health", {}).get("loss_first", first["train_loss"])
    early = [_highest(row) for row in history.rows[: FIRST_STEPS + 1] if row["step"] <= FIRST_STEPS]
    lasting = _medians(np.array(early), history.rows_in(LASTING))
    if not len(lasting):
        return None  # too few rows to tell
    peak = lasting.max()
    spread = float(np.median([_highest(row) - row["train_loss"] for row in history.recent]))  # of single batches
    if peak < begins + max(JUMP, 4 * spread, NOISY * history.noise):
        return None
    seen = f"the loss jumped from {begins:.2f} to {peak:.2f} in the first steps, which had the full learning rate"
    return Symptom(
        "no-warmup",
        history.step,
        seen,
        f"the warm-up of {plan.warmup} steps is missing or too short for Adam",
        f"--warmup {_usual_warmup(plan)}" + (f", {plan.lower_lr}" if plan.lr > HIGH_LR else ""),
    )


def overfitting(history: History) -> Symptom | None:
    """The validation loss rises while the training loss falls."""
    measured = [(i, row["val_loss"]) for i, row in enumerate(history.recent) if "val_loss" in row]
    if len(measured) <= LOOKS:
        return None
    at, best = min(measured[:-LOOKS], key=lambda m: m[1])
    if min(v for _, v in measured[-LOOKS:]) < OVERFITTED * best:
        return None
    then, now = history.losses[max(0, at - 4) : at + 1].mean(), history.losses[-5:].mean()
    if now >= then:
        return None
    seen = (
        f"the validation loss rose from {best:.3f} (step {history.recent[at]['step']}) to {measured[-1][1]:.3f} while "
        f"the training loss fell to {now:.3f}"
    )
    dropout = "--dropout 0.2" if history.plan.dropout < 0.2 else "more --dropout"
    remedy = f"fewer steps, more text, {dropout} or a smaller model"
    return Symptom("overfitting", history.step, seen, "the model learns the training text by heart", remedy)


def _medians(losses: np.ndarray, n: int) -> np.ndarray:
    """losses (R,) -> (R - n + 1,): the median of each n neighbours; (0,) where there are fewer."""
    if len(losses) < n:
        return losses[:0]
    return np.median(np.lib.stride_tricks.sliding_window_view(losses, n), axis=1)


def _highest(row) -> float:
    """The loss of the worst step since the row before; its mean loss, where that was not recorded."""
    return row.get("health", {}).get("loss_max", row["train_loss"])


def _stuck(history: History) -> tuple[str, str]:
    """(cause, remedy) of a model that learns nothing from context."""
    plan = history.plan
    pre = ", --norm pre" if plan.norm == "post" else ""
    if plan.lr < LOW_LR:
        return f"the learning rate {plan.lr:g} is too low", "raise --lr tenfold"
    if plan.warmup < LITTLE_WARMUP:
        cause = f"first steps with the full learning rate of {plan.lr:g}, without a warm-up"
        cause += ", through layer norms after the residual sums" if pre else ""
        return cause, f"--warmup {_usual_warmup(plan)}, {plan.lower_lr}{pre}"
    cause = f"the learning rate {plan.lr:g} is too high for a model of this depth; or the text has no order to learn"
    return cause, f"{plan.lower_lr}{pre}"


def _too_high(history: History) -> tuple[str, str]:
    """(cause, remedy) of a learning rate that is too high."""
    plan = history.plan
    warmup = f", --warmup {_usual_warmup(plan)}" if plan.warmup < LITTLE_WARMUP else ""
    clip = "" if plan.grad_clip else ", --grad-clip 1"
    return f"the learning rate {plan.lr:g} is too high", f"{plan.lower_lr}{warmup}{clip}"


def _usual_warmup(plan) -> int:
    """A twentieth of the run, as recipes have it, but 20 steps at least and 2000 at most."""
    return min(2000, max(20, round(plan.steps / 20)))


RULES = (
    unigram,
    double_softmax_level,
    untrained,
    diverging,
    spikes,
    clipped_and_rising,
    no_warmup,
    overfitting,
)
