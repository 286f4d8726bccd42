"""The task that learns from each kind of examples (data/examples.py)."""

from tinygrad_gpt.data.examples import CLASSES, PAIR_CLASSES, SIMILARITY, SPANS, TOKENS
from tinygrad_gpt.tasks.fine_tuning import FineTuning
from tinygrad_gpt.tasks.similarity import Similarity
from tinygrad_gpt.tasks.spans import Spans
from tinygrad_gpt.tasks.text_classes import TextClasses
from tinygrad_gpt.tasks.token_labels import TokenLabels

TASK_OF_KIND: dict[str, type[FineTuning]] = {
    CLASSES: TextClasses,
    PAIR_CLASSES: TextClasses,
    SIMILARITY: Similarity,
    TOKENS: TokenLabels,
    SPANS: Spans,
}
NAMES = tuple(dict.fromkeys(task.name for task in TASK_OF_KIND.values()))  # of these tasks
