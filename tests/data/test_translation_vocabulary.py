"""One vocabulary for two languages, of each kind: there and back, ends, and names of special tokens that are text."""

import json

import pytest

from tinygrad_gpt.data import BPETokenizer, CharTokenizer, UnigramTokenizer, WordPieceTokenizer, load_tokenizer
from tinygrad_gpt.data.parallel import Parallel, Translations, open_parallel
from tinygrad_gpt.data.translation_vocabulary import VOCABULARIES, check_vocabulary, train_vocabulary
from tinygrad_gpt.errors import UserError

library = pytest.importorskip("tokenizers")

ENGLISH = [
    "a man in an orange hat is sitting .",
    "two dogs run , and they play </s> .",
    "the [SEP] <pad> man CLAMKD",
] * 9
GERMAN = ["ein mann mit orangefarbenem hut sitzt .", "zwei hunde rennen , und spielen .", "der Mann läuft"] * 9
HELD_OUT = Translations(["zebra quixotic"], ["ypsilon"])
CORPUS = Parallel("test", "en", "de", Translations(ENGLISH, GERMAN), HELD_OUT, HELD_OUT, "")
KINDS = {"bpe": BPETokenizer, "unigram": UnigramTokenizer, "wordpiece": WordPieceTokenizer}
SIZE = 330


@pytest.fixture(scope="module", params=VOCABULARIES)
def tokenizer(request):
    return train_vocabulary(CORPUS, request.param, SIZE)


def test_each_kind_has_what_a_translator_needs(tokenizer):
    assert isinstance(tokenizer, tuple(KINDS.values())) and tokenizer.vocab_size <= SIZE
    assert 0 <= tokenizer.pad_id < tokenizer.vocab_size and 0 <= tokenizer.end_id < tokenizer.vocab_size
    assert tokenizer.pad_id != tokenizer.end_id
    check_vocabulary(tokenizer, "mine")


def test_names_are_those_of_the_kinds():
    assert set(VOCABULARIES) == KINDS.keys()
    for name, kind in KINDS.items():
        assert type(train_vocabulary(CORPUS, name, SIZE)) is kind
    with pytest.raises(UserError, match=r"^there is no kind of vocabulary 'wordpeace' \(did you mean wordpiece\?\)"):
        train_vocabulary(CORPUS, "wordpeace", SIZE)


def test_sentences_of_both_languages_come_back(tokenizer):
    for text in ("two dogs run , and they sitting", "zwei hunde rennen , und spielen", "der Mann läuft"):
        back = tokenizer.decode(tokenizer.encode(text))
        assert back == (text.replace(" ,", ",") if isinstance(tokenizer, WordPieceTokenizer) else text)


@pytest.mark.parametrize("text", ["a </s> man", "</s>", "<pad><pad>", "[SEP] [CLS] [PAD] [MASK]", "man</s></s>"])
def test_names_of_special_tokens_in_a_text_are_text(tokenizer, text, tmp_path):
    """A sentence from a stranger does not end where it says </s>."""
    tokenizer.save(tmp_path / "tokenizer.json")
    for one in (tokenizer, load_tokenizer(tmp_path / "tokenizer.json")):
        ids = one.encode(text).tolist()
        added = json.loads(one.to_json())["added_tokens"]
        special = {token["id"] for token in added} - {getattr(one, "unk_id", None)}
        assert {one.pad_id, one.end_id} <= special and not special & set(ids)
        if isinstance(one, WordPieceTokenizer):
            text = " ".join(text)
        assert one.decode(ids).replace(" ", "") == text.replace(" ", "")


def test_special_tokens_are_written_as_nothing(tokenizer):
    ids = tokenizer.encode("der Mann").tolist()
    around = [tokenizer.pad_id, *ids, tokenizer.end_id, tokenizer.pad_id]
    assert tokenizer.decode(around) == "der Mann"
    stream = tokenizer.decoder()
    assert "".join(map(stream.feed, around)) + stream.finish() == "der Mann"
    assert tokenizer.token_bytes(tokenizer.end_id) == b""


def test_a_call_ends_each_sentence(tokenizer):
    one = tokenizer("der Mann läuft")
    ids = tokenizer.encode("der Mann läuft").tolist()
    assert one["input_ids"].tolist() == [[*ids, tokenizer.end_id]] and one["attention_mask"].min() == 1
    both = tokenizer(["der Mann läuft", "der"], padding=True)
    end = int(both["attention_mask"][1].sum())
    assert both.keys() == {"input_ids", "attention_mask"} and both["input_ids"][1, end - 1] == tokenizer.end_id
    assert (both["input_ids"][1, end:] == tokenizer.pad_id).all() and end < both["input_ids"].shape[1]
    with pytest.raises(ValueError, match=r"the sequences have \d+ to \d+ tokens: use padding=True"):
        tokenizer(["der Mann läuft", "der"])
    with pytest.raises(TypeError, match="expected a text or a list of texts as text, got 3"):
        tokenizer(3)


def test_what_is_unknown_is_written(tokenizer):
    written = tokenizer.decode(tokenizer.encode("der Ж"))
    assert (
        written
        == {BPETokenizer: "der Ж", UnigramTokenizer: "der <unk>", WordPieceTokenizer: "der [UNK]"}[type(tokenizer)]
    )


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    for save, path in ((tokenizer.save, tmp_path / "t.json"), (tokenizer.save_pretrained, tmp_path / "folder")):
        path.parent.mkdir(exist_ok=True)
        save(path)
        loaded = load_tokenizer(path)
        assert type(loaded) is type(tokenizer) and loaded.fingerprint() == tokenizer.fingerprint()
        assert (loaded.pad_id, loaded.end_id) == (tokenizer.pad_id, tokenizer.end_id)
        assert loaded.encode(GERMAN[0]).tolist() == tokenizer.encode(GERMAN[0]).tolist()


def test_equal_pairs_give_equal_vocabularies(tokenizer):
    (kind,) = (name for name, kind in KINDS.items() if isinstance(tokenizer, kind))
    assert train_vocabulary(CORPUS, kind, SIZE).fingerprint() == tokenizer.fingerprint()


def test_it_is_learned_from_the_pairs_to_learn_from_alone(tokenizer):
    """Words, and even letters, of the pairs to test on are strange to it."""
    other = Parallel("test", "en", "de", CORPUS.train, Translations(["x"], ["x"]), Translations(["q"], ["q"]), "")
    (kind,) = (name for name, kind in KINDS.items() if isinstance(tokenizer, kind))
    assert train_vocabulary(other, kind, SIZE).fingerprint() == tokenizer.fingerprint()
    assert len(tokenizer.encode("ypsilon")) > 1


def test_a_tokenizer_that_is_no_vocabulary_of_sentences():
    for tokenizer in (
        BPETokenizer.train(["a text"], 256),
        CharTokenizer("abc"),
        WordPieceTokenizer.train(["text"], 40),
    ):
        with pytest.raises(UserError, match=r"^mine: expected a vocabulary of sentences, .* got \w+\(\d+ "):
            check_vocabulary(tokenizer, "mine")


def test_other_tokenizers_read_their_special_tokens_as_before():
    """</s> alone makes a vocabulary of sentences."""
    wordpiece = WordPieceTokenizer.train(["a text"], 40)
    assert wordpiece.end_id is None and wordpiece.encode("[SEP]").tolist() == [wordpiece.sep_id]
    assert wordpiece.decode([wordpiece.sep_id]) == "[SEP]"
    assert wordpiece("a text")["input_ids"][0, 0] == wordpiece.cls_id
    bpe = BPETokenizer.train(["a text"], 260, special_tokens=["<|endoftext|>"])
    with pytest.raises(TypeError, match="BPETokenizer: there is no </s> to put at the end of a text: write encode"):
        bpe("a text")
    assert (
        bpe.encode("<|endoftext|>").tolist() == [bpe.end_of_text] and bpe.decode([bpe.end_of_text]) == "<|endoftext|>"
    )


def test_tokenised_multi30k_comes_back_as_it_was(real_data):
    corpus = open_parallel("multi30k-tok-en-de")
    few = Translations(corpus.train.source[:300], corpus.train.target[:300])
    small = Parallel("few", "en", "de", few, corpus.valid, corpus.test, "")
    tokenizer = train_vocabulary(small, "bpe", 1000)
    for text in corpus.test.source + corpus.test.target:
        assert tokenizer.decode(tokenizer.encode(text)) == text
