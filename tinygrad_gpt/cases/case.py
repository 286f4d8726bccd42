"""A case: one call of an op, on which every version of it must be right."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One call of an op: `forward(*arrays, **settings)`. Floats are float64.

    kink  what the op's file states about the gradient here, where there is no derivative to measure; "" elsewhere
    """

    name: str
    arrays: tuple
    settings: dict
    kink: str = ""
