"""The bank: mistakes as they are made, each with a name, a reason, and a question that leads out of it.

    from tinygrad_gpt.check import mistakes

    mistakes.of("softmax")                # the mistakes that are known in softmax's pair
    mistakes.by_id("S01").sentence        # "only the diagonal of the Jacobian: y (1 - y)"
    mistakes.by_id("S01").pair()          # the mistake as a pair: check it, train it, see what it costs

One file per op, named as the op, holds its mistakes; a mistake is a backward of a few lines, on what the op's
reference forward saves (or a forward, see `entry.py`). `check_op` compares a wrong gradient with those of all entries
of the op: one that is equal in every case is named, and what equals none stays unnamed. Mistakes that are made in no
one op have texts alone; the probes of whole models and of training name them (check/probes). Ids are stable: progress,
assignments and texts hang on them. The letter says of what the mistake is one:

    G any op    E elementwise, reductions, rearranging    L linear, matmul, einsum    S softmax    C cross-entropy
    N norms    A attention    M embedding, positions    D dropout    T labels, optimiser, loop

    entry.py     what a mistake is, and the decorators that make one
    general.py   the mistakes that any op knows: signatures instead of entries
    models.py    those that are made where ops become a model
    training.py  those of what trains it
"""

import importlib
import pkgutil
from functools import cache

from tinygrad_gpt.check.mistakes import general, models, training
from tinygrad_gpt.check.mistakes.entry import Mistake

__all__ = ["Mistake", "all_mistakes", "by_id", "of"]

_NO_OPS = ("entry", "general", "models", "training")  # files that are named after no op


@cache
def of(op: str) -> tuple[Mistake, ...]:
    """The mistakes that are known in the pair of `op`, in the order of its file; () where it has none."""
    if op not in _files():
        return ()
    module = importlib.import_module(f"{__name__}.{op}")
    return tuple(value for value in vars(module).values() if isinstance(value, Mistake))


def all_mistakes() -> tuple[Mistake, ...]:
    """Every mistake of an op, op by op: those that have a pair."""
    return tuple(mistake for op in _files() for mistake in of(op))


def by_id(id: str) -> Mistake:
    """The mistake of this id, of one op or of none. Raises KeyError, which tells of the ids there are, for one that is
    not known."""
    if id not in _known():
        raise KeyError(f"no mistake is called {id}: expected one of {', '.join(_known())}")
    return _known()[id]


@cache
def _known() -> dict[str, Mistake]:
    of_no_op = [mistake for module in (general, models, training) for mistake in module.MISTAKES]
    return {mistake.id: mistake for mistake in (*of_no_op, *all_mistakes())}


@cache
def _files() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NO_OPS)
