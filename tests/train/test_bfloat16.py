"""train --dtype bfloat16: kept by resumed runs, said when it cannot be, and as good as float32."""

import itertools
import re
import statistics

import numpy as np
import pytest

from tests.train.runs import arrays_of
from tinygrad_gpt import array, precision
from tinygrad_gpt.cli import main
from tinygrad_gpt.files.storage import data_folder
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.train.any_run import resume, start
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.text_settings import resolve

needs_dot_products = pytest.mark.skipif(
    registry.cannot_round("bfloat16") is not None, reason=str(registry.cannot_round("bfloat16"))
)


@needs_dot_products
def test_weights_are_float32_and_a_resumed_run_rounds_on(settings, reporter, tmp_path):
    wide = dict(n_embd=16, batch_size=4)
    whole = start(settings(dtype="bfloat16", **wide), tmp_path / "whole")
    assert precision.matmul_precision() == "bfloat16"
    whole.train(reporter)
    assert all(a.dtype == np.float32 for name, a in arrays_of(whole.folder).items() if name.startswith("model."))

    parted = start(settings(dtype="bfloat16", **wide), tmp_path / "parted")
    for _ in range(3):
        parted.trainer.train_step()
    parted.trainer.save()
    precision.set_matmul_precision("float32")  # as in the new process
    resumed = resume(tmp_path / "parted")
    assert precision.matmul_precision() == "bfloat16" and resumed.trainer.step == 3
    resumed.train(reporter)
    in_float32 = start(settings(**wide), tmp_path / "float32")
    assert precision.matmul_precision() == "float32"
    in_float32.train(reporter)
    name = "model.token_embedding.weight"
    assert np.array_equal(arrays_of(resumed.folder)[name], arrays_of(whole.folder)[name])
    assert not np.array_equal(arrays_of(in_float32.folder)[name], arrays_of(whole.folder)[name]), "nothing was rounded"


@pytest.mark.parametrize("dtype", registry.ROUNDING)
def test_where_it_cannot_be_the_command_says_so_once_and_trains(dtype, text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "cannot_round", lambda name, where: "this processor is from a museum")
    options = "--preset tiny --n-layer 1 --n-embd 8 --block-size 8 --batch-size 2 --steps 2 --eval-tokens 64"
    arguments = ["train", str(text), "--out", str(tmp_path / "run"), *options.split(), "--sample-tokens", "3"]
    assert main([*arguments, "--dtype", dtype]) == 0
    assert (precision.matmul_precision(), array.default_dtype()) == (dtype, np.float32)
    said = "".join(capsys.readouterr())
    assert said.count(f"--dtype {dtype} runs in float32 on this machine: this processor is from a museum") == 1
    assert main([*arguments[:2], "--out", str(tmp_path / "other"), *arguments[4:]]) == 0
    assert "museum" not in "".join(capsys.readouterr())


def test_info_says_whether_there_are_products_of_bfloat16(capsys, monkeypatch):
    monkeypatch.setattr(registry, "cannot_round", lambda name: None)
    assert main(["info"]) == 0
    assert re.search(r"bfloat16 +(dot products|tiles) \(\w+\) found", capsys.readouterr().out)
    monkeypatch.setattr(registry, "cannot_round", lambda name: "none here")
    assert main(["info"]) == 0
    assert re.search(r"bfloat16 +no: none here", capsys.readouterr().out)


@pytest.mark.slow
@needs_dot_products
@pytest.mark.skipif(data_folder() is None, reason="Shakespeare is not here (TINYGRAD_GPT_DATA)")
def test_the_nanogpt_recipe_ends_at_the_same_loss(tmp_path, capsys):
    """Three seeds each: the means differ by no more than seeds make losses of one precision differ (their range).

    About a minute per run on two cores.
    """
    losses = {"float32": [], "bfloat16": []}
    for seed, dtype in itertools.product((1, 2, 3), losses):
        given = dict(corpus="shakespeare", seed=seed, dtype=dtype, eval_interval=0, checkpoint_interval=0)
        run = start(resolve("nanogpt-char-cpu", given), tmp_path / f"{dtype}-{seed}")
        run.train(Reporter(open(tmp_path / "said.txt", "a", encoding="utf-8")))  # noqa: SIM115
        losses[dtype].append(read_metrics(run.folder.metrics)[-1]["val_loss"])
    with capsys.disabled():
        print(f"\nvalidation losses: {losses}")
    spread = max(losses["float32"]) - min(losses["float32"])
    assert max(losses["float32"]) < 1.92, "the recipe itself went wrong"
    assert abs(statistics.mean(losses["bfloat16"]) - statistics.mean(losses["float32"])) <= spread
