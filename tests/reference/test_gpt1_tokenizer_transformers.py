"""GPT-1's tokenizer beside transformers': equal ids on a vocabulary that is made here."""

import random

import pytest

from tinygrad_gpt.data import GPT1Tokenizer, load_tokenizer, open_corpus

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def text() -> str:
    corpus = open_corpus("python-docs")
    return "".join(corpus.train())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt1")
    GPT1Tokenizer.train(open_corpus("python-docs"), 1500).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["from vocab.json and merges.txt", "AutoTokenizer"])
def theirs(folder, request):
    if request.param == "AutoTokenizer":
        return transformers.AutoTokenizer.from_pretrained(folder)
    return transformers.OpenAIGPTTokenizer.from_pretrained(folder)


def test_whole_corpus(folder, theirs, text):
    assert type(theirs).__name__.startswith("OpenAIGPTTokenizer")
    ours = load_tokenizer(folder)
    assert ours.encode(text).tolist() == theirs(text, add_special_tokens=False)["input_ids"]


def test_any_unicode(folder, theirs):
    ours, rng = load_tokenizer(folder), random.Random(3)
    pools = [range(0x20, 0x7F), range(0xA0, 0x250), range(0x370, 0x400), range(0x4E00, 0x4F00), range(0x1F600, 0x1F640)]
    for _ in range(400):
        text = "".join(chr(rng.choice(rng.choice(pools))) for _ in range(rng.randrange(1, 40)))
        assert ours.encode(text).tolist() == theirs(text, add_special_tokens=False)["input_ids"], text


def test_what_transformers_writes_is_read(folder, theirs, text, tmp_path):
    theirs.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).encode(text).tolist() == load_tokenizer(folder).encode(text).tolist()
