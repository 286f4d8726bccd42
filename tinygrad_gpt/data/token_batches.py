"""Batches of sentence pairs by their number of tokens, for translation.

    batch number   1                      2
    sentences      7 of 20 tokens or so   28 of 5 or so        max_tokens = 140

Sentences of like length go together, so that little is computed for padding, and short ones go together in greater
numbers, so that each batch costs about as much. A batch of B pairs counts B x T tokens, where T is the length of its
longest sentence on either side: padding counts, and so does the longer side. (Ott et al., "fairseq", 2019, section 3.)

An epoch has every pair once. Its batches come in a new order each time, or a model would see all short sentences first,
and pairs whose lengths are equal on both sides change places, so that batches are not always of the same pairs.

    source_ids         ein hund schläft </s>                    target: a dog sleeps </s>
    decoder_input_ids  <pad> a dog sleeps      shifted right: what the decoder has written before it writes the label
    labels             a dog sleeps </s>
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.data.padding import pad_right
from tinygrad_gpt.data.parallel import Translations
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX


@dataclass(frozen=True)
class EncodedPairs:
    """Pairs of sentences as token ids, each sentence with </s> at its end.

    sources, targets  N arrays (T_i,) int64 each
    places            (N,) int64: which pair of the Translations each one is
    too_long          pairs that were left out, with a sentence longer than there are positions
    positions         the longest sentence that was let in
    blank             pairs without text, which were left out before
    """

    sources: list[np.ndarray]
    targets: list[np.ndarray]
    places: np.ndarray
    too_long: int
    positions: int
    blank: int = 0

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(N, 2) int64: tokens of each source and target."""
        both = zip(self.sources, self.targets, strict=True)
        return np.array([(len(s), len(t)) for s, t in both], dtype=np.int64).reshape(-1, 2)

    def note(self) -> str:
        """What to tell who trains or evaluates on it: "12 of 29,000 pairs left out: ..."; "" if none is."""
        reasons = {f"longer than {self.positions} tokens with </s>": self.too_long, "without text": self.blank}
        told = " and ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        left_out = self.too_long + self.blank
        return f"{left_out:,} of {len(self) + left_out:,} pairs left out: {told}" if told else ""


def encode_pairs(pairs: Translations, tokenizer, positions: int, name: str = "the corpus") -> EncodedPairs:
    """The pairs as ids of a tokenizer with an end_id, without those that have a sentence of more than `positions`
    tokens, </s> counted.

    Raises UserError, naming the corpus `name`, if no pair is left, though there were some.
    """
    end = [tokenizer.end_id]
    sides = ([np.append(tokenizer.encode(text), end) for text in side] for side in (pairs.source, pairs.target))
    both = list(zip(*sides, strict=True))
    kept = np.array([i for i, pair in enumerate(both) if max(map(len, pair)) <= positions], dtype=np.int64)
    if both and not len(kept):
        shortest = min(max(map(len, pair)) for pair in both)
        raise UserError(
            f"{name}: all {len(both)} pairs are longer than the {positions} positions of the model (the shortest has "
            f"{shortest} tokens with </s>): put a sentence on each line, or give the model more positions"
        )
    sources, targets = ([both[i][side] for i in kept] for side in (0, 1))
    return EncodedPairs(sources, targets, kept, len(both) - len(kept), positions, pairs.blank)


class TranslationBatch(NamedTuple):
    """B pairs as arrays of int64, padded on the right.

    source_ids         (B, Ts), each with </s> at its end
    source_mask        (B, Ts): 1 where a token stands, 0 at padding
    decoder_input_ids  (B, Tt): the start, which is <pad> by default, then the target without its </s>
    labels             (B, Tt): the target with its </s>; IGNORE_INDEX at padding
    """

    source_ids: np.ndarray
    source_mask: np.ndarray
    decoder_input_ids: np.ndarray
    labels: np.ndarray


def make_batch(
    sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], pad_id: int, start_id: int | None = None
) -> TranslationBatch:
    """Pairs of ids as arrays. A decoder reads start_id first; None: pad_id. Raises ValueError for no pairs."""
    source_ids, source_mask = pad_right(sources, pad_id)
    start_id = pad_id if start_id is None else start_id
    before = [np.concatenate([[start_id], target[:-1]]) for target in targets]
    return TranslationBatch(
        source_ids, source_mask, pad_right(before, pad_id).rows, pad_right(targets, IGNORE_INDEX).rows
    )


class TokenBatches:
    """The batches of a training run: `batch(step)` is the batch of update number `step`.

    per_epoch  batches of an epoch

    A batch depends on the pairs, the seed and the step alone, so a resumed run reads what an uninterrupted one would.
    """

    def __init__(self, pairs: EncodedPairs, max_tokens: int, seed: int, pad_id: int):
        """Raises UserError for a sentence of more than `max_tokens` tokens, and for no pairs."""
        if not len(pairs):
            raise UserError("there are no pairs of sentences to learn from")
        self.pairs, self.seed, self.pad_id = pairs, seed, pad_id
        # In the order of their lengths, pairs of the same lengths are at the same places in every epoch.
        self._cuts = _cuts(pairs.lengths[_by_length(pairs.lengths)].max(axis=1), max_tokens)
        self.per_epoch = len(self._cuts) - 1
        self._epoch: tuple[int, list[np.ndarray]] = (-1, [])

    def batch(self, step: int) -> TranslationBatch:
        """The batch of update number `step`: 0, 1, ..."""
        return _of(self.pairs, self.members(step), self.pad_id)

    def members(self, step: int) -> np.ndarray:
        """Which of the pairs are in the batch of update number `step`, (B,) int64."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch[0]:
            self._epoch = epoch, self._planned(epoch)
        return self._epoch[1][place]

    def _planned(self, epoch: int) -> list[np.ndarray]:
        """The pairs of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        shuffled = rng.permutation(len(self.pairs))
        order = shuffled[_by_length(self.pairs.lengths[shuffled])]
        batches = np.split(order, self._cuts[1:-1])
        return [batches[i] for i in rng.permutation(self.per_epoch)]


def batches_in_order(
    pairs: EncodedPairs, max_tokens: int, pad_id: int, start_id: int | None = None
) -> Iterator[tuple[np.ndarray, TranslationBatch]]:
    """Every pair once, for an evaluation: (which of the pairs, (B,) int64; the batch), the shortest ones first. The ids
    are those of make_batch.

    Raises UserError for a sentence of more than `max_tokens` tokens, at the call and not at the first batch.
    """
    order = _by_length(pairs.lengths)
    cuts = _cuts(pairs.lengths[order].max(axis=1, initial=0), max_tokens)
    return ((members, _of(pairs, members, pad_id, start_id)) for members in np.split(order, cuts[1:-1]) if len(members))


def _of(pairs: EncodedPairs, members: np.ndarray, pad_id: int, start_id: int | None = None) -> TranslationBatch:
    return make_batch([pairs.sources[i] for i in members], [pairs.targets[i] for i in members], pad_id, start_id)


def _by_length(lengths: np.ndarray) -> np.ndarray:
    """The order of pairs by the length of their longer sentence, then by that of the source, then of the target; pairs
    that are alike in all stay in their order. lengths (N, 2) -> (N,).

    The longer sentence comes first because a batch counts it: so batches are full, and both sides have little padding.
    """
    source, target = lengths.T
    return np.lexsort((target, source, np.maximum(source, target)))


def _cuts(longest: np.ndarray, max_tokens: int) -> list[int]:
    """Where batches begin, and the end of the last one, for pairs whose longer sentences have these lengths (N,): each
    batch is as large as max_tokens lets it be."""
    if len(longest) and longest.max() > max_tokens:
        raise UserError(
            f"the longest sentence has {longest.max()} tokens, and a batch {max_tokens} at most: expected batches "
            "of as many at least, and of some thousands to learn well"
        )
    cuts, widest = [0], 0
    for i, length in enumerate(longest.tolist()):
        widest = max(widest, length)
        if (i + 1 - cuts[-1]) * widest > max_tokens:
            cuts.append(i)
            widest = length
    return [*cuts, len(longest)]
