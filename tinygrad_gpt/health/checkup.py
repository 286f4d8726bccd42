"""A run's checkup: all rules over its rows as they come, and each kind of finding once."""

from typing import Any

from tinygrad_gpt.health import loss_rules, model_rules, score_rules, translation_rules
from tinygrad_gpt.health.history import History, Plan, Symptom
from tinygrad_gpt.health.snapshot import has_snapshot

RULES = (*model_rules.RULES, *loss_rules.RULES, *score_rules.RULES, *translation_rules.RULES)


class Checkup:
    """Takes the rows of metrics.jsonl in their order. The same rows give the same findings, at once or one by one.

    findings  the symptoms found so far, each kind once
    """

    def __init__(self, plan: Plan, snapshots_only: bool = True):
        """snapshots_only: whether to apply the rules only at rows with a snapshot."""
        self.plan, self.snapshots_only = plan, snapshots_only
        self.rows: list[dict[str, Any]] = []
        self.findings: list[Symptom] = []

    def add(self, row: dict[str, Any]) -> list[Symptom]:
        """Take the next row. Returns its new findings."""
        self.rows.append(row)
        if self.snapshots_only and not has_snapshot(row):
            return []
        history, known = History(self.plan, self.rows), len(self.findings)
        for rule in RULES:
            finding = rule(history)
            if finding is not None and finding.kind not in {f.kind for f in self.findings}:
                self.findings.append(finding)
        return self.findings[known:]


def diagnose(plan: Plan, rows: list[dict[str, Any]]) -> Checkup:
    """The checkup of all rows of a run. In a run without snapshots, the rules apply at each row."""
    checkup = Checkup(plan, snapshots_only=any(has_snapshot(row) for row in rows))
    for row in rows:
        checkup.add(row)
    return checkup
