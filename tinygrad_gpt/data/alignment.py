"""Labels of words, and answers in characters, as places in the sequence that a model reads; and back.

    words        don ' t go          pieces of the text   0 1 2 3
    sequence     [CLS] don ' t go [SEP]                 places 0 1 2 3 4 5, so `before` is 1

A word has its label at its first piece, and IGNORE_INDEX is at all other places (Devlin et al., "BERT", 2019, section
5.3). A word whose first piece was cut off has no place: cut_off counts such words, and read_words predicts O for them.

An answer is the range of the pieces that hold its characters. A text that is too long for a sequence is read in windows
(windows.py).

All are plain arrays: `first` and `offsets` come from WordPieceTokenizer's encode_words and encode_with_offsets.
"""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

NO_PLACE = -1


class CutOff(NamedTuple):
    """How many words have no place, of how many, and in how many sentences."""

    words: int
    of_words: int
    sentences: int


def word_places(first, before: int, end: int) -> np.ndarray:
    """(W,) int64: the place of each word's first piece; NO_PLACE if it was cut off.

    first   (W,) integers: the index of each word's first piece among those of the text
    before  places before the first piece: 1 after [CLS]
    end     the place after the last piece that is in the sequence
    """
    places = np.asarray(first, dtype=np.int64) + before
    return np.where(places < end, places, NO_PLACE)


def labels_at_places(labels, places: np.ndarray, length: int) -> np.ndarray:
    """(T,) int64 for a sequence of T = length places: the label of each word at its place, IGNORE_INDEX elsewhere."""
    there = places != NO_PLACE
    row = np.full(length, IGNORE_INDEX, dtype=np.int64)
    row[places[there]] = np.asarray(labels)[there]
    return row


def read_words(predicted, places: np.ndarray, missing: int = 0) -> np.ndarray:
    """(W,): what was predicted for each word, from the predictions (T,) for all places; for a word without a place
    `missing`. (The tag 0 is O.)"""
    return np.where(places == NO_PLACE, missing, np.asarray(predicted)[places])


def cut_off(sentences: Iterable[np.ndarray]) -> CutOff:
    """Counts the words without a place; `sentences` are the places of the words of each one."""
    sentences = list(sentences)
    lost = [int(np.sum(places == NO_PLACE)) for places in sentences]
    return CutOff(sum(lost), sum(map(len, sentences)), sum(n > 0 for n in lost))


def pieces_of(offsets, begin: int, end: int) -> tuple[int, int] | None:
    """The indices of the first and the last piece that hold one of the characters begin .. end-1 of the text; None if
    no piece holds one, as with white space.

    offsets  (N, 2) integers: the characters of piece i are offsets[i, 0] .. offsets[i, 1] - 1
    """
    offsets = np.asarray(offsets).reshape(-1, 2)
    inside = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > begin))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


def characters_of(text: str, offsets, first: int, last: int) -> tuple[int, int]:
    """(begin, end): pieces first .. last are the characters begin .. end-1 of the text.

    Accents that follow are among them: a tokenizer that strips accents leaves one that is a character of its own out of
    the piece that it ends.
    """
    begin, end = int(offsets[first][0]), int(offsets[last][1])
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return begin, end
