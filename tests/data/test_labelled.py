"""Texts with labels: what is read, how it is cut, and what is said about files that have none."""

import csv

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_gpt.data import corpora
from tinygrad_gpt.data.labelled import ENDINGS, TASKS, open_task
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


def test_sst2_sentences(real_data):
    task = open_task("sst2-sentences")
    assert [len(part) for part in (task.train, task.dev, task.test)] == [6920, 872, 1821]
    assert task.kind == "classes" and task.classes == ("0", "1")
    assert np.bincount(task.dev.labels).tolist() == [428, 444]
    assert pairs(task, "dev")[0] == ("one long string of cliches .", "0")


def test_stsb(real_data):
    task = open_task("stsb")
    assert [len(part) for part in (task.train, task.dev, task.test)] == [5749, 1500, 1379]
    assert task.kind == "similarity" and (task.train.labels.min(), task.train.labels.max()) == (0, 5)
    dev = task.dev
    assert (dev.first[1], dev.second[1], dev.labels[1]) == (
        "A young child is riding a horse.",
        "A child is riding a horse.",
        4.75,
    )


def test_wnut17(real_data):
    task = open_task("wnut17")
    assert [len(part) for part in (task.train, task.dev, task.test)] == [3394, 1009, 1287]
    types = {name[2:] for name in task.classes[1:]}
    assert types == {"corporation", "creative-work", "group", "location", "person", "product"}
    assert sum(map(len, task.train.words)) == 62730
    begins = [np.isin(np.concatenate(part.labels), range(1, 13, 2)).sum() for part in (task.train, task.dev, task.test)]
    assert begins == [1975, 836, 1079]  # entities
    assert task.train.words[0][14:17] == ("Empire", "State", "Building")


@pytest.mark.parametrize("place", [place for place in corpora.FILES if place.split("/")[0] in (*TASKS, "cola")])
def test_files_of_named_tasks_are_what_their_checksums_say(real_data, place):
    remote, path = corpora.FILES[place], real_data / place
    assert path.stat().st_size == remote.size and corpora.sha256_of(path) == remote.sha256


@pytest.mark.parametrize(
    ("name", "place", "content", "expected"),
    [
        ("sst2-sentences", "sst2-sentences/dev.txt", "1 good\n2 bad\n", "line 2: expected 0 or 1 and a sentence"),
        (
            "sst2-sentences",
            "sst2-sentences/train.txt",
            "1 good\n0\n",
            "line 2: expected 0 or 1 and a sentence, got '0'",
        ),
        ("stsb", "stsb/train.csv", "a,b,5.0\na,b\n", "line 2: expected two texts and a number"),
        ("stsb", "stsb/test.csv", "a,b,high\n", "line 1: expected a number, got 'high'"),
        ("wnut17", "wnut17/dev.conll", "a\tO\nb\n", "line 2: expected a word and its tag"),
        ("cola", "cola/in_domain_dev.tsv", "x\t2\t*\tgood\n", "line 1: expected a text and its label"),
    ],
)
def test_a_damaged_file_of_a_named_task(tmp_path, monkeypatch, name, place, content, expected):
    whole = {"sst2-sentences": "1 good\n0 bad\n", "stsb": "a,b,5.0\nc,d,1\n", "wnut17": "a\tO\nb\tB-x\n"}
    for other in corpora.FILES:
        if other.split("/")[0] == name:
            (tmp_path / other).parent.mkdir(exist_ok=True)
            (tmp_path / other).write_text(whole.get(name, "x\t1\t\tgood\nx\t0\t*\tbad\n"), encoding="utf-8")
    monkeypatch.setenv("TINYGRAD_GPT_DATA", str(tmp_path))
    assert open_task(name).name == name
    (tmp_path / place).write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        open_task(name)
    assert f"{place}, {expected}" in one_line(error)


NAMES = ["text", "label", "score", "answer", "question", "text_a", "text_b", "start"]
CELLS = ["a", "1", "0.5", "nan", "O", "B-x", "I-y", "-DOCSTART-", "é", '{"data": [', "]}"]
BETWEEN = ['"', "\t", ",", " ", "\n", "\n", "\r\n", "\0", "\ufeff", "\u2028"]
PIECES = st.sampled_from([*NAMES, *CELLS, *BETWEEN])


@pytest.mark.parametrize("ending", ENDINGS)
@given(pieces=st.lists(PIECES, max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_a_task_or_one_line_of_error(tmp_path, ending, pieces):
    (tmp_path / f"own{ending}").write_text("".join(pieces), encoding="utf-8", newline="")
    try:
        task = open_task(tmp_path / f"own{ending}")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(task.train) and len(task.dev) and task.sha256


@pytest.mark.parametrize("ending", ENDINGS)
def test_bytes_that_are_no_text(tmp_path, ending):
    (tmp_path / f"own{ending}").write_bytes(b"good,up\nb\xffd,down\n")
    with pytest.raises(UserError, match=f"own{ending} is (not UTF-8|damaged)") as error:
        open_task(tmp_path / f"own{ending}")
    one_line(error)


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
