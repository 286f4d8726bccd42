"""Sequences with an order of prediction: what they are made of, and that no answer reaches who is asked for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_gpt.data.permutations import (
    FUNCTIONAL,
    SHORTEST,
    Batch,
    Lines,
    choose_targets,
    draw_order,
    draw_sequence,
    encode_lines,
    make_batch,
    target_count,
    who_sees_whom,
    word_beginnings,
)
from tinygrad_gpt.errors import UserError

SEP, CLS, FIRST = 0, 1, 2  # ids; those from FIRST on are words


class Numbers:
    """Whose words are their ids, "17 5" -> 17, 5, and whose odd ids go on with the word before."""

    sep_id, cls_id, vocab_size = SEP, CLS, 20_000

    def encode(self, text):
        return np.array(text.split(), dtype=np.int64)

    def token_bytes(self, token):
        return b"" if token < FIRST else b"ing" if token % 2 else b" go"


TOKENIZER = Numbers()
BEGINS = word_beginnings(TOKENIZER)
seeds = st.integers(0, 2**31)


def text_of(lengths: list[int], shortest: int = SHORTEST) -> Lines:
    """Lines of these lengths. No token occurs twice, so that each tells its place."""
    ids = iter(range(FIRST, Numbers.vocab_size))
    chunk = "\n".join(" ".join(str(next(ids)) for _ in range(n)) for n in lengths)
    return encode_lines([chunk], TOKENIZER, shortest, "text")


@st.composite
def texts(draw):
    """A text, and a length of its sequences."""
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=20))
    text = text_of([*lengths, SHORTEST])
    return text, draw(st.integers(SHORTEST, min(80, len(text.tokens) + FUNCTIONAL)))


@st.composite
def batches(draw):
    """A batch, and T."""
    text, length = draw(texts())
    rng, count = np.random.default_rng(draw(seeds)), target_count(length, draw(st.floats(0.01, 0.49)))
    firsts = rng.integers(text.places(length), size=3)
    return make_batch(text, firsts, length, count, TOKENIZER, BEGINS, rng), length, count


# --- sequences -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(texts(), seeds)
def test_a_sequence_is_a_piece_of_text_and_two_passages_without_padding(made, seed):
    text, length = made
    rng, middle = np.random.default_rng(seed), made[1] // 2
    for first in rng.integers(text.places(length), size=5):
        ids, segments, functional = draw_sequence(text, int(first), length, TOKENIZER, rng)
        assert len(ids) == len(segments) == len(functional) == length
        (sep,) = np.flatnonzero(ids[:-2] == SEP)
        assert sep > middle and list(ids[-2:]) == [SEP, CLS], "cls is the last token"
        assert np.flatnonzero(functional).tolist() == [sep, length - 2, length - 1]
        np.testing.assert_array_equal(ids[:sep], text.tokens[first : first + sep])  # A goes on with the text
        b = ids[sep + 1 : -2]
        assert len(b) >= 1 and (np.diff(b) == 1).all()
        assert b[0] == ids[sep - 1] + 1 or b[0] - FIRST in text.starts, "B goes on, or begins a line"
        assert segments.tolist() == [0] * (sep + 1) + [1] * (length - sep - 2) + [2]


@settings(deadline=None)
@given(texts(), seeds)
def test_a_ends_with_a_line_if_one_ends_there(made, seed):
    text, length = made
    rng, middle = np.random.default_rng(seed), made[1] // 2
    first = int(rng.integers(text.places(length)))
    _, _, functional = draw_sequence(text, first, length, TOKENIZER, rng)
    end, room = first + int(np.argmax(functional)), length - middle - FUNCTIONAL
    possible = [start for start in text.starts.tolist() if first + middle < start < first + middle + room]
    assert end in possible if possible else end == first + middle + (room + 1) // 2


def test_b_goes_on_in_half_of_the_sequences():
    text, rng = text_of([7] * 200), np.random.default_rng(0)
    follows = []
    for first in rng.integers(text.places(40), size=2000):
        ids, _, functional = draw_sequence(text, int(first), 40, TOKENIZER, rng)
        sep = int(np.argmax(functional))
        follows.append(ids[sep + 1] == ids[sep - 1] + 1)
    assert abs(np.mean(follows) - 0.5) < 0.04


def test_blank_lines_are_no_lines_and_lines_may_be_cut_into_chunks():
    text = encode_lines(["2 3\n\n4", " 5\n  \n6 7 8 9\n"], TOKENIZER, SHORTEST, "text")
    assert text.tokens.tolist() == [*range(2, 10)] and text.starts.tolist() == [0, 2, 4]
    for short in ("", "\n\n", "2 3\n4 5 6 7"):
        with pytest.raises(UserError, match=r"the text has \d tokens, and a sequence of 10 needs 7: use a longer text"):
            encode_lines([short], TOKENIZER, SHORTEST, "text")


def test_places_are_all_where_a_sequence_can_begin():
    text, rng = text_of([5, 5, 5]), np.random.default_rng(0)
    last = text.places(12) - 1
    draw_sequence(text, last, 12, TOKENIZER, rng)
    assert last + 12 - FUNCTIONAL == len(text.tokens)


# --- targets ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(batches())
def test_targets_are_ordinary_tokens_of_both_halves_and_leave_context(made):
    batch, length, count = made
    middle = length // 2
    assert batch.targets.shape == batch.labels.shape == (3, count)
    assert (np.diff(batch.targets, axis=1) > 0).all(), "each place once"
    np.testing.assert_array_equal(np.take_along_axis(batch.input_ids, batch.targets, axis=1), batch.labels)
    assert not np.isin(batch.labels, [SEP, CLS]).any(), "no functional token"
    of_first = (batch.targets < middle).sum(axis=1)
    assert (of_first == count - count // 2).all() and (of_first < middle).all()


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(1, 6), st.integers(0, 5), seeds)
def test_words_are_whole(words, pieces, wanted, seed):
    """N-grams are of words, whatever their number of pieces (zihangdai/xlnet, pull request 16)."""
    begins = np.arange(words * pieces) % pieces == 0
    count = pieces * min(wanted, words)
    chosen = choose_targets(begins, np.ones(len(begins), dtype=bool), count, np.random.default_rng(seed))
    assert chosen.sum() == count
    whole = chosen.reshape(words, pieces)
    assert (whole.all(axis=1) | ~whole.any(axis=1)).all()


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=6, max_size=50), seeds)
def test_there_are_always_as_many_targets_as_asked_for(begins, seed):
    rng = np.random.default_rng(seed)
    ordinary = rng.random(len(begins)) < 0.8
    count = int(rng.integers(ordinary.sum() + 1))
    chosen = choose_targets(np.array(begins), ordinary, count, rng)
    assert chosen.sum() == count and not chosen[~ordinary].any()


def test_spans_have_one_to_five_words_with_room_around_them():
    every, rng = np.ones(20_000, dtype=bool), np.random.default_rng(1)
    targets = np.flatnonzero(choose_targets(every, every, 2500, rng))
    ends = np.flatnonzero(np.diff(targets) > 1)
    lengths = np.diff([0, *(ends + 1), len(targets)])
    shares = np.bincount(lengths, minlength=6)[1:] / len(lengths)
    np.testing.assert_allclose(shares, np.array([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]) / (137 / 60), atol=0.03)
    # Of which the last ones may be anywhere: what the last span had too many of.
    assert targets[2400] == pytest.approx(7 * 2400, rel=0.03), "six tokens around each word"


def test_a_word_begins_with_a_space_or_a_mark():
    class Some(Numbers):
        vocab_size = 6

        def token_bytes(self, token):
            return ["", " the", "ing", ".", "é", "'s"][token].encode()

    assert word_beginnings(Some()).tolist() == [True, True, False, True, False, True]


# --- who sees whom ---------------------------------------------------------------------------------------------------


def knows(may_see: np.ndarray) -> np.ndarray:
    """(T, T) booleans: whose token the query at i has heard of, through any number of layers of content."""
    content = may_see | np.eye(len(may_see), dtype=bool)
    reached = content
    for _ in range(len(may_see).bit_length()):
        reached = reached @ reached
    return may_see @ reached


@settings(deadline=None)
@given(batches())
def test_no_answer_reaches_its_query_through_any_number_of_layers(made):
    batch, length, _ = made
    middle = length // 2
    for may_see, targets in zip(batch.may_see, batch.targets, strict=True):
        heard, is_target = knows(may_see), np.isin(np.arange(length), targets)
        assert not np.diagonal(heard)[is_target].any()
        assert not heard[:middle, middle:].any(), "the first half does not depend on the second"
        assert heard[middle:, :middle].all(), "the second sees all of the first"
        half = np.arange(length) >= middle
        same = half == half[:, None]
        assert (heard | ~same)[:, ~is_target].all(), "context, functional tokens too, is seen by all of its half"
        assert not (heard & same)[~is_target][:, is_target].any(), "and sees no target"
        pairs = heard & same & is_target & is_target[:, None]
        assert not (pairs & pairs.T).any(), "of two targets, one is told first"
        assert (pairs | pairs.T | ~(same & is_target & is_target[:, None]) | np.eye(length, dtype=bool)).all()


@settings(deadline=None)
@given(batches())
def test_no_row_may_see_nothing(made):
    assert made[0].may_see.any(axis=-1).all()


def test_the_picture_of_the_docstring():
    """Rows see columns: exchanged, a query would see what is told after it."""
    order = np.array([[-1, 2, -1, -1, 1]])
    picture = "x.xx. x.xxx x.xx. x.xx. x.xx."
    wanted = np.array([[mark == "x" for mark in row] for row in picture.split()])
    np.testing.assert_array_equal(who_sees_whom(order, 0)[0], wanted)


def test_halves_have_orders_of_their_own():
    """Whatever the order, the second half sees the first."""
    order = np.array([[3, -1, -1, 0]])
    wanted = np.array([[0, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]], dtype=bool)
    np.testing.assert_array_equal(who_sees_whom(order, 2)[0], wanted)


def test_all_orders_are_drawn_equally_often():
    rng, targets = np.random.default_rng(2), np.array([True, False, True, True])
    counts: dict[tuple, int] = {}
    for _ in range(6000):
        order = draw_order(targets, rng)
        assert order[1] == -1 and (order[targets] >= 0).all()
        ranks = tuple(np.argsort(order[targets]).tolist())
        counts[ranks] = counts.get(ranks, 0) + 1
    assert len(counts) == 6 and min(counts.values()) > 850


# --- batches ---------------------------------------------------------------------------------------------------------


def test_a_generator_decides_all():
    text = text_of([9] * 30)

    def batch(seed):
        return make_batch(text, [3, 50, 8], 30, 6, TOKENIZER, BEGINS, np.random.default_rng(seed))

    for a, b in zip(batch(1), batch(1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(batch(1), Batch) and (batch(1).targets != batch(2).targets).any()


@pytest.mark.parametrize(("length", "share", "count"), [(512, 0.166, 85), (10, 0.01, 2), (64, 0.166, 11)])
def test_the_number_of_targets(length, share, count):
    assert target_count(length, share) == count
