"""XLNet's tokenizer beside transformers', which reads our files."""

import pytest

from tinygrad_gpt.data import XLNetTokenizer, open_corpus

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")

pytestmark = pytest.mark.reference

TEXTS = [
    "A man in an orange hat is sitting .",
    "The cat's hat, ``that'' it had; naïve cafés!",
    "spaces  and\nlines ,\tﬁgures … and ½ marks",
    "unknown: Ж€😀 123,456",
    "UPPER and lower",
]


@pytest.fixture(scope="module")
def ours():
    lines = [line.strip() for line in "".join(open_corpus("python-docs").train()).split("\n")]
    return XLNetTokenizer.train([line for line in lines if line][:1500], 1200)


@pytest.fixture(params=["XLNetTokenizer", "AutoTokenizer", "PreTrainedTokenizerFast"])
def theirs(request, ours, tmp_path):
    """The last one takes tokenizer.json as it is; the others normalise and split in their own code."""
    ours.save_pretrained(tmp_path)
    return getattr(transformers, request.param).from_pretrained(tmp_path)


def test_special_tokens(ours, theirs):
    names = ("unk", "bos", "eos", "cls", "sep", "pad", "mask")
    ids = (ours.unk_id, ours.bos_id, ours.end_id, ours.cls_id, ours.sep_id, ours.pad_id, ours.mask_id)
    assert tuple(getattr(theirs, f"{name}_token_id") for name in names) == ids
    assert len(theirs) == ours.vocab_size and theirs.padding_side == "left"


@pytest.mark.parametrize("text", TEXTS)
def test_texts(ours, theirs, text):
    ids = ours.encode(text)
    assert theirs(text, add_special_tokens=False).input_ids == ids.tolist()
    if ours.unk_id not in ids:
        assert theirs.decode(ids) == ours.decode(ids)


def test_pairs_and_padding(ours, theirs):
    """L-17: <cls> last, of type 2, and padding on the left."""
    firsts, seconds = TEXTS[:3], [TEXTS[3], "b", TEXTS[4]]
    for given in ((firsts,), (firsts, seconds)):
        batch, expected = ours(*given, padding=True), theirs(*given, padding=True, return_token_type_ids=True)
        assert batch["input_ids"].tolist() == expected["input_ids"]
        assert batch["attention_mask"].tolist() == expected["attention_mask"]
        assert batch["token_type_ids"].tolist() == expected["token_type_ids"]
    for max_length in (5, 8, 11):
        batch = ours(firsts, seconds, truncation=True, max_length=max_length, padding=True)
        expected = theirs(firsts, seconds, truncation=True, max_length=max_length, padding=True)
        assert batch["input_ids"].tolist() == expected["input_ids"]


def test_names_of_special_tokens_in_a_text(ours, theirs):
    """Text here; there only if it is told so, and takes our tokenizer.json as it is."""
    text = "a <sep> b<cls>"
    assert ours.sep_id in theirs(text, add_special_tokens=False).input_ids
    if type(theirs).__name__ != "XLNetTokenizer":
        found = theirs(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert found == ours.encode(text).tolist() and ours.sep_id not in found
