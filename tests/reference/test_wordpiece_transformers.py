"""BERT's tokenizer beside transformers': equal ids, segments and offsets, and files that go there and back.

The vocabulary is a real one where TINYGRAD_GPT_MINILM names the folder of all-MiniLM-L6-v2 (bert-base-uncased's), and
one that is made here."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_gpt.data import WordPieceTokenizer, load_tokenizer, open_corpus

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")

pytestmark = pytest.mark.reference

MINILM = os.environ.get("TINYGRAD_GPT_MINILM", "")
VOCABULARIES = [
    "made here",
    "cased",
    pytest.param("MiniLM's", marks=pytest.mark.skipif(not MINILM, reason="no MiniLM")),
]


@pytest.fixture(scope="module", params=VOCABULARIES)
def folder(request, tmp_path_factory):
    """A folder with vocab.txt and tokenizer_config.json, and no tokenizer.json."""
    folder = tmp_path_factory.mktemp("bert")
    if request.param == "MiniLM's":
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(Path(MINILM) / name, folder / name)
    else:
        lowercase = request.param != "cased"
        WordPieceTokenizer.train(open_corpus("python-docs"), 2000, lowercase).save_pretrained(folder)
        (folder / "tokenizer.json").unlink()
    return folder


@pytest.fixture(scope="module")
def ours(folder):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def theirs(folder):
    transformers.logging.set_verbosity_error()
    return transformers.BertTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def in_python(folder, ours):
    """transformers' tokenizer without the library: Google's code, where transformers still has it."""
    try:
        from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy as BertTokenizer
    except ImportError:
        BertTokenizer = transformers.BertTokenizer
    return BertTokenizer(str(folder / "vocab.txt"), do_lower_case=ours.lowercase)


AWKWARD = [
    "",
    " ",
    "Hello, World! It's the café's naïve Ångström.",
    "ÀÉÎÕÜ àéîõü e\u0301 n\u0303 ﬁ ß ẞ İ ı Σς",
    "中文abc한국어日本語のテスト，。「」 \U00020000",
    "a\x00b\ufffdc\x07d\u200be\u00ade\ufeff\u202ef",
    "tab\tline\nreturn\rnbsp\u00a0ideographic\u3000sep\u2028par\u2029",
    "😀 👩\u200d👩\u200d👧 ❤\ufe0f 🇩🇪",
    "x" * 99 + " " + "x" * 100 + " " + "x" * 101 + " é" + "é" * 99 + "é" * 101,
    "[SEP] [MASK] [CLS] [PAD] [UNK] a[SEP]b [sep] [ SEP ] [[SEP]] [MASK].[MASK]",
    "##ing ing##  un##known",
    "$5.00 3.14e-10 C++ a_b #1 50% `x` ~ ^ | \\ € £",
]
ANY = st.lists(st.one_of(st.text(), st.sampled_from([*AWKWARD, " ", "the", "ing"]))).map("".join)


def assert_same(ours, theirs, text: str) -> None:
    encoding = theirs(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = ours.encode_with_offsets(text)
    assert ids.tolist() == ours.encode(text).tolist() == encoding["input_ids"]
    assert offsets.tolist() == [list(pair) for pair in encoding["offset_mapping"]]
    assert ours.pair(ids)[0].tolist() == theirs(text)["input_ids"]


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_texts(ours, theirs, in_python, text):
    assert_same(ours, theirs, text)
    assert ours.encode(text).tolist() == in_python(text, add_special_tokens=False)["input_ids"]


@settings(deadline=None, max_examples=500)
@given(text=ANY)
def test_any_unicode(ours, theirs, text):
    assert_same(ours, theirs, text)


def test_a_whole_corpus(ours, theirs, in_python):
    corpus = open_corpus("python-docs")
    text = "".join(corpus.train())
    ids = np.concatenate(list(ours.encode_chunks(corpus.train())))
    assert ids.tolist() == theirs(text, add_special_tokens=False)["input_ids"]
    assert ours.encode(text[:100_000]).tolist() == in_python(text[:100_000], add_special_tokens=False)["input_ids"]


@given(n=st.integers(0, 12), m=st.integers(1, 12), max_length=st.integers(4, 20))  # (an empty second text is none)
def test_pairs_and_how_they_are_cut(ours, theirs, n, m, max_length):
    a, b = "the , of a . " * 3, "a of ; the : in " * 3
    a, b = " ".join(a.split()[:n]), " ".join(b.split()[:m])
    ids, types = ours.pair(ours.encode(a), ours.encode(b), max_length)
    encoding = theirs(a, b, truncation="longest_first", max_length=max_length)
    assert ids.tolist() == encoding["input_ids"] and types.tolist() == encoding["token_type_ids"]
    ids, types = ours.pair(ours.encode(a), max_length=max_length)
    encoding = theirs(a, truncation=True, max_length=max_length)
    assert ids.tolist() == encoding["input_ids"] and types.tolist() == encoding["token_type_ids"]


def test_batches(ours, theirs):
    texts = ["The cat.", "a", "", "Python's standard library, and more"]
    ids, attention_mask = ours.pad_batch([ours.pair(ours.encode(text))[0] for text in texts])
    encoding = theirs(texts, padding=True, return_tensors="np")
    assert (ids == encoding["input_ids"]).all() and (attention_mask == encoding["attention_mask"]).all()


def test_words_that_are_already_split(ours, theirs):
    words = ["EU", "rejects", "Müller's", "call", "to-day", "中文", "[SEP]", "unaffable", "."]
    encoding = theirs(words, is_split_into_words=True, add_special_tokens=False)
    ids, first = ours.encode_words(words)
    assert ids.tolist() == encoding["input_ids"]
    assert first.tolist() == [encoding.word_ids().index(i) for i in range(len(words))]


def test_decoding(ours, theirs):
    ids = ours.pair(ours.encode("The unknown cat's hat, and more; is it? Yes!"), ours.encode("a [MASK] b"))[0]
    for skip in (False, True):
        assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip)


@pytest.mark.parametrize("gone", [(), ("tokenizer.json",), ("vocab.txt",)])
@pytest.mark.parametrize("loader", ["BertTokenizer", "AutoTokenizer"])
def test_what_is_saved_is_loaded_by_its_folder(ours, theirs, tmp_path, loader, gone):
    ours.save_pretrained(tmp_path)
    for name in gone:
        (tmp_path / name).unlink()
    again = getattr(transformers, loader).from_pretrained(tmp_path)
    assert type(again).__name__.startswith("BertTokenizer") and len(again) == ours.vocab_size
    for text in AWKWARD:
        assert again(text, "a the")["input_ids"] == theirs(text, "a the")["input_ids"]
        assert again(text, "a the")["token_type_ids"] == theirs(text, "a the")["token_type_ids"]
    special = (again.pad_token_id, again.unk_token_id, again.cls_token_id, again.sep_token_id, again.mask_token_id)
    assert special == (ours.pad_id, ours.unk_id, ours.cls_id, ours.sep_id, ours.mask_id)


def test_what_transformers_writes_is_read(ours, theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert type(again) is WordPieceTokenizer
    for text in AWKWARD:
        assert again.encode(text).tolist() == ours.encode(text).tolist()


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_folder_whose_files_disagree(ours, tmp_path, lowercase):
    ours.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": lowercase}))
    again, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in AWKWARD:
        assert again.encode(text).tolist() == theirs(text, add_special_tokens=False)["input_ids"]


@pytest.mark.skipif(not MINILM, reason="no MiniLM")
def test_a_published_folder():
    ours, theirs = load_tokenizer(MINILM), transformers.AutoTokenizer.from_pretrained(MINILM)
    assert ours.vocab_size == 30522
    assert (ours.pad_id, ours.unk_id, ours.cls_id, ours.sep_id, ours.mask_id) == (0, 100, 101, 102, 103)
    for text in AWKWARD:
        assert ours.encode(text).tolist() == theirs(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("settings", [dict(padding=True), dict(padding="max_length", truncation=True, max_length=12)])
@pytest.mark.parametrize("pairs", [False, True])
def test_a_call_gives_what_theirs_gives(ours, theirs, settings, pairs):
    texts = ["The cat sat.", "", "It was a very long day, and nobody knew why it had to be so."]
    others = texts[::-1] if pairs else None
    got, expected = ours(texts, others, **settings), theirs(texts, others, **settings)
    assert got.keys() == expected.keys()
    for name, x in got.items():
        assert x.tolist() == expected[name], name
