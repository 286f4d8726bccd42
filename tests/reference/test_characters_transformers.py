"""An exported model of characters is one of transformers: the same ids, the same text back, text from its pipeline."""

import numpy as np
import pytest

from tinygrad_gpt.data import CharTokenizer, load_tokenizer
from tinygrad_gpt.generate.text import stream_text
from tinygrad_gpt.models import GPT, GPTConfig, save_pretrained
from tinygrad_gpt.train.trained_model import find_model

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.reference

CHARACTERS = (
    "\x00\t\n\r !\"'-.,:?[]\\\x7f\xa0\u00e9\u0301\u200b\u2028\u3000\ufeff\U0001f600abcdefgXYZ</s>|##\u2581\u0120"
)


@pytest.fixture(scope="module", params=["pre", "post"])
def exported(request, tmp_path_factory):
    """(our tokenizer, the folder of a model with it)"""
    tokenizer = CharTokenizer(CHARACTERS)
    folder = tmp_path_factory.mktemp("exported")
    config = GPTConfig(tokenizer.vocab_size, 32, n_layer=1, n_head=2, n_embd=8, norm=request.param)
    save_pretrained(GPT(config), folder, tokenizer)
    return tokenizer, folder


def test_the_same_ids_and_the_same_text(exported):
    ours, folder = exported
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(theirs) == ours.vocab_size
    rng = np.random.default_rng(0)
    texts = [
        "",
        " ",
        "\n\n",
        "a .b , c ! d's",
        " a  b ",
        "\r\n\t",
        "</s>",
        "<s>",
        CHARACTERS,
        "e\u0301\u00e9",
        "\ufeffa",
    ]
    texts = [text for text in texts if set(text) <= set(ours.characters)]
    texts += ["".join(rng.choice(list(CHARACTERS), size=50)) for _ in range(50)]
    for text in texts:
        ids = theirs(text)["input_ids"]
        assert ids == ours.encode(text).tolist(), text
        assert theirs.decode(ids) == text == ours.decode(ids)
        assert theirs.decode(ids, skip_special_tokens=True) == text


def test_a_character_that_the_model_does_not_know(exported):
    with pytest.raises(Exception, match="vocabulary"):  # never another character's id
        transformers.AutoTokenizer.from_pretrained(exported[1])("a\u4e00b")


def test_their_pipeline_writes(exported):
    ours, folder = exported
    write = transformers.pipeline("text-generation", str(folder), device="cpu")
    [answer] = write("abc d", max_new_tokens=5, do_sample=False)
    assert answer["generated_text"].startswith("abc d") and len(answer["generated_text"]) == 10
    assert set(answer["generated_text"]) <= set(ours.characters)


def test_it_comes_back_from_the_folder(exported, tmp_path):
    ours, folder = exported
    again = load_tokenizer(folder)
    assert again.fingerprint() == ours.fingerprint()
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).fingerprint() == ours.fingerprint()


def test_the_same_greedy_text(exported):
    ours, folder = exported
    start = "a\t\U0001f600\n b"
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (transformers.AutoModelForCausalLM, transformers.AutoTokenizer)
    )
    theirs = model.generate(**tokenizer(start, return_tensors="pt"), do_sample=False, max_new_tokens=20)
    source = find_model(str(folder))
    assert source.tokenizer().fingerprint() == ours.fingerprint()
    written = "".join(stream_text(source.load(), ours, ours.encode(start), 20, temperature=0))
    assert tokenizer.decode(theirs[0]) == start + written and len(written) == 20
