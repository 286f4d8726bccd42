"""A file that one process has in use, as far as the system says: Windows and some network disks do not."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO
from weakref import WeakValueDictionary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_TRIES, _BETWEEN = 20, 0.01  # `is_held` holds a file too, for a moment


class Lock:
    """A file that this process holds, until `release`, or until nobody has the Lock any more.

    in_use  whether somebody works under it: then nobody else in this process may
    """

    def __init__(self, file: IO):
        self._file, self.in_use = file, False

    def release(self) -> None:
        self._file.close()

    @property
    def is_released(self) -> bool:
        return self._file.closed


_mine: WeakValueDictionary[tuple[int, int], Lock] = WeakValueDictionary()  # by the file's device and number on it


def hold(path: Path) -> Lock | None:
    """Hold a file, made if there is none. All who hold it in this process share one Lock. Returns None if another
    process holds it, or somebody in this one has it `in_use`. Raises OSError when the system refuses."""
    for _ in range(_TRIES):
        file = open(path, "ab")  # noqa: SIM115 (open for as long as it is held)
        here = _number(os.fstat(file.fileno()))
        known = _mine.get(here)
        if known is not None and not known.is_released:
            file.close()
            return None if known.in_use else known
        if _takes(file):
            with suppress(FileNotFoundError):
                if _number(os.stat(path)) == here:  # nobody deleted or replaced it meanwhile
                    lock = _mine[here] = Lock(file)
                    return lock
        file.close()
        time.sleep(_BETWEEN)
    return None


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


def _number(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _takes(file: IO) -> bool:
    """Lock an open file; whether that worked, as no other process has locked it. True on a system without locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
