"""Rules about the scores of evaluations: those that stay where a guess has them. Each takes a History and returns a
Symptom, or None.

They know BERT's illnesses: masked tokens that are guessed no better than by counting, pairs of sentences judged by the
toss of a coin, and a classifier that gives every text the same class.
"""

import math

import numpy as np

from tinygrad_gpt.health.history import (
    ABOVE_UNIGRAM,
    FIRST_SNAPSHOT,
    IN_A_ROW,
    LEAST_WINDOW,
    LITTLE_WARMUP,
    STOPPED,
    Curve,
    History,
    Plan,
    Symptom,
)

MOVED = 1.1  # times the commonest token's share: held-out texts have another share than those that were counted ...
SLIGHTLY = 0.002  # ... and chance moves an accuracy by so much
COPIED = (
    0.9  # share of the entropy: masking leaves some of the chosen tokens in their place, whose loss falls by copying
)
PATIENCE = 500  # steps after the warm-up, since a small BERT rests at these levels for hundreds ...
LONG = 0.5  # ... and for the pairs, which are learned after the words, this share of the run
COIN, NEAR_COIN = 0.5, 0.05  # accuracy of a guess; the mean of several evaluations may be away from it by this much
NEAR_LOG_2 = 0.02  # share of log 2: where few pairs are held out, their loss tells more than their accuracy
SURE = 0.1  # nats: a loss that no judgement of real pairs has after few steps
ONE_CLASS = 0.95  # of all predictions
HIGH_FOR_POST_NORM = 1e-3  # from here on some such models stop learning, and others, such as bert-small, do not
HIGH_FOR_FINE_TUNING = 1e-4  # published recipes have 2e-5 to 5e-5


def stuck_accuracy(history: History) -> Symptom | None:
    """Hidden tokens are guessed as rightly as by always saying the commonest one, and the loss agrees. (Those that
    masking left in their place are no riddle, and the accuracy of MaskedLM does not count them.)"""
    plan = history.plan
    accuracies, share = history.scores(f"{plan.part}_accuracy"), plan.commonest_share
    if not accuracies or share is None or history.step < plan.warmup + PATIENCE:
        return None
    level, entropy, held_out = history.answers.plateau, plan.unigram_entropy, ""
    if level is None:
        level, held_out = _held_out_level(history), "held-out "
    if level is None or entropy is None or not COPIED * entropy <= level <= (1 + ABOVE_UNIGRAM) * entropy:
        return None
    if max(accuracies) > MOVED * share + SLIGHTLY:
        return None
    seen = (
        f"the {plan.part} accuracy does not move: it is {accuracies[-1]:.3f}, and the commonest token's share "
        f"{share:.3f}; the {held_out}{plan.part} loss has stood at {level:.3f}"
        f"{'' if held_out else f' for {plan.window} steps'}, near the unigram entropy of the text ({entropy:.3f})"
    )
    others = "lines that repeat, batches with too few gaps, padding that is not masked"
    if plan.warmup < LITTLE_WARMUP:
        cause = f"first steps with the full learning rate of {plan.lr:g}, without a warm-up"
        remedy = f"{plan.usual_warmup}, {plan.lower_lr}"
    elif plan.post_norm and plan.lr >= HIGH_FOR_POST_NORM:
        cause = (
            f"a learning rate, {plan.lr:g}, that may be too high for norms after the residual sums; or too few steps"
        )
        remedy = f"{plan.lower_lr}; or more --steps, a larger --batch-size"
    else:
        cause, remedy = f"too few steps at the learning rate {plan.lr:g}", "more --steps, a larger --batch-size"
    return Symptom("stuck-accuracy", history.step, seen, f"{cause}; or {others}", remedy)


def _held_out_level(history: History) -> float | None:
    """The level at which the held-out loss of the part stands still: small batches hide that of training."""
    measured = history.scores(f"val_{history.plan.answers_loss}")
    if not measured or measured[0] - measured[-1] > STOPPED * measured[-1]:
        return None
    return float(np.mean(measured))


def next_sentence(history: History) -> Symptom | None:
    """Pairs of sentences are judged as rightly as by the toss of a coin."""
    plan, accuracies = history.plan, history.scores("next_sentence_accuracy")
    rows = history.last(max(PATIENCE, round(LONG * plan.steps)))
    curve = Curve("next_sentence_loss", history.recent, rows)
    if not accuracies or curve.halves is None or not _counts(history):
        return None
    by_accuracy = abs(np.mean(accuracies) - COIN) <= NEAR_COIN and np.ptp(accuracies) <= 2 * NEAR_COIN
    by_loss = min(history.scores("val_next_sentence_loss"), default=0.0) >= (1 - NEAR_LOG_2) * math.log(2)
    guess = f"the next-sentence accuracy is {np.mean(accuracies):.2f}, that of a coin"
    if not by_accuracy:
        guess += ", as the held-out loss says"
    level = curve.plateau
    at_log_2 = level is not None and abs(level - math.log(2)) <= NEAR_LOG_2 * math.log(2)
    if at_log_2 and (by_accuracy or by_loss):
        seen = f"{guess}, and its loss has stood at {level:.3f} = log 2 since step {rows[0]['step']}"
        cause = "labels that do not belong to their pairs, a head that does not read [CLS], or too few steps"
        remedy = "look at a few pairs and their labels (0: B follows A); more --steps, a larger --batch-size"
        return Symptom("next-sentence", history.step, seen, cause, remedy)
    if by_accuracy and curve.halves[1] < SURE and _sure_at_once(history):
        seen = f"{guess}, and yet its training loss is {curve.halves[1]:.3f}"
        cause = "one of the two labels does not count, as with the padding's id, 0, as ignore_index"
        return Symptom("next-sentence", history.step, seen, cause, "give the pairs' cross_entropy no ignore_index")
    return None


def _counts(history: History) -> bool:
    """Whether the loss of the pairs is a part of what training minimises."""
    row = history.rows[-1]
    rest = row["train_loss"] - row.get("masked_loss", 0.0)
    return abs(rest) > 1e-6 * abs(row["train_loss"])


def _sure_at_once(history: History) -> bool:
    """Whether the pairs were no riddle soon after the warm-up: too soon for learning them by heart."""
    until = history.plan.warmup + LEAST_WINDOW
    return any(row.get("next_sentence_loss", 1.0) < SURE for row in history.rows if row["step"] <= until)


def one_class(history: History) -> Symptom | None:
    """A classifier gives each held-out text the same class, or a tagger no word a label. (Many do so after the first
    epoch.)"""
    plan, needed = history.plan, 1 if history.step == history.plan.steps else IN_A_ROW
    score = "matthews" if any("matthews" in row for row in history.recent) else "recall"  # 0 for a constant answer
    measured = [row for row in history.recent if score in row and "accuracy" in row][-needed:]
    if len(measured) < needed or history.step < FIRST_SNAPSHOT or any(row[score] for row in measured):
        return None
    shares = [s["prediction_share"] for s in history.snapshots if "prediction_share" in s]
    if np.ptp([row["accuracy"] for row in measured]) > 0 or min(shares, default=1.0) < ONE_CLASS:
        return None
    if measured[-1]["accuracy"] == 1:
        return None  # there is one class to find
    share = "" if plan.commonest_share is None else f" (the commonest class is {plan.commonest_share:.0%} of the data)"
    what = "every text gets the same class" if score == "matthews" else "no word gets a label of its own"
    seen = f"{what}: accuracy {measured[-1]['accuracy']:.3f}, {score} 0{share}"
    return Symptom("one-class", history.step, seen, *stuck_in_fine_tuning(plan))


def stuck_in_fine_tuning(plan: Plan) -> tuple[str, str]:
    """(cause, remedy) of a classifier that learns how often each class occurs, and no more."""
    if plan.lr > HIGH_FOR_FINE_TUNING:
        cause, remedy = f"the learning rate {plan.lr:g} is too high for fine-tuning", f"--lr {plan.lr / 10:.0e}"
    else:
        cause, remedy = f"too few steps ({plan.steps}) for so few texts", "more --epochs"
    if plan.warmup < LITTLE_WARMUP:
        cause, remedy = f"{cause}, and it has no warm-up", f"{remedy}, {plan.usual_warmup}"
    return cause, f"{remedy}; other seeds"


RULES = (stuck_accuracy, next_sentence, one_class)
