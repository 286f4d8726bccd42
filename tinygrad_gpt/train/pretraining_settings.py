"""The settings of a BERT's pre-training: a new run's, those in config.json, and those of a resumed one."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_gpt.data.wordpiece_tokenizer import SHORTEST_PAIR
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.models.bert import BertConfig, count_parameters
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.settings import SettingError, advanced, check_settings, made_from, option_name
from tinygrad_gpt.tasks.masked_lm import MaskedLMConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import check_not_given, kept_values, window_for_block_size

_GPT_FIELDS = {f.name: f for f in dataclasses.fields(GPTConfig)}
_FIELDS = {f.name: f.default for f in dataclasses.fields(BertConfig) if f.name != "vocab_size"}
_ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "swish": "silu"}


def _as_a_gpts(name: str, default: Any) -> Any:
    """A field with a GPT's name, help and limits."""
    return dataclasses.field(default=default, metadata=_GPT_FIELDS[name].metadata)


@dataclass(frozen=True)
class BertShape:
    """The settings of a BERT that are options of the command, under the names that a GPT's have."""

    block_size: int = _as_a_gpts("block_size", BertConfig.max_position_embeddings)
    n_layer: int = _as_a_gpts("n_layer", BertConfig.num_hidden_layers)
    n_head: int = _as_a_gpts("n_head", BertConfig.num_attention_heads)
    n_embd: int = _as_a_gpts("n_embd", BertConfig.hidden_size)
    n_inner: int | None = _as_a_gpts("n_inner", None)
    activation: str = _as_a_gpts("activation", BertConfig.hidden_act)
    dropout: float = _as_a_gpts("dropout", BertConfig.hidden_dropout_prob)
    attn_pdrop: float | None = _as_a_gpts("attn_pdrop", None)
    layer_norm_epsilon: float = _as_a_gpts("layer_norm_epsilon", BertConfig.layer_norm_eps)
    tied: bool = _as_a_gpts("tied", BertConfig.tie_word_embeddings)
    initializer_range: float = advanced(
        BertConfig.initializer_range, "BERT", "standard deviation of the initial matrices", low=0
    )

    def __post_init__(self):
        check_settings(self)
        if self.n_embd % self.n_head:
            raise SettingError("n_embd", f"should be a multiple of n_head ({self.n_head}), not {self.n_embd}")

    def in_config(self) -> dict[str, Any]:
        """The fields of BertConfig that it decides."""
        return {
            "max_position_embeddings": self.block_size,
            "num_hidden_layers": self.n_layer,
            "num_attention_heads": self.n_head,
            "hidden_size": self.n_embd,
            "intermediate_size": 4 * self.n_embd if self.n_inner is None else self.n_inner,
            "hidden_act": "gelu_pytorch_tanh" if self.activation == "gelu_tanh" else self.activation,
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout if self.attn_pdrop is None else self.attn_pdrop,
            "layer_norm_eps": self.layer_norm_epsilon,
            "tie_word_embeddings": self.tied,
            "initializer_range": self.initializer_range,
        }

    @staticmethod
    def of(config: Mapping[str, Any]) -> "BertShape":
        """The shape of a BERT with these fields of BertConfig."""
        return BertShape(
            block_size=config["max_position_embeddings"],
            n_layer=config["num_hidden_layers"],
            n_head=config["num_attention_heads"],
            n_embd=config["hidden_size"],
            n_inner=config["intermediate_size"],
            activation=_ACTIVATIONS.get(str(config["hidden_act"])) or config["hidden_act"],
            dropout=config["hidden_dropout_prob"],
            attn_pdrop=config["attention_probs_dropout_prob"],
            layer_norm_epsilon=config["layer_norm_eps"],
            tied=config["tie_word_embeddings"],
            initializer_range=config["initializer_range"],
        )


SETTINGS = {f.name: f for kind in (BertShape, MaskedLMConfig, TrainConfig) for f in dataclasses.fields(kind)}
# The shape's settings that may be given with --from: they change training, not the shape.
_DROPOUTS = ("dropout", "attn_pdrop")


@dataclass(frozen=True)
class PretrainingSettings:
    """All settings of a run, before any data is read.

    model  BertConfig's fields without vocab_size, which the tokenizer decides, or the model that from_ names
    """

    preset: str
    model: dict[str, Any]
    task: MaskedLMConfig
    train: TrainConfig

    def values(self) -> dict[str, Any]:
        """All settings, by their names on the command line."""
        shape = dataclasses.asdict(BertShape.of(self.model))
        return shape | dataclasses.asdict(self.task) | dataclasses.asdict(self.train)

    def parameters(self) -> int:
        """The number of parameters, if the tokenizer has as many tokens as it may learn."""
        return count_parameters(self.model_config(self.task.vocab))

    @property
    def window(self) -> int:
        """Tokens of a pair with its special tokens."""
        return self.task.window or self.model["max_position_embeddings"]

    def model_config(self, vocab_size: int) -> BertConfig:
        """The model's settings. Raises UserError for values that do not go together."""
        return BertConfig(vocab_size=vocab_size, **self.model)


def resolve(preset: str, given: dict[str, Any] | None = None, source: BertConfig | None = None) -> PretrainingSettings:
    """The settings of a BERT's preset, overridden by those given by name.

    source  the shape of the model that the setting from_ names

    Raises UserError for a setting that a BERT does not have, and for values that are not allowed.
    """
    given = given or {}
    _check_names(given, preset)
    recipe = PRESETS[preset]
    shape, train = recipe.model or {}, recipe.train
    if source is None:
        model = _FIELDS | made_from(BertShape, shape | given).in_config()
    else:
        given = window_for_block_size(given)
        model = _model_from(source, given)
        train = train | {"tokenizer": "own", "window": min(shape["block_size"], source.max_position_embeddings)}
    values = train | given
    settings = PretrainingSettings(preset, model, made_from(MaskedLMConfig, values), made_from(TrainConfig, values))
    settings.model_config(vocab_size=1 + (model["pad_token_id"] or 0))  # raises for a model that is not allowed
    _check_together(settings)
    return settings


def _model_from(source: BertConfig, given: dict[str, Any]) -> dict[str, Any]:
    """BertConfig's fields: those of the source, with the dropouts that are given."""
    model = {name: getattr(source, name) for name in _FIELDS}
    shape = dataclasses.asdict(BertShape.of(model))
    check_not_given([name for name in shape if name not in _DROPOUTS], given, shape)
    dropouts: dict[str, Any] = {name: given[name] for name in _DROPOUTS if name in given}
    if "dropout" in given:
        dropouts = {"attn_pdrop": None} | dropouts
    decided = BertShape(**(shape | dropouts)).in_config()
    return model | {name: decided[name] for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")}


def _check_together(settings: PretrainingSettings) -> None:
    """Raise UserError for settings that contradict each other."""
    length, positions = settings.window, settings.model["max_position_embeddings"]
    if length > positions:
        raise UserError(
            f"a window of {length} tokens is more than the {positions} positions of the model: take a smaller one"
        )
    if length < SHORTEST_PAIR:
        name = "window" if settings.task.window else "block_size"
        raise SettingError(name, f"should be at least {SHORTEST_PAIR} ([CLS] A [SEP] B [SEP]), not {length}")
    if settings.model["type_vocab_size"] < 2:
        raise UserError(
            f"the BERT {settings.task.from_} knows one segment, and pre-training reads pairs: take one that knows two"
        )
    if settings.task.tokenizer == "own" and not settings.task.from_:
        raise UserError("--tokenizer own is the tokenizer of the model that --from names: give --from")


def settings_of(written: dict[str, Any], folder: Path) -> PretrainingSettings:
    """The settings in a config.json. Settings that an older version did not have get their defaults.

    Raises UserError for a setting that this version does not know, and for values that are not allowed.
    """
    model, others = written["model"], written["task"] | written["train"]
    unknown = sorted((model.keys() - _FIELDS.keys()) | (others.keys() - SETTINGS.keys() - {"name"}))
    if unknown:
        raise UserError(
            f"{folder} was made by another version of tinygrad-gpt (settings: {in_short(', '.join(unknown))})"
        )
    try:
        task, train = made_from(MaskedLMConfig, others), made_from(TrainConfig, others)
        settings = PretrainingSettings(written["preset"], _FIELDS | model, task, train)
        settings.model_config(written["vocab_size"])
        _check_together(settings)
        return settings
    except UserError as error:
        raise UserError(f"{RunFolder(folder).config} is damaged: {error}") from None


def resumed_settings(saved: PretrainingSettings, preset: str | None, given: dict[str, Any]) -> PretrainingSettings:
    """The settings of a resumed run: the saved ones, overridden by given ones that cannot change the outcome, and by
    more steps, which extend it (extension.py).

    Raises UserError, naming the setting and both values, for a given one that would make it another run.
    """
    _check_names(given, saved.preset)
    if saved.task.from_:
        given = window_for_block_size(given)
    values = kept_values(saved, preset, given, SETTINGS)
    return dataclasses.replace(saved, task=made_from(MaskedLMConfig, values), train=made_from(TrainConfig, values))


def _check_names(given: dict[str, Any], preset: str) -> None:
    for name in given:
        if name not in SETTINGS:
            raise UserError(
                f"{option_name(name)} is not a setting of a BERT, as the preset {preset} makes one"
                f"{did_you_mean(name, SETTINGS)}: leave it out"
            )
