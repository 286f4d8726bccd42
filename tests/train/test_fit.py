"""`fit`: a model on arrays of one's own."""

import re
import signal

import numpy as np
import pytest

from tests.train.runs import arrays_of
from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import (
    GPT,
    GPTConfig,
    TransformerXL,
    TransformerXLConfig,
    XLNetConfig,
    XLNetLMHeadModel,
    XLNetModel,
)
from tinygrad_gpt.nn import Dropout, Embedding, Linear, Module
from tinygrad_gpt.tasks import arrays
from tinygrad_gpt.train import RunFolder, StopTraining, Trainer, fit
from tinygrad_gpt.train.compare import different_settings
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.run_list import runs_at

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 2))  # float64, as NumPy makes it
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)


class Net(Module):
    def __init__(self, outputs=3, dropout=0.0):
        random_stream.manual_seed(1)
        self.hidden, self.dropout, self.out = Linear(2, 16), Dropout(dropout), Linear(16, outputs)

    def forward(self, x):
        return self.out(self.dropout(F.relu(self.hidden(x))))


def quiet(model, data, **given):
    return fit(model, data, **{"steps": 20, "batch_size": 8, "progress": False} | given)


def test_labels_are_learned_with_cross_entropy(tmp_path):
    model = Net(dropout=0.1)
    history = quiet(model, (X[:60], LABELS[:60]), steps=120, lr=2e-2, val=(X[60:], LABELS[60:]), eval_interval=10)
    assert [row["step"] for row in history] == list(range(10, 130, 10))
    first, last = history[0], history[-1]
    assert last["val_loss"] < first["val_loss"] and last["accuracy"] > 0.8
    assert not model.training and list(tmp_path.iterdir()) == []  # nothing is written
    model.eval()
    logits = model(X[60:].astype(np.float32))
    assert last["val_loss"] == pytest.approx(F.cross_entropy(logits, LABELS[60:]).item(), rel=1e-5)
    assert last["accuracy"] == (logits.numpy().argmax(-1) == LABELS[60:]).mean()
    assert all(isinstance(value, int | float) for row in history for value in row.values())


def test_numbers_are_learned_with_the_squared_error():
    model = Net(1)
    y = X[:, :1] - 2 * X[:, 1:]
    history = quiet(model, (X, y), steps=200, lr=2e-2, val=(X, y))
    expected = np.mean((model(X.astype(np.float32)).numpy() - y) ** 2)
    assert history[-1]["val_loss"] == pytest.approx(expected, rel=1e-4) and expected < 0.05
    assert "accuracy" not in history[-1]
    with pytest.raises(
        ValueError, match=r"output has the shape of y, \(8,\).*got Tensor of float32 and shape \(8, 1\)"
    ):
        quiet(Net(1), (X, y[:, 0]))


def test_a_loss_of_ones_own():
    model, seen = Net(1), []

    def loss(output, y):
        seen.append((output.shape, y.shape, y.dtype))
        return F.abs(output - y).mean()

    history = quiet(model, (X, X[:, :1]), loss=loss, val=(X[:7], X[:7, :1]), steps=100, lr=2e-2)
    assert seen[0] == ((8, 1), (8, 1), np.float32)
    assert history[-1]["val_loss"] == pytest.approx(np.abs(model(X[:7].astype(np.float32)).numpy() - X[:7, :1]).mean())
    for wrong in (lambda output, y: 3.0, lambda output, y: output):
        with pytest.raises(TypeError, match="expected a loss that is a Tensor with one element"):
            quiet(Net(1), (X, X[:, :1]), loss=wrong)


def test_a_model_with_a_loss_of_its_own_uses_it():
    class Own(Net):
        def loss(self, x, y):
            return F.cross_entropy(self(x), y) * 0.0 + 7.0

    assert quiet(Own(), (X, LABELS))[-1]["train_loss"] == 7.0

    class Hinge(Net):
        def loss(self, x, y):
            return F.relu(1.0 - self(x)[:, 0] * y.astype(np.float32)).mean()

    signs = np.where(LABELS > 0, 1, -1)  # integers, and no classes
    history = quiet(Hinge(), (X, signs), val=(X, signs), steps=60, lr=2e-2)
    assert history[-1]["val_loss"] < history[0]["val_loss"] and "accuracy" not in history[-1]


@pytest.mark.parametrize("plain", [False, True])
def test_ids_are_learned_in_windows(plain):
    class Bigram(Module):
        def __init__(self):
            random_stream.manual_seed(1)
            self.table = Embedding(5, 5)

        def forward(self, ids):
            return self.table(ids)

    ids = np.tile(np.arange(5), 40)
    random_stream.manual_seed(1)
    model, how = (Bigram(), {"block_size": 6}) if plain else (GPT(GPTConfig(5, 6, 1, 2, 8)), {})
    history = quiet(model, ids, val=ids[:60], steps=150, lr=5e-2, **how)
    assert history[-1]["val_loss"] < 0.3
    if plain:
        assert history[-1]["accuracy"] == 1.0
        with pytest.raises(TypeError, match="give block_size, the tokens of a window"):
            quiet(Bigram(), ids)


def test_ids_need_a_model_of_the_next_token_and_a_window():
    ids = np.tile(np.arange(6), 20)
    xl = TransformerXL(TransformerXLConfig(6, d_model=8, n_layer=1, n_head=2))
    with pytest.raises(TypeError, match=r"^fit: give block_size, the tokens of a window: this model reads any length$"):
        quiet(xl, ids)
    assert quiet(xl, ids, block_size=4, steps=2)[-1]["train_loss"] > 0
    xlnet = XLNetConfig(vocab_size=12, d_model=8, n_layer=1, n_head=2, d_inner=8)
    for model in (XLNetLMHeadModel(xlnet), XLNetModel(xlnet)):
        with pytest.raises(TypeError, match=r"^fit: an XLNet learns .* --preset xlnet-small, or give a loss of .*$"):
            quiet(model, ids, block_size=4)

    class Named(Net):
        def forward(self, x):
            return {"logits": super().forward(x)}

    with pytest.raises(TypeError, match=r"^fit: expected a model that returns scores .*, got dict: give a loss func"):
        quiet(Named(), (X, LABELS))


def test_every_row_is_read_once_an_epoch_and_the_seed_decides_the_order():
    x = np.arange(10)
    task = arrays.Pairs(x, x, None, np.zeros(1, np.float32), batch_size=3, seed=1)
    epochs = [np.concatenate([task.batch(3 * e + i)[0] for i in range(3)]) for e in range(2)]
    assert all(len(set(epoch)) == 9 for epoch in epochs) and list(epochs[0]) != list(epochs[1])
    other = arrays.Pairs(x, x, None, np.zeros(1, np.float32), batch_size=3, seed=2)
    np.testing.assert_array_equal(task.batch(1)[0], epochs[0][3:6])  # whatever was read before
    assert list(other.batch(1)[0]) != list(task.batch(1)[0])
    few = arrays.Pairs(x[:2], x[:2], None, np.zeros(1, np.float32), batch_size=3)
    assert sorted(few.batch(5)[0]) == [0, 1]


def test_it_is_the_same_training_each_time_and_in_parts():
    def weights(**given):
        model = Net()
        quiet(model, (X, LABELS), **given)
        return model.state_dict()

    first, again = weights(), weights()
    parts, other = weights(batch_size=4, accumulate=2), weights(seed=2)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_allclose(first[name], parts[name], rtol=1e-4, atol=1e-6)
    assert any((first[name] != other[name]).any() for name in first)


def test_labels_that_the_loss_leaves_out_are_neither_right_nor_wrong():
    model = Net()
    some = np.where(np.arange(90) % 3 == 0, -100, LABELS)
    history = quiet(model, (X, some), val=(X, some))
    right = model(X.astype(np.float32)).numpy().argmax(-1) == LABELS
    assert history[-1]["accuracy"] == pytest.approx(right[some >= 0].mean())


def test_a_float64_model_keeps_its_dtype():
    model = Net().to(np.float64)
    quiet(model, (X.astype(np.float32), LABELS))
    assert model.out.weight.dtype == np.float64


# --- hooks -----------------------------------------------------------------------------------------------------------


def test_loggers_get_every_row_and_callbacks_every_step():
    rows, more, steps = [], [], []

    def callback(trainer):
        assert isinstance(trainer, Trainer)
        steps.append((trainer.step, trainer.row.get("step")))

    history = quiet(Net(), (X, LABELS), log=[rows.append, more.append], callbacks=callback)
    assert rows == more == history and [row["step"] for row in rows] == [10, 20]
    assert steps[8:11] == [(9, None), (10, 10), (11, 10)] and len(steps) == 20


def raising(argument):
    raise StopTraining


@pytest.mark.parametrize("stop", [lambda argument: True, lambda argument: np.bool_(True), raising])
def test_true_or_an_exception_ends_the_training(stop, capsys):
    history = quiet(Net(), (X, LABELS), callbacks=[lambda trainer: trainer.step == 13 and stop(trainer)])
    assert [row["step"] for row in history] == [10, 13]
    history = fit(Net(), (X, LABELS), steps=20, log=stop)
    assert [row["step"] for row in history] == [10]
    assert "stopped after 10 of 20 steps" in capsys.readouterr().out


def test_what_callbacks_otherwise_return_means_nothing():
    assert len(quiet(Net(), (X, LABELS), callbacks=[lambda trainer: 1, lambda trainer: "yes"])) == 2


def test_ctrl_c_ends_after_the_step(capsys):
    def press(trainer):
        if trainer.step == 4:
            signal.raise_signal(signal.SIGINT)

    fit(Net(), (X, LABELS), steps=20, callbacks=press)
    said = capsys.readouterr().out
    assert "finishing this step; Ctrl-C again: stop now" in said and "stopped after 4 of 20 steps" in said


def test_a_loss_that_is_not_finite_names_the_op():
    model = Net(1)

    def loss(output, y):
        return F.log(output - output).mean()

    with pytest.raises(UserError, match=r"step 1: the loss is -inf .*comes from .*the model is as it was before"):
        quiet(model, (X, X[:, :1]), loss=loss)
    with pytest.raises(UserError, match=r"A smaller lr or grad_clip may help"):
        quiet(model, (X, X[:, :1]), loss=loss)
    assert all(np.isfinite(a).all() for a in model.state_dict().values())


# --- what it says and leaves -----------------------------------------------------------------------------------------


def test_it_shows_progress(capsys):
    fit(Net(), (X, LABELS), steps=20, val=(X, LABELS))
    said = capsys.readouterr().out
    assert re.search(r"step 20/20  train \d\.\d+  val \d\.\d+  accuracy 0\.\d+  .*rows/s", said)
    fit(Net(), (X, LABELS), steps=20)
    assert re.fullmatch(r"step 20/20  train .*rows/s\n", capsys.readouterr().out)
    (*_, row) = quiet(Net(), (X, LABELS))
    assert "rows_per_s" in row and "tokens_per_s" not in row
    quiet(Net(), (X, LABELS))
    assert capsys.readouterr().out == ""


def test_with_a_folder_it_is_a_run(tmp_path):
    model = Net()
    history = quiet(model, (X, LABELS), out="mine", val=(X, LABELS))
    folder = RunFolder(tmp_path / "mine")
    rows = read_metrics(folder.metrics)
    assert [row["val_loss"] for row in rows] == [row["val_loss"] for row in history if "val_loss" in row]
    saved = arrays_of(folder)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(saved[f"model.{name}"], array)
    assert folder.loss_plot.exists()
    with pytest.raises(UserError, match="exists"):
        quiet(model, (X, LABELS), out="mine")


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "given", "error", "said"),
    [
        ((X, LABELS[:3]), {}, ValueError, r"as many rows, got shapes \(90, 2\) and \(3,\)"),
        (X, {}, TypeError, r"expected \(x, y\), or one row of token ids, as data, got array of float64"),
        ((X, ["a"] * 90), {}, TypeError, r"expected numbers as y of data, got array of <U1"),
        ((X, LABELS), {"val": X}, TypeError, r"expected \(x, y\) as val"),
        ((X, LABELS), {"stepz": 3}, TypeError, "there is no setting stepz: did you mean steps?"),
        (
            (X, LABELS),
            {"epochs": 5},
            TypeError,
            r"no setting epochs: give steps, which are epochs \* rows / batch_size",
        ),
        (
            (np.where(X > 2, np.nan, X), LABELS),
            {},
            ValueError,
            r"x of data holds values that are not finite \(\d of 180",
        ),
        ((X, LABELS), {"val": (X + np.inf, LABELS)}, ValueError, r"x of val holds values that are not finite"),
        ((X, LABELS), {"loss": 3}, TypeError, "expected a function of .* as loss, got 3"),
        ((X, LABELS), {"log": 3}, TypeError, "expected a function, or several, as log, got 3"),
        ((X, LABELS), {"block_size": 3}, TypeError, "block_size is for a row of token ids"),
        ((X, LABELS), {"steps": 0}, UserError, "steps should be at least 1, not 0"),
        (np.array([1, -2, 3]), {}, ValueError, "expected token ids of 0 or more as data, got -2"),
        ((X, X), {"label_smoothing": 0.1}, TypeError, "label_smoothing is of a cross-entropy, and the loss is another"),
        ((X, LABELS), {"label_smoothing": 0.1, "loss": abs}, TypeError, "label_smoothing is of a cross-entropy"),
        ((X, LABELS), {"label_smoothing": 1}, ValueError, "expected .*label_smoothing.*, got 1"),
        (([[1.0], [2.0, 3.0]], [0, 1]), {}, ValueError, "expected rows of one length as x of data, got unequal ones"),
        ([[1], [2, 3], [4]], {}, TypeError, "expected .* one row of token ids, as data, got 3 arrays"),
    ],
)
def test_mistakes(data, given, error, said):
    with pytest.raises(error, match=said):
        quiet(Net(), data, **given)


def test_label_smoothing_of_a_classifier():
    net = Net()
    expected = [F.cross_entropy(net(X.astype(np.float32)), LABELS, label_smoothing=e).item() for e in (0.2, 0.0)]
    last = quiet(net, (X, LABELS), steps=1, batch_size=len(X), label_smoothing=0.2, lr=1e-9, val=(X, LABELS))[-1]
    assert [last["train_loss"], last["val_loss"]] == pytest.approx(expected, rel=1e-5) and expected[0] != expected[1]


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None]])
def test_integers_for_a_model_with_one_output(labels):
    with pytest.raises(ValueError, match=r"the model gives one number for each, \(8, 1\): use float y for the squared"):
        quiet(Net(1), (X, labels))


def test_advice_names_arguments_not_options(monkeypatch, capsys):
    said = "lr=0.0003, a longer warmup, grad_clip=1, more weight_decay"
    advice = "--lr 0.0003, a longer --warmup, --grad-clip 1, more --weight-decay"
    monkeypatch.setattr("tinygrad_gpt.health.watch.Watch.examine", lambda self, row, losses: [advice])
    fit(Net(), (X, LABELS), steps=1, batch_size=8)
    assert f"\n{said}\n" in f"\n{capsys.readouterr().out}"


def test_what_is_no_model():
    with pytest.raises(TypeError, match="expected a Module with Parameters as model, got 'net'"):
        fit("net", (X, LABELS))


def frozen():
    net = Net()
    net.requires_grad_(False)
    return net


@pytest.mark.parametrize(
    ("model", "data", "given", "said"),
    [
        (Net, (X, LABELS), {"steps": "5"}, "fit: expected an integer as steps, got '5'"),
        (Net, (X, LABELS), {"steps": 1.5}, "fit: expected an integer as steps, got 1.5"),
        (Net, (X, LABELS), {"lr": "1"}, "fit: expected a number as lr, got '1'"),
        (Net, (X, LABELS), {"batch_size": None}, "fit: expected an integer as batch_size, got None"),
        (Net, (X, LABELS, LABELS), {}, "fit: expected (x, y), or one row of token ids, as data, got 3 arrays"),
        (frozen, (X, LABELS), {}, "all Parameters of the model are frozen"),
    ],
)
def test_arguments_that_cannot_be(model, data, given, said):
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        fit(model(), data, progress=False, **{"steps": 2} | given)


def test_the_folder_of_a_run_that_exists(tmp_path):
    for _ in range(2):
        try:
            fit(Net(), (X, LABELS), steps=2, out=tmp_path / "run", progress=False)
        except UserError as error:
            how = "continue it with fit(..., resume=True), or choose another folder"
            assert str(error) == f"the run folder {tmp_path / 'run'} exists: {how}"
            break
    else:
        raise AssertionError("a run was made over another")


def test_runs_on_other_arrays_are_told_apart_in_short(tmp_path):
    for name, x in (("a", X), ("b", X + 1)):
        fit(Net(), (x, LABELS), steps=2, out=tmp_path / name, progress=False)
    columns = different_settings(runs_at(tmp_path))
    assert [len(value) for value in columns["sha256"]] == [8, 8]


@pytest.mark.long
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    def run(name, **more):
        how = dict(steps=12, out=tmp_path / name, val=(X, LABELS), log_interval=2, progress=False)
        return fit(Net(dropout=0.3), (X, LABELS), **how | more)

    random_stream.manual_seed(5)
    whole = run("whole", resume=True)
    random_stream.manual_seed(5)
    run("part", callbacks=lambda trainer: trainer.step == 5)
    random_stream.manual_seed(77)  # as in another process
    rows = run("part", resume=True)
    a, b = (arrays_of(RunFolder(tmp_path / name)) for name in ("whole", "part"))
    assert all((a[name] == b[name]).all() for name in a) and a.keys() == b.keys()
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps)) and set(steps) >= {row["step"] for row in whole}
    assert run("part", resume=True) == rows, "there is nothing left to do"
    with pytest.raises(UserError, match="a resumed run keeps its settings"):
        run("part", resume=True, lr=0.5)
    with pytest.raises(UserError, match="learns other data"):
        fit(Net(), (X + 1, LABELS), steps=12, out=tmp_path / "part", resume=True, progress=False)
    with pytest.raises(TypeError, match="give its folder"):
        fit(Net(), (X, LABELS), resume=True, progress=False)
