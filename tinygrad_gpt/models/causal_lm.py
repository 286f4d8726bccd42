"""CausalLM: a GPT with the manners of Hugging Face transformers, for real checkpoints and for what is done with them.

    model = GPT2.from_pretrained("openai-community/gpt2")
    output = model(input_ids, labels=input_ids, output_hidden_states=True)
    output.loss.backward()

Names, arguments and meanings are those of transformers' `GPT2LMHeadModel`, so that its users feel at home.
"""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import Array, if_on_cpu, to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.generate import generate_batch
from tinygrad_gpt.generate.prompts import position_ids
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.models.hf.folder import MAX_SHARD_SIZE
from tinygrad_gpt.models.hf.layout import FAMILIES, Layout
from tinygrad_gpt.models.hf.pretrained import load_pretrained, save_pretrained
from tinygrad_gpt.tensor import plain_array, plain_ids

IGNORED = -100  # a label that counts for nothing


@dataclass(frozen=True)
class CausalLMOutput:
    """What a CausalLM's call returns.

    logits         (B, T, V): at each position, scores for the token that comes next
    loss           mean cross-entropy in nats of the labels; None without them
    hidden_states  n_layer + 1 of (B, T, C): the embeddings, what each block but the last made, what the head reads
    attentions     n_layer of (B, H, T, T), before dropout and without gradients; computed for this once
    """

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class CausalLM(GPT):
    """A GPT that is called as transformers' models are. Base of GPT1 and GPT2, each with the `layout` of its files."""

    layout: Layout

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        if "layout" in vars(cls):
            FAMILIES.setdefault(cls.layout.model_type, cls)

    generate = generate_batch  # model.generate(input_ids, ...): greedy, sampling, beam search

    def forward(
        self,
        input_ids,
        attention_mask=None,
        position_ids=None,
        labels=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> CausalLMOutput:
        """Logits for the next token at every position, and what else is asked for.

        input_ids       (B, T) integers
        attention_mask  (B, T): 1 for a token to look at, 0 for padding. What comes out at padding means nothing
        position_ids    (B, T) or (1, T) integers; None: 0 .. T-1, on padding too. A batch that is padded on the left
                        wants `position_ids(attention_mask)`
        labels          (B, T) integers, mostly input_ids themselves: they are shifted here, so that position t predicts
                        label t + 1. -100 counts for nothing: give it to padding, which the mask alone does not take
                        out of the loss, and to the first token after padding, which would be predicted from it

        Raises what GPT.features raises, and ValueError for labels of another shape or of which none counts.
        """
        blocks = [f"blocks.{i}" for i in range(self.config.n_layer)]
        states = ["dropout", *blocks[:-1]] if output_hidden_states else []
        lookers = [f"{block}.attention" for block in blocks] if output_attentions else []
        with self.watching(*states, *lookers) if states or lookers else nullcontext() as seen:
            x = self.features(input_ids, attention_mask=attention_mask, position_ids=position_ids)
        hidden_states = (*[seen[path].output for path in states], x) if output_hidden_states else None
        attentions = tuple([seen[path].weights for path in lookers]) if output_attentions else None
        logits = self.head(x)  # (B, T, C) -> (B, T, V)
        loss = None if labels is None else F.cross_entropy(logits, next_tokens(labels))
        return CausalLMOutput(logits, loss, hidden_states, attentions)

    def log_prob(self, input_ids, attention_mask=None) -> np.ndarray:
        """log p(text) in nats of each row, (B,): the sum of log p(token | tokens before it) over all but the first.

        attention_mask  (B, T): 0 for padding, on either side, which counts for nothing
        """
        ids = to_numpy(signed_ids(input_ids))
        mask = np.ones_like(ids) if attention_mask is None else to_numpy(plain_array(attention_mask, "attention_mask"))
        if ids.ndim != 2 or mask.shape != ids.shape:
            raise ValueError(f"log_prob: expected ids and mask of one shape (B, T), got {ids.shape} and {mask.shape}")
        targets = next_tokens(np.where(mask == 1, ids, IGNORED))
        targets = np.where(mask == 1, targets, IGNORED)  # the first token after padding follows nothing
        with self.evaluating(), no_grad():
            logits = self(ids, mask, position_ids(mask)).logits
            losses = F.cross_entropy(logits, targets, reduction="none")  # (B, T)
        return -to_numpy(losses.data).sum(axis=1)

    @classmethod
    def from_pretrained(cls, path_or_hub_id, *, dtype=None, revision: str | None = None, ignore: tuple[str, ...] = ()):
        """The model in a Hugging Face folder, in the cache, or on the hub; see pretrained.load_pretrained."""
        return load_pretrained(path_or_hub_id, cls, dtype=dtype, revision=revision, ignore=ignore)

    def save_pretrained(self, folder, tokenizer=None, max_shard_size: int = MAX_SHARD_SIZE) -> None:
        """Write a folder that transformers loads as the same model; see pretrained.save_pretrained."""
        save_pretrained(self, folder, tokenizer, max_shard_size)


def next_tokens(labels) -> Array:
    """labels (B, T) -> what each position is to predict, (B, T): the label to its right, and nothing at the end.

    Shifting the labels spares a copy of the logits, which are V times as large.
    """
    labels = signed_ids(labels, "labels")
    if labels.ndim != 2:
        raise ValueError(f"next_tokens: expected labels of shape (B, T), got {labels.shape}")
    targets = np.full_like(labels, IGNORED)
    targets[:, :-1] = labels[:, 1:]
    return targets


def signed_ids(ids, name: str = "ids") -> Array:
    """ids as a plain array in which IGNORED has a place: token files keep them in unsigned integers.

    Raises IndexError for one that is no int64, and might become IGNORED as one.
    """
    ids = plain_ids(ids, "GPT", name)
    if ids.dtype.kind != "u":
        return ids
    known = if_on_cpu(ids)
    if known.size and int(known.max()) >= 1 << 63:
        raise IndexError(f"GPT: expected {name} that fit 64 bits with a sign, got {known.max()}")
    return ids.astype(np.int64)
