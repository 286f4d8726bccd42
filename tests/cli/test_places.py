"""Where a run's text is, and what is there now; files of all names; what is left behind when something fails."""

import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import assert_one_line_error

OPTIONS = "--preset tiny --n-layer 1 --n-embd 8 --block-size 8 --batch-size 2 --steps 4 --eval-tokens 64"
SMALL = f"{OPTIONS} --sample-tokens 4".split()
OTHER = "sphinx of black quartz, judge my vow; the lazy dog\n" * 20


@pytest.fixture
def trained(run, tmp_path):
    assert run("train", "text.txt", "--out", "run", *SMALL)[0] == 0
    return tmp_path / "run"


def loss(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("loss "))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Another folder to be in, with another text.txt."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "text.txt").write_text(OTHER, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


# --- the text of a run ----------------------------------------------------------------------------------------------


def test_eval_takes_the_text_of_the_run_wherever_it_is_called(run, trained, elsewhere, monkeypatch):
    said = run("eval", "../run")[1]
    monkeypatch.chdir(trained.parent)
    assert loss(said) == loss(run("eval", "run")[1])
    monkeypatch.chdir(elsewhere)
    assert loss(run("eval", "../run", "../text.txt")[1]) == loss(said)


def test_eval_of_another_text_takes_its_name(run, trained, elsewhere):
    (elsewhere / "text.txt").write_text("the lazy dog jumps\n" * 40, encoding="utf-8")  # no new character
    status, said, _ = run("eval", "../run", "text.txt")
    assert status == 0 and loss(said) != loss(run("eval", "../run")[1])


def test_resume_finds_the_text_from_elsewhere(run, trained, elsewhere):
    (trained / "checkpoint.safetensors").unlink()
    status, said, _ = run("train", "--resume", "../run")
    assert status == 0 and "step 4/4" in said


@pytest.mark.parametrize("command", [["eval", "run"], ["train", "--resume", "run"]])
def test_a_text_that_has_changed(run, trained, tmp_path, command):
    (tmp_path / "text.txt").write_text(OTHER, encoding="utf-8")
    assert_one_line_error(run(*command), f"the corpus {tmp_path / 'text.txt'} has changed since this run was started")


@pytest.mark.parametrize("command", [["eval", "../run"], ["train", "--resume", "../run"]])
def test_a_text_that_is_gone_and_another_of_its_name(run, trained, elsewhere, tmp_path, command):
    (tmp_path / "text.txt").unlink()
    assert_one_line_error(run(*command), f"the corpus {elsewhere / 'text.txt'} has changed since this run was started")
    (elsewhere / "text.txt").unlink()
    assert_one_line_error(run(*command), f"is not at {tmp_path / 'text.txt'} any more")


@pytest.mark.parametrize("name", ["text.txt", "data/text.txt", "./text.txt"])
def test_a_run_that_was_moved_with_its_text(run, tmp_path, monkeypatch, name):
    (tmp_path / "before" / "data").mkdir(parents=True)
    for place in ("text.txt", "data/text.txt"):
        shutil.copy(tmp_path / "text.txt", tmp_path / "before" / place)
    monkeypatch.chdir(tmp_path / "before")
    assert run("train", name, *SMALL)[0] == 0
    said = run("eval", "runs/text-1")[1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(OTHER, encoding="utf-8")
    (tmp_path / "before").rename(tmp_path / "after")
    assert loss(run("eval", "after/runs/text-1")[1]) == loss(said)
    assert run("train", "--resume", "after/runs/text-1")[0] == 0


def test_a_folder_of_texts(run, tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    shutil.copy(tmp_path / "text.txt", tmp_path / "texts")
    assert run("train", "texts", "--out", "run", *SMALL)[0] == 0
    (tmp_path / "other" / "texts").mkdir(parents=True)
    (tmp_path / "other" / "texts" / "text.txt").write_text(OTHER, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "other")
    assert run("eval", "../run")[0] == 0
    (tmp_path / "texts" / "more.txt").write_text("more", encoding="utf-8")
    assert_one_line_error(run("eval", "../run"), "has changed since this run was started")


def test_a_run_of_an_older_version_is_compared_too(run, trained, elsewhere, tmp_path):
    config = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    del config["corpus"]["path"]
    (trained / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert run("eval", "../run")[0] == 0  # found beside the run
    (tmp_path / "text.txt").unlink()
    assert_one_line_error(run("eval", "../run"), "has changed since this run was started")


def test_a_named_text_that_has_changed(run, tmp_path, monkeypatch):
    from tinygrad_gpt.data import corpora

    monkeypatch.setattr(corpora, "python_docs", lambda: "the for statement\n" * 60)
    assert run("train", "python-docs", "--out", "run", *SMALL)[0] == 0
    assert run("eval", "run")[0] == 0
    monkeypatch.setattr(corpora, "python_docs", lambda: "the while statement for\n" * 60)
    assert_one_line_error(run("eval", "run"), "the corpus python-docs has changed", "tinygrad-gpt eval run CORPUS")


def test_the_model_that_a_run_began_with_is_found_again(run, trained, elsewhere):
    assert run("train", "text.txt", "--from", "run", "--steps", "2", "--out", "second", *SMALL[-2:])[0] == 2  # not here
    os.chdir(trained.parent)
    assert run("train", "text.txt", "--from", "run", "--steps", "2", "--out", "second", *SMALL[-2:])[0] == 0
    Path("second/checkpoint.safetensors").unlink()
    os.chdir(elsewhere)
    assert run("train", "--resume", "../second")[0] == 0
    assert json.loads(Path("../second/config.json").read_text(encoding="utf-8"))["from"]["path"] == str(trained)


# --- names of files -------------------------------------------------------------------------------------------------


NAMES = [
    "a b.txt",
    "it's.txt",
    "[bold]x.txt",
    "[]{}().txt",
    "a\nb.txt",
    "é😀.txt",
    "-x.txt",
    "x" * 250 + ".txt",
    "ü" * 120,
]
NAMES += [os.fsdecode(b"caf\xe9.txt"), "a\x1b[2Jb.txt", "%s{}.txt", "text.txt.tmp"]


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not have")
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[1:20])
def test_texts_and_runs_of_any_name(run, tmp_path, name):
    shutil.copy("text.txt", f"./{name}")
    assert run("train", *SMALL, "--", name)[0] == 0  # into runs/
    folder = str(next(Path("runs").iterdir()))
    assert run("eval", folder)[0] == 0
    name = name[:90]  # of characters of up to two bytes
    shutil.move(folder, f"./{name}-run")
    for command in ("eval", "sample", "doctor"):
        assert run(command, "--", f"{name}-run")[0] == 0
    assert run("train", "--resume", f"./{name}-run")[0] == 0


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="another shell")
def test_commands_to_copy_are_quoted(run, tmp_path):
    _, said, _ = run("train", "text.txt", "--out", "my run", *SMALL)
    assert said.endswith("my run: try  tinygrad-gpt sample 'my run'\n")
    assert run(*shlex.split(said.splitlines()[-1].partition("try  ")[2])[1:])[0] == 0
    assert_one_line_error(run("train", "text.txt", "--out", "my run", *SMALL), "continue it with --resume 'my run'")
    assert_one_line_error(run("train", "my run"), "continue it with --resume 'my run'")


@pytest.mark.long
def test_a_stopped_run_says_how_to_go_on_in_quotes(run, monkeypatch, tmp_path):
    import signal

    from tinygrad_gpt.train.reporter import Reporter

    pair = "OP = 'layer_norm'\nfrom tinygrad_gpt.ops.layer_norm import backward, forward\n"
    (tmp_path / "my pair.py").write_text(pair, encoding="utf-8")
    monkeypatch.setattr(Reporter, "step", lambda self, step, loss: step == 3 and signal.raise_signal(signal.SIGINT))
    status, said, _ = run("train", "text.txt", "--out", "my run", "--with", "my pair.py", *SMALL)
    assert status == 130
    monkeypatch.setattr(Reporter, "step", lambda self, step, loss: None)
    command = said.splitlines()[-1].partition("continue with: ")[2]
    assert run(*shlex.split(command)[1:])[0] == 0


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-at-all/text.txt", "loop", "pipe", "/dev/zero", "gone"])
@pytest.mark.parametrize(
    "command",
    [
        "train {} --out new",
        "eval run {}",
        "sample {}",
        "doctor {}",
        "train --resume {}",
        "export {} copy",
        "train text.txt --preset tiny --tokenizer {} --out new",
        "train text.txt --preset tiny --with {} --out new",
        "finetune {} --from run --out new",
        "finetune task.tsv --from {} --out new",
        "sample run --tokenizer {}",
        "classify {} text",
    ],
)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_what_is_no_file(run, module_run, name, command, tmp_path):
    shutil.copytree(module_run, "run")
    Path("task.tsv").write_text("fox\tyes\ndog\tno\n" * 9, encoding="utf-8")
    os.symlink("loop", "loop")
    os.symlink("nowhere", "gone")
    os.mkfifo("pipe")
    before = set(tmp_path.iterdir())
    assert_one_line_error(run(*(name if word == "{}" else word for word in command.split())))
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "cache"}


@pytest.fixture(scope="module")
def module_run(tmp_path_factory):
    """A run, trained once for all tests that only read it."""
    from tests.helpers import process_settings
    from tinygrad_gpt.cli import main

    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20, encoding="utf-8")
    with process_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_GPT_CACHE", str(folder / "cache"))
        assert main(["train", str(folder / "text.txt"), "--out", str(folder / "run"), *SMALL]) == 0
    return folder / "run"


# --- failing before the first step ----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["Trainer", "write_json", "CharTokenizer.save"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError("no room"), OSError(28, "No space left", "x")], ids=repr
)
@pytest.mark.parametrize("out", [["--out", "deep/new"], [], ["--out", "empty"]], ids=["given", "numbered", "there"])
def test_what_fails_before_the_first_step_leaves_no_folder(run, tmp_path, monkeypatch, where, error, out):
    from tinygrad_gpt.data import CharTokenizer
    from tinygrad_gpt.train import run as runs

    def fail(*arguments, **settings):
        raise error

    monkeypatch.setattr(CharTokenizer if where == "CharTokenizer.save" else runs, where.rpartition(".")[2], fail)
    (tmp_path / "empty").mkdir()
    before = set(tmp_path.iterdir())
    status, _, said = run("train", "text.txt", *SMALL, *out)
    assert status in (2, 130) and said.count("\n") <= 1 and "Traceback" not in said
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "cache"}
    assert list((tmp_path / "empty").iterdir()) == []


# --- judged before memory is taken ----------------------------------------------------------------------------------


@pytest.fixture
def little_memory():
    """As on a computer with two gigabytes more than are in use."""
    resource = pytest.importorskip("resource")
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


SIZES = [dict(n_embd=10**8), dict(n_layer=10**9), dict(block_size=10**12), dict(n_inner=10**9), dict(n_embd=2**62)]


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_config_of_an_absurd_size(run, trained, little_memory, sizes, recorded):
    config = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    config["model"] |= sizes
    if not recorded:
        del config["parameters"]
    (trained / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for command in (["sample", "run"], ["eval", "run"], ["train", "--resume", "run"]):
        result = run(*command)
        assert_one_line_error(result)
        assert "(Unable to allocate" not in result[2]


@pytest.mark.parametrize(
    "options", ["--n-embd 40000", "--n-layer 1000000000", "--n-inner 10000000000", "--batch-size 1000000000000"]
)
def test_options_of_an_absurd_size(run, options):
    assert_one_line_error(run("train", "text.txt", "--preset", "tiny", *options.split()), "not enough memory: training")


def test_losses_of_numpy_are_rows(trained):
    """The rows that training writes are those that are read."""
    from tinygrad_gpt.train.metrics import read_metrics

    assert np.isfinite([row["train_loss"] for row in read_metrics(trained / "metrics.jsonl")]).all()


@pytest.mark.skipif(os.name == "nt", reason="another shell")
@pytest.mark.parametrize(
    "text", ["the fox", "it's", 'say "hi"', "$HOME `ls`", "back\\slash", "-x y", "no!", "a\nb", ""]
)
def test_a_text_to_classify_reaches_the_command_as_it_is(text):
    from tinygrad_gpt.cli.finetuning import _in_quotes

    assert shlex.split(_in_quotes(text)) == [*(["--"] if text.startswith("-") else []), text]
