"""A run's checkup: all rules over its rows as they come, and each kind of finding once."""

from typing import Any

from tinygrad_gpt.health import loss_rules, model_rules
from tinygrad_gpt.health.history import History, Plan, Symptom
from tinygrad_gpt.health.snapshot import has_snapshot

RULES = (*model_rules.RULES, *loss_rules.RULES)


class Checkup:
    """Fed with the rows of metrics.jsonl in their order; the same rows give the same findings, whenever they come.

    findings  what has been found so far, each kind once
    """

    def __init__(self, plan: Plan, looks_only: bool = True):
        """looks_only: apply the rules only where a row has a look into the model; all rows of runs without any."""
        self.plan, self.looks_only = plan, looks_only
        self.rows: list[dict[str, Any]] = []
        self.findings: list[Symptom] = []

    def add(self, row: dict[str, Any]) -> list[Symptom]:
        """Take the next row. Returns the findings that it brought."""
        self.rows.append(row)
        if self.looks_only and not has_snapshot(row):
            return []
        history = History(self.plan, self.rows)
        new = []
        for rule in RULES:
            finding = rule(history)
            if finding is not None and finding.kind not in {f.kind for f in self.findings}:
                self.findings.append(finding)
                new.append(finding)
        return new


def diagnose(plan: Plan, rows: list[dict[str, Any]]) -> Checkup:
    """The checkup of a run as it went."""
    checkup = Checkup(plan, looks_only=any(has_snapshot(row) for row in rows))
    for row in rows:
        checkup.add(row)
    return checkup
