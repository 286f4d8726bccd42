"""SentencePiece's tokenizer: the likeliest pieces, there and back, and names of special tokens that are text."""

import json
import math
import os
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data import UnigramTokenizer, load_tokenizer
from tinygrad_gpt.data.library_tokenizer import SENTENCE_TOKENS
from tinygrad_gpt.errors import UserError

library = pytest.importorskip("tokenizers")

TEXT = "The cats sat on the mats; the cat's hat, that it had, was fat. Später sät ein Hund! "


@pytest.fixture(scope="module")
def tokenizer():
    return UnigramTokenizer.train([TEXT] * 5, 120, SENTENCE_TOKENS)


def tokens(tokenizer, text: str) -> list[str]:
    return [tokenizer._backend.id_to_token(int(token)) for token in tokenizer.encode(text)]


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).replace("▁", " ").split())


def test_the_likeliest_pieces_are_taken(tokenizer):
    scores = dict(map(tuple, tokenizer._content()["model"]["vocab"]))

    def best(word: str) -> float:
        """The greatest sum of log-probabilities of all ways to cut the word."""
        of = [0.0]
        for j in range(1, len(word) + 1):
            of.append(max(of[i] + scores.get(word[i:j], -math.inf) for i in range(j)))
        return of[-1]

    for word in TEXT.split():
        pieces = tokens(tokenizer, word)
        assert "".join(pieces) == f"▁{word}"
        assert sum(scores[piece] for piece in pieces) == pytest.approx(best(f"▁{word}"), abs=1e-9)


def test_frequent_words_are_one_piece_with_their_space(tokenizer):
    assert tokens(tokenizer, "the cats  the\n") == ["▁the", "▁cats", "▁the"]
    assert tokenizer.encode("the").dtype == np.int64 and tokenizer.encode("").shape == (0,)


KNOWN = st.text([*sorted(set(TEXT)), "\n", "\u00a0", "▁", "\u0308"], max_size=30)  # Spa + \u0308 + ter is Später


@given(KNOWN)
def test_there_and_back_is_the_normalised_text(tokenizer, text):
    """NFKC, with single spaces."""
    expected = normal(text)
    if set(expected) <= set(TEXT):
        assert tokenizer.decode(tokenizer.encode(text)) == expected
        assert tokenizer.encode(expected).tolist() == tokenizer.encode(text).tolist()


def test_compatible_characters_are_one(tokenizer):
    assert tokenizer.decode(tokenizer.encode("ﬁt…")) == tokenizer.decode(tokenizer.encode("fit..."))
    assert tokenizer.decode(tokenizer.encode("The hat")) == "The hat"  # and case stays


def test_unknown_characters_are_one_token_that_is_written(tokenizer):
    ids = tokenizer.encode("the ЖЖ hat😀")
    assert tokenizer.decode(ids) == "the <unk> hat<unk>"
    assert ids.tolist().count(tokenizer.unk_id) == 2 and tokenizer.unk_id == 0


@given(ids=st.lists(st.integers(0, 60)))
def test_tokens_one_at_a_time_make_the_same_text(tokenizer, ids):
    stream = tokenizer.decoder()
    assert "".join(map(stream.feed, ids)) + stream.finish() == tokenizer.decode(ids)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_chunks_are_encoded_as_the_whole(tokenizer, size):
    text = TEXT * 3
    chunks = (text[i : i + size] for i in range(0, len(text), size))
    assert np.concatenate(list(tokenizer.encode_chunks(chunks))).tolist() == tokenizer.encode(text).tolist()


def test_lone_surrogates_are_refused(tokenizer):
    with pytest.raises(UserError, match="lone surrogate"):
        tokenizer.encode("a\ud800")


# --- special tokens ---------------------------------------------------------------------------------------------------


def test_special_tokens_have_the_last_ids_and_are_written_as_nothing(tokenizer):
    size = tokenizer.vocab_size
    assert (tokenizer.pad_id, tokenizer.end_id) == (size - 2, size - 1)
    assert tokenizer.decode([*tokenizer.encode("the hat"), size - 1, size - 2, size - 2]) == "the hat"
    assert tokenizer.decode([size - 2, *tokenizer.encode("the")]) == "the"
    without = UnigramTokenizer.train([TEXT], 100)
    assert without.pad_id is None and without.end_id is None


@pytest.mark.parametrize("text", ["</s>", "a </s> b", "<pad>the</s></s>", "</s", "<pad></pad>"])
@pytest.mark.parametrize("full_of_them", [False, True])
def test_their_names_in_a_text_are_text(text, full_of_them, tmp_path):
    """Even where the text that was learned from is full of them."""
    learned = TEXT + ("a </s> b<pad> </s></s><pad> " * 50 if full_of_them else "a </s> b<pad>")
    tokenizer = UnigramTokenizer.train([learned], 150, SENTENCE_TOKENS)
    tokenizer.save(tmp_path / "tokenizer.json")
    for one in (tokenizer, load_tokenizer(tmp_path / "tokenizer.json")):
        ids = one.encode(text)
        assert not {one.pad_id, one.end_id} & set(ids.tolist())
        assert one.decode(ids) == text


# --- training ---------------------------------------------------------------------------------------------------------


def test_equal_texts_give_equal_tokenizers_in_every_process(tokenizer):
    code = (
        "import sys; from tinygrad_gpt.data import UnigramTokenizer; "
        "print(UnigramTokenizer.train([sys.argv[1]] * 5, 120, ('<pad>', '</s>')).fingerprint())"
    )
    for seed in "12":
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", code, TEXT],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == tokenizer.fingerprint()


def test_a_corpus_gives_the_tokens_of_its_training_part(corpus_of):
    corpus = corpus_of("the cat sat. " * 90 + "zebra quiz" * 13)
    from_corpus = UnigramTokenizer.train(corpus, 60)
    assert from_corpus.fingerprint() == UnigramTokenizer.train(["".join(corpus.train())], 60).fingerprint()
    assert tokens(from_corpus, "zq") == ["▁", "<unk>"]


def test_the_most_frequent_characters_are_kept():
    tokenizer = UnigramTokenizer.train(["d cc bbb aaaa"], 8)
    assert tokenizer.vocab_size <= 8
    assert tokenizer.decode(tokenizer.encode("a b c d")) == "a b c <unk>"  # ▁ is the fourth of the half


@pytest.mark.parametrize(
    "corpus, size, error, message",
    [
        ([TEXT], 4, UserError, r"^a Unigram vocabulary needs at least 5 tokens .*, not 4$"),
        ([TEXT], "9", TypeError, "^train: expected an integer as vocab_size, got '9'$"),
        (TEXT[:9], 60, TypeError, "^train: expected a Corpus or an iterable of texts, got 'The cats '$"),
        (["a\ud800"], 60, UserError, "^the tokenizer cannot be trained: "),
        ([" \n"], 60, UserError, "^a Unigram tokenizer cannot learn from a text without words$"),
    ],
)
def test_what_cannot_be_trained(corpus, size, error, message):
    with pytest.raises(error, match=message):
        UnigramTokenizer.train(corpus, size, SENTENCE_TOKENS)


# --- files ------------------------------------------------------------------------------------------------------------


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, UnigramTokenizer) and loaded.fingerprint() == tokenizer.fingerprint()
    assert loaded.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()
    assert (loaded.pad_id, loaded.end_id, loaded.unk_id) == (tokenizer.pad_id, tokenizer.end_id, tokenizer.unk_id)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"pre_tokenizer": None}, "write a space as ▁"),
        ({"model": {"unk_id": None}}, "no token for characters that it does not know"),
        ({"model": {"byte_fallback": True}}, "write unknown characters as bytes are not supported"),
        ({"model": {"vocab": [["a", 0.0]], "unk_id": 5}}, "not a tokenizer of the tokenizers library"),
    ],
)
def test_files_of_another_kind(tokenizer, tmp_path, change, message):
    content = json.loads(tokenizer.to_json())
    for part, entries in change.items():
        content[part] = {**content[part], **entries} if entries else None
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        load_tokenizer(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
