"""Pairs of passages with masked tokens: what BERT is pre-trained on.

    [CLS] A [SEP] B [SEP]     B follows A in a document (label 0), or is from another document (label 1)
    some tokens of A and B are hidden, and are to be told from all others

(Devlin et al., "BERT", 2019, sections 3.1 and A.1; details from the code published with it.)

Everything is drawn by a generator that the caller makes from a seed and a step, so that a resumed run reads exactly
what an uninterrupted one would, and a text that is read again has other tokens masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.data.cutting import kept
from tinygrad_gpt.data.documents import Document
from tinygrad_gpt.data.padding import pad_right
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

FOLLOWS, FROM_ELSEWHERE = 0, 1  # next_sentence_label, as in Google's code and in transformers
SHORT_SHARE = 0.1  # of the pairs are shorter than there is room for, as texts are later
KEPT, REPLACED = 0.1, 0.1  # of the masked places: the token stays; another one stands there


@dataclass(frozen=True)
class EncodedDocuments:
    """Documents as token ids.

    tokens           (N,) int32: all sentences, one after the other
    sentence_starts  (S + 1,): where each sentence begins in tokens, and N
    document_starts  (D + 1,): where each document begins in the sentences, and S
    left_out         documents with one sentence
    """

    tokens: np.ndarray
    sentence_starts: np.ndarray
    document_starts: np.ndarray
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.sentence_starts) - 1

    @property
    def document_count(self) -> int:
        return len(self.document_starts) - 1

    @cached_property
    def followed(self) -> np.ndarray:
        """The sentences that are not the last ones of their documents, in order."""
        return np.delete(np.arange(len(self)), self.document_starts[1:] - 1)

    def document_of(self, sentence: int) -> int:
        return int(np.searchsorted(self.document_starts, sentence, side="right")) - 1

    def bounds(self, sentence: int) -> tuple[int, int]:
        """The first sentence of the document of this one, and the first one after it."""
        document = self.document_of(sentence)
        return int(self.document_starts[document]), int(self.document_starts[document + 1])

    def ids(self, first: int, end: int) -> np.ndarray:
        """The tokens of sentences first .. end - 1."""
        return self.tokens[self.sentence_starts[first] : self.sentence_starts[end]]

    def collect(self, first: int, length: int, fewest: int = 1) -> int:
        """The end of the sentences from `first` on that have `length` tokens together, or all up to the end of the
        document; at least `fewest` of them."""
        enough = int(np.searchsorted(self.sentence_starts, self.sentence_starts[first] + length))
        return min(max(enough, first + fewest), self.bounds(first)[1])


def encode_documents(documents: Sequence[Document], tokenizer, name: str) -> EncodedDocuments:
    """The documents as ids of a WordPieceTokenizer's. Sentences without a token that can be masked are left out, and
    then documents with one sentence: nothing follows it.

    Raises UserError, naming the corpus `name`, if fewer than two documents are left.
    """
    special, tokens, sentences, ends = set(tokenizer.special_ids), [], [0], [0]
    for document in documents:
        ids = [np.asarray(tokenizer.encode(sentence), dtype=np.int32) for sentence in document]
        ids = [a for a in ids if not special.issuperset(a.tolist())]
        if len(ids) > 1:
            tokens += ids
            sentences += [sentences[-1] + total for total in np.cumsum([len(a) for a in ids]).tolist()]
            ends.append(len(tokens))
    if len(ends) < 3:
        raise UserError(
            f"{name}: expected at least 2 documents of 2 sentences or more, got {len(ends) - 1}: put a sentence on "
            "each line, and a blank line between documents"
        )
    left_out = len(documents) - (len(ends) - 1)
    return EncodedDocuments(np.concatenate(tokens), np.array(sentences), np.array(ends), left_out)


class Pair(NamedTuple):
    """a, b      ids of two passages, each with at least one token
    label     FOLLOWS or FROM_ELSEWHERE
    document  the number of a's
    """

    a: np.ndarray
    b: np.ndarray
    label: int
    document: int


def draw_pair(text: EncodedDocuments, length: int, rng: np.random.Generator, follows_only: bool = False) -> Pair:
    """A pair of at most `length` tokens without specials, from a place drawn uniformly.

    As many sentences as fill the length, two at least, are taken from there on. A is the first of them, a number drawn
    uniformly that leaves one. B is the rest, or in half of the pairs (follows_only: none) as much text from another
    document.

    Nothing but their texts tells the two kinds apart. In both, B begins behind a sentence, and comes from a document
    the more often the longer that is. Both candidates for B are found before one is taken, and the longer one ends
    where the shorter one does. Else a B that ends with its document, and is short, would be one that follows.
    """
    first = int(rng.choice(text.followed))
    return _pair(text, first, length, rng, None if follows_only else rng.random() < 0.5)[0]


def all_pairs(text: EncodedDocuments, length: int, rng: np.random.Generator, follows_only: bool = False) -> list[Pair]:
    """Pairs whose A, and whose B that follows, share no sentence: the documents are read once, from end to end. Of two
    pairs, one after the other, one follows, so that a judge who says the same of all is right in half of them."""
    pairs, first, elsewhere = [], 0, False
    while first < len(text):
        if first + 1 < text.bounds(first)[1]:
            elsewhere = not elsewhere if len(pairs) % 2 else rng.random() < 0.5
            pair, first = _pair(text, first, length, rng, None if follows_only else elsewhere)
            pairs.append(pair)
        else:
            first += 1  # the last sentence of a document is no A
    return pairs


def _pair(
    text: EncodedDocuments, first: int, length: int, rng: np.random.Generator, elsewhere: bool | None
) -> tuple[Pair, int]:
    """A pair whose A begins at the sentence `first`, which has another one behind it, and the first sentence that it
    does not use of those behind.

    elsewhere  whether B comes from another document; None: as no pair's does
    """
    target = int(rng.integers(2, length + 1)) if rng.random() < SHORT_SHARE else length
    end = text.collect(first, target, fewest=2)
    middle = int(rng.integers(first + 1, end))
    a, b, label = text.ids(first, middle), text.ids(middle, end), FOLLOWS
    if elsewhere is not None:
        begin = _elsewhere(text, first, rng)
        other = text.ids(begin, text.collect(begin, len(b)))
        both = min(len(b), len(other))
        b, other = b[:both], other[:both]
        if elsewhere:
            b, label, end = other, FROM_ELSEWHERE, middle
    return Pair(*cut(a, b, target, rng), label, text.document_of(first)), end


def _elsewhere(text: EncodedDocuments, sentence: int, rng: np.random.Generator) -> int:
    """A sentence of another document that follows one there, drawn uniformly."""
    begin, end = np.searchsorted(text.followed, text.bounds(sentence))  # begin .. end - 1 are this document's
    place = int(rng.integers(len(text.followed) - (end - begin)))
    return int(text.followed[place if place < begin else place + end - begin]) + 1


def cut(a: np.ndarray, b: np.ndarray, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both passages with `length` tokens together at most, and one token each at least: again and again the longer one
    (b if they are equal) loses its first or its last token, as drawn."""
    of_a, of_b = kept(len(a), len(b), length)
    return _cut_one(a, of_a, rng), _cut_one(b, of_b, rng)


def _cut_one(ids: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    front = int(rng.binomial(len(ids) - length, 0.5))
    return ids[front : front + length]


class Batch(NamedTuple):
    """Arrays (B, T) of int64; next_sentence_label (B,).

    input_ids            [CLS] A [SEP] B [SEP], with masked places, and [PAD]
    attention_mask       1 for tokens, 0 for padding
    token_type_ids       0 up to the first [SEP], 1 for B and its [SEP]; 0 for padding
    labels               the token that was at a masked place; IGNORE_INDEX at all others
    next_sentence_label  FOLLOWS or FROM_ELSEWHERE
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray
    next_sentence_label: np.ndarray


def make_batch(
    pairs: Sequence[Pair], tokenizer, length: int, rng: np.random.Generator, mask_share: float = 0.15
) -> Batch:
    """Pairs as arrays (B, length), masked."""
    sequences, segments = zip(*(tokenizer.pair(pair.a, pair.b) for pair in pairs), strict=True)
    ids, attention = pad_right(sequences, tokenizer.pad_id, length)
    segments, _ = pad_right(segments, 0, length)
    masked, labels = mask_tokens(ids, tokenizer, rng, mask_share)
    return Batch(masked, attention, segments, labels, np.array([pair.label for pair in pairs], dtype=np.int64))


def mask_tokens(
    ids: np.ndarray, tokenizer, rng: np.random.Generator, share: float = 0.15
) -> tuple[np.ndarray, np.ndarray]:
    """(ids with masked places, labels), both (B, T).

    In each row `share` of the tokens, rounded, and at least one, are chosen among those that are not special: [CLS],
    [SEP], [PAD], [UNK] and [MASK] never are. 80 % of the chosen become [MASK], 10 % any token that is not special, and
    10 % stay, so that the model cannot know which tokens it is asked about.
    """
    special = np.array(tokenizer.special_ids)
    ordinary = np.delete(np.arange(tokenizer.vocab_size), special)
    may = ~np.isin(ids, special)
    count = np.minimum(np.maximum(1, np.rint(share * may.sum(axis=1))), may.sum(axis=1))  # (B,)
    order = np.where(may, rng.random(ids.shape), 2.0).argsort(axis=1).argsort(axis=1)  # a place's rank in its row
    chosen = order < count[:, np.newaxis]
    kind = rng.random(ids.shape)
    masked = np.where(chosen & (kind >= KEPT), tokenizer.mask_id, ids)
    replaced = chosen & (kind >= 1 - REPLACED)
    masked[replaced] = rng.choice(ordinary, size=int(replaced.sum()))
    return masked, np.where(chosen, ids, IGNORE_INDEX)
