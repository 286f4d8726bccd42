"""The progress callback of everything that takes long: progress(done, total), in bytes or tokens."""

from collections.abc import Callable

Progress = Callable[[int, int | None], None]  # (done so far, total or None if unknown)


def no_progress(done: int, total: int | None) -> None:
    """The callback that shows nothing."""
