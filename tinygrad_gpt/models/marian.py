"""MarianMTModel: the Transformer with the interface of Hugging Face transformers, for real checkpoints.

    model = MarianMTModel.from_pretrained("marian-folder")      # config.json and model.safetensors
    output = model(input_ids, attention_mask, labels=labels, output_attentions=True)
    output.loss.backward()

Where the folder has a tokenizer.json, a call of the tokenizer ends each sentence with </s>, as the model expects it:

    model, tokenizer = tinygrad_gpt.load("marian-folder")
    written = model.generate(**tokenizer(["ein hund .", "ein haus ."], padding=True), max_new_tokens=50, num_beams=5)
    tokenizer.decode(written[0])

Models of OPUS-MT are published with SentencePiece files (source.spm, target.spm) in the place of a tokenizer.json. They
are not read here: the ids of their sentences must come from elsewhere, such as transformers' MarianTokenizer.

Names, arguments and meanings are those of transformers' `MarianMTModel` (Junczys-Dowmunt et al., "Marian: fast neural
machine translation in C++", 2018). It differs from a Transformer in nothing but a bias on the logits, which nobody
trains, and in the order of the sinusoids: see hf/marian_layout.py.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array, default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.hf.marian_layout import marian_layout
from tinygrad_gpt.models.hf.pretrained import PretrainedModel
from tinygrad_gpt.models.inputs import as_ids
from tinygrad_gpt.models.output import ModelOutput
from tinygrad_gpt.models.transformer import Transformer, TransformerConfig, check_config, count_parameters
from tinygrad_gpt.nn.watching import show
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX


@dataclass(frozen=True)
class EncoderOutput(ModelOutput):
    """What the encoder makes of a source, which a call takes as `encoder_outputs` (transformers' BaseModelOutput).

    last_hidden_state  (B, Ts, C)
    hidden_states      encoder_layers + 1 of (B, Ts, C): the embeddings, and the output of each block
    attentions         encoder_layers of (B, H, Ts, Ts), before dropout and without gradients
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Tensor, ...] | Any = None


@dataclass(frozen=True)
class Seq2SeqLMOutput(ModelOutput):
    """What a MarianMTModel's call returns.

    logits                     (B, T, V): at each position of the target, scores for the token that comes next
    loss                       mean cross-entropy in nats of the labels; None without them
    decoder_hidden_states      decoder_layers + 1 of (B, T, C): the embeddings, and the output of each block
    decoder_attentions         decoder_layers of (B, H, T, T): how the target looks at itself
    cross_attentions           decoder_layers of (B, H, T, Ts): how the target looks at the source
    encoder_last_hidden_state  (B, Ts, C)
    encoder_hidden_states      encoder_layers + 1 of (B, Ts, C)
    encoder_attentions         encoder_layers of (B, H, Ts, Ts)

    Attention weights are those before dropout, without gradients; computed only to be returned. What was not asked for
    is None. (`| Any` lets type checkers believe that the caller knows what they asked for.)
    """

    logits: Tensor
    loss: Tensor | Any = None
    decoder_hidden_states: tuple[Tensor, ...] | Any = None
    decoder_attentions: tuple[Tensor, ...] | Any = None
    cross_attentions: tuple[Tensor, ...] | Any = None
    encoder_last_hidden_state: Tensor | Any = None
    encoder_hidden_states: tuple[Tensor, ...] | Any = None
    encoder_attentions: tuple[Tensor, ...] | Any = None


class MarianMTModel(Transformer, PretrainedModel):
    """A Transformer with norm="post" that you call as you call transformers' models.

    final_logits_bias  (1, V), a buffer: zeros, or what a file says
    """

    layout = marian_layout(TransformerConfig, count_parameters)

    def __init__(self, config: TransformerConfig):
        if check_config(config).norm != "post":
            raise UserError(f'Marian has norm="post", not {config.norm!r}: Transformer has both')
        super().__init__(config)
        self.register_buffer("final_logits_bias", Tensor(np.zeros((1, config.vocab_size), default_dtype())))

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        decoder_input_ids=None,
        decoder_attention_mask=None,
        encoder_outputs=None,
        labels=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> Seq2SeqLMOutput:
        """Logits for the next token of the target; on request the loss, hidden states and attention weights.

        input_ids               (B, Ts) integers, the source; not needed with encoder_outputs
        attention_mask          (B, Ts): 1 for a token of the source to look at, 0 for padding
        decoder_input_ids       (B, T) integers, the target, which begins with decoder_start_token_id; None: made from
                                the labels
        decoder_attention_mask  (B, T): the same of the target. Padding on the right needs none
        encoder_outputs         what `encoder_outputs` returned, or a tuple that begins with `encode`'s (B, Ts, C)
        labels                  (B, T) integers: what should be written; -100, which padding wants, is ignored

        Raises what Transformer's forward raises; ValueError without a source or a target, for labels of another shape,
        and if all of them are ignored.
        """
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("MarianMTModel: expected decoder_input_ids, or labels to make them from, got neither")
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if encoder_outputs is None:
            if input_ids is None:
                raise ValueError("MarianMTModel: expected input_ids or encoder_outputs, got neither")
            encoder_outputs = self.encoder_outputs(input_ids, attention_mask, output_hidden_states, output_attentions)
        encoder = _as_encoder_output(encoder_outputs)

        blocks = [f"decoder.{i}" for i in range(self.config.decoder_layers)]
        states = ["dropout", *blocks] if output_hidden_states else []
        own = [f"{block}.attention" for block in blocks] if output_attentions else []
        cross = [f"{block}.cross_attention" for block in blocks] if output_attentions else []
        with self.watching(*states, *own, *cross) if states or own else nullcontext({}) as seen:
            x = self.decode(
                decoder_input_ids, encoder.last_hidden_state, attention_mask, target_mask=decoder_attention_mask
            )
        logits = self.logits(x)
        return Seq2SeqLMOutput(
            logits=logits,
            loss=None if labels is None else F.cross_entropy(logits, as_ids(labels, "MarianMTModel", "labels")),
            decoder_hidden_states=tuple([seen[path].output for path in states]) or None,
            decoder_attentions=tuple([seen[path].weights for path in own]) or None,
            cross_attentions=tuple([seen[path].weights for path in cross]) or None,
            encoder_last_hidden_state=encoder.last_hidden_state,
            encoder_hidden_states=encoder.hidden_states,
            encoder_attentions=encoder.attentions,
        )

    def encoder_outputs(
        self, input_ids, attention_mask=None, output_hidden_states: bool = False, output_attentions: bool = False
    ) -> EncoderOutput:
        """What the encoder makes of a source: arguments as for a call. (transformers: model.get_encoder()(...).)"""
        blocks = [f"encoder.{i}" for i in range(self.config.encoder_layers)]
        states = ["dropout", *blocks] if output_hidden_states else []
        lookers = [f"{block}.attention" for block in blocks] if output_attentions else []
        with self.watching(*states, *lookers) if states or lookers else nullcontext({}) as seen:
            x = self.encode(input_ids, attention_mask)
        hidden_states = tuple([seen[path].output for path in states]) or None
        return EncoderOutput(x, hidden_states, tuple([seen[path].weights for path in lookers]) or None)

    def logits(self, x: Tensor) -> Tensor:
        """x (..., C) -> (..., V): the score of each token."""
        logits = F.linear(x, self.head.weight, self.final_logits_bias[0])  # the head's product, with a bias
        show(self.head, output=logits)
        return logits

    def prepare_decoder_input_ids_from_labels(self, labels) -> Array:
        """labels (B, T) -> (B, T): what a decoder reads that should write them, each token one place later. It begins
        with decoder_start_token_id; padding in the place of -100."""
        labels, c = as_ids(labels, "MarianMTModel", "labels").astype(np.int64), self.config
        shifted = np.full_like(labels, c.decoder_start_token_id)
        shifted[:, 1:] = labels[:, :-1]
        return np.where(shifted == IGNORE_INDEX, c.pad_token_id, shifted)


def _as_encoder_output(given) -> EncoderOutput:
    """An EncoderOutput, or a tuple of its parts, as the former. Raises TypeError for anything else."""
    if isinstance(given, EncoderOutput):
        return given
    if isinstance(given, tuple | list) and given and isinstance(given[0], Tensor):
        return EncoderOutput(*given[:3])
    raise TypeError(f"MarianMTModel: expected encoder_outputs as a tuple that begins with a Tensor, got {shown(given)}")
