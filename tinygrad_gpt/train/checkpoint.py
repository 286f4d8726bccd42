"""Checkpoints: one safetensors file with all that training needs to go on as if it had never stopped.

    model.NAME, optimizer.NAME       the arrays
    metadata "tinygrad_gpt"          JSON: format, CRC-32 of the arrays, the trainer's state (step, random numbers, ...)

There is one checkpoint per run, the latest. It is written beside the old one, flushed to the disk and renamed, so a
crash at any moment (power cut, kill -9, full disk) leaves the old one or the new one, whole. The CRC is there because
disks and copies fail too: the format alone notices a file that was cut short, but not one whose weights have changed.
"""

import json
import textwrap
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.storage import replacing
from tinygrad_gpt.tensor_file import bytes_of, write_arrays

FORMAT = 1
KEY = "tinygrad_gpt"


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
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}: the run ended before its first one was saved, or it was moved")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = (file.metadata() or {}).get(KEY)
            if metadata is None:
                raise UserError(f"{path} is a safetensors file, but no checkpoint of tinygrad-gpt")
            header = json.loads(metadata)
            arrays, crc = {}, 0
            for name in sorted(file.keys()):
                array = file.get_tensor(name)
                crc = _crc32(array, crc)
                if wanted(name):
                    arrays[name] = array
        is_known, is_whole = header["format"] == FORMAT, header["crc32"] == crc
        state = header["state"]
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the checkpoint {path} cannot be read: it is damaged or cut short ({reason})") from None
    if not is_known:
        raise UserError(f"{path} has the checkpoint format {header['format']}; this version reads format {FORMAT}")
    if not is_whole:
        raise UserError(f"the checkpoint {path} is damaged: its contents don't match their checksum")
    return arrays, state


@contextmanager
def taking_up(path: Path) -> Iterator[None]:
    """Inside this block, contents of a checkpoint that do not fit are a UserError that names its file."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" ...")
        raise UserError(
            f"the checkpoint {path} does not fit this run ({reason}): "
            "was it, config.json or tokenizer.json taken from another one?"
        ) from None


def _crc32(array: np.ndarray, crc: int) -> int:
    """That of the arrays so far, in the order of their names, and this one."""
    return zlib.crc32(bytes_of(array), crc)
