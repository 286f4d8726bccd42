"""What a probe says: a verdict, what was measured and expected, and where to look if it is wrong."""

from dataclasses import dataclass

from tinygrad_gpt.check import mistakes
from tinygrad_gpt.styled import Lines, Styled


@dataclass(frozen=True)
class Probed(Styled):
    """The verdict of one probe.

    id        stable: "P2"
    asked     the question
    ok        None: it does not apply to this model
    measured  the number; None where there is none
    expected  what it should be, in words: "0", "at most 1e-05"
    why       when not ok: what the number means; where it does not apply: why not
    mistakes  ids of the mistakes that make it so, the likeliest first: see check/mistakes
    """

    id: str
    asked: str
    ok: bool | None
    measured: float | None = None
    expected: str = ""
    why: str = ""
    mistakes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        return "not asked" if self.ok is None else "right" if self.ok else "WRONG"

    @property
    def number(self) -> str:
        """What was measured, as a text."""
        return "" if self.measured is None else f"{self.measured:.4g}"

    def explanation(self) -> Lines:
        """What is wrong, and for each mistake that makes it so, where to look."""
        named = [
            [(f"  {one.id}: ", "wrong"), (one.sentence, "name"), (f". Look: {one.look}", "")]
            for one in map(mistakes.by_id, self.mistakes)
        ]
        return [[(f"{self.id}: ", "name"), (self.why, "")], *named]

    def lines(self) -> Lines:
        head, asked = (f"{self.id:<4}", "name"), f": {self.asked}"
        if self.ok is None:
            return [[head, (f"{self.verdict}{asked} ({self.why})", "less")]]
        style = "right" if self.ok else "wrong"
        return [[head, (self.verdict, style), (f"{asked} {self.number}, expected {self.expected}", "")]]


@dataclass(frozen=True)
class Question:
    """What a probe asks. Its methods make the three verdicts."""

    id: str
    asked: str

    def right(self, measured: float, expected: str) -> Probed:
        return Probed(self.id, self.asked, True, float(measured), expected)

    def wrong(self, measured: float | None, expected: str, why: str, *mistakes: str) -> Probed:
        measured = None if measured is None else float(measured)
        return Probed(self.id, self.asked, False, measured, expected, why, mistakes)

    def not_asked(self, why: str) -> Probed:
        return Probed(self.id, self.asked, None, why=why)


@dataclass(frozen=True)
class Report(Styled):
    """All verdicts about one model."""

    verdicts: tuple[Probed, ...]

    @property
    def failures(self) -> tuple[Probed, ...]:
        return tuple(one for one in self.verdicts if one.ok is False)

    @property
    def ok(self) -> bool:
        return not self.failures

    def __getitem__(self, id: str) -> Probed:
        """The verdict of a probe. Raises KeyError for one that is not in the report."""
        return {one.id: one for one in self.verdicts}[id]

    def lines(self) -> Lines:
        verdicts = [line for one in self.verdicts for line in one.lines()]
        return verdicts + [line for one in self.failures for line in ([], *one.explanation())]


def listed(names: list[str]) -> str:
    """The first three of them, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
