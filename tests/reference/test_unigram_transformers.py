"""Unigram tokenizers, and vocabularies of sentences of all kinds, beside transformers' and the library's trainer."""

import pytest

from tinygrad_gpt.data import UnigramTokenizer, open_corpus
from tinygrad_gpt.data.parallel import Parallel, Translations
from tinygrad_gpt.data.translation_vocabulary import VOCABULARIES, train_vocabulary

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

pytestmark = pytest.mark.reference

TEXTS = [
    "A man in an orange hat is sitting .",
    "zwei hunde rennen , und spielen",
    "a </s> in a text, <pad> and [SEP]",
    "spaces  and\nlines , ﬁgures … and ▁ marks",
    "",
    "unknown: Ж€😀",
]


@pytest.fixture(scope="module")
def corpus():
    docs = "".join(open_corpus("python-docs").train()).split("\n")
    lines = [line.strip() for line in docs if line.strip()]
    some = Translations(lines[:1500] + TEXTS[:4], lines[1500:3000] + TEXTS[:4])
    return Parallel("docs", "en", "en", some, some, some, "")


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_transformers_reads_a_vocabulary_of_sentences(corpus, kind, tmp_path):
    """And puts </s> behind each sentence, as Marian's do."""
    ours = train_vocabulary(corpus, kind, 1200)
    ours.save_pretrained(tmp_path)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (theirs.pad_token_id, theirs.eos_token_id, len(theirs)) == (ours.pad_id, ours.end_id, ours.vocab_size)
    for text in TEXTS:
        ids = ours.encode(text).tolist()
        assert theirs(text, split_special_tokens=True).input_ids == [*ids, ours.end_id]
        if getattr(ours, "unk_id", None) not in ids:
            assert theirs.decode([*ids, ours.end_id], skip_special_tokens=True) == ours.decode(ids)


def test_our_pieces_spell_a_text_in_fewer_tokens_than_those_of_the_library_s_trainer(corpus):
    ours = UnigramTokenizer.train(corpus.text(), 1000)
    other = library.Tokenizer(library.models.Unigram())
    other.normalizer, other.pre_tokenizer = ours._backend.normalizer, ours._backend.pre_tokenizer
    trainer = library.trainers.UnigramTrainer(
        vocab_size=1000, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    other.train_from_iterator(corpus.text(), trainer)
    held_out = "".join(open_corpus("python-docs").val()).split("\n")
    assert sum(len(ours.encode(text)) for text in held_out) < sum(len(other.encode(text).ids) for text in held_out)
