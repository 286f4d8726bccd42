"""Checkpoints: what is saved comes back, what is damaged is noticed, and the last good one survives."""

import errno
import os
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.train.checkpoint import load_checkpoint, save_checkpoint

STATE = {"step": 7, "random_state": {"seed": 1, "drawn": 3}, "losses": [2.5, 0.1]}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "model.weight": rng.normal(size=(3, 5)).astype(np.float32),
        "model.strided": rng.normal(size=(4, 6)).T[::2],
        "model.scalar": np.array(0.5),
        "model.empty": np.zeros((0, 3), np.float32),
        "optimizer.steps": np.arange(4),
    }


@pytest.fixture
def path(tmp_path, arrays):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, arrays, STATE)
    return path


def test_what_is_saved_comes_back(path, arrays):
    loaded, state = load_checkpoint(path)
    assert state == STATE
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_other_readers_of_safetensors_read_it(path, arrays):
    loaded = load_file(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_only_what_is_wanted(path):
    loaded, _ = load_checkpoint(path, lambda name: name.startswith("optimizer."))
    assert list(loaded) == ["optimizer.steps"]


def test_what_is_not_wanted_is_not_kept_in_memory(tmp_path):
    path, size = tmp_path / "checkpoint.safetensors", 1 << 20
    arrays = {f"optimizer.{i}": np.zeros(size, np.uint8) for i in range(16)}
    save_checkpoint(path, arrays | {"model.weight": np.ones(size, np.uint8)}, STATE)
    load_checkpoint(path)  # imports what it needs
    tracemalloc.start()
    try:
        loaded, _ = load_checkpoint(path, lambda name: name.startswith("model."))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(loaded) == ["model.weight"] and (loaded["model.weight"] == 1).all()
    assert size <= peak < 4 * size


@pytest.mark.parametrize("length", [0, 3, 8, 100, -1])
def test_cut_short(path, length):
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    with pytest.raises(UserError, match="cannot be read: it is damaged or cut short") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_one_changed_bit_anywhere_in_the_arrays_is_noticed(path):
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in (start, (start + len(whole)) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match="damaged: its contents don't match their checksum") as caught:
            load_checkpoint(path)
        assert str(path) in str(caught.value)


def test_a_changed_header_is_an_error_in_words(path):
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    for place in range(8, 8 + size, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            load_checkpoint(path)
        except UserError as error:
            assert str(path) in str(error)  # no error: a change to a number in the state, say, leaves a good file


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 64, b"\xff" * 64])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


def test_safetensors_of_somebody_else(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(UserError, match="not a checkpoint of tinygrad-gpt"):
        load_checkpoint(path)


def test_missing(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.safetensors")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_last_good_one(path, arrays, monkeypatch, call):
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(UserError, match="No space left on device") as caught:
        save_checkpoint(path, {"model.weight": np.ones(9)}, {"step": 8})
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path], "an unfinished file was left"


def test_weights_that_are_not_finite_are_not_saved(path):
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"model\.b has values that are not finite"):
        save_checkpoint(path, {"model.a": np.ones(3), "model.b": np.array([1.0, np.inf])}, {"step": 8})
    assert path.read_bytes() == before
