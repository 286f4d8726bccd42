"""XLNet, fine-tuned as in its paper: the class is read at the last token, and every weight is trained.

    a text       a <sep> <cls>              segments 0 0 2
    a pair       a <sep> b <sep> <cls>               0 0 1 1 2
    padding      before the text, so that <cls> is the last token of each row; masked: it changes nothing

BERT's [CLS] stands first. <cls> stands last, as it did in pre-training, behind the text. (Yang et al., "XLNet", 2019,
section 2.5 and appendix A.6.)
"""

import dataclasses

from tinygrad_gpt import random_stream
from tinygrad_gpt.data.examples import CLASSES, PAIR_CLASSES, SIMILARITY
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.xlnet import XLNetConfig
from tinygrad_gpt.models.xlnet_heads import XLNetForSequenceClassification
from tinygrad_gpt.tasks.family import Family, Passage, Words
from tinygrad_gpt.tasks.task import Loss

_LONGEST = 512  # tokens: XLNet has no last position, but the work grows with their square


class XLNetFamily(Family):
    """shape         of the model
    head_dropout  on what the head reads; None: the model's summary_last_dropout
    max_length    tokens of a sequence; None: 512

    The defaults are those of table 8: batches of 32, a learning rate of 2e-5 that rises over the first tenth of the
    steps and falls to 0.

    Raises UserError for another kind of tokenizer.
    """

    name, called, inputs = "xlnet", "an XLNet", 3
    defaults = Family.defaults | dict(lr=2e-5, warmup_share=0.1, lm_weight=0.0)

    tokenizer: XLNetTokenizer

    def __init__(
        self,
        tokenizer: Tokenizer,
        shape: XLNetConfig,
        head_dropout: float | None = None,
        max_length: int | None = None,
    ):
        if not isinstance(tokenizer, XLNetTokenizer):
            raise UserError(f"an XLNet reads texts with a tokenizer of its kind, not with a {type(tokenizer).__name__}")
        super().__init__(tokenizer, max_length or _LONGEST)
        self.shape = shape if head_dropout is None else dataclasses.replace(shape, summary_last_dropout=head_dropout)
        self.head_dropout = self.shape.summary_last_dropout

    @classmethod
    def saved(cls, tokenizer, shape, vocab_size, head_dropout, max_length):
        return cls(
            tokenizer, XLNetConfig(vocab_size=vocab_size, **shape), None, max_length
        )  # the shape has the dropout

    @staticmethod
    def body(source, seed):
        return source.encoder()

    def text(self, text, other=None):
        encode = self.tokenizer.encode
        return self.tokenizer.pair(encode(text), None if other is None else encode(other), self.longest)

    def words(self, words) -> Words:
        raise UserError(_NOT_HERE.format("label words"))

    def passage(self, question, text) -> Passage:
        raise UserError(_NOT_HERE.format("mark the span of an answer"))

    def length(self, sequence):
        return len(sequence[0])

    def pad(self, sequences):
        """input_ids, attention_mask and token_type_ids, all (B, T)."""
        ids, mask = self.tokenizer.pad_batch([tokens for tokens, _ in sequences])
        segments, _ = self.tokenizer.pad_batch([types for _, types in sequences], self.tokenizer.padding_type)
        return ids, mask, segments

    def model_for(self, kind, outputs):
        if kind not in (CLASSES, PAIR_CLASSES, SIMILARITY):
            raise UserError(_NOT_HERE.format("label words or mark spans"))
        return XLNetForSequenceClassification(self.shape, outputs)

    def first_model(self, body, kind, outputs, pretrained, seed):
        random_stream.manual_seed(seed)
        model = self.model_for(kind, outputs)
        if pretrained:
            model.transformer.load_state_dict(body.state_dict())
        return model

    def scores(self, model, *inputs):
        ids, mask, segments = inputs
        return model(ids, mask, token_type_ids=segments).logits

    def loss(self, model, inputs, targets, lm_weight):
        ids, mask, segments = inputs
        return Loss(model(ids, mask, token_type_ids=segments, labels=targets[0]).loss)


_NOT_HERE = "no XLNet here learns to {}: fine-tune a BERT"
