"""Threads that share a kernel's work: each piece is done once, by whoever comes, and nobody has to come."""

import threading
import time

import numba
import numpy as np
import pytest

from tests.kernels.small_kernel import a_kernel
from tinygrad_gpt.kernels.numba.machine import pool, threads
from tinygrad_gpt.kernels.numba.machine.compile import my_part, read, write
from tinygrad_gpt.kernels.numba.machine.pool import POOL


def who_does_what(share, work, counts, who):
    for i in my_part(share, work.size):
        total = 0.0
        for j in range(work[i]):
            total += (j % 7) ** 0.5
        counts[i] += 1
        who[i] = share[0] if total >= 0 else -1


@pytest.fixture(scope="module")
def run():
    """run(threads, work) -> (how often each piece was done, by which thread)."""

    def run(number, work):
        counts, who = np.zeros((2, work.size), np.int64)
        before = threads.count()
        try:
            numba.set_num_threads(number)
            kernel(work, counts, who)
        finally:
            numba.set_num_threads(before)
        return counts, who

    stated = read(numba.int64, "N"), write(numba.int64, "N"), write(numba.int64, "N")
    with a_kernel(who_does_what, lambda f: stated, dtypes=(np.dtype(np.int64),)) as kernel:
        yield run


several = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="Numba allows one thread here")


@pytest.mark.parametrize("n", [0, 1, 2, 3, 15, 16, 17, 31, 33, 1000])
@pytest.mark.parametrize("number", [1, pytest.param(2, marks=several)])
def test_each_piece_is_done_once(run, number, n):
    for _ in range(20):
        counts, who = run(number, np.zeros(n, np.int64))
        assert (counts == 1).all() and set(who) <= set(range(number))


@several
def test_the_helpers_come(run):
    deadline = time.monotonic() + 60
    while set(run(2, np.full(64, 20_000))[1]) != {0, 1}:
        assert time.monotonic() < deadline


@several
def test_where_nobody_comes_the_caller_does_it_all(run, monkeypatch):
    monkeypatch.setattr(POOL, "call", lambda number: None)
    deadline = time.monotonic() + 60
    while POOL.words[pool.ASLEEP // 8] < len(POOL._helpers):  # those that wait awake would come unasked
        assert time.monotonic() < deadline
    counts, who = run(2, np.full(64, 1000))
    assert (counts == 1).all() and (who == 0).all()


@several
def test_what_a_busy_thread_has_not_begun_others_do(run):
    """The first thread's first piece takes as long as all others together."""
    work = np.full(64, 2000)
    work[0] = 10_000_000
    deadline = time.monotonic() + 60
    while not (run(2, work)[1][:32] == 1).any():
        assert time.monotonic() < deadline


@several
def test_where_the_system_gives_no_threads_the_work_is_done(run, monkeypatch):
    run(1, np.zeros(1, np.int64))  # compiles
    refusing = pool.Pool()
    refusing._code = POOL._code
    monkeypatch.setattr(threads, "POOL", refusing)

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):  # the second time as the first: all of the threads are free again
        counts, _ = run(2, np.zeros(9, np.int64))
        assert (counts == 1).all() and refusing._refused and refusing._helpers == []


@several
@pytest.mark.parametrize("has_begun", [False, True])
def test_an_interrupt_while_helpers_start_leaves_the_pool_to_the_next_call(run, monkeypatch, has_begun):
    run(1, np.zeros(1, np.int64))  # compiles
    mine, start = pool.Pool(), threading.Thread.start
    mine._code = POOL._code
    monkeypatch.setattr(threads, "POOL", mine)

    def interrupted(self):
        if has_begun:
            start(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(2, np.zeros(9, np.int64))
    taken = threads.take()
    threads.give_back(taken)
    assert taken > 1
    mine.end()
    assert not any(thread.is_alive() for thread, _ in mine._helpers)


def test_a_helper_that_was_woken_already_is_left_alone():
    mine = pool.Pool()
    mine._helpers.append((threading.Thread(), threading.Lock()))
    mine._wake()
    mine.end()
    assert not mine._helpers[0][1].locked()


def test_before_there_is_code_to_help_with_nobody_is_hired():
    empty = pool.Pool()
    empty.call(3)
    assert empty._helpers == []
