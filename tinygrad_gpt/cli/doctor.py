"""`tinygrad-gpt doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.cli.options import PairFiles
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.train.run_folder import RunFolder

_LONGEST = 800  # characters of why a run ended


def doctor(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIR]",
            help="a folder that `train` or `finetune` made; with --probe also a checkpoint in it, a Hugging Face "
            "folder, or the name of a model on their hub",
            show_default=False,
        ),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="ask the model itself: does it see the future, padding, other rows, ...?")
    ] = False,
    preset: Annotated[
        str | None, typer.Option(help="with --probe: a new model of this recipe", show_default=False)
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.py",
            help="with --probe: your own model, a file with a class Model, as for `train`",
            show_default=False,
        ),
    ] = None,
    with_: PairFiles = None,
):
    """Report what went wrong in a run, finished or not, and explain why; or, with --probe, what is wrong with a model.

    --probe asks a model what its losses do not tell: whether a place sees later
    tokens, rows see each other, padding counts, evaluation is the same twice, a
    cache changes anything, every parameter is trained. It ends with status 1 if
    something is wrong.

        tinygrad-gpt doctor runs/shakespeare-1

        tinygrad-gpt doctor --probe runs/shakespeare-1

        tinygrad-gpt doctor --probe --preset tiny --model my_model.py
    """
    if probe:
        from tinygrad_gpt.cli.probing import probe_and_show

        return probe_and_show(run, preset, model, with_ or [])
    for option, given in (("--preset", preset), ("--model", model), ("--with", with_)):
        if given:
            raise UserError(f"{option} says which model to ask: give --probe too")
    if run is None:
        raise UserError("expected the folder of a run, or --probe with a --preset or a --model")
    from tinygrad_gpt.train.fine_tuning.finetune import runs_of
    from tinygrad_gpt.train.run_list import runs_at
    from tinygrad_gpt.train.sweep import is_sweep

    path = Path(run)
    for folder in [each.folder for each in runs_at(path)] if is_sweep(path) else runs_of(path):
        _examine(folder)
    return 0


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
