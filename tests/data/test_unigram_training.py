"""Learning a Unigram vocabulary: expected counts by enumeration, likelihoods that rise, and pieces that stay."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data import unigram_training as training
from tinygrad_gpt.data.unigram_training import learn_pieces

WORDS = Counter({"▁running": 7, "▁run": 9, "▁runs": 3, "▁sing": 4, "▁singing": 5, "▁.": 30})
LETTERS = {letter for word in WORDS for letter in word}


def cuts(word: str, pieces) -> list[list[str]]:
    """Every way to cut a word into pieces."""
    if not word:
        return [[]]
    return [[word[:n], *rest] for n in range(1, len(word) + 1) if word[:n] in pieces for rest in cuts(word[n:], pieces)]


def probability(pieces: list[str], p: dict[str, float]) -> float:
    return math.prod(p[piece] for piece in pieces)


def log_likelihood(words: dict[str, int], p: dict[str, float]) -> float:
    return sum(n * math.log(sum(probability(cut, p) for cut in cuts(word, p))) for word, n in words.items())


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=6), st.integers(1, 9), min_size=1, max_size=5),
    st.sets(st.text("ab", min_size=2, max_size=4), max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_expected_counts_are_those_of_all_walks(words, longer, seed):
    pieces = ["a", "b", *sorted(longer)]
    drawn = np.random.default_rng(seed).uniform(0.1, 1, len(pieces))
    p = dict(zip(pieces, drawn.tolist(), strict=True))
    expected = Counter(dict.fromkeys(pieces, 0.0))
    for word, n in words.items():
        walks = cuts(word, p)
        total = sum(probability(cut, p) for cut in walks)
        for cut in walks:
            for piece in cut:
                expected[piece] += n * probability(cut, p) / total
    lattice = training._lattice([*words], {piece: i for i, piece in enumerate(pieces)})
    counts = np.array([*words.values()], dtype=np.float64)
    np.testing.assert_allclose(training._expected(lattice, counts, drawn), [*expected.values()], rtol=1e-12)


@given(st.sets(st.text("ab", min_size=2, max_size=4), max_size=6))
def test_a_piece_is_cut_into_other_pieces(longer):
    """Without itself, and without those that are dropped."""
    pieces = ["a", "b", *sorted(longer)]
    lattice = training._lattice(pieces, {piece: i for i, piece in enumerate(pieces)}, whole=False)
    stay = np.array([len(piece) != 3 for piece in pieces])
    p = np.linspace(0.1, 0.9, len(pieces))
    found = training._forward(lattice.only(stay), p)[lattice.ends]
    for piece, got in zip(pieces, found, strict=True):
        others = {q: x for q, x, left in zip(pieces, p, stay, strict=True) if left and (q != piece or len(q) == 1)}
        assert got == pytest.approx(sum(probability(cut, others) for cut in cuts(piece, others)))


def test_probabilities_sum_to_one_and_the_likeliest_comes_first():
    learned = learn_pieces(WORDS, LETTERS, 20)
    assert sum(map(math.exp, learned.values())) == pytest.approx(1)
    assert [*learned.values()] == sorted(learned.values(), reverse=True)
    assert len(learned) <= 20 and learned.keys() >= LETTERS


def test_more_steps_make_the_words_likelier(monkeypatch):
    likelihoods = []
    for steps in (1, 2, 4, 8):
        monkeypatch.setattr(training, "_STEPS", steps)
        monkeypatch.setattr(training, "_LEAST", 1e-9)
        learned = learn_pieces(WORDS, LETTERS, 1000)  # none is dropped
        likelihoods.append(log_likelihood(WORDS, {piece: math.exp(x) for piece, x in learned.items()}))
    assert likelihoods == sorted(likelihoods) and likelihoods[-1] > likelihoods[0]


def test_pieces_that_cost_most_to_lose_stay():
    words = {"▁the": 100, "▁.": 100, "▁cat": 2, "▁dog": 2}
    letters = {letter for word in words for letter in word}
    learned = learn_pieces(words, letters, len(letters) + 2)
    assert {piece for piece in learned if len(piece) > 1} == {"▁.", "▁the"}


def test_a_word_that_is_no_part_of_another_is_a_piece():
    learned = learn_pieces(WORDS, LETTERS, 20)
    assert "▁." in learned and "▁run" in learned


def test_names_and_other_characters_are_in_no_piece():
    words = {"▁</s>": 50, "▁a</s>b": 50, "▁caféx": 50}
    learned = learn_pieces(words, set("▁</s>abcfx"), 60, names=("</s>",))
    assert "</s>" not in learned and "▁</s>" in learned and "s>" in learned
    assert not any("é" in piece for piece in learned) and "▁caf" in learned


def test_words_of_any_length_and_characters_in_none():
    learned = learn_pieces({"▁" + "ab" * 4000: 1, "▁" + "z" * 100: 9}, set("▁abzq"), 30)
    assert all(len(piece) <= training.LONGEST for piece in learned) and learned.keys() >= set("▁abzq")
    assert all(math.isfinite(x) for x in learned.values())


def test_the_order_of_words_does_not_matter(monkeypatch):
    words = {f"▁{a}{b}": 3 for a in "abcd" for b in "efgh"}
    letters = {letter for word in words for letter in word}
    for most in (training._MOST, 20):  # all words; seven of them, which are as frequent as the others
        monkeypatch.setattr(training, "_MOST", most)
        backwards = dict(reversed(words.items()))
        assert [*learn_pieces(words, letters, 20).items()] == [*learn_pieces(backwards, letters, 20).items()]
