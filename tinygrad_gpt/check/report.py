"""What a check says: findings, and the report that holds them."""

import math
from collections import Counter
from dataclasses import dataclass, replace

from tinygrad_gpt.styled import Lines, Styled

TOLERANCE = 1e-6  # error over scale that is allowed to a gradient in float64, compared with a measured one
EXACT = 1e-10  # to anything in float64, compared with the reference's: far above its rounding, far below float32's
TOLERANCE_32 = 1e-4  # to anything in float32, compared with float64
WRONG = "wrong numbers"
INEXACT = "as exact as float32 only"  # the problem of a number that is right to about 7 digits


@dataclass(frozen=True)
class Finding(Styled):
    """The verdict on one thing in one case.

    case, subject  what was checked: "odd sizes", "the gradient of weight"; "" for all cases at once
    ok             the verdict
    problem        when not ok: what is wrong, in a line ("wrong numbers", "float64 instead of float32", ...)
    error          for numbers: the largest |got - right| / scale that was found (inf for nan); None for other checks
    tolerance      what `error` may be
    scale          what the error is relative to: the largest element, but no less than the noise of the measurement
    index          where the error is largest; None when only directions were measured
    got, right     the two numbers at that place (or the two slopes along the direction)
    hint           a diagnosis that fits all cases, where there is one
    mistake        the id of the mistake that it is about, "S01" (see check/mistakes); "" where it has none
    why            why that is wrong, where the mistake is of the bank
    size           elements of the case's inputs
    ordinary       whether the case is an ordinary one: not a kink, one row, one element, an axis of 1
    """

    case: str
    subject: str
    ok: bool
    problem: str = ""
    error: float | None = None
    tolerance: float | None = None
    scale: float | None = None
    index: tuple[int, ...] | None = None
    got: float | None = None
    right: float | None = None
    hint: str = ""
    mistake: str = ""
    why: str = ""
    size: int = 0
    ordinary: bool = False

    def lines(self) -> Lines:
        what = f"{self.case}: {self.subject}" if self.case else self.subject
        if self.ok:
            measured = "" if self.error is None else f", error {self.error:.1e}"
            return [[(f"{what}: ", ""), (f"right{measured}", "right")]]
        lines = [[(f"{what}: ", ""), (self.problem, "wrong")]]
        if self.error is not None:
            where = "along a random direction" if self.index is None else f"at {place(self.index)}"
            got, right = readable(self.got), readable(self.right)
            share = f"error {self.error:.2g} of the scale {self.scale:.3g} ({self.tolerance:.0e} is allowed)"
            lines += [[(f"  worst {where}: it is {got} and should be {right}", "")], [(f"  {share}", "less")]]
        return lines + self.reason()

    def reason(self) -> Lines:
        """The diagnosis: the mistake's id and sentence, and why it is one; or a hint without a name."""
        if not self.hint:
            return []
        why = [[(f"  why: {self.why}", "")]] if self.why else []
        return [[(f"  {self.mistake or 'hint'}: {self.hint}", "name")], *why]


@dataclass(frozen=True)
class Report(Styled):
    """All findings about one pair or function.

    op, version  what was checked: "layer_norm", "numba"
    findings     every verdict, in the order in which they were reached
    skipped      (case, reason) of cases that the version's `why_not` declined
    """

    op: str
    version: str
    findings: tuple[Finding, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if not f.ok)

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The ids of the mistakes that are named, in the order of the findings."""
        return tuple(dict.fromkeys(f.mistake for f in self.failures if f.mistake))

    @property
    def ok(self) -> bool:
        """True when something was checked and nothing was wrong."""
        return bool(self.findings) and not self.failures

    @property
    def cases(self) -> int:
        """How many cases ran."""
        return len({f.case for f in self.findings if f.case})

    @property
    def worst_error(self) -> float:
        """The largest error of what was measured in float64."""
        return max((f.error for f in self.findings if f.error is not None and f.tolerance == TOLERANCE), default=0.0)

    def raise_if_failed(self) -> "Report":
        """Raise GradcheckError unless ok; return the report itself."""
        if not self.ok:
            raise GradcheckError(self)
        return self

    def lines(self) -> Lines:
        name, all_cases = f"{self.op}[{self.version}]: ", f"{self.cases} case{'s' * (self.cases != 1)}"
        if self.ok:
            return [[(name, "name"), (f"right in {all_cases}", "right"), (f", worst error {self.worst_error:.1e}", "")]]
        if not self.findings:
            reasons = "; ".join(f"{case}: {reason}" for case, reason in self.skipped) or "there are no cases"
            return [[(name, "name"), (f"nothing was checked ({reasons})", "wrong")]]
        where = f" in {all_cases}" if self.cases else ""
        failed = f" ({len(self.failures)} of {len(self.findings)} checks{where} failed)"
        lines = [[(name, "name"), ("WRONG", "wrong"), (failed, "")]]
        said: set[str] = set()
        for failures in _by_subject(self.failures):  # the failure that tells most stands for all of its subject
            shown = max(failures, key=lambda f: (bool(f.hint), f.ordinary, f.index is not None, f.size > 1, -f.size))
            lines += [[], *(replace(shown, hint="the same", why="") if shown.hint in said else shown).lines()]
            said |= {shown.hint} - {""}
            cases = len({f.case for f in failures})
            if cases > 1:
                lines.append([(f"  and in {cases - 1} more case{'s' * (cases > 2)}", "less")])
        if self.skipped:
            lines += [[], [("not checked:", "")]]
        for reason, count in Counter(reason for _, reason in self.skipped).items():
            lines.append([(f"  {count} case{'s' * (count > 1)}: {reason}", "")])
        return lines


def _by_subject(failures: tuple[Finding, ...]) -> list[list[Finding]]:
    """The failures on each subject; without numbers that are wrong in float32 or in another layout too, where they are
    in float64 and that says all."""
    by_subject: dict[str, list[Finding]] = {}
    for failure in failures:
        by_subject.setdefault(failure.subject, []).append(failure)

    def is_said(subject: str) -> bool:
        told = [s for s in by_subject if subject.startswith(f"{s} ")]
        return any(f.problem != INEXACT for s in told for f in by_subject[s]) and not any(
            f.hint for f in by_subject[subject]
        )

    return [found for subject, found in by_subject.items() if not is_said(subject)]


def place(index: tuple) -> str:
    """An index as one writes it: [1, 3]."""
    return "[" + ", ".join(str(int(i)) for i in index) + "]"


def readable(x: float) -> str:
    """A number with enough digits to compare by eye."""
    return f"{x:.6g}" if math.isfinite(x) else str(x)


class GradcheckError(AssertionError):
    """A check has failed. The message is the report, which is also there as `.report`."""

    def __init__(self, report: "Report"):
        super().__init__(str(report))
        self.report = report
