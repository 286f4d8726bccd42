"""Sentences with a tag for each word."""

import pytest

from tinygrad_gpt.data import open_task
from tinygrad_gpt.data.examples import LabelledWords
from tinygrad_gpt.errors import UserError

TRAIN = "Ada\tB-person\nLovelace\tI-person\nwrote\tO\n\t\nin\tO\nLondon\tB-place\n"


@pytest.fixture
def opened(tmp_path):
    def write(train: str, dev: str = TRAIN):
        (tmp_path / "train.conll").write_text(train, encoding="utf-8")
        (tmp_path / "dev.conll").write_text(dev, encoding="utf-8")
        return open_task(tmp_path)

    return write


def test_sentences(opened):
    task = opened(TRAIN)
    assert task.kind == "tokens" and isinstance(task.train, LabelledWords) and len(task.train) == 2
    assert task.classes == ("O", "B-person", "I-person", "B-place", "I-place")
    assert task.train.words == [("Ada", "Lovelace", "wrote"), ("in", "London")]
    assert [labels.tolist() for labels in task.train.labels] == [[1, 2, 0], [0, 3]]


@pytest.mark.parametrize(
    "written",
    [
        TRAIN.replace("\t", " "),
        TRAIN.replace("\n", "\r\n"),
        "\ufeff\n\n" + TRAIN + "\n\n\n",
        TRAIN.replace("\t", "\tNNP\tI-NP\t").replace("\n\tNNP\tI-NP\t\n", "\n\n"),  # CoNLL-2003's columns in between
        "-DOCSTART- -X- -X- O\n\n" + TRAIN.replace("in\t", "\n-DOCSTART-\tO\n\nin\t"),
        TRAIN[:-1],
    ],
    ids=("spaces", "CRLF", "blank lines", "more columns", "documents", "no last line end"),
)
def test_how_files_may_be_written(opened, written):
    assert opened(written).sha256 == opened(TRAIN).sha256


def test_a_tab_lets_a_word_hold_spaces(opened):
    assert opened("New York\tB-place\n\u200d\tO\n", "x\tO\n").train.words == [("New York", "\u200d")]


def test_a_tag_that_goes_on_is_known_if_its_beginning_is(opened):
    """A rare type may have names of one word only in training."""
    task = opened(TRAIN, "New\tB-place\nYork\tI-place\n")
    assert task.dev.labels[0].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("train", "dev", "expected"),
    [
        (TRAIN + "word\n", TRAIN, "train.conll, line 7: expected a word and its tag, got 'word'"),
        (TRAIN + "\tO\n", TRAIN, "train.conll, line 7: expected a word and its tag, got 'O'"),
        (TRAIN + "word\tPER\n", TRAIN, "train.conll, line 7: expected the tag O, B-TYPE or I-TYPE, got 'PER'"),
        (TRAIN + "word\tE-person\n", TRAIN, "line 7: expected the tag"),
        (TRAIN + "word\tB-\n", TRAIN, "line 7: expected the tag"),
        (TRAIN + "word\t\n", TRAIN, "line 7: expected the tag O, B-TYPE or I-TYPE, got ''"),
        (TRAIN + "word\to\n", TRAIN, "line 7: expected the tag"),
        ("# id 7\n" + TRAIN, TRAIN, "line 1: expected the tag O, B-TYPE or I-TYPE, got '7'"),
        (TRAIN + "wo\0rd\tO\n", TRAIN, "train.conll, line 7: expected text, got a zero byte"),
        (TRAIN, "a\tO\nb\tB-ship\n", "dev.conll, line 1: the tag 'B-ship' of the test word 'b' is not of a type"),
        ("a\tO\n", "a\tO\n", "every training word of"),
        ("\n\n", TRAIN, "0 texts to train on"),
    ],
)
def test_a_bad_line_is_named(opened, train, dev, expected):
    with pytest.raises(UserError) as error:
        opened(train, dev)
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_a_single_file_is_split_between_sentences(tmp_path):
    sentences = [f"word{i}\tB-x\nends\tI-x\n\n" for i in range(40)]
    (tmp_path / "own.conll").write_text("".join(sentences), encoding="utf-8")
    task = open_task(tmp_path / "own.conll")
    assert (len(task.train), len(task.dev)) == (36, 4)
    assert {words[0] for words in task.train.words + task.dev.words} == {f"word{i}" for i in range(40)}
