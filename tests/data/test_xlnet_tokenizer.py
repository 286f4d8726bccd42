"""XLNet's tokenizer: ids of special tokens, whose names are text; <cls> last, padding on the left; files."""

import json

import numpy as np
import pytest

from tinygrad_gpt.data import UnigramTokenizer, XLNetTokenizer, load_tokenizer
from tinygrad_gpt.data.xlnet_tokenizer import SPECIALS
from tinygrad_gpt.errors import UserError

library = pytest.importorskip("tokenizers")

TEXT = "The cats sat on the mats; the cat's hat, that it had, was fat. A naive <dog> ran up! "
SEP, CLS, PAD = 4, 3, 5


@pytest.fixture(scope="module")
def tokenizer():
    return XLNetTokenizer.train([TEXT] * 5, 120)


@pytest.fixture(params=["trained", "saved and loaded", "as published"])
def any_tokenizer(request, tokenizer, tmp_path):
    """Published ones split and normalise in their own way, and know nothing of names that are text."""
    if request.param == "trained":
        return tokenizer
    tokenizer.save_pretrained(tmp_path)
    if request.param == "as published":
        content = json.loads((tmp_path / "tokenizer.json").read_text())
        metaspace = content["pre_tokenizer"]["pretokenizers"][0]
        content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
        content["normalizer"]["normalizers"] = content["normalizer"]["normalizers"][:4]
        content["post_processor"] = None
        (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    return load_tokenizer(tmp_path)


def test_special_tokens_have_the_first_ids_in_their_order(any_tokenizer):
    t = any_tokenizer
    assert t.special_ids == tuple(range(9))
    assert [t.id_to_token(i) for i in range(9)] == list(SPECIALS)
    assert (t.unk_id, t.bos_id, t.end_id, t.cls_id, t.sep_id, t.pad_id, t.mask_id, t.eod_id, t.eop_id) == (*range(9),)
    assert (t.cls_token, t.sep_token_id, t.mask_token, t.pad_token_id) == ("<cls>", 4, "<mask>", 5)
    assert t.all_special_ids == [*range(9)] and len(t) == t.vocab_size <= 120


def test_frequent_words_are_one_piece_with_their_space(any_tokenizer):
    assert any_tokenizer.tokenize("the cats  the\n") == ["▁the", "▁cats", "▁the"]
    assert any_tokenizer.decode(any_tokenizer.encode(" The cat's hat\n was fat")) == "The cat's hat was fat"


def test_accents_go_and_quotation_marks_are_one(tokenizer):
    assert tokenizer.encode("nai\u0308ve").tolist() == tokenizer.encode("naïve").tolist()
    assert tokenizer.decode(tokenizer.encode("naïve càt…")) == "naive cat..."
    other = XLNetTokenizer.train([TEXT + ' "cat" '] * 5, 120)
    assert other.decode(other.encode("``cat''")) == '"cat"'


@pytest.mark.parametrize(
    "text", ["<sep>", "a <sep> b", "the<cls>cat", "</s><s>", "<unk>", "<mask>s", "<pad", "<sep><sep>"]
)
@pytest.mark.parametrize("full_of_them", [False, True])
def test_their_names_in_a_text_are_text(text, full_of_them, tmp_path):
    """Even where the text that was learned from is full of them, and although they are pieces of the vocabulary."""
    learned = TEXT * 3 + "a <sep> b <cls> <unk> </s><s> <mask>s <pad> <sep><sep> " * (50 if full_of_them else 1)
    trained = XLNetTokenizer.train([learned], 150)
    trained.save(tmp_path / "tokenizer.json")
    for one in (trained, load_tokenizer(tmp_path / "tokenizer.json")):
        ids = one.encode(text)
        assert not set(range(9)) & set(ids.tolist())
        assert one.decode(ids) == text


@pytest.mark.parametrize("text", ["＜sep＞", "<se\u0301p>", "a<sep>", "▁<sep>", "<\u0308sep>"])
def test_what_becomes_their_name_is_text_too(any_tokenizer, text):
    """Full-width letters and accents go before a text is split."""
    ids = any_tokenizer.encode(text)
    assert not {SEP, CLS} & set(ids.tolist()) and "sep>" in any_tokenizer.decode(ids).replace(" ", "")


def test_a_text_and_a_pair(any_tokenizer):
    """L-17: <cls> is last, and of a segment of its own."""
    t, the, cats = any_tokenizer, any_tokenizer.encode("the"), any_tokenizer.encode("cats the")
    ids, kinds = t.pair(the)
    assert ids.tolist() == [*the, SEP, CLS] and kinds.tolist() == [0, 0, 2] and ids.dtype == kinds.dtype == np.int64
    ids, kinds = t.pair(the, cats)
    assert ids.tolist() == [*the, SEP, *cats, SEP, CLS] and kinds.tolist() == [0, 0, 1, 1, 1, 2]
    assert t.pair([], [])[0].tolist() == [SEP, SEP, CLS]


def test_long_texts_are_cut_the_longer_one_first(tokenizer):
    long, short = np.arange(20, 30), np.arange(40, 43)
    assert tokenizer.pair(long, max_length=6)[0].tolist() == [20, 21, 22, 23, SEP, CLS]
    assert tokenizer.pair(long, short, max_length=9)[0].tolist() == [20, 21, 22, SEP, 40, 41, 42, SEP, CLS]
    assert tokenizer.pair(short, long, max_length=8)[0].tolist() == [40, 41, SEP, 20, 21, 22, SEP, CLS]
    with pytest.raises(ValueError, match="expected max_length >= 3 or None, got 2"):
        tokenizer.pair(long, short, max_length=2)
    with pytest.raises(TypeError, match="expected ids, got 'the'"):
        tokenizer.pair("the")


def test_padding_is_on_the_left(tokenizer):
    """L-17: so the last column is <cls> in every row."""
    batch = tokenizer(["the", "cats the"], padding=True)
    (the,), (cats, _) = tokenizer.encode("the"), tokenizer.encode("cats the")
    assert batch["input_ids"].tolist() == [[PAD, the, SEP, CLS], [cats, the, SEP, CLS]]
    assert batch["attention_mask"].tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 2], [0, 0, 0, 2]]
    longer = tokenizer("the", "cats", padding="max_length", max_length=8)
    assert longer["input_ids"].tolist() == [[PAD, PAD, PAD, the, SEP, cats, SEP, CLS]]
    ids, mask = tokenizer.pad_batch([[7], [8, 9]], length=3)
    assert ids.tolist() == [[PAD, PAD, 7], [PAD, 8, 9]] and mask.tolist() == [[0, 0, 1], [0, 1, 1]]


def test_special_tokens_are_written_as_nothing_and_the_unknown_one_is_seen(any_tokenizer):
    t = any_tokenizer
    ids = [PAD, PAD, *t.encode("the ЖЖ hat😀"), SEP, CLS]
    assert t.decode(ids) == "the <unk> hat<unk>" and t.decode(ids, skip_special_tokens=True) == "the  hat"
    stream = t.decoder()
    assert "".join(map(stream.feed, ids)) + stream.finish() == t.decode(ids)
    assert t.convert_tokens_to_ids(["<sep>", "no such piece"]) == [SEP, 0]


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert type(loaded) is XLNetTokenizer and loaded.fingerprint() == tokenizer.fingerprint()
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert again.to_json() == tokenizer.to_json(), "nothing is added twice"
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert (config["tokenizer_class"], config["padding_side"], config["eos_token"]) == (
        "XLNetTokenizer",
        "left",
        "</s>",
    )


def test_another_unigram_tokenizer_is_none_for_xlnet(tmp_path):
    other = UnigramTokenizer.train([TEXT], 100, ("<pad>", "</s>"))
    other.save(tmp_path / "tokenizer.json")
    assert type(load_tokenizer(tmp_path / "tokenizer.json")) is UnigramTokenizer
    with pytest.raises(UserError, match="the tokenizer has no <s> <cls> <sep> <mask> <eod> <eop>: XLNet needs the tok"):
        XLNetTokenizer.from_json(other.to_json())


def test_further_tokens_have_the_last_ids():
    more = XLNetTokenizer.train([TEXT], 100, ("<new>",))
    assert more.convert_tokens_to_ids("<new>") == more.vocab_size - 1 and more.special_ids == tuple(range(9))


@pytest.mark.parametrize(
    ("size", "says"),
    [(10, "^a Unigram vocabulary needs at least 11 tokens .*<unk>, 8 special ones, ▁ and a letter.*, not 10$")],
)
def test_what_cannot_be_trained(size, says):
    with pytest.raises(UserError, match=says):
        XLNetTokenizer.train([TEXT], size)
