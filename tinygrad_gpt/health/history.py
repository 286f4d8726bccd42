"""What the rules are given to judge by, and what they return."""

import dataclasses
import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.health.snapshot import has_snapshot
from tinygrad_gpt.settings import value_type

# Losses are judged over the last 150 steps, or a tenth of the run where that is more. Small models on characters pass
# the unigram entropy in about 100 steps, so a plateau that is shorter means nothing; and a run planned to be long is
# entitled to a longer one.
LEAST_WINDOW = 150
WINDOW_SHARE = 0.1
LOOKS = 3  # what a look sees counts if this many in a row saw it: a single batch may be odd ...
FIRST_LOOK = 50  # ... and not before this step: the first steps are odd in healthy runs too
RECENT_ROWS = 500  # rows that all rules look at at each check, so that a check stays quick in long runs
HIGH_LR = 0.01  # for Adam, whatever the model: advice never goes above it
STOPPED = 0.01  # a loss that fell by less than this part of itself, from the window's one half to the other, stands


def settings_of_model(model) -> dict[str, Any]:
    """The fields of the model's config, if it has a dataclass of settings."""
    config = getattr(model, "config", None)
    return dataclasses.asdict(config) if dataclasses.is_dataclass(config) else {}


@dataclass(frozen=True)
class Symptom:
    """Something wrong, in three clauses. `kind` is its name in explain.py and in metrics.jsonl."""

    kind: str
    step: int
    seen: str
    cause: str
    remedy: str

    @property
    def line(self) -> str:
        return f"health, step {self.step}: {self.seen}. Likely cause: {self.cause}. Remedy: {self.remedy}"


@dataclass(frozen=True)
class Plan:
    """What the rules need to know of a run's settings and of its data; the last three are explained in Task.facts. A
    model that does not say, or a task that has no such thing, leaves the defaults.
    """

    steps: int
    lr: float
    warmup: int
    grad_clip: float
    norm: str | None = None
    activation: str | None = None
    dropout: float = 0.0
    choices: int | None = None
    unigram_entropy: float | None = None
    commonest_share: float | None = None

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Plan":
        """From a dictionary that has these settings among others. Raises UserError that names one that is missing."""
        found = {f.name: settings.get(f.name, f.default) for f in dataclasses.fields(cls)}
        for field in dataclasses.fields(cls):
            kind, may_be_none = value_type(field.type)
            fits = isinstance(found[field.name], (int, float) if kind is float else kind)
            if not fits and not (may_be_none and found[field.name] is None):
                raise UserError(f"the run's config.json has no usable {field.name}: {shown(found[field.name])}")
        if found["choices"] is not None and found["choices"] < 1:
            raise UserError(f"the run's config.json has no usable choices: {found['choices']}")
        return cls(**found)

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> "Plan":
        """From what config.json holds (train/run_folder.py), also that of an older version."""
        facts = {"choices": config.get("vocab_size")} | config.get("corpus", {}) | config.get("facts", {})
        return cls.of(config["model"] | config["train"] | facts)

    @property
    def window(self) -> int:
        """Steps over which a loss is judged."""
        return max(LEAST_WINDOW, round(WINDOW_SHARE * self.steps))

    @property
    def lower_lr(self) -> str:
        """The option to try where the learning rate was too high."""
        return f"--lr {min(self.lr / 3, HIGH_LR):.1g}"


@dataclass(frozen=True)
class History:
    """A run so far: its plan, and its rows of metrics.jsonl, of which there is at least one."""

    plan: Plan
    rows: list[dict[str, Any]]

    @property
    def step(self) -> int:
        return self.rows[-1]["step"]

    @cached_property
    def recent(self) -> list[dict[str, Any]]:
        return self.rows[-RECENT_ROWS:]

    @cached_property
    def looks(self) -> list[dict[str, Any]]:
        """What the last looks into the model saw; [] where there were not enough of them."""
        looks = [row["health"] for row in self.recent if has_snapshot(row) and row["step"] >= FIRST_LOOK]
        return looks[-LOOKS:] if len(looks) >= LOOKS else []

    @cached_property
    def losses(self) -> np.ndarray:
        """train_loss of the recent rows, (R,)."""
        return np.array([row["train_loss"] for row in self.recent])

    @cached_property
    def noise(self) -> float:
        """Standard deviation of a row's loss, as the differences of neighbours tell it (robustly: by their median)."""
        differences = np.diff(self.losses)
        if len(differences) < 4:
            return 0.0
        return float(1.4826 * np.median(np.abs(differences - np.median(differences))) / np.sqrt(2))

    def rows_in(self, steps: int) -> int:
        """How many of the recent rows it takes to cover that many steps."""
        covered = self.step - self.recent[0]["step"]
        return max(1, math.ceil(steps * (len(self.recent) - 1) / covered)) if covered else 1

    @cached_property
    def window(self) -> list[dict[str, Any]]:
        """The rows of the last steps over which a loss is judged; [] before that many lie behind the warm-up."""
        start = self.step - self.plan.window
        rows = self.rows[bisect_right(self.rows, start, key=lambda row: row["step"]) :]
        return rows if start >= self.plan.warmup and len(rows) >= 4 else []

    @cached_property
    def halves(self) -> tuple[float, float] | None:
        """Mean loss in the two halves of the window; None where there is none."""
        losses = [row["train_loss"] for row in self.window]
        middle = len(losses) // 2
        return (float(np.mean(losses[:middle])), float(np.mean(losses[middle:]))) if losses else None

    @property
    def plateau(self) -> float | None:
        """The level at which the loss stands; None while it falls, or where that cannot be told: before there is a
        window, or where batches are so small that chance alone moves the mean of half a window as much."""
        if self.halves is None:
            return None
        moved = STOPPED * self.halves[1]
        by_chance = 2 * self.noise / math.sqrt(len(self.window))  # standard deviation of the difference of the halves
        if self.halves[0] - self.halves[1] > moved or by_chance > moved:
            return None
        return float(np.mean(self.halves))
