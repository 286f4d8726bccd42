"""Whether another process has a file in use, as far as the system says: Windows and some network disks do not."""

import time
from contextlib import suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_TRIES, _BETWEEN = 20, 0.01  # `is_held` holds a file too, for a moment


def hold(file: IO) -> bool:
    """Hold an open file until it is closed, or the process ends in any way. Returns False if another process does."""
    if fcntl is None:
        return True
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_BETWEEN)
        except OSError:  # a disk that knows no locks
            return True
    return False


def is_held(path: Path) -> bool | None:
    """Whether a process holds the file; None if the system does not say."""
    if fcntl is None:
        return None
    with suppress(FileNotFoundError), open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
    return False
