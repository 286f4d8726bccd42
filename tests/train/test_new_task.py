"""A task that the package does not know: reversing a string. Trained, stopped, resumed and diagnosed like any other."""

from pathlib import Path

import numpy as np

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays
from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.cli import main
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.tasks.task import Loss, Task
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.run import begin, reopen

LETTERS, LENGTH, ROWS = "abcd|", 3, 64
CONFIG = TrainConfig(steps=80, batch_size=32, accumulate=2, lr=1e-2, warmup=10, eval_interval=40, log_interval=20)


class Reversing(Task):
    """abc|cba: after the bar, the same letters backwards."""

    name = "reversing"
    metrics = {"right": True, "val_loss": False}  # noqa: RUF012

    def batch(self, step):
        letters = np.random.default_rng([7, step]).integers(4, size=(ROWS, LENGTH))
        whole = np.concatenate([letters, np.full((ROWS, 1), 4), letters[:, ::-1]], axis=1)  # (B, 2 LENGTH + 1)
        return whole[:, :-1], whole[:, 1:]

    def answers(self, model, x, y):
        return model(x)[:, LENGTH:], y[:, LENGTH:]  # what comes after the bar

    def loss(self, model, x, y):
        return Loss(F.cross_entropy(*self.answers(model, x, y)))

    def probe(self):
        return self.batch(10**6)

    def evaluate(self, model, last=False, progress=None):
        with model.evaluating(), no_grad():
            logits, targets = self.answers(model, *self.probe())
        right = (logits.data.argmax(-1) == targets).all(axis=-1).mean()
        return {"right": float(right), "val_loss": F.cross_entropy(logits, targets).item()}

    def sample(self, model):
        given = self.probe()[0][0]
        yield "".join(LETTERS[i] for i in given[:LENGTH]) + "|"
        yield "".join(LETTERS[i] for i in model(given[None]).data[0, LENGTH:].argmax(-1))

    def facts(self, model):
        return {"choices": 4}


def new_model():
    random_stream.manual_seed(CONFIG.seed)
    return GPT(GPTConfig(len(LETTERS), block_size=2 * LENGTH, n_layer=2, n_head=2, n_embd=32))


def test_it_is_trained_resumed_and_diagnosed(tmp_path, reporter, capsys):
    whole = begin(Reversing(), new_model(), CONFIG, tmp_path / "whole")
    assert whole.train(reporter)
    rows = read_metrics(whole.folder.metrics)
    assert rows[-1]["right"] > 0.9, rows[-1]
    given, _, reversed_ = "".join(whole.task.sample(whole.model)).partition("|")
    assert len(given) == LENGTH and reversed_ == given[::-1]

    stopped = begin(Reversing(), new_model(), CONFIG, tmp_path / "stopped")
    assert not stopped.train(StopsAt(60))
    again = reopen(stopped.folder, Reversing(), new_model(), CONFIG)
    assert again.trainer.step == 60 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))

    assert main(["doctor", str(stopped.folder.path)]) == 0
    said = capsys.readouterr().out
    assert "80 of 80 steps" in said and "guessing blindly log 4" in said and "gradient by block" in said
    assert Path(stopped.folder.doctor_plot).exists()


def test_other_commands_say_what_it_is(tmp_path, reporter, capsys):
    begin(Reversing(), new_model(), CONFIG, tmp_path / "run")
    for command in (["sample", "run"], ["train", "--resume", "run"], ["classify", "run", "abc"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "the task reversing" in error and error.count("\n") == 1
