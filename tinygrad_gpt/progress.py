"""The progress callback of everything that takes long: progress(done, total), in bytes or tokens."""

from collections.abc import Callable
from typing import Any

Progress = Callable[[int, Any], None]  # (done so far, total); a download's total is None where it is unknown


def no_progress(done: int, total: int | None) -> None:
    """The callback that shows nothing."""
