"""How long a run still takes, from the steps that it has made."""

import math
import statistics
import time
from collections import deque

from tinygrad_gpt.kernels import compiling

_RECENT = 100  # steps that the estimate rests on


class Pace:
    """The usual time of a step and of an evaluation, of this process.

    A step that compiled says nothing about the next one, and neither does the first, which fills caches: they are left
    out. The median of the recent steps stands for the others, so that a slow one (another program, a checkpoint)
    changes nothing.
    """

    def __init__(self, steps: int, done: int):
        """A process begins to train, `done` of `steps` steps having been made."""
        self._steps, self._done = steps, done
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self._compiled = compiling.times()
        self._from: float | None = None  # when the step that is being made began; None for the first one
        self._evaluated = done  # the step of the last evaluation, ...
        self._interval: int | None = None  # ... the steps from the one before it, and how long it took
        self._evaluation = 0.0

    def step(self, step: int) -> None:
        """Step number `step` has been made."""
        now, compiled = time.monotonic(), compiling.times()
        if self._from is not None and compiled == self._compiled:
            self._seconds.append(now - self._from)
        self._done, self._from, self._compiled = step, now, compiled

    def evaluation(self) -> None:
        """An evaluation has ended, which began after the last step."""
        now, compiled = time.monotonic(), compiling.times()
        if self._from is not None and compiled == self._compiled:
            self._evaluation = now - self._from
        self._interval, self._evaluated = self._done - self._evaluated, self._done
        self._from, self._compiled = now, compiled

    def seconds_left(self) -> float | None:
        """An estimate; None before there are steps to rest it on."""
        if not self._seconds:
            return None
        left = self._steps - self._done
        evaluations = math.ceil(left / self._interval) if self._interval else 0
        return left * statistics.median(self._seconds) + evaluations * self._evaluation
