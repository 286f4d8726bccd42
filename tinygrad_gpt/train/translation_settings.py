"""The settings of a translator's training: a new run's, those in config.json, and those of a resumed one."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.models.transformer import TransformerConfig, count_parameters
from tinygrad_gpt.settings import SettingError, advanced, check_settings, made_from, option_name
from tinygrad_gpt.tasks.translation import TranslationConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import check_not_given, kept_values

_GPT_FIELDS = {f.name: f for f in dataclasses.fields(GPTConfig)}
_TOKENS = ("vocab_size", "pad_token_id", "eos_token_id", "decoder_start_token_id")  # the tokenizer decides them
_FIELDS = {f.name: f.default for f in dataclasses.fields(TransformerConfig) if f.name not in _TOKENS}


def _as_a_gpts(name: str, default: Any) -> Any:
    """A field with a GPT's name, help and limits."""
    return dataclasses.field(default=default, metadata=_GPT_FIELDS[name].metadata)


@dataclass(frozen=True)
class TransformerShape:
    """The settings of a Transformer that are options of the command, under the names that a GPT's have."""

    block_size: int = _as_a_gpts("block_size", 128)
    n_layer: int = _as_a_gpts("n_layer", TransformerConfig.encoder_layers)
    decoder_layers: int | None = advanced(None, "Transformer", "blocks of the decoder; by default n_layer", low=1)
    n_head: int = _as_a_gpts("n_head", TransformerConfig.encoder_attention_heads)
    n_embd: int = _as_a_gpts("n_embd", TransformerConfig.d_model)
    n_inner: int | None = _as_a_gpts("n_inner", None)
    activation: str = _as_a_gpts("activation", TransformerConfig.activation_function)
    norm: str = _as_a_gpts("norm", TransformerConfig.norm)
    dropout: float = _as_a_gpts("dropout", TransformerConfig.dropout)
    attn_pdrop: float | None = _as_a_gpts("attn_pdrop", TransformerConfig.attention_dropout)

    def __post_init__(self):
        check_settings(self)
        if self.n_embd % self.n_head:
            raise SettingError("n_embd", f"should be a multiple of n_head ({self.n_head}), not {self.n_embd}")

    def in_config(self) -> dict[str, Any]:
        """The fields of TransformerConfig that it decides."""
        inner = 4 * self.n_embd if self.n_inner is None else self.n_inner
        return {
            "max_position_embeddings": self.block_size,
            "encoder_layers": self.n_layer,
            "decoder_layers": self.decoder_layers or self.n_layer,
            "encoder_attention_heads": self.n_head,
            "decoder_attention_heads": self.n_head,
            "d_model": self.n_embd,
            "encoder_ffn_dim": inner,
            "decoder_ffn_dim": inner,
            "activation_function": self.activation,
            "norm": self.norm,
            "dropout": self.dropout,
            "attention_dropout": self.dropout if self.attn_pdrop is None else self.attn_pdrop,
        }

    @staticmethod
    def of(config: Mapping[str, Any]) -> "TransformerShape":
        """The shape of a Transformer with these fields of TransformerConfig."""
        return TransformerShape(
            block_size=config["max_position_embeddings"],
            n_layer=config["encoder_layers"],
            decoder_layers=config["decoder_layers"],
            n_head=config["encoder_attention_heads"],
            n_embd=config["d_model"],
            n_inner=config["encoder_ffn_dim"],
            activation=config["activation_function"],
            norm=config["norm"],
            dropout=config["dropout"],
            attn_pdrop=config["attention_dropout"],
        )


_KINDS = (TransformerShape, TranslationConfig, TrainConfig)
SETTINGS = {f.name: f for kind in _KINDS for f in dataclasses.fields(kind) if f.name != "batch_size"}
# The shape's settings that may be given with --from: they change training, not the shape.
_DROPOUTS = ("dropout", "attn_pdrop")


@dataclass(frozen=True)
class TranslationSettings:
    """All settings of a run, before any data is read.

    model  TransformerConfig's fields without those that the tokenizer decides, or the model that from_ names
    """

    preset: str
    model: dict[str, Any]
    task: TranslationConfig
    train: TrainConfig

    def values(self) -> dict[str, Any]:
        """All settings, by their names on the command line."""
        shape = dataclasses.asdict(TransformerShape.of(self.model))
        return shape | dataclasses.asdict(self.task) | dataclasses.asdict(self.train)

    def parameters(self) -> int:
        """The number of parameters, if the tokenizer has as many tokens as it may learn."""
        return count_parameters(self.model_config(self.task.vocab))

    @property
    def window(self) -> int:
        """Tokens that the model reads at once in training."""
        return self.task.batch_tokens

    def model_config(self, vocab_size: int, **tokens: int) -> TransformerConfig:
        """The model's settings. `tokens`: the ids that the tokenizer decides. Raises UserError for values that do not
        go together."""
        shape: dict[str, Any] = self.model | tokens
        return TransformerConfig(vocab_size=vocab_size, **shape)


def resolve(
    preset: str, given: dict[str, Any] | None = None, source: TransformerConfig | None = None
) -> TranslationSettings:
    """The settings of a Transformer's preset, overridden by those given by name.

    source  the shape of the model that the setting from_ names

    Raises UserError for a setting that a Transformer does not have, and for values that are not allowed.
    """
    given = given or {}
    _check_names(given, preset)
    recipe = PRESETS[preset]
    values = recipe.train | given
    if source is None:
        model = _FIELDS | made_from(TransformerShape, (recipe.model or {}) | given).in_config()
    else:
        model, values = _model_from(source, given), recipe.train | {"tokenizer": "own"} | given
    train = made_from(TrainConfig, values | {"batch_size": 1})
    settings = TranslationSettings(preset, model, made_from(TranslationConfig, values), train)
    if settings.task.tokenizer == "own" and source is None:
        raise UserError("--tokenizer own is the tokenizer of the model that --from names: give --from")
    return settings


def _model_from(source: TransformerConfig, given: dict[str, Any]) -> dict[str, Any]:
    """TransformerConfig's fields: those of the source, with the dropouts that are given."""
    model = {name: getattr(source, name) for name in _FIELDS}
    shape = dataclasses.asdict(TransformerShape.of(model))
    check_not_given([name for name in shape if name not in _DROPOUTS], given, shape)
    decided = TransformerShape(**(shape | {name: given[name] for name in _DROPOUTS if name in given})).in_config()
    return model | {name: decided[name] for name in ("dropout", "attention_dropout")}


def settings_of(written: dict[str, Any], folder: Path) -> TranslationSettings:
    """The settings in a config.json. Settings that an older version did not have get their defaults.

    Raises UserError for a setting that this version does not know, and for values that are not allowed.
    """
    model, others = written["model"], written["task"] | written["train"]
    known = SETTINGS.keys() | {"name", "batch_size"}
    tokens = {*_TOKENS} - {"vocab_size"}  # which stands beside the model
    unknown = sorted((model.keys() - _FIELDS.keys() - tokens) | (others.keys() - known))
    if unknown:
        raise UserError(
            f"{folder} was made by another version of tinygrad-gpt (settings: {in_short(', '.join(unknown))})"
        )
    try:
        task, train = made_from(TranslationConfig, others), made_from(TrainConfig, others)
        settings = TranslationSettings(written["preset"], _FIELDS | model, task, train)
        settings.model_config(written["vocab_size"])
        TransformerShape.of(settings.model)
        return settings
    except UserError as error:
        raise UserError(f"{RunFolder(folder).config} is damaged: {error}") from None


def resumed_settings(saved: TranslationSettings, preset: str | None, given: dict[str, Any]) -> TranslationSettings:
    """The settings of a resumed run: the saved ones, overridden by given ones that cannot change the outcome, and by
    more steps, which extend it (extension.py).

    Raises UserError, naming the setting and both values, for a given one that would make it another run.
    """
    _check_names(given, saved.preset)
    values = kept_values(saved, preset, given, SETTINGS)
    return dataclasses.replace(saved, task=made_from(TranslationConfig, values), train=made_from(TrainConfig, values))


def _check_names(given: dict[str, Any], preset: str) -> None:
    for name in given:
        if name == "batch_size":
            raise UserError("the batches of a translator are counted in tokens: give --batch-tokens, not --batch-size")
        if name not in SETTINGS:
            raise UserError(
                f"{option_name(name)} is not a setting of a Transformer, as the preset {preset} makes one"
                f"{did_you_mean(name, SETTINGS)}: leave it out"
            )
