"""The scores of answers to questions, as SQuAD counts them (Rajpurkar et al., "SQuAD: 100,000+ questions for machine
comprehension of text", 2016, section 6.1, and the script published with it).

Answers are compared after small differences are taken away: capital letters, ASCII punctuation, the articles a, an and
the, and white space. Of several right answers the one counts that gives the best score.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class AnswerScores(NamedTuple):
    """Of questions: exact_match is the share that is answered right to the letter, f1 the mean of how well the words of
    an answer agree with those of the right one."""

    exact_match: float
    f1: float


def answer_scores(right: Sequence[Sequence[str]], predicted: Sequence[str]) -> AnswerScores:
    """right: for each question one or more right answers; predicted: for each question an answer."""
    pairs = list(zip(right, predicted, strict=True))
    exact = [max(normalised(answer) == normalised(given) for answer in answers) for answers, given in pairs]
    words = [max(words_f1(answer, given) for answer in answers) for answers, given in pairs]
    return AnswerScores(sum(exact) / len(pairs), sum(words) / len(pairs))


def words_f1(right: str, predicted: str) -> float:
    """F1 of the words of one answer: 2 n / (words of the right answer + words of the predicted one), where n words are
    in both; a word that stands twice in both counts twice. Two answers without words, such as "the", agree."""
    ours, theirs = (Counter(normalised(text).split()) for text in (right, predicted))
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def normalised(text: str) -> str:
    """Lower-case, then without punctuation, then without articles, with one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
