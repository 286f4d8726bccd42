"""The input of the rules, a History with its Curves, and their result, a Symptom."""

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
from tinygrad_gpt.nn import Block
from tinygrad_gpt.nn.language_model import width_of
from tinygrad_gpt.optim import noam
from tinygrad_gpt.settings import value_type
from tinygrad_gpt.tasks.task import Task

# Losses are judged over the last 150 steps, or over a tenth of the run if that is more. Small models on characters pass
# the unigram entropy in about 100 steps, so a shorter plateau means nothing; a long run may have a longer one.
LEAST_WINDOW = 150
WINDOW_SHARE = 0.1
IN_A_ROW = 3  # snapshots that must agree: a single batch may be odd ...
FIRST_SNAPSHOT = 50  # ... and the steps before this one are odd in healthy runs too
RECENT_ROWS = 500  # rows that the rules read, so that a check stays quick in long runs
HIGH_LR = 0.01  # for Adam, whatever the model; no advice exceeds it
LITTLE_WARMUP = 10  # steps: during them, Adam's mean of g² is over fewer gradients than this
ABOVE_UNIGRAM = 0.03  # share of the entropy: the cost of weights that a high learning rate keeps moving
BELOW_UNIGRAM = 0.015  # share of the entropy: a model further below it uses some context
KNOWN = ("masked_loss", "next_sentence_loss", "val_next_sentence_loss")  # names in rows that rules read ...
KNOWN += ("next_sentence_accuracy", "accuracy", "matthews", "recall")
STOPPED = 0.01  # a loss stands still if it falls by less than this share from one half of the window to the other


def settings_of_model(model) -> dict[str, Any]:
    """The fields of the model's config, if that is a dataclass."""
    config = getattr(model, "config", None)
    return dataclasses.asdict(config) if dataclasses.is_dataclass(config) else {}


def facts_of(model, task: Task) -> dict[str, Any]:
    """What the rules need to know beside settings, for config.json: Task.facts, the names of the task's metrics, the
    first one deciding, the model's width, and what its first nn.Block is made of, under whatever name it is set."""
    block = next((module for module in model.modules() if isinstance(module, Block)), None)
    made_of = {}
    if block is not None:
        made_of = {"post_norm": block.norm == "post", "activation": block.feed_forward.activation}
        made_of["dropout"] = block.dropout.p
    return made_of | task.facts(model) | {"metrics": list(task.metrics), "width": width_of(model)}


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
    """What the rules need to know of a run's settings and of its data; `facts_of` and Task.facts explain what follows
    warmup_share. Fields that a model or a task does not have keep their defaults.

    lr            the highest learning rate: with the schedule noam, what the setting makes of the width and the warm-up
    norm          the model's setting; None if it has none
    warmup_share  the setting that `finetune` has in place of `warmup`
    label_smoothing  of the training loss
    """

    steps: int
    lr: float
    warmup: int
    grad_clip: float
    norm: str | None = None
    warmup_share: float | None = None
    schedule: str | None = None
    width: int | None = None
    post_norm: bool = False
    activation: str | None = None
    dropout: float = 0.0
    metrics: list | None = None
    choices: int | None = None
    unigram_entropy: float | None = None
    commonest_share: float | None = None
    part: str | None = None
    label_smoothing: float = 0.0

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Plan":
        """A plan from settings that include these fields. Raises UserError for a missing or impossible one."""
        if "pre_lnorm" in settings:  # a Transformer-XL's name for it
            settings = {"norm": "pre" if settings["pre_lnorm"] else "post"} | settings
        settings = {"post_norm": settings.get("norm") == "post"} | settings
        found = {f.name: settings.get(f.name, f.default) for f in dataclasses.fields(cls)}
        for field in dataclasses.fields(cls):
            value, (kind, may_be_none) = found[field.name], value_type(field.type)
            fits = isinstance(value, (int, float) if kind is float else kind) or (may_be_none and value is None)
            if field.name in ("choices", "width") and fits and value is not None:
                fits = value >= 1
            if field.name == "metrics" and fits and value is not None:
                fits = all(isinstance(name, str) for name in value)
            if not fits:
                raise UserError(f"the run's config.json has no usable {field.name}: {shown(value)}")
        plan = cls(**found)
        return dataclasses.replace(plan, lr=plan.lr * plan.lr_unit)

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> "Plan":
        """A plan from the content of config.json (train/run_folder.py), of this version or an older one."""
        older = {"choices": config.get("vocab_size")} | config.get("corpus", {})  # which knew one task
        task = {name: config.get("task", {}).get(name) for name in ("warmup_share", "label_smoothing")}
        task["label_smoothing"] = task["label_smoothing"] or 0.0
        return cls.of(config["model"] | task | config["train"] | config.get("facts", older))

    @property
    def numbers(self) -> set[str]:
        """The names, in rows of metrics, of what rules and reports read of this run, beside what all rows have."""
        of_part = {self.answers_loss, f"val_{self.answers_loss}", f"{self.part}_accuracy"}
        return {*KNOWN, *(self.metrics or ()), *of_part}

    @property
    def answers_loss(self) -> str:
        """The loss in rows of metrics that the facts speak of."""
        return "train_loss" if self.part is None else f"{self.part}_loss"

    @property
    def window(self) -> int:
        """Steps over which a loss is judged."""
        return max(LEAST_WINDOW, round(WINDOW_SHARE * self.steps))

    @property
    def lr_unit(self) -> float:
        """The highest learning rate of a run with --lr 1."""
        return (
            noam(max(0, self.warmup - 1), d_model=self.width, warmup=self.warmup)
            if self.width and self.schedule == "noam"
            else 1.0
        )

    @property
    def lower_lr(self) -> str:
        """The option to try where the learning rate was too high."""
        return f"--lr {min(self.lr / 3, HIGH_LR) / self.lr_unit:.1g}"

    @property
    def fine_tuned(self) -> bool:
        """Whether `finetune` made the run, whose options are not those of `train`."""
        return self.warmup_share is not None

    @property
    def answer(self) -> str:
        """What is predicted, in a word."""
        return "class" if self.fine_tuned else "token"

    @property
    def usual_warmup(self) -> str:
        """The option for a warm-up over a twentieth of the run, as usual in recipes, but at least 20 steps and at most
        2000; in fine-tuning over a tenth."""
        return "--warmup-share 0.1" if self.fine_tuned else f"--warmup {min(2000, max(20, round(self.steps / 20)))}"

    @property
    def longer_warmup(self) -> str:
        return f"a longer {'--warmup-share' if self.fine_tuned else '--warmup'}"

    @property
    def pre_norm(self) -> list[str]:
        """The option for norms before the sums, if the run has others and the choice."""
        return ["--norm pre"] if self.norm == "post" and not self.fine_tuned else []


@dataclass(frozen=True)
class History:
    """A run so far: its plan, and its rows of metrics.jsonl, at least one."""

    plan: Plan
    rows: list[dict[str, Any]]

    @property
    def step(self) -> int:
        return self.rows[-1]["step"]

    @cached_property
    def recent(self) -> list[dict[str, Any]]:
        return self.rows[-RECENT_ROWS:]

    @cached_property
    def snapshots(self) -> list[dict[str, Any]]:
        """The last IN_A_ROW snapshots; [] if there are fewer."""
        taken = [row["health"] for row in self.recent if has_snapshot(row) and row["step"] >= FIRST_SNAPSHOT]
        return taken[-IN_A_ROW:] if len(taken) >= IN_A_ROW else []

    def rows_in(self, steps: int) -> int:
        """How many of the recent rows cover `steps` steps."""
        covered = self.step - self.recent[0]["step"]
        return max(1, math.ceil(steps * (len(self.recent) - 1) / covered)) if covered else 1

    def last(self, steps: int) -> list[dict[str, Any]]:
        """The rows of the last `steps` steps; [] before that many steps have followed the warm-up."""
        start = self.step - steps
        rows = self.rows[bisect_right(self.rows, start, key=lambda row: row["step"]) :]
        return rows if start >= self.plan.warmup and len(rows) >= 4 else []

    @cached_property
    def window(self) -> list[dict[str, Any]]:
        """The rows over which a loss is judged."""
        return self.last(self.plan.window)

    @cached_property
    def loss(self) -> "Curve":
        """The loss that training minimises."""
        return Curve("train_loss", self.recent, self.window)

    @cached_property
    def answers(self) -> "Curve":
        """The loss that the facts speak of: all of it, or a part."""
        return Curve(self.plan.answers_loss, self.recent, self.window)

    @property
    def counts_only(self) -> bool:
        """Whether the answers' loss stands where it is for a model that knows how often each one occurs, and no more:
        at the unigram entropy."""
        level, entropy = self.answers.plateau, self.plan.unigram_entropy
        if level is None or entropy is None:
            return False
        return -BELOW_UNIGRAM * entropy <= level - entropy <= ABOVE_UNIGRAM * entropy

    def scores(self, name: str) -> list[float]:
        """The last IN_A_ROW evaluations' results of this name, of those after the warm-up; [] if there are fewer."""
        found = [row[name] for row in self.recent if name in row and row["step"] > self.plan.warmup]
        return found[-IN_A_ROW:] if len(found) >= IN_A_ROW else []


@dataclass(frozen=True)
class Curve:
    """One of a run's losses over its steps.

    name    in rows of metrics
    recent  the rows from which its noise is estimated
    window  the rows over which its level is judged; rows without the loss are left out
    """

    name: str
    recent: list[dict[str, Any]]
    window: list[dict[str, Any]]

    @cached_property
    def losses(self) -> np.ndarray:
        """Those of the recent rows, (R,)."""
        return np.array([row[self.name] for row in self.recent if self.name in row], dtype=float)

    @cached_property
    def noise(self) -> float:
        """Standard deviation of a row's loss, estimated robustly from the median of the differences of neighbours."""
        differences = np.diff(self.losses)
        if len(differences) < 4:
            return 0.0
        return float(1.4826 * np.median(np.abs(differences - np.median(differences))) / np.sqrt(2))

    @cached_property
    def halves(self) -> tuple[float, float] | None:
        """Mean loss in the two halves of the window; None if that is empty."""
        losses = [row[self.name] for row in self.window if self.name in row]
        middle = len(losses) // 2
        return (float(np.mean(losses[:middle])), float(np.mean(losses[middle:]))) if len(losses) >= 4 else None

    @property
    def plateau(self) -> float | None:
        """The level at which the loss stands still. None while it falls, before there is a window, and for batches so
        small that chance alone moves the mean of half a window as much."""
        if self.halves is None:
            return None
        moved = STOPPED * self.halves[1]
        by_chance = 2 * self.noise / math.sqrt(len(self.window))  # standard deviation of the difference of the halves
        if self.halves[0] - self.halves[1] > moved or by_chance > moved:
            return None
        return float(np.mean(self.halves))
