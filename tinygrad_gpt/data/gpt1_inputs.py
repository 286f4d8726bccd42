"""GPT-1's input transformations: how the texts of a task become sequences, which a language model can read.

    classification    start  text                          extract
    entailment        start  premise  delimiter hypothesis extract
    similarity        start  a        delimiter b          extract    and the same with a and b exchanged
    multiple choice   start  context  delimiter answer     extract    once for each answer

(Radford et al., "Improving language understanding by generative pre-training", 2018, section 3.3 and Figure 1.) The
task's head reads the features at the extract token, which has attended to all others.

Texts are ids, (N,) integers. If a sequence would be longer than `length`, its texts are cut at their ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.data.cutting import kept
from tinygrad_gpt.data.padding import pad_right

_PADDING = 0  # any id will do: in a causal model, earlier positions never attend to later ones


@dataclass(frozen=True)
class TaskTokens:
    """The ids of the three tokens that fine-tuning adds to a vocabulary."""

    start: int
    delimiter: int
    extract: int

    COUNT = 3

    @classmethod
    def after(cls, vocab_size: int) -> "TaskTokens":
        """The three ids that follow those of a vocabulary."""
        return cls(vocab_size, vocab_size + 1, vocab_size + 2)


class Batch(NamedTuple):
    """Sequences side by side, padded on the right.

    ids   (..., T) int64
    last  (...) int64: the position of each sequence's last token, the extract token
    """

    ids: np.ndarray
    last: np.ndarray


def classification(text, tokens: TaskTokens, length: int) -> np.ndarray:
    """start text extract -> (T,) int64, T <= length."""
    return np.concatenate([[tokens.start], text[: length - 2], [tokens.extract]]).astype(np.int64)


def entailment(premise, hypothesis, tokens: TaskTokens, length: int) -> np.ndarray:
    """start premise delimiter hypothesis extract -> (T,) int64, T <= length."""
    of_premise, of_hypothesis = kept(len(premise), len(hypothesis), length - 3)
    parts = [tokens.start], premise[:of_premise], [tokens.delimiter], hypothesis[:of_hypothesis], [tokens.extract]
    return np.concatenate(parts).astype(np.int64)


def similarity(a, b, tokens: TaskTokens, length: int) -> list[np.ndarray]:
    """Two sequences, since the two texts have no natural order: a before b, and b before a."""
    return [entailment(a, b, tokens, length), entailment(b, a, tokens, length)]


def multiple_choice(context, answers: Sequence, tokens: TaskTokens, length: int) -> list[np.ndarray]:
    """One sequence for each answer: start context delimiter answer extract. (The context may be a document followed by
    a question.)"""
    return [entailment(context, answer, tokens, length) for answer in answers]


def pad(sequences: Sequence[np.ndarray]) -> Batch:
    """Sequences of any lengths >= 1 as one Batch: ids (B, T) with T the greatest length, last (B,)."""
    ids, mask = pad_right(sequences, _PADDING)
    return Batch(ids, mask.sum(axis=1) - 1)


def pad_groups(groups: Sequence[Sequence[np.ndarray]]) -> Batch:
    """Examples of N sequences each (two for similarity, one per answer for multiple choice) as one Batch:
    ids (B, N, T), last (B, N).

    Raises ValueError if the examples do not all have the same number of sequences.
    """
    ids, last = pad([sequence for group in groups for sequence in group])  # (B N, T), (B N,)
    if any(len(group) != len(groups[0]) for group in groups):
        raise ValueError(f"pad_groups: expected groups of one size, got {sorted({len(group) for group in groups})}")
    return Batch(ids.reshape(len(groups), len(groups[0]), -1), last.reshape(len(groups), -1))
