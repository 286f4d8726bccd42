"""Token streams on disk: a corpus is tokenised once, and then read through memory-mapped .npy files.

The ids of each part are one array (N,) of uint16, or of uint32 if the vocabulary has more than 65,536 tokens. The names
of the files hold a key of their origin (the corpus's SHA-256 and the tokenizer's fingerprint). So a changed text or
tokenizer never gets old tokens, and a file that exists and is whole is the right one:

    KEY-train.npy   KEY-val.npy   KEY.json (lengths and sizes; written last, so if it exists, the others are whole)

A killed process leaves unfinished files, which are never read. Two processes at once write the same content.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tinygrad_gpt.data.corpora import Corpus
from tinygrad_gpt.data.text_files import CHUNK_CHARS
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import json_bytes, read_json
from tinygrad_gpt.files.storage import cache_folder, remove_abandoned, replacing

_FORMAT = 1  # of these files; part of the key
PARTS = ("train", "val")
_SIZES = {"train_tokens": int, "val_tokens": int, "train_bytes": int, "val_bytes": int}


@dataclass(frozen=True)
class TokenSet:
    """A tokenised corpus.

    train, val              (N,) uint16 or uint32, memory-mapped and read-only
    train_bytes, val_bytes  number of bytes of the texts in UTF-8, for bits per byte
    """

    train: np.ndarray
    val: np.ndarray
    train_bytes: int
    val_bytes: int


def prepare_tokens(
    corpus: Corpus, tokenizer: Tokenizer, folder: str | Path | None = None, *, chunk_chars: int = CHUNK_CHARS
) -> TokenSet:
    """The token streams of a corpus, found in `folder` (default: "tokens" in the cache folder) or made now.

    Text is read, tokenised and written `chunk_chars` characters at a time. Files that are missing or have the wrong
    length are made again.

    Raises UserError if the text has characters that the tokenizer does not know, or the files cannot be written.
    """
    folder = cache_folder() / "tokens" if folder is None else Path(folder)
    key = hashlib.sha256(f"{_FORMAT} {corpus.sha256} {tokenizer.fingerprint()}".encode()).hexdigest()[:32]
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    found = _open(folder, key, dtype)
    if found is not None:
        return found
    remove_abandoned(folder)
    problem = UserError(f"the token files {folder / key}* changed while they were being written: try again")
    try:
        _write(folder, key, dtype, corpus, tokenizer, chunk_chars)
    except UserError as error:  # Windows refuses to replace files that another process has mapped
        problem = error
    found = _open(folder, key, dtype)
    if found is None:
        raise problem
    return found


def _write(folder: Path, key: str, dtype: np.dtype, corpus: Corpus, tokenizer: Tokenizer, chunk_chars: int) -> None:
    sizes = {}
    for part in PARTS:
        text = _counted(getattr(corpus, part)(chunk_chars), sizes, f"{part}_bytes")
        with replacing(folder / f"{key}-{part}.npy") as file:
            sizes[f"{part}_tokens"] = write_npy(file, tokenizer.encode_chunks(text), dtype)
    with replacing(folder / f"{key}.json") as file:
        file.write(json_bytes(sizes))


def write_npy(file: BinaryIO, arrays: Iterable[np.ndarray], dtype: np.dtype) -> int:
    """Write one-dimensional arrays of integers, one after the other, as one .npy file of `dtype`. Returns the length.

    Raises ValueError for a number that does not fit this dtype.

    The header comes first and holds the length, which is known last. NumPy pads the header so that any length fits, and
    it is written again at the end.
    """
    length = 0
    _write_header(file, dtype, length)
    limits = np.iinfo(dtype)
    for array in arrays:
        if len(array) and not (limits.min <= int(np.min(array)) and int(np.max(array)) <= limits.max):
            raise ValueError(
                f"expected ids in {limits.min} .. {limits.max} ({dtype}), got {np.min(array)} .. {np.max(array)}"
            )
        file.write(np.ascontiguousarray(array, dtype=dtype).data)
        length += len(array)
    file.seek(0)
    _write_header(file, dtype, length)
    return length


def _write_header(file: BinaryIO, dtype: np.dtype, length: int) -> None:
    """Write the header of an array (length,)."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)


def _counted(chunks: Iterable[str], sizes: dict[str, int], name: str) -> Iterator[str]:
    """The chunks. As they pass, sizes[name] becomes their number of bytes."""
    sizes[name] = 0
    for chunk in chunks:
        sizes[name] += len(chunk.encode("utf-8"))
        yield chunk


def _open(folder: Path, key: str, dtype: np.dtype) -> TokenSet | None:
    """The token set with this key, or None if a file is missing, cut off, or not what its name says."""
    try:
        sizes = read_json(folder / f"{key}.json", _SIZES)
        parts = {}
        for part in PARTS:
            path = folder / f"{key}-{part}.npy"
            parts[part] = tokens = np.load(path, mmap_mode="r", allow_pickle=False)  # an error if it is cut off
            if tokens.shape != (sizes[f"{part}_tokens"],) or tokens.dtype != dtype:
                return None
            if isinstance(tokens, np.memmap) and path.stat().st_size != tokens.offset + tokens.nbytes:
                return None
        return TokenSet(**parts, train_bytes=sizes["train_bytes"], val_bytes=sizes["val_bytes"])
    except (UserError, OSError, EOFError, ValueError):
        return None
