"""The settings of a translator's training: a new run's, those in config.json, and those of a resumed one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.transformer import TransformerConfig, count_parameters
from tinygrad_gpt.settings import SettingError, advanced, check_settings
from tinygrad_gpt.tasks.translation import TranslationConfig
from tinygrad_gpt.train.shaped_settings import ShapedSettings, as_a_gpts


@dataclass(frozen=True)
class TransformerShape:
    """The settings of a Transformer that are options of the command, under the names that a GPT's have."""

    block_size: int = as_a_gpts("block_size", 128)
    n_layer: int = as_a_gpts("n_layer", TransformerConfig.encoder_layers)
    decoder_layers: int | None = advanced(None, "Transformer", "blocks of the decoder; by default n_layer", low=1)
    n_head: int = as_a_gpts("n_head", TransformerConfig.encoder_attention_heads)
    n_embd: int = as_a_gpts("n_embd", TransformerConfig.d_model)
    n_inner: int | None = as_a_gpts("n_inner", None)
    activation: str = as_a_gpts("activation", TransformerConfig.activation_function)
    norm: str = as_a_gpts("norm", TransformerConfig.norm)
    dropout: float = as_a_gpts("dropout", TransformerConfig.dropout)
    attn_pdrop: float | None = as_a_gpts("attn_pdrop", TransformerConfig.attention_dropout)

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


@dataclass(frozen=True)
class TranslationSettings(ShapedSettings):
    """All settings of a run, before any data is read."""

    name, config, count = "a Transformer", TransformerConfig, staticmethod(count_parameters)
    shape, learns = TransformerShape, TranslationConfig
    ids = ("vocab_size", "pad_token_id", "eos_token_id", "decoder_start_token_id")
    with_from = {"dropout": "dropout", "attn_pdrop": "attention_dropout"}  # noqa: RUF012
    not_given = ("batch_size",)

    @property
    def window(self) -> int:
        """Tokens that the model reads at once in training."""
        return self.task.batch_tokens

    def check(self) -> None:
        TransformerShape.of(self.model)
        super().check()

    @classmethod
    def check_names(cls, given: dict[str, Any], preset: str) -> None:
        if "batch_size" in given:
            raise UserError("the batches of a translator are counted in tokens: give --batch-tokens, not --batch-size")
        super().check_names(given, preset)
