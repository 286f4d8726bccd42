"""Checkpoints: one safetensors file with all that training needs to continue as if it had never stopped.

    model.NAME, optimizer.NAME       the arrays; task.NAME those that the task keeps
    metadata "tinygrad_gpt"          JSON: format, CRC-32 of the arrays, the trainer's state (step, random numbers, ...)

A run has one checkpoint, the latest. It is written beside the old one, flushed to the disk and renamed, so a crash at
any moment (power cut, kill -9, full disk) leaves the old one or the new one, whole. The CRC finds damage by disks and
copies: safetensors itself notices a file that was cut short, but not one whose weights have changed.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import parse_json
from tinygrad_gpt.files.storage import reason, replacing
from tinygrad_gpt.files.tensor_file import TensorFile, bytes_of, write_arrays

FORMAT = 1
KEY = "tinygrad_gpt"
_WHEN = {"step": int, "early?": bool}
_HEADER = {"format": int, "crc32": int, "state": dict}


def save_checkpoint(path: Path, arrays: dict[str, Any], state: dict[str, Any]) -> None:
    """Write `arrays` and `state` (JSON values) to `path`, atomically.

    Raises UserError when the system refuses, and for weights that are not finite; the old checkpoint stays then.
    """
    arrays = {name: to_numpy(a) for name, a in arrays.items()}
    crc = 0
    for name in sorted(arrays):
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            raise UserError(f"{name} has values that are not finite: not saved, {path} stays as it was")
        crc = zlib.crc32(bytes_of(arrays[name]), crc)
    with replacing(path) as file:
        write_arrays(file, arrays, {KEY: json.dumps({"format": FORMAT, "crc32": crc, "state": state})})


def load_checkpoint(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> tuple[dict, dict]:
    """(arrays, state) as they were saved. Arrays whose name is not `wanted` are read one at a time, for the checksum
    only: using a model does not take memory for its optimiser's running means.

    Raises UserError, naming the file, if it is missing, cut short, damaged, or not a checkpoint of tinygrad-gpt.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}: the run ended before its first one was saved, or it was moved")
    with _naming_damage(path):
        metadata = TensorFile(path).metadata
    if KEY not in metadata:
        raise UserError(f"{path} is a safetensors file, but not a checkpoint of tinygrad-gpt")
    with _naming_damage(path):
        header = parse_json(metadata[KEY], "its header", _HEADER, finite=False)
        arrays, crc = {}, 0
        with safe_open(str(path), framework="numpy") as file:
            for name in sorted(file.keys()):
                array = file.get_tensor(name)
                crc = zlib.crc32(bytes_of(array), crc)
                if wanted(name):
                    arrays[name] = array
    if header["format"] != FORMAT:
        raise UserError(f"{path} has the checkpoint format {header['format']}; this version reads format {FORMAT}")
    if header["crc32"] != crc:
        raise UserError(f"the checkpoint {path} is damaged: its contents don't match their checksum")
    return arrays, header["state"]


class Saved(NamedTuple):
    """The step at which a checkpoint was saved, and whether the run had ended early."""

    step: int
    early: bool = False


def saved_at(path: Path) -> Saved:
    """When a checkpoint was saved, from its header alone. Raises UserError as `load_checkpoint` does, but for damage to
    the arrays, which are not read."""
    with _naming_damage(path):
        state = parse_json(TensorFile(path).metadata[KEY], "its header", {"state": _WHEN}, finite=False)["state"]
    return Saved(state["step"], state.get("early", False))


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, UserError, ValueError, KeyError, TypeError, OSError) as error:
        why = in_short(reason(error))
        raise UserError(f"the checkpoint {path} cannot be read: it is damaged or cut short ({why})") from None


@contextmanager
def naming_the_file(path: Path) -> Iterator[None]:
    """Inside this block, a checkpoint whose contents do not fit is a UserError that names its file."""
    try:
        yield
    except (UserError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the checkpoint {path} does not fit this run ({in_short(error)}): "
            "was it, config.json or tokenizer.json taken from another one?"
        ) from None
