"""The health check as the trainer uses it: adds a snapshot to rows of metrics and reports new findings."""

import dataclasses
from typing import Any

from tinygrad_gpt.health.checkup import Checkup
from tinygrad_gpt.health.history import Plan, settings_of_model
from tinygrad_gpt.health.snapshot import has_snapshot, snapshot
from tinygrad_gpt.tasks.task import Task

# Steps between snapshots. One takes a third of a step of a small model, and a tenth of a step of a larger one.
INTERVAL = 50
LEAST_LOOKS = 5  # that a short run gets all the same


class Watch:
    """Watches a run. What it reports follows from the rows alone, so a resumed run goes on as if it had not stopped.

    config  a dataclass with the trainer's settings
    """

    def __init__(self, task: Task, model, config):
        self._task, self._model, self._steps = task, model, config.steps
        self._checkup = Checkup(Plan.of(settings_of_model(model) | dataclasses.asdict(config) | task.facts(model)))
        self._interval = max(1, min(INTERVAL, config.steps // LEAST_LOOKS))
        self._looked_at = 0

    def catch_up(self, rows: list[dict[str, Any]]) -> None:
        """Take the rows that the run wrote before it was stopped; it reports nothing about them again."""
        for row in rows:
            self._take(row)

    def examine(self, row: dict[str, Any], losses: list[float]) -> list[str]:
        """Add "health" to a row of metrics, and return a line for each new finding.

        losses  of the steps since the row before. The model holds the gradients of the last of them.
        """
        row["health"] = {"loss_first": losses[0], "loss_max": max(losses)}
        if row["step"] - self._looked_at >= self._interval or row["step"] == self._steps:
            row["health"] |= snapshot(self._model, self._task)
        findings = self._take(row)
        if findings:
            row["health"]["findings"] = [dataclasses.asdict(finding) for finding in findings]
        return [finding.line for finding in findings]

    def _take(self, row: dict[str, Any]) -> list:
        if has_snapshot(row):
            self._looked_at = row["step"]
        return self._checkup.add(row)
