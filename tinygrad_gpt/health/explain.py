"""The texts of `tinygrad-gpt doctor`: why a symptom occurs, where to read on, the figures of a run."""

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
        "model is. The loss is then almost log V less the probability of the right token. It is lowest if the model "
        "always predicts the commonest token, for sure; and a sure prediction p passes no gradient, since p (1 - p) "
        "is 0.",
        LESSON,
    ),
    "unigram": (
        "A model first learns how often each token occurs: this takes the output layer alone. To go below that level, "
        "a gradient must reach the attention. After first updates that were too large, the blocks give the same "
        "output whatever their input, and the gradient that comes back through them is nearly zero.",
        f"{LESSON}; Xiong et al., On layer normalization in the Transformer architecture (2020)",
    ),
    "untrained": (
        "A model has the loss log V if all V tokens are equally likely for it. Every model begins there, and leaves "
        "within the first dozens of steps if its weights move at all.",
        LESSON,
    ),
    "collapse": (
        "A prediction that never changes does not depend on the input. Its loss is worse than that of counting tokens, "
        "because the model is also sure of it: the weights moved far away from where they began.",
        LESSON,
    ),
    "vanishing": (
        "On its way down, every block multiplies the gradient by a factor. A norm after a residual sum divides it by "
        "that sum's standard deviation; a unit or an attention weight without slope passes nothing. Over many blocks "
        "the factors multiply, and only noise reaches the first blocks. Adam still makes steps of the usual size from "
        "it, in no useful direction, until it is smaller than Adam's eps.",
        f"{LESSON}; Xiong et al. (2020); Glorot and Bengio, Understanding the difficulty of training deep feedforward "
        "neural networks (2010)",
    ),
    "exploding": (
        "If every block multiplies the gradient by more than 1, these factors multiply up to the first blocks. A "
        "single step then throws the weights far away.",
        "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013)",
    ),
    "dead-units": (
        "A unit that is far below zero for every input has output 0 and slope 0: no gradient reaches its weights, and "
        "it stays there. A single step that was too large is enough.",
        "Glorot, Bordes and Bengio, Deep sparse rectifier neural networks (2011)",
    ),
    "saturated-units": (
        "A tanh near -1 or 1 has a slope near 0: the weights before it hardly learn any more.",
        "Glorot and Bengio (2010)",
    ),
    "saturated-attention": (
        "The softmax of scores that lie far apart is 1 for one position and 0 for the others, and its slope p (1 - p) "
        "is 0 for all of them: the model can no longer learn which position to choose.",
        "Vaswani et al., Attention is all you need (2017), section 3.2.1",
    ),
    "lr-too-high": (
        "A gradient predicts the loss for a small step only. A step that is too long for the curvature ends at a "
        "higher loss, where gradients are larger still. Clipping bounds single steps, but not their direction, and "
        "Adam moves each weight by about the learning rate, whatever the gradient.",
        "nanoGPT's recipes, in `tinygrad-gpt presets`; Loshchilov and Hutter, Decoupled weight decay (2019)",
    ),
    "no-warmup": (
        "Adam divides by the root of the mean square of the gradients so far. In the first steps this is the mean of "
        "one or two, so every weight moves by a whole learning rate, in directions that the next batch reverses.",
        f"{LESSON}; Liu et al., On the variance of the adaptive learning rate and beyond (2020)",
    ),
    "stuck-accuracy": (
        "A masked language model, too, first learns how often each token occurs, with its output layer alone. Then "
        "it has to find which of the other words tell the gap, and the gradient for that is faint: one place in seven "
        "is asked for. It is lost in noise if batches are small, or if first steps that were too large have left the "
        "blocks with the same output whatever their input. Lines that repeat teach it nothing new.",
        "lessons/06_bert.py; Devlin et al., BERT (2019), section A.2; Xiong et al. (2020)",
    ),
    "next-sentence": (
        "The judgement of a pair is read off at one place, [CLS], and there is one for each pair, against a dozen "
        "masked tokens. At log 2 it is a coin's. Labels that went another way than their pairs keep it there for ever. "
        "A loss that leaves out label 0, because padding has that id too, is content with saying 1 always.",
        "lessons/06_bert.py; Devlin et al., BERT (2019), sections 3.1 and A.2",
    ),
    "one-class": (
        "A classifier that always says the commonest class is right as often as that occurs, and this is the first "
        "thing that a new head learns. Steps that are too large throw the pre-trained weights away before it can learn "
        "more; too few steps end before it does. On small sets some seeds fail where others do well.",
        "Mosbach et al., On the stability of fine-tuning BERT (2020); Zhang et al., Revisiting few-sample BERT "
        "fine-tuning (2020)",
    ),
    "future": (
        "A model that reads from left to right is asked for the next token at every place at once. If a place can look "
        "at those after it, the answer stands there to be copied: the loss falls as it never should, and an accuracy "
        "near 1 comes within an epoch. When the model writes, nothing stands there yet, and it knows nothing else.",
        "Vaswani et al., Attention is all you need (2017), section 3.2.3",
    ),
    "guessing": (
        "Who always says the commonest token is right that often without reading anything. A translator leaves that "
        "level within some hundreds of steps, if its weights move at all.",
        "lessons/07_translation.py; Popel and Bojar, Training tips for the Transformer model (2018)",
    ),
    "free-running": (
        "In training the decoder reads the right words, whatever it would have written. So its loss does not show a "
        "mistake in what it reads when it writes, nor one that hands it the answer: only translations do.",
        "Bengio et al., Scheduled sampling for sequence prediction with recurrent neural networks (2015); Ranzato et "
        "al., Sequence level training with recurrent neural networks (2016)",
    ),
    "repeats": (
        "A model that does not know what comes next takes what is likely after the last words, and that is soon what "
        "came after them the time before. To take the likeliest token each time makes it worse: it leaves no circle.",
        "Holtzman et al., The curious case of neural text degeneration (2020); Welleck et al. (2020)",
    ),
    "overfitting": (
        "A model can always lower the training loss by learning the text by heart. The weights at the lowest "
        "validation loss were the best ones.",
        "Srivastava et al., Dropout (2014)",
    ),
}


def paragraph(finding: Symptom) -> str:
    """What was seen, why it happens, its likely cause, what to do, where to read on."""
    why, reading = WHY[finding.kind]
    seen, cause = (text[0].upper() + text[1:] for text in (finding.seen, finding.cause))
    return f"{seen}. {why}\nLikely cause: {cause}.\nWhat to do: {finding.remedy}.\nRead: {reading}"


def signs(checkup: Checkup) -> list[str]:
    """The figures that show how a run does, a line each."""
    plan, rows = checkup.plan, checkup.rows
    end = rows[-1]
    blind = "" if plan.choices is None else f"; guessing blindly log {plan.choices} = {math.log(plan.choices):.3f}"
    unigram = "" if plan.unigram_entropy is None else f", by counting answers {plan.unigram_entropy:.3f}"
    part = "" if plan.part is None else f", of which {plan.part} {end.get(plan.answers_loss, math.nan):.3f}"
    smoothed = f", with label smoothing {plan.label_smoothing:g}" if plan.label_smoothing else ""
    lines = [f"loss                {end['train_loss']:.3f} after {end['step']} steps{smoothed}{part}{blind}{unigram}"]
    measured = [row for row in rows if "val_loss" in row]
    if measured:
        best, last = min(measured, key=lambda row: row["val_loss"]), measured[-1]
        lines.append(
            f"validation          {last['val_loss']:.3f}, at its best {best['val_loss']:.3f} (step {best['step']})"
        )
        scores = [name for name in plan.metrics or () if name != "val_loss" and name in last]
        if scores:
            said = (f"{name.replace('_', ' ')} {last[name]:.3f}" for name in scores)
            lines.append(f"scores              {', '.join(said)}")
    clipped = "no clipping"
    if plan.grad_clip:
        recent = History(plan, rows).recent
        share = sum(row.get("grad_norm", 0) > plan.grad_clip for row in recent) / len(recent)
        clipped = f"clipped to {plan.grad_clip:g} at {share:.0%} of the rows"
    lines.append(f"gradient            norm {rows[-1].get('grad_norm', math.nan):.2g} at the last step, {clipped}")
    snapshots = [row["health"] for row in rows if has_snapshot(row)]
    return lines + (_signs_of_snapshot(plan, snapshots[-1]) if snapshots else [])


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


def _signs_of_snapshot(plan: Plan, snapshot: dict[str, Any]) -> list[str]:
    lines, gradients = [], snapshot["block_gradients"]
    if "accuracy" in snapshot and "prediction_share" in snapshot:
        common = "" if plan.commonest_share is None else f"; the commonest is {plan.commonest_share:.0%} of the data"
        right, same = f"{snapshot['accuracy']:.0%} right", f"{snapshot['prediction_share']:.0%} are the same{common}"
        lines.append(f"predictions         {right}; {same}")
    if gradients:
        lines.append(f"gradient by block   {min(gradients):.2g} to {max(gradients):.2g}")
    if snapshot["flat_units"]:
        lines.append(f"units without slope at most {max(snapshot['flat_units']):.0%} of a block's")
        lines.append(f"saturated attention at most {max(snapshot['saturated_attention']):.0%} of a block's")
    return lines
