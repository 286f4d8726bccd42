"""BERT's tokenizer: how it splits text and is trained, and what it makes of pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.pieces import PIECES, TEXT, tokens, written
from tinygrad_gpt.data import WordPieceTokenizer
from tinygrad_gpt.data.wordpiece_tokenizer import SPECIALS
from tinygrad_gpt.errors import UserError

library = pytest.importorskip("tokenizers")

UNAFFABLE = ["un", "##a", "##ffa", "##bl", "##e"]  # and not ... ##ff ##able, which would be shorter


@pytest.fixture
def vocab(tmp_path):
    return written(tmp_path / "vocab.txt", PIECES)


@pytest.fixture
def tokenizer(vocab):
    return WordPieceTokenizer.from_vocab(vocab)


@pytest.fixture(scope="module")
def trained():
    return WordPieceTokenizer.train([TEXT], 120)


# --- splitting --------------------------------------------------------------------------------------------------------


def test_the_longest_piece_first_from_the_left(tokenizer):
    assert tokens(tokenizer, "unaffable") == UNAFFABLE
    assert tokenizer.encode("the").dtype == np.int64


def test_an_unknown_end_makes_the_whole_word_unknown(tokenizer):
    assert tokens(tokenizer, "the unaffablex the") == ["the", "[UNK]", "the"]


def test_a_word_of_more_than_a_hundred_letters_is_one_unknown(tokenizer):
    assert tokens(tokenizer, "a" * 100) == ["a"] + ["##a"] * 99
    assert tokens(tokenizer, "a" * 101) == ["[UNK]"]
    assert tokens(tokenizer, "a" * 101 + ",a") == ["[UNK]", ",", "a"]


def test_each_chinese_character_is_a_word_unless_that_is_switched_off(tokenizer, vocab):
    assert tokens(tokenizer, "中文the") == ["中", "文", "the"]
    joined = WordPieceTokenizer.from_vocab(vocab, tokenize_chinese_chars=False)
    assert tokens(joined, "中文") == ["中文"]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({}, "cafe"),
        ({"lowercase": False}, "Café"),  # accents stay where case stays
        ({"lowercase": False, "strip_accents": True}, "[UNK]"),  # Cafe
        ({"strip_accents": False}, "café"),
    ],
)
def test_accents_go_with_upper_case_unless_a_setting_says_otherwise(vocab, settings, expected):
    assert tokens(WordPieceTokenizer.from_vocab(vocab, **settings), "Café") == [expected]


def test_special_tokens_in_a_text_are_those_tokens(tokenizer):
    assert tokens(tokenizer, "the [SEP] a[MASK].") == ["the", "[SEP]", "a", "[MASK]", "."]
    assert tokens(tokenizer, "[sep]") == ["[UNK]"] * 3


def test_a_read_vocabulary_keeps_its_ids(tokenizer):
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (
        0,
        2,
        3,
        4,
        5,
    )
    assert tokenizer.vocab_size == len(PIECES) and [*map(tokenizer.id_to_token, range(len(PIECES)))] == PIECES


@pytest.mark.parametrize("size", [1, 7, 100])
def test_chunks_are_encoded_as_the_whole(trained, size):
    text = TEXT + "[SEP] " + TEXT
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    assert np.concatenate(list(trained.encode_chunks(iter(chunks)))).tolist() == trained.encode(text).tolist()


def test_lone_surrogates_are_refused(trained):
    for encode in (trained.encode, trained.encode_with_offsets, lambda text: trained.encode_words([text])):
        with pytest.raises(UserError, match="lone surrogate"):
            encode("a\ud800")


# --- decoding ---------------------------------------------------------------------------------------------------------


def test_decoding_joins_pieces_and_puts_spaces_between_words(tokenizer):
    ids = tokenizer.encode("The unaffable's, a.")
    assert tokenizer.decode(ids) == "the unaffable ' s, a."
    assert tokenizer.decode([]) == "" and tokenizer.decode(tokenizer.encode(".")) == "."
    assert tokenizer.decode(np.array([3, 11, 4])) == "[CLS] the [SEP]"
    assert tokenizer.decode(np.array([3, 11, 4, 0, 5, 2]), skip_special_tokens=True) == "the"


@pytest.mark.parametrize("ids", [[99], [-1]])
def test_decoding_an_id_out_of_range(tokenizer, ids):
    with pytest.raises(IndexError, match="is outside 0"):
        tokenizer.decode(ids)
    with pytest.raises(IndexError, match="is outside 0"):
        tokenizer.id_to_token(ids[0])


@given(ids=st.lists(st.integers(0, 40)))
def test_tokens_one_at_a_time_make_the_same_text(trained, ids):
    stream = trained.decoder()
    assert "".join(map(stream.feed, ids)) + stream.finish() == trained.decode(ids)


@given(st.lists(st.sampled_from(["The", "CATS", "sat", ",", "cat's", "!", "Café", "mats;", "the\n"])).map(" ".join))
def test_what_comes_back_is_encoded_alike(trained, text):
    once = trained.encode(text)
    assert trained.encode(trained.decode(once)).tolist() == once.tolist()


# --- offsets and words ------------------------------------------------------------------------------------------------


def test_offsets_say_where_a_token_stands_in_the_text(tokenizer):
    text = " The  Café,\u00a0😀 unaffable 中文\n"
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert ids.tolist() == tokenizer.encode(text).tolist()
    assert offsets.shape == (len(ids), 2) and offsets.dtype == np.int64
    parts = [text[begin:end] for begin, end in offsets]
    assert parts == ["The", "Café", ",", "😀", "un", "a", "ffa", "bl", "e", "中", "文"]
    ids, offsets = tokenizer.encode_with_offsets("")
    assert ids.shape == (0,) and offsets.shape == (0, 2)


def test_words_and_their_first_tokens(tokenizer):
    ids, first = tokenizer.encode_words(["The", "unaffable", "a's", "the"])
    assert [tokenizer.id_to_token(i) for i in ids] == ["the", *UNAFFABLE, "a", "'", "s", "the"]
    assert first.tolist() == [0, 1, 6, 9] and first.dtype == ids.dtype == np.int64
    ids, first = tokenizer.encode_words([])
    assert ids.shape == first.shape == (0,)


def test_a_word_of_which_nothing_is_left_still_has_a_token(tokenizer):
    ids, first = tokenizer.encode_words(["the", "\u200b", "", "a"])
    assert ids.tolist() == [11, tokenizer.unk_id, tokenizer.unk_id, 12] and first.tolist() == [0, 1, 2, 3]


def test_a_text_is_not_a_list_of_words(tokenizer):
    with pytest.raises(TypeError, match=r"^encode_words: expected a list of words, got 'the a': write text.split\(\)$"):
        tokenizer.encode_words("the a")


# --- pairs and batches ------------------------------------------------------------------------------------------------


def test_one_text_and_two(tokenizer):
    ids, types = tokenizer.pair([11, 12])
    assert ids.tolist() == [3, 11, 12, 4] and types.tolist() == [0, 0, 0, 0]
    ids, types = tokenizer.pair(np.array([11, 12]), np.array([13]))
    assert ids.tolist() == [3, 11, 12, 4, 13, 4] and types.tolist() == [0, 0, 0, 0, 1, 1]
    assert ids.dtype == types.dtype == np.int64
    ids, types = tokenizer.pair([], [])
    assert ids.tolist() == [3, 4, 4] and types.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "lengths, max_length, kept",
    [
        ((5, 5), 13, (5, 5)),
        ((9, 2), 9, (4, 2)),
        ((2, 9), 9, (2, 4)),
        ((9, 5), 9, (3, 3)),
        ((9, 5), 10, (4, 3)),
        ((5, 9), 10, (3, 4)),
        ((5, 5), 10, (3, 4)),
        ((5, 0), 6, (3, 0)),
        ((5, 5), 3, (0, 0)),
        ((5, None), 6, (4, None)),
    ],
)
def test_the_longer_text_is_cut_first(tokenizer, lengths, max_length, kept):
    a, b = (None if n is None else np.arange(n) + 6 for n in lengths)
    expected = tokenizer.pair(a[: kept[0]], None if b is None else b[: kept[1]])
    for got, right in zip(tokenizer.pair(a, b, max_length), expected, strict=True):
        assert got.tolist() == right.tolist()


def test_a_length_without_room_for_the_special_tokens(tokenizer):
    with pytest.raises(ValueError, match=r"^pair: expected max_length >= 3 or None, got 2$"):
        tokenizer.pair([6], [7], 2)
    assert tokenizer.pair([6], max_length=2)[0].tolist() == [3, 4]


def test_batches_are_padded_on_the_right(tokenizer):
    ids, attention_mask = tokenizer.pad_batch([[3, 11, 4], [3, 4]])
    assert ids.tolist() == [[3, 11, 4], [3, 4, 0]] and attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert ids.dtype == attention_mask.dtype == np.int64
    ids, attention_mask = tokenizer.pad_batch([[7]], value=-100, length=3)
    assert ids.tolist() == [[7, -100, -100]] and attention_mask.tolist() == [[1, 0, 0]]
    with pytest.raises(ValueError, match="expected at least one sequence"):
        tokenizer.pad_batch([])
    with pytest.raises(ValueError, match="expected length >= 3, got 2"):
        tokenizer.pad_batch([[1, 2, 3]], length=2)


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_special_tokens_have_the_first_ids(trained):
    assert [trained.id_to_token(i) for i in range(5)] == list(SPECIALS)
    assert (trained.pad_id, trained.unk_id, trained.cls_id, trained.sep_id, trained.mask_id) == (0, 1, 2, 3, 4)


def test_words_of_the_text_are_learned_and_letters_known_in_both_forms(trained):
    assert trained.vocab_size <= 120
    assert tokens(trained, "the cats") == ["the", "cats"]
    assert tokens(trained, "x") == ["[UNK]"]  # no such letter
    assert trained.unk_id not in trained.encode("tstehacs; !sthe'atn")
    letters = [trained.id_to_token(i) for i in range(5, trained.vocab_size)]
    assert "##t" in letters and "##;" not in letters and "T" not in letters


def test_equal_texts_give_equal_tokenizers():
    """The order of a hash table differs from one to the next, and must not show."""
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwxyz"]  # all pairs are as frequent
    texts = [" ".join(words), "éüöäñçßøåæ θλπσφω " * 3]  # and so are characters at the cut
    prints = {WordPieceTokenizer.train(texts, 200, False, limit_alphabet=40).fingerprint() for _ in range(6)}
    assert len(prints) == 1


def test_the_most_frequent_characters_are_kept():
    tokenizer = WordPieceTokenizer.train(["d cc bbb aaaa"], 50, limit_alphabet=2)
    assert tokens(tokenizer, "a b c d") == ["a", "b", "[UNK]", "[UNK]"]
    tokenizer = WordPieceTokenizer.train(["d cc bbb aaaa"], 10)  # room for two characters in both forms
    assert tokenizer.vocab_size <= 10 and tokens(tokenizer, "a b c d") == ["a", "b", "[UNK]", "[UNK]"]


def test_a_corpus_gives_the_tokens_of_its_training_part(corpus_of):
    corpus = corpus_of("the cat sat. " * 90 + "zebra quiz" * 13)
    from_corpus = WordPieceTokenizer.train(corpus, 60)
    assert from_corpus.fingerprint() == WordPieceTokenizer.train(["".join(corpus.train())], 60).fingerprint()
    assert tokens(from_corpus, "zebra") == ["[UNK]"]


def test_an_iterator_and_a_list_of_texts_give_the_same():
    texts = ["the cat", "the hat", "sat"]
    tokenizer = WordPieceTokenizer.train(texts * 9, 60)
    assert WordPieceTokenizer.train(iter(texts * 9), 60).fingerprint() == tokenizer.fingerprint()
    assert tokens(tokenizer, "cat the") == ["cat", "the"]  # and not "catthe"


def test_a_cased_vocabulary():
    tokenizer = WordPieceTokenizer.train([TEXT], 150, lowercase=False)
    assert tokens(tokenizer, "The THE the Café") == ["The", "THE", "the", "Café"]


@pytest.mark.parametrize(
    "corpus, size, error, message",
    [
        ([TEXT], 6, UserError, r"^a WordPiece vocabulary needs at least 7 tokens .*, not 6$"),
        ([TEXT], "9", TypeError, "^train: expected an integer as vocab_size, got '9'$"),
        (TEXT[:9], 60, TypeError, "^train: expected a Corpus or an iterable of texts, got 'The cats '$"),
        (["a\ud800"], 60, UserError, "^the tokenizer cannot be trained: "),
    ],
)
def test_what_cannot_be_trained(corpus, size, error, message):
    with pytest.raises(error, match=message):
        WordPieceTokenizer.train(corpus, size)


def test_more_tokens_than_memory_holds_are_not_asked_for():
    assert WordPieceTokenizer.train([TEXT], 10**15).vocab_size < 200
