"""Files of named arrays in the safetensors format: written array by array, read a few rows at a time.

    8 bytes           length N of the header, little-endian
    N bytes           the header, JSON: name -> {"dtype", "shape", "data_offsets": [begin, end]}, and "__metadata__"
    the rest          the arrays' bytes, in C order, little-endian, without gaps

https://huggingface.co/docs/safetensors describes the format, and any reader of safetensors opens these files. We write
them ourselves so that a full disk is an ordinary OSError, and no second copy of a model is made in memory. We read the
arrays ourselves so that a model is loaded straight into the memory that it will train in. The safetensors library
checks the offsets, json_files.py the rest of the header.
"""

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import check_fits, json_bytes, parse_json
from tinygrad_gpt.files.storage import reason

_CODES = {"float32": "F32", "float64": "F64", "int64": "I64", "int32": "I32", "bool": "BOOL", "uint8": "U8"}
# The floats that can be read, and the NumPy dtype of their bytes. NumPy has no bfloat16.
FLOAT_CODES = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_PIECE = 8 << 20  # bytes of a file that are mapped at once
_LARGEST_HEADER = 32 << 20  # bytes: hundreds of thousands of tensors
_ENTRIES = {...: {"dtype": str, "shape": [int], "data_offsets": [int]}}


def write_arrays(file: BinaryIO, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write `arrays` to an open file. Those that are not in C order, or big-endian, are copied one at a time.

    Raises KeyError for a dtype other than float32, float64, int64, int32, bool and uint8.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json_bytes(header)
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8 bytes
    file.write(len(text).to_bytes(8, "little") + text)
    for array in arrays.values():
        file.write(bytes_of(array))


def can_write(dtype: np.dtype) -> bool:
    """Whether `write_arrays` takes arrays of this dtype."""
    return dtype.name in _CODES


def bytes_of(array: np.ndarray) -> memoryview:
    """The bytes of an array as they are in a file."""
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    return memoryview(little.reshape(-1).view(np.uint8))


class TensorFile:
    """A safetensors file, open for reading.

    shapes    name -> shape
    dtypes    name -> the format's code: "F32", "BF16", "I64", ...
    metadata  name -> text

    Raises UserError, naming the file, if it is missing or cut short, or if anything is wrong with its header: it is not
    JSON, it is longer than the file, a name stands twice, or offsets overlap, leave gaps or do not fit the shapes.
    """

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        self.path = path
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        try:
            with open(path, "rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > _LARGEST_HEADER:
                    raise ValueError(f"a header of {length:,} bytes, where at most {_LARGEST_HEADER:,} are read")
                header = parse_json(file.read(length), "the header")
            self.metadata = check_fits(header.pop("__metadata__", {}), {...: str}, "__metadata__")
            check_fits(header, _ENTRIES, "the header")
            with safe_open(str(path), framework="numpy"):
                pass  # opening it checks that shapes, offsets and the file's length agree
        except (SafetensorError, UserError, ValueError, OSError) as error:
            why = in_short(reason(error))
            raise UserError(f"{path} is damaged, cut short, or not a safetensors file ({why})") from None
        self._start = 8 + length  # of the arrays' bytes
        self.shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        self.dtypes = {name: entry["dtype"] for name, entry in header.items()}
        self._begin = {name: entry["data_offsets"][0] for name, entry in header.items()}

    def cut(self, name: str, parts: dict[str, int]) -> None:
        """From now on the rows of one tensor of floats are several tensors, one below the other: name -> rows."""
        rows, *rest = self.shapes[name]
        if sum(parts.values()) != rows:
            raise ValueError(f"TensorFile: expected parts of {name} with {rows} rows in all, got {parts}")
        del self.shapes[name]
        dtype, begin = self.dtypes.pop(name), self._begin.pop(name)
        for part, size in parts.items():
            self.shapes[part], self.dtypes[part], self._begin[part] = (size, *rest), dtype, begin
            begin += size * math.prod(rest) * FLOAT_CODES[dtype].itemsize

    def copy(self, name: str, target: np.ndarray) -> None:
        """Copy one tensor of floats into `target`, an array of its shape, and convert it to target's dtype.

        The file is mapped into memory a few rows at a time, since mapped pages that were read count as memory in use.
        `target` may be a transposed view.
        """
        for rows, values in self._pieces(name):
            target[rows] = values

    def equals(self, name: str, array: np.ndarray) -> bool:
        """Whether one tensor of floats, converted to the dtype of `array`, equals it in every element."""
        same_shape = self.shapes[name] == array.shape
        return same_shape and all(
            np.array_equal(array[rows], values.astype(array.dtype, copy=False)) for rows, values in self._pieces(name)
        )

    def _pieces(self, name: str):
        """(rows, values) for one tensor, a few rows at a time; for a tensor without axes, (..., the number)."""
        shape, dtype = self.shapes[name], FLOAT_CODES[self.dtypes[name]]
        begin = self._start + self._begin[name]
        if 0 in shape:
            return
        if shape == ():
            yield ..., self._mapped(name, begin, ())
            return
        row_bytes = math.prod(shape[1:]) * dtype.itemsize
        step = max(1, _PIECE // row_bytes)
        for first in range(0, shape[0], step):
            last = min(first + step, shape[0])
            yield slice(first, last), self._mapped(name, begin + first * row_bytes, (last - first, *shape[1:]))

    def _mapped(self, name: str, offset: int, shape: tuple[int, ...]) -> np.ndarray:
        dtype = FLOAT_CODES[self.dtypes[name]]
        try:
            values = np.memmap(self.path, dtype, "r", offset, shape)
        except (OSError, ValueError) as error:  # though its header was read
            raise UserError(f"cannot read {self.path}: {error}") from None
        if self.dtypes[name] == "BF16":  # bfloat16 is the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values
