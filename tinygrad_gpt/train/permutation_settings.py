"""The settings of an XLNet's pre-training."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tinygrad_gpt.models.hf.layout import ACTIVATIONS
from tinygrad_gpt.models.xlnet import XLNetConfig, count_parameters
from tinygrad_gpt.settings import SettingError, advanced, check_settings
from tinygrad_gpt.tasks.permutation_lm import PermutationLMConfig
from tinygrad_gpt.train.shaped_settings import ShapedSettings, as_a_gpts


@dataclass(frozen=True)
class XLNetShape:
    """The settings of an XLNet that are options of the command, under the names that a GPT's have."""

    n_layer: int = as_a_gpts("n_layer", XLNetConfig.n_layer)
    n_head: int = as_a_gpts("n_head", XLNetConfig.n_head)
    n_embd: int = as_a_gpts("n_embd", XLNetConfig.d_model)
    n_inner: int | None = as_a_gpts("n_inner", None)
    activation: str = as_a_gpts("activation", XLNetConfig.ff_activation)
    dropout: float = as_a_gpts("dropout", XLNetConfig.dropout)
    layer_norm_epsilon: float = as_a_gpts("layer_norm_epsilon", XLNetConfig.layer_norm_eps)
    initializer_range: float = advanced(
        XLNetConfig.initializer_range, "XLNet", "standard deviation of the initial matrices", low=0
    )

    def __post_init__(self):
        check_settings(self)
        if self.n_embd % self.n_head:
            raise SettingError("n_embd", f"should be a multiple of n_head ({self.n_head}), not {self.n_embd}")
        if self.n_embd % 2:  # a sine and a cosine of each distance
            raise SettingError("n_embd", f"should be even, not {self.n_embd}")

    def in_config(self) -> dict[str, Any]:
        """The fields of XLNetConfig that it decides."""
        return {
            "n_layer": self.n_layer,
            "n_head": self.n_head,
            "d_model": self.n_embd,
            "d_inner": 4 * self.n_embd if self.n_inner is None else self.n_inner,
            "ff_activation": "gelu_new" if self.activation == "gelu_tanh" else self.activation,
            "dropout": self.dropout,
            "layer_norm_eps": self.layer_norm_epsilon,
            "initializer_range": self.initializer_range,
        }

    @staticmethod
    def of(config: Mapping[str, Any]) -> "XLNetShape":
        """The shape of an XLNet with these fields of XLNetConfig."""
        return XLNetShape(
            n_layer=config["n_layer"],
            n_head=config["n_head"],
            n_embd=config["d_model"],
            n_inner=config["d_inner"],
            activation=ACTIVATIONS[config["ff_activation"]],
            dropout=config["dropout"],
            layer_norm_epsilon=config["layer_norm_eps"],
            initializer_range=config["initializer_range"],
        )


@dataclass(frozen=True)
class PermutationSettings(ShapedSettings):
    """All settings of a run, before any data is read."""

    name, config, count = "an XLNet", XLNetConfig, staticmethod(partial(count_parameters, head=True))
    shape, learns = XLNetShape, PermutationLMConfig
    with_from = {"dropout": "dropout"}  # noqa: RUF012

    @property
    def window(self) -> int:
        """Tokens of a sequence."""
        return self.task.block_size

    def check(self) -> None:
        self.model_config(vocab_size=1)  # raises for a model that is not allowed
        super().check()
