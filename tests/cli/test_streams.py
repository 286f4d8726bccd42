"""The command with a Transformer-XL: from training to the last figure, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.helpers import process_settings
from tinygrad_gpt.cli import main
from tinygrad_gpt.tasks.perplexity import evaluate_streams, remembering

OPTIONS = "--preset transformer-xl-char --n-layer 1 --n-head 2 --n-embd 8 --window 8 --memory 12 --batch-size 2"
SMALL = f"{OPTIONS} --warmup 2 --eval-tokens 64 --steps 4 --sample-tokens 20 --log-interval 2 --eval-interval 2".split()
TEXT = "the quick brown fox jumps over the lazy dog\n" * 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of four steps, for tests that do not change it."""
    place = tmp_path_factory.mktemp("streams")
    (place / "text.txt").write_text(TEXT, encoding="utf-8")
    with process_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_GPT_CACHE", str(place / "cache"))
        assert main(["train", str(place / "text.txt"), "--out", str(place / "run"), *SMALL]) == 0
    return str(place / "run")


def test_from_the_first_line_to_the_last(run):
    status, said, error = run("train", "text.txt", *SMALL)
    assert status == 0, error
    first, *_, checked, last = said.strip().splitlines()
    assert first.startswith("training in runs/text-1: preset transformer-xl-char, on the CPU, ")
    assert re.search(r"792 tokens of text\.txt \(88 to validate\) in 2 streams of 392$", first), first
    assert "  val " in said and "  bits_per_character " in said
    assert "tinygrad-gpt doctor runs/text-1" in checked and last.endswith("try  tinygrad-gpt sample runs/text-1")

    status, said, error = run("train", "--resume", "runs/text-1", "--steps", "6")
    assert status == 0 and "resuming runs/text-1 at step 4" in said and "step 6/6" in said, error

    (listed,) = json.loads(run("runs", "--json")[1])
    assert (listed["task"], listed["preset"], listed["state"]) == ("stream", "transformer-xl-char", "finished")
    assert "transformer-xl-char" in run("runs")[1]

    status, said, error = run("doctor", "runs/text-1")
    assert status == 0 and "6 of 6 steps" in said and "gradient by block" in said, error

    status, said, error = run("sample", "runs/text-1", "--prompt", "the", "--tokens", "70", "--seed", "1")
    assert status == 0 and said.startswith("the") and len(said) == 74, error
    assert run("sample", "runs/text-1", "--prompt", "the", "--tokens", "70", "--seed", "1")[1] == said


def number(said, name):
    return float(re.search(rf"^{name} +(\S+)", said, re.MULTILINE)[1])


def test_an_evaluation_says_how_it_read(run, trained):
    """X-16: no loss without the lengths that it depends on."""
    status, said, error = run("eval", trained)
    assert status == 0, error
    assert "86 of 88 tokens in 2 streams, segments of 8, a memory of 12, distances to 128\n" in said, said
    assert number(said, "bits per char") == pytest.approx(number(said, "loss") / np.log(2), abs=2e-4)
    rows = [json.loads(line) for line in Path(trained, "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    figures = json.loads(run("eval", trained, "--json")[1])
    assert figures["loss"] == rows[-1]["val_loss"] and figures["bits_per_character"] == rows[-1]["bits_per_character"]
    assert (figures["window"], figures["memory"], figures["clamp"], figures["streams"]) == (8, 12, 128, 2)

    given = ("--window", "4", "--memory", "30", "--clamp", "-1", "--batch-size", "1")
    status, said, error = run("eval", trained, *given)
    assert status == 0 and "87 of 88 tokens in one stream, segments of 4, a memory of 30\n" in said, error


@pytest.mark.parametrize(
    ("option", "value", "name", "reads"),
    [
        ("--window", 5, "window", "in 2 streams, segments of 5, a memory of 12, distances to 128"),
        ("--memory", 0, "memory", "in 2 streams, segments of 8, a memory of 0, distances to 128"),
        ("--memory", 30, "memory", "in 2 streams, segments of 8, a memory of 30, distances to 128"),
        ("--clamp", 2, "clamp", "in 2 streams, segments of 8, a memory of 12, distances to 2"),
        ("--batch-size", 1, "streams", "in one stream, segments of 8, a memory of 12, distances to 128"),
    ],
)
def test_each_option_of_an_evaluation_decides(run, trained, option, value, name, reads):
    """Alone: what is read is what the function that measures is told, and another loss than without it."""
    figures, other = (json.loads(run("eval", trained, *given, "--json")[1]) for given in ((), (option, str(value))))
    how = {name: figures[name] for name in ("window", "memory", "clamp", "streams")} | {name: value}
    assert {name: other[name] for name in how} == how and other["loss"] != figures["loss"]
    model, tokenizer = tg.load(trained)
    tokens = tokenizer.encode(TEXT[-88:])
    with remembering(model, how["memory"], how["clamp"]):
        expected = evaluate_streams(model, np.array(tokens), how["streams"], how["window"])
    assert other["loss"] == pytest.approx(expected.loss, rel=1e-6) and other["tokens"] == expected.tokens
    assert f" tokens {reads}\n" in run("eval", trained, option, str(value))[1]


def test_as_a_hugging_face_folder(run, trained):
    """It is measured and written with as the run is; how it read in training, no such folder says."""
    status, said, error = run("export", trained, "out")
    assert status == 0 and "transformers.TransfoXLLMHeadModel.from_pretrained('out')" in said, error
    assert "transformers (up to 4.35) begins a text with a memory of zeros, this model with none" in said
    status, _, error = run("eval", "out")
    assert status == 2 and "out does not say which text it was trained on" in error
    given = ("--window", "8", "--batch-size", "2", "--json")
    same, again = (
        json.loads(run("eval", place, *text, *given)[1]) for place, text in ((trained, ()), ("out", ("text.txt",)))
    )
    assert again["loss"] == pytest.approx(same["loss"], rel=1e-6) and again["memory"] == same["memory"] == 12
    first = run("eval", "out", "text.txt")[1].splitlines()[0]
    assert first.endswith("in one stream, segments of 64, a memory of 12, distances to 128"), first
    how = ("--prompt", "the", "--tokens", "30", "--seed", "1")
    assert run("sample", "out", *how)[1] == run("sample", trained, *how)[1]
    given = "--preset transformer-xl-char --window 8 --batch-size 2 --steps 2 --warmup 1 --sample-tokens 0 --from out"
    status, said, error = run("train", "text.txt", *given.split())
    assert status == 0 and " from out: preset transformer-xl-char" in said, error


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--block-size 8", "holds a Transformer-XL: leave out --block-size"),
        ("--stride 4", "holds a Transformer-XL: leave out --stride"),
        ("--beams 4", "holds a Transformer-XL: leave out --beams"),
        ("--memory -1", "--memory"),
        ("--clamp 0", "--clamp should be -1, or at least 1, not 0\n"),
        ("--clamp -2", "--clamp"),
        ("--window 0", "--window"),
    ],
)
def test_what_an_evaluation_refuses(run, trained, options, says):
    status, _, error = run("eval", trained, *options.split())
    assert status == 2 and says in error


def test_the_same_length_needs_a_memory(run):
    status, _, error = run("train", "text.txt", *SMALL, "--same-length", "--eval-memory", "0")
    assert status == 2 and "eval_memory should be at least 1 with same_length" in error and error.count("\n") == 1
    status, _, error = run("train", "text.txt", *SMALL, "--same-length", "--out", "same")
    assert status == 0 and run("eval", "same", "--memory", "1")[0] == 0, error
    status, _, error = run("eval", "same", "--memory", "0")
    assert status == 2 and "--memory should be at least 1: with same_length" in error and error.count("\n") == 1


def test_a_clamp_of_none_by_transformers_name_for_it(run, trained):
    """0, which clamps nothing; -1 is ours."""
    status, _, error = run("export", trained, "hf")
    assert status == 0, error
    config = json.loads(Path("hf/config.json").read_text(encoding="utf-8"))
    Path("hf/config.json").write_text(json.dumps(config | {"clamp_len": 0}), encoding="utf-8")
    status, said, error = run("eval", "hf", "text.txt")
    assert status == 0 and said.splitlines()[0].endswith("a memory of 12"), error
    given = "--preset transformer-xl-char --window 8 --batch-size 2 --steps 2 --warmup 1 --sample-tokens 0 --from hf"
    status, _, error = run("train", "text.txt", *given.split(), "--out", "on")
    assert status == 0 and json.loads(Path("on/config.json").read_text(encoding="utf-8"))["model"]["clamp_len"] == -1


@pytest.mark.parametrize("option", ["--memory", "--window", "--clamp"])
def test_a_gpt_remembers_nothing(run, small_run, option):
    status, _, error = run("eval", str(small_run), option, "8")
    assert status == 2 and f"holds a GPT: leave out {option}" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--window 900", "too few for 2 streams of it with a window of 900 each"),
        ("--memory -1", "memory should be at least 0, not -1"),
        (
            "--block-size 8",
            "a setting of a Transformer-XL, as the preset transformer-xl-char makes one: give --window, the tokens",
        ),
        ("--preset xlnet", "there is no preset 'xlnet' (did you mean xlnet-"),
        ("--batches epochs", "--batches is not a setting of a Transformer-XL"),
        ("--model own.py", "own.py"),
    ],
)
def test_settings_that_cannot_be(run, options, says):
    status, _, error = run("train", "text.txt", *SMALL, *options.split())
    assert status == 2 and says in error and error.count("\n") == 1 and not Path("runs").exists()


def test_a_gpts_preset_has_no_memory(run):
    status, _, error = run("train", "text.txt", "--memory", "8")
    assert status == 2 and "--memory is a setting of a Transformer-XL: leave it out, or give --preset (transf" in error


@pytest.mark.long
def test_a_sweep_and_a_comparison(run):
    given = [option for option in SMALL if option not in ("--memory", "12")]
    status, said, error = run("train", "text.txt", *given, "--sweep", "memory=0,12", "--out", "sweep")
    assert status == 0 and "memory" in said, error
    status, said, error = run("compare", "sweep")
    assert status == 0 and "mem-len" in said, error


def test_other_commands_say_what_it_is(run, trained):
    Path("own.tsv").write_text("a fox\tyes\na dog\tno\n" * 20, encoding="utf-8")
    for command in (
        ("predict", trained, "abc"),
        ("translate", trained, "abc"),
        ("finetune", "own.tsv", "--from", trained),
    ):
        status, _, error = run(*command)
        assert status == 2 and "a Transformer-XL" in error and error.count("\n") == 1, (command, error)


def test_presets_and_help_name_it(run):
    assert "transformer-xl-char" in run("presets")[1]
    said = run("train", "--help-all")[1]
    assert "--memory" in said and "--eval-memory" in said and "--clamp" in said
    assert "--memory" in run("eval", "--help")[1]
