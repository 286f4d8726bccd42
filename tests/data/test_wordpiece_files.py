"""The files of BERT's tokenizer: vocab.txt, tokenizer.json and tokenizer_config.json, whole and damaged."""

import json

import pytest

from tests.data.pieces import PIECES, TEXT, tokens, written
from tinygrad_gpt.data import BPETokenizer, WordPieceTokenizer, load_tokenizer
from tinygrad_gpt.data.wordpiece_tokenizer import SPECIALS
from tinygrad_gpt.errors import UserError

library = pytest.importorskip("tokenizers")


@pytest.fixture
def vocab(tmp_path):
    return written(tmp_path / "vocab.txt", PIECES)


@pytest.fixture
def tokenizer(vocab):
    return WordPieceTokenizer.from_vocab(vocab)


@pytest.fixture(scope="module")
def trained():
    return WordPieceTokenizer.train([TEXT], 120)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("gone", [(), ("tokenizer.json",), ("vocab.txt",)])
def test_saved_and_loaded(tmp_path, lowercase, gone):
    tokenizer = WordPieceTokenizer.train([TEXT], 150, lowercase, strip_accents=not lowercase)
    tokenizer.save_pretrained(tmp_path)
    for name in gone:
        (tmp_path / name).unlink()
    again = load_tokenizer(tmp_path)
    assert type(again) is WordPieceTokenizer
    assert again.fingerprint() == tokenizer.fingerprint()
    assert (again.lowercase, again.strip_accents) == (lowercase, not lowercase)
    assert again.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()


def test_a_runs_file(trained, tmp_path):
    trained.save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path / "tokenizer.json").fingerprint() == trained.fingerprint()


def test_a_vocabulary_by_itself_is_lower_case(vocab):
    assert tokens(load_tokenizer(vocab), "Café") == ["cafe"]
    vocab.with_name("tokenizer_config.json").write_text('{"do_lower_case": false, "strip_accents": null}')
    assert tokens(load_tokenizer(vocab), "Café") == tokens(load_tokenizer(vocab.parent), "Café") == ["Café"]


def test_a_config_counts_more_than_tokenizer_json(tmp_path):
    WordPieceTokenizer.train([TEXT], 150).save_pretrained(tmp_path)
    settings = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    again = load_tokenizer(tmp_path)
    assert (again.lowercase, again.strip_accents, again.tokenize_chinese_chars) == (False, True, False)
    assert tokens(again, "The the") == ["[UNK]", "the"]


def test_line_ends_of_windows_and_a_byte_order_mark(vocab, tokenizer):
    vocab.write_bytes(b"\xef\xbb\xbf" + vocab.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    assert WordPieceTokenizer.from_vocab(vocab).fingerprint() == tokenizer.fingerprint()


def test_length_limits_in_a_tokenizer_json_do_not_count(trained, tmp_path):
    content = json.loads(trained.to_json())
    content["truncation"] = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    content["padding"] = {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": None}
    content["padding"] |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_tokenizer(tmp_path).encode(TEXT).tolist() == trained.encode(TEXT).tolist()


def test_special_tokens_that_a_tokenizer_json_does_not_name_are_special(trained):
    content = json.loads(trained.to_json()) | {"added_tokens": []}
    again = WordPieceTokenizer.from_json(json.dumps(content))
    assert tokens(again, "the [SEP]") == ["the", "[SEP]"] and again.vocab_size == trained.vocab_size


def damaged_vocabularies(path):
    def lines(*tokens):
        return "".join(f"{token}\n" for token in tokens).encode()

    return {
        "empty": (
            b"",
            f"the vocabulary {path} is empty: expected a token a line, such as [PAD] [UNK] [CLS] [SEP] [MASK]",
        ),
        "a line end": (b"\n", f"the vocabulary {path} is damaged: line 1 is empty, and should be a token"),
        "an empty line": (
            lines(*SPECIALS, "", "a"),
            f"the vocabulary {path} is damaged: line 6 is empty, and should be a token",
        ),
        "twice": (
            lines(*SPECIALS, "a", "b", "a"),
            f"the vocabulary {path} is damaged: lines 6 and 8 are the same token, 'a'",
        ),
        "no specials": (
            lines("[PAD]", "[UNK]", "a", "[SEP]"),
            f"the vocabulary {path} has no [CLS] [MASK]: BERT needs the tokens [PAD] [UNK] [CLS] [SEP] [MASK]",
        ),
        "no unknown": (lines("a", "b"), f"the vocabulary {path} has no {' '.join(SPECIALS)}: "),
        "latin-1": (
            lines(*SPECIALS) + b"caf\xe9\n",
            f"{path} is not UTF-8: byte 0xe9 at offset 34 (invalid continuation byte): convert the file to UTF-8 or "
            "leave it out",
        ),
        "UTF-16": (lines(*SPECIALS).decode().encode("utf-16"), f"{path} is not UTF-8: byte 0xff at offset 0 "),
    }


@pytest.mark.parametrize("kind", damaged_vocabularies(""))
def test_damaged_vocabularies(tmp_path, kind):
    content, message = damaged_vocabularies(tmp_path / "vocab.txt")[kind]
    (tmp_path / "vocab.txt").write_bytes(content)
    for path in (tmp_path, tmp_path / "vocab.txt"):
        with pytest.raises(UserError) as error:
            load_tokenizer(path)
        assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_missing_vocabulary(tmp_path):
    with pytest.raises(UserError, match=r"^cannot read .*vocab.txt"):
        load_tokenizer(tmp_path / "vocab.txt")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"normalizer": None}, "only WordPiece tokenizers that split text as BERT's does are supported"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "only WordPiece tokenizers"),
        ({"model": {"continuing_subword_prefix": "@@"}}, "only WordPiece tokenizers"),
        ({"model": {"unk_token": "[MASK]"}}, "only WordPiece tokenizers"),
        (
            {"model": {"vocab": {"[UNK]": 0, "a": 1}}, "added_tokens": []},
            r"the vocabulary has no \[PAD\] \[CLS\]",
        ),
        ({"model": {"vocab": {"[UNK]": 0, "a": 7}}, "added_tokens": []}, "the vocabulary has no "),
        ({"model": {"vocab": {"[PAD]": 0}}}, r"the vocabulary has no \[UNK\]: BERT needs"),  # added, but not known
        ({"model": {"vocab": None}}, "not a tokenizer of the tokenizers library"),
        ({"model": {"vocab": [["a", 1.5]]}}, "not a tokenizer of the tokenizers library"),
        ({"model": {"type": "Unigram"}}, "only .* tokenizers|not a tokenizer"),
    ],
)
def test_tokenizers_of_other_kinds_and_damaged_ones(trained, tmp_path, change, message):
    content = json.loads(trained.to_json())
    model = content["model"] | change.pop("model", {})
    (tmp_path / "tokenizer.json").write_text(json.dumps(content | change | {"model": model}), encoding="utf-8")
    with pytest.raises(UserError, match=f"^{tmp_path}/tokenizer.json: ({message})") as error:
        load_tokenizer(tmp_path)
    assert "\n" not in str(error.value)


def test_a_tokenizer_config_that_is_damaged(vocab):
    vocab.with_name("tokenizer_config.json").write_text('{"do_lower_case": "yes"}')
    with pytest.raises(UserError, match=r"tokenizer_config.json is damaged: do_lower_case should be true or false"):
        load_tokenizer(vocab)


def test_the_other_kinds_are_still_told_apart(corpus_of, tmp_path):
    BPETokenizer.train(corpus_of(TEXT), 300).save(tmp_path / "tokenizer.json")
    assert type(load_tokenizer(tmp_path)) is BPETokenizer


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer", "model"])
def test_wordpiece_with_a_part_missing(trained, part):
    content = json.loads(trained.to_json())
    del content[part]
    with pytest.raises(UserError):
        WordPieceTokenizer.from_json(json.dumps(content))
