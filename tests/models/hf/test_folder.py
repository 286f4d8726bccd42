"""Folders of weights: one file or several, and one clear line for each way in which they can be broken."""

import errno
import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.checkpoints import GPT2_CONFIG, GPT2_SHAPES, gpt2_folder, random_tensors
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT2
from tinygrad_gpt.models.hf.folder import open_weights, write_folder

TENSORS = random_tensors(GPT2_SHAPES)
INDEX = "model.safetensors.index.json"


def refusal(folder) -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(UserError) as error:
        GPT2.from_pretrained(folder)
    message = str(error.value)
    assert "\n" not in message
    return message


def read(folder) -> dict[str, np.ndarray]:
    arrays = {}
    for name, file in open_weights(folder).items():
        arrays[name] = np.empty(file.shapes[name], np.float32)
        file.copy(name, arrays[name])
    return arrays


def test_a_config_of_brackets_without_end(tmp_path):
    folder = gpt2_folder(tmp_path)
    (folder / "config.json").write_text("[" * 200_000)
    assert f"{folder / 'config.json'} is damaged: brackets within brackets" in refusal(folder)


@pytest.fixture
def sharded(tmp_path):
    write_folder(tmp_path, GPT2_CONFIG, TENSORS, max_shard_size=800)
    return tmp_path


def edit_index(folder, change) -> None:
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


# --- what is written ------------------------------------------------------------------------------------------------


def test_one_file(tmp_path):
    write_folder(tmp_path, GPT2_CONFIG, TENSORS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == GPT2_CONFIG
    for name, array in read(tmp_path).items():
        np.testing.assert_array_equal(array, TENSORS[name])


def test_several_files_and_their_index(sharded):
    shards = sorted(sharded.glob("model-*.safetensors"))
    assert len(shards) > 2 and shards[0].name == f"model-00001-of-{len(shards):05d}.safetensors"
    assert not (sharded / "model.safetensors").exists()
    held = [load_file(shard) for shard in shards]
    assert all(sum(a.nbytes for a in arrays.values()) <= 800 for arrays in held)
    index = json.loads((sharded / INDEX).read_text(encoding="utf-8"))
    assert index["metadata"]["total_size"] == sum(a.nbytes for a in TENSORS.values())
    assert index["weight_map"] == {t: s.name for s, arrays in zip(shards, held, strict=True) for t in arrays}
    arrays = read(sharded)
    assert set(arrays) == set(TENSORS)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, TENSORS[name])


def test_a_tensor_larger_than_a_shard_has_one_to_itself(tmp_path):
    write_folder(tmp_path, GPT2_CONFIG, TENSORS, max_shard_size=1)
    assert len(list(tmp_path.glob("model-*.safetensors"))) == len(TENSORS)
    assert set(read(tmp_path)) == set(TENSORS)


def test_weights_of_another_form_go_when_new_ones_are_written(sharded):
    fewer = dict(list(TENSORS.items())[:3])
    write_folder(sharded, GPT2_CONFIG, fewer)
    assert sorted(p.name for p in sharded.iterdir()) == ["config.json", "model.safetensors"]
    write_folder(sharded, GPT2_CONFIG, fewer, max_shard_size=1)
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert sorted(p.name for p in sharded.iterdir()) == ["config.json", *names, INDEX]


def test_a_full_disk_leaves_the_old_weights(tmp_path, monkeypatch):
    gpt2_folder(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        write_folder(tmp_path, GPT2_CONFIG, TENSORS, max_shard_size=800)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# --- what is refused ------------------------------------------------------------------------------------------------


def test_cut_short(tmp_path):
    file = gpt2_folder(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    assert f"{file} is damaged, cut short" in refusal(tmp_path)


def test_a_header_that_lies(tmp_path):
    file = gpt2_folder(tmp_path) / "model.safetensors"
    content = file.read_bytes()
    lie = content.replace(b'"shape":[11,6]', b'"shape":[12,6]')
    assert lie != content
    file.write_bytes(lie)
    assert f"{file} is damaged" in refusal(tmp_path)


def test_a_shard_that_is_cut_short(sharded):
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-4])
    assert f"{shard} is damaged, cut short" in refusal(sharded)


def test_an_index_that_names_an_absent_shard(sharded):
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    shard.unlink()
    assert f"{sharded / INDEX} names {shard.name}, which is missing" in refusal(sharded)


def test_an_index_that_names_a_tensor_its_shard_lacks(sharded):
    edit_index(sharded, lambda weight_map: weight_map.update(extra="model-00001-of-00009.safetensors"))
    assert "names model-00001-of-00009.safetensors, which is missing" in refusal(sharded)
    shard = sorted(sharded.glob("model-*.safetensors"))[0].name
    edit_index(sharded, lambda weight_map: weight_map.update(extra=shard))
    assert f"says that extra is in {shard}, which does not have it" in refusal(sharded)


def test_an_index_that_names_the_wrong_one_of_two_shards(sharded):
    other = sorted(sharded.glob("model-*.safetensors"))[-1].name
    edit_index(sharded, lambda weight_map: weight_map.update({"transformer.wte.weight": other}))
    assert f"says that transformer.wte.weight is in {other}, which does not have it" in refusal(sharded)


def test_a_tensor_in_two_shards(sharded):
    first, second, *_ = sorted(sharded.glob("model-*.safetensors"))
    save_file(load_file(second) | {"transformer.wte.weight": TENSORS["transformer.wte.weight"]}, second)
    assert f"transformer.wte.weight is in {first} and again in {second}" in refusal(sharded)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "..", "..\\x.safetensors", "sub/x.safetensors", ""]
)
def test_an_index_that_leaves_the_folder(sharded, name):
    save_file(TENSORS, sharded.parent / "model.safetensors")
    edit_index(sharded, lambda weight_map: weight_map.update({"transformer.wte.weight": name}))
    assert f"names the file {name!r}, which is not in the same folder: refused" in refusal(sharded)


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"x": 1}}', "{", "\xff"])
def test_an_index_that_is_none(sharded, content):
    (sharded / INDEX).write_text(content, encoding="latin-1")
    assert str(sharded / INDEX) in refusal(sharded)


@pytest.mark.parametrize("content", ["", "{", "[]", '"gpt2"', "\xff"])
def test_a_config_that_is_none(tmp_path, content):
    config = gpt2_folder(tmp_path) / "config.json"
    config.write_text(content, encoding="latin-1")
    assert str(config) in refusal(tmp_path)
