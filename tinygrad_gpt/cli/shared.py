"""Shared by several commands: checking the user's own pairs, reporting downloads and threads, a run's sample, how to
resume, texts from a file."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.storage import read_file, replacing
from tinygrad_gpt.progress import Progress

STANDARD_INPUT = "standard input"  # its name in messages
_LARGEST = 64 << 20  # bytes of a file of texts
_AROUND = 6  # words on each side of a gap, for an example


def check_and_install(pairs, force: bool, reporter):
    """Check each of the user's own pairs, then use them. Returns a reporter that also says how often they run. Raises
    UserError for a wrong one, unless `force`."""
    import numpy as np

    from tinygrad_gpt.check import check_op
    from tinygrad_gpt.train import user_ops

    for pair in pairs:
        with np.errstate(all="ignore"):  # a wrong pair may divide by zero
            report = check_op(pair.op, pair, pair.cases)
        if report.ok:
            right = f"{report.cases} case{'s' * (report.cases != 1)}, worst error {report.worst_error:.1e}"
            what = "is a new op" if pair.is_new else "is right for"
            reporter.note(f"{pair.file} {what} {pair.op}: {right}")
            continue
        reporter.note(str(report))
        if not force:
            raise UserError(f"{pair.file} is wrong for {pair.op} (see above): correct it, or force it with --force")
        reporter.note(f"training with {pair.file} anyway, as --force says")
    user_ops.install(pairs)
    return user_ops.FirstStep(reporter, pairs, force) if pairs else reporter


@contextmanager
def no_folder_left(path: Path, resumed: bool) -> Iterator[None]:
    """Delete the folder of a run that fails before its first checkpoint by a mistake in a file of the user's, or whose
    first step shows that a pair never runs; unless it has been there before."""
    from tinygrad_gpt.train import run_folder, user_files, user_ops

    try:
        yield
    except Exception as error:
        if not resumed and (isinstance(error, user_ops.NeverRanError) or user_files.blames(error)):
            run_folder.discard(path)
        raise


def report_own_code(source) -> None:
    """Print a line to standard error if to open this trained model was to run Python from its folder."""
    if source.own_model is not None:
        print(f"{source.name} has a model of its own: ran {source.folder.model}", file=sys.stderr)


def report_rounding(trainer, reporter) -> None:
    """Print a line if matrix products do not round as the setting dtype asks for."""
    from tinygrad_gpt.kernels import registry

    dtype, where = trainer.config.dtype, trainer.device.kind
    if dtype in registry.ROUNDING and (reason := registry.cannot_round(dtype, where)):
        reporter.note(f"--dtype {dtype} runs in float32 on this machine: {reason}")


def report_threads(trainer, reporter) -> None:
    """Print a line if a busy machine, or a container's quota, leaves the kernels fewer threads than cores."""
    from tinygrad_gpt.kernels import registry

    reason = registry.fewer_threads(trainer.device.kind)
    if reason:
        reporter.note(f"kernels run on fewer threads: {reason}")


def resume_command(name: str, path: Path) -> str:
    """The command that continues the run in this folder."""
    return command("tinygrad-gpt", name, "--resume", path)


def use_command(path: Path) -> str:
    """The command that shows what the model of a run can do."""
    from tinygrad_gpt.tasks.masked_lm import MaskedLM
    from tinygrad_gpt.tasks.translation import Translation
    from tinygrad_gpt.train.run_folder import RunFolder

    task = RunFolder(path).task_name()
    if task == MaskedLM.name:
        return command("tinygrad-gpt", "predict", path, _text_with_a_gap(RunFolder(path).sample))
    if task == Translation.name:
        return command("tinygrad-gpt", "translate", path, _first_line(RunFolder(path).sample) or "A sentence.")
    return command("tinygrad-gpt", "sample", path)


def _first_line(sample: Path) -> str:
    """Of a translator's sample: a sentence to translate."""
    return _read(sample).partition("\n")[0]


def _read(sample: Path) -> str:
    """The text of a sample, "" if there is none."""
    try:
        return read_file(sample, _LARGEST).decode()
    except UserError:
        return ""


def _text_with_a_gap(sample: Path) -> str:
    """A few words of a BERT's sample, from its first passage with a [MASK]."""
    shown = _read(sample)
    for passage in re.split(r"\[CLS\]|\[SEP\]|\n", shown):
        words = passage.split()
        if "[MASK]" in words:
            gap = words.index("[MASK]")
            return " ".join(words[max(0, gap - _AROUND) : gap + _AROUND + 1])
    return "A text with a [MASK] ."


def write_sample(run) -> str:
    """Let a trained run write its sample, to sample.txt in its folder. Returns the text, "" where it has none."""
    text = "".join(run.task.sample(run.model))
    if text:
        with replacing(run.folder.sample) as file:
            file.write(text.encode())
    return text


def download_progress(reporter) -> Progress:
    """A progress callback for downloads: a line for every tenth."""
    shown = -1

    def progress(done: int, total: int | None) -> None:
        nonlocal shown
        if total and 10 * done // total > shown:
            shown = 10 * done // total
            reporter.note(f"downloading: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return progress


def read_standard_input(what: str = "texts") -> str:
    """All of standard input; "" without one. `what` it holds, for errors: UserError if it is not text."""
    try:
        return sys.stdin.read() if sys.stdin else ""
    except UnicodeDecodeError as error:
        raise UserError(f"the {what} on {STANDARD_INPUT} are not text: {in_short(error)}") from None


def read_lines(place: str, what: str = "texts") -> list[str]:
    """The lines of a file, or of standard input for "-", that are not empty. `what` they are, for errors: UserError if
    there is none."""
    if place == "-":
        content, name = read_standard_input(what), STANDARD_INPUT
    else:
        try:
            content, name = read_file(Path(place), _LARGEST).decode("utf-8-sig"), place
        except UnicodeDecodeError as error:
            raise UserError(f"{place} should be a text in UTF-8: {in_short(error)}") from None
    lines = [line for line in content.replace("\r\n", "\n").split("\n") if line]
    if not lines:
        raise UserError(f"{name} has no {what}: write one on each line")
    return lines
