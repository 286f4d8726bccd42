"""A place of its own for every test of the command, and the command itself."""

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
SMALL = f"{OPTIONS} --steps 4 --sample-tokens 20 --log-interval 2".split()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of a run of four steps, for tests that do not change it."""
    place = tmp_path_factory.mktemp("small")
    (place / "text.txt").write_text(TEXT, encoding="utf-8")
    with process_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_GPT_CACHE", str(place / "cache"))
        assert main(["train", str(place / "text.txt"), "--out", str(place / "run"), *SMALL]) == 0
    return place / "run"


@pytest.fixture
def run(capsys):
    """Run the command: (status, standard output, standard error)."""

    def run(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
