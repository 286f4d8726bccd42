"""What a model for a task knows of its labels: how many classes there are, their names, and what they cost.

    NamedClasses      a head with a row for each class
    TextClassifier    such a head that reads a whole text, and the loss of its scores

Names, arguments and meanings are those of transformers.
"""

from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.hf.pretrained import PretrainedModel

PROBLEMS = REGRESSION, SINGLE_LABEL, MULTI_LABEL = (
    "regression",
    "single_label_classification",
    "multi_label_classification",
)
_MOST_LABELS = 1 << 20


class NamedClasses(PretrainedModel):
    """A model whose head has a row for each of num_labels classes.

    num_labels  how many; None: as many as id2label has, else 2
    id2label    class -> its name; None: LABEL_0, LABEL_1, ... (label2id is the way back)
    """

    num_labels: int
    id2label: dict[int, str]

    def name_classes(self, num_labels: int | None, id2label: dict[int, str] | None) -> None:
        """Raises ValueError for names of other classes than 0 .. num_labels - 1."""
        who = type(self).__name__
        n = integer(who, "num_labels", num_labels, low=1, or_none=True)
        if n is None:
            n = 2 if id2label is None else len(id2label)
        self.num_labels, self.id2label = n, _unnamed(n) if id2label is None else dict(sorted(id2label.items()))
        if list(self.id2label) != list(range(n)):
            raise ValueError(f"{who}: expected names of the classes 0 .. {n - 1} as id2label, got {shown(id2label)}")

    @property
    def label2id(self) -> dict[str, int]:
        """Name -> class."""
        return {name: label for label, name in self.id2label.items()}

    @classmethod
    def arguments_in(cls, written: dict[str, Any], where: Any) -> dict[str, Any]:
        n, names = written.get("num_labels", written.get("_num_labels")), written.get("id2label")
        if n is not None and (not isinstance(n, int) or not 1 <= n <= _MOST_LABELS):
            raise UserError(f"{where}: num_labels should be a number of classes, not {shown(n)}")
        if names is None:
            return {"num_labels": n}
        if not isinstance(names, dict) or not names or {str(i) for i in names} != {str(i) for i in range(len(names))}:
            raise UserError(f"{where}: id2label should name the classes 0, 1, 2, ..., not be {shown(names)}")
        if n not in (None, len(names)):  # the names of other classes
            return {"num_labels": n}
        return {"num_labels": len(names), "id2label": {int(i): str(name) for i, name in names.items()}}

    def settings_to_write(self) -> dict[str, Any]:
        older = {"num_labels": None, "_num_labels": None}  # which id2label says now
        if self.id2label == _unnamed(2):  # what transformers takes it to be
            return older | {"id2label": None, "label2id": None}
        names = {str(label): name for label, name in self.id2label.items()}
        return older | {"id2label": names, "label2id": self.label2id}


def _unnamed(n: int) -> dict[int, str]:
    return {label: f"LABEL_{label}" for label in range(n)}


class TextClassifier(NamedClasses):
    """A class for each text, logits (B, num_labels); with num_labels=1 a number for each, (B, 1).

    problem_type  what labels mean, and so the loss:
                  "single_label_classification"  integers (B,), the class: mean cross-entropy
                  "multi_label_classification"   0 or 1 for each class, (B, num_labels): mean binary cross-entropy
                  "regression"                   numbers (B,), with more labels (B, num_labels): mean squared error
                  None: regression if num_labels is 1, else the first if labels are integers, else the second
    """

    problem_type: str | None

    def set_problem(self, problem_type: str | None) -> None:
        """Raises ValueError for another problem_type, and for one that does not fit num_labels."""
        if problem_type not in (None, *PROBLEMS):
            raise ValueError(f"expected problem_type {', '.join(PROBLEMS)} or None, got {shown(problem_type)}")
        if problem_type == SINGLE_LABEL and self.num_labels == 1:
            raise ValueError(f"expected two labels or more with problem_type {SINGLE_LABEL}: one is always right")
        self.problem_type = problem_type

    def loss_of(self, logits: Tensor, labels: Array) -> Tensor:
        """The loss of logits (B, num_labels). Raises ValueError for labels of another shape."""
        kind = self.problem_type or (REGRESSION if self.num_labels == 1 else None)
        if kind == SINGLE_LABEL or (kind is None and labels.dtype.kind in "iu"):
            return F.cross_entropy(logits, labels)
        numbers = np.asarray(labels, logits.dtype, like=logits.data)  # as a trainer gives them, from the CPU
        if self.num_labels == 1 and numbers.ndim == 1:
            numbers = numbers[:, np.newaxis]
        if numbers.shape != logits.shape:
            wanted = logits.shape if self.num_labels > 1 else logits.shape[:1]
            raise ValueError(f"{self.layout.name}: expected labels of shape {wanted}, got {labels.shape}")
        return (F.mse_loss if kind == REGRESSION else F.binary_cross_entropy_with_logits)(logits, numbers)

    @classmethod
    def arguments_in(cls, written: dict[str, Any], where: Any) -> dict[str, Any]:
        kind = written.get("problem_type")
        if kind not in [None, *PROBLEMS]:
            raise UserError(f"{where}: problem_type should be one of {', '.join(PROBLEMS)}, not {shown(kind)}")
        arguments = super().arguments_in(written, where) | {"problem_type": kind}
        if kind == SINGLE_LABEL and arguments["num_labels"] == 1:
            raise UserError(f"{where}: problem_type is {kind}, which needs two labels or more, not 1")
        return arguments

    def settings_to_write(self) -> dict[str, Any]:
        return super().settings_to_write() | {"problem_type": self.problem_type}
