"""GPT-1's tokenizer: what it keeps of a text, and what it does not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data import BPETokenizer, GPT1Tokenizer, load_tokenizer, open_corpus
from tinygrad_gpt.errors import UserError

pytest.importorskip("tokenizers")

TEXT = "The cats sat on the mats; the cat's hat, and THE Café's bats!\n" * 40


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return GPT1Tokenizer.train(open_corpus(path), 120)


@pytest.fixture
def files(tokenizer, tmp_path):
    """The folder of a published GPT-1: vocab.json and merges.txt."""
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    return tmp_path


def test_a_text_comes_back_in_lower_case_with_spaces_between_words_and_marks(tokenizer):
    ids = tokenizer.encode("The  CATS sat,\non the cat's mat!")
    assert ids.dtype == np.int64
    assert tokenizer.decode(ids) == "the cats sat , on the cat ' s mat ! "


def test_accents_go_and_unknown_characters_are_one_token(tokenizer):
    assert tokenizer.decode(tokenizer.encode("Café")) == "cafe "
    assert tokenizer.encode("☃").tolist() == tokenizer.encode("<unk>").tolist() == [0]


@given(st.lists(st.sampled_from(["The", "CATS", "sat", ",", "cat's", "!", "Café", "mats;", "the\n"])).map(" ".join))
def test_what_comes_back_is_encoded_alike(tokenizer, text):
    """Normalising twice is normalising once."""
    once = tokenizer.encode(text)
    assert tokenizer.encode(tokenizer.decode(once)).tolist() == once.tolist()


@pytest.mark.parametrize("size", [1, 7, 100])
def test_chunks_are_encoded_as_the_whole(tokenizer, size):
    chunks = [TEXT[i : i + size] for i in range(0, len(TEXT), size)]
    ids = np.concatenate(list(tokenizer.encode_chunks(iter(chunks))))
    assert ids.tolist() == tokenizer.encode(TEXT).tolist()


def test_ids_stay_in_the_vocabulary(tokenizer):
    assert tokenizer.vocab_size <= 120
    assert tokenizer.encode(TEXT).min() >= 0 and tokenizer.encode(TEXT).max() < tokenizer.vocab_size
    with pytest.raises(IndexError):
        tokenizer.token_bytes(tokenizer.vocab_size)


def test_saved_and_loaded(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    for again in (load_tokenizer(tmp_path), load_tokenizer(tmp_path / "tokenizer.json")):
        assert isinstance(again, GPT1Tokenizer)
        assert again.fingerprint() == tokenizer.fingerprint()


def test_the_published_files_are_told_from_gpt2s(tokenizer, files):
    for place in (files, files / "vocab.json"):
        again = load_tokenizer(place)
        assert isinstance(again, GPT1Tokenizer)
        assert again.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()


def test_what_is_saved_for_transformers_names_its_kind(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config == {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": "<unk>"}


def test_a_vocabulary_without_an_unknown_token(files):
    vocabulary = json.loads((files / "vocab.json").read_text(encoding="utf-8"))
    renamed = {("<other>" if token == "<unk>" else token): id for token, id in vocabulary.items()}
    (files / "vocab.json").write_text(json.dumps(renamed), encoding="utf-8")
    with pytest.raises(UserError, match="<unk>"):
        load_tokenizer(files)


def test_files_that_are_damaged(files):
    (files / "merges.txt").write_text("#version: 0.2\nq q</w>\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"merges.txt") as error:
        load_tokenizer(files)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer"])
def test_another_way_of_splitting_is_refused(tokenizer, tmp_path, part):
    content = json.loads(tokenizer.to_json()) | {part: None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer.json: only BPE tokenizers of lower-case words"):
        load_tokenizer(tmp_path)


def test_a_byte_level_tokenizer_is_still_one(corpus_of, tmp_path):
    BPETokenizer.train(corpus_of(TEXT), 300).save(tmp_path / "tokenizer.json")
    assert isinstance(load_tokenizer(tmp_path), BPETokenizer)
