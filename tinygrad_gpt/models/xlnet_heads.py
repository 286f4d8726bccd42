"""XLNet with the interface of Hugging Face transformers: bare, with the head that tells tokens, and with one for texts.

    model = XLNetLMHeadModel.from_pretrained("xlnet-folder")                # config.json and model.safetensors
    output = model(input_ids, perm_mask=perm_mask, target_mapping=target_mapping, labels=labels)
    output.loss.backward()

Names, arguments and meanings are those of transformers' classes of these names, but for this:

- `generate` writes what transformers writes with use_mems=False. By default that reads, after the first token, only the
  last two tokens again beside the mems, which with attn_type "bi" computes something else. And here padding stays
  masked.
- A target's attention weights are one row, at its place, and not T rows.
- A target that may see nothing is told nothing, and not the mean of everything.
- Refused are masks of other numbers than 0 and 1; labels that are all -100; and padding on the right in a classifier
  that reads the last token.
- There are these three classes alone, without `inputs_embeds` and `return_dict`: the output is an object, always.
"""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.generate.batch import generate_batch
from tinygrad_gpt.models.hf.layout import ACTIVATIONS
from tinygrad_gpt.models.hf.pretrained import PretrainedModel
from tinygrad_gpt.models.hf.xlnet_layout import XLNetLayout, class_name, xlnet_layout
from tinygrad_gpt.models.labels import TextClassifier
from tinygrad_gpt.models.memory import turned
from tinygrad_gpt.models.output import ModelOutput
from tinygrad_gpt.models.xlnet import TwoStreams, XLNet, XLNetConfig, XLNetLayer, check_config, count_parameters
from tinygrad_gpt.models.xlnet_writing import XLNetCache, ask_for_next
from tinygrad_gpt.nn import Dropout, Linear, Module
from tinygrad_gpt.nn.feed_forward import ACTIVATIONS as FUNCTIONS
from tinygrad_gpt.tensor import plain_array


class XLNetPreTrainedModel(PretrainedModel):
    """What all XLNets have in common: from_pretrained and save_pretrained (hf/pretrained.py)."""

    config: XLNetConfig
    layout: XLNetLayout = xlnet_layout(XLNetConfig, count_parameters)
    classes: ClassVar[tuple[type[Module], ...]]  # all that a folder may hold

    @classmethod
    def class_in(cls, tensors: Collection[str], written: dict[str, Any]) -> type[Module]:
        by_name = {one.__name__: one for one in cls.classes}
        return by_name[class_name(tensors, written, by_name)]


@dataclass(frozen=True)
class XLNetModelOutput(ModelOutput):
    """What an XLNetModel's call returns.

    last_hidden_state  (B, N, C) of the targets; without target_mapping (B, T, C) of the tokens
    mems               n_layer of (M, B, C), M up to mem_len, without gradients: for the next call. None if use_mems is
                       off
    hidden_states      n_layer + 1 of (B, T, C): the embeddings, and the output of each layer. With target_mapping, each
                       is followed by that of the targets, (B, N, C)
    attentions         n_layer of (B, H, T, M + T), before dropout and without gradients; computed to be returned. With
                       target_mapping each is a pair, with that of the targets, (B, H, N, M + T). (If a row of
                       target_mapping is no place, (B, H, T, M + T): a row for each place)

    The last two are None unless they were asked for. (`| Any`, in all outputs, lets type checkers believe that the
    caller knows what they asked for.)
    """

    last_hidden_state: Tensor
    mems: tuple[Tensor, ...] | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Any, ...] | Any = None


class XLNetModel(XLNet, XLNetPreTrainedModel):
    """An XLNet that you call as you call transformers' XLNetModel."""

    def __init__(self, config: XLNetConfig):
        super().__init__(config)
        self.layout = type(self).layout.of(config)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        mems=None,
        perm_mask=None,
        target_mapping=None,
        token_type_ids=None,
        input_mask=None,
        use_mems: bool | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> XLNetModelOutput:
        """The query stream of the targets, or without targets the content stream; and on request what is inside.

        input_ids       (B, T) integers
        attention_mask  (B, T): 1 for a token to look at, 0 for padding. What comes out at padding means nothing
        mems            those of an earlier call, of the text before. All look at it
        perm_mask       (B, T, T): 1 where the token at place i may not look at the one at place j. One always looks at
                        itself in the content stream; in the query stream too, unless perm_mask forbids it
        target_mapping  (B, N, T): one row per target, with 1 at its place
        token_type_ids  (B, T) integers, which only count as equal or not; those of mems are 0
        input_mask      (B, T): attention_mask the other way round, 1 for padding. Give one of the two
        use_mems        whether to return mems; None: use_mems_eval of the config, in training use_mems_train

        Raises ValueError for other shapes and values, and for both masks; TypeError for ids that are not integers;
        IndexError for an id out of range.
        """
        padding = _padding(attention_mask, input_mask)
        memory = None if mems is None else tuple(turned(mems))  # n_layer of (M, B, C) -> (B, M, C)
        mask = None if perm_mask is None else _allowed(perm_mask)
        if use_mems is None:
            use_mems = self.config.use_mems_train if self.training else self.config.use_mems_eval
        layers = [f"layers.{i}" for i in range(self.config.n_layer)]
        states = ["dropout", *layers] if output_hidden_states else []
        lookers = [f"{layer}.attention" for layer in layers] if output_attentions else []
        with self.watching(*states, *lookers) if states or lookers else nullcontext({}) as seen:
            streams = self.read(
                input_ids,
                memory=memory,
                mask=mask,
                padding=padding,
                segments=token_type_ids,
                targets=target_mapping,
                content=target_mapping is None or output_hidden_states or output_attentions,
                remember=use_mems,
                reuse=self.config.reuse_len,
            )
        both = target_mapping is not None
        t = plain_array(input_ids).shape[1]
        hidden_states = [seen[path].output for path in states]
        if both:
            hidden_states = [part for x in hidden_states for part in (x[:, :t], x[:, t:])]
        attentions = [seen[path].weights for path in lookers]
        if both:
            attentions = [(weights[:, :, :t], weights[:, :, t:]) for weights in attentions]
        new = None if streams.memory is None else tuple(map(Tensor, turned(streams.memory)))
        x = streams.query if both else streams.content
        return XLNetModelOutput(x, new, tuple(hidden_states) or None, tuple(attentions) or None)


class XLNetWithHead(XLNetPreTrainedModel):
    """What all models with a body and a head have in common."""

    transformer: XLNetModel

    def _make_body(self, config: XLNetConfig) -> None:
        self.transformer = XLNetModel(check_config(config))
        self.layout = type(self).layout.of(config)

    @property
    def config(self) -> XLNetConfig:
        """That of the body."""
        return self.transformer.config

    @property
    def blocks(self) -> list[XLNetLayer]:
        """The body's layers, under the name by which the health check finds them."""
        return self.transformer.layers

    @property
    def recompute(self) -> bool:
        """Whether training runs the body's layers again in backward."""
        return self.transformer.recompute

    @recompute.setter
    def recompute(self, on: bool) -> None:
        self.transformer.recompute = on


@dataclass(frozen=True)
class XLNetOutput(ModelOutput):
    """What the call of a model with a head returns; mems, hidden_states and attentions as in XLNetModelOutput.

    logits  the head's scores
    loss    None without labels
    """

    logits: Tensor
    loss: Tensor | Any = None
    mems: tuple[Tensor, ...] | Any = None
    hidden_states: tuple[Tensor, ...] | Any = None
    attentions: tuple[Any, ...] | Any = None


class XLNetLMHeadModel(XLNetWithHead):
    """XLNet that tells tokens: logits (B, N, V) of the targets; without targets (B, T, V), of tokens that it sees."""

    generate = generate_batch  # model.generate(input_ids, ...): greedy, sampling, beam search

    def __init__(self, config: XLNetConfig):
        self._make_body(config)
        weight = self.transformer.token_embedding.weight if config.tie_word_embeddings else None
        self.head = Linear(config.d_model, config.vocab_size, weight=weight, std=config.initializer_range)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        mems=None,
        perm_mask=None,
        target_mapping=None,
        token_type_ids=None,
        input_mask=None,
        labels=None,
        use_mems: bool | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> XLNetOutput:
        """labels (B, N), or without target_mapping (B, T): the tokens that are there; -100 where the loss should not
        look. The loss is their mean cross-entropy, in nats. The rest is as for XLNetModel.

        Raises ValueError for labels of another shape, or if all are -100.
        """
        out = self.transformer(
            input_ids,
            attention_mask,
            mems,
            perm_mask,
            target_mapping,
            token_type_ids,
            input_mask,
            use_mems,
            output_attentions,
            output_hidden_states,
        )
        logits = self.head(out.last_hidden_state)  # (B, N, C) -> (B, N, V)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return XLNetOutput(logits, loss, out.mems, out.hidden_states, out.attentions)

    def read(self, ids, **given) -> TwoStreams:
        """Both streams, from whose vectors the head makes logits: see XLNet.read."""
        return self.transformer.read(ids, **given)

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> XLNetCache:
        """An empty cache for writing `batch_size` texts, of any length: `capacity` says nothing."""
        return XLNetCache(batch_size)

    def next_logits(self, ids, cache: XLNetCache | None = None, *, attention_mask=None, position_ids=None) -> Tensor:
        """ids (B, T) -> logits (B, V) of the token after the last one: see xlnet_writing.py.

        cache           knows of the tokens before `ids`; then it knows of these too
        attention_mask  (B, T), those in the cache included: 1 for a token to look at, 0 for padding. With attn_type
                        "bi" padding counts where a window ends: more of it changes what comes after mem_len columns
        position_ids    say nothing: distances are the same behind padding
        """
        cache = self.new_cache(len(ids)) if cache is None else cache
        return self.head(ask_for_next(self.transformer, ids, cache, attention_mask))  # (B, C) -> (B, V)


class XLNetForSequenceClassification(TextClassifier, XLNetWithHead):
    """A class for each text or pair of texts, logits (B, num_labels); with num_labels=1 a number for each, (B, 1).

    It reads the vector of the last token, <cls>, which sees all others; so padding stands on the left. (summary_type
    "cls_index" is "last" here, as in transformers. "first" and "mean" read padding too.) Through a linear layer and
    summary_activation it comes to the classifier.

    num_labels, id2label, problem_type  see NamedClasses and TextClassifier
    """

    def __init__(
        self,
        config: XLNetConfig,
        num_labels: int | None = None,
        id2label: dict[int, str] | None = None,
        problem_type: str | None = None,
    ):
        self.name_classes(num_labels, id2label)
        self.set_problem(problem_type)
        self._make_body(config)
        c, std = config.d_model, config.initializer_range
        self.summary = Linear(c, c, std=std) if config.summary_use_proj else None
        self.dropout = Dropout(config.summary_last_dropout)
        self.classifier = Linear(c, self.num_labels, std=std)

    def forward(
        self,
        input_ids,
        attention_mask=None,
        mems=None,
        perm_mask=None,
        target_mapping=None,
        token_type_ids=None,
        input_mask=None,
        labels=None,
        use_mems: bool | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> XLNetOutput:
        """labels: see problem_type. The rest is as for XLNetModel.

        Raises ValueError for labels of another shape, and for padding at the end of a row where the last token is read.
        """
        if self.config.summary_type in ("last", "cls_index"):
            _check_last_is_seen(_padding(attention_mask, input_mask))
        out = self.transformer(
            input_ids,
            attention_mask,
            mems,
            perm_mask,
            target_mapping,
            token_type_ids,
            input_mask,
            use_mems,
            output_attentions,
            output_hidden_states,
        )
        logits = self.classifier(self.summarised(out.last_hidden_state))  # (B, C) -> (B, num_labels)
        loss = None if labels is None else self.loss_of(logits, plain_array(labels, "labels"))
        return XLNetOutput(logits, loss, out.mems, out.hidden_states, out.attentions)

    def summarised(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, C): the text as a whole."""
        c = self.config
        x = x.mean(axis=1) if c.summary_type == "mean" else x[:, 0 if c.summary_type == "first" else -1]
        x = x if self.summary is None else self.summary(x)
        return self.dropout(x if c.summary_activation is None else FUNCTIONS[ACTIVATIONS[c.summary_activation]](x))


XLNetPreTrainedModel.classes = (XLNetModel, XLNetLMHeadModel, XLNetForSequenceClassification)


def _padding(attention_mask, input_mask) -> Array | None:
    """(B, T), 1 for a token and 0 for padding."""
    if attention_mask is not None and input_mask is not None:
        raise ValueError(
            "XLNet: expected attention_mask (1 for a token) or input_mask (1 for padding), got both: leave one out"
        )
    return attention_mask if input_mask is None else _allowed(input_mask)


def _check_last_is_seen(padding) -> None:
    """Raise ValueError for padding on the right: its vector would be read in the place of that of <cls>."""
    known = np.ones((1, 1)) if padding is None else to_numpy(plain_array(padding, "attention_mask"))
    hidden = np.flatnonzero(known[:, -1] == 0) if known.ndim == 2 else []  # another shape is refused later
    if len(hidden):
        raise ValueError(
            f"XLNet: the attention_mask hides the last token of row {hidden[0]}, which the classifier reads: pad on "
            "the left; and mind that input_mask is 1 for padding"
        )


def _allowed(forbidden) -> Array:
    """1 where `forbidden` is 0, and the other way round."""
    return 1 - plain_array(forbidden, "a mask")
