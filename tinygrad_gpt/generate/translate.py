"""Translation: texts in, texts out, and which tokens of the source the model looked at as it wrote.

    translate(model, tokenizer, ["ein hund schläft ."])      ["a dog is sleeping ."]

Texts of like lengths go through the model side by side. What comes out for one of them does not depend on the others.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.padding import pad_right
from tinygrad_gpt.data.translation_vocabulary import check_is_the_models
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate.decoding import Decoding
from tinygrad_gpt.generate.seq2seq import SpecialTokens, write_target
from tinygrad_gpt.progress import Progress, no_progress

BATCH_TOKENS = 1024
MORE = 50  # tokens of a translation beyond those of its source, at most (Vaswani et al., 2017, section 6.1)


def translate(model: Any, tokenizer: Any, texts: Sequence[str], **how) -> list[str]:
    """The translation of each text. `how`: the settings of translate_ids.

    tokenizer  the model's, of both languages, with a pad_id and an end_id

    Raises UserError, before it translates any, for a text without a token or with more than the model has positions,
    and for a tokenizer that is not the model's.
    """
    return texts_of(tokenizer, translate_ids(model, sources_of(model, tokenizer, texts), **how))


def translate_ids(
    model: Any,
    sources: Sequence[np.ndarray],
    *,
    beams: int = 5,
    penalty: str = "length",
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    max_new_tokens: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress = no_progress,
) -> list[np.ndarray]:
    """What the model writes for each source, without the start and the end: N of (T_i,) int64.

    sources         N of (Ts_i,) integers, each with the end token at its end
    beams           how many; 1 takes the likeliest token each time
    penalty, length_penalty, early_stopping  of beam search: see beam.py
    max_new_tokens  where a translation is made to end, its end counted; None: 50 tokens after its source does. The
                    model's positions end it in any case
    batch_tokens    tokens of the sources that are read at once, with padding; each has `beams` translations in progress
    progress        called with (sources so far, all)

    Raises UserError for a source without a token, or with more than the model has positions.
    """
    decoding = Decoding(
        num_beams=beams, penalty=penalty, length_penalty=length_penalty, early_stopping=early_stopping
    )  # fmt: skip
    special, most = SpecialTokens.of(model.config), model.config.max_position_embeddings
    _check_lengths(sources, most)
    lengths = np.array([len(source) for source in sources], np.int64)
    new = integer("translate", "max_new_tokens", max_new_tokens, low=1, or_none=True)
    limits = np.minimum(lengths + MORE if new is None else np.full_like(lengths, new), most)
    found = [np.empty(0, np.int64)] * len(lengths)
    done = 0
    for rows in _batches(lengths, integer("translate", "batch_tokens", batch_tokens, low=1)):
        ids, mask = pad_right([sources[row] for row in rows], special.pad)
        written = write_target(model, ids, mask, limits[rows], decoding, special)
        for row, target in zip(rows, written, strict=True):
            ended = np.isin(target, special.ends)
            found[row] = target[: np.argmax(ended)]
        progress(done := done + len(rows), len(lengths))
    return found


def alignments(
    model: Any, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], layer: int | None = None
) -> list[np.ndarray]:
    """Where the model looks as it writes: for each source (Ts_i,) and target (T_i,), with their ends, (T_i, Ts_i).

    Row t says how much each token of the source was looked at when token t of the target was to be chosen: the weights
    of a layer's cross-attention, the mean over all heads. Each row sums to 1. The decoder reads the target again, all
    of it at once.

    layer  of the decoder: 0, 1, ..., or -1, -2, ... from the last one on; None: the last one

    Raises ValueError for a layer that the model does not have, and for fewer targets than sources.
    """
    special, layers = SpecialTokens.of(model.config), len(model.decoder)
    layer = integer("alignments", "layer", layer, low=-layers, below=layers, or_none=True)
    path = f"decoder.{layers - 1 if layer is None else layer % layers}.cross_attention"
    lengths = np.array([max(len(source), len(target)) for source, target in zip(sources, targets, strict=True)])
    found = [np.empty((0, 0))] * len(lengths)
    for rows in _batches(lengths, BATCH_TOKENS):
        ids, mask = pad_right([sources[row] for row in rows], special.pad)
        before = [np.append([special.start], targets[row][:-1]) for row in rows]  # what was read at each place
        with no_grad(), model.evaluating(), model.watching(path) as seen:
            model.decode(pad_right(before, special.pad).rows, model.encode(ids, mask), mask)
        weights = to_numpy(seen[path].weights.data).mean(axis=1)  # (B, H, T, Ts) -> (B, T, Ts)
        for row, x in zip(rows, weights, strict=True):
            found[row] = x[: len(targets[row]), : len(sources[row])]
    return found


def sources_of(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[np.ndarray]:
    """The ids of each text, with the end token. Raises what `translate` raises."""
    if isinstance(texts, str | bytes):
        raise TypeError(f"translate: expected a list of texts, got {shown(texts)}: write [text]")
    check_is_the_models(tokenizer, model.config)
    sources = [np.append(tokenizer.encode(text), tokenizer.end_id) for text in texts]
    for i, source in enumerate(sources):
        if len(source) == 1:
            raise UserError(f"sentence {i + 1} has nothing to translate: {shown(texts[i])}")
    _check_lengths(sources, model.config.max_position_embeddings)
    return sources


def texts_of(tokenizer: Any, targets: Sequence[np.ndarray]) -> list[str]:
    """The texts of what translate_ids wrote."""
    return [tokenizer.decode(target).strip() for target in targets]


def _check_lengths(sources: Sequence[np.ndarray], most: int) -> None:
    for i, source in enumerate(sources):
        if not 1 <= len(source) <= most:
            raise UserError(
                f"sentence {i + 1} has {len(source)} tokens with its end: expected 1 to {most}, the positions of the "
                "model: cut it into sentences"
            )


def _batches(lengths: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Sequences of these lengths (N,) in batches of like lengths, each the numbers of its rows. With padding, it has at
    most `most` tokens, or one row. The longest come first, so that too little memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    while order.size:
        rows = max(1, most // lengths[order[0]])
        yield order[:rows]
        order = order[rows:]
