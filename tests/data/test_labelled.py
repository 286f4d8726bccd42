"""Texts with labels: what is read, how it is cut, and what is said about files that have none."""

import csv

import numpy as np
import pytest

from tinygrad_gpt.data import corpora
from tinygrad_gpt.data.labelled import open_task
from tinygrad_gpt.errors import UserError


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def pairs(task, part) -> list[tuple[str, str]]:
    labelled = getattr(task, part)
    assert labelled.labels.dtype == np.int64
    return [(text, task.classes[label]) for text, label in zip(labelled.texts, labelled.labels, strict=True)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.tsv").write_text("text\tlabel\ngood film\tup\nbad film\tdown\n\nfine\tup\n", encoding="utf-8")
    (tmp_path / "dev.csv").write_text('"well, well",up\n"no ""way""",down\n', encoding="utf-8")
    return tmp_path


def test_cola(real_data):
    task = open_task("cola")
    assert (len(task.train.texts), len(task.dev.texts)) == (8551, 527)
    assert task.classes == ("0", "1") and task.majority == 1
    assert np.bincount(task.train.labels).tolist() == [2528, 6023]
    assert pairs(task, "train")[0] == (
        "Our friends won't buy this analysis, let alone the next one we propose.",
        "1",
    )
    assert ("As you eat the most, you want the least.", "0") in pairs(task, "dev")


def test_cola_is_what_its_checksums_say(real_data):
    for part in ("train", "dev"):
        place = f"cola/in_domain_{part}.tsv"
        remote, path = corpora.FILES[place], real_data / place
        assert path.stat().st_size == remote.size and corpora.sha256_of(path) == remote.sha256


def test_a_heading_as_spreadsheets_write_it(folder):
    """With columns named as one likes, and the mark that begins their UTF-8 files."""
    (folder / "train.tsv").write_text("\ufeffSentence\tLabel\nfine\tup\nbad\tdown\n", encoding="utf-8")
    assert pairs(open_task(folder), "train") == [("fine", "up"), ("bad", "down")]
    (folder / "train.tsv").write_text("\ufefffine\tup\nbad\tdown\n", encoding="utf-8")
    assert pairs(open_task(folder), "train") == [("fine", "up"), ("bad", "down")]


def test_a_folder_of_a_tsv_and_a_csv(folder):
    task = open_task(folder)
    assert task.classes == ("down", "up")
    assert pairs(task, "train") == [("good film", "up"), ("bad film", "down"), ("fine", "up")]
    assert pairs(task, "dev") == [("well, well", "up"), ('no "way"', "down")]
    assert task.classes[task.majority] == "up"


def test_quotes_in_a_tsv_are_text(tmp_path):
    lines = [f'"a {i}\t{i % 2}' for i in range(20)]
    (tmp_path / "own.tsv").write_text("\n".join(lines), encoding="utf-8")
    task = open_task(tmp_path / "own.tsv")
    assert all(text.startswith('"a ') for text in task.train.texts)


def test_a_single_file_is_shuffled_and_cut(tmp_path):
    rows = [(f"text {i}", "first" if i < 100 else "second") for i in range(200)]  # sorted by class, as files often are
    (tmp_path / "own.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")
    task = open_task(tmp_path / "own.tsv")
    assert (len(task.train.texts), len(task.dev.texts)) == (180, 20)
    assert sorted(pairs(task, "train") + pairs(task, "dev")) == sorted(rows)
    assert set(task.dev.labels) == {0, 1}
    assert pairs(open_task(tmp_path / "own.tsv"), "dev") == pairs(task, "dev")


def test_a_label_that_training_never_shows(folder):
    (folder / "dev.csv").write_text("what is this,sideways\n", encoding="utf-8")
    with pytest.raises(UserError, match="the label 'sideways' of the test text 'what is this'") as error:
        open_task(folder)
    assert "down, up" in one_line(error)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ("a text without a label\n", "train.tsv, line 1: expected a text and its label"),
        ("good\tup\nbad\tdown\tquite\n", "train.tsv, line 2"),
        ("good\tup\n\tdown\n", "train.tsv, line 2"),
        ("good\tup\nfine\tup\n", "every training text"),
        ("text\tlabel\n", "0 texts to train on"),
    ],
)
def test_files_that_are_none(folder, train, said):
    (folder / "train.tsv").write_text(train, encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        open_task(folder)
    one_line(error)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('text,label\n"two\nlines",up\nno label\n', "own.csv, line 4: expected a text and its label, got 'no label'"),
        ('fine,up\n"never closed,up\n' + 20_000 * "fine,up\n", "own.csv, line 2: expected a text and its label"),
        ('fine,up\nnever closed,"up\n' + 20_000 * "fine,up\n", "own.csv, line 2: unexpected end of data"),
    ],
    ids=("a text of two lines", "a quotation mark that nothing closes", "one before a label"),
)
def test_a_line_of_a_csv_is_found_by_its_number(tmp_path, rows, said):
    (tmp_path / "own.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        open_task(tmp_path / "own.csv")
    one_line(error)


@pytest.mark.parametrize("ending", [".tsv", ".csv"])
def test_a_text_of_any_length(tmp_path, ending):
    between, quote = ("\t", "") if ending == ".tsv" else (",", '"')
    long = "fox " * 100_000 + "end"
    rows = [f"{quote}{text}{quote}{between}{label}\n" for text, label in [(long, "up"), ("short", "down")] * 5]
    (tmp_path / f"own{ending}").write_text("".join(rows), encoding="utf-8")
    before = csv.field_size_limit()
    task = open_task(tmp_path / f"own{ending}")
    assert sorted({*task.train.texts, *task.dev.texts}) == [long, "short"]
    assert csv.field_size_limit() == before


def test_a_folder_without_a_part(folder):
    (folder / "dev.csv").unlink()
    with pytest.raises(UserError, match=r"no dev.tsv, dev.csv, dev.conll or dev.json") as error:
        open_task(folder)
    one_line(error)


@pytest.mark.parametrize(
    ("name", "said"), [("nope", "there is no task, file or folder 'nope'"), ("x.txt", ".tsv, .csv, .conll or .json")]
)
def test_paths_that_are_no_task(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.txt").write_text("a text\t1\n", encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        open_task(name)
    one_line(error)


def test_cola_that_is_neither_here_nor_to_be_had(monkeypatch):
    monkeypatch.setattr(corpora, "download", fail)
    with pytest.raises(UserError, match="cola was not found and cannot be downloaded") as error:
        open_task("cola")
    assert "cola/in_domain_train.tsv" in one_line(error)


def fail(*arguments):
    raise corpora.DownloadError("no network")
