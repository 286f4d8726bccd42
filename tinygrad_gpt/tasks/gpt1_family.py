"""GPT, fine-tuned as in GPT-1's paper: sequences with start, delimiter and extract (data/gpt1_inputs.py), and heads
that read the extract token (models/gpt1_heads.py).

    L3 = L2 + λ L1      the task's loss, and λ times the language model's on the same texts

(Radford et al., "Improving language understanding by generative pre-training", 2018, sections 3.2 and 3.3.)

Words have a head that reads every place: the paper had no such task. A causal model has read only what is before a
place, so a word's label is read at its last token, when the word is complete, and knows nothing of what follows. For
the same reason there is no head for spans: where an answer starts cannot be told from what is before it.
"""

import dataclasses

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import gpt1_inputs
from tinygrad_gpt.data.alignment import NO_PLACE
from tinygrad_gpt.data.examples import CLASSES, PAIR_CLASSES, SIMILARITY, SPANS, TOKENS
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1_heads import (
    GPT1ForClassification,
    GPT1ForSimilarity,
    GPT1ForTokenClassification,
    with_new_tokens,
)
from tinygrad_gpt.tasks.family import Family, Passage, Words
from tinygrad_gpt.tasks.task import Loss

HEADS = {
    CLASSES: GPT1ForClassification,
    PAIR_CLASSES: GPT1ForClassification,
    SIMILARITY: GPT1ForSimilarity,
    TOKENS: GPT1ForTokenClassification,
}


class GPT1Family(Family):
    """shape         of the model that was trained before: start, delimiter and extract follow its vocabulary
    head_dropout  on what the head reads; None: the paper's 0.1
    max_length    tokens of a sequence; None: the model's block_size

    The defaults are those of sections 4.1 and 3.2; Adam's other settings come from the code published with the paper.

    Raises UserError for a block_size, or a max_length, that leaves no room for a text.
    """

    name, called, inputs, lm_weights = "gpt", "a GPT", 2, (0.0, 0.5)
    defaults = Family.defaults | dict(lr=6.25e-5, warmup_share=0.002)
    added = TaskTokens.COUNT  # tokens that follow those of the vocabulary

    def __init__(
        self,
        tokenizer: Tokenizer,
        shape: GPTConfig,
        head_dropout: float | None = None,
        max_length: int | None = None,
    ):
        if shape.block_size < TaskTokens.COUNT:
            raise UserError(f"the model's block_size is {shape.block_size}: start, a text and extract take 3 places")
        super().__init__(tokenizer, min(max_length or shape.block_size, shape.block_size))
        self.tokens = TaskTokens.after(shape.vocab_size)
        self.head_dropout = 0.1 if head_dropout is None else head_dropout
        self.shape = dataclasses.replace(shape, vocab_size=shape.vocab_size + self.added)

    @classmethod
    def saved(cls, tokenizer, shape, vocab_size, head_dropout, max_length):
        return cls(tokenizer, GPTConfig(vocab_size=vocab_size - cls.added, **shape), head_dropout, max_length)

    @staticmethod
    def body(source, seed):
        return source.load()

    def text(self, text, other=None):
        ids = self.tokenizer.encode(text)
        if other is None:
            return gpt1_inputs.classification(ids, self.tokens, self.longest)
        return gpt1_inputs.entailment(ids, self.tokenizer.encode(other), self.tokens, self.longest)

    def symmetric(self, a, b):
        a, b = (self.tokenizer.encode(text) for text in (a, b))
        return np.array(gpt1_inputs.similarity(a, b, self.tokens, self.longest))  # (2, T)

    def words(self, words):
        pieces = [self.tokenizer.encode(f" {word}" if i else word) for i, word in enumerate(words)]
        sequence = gpt1_inputs.classification(np.concatenate(pieces), self.tokens, self.longest)
        last = np.cumsum([len(ids) for ids in pieces])  # after start, at 0: the place of each word's last token
        return Words(sequence, np.where(last < len(sequence) - 1, last, NO_PLACE))

    def passage(self, question, text) -> Passage:
        raise UserError(NO_SPANS)

    def length(self, sequence):
        return sequence.shape[-1]

    def pad(self, sequences):
        return tuple(gpt1_inputs.pad(sequences) if sequences[0].ndim == 1 else gpt1_inputs.pad_groups(sequences))

    def model_for(self, kind, outputs):
        return self._head(kind)(GPT(self.shape), outputs, self.head_dropout)

    def first_model(self, body, kind, outputs, pretrained, seed):
        head = self._head(kind)
        random_stream.manual_seed(seed)
        if not pretrained:
            body = type(body)(body.config)
        return head(with_new_tokens(body, self.added), outputs, self.head_dropout)

    @staticmethod
    def _head(kind: str):
        if kind == SPANS:
            raise UserError(NO_SPANS)
        return HEADS[kind]

    def scores(self, model, *inputs):
        return model(*inputs)

    def loss(self, model, inputs, targets, lm_weight):
        total, task, language = model.loss(*inputs, *targets, lm_weight)
        return Loss(total, {"task": task} | ({} if language is None else {"lm": language}))


NO_SPANS = (
    "a GPT cannot mark the span of an answer: at each place it has read only what is before it, and not whether an "
    "answer begins there; fine-tune a BERT"
)
