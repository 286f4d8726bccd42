"""Checkpoints: one safetensors file with all that training needs to go on as if it had never stopped.

    model.NAME, optimizer.NAME       the arrays
    metadata "tinygrad_gpt"          JSON: format, CRC-32 of the arrays, the trainer's state (step, random numbers, ...)

There is one checkpoint per run, the latest. It is written beside the old one, flushed to the disk and renamed, so a
crash at any moment (power cut, kill -9, full disk) leaves the old one or the new one, whole. The CRC is there because
disks and copies fail too: the format alone notices a file that was cut short, but not one whose weights have changed.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import parse_json
from tinygrad_gpt.files.storage import reason, replacing
from tinygrad_gpt.files.tensor_file import TensorFile, bytes_of, write_arrays

FORMAT = 1
KEY = "tinygrad_gpt"
_HEADER = {"format": int, "crc32": int, "state": dict}


def save_checkpoint(path: Path, arrays: dict[str, Any], state: dict[str, Any]) -> None:
    """Write `arrays` and `state` (JSON values) to `path`, atomically.

    Raises UserError when the system refuses, and for weights that are not finite, which are no state to go back to; in
    both cases the old checkpoint stays.
    """
    arrays = {name: to_numpy(a) for name, a in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{name} has values that are not finite: not saved, {path} stays as it was")
    crc = 0
    for name in sorted(arrays):
        crc = _crc32(arrays[name], crc)
    with replacing(path) as file:
        write_arrays(file, arrays, {KEY: json.dumps({"format": FORMAT, "crc32": crc, "state": state})})


def load_checkpoint(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> tuple[dict, dict]:
    """(arrays, state) as they were saved. Arrays whose name is not `wanted` are read only to verify them, one
    at a time: to use a model, its optimiser's running means, twice its size, need not be in memory.

    Raises UserError, naming the file, for one that is missing, cut short, damaged, or no checkpoint of ours.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}: the run ended before its first one was saved, or it was moved")
    with _reading(path):
        metadata = TensorFile(path).metadata
    if KEY not in metadata:
        raise UserError(f"{path} is a safetensors file, but no checkpoint of tinygrad-gpt")
    with _reading(path):
        header = parse_json(metadata[KEY], "what it says of itself", _HEADER, finite=False)
        arrays, crc = {}, 0
        with safe_open(str(path), framework="numpy") as file:
            for name in sorted(file.keys()):
                array = file.get_tensor(name)
                crc = _crc32(array, crc)
                if wanted(name):
                    arrays[name] = array
    if header["format"] != FORMAT:
        raise UserError(f"{path} has the checkpoint format {header['format']}; this version reads format {FORMAT}")
    if header["crc32"] != crc:
        raise UserError(f"the checkpoint {path} is damaged: its contents don't match their checksum")
    return arrays, header["state"]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, UserError, ValueError, KeyError, TypeError, OSError) as error:
        why = in_short(reason(error))
        raise UserError(f"the checkpoint {path} cannot be read: it is damaged or cut short ({why})") from None


@contextmanager
def naming_the_file(path: Path) -> Iterator[None]:
    """Inside this block, contents of a checkpoint that do not fit are a UserError that names its file."""
    try:
        yield
    except (UserError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the checkpoint {path} does not fit this run ({in_short(error)}): "
            "was it, config.json or tokenizer.json taken from another one?"
        ) from None


def _crc32(array: np.ndarray, crc: int) -> int:
    """That of the arrays so far, in the order of their names, and this one."""
    return zlib.crc32(bytes_of(array), crc)
