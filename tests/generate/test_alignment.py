"""Alignments: pieces become words, weights stay weights, and both are seen, as text and as a picture."""

import numpy as np
import pytest

from tinygrad_gpt.generate.alignment import (
    WordAlignment,
    align_words,
    as_list,
    as_table,
    draw_alignment,
    word_groups,
)


class Pieces:
    """A tokenizer whose tokens are these pieces; the last one ends a sentence."""

    def __init__(self, *pieces):
        self.pieces = [piece if isinstance(piece, bytes) else piece.encode() for piece in pieces]
        self.end_id = len(pieces)

    def token_bytes(self, token):
        return self.pieces[token] if token < self.end_id else b""


def words(*pieces):
    tokenizer = Pieces(*pieces)
    return [word for _, word in word_groups(tokenizer, range(len(pieces) + 1))]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["A", " do", "g"], ["A", "dog", "</s>"]),
        ([" A", " dog", ".", ".", " ", "B"], ["A", "dog", ".", ".", "B", "</s>"]),
        (["well", "-", "known", " 5", ",", "0", "0"], ["well", "-", "known", "5", ",", "00", "</s>"]),
        (["sch", b"l\xc3", b"\xa4", "ft"], ["schläft", "</s>"]),  # a letter of two tokens
        ([b"\xff", "!"], ["\N{REPLACEMENT CHARACTER}", "!", "</s>"]),
        (["a\x1b[31m"], ["a\\x1b[31m", "</s>"]),  # what a terminal would obey
        ([], ["</s>"]),
    ],
)
def test_pieces_become_words(pieces, expected):
    assert words(*pieces) == expected


def test_the_end_is_a_word_of_its_own_wherever_it_stands():
    tokenizer = Pieces("a", "b")
    assert [places for places, _ in word_groups(tokenizer, [0, 2, 1, 0])] == [[0], [1], [2, 3]]


def test_to_look_at_a_word_is_to_look_at_any_of_its_pieces_and_writing_one_is_a_mean():
    tokenizer = Pieces("un", "aff", "able", " ein", "fach")
    weights = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.2, 0.2], [0.0, 0.0, 0.1, 0.9]])
    found = align_words(tokenizer, np.array([0, 1, 2, 5]), np.array([3, 4, 5]), weights)
    assert (found.source, found.target) == (["unaffable", "</s>"], ["einfach", "</s>"])
    np.testing.assert_allclose(found.weights, [[(0.6 + 0.8) / 2, (0.4 + 0.2) / 2], [0.1, 0.9]])


def test_rows_still_sum_to_one():
    rng = np.random.default_rng(0)
    tokenizer = Pieces("a", "b", " c", ".", " d")
    weights = rng.dirichlet(np.ones(7), size=6)
    found = align_words(tokenizer, [0, 1, 2, 3, 4, 1, 5], [4, 0, 1, 2, 3, 5], weights)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    assert found.weights.shape == (len(found.target), len(found.source)) == (4, 5)


# --- as text ----------------------------------------------------------------------------------------------------------


SEEN = WordAlignment(
    ["ein", "hund", "schläft", "</s>"],
    ["a", "dog", "sleeps", "</s>"],
    np.array([[0.76, 0.24, 0, 0], [0, 0.99, 0.01, 0], [0.0, 0.3, 0.7, 0.0], [0.12, 0.13, 0.37, 0.38]]),
)


def test_a_table_has_the_source_across_and_the_target_down():
    assert as_table(SEEN, 80) == [
        "        ein  hund  schläft  </s>",
        "a       ▓▓▓  ░░░░",
        "dog          ████",
        "sleeps       ░░░░  ▓▓▓▓▓▓▓",
        "</s>         ░░░░  ░░░░░░░  ▒▒▒▒",
    ]


def test_a_table_that_is_too_wide_is_a_list():
    width = len("        ein  hund  schläft  </s>")
    assert as_table(SEEN, width)[0].endswith("</s>")
    assert (
        as_table(SEEN, width - 1)
        == as_list(SEEN)
        == [
            "a       ein      0.76",
            "dog     hund     0.99",
            "sleeps  schläft  0.70",
            "</s>    </s>     0.38",
        ]
    )


def test_wide_characters_take_two_columns():
    seen = WordAlignment(["東京", "</s>"], ["大", "x"], np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert as_table(seen, 80) == ["    東京  </s>", "大  ████", "x         ████"]
    assert as_list(seen) == ["大  東京  1.00", "x   </s>  1.00"]


# --- as a picture -----------------------------------------------------------------------------------------------------


def test_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    said = []
    prices = WordAlignment(["$x^$", "東京"], ["$", "_{"], np.eye(2))  # which are no formulas
    for name, seen in (("a.png", SEEN), ("b.png", prices)):
        assert draw_alignment(seen, tmp_path / name, said.append)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert said == []


@pytest.mark.long
def test_a_picture_of_many_words_has_an_end(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    many = WordAlignment(["a"] * 200, ["b"] * 3, np.full((3, 200), 1 / 200))
    assert draw_alignment(many, tmp_path / "x.png")
    height, width = image.imread(tmp_path / "x.png").shape[:2]
    assert width == 40 * 120 and height < 600


def test_a_picture_that_cannot_be_drawn(tmp_path):
    said = []
    (tmp_path / "file").touch()
    assert not draw_alignment(SEEN, tmp_path / "file" / "x.png", said.append)
    assert len(said) == 1 and said[0].startswith("no x.png: ")
