"""Batches: what the windows hold, that they depend on (seed, step) alone, and the two short cases."""

import numpy as np
import pytest

from tinygrad_gpt.data import random_batch, sequential_batches
from tinygrad_gpt.data.batches import epoch_batch, stream_batch, stream_segments
from tinygrad_gpt.errors import UserError

TOKENS = (np.arange(1000) * 7 % 611).astype(np.uint16)


def test_windows_are_neighbouring_tokens_and_targets_come_one_later():
    x, y = random_batch(TOKENS, 5, 13, seed=1, step=0)
    assert x.shape == y.shape == (5, 13) and x.dtype == y.dtype == np.int64
    assert x.flags.c_contiguous and y.flags.c_contiguous
    stream = " ".join(map(str, TOKENS))
    for row, targets in zip(x, y, strict=True):
        assert " ".join(map(str, [*row, targets[-1]])) in stream
        assert np.array_equal(row[1:], targets[:-1])


def test_batch_depends_on_seed_and_step_alone():
    first = random_batch(TOKENS, 4, 8, seed=3, step=17)
    np.random.seed(0)
    random_batch(TOKENS, 4, 8, seed=3, step=0)
    again = random_batch(TOKENS, 4, 8, seed=3, step=17)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, random_batch(TOKENS, 4, 8, seed=3, step=18))
    assert not np.array_equal(first, random_batch(TOKENS, 4, 8, seed=4, step=17))
    assert not np.array_equal(random_batch(TOKENS, 4, 8, 1, 2), random_batch(TOKENS, 4, 8, 2, 1))


def test_every_window_is_drawn_and_about_equally_often():
    tokens = np.arange(20, dtype=np.uint32)
    starts = np.concatenate([random_batch(tokens, 100, 4, seed=0, step=step)[0][:, 0] for step in range(40)])
    counts = np.bincount(starts, minlength=16)
    assert len(counts) == 16  # windows of 5 tokens begin at 0 .. 15
    assert counts.min() > 180 and counts.max() < 330  # expected 250, standard deviation 15


def test_an_epoch_reads_every_block_once_in_another_order_each_time():
    tokens = np.arange(100, dtype=np.uint16)  # 9 blocks of 11, whose targets end with token 99
    batches = [epoch_batch(tokens, 2, 11, seed=5, step=step) for step in range(9)]
    assert all(x.shape == y.shape == (2, 11) and x.dtype == y.dtype == np.int64 for x, y in batches)
    assert all(np.array_equal(y, x + 1) for x, y in batches)
    starts = np.concatenate([x[:, 0] for x, _ in batches])
    first, second = starts[:9], starts[9:]  # the fifth batch holds the end of one and the beginning of the other
    assert sorted(first) == sorted(second) == list(range(0, 99, 11))
    assert list(first) != list(second) and list(first) != sorted(first)


def test_an_epochs_batch_depends_on_its_arguments_alone():
    later = epoch_batch(TOKENS, 4, 8, seed=3, step=70)
    for step in range(5):
        epoch_batch(TOKENS, 4, 8, seed=9, step=step)
    assert np.array_equal(later, epoch_batch(TOKENS, 4, 8, seed=3, step=70))
    assert not np.array_equal(later, epoch_batch(TOKENS, 4, 8, seed=4, step=70))


def test_a_batch_larger_than_the_text_goes_over_it_several_times():
    x, _ = epoch_batch(np.arange(9, dtype=np.uint16), 7, 4, seed=0, step=0)
    assert sorted(x[:6, 0]) == [0, 0, 0, 4, 4, 4]


def test_sequential_batches_predict_each_token_once():
    batches = list(sequential_batches(TOKENS, 4, 12))
    x = np.concatenate([x.ravel() for x, _ in batches])
    y = np.concatenate([y.ravel() for _, y in batches])
    assert [x.shape for x, _ in batches] == [(4, 12)] * 20 + [(3, 12)]  # 999 targets are 83 blocks and 3 left over
    assert np.array_equal(x, TOKENS[:996]) and np.array_equal(y, TOKENS[1:997])
    assert all(x.dtype == y.dtype == np.int64 for x, y in batches)
    assert sum(len(x) for x, _ in sequential_batches(TOKENS[:996], 4, 12)) == 82  # the last token has no target


def test_limit_spreads_the_blocks_over_the_stream():
    tokens = np.arange(1000, dtype=np.uint16)
    batches = list(sequential_batches(tokens, 4, 12, limit=2))
    starts = np.concatenate([x[:, 0] for x, _ in batches])
    assert len(batches) == 2 and starts.tolist() == [0, 120, 240, 372, 492, 612, 744, 864]
    assert len(list(sequential_batches(tokens, 4, 12, limit=500))) == 21


def test_shortest_stream_that_will_do():
    tokens = np.arange(9, dtype=np.uint16)
    x, y = random_batch(tokens, 2, 8, seed=0, step=0)
    assert np.array_equal(x, [range(8)] * 2) and np.array_equal(y, [range(1, 9)] * 2)
    assert len(list(sequential_batches(tokens, 2, 8))) == 1
    for too_short in (
        lambda: random_batch(tokens, 2, 9, 0, 0),
        lambda: epoch_batch(tokens, 2, 9, 0, 0),
        lambda: sequential_batches(tokens, 2, 9),
    ):
        with pytest.raises(UserError, match="9 tokens, but block_size 9 needs at least 10"):
            too_short()


# --- streams ---------------------------------------------------------------------------------------------------------


def epoch_of(tokens, rows, window, number, seed=1):
    """x and y of an epoch, (rows, length) each, and its `fresh` flags."""
    steps = stream_segments(tokens, rows, window)
    batches = [stream_batch(tokens, rows, window, seed, number * steps + i) for i in range(steps)]
    x, y = (np.concatenate([batch[side] for batch in batches], axis=1) for side in (0, 1))
    return x, y, [fresh for _, _, fresh in batches]


def test_each_row_is_a_stream_that_goes_on_where_it_stopped():
    tokens = np.arange(1000)
    x, y, fresh = epoch_of(tokens, 5, 13, 0)
    assert x.shape == y.shape == (5, 195) and x.dtype == y.dtype == np.int64
    np.testing.assert_array_equal(np.diff(x, axis=1), 1)
    np.testing.assert_array_equal(y, x + 1)
    np.testing.assert_array_equal(x[1:, 0], x[:-1, -1] + 1)  # streams lie side by side
    assert fresh == [True] + [False] * 14


def test_each_epoch_begins_elsewhere_and_misses_little():
    tokens = np.arange(1000)
    starts = {int(epoch_of(tokens, 5, 13, number)[0][0, 0]) for number in range(200)}
    left_over = 1000 - 5 * 195
    assert starts == set(range(left_over)), "any place that leaves a target for the last token, and each of them"
    assert left_over < 5 * 13 + 13


@pytest.mark.parametrize("length", [27, 28, 39, 40, 53])
def test_streams_of_any_text_end_within_it(length):
    for number in range(50):
        x, y, _ = epoch_of(np.arange(length), 2, 9, number)
        assert x.min() >= 0 and y.max() <= length - 1


def test_a_streams_batch_depends_on_its_arguments_alone():
    def batch(seed, step):
        return np.stack(stream_batch(TOKENS, 3, 8, seed, step)[:2])

    first = batch(3, 57)
    batch(3, 0)
    np.testing.assert_array_equal(batch(3, 57), first)
    assert not np.array_equal(batch(3, 58), first) and not np.array_equal(batch(4, 57), first)


def test_a_text_too_short_for_its_streams():
    assert stream_segments(np.arange(27), 2, 9) == 1
    with pytest.raises(UserError, match="has 26 tokens: too few for 2 streams of it with a window of 9 each: take"):
        stream_batch(np.arange(26), 2, 9, 1, 0)
