"""CausalLM: a GPT with the interface of Hugging Face transformers, for real checkpoints and work with them.

    model = GPT2.from_pretrained("openai-community/gpt2")
    output = model(input_ids, labels=input_ids, output_hidden_states=True)
    output.loss.backward()

Names, arguments and meanings are those of transformers' `GPT2LMHeadModel`, so that its users feel at home.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import Array, if_on_cpu, to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.generate import generate_batch
from tinygrad_gpt.generate.prompts import position_ids
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.models.hf.pretrained import PretrainedModel
from tinygrad_gpt.models.output import ModelOutput
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.tensor import plain_array, plain_ids


@dataclass(frozen=True)
class CausalLMOutput(ModelOutput):
    """What a CausalLM's call returns.

    logits         (B, T, V): at each position, scores for the token that comes next
    loss           mean cross-entropy in nats of the labels; None without them
    hidden_states  n_layer + 1 of (B, T, C): the embeddings, the outputs of all blocks but the last, the head's input
    attentions     n_layer of (B, H, T, T), before dropout and without gradients; computed only to be returned

    What was not asked for is None. (`| Any` lets type checkers believe that the caller knows what they asked for.)
    """

    logits: Tensor
    loss: Tensor | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Tensor, ...] | Any = None


class CausalLM(GPT, PretrainedModel):
    """A GPT that you call as you call transformers' models. Base of GPT1 and GPT2."""

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
        """Logits for the next token at every position; on request the loss, hidden states and attention weights.

        input_ids       (B, T) integers
        attention_mask  (B, T): 1 for a token to look at, 0 for padding. What comes out at padding means nothing
        position_ids    (B, T) or (1, T) integers; None: 0 .. T-1, on padding too. A batch that is padded on the left
                        wants `position_ids(attention_mask)`
        labels          (B, T) integers, mostly input_ids themselves: position t predicts label t + 1. The label -100
                        is ignored. Give it to padding, and to the first token after it: padding would predict it

        Raises what GPT.features raises, and ValueError for labels of another shape or if all are ignored.
        """
        blocks = [f"blocks.{i}" for i in range(self.config.n_layer)]
        states = ["dropout", *blocks[:-1]] if output_hidden_states else []
        lookers = [f"{block}.attention" for block in blocks] if output_attentions else []
        with self.watching(*states, *lookers) if states or lookers else nullcontext({}) as seen:
            x = self.features(input_ids, attention_mask=attention_mask, position_ids=position_ids)
        hidden_states = (*[seen[path].output for path in states], x) if output_hidden_states else None
        attentions = tuple([seen[path].weights for path in lookers]) if output_attentions else None
        logits = self.head(x)  # (B, T, C) -> (B, T, V)
        loss = None if labels is None else F.cross_entropy(logits, next_tokens(labels))
        return CausalLMOutput(logits, loss, hidden_states, attentions)

    def log_prob(self, input_ids, attention_mask=None) -> np.ndarray:
        """log p(text) in nats of each row, (B,): the sum of log p(token | tokens before it) over all but the first.

        attention_mask  (B, T): 0 for padding, on either side, which is ignored
        """
        ids = to_numpy(signed_ids(input_ids))
        mask = np.ones_like(ids) if attention_mask is None else to_numpy(plain_array(attention_mask, "attention_mask"))
        if ids.ndim != 2 or mask.shape != ids.shape:
            raise ValueError(f"log_prob: expected ids and mask of one shape (B, T), got {ids.shape} and {mask.shape}")
        targets = next_tokens(np.where(mask == 1, ids, IGNORE_INDEX))
        targets = np.where(mask == 1, targets, IGNORE_INDEX)  # the first token after padding follows nothing
        with self.evaluating(), no_grad():
            logits = self(ids, mask, position_ids(mask)).logits
            losses = F.cross_entropy(logits, targets, reduction="none")  # (B, T)
        return -to_numpy(losses.data).sum(axis=1)


def next_tokens(labels) -> Array:
    """labels (B, T) -> targets (B, T), the label to the right of each position, and IGNORE_INDEX at the end."""
    labels = signed_ids(labels, "labels")
    if labels.ndim != 2:
        raise ValueError(f"next_tokens: expected labels of shape (B, T), got {labels.shape}")
    targets = np.full_like(labels, IGNORE_INDEX)
    targets[:, :-1] = labels[:, 1:]
    return targets


def signed_ids(ids, name: str = "ids") -> Array:
    """ids as a plain array that can hold IGNORE_INDEX, as unsigned ones cannot.

    Raises IndexError for an id beyond int64.
    """
    ids = plain_ids(ids, "GPT", name)
    if ids.dtype.kind != "u":
        return ids
    known = if_on_cpu(ids)
    if known.size and int(known.max()) >= 1 << 63:
        raise IndexError(f"GPT: expected {name} that fit 64 bits with a sign, got {known.max()}")
    return ids.astype(np.int64)
