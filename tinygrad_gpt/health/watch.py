"""The health check inside the trainer: adds snapshots to rows of metrics and reports new findings."""

import dataclasses
from typing import Any

from tinygrad_gpt.health.checkup import Checkup
from tinygrad_gpt.health.history import Plan, facts_of, settings_of_model
from tinygrad_gpt.health.snapshot import has_snapshot, snapshot
from tinygrad_gpt.tasks.task import Task

INTERVAL = 50  # steps between snapshots; one takes a fraction of a step
LEAST_SNAPSHOTS = 5  # in a short run


class Watch:
    """Watches a run. Its findings follow from the rows alone, so a resumed run reports what an uninterrupted one does.

    config  a dataclass with the trainer's settings
    rows    those that the run wrote before it was stopped; their findings are not reported again
    """

    def __init__(self, task: Task, model, config, rows: list[dict[str, Any]]):
        self._task, self._model, self._steps = task, model, config.steps
        written = {"task": task.settings(), "model": settings_of_model(model), "train": dataclasses.asdict(config)}
        self._checkup = Checkup(Plan.of_config(written | {"facts": facts_of(model, task)}))
        self._interval = max(1, min(INTERVAL, config.steps // LEAST_SNAPSHOTS))
        self._last_snapshot = 0
        for row in rows:
            self._take(row)

    def examine(self, row: dict[str, Any], losses: list[float]) -> list[str]:
        """Add "health" to a row of metrics, and return a line for each new finding.

        losses  of the steps since the row before; the model holds the gradients of the last one
        """
        row["health"] = {"loss_first": losses[0], "loss_max": max(losses)}
        if row["step"] - self._last_snapshot >= self._interval or row["step"] == self._steps:
            row["health"] |= snapshot(self._model, self._task)
        findings = self._take(row)
        if findings:
            row["health"]["findings"] = [dataclasses.asdict(finding) for finding in findings]
        return [finding.line for finding in findings]

    def _take(self, row: dict[str, Any]) -> list:
        if has_snapshot(row):
            self._last_snapshot = row["step"]
        return self._checkup.add(row)
