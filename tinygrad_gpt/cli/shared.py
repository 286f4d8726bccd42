"""What several commands do: checking the user's own pairs, reporting downloads and what runs otherwise than asked."""

from collections.abc import Callable

from tinygrad_gpt.errors import UserError


def check_and_install(pairs, force: bool, reporter) -> None:
    """Let the user's own pairs run, after a report on each. Raises UserError for a wrong one, unless `force`."""
    import numpy as np

    from tinygrad_gpt.check import check_op
    from tinygrad_gpt.train import user_ops

    for pair in pairs:
        with np.errstate(all="ignore"):  # a wrong pair may well divide by zero
            report = check_op(pair.op, pair)
        if report.ok:
            right = f"{report.cases} cases, worst error {report.worst_error:.1e}"
            reporter.note(f"{pair.file} is right for {pair.op}: {right}")
            continue
        reporter.note(str(report))
        if not force:
            raise UserError(f"{pair.file} is wrong for {pair.op} (see above): put it right, or force it with --force")
        reporter.note(f"training with {pair.file} all the same, as --force says")
    user_ops.install(pairs)


def report_rounding(trainer, reporter) -> None:
    """Say so where products do not round as the setting dtype asks for."""
    from tinygrad_gpt.kernels import registry

    dtype, where = trainer.config.dtype, trainer.device.kind
    if dtype in registry.ROUNDING and (reason := registry.cannot_round(dtype, where)):
        reporter.note(f"--dtype {dtype} runs in float32 here: {reason}")


def download_progress(reporter) -> Callable:
    """A progress callback for downloads: a line for every tenth."""
    told = -1

    def progress(done: int, total: int | None) -> None:
        nonlocal told
        if total and 10 * done // total > told:
            told = 10 * done // total
            reporter.note(f"downloading: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return progress
