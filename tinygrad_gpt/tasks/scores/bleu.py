"""BLEU: how many of a translation's words, and runs of words, stand in a person's translation too (Papineni, Roukos,
Ward and Zhu, "BLEU: a method for automatic evaluation of machine translation", 2002).

An n-gram is a run of n words. Of a corpus, hypotheses beside references, for n = 1 .. 4:

    matches_n = Σ over sentences Σ over n-grams g  min(times g is in the hypothesis, times g is in the reference)
    total_n   = Σ over sentences  n-grams in the hypothesis
    p_n       = matches_n / total_n                                                                    (section 2.1)

The minimum clips: "the the the the" has one match in "the cat", not four. Of several references of a sentence the one
counts in which g stands most often.

p_n is a precision, which a few safe words would bring to 1. So who writes less than the references pays for it. With h
words in all hypotheses and r in all references (of several, in the one of the nearest length):

    BP   = 1  if h ≥ r,  else e^(1 - r / h)                                                            (section 2.2.2)
    BLEU = BP · (p_1 p_2 p_3 p_4)^(1/4)  =  BP · e^(¼ Σ_n log p_n)                                     (section 2.3)

The sums go over the corpus before anything is divided. A mean of the BLEUs of single sentences is another number: many
sentences, good ones too, have no 4-gram right, and a product with a 0 in it is 0.

Where a whole corpus has no match for an n, smoothing puts something small in the place of its 0: "exp" takes
1 / (2^k total_n) for the k-th such n (Chen and Cherry, "A systematic comparison of smoothing techniques for
sentence-level BLEU", 2014, section 3, smoothing 3); "none" leaves the 0. A corpus with no match at all scores 0.

What a word is, and whether capitals count, moves BLEU by points, so scores compare only under one signature (Post, "A
call for clarity in reporting BLEU scores", 2018). The scores here, and the names in signatures, are sacrebleu's.
"""

import math
import operator
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

from tinygrad_gpt.arguments import shown

ORDER = 4  # the longest n-grams
VERSION = "tinygrad_gpt.1"  # in signatures: another one whenever another score may come out


class Bleu(NamedTuple):
    """The score of a corpus. As text it is sacrebleu's line: `BLEU = 41.02 71.0/47.5/34.3/24.5 (BP = 0.999 ...`.

    score            BLEU, 0 to 100
    precisions       100 p_n for n = 1 .. 4, after smoothing
    brevity_penalty  BP, 0 to 1
    hyp_len          words in the hypotheses
    ref_len          words in the references
    signature        what was compared, and how
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    hyp_len: int
    ref_len: int
    signature: str

    def __str__(self) -> str:
        precisions = "/".join(f"{p:.1f}" for p in self.precisions)
        ratio = self.hyp_len / self.ref_len if self.ref_len else 0.0
        lengths = f"ratio = {ratio:.3f} hyp_len = {self.hyp_len} ref_len = {self.ref_len}"
        return f"BLEU = {self.score:.2f} {precisions} (BP = {self.brevity_penalty:.3f} {lengths})"


def corpus_bleu(
    hypotheses: Sequence[str],
    *references: Sequence[str],
    tokenize: str = "13a",
    smooth: str = "exp",
    lowercase: bool = False,
) -> Bleu:
    """BLEU of a corpus of N sentences, N >= 1.

    hypotheses  N translations to score
    references  N right translations; more such lists where there are several for each sentence
    tokenize    how a sentence becomes words: a name in TOKENIZERS
    smooth      "exp" or "none"
    lowercase   compare in lower case

    Raises TypeError for what is no list of strings, such as a list of references for each sentence; ValueError for no
    sentences, lists of unequal lengths and unknown names.
    """
    _check(hypotheses, references, tokenize, smooth)
    split = TOKENIZERS[tokenize]
    matches, totals = [0] * ORDER, [0] * ORDER
    hyp_len = ref_len = 0
    for sentence in zip(hypotheses, *references, strict=True):
        ours, *right = (split(text.lower() if lowercase else text) for text in sentence)
        hyp_len += len(ours)
        ref_len += min(map(len, right), key=lambda length: (abs(length - len(ours)), length))
        for n in range(1, ORDER + 1):
            counts, allowed = ngrams(ours, n), reduce(operator.or_, (ngrams(words, n) for words in right))  # | is max
            matches[n - 1] += (counts & allowed).total()  # & is min
            totals[n - 1] += counts.total()
    precisions = _precisions(matches, totals, smooth)
    penalty = 1.0 if hyp_len >= ref_len else math.exp(1 - ref_len / hyp_len) if hyp_len else 0.0
    score = penalty * math.exp(sum(math.log(p) for p in precisions) / ORDER) if all(precisions) else 0.0
    case = "lc" if lowercase else "mixed"
    signature = f"nrefs:{len(references)}|case:{case}|eff:no|tok:{tokenize}|smooth:{smooth}|version:{VERSION}"
    return Bleu(score, precisions, penalty, hyp_len, ref_len, signature)


def ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of n words occurs."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _precisions(matches: Sequence[int], totals: Sequence[int], smooth: str) -> tuple[float, ...]:
    """100 p_n for each n. Where there is no n-gram at all, 0."""
    found, halvings = [], 0
    for right, total in zip(matches, totals, strict=True):
        if not right and total and any(matches) and smooth == "exp":
            halvings += 1
            found.append(100 / (2**halvings * total))
        else:
            found.append(100 * right / total if total else 0.0)
    return tuple(found)


def _check(hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenize: str, smooth: str) -> None:
    for texts in (hypotheses, *references):
        if isinstance(texts, str):
            raise TypeError("corpus_bleu: expected lists of sentences, got one string: put it in a list")
        if other := [text for text in texts if not isinstance(text, str)][:1]:
            raise TypeError(
                f"corpus_bleu: expected lists of sentences, got {shown(other[0])} in one: give several references as "
                "lists of their own, corpus_bleu(hypotheses, first_references, second_references)"
            )
    counts = [len(texts) for texts in (hypotheses, *references)]
    if len(counts) < 2 or not counts[0] or len({*counts}) > 1:
        wanted = "as many references as hypotheses, and at least one"
        raise ValueError(f"corpus_bleu: expected {wanted}, got {counts[0]} hypotheses and {counts[1:]} references")
    for value, names in ((tokenize, TOKENIZERS), (smooth, ("exp", "none"))):
        if value not in names:
            raise ValueError(f"corpus_bleu: expected one of {', '.join(map(repr, names))}, got {value!r}")


# --- words ------------------------------------------------------------------------------------------------------------

_ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}  # in this order: "&amp;lt;" becomes "<"
_SEPARATE = re.escape("".join(sorted({*string.punctuation} - {*"',-."})))
_SPACES_13A = (  # the one after the other
    (re.compile(f"([{_SEPARATE}])"), r" \1 "),  # a sign is a word, but for ' and
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),  # for . and , between two digits: 5,000.50, and
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),  # for - that comes after no digit: well-known
)


def words_13a(text: str) -> list[str]:
    """The words that NIST's script mteval-v13a finds, as sacrebleu does: for texts as people write them."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in _ENTITIES.items():
        text = text.replace(entity, sign)
    text = f" {text} "  # so that a sign at an end has a neighbour
    for pattern, spaced in _SPACES_13A:
        text = pattern.sub(spaced, text)
    return text.split()


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "13a": words_13a,
    "none": str.split,  # of texts that are tokenised already
}
