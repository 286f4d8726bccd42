"""From a Hugging Face folder to a model, and back: what `from_pretrained` and `save_pretrained` do."""

import inspect
import math
import re
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from tinygrad_gpt.arguments import as_dtype, path, shown
from tinygrad_gpt.array import FLOATS, default_dtype
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.tensor_file import TensorFile
from tinygrad_gpt.models.hf.fill import Weights, fill
from tinygrad_gpt.models.hf.folder import MAX_SHARD_SIZE, open_weights, write_folder
from tinygrad_gpt.models.hf.hub import CONFIG, GENERATION, find_folder
from tinygrad_gpt.models.hf.layout import Layout
from tinygrad_gpt.nn import Module
from tinygrad_gpt.random_stream import uninitialised

Model = TypeVar("Model", bound=Module)

FAMILIES: dict[str, Any] = {}  # config.json's model_type -> the class that reads it; subclasses register here

_NOW = {"torch_dtype": "dtype"}  # names that transformers has changed
_NEARLY = 10_000_000  # so many parameters too many are still made quickly


class NewWeightsWarning(UserWarning):
    """A model was loaded from files that lack a part of it: this part starts from random numbers."""


class LeftWeightsWarning(UserWarning):
    """A model was loaded without a head that its files have, since they do not say what the head is for."""


class PretrainedModel(Module):
    """A model that transformers knows too. Base of CausalLM, of all BERTs and of MarianMTModel.

    layout  how its files are laid out; config.json's model_type leads from a file to the class that has this layout
    """

    layout: Layout
    config: Any
    hf_config: dict[str, Any]  # config.json of the files that it was loaded from
    hf_generation: dict[str, Any] | None  # generation_config.json of these files; None if there is none

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        if "layout" in vars(cls):
            FAMILIES.setdefault(cls.layout.model_type, cls)

    @classmethod
    def from_pretrained(
        cls, path_or_hub_id, *, dtype=None, revision: str | None = None, ignore: tuple[str, ...] = (), **settings
    ) -> Self:
        """The model in a Hugging Face folder, in the cache, or on the hub, in evaluation mode.

        settings  in place of those in config.json, such as hidden_dropout_prob=0.0; and what the class takes besides,
                  such as num_labels=3

        The other arguments, and what is raised: see pretrained.load_pretrained.
        """
        return load_pretrained(path_or_hub_id, cls, dtype=dtype, revision=revision, ignore=ignore, **settings)

    def save_pretrained(self, folder, tokenizer=None, max_shard_size: int = MAX_SHARD_SIZE) -> None:
        """Write a folder for transformers; see pretrained.save_pretrained."""
        save_pretrained(self, folder, tokenizer, max_shard_size)

    @classmethod
    def class_in(cls, tensors: Collection[str], written: dict[str, Any]) -> type[Module]:
        """The class to make of a folder with these tensors, by full name, and this config.json."""
        return cls

    @classmethod
    def arguments_in(cls, written: dict[str, Any], where: Any) -> dict[str, Any]:
        """What __init__ takes besides the config, from a config.json; `where` is its path, for errors."""
        return {}

    def settings_to_write(self) -> dict[str, Any]:
        """What config.json should say besides the config; None for a setting that it should not have."""
        return {}


@dataclass(frozen=True)
class PretrainedFolder:
    """A Hugging Face folder with a config.json that was read and checked. No weights have been read yet."""

    folder: Path
    written: dict[str, Any]  # what config.json says
    family: Any  # the class that reads this model_type
    config: Any  # the model's shape
    ignore: tuple[str, ...] = ()  # settings of config.json, and tensors, to pass over

    @property
    def parameters(self) -> int:
        """How many its model has, at least: heads may add to them."""
        return self.family.layout.count_parameters(self.config)

    def model_class(self) -> Any:
        """The class of the whole model that it holds."""
        return self._class_in(open_weights(self.folder))

    def load(self, model_class: type[Model] = Module, dtype=None, **settings) -> Model:
        """The model with its weights, in evaluation mode; see load_pretrained."""
        layout, where = self.family.layout, self.folder / CONFIG
        weights = layout.cut(open_weights(self.folder))
        made = self._class_to_make(model_class, weights)
        arguments = {name: settings.pop(name) for name in _arguments(made) if name in settings}
        config = self.config
        if settings:
            _check_known(made, settings)
            config = layout.config_from(self.written | settings, where, self.ignore)
        arguments = made.arguments_in(self.written | arguments, where) | arguments
        weights = {name: file for name, file in weights.items() if name not in self.ignore}
        _check_size(layout, config, where, weights)
        with uninitialised():
            model = made(config, **arguments)
        model.hf_config = self.written
        generation = self.folder / GENERATION
        model.hf_generation = read_json(generation) if generation.is_file() else None
        new, left = fill(model, self.folder, weights, default_dtype() if dtype is None else dtype)
        # Warnings name the line that called from_pretrained, which called load_pretrained, which called this.
        if new:
            what = f"{self.folder} has no {_named(new)}: random numbers stand there in the {made.__name__}"
            warnings.warn(f"{what}, so train it before you use it", NewWeightsWarning, stacklevel=4)
        if made is not model_class and (left := [head for head in left if head in layout.task_heads]):
            got = shown(self.written.get("architectures"))
            what = f"{self.folder} has {_named(left)}, which the {made.__name__} made from it lacks"
            hint = f"its config.json should name one class that has it as architectures, not {got}"
            warnings.warn(f"{what}: {hint}; or load it by that class", LeftWeightsWarning, stacklevel=4)
        return model.eval()

    def _class_to_make(self, asked: Any, weights: Weights) -> Any:
        """`asked`, or what the weights hold if that is one of its kind. Raises UserError if it is not."""
        if issubclass(self.family, asked):  # a base of all, such as Module
            return self._class_in(weights)
        if not issubclass(asked, self.family):
            raise UserError(f"{self.folder} holds a {self.family.layout.name}, not a {asked.__name__}")
        return asked

    def _class_in(self, weights: Weights) -> Any:
        return self.family.class_in(self.family.layout.trained(weights, self.config).values(), self.written)


def find_pretrained(path_or_hub_id, revision: str | None = None, ignore: tuple = ()) -> PretrainedFolder:
    """Find a checkpoint (see hub.find_folder), and read and check its config.json.

    Raises UserError, in one line, if nothing is found, and for a config.json that is damaged or of an unknown model.
    """
    folder = find_folder(path_or_hub_id, revision)
    where = folder / CONFIG
    written = read_json(where)
    family = _family_of(folder, written)
    written["model_type"] = family.layout.model_type
    return PretrainedFolder(folder, written, family, family.layout.config_from(written, where, ignore), tuple(ignore))


def is_of_transformers(written: dict[str, Any]) -> bool:
    """Whether a config.json is one of transformers, and not of a run of this package, which has such settings too, but
    under `model`. Old ones have no model_type."""
    return "model_type" in written or ("vocab_size" in written and not {"model", "train"} & written.keys())


def _family_of(folder: Path, written: dict[str, Any]) -> Any:
    """The class that reads the model of a folder: config.json's model_type says which; in an old one without it, the
    architectures, or the names of the tensors. Raises UserError where none does."""
    if "model_type" in written:
        found = [family for name, family in FAMILIES.items() if name == written["model_type"]]
    elif isinstance(named := written.get("architectures"), list):
        given = {_without_head(str(name)) for name in named}
        found = [f for f in FAMILIES.values() if _without_head(f.layout.architecture or f.__name__) in given]
    elif is_of_transformers(written):
        tensors = open_weights(folder)
        found = [f for f in FAMILIES.values() if f.layout.embedding in map(f.layout.full_name, tensors)]
    else:
        found = []
    if len(found) == 1:
        return found[0]
    got = shown(written["model_type"]) if "model_type" in written else "missing"
    raise UserError(f"{folder / CONFIG}: model_type should be {_one_of(list(FAMILIES))}; it is {got}")


def _without_head(architecture: str) -> str:
    """BertForMaskedLM as Bert, GPT2LMHeadModel as GPT2."""
    return re.sub("(For[A-Z].*|LMHeadModel|MTModel|PreTrainedModel|Model)$", "", architecture)


def load_pretrained(
    path_or_hub_id,
    model_class: type[Model] = Module,
    *,
    dtype=None,
    revision: str | None = None,
    ignore: tuple = (),
    **settings,
) -> Model:
    """The model in a Hugging Face folder, in evaluation mode. It needs only some megabytes beside its own memory.

    path_or_hub_id, revision  see hub.find_folder
    model_class  GPT2, BertForMaskedLM, ... or a subclass of one; Module, or another base of them: what the folder holds
    dtype        float32 or float64, whatever the file has; None: the default dtype
    ignore       settings of config.json, and tensors, to pass over
    settings     in place of those in config.json, by its names; and what the class takes besides: num_labels=3

    A head that the class has and the folder lacks starts from random numbers, and a NewWeightsWarning says so. Heads
    that the class has not are left; a LeftWeightsWarning says so where the folder alone decides on the class.

    Raises UserError, in one line, for whatever is wrong with the folder; TypeError for an unknown setting.
    """
    dtype = None if dtype is None else as_dtype(dtype, "from_pretrained")
    if dtype is not None and dtype not in FLOATS:
        raise TypeError(f"from_pretrained: expected float32 or float64, got {dtype}")
    return find_pretrained(path_or_hub_id, revision, ignore).load(model_class, dtype, **settings)


def save_pretrained(model: Module, folder, tokenizer=None, max_shard_size: int = MAX_SHARD_SIZE) -> None:
    """Write a folder from which transformers, or `load_pretrained`, makes a model that computes the same.

    model      a BERT, with any head; a Transformer with norm="post", which becomes a marian; a TransformerXL, which
               becomes a transfo-xl; or any GPT: with norm="pre" it becomes a gpt2, with norm="post" an openai-gpt
    tokenizer  a Tokenizer of `tinygrad_gpt.data`, whose files are written too

    Settings that the model was loaded with and does not use are written back, those of transformers' `generate` too.

    Raises UserError for a model that transformers does not know, for a setting that its model does not have, and when
    the system refuses.
    """
    folder = path("save_pretrained", "folder", folder)
    layout, ours = _layout_of(model)
    end = getattr(tokenizer, "end_of_text", None)
    # For a model that this package made. Without a value, transformers would take GPT-2's.
    original = getattr(model, "hf_config", {"bos_token_id": end, "eos_token_id": end})
    config = layout.written_from(model.config, original)
    config["architectures"] = [layout.architecture or ours.__name__]
    if isinstance(model, PretrainedModel):
        more = model.settings_to_write()
        config = {name: value for name, value in (config | more).items() if value is not None or name not in more}
    config.pop("torch_dtype", None)  # what dtype was called once
    config["dtype"] = next(model.parameters()).dtype.name
    made_here = not hasattr(model, "hf_config")
    generation = layout.generation(model.config) if made_here else getattr(model, "hf_generation", None)
    tensors = layout.saved_tensors(model)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    write_folder(folder, config, tensors, max_shard_size, generation)


def _layout_of(model) -> tuple[Layout, type]:
    """(its layout, the class of this package that it is of). Raises UserError for a model with parts of its own."""
    who = type(model).__name__
    ours = next((c for c in type(model).__mro__ if _is_ours(c)), Module)
    # A GPT or Transformer without transformers' interface is written as one of the models that add it.
    families = [f.layout for f in FAMILIES.values() if issubclass(f, ours) and ours is not Module]
    if isinstance(model, PretrainedModel):
        layout = model.layout
    elif families:
        norm = getattr(model.config, "norm", None)
        fits = [layout for layout in families if layout.fixed.get("norm") == norm]
        layout = [*fits, *families][0]
    else:
        kinds = _one_of(list(FAMILIES))
        raise UserError(f"{who} has no Hugging Face layout: transformers reads only a model that is {kinds}")
    others = [type(part).__name__ for part in model.modules() if part is not model and not _is_ours(type(part))]
    what = [f"a part of its own ({other})" for other in others]
    for name in ("features", "read", "pooled", "encode", "decode", "logits"):
        if getattr(type(model), name, None) is not getattr(ours, name, None):
            what.append(f"{name} of its own")
    if what:
        raise UserError(
            f"{who} has no Hugging Face layout: it has {what[0]}, and transformers would compute another model"
        )
    return layout, ours


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith(("tinygrad_gpt.nn.", "tinygrad_gpt.models."))


def _arguments(model_class: type) -> list[str]:
    """What its __init__ takes, besides the config."""
    return list(inspect.signature(model_class).parameters)[1:]


def _check_known(model_class: Any, settings: dict[str, Any]) -> None:
    """Raise TypeError for a setting that from_pretrained was given and the class does not have."""
    known = [*_arguments(model_class), *model_class.layout.settings]
    for name in settings:
        if name not in known:
            who = f"{model_class.__name__}.from_pretrained"
            hint = f" (it is {_NOW[name]} now)" if name in _NOW else did_you_mean(name, known)
            raise TypeError(f"{who}: there is no setting {shown(name)}{hint}")


def _check_size(layout: Layout, config, where: Path, weights: dict[str, TensorFile]) -> None:
    """Raise UserError if config.json asks for a model that is far too large."""
    for depth in layout.depths:
        blocks = getattr(config, layout.settings[depth][0])
        if blocks > len(weights):
            raise UserError(f"{where}: {depth} is {blocks}, but the weights are {len(weights)} tensors in all")
    asked = layout.size(config)
    there = sum(math.prod(file.shapes[tensor]) for tensor, file in weights.items())
    if asked > 2 * there + _NEARLY:  # do not even try; a small mistake passes, and `fill` lists it
        raise UserError(
            f"{where} asks for a model that is too large for the memory of this computer or for its weights: "
            f"{in_short(f'{asked:,}')} numbers, where the weights are {there:,}"
        )


def _named(heads: Iterable[str]) -> str:
    return ", ".join(head.rstrip(".") for head in heads)


def _one_of(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
