"""Parallel corpora: which lines are pairs, which part they are in, and what is said of files that do not fit."""

import gzip
import shutil
from pathlib import Path

import pytest

from tinygrad_gpt.data import PARALLEL, open_parallel
from tinygrad_gpt.data.parallel import Translations
from tinygrad_gpt.errors import UserError


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path / "pairs", {"train": 3, "valid": 2, "test": 1})


def written(folder: Path, parts: dict[str, int], languages=("en", "de")) -> Path:
    """A folder with so many pairs for each part."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in parts.items():
        for language in languages:
            lines = "".join(f"{part} {i} {language}\n" for i in range(count))
            (folder / f"{part}.{language}").write_text(lines, encoding="utf-8")
    return folder


def refusal(*arguments, **settings) -> str:
    with pytest.raises(UserError) as error:
        open_parallel(*arguments, **settings)
    message = str(error.value)
    assert "\n" not in message
    return message


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARALLEL)
def test_multi30k_in_both_directions(real_data, name):
    corpus = open_parallel(name)
    english = (
        "two young , white males are outside near many bushes ."
        if "tok" in name
        else "Two young, White males are outside near many bushes."
    )
    german = (
        "zwei junge weiße männer sind im freien in der nähe vieler büsche ."
        if "tok" in name
        else "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."
    )
    first = [english, german] if name.endswith("en-de") else [german, english]
    assert [corpus.train.source[0], corpus.train.target[0]] == first
    assert f"{corpus.source}-{corpus.target}" == name[-5:] and corpus.path is None
    assert [len(part) for part in (corpus.train, corpus.valid, corpus.test)] == [29_000, 1014, 1000]
    assert corpus.train.blank == 0


def test_the_other_direction_has_the_sides_exchanged(real_data):
    one, other = open_parallel("multi30k-tok-en-de"), open_parallel("multi30k-tok-de-en")
    assert (one.test.source, one.test.target) == (other.test.target, other.test.source)
    assert one.sha256 != other.sha256


@pytest.mark.long
def test_a_data_folder_may_hold_the_files_gzipped_or_not(real_data, tmp_path, monkeypatch):
    for name, pack in (("multi30k", gzip.decompress), ("multi30k-tok", gzip.decompress)):
        for file in (real_data / name).glob("*.gz"):
            place = tmp_path / "other" / name / file.stem
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(pack(file.read_bytes()))
    hashes = [open_parallel(name).sha256 for name in PARALLEL]
    monkeypatch.setenv("TINYGRAD_GPT_DATA", str(tmp_path / "other"))
    assert [open_parallel(name).sha256 for name in PARALLEL] == hashes and len(set(hashes)) == 4


@pytest.mark.parametrize("name", ["multi30k-en-fr", "multi30k-de", "multi30k_en-de"])
def test_an_unknown_pair_of_languages(name):
    message = refusal(name)
    assert all(known in message for known in PARALLEL) and "did you mean multi30k-" in message


def test_languages_that_a_name_does_not_have():
    assert "from en to de, not from 'en' to 'fr'" in refusal("multi30k-en-de", target="fr")
    assert "from en to de, not from 'de' to 'en'" in refusal("multi30k-en-de", "de", "en")


def test_a_corpus_that_cannot_be_found(monkeypatch):
    from tinygrad_gpt.data import corpora

    def no_network(*_):
        raise corpora.DownloadError("no network")

    monkeypatch.setattr(corpora, "download", no_network)
    message = refusal("multi30k-tok-en-de")
    assert "multi30k-tok/train.en" in message and "no network" in message and "TINYGRAD_GPT_DATA" in message


# --- paths ------------------------------------------------------------------------------------------------------------


def test_a_folder_with_three_parts(folder):
    corpus = open_parallel(folder, "en", "de")
    assert corpus.train == Translations([f"train {i} en" for i in range(3)], [f"train {i} de" for i in range(3)])
    assert corpus.valid == Translations(["valid 0 en", "valid 1 en"], ["valid 0 de", "valid 1 de"])
    assert corpus.test == Translations(["test 0 en"], ["test 0 de"])
    assert (corpus.source, corpus.target, corpus.path) == ("en", "de", str(folder))
    assert open_parallel(str(folder), "de", "en").train == Translations(corpus.train.target, corpus.train.source)
    assert repr(corpus) == f"Parallel({str(folder)!r}, en to de, 3 + 2 + 1 pairs)"


@pytest.mark.parametrize("valid", ["val", "validation", "dev"])
def test_other_names_for_what_validates(tmp_path, valid):
    corpus = open_parallel(written(tmp_path, {"train": 3, valid: 1}), "en", "de")
    assert corpus.valid.source == [f"{valid} 0 en"] and len(corpus.train) == 3
    assert len(corpus.test) == 0 and not corpus.test


def test_two_files_by_what_their_names_begin_with(tmp_path):
    written(tmp_path, {"news.v1": 40})
    corpus = open_parallel(tmp_path / "news.v1", "de", "en")
    assert corpus.train.source == [f"news.v1 {i} de" for i in range(36)]
    assert corpus.valid.target == [f"news.v1 {i} en" for i in range(36, 40)]  # the last tenth
    assert not corpus.test and corpus.path == str(tmp_path / "news.v1")


def test_a_file_s_ending_may_be_longer_than_a_language(tmp_path):
    for ending in ("en.txt", "de.txt"):
        (tmp_path / f"news.{ending}").write_text("one\ntwo\n")
    assert open_parallel(tmp_path / "news", "en.txt", "de.txt").train.source == ["one"]


@pytest.mark.parametrize("pairs, held_out", [(2, 1), (19, 1), (20, 2), (9_999, 999), (20_000, 1000)])
def test_how_many_are_held_out(tmp_path, pairs, held_out):
    corpus = open_parallel(written(tmp_path, {"train": pairs}), "en", "de")
    assert (len(corpus.train), len(corpus.valid)) == (pairs - held_out, held_out)
    assert corpus.valid.source[-1] == f"train {pairs - 1} en"


def test_any_line_end_and_packing_is_the_same_content(folder, tmp_path):
    expected = open_parallel(folder, "en", "de")
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    content = (other / "train.en").read_text(encoding="utf-8")
    (other / "train.en").write_bytes(("\ufeff" + content.replace("\n", "\r\n")).encode())
    (other / "train.de.gz").write_bytes(gzip.compress((other / "train.de").read_bytes().replace(b"\n", b" \r")[:-2]))
    (other / "train.de").unlink()
    corpus = open_parallel(other, "en", "de")
    assert corpus.train == expected.train and corpus.sha256 == expected.sha256 and corpus.name != expected.name


def test_only_line_ends_end_a_line(tmp_path):
    """str.splitlines also cuts at form feeds, U+0085 and U+2028, which stand in crawled text."""
    odd = "one\x0ctwo\x85three\u2028four"
    for language in ("en", "de"):
        (tmp_path / f"train.{language}").write_text(f"{odd}\nlast\n", encoding="utf-8", newline="")
    assert open_parallel(tmp_path, "en", "de").train.source == [odd]


def test_parts_and_content_decide_the_hash(tmp_path):
    def sha256(name, parts):
        return open_parallel(written(tmp_path / name, parts), "en", "de").sha256

    assert sha256("a", {"train": 3, "valid": 2}) == sha256("b", {"train": 3, "valid": 2})
    assert len({sha256("c", {"train": 9}), sha256("d", {"train": 9, "test": 1}), sha256("e", {"train": 8})}) == 3
    for language in ("en", "de"):  # the same pairs in other parts
        train, valid = tmp_path / "a" / f"train.{language}", tmp_path / "a" / f"valid.{language}"
        lines = (train.read_text() + valid.read_text()).splitlines(keepends=True)
        train.write_text("".join(lines[:2]))
        valid.write_text("".join(lines[2:]))
    assert sha256("b", {}) != open_parallel(tmp_path / "a", "en", "de").sha256


def test_lower_case(tmp_path):
    for language, text in (("en", "Two Men\nÉTÉ\n"), ("de", "Zwei MÄNNER\nGroß\n")):
        (tmp_path / f"train.{language}").write_text(text, encoding="utf-8")
    corpus = open_parallel(tmp_path, "en", "de", lowercase=True)
    assert corpus.lowercase and corpus.train == Translations(["two men"], ["zwei männer"])
    assert corpus.valid == Translations(["été"], ["groß"])
    assert open_parallel(tmp_path, "en", "de").valid.source == ["ÉTÉ"]
    assert open_parallel(tmp_path, "en", "de").sha256 != corpus.sha256


def test_a_vocabulary_is_learned_from_training_pairs_alone(folder):
    """A leak would be invisible: the model would know words that it should be tested on."""
    texts = list(open_parallel(folder, "en", "de").text())
    assert texts == [f"train {i} {language}" for language in ("en", "de") for i in range(3)]


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_pairs_without_text_are_left_out_and_counted(folder):
    (folder / "train.en").write_text("one\n\n \ntwo\n")
    (folder / "train.de").write_text("eins\n\t\n\nzwei\n")
    corpus = open_parallel(folder, "en", "de")
    assert corpus.train == Translations(["one", "two"], ["eins", "zwei"], blank=2) and corpus.valid.blank == 0


def test_a_blank_line_on_one_side(folder):
    (folder / "valid.de").write_text("gültig\n \n")
    assert refusal(folder, "en", "de") == (
        f"{folder / 'valid.de'}, line 2: expected the translation of 'valid 1 en' in valid.en, got a blank line"
    )
    assert f"{folder / 'valid.de'}, line 2: expected the translation" in refusal(folder, "de", "en")


def test_different_numbers_of_lines(folder):
    (folder / "test.de").write_text("eins\nzwei\n")
    assert refusal(folder, "en", "de") == (
        f"expected as many lines in {folder / 'test.en'} as in {folder / 'test.de'}, line n the translation of line n, "
        "got 1 and 2"
    )


def test_files_that_are_missing(folder):
    assert refusal(folder, "en", "fr") == f"the folder {folder} has no file train.fr (or train.fr.gz)"
    (folder / "valid.de").unlink()
    assert refusal(folder, "en", "de") == f"the folder {folder} has no file valid.de (or valid.de.gz)"


def test_two_files_for_one(folder):
    (folder / "train.en.gz").write_bytes(gzip.compress(b"other\n"))
    assert "has train.en and train.en.gz: leave the one" in refusal(folder, "en", "de")
    written(folder, {"dev": 1})
    (folder / "train.en.gz").unlink()
    assert "has files valid and dev: leave those" in refusal(folder, "en", "de")


def test_no_languages_or_one_for_both(folder):
    expected = f"{folder / 'train'} has files in de and en: say from which language to translate into which other one"
    for languages in ([], ["en"], ["", "de"], ["en", "en"]):
        message = refusal(folder, *languages)
        assert message.startswith(expected) and "--source de --target en" in message


def test_a_file_that_is_no_text(folder):
    (folder / "train.de").write_bytes(b"eins\nzw\xe9i\ndrei\n")
    assert "train.de is not UTF-8: byte 0xe9 at offset 7 " in refusal(folder, "en", "de")
    (folder / "train.de").write_bytes(b"eins\nzwei\0\ndrei\n")
    assert refusal(folder, "en", "de") == f"{folder / 'train.de'}, line 2: expected text, got a zero byte"
    (folder / "train.de").unlink()
    (folder / "train.de.gz").write_bytes(b"not gzipped\n")
    assert f"cannot read {folder / 'train.de.gz'}: " in refusal(folder, "en", "de")


def test_paths_without_a_corpus(folder, tmp_path):
    assert "there is no parallel corpus, folder or pair of files 'nowhere/corpus'" in refusal(
        "nowhere/corpus", "a", "b"
    )
    assert "there is no parallel corpus" in refusal("", "en", "de")
    assert f"{folder / 'train.en'} is one file" in refusal(folder / "train.en", "en", "de")
    assert str(folder / "train") + "," in refusal(folder / "train.en", "en", "de")
    (tmp_path / "empty").mkdir()
    assert "expected the files train.SOURCE and train.TARGET" in refusal(tmp_path / "empty", "en", "de")


@pytest.mark.parametrize("parts", [{"train": 0}, {"train": 1}])
def test_too_few_pairs_to_hold_one_out(tmp_path, parts):
    assert f"expected at least 2 pairs of sentences, one of them to validate on, got {parts['train']} " in refusal(
        written(tmp_path, parts), "en", "de"
    )


@pytest.mark.parametrize("parts", [{"train": 0, "valid": 1}, {"train": 1, "valid": 0}])
def test_parts_without_pairs(tmp_path, parts):
    message = refusal(written(tmp_path, parts), "en", "de")
    expected = f"{parts['train']} pairs of sentences to learn from and {parts['valid']} to validate on: both need some"
    assert expected in message
