"""The models of runs of `train`: the latest checkpoint of a language model's run, of a BERT's, of a translator's."""

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import Corpus, Tokenizer, load_tokenizer, open_corpus
from tinygrad_gpt.data.documents import Documents, open_documents
from tinygrad_gpt.data.parallel import Parallel, is_parallel, open_parallel
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.bert import BertForPreTraining, BertModel
from tinygrad_gpt.models.xlnet_heads import XLNetLMHeadModel, XLNetModel
from tinygrad_gpt.nn import Module
from tinygrad_gpt.progress import Progress
from tinygrad_gpt.tasks.masked_lm import MaskedLM
from tinygrad_gpt.tasks.next_token import NextToken
from tinygrad_gpt.tasks.permutation_lm import PermutationLM
from tinygrad_gpt.tasks.streams import Streams
from tinygrad_gpt.tasks.translation import Translation
from tinygrad_gpt.train.checkpoint import load_checkpoint, naming_the_file
from tinygrad_gpt.train.loadable import TrainedModel
from tinygrad_gpt.train.own_model import OwnModel, own_model_of
from tinygrad_gpt.train.permutation_settings import PermutationSettings
from tinygrad_gpt.train.places import find_again
from tinygrad_gpt.train.pretraining_settings import PretrainingSettings
from tinygrad_gpt.train.room import check_as_large
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.stream_settings import StreamSettings
from tinygrad_gpt.train.text_settings import Settings
from tinygrad_gpt.train.translation_settings import TranslationSettings
from tinygrad_gpt.train.user_ops import restore

M = TypeVar("M", bound=Module)

# What config.json of a run of `train` must also hold.
_WRITTEN = {"preset": str, "vocab_size": int, "tokenizer": str, "corpus": dict}


class SavedRun(TrainedModel):
    """The latest checkpoint of a run of `train`.

    task      the name of what it learned
    of        its settings' class, which reads them from config.json
    called    what its model is called
    """

    task: str
    of: Any
    called: str
    folder: RunFolder
    written: dict[str, Any]  # config.json

    def __init__(self, path: Path):
        self.name, self.folder = str(path), RunFolder(path)
        self.written = self.folder.read_config(self.task, self.called, _WRITTEN)
        self.settings = self.of.read(self.written, path)
        self.train = self.settings.train
        try:
            self.config = self.settings.model_config(self.written["vocab_size"])
        except UserError as error:
            raise UserError(f"{self.folder.config} is damaged: {error}") from None
        if "own_model" not in self.written:
            self._check_count(self.counted)
        self.hf_config = self.written.get("from", {}).get("hf_config", {})

    def _check_count(self, counted: int) -> None:
        """Raise UserError if config.json says another number of parameters than its settings make."""
        if self.written.get("parameters") not in (None, counted):
            made = f"its settings make a model of {counted:,} parameters, not {self.written['parameters']:,}"
            raise UserError(f"{self.folder.config} is damaged: {made}")

    def load(self) -> Any:
        return load_weights(self.folder, self.parameters, partial(self.make, self.config))

    def tokenizer(self) -> Tokenizer:
        return tokenizer_of(self.folder, self.written)

    @abstractmethod
    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Any:
        """The text or documents that the run was trained on, under the name that the user gave.

        Raises UserError, which ends with `remedy`, if they cannot be found or have changed.
        """

    def files(self) -> list[Path]:
        return [self.folder.config, self.folder.checkpoint]


class TrainedRun(SavedRun):
    """The latest checkpoint of a language model's run."""

    task, of, called = NextToken.name, Settings, "a language model"

    @cached_property
    def own_model(self) -> OwnModel | None:
        if "own_model" in self.written:  # no other file may use them
            restore(self.folder.path, self.written["own_pairs"], self.folder.own_op)
        return own_model_of(self.folder.model, self.written)

    @property
    def parameters(self) -> int:
        return self.written.get("parameters") or self.counted

    def load(self) -> Module:
        _ = self.own_model  # first: what is wrong with its files is not the checkpoint's fault
        return super().load()

    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Corpus:
        given, read = self.settings.task.corpus, partial(open_corpus, progress=progress)
        corpus = find_again("corpus", given, self.written["corpus"], self.folder.path, read, remedy)
        corpus.name = given
        return corpus

    def files(self) -> list[Path]:
        own = [self.folder.model] if "own_model" in self.written else []
        own += [self.folder.own_op(record["op"]) for record in self.written["own_pairs"] if record.get("new")]
        return [*super().files(), *own]


class TrainedXL(TrainedRun):
    """The latest checkpoint of a Transformer-XL's run."""

    kind = "transformer-xl"
    task, of, called = Streams.name, StreamSettings, "a Transformer-XL"


class PretrainedXLNet(TrainedRun):
    """The latest checkpoint of a run that pre-trained an XLNet."""

    kind = "xlnet"
    task, of, called = PermutationLM.name, PermutationSettings, "an XLNet"

    def encoder(self) -> XLNetModel:
        return self.for_pretraining().transformer

    def for_pretraining(self) -> XLNetLMHeadModel:
        model: Any = self.load()
        return model


class PretrainedBert(SavedRun):
    """The latest checkpoint of a run that pre-trained a BERT."""

    kind = "bert"
    task, of, called = MaskedLM.name, PretrainingSettings, "a BERT"

    def encoder(self) -> BertModel:
        return self.load().bert

    def for_pretraining(self) -> BertForPreTraining:
        return self.load()

    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Documents:
        task = self.settings.task
        read = partial(open_documents, hold_out=task.held_out, progress=progress)
        return find_again("corpus", task.corpus, self.written["corpus"], self.folder.path, read, remedy)


class PretrainedTranslator(SavedRun):
    """The latest checkpoint of a run that trained a translator."""

    kind = "transformer"
    task, of, called = Translation.name, TranslationSettings, "a translator"

    def corpus(self, progress: Progress | None = None, remedy: str = "") -> Parallel:
        task = self.settings.task

        def read(place: str) -> Parallel:
            return open_parallel(place, task.source, task.target, lowercase=task.lowercase, progress=progress)

        known = self.written["corpus"]
        return find_again("corpus", task.corpus, known, self.folder.path, read, remedy, exists=is_parallel)


BY_TASK = {run.task: run for run in (TrainedRun, TrainedXL, PretrainedBert, PretrainedXLNet, PretrainedTranslator)}


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
    folder.check_tokenizer(written)
    return tokenizer
