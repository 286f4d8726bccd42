"""Whatever has become of the machine code on disk, kernels compute, and a line says what is wrong."""

import errno
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest

from tests.kernels.small_kernel import a_kernel, compiled_here, run
from tinygrad_gpt.kernels.numba.machine import disk_cache, parallel

FLOAT32 = np.dtype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for the cache, in a process that has said nothing yet."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(disk_cache, "_warned", set())
    monkeypatch.setattr(disk_cache, "could_not_write", [])
    return tmp_path


def files(folder: Path, kind: str) -> list[Path]:
    return [f for f in sorted(folder.rglob(f"*.{kind}")) if "scale_rows" in f.name]


def compiled_now() -> bool:
    """Make the kernel ready as a new process would; whether it had to be compiled."""
    with a_kernel() as kernel:
        assert run(kernel)
        return compiled_here(kernel.teams[FLOAT32])


def nothing(path):
    path.write_bytes(b"")


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path):
    path.write_bytes(bytes(range(256)) * 40)


def one_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 16
    path.write_bytes(data)


@pytest.mark.long
@pytest.mark.parametrize("damage", [nothing, half, garbage, one_bit])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_files_are_written_anew(folder, kind, damage):
    assert compiled_now() and not compiled_now()
    assert len(files(folder, kind)) == 2  # the function's, and its entry's
    for path in files(folder, kind):
        damage(path)
    with pytest.warns(RuntimeWarning) as told:
        assert compiled_now()
    assert len(told) == 1 and str(folder) in str(told[0].message) and "damaged" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not compiled_now()


def test_files_that_are_gone_are_written_anew_without_a_word(folder):
    assert compiled_now()
    for path in files(folder, "nbc"):
        path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled_now() and not compiled_now()


def test_a_folder_in_place_of_a_file(folder):
    assert compiled_now()
    for path in files(folder, "nbi"):
        path.unlink()
        path.mkdir()
    with pytest.warns(RuntimeWarning) as told:
        assert compiled_now()
    assert {str(folder) in str(w.message) for w in told} == {True}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_nothing(folder, monkeypatch, number):
    def full(self, path):
        raise OSError(number, "no room", path)

    monkeypatch.setattr(disk_cache._CheckedFiles, "_open_for_write", full)
    with pytest.warns(RuntimeWarning) as told:
        assert compiled_now()
    assert len(told) == 1 and "cannot be written to" in str(told[0].message) and str(folder) in str(told[0].message)
    assert disk_cache.could_not_write
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert compiled_now()


def test_no_folder_at_all(folder, monkeypatch):
    def none(function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(disk_cache, "FunctionCache", none)
    with pytest.warns(RuntimeWarning, match="no folder to keep them in"):
        assert compiled_now()


def test_other_sources_are_compiled_anew_and_written_over(folder, monkeypatch):
    from tinygrad_gpt.kernels.numba.machine import compile

    assert compiled_now()
    monkeypatch.setattr(compile, "_content_of_all_sources", lambda: "other sources")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled_now() and not compiled_now()


def test_files_of_another_version_of_numba_are_not_looked_into(folder, monkeypatch):
    assert compiled_now()
    (index, *_) = files(folder, "nbi")
    version, stamp, overloads = disk_cache._read(index)
    assert version == numba.__version__ and isinstance(overloads, bytes)
    cache = parallel._entry_for(run, "stamp")._cache._cache._cache_file
    cache._index_path = str(index)
    cache._version, cache._source_stamp = "0.1", stamp
    monkeypatch.setattr(cache, "_version", "0.1")
    assert cache._load_index() == {}
    cache._write(str(index), (version, stamp, b"not to be unpacked"))
    assert cache._load_index() == {}
