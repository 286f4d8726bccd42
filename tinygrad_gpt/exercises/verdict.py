"""What a check says of a learner's file: one verdict for all kinds, as text, in colours, and in a notebook."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_gpt.styled import Lines, Styled

RIGHT, WRONG, UNWRITTEN = "right", "wrong", "not written"
_MOST = 6  # places that are shown


@dataclass(frozen=True)
class Named:
    """A mistake that a learner has made: its id, what it is in a sentence, and in which cases it shows."""

    id: str
    sentence: str
    where: str = ""


@dataclass(frozen=True)
class Verdict(Styled):
    """What was found.

    id        the exercise
    state     RIGHT, WRONG, or UNWRITTEN: the stub's NotImplementedError was met
    judged    (what, verdict, right?) such as ("backward", "WRONG in 10 of 10", False)
    named     the mistakes that explain all that is wrong
    places    where it is wrong, in lines; of what has no name also what may explain it
    example   the failing case as names and arrays, which hints speak of
    """

    id: str
    state: str
    judged: tuple[tuple[str, str, bool], ...] = ()
    named: tuple[Named, ...] = ()
    places: tuple[str, ...] = ()
    example: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        return self.state == RIGHT

    def lines(self, names: bool = True) -> Lines:
        """The report; without the mistakes' names, where they are to be earned."""
        wide = max([len(what) for what, _, _ in self.judged], default=0)
        lines: Lines = []
        for k, (what, verdict, right) in enumerate(self.judged):
            head = self.id if k == 0 else " " * len(self.id)
            lines.append([(f"{head}  ", "name"), (f"{what:{wide}} ", ""), (verdict, "right" if right else "wrong")])
        if self.named and names:
            lines.append([])
            for mistake in self.named:
                lines.append([(f"  {mistake.id}  ", "wrong"), (mistake.sentence, "name")])
                if mistake.where:
                    lines[-1].append((f"  ({mistake.where})", "less"))
        if self.places:
            lines += [] if self.named and names else [[]]
            lines += [[(f"       {line}", "")] for line in self.places[:_MOST]]
            if len(self.places) > _MOST:
                lines.append([(f"       and {len(self.places) - _MOST} more", "less")])
        return lines


def filled(text: str, example: dict[str, Any]) -> str:
    """The text of a hint with each {expression} replaced by its value in the example. A paragraph that speaks of what
    the example lacks is left out: nothing has failed yet, or the learner's code has raised before it came so far."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        try:
            with np.errstate(all="ignore"):
                shown = [(e, _shown(eval(e, {"np": np}, example))) for e in re.findall(r"\{([^{}\n]+)\}", paragraph)]
        except Exception:  # a learner's arrays may have any shape
            continue
        for expression, value in shown:
            paragraph = paragraph.replace(f"{{{expression}}}", value)
        paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def _shown(value: Any) -> str:
    """A number or a small array with three digits after the point."""
    if isinstance(value, np.ndarray | np.generic | float):
        value = np.asarray(value)
        if value.dtype.kind == "f":
            value = np.round(value, 3) + 0.0  # no -0
        if value.ndim == 0:
            return f"{value:.4g}" if value.dtype.kind == "f" else str(value)
        return np.array2string(value, separator=", ", threshold=24, max_line_width=100)
    return str(value)
