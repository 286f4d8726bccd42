"""What a derivation says of a case: its terms, read rightly or with one thing done otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tinygrad_gpt.check.evidence import Evidence


@dataclass(frozen=True)
class Reading:
    """A derivation, as it is right or with one thing done otherwise.

    words  what is done otherwise; "" where it is right
    of     what the terms add up to: "it", the gradient, or what it is made of
    terms  case -> {name: (the number before it, the array)}; 0 before a term that is not in the right formula
    notes  term -> what to say beside the formula, where the term is in what came
    pairs  whether two terms that are not in the right formula may be in what came
    """

    words: str
    terms: Callable[[Evidence], dict[str, tuple[float, np.ndarray]]]
    pairs: bool = False
    of: str = "it"
    notes: dict[str, str] = field(default_factory=dict)
