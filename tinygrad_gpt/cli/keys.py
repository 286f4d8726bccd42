"""Keys read without Enter, where the platform can: msvcrt on Windows, termios elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Pressed = Callable[[float], str]  # seconds to wait -> the key that was pressed meanwhile, "" for none


@contextmanager
def keys() -> Iterator[tuple[Pressed, bool]]:
    """A function that waits for a key, and whether there can be one. Without a terminal it only waits."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield _wait, False
        return
    if sys.platform == "win32":
        yield _pressed_on_windows, True
        return
    try:
        import select
        import termios
        import tty
    except ImportError:
        yield _wait, False
        return
    before = termios.tcgetattr(sys.stdin)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return ""
        read = os.read(sys.stdin.fileno(), 64)
        if not read:  # the terminal has gone
            raise KeyboardInterrupt
        return "" if read.startswith(b"\x1b") else read.decode(errors="ignore")[:1]  # arrows and others: ESC [ A

    try:
        tty.setcbreak(sys.stdin)  # Ctrl-C still interrupts
        yield pressed, True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _pressed_on_windows(seconds: float) -> str:
    import msvcrt

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if msvcrt.kbhit():
            key = msvcrt.getwch()
            if key == "\x03":
                raise KeyboardInterrupt
            if key in ("\x00", "\xe0"):  # an arrow or another such key: what follows is no letter
                msvcrt.getwch()
                return ""
            return key
        time.sleep(0.02)
    return ""
