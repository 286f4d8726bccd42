"""BERT: a Transformer that reads a whole text at once, before and behind each token, and so cannot write one.

Devlin et al., "BERT: Pre-training of deep bidirectional Transformers for language understanding" (2019). It is the
GPT's stack of blocks without the causal mask:

    ids, segments (B, T)         "[CLS] a text [SEP] its continuation [SEP]", 0 and 1: which of the two a token is in
      x = dropout(norm(token + segment + position))                 three embeddings                         (B, T, C)
      x = norm(x + dropout(attention(x)))                           } num_hidden_layers blocks,              (B, T, C)
      x = norm(x + dropout(feed_forward(x)))                        } norm="post", and a gelu that is exact
    BertModel(...) -> x, and tanh(pooler(x at [CLS])), the text as a whole                                   (B, C)

It learns by filling gaps, and by judging whether two passages belong together. Either is a head on the encoder:

    masked LM      norm(gelu(transform(x))) · token_embeddingᵀ + bias     which token was here?              (B, T, V)
    next sentence  linear(pooled)                                         0: B follows A, 1: it does not     (B, 2)

BertForPreTraining has both. bert_heads.py has each alone, and the heads of fine-tuning. Names, arguments and meanings
are those of Hugging Face transformers.
"""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.models.hf.bert_layout import bert_layout, class_name
from tinygrad_gpt.models.hf.layout import ACTIVATIONS as OURS
from tinygrad_gpt.models.hf.pretrained import PretrainedModel
from tinygrad_gpt.models.inputs import as_ids, padding_mask, vectors_of
from tinygrad_gpt.models.output import ModelOutput
from tinygrad_gpt.nn import Block, Dropout, Embedding, LayerNorm, Linear, Module
from tinygrad_gpt.nn.feed_forward import ACTIVATIONS
from tinygrad_gpt.nn.watching import show
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.recompute import recompute
from tinygrad_gpt.settings import SettingError, check_settings, setting
from tinygrad_gpt.tensor import plain_array, plain_ids

_model = partial(setting, group="Model")


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT; the defaults are those of bert-base-uncased. Raises UserError for a value that cannot be."""

    vocab_size: int = _model(30522, help="how many different tokens there are", low=1)
    hidden_size: int = _model(768, help="channels C of each position; num_attention_heads divides it", low=1)
    num_hidden_layers: int = _model(12, help="blocks of attention and feed-forward, one after the other", low=1)
    num_attention_heads: int = _model(12, help="attention heads in each block", low=1)
    intermediate_size: int = _model(3072, help="channels inside the feed-forward", low=1)
    hidden_act: str = _model("gelu", help="in the feed-forward; gelu is the exact one", choices=tuple(OURS))
    hidden_dropout_prob: float = _model(0.1, help="part of the activations that training drops", low=0, below=1)
    attention_probs_dropout_prob: float = _model(0.1, help="the same of the attention weights", low=0, below=1)
    max_position_embeddings: int = _model(512, help="the longest text the model can look at, in tokens", low=1)
    type_vocab_size: int = _model(2, help="how many segments a text may have", low=1)
    initializer_range: float = _model(0.02, help="standard deviation of the initial matrices", low=0)
    layer_norm_eps: float = _model(1e-12, help="added to the variance in layer norms", above=0)
    pad_token_id: int | None = _model(0, help="the id of [PAD], whose embedding starts as zeros", low=0)
    classifier_dropout: float | None = _model(
        None, help="dropout before a classifier; by default hidden_dropout_prob", low=0, below=1
    )
    tie_word_embeddings: bool = _model(True, help="whether the masked LM's decoder shares the word embedding's weights")

    def __post_init__(self):
        check_settings(self)
        if self.hidden_size % self.num_attention_heads:
            heads = f"a multiple of num_attention_heads ({self.num_attention_heads})"
            raise SettingError("hidden_size", f"should be {heads}, not {self.hidden_size}")
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            raise SettingError("pad_token_id", f"should be below vocab_size ({self.vocab_size})")

    def to_dict(self) -> dict[str, Any]:
        """The settings by name: BertConfig(**config.to_dict()) == config."""
        return asdict(self)


def check_config(config) -> BertConfig:
    """`config` itself. Raises TypeError if it is not a BertConfig."""
    if not isinstance(config, BertConfig):
        hint = ": write BertConfig(**settings)" if isinstance(config, dict) else ""
        raise TypeError(f"BERT: expected a BertConfig, got {shown(config)}{hint}")
    return config


def count_parameters(config: BertConfig, heads: bool = True) -> int:
    """The number of parameters of a BertForPreTraining, without making it; heads=False: of its encoder, no pooler."""
    c, inner, v = config.hidden_size, config.intermediate_size, config.vocab_size
    linear, norm = c * c + c, 2 * c
    embeddings = (v + config.type_vocab_size + config.max_position_embeddings) * c + norm
    block = 4 * linear + (2 * c * inner + inner + c) + 2 * norm  # q, k, v, out; up and down
    masked_lm = linear + norm + (0 if config.tie_word_embeddings else v * c) + v
    pooler, next_sentence = linear, 2 * c + 2
    encoder = embeddings + config.num_hidden_layers * block
    return encoder + (masked_lm + pooler + next_sentence if heads else 0)


class BertPreTrainedModel(PretrainedModel):
    """What all BERTs have in common: from_pretrained and save_pretrained (hf/pretrained.py)."""

    config: BertConfig
    layout = bert_layout(BertConfig, partial(count_parameters, heads=False))
    classes: ClassVar[tuple[type[Module], ...]]  # all that a folder may hold; bert_heads.py lists them

    @classmethod
    def class_in(cls, tensors: Collection[str], written: dict[str, Any]) -> type[Module]:
        by_name = {one.__name__: one for one in cls.classes}
        return by_name[class_name(tensors, written, by_name)]


@dataclass(frozen=True)
class BertModelOutput(ModelOutput):
    """What a BertModel's call returns.

    last_hidden_state  (B, T, C)
    pooler_output      (B, C): what the pooler makes of the first token's; None without a pooler
    hidden_states      num_hidden_layers + 1 of (B, T, C): the embeddings, and the output of each block
    attentions         num_hidden_layers of (B, H, T, T), before dropout and without gradients; computed to be returned

    The last two are None unless they were asked for. (`| Any`, in all outputs, lets type checkers believe that the
    caller knows what they asked for.)
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Tensor, ...] | Any = None


class BertModel(BertPreTrainedModel):
    """ids (B, T) -> a vector (B, T, C) for each token, made from the tokens on both sides of it.

    add_pooling_layer  whether there is a pooler
    recompute          whether training keeps only each block's input, and runs the block again in backward
    """

    recompute = False

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True):
        self.config = c = check_config(config)
        std, width = c.initializer_range, c.hidden_size
        self.token_embedding = Embedding(c.vocab_size, width, std=std)
        self.segment_embedding = Embedding(c.type_vocab_size, width, std=std)
        self.position_embedding = Embedding(c.max_position_embeddings, width, std=std)
        if c.pad_token_id is not None:
            self.token_embedding.weight.data[c.pad_token_id] = 0
        self.embedding_norm = LayerNorm(width, c.layer_norm_eps)
        self.dropout = Dropout(c.hidden_dropout_prob)
        self.blocks = [
            Block(
                width,
                c.num_attention_heads,
                norm="post",
                hidden=c.intermediate_size,
                activation=OURS[c.hidden_act],
                dropout=c.hidden_dropout_prob,
                attn_dropout=c.attention_probs_dropout_prob,
                eps=c.layer_norm_eps,
                std=std,
                residual_std=std,
            )
            for _ in range(c.num_hidden_layers)
        ]
        self.pooler = Linear(width, width, std=std) if add_pooling_layer else None

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BertModelOutput:
        """The encoded text, and on request what is inside.

        input_ids       (B, T) integers
        attention_mask  (B, T): 1 for a token to look at, 0 for padding. What comes out at padding means nothing
        token_type_ids  (B, T) integers: 0 in the first segment, with [CLS], 1 in the second; None: all 0
        position_ids    (B, T) or (1, T) integers; None: 0 .. T-1

        Raises ValueError for another shape, for other values in the mask, for a mask that hides [CLS] (unless
        position_ids are given), and for more positions than max_position_embeddings; TypeError for ids that are not
        integers; IndexError for an id out of range.
        """
        blocks = [f"blocks.{i}" for i in range(self.config.num_hidden_layers)]
        states = ["dropout", *blocks] if output_hidden_states else []
        lookers = [f"{block}.attention" for block in blocks] if output_attentions else []
        with self.watching(*states, *lookers) if states or lookers else nullcontext({}) as seen:
            x = self.features(input_ids, attention_mask, token_type_ids, position_ids)
        hidden_states = tuple([seen[path].output for path in states]) or None
        attentions = tuple([seen[path].weights for path in lookers]) or None
        return BertModelOutput(x, None if self.pooler is None else self.pooled(x), hidden_states, attentions)

    def features(self, input_ids, attention_mask=None, token_type_ids=None, position_ids=None) -> Tensor:
        """ids (B, T) -> (B, T, C); arguments as for a call."""
        ids = as_ids(input_ids, "BERT", "input_ids")
        mask = padding_mask(attention_mask, ids.shape, self.token_embedding.weight.data, "BERT")
        if mask is not None and position_ids is None:
            _check_first_is_seen(attention_mask)
        x = vectors_of(ids, self.token_embedding, self.config.pad_token_id)  # (B, T, C)
        x = x + self.segment_embedding(_segments(token_type_ids, ids))  # (B, T, C)
        x = self.dropout(self.embedding_norm(x + self._positions(ids.shape[1], position_ids)))
        for block in self.blocks:
            x = recompute(partial(block, mask=mask), x) if self.recompute else block(x, mask=mask)
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, C): the text as a whole, from its first token. Raises ValueError if there is no pooler."""
        if self.pooler is None:
            raise ValueError("BERT: this model has no pooler: make it with add_pooling_layer=True")
        return F.tanh(self.pooler(x[:, 0]))

    def _positions(self, length: int, position_ids) -> Tensor:
        """The vectors of positions 0 .. length - 1, (T, C), or of those in position_ids, (B, T, C)."""
        if position_ids is not None:
            return self.position_embedding(position_ids)  # (B, T) -> (B, T, C)
        most = self.config.max_position_embeddings
        if length > most:
            raise ValueError(
                f"BERT: expected at most {most} positions (max_position_embeddings), got {length}: "
                "use shorter sequences, or a model with more positions"
            )
        positions = self.position_embedding.weight[:length]  # (T, C)
        show(self.position_embedding, output=positions)
        return positions


def _segments(token_type_ids, ids: Array) -> Array:
    """token_type_ids as an array; zeros if they are None."""
    if token_type_ids is None:
        return np.zeros_like(ids)
    segments = plain_ids(token_type_ids, "BERT", "token_type_ids")
    if segments.shape != ids.shape:
        raise ValueError(f"BERT: expected token_type_ids of the shape of input_ids, {ids.shape}, got {segments.shape}")
    return segments


def _check_first_is_seen(attention_mask) -> None:
    """Raise ValueError for segments in the place of the mask: they begin with 0. So does a mask of padding on the left,
    where each token would have a position that it did not have in training."""
    hidden = np.flatnonzero(to_numpy(plain_array(attention_mask, "attention_mask"))[:, 0] == 0)
    if len(hidden):
        raise ValueError(
            f"BERT: the attention_mask hides the first token of row {hidden[0]}, [CLS]: pad on the right, or give "
            "position_ids; and mind the order of arguments, which is input_ids, attention_mask, token_type_ids"
        )


class MaskedLMHead(Module):
    """x (..., C) -> logits (..., V): the scores of each token for a masked place.

    weight  (V, C): that of the word embedding, to share; None: a matrix of its own
    """

    def __init__(self, config: BertConfig, weight=None):
        c = config.hidden_size
        self.transform = Linear(c, c, std=config.initializer_range)
        self.activation = ACTIVATIONS[OURS[config.hidden_act]]
        self.norm = LayerNorm(c, config.layer_norm_eps)
        self.decoder = Linear(c, config.vocab_size, weight=weight, std=config.initializer_range)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.activation(self.transform(x)))  # (..., C)
        return self.decoder(x)  # (..., C) -> (..., V)


class BertWithHead(BertPreTrainedModel):
    """What all models with an encoder and a head have in common."""

    bert: BertModel

    @property
    def config(self) -> BertConfig:
        """That of the encoder."""
        return self.bert.config

    @property
    def recompute(self) -> bool:
        """Whether training runs the encoder's blocks again in backward."""
        return self.bert.recompute

    @recompute.setter
    def recompute(self, on: bool) -> None:
        self.bert.recompute = on


@dataclass(frozen=True)
class BertForPreTrainingOutput(ModelOutput):
    """What a BertForPreTraining's call returns; hidden_states and attentions as in BertModelOutput.

    prediction_logits        (B, T, V): scores of each token for each place
    seq_relationship_logits  (B, 2): scores of "B follows A" (0) and "B is from elsewhere" (1)
    loss                     the sum of both mean cross-entropies, in nats; None unless both labels were given
    """

    prediction_logits: Tensor
    seq_relationship_logits: Tensor
    loss: Tensor | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Tensor, ...] | Any = None


class PretrainingLoss(NamedTuple):
    """What a batch costs, in nats: total = masked + next_sentence."""

    total: Tensor
    masked: Tensor
    next_sentence: Tensor


class BertForPreTraining(BertWithHead):
    """BERT with both heads of pre-training (section 3.1 of the paper)."""

    def __init__(self, config: BertConfig):
        self.bert = BertModel(config)
        self.masked_lm = MaskedLMHead(config, shared_weight(self.bert))
        self.next_sentence = Linear(config.hidden_size, 2, std=config.initializer_range)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        labels=None,
        next_sentence_label=None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BertForPreTrainingOutput:
        """Scores for each place and each pair; with both labels, the loss.

        labels               (B, T): the token that was at each place, -100 where the loss should not look
        next_sentence_label  (B,): 0 if the second segment follows the first, 1 if it is from elsewhere

        The other arguments are those of BertModel. Raises ValueError if all labels are -100.
        """
        out = self.bert(
            input_ids, attention_mask, token_type_ids, position_ids, output_hidden_states, output_attentions
        )
        logits, follows = self.masked_lm(out.last_hidden_state), self.next_sentence(out.pooler_output)
        loss = None
        if labels is not None and next_sentence_label is not None:
            loss = F.cross_entropy(logits, labels) + F.cross_entropy(follows, next_sentence_label)
        return BertForPreTrainingOutput(logits, follows, loss, out.hidden_states, out.attentions)

    def loss(self, input_ids, attention_mask, token_type_ids, labels, next_sentence_label) -> PretrainingLoss:
        """The loss of a batch, as in a call. Scores are computed at the places with labels only: about one in seven."""
        x = self.bert.features(input_ids, attention_mask, token_type_ids)  # (B, T, C)
        labels = as_ids(labels, "BERT", "labels")
        if labels.shape != x.shape[:2]:
            raise ValueError(f"BERT: expected labels of the shape of input_ids, {x.shape[:2]}, got {labels.shape}")
        masked = F.cross_entropy(*self.scores_at(x, labels))
        follows = F.cross_entropy(self.next_sentence(self.bert.pooled(x)), plain_ids(next_sentence_label, "BERT"))
        return PretrainingLoss(masked + follows, masked, follows)

    def scores_at(self, x: Tensor, labels: Array) -> tuple[Tensor, Array]:
        """The scores of each token at the P places with a label, (P, V), and these labels, (P,), row by row.

        x       (B, T, C): features of the encoder
        labels  (B, T) integers: -100 at all other places
        """
        rows, places = np.nonzero(labels != IGNORE_INDEX)  # (P,), (P,)
        return self.masked_lm(x[rows, places]), labels[rows, places]  # (P, C) -> (P, V)


def shared_weight(bert: BertModel):
    """The weights that a masked LM's head shares with the word embedding; None if it has its own."""
    return bert.token_embedding.weight if bert.config.tie_word_embeddings else None
