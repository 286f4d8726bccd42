"""P9: does reading with a cache, piece by piece, give the same as reading at once?"""

from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import SAME, Subject, difference

QUESTION = Question("P9", "what a cache changes")
PIECES = (3, 1, 1, 1)  # tokens at a time: a prompt, and then one by one


def cache(subject: Subject) -> Probed:
    """The scores of the next token are the same, whether a text is read at once or in pieces."""
    if subject.reader is None or subject.next_scores is None:
        return QUESTION.not_asked(subject.no_reader)
    ids, end, worst, where = subject.ids, subject.sources, 0.0, 0
    reader = subject.reader(ids[:, :end])
    for piece in PIECES:
        begin, end = end, min(end + piece, ids.shape[1])
        if begin == end:
            break
        apart = difference(reader.read(ids[:, begin:end]), subject.next_scores(ids[:, :end]))
        if apart > worst:
            worst, where = apart, begin - subject.sources
    if worst <= SAME:
        return QUESTION.right(worst, f"at most {SAME:g}")
    what = "what is read first" if where == 0 else f"what follows {where} tokens"
    return QUESTION.wrong(worst, f"at most {SAME:g}", f"with a cache, {what} gets other scores", "A20")
