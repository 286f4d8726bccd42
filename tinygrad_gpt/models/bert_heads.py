"""BERT with one head. Two of the heads it was pre-trained with; the others are for tasks, a linear layer each:

    BertForMaskedLM                reads every token         the token that is missing
    BertForNextSentencePrediction  reads the pooled [CLS]    whether the second passage follows the first
    BertForSequenceClassification  reads the pooled [CLS]    a class for a text or a pair; or a number, or several
    BertForTokenClassification     reads every token         a label for each
    BertForQuestionAnswering       reads every token         where the answer to a question starts and ends in a text

(Devlin et al., "BERT", 2019, section 4 and figure 4. Names, arguments and meanings are those of transformers.)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.bert import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    BertPreTrainedModel,
    BertWithHead,
    MaskedLMHead,
    shared_weight,
)
from tinygrad_gpt.models.output import ModelOutput
from tinygrad_gpt.nn import Dropout, Linear
from tinygrad_gpt.tensor import plain_array, plain_ids

_MOST_LABELS = 1 << 20


@dataclass(frozen=True)
class BertOutput(ModelOutput):
    """What the call of a model with one head returns; hidden_states and attentions as in BertModelOutput.

    logits  the head's scores
    loss    None without labels
    """

    logits: Tensor
    loss: Tensor | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Tensor, ...] | Any = None


class BertForMaskedLM(BertWithHead):
    """BERT that fills gaps: logits (B, T, V). It has no pooler."""

    def __init__(self, config: BertConfig):
        self.bert = BertModel(config, add_pooling_layer=False)
        self.masked_lm = MaskedLMHead(config, shared_weight(self.bert))

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        labels=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BertOutput:
        """Arguments as for BertForPreTraining; the loss is the mean over the labels that are not -100."""
        out = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, output_hidden_states, output_attentions
        )
        logits = self.masked_lm(out.last_hidden_state)  # (B, T, C) -> (B, T, V)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return BertOutput(logits, loss, out.hidden_states, out.attentions)


class BertForNextSentencePrediction(BertWithHead):
    """BERT that judges pairs: logits (B, 2), "B follows A" (0) and "B is from elsewhere" (1)."""

    def __init__(self, config: BertConfig):
        self.bert = BertModel(config)
        self.next_sentence = Linear(config.hidden_size, 2, std=config.initializer_range)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        labels=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BertOutput:
        """labels (B,): 0 if the second segment follows the first, 1 if it is from elsewhere. The rest as BertModel."""
        out = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, output_hidden_states, output_attentions
        )
        logits = self.next_sentence(out.pooler_output)  # (B, C) -> (B, 2)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return BertOutput(logits, loss, out.hidden_states, out.attentions)


PROBLEMS = REGRESSION, SINGLE_LABEL, MULTI_LABEL = (
    "regression",
    "single_label_classification",
    "multi_label_classification",
)


class _Classifier(BertWithHead):
    """A BERT whose head is a linear layer with a row for each of num_labels classes.

    num_labels  how many; None: as many as id2label has, else 2
    id2label    class -> its name; None: LABEL_0, LABEL_1, ... (label2id is the way back)

    Raises ValueError for names of other classes than 0 .. num_labels - 1.
    """

    num_labels: int
    id2label: dict[int, str]

    def __init__(
        self, config: BertConfig, num_labels: int | None, id2label: dict[int, str] | None, add_pooling_layer: bool
    ):
        who = type(self).__name__
        n = integer(who, "num_labels", num_labels, low=1, or_none=True)
        if n is None:
            n = 2 if id2label is None else len(id2label)
        self.num_labels, self.id2label = n, _unnamed(n) if id2label is None else dict(sorted(id2label.items()))
        if list(self.id2label) != list(range(n)):
            raise ValueError(f"{who}: expected names of the classes 0 .. {n - 1} as id2label, got {shown(id2label)}")
        self.bert = BertModel(config, add_pooling_layer)
        p = config.classifier_dropout
        self.dropout = Dropout(config.hidden_dropout_prob if p is None else p)
        self.classifier = Linear(config.hidden_size, n, std=config.initializer_range)

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


class BertForSequenceClassification(_Classifier):
    """A class for each text or pair of texts, logits (B, num_labels); with num_labels=1 a number for each, (B, 1).

    problem_type  what labels mean, and so the loss:
                  "single_label_classification"  integers (B,), the class: mean cross-entropy
                  "multi_label_classification"   0 or 1 for each class, (B, num_labels): mean binary cross-entropy
                  "regression"                   numbers (B,), with more labels (B, num_labels): mean squared error
                  None: regression if num_labels is 1, else the first if labels are integers, else the second
    """

    def __init__(
        self,
        config: BertConfig,
        num_labels: int | None = None,
        id2label: dict[int, str] | None = None,
        problem_type: str | None = None,
    ):
        super().__init__(config, num_labels, id2label, add_pooling_layer=True)
        if problem_type not in (None, *PROBLEMS):
            raise ValueError(f"expected problem_type {', '.join(PROBLEMS)} or None, got {shown(problem_type)}")
        if problem_type == SINGLE_LABEL and self.num_labels == 1:
            raise ValueError(f"expected two labels or more with problem_type {SINGLE_LABEL}: one is always right")
        self.problem_type = problem_type

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        labels=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BertOutput:
        """labels: see problem_type. The rest is as for BertModel. Raises ValueError for labels of another shape."""
        out = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, output_hidden_states, output_attentions
        )
        logits = self.classifier(self.dropout(out.pooler_output))  # (B, C) -> (B, num_labels)
        loss = None if labels is None else self._loss(logits, plain_array(labels, "labels"))
        return BertOutput(logits, loss, out.hidden_states, out.attentions)

    def _loss(self, logits: Tensor, labels: Array) -> Tensor:
        kind = self.problem_type or (REGRESSION if self.num_labels == 1 else None)
        if kind == SINGLE_LABEL or (kind is None and labels.dtype.kind in "iu"):
            return F.cross_entropy(logits, labels)
        numbers = np.asarray(labels, logits.dtype, like=logits.data)  # as a trainer gives them, from the CPU
        if self.num_labels == 1 and numbers.ndim == 1:
            numbers = numbers[:, np.newaxis]
        if numbers.shape != logits.shape:
            wanted = logits.shape if self.num_labels > 1 else logits.shape[:1]
            raise ValueError(f"BERT: expected labels of shape {wanted}, got {labels.shape}")
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


class BertForTokenClassification(_Classifier):
    """A label for each token: logits (B, T, num_labels)."""

    def __init__(self, config: BertConfig, num_labels: int | None = None, id2label: dict[int, str] | None = None):
        super().__init__(config, num_labels, id2label, add_pooling_layer=False)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        labels=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BertOutput:
        """labels (B, T) integers, -100 where the loss should not look: special tokens, padding, and all pieces of a
        word but the first. The rest is as for BertModel."""
        out = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, output_hidden_states, output_attentions
        )
        logits = self.classifier(self.dropout(out.last_hidden_state))  # (B, T, C) -> (B, T, num_labels)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return BertOutput(logits, loss, out.hidden_states, out.attentions)


@dataclass(frozen=True)
class BertSpanOutput(ModelOutput):
    """What a BertForQuestionAnswering's call returns; hidden_states and attentions as in BertModelOutput.

    start_logits, end_logits  (B, T): scores of each place for the first and for the last token of the answer
    loss                      the mean of their cross-entropies; None unless both positions were given
    """

    start_logits: Tensor
    end_logits: Tensor
    loss: Tensor | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Tensor, ...] | Any = None


class BertForQuestionAnswering(BertWithHead):
    """Where the answer is: scores of each place for its start and for its end."""

    def __init__(self, config: BertConfig):
        self.bert = BertModel(config, add_pooling_layer=False)
        self.qa_outputs = Linear(config.hidden_size, 2, std=config.initializer_range)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        start_positions=None,
        end_positions=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BertSpanOutput:
        """start_positions, end_positions (B,): places of the answer's first and last token. An answer that was cut off,
        at place T or beyond, is ignored. The rest is as for BertModel. Raises ValueError if all answers are cut off.
        """
        out = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, output_hidden_states, output_attentions
        )
        logits = self.qa_outputs(out.last_hidden_state)  # (B, T, C) -> (B, T, 2)
        start, end = logits[:, :, 0], logits[:, :, 1]  # (B, T)
        loss = None
        if start_positions is not None and end_positions is not None:
            t = start.shape[1]
            first, last = (np.clip(plain_ids(p, "BERT"), 0, t) for p in (start_positions, end_positions))
            loss = (F.cross_entropy(start, first, ignore_index=t) + F.cross_entropy(end, last, ignore_index=t)) * 0.5
        return BertSpanOutput(start, end, loss, out.hidden_states, out.attentions)


BertPreTrainedModel.classes = (
    BertModel,
    BertForPreTraining,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertForQuestionAnswering,
)
