"""What a mistake is, and the decorators that make one of a function."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

from tinygrad_gpt.kernels import registry


@dataclass(frozen=True)
class Mistake:
    """A wrong pair with a name.

    id        stable: "S01"
    op        whose pair it is; "" for one that has no pair: of any op, of a model, of training (see __init__.py)
    sentence  what was done, in the voice of a report: "only the diagonal of the Jacobian: y (1 - y)"
    why       why that is wrong: one or two sentences
    look      a question whose answer shows it
    source    where it was seen, or where it is explained; "" where every first try has it
    backward  (dy, saved) -> gradients, on what the op's reference forward saves; None: the reference's
    forward   (*arrays, **settings) -> (y, saved); None: the reference's
    """

    id: str
    op: str
    sentence: str
    why: str
    look: str
    source: str = ""
    backward: Callable | None = None
    forward: Callable | None = None

    def pair(self) -> SimpleNamespace:
        """The mistake as a pair, `.forward` and `.backward`: the reference's, but for what is wrong. Raises ValueError
        for a mistake that is not of one op."""
        if not self.op:
            raise ValueError(f"{self.id} is not made in one op: expected a mistake of one, such as S01, to have a pair")
        reference = registry.reference(self.op)
        return SimpleNamespace(
            forward=self.forward or reference.forward, backward=self.backward or reference.backward, name=self.id
        )


def of_no_op(id: str, sentence: str, *, why: str, look: str, source: str = "") -> Mistake:
    """A mistake that has no pair."""
    return Mistake(id, "", sentence, why, look, source)


def wrong_backward(id: str, sentence: str, *, why: str, look: str, source: str = "") -> Callable[[Callable], Mistake]:
    """Make a Mistake of a backward: `(dy, saved) -> gradients`. The op is the name of the file that it stands in."""

    def made(backward: Callable) -> Mistake:
        return Mistake(id, _op_of(backward), sentence, why, look, source, backward=backward)

    return made


def wrong_forward(id: str, sentence: str, *, why: str, look: str, source: str = "") -> Callable[[Callable], Mistake]:
    """Make a Mistake of a forward: `(*arrays, **settings) -> (y, saved)`, with what the reference's backward reads."""

    def made(forward: Callable) -> Mistake:
        return Mistake(id, _op_of(forward), sentence, why, look, source, forward=forward)

    return made


def _op_of(function: Callable) -> str:
    return sys.modules[function.__module__].__name__.rpartition(".")[2]
