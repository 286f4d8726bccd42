"""The command `tinygrad-gpt`.

    training.py    train, presets
    sampling.py    sample
    sweeping.py    sweeps of train
    trained.py     eval, export
    measuring.py   eval of a translator
    measuring_bert.py  eval of a BERT
    finetuning.py  finetune, classify
    predicting.py  predict, similar
    translating.py translate
    sentences.py   what it is given to translate
    runs.py        runs, compare
    doctor.py      doctor
    probing.py     doctor --probe
    inspecting.py  gradcheck, op, info
    bench.py       bench
    lessons.py     lesson
    exercises.py   exercise
    reporting.py   what its commands say of a learner's file
    watching.py    exercise watch
    keys.py        keys read without Enter
    pytorch.py     pytorch
    options.py     options that several commands share, and an option for every setting
    help.py        how the help is laid out
    tables.py      tables, drawn or plain
    shared.py      what several commands do: check --with files, report downloads

Exit status: 0 done; 1 a gradient check or a probe failed, an exercise is not right, or `translate` left out sentences
that are too long; 2 something the user can put right, in one line on standard error; 130 ended by Ctrl-C; 141 whoever
read the output has gone, as in `tinygrad-gpt sample DIR | head`. Anything else that goes wrong is a bug and keeps its
traceback, but for errors of files of the user's: one line names theirs, and the environment variable
TINYGRAD_GPT_TRACEBACK=1 shows the whole.
"""

import difflib
import errno
import os
import sys
import warnings
from contextlib import suppress
from typing import Annotated

import typer

from tinygrad_gpt.cli import (
    bench,
    doctor,
    exercises,
    finetuning,
    inspecting,
    lessons,
    predicting,
    pytorch,
    runs,
    sampling,
    trained,
    training,
    translating,
)
from tinygrad_gpt.cli.help import Command, Group, ReaderGoneError
from tinygrad_gpt.cli.options import INTERRUPTED
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.storage import reason
from tinygrad_gpt.train.run import installed
from tinygrad_gpt.train.user_files import blamed, place_in_file

UNREADABLE = 141  # as a shell reports SIGPIPE
_LONGEST = 800  # characters of an error, which may quote texts of any length

_SMALLER = "take a smaller model, block_size or batch_size"

# The base of usage errors, whether Typer brings its own click or uses the installed one.
_UsageError = typer.BadParameter.__base__


def _show_version(asked: bool) -> None:
    if asked:
        print(f"tinygrad-gpt {installed('tinygrad-gpt')}")
        raise typer.Exit


app = typer.Typer(
    cls=Group,
    help="Train, fine-tune and use small GPTs, BERTs and translators, built from scratch on NumPy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", help="show the version, and exit", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


app.command(cls=Command)(training.train)
app.command(cls=Command)(training.presets)
app.command(cls=Command)(sampling.sample)
app.command(name="eval", cls=Command)(trained.evaluate_model)
app.command(cls=Command)(trained.export)
app.command(cls=Command)(finetuning.finetune)
app.command(cls=Command)(finetuning.classify)
app.command(cls=Command)(predicting.predict)
app.command(cls=Command)(predicting.similar)
app.command(cls=Command)(translating.translate)
app.command(cls=Command)(runs.runs)
app.command(cls=Command)(runs.compare)
app.command(cls=Command)(doctor.doctor)
app.command(cls=Command)(inspecting.gradcheck)
app.command(cls=Command)(inspecting.op)
app.command(cls=Command)(pytorch.pytorch)
app.command(cls=Command)(inspecting.info)
app.command(cls=Command)(bench.bench)
app.command(cls=Command)(lessons.lesson)
app.add_typer(exercises.app, name="exercise")


def main(arguments: list[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit status."""
    _make_output_safe()
    warnings.formatwarning = _warning_line
    try:
        if any("\0" in argument for argument in arguments or ()):  # from Python: a shell cannot pass one
            raise UserError("an argument has a zero byte: no text or file name can have one")
        status = app(args=arguments, prog_name="tinygrad-gpt", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (UserError, _UsageError) as error:
        message = _usage(error) if isinstance(error, _UsageError) else str(error)
    except MemoryError as error:
        message = f"not enough memory ({error}): {_SMALLER}"
    except (KeyboardInterrupt, typer.Abort) as error:
        place = place_in_file(error.__cause__ or error)  # a loop of the user's own, perhaps, that would not end
        print(f"interrupted in {place}" if place else "interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as error:  # exit() in a file of the user's
        line = blamed(error)
        if line is None:
            raise
        message = f"{line}: it ends the program: take that out"
    except (
        BrokenPipeError,
        ReaderGoneError,
    ):  # nobody reads our output any more, as in `tinygrad-gpt sample DIR | head`
        _drop_output()
        return UNREADABLE
    except OSError as error:  # the system refuses: a full disk, no permission, a name that is too long
        if error.errno == errno.ENOMEM:
            message = f"not enough memory: {_SMALLER}"
        elif error.filename is None:
            _drop_output()
            message = f"cannot write the output: {reason(error)}"
        else:
            message = f"cannot use {error.filename}: {reason(error)}"
    except Exception as error:
        line = blamed(error)
        if line is None or os.environ.get("TINYGRAD_GPT_TRACEBACK"):
            raise
        message = f"{in_short(line, _LONGEST)} (TINYGRAD_GPT_TRACEBACK=1 shows the whole traceback)"
    if message:  # "" for the bare command, which has shown its help
        with suppress(OSError):  # standard error may be closed
            print(f"{_in_colour('error:')} {in_short(message, _LONGEST)}", file=sys.stderr)
    return 2


def _usage(error) -> str:
    """What is wrong with the command's arguments. Of the options that may be meant, the nearest alone is named."""
    if not getattr(error, "possibilities", None):
        return error.format_message()
    given = error.option_name
    nearest = max(error.possibilities, key=lambda name: difflib.SequenceMatcher(None, given, name).ratio())
    return f"there is no option {given} (did you mean {nearest}?)"


def _in_colour(word: str) -> str:
    """The word in red on a terminal, unless the environment variable NO_COLOR asks for none (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or sys.platform == "win32"
    if plain or not sys.stderr.isatty():
        return word
    return f"\x1b[31m{word}\x1b[0m"


def _warning_line(message, category, filename, lineno, line=None) -> str:
    """A warning as the command prints it: its text, without the line of source that raised it."""
    return f"warning: {in_short(message, _LONGEST)}\n"


def _make_output_safe() -> None:
    """Make standard output take any text. A character that its encoding lacks (as in a file on Windows) becomes a
    question mark. Without a standard output, text is dropped."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open for as long as the process)
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


def _drop_output() -> None:
    """Drop what is still buffered for standard output, or Python would try to write it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
