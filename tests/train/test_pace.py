"""The time left of a run: compiling does not spoil it, and neither does one slow step."""

import pytest

from tinygrad_gpt.kernels import compiling
from tinygrad_gpt.train.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until `clock(seconds)` moves it."""
    now = 0.0
    monkeypatch.setattr("tinygrad_gpt.train.pace.time.monotonic", lambda: now)

    def wait(seconds):
        nonlocal now
        now += seconds

    return wait


def make(pace, clock, first, last, seconds=1.0):
    for step in range(first, last + 1):
        clock(seconds)
        pace.step(step)


def test_nothing_is_said_before_there_is_a_step_to_rest_it_on(clock):
    pace = Pace(10, 0)
    assert pace.seconds_left() is None
    make(pace, clock, 1, 1)
    assert pace.seconds_left() is None, "the first step of a process fills caches"
    make(pace, clock, 2, 2)
    assert pace.seconds_left() == 8.0


def test_steps_that_compile_are_left_out(clock):
    pace = Pace(100, 0)
    make(pace, clock, 1, 1, seconds=400)
    for step in (2, 3):  # as many as the others: a median alone would not help
        compiling.tell()
        make(pace, clock, step, step, seconds=60)
    make(pace, clock, 4, 5, seconds=0.5)
    assert pace.seconds_left() == 95 * 0.5


def test_one_slow_step_changes_nothing(clock):
    pace = Pace(100, 50)  # resumed
    make(pace, clock, 51, 55)
    make(pace, clock, 56, 56, seconds=500)
    make(pace, clock, 57, 60)
    assert pace.seconds_left() == 40.0


def test_a_machine_that_is_busy_from_now_on_counts_soon(clock):
    pace = Pace(1000, 0)
    make(pace, clock, 1, 300)
    make(pace, clock, 301, 400, seconds=3)
    assert pace.seconds_left() == 600 * 3.0


def test_evaluations_to_come_are_counted(clock):
    pace = Pace(100, 0)
    make(pace, clock, 1, 20)
    compiling.tell()
    clock(90)  # the first one compiles
    pace.evaluation()
    make(pace, clock, 21, 40)
    clock(7)
    pace.evaluation()
    make(pace, clock, 41, 50)
    assert pace.seconds_left() == 50 + 3 * 7
    make(pace, clock, 51, 60)
    assert pace.seconds_left() == 40 + 2 * 7
