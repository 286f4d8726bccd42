"""What trained models of all kinds have: a shape, a tokenizer, weights that can be loaded."""

import re
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_gpt.data import Tokenizer, WordPieceTokenizer, load_tokenizer
from tinygrad_gpt.data.download import sha256_of
from tinygrad_gpt.data.translation_vocabulary import check_is_the_models
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models import bert, transformer, transformer_xl, xlnet
from tinygrad_gpt.models.bert import BertForPreTraining
from tinygrad_gpt.models.gpt import GPT, count_parameters
from tinygrad_gpt.models.marian import MarianMTModel
from tinygrad_gpt.models.transformer import Transformer
from tinygrad_gpt.models.transformer_xl import TransformerXL
from tinygrad_gpt.models.xlnet_heads import XLNetLMHeadModel
from tinygrad_gpt.nn import Module
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.own_model import OwnModel
from tinygrad_gpt.train.places import absolute

WRITERS = ("gpt", "transformer-xl", "xlnet")  # kinds that write a text from left to right
# What is said of a model of a kind that the caller cannot use.
_NOT_FOR = {
    "gpt": "a GPT, which reads a text from left to right: this needs {needed}",
    "transformer-xl": "a Transformer-XL, which reads a text from left to right: this needs {needed}",
    "bert": "a BERT, which cannot write text: try `tinygrad-gpt predict {name} 'a text with a [MASK] in it'`",
    "xlnet": "an XLNet, which reads a text in any order: this needs {needed}",
    "transformer": "a translator: try `tinygrad-gpt translate {name} 'a sentence'`",
}
_COUNT_PARAMETERS = {
    "gpt": count_parameters,
    "transformer-xl": transformer_xl.count_parameters,
    "xlnet": partial(xlnet.count_parameters, head=True),
    "bert": bert.count_parameters,
    "transformer": transformer.count_parameters,
}
_READ_WITH = {
    "bert": (WordPieceTokenizer, "a BERT, which reads with a WordPieceTokenizer"),
    "xlnet": (XLNetTokenizer, "an XLNet, which reads with an XLNetTokenizer"),
}


def called(kind: str) -> str:
    """What a model of a kind is called: "a GPT"."""
    return re.split("[,:]", _NOT_FOR[kind])[0]


class TrainedModel(ABC):
    """A trained model that can be loaded.

    name       as the user wrote it
    kind       "gpt", "transformer-xl", "bert", "xlnet" or "transformer"
    config     the model's shape: a GPTConfig, a TransformerXLConfig, ...
    settings   of its training, as train/any_run.py has them; None for a model that another program trained
    train      those of the trainer; None for a model that another program trained
    hf_config  the content of its Hugging Face config.json; {} if it has none
    """

    name: str
    kind: str = "gpt"
    config: Any
    settings: Any = None
    train: TrainConfig | None = None
    hf_config: dict[str, Any]

    @property
    def own_model(self) -> OwnModel | None:
        """The file that defines the model; None for a GPT of this package."""
        return None

    @property
    def counted(self) -> int:
        """How many parameters a model of this shape has."""
        return _COUNT_PARAMETERS[self.kind](self.config)

    @property
    def parameters(self) -> int:
        """How many the model has."""
        return self.counted

    def encoder(self) -> Any:
        """A BertModel, with a pooler, or an XLNetModel: without heads, in evaluation mode. A pooler that the model
        lacks starts from random numbers, and a NewWeightsWarning says so. Raises UserError as `load` does, and for a
        GPT."""
        raise self.is_not("bert")

    def for_pretraining(self) -> Any:
        """A BERT with both heads of pre-training, or an XLNet with its one, in evaluation mode. Heads that the model
        lacks start from random numbers, and a NewWeightsWarning says so. Raises UserError as `encoder` does."""
        raise self.is_not("bert")

    def is_not(self, *kinds: str) -> UserError:
        """The error for a caller that can use models of these kinds only."""
        *most, last = dict.fromkeys(map(called, kinds))
        needed = f"{', '.join(most)} or {last}" if most else last
        if {"bert", "transformer"} & {*kinds}:  # it is not text that is to be written
            return UserError(f"{self.name} holds {called(self.kind)}, and this needs {needed}")
        what = _NOT_FOR[self.kind].format(name=command(Path(self.name)), needed=needed)
        return UserError(f"{self.name} holds {what}")

    def make(self, config: Any) -> Module:
        """A new model of this kind; of a BERT, with both heads of pre-training; a Marian's stays a Marian."""
        if self.kind == "bert":
            return BertForPreTraining(config)
        if self.kind == "transformer":
            return (MarianMTModel if self.hf_config else Transformer)(config)
        if self.kind == "transformer-xl":
            return TransformerXL(config)
        if self.kind == "xlnet":
            return XLNetLMHeadModel(config)
        return self.own_model.make(config) if self.own_model else GPT(config)

    @abstractmethod
    def load(self) -> Module:
        """The model with its weights, in evaluation mode. Raises UserError for files that are missing or damaged."""

    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """The model's own tokenizer. Raises UserError if it has none."""

    def tokenizer_at(self, path: str | None) -> Tokenizer:
        """The tokenizer saved at `path`; None: the model's own. Raises UserError if it does not fit the model."""
        if path is None:
            return self.tokenizer()
        tokenizer = load_tokenizer(path)
        self.check_fits(tokenizer)
        return tokenizer

    def check_fits(self, tokenizer: Tokenizer) -> None:
        """Raise UserError for a tokenizer with more tokens than the model, for a BERT's or an XLNet's of another kind,
        and for one that gives the tokens of a translator other ids, or has fewer of them."""
        if self.kind == "transformer":
            check_is_the_models(tokenizer, self.config)
        if self.kind in _READ_WITH:
            wanted, reads = _READ_WITH[self.kind]
            if not isinstance(tokenizer, wanted):
                raise UserError(
                    f"{self.name} holds {reads}, and the tokenizer is a {type(tokenizer).__name__}: give the "
                    "--tokenizer that it was trained with"
                )
        if tokenizer.vocab_size > self.config.vocab_size:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, but {self.name} only {self.config.vocab_size}: "
                "give the --tokenizer that it was trained with"
            )

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that hold the model's shape and weights."""

    @property
    def sha256(self) -> dict[str, str]:
        """The SHA-256 of each of these files, by name."""
        return {file.name: sha256_of(file) for file in self.files()}

    def record(self) -> dict[str, Any]:
        """What config.json of a run says about the model that it began with."""
        return {
            "name": self.name,
            "path": absolute(self.name) if user_path(self.name).is_dir() else None,
            "sha256": self.sha256,
            "hf_config": self.hf_config,
        }
