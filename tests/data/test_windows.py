"""Windows on a long text, and the best answer among those in them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data.windows import Window, best_of_windows, best_span, windows


def test_windows_of_a_long_text():
    assert windows(10, 5, 3) == [Window(0, 5, 0, 4), Window(3, 8, 4, 6), Window(5, 10, 6, 10)]
    assert windows(5, 5, 2) == [Window(0, 5, 0, 5)]
    assert windows(3, 5, 2) == [Window(0, 3, 0, 3)]
    assert windows(0, 5, 2) == [Window(0, 0, 0, 0)]
    assert windows(10, 5, 5) == [Window(0, 5, 0, 5), Window(5, 10, 5, 10)]


@pytest.mark.parametrize("stride", [0, 6, -1])
def test_a_stride_that_leaves_pieces_out(stride):
    with pytest.raises(ValueError, match=r"a stride in 1 \.\. 5"):
        windows(10, 5, stride)


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_each_piece_has_a_window_of_its_own_where_it_has_the_most_neighbours(count, room, data):
    stride = data.draw(st.integers(1, room))
    parts = windows(count, room, stride)
    assert all(part.end - part.begin == min(room, count) for part in parts)
    assert all(1 <= after.begin - part.begin <= stride for part, after in itertools.pairwise(parts))
    assert parts[0].begin == 0 and parts[-1].end == count
    own = [i for part in parts for i in range(part.begin_of_own, part.end_of_own)]
    assert own == list(range(count))

    def neighbours(piece, part):
        return min(piece - part.begin, part.end - 1 - piece)

    for part in parts:
        for piece in range(part.begin_of_own, part.end_of_own):
            assert neighbours(piece, part) == max(neighbours(piece, other) for other in parts)


def test_the_places_of_an_answer_in_a_window():
    window = Window(3, 8, 4, 6)
    assert window.places(3, 7, before=10) == (10, 14)
    assert window.places(5, 5, before=10) == (12, 12)
    assert window.places(2, 4, before=10) is None
    assert window.places(7, 8, before=10) is None


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=12), st.integers(1, 5))
def test_the_best_span_is_the_best_of_all(scores, longest):
    starts, ends = np.array(scores).T
    n = len(starts)
    every = [(starts[i] + ends[j], i, j) for i in range(n) for j in range(i, min(n, i + longest))]
    best = best_span(starts, ends, longest)
    assert best.score == max(every)[0] == starts[best.first] + ends[best.last]
    assert best.first <= best.last < best.first + longest


def test_an_end_before_the_start_is_no_answer():
    assert best_span([0, 9], [9, 1])[:2] == (1, 1)


def test_an_answer_begins_where_the_window_knows_most():
    parts = windows(10, 5, 3)
    scores = [np.zeros((5, 2)) for _ in parts]
    scores[0][4] = 50, 0  # piece 4, at the end of the first window: it belongs to the second one
    scores[1][1] = 10, 0  # piece 4
    scores[1][2] = 0, 7  # piece 5
    best = best_of_windows(scores, parts)
    assert (best.first, best.last, best.score) == (4, 5, 17)
    scores[2][4] = 20, 20  # piece 9
    assert best_of_windows(scores, parts)[:2] == (9, 9)


def test_windows_read_as_one_when_a_piece_scores_alike_in_each():
    rng = np.random.default_rng(0)
    for count in (1, 7, 30):
        scores = rng.normal(size=(count, 2))
        parts = windows(count, 12, 3)
        whole = best_span(*scores.T, longest=4)
        assert best_of_windows([scores[part.begin : part.end] for part in parts], parts, longest=4) == whole
