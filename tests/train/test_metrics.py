"""metrics.jsonl and loss.png."""

import builtins
import errno
import os
from types import SimpleNamespace

import pytest

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.health.plot import draw_losses
from tinygrad_gpt.train.metrics import MetricsLog, plot_losses, read_metrics


def row(step, **more):
    return {"step": step, "train_loss": 4.0 / step, **more}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, step=0)
    for step in (2, 4, 6):
        log.append(row(step))
    log.close()
    return path


def test_rows_can_be_read_while_the_run_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, step=0)
    log.append(row(1))
    assert read_metrics(path) == [row(1)]
    log.close()


def test_going_on_drops_the_rows_that_will_be_made_again(path):
    log = MetricsLog(path, step=4)
    log.append(row(5))
    log.close()
    assert [r["step"] for r in read_metrics(path)] == [2, 4, 5]


@pytest.mark.parametrize("half", ['{"step": 8, "train_l', '{"st', "{", "1"])
def test_half_a_row_at_the_end_is_left_out(path, half):
    with open(path, "a", encoding="utf-8") as file:
        file.write(half)
    assert [r["step"] for r in read_metrics(path)] == [2, 4, 6]
    MetricsLog(path, step=6).close()
    assert path.read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize("garbage", ["what\n", "[]\n", '{"train_loss": 1}\n', '{"step": 1}\n', "\n\n"])
def test_any_other_damage_is_an_error(path, garbage):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[0], garbage, *lines[1:]]), encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: this is not a row of metrics"):
        read_metrics(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_metrics(tmp_path)


def test_no_file_has_no_rows(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a device that is always full")
def test_a_full_disk(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", step=0)
    log.close()
    log._file = open("/dev/full", "ab")  # noqa: SIM115
    with pytest.raises(UserError, match="No space left on device"):
        log.append(row(1))


def test_a_disk_that_fails_when_asked_to_keep_the_rows(tmp_path, monkeypatch):
    log = MetricsLog(tmp_path / "metrics.jsonl", step=0)

    def fail(number):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl"):
        log.sync()
    log.close()


def test_the_plot_is_a_png(tmp_path):
    pytest.importorskip("matplotlib")
    assert plot_losses([row(1), row(2, val_loss=2.0)], tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("smoothing", "label"), [(0.0, "training"), (0.1, "training, with label smoothing 0.1")])
def test_the_plot_says_which_loss_is_smoothed(smoothing, label):
    labels = []
    axes = SimpleNamespace(plot=lambda *curve, **style: labels.append(style["label"]))
    draw_losses(axes, [row(1), row(2, val_loss=2.0)], smoothing)
    assert labels == [label, "validation"]


def test_without_matplotlib_there_is_no_plot(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def without_matplotlib(name, *arguments):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    assert not plot_losses([row(1)], tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()
