"""A Hugging Face folder: config.json, and the weights in one safetensors file or in several with an index.

config.json                       settings
generation_config.json            those of transformers' `generate`; most folders have it
model.safetensors                 all tensors, or:
model-00001-of-00003.safetensors  ... some of them, and
model.safetensors.index.json      {"weight_map": {tensor: file}}
"""

from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import read_json, write_json
from tinygrad_gpt.files.storage import replacing
from tinygrad_gpt.files.tensor_file import TensorFile, write_arrays
from tinygrad_gpt.models.hf.hub import CONFIG, GENERATION, INDEX, WEIGHTS

MAX_SHARD_SIZE = 5_000_000_000  # bytes
_LARGEST_INDEX = 32 << 20  # bytes


def open_weights(folder: Path) -> dict[str, TensorFile]:
    """Name -> file for each tensor. Raises UserError for a missing or damaged file, and an index that does not fit."""
    if (folder / WEIGHTS).exists():
        file = TensorFile(folder / WEIGHTS)
        return dict.fromkeys(file.shapes, file)
    index = folder / INDEX
    file_name_of = read_json(index, {"weight_map": {...: str}}, most=_LARGEST_INDEX)["weight_map"]
    weights: dict[str, TensorFile] = {}
    for file_name in sorted(set(file_name_of.values())):
        if file_name in ("", ".", "..") or {"/", "\\"} & set(file_name):
            raise UserError(f"{index} names the file {shown(file_name)}, which is not in the same folder: refused")
        if not (folder / file_name).is_file():
            raise UserError(f"{index} names {file_name}, which is missing")
        shard = TensorFile(folder / file_name)
        for tensor in shard.shapes:
            if tensor in weights:
                raise UserError(f"the tensor {tensor} is in {weights[tensor].path} and again in {shard.path}")
            weights[tensor] = shard
    for tensor, file_name in file_name_of.items():
        if tensor not in weights or weights[tensor].path.name != file_name:
            raise UserError(f"{index} says that {tensor} is in {file_name}, which does not have it")
    return weights


def write_folder(
    folder: Path,
    config: dict[str, Any],
    tensors: dict[str, np.ndarray],
    max_shard_size: int = MAX_SHARD_SIZE,
    generation: dict[str, Any] | None = None,
) -> None:
    """Write `tensors`, then config.json, each file atomically, and remove files of an earlier model.

    max_shard_size  bytes of tensors in one file; a larger tensor gets a file of its own
    generation      what generation_config.json says; None: there is no such file

    Raises UserError when the system refuses.
    """
    shards = _cut(tensors, max_shard_size)
    n = len(shards)
    names = [WEIGHTS] if n == 1 else [f"model-{i:05d}-of-{n:05d}.safetensors" for i in range(1, n + 1)]
    earlier = {folder / WEIGHTS, folder / INDEX, folder / GENERATION, *folder.glob("model-*-of-*.safetensors")}
    for name, shard in zip(names, shards, strict=True):
        with replacing(folder / name) as file:
            write_arrays(file, shard, {"format": "pt"})  # transformers requires it: PyTorch's layout of tensors
    if n > 1:
        total = sum(array.nbytes for array in tensors.values())
        file_name_of = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": file_name_of}, sort_keys=True)
        names.append(INDEX)
    if generation is not None:
        write_json(folder / GENERATION, generation, sort_keys=True)
        names.append(GENERATION)
    for file in earlier - {folder / name for name in names}:
        file.unlink(missing_ok=True)
    write_json(folder / CONFIG, config, sort_keys=True)


def _cut(tensors: dict[str, np.ndarray], max_shard_size: int) -> list[dict[str, np.ndarray]]:
    shards: list[dict[str, np.ndarray]] = [{}]
    size = 0
    for name, array in tensors.items():
        if shards[-1] and size + array.nbytes > max_shard_size:
            shards.append({})
            size = 0
        shards[-1][name] = array
        size += array.nbytes
    return shards
