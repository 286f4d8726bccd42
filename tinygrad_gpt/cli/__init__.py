"""The command `tinygrad-gpt`.

    training.py    train, presets
    trained.py     sample, eval, export
    finetuning.py  finetune, classify
    doctor.py      doctor
    inspecting.py  gradcheck, info
    bench.py       bench
    options.py     options that several commands share, and an option for every setting

Exit status: 0 done; 1 a gradient check failed; 2 something the user can put right, in one line on standard error; 130
ended by Ctrl-C; 141 whoever read the output has gone, as in `tinygrad-gpt sample DIR | head`. Anything else that goes
wrong is a bug and keeps its traceback.
"""

import errno
import os
import sys
import warnings
from contextlib import suppress

import typer

from tinygrad_gpt.cli import bench, doctor, finetuning, inspecting, trained, training
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.storage import reason

INTERRUPTED, UNREADABLE = 130, 141  # as a shell reports SIGINT and SIGPIPE
_LONGEST = 800  # characters of an error: what is quoted in it may be of any length

# Typer brings a click of its own or uses the installed one; this is the base of its usage errors in either case.
_UsageError = typer.BadParameter.__base__

app = typer.Typer(
    help="Train and use small GPTs that are built from scratch on NumPy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(training.train)
app.command()(training.presets)
app.command()(trained.sample)
app.command(name="eval")(trained.evaluate_model)
app.command()(trained.export)
app.command()(finetuning.finetune)
app.command()(finetuning.classify)
app.command()(doctor.doctor)
app.command()(inspecting.gradcheck)
app.command()(inspecting.info)
app.command()(bench.bench)


def main(arguments: list[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit status."""
    _make_output_safe()
    warnings.formatwarning = _in_a_line
    try:
        if any("\0" in argument for argument in arguments or ()):  # from Python: no shell can say it
            raise UserError("cannot read a path with a zero byte: it is no file's name")
        status = app(args=arguments, prog_name="tinygrad-gpt", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (UserError, _UsageError) as error:
        message = error.format_message() if isinstance(error, _UsageError) else str(error)
        if message:  # there is none when the command was called bare, and its help has been shown
            _say_error(message)
        return 2
    except MemoryError as error:
        _say_error(f"not enough memory ({error}): take a smaller model, block_size or batch_size")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as in `tinygrad-gpt sample DIR | head`
        _drop_output()
        return UNREADABLE
    except OSError as error:  # the system refuses: a full disk, no permission, a name that is too long
        if error.errno == errno.ENOMEM:
            _say_error("not enough memory: take a smaller model, block_size or batch_size")
        elif error.filename is None:
            _drop_output()
            _say_error(f"cannot write the output: {reason(error)}")
        else:
            _say_error(f"cannot use {error.filename}: {reason(error)}")
        return 2


def _say_error(message: str) -> None:
    """One line on standard error, if anybody is there."""
    with suppress(OSError):
        print(f"error: {in_short(message, _LONGEST)}", file=sys.stderr)


def _in_a_line(message, category, filename, lineno, line=None) -> str:
    """A warning as it is shown: what to know, without the place in the source that knew it."""
    return f"warning: {in_short(message, _LONGEST)}\n"


def _make_output_safe() -> None:
    """Let text reach standard output whatever it is: a character that its encoding lacks (as when Windows writes to a
    file) becomes a question mark, and where there is no standard output at all, text goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open for as long as the process)
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


def _drop_output() -> None:
    """Let what is still to be written to standard output go nowhere, so that Python's end does not try again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
