"""P6: is evaluation the same twice?"""

from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import SAME, Subject, difference

QUESTION = Question("P6", "what differs between two evaluations")


def evaluation(subject: Subject) -> Probed:
    """In evaluation mode the scores of the same tokens are the same: nothing is drawn, nothing is kept."""
    apart = difference(subject.said(subject.ids), subject.said(subject.ids))
    if apart <= SAME:
        return QUESTION.right(apart, "0")
    why = "in evaluation mode, the same tokens get other scores each time"
    return QUESTION.wrong(apart, "0", why, "D05", "T17", "N13")
