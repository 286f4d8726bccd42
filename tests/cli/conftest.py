"""A place of its own for every test of the command, and the command itself."""

import random
from pathlib import Path

import pytest

from tests.helpers import process_settings
from tinygrad_gpt.cli import main


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """An empty folder to be in, with text.txt; no data, no network. Afterwards, what commands set is as it was."""
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("TINYGRAD_GPT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    with process_settings():
        yield


TEXT = "the quick brown fox jumps over the lazy dog\n" * 20
OPTIONS = "--preset tiny --n-layer 1 --n-embd 8 --block-size 8 --batch-size 2 --warmup 2 --eval-tokens 64"
TRANSLATOR = "--preset transformer-toy --vocab 300 --block-size 24 --decoder-layers 2 --warmup 30"
SMALL = f"{OPTIONS} --steps 4 --sample-tokens 20 --log-interval 2".split()


def trained_in(place: Path, *options: str) -> Path:
    """The folder of a run that was trained there, once for all tests that copy it or do not change it."""
    (place / "text.txt").write_text(TEXT, encoding="utf-8")
    with process_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_GPT_CACHE", str(place / "cache"))
        patch.chdir(place)
        assert main(["train", "text.txt", "--out", "run", *options]) == 0
    return place / "run"


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of a run of four steps, for tests that do not change it."""
    return trained_in(tmp_path_factory.mktemp("small"), *SMALL)


@pytest.fixture(scope="session")
def translator(tmp_path_factory):
    """The folder of a run that learned to translate a toy language word by word: "a dog sees a cat ." into
    "ein hund sieht ein katze ."; for tests that do not change it. The sentences lie beside it, corpus.en and corpus.de.
    """
    pytest.importorskip("tokenizers")
    place = tmp_path_factory.mktemp("translator")
    nouns = {"dog": "hund", "cat": "katze", "man": "mann", "house": "haus"}
    verbs = {"sees": "sieht", "likes": "mag"}
    ways = [(a, does, b) for a in nouns for does in verbs for b in nouns] * 8
    random.Random(0).shuffle(ways)
    english = [f"a {a} {does} a {b} .\n" for a, does, b in ways]
    german = [f"ein {nouns[a]} {verbs[does]} ein {nouns[b]} .\n" for a, does, b in ways]
    for language, lines in (("en", english), ("de", german)):
        (place / f"corpus.{language}").write_text("".join(lines), encoding="utf-8")
    given = f"--source en --target de {TRANSLATOR}".split()
    with process_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_GPT_CACHE", str(place / "cache"))
        patch.chdir(place)
        assert main(["train", "corpus", *given, "--out", "run"]) == 0
    return place / "run"


@pytest.fixture
def run(capsys):
    """Run the command: (status, standard output, standard error)."""

    def run(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
