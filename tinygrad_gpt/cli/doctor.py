"""`tinygrad-gpt doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.train.run_folder import RunFolder

_LONGEST = 800  # characters of why a run ended


def doctor(
    run: Annotated[
        Path, typer.Argument(metavar="DIR", help="a folder that `train` or `finetune` made", show_default=False)
    ],
):
    """Report what went wrong in a run, finished or not, and explain why."""
    from tinygrad_gpt.train.fine_tuning.finetune import runs_of
    from tinygrad_gpt.train.run_list import runs_at
    from tinygrad_gpt.train.sweep import is_sweep

    for folder in [each.folder for each in runs_at(run)] if is_sweep(run) else runs_of(run):
        _examine(folder)


def _examine(folder: RunFolder) -> None:
    """Print the report on one run."""
    import numpy as np

    from tinygrad_gpt.health.checkup import diagnose
    from tinygrad_gpt.health.explain import not_checked, paragraph, signs
    from tinygrad_gpt.health.history import Plan
    from tinygrad_gpt.health.plot import plot_checkup
    from tinygrad_gpt.train.extension import extensions_of
    from tinygrad_gpt.train.metrics import read_metrics
    from tinygrad_gpt.train.run_list import ListedRun

    written = folder.read_config()
    plan = Plan.of_config(written)
    rows = read_metrics(folder.metrics, {f"{name}?": float for name in plan.numbers})
    failure = read_json(folder.failure, {"step": int, "why": str}) if folder.failure.exists() else None
    if failure:
        print(f"{folder.path} diverged at {in_short(failure['why'], _LONGEST)}")
        if not rows:
            return
    if not rows:
        raise UserError(f"{folder.metrics} has no rows yet: the run ended before its first one, or has just started")
    with np.errstate(all="ignore"):  # losses may overflow
        checkup = diagnose(plan, rows)
    print(f"{folder.path}: {rows[-1]['step']} of {plan.steps} steps")
    for extension in extensions_of(written):
        print(f"  extended from {extension['from']} to {extension['to']} steps, at step {extension['at']}")
    print("\n".join(f"  {line}" for line in signs(checkup)))
    for finding in checkup.findings:
        print(f"\n{finding.kind}, found at step {finding.step}\n{paragraph(finding)}")
    missing, damage = not_checked(checkup), ListedRun(folder, written).damage()
    for problem in damage:
        print(f"\ndamaged: {in_short(problem, _LONGEST)}")
    if not checkup.findings and not failure and not damage:
        print("\nhealthy: no problems found" + (" in what was recorded" if missing else ""))
    for line in missing:
        print(f"not checked: {line}")
    print()
    if plot_checkup(checkup, folder.doctor_plot):
        print(f"drawn in {folder.doctor_plot}")
