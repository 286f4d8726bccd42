"""Numba's cache of machine code on disk, made so that it can only help: whatever is wrong with it, kernels run.

Numba keeps an index and the code of each function in a folder (NUMBA_CACHE_DIR, or `__pycache__` beside the source, or
the user's own). It trusts the files in it. But a disk fills up, a computer is switched off half way, a file is copied
in part: then every start would end in an error, or run damaged code. So

- each file begins with a hash of the rest; what does not match it is compiled again, and written over;
- what cannot be written stays in memory for this process.

A warning says either once, with the folder's name. What is on disk is valid for one `stamp`, the caller's.
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
    """The cache of one function, with the methods of Numba's own.

    Loading gives None where it finds nothing it can use, for whatever reason. Saving does what it can.
    """

    def __init__(self, function, stamp: str):
        self._cache, self.cache_path = None, ""
        try:
            self._cache = FunctionCache(function)
        except Exception as error:  # RuntimeError for no folder; Numba's settings may raise others
            _warn("no folder", f"every process compiles the kernels again: no folder to keep them in ({error})")
            return
        self.cache_path = self._cache.cache_path
        base = f"{self._cache._impl.filename_base}.checked"  # apart from files that Numba would write itself
        self._cache._cache_file = _CheckedFiles(self.cache_path, base, stamp)

    def has(self, signature) -> bool:
        """Whether the code for these types is on disk. True too where there is no cache at all."""
        if self._cache is None:
            return True
        try:
            return self._cache._cache_file.knows(self._cache, signature)
        except Exception:  # damaged, or another Numba's: load_overload will warn
            return False

    def load_overload(self, signature, target_context):
        if self._cache is None:
            return None
        try:
            return self._cache.load_overload(signature, target_context)
        except Exception as error:  # a damaged file can raise anything
            damage = f"files in {self.cache_path} are damaged ({first_line(error)})"
            _warn("damaged", f"kernels are compiled again: {damage}")
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
            _warn("unwritable", f"every process compiles the kernels again: {where}")


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
        # Unpacked last: another version's may name what this one does not have.
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


_warned = set()


def _warn(kind: str, message: str) -> None:
    """Warn once for each kind of trouble: it is seldom one kernel's alone."""
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def first_line(error: Exception) -> str:
    """The first line of its message in which something stands, or its type's name."""
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)
