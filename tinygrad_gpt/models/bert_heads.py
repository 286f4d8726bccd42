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
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.models.bert import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    BertPreTrainedModel,
    BertWithHead,
    MaskedLMHead,
    shared_weight,
)
from tinygrad_gpt.models.labels import NamedClasses, TextClassifier
from tinygrad_gpt.models.output import ModelOutput
from tinygrad_gpt.nn import Dropout, Linear
from tinygrad_gpt.tensor import plain_array, plain_ids


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


class _Classifier(NamedClasses, BertWithHead):
    """A BERT whose head is a linear layer."""

    def __init__(
        self, config: BertConfig, num_labels: int | None, id2label: dict[int, str] | None, add_pooling_layer: bool
    ):
        self.name_classes(num_labels, id2label)
        self.bert = BertModel(config, add_pooling_layer)
        p = config.classifier_dropout
        self.dropout = Dropout(config.hidden_dropout_prob if p is None else p)
        self.classifier = Linear(config.hidden_size, self.num_labels, std=config.initializer_range)


class BertForSequenceClassification(TextClassifier, _Classifier):
    """A class for each text or pair of texts, logits (B, num_labels); with num_labels=1 a number for each, (B, 1).

    num_labels, id2label, problem_type  see NamedClasses and TextClassifier
    """

    def __init__(
        self,
        config: BertConfig,
        num_labels: int | None = None,
        id2label: dict[int, str] | None = None,
        problem_type: str | None = None,
    ):
        super().__init__(config, num_labels, id2label, add_pooling_layer=True)
        self.set_problem(problem_type)

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
        loss = None if labels is None else self.loss_of(logits, plain_array(labels, "labels"))
        return BertOutput(logits, loss, out.hidden_states, out.attentions)


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
