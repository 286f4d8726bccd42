"""Rules about a translator's illnesses. Each takes a History and returns a Symptom, or None.

In training a translator is told the right words so far. A low loss can therefore hide that it was told too much, or
that it cannot go on from its own words: what it writes alone shows that.
"""

from typing import Any

from tinygrad_gpt.health.history import IN_A_ROW, History, Symptom
from tinygrad_gpt.health.loss_rules import LOW_LR
from tinygrad_gpt.health.score_rules import MOVED, SLIGHTLY

NEARLY_ALL, MOST = 0.9, 0.75  # of the tokens, which a language leaves open, nobody predicts so many
MOST_OF_MANY = 0.5  # the same of whole words: a model that knows half of them writes sentences; pieces are easier
MANY = 1000  # choices from which tokens are taken for words
NOTHING = 1.0  # BLEU: some words are right by chance
CIRCLES = 0.3  # share of the runs of three words; people have a hundredth
PATIENCE = 500  # steps after the warm-up: every model goes round in circles at first


def guessing(history: History) -> Symptom | None:
    """No more of the tokens are predicted than by always saying the commonest one."""
    plan, share = history.plan, history.plan.commonest_share
    accuracies = [row["token_accuracy"] for row in history.recent if "token_accuracy" in row]
    over = history.step == plan.steps
    if share is None or not accuracies or history.step <= plan.warmup or history.counts_only:
        return None  # the last: another rule reports it
    if not over and (len(accuracies) < IN_A_ROW or history.step < plan.warmup + PATIENCE):
        return None
    if max(accuracies[-1 if over else -IN_A_ROW :]) > MOVED * share + SLIGHTLY:
        return None
    seen = (
        f"no better than a guess: told the right words before, it predicts {accuracies[-1]:.1%} of the tokens, and the "
        f"commonest token is {share:.1%} of them"
    )
    if plan.lr < LOW_LR:
        remedy = "--lr 1" if plan.schedule == "noam" else "raise --lr tenfold"
        return Symptom("guessing", history.step, seen, f"the learning rate {plan.lr:.2g} is too low", remedy)
    cause = f"too few steps ({history.step}); or a learning rate, {plan.lr:.2g}, that is too high"
    return Symptom("guessing", history.step, seen, cause, f"more --steps; or {plan.lower_lr}")


def free_running(history: History) -> Symptom | None:
    """The right words are predicted, and what the model writes alone has none of them."""
    plan, measured = history.plan, _translated(history)
    if measured and measured[-1]["step"] == plan.steps:
        measured = measured[-1:]  # which is of all held-out sentences
    elif len(measured) < IN_A_ROW:
        return None
    if any(row.get("health", {}).get("sees_future") for row in history.recent):
        return None  # another rule reports it
    accuracy, bleu = (min(row[name] for row in measured) for name in ("token_accuracy", "bleu"))
    most = MOST_OF_MANY if (plan.choices or 0) >= MANY else MOST
    if accuracy < most or max(row["bleu"] for row in measured) >= NOTHING:
        return None
    seen = (
        f"told the right words before, it predicts {accuracy:.0%} of the tokens; writing alone, it has BLEU {bleu:.1f}"
    )
    decoding = "ids of another vocabulary, another first token, a loop that does not feed back what was written"
    if accuracy >= NEARLY_ALL:
        cause = f"the decoder reads the tokens that it is asked for (labels that are not shifted); or {decoding}"
    else:
        cause = f"what it reads when it writes is not what it reads in training: {decoding}"
    remedy = "look at a batch and at what is read and written for one of its sentences"
    return Symptom("free-running", history.step, seen, cause, remedy)


def repeats(history: History) -> Symptom | None:
    """What the model writes goes round in circles, long after the warm-up."""
    plan, measured = history.plan, _translated(history)
    if len(measured) < IN_A_ROW or history.step < plan.warmup + PATIENCE:
        return None
    if min(row.get("repeats", 0.0) for row in measured) < CIRCLES:
        return None
    share = measured[-1]["repeats"]
    seen = f"translations go round in circles: {share:.0%} of their runs of three words stood there before"
    cause = "too few steps; or a decoder that makes no use of the source, or never learned to end"
    remedy = "more --steps; look whether the source's mask leaves its words, and whether targets end with the end token"
    return Symptom("repeats", history.step, seen, cause, remedy)


def _translated(history: History) -> list[dict[str, Any]]:
    """The last evaluations after the warm-up that translated something, IN_A_ROW of them or fewer."""
    found = [row for row in history.recent if "bleu" in row and "token_accuracy" in row]
    return [row for row in found if row["step"] > history.plan.warmup][-IN_A_ROW:]


RULES = (guessing, free_running, repeats)
