"""Learning the pieces of a Unigram vocabulary and their probabilities (Kudo, "Subword Regularization", 2018, section
3.2).

    words     ▁running 7 times, ▁run 9 times, ...
    pieces    ▁run ning ing ▁ r u n i g ...         first all that are frequent, at last `size` of them

A word is cut into pieces by a walk through its places, from its beginning to its end; each step is a piece. Pieces are
independent, so the probability of a walk is the product of those of its pieces, and that of a word the sum over walks:

    forward   a[0] = 1      a[j] = sum over pieces w[i:j]  a[i] p(w[i:j])         P(w) = a[n]
    backward  b[n] = 1      b[i] = sum over pieces w[i:j]  p(w[i:j]) b[j]

    E: a piece at w[i:j] is in a share  a[i] p(w[i:j]) b[j] / P(w)  of w's walks; added up over all words, with the
       words' counts, that is how often it is expected, c(piece)
    M: p(piece) = c(piece) / sum of all c

E and M together never make the words less likely, and fit the probabilities to the pieces that there are. Then those
pieces are dropped whose loss costs little: without a piece, each of its c places is cut into other pieces instead, and
the words' log-probability falls by about  c (log p - log P(piece from other pieces)).  Three quarters stay each time.
"""

import itertools
from array import array
from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

LONGEST = 16  # characters of a piece
_WORD = 24  # characters: a longer word is learned from in parts, or its probability would be too small for a float
_MOST = 500_000  # characters of different words, the most frequent ones: they say which pieces are frequent
_SEEDS = 8  # pieces to begin with, for each one that stays
_STEPS = 2  # of E and M before some pieces are dropped, and at the end
_STAY = 0.75
_LEAST = 0.5  # the expected count of a character that larger pieces always cover: it must be possible


def learn_pieces(
    words: Mapping[str, int], characters: Collection[str], size: int, names: Collection[str] = ()
) -> dict[str, float]:
    """Piece -> log-probability, for `size` pieces or fewer, the likeliest ones first.

    words       how often each word occurs
    characters  pieces that stay in any case, `size` at most; no piece has another one
    names       what is no piece, though words have it
    """
    parts = _parts(words, characters)
    pieces = _seeds(parts, characters, size, names)
    number = {piece: i for i, piece in enumerate(pieces)}
    counts = np.array([*parts.values()], dtype=np.float64)
    lattice, of_pieces = _lattice([*parts], number), _lattice(pieces, number, whole=False)
    fixed = np.array([len(piece) == 1 for piece in pieces])
    log_p = np.full(len(pieces), -np.log(len(pieces)))
    stay = np.ones(len(pieces), dtype=bool)
    while True:
        for _ in range(_STEPS):
            expected = _expected(lattice.only(stay), counts, np.exp(log_p))
            expected[fixed] = np.maximum(expected[fixed], _LEAST)
            log_p = np.log(expected, out=np.full_like(expected, -np.inf), where=expected > 0) - np.log(expected.sum())
        if stay.sum() <= size:
            break
        otherwise = np.log(_forward(of_pieces.only(stay), np.exp(log_p))[of_pieces.ends])
        with np.errstate(invalid="ignore"):  # a piece that is never expected
            loss = np.where(expected > 0, expected * (log_p - otherwise), -np.inf)
        loss[fixed] = np.inf
        left = max(size, int(_STAY * stay.sum()))
        best = np.argsort(-loss, kind="stable")[:left]
        stay = np.zeros_like(stay)
        stay[best] = True
        log_p[~stay] = -np.inf
    return {pieces[i]: float(log_p[i]) for i in np.argsort(-log_p, kind="stable") if stay[i] and log_p[i] > -np.inf}


def _parts(words: Mapping[str, int], characters: Collection[str]) -> dict[str, int]:
    """The most frequent words, in parts of at most _WORD of these characters, and how often they occur."""
    parts: Counter = Counter()
    room = _MOST
    for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        for known in "".join(c if c in characters else "\0" for c in word[:room]).split("\0"):
            for i in range(0, len(known), _WORD):
                parts[known[i : i + _WORD]] += count
        room -= len(word)
        if room <= 0:
            break
    return dict(parts)


def _seeds(words: Mapping[str, int], characters: Collection[str], size: int, names: Collection[str]) -> list[str]:
    """The pieces to begin with: the characters, and those that occur twice at least and cover most of the words."""
    covered: dict[str, int] = {}
    frequent: Collection[str] = characters
    for length in range(2, LONGEST + 1):
        counts: Counter = Counter()
        for word, count in words.items():
            for i in range(len(word) - length + 1):
                piece = word[i : i + length]
                if piece[1:] in frequent and piece[:-1] in frequent:  # or it cannot be, and there are too many of those
                    counts[piece] += count
        frequent = {piece for piece, count in counts.items() if count > 1}
        covered |= {piece: counts[piece] * length for piece in frequent if piece not in names}
    longer = sorted(covered, key=lambda piece: (-covered[piece], piece))
    return [*sorted(characters), *longer[: _SEEDS * size]]


class _Lattice(NamedTuple):
    """The pieces that stand in some words: a piece takes a walk from one place to another. The places of all words are
    numbered one word after the other; a word of n characters has n + 1.

    places    their number
    begins    (W,) the first place of each word
    ends      (W,) the last place of each word
    word      (A,) of each standing piece
    first     (A,) the place where it begins
    last      (A,) the place where it ends
    piece     (A,) which one it is
    begin_at  (A,) characters before it
    end_at    (A,) characters up to its end; sorted
    """

    places: int
    begins: np.ndarray
    ends: np.ndarray
    word: np.ndarray
    first: np.ndarray
    last: np.ndarray
    piece: np.ndarray
    begin_at: np.ndarray
    end_at: np.ndarray

    def only(self, stay: np.ndarray) -> "_Lattice":
        """The lattice of the pieces that stay. stay (P,) bool"""
        kept = stay[self.piece]
        return _Lattice(*self[:3], *(a[kept] for a in self[3:]))


def _lattice(words: list[str], number: Mapping[str, int], whole: bool = True) -> _Lattice:
    """The lattice of words, and the pieces with these numbers; `whole`: also those that are a whole word. Single
    characters always are."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    begins = ends - [len(word) for word in words]
    arcs = array("q")  # word, i, j, piece; and again
    for w, word in enumerate(words):
        for i in range(len(word)):
            for j in range(i + 1, min(i + LONGEST, len(word)) + 1):
                piece = number.get(word[i:j])
                if piece is not None and (whole or j - i < len(word) or j == 1):
                    arcs.extend((w, i, j, piece))
    word, i, j, piece = np.frombuffer(arcs, dtype=np.int64).reshape(-1, 4).T
    by_end = np.argsort(j, kind="stable")
    word, i, j, piece = word[by_end], i[by_end], j[by_end], piece[by_end]
    return _Lattice(int(ends[-1]) + 1, begins, ends, word, begins[word] + i, begins[word] + j, piece, i, j)


def _forward(lattice: _Lattice, p: np.ndarray) -> np.ndarray:
    """a: for each place, the probability of all walks up to it. p (P,) -> (places,)"""
    a = np.zeros(lattice.places)
    a[lattice.begins] = 1
    for same in _runs(lattice.end_at):
        np.add.at(a, lattice.last[same], a[lattice.first[same]] * p[lattice.piece[same]])
    return a


def _expected(lattice: _Lattice, counts: np.ndarray, p: np.ndarray) -> np.ndarray:
    """c: how often each piece is expected in words that occur so often. counts (W,), p (P,) -> (P,)"""
    a, b = _forward(lattice, p), np.zeros(lattice.places)
    b[lattice.ends] = 1
    backwards = np.argsort(-lattice.begin_at, kind="stable")
    for same in _runs(lattice.begin_at[backwards]):
        arcs = backwards[same]
        np.add.at(b, lattice.first[arcs], p[lattice.piece[arcs]] * b[lattice.last[arcs]])
    share = a[lattice.first] * p[lattice.piece] * b[lattice.last] / a[lattice.ends][lattice.word]
    return np.bincount(lattice.piece, weights=counts[lattice.word] * share, minlength=len(p))


def _runs(sorted_values: np.ndarray) -> list[slice]:
    """The stretches of equal values."""
    cuts = [0, *(np.flatnonzero(np.diff(sorted_values)) + 1).tolist(), len(sorted_values)]
    return [slice(*pair) for pair in itertools.pairwise(cuts)]
