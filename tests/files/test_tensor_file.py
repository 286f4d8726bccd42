"""Tensor files: every float there is comes through, a few rows at a time; every malformed file is named in a line."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files import tensor_file
from tinygrad_gpt.files.tensor_file import TensorFile, write_arrays


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def with_header(header, data: bytes = b"") -> bytes:
    """The bytes of a file with this header, a dictionary or bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.safetensors"


ARRAYS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4) / 7,
    "turned": (np.arange(10, dtype=np.float64).reshape(2, 5) / 7).T,
    "number": np.array(0.1),
    "nothing": np.zeros((0, 3), np.float32),
    "ids": np.arange(3),
}


def test_what_is_written_is_read_by_the_library_and_by_us(path):
    with open(path, "wb") as file:
        write_arrays(file, ARRAYS, {"format": "pt"})
    loaded, ours = load_file(path), TensorFile(path)
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype and ours.shapes[name] == array.shape == loaded[name].shape
        np.testing.assert_array_equal(loaded[name], array)
    assert ours.dtypes == {"matrix": "F32", "turned": "F64", "number": "F64", "nothing": "F32", "ids": "I64"}
    for name in ("matrix", "turned", "number", "nothing"):
        target = np.full_like(ARRAYS[name], np.nan)
        ours.copy(name, target)
        np.testing.assert_array_equal(target, ARRAYS[name])


@pytest.mark.parametrize("piece", [1, 100, 1 << 20], ids=["row by row", "some rows", "whole"])
def test_it_is_copied_in_pieces_into_a_turned_view_of_another_dtype(path, monkeypatch, piece):
    monkeypatch.setattr(tensor_file, "_PIECE", piece)
    x = np.random.default_rng(0).normal(size=(7, 3, 4))
    save_file({"before": np.zeros(5, np.uint8), "x": x}, path)  # x begins anywhere
    target = np.full((4, 3, 7), np.nan, np.float32)
    TensorFile(path).copy("x", target.T)
    np.testing.assert_array_equal(target, x.T.astype(np.float32))
    assert TensorFile(path).equals("x", x.astype(np.float32))
    x[6, 2, 3] += 1
    assert not TensorFile(path).equals("x", x) and not TensorFile(path).equals("x", x[:6])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_half_precision_of_both_kinds(path, dtype):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(5, 2)).astype(np.float16)
    # Of a float32 the upper 16 bits: sign, exponent and 7 bits of the fraction.
    brain = (rng.normal(size=(5, 2)).astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    half_bytes, brain_bytes = half.tobytes(), (brain.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = {
        "half": {"dtype": "F16", "shape": [5, 2], "data_offsets": [0, 20]},
        "brain": {"dtype": "BF16", "shape": [5, 2], "data_offsets": [20, 40]},
    }
    path.write_bytes(with_header(header, half_bytes + brain_bytes))
    for name, expected in (("half", half), ("brain", brain)):
        target = np.full((5, 2), np.nan, dtype)
        TensorFile(path).copy(name, target)
        np.testing.assert_array_equal(target, expected.astype(dtype))


ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
MALFORMED = {
    "empty": b"",
    "shorter than the length of its header": b"\x10\0\0",
    "a header longer than the file": (1000).to_bytes(8, "little") + b"{}",
    "a header of 2 ** 63 bytes": (1 << 63).to_bytes(8, "little") + b"{}",
    "no header": (0).to_bytes(8, "little"),
    "text": b"hello, this is no tensor file, but it is long enough to be one",
    "zip, as PyTorch pickles": b"PK\x03\x04" + bytes(100),
    "a header that is no JSON": with_header(b"{'x': 1}"),
    "a header that is no object": with_header(b"[1, 2, 3]"),
    "a header that is no UTF-8": with_header(b'{"\xff": {}}'),
    "an entry without offsets": with_header({"x": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "an unknown dtype": with_header({"x": ENTRY | {"dtype": "F33"}}, bytes(24)),
    "a shape that is larger": with_header({"x": ENTRY | {"shape": [2, 4]}}, bytes(24)),
    "a shape that overflows": with_header({"x": ENTRY | {"shape": [1 << 62, 1 << 62]}}, bytes(24)),
    "a negative shape": with_header({"x": ENTRY | {"shape": [-2, -3]}}, bytes(24)),
    "offsets past the end": with_header({"x": ENTRY}, bytes(20)),
    "offsets before the end": with_header({"x": ENTRY}, bytes(28)),
    "offsets the wrong way round": with_header({"x": ENTRY | {"data_offsets": [24, 0]}}, bytes(24)),
    "offsets that leave a gap": with_header({"x": ENTRY, "y": ENTRY | {"data_offsets": [28, 52]}}, bytes(52)),
    "offsets that overlap": with_header({"x": ENTRY, "y": ENTRY | {"data_offsets": [20, 44]}}, bytes(44)),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_named_in_one_line(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        TensorFile(path)
    assert str(path) in one_line(error) and "damaged, cut short, or not a safetensors file" in one_line(error)


@pytest.mark.parametrize("length", [0, 4, 8, 60, -1])
def test_cut_short(path, length):
    save_file({"x": np.ones((3, 4))}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="damaged, cut short") as error:
        TensorFile(path)
    assert str(path) in one_line(error)


def test_cut_short_while_it_is_read(path):
    save_file({"x": np.ones((3, 4))}, path)
    file = TensorFile(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="cannot read") as error:
        file.copy("x", np.empty((3, 4)))
    assert str(path) in one_line(error)


def test_missing(path):
    with pytest.raises(UserError, match="there is no file") as error:
        TensorFile(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4", ">i8"])
def test_big_endian_arrays_keep_their_numbers(tmp_path, dtype):
    a = np.arange(6, dtype=dtype).reshape(2, 3)
    with open(tmp_path / "a.safetensors", "wb") as file:
        write_arrays(file, {"a": a, "turned": a.T, "empty": a[:0]}, {})
    read = load_file(tmp_path / "a.safetensors")
    for name, expected in {"a": a, "turned": a.T, "empty": a[:0]}.items():
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].dtype == a.dtype.newbyteorder("=")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_tensor_is_cut_into_parts_of_its_rows(path, dtype):
    x = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(dtype)
    save_file({"before": np.zeros(5, np.uint8), "x": x, "z": np.ones(4)}, path)
    file = TensorFile(path)
    file.cut("x", {"first": 1, "none": 0, "rest": 5})
    assert set(file.shapes) == set(file.dtypes) == {"before", "first", "none", "rest", "z"}
    for name, part in (("first", x[:1]), ("none", x[:0]), ("rest", x[1:])):
        target = np.full(file.shapes[name], np.nan)
        file.copy(name, target)
        np.testing.assert_array_equal(target, part)
        assert file.equals(name, part)
    with pytest.raises(ValueError, match="expected parts of rest with 5 rows in all"):
        file.cut("rest", {"a": 2, "b": 2})
    assert "rest" in file.shapes
