"""Damaged files and senseless options, thousands of them: the command does its work or says in a line what is wrong.

Never a traceback, never a signal, never a wait without end. A few hundred cases run each time, each drawn from its own
number, which the failure shows; `-m slow` runs 3,000.
"""

import json
import os
import random
import shutil
import signal
import traceback
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import gpt2_folder
from tests.helpers import process_settings
from tests.mutations import mutate, mutate_json
from tinygrad_gpt.cli import main
from tinygrad_gpt.data import CharTokenizer, WordPieceTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import BertConfig, BertForPreTraining, save_pretrained

SMALL = ["--preset", "tiny", "--n-layer", "1", "--n-embd", "8", "--block-size", "8", "--batch-size", "2"]
SMALL += ["--eval-tokens", "64", "--sample-tokens", "4"]
LONGEST_LINE, LONGEST_WAIT = 1000, 60  # characters of an error; seconds
MEMORY = 12 << 30  # bytes of addresses: far more than any case needs, far less than a mutated size asks for


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A folder with one of everything that the command reads."""
    folder = tmp_path_factory.mktemp("originals")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with process_settings(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("TINYGRAD_GPT_CACHE", str(folder / "cache"))
            Path("text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20, encoding="utf-8")
            Path("task.tsv").write_text("".join(f"fox {i}\tyes\ndog {i}\tno\n" for i in range(20)), encoding="utf-8")
            Path("task.csv").write_text("".join(f'"fox, {i}",yes\ndog,no\n' for i in range(20)), encoding="utf-8")
            Path("my_relu.py").write_text("def forward(x):\n  return x, x\ndef backward(dy, x):\n  return (dy,)\n")
            gpt2_folder(Path("hf"))
            CharTokenizer("the quick").save("hf/tokenizer.json")
            words = WordPieceTokenizer.train(["the quick brown fox jumps over the lazy dog"] * 9, 80)
            shape = dict(hidden_size=6, num_hidden_layers=1, num_attention_heads=2, intermediate_size=9)
            bert = BertConfig(words.vocab_size, **shape, max_position_embeddings=16)
            save_pretrained(BertForPreTraining(bert), Path("bert"), words)
            training = ["train", "text.txt", *SMALL, "--steps", "60", "--log-interval", "1"]
            assert main([*training, "--out", "run"]) == 0
            assert main([*training, "--out", "gpt1", "--norm", "post", "--tokenizer", "bpe", "--bpe-vocab", "270"]) == 0
            assert main(["export", "gpt1", "exported"]) == 0
            assert (
                main(["finetune", "task.tsv", "--from", "gpt1", "--epochs", "1", "--lm-weight", "0", "--out", "tuned"])
                == 0
            )
            assert main(["finetune", "task.tsv", "--from", "bert", "--epochs", "1", "--out", "taught"]) == 0
            for language in ("en", "de"):
                Path(f"pairs.{language}").write_text(f"the quick brown fox in {language}\n" * 20, encoding="utf-8")
            toy = "--source en --target de --preset transformer-toy --vocab 270 --steps 2 --block-size 40"
            assert main(["train", "pairs", *toy.split(), "--out", "translator"]) == 0
    finally:
        os.chdir(before)
    return folder


# What is damaged, and a command that reads it; and none of them takes long.
FILES = [
    ("run/config.json", "doctor run"),
    ("run/config.json", "sample run --tokens 2"),
    ("run/config.json", "eval run"),
    ("run/config.json", "train --resume run"),
    ("run/config.json", "train text.txt --from run --steps 1 --sample-tokens 1 --out new"),
    ("run/metrics.jsonl", "doctor run"),
    ("run/metrics.jsonl", "doctor run"),
    ("run/metrics.jsonl", "train --resume run"),
    ("run/tokenizer.json", "sample run --tokens 2"),
    ("run/tokenizer.json", "sample hf --tokenizer run/tokenizer.json --tokens 2"),
    ("run/checkpoint.safetensors", "sample run --tokens 2"),
    ("run/checkpoint.safetensors", "train --resume run"),
    ("gpt1/tokenizer.json", "sample exported --tokenizer gpt1/tokenizer.json --tokens 2"),
    ("exported/tokenizer.json", "sample exported --tokens 2"),
    ("exported/tokenizer.json", "eval exported text.txt"),
    ("hf/config.json", "sample hf --tokens 2"),
    ("hf/config.json", "export hf copy"),
    ("hf/model.safetensors", "sample hf --tokens 2"),
    ("hf/tokenizer.json", "sample hf --tokens 2"),
    ("bert/config.json", "predict bert a[MASK]"),
    ("bert/model.safetensors", "predict bert a[MASK]"),
    ("bert/tokenizer.json", "predict bert a[MASK]"),
    ("bert/vocab.txt", "similar bert fox dog --tokenizer bert/vocab.txt"),
    ("bert/tokenizer_config.json", "similar bert fox dog --tokenizer bert/vocab.txt"),
    ("tuned/lm-0-seed-1/config.json", "classify tuned fox"),
    ("tuned/lm-0-seed-1/tokenizer.json", "classify tuned fox"),
    ("tuned/lm-0-seed-1/checkpoint.safetensors", "classify tuned fox"),
    ("tuned/lm-0-seed-1/config.json", "finetune --resume tuned"),
    ("tuned/lm-0-seed-1/metrics.jsonl", "doctor tuned"),
    ("bert/config.json", "finetune task.tsv --from bert --epochs 1 --out new"),
    ("taught/seed-1/config.json", "predict taught fox"),
    ("taught/seed-1/config.json", "finetune --resume taught"),
    ("taught/seed-1/tokenizer.json", "predict taught fox"),
    ("taught/seed-1/checkpoint.safetensors", "export taught copy"),
    ("translator/config.json", "translate translator fox"),
    ("translator/config.json", "eval translator"),
    ("translator/config.json", "train --resume translator"),
    ("translator/tokenizer.json", "translate translator fox"),
    ("translator/checkpoint.safetensors", "translate translator fox"),
    ("pairs.de", "eval translator pairs --source en --target de"),
    ("pairs.de", "translate translator pairs.de --reference pairs.de"),
    ("text.txt", "eval run text.txt"),
    ("text.txt", "train text.txt --preset tiny --n-embd 8 --n-layer 1 --steps 1 --sample-tokens 0 --out new"),
    ("task.tsv", "finetune task.tsv --from gpt1 --epochs 1 --lm-weight 0 --out new"),
    ("task.csv", "finetune task.csv --from gpt1 --epochs 1 --lm-weight 0 --out new"),
]

WORDS = [
    "",
    "0",
    "-1",
    "1",
    "3",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e-400",
    "2.5",
    "9" * 400,
    "[red]",
    "[/x]",
    "é😀",
    "\udcff",
]
WORDS += [
    "-",
    "--",
    "--help",
    "/dev/zero",
    "/dev/null",
    "~nobody-at-all/x",
    "x" * 300,
    "y" * 70_000,
    "a\nb",
    "\x1b[2J",
    "None",
]
WORDS += ["text.txt", "run", "hf", "task.tsv", "cuda", "auto", "true", "0x10", "1_0", "１", " 1 ", "10000000000"]
# Commands that end soon whatever is added to them.
COMMANDS = {
    f"train text.txt {' '.join(SMALL)} --steps 1 --out new": """--corpus --tokenizer --bpe-vocab --from --window
        --batches --batch-size --accumulate --lr --min-lr --warmup --schedule --beta1 --beta2 --eps --weight-decay
        --grad-clip --seed --dtype --device --recompute --no-bias --log-interval --eval-interval --eval-tokens --norm
        --dropout --checkpoint-interval --prompt --n-head --n-embd --n-layer --n-inner --block-size --activation
        --preset --with --layer-norm-epsilon --out --resume --force --sweep""",
    "sample run --tokens 2": "--prompt --temperature --top-k --top-p --seed --stop --tokenizer --device --json",
    "predict bert a[MASK]": "--top --text-file --json --tokenizer --device",
    "similar bert fox dog": "--query --top --batch-size --text-file --json --tokenizer --device",
    "translate translator fox": """--beams --penalty --length-penalty --max-tokens --batch-tokens --out --reference
        --tokenize --align-plot --align-layer --align --json --tokenizer --device""",
    "eval translator": "--beams --penalty --length-penalty --source --target --json --tokenizer --device",
    "eval run": "--stride --block-size --batch-size --tokenizer --device --json",
    "export run copy": "--device",
    "finetune task.tsv --from gpt1 --epochs 1 --lm-weight 0 --out new": """--batch-size --lr --warmup-share --seed
        --lm-weight --weight-decay --grad-clip --head-dropout --device --no-pretrained --tokenizer --from --out""",
    "classify tuned": "--device",
    "doctor run": "",
    "runs": "--json",
    "compare run": "",
    "gradcheck relu": "--with --device",
    "presets": "",
}


@pytest.fixture
def place(originals, tmp_path, monkeypatch):
    """A copy of all of them, which one case may spoil."""

    def fresh() -> None:
        shutil.rmtree(tmp_path, ignore_errors=True)
        shutil.copytree(originals, tmp_path)
        os.chdir(tmp_path)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(tmp_path / "cache"))
    return fresh


@pytest.fixture(autouse=True)
def bounds():
    """A case that waits is interrupted, and one that takes memory without measure gets a MemoryError."""
    resource = pytest.importorskip("resource")

    def too_long(number, frame):
        raise AssertionError("it takes too long")

    before, limit = signal.signal(signal.SIGALRM, too_long), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, limit[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limit)
    signal.signal(signal.SIGALRM, before)


def damage_file(path: Path, rng: random.Random) -> str:
    """Change one file; returns how."""
    content = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.8:
        how, content = mutate_json(json.loads(content), rng)
    elif path.suffix == ".jsonl" and rng.random() < 0.9:
        lines = content.splitlines()
        looks = [i for i, line in enumerate(lines) if b"prediction_share" in line]
        at = rng.choice([*looks, rng.randrange(len(lines))])
        how, lines[at] = mutate_json(json.loads(lines[at]), rng)
        content = b"\n".join(lines) + b"\n"
    elif path.suffix == ".safetensors" and rng.random() < 0.6:
        how, content = damage_header(path, rng)
    else:
        how, content = mutate(content, rng)
    path.write_bytes(content)
    return how


def damage_header(path: Path, rng: random.Random) -> tuple[str, bytes]:
    """A safetensors file with another header, of the right length; or with other metadata of ours."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    ours = header.get("__metadata__", {}).get("tinygrad_gpt")
    if ours and rng.random() < 0.5:
        how, text = mutate_json(json.loads(ours), rng)
        header["__metadata__"]["tinygrad_gpt"] = text.decode()
        new = json.dumps(header).encode()
    else:
        how, new = mutate_json(header, rng)
    return f"header: {how}", len(new).to_bytes(8, "little") + new + content[end:]


def damaged(number: int, fresh) -> tuple[list[str], str]:
    """Case `number`: a command, and what was done to its files."""
    rng = random.Random(number)
    fresh()
    name, command = rng.choice(FILES)
    return command.split(), f"{name}: {damage_file(Path(name), rng)}"


def senseless(number: int, fresh) -> tuple[list[str], str]:
    """Case `number`: a command with one to three options that mean nothing, or too much."""
    rng = random.Random(number)
    fresh()
    command = rng.choice(list(COMMANDS))
    arguments, options = command.split(), COMMANDS[command].split()
    for _ in range(rng.choice((1, 1, 2, 3))):
        if options and rng.random() < 0.9:
            arguments += [rng.choice(options), rng.choice(WORDS)]
        else:
            arguments.insert(rng.randrange(1, len(arguments) + 1), rng.choice(WORDS))
    return arguments, "options"


def wrong_with(arguments: list[str], capsys) -> str:
    """Run a command; what is wrong with how it ends, "" if nothing is."""
    signal.alarm(LONGEST_WAIT)
    try:
        with process_settings(), np.errstate(all="warn"):
            status = main(arguments)
    except BaseException as error:
        return "".join(traceback.format_exception(error)[-6:])
    finally:
        signal.alarm(0)
        said = capsys.readouterr()
    if status not in (0, 1, 2):
        return f"status {status}: {said.err[-300:]}"
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    if status == 2 and arguments and "--help" not in arguments:
        if len(errors) != 1 or not said.err.endswith(errors[0] + "\n"):
            return f"no error of one line: {said.err[-500:]!r}"
        if len(errors[0]) > LONGEST_LINE:
            return f"an error of {len(errors[0])} characters: {errors[0][:300]}"
        if not errors[0].isprintable():
            return f"an error with control characters: {errors[0][:300]!r}"
    if "Traceback" in said.err + said.out:
        return f"a traceback: {said.err[-500:]}"
    return ""


def fuzz(draw, numbers, fresh, capsys) -> dict[str, int]:
    """Run cases; fails with a list of those that ended badly. Returns how many there were with which exit."""
    bad, counts = [], {}
    for number in numbers:
        arguments, how = draw(number, fresh)
        problem = wrong_with(arguments, capsys)
        counts[problem and "bad"] = counts.get(problem and "bad", 0) + 1
        if problem:
            shown = " ".join(word[:60] for word in arguments)
            bad.append(f"{draw.__name__}({number}), {shown} ({how[:100]})\n{problem}")
    assert not bad, f"{len(bad)} of {len(numbers)}:\n" + "\n".join(bad)[:20_000]
    return counts


@pytest.mark.parametrize("cases", [20, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize("draw", [damaged, senseless])
def test_some_cases(draw, cases, place, capsys):
    fuzz(draw, range(cases), place, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
@pytest.mark.parametrize("draw", [damaged, senseless])
def test_three_thousand_cases(draw, part, place, capsys):
    fuzz(draw, range(1000 + 250 * part, 1250 + 250 * part), place, capsys)


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (RuntimeError("a bug"), "RuntimeError: a bug"),
        (KeyboardInterrupt(), "status 130"),
        (UserError("two\nlines"), ""),  # of which main makes one
    ],
    ids=repr,
)
def test_a_case_can_fail(place, capsys, monkeypatch, error, seen):
    def read(*arguments, **settings):
        raise error

    place()
    assert wrong_with(["doctor", "run"], capsys) == ""
    monkeypatch.setattr("tinygrad_gpt.train.run_folder.read_json", read)
    problem = wrong_with(["doctor", "run"], capsys)
    assert seen in problem and bool(seen) == bool(problem)
