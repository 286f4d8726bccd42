"""Extending a run: more steps than it was started with.

The steps that it has made keep their learning rates. The next ones have those of a run of the new length, which for a
schedule that falls are higher than the last one was. So an extended run is another one than a run of the new length
from the start, unless its steps so far had the same learning rates in both, as with a constant schedule.

config.json keeps a list, `extensions`, with an entry for each:

    at         the step at which it was extended
    from, to   its steps before and after
    when       the time, in UTC
"""

import datetime
import itertools
from collections.abc import Callable
from typing import Any

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import check_fits, write_json
from tinygrad_gpt.train.run import Run
from tinygrad_gpt.train.trainer import Trainer

_SCHEMA = {"extensions?": [{"at": int, "from": int, "to": int, "when": str}]}


def extensions_of(written: dict[str, Any]) -> list[dict[str, Any]]:
    """Those in the content of a config.json, in order. Raises UserError for damaged ones."""
    return check_fits(written, _SCHEMA, "config.json").get("extensions", [])


def check_longer(steps: int, before: int) -> None:
    """Raise UserError if `steps` is less than the steps that a run has."""
    if steps < before:
        raise UserError(f"a run can be extended, not shortened: it has {before} steps, and --steps is {steps}")


def extend(run: Run, written: dict[str, Any], before: int, say: Callable[[str], object]) -> None:
    """If a run that had `before` steps was opened with more, write to config.json, whose content is `written`, that it
    has those from now on, and say in a line what it means for its learning rates. Raises UserError, with nothing
    written, for a run that its patience has ended: it would make none of them."""
    config, step = run.trainer.config, run.trainer.step
    if config.steps == before:
        return
    if run.trainer.ending.out_of_patience:
        run.close()
        raise UserError(
            f"{run.folder.path} has ended early, at step {step}, and makes no more: a new run may have more --patience"
        )
    earlier = extensions_of(written) if step else []  # a run that starts over has not been extended at any step
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    entry = {"at": step, "from": before, "to": config.steps, "when": now}
    extended = written | {"train": written["train"] | {"steps": config.steps}, "extensions": [*earlier, entry]}
    write_json(run.folder.config, extended)
    run.before_extension = written
    said = f"extended from {before} to {config.steps} steps, at step {step}"
    if not step or _had_the_same_rates(run.trainer, extended["extensions"]):
        say(f"{said}: the same as a run of {config.steps} steps from the start")
        return
    say(
        f"{said}: the learning rate was {run.trainer.rate_at(step - 1, before):.3g} and is "
        f"{run.trainer.rate_at(step):.3g} now, on its way to {config.min_lr:.3g}; the steps so far keep "
        f"theirs, unlike in a run of {config.steps} steps from the start"
    )


def _had_the_same_rates(trainer: Trainer, extensions: list[dict[str, Any]]) -> bool:
    """Whether all steps up to the last extension had the learning rates that a run of its length gives them."""
    began = [0, *(extension["at"] for extension in extensions)]
    return all(
        trainer.rate_at(step, extension["from"]) == trainer.rate_at(step)
        for (first, end), extension in zip(itertools.pairwise(began), extensions, strict=True)
        for step in range(first, end)
    )
