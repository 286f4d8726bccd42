"""The scores of a corpus of translations: BLEU, checked against sacrebleu where that is installed."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from tinygrad_gpt.tasks.scores.bleu import Bleu, corpus_bleu


class CorpusScores(NamedTuple):
    """bleu       the score; as text, sacrebleu's line
    sacrebleu  the signature under which sacrebleu computed the same; None where it is not installed, or takes no part
    """

    bleu: Bleu
    sacrebleu: str | None

    @property
    def signature(self) -> str:
        """What was compared, and how: sacrebleu's own signature where it has one."""
        return self.sacrebleu or self.bleu.signature


def corpus_scores(
    hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "13a", lowercase: bool = False
) -> CorpusScores:
    """The scores of N translations beside N right ones; arguments and errors as of corpus_bleu.

    Warns if sacrebleu computes another score. It takes no empty reference, and so no part, unless all that it would be
    compared with is empty too, which adds nothing.
    """
    ours = corpus_bleu(hypotheses, references, tokenize=tokenize, lowercase=lowercase)
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        return CorpusScores(ours, None)
    kept = [pair for pair in zip(hypotheses, references, strict=True) if any(pair)]
    if not kept or not all(right for _, right in kept):
        return CorpusScores(ours, None)
    metric = BLEU(tokenize=tokenize, lowercase=lowercase, force=True)  # force: no remarks on texts that look tokenised
    theirs = metric.corpus_score([text for text, _ in kept], [[right for _, right in kept]])
    if theirs.score != ours.score:
        warnings.warn(f"sacrebleu says {theirs}, ours is {ours}: please report this", stacklevel=2)
        return CorpusScores(ours, None)
    return CorpusScores(ours, str(metric.get_signature()))
