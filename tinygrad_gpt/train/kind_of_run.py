"""What the runs of one kind do in their own way. any_run.py does the rest, the same for all."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.nn import Module
from tinygrad_gpt.progress import Progress
from tinygrad_gpt.tasks.task import Task
from tinygrad_gpt.train.loadable import TrainedModel
from tinygrad_gpt.train.saved_runs import SavedRun

Say = Callable[[str], object]
LONG_TEXT = 1_000_000  # characters: about a second of learning tokens


class KindOfRun(ABC):
    """Settings in, a task and a model out.

    run  opens the folder of such a run, and knows its task, its kind of model, and the dataclass of its settings
    """

    run: type[SavedRun]

    @abstractmethod
    def open_data(self, settings, progress: Progress | None) -> Any:
        """The text, documents or pairs that the settings name. Raises UserError if there are none."""

    @abstractmethod
    def make_tokenizer(self, settings, data: Any, say: Say) -> Tokenizer:
        """The tokenizer that the settings name, if it is not a model's own. Raises UserError if there is none."""

    @abstractmethod
    def make_task(self, settings, data: Any, tokenizer) -> Task:
        """What is learned. Raises UserError for too little data."""

    @abstractmethod
    def record(self, data: Any, task) -> dict[str, Any]:
        """The entry `corpus` of config.json."""

    def model_config(self, settings, tokenizer, source: TrainedModel | None) -> Any:
        """The shape of the model before the first step: that of `source`, with the dropouts of the settings, or one for
        this tokenizer. Raises UserError for values that do not go together."""
        return settings.model_config(source.config.vocab_size if source else tokenizer.vocab_size)

    @abstractmethod
    def make_model(self, settings, config) -> Module:
        """A new model of this shape, as it is before the first step."""

    @abstractmethod
    def count_parameters(self, config) -> int:
        """How many it has, without making it."""

    @abstractmethod
    def load(self, source: TrainedModel) -> Any:
        """The model to start from, with its weights."""
