"""Labels of words and answers in characters, as places in a sequence, and back."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data.alignment import (
    NO_PLACE,
    CutOff,
    characters_of,
    cut_off,
    labels_at_places,
    pieces_of,
    read_words,
    word_places,
)
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

FIRST = [0, 1, 4, 5]  # four words of 1, 3, 1 and 2 pieces


def test_a_label_stands_at_the_first_piece_of_its_word():
    places = word_places(FIRST, before=1, end=8)  # [CLS] and 7 pieces
    assert places.tolist() == [1, 2, 5, 6]
    row = labels_at_places([3, 0, 1, 2], places, 10)
    assert row.dtype == np.int64
    assert row[1:7].tolist() == [3, 0, IGNORE_INDEX, IGNORE_INDEX, 1, 2]
    assert row[0] == IGNORE_INDEX and row[7:].tolist() == [IGNORE_INDEX] * 3
    assert read_words(np.arange(10), places).tolist() == [1, 2, 5, 6]


def test_a_word_that_is_cut_keeps_its_label_if_its_first_piece_is_there():
    places = word_places(FIRST, before=1, end=3)  # the second word is cut after the first of its three pieces
    assert places.tolist() == [1, 2, NO_PLACE, NO_PLACE]
    assert labels_at_places([3, 2, 1, 1], places, 4).tolist() == [IGNORE_INDEX, 3, 2, IGNORE_INDEX]


def test_a_word_that_is_cut_off_counts_as_missed_and_is_counted():
    places = word_places(FIRST, before=1, end=3)
    assert read_words([9, 1, 2, 9], places).tolist() == [1, 2, 0, 0]
    assert read_words([9, 1, 2, 9], places, missing=7).tolist() == [1, 2, 7, 7]
    whole = word_places([0, 1], before=1, end=3)
    assert cut_off([places, whole, places]) == CutOff(words=4, of_words=10, sentences=2)
    assert cut_off([]) == (0, 0, 0)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=9), st.integers(0, 3), st.integers(0, 20))
def test_labels_come_back_from_their_places(lengths, before, kept):
    first = np.cumsum(lengths) - lengths
    labels = np.arange(1, len(lengths) + 1)
    places = word_places(first, before, before + kept)
    row = labels_at_places(labels, places, before + kept + 1)
    assert (row != IGNORE_INDEX).sum() == (first < kept).sum()
    assert read_words(row, places).tolist() == [
        label if start < kept else 0 for label, start in zip(labels, first, strict=True)
    ]


TEXT = "He saw the naïve café."
OFFSETS = [(0, 2), (3, 6), (7, 10), (11, 16), (17, 19), (19, 21), (21, 22)]  # café is two pieces


@pytest.mark.parametrize(
    ("answer", "pieces", "back"),
    [
        ("the naïve", (2, 3), "the naïve"),
        ("café", (4, 5), "café"),
        ("caf", (4, 5), "café"),  # a part of a piece is the whole piece
        ("fé", (5, 5), "fé"),
        (" naïve ", (3, 3), "naïve"),
        (TEXT, (0, 6), TEXT),
    ],
)
def test_characters_and_pieces(answer, pieces, back):
    begin = TEXT.index(answer)
    assert pieces_of(OFFSETS, begin, begin + len(answer)) == pieces
    begin, end = characters_of(TEXT, OFFSETS, *pieces)
    assert TEXT[begin:end] == back


def test_characters_that_are_in_no_piece():
    assert pieces_of(OFFSETS, 2, 3) is None
    assert pieces_of([], 0, 3) is None


def test_an_accent_of_its_own_belongs_to_the_letter_before_it():
    text = "un cafe\u0301 noir"
    offsets = [(0, 2), (3, 7), (9, 13)]  # as a tokenizer that strips accents gives them
    assert text[slice(*characters_of(text, offsets, 1, 1))] == "cafe\u0301"
    assert pieces_of(offsets, 3, 8) == (1, 1)
    assert characters_of(text, offsets, 2, 2) == (9, 13)


@st.composite
def cut_texts(draw):
    """A length, and pieces with gaps between some."""
    edges = sorted(draw(st.sets(st.integers(0, 30), min_size=2)))
    return [(a, b) for a, b in itertools.pairwise(edges) if draw(st.booleans())] or [(edges[0], edges[1])]


@given(cut_texts(), st.integers(0, 30), st.integers(1, 30))
def test_pieces_cover_an_answer_and_no_piece_too_many(pieces, begin, length):
    end, text = begin + length, "x" * 61
    found = pieces_of(pieces, begin, end)
    covered = {i for a, b in pieces for i in range(a, b)} & set(range(begin, end))
    if found is None:
        assert not covered
        return
    low, high = characters_of(text, pieces, *found)
    assert covered <= set(range(low, high))
    for i in found:
        assert covered & set(range(*pieces[i]))
