"""How transformers stores a BERT, whatever its head."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.models.hf.layout import Layout
from tinygrad_gpt.random_stream import normal

_LAYER = "bert.encoder.layer.N."
_HEAD_BIAS, _DECODER_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"
_PREDICTIONS, _NEXT_SENTENCE, _POOLER = "cls.predictions.", "cls.seq_relationship.", "bert.pooler."
_TASKS = ("classifier.", "qa_outputs.")
_HEADS = (_POOLER, _PREDICTIONS, _NEXT_SENTENCE, *_TASKS)
# The models that are pre-trained, the largest first, and the heads that each needs.
_PRETRAINED = {
    "BertForPreTraining": (_PREDICTIONS, _NEXT_SENTENCE, _POOLER),
    "BertForMaskedLM": (_PREDICTIONS,),
    "BertForNextSentencePrediction": (_NEXT_SENTENCE, _POOLER),
    "BertModel": (),
}


class BertLayout(Layout):
    """BERT's exceptions.

    - A layer norm's weight and bias may be called gamma and beta, TensorFlow's names.
    - Files of the bare encoder have names without `bert.`.
    - The masked LM's bias has two names. If the embeddings are tied, the file has `cls.predictions.bias` alone. If not,
      it has both, and `cls.predictions.decoder.bias` is the one that counts.
    """

    def full_name(self, tensor: str) -> str:
        name = super().full_name(tensor)
        for tensorflow, torch in ((".gamma", ".weight"), (".beta", ".bias")):
            name = name.removesuffix(tensorflow) + torch if name.endswith(tensorflow) else name
        return name

    def tensors(self, parameter: str, array: np.ndarray) -> dict[str, np.ndarray]:
        tensors = super().tensors(parameter.removeprefix("bert."), array)  # where the encoder is in a larger model
        return {_HEAD_BIAS if name == _DECODER_BIAS else name: part for name, part in tensors.items()}

    def draw(self, config: Any, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        return normal(shape, config.initializer_range, dtype)

    def trained(self, tensors: Iterable[str], config: Any) -> dict[str, str]:
        trained = super().trained(tensors, config)
        if not config.tie_word_embeddings and _DECODER_BIAS in trained:
            trained.pop(_HEAD_BIAS, None)
            trained[_DECODER_BIAS] = _HEAD_BIAS
        return trained

    def saved_tensors(self, model: Any) -> dict[str, np.ndarray]:
        saved = super().saved_tensors(model)
        if not model.config.tie_word_embeddings and _HEAD_BIAS in saved:
            saved[_DECODER_BIAS] = saved[_HEAD_BIAS]
        is_bare = not hasattr(model, "bert")
        return {name.removeprefix(self.prefix): a for name, a in saved.items()} if is_bare else saved

    def copies(self, config: Any) -> dict[str, str]:
        copies = super().copies(config)
        return copies | {_DECODER_BIAS: _HEAD_BIAS} if copies else {}


def bert_layout(config_class: Any, count_parameters) -> BertLayout:
    """The Layout of all BERTs; their dataclass of settings has transformers' names."""
    fields = config_class.__dataclass_fields__
    return BertLayout(
        name="BERT",
        model_type="bert",
        config_class=config_class,
        count_parameters=count_parameters,
        settings={name: (name, field.default) for name, field in fields.items()},
        depths=("num_hidden_layers",),
        activation="hidden_act",
        activations={name: name for name in fields["hidden_act"].metadata["choices"]},
        modules={
            "token_embedding": "bert.embeddings.word_embeddings",
            "segment_embedding": "bert.embeddings.token_type_embeddings",
            "position_embedding": "bert.embeddings.position_embeddings",
            "embedding_norm": "bert.embeddings.LayerNorm",
            "blocks.N.attention.qkv": tuple(f"{_LAYER}attention.self.{part}" for part in ("query", "key", "value")),
            "blocks.N.attention.out": f"{_LAYER}attention.output.dense",
            "blocks.N.attention_norm": f"{_LAYER}attention.output.LayerNorm",
            "blocks.N.feed_forward.up": f"{_LAYER}intermediate.dense",
            "blocks.N.feed_forward.down": f"{_LAYER}output.dense",
            "blocks.N.feed_forward_norm": f"{_LAYER}output.LayerNorm",
            "pooler": "bert.pooler.dense",
            "masked_lm.transform": "cls.predictions.transform.dense",
            "masked_lm.norm": "cls.predictions.transform.LayerNorm",
            "masked_lm.decoder": "cls.predictions.decoder",
            "next_sentence": "cls.seq_relationship",
            "classifier": "classifier",
            "qa_outputs": "qa_outputs",
        },
        prefix="bert.",
        outside=("cls.", "classifier.", "qa_outputs."),
        heads=_HEADS,
        task_heads=_TASKS,
        embedding="bert.embeddings.word_embeddings.weight",
        decoder="cls.predictions.decoder.weight",
        not_supported={"is_decoder": (False,), "position_embedding_type": ("absolute", None)},
        # Settings of Google's first files, for a pooler that nobody computes.
        ignored="""directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head
            pooler_type""",
        untrained=r"bert\.embeddings\.(position_ids|token_type_ids)",
    )


def class_name(tensors: Collection[str], written: dict[str, Any], known: Collection[str]) -> str:
    """The class to make of a file with these tensors, by full name: one for a task if config.json names it; else the
    largest that is there as a whole. (Files that hold all of a BertForPreTraining often name a smaller one.)"""
    there = {head for head in _HEADS if any(name.startswith(head) for name in tensors)}
    named = written.get("architectures")
    if there.intersection(_TASKS) and isinstance(named, list) and len(named) == 1 and named[0] in list(known):
        return named[0]
    return next(name for name, needed in _PRETRAINED.items() if there.issuperset(needed))
