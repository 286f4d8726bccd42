"""The settings of a BERT's pre-training: a new run's, those in config.json, and those of a resumed one.

Where a BERT has what a GPT has, the setting has the GPT's name: --n-layer is num_hidden_layers.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_gpt.data.wordpiece_tokenizer import SHORTEST_PAIR
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.models.bert import BertConfig, count_parameters
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.settings import SettingError, made_from, option_name
from tinygrad_gpt.tasks.masked_lm import MaskedLMConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import kept_values

# A GPT's setting -> BertConfig's field.
NAMES = {
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_embd": "hidden_size",
    "n_inner": "intermediate_size",
    "block_size": "max_position_embeddings",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attn_pdrop": "attention_probs_dropout_prob",
    "layer_norm_epsilon": "layer_norm_eps",
    "tied": "tie_word_embeddings",
}
_GPT_FIELDS = {f.name: f for f in dataclasses.fields(GPTConfig)}
TASK_FIELDS = {f.name: f for f in dataclasses.fields(MaskedLMConfig)}
SETTINGS = {name: _GPT_FIELDS[name] for name in NAMES} | TASK_FIELDS
SETTINGS |= {f.name: f for f in dataclasses.fields(TrainConfig)}


@dataclass(frozen=True)
class PretrainingSettings:
    """All settings of a run, before any data is read.

    model  BertConfig's fields without vocab_size, which the tokenizer decides
    """

    preset: str
    model: dict[str, Any]
    task: MaskedLMConfig
    train: TrainConfig

    def values(self) -> dict[str, Any]:
        """All settings, by their names on the command line."""
        model = {name: self.model[field] for name, field in NAMES.items()}
        return model | dataclasses.asdict(self.task) | dataclasses.asdict(self.train)

    def parameters(self) -> int:
        """The number of parameters, if the tokenizer has as many tokens as it may learn."""
        return count_parameters(self.bert_config(self.task.vocab))

    @property
    def window(self) -> int:
        """Tokens of a pair with its special tokens."""
        return self.model["max_position_embeddings"]

    def bert_config(self, vocab_size: int) -> BertConfig:
        """The model's settings. Raises UserError for values that do not go together."""
        try:
            return BertConfig(vocab_size=vocab_size, **self.model)
        except SettingError as error:  # in the words of the command line
            problem = error.problem
            for name, field in NAMES.items():
                problem = problem.replace(field, name)
            raise SettingError({v: k for k, v in NAMES.items()}.get(error.setting, error.setting), problem) from None


def resolve(preset: str, given: dict[str, Any] | None = None) -> PretrainingSettings:
    """The settings of a BERT's preset, overridden by those given by name.

    Raises UserError for a setting that a BERT does not have, and for values that are not allowed.
    """
    given = given or {}
    _check_names(given, preset)
    recipe = PRESETS[preset]
    assert recipe.model is not None
    values = recipe.model | recipe.train | given
    if values.get("n_inner") is None and isinstance(values["n_embd"], int):
        values["n_inner"] = 4 * values["n_embd"]
    if values.get("attn_pdrop") is None:
        values["attn_pdrop"] = values["dropout"]
    model = {f.name: f.default for f in dataclasses.fields(BertConfig) if f.name != "vocab_size"}
    model |= {field: values[name] for name, field in NAMES.items() if name in values}
    model |= {name: value for name, value in recipe.model.items() if name in model}
    settings = PretrainingSettings(preset, model, made_from(MaskedLMConfig, values), made_from(TrainConfig, values))
    settings.bert_config(vocab_size=1)  # raises for a model that is not allowed
    _check_length(settings.window)
    return settings


def _check_length(window: int) -> None:
    if window < SHORTEST_PAIR:
        raise SettingError("block_size", f"should be at least {SHORTEST_PAIR} ([CLS] A [SEP] B [SEP]), not {window}")


def settings_of(written: dict[str, Any], folder: Path) -> PretrainingSettings:
    """The settings in a config.json. Settings that an older version did not have get their defaults.

    Raises UserError for a setting that this version does not know, and for values that are not allowed.
    """
    model, others = written["model"], written["task"] | written["train"]
    fields = [f.name for f in dataclasses.fields(BertConfig) if f.name != "vocab_size"]
    unknown = sorted((model.keys() - set(fields)) | (others.keys() - SETTINGS.keys() - {"name"}))
    if unknown:
        raise UserError(
            f"{folder} was made by another version of tinygrad-gpt (settings: {in_short(', '.join(unknown))})"
        )
    defaults = {f.name: f.default for f in dataclasses.fields(BertConfig) if f.name in fields}
    try:
        task, train = made_from(MaskedLMConfig, others), made_from(TrainConfig, others)
        settings = PretrainingSettings(written["preset"], defaults | model, task, train)
        settings.bert_config(written["vocab_size"])
        _check_length(settings.window)
        return settings
    except UserError as error:
        raise UserError(f"{RunFolder(folder).config} is damaged: {error}") from None


def resumed_settings(saved: PretrainingSettings, preset: str | None, given: dict[str, Any]) -> PretrainingSettings:
    """The settings of a resumed run: the saved ones, overridden by given ones that cannot change the outcome, and by
    more steps, which extend it (extension.py).

    Raises UserError, naming the setting and both values, for a given one that would make it another run.
    """
    _check_names(given, saved.preset)
    values = kept_values(saved, preset, given, SETTINGS)
    return dataclasses.replace(saved, task=made_from(MaskedLMConfig, values), train=made_from(TrainConfig, values))


def _check_names(given: dict[str, Any], preset: str) -> None:
    for name in given:
        if name not in SETTINGS:
            raise UserError(
                f"{option_name(name)} is not a setting of a BERT, as the preset {preset} makes one: leave it out "
                f"(its settings are {', '.join(SETTINGS)})"
            )
