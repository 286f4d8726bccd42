"""Corpora: what is read, where it is cut, and what is said when that can't be done."""

import gzip
import hashlib
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.data import CORPORA, open_corpus
from tinygrad_gpt.data import text_files as reading
from tinygrad_gpt.errors import UserError


def parts(corpus, chunk_chars=1000):
    return "".join(corpus.train(chunk_chars)), "".join(corpus.val(chunk_chars))


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# --- python-docs ---------------------------------------------------------------------------------------------------


def test_python_docs_is_there_without_network_or_files():
    corpus = open_corpus("python-docs")
    train, val = parts(corpus)
    assert len(train) == int(0.9 * corpus.characters) and len(train) + len(val) == corpus.characters
    assert 250_000 < corpus.characters < 600_000
    assert 'The "assert" statement\n**********************\n' in train
    assert "\t" not in train + val and "’" not in train + val and "\n\n\n\n" not in train + val
    assert len(set(train + val)) < 110
    assert not any(line.startswith("+--") for line in (train + val).splitlines())


def test_python_docs_validation_text_is_not_in_the_training_text():
    """pydoc's topics repeat each other: taken as they are, one in eight of the last long paragraphs comes earlier."""
    train, val = parts(open_corpus("python-docs"))
    paragraphs = [p for p in val.split("\n\n")[1:-1] if len(p) > 100]
    repeated = [p for p in paragraphs if p in train]
    assert len(paragraphs) > 50
    assert len(repeated) <= 0.03 * len(paragraphs), repeated


def test_python_docs_where_a_distribution_left_it_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)  # import now raises ImportError
    with pytest.raises(UserError, match="python-docs") as error:
        open_corpus("python-docs")
    assert "another corpus" in one_line(error)


# --- named files ---------------------------------------------------------------------------------------------------


def test_shakespeare_is_cut_as_nanogpt_cuts_it(real_data):
    text = (real_data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    corpus = open_corpus("shakespeare")
    assert parts(corpus) == (text[: int(len(text) * 0.9)], text[int(len(text) * 0.9) :])
    assert len(parts(corpus)[0]) == 1_003_854  # the number nanoGPT's prepare.py prints


def test_names_are_shuffled_and_cut_between_names(real_data):
    lines = (real_data / "names" / "names.txt").read_text(encoding="utf-8").split()
    train, val = parts(open_corpus("names"))
    assert train.endswith("\n") and val.endswith("\n")
    assert sorted((train + val).split()) == sorted(lines)
    assert len(train.split()) == int(0.9 * len(lines))
    places = [lines.index(name) / len(lines) for name in val.split()[::10]]
    assert 0.45 < sum(places) / len(places) < 0.55  # in file order they would all be above 0.9
    assert open_corpus("names").sha256 == open_corpus("names").sha256


def test_sentences_are_those_of_three_files_shuffled_and_each_once(real_data):
    train, val = (part.splitlines() for part in parts(open_corpus("sentences")))
    lines = train + val
    assert len(lines) == len(set(lines)) == 39_841 and len(train) == int(0.9 * 39_841)
    assert "Our friends won't buy this analysis, let alone the next one we propose." in lines  # CoLA, to train on
    assert "As you eat the most, you want the least." not in lines  # CoLA, to test on
    assert "Two young, White males are outside near many bushes." in lines  # the first caption
    assert "= Robert <unk> =" not in lines and "= Homarus gammarus =" in lines  # WikiText-2's test and validation
    assert all(line and line == line.strip() for line in lines)


def test_a_gzipped_file_is_read_as_what_it_holds(tmp_path):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress("\ufeffa tëxt\r\n".encode() * 100))
    assert "".join(parts(open_corpus(path))) == "a tëxt\n" + "\ufeffa tëxt\n" * 99


def test_a_damaged_gzip_file(tmp_path):
    path = tmp_path / "text.gz"
    whole = gzip.compress(b"a text\n" * 100)
    for damaged in (whole[:-9], whole[:20] + bytes(9) + whole[29:], b"no gzip"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cannot read .*text.gz: ") as error:
            open_corpus(path)
        one_line(error)
    path.write_bytes(gzip.compress(b"a text\n\xff\xff"))
    with pytest.raises(UserError, match=r"text.gz is not UTF-8: byte 0xff at offset 7 ") as error:
        open_corpus(path)


def test_wikitext_2_trains_on_valid_and_evaluates_on_test(real_data):
    train, val = parts(open_corpus("wikitext-2"), 100_000)
    assert train == (real_data / "wikitext-2" / "valid.txt").read_text(encoding="utf-8")
    assert val == (real_data / "wikitext-2" / "test.txt").read_text(encoding="utf-8")


def test_data_folder_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYGRAD_GPT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"TINYGRAD_GPT_DATA.*nowhere") as error:
        open_corpus("shakespeare")
    one_line(error)


# --- paths ---------------------------------------------------------------------------------------------------------


def test_unknown_name_lists_the_known_ones_and_guesses():
    with pytest.raises(UserError) as error:
        open_corpus("shakespear")
    message = one_line(error)
    assert all(name in message for name in CORPORA)
    assert "did you mean shakespeare?" in message and "path" in message


def test_an_empty_name_is_not_the_folder_one_is_in():
    with pytest.raises(UserError) as error:
        open_corpus("")
    assert all(name in one_line(error) for name in CORPORA)


def test_folder_is_read_in_the_order_of_its_paths(tmp_path):
    root = tmp_path / "texts"
    for place, content in {
        "b.txt": b"second",
        "a/z.md": b"first, two levels down\r\n",
        "c.py": "third, with a ümlaut".encode(),
        ".hidden": b"not read",
        ".git/config": b"not read",
        "picture.png": b"\x89PNG\0\0not read",
    }.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(content)
    train, val = parts(open_corpus(root))
    assert train + val == "first, two levels down\nsecond\nthird, with a ümlaut"


def test_folder_without_text(tmp_path):
    (tmp_path / ".hidden").write_text("x")
    with pytest.raises(UserError, match="no text files") as error:
        open_corpus(tmp_path)
    one_line(error)


@pytest.mark.parametrize("content, word", [("", "empty"), ("x", "too short"), ("\ufeff", "empty")])
def test_empty_and_too_short(corpus_of, content, word):
    with pytest.raises(UserError, match=word) as error:
        corpus_of(content)
    one_line(error)


def test_something_that_is_neither_file_nor_folder(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        open_corpus(tmp_path / "pipe")


@pytest.mark.parametrize(
    "before, bad, offset",
    [
        (b"plain", b"\xff plain", 5),
        ("é".encode() * 700, b"\xe9t\xe9", 1400),  # Latin-1, beyond the first chunk
        (b"cut within a character ", b"\xe2\x82", 23),
        (b"\xef\xbb\xbfBOM", b"\x80", 6),
    ],
)
def test_bad_bytes_are_reported_with_their_place(tmp_path, monkeypatch, before, bad, offset):
    for size in (1, 3, 7, 1 << 18):
        monkeypatch.setattr(reading, "_READ_BYTES", size)
        (tmp_path / "bad.txt").write_bytes(before + bad)
        with pytest.raises(UserError) as error:
            open_corpus(tmp_path / "bad.txt")
        assert f"bad.txt is not UTF-8: byte 0x{bad[0]:02x} at offset {offset}" in one_line(error)


@given(text=st.text(alphabet=st.sampled_from("ab\r\né€😀\ufeff")), size=st.integers(1, 9), chunk=st.integers(1, 9))
def test_chunks_are_the_whole_text(tmp_path_factory, text, size, chunk):
    path = tmp_path_factory.mktemp("chunks") / "text"
    path.write_bytes(text.encode())
    expected = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_READ_BYTES", size)
        assert "".join(reading.read_text(path)) == expected
        if len(expected) > 1:
            corpus = open_corpus(path)
            cut = int(0.9 * len(expected))
            assert parts(corpus, chunk) == (expected[:cut], expected[cut:])
            assert all(0 < len(c) <= chunk for c in corpus.train(chunk))


def test_sha256_tells_content_and_cut_apart_but_not_places(corpus_of, tmp_path):
    text = "The same text. " * 20
    one, same, other = corpus_of(text, "a"), corpus_of(text, "b"), corpus_of(text + "!", "c")
    assert one.sha256 == same.sha256 != other.sha256
    assert one.sha256 != hashlib.sha256(text.encode()).hexdigest()


def test_importing_data_loads_nothing_heavy():
    heavy = "tokenizers", "rich", "http.client", "numba", "matplotlib"
    code = f"import sys, tinygrad_gpt.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
