"""How runs end: with the mean of several weights, or early; stopped in between, killed, or extended."""

import dataclasses
import io

import numpy as np
import pytest

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, rows_of
from tinygrad_gpt.cli import main
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.nn import Module, Parameter
from tinygrad_gpt.tasks.task import Loss, Task
from tinygrad_gpt.train.any_run import resume, start
from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.run import begin, reopen
from tinygrad_gpt.train.run_list import FINISHED, ListedRun
from tinygrad_gpt.train.trained_model import find_model
from tinygrad_gpt.train.trainer import Trainer


def model_of(folder):
    """The weights that whoever opens the run gets."""
    return {name: a for name, a in arrays_of(folder).items() if name.startswith("model.")}


class Watched(Reporter):
    """Keeps a copy of the weights after each step."""

    def __init__(self, model):
        super().__init__(io.StringIO())
        self.model, self.weights = model, {}

    def step(self, step, loss):
        self.weights[step] = {f"model.{name}": np.array(a) for name, a in self.model.state_dict().items()}


def test_a_run_ends_with_the_mean_of_its_last_weights(settings, tmp_path):
    """Those at the last step, 7, and at the last two multiples of 2 before it; it measures and saves the mean."""
    run = start(settings(steps=7, average=3, average_interval=2, lr=0.01), tmp_path / "run")
    watched = Watched(run.model)
    assert run.train(watched)
    expected = {
        name: np.mean([watched.weights[step][name].astype(np.float64) for step in (4, 6, 7)], axis=0)
        for name in watched.weights[7]
    }
    assert_same_arrays(model_of(run.folder), {name: a.astype(np.float32) for name, a in expected.items()})
    opened = find_model(str(run.folder.path)).load()
    score = run.task.evaluate(opened, last=True)
    assert score["val_loss"] == pytest.approx(rows_of(run.folder)[-1]["val_loss"], rel=1e-6)
    trained = {name: a for name, a in arrays_of(run.folder).items() if name.startswith("trained.")}
    assert_same_arrays({f"model.{n[8:]}": a for n, a in trained.items()}, watched.weights[7])


def test_a_run_shorter_than_the_interval_ends_with_its_last_weights(settings, tmp_path):
    run = start(settings(steps=3, average=4, average_interval=5), tmp_path / "run")
    watched = Watched(run.model)
    run.train(watched)
    assert_same_arrays(model_of(run.folder), watched.weights[3])


@pytest.mark.long
@pytest.mark.parametrize("at", [3, 4, 6])
@pytest.mark.parametrize("given", [{"average": 3, "average_interval": 2}, {"patience": 2, "eval_interval": 1}])
def test_a_run_that_was_stopped_ends_the_same(settings, reporter, tmp_path, given, at):
    chosen = settings(steps=9, dropout=0.2, checkpoint_interval=3, lr=0.05, **given)
    whole = start(chosen, tmp_path / "whole")
    whole.train(reporter)
    stopped = start(chosen, tmp_path / "stopped")
    if not stopped.train(StopsAt(at, reporter.said)):
        resume(tmp_path / "stopped").train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(stopped.folder))
    assert rows_of(whole.folder) == rows_of(stopped.folder)


def test_a_run_that_was_killed_ends_the_same(settings, reporter, tmp_path, monkeypatch):
    """Killed after step 5, whose weights are kept, it goes on from the checkpoint of step 3."""
    chosen = settings(steps=9, checkpoint_interval=3, average=2, average_interval=1)
    whole = start(chosen, tmp_path / "whole")
    whole.train(reporter)

    class Killed(BaseException):
        pass

    class Kills(Reporter):
        def step(self, step, loss):
            if step == 6:
                raise Killed

    run = start(chosen, tmp_path / "killed")
    with pytest.raises(Killed):
        run.train(Kills(io.StringIO()))
    run.close()
    assert run.folder.weights("5").exists() and run.trainer.saved_step == 3
    resume(tmp_path / "killed").train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(run.folder))


def test_an_extended_run_goes_on_from_the_weights_as_trained(settings, reporter, tmp_path):
    given = dict(average=3, average_interval=2, schedule="constant")
    whole = start(settings(steps=9, **given), tmp_path / "whole")
    whole.train(reporter)
    run = start(settings(steps=5, **given), tmp_path / "run")
    run.train(reporter)
    resume(tmp_path / "run", None, {"steps": 9}).train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(run.folder))


def test_only_weights_that_the_mean_may_need_are_kept(settings, reporter, tmp_path):
    run = start(settings(steps=9, average=3, average_interval=2), tmp_path / "run")
    run.train(reporter)
    assert sorted(path.name for path in run.folder.path.glob("weights-*")) == [
        f"weights-{step}.safetensors" for step in (4, 6, 8)
    ]


@pytest.mark.parametrize(
    ("given", "asked_at"), [({}, []), ({"average": 2, "average_interval": 3}, [3, 6]), ({"patience": 2}, [4])]
)
def test_weights_are_looked_at_when_they_are_kept_and_else_not(given, asked_at):
    """In the middle of a run: the state of a large model costs time at each step."""
    steps, step_of = [], {}

    class Counting(Number):
        def state_dict(self):
            steps.append(step_of["trainer"].step)
            return super().state_dict()

    config = dict(steps=7, eval_interval=4, warmup=0, health=False) | given
    step_of["trainer"] = trainer = Trainer(TrainConfig(**config), Counting(), Scored([3.0, 2.0, 2.0]))
    trainer.run(Reporter(io.StringIO()))
    assert [step for step in steps if step < 7] == asked_at


def test_weights_that_are_gone_are_named(settings, reporter, tmp_path):
    chosen = settings(steps=9, average=3, average_interval=2)
    run = start(chosen, tmp_path / "run")
    run.train(StopsAt(7, reporter.said))
    run.folder.weights("6").unlink()
    with pytest.raises(
        UserError, match=r"there is no .*weights-6.safetensors, which the run needs to end: put it back"
    ):
        resume(tmp_path / "run").train(reporter)


# --- patience ---------------------------------------------------------------------------------------------------------


class Number(Module):
    """One weight, which each step moves."""

    def __init__(self):
        self.weight = Parameter(np.zeros((1, 1), np.float32))


class Scored(Task):
    """Its evaluations have the scores that it is told."""

    name = "scored"

    def __init__(self, scores, more_is_better=False):
        self.scores, self.metrics, self.asked = scores, {"score": more_is_better}, []

    def batch(self, step):
        return (np.ones((2, 1), np.float32),)

    def loss(self, model, x):
        return Loss((model.weight * 1.0).sum())

    def evaluate(self, model, last=False, progress=None):
        self.asked.append((last, float(model.weight.data[0, 0])))
        return {"score": self.scores[len(self.asked) - 1]}


def ended(tmp_path, scores, more_is_better=False, where="run", **given):
    """The trainer of a run, which has ended, and what its evaluations saw."""
    given = (
        dict(steps=20, eval_interval=2, checkpoint_interval=1, lr=0.1, min_lr=0.1, warmup=0, weight_decay=0.0) | given
    )
    task = Scored(scores, more_is_better)
    folder = tmp_path / where if where else None
    config, said = TrainConfig(health=False, **given), io.StringIO()
    if folder is None:
        trainer = Trainer(config, Number(), task)
        trainer.run(Reporter(said))
        return trainer, task.asked, said.getvalue()
    run = begin(task, Number(), config, folder)
    assert run.train(Reporter(said))
    return run.trainer, task.asked, said.getvalue()


@pytest.mark.parametrize("where", ["run", None])
@pytest.mark.parametrize(
    ("scores", "more_is_better"), [([3.0, 2.0, 2.5, 2.0, 9.0], False), ([0.1, 0.4, 0.3, 0.4, 0.9], True)]
)
def test_it_ends_early_with_the_best_weights(tmp_path, scores, more_is_better, where):
    """The second evaluation, at step 4, is the best; one that is as good is no better. The last score is that of the
    weights of step 4, on all held-out data."""
    trainer, asked, said = ended(tmp_path, scores, more_is_better, where, patience=2)
    assert trainer.step == 8 and trainer.ended
    assert [last for last, _ in asked] == [False] * 4 + [True]
    assert asked[4][1] == asked[1][1] == trainer.model.weight.data[0, 0] != asked[3][1]
    early = (
        f"ended early: 2 evaluations without a better score than {scores[1]:.4g}, the last one with {scores[3]:.4g}; "
    )
    kept = f"it keeps the weights of its best evaluation, score {scores[1]:.4g}, and the last row has their scores"
    assert said.splitlines()[-1] == early + kept
    assert trainer.row["score"] == scores[4] and trainer.row["step"] == 8


@pytest.mark.parametrize("where", ["run", None])
@pytest.mark.parametrize("more_is_better", [False, True])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_finite_number_is_the_worst(tmp_path, broken, more_is_better, where):
    """The first one or not: a number takes its place, and it never takes a number's."""
    _, asked, said = ended(tmp_path, [broken, 2.0, broken, broken, 2.0], more_is_better, where, patience=2)
    assert len(asked) == 5 and asked[4] == (True, asked[1][1])
    assert "2 evaluations without a better score than 2, the last one with" in said


def test_who_gets_better_makes_all_steps(tmp_path):
    trainer, asked, said = ended(tmp_path, [9.0, 8.0, 7.5, 7.0, 6.0, 5.0], patience=2, steps=10)
    assert trainer.step == 10 and "early" not in said and "keeps" not in said
    assert [last for last, _ in asked] == [False] * 5 + [True]
    assert asked[5][1] == asked[4][1], "the last weights are the best"


def test_the_best_weights_are_taken_where_patience_is_left(tmp_path):
    trainer, asked, said = ended(tmp_path, [9.0, 5.0, 6.0, 5.0], patience=3, steps=6)
    assert trainer.step == 6 and asked[3] == (True, asked[1][1])
    assert said.splitlines()[-1].startswith("it keeps the weights of its best evaluation, score 5, and ")


def test_patience_that_ends_with_the_last_step_ends_nothing_early(tmp_path):
    trainer, asked, said = ended(tmp_path, [5.0, 6.0, 6.0, 5.0], patience=2, steps=6)
    assert trainer.step == 6 and asked[3] == (True, asked[0][1]) and "early" not in said
    assert said.splitlines()[-1].startswith("it keeps the weights of its best evaluation, score 5, and ")


def test_with_both_it_ends_early_with_the_mean(tmp_path):
    trainer, asked, said = ended(tmp_path, [3.0, 4.0, 4.0, 0.0], patience=2, average=2, average_interval=3)
    weights = asked[-1][1]
    assert trainer.step == 6 and "the mean of 2 weights" in said
    assert weights == trainer.model.weight.data[0, 0] == pytest.approx((-0.3 + -0.6) / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("interval", "which"), [(2, "the mean of 3 weights"), (4, "the mean of 2 weights"), (9, "its last weights")]
)
def test_it_says_how_many_weights_it_has_the_mean_of(tmp_path, interval, which):
    """At step 6, those of steps 2, 4 and 6, of 4 and 6, or of 6 alone."""
    _, _, said = ended(tmp_path, [3.0, 4.0, 4.0, 0.0], patience=2, average=9, average_interval=interval)
    assert said.rstrip().endswith(f"it keeps {which}, and the last row has their scores")


def test_a_run_that_ended_early_is_finished_and_stays_so(tmp_path, reporter):
    trainer, _, _ = ended(tmp_path, [3.0, 4.0, 4.0, 3.0], patience=2)
    assert ListedRun.read(tmp_path / "run").state == FINISHED
    task = Scored([])
    again = reopen(trainer.folder, task, Number(), trainer.config)
    assert again.trainer.ended and again.train(reporter)
    assert again.trainer.step == 6 and not task.asked
    np.testing.assert_array_equal(again.model.weight.data, trainer.model.weight.data)
    assert load_checkpoint(trainer.folder.checkpoint)[1]["early"] is True


def test_an_evaluation_that_only_the_end_asked_for_is_left_out_of_an_extended_run(tmp_path, reporter):
    """The one at step 5, the best of all. Extended, the run evaluates every second step as if it had not ended there,
    and ends early with the weights of step 4."""
    trainer, asked, _ = ended(tmp_path, [3.0, 2.0, 1.0, 1.0], patience=2, steps=5)
    assert trainer.ending.measured == [3.0, 2.0, 1.0] and asked[3][1] == asked[2][1]
    task = Scored([2.5, 2.5, 2.0])
    longer = reopen(trainer.folder, task, Number(), dataclasses.replace(trainer.config, steps=20))
    assert longer.train(reporter) and longer.trainer.step == 8
    assert longer.trainer.ending.measured == [3.0, 2.0, 2.5, 2.5]
    assert task.asked[-1] == (True, asked[1][1])


@pytest.mark.long
@pytest.mark.parametrize("eval_interval", [0, 2, 5])
def test_an_extended_run_with_patience_is_the_longer_run(settings, reporter, tmp_path, eval_interval):
    given = dict(patience=3, eval_interval=eval_interval, schedule="constant", lr=0.05)
    whole = start(settings(steps=9, **given), tmp_path / "whole")
    whole.train(reporter)
    start(settings(steps=5, **given), tmp_path / "run").train(reporter)
    resume(tmp_path / "run", None, {"steps": 9}).close()  # and is killed
    run = resume(tmp_path / "run")
    run.train(reporter)
    assert whole.trainer.ending.measured == run.trainer.ending.measured
    assert_same_arrays(arrays_of(whole.folder), arrays_of(run.folder))


def test_a_task_without_held_out_data_has_patience_to_the_end(tmp_path):
    class Unscored(Scored):
        def evaluate(self, model, last=False, progress=None):
            return {}

    run = begin(
        Unscored([]), Number(), TrainConfig(steps=6, eval_interval=1, patience=1, health=False), tmp_path / "run"
    )
    assert run.train(Reporter(io.StringIO())) and run.trainer.step == 6


def test_the_command_says_that_a_run_has_ended_early(text, tmp_path, capsys):
    options = "--preset tiny --n-layer 1 --n-embd 8 --block-size 8 --steps 30 --patience 1 --eval-interval 1"
    given = [*options.split(), *["--lr", "0.5", "--min-lr", "0.5", "--sample-tokens", "5"]]
    assert main(["train", str(text), *given, "--out", "run"]) == 0
    assert "ended early: 1 evaluation without a better val loss than" in capsys.readouterr().out
    assert main(["train", "--resume", "run"]) == 0
    assert "run has ended early, at step" in capsys.readouterr().out
    assert main(["train", "--resume", "run", "--patience", "9"]) == 2
