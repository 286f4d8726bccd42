"""Ctrl-C: the first one asks, the second one insists."""

import signal
import threading
from contextlib import suppress


class GracefulInterrupt:
    """Inside this block, the first Ctrl-C sets `.requested` (and calls `notify`); the second is a KeyboardInterrupt.

    Python handles Ctrl-C in its main thread only; in other threads the block changes nothing.
    """

    def __init__(self, notify=lambda: None):
        self.requested = False
        self._notify = notify

    def __enter__(self) -> "GracefulInterrupt":
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception) -> None:
        if self._listens:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, signum, frame) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        with suppress(RuntimeError):  # raised where Ctrl-C interrupted another print to the same stream
            self._notify()
