"""What kind of model is it? It says so itself: by its methods, and by what its forward takes.

encode and decode            an encoder and a decoder: `translator`
read(ids, targets=...)       tokens in any order, in two streams: `two_streams` (or with a perm_mask in forward)
forward(ids, last)           a text, read at its end: `read_at_the_end`
forward(..., token_type_ids) a text, read as a whole: `reader_of_texts`
forward(ids)                 a language model, from left to right: `left_to_right`
"""

import dataclasses
import inspect
import math
from collections.abc import Callable

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.check.probes.subject import Subject
from tinygrad_gpt.generate.prompts import position_ids
from tinygrad_gpt.generate.session import DecodingSession, TranslationSession
from tinygrad_gpt.nn.language_model import logits_of, loss_of
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

ROWS, LENGTH = 3, 6  # few tokens say it all


def subject_of(model) -> Subject:
    """A model as the probes see it. Raises ValueError for a model without a `config` that has a vocab_size."""
    if not hasattr(getattr(model, "config", None), "vocab_size"):
        raise ValueError(
            f"probe: {type(model).__name__} has no config with a vocab_size: give it one, or make a Subject by hand"
        )
    if hasattr(model, "encode") and hasattr(model, "decode"):
        return translator(model)
    takes = _takes(model.forward)
    if hasattr(model, "read") and ("targets" in _takes(model.read) or "perm_mask" in takes):
        return two_streams(model)
    if "last" in takes:
        return read_at_the_end(model)
    return reader_of_texts(model) if "token_type_ids" in takes else left_to_right(model)


# --- from left to right ----------------------------------------------------------------------------------------------


def left_to_right(model) -> Subject:
    """ids (R, T) -> logits (R, T, V) of the token after each: GPT, Transformer-XL, a model of the user's own."""
    t = _length(model)
    tokens = some_tokens(ROWS, t + 1, model.config)

    def answers(ids):
        logits = logits_of(model, ids)
        return getattr(logits, "logits", logits)

    def padded(rows, width):
        ids, real = pad_left(rows, width, _pad(model))
        logits = model.next_logits(ids, attention_mask=real.astype(int), position_ids=position_ids(real))
        return list(to_numpy(logits.data))  # (R, V)

    has_cache, memory = hasattr(model, "new_cache"), getattr(model, "mem_len", t)
    no_reader = f"its memory is shorter than {t} tokens" if memory < t else ""
    if getattr(model, "zero_memory", False):
        no_reader = "its memory begins with vectors of zeros, which a cache forgets one by one"
    return Subject(
        model,
        tokens[:, :-1],
        answers,
        may_see=np.tri(t, dtype=bool),
        in_order=True,
        targets=(tokens[:, 1:],),
        loss=lambda ids, targets: loss_of(model, ids, targets),
        blind=math.log(model.config.vocab_size),
        next_scores=lambda ids: to_numpy(answers(ids).data)[:, -1],
        reader=(lambda ids: DecodingSession(model, len(ids))) if has_cache and not no_reader else None,
        padded=padded if hasattr(model, "next_logits") else None,
        no_reader=no_reader or Subject.no_reader,
    )


# --- an encoder and a decoder ----------------------------------------------------------------------------------------


def translator(model) -> Subject:
    """A source and a target -> logits of each next token of the target: the Transformer, Marian."""
    c, t = model.config, _length(model)
    source = some_tokens(ROWS, t, c)
    labels = np.roll(source, 1, axis=0)[:, ::-1].copy()
    before = np.concatenate([np.full((ROWS, 1), c.decoder_start_token_id), labels[:, :-1]], axis=1)

    def answers(ids):
        return model.logits(model.features(ids[:, :t], ids[:, t:]))

    def padded(rows, width):
        ids, real = pad_right(rows, width, c.pad_token_id)
        target = np.repeat(before[:1], len(rows), axis=0)  # the same for all
        logits = model.logits(model.features(ids, target, real.astype(int)))
        return list(to_numpy(logits.data))  # (R, T, V)

    def loss(ids, labels):
        return model.loss(ids[:, :t], np.ones_like(ids[:, :t]), ids[:, t:], labels).total

    return Subject(
        model,
        np.concatenate([source, before], axis=1),
        answers,
        sources=t,
        may_see=np.concatenate([np.ones((t, t), bool), np.tri(t, dtype=bool)], axis=1),
        swaps=((0, 1, t - 1),) if t >= 3 else (),
        in_order=True,
        targets=(labels,),
        loss=loss,
        blind=math.log(c.vocab_size),
        next_scores=lambda ids: to_numpy(answers(ids).data)[:, -1],
        reader=lambda ids: TranslationSession(model, ids, None, t),
        padded=padded,
    )


# --- tokens in any order ---------------------------------------------------------------------------------------------


def two_streams(model) -> Subject:
    """XLNet, with its head of tokens or without: each target is told from what its order lets it see."""
    c, head = model.config, getattr(model, "head", None)
    ids = some_tokens(ROWS, LENGTH, c)
    order = np.array([-1, -1, 1, 3, 0, 2])  # -1: context, which all may see
    seen = (order == -1) | (order < order[:, np.newaxis])  # (T, T)
    seen &= np.tri(LENGTH, dtype=bool) | (c.attn_type != "uni")
    places = np.flatnonzero(order >= 0)  # (N,)
    segments = np.arange(LENGTH) // 2

    def streams(ids):
        return model.read(
            ids,
            mask=_for_each(ids, seen),
            segments=_for_each(ids, segments),
            targets=_for_each(ids, places),
            content=head is None,
            remember=False,
        )

    def answers(ids):
        found = streams(ids)
        return F.concatenate([found.content, found.query], axis=1) if head is None else head(found.query)

    def padded(rows, width):
        ids, real = pad_left(rows, width, _pad(model))
        if head is None:
            content = to_numpy(model.read(ids, padding=real, remember=False).content.data)
            return [x[width - len(row) :] for x, row in zip(content, rows, strict=True)]
        return list(to_numpy(model.next_logits(ids, attention_mask=real).data))

    memory = getattr(model, "transformer", model).mem_len  # the body's
    is_long = memory is None or memory >= LENGTH + 2
    short = f"its memory is shorter than {LENGTH + 2} tokens"
    subject = Subject(
        model,
        ids,
        answers,
        may_see=np.concatenate([seen | np.eye(LENGTH, dtype=bool), seen[places]]),
        swaps=((0, 1, -1),),
        padded=padded if is_long else None,
        no_padding=short,
        no_reader=Subject.no_reader if head is None else short,
    )
    if head is None:
        return subject
    return dataclasses.replace(
        subject,
        may_see=seen[places],
        targets=(ids[:, places],),
        loss=lambda ids, labels: F.cross_entropy(answers(ids), labels),
        blind=math.log(c.vocab_size),
        next_scores=lambda ids: to_numpy(model.next_logits(ids).data),
        reader=(lambda ids: DecodingSession(model, len(ids))) if is_long else None,
    )


# --- texts -----------------------------------------------------------------------------------------------------------


def read_at_the_end(model) -> Subject:
    """GPT-1 with a head: ids (R, T), or several sequences each, and the place of the last token -> scores."""
    texts, t = getattr(model, "sequences", 1), _length(model)
    ids = some_tokens(ROWS, texts * t, model.config)
    last = max(0, t - 2)

    def shaped(ids):
        return ids.reshape(len(ids), texts, -1) if texts > 1 else ids

    def lasts(ids, last=last):
        return np.full(shaped(ids).shape[:-1], last)

    def answers(ids):
        return _by_place(model(shaped(ids), lasts(ids)))

    def padded(rows, width):
        ids, _ = pad_right(rows, width, _pad(model))
        ids = np.repeat(ids[:, np.newaxis], texts, axis=1) if texts > 1 else ids
        ends = np.array([np.full(ids.shape[1:-1], len(row) - 1) for row in rows])
        scores = to_numpy(_by_place(model(ids, ends)).data)
        return [x[: len(row)] for x, row in zip(scores, rows, strict=True)]

    n, k = _shape_of(answers, ids)
    labels, blind = (_classes(ids if n > 1 else ids[:, 0], k), math.log(k)) if k > 1 else (_numbers(ids[:, 0]), None)
    return Subject(
        model,
        ids,
        answers,
        may_see=np.tri(t, dtype=bool) if n > 1 else np.tile(np.arange(t) <= last, texts)[np.newaxis],
        in_order=True,
        targets=(labels,),
        loss=lambda ids, labels: model.loss(shaped(ids), lasts(ids), labels).total,
        blind=None if blind is None else blind + 0.5 * math.log(model.config.vocab_size),  # lm_weight
        padded=padded,
    )


def reader_of_texts(model) -> Subject:
    """A text that is read as a whole -> scores of each token, or of the text: BERT, and XLNet with a head for texts."""
    takes, t = _takes(model.forward), _length(model)
    ids = some_tokens(ROWS, t, model.config)
    segments = (np.arange(t) >= t // 2).astype(np.int64)
    is_at_the_left = "perm_mask" in takes  # XLNet reads the end of a text, BERT its beginning
    pad = pad_left if is_at_the_left else pad_right
    summary = getattr(model.config, "summary_type", "last")

    def call(ids, **labels):
        return model(ids, token_type_ids=_for_each(ids, segments), **labels)

    def padded(rows, width):
        ids, real = pad(rows, width, _pad(model))
        scores = to_numpy(_outputs(model(ids, real.astype(int))).data)  # (R, N, K)
        return [x[: len(row)] for x, row in zip(scores, rows, strict=True)]

    with no_grad():
        targets, blind = _labels_for(model, takes, call(ids), ids)
    return Subject(
        model,
        ids,
        lambda ids: _outputs(call(ids)),
        swaps=((0, 1, 0) if is_at_the_left else (1, 2, 0),) if t >= 3 else (),
        targets=tuple(targets.values()),
        loss=(lambda ids, *given: call(ids, **dict(zip(targets, given, strict=True))).loss) if targets else None,
        blind=blind,
        padded=padded if summary in ("last", "cls_index") else None,
        no_reader="it does not write",
        no_padding=f"summary_type {summary!r} reads padding too",
        not_used=("transformer.mask_embedding",) if is_at_the_left else (),  # of the stream that tells tokens
    )


def _outputs(out) -> Tensor:
    """All that a call returned, as one Tensor (R, N, K): what is said of the text as a whole stands at each place."""
    named = {name: out[name] for name in out if isinstance(out[name], Tensor)}
    if "start_logits" in named:
        return F.concatenate([x[:, :, np.newaxis] for x in named.values()], axis=2)
    n = max(x.shape[1] if x.ndim == 3 else 1 for x in named.values())
    parts = [
        x if x.ndim == 3 else F.broadcast_to(x[:, np.newaxis], (x.shape[0], n, x.shape[1])) for x in named.values()
    ]
    return parts[0] if len(parts) == 1 else F.concatenate(parts, axis=2)


def _labels_for(model, takes, out, ids) -> tuple[dict[str, np.ndarray], float | None]:
    """Labels for a model by the names that its forward takes, and the loss of a blind guess."""
    if "start_positions" in takes:
        return {"start_positions": np.arange(len(ids)) + 1, "end_positions": np.arange(len(ids)) + 2}, math.log(
            ids.shape[1]
        )
    if "next_sentence_label" in takes:
        labels = np.where(np.arange(ids.shape[1]) % 2, ids, IGNORE_INDEX)
        blind = math.log(model.config.vocab_size) + math.log(2)
        return {"labels": labels, "next_sentence_label": np.arange(len(ids)) % 2}, blind
    if "labels" not in takes:
        return {}, None
    k = out.logits.shape[-1]
    if out.logits.ndim == 3:
        return {"labels": _classes(ids, k)}, math.log(k)
    problem = getattr(model, "problem_type", None)
    if problem == "multi_label_classification":
        return {"labels": _numbers(ids[:, :1] + np.arange(k))}, math.log(2)
    if k == 1 or problem == "regression":
        return {"labels": _numbers(ids[:, 0] if k == 1 else ids[:, :1] + np.arange(k))}, None
    return {"labels": _classes(ids[:, 0], k)}, math.log(k)


# --- tokens, labels, padding -----------------------------------------------------------------------------------------


def some_tokens(rows: int, length: int, config) -> np.ndarray:
    """(rows, length) tokens from all parts of the vocabulary, none of them special, and no two of a row alike where
    there are enough."""
    special = [getattr(config, name, None) for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")]
    ordinary = np.setdiff1d(np.arange(config.vocab_size), [id for id in special if id is not None])
    ordinary = ordinary if len(ordinary) else np.arange(config.vocab_size)
    spread = ordinary[np.linspace(0, len(ordinary) - 1, rows * length).astype(int)]
    return np.random.default_rng(0).permuted(spread.reshape(length, rows).T, axis=1)


def pad_left(rows: list[np.ndarray], width: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (L,) side by side -> ids (R, width), and which of them are real (R, width)."""
    ids, real = np.full((len(rows), width), pad), np.zeros((len(rows), width), bool)
    for r, row in enumerate(rows):
        ids[r, width - len(row) :], real[r, width - len(row) :] = row, True
    return ids, real


def pad_right(rows: list[np.ndarray], width: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """As pad_left, with the padding at the end."""
    ids, real = pad_left([row[::-1] for row in rows], width, pad)
    return ids[:, ::-1].copy(), real[:, ::-1].copy()


def _pad(model) -> int:
    pad = getattr(model.config, "pad_token_id", None)
    return 0 if pad is None else pad


def _takes(function: Callable | None) -> set[str]:
    """The names of a function's arguments."""
    return set() if function is None else set(inspect.signature(function).parameters)


def _length(model) -> int:
    """Tokens of a text: LENGTH, or fewer for a model that reads fewer, two of them padding."""
    c = model.config
    longest = getattr(c, "block_size", None) or getattr(c, "max_position_embeddings", None)
    return LENGTH if longest is None else max(1, min(LENGTH, longest - 2))


def _for_each(ids: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The same x for each row of ids."""
    return np.repeat(x[np.newaxis], len(ids), axis=0)


def _by_place(scores: Tensor) -> Tensor:
    """(R, K) -> (R, 1, K); (R, N, K) as it is."""
    return scores if scores.ndim == 3 else scores[:, np.newaxis]


def _shape_of(answers, ids) -> tuple[int, int]:
    with no_grad():
        return answers(ids).shape[1:]


def _classes(ids: np.ndarray, k: int) -> np.ndarray:
    return ids % k


def _numbers(ids: np.ndarray) -> np.ndarray:
    return (ids % 2).astype(np.float32)
