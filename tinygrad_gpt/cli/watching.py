"""`tinygrad-gpt exercise watch`: check a file at every save, as rustlings does."""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tinygrad_gpt.cli.keys import keys
from tinygrad_gpt.cli.reporting import check_file
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.exercises.exercise import read_bank
from tinygrad_gpt.exercises.learner import NotPythonError, exercise_of
from tinygrad_gpt.exercises.progress import Progress
from tinygrad_gpt.train.user_files import blamed, place_in_file

_EVERY = 0.25  # seconds between two looks at the file
_OF_ONE = ("h", "s")  # keys whose action is about this exercise
_HELP = "press h for a hint, n next, s solution, l list, q to quit"


def watch_file(path: Path, names: bool, actions: dict[str, Callable], most: int | None = None) -> int:
    """Check `path` now and whenever it is saved, until Ctrl-C or q. On a terminal the screen is drawn anew each time.

    actions  by key: `h` and `s` are called with the exercise's id, the others with nothing
    most     looks at the file, for tests

    Returns 0 if the last check was right, else 1.
    """
    seen, right, looks = None, False, 0
    with suppress(KeyboardInterrupt), keys() as (pressed, has_keys):
        while most is None or looks < most:
            looks += 1
            if (stamp := _stamp(path)) not in (None, seen) and _can_be_read(path):
                seen = stamp
                _clear()
                right = _checked(path, names)
                print(f"\n{_HELP if has_keys else 'Ctrl-C ends'}" if sys.stdout.isatty() else "", flush=True)
            key = pressed(_EVERY)
            if key == "q":
                break
            if key in actions:
                _clear()
                _say(partial(actions[key], *[exercise_of(path, read_bank()).id] * (key in _OF_ONE)))
                print(f"\n{_HELP}", flush=True)
    return 0 if right else 1


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Another one after each save, in place or as a new file; None while the file is away, as some editors replace it.
    The file is not opened for that: on Windows nobody could replace it meanwhile."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _can_be_read(path: Path) -> bool:
    """Not while an editor or a virus scanner holds it, on Windows."""
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def _checked(path: Path, names: bool) -> bool:
    return _say(lambda: check_file(path, Progress(), names).ok) or False


def _say(action: Callable):
    """What an action returns. An error of the learner's is a line, and the watch goes on; so it does if Ctrl-C ends a
    loop of theirs that would not."""
    try:
        return action()
    except KeyboardInterrupt as error:
        if (place := place_in_file(error)) is None:
            raise
        print(f"interrupted in {place}; Ctrl-C again ends")
    except NotPythonError as error:
        print(f"{error}\n{error.excerpt}")
    except UserError as error:
        print(error)
    except Exception as error:
        line = blamed(error)
        if line is None:
            raise
        print(line)
    return None


def _clear() -> None:
    if sys.stdout.isatty():
        from rich.console import Console

        Console().clear()
