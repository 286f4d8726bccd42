"""The settings of a Transformer-XL's training: a new run's, those in config.json, and those of a resumed one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad_gpt.models.transformer_xl import TransformerXLConfig, count_parameters
from tinygrad_gpt.settings import SettingError, advanced, check_settings
from tinygrad_gpt.tasks.streams import GROUP, StreamConfig
from tinygrad_gpt.train.shaped_settings import ShapedSettings, as_a_gpts

_SEES = "every position sees so many"


@dataclass(frozen=True)
class TransformerXLShape:
    """The settings of a Transformer-XL that are options of the command, those that a GPT has under its names."""

    n_layer: int = as_a_gpts("n_layer", TransformerXLConfig.n_layer)
    n_head: int = as_a_gpts("n_head", TransformerXLConfig.n_head)
    n_embd: int = as_a_gpts("n_embd", TransformerXLConfig.d_model)
    n_inner: int | None = as_a_gpts("n_inner", None)
    memory: int = advanced(
        TransformerXLConfig.mem_len, GROUP, "positions before a segment that each block remembers", low=0
    )
    clamp: int = advanced(
        TransformerXLConfig.clamp_len, GROUP, "distances beyond this one count as this one; -1: each as itself", low=-1
    )
    same_length: bool = advanced(
        TransformerXLConfig.same_length, GROUP, "whether every position sees as much: memory positions, itself included"
    )
    norm: str = as_a_gpts("norm", "post")
    dropout: float = as_a_gpts("dropout", TransformerXLConfig.dropout)
    attn_pdrop: float = as_a_gpts("attn_pdrop", TransformerXLConfig.dropatt)
    layer_norm_epsilon: float = as_a_gpts("layer_norm_epsilon", TransformerXLConfig.layer_norm_epsilon)
    initializer_range: float = advanced(
        TransformerXLConfig.init_std, GROUP, "standard deviation of the initial matrices", low=0
    )

    def __post_init__(self):
        check_settings(self)
        if not self.clamp:
            raise SettingError("clamp", "should be -1, or at least 1, not 0")

    def in_config(self) -> dict[str, Any]:
        """The fields of TransformerXLConfig that it decides."""
        return {
            "n_layer": self.n_layer,
            "n_head": self.n_head,
            "d_model": self.n_embd,
            "d_inner": self.n_inner,
            "mem_len": self.memory,
            "clamp_len": self.clamp,
            "same_length": self.same_length,
            "pre_lnorm": self.norm == "pre",
            "dropout": self.dropout,
            "dropatt": self.attn_pdrop,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "init_std": self.initializer_range,
        }

    @staticmethod
    def of(config: Mapping[str, Any]) -> "TransformerXLShape":
        """The shape of a Transformer-XL with these fields of TransformerXLConfig."""
        return TransformerXLShape(
            n_layer=config["n_layer"],
            n_head=config["n_head"],
            n_embd=config["d_model"],
            n_inner=config["d_inner"],
            memory=config["mem_len"],
            clamp=config["clamp_len"] or -1,  # 0 is transformers' other name for it
            same_length=config["same_length"],
            norm="pre" if config["pre_lnorm"] else "post",
            dropout=config["dropout"],
            attn_pdrop=config["dropatt"],
            layer_norm_epsilon=config["layer_norm_epsilon"],
            initializer_range=config["init_std"],
        )


@dataclass(frozen=True)
class StreamSettings(ShapedSettings):
    """All settings of a run, before any data is read."""

    name, config, count = "a Transformer-XL", TransformerXLConfig, staticmethod(count_parameters)
    shape, learns = TransformerXLShape, StreamConfig
    with_from = {  # noqa: RUF012
        "dropout": "dropout",
        "attn_pdrop": "dropatt",
        "memory": "mem_len",
        "clamp": "clamp_len",
        "same_length": "same_length",
    }

    def parameters(self, characters: int = 65) -> int:
        """The number of parameters; with a character tokenizer, for a text of that many different characters."""
        vocab_size = self.task.vocab if self.task.tokenizer in ("bpe", "gpt1") else characters
        return count_parameters(self.model_config(vocab_size))

    def check(self) -> None:
        """With the options' names for what the model would refuse under its own."""
        model = self.model
        c, heads = model["d_model"], model["n_head"]
        if model["d_head"] is None and c % heads:
            raise SettingError("n_embd", f"should be a multiple of n_head ({heads}), not {c}")
        if c % 2:
            raise SettingError("n_embd", f"should be even, not {c}: a sine and a cosine of each distance")
        if model["same_length"] and not model["mem_len"]:
            raise SettingError("memory", f"should be at least 1 with same_length: {_SEES}")
        if model["same_length"] and self.task.eval_memory == 0:
            raise SettingError("eval_memory", f"should be at least 1 with same_length: {_SEES}")
        self.model_config(vocab_size=1)
        super().check()
