"""Token files: the ids of the whole text, made in little memory, and always whole whoever is killed or does damage."""

import io
import os
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from tinygrad_gpt.data import BPETokenizer, CharTokenizer, open_corpus, prepare_tokens
from tinygrad_gpt.data import text_files as reading
from tinygrad_gpt.data.tokens import write_npy
from tinygrad_gpt.errors import UserError

TEXT = "".join(f"{i} bottles of beer, 瓶 and 🍺, on the wall.\n" for i in range(1500))
CUT = int(0.9 * len(TEXT))


def check(tokens, tokenizer, text=TEXT):
    cut = int(0.9 * len(text))
    for part, expected in ((tokens.train, text[:cut]), (tokens.val, text[cut:])):
        assert isinstance(part, np.memmap) and not part.flags.writeable and part.ndim == 1
        assert np.array_equal(part, tokenizer.encode(expected))
    assert (tokens.train_bytes, tokens.val_bytes) == (len(text[:cut].encode()), len(text[cut:].encode()))


@pytest.mark.parametrize("chunk_chars", [37, 5000, 1 << 18])
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_chunked_is_whole(corpus_of, tmp_path, monkeypatch, kind, chunk_chars):
    monkeypatch.setattr(reading, "_READ_BYTES", 1000)
    corpus = corpus_of(TEXT)
    if kind == "bpe":
        pytest.importorskip("tokenizers")
        tokenizer = BPETokenizer.train(corpus, 400)
    else:
        tokenizer = CharTokenizer.from_corpus(corpus)
    tokens = prepare_tokens(corpus, tokenizer, tmp_path / "tokens", chunk_chars=chunk_chars)
    check(tokens, tokenizer)
    assert tokens.train.dtype == np.uint16
    assert sorted(p.name.split("-")[-1][-9:] for p in (tmp_path / "tokens").iterdir())[1:] == ["train.npy", "val.npy"]
    assert np.array_equal(np.load(tokens.train.filename), tokens.train)  # anyone's np.load reads them


def test_large_vocabularies_take_uint32(corpus_of):
    for size, dtype in ((1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)):
        text = "".join(map(chr, range(0x10000, 0x10000 + size))) * 2
        corpus = corpus_of(text)
        tokenizer = CharTokenizer.from_corpus(corpus)
        tokens = prepare_tokens(corpus, tokenizer)
        assert tokens.train.dtype == dtype and tokens.val[-1] == size - 1
        check(tokens, tokenizer, text)


def test_memory_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_READ_BYTES", 1 << 14)
    path = tmp_path / "large.txt"
    path.write_text(TEXT * 60, encoding="utf-8")  # 4 MB of text; 28 MB as int64 ids
    tracemalloc.start()
    corpus = open_corpus(path)
    tokenizer = CharTokenizer.from_corpus(corpus)
    tokens = prepare_tokens(corpus, tokenizer, chunk_chars=1 << 14)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(tokens.train) + len(tokens.val) == len(TEXT) * 60
    assert peak < 2.5e6, f"{peak / 1e6:.1f} MB"  # of which 1 MB: the table of code points up to 🍺


def files(folder):
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()}


def test_second_time_only_reads(corpus_of, own_cache):
    corpus = corpus_of(TEXT)
    tokenizer = CharTokenizer.from_corpus(corpus)
    prepare_tokens(corpus, tokenizer)
    before = files(own_cache / "tokens")
    check(prepare_tokens(corpus, CharTokenizer.from_corpus(corpus)), tokenizer)
    assert files(own_cache / "tokens") == before


def test_other_text_or_tokenizer_is_another_key(corpus_of, own_cache):
    corpus = corpus_of(TEXT)
    tokenizer = CharTokenizer.from_corpus(corpus)
    larger = CharTokenizer(tokenizer.characters + "!")
    other = TEXT[::-1]  # the same characters, so the same tokenizer
    for c, k, text in ((corpus, tokenizer, TEXT), (corpus, larger, TEXT), (corpus_of(other, "b"), tokenizer, other)):
        check(prepare_tokens(c, k), k, text)
    assert len(files(own_cache / "tokens")) == 9


@pytest.mark.parametrize("which", ["-train.npy", "-val.npy", ".json"])
@pytest.mark.parametrize("damage", ["cut off", "cut in the header", "empty", "longer", "gone"])
def test_damaged_files_are_made_again(corpus_of, own_cache, which, damage):
    corpus = corpus_of(TEXT)
    tokenizer = CharTokenizer.from_corpus(corpus)
    prepare_tokens(corpus, tokenizer)
    (path,) = (own_cache / "tokens").glob(f"*{which}")
    content = path.read_bytes()
    change = {"cut off": content[:-1], "cut in the header": content[:20], "empty": b"", "longer": content + b"\0"}
    path.unlink()
    if damage in change:
        path.write_bytes(change[damage])
    check(prepare_tokens(corpus, tokenizer), tokenizer)
    assert path.read_bytes() == content


def test_unknown_character_leaves_no_files(corpus_of, own_cache):
    with pytest.raises(UserError, match=r"'瓶'.* at position 19"):
        prepare_tokens(corpus_of(TEXT), CharTokenizer("0123456789 bottles of beer,"))
    assert list((own_cache / "tokens").iterdir()) == []


def test_folder_that_cannot_be_written(corpus_of, tmp_path, monkeypatch):
    corpus = corpus_of(TEXT)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write .*TINYGRAD_GPT_CACHE") as error:
        prepare_tokens(corpus, CharTokenizer.from_corpus(corpus))
    assert "\n" not in str(error.value)


def test_abandoned_files_are_removed_after_a_day(corpus_of, tmp_path):
    corpus = corpus_of(TEXT)
    for name, age in (("old.npy.1234.tmp", 25 * 3600), ("new.npy.1234.tmp", 3600)):
        (tmp_path / name).write_text("unfinished")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    prepare_tokens(corpus, CharTokenizer.from_corpus(corpus), tmp_path)
    assert [p.name for p in tmp_path.glob("*.tmp")] == ["new.npy.1234.tmp"]


# --- other processes -----------------------------------------------------------------------------------------------

CHILD = """
import os, sys
from tinygrad_gpt.data import CharTokenizer, open_corpus, prepare_tokens
from tinygrad_gpt.errors import UserError
path, chunks_to_live, file_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

class Mortal(CharTokenizer):
    def encode_chunks(self, chunks):
        global chunks_to_live
        for ids in super().encode_chunks(chunks):
            chunks_to_live -= 1
            if chunks_to_live == 0:
                os._exit(9)  # at once, as if killed: nothing is flushed, closed or removed
            yield ids

corpus = open_corpus(path)
if file_size:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
try:
    tokens = prepare_tokens(corpus, Mortal.from_corpus(corpus), chunk_chars=500)
except UserError as error:
    sys.exit(str(error))
print(tokens.train.sum(), tokens.val.sum())
"""


def child(path, chunks_to_live=0, file_size=0):
    command = [sys.executable, "-c", CHILD, str(path), str(chunks_to_live), str(file_size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("chunks_to_live", [1, 60, 125])  # the text is 117 chunks for training and 13 for validation
def test_killed_halfway_then_made_whole(tmp_path, own_cache, corpus_of, chunks_to_live):
    corpus = corpus_of(TEXT)
    process = child(tmp_path / "text.txt", chunks_to_live)
    process.communicate()
    assert process.returncode == 9
    names = [p.name for p in (own_cache / "tokens").iterdir()]
    assert any(n.endswith(".tmp") for n in names) and not any(n.endswith(".json") for n in names)
    tokenizer = CharTokenizer.from_corpus(corpus)
    check(prepare_tokens(corpus, tokenizer), tokenizer)


@pytest.mark.long
def test_four_processes_at_once(tmp_path, own_cache, corpus_of):
    corpus = corpus_of(TEXT)
    processes = [child(tmp_path / "text.txt") for _ in range(4)]
    outputs = [p.communicate() for p in processes]
    assert [p.returncode for p in processes] == [0] * 4, outputs
    tokenizer = CharTokenizer.from_corpus(corpus)
    expected = f"{tokenizer.encode(TEXT[:CUT]).sum()} {tokenizer.encode(TEXT[CUT:]).sum()}"
    assert [out.strip() for out, _ in outputs] == [expected] * 4
    assert len(list((own_cache / "tokens").iterdir())) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs the POSIX limit on the size of files")
def test_disk_full_is_one_line_and_leaves_nothing(tmp_path, own_cache, corpus_of):
    corpus_of(TEXT)
    process = child(tmp_path / "text.txt", file_size=20_000)
    _, message = process.communicate()
    assert process.returncode == 1
    assert message.count("\n") == 1 and message.startswith("cannot write") and "File too large" in message
    assert list((own_cache / "tokens").iterdir()) == []


@pytest.mark.parametrize("ids", [[1, 65536], [-1, 2], np.array([2**64 - 1], np.uint64)])
def test_ids_that_a_file_has_no_room_for_are_an_error(ids):
    """They would wrap round to other tokens."""
    file = io.BytesIO()
    with pytest.raises(ValueError, match=r"expected ids in 0 \.\. 65535 \(uint16\), got"):
        write_npy(file, [np.array([0, 65535]), np.array(ids)], np.dtype(np.uint16))
