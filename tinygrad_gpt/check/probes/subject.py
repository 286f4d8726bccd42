"""A model as the probes see it: tokens in, scores out, and what may depend on what. kinds.py makes one of a model.

R rows of S tokens. Of a translator a row is its source, and then its target; of others a text. N places are answered.
"""

import copy
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad

SAME = 1e-5  # scores that differ by less than this share of the largest are the same
SMALL = 2_000_000  # parameters, up to which a model is copied into float64


@dataclass(frozen=True)
class Subject:
    """How a model is asked.

    model     a Module with a config
    ids       (B, S) integers: a few rows of tokens, no two of a row alike where there are enough of them
    answers   ids (R, S) -> Tensor (R, N, K): what the model says
    sources   how many of the S are those of a source
    may_see   (N, S) booleans: which tokens an answer may depend on; None: all
    swaps     (a, b, n): two places that only their positions tell apart; exchanging their tokens changes answer n
    in_order  whether each place (of the target) reads itself and those before it
    targets   what the loss compares the answers with: arrays with B rows
    loss      (ids, *targets) -> Tensor (), the mean over what is asked for; None: it has none
    blind     the loss of a model that finds all answers equally likely; None: there is no such thing
    next_scores  ids (R, S) -> (R, V): scores for the token after the last one, without a cache
    reader    ids (R, sources) -> what reads the rest piece by piece, with a cache: a session (generate/session.py)
    padded    (rows, width) -> for each of the rows (L,), padded to `width`, what the model says of it: arrays
    no_reader, no_padding  why the last two are None
    not_used  names of parameters that serve another use of the model
    """

    model: Any
    ids: np.ndarray
    answers: Callable[[np.ndarray], Tensor]
    sources: int = 0
    may_see: np.ndarray | None = None
    swaps: tuple[tuple[int, int, int], ...] = ()
    in_order: bool = False
    targets: tuple[np.ndarray, ...] = ()
    loss: Callable[..., Tensor] | None = None
    blind: float | None = None
    next_scores: Callable[[np.ndarray], np.ndarray] | None = None
    reader: Callable[[np.ndarray], Any] | None = None
    padded: Callable[[list[np.ndarray], int], list[np.ndarray]] | None = None
    no_reader: str = "it keeps no cache"
    no_padding: str = "it takes no mask for padding"
    not_used: tuple[str, ...] = ()

    def said(self, ids: np.ndarray) -> np.ndarray:
        """The answers to ids (R, S) as an array (R, N, K)."""
        with no_grad():
            return to_numpy(self.answers(ids).data)

    def other_tokens(self, ids: np.ndarray) -> np.ndarray:
        """For each of ids (R, S) another token, one that stands elsewhere in these ids."""
        return np.roll(ids.reshape(-1), ids.shape[1] + 1).reshape(ids.shape)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b|, as a share of the largest |b|. inf where one of them is not finite."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.inf
    return float(np.abs(a - b).max(initial=0.0) / max(np.abs(b).max(initial=0.0), 1e-6))


def is_small(model) -> bool:
    return model.num_parameters() <= SMALL


def in_float64(subject: Subject, remade: Callable[[Any], Subject]) -> Subject | None:
    """The same of a copy of the model in float64; None for a large one, and for one that has float32 written into it.

    remade  model -> the same Subject of it
    """
    if not is_small(subject.model):
        return None
    with suppress(TypeError, ValueError):
        wide = remade(copy.deepcopy(subject.model).to(np.float64))
        if wide.said(wide.ids).dtype == np.float64:
            return wide
    return None


@contextmanager
def leaving_no_trace(model):
    """Inside this block the model is in evaluation mode; after it, its modes and the random numbers are as before, and
    its gradients empty."""
    before = random_stream.random_state()
    try:
        with model.evaluating():
            yield
    finally:
        model.zero_grad()
        random_stream.set_random_state(before)
