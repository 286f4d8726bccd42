"""A small BERT whose every parameter matters, a batch for it and labels for all its heads."""

import numpy as np

from tinygrad_gpt.models import (
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

V, C, B, T = 17, 12, 3, 7
LENGTHS = np.array([7, 4, 6])
CONFIG = BertConfig(V, C, 2, 3, 20, max_position_embeddings=9, type_vocab_size=3)
HEADS = (
    BertForPreTraining,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertForQuestionAnswering,
)


def spread_out(model):
    """The model in float64 and evaluation mode, with every parameter random and large enough to matter."""
    rng = np.random.default_rng(0)
    model.to(np.float64).eval()
    for name, p in model.named_parameters():
        p.data[...] = rng.normal("norm.weight" in name, 0.4, p.shape)
    return model


def pretraining_model() -> BertForPreTraining:
    return spread_out(BertForPreTraining(CONFIG))


def padded_batch() -> dict[str, np.ndarray]:
    """Texts of several lengths, padded on the right, in two segments."""
    rng, places = np.random.default_rng(1), np.arange(T)
    mask = (places < LENGTHS[:, np.newaxis]).astype(int)
    return {
        "input_ids": rng.integers(1, V, (B, T)) * mask,
        "attention_mask": mask,
        "token_type_ids": (places >= LENGTHS[:, np.newaxis] // 2) * mask,
    }


def labels_for(model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    tokens = np.where(rng.random((B, T)) < 0.5, rng.integers(0, 2, (B, T)), -100)
    match model:
        case BertForPreTraining():
            return {"labels": tokens, "next_sentence_label": np.array([0, 1, 0])}
        case BertForMaskedLM() | BertForTokenClassification():
            return {"labels": tokens}
        case BertForQuestionAnswering():
            return {"start_positions": np.array([1, 3, 0]), "end_positions": np.array([2, 3, 5])}
    return {"labels": np.array([0, 1, 0])}


def outputs(model, **batch) -> dict[str, np.ndarray]:
    """Everything that a call returns but the loss, by name."""
    returned = vars(model(**batch))
    return {name: x.numpy() for name, x in returned.items() if x is not None and name != "loss"}
