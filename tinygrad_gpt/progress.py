"""The progress callback that everything long takes: progress(done, in_all), in bytes or tokens."""

from collections.abc import Callable

Progress = Callable[[int, int | None], None]  # (done so far, in all or None where unknown)


def no_progress(done: int, total: int | None) -> None:
    """The callback that shows nothing."""
