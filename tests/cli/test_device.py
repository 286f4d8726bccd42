"""`--device`: refused in a line where there is no GPU, before anything is made."""

import importlib.util

import pytest

from tests.helpers import assert_one_line_error
from tinygrad_gpt import devices

SMALL = "--preset tiny --n-layer 1 --n-head 2 --n-embd 8 --block-size 8 --batch-size 2 --steps 2 --sample-tokens 4"
SMALL = SMALL.split()


@pytest.fixture
def no_cupy(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "cupy" else find(name, *rest))
    devices.why_no_gpu.cache_clear()
    yield
    devices.why_no_gpu.cache_clear()


@pytest.fixture
def trained(run):
    assert run("train", "text.txt", "--out", "run", *SMALL)[0] == 0


def test_training(run, no_cupy, tmp_path):
    refused = run("train", "text.txt", "--out", "run", "--device", "cuda", *SMALL)
    assert_one_line_error(
        refused, "the device cuda cannot be used, cpu can: CuPy is not installed", 'pip install "tinygrad-gpt[cuda12]"'
    )
    assert not (tmp_path / "run").exists()
    assert_one_line_error(
        run("train", "text.txt", "--device", "gpu"), "device should be one of cpu, cuda, auto, not 'gpu'"
    )
    status, said, _ = run("train", "text.txt", "--out", "run", "--device", "auto", *SMALL)
    assert status == 0 and said.startswith("training in run: preset tiny, on the CPU, ")
    assert_one_line_error(run("train", "--resume", "run", "--device", "cuda"), "the device cuda cannot be used")


@pytest.mark.parametrize("command", [["sample", "run", "--tokens", "2"], ["eval", "run"]])
def test_using(run, no_cupy, trained, command):
    assert_one_line_error(run(*command, "--device", "cuda"), "the device cuda cannot be used")
    assert_one_line_error(run(*command, "--device", "tpu"), "--device should be one of cpu, cuda, auto, not 'tpu'")
    assert run(*command, "--device", "auto")[0] == run(*command, "--device", "cpu")[0] == 0


@pytest.mark.long
def test_fine_tuning(run, no_cupy, trained, tmp_path):
    (tmp_path / "own.tsv").write_text("".join(f"the {c}\t{c}\n" for c in "ab" * 30), encoding="utf-8")
    how = ["finetune", "own.tsv", "--from", "run", "--lm-weight", "0", "--epochs", "1", "--out", "fine"]
    assert_one_line_error(run(*how, "--device", "cuda"), "the device cuda cannot be used")
    assert not (tmp_path / "fine").exists()
    assert "fine-tuning in fine on the CPU: " in run(*how, "--device", "auto")[1]
    assert_one_line_error(run("classify", "fine", "the a", "--device", "cuda"), "the device cuda cannot be used")
    assert run("classify", "fine", "the a", "--device", "cpu")[0] == 0


def test_info_says_why_there_is_no_card(run, no_cupy):
    status, said, _ = run("info")
    assert status == 0 and "none: CuPy is not installed" in said.replace("\n", " ") and "on the CPU" in said
