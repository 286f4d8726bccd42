"""P7: does padding change anything? Rows of unequal lengths, padded to one, get what each gets alone."""

from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import SAME, Subject, difference

QUESTION = Question("P7", "what padding changes")
LONGEST = 6


def padding(subject: Subject) -> Probed:
    """A row has the same scores alone, padded, and beside rows with more or less padding."""
    if subject.padded is None:
        return QUESTION.not_asked(subject.no_padding)
    t = min(subject.sources or subject.ids.shape[1], LONGEST)
    texts = [row[: max(1, t - 2 * r)] for r, row in enumerate(subject.ids[:, :t])]  # T, T - 2, T - 4 tokens
    try:
        together = subject.padded(texts, t + 1)
        alone = [subject.padded([text], len(text))[0] for text in texts]
    except TypeError as error:  # a model, or a block of the user's own, that takes no mask
        return QUESTION.not_asked(str(error))
    apart = max(difference(a, b) for a, b in zip(together, alone, strict=True))
    if apart <= SAME:
        return QUESTION.right(apart, f"at most {SAME:g}")
    by_itself = max(difference(subject.padded([x], t + 1)[0], y) for x, y in zip(texts, alone, strict=True))
    if by_itself <= SAME:
        why = "a padded text is right alone, and wrong beside others with other lengths"
        return QUESTION.wrong(apart, f"at most {SAME:g}", why, "A17")
    why = "the same text gets other scores when padding stands beside it"
    return QUESTION.wrong(apart, f"at most {SAME:g}", why, "A18", "M04", "A16")
