"""How Hugging Face transformers stores a GPT: the settings in its config.json, the names and shapes of tensors.

gpt1.py and gpt2.py hold one Layout each, a table. This file reads and writes by these tables.

Conv1D. transformers' GPTs keep the matrices of their blocks as OpenAI's TensorFlow code had them, for y = x W: shape
(C_in, C_out). Linear computes y = x Wᵀ from (C_out, C_in), as PyTorch's does. So these matrices are transposed on the
way in and on the way out. Embeddings and the head have the same layout in both.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.settings import SettingError

# Of all tensors but the head's; files of the bare model, such as openai-community/gpt2, lack it.
PREFIX = "transformer."
REQUIRED = object()  # stands for a default where config.json must have the setting

# Modules of a block: our name -> transformers' name, in GPT-1 and GPT-2 alike. N is the number of the block.
BLOCK_MODULES = {
    "blocks.N.attention_norm": "transformer.h.N.ln_1",
    "blocks.N.attention.qkv": "transformer.h.N.attn.c_attn",
    "blocks.N.attention.out": "transformer.h.N.attn.c_proj",
    "blocks.N.feed_forward_norm": "transformer.h.N.ln_2",
    "blocks.N.feed_forward.up": "transformer.h.N.mlp.c_fc",
    "blocks.N.feed_forward.down": "transformer.h.N.mlp.c_proj",
}
_CONV1D = re.compile(r"\.(c_attn|c_proj|c_fc)\.weight$")
_WITHOUT_BIAS = ("token_embedding", "position_embedding", "head")
# The causal mask. Older versions of transformers saved it as if it were trained; it is not loaded.
_MASK = re.compile(r"transformer\.h\.\d+\.attn\.(bias|masked_bias)")

# Names that config.json may use for the same setting.
_OTHER_NAMES = {
    "hidden_size": "n_embd",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
    "max_position_embeddings": "n_positions",
}
# Settings that make a GPT compute something that this package does not, and the values that mean "not used".
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
    "whether half precision stops short of attention's softmax (GPT has no half precision)": "reorder_and_upcast_attn",
    "heads for other tasks": """summary_type summary_use_proj summary_activation summary_proj_to_labels
        summary_first_dropout id2label label2id num_labels _num_labels problem_type task_specific_params""",
    "pairs of an encoder and a decoder": "is_decoder tie_encoder_decoder cross_attention_hidden_size",
    "what a call returns if it does not say": """return_dict output_hidden_states output_attentions output_past
        output_scores return_dict_in_generate""",
    "the tokenizer": """tokenizer_class prefix n_special predict_special_tokens bos_token_id eos_token_id pad_token_id
        sep_token_id decoder_start_token_id""",
    "how text is generated; `generate` has arguments for it": """max_length min_length do_sample
        early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p
        repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
        num_return_sequences forced_bos_token_id forced_eos_token_id remove_invalid_values
        exponential_decay_length_penalty suppress_tokens begin_suppress_tokens""",
    "an old name of n_positions": "n_ctx",
}

FAMILIES: dict[str, Any] = {}  # model_type -> the class with that `layout`; CausalLM's subclasses register here


@dataclass(frozen=True)
class Layout:
    """One of transformers' architectures."""

    model_type: str  # as config.json names it
    architecture: str  # transformers' class
    settings: dict[str, tuple[str, Any]]  # config.json's name -> (GPTConfig's, default of transformers or REQUIRED)
    activation: str  # config.json's name for the activation
    activations: dict[str, str]  # its values -> ours; if several mean the same, the first is written
    fixed: dict[str, Any]  # fields of GPTConfig that have only one value in this architecture
    modules: dict[str, str]  # our modules -> theirs

    # --- settings ---

    def config_from(self, written: dict[str, Any], where: Any, ignore: tuple[str, ...] = ()) -> GPTConfig:
        """The GPTConfig for the settings `written` in a config.json; `where` is its path, for errors.

        Raises UserError that names the setting if one is missing, has an impossible or unsupported value, or is
        unknown: it may change what the model computes. Settings in `ignore` are skipped.
        """
        given = {_OTHER_NAMES.get(name, name): value for name, value in written.items() if name not in ignore}
        if "n_ctx" in given:  # an old name of n_positions
            given.setdefault("n_positions", given["n_ctx"])
        for name, harmless in _NOT_SUPPORTED.items():
            if given.pop(name, harmless[0]) not in harmless:
                raise UserError(f"{where}: {name} is {shown(written[name])}, which is not supported")
        missing = [name for name, (_, default) in self.settings.items() if default is REQUIRED and name not in given]
        if missing:
            raise UserError(f"{where} lacks {', '.join(missing)}")
        ignored = {name for names in _IGNORED.values() for name in names.split()}
        unknown = sorted(set(given) - set(self.settings) - ignored)
        if unknown:
            raise UserError(
                f"{where} has unknown settings, which may change what the model computes: "
                f"{in_short(', '.join(unknown))}; if they do not, name them in `ignore`"
            )
        values = {field: given.get(name, default) for name, (field, default) in self.settings.items()}
        theirs, known = values["activation"], ", ".join(self.activations)
        if theirs not in list(self.activations):
            raise UserError(f"{where}: {self.activation} should be one of {known}, not {shown(theirs)}")
        values["activation"] = self.activations[theirs]
        try:
            return GPTConfig(**values, **self.fixed)
        except SettingError as error:
            name_of = {field: name for name, (field, _) in self.settings.items()}
            raise UserError(f"{where}: {name_of.get(error.setting, error.setting)} {error.problem}") from None

    def written_from(self, config: GPTConfig, original: dict[str, Any]) -> dict[str, Any]:
        """The settings to write to config.json: `original`, with which the model was loaded, updated from `config`.

        Raises UserError for a setting that this architecture of transformers does not have.
        """
        config = replace(config, bias=True)  # where the model has no biases, zeros are written
        if config.n_inner == 4 * config.n_embd:
            config = replace(config, n_inner=None)
        for field, value in self.fixed.items():
            ours = getattr(config, field)
            if ours != value:
                raise UserError(f"cannot be saved as {self.model_type}, which has {field} = {value!r}, not {ours!r}")
        written = {name: getattr(config, field) for name, (field, _) in self.settings.items()}
        for name in ("embd_pdrop", "attn_pdrop"):
            written[name] = config.dropout if written[name] is None else written[name]
        meant = [name for name, ours in self.activations.items() if ours == config.activation]
        if not meant:
            raise UserError(f"cannot be saved as {self.model_type}, which has no activation {config.activation}")
        before = original.get(self.activation)
        written[self.activation] = before if before in meant else meant[0]
        return original | written | {"model_type": self.model_type, "architectures": [self.architecture]}

    # --- tensors ---

    def name_of(self, parameter: str) -> str:
        """transformers' name for a parameter: blocks.3.attention.out.bias -> transformer.h.3.attn.c_proj.bias"""
        module, _, kind = parameter.rpartition(".")
        number = next((part for part in module.split(".") if part.isdecimal()), "")
        theirs = self.modules[module.replace(f".{number}.", ".N.")]
        return f"{theirs.replace('N', number)}.{kind}"

    def as_written(self, parameter: str, array: np.ndarray) -> np.ndarray:
        """A view of one of our parameters' array in transformers' layout."""
        return array.T if _CONV1D.search(self.name_of(parameter)) else array

    def tensors_of(self, model: GPT) -> dict[str, np.ndarray]:
        """Every tensor that transformers would save, by its name, as a view in its layout."""
        arrays = model.state_dict()
        if not model.config.bias:  # zeros in their place compute the same
            for name, weight in list(arrays.items()):
                if not name.startswith(_WITHOUT_BIAS):
                    arrays[name.replace(".weight", ".bias")] = np.zeros(len(weight), weight.dtype)
        return {self.name_of(name): self.as_written(name, array) for name, array in arrays.items()}


def full_name(tensor: str) -> str:
    """The name that a tensor in any file has in a file of the whole model."""
    return tensor if tensor.startswith((PREFIX, "lm_head.")) else PREFIX + tensor


def is_mask(tensor: str) -> bool:
    """Whether a tensor of this name is only the causal mask, which nobody trained."""
    return bool(_MASK.fullmatch(full_name(tensor)))
