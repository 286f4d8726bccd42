"""How Hugging Face transformers stores a model: the settings in its config.json, the names and shapes of its tensors.

A Layout is a table for one of transformers' architectures, and this file reads and writes by such tables. gpt_layout.py
and bert_layout.py have what GPTs, and BERTs, share, marian_layout.py has the Transformer's, transfo_xl_layout.py that
of Transformer-XL; gpt1.py and gpt2.py hold what is left.

A parameter of ours lies in the file as one tensor, as one that is transposed, or as several, one below the other:

    Conv1D       transformers' GPTs keep the matrices of their blocks as OpenAI's TensorFlow code had them, for y = x W:
                 shape (C_in, C_out). Linear computes y = x Wᵀ from (C_out, C_in), as PyTorch's does.
    q, k and v   are three matrices (C, C) in a BERT. MultiHeadAttention has them as the rows of one, (3C, C).

In each case the file's tensors are views of our array, so both ways are a copy and nothing else.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.settings import SettingError

REQUIRED = object()  # stands for a default where config.json must have the setting

# transformers' names of activations, and ours; if several mean the same, the first is written.
ACTIVATIONS = {
    "gelu": "gelu",  # the exact one, by erf
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",  # with √(2/π) rounded to ten digits
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

# Settings that make a model compute something that this package does not, and the values that mean "not used", the one
# that transformers takes by default first. A layout's own table says otherwise where its architecture does.
_NOT_SUPPORTED = {
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
    "quantization_config": (None,),
}
# Settings of transformers, past and present, that change no logits, hidden states or attention weights, by subject.
_IGNORED = {
    "where the file comes from": "model_type architectures transformers_version _name_or_path _commit_hash",
    "the dtype of the file": "dtype torch_dtype use_bfloat16",
    "how it was or will be trained": "initializer_range finetuning_task gradient_checkpointing tf_legacy_loss",
    "the code that runs": """use_cache chunk_size_feed_forward torchscript attn_implementation _attn_implementation
        _attn_implementation_autoset""",
    "heads for other tasks": """id2label label2id num_labels _num_labels problem_type task_specific_params""",
    "pairs of an encoder and a decoder": "is_decoder tie_encoder_decoder cross_attention_hidden_size",
    "what a call returns if it does not say": """return_dict output_hidden_states output_attentions output_past
        output_scores return_dict_in_generate""",
    "the tokenizer": """tokenizer_class prefix bos_token_id eos_token_id pad_token_id sep_token_id
        decoder_start_token_id""",
    "how text is generated; `generate` has arguments for it": """max_length min_length do_sample
        early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p
        repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
        num_return_sequences forced_bos_token_id forced_eos_token_id remove_invalid_values
        exponential_decay_length_penalty suppress_tokens begin_suppress_tokens""",
}


@dataclass(frozen=True)
class Layout:
    """One of transformers' architectures.

    settings  config.json's name -> (field of config_class, the default of transformers or REQUIRED)
    modules   our module -> theirs, where N is the number of a block; several of theirs share our rows
    prefix    of the names of all tensors that are not `outside`; files of the bare model lack it
    heads     name beginnings of parts that a file may lack (they are drawn anew) or have in excess (they are left)
    """

    name: str  # as people call the architecture
    model_type: str  # as config.json names it
    config_class: Any  # our dataclass of settings
    count_parameters: Callable[[Any], int]  # config -> at least how many parameters such a model has
    settings: dict[str, tuple[str, Any]]
    depths: tuple[str, ...]  # config.json's names for the numbers of blocks
    activation: str | None  # config.json's name for the activation; None: there is but one
    activations: dict[str, str]  # its values -> ours; if several mean the same, the first is written
    modules: dict[str, str | tuple[str, ...]]
    prefix: str
    outside: tuple[str, ...]
    embedding: str  # the tensor of the token embedding, which another may share
    decoder: str  # that tensor
    optional: tuple[str, ...] = ()  # tensors that a file may lack: they stay as a new model has them
    heads: tuple[str, ...] = ()
    task_heads: tuple[str, ...] = ()  # those of `heads` that config.json has to name a class for
    fixed: dict[str, Any] = field(default_factory=dict)  # fields of config_class with one value in this architecture
    architecture: str | None = None  # transformers' class; None: it has the name of ours
    other_names: dict[str, str] = field(default_factory=dict)  # that config.json may use -> in `settings`
    not_supported: dict[str, tuple] = field(default_factory=dict)  # like _NOT_SUPPORTED
    ignored: str = ""  # like _IGNORED
    transposed: str = "(?!)"  # regular expression for the tensors that are; (?!) matches none
    untrained: str = "(?!)"  # for the tensors that nobody trained, which are not loaded

    # --- settings ---

    def config_from(self, written: dict[str, Any], where: Any, ignore: tuple[str, ...] = ()) -> Any:
        """The config_class for the settings `written` in a config.json; `where` is its path, for errors.

        Raises UserError that names the setting if one is missing, has an impossible or unsupported value, or is
        unknown: it may change what the model computes. Settings in `ignore` are skipped.
        """
        given = {name: value for name, value in written.items() if name not in ignore}
        for other, name in self.other_names.items():
            if other in given:
                given.setdefault(name, given.pop(other))
        for name, harmless in (_NOT_SUPPORTED | self.not_supported).items():
            if given.pop(name, harmless[0]) not in harmless:
                raise UserError(f"{where}: {name} is {shown(written[name])}, which is not supported")
        missing = [name for name, (_, default) in self.settings.items() if default is REQUIRED and name not in given]
        if missing:
            raise UserError(f"{where} lacks {', '.join(missing)}")
        ignored = {name for names in (*_IGNORED.values(), self.ignored) for name in names.split()}
        unknown = sorted(set(given) - set(self.settings) - ignored)
        if unknown:
            raise UserError(
                f"{where} has unknown settings, which may change what the model computes: "
                f"{in_short(', '.join(unknown))}; if they do not, Python can pass over them: "
                "from_pretrained(..., ignore=[...])"
            )
        values = {ours: given.get(name, default) for name, (ours, default) in self.settings.items()}
        if self.activation is not None:
            activation = self.settings[self.activation][0]
            theirs, known = values[activation], ", ".join(self.activations)
            if theirs not in list(self.activations):
                raise UserError(f"{where}: {self.activation} should be one of {known}, not {shown(theirs)}")
            values[activation] = self.activations[theirs]
        try:
            return self.config_class(**values, **self.fixed)
        except SettingError as error:
            name_of = {ours: name for name, (ours, _) in self.settings.items()}
            raise UserError(f"{where}: {name_of.get(error.setting, error.setting)} {error.problem}") from None

    def written_from(self, config: Any, original: dict[str, Any]) -> dict[str, Any]:
        """The settings to write to config.json: `original`, with which the model was loaded, updated from `config`.

        Raises UserError for a setting that this architecture of transformers does not have.
        """
        for name, value in self.fixed.items():
            ours = getattr(config, name)
            if ours != value:
                raise UserError(f"cannot be saved as {self.model_type}, which has {name} = {value!r}, not {ours!r}")
        written = {name: getattr(config, ours) for name, (ours, _) in self.settings.items()}
        if self.activation is not None:
            activation = written[self.activation]
            meant = [name for name, ours in self.activations.items() if ours == activation]
            if not meant:
                raise UserError(f"cannot be saved as {self.model_type}, which has no activation {activation}")
            before = original.get(self.activation)
            written[self.activation] = before if before in meant else meant[0]
        return original | written | {"model_type": self.model_type}

    def generation(self, config: Any) -> dict[str, Any] | None:
        """What generation_config.json should say of a model that was made here, so that transformers' `generate` writes
        what this package's does; None: nothing."""
        return None

    # --- tensors ---

    def draw(self, config: Any, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The first values of a matrix in one of the `heads`."""
        raise NotImplementedError(f"{self.name} has heads, and does not say how they begin")

    def tensors(self, parameter: str, array: np.ndarray) -> dict[str, np.ndarray]:
        """transformers' name -> view of `array`, for each tensor that holds a part of this parameter of ours:

        blocks.3.attention.qkv.bias, (3C,) -> bert.encoder.layer.3.attention.self.query.bias, (C,); key; value
        """
        module, _, kind = parameter.rpartition(".")
        number = next((part for part in module.split(".") if part.isdecimal()), "")
        theirs = self.modules.get(module.replace(f".{number}.", ".N."))
        if theirs is None:
            raise UserError(f"cannot be saved as {self.model_type}, which has no {module}")
        theirs = (theirs,) if isinstance(theirs, str) else theirs
        names = [f"{t.replace('.N.', f'.{number}.')}.{kind}" for t in theirs]
        parts = np.split(array, len(names))
        return {n: a.T if re.search(self.transposed, n) else a for n, a in zip(names, parts, strict=True)}

    def saved_tensors(self, model: Any) -> dict[str, np.ndarray]:
        """Every tensor that transformers would save of a model, by its name, as a view in its layout."""
        saved = {}
        for name, array in model.state_dict().items():
            saved |= self.tensors(name, array)
        return saved

    def full_name(self, tensor: str) -> str:
        """The name that a tensor in any file has in a file of the whole model."""
        return tensor if tensor.startswith((self.prefix, *self.outside)) else self.prefix + tensor

    def trained(self, tensors: Iterable[str], config: Any) -> dict[str, str]:
        """Name in the file -> full name, for the tensors of a file that a model may be made from."""
        full = {tensor: self.full_name(tensor) for tensor in tensors}
        return {tensor: name for tensor, name in full.items() if not re.fullmatch(self.untrained, name)}

    def cut(self, weights: Any) -> Any:
        """Name in the file -> TensorFile, for a folder that was just opened. Where a tensor in it is several parameters
        of ours, one below the other, the names of these parts stand in its place."""
        return weights

    def size(self, config: Any) -> int:
        """How many numbers a model keeps in memory, at least: its parameters, and tables that no file needs."""
        return self.count_parameters(config)

    def check_computed(self, config: Any, weights: Any) -> None:
        """Raise UserError for a tensor that this package computes for itself, and that is another in a file.

        weights  name in the file -> TensorFile
        """

    def copies(self, config: Any) -> dict[str, str]:
        """Full names of tensors that a file need not have -> those that they repeat."""
        return {self.decoder: self.embedding} if getattr(config, self.settings["tie_word_embeddings"][0]) else {}
