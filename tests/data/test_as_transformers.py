"""A WordPieceTokenizer, used as transformers' BertTokenizer is."""

import numpy as np
import pytest

from tests.data.pieces import PIECES, written
from tinygrad_gpt.data import WordPieceTokenizer

pytest.importorskip("tokenizers")

PAD, UNK, CLS, SEP = 0, 2, 3, 4
THE, A = PIECES.index("the"), PIECES.index("a")


@pytest.fixture
def tokenizer(tmp_path):
    return WordPieceTokenizer.from_vocab(written(tmp_path / "vocab.txt", PIECES))


def as_lists(batch) -> dict[str, list]:
    assert all(x.dtype == np.int64 for x in batch.values())
    return {name: x.tolist() for name, x in batch.items()}


def test_a_text_is_a_batch_of_one(tokenizer):
    assert as_lists(tokenizer("the a")) == {
        "input_ids": [[CLS, THE, A, SEP]],
        "token_type_ids": [[0] * 4],
        "attention_mask": [[1] * 4],
    }


def test_pairs_and_padding(tokenizer):
    batch = as_lists(tokenizer(["the", "a the"], ["a", "the a"], padding=True))
    assert batch["input_ids"] == [[CLS, THE, SEP, A, SEP, PAD, PAD], [CLS, A, THE, SEP, THE, A, SEP]]
    assert batch["token_type_ids"] == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1]]
    assert batch["attention_mask"] == [[1] * 5 + [0] * 2, [1] * 7]
    assert tokenizer("the", "a", padding="max_length", max_length=9)["input_ids"].shape == (1, 9)


def test_texts_are_cut_only_if_that_is_asked_for(tokenizer):
    long = "the " * 20
    assert tokenizer(long, truncation=True, max_length=6)["input_ids"].tolist() == [[CLS, *[THE] * 4, SEP]]
    assert tokenizer(long, max_length=6)["input_ids"].shape == (1, 22)
    ids = tokenizer(long, "a", truncation="longest_first", max_length=6)["input_ids"]
    assert ids.tolist() == [[CLS, THE, THE, SEP, A, SEP]]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda t: t(["the", "the a"]), ValueError, "the sequences have 3 to 4 tokens: use padding=True"),
        (lambda t: t("the", truncation=True), ValueError, "expected a max_length"),
        (lambda t: t("the", padding="left"), ValueError, "expected padding True, False"),
        (lambda t: t("the", truncation="only_first"), ValueError, "expected truncation True, False"),
        (lambda t: t(["the"], ["a", "a"]), ValueError, "as many texts as text_pair, got 1 and 2"),
        (lambda t: t(7), TypeError, "expected a text or a list of texts as text, got 7"),
        (lambda t: t.pair("the"), TypeError, "pair: expected ids, got 'the': write tokenizer.encode"),
        (lambda t: t.from_pretrained("x"), AttributeError, r"load_tokenizer\(folder\)"),
        (lambda t: WordPieceTokenizer("vocab.txt"), TypeError, r"to read 'vocab.txt', write load_tokenizer\(path\)"),
    ],
)
def test_mistakes_are_told_in_a_line(tokenizer, call, error, says):
    with pytest.raises(error, match=says):
        call(tokenizer)


def test_names_that_transformers_has(tokenizer):
    t = tokenizer
    assert (t.pad_token_id, t.unk_token_id, t.cls_token_id, t.sep_token_id, t.mask_token_id) == (0, 2, 3, 4, 5)
    assert t.mask_token == "[MASK]" and len(t) == t.vocab_size == len(PIECES) and t.all_special_ids == [0, 2, 3, 4, 5]
    assert t.tokenize("unaffable the") == ["un", "##a", "##ffa", "##bl", "##e", "the"]
    assert t.convert_tokens_to_ids("the") == THE and t.convert_tokens_to_ids(["a", "no"]) == [A, UNK]
    assert t.convert_ids_to_tokens(THE) == "the" and t.convert_ids_to_tokens([A, THE]) == ["a", "the"]
    assert t.batch_decode([[CLS, THE], [A]], skip_special_tokens=True) == ["the", "a"]
