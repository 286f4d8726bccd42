"""Files that one process holds."""

import gc

import pytest

from tests.train.runs import held_elsewhere
from tinygrad_gpt.files import locks
from tinygrad_gpt.files.locks import hold, is_held

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="the system knows no such locks")


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_BETWEEN", 0.0)
    return tmp_path / "file"


def test_another_process_holds_it(path):
    with held_elsewhere(path):
        assert hold(path) is None and is_held(path)
    assert not is_held(path)
    assert hold(path) is not None


def test_all_in_this_process_share_one_until_it_is_in_use(path):
    lock = hold(path)
    assert hold(path) is lock and is_held(path)
    lock.in_use = True
    assert hold(path) is None
    lock.in_use = False
    assert hold(path) is lock


def test_it_ends_with_release_and_with_who_has_it(path):
    lock = hold(path)
    lock.release()
    assert not is_held(path)
    again = hold(path)
    assert again is not lock and is_held(path)
    del again
    gc.collect()
    assert not is_held(path)


def test_a_file_that_was_deleted_meanwhile_is_not_the_one_that_is_held(path, monkeypatch):
    real = locks._takes
    seen = []

    def slow(file):
        if not seen:
            path.unlink()  # as by a process that gave up making its run
        seen.append(file)
        return real(file)

    monkeypatch.setattr(locks, "_takes", slow)
    assert hold(path) is not None
    assert len(seen) == 2 and is_held(path)
