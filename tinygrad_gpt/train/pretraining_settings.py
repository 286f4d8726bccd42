"""The settings of a BERT's pre-training: a new run's, those in config.json, and those of a resumed one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad_gpt.data.wordpiece_tokenizer import SHORTEST_PAIR
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.bert import BertConfig, count_parameters
from tinygrad_gpt.settings import SettingError, advanced, check_settings
from tinygrad_gpt.tasks.masked_lm import MaskedLMConfig
from tinygrad_gpt.train.shaped_settings import ShapedSettings, as_a_gpts

_ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "swish": "silu"}


@dataclass(frozen=True)
class BertShape:
    """The settings of a BERT that are options of the command, under the names that a GPT's have."""

    block_size: int = as_a_gpts("block_size", BertConfig.max_position_embeddings)
    n_layer: int = as_a_gpts("n_layer", BertConfig.num_hidden_layers)
    n_head: int = as_a_gpts("n_head", BertConfig.num_attention_heads)
    n_embd: int = as_a_gpts("n_embd", BertConfig.hidden_size)
    n_inner: int | None = as_a_gpts("n_inner", None)
    activation: str = as_a_gpts("activation", BertConfig.hidden_act)
    dropout: float = as_a_gpts("dropout", BertConfig.hidden_dropout_prob)
    attn_pdrop: float | None = as_a_gpts("attn_pdrop", None)
    layer_norm_epsilon: float = as_a_gpts("layer_norm_epsilon", BertConfig.layer_norm_eps)
    tied: bool = as_a_gpts("tied", BertConfig.tie_word_embeddings)
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


@dataclass(frozen=True)
class PretrainingSettings(ShapedSettings):
    """All settings of a run, before any data is read."""

    name, config, count = "a BERT", BertConfig, staticmethod(count_parameters)
    shape, learns = BertShape, MaskedLMConfig
    with_from = {"dropout": "hidden_dropout_prob", "attn_pdrop": "attention_probs_dropout_prob"}  # noqa: RUF012

    @property
    def window(self) -> int:
        """Tokens of a pair with its special tokens."""
        return self.task.window or self.model["max_position_embeddings"]

    @classmethod
    def follows_source(cls, shape, source):
        return {"tokenizer": "own", "window": min(shape["block_size"], source.max_position_embeddings)}

    def check(self) -> None:
        self.model_config(vocab_size=1 + (self.model["pad_token_id"] or 0))  # raises for a model that is not allowed
        length, positions = self.window, self.model["max_position_embeddings"]
        if length > positions:
            raise UserError(
                f"a window of {length} tokens is more than the {positions} positions of the model: take a smaller one"
            )
        if length < SHORTEST_PAIR:
            name = "window" if self.task.window else "block_size"
            raise SettingError(name, f"should be at least {SHORTEST_PAIR} ([CLS] A [SEP] B [SEP]), not {length}")
        if self.model["type_vocab_size"] < 2:
            raise UserError(
                f"the BERT {self.task.from_} knows one segment, and pre-training reads pairs: take one that knows two"
            )
        super().check()
