"""Our BLEU is sacrebleu's to the last digit: score, precisions, penalty, lengths, line and signature."""

import gzip
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.conftest import real_data  # noqa: F401 - a fixture
from tinygrad_gpt.files.storage import data_folder
from tinygrad_gpt.tasks.scores import corpus_bleu

metrics = pytest.importorskip("sacrebleu.metrics", reason="sacrebleu is not installed")

pytestmark = pytest.mark.reference

SETTINGS = [
    dict(tokenize=tokenize, smooth=smooth, lowercase=lowercase)
    for tokenize in ("13a", "none")
    for smooth in ("exp", "none")
    for lowercase in (False, True)
]


def assert_equal(hypotheses, *references, tokenize="13a", smooth="exp", lowercase=False):
    ours = corpus_bleu(hypotheses, *references, tokenize=tokenize, smooth=smooth, lowercase=lowercase)
    metric = metrics.BLEU(tokenize=tokenize, smooth_method=smooth, lowercase=lowercase, force=True)
    theirs = metric.corpus_score(hypotheses, references)
    assert ours[:5] == (theirs.score, tuple(theirs.precisions), theirs.bp, theirs.sys_len, theirs.ref_len)
    assert str(ours) == str(theirs)
    assert ours.signature.rpartition("|")[0] == str(metric.get_signature()).rpartition("|")[0]
    return ours


def test_default_settings_are_theirs():
    hypotheses, references = ["Hello, World! Is it you?"], ["Hello world! Is it you, then?"]
    theirs = metrics.BLEU(force=True).corpus_score(hypotheses, [references])
    ours = corpus_bleu(hypotheses, references)
    assert ours[:5] == (theirs.score, tuple(theirs.precisions), theirs.bp, theirs.sys_len, theirs.ref_len)


@pytest.mark.parametrize("how", SETTINGS)
@pytest.mark.parametrize(
    "pairs",
    [
        [("the cat sat on a mat", "the cat sat on the mat")],
        [("", "a b c d e")],
        [("", "a b c d"), ("a b c d", "a b c d"), ("", "x")],
        [("a", "a")],
        [("a b", "a b")],
        [("a b c", "a b c")],
        [("x", "a")],
        [("a b x d e", "a b c d e")],
        [("the the the the", "The cat")],
        [("a b c d e f g h", "a b")],
        [("It's $5,000.50 (3-4).", "its $ 5,000.5 ( 3-4 ) .")],
        [("&quot;R&amp;D&quot; &amp;lt; <skipped>", '"R&D" <'), ("a-\nb c\nd", "ab c d")],
        [("one two three-\n", "one two three-")],
        [(f"a{sign}b 1{sign}2 {sign} {sign}{sign}c{sign}", f"a {sign} b 1 2 c {sign}") for sign in string.punctuation],
    ],
)
def test_by_hand(pairs, how):
    assert_equal(*zip(*pairs, strict=True), **how)


SIGNS = st.sampled_from([*"abA1 .,-'/&;<>\"\n\té¨ß ", "&amp;", "&lt;", "<skipped>"])
TEXTS = st.lists(SIGNS, max_size=20).map("".join)
WORDS = st.lists(st.sampled_from(["a", "A", "b", "c.", "1,5", "d-e"]), max_size=9).map(" ".join)


@st.composite
def corpora(draw):
    """Hypotheses, and one to three lists of references of which none is empty, as sacrebleu wants it."""
    texts, sentences, lists = draw(st.sampled_from([TEXTS, WORDS])), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    references = [[draw(texts) or "a" for _ in range(sentences)] for _ in range(lists)]
    hypotheses = [draw(texts | st.sampled_from([each[i] for each in references])) for i in range(sentences)]
    return hypotheses, *references


@pytest.mark.long
@settings(max_examples=300)
@given(corpora(), st.sampled_from(SETTINGS))
def test_random_corpora(corpus, how):
    assert_equal(*corpus, **how)


@pytest.mark.parametrize("folder", ["multi30k", "multi30k-tok"])
@pytest.mark.parametrize("how", SETTINGS)
def test_perturbed_sentences_of_multi30k(real_data, folder, how):  # noqa: F811
    path = data_folder() / folder / "test_2016_flickr.de.gz"
    references = gzip.decompress(path.read_bytes()).decode().splitlines()
    rng = random.Random(0)
    hypotheses = [perturbed(rng, text.split(), references) for text in references]
    assert 40 < assert_equal(hypotheses, references, **how).score < 90


def perturbed(rng, words, sentences):
    """A sentence with up to five words dropped, doubled or changed for others."""
    for _ in range(rng.randint(0, 5)):
        i = rng.randrange(len(words) or 1)
        change = rng.choice(["drop", "double", "replace"])
        words[i : i + 1] = {
            "drop": [],
            "double": words[i : i + 1] * 2,
            "replace": [rng.choice(rng.choice(sentences).split())],
        }[change]
    return " ".join(words)
