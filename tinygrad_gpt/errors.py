"""What is said to the person at the keyboard: one exception, long texts in short, commands to copy."""

import shlex
import sys
from pathlib import PurePath
from typing import Any


class UserError(Exception):
    """Something the user can put right: a missing file, an unknown name, a damaged checkpoint.

    The message is one line that says what was expected, what came, and what to do. The command prints it without a
    traceback and exits with status 2. Programming mistakes (wrong shape, wrong dtype) stay ValueError, TypeError or
    IndexError, raised by the op that met them.
    """


def in_short(text: Any, most: int = 200) -> str:
    """A text, or what an error says, as one line of about `most` characters: cut in the middle where it is longer, and
    with escapes in place of what a terminal would obey."""
    line = " ".join(str(text).split())
    if len(line) > most:
        line = f"{line[: most * 2 // 3]} ... {line[-most // 3 :]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def command(*words: str | PurePath) -> str:
    """A command to copy: its words, quoted where this system's shell would take them apart.

    A path that begins with a dash gets ./ before it, or the command would take it for an option.
    """
    texts = [f"./{word}" if isinstance(word, PurePath) and str(word).startswith("-") else str(word) for word in words]
    if sys.platform == "win32":
        import subprocess  # here, since it takes longer to load than all else of the ground floor

        return subprocess.list2cmdline(texts)
    return shlex.join(texts)
