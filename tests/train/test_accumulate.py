"""Several batches for one update, blocks recomputed, windows and the order of the text: what each may change."""

import itertools

import numpy as np
import pytest

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.train.any_run import resume, start
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.user_ops import install, load_pair

BROKEN_GELU = """
import numpy as np
from tinygrad_gpt.ops import gelu
from tinygrad_gpt.ops.gelu import forward
calls = 0
def backward(dy, saved):
    global calls
    calls += 1
    return (np.full_like(dy, np.nan),) if calls > 3 else gelu.backward(dy, saved)
"""


@pytest.mark.long
def test_parts_of_a_batch_make_the_update_of_the_whole(settings, reporter, tmp_path):
    runs = []
    for number, (accumulate, batch_size) in enumerate([(1, 6), (2, 3), (6, 1)]):
        given = dict(accumulate=accumulate, batch_size=batch_size, dtype="float64", grad_clip=0.1, log_interval=1)
        run = start(settings(**given), tmp_path / str(number))
        run.train(reporter)
        assert sum(arrays[0].size for arrays in run.trainer.batches()) == 6 * 8
        runs.append((arrays_of(run.folder), [row["train_loss"] for row in read_metrics(run.folder.metrics)]))
    whole, losses = runs[0]
    for parts, their_losses in runs[1:]:
        np.testing.assert_allclose(their_losses, losses, rtol=1e-12)
        for name in whole:
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("batches", ["random", "epochs"])
def test_batches_are_cut_from_the_one_that_they_make_up(settings, tmp_path, batches):
    trainers = [
        start(settings(batches=batches, accumulate=a, batch_size=6 // a), tmp_path / str(a)).trainer for a in (1, 3)
    ]
    for trainer in trainers:
        trainer.step = 4
    (whole,), parts = (trainer.batches() for trainer in trainers)
    assert [x.shape for x, _ in parts] == [(2, 8)] * 3
    for i in (0, 1):
        np.testing.assert_array_equal(np.concatenate([part[i] for part in parts]), whole[i])


@pytest.mark.parametrize("given", [{"accumulate": 2}, {"batches": "epochs"}, {"recompute": True, "accumulate": 2}])
def test_a_run_that_was_stopped_comes_out_the_same(settings, reporter, tmp_path, given):
    chosen = settings(dropout=0.2, **given)
    whole = start(chosen, tmp_path / "whole")
    whole.train(reporter)
    stopped = start(chosen, tmp_path / "stopped")
    assert stopped.train(StopsAt(3, reporter.said)) is False
    resume(tmp_path / "stopped").train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(stopped.folder))


@pytest.mark.long
def test_recomputation_changes_no_bit_and_may_be_switched_on_later(settings, reporter, tmp_path):
    runs = []
    for on in (False, True):
        runs.append(start(settings(dropout=0.2, recompute=on), tmp_path / str(on)))
        runs[-1].train(reporter)
    assert runs[1].model.recompute and not runs[0].model.recompute
    expected = arrays_of(runs[0].folder)
    assert_same_arrays(expected, arrays_of(runs[1].folder))
    third = start(settings(dropout=0.2), tmp_path / "third")
    third.train(StopsAt(2, reporter.said))
    again = resume(tmp_path / "third", None, {"recompute": True})
    assert again.model.recompute
    again.train(reporter)
    assert_same_arrays(expected, arrays_of(third.folder))


@pytest.mark.parametrize("given", [{"accumulate": 2}, {"recompute": True}, {"accumulate": 2, "recompute": True}])
def test_the_origin_of_what_is_not_finite_is_found(settings, reporter, tmp_path, given):
    (tmp_path / "my_gelu.py").write_text(BROKEN_GELU, encoding="utf-8")
    install([load_pair(tmp_path / "my_gelu.py")])
    run = start(settings(**given), tmp_path / "run")
    with pytest.raises(UserError) as caught:
        run.train(reporter)
    assert "is that of blocks.0.feed_forward.up." in str(caught.value)
    assert "comes from gelu[my_gelu]" in str(caught.value)
    assert run.model.recompute == given.get("recompute", False), "it was switched off for the search alone"


def test_the_batch_that_is_to_blame_is_found(settings, reporter, tmp_path, monkeypatch):
    """Only the second of the step's batches has a loss that is not finite."""
    run = start(settings(accumulate=2), tmp_path / "run")
    real, calls = run.model.loss, itertools.count()
    monkeypatch.setattr(run.model, "loss", lambda x, y: real(x, y) * (np.inf if next(calls) % 2 else 1.0))
    with pytest.raises(UserError, match="the first gradient that is not finite is that of"):
        run.train(reporter)


def test_windows_shorter_than_the_models_positions(settings, reporter, tmp_path):
    run = start(settings(window=5), tmp_path / "run")
    assert run.trainer.batches()[0][0].shape == (2, 5)
    run.train(reporter)
    assert run.model.config.block_size == 8
    unused = run.model.position_embedding.weight.data[5:]
    assert unused.shape == (3, 8) and run.trainer.optimizer.slots["v"]["position_embedding.weight"][5:].max() == 0
    with pytest.raises(UserError, match="a window of 9 tokens is more than the 8 positions of the model"):
        settings(window=9)
