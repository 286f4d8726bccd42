"""TransfoXLLMHeadModel: Transformer-XL with the interface of Hugging Face transformers 4.35.2, for real checkpoints.

    model = TransfoXLLMHeadModel.from_pretrained("transfo-xl-folder")      # config.json and model.safetensors
    output = model(input_ids, labels=input_ids)
    output.loss.backward()
    output = model(next_ids, mems=output.mems)

Names, arguments and meanings are those of transformers' class, which later versions no longer have, but for this:

- A text begins with an empty memory, as in the authors' code. In transformers it begins with mem_len vectors of zeros,
  which attention looks at as if they were tokens: `zero_memory=True`.
- The losses stand in the order of the positions. transformers has them by cluster, where there are cutoffs.
- Their mean is over all labels but -100; transformers leaves out losses that are exactly 0, too.

transformers never wrote a tokenizer.json for this model, so the ids of its words must come from elsewhere.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.generate.batch import generate_batch
from tinygrad_gpt.models.causal_lm import next_tokens
from tinygrad_gpt.models.hf.pretrained import PretrainedModel
from tinygrad_gpt.models.hf.transfo_xl_layout import transfo_xl_layout
from tinygrad_gpt.models.memory import turned
from tinygrad_gpt.models.output import ModelOutput
from tinygrad_gpt.models.transformer_xl import TransformerXL, TransformerXLConfig, count_parameters
from tinygrad_gpt.nn.adaptive import AdaptiveSoftmax
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX


@dataclass(frozen=True)
class TransfoXLLMHeadModelOutput(ModelOutput):
    """What a TransfoXLLMHeadModel's call returns.

    losses             (B, T - 1): of each label but the first, in nats; 0 for -100. None without labels
    prediction_scores  (B, T, V): the log-probability of each token at the next place. None with labels: the losses do
                       not take those of all words
    mems               n_layer of (M, B, C), M <= mem_len: the memory for the next call
    hidden_states      n_layer + 1 of (B, T, C): the input of each block, and what the head reads
    attentions         n_layer of (B, H, T, K), K = M + T, before dropout and without gradients
    loss               the mean of the losses; None without labels

    What was not asked for is None. (`| Any` lets type checkers believe that the caller knows what they asked for.)
    """

    losses: Tensor | Any = None
    prediction_scores: Tensor | Any = None
    mems: tuple[Tensor, ...] | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Tensor, ...] | Any = None
    loss: Tensor | Any = None

    @property
    def logits(self) -> Tensor:
        """prediction_scores, which serve as logits."""
        return self.prediction_scores


class TransfoXLLMHeadModel(TransformerXL, PretrainedModel):
    """A TransformerXL that you call as you call transformers' models.

    zero_memory  see TransformerXL
    """

    layout = transfo_xl_layout(TransformerXLConfig, count_parameters)
    generate = generate_batch  # model.generate(input_ids, ...): greedy, sampling, beam search

    def __init__(self, config: TransformerXLConfig, zero_memory: bool = False):
        super().__init__(config)
        self.zero_memory = flag("TransfoXLLMHeadModel", "zero_memory", zero_memory)

    def forward(
        self,
        input_ids,
        mems=None,
        labels=None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> TransfoXLLMHeadModelOutput:
        """Log-probabilities of the next token, or the losses of labels, and the memory for the next segment; on request
        what is inside.

        input_ids  (B, T) integers, the next segment of each text. None is padded: see `next_logits`
        mems       what the last call returned: n_layer of (M, B, C), the time first; None: the texts begin here
        labels     (B, T) integers, mostly input_ids themselves: position t predicts label t + 1. -100 is ignored

        Raises what TransformerXL.read raises, and ValueError for labels of another shape or if all are ignored.
        """
        blocks = [f"blocks.{i}" for i in range(self.config.n_layer)]
        states = ["dropout", *blocks[:-1]] if output_hidden_states else []
        lookers = [f"{block}.attention" for block in blocks] if output_attentions else []
        memory = None if mems is None else turned(mems)
        with self.watching(*states, *lookers) if states or lookers else nullcontext({}) as seen:
            x, memory = self.read(input_ids, memory)
        scores = losses = loss = None
        if labels is None:
            scores = self.head(x)  # (B, T, C) -> (B, T, V)
            scores = scores if isinstance(self.head, AdaptiveSoftmax) else F.log_softmax(scores, dim=-1)
        else:
            targets = next_tokens(labels)  # (B, T), the last ones ignored
            losses = self.loss_of(x, targets, "none")[:, :-1]  # (B, T - 1)
            counted = int(np.sum(targets != IGNORE_INDEX))
            if not counted:
                raise ValueError(
                    f"TransfoXLLMHeadModel: all labels but the first are {IGNORE_INDEX}: nothing to average"
                )
            loss = F.sum(losses) / counted
        return TransfoXLLMHeadModelOutput(
            losses=losses,
            prediction_scores=scores,
            mems=tuple(map(Tensor, turned(memory))),
            hidden_states=(*[seen[path].output for path in states], x) if output_hidden_states else None,
            attentions=tuple([seen[path].weights for path in lookers]) or None,
            loss=loss,
        )
