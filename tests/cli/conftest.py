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
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20, encoding="utf-8")
    with process_settings():
        yield


@pytest.fixture
def run(capsys):
    """Run the command: (status, standard output, standard error)."""

    def run(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
