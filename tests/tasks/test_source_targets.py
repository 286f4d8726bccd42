"""`fit` of a Transformer on plain arrays: NumPy in, NumPy out, and the loss and the accuracy of each step."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from tests import small_translation
from tests.train.runs import assert_same_arrays
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.health.snapshot import snapshot
from tinygrad_gpt.models.transformer import Transformer
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.tasks.source_targets import SourceTargets
from tinygrad_gpt.train import fit
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.run_folder import RunFolder

PAD, END, FIRST, V = 0, 1, 2, 8


def sentences(rows, seed=0, longest=5):
    """Sources and targets (rows, longest + 1): each word is answered by the next one, and the end by the end."""
    rng = np.random.default_rng(seed)
    words = rng.integers(FIRST, V, size=(rows, longest))
    lengths = rng.integers(1, longest + 1, size=rows)
    place = np.arange(longest + 1)
    source = np.where(
        place == lengths[:, None], END, np.where(place < lengths[:, None], np.pad(words, ((0, 0), (0, 1))), PAD)
    )
    return source, np.where(source >= FIRST, FIRST + (source - FIRST + 1) % (V - FIRST), source)


def new_model():
    return small_translation.new_model(V, max_position_embeddings=8, dropout=0.0)


def quiet(model, data, **given):
    return fit(model, data, **{"steps": 20, "batch_size": 8, "log_interval": 1, "progress": False} | given)


@pytest.mark.long
def test_it_learns_and_tells_the_loss_and_the_accuracy_of_each_step():
    model = new_model()
    history = quiet(
        model, sentences(200), steps=150, lr=2e-2, val=sentences(40, seed=1), eval_interval=50, batch_size=32
    )
    assert len(history) == 150 and all({"train_loss", "train_accuracy"} <= set(row) for row in history)
    assert history[0]["train_accuracy"] < 0.5 and history[-1]["train_accuracy"] > 0.9
    assert history[-1]["val_loss"] < 0.5 and history[-1]["accuracy"] > 0.9
    source, target = sentences(5, seed=2)
    logits = model(source, np.concatenate([np.zeros((5, 1), int), target[:, :-1]], axis=1), source != PAD).numpy()
    assert isinstance(logits, np.ndarray) and logits.shape == (5, 6, V)
    right = logits.argmax(-1) == target
    assert right[target != PAD].mean() > 0.8


def test_what_the_loss_reads():
    """The target shifted right by one, with the model's start; padding is neither read nor asked for."""
    source, target = np.array([[3, 4, END], [5, END, PAD]]), np.array([[4, 5, END], [6, END, PAD]])
    model = new_model()
    task = SourceTargets(source, target, None, model.config, like=model.head.weight.data, batch_size=2)
    mask, before, labels = task._read(source, task.y)
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert before.tolist() == [[PAD, 4, 5], [PAD, 6, END]]
    assert labels.tolist() == [[4, 5, END], [6, END, IGNORE_INDEX]]
    loss = task.loss(model, source, task.y, np.full(2, 2.5))
    expected = model.loss(source, mask, before, labels)
    assert loss.total.item() == expected.total.item() and loss.scores["accuracy"] == expected.accuracy
    assert task.count(source, task.y) == 10


def test_a_target_may_be_padded_as_labels_are():
    """With -100, as transformers has it: it is the same training."""
    source, target = sentences(16)
    histories = [quiet(new_model(), (source, y), steps=3) for y in (target, np.where(target == PAD, -100, target))]
    assert [row["train_loss"] for row in histories[0]] == [row["train_loss"] for row in histories[1]]
    with pytest.raises(ValueError, match=r"expected ids 0 \.\. 7 as source, got -100"):
        quiet(new_model(), (np.where(source == PAD, -100, source), target))


def test_label_smoothing_is_of_training_alone(capsys):
    data, smoothed = sentences(16), new_model()
    history = quiet(smoothed, data, steps=1, label_smoothing=0.1, batch_size=16, lr=1e-12, val=data)
    model = new_model()
    task = SourceTargets(*data, None, model.config, like=model.head.weight.data, batch_size=16)
    plain, (expected, _) = (model.loss(data[0], *task._read(data[0], task.y), smoothing) for smoothing in (0.0, 0.1))
    assert history[-1]["train_loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert history[-1]["val_loss"] == pytest.approx(plain.total.item(), rel=1e-6) != history[-1]["train_loss"]
    quiet(new_model(), data, steps=1, label_smoothing=0.1, val=data, progress=True)
    assert " (smoothed)  val " in capsys.readouterr().out
    quiet(new_model(), data, steps=1, val=data, progress=True)
    assert "smoothed" not in capsys.readouterr().out


def test_a_run_with_another_smoothing_is_another_run(tmp_path):
    data = sentences(16)
    quiet(new_model(), data, steps=2, label_smoothing=0.1, out=tmp_path / "run")
    with pytest.raises(UserError, match="learns other data"):
        quiet(new_model(), data, steps=2, out=tmp_path / "run", resume=True)
    quiet(new_model(), data, steps=2, label_smoothing=0.1, out=tmp_path / "run", resume=True)


def test_parts_of_a_step_are_weighed_by_their_tokens():
    """T-10."""
    data, found = sentences(24), []
    for accumulate, batch_size in ((1, 12), (3, 4)):
        model = new_model()
        history = quiet(model, data, steps=3, accumulate=accumulate, batch_size=batch_size, schedule="constant")
        found.append((history, model.state_dict()))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert one["train_accuracy"] == pytest.approx(other["train_accuracy"], abs=1e-6)
    one, other = (weights["token_embedding.weight"] for _, weights in found)
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("row", [[3, 4, 5, END], [3, 4, END, PAD], [3, 4, END]])
def test_a_decoder_that_sees_the_future_is_found(row):
    """T-1."""
    model = new_model().eval()
    data = np.array([row, row[:1] + [END] + [PAD] * (len(row) - 2)])
    task = SourceTargets(data, data, None, model.config, like=model.head.weight.data, batch_size=2)
    task.loss(model, *task.probe()).total.backward()
    assert snapshot(model, task)["sees_future"] is False
    model.decoder[0].attention.causal = False
    assert snapshot(model, task)["sees_future"] is True


def test_fit_reports_that_a_decoder_sees_the_future(tmp_path):
    model = new_model()
    model.decoder[0].attention.causal = False
    quiet(model, sentences(40), steps=40, out=tmp_path / "run")
    found = [row["health"] for row in read_metrics(RunFolder(tmp_path / "run").metrics) if "health" in row]
    assert any(seen.get("sees_future") for seen in found)


@pytest.mark.long
def test_it_is_saved_and_goes_on(tmp_path):
    data, given = sentences(40), {"val": sentences(10, seed=1), "checkpoint_interval": 2}
    whole = new_model()
    quiet(whole, data, steps=6, out=tmp_path / "whole", **given)
    quiet(new_model(), data, steps=6, out=tmp_path / "run", callbacks=lambda trainer: trainer.step == 3, **given)
    again = new_model()
    history = quiet(again, data, steps=6, out=tmp_path / "run", resume=True, **given)
    assert [row["step"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert_same_arrays(whole.state_dict(), again.state_dict())


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ([[3, 4]], [3], r"fit: expected token ids \(N, T\) as target"),
        ([[3, 9]], [[3, 1]], r"fit: expected ids 0 \.\. 7 as source, got 3 \.\. 9"),
        ([[3, -1]], [[3, 1]], r"fit: expected ids 0 \.\. 7 as source, got -1 \.\. 3"),
        ([[0, 3]], [[3, 1]], r"expected a token or more in each row of source, and padding \(0\) after them alone"),
        ([[3, 0]], [[3, 0, 1]], r"expected a token or more in each row of target"),
        ([[3, 0]], [[3, -100, 1]], r"expected a token or more in each row of target"),
        ([[3, 4, 1], [3, 1]], [[3, 1], [4, 1]], "fit: expected rows of one length as x of data, got unequal ones: pad"),
        ([[3, 1], [4, 1]], [[3, 1], [4, 5, 1]], "fit: expected rows of one length as y of data, got unequal ones: pad"),
    ],
)
def test_arrays_that_cannot_be(source, target, says):
    with pytest.raises(ValueError, match=says):
        quiet(new_model(), (source, target))


def test_an_end_that_is_padding_is_refused():
    """It would never be learned. A model may be so in a file, and may be used."""
    config = dataclasses.replace(new_model().config, pad_token_id=END, decoder_start_token_id=END)
    with pytest.raises(ValueError, match="fit: expected a config whose eos_token_id is another than its pad_token_id"):
        quiet(Transformer(config), (np.array([[3, 4]]), np.array([[3, END]])))


@pytest.mark.long
def test_a_script_of_ten_lines():
    """As a user writes it: arrays in, a history of numbers out."""
    script = """
import numpy as np
from tinygrad_gpt.models.transformer import Transformer, TransformerConfig
from tinygrad_gpt.train import fit
source = np.random.default_rng(0).integers(2, 8, size=(64, 5))
target = np.concatenate([source[:, ::-1], np.full((64, 1), 1)], axis=1)
model = Transformer(TransformerConfig(8, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32,
                                      decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2))
history = fit(model, (source, target), steps=5, log_interval=1, progress=False)
print(*(f"{row['train_loss']:.3f} {row['train_accuracy']:.3f}" for row in history), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    numbers = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(numbers) == 5 and all(0 < loss < 4 and 0 <= accuracy <= 1 for loss, accuracy in numbers)
