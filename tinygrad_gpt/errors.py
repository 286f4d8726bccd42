"""Messages for the user: one exception, long texts cut short, names that were meant, commands to copy."""

import difflib
import shlex
import sys
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any


class UserError(Exception):
    """Something the user can put right: a missing file, an unknown name, a damaged checkpoint.

    The message is one line: what was expected, what was given, what to do. The command prints it without a traceback
    and exits with status 2. Programming mistakes (wrong shape, wrong dtype) are ValueError, TypeError or IndexError,
    raised by the op that finds them.
    """


def in_short(text: Any, most: int = 200) -> str:
    """A text, or an error's message, as one line of about `most` characters. A longer one is cut in the middle; escapes
    replace characters that a terminal would obey."""
    line = " ".join(str(text).split())
    if len(line) > most:
        line = f"{line[: most * 2 // 3]} ... {line[-most // 3 :]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def did_you_mean(given: Any, names: Iterable[str]) -> str:
    """What an error says right after a name that is not one of `names`: " (did you mean softmax?)", or "" if none of
    them is near, nor begins with it."""
    if not isinstance(given, str):
        return ""
    known = {name.lower().replace("-", "_"): name for name in names}
    asked = given[:100].lower().replace("-", "_")  # cut: every letter is compared with every other
    near = difflib.get_close_matches(asked, known, n=1, cutoff=0.7)
    if not near and len(asked) >= 3:
        near = sorted([name for name in known if name.startswith(asked)], key=len)
    return f" (did you mean {known[near[0]]}?)" if near else ""


def command(*words: str | PurePath) -> str:
    """A command to copy: its words, quoted where this system's shell would split them.

    A path that begins with a dash gets ./ in front, or the command would take it for an option.
    """
    texts = [f"./{word}" if isinstance(word, PurePath) and str(word).startswith("-") else str(word) for word in words]
    if sys.platform == "win32":
        import subprocess  # slow to load, and few need it

        return subprocess.list2cmdline(texts)
    return shlex.join(texts)
