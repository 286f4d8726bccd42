"""P1: does a new model begin where a blind guess does, at ln V?"""

from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import Subject

QUESTION = Question("P1", "the loss before the first step")
LEAST, MOST, MORE = 0.7, 1.25, 0.8  # of the blind loss; and nats above it: scores with a variance of 1 cost ½


def start(subject: Subject) -> Probed:
    """New weights know nothing: each of V tokens is about equally likely, which costs ln V."""
    if subject.loss is None or not subject.blind:
        return QUESTION.not_asked("its loss is not one of choosing among answers")
    with no_grad():
        loss = float(subject.loss(subject.ids, *subject.targets).item())
    blind = subject.blind
    expected = f"about {blind:.4g}, that of a blind guess"
    if LEAST * blind <= loss <= MOST * blind + MORE:
        return QUESTION.right(loss, expected)
    if loss < blind:
        why = f"a model that has seen nothing is better than a blind guess, {blind:.4g}: the answer stands in its input"
        return QUESTION.wrong(loss, expected, why, "T02", "A13")
    why = f"{loss / blind:.1f} times the loss of a blind guess: the first scores are far apart, and wrong"
    return QUESTION.wrong(loss, expected, why, "M08")
