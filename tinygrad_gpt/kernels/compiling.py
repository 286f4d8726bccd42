"""Telling those who watch that kernels are being compiled: a newcomer's first seconds, when nothing else happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_watchers: list[Callable[[], None]] = []


@contextmanager
def watched_by(notify: Callable[[], None]) -> Iterator[None]:
    """Inside this block `notify` is called the first time that something is compiled."""
    told = False

    def once() -> None:
        nonlocal told
        if not told:
            told = True
            notify()

    _watchers.append(once)
    try:
        yield
    finally:
        _watchers.remove(once)


def tell() -> None:
    """For those who compile: say so."""
    for watcher in tuple(_watchers):
        watcher()
