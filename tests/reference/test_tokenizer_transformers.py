"""GPT-2's tokenizer gives the ids that transformers' GPT2TokenizerFast gives, and its files go there and back."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_gpt.data import BPETokenizer, load_tokenizer
from tinygrad_gpt.files.storage import data_folder
from tinygrad_gpt.models import GPT, GPTConfig, save_pretrained

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(data_folder() is None, reason="GPT-2's vocabulary is in the data folder"),
]

END = "<|endoftext|>"


@pytest.fixture(scope="module")
def files():
    return data_folder() / "gpt2-bpe"


@pytest.fixture(scope="module")
def ours(files):
    return load_tokenizer(files)


@pytest.fixture(scope="module")
def theirs(files):
    transformers.logging.set_verbosity_error()
    return transformers.GPT2TokenizerFast.from_pretrained(files)


def assert_same(ours, theirs, text: str) -> None:
    ids = ours.encode(text)
    assert ids.tolist() == theirs(text)["input_ids"]
    assert b"".join(ours.token_bytes(token) for token in ids) == text.encode()


@pytest.mark.parametrize("name", ["tinyshakespeare/input.txt", "wikitext-2/test.txt"])
def test_whole_corpora(ours, theirs, name):
    text = (data_folder() / name).read_text(encoding="utf-8")
    assert len(text) > 1_000_000
    assert_same(ours, theirs, text)


def test_a_corpus_in_chunks(ours, theirs):
    text = (data_folder() / "wikitext-2" / "valid.txt").read_text(encoding="utf-8")
    chunks = (text[i : i + 9973] for i in range(0, len(text), 9973))
    assert np.concatenate(list(ours.encode_chunks(chunks))).tolist() == theirs(text)["input_ids"]


CHARACTERS = "ab1 \n\t\r'.,\u00a0\u3000\u200b\ufeffé中\u0301😀👩\u200d\U0001f680\x00\x1c<|>endoftext"
AWKWARD = st.text(st.sampled_from(CHARACTERS))
ANY = st.lists(st.one_of(st.text(), AWKWARD, st.sampled_from([END, f" {END}", "it's", " \n"]))).map("".join)


@settings(deadline=None, max_examples=1000)
@given(text=ANY)
def test_any_unicode(ours, theirs, text):
    assert_same(ours, theirs, text)


@pytest.mark.parametrize("text", [END, f"a {END} b", END * 3, f"{END}\n", END[:-1], f"<{END}>", f"x{END.upper()}"])
def test_the_end_of_a_text_is_one_token(ours, theirs, text):
    assert_same(ours, theirs, text)
    assert ours.encode(text).tolist().count(ours.end_of_text) == text.count(END)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("kind", ["GPT-2's", "trained here"])
def test_what_is_saved_with_a_model_is_loaded_by_its_folder(ours, tmp_path, kind, norm):
    text = "It's a test: naïve 😀\n\n  of 2024."
    tokenizer = ours
    if kind == "trained here":
        library = pytest.importorskip("tokenizers")
        backend = library.Tokenizer(library.models.BPE())
        backend.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = library.decoders.ByteLevel()
        alphabet = library.pre_tokenizers.ByteLevel.alphabet()
        trainer = library.trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet, show_progress=False)
        backend.train_from_iterator([text] * 9, trainer)
        tokenizer = BPETokenizer(backend)
    model = GPT(GPTConfig(tokenizer.vocab_size, 8, n_layer=1, n_head=2, n_embd=4, norm=norm))
    save_pretrained(model, tmp_path, tokenizer)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(loaded) == tokenizer.vocab_size and loaded.eos_token_id == tokenizer.end_of_text
    assert_same(tokenizer, loaded, text)
    assert transformers.AutoConfig.from_pretrained(tmp_path).eos_token_id == tokenizer.end_of_text
    assert_same(load_tokenizer(tmp_path), loaded, text)
    if kind == "GPT-2's":  # the older pair of files by themselves
        os.remove(tmp_path / "tokenizer.json")
        assert_same(load_tokenizer(tmp_path), transformers.GPT2TokenizerFast.from_pretrained(tmp_path), text)


def test_their_tokenizer_json_is_read(ours, theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    assert_same(load_tokenizer(tmp_path), theirs, f"Hello{END} world")
