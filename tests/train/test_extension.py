"""A run that is extended: what it says, what config.json records, and that it still goes on bit for bit."""

import dataclasses
import json

import pytest

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, rows_of
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.train.any_run import resume, start
from tinygrad_gpt.train.extension import extensions_of
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.non_finite import NotFinite
from tinygrad_gpt.train.trainer import learning_rate


@pytest.fixture
def extend(tmp_path):
    """Extend the run in this folder: (the run, what it said)."""

    def extend(name, steps):
        said = []
        run = resume(tmp_path / name, given={"steps": steps}, say=said.append)
        return run, " ".join(said)

    return extend


def recorded(run):
    return json.loads(run.folder.config.read_text(encoding="utf-8"))


@pytest.mark.parametrize("at", [4, 6])
def test_the_steps_made_keep_their_rates_and_the_next_have_those_of_the_new_length(
    settings, reporter, tmp_path, extend, at
):
    run = start(settings(steps=6, log_interval=1), tmp_path / "run")
    run.train(reporter if at == 6 else StopsAt(at))
    before = rows_of(run.folder)
    run, said = extend("run", 10)
    assert said.startswith(f"extended from 6 to 10 steps, at step {at}: the learning rate was {before[-1]['lr']:.3g} ")
    assert "unlike in a run of 10 steps from the start" in said
    [entry] = recorded(run)["extensions"]
    assert (entry["at"], entry["from"], entry["to"]) == (at, 6, 10) and entry["when"].endswith("+00:00")
    assert recorded(run)["train"]["steps"] == 10
    assert run.train(reporter)
    rows = rows_of(run.folder)
    assert rows[:at] == before
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert [row["lr"] for row in rows[at:]] == [learning_rate(step, run.trainer.config) for step in range(at, 10)]
    assert f"is {rows[at]['lr']:.3g} now" in said


@pytest.mark.long
def test_an_extended_run_goes_on_bit_for_bit(settings, reporter, tmp_path, extend):
    chosen = settings(steps=4, dropout=0.2, log_interval=2)
    for name in ("whole", "stopped"):
        start(chosen, tmp_path / name).train(reporter)
    whole, _ = extend("whole", 9)
    whole.train(reporter)
    stopped, _ = extend("stopped", 9)
    assert stopped.train(StopsAt(3)) is False
    resumed = resume(tmp_path / "stopped")  # which knows its new length
    assert resumed.trainer.step == 7 and resumed.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(resumed.folder))
    assert rows_of(whole.folder) == rows_of(resumed.folder)


@pytest.mark.long
def test_with_a_constant_schedule_it_is_the_longer_run(settings, reporter, tmp_path, extend):
    same = dict(schedule="constant", dropout=0.2, log_interval=2)
    start(settings(steps=4, **same), tmp_path / "run").train(reporter)
    run, said = extend("run", 6)
    assert said == "extended from 4 to 6 steps, at step 4: the same as a run of 6 steps from the start"
    run.train(reporter)
    run, said = extend("run", 9)
    assert said.endswith("the same as a run of 9 steps from the start")
    run.train(reporter)
    whole = start(settings(steps=9, **same), tmp_path / "whole")
    whole.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(run.folder))


def test_a_second_extension_remembers_the_first(settings, reporter, tmp_path, extend):
    start(settings(steps=6, warmup=4), tmp_path / "run").train(StopsAt(3))
    run, said = extend("run", 8)  # within the warm-up, where every length has the same rates
    assert said.endswith("the same as a run of 8 steps from the start")
    run.train(StopsAt(3))
    run, said = extend("run", 20)
    assert "unlike in a run of 20 steps from the start" in said
    assert [(e["at"], e["from"], e["to"]) for e in extensions_of(recorded(run))] == [(3, 6, 8), (6, 8, 20)]


def test_fewer_steps_are_refused_and_as_many_are_no_extension(settings, reporter, tmp_path, extend):
    run = start(settings(steps=4), tmp_path / "run")
    run.train(reporter)
    before = run.folder.config.read_bytes()
    with pytest.raises(UserError, match="extended, not shortened: it has 4 steps, and --steps is 3"):
        resume(tmp_path / "run", given={"steps": 3})
    assert extend("run", 4)[1] == ""
    with pytest.raises(UserError, match="--lr is"):
        resume(tmp_path / "run", given={"steps": 9, "lr": 0.5})
    assert run.folder.config.read_bytes() == before


def test_a_run_that_ended_early_is_not_extended(settings, reporter, tmp_path, extend):
    run = start(settings(steps=9, patience=1, eval_interval=1, lr=1.0, min_lr=1.0), tmp_path / "run")
    assert run.train(reporter) and run.trainer.step < 9
    before = run.folder.config.read_bytes()
    with pytest.raises(UserError, match=rf"run has ended early, at step {run.trainer.step}, and makes no more: a new"):
        extend("run", 20)
    assert run.folder.config.read_bytes() == before
    again, said = extend("run", 9)  # it opens as it was
    assert said == "" and again.trainer.ended


def test_a_kill_after_it_was_recorded(settings, reporter, tmp_path, extend):
    start(settings(steps=4), tmp_path / "run").train(reporter)
    extend("run", 9)  # and nothing is trained
    again = resume(tmp_path / "run")
    assert again.trainer.step == 4 and again.trainer.config.steps == 9
    assert again.train(reporter) and read_metrics(again.folder.metrics)[-1]["step"] == 9


def test_damaged_extensions():
    with pytest.raises(UserError, match=r"extensions\[0\] lacks from"):
        extensions_of({"extensions": [{"at": 3}]})


def test_all_settings_but_the_steps_stay(settings, reporter, tmp_path, extend):
    first = start(settings(steps=4), tmp_path / "run")
    first.train(reporter)
    run, _ = extend("run", 9)
    assert dataclasses.replace(run.trainer.config, steps=4) == first.trainer.config


def test_a_run_that_diverges_again_has_not_been_extended(settings, reporter, tmp_path, extend):
    run = start(settings(steps=4, lr=1e30), tmp_path / "run")
    with pytest.raises(NotFinite):
        run.train(reporter)
    before = recorded(run)
    run, _ = extend("run", 9)
    assert recorded(run)["train"]["steps"] == 9
    with pytest.raises(NotFinite):
        run.train(reporter)
    assert recorded(run) == before
