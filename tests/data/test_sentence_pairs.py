"""Pairs of passages and their masks: which texts they are from, and what may never happen."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_gpt.data.sentence_pairs import (
    FOLLOWS,
    FROM_ELSEWHERE,
    EncodedDocuments,
    Pair,
    all_pairs,
    cut,
    draw_pair,
    encode_documents,
    make_batch,
    mask_tokens,
)
from tinygrad_gpt.data.wordpiece_tokenizer import SPECIALS, WordPieceTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

VOCAB = 5000


def numbers() -> WordPieceTokenizer:
    """Whose words are their ids: "17 5" -> 17, 5."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("".join(f"{token}\n" for token in (*SPECIALS, *range(len(SPECIALS), VOCAB))), encoding="utf-8")
        return WordPieceTokenizer.from_vocab(path)


TOKENIZER = numbers()


def sentences_of(lengths: list[list[int]]) -> EncodedDocuments:
    """Documents with sentences of these lengths. No token occurs twice, so that each tells its place."""
    words = iter(range(5, VOCAB))
    documents = [[" ".join(str(next(words)) for _ in range(n)) for n in document] for document in lengths]
    return encode_documents(documents, TOKENIZER, "a corpus")


documents = st.lists(st.lists(st.integers(1, 12), min_size=2, max_size=8), min_size=2, max_size=5)
seeds = st.integers(0, 2**31)


def document_of(text: EncodedDocuments, ids: np.ndarray) -> int:
    """The document of a passage, which lies in one."""
    place = ids - 5
    assert (np.diff(place) == 1).all(), "a passage is a piece of a text"
    first, last = (int(np.searchsorted(text.sentence_starts, p, side="right")) - 1 for p in (place[0], place[-1]))
    assert text.document_of(first) == text.document_of(last)
    return text.document_of(first)


@settings(deadline=None)
@given(documents, st.integers(2, 40), seeds)
def test_b_follows_a_or_is_from_another_document(lengths, length, seed):
    text, rng = sentences_of(lengths), np.random.default_rng(seed)
    for _ in range(10):
        pair = draw_pair(text, length, rng)
        assert len(pair.a) >= 1 and len(pair.b) >= 1 and len(pair.a) + len(pair.b) <= length
        a, b = document_of(text, pair.a), document_of(text, pair.b)
        assert pair.document == a
        if pair.label == FOLLOWS:
            assert a == b and pair.a[-1] < pair.b[0]
        else:
            assert pair.label == FROM_ELSEWHERE and a != b, "a passage of the same document is not a random one"


def test_a_passage_that_fits_is_whole_and_the_next_one_begins_behind_it():
    text, rng = sentences_of([[3, 3, 3], [3, 3, 3]]), np.random.default_rng(0)
    starts = text.tokens[text.sentence_starts[:-1]].tolist()
    pairs = [
        pair for pair in (draw_pair(text, 100, rng) for _ in range(100)) if len(pair.a) % 3 == len(pair.b) % 3 == 0
    ]
    assert len(pairs) > 80, "the others were to be short"
    for pair in pairs:
        assert pair.a[0] in starts and pair.b[0] in starts
        assert pair.label == FROM_ELSEWHERE or pair.b[0] == pair.a[-1] + 1


def test_half_of_the_pairs_follow_however_long_the_sentences_are():
    """In documents of which one sentence fills all the room, too."""
    for lengths in ([[50, 50, 50], [50, 50]], [[1] * 40, [2] * 30], [[50, 1], [1] * 60, [1, 50, 1]]):
        text, rng = sentences_of(lengths), np.random.default_rng(1)
        labels = [draw_pair(text, 20, rng).label for _ in range(2000)]
        assert abs(np.mean(labels) - 0.5) < 0.04
    assert {draw_pair(text, 20, rng, follows_only=True).label for _ in range(50)} == {FOLLOWS}


@pytest.mark.long
def test_both_kinds_of_pairs_take_b_from_the_same_places():
    """Or a model could tell them apart by the passage alone: by a rare document, or by how documents begin."""
    text, rng = sentences_of([[4] * 30, [4] * 3, [4] * 30, [4] * 30, [4] * 3]), np.random.default_rng(2)
    counts = np.zeros((2, len(text)))
    for _ in range(12_000):
        pair = draw_pair(text, 16, rng)
        sentence = int(np.searchsorted(text.sentence_starts, pair.b[0] - 5, side="right")) - 1
        counts[pair.label, sentence] += 1
    assert (counts[:, text.document_starts[:-1]] == 0).all(), "no B is the beginning of a document"
    short = np.delete(counts, np.r_[0:30, 33:93], axis=1).sum(axis=1) / counts.sum(axis=1)
    assert abs(short[FOLLOWS] - short[FROM_ELSEWHERE]) < 0.03


def test_lengths_do_not_tell_the_kinds_apart():
    """In short documents a B that follows ends with its document; one from elsewhere must not go on."""
    text, rng = sentences_of([[3, 5, 2], [4, 4], [6] * 12, [2, 2, 2, 2]] * 6), np.random.default_rng(4)
    lengths: dict[int, list] = {FOLLOWS: [], FROM_ELSEWHERE: []}
    for _ in range(4000):
        pair = draw_pair(text, 40, rng)
        lengths[pair.label].append((len(pair.a), len(pair.b), len(pair.a) + len(pair.b) < 20))
    np.testing.assert_allclose(*(np.mean(rows, axis=0) for rows in lengths.values()), rtol=0.08)
    alone = [draw_pair(text, 40, rng, follows_only=True) for _ in range(500)]
    assert max(len(pair.b) for pair in alone) > 30, "without pairs from elsewhere, B has all the room"


def test_some_pairs_are_short():
    text, rng = sentences_of([[5] * 50, [5] * 50]), np.random.default_rng(3)
    lengths = [len(pair.a) + len(pair.b) for pair in (draw_pair(text, 40, rng) for _ in range(2000))]
    assert 0.04 < np.mean(np.array(lengths) < 25) < 0.2
    assert min(lengths) < 8


@settings(deadline=None)
@given(documents, st.integers(2, 40), seeds)
def test_held_out_passages_share_no_sentence(lengths, length, seed):
    text = sentences_of(lengths)
    pairs = all_pairs(text, length, np.random.default_rng(seed))
    read = np.concatenate([np.concatenate([p.a, p.b] if p.label == FOLLOWS else [p.a]) for p in pairs])
    assert len(np.unique(read)) == len(read)
    assert {p.document for p in pairs} == set(range(len(lengths)))


def test_half_of_the_held_out_pairs_follow():
    text = sentences_of([[5] * 100, [5] * 100, [3] * 7])
    pairs = all_pairs(text, 30, np.random.default_rng(0))
    assert {a.label + b.label for a, b in zip(pairs[::2], pairs[1::2], strict=False)} == {1}
    assert len({pair.label for pair in pairs[::2]}) == 2, "in no fixed order"
    assert {pair.label for pair in all_pairs(text, 30, np.random.default_rng(0), follows_only=True)} == {FOLLOWS}


def test_held_out_text_is_read_to_the_end():
    text = sentences_of([[5] * 100, [5] * 100])
    pairs = all_pairs(text, 30, np.random.default_rng(0))
    read = np.unique(np.concatenate([np.concatenate([p.a, p.b]) for p in pairs]))
    assert len(read) > 0.9 * len(text.tokens)


def test_documents_of_one_sentence_are_left_out_and_end_no_loop():
    text = sentences_of([[4], [2, 2], [7], [3, 1], [5]])
    assert text.document_count == 2 and len(text) == 4
    for _ in range(20):
        draw_pair(text, 10, np.random.default_rng(0))
    with pytest.raises(UserError, match="expected at least 2 documents of 2 sentences or more, got 1: put a sentence"):
        sentences_of([[4], [5], [6, 6]])


def test_sentences_without_a_word_are_left_out():
    text = encode_documents([["1 1", "7 1", "8"], ["", "9", "10"]], TOKENIZER, "a corpus")
    assert text.tokens.tolist() == [7, 1, 8, 9, 10]


@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 60), seeds)
def test_the_longer_passage_loses_tokens_first(n, m, length, seed):
    a, b = cut(np.arange(n), np.arange(100, 100 + m), length, np.random.default_rng(seed))
    while n + m > length:  # as Google's code does, a token at a time
        n, m = (n - 1, m) if n > m else (n, m - 1)
    assert (len(a), len(b)) == (n, m)
    assert (np.diff(a) == 1).all() and (np.diff(b) == 1).all()


def test_tokens_are_lost_at_both_ends():
    firsts = [cut(np.arange(20), np.arange(2), 12, np.random.default_rng(seed))[0][0] for seed in range(50)]
    assert 2 < np.mean(firsts) < 8


def pair_of(a, b, label=FOLLOWS):
    return Pair(np.array(a), np.array(b), label, 0)


def test_a_batch_is_laid_out_as_bert_reads_it():
    pairs = [pair_of([10, 11, 12], [20, 21]), pair_of([30], [40], FROM_ELSEWHERE)]
    batch = make_batch(pairs, TOKENIZER, 10, np.random.default_rng(0))
    whole = np.where(batch.labels == IGNORE_INDEX, batch.input_ids, batch.labels)
    assert whole.tolist() == [[2, 10, 11, 12, 3, 20, 21, 3, 0, 0], [2, 30, 3, 40, 3, 0, 0, 0, 0, 0]]
    assert batch.attention_mask.tolist() == [[1] * 8 + [0] * 2, [1] * 5 + [0] * 5]
    assert batch.token_type_ids.tolist() == [[0] * 5 + [1] * 3 + [0] * 2, [0] * 3 + [1] * 2 + [0] * 5]
    assert batch.next_sentence_label.tolist() == [0, 1], "0: B follows, 1: it is from elsewhere, as in transformers"
    assert all(a.dtype == np.int64 for a in batch)


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=40), st.floats(0.01, 0.99), seeds)
def test_masks_are_never_on_special_tokens_or_padding(row, share, seed):
    ids = np.array([[2, *row, 3, 0, 0], [2, 7, *row, 3, 1]])
    masked, labels = mask_tokens(ids, TOKENIZER, np.random.default_rng(seed), share)
    chosen, special = labels != IGNORE_INDEX, np.isin(ids, TOKENIZER.special_ids)
    assert not (chosen & special).any()
    assert (labels[chosen] == ids[chosen]).all(), "a label is the token that was there"
    assert (masked[~chosen] == ids[~chosen]).all(), "other places stay"
    changed = masked[chosen & (masked != TOKENIZER.mask_id)]
    assert not np.isin(changed, TOKENIZER.special_ids).any()
    ordinary = (~special).sum(axis=1)
    assert chosen.sum(axis=1).tolist() == [min(n, max(1, round(share * n))) if n else 0 for n in ordinary.tolist()]


def test_fifteen_percent_are_masked_and_four_fifths_of_them_hidden():
    ids = np.random.default_rng(0).integers(5, VOCAB, size=(400, 200))
    masked, labels = mask_tokens(ids, TOKENIZER, np.random.default_rng(1))
    chosen = labels != IGNORE_INDEX
    assert chosen.mean() == 0.15
    hidden = (masked == TOKENIZER.mask_id)[chosen].mean()
    kept = (masked == ids)[chosen].mean()
    assert abs(hidden - 0.8) < 0.015 and abs(kept - 0.1) < 0.015
    assert abs(chosen.mean(axis=0) - 0.15).max() < 0.09, "all places alike"
    replacements = masked[chosen & (masked != ids) & (masked != TOKENIZER.mask_id)]
    assert len(np.unique(replacements)) > 500, "any token of the vocabulary"


def test_a_text_has_other_masks_when_it_is_read_again():
    pairs = [pair_of(range(10, 60), range(70, 120))]
    first, second, again = (make_batch(pairs, TOKENIZER, 120, np.random.default_rng([1, n])) for n in (0, 1, 0))
    assert (first.labels != second.labels).any()
    assert (first.labels == again.labels).all() and (first.input_ids == again.input_ids).all()
