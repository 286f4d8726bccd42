"""`predict` fills gaps and `similar` compares texts, with a tiny BERT; all that cannot be is an error in one line."""

import io
import json
import shutil

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.helpers import assert_one_line_error
from tinygrad_gpt.data import BPETokenizer, WordPieceTokenizer, open_corpus
from tinygrad_gpt.models import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    fill_mask,
    save_pretrained,
    sentence_embeddings,
)

pytest.importorskip("tokenizers")

TEXT = "The cat sat on the mat. The dog sat on the rug.\n" * 9


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """bert, which knows one word best, and bare, its encoder: Hugging Face folders."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = WordPieceTokenizer.train([TEXT], 60)
    tg.manual_seed(0)
    shape = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    config = BertConfig(tokenizer.vocab_size, **shape, max_position_embeddings=16, initializer_range=0.3)
    model = BertForPreTraining(config)
    model.masked_lm.decoder.bias.data[tokenizer.encode("mat")] = 9
    save_pretrained(model, folder / "bert", tokenizer)
    save_pretrained(model.bert, folder / "bare", tokenizer)
    return folder


@pytest.fixture
def bert(folders):
    return str(folders / "bert")


@pytest.fixture
def loaded(bert):
    return tg.load(bert)


# --- predict ----------------------------------------------------------------------------------------------------------


def test_the_likeliest_tokens_for_a_gap(run, bert, loaded):
    status, said, error = run("predict", bert, "The [MASK] sat.")
    assert status == 0 and error == ""
    head, *lines = said.splitlines()
    [gap] = fill_mask(*loaded, "The [MASK] sat.")
    assert head == "[MASK]" and lines == [f"{c.probability:.3f} {c.token}" for c in gap]
    assert len(lines) == 5 and lines[0].endswith(" mat")
    assert len(run("predict", bert, "The [MASK] sat.", "--top", "2")[1].splitlines()) == 3


def test_each_gap_has_a_column_and_each_text_a_heading(run, bert):
    said = run("predict", bert, "the [MASK] on [MASK]", "[MASK]\tsat", "--top", "1")[1].splitlines()
    assert said[0] == "the [MASK] on [MASK]" and said[1].split("  ")[0] == "[MASK] 1" and "[MASK] 2" in said[1]
    assert said[2].count(" mat") == 2
    assert said[3:5] == ["", "[MASK] sat"] and said[5] == "[MASK]" and len(said) == 7


def test_predictions_as_json(run, bert, loaded):
    status, said, _ = run("predict", bert, "the [MASK]", "[MASK] [MASK]", "--json", "--top", "3")
    answers = [json.loads(line) for line in said.splitlines()]
    assert status == 0 and [answer["text"] for answer in answers] == ["the [MASK]", "[MASK] [MASK]"]
    assert [len(answer["gaps"]) for answer in answers] == [1, 2]
    assert answers[0]["gaps"] == [[c._asdict() for c in gap] for gap in fill_mask(*loaded, "the [MASK]", top=3)]


def test_texts_from_a_file_and_from_standard_input(run, bert, tmp_path, monkeypatch):
    (tmp_path / "texts.txt").write_text("the [MASK]\n\n[MASK] sat\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("a [MASK]"))
    for place, expected in (("texts.txt", ["the [MASK]", "[MASK] sat"]), ("-", ["a [MASK]"])):
        said = run("predict", bert, "--text-file", place, "--json")[1]
        assert [json.loads(line)["text"] for line in said.splitlines()] == expected


def test_python_has_it_too(loaded):
    assert loaded.fill("the [MASK]", top=2) == fill_mask(*loaded, "the [MASK]", top=2)


# --- similar ----------------------------------------------------------------------------------------------------------


def cosines(loaded, *texts: str) -> np.ndarray:
    x = sentence_embeddings(*loaded, texts, normalize=True)
    return x @ x.T


def test_a_table_of_each_text_with_each(run, bert, loaded):
    texts = ["the cat", "a dog sat on the mat", "rug"]
    status, said, error = run("similar", bert, *texts)
    assert status == 0 and error == ""
    head, *lines = said.splitlines()
    assert head.split() == ["1", "2", "3", "text"]
    right = cosines(loaded, *texts)
    for number, (line, row, text) in enumerate(zip(lines, right, texts, strict=True), start=1):
        assert line.split(maxsplit=4) == [str(number), *(f"{c:.3f}" for c in row), text]
    answer = json.loads(run("similar", bert, *texts, "--json")[1])
    assert answer["texts"] == texts
    np.testing.assert_allclose(answer["cosines"], right, atol=1e-6)


def test_a_query_ranks_the_texts(run, bert, loaded, tmp_path):
    (tmp_path / "texts.txt").write_text("the cat\na dog sat on the mat\nrug\nthe dog\n", encoding="utf-8")
    texts = ["the cat", "a dog sat on the mat", "rug", "the dog"]
    right = cosines(loaded, *texts, "the mat")[-1, :-1]
    best = np.argsort(-right)
    said = run("similar", bert, "--query", "the mat", "--text-file", "texts.txt")[1].splitlines()
    assert said[0].split() == ["cosine", "text"]
    assert [line.split(maxsplit=1)[1] for line in said[1:]] == [texts[i] for i in best]
    assert said[1].split()[0] == f"{right[best[0]]:.3f}"
    answers = json.loads(run("similar", bert, "--query", "the mat", *texts, "--top", "2", "--json")[1])
    assert [answer["text"] for answer in answers] == [texts[i] for i in best[:2]]


def test_pairs_of_many_texts(run, bert, loaded):
    texts = ["the cat", "rug", "the dog sat", "the cat"]
    status, said, _ = run("similar", bert, *texts, "--top", "2")
    head, first, second = said.splitlines()
    assert status == 0 and head.split() == ["cosine", "text", "and"]
    assert first.split() == ["1.000", "the", "cat", "the", "cat"]
    right = cosines(loaded, *texts)
    assert second.split()[0] == f"{np.sort(right[np.triu_indices(4, 1)])[-2]:.3f}"
    answers = json.loads(run("similar", bert, *texts, "--top", "6", "--json")[1])
    assert len(answers) == 6 and answers[0]["texts"] == ["the cat", "the cat"]
    status, said, error = run("similar", bert, *(f"cat {i}" for i in range(13)))
    assert status == 0 and len(said.splitlines()) == 21
    assert error == "note: the 20 pairs most alike of 13 texts; --top N shows more of them\n"


def test_a_long_text_is_told(run, bert):
    status, _, error = run("similar", bert, "cat " * 14, "cat " * 15)
    assert status == 0
    assert error == "note: a text has more than the 16 tokens that the model reads; the rest does not count\n"


def test_what_sentence_transformers_wrote_beside_it_counts(run, bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "sentences")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 9, "do_lower_case": false}')
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(
        '{"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false}'
    )
    status, _, error = run("similar", str(folder), "cat " * 8, "cat " * 7)
    assert status == 0
    assert error == "note: a text has more than the 9 tokens that the model reads; the rest does not count\n"
    pooling.write_text('{"pooling_mode_mean_tokens": false, "pooling_mode_cls_token": true}')
    said = f"{pooling}: the pooling is 'cls_token'; only the mean is supported"
    assert_one_line_error(run("similar", str(folder), "a cat", "cat"), said)
    pooling.unlink()
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 0}')
    said = "max_seq_length should be at least 2, not 0"
    assert_one_line_error(run("similar", str(folder), "a cat", "cat"), said)


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_a_text_without_a_gap_and_one_that_is_too_long(run, bert):
    assert_one_line_error(run("predict", bert, "the cat"), "the text has no [MASK] to fill", "'the cat'")
    assert_one_line_error(run("predict", bert, "[MASK] " * 15), "the text is 17 tokens", "the model reads 16")


def test_a_model_without_the_head(run, folders):
    bare = str(folders / "bare")
    assert_one_line_error(run("predict", bare, "the [MASK]"), "no masked-LM head", "would be random")
    assert run("similar", bare, "the cat", "the dog")[0] == 0


@pytest.mark.parametrize("command", [["predict", "the [MASK]"], ["similar", "a", "b"]])
def test_a_gpt(run, small_run, command):
    name, *texts = command
    assert_one_line_error(run(name, str(small_run), *texts), "a GPT", "BERT")


def test_sample_of_a_bert_points_here(run, bert):
    assert_one_line_error(run("sample", bert), "a BERT, which cannot write text: try `tinygrad-gpt predict ")


@pytest.mark.parametrize("command", ["predict", "similar"])
def test_no_texts(run, bert, command, tmp_path):
    assert_one_line_error(run(command, bert), "expected a text, or --text-file with a text on each line, got neither")
    (tmp_path / "empty.txt").touch()
    assert_one_line_error(run(command, bert, "--text-file", "empty.txt"), "empty.txt has no texts")
    assert_one_line_error(run(command, bert, "--text-file", "none.txt"), "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\xe9")
    assert_one_line_error(run(command, bert, "--text-file", "binary.txt"), "binary.txt should be a text in UTF-8")


def test_one_text_is_like_nothing(run, bert):
    assert_one_line_error(
        run("similar", bert, "a"), "expected at least two texts to compare, or a --query, got one text"
    )


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("vocab.txt", b"", "vocab.txt is empty"),
        ("vocab.txt", b"a\nb\n", "has no [PAD] [UNK] [CLS] [SEP] [MASK]"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[PAD]\n", "lines 1 and 3 are the same token, '[PAD]'"),
        ("vocab.txt", b"[PAD]\n\xff\n", "is not UTF-8: byte 0xff at offset 6"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n" + b"\n".join(b"%d" % i for i in range(99)), "104 tokens"),
        ("tokenizer.json", b"{}", "tokenizer.json is not a tokenizer"),
        ("tokenizer.json", b"{", "tokenizer.json is damaged"),
        ("tokenizer_config.json", b'{"do_lower_case": 3}', "do_lower_case should be true or false, not 3"),
    ],
)
@pytest.mark.parametrize("command", [["predict", "the [MASK]"], ["similar", "a", "b"]])
def test_damaged_files(run, folders, tmp_path, command, name, content, message):
    for file in (folders / "bert").iterdir():
        if file.name != "tokenizer.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(content)
    assert_one_line_error(run(command[0], str(tmp_path), *command[1:]), message)


def test_another_kind_of_tokenizer(run, bert, tmp_path):
    BPETokenizer.train(open_corpus(tmp_path / "text.txt"), 260).save(tmp_path / "bpe.json")
    said = run("predict", bert, "the [MASK]", "--tokenizer", "bpe.json")
    assert_one_line_error(said, "reads with a WordPieceTokenizer", "is a BPETokenizer")


def test_a_bare_model_cannot_fill_gaps_in_python_either(folders):
    loaded = tg.load(str(folders / "bare"))
    assert isinstance(loaded.model, BertModel)
    with pytest.raises(tg.UserError, match="no masked-LM head"):
        loaded.fill("the [MASK]")
