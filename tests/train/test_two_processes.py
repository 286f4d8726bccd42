"""Two processes, one run: the second one is refused before it writes anything."""

import json

import pytest

from tests.train.runs import StopsAt, held_elsewhere, rows_of
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files import locks
from tinygrad_gpt.files.locks import is_held
from tinygrad_gpt.train.any_run import resume, start
from tinygrad_gpt.train.metrics import InUseError
from tinygrad_gpt.train.run_folder import RunFolder

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="the system knows no such locks")
IN_USE = "another process trains this run now"


@pytest.fixture
def stopped(settings, tmp_path):
    """The folder of a run of 4 steps, stopped after 2."""
    run = start(settings(steps=4, log_interval=1), tmp_path / "run")
    run.train(StopsAt(2))
    return run.folder


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.path.iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("given", [{}, {"steps": 9}])
def test_a_run_that_is_being_trained_is_not_touched(stopped, given):
    (stopped.path / "checkpoint.safetensors.0.tmp").write_bytes(b"what the other one is writing")
    before = files_of(stopped)
    with held_elsewhere(stopped.metrics), pytest.raises(InUseError, match=IN_USE):
        resume(stopped.path, given=given)
    assert files_of(stopped) == before
    run = resume(stopped.path, given=given, say=lambda line: None)
    assert "checkpoint.safetensors.0.tmp" not in files_of(stopped)
    assert run.trainer.step == 2 and is_held(stopped.metrics), "from its opening on"


def test_it_is_held_until_the_training_ends(stopped, reporter):
    run = resume(stopped.path)
    seen = []
    assert run.train(reporter, log=lambda row: seen.append(is_held(stopped.metrics)))
    assert seen == [True, True] and not is_held(stopped.metrics)


def test_a_new_run_is_held_before_anything_is_written(settings, tmp_path):
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    with held_elsewhere(folder.metrics):
        with pytest.raises(InUseError, match=IN_USE):
            start(settings(), folder.path)
        assert list(files_of(folder)) == ["metrics.jsonl"]
    run = start(settings(), folder.path)
    assert is_held(folder.metrics)
    run.close()
    assert not is_held(folder.metrics)


def test_two_that_are_open_in_one_process_do_not_both_go_on(stopped, reporter):
    first, second = resume(stopped.path), resume(stopped.path)
    assert first.train(reporter)
    with pytest.raises(UserError, match="has a checkpoint of step 4 since it was opened here: open it again"):
        second.train(reporter)
    assert [row["step"] for row in rows_of(stopped)] == [1, 2, 3, 4]


def test_one_that_is_training_is_not_opened_in_the_same_process(stopped, reporter):
    refused = []

    def again(row):
        with pytest.raises(InUseError):
            resume(stopped.path, given={"steps": 9})
        refused.append(row["step"])

    resume(stopped.path).train(reporter, log=again)
    assert refused == [3, 4] and json.loads(stopped.config.read_text(encoding="utf-8"))["train"]["steps"] == 4
