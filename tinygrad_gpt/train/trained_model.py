"""Trained models, by where they are: a run folder of ours, a Hugging Face folder, or a model of the Hugging Face hub.

source = find_model("runs/shakespeare-1")     # or "../gpt2", or "openai-community/gpt2"
source.config                                  # the model's shape; no weights have been read
model, tokenizer = source.load(), source.tokenizer()
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_gpt import array, devices, random_stream
from tinygrad_gpt.data import CORPORA, Corpus, Tokenizer, load_tokenizer, open_corpus
from tinygrad_gpt.data.download import sha256_of
from tinygrad_gpt.data.tokenizers import FILE_NAME
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.gpt import GPT, GPTConfig, count_parameters
from tinygrad_gpt.models.hf.folder import open_weights
from tinygrad_gpt.models.hf.hub import CONFIG
from tinygrad_gpt.models.hf.pretrained import find_pretrained
from tinygrad_gpt.nn import Module
from tinygrad_gpt.progress import Progress
from tinygrad_gpt.train.checkpoint import load_checkpoint, naming_the_file
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.places import absolute, places
from tinygrad_gpt.train.room import check_as_large, check_use
from tinygrad_gpt.train.run_folder import RunFolder, check_task
from tinygrad_gpt.train.text_settings import Settings, resolve, settings_of

# What config.json of a language model's run holds, beside what that of every run does.
_TEXT_RUN = {"preset": str, "vocab_size": int, "tokenizer": str, "corpus": dict}


class TrainedModel(ABC):
    """A trained model that may be loaded.

    name       as it was asked for
    config     the model's shape
    settings   how it was trained here; None for a model from elsewhere
    hf_config  what a Hugging Face config.json says of it, which is more than its shape; {} where there is none
    """

    name: str
    config: GPTConfig
    settings: Settings | None
    hf_config: dict[str, Any]

    @abstractmethod
    def load(self) -> GPT:
        """The model with its weights, in evaluation mode. Raises UserError for files that are missing or damaged."""

    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """The model's own. Raises UserError where it has none."""

    def check_fits(self, tokenizer: Tokenizer) -> None:
        """Raise UserError for a tokenizer that has ids which the model does not know."""
        if tokenizer.vocab_size > self.config.vocab_size:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, but {self.name} only {self.config.vocab_size}: "
                "give the --tokenizer that it was trained with"
            )

    @abstractmethod
    def files(self) -> list[Path]:
        """Those that the model's shape and weights are read from."""

    def record(self) -> dict[str, Any]:
        """What config.json of a run says about the model that it began with."""
        return {
            "name": self.name,
            "path": absolute(self.name) if user_path(self.name).is_dir() else None,
            "sha256": {file.name: sha256_of(file) for file in self.files()},
            "hf_config": self.hf_config,
        }


class TrainedRun(TrainedModel):
    """The latest checkpoint of a language model's run."""

    def __init__(self, path: Path):
        self.name, self.folder = str(path), RunFolder(path)
        check_task(self.folder, "next-token", "a language model")
        self.written = self.folder.read_config(_TEXT_RUN)
        self.settings = settings_of(self.written, path)
        try:
            self.config = self.settings.gpt_config(self.written["vocab_size"])
        except UserError as error:
            raise UserError(f"{self.folder.config} is damaged: {error}") from None
        counted, written = count_parameters(self.config), self.written.get("parameters")
        if written is not None and written != counted:
            raise UserError(
                f"{self.folder.config} is damaged: its settings make a model of {counted:,} parameters, but it says "
                f"that there are {written:,}"
            )
        self.hf_config = self.written.get("from", {}).get("hf_config", {})

    def load(self) -> GPT:
        return load_weights(self.folder, self.config, lambda: GPT(self.config))

    def tokenizer(self) -> Tokenizer:
        return tokenizer_of(self.folder, self.written)

    def corpus(self, progress: Progress | None = None) -> Corpus:
        """The text that the run was trained on, by the name that it was given.

        Raises UserError where it cannot be found, or has changed.
        """
        given, known = self.settings.task.corpus, self.written["corpus"]
        found = [] if given in CORPORA else places(given, known.get("path"), self.folder.path)
        if not found and given not in CORPORA:
            raise UserError(f"the text that this run was started with is not at {known.get('path', given)} any more")
        for place in found or [given]:
            corpus = open_corpus(place, progress=progress)
            if corpus.sha256 == known.get("sha256"):
                corpus.name = given
                return corpus
        raise UserError(f"the corpus {(found or [given])[0]} has changed since this run was started")

    def files(self) -> list[Path]:
        return [self.folder.config, self.folder.checkpoint]


class HuggingFaceModel(TrainedModel):
    """A folder as transformers writes it, wherever it is found."""

    settings = None

    def __init__(self, name: str):
        self.name, self.found = name, find_pretrained(name)
        self.folder, self.config, self.hf_config = self.found.folder, self.found.config, self.found.written

    def load(self) -> GPT:
        return self.found.load()

    def tokenizer(self) -> Tokenizer:
        if not any((self.folder / name).exists() for name in (FILE_NAME, "vocab.json")):
            raise UserError(f"{self.name} has no tokenizer: give one with --tokenizer PATH")
        tokenizer = load_tokenizer(self.folder)
        self.check_fits(tokenizer)
        return tokenizer

    def files(self) -> list[Path]:
        return [self.folder / CONFIG, *sorted({file.path for file in open_weights(self.folder).values()})]


def load_weights(folder: RunFolder, config: GPTConfig, make: Callable[[], Module]) -> Module:
    """The model of a run with the weights of its checkpoint, in evaluation mode.

    config, make  the shape of its GPT, and what makes the whole model

    Raises UserError for a checkpoint that is missing, damaged or of another model.
    """
    arrays, _ = load_checkpoint(folder.checkpoint, lambda name: name.startswith("model."))
    with naming_the_file(folder.checkpoint), random_stream.uninitialised():
        check_as_large(config, arrays)
        model = make()
        model.load_state_dict({name.removeprefix("model."): a for name, a in arrays.items()})
    return model.eval()


def tokenizer_of(folder: RunFolder, written: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a run whose config.json says `written`. Raises UserError if the file holds another one, whose
    ids would mean other texts."""
    tokenizer = load_tokenizer(folder.tokenizer)
    if hashlib.sha256(folder.tokenizer.read_bytes()).hexdigest() != written["tokenizer"]:
        raise UserError(f"{folder.tokenizer} is not the tokenizer that this run was started with: put that one back")
    return tokenizer


def find_model(name: str) -> TrainedModel:
    """The model of this name: a run folder's, if it is one, else what `find_pretrained` finds.

    Raises UserError for what is none, or whose description is damaged; weights have not been read yet.
    """
    path = user_path(name)
    if path.is_dir() and not _is_hugging_faces(path):
        return TrainedRun(path)
    return HuggingFaceModel(name)


def _is_hugging_faces(folder: Path) -> bool:
    try:
        return "model_type" in read_json(folder / CONFIG)
    except UserError:
        return False


def open_model(name: str, tokenizer: str | None = None, device: str = "cpu") -> tuple[TrainedModel, Tokenizer, GPT]:
    """What there is at this place, for sampling and evaluation: where it is from, its tokenizer, the model.

    tokenizer  path of another tokenizer than the model's own
    device     where the model is to compute

    Raises UserError where there is no such device, for a place that has no model, a run that has no checkpoint yet, or
    damaged files.
    """
    source = find_model(name)
    use_arithmetic(source.settings.train if source.settings else TrainConfig())
    chosen = devices.device(device)
    check_use(source.config, array.default_dtype().itemsize, chosen)
    if tokenizer is None:
        return source, source.tokenizer(), source.load().to(chosen)
    other = load_tokenizer(tokenizer)
    source.check_fits(other)
    return source, other, source.load().to(chosen)


def unchanged_model(given: str, known: dict[str, Any], folder: Path) -> TrainedModel:
    """The model that a run in `folder` began with. Raises UserError if it is not the same any more.

    given, known  what the user called it, and what `record` said of it then
    """
    for place in places(given, known.get("path"), folder) or [given]:
        source = find_model(str(place))
        if source.record()["sha256"] == known.get("sha256"):
            return source
    raise UserError(f"{source.name} has changed since this run was started: start a new run")


def choose_settings(preset: str | None, given: dict[str, Any]) -> Settings:
    """`resolve`, with the shape of the model that the setting from_ names, if any."""
    source = given.get("from_")
    return resolve(preset, given, find_model(source).config if source else None)
