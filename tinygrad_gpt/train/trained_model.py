"""Trained models by place: a run folder of ours, a Hugging Face folder, or a name on the Hugging Face hub.

source = find_model("runs/shakespeare-1")     # or "../gpt2", or "openai-community/gpt2"
source.config                                  # the model's shape; the weights are not read yet
model, tokenizer = source.load(), source.tokenizer()

find_model("../bert", kinds=("bert",)).encoder()   # for who can use a BERT, and no GPT
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from tinygrad_gpt import devices, random_stream
from tinygrad_gpt.data import Corpus, Tokenizer, WordPieceTokenizer, load_tokenizer, open_corpus
from tinygrad_gpt.data.documents import Documents, open_documents
from tinygrad_gpt.data.download import sha256_of
from tinygrad_gpt.data.parallel import Parallel, is_parallel, open_parallel
from tinygrad_gpt.data.tokenizers import FILE_NAME
from tinygrad_gpt.data.translation_vocabulary import check_vocabulary
from tinygrad_gpt.errors import UserError, command, did_you_mean
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models import bert, transformer
from tinygrad_gpt.models.bert import BertConfig, BertForPreTraining, BertModel
from tinygrad_gpt.models.gpt import GPT, count_parameters
from tinygrad_gpt.models.hf.folder import open_weights
from tinygrad_gpt.models.hf.hub import CONFIG
from tinygrad_gpt.models.hf.pretrained import find_pretrained
from tinygrad_gpt.models.transformer import Transformer, TransformerConfig
from tinygrad_gpt.nn import Module
from tinygrad_gpt.progress import Progress
from tinygrad_gpt.tasks.masked_lm import MaskedLM
from tinygrad_gpt.tasks.next_token import NextToken
from tinygrad_gpt.tasks.translation import Translation
from tinygrad_gpt.train import pretraining_settings, text_settings, translation_settings
from tinygrad_gpt.train.checkpoint import load_checkpoint, naming_the_file
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.own_model import OwnModel, own_model_of
from tinygrad_gpt.train.places import absolute, find_again
from tinygrad_gpt.train.pretraining_settings import PretrainingSettings
from tinygrad_gpt.train.room import check_as_large, check_use
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import Settings
from tinygrad_gpt.train.translation_settings import TranslationSettings
from tinygrad_gpt.train.user_ops import restore

M = TypeVar("M", bound=Module)

# What is said of a model of a kind that the caller cannot use.
_NOT_FOR = {
    "gpt": "a GPT, which reads a text from left to right: this needs a BERT",
    "bert": "a BERT, which cannot write text: try `tinygrad-gpt predict {name} 'a text with a [MASK] in it'`",
    "transformer": "a translator: try `tinygrad-gpt translate {name} 'a sentence'`",
}
_COUNT_PARAMETERS = {
    "gpt": count_parameters,
    "bert": bert.count_parameters,
    "transformer": transformer.count_parameters,
}
# What config.json of a run of `train` must also hold.
_WRITTEN = {"preset": str, "vocab_size": int, "tokenizer": str, "corpus": dict}


class TrainedModel(ABC):
    """A trained model that can be loaded.

    name       as the user wrote it
    kind       "gpt", "bert" or "transformer"
    config     the model's shape: a GPTConfig, a BertConfig or a TransformerConfig
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
    def parameters(self) -> int:
        """How many the model has."""
        return _COUNT_PARAMETERS[self.kind](self.config)

    def encoder(self) -> BertModel:
        """A BERT without its heads, with a pooler, in evaluation mode. A pooler that the model lacks starts from random
        numbers, and a NewWeightsWarning says so. Raises UserError as `load` does, and for a GPT."""
        raise UserError(f"{self.name} holds {_NOT_FOR[self.kind]}")

    def for_pretraining(self) -> BertForPreTraining:
        """A BERT with both heads of pre-training, in evaluation mode. Heads that the model lacks start from random
        numbers, and a NewWeightsWarning says so. Raises UserError as `encoder` does."""
        raise UserError(f"{self.name} holds {_NOT_FOR[self.kind]}")

    def make(self, config: Any) -> Module:
        """A new model of this kind; of a BERT, with both heads of pre-training."""
        if self.kind == "bert":
            return BertForPreTraining(config)
        if self.kind == "transformer":
            return Transformer(config)
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
        """Raise UserError for a tokenizer with more tokens than the model, for a BERT's that is not WordPiece, and for
        a translator's without the tokens that it needs."""
        if self.kind == "transformer":
            check_vocabulary(tokenizer, "the tokenizer")
        if self.kind == "bert" and not isinstance(tokenizer, WordPieceTokenizer):
            raise UserError(
                f"{self.name} holds a BERT, which reads with a WordPieceTokenizer, and the tokenizer is a "
                f"{type(tokenizer).__name__}: give the --tokenizer that it was trained with"
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


class SavedRun(TrainedModel):
    """The latest checkpoint of a run of `train`."""

    folder: RunFolder
    written: dict[str, Any]  # config.json
    settings: Any

    def _check_count(self, counted: int) -> None:
        """Raise UserError if config.json says another number of parameters than its settings make."""
        if self.written.get("parameters") not in (None, counted):
            made = f"its settings make a model of {counted:,} parameters, not {self.written['parameters']:,}"
            raise UserError(f"{self.folder.config} is damaged: {made}")

    def tokenizer(self) -> Tokenizer:
        return tokenizer_of(self.folder, self.written)

    @abstractmethod
    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Any:
        """The text or documents that the run was trained on, under the name that the user gave.

        Raises UserError, which ends with `remedy`, if they cannot be found or have changed.
        """


class TrainedRun(SavedRun):
    """The latest checkpoint of a language model's run."""

    def __init__(self, path: Path):
        self.name, self.folder = str(path), RunFolder(path)
        self.written = self.folder.read_config(NextToken.name, "a language model", _WRITTEN)
        self.settings: Settings = text_settings.settings_of(self.written, path)
        self.train = self.settings.train
        try:
            self.config = self.settings.model_config(self.written["vocab_size"])
        except UserError as error:
            raise UserError(f"{self.folder.config} is damaged: {error}") from None
        if "own_model" not in self.written:
            self._check_count(count_parameters(self.config))
        self.hf_config = self.written.get("from", {}).get("hf_config", {})

    @cached_property
    def own_model(self) -> OwnModel | None:
        if "own_model" in self.written:  # no other file may use them
            restore(self.folder.path, self.written["own_pairs"], self.folder.own_op)
        return own_model_of(self.folder.model, self.written)

    @property
    def parameters(self) -> int:
        return self.written.get("parameters") or count_parameters(self.config)

    def load(self) -> Module:
        own = self.own_model  # first: what is wrong with its files is not the checkpoint's fault
        return load_weights(self.folder, self.parameters, lambda: (own.make if own else GPT)(self.config))

    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Corpus:
        given, read = self.settings.task.corpus, partial(open_corpus, progress=progress)
        corpus = find_again("corpus", given, self.written["corpus"], self.folder.path, read, remedy)
        corpus.name = given
        return corpus

    def files(self) -> list[Path]:
        own = [self.folder.model] if "own_model" in self.written else []
        own += [self.folder.own_op(record["op"]) for record in self.written["own_pairs"] if record.get("new")]
        return [self.folder.config, self.folder.checkpoint, *own]


class PretrainedBert(SavedRun):
    """The latest checkpoint of a run that pre-trained a BERT."""

    kind = "bert"

    def __init__(self, path: Path):
        self.name, self.folder = str(path), RunFolder(path)
        self.written = self.folder.read_config(MaskedLM.name, "a BERT", _WRITTEN | {"task": {"corpus": str}})
        self.settings: PretrainingSettings = pretraining_settings.settings_of(self.written, path)
        self.train, self.config = self.settings.train, self.settings.model_config(self.written["vocab_size"])
        self._check_count(bert.count_parameters(self.config))
        self.hf_config = self.written.get("from", {}).get("hf_config", {})

    def load(self) -> BertForPreTraining:
        return load_weights(self.folder, self.parameters, lambda: BertForPreTraining(self.config))

    def encoder(self) -> BertModel:
        return self.load().bert

    def for_pretraining(self) -> BertForPreTraining:
        return self.load()

    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Documents:
        task = self.settings.task
        read = partial(open_documents, hold_out=task.held_out, progress=progress)
        return find_again("corpus", task.corpus, self.written["corpus"], self.folder.path, read, remedy)

    def files(self) -> list[Path]:
        return [self.folder.config, self.folder.checkpoint]


class PretrainedTranslator(SavedRun):
    """The latest checkpoint of a run that trained a translator."""

    kind = "transformer"

    def __init__(self, path: Path):
        self.name, self.folder = str(path), RunFolder(path)
        self.written = self.folder.read_config(Translation.name, "a translator", _WRITTEN | {"task": {"corpus": str}})
        self.settings: TranslationSettings = translation_settings.settings_of(self.written, path)
        self.train, self.config = self.settings.train, self.settings.model_config(self.written["vocab_size"])
        self._check_count(transformer.count_parameters(self.config))
        self.hf_config = self.written.get("from", {}).get("hf_config", {})

    def load(self) -> Transformer:
        return load_weights(self.folder, self.parameters, lambda: Transformer(self.config))

    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Parallel:
        task = self.settings.task

        def read(place: str) -> Parallel:
            return open_parallel(place, task.source, task.target, lowercase=task.lowercase, progress=progress)

        known = self.written["corpus"]
        return find_again("corpus", task.corpus, known, self.folder.path, read, remedy, exists=is_parallel)

    def files(self) -> list[Path]:
        return [self.folder.config, self.folder.checkpoint]


_RUNS = {NextToken.name: TrainedRun, MaskedLM.name: PretrainedBert, Translation.name: PretrainedTranslator}


class HuggingFaceModel(TrainedModel):
    """A folder as transformers writes it, on this disk or from the hub."""

    def __init__(self, name: str):
        self.name, self.found = name, find_pretrained(name)
        self.folder, self.config, self.hf_config = self.found.folder, self.found.config, self.found.written
        kinds = {BertConfig: "bert", TransformerConfig: "transformer"}
        self.kind = next((kind for config, kind in kinds.items() if isinstance(self.config, config)), "gpt")

    @property
    def parameters(self) -> int:
        return self.found.parameters

    def load(self) -> Any:
        return self.found.load()

    def encoder(self) -> BertModel:
        return self.found.load(BertModel) if self.kind == "bert" else super().encoder()

    def for_pretraining(self) -> BertForPreTraining:
        return self.found.load(BertForPreTraining) if self.kind == "bert" else super().for_pretraining()

    def tokenizer(self) -> Tokenizer:
        if not any((self.folder / name).exists() for name in (FILE_NAME, "vocab.json", "vocab.txt")):
            raise UserError(f"{self.name} has no tokenizer: give one with --tokenizer PATH")
        return self.tokenizer_at(str(self.folder))

    def files(self) -> list[Path]:
        return [self.folder / CONFIG, *sorted({file.path for file in open_weights(self.folder).values()})]


def load_weights(folder: RunFolder, parameters: int, make: Callable[[], M]) -> M:
    """The model of a run with the weights of its checkpoint, in evaluation mode.

    parameters  of its GPT, or of the whole model
    make        makes the whole model

    Raises UserError for a checkpoint that is missing, damaged or of another model.
    """
    arrays, _ = load_checkpoint(folder.checkpoint, lambda name: name.startswith("model."))
    with naming_the_file(folder.checkpoint), random_stream.uninitialised():
        check_as_large(parameters, arrays)
        model = make()
        model.load_state_dict({name.removeprefix("model."): a for name, a in arrays.items()})
    return model.eval()


def tokenizer_of(folder: RunFolder, written: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a run with the config.json `written`. Raises UserError if the file holds another tokenizer: its
    ids would mean other texts."""
    tokenizer = load_tokenizer(folder.tokenizer)
    if hashlib.sha256(folder.tokenizer.read_bytes()).hexdigest() != written["tokenizer"]:
        raise UserError(f"{folder.tokenizer} is not the tokenizer that this run was started with: put that one back")
    return tokenizer


def find_model(name: str, kinds: tuple[str, ...] = ("gpt",)) -> TrainedModel:
    """The model with this name: a run folder's, or what `find_pretrained` finds. Its weights are not read yet.

    kinds  of model that the caller can use: "gpt", "bert", "transformer"

    Raises UserError if there is no model, its description is damaged, or it is of another kind.
    """
    found = _find(name)
    if found.kind not in kinds:
        raise UserError(f"{name} holds {_NOT_FOR[found.kind].format(name=command(Path(name)))}")
    return found


def _find(name: str) -> TrainedModel:
    path = user_path(name)
    if not path.exists() and _looks_like_a_path(name):
        beside = [str(p) for p in path.parent.glob("*") if p.is_dir()] if path.parent.is_dir() else []
        raise UserError(f"there is no folder {name}{did_you_mean(str(path), beside)}")
    if not path.is_dir():
        return HuggingFaceModel(name)
    try:
        written = read_json(path / CONFIG)
    except UserError:
        return TrainedRun(path)  # which says what is wrong
    if "model_type" in written:
        return HuggingFaceModel(name)
    return _RUNS.get(RunFolder(path).task_name(), TrainedRun)(path)


def _looks_like_a_path(name: str) -> bool:
    """Whether a name is that of a folder here, and not one on the Hugging Face hub, such as owner/model."""
    parent = user_path(name).parent
    return name.startswith(("runs/", ".", "/", "~")) or "\\" in name or (parent != Path() and parent.is_dir())


def open_model(
    name: str, tokenizer: str | None = None, device: str = "cpu", kinds: tuple[str, ...] = ("gpt",)
) -> tuple[TrainedModel, Tokenizer, Module]:
    """(the trained model, its tokenizer, the loaded Module), for sampling and evaluation.

    tokenizer  path of another tokenizer than the model's own
    device     where the model computes
    kinds      of model that the caller can use; see find_model

    Raises UserError for a missing device, model or checkpoint, and for damaged files.
    """
    source = find_model(name, kinds)
    use_arithmetic(source.train or TrainConfig())
    chosen = devices.device(device)
    check_use(source.parameters, chosen)
    return source, source.tokenizer_at(tokenizer), source.load().to(chosen)
