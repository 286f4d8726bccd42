"""What the runs of one kind do in their own way. any_run.py does the rest, the same for all."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
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
    """Settings in, a task and a model out. `settings` are those of this kind; see any_run.AnySettings.

    task       the name of the task
    family     of the model that --from may name: "gpt", "bert" or "transformer"
    run        opens the folder of such a run
    """

    task: str
    family: str
    run: Callable[[Path], SavedRun]

    @abstractmethod
    def resolve(self, preset: str | None, given: dict[str, Any], source: Any) -> Any:
        """The settings of a preset of this kind, overridden by those given by name; see any_run.resolve."""

    @abstractmethod
    def resumed_settings(self, saved, preset: str | None, given: dict[str, Any]) -> Any:
        """The settings of a resumed run. Raises UserError for a given one that would make it another run."""

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
