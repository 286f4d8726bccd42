"""Texts as vectors: what BERT makes of each token, averaged over the text.

    x = sentence_embeddings(model, tokenizer, ["A man is eating food.", "A man eats."], normalize=True)     # (N, C)
    x @ x.T                                                              # the cosine of each with each, (N, N)

How alike two texts are is the cosine of the angle between their vectors, from -1 to 1. A BERT that was trained for it
tells this well (Reimers and Gurevych, "Sentence-BERT", 2019; their section 3 compares the mean with [CLS] and the
maximum). One that has only filled gaps does not: the cosines of all its vectors are high.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, shown
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.models.bert import BertModel
from tinygrad_gpt.modes import no_grad


def sentence_embeddings(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    batch_size: int = 32,
    normalize: bool = False,
    max_length: int | None = None,
) -> np.ndarray:
    """A vector for each text: (N, C), of the model's dtype.

    model       a BertModel, or a BERT with any head; computed in evaluation mode
    tokenizer   its WordPieceTokenizer
    batch_size  texts that the model reads at once. Texts of like lengths are read together; the order of the result is
                that of `texts`
    normalize   whether each vector is divided by its length
    max_length  tokens that are read of a text, with [CLS] and [SEP]; None: as many as the model has positions

    Raises TypeError for another model or tokenizer, and for a text in place of a list of texts.
    """
    encoder = _encoder_of(model)
    check_tokenizer("sentence_embeddings", tokenizer)
    if isinstance(texts, str | bytes):
        raise TypeError(f"sentence_embeddings: expected a list of texts, got {shown(texts)}: write [text]")
    batch_size = integer("sentence_embeddings", "batch_size", batch_size, low=1)
    normalize = flag("sentence_embeddings", "normalize", normalize)
    most = encoder.config.max_position_embeddings
    max_length = integer("sentence_embeddings", "max_length", max_length, low=2, below=most + 1, or_none=True) or most
    sequences = [tokenizer.pair(tokenizer.encode(text), max_length=max_length)[0] for text in texts]
    # As tasks do, which models cannot import; the longest first, so that too little memory shows at once.
    by_length = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    weight = encoder.token_embedding.weight
    found = np.empty((len(sequences), encoder.config.hidden_size), weight.dtype)
    with no_grad(), encoder.evaluating():
        for first in range(0, len(sequences), batch_size):
            rows = by_length[first : first + batch_size]
            ids, attention_mask = tokenizer.pad_batch([sequences[row] for row in rows])
            x = masked_mean(encoder.features(ids, attention_mask), attention_mask)
            found[rows] = to_numpy(x.data)
    return found / np.linalg.norm(found, axis=1, keepdims=True) if normalize else found


def masked_mean(x: Tensor, attention_mask) -> Tensor:
    """x (B, T, C), attention_mask (B, T) -> (B, C): the mean over the tokens of each text, without padding.

    (The mean over all T places would depend on how long the other texts of the batch are.)
    """
    mask = np.asarray(attention_mask, x.dtype, like=x.data)[:, :, np.newaxis]  # (B, T, 1)
    return F.sum(x * mask, axis=1) / mask.sum(axis=1)  # (B, C) / (B, 1)


def check_tokenizer(who: str, tokenizer: Any) -> None:
    """Raise TypeError unless it makes what a BERT reads."""
    if (
        getattr(tokenizer, "cls_token", None) != "[CLS]"
    ):  # models know no class of data/, whose tokenizers they are given
        raise TypeError(f"{who}: expected a WordPieceTokenizer, got {shown(tokenizer)}")


def _encoder_of(model: Any) -> BertModel:
    encoder = model if isinstance(model, BertModel) else getattr(model, "bert", None)
    if not isinstance(encoder, BertModel):
        raise TypeError(f"sentence_embeddings: expected a BERT, got {shown(model)}: a GPT has no vectors for this")
    return encoder
