"""Translation: texts in, texts out, and which tokens of the source the model looked at as it wrote.

    translate(model, tokenizer, ["ein hund schläft ."])      ["a dog is sleeping ."]
    translate(model, tokenizer, "ein hund schläft .")        "a dog is sleeping ."

Texts of like lengths go through the model side by side. What comes out for one of them does not depend on the others.
"""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.padding import pad_right
from tinygrad_gpt.data.translation_vocabulary import check_is_the_models
from tinygrad_gpt.errors import UserError, did_you_mean
from tinygrad_gpt.generate.decoding import Decoding
from tinygrad_gpt.generate.seq2seq import SpecialTokens, write_target
from tinygrad_gpt.progress import Progress, no_progress

BATCH_TOKENS = 1024
MORE = 50  # tokens of a translation beyond those of its source, at most (Vaswani et al., 2017, section 6.1)


@overload
def translate(model: Any, tokenizer: Any, texts: str, **how) -> str: ...
@overload
def translate(model: Any, tokenizer: Any, texts: Sequence[str], **how) -> list[str]: ...
def translate(model, tokenizer, texts, **how):
    """The translation of each text of a list, or of one text; of a blank one "". `how`: the settings of translate_ids.

    tokenizer  the model's, of both languages, with a pad_id and an end_id

    Raises UserError, before it translates any, for a text with more tokens than the model has positions, and for a
    tokenizer that is not the model's; TypeError and ValueError for settings that cannot be.
    """
    for name in how:
        if name not in _SETTINGS:
            near = did_you_mean(name, _SETTINGS) or f": the settings are {', '.join(_SETTINGS)}"
            raise TypeError(f"translate: there is no setting {name}{near}")
    if isinstance(texts, str):
        return translate(model, tokenizer, [texts], **how)[0]
    sources = sources_of(model, tokenizer, texts)
    written = iter(texts_of(tokenizer, translate_ids(model, [ids for ids in sources if len(ids) > 1], **how)))
    return [next(written) if len(ids) > 1 else "" for ids in sources]


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
    who = "translate"
    beams = integer(who, "beams", beams, low=1)
    decoding = Decoding(
        num_beams=beams, penalty=penalty, length_penalty=length_penalty, early_stopping=early_stopping, who=who
    )
    end = model.config.eos_token_id  # forced, whatever the config says, since the limits below differ
    special, most = SpecialTokens.of(model.config, forced=end), model.config.max_position_embeddings
    _check_lengths(sources, most)
    lengths = np.array([len(source) for source in sources], np.int64)
    new = integer(who, "max_new_tokens", max_new_tokens, low=1, or_none=True)
    limits = np.minimum(lengths + MORE if new is None else np.full_like(lengths, new), most)
    found = [np.empty(0, np.int64)] * len(lengths)
    done = 0
    for rows in _batches(lengths, integer(who, "batch_tokens", batch_tokens, low=1)):
        ids, mask = pad_right([sources[row] for row in rows], special.pad)
        written = write_target(model, ids, mask, limits[rows], decoding, special)
        for row, target in zip(rows, written, strict=True):
            ended = np.isin(target, special.ends)
            found[row] = target[: np.argmax(ended)]
        progress(done := done + len(rows), len(lengths))
    return found


_SETTINGS = [p.name for p in inspect.signature(translate_ids).parameters.values() if p.kind is p.KEYWORD_ONLY]


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
    """The ids of each text, with the end token: that alone of a blank one. Raises what `translate` raises."""
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise TypeError(f"translate: expected a text, or a list of texts, got {shown(texts)}")
    texts = [*texts]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"translate: expected a text, or a list of texts, got {shown(texts)}")
    check_is_the_models(tokenizer, model.config)
    sources = [np.append(tokenizer.encode(text), tokenizer.end_id) for text in texts]
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
