"""How much a text says again: writers that lost their thread go round in circles."""

from collections.abc import Sequence

from tinygrad_gpt.tasks.scores.bleu import ngrams

_RUN = 3  # words: people seldom say so many again in one sentence


def repeats(texts: Sequence[str]) -> float:
    """The share of the runs of three words that stood in their text before; 0 if there are none. Words are what stands
    between spaces. (Compare Welleck et al., "Neural text generation with unlikelihood training", 2020, section 6.)"""
    runs = [ngrams(text.split(), _RUN) for text in texts]
    total = sum(run.total() for run in runs)
    return (total - sum(map(len, runs))) / total if total else 0.0
