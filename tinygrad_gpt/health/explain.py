"""What `tinygrad-gpt doctor` tells: why a finding happens and where to read on; what shows that a run is healthy."""

import math
from typing import Any

from tinygrad_gpt.health.checkup import Checkup
from tinygrad_gpt.health.history import History, Plan, Symptom
from tinygrad_gpt.health.snapshot import has_snapshot

LESSON = "lessons/04_stuck_accuracy.py"

# kind -> (why it happens, where to read)
WHY = {
    "double-softmax": (
        "Softmax of probabilities, which lie between 0 and 1, is nearly the same for all tokens, however sure the "
        "model is. The loss is then almost log V less the probability of the right token, a score that is best served "
        "by always saying the commonest token, for sure; and a sure prediction p passes no gradient, since p (1 - p) "
        "is 0.",
        LESSON,
    ),
    "unigram": (
        "How often each token comes is the first thing that a model learns: it takes the output layer alone. To go "
        "below that level, a gradient must reach the attention. Where the first updates were too large, the blocks "
        "give the same output whatever their input, and the gradient that comes back through them is all but zero.",
        f"{LESSON}; Xiong et al., On layer normalization in the Transformer architecture (2020)",
    ),
    "untrained": (
        "A loss of log V is that of a model which holds all V tokens for equally likely. Every model begins there, "
        "and leaves within the first dozens of steps if its weights move at all.",
        LESSON,
    ),
    "collapse": (
        "A prediction that never changes does not depend on what the model reads. Its loss is worse than that of "
        "honest counting, because it is also sure of itself: the weights ran far away from where they began.",
        LESSON,
    ),
    "vanishing": (
        "On its way down, every block multiplies the gradient by something. A norm after a residual sum divides it by "
        "that sum's standard deviation; a unit or an attention weight without slope passes nothing. Over many blocks "
        "this is a power, and the first blocks are left with noise. Adam makes steps of the usual size of it all the "
        "same, in no useful direction, until it is smaller than Adam's eps.",
        f"{LESSON}; Xiong et al. (2020); Glorot and Bengio, Understanding the difficulty of training deep feedforward "
        "neural networks (2010)",
    ),
    "exploding": (
        "Where every block multiplies the gradient by more than 1, the first blocks get a power of it. One such step "
        "throws the weights far away.",
        "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013)",
    ),
    "dead-units": (
        "A unit that is far below zero for every input has output 0 and slope 0: no gradient reaches its weights, and "
        "it stays there. A single step that was too large does it.",
        "Glorot, Bordes and Bengio, Deep sparse rectifier neural networks (2011)",
    ),
    "saturated-units": (
        "A tanh near -1 or 1 has slope near 0: what goes into it can hardly be learned any more.",
        "Glorot and Bengio (2010)",
    ),
    "saturated-attention": (
        "The softmax of scores that lie far apart is 1 for one position and 0 for the others, and its slope p (1 - p) "
        "is 0 for all of them: which position is chosen can no longer be learned.",
        "Vaswani et al., Attention is all you need (2017), section 3.2.1",
    ),
    "lr-too-high": (
        "A gradient tells how the loss changes for a small step. Steps that are too long for the curvature land "
        "higher than they started, where gradients are larger still. Clipping bounds single steps, but not their "
        "direction, and Adam's steps have a length of about the learning rate whatever the gradient.",
        "nanoGPT's recipes, in `tinygrad-gpt presets`; Loshchilov and Hutter, Decoupled weight decay (2019)",
    ),
    "no-warmup": (
        "Adam divides by the root of the mean square of the gradients so far. At the first steps that is a mean of one "
        "or two, so every weight moves by a whole learning rate, in directions that the next batch takes back.",
        f"{LESSON}; Liu et al., On the variance of the adaptive learning rate and beyond (2020)",
    ),
    "overfitting": (
        "The training loss can always be brought down by learning the text by heart. The weights at the lowest "
        "validation loss were the best ones.",
        "Srivastava et al., Dropout (2014)",
    ),
}


def paragraph(finding: Symptom) -> str:
    """What was seen, why it happens, what to do, where to read."""
    why, reading = WHY[finding.kind]
    seen = finding.seen[0].upper() + finding.seen[1:]
    cause = finding.cause[0].upper() + finding.cause[1:]
    return f"{seen}. {why}\nLikely cause: {cause}.\nWhat to do: {finding.remedy}.\nRead: {reading}"


def signs(checkup: Checkup) -> list[str]:
    """The figures of a run that tell how it does, a line each."""
    plan, rows = checkup.plan, checkup.rows
    history = History(plan, rows)
    loss = rows[-1]["train_loss"]
    blind = "" if plan.choices is None else f"; guessing blindly log {plan.choices} = {math.log(plan.choices):.3f}"
    unigram = "" if plan.unigram_entropy is None else f", by counting answers {plan.unigram_entropy:.3f}"
    lines = [f"loss                {loss:.3f} after {history.step} steps{blind}{unigram}"]
    measured = [row for row in rows if "val_loss" in row]
    if measured:
        best = min(measured, key=lambda row: row["val_loss"])
        last = measured[-1]["val_loss"]
        lines.append(f"validation          {last:.3f}, at its best {best['val_loss']:.3f} (step {best['step']})")
    lines.append(
        f"gradient            norm {rows[-1].get('grad_norm', math.nan):.2g} at the last step, {_clipped(history)}"
    )
    seen = [row["health"] for row in rows if has_snapshot(row)]
    if seen:
        lines += _signs_of_look(plan, seen[-1])
    return lines


def not_checked(checkup: Checkup) -> list[str]:
    """What could not be checked in this run, and why."""
    plan, rows = checkup.plan, checkup.rows
    lines = []
    if not any(has_snapshot(row) for row in rows):
        lines.append("gradients by block, predictions and units: rows have no snapshots (a run with --health has them)")
    if plan.unigram_entropy is None:
        lines.append("whether the loss is that of counting answers: config.json has no unigram entropy to compare with")
    left = plan.warmup + plan.window - rows[-1]["step"]
    if left > 0:
        lines.append(
            f"whether the loss is stuck: this needs {plan.window} steps after the warm-up, {left} more than made"
        )
    return lines


def _signs_of_look(plan: Plan, look: dict[str, Any]) -> list[str]:
    lines, gradients = [], look["block_gradients"]
    if "accuracy" in look:
        common = "" if plan.commonest_share is None else f"; the commonest is {plan.commonest_share:.0%} of the data"
        right, same = f"{look['accuracy']:.0%} right", f"{look['prediction_share']:.0%} are the same{common}"
        lines.append(f"predictions         {right}; {same}")
    if gradients:
        lines.append(f"gradient by block   {min(gradients):.2g} to {max(gradients):.2g}")
        lines.append(f"units without slope {max(look['flat_units']):.0%} at most of a block's")
        lines.append(f"saturated attention {max(look['saturated_attention']):.0%} at most of a block's")
    return lines


def _clipped(history: History) -> str:
    clip = history.plan.grad_clip
    if not clip:
        return "no clipping"
    share = sum(row.get("grad_norm", 0) > clip for row in history.recent) / len(history.recent)
    return f"clipped to {clip:g} at {share:.0%} of the rows"
