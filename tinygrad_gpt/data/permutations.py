"""Sequences in which some tokens are predicted in an order that is drawn: what XLNet is pre-trained on.

A sequence has T tokens in two halves, and no padding:

    half        the text, from some place on  |  A <sep> B <sep> <cls>
    segment     0 0 0 ...                     |  0   0   1   1     2

A goes on where the first half ends, up to the end of a line. B goes on behind A, or begins at another line. Some tokens
of each half are targets. The others, and always <sep> and <cls>, are context. Targets are told one after the other in
an order that is drawn, each from the context and from the targets before it. With two of 5 tokens, "mats" before "cat":

    place      0    1    2    3    4
    token      the  cat  sat  on   mats
    order     -1    2   -1   -1    1        -1: context

    who (row) may see whom (column)

    query stream  0 1 2 3 4      content stream  0 1 2 3 4
               0  x . x x .                   0  x . x x .
               1  x . x x x                   1  x x x x x
               2  x . x x .                   2  x . x x .
               3  x . x x .                   3  x . x x .
               4  x . x x .                   4  x . x x x

i sees j if j is context or comes before i in the order. The query stream, from whose rows 1 and 4 the two targets are
told, must not see its own place; the content stream, whose rows stand for tokens that are known, does. So whatever the
content at j has gathered, over any number of layers, was known before j was told, and the answer reaches no query.

All of the second half sees all of the first, and the first none of the second: its content is the same whatever follows
it, so it can be kept as a memory.

(Yang et al., "XLNet: Generalized Autoregressive Pretraining for Language Understanding", 2019, sections 2.2, 2.3 and
2.5; details from the code published with it. There <sep> and <cls> have a place in the order, unseen by targets before
it. Here they are context.)

Everything is drawn by a generator that the caller makes from a seed and a step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.errors import UserError

FUNCTIONAL = 3  # tokens that are no text: <sep>, <sep> and <cls>
SHORTEST = 2 * (FUNCTIONAL + 2)  # a token each of A and B, in the second half
LONGEST_SPAN = 5  # words
CONTEXT = 6  # tokens around a span, for each of its words ("α"; "β" is 1)
ELSEWHERE = 0.5  # share of the sequences, of those with a line end in them, whose B begins at another line
_CONTEXT_ORDER = -1
_SPANS = np.cumsum(1 / np.arange(1, LONGEST_SPAN + 1)) / np.sum(1 / np.arange(1, LONGEST_SPAN + 1))


@dataclass(frozen=True)
class Lines:
    """A text as token ids.

    tokens  (N,) int32: all lines, one after the other, without line ends
    starts  (L,): where each of them begins
    """

    tokens: np.ndarray
    starts: np.ndarray

    def places(self, length: int) -> int:
        """The number of places where a sequence of T tokens can begin."""
        return len(self.tokens) - (length - FUNCTIONAL) + 1


def encode_lines(chunks: Iterable[str], tokenizer, length: int, name: str) -> Lines:
    """A text in chunks as ids. Blank lines are left out.

    Raises UserError, naming the text `name`, if it is too short for a sequence of `length` tokens.
    """
    ids = [np.asarray(tokenizer.encode(line), dtype=np.int32) for line in "".join(chunks).split("\n") if line.strip()]
    ids = [line for line in ids if len(line)]
    ends = np.cumsum([len(line) for line in ids])
    lines = Lines(np.concatenate([*ids, np.empty(0, np.int32)]), np.array([0, *ends[:-1]], dtype=np.int64))
    if lines.places(length) < 1:
        raise UserError(
            f"the {name} has {len(lines.tokens)} tokens, and a sequence of {length} needs {length - FUNCTIONAL}: use a "
            "longer text or a smaller block_size"
        )
    return lines


def word_beginnings(tokenizer) -> np.ndarray:
    """(V,) booleans: the tokens of a Unigram tokenizer that begin a word: those that begin with a space or with a mark,
    and special ones."""
    written = [tokenizer.token_bytes(token).decode("utf-8", errors="replace") for token in range(tokenizer.vocab_size)]
    return np.array([not text[:1].isalnum() for text in written])


class Batch(NamedTuple):
    """input_ids       (B, T) int64
    token_type_ids  (B, T) int64: the segments
    may_see         (B, T, T) bool: whom each place of the query stream may see; the content stream also sees itself
    targets         (B, N) int64: the places of the targets, from left to right
    labels          (B, N) int64: the tokens there
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    may_see: np.ndarray
    targets: np.ndarray
    labels: np.ndarray


def target_count(length: int, share: float) -> int:
    """N: how many of T tokens are targets, at least one of each half. For shares below 1/2, each half has context."""
    return max(2, round(share * length))


def make_batch(
    text: Lines, firsts: Sequence[int], length: int, count: int, tokenizer, begins: np.ndarray, rng: np.random.Generator
) -> Batch:
    """Sequences of `length` tokens with `count` targets, which begin at the places `firsts` (B,) of the text.

    begins  those tokens that begin a word; see word_beginnings
    """
    middle, rows = length // 2, []
    halves = (slice(middle), count - count // 2), (slice(middle, length), count // 2)
    for first in firsts:
        ids, segments, functional = draw_sequence(text, first, length, tokenizer, rng)
        word = begins[ids] | functional
        chosen = np.concatenate([choose_targets(word[half], ~functional[half], n, rng) for half, n in halves])
        rows.append((ids, segments, draw_order(chosen, rng), np.flatnonzero(chosen)))
    ids, segments, order, targets = map(np.stack, zip(*rows, strict=True))  # (B, T), and targets (B, N)
    return Batch(ids, segments, who_sees_whom(order, middle), targets, np.take_along_axis(ids, targets, axis=1))


def draw_sequence(
    text: Lines, first: int, length: int, tokenizer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids, segments, whether it is <sep> or <cls>), each (T,): a sequence that begins at the place `first` of a text.

    A ends at the end of a line that is drawn. Without one in the second half, A and B have half of its room each, and B
    comes from elsewhere.
    """
    middle = length // 2
    room, a = length - middle - FUNCTIONAL, first + middle  # for A and B; where A begins
    ends = text.starts[slice(*np.searchsorted(text.starts, [a + 1, a + room]))]
    b = int(rng.choice(ends)) if len(ends) else a + (room + 1) // 2
    of_a, of_b = b - a, room - (b - a)
    if not len(ends) or rng.random() < ELSEWHERE:
        b = int(rng.choice(text.starts[: np.searchsorted(text.starts, len(text.tokens) - of_b, side="right")]))
    sep, cls = [tokenizer.sep_id], [tokenizer.cls_id]
    ids = np.concatenate([text.tokens[first : a + of_a], sep, text.tokens[b : b + of_b], sep, cls]).astype(np.int64)
    segments = np.repeat([0, 1, 2], [middle + of_a + 1, of_b + 1, 1])
    functional = np.zeros(length, dtype=bool)
    functional[[middle + of_a, -2, -1]] = True
    return ids, segments, functional


def choose_targets(begins: np.ndarray, ordinary: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) booleans, of which `count` are true: the targets of a half.

    begins    (T,) whether a token begins a word
    ordinary  (T,) whether it may be a target

    From left to right, spans of n words are chosen, n = 1 ... 5 with a probability proportional to 1/n, each with 6 n
    tokens around it that are not: a number drawn uniformly before it, the rest behind. Words are whole, as many pieces
    as they have. What is missing at the end are words drawn one by one, and pieces where no word fits.
    """
    chosen, bounds, place = np.zeros(len(begins), dtype=bool), np.append(np.flatnonzero(begins), len(begins)), 0
    while count:
        n = int(np.searchsorted(_SPANS, rng.random())) + 1
        before = int(rng.integers(CONTEXT * n))
        word = int(np.searchsorted(bounds, place + before))
        if word + n >= len(bounds):
            break
        span = slice(bounds[word], bounds[word + n])
        if ordinary[span].sum() > count:
            break
        chosen[span] = ordinary[span]
        count -= int(ordinary[span].sum())
        place = span.stop + CONTEXT * n - before
    for word in rng.permutation(len(bounds) - 1) if count else ():
        span = slice(bounds[word], bounds[word + 1])
        if (ordinary[span] & ~chosen[span]).all() and span.stop - span.start <= count:
            chosen[span] = True
            count -= span.stop - span.start
    if count:
        chosen[rng.choice(np.flatnonzero(ordinary & ~chosen), count, replace=False)] = True
    return chosen


def draw_order(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """targets (T,) booleans -> (T,) integers: when each target is told, in an order of all places that is drawn; -1 for
    the context."""
    return np.where(targets, rng.permutation(len(targets)), _CONTEXT_ORDER)


def who_sees_whom(order: np.ndarray, middle: int) -> np.ndarray:
    """(B, T, T) booleans: whether the query at i may see j. (In transformers' perm_mask, 1 says that it may not.)

    order   (B, T) when each token is told; -1 for context
    middle  where the second half begins, which sees the first one, and not the other way round
    """
    j, i = order[:, np.newaxis], order[:, :, np.newaxis]  # (B, 1, T), (B, T, 1)
    second = np.arange(order.shape[1]) >= middle
    same_half = second == second[:, np.newaxis]  # (T, T)
    return np.where(same_half, (j == _CONTEXT_ORDER) | (j < i), second[:, np.newaxis])
