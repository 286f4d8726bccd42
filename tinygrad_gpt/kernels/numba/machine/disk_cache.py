"""Numba's cache of machine code on disk, made so that it can only help: whatever is wrong with it, kernels run.

Numba keeps an index and the code of each function in a folder (NUMBA_CACHE_DIR, or `__pycache__` beside the source, or
the user's own). It takes for granted that what it finds there is whole. But a disk fills up, a computer is switched off
half way, a file is copied in part: then every start would end in an error, or run damaged code. So

- each file begins with a hash of the rest, and what does not match is compiled anew, and written over;
- what cannot be written, or has no folder to be written to, stays in memory for this process.

Either is said in a line, once, with the folder's name.

What is on disk is valid for one `stamp`, which the caller chooses. By default a cached function is valid while its own
file stays the same; but kernels are also made of helpers in other files.
"""

import contextlib
import hashlib
import pickle
import warnings

from numba.core.caching import FunctionCache, IndexDataCacheFile

_HASH = 32  # bytes of a SHA-256


class Damaged(Exception):  # noqa: N818 - it says what a file is
    """A file of the cache is not as it was written."""


class DiskCache:
    """The cache of one function; answers to what Numba asks of its own.

    Loading gives None where there is nothing to be had, for whatever reason, and saving does what can be done.
    """

    def __init__(self, function, stamp: str):
        self._cache, self.cache_path = None, ""
        try:
            self._cache = FunctionCache(function)
        except Exception as error:  # RuntimeError for no folder; what a setting of Numba's own may raise is not ours
            _tell("no folder", f"kernels are compiled by every process anew: no folder to keep them in ({error})")
            return
        self.cache_path = self._cache.cache_path
        base = f"{self._cache._impl.filename_base}.checked"  # apart from files that Numba would write itself
        self._cache._cache_file = _CheckedFiles(self.cache_path, base, stamp)

    def has(self, signature) -> bool:
        """Whether the code for these types is there. True too where there is no cache that could have it."""
        if self._cache is None:
            return True
        try:
            return self._cache._cache_file.knows(self._cache, signature)
        except Exception:  # damaged, or an inside of Numba's that has changed: load_overload will tell
            return False

    def load_overload(self, signature, target_context):
        if self._cache is None:
            return None
        try:
            return self._cache.load_overload(signature, target_context)
        except Exception as error:  # a damaged file can raise anything
            _tell(
                "damaged", f"kernels are compiled anew: files in {self.cache_path} are damaged ({_first_line(error)})"
            )
            return None

    def save_overload(self, signature, compiled) -> None:
        if self._cache is None:
            return
        try:
            with contextlib.suppress(Damaged):
                self._cache.save_overload(signature, compiled)
                return
            self._cache.flush()  # an index that is damaged: begin a new one
            self._cache.save_overload(signature, compiled)
        except OSError as error:
            could_not_write.append(error)
            where = f"{self.cache_path} cannot be written to ({error})"
            _tell("unwritable", f"kernels are compiled by every process anew: {where}")


could_not_write: list[OSError] = []  # what went wrong in this process when code was to be written


class _CheckedFiles(IndexDataCacheFile):
    """Numba's files, each with a hash of its content before it."""

    def knows(self, cache: FunctionCache, signature) -> bool:
        from numba.core.registry import cpu_target

        return cache._index_key(signature, cpu_target.target_context.codegen()) in self._load_index()

    def _load_index(self) -> dict:
        try:
            version, stamp, overloads = _read(self._index_path)
        except FileNotFoundError:
            return {}
        # Unpacked last: another version's may refer to what this one has not.
        return pickle.loads(overloads) if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict) -> None:
        self._write(self._index_path, (self._version, self._source_stamp, self._dump(overloads)))

    def _load_data(self, name: str):
        return _read(self._data_path(name))

    def _save_data(self, name: str, data) -> None:
        self._write(self._data_path(name), data)

    def _write(self, path: str, content) -> None:
        data = self._dump(content)
        with self._open_for_write(path) as file:
            file.write(hashlib.sha256(data).digest())
            file.write(data)


def _read(path: str):
    with open(path, "rb") as file:
        digest, data = file.read(_HASH), file.read()
    if hashlib.sha256(data).digest() != digest:
        raise Damaged(path)
    return pickle.loads(data)  # as Numba does: the folder belongs to the user, and what is in it is run anyway


_told = set()


def _tell(kind: str, message: str) -> None:
    """Warn, once for each kind of trouble: it is seldom one kernel's alone."""
    if kind not in _told:
        _told.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
