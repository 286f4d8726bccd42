"""BERT, fine-tuned as in its paper: one layer on the encoder, and every weight is trained.

    a text       [CLS] a [SEP]              segment 0
    a pair       [CLS] a [SEP] b [SEP]      segment 0 to the first [SEP], then 1
    padding      masked: it changes nothing

A word that the tokenizer splits is labelled at its first piece (Devlin et al., "BERT", 2019, sections 4 and 5.3).
"""

import dataclasses

from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.data.alignment import word_places
from tinygrad_gpt.data.examples import SPANS, TOKENS
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.data.windows import windows
from tinygrad_gpt.data.wordpiece_tokenizer import SHORTEST_PAIR, WordPieceTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.bert import BertConfig
from tinygrad_gpt.models.bert_heads import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from tinygrad_gpt.tasks.family import Family, Passage, Words
from tinygrad_gpt.tasks.task import Loss

_NEVER = -1e30  # the score of a place that cannot be chosen


class BertFamily(Family):
    """shape         of the encoder
    head_dropout  on what the head reads; None: the encoder's classifier_dropout, or its hidden_dropout_prob
    max_length    tokens of a sequence; None: all the positions that the encoder has

    The defaults are those of appendix A.3: 2 to 4 epochs, batches of 16 or 32, a learning rate of 2e-5 to 5e-5. It
    rises over the first tenth of the steps and falls to 0.

    Raises UserError for another kind of tokenizer, and for too few positions.
    """

    name, called, inputs = "bert", "a BERT", 3
    defaults = Family.defaults | dict(lr=5e-5, warmup_share=0.1, lm_weight=0.0)

    tokenizer: WordPieceTokenizer

    def __init__(
        self,
        tokenizer: Tokenizer,
        shape: BertConfig,
        head_dropout: float | None = None,
        max_length: int | None = None,
    ):
        if not isinstance(tokenizer, WordPieceTokenizer):
            raise UserError(f"a BERT reads texts with a WordPiece tokenizer, not with a {type(tokenizer).__name__}")
        most = shape.max_position_embeddings
        if min(max_length or most, most) < SHORTEST_PAIR:
            raise UserError(
                f"a pair of texts takes {SHORTEST_PAIR} places or more, and there are {min(max_length or most, most)}"
            )
        super().__init__(tokenizer, min(max_length or most, most))
        self.shape = shape if head_dropout is None else dataclasses.replace(shape, classifier_dropout=head_dropout)
        own = self.shape.classifier_dropout
        self.head_dropout = self.shape.hidden_dropout_prob if own is None else own

    @classmethod
    def saved(cls, tokenizer, shape, vocab_size, head_dropout, max_length):
        return cls(tokenizer, BertConfig(vocab_size=vocab_size, **shape), None, max_length)  # the shape has the dropout

    @staticmethod
    def body(source, seed):
        random_stream.manual_seed(seed)  # of a pooler, which files of a bare encoder may lack
        return source.encoder()

    def text(self, text, other=None):
        encode = self.tokenizer.encode
        return self._sequence(encode(text), None if other is None else encode(other))

    def _sequence(self, a, b=None):
        return self.tokenizer.pair(a, b, self.longest)

    def words(self, words):
        ids, first = self.tokenizer.encode_words(words)
        sequence = self._sequence(ids)
        return Words(sequence, word_places(first, before=1, end=self.length(sequence) - 1))  # after [CLS]; before [SEP]

    def passage(self, question, text):
        ids, offsets = self.tokenizer.encode_with_offsets(text)
        asked = self.tokenizer.encode(question)[: (self.longest - 3) // 2]
        room = self.longest - 3 - len(asked)
        parts = windows(len(ids), room, stride=max(1, room // 2))
        sequences = [self._sequence(asked, ids[part.begin : part.end]) for part in parts]
        return Passage(sequences, parts, len(asked) + 2, offsets)

    def length(self, sequence):
        return len(sequence[0])

    def pad(self, sequences):
        """input_ids, attention_mask and token_type_ids, all (B, T): in the order in which a BERT takes them."""
        ids, mask = self.tokenizer.pad_batch([tokens for tokens, _ in sequences])
        segments, _ = self.tokenizer.pad_batch([types for _, types in sequences], value=0)
        return ids, mask, segments

    def model_for(self, kind, outputs):
        if kind == SPANS:
            return BertForQuestionAnswering(self.shape)
        return (BertForTokenClassification if kind == TOKENS else BertForSequenceClassification)(self.shape, outputs)

    def first_model(self, body, kind, outputs, pretrained, seed):
        random_stream.manual_seed(seed)
        model = self.model_for(kind, outputs)
        if pretrained:
            known, wanted = body.state_dict(), model.bert.state_dict()  # two of the heads have no pooler
            model.bert.load_state_dict({name: known[name] for name in wanted})
        return model

    def scores(self, model, *inputs):
        out = model(*inputs)
        if isinstance(model, BertForQuestionAnswering):
            return F.stack([out.start_logits, out.end_logits], 2)  # (B, T), (B, T) -> (B, T, 2)
        return out.logits

    def loss(self, model, inputs, targets, lm_weight):
        if not isinstance(model, BertForQuestionAnswering):
            return Loss(model(*inputs, labels=targets[0]).loss)
        # Of the places, not of the padding. (BertForQuestionAnswering's own loss, as that of transformers, lets padding
        # compete: it would depend on what else is in the batch.)
        out, is_real = model(*inputs), inputs[1] == 1
        scores = (F.where(is_real, logits, _NEVER) for logits in (out.start_logits, out.end_logits))  # (B, T)
        start, end = (F.cross_entropy(s, target) for s, target in zip(scores, targets, strict=True))
        return Loss((start + end) * 0.5)
