"""One diagnosis per subject, over all cases: which mistake explains the wrong numbers?

    bank.py         a mistake that is known by name: equal in all cases
    what_if.py      the right gradient of something else: another dy, setting or input
    derivations/    another formula of the same terms, one by one
    shapes.py       another shape, or the right numbers in other places
    factors.py      a constant factor
    terms.py        a factor or a term that is missing, or one too many
    masks.py        zeros in the wrong places
    places.py       where the wrong numbers stand

In that order; the first that all cases agree on is said (hypothesis.py says what agreeing is). If nothing explains the
numbers, nothing is said: no hint is better than a wrong one.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tinygrad_gpt.check import derivations, factors, masks, places, shapes, terms, what_if
from tinygrad_gpt.check.bank import Bank
from tinygrad_gpt.check.evidence import Evidence, largest
from tinygrad_gpt.check.hypothesis import Agreement, Cases, Hypothesis, parts_alike, predicting, right_only_for
from tinygrad_gpt.check.report import INEXACT, WRONG, Finding


def explain(op: str, findings: list[Finding], evidence: list[Evidence], alone: bool = False) -> list[Finding]:
    """The findings, those of wrong numbers and shapes with a hint where one explanation fits all cases.

    op     whose bank of mistakes may be asked; "" for a function that is no op
    alone  whether there is only one case, in which much fits by chance
    """
    subjects = _by_subject(findings, evidence)
    if not any(cases.failed for cases in subjects.values()):
        return findings
    bank = Bank(op)
    named = {} if alone else bank.named(subjects)
    said: dict[tuple[str, str], dict] = {}  # (case, subject) -> what to put into its finding
    for subject, cases in subjects.items():
        if not cases.failed:
            continue
        if mistake := named.get(subject):
            compared = len({e.case for e in (*cases.failed, *cases.right)})
            hint = f"{mistake.sentence} (equal in every case)" if compared > 1 else mistake.sentence
            for e in cases.failed:
                said[e.case, "backward" if e.raised else subject] = {
                    "hint": hint,
                    "mistake": mistake.id,
                    "why": mistake.why,
                }
        else:
            said |= {(case, subject): told for case, told in _unnamed(cases, subjects, bank, alone).items()}
            said |= {(e.case, "backward"): {"hint": hint} for e, hint in _raised(cases)}
    ordinary = {(e.case, e.subject) for cases in subjects.values() for e in cases.failed if not e.degenerate}
    findings = [replace(f, ordinary=True) if (f.case, f.subject) in ordinary else f for f in findings]
    wrong = {subject for subject, cases in subjects.items() if any(not e.degenerate for e in cases.failed)}
    return [_told(f, said, f.subject in wrong) for f in findings]


def _told(f: Finding, said: dict, wrong: bool) -> Finding:
    """The finding with what is to be said of it. Where a subject is `wrong` beyond kinks, last digits and second calls,
    what those alone would mean is no explanation."""
    if f.ok:
        return f
    if f.problem == INEXACT:
        return replace(f, problem=WRONG, hint="") if wrong else f
    if told := said.get((f.case, f.subject)):
        at_kinks = f"; {f.hint}" if f.hint and not wrong else ""  # what the contract decides there, or what raised
        return replace(f, **told | {"hint": told["hint"] + at_kinks})
    return replace(f, hint="") if wrong and f.problem.startswith(WRONG) else f


def _by_subject(findings: list[Finding], evidence: list[Evidence]) -> dict[str, Cases]:
    """The evidence on each subject. Where a first call is right and only a second one wrong, and where numbers are
    inexact, that is said already."""
    wrong = {(f.case, f.subject) for f in findings if not f.ok and f.problem != INEXACT}
    by_subject: dict[str, list[Evidence]] = {}
    for e in evidence:
        e.ok = (e.case, e.subject) not in wrong and e.raised is None
        if e.ok or not _second_call_only(e):
            by_subject.setdefault(e.subject, []).append(e)
    return {s: Cases([e for e in es if not e.ok], [e for e in es if e.ok]) for s, es in by_subject.items()}


def _second_call_only(e: Evidence) -> bool:
    return e.comparable and bool(np.max(np.abs(e.got - e.right)) <= 1e-6 * (largest(e.right) or 1.0))


def _unnamed(cases: Cases, subjects: dict[str, Cases], bank: Bank, alone: bool) -> dict[str, dict]:
    """What to say in each case of a subject that no entry of the bank explains."""
    said = {e.case: {"hint": _nan_words(e)} for e in cases.failed if _has_nan(e)}
    cases = Cases([e for e in cases.failed if e.case not in said], cases.right)
    if cases.failed and cases.speak(cases.failed):  # where it is wrong without nan too, nan is no explanation
        said = {}
    if not cases.failed:
        return said
    found = cases.first(_hypotheses(cases, subjects, bank, alone))
    where = ""
    if not found and not alone:
        where, found = _of_a_part(cases, bank)
    if found:
        shown = [e for e in cases.failed if e.case in found.shows]
        said |= {e.case: {"hint": where + found.words(e), "mistake": found.hypothesis.id} for e in shown}
    return said


def _raised(cases: Cases) -> list[tuple[Evidence, str]]:
    """What to say of cases in which backward raised an error, where those that are right have something in common."""
    raised = [e for e in cases.failed if e.raised]
    hint = right_only_for(Cases(raised, cases.right)) if raised else ""
    return [(e, hint) for e in raised] if hint else []


def _of_a_part(cases: Cases, bank: Bank) -> tuple[str, Agreement | None]:
    """What explains a part of the cases that are alike in something, where nothing explains all."""
    for where, part in parts_alike(cases):
        if found := part.first(_of_some(part, bank)):
            return f"{where}, ", found
    return "", None


def _hypotheses(cases: Cases, subjects: dict[str, Cases], bank: Bank, alone: bool) -> Iterator[Hypothesis]:
    of_gradient = cases.failed[0].i is not None
    if of_gradient:
        yield Hypothesis("G15", lambda e: STATE, lambda e: None if e.silent else e.right_alone)
    if of_gradient:
        yield from shapes.summed_otherwise(cases)
        yield shapes.not_summed()
        yield factors.flipped()
        yield from what_if.hypotheses(cases)
        yield from shapes.hypotheses()
    yield from factors.hypotheses(cases, sized=not alone)
    if of_gradient:
        yield from derivations.of_elements(cases, alone=True)
        yield from _besides(cases, subjects, bank)
        yield from derivations.hypotheses(cases)
        yield from masks.hypotheses()
    if hint := right_only_for(cases):
        yield Hypothesis("", lambda e: hint, lambda e: None if e.silent else True)
    yield from terms.of_factors(cases)
    yield from places.hypotheses(cases)
    yield from terms.of_rows(cases)
    if of_gradient:
        yield from derivations.of_elements(cases)
    yield from terms.of_sums(cases)


def _of_some(cases: Cases, bank: Bank) -> Iterator[Hypothesis]:
    """Hypotheses of a part of the cases: the entries of the bank, and all that is strict enough for it."""
    if cases.failed[0].i is not None:
        yield from _entries(bank)
        yield from what_if.hypotheses(cases)
        yield from derivations.hypotheses(cases)
    yield from places.hypotheses(cases)


def _entries(bank: Bank) -> Iterator[Hypothesis]:
    """The entries of the bank as hypotheses. They may hold in some cases only, so that they are told and not named."""
    for m in bank.entries:
        if m.backward is not None:
            yield predicting("", f"as in {m.id}: {m.sentence}", bank.gradient(m))


STATE = (
    "it is right when backward follows its own forward at once, and wrong when another forward runs between them: is "
    "something kept in a global or an attribute instead of in saved?"
)


def _has_nan(e: Evidence) -> bool:
    if e.silent or e.got is None or e.got.shape != e.right.shape or not np.isfinite(e.right).all():
        return False
    return not np.isfinite(e.got).all()


def _nan_words(e: Evidence) -> str:
    bad = f"{int(np.sum(~np.isfinite(e.got)))} of {e.got.size} elements are nan or inf"
    return f"{bad}: a division by zero, or inf - inf, as in a row that is -inf all along?"


def _besides(cases: Cases, subjects: dict[str, Cases], bank: Bank) -> Iterator[Hypothesis]:
    """An entry of the bank in some cases only, where something tells them from those that are right; and two mistakes
    at once: an entry, and one number or a setting as a factor. (Sizes fit by chance.)"""
    yield from _entries(bank)
    for m in bank.entries:
        if m.backward is not None and not bank.spoils(m, subjects):
            for h in factors.of_settings(cases, bank.gradient(m)):
                yield replace(h, id=m.id, words=lambda e, m=m, h=h: f"{m.sentence}; and besides, {h.words(e)}")
