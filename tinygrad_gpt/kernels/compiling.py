"""Callbacks for "kernels are being compiled": a newcomer's first seconds, when nothing else happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

_watchers: list[Callable[[], None]] = []
_times = 0


@contextmanager
def watched_by(notify: Callable[[], None]) -> Iterator[None]:
    """Inside this block call `notify` the first time that something is compiled."""
    once = cache(notify)
    _watchers.append(once)
    try:
        yield
    finally:
        _watchers.remove(once)


def tell() -> None:
    """Notify those who watch. Call it before compiling."""
    global _times
    _times += 1
    for watcher in tuple(_watchers):
        watcher()


def times() -> int:
    """How often this process has compiled something. What took long meanwhile need not be slow."""
    return _times
