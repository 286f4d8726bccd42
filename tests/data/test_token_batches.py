"""Batches of pairs by their number of tokens: how large they are, when each pair is read, and their arrays."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data.parallel import Translations
from tinygrad_gpt.data.token_batches import EncodedPairs, TokenBatches, batches_in_order, encode_pairs, make_batch
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

PAD, END = 0, 1
LENGTHS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=60)


class Letters:
    """A tokenizer with an id for each letter."""

    pad_id, end_id = PAD, END

    def encode(self, text: str) -> np.ndarray:
        return np.array([ord(letter) - ord("a") + 2 for letter in text], dtype=np.int64)


def pairs_of(lengths) -> EncodedPairs:
    """Pairs with these lengths; all tokens of pair i are i + 2, but the last one, which is END."""
    sides = [[np.array([i + 2] * (n - 1) + [END]) for i, n in enumerate(side)] for side in zip(*lengths, strict=True)]
    return EncodedPairs(*sides, np.arange(len(lengths)), 0, 12)


def longest(pairs: EncodedPairs, members) -> int:
    return int(pairs.lengths[members].max())


# --- encoding ---------------------------------------------------------------------------------------------------------


def test_each_sentence_gets_an_end():
    pairs = encode_pairs(Translations(["ab", "c"], ["d", "abc"]), Letters(), 9)
    assert [ids.tolist() for ids in pairs.sources] == [[2, 3, END], [4, END]]
    assert [ids.tolist() for ids in pairs.targets] == [[5, END], [2, 3, 4, END]]
    assert pairs.lengths.tolist() == [[3, 2], [2, 4]] and pairs.places.tolist() == [0, 1]
    assert pairs.sources[0].dtype == np.int64 and pairs.note() == "" and len(pairs) == 2


def test_pairs_that_are_too_long_on_either_side_are_left_out_and_told_of():
    corpus = Translations(["aaa", "aa", "a", "aa"], ["a", "a", "aaa", "aa"])
    pairs = encode_pairs(corpus, Letters(), 3)  # with the end
    assert pairs.places.tolist() == [1, 3] and pairs.too_long == 2
    assert pairs.note() == "2 of 4 pairs left out: 2 longer than 3 tokens with </s>"


def test_pairs_without_text_are_told_of_too():
    pairs = encode_pairs(Translations(["a"], ["b"], blank=3), Letters(), 3)
    assert pairs.note() == "3 of 4 pairs left out: 3 without text"
    pairs = encode_pairs(Translations(["a", "aaa"], ["b", "b"], blank=1), Letters(), 3)
    assert pairs.note() == "2 of 3 pairs left out: 1 longer than 3 tokens with </s> and 1 without text"


def test_no_pair_left():
    with pytest.raises(UserError, match=r"^news: all 2 pairs are longer than the 3 positions .*shortest has 4 tokens"):
        encode_pairs(Translations(["aaaa", "a"], ["a", "aaa"]), Letters(), 3, "news")
    assert len(encode_pairs(Translations([], []), Letters(), 3)) == 0


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_a_batch_as_arrays():
    batch = make_batch([[7, 8, END], [9, END]], [[5, END], [6, 7, 8, END]], PAD)
    assert batch.source_ids.tolist() == [[7, 8, END], [9, END, PAD]]
    assert batch.source_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.decoder_input_ids.tolist() == [[PAD, 5, PAD, PAD], [PAD, 6, 7, 8]]
    assert batch.labels.tolist() == [[5, END, IGNORE_INDEX, IGNORE_INDEX], [6, 7, 8, END]]
    assert all(a.dtype == np.int64 for a in batch)


@given(LENGTHS)
def test_the_decoder_reads_what_comes_before_each_label(lengths):
    """And never the label itself: a decoder that sees the future learns nothing."""
    pairs = pairs_of(lengths)
    batch = make_batch(pairs.sources, pairs.targets, PAD)
    real = batch.labels != IGNORE_INDEX
    assert (batch.decoder_input_ids[:, 0] == PAD).all()
    after = real[:, 1:]
    assert (batch.decoder_input_ids[:, 1:][after] == batch.labels[:, :-1][after]).all()
    assert real.sum(axis=1).tolist() == pairs.lengths[:, 1].tolist()
    assert (batch.decoder_input_ids[~real] == PAD).all() and (batch.source_ids[batch.source_mask == 0] == PAD).all()
    assert batch.source_mask.sum(axis=1).tolist() == pairs.lengths[:, 0].tolist()


# --- which pairs are in a batch ---------------------------------------------------------------------------------------


@given(LENGTHS, st.integers(12, 80), st.integers(0, 99))
def test_an_epoch_has_every_pair_once_and_no_batch_more_tokens_than_it_may(lengths, max_tokens, seed):
    pairs = pairs_of(lengths)
    batches = TokenBatches(pairs, max_tokens, seed, PAD)
    for epoch in (0, 1, 7):
        steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        members = [batches.members(step) for step in steps]
        assert sorted(np.concatenate(members).tolist()) == list(range(len(pairs)))
        for step, some in zip(steps, members, strict=True):
            batch = batches.batch(step)
            size = max(batch.source_ids.size, batch.labels.size)  # with padding, of the longer side
            assert size == len(some) * longest(pairs, some) <= max_tokens
            assert batch.source_ids[:, 0].tolist() == [pairs.sources[i][0] for i in some]


@pytest.mark.long
@given(LENGTHS, st.integers(12, 80))
def test_batches_are_as_full_as_they_can_be(lengths, max_tokens):
    pairs = pairs_of(lengths)
    members = [some for some, _ in batches_in_order(pairs, max_tokens, PAD)]
    for some, after in pairwise(members):
        assert (len(some) + 1) * max(longest(pairs, some), longest(pairs, after[:1])) > max_tokens


@given(LENGTHS, st.integers(12, 80))
def test_sentences_of_like_length_are_together(lengths, max_tokens):
    pairs = pairs_of(lengths)
    batches = TokenBatches(pairs, max_tokens, 3, PAD)
    longer = sorted(
        sorted(pairs.lengths[batches.members(step)].max(axis=1).tolist()) for step in range(batches.per_epoch)
    )
    flat = [length for batch in longer for length in batch]
    assert flat == sorted(flat)


@given(LENGTHS, st.integers(12, 80), st.integers(0, 99), st.lists(st.integers(0, 200), min_size=1, max_size=9))
def test_a_batch_depends_on_seed_and_step_alone(lengths, max_tokens, seed, steps):
    pairs = pairs_of(lengths)
    batches = TokenBatches(pairs, max_tokens, seed, PAD)
    for step in steps:  # in any order, whatever was read before
        fresh = TokenBatches(pairs, max_tokens, seed, PAD)
        assert batches.members(step).tolist() == fresh.members(step).tolist()
        for one, other in zip(batches.batch(step), fresh.batch(step), strict=True):
            assert np.array_equal(one, other)


def epoch_of(batches: TokenBatches, epoch: int) -> list[list[int]]:
    return [batches.members(epoch * batches.per_epoch + i).tolist() for i in range(batches.per_epoch)]


def test_epochs_and_seeds_differ_in_the_order_of_batches_and_in_their_pairs():
    rng = np.random.default_rng(0)
    pairs = pairs_of(rng.integers(1, 6, (400, 2)).tolist())
    batches = TokenBatches(pairs, 40, 5, PAD)
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)
    lengths = [[longest(pairs, some) for some in epoch] for epoch in (first, second)]
    assert lengths[0] != lengths[1] and sorted(lengths[0]) == sorted(lengths[1])
    assert lengths[0] != sorted(lengths[0])
    together = [{frozenset(some) for some in epoch} for epoch in (first, second)]
    assert len(together[0] & together[1]) < len(first) / 10  # other pairs of the same lengths
    assert epoch_of(TokenBatches(pairs, 40, 6, PAD), 0) != first


def test_a_batch_of_the_same_length_every_time_is_not_the_first_of_every_epoch():
    pairs = pairs_of([(n, n) for n in range(1, 13)] * 5)
    batches = TokenBatches(pairs, 60, 0, PAD)
    firsts = {longest(pairs, batches.members(epoch * batches.per_epoch)) for epoch in range(30)}
    assert len(firsts) > 6


def test_in_order_every_pair_once_with_its_number():
    pairs = pairs_of([(3, 9), (2, 2), (9, 9), (2, 1), (9, 2)])
    seen = list(batches_in_order(pairs, 27, PAD))
    assert [members.tolist() for members, _ in seen] == [[3, 1, 0], [4, 2]]
    for members, batch in seen:
        assert batch.source_ids[:, 0].tolist() == [pairs.sources[i][0] for i in members]
    assert list(batches_in_order(EncodedPairs([], [], np.array([], np.int64), 0, 9), 27, PAD)) == []


def test_sentences_longer_than_a_batch():
    pairs = pairs_of([(3, 9)])
    for make in (lambda: TokenBatches(pairs, 8, 0, PAD), lambda: batches_in_order(pairs, 8, PAD)):
        with pytest.raises(UserError, match=r"^the longest sentence has 9 tokens, and a batch 8 at most: expected"):
            make()
    assert TokenBatches(pairs, 9, 0, PAD).per_epoch == 1
    with pytest.raises(UserError, match="no pairs"):
        TokenBatches(EncodedPairs([], [], np.array([], np.int64), 0, 9), 8, 0, PAD)
