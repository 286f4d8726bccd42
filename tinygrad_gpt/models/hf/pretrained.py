"""From a Hugging Face folder to a model, and back: what `from_pretrained` and `save_pretrained` do."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tinygrad_gpt.arguments import as_dtype, path, shown
from tinygrad_gpt.array import FLOATS, default_dtype
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.tensor_file import FLOAT_CODES, TensorFile
from tinygrad_gpt.models.gpt import GPT, GPTConfig, count_parameters
from tinygrad_gpt.models.hf.folder import MAX_SHARD_SIZE, open_weights, write_folder
from tinygrad_gpt.models.hf.hub import CONFIG, find_folder
from tinygrad_gpt.models.hf.layout import FAMILIES, full_name, is_mask
from tinygrad_gpt.nn import Module
from tinygrad_gpt.nn.block import is_plain
from tinygrad_gpt.random_stream import uninitialised

Model = TypeVar("Model", bound=GPT)

_LISTED = 5  # tensors that a message spells out
_NEARLY = 10_000_000  # so many parameters too many are still made quickly


@dataclass(frozen=True)
class PretrainedFolder:
    """A Hugging Face folder with a config.json that was read and checked. No weights have been read yet."""

    folder: Path
    written: dict[str, Any]  # what config.json says
    family: Any  # the class, GPT1 or GPT2
    config: GPTConfig  # the model's shape

    def load(self, model_class: type[Model] = GPT, dtype=None) -> Model:
        """The model with its weights, in evaluation mode; see load_pretrained."""
        if not issubclass(self.family, model_class) and not issubclass(model_class, self.family):
            raise UserError(f"{self.folder} holds a {self.family.__name__}, not a {model_class.__name__}")
        weights = open_weights(self.folder)
        made = model_class if issubclass(model_class, self.family) else self.family
        model = _empty(made, self.config, self.folder / CONFIG, weights)
        model.hf_config = self.written
        _load(model, self.folder, weights, default_dtype() if dtype is None else dtype)
        return model.eval()


def find_pretrained(path_or_hub_id, revision: str | None = None, ignore: tuple = ()) -> PretrainedFolder:
    """Find a checkpoint (see hub.find_folder), and read and check its config.json.

    Raises UserError, in one line, if nothing is found, and for a config.json that is damaged or not of a GPT.
    """
    folder = find_folder(path_or_hub_id, revision)
    where = folder / CONFIG
    written = read_json(where)
    family = FAMILIES.get(str(written.get("model_type")))
    if family is None:
        got = shown(written["model_type"]) if "model_type" in written else "missing"
        raise UserError(f"{where}: model_type should be {' or '.join(FAMILIES)}; it is {got}")
    return PretrainedFolder(folder, written, family, family.layout.config_from(written, where, ignore))


def load_pretrained(
    path_or_hub_id, model_class: type[Model] = GPT, *, dtype=None, revision: str | None = None, ignore: tuple = ()
) -> Model:
    """The model in a Hugging Face folder, in evaluation mode. It needs only some megabytes beside its own memory.

    path_or_hub_id, revision  see hub.find_folder
    model_class  GPT1, GPT2 or a subclass of one of them; GPT or CausalLM: whichever of them the folder holds
    dtype        float32 or float64, whatever the file has; None: the default dtype
    ignore       settings of config.json to pass over

    Raises UserError, in one line, for whatever is wrong with the folder.
    """
    dtype = None if dtype is None else as_dtype(dtype, "from_pretrained")
    if dtype is not None and dtype not in FLOATS:
        raise TypeError(f"from_pretrained: expected float32 or float64, got {dtype}")
    return find_pretrained(path_or_hub_id, revision, ignore).load(model_class, dtype)


def save_pretrained(model: GPT, folder, tokenizer=None, max_shard_size: int = MAX_SHARD_SIZE) -> None:
    """Write a folder from which transformers, or `load_pretrained`, makes a model that computes the same.

    model      any GPT: with norm="pre" it becomes a gpt2, with norm="post" an openai-gpt
    tokenizer  a Tokenizer of `tinygrad_gpt.data`, whose files are written too

    Settings that the model was loaded with and does not use are written back.

    Raises UserError for a model that transformers does not know, for a setting that its model does not have, and when
    the system refuses.
    """
    folder = path("save_pretrained", "folder", folder)
    _check_is_plain(model)
    layout = next(f.layout for f in FAMILIES.values() if f.layout.fixed["norm"] == model.config.norm)
    end = getattr(tokenizer, "end_of_text", None)
    # For a model that this package made. Without a value, transformers would take GPT-2's.
    original = getattr(model, "hf_config", {"bos_token_id": end, "eos_token_id": end})
    config = layout.written_from(model.config, original)
    config.pop("torch_dtype", None)  # what dtype was called once
    config["dtype"] = model.token_embedding.weight.dtype.name
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    write_folder(folder, config, layout.tensors_of(model), max_shard_size)


def _check_is_plain(model) -> None:
    """Raise UserError for anything but a GPT of this package's own parts."""
    who = type(model).__name__
    if not isinstance(model, GPT):
        raise UserError(f"{who} has no Hugging Face layout: transformers reads it only as a gpt2 or openai-gpt, a GPT")
    others = [type(part).__name__ for part in vars(model).values() if isinstance(part, Module) and not is_plain(part)]
    others += [type(block).__name__ for block in model.blocks if not is_plain(block)]
    if others or type(model).features is not GPT.features:
        what = f"a part of its own ({others[0]})" if others else "features of its own"
        raise UserError(
            f"{who} has no Hugging Face layout: it has {what}, and transformers would compute another model"
        )


def _empty(model_class: type[Model], config: GPTConfig, where: Path, weights: dict[str, TensorFile]) -> Model:
    """A model without weights. Raises UserError if config.json asks for one that is far too large."""
    if config.n_layer > len(weights):
        raise UserError(f"{where}: n_layer is {config.n_layer}, but the weights are {len(weights)} tensors in all")
    asked, there = count_parameters(config), sum(math.prod(file.shapes[tensor]) for tensor, file in weights.items())
    if asked > 2 * there + _NEARLY:  # do not even try; a small mistake passes, and `_check` lists it
        raise UserError(
            f"{where} asks for a model that is too large for the memory of this computer or for its weights: "
            f"{in_short(f'{asked:,}')} parameters, where the weights are {there:,} numbers"
        )
    with uninitialised():
        return model_class(config)


def _load(model: GPT, folder: Path, weights: dict[str, TensorFile], dtype: np.dtype) -> None:
    """Fill the model's parameters with the tensors of `weights`. Raises UserError if one is missing or does not fit."""
    layout = model.layout
    parameters = dict(model.named_parameters())
    wanted = {layout.name_of(name): layout.as_written(name, p.data).shape for name, p in parameters.items()}
    embedding, head = layout.name_of("token_embedding.weight"), layout.name_of("head.weight")
    may_have = wanted | {head: wanted[embedding]}
    found = {full_name(tensor): tensor for tensor in weights if not is_mask(tensor)}
    _check(folder, wanted, may_have, found, weights)
    for name, p in parameters.items():
        p.data = np.empty(p.shape, dtype)
        tensor = found[layout.name_of(name)]
        weights[tensor].copy(tensor, layout.as_written(name, p.data))
    if model.config.tied and head in found:
        tensor = found[head]
        if not weights[tensor].equals(tensor, model.token_embedding.weight.data):
            raise UserError(
                f"{folder / CONFIG}: tie_word_embeddings is true, but {tensor} differs from {found[embedding]} "
                f"in {weights[tensor].path.name}: set it to false"
            )


def _check(folder: Path, wanted: dict, may_have: dict, found: dict[str, str], weights: dict[str, TensorFile]) -> None:
    """Raise UserError that lists everything wrong with the tensors of a folder.

    wanted, may_have: name -> shape of the tensors that must be there, and of those that may; found: name -> file's name
    """
    kept = set(found.values())  # if a name comes twice, with and without the prefix, only one of the two
    unexpected = [t for t in weights if not is_mask(t) and (t not in kept or full_name(t) not in may_have)]
    known = [(t, weights[t].shapes[t], may_have[name]) for name, t in found.items() if name in may_have]
    codes = [(tensor, weights[tensor].dtypes[tensor]) for tensor, *_ in known]
    problems = {
        "missing": [name for name in wanted if name not in found],
        "unexpected": unexpected,
        "wrong shape": [f"{tensor} {shape}, not {right}" for tensor, shape, right in known if shape != right],
        "wrong dtype": [
            f"{t} {code}, not one of {', '.join(FLOAT_CODES)}" for t, code in codes if code not in FLOAT_CODES
        ],
    }
    said = [f"{kind}: {_some(tensors)}" for kind, tensors in problems.items() if tensors]
    if said:
        raise UserError(f"the tensors in {folder} don't fit {CONFIG}: {'; '.join(said)}")


def _some(names: list[str]) -> str:
    more = f" (and {len(names) - _LISTED} more)" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
