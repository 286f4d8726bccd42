import os
from pathlib import Path

import pytest

from tinygrad_gpt.data.corpora import Corpus


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Every test has an empty cache of its own, and no data folder but the one it asks for."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(folder))
    monkeypatch.delenv("TINYGRAD_GPT_DATA", raising=False)
    return folder


REAL_DATA = os.environ.get("TINYGRAD_GPT_DATA")


@pytest.fixture
def real_data(monkeypatch):
    """The folder with the real corpora."""
    if not REAL_DATA:
        pytest.skip("needs the corpora: set TINYGRAD_GPT_DATA")
    monkeypatch.setenv("TINYGRAD_GPT_DATA", REAL_DATA)
    return Path(REAL_DATA)


@pytest.fixture
def corpus_of(tmp_path):
    """A function that makes a Corpus from a string, by way of a file."""

    def make(text: str, name: str = "text.txt") -> Corpus:
        from tinygrad_gpt.data import open_corpus

        path = tmp_path / name
        path.write_bytes(text.encode("utf-8"))
        return open_corpus(path)

    return make
