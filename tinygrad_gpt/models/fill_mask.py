"""Gaps in a text: what BERT expects at each [MASK], from what stands on both sides.

The vectors of the masked places go through the masked-LM head, and softmax makes its scores probabilities. Each gap is
judged by itself: in "[MASK] York is in [MASK]." the second does not know what the first will be.
"""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.arguments import text as a_text
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.bert import BertModel
from tinygrad_gpt.models.embeddings import check_tokenizer
from tinygrad_gpt.modes import no_grad
from tinygrad_gpt.ops import softmax
from tinygrad_gpt.ops.likeliest import likeliest


class Candidate(NamedTuple):
    """A token for a gap.

    token        as the vocabulary writes it: a piece that goes on with a word begins with ##
    probability  among all tokens
    id           of the token
    """

    token: str
    probability: float
    id: int


def fill_mask(model: Any, tokenizer: Any, text: str, top: int = 5) -> list[list[Candidate]]:
    """The `top` likeliest tokens for each [MASK] of a text, the likeliest first. Special tokens are no candidates.

    model      a BertForMaskedLM or BertForPreTraining; computed in evaluation mode
    tokenizer  its WordPieceTokenizer

    Raises UserError for a model without a masked-LM head, and for a text that has no [MASK] or is too long.
    """
    check_fills(model)
    check_tokenizer("fill_mask", tokenizer)
    top = integer("fill_mask", "top", top, low=1)
    ids, _ = tokenizer.pair(tokenizer.encode(a_text("fill_mask", "the text", text)))
    places = np.flatnonzero(ids == tokenizer.mask_id)
    if not len(places):
        raise UserError(
            f"the text has no [MASK] to fill: expected one or more, as in 'The [MASK] sat.', got {shown(text)}"
        )
    most = model.config.max_position_embeddings
    if len(ids) > most:
        raise UserError(f"the text is {len(ids)} tokens with [CLS] and [SEP], but the model reads {most}: shorten it")
    with no_grad(), model.evaluating():
        x = model.bert.features(ids[np.newaxis])[0, places]  # (1, T, C) -> (P, C)
        scores = to_numpy(model.masked_lm(x).data)  # (P, V)
    scores = scores[:, : tokenizer.vocab_size]  # a model may have more ids, which stand for nothing
    probabilities, _ = softmax.forward(scores.astype(np.float64))
    words = np.setdiff1d(np.arange(scores.shape[1]), tokenizer.special_ids)
    top = min(top, len(words))
    return [
        [Candidate(tokenizer.id_to_token(i), float(p[i]), int(i)) for i in words[likeliest(p[words], top)]]
        for p in probabilities
    ]


def check_fills(model: Any) -> None:
    """Raise UserError for a model that cannot fill gaps."""
    if getattr(model, "masked_lm", None) is not None:
        return
    if isinstance(model, BertModel) or isinstance(getattr(model, "bert", None), BertModel):
        raise UserError(
            "this BERT has no masked-LM head, and cannot fill gaps: the scores of a new one would be random; take a "
            "model that was pre-trained with it"
        )
    raise UserError(f"a {type(model).__name__} cannot fill gaps, which takes a BERT: let it write with sample()")
