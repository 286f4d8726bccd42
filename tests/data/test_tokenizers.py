"""Tokenizers: there and back for any text, chunked as whole, saved and loaded, and clear words for what goes wrong."""

import json
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_gpt.data import BPETokenizer, CharTokenizer, load_tokenizer, open_corpus
from tinygrad_gpt.data.library_tokenizer import cut_between_words
from tinygrad_gpt.errors import UserError

WORDS = "the cat sat on the mat; the cat's hat, that it had, was fat.\n" * 30


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def in_chunks(text: str, size: int):
    return (text[i : i + size] for i in range(0, len(text), size))


# --- characters ----------------------------------------------------------------------------------------------------


def test_char_ids_are_in_the_order_of_code_points():
    tokenizer = CharTokenizer("hello €😀")
    assert tokenizer.characters == " ehlo€😀" and tokenizer.vocab_size == 7
    ids = tokenizer.encode("hole 😀")
    assert ids.dtype == np.int64 and ids.tolist() == [2, 4, 3, 1, 0, 6]
    assert tokenizer.decode(ids) == "hole 😀" and tokenizer.decode([]) == ""
    assert tokenizer.encode("").shape == (0,)


def test_a_tokenizer_is_shown_in_short():
    assert repr(CharTokenizer("hello")) == "CharTokenizer(4 characters)"


@given(text=st.text(min_size=1), size=st.integers(1, 5))
def test_char_there_and_back(text, size):
    tokenizer = CharTokenizer(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert np.array_equal(np.concatenate(list(tokenizer.encode_chunks(in_chunks(text, size)))), ids)
    assert ids.max() == tokenizer.vocab_size - 1 == len(set(text)) - 1


@pytest.mark.parametrize("unknown, shown", [("é", "U+00E9"), ("A", "U+0041"), ("😀", "U+1F600"), ("\udce9", "U+DCE9")])
def test_char_names_the_unknown_character_and_its_position(unknown, shown):
    tokenizer = CharTokenizer("abcdz")
    with pytest.raises(UserError) as error:
        tokenizer.encode(f"abc{unknown}d?")
    assert repr(unknown) in one_line(error) and f"({shown}) at position 3" in one_line(error)
    with pytest.raises(UserError, match="at position 3 "):
        list(tokenizer.encode_chunks(["ab", f"c{unknown}d?"]))


def test_char_from_corpus_knows_both_parts(corpus_of):
    corpus = corpus_of("a" * 95 + "bcdef")
    assert CharTokenizer.from_corpus(corpus).characters == "abcdef"


def test_ids_that_are_none():
    tokenizer = CharTokenizer("ab")
    for token in (2, -1):
        with pytest.raises(IndexError, match=r"outside 0 \.\. 1"):
            tokenizer.decode([0, token])


# --- byte-level BPE ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_bpe(tmp_path_factory):
    pytest.importorskip("tokenizers")
    path = tmp_path_factory.mktemp("bpe") / "words.txt"
    path.write_text(WORDS, encoding="utf-8")
    return BPETokenizer.train(open_corpus(path), 275)


@pytest.fixture(scope="module")
def _gpt2():
    return {}


@pytest.fixture
def gpt2(real_data, _gpt2):
    pytest.importorskip("tokenizers")
    if not _gpt2:
        _gpt2["tokenizer"] = load_tokenizer(real_data / "gpt2-bpe")
    return _gpt2["tokenizer"]


def test_bpe_merges_what_is_frequent(small_bpe):
    assert small_bpe.vocab_size == 275
    tokens = {small_bpe.token_bytes(i) for i in range(275)}
    assert {bytes([b]) for b in range(256)} <= tokens and b" the" in tokens and b"at" in tokens
    assert len(small_bpe.encode(WORDS)) < len(WORDS) / 2
    assert small_bpe.encode("the cat").dtype == np.int64


def test_bpe_training_depends_on_the_text_alone(small_bpe, corpus_of):
    assert BPETokenizer.train(corpus_of(WORDS), 275).fingerprint() == small_bpe.fingerprint()
    assert BPETokenizer.train(corpus_of(WORDS), 274).fingerprint() != small_bpe.fingerprint()


def test_bpe_vocabulary_stays_smaller_where_nothing_is_left_to_merge(corpus_of):
    pytest.importorskip("tokenizers")
    tokenizer = BPETokenizer.train(corpus_of(WORDS), 5000)
    assert 275 < tokenizer.vocab_size < 300
    assert tokenizer.decode(tokenizer.encode(WORDS)) == WORDS


def test_bpe_vocabulary_must_hold_the_bytes(corpus_of):
    pytest.importorskip("tokenizers")
    with pytest.raises(UserError, match="at least 256"):
        BPETokenizer.train(corpus_of(WORDS), 255)


@settings(deadline=None)
@given(text=st.text(), size=st.integers(1, 20))
def test_bpe_any_unicode_there_and_back_whole_and_token_by_token(small_bpe, text, size):
    ids = small_bpe.encode(text)
    assert small_bpe.decode(ids) == text
    stream = small_bpe.decoder()
    assert "".join([stream.feed(token) for token in ids]) == text and stream.finish() == ""
    chunked = [i for part in small_bpe.encode_chunks(in_chunks(text, size)) for i in part.tolist()]
    assert chunked == ids.tolist()


AWKWARD = "ab1 \n\t\r.,'\u00a0\u3000é中\u0301😀\x1c"  # white space of all kinds, punctuation, a combining mark


@pytest.fixture(scope="module", params=["as GPT-2 splits", "as its successors split"])
def merged_everywhere(request):
    """A tokenizer with merges between all kinds of awkward characters, wherever its pattern allows one."""
    library = pytest.importorskip("tokenizers")
    byte_level = library.pre_tokenizers.ByteLevel
    backend = library.Tokenizer(library.models.BPE())
    backend.pre_tokenizer = byte_level(add_prefix_space=False)
    if request.param == "as its successors split":  # punctuation takes the line ends after it
        pattern = library.Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
        backend.pre_tokenizer = library.pre_tokenizers.Sequence(
            [library.pre_tokenizers.Split(pattern, "isolated"), byte_level(add_prefix_space=False, use_regex=False)]
        )
    trainer = library.trainers.BpeTrainer(vocab_size=2000, initial_alphabet=byte_level.alphabet(), show_progress=False)
    rng = np.random.default_rng(0)
    backend.train_from_iterator(("".join(rng.choice(list(AWKWARD), 50)) for _ in range(2000)), trainer)
    return BPETokenizer(backend)


@settings(deadline=None, max_examples=300)
@given(text=st.text(alphabet=st.sampled_from(AWKWARD), max_size=60), size=st.integers(1, 9))
def test_cuts_between_words_change_no_token(merged_everywhere, text, size):
    chunked = [i for part in merged_everywhere.encode_chunks(in_chunks(text, size)) for i in part.tolist()]
    assert chunked == merged_everywhere.encode(text).tolist()
    assert merged_everywhere.decode(chunked) == text


def test_a_stretch_without_words_is_cut_before_memory_runs_out():
    parts = list(cut_between_words(["." * 10] * 100, longest=50))
    assert "".join(parts) == "." * 1000 and max(map(len, parts)) == 50


def test_gpt2_reads_gpt2(gpt2):
    assert gpt2.vocab_size == 50257 and gpt2.token_bytes(50256) == b"<|endoftext|>"
    assert gpt2.encode("Hello world, it's 2019!").tolist() == [15496, 995, 11, 340, 338, 13130, 0]
    assert gpt2.encode(" naïve 😀").tolist() == [41492, 30325, 222]


@pytest.mark.long
@pytest.mark.parametrize("name", ["shakespeare", "wikitext-2"])
def test_gpt2_there_and_back_on_real_text_whole_and_chunked(gpt2, name):
    text = "".join(open_corpus(name).val())
    parts = list(gpt2.encode_chunks(in_chunks(text, 10_000)))
    ids = np.concatenate(parts)
    assert len(parts) > 10 and gpt2.decode(ids) == text
    sample = text[:200_000]
    whole = gpt2.encode(sample)
    assert np.array_equal(whole[:-5], ids[: len(whole) - 5])
    assert gpt2._backend.decode(whole.tolist()) == sample  # the library's own decoder agrees with ours


END = "<|endoftext|>"


def test_the_end_of_a_text_is_one_token_and_comes_back(gpt2):
    assert gpt2.end_of_text == 50256
    assert gpt2.encode(f"Hello{END}{END} world").tolist() == [15496, 50256, 50256, 995]
    text = f"a {END}b\n{END[:-1]}{END}"
    ids = gpt2.encode(text)
    assert ids.tolist().count(50256) == 2 and gpt2.decode(ids) == text
    assert [i for part in gpt2.encode_chunks(in_chunks(text, 3)) for i in part.tolist()] == ids.tolist()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.one_of(st.text(), st.sampled_from([END, f" {END}\n"]))).map("".join))
def test_gpt2_any_unicode_there_and_back(gpt2, text):
    assert b"".join(gpt2.token_bytes(i) for i in gpt2.encode(text)) == text.encode()


def test_stream_decoder_holds_half_characters_back(small_bpe):
    ids = small_bpe.encode("é😀")
    stream = small_bpe.decoder()
    assert [stream.feed(i) for i in ids] == ["", "é", "", "", "", "😀"]
    assert stream.feed(ids[0]) == "" and stream.finish() == "\ufffd"
    assert small_bpe.decode(ids[:3]) == "é\ufffd"


def test_lone_surrogate_is_no_text(small_bpe):
    with pytest.raises(UserError, match="surrogate"):
        small_bpe.encode("a\udce9")


@pytest.mark.parametrize("wrong", [None, b"abc", 3, ["a", "b"], bytearray(b"a")])
def test_what_is_no_text_is_refused(small_bpe, wrong):
    for tokenizer in (small_bpe, CharTokenizer("abc")):
        with pytest.raises(TypeError, match=r"^encode: expected a str as the text, got "):
            tokenizer.encode(wrong)


@pytest.mark.parametrize("wrong", [None, "abc", 3, [0.5], [[0]], ["a"], [True], np.array([0.0])])
def test_what_are_no_ids_is_refused(small_bpe, wrong):
    for tokenizer in (small_bpe, CharTokenizer("abc")):
        with pytest.raises(TypeError, match=r"^decode: expected (an integer as a token id|a sequence of ids), got "):
            tokenizer.decode(wrong)


# --- files ---------------------------------------------------------------------------------------------------------


def test_save_and_load(small_bpe, tmp_path):
    for tokenizer in (CharTokenizer('abc\n"\\é\u2028😀'), small_bpe):
        tokenizer.save(tmp_path / "tokenizer.json")
        for path in (tmp_path, tmp_path / "tokenizer.json"):
            loaded = load_tokenizer(path)
            assert type(loaded) is type(tokenizer) and loaded.fingerprint() == tokenizer.fingerprint()
            assert np.array_equal(loaded.encode("abccba"), tokenizer.encode("abccba"))
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


def test_tokenizer_json_with_a_special_token_truncation_and_padding(small_bpe, tmp_path):
    backend = type(small_bpe._backend).from_str(small_bpe.to_json())
    backend.add_special_tokens(["<|é|>"])
    backend.enable_truncation(5)
    backend.enable_padding(length=10_000)
    (tmp_path / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    loaded = load_tokenizer(tmp_path)
    text = WORDS + "<|é|>" + WORDS
    ids = loaded.encode(text)
    assert loaded.vocab_size == 276 and ids.tolist().count(275) == 1
    assert loaded.decode(ids) == text


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda c: c.update(normalizer={"type": "Lowercase"}), "leave the text as it is"),
        (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "leave the text as it is"),
        (lambda c: c.update(pre_tokenizer={"type": "Whitespace"}), "leave the text as it is"),
        (lambda c: c["model"].update(dropout=0.1), "leave the text as it is"),
        (lambda c: c["model"].update(vocab={"a": 0}, merges=[]), "no token for 255 of the 256 bytes"),
        (lambda c: c.update(model={"type": "nonsense"}), "tokenizers library"),
        (lambda c: c.pop("model"), "is not a tokenizer"),
    ],
)
def test_tokenizer_json_of_another_kind(small_bpe, tmp_path, change, says):
    content = json.loads(small_bpe.to_json())
    change(content)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=says) as error:
        load_tokenizer(path)
    assert str(path) in one_line(error)


def test_gpt2_files_by_their_folder_or_by_vocab_json(small_bpe, tmp_path):
    small_bpe._backend.model.save(str(tmp_path))
    for path in (tmp_path, tmp_path / "vocab.json"):
        assert np.array_equal(load_tokenizer(path).encode(WORDS), small_bpe.encode(WORDS))


@pytest.mark.parametrize(
    "content",
    [b'{"type": "char", "chara', b"[]", b"[" * 200_000, b"\xff", b'{"type": "char", "characters": ""}'],
    ids=("cut short", "a list", "brackets without end", "not UTF-8", "no characters"),
)
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(UserError) as error:
        load_tokenizer(tmp_path)
    assert "tokenizer.json" in one_line(error)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
    pytest.importorskip("tokenizers")
    (tmp_path / "vocab.json").write_text("{}")
    for path in (tmp_path, tmp_path / "vocab.json"):
        with pytest.raises(UserError, match=r"merges\.txt") as error:
            load_tokenizer(path)
        one_line(error)


@pytest.mark.parametrize("vocab", ["[]", '{"a": 0}', '{"a": 5}', '{"a</w>": 0}'])
def test_a_vocabulary_that_is_none_is_named(tmp_path, vocab):
    pytest.importorskip("tokenizers")
    (tmp_path / "vocab.json").write_text(vocab)
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(UserError) as error:
        load_tokenizer(tmp_path)
    assert str(tmp_path / "vocab.json") in one_line(error)


def test_without_the_library(monkeypatch, corpus_of, tmp_path):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match=r'pip install "tinygrad-gpt\[bpe\]"') as error:
        BPETokenizer.train(corpus_of(WORDS), 300)
    one_line(error)
    CharTokenizer("ab").save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path).vocab_size == 2  # needs no library


def files_beside_a_model(tokenizer, folder) -> set[str]:
    """tests/reference has transformers read them."""
    tokenizer.save_pretrained(folder)
    assert load_tokenizer(folder).encode(WORDS).tolist() == tokenizer.encode(WORDS).tolist()
    return {path.name for path in folder.iterdir()}


def test_the_files_beside_a_model(small_bpe, tmp_path):
    assert files_beside_a_model(CharTokenizer(WORDS), tmp_path / "char") == {"tokenizer.json", "tokenizer_config.json"}
    assert files_beside_a_model(small_bpe, tmp_path / "bpe") == {"tokenizer.json", "tokenizer_config.json"}
    like_gpt2 = {"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"}
    backend = type(small_bpe._backend).from_str(small_bpe.to_json())
    backend.add_special_tokens([END])
    tokenizer = BPETokenizer(backend)
    assert tokenizer.end_of_text == 275 and small_bpe.end_of_text is None
    assert files_beside_a_model(tokenizer, tmp_path / "gpt2") == like_gpt2
    config = json.loads((tmp_path / "gpt2" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "GPT2Tokenizer" and config["eos_token"] == END
    (tmp_path / "gpt2" / "tokenizer.json").unlink()
    older = load_tokenizer(tmp_path / "gpt2")
    assert older.end_of_text == 275
    assert older.encode(f"{WORDS}{END}").tolist() == [*tokenizer.encode(WORDS).tolist(), 275]
    backend.add_special_tokens(["<|another|>"])  # which the older pair of files could not tell
    assert files_beside_a_model(BPETokenizer(backend), tmp_path / "more") == {"tokenizer.json", "tokenizer_config.json"}
