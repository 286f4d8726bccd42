"""Exact match and F1 of answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.tasks.scores import answer_scores
from tinygrad_gpt.tasks.scores.answers import normalised, words_f1

TEXTS = st.text(st.sampled_from("ab the.,'N é"), max_size=20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("an apple a day", "apple day"),
        ("theatre, another, Anna", "theatre another anna"),  # articles inside words stay
        ("U.S. $5,000", "us 5000"),
        ("well-known", "wellknown"),
        ("A-level", "alevel"),  # punctuation goes before articles
        ("«Élan» – oui", "«élan» – oui"),  # only ASCII's punctuation goes, as in SQuAD's script
        ("the", ""),
    ],
)
def test_normalised(text, expected):
    assert normalised(text) == expected


def test_words_f1():
    assert words_f1("the big red dog", "a red dog") == pytest.approx(2 * 2 / (3 + 2))
    assert words_f1("no no no", "no") == pytest.approx(2 * 1 / (3 + 1))
    assert words_f1("red", "blue") == 0
    assert words_f1("the", "a") == 1 and words_f1("the", "dog") == 0


def test_the_best_of_several_right_answers_counts_and_questions_are_averaged():
    right = [["Santa Clara, California", "Levi's Stadium"], ["1999"]]
    assert answer_scores(right, ["levis stadium", "in 1999"]) == (1 / 2, (1 + 2 / 3) / 2)
    with pytest.raises(ValueError, match="shorter"):
        answer_scores(right, ["levis stadium"])


@given(TEXTS, TEXTS)
def test_ranges_and_sides(a, b):
    assert 0 <= words_f1(a, b) == words_f1(b, a) <= 1 == words_f1(a, a)
    exact, f1 = answer_scores([[a]], [b])
    assert exact <= f1 and answer_scores([[a, b]], [b]) == (1, 1)
    assert normalised(normalised(a)) == normalised(a)
